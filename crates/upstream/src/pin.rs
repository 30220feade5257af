//! Tools of an upstream made ready to be accepted: cleaned, cut, and hashed as they were sent.

use aws_lc_rs::digest::{SHA256, digest};
use registry::{PinnedTool, upstream_tool};
use serde_json::{Map, Value};

use crate::client::ListedTool;
use crate::header_params;
use crate::text::{clean, is_deeper_than, one_line};

/// Longest title and description, in bytes.
const MAX_TITLE: usize = 100;
const MAX_DESCRIPTION: usize = 1000;
/// Largest schema, in bytes, and how deep its JSON may be nested.
const MAX_SCHEMA: usize = 32 * 1024;
const MAX_SCHEMA_DEPTH: usize = 16;
/// What of a tool is hashed: everything that a model or a client acts on.
const HASHED: [&str; 6] = ["name", "title", "description", "inputSchema", "outputSchema", "annotations"];
/// Bytes of the hash that are kept.
const HASH_BYTES: usize = 12;

/// A tool as it would be accepted; `Err` says why it cannot be.
///
/// # Errors
/// What is wrong with it, for an administrator.
pub fn pin(tool: &ListedTool) -> Result<PinnedTool, &'static str> {
    let text = |name: &str| tool.0.get(name).and_then(Value::as_str);
    let annotations = tool.0.get("annotations");
    let hint = |name: &str| annotations.and_then(|annotations| annotations.get(name)).and_then(Value::as_bool);

    let name = name(tool)?;
    let title = text("title").or_else(|| annotations?.get("title")?.as_str()).map(|title| one_line(title, MAX_TITLE));
    let title = title.filter(|title| !title.is_empty()).unwrap_or_else(|| name.to_owned());
    let description = one_line(text("description").unwrap_or_default(), MAX_DESCRIPTION);
    let input_schema = tool.0.get("inputSchema").and_then(Value::as_object).ok_or("it has no input schema")?;
    if input_schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err("its input schema is not of an object");
    }
    // A tool that says both is taken for the more dangerous one.
    let read_only = hint("readOnlyHint") == Some(true) && hint("destructiveHint") != Some(true);
    let pinned = PinnedTool {
        description: if description.is_empty() { title.clone() } else { description },
        title,
        input_schema: clean_schema(input_schema)?,
        output_schema: output_schema(tool)?,
        read_only,
        destructive: !read_only && hint("destructiveHint").unwrap_or(true),
        idempotent: read_only || hint("idempotentHint").unwrap_or(false),
        open_world: hint("openWorldHint").unwrap_or(true),
        hash: hash(tool),
        name: name.to_owned(),
    };
    header_params::check(input_schema)?;
    Ok(pinned)
}

/// The name of a tool.
///
/// # Errors
/// Why it is none.
pub fn name(tool: &ListedTool) -> Result<&str, &'static str> {
    let name = tool.unverified_name().ok_or("it has no name")?;
    if upstream_tool::is_tool_name(name) {
        Ok(name)
    } else {
        Err("its name is empty, longer than 64 characters, or has others than letters, digits, _, . and -")
    }
}

/// The hash of a tool as it was sent: 96 bits of SHA-256, hex, over its canonical JSON. A character that is not seen
/// counts, the order of members does not.
pub fn hash(tool: &ListedTool) -> String {
    let hashed = HASHED.iter().filter_map(|name| Some(((*name).to_owned(), tool.0.get(*name)?.clone()))).collect();
    let digest = digest(&SHA256, sorted(&Value::Object(hashed)).to_string().as_bytes());
    digest.as_ref().iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// The same value, with the members of its objects in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            members.sort_unstable_by(|one, other| one.0.cmp(&other.0));
            Value::Object(members.into_iter().collect())
        }
        value => value.clone(),
    }
}

/// The schema of structured answers; one that is not of an object (2026-07-28) is left out, as such answers are.
fn output_schema(tool: &ListedTool) -> Result<Option<Map<String, Value>>, &'static str> {
    match tool.0.get("outputSchema") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(schema)) if schema.get("type").and_then(Value::as_str) == Some("object") => {
            clean_schema(schema).map(Some)
        }
        Some(_) => Ok(None),
    }
}

fn clean_schema(schema: &Map<String, Value>) -> Result<Map<String, Value>, &'static str> {
    if schema.values().any(|value| is_deeper_than(value, MAX_SCHEMA_DEPTH - 1)) {
        return Err("one of its schemas is nested more than 16 deep");
    }
    if serde_json::to_vec(schema).map_or(usize::MAX, |json| json.len()) > MAX_SCHEMA {
        return Err("one of its schemas is larger than 32 KiB");
    }
    clean_members(schema)
}

fn clean_members(schema: &Map<String, Value>) -> Result<Map<String, Value>, &'static str> {
    let member = |(name, value): (&String, &Value)| {
        let value = match (name.as_str(), value) {
            ("title" | "description" | "$comment", Value::String(text)) => Value::from(one_line(text, MAX_DESCRIPTION)),
            ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) if !target.starts_with('#') => {
                return Err("one of its schemas refers to another document");
            }
            (_, value) => clean_value(value)?,
        };
        seen(name)?;
        Ok((name.clone(), value))
    };
    schema.iter().map(member).collect()
}

