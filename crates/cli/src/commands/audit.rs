//! `northstar audit`: what was asked, by whom, and what became of it, from the request lines.

mod cloud_watch;
mod errors_page;
mod explain;
mod files;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand, ValueEnum};
use local::Home;
use registry::{ClientId, ServerName};
use request_log::timestamp;
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::output::Failure;
use crate::place::Place;
use crate::stack::Stack;
use crate::values;
use cloud_watch::LogGroups;
use files::LogFiles;

/// How often a local log is looked at.
const LOCAL_POLL: Duration = Duration::from_millis(200);
/// How often CloudWatch Logs is asked. `FilterLogEvents` may be called a few times a second an account.
const CLOUD_WATCH_POLL: Duration = Duration::from_secs(2);

/// What to do with the request lines.
#[derive(Subcommand)]
pub enum Command {
    /// Print the last request lines: of the local run, of the functions of a stack, or of a log group in CloudWatch Logs. With --json each line as it
    /// was written, a JSON object a line
    Tail(TailOptions),
    /// Tell one request in words: who asked for what and when, what became of it and why, what to do, and where the time
    /// went
    Explain(explain::Options),
}

/// See the fields' help.
#[derive(Args)]
pub struct TailOptions {
    /// Go on with new lines as they come, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only lines since then: 30s, 15m, 1h, 7d ago; 1h unless given where lines come from CloudWatch Logs
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    since: Option<u64>,
    /// How many of the lines that were written before, the last ones
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    lines: usize,
    #[command(flatten)]
    filter: Filter,
    /// Log group in CloudWatch Logs, with the credentials and the region of the AWS environment; may be given more than
    /// once
    #[arg(long = "log-group", value_name = "NAME")]
    log_groups: Vec<String>,
}

/// Which lines are wanted; all of what is given has to hold.
#[derive(Args, Clone, Debug, Default)]
struct Filter {
    /// Only lines about this client
    #[arg(long, value_name = "ID", value_parser = client_id)]
    client: Option<String>,
    /// Only lines about this MCP server
    #[arg(long, value_name = "NAME", value_parser = server_name)]
    server: Option<String>,
    /// Only lines about this tool
    #[arg(long, value_name = "NAME", value_parser = code)]
    tool: Option<String>,
    /// Only lines of this function, or of the command line
    #[arg(long = "fn", value_name = "FUNCTION")]
    function: Option<Function>,
    /// Only lines of this outcome: ok, or a code of docs/errors.md
    #[arg(long, value_name = "CODE", value_parser = code)]
    outcome: Option<String>,
    /// Only lines about what was refused or went wrong
    #[arg(long)]
    errors: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Function {
    Token,
    Mcp,
    Connect,
    Rotate,
    Cli,
}

impl Function {
    fn as_str(self) -> &'static str {
        match self {
            Function::Token => "token",
            Function::Mcp => "mcp",
            Function::Connect => "connect",
            Function::Rotate => "rotate",
            Function::Cli => "cli",
        }
    }
}

fn client_id(text: &str) -> Result<String, &'static str> {
    ClientId::try_from(text.to_owned()).map(String::from)
}

fn server_name(text: &str) -> Result<String, &'static str> {
    ServerName::parse(text).map(|name| name.as_str().to_owned()).ok_or("a server name is like orders-eu")
}

/// Names of tools and codes of outcomes: what they may consist of needs no quoting in a filter pattern.
fn code(text: &str) -> Result<String, &'static str> {
    let valid = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/'));
    valid.then(|| text.to_owned()).ok_or("it consists of letters, digits, - _ . and /")
}

/// What is read of a line; what a line is not about, it leaves out.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    level: Cow<'a, str>,
    #[serde(borrow, rename = "fn")]
    function: Cow<'a, str>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    #[serde(borrow, default)]
    client: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    server: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    action: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    total_ms: Option<f64>,
}

