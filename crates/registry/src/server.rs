//! MCP servers: an address, a name, and the tools behind it.

use std::time::Duration;

use catalogue::shipped::shipped;
use catalogue::{Lookup, SalesforceTool};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::guard::Guard;
use crate::upstream::UpstreamTools;

/// The server at `/mcp`.
pub const DEFAULT_SERVER: &str = "default";

/// A server's name: `[a-z][a-z0-9-]{0,39}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(String);

impl ServerName {
    /// `None` when the text is no server name.
    pub fn parse(text: &str) -> Option<ServerName> {
        let rest = text.strip_prefix(|first: char| first.is_ascii_lowercase())?;
        let valid = rest.len() < 40
            && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        valid.then(|| ServerName(text.to_owned()))
    }

    /// The server at `/mcp`.
    pub fn default_server() -> ServerName {
        ServerName(DEFAULT_SERVER.to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The server's path: `/mcp` for the default server, `/mcp/<name>` for any other.
    pub fn path(&self) -> String {
        if self.0 == DEFAULT_SERVER { "/mcp".to_owned() } else { format!("/mcp/{}", self.0) }
    }

    /// The server's URL, which is also the audience of its tokens (RFC 8707).
    pub fn url(&self, public_url: &str) -> String {
        format!("{public_url}{}", self.path())
    }

    /// The server a path names; `None` for every other path, `/mcp/default` among them.
    pub fn from_path(path: &str) -> Option<ServerName> {
        if path == "/mcp" {
            return Some(ServerName::default_server());
        }
        path.strip_prefix("/mcp/").and_then(ServerName::parse).filter(|name| name.0 != DEFAULT_SERVER)
    }
}

impl std::fmt::Display for ServerName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for ServerName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        ServerName::parse(&text).ok_or("a server name is a lower-case letter and up to 39 of a-z 0-9 -")
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> String {
        name.0
    }
}

/// A server's definition, in the shape of the file that `northstar server apply` reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Its name.
    pub name: ServerName,
    /// Its title, for people.
    pub title: String,
    /// What it is for, in a sentence; empty if nobody has said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What a model should know before it uses the tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Whether people rely on it: its tools' contracts are guarded, and answers carry no diagnostics. A record of before
    /// there was this field counts as one of production.
    #[serde(default = "yes")]
    pub production: bool,
    /// How long a call may take.
    #[serde(default)]
    pub timeout: Timeout,
    /// Its own tools, in the order of `tools/list`; a server of upstreams may have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolDefinition>,
    /// The Salesforce org that its Salesforce tools work on, as `northstar org add` named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    /// What its Salesforce tools may touch.
    #[serde(default, skip_serializing_if = "Guard::is_default")]
    pub guard: Guard,
    /// Tools of other MCP servers, after its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<UpstreamTools>,
    /// How often it may be called.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// What is written down about a call.
    #[serde(default)]
    pub log: LogLevel,
}

fn yes() -> bool {
    true
}

/// A tool of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ToolDefinition {
    /// One that ships, by its name.
    Shipped(String),
    /// One that is made of a table.
    Lookup(Box<Lookup>),
}

impl ToolDefinition {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            ToolDefinition::Shipped(name) => name,
            ToolDefinition::Lookup(lookup) => &lookup.name,
        }
    }
}

/// How long a call may take: 1 to 25 seconds, for API Gateway ends at 30. Written `20s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TimeoutShape", into = "String")]
pub struct Timeout(u64);

/// Records of before there were files have a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum TimeoutShape {
    Seconds(u64),
    Text(String),
}

impl Timeout {
    /// The longest one, in seconds.
    pub const MAX_SECONDS: u64 = 25;

    /// A timeout of so many seconds; `None` when it is not 1 to 25.
    pub fn from_seconds(seconds: u64) -> Option<Timeout> {
        (1..=Timeout::MAX_SECONDS).contains(&seconds).then_some(Timeout(seconds))
    }

