//! How often a client may call: token buckets in the `state` table, shared by all instances, with a local part in each
//! ([`bucket`]) that takes up to a tenth of the limit at once. One item a bucket, changed by conditional updates ([`limit`]).
//!
//! | limit | `pk` | `sk` |
//! |---|---|---|
//! | calls of a client | `QUOTA#<server>#<client>` | `CALLS` |
//! | what else a client asks | `QUOTA#<server>#<client>` | `DISCOVERY` |
//! | calls of a client to one tool | `QUOTA#<server>#<client>` | `TOOL#<tool>` |
//! | calls of a client in a day | `QUOTA#<server>#<client>` | `DAY#<yyyy-mm-dd>` |
//! | calls of all clients | `QUOTA#<server>` | `ALL` |
//! | tokens for a client | `QUOTA#TOKEN#<client>` | `TOKENS` |
//!
//! A rate is never exceeded, over all instances: in any time since a bucket was full there are at most burst + rate × time
//! calls. An instance that ends loses what it holds: up to a tenth of a rate, which refills, and up to 20 calls of a day.
//! When the table does not answer, calls go on without limits, and a line says so.

pub mod bucket;
pub mod limit;
mod table;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use registry::{Rate, Server};
use tokio::time::Instant;

use bucket::{Bucket, Decision};
use limit::{Limit, Step, Taking, micros_of};

/// How long a call waits for the table, for all of its limits together.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long a table that did not answer is left alone, in microseconds.
const PAUSE_MICROS: u64 = 5_000_000;
/// Buckets remembered at once, about 300 bytes each.
const MAX_BUCKETS: usize = 10_000;

/// Whose limit is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// The client's, on this server or at the token endpoint.
    Client,
    /// The server's, of all its clients together.
    Server,
    /// The client's for this day.
    Day,
    /// The client's for this tool.
    Tool,
}

/// A limit is used up. What it says is for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct Limited {
    /// Whose limit.
    pub kind: LimitKind,
    /// The limit as the definition has it: `50/min`, `5000 a day`.
    pub limit: String,
    /// When to try again: whole seconds, at least one.
    pub retry_after: Duration,
    /// The same as a time.
    pub resets_at: SystemTime,
}

impl Limited {
    /// Names the limit and when to try again.
    fn sentence(&self) -> String {
        let whose = match self.kind {
            LimitKind::Client | LimitKind::Day => "for this client",
            LimitKind::Server => "for all clients of this server together",
            LimitKind::Tool => "for this client and this tool",
        };
        let time = request_log::timestamp(self.resets_at).replace('T', " ");
        let time = time.split('.').next().unwrap_or_default();
        let seconds = self.retry_after.as_secs();
        format!("the limit of {} {whose} is used up; try again in {seconds} s, at {time} UTC", self.limit)
    }
}

/// Agentforce shakes hands anew for every use of a tool: `initialize`, `notifications/initialized`, `tools/list`.
const DISCOVERY_PER_CALL: u32 = 4;

/// Decides on calls. One for a process.
pub struct Quotas {
    function: &'static str,
    dynamodb: DynamoDb,
    table: String,
    buckets: Mutex<HashMap<Key, Arc<Shared>>>,
    /// Microseconds since 1970; before it the table is left alone.
    down_until: AtomicU64,
}

