//! `northstar audit explain`: one request, in words.

use std::time::{Duration, SystemTime};

use clap::Args;
use local::Home;
use registry::{ClientId, Registry};
use request_log::timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::output::{self, Failure};
use crate::place::Place;
use crate::stack::Stack;
use crate::values::{self, show_duration};

use super::cloud_watch::LogGroups;
use super::files::LogFiles;
use super::{ago, errors_page};

/// How far back CloudWatch Logs is searched, in seconds: it reads every line since then.
const DEFAULT_SINCE: u64 = 24 * 60 * 60;
/// How far from a request a line about trouble may be, for clocks and for what is written after the answer.
const MOMENT: Duration = Duration::from_millis(100);

/// How far the time that CloudWatch Logs gives a line may be from the time in it.
const STAMPED: Duration = Duration::from_secs(10);

/// See the fields' help.
#[derive(Args)]
pub struct Options {
    /// Id of the request: `apigw-requestid` in the headers of its answer, `id` in its line
    #[arg(value_name = "REQUEST_ID", value_parser = request_id, allow_hyphen_values = true)]
    id: String,
    /// How far to look back in CloudWatch Logs: 1h, 1d, 30d; 1d unless given
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    since: Option<u64>,
    /// Log group in CloudWatch Logs, with the credentials and the region of the AWS environment; may be given more than
    /// once
    #[arg(long = "log-group", value_name = "NAME")]
    log_groups: Vec<String>,
}

/// What API Gateway makes ids of; it needs no quoting in a filter pattern.
fn request_id(text: &str) -> Result<String, &'static str> {
    let valid = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=+/".contains(&byte));
    valid.then(|| text.to_owned()).ok_or("an id is like eY4bAhf7zCjanVg=")
}

/// What is read of a request's line.
#[derive(Deserialize)]
struct RequestLine {
    time: String,
    level: String,
    #[serde(rename = "fn")]
    function: String,
    id: String,
    outcome: String,
    status: u16,
    total_ms: f64,
    client: Option<String>,
    server: Option<String>,
    tool: Option<String>,
    method: Option<String>,
    rev: Option<String>,
    verify_ms: Option<f64>,
    table_ms: Option<f64>,
    limit_ms: Option<f64>,
    #[serde(default)]
    cold: bool,
    contract: Option<Value>,
    #[serde(alias = "args")]
    arguments: Option<Value>,
    results: Option<Value>,
}

/// A line about trouble, which names no request.
#[derive(Deserialize)]
struct ProblemLine {
    time: String,
    #[serde(rename = "fn")]
    function: String,
    outcome: String,
    message: String,
}

/// One request, as it is told.
#[derive(Serialize)]
struct Explanation {
    time: String,
    function: String,
    level: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Caller>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract: Option<Value>,
    /// What was asked.
    asked: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Value>,
    status: u16,
    outcome: String,
    /// What became of it.
    verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'static str>,
    time_split: TimeSplit,
    cold_start: bool,
    problems: Vec<Problem>,
}

