//! Bulk API 2.0: jobs that write rows or run a query in the background.
//!
//! A job that writes is made in three requests: created, given its rows, started. Until it is started it has no effect, so
//! that a failure on the way is known to have had none; a job that was not started is aborted.

use salesforce::client::query as url_query;
use salesforce::text::{clean, clean_and_cut};
use salesforce::{Code, RecordId, Request, SalesforceError};
use serde_json::{Map, Value, json};

use crate::catalogue::{Answer, Trouble};
use crate::idempotency::canonical;

use super::answers::{self, Page, Position};
use super::csv_rows;
use super::guarding;
use super::session::{Session, invalid, not_allowed, trouble};
use super::steps::{self, Done, Failure, Write, answer, once, previewed};
use super::writing::{References, Target, Whose, how_to_look, may_delete};

/// The largest CSV of a call, in bytes.
const MAX_CSV: usize = 256 * 1024;
/// The longest message of a job, in characters.
const MAX_MESSAGE: usize = 500;

/// What a job is for: where it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jobs {
    Ingest,
    Query,
}

impl Jobs {
    fn path(self, id: &RecordId) -> String {
        match self {
            Jobs::Ingest => format!("jobs/ingest/{id}"),
            Jobs::Query => format!("jobs/query/{id}"),
        }
    }
}

/// `createBulkJob`.
///
/// # Errors
/// [`Trouble`].
pub async fn create(session: &Session<'_>) -> Result<Answer, Trouble> {
    let arguments = session.arguments;
    let operation = arguments.text("operation");
    let refuse = |names: &[&str]| match names.iter().find(|name| arguments.value(name).is_some()) {
        Some(name) => Err(invalid(&format!("A job that does {operation} takes no {name}"))),
        None => Ok(()),
    };
    if operation == "query" {
        refuse(&["object", "rows", "external_id_field", "handle"])?;
        return create_query(session).await;
    }
    refuse(&["query"])?;
    if operation != "upsert" {
        refuse(&["external_id_field"])?;
    }
    create_ingest(session, operation).await
}

async fn create_query(session: &Session<'_>) -> Result<Answer, Trouble> {
    let Some(query) = session.arguments.get("query") else { return Err(invalid("A job that queries needs query")) };
    guarding::check_query(session, query).await?;
    let body = json!({ "operation": "query", "query": query });
    once(session, Write { records: 0, look: None }, async {
        // A job that was made and not told of changes nothing.
        let told_of = |error: SalesforceError| Failure::Nothing(trouble(&error.with_no_effect()));
        let reply = session.send(Request::write("POST", "jobs/query", Some(&body))).await.map_err(told_of)?;
        let id = id_of(&reply.body).ok_or_else(|| told_of(without_id()))?;
        note(session, &id).await;
        Ok(Done::Written(told(&id, &reply.body)))
    })
    .await
}

