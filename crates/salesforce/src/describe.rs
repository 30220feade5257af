//! Descriptions of objects, and fields checked against them before anything is sent.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::format_description::well_known::{Iso8601, Rfc3339};

use crate::ids::RecordId;
use crate::names::{FieldPath, nearest};

/// An object, as far as we use its description.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Describe {
    /// API name.
    pub name: String,
    /// Name for people.
    #[serde(default)]
    pub label: String,
    /// Its fields.
    pub fields: Vec<Field>,
    /// Relationships to records that refer to it, for subqueries.
    #[serde(default)]
    pub child_relationships: Vec<ChildRelationship>,
}

/// A field.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// API name.
    pub name: String,
    /// Name for people.
    #[serde(default)]
    pub label: String,
    /// `string`, `double`, `picklist`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Most characters of a text; 0 where that means nothing.
    #[serde(default)]
    pub length: usize,
    /// Whether it may be empty.
    #[serde(default)]
    pub nillable: bool,
    /// Whether it may be set on creation.
    #[serde(default)]
    pub createable: bool,
    /// Whether it may be changed.
    #[serde(default)]
    pub updateable: bool,
    /// Whether Salesforce gives it a value on creation.
    #[serde(default)]
    pub defaulted_on_create: bool,
    /// Whether only the values of the list are taken.
    #[serde(default)]
    pub restricted_picklist: bool,
    /// Values of a list.
    #[serde(default)]
    pub picklist_values: Vec<PicklistValue>,
    /// Objects that it refers to.
    #[serde(default)]
    pub reference_to: Vec<String>,
    /// Name of the relationship, as `Account` of `AccountId`.
    #[serde(default)]
    pub relationship_name: Option<String>,
    /// Whether records may be named by it.
    #[serde(default)]
    pub external_id: bool,
    /// Whether records may be looked up by it, as by `Email`.
    #[serde(default)]
    pub id_lookup: bool,
}

/// A value of a list.
#[derive(Clone, Debug, Deserialize)]
pub struct PicklistValue {
    /// The value.
    pub value: String,
    /// Whether it may still be chosen.
    #[serde(default)]
    pub active: bool,
}

/// Records that refer to this one.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChildRelationship {
    /// Its name in a subquery, if it has one.
    #[serde(default)]
    pub relationship_name: Option<String>,
    /// Their object.
    #[serde(rename = "childSObject")]
    pub child_object: String,
    /// Their field that refers to it.
    #[serde(default)]
    pub field: String,
    /// Whether they go when this one is deleted.
    #[serde(default)]
    pub cascade_delete: bool,
}

/// An object in the list of all of them.
#[derive(Clone, Debug, Deserialize)]
pub struct ListedObject {
    /// API name.
    pub name: String,
    /// Name for people.
    #[serde(default)]
    pub label: String,
    /// Whether the org made it.
    #[serde(default)]
    pub custom: bool,
    /// Whether it may be queried.
    #[serde(default)]
    pub queryable: bool,
    /// Whether records may be made.
    #[serde(default)]
    pub createable: bool,
    /// Whether they may be changed.
    #[serde(default)]
    pub updateable: bool,
    /// Whether they may be deleted.
    #[serde(default)]
    pub deletable: bool,
}

/// Reads the list of all objects; `None` when it is none.
pub fn parse_list(mut body: Value) -> Option<Vec<ListedObject>> {
    serde_json::from_value(body.get_mut("sobjects")?.take()).ok()
}

/// Reads a description; `None` when it is none.
pub fn parse(body: Value) -> Option<Describe> {
    serde_json::from_value(body).ok()
}

/// What is done with fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A record is made.
    Create,
    /// A record is changed.
    Update,
}

/// A field that cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldProblem {
    /// The field, as the caller wrote it.
    pub field: String,
    /// What is wrong, as a sentence.
    pub problem: String,
}

impl Describe {
    /// A field by its name; case does not count, as in Salesforce.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// The field that refers to another record, by the name of the relationship.
    pub fn relationship(&self, name: &str) -> Option<&Field> {
        let is_it = |field: &&Field| {
            field.relationship_name.as_ref().is_some_and(|relationship| relationship.eq_ignore_ascii_case(name))
        };
        self.fields.iter().find(is_it)
    }

