//! Arguments that are mirrored in headers: `x-mcp-header` in the input schema of a tool (MCP 2026-07-28, basic/transports,
//! SEP-2243).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

/// Checks the annotations of an input schema; a tool with one that breaks a rule is not used.
///
/// # Errors
/// The rule that is broken.
pub fn check(schema: &Map<String, Value>) -> Result<(), &'static str> {
    if has_stray(schema, true) || schema.contains_key(ANNOTATION) {
        return Err("x-mcp-header annotates something else than a property of the arguments");
    }
    let mut names = Vec::new();
    for (_, property, name) in annotated(schema) {
        let name = name.as_str().ok_or("x-mcp-header is no text")?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err("x-mcp-header is no name that a header can have");
        }
        if !matches!(property.get("type").and_then(Value::as_str), Some("string" | "integer" | "boolean")) {
            return Err("x-mcp-header annotates a property that is no string, integer or boolean");
        }
        if names.contains(&name.to_ascii_lowercase()) {
            return Err("two properties have the same x-mcp-header");
        }
        names.push(name.to_ascii_lowercase());
    }
    Ok(())
}

/// The headers that mirror `arguments`; null and absent ones have none.
pub fn headers(schema: &Map<String, Value>, arguments: &Map<String, Value>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (path, _, name) in annotated(schema) {
        let mut steps = path.iter();
        let value = steps.next().and_then(|first| arguments.get(*first));
        let value = match steps.try_fold(value, |value, step| Some(value?.get(*step))).flatten() {
            Some(Value::String(text)) => encode(text),
            Some(Value::Bool(value)) => value.to_string(),
            Some(Value::Number(number)) => number.to_string(),
            _ => continue,
        };
        let name = HeaderName::try_from(format!("mcp-param-{}", name.as_str().unwrap_or_default()));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    headers
}

/// A text as the value of a header: as it is, or `=?base64?…?=` where a header could not hold it.
pub fn encode(text: &str) -> String {
    let plain = text.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
        && text.trim_matches(' ') == text
        && !(text.starts_with("=?base64?") && text.ends_with("?="));
    if plain { text.to_owned() } else { format!("=?base64?{}?=", BASE64_STANDARD.encode(text)) }
}

const ANNOTATION: &str = "x-mcp-header";

/// Path, schema and annotation of a property.
type Annotated<'a> = (Vec<&'a str>, &'a Map<String, Value>, &'a Value);

/// Every annotation that is reached through `properties` alone.
fn annotated(schema: &Map<String, Value>) -> Vec<Annotated<'_>> {
    let mut found = Vec::new();
    collect(schema, &mut Vec::new(), &mut found);
    found
}

fn collect<'a>(schema: &'a Map<String, Value>, path: &mut Vec<&'a str>, found: &mut Vec<Annotated<'a>>) {
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let Some(property) = property.as_object() else { continue };
        path.push(name);
        if let Some(annotation) = property.get(ANNOTATION) {
            found.push((path.clone(), property, annotation));
        }
        collect(property, path, found);
        path.pop();
    }
}

/// Whether an annotation is where no argument can be found by its path.
fn has_stray(schema: &Map<String, Value>, on_path: bool) -> bool {
    schema.iter().any(|(key, value)| match key.as_str() {
        ANNOTATION => !on_path,
        // Data, not schemas.
        "default" | "const" | "enum" | "examples" => false,
        "properties" => is_stray_among(value, on_path),
        "$defs" | "definitions" | "dependentSchemas" | "patternProperties" => is_stray_among(value, false),
        _ => is_stray(value, false),
    })
}

fn is_stray_among(schemas: &Value, on_path: bool) -> bool {
    schemas.as_object().is_some_and(|schemas| schemas.values().any(|schema| is_stray(schema, on_path)))
}

fn is_stray(schema: &Value, on_path: bool) -> bool {
    match schema {
        Value::Object(schema) => has_stray(schema, on_path),
        Value::Array(schemas) => schemas.iter().any(|schema| is_stray(schema, false)),
        _ => false,
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn arguments_are_mirrored_and_what_no_header_holds_is_encoded() {
        let schema = object(json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "count": {"type": "integer", "x-mcp-header": "Count"},
            "deep": {"type": "object", "properties": {"flag": {"type": "boolean", "x-mcp-header": "Flag"}}},
            "gone": {"type": "string", "x-mcp-header": "Gone"},
            "plain": {"type": "string"},
        }}));
        check(&schema).unwrap();
        let arguments =
            object(json!({"region": "M\u{fc}nchen", "count": 42, "deep": {"flag": true}, "gone": null, "plain": "x"}));
        let mirrored = headers(&schema, &arguments);
        assert_eq!(mirrored.len(), 3);
        assert_eq!(mirrored["mcp-param-region"], "=?base64?TcO8bmNoZW4=?=");
        assert_eq!(mirrored["mcp-param-count"], "42");
        assert_eq!(mirrored["mcp-param-flag"], "true");
    }

    #[test]
    fn only_what_a_header_cannot_hold_is_encoded() {
        for plain in ["", "a", "us west 1", "=?base64?", "a?="] {
            assert_eq!(encode(plain), plain);
        }
        for text in [" a", "a ", "\ta", "a\r\nb: c", "\u{4e16}", "=?base64?eA==?=", "a\u{7f}"] {
            assert!(encode(text).starts_with("=?base64?"), "{text}");
        }
    }

    #[test]
    fn an_annotation_that_breaks_a_rule_is_refused() {
        let property = |property: Value| json!({"properties": {"a": property}});
        for schema in [
            property(json!({"type": "string", "x-mcp-header": ""})),
            property(json!({"type": "string", "x-mcp-header": 1})),
            property(json!({"type": "string", "x-mcp-header": "a b"})),
            property(json!({"type": "string", "x-mcp-header": "a:b"})),
            property(json!({"type": "string", "x-mcp-header": "R\u{e9}gion"})),
            property(json!({"type": "string", "x-mcp-header": "a\u{1}"})),
            property(json!({"type": "number", "x-mcp-header": "a"})),
            property(json!({"type": "object", "x-mcp-header": "a"})),
            property(json!({"type": "array", "items": {"type": "string", "x-mcp-header": "a"}})),
            property(json!({"anyOf": [{"type": "string", "x-mcp-header": "a"}]})),
            json!({"x-mcp-header": "a"}),
            json!({"$defs": {"a": {"type": "string", "x-mcp-header": "a"}}}),
            json!({"properties": {
                "a": {"type": "string", "x-mcp-header": "Same"}, "b": {"type": "string", "x-mcp-header": "same"},
            }}),
        ] {
            assert!(check(&object(schema.clone())).is_err(), "{schema}");
        }
        let as_data = property(json!({"type": "string", "default": {"x-mcp-header": "a"}}));
        assert_eq!(check(&object(as_data)), Ok(()));
    }
}
