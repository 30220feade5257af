//! The JSON-RPC envelope: what kind of message a body is, and what little of it the front layer needs to know.
//!
//! Nothing is built from the body here: the parts stay slices of it (`RawValue`).

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::refusal::Refusal;

/// The protocol revisions this server speaks, the oldest first.
pub const REVISIONS: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];
/// What a request without `MCP-Protocol-Version` speaks (MCP 2025-11-25, transports).
pub const UNNAMED_REVISION: &str = REVISIONS[1];

/// Methods that are named in log lines; others are not known to this server.
const METHODS: [&str; 7] = [
    "initialize",
    "notifications/initialized",
    "notifications/cancelled",
    "ping",
    "server/discover",
    "tools/call",
    "tools/list",
];

/// Longest id of a request, in bytes of JSON.
const MAX_ID: usize = 258;

/// One JSON-RPC message.
pub struct Message<'a> {
    /// Its id; a notification has none.
    pub id: Option<&'a RawValue>,
    /// Its method; a response has none.
    pub method: Option<Cow<'a, str>>,
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    params: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Params<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    name: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    arguments: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    cursor: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "protocolVersion", deserialize_with = "present")]
    protocol_version: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "_meta", deserialize_with = "present")]
    meta: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Meta<'a> {
    #[serde(default, borrow, rename = "io.modelcontextprotocol/protocolVersion", deserialize_with = "present")]
    protocol_version: Option<&'a RawValue>,
}

/// Keeps `null` apart from an absent member.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn text<'a>(raw: Option<&'a RawValue>) -> Option<Cow<'a, str>> {
    serde_json::from_str::<String>(raw?.get()).ok().map(Cow::Owned)
}

/// Splits a body into its messages, which are one unless it is a batch.
///
/// # Errors
/// [`Refusal::NotJsonRpc`] when the body is neither an object nor an array.
pub fn split(body: &str) -> Result<Messages<'_>, Refusal> {
    match body.trim_start().as_bytes().first() {
        Some(b'{') => Ok(Messages::One(body)),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(body).map_err(|_| Refusal::NotJson)?;
            Ok(Messages::Batch(items.into_iter().map(RawValue::get).collect()))
        }
        _ => Err(Refusal::NotJsonRpc("the body is a JSON-RPC message: an object")),
    }
}

