//! Everything that the stand-in remembers, behind one mutex.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::Options;
use crate::answer::{Answer, ApiError, Call};
use crate::bulk::Jobs;
use crate::counters::Counters;
use crate::faults::Faults;
use crate::oauth::Grants;
use crate::org::Org;
use crate::reports::Runs;

/// What the stand-in remembers.
#[derive(Debug)]
pub struct State {
    pub(crate) org: Org,
    pub(crate) options: Options,
    pub(crate) grants: Grants,
    pub(crate) cursors: Cursors,
    pub(crate) jobs: Jobs,
    pub(crate) runs: Runs,
    pub(crate) counters: Counters,
    pub(crate) faults: Faults,
    /// Requests that count towards `DailyApiRequests`.
    pub(crate) api_requests: u64,
    /// The stand-in's own URL.
    pub(crate) url: String,
    /// Signs access tokens: a P-256 key in PKCS #8.
    pub(crate) signing_key: Vec<u8>,
    /// Sessions of legacy MCP clients.
    pub(crate) mcp_sessions: HashSet<String>,
}

impl State {
    pub(crate) fn new(org: Org, options: Options, url: String, signing_key: Vec<u8>) -> State {
        State {
            org,
            options,
            grants: Grants::default(),
            cursors: Cursors::default(),
            jobs: Jobs::default(),
            runs: Runs::default(),
            counters: Counters::default(),
            faults: Faults::default(),
            api_requests: 0,
            url,
            signing_key,
            mcp_sessions: HashSet::new(),
        }
    }

    /// What the authorization server calls itself.
    pub(crate) fn issuer(&self) -> &str {
        self.options.issuer.as_deref().unwrap_or(&self.url)
    }
}

/// `DailyApiRequests` of a Developer Edition.
pub const MAX_API_REQUESTS: u64 = 15_000;

/// Results of queries that have not been read to their end.
#[derive(Debug, Default)]
pub struct Cursors {
    kept: VecDeque<(String, Arc<Vec<Value>>)>,
}

/// More than that, and the oldest is forgotten.
const MAX_CURSORS: usize = 200;

impl Cursors {
    fn keep(&mut self, locator: String, rows: Arc<Vec<Value>>) {
        if self.kept.len() == MAX_CURSORS {
            self.kept.pop_front();
        }
        self.kept.push_back((locator, rows));
    }

    fn get(&self, locator: &str) -> Option<Arc<Vec<Value>>> {
        self.kept.iter().find(|(own, _)| own == locator).map(|(_, rows)| Arc::clone(rows))
    }

    /// As when all have expired.
    pub fn clear(&mut self) {
        self.kept.clear();
    }
}

/// The rows of a query, the first page of them.
pub fn first_page(state: &mut State, call: &Call, rows: Vec<Value>) -> Answer {
    let size = page_size(state, call);
    if rows.len() <= size {
        return Answer::ok(json!({ "totalSize": rows.len(), "done": true, "records": rows }));
    }
    let locator = state.org.new_id_with("01g");
    let rows = Arc::new(rows);
    state.cursors.keep(locator.clone(), Arc::clone(&rows));
    page(call, &locator, &rows, 0, size)
}

/// `query/{locator}-{offset}`
///
/// # Errors
/// `INVALID_QUERY_LOCATOR`
pub fn next_page(state: &State, call: &Call, cursor: &str) -> Result<Answer, ApiError> {
    let unknown = || ApiError::new(400, "INVALID_QUERY_LOCATOR", "invalid query locator");
    let (locator, offset) = cursor.rsplit_once('-').ok_or_else(unknown)?;
    let offset = offset.parse().map_err(|_| unknown())?;
    let rows = state.cursors.get(locator).filter(|rows| offset < rows.len()).ok_or_else(unknown)?;
    Ok(page(call, locator, &rows, offset, page_size(state, call)))
}

fn page(call: &Call, locator: &str, rows: &[Value], offset: usize, size: usize) -> Answer {
    let end = offset.saturating_add(size).min(rows.len());
    let mut body = json!({ "totalSize": rows.len(), "done": end == rows.len() });
    if end < rows.len() {
        body["nextRecordsUrl"] = format!("{}/query/{locator}-{end}", call.base()).into();
    }
    body["records"] = Value::Array(rows[offset..end].to_vec());
    Answer::ok(body)
}

/// `Sforce-Query-Options: batchSize=200` is between 200 and 2,000; the stand-in may be told to give fewer.
fn page_size(state: &State, call: &Call) -> usize {
    let options = call.header("sforce-query-options").unwrap_or_default().to_ascii_lowercase();
    let asked = options
        .split([',', ';', ' '])
        .find_map(|option| option.trim().strip_prefix("batchsize=")?.parse::<usize>().ok());
    asked.unwrap_or(2_000).clamp(200, 2_000).min(state.options.page_size.unwrap_or(2_000).max(1))
}

/// `GET /limits`
pub fn limits(state: &State) -> Answer {
    let limit = |max: u64, used: u64| json!({ "Max": max, "Remaining": max.saturating_sub(used) });
    Answer::ok(json!({
        "ConcurrentAsyncGetReportInstances": limit(200, 0),
        "ConcurrentSyncReportRuns": limit(20, 0),
        "DailyApiRequests": limit(MAX_API_REQUESTS, state.api_requests),
        "DailyAsyncApexExecutions": limit(250_000, 0),
        "DailyBulkApiBatches": limit(15_000, 0),
        "DailyBulkV2QueryFileStorageMB": limit(976_562, 0),
        "DailyBulkV2QueryJobs": limit(10_000, state.jobs.query_count() as u64),
        "DataStorageMB": limit(5, 1),
        "FileStorageMB": limit(20, 0),
        "HourlyAsyncReportRuns": limit(1_200, 0),
        "HourlySyncReportRuns": limit(500, 0),
        "SingleEmail": limit(15, 0),
    }))
}

/// The text of `Sforce-Limit-Info`.
pub fn limit_info(state: &State) -> String {
    format!("api-usage={}/{MAX_API_REQUESTS}", state.api_requests)
}

/// The time of a request.
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