async fn create_ingest(session: &Session<'_>, operation: &str) -> Result<Answer, Trouble> {
    let arguments = session.arguments;
    let Some(object) = arguments.get("object") else { return Err(invalid("A job that writes needs object")) };
    let rows: Vec<Map<String, Value>> = arguments
        .value("rows")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .cloned()
        .collect();
    if rows.is_empty() {
        return Err(invalid("A job that writes needs rows, at least one"));
    }
    if operation == "delete" {
        may_delete(session)?;
    }
    let target = Target::of(session, object).await?;
    let mut job = json!({ "object": target.object, "operation": operation, "contentType": "CSV", "lineEnding": "LF" });
    if operation == "upsert" {
        let Some(field) = arguments.get("external_id_field") else {
            return Err(invalid("An upsert needs external_id_field"));
        };
        job["externalIdFieldName"] = json!(target.external_id(session, field)?.name);
    }
    let mut look = None;
    for (at, row) in rows.iter().enumerate() {
        let placed =
            |trouble: Trouble| Trouble { sentence: format!("Row {}: {}", at + 1, trouble.sentence), ..trouble };
        let seen = check_row(session, &target, operation, row).map_err(placed)?;
        if at == 0 {
            look = seen;
        }
    }
    let csv = csv_rows::write(&rows).map_err(|unwritable| invalid(&unwritable.0))?;
    if csv.len() > MAX_CSV {
        return Err(invalid("The rows are more than 256 KiB as CSV: make several jobs of them"));
    }
    let summary = format!("A bulk job: {operation} of {} records of {}.", rows.len(), target.object);
    if session.guard().dry_run {
        return Ok(answer([
            ("state", json!("dry_run")),
            ("operation", json!(operation)),
            ("object", json!(target.object)),
            ("summary", json!(summary)),
        ]));
    }
    let two_steps = operation == "delete" || rows.len() > session.guard().confirm_above;
    match arguments.get("handle") {
        None if two_steps => {
            let mut preview = previewed(&summary, steps::seal(session, &()).await?);
            preview.remove("success");
            return Ok(preview);
        }
        None => {}
        Some(handle) => steps::open::<()>(session, handle).await?,
    }
    let write = Write { records: rows.len(), look: Some(how_to_look(look.as_deref())) };
    once(session, write, Box::pin(start(session, &job, csv))).await
}

/// Checks a row as the tool for one record would; answers the query that tells whether it was written.
fn check_row(
    session: &Session<'_>,
    target: &Target,
    operation: &str,
    row: &Map<String, Value>,
) -> Result<Option<String>, Trouble> {
    let split = |own: &str| {
        let value = row.iter().find(|(name, _)| name.eq_ignore_ascii_case(own)).map(|(_, value)| value);
        let others = row.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(own));
        (value, others.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<String, Value>>())
    };
    let whose = |id: Option<&Value>| match id.and_then(Value::as_str) {
        Some(id) => Whose::parse(id),
        None => Err(invalid("it needs Id")),
    };
    let prepared = match operation {
        "insert" => target.create(session, row, References::None)?,
        "update" => {
            let (id, fields) = split("Id");
            target.update(session, &whose(id)?, &fields, References::None)?
        }
        "delete" => {
            let (id, others) = split("Id");
            if !others.is_empty() {
                return Err(invalid("a delete takes Id alone"));
            }
            target.delete(session, &whose(id)?)?
        }
        _ => {
            let field = session.arguments.text("external_id_field");
            let (value, fields) = split(field);
            let value = match value {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                _ => return Err(invalid(&format!("it needs a value of {field}"))),
            };
            target.upsert(session, field, &value, &fields, References::None)?
        }
    };
    Ok(prepared.look)
}

/// Creates a job, gives it its rows, and starts it.
async fn start(session: &Session<'_>, job: &Value, csv: String) -> Result<Done, Failure> {
    let created = session.send(Request::write("POST", "jobs/ingest", Some(job))).await;
    // A job that nobody starts writes nothing.
    let created = created.map_err(|error| Failure::Nothing(not_started(&error, "A job without rows may be left.")))?;
    let Some(id) = id_of(&created.body) else {
        return Err(Failure::Nothing(not_started(&without_id(), "A job without rows may be left.")));
    };
    note(session, &id).await;
    let path = Jobs::Ingest.path(&id);
    let upload = Request::write("PUT", format!("{path}/batches"), None).with_body("text/csv", csv);
    if let Err(error) = session.send(upload).await {
        let left = if abort_job(session, Jobs::Ingest, &id).await.is_ok() {
            format!("The job {id} was aborted.")
        } else {
            format!("The job {id} is left open; abortBulkJob ends it.")
        };
        return Err(Failure::Nothing(not_started(&error, &left)));
    }
    let started =
        session.send(Request::write("PATCH", path.as_str(), Some(&json!({ "state": "UploadComplete" })))).await;
    let error = match started {
        Ok(reply) => return Ok(Done::Written(told(&id, &reply.body))),
        Err(error) => error,
    };
    let seen = match error.outcome_unknown {
        true => session.send(Request::get(path.as_str())).await.ok().map(|reply| reply.body),
        // The org refused: it is as it was.
        false => Some(json!({ "state": "Open" })),
    };
    let is = |states: &[&str]| seen.as_ref().is_some_and(|job| states.iter().any(|state| job["state"] == *state));
    if let Some(job) = seen.as_ref().filter(|_| is(&["UploadComplete", "InProgress", "JobComplete", "Failed"])) {
        return Ok(Done::Written(told(&id, job)));
    }
    // One that has begun may have written some rows before it is aborted, and the answer of an abort does not tell.
    let known = is(&["Open"]);
    match abort_job(session, Jobs::Ingest, &id).await {
        Ok(_) if known => Err(Failure::Nothing(not_started(&error, &format!("The job {id} was aborted.")))),
        Err(_) if !error.outcome_unknown => {
            Err(Failure::Nothing(not_started(&error, &format!("The job {id} is left open; abortBulkJob ends it."))))
        }
        Ok(_) => Err(Failure::Unknown(format!(
            "The job {id} was aborted, and may have begun before: call getBulkJob and getBulkJobResults."
        ))),
        Err(_) => {
            Err(Failure::Unknown(format!("The job {id} may have begun: call getBulkJob, and abortBulkJob to end it.")))
        }
    }
}