    /// `20s`; `None` when it is anything else than 1 to 25 seconds.
    pub fn parse(text: &str) -> Option<Timeout> {
        Timeout::from_seconds(text.strip_suffix('s')?.parse().ok()?)
    }

    /// It as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl Default for Timeout {
    fn default() -> Timeout {
        Timeout(20)
    }
}

impl std::fmt::Display for Timeout {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}s", self.0)
    }
}

impl TryFrom<TimeoutShape> for Timeout {
    type Error = &'static str;

    fn try_from(shape: TimeoutShape) -> Result<Self, Self::Error> {
        let timeout = match &shape {
            TimeoutShape::Seconds(seconds) => Timeout::from_seconds(*seconds),
            TimeoutShape::Text(text) => Timeout::parse(text),
        };
        timeout.ok_or("a timeout is 1s to 25s")
    }
}

impl From<Timeout> for String {
    fn from(timeout: Timeout) -> String {
        timeout.to_string()
    }
}

/// How often a server may be called. Discovery (`tools/list` and what else is no call of a tool) has a bucket of its own
/// of four times `per_client`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Calls of one client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_client: Option<Rate>,
    /// Calls that a client may make at once; [`Rate::default_burst`] unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Calls of one client to one tool.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_tool: IndexMap<String, Rate>,
    /// Calls of all clients together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_server: Option<Rate>,
    /// Calls of one client in a day, which begins at midnight UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<u32>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Limits::default()
    }
}

/// So many calls in a time. Written `50/min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    /// Calls, at least one.
    pub count: u32,
    /// The time in which they may be made.
    pub period: Period,
}

/// The time of a [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// `s`
    Second,
    /// `min`
    Minute,
    /// `h`
    Hour,
}

impl Period {
    /// Its length.
    pub fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Period::Second => 1,
            Period::Minute => 60,
            Period::Hour => 3_600,
        })
    }
}

impl Rate {
    /// The most calls that a rate can name.
    pub const MAX_COUNT: u32 = 1_000_000;

    /// `50/min`, `5/s`, `1000/h`; `None` when it is anything else.
    pub fn parse(text: &str) -> Option<Rate> {
        let (count, period) = text.split_once('/')?;
        let count = count.trim().parse().ok().filter(|count| (1..=Rate::MAX_COUNT).contains(count))?;
        let period = match period.trim() {
            "s" | "sec" | "second" => Period::Second,
            "m" | "min" | "minute" => Period::Minute,
            "h" | "hour" => Period::Hour,
            _ => return None,
        };
        Some(Rate { count, period })
    }

    /// Calls that may be made at once unless the definition says otherwise: a thirtieth of the rate, but ten if the rate
    /// is that high. So that an agent's few calls in a row pass, and the first minute does not bring twice the rate.
    pub fn default_burst(self) -> u32 {
        (self.count / 30).max(10).min(self.count)
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let period = match self.period {
            Period::Second => "s",
            Period::Minute => "min",
            Period::Hour => "h",
        };
        write!(formatter, "{}/{period}", self.count)
    }
}

impl TryFrom<String> for Rate {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Rate::parse(&text).ok_or("a rate is a number of calls and a time, for example 50/min")
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> String {
        rate.to_string()
    }
}

/// What is written down about a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing about what went well.
    Off,
    /// One line a call.
    #[default]
    Calls,
    /// With its arguments, masked.
    Arguments,
    /// And with its results, masked.
    Results,
}

impl Server {
    /// The server that `northstar init` makes.
    pub fn default_server() -> Server {
        Server {
            name: ServerName::default_server(),
            title: "Northstar".to_owned(),
            description: "Order status and loyalty points.".to_owned(),
            instructions: Some("Use order numbers and customer numbers exactly as the customer gives them.".to_owned()),
            production: true,
            timeout: Timeout::default(),
            tools: shipped().map(|lookup| ToolDefinition::Shipped(lookup.name)).into(),
            org: None,
            guard: Guard::default(),
            upstreams: Vec::new(),
            limits: Limits::default(),
            log: LogLevel::default(),
        }
    }

