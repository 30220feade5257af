//! Requests to the REST API of one org, with a token of its connection.
//!
//! A refused session is renewed once and the request sent once more; other failures are tried again as [`retry`] allows,
//! all within the time that the request has. Reads go over connections that are kept for a while: to open one costs two
//! round trips to the org.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use oauth_client::{AccessToken, Connection, Grants};
use outbound::{Answer, Breaker, FetchError, Fetcher, Outgoing, Target};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use registry::SalesforceOrg;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::Instant;

use crate::describe::{self, Describe, ListedObject};
use crate::error::{Code, SalesforceError, from_fetch};
use crate::json;
use crate::limit_info::LimitInfo;
use crate::names::ObjectName;
use crate::org::{Org, OrgError, host_url};
use crate::retry::{self, Sent, may_retry};

/// The largest answer that is read, in bytes.
pub const MAX_ANSWER: usize = 6 * 1024 * 1024;
/// How long a request may take, with its retries, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a description is remembered, and of how many objects.
const DESCRIBED_FOR: Duration = Duration::from_secs(600);
const MAX_DESCRIBED: usize = 100;

/// Refusals of a session that another session would meet too (jsforce 3.10, `isSessionExpired`).
const NOT_RENEWABLE: [&str; 3] = [
    "Connected app is not attached to Agent",
    "This session is not valid for use with the REST API",
    "BlackTab users cannot perform API operations",
];

/// What stands unencoded in a segment of a path or a value of a query (RFC 3986 §2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request.
#[derive(Clone)]
pub struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    write: bool,
    text_answer: bool,
    timeout: Duration,
}

impl Request {
    /// A `GET`. A path that begins with `/services/` is used as it is; any other is below `/services/data/<version>/`, as
    /// `sobjects/Contact/describe`. What a caller gave has gone through [`segment`] or [`query`].
    pub fn get(path: impl Into<String>) -> Request {
        Request {
            method: "GET",
            path: path.into(),
            headers: vec![("accept", "application/json".to_owned())],
            body: Bytes::new(),
            write: false,
            text_answer: false,
            timeout: TIMEOUT,
        }
    }

    /// The next page of a query: the path that `nextRecordsUrl` is. `None` when it is no such path.
    pub fn next_page(next_records_url: &str) -> Option<Request> {
        let mut parts = next_records_url.strip_prefix("/services/data/")?.split('/');
        let (version, resource, locator) = (parts.next()?, parts.next()?, parts.next()?);
        let is_locator = |text: &str| {
            (1..=120).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let valid = crate::org::ApiVersion::parse(version).is_some()
            && ["query", "queryAll"].contains(&resource)
            && is_locator(locator)
            && parts.next().is_none();
        valid.then(|| Request::get(next_records_url))
    }

    /// A `POST` that changes nothing, such as a search.
    pub fn read_by_post(path: impl Into<String>, body: &Value) -> Request {
        Request { method: "POST", ..Request::get(path) }.with_json(body)
    }

    /// A request that changes something: `POST`, `PATCH`, `PUT` or `DELETE`.
    pub fn write(method: &'static str, path: impl Into<String>, body: Option<&Value>) -> Request {
        let request = Request { method, write: true, ..Request::get(path) };
        match body {
            Some(body) => request.with_json(body),
            None => request,
        }
    }

    fn with_json(self, body: &Value) -> Request {
        self.with_body("application/json", body.to_string())
    }

    /// With a body of another content type.
    pub fn with_body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Request {
        self.body = body.into();
        self.with_header("content-type", content_type)
    }

    /// With a header, by its lower-case name.
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.headers.push((name, value.into()));
        self
    }

    /// With a time that it may take, retries and all.
    pub fn with_timeout(self, timeout: Duration) -> Request {
        Request { timeout, ..self }
    }

    /// With an answer that is no JSON, such as CSV: [`Reply::text`].
    pub fn with_text_answer(mut self, accept: &'static str) -> Request {
        self.text_answer = true;
        self.headers.retain(|(name, _)| *name != "accept");
        self.with_header("accept", accept)
    }
}

