//! The MCP server that the conformance suite expects to meet: tools, prompts and resources with prescribed answers.
//!
//! It stands where `mcp::protocol` stands in the product. Everything in front of it is the product's: gateway, event,
//! token, limits, rmcp's transport.

mod asking;
mod prompts;
mod resources;
mod state;
mod tasks;
mod tools;

use mcp::catalogue::{Call, ServedTool};
use mcp::servers::{self, Endpoint};
use registry::Server;
use rmcp::model::{
    ArgumentInfo, CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult,
    CompletionInfo, DiscoverResult, ErrorData, GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult,
    Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
    ServerConfig, SetLevelRequestMethod, SetLevelRequestParams, SubscribeRequestParams, Tool, UnsubscribeRequestParams,
    UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};

type Context = RequestContext<RoleServer>;

/// The endpoint of the server, whatever its definition says.
pub fn endpoint(_: &Server, _: &[ServedTool]) -> Endpoint {
    servers::endpoint(Fixture)
}

#[derive(Clone)]
struct Fixture;

impl ServerHandler for Fixture {
    /// For `initialize`: with what ended with revision 2026-07-28.
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_completions()
            .enable_logging()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("conformance-fixture", "1.0.0"))
    }

    /// Without subscriptions: a function keeps no stream open (`subscriptions/listen` is 404).
    async fn discover(&self, _: Context) -> Result<DiscoverResult, ErrorData> {
        let mut info = self.get_info();
        info.capabilities.resources = ServerCapabilities::builder().enable_resources().build().resources;
        Ok(DiscoverResult::from_server_info(self.supported_protocol_versions().into_owned(), info))
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: Context) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::list()))
    }

    /// rmcp compares `Mcp-Param-*` headers with the schema it finds here.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::list().into_iter().find(|tool| tool.name == name)
    }

    fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> impl Future<Output = Result<CallToolResponse, ErrorData>> + Send {
        tools::call(request, context)
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompts::list()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompts::get(request, &context)
    }

    async fn complete(&self, request: CompleteRequestParams, _: Context) -> Result<CompleteResult, ErrorData> {
        let ArgumentInfo { value, .. } = request.argument;
        let suggestions = ["testing", "testament", "trial"].into_iter().filter(|word| word.starts_with(&value));
        Ok(CompleteResult::new(CompletionInfo::with_all_values(suggestions.map(str::to_owned).collect()).unwrap()))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::list()))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&request.uri)
    }

    // rmcp takes these two from legacy clients alone. What is accepted here is forgotten: nothing can be pushed.

    async fn subscribe(&self, _: SubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn set_level(&self, _: SetLevelRequestParams, context: Context) -> Result<(), ErrorData> {
        if is_modern(&context) {
            return Err(ErrorData::method_not_found::<SetLevelRequestMethod>());
        }
        Ok(())
    }

    async fn get_task(&self, request: GetTaskParams, _: Context) -> Result<GetTaskResult, ErrorData> {
        tasks::get(&request)
    }

    async fn update_task(&self, request: UpdateTaskParams, _: Context) -> Result<(), ErrorData> {
        tasks::update(request)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _: Context) -> Result<(), ErrorData> {
        tasks::cancel(&request)
    }
}

fn is_modern(context: &Context) -> bool {
    context.protocol_version() == Some(ProtocolVersion::V_2026_07_28)
}

/// Who calls, as the front layer found out by the token.
fn client_id(context: &Context) -> String {
    let parts = context.extensions.get::<http::request::Parts>().expect("rmcp hands the request's parts on");
    let call = parts.extensions.get::<std::sync::Arc<Call>>().expect("the front layer says who calls");
    call.principal.client_id.clone()
}
