//! Writes of one record: checked against the guard and the object's description, then made once.

use std::sync::Arc;

use catalogue::SalesforceTool;
use salesforce::client::{query as url_query, segment};
use salesforce::describe::{Use, check_fields};
use salesforce::text::clean_and_cut;
use salesforce::{
    Describe, FieldName, FieldProblem, ObjectName, RecordId, Request, SalesforceError, event_times, look,
};
use serde_json::{Map, Value, json};

use crate::catalogue::{Answer, Trouble};

use super::session::{Session, invalid, not_allowed, trouble, wrong_fields};
use super::steps::{self, Done, Failure, Write, answer, once, previewed};

/// Fields that name a record for people, the first that an object has.
const NAMES: [&str; 5] = ["Name", "Subject", "Title", "CaseNumber", "DeveloperName"];
/// When a record was last changed, the first that an object has.
const STAMPS: [&str; 2] = ["SystemModstamp", "LastModifiedDate"];
/// Longest name of a record in a preview, in characters.
const MAX_NAME: usize = 120;
/// Most kinds of records that a preview says go along.
const MAX_ALONG: usize = 12;

/// An object that records are written of.
pub struct Target {
    /// Its name, as the org writes it.
    pub object: ObjectName,
    /// What it is like.
    pub describe: Arc<Describe>,
}

/// A write that was checked, as a request below `/services/data/<version>/`.
pub struct Prepared {
    /// `POST`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// Its path.
    pub path: String,
    /// Its body, if it has one.
    pub body: Option<Value>,
    /// A query that tells whether it was made, if there is one.
    pub look: Option<String>,
}

/// A record, or in a composite the result of an earlier operation.
pub enum Whose {
    /// By its id.
    Id(RecordId),
    /// As `@{reference.id}`.
    Reference(String),
}

/// References that a value may be: names of earlier operations of a composite.
#[derive(Clone, Copy)]
pub enum References<'a> {
    /// There are none, and `@{` is a text like any other.
    None,
    /// These.
    To(&'a [String]),
}

