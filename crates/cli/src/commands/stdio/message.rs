//! What a line is, as far as the bridge has to know: who waits for an answer, and which headers go with it
//! (MCP 2026-07-28 and 2025-11-25, transports).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// A JSON-RPC message, or a batch of them.
#[derive(Debug)]
pub struct Message {
    /// As it came.
    pub body: Vec<u8>,
    /// Who waits.
    pub expects: Expects,
    json: Value,
}

/// How a message tells its protocol revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// Until 2025-11-25: `initialize` has agreed on one.
    Legacy,
    /// Since 2026-07-28: each request names its own.
    Modern,
}

/// What is to be written for a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Expects {
    /// Nothing: it is a notification, or an answer.
    Nothing,
    /// An answer. Who sends a message without a usable id learns only that something was wrong.
    Answer(Option<Value>),
    /// The answers to a batch: to these ids.
    Answers(Vec<Value>),
}

impl Message {
    /// Reads a line; `None` when it is not JSON in UTF-8.
    pub fn parse(body: Vec<u8>) -> Option<Message> {
        let json: Value = serde_json::from_slice(&body).ok()?;
        let expects = match &json {
            Value::Array(messages) if !messages.is_empty() && messages.iter().all(asks_nothing) => Expects::Nothing,
            Value::Array(messages) => {
                let asking = messages.iter().filter(|message| !asks_nothing(message));
                Expects::Answers(asking.filter_map(id_of).collect())
            }
            message if asks_nothing(message) => Expects::Nothing,
            message => Expects::Answer(id_of(message)),
        };
        Some(Message { body, expects, json })
    }

    /// Whether this is the `initialize` of a revision that has one.
    pub fn is_initialize(&self) -> bool {
        self.method() == Some("initialize") && self.era() == Era::Legacy
    }

    /// How it tells its revision.
    pub fn era(&self) -> Era {
        if self.revision().is_some() { Era::Modern } else { Era::Legacy }
    }

    /// The id of the request that this message cancels.
    pub fn cancelled(&self) -> Option<&Value> {
        let id = &self.json["params"]["requestId"];
        (self.method() == Some("notifications/cancelled") && !id.is_null()).then_some(id)
    }

    /// The headers that mirror the message. `negotiated` is what `initialize` agreed on.
    ///
    /// `Mcp-Param-*` is left out: no tool of Northstar's has an `x-mcp-header`.
    pub fn headers(&self, negotiated: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut add = |name, value: &str| {
            // What is no header value is the server's to refuse.
            headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        };
        match self.revision() {
            Some(revision) => {
                add(PROTOCOL_VERSION, revision);
                if let Some(method) = self.method() {
                    add(METHOD, &header_text(method));
                }
                if let Some(name) = self.name() {
                    add(NAME, &header_text(name));
                }
            }
            None if self.is_initialize() => {}
            None => {
                if let Some(revision) = negotiated {
                    add(PROTOCOL_VERSION, revision);
                }
            }
        }
        headers
    }

    fn method(&self) -> Option<&str> {
        self.json["method"].as_str()
    }