/// The messages of a body.
pub enum Messages<'a> {
    /// One message.
    One(&'a str),
    /// A batch of messages.
    Batch(Vec<&'a str>),
}

impl<'a> Message<'a> {
    /// Reads one message.
    ///
    /// # Errors
    /// The refusal, and the message's id as far as it could be read.
    pub fn parse(json: &'a str) -> Result<Message<'a>, (Refusal, Option<&'a RawValue>)> {
        let not_json_rpc = |reason, id| Err((Refusal::NotJsonRpc(reason), id));
        let Ok(raw) = serde_json::from_str::<Raw>(json) else {
            return not_json_rpc("a JSON-RPC message is an object", None);
        };
        let id = raw.id.filter(|id| is_id(id));
        if raw.jsonrpc.map(RawValue::get) != Some("\"2.0\"") {
            return not_json_rpc("jsonrpc is \"2.0\"", id);
        }
        if raw.id.is_some() && id.is_none() {
            return not_json_rpc("an id is a string of up to 256 bytes or an integer", None);
        }
        let method = text(raw.method);
        if raw.method.is_some() && method.is_none() {
            return not_json_rpc("method is a string", id);
        }
        if method.is_none() && raw.id.is_none() {
            return not_json_rpc("a message has a method, or an id and a result", id);
        }
        let params = match raw.params {
            None => None,
            Some(params) if params.get().starts_with('{') => serde_json::from_str(params.get()).ok(),
            Some(_) => return not_json_rpc("params is an object", id),
        };
        Ok(Message { id, method, params })
    }

    /// The method's name, if the server knows it.
    pub fn known_method(&self) -> Option<&'static str> {
        METHODS.into_iter().find(|known| self.method.as_deref() == Some(known))
    }

    /// Whether this begins an older client's session. Since 2026-07-28 there is none to begin.
    pub fn is_initialize(&self) -> bool {
        self.id.is_some() && self.method.as_deref() == Some("initialize")
    }

    /// Checks what of the parameters rmcp would pass over or not tell well.
    ///
    /// # Errors
    /// [`Refusal::Meta`] when `_meta` is not an object, [`Refusal::Params`] when a list's cursor is not a string.
    pub fn check_params(&self) -> Result<(), Refusal> {
        let Some(params) = &self.params else { return Ok(()) };
        if params.meta.is_some_and(|meta| !meta.get().starts_with('{')) {
            return Err(Refusal::Meta);
        }
        // Some clients write null for what they do not have.
        let no_cursor = |cursor: &RawValue| cursor.get() != "null" && !cursor.get().starts_with('"');
        if self.method.as_deref() == Some("tools/list") && params.cursor.is_some_and(no_cursor) {
            return Err(Refusal::Params("a cursor is a string"));
        }
        Ok(())
    }

    /// The name of the tool that is called.
    ///
    /// # Errors
    /// [`Refusal::Params`] when this is a `tools/call` without the shape of one.
    pub fn called_tool(&self) -> Result<Option<Cow<'_, str>>, Refusal> {
        if self.id.is_none() || self.method.as_deref() != Some("tools/call") {
            return Ok(None);
        }
        let params = self.params.as_ref().ok_or(Refusal::Params("tools/call needs params with a name"))?;
        let name = text(params.name).ok_or(Refusal::Params("the name of a tool is a string"))?;
        // SDKs send `null` for no arguments.
        if params.arguments.is_some_and(|arguments| !matches!(arguments.get().as_bytes().first(), Some(b'{' | b'n'))) {
            return Err(Refusal::Params("the arguments of a tool are an object"));
        }
        Ok(Some(name))
    }

    /// The revision that the message itself names in `_meta`, as every request since 2026-07-28 does.
    pub fn meta_revision(&self) -> Option<Cow<'_, str>> {
        let meta: Meta = serde_json::from_str(self.params.as_ref()?.meta?.get()).ok()?;
        meta.protocol_version.and_then(|version| serde_json::from_str::<String>(version.get()).ok()).map(Cow::Owned)
    }

    /// The revision the message speaks, when it is one of ours: named in `_meta`, asked for by `initialize`, or in the
    /// header.
    pub fn revision(&self, header: Option<&str>) -> Option<&'static str> {
        let asked = || self.params.as_ref().and_then(|params| text(params.protocol_version));
        let named = self.meta_revision().or_else(asked).map(Cow::into_owned);
        known_revision(named.as_deref().or(header).unwrap_or(UNNAMED_REVISION))
    }
}

/// One of ours, or `None`.
pub fn known_revision(text: &str) -> Option<&'static str> {
    REVISIONS.into_iter().find(|revision| *revision == text)
}

fn is_id(id: &RawValue) -> bool {
    let id = id.get();
    id.len() <= MAX_ID && (id.starts_with('"') || id.parse::<i64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(json: &str) -> Result<(), &'static str> {
        match Message::parse(json) {
            Ok(_) => Ok(()),
            Err((Refusal::NotJsonRpc(reason), _)) => Err(reason),
            Err(_) => Err("?"),
        }
    }

    #[test]
    fn only_json_rpc_messages_pass() {
        for json in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":"a","method":"ping","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":-9223372036854775808,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        ] {
            assert_eq!(outcome(json), Ok(()), "{json}");
        }
        for json in [
            "[]",
            "{}",
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":12345678901234567890,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#,
        ] {
            assert!(outcome(json).is_err(), "{json}");
        }
        let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(257));
        assert!(outcome(&long).is_err());
    }

    #[test]
    fn the_revision_comes_from_meta_then_initialize_then_the_header() {
        let plain = Message::parse(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).ok().unwrap();
        assert_eq!(plain.revision(None), Some("2025-03-26"));
        assert_eq!(plain.revision(Some("2025-06-18")), Some("2025-06-18"));
        assert_eq!(plain.revision(Some("1999-01-01")), None);
        let json = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05"}}"#;
        assert_eq!(Message::parse(json).ok().unwrap().revision(None), Some("2024-11-05"));
        let json = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        assert_eq!(Message::parse(json).ok().unwrap().revision(Some("2025-06-18")), Some("2026-07-28"));
    }
}