impl Target {
    /// The object of a name, if the server may write it.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn of(session: &Session<'_>, object: &str) -> Result<Target, Trouble> {
        let object = session.writable(object)?;
        let describe = session.describe(&object).await?;
        // The org's own spelling, for guards are asked by it.
        let object = ObjectName::parse(&describe.name).unwrap_or(object);
        session.writable(object.as_str())?;
        Ok(Target { object, describe })
    }

    /// A record that is made.
    ///
    /// # Errors
    /// [`Trouble`] names the fields that are wrong.
    pub fn create(
        &self,
        session: &Session<'_>,
        fields: &Map<String, Value>,
        references: References<'_>,
    ) -> Result<Prepared, Trouble> {
        self.permitted(session, fields)?;
        let checked = without_references(&self.describe, fields, references)?;
        self.right(check_fields(&self.describe, &checked, Use::Create), &checked, Use::Create)?;
        Ok(Prepared {
            method: "POST",
            path: format!("sobjects/{}", self.object),
            body: Some(Value::Object(fields.clone())),
            look: look::for_new(&self.describe, &checked),
        })
    }

    /// A record whose given fields change.
    ///
    /// # Errors
    /// [`Trouble`] names the fields that are wrong.
    pub fn update(
        &self,
        session: &Session<'_>,
        whose: &Whose,
        fields: &Map<String, Value>,
        references: References<'_>,
    ) -> Result<Prepared, Trouble> {
        if fields.is_empty() {
            return Err(invalid("there is no field to change"));
        }
        self.permitted(session, fields)?;
        let checked = without_references(&self.describe, fields, references)?;
        self.right(check_fields(&self.describe, &checked, Use::Update), &checked, Use::Update)?;
        Ok(Prepared {
            method: "PATCH",
            path: format!("sobjects/{}/{}", self.object, whose.as_str()),
            body: Some(Value::Object(fields.clone())),
            look: whose.id().and_then(|id| look::for_change(&self.describe, id, &checked)),
        })
    }

    /// A record that is made or changed, by an external id.
    ///
    /// # Errors
    /// [`Trouble`] names the fields that are wrong.
    pub fn upsert(
        &self,
        session: &Session<'_>,
        field: &str,
        value: &str,
        fields: &Map<String, Value>,
        references: References<'_>,
    ) -> Result<Prepared, Trouble> {
        let field = self.external_id(session, field)?;
        let own = |name: &&String| name.eq_ignore_ascii_case("Id") || name.eq_ignore_ascii_case(&field.name);
        if let Some(name) = fields.keys().find(own) {
            return Err(invalid(&format!("{name} names the record and cannot be among its fields")));
        }
        let value_segment = segment(value).filter(|_| !value.contains("@{") || matches!(references, References::None));
        let value_segment = value_segment.ok_or_else(|| invalid("external_id is no value that names a record"))?;
        self.permitted(session, fields)?;
        let checked = without_references(&self.describe, fields, references)?;
        self.right(either_problems(&self.describe, &checked), &checked, Use::Update)?;
        Ok(Prepared {
            method: "PATCH",
            path: format!("sobjects/{}/{}/{value_segment}", self.object, field.name),
            body: Some(Value::Object(fields.clone())),
            look: look::for_upsert(&self.describe, field, value),
        })
    }

    /// A record that is deleted.
    ///
    /// # Errors
    /// [`Trouble`] when the server may not delete.
    pub fn delete(&self, session: &Session<'_>, whose: &Whose) -> Result<Prepared, Trouble> {
        may_delete(session)?;
        Ok(Prepared {
            method: "DELETE",
            path: format!("sobjects/{}/{}", self.object, whose.as_str()),
            body: None,
            look: whose.id().and_then(|id| look::for_delete(&self.describe, id)),
        })
    }

    /// The request that says when a record was last changed.
    pub fn stamp(&self, id: &RecordId) -> String {
        let field = STAMPS.iter().find(|stamp| self.describe.field(stamp).is_some()).unwrap_or(&"Id");
        format!("sobjects/{}/{id}{}", self.object, url_query(&[("fields", field)]))
    }

    /// A field that records are named by, if the server may write it.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn external_id(&self, session: &Session<'_>, name: &str) -> Result<&salesforce::describe::Field, Trouble> {
        let field = self.describe.field(name).filter(|field| field.external_id || field.id_lookup);
        // The name becomes part of a path.
        let field = field.filter(|field| FieldName::parse(&field.name).is_some() && field.name != "Id");
        let field = field.ok_or_else(|| {
            let known = self
                .describe
                .fields
                .iter()
                .filter(|field| (field.external_id || field.id_lookup) && field.name != "Id");
            let known: Vec<&str> = known.map(|field| field.name.as_str()).take(10).collect();
            let has = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            invalid(&format!("{} has no external id field {}; it has {has}", self.object, clean_and_cut(name, 80)))
        })?;
        self.may_write(session, &field.name)?;
        Ok(field)
    }

    fn may_write(&self, session: &Session<'_>, field: &str) -> Result<(), Trouble> {
        if session.guard().may_write_field(self.object.as_str(), field) {
            return Ok(());
        }
        Err(not_allowed(&format!("This server may not write {}.{}", self.object, clean_and_cut(field, 80))))
    }

    /// Whether the server may write these fields, each of them once and as a value.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn permitted(&self, session: &Session<'_>, fields: &Map<String, Value>) -> Result<(), Trouble> {
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in fields {
            let described = self.describe.field(name);
            let related = if described.is_none() { self.describe.relationship(name) } else { None };
            let own = described.or(related).map_or(name.as_str(), |field| &field.name);
            self.may_write(session, own)?;
            if seen.iter().any(|other| other.eq_ignore_ascii_case(own)) {
                return Err(invalid(&format!("{own} is written twice")));
            }
            seen.push(own.to_owned());
            if let (Some(_), Value::Object(by)) = (related, value)
                && !is_by_external_id(by)
            {
                return Err(invalid(&format!(
                    "{}: a related record is one external id field with its value",
                    clean_and_cut(name, 80)
                )));
            }
        }
        Ok(())
    }

    fn right(&self, mut problems: Vec<FieldProblem>, fields: &Map<String, Value>, what: Use) -> Result<(), Trouble> {
        if self.object.as_str() == "Event" && problems.is_empty() {
            problems = event_times::check(fields, what);
        }
        if problems.is_empty() { Ok(()) } else { Err(wrong_fields(&cleaned(problems))) }
    }
}