/// `pk` and `sk`, without the date of a day.
type Key = (String, &'static str, String);

struct Shared {
    bucket: Mutex<Bucket>,
    /// Held by the one who asks the table.
    asking: tokio::sync::Mutex<()>,
}

/// One limit that a call has to pass.
struct Check {
    kind: LimitKind,
    name: String,
    key: Key,
    limit: Limit,
}

/// A call that one limit has admitted.
struct Token {
    shared: Arc<Shared>,
    limit: Limit,
    end: u64,
}

impl Quotas {
    /// Buckets in `table`, the `state` table; `function` is named in lines.
    pub fn new(function: &'static str, dynamodb: DynamoDb, table: impl Into<String>) -> Quotas {
        let (buckets, down_until) = (Mutex::default(), AtomicU64::new(0));
        Quotas { function, dynamodb, table: table.into(), buckets, down_until }
    }

    /// Admits a call of a client to a tool of a server, by every limit of the definition or by none.
    ///
    /// # Errors
    /// [`Limited`]: nothing has been counted.
    pub async fn admit_call(&self, server: &Server, client: &str, tool: &str, now: SystemTime) -> Result<(), Limited> {
        let limits = &server.limits;
        if limits.is_empty() {
            return Ok(());
        }
        let pk = || format!("QUOTA#{}#{client}", server.name);
        let mut checks = Vec::with_capacity(4);
        if let Some(rate) = limits.per_tool.get(tool) {
            checks.push(Check::rate(LimitKind::Tool, (pk(), "TOOL#", tool.to_owned()), *rate, None));
        }
        if let Some(rate) = limits.per_client {
            checks.push(Check::rate(LimitKind::Client, (pk(), "CALLS", String::new()), rate, limits.burst));
        }
        if let Some(max) = limits.per_day {
            let limit = Limit::day(max, micros_of(now));
            let name = format!("{max} calls a day");
            checks.push(Check { kind: LimitKind::Day, name, key: (pk(), "DAY#", String::new()), limit });
        }
        if let Some(rate) = limits.per_server {
            let key = (format!("QUOTA#{}", server.name), "ALL", String::new());
            checks.push(Check::rate(LimitKind::Server, key, rate, None));
        }
        Box::pin(self.admit(checks, now)).await
    }

    /// Admits what else a client asks of a server: `tools/list` and all that calls no tool.
    ///
    /// # Errors
    /// [`Limited`]: nothing has been counted.
    pub async fn admit_discovery(&self, server: &Server, client: &str, now: SystemTime) -> Result<(), Limited> {
        let Some(rate) = server.limits.per_client else { return Ok(()) };
        let burst = server.limits.burst.unwrap_or_else(|| rate.default_burst()).saturating_mul(DISCOVERY_PER_CALL);
        let rate = Rate { count: rate.count.saturating_mul(DISCOVERY_PER_CALL), ..rate };
        let key = (format!("QUOTA#{}#{client}", server.name), "DISCOVERY", String::new());
        let check = Check::rate(LimitKind::Client, key, rate, Some(burst));
        Box::pin(self.admit(vec![check], now)).await
    }

    /// Admits a request of a client for a token.
    ///
    /// # Errors
    /// [`Limited`]: nothing has been counted.
    pub async fn admit_token(&self, client: &str, rate: Option<Rate>, now: SystemTime) -> Result<(), Limited> {
        let Some(rate) = rate else { return Ok(()) };
        let key = (format!("QUOTA#TOKEN#{client}"), "TOKENS", String::new());
        Box::pin(self.admit(vec![Check::rate(LimitKind::Client, key, rate, None)], now)).await
    }

    async fn admit(&self, checks: Vec<Check>, now: SystemTime) -> Result<(), Limited> {
        let deadline = Instant::now() + PATIENCE;
        let mut tokens = Vec::with_capacity(checks.len());
        for check in checks {
            match self.take(&check, deadline, micros_of(now)).await {
                Ok(token) => tokens.extend(token),
                Err(until) => {
                    tokens.into_iter().for_each(Token::give_back);
                    return Err(check.limited(until, now));
                }
            }
        }
        Ok(())
    }

    /// `None`: the table does not answer, and the call goes on. As an error: when to try again.
    async fn take(&self, check: &Check, deadline: Instant, now: u64) -> Result<Option<Token>, u64> {
        let shared = self.shared(&check.key, check.limit, now);
        match shared.call(check.limit, now) {
            Decision::Admitted(end) => return Ok(Some(shared.token(check.limit, end))),
            Decision::Refused(until) => return Err(until),
            Decision::Ask { .. } if self.is_down(now) => return Ok(None),
            Decision::Ask { .. } => {}
        }
        let asking = async {
            let _asking = shared.asking.lock().await;
            match shared.call(check.limit, now) {
                Decision::Ask { seen, wanted } => {
                    let taking = Taking::begin(check.limit, seen, wanted, now);
                    self.ask(&shared, check, taking, now).await
                }
                decided => Ok(decided),
            }
        };
        match tokio::time::timeout_at(deadline, asking).await {
            Ok(Ok(Decision::Admitted(end))) => Ok(Some(shared.token(check.limit, end))),
            Ok(Ok(Decision::Refused(until))) => Err(until),
            // Others have spent what was taken.
            Ok(Ok(Decision::Ask { .. })) => Err(now),
            Ok(Err(error)) => Ok(self.unavailable(error.code().unwrap_or("no connection"), now)),
            Err(_) => Ok(self.unavailable("no answer in time", now)),
        }
    }

    /// Takes calls from the table, and decides again.
    async fn ask(
        &self,
        shared: &Shared,
        check: &Check,
        mut taking: Taking,
        now: u64,
    ) -> Result<Decision, Box<aws_sdk_dynamodb::Error>> {
        let (limit, forgotten_at) = (check.limit, check.limit.forgotten_at(now));
        let (pk, sk) = check.item_key(now);
        loop {
            let outcome = table::update(&self.dynamodb, &self.table, (&pk, &sk), taking.update(), forgotten_at).await?;
            match taking.answered(outcome) {
                Step::Again => continue,
                Step::Took(calls, number) => shared.bucket().took(calls, number, now),
                Step::None(number) => shared.bucket().found_none(number, now),
            }
            return Ok(shared.call(limit, now));
        }
    }

    fn shared(&self, key: &Key, limit: Limit, now: u64) -> Arc<Shared> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = buckets.get(key) {
            return shared.clone();
        }
        if buckets.len() >= MAX_BUCKETS {
            buckets.retain(|_, shared| !shared.bucket().is_idle(now));
            if buckets.len() >= MAX_BUCKETS / 2 {
                buckets.clear();
            }
        }
        let shared = Arc::new(Shared { bucket: Mutex::new(Bucket::new(limit)), asking: tokio::sync::Mutex::default() });
        buckets.insert(key.clone(), shared.clone());
        shared
    }

    fn is_down(&self, now: u64) -> bool {
        let until = self.down_until.load(Ordering::Relaxed);
        // A time further away means that the clock was set back.
        now < until && until <= now + PAUSE_MICROS
    }

    fn unavailable(&self, why: &str, now: u64) -> Option<Token> {
        if !self.is_down(now) {
            self.down_until.store(now + PAUSE_MICROS, Ordering::Relaxed);
            let message = format!("state table: {why}; calls go on without limits");
            request_log::problem(self.function, "limiter_unavailable", &message, time_of(now));
        }
        None
    }
}

