//! The layer in front of rmcp: everything about a request that is not MCP itself.
//!
//! Origin and host, method, bearer token, size and shape of the body, batches, scope of the tool, `Accept`, a deadline,
//! and a JSON-RPC body for every refusal.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_api::ApiRequest;
use http_body_util::{BodyExt, Full};
use quota::{LimitKind, Limited, Quotas};
use registry::{LogLevel, PublicUrl, ServerName, ToolUses};
use request_log::{RequestLine, Timings};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::bearer::{Bearer, Principal};
use crate::catalogue::{Arrival, Call};
use crate::envelope::{self, Message, Messages, REVISIONS, known_revision};
use crate::json_limits;
use crate::refusal::Refusal;
use crate::salesforce::orgs::Orgs;
use crate::servers::{ServedServer, Servers};
use crate::tables::Tables;

const MAX_BODY: usize = 256 * 1024;
const MAX_BATCH: usize = 16;
/// What is left for the answer's way back when a deadline passes.
const DEADLINE_MARGIN: Duration = Duration::from_secs(1);
/// What the protocol layer gets beyond a tool's time, to answer that it is up.
const DEADLINE_GRACE: Duration = Duration::from_millis(250);

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
    /// How often clients may call.
    pub quotas: &'a Quotas,
    /// Who called which tool last.
    pub tool_uses: &'a Arc<ToolUses>,
    /// The Salesforce orgs.
    pub orgs: &'a Arc<Orgs>,
    /// Where time goes.
    pub timings: &'a Arc<Timings>,
    /// When the request arrived.
    pub now: SystemTime,
    /// The same, to measure from.
    pub started: Instant,
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
        line.quiet = server.definition.log == LogLevel::Off;
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
            line.tool = admitted.server.tool(&name).map(|served| served.tool.name.to_string());
            self.permitted_tool(admitted, &name)?;
        }
        match self.within_limits(admitted, line.tool.as_deref()).await {
            Ok(()) => {}
            Err(limited) if limited.kind == LimitKind::Tool => {
                line.outcome = "tool_rate_limited";
                return Ok(tool_limited(message, line.revision, &limited));
            }
            Err(limited) => return Err(Refusal::RateLimited(limited)),
        }
        let left = self.left(admitted);
        let call = Arc::new(self.call(admitted, left));
        let mut request = rmcp_request(&admitted.headers, json, &call);
        if message.is_initialize() {
            // The body negotiates. A header here is left from an earlier session, and rmcp would refuse the difference.
            request.headers_mut().remove(PROTOCOL_VERSION);
        }
        // A tool ends by itself when its time is up; this is for what is no tool, and for the protocol layer.
        let answering = tokio::time::timeout(left + DEADLINE_GRACE, (admitted.server.endpoint)(request));
        let (answered, ()) = tokio::join!(answering, self.record_use(admitted, line.tool.as_deref()));
        let mut response = collect(answered.map_err(|_| Refusal::Deadline)?).await?;
        line.api_usage = call.api_usage().map(|usage| [usage.used, usage.allowed]);
        if let Some(told) = call.told() {
            (line.arguments, line.results) = (Some(told.arguments.clone()), told.results.clone());
        }
        if let Some(outcome) = call.outcome().or_else(|| name_error(&mut response)) {
            line.outcome = outcome;
        }
        Ok(response)
    }

    /// Refuses a tool that the caller's scopes do not permit. An unknown one is rmcp's to refuse.
    fn permitted_tool(&self, admitted: &Admitted, name: &str) -> Result<(), Refusal> {
        match admitted.server.tool(name) {
            Some(served) if !admitted.principal.scopes.permit(served.tool.scope) => {
                Err(self.bearer.insufficient_scope(&admitted.server.definition.name, served.tool.scope))
            }
            _ => Ok(()),
        }
    }

    /// Counts a message against the limits of the server: as a call of a tool that the server has, or as discovery.
    async fn within_limits(&self, admitted: &Admitted, tool: Option<&str>) -> Result<(), Limited> {
        let (server, client) = (&admitted.server.definition, &admitted.principal.client_id);
        if server.limits.is_empty() {
            return Ok(());
        }
        match tool {
            Some(tool) => self.timings.table(self.quotas.admit_call(server, client, tool, self.now)).await,
            None => self.timings.table(self.quotas.admit_discovery(server, client, self.now)).await,
        }
    }

    /// Remembers who called which tool with which contract, beside the call.
    async fn record_use(&self, admitted: &Admitted, tool: Option<&str>) {
        let (server, client) = (&admitted.server.definition.name, &admitted.principal.client_id);
        let Some(served) = tool.and_then(|name| admitted.server.tool(name)) else { return };
        self.tool_uses.record(server, &served.tool.name, served.contract(), client, self.now).await;
    }

    fn call(&self, admitted: &Admitted, left: Duration) -> Call {
        let Admitted { principal, server, .. } = admitted;
        let arrival = Arrival {
            now: self.now,
            started: self.started,
            deadline: Instant::now() + left,
            definition_age: self.servers.age(&server.definition.name, self.now).unwrap_or_default(),
        };
        let (tables, orgs, timings) = (self.tables.clone(), self.orgs.clone(), self.timings.clone());
        Call::new(principal.clone(), server.conduct.clone(), tables, orgs, timings, arrival)
    }

    /// What is left of the server's time, which began with the request, or of the invocation.
    fn left(&self, admitted: &Admitted) -> Duration {
        let timeout = admitted.server.definition.timeout.duration();
        timeout.saturating_sub(self.started.elapsed()).min(left(admitted.deadline))
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

/// The request as rmcp takes it: the headers that it reads, and both media types in `Accept`, whatever the client listed, for
/// Agentforce and others list one or none. All others stay here, the token first of all.
fn rmcp_request(headers: &HeaderMap, json: &str, call: &Arc<Call>) -> http::Request<Full<Bytes>> {
    let mut request = http::Request::new(Full::new(Bytes::copy_from_slice(json.as_bytes())));
    *request.method_mut() = Method::POST;
    let read = |name: &HeaderName| name == HOST || name.as_str().starts_with("mcp-");
    let of_mcp = headers.iter().filter(|(name, _)| read(name)).map(|(name, value)| (name.clone(), value.clone()));
    let headers = request.headers_mut();
    headers.extend(of_mcp);
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

/// A tool whose limit is used up says so in its answer: the model can do something else meanwhile.
fn tool_limited(message: &Message<'_>, revision: Option<&'static str>, limited: &Limited) -> Response<Bytes> {
    let id: Value = message.id.and_then(|id| serde_json::from_str(id.get()).ok()).unwrap_or_default();
    let mut sentence = limited.to_string();
    // It begins with a small letter, as an error's text does.
    sentence[..1].make_ascii_uppercase();
    let mut result = json!({
        "content": [{ "type": "text", "text": format!("{sentence}. Do not call this tool before.") }],
        "isError": true,
        "_meta": { "northstar/code": "tool_rate_limited" },
    });
    if revision == Some(STATELESS_REVISION) {
        result["resultType"] = json!("complete");
    }
    http_api::json(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}
