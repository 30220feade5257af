//! What a bucket in the table holds, as arithmetic on one number: for a rate the theoretical arrival time of the Generic
//! Cell Rate Algorithm (ITU-T I.371), for a day a count. Pure: times are microseconds since 1970 and come in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use registry::Rate;

/// A tenth of the limit is taken at once, so that ten calls cost less than one write.
const CHUNKS: u32 = 10;
/// Most calls of a day that are taken at once: an instance that ends loses what it holds, and a day does not refill.
const MAX_DAY_CHUNK: u32 = 20;
/// A `tat` that is so much later than this limit can make it was left by an earlier definition with a slower rate.
/// Otherwise it is the clock of another instance.
const CLOCK_SKEW: u64 = 10 * SECOND;

const SECOND: u64 = 1_000_000;
const DAY: u64 = 24 * 60 * 60 * SECOND;

/// One limit, as a definition states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many calls in a period, and so many at once.
    Rate {
        /// Calls in a period.
        count: u32,
        /// Calls that may be made at once, at least one.
        burst: u32,
        /// The period.
        period: u64,
    },
    /// So many calls in a day of UTC.
    Day {
        /// Calls in a day.
        max: u32,
        /// The day, counted from 1970-01-01.
        day: u64,
    },
}

/// A conditional update of a bucket's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// `tat` grows by `cost`, if it is from `from` to `to`.
    Advance {
        /// What the calls taken cost.
        cost: u64,
        /// Now.
        from: u64,
        /// The latest `tat` at which so many calls are there.
        to: u64,
    },
    /// `tat` becomes this, if there is none or it is before `now`: the bucket was full.
    Begin {
        /// What it becomes.
        tat: u64,
        /// Now.
        now: u64,
    },
    /// `tat` becomes this, if it is after `above`: an earlier definition left it.
    Lower {
        /// What it becomes.
        tat: u64,
        /// See above.
        above: u64,
    },
    /// `used` grows by `calls`, if there is none or it is at most `at_most`.
    Count {
        /// Calls taken.
        calls: u32,
        /// The greatest count that leaves so many.
        at_most: u32,
    },
}

/// How many calls a process wants of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Fewer are not worth a write: one, and more while calls are refused.
    pub least: u32,
    /// One at first, twice as many each time they are made before they end: an instance that gets one call does not take
    /// those of the others.
    pub most: u32,
}

impl Wanted {
    /// What the first call of a process wants.
    pub const FIRST: Wanted = Wanted { least: 1, most: 1 };
}

/// What became of an [`Update`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done; the number is now this.
    Done(u64),
    /// Its condition did not hold; the number is this, if there is one.
    Refused(Option<u64>),
}

impl Limit {
    /// A rate with a burst, or with its default burst.
    pub fn rate(rate: Rate, burst: Option<u32>) -> Limit {
        Limit::Rate {
            count: rate.count.max(1),
            burst: burst.unwrap_or_else(|| rate.default_burst()).max(1),
            period: micros(rate.period.duration()),
        }
    }

    /// So many calls on the day of `now`.
    pub fn day(max: u32, now: u64) -> Limit {
        Limit::Day { max, day: now / DAY }
    }

    /// Most calls that are taken from the table at once.
    pub fn chunk(self) -> u32 {
        match self {
            Limit::Rate { count, burst, .. } => (count / CHUNKS).max(1).min(burst),
            Limit::Day { max, .. } => (max / CHUNKS).clamp(1, MAX_DAY_CHUNK),
        }
    }

    /// Calls that are worth a write when more is asked for than there is. Half a burst, so that a bucket does not run
    /// over while it is waited for.
    pub fn useful(self) -> u32 {
        match self {
            Limit::Rate { burst, .. } => self.chunk().min(burst.div_ceil(2)),
            Limit::Day { .. } => 1,
        }
    }

    /// Calls that are there, when the number was `seen`.
    pub fn available(self, seen: Option<u64>, now: u64) -> u32 {
        match self {
            Limit::Rate { count, period, burst } => {
                let tat = seen.unwrap_or(0).max(now);
                let slack = u128::from((now + self.capacity()).saturating_sub(tat));
                let calls = slack * u128::from(count) / u128::from(period);
                u32::try_from(calls).unwrap_or(u32::MAX).min(burst)
            }
            Limit::Day { max, .. } => u32::try_from(seen.unwrap_or(0)).map_or(0, |used| max.saturating_sub(used)),
        }
    }