impl Check {
    fn rate(kind: LimitKind, key: Key, rate: Rate, burst: Option<u32>) -> Check {
        Check { kind, name: rate.to_string(), key, limit: Limit::rate(rate, burst) }
    }

    /// `pk` and `sk` of the item.
    fn item_key(&self, now: u64) -> (String, String) {
        let (pk, kind, rest) = &self.key;
        let date = match self.limit {
            Limit::Day { .. } => request_log::timestamp(time_of(now)).chars().take(10).collect(),
            Limit::Rate { .. } => String::new(),
        };
        (pk.clone(), format!("{kind}{rest}{date}"))
    }

    fn limited(self, until: u64, now: SystemTime) -> Limited {
        let wait = until.saturating_sub(micros_of(now)).div_ceil(1_000_000).max(1);
        let retry_after = Duration::from_secs(wait);
        Limited { kind: self.kind, limit: self.name, retry_after, resets_at: now + retry_after }
    }
}

impl Token {
    fn give_back(self) {
        self.shared.bucket().give_back(self.limit, self.end);
    }
}

impl Shared {
    fn call(&self, limit: Limit, now: u64) -> Decision {
        self.bucket().call(limit, now)
    }

    fn token(self: &Arc<Shared>, limit: Limit, end: u64) -> Token {
        Token { shared: self.clone(), limit, end }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn time_of(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros)
}

#[cfg(test)]
mod simulation;
