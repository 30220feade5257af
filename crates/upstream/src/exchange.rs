//! One request to an upstream and its answer (MCP basic/transports, "Streamable HTTP"): JSON, or a stream of events that
//! is left as soon as the response has come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use outbound::{Chunks, FetchError, Fetcher, Incoming, Outgoing, Target};
use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::client::Refusal;
use crate::error::UpstreamError;
use crate::message::{self, Message, RpcError, UNKNOWN_METHOD, UNSUPPORTED_REVISION, UNSUPPORTED_REVISION_IN_DRAFTS};
use crate::revision::MODERN;
use crate::sse::{Event, Reader};
use crate::text::clean_and_cut;
use crate::{challenge, header_params};

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// How much of a refusal is read, in bytes.
const MAX_REFUSAL: usize = 16 * 1024;
/// How long its body may take.
const REFUSAL_TAKES: Duration = Duration::from_secs(2);
/// How often a stream that ended early is continued.
const MAX_RECONNECTS: u32 = 5;
/// How long to wait before that, unless the stream says.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);
/// How many requests of the upstream's own are answered in one stream, and how long such an answer may take.
const MAX_REFUSED_REQUESTS: u32 = 8;
const REFUSING_TAKES: Duration = Duration::from_secs(2);
/// Longest session id, in bytes.
const MAX_SESSION_ID: usize = 1024;

/// Where requests go, and until when.
pub struct Line<'a> {
    pub fetcher: &'a Fetcher,
    pub target: Target,
    pub bearer: Option<&'a SecretString>,
    pub deadline: Instant,
    /// Ids of requests.
    pub ids: &'a AtomicU64,
}

/// A request.
pub struct Call<'a> {
    pub method: &'static str,
    pub params: Map<String, Value>,
    /// The tool that is called and the schema of its arguments, for the headers.
    pub tool: Option<(&'a str, &'a Map<String, Value>)>,
}

/// How a request is framed.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// The revision; `None` before `initialize` has agreed on one.
    pub revision: Option<&'static str>,
    pub session: Option<&'a SecretString>,
}

/// A result.
pub struct Reply {
    pub result: Box<RawValue>,
    /// The session that it opened.
    pub session: Option<SecretString>,
}

/// Why there is no result.
#[derive(Debug)]
pub struct Failure {
    pub error: UpstreamError,
    /// What came instead, for diagnosis.
    pub refusal: Option<Refusal>,
    /// An error of JSON-RPC, whatever its status.
    pub rpc: Option<RpcError>,
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Failure {
        Failure { error, refusal: None, rpc: None }
    }
}

impl Failure {
    fn protocol(wrong: &'static str) -> Failure {
        UpstreamError::Protocol(wrong).into()
    }

    /// The status, if it is a refusal.
    pub fn status(&self) -> Option<u16> {
        self.refusal.as_ref().map(|refusal| refusal.status)
    }
}