fn clean_value(value: &Value) -> Result<Value, &'static str> {
    match value {
        Value::String(text) => seen(text).map(|()| value.clone()),
        Value::Array(items) => items.iter().map(clean_value).collect(),
        Value::Object(members) => clean_members(members).map(Value::Object),
        value => Ok(value.clone()),
    }
}

/// What means something, as the name of a property or a value of an enumeration, cannot be cleaned.
fn seen(text: &str) -> Result<(), &'static str> {
    if clean(text) == text { Ok(()) } else { Err("one of its schemas has characters that are not seen") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tool(value: Value) -> ListedTool {
        ListedTool(value.as_object().unwrap().clone())
    }

    fn with(name: &str, value: Value) -> ListedTool {
        let mut tool = tool(json!({"name": "a", "inputSchema": {"type": "object"}}));
        tool.0.insert(name.to_owned(), value);
        tool
    }

    #[test]
    fn texts_are_cleaned_and_cut_and_hints_have_their_defaults() {
        let pinned = pin(&tool(json!({
            "name": "get.Query-1",
            "description": format!("Ask\u{200b}\r\n{}", "\u{e4}".repeat(600)),
            "inputSchema": {
                "type": "object",
                "properties": {"q": {"type": "string", "description": "The\u{202e} query", "x-mcp-header": "Q"}},
                "$defs": {"a": {"$ref": "#/$defs/a"}},
            },
            "outputSchema": {"type": "object", "title": "T\u{200b}"},
        })))
        .unwrap();
        assert_eq!(pinned.title, "get.Query-1");
        assert!(pinned.description.starts_with("Ask \u{e4}") && pinned.description.ends_with('\u{2026}'));
        assert!(pinned.description.len() <= 1000);
        assert_eq!(pinned.input_schema["properties"]["q"]["description"], "The query");
        assert_eq!(pinned.output_schema.unwrap()["title"], "T");
        assert!(!pinned.read_only && pinned.destructive && !pinned.idempotent && pinned.open_world);
    }

    #[test]
    fn what_only_reads_destroys_nothing() {
        let hints = |read: bool, destroy: Value| {
            let pinned = pin(&with("annotations", json!({"readOnlyHint": read, "destructiveHint": destroy}))).unwrap();
            (pinned.read_only, pinned.destructive, pinned.idempotent)
        };
        assert_eq!(hints(true, Value::Null), (true, false, true));
        assert_eq!(hints(true, json!(false)), (true, false, true));
        assert_eq!(hints(true, json!(true)), (false, true, false), "it cannot be both");
        assert_eq!(hints(false, json!(false)), (false, false, false));
    }

    #[test]
    fn a_tool_that_breaks_a_rule_is_not_accepted() {
        let schema = |schema: Value| with("inputSchema", schema);
        let deep = (0..16).fold(json!({}), |inner, _| json!({"items": inner}));
        for tool in [
            tool(json!({"inputSchema": {"type": "object"}})),
            tool(json!({"name": "a"})),
            with("name", json!("")),
            with("name", json!("a b")),
            with("name", json!("a\u{200b}")),
            with("name", json!("a".repeat(65))),
            schema(json!({})),
            schema(json!({"type": "string"})),
            schema(json!({"type": ["object", "null"]})),
            schema(json!(true)),
            schema(json!({"type": "object", "items": deep})),
            schema(json!({"type": "object", "default": "a".repeat(33_000)})),
            schema(json!({"type": "object", "properties": {"a": {"$ref": "https://h.example/s.json"}}})),
            schema(json!({"type": "object", "properties": {"a": {"enum": ["b\u{200b}"]}}})),
            schema(json!({"type": "object", "properties": {"a\u{e0041}": {}}})),
            schema(json!({"type": "object", "properties": {"a": {"type": "number", "x-mcp-header": "A"}}})),
            with("outputSchema", json!({"type": "object", "$ref": "s.json"})),
        ] {
            assert!(pin(&tool).is_err(), "{tool:?}");
        }
    }

    #[test]
    fn the_hash_is_of_what_was_sent() {
        let first = hash(&tool(json!({"name": "a", "inputSchema": {"type": "object", "title": "t"}, "_meta": 1})));
        let same = hash(&tool(json!({"inputSchema": {"title": "t", "type": "object"}, "icons": [], "name": "a"})));
        assert_eq!(first, same);
        assert_eq!(first.len(), 24);
        for other in [
            json!({"name": "a", "inputSchema": {"type": "object", "title": "t\u{200b}"}}),
            json!({"name": "a", "inputSchema": {"type": "object", "title": "t"}, "description": ""}),
            json!({"name": "a", "inputSchema": {"type": "object", "title": "t"}, "annotations": {}}),
        ] {
            assert_ne!(hash(&tool(other.clone())), first, "{other}");
        }
    }

    #[test]
    fn an_output_schema_that_is_not_of_an_object_is_left_out() {
        for schema in [json!({"type": "array"}), json!(true), json!({"anyOf": []})] {
            assert_eq!(pin(&with("outputSchema", schema)).unwrap().output_schema, None);
        }
    }
}