/// A job that was not started; `left` says what is left of it.
fn not_started(error: &SalesforceError, left: &str) -> Trouble {
    let told = trouble(&error.clone().with_no_effect());
    Trouble { sentence: format!("No record was written. {} {left}", told.sentence), ..told }
}

async fn abort_job(session: &Session<'_>, jobs: Jobs, id: &RecordId) -> Result<Value, SalesforceError> {
    let abort = Request::write("PATCH", jobs.path(id), Some(&json!({ "state": "Aborted" })));
    Ok(session.send(abort).await?.body)
}

/// `getBulkJob`.
///
/// # Errors
/// [`Trouble`].
pub async fn get(session: &Session<'_>) -> Result<Answer, Trouble> {
    let id = asked(session)?;
    let (_, job) = find(session, &id).await?;
    Ok(told(&id, &job))
}

/// `abortBulkJob`.
///
/// # Errors
/// [`Trouble`].
pub async fn abort(session: &Session<'_>) -> Result<Answer, Trouble> {
    let id = asked(session)?;
    let (jobs, job) = find(session, &id).await?;
    if jobs == Jobs::Ingest {
        session.writable(job["object"].as_str().unwrap_or_default())?;
    }
    if session.guard().dry_run {
        let mut answer = told(&id, &job);
        answer.insert("state".to_owned(), json!("dry_run"));
        return Ok(answer);
    }
    match abort_job(session, jobs, &id).await {
        Ok(job) => Ok(told(&id, &job)),
        Err(error) if error.outcome_unknown => Err(Trouble::new(
            "outcome_unknown",
            "Nobody knows whether the job was stopped: call getBulkJob to see it. To stop it twice does no harm.",
        )),
        Err(error) => Err(trouble(&error)),
    }
}

/// `getBulkJobResults`.
///
/// # Errors
/// [`Trouble`].
pub async fn results(session: &Session<'_>) -> Result<Answer, Trouble> {
    let id = asked(session)?;
    known(session, &id).await?;
    let position = answers::position(session).await?;
    if position.page.is_some() {
        return query_results(session, &id, position, None).await;
    }
    let (jobs, job) = find(session, &id).await?;
    let state = job["state"].as_str().unwrap_or_default();
    let over = match jobs {
        Jobs::Ingest => ["JobComplete", "Failed", "Aborted"].contains(&state),
        Jobs::Query => state == "JobComplete",
    };
    if !over {
        let next = match state {
            "Failed" | "Aborted" => "It has no results; make another one.",
            _ => "Call getBulkJob until it is JobComplete.",
        };
        let state = clean_and_cut(state, 40);
        return Err(Trouble::new("job_not_finished", format!("The job is {state}. {next}")));
    }
    match jobs {
        Jobs::Query if session.arguments.value("kind").is_some() => {
            Err(invalid("kind is for a job that writes, and this one queries"))
        }
        Jobs::Query => query_results(session, &id, position, job["numberRecordsProcessed"].as_u64()).await,
        Jobs::Ingest => {
            let kind = match session.arguments.get("kind") {
                Some("failed") => "failedResults",
                Some("unprocessed") => "unprocessedrecords",
                _ => "successfulResults",
            };
            let (rows, _) = csv(session, format!("{}/{kind}", Jobs::Ingest.path(&id))).await?;
            answers::page_of(session, &rows, true).await
        }
    }
}