    fn revision(&self) -> Option<&str> {
        self.json["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str()
    }

    /// What `Mcp-Name` mirrors.
    fn name(&self) -> Option<&str> {
        let member = match self.method()? {
            "tools/call" | "prompts/get" => "name",
            "resources/read" => "uri",
            "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
            _ => return None,
        };
        self.json["params"][member].as_str()
    }
}

/// Whether a message is a notification, or an answer itself.
fn asks_nothing(message: &Value) -> bool {
    let has = |name| message.get(name).is_some();
    if has("method") { message["method"].is_string() && !has("id") } else { has("result") || has("error") }
}

fn id_of(message: &Value) -> Option<Value> {
    message.get("id").filter(|id| id.is_string() || id.is_number()).cloned()
}

/// A value as a header carries it: what is not printable ASCII, or would be read as something else, goes in base64.
fn header_text(value: &str) -> String {
    const BEFORE: &str = "=?base64?";
    let plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && value.trim_matches(' ') == value;
    if plain && !value.starts_with(BEFORE) {
        return value.to_owned();
    }
    format!("{BEFORE}{}?=", BASE64_STANDARD.encode(value))
}

/// The line to write for the body of an answer; `None` when that is no JSON-RPC answer to the message.
///
/// An error that was told before the message was read has no id: it gets that of the request.
pub fn line_of(expects: &Expects, body: &[u8]) -> Option<Vec<u8>> {
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    let answers = match &answer {
        Value::Array(answers) => !answers.is_empty() && answers.iter().all(is_answer),
        answer => is_answer(answer),
    };
    match expects {
        Expects::Answer(Some(id)) if answers && answer.is_object() && answer["id"].is_null() => {
            answer["id"] = id.clone();
            serde_json::to_vec(&answer).ok()
        }
        Expects::Answer(_) if answers && answer.is_object() => Some(one_line(body)),
        Expects::Answers(_) if answers && answer.is_array() => Some(one_line(body)),
        Expects::Answers(ids) if answers && answer["id"].is_null() => told_to_each(ids, &answer),
        _ => None,
    }
}

/// The same error for each of these requests, as a batch; on its own where there is none of a usable id.
fn told_to_each(ids: &[Value], error: &Value) -> Option<Vec<u8>> {
    if ids.is_empty() {
        return serde_json::to_vec(error).ok();
    }
    let told = ids.iter().map(|id| {
        let mut error = error.clone();
        error["id"] = id.clone();
        error
    });
    serde_json::to_vec(&told.collect::<Vec<_>>()).ok()
}

fn is_answer(value: &Value) -> bool {
    value["jsonrpc"] == "2.0" && (value.get("result").is_some() || value.get("error").is_some())
}

/// Line ends are white space in JSON: inside a string they are escaped.
fn one_line(json: &[u8]) -> Vec<u8> {
    json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(json: &Value) -> Message {
        Message::parse(json.to_string().into_bytes()).unwrap()
    }

    fn call(name: &str) -> Message {
        let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
        parse(&json!({ "id": 1, "method": "tools/call", "params": { "name": name, "_meta": meta } }))
    }

    #[test]
    fn who_asks_waits_for_an_answer_and_who_tells_does_not() {
        for (message, expects) in [
            (json!({ "id": 1, "method": "ping" }), Expects::Answer(Some(json!(1)))),
            (json!({ "id": "a", "method": 7 }), Expects::Answer(Some(json!("a")))),
            (json!({ "id": null, "method": "ping" }), Expects::Answer(None)),
            (json!({ "id": {}, "method": "ping" }), Expects::Answer(None)),
            (json!({ "id": 1 }), Expects::Answer(Some(json!(1)))),
            (json!({}), Expects::Answer(None)),
            (json!("ping"), Expects::Answer(None)),
            (json!([]), Expects::Answers(vec![])),
            (json!([{ "method": "a" }, { "id": 2, "method": "b" }, 3]), Expects::Answers(vec![json!(2)])),
            (json!([{ "method": "a" }, { "method": "b" }]), Expects::Nothing),
            (json!({ "method": "notifications/initialized" }), Expects::Nothing),
            (json!({ "id": 1, "result": {} }), Expects::Nothing),
            (json!({ "id": 1, "error": {} }), Expects::Nothing),
        ] {
            assert_eq!(parse(&message).expects, expects, "{message}");
        }
        for text in ["", "{", "{\"id\":1", "\u{1}", "{} {}"] {
            assert!(Message::parse(text.into()).is_none(), "{text}");
        }
        assert!(Message::parse(b"\"\xff\"".to_vec()).is_none());
    }

    #[test]
    fn a_modern_message_is_mirrored_in_its_headers() {
        let headers = call("get_order_status").headers(Some("2025-06-18"));
        assert_eq!(headers[PROTOCOL_VERSION], "2026-07-28");
        assert!(headers[METHOD] == "tools/call" && headers[NAME] == "get_order_status");
        for (name, sent) in [
            ("a b", "a b"),
            ("", ""),
            ("\u{e9}", "=?base64?w6k=?="),
            (" a", "=?base64?IGE=?="),
            ("a\r\nb: c", "=?base64?YQ0KYjogYw==?="),
            ("=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
        ] {
            assert_eq!(call(name).headers(None)[NAME], sent);
        }
        let meta = json!({ "io.modelcontextprotocol/protocolVersion": "a\nb" });
        let message = parse(&json!({ "id": 1, "method": "tools/list", "params": { "_meta": meta, "name": "a" } }));
        let headers = message.headers(None);
        assert_eq!((headers.len(), &headers[METHOD]), (1, &HeaderValue::from_static("tools/list")));
    }

    #[test]
    fn a_legacy_message_names_what_was_negotiated_and_initialize_names_nothing() {
        let list = parse(&json!({ "id": 1, "method": "tools/list" }));
        assert_eq!(list.headers(None).len(), 0);
        let headers = list.headers(Some("2025-06-18"));
        assert_eq!((headers.len(), &headers[PROTOCOL_VERSION]), (1, &HeaderValue::from_static("2025-06-18")));
        let initialize = parse(&json!({ "id": 1, "method": "initialize", "params": { "protocolVersion": "x" } }));
        assert!(initialize.is_initialize() && initialize.headers(Some("2025-06-18")).is_empty());
    }

    #[test]
    fn a_cancellation_names_its_request() {
        let cancel = |params| parse(&json!({ "method": "notifications/cancelled", "params": params }));
        assert_eq!(cancel(json!({ "requestId": 7, "reason": "late" })).cancelled(), Some(&json!(7)));
        assert_eq!(cancel(json!({})).cancelled(), None);
        assert_eq!(parse(&json!({ "method": "other", "params": { "requestId": 7 } })).cancelled(), None);
    }

    #[test]
    fn answers_pass_as_they_are_on_one_line_and_errors_get_the_id_of_their_request() {
        let line = |expects: &Expects, body: &str| {
            line_of(expects, body.as_bytes()).map(|line| String::from_utf8(line).unwrap())
        };
        let one = Expects::Answer(Some(json!(1)));
        let result = "{\"jsonrpc\":\"2.0\",\n \"id\":1,\"result\":{\"n\":1.10000000000000000000001}}";
        assert_eq!(line(&one, result).unwrap(), result.replace('\n', " "));
        let error = r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"no"}}"#;
        let told = |id: u32| format!(r#"{{"jsonrpc":"2.0","error":{{"code":-32600,"message":"no"}},"id":{id}}}"#);
        assert_eq!(line(&one, error).unwrap(), told(1));
        assert_eq!(line(&Expects::Answer(None), error).unwrap(), error);
        let two = Expects::Answers(vec![json!(1), json!(2)]);
        assert_eq!(line(&two, error).unwrap(), format!("[{},{}]", told(1), told(2)));
        assert_eq!(line(&Expects::Answers(vec![]), error).unwrap(), error);
        assert_eq!(line(&two, &format!("[{}]", told(2))).unwrap(), format!("[{}]", told(2)));
        for body in ["", "{}", "null", "<html>", "[]", "{\"message\":\"Forbidden\"}", "[{}]", &format!("[{error}]")] {
            assert_eq!(line(&one, body), None, "{body}");
        }
        for body in ["{}", "[]", result, "[1]"] {
            assert_eq!(line(&two, body), None, "{body}");
        }
    }
}
