//! Records as rows: no nesting, no nulls, no texts without end.

use serde_json::{Map, Value};

use crate::text::clean;

/// Levels of relationships that are followed.
const MAX_DEPTH: usize = 8;

/// Rows, and how many texts in them were cut.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The rows.
    pub rows: Vec<Map<String, Value>>,
    /// Texts that were longer than allowed.
    pub cut: usize,
}

/// Makes rows of records. A relationship becomes `Account.Name`, a subquery JSON text of its own rows, `attributes` is
/// left out, null is absent; a text longer than `max_text` characters ends with a mark that says how long it was.
pub fn rows(records: &[Value], max_text: usize) -> Rows {
    let mut rows = Rows::default();
    for record in records {
        let mut row = Map::new();
        if let Value::Object(fields) = record {
            rows.cut += add(&mut row, "", fields, max_text, 0);
        }
        rows.rows.push(row);
    }
    rows
}

/// Makes one row of a record, as [`rows`] does.
pub fn row(record: &Value, max_text: usize) -> (Map<String, Value>, usize) {
    let mut one = rows(std::slice::from_ref(record), max_text);
    (one.rows.pop().unwrap_or_default(), one.cut)
}

fn add(
    row: &mut Map<String, Value>,
    prefix: &str,
    fields: &Map<String, Value>,
    max_text: usize,
    depth: usize,
) -> usize {
    let mut cut = 0;
    for (name, value) in fields.iter().filter(|(name, _)| *name != "attributes") {
        let name = format!("{prefix}{}", clean(name));
        match value {
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) => {
                row.insert(name, value.clone());
            }
            Value::String(text) => cut += insert(row, name, text, max_text),
            Value::Object(inner) if inner.get("records").is_some_and(Value::is_array) || depth >= MAX_DEPTH => {
                let inner = inner.get("records").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let inner = rows(inner, max_text);
                let text = Value::Array(inner.rows.into_iter().map(Value::Object).collect()).to_string();
                cut += inner.cut + insert(row, name, &text, max_text);
            }
            Value::Object(inner) => cut += add(row, &format!("{name}."), inner, max_text, depth + 1),
            Value::Array(_) => cut += insert(row, name, &value.to_string(), max_text),
        }
    }
    cut
}

fn insert(row: &mut Map<String, Value>, name: String, text: &str, max_text: usize) -> usize {
    let text = clean(text);
    let length = text.chars().count();
    if length <= max_text {
        row.insert(name, text.into());
        return 0;
    }
    let kept: String = text.chars().take(max_text).collect();
    row.insert(name, format!("{kept}\u{2026} [cut: {max_text} of {length} characters]").into());
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_record_becomes_a_flat_row() {
        let record = json!({
            "attributes": {"type": "Contact", "url": "/services/data/v66.0/sobjects/Contact/003000000000001AAA"},
            "Id": "003000000000001AAA",
            "Email": null,
            "HasOptedOutOfEmail": false,
            "Account": {"attributes": {"type": "Account"}, "Name": "Acme\u{202e}", "Owner": {"attributes": {}, "Name": "A"}},
            "ReportsTo": null,
            "MailingAddress": {"city": "Oslo", "latitude": 59.9, "street": null},
            "Cases": {"totalSize": 1, "done": true, "records": [{"attributes": {}, "Subject": "x", "Parent": null}]},
            "Tags": ["a", "b"],
        });
        let (row, cut) = row(&record, 100);
        assert_eq!(
            Value::Object(row),
            json!({
                "Id": "003000000000001AAA",
                "HasOptedOutOfEmail": false,
                "Account.Name": "Acme",
                "Account.Owner.Name": "A",
                "MailingAddress.city": "Oslo",
                "MailingAddress.latitude": 59.9,
                "Cases": r#"[{"Subject":"x"}]"#,
                "Tags": r#"["a","b"]"#,
            })
        );
        assert_eq!(cut, 0);
    }

    #[test]
    fn a_long_text_is_cut_with_a_mark_that_says_so() {
        let (row, cut) = row(&json!({"Description": "a".repeat(5_000_000)}), 3);
        assert_eq!((row["Description"].as_str().unwrap(), cut), ("aaa\u{2026} [cut: 3 of 5000000 characters]", 1));
    }

    fn json_values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(12, 64, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("(records|attributes|[a-z]{1,3})", inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_row_is_flat_and_has_no_null(records in prop::collection::vec(json_values(), 0..4), max in 1usize..20) {
            for row in rows(&records, max).rows {
                for value in row.values() {
                    prop_assert!(!value.is_null() && !value.is_object() && !value.is_array());
                    prop_assert!(value.as_str().is_none_or(|text| text.chars().count() < max + 50));
                }
            }
        }
    }
}