/// A page of a query's records; Salesforce's own page begins at the locator and may hold more.
async fn query_results(
    session: &Session<'_>,
    id: &RecordId,
    position: Position,
    total: Option<u64>,
) -> Result<Answer, Trouble> {
    let mut page = Page::new(session)?;
    let (locator, from) = (position.page.unwrap_or_default(), position.offset);
    let most = from.saturating_add(page.max_rows()).to_string();
    let mut parameters = vec![("maxRecords", most.as_str())];
    if !locator.is_empty() {
        parameters.push(("locator", &locator));
    }
    let path = format!("{}/results{}", Jobs::Query.path(id), url_query(&parameters));
    let (rows, after) = csv(session, path).await?;
    let given = rows.iter().skip(from).take_while(|row| page.add(row)).count();
    let reached = from.saturating_add(given);
    let next = match after {
        _ if reached < rows.len() => Some(Position { page: Some(locator), ..Position::offset(reached) }),
        Some(after) => Some(Position { page: Some(after), ..Position::offset(0) }),
        None => None,
    };
    page.answer(session, total, next.as_ref(), true).await
}

/// Rows of a result, and where the next ones are.
async fn csv(session: &Session<'_>, path: String) -> Result<(Vec<Value>, Option<String>), Trouble> {
    let reply = session.send(Request::get(path).with_text_answer("text/csv")).await.map_err(|error| trouble(&error))?;
    let after = reply.header("sforce-locator").filter(|locator| !["", "null"].contains(locator)).map(str::to_owned);
    let unreadable = || trouble(&SalesforceError::new(Code::AnswerUnreadable, "the results are no CSV"));
    let is_csv = reply.header("content-type").is_none_or(|kind| kind.starts_with("text/csv"));
    let rows = csv_rows::read(&reply.text).filter(|_| is_csv).ok_or_else(unreadable)?;
    Ok((rows, after))
}

/// The job of a call.
fn asked(session: &Session<'_>) -> Result<RecordId, Trouble> {
    let id = RecordId::parse(session.arguments.text("job_id"));
    id.ok_or_else(|| invalid("job_id is no id of a job: 15 or 18 characters exactly as createBulkJob gave them"))
}

/// Finds a job: one that writes, or one that queries. The server has to know of its object.
async fn find(session: &Session<'_>, id: &RecordId) -> Result<(Jobs, Value), Trouble> {
    let found = match session.send(Request::get(Jobs::Ingest.path(id))).await {
        Ok(reply) => (Jobs::Ingest, reply.body),
        Err(error) if matches!(error.status, Some(400 | 404)) => {
            let reply = session.send(Request::get(Jobs::Query.path(id))).await.map_err(|error| trouble(&error))?;
            (Jobs::Query, reply.body)
        }
        Err(error) => return Err(trouble(&error)),
    };
    let object = found.1["object"].as_str().unwrap_or_default();
    if !guarding::may_know(session, object) {
        return Err(not_allowed(&format!("This server may not know of jobs on {}", clean_and_cut(object, 80))));
    }
    Ok(found)
}

