//! Creates, updates, deletes and upserts with the rules that Salesforce holds them to (REST API Developer Guide,
//! "Working with Records"; reference of the error codes in the same guide).

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::answer::ApiError;
use crate::dates::{format_date, format_datetime, parse_date, parse_datetime};
use crate::event_times;
use crate::ids;
use crate::org::{Effect, Org, Record, is_deleted};
use crate::schema::{self, Field, Kind, Object};

/// What holds for one write beside the record.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// When it is done.
    pub now: OffsetDateTime,
    /// `Sforce-Duplicate-Rule-Header: allowSave=true`
    pub allow_duplicates: bool,
}

/// What an upsert did.
#[derive(Debug)]
pub struct Upserted {
    /// The record.
    pub id: String,
    /// Whether it was made.
    pub created: bool,
}

/// Whether fields are for a new record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    Update,
}

/// Makes a record and gives its id.
///
/// # Errors
/// The first rule that it breaks.
pub fn create(org: &mut Org, object: &Object, fields: &Map<String, Value>, terms: Terms) -> Result<String, ApiError> {
    if !object.writable {
        let message = format!("entity type {} does not support create", object.name);
        return Err(ApiError::new(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message));
    }
    let changes = checked(org, object, fields, Mode::Create)?;
    let id = org.new_id(object);
    let mut record = org.new_record(object, &id, terms.now);
    apply(&mut record, changes);
    complete(org, object, &mut record, fields)?;
    let missing: Vec<&str> = object
        .fields
        .iter()
        .filter(|field| field.is_required() && !record.contains_key(field.name))
        .map(|field| field.name)
        .collect();
    if !missing.is_empty() {
        let message = format!("Required fields are missing: [{}]", missing.join(", "));
        return Err(ApiError::of_fields("REQUIRED_FIELD_MISSING", message, &missing));
    }
    check_unique(org, object, &record)?;
    check_duplicates(org, object, &record, terms)?;
    org.put(object, &id, record, Effect::Created);
    Ok(id)
}

/// Changes a record; null empties a field.
///
/// # Errors
/// The first rule that it breaks.
pub fn update(
    org: &mut Org,
    object: &Object,
    id: &str,
    fields: &Map<String, Value>,
    terms: Terms,
) -> Result<(), ApiError> {
    let (id, mut record) = living(org, object, id)?;
    if !object.writable {
        let message = "insufficient access rights on object id".to_owned();
        return Err(ApiError::of_fields("INSUFFICIENT_ACCESS_OR_READONLY", message, &[]));
    }
    let changes = checked(org, object, fields, Mode::Update)?;
    apply(&mut record, changes);
    complete(org, object, &mut record, fields)?;
    let emptied: Vec<&str> = object
        .fields
        .iter()
        .filter(|field| !field.nillable && field.updateable && !record.contains_key(field.name))
        .map(|field| field.name)
        .collect();
    if !emptied.is_empty() {
        let message = format!("Required fields are missing: [{}]", emptied.join(", "));
        return Err(ApiError::of_fields("REQUIRED_FIELD_MISSING", message, &emptied));
    }
    check_unique(org, object, &record)?;
    check_duplicates(org, object, &record, terms)?;
    stamp(org, &mut record, terms);
    org.put(object, &id, record, Effect::Updated);
    Ok(())
}

/// Puts a record into the recycle bin. Contacts and opportunities of an account go with it.
///
/// # Errors
/// No such record, or one that is there already.
pub fn delete(org: &mut Org, object: &Object, id: &str, terms: Terms) -> Result<(), ApiError> {
    let (id, mut record) = living(org, object, id)?;
    if !object.writable {
        let message = "insufficient access rights on object id".to_owned();
        return Err(ApiError::of_fields("INSUFFICIENT_ACCESS_OR_READONLY", message, &[]));
    }
    record.insert("IsDeleted".to_owned(), true.into());
    stamp(org, &mut record, terms);
    org.put(object, &id, record, Effect::Deleted);
    if object.name == "Account" {
        for child in ["Contact", "Opportunity"].iter().filter_map(|name| schema::object(name)) {
            let of_account = |record: &&Record| record.get("AccountId").and_then(Value::as_str) == Some(&id);
            let children: Vec<Value> =
                org.living(child).filter(of_account).map(|record| record["Id"].clone()).collect();
            for child_id in children.iter().filter_map(Value::as_str) {
                delete(org, child, child_id, terms)?;
            }
        }
    }
    Ok(())
}

