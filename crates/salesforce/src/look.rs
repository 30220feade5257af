//! Queries that tell whether a write was made of which nobody knows: literals of it are rendered, names are those of the
//! description.

use serde_json::{Map, Value};
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime};

use crate::describe::{Describe, Field};
use crate::ids::RecordId;
use crate::names::{FieldName, FieldPath, ObjectName};
use crate::soql::{Condition, Literal, Operator, Query};

/// Most conditions on a new record: enough to know it.
const MAX_CONDITIONS: usize = 4;
/// Most fields of a change that are shown.
const MAX_FIELDS: usize = 5;
/// Longer texts cannot be filtered by, or need not.
const MAX_TEXT: usize = 255;

/// Records of the last day that have these fields. `None` when there is no field to know one by.
pub fn for_new(describe: &Describe, fields: &Map<String, Value>) -> Option<String> {
    let mut known: Vec<(&Field, Condition)> = describe
        .fields
        .iter()
        .filter_map(|field| Some((field, condition(field, value_of(fields, &field.name)?)?)))
        .collect();
    // What every record has says more than what some have.
    known.sort_by_key(|(field, _)| field.nillable && field.kind != "email" && !field.external_id);
    let mut conditions: Vec<Condition> =
        known.into_iter().take(MAX_CONDITIONS).map(|(_, condition)| condition).collect();
    if conditions.is_empty() {
        return None;
    }
    if let Some(created) = path(describe, "CreatedDate") {
        conditions.push(Condition::Compare(created, Operator::Equal, Literal::LastDays(1)));
    }
    render(describe, &["CreatedDate"], Condition::All(conditions), 10)
}

/// The record, with when it was changed and what its fields have now.
pub fn for_change(describe: &Describe, id: &RecordId, fields: &Map<String, Value>) -> Option<String> {
    let mut shown = vec!["LastModifiedDate"];
    let changed = describe.fields.iter().filter(|field| value_of(fields, &field.name).is_some());
    shown.extend(changed.map(|field| field.name.as_str()).take(MAX_FIELDS));
    render(describe, &shown, by_id(describe, id)?, 1)
}

/// The record that an upsert made or changed.
pub fn for_upsert(describe: &Describe, field: &Field, value: &str) -> Option<String> {
    let condition = condition(field, &Value::from(value))?;
    render(describe, &["CreatedDate", "LastModifiedDate"], condition, 2)
}

/// The record, if it is still there.
pub fn for_delete(describe: &Describe, id: &RecordId) -> Option<String> {
    render(describe, &[], by_id(describe, id)?, 1)
}

fn by_id(describe: &Describe, id: &RecordId) -> Option<Condition> {
    Some(Condition::Compare(path(describe, "Id")?, Operator::Equal, Literal::Id(id.clone())))
}

fn render(describe: &Describe, shown: &[&str], condition: Condition, limit: u32) -> Option<String> {
    let fields = std::iter::once(&"Id").chain(shown).filter_map(|name| path(describe, name)).collect();
    let object = ObjectName::parse(&describe.name)?;
    Query { fields, object, condition: Some(condition), order: Vec::new(), limit, offset: 0 }.render().ok()
}

/// A field of the object, by its name there.
fn path(describe: &Describe, name: &str) -> Option<FieldPath> {
    describe.field(name).and_then(|field| FieldName::parse(&field.name)).map(FieldPath::from)
}

fn value_of<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// That a field has a value, where a query may ask so.
fn condition(field: &Field, value: &Value) -> Option<Condition> {
    let literal = match (field.kind.as_str(), value) {
        ("string" | "email" | "phone" | "url" | "picklist" | "combobox", Value::String(text)) => {
            let telling = !text.is_empty() && field.length <= MAX_TEXT && text.chars().count() <= MAX_TEXT;
            telling.then(|| Literal::Text(text.clone()))?
        }
        ("reference" | "id", Value::String(text)) => Literal::Id(RecordId::parse(text)?),
        ("date", Value::String(text)) => Literal::Date(Date::parse(text, &Iso8601::DATE).ok()?),
        ("datetime", Value::String(text)) => Literal::DateTime(moment(text)?),
        ("int" | "long" | "double" | "currency" | "percent", value) => number(value)?,
        _ => return None,
    };
    let name = FieldName::parse(&field.name)?;
    Some(Condition::Compare(name.into(), Operator::Equal, literal))
}