/// Names come from the caller, and are shown.
fn cleaned(problems: Vec<FieldProblem>) -> Vec<FieldProblem> {
    problems
        .into_iter()
        .map(|problem| FieldProblem {
            field: clean_and_cut(&problem.field, 80),
            problem: clean_and_cut(&problem.problem, 300),
        })
        .collect()
}

/// What is wrong with fields whether the record is made or changed.
pub fn either_problems(describe: &Describe, fields: &Map<String, Value>) -> Vec<FieldProblem> {
    let made = check_fields(describe, fields, Use::Create);
    let mut problems = check_fields(describe, fields, Use::Update);
    problems.retain(|problem| made.iter().any(|other| other.field == problem.field));
    problems
}

/// `{"External_Id__c": "A-1"}`, with `attributes` where records of several objects may be meant.
fn is_by_external_id(by: &Map<String, Value>) -> bool {
    let mut fields = by.iter().filter(|(name, _)| *name != "attributes");
    let one = fields
        .next()
        .is_some_and(|(name, value)| FieldName::parse(name).is_some() && (value.is_string() || value.is_number()));
    one && fields.next().is_none()
}

impl Whose {
    /// An id that a caller gave.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn parse(id: &str) -> Result<Whose, Trouble> {
        RecordId::parse(id).map(Whose::Id).ok_or_else(|| {
            invalid("id is no record id: 15 or 18 characters, letters and digits, exactly as Salesforce gave them")
        })
    }

    fn as_str(&self) -> &str {
        match self {
            Whose::Id(id) => id.as_str(),
            Whose::Reference(reference) => reference,
        }
    }

    /// The id, unless it is that of an earlier operation's result.
    pub fn id(&self) -> Option<&RecordId> {
        match self {
            Whose::Id(id) => Some(id),
            Whose::Reference(_) => None,
        }
    }
}

/// The reference that a text is: `@{reference.id}`. In a composite every other text with `@{` in it is refused, for
/// Salesforce would read it as one.
///
/// # Errors
/// [`Trouble`].
pub fn reference_in(text: &str, references: References<'_>) -> Result<bool, Trouble> {
    let References::To(earlier) = references else { return Ok(false) };
    if !text.contains("@{") {
        return Ok(false);
    }
    let inside = text.strip_prefix("@{").and_then(|rest| rest.strip_suffix('}'));
    let parts = inside.and_then(|inside| inside.split_once('.'));
    let is_path = |path: &str| path.len() <= 200 && path.split('.').all(is_step);
    match parts {
        Some((name, path)) if is_path(path) && earlier.iter().any(|known| known == name) => Ok(true),
        _ => Err(invalid(
            "A text with @{ in it has to be a whole reference to an earlier operation, such as @{reference.id}",
        )),
    }
}

