//! Tools that panic with what they were given, and one that hangs, in a process of their own.

use std::borrow::Cow;
use std::process::Command;
use std::sync::Arc;

use access_token::Scope;
use aws_clients::{AwsClients, AwsSettings};
use aws_sdk_dynamodb::types::AttributeValue;
use black_box::Server;
use black_box::lambda::Lambda;
use catalogue::{Annotations, Input, Tool};
use local::store::CONFIG_TABLE;
use mcp::arguments::Arguments;
use mcp::catalogue::{Answer, BuiltIn, Call, Catalogue, ServedTool};
use mcp::{App, Config};
use registry::{Limits, LogLevel, Registry, ServerName, Timeout, ToolDefinition};
use serde_json::{Value, json};

use crate::functions::{Program, talkative};
use crate::requests::ORDER;
use crate::run::Run;

const NAME: &str = "panics";

/// The program: nothing as a test.
#[tokio::test]
async fn a_function_whose_tools_panic() {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        return;
    }
    let app = App::with_catalogue(Config::from_env().unwrap(), tools()).await;
    // Boxed: the stack of a test is small.
    http_api::run("mcp", async |request| Box::pin(app.handle(request)).await).await;
}

/// Runs it.
pub async fn tools_panic(run: &Run, server: &Server) {
    let definition = registry::Server {
        name: ServerName::parse(NAME).unwrap(),
        title: "Panics".to_owned(),
        description: "Tools that fail.".to_owned(),
        instructions: None,
        production: true,
        tools: ["panics", "unwraps", "hangs"].map(|name| ToolDefinition::Shipped(name.to_owned())).into(),
        timeout: Timeout::from_seconds(1).unwrap(),
        org: None,
        guard: registry::Guard::default(),
        upstreams: Vec::new(),
        limits: Limits::default(),
        log: LogLevel::Calls,
    };
    let registry = Registry::new(AwsClients::new(&AwsSettings::local(server.dynamodb_url())).dynamodb, CONFIG_TABLE);
    assert!(registry.create_server(&definition, std::time::SystemTime::now()).await.unwrap());
    let (client_id, client_secret) = server.new_client(&["--server", NAME]);
    let form = [("grant_type", "client_credentials"), ("client_id", &client_id), ("client_secret", &client_secret)];
    let token: Value = server.request("POST", "/token").form(&form).send().await.unwrap().json().await.unwrap();
    let token = run.plant("access token", token["access_token"].as_str().unwrap());

    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["panics::a_function_whose_tools_panic", "--exact", "--nocapture"]);
    let lambda = Lambda::start_program(program, talkative(run, "mcp", server).into_iter().collect()).await;
    let program = Program::new(run, "tools that panic", lambda);
    for tool in ["panics", "unwraps", "hangs"] {
        for order in [ORDER.to_owned(), run.marker("tool argument")] {
            let mut event = black_box::event("mcp/tools_call_get_order_status", server, &token);
            event["rawPath"] = json!(format!("/mcp/{NAME}"));
            let params = json!({ "name": tool, "arguments": { "order_id": order } });
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
            event["body"] = json!(body.to_string());
            let (status, body) = program.invoke(tool, &event).await;
            assert!(status == 200 && body.contains("\"isError\":true"), "{tool}: {status} {body}");
            run.capture(format!("what {tool} answers"), body);
        }
    }
    for code in ["internal_error", "tool_panicked", "deadline_exceeded"] {
        assert!(program.log().contains(code), "{code} is not in the log: {}", program.log());
    }
    program.end();
}

fn tools() -> Catalogue {
    async fn order(arguments: &Arguments, call: &Call) -> String {
        let key = AttributeValue::S(arguments.text("order_id").to_owned());
        let table = call.tables.table("orders");
        let order = call.tables.dynamodb.get_item().table_name(table).key("order_id", key).send().await;
        format!("{order:?} for {}", arguments.text("order_id"))
    }
    let tool = |name: &'static str, run: BuiltIn| {
        let tool = Tool {
            name: Cow::Borrowed(name),
            title: Cow::Borrowed(name),
            description: Cow::Borrowed("A tool of a test."),
            inputs: vec![Input::text("order_id", "Order", "An order.").required()],
            outputs: Vec::new(),
            annotations: Annotations::READ,
            scope: Scope::Read,
            foreign: None,
        };
        ServedTool::built_in(tool, run)
    };
    Catalogue::new(vec![
        tool("panics", |arguments, call: Arc<Call>| {
            Box::pin(async move { panic!("no answer: {}", order(&arguments, &call).await) })
        }),
        tool("unwraps", |arguments, call| {
            Box::pin(async move {
                let text = json!(order(&arguments, &call).await).to_string();
                // The parser's error quotes what it cannot take.
                let answer: Answer = serde_json::from_str(&text).unwrap();
                Ok(answer)
            })
        }),
        tool("hangs", |arguments, call| {
            Box::pin(async move {
                let _order = order(&arguments, &call).await;
                std::future::pending().await
            })
        }),
    ])
}