impl Line<'_> {
    /// Sends a request, once, and waits for its response.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn request(&self, frame: Frame<'_>, call: &Call<'_>) -> Result<Reply, Failure> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let mut params = call.params.clone();
        if frame.revision == Some(MODERN) {
            params.insert("_meta".to_owned(), request_meta());
        }
        let message = json!({"jsonrpc": "2.0", "id": id, "method": call.method, "params": params});
        let incoming = self.post(frame, Some(call), &message, self.deadline).await?;
        let session = incoming.headers.get("mcp-session-id").cloned();
        let result = self.response(frame, incoming, id).await?;
        Ok(Reply { result, session: session.map(session_id).transpose()? })
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn notify(&self, frame: Frame<'_>, method: &'static str) -> Result<(), Failure> {
        let message = json!({"jsonrpc": "2.0", "method": method});
        let incoming = self.post(frame, None, &message, self.deadline).await?;
        if (200..300).contains(&incoming.status) { Ok(()) } else { Err(refused(incoming).await) }
    }

    async fn post(
        &self,
        frame: Frame<'_>,
        call: Option<&Call<'_>>,
        message: &Value,
        deadline: Instant,
    ) -> Result<Incoming, Failure> {
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
        ];
        let mut more = self.headers(frame);
        if let Some(call) = call.filter(|_| frame.revision == Some(MODERN)) {
            more.insert("mcp-method", HeaderValue::from_static(call.method));
            if let Some((name, schema)) = call.tool {
                let empty = Map::new();
                let arguments = call.params.get("arguments").and_then(Value::as_object).unwrap_or(&empty);
                more.extend(header_params::headers(schema, arguments));
                insert(&mut more, "mcp-name", &header_params::encode(name))?;
            }
        }
        if let Some(token) = self.bearer {
            insert(&mut more, "authorization", &format!("Bearer {}", token.expose_secret()))?;
        }
        self.open("POST", headers, more, Bytes::from(message.to_string()), deadline).await
    }

    fn headers(&self, frame: Frame<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(revision) = frame.revision {
            headers.insert("mcp-protocol-version", HeaderValue::from_static(revision));
        }
        if let Some(session) = frame.session
            && let Ok(session) = HeaderValue::from_str(session.expose_secret())
        {
            headers.insert("mcp-session-id", session);
        }
        headers
    }

    async fn open(
        &self,
        method: &'static str,
        headers: Vec<(&'static str, String)>,
        more: HeaderMap,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Incoming, Failure> {
        let timeout = deadline.saturating_duration_since(Instant::now());
        let target = self.target.clone();
        let outgoing = Outgoing { method, target, headers, body, max_bytes: MAX_ANSWER, timeout };
        self.fetcher.open(outgoing, more).await.map_err(|error| unanswered(&error).into())
    }

    async fn response(&self, frame: Frame<'_>, incoming: Incoming, id: u64) -> Result<Box<RawValue>, Failure> {
        match incoming.status {
            202 | 204 => return Err(Failure::protocol("it accepts a request without a response")),
            200..300 => {}
            _ => return Err(refused(incoming).await),
        }
        match essence(&incoming).as_str() {
            "application/json" => {
                let body = incoming.body.rest().await.map_err(|error| unanswered(&error))?;
                match message::read(&body, id).map_err(Failure::protocol)? {
                    Message::Result(result) => Ok(result),
                    Message::Error(error) => Err(failed(error)),
                    _ => Err(Failure::protocol("it is a message of the server's own instead of a response")),
                }
            }
            "text/event-stream" => self.stream(frame, incoming.body, id).await,
            _ => Err(Failure::protocol("its content type is neither JSON nor an event stream")),
        }
    }

    /// The response among the events of a stream, and of those that continue it.
    async fn stream(&self, frame: Frame<'_>, mut body: Chunks, id: u64) -> Result<Box<RawValue>, Failure> {
        let mut reader = Reader::default();
        let (mut reconnects, mut refused_requests) = (0, 0);
        loop {
            let chunk = match body.next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) | Err(FetchError::Interrupted(_)) if reconnects < MAX_RECONNECTS => {
                    reconnects += 1;
                    reader.end();
                    body = self.reconnect(frame, &reader).await?;
                    continue;
                }
                Ok(None) => return Err(UpstreamError::Interrupted.into()),
                Err(error) => return Err(unanswered(&error).into()),
            };
            for event in reader.push(&chunk).iter().filter(|event| is_message(event)) {
                match message::read(event.data.as_bytes(), id).map_err(Failure::protocol)? {
                    Message::Result(result) => return Ok(result),
                    Message::Error(error) => return Err(failed(error)),
                    Message::Notification => {}
                    Message::Request { id, ping } if refused_requests < MAX_REFUSED_REQUESTS => {
                        refused_requests += 1;
                        self.refuse(frame, &id, ping).await;
                    }
                    Message::Request { .. } => return Err(Failure::protocol("it asks too much instead of answering")),
                }
            }
        }
    }

    /// Continues a stream that ended before the response (legacy revisions). Whether the request was done is not known
    /// when that cannot be.
    async fn reconnect(&self, frame: Frame<'_>, reader: &Reader) -> Result<Chunks, Failure> {
        let interrupted = || Failure::from(UpstreamError::Interrupted);
        let last = reader.last_event_id().filter(|_| frame.revision != Some(MODERN)).ok_or_else(interrupted)?;
        let pause = reader.retry().unwrap_or(RECONNECT_AFTER);
        if pause >= self.deadline.saturating_duration_since(Instant::now()) {
            return Err(interrupted());
        }
        let mut more = self.headers(frame);
        more.insert("last-event-id", header_value(last).ok_or_else(interrupted)?);
        if let Some(token) = self.bearer {
            insert(&mut more, "authorization", &format!("Bearer {}", token.expose_secret()))?;
        }
        tokio::time::sleep(pause).await;
        let headers = vec![("accept", "text/event-stream".to_owned())];
        let opened = self.open("GET", headers, more, Bytes::new(), self.deadline).await;
        // Nothing of this request was sent, perhaps, but the one that the stream is of was.
        let incoming = opened.map_err(|failure| match failure.error {
            UpstreamError::TimedOut => failure,
            _ => interrupted(),
        })?;
        if incoming.status != 200 || essence(&incoming) != "text/event-stream" {
            return Err(interrupted());
        }
        Ok(incoming.body)
    }

    /// Answers a request of the upstream's own: a `ping` with nothing, any other with a refusal, for we declare no
    /// capability. Whether that arrives does not matter.
    async fn refuse(&self, frame: Frame<'_>, id: &Value, ping: bool) {
        let answer = if ping {
            json!({"jsonrpc": "2.0", "id": id, "result": {}})
        } else {
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": UNKNOWN_METHOD, "message": "Method not found"}})
        };
        let deadline = self.deadline.min(Instant::now() + REFUSING_TAKES);
        let _ = self.post(frame, None, &answer, deadline).await;
    }
}