/// Who asked.
#[derive(Serialize)]
struct Caller {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whether there is still such a client; unknown where the registry cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    registered: Option<bool>,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct TimeSplit {
    total_ms: f64,
    verify_ms: f64,
    table_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_ms: Option<f64>,
    rest_ms: f64,
}

#[derive(Serialize)]
struct Problem {
    time: String,
    outcome: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'static str>,
}

/// Finds the request and tells it.
pub async fn run(place: &Place, json: bool, options: Options) -> Result<(), Failure> {
    let Options { id, since, log_groups } = options;
    let since = since.unwrap_or(DEFAULT_SINCE);
    let (lines, registry, unknown) = match place {
        Place::Home(home) if log_groups.is_empty() => (Lines::Home(home), None, unknown_at_home(home)),
        Place::Stack(name) if log_groups.is_empty() => {
            let stack = Stack::find(name).await?;
            let lines = Lines::groups(&stack.log_groups, since).await?;
            (lines, Some(stack.open().registry), unknown_in_log_groups(since))
        }
        _ => (Lines::groups(&log_groups, since).await?, None, unknown_in_log_groups(since)),
    };
    let found = lines.of_request(&id).await?;
    if found.is_empty() {
        return Err(Failure::Message(format!("there is no line of request {id} {unknown}")));
    }
    let names = Names::open(place, &lines, registry).await;
    let mut explanations = Vec::new();
    for line in found {
        let problems = lines.of_trouble(&line).await?;
        let caller = match &line.client {
            Some(client) => Some(names.of(client).await),
            None => None,
        };
        explanations.push(explain(line, caller, problems));
    }
    if json {
        return output::json(&json!({ "request_id": id, "requests": explanations }));
    }
    explanations.iter().try_for_each(|explanation| print(&id, explanation))
}

const WHERE_IDS_ARE: &str = "An id is in the header apigw-requestid of every answer, and in the field id of every line (northstar audit tail --json).";

fn unknown_at_home(home: &Home) -> String {
    let home = home.path().display();
    format!("in {home}. {WHERE_IDS_ARE} A local run keeps its last 32 to 64 MB of lines.")
}

fn unknown_in_log_groups(since: u64) -> String {
    let since = show_duration(since);
    format!(
        "of the last {since}. {WHERE_IDS_ARE} Lines come some seconds after the answer and are kept for the LogRetentionDays of the stack, 90 days unless it says otherwise: look further back with --since 30d."
    )
}

/// Where lines are.
enum Lines<'a> {
    Home(&'a Home),
    Groups { groups: LogGroups, since: SystemTime },
}

impl Lines<'_> {
    async fn groups(names: &[String], since: u64) -> Result<Lines<'static>, Failure> {
        let groups = LogGroups::new(names, String::new()).await?;
        Ok(Lines::Groups { groups, since: ago(since) })
    }

    /// The lines of a request, the oldest first.
    async fn of_request(&self, id: &str) -> Result<Vec<RequestLine>, Failure> {
        let read = |text: &str| serde_json::from_str(text).ok().filter(|line: &RequestLine| line.id == id);
        match self {
            Lines::Home(home) => in_files(home, read),
            Lines::Groups { groups, since } => {
                let pattern = format!("{{ ($.id = \"{id}\") }}");
                Ok(groups
                    .between(&pattern, *since, SystemTime::now())
                    .await?
                    .iter()
                    .filter_map(|line| read(line))
                    .collect())
            }
        }
    }

    /// The lines about trouble that a function wrote while it served a request.
    async fn of_trouble(&self, request: &RequestLine) -> Result<Vec<ProblemLine>, Failure> {
        let Some((from, to)) = while_served(request) else { return Ok(Vec::new()) };
        let (first, last) = (timestamp(from), timestamp(to));
        let read = |text: &str| {
            let line: ProblemLine = serde_json::from_str(text).ok()?;
            (line.function == request.function && (&first..=&last).contains(&&line.time)).then_some(line)
        };
        match self {
            Lines::Home(home) => in_files(home, read),
            Lines::Groups { groups, .. } => {
                let pattern = "{ $.message = \"*\" }";
                let (from, to) = (from.checked_sub(STAMPED).unwrap_or(from), to.checked_add(STAMPED).unwrap_or(to));
                Ok(groups.between(pattern, from, to).await?.iter().filter_map(|line| read(line)).collect())
            }
        }
    }
}