/// Finds a record by a field with `externalId` or `idLookup` and changes it, or makes it.
///
/// # Errors
/// The first rule that it breaks; 300 with the paths of all matches if there are several (the caller makes the body).
pub fn upsert(
    org: &mut Org,
    object: &Object,
    field: &Field,
    value: &str,
    fields: &Map<String, Value>,
    update_only: bool,
    terms: Terms,
) -> Result<Upserted, ApiError> {
    // Collections and bulk jobs take the value out of the fields before they come here.
    if let Some(name) = fields.keys().find(|name| name.eq_ignore_ascii_case(field.name)) {
        let message = format!("The {name} field should not be specified in the sobject data.");
        return Err(ApiError::new(400, "INVALID_FIELD", message));
    }
    if field.kind == Kind::Id {
        update(org, object, value, fields, terms)?;
        return Ok(Upserted { id: ids::parse(value).unwrap_or_default(), created: false });
    }
    match find(org, object, field, value).as_slice() {
        [] if update_only => Err(not_found(value)),
        [] => {
            let mut fields = fields.clone();
            fields.insert(field.name.to_owned(), value.into());
            Ok(Upserted { id: create(org, object, &fields, terms)?, created: true })
        }
        [id] => {
            update(org, object, id, fields, terms)?;
            Ok(Upserted { id: id.clone(), created: false })
        }
        several => {
            let message =
                format!("{}: more than one record found for external id field: [{}]", field.name, several.join(", "));
            Err(ApiError::new(300, "MULTIPLE_CHOICES", message))
        }
    }
}

/// The records that a field with `externalId` or `idLookup` leads to.
pub fn find(org: &Org, object: &Object, field: &Field, value: &str) -> Vec<String> {
    if field.kind == Kind::Id {
        let id = ids::parse(value).filter(|id| org.get(object, id).is_some_and(|record| !is_deleted(record)));
        return id.into_iter().collect();
    }
    let matches = |record: &&Record| {
        record.get(field.name).and_then(Value::as_str).is_some_and(|own| own.eq_ignore_ascii_case(value))
    };
    org.living(object).filter(matches).filter_map(|record| record["Id"].as_str().map(str::to_owned)).collect()
}

/// A record that can be written, and its id of 18 characters.
fn living(org: &Org, object: &Object, id: &str) -> Result<(String, Record), ApiError> {
    let Some(id) = ids::parse(id) else {
        return Err(ApiError::new(400, "MALFORMED_ID", format!("malformed id {id}")));
    };
    match org.get(object, &id) {
        Some(record) if is_deleted(record) => Err(ApiError::of_deleted()),
        Some(record) => Ok((id, record.clone())),
        None => {
            let error = ApiError::of_fields("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", &[]);
            Err(ApiError { status: 404, ..error })
        }
    }
}

/// The record that is not there.
pub fn not_found(id: &str) -> ApiError {
    let message = format!("Provided external ID field does not exist or is not accessible: {id}");
    ApiError::new(404, "NOT_FOUND", message)
}

impl ApiError {
    /// The record is in the recycle bin.
    pub fn of_deleted() -> ApiError {
        ApiError { status: 404, ..ApiError::of_fields("ENTITY_IS_DELETED", "entity is deleted", &[]) }
    }
}

/// The given fields, by their names in the schema, with values as they are stored; null empties.
fn checked<'a>(
    org: &Org,
    object: &'a Object,
    fields: &Map<String, Value>,
    mode: Mode,
) -> Result<Vec<(&'a Field, Value)>, ApiError> {
    let mut changes = Vec::new();
    let mut read_only = Vec::new();
    for (name, value) in fields.iter().filter(|(name, _)| *name != "attributes") {
        let Some(field) = object.field(name) else {
            let message = format!("No such column '{name}' on sobject of type {}", object.name);
            return Err(ApiError::new(400, "INVALID_FIELD", message));
        };
        if field.kind == Kind::Id {
            return Err(ApiError::new(
                400,
                "INVALID_FIELD",
                "The Id field should not be specified in the sobject data.",
            ));
        }
        let may = if mode == Mode::Create { field.createable } else { field.updateable };
        if !may {
            read_only.push(field.name);
            continue;
        }
        changes.push((field, stored(org, field, value)?));
    }
    if !read_only.is_empty() {
        let message = format!(
            "Unable to create/update fields: {}. Please check the security settings of this field and verify that it is \
             read/write for your profile or permission set.",
            read_only.join(", ")
        );
        return Err(ApiError::of_fields("INVALID_FIELD_FOR_INSERT_UPDATE", message, &read_only));
    }
    Ok(changes)
}