    /// When so many calls are there, if nobody takes any.
    pub fn when(self, seen: Option<u64>, calls: u32) -> u64 {
        match self {
            Limit::Rate { .. } => (seen.unwrap_or(0) + self.cost(calls)).saturating_sub(self.capacity()),
            Limit::Day { .. } if self.available(seen, 0) >= calls => 0,
            Limit::Day { day, .. } => (day + 1) * DAY,
        }
    }

    /// When calls that are taken at `now` end unless they are made.
    pub fn end(self, now: u64) -> u64 {
        match self {
            Limit::Rate { period, .. } => now + period,
            Limit::Day { day, .. } => (day + 1) * DAY,
        }
    }

    /// How long a bucket can be without a call at most.
    pub fn longest_wait(self) -> u64 {
        match self {
            Limit::Rate { .. } => self.capacity() + CLOCK_SKEW,
            Limit::Day { .. } => DAY,
        }
    }

    /// When the table may forget the bucket, in seconds since 1970.
    pub fn forgotten_at(self, now: u64) -> u64 {
        (self.end(now) + self.longest_wait()) / SECOND + 60 * 60
    }

    /// How many calls to take, and by which update.
    fn take(self, seen: Option<u64>, wanted: Wanted, now: u64) -> (u32, Update) {
        let left = self.available(seen, now);
        match self {
            Limit::Rate { .. } => {
                let calls = wanted.most.max(wanted.least).min(self.chunk()).min(left).max(1);
                let cost = self.cost(calls);
                let update = match seen {
                    Some(tat) if tat >= now => {
                        Update::Advance { cost, from: now, to: (now + self.capacity()).saturating_sub(cost) }
                    }
                    _ => Update::Begin { tat: now + cost, now },
                };
                (calls, update)
            }
            // The last ones are shared.
            Limit::Day { max, .. } => {
                let calls = wanted.most.min(self.chunk()).min(left.div_ceil(2)).max(1);
                (calls, Update::Count { calls, at_most: max.saturating_sub(calls) })
            }
        }
    }

    /// The time that calls stand for, rounded up.
    fn cost(self, calls: u32) -> u64 {
        match self {
            Limit::Rate { count, period, .. } => {
                let time = (u128::from(calls) * u128::from(period)).div_ceil(u128::from(count));
                u64::try_from(time).unwrap_or(u64::MAX)
            }
            Limit::Day { .. } => u64::from(calls),
        }
    }

    /// How far `tat` may be ahead.
    fn capacity(self) -> u64 {
        match self {
            Limit::Rate { burst, .. } => self.cost(burst),
            Limit::Day { .. } => 0,
        }
    }
}

/// Taking calls from the table: at most three updates, each by what the one before has seen.
#[derive(Clone, Copy, Debug)]
pub struct Taking {
    limit: Limit,
    now: u64,
    wanted: Wanted,
    calls: u32,
    update: Update,
    left: u32,
}

/// How [`Taking`] goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// With the next update.
    Again,
    /// So many calls were taken; the number is this.
    Took(u32, u64),
    /// None were; the number is this, if there is one.
    None(Option<u64>),
}

impl Taking {
    const UPDATES: u32 = 3;

    /// Begins, with the number that was seen last.
    pub fn begin(limit: Limit, seen: Option<u64>, wanted: Wanted, now: u64) -> Taking {
        let (calls, update) = limit.take(seen, wanted, now);
        Taking { limit, now, wanted, calls, update, left: Taking::UPDATES }
    }

    /// The update to make.
    pub fn update(&self) -> Update {
        self.update
    }

    /// Takes the outcome of the update.
    pub fn answered(&mut self, outcome: Outcome) -> Step {
        let seen = match (outcome, self.update) {
            (Outcome::Done(number), Update::Lower { .. }) => return Step::None(Some(number)),
            (Outcome::Done(number), _) => return Step::Took(self.calls, number),
            (Outcome::Refused(seen), _) => seen,
        };
        self.left -= 1;
        if self.left == 0 {
            return Step::None(seen);
        }
        if let (Limit::Rate { .. }, Some(tat)) = (self.limit, seen) {
            let latest = self.now + self.limit.capacity();
            if tat > latest + CLOCK_SKEW {
                self.update = Update::Lower { tat: latest, above: latest + CLOCK_SKEW };
                return Step::Again;
            }
        }
        if self.limit.available(seen, self.now) < self.wanted.least {
            return Step::None(seen);
        }
        (self.calls, self.update) = self.limit.take(seen, self.wanted, self.now);
        Step::Again
    }
}

/// Microseconds since 1970.
pub fn micros_of(time: SystemTime) -> u64 {
    micros(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