/// A text as one segment of a path. `None` for those that would be no segment of their own.
pub fn segment(text: &str) -> Option<String> {
    (!["", ".", ".."].contains(&text)).then(|| utf8_percent_encode(text, UNRESERVED).to_string())
}

/// Names and values as the query of a URL, with its `?`.
pub fn query(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, UNRESERVED)));
    format!("?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// An answer that is a success.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status, 200 to 299.
    pub status: u16,
    /// Its JSON; null where it has none.
    pub body: Value,
    /// Its text, where the request asked for one.
    pub text: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// How many requests the org has made, if it said so.
    pub limit_info: Option<LimitInfo>,
}

impl Reply {
    /// A header's value; `None` when it is missing or no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The REST API of one org.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    org: Org,
    connection: Connection,
    grants: Grants,
    fetcher: Fetcher,
    breaker: Mutex<Breaker>,
    limit_info: Mutex<Option<LimitInfo>>,
    described: Mutex<HashMap<ObjectName, (Arc<Describe>, SystemTime)>>,
    listed: Mutex<Option<(Arc<Vec<ListedObject>>, SystemTime)>>,
}

impl Client {
    /// A client of the org that is registered as `record`.
    ///
    /// # Errors
    /// [`OrgError`] when the registration cannot be used.
    pub fn new(record: &SalesforceOrg, grants: Grants, fetcher: Fetcher) -> Result<Client, OrgError> {
        let org = Org::new(record, fetcher.reach())?;
        let connection = org.connection(record);
        Ok(Client(Arc::new(Shared {
            org,
            connection,
            grants,
            fetcher,
            breaker: Mutex::default(),
            limit_info: Mutex::default(),
            described: Mutex::default(),
            listed: Mutex::default(),
        })))
    }

    /// The org.
    pub fn org(&self) -> &Org {
        &self.0.org
    }

    /// What the last answer said of the org's requests, successes and refusals alike.
    pub fn limit_info(&self) -> Option<LimitInfo> {
        *lock(&self.0.limit_info)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// [`SalesforceError`]; `outcome_unknown` in it says that a write may have been done.
    pub async fn send(&self, request: Request, now: SystemTime) -> Result<Reply, SalesforceError> {
        Box::pin(self.0.send(&request, now)).await
    }

    /// The description of an object, up to 10 minutes old.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn describe(&self, object: &ObjectName, now: SystemTime) -> Result<Arc<Describe>, SalesforceError> {
        if let Some((describe, _)) = lock(&self.0.described).get(object).filter(|(_, at)| is_recent(*at, now)) {
            return Ok(describe.clone());
        }
        let reply = self.send(Request::get(format!("sobjects/{object}/describe")), now).await?;
        let unreadable =
            || SalesforceError::new(Code::AnswerUnreadable, "the description of the object cannot be read");
        let describe = Arc::new(describe::parse(reply.body).ok_or_else(unreadable)?);
        let mut described = lock(&self.0.described);
        if described.len() >= MAX_DESCRIBED && !described.contains_key(object) {
            described.clear();
        }
        described.insert(object.clone(), (describe.clone(), now));
        Ok(describe)
    }

    /// All objects of the org, as they were up to 10 minutes ago.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn objects(&self, now: SystemTime) -> Result<Arc<Vec<ListedObject>>, SalesforceError> {
        if let Some((listed, _)) = lock(&self.0.listed).as_ref().filter(|(_, at)| is_recent(*at, now)) {
            return Ok(listed.clone());
        }
        let reply = self.send(Request::get("sobjects"), now).await?;
        let unreadable = || SalesforceError::new(Code::AnswerUnreadable, "the list of objects cannot be read");
        let listed = Arc::new(describe::parse_list(reply.body).ok_or_else(unreadable)?);
        *lock(&self.0.listed) = Some((listed.clone(), now));
        Ok(listed)
    }
}