fn apply(record: &mut Record, changes: Vec<(&Field, Value)>) {
    for (field, value) in changes {
        match value {
            Value::Null if field.kind == Kind::Boolean => drop(record.insert(field.name.to_owned(), false.into())),
            Value::Null => drop(record.shift_remove(field.name)),
            value => drop(record.insert(field.name.to_owned(), value)),
        }
    }
}

/// What follows from other fields.
fn complete(org: &Org, object: &Object, record: &mut Record, given: &Map<String, Value>) -> Result<(), ApiError> {
    let text = |record: &Record, name: &str| record.get(name).and_then(Value::as_str).map(str::to_owned);
    match object.name {
        "Contact" | "Lead" => {
            let names = ["FirstName", "LastName"].map(|name| text(record, name));
            let name: Vec<String> = names.into_iter().flatten().collect();
            record.insert("Name".to_owned(), name.join(" ").into());
        }
        "Opportunity" => {
            let stage = text(record, "StageName").unwrap_or_default();
            record.insert("IsWon".to_owned(), (stage == "Closed Won").into());
            record.insert("IsClosed".to_owned(), stage.starts_with("Closed").into());
        }
        "Event" => {
            event_times::complete(record, given)?;
            let related = text(record, "WhatId").or_else(|| text(record, "WhoId"));
            let account = related.and_then(|id| match schema::object_of_id(&id)? {
                object if object.name == "Account" => Some(id),
                object => text(org.get(object, &id)?, "AccountId"),
            });
            match account {
                Some(id) => drop(record.insert("AccountId".to_owned(), id.into())),
                None => drop(record.shift_remove("AccountId")),
            }
        }
        _ => {}
    }
    Ok(())
}

fn stamp(org: &Org, record: &mut Record, terms: Terms) {
    let now = format_datetime(terms.now);
    record.insert("LastModifiedDate".to_owned(), now.clone().into());
    record.insert("SystemModstamp".to_owned(), now.into());
    record.insert("LastModifiedById".to_owned(), org.user_id.clone().into());
}

/// A value as it is stored.
fn stored(org: &Org, field: &Field, value: &Value) -> Result<Value, ApiError> {
    let text = match value {
        Value::Null => return Ok(Value::Null),
        Value::String(text) if text.is_empty() => return Ok(Value::Null),
        Value::String(text) => text.as_str(),
        Value::Bool(_) if field.kind == Kind::Boolean => return Ok(value.clone()),
        Value::Number(number) if field.kind.is_number() => {
            return match field.kind == Kind::Int && !number.is_i64() {
                true => Err(wrong_type(field, value)),
                false => Ok(value.clone()),
            };
        }
        _ => return Err(wrong_type(field, value)),
    };
    match field.kind {
        Kind::Boolean => match text {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => Err(wrong_type(field, value)),
        },
        Kind::Int => text.parse::<i32>().map(Value::from).map_err(|_| wrong_type(field, value)),
        Kind::Double | Kind::Currency | Kind::Percent => {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            number.map(Value::from).ok_or_else(|| wrong_type(field, value))
        }
        Kind::Date => {
            // A time of day is dropped.
            let date = parse_date(text).or_else(|| parse_datetime(text).map(OffsetDateTime::date));
            date.map(|date| format_date(date).into()).ok_or_else(|| wrong_type(field, value))
        }
        Kind::DateTime => {
            let at = parse_datetime(text).or_else(|| parse_date(text).map(crate::dates::midnight));
            at.map(|at| format_datetime(at).into()).ok_or_else(|| wrong_type(field, value))
        }
        Kind::Reference => reference(org, field, text).map(Value::from),
        Kind::Email if !is_email(text) => {
            let message = format!("{}: invalid email address: {text}", field.label);
            Err(ApiError::of_fields("INVALID_EMAIL_ADDRESS", message, &[field.name]))
        }
        Kind::Picklist => in_picklist(field, text).map(Value::from),
        Kind::MultiPicklist => {
            for part in text.split(';') {
                in_picklist(field, part)?;
            }
            Ok(text.into())
        }
        _ => short_enough(field, text).map(Value::from),
    }
}