/// A step of a reference: a name, with places in lists behind it as `records[0]`.
fn is_step(step: &str) -> bool {
    let mut parts = step.split('[');
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_place = |place: &str| {
        let number = place.strip_suffix(']').unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    parts.next().is_some_and(is_name) && parts.all(is_place)
}

/// The fields with a value of the right kind in place of each reference, to be checked.
fn without_references(
    describe: &Describe,
    fields: &Map<String, Value>,
    references: References<'_>,
) -> Result<Map<String, Value>, Trouble> {
    const ANY_ID: &str = "000000000000000AAA";
    let mut checked = fields.clone();
    for (name, value) in &mut checked {
        if let Value::Object(by) = value {
            for text in by.values().filter_map(Value::as_str) {
                reference_in(text, references)?;
            }
        }
        if let Value::String(text) = value
            && reference_in(text, references)?
        {
            let kind = describe.field(name).map(|field| field.kind.as_str());
            if matches!(kind, Some("reference" | "id")) {
                *text = ANY_ID.to_owned();
            }
        }
    }
    Ok(checked)
}

/// Whether the server may delete.
///
/// # Errors
/// [`Trouble`].
pub fn may_delete(session: &Session<'_>) -> Result<(), Trouble> {
    if session.guard().deletes { Ok(()) } else { Err(not_allowed("This server may not delete records")) }
}

/// How to see whether a write was made, for the end of a sentence.
pub fn how_to_look(query: Option<&str>) -> String {
    match query {
        Some(query) => format!("run executeQuery with: {query}"),
        None => "look for the record in Salesforce".to_owned(),
    }
}

/// What a call of a tool for one record is given: its object, and fields to write.
fn given(session: &Session<'_>) -> (String, Map<String, Value>) {
    match session.tool {
        SalesforceTool::Create(typed) | SalesforceTool::Update(typed) | SalesforceTool::Delete(typed) => {
            let own =
                session.arguments.all().filter(|(name, _)| typed.fields().iter().any(|field| field.name == *name));
            (typed.object().to_owned(), own.map(|(name, value)| (name.to_owned(), value.clone())).collect())
        }
        _ => {
            let fields = session.arguments.value("fields").and_then(Value::as_object).cloned().unwrap_or_default();
            (session.arguments.text("object").to_owned(), fields)
        }
    }
}

/// `createRecord`, `salesforce_create_…`.
///
/// # Errors
/// [`Trouble`].
pub async fn create(session: &Session<'_>) -> Result<Answer, Trouble> {
    let (object, fields) = given(session);
    let target = Target::of(session, &object).await?;
    let prepared = target.create(session, &fields, References::None)?;
    if session.guard().dry_run {
        return Ok(dry_run([]));
    }
    let look = how_to_look(prepared.look.as_deref());
    once(session, Write { records: 1, look: Some(look) }, async {
        let reply = session.send(saved(session, &prepared)).await?;
        let id = made(&reply.body)?;
        Ok(Done::Written(done([("id", json!(id))])))
    })
    .await
}

/// `updateRecord`, `salesforce_update_…`: by id, or as an upsert by an external id.
///
/// # Errors
/// [`Trouble`].
pub async fn update(session: &Session<'_>) -> Result<Answer, Trouble> {
    let (object, fields) = given(session);
    let arguments = session.arguments;
    let by = (arguments.get("id"), arguments.get("external_id_field"), arguments.get("external_id"));
    match by {
        (Some(id), None, None) => {
            let whose = Whose::parse(id)?;
            let target = Target::of(session, &object).await?;
            let prepared = target.update(session, &whose, &fields, References::None)?;
            if session.guard().dry_run {
                return Ok(dry_run([("id", json!(whose.as_str()))]));
            }
            let look = how_to_look(prepared.look.as_deref());
            once(session, Write { records: 1, look: Some(look) }, async {
                session.send(saved(session, &prepared)).await?;
                Ok(Done::Written(done([("id", json!(whose.as_str()))])))
            })
            .await
        }
        (None, Some(field), Some(value)) => {
            let target = Target::of(session, &object).await?;
            let prepared = target.upsert(session, field, value, &fields, References::None)?;
            if session.guard().dry_run {
                return Ok(dry_run([]));
            }
            let look = how_to_look(prepared.look.as_deref());
            once(session, Write { records: 1, look: Some(look) }, async {
                let reply = session.send(saved(session, &prepared)).await?;
                let mut answer = done([]);
                // Before API version 46.0 an update was answered with nothing.
                if reply.status != 204 {
                    answer.insert("id".to_owned(), json!(made(&reply.body)?));
                }
                let created = reply.body["created"].as_bool().unwrap_or(reply.status == 201);
                answer.insert("created".to_owned(), json!(created));
                Ok(Done::Written(answer))
            })
            .await
        }
        _ => Err(invalid("Give id, or external_id_field and external_id, and not both")),
    }
}

/// `deleteRecord`, `salesforce_delete_…`: a preview with a handle, then, with the handle, the delete.
///
/// # Errors
/// [`Trouble`].
pub async fn delete(session: &Session<'_>) -> Result<Answer, Trouble> {
    may_delete(session)?;
    let (object, _) = given(session);
    let whose = Whose::parse(session.arguments.text("id"))?;
    let target = Target::of(session, &object).await?;
    let prepared = target.delete(session, &whose)?;
    let Some(handle) = session.arguments.get("handle") else {
        let (name, stamp) = seen(session, &target, &whose).await.map_err(|error| trouble(&error))?;
        let summary = summary(&target, &whose, name.as_deref());
        if session.guard().dry_run {
            return Ok(dry_run([("id", json!(whose.as_str())), ("summary", json!(summary))]));
        }
        let mut preview = previewed(&summary, steps::seal(session, &stamp).await?);
        preview.insert("id".to_owned(), json!(whose.as_str()));
        return Ok(preview);
    };
    let expected: Option<String> = steps::open(session, handle).await?;
    if session.guard().dry_run {
        return Ok(dry_run([("id", json!(whose.as_str()))]));
    }
    let query = how_to_look(prepared.look.as_deref());
    let look = format!("{query} (no record: it was deleted)");
    once(session, Write { records: 1, look: Some(look) }, async {
        let (_, stamp) = seen(session, &target, &whose).await?;
        if stamp != expected {
            return Err(Failure::Nothing(changed("the record")));
        }
        // The record may change between the two requests: a delete takes no condition (REST API Developer Guide,
        // "Conditional Request Headers").
        session.send(request(&prepared)).await?;
        Ok(Done::Written(done([("id", json!(whose.as_str()))])))
    })
    .await
}

/// A record has changed since a preview showed it; `what` names it.
pub fn changed(what: &str) -> Trouble {
    Trouble::new(
        "preview_outdated",
        format!("Nothing was done: {what} was changed after the preview. Call without handle to see it as it is now."),
    )
}

/// The name of a record, where the server may read it, and when it was last changed.
async fn seen(
    session: &Session<'_>,
    target: &Target,
    whose: &Whose,
) -> Result<(Option<String>, Option<String>), SalesforceError> {
    let first = |names: &[&str]| {
        let field = names.iter().find_map(|name| target.describe.field(name));
        field.and_then(|field| FieldName::parse(&field.name))
    };
    let guard = session.guard();
    let may_read = |field: &FieldName| {
        guard.may_read(target.object.as_str()) && guard.may_read_field(target.object.as_str(), field.as_str())
    };
    let (name, stamp) = (first(&NAMES).filter(may_read), first(&STAMPS));
    let fields: Vec<&str> = name.iter().chain(&stamp).map(FieldName::as_str).chain(["Id"]).collect();
    let path = format!("sobjects/{}/{}{}", target.object, whose.as_str(), url_query(&[("fields", &fields.join(","))]));
    let reply = session.send(Request::get(path)).await?;
    let name = name.and_then(|field| reply.body[field.as_str()].as_str());
    Ok((name.map(|name| clean_and_cut(name, MAX_NAME)), stamp_in(&reply.body)))
}

/// When a record that was read was last changed.
pub fn stamp_in(record: &Value) -> Option<String> {
    STAMPS.iter().find_map(|stamp| record[*stamp].as_str()).map(str::to_owned)
}

/// What a delete would do.
fn summary(target: &Target, whose: &Whose, name: Option<&str>) -> String {
    let mut summary = format!("Deletes {} {}", target.object, whose.as_str());
    if let Some(name) = name {
        summary += &format!(", {name}");
    }
    let mut along: Vec<&str> = target
        .describe
        .child_relationships
        .iter()
        .filter(|child| child.cascade_delete && ObjectName::parse(&child.child_object).is_some())
        .map(|child| child.child_object.as_str())
        .collect();
    along.sort_unstable();
    along.dedup();
    let more = along.len().saturating_sub(MAX_ALONG);
    along.truncate(MAX_ALONG);
    summary += match along.is_empty() {
        true => ".",
        false => ", and with it its records of ",
    };
    if !along.is_empty() {
        summary += &along.join(", ");
        if more > 0 {
            summary += &format!(" and {more} other objects");
        }
        summary += ".";
    }
    summary + " It stays in the recycle bin for 15 days."
}

/// The request of a write of its own.
pub fn request(prepared: &Prepared) -> Request {
    Request::write(prepared.method, prepared.path.clone(), prepared.body.as_ref())
}

/// The request of a record that is made or changed, which a duplicate rule may find like another (REST API Developer Guide,
/// "Duplicate Rule Header").
fn saved(session: &Session<'_>, prepared: &Prepared) -> Request {
    match session.arguments.value("allow_duplicates") {
        Some(Value::Bool(true)) => request(prepared).with_header("sforce-duplicate-rule-header", "allowSave=true"),
        _ => request(prepared),
    }
}

/// The id of a record that was made, or why it was not.
///
/// # Errors
/// [`Failure`]; an answer without an id says nothing.
pub fn made(body: &Value) -> Result<String, Failure> {
    if body["success"] == Value::Bool(false) && body["errors"].as_array().is_some_and(|errors| !errors.is_empty()) {
        return Err(SalesforceError::from_value(&body["errors"], 400).into());
    }
    body["id"]
        .as_str()
        .and_then(RecordId::parse)
        .map(|id| id.as_str().to_owned())
        .ok_or_else(|| Failure::Unknown("Salesforce's answer has no record id.".to_owned()))
}

fn done<const COUNT: usize>(properties: [(&str, Value); COUNT]) -> Answer {
    let mut done = answer([("success", json!(true)), ("state", json!("done"))]);
    done.extend(answer(properties));
    done
}

/// The answer of a write that was checked and not made.
pub fn dry_run<const COUNT: usize>(properties: [(&str, Value); COUNT]) -> Answer {
    let mut dry_run = answer([("success", json!(true)), ("state", json!("dry_run"))]);
    dry_run.extend(answer(properties));
    dry_run
}

#[cfg(test)]
mod tests {
    use super::*;
    use salesforce::describe;

    fn account() -> Describe {
        let field = |name: &str, kind: &str, createable: bool, updateable: bool| json!({ "name": name, "type": kind, "nillable": true, "createable": createable, "updateable": updateable });
        let fields = [
            field("Name", "string", true, true),
            field("Fixed__c", "string", true, false),
            field("ParentId", "reference", true, true),
            field("CreatedDate", "datetime", false, false),
        ];
        let children = json!([
            { "childSObject": "Contact", "cascadeDelete": true },
            { "childSObject": "Contact", "cascadeDelete": true },
            { "childSObject": "Event", "cascadeDelete": false },
            { "childSObject": "Case", "cascadeDelete": true },
        ]);
        describe::parse(json!({ "name": "Account", "fields": fields, "childRelationships": children })).unwrap()
    }

    #[test]
    fn a_text_with_a_reference_in_it_is_one_or_is_refused() {
        let earlier = ["account".to_owned()];
        let references = References::To(&earlier);
        for text in ["@{account.id}", "@{account.Name}", "@{account.records[0].Id}"] {
            assert_eq!(reference_in(text, references), Ok(true), "{text}");
        }
        for text in ["Acme", "", "a@b.example", "{x}"] {
            assert_eq!(reference_in(text, references), Ok(false), "{text}");
        }
        for text in [
            "@{other.id}",
            "@{account}",
            "@{account.}",
            "x @{account.id}",
            "@{account.id}x",
            "@{account.a b}",
            "@{account..id}",
            "@{account.Name[.id}",
            "@{account.records[x].Id}",
            "@{account.records[0]Name.Id}",
            "@{account.id}@{account.id}",
        ] {
            assert!(reference_in(text, references).is_err(), "{text}");
            assert_eq!(reference_in(text, References::None), Ok(false), "{text}");
        }
    }

    #[test]
    fn a_reference_is_checked_as_an_id_of_its_field() {
        let earlier = ["a".to_owned()];
        let fields = json!({ "ParentId": "@{a.id}", "Name": "@{a.id}" });
        let checked = without_references(&account(), fields.as_object().unwrap(), References::To(&earlier)).unwrap();
        assert_eq!(check_fields(&account(), &checked, Use::Create), []);
        let nested = json!({ "Parent": { "External_Id__c": "@{b.id}" } });
        assert!(without_references(&account(), nested.as_object().unwrap(), References::To(&earlier)).is_err());
    }

    #[test]
    fn an_upsert_may_write_what_either_may() {
        let told = |fields: Value| {
            let problems = either_problems(&account(), fields.as_object().unwrap());
            problems.into_iter().map(|problem| problem.field).collect::<Vec<_>>()
        };
        assert_eq!(told(json!({ "Fixed__c": "x", "Name": "y" })), Vec::<String>::new());
        assert_eq!(told(json!({ "CreatedDate": "2026-02-20T18:00:00Z", "Fantasy": "y" })), ["CreatedDate", "Fantasy"]);
    }

    #[test]
    fn a_preview_says_what_goes_along() {
        let target = Target { object: ObjectName::parse("Account").unwrap(), describe: Arc::new(account()) };
        let whose = Whose::parse("001A0000006Vm9r").unwrap_or_else(|_| panic!("an id"));
        assert_eq!(
            summary(&target, &whose, Some("Acme")),
            "Deletes Account 001A0000006Vm9rIAC, Acme, and with it its records of Case, Contact. \
             It stays in the recycle bin for 15 days."
        );
    }

    #[test]
    fn a_related_record_is_one_external_id() {
        let is = |value: Value| is_by_external_id(value.as_object().unwrap());
        assert!(
            is(json!({ "External_Id__c": "A-1" })) && is(json!({ "attributes": { "type": "Contact" }, "N__c": 1 }))
        );
        for other in
            [json!({}), json!({ "a": "b", "c": "d" }), json!({ "a b": "c" }), json!({ "a": {} }), json!({ "a": null })]
        {
            assert!(!is(other.clone()), "{other}");
        }
    }

    #[test]
    fn an_answer_without_an_id_says_nothing() {
        assert!(made(&json!({ "id": "003000000000001", "success": true })).is_ok_and(|id| id == "003000000000001AAA"));
        for body in [Value::Null, json!({}), json!({ "id": "x" }), json!([])] {
            assert!(matches!(made(&body), Err(Failure::Unknown(_))), "{body}");
        }
        let refused =
            json!({ "success": false, "errors": [{ "statusCode": "REQUIRED_FIELD_MISSING", "message": "m" }] });
        assert!(matches!(made(&refused), Err(Failure::Nothing(trouble)) if trouble.code == "field_required"));
    }
}
