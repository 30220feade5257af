//! Several processes over one bucket, in virtual time: the table is a number that conditional updates change.

use std::time::Duration;

use proptest::prelude::*;
use registry::Rate;

use crate::bucket::{Bucket, Decision};
use crate::limit::{Limit, Outcome, Step, Taking, Update};

const SECOND: u64 = 1_000_000;
/// When a simulation begins.
const START: u64 = 1_800_000_000 * SECOND;

/// Calls do not wait for the table longer than 300 ms; what they have asked may reach it later.
const PATIENCE: u64 = 5 * SECOND;

/// The item, and how often it was asked to change.
#[derive(Default)]
struct Table {
    number: Option<u64>,
    writes: u32,
}

impl Table {
    /// What DynamoDB does.
    fn update(&mut self, update: Update) -> Outcome {
        self.writes += 1;
        let next = match (update, self.number) {
            (Update::Advance { cost, from, to }, Some(tat)) if (from..=to).contains(&tat) => tat + cost,
            (Update::Begin { tat, .. }, None) => tat,
            (Update::Begin { tat, now }, Some(old)) if old < now => tat,
            (Update::Lower { tat, above }, Some(old)) if old > above => tat,
            (Update::Count { calls, .. }, None) => u64::from(calls),
            (Update::Count { calls, at_most }, Some(used)) if used <= u64::from(at_most) => used + u64::from(calls),
            _ => return Outcome::Refused(self.number),
        };
        self.number = Some(next);
        Outcome::Done(next)
    }
}

struct Process {
    bucket: Bucket,
    /// A call that waits for the table since a time.
    taking: Option<(Taking, u64)>,
}

impl Process {
    fn new(limit: Limit) -> Process {
        Process { bucket: Bucket::new(limit), taking: None }
    }

    /// A call comes, unless another one waits for the table. Whether it is admitted; `None`: it waits.
    fn call(&mut self, limit: Limit, now: u64) -> Option<bool> {
        match self.bucket.call(limit, now) {
            Decision::Admitted(_) => Some(true),
            Decision::Refused(_) => Some(false),
            Decision::Ask { seen, wanted } => {
                self.taking = Some((Taking::begin(limit, seen, wanted, now), now));
                None
            }
        }
    }

    /// The table answers one update. Whether the call that waits is admitted; `None`: it waits on.
    fn step(&mut self, limit: Limit, table: &mut Table) -> Option<bool> {
        let (taking, began) = self.taking.as_mut()?;
        let began = *began;
        match taking.answered(table.update(taking.update())) {
            Step::Again => return None,
            Step::Took(calls, number) => self.bucket.took(calls, number, began),
            Step::None(number) => self.bucket.found_none(number, began),
        }
        self.taking = None;
        Some(matches!(self.bucket.call(limit, began), Decision::Admitted(_)))
    }

    /// A call and all that follows from it.
    fn whole_call(&mut self, limit: Limit, table: &mut Table, now: u64) -> bool {
        let mut decided = self.call(limit, now);
        while decided.is_none() {
            decided = self.step(limit, table);
        }
        decided == Some(true)
    }
}

fn limit(rate: &str, burst: Option<u32>) -> Limit {
    Limit::rate(Rate::parse(rate).unwrap(), burst)
}

/// What `rate` and burst allow in a time, from the beginning.
fn allowed(limit: Limit, time: u64) -> u64 {
    match limit {
        Limit::Rate { count, burst, period } => {
            u64::from(burst) + u64::try_from(u128::from(time) * u128::from(count) / u128::from(period)).unwrap()
        }
        Limit::Day { max, .. } => max.into(),
    }
}

/// Accepted calls and writes, when `processes` get `offered` calls a second in turn, for so many seconds.
fn steady(limit: Limit, processes: usize, offered: f64, seconds: u64) -> (u64, u64, u32) {
    let mut table = Table::default();
    let mut all: Vec<Process> = (0..processes).map(|_| Process::new(limit)).collect();
    let (mut accepted, mut calls) = (0, 0);
    let between = Duration::from_secs_f64(1.0 / offered).as_micros() as u64;
    let mut time = 0;
    while time < seconds * SECOND {
        let process = &mut all[calls as usize % processes];
        accepted += u64::from(process.whole_call(limit, &mut table, START + time));
        calls += 1;
        time += between;
    }
    (calls, accepted, table.writes)
}

