//! The resource server from outside: what it answers to tokens, bodies and calls of every kind.

mod agentforce;
mod bearer;
mod bodies;
mod definitions;
mod hostile_tokens;
mod log;
mod metadata;
mod prepared;
mod protocol;
mod revocation;
mod tools;

use black_box::Server;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

/// The revisions with a handshake, the oldest first.
const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// A JSON-RPC request that every server answers with `{}`.
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// Status and JSON of an answer; an empty body is null.
async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    let json = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("the body is JSON") };
    (status, json)
}

async fn send(request: RequestBuilder) -> (u16, Value) {
    read(request.send().await.unwrap()).await
}

/// A header of an answer with the server's own address left out; empty when there is none.
fn header(server: &Server, response: &Response, name: &str) -> String {
    let values: Vec<&str> = response.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
    values.join(", ").replace(&server.url, "[url]")
}

/// A JSON-RPC request.
fn request(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params })
}

/// What is told of an error: its status, its JSON-RPC code, its stable code.
fn error_of((status, body): &(u16, Value)) -> (u16, i64, &str) {
    let error = &body["error"];
    (*status, error["code"].as_i64().unwrap_or_default(), error["data"]["code"].as_str().unwrap_or_default())
}
