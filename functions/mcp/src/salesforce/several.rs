//! Several operations in one request: composite and batch. Each is checked as its own tool would check it, before any of
//! them is sent; URLs are ours.

use std::collections::BTreeMap;

use salesforce::client::{query as url_query, segment};
use salesforce::soql_reading::{self, NotRead};
use salesforce::text::{clean, clean_and_cut};
use salesforce::{FieldPath, Reply, Request, SalesforceError};
use serde_json::{Map, Value, json};

use crate::catalogue::{Answer, Trouble};

use super::answers;
use super::guarding;
use super::session::{Session, invalid, trouble};
use super::steps::{self, Done, Failure, Write, answer, once, previewed};
use super::writing::{self, Prepared, References, Target, Whose, how_to_look, reference_in};

/// Most operations, and queries among those of a composite (REST API Developer Guide, "Composite").
const MAX_OPERATIONS: usize = 25;
const MAX_QUERIES: usize = 5;
/// Most queries that tell what became of a request.
const MAX_LOOKS: usize = 5;
/// Fields of a record that is read without saying which.
const DEFAULT_FIELDS: usize = 50;
/// Of the bytes of an answer, what a row takes without its records.
const ROW_BYTES: usize = 800;

/// What an operation may have.
const MEMBERS: [&str; 8] =
    ["operation", "object", "id", "fields", "external_id_field", "external_id", "query", "reference"];

/// Which request the operations go in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// References and roll-back.
    Composite,
    /// Neither.
    Batch,
}

/// What an operation does, for counts and previews.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Create,
    Update,
    Upsert,
    Delete,
    Get,
    Query,
}

impl Verb {
    fn parse(text: &str) -> Option<Verb> {
        Some(match text {
            "create" => Verb::Create,
            "update" => Verb::Update,
            "upsert" => Verb::Upsert,
            "delete" => Verb::Delete,
            "get" => Verb::Get,
            "query" => Verb::Query,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Upsert => "upsert",
            Verb::Delete => "delete",
            Verb::Get => "get",
            Verb::Query => "query",
        }
    }

    fn writes(self) -> bool {
        !matches!(self, Verb::Get | Verb::Query)
    }

    /// Members that it takes beside its reference: those that it needs, and those that it may have.
    fn members(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Verb::Create => (&["object", "fields"], &[]),
            Verb::Update => (&["object", "id", "fields"], &[]),
            Verb::Upsert => (&["object", "external_id_field", "external_id", "fields"], &[]),
            Verb::Delete => (&["object", "id"], &[]),
            Verb::Get => (&["object"], &["id", "external_id_field", "external_id", "fields"]),
            Verb::Query => (&["query"], &[]),
        }
    }
}

/// An operation that was checked.
struct Operation {
    reference: String,
    verb: Verb,
    /// What a preview says of it: the object, and the record if there is one.
    about: String,
    prepared: Prepared,
    /// Of a delete, the path that says when its record was last changed.
    stamp: Option<String>,
    /// Of a query, where its reading stopped: what its records call `Id` may be any text then.
    not_read: Option<NotRead>,
}

/// `executeComposite`.
///
/// # Errors
/// [`Trouble`].
pub async fn composite(session: &Session<'_>) -> Result<Answer, Trouble> {
    let all_or_none = session.arguments.value("all_or_none").and_then(Value::as_bool).unwrap_or(true);
    run(session, Kind::Composite, all_or_none).await
}

/// `executeBatch`.
///
/// # Errors
/// [`Trouble`].
pub async fn batch(session: &Session<'_>) -> Result<Answer, Trouble> {
    let halt = session.arguments.value("halt_on_error").and_then(Value::as_bool).unwrap_or(false);
    run(session, Kind::Batch, halt).await
}

