//! The layer in front of rmcp: everything about a request that is not MCP itself.
//!
//! Origin and host, method, bearer token, size and shape of the body, batches, scope of the tool, `Accept`, a deadline,
//! and a JSON-RPC body for every refusal.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_api::ApiRequest;
use http_body_util::{BodyExt, Full};
use registry::{PublicUrl, ServerName};
use request_log::{RequestLine, Timings};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::bearer::{Bearer, Principal};
use crate::catalogue::{Call, Trouble};
use crate::envelope::{self, Message, Messages, REVISIONS, known_revision};
use crate::json_limits;
use crate::refusal::Refusal;
use crate::servers::{ServedServer, Servers};
use crate::tables::Tables;

const MAX_BODY: usize = 256 * 1024;
const MAX_BATCH: usize = 16;
/// What is left for the answer's way back when a deadline passes.
const DEADLINE_MARGIN: Duration = Duration::from_secs(1);

/// Since this revision a request stands alone.
const STATELESS_REVISION: &str = REVISIONS[4];
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// What one request to an MCP path needs.
pub struct Front<'a> {
    /// Our own URL.
    pub public_url: &'a PublicUrl,
    /// Checks tokens.
    pub bearer: &'a Bearer,
    /// Knows the servers.
    pub servers: &'a Servers,
    /// Where tools read.
    pub tables: &'a Arc<Tables>,
    /// Where time goes.
    pub timings: &'a Arc<Timings>,
    /// When the request arrived.
    pub now: SystemTime,
}

/// An admitted request: the caller is known, the body is JSON within limits.
struct Admitted {
    principal: Arc<Principal>,
    server: Arc<ServedServer>,
    headers: HeaderMap,
    header_revision: Option<String>,
    deadline: SystemTime,
}

