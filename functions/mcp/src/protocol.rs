//! The one place that speaks rmcp: our catalogue behind its `ServerHandler`.
//!
//! Tool futures are boxed before rmcp sees them, for it moves them several times; a panic in a tool is caught here,
//! for in rmcp's task it would leave the request without an answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use catalogue::Tool;
use futures_util::FutureExt;
use http::request::Parts;
use registry::{LogLevel, Server};
use request_log::Milliseconds;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
    ContentBlock, CustomRequest, CustomResult, ErrorCode, ErrorData, ExtensionCapabilities, Implementation,
    InitializeRequestParams, InitializeResult, JsonObject, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, MetaObject, PaginatedRequestParams, ProtocolVersion, ServerCapabilities,
    ServerConfig, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Map, Value, json};
use upstream::CallOutcome;

use crate::catalogue::{Answer, Call, Reply, ServedTool, Told, Trouble};
use crate::masking;
use crate::servers::{self, Endpoint};
use crate::upstream::troubles;

/// How long a client may keep `tools/list`: as long as we keep a definition.
const LIST_TTL_MS: u64 = 30_000;

/// SEP-1046: clients without a person get their token by client credentials.
const CLIENT_CREDENTIALS: &str = "io.modelcontextprotocol/oauth-client-credentials";

/// What the description of a server begins with that nobody should rely on.
const TEST: &str = "A test server, not for production. ";

/// The endpoint of a server of ours.
pub fn endpoint(server: &Server, tools: &[ServedTool]) -> Endpoint {
    servers::endpoint(Handler::new(server, tools))
}

/// Serves one MCP server.
#[derive(Clone)]
pub struct Handler {
    inner: Arc<Inner>,
}

struct Inner {
    info: ServerConfig,
    tools: Vec<(ServedTool, rmcp::model::Tool)>,
}

impl Handler {
    /// A handler for a server and its tools.
    pub fn new(server: &Server, tools: &[ServedTool]) -> Handler {
        let mut implementation =
            Implementation::new("northstar", env!("CARGO_PKG_VERSION")).with_title(server.title.clone());
        let test = if server.production { "" } else { TEST };
        let description = format!("{test}{}", server.description);
        implementation.description = Some(description.trim().to_owned()).filter(|description| !description.is_empty());
        // Only what a function can keep to: no `listChanged`, for nothing can be pushed.
        let mut capabilities = ServerCapabilities::builder().enable_tools().build();
        capabilities.extensions =
            Some(ExtensionCapabilities::from([(CLIENT_CREDENTIALS.to_owned(), JsonObject::default())]));
        let mut info = ServerConfig::new(capabilities).with_server_info(implementation);
        info.instructions = server.instructions.clone();
        let tools = tools.iter().map(|served| (served.clone(), describe(&served.tool))).collect();
        Handler { inner: Arc::new(Inner { info, tools }) }
    }

    fn tool(&self, name: &str) -> Option<&ServedTool> {
        self.inner.tools.iter().map(|(served, _)| served).find(|served| served.tool.name == name)
    }

    /// MCP 2026-07-28: every result should say who answered; rmcp adds it to `server/discover` alone.
    fn sign(&self, meta: &mut MetaObject) {
        let info = serde_json::to_value(&self.inner.info.server_info).unwrap_or_default();
        meta.0.insert("io.modelcontextprotocol/serverInfo".to_owned(), info);
    }