    fn unknown(&self, name: &str) -> String {
        let object = &self.name;
        match nearest(name, self.fields.iter().map(|field| field.name.as_str())) {
            Some(meant) => format!("{object} has no field of this name; did you mean {meant}?"),
            None => format!("{object} has no field of this name"),
        }
    }
}

/// Checks fields that are asked for. Of a path only the first relationship is checked: the rest is of another object.
pub fn check_reads(describe: &Describe, names: &[FieldPath]) -> Vec<FieldProblem> {
    let check = |name: &FieldPath| {
        let problem = match name.relationship() {
            None if describe.field(name.as_str()).is_some() => return None,
            None => describe.unknown(name.as_str()),
            Some((relationship, _)) if describe.relationship(relationship).is_some() => return None,
            Some((relationship, _)) => {
                let known = describe.fields.iter().filter_map(|field| field.relationship_name.as_deref());
                match nearest(relationship, known) {
                    Some(meant) => {
                        format!("{} has no relationship {relationship}; did you mean {meant}?", describe.name)
                    }
                    None => format!("{} has no relationship {relationship}", describe.name),
                }
            }
        };
        Some(FieldProblem { field: name.to_string(), problem })
    };
    names.iter().filter_map(check).collect()
}

/// Checks fields that are written: names, whether they may be written, types, lengths, values of lists; on creation also
/// those that are missing.
pub fn check_fields(describe: &Describe, fields: &Map<String, Value>, what: Use) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    for (name, value) in fields {
        if let Err(problem) = check_field(describe, name, value, what) {
            problems.push(FieldProblem { field: name.clone(), problem });
        }
    }
    let given = |field: &Field| {
        fields.iter().any(|(name, value)| {
            let by_relationship =
                || field.relationship_name.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(name));
            !value.is_null() && (field.name.eq_ignore_ascii_case(name) || by_relationship())
        })
    };
    let required = |field: &&Field| field.createable && !field.nillable && !field.defaulted_on_create;
    if what == Use::Create {
        let missing = describe.fields.iter().filter(required).filter(|field| !given(field));
        problems.extend(missing.filter(|field| !fields.keys().any(|name| field.name.eq_ignore_ascii_case(name))).map(
            |field| FieldProblem { field: field.name.clone(), problem: "a new record needs a value for it".to_owned() },
        ));
    }
    problems
}

fn check_field(describe: &Describe, name: &str, value: &Value, what: Use) -> Result<(), String> {
    // A reference by an external id: `"Account": {"External_Id__c": "A-1"}`.
    if let (None, Some(field), Value::Object(_)) = (describe.field(name), describe.relationship(name), value) {
        return check_writable(field, what);
    }
    let Some(field) = describe.field(name) else { return Err(describe.unknown(name)) };
    check_writable(field, what)?;
    match value {
        Value::Null if field.nillable || field.defaulted_on_create => Ok(()),
        Value::Null => Err("it cannot be empty".to_owned()),
        value => check_value(field, value),
    }
}

fn check_writable(field: &Field, what: Use) -> Result<(), String> {
    match what {
        Use::Create if !field.createable => Err("it cannot be set on a new record".to_owned()),
        Use::Update if !field.updateable => Err("it cannot be changed".to_owned()),
        _ => Ok(()),
    }
}

fn check_value(field: &Field, value: &Value) -> Result<(), String> {
    let wrong = |expected: &str| Err(format!("it takes {expected}, not {}", kind_of(value)));
    match (field.kind.as_str(), value) {
        ("boolean", Value::Bool(_)) => Ok(()),
        ("boolean", _) => wrong("true or false"),
        ("int" | "long", Value::Number(number)) if is_whole(number) => Ok(()),
        ("int" | "long", _) => wrong("a whole number"),
        ("double" | "currency" | "percent", Value::Number(_)) => Ok(()),
        ("double" | "currency" | "percent", _) => wrong("a number"),
        ("date", Value::String(text)) if is_date(text) => Ok(()),
        ("date", _) => wrong("a date as 2026-02-20"),
        ("datetime", Value::String(text)) if is_moment(text) || is_date(text) => Ok(()),
        ("datetime", _) => wrong("a date and time as 2026-02-20T18:00:00Z"),
        ("reference" | "id", Value::String(text)) if RecordId::parse(text).is_some() => Ok(()),
        ("reference" | "id", _) => wrong("a record id of 15 or 18 characters"),
        (kind, Value::String(text)) => check_text(field, kind, text),
        // Types that are not known here are left to Salesforce.
        ("string" | "textarea" | "phone" | "url" | "email" | "picklist" | "multipicklist" | "combobox", _) => {
            wrong("a text")
        }
        _ => Ok(()),
    }
}

