//! Reads of records: by id, by SOQL, by SOSL, and the lists of typed tools.

use catalogue::SalesforceTool;
use catalogue::salesforce::Typed;
use registry::Guard;
use salesforce::client::{query as url_query, segment};
use salesforce::soql::{Condition, Literal, Operator, Order, Pattern, Query};
use salesforce::{Code, Describe, FieldName, FieldPath, ObjectName, RecordId, Request, SalesforceError, sosl};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::{Iso8601, Rfc3339};

use crate::catalogue::{Answer, Trouble};

use super::answers::{Page, Position, RESERVED, fit, page_of, position};
use super::guarding::{check_paths, check_query, check_search};
use super::session::{Session, invalid, not_allowed, trouble, wrong_fields};

/// Fields that `getRecord` gives when none are named.
const DEFAULT_FIELDS: usize = 50;
/// Types of fields that are no simple values, or none to read.
const NOT_SIMPLE: [&str; 5] = ["address", "location", "base64", "complexvalue", "anyType"];
/// Pages of Salesforce that one answer is made of, at most.
const MAX_PAGES: usize = 10;
/// The smallest page that Salesforce gives.
const BATCH_SIZE: &str = "batchSize=200";
/// The most records of a list of ours; SOQL has no larger limit.
const LIST_LIMIT: u32 = 50_000;
/// The most records of a search by words.
const SEARCH_LIMIT: usize = 200;
/// The most rows that a SOSL search gives (SOSL Reference, `LIMIT n`).
const SOSL_LIMIT: usize = 2_000;

/// `getRecord`, `salesforce_get_…`
///
/// # Errors
/// [`Trouble`].
pub async fn get(session: &Session<'_>) -> Result<Answer, Trouble> {
    let typed = match session.tool {
        SalesforceTool::Get(typed) => Some(typed),
        _ => None,
    };
    let object = match typed {
        Some(typed) => session.readable(typed.object())?,
        None => session.readable(session.arguments.text("object"))?,
    };
    let named = named_fields(session)?;
    // What is wrong with the arguments alone needs no description.
    let record = Wanted::of(session)?;
    let describe = session.describe(&object).await?;
    let resource = record.resource(session, &describe)?;
    let (fields, left_out) = match (typed, named) {
        (Some(typed), _) => (typed_fields(session, &describe, typed, true), None),
        (None, Some(named)) => {
            check_paths(session, &describe, &named).await?;
            (with_id(named), None)
        }
        (None, None) => default_fields(session.guard(), &describe),
    };
    let record = read(session, &describe, &resource, &fields).await?;
    let fitted = fit(&Value::Object(record), session.guard().max_bytes.saturating_sub(RESERVED));
    let mut answer = fitted.row;
    let cut = (!fitted.cut.is_empty()).then(|| format!("cut: {}", fitted.cut.join(", ")));
    let told: Vec<String> = left_out.into_iter().chain(cut).collect();
    if !told.is_empty() {
        let told: String = told.join("; ").chars().take(300).collect();
        answer.insert("truncated".to_owned(), told.into());
    }
    Ok(answer)
}

/// Which record is asked for.
enum Wanted {
    Id(RecordId),
    External(FieldName, String),
}

impl Wanted {
    fn of(session: &Session<'_>) -> Result<Wanted, Trouble> {
        let arguments = session.arguments;
        let external = (arguments.get("external_id_field"), arguments.get("external_id"));
        match (arguments.get("id"), external) {
            (Some(id), (None, None)) => Ok(Wanted::Id(record_id("id", id)?)),
            (None, (Some(field), Some(value))) => {
                let field = FieldName::parse(field)
                    .ok_or_else(|| invalid("external_id_field is the API name of a field, such as External_Id__c"))?;
                Ok(Wanted::External(field, value.to_owned()))
            }
            _ => Err(invalid("Give either id, or external_id_field and external_id, and not both")),
        }
    }

