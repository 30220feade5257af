//! A circuit breaker: a host that failed several times in a row is left alone for a while, then tried with one request.

use std::time::{Duration, SystemTime};

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// How long it stays open before one request may try, and between two such requests.
const PAUSE: Duration = Duration::from_secs(10);
/// A caller's time may be older than another's by so much.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);

/// The breaker of one host, in one instance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breaker {
    failures: u32,
    /// When it was opened, or a request was last let through to try.
    open_since: Option<SystemTime>,
}

impl Breaker {
    /// Whether a request may be sent; if not, how long it takes until one may. While open, one request in 10 s is let
    /// through. One that never reports back holds up no other for longer.
    ///
    /// # Errors
    /// The time until the next try.
    pub fn admit(&mut self, now: SystemTime) -> Result<(), Duration> {
        let Some(since) = self.open_since else { return Ok(()) };
        let open = match now.duration_since(since) {
            Ok(open) => open,
            // A request that began before the one that failed.
            Err(earlier) if earlier.duration() < LONGEST_REQUEST => Duration::ZERO,
            // A clock that was set back does not keep it open for longer.
            Err(_) => PAUSE,
        };
        if open < PAUSE {
            return Err(PAUSE - open);
        }
        self.open_since = Some(now);
        Ok(())
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.open_since.is_some()
    }

    /// The host answered, be it with a refusal.
    pub fn succeeded(&mut self) {
        *self = Breaker::default();
    }

    /// The host did not answer, or failed itself.
    pub fn failed(&mut self, now: SystemTime) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.open_since = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn open() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..5 {
            assert_eq!(breaker.admit(at(100)), Ok(()));
            breaker.failed(at(100));
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_for_ten_seconds() {
        let mut breaker = open();
        assert_eq!(breaker.admit(at(101)), Err(Duration::from_secs(9)));
        assert_eq!(breaker.admit(at(110)), Ok(()), "one may try");
        assert_eq!(breaker.admit(at(110)), Err(Duration::from_secs(10)), "and no other");
        breaker.succeeded();
        assert_eq!(breaker.admit(at(110)), Ok(()));
    }

    #[test]
    fn a_try_that_fails_keeps_it_open_and_one_that_is_lost_holds_up_no_other() {
        let mut breaker = open();
        assert_eq!(breaker.admit(at(110)), Ok(()));
        breaker.failed(at(112));
        assert_eq!(breaker.admit(at(121)), Err(Duration::from_secs(1)));
        assert_eq!(breaker.admit(at(122)), Ok(()), "this one never reports back");
        assert_eq!(breaker.admit(at(132)), Ok(()));
    }

    #[test]
    fn failures_with_answers_between_them_do_not_open_it() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 0..4 {
                breaker.failed(at(100));
            }
            breaker.succeeded();
            assert_eq!(breaker.admit(at(100)), Ok(()));
        }
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_keep_it_open() {
        assert_eq!(open().admit(at(50)), Ok(()));
        assert_eq!(
            open().admit(at(80)),
            Err(Duration::from_secs(10)),
            "but a request that began earlier is no such clock"
        );
    }
}
