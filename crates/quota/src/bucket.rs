//! The local part of a bucket: calls that were taken from the table and not made yet, and when to ask the table again.
//! Pure: times are microseconds since 1970 and come in.

use crate::limit::{Limit, Wanted};

/// What this process knows of one bucket.
#[derive(Debug)]
pub struct Bucket {
    limit: Limit,
    /// Calls that may be made without the table.
    calls: u32,
    /// When they end.
    end: u64,
    /// The number in the table when it was last seen.
    seen: Option<u64>,
    /// Before this there is nothing worth a write.
    ask_at: u64,
    wanted: Wanted,
    /// Whether a call was refused since the table was last asked.
    refused: bool,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may be made. The time tells the chunk that it is from, should it be given back.
    Admitted(u64),
    /// It may not, before this time.
    Refused(u64),
    /// The table has to be asked.
    Ask {
        /// The number that it had when it was last seen.
        seen: Option<u64>,
        /// How many calls are worth a write, and how many to take.
        wanted: Wanted,
    },
}

impl Bucket {
    /// A bucket of which nothing is known.
    pub fn new(limit: Limit) -> Bucket {
        Bucket { limit, calls: 0, end: 0, seen: None, ask_at: 0, wanted: Wanted::FIRST, refused: false }
    }

    /// Decides on a call. A limit that has changed since the last one begins anew.
    pub fn call(&mut self, limit: Limit, now: u64) -> Decision {
        if self.limit != limit {
            *self = Bucket::new(limit);
        }
        if self.holds(now) {
            self.calls -= 1;
            return Decision::Admitted(self.end);
        }
        self.calls = 0;
        if now >= self.end {
            self.wanted.most = 1;
        }
        if self.waits(now) {
            self.refused = true;
            return Decision::Refused(self.ask_at);
        }
        Decision::Ask { seen: self.seen, wanted: self.wanted }
    }

    /// Puts calls in that were taken from the table; `number` is what it says now.
    pub fn took(&mut self, calls: u32, number: u64, now: u64) {
        (self.calls, self.end) = (calls, self.limit.end(now));
        self.wanted.most = (self.wanted.most * 2).min(self.limit.chunk());
        self.asked(Some(number), now);
    }

    /// Notes that the table has none; `number` is what it says.
    pub fn found_none(&mut self, number: Option<u64>, now: u64) {
        self.asked(number, now);
    }

    /// Takes back a call that was admitted and not made.
    pub fn give_back(&mut self, limit: Limit, end: u64) {
        if self.limit == limit && self.end == end {
            self.calls += 1;
        }
    }

    /// Whether nothing is lost by forgetting it.
    pub fn is_idle(&self, now: u64) -> bool {
        !self.holds(now) && !self.waits(now)
    }

    /// Calls that are refused make more calls worth waiting for, up to a useful chunk: who calls a little too often gets
    /// every call that there is, and who calls far too often costs few writes.
    fn asked(&mut self, number: Option<u64>, now: u64) {
        let least = self.wanted.least;
        self.wanted.least = if self.refused { (least * 2).min(self.limit.useful()) } else { least.div_ceil(2) };
        self.refused = false;
        self.seen = number;
        self.ask_at = self.limit.when(number, self.wanted.least).max(now);
    }

    /// An end beyond what is possible means that the clock was set back.
    fn holds(&self, now: u64) -> bool {
        self.calls > 0 && now < self.end && self.end <= self.limit.end(now)
    }

    fn waits(&self, now: u64) -> bool {
        now < self.ask_at && self.ask_at <= now + self.limit.longest_wait()
    }
}