impl Front<'_> {
    /// Answers a request.
    pub async fn answer(&self, request: ApiRequest, line: &mut RequestLine) -> Response<Bytes> {
        let body = request.body.clone();
        let left = left(request.deadline);
        let answered = async {
            // Several reads may be needed to admit a request, and each may be slow.
            let admitted = tokio::time::timeout(left, self.admit(request, line)).await;
            let admitted = admitted.unwrap_or(Err(Refusal::Unavailable))?;
            let text = std::str::from_utf8(&body).map_err(|_| Refusal::NotJson)?;
            match envelope::split(text)? {
                Messages::One(message) => Ok(self.message(&admitted, message, line).await),
                Messages::Batch(messages) => self.batch(&admitted, &messages, line).await,
            }
        };
        match answered.await {
            Ok(response) => response,
            Err(refusal) => refuse(refusal, None, line),
        }
    }

    async fn admit(&self, request: ApiRequest, line: &mut RequestLine) -> Result<Admitted, Refusal> {
        let foreign = |name: HeaderName, ours: &dyn Fn(&str) -> bool| {
            request.headers.contains_key(&name) && !request.header(name).is_some_and(ours)
        };
        if foreign(ORIGIN, &|origin| self.public_url.is_origin(origin)) {
            return Err(Refusal::Origin);
        }
        if foreign(HOST, &|host| self.public_url.is_host(host)) {
            return Err(Refusal::Host);
        }
        if request.method != Method::POST {
            return Err(Refusal::Method("POST"));
        }
        let name = ServerName::from_path(&request.path).ok_or(Refusal::UnknownServer)?;
        let server = self.timings.table(self.servers.get(&name, self.now)).await?.ok_or(Refusal::UnknownServer)?;
        line.server = Some(name.as_str().to_owned());
        let principal = self.bearer.authenticate(&request, &name, self.timings, self.now).await?;
        line.client = Some(principal.client_id.clone());
        check_media_type(&request)?;
        if request.body.len() > MAX_BODY {
            return Err(Refusal::TooLarge);
        }
        json_limits::check(&request.body)?;
        Ok(Admitted {
            principal: Arc::new(principal),
            server,
            header_revision: request.header(PROTOCOL_VERSION).map(|version| version.trim().to_owned()),
            headers: request.headers,
            deadline: request.deadline,
        })
    }

    async fn message(&self, admitted: &Admitted, json: &str, line: &mut RequestLine) -> Response<Bytes> {
        let message = match Message::parse(json) {
            Ok(message) => message,
            Err((refusal, id)) => return refuse(refusal, id, line),
        };
        line.method = message.known_method();
        line.revision = message.revision(admitted.header_revision.as_deref());
        match self.forward(admitted, &message, json, line).await {
            Ok(response) => response,
            Err(refusal) => refuse(refusal, message.id, line),
        }
    }

    async fn forward(
        &self,
        admitted: &Admitted,
        message: &Message<'_>,
        json: &str,
        line: &mut RequestLine,
    ) -> Result<Response<Bytes>, Refusal> {
        if let Some(requested) = &admitted.header_revision
            && known_revision(requested).is_none()
            && message.meta_revision().is_none()
        {
            return Err(Refusal::Revision { requested: requested.chars().take(32).collect() });
        }
        if message.is_initialize() && message.meta_revision().as_deref() == Some(STATELESS_REVISION) {
            return Err(Refusal::UnknownMethod);
        }
        message.check_params()?;
        if let Some(name) = message.called_tool()? {
            line.tool = admitted.server.tool(&name).map(|tool| tool.name.to_string());
            self.permitted_tool(admitted, &name)?;
        }
        let call = Arc::new(Call::new(admitted.principal.clone(), self.tables.clone(), self.timings.clone(), self.now));
        let mut request = rmcp_request(&admitted.headers, json, &call);
        if message.is_initialize() {
            // The body negotiates. A header here is left from an earlier session, and rmcp would refuse the difference.
            request.headers_mut().remove(PROTOCOL_VERSION);
        }
        let limit = self.limit(admitted);
        let mut response = match tokio::time::timeout(limit, (admitted.server.endpoint)(request)).await {
            Ok(response) => collect(response).await?,
            Err(_) => {
                line.outcome = "deadline_exceeded";
                return tool_deadline(message, line.revision).ok_or(Refusal::Deadline);
            }
        };
        if let Some(outcome) = call.outcome().or_else(|| name_error(&mut response)) {
            line.outcome = outcome;
        }
        Ok(response)
    }

    /// Refuses a tool that the caller's scopes do not permit. An unknown one is rmcp's to refuse.
    fn permitted_tool(&self, admitted: &Admitted, name: &str) -> Result<(), Refusal> {
        match admitted.server.tool(name) {
            Some(tool) if !admitted.principal.scopes.permit(tool.scope) => {
                Err(self.bearer.insufficient_scope(&admitted.server.definition.name, tool.scope))
            }
            _ => Ok(()),
        }
    }

    /// The tool's own limit, or what is left of the invocation.
    fn limit(&self, admitted: &Admitted) -> Duration {
        admitted.server.definition.tool_timeout().min(left(admitted.deadline))
    }

    /// Messages of a batch are answered in order, each as if it had come alone (JSON-RPC 2.0, MCP 2025-03-26).
    async fn batch(
        &self,
        admitted: &Admitted,
        messages: &[&str],
        line: &mut RequestLine,
    ) -> Result<Response<Bytes>, Refusal> {
        if !matches!(admitted.header_revision.as_deref(), None | Some("2025-03-26")) {
            return Err(Refusal::Batch("only protocol revision 2025-03-26 has batches: send one message"));
        }
        if messages.is_empty() || messages.len() > MAX_BATCH {
            return Err(Refusal::Batch("a batch has 1 to 16 messages"));
        }
        // A scope that is missing is told with HTTP 403, and before any of the messages has an effect.
        for message in messages.iter().filter_map(|json| Message::parse(json).ok()) {
            if let Ok(Some(name)) = message.called_tool() {
                self.permitted_tool(admitted, &name)?;
            }
        }
        let mut answers = Vec::new();
        for json in messages {
            let response = self.message(admitted, json, line).await;
            if let Ok(answer) = serde_json::from_slice::<Value>(response.body()) {
                answers.push(answer);
            }
        }
        line.method = None;
        line.tool = None;
        if answers.is_empty() {
            let mut accepted = Response::new(Bytes::new());
            *accepted.status_mut() = StatusCode::ACCEPTED;
            return Ok(accepted);
        }
        Ok(http_api::json(&answers))
    }
}