/// `strict`: all or none of a composite; a batch halts on an error.
async fn run(session: &Session<'_>, kind: Kind, strict: bool) -> Result<Answer, Trouble> {
    let operations = read(session, kind).await?;
    let writes = operations.iter().filter(|operation| operation.verb.writes()).count();
    let deletes = operations.iter().any(|operation| operation.verb == Verb::Delete);
    if session.guard().dry_run && writes > 0 {
        return Ok(writing::dry_run([("summary", json!(summary(&operations)))]));
    }
    let body = body(session, kind, strict, &operations);
    let path = if kind == Kind::Composite { "composite" } else { "composite/batch" };
    if writes == 0 {
        let reply = session.send(Request::read_by_post(path, &body)).await.map_err(|error| trouble(&error))?;
        let results = results(&reply, kind, operations.len());
        return Ok(answer_of(session, &operations, results.ok_or_else(incomplete)?).0);
    }
    let mut expected = Vec::new();
    if deletes || writes > session.guard().confirm_above {
        expected = match session.arguments.get("handle") {
            None => {
                let seen = stamps(session, &operations).await?;
                return Ok(previewed(&summary(&operations), steps::seal(session, &seen).await?));
            }
            Some(handle) => steps::open(session, handle).await?,
        };
    } else if session.arguments.get("handle").is_some() {
        return Err(invalid("handle is of a preview, and these operations need none"));
    }
    let write = Write { records: writes, look: Some(look(&operations)) };
    once(session, write, async {
        let seen = stamps(session, &operations).await?;
        let other = seen.iter().zip(&expected).position(|(seen, expected)| seen != expected);
        if let Some(other) = other {
            let about = operations.iter().filter(|operation| operation.stamp.is_some()).nth(other);
            return Err(Failure::Nothing(writing::changed(about.map_or("a record", |operation| &operation.about))));
        }
        let reply = session.send(Request::write("POST", path, Some(&body))).await?;
        let Some(results) = results(&reply, kind, operations.len()) else {
            return Err(Failure::Unknown("Salesforce's answer does not have a result for each operation.".to_owned()));
        };
        let (answer, wrote) = answer_of(session, &operations, results);
        Ok(if wrote { Done::Written(answer) } else { Done::Nothing(answer) })
    })
    .await
}

/// When the records that are deleted were last changed, in order. They are read as a composite of their own: a delete takes
/// no condition (REST API Developer Guide, "Conditional Request Headers").
async fn stamps(session: &Session<'_>, operations: &[Operation]) -> Result<Vec<Option<String>>, Trouble> {
    let version = &session.client.org().api_version;
    let part = |(at, operation): (usize, &Operation)| {
        let url = format!("/services/data/{version}/{}", operation.stamp.as_ref()?);
        Some(json!({ "method": "GET", "url": url, "referenceId": format!("operation_{}", at + 1) }))
    };
    let parts: Vec<Value> = operations.iter().enumerate().filter_map(part).collect();
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let body = json!({ "allOrNone": false, "compositeRequest": parts });
    let reply = session.send(Request::read_by_post("composite", &body)).await.map_err(|error| trouble(&error))?;
    let results = results(&reply, Kind::Composite, parts.len()).ok_or_else(incomplete)?;
    let deletes = operations.iter().enumerate().filter(|(_, operation)| operation.stamp.is_some());
    let stamp = |((at, _), (status, body)): ((usize, &Operation), (u16, &Value))| match status {
        200..300 => Ok(writing::stamp_in(body)),
        _ => Err(placed(at + 1, trouble(&SalesforceError::from_value(body, status)))),
    };
    deletes.zip(results).map(stamp).collect()
}

fn incomplete() -> Trouble {
    let message = "the answer does not have a result for each operation";
    trouble(&SalesforceError::new(salesforce::Code::AnswerUnreadable, message))
}

/// Trouble with the operation of a number.
fn placed(number: usize, trouble: Trouble) -> Trouble {
    Trouble { sentence: format!("Operation {number}: {}", trouble.sentence), ..trouble }
}