/// Where reads are limited, results are those of jobs that were made under the same limits: a job does not say what its
/// query reads.
async fn known(session: &Session<'_>, id: &RecordId) -> Result<(), Trouble> {
    if !guarding::limits_reads(session) {
        return Ok(());
    }
    let limits = limits(session);
    let under = under(session, &limits);
    let known = session.call.orgs.writes.knows_job(&under, id.as_str());
    match session.call.wait_for(|| "state table".to_owned(), known).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(not_allowed("This server may read the results of jobs that it has made itself")),
        Err(error) => {
            request_log::problem("mcp", "table_unavailable", &error.to_string(), session.now());
            Err(Trouble::new(
                "table_unavailable",
                "Whether this server may read the job cannot be told at the moment. Try again in a minute.",
            ))
        }
    }
}

/// Remembers a job as one of ours.
async fn note(session: &Session<'_>, id: &RecordId) {
    if !guarding::limits_reads(session) {
        return;
    }
    let limits = limits(session);
    let under = under(session, &limits);
    let noted = session.call.orgs.writes.note_job(&under, id.as_str(), session.call.now);
    if let Err(error) = session.call.wait_for(|| "state table".to_owned(), noted).await {
        let message = format!("{error}; the results of a bulk job cannot be read by its server");
        request_log::problem("mcp", "write_not_recorded", &message, session.now());
    }
}

/// What the guard lets the server read, as text.
fn limits(session: &Session<'_>) -> String {
    let guard = session.guard();
    canonical(&json!({ "objects": guard.objects, "fields": guard.fields }))
}

fn under<'a>(session: &'a Session<'_>, limits: &'a str) -> [&'a str; 3] {
    [&session.call.conduct.server, session.call.conduct.org.as_deref().unwrap_or_default(), limits]
}

fn without_id() -> SalesforceError {
    SalesforceError::new(Code::AnswerUnreadable, "the answer has no job id")
}

fn id_of(job: &Value) -> Option<RecordId> {
    job["id"].as_str().and_then(RecordId::parse)
}

/// What a job is like.
fn told(id: &RecordId, job: &Value) -> Answer {
    let mut answer = answer([("job_id", json!(id))]);
    for (name, own) in [("state", "state"), ("operation", "operation"), ("object", "object")] {
        answer.extend(job[own].as_str().map(|text| (name.to_owned(), json!(clean_and_cut(text, 80)))));
    }
    for (name, own) in [("processed", "numberRecordsProcessed"), ("failed", "numberRecordsFailed")] {
        answer.extend(job[own].as_u64().map(|number| (name.to_owned(), json!(number))));
    }
    if let Some(message) = job["errorMessage"].as_str().map(clean).filter(|message| !message.is_empty()) {
        answer.insert("message".to_owned(), json!(clean_and_cut(&message, MAX_MESSAGE)));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_told_flat() {
        let id = RecordId::parse("750000000000001").unwrap();
        let job = json!({
            "id": "750000000000001", "state": "Failed", "operation": "insert", "object": "Contact", "contentUrl": "services/x",
            "numberRecordsProcessed": 0, "numberRecordsFailed": 0, "errorMessage": "InvalidBatch\u{202e} : Field name",
        });
        assert_eq!(
            Value::Object(told(&id, &job)),
            json!({
                "job_id": "750000000000001AAA", "state": "Failed", "operation": "insert", "object": "Contact", "processed": 0,
                "failed": 0, "message": "InvalidBatch : Field name",
            })
        );
        assert_eq!(Value::Object(told(&id, &Value::Null)), json!({ "job_id": "750000000000001AAA" }));
    }

    #[test]
    fn a_job_that_was_not_started_wrote_nothing() {
        let error = SalesforceError::new(Code::OrgTimedOut, "no answer").with_unknown_outcome(true);
        let told = not_started(&error, "The job X was aborted.");
        assert_eq!(told.code, "org_timed_out");
        assert_eq!(
            told.sentence,
            "No record was written. no answer. Salesforce took too long: ask for less, or try again in a minute. \
             A retry may help. The job X was aborted."
        );
    }
}
