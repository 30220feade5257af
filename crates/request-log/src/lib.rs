//! The one line a function writes for a request, which is also its audit event.
//!
//! One JSON object on standard output, under 400 bytes: the stack reads its metrics from these fields
//! by metric filters, `northstar audit` its history. Nothing in it comes from a caller unchecked:
//! clients, servers and tools appear only when they are known, and no secret, token or record ever does.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// The request was answered as asked, or refused by a rule.
    Info,
    /// The caller made a mistake: a wrong secret, an expired token, a malformed body. Or somebody whom we ask failed.
    Warn,
    /// We failed: a table or a secret could not be read, a tool panicked.
    Error,
}

/// API Gateway's ids have 16 characters.
const MAX_REQUEST_ID: usize = 24;

/// What is known of one request when it has been answered.
#[derive(Debug, Serialize)]
pub struct RequestLine {
    #[serde(skip_serializing_if = "String::is_empty")]
    time: String,
    level: Level,
    /// Which function answered: `token`, `mcp` or `connect`.
    #[serde(rename = "fn")]
    pub function: &'static str,
    /// API Gateway's id of the request, which the caller sees as `apigw-requestid`.
    #[serde(rename = "id")]
    pub request_id: String,
    /// Client id, once the client is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// MCP server name, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Connection, once it is known whose consent this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// JSON-RPC method, when it is one that this server knows and no tool says more; `revoke` or `introspect` at the
    /// authorization server; `begin` or `callback` of a consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'static str>,
    /// Tool name, when the server has such a tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// MCP protocol revision of the request.
    #[serde(rename = "rev", skip_serializing_if = "Option::is_none")]
    pub revision: Option<&'static str>,
    /// HTTP status of the answer.
    pub status: u16,
    /// `ok`, or the stable code of what went wrong (`docs/errors.md`).
    pub outcome: &'static str,
    /// Milliseconds spent on checking the token, or the client's secret.
    pub verify_ms: Milliseconds,
    /// Milliseconds spent waiting for tables and secrets.
    pub table_ms: Milliseconds,
    /// Milliseconds from the event's arrival to the answer.
    pub total_ms: Milliseconds,
    /// Whether this was the first request of the process; left out when it was not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cold: bool,
    /// Arguments of the tool, masked, for a server that wants them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// Answer of the tool, masked, for a server that wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<Value>,
    /// API requests that a Salesforce org has counted in the last 24 hours, and how many it allows.
    #[serde(rename = "sf_api", skip_serializing_if = "Option::is_none")]
    pub api_usage: Option<[u64; 2]>,
    /// The server wants no line about what went well.
    #[serde(skip)]
    pub quiet: bool,
}

impl RequestLine {
    /// A line about a request to `function`, to be filled while the request is served.
    pub fn new(function: &'static str, request_id: &str, cold: bool) -> Self {
        RequestLine {
            time: String::new(),
            level: Level::Info,
            function,
            request_id: request_id.chars().take(MAX_REQUEST_ID).collect(),
            client: None,
            server: None,
            connection: None,
            method: None,
            tool: None,
            revision: None,
            status: 0,
            outcome: "ok",
            verify_ms: Milliseconds::default(),
            table_ms: Milliseconds::default(),
            total_ms: Milliseconds::default(),
            cold,
            arguments: None,
            results: None,
            api_usage: None,
            quiet: false,
        }
    }

    /// Writes the line, dated `now`. A line that cannot be written is lost: no request fails for its log.
    pub fn write(mut self, now: SystemTime) {
        if self.quiet && self.outcome == "ok" && self.status < 400 {
            return;
        }
        self.time = timestamp(now);
        self.method = self.method.filter(|_| self.tool.is_none());
        self.level = match (self.status, self.outcome) {
            (500.., code) if is_of_others(code) => Level::Warn,
            (500.., _) | (_, "table_unavailable" | "tool_panicked" | "deadline_exceeded") => Level::Error,
            (400.., _) => Level::Warn,
            _ => Level::Info,
        };
        print_line(&self);
    }
}

/// Whether a code is trouble of somebody whom we ask, or of what an administrator set up there: another version of ours would
/// have it too, so that it must not undo a deployment.
fn is_of_others(code: &str) -> bool {
    const NOT_READ_BY_US: &str = "upstream_unread";
    code.starts_with("upstream_") && code != NOT_READ_BY_US
        || matches!(
            code,
            "authorization_server_unavailable"
                | "connection_misconfigured"
                | "connection_needs_attention"
                | "connection_not_connected"
                | "consent_server_unavailable"
        )
}

/// Writes a line about trouble that belongs to no single answer: a refresh that failed, a bad configuration. At ERROR, but
/// for the trouble of others.
///
/// `code` is stable (`docs/errors.md`); `message` is ours, never a caller's text.
pub fn problem(function: &'static str, code: &'static str, message: &str, now: SystemTime) {
    #[derive(Serialize)]
    struct Problem<'a> {
        time: String,
        level: Level,
        #[serde(rename = "fn")]
        function: &'a str,
        outcome: &'a str,
        message: &'a str,
    }
    let level = if is_of_others(code) { Level::Warn } else { Level::Error };
    print_line(&Problem { time: timestamp(now), level, function, outcome: code, message });
}

