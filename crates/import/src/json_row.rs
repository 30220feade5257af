//! Looks into a row of JSON: an object of single values. Numbers keep the digits they are written with.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::reason::Reason;
use crate::source::{Cell, column_name};

/// Names and values of an object in their order, names that come twice too.
pub(crate) struct Members<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// The members of an object. `line` is that of its first character.
pub(crate) fn members(text: &str, line: u64) -> Result<Members<'_>, Reason> {
    if !text.starts_with('{') {
        return Err(Reason::NotAnObject { found: kind(text) });
    }
    serde_json::from_str(text).map_err(|error| not_json(&error, line))
}

/// The values of an object by column.
pub(crate) fn cells(text: &str, line: u64) -> Result<Vec<(Cow<'_, str>, Cell<'_>)>, Reason> {
    let members = members(text, line)?.0.into_iter();
    let cells = members.map(|(name, value)| Ok((Cow::Owned(column_name(&name)), cell(value.get())?)));
    // A text may have escapes that stand for no character.
    cells.collect::<serde_json::Result<_>>().map_err(|error| not_json(&error, line))
}

fn cell(json: &str) -> serde_json::Result<Cell<'_>> {
    Ok(match json.as_bytes().first() {
        Some(b'"') => Cell::Text(Cow::Owned(serde_json::from_str(json)?)),
        Some(b'{' | b'[') => Cell::Nested(compact(json)),
        Some(b't') => Cell::Bool(true),
        Some(b'f') => Cell::Bool(false),
        Some(b'n') | None => Cell::Null,
        Some(_) => Cell::Number(json),
    })
}

/// The same JSON without the white space between its parts.
fn compact(json: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    let is_part = |c: &char| {
        let keep = in_text || !c.is_ascii_whitespace();
        in_text ^= *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        keep
    };
    json.chars().filter(is_part).collect()
}

fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "a text",
        Some(b'[') => "an array",
        Some(b'n') => "null",
        Some(b't' | b'f') => "a boolean",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => "no JSON",
    }
}

fn not_json(error: &serde_json::Error, line: u64) -> Reason {
    let (within, column) = (error.line(), error.column());
    let message = error.to_string();
    let what = message.strip_suffix(&format!(" at line {within} column {column}")).unwrap_or(&message);
    let place = match within {
        0 | 1 => format!("column {column} of the row"),
        _ => format!("line {}, column {column}", line + within as u64 - 1),
    };
    Reason::NotJson { what: what.to_owned(), place }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        cells(text, 7).unwrap_err().to_string()
    }

    #[test]
    fn values_keep_their_type_and_numbers_their_digits() {
        let text = r#"{"a": "x\n\"y", "b": 1.50, "c": true, " d\n e ": null, "f": {"g": [1, "a b\" c"]}, "a": 12345678901234567890}"#;
        let cells = cells(text, 1).unwrap();
        let expected = [
            ("a", Cell::Text("x\n\"y".into())),
            ("b", Cell::Number("1.50")),
            ("c", Cell::Bool(true)),
            ("d e", Cell::Null),
            ("f", Cell::Nested(r#"{"g":[1,"a b\" c"]}"#.into())),
            ("a", Cell::Number("12345678901234567890")),
        ];
        assert_eq!(cells, expected.map(|(name, cell)| (name.into(), cell)));
    }

    #[test]
    fn what_is_no_object_is_named() {
        let kinds = [("5", "a number"), (r#""x""#, "a text"), ("[1]", "an array"), ("null", "null"), ("x", "no JSON")];
        for (text, kind) in kinds {
            assert_eq!(refusal(text), format!("the row is {kind}, not an object"));
        }
    }

    #[test]
    fn broken_json_is_refused_with_its_place() {
        assert_eq!(refusal("{\"a\": 1,\n \"b\": 01}"), "the row is not JSON: invalid number (line 8, column 8)");
        assert_eq!(refusal(r#"{"a": yes}"#), "the row is not JSON: expected value (column 7 of the row)");
        assert!(refusal(r#"{"a": "\ud800"}"#).starts_with("the row is not JSON: "));
        assert!(refusal(r#"{"a": 1} {"#).contains("trailing characters"));
    }

    #[test]
    fn deep_nesting_is_only_a_long_text() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let text = format!("{{\"a\": {deep}}}");
        assert_eq!(cells(&text, 1).unwrap()[0].1, Cell::Nested(deep));
    }
}