impl Filter {
    fn takes(&self, line: &Line) -> bool {
        let is = |wanted: &Option<String>, found: &Option<Cow<str>>| {
            wanted.as_deref().is_none_or(|wanted| found.as_deref() == Some(wanted))
        };
        is(&self.client, &line.client)
            && is(&self.server, &line.server)
            && is(&self.tool, &line.tool)
            && self.function.is_none_or(|function| function.as_str() == line.function)
            && self.outcome.as_deref().is_none_or(|outcome| outcome == line.outcome)
            && !(self.errors && line.level == "INFO")
    }

    /// The same for CloudWatch Logs, which also leaves out what is no line of ours.
    fn pattern(&self) -> String {
        let function = self.function.map_or("*", Function::as_str);
        let mut terms = vec![format!("($.fn = \"{function}\")")];
        for (name, wanted) in
            [("client", &self.client), ("server", &self.server), ("tool", &self.tool), ("outcome", &self.outcome)]
        {
            terms.extend(wanted.as_deref().map(|wanted| format!("($.{name} = \"{wanted}\")")));
        }
        if self.errors {
            terms.push("($.level != \"INFO\")".to_owned());
        }
        format!("{{ {} }}", terms.join(" && "))
    }
}

/// Which lines are printed, and how.
struct Printer {
    filter: Filter,
    /// Lines before this time are not.
    since: String,
    json: bool,
}

impl Printer {
    /// What is to be printed for a line, if anything is.
    fn show(&self, text: &str) -> Option<String> {
        let line: Line = serde_json::from_str(text).ok()?;
        let wanted = *self.since <= *line.time && self.filter.takes(&line);
        wanted.then(|| if self.json { text.trim_end().to_owned() } else { show(&line) })
    }
}

/// A line for people: time, function, client, what was asked, status, outcome, milliseconds.
fn show(line: &Line) -> String {
    let text = |text: &Option<Cow<str>>| text.as_deref().unwrap_or("-").to_owned();
    let asked = match line {
        Line { message: Some(message), .. } => message.to_string(),
        Line { action: Some(action), server: Some(server), .. } => format!("{action} {server}"),
        Line { action: Some(action), .. } => action.to_string(),
        Line { server: Some(server), tool: Some(what), .. } | Line { server: Some(server), method: Some(what), .. } => {
            format!("{server}/{what}")
        }
        Line { server, .. } => text(server),
    };
    let status = line.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let took = line.total_ms.map(|ms| format!("  {ms} ms")).unwrap_or_default();
    let Line { time, function, outcome, .. } = line;
    let shown = format!("{time}  {function:6} {:22} {asked:32} {status:>3}  {outcome}{took}", text(&line.client));
    // A terminal obeys control characters.
    shown.replace(char::is_control, "?")
}

/// Runs one of the commands.
pub async fn run(place: &Place, json: bool, command: Command) -> Result<(), Failure> {
    match command {
        Command::Tail(options) => tail(place, json, options).await,
        Command::Explain(options) => explain::run(place, json, options).await,
    }
}