fn moment(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).or_else(|_| OffsetDateTime::parse(text, &Iso8601::DEFAULT)).ok()
}

/// A number; an external id that is one comes as a text.
fn number(value: &Value) -> Option<Literal> {
    let parsed: Value = match value {
        Value::String(text) => serde_json::from_str(text).ok()?,
        other => other.clone(),
    };
    parsed.as_i64().map(Literal::Integer).or_else(|| parsed.as_f64().map(Literal::Decimal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe;
    use proptest::prelude::*;
    use serde_json::json;

    fn contact() -> Describe {
        let field = |name: &str, kind: &str, nillable: bool, length: usize| json!({ "name": name, "type": kind, "nillable": nillable, "length": length, "createable": true });
        let fields = [
            field("Id", "id", false, 18),
            field("FirstName", "string", true, 40),
            field("LastName", "string", false, 80),
            field("Email", "email", true, 80),
            field("Description", "textarea", true, 32_000),
            field("AccountId", "reference", true, 18),
            field("Start__c", "datetime", true, 0),
            field("Number__c", "double", true, 0),
            field("CreatedDate", "datetime", false, 0),
            field("LastModifiedDate", "datetime", false, 0),
        ];
        describe::parse(json!({ "name": "Contact", "fields": fields })).unwrap()
    }

    fn new(fields: &Value) -> Option<String> {
        for_new(&contact(), fields.as_object().unwrap())
    }

    #[test]
    fn a_new_record_is_known_by_what_was_written() {
        assert_eq!(
            new(&json!({ "firstname": "Pat", "LastName": "O'Hara", "Description": "x", "Email": "p@example.com" }))
                .unwrap(),
            "SELECT Id, CreatedDate FROM Contact WHERE (LastName = 'O\\'Hara' AND Email = 'p@example.com' AND \
             FirstName = 'Pat' AND CreatedDate = LAST_N_DAYS:1) LIMIT 10"
        );
        assert_eq!(
            new(&json!({ "Start__c": "2026-02-20T18:00:00+01:00", "AccountId": "001A0000006Vm9r" })).unwrap(),
            "SELECT Id, CreatedDate FROM Contact WHERE (AccountId = '001A0000006Vm9rIAC' AND \
             Start__c = 2026-02-20T17:00:00Z AND CreatedDate = LAST_N_DAYS:1) LIMIT 10"
        );
        for nothing in [json!({}), json!({ "Description": "x" }), json!({ "LastName": "" }), json!({ "Other__c": 1 })] {
            assert_eq!(new(&nothing), None, "{nothing}");
        }
    }

    #[test]
    fn other_writes_are_known_by_their_record() {
        let (contact, id) = (contact(), RecordId::parse("003000000000001").unwrap());
        assert_eq!(
            for_change(&contact, &id, json!({ "email": null }).as_object().unwrap()).unwrap(),
            "SELECT Id, LastModifiedDate, Email FROM Contact WHERE Id = '003000000000001AAA' LIMIT 1"
        );
        assert_eq!(
            for_delete(&contact, &id).unwrap(),
            "SELECT Id FROM Contact WHERE Id = '003000000000001AAA' LIMIT 1"
        );
        let number = contact.field("Number__c").unwrap();
        assert_eq!(
            for_upsert(&contact, number, "12").unwrap(),
            "SELECT Id, CreatedDate, LastModifiedDate FROM Contact WHERE Number__c = 12 LIMIT 2"
        );
        assert_eq!(for_upsert(&contact, number, "1 OR 1=1"), None);
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_quotes(text in any::<String>()) {
            if let Some(query) = new(&json!({ "LastName": text })) {
                let literal = query.strip_prefix("SELECT Id, CreatedDate FROM Contact WHERE (LastName = '").unwrap();
                let literal = literal.strip_suffix("' AND CreatedDate = LAST_N_DAYS:1) LIMIT 10").unwrap();
                let mut escaped = false;
                for c in literal.chars() {
                    prop_assert!(c != '\'' || escaped);
                    escaped = c == '\\' && !escaped;
                }
                prop_assert!(!escaped);
            }
        }
    }
}
