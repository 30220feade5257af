//! Back-off on wrong secrets, by client id and address of the caller: wrong answers become slower to ask for, right ones
//! do not. In memory, and pure: the time comes in.
//!
//! An id that no client has is counted as any other, so that the count tells nothing.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;

/// Wrong secrets in a row that are refused and nothing else.
const FREE: u32 = 5;
/// Longest time a caller is told to wait.
const LONGEST: Duration = Duration::from_secs(60);
/// A caller who has not been wrong for so long begins anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// Callers remembered at once, 64 bytes each; past it all are forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// Who presents a secret: a client id and the address it comes from. A digest, for the id may be any text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caller([u8; 32]);

impl Caller {
    /// The caller who says that it is `unverified_client_id`, at the address `source`.
    pub fn new(unverified_client_id: &str, source: &str) -> Caller {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&unverified_client_id.len().to_be_bytes());
        context.update(unverified_client_id.as_bytes());
        context.update(source.as_bytes());
        let mut caller = [0; 32];
        caller.copy_from_slice(context.finish().as_ref());
        Caller(caller)
    }
}

/// Who was wrong how often.
#[derive(Default)]
pub struct BackOff {
    callers: HashMap<Caller, Attempts>,
}

struct Attempts {
    wrong: u32,
    last: SystemTime,
    until: SystemTime,
}

impl BackOff {
    /// Counts a wrong secret. `None`: it is refused and nothing else; otherwise how long the caller has to wait, in whole
    /// seconds. What is wrong while the caller should wait makes the wait no longer.
    pub fn wrong(&mut self, caller: Caller, now: SystemTime) -> Option<Duration> {
        self.make_room(caller, now);
        let attempts = self.callers.entry(caller).or_insert(Attempts { wrong: 0, last: now, until: now });
        if is_forgotten(attempts.last, now) {
            *attempts = Attempts { wrong: 0, last: now, until: now };
        }
        attempts.last = now;
        // A wait beyond the longest one means that the clock was set back.
        let left = attempts.until.duration_since(now).unwrap_or_default();
        if !left.is_zero() && left <= LONGEST {
            return Some(Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0)));
        }
        attempts.wrong = attempts.wrong.saturating_add(1);
        let doublings = attempts.wrong.checked_sub(FREE + 1)?;
        let wait = Duration::from_secs(1_u64.checked_shl(doublings).unwrap_or(u64::MAX)).min(LONGEST);
        attempts.until = now + wait;
        Some(wait)
    }

    /// Forgets the wrong secrets of a caller who presented a right one.
    pub fn right(&mut self, caller: Caller) {
        self.callers.remove(&caller);
    }

    fn make_room(&mut self, caller: Caller, now: SystemTime) {
        if self.callers.len() < MAX_REMEMBERED || self.callers.contains_key(&caller) {
            return;
        }
        self.callers.retain(|_, attempts| !is_forgotten(attempts.last, now));
        if self.callers.len() >= MAX_REMEMBERED {
            self.callers.clear();
        }
    }
}

fn is_forgotten(last: SystemTime, now: SystemTime) -> bool {
    now.duration_since(last).is_ok_and(|passed| passed >= FORGOTTEN_AFTER)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const MINUTE: u64 = 60_000;

    fn at(milliseconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + Duration::from_millis(milliseconds)
    }

    fn caller() -> Caller {
        Caller::new("demo", "192.0.2.1")
    }

    fn wrong(back_off: &mut BackOff, milliseconds: u64) -> u64 {
        back_off.wrong(caller(), at(milliseconds)).unwrap_or_default().as_secs()
    }

    #[test]
    fn the_wait_doubles_with_every_wrong_secret_after_the_fifth_up_to_a_minute() {
        let mut back_off = BackOff::default();
        let mut now = 0;
        let waits: Vec<u64> = (0..14)
            .map(|_| {
                let wait = wrong(&mut back_off, now);
                now += wait * 1_000;
                wait
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn what_is_wrong_during_the_wait_is_told_what_is_left_of_it() {
        let mut back_off = BackOff::default();
        for _ in 0..7 {
            wrong(&mut back_off, 0);
            wrong(&mut back_off, 999);
        }
        // The waits were 1 s from 0.999 s on and went no further.
        assert_eq!([999, 1_000, 1_998].map(|now| wrong(&mut back_off, now)), [1, 1, 1]);
        assert_eq!([1_999, 2_000, 2_999, 3_998].map(|now| wrong(&mut back_off, now)), [2, 2, 1, 1]);
        assert_eq!(wrong(&mut back_off, 3_999), 4);
    }

    #[test]
    fn a_caller_begins_anew_after_a_right_secret_or_15_minutes() {
        let mut back_off = BackOff::default();
        let six = |back_off: &mut BackOff, now: u64| (0..6).map(|_| wrong(back_off, now)).sum::<u64>();
        assert_eq!(six(&mut back_off, 0), 1);
        back_off.right(caller());
        assert_eq!(six(&mut back_off, 0), 1, "the count began at zero");
        assert_eq!(wrong(&mut back_off, 15 * MINUTE - 1), 2);
        assert_eq!(six(&mut back_off, 30 * MINUTE), 1);
    }

    #[test]
    fn nobody_else_waits() {
        let mut back_off = BackOff::default();
        for _ in 0..50 {
            wrong(&mut back_off, 0);
        }
        for (id, source) in
            [("demo", "192.0.2.2"), ("other", "192.0.2.1"), ("demo1", "92.0.2.1"), ("", "demo192.0.2.1")]
        {
            assert_eq!(back_off.wrong(Caller::new(id, source), at(0)), None, "{id} at {source}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_ends_the_wait() {
        let mut back_off = BackOff::default();
        for _ in 0..6 {
            wrong(&mut back_off, 60 * MINUTE);
        }
        assert_eq!(wrong(&mut back_off, 0), 2);
    }

    #[test]
    fn the_callers_that_are_remembered_are_bounded() {
        let mut back_off = BackOff::default();
        for number in 0..3 * MAX_REMEMBERED {
            back_off.wrong(Caller::new(&number.to_string(), ""), at(0));
            assert!(back_off.callers.len() <= MAX_REMEMBERED);
        }
    }
}