async fn tail(place: &Place, json: bool, mut options: TailOptions) -> Result<(), Failure> {
    let done = match place {
        Place::Home(home) if options.log_groups.is_empty() => tail_files(home, json, &options).await,
        Place::Stack(name) if options.log_groups.is_empty() => {
            options.log_groups = Stack::find(name).await?.log_groups;
            tail_log_groups(json, &options).await
        }
        _ => tail_log_groups(json, &options).await,
    };
    match done {
        // Who reads us has seen enough.
        Err(TailError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(TailError::Output(error)) => Err(error.into()),
        Err(TailError::Source(failure)) => Err(failure),
        Ok(()) => Ok(()),
    }
}

enum TailError {
    Output(std::io::Error),
    Source(Failure),
}

impl From<Failure> for TailError {
    fn from(failure: Failure) -> TailError {
        TailError::Source(failure)
    }
}

async fn tail_files(home: &Home, json: bool, options: &TailOptions) -> Result<(), TailError> {
    let since = options.since.map(ago).map(timestamp).unwrap_or_default();
    let printer = Printer { filter: options.filter.clone(), since, json };
    let mut ends = Ends::new(options.follow)?;
    let mut files = LogFiles::new(home.request_log());
    let mut last = LastLines::new(options.lines);
    files.read_on(|line| last.add(printer.show(line))).map_err(|error| unreadable(home, &error))?;
    print(last.lines)?;
    if !options.follow && !files.are_there() {
        eprintln!("There is no line yet in {}: `northstar serve` and commands write them.", home.path().display());
    }
    while options.follow && !ends.within(LOCAL_POLL).await {
        let mut lines = Vec::new();
        files.read_on(|line| lines.extend(printer.show(line))).map_err(|error| unreadable(home, &error))?;
        print(lines)?;
    }
    Ok(())
}

fn unreadable(home: &Home, error: &std::io::Error) -> TailError {
    Failure::Message(format!("{}: {error}", home.request_log().current().display())).into()
}

async fn tail_log_groups(json: bool, options: &TailOptions) -> Result<(), TailError> {
    let since = ago(options.since.unwrap_or(60 * 60));
    let printer = Printer { filter: options.filter.clone(), since: timestamp(since), json };
    let mut ends = Ends::new(options.follow)?;
    let mut groups = LogGroups::new(&options.log_groups, options.filter.pattern()).await?;
    let show = |line: &str| printer.show(line);
    let lines = groups.read(since, SystemTime::now(), options.lines, show).await?;
    // The last ones of each group were read.
    let skipped = lines.len().saturating_sub(options.lines);
    print(lines.into_iter().skip(skipped))?;
    while options.follow && !ends.within(CLOUD_WATCH_POLL).await {
        print(groups.read_on(since, SystemTime::now(), show).await?)?;
    }
    Ok(())
}

fn ago(seconds: u64) -> SystemTime {
    let then = SystemTime::now().checked_sub(Duration::from_secs(seconds));
    then.unwrap_or(SystemTime::UNIX_EPOCH).max(SystemTime::UNIX_EPOCH)
}

fn print(lines: impl IntoIterator<Item = String>) -> Result<(), TailError> {
    let mut output = std::io::stdout().lock();
    let mut written = lines.into_iter().try_for_each(|line| writeln!(output, "{line}"));
    written = written.and_then(|()| output.flush());
    written.map_err(TailError::Output)
}

/// The last lines of many.
struct LastLines {
    lines: VecDeque<String>,
    most: usize,
}

impl LastLines {
    fn new(most: usize) -> LastLines {
        LastLines { lines: VecDeque::new(), most }
    }

    fn add(&mut self, line: Option<String>) {
        self.lines.extend(line);
        if self.lines.len() > self.most {
            self.lines.pop_front();
        }
    }
}

/// SIGINT and SIGTERM, which are the way to end what follows; otherwise they end the process as ever.
struct Ends(Option<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>);

impl Ends {
    fn new(follow: bool) -> Result<Ends, Failure> {
        let listen = || Ok::<_, std::io::Error>((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?));
        Ok(Ends(if follow { Some(listen()?) } else { None }))
    }

    /// Waits so long, or until one of them comes.
    async fn within(&mut self, time: Duration) -> bool {
        let Some((interrupt, terminate)) = &mut self.0 else { return true };
        tokio::select! {
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
            () = tokio::time::sleep(time) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = r#"{"time":"2026-11-21T04:34:38.805Z","level":"INFO","fn":"mcp","id":"e=","client":"demo","server":"default","tool":"get_order_status","rev":"2025-06-18","status":200,"outcome":"ok","verify_ms":0.19,"table_ms":2.74,"total_ms":4.18}"#;
    const REFUSED: &str = r#"{"time":"2026-11-21T04:34:39.000Z","level":"WARN","fn":"token","id":"e=","status":401,"outcome":"invalid_client","verify_ms":0.0,"table_ms":0.0,"total_ms":0.5}"#;
    const COMMAND: &str = r#"{"time":"2026-11-21T04:34:40.000Z","level":"INFO","fn":"cli","action":"client.disable","client":"demo","outcome":"ok"}"#;
    const PROBLEM: &str = r#"{"time":"2026-11-21T04:34:41.000Z","level":"ERROR","fn":"mcp","outcome":"table_unavailable","message":"orders: \u001b[31m\"no\""}"#;

    fn printer(filter: Filter) -> Printer {
        Printer { filter, since: String::new(), json: false }
    }

    fn taken(filter: Filter) -> Vec<usize> {
        let printer = printer(filter);
        let lines = [CALL, REFUSED, COMMAND, PROBLEM];
        (0..lines.len()).filter(|index| printer.show(lines[*index]).is_some()).collect()
    }

    #[test]
    fn a_filter_takes_what_it_names_and_all_of_it_has_to_hold() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(taken(Filter::default()), [0, 1, 2, 3]);
        assert_eq!(taken(Filter { client: some("demo"), ..Filter::default() }), [0, 2]);
        assert_eq!(taken(Filter { client: some("dem"), ..Filter::default() }), [0; 0]);
        assert_eq!(taken(Filter { server: some("default"), ..Filter::default() }), [0]);
        assert_eq!(taken(Filter { tool: some("get_order_status"), ..Filter::default() }), [0]);
        assert_eq!(taken(Filter { function: Some(Function::Mcp), ..Filter::default() }), [0, 3]);
        assert_eq!(taken(Filter { outcome: some("ok"), ..Filter::default() }), [0, 2]);
        assert_eq!(taken(Filter { errors: true, ..Filter::default() }), [1, 3]);
        let both = Filter { errors: true, function: Some(Function::Token), ..Filter::default() };
        assert_eq!(taken(both), [1]);
    }

    #[test]
    fn a_pattern_says_the_same_to_cloudwatch_logs() {
        assert_eq!(Filter::default().pattern(), r#"{ ($.fn = "*") }"#);
        let filter = Filter {
            client: Some("demo".to_owned()),
            function: Some(Function::Token),
            errors: true,
            ..Filter::default()
        };
        assert_eq!(filter.pattern(), r#"{ ($.fn = "token") && ($.client = "demo") && ($.level != "INFO") }"#);
        for text in ["", "a\"b", "a b", "a)", "*", "$", "é"] {
            assert!(code(text).is_err() && client_id(text).is_err() && server_name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lines_for_people_say_who_asked_for_what_and_what_became_of_it() {
        let lines = [CALL, REFUSED, COMMAND, PROBLEM].map(|line| printer(Filter::default()).show(line).unwrap());
        assert_eq!(
            lines,
            [
                "2026-11-21T04:34:38.805Z  mcp    demo                   default/get_order_status         200  ok  4.18 ms",
                "2026-11-21T04:34:39.000Z  token  -                      -                                401  invalid_client  0.5 ms",
                "2026-11-21T04:34:40.000Z  cli    demo                   client.disable                     -  ok",
                "2026-11-21T04:34:41.000Z  mcp    -                      orders: ?[31m\"no\"                  -  table_unavailable",
            ]
        );
    }

    #[test]
    fn what_is_no_line_of_ours_or_too_early_is_left_out() {
        let since = Printer { since: "2026-11-21T04:34:39.000Z".to_owned(), ..printer(Filter::default()) };
        assert_eq!([CALL, REFUSED].map(|line| since.show(line).is_some()), [false, true]);
        for text in ["", "START RequestId: 1", "{}", "[]", "null", "{\"time\":1}", &CALL[..60]] {
            assert_eq!(printer(Filter::default()).show(text), None, "{text}");
        }
    }

    #[test]
    fn the_last_lines_are_kept() {
        for (most, kept) in [(0, &[][..]), (2, &["b", "c"]), (5, &["a", "b", "c"])] {
            let mut last = LastLines::new(most);
            for line in [Some("a"), None, Some("b"), Some("c")] {
                last.add(line.map(str::to_owned));
            }
            assert_eq!(last.lines, kept);
        }
    }
}