    /// The path of the record.
    fn resource(&self, session: &Session<'_>, describe: &Describe) -> Result<String, Trouble> {
        let object = &describe.name;
        match self {
            Wanted::Id(id) => Ok(format!("sobjects/{object}/{id}")),
            Wanted::External(name, value) => {
                let field = describe.field(name.as_str()).filter(|field| field.external_id || field.id_lookup);
                let Some(field) = field else {
                    let known = describe.fields.iter().filter(|field| field.external_id || field.id_lookup);
                    let known: Vec<&str> = known.take(20).map(|field| field.name.as_str()).collect();
                    return Err(invalid(&format!(
                        "{name} is no external id field of {object}; it has {}",
                        known.join(", ")
                    )));
                };
                if !session.guard().may_read_field(object, &field.name) {
                    return Err(not_allowed(&format!("This server may not read the field {} of {object}", field.name)));
                }
                let value = segment(value).ok_or_else(|| invalid("external_id is empty or a dot"))?;
                Ok(format!("sobjects/{object}/{}/{value}", field.name))
            }
        }
    }
}

/// Reads a record: its own fields from its resource, those of related records by a query of its id.
async fn read(
    session: &Session<'_>,
    describe: &Describe,
    resource: &str,
    fields: &[FieldPath],
) -> Result<Map<String, Value>, Trouble> {
    let (own, related): (Vec<FieldPath>, Vec<FieldPath>) =
        fields.iter().cloned().partition(|field| field.relationship().is_none());
    let names: Vec<&str> = own.iter().map(FieldPath::as_str).collect();
    let request = Request::get(format!("{resource}{}", url_query(&[("fields", &names.join(","))])));
    let reply = session.send(request).await.map_err(|error| trouble(&error))?;
    let mut record = record_of(reply.body)?;
    if !related.is_empty() {
        let id = record.get("Id").and_then(Value::as_str).and_then(RecordId::parse).ok_or_else(unreadable)?;
        let object = ObjectName::parse(&describe.name).ok_or_else(unreadable)?;
        let condition = Some(Condition::Compare(path("Id")?, Operator::Equal, Literal::Id(id)));
        let query = Query { fields: related, object, condition, order: Vec::new(), limit: 1, offset: 0 };
        let soql = query.render().map_err(|error| invalid(&error.to_string()))?;
        let reply = session.send(first_page(&soql, false)).await.map_err(|error| trouble(&error))?;
        let records = QueryPage::of(reply.body)?.records;
        let more = records.into_iter().next().map(record_of).transpose()?.unwrap_or_default();
        record.extend(more.into_iter().filter(|(name, _)| name != "attributes"));
    }
    Ok(record)
}

fn record_of(body: Value) -> Result<Map<String, Value>, Trouble> {
    match body {
        Value::Object(record) if record.get("attributes").is_some_and(Value::is_object) => Ok(record),
        _ => Err(unreadable()),
    }
}

fn unreadable() -> Trouble {
    trouble(&SalesforceError::new(Code::AnswerUnreadable, "the answer has another form than expected"))
}

/// The argument `fields`, checked for its form; `None` when there is none.
fn named_fields(session: &Session<'_>) -> Result<Option<Vec<FieldPath>>, Trouble> {
    let Some(names) = session.arguments.value("fields").and_then(Value::as_array) else { return Ok(None) };
    let parse = |name: &Value| {
        let name = name.as_str().unwrap_or_default();
        FieldPath::parse(name).ok_or_else(|| invalid("fields are API names such as Name or Owner.Name"))
    };
    let names = names.iter().map(parse).collect::<Result<Vec<FieldPath>, Trouble>>()?;
    Ok(Some(names).filter(|names| !names.is_empty()))
}

fn path(name: &str) -> Result<FieldPath, Trouble> {
    FieldPath::parse(name).ok_or_else(|| invalid(&format!("{name} is no API name of a field")))
}

/// With `Id` first, and nothing twice.
fn with_id(names: Vec<FieldPath>) -> Vec<FieldPath> {
    let mut fields: Vec<FieldPath> = FieldPath::parse("Id").into_iter().collect();
    for name in names {
        if !fields.iter().any(|known| known.as_str().eq_ignore_ascii_case(name.as_str())) {
            fields.push(name);
        }
    }
    fields
}