#[derive(Clone, Debug)]
enum Event {
    Call(usize),
    Step(usize),
    Ends(usize),
    GiveBack(usize),
    Passes(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let process = 0..4_usize;
    let event = prop_oneof![
        8 => process.clone().prop_map(Event::Call),
        8 => process.clone().prop_map(Event::Step),
        1 => process.clone().prop_map(Event::Ends),
        1 => process.prop_map(Event::GiveBack),
        2 => (0..2 * SECOND).prop_map(Event::Passes),
        1 => (0..100 * SECOND).prop_map(Event::Passes),
    ];
    proptest::collection::vec(event, 1..600)
}

fn limits() -> impl Strategy<Value = Limit> {
    let rate = (1..2_000_u32, 1..50_u32, prop_oneof![Just(1), Just(60), Just(3_600)])
        .prop_map(|(count, burst, seconds)| Limit::Rate { count, burst, period: seconds * SECOND });
    prop_oneof![4 => rate, 1 => (1..500_u32).prop_map(|max| Limit::day(max, START))]
}

proptest! {
    #[test]
    fn processes_together_never_exceed_the_limit(limit in limits(), events in events()) {
        let (mut table, mut now, mut accepted) = (Table::default(), START, 0_u64);
        let mut processes: Vec<Process> = (0..4).map(|_| Process::new(limit)).collect();
        for event in events {
            let admitted = match event {
                Event::Call(index) if processes[index].taking.is_none() => processes[index].call(limit, now),
                Event::Call(_) => None,
                Event::Step(index) => {
                    let process = &mut processes[index];
                    process.taking = process.taking.filter(|(_, began)| now - began < PATIENCE);
                    process.step(limit, &mut table)
                }
                Event::Ends(index) => {
                    processes[index] = Process::new(limit);
                    None
                }
                // A call that another limit refuses.
                Event::GiveBack(index) => {
                    if let Decision::Admitted(end) = processes[index].bucket.call(limit, now) {
                        processes[index].bucket.give_back(limit, end);
                    }
                    None
                }
                Event::Passes(time) => {
                    // A day's simulation stays within it.
                    now += if matches!(limit, Limit::Day { .. }) { time / 1_000 } else { time };
                    None
                }
            };
            accepted += u64::from(admitted == Some(true));
            prop_assert!(accepted <= allowed(limit, now - START), "{accepted} after {} us", now - START);
        }
    }

    #[test]
    fn what_is_there_can_be_taken_and_no_call_more(
        limit in limits(),
        ahead in 0..100 * SECOND,
    ) {
        let seen = match limit {
            Limit::Rate { .. } => START + ahead,
            Limit::Day { .. } => ahead / SECOND,
        };
        let left = limit.available(Some(seen), START);
        prop_assert!(left == 0 || limit.when(Some(seen), left) <= START);
        if let Limit::Rate { burst, .. } = limit && left < burst {
            prop_assert!(limit.when(Some(seen), left + 1) > START);
        }
    }
}

#[test]
fn a_client_at_ten_times_its_limit_gets_the_limit_for_few_writes() {
    for (rate, burst, seconds) in [
        ("600/min", Some(20), 60),
        ("600/min", None, 60),
        ("50/min", Some(20), 600),
        ("50/min", None, 600),
        ("100/s", None, 60),
    ] {
        let limit = limit(rate, burst);
        let goal = allowed(limit, seconds * SECOND);
        let offered = 10.0 * (goal - allowed(limit, 0)) as f64 / seconds as f64;
        for processes in [1, 2, 5] {
            let (calls, accepted, writes) = steady(limit, processes, offered, seconds);
            let seen = format!("{rate}, {burst:?}, {processes}: {accepted} of {goal}, {writes} writes, {calls} calls");
            assert!(accepted <= goal && accepted * 100 >= goal * 95, "{seen}");
            // Each process asks once for every useful chunk.
            assert!(u64::from(writes) * 10 < calls || processes > 2, "{seen}");
        }
    }
}

#[test]
fn a_client_within_its_limit_is_not_refused_for_what_processes_hold() {
    for processes in [1, 2, 5] {
        let (calls, accepted, _) = steady(limit("600/min", None), processes, 9.0, 60);
        assert!(accepted * 100 >= calls * 99, "{processes}: {accepted} of {calls}");
    }
}

#[test]
fn a_client_that_waits_as_it_is_told_is_admitted() {
    let limit = limit("50/min", None);
    let (mut table, mut process, mut now) = (Table::default(), Process::new(limit), START);
    for _ in 0..200 {
        if !process.whole_call(limit, &mut table, now) {
            let Decision::Refused(until) = process.bucket.call(limit, now) else { panic!("refused until when?") };
            assert!(until > now && until <= now + 6 * SECOND, "{}", until - now);
            now = until;
            assert!(process.whole_call(limit, &mut table, now));
        }
    }
}

#[test]
fn calls_that_were_taken_end_with_the_period() {
    let limit = limit("60/min", None);
    let (mut table, mut process) = (Table::default(), Process::new(limit));
    let mut writes = |process: &mut Process, seconds| {
        assert!(process.whole_call(limit, &mut table, START + seconds * SECOND));
        table.writes
    };
    // One, then two.
    assert_eq!([0, 1, 2].map(|seconds| writes(&mut process, seconds)), [1, 2, 2]);
    // Then four, of which two are made.
    assert_eq!([3, 62].map(|seconds| writes(&mut process, seconds)), [3, 3]);
    // One again.
    assert_eq!([63, 64].map(|seconds| writes(&mut process, seconds)), [4, 5]);
}

#[test]
fn one_call_at_each_of_many_processes_is_admitted_as_far_as_the_burst_goes() {
    let limit = limit("50/min", None);
    let mut table = Table::default();
    let admitted = (0..20).filter(|_| Process::new(limit).whole_call(limit, &mut table, START)).count();
    assert_eq!(admitted, 10);
}

#[test]
fn refusals_cost_no_writes() {
    let limit = limit("6/min", None);
    let (mut table, mut process) = (Table::default(), Process::new(limit));
    let admitted = (0..1_000).filter(|_| process.whole_call(limit, &mut table, START)).count();
    assert_eq!(admitted, 6);
    assert_eq!(table.writes, 6, "chunks of one, and it is known that there is no seventh");
}

#[test]
fn a_limit_that_is_raised_is_not_held_up_by_what_the_lower_one_left() {
    let (mut table, mut process, old) = (Table::default(), Process::new(limit("1/h", None)), limit("1/h", None));
    assert!(process.whole_call(old, &mut table, START));
    assert!(!process.whole_call(old, &mut table, START + SECOND));
    let new = limit("600/min", None);
    let mut now = START + 2 * SECOND;
    assert!(!process.whole_call(new, &mut table, now), "the bucket begins empty");
    now += SECOND;
    assert!(process.whole_call(new, &mut table, now));
    assert!(Process::new(new).whole_call(new, &mut table, now + SECOND));
}

#[test]
fn a_day_ends_at_midnight_and_its_last_calls_are_shared() {
    let limit = Limit::day(100, START);
    let (mut table, mut first, mut second) = (Table::default(), Process::new(limit), Process::new(limit));
    let mut admitted = 0;
    for index in 0..1_000 {
        let process = if index % 2 == 0 { &mut first } else { &mut second };
        admitted += u32::from(process.whole_call(limit, &mut table, START));
    }
    assert_eq!(admitted, 100);
    assert!(table.writes < 30, "{}", table.writes);
    let Decision::Refused(until) = first.bucket.call(limit, START) else { panic!("the day is over") };
    assert_eq!(until % (24 * 60 * 60 * SECOND), 0);
    assert!(until > START && until - START <= 24 * 60 * 60 * SECOND);
    // The next day has an item of its own.
    let (next, mut table) = (Limit::day(100, until), Table::default());
    assert!(first.whole_call(next, &mut table, until));
}

#[test]
fn a_call_that_another_limit_refuses_is_given_back() {
    let limit = limit("6/min", None);
    let (mut table, mut process) = (Table::default(), Process::new(limit));
    for _ in 0..1_000 {
        assert!(process.whole_call(limit, &mut table, START));
        process.bucket.give_back(limit, limit.end(START));
    }
    assert_eq!(table.writes, 1);
}

#[test]
fn a_clock_that_is_set_back_holds_nobody_up() {
    let limit = limit("60/min", None);
    let mut process = Process::new(limit);
    let mut table = Table::default();
    while process.whole_call(limit, &mut table, START) {}
    // The table is another instance's with the right clock.
    let mut table = Table::default();
    assert!(process.whole_call(limit, &mut table, START - 3_600 * SECOND));
}