/// Who we are and what we can, in every request of 2026-07-28.
fn request_meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": client_info(),
    })
}

/// Who we are.
pub fn client_info() -> Value {
    json!({"name": "northstar", "version": env!("CARGO_PKG_VERSION")})
}

fn is_message(event: &Event) -> bool {
    // An event without data only tells its id.
    event.name == "message" && !event.data.is_empty()
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<(), Failure> {
    // A token that no header can hold is none that an upstream accepts.
    let value = HeaderValue::from_str(value).map_err(|_| UpstreamError::Unauthorized)?;
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

fn header_value(text: &str) -> Option<HeaderValue> {
    let is_visible = text.len() <= MAX_SESSION_ID && text.bytes().all(|byte| byte.is_ascii_graphic());
    HeaderValue::from_str(text).ok().filter(|_| is_visible)
}

fn session_id(value: HeaderValue) -> Result<SecretString, Failure> {
    let text = value.to_str().ok().filter(|text| !text.is_empty() && header_value(text).is_some());
    text.map(SecretString::from).ok_or_else(|| Failure::protocol("its session id has characters that none has"))
}

fn essence(incoming: &Incoming) -> String {
    let content_type = incoming.header("content-type").unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn unanswered(error: &FetchError) -> UpstreamError {
    match error {
        FetchError::Url(_) | FetchError::Address => UpstreamError::Url,
        FetchError::Header => UpstreamError::Unauthorized,
        FetchError::Unreachable(_) => UpstreamError::Unreachable,
        FetchError::TimedOut => UpstreamError::TimedOut,
        FetchError::TooLarge => UpstreamError::TooLarge,
        FetchError::Status(status) => UpstreamError::Status(*status),
        FetchError::Interrupted(_) | FetchError::ContentType => UpstreamError::Interrupted,
    }
}

fn failed(error: RpcError) -> Failure {
    Failure { error: UpstreamError::Rpc(error.code), refusal: None, rpc: Some(error) }
}

/// What a status that is none of success comes to. The body is read as far as it comes; it decides what a 4xx means.
async fn refused(incoming: Incoming) -> Failure {
    let Incoming { status, headers, mut body } = incoming;
    let mut text = Vec::new();
    let reading = async {
        while text.len() < MAX_REFUSAL
            && let Ok(Some(chunk)) = body.next().await
        {
            text.extend_from_slice(&chunk);
        }
    };
    // The status is known: what is slow to follow is not waited for.
    let _ = tokio::time::timeout(REFUSAL_TAKES, reading).await;
    // Nobody's id: an error that has one is none of ours, and the status counts.
    let rpc = match serde_json::from_slice::<Value>(&text).ok().and_then(without_id).map(|text| message::read(&text, 0))
    {
        Some(Ok(Message::Error(error))) => Some(error),
        _ => None,
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let challenges: Vec<&str> = headers.get_all("www-authenticate").iter().flat_map(|value| value.to_str()).collect();
    let challenges = challenges.join(", ");
    let error = refusal(status, rpc.as_ref(), &challenges, header("retry-after"));
    let refusal = Refusal {
        status,
        www_authenticate: (!challenges.is_empty()).then(|| clean_and_cut(&challenges, 2000)),
        body: clean_and_cut(&String::from_utf8_lossy(&text), 1000),
    };
    Failure { error, refusal: Some(refusal), rpc }
}

fn without_id(mut message: Value) -> Option<Vec<u8>> {
    message.as_object_mut()?.remove("id");
    serde_json::to_vec(&message).ok()
}

fn refusal(status: u16, rpc: Option<&RpcError>, challenges: &str, retry_after: Option<&str>) -> UpstreamError {
    let wait = retry_after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    match (status, rpc) {
        (401, _) => UpstreamError::Unauthorized,
        (403, _) => match challenge::parse(challenges) {
            Some(challenge) if challenge.error.as_deref() == Some("insufficient_scope") => {
                UpstreamError::InsufficientScope(challenge.scope)
            }
            _ => UpstreamError::Forbidden,
        },
        (429, _) => UpstreamError::RateLimited(wait),
        (503, _) if wait.is_some() => UpstreamError::RateLimited(wait),
        (400..500, Some(error)) => UpstreamError::Rpc(error.code),
        (404, None) => UpstreamError::NotFound,
        _ => UpstreamError::Status(status),
    }
}

/// Whether a failure says that the revision is not spoken.
pub fn is_unsupported_revision(failure: &Failure) -> bool {
    failure.rpc.as_ref().is_some_and(|error| match error.code {
        UNSUPPORTED_REVISION => true,
        UNSUPPORTED_REVISION_IN_DRAFTS => !error.supported.is_empty(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_by_its_status_its_challenge_and_its_error() {
        let rpc = RpcError { code: -32601, supported: Vec::new() };
        let scope = r#"Bearer error="insufficient_scope", scope="a b""#;
        for (status, rpc, challenges, retry_after, expected) in [
            (401, Some(&rpc), "", None, UpstreamError::Unauthorized),
            (403, None, "", None, UpstreamError::Forbidden),
            (403, None, r#"Bearer error="invalid_token""#, None, UpstreamError::Forbidden),
            (403, None, scope, None, UpstreamError::InsufficientScope(Some("a b".into()))),
            (404, None, "", None, UpstreamError::NotFound),
            (404, Some(&rpc), "", None, UpstreamError::Rpc(-32601)),
            (400, None, "", None, UpstreamError::Status(400)),
            (429, None, "", None, UpstreamError::RateLimited(None)),
            (429, None, "", Some("7"), UpstreamError::RateLimited(Some(Duration::from_secs(7)))),
            (503, None, "", Some("7"), UpstreamError::RateLimited(Some(Duration::from_secs(7)))),
            (503, None, "", None, UpstreamError::Status(503)),
            (500, Some(&rpc), "", None, UpstreamError::Status(500)),
            (302, None, "", None, UpstreamError::Status(302)),
        ] {
            assert_eq!(refusal(status, rpc, challenges, retry_after), expected, "{status} {challenges}");
        }
    }

    #[test]
    fn only_visible_characters_make_a_session_id() {
        let read = |text: &'static str| session_id(HeaderValue::from_static(text)).is_ok();
        assert!(read("0f8b-42"));
        assert!(!read("") && !read("a b") && session_id(HeaderValue::from_bytes(b"a\xff").unwrap()).is_err());
    }
}
