//! The resources under `/services/data/vNN.0/` (REST API Developer Guide).

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::answer::{Answer, ApiError, Call};
use crate::dates::{format_http_date, parse_datetime, parse_http_date};
use crate::org::{Record, is_deleted};
use crate::query::{self, Found, Scope};
use crate::schema::{self, Field, Object};
use crate::soql::{self, Name};
use crate::state::{self, State};
use crate::write::{self, Terms};
use crate::{bulk, collections, composite, ids, reports, search};

/// When objects were last changed, for `If-Modified-Since` at describe.
const SCHEMA_CHANGED: &str = "Mon, 12 Jan 2026 09:00:00 GMT";

/// The versions that are served; others were retired, or are not there yet.
pub const VERSIONS: std::ops::RangeInclusive<u32> = 50..=66;

/// Answers a request to a resource.
pub fn answer(state: &mut State, call: &Call) -> Answer {
    resource(state, call).unwrap_or_else(ApiError::into_answer)
}

/// What holds for the writes of a request.
pub fn terms(call: &Call) -> Terms {
    let rule = call.header("sforce-duplicate-rule-header").unwrap_or_default().to_ascii_lowercase();
    Terms { now: state::now(), allow_duplicates: rule.replace(' ', "").contains("allowsave=true") }
}

fn resource(state: &mut State, call: &Call) -> Result<Answer, ApiError> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        [] => only(call, &["GET"]).map(|()| resources(call)),
        ["limits"] => only(call, &["GET"]).map(|()| state::limits(state)),
        ["sobjects"] => only(call, &["GET"]).map(|()| list_objects(call)),
        ["sobjects", object, rest @ ..] => sobject(state, call, known(object)?, rest),
        ["query"] => {
            only(call, &["GET"])?;
            run_query(state, call, false)
        }
        ["queryAll"] => {
            only(call, &["GET"])?;
            run_query(state, call, true)
        }
        ["query" | "queryAll", cursor] => {
            only(call, &["GET"])?;
            state::next_page(state, call, cursor)
        }
        ["search"] => {
            only(call, &["GET"])?;
            search::by_sosl(state, call)
        }
        ["parameterizedSearch"] => {
            only(call, &["GET", "POST"])?;
            search::by_parameters(state, call)
        }
        ["composite"] if call.method == "GET" => Ok(Answer::ok(json!({
            "batch": format!("{}/composite/batch", call.base()),
            "sobjects": format!("{}/composite/sobjects", call.base()),
        }))),
        ["composite"] => {
            only(call, &["POST"])?;
            composite::composite(state, call)
        }
        ["composite", "batch"] => {
            only(call, &["POST"])?;
            composite::batch(state, call)
        }
        ["composite", "sobjects", rest @ ..] => collections::collection(state, call, rest),
        ["jobs", rest @ ..] => bulk::jobs(state, call, rest),
        ["analytics", "reports", rest @ ..] => reports::reports(state, call, rest),
        _ => Err(ApiError::no_such_path()),
    }
}

/// Refuses other methods.
///
/// # Errors
/// `METHOD_NOT_ALLOWED`
pub fn only(call: &Call, allowed: &[&str]) -> Result<(), ApiError> {
    if allowed.contains(&call.method.as_str()) {
        return Ok(());
    }
    Err(ApiError::method(&call.method, &allowed.join(", ")))
}

/// The object of a path.
///
/// # Errors
/// `NOT_FOUND`
pub fn known(name: &str) -> Result<&'static Object, ApiError> {
    schema::object(name).ok_or_else(ApiError::no_such_path)
}

fn resources(call: &Call) -> Answer {
    let base = call.base();
    let names =
        ["analytics", "composite", "jobs", "limits", "parameterizedSearch", "query", "queryAll", "search", "sobjects"];
    Answer::ok(names.iter().map(|name| ((*name).to_owned(), json!(format!("{base}/{name}")))).collect())
}

