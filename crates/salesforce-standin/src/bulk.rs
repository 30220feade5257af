//! Bulk API 2.0: ingest jobs that take CSV, query jobs that give it. A job advances by one state each time that it is
//! asked for, so that a client sees each (Bulk API 2.0 Developer Guide).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::answer::{Answer, ApiError, Call};
use crate::collections::{several, take};
use crate::dates::format_datetime;
use crate::query::{self, Found, Scope};
use crate::rest::{lookup_field, only};
use crate::schema::{self, Object};
use crate::soql;
use crate::state::{self, State};
use crate::write::{self, Terms};

/// The jobs of the org, by id.
#[derive(Debug, Default)]
pub struct Jobs {
    ingest: BTreeMap<String, Ingest>,
    query: BTreeMap<String, QueryJob>,
}

impl Jobs {
    /// How many query jobs there are.
    pub fn query_count(&self) -> usize {
        self.query.len()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobState {
    Open,
    UploadComplete,
    InProgress,
    JobComplete,
    Failed,
    Aborted,
}

/// A row's record and whether it was made, or the error.
type RowResult = Result<(String, bool), String>;

#[derive(Debug)]
struct Ingest {
    object: &'static Object,
    operation: Operation,
    external_id: Option<String>,
    separator: Separator,
    version: String,
    created: String,
    state: JobState,
    error: String,
    data: Option<String>,
    /// The rows as they were sent, each with its result: id and whether it was made, or the error.
    results: Vec<(Vec<String>, RowResult)>,
    header: Vec<String>,
    by: String,
}

#[derive(Debug)]
struct QueryJob {
    object: String,
    text: String,
    with_deleted: bool,
    separator: Separator,
    version: String,
    created: String,
    state: JobState,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    by: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Insert,
    Update,
    Upsert,
    Delete,
    HardDelete,
}

#[derive(Clone, Copy, Debug)]
struct Separator {
    column: u8,
    crlf: bool,
}

const DELIMITERS: [(&str, u8); 6] =
    [("BACKQUOTE", b'`'), ("CARET", b'^'), ("COMMA", b','), ("PIPE", b'|'), ("SEMICOLON", b';'), ("TAB", b'\t')];

impl Separator {
    fn parse(request: &Map<String, Value>) -> Result<Separator, ApiError> {
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let name = text("columnDelimiter").unwrap_or("COMMA");
        let column = DELIMITERS.iter().find(|(own, _)| *own == name).map(|(_, byte)| *byte);
        let column = column.ok_or_else(|| {
            invalid_job(format!("columnDelimiter {name} is not one of BACKQUOTE, CARET, COMMA, PIPE, SEMICOLON, TAB"))
        })?;
        match text("lineEnding").unwrap_or("LF") {
            "LF" => Ok(Separator { column, crlf: false }),
            "CRLF" => Ok(Separator { column, crlf: true }),
            other => Err(invalid_job(format!("lineEnding {other} is not one of LF, CRLF"))),
        }
    }

    fn column_name(self) -> &'static str {
        DELIMITERS.iter().find(|(_, byte)| *byte == self.column).map_or("COMMA", |(name, _)| name)
    }

    fn line_name(self) -> &'static str {
        if self.crlf { "CRLF" } else { "LF" }
    }

    /// CSV; results have all their values quoted, as Salesforce's have.
    fn write<'a>(self, rows: impl Iterator<Item = &'a [String]>) -> String {
        let terminator = if self.crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(self.column)
            .terminator(terminator)
            .quote_style(csv::QuoteStyle::Always)
            .flexible(true)
            .from_writer(Vec::new());
        for row in rows {
            // A Vec takes everything.
            let _ = writer.write_record(row);
        }
        writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

fn invalid_job(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "INVALIDJOB", message)
}

fn invalid_state(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "INVALIDJOBSTATE", message)
}