async fn read(session: &Session<'_>, kind: Kind) -> Result<Vec<Operation>, Trouble> {
    let given = session.arguments.value("operations").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if given.is_empty() || given.len() > MAX_OPERATIONS {
        return Err(invalid("operations are 1 to 25"));
    }
    let mut operations: Vec<Operation> = Vec::new();
    for (at, operation) in given.iter().enumerate() {
        let placed = |trouble: Trouble| placed(at + 1, trouble);
        let operation = operation.as_object().ok_or_else(|| placed(invalid("it is an object")))?;
        let read = prepare(session, kind, operation, at + 1, &operations).await.map_err(placed)?;
        if operations.iter().any(|earlier| earlier.reference == read.reference) {
            return Err(placed(invalid("its reference is that of another operation")));
        }
        operations.push(read);
    }
    let queries = operations.iter().filter(|operation| operation.verb == Verb::Query).count();
    if kind == Kind::Composite && queries > MAX_QUERIES {
        return Err(invalid("A composite has 5 queries at most"));
    }
    Ok(operations)
}

/// Checks one operation.
async fn prepare(
    session: &Session<'_>,
    kind: Kind,
    operation: &Map<String, Value>,
    number: usize,
    earlier: &[Operation],
) -> Result<Operation, Trouble> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str);
    let verb = text("operation").and_then(Verb::parse);
    let verb = verb.ok_or_else(|| invalid("operation is one of create, get, update, upsert, delete, query"))?;
    check_members(verb, operation)?;
    let reference = match text("reference") {
        None => format!("operation_{number}"),
        Some(reference) if is_reference(reference) => reference.to_owned(),
        Some(_) => return Err(invalid("reference is a letter and up to 39 letters, digits or underscores")),
    };
    let of_earlier: Vec<String> = earlier.iter().map(|earlier| earlier.reference.clone()).collect();
    let references = match kind {
        Kind::Composite => References::To(&of_earlier),
        Kind::Batch => References::None,
    };
    let object = text("object").unwrap_or_default();
    let no_fields = Map::new();
    let fields = operation.get("fields").and_then(Value::as_object).unwrap_or(&no_fields);
    let whose = || whose(text("id").unwrap_or_default(), references, earlier);
    let mut about = object.to_owned();
    let (mut stamp, mut not_read) = (None, None);
    let prepared = match verb {
        Verb::Create => Target::of(session, object).await?.create(session, fields, references)?,
        Verb::Update => {
            about += &format!(" {}", shown_id(text("id")));
            Target::of(session, object).await?.update(session, &whose()?, fields, references)?
        }
        Verb::Upsert => {
            let (field, value) =
                (text("external_id_field").unwrap_or_default(), text("external_id").unwrap_or_default());
            Target::of(session, object).await?.upsert(session, field, value, fields, references)?
        }
        Verb::Delete => {
            about += &format!(" {}", shown_id(text("id")));
            let (target, whose) = (Target::of(session, object).await?, whose()?);
            stamp = whose.id().map(|id| target.stamp(id));
            if let Whose::Reference(reference) = &whose
                && referred(reference, earlier).is_none_or(|earlier| earlier.verb != Verb::Create)
            {
                return Err(invalid(
                    "A delete takes an id, or the reference of an earlier create: the preview tells what goes",
                ));
            }
            target.delete(session, &whose)?
        }
        Verb::Get => get(session, operation, references, earlier).await?,
        Verb::Query => {
            let query = text("query").unwrap_or_default();
            if query.contains("@{") {
                return Err(invalid("query cannot have a reference in it"));
            }
            guarding::check_query(session, query).await?;
            if kind == Kind::Composite {
                not_read = check_names(query)?;
            }
            read_request(format!("query{}", url_query(&[("q", query)])))
        }
    };
    Ok(Operation { reference, verb, about, prepared, stamp, not_read })
}

