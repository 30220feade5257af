//! The MCP servers that Salesforce hosts (Hosted MCP Servers, "Servers Reference"), over the org of the stand-in: Streamable
//! HTTP of the legacy revisions with `initialize`, and of 2026-07-28 without.
//!
//! What Salesforce does not publish is an option, or a guess: which revisions it speaks, whether it keeps sessions, whether
//! it streams, the bodies of a 401 and a 403.

mod tools;

use http::HeaderMap;
use serde_json::{Value, json};

use crate::answer::{Answer, ApiError, Content};
use crate::bearer::{self, TrustedIssuer};
use crate::state::State;

/// How the hosted MCP servers behave.
#[derive(Clone, Debug)]
pub struct Hosted {
    /// The servers that are activated in Setup; of [`SERVERS`].
    pub active: Vec<String>,
    /// Whether the org is a sandbox: its servers are under `/sandbox/`, and nothing is where production has them.
    pub sandbox: bool,
    /// What is spoken.
    pub revisions: Revisions,
    /// Whether answers come as events (`text/event-stream`) rather than as JSON.
    pub events: bool,
    /// Whether legacy clients get a session, and have to name it.
    pub sessions: bool,
    /// Whose tokens are taken in place of those of the stand-in's own authorization server.
    pub trusted: Option<TrustedIssuer>,
    /// Whether the protected resource's and the authorization server's metadata are there.
    pub discovery: bool,
}

/// The revisions of MCP that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revisions {
    /// All of [`LEGACY`], and [`MODERN`].
    All,
    /// Those with `initialize` alone.
    Legacy,
    /// 2026-07-28 alone.
    Modern,
}

/// Every server that there is.
pub const SERVERS: [&str; 3] = ["sobject-reads", "sobject-mutations", "sobject-all"];

/// The revisions with `initialize`.
const LEGACY: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];
/// The one without.
const MODERN: &str = "2026-07-28";
const MODERN_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The start of every path.
pub const BASE: &str = "/platform/mcp/v1/";
/// The scope that a token needs.
pub const SCOPE: &str = "mcp_api";

impl Default for Hosted {
    fn default() -> Self {
        Hosted {
            active: SERVERS.map(str::to_owned).to_vec(),
            sandbox: false,
            revisions: Revisions::All,
            events: false,
            sessions: false,
            trusted: None,
            discovery: true,
        }
    }
}

impl Hosted {
    /// The path of a server, of this kind of org.
    pub(crate) fn path(&self, server: &str) -> String {
        format!("{BASE}{}platform/{server}", if self.sandbox { "sandbox/" } else { "" })
    }
}

/// A request to a server.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

impl Asked<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }
}

/// `/platform/mcp/v1/…`
pub(crate) fn answer(state: &mut State, request: &Asked) -> Answer {
    let sessions = state.options.hosted.sessions;
    match request.method {
        "POST" => {}
        "DELETE" if sessions => return end_session(state, request),
        _ => {
            let mut answer = ApiError::method(request.method, "POST").into_answer();
            answer.headers.push(("allow", if sessions { "POST, DELETE" } else { "POST" }.to_owned()));
            return answer;
        }
    }
    if let Err(refused) = bearer::check(state, request.path, request.headers) {
        return refused;
    }
    let Some(server) = server(&state.options.hosted, request.path) else {
        let name = request.path.strip_prefix(BASE).unwrap_or_default();
        return refusal(404, &format!("Server definition not found for: {name}"));
    };
    match serde_json::from_slice::<Value>(request.body) {
        Ok(message) if message.is_object() => exchange(state, request, server, &message),
        Ok(_) => error(400, &Value::Null, -32600, "Invalid Request", None),
        Err(_) => error(400, &Value::Null, -32700, "Parse error", None),
    }
}

/// The active server at a path.
fn server(hosted: &Hosted, path: &str) -> Option<&'static str> {
    let found = SERVERS.iter().find(|server| hosted.path(server) == path)?;
    hosted.active.iter().any(|active| active == found).then_some(*found)
}

/// A refusal of the gateway before the servers, as its 404 is known to be.
pub(crate) fn refusal(status: u16, message: &str) -> Answer {
    Answer::json(status, json!({ "error": { "code": status, "message": message } }))
}

fn end_session(state: &mut State, request: &Asked) -> Answer {
    match request.header("mcp-session-id").map(|session| state.mcp_sessions.remove(session)) {
        Some(true) => Answer::empty(204),
        _ => refusal(404, "Session not found"),
    }
}

fn exchange(state: &mut State, request: &Asked, server: &str, message: &Value) -> Answer {
    let (id, method) = (&message["id"], message["method"].as_str().unwrap_or_default());
    if method.is_empty() || message["jsonrpc"] != "2.0" {
        return error(400, id, -32600, "Invalid Request", None);
    }
    state.counters.count_mcp(method);
    let params = &message["params"];
    let in_body = params["_meta"][MODERN_VERSION].as_str();
    let in_header = request.header("mcp-protocol-version");
    let is_modern = in_body.is_some() || method == "server/discover" || in_header == Some(MODERN);
    if is_modern && method != "initialize" && state.options.hosted.revisions != Revisions::Legacy {
        return modern(state, request, server, message);
    }
    if state.options.hosted.revisions == Revisions::Modern {
        return unsupported(id, &[MODERN], in_header.or(params["protocolVersion"].as_str()));
    }
    legacy(state, request, server, message)
}

