//! The MCP client against scripted servers on this machine: healthy, old, lost, slow and lying ones.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the answer no")]

mod answers;
mod eras;
mod failures;
mod lists;
mod seen;
mod server;
mod streams;

use std::time::{Duration, Instant};

use outbound::Fetcher;
use registry::{ConnectionName, PinnedTool};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use upstream::{CallOutcome, Endpoint, ListedTool, McpClient, Probe, UpstreamError};

/// A client and the upstream it asks.
struct Asker {
    client: McpClient,
    name: ConnectionName,
    url: String,
    bearer: SecretString,
    timeout: Duration,
}

impl Asker {
    fn of(url: &str) -> Asker {
        Asker {
            client: McpClient::new(Fetcher::with_loopback(None)),
            name: ConnectionName::parse("hosted").unwrap(),
            url: url.to_owned(),
            bearer: SecretString::from("TOKEN-BYTES"),
            timeout: Duration::from_secs(5),
        }
    }

    fn endpoint(&self) -> Endpoint<'_> {
        Endpoint { name: &self.name, url: &self.url, bearer: Some(&self.bearer) }
    }

    async fn list(&self) -> Result<Vec<ListedTool>, UpstreamError> {
        self.client.list_tools(self.endpoint(), Instant::now() + self.timeout).await
    }

    async fn call(&self, arguments: Value) -> Result<CallOutcome, UpstreamError> {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        self.client.call_tool(self.endpoint(), &tool(), &arguments, Instant::now() + self.timeout).await
    }

    /// The first text of what a call gave.
    async fn text(&self) -> Result<String, UpstreamError> {
        let outcome = self.call(json!({})).await?;
        Ok(outcome.content[0]["text"].as_str().unwrap_or_default().to_owned())
    }

    async fn probe(&self) -> Probe {
        self.client.probe(self.endpoint(), Instant::now() + self.timeout).await
    }
}

fn tool() -> PinnedTool {
    let schema = json!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}});
    let listed = json!({"name": "query", "inputSchema": schema});
    upstream::pin::pin(&ListedTool(Map::from_iter(listed.as_object().unwrap().clone()))).unwrap()
}

fn names(tools: &[ListedTool]) -> Vec<&str> {
    tools.iter().filter_map(ListedTool::unverified_name).collect()
}