/// The first simple fields that the server may read, and what is told of the rest.
fn default_fields(guard: &Guard, describe: &Describe) -> (Vec<FieldPath>, Option<String>) {
    let readable: Vec<&str> = describe
        .fields
        .iter()
        .filter(|field| !NOT_SIMPLE.contains(&field.kind.as_str()) && guard.may_read_field(&describe.name, &field.name))
        .map(|field| field.name.as_str())
        .collect();
    let first = ["Id", "Name"].into_iter().filter(|name| readable.contains(name));
    let names = first.chain(readable.iter().copied()).filter_map(FieldPath::parse);
    let mut fields = with_id(names.collect());
    let all = fields.len();
    fields.truncate(DEFAULT_FIELDS);
    let told = format!("{DEFAULT_FIELDS} of {all} fields; name those that you need in fields");
    (fields, (all > DEFAULT_FIELDS).then_some(told))
}

/// The fields of a typed tool, as far as the org has them and the server may read them.
fn typed_fields(session: &Session<'_>, describe: &Describe, typed: Typed, with_texts: bool) -> Vec<FieldPath> {
    let guard = session.guard();
    let names = ["Name"].into_iter().chain(typed.fields().iter().map(|field| field.name));
    let names = names
        .filter(|name| with_texts || *name != "Description")
        .filter(|name| describe.field(name).is_some() && guard.may_read_field(&describe.name, name));
    with_id(names.filter_map(FieldPath::parse).collect())
}

fn record_id(argument: &str, text: &str) -> Result<RecordId, Trouble> {
    let wrong = format!("{argument} is a record id of 15 or 18 characters, exactly as Salesforce gave it");
    RecordId::parse(text).ok_or_else(|| invalid(&wrong))
}

/// `executeQuery`, `executeQueryAll`
///
/// # Errors
/// [`Trouble`].
pub async fn query(session: &Session<'_>) -> Result<Answer, Trouble> {
    let soql = session.arguments.text("query");
    check_query(session, soql).await?;
    let include_deleted = session.arguments.value("include_deleted") == Some(&Value::Bool(true));
    let with_deleted = include_deleted || session.tool == SalesforceTool::ExecuteQueryAll;
    records(session, soql, with_deleted).await
}

/// A page of a query that has been checked, from the position of the call on.
///
/// # Errors
/// [`Trouble`].
pub async fn records(session: &Session<'_>, soql: &str, with_deleted: bool) -> Result<Answer, Trouble> {
    shaped_records(session, soql, with_deleted, |record| record).await
}

/// The same, with records of another shape.
///
/// # Errors
/// [`Trouble`].
pub async fn shaped_records(
    session: &Session<'_>,
    soql: &str,
    with_deleted: bool,
    shape: impl Fn(Value) -> Value,
) -> Result<Answer, Trouble> {
    let mut page = Page::new(session)?;
    let mut at = position(session).await?;
    let mut total = None;
    for _ in 0..MAX_PAGES {
        let request = match &at.page {
            None => first_page(soql, with_deleted),
            Some(path) => next_page(path)?,
        };
        let reply = session.send(request).await.map_err(|error| trouble(&error))?;
        let got = QueryPage::of(reply.body)?;
        total = total.or(got.total);
        if at == Position::default() && is_count(soql) {
            let count = got.total.ok_or_else(unreadable)?;
            page.add(&json!({ "count": count }));
            return page.answer(session, total, None, true).await;
        }
        let start = start_of(&at, &got.records)?;
        let mut last = at.last;
        for (place, record) in got.records.into_iter().enumerate().skip(start) {
            let name = name_of(&record);
            if !page.add(&shape(record)) {
                at = Position { page: at.page, offset: place, last };
                return page.answer(session, total, Some(&at), true).await;
            }
            last = name;
        }
        let Some(next) = got.next else { return page.answer(session, total, None, true).await };
        at = Position { page: Some(next), offset: 0, last: None };
        if page.is_full() {
            break;
        }
    }
    page.answer(session, total, Some(&at), true).await
}

/// The first page of a query, as small as Salesforce makes them.
fn first_page(soql: &str, with_deleted: bool) -> Request {
    let resource = if with_deleted { "queryAll" } else { "query" };
    Request::get(format!("{resource}{}", url_query(&[("q", soql)]))).with_header("sforce-query-options", BATCH_SIZE)
}

fn next_page(path: &str) -> Result<Request, Trouble> {
    let request = Request::next_page(path).ok_or_else(unreadable)?;
    Ok(request.with_header("sforce-query-options", BATCH_SIZE))
}

