//! What goes wrong behind the MCP endpoint: tools that panic or hang, tables that are silent or gone.
//!
//! The function runs in this process with tools of the test's own, over the tables of a local server.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use access_token::Scope;
use aws_clients::{AwsClients, AwsSettings, Secrets};
use black_box::proxy::{Mode, Proxy};
use black_box::{event, shared};
use catalogue::{Annotations, Output, OutputType, Tool};
use http_api::Invocation;
use local::home::STATE_KEY;
use local::store::{CONFIG_TABLE, LOYALTY_TABLE, ORDERS_TABLE, STATE_TABLE};
use mcp::catalogue::{Answer, BuiltIn, ServedTool};
use mcp::{App, Catalogue, Config};
use registry::{Limits, LogLevel, PublicUrl, Registry, Server, ServerName, Timeout, ToolDefinition};
use serde_json::{Value, json};

const PANICKED: &str = "The tool failed unexpectedly. Nothing more is known; do not repeat the call.";
const TOO_LATE: &str = "The tool did not answer in time. Try again in a minute.";

/// What the stack gives every invocation.
const TIME: Duration = Duration::from_secs(29);

#[tokio::test]
async fn a_tool_that_panics_is_answered_and_the_next_call_is_fine() {
    let function = Function::start(own_tools(), 20, None).await;
    for tool in ["panics_at_once", "panics_while_it_runs", "panics_after_waiting"] {
        for modern in [false, true] {
            let answer = function.call(tool, modern, TIME).await;
            assert_is_trouble(tool, &answer, PANICKED);
            assert_eq!(answer["result"]["_meta"]["northstar/code"], "tool_panicked");
            function.assert_well(modern).await;
        }
    }
}

#[tokio::test]
async fn a_tool_that_hangs_is_answered_after_the_time_of_its_server_and_the_next_call_is_fine() {
    let function = Function::start(own_tools(), 1, None).await;
    for modern in [false, true] {
        let start = Instant::now();
        let answer = function.call("hangs", modern, TIME).await;
        assert_is_trouble("hangs", &answer, TOO_LATE);
        let time = start.elapsed();
        assert!((1..10).contains(&time.as_secs()), "{time:?}");
        function.assert_well(modern).await;
    }
}

#[tokio::test]
async fn a_tool_that_hangs_is_answered_before_the_invocation_ends() {
    let function = Function::start(own_tools(), 20, None).await;
    let start = Instant::now();
    let answer = function.call("hangs", false, Duration::from_secs(3)).await;
    assert_is_trouble("hangs", &answer, TOO_LATE);
    let time = start.elapsed();
    assert!(time < Duration::from_secs(3), "{time:?}");
    function.assert_well(false).await;
}

#[tokio::test]
async fn an_invocation_with_no_time_left_is_answered_all_the_same() {
    let function = Function::start(own_tools(), 20, None).await;
    // Cold, not even the server is known: that is told as 503.
    let (status, answer) = function.answer(&function.event("tools_list"), Duration::ZERO).await;
    assert_eq!((status, &answer["error"]["data"]["code"]), (503, &json!("temporarily_unavailable")));
    function.assert_well(true).await;
    for time in [Duration::ZERO, Duration::from_millis(900)] {
        let answer = function.call("hangs", false, time).await;
        assert_is_trouble("hangs", &answer, TOO_LATE);
    }
    function.assert_well(true).await;
}

#[tokio::test]
async fn one_message_of_a_batch_that_panics_or_hangs_leaves_the_others_their_answers() {
    let function = Function::start(own_tools(), 1, None).await;
    let calls = ["answers", "panics_while_it_runs", "hangs", "answers"].iter().enumerate();
    let batch = calls.map(|(id, tool)| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": {} } })
    });
    let mut event = function.event("tools_list");
    event["headers"].as_object_mut().unwrap().remove("mcp-protocol-version");
    event["body"] = Value::String(Value::Array(batch.collect()).to_string());
    let (status, answers) = function.answer(&event, TIME).await;
    assert_eq!(status, 200);
    let ids: Vec<&Value> = answers.as_array().unwrap().iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [0, 1, 2, 3]);
    assert_eq!(answers[0]["result"]["structuredContent"], json!({ "answer": "yes" }));
    assert_is_trouble("panics", &answers[1], PANICKED);
    assert_is_trouble("hangs", &answers[2], TOO_LATE);
    assert_eq!(answers[3]["result"]["structuredContent"], json!({ "answer": "yes" }));
}

