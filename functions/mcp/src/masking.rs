//! Masking: what is left of a value where it may not be seen whole. Enough to recognise a value that one knows.

use serde_json::{Map, Value};

/// Rows of a list that are shown.
const ROWS: usize = 3;
/// Most stars, so that a length does not tell much.
const STARS: usize = 8;

/// A text's first two characters, one of a short one, and stars.
pub fn text(text: &str) -> String {
    let length = text.chars().count();
    let shown = if length > 4 { 2 } else { usize::from(length > 1) };
    text.chars().take(shown).chain(std::iter::repeat_n('*', (length - shown).min(STARS))).collect()
}

/// The same shape, with texts and numbers masked; of a list the first rows.
pub fn value(value: &Value) -> Value {
    match value {
        Value::String(whole) => Value::String(text(whole)),
        Value::Number(whole) => Value::String(text(&whole.to_string())),
        Value::Array(rows) => Value::Array(rows.iter().take(ROWS).map(self::value).collect()),
        Value::Object(members) => Value::Object(object(members)),
        Value::Bool(_) | Value::Null => value.clone(),
    }
}

/// The same names, with masked values.
pub fn object(members: &Map<String, Value>) -> Map<String, Value> {
    members.iter().map(|(name, member)| (name.clone(), value(member))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_left_whole_but_its_shape() {
        for (whole, masked) in [
            ("", ""),
            ("7", "*"),
            ("1001", "1***"),
            ("C-0001", "C-****"),
            ("jo@example.com", "jo********"),
            ("éééé", "é***"),
        ] {
            assert_eq!(text(whole), masked);
        }
        let whole = json!({ "id": "C-0001", "points": 1250, "gold": true, "rows": [{ "a": "xyzzy" }, {}, {}, {}] });
        let masked = json!({ "id": "C-****", "points": "1***", "gold": true, "rows": [{ "a": "xy***" }, {}, {}] });
        assert_eq!(value(&whole), masked);
    }
}