/// Refuses a query that gives the name `Id` to another value, for a reference would take it for an id; says where the
/// reading of it stopped.
fn check_names(query: &str) -> Result<Option<NotRead>, Trouble> {
    match soql_reading::read(query) {
        Ok(reading) if reading.gives_name("Id") => Err(invalid(
            "query gives a value the alias Id, and a later operation could take it for the id of a record: use another alias",
        )),
        Ok(_) => Ok(None),
        Err(not_read) => Ok(Some(not_read)),
    }
}

/// The earlier operation that a reference, as `@{reference.id}`, is to.
fn referred<'a>(reference: &str, earlier: &'a [Operation]) -> Option<&'a Operation> {
    let (name, _) = reference.strip_prefix("@{")?.split_once('.')?;
    earlier.iter().find(|earlier| earlier.reference == name)
}

fn check_members(verb: Verb, operation: &Map<String, Value>) -> Result<(), Trouble> {
    let (needed, possible) = verb.members();
    let own =
        |name: &str| ["operation", "reference"].contains(&name) || needed.contains(&name) || possible.contains(&name);
    for (name, value) in operation {
        if !MEMBERS.contains(&name.as_str()) {
            return Err(invalid(&format!(
                "{} is no property of an operation; they are {}",
                clean_and_cut(name, 80),
                MEMBERS.join(", ")
            )));
        }
        if !own(name) {
            return Err(invalid(&format!("{} takes no {name}", verb.as_str())));
        }
        let right = match (name.as_str(), verb) {
            ("fields", Verb::Get) => value.as_array().is_some_and(|names| names.iter().all(Value::is_string)),
            ("fields", _) => value.is_object(),
            _ => value.is_string(),
        };
        if !right {
            let kind = match (name.as_str(), verb) {
                ("fields", Verb::Get) => "a list of names",
                ("fields", _) => "an object of API names and values",
                _ => "a text in quotes",
            };
            return Err(invalid(&format!("{name} of {} is {kind}", verb.as_str())));
        }
    }
    match needed.iter().find(|name| !operation.contains_key(**name)) {
        Some(missing) => Err(invalid(&format!("{} needs {missing}", verb.as_str()))),
        None => Ok(()),
    }
}

fn is_reference(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A record by its id, or by that of an earlier operation's record. Salesforce puts the value of a reference into the path
/// as it is: any other value could make another path of it.
fn whose(id: &str, references: References<'_>, earlier: &[Operation]) -> Result<Whose, Trouble> {
    if !reference_in(id, references)? {
        return Whose::parse(id);
    }
    let last = id.trim_end_matches('}').rsplit('.').next();
    if !last.is_some_and(|last| last.eq_ignore_ascii_case("id")) {
        return Err(invalid("A reference in the place of an id is to an id, such as @{reference.id}"));
    }
    match referred(id, earlier).and_then(|earlier| earlier.not_read.as_ref()) {
        Some(not_read) => Err(invalid(&format!(
            "A reference in the place of an id cannot be to a query of which it is not known what it calls Id: {}. \
             Simplify the query, or give the id itself",
            clean_and_cut(&not_read.to_string(), 120)
        ))),
        None => Ok(Whose::Reference(id.to_owned())),
    }
}

fn shown_id(id: Option<&str>) -> String {
    clean_and_cut(id.unwrap_or_default(), 80)
}

fn read_request(path: String) -> Prepared {
    Prepared { method: "GET", path, body: None, look: None }
}

/// A record that is read, by its id or an external id; without names of fields, the first 50 that the server may read.
async fn get(
    session: &Session<'_>,
    operation: &Map<String, Value>,
    references: References<'_>,
    earlier: &[Operation],
) -> Result<Prepared, Trouble> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str);
    let object = session.readable(text("object").unwrap_or_default())?;
    let describe = session.describe(&object).await?;
    let own = match (text("id"), text("external_id_field"), text("external_id")) {
        (Some(id), None, None) => match whose(id, references, earlier)? {
            Whose::Id(id) => id.to_string(),
            Whose::Reference(reference) => reference,
        },
        (None, Some(field), Some(value)) => {
            let known = describe.field(field).filter(|field| field.external_id || field.id_lookup);
            let known = known.and_then(|field| salesforce::FieldName::parse(&field.name));
            let known = known.ok_or_else(|| invalid(&format!("{object} has no such external id field")))?;
            guarding::check_paths(session, &describe, &[FieldPath::from(known.clone())]).await?;
            let value = segment(value).filter(|_| !value.contains("@{") || matches!(references, References::None));
            format!("{known}/{}", value.ok_or_else(|| invalid("external_id is no value that names a record"))?)
        }
        _ => return Err(invalid("get needs id, or external_id_field and external_id, and not both")),
    };
    let fields = match operation.get("fields").and_then(Value::as_array) {
        Some(names) => {
            let path = |name: &Value| name.as_str().and_then(FieldPath::parse);
            let paths: Option<Vec<FieldPath>> = names.iter().map(path).collect();
            let paths = paths.filter(|paths| !paths.is_empty() && paths.len() <= 100);
            let paths = paths.ok_or_else(|| invalid("fields is a list of 1 to 100 API names"))?;
            guarding::check_paths(session, &describe, &paths).await?;
            paths.iter().map(|path| path.as_str().to_owned()).collect()
        }
        None => {
            let simple = describe
                .fields
                .iter()
                .filter(|field| !["address", "location", "base64"].contains(&field.kind.as_str()));
            let may_read = simple.filter(|field| session.guard().may_read_field(&describe.name, &field.name));
            let names =
                may_read.map(|field| field.name.clone()).filter(|name| salesforce::FieldName::parse(name).is_some());
            names.take(DEFAULT_FIELDS).collect::<Vec<String>>()
        }
    };
    Ok(read_request(format!("sobjects/{object}/{own}{}", url_query(&[("fields", &fields.join(","))]))))
}