#[tokio::test]
async fn a_batch_of_calls_that_hang_is_answered_before_the_invocation_ends() {
    let function = Function::start(own_tools(), 20, None).await;
    let calls = (0..16).map(
        |id| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "hangs", "arguments": {} } }),
    );
    let mut event = function.event("tools_list");
    event["headers"].as_object_mut().unwrap().remove("mcp-protocol-version");
    event["body"] = Value::String(Value::Array(calls.collect()).to_string());
    let start = Instant::now();
    let (_, answers) = function.answer(&event, Duration::from_secs(3)).await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 16);
    answers.iter().for_each(|answer| assert_is_trouble("hangs", answer, TOO_LATE));
}

#[tokio::test]
async fn calls_beside_one_that_hangs_are_answered_at_once() {
    let function = Function::start(own_tools(), 20, None).await;
    let hanging = function.call("hangs", false, Duration::from_secs(5));
    let others = async {
        for _ in 0..20 {
            function.assert_well(false).await;
        }
        Instant::now()
    };
    let start = Instant::now();
    let (answer, others) = tokio::join!(hanging, others);
    assert_is_trouble("hangs", &answer, TOO_LATE);
    let (others, all) = (others - start, start.elapsed());
    assert!(others < all, "the others took {others:?} of {all:?}");
}

#[tokio::test]
async fn every_shipped_tool_says_so_when_its_table_is_silent_and_answers_when_it_is_back() {
    let proxy = Arc::new(Proxy::start(&shared().dynamodb_url(), Mode::Pass));
    let function = Function::start(Catalogue::shipped(), 20, Some(proxy.clone())).await;
    function.assert_lists_tools(3).await;

    proxy.set(Mode::Silent);
    let start = Instant::now();
    let (order, points, orders) = tokio::join!(
        function.call_with("get_order_status", json!({ "order_id": "1001" }), false, TIME),
        function.call_with("check_loyalty_points", json!({ "customer_id": "C-0001" }), false, TIME),
        function.call_with("list_customer_orders", json!({ "customer_id": "C-0001" }), false, TIME),
    );
    assert!(start.elapsed() < TIME, "{:?}", start.elapsed());
    assert_is_trouble("order", &order, "The orders data cannot be read at the moment. Try again in a minute.");
    assert_is_trouble("points", &points, "The loyalty data cannot be read at the moment. Try again in a minute.");
    assert_is_trouble("orders", &orders, "The orders data cannot be read at the moment. Try again in a minute.");

    proxy.set(Mode::Pass);
    for (tool, arguments) in [
        ("get_order_status", json!({ "order_id": "1001" })),
        ("check_loyalty_points", json!({ "customer_id": "C-0001" })),
        ("list_customer_orders", json!({ "customer_id": "C-0001" })),
    ] {
        let answer = function.call_with(tool, arguments, true, TIME).await;
        assert_eq!(answer["result"]["isError"], false, "{tool}: {answer}");
    }
}