fn check_text(field: &Field, kind: &str, text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if field.length > 0 && length > field.length {
        return Err(format!("it takes {} characters at most, not {length}", field.length));
    }
    let chosen: Vec<&str> = match kind {
        "picklist" if !text.is_empty() => vec![text],
        "multipicklist" => text.split(';').filter(|value| !value.is_empty()).collect(),
        _ => Vec::new(),
    };
    if !field.restricted_picklist {
        return Ok(());
    }
    let active = || field.picklist_values.iter().filter(|value| value.active).map(|value| value.value.as_str());
    let Some(bad) = chosen.into_iter().find(|value| !active().any(|known| known == *value)) else { return Ok(()) };
    Err(match nearest(bad, active()) {
        Some(meant) => format!("its list has no such value; did you mean {meant:?}?"),
        None => {
            let some: Vec<&str> = active().take(20).collect();
            format!("its list has no such value; it has {}", some.join(", "))
        }
    })
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "this number",
        Value::String(_) => "this text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn is_whole(number: &serde_json::Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && time::Date::parse(text, &Iso8601::DATE).is_ok()
}

/// RFC 3339, or as Salesforce writes it, with `+0000`.
fn is_moment(text: &str) -> bool {
    time::OffsetDateTime::parse(text, &Rfc3339).is_ok() || time::OffsetDateTime::parse(text, &Iso8601::DEFAULT).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field(name: &str, kind: &str, more: Value) -> Value {
        let mut field = json!({
            "name": name, "label": name, "type": kind, "length": 0, "nillable": true, "createable": true,
            "updateable": true, "defaultedOnCreate": false, "restrictedPicklist": false, "picklistValues": [],
            "referenceTo": [], "relationshipName": null, "externalId": false, "idLookup": false
        });
        field.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        field
    }

    fn contact() -> Describe {
        let values = json!([{"value": "Hot", "active": true}, {"value": "Cold", "active": true}, {"value": "Old", "active": false}]);
        let fields = [
            field("Id", "id", json!({"createable": false, "updateable": false, "nillable": false})),
            field("LastName", "string", json!({"length": 80, "nillable": false})),
            field("FirstName", "string", json!({"length": 5})),
            field("Name", "string", json!({"createable": false, "updateable": false, "nillable": false})),
            field("AccountId", "reference", json!({"relationshipName": "Account", "referenceTo": ["Account"]})),
            field("Birthdate", "date", json!({})),
            field("LastCall__c", "datetime", json!({})),
            field("Level__c", "int", json!({})),
            field("Score__c", "double", json!({})),
            field("HasOptedOutOfEmail", "boolean", json!({"nillable": false, "defaultedOnCreate": true})),
            field("Rating__c", "picklist", json!({"restrictedPicklist": true, "picklistValues": values, "length": 40})),
            field("Tags__c", "multipicklist", json!({"restrictedPicklist": true, "picklistValues": values})),
            field("Source__c", "picklist", json!({"picklistValues": values})),
            field("Fixed__c", "string", json!({"updateable": false})),
        ];
        parse(json!({"name": "Contact", "fields": fields, "childRelationships": [{"childSObject": "Case", "relationshipName": "Cases"}]})).unwrap()
    }

    fn problems(fields: Value, what: Use) -> Vec<String> {
        let problems = check_fields(&contact(), fields.as_object().unwrap(), what);
        problems.into_iter().map(|problem| format!("{}: {}", problem.field, problem.problem)).collect()
    }

    #[test]
    fn good_fields_are_sent() {
        let good = json!({
            "lastname": "O'Hara", "FirstName": "Zo\u{eb}", "AccountId": "001A0000006Vm9r", "Birthdate": "1990-02-28",
            "LastCall__c": "2026-02-20T18:00:00.000+0000", "Level__c": 3, "Score__c": 1.5, "HasOptedOutOfEmail": true,
            "Rating__c": "Hot", "Tags__c": "Hot;Cold", "Source__c": "anything", "Fixed__c": null,
        });
        assert_eq!(problems(good, Use::Create), Vec::<String>::new());
        for text in ["2026-02-20T18:00:00Z", "2026-02-20T18:00:00+01:00", "2026-02-20"] {
            assert_eq!(problems(json!({ "LastCall__c": text }), Use::Update), Vec::<String>::new());
        }
        let by_external_id = json!({"LastName": "a", "Account": {"External_Id__c": "A-1"}});
        assert_eq!(problems(by_external_id, Use::Create), Vec::<String>::new());
    }

    #[test]
    fn what_salesforce_would_refuse_is_told_before() {
        for (field, value, told) in [
            ("Lastnmae", json!("a"), "Lastnmae: Contact has no field of this name; did you mean LastName?"),
            ("Shoe_Size__c", json!(1), "Shoe_Size__c: Contact has no field of this name"),
            ("Name", json!("a"), "Name: it cannot be changed"),
            ("Fixed__c", json!("a"), "Fixed__c: it cannot be changed"),
            ("LastName", json!(null), "LastName: it cannot be empty"),
            ("LastName", json!(1), "LastName: it takes a text, not this number"),
            ("LastName", json!("a".repeat(81)), "LastName: it takes 80 characters at most, not 81"),
            ("AccountId", json!("Acme"), "AccountId: it takes a record id of 15 or 18 characters, not this text"),
            ("Birthdate", json!("28.2.1990"), "Birthdate: it takes a date as 2026-02-20, not this text"),
            ("Birthdate", json!("1990-02-30"), "Birthdate: it takes a date as 2026-02-20, not this text"),
            (
                "LastCall__c",
                json!("today"),
                "LastCall__c: it takes a date and time as 2026-02-20T18:00:00Z, not this text",
            ),
            ("Level__c", json!(1.5), "Level__c: it takes a whole number, not this number"),
            ("Level__c", json!("1"), "Level__c: it takes a whole number, not this text"),
            ("Score__c", json!("1"), "Score__c: it takes a number, not this text"),
            ("HasOptedOutOfEmail", json!("yes"), "HasOptedOutOfEmail: it takes true or false, not this text"),
            ("Rating__c", json!("hott"), "Rating__c: its list has no such value; did you mean \"Hot\"?"),
            ("Rating__c", json!("Old"), "Rating__c: its list has no such value; did you mean \"Cold\"?"),
            ("Rating__c", json!("Lukewarm"), "Rating__c: its list has no such value; it has Hot, Cold"),
            ("Tags__c", json!("Hot;Warm day"), "Tags__c: its list has no such value; it has Hot, Cold"),
            ("AccountId", json!({"a": "b"}), "AccountId: it takes a record id of 15 or 18 characters, not an object"),
        ] {
            assert_eq!(problems(json!({ field: value }), Use::Update), [told]);
        }
        assert_eq!(problems(json!({"Id": "003000000000001"}), Use::Create).len(), 2, "and the last name is missing");
    }

    #[test]
    fn a_new_record_needs_its_required_fields() {
        assert_eq!(problems(json!({"FirstName": "Ann"}), Use::Create), ["LastName: a new record needs a value for it"]);
        assert_eq!(problems(json!({"LastName": null}), Use::Create), ["LastName: it cannot be empty"]);
        assert_eq!(problems(json!({"FirstName": "Ann"}), Use::Update), Vec::<String>::new());
    }

    #[test]
    fn fields_that_are_read_are_checked_by_name() {
        let paths = |names: &[&str]| names.iter().map(|name| FieldPath::parse(name).unwrap()).collect::<Vec<_>>();
        assert_eq!(check_reads(&contact(), &paths(&["id", "LastName", "Account.Name", "account.Owner.Name"])), []);
        let told: Vec<String> = check_reads(&contact(), &paths(&["Names", "Accounts.Name", "Case.Subject"]))
            .into_iter()
            .map(|problem| problem.problem)
            .collect();
        assert_eq!(
            told,
            [
                "Contact has no field of this name; did you mean Name?",
                "Contact has no relationship Accounts; did you mean Account?",
                "Contact has no relationship Case",
            ]
        );
    }
}