/// The body of the request.
fn body(session: &Session<'_>, kind: Kind, strict: bool, operations: &[Operation]) -> Value {
    let version = &session.client.org().api_version;
    let part = |operation: &Operation| {
        let Prepared { method, path, body, .. } = &operation.prepared;
        let mut part = match kind {
            Kind::Composite => json!({
                "method": method, "url": format!("/services/data/{version}/{path}"), "referenceId": operation.reference,
            }),
            Kind::Batch => json!({ "method": method, "url": format!("{version}/{path}") }),
        };
        if let Some(body) = body {
            part[if kind == Kind::Composite { "body" } else { "richInput" }] = body.clone();
        }
        part
    };
    let parts: Vec<Value> = operations.iter().map(part).collect();
    match kind {
        Kind::Composite => json!({ "allOrNone": strict, "compositeRequest": parts }),
        Kind::Batch => json!({ "haltOnError": strict, "batchRequests": parts }),
    }
}

/// Status and body of each operation. `None` when there is not one for each.
fn results(reply: &Reply, kind: Kind, count: usize) -> Option<Vec<(u16, &Value)>> {
    let (list, status, body) = match kind {
        Kind::Composite => ("compositeResponse", "httpStatusCode", "body"),
        Kind::Batch => ("results", "statusCode", "result"),
    };
    let list = reply.body[list].as_array().filter(|list| list.len() == count)?;
    list.iter().map(|result| Some((u16::try_from(result[status].as_u64()?).ok()?, &result[body]))).collect()
}