fn wrong_type(field: &Field, value: &Value) -> ApiError {
    let token = match value {
        Value::String(_) => "VALUE_STRING",
        Value::Number(number) if number.is_f64() => "VALUE_NUMBER_FLOAT",
        Value::Number(_) => "VALUE_NUMBER_INT",
        Value::Bool(true) => "VALUE_TRUE",
        Value::Bool(false) => "VALUE_FALSE",
        Value::Array(_) => "START_ARRAY",
        _ => "START_OBJECT",
    };
    let (kind, name) = (field.kind.name(), field.name);
    let shown: String = value.as_str().map_or_else(|| value.to_string(), str::to_owned).chars().take(100).collect();
    let message = format!(
        "Cannot deserialize instance of {kind} from {token} value {shown} or request may be missing a required field at \
         [line:1, column:1] (field {name})"
    );
    ApiError::new(400, "JSON_PARSER_ERROR", message)
}

fn short_enough<'a>(field: &Field, text: &'a str) -> Result<&'a str, ApiError> {
    if field.length == 0 || text.chars().count() <= field.length {
        return Ok(text);
    }
    let shown: String = text.chars().take(100).collect();
    let message = format!("{}: data value too large: {shown} (max length={})", field.label, field.length);
    Err(ApiError::of_fields("STRING_TOO_LONG", message, &[field.name]))
}

