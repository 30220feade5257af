//! What is tried again: only what cannot be done twice by it.
//!
//! Salesforce has no idempotency keys, so a write is sent again only when nothing of it was sent, or when the org said that
//! it did nothing. One budget for all reasons; full jitter (base 50 ms, at most 1 s).

use std::time::Duration;

use crate::error::{Code, SalesforceError};

/// Tries after the first, for whatever reason.
pub const RETRIES: u32 = 2;
const BASE: Duration = Duration::from_millis(50);
const MOST: Duration = Duration::from_secs(1);
/// Less time than this is no use for another try.
pub const SHORTEST: Duration = Duration::from_millis(200);

/// How a request failed, as far as a retry cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Nothing was sent.
    Nothing,
    /// It was sent; there is no whole answer.
    NoAnswer,
    /// It was answered.
    Answered,
}

/// Whether a request that failed with `error` may be sent again: its `retry`-th retry, the first is 0.
pub fn may_retry(error: &SalesforceError, sent: Sent, write: bool, retry: u32) -> bool {
    if retry >= RETRIES {
        return false;
    }
    match (sent, error.code) {
        (Sent::Nothing, Code::OrgUnreachable) => true,
        (Sent::Nothing, _) => false,
        // The org had not begun.
        (Sent::Answered, Code::RowLocked) => true,
        (Sent::Answered, Code::RequestLimit) => !error.is_used_up(),
        (Sent::Answered, Code::OrgFailed | Code::AnswerUnreadable) => {
            !write && error.status.is_none_or(|status| !(300..400).contains(&status))
        }
        (Sent::NoAnswer, Code::OrgUnreachable | Code::OrgTimedOut) => !write,
        _ => false,
    }
}

/// How long to wait before the `retry`-th retry; `random` is 0 to 1.
pub fn pause(retry: u32, random: f64) -> Duration {
    BASE.saturating_mul(2u32.saturating_pow(retry)).min(MOST).mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, code: &str, message: &str) -> SalesforceError {
        let body = format!(r#"[{{"errorCode":"{code}","message":"{message}"}}]"#);
        SalesforceError::from_answer(status, body.as_bytes())
    }

    #[test]
    fn a_write_is_sent_again_only_where_it_was_not_done() {
        let unreachable = SalesforceError::new(Code::OrgUnreachable, "");
        let timed_out = SalesforceError::new(Code::OrgTimedOut, "");
        for (error, sent, write, read) in [
            (unreachable.clone(), Sent::Nothing, true, true),
            (unreachable, Sent::NoAnswer, false, true),
            (timed_out, Sent::NoAnswer, false, true),
            (answered(400, "UNABLE_TO_LOCK_ROW", ""), Sent::Answered, true, true),
            (
                answered(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."),
                Sent::Answered,
                true,
                true,
            ),
            (answered(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), Sent::Answered, false, false),
            (answered(500, "UNKNOWN_EXCEPTION", ""), Sent::Answered, false, true),
            (answered(503, "SERVER_UNAVAILABLE", ""), Sent::Answered, false, true),
            (answered(400, "MALFORMED_ID", ""), Sent::Answered, false, false),
            (answered(401, "INVALID_SESSION_ID", ""), Sent::Answered, false, false),
            (SalesforceError::from_answer(302, b""), Sent::Answered, false, false),
        ] {
            assert_eq!(may_retry(&error, sent, true, 0), write, "write: {error:?}");
            assert_eq!(may_retry(&error, sent, false, 0), read, "read: {error:?}");
            assert!(!may_retry(&error, sent, false, RETRIES), "the budget is for all reasons");
        }
    }

    #[test]
    fn pauses_grow_to_a_second() {
        let pauses: Vec<_> = [0, 1, 2, 10, u32::MAX].map(|retry| pause(retry, 1.0).as_millis()).to_vec();
        assert_eq!(pauses, [50, 100, 200, 1_000, 1_000]);
        assert_eq!(pause(3, 0.0), Duration::ZERO);
    }
}