/// What is left of an invocation, without what the answer needs for its way back.
fn left(deadline: SystemTime) -> Duration {
    deadline.duration_since(SystemTime::now()).unwrap_or_default().saturating_sub(DEADLINE_MARGIN)
}

fn refuse(refusal: Refusal, id: Option<&RawValue>, line: &mut RequestLine) -> Response<Bytes> {
    line.outcome = refusal.code();
    refusal.into_json_rpc_response(id)
}

fn check_media_type(request: &ApiRequest) -> Result<(), Refusal> {
    let essence = request.header(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default();
    let plain = request.header(CONTENT_ENCODING).is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
    if essence.trim().eq_ignore_ascii_case("application/json") && plain { Ok(()) } else { Err(Refusal::MediaType) }
}

/// The request as rmcp takes it: both media types in `Accept`, whatever the client listed, for Agentforce and others
/// list one or none. The token stays here.
fn rmcp_request(headers: &HeaderMap, json: &str, call: &Arc<Call>) -> http::Request<Full<Bytes>> {
    let mut request = http::Request::new(Full::new(Bytes::copy_from_slice(json.as_bytes())));
    *request.method_mut() = Method::POST;
    *request.headers_mut() = headers.clone();
    let headers = request.headers_mut();
    headers.remove(AUTHORIZATION);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.extensions_mut().insert(call.clone());
    request
}

/// rmcp's answer with its body in one piece. Its refusals in plain text become JSON-RPC errors.
async fn collect(response: Response<crate::servers::EndpointBody>) -> Result<Response<Bytes>, Refusal> {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes);
    let json = parts.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if parts.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        // The type is right, we have set it: rmcp says so of JSON that it cannot read as a message.
        return Err(Refusal::NotJsonRpc("the body is not a message of this protocol"));
    }
    if (parts.status.is_client_error() || parts.status.is_server_error()) && !json {
        return Err(Refusal::Transport { status: parts.status, text: String::from_utf8_lossy(&body).into_owned() });
    }
    parts.extensions.clear();
    Ok(Response::from_parts(parts, body))
}

/// Gives rmcp's own errors a stable code, as all others have; returns it.
fn name_error(response: &mut Response<Bytes>) -> Option<&'static str> {
    #[derive(Deserialize)]
    struct Answer {
        error: Option<IgnoredAny>,
    }
    /// rmcp's errors are shorter; answers of tools may be long.
    const LONGEST: usize = 4 * 1024;
    /// Most answers do not even have the text.
    const ERROR: &[u8] = b"\"error\"";
    let body = response.body();
    if body.len() > LONGEST || !body.windows(ERROR.len()).any(|text| text == ERROR) {
        return None;
    }
    serde_json::from_slice::<Answer>(body).ok()?.error?;
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    let error = answer.get_mut("error")?.as_object_mut()?;
    let code = match error.get("code").and_then(Value::as_i64) {
        Some(-32601) => {
            error.insert("message".to_owned(), json!(Refusal::UnknownMethod.to_string()));
            Refusal::UnknownMethod.code()
        }
        Some(-32022) => "unsupported_protocol_version",
        _ => "protocol_error",
    };
    if let Value::Object(data) = error.entry("data").or_insert_with(|| json!({})) {
        data.insert("code".to_owned(), json!(code));
    }
    *response.body_mut() = Bytes::from(answer.to_string());
    Some(code)
}

/// A tool that did not answer in time has an answer all the same: one the model can act on.
fn tool_deadline(message: &Message<'_>, revision: Option<&'static str>) -> Option<Response<Bytes>> {
    let id: Value = serde_json::from_str(message.id?.get()).ok()?;
    message.called_tool().ok()??;
    let trouble = Trouble::deadline();
    let mut result = json!({ "content": [{ "type": "text", "text": trouble.sentence }], "isError": true });
    if revision == Some(STATELESS_REVISION) {
        result["resultType"] = json!("complete");
    }
    Some(http_api::json(&json!({ "jsonrpc": "2.0", "id": id, "result": result })))
}
