//! What there is in the org: objects, their fields, its limits.

use salesforce::describe::{Field, ListedObject};
use salesforce::{Code, Describe, ObjectName, Request, SalesforceError};
use serde_json::{Map, Value, json};

use crate::catalogue::{Answer, Trouble};

use super::answers::{Page, page_of};
use super::guarding::may_know;
use super::session::{Session, invalid, not_allowed, trouble};

/// Values of a list that are told.
const MAX_VALUES: usize = 50;

/// `listAllObjects`
///
/// # Errors
/// [`Trouble`].
pub async fn objects(session: &Session<'_>) -> Result<Answer, Trouble> {
    let part = session.arguments.get("query").unwrap_or_default().trim().to_lowercase();
    let listed = session.client.objects(session.call.now);
    let listed =
        session.call.wait_for(|| "Salesforce org".to_owned(), listed).await.map_err(|error| trouble(&error))?;
    let has_part = |text: &str| text.to_lowercase().contains(&part);
    let rows: Vec<Value> = listed
        .iter()
        .filter(|object| has_part(&object.name) || has_part(&object.label))
        .filter(|object| may_know(session, &object.name))
        .map(|object| object_row(session, object))
        .collect();
    page_of(session, &rows, true).await
}

/// What may be done with an object: in the org, and by this server.
fn object_row(session: &Session<'_>, object: &ListedObject) -> Value {
    let guard = session.guard();
    let writable = guard.may_write(&object.name);
    json!({
        "name": object.name,
        "label": object.label,
        "custom": object.custom,
        "queryable": object.queryable && guard.may_read(&object.name),
        "createable": object.createable && writable,
        "updateable": object.updateable && writable,
        "deletable": object.deletable && writable && guard.deletes,
    })
}

/// `describeObject`
///
/// # Errors
/// [`Trouble`].
pub async fn object(session: &Session<'_>) -> Result<Answer, Trouble> {
    let name = session.arguments.text("object");
    let object =
        ObjectName::parse(name).ok_or_else(|| invalid("object is the API name of an object, such as Contact"))?;
    if !may_know(session, name) {
        return Err(not_allowed(&format!("This server may not read {object}")));
    }
    let describe = session.describe(&object).await?;
    let fields = describe.fields.iter().filter(|field| may_know_field(session, &describe, field));
    let rows: Vec<Value> = fields.map(|field| field_row(session, &describe, field)).collect();
    let mut answer = Answer::new();
    answer.insert("name".to_owned(), json!(describe.name));
    answer.insert("label".to_owned(), json!(salesforce::text::clean_and_cut(&describe.label, 80)));
    answer.extend(page_of(session, &rows, true).await?);
    Ok(answer)
}

/// Fields that the server may read; those that it may write where it may not read the object, or lists them.
fn may_know_field(session: &Session<'_>, describe: &Describe, field: &Field) -> bool {
    let (guard, object) = (session.guard(), &describe.name);
    let readable = guard.may_read(object) && guard.may_read_field(object, &field.name);
    let mut limited = guard.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(object));
    let listed = limited.any(|(_, access)| access.write.is_some());
    readable || ((listed || !guard.may_read(object)) && writable(session, describe, field))
}

fn writable(session: &Session<'_>, describe: &Describe, field: &Field) -> bool {
    let guard = session.guard();
    (field.createable || field.updateable)
        && guard.may_write(&describe.name)
        && guard.may_write_field(&describe.name, &field.name)
}

fn field_row(session: &Session<'_>, describe: &Describe, field: &Field) -> Value {
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
    put("name", json!(field.name));
    put("label", json!(field.label));
    put("type", json!(field.kind));
    if field.length > 0 {
        put("length", json!(field.length));
    }
    put("required", json!(field.createable && !field.nillable && !field.defaulted_on_create));
    put("writable", json!(writable(session, describe, field)));
    if let Some(values) = values(field) {
        put("values", json!(values));
    }
    if !field.reference_to.is_empty() {
        put("references", json!(joined(&field.reference_to)));
    }
    if let Some(relationship) = &field.relationship_name {
        put("relationship", json!(relationship));
    }
    if field.external_id {
        put("external_id", json!(true));
    }
    Value::Object(row)
}

/// The values that may be chosen, one a `;`, as a field of several takes them.
fn values(field: &Field) -> Option<String> {
    let active: Vec<&String> =
        field.picklist_values.iter().filter(|value| value.active).map(|value| &value.value).collect();
    (!active.is_empty()).then(|| joined(&active))
}

fn joined<T: AsRef<str>>(texts: &[T]) -> String {
    let told: Vec<&str> = texts.iter().take(MAX_VALUES).map(AsRef::as_ref).collect();
    let told = told.join("; ");
    match texts.len().saturating_sub(MAX_VALUES) {
        0 => told,
        more => format!("{told}; \u{2026} [{more} more]"),
    }
}

/// `getOrganizationLimits`
///
/// # Errors
/// [`Trouble`].
pub async fn limits(session: &Session<'_>) -> Result<Answer, Trouble> {
    let reply = session.send(Request::get("limits")).await.map_err(|error| trouble(&error))?;
    let rows = limit_rows(&reply.body).ok_or_else(|| {
        trouble(&SalesforceError::new(Code::AnswerUnreadable, "the limits of the org cannot be read"))
    })?;
    let mut page = Page::new(session)?;
    let given = rows.iter().take_while(|row| page.add(row)).count();
    page.answer(session, Some(rows.len() as u64), None, given == rows.len()).await
}

/// Rows of `{"DailyApiRequests": {"Max": 15000, "Remaining": 14998, …}, …}`; what single apps use is left out.
fn limit_rows(body: &Value) -> Option<Vec<Value>> {
    let limits = body.as_object()?.iter();
    let rows: Vec<Value> = limits
        .filter_map(|(name, limit)| {
            Some(json!({ "name": name, "max": limit.get("Max")?.as_i64()?, "remaining": limit.get("Remaining")?.as_i64()? }))
        })
        .collect();
    Some(rows).filter(|rows| !rows.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_become_rows() {
        let body = json!({
            "DailyApiRequests": { "Max": 15000, "Remaining": 14998, "Some App": { "Max": 0, "Remaining": 0 } },
            "Odd": { "Max": null },
        });
        let row = json!({ "name": "DailyApiRequests", "max": 15000, "remaining": 14998 });
        assert_eq!(limit_rows(&body), Some(vec![row]));
        for body in [json!([]), json!({}), json!({ "records": [] })] {
            assert_eq!(limit_rows(&body), None);
        }
    }

    #[test]
    fn a_long_list_of_values_is_cut_with_a_mark() {
        let many: Vec<String> = (0..60).map(|number| number.to_string()).collect();
        assert!(joined(&many).ends_with("; 49; \u{2026} [10 more]"));
        assert_eq!(joined(&many[..2]), "0; 1");
    }
}