/// A page as Salesforce gives it.
struct QueryPage {
    records: Vec<Value>,
    total: Option<u64>,
    next: Option<String>,
}

impl QueryPage {
    fn of(mut body: Value) -> Result<QueryPage, Trouble> {
        let total = body["totalSize"].as_u64();
        let next = match (&body["done"], &body["nextRecordsUrl"]) {
            (Value::Bool(true), _) => None,
            (Value::Bool(false), Value::String(next)) if Request::next_page(next).is_some() => Some(next.clone()),
            _ => return Err(unreadable()),
        };
        match body.get_mut("records").map(Value::take) {
            Some(Value::Array(records)) => Ok(QueryPage { records, total, next }),
            _ => Err(unreadable()),
        }
    }
}

/// Where a position is in the page it was taken of: there, or where its last record has moved to.
fn start_of(at: &Position, records: &[Value]) -> Result<usize, Trouble> {
    let Some(last) = &at.last else { return Ok(at.offset) };
    let is_it = |record: &Value| name_of(record).as_ref() == Some(last);
    if at.offset.checked_sub(1).and_then(|before| records.get(before)).is_some_and(is_it) {
        return Ok(at.offset);
    }
    records.iter().position(is_it).map(|place| place + 1).ok_or_else(|| {
        let message = "the records have changed since the cursor was made";
        trouble(&SalesforceError::new(Code::CursorExpired, message))
    })
}

/// The end of a record's own URL, which is its id; a group has none.
fn name_of(record: &Value) -> Option<String> {
    let url = record["attributes"]["url"].as_str()?;
    url.rsplit('/').next().filter(|id| RecordId::parse(id).is_some()).map(str::to_owned)
}

/// `SELECT COUNT() FROM …`, whose only result is a total.
fn is_count(soql: &str) -> bool {
    let start: String = soql.chars().filter(|c| !c.is_whitespace()).take(17).collect();
    start.eq_ignore_ascii_case("SELECTCOUNT()FROM")
}

/// `executeSearch`
///
/// # Errors
/// [`Trouble`].
pub async fn search(session: &Session<'_>) -> Result<Answer, Trouble> {
    let sosl = session.arguments.text("search");
    let first: String = sosl.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    if !first.eq_ignore_ascii_case("FIND") {
        return Err(invalid("search is a SOSL search, such as FIND {Acme} RETURNING Account(Id, Name)"));
    }
    check_search(session, sosl).await?;
    let mut page = Page::new(session)?;
    let request = Request::get(format!("search{}", url_query(&[("q", sosl)])));
    let reply = session.send(request).await.map_err(|error| trouble(&error))?;
    let found = search_records(reply.body)?;
    let given = found.iter().take_while(|record| page.add(&with_object(record))).count();
    let complete = given == found.len() && found.len() < SOSL_LIMIT;
    page.answer(session, Some(found.len() as u64), None, complete).await
}

fn search_records(mut body: Value) -> Result<Vec<Value>, Trouble> {
    match body.get_mut("searchRecords").map(Value::take) {
        Some(Value::Array(records)) => Ok(records),
        _ => Err(unreadable()),
    }
}

/// With the object that it is of, for a search may return several.
fn with_object(record: &Value) -> Value {
    let mut row = Map::new();
    row.insert("object".to_owned(), record["attributes"]["type"].clone());
    row.extend(record.as_object().cloned().unwrap_or_default());
    Value::Object(row)
}