/// `jobs/ingest…` and `jobs/query…`
///
/// # Errors
/// What makes the request wrong; a row that fails is a line of `failedResults`.
pub fn jobs(state: &mut State, call: &Call, rest: &[&str]) -> Result<Answer, ApiError> {
    match rest {
        ["ingest"] if call.method == "POST" => create_ingest(state, call),
        ["ingest"] => {
            only(call, &["GET", "POST"])?;
            let records: Vec<Value> = state.jobs.ingest.iter().map(|(id, job)| job.info(id)).collect();
            Ok(Answer::ok(json!({ "done": true, "records": records, "nextRecordsUrl": null })))
        }
        ["ingest", id] => one_ingest(state, call, id),
        ["ingest", id, "batches"] => {
            only(call, &["PUT"])?;
            upload(state, call, id)
        }
        ["ingest", id, results] => {
            only(call, &["GET"])?;
            ingest_results(state, id, results)
        }
        ["query"] if call.method == "POST" => create_query(state, call),
        ["query"] => {
            only(call, &["GET", "POST"])?;
            let records: Vec<Value> = state.jobs.query.iter().map(|(id, job)| job.info(id)).collect();
            Ok(Answer::ok(json!({ "done": true, "records": records, "nextRecordsUrl": null })))
        }
        ["query", id] => one_query(state, call, id),
        ["query", id, "results"] => {
            only(call, &["GET"])?;
            query_results(state, call, id)
        }
        _ => Err(ApiError::no_such_path()),
    }
}

fn create_ingest(state: &mut State, call: &Call) -> Result<Answer, ApiError> {
    let (request, data) = match call.header("content-type").and_then(boundary) {
        Some(boundary) => multipart(&call.body, boundary)?,
        None => (call.object()?, None),
    };
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    let Some(name) = text("object") else { return Err(invalid_job("object is required")) };
    let Some(object) = schema::object(name).filter(|object| object.writable) else {
        return Err(ApiError::new(400, "INVALIDENTITY", format!("Entity '{name}' is not supported by the Bulk API.")));
    };
    let operation = match text("operation").unwrap_or_default() {
        "insert" => Operation::Insert,
        "update" => Operation::Update,
        "upsert" => Operation::Upsert,
        "delete" => Operation::Delete,
        "hardDelete" => Operation::HardDelete,
        other => {
            return Err(invalid_job(format!(
                "operation '{other}' is not one of insert, update, upsert, delete, hardDelete"
            )));
        }
    };
    let external_id = text("externalIdFieldName").map(str::to_owned);
    if operation == Operation::Upsert && external_id.as_deref().and_then(|name| lookup_field(object, name)).is_none() {
        return Err(invalid_job("externalIdFieldName has to name an external id field for upsert"));
    }
    if text("contentType").is_some_and(|content_type| content_type != "CSV") {
        return Err(invalid_job("contentType has to be CSV"));
    }
    let job = Ingest {
        object,
        operation,
        external_id,
        separator: Separator::parse(&request)?,
        version: call.version.clone(),
        created: format_datetime(state::now()),
        state: if data.is_some() { JobState::UploadComplete } else { JobState::Open },
        error: String::new(),
        data,
        results: Vec::new(),
        header: Vec::new(),
        by: state.org.user_id.clone(),
    };
    let id = state.org.new_id_with("750");
    let info = job.info(&id);
    state.jobs.ingest.insert(id, job);
    Ok(Answer::ok(info))
}

fn boundary(content_type: &str) -> Option<&str> {
    let parameters = content_type.strip_prefix("multipart/form-data")?;
    let boundary = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    Some(boundary.trim_matches('"'))
}

/// A job and its data in one request: the parts `job` and `content`.
fn multipart(body: &[u8], boundary: &str) -> Result<(Map<String, Value>, Option<String>), ApiError> {
    let body = std::str::from_utf8(body).map_err(|_| invalid_job("the request is not UTF-8"))?;
    let (mut job, mut data) = (None, None);
    for part in body.split(&format!("--{boundary}")) {
        let Some((head, content)) = part.split_once("\r\n\r\n").or_else(|| part.split_once("\n\n")) else { continue };
        let content = content.strip_suffix("\r\n").or_else(|| content.strip_suffix('\n')).unwrap_or(content);
        if head.contains("name=\"job\"") {
            job = serde_json::from_str(content).ok();
        } else if head.contains("name=\"content\"") {
            data = Some(content.to_owned());
        }
    }
    job.map(|job| (job, data)).ok_or_else(|| invalid_job("the request has no part \"job\" that is a JSON object"))
}