    async fn run(&self, request: CallToolRequestParams, context: RequestContext<RoleServer>) -> ToolResult {
        let call = call_of(&context)?;
        let Some(served) = self.tool(&request.name) else {
            call.set_outcome("unknown_tool");
            return Err(ErrorData::invalid_params(
                "there is no tool of this name; see tools/list",
                code("unknown_tool"),
            ));
        };
        let arguments = request.arguments.unwrap_or_default();
        let masked = (call.conduct.log >= LogLevel::Arguments).then(|| Value::Object(masking::object(&arguments)));
        let outcome = run(served, arguments, call).await;
        if let Some(arguments) = masked {
            let answer = outcome.as_ref().ok().filter(|_| call.conduct.log == LogLevel::Results);
            call.tell(Told { arguments, results: answer.map(masked_reply) });
        }
        let mut result = match outcome {
            Ok(Reply::Ours(answer)) => structured(answer),
            Ok(Reply::Upstream(outcome)) if !outcome.is_error => passed_on(outcome, &context),
            Ok(Reply::Upstream(outcome)) => {
                call.set_outcome(troubles::FAILED);
                failed(troubles::FAILED, troubles::failed(&served.source_name()), passed_on(outcome, &context).content)
            }
            Err(trouble) => {
                call.set_outcome(trouble.code);
                failed(trouble.code, trouble.sentence, Vec::new())
            }
        };
        if !call.conduct.production {
            let meta = result.meta.get_or_insert_default();
            meta.0.insert("northstar/diagnostics".to_owned(), diagnostics(served, call));
        }
        if is_modern(&context) {
            self.sign(result.meta.get_or_insert_default());
        }
        Ok(result.into())
    }
}

type ToolResult = Result<CallToolResponse, ErrorData>;

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        self.inner.info.clone()
    }

    /// Before 2026-07-28 capabilities had no `extensions`, and there are clients that give up on a member that they do not
    /// know (modelcontextprotocol/java-sdk#724).
    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(request.clone());
        let mut result = self.negotiate_initialize(&request)?;
        result.capabilities.extensions = None;
        Ok(result)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let call = call_of(&context)?;
        if request.is_some_and(|page| page.cursor.is_some()) {
            call.set_outcome("invalid_params");
            return Err(ErrorData::invalid_params(
                "tools/list has one page: no cursor is valid",
                code("invalid_params"),
            ));
        }
        let permitted = self
            .inner
            .tools
            .iter()
            .filter(|(served, _)| call.principal.scopes.permit(served.tool.scope) && !served.is_withheld());
        let mut list = ListToolsResult::with_all_items(permitted.map(|(_, described)| described.clone()).collect());
        if is_modern(&context) {
            list.ttl_ms = Some(LIST_TTL_MS);
            // What is listed depends on the token's scopes.
            list.cache_scope = Some(CacheScope::Private);
            self.sign(list.meta.get_or_insert_default());
        }
        Ok(list)
    }

    fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = ToolResult> + Send {
        Box::pin(self.run(request, context))
    }

    // rmcp would answer these four with empty lists, as if the server had declared prompts, resources and completions.

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(method_not_found(&context)?)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(method_not_found(&context)?)
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(method_not_found(&context)?)
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(method_not_found(&context)?)
    }

    /// What rmcp could not read as a request it knows: either the method is unknown, or its parameters are wrong.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        const KNOWN: [&str; 5] = ["initialize", "ping", "server/discover", "tools/call", "tools/list"];
        let call = call_of(&context)?;
        if KNOWN.contains(&request.method.as_str()) {
            call.set_outcome("invalid_params");
            let message = "the parameters do not have the shape of this method";
            return Err(ErrorData::invalid_params(message, code("invalid_params")));
        }
        Err(method_not_found(&context)?)
    }
}

/// Runs a tool until it has an answer, panics, or the time of its server is up. Then its work is dropped, and with it
/// what it waits for.
async fn run(served: &ServedTool, arguments: Map<String, Value>, call: &Arc<Call>) -> Result<Reply, Trouble> {
    let running = AssertUnwindSafe(served.run(arguments, call.clone())).catch_unwind();
    match tokio::time::timeout_at(call.deadline.into(), running).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Trouble::panicked()),
        Err(_) => Err(Trouble::deadline(call.waiting_for().as_deref())),
    }
}

/// What a test server tells of a call: where the time went, what was read, and what was remembered.
fn diagnostics(served: &ServedTool, call: &Call) -> Value {
    let (verify, table) = call.timings.so_far();
    json!({
        "verify_ms": verify,
        "table_ms": table,
        "total_ms": Milliseconds::from(call.started.elapsed()),
        "timeout_s": call.conduct.timeout.duration().as_secs(),
        "source": served.source_name(),
        "definition_age_s": call.definition_age.as_secs(),
        "token_remembered": call.principal.remembered,
    })
}