/// `salesforce_list_contacts`, `salesforce_list_appointments`
///
/// # Errors
/// [`Trouble`].
pub async fn list(session: &Session<'_>, typed: Typed) -> Result<Answer, Trouble> {
    let object = session.readable(typed.object())?;
    let mut conditions = Vec::new();
    let reference =
        |name: &str| session.arguments.get(name).map(|id| Ok::<_, Trouble>((path(name)?, record_id(name, id)?)));
    for (field, id) in ["AccountId", "WhoId"].into_iter().filter_map(reference).collect::<Result<Vec<_>, _>>()? {
        conditions.push(Condition::Compare(field, Operator::Equal, Literal::Id(id)));
    }
    for (argument, operator) in [("from", Operator::GreaterOrEqual), ("to", Operator::Less)] {
        if let Some(text) = session.arguments.get(argument) {
            let at = moment(argument, text)?;
            conditions.push(Condition::Compare(path("StartDateTime")?, operator, Literal::DateTime(at)));
        }
    }
    let words = session.arguments.get("query").map(str::trim).filter(|words| !words.is_empty());
    if words.is_some_and(|words| sosl::escape(words).is_err()) {
        return Err(invalid("query has at least 2 characters"));
    }
    let describe = session.describe(&object).await?;
    let fields = typed_fields(session, &describe, typed, false);
    let by = if typed == Typed::Contact { "CreatedDate" } else { "StartDateTime" };
    check_filters(session, &describe, &conditions)?;
    if let Some(words) = words {
        if !session.guard().limits_fields(&describe.name)
            && let Some(found) = found_by_words(session, &object, &fields, &conditions, words).await?
        {
            return page_of(session, &found, found.len() < SEARCH_LIMIT).await;
        }
        conditions.push(part_of_name(session, &describe, words)?);
    }
    // Who asks from a time on wants what comes next.
    let descending = session.arguments.get("from").is_none();
    let order = |name: &str| path(name).map(|field| Order { field, descending });
    let order = if session.guard().may_read_field(&describe.name, by) {
        vec![order(by)?, order("Id")?]
    } else {
        vec![order("Id")?]
    };
    let condition = (!conditions.is_empty()).then_some(Condition::All(conditions));
    let query = Query { fields, object, condition, order, limit: LIST_LIMIT, offset: 0 };
    let soql = query.render().map_err(|error| invalid(&error.to_string()))?;
    records(session, &soql, false).await
}

/// Fields of conditions are read too.
fn check_filters(session: &Session<'_>, describe: &Describe, conditions: &[Condition]) -> Result<(), Trouble> {
    for condition in conditions {
        let Condition::Compare(field, ..) = condition else { continue };
        if !session.guard().may_read_field(&describe.name, field.as_str()) {
            return Err(not_allowed(&format!("This server may not read the field {field} of {}", describe.name)));
        }
        let problems = salesforce::describe::check_reads(describe, std::slice::from_ref(field));
        if !problems.is_empty() {
            return Err(wrong_fields(&problems));
        }
    }
    Ok(())
}

/// Records that Salesforce's search finds; `None` when it finds none: then they may be too new for its index, or the words
/// may be parts of words.
async fn found_by_words(
    session: &Session<'_>,
    object: &ObjectName,
    fields: &[FieldPath],
    conditions: &[Condition],
    words: &str,
) -> Result<Option<Vec<Value>>, Trouble> {
    let names: Vec<&str> = fields.iter().map(FieldPath::as_str).collect();
    let mut wanted = json!({ "name": object, "fields": names, "limit": SEARCH_LIMIT });
    let filters: Vec<String> = conditions.iter().filter_map(rendered_comparison).collect();
    if !filters.is_empty() {
        wanted["where"] = filters.join(" AND ").into();
    }
    let body = json!({ "q": words, "in": "ALL", "sobjects": [wanted], "overallLimit": SEARCH_LIMIT });
    let request = Request::read_by_post("parameterizedSearch", &body);
    let reply = session.send(request).await.map_err(|error| trouble(&error))?;
    Ok(Some(search_records(reply.body)?).filter(|found| !found.is_empty()))
}

fn rendered_comparison(condition: &Condition) -> Option<String> {
    match condition {
        Condition::Compare(field, Operator::Equal, literal @ Literal::Id(_)) => {
            Some(format!("{field} = {}", salesforce::soql::render(literal).ok()?))
        }
        _ => None,
    }
}

/// Name or email address, as far as the server may read them.
fn part_of_name(session: &Session<'_>, describe: &Describe, words: &str) -> Result<Condition, Trouble> {
    let readable = |name: &&str| describe.field(name).is_some() && session.guard().may_read_field(&describe.name, name);
    let fields = ["Name", "Email"].into_iter().filter(readable).map(path).collect::<Result<Vec<_>, _>>()?;
    if fields.is_empty() {
        return Err(not_allowed(&format!("This server may not read the name of a {}", describe.name)));
    }
    Ok(Condition::Any(fields.into_iter().map(|field| Condition::Like(field, Pattern::contains(words))).collect()))
}