impl Ingest {
    fn info(&self, id: &str) -> Value {
        let failed = self.results.iter().filter(|(_, result)| result.is_err()).count();
        let mut info = json!({
            "id": id,
            "operation": match self.operation {
                Operation::Insert => "insert",
                Operation::Update => "update",
                Operation::Upsert => "upsert",
                Operation::Delete => "delete",
                Operation::HardDelete => "hardDelete",
            },
            "object": self.object.name,
            "createdById": self.by,
            "createdDate": self.created,
            "systemModstamp": self.created,
            "state": format!("{:?}", self.state),
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": self.version.trim_start_matches('v').parse::<f64>().unwrap_or(66.0),
            "jobType": "V2Ingest",
            "lineEnding": self.separator.line_name(),
            "columnDelimiter": self.separator.column_name(),
            "numberRecordsProcessed": self.results.len(),
            "numberRecordsFailed": failed,
            "retries": 0,
            "totalProcessingTime": self.results.len(),
            "apiActiveProcessingTime": self.results.len(),
            "apexProcessingTime": 0,
        });
        if let Some(field) = &self.external_id {
            info["externalIdFieldName"] = field.as_str().into();
        }
        if self.state == JobState::Open {
            // Without a slash in front, as Salesforce has it.
            info["contentUrl"] = format!("services/data/{}/jobs/ingest/{id}/batches", self.version).into();
        }
        if self.state == JobState::Failed {
            info["errorMessage"] = self.error.as_str().into();
        }
        info
    }
}

fn one_ingest(state: &mut State, call: &Call, id: &str) -> Result<Answer, ApiError> {
    match call.method.as_str() {
        "GET" => {
            let Some(job) = state.jobs.ingest.get_mut(id) else { return Err(ApiError::no_such_path()) };
            match job.state {
                JobState::UploadComplete => job.state = JobState::InProgress,
                JobState::InProgress => run_ingest(state, id),
                _ => {}
            }
            let job = state.jobs.ingest.get(id).ok_or_else(ApiError::no_such_path)?;
            Ok(Answer::ok(job.info(id)))
        }
        "PATCH" => {
            let request = call.object()?;
            let Some(job) = state.jobs.ingest.get_mut(id) else { return Err(ApiError::no_such_path()) };
            match request.get("state").and_then(Value::as_str) {
                Some("UploadComplete") if job.state == JobState::Open && job.data.is_some() => {
                    job.state = JobState::UploadComplete;
                }
                Some("Aborted")
                    if matches!(job.state, JobState::Open | JobState::UploadComplete | JobState::InProgress) =>
                {
                    job.state = JobState::Aborted;
                }
                Some(wanted @ ("UploadComplete" | "Aborted")) => {
                    return Err(invalid_state(format!("A job that is {:?} cannot become {wanted}", job.state)));
                }
                _ => return Err(invalid_job("state has to be UploadComplete or Aborted")),
            }
            Ok(Answer::ok(job.info(id)))
        }
        "DELETE" => {
            let Some(job) = state.jobs.ingest.get(id) else { return Err(ApiError::no_such_path()) };
            if !is_over(job.state) {
                return Err(invalid_state("A job can be deleted when it is JobComplete, Failed or Aborted"));
            }
            state.jobs.ingest.remove(id);
            Ok(Answer::empty(204))
        }
        _ => Err(ApiError::method(&call.method, "GET, PATCH, DELETE")),
    }
}

fn is_over(state: JobState) -> bool {
    matches!(state, JobState::JobComplete | JobState::Failed | JobState::Aborted)
}

fn upload(state: &mut State, call: &Call, id: &str) -> Result<Answer, ApiError> {
    let Some(job) = state.jobs.ingest.get_mut(id) else { return Err(ApiError::no_such_path()) };
    if job.state != JobState::Open || job.data.is_some() {
        return Err(invalid_state("Data can be uploaded once, to a job that is Open"));
    }
    let is_csv = call.header("content-type").is_some_and(|content_type| content_type.starts_with("text/csv"));
    if !is_csv {
        return Err(ApiError::new(415, "UNSUPPORTED_MEDIA_TYPE", "The data has to be text/csv"));
    }
    let data = std::str::from_utf8(&call.body).map_err(|_| invalid_job("The data is not UTF-8"))?;
    job.data = Some(data.to_owned());
    Ok(Answer::empty(201))
}