/// Writes the line of a command that changed something, or was refused or failed to: the audit event of an operator.
///
/// `action` is what was to be done, for example `client.disable`; `client` the id of a client that exists or existed,
/// never a caller's text; `outcome` is `ok` or a stable code (`docs/errors.md`).
pub fn command(action: &'static str, client: Option<&str>, outcome: &'static str, now: SystemTime) {
    write_command(action, Subject { client, ..Subject::default() }, outcome, now);
}

/// The same of a command that changed an MCP server; `server` is the name of one that exists or existed.
pub fn server_command(action: &'static str, server: &str, outcome: &'static str, now: SystemTime) {
    write_command(action, Subject { server: Some(server), ..Subject::default() }, outcome, now);
}

/// The same of a command that changed an org; `org` is the name of one that exists or existed.
pub fn org_command(action: &'static str, org: &str, outcome: &'static str, now: SystemTime) {
    write_command(action, Subject { org: Some(org), ..Subject::default() }, outcome, now);
}

/// The same of a command that changed an upstream; `upstream` is the name of one that exists or existed.
pub fn upstream_command(action: &'static str, upstream: &str, outcome: &'static str, now: SystemTime) {
    write_command(action, Subject { upstream: Some(upstream), ..Subject::default() }, outcome, now);
}

/// What a command changed.
#[derive(Default, Serialize)]
struct Subject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
}

fn write_command(action: &'static str, subject: Subject<'_>, outcome: &'static str, now: SystemTime) {
    #[derive(Serialize)]
    struct Command<'a> {
        time: String,
        level: Level,
        #[serde(rename = "fn")]
        function: &'a str,
        action: &'a str,
        #[serde(flatten)]
        subject: Subject<'a>,
        outcome: &'a str,
    }
    let level = match outcome {
        "ok" => Level::Info,
        "command_failed" => Level::Error,
        _ => Level::Warn,
    };
    print_line(&Command { time: timestamp(now), level, function: "cli", action, subject, outcome });
}

/// Sends the lines of this process elsewhere than to standard output; the first call counts.
pub fn write_to(destination: impl Write + Send + 'static) {
    let _ = DESTINATION.set(Mutex::new(Box::new(destination)));
}

static DESTINATION: OnceLock<Mutex<Box<dyn Write + Send>>> = OnceLock::new();

fn print_line(line: &impl Serialize) {
    let Ok(mut bytes) = serde_json::to_vec(line) else { return };
    bytes.push(b'\n');
    // One write a line, so that lines of parallel requests never mix.
    let _ = match DESTINATION.get() {
        Some(destination) => destination.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes),
        None => std::io::stdout().lock().write_all(&bytes),
    };
}

/// A duration in milliseconds, with two decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Milliseconds(f64);

impl From<Duration> for Milliseconds {
    fn from(duration: Duration) -> Self {
        Milliseconds((duration.as_secs_f64() * 100_000.0).round() / 100.0)
    }
}

/// Where a request's time goes; shared by all who work on it.
#[derive(Debug, Default)]
pub struct Timings {
    verify_us: AtomicU64,
    table_us: AtomicU64,
}

impl Timings {
    /// Runs `work` and counts its time as spent on checking the caller.
    pub fn verify<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        add(&self.verify_us, start);
        done
    }

    /// Awaits `work` and counts its time as spent on tables and secrets.
    pub async fn table<T>(&self, work: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let done = work.await;
        add(&self.table_us, start);
        done
    }

    /// The sums until now: on checking the caller, and on tables and secrets.
    pub fn so_far(&self) -> (Milliseconds, Milliseconds) {
        let sum = |micros: &AtomicU64| Duration::from_micros(micros.load(Ordering::Relaxed)).into();
        (sum(&self.verify_us), sum(&self.table_us))
    }

    /// Writes the sums into a line.
    pub fn fill(&self, line: &mut RequestLine) {
        (line.verify_ms, line.table_ms) = self.so_far();
    }
}

fn add(sum: &AtomicU64, start: Instant) {
    let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    sum.fetch_add(micros, Ordering::Relaxed);
}

/// RFC 3339 in UTC with milliseconds: `2026-11-21T04:05:06.789Z`.
pub fn timestamp(at: SystemTime) -> String {
    OffsetDateTime::from(at)
        .format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_line_stays_under_400_bytes() {
        let mut line = RequestLine::new("token", &"r".repeat(100), true);
        line.time = timestamp(SystemTime::UNIX_EPOCH);
        line.client = Some("c".repeat(22));
        line.server = Some("s".repeat(40));
        line.tool = Some("t".repeat(64));
        line.revision = Some("2026-07-28");
        line.status = 200;
        line.outcome = "unsupported_grant_type";
        line.verify_ms = Duration::from_micros(1_234_567).into();
        line.table_ms = Duration::from_micros(28_345_678).into();
        line.total_ms = Duration::from_micros(28_345_678).into();
        let length = serde_json::to_vec(&line).unwrap().len() + 1;
        assert!(length < 400, "{length} bytes");
    }

    #[test]
    fn trouble_of_others_is_no_error_of_ours() {
        for code in ["upstream_timeout", "upstream_tool_changed", "connection_needs_attention"] {
            assert!(is_of_others(code), "{code}");
        }
        for code in ["upstream_unread", "connection_unavailable", "connection_damaged", "table_unavailable"] {
            assert!(!is_of_others(code), "{code}");
        }
    }

    #[test]
    fn a_time_is_rfc_3339_with_milliseconds() {
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH + Duration::from_millis(1_789)), "1970-01-01T00:00:01.789Z");
    }
}