/// The answer, and whether anything may have been written.
fn answer_of(session: &Session<'_>, operations: &[Operation], results: Vec<(u16, &Value)>) -> (Answer, bool) {
    let mut bytes = session.guard().max_bytes.saturating_sub(operations.len() * ROW_BYTES);
    let (mut rows, mut written, mut failed) = (Vec::new(), 0_usize, 0_usize);
    for (operation, (status, body)) in operations.iter().zip(results) {
        let mut row = answer([("reference", json!(operation.reference)), ("status", json!(status))]);
        let success = (200..300).contains(&status);
        row.insert("success".to_owned(), json!(success));
        if success {
            written += usize::from(operation.verb.writes());
            if operation.verb.writes() {
                row.extend(body["id"].as_str().map(|id| ("id".to_owned(), json!(clean_and_cut(id, 18)))));
                row.extend(body["created"].as_bool().map(|created| ("created".to_owned(), json!(created))));
            } else {
                records(&mut row, operation.verb, body, session.guard().max_rows, &mut bytes);
            }
        } else {
            failed += 1;
            // A server's failure is not known to have had no effect.
            written += usize::from(operation.verb.writes() && status >= 500);
            let error = SalesforceError::from_value(body, status);
            row.insert("code".to_owned(), json!(error.code.as_str()));
            row.insert("message".to_owned(), json!(message(&error)));
        }
        rows.push(Value::Object(row));
    }
    let writes = operations.iter().any(|operation| operation.verb.writes());
    let nothing = if writes { written == 0 } else { failed == operations.len() };
    let state = match (failed, nothing) {
        (0, _) => "done",
        (_, true) => "failed",
        (_, false) => "partly_done",
    };
    let answer = answer([("success", json!(failed == 0)), ("state", json!(state)), ("results", Value::Array(rows))]);
    (answer, written > 0)
}

fn message(error: &SalesforceError) -> String {
    let mut message = match &error.salesforce_code {
        Some(code) => format!("{code}: {}", error.message),
        None => error.message.clone(),
    };
    if !error.fields.is_empty() {
        message += &format!(" (fields: {})", error.fields.join(", "));
    }
    let matches: Vec<&str> = error.duplicates.iter().filter_map(|duplicate| duplicate.id.as_deref()).collect();
    if !matches.is_empty() {
        message += &format!(" It looks like {}.", matches.join(", "));
    }
    clean_and_cut(&message, 600)
}

/// The records that an operation read, as JSON text of flat rows, within what is left of the answer.
fn records(row: &mut Answer, verb: Verb, body: &Value, max_rows: usize, bytes: &mut usize) {
    let found = match verb {
        Verb::Query => body["records"].as_array().map_or(&[][..], Vec::as_slice),
        _ => std::slice::from_ref(body),
    };
    let (mut texts, mut cut) = (Vec::new(), body["done"] == Value::Bool(false) || found.len() > max_rows);
    for record in found.iter().take(max_rows) {
        // Text in a text: its quotes are escaped.
        let fitted = answers::fit(record, *bytes / 2);
        let text = Value::Object(fitted.row).to_string();
        let size = Value::from(text.as_str()).to_string().len() + 1;
        if size > *bytes {
            cut = true;
            break;
        }
        *bytes -= size;
        cut |= !fitted.cut.is_empty();
        texts.push(text);
    }
    row.insert("records".to_owned(), json!(format!("[{}]", texts.join(","))));
    row.extend(body["totalSize"].as_u64().map(|total| ("total".to_owned(), json!(total))));
    if let Some(id) = body["Id"].as_str().filter(|_| verb == Verb::Get) {
        row.insert("id".to_owned(), json!(clean(id)));
    }
    if cut {
        row.insert("truncated".to_owned(), json!(true));
    }
}

/// What the operations would do.
fn summary(operations: &[Operation]) -> String {
    let mut counts: BTreeMap<(Verb, &str), usize> = BTreeMap::new();
    for operation in operations {
        *counts.entry((operation.verb, &operation.about)).or_default() += 1;
    }
    let told = counts.into_iter().map(|((verb, about), count)| match (verb, count) {
        (Verb::Query, 1) => "1 query".to_owned(),
        (Verb::Query, count) => format!("{count} queries"),
        (verb, 1) => format!("{} {about}", verb.as_str()),
        (verb, count) => format!("{} {about} {count} times", verb.as_str()),
    });
    format!("{} operations: {}.", operations.len(), told.collect::<Vec<_>>().join("; "))
}