fn run_ingest(state: &mut State, id: &str) {
    let Some(mut job) = state.jobs.ingest.remove(id) else { return };
    let data = job.data.take().unwrap_or_default();
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(job.separator.column)
        .flexible(true)
        .from_reader(data.trim_start_matches('\u{feff}').as_bytes());
    let header =
        reader.headers().map(|header| header.iter().map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default();
    let unknown = header.iter().find(|name| job.object.field(name).is_none() && !name.contains('.'));
    if header.is_empty() || unknown.is_some() {
        let name = unknown.map_or("", String::as_str);
        job.state = JobState::Failed;
        job.error = format!("InvalidBatch : Field name not found : {name}");
        state.jobs.ingest.insert(id.to_owned(), job);
        return;
    }
    let terms = Terms { now: state::now(), allow_duplicates: false };
    for row in reader.records() {
        let result = match &row {
            Ok(row) if row.len() != header.len() => {
                Err(format!("INVALID_CSV:{} fields expected, {} found", header.len(), row.len()))
            }
            Ok(row) => write_row(state, &job, &header, row, terms).map_err(|error| error_text(&error)),
            Err(error) => Err(format!("INVALID_CSV:{error}")),
        };
        let cells = row.map(|row| row.iter().map(str::to_owned).collect()).unwrap_or_default();
        job.results.push((cells, result));
    }
    job.header = header;
    job.state = JobState::JobComplete;
    state.jobs.ingest.insert(id.to_owned(), job);
}

/// `REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --`
fn error_text(error: &ApiError) -> String {
    let fields = error.fields.as_deref().unwrap_or_default().join(",");
    format!("{}:{}:{fields} --", error.code, error.message)
}

fn write_row(
    state: &mut State,
    job: &Ingest,
    header: &[String],
    row: &csv::StringRecord,
    terms: Terms,
) -> Result<(String, bool), ApiError> {
    let mut fields = Map::new();
    for (name, value) in header.iter().zip(row) {
        match value {
            // Empty leaves a field as it is.
            "" => {}
            "#N/A" => drop(fields.insert(name.clone(), Value::Null)),
            value => drop(fields.insert(name.clone(), value.into())),
        }
    }
    let org = &mut state.org;
    let missing = |name: &str| ApiError::of_fields("MISSING_ARGUMENT", format!("{name} not specified"), &[name]);
    match job.operation {
        Operation::Insert => Ok((write::create(org, job.object, &fields, terms)?, true)),
        Operation::Update => {
            let id = take(&mut fields, "Id").ok_or_else(|| missing("Id"))?;
            write::update(org, job.object, &id, &fields, terms)?;
            Ok((id, false))
        }
        Operation::Upsert => {
            let name = job.external_id.as_deref().unwrap_or_default();
            let field = lookup_field(job.object, name).ok_or_else(|| missing(name))?;
            let value = take(&mut fields, name).ok_or_else(|| missing(name))?;
            let done = write::upsert(org, job.object, field, &value, &fields, false, terms).map_err(several)?;
            Ok((done.id, done.created))
        }
        Operation::Delete | Operation::HardDelete => {
            let id = take(&mut fields, "Id").ok_or_else(|| missing("Id"))?;
            write::delete(org, job.object, &id, terms)?;
            Ok((id, false))
        }
    }
}

fn ingest_results(state: &State, id: &str, which: &str) -> Result<Answer, ApiError> {
    let Some(job) = state.jobs.ingest.get(id) else { return Err(ApiError::no_such_path()) };
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut header = job.header.clone();
    match which.to_ascii_lowercase().as_str() {
        "successfulresults" => {
            header.splice(0..0, ["sf__Id".to_owned(), "sf__Created".to_owned()]);
            for (cells, result) in &job.results {
                let Ok((id, created)) = result else { continue };
                let own = [id.clone(), created.to_string()];
                rows.push(own.into_iter().chain(cells.iter().cloned()).collect());
            }
        }
        "failedresults" => {
            header.splice(0..0, ["sf__Id".to_owned(), "sf__Error".to_owned()]);
            for (cells, result) in &job.results {
                let Err(error) = result else { continue };
                let own = [String::new(), error.clone()];
                rows.push(own.into_iter().chain(cells.iter().cloned()).collect());
            }
        }
        "unprocessedrecords" => {
            // A job that was aborted or failed has done none.
            let data = job.data.clone().unwrap_or_default();
            return Ok(Answer::csv(if job.state == JobState::Aborted {
                data
            } else {
                job.separator.write([header.as_slice()].into_iter())
            }));
        }
        _ => return Err(ApiError::no_such_path()),
    }
    if !is_over(job.state) {
        return Err(invalid_state("Results are there when the job is JobComplete, Failed or Aborted"));
    }
    Ok(Answer::csv(job.separator.write(std::iter::once(header.as_slice()).chain(rows.iter().map(Vec::as_slice)))))
}

fn create_query(state: &mut State, call: &Call) -> Result<Answer, ApiError> {
    let request = call.object()?;
    let text = request.get("query").and_then(Value::as_str).unwrap_or_default().to_owned();
    let with_deleted = match request.get("operation").and_then(Value::as_str) {
        Some("query") => false,
        Some("queryAll") => true,
        _ => return Err(invalid_job("operation has to be query or queryAll")),
    };
    let query = soql::parse(&text)?;
    let is_field =
        |selected: &soql::Selected| matches!(selected, soql::Selected::Field(..) | soql::Selected::Fields(..));
    if !query.select.iter().all(is_field) || !query.group_by.is_empty() || query.offset > 0 {
        let message = "Bulk API queries have no aggregates, no GROUP BY, no OFFSET and no subqueries";
        return Err(ApiError::new(400, "API_ERROR", message));
    }
    let separator = Separator::parse(&request)?;
    // A query that cannot run is refused now.
    let base = call.base();
    let trial = soql::Query { limit: Some(1), ..query.clone() };
    query::run(Scope { org: &state.org, text: &text, base: &base, now: state::now(), with_deleted }, &trial)?;
    let job = QueryJob {
        object: query.from.text.clone(),
        text,
        with_deleted,
        separator,
        version: call.version.clone(),
        created: format_datetime(state::now()),
        state: JobState::UploadComplete,
        header: Vec::new(),
        rows: Vec::new(),
        by: state.org.user_id.clone(),
    };
    let id = state.org.new_id_with("750");
    let info = job.info(&id);
    state.jobs.query.insert(id, job);
    Ok(Answer::ok(info))
}

impl QueryJob {
    fn info(&self, id: &str) -> Value {
        let mut info = json!({
            "id": id,
            "operation": if self.with_deleted { "queryAll" } else { "query" },
            "object": self.object,
            "createdById": self.by,
            "createdDate": self.created,
            "systemModstamp": self.created,
            "state": format!("{:?}", self.state),
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": self.version.trim_start_matches('v').parse::<f64>().unwrap_or(66.0),
            "lineEnding": self.separator.line_name(),
            "columnDelimiter": self.separator.column_name(),
        });
        if is_over(self.state) {
            info["jobType"] = "V2Query".into();
            info["numberRecordsProcessed"] = self.rows.len().into();
            info["retries"] = 0.into();
            info["totalProcessingTime"] = self.rows.len().into();
            info["isPkChunkingSupported"] = true.into();
        }
        info
    }
}

fn one_query(state: &mut State, call: &Call, id: &str) -> Result<Answer, ApiError> {
    match call.method.as_str() {
        "GET" => {
            let Some(job) = state.jobs.query.get_mut(id) else { return Err(ApiError::no_such_path()) };
            match job.state {
                JobState::UploadComplete => job.state = JobState::InProgress,
                JobState::InProgress => run_query(state, id),
                _ => {}
            }
            let job = state.jobs.query.get(id).ok_or_else(ApiError::no_such_path)?;
            Ok(Answer::ok(job.info(id)))
        }
        "PATCH" => {
            let wanted = call.object()?.get("state").and_then(Value::as_str).map(str::to_owned);
            let Some(job) = state.jobs.query.get_mut(id) else { return Err(ApiError::no_such_path()) };
            if wanted.as_deref() != Some("Aborted") {
                return Err(invalid_job("state has to be Aborted"));
            }
            if is_over(job.state) {
                return Err(invalid_state(format!("A job that is {:?} cannot become Aborted", job.state)));
            }
            job.state = JobState::Aborted;
            Ok(Answer::ok(job.info(id)))
        }
        "DELETE" => {
            let Some(job) = state.jobs.query.get(id) else { return Err(ApiError::no_such_path()) };
            if !is_over(job.state) {
                return Err(invalid_state("A job can be deleted when it is JobComplete, Failed or Aborted"));
            }
            state.jobs.query.remove(id);
            Ok(Answer::empty(204))
        }
        _ => Err(ApiError::method(&call.method, "GET, PATCH, DELETE")),
    }
}

fn run_query(state: &mut State, id: &str) {
    let Some(job) = state.jobs.query.get_mut(id) else { return };
    let found = soql::parse(&job.text).and_then(|query| {
        let scope =
            Scope { org: &state.org, text: &job.text, base: "", now: state::now(), with_deleted: job.with_deleted };
        Ok((query::run(scope, &query)?, query))
    });
    let Ok((Found::Rows(rows), query)) = found else {
        job.state = JobState::Failed;
        return;
    };
    job.header = match rows.first() {
        Some(row) => {
            let mut names = Vec::new();
            flat(row, "", &mut |name, _| names.push(name));
            // A reference that leads nowhere shows no field of the other record.
            let selected = query.select.iter().map(|selected| match selected {
                soql::Selected::Field(name, _) => Some(name.text.clone()),
                _ => None,
            });
            selected.collect::<Option<Vec<_>>>().unwrap_or(names)
        }
        None => Vec::new(),
    };
    job.rows = rows
        .iter()
        .map(|row| {
            let mut values = BTreeMap::new();
            flat(row, "", &mut |name, value| drop(values.insert(name.to_lowercase(), value)));
            job.header.iter().map(|name| values.remove(&name.to_lowercase()).unwrap_or_default()).collect()
        })
        .collect();
    job.state = JobState::JobComplete;
}

/// `Account.Name` for a nested record.
fn flat(row: &Value, before: &str, put: &mut impl FnMut(String, String)) {
    for (name, value) in row.as_object().into_iter().flatten().filter(|(name, _)| *name != "attributes") {
        let name = format!("{before}{name}");
        match value {
            Value::Object(_) => flat(value, &format!("{name}."), put),
            Value::String(text) => put(name, text.clone()),
            Value::Null => put(name, String::new()),
            other => put(name, other.to_string()),
        }
    }
}

fn query_results(state: &State, call: &Call, id: &str) -> Result<Answer, ApiError> {
    let Some(job) = state.jobs.query.get(id) else { return Err(ApiError::no_such_path()) };
    if job.state != JobState::JobComplete {
        return Err(invalid_state("Results are there when the job is JobComplete"));
    }
    let start = match call.parameter("locator").filter(|locator| !locator.is_empty() && *locator != "null") {
        None => 0,
        Some(locator) => {
            let offset = decoded(locator).filter(|offset| *offset < job.rows.len());
            offset.ok_or_else(|| ApiError::new(400, "INVALID_QUERY_LOCATOR", "invalid query locator"))?
        }
    };
    let most = call.parameter("maxRecords").map_or(Some(usize::MAX), |most| most.parse().ok().filter(|most| *most > 0));
    let most = most.ok_or_else(|| invalid_job("maxRecords has to be a number from 1"))?;
    let end =
        start.saturating_add(most.min(state.options.bulk_page_size.unwrap_or(usize::MAX).max(1))).min(job.rows.len());
    let rows = &job.rows[start..end];
    let csv = job.separator.write(std::iter::once(job.header.as_slice()).chain(rows.iter().map(Vec::as_slice)));
    let mut answer = Answer::csv(csv);
    let locator = if end < job.rows.len() { encoded(end) } else { "null".to_owned() };
    answer.headers.push(("sforce-locator", locator));
    answer.headers.push(("sforce-numberofrecords", rows.len().to_string()));
    Ok(answer)
}

/// Locators are opaque to clients: the number, in base64.
fn encoded(offset: usize) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(offset.to_string())
}

fn decoded(locator: &str) -> Option<usize> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(locator).ok()?;
    String::from_utf8(bytes).ok()?.parse().ok()
}
