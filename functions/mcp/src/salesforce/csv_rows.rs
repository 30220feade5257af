//! Rows as CSV, and back: what bulk jobs take and give (Bulk API 2.0 Developer Guide, "Prepare CSV Files").

use csv::{ReaderBuilder, Terminator, WriterBuilder};
use serde_json::{Map, Value};

/// What empties a field; an empty value leaves it as it is.
const NULL: &str = "#N/A";

/// Why rows cannot be written, as the start of a sentence.
#[derive(Debug, PartialEq, Eq)]
pub struct Unwritable(pub String);

/// CSV of the rows: a column for each field of any of them, in the order in which they come, lines ended by LF. A field
/// that a row does not have is empty, null and the empty text are `#N/A`; `{"Account": {"Ext__c": "1"}}` is the column
/// `Account.Ext__c`.
///
/// # Errors
/// [`Unwritable`] for a value that CSV does not have.
pub fn write(rows: &[Map<String, Value>]) -> Result<String, Unwritable> {
    let mut header: Vec<String> = Vec::new();
    let mut lines: Vec<Vec<(usize, String)>> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let mut line = Vec::new();
        let mut put = |name: &str, value: &Value| {
            let known = header.iter().position(|other| other.eq_ignore_ascii_case(name));
            let column = known.unwrap_or_else(|| {
                header.push(name.to_owned());
                header.len() - 1
            });
            let text = cell(value).ok_or_else(|| {
                Unwritable(format!("Row {}: {name} has a value that a bulk job cannot write", at + 1))
            })?;
            line.push((column, text));
            Ok(())
        };
        for (name, value) in row {
            match value {
                Value::Object(by) => {
                    for (field, value) in by.iter().filter(|(field, _)| *field != "attributes") {
                        put(&format!("{name}.{field}"), value)?;
                    }
                }
                value => put(name, value)?,
            }
        }
        lines.push(line);
    }
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(Vec::new());
    let unwritable = |_| Unwritable("The rows cannot be written as CSV".to_owned());
    writer.write_record(&header).map_err(unwritable)?;
    for line in lines {
        let mut cells = vec![String::new(); header.len()];
        for (column, text) in line {
            if let Some(cell) = cells.get_mut(column) {
                *cell = text;
            }
        }
        writer.write_record(&cells).map_err(unwritable)?;
    }
    let bytes = writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok());
    bytes.ok_or_else(|| Unwritable("The rows cannot be written as CSV".to_owned()))
}

/// `None` for a list, an object, and the text that would empty the field.
fn cell(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(NULL.to_owned()),
        Value::String(text) if text.is_empty() => Some(NULL.to_owned()),
        Value::String(text) if text == NULL => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Rows of CSV with a header, each value a text; empty ones are absent. `None` when it is no CSV.
pub fn read(csv: &str) -> Option<Vec<Value>> {
    let csv = csv.trim_start_matches('\u{feff}');
    if csv.trim().is_empty() {
        return Some(Vec::new());
    }
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(csv.as_bytes());
    let header = reader.headers().ok()?.clone();
    let row = |record: csv::StringRecord| {
        let cells = header.iter().zip(record.iter()).filter(|(_, value)| !value.is_empty());
        Value::Object(cells.map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
    };
    reader.records().map(|record| record.ok().map(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn written(rows: Value) -> Result<String, Unwritable> {
        let rows: Vec<Map<String, Value>> = serde_json::from_value(rows).unwrap();
        write(&rows)
    }

    #[test]
    fn rows_become_csv() {
        let rows = json!([
            { "LastName": "O'Hara, Pat", "Active__c": true, "Account": { "Ext__c": "A-1" } },
            { "LastName": "a \"b\"\nc", "Level__c": 1.5, "Email": null, "lastname2": "" },
        ]);
        // A map may keep its own order: columns are compared as a set.
        let csv = written(rows).unwrap();
        let rows = read(&csv).unwrap();
        assert_eq!(rows[0], json!({ "LastName": "O'Hara, Pat", "Active__c": "true", "Account.Ext__c": "A-1" }));
        assert_eq!(
            rows[1],
            json!({ "LastName": "a \"b\"\nc", "Level__c": "1.5", "Email": "#N/A", "lastname2": "#N/A" })
        );
        assert!(csv.ends_with('\n') && !csv.contains('\r'));
    }

    #[test]
    fn what_csv_cannot_say_is_refused() {
        for value in [json!([1]), json!("#N/A")] {
            let refused = written(json!([{ "LastName": "a" }, { "LastName": value }])).unwrap_err();
            assert!(refused.0.starts_with("Row 2: LastName"), "{refused:?}");
        }
    }

    #[test]
    fn no_rows_are_no_rows() {
        for nothing in ["", "\n", "\u{feff}", "\"sf__Id\",\"sf__Created\"\n"] {
            assert_eq!(read(nothing), Some(Vec::new()), "{nothing:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(texts in prop::collection::vec(("[A-C]", "[^\u{feff}]+"), 1..5)) {
            let rows: Vec<Map<String, Value>> =
                texts.iter().map(|(name, text)| Map::from_iter([(name.clone(), json!(text))])).collect();
            prop_assume!(texts.iter().all(|(_, text)| text != NULL));
            let read = read(&write(&rows).unwrap()).unwrap();
            prop_assert_eq!(read, rows.into_iter().map(Value::Object).collect::<Vec<_>>());
        }
    }
}