/// How to see what was written.
fn look(operations: &[Operation]) -> String {
    let looks: Vec<&str> = operations.iter().filter_map(|operation| operation.prepared.look.as_deref()).collect();
    match looks.as_slice() {
        [] => how_to_look(None),
        [one] => how_to_look(Some(one)),
        several => {
            let some: Vec<&str> = several.iter().take(MAX_LOOKS).copied().collect();
            format!("run executeQuery with each of: {}", some.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(operation: Value) -> Result<(), String> {
        let operation = operation.as_object().unwrap();
        let verb = Verb::parse(operation["operation"].as_str().unwrap()).unwrap();
        check_members(verb, operation).map_err(|trouble| trouble.sentence)
    }

    #[test]
    fn an_operation_has_what_it_needs_and_nothing_else() {
        for good in [
            json!({ "operation": "create", "object": "Contact", "fields": {}, "reference": "a" }),
            json!({ "operation": "get", "object": "Contact", "id": "x", "fields": ["Id"] }),
            json!({ "operation": "query", "query": "SELECT Id FROM Contact" }),
        ] {
            assert_eq!(members(good.clone()), Ok(()), "{good}");
        }
        for (bad, says) in [
            (json!({ "operation": "create", "object": "Contact" }), "create needs fields"),
            (json!({ "operation": "create", "object": "Contact", "fields": {}, "url": "/x" }), "url is no property"),
            (json!({ "operation": "create", "object": "Contact", "fields": {}, "id": "x" }), "create takes no id"),
            (json!({ "operation": "get", "object": "Contact", "fields": {} }), "fields of get is a list of names"),
            (
                json!({ "operation": "update", "object": "Contact", "id": "x", "fields": ["a"] }),
                "fields of update is an object",
            ),
            (json!({ "operation": "delete", "object": "Contact", "id": 5 }), "id of delete is a text"),
            (json!({ "operation": "delete", "object": "Contact", "id": null }), "id of delete is a text"),
        ] {
            let told = members(bad).unwrap_err();
            assert!(told.contains(says), "{told}");
        }
        for name in ["a", "newAccount", "a_1"] {
            assert!(is_reference(name));
        }
        for name in ["", "1a", "_a", "a b", "a.b", "é", &"a".repeat(41)] {
            assert!(!is_reference(name), "{name}");
        }
    }

    #[test]
    fn records_are_a_text_that_fits() {
        let body = json!({ "totalSize": 3, "done": true, "records": [{ "Id": "1" }, { "Id": "2" }, { "Id": "3" }] });
        let mut row = Answer::new();
        records(&mut row, Verb::Query, &body, 2, &mut 1_000);
        assert_eq!(
            Value::Object(row),
            json!({ "records": r#"[{"Id":"1"},{"Id":"2"}]"#, "total": 3, "truncated": true })
        );
        let long = json!({ "Id": "1", "Description": "é\"".repeat(5_000) });
        let (mut row, mut bytes) = (Answer::new(), 2_000);
        records(&mut row, Verb::Get, &long, 200, &mut bytes);
        assert_eq!(row["truncated"], json!(true));
        assert!(row["records"].to_string().len() <= 2_002, "{row:?}");
        assert!(serde_json::from_str::<Value>(row["records"].as_str().unwrap()).is_ok());
    }

    #[test]
    fn a_preview_counts_what_it_would_do() {
        let operation = |verb: Verb, about: &str| Operation {
            reference: "r".to_owned(),
            verb,
            about: about.to_owned(),
            prepared: read_request(String::new()),
            stamp: None,
            not_read: None,
        };
        let operations = [
            operation(Verb::Create, "Contact"),
            operation(Verb::Create, "Contact"),
            operation(Verb::Delete, "Account 001"),
            operation(Verb::Query, ""),
        ];
        assert_eq!(summary(&operations), "4 operations: create Contact 2 times; delete Account 001; 1 query.");
    }
}
