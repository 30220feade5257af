//! MCP servers: an address, a name, and the tools behind it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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

/// A server's definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its name.
    pub name: ServerName,
    /// Its title, for people.
    pub title: String,
    /// What it is for, in a sentence.
    pub description: String,
    /// What a model should know before it uses the tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Names of its tools, in the order of `tools/list`.
    pub tools: Vec<String>,
    /// How long a tool may take, in seconds.
    #[serde(default = "default_timeout")]
    pub timeout: u64,
}

fn default_timeout() -> u64 {
    20
}

impl Server {
    /// The server that `northstar init` makes.
    pub fn default_server() -> Server {
        Server {
            name: ServerName::default_server(),
            title: "Northstar".to_owned(),
            description: "Order status and loyalty points.".to_owned(),
            instructions: Some("Use order numbers and customer numbers exactly as the customer gives them.".to_owned()),
            tools: ["get_order_status", "check_loyalty_points", "list_customer_orders"].map(str::to_owned).to_vec(),
            timeout: default_timeout(),
        }
    }

    /// How long a tool may take: at most 25 s, for API Gateway ends at 30 s.
    pub fn tool_timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.clamp(1, 25))
    }
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
}