/// Whether a description is as good as new.
fn is_recent(at: SystemTime, now: SystemTime) -> bool {
    now.duration_since(at).is_ok_and(|age| age < DESCRIBED_FOR)
}

/// How one try ended badly.
struct Failure {
    error: SalesforceError,
    sent: Sent,
    /// Whether another session may do.
    renewable: bool,
}

impl Shared {
    async fn send(&self, request: &Request, now: SystemTime) -> Result<Reply, SalesforceError> {
        lock(&self.breaker).admit(now).map_err(left_alone)?;
        let began = Instant::now();
        let mut token = self.grants.access_token(&self.connection, now).await?;
        let (mut renewed, mut retries) = (false, 0);
        loop {
            let left = request.timeout.saturating_sub(began.elapsed());
            // Not begun, it is known to have had no effect.
            if left < retry::SHORTEST {
                return Err(SalesforceError::new(Code::OrgTimedOut, "there was no time left to ask the org"));
            }
            let failure = match self.attempt(request, &token, left, retries).await {
                Ok(reply) => {
                    lock(&self.breaker).succeeded();
                    return Ok(reply);
                }
                Err(failure) => failure,
            };
            self.count(&failure, now + began.elapsed());
            if failure.renewable && !renewed {
                renewed = true;
                token = self.grants.expired(&self.connection, &token, now + began.elapsed()).await?;
                continue;
            }
            let pause = retry::pause(retries, fastrand::f64());
            let open = lock(&self.breaker).is_open();
            let in_time = request.timeout.saturating_sub(began.elapsed()) > pause + retry::SHORTEST;
            if open || !in_time || !may_retry(&failure.error, failure.sent, request.write, retries) {
                return Err(failure.error);
            }
            retries += 1;
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(
        &self,
        request: &Request,
        token: &AccessToken,
        timeout: Duration,
        retries: u32,
    ) -> Result<Reply, Failure> {
        let outgoing = self.outgoing(request, token, timeout).map_err(Failure::before)?;
        // The org may close a kept connection at any time: of a write that met this nobody would know what became.
        let answer = if request.write || retries > 0 {
            self.fetcher.send(outgoing).await
        } else {
            self.fetcher.send_over_kept(outgoing).await
        };
        let answer = answer.map_err(|error| Failure::unanswered(&error, request.write))?;
        let limit_info = answer.header("sforce-limit-info").and_then(LimitInfo::parse);
        if limit_info.is_some() {
            *lock(&self.limit_info) = limit_info;
        }
        read(request, answer, limit_info)
    }

    fn outgoing(&self, request: &Request, token: &AccessToken, timeout: Duration) -> Result<Outgoing, SalesforceError> {
        let path = if request.path.starts_with("/services/") {
            request.path.clone()
        } else {
            format!("/services/data/{}/{}", self.org.api_version, request.path)
        };
        let too_long = |_| SalesforceError::new(Code::RequestTooLarge, "the URL of the request is longer than 16 KiB");
        let target = self.instance(token)?.with_path(&path).map_err(too_long)?;
        let mut headers = request.headers.clone();
        headers.push(("authorization", format!("Bearer {}", token.token.expose_secret())));
        headers.push(("sforce-call-options", "client=northstar".to_owned()));
        let body = request.body.clone();
        Ok(Outgoing { method: request.method, target, headers, body, max_bytes: MAX_ANSWER, timeout })
    }

    /// Where a token is for: what the token answer said, if it is a host that may be one.
    fn instance(&self, token: &AccessToken) -> Result<Target, SalesforceError> {
        match (&token.unverified_instance_url, &self.org.instance) {
            (Some(url), _) => Ok(host_url(url, self.fetcher.reach())?),
            (None, Some(instance)) => Ok(instance.clone()),
            (None, None) => {
                let message = "neither the token answer nor the registration says where the org is";
                Err(SalesforceError::new(Code::ConnectionMisconfigured, message))
            }
        }
    }

    /// What counts for the breaker: the org that fails, not the one that refuses, nor what we did not send.
    fn count(&self, failure: &Failure, now: SystemTime) {
        let failed = matches!(
            failure.error.code,
            Code::OrgFailed | Code::OrgUnreachable | Code::OrgTimedOut | Code::AnswerUnreadable
        );
        match failure.sent {
            _ if failed => lock(&self.breaker).failed(now),
            Sent::Answered => lock(&self.breaker).succeeded(),
            _ => {}
        }
    }
}

impl Failure {
    fn before(error: SalesforceError) -> Failure {
        Failure { error, sent: Sent::Nothing, renewable: false }
    }

    fn unanswered(error: &FetchError, write: bool) -> Failure {
        let sent = match error {
            FetchError::TimedOut | FetchError::Interrupted(_) | FetchError::TooLarge => Sent::NoAnswer,
            _ => Sent::Nothing,
        };
        Failure { error: from_fetch(error, write), sent, renewable: false }
    }
}

fn read(request: &Request, answer: Answer, limit_info: Option<LimitInfo>) -> Result<Reply, Failure> {
    let status = answer.status;
    if !(200..300).contains(&status) {
        let error = SalesforceError::from_answer(status, &answer.body);
        let renewable = is_renewable(&error, &answer.body);
        // A gateway that gives up says nothing of what is behind it.
        let unknown = request.write && (status >= 500 || status == 420) && error.code != Code::RowLocked;
        return Err(Failure { error: error.with_unknown_outcome(unknown), sent: Sent::Answered, renewable });
    }
    let unreadable = |message: &str| {
        let error = SalesforceError::new(Code::AnswerUnreadable, message).with_unknown_outcome(request.write);
        Failure { error, sent: Sent::Answered, renewable: false }
    };
    let mut reply = Reply { status, body: Value::Null, text: String::new(), headers: answer.headers, limit_info };
    if request.text_answer {
        reply.text =
            String::from_utf8(answer.body.to_vec()).map_err(|_| unreadable("the answer is no text in UTF-8"))?;
    } else if !(answer.body.is_empty() && [201, 202, 204].contains(&status)) {
        reply.body = json::parse(&answer.body).map_err(|error| unreadable(&error.to_string()))?;
    }
    Ok(reply)
}

fn is_renewable(error: &SalesforceError, body: &[u8]) -> bool {
    let says = |text: &&str| body.windows(text.len()).any(|window| window == text.as_bytes());
    error.status == Some(401)
        && error.salesforce_code.as_deref() == Some("INVALID_SESSION_ID")
        && !NOT_RENEWABLE.iter().any(says)
}

fn left_alone(for_another: Duration) -> SalesforceError {
    let seconds = for_another.as_secs() + 1;
    SalesforceError::new(
        Code::OrgLeftAlone,
        &format!("the org failed 5 times in a row; the next try is in {seconds} s"),
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_next_page_is_a_page_of_a_query() {
        for url in ["/services/data/v66.0/query/01g000000000001AAA-2000", "/services/data/v66.0/queryAll/01g-2000"] {
            assert_eq!(Request::next_page(url).unwrap().path, url);
        }
        for url in [
            "",
            "https://evil.example/services/data/v66.0/query/01g-2000",
            "/services/data/v66.0/query/",
            "/services/data/v66.0/query/01g-2000/x",
            "/services/data/v66.0/query/../limits",
            "/services/data/v66.0/query/01g?q=x",
            "/services/data/v66.0/sobjects/Contact",
            "/services/data/v66.x/query/01g",
            "//evil.example/services/data/v66.0/query/01g",
        ] {
            assert!(Request::next_page(url).is_none(), "{url}");
        }
    }

    proptest! {
        #[test]
        fn a_segment_stays_one_and_is_read_back(text in any::<String>()) {
            if let Some(segment) = segment(&text) {
                prop_assert!(!segment.contains(['/', '?', '#', '\\', ' ', '+']) && segment.is_ascii());
                let read = percent_encoding::percent_decode_str(&segment).decode_utf8().unwrap().into_owned();
                prop_assert_eq!(read, text);
            }
        }
    }
}