#[tokio::test]
async fn when_the_time_of_the_server_is_up_the_answer_says_what_was_slow() {
    let proxy = Arc::new(Proxy::start(&shared().dynamodb_url(), Mode::Pass));
    let function = Function::start(Catalogue::shipped(), 1, Some(proxy.clone())).await;
    function.assert_lists_tools(3).await;

    proxy.set(Mode::Silent);
    let start = Instant::now();
    let order = function.call_with("get_order_status", json!({ "order_id": "1001" }), false, TIME).await;
    assert!((Duration::from_millis(900)..Duration::from_secs(2)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_is_trouble("order", &order, "The table orders did not answer in time. Try again in a minute.");
    let orders = function.call_with("list_customer_orders", json!({ "customer_id": "C-0001" }), true, TIME).await;
    assert_is_trouble("orders", &orders, "The table orders did not answer in time. Try again in a minute.");

    proxy.set(Mode::Pass);
    let order = function.call_with("get_order_status", json!({ "order_id": "1001" }), false, TIME).await;
    assert_eq!(order["result"]["structuredContent"]["status"], "SHIPPED");
}

#[tokio::test]
async fn a_warm_function_lists_its_tools_while_dynamodb_is_gone_and_its_tools_say_what_is_wrong() {
    let proxy = Arc::new(Proxy::start(&shared().dynamodb_url(), Mode::Pass));
    let function = Function::start(Catalogue::shipped(), 20, Some(proxy.clone())).await;
    function.assert_lists_tools(3).await;

    proxy.set(Mode::Gone);
    function.assert_lists_tools(3).await;
    let order = json!({ "order_id": "1001" });
    let answer = function.call_with("get_order_status", order.clone(), false, TIME).await;
    assert_is_trouble("gone", &answer, "The orders data cannot be read at the moment. Try again in a minute.");

    proxy.set(Mode::Pass);
    let answer = function.call_with("get_order_status", order, false, TIME).await;
    assert_eq!(answer["result"]["structuredContent"]["status"], "SHIPPED");
}

#[tokio::test]
async fn a_cold_function_says_503_while_dynamodb_is_silent_or_gone_and_answers_when_it_is_back() {
    for mode in [Mode::Silent, Mode::Gone] {
        let proxy = Arc::new(Proxy::start(&shared().dynamodb_url(), mode));
        let start = Instant::now();
        let function = Function::start(Catalogue::shipped(), 20, Some(proxy.clone())).await;
        println!("{mode:?}: INIT took {:.1} s", start.elapsed().as_secs_f64());

        let start = Instant::now();
        let answer = function.raw_answer(&function.event("tools_list"), TIME).await;
        println!("{mode:?}: the first answer took {:.1} s", start.elapsed().as_secs_f64());
        assert!(start.elapsed() < TIME - Duration::from_secs(1), "{mode:?}: {:?}", start.elapsed());
        assert_eq!((&answer["statusCode"], &answer["headers"]["retry-after"]), (&json!(503), &json!("5")), "{mode:?}");

        proxy.set(Mode::Pass);
        function.assert_lists_tools(3).await;
    }
}

/// The MCP function, and a client of a server of its own.
struct Function {
    app: App,
    name: ServerName,
    access_token: String,
}

impl Function {
    /// Registers a server with every tool of a catalogue, and starts the function.
    async fn start(catalogue: Catalogue, timeout: u64, behind: Option<Arc<Proxy>>) -> Function {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        request_log::write_to(std::io::sink());
        let server = shared();
        let name = format!("faults-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let definition = Server {
            name: ServerName::parse(&name).unwrap(),
            title: "Faults".to_owned(),
            description: "Tools that fail.".to_owned(),
            instructions: None,
            production: true,
            tools: named(&catalogue),
            timeout: Timeout::from_seconds(timeout).unwrap(),
            org: None,
            guard: registry::Guard::default(),
            upstreams: Vec::new(),
            limits: Limits::default(),
            log: LogLevel::Calls,
        };
        let direct = AwsClients::new(&AwsSettings::local(server.dynamodb_url()));
        let new =
            Registry::new(direct.dynamodb, CONFIG_TABLE).create_server(&definition, SystemTime::now()).await.unwrap();
        assert!(new, "{name} is there already");

        let (client_id, client_secret) = server.new_client(&["--server", &name]);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client_id.as_str()),
            ("client_secret", client_secret.as_str()),
        ];
        let response = server.request("POST", "/token").form(&form).send().await.unwrap();
        let token: Value = response.json().await.unwrap();

        let dynamodb_url = behind.map_or_else(|| server.dynamodb_url(), |proxy| proxy.url.clone());
        let config = Config {
            public_url: PublicUrl::parse(&server.url).unwrap(),
            orders_table: ORDERS_TABLE.to_owned(),
            loyalty_table: LOYALTY_TABLE.to_owned(),
            config_table: CONFIG_TABLE.to_owned(),
            state_table: STATE_TABLE.to_owned(),
            state_key: STATE_KEY.to_owned(),
            sealing_keys: oauth_client::SealingKeys::Local(Secrets::File(server.home().join("secrets.json"))),
            outbound: outbound::Fetcher::with_loopback(None),
            upstream_outbound: outbound::Fetcher::new(),
            secrets: Secrets::File(server.home().join("secrets.json")),
            aws: AwsClients::new(&AwsSettings::local(dynamodb_url)),
        };
        Function {
            app: App::with_catalogue(config, catalogue).await,
            name: definition.name,
            access_token: token["access_token"].as_str().unwrap().to_owned(),
        }
    }

    /// A file of `events/mcp`, addressed to this server.
    fn event(&self, file: &str) -> Value {
        let mut event = event(&format!("mcp/{file}"), shared(), &self.access_token);
        event["rawPath"] = json!(self.name.path());
        event["requestContext"]["http"]["path"] = json!(self.name.path());
        event
    }

    /// A call without arguments; the JSON-RPC answer.
    async fn call(&self, tool: &str, modern: bool, time: Duration) -> Value {
        self.call_with(tool, json!({}), modern, time).await
    }

    async fn call_with(&self, tool: &str, arguments: Value, modern: bool, time: Duration) -> Value {
        let mut event = self.event(if modern { "tools_call_modern" } else { "tools_call_get_order_status" });
        let mut message: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
        message["params"]["name"] = json!(tool);
        message["params"]["arguments"] = arguments;
        event["body"] = json!(message.to_string());
        if modern {
            event["headers"]["mcp-name"] = json!(tool);
        }
        let (status, answer) = self.answer(&event, time).await;
        assert_eq!((status, &answer["id"]), (200, &json!(1)), "{answer}");
        answer
    }

    /// Status and body of the answer to an event.
    async fn answer(&self, event: &Value, time: Duration) -> (u64, Value) {
        let answer = self.raw_answer(event, time).await;
        let body = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        (answer["statusCode"].as_u64().unwrap(), body)
    }

    async fn raw_answer(&self, event: &Value, time: Duration) -> Value {
        let invocation = Invocation { request_id: "test".to_owned(), deadline: SystemTime::now() + time };
        // Boxed, as `serve` does it: the stack of a test is small.
        let handle = async |request| Box::pin(self.app.handle(request)).await;
        let answer = http_api::answer_event(&event.to_string(), invocation, handle).await;
        serde_json::to_value(answer).unwrap()
    }

    async fn assert_well(&self, modern: bool) {
        let answer = self.call("answers", modern, TIME).await;
        assert_eq!(answer["result"]["structuredContent"], json!({ "answer": "yes" }), "{answer}");
        assert_eq!(answer["result"]["isError"], false, "{answer}");
    }

    async fn assert_lists_tools(&self, count: usize) {
        let (status, answer) = self.answer(&self.event("tools_list"), TIME).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["result"]["tools"].as_array().unwrap().len(), count);
    }
}