/// A moment with its offset; Salesforce's own `+0000` too.
fn moment(argument: &str, text: &str) -> Result<OffsetDateTime, Trouble> {
    let parsed = OffsetDateTime::parse(text, &Rfc3339).or_else(|_| OffsetDateTime::parse(text, &Iso8601::DEFAULT));
    parsed.map_err(|_| invalid(&format!("{argument} is a date and time with its offset: 2026-02-20T18:00:00Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_told_from_other_queries() {
        for soql in ["SELECT COUNT() FROM Contact", " select\ncount( )  from Contact WHERE Name = 'a'"] {
            assert!(is_count(soql), "{soql}");
        }
        for soql in ["SELECT COUNT(Id) FROM Contact", "SELECT Id FROM Contact", "SELECT COUNT() c", ""] {
            assert!(!is_count(soql), "{soql}");
        }
    }

    #[test]
    fn a_record_of_many_fields_gives_the_first_and_says_so() {
        let field = |name: &str, kind: &str| json!({ "name": name, "type": kind });
        let mut fields = vec![field("MailingAddress", "address"), field("Id", "id"), field("Body", "base64")];
        fields.extend((0..60).map(|at| field(&format!("F{at:02}__c"), "string")));
        fields.push(field("Name", "string"));
        let describe = json!({ "name": "Contact", "fields": fields });
        let describe = salesforce::describe::parse(describe).unwrap();
        let (fields, told) = default_fields(&Guard::default(), &describe);
        let names: Vec<&str> = fields.iter().map(FieldPath::as_str).collect();
        assert_eq!((names.len(), &names[..3], names[49]), (50, &["Id", "Name", "F00__c"][..], "F47__c"));
        assert_eq!(told.unwrap(), "50 of 62 fields; name those that you need in fields");
        let guard = json!({ "fields": { "contact": { "read": ["f59__c"] } } });
        let (fields, told) = default_fields(&serde_json::from_value(guard).unwrap(), &describe);
        assert_eq!((fields.len(), fields[1].as_str(), told), (2, "F59__c", None));
    }

    #[test]
    fn a_position_follows_its_record() {
        let record =
            |id: &str| json!({ "attributes": { "url": format!("/services/data/v66.0/sobjects/Contact/{id}") } });
        let ids = ["003000000000001AAA", "003000000000002AAA", "003000000000003AAA"];
        let records: Vec<Value> = ids.iter().map(|id| record(id)).collect();
        let at = |offset, last: Option<&str>| Position { page: None, offset, last: last.map(str::to_owned) };
        assert_eq!(start_of(&at(2, None), &records), Ok(2));
        assert_eq!(start_of(&at(2, Some(ids[1])), &records), Ok(2));
        assert_eq!(start_of(&at(1, Some(ids[1])), &records), Ok(2), "one came before it");
        assert_eq!(start_of(&at(3, Some(ids[1])), &records), Ok(2), "one before it went");
        let gone = start_of(&at(1, Some("003000000000009AAA")), &records).unwrap_err();
        assert_eq!(gone.code, "cursor_expired");
        assert_eq!(name_of(&json!({ "attributes": { "type": "AggregateResult" } })), None);
    }

    #[test]
    fn a_page_of_another_form_is_not_read() {
        let next = "/services/data/v66.0/query/01g000000000001AAA-200";
        let page = |body: Value| QueryPage::of(body).map(|page| (page.records.len(), page.total, page.next)).ok();
        assert_eq!(page(json!({ "totalSize": 1, "done": true, "records": [{}] })), Some((1, Some(1), None)));
        let more = json!({ "done": false, "records": [], "nextRecordsUrl": next });
        assert_eq!(page(more), Some((0, None, Some(next.to_owned()))));
        for body in [
            json!({}),
            json!([]),
            json!({ "done": true }),
            json!({ "done": true, "records": {} }),
            json!({ "records": [] }),
            json!({ "done": false, "records": [] }),
            json!({ "done": false, "records": [], "nextRecordsUrl": "https://evil.example/services/data/v66.0/query/01g" }),
        ] {
            assert_eq!(page(body.clone()), None, "{body}");
        }
    }
}