fn modern(state: &mut State, request: &Asked, server: &str, message: &Value) -> Answer {
    let (id, method, params) = (&message["id"], message["method"].as_str().unwrap_or_default(), &message["params"]);
    let meta = &params["_meta"];
    let Some(version) = meta[MODERN_VERSION].as_str().filter(|_| meta[CAPABILITIES].is_object()) else {
        return error(400, id, -32602, "Invalid params: _meta is incomplete", None);
    };
    let name = (method == "tools/call").then(|| params["name"].as_str().unwrap_or_default());
    let agree = request.header("mcp-protocol-version") == Some(version)
        && request.header("mcp-method") == Some(method)
        && (name.is_none() || request.header("mcp-name") == name);
    if !agree {
        return error(400, id, -32020, "Header mismatch", None);
    }
    if version != MODERN {
        return unsupported(id, &[MODERN], Some(version));
    }
    if id.is_null() {
        return Answer::empty(202);
    }
    let result = match method {
        "server/discover" => Ok(json!({
            "supportedVersions": [MODERN],
            "capabilities": { "tools": {} },
            "ttlMs": 60_000,
            "cacheScope": "private",
        })),
        "tools/list" => {
            let mut listed = json!({ "tools": tools::list(server) });
            listed["ttlMs"] = 0.into();
            listed["cacheScope"] = "private".into();
            Ok(listed)
        }
        "tools/call" => call(state, server, params),
        _ => return error(404, id, -32601, "Method not found", None),
    };
    match result {
        Ok(mut result) => {
            result["resultType"] = "complete".into();
            result["_meta"] = json!({ "io.modelcontextprotocol/serverInfo": info(server) });
            said(state, json!({ "jsonrpc": "2.0", "id": id, "result": result }))
        }
        Err(text) => said(state, rpc_error(id, -32602, &text, None)),
    }
}

fn legacy(state: &mut State, request: &Asked, server: &str, message: &Value) -> Answer {
    let (id, method, params) = (&message["id"], message["method"].as_str().unwrap_or_default(), &message["params"]);
    if method == "initialize" {
        return initialize(state, server, id, params);
    }
    if request.header("mcp-protocol-version").is_some_and(|version| !LEGACY.contains(&version)) {
        return error(400, id, -32000, "Bad Request: Unsupported protocol version", None);
    }
    if state.options.hosted.sessions {
        match request.header("mcp-session-id") {
            None => return error(400, id, -32000, "Bad Request: Mcp-Session-Id header is required", None),
            Some(session) if !state.mcp_sessions.contains(session) => {
                return error(404, id, -32001, "Session not found", None);
            }
            Some(_) => {}
        }
    }
    if id.is_null() {
        return Answer::empty(202);
    }
    let result = match method {
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({ "tools": tools::list(server) })),
        "tools/call" => call(state, server, params),
        _ => return said(state, rpc_error(id, -32601, "Method not found", None)),
    };
    let answer = match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(text) => rpc_error(id, -32602, &text, None),
    };
    said(state, answer)
}

fn initialize(state: &mut State, server: &str, id: &Value, params: &Value) -> Answer {
    let asked = params["protocolVersion"].as_str().unwrap_or_default();
    let version = LEGACY.iter().find(|own| **own == asked).unwrap_or(&LEGACY[0]);
    let result = json!({ "protocolVersion": version, "capabilities": { "tools": {} }, "serverInfo": info(server) });
    let mut answer = said(state, json!({ "jsonrpc": "2.0", "id": id, "result": result }));
    if state.options.hosted.sessions {
        let session = crate::oauth::random_text(32);
        state.mcp_sessions.insert(session.clone());
        answer.headers.push(("mcp-session-id", session));
    }
    answer
}

fn info(server: &str) -> Value {
    json!({ "name": format!("platform/{server}"), "version": "1.0.0" })
}

/// The result of a call; `Err` is a request that the server does not understand.
fn call(state: &mut State, server: &str, params: &Value) -> Result<Value, String> {
    let name = params["name"].as_str().unwrap_or_default();
    let Some(tool) = tools::find(server, name) else { return Err(format!("Unknown tool: {name}")) };
    let empty = json!({});
    let arguments = if params["arguments"].is_null() { &empty } else { &params["arguments"] };
    Ok(match tool.run(state, arguments) {
        Ok(value) => json!({ "content": [{ "type": "text", "text": value.to_string() }], "isError": false }),
        Err(refused) => {
            json!({ "content": [{ "type": "text", "text": json!([refused.item()]).to_string() }], "isError": true })
        }
    })
}

/// A JSON-RPC message with status 200, as JSON or as an event.
fn said(state: &State, message: Value) -> Answer {
    if !state.options.hosted.events {
        return Answer::ok(message);
    }
    let mut answer = Answer::ok(Value::Null);
    answer.headers.push(("x-accel-buffering", "no".to_owned()));
    answer.body = Content::Events(format!("event: message\ndata: {message}\n\n"));
    answer
}

fn unsupported(id: &Value, supported: &[&str], requested: Option<&str>) -> Answer {
    let data = json!({ "supported": supported, "requested": requested.unwrap_or_default() });
    error(400, id, -32022, "Unsupported protocol version", Some(data))
}

fn error(status: u16, id: &Value, code: i32, message: &str, data: Option<Value>) -> Answer {
    Answer::json(status, rpc_error(id, code, message, data))
}

fn rpc_error(id: &Value, code: i32, message: &str, data: Option<Value>) -> Value {
    let mut error = json!({ "jsonrpc": "2.0", "error": { "code": code, "message": message } });
    if !id.is_null() {
        error["id"] = id.clone();
    }
    if let Some(data) = data {
        error["error"]["data"] = data;
    }
    error
}