    /// A server with every tool over a Salesforce org that only reads.
    pub fn salesforce_read(org: &str) -> Server {
        let reads = |tool: &SalesforceTool| tool.tool().annotations.read_only;
        Server {
            description: "Reads records, queries, searches and reports of a Salesforce org.".to_owned(),
            tools: salesforce_tools(reads),
            ..Server::salesforce("salesforce-read", "Salesforce, reading", org)
        }
    }

    /// A server with every tool over a Salesforce org; it may delete, in two steps.
    pub fn salesforce_write(org: &str) -> Server {
        Server {
            description: "Reads and writes records of a Salesforce org, one by one, in batches and in bulk.".to_owned(),
            tools: salesforce_tools(|_| true),
            guard: Guard { deletes: true, ..Guard::default() },
            ..Server::salesforce("salesforce-write", "Salesforce, reading and writing", org)
        }
    }

    fn salesforce(name: &str, title: &str, org: &str) -> Server {
        let ask = "Before you name an object or a field that you have not seen, look it up with describeObject.";
        Server {
            name: ServerName(name.to_owned()),
            title: title.to_owned(),
            instructions: Some(ask.to_owned()),
            production: false,
            org: Some(org.to_owned()),
            ..Server::default_server()
        }
    }
}

fn salesforce_tools(which: impl Fn(&SalesforceTool) -> bool) -> Vec<ToolDefinition> {
    let tools = SalesforceTool::ALL.into_iter().filter(which);
    tools.map(|tool| ToolDefinition::Shipped(tool.name().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_servers_one_to_one() {
        for (path, name) in [("/mcp", "default"), ("/mcp/orders", "orders"), ("/mcp/a-1", "a-1")] {
            let server = ServerName::from_path(path).unwrap();
            assert_eq!((server.as_str(), server.path().as_str()), (name, path));
        }
        for path in
            ["/mcp/default", "/mcp/", "/mcp/Orders", "/mcp/1a", "/mcp/a/b", "/mcp/a_b", "/mcp2", "/mcp/%61", "/"]
        {
            assert_eq!(ServerName::from_path(path), None, "{path}");
        }
        assert!(ServerName::parse(&"a".repeat(40)).is_some() && ServerName::parse(&"a".repeat(41)).is_none());
    }

    #[test]
    fn a_definition_is_kept_as_it_was_written() {
        let written = r#"{"name":"orders","title":"Orders","production":true,"timeout":"20s","tools":["get_order_status"],"limits":{"per_client":"50/min","burst":20,"per_tool":{"get_order_status":"10/s"},"per_day":5000},"log":"arguments"}"#;
        let server: Server = serde_json::from_str(written).unwrap();
        assert_eq!(serde_json::to_string(&server).unwrap(), written);
    }

    #[test]
    fn a_record_of_before_there_were_files_is_one_of_production() {
        let old = r#"{"name":"default","title":"T","description":"D","tools":["get_order_status"],"timeout":7}"#;
        let server: Server = serde_json::from_str(old).unwrap();
        assert_eq!((server.production, server.timeout.to_string()), (true, "7s".to_owned()));
    }

    #[test]
    fn rates_and_timeouts_are_read_as_they_are_printed() {
        for text in ["50/min", "1/s", "1000000/h"] {
            assert_eq!(Rate::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "50", "/min", "0/min", "1000001/min", "-1/min", "1.5/min", "50/day", "50/", "5/min/s"] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
        for text in ["", "0s", "26s", "20", "20m", "-1s", "1.5s", "s"] {
            assert_eq!(Timeout::parse(text), None, "{text}");
        }
        let burst = |text| Rate::parse(text).unwrap().default_burst();
        assert_eq!([burst("5/min"), burst("50/min"), burst("600/min"), burst("6000/min")], [5, 10, 20, 200]);
    }
}