fn list_objects(call: &Call) -> Answer {
    let objects: Vec<Value> = schema::objects().iter().map(|object| object.summary(&call.base())).collect();
    Answer::ok(json!({ "encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects }))
}

fn sobject(state: &mut State, call: &Call, object: &'static Object, rest: &[&str]) -> Result<Answer, ApiError> {
    match rest {
        [] if call.method == "POST" => create(state, call, object),
        [] => {
            only(call, &["GET", "POST"])?;
            Ok(Answer::ok(json!({ "objectDescribe": object.summary(&call.base()), "recentItems": [] })))
        }
        ["describe"] => {
            only(call, &["GET"])?;
            Ok(describe(call, object))
        }
        [id] => record(state, call, object, id),
        [field, value] => by_field(state, call, object, field, value),
        _ => Err(ApiError::no_such_path()),
    }
}

fn describe(call: &Call, object: &Object) -> Answer {
    let since = call.header("if-modified-since").and_then(parse_http_date);
    let changed = parse_http_date(SCHEMA_CHANGED);
    let mut answer = match since.zip(changed) {
        Some((since, changed)) if changed <= since => Answer::empty(304),
        _ => Answer::ok(object.describe(&call.base())),
    };
    answer.headers.push(("last-modified", SCHEMA_CHANGED.to_owned()));
    answer
}

fn create(state: &mut State, call: &Call, object: &Object) -> Result<Answer, ApiError> {
    let id = write::create(&mut state.org, object, &call.object()?, terms(call))?;
    let mut answer = Answer::json(201, json!({ "id": id, "success": true, "errors": [] }));
    answer.headers.push(("location", format!("{}/sobjects/{}/{id}", call.base(), object.name)));
    Ok(answer)
}

fn record(state: &mut State, call: &Call, object: &'static Object, id: &str) -> Result<Answer, ApiError> {
    match call.method.as_str() {
        "GET" => {
            let found = ids::parse(id).and_then(|id| state.org.get(object, &id)).ok_or_else(|| write::not_found(id))?;
            if is_deleted(found) {
                return Err(ApiError::of_deleted());
            }
            read(state, call, object, found)
        }
        "PATCH" => {
            check_conditions(state, call, object, id)?;
            write::update(&mut state.org, object, id, &call.object()?, terms(call))?;
            Ok(Answer::empty(204))
        }
        "DELETE" => {
            check_conditions(state, call, object, id)?;
            write::delete(&mut state.org, object, id, terms(call))?;
            Ok(Answer::empty(204))
        }
        _ => Err(ApiError::method(&call.method, "GET, PATCH, DELETE")),
    }
}

fn read(state: &State, call: &Call, object: &'static Object, record: &Record) -> Result<Answer, ApiError> {
    let modified = modified(record);
    let tag = tag(object, record);
    check_not_changed(call, modified, tag.as_deref())?;
    let same_tag = tag.as_deref().is_some_and(|tag| call.header("if-none-match") == Some(tag));
    let since = call.header("if-modified-since").and_then(parse_http_date);
    let not_modified = since.zip(modified).is_some_and(|(since, modified)| modified <= since);
    let base = call.base();
    let mut answer = match call.parameter("fields") {
        _ if same_tag || not_modified => Answer::empty(304),
        None => Answer::ok(query::whole(object, record, &base)),
        Some(fields) => Answer::ok(some_fields(state, object, record, fields, &base)?),
    };
    if let Some(modified) = modified {
        answer.headers.push(("last-modified", format_http_date(modified)));
    }
    if let Some(tag) = tag {
        answer.headers.push(("etag", tag));
    }
    Ok(answer)
}

/// `?fields=A,B`: those, and the id.
///
/// # Errors
/// `INVALID_FIELD`
pub fn some_fields(
    state: &State,
    object: &'static Object,
    record: &Record,
    fields: &str,
    base: &str,
) -> Result<Value, ApiError> {
    let names = fields.split(',').map(str::trim).filter(|name| !name.is_empty());
    let mut select = Vec::new();
    for name in names {
        if !name.contains('.') && object.field(name).is_none() {
            let message = format!("No such column '{name}' on sobject of type {}", object.name);
            return Err(ApiError::new(400, "INVALID_FIELD", message));
        }
        select.push(soql::Selected::Field(Name { text: name.to_owned(), at: 0 }, None));
    }
    select.push(soql::Selected::Field(Name { text: "Id".to_owned(), at: 0 }, None));
    let mut query = soql::parse_returning(object.name, "Id")?;
    query.select = select;
    let scope = Scope { org: &state.org, text: fields, base, now: state::now(), with_deleted: false };
    query::show(scope, object, &query, record)
}

fn by_field(
    state: &mut State,
    call: &Call,
    object: &'static Object,
    field: &str,
    value: &str,
) -> Result<Answer, ApiError> {
    let Some(field) = lookup_field(object, field) else {
        let message = format!("Provided external ID field does not exist or is not accessible: {field}");
        return Err(ApiError::new(404, "NOT_FOUND", message));
    };
    let found = write::find(&state.org, object, field, value);
    if found.len() > 1 {
        let urls = found.iter().map(|id| format!("{}/sobjects/{}/{id}", call.base(), object.name));
        return Ok(Answer::json(300, urls.collect()));
    }
    match (call.method.as_str(), found.first()) {
        ("PATCH", _) => {
            let update_only = call.parameter("updateOnly") == Some("true");
            let fields = call.object()?;
            let done = write::upsert(&mut state.org, object, field, value, &fields, update_only, terms(call))?;
            let body = json!({ "id": done.id, "success": true, "errors": [], "created": done.created });
            Ok(Answer::json(if done.created { 201 } else { 200 }, body))
        }
        ("GET" | "DELETE", Some(id)) => record(state, call, object, id),
        ("GET" | "DELETE", None) => Err(ApiError::no_such_path()),
        _ => Err(ApiError::method(&call.method, "GET, PATCH, DELETE")),
    }
}

/// A field that records are found by.
pub fn lookup_field(object: &'static Object, name: &str) -> Option<&'static Field> {
    object.field(name).filter(|field| field.external_id || field.id_lookup)
}

fn modified(record: &Record) -> Option<OffsetDateTime> {
    // HTTP dates have whole seconds.
    let at = parse_datetime(record.get("SystemModstamp")?.as_str()?)?;
    at.replace_nanosecond(0).ok()
}

/// Only accounts have one.
fn tag(object: &Object, record: &Record) -> Option<String> {
    let stamp = record.get("SystemModstamp").filter(|_| object.name == "Account")?;
    let digits: String = stamp.as_str()?.chars().filter(char::is_ascii_digit).collect();
    Some(format!("\"{digits}\""))
}

fn check_conditions(state: &State, call: &Call, object: &Object, id: &str) -> Result<(), ApiError> {
    let Some(record) = ids::parse(id).and_then(|id| state.org.get(object, &id)) else { return Ok(()) };
    check_not_changed(call, modified(record), tag(object, record).as_deref())
}

fn check_not_changed(call: &Call, modified: Option<OffsetDateTime>, tag: Option<&str>) -> Result<(), ApiError> {
    let failed = || {
        ApiError::new(412, "PRECONDITION_FAILED", "The record was changed since the time or the tag that was given.")
    };
    let unmodified_since = call.header("if-unmodified-since").and_then(parse_http_date);
    if unmodified_since.zip(modified).is_some_and(|(since, modified)| modified > since) {
        return Err(failed());
    }
    let other_tag = |tag: &str| call.header("if-match").is_some_and(|given| given != "*" && given != tag);
    if tag.is_some_and(other_tag) {
        return Err(failed());
    }
    Ok(())
}

fn run_query(state: &mut State, call: &Call, with_deleted: bool) -> Result<Answer, ApiError> {
    let Some(text) = call.parameter("q") else {
        return Err(ApiError::new(400, "MALFORMED_QUERY", "A query string has to be specified"));
    };
    let query = soql::parse(text)?;
    let base = call.base();
    let scope = Scope { org: &state.org, text, base: &base, now: state::now(), with_deleted };
    match query::run(scope, &query)? {
        Found::Count(count) => Ok(Answer::ok(json!({ "totalSize": count, "done": true, "records": [] }))),
        Found::Rows(rows) => Ok(state::first_page(state, call, rows)),
    }
}