#[track_caller]
fn assert_is_trouble(what: &str, answer: &Value, sentence: &str) {
    let result = &answer["result"];
    assert_eq!(result["isError"], true, "{what}: {answer}");
    assert_eq!(result["content"][0], json!({ "type": "text", "text": sentence }), "{what}");
    assert_eq!(result.get("structuredContent"), None, "{what}");
}

fn own_tools() -> Catalogue {
    Catalogue::new(vec![
        tool("answers", |_, _| Box::pin(async { Ok(yes()) })),
        tool("panics_at_once", |_, _| panic!("the tool's own words")),
        tool("panics_while_it_runs", |_, _| Box::pin(async { panic!("the tool's own words") })),
        tool("panics_after_waiting", |_, _| {
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                panic!("the tool's own words")
            })
        }),
        tool("hangs", |_, _| Box::pin(std::future::pending())),
    ])
}

fn yes() -> Answer {
    Answer::from_iter([("answer".to_owned(), json!("yes"))])
}

/// Every tool of a catalogue, by name.
fn named(catalogue: &Catalogue) -> Vec<ToolDefinition> {
    catalogue.tools().iter().map(|served| ToolDefinition::Shipped(served.tool.name.to_string())).collect()
}

fn tool(name: &'static str, run: BuiltIn) -> ServedTool {
    let tool = Tool {
        name: Cow::Borrowed(name),
        title: Cow::Borrowed(name),
        description: Cow::Borrowed("A tool of a test."),
        inputs: Vec::new(),
        outputs: vec![Output::new("answer", OutputType::Text, "The answer")],
        annotations: Annotations::READ,
        scope: Scope::Read,
        foreign: None,
    };
    ServedTool::built_in(tool, run)
}