fn method_not_found(context: &RequestContext<RoleServer>) -> Result<ErrorData, ErrorData> {
    call_of(context)?.set_outcome("method_not_found");
    let message = "this server does not have this method";
    Ok(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, message, code("method_not_found")))
}

fn call_of(context: &RequestContext<RoleServer>) -> Result<&Arc<Call>, ErrorData> {
    let parts = context.extensions.get::<Parts>();
    parts.and_then(|parts| parts.extensions.get()).ok_or_else(|| ErrorData::internal_error("no caller", None))
}

fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version() == Some(ProtocolVersion::V_2026_07_28)
}

fn code(code: &str) -> Option<Value> {
    Some(json!({ "code": code }))
}

/// The answer as structured content, and as text for clients that read only that.
fn structured(answer: Answer) -> CallToolResult {
    let value = Value::Object(answer);
    let mut result = CallToolResult::success(vec![ContentBlock::text(value.to_string())]);
    result.structured_content = Some(value);
    result
}

/// The answer of an upstream. A block that this protocol layer does not know stays behind.
fn passed_on(outcome: CallOutcome, context: &RequestContext<RoleServer>) -> CallToolResult {
    let links = knows_links(context);
    let blocks = outcome.content.into_iter().map(|block| if links { block } else { without_link(block) });
    let mut content: Vec<ContentBlock> = blocks.filter_map(|block| serde_json::from_value(block).ok()).collect();
    let structured = outcome.structured.map(Value::Object);
    if let (Some(structured), true) = (&structured, content.is_empty()) {
        content.push(ContentBlock::text(structured.to_string()));
    }
    let mut result = CallToolResult::success(content);
    result.structured_content = structured;
    result
}

/// Links to resources came with 2025-06-18; a client of an earlier revision need not know what they are.
fn knows_links(context: &RequestContext<RoleServer>) -> bool {
    let parts = context.extensions.get::<Parts>();
    let revision = parts.and_then(|parts| parts.headers.get("mcp-protocol-version")?.to_str().ok());
    matches!(revision.map(str::trim), Some("2025-06-18" | "2025-11-25" | "2026-07-28"))
}

/// A link as a text that names it; anything else as it is.
fn without_link(block: Value) -> Value {
    match (block["type"].as_str(), block["name"].as_str(), block["uri"].as_str()) {
        (Some("resource_link"), Some(name), Some(uri)) => json!({ "type": "text", "text": format!("{name}: {uri}") }),
        _ => block,
    }
}

/// A result that says why there is no answer; `words` are not ours.
fn failed(code: &str, sentence: String, words: Vec<ContentBlock>) -> CallToolResult {
    let content = std::iter::once(ContentBlock::text(sentence)).chain(words).collect();
    let mut result = CallToolResult::error(content);
    result.meta = Some(MetaObject(Map::from_iter([("northstar/code".to_owned(), json!(code))])));
    result
}

/// What the log is told of an answer.
fn masked_reply(reply: &Reply) -> Value {
    match reply {
        Reply::Ours(answer) => Value::Object(masking::object(answer)),
        Reply::Upstream(CallOutcome { structured: Some(answer), .. }) => Value::Object(masking::object(answer)),
        Reply::Upstream(outcome) => json!({ "content": masking::value(&json!(outcome.content)) }),
    }
}

fn describe(tool: &Tool) -> rmcp::model::Tool {
    let annotations = ToolAnnotations::with_title(tool.title.to_string())
        .read_only(tool.annotations.read_only)
        .destructive(tool.annotations.destructive)
        .idempotent(tool.annotations.idempotent)
        .open_world(tool.annotations.open_world);
    let described =
        rmcp::model::Tool::new(tool.name.to_string(), tool.description.to_string(), Arc::new(tool.input_schema()))
            .with_title(tool.title.to_string())
            .with_annotations(annotations);
    let output = tool.output_schema();
    if output.is_empty() { described } else { described.with_raw_output_schema(Arc::new(output)) }
}