fn in_picklist<'a>(field: &Field, text: &'a str) -> Result<&'a str, ApiError> {
    if !field.restricted || field.values.contains(&text) {
        return short_enough(field, text);
    }
    let message = format!("{}: bad value for restricted picklist field: {text}", field.label);
    Err(ApiError::of_fields("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, &[field.name]))
}

fn is_email(text: &str) -> bool {
    let plain = text.chars().all(|character| !character.is_whitespace() && !"<>,;:\"()[]\\".contains(character));
    let parts = text.split_once('@');
    plain
        && text.len() <= 80
        && parts.is_some_and(|(local, domain)| {
            !local.is_empty()
                && domain.contains('.')
                && !domain.contains('@')
                && domain.split('.').all(|label| !label.is_empty())
        })
}

/// The id of a record that a reference may lead to.
fn reference(org: &Org, field: &Field, text: &str) -> Result<String, ApiError> {
    let Some(id) = ids::parse(text) else {
        let message = format!("{}: id value of incorrect type: {text}", field.label);
        return Err(ApiError::of_fields("MALFORMED_ID", message, &[field.name]));
    };
    let object = schema::object_of_id(&id).filter(|object| field.reference_to.contains(&object.name));
    let Some(object) = object else {
        let message = format!("{}: id value of incorrect type: {text}", field.label);
        return Err(ApiError::of_fields("FIELD_INTEGRITY_EXCEPTION", message, &[field.name]));
    };
    match org.get(object, &id) {
        Some(record) if is_deleted(record) => {
            Err(ApiError::of_fields("ENTITY_IS_DELETED", "entity is deleted", &[field.name]))
        }
        Some(_) => Ok(id),
        None => {
            let message = "invalid cross reference id";
            Err(ApiError::of_fields("INVALID_CROSS_REFERENCE_KEY", message, &[field.name]))
        }
    }
}

fn check_unique(org: &Org, object: &Object, record: &Record) -> Result<(), ApiError> {
    for field in object.fields.iter().filter(|field| field.unique) {
        let Some(value) = record.get(field.name).and_then(Value::as_str) else { continue };
        if let Some(other) = find(org, object, field, value).iter().find(|id| record["Id"] != id.as_str()) {
            let name = field.name;
            let message = format!("duplicate value found: {name} duplicates value on record with id: {other}");
            return Err(ApiError::of_fields("DUPLICATE_VALUE", message, &[name]));
        }
    }
    Ok(())
}

/// The org's one duplicate rule: no two contacts with one last name and one email address.
fn check_duplicates(org: &Org, object: &Object, record: &Record, terms: Terms) -> Result<(), ApiError> {
    if object.name != "Contact" || terms.allow_duplicates {
        return Ok(());
    }
    let key = |record: &Record| {
        let text = |name| record.get(name).and_then(Value::as_str).map(str::to_lowercase);
        text("Email").zip(text("LastName"))
    };
    let Some(own) = key(record) else { return Ok(()) };
    let matches: Vec<&str> = org
        .living(object)
        .filter(|other| other["Id"] != record["Id"] && key(other).as_ref() == Some(&own))
        .filter_map(|other| other["Id"].as_str())
        .collect();
    if matches.is_empty() {
        return Ok(());
    }
    let records: Vec<Value> = matches
        .iter()
        .map(|id| {
            let url = format!("/services/data/v66.0/sobjects/Contact/{id}");
            json!({
                "additionalInformation": [],
                "fieldDiffs": [],
                "matchConfidence": 100.0,
                "record": { "attributes": { "type": "Contact", "url": url }, "Id": id },
            })
        })
        .collect();
    let found = json!({
        "allowSave": true,
        "duplicateRule": "Contacts_with_Same_Email",
        "duplicateRuleEntityType": "Contact",
        "errorMessage": "Use one of these records?",
        "matchResults": [{
            "entityType": "Contact",
            "errors": [],
            "matchEngine": "ExactMatchEngine",
            "matchRecords": records,
            "rule": "Contacts_with_Same_Email",
            "size": matches.len(),
            "success": true,
        }],
    });
    let error = ApiError::new(400, "DUPLICATES_DETECTED", "Use one of these records?");
    Err(ApiError { duplicates: Some(Box::new(found)), ..error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const TERMS: Terms = Terms { now: datetime!(2026-05-01 10:00 UTC), allow_duplicates: false };

    fn object(name: &str) -> &'static Object {
        schema::object(name).unwrap()
    }

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn create_in(org: &mut Org, name: &str, value: Value) -> Result<String, ApiError> {
        create(org, object(name), &fields(value), TERMS)
    }

    #[track_caller]
    fn refused(name: &str, value: Value) -> (String, Vec<String>) {
        let error = create_in(&mut Org::demo(), name, value).unwrap_err();
        (error.code, error.fields.unwrap_or_default())
    }

    #[test]
    fn a_contact_needs_only_a_last_name_and_gets_what_the_org_sets() {
        let mut org = Org::demo();
        let given = json!({ "FirstName": "Rosa", "LastName": "Quist", "Birthdate": "1990-05-01", "Title": "" });
        let id = create_in(&mut org, "Contact", given).unwrap();
        let record = org.get(object("Contact"), &id).unwrap();
        assert_eq!(record["Name"], "Rosa Quist");
        assert_eq!(record["CreatedDate"], "2026-05-01T10:00:00.000+0000");
        assert_eq!((record["OwnerId"].as_str().unwrap(), record.get("Title")), (org.user_id.as_str(), None));
        assert_eq!(org.effects()["Contact"].created, 1);
    }

    #[test]
    fn what_breaks_a_rule_is_refused_with_salesforces_code() {
        let long = "x".repeat(41);
        for (object, value, code, named) in [
            ("Contact", json!({}), "REQUIRED_FIELD_MISSING", "LastName"),
            ("Contact", json!({ "LastName": null }), "REQUIRED_FIELD_MISSING", "LastName"),
            ("Contact", json!({ "LastName": "A", "FirstName": long }), "STRING_TOO_LONG", "FirstName"),
            ("Contact", json!({ "LastName": "A", "Email": "a@b" }), "INVALID_EMAIL_ADDRESS", "Email"),
            (
                "Contact",
                json!({ "LastName": "A", "Level__c": "X" }),
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                "Level__c",
            ),
            (
                "Contact",
                json!({ "LastName": "A", "Interests__c": "Sales;Chess", "Name": "B" }),
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                "Name",
            ),
            ("Contact", json!({ "LastName": "A", "AccountId": "acme" }), "MALFORMED_ID", "AccountId"),
            (
                "Contact",
                json!({ "LastName": "A", "AccountId": "003000000000001AAA" }),
                "FIELD_INTEGRITY_EXCEPTION",
                "AccountId",
            ),
            (
                "Contact",
                json!({ "LastName": "A", "AccountId": "001000000000001AAA" }),
                "INVALID_CROSS_REFERENCE_KEY",
                "AccountId",
            ),
            ("Account", json!({ "Name": "A", "Erp_Number__c": "erp-0003" }), "DUPLICATE_VALUE", "Erp_Number__c"),
        ] {
            assert_eq!(refused(object, value.clone()), (code.to_owned(), vec![named.to_owned()]), "{value}");
        }
        for (object, value, code) in [
            ("Contact", json!({ "LastName": "A", "Shoe": 1 }), "INVALID_FIELD"),
            ("Contact", json!({ "LastName": "A", "Id": "003000000000001AAA" }), "INVALID_FIELD"),
            ("Contact", json!({ "LastName": 1 }), "JSON_PARSER_ERROR"),
            ("Contact", json!({ "LastName": "A", "Birthdate": "soon" }), "JSON_PARSER_ERROR"),
            ("Account", json!({ "Name": "A", "AnnualRevenue": "much" }), "JSON_PARSER_ERROR"),
            ("Account", json!({ "Name": "A", "NumberOfEmployees": 1.5 }), "JSON_PARSER_ERROR"),
            ("User", json!({ "LastName": "A" }), "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"),
        ] {
            assert_eq!(refused(object, value.clone()), (code.to_owned(), vec![]), "{value}");
        }
    }

    #[test]
    fn a_duplicate_is_shown_and_saved_only_when_it_is_allowed() {
        let mut org = Org::demo();
        let same = json!({ "LastName": "ABBOTT", "Email": "ada.abbott@example.com" });
        let error = create_in(&mut org, "Contact", same.clone()).unwrap_err();
        assert_eq!(error.code, "DUPLICATES_DETECTED");
        let item = error.item();
        let found = &item["duplicateResut"]["matchResults"][0]["matchRecords"][0]["record"];
        assert_eq!(found["Id"], org.living(object("Contact")).next().unwrap()["Id"]);
        let allowed = Terms { allow_duplicates: true, ..TERMS };
        create(&mut org, object("Contact"), &fields(same), allowed).unwrap();
    }

    #[test]
    fn an_update_changes_what_it_names_and_a_deleted_record_takes_none() {
        let mut org = Org::demo();
        let contact = object("Contact");
        let id = org.living(contact).next().unwrap()["Id"].as_str().unwrap().to_owned();
        update(&mut org, contact, &id[..15], &fields(json!({ "FirstName": "Anna", "Phone": null })), TERMS).unwrap();
        let record = org.get(contact, &id).unwrap();
        assert_eq!((&record["Name"], record.get("Phone")), (&json!("Anna Abbott"), None));

        let emptied = update(&mut org, contact, &id, &fields(json!({ "LastName": "" })), TERMS).unwrap_err();
        assert_eq!(emptied.code, "REQUIRED_FIELD_MISSING");
        delete(&mut org, contact, &id, TERMS).unwrap();
        assert_eq!(delete(&mut org, contact, &id, TERMS).unwrap_err().code, "ENTITY_IS_DELETED");
        assert_eq!(update(&mut org, contact, &id, &Map::new(), TERMS).unwrap_err().code, "ENTITY_IS_DELETED");
        assert_eq!(update(&mut org, contact, "x", &Map::new(), TERMS).unwrap_err().code, "MALFORMED_ID");
    }

    #[test]
    fn an_account_takes_its_contacts_along() {
        let mut org = Org::demo();
        let id = org.living(object("Account")).next().unwrap()["Id"].as_str().unwrap().to_owned();
        let before = org.count("Contact");
        delete(&mut org, object("Account"), &id, TERMS).unwrap();
        assert_eq!(before - org.count("Contact"), 4);
    }

    #[test]
    fn an_upsert_makes_then_changes_and_refuses_to_choose() {
        let mut org = Org::demo();
        let contact = object("Contact");
        let by = contact.field("External_Id__c").unwrap();
        let mut upsert =
            |value: Value, update_only| upsert(&mut org, contact, by, "N/1 é", &fields(value), update_only, TERMS);
        assert_eq!(upsert(json!({ "LastName": "A" }), true).unwrap_err().status, 404);
        assert!(upsert(json!({ "LastName": "A" }), false).unwrap().created);
        assert!(!upsert(json!({ "FirstName": "B" }), false).unwrap().created);
        assert_eq!(upsert(json!({ "External_Id__c": "N/1 é" }), false).unwrap_err().code, "INVALID_FIELD");
        create_in(&mut org, "Contact", json!({ "LastName": "C", "External_Id__c": "N/1 é" })).unwrap();
        let several = super::upsert(&mut org, contact, by, "N/1 é", &Map::new(), false, TERMS).unwrap_err();
        assert_eq!(several.status, 300);
    }
}
