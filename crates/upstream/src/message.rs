//! JSON-RPC messages of an upstream, read strictly: an envelope with a member twice, with a result and an error, or with
//! another id than the request's is none.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

/// A revision of MCP is not spoken (MCP 2026-07-28, basic/versioning).
pub const UNSUPPORTED_REVISION: i64 = -32022;
/// The same, of servers that were written to a draft; others mean other things by it.
pub const UNSUPPORTED_REVISION_IN_DRAFTS: i64 = -32004;
/// A method is not known (JSON-RPC 2.0 §5.1).
pub const UNKNOWN_METHOD: i64 = -32601;

/// A message that may come in answer to a request.
#[derive(Debug)]
pub enum Message {
    /// The result of the request.
    Result(Box<RawValue>),
    /// The request failed.
    Error(RpcError),
    /// A request of the server's own.
    Request {
        /// Its id, a short string or an integer.
        id: Value,
        /// Whether it is a `ping`.
        ping: bool,
    },
    /// A notification.
    Notification,
}

/// A JSON-RPC error, without its message: that is text of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// Its code.
    pub code: i64,
    /// The revisions that the server speaks, as an error about the revision names them.
    pub supported: Vec<String>,
}

#[derive(Deserialize)]
struct Envelope {
    jsonrpc: String,
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<WireError>,
}

#[derive(Deserialize)]
struct WireError {
    code: i64,
    #[serde(default, rename = "message")]
    _message: IgnoredAny,
    #[serde(default)]
    data: Option<Value>,
}

/// Reads a message that came in answer to the request `id`.
///
/// # Errors
/// What is wrong with it.
pub fn read(bytes: &[u8], id: u64) -> Result<Message, &'static str> {
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|_| "it is no JSON-RPC message")?;
    if envelope.jsonrpc != "2.0" {
        return Err("it is no message of JSON-RPC 2.0");
    }
    match envelope {
        Envelope { method: Some(_), id: None, result: None, error: None, .. } => Ok(Message::Notification),
        Envelope { method: Some(method), id: Some(id), result: None, error: None, .. } => {
            let id = Some(id).filter(is_id).ok_or("a request in it has an id that is none")?;
            Ok(Message::Request { id, ping: method == "ping" })
        }
        Envelope { method: None, result: Some(_), error: Some(_), .. } => Err("it has a result and an error"),
        Envelope { method: None, result: Some(result), id: given, .. } => {
            is_of(given.as_ref(), id)?;
            Ok(Message::Result(result))
        }
        // An error about a request whose id could not be read has none.
        Envelope { method: None, error: Some(error), id: given, .. } => {
            given.map_or(Ok(()), |given| is_of(Some(&given), id))?;
            let supported = error.data.as_ref().and_then(|data| data.get("supported")).map(texts).unwrap_or_default();
            Ok(Message::Error(RpcError { code: error.code, supported }))
        }
        _ => Err("it is neither a response nor a request"),
    }
}

fn is_of(given: Option<&Value>, id: u64) -> Result<(), &'static str> {
    if given.and_then(Value::as_u64) == Some(id) { Ok(()) } else { Err("it answers another request than ours") }
}

fn is_id(id: &Value) -> bool {
    match id {
        Value::String(text) => text.len() <= 256,
        Value::Number(number) => number.is_i64() || number.is_u64(),
        _ => false,
    }
}

/// The strings of an array.
pub fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_response_is_a_result_or_an_error_of_the_request() {
        let result = read(br#"{"jsonrpc":"2.0","id":7,"result":{"a":1}}"#, 7).unwrap();
        assert!(matches!(result, Message::Result(raw) if raw.get() == r#"{"a":1}"#));
        for id in ["\"id\":7,", "\"id\":null,", ""] {
            let data = r#"{"supported":["2025-11-25",1]}"#;
            let text = format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":-32022,"message":"m","data":{data}}}}}"#);
            let Ok(Message::Error(error)) = read(text.as_bytes(), 7) else { panic!("{text}") };
            assert_eq!(error, RpcError { code: UNSUPPORTED_REVISION, supported: vec!["2025-11-25".to_owned()] });
        }
    }

    #[test]
    fn requests_and_notifications_of_the_server_are_told_apart() {
        let ping = read(br#"{"jsonrpc":"2.0","id":"s1","method":"ping"}"#, 7);
        assert!(matches!(ping, Ok(Message::Request { ping: true, .. })));
        let progress = read(br#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#, 7);
        assert!(matches!(progress, Ok(Message::Notification)));
    }

    #[test]
    fn what_is_no_answer_to_the_request_is_refused() {
        for text in [
            "",
            "[]",
            "null",
            "nonsense",
            r#"[{"jsonrpc":"2.0","id":7,"result":{}}]"#,
            r#"{"id":7,"result":{}}"#,
            r#"{"jsonrpc":"1.0","id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":8,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"7","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7.0,"result":{}}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":null}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1,"message":"m"}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":7,"id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{},"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":8,"error":{"code":1,"message":"m"}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":"1","message":"m"}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":"broken"}"#,
            r#"{"jsonrpc":"2.0","id":[],"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{}} {}"#,
        ] {
            assert!(read(text.as_bytes(), 7).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, 7);
        }
    }
}
