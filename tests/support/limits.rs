//! Limits of the default server, written as `northstar server apply` does, and instances of `mcp` that share them.

use std::time::SystemTime;

use local::Home;
use registry::{Limits, ServerName};
use serde_json::{Value, json};

use crate::functions::body;
use crate::lambda::Lambda;
use crate::{Server, event};

/// Gives the default server of a local run limits: `{"per_client":"600/min","burst":20}`. Instances that start later
/// keep to them; those that run, within 30 s.
pub async fn set_limits(server: &Server, limits: Value) {
    let limits: Limits = serde_json::from_value(limits).unwrap();
    let open = Home::new(server.home()).open().await.unwrap();
    let record = open.registry.server_now(&ServerName::default_server()).await.unwrap().unwrap();
    let changed = registry::Server { limits, ..record.server };
    let written = open.registry.apply_server(Some(record.version), &changed, "{}", SystemTime::now()).await;
    assert!(written.unwrap());
}

/// A token of a client for the default server.
pub async fn token_of(server: &Server, client_id: &str, client_secret: &str) -> String {
    let form = [("grant_type", "client_credentials"), ("client_id", client_id), ("client_secret", client_secret)];
    let answer: Value = server.request("POST", "/token").form(&form).send().await.unwrap().json().await.unwrap();
    answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}

/// The event of a JSON-RPC message, or of a batch.
pub fn message_event(server: &Server, token: &str, message: &Value) -> Value {
    let mut event = event("mcp/tools_list", server, token);
    if message.is_array() {
        event["headers"]["mcp-protocol-version"] = json!("2025-03-26");
    }
    event["body"] = json!(message.to_string());
    event
}

/// A call of a tool.
pub fn call(tool: &str, arguments: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })
}

/// A call of `get_order_status`.
pub fn order_call() -> Value {
    call("get_order_status", json!({ "order_id": "1001" }))
}

/// What an instance does with a message.
pub async fn ask(instance: &Lambda, server: &Server, token: &str, message: &Value) -> Told {
    let answer = instance.invoke(&message_event(server, token, message)).await;
    let retry_after = answer["headers"]["retry-after"].as_str().map(|seconds| seconds.parse().unwrap());
    Told { status: answer["statusCode"].as_u64().unwrap(), retry_after, body: body(&answer) }
}

/// An answer.
#[derive(Debug)]
pub struct Told {
    /// HTTP status.
    pub status: u64,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// JSON of the body.
    pub body: Value,
}

impl Told {
    /// Whether the message was served; the only other answer that is expected is that a limit of the client, the server
    /// or the day is used up.
    #[track_caller]
    pub fn is_served(&self) -> bool {
        match self.status {
            200 if self.body["error"].is_null() && self.body["result"]["isError"] != true => true,
            429 => {
                assert_eq!(self.body["error"]["data"]["code"], "rate_limited", "{self:?}");
                assert!(self.retry_after.is_some_and(|seconds| seconds >= 1), "{self:?}");
                false
            }
            _ => panic!("{self:?}"),
        }
    }
}