fn in_files<T>(home: &Home, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Failure> {
    let log = home.request_log();
    let mut found = Vec::new();
    let done = LogFiles::new(log.clone()).read_on(|line| found.extend(read(line)));
    done.map_err(|error| Failure::Message(format!("{}: {error}", log.current().display())))?;
    Ok(found)
}

/// A line is written when its request has been answered.
fn while_served(line: &RequestLine) -> Option<(SystemTime, SystemTime)> {
    let end = SystemTime::from(OffsetDateTime::parse(&line.time, &Rfc3339).ok()?);
    let took = Duration::try_from_secs_f64(line.total_ms / 1000.0).ok()?;
    Some((end.checked_sub(took)?.checked_sub(MOMENT)?, end.checked_add(MOMENT)?))
}

/// Names of clients, as far as the registry can be read.
struct Names {
    registry: Option<Registry>,
    /// Its tables are there as long as this.
    _open: Option<crate::place::Open>,
}

impl Names {
    async fn open(place: &Place, lines: &Lines<'_>, registry: Option<Registry>) -> Names {
        // A home is not made for this.
        let home = matches!((place, lines), (Place::Home(home), Lines::Home(_)) if home.file("northstar.db").exists());
        let open = if home { place.open().await.ok() } else { None };
        let registry = registry.or_else(|| open.as_ref().map(|open| open.registry.clone()));
        Names { registry, _open: open }
    }

    async fn of(&self, client: &str) -> Caller {
        let found = match (&self.registry, ClientId::parse(client)) {
            (Some(registry), Some(id)) => registry.client(&id).await.ok(),
            _ => None,
        };
        let registered = found.as_ref().map(Option::is_some);
        Caller { id: client.to_owned(), name: found.flatten().map(|client| client.name), registered }
    }
}

fn explain(line: RequestLine, client: Option<Caller>, problems: Vec<ProblemLine>) -> Explanation {
    let row = |code: &str| errors_page::row(code, &line.function, line.tool.is_some());
    let problems = problems.into_iter().map(|problem| {
        let row = row(&problem.outcome);
        let ProblemLine { time, outcome, message, .. } = problem;
        Problem { time, outcome, message, cause: row.map(|row| row.cause), fix: row.map(|row| row.fix) }
    });
    let (problems, row) = (problems.collect(), row(&line.outcome));
    Explanation {
        asked: asked(&line),
        verdict: verdict(&line),
        time_split: time_split(&line),
        time: line.time,
        function: line.function,
        level: line.level,
        client,
        server: line.server,
        tool: line.tool,
        method: line.method,
        revision: line.rev,
        contract: line.contract,
        arguments: line.arguments,
        results: line.results,
        status: line.status,
        outcome: line.outcome,
        cause: row.map(|row| row.cause),
        fix: row.map(|row| row.fix),
        cold_start: line.cold,
        problems,
    }
}

/// What was asked, as the end of "the client …".
fn asked(line: &RequestLine) -> String {
    let RequestLine { function, client, server, tool, method, rev, .. } = line;
    let mcp_server =
        server.as_ref().map_or_else(|| "an MCP server".to_owned(), |name| format!("the MCP server {name}"));
    let asked = match (function.as_str(), tool, method.as_deref()) {
        ("token", _, Some("revoke")) => "wanted to revoke a token".to_owned(),
        ("token", _, Some("introspect")) => "wanted to know whether a token is valid".to_owned(),
        ("token", ..) if server.is_some() => format!("wanted an access token for {mcp_server}"),
        ("token", ..) if client.is_some() => "wanted an access token".to_owned(),
        ("token", ..) => "asked the authorization server: for a token, the metadata or the public keys".to_owned(),
        ("mcp", Some(tool), _) => format!("called the tool {tool} of {mcp_server}"),
        ("mcp", _, Some("initialize")) => format!("shook hands with {mcp_server}"),
        ("mcp", _, Some("server/discover")) => format!("wanted to know what {mcp_server} can do"),
        ("mcp", _, Some("tools/list")) => format!("wanted the list of the tools of {mcp_server}"),
        ("mcp", _, Some("tools/call")) => format!("called a tool that {mcp_server} does not have"),
        ("mcp", _, Some(method)) => format!("sent the message {method} to {mcp_server}"),
        ("mcp", ..) if server.is_some() => format!("sent a request to {mcp_server}"),
        ("mcp", ..) => "asked for metadata, for the status, or for a server that does not exist".to_owned(),
        ("connect", ..) => "opened the link of a consent, or came back from one".to_owned(),
        ("rotate", ..) => "wanted a secret rotated (Secrets Manager)".to_owned(),
        (function, ..) => format!("asked the function {function}"),
    };
    asked + &rev.as_ref().map(|rev| format!(", in protocol revision {rev}")).unwrap_or_default()
}

/// What became of it.
fn verdict(line: &RequestLine) -> String {
    let RequestLine { outcome, status, .. } = line;
    let of_tool = line.tool.is_some();
    match (outcome.as_str(), status) {
        ("ok", 200..300) if of_tool => "the tool answered".to_owned(),
        ("ok", 200..300) => format!("answered, HTTP {status}"),
        ("ok", _) => format!("HTTP {status}"),
        _ if line.level == "ERROR" => format!("Northstar failed: {outcome}, HTTP {status}"),
        (_, 400..) => format!("refused: {outcome}, HTTP {status}"),
        _ if of_tool => format!("the tool had no answer, and told the agent why: {outcome}"),
        _ => format!("answered with an error: {outcome}, HTTP {status}"),
    }
}

fn time_split(line: &RequestLine) -> TimeSplit {
    let (total_ms, limit_ms) = (line.total_ms, line.limit_ms);
    let (verify_ms, table_ms) = (line.verify_ms.unwrap_or_default(), line.table_ms.unwrap_or_default());
    // Tables are waited for side by side, so that the parts may be more than the whole.
    let rest = (total_ms - verify_ms - table_ms - limit_ms.unwrap_or_default()).max(0.0);
    TimeSplit { total_ms, verify_ms, table_ms, limit_ms, rest_ms: (rest * 100.0).round() / 100.0 }
}

fn print(id: &str, explanation: &Explanation) -> Result<(), Failure> {
    lines(id, explanation).iter().try_for_each(|(label, text)| {
        // A terminal obeys control characters.
        output::line(format!("{label:9}  {text}").replace(char::is_control, "?").trim_end())
    })
}

/// Labels and texts, a line each.
fn lines(id: &str, explanation: &Explanation) -> Vec<(&'static str, String)> {
    let mut lines = vec![("request", id.to_owned())];
    lines.push(("who", who(explanation)));
    lines.push(("when", explanation.time.clone()));
    lines.push(("what", explanation.asked.clone()));
    lines.extend(explanation.arguments.as_ref().map(|value| ("arguments", value.to_string())));
    lines.extend(explanation.results.as_ref().map(|value| ("results", value.to_string())));
    lines.extend(explanation.contract.as_ref().map(|value| ("contract", shown(value))));
    lines.push(("outcome", explanation.verdict.clone()));
    let unknown = (explanation.outcome != "ok").then_some("this version of northstar does not know the code");
    lines.extend(explanation.cause.or(unknown).map(|cause| ("cause", cause.to_owned())));
    lines.extend(explanation.fix.map(|fix| ("to do", fix.to_owned())));
    let TimeSplit { total_ms, verify_ms, table_ms, limit_ms, rest_ms } = explanation.time_split;
    let checked = if explanation.function == "mcp" { "the token" } else { "the credentials" };
    let limits = limit_ms.map(|ms| format!("{ms} ms to check limits, ")).unwrap_or_default();
    lines.push((
        "time",
        format!(
            "{total_ms} ms: {verify_ms} ms to check {checked}, {table_ms} ms to wait for tables and secrets, {limits}{rest_ms} ms for the rest"
        ),
    ));
    let start = if explanation.cold_start {
        "the first request of a new process: the caller waited for its start too, which is not in this time (cold start)"
    } else {
        "the process was running (no cold start)"
    };
    lines.push(("start", start.to_owned()));
    for Problem { time, outcome, message, cause, fix } in &explanation.problems {
        lines.push(("trouble", format!("{time}  {outcome}: {message}")));
        // What the outcome says is said already.
        if *outcome != explanation.outcome {
            lines.extend(cause.map(|cause| ("cause", cause.to_owned())));
            lines.extend(fix.map(|fix| ("to do", fix.to_owned())));
        }
    }
    lines
}

fn who(explanation: &Explanation) -> String {
    match &explanation.client {
        Some(Caller { id, name: Some(name), .. }) => format!("{name} (client {id})"),
        Some(Caller { id, registered: Some(false), .. }) => format!("client {id}, which is no longer registered"),
        Some(Caller { id, .. }) => format!("client {id}"),
        None => "not known: no client had been authenticated when the request ended".to_owned(),
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(more: &Value) -> RequestLine {
        let mut line = json!({
            "time": "2026-11-21T04:34:38.805Z", "level": "INFO", "fn": "mcp", "id": "e=", "status": 200, "outcome": "ok",
            "verify_ms": 0.19, "table_ms": 2.74, "total_ms": 4.18,
        });
        for (name, value) in more.as_object().unwrap() {
            line[name] = value.clone();
        }
        serde_json::from_value(line).unwrap()
    }

    fn told(more: &Value, client: Option<Caller>, problems: Vec<ProblemLine>) -> Vec<String> {
        let lines = lines("e=", &explain(line(more), client, problems));
        lines.into_iter().map(|(label, text)| format!("{label}: {text}")).collect()
    }

    #[test]
    fn a_call_is_told_in_words() {
        let call = json!({
            "client": "demo", "server": "default", "tool": "get_order_status", "rev": "2025-06-18",
            "arguments": { "order_id": "1001" }, "results": { "status": "SHIPPED" }, "limit_ms": 0.25, "contract": "c1",
        });
        let demo = Caller { id: "demo".to_owned(), name: Some("Demo".to_owned()), registered: Some(true) };
        assert_eq!(
            told(&call, Some(demo), vec![]),
            [
                "request: e=",
                "who: Demo (client demo)",
                "when: 2026-11-21T04:34:38.805Z",
                "what: called the tool get_order_status of the MCP server default, in protocol revision 2025-06-18",
                "arguments: {\"order_id\":\"1001\"}",
                "results: {\"status\":\"SHIPPED\"}",
                "contract: c1",
                "outcome: the tool answered",
                "time: 4.18 ms: 0.19 ms to check the token, 2.74 ms to wait for tables and secrets, 0.25 ms to check limits, 1 ms for the rest",
                "start: the process was running (no cold start)",
            ]
        );
    }

    #[test]
    fn what_went_wrong_is_told_with_its_cause_and_what_to_do_once() {
        let call = json!({
            "level": "ERROR", "server": "default", "tool": "get_order_status", "outcome": "table_unavailable",
            "client": "gone", "cold": true, "table_ms": 5.0,
        });
        let gone = Caller { id: "gone".to_owned(), name: None, registered: Some(false) };
        let problem = |outcome: &str| ProblemLine {
            time: "2026-11-21T04:34:38.800Z".to_owned(),
            function: "mcp".to_owned(),
            outcome: outcome.to_owned(),
            message: "orders: no".to_owned(),
        };
        let told = told(&call, Some(gone), vec![problem("table_unavailable"), problem("stale_value")]);
        let row = |code| errors_page::row(code, "mcp", true).unwrap();
        assert_eq!(told[1], "who: client gone, which is no longer registered");
        assert_eq!(
            told[4..7],
            [
                "outcome: Northstar failed: table_unavailable, HTTP 200".to_owned(),
                format!("cause: {}", row("table_unavailable").cause),
                format!("to do: {}", row("table_unavailable").fix),
            ]
        );
        assert!(told[7].ends_with(" 0 ms for the rest") && told[8].ends_with("(cold start)"), "{told:?}");
        assert_eq!(
            told[9..],
            [
                "trouble: 2026-11-21T04:34:38.800Z  table_unavailable: orders: no".to_owned(),
                "trouble: 2026-11-21T04:34:38.800Z  stale_value: orders: no".to_owned(),
                format!("cause: {}", row("stale_value").cause),
                format!("to do: {}", row("stale_value").fix),
            ]
        );
    }

    #[test]
    fn every_kind_of_request_has_words() {
        for (more, asked, verdict) in [
            (
                json!({ "fn": "token", "server": "default", "client": "demo" }),
                "wanted an access token for the MCP server default",
                "answered, HTTP 200",
            ),
            (
                json!({ "fn": "token", "status": 401, "outcome": "invalid_client", "level": "WARN" }),
                "asked the authorization server: for a token, the metadata or the public keys",
                "refused: invalid_client, HTTP 401",
            ),
            (
                json!({ "fn": "token", "status": 400, "outcome": "invalid_scope", "client": "demo" }),
                "wanted an access token",
                "refused: invalid_scope, HTTP 400",
            ),
            (json!({ "fn": "token", "method": "revoke" }), "wanted to revoke a token", "answered, HTTP 200"),
            (
                json!({ "server": "crm", "method": "tools/list", "rev": "2026-07-28" }),
                "wanted the list of the tools of the MCP server crm, in protocol revision 2026-07-28",
                "answered, HTTP 200",
            ),
            (
                json!({ "server": "crm", "method": "tools/call", "outcome": "unknown_tool" }),
                "called a tool that the MCP server crm does not have",
                "answered with an error: unknown_tool, HTTP 200",
            ),
            (
                json!({ "server": "crm", "tool": "a", "outcome": "invalid_arguments" }),
                "called the tool a of the MCP server crm",
                "the tool had no answer, and told the agent why: invalid_arguments",
            ),
            (
                json!({ "server": "crm", "status": 401, "outcome": "invalid_token", "level": "WARN" }),
                "sent a request to the MCP server crm",
                "refused: invalid_token, HTTP 401",
            ),
            (
                json!({ "fn": "rotate", "status": 500, "outcome": "rotation_refused", "level": "ERROR" }),
                "wanted a secret rotated (Secrets Manager)",
                "Northstar failed: rotation_refused, HTTP 500",
            ),
        ] {
            let told = told(&more, None, vec![]);
            assert!(told[1].starts_with("who: not known"), "{told:?}");
            assert!(!told.iter().any(|line| line.contains("does not know the code")), "{told:?}");
            assert!(
                told.contains(&format!("what: {asked}")) && told.contains(&format!("outcome: {verdict}")),
                "{told:?}"
            );
        }
    }

    #[test]
    fn a_code_of_another_version_is_no_trouble() {
        let told = told(&json!({ "outcome": "code_of_later", "tool": "a" }), None, vec![]);
        assert_eq!(told[5], "cause: this version of northstar does not know the code");
    }

    #[test]
    fn trouble_is_looked_for_from_the_beginning_of_a_request_to_its_line() {
        let (from, to) = while_served(&line(&json!({ "total_ms": 2000.0 }))).unwrap();
        assert_eq!(
            (timestamp(from), timestamp(to)),
            ("2026-11-21T04:34:36.705Z".into(), "2026-11-21T04:34:38.905Z".into())
        );
        assert!(while_served(&line(&json!({ "total_ms": 1e300 }))).is_none());
        assert!(while_served(&line(&json!({ "total_ms": -1.0 }))).is_none());
        assert!(while_served(&line(&json!({ "time": "yesterday" }))).is_none());
    }

    #[test]
    fn ids_are_those_of_api_gateway() {
        for id in ["eY4bAhf7zCjanVg=", "JKJaXmPLvHcESHA=", "-_a+/=", "0d5c9c4e-6a0e-4a3e-9a52-f4a1a4c3b1a7"] {
            assert!(request_id(id).is_ok(), "{id}");
        }
        for id in ["", "a b", "a\"", "a)", "*", "é", &"a".repeat(65)] {
            assert!(request_id(id).is_err(), "{id}");
        }
    }
}
