//! The functions as Lambda runs them: the programs that ship, fed by a Runtime API of our own.

mod lambda;

use std::time::{Duration, Instant};

use black_box::proxy::{Mode, Proxy};
use black_box::{Server, event, event_files, shared};
use serde_json::{Value, json};

use lambda::{Lambda, environment};

/// Asserts something of an answer: its headers, its body.
type Check = fn(&Server, &Value, Value);

/// Every file of `events/token`, the status of its answer, and the important part of it.
const TOKEN_EVENTS: [(&str, u16, Check); 8] = [
    ("authorize", 400, |_, _, body| assert_eq!(body["error"], "unsupported_response_type")),
    ("get", 405, |_, headers, _| assert_eq!(headers["allow"], "POST")),
    ("jwks", 200, |_, _, body| {
        let keys = body["keys"].as_array().unwrap();
        assert_eq!((keys.len(), &keys[0]["kty"], &keys[0]["alg"]), (1, &json!("RSA"), &json!("RS256")));
        assert_eq!(keys[0].get("d"), None);
    }),
    ("metadata", 200, |server, _, body| {
        assert_eq!(body["issuer"], server.url);
        assert_eq!(body["token_endpoint"], format!("{}/token", server.url));
        assert_eq!(body["grant_types_supported"], json!(["client_credentials"]));
    }),
    ("post_with_basic", 200, is_a_token),
    ("post_with_secret_in_body", 200, is_a_token),
    ("without_grant_type", 400, |_, _, body| assert_eq!(body["error"], "invalid_request")),
    ("wrong_secret", 401, |_, headers, body| {
        assert_eq!(
            (&headers["www-authenticate"], &body["error"]),
            (&json!("Basic realm=\"northstar\""), &json!("invalid_client"))
        );
        assert_eq!(headers["cache-control"], "no-store");
    }),
];

/// Every file of `events/mcp` that is not broken.
const MCP_EVENTS: [(&str, u16, Check); 10] = [
    ("get", 405, |_, headers, body| {
        assert_eq!((&headers["allow"], &body["error"]["data"]["code"]), (&json!("POST"), &json!("method_not_allowed")));
    }),
    ("healthz", 200, |_, _, body| assert_eq!(body, json!({ "status": "ok" }))),
    ("initialize", 200, |_, headers, body| {
        assert_eq!(body["result"]["protocolVersion"], "2025-11-25");
        assert_eq!((&body["result"]["serverInfo"]["name"], headers.get("mcp-session-id")), (&json!("northstar"), None));
    }),
    ("protected_resource_metadata", 200, |server, _, body| {
        assert_eq!(body["resource"], format!("{}/mcp", server.url));
        assert_eq!(body["authorization_servers"], json!([server.url]));
    }),
    ("readyz", 200, |_, _, body| assert_eq!(body["status"], "ok")),
    ("tools_call_get_order_status", 200, |_, headers, body| {
        assert_eq!(headers["content-type"], "application/json");
        is_order_1001(&body);
    }),
    ("tools_call_modern", 200, |_, _, body| {
        is_order_1001(&body);
        assert_eq!(body["result"]["resultType"], "complete");
    }),
    ("tools_call_unknown_order", 200, |_, _, body| {
        assert_eq!(body["result"]["isError"], true);
        let sentence = "There is no order no-such-order. Ask the customer to check the order number.";
        assert_eq!(body["result"]["content"][0]["text"], sentence);
    }),
    ("tools_list", 200, |_, _, body| is_the_tools(&body)),
    ("without_token", 401, |server, headers, body| {
        let challenge = headers["www-authenticate"].as_str().unwrap();
        let metadata = format!("resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp\"", server.url);
        assert!(challenge.starts_with("Bearer ") && challenge.contains(&metadata), "{challenge}");
        assert!(!challenge.contains("error="), "RFC 6750 §3.1: none without a token: {challenge}");
        assert_eq!(body["error"]["data"]["code"], "token_required");
    }),
];

/// Every broken file of `events/mcp`, and what its refusal says.
const BROKEN_EVENTS: [(&str, &str); 10] = [
    ("broken_body_flagged_base64", "the event's body is flagged base64 and is not"),
    ("broken_empty", "the event's payload format is not 2.0"),
    ("broken_format_1", "the event's payload format is not 2.0"),
    ("broken_header_name", "the event's headers is not valid"),
    ("broken_headers_of_format_1", "the event is not an API Gateway HTTP API event of payload format 2.0"),
    ("broken_without_http", "the event has no requestContext.http"),
    ("broken_without_method", "the event has no requestContext.http.method"),
    ("broken_without_raw_path", "the event has no rawPath"),
    ("broken_without_request_context", "the event has no requestContext"),
    ("broken_without_version", "the event's payload format is not 2.0"),
];

#[tokio::test]
async fn the_token_function_answers_every_event_of_its_folder() {
    let server = shared();
    assert_eq!(event_files("token"), TOKEN_EVENTS.map(|(file, _, _)| file));
    let lambda = Lambda::start("token", server).await;
    for (file, status, check) in TOKEN_EVENTS {
        let answer = lambda.invoke(&event(&format!("token/{file}"), server, "")).await;
        assert_answer(file, &answer, status);
        check(server, &answer["headers"], body(&answer));
    }
    assert_logged(&lambda, TOKEN_EVENTS.len());
    assert!(!lambda.log().contains(&server.client_secret), "the secret is in the log");
}

#[tokio::test]
async fn the_mcp_function_answers_every_event_of_its_folder() {
    let server = shared();
    let mut files: Vec<&str> = MCP_EVENTS.iter().map(|(file, _, _)| *file).collect();
    files.extend(BROKEN_EVENTS.map(|(file, _)| file));
    files.sort_unstable();
    assert_eq!(event_files("mcp"), files);
    let token = server.token().await;
    let lambda = Lambda::start("mcp", server).await;
    for (file, status, check) in MCP_EVENTS {
        let answer = lambda.invoke(&event(&format!("mcp/{file}"), server, &token)).await;
        assert_answer(file, &answer, status);
        check(server, &answer["headers"], body(&answer));
    }
    assert_logged(&lambda, MCP_EVENTS.len());
    assert!(!lambda.log().contains(&token), "the token is in the log");
}

#[tokio::test]
async fn a_broken_event_is_answered_400_and_the_next_event_is_fine() {
    let server = shared();
    let token = server.token().await;
    for function in ["mcp", "token"] {
        let lambda = Lambda::start(function, server).await;
        for (file, says) in BROKEN_EVENTS {
            let answer = lambda.invoke(&event(&format!("mcp/{file}"), server, &token)).await;
            assert_is_invalid_event(file, &answer, says);
            assert_well(function, &lambda, server, &token).await;
        }
        for text in ["null", "[]", "\"text\"", "17", "true", r#"{"Records":[{"eventSource":"aws:sqs"}]}"#] {
            let answer = lambda.invoke_within(text, Duration::from_secs(29)).await;
            assert_is_invalid_event(text, &answer, "the event");
        }
        assert_well(function, &lambda, server, &token).await;
        lambda.log_lines();
        assert_eq!(lambda.reported(), [""; 0]);
    }
}

#[tokio::test]
async fn a_missing_variable_stops_the_start_with_a_line_that_names_it() {
    let common =
        ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NORTHSTAR_PUBLIC_URL", "NORTHSTAR_CONFIG_TABLE"];
    let token = ["NORTHSTAR_SIGNING_KEYS"].as_slice();
    let mcp = ["NORTHSTAR_ORDERS_TABLE", "NORTHSTAR_LOYALTY_TABLE", "NORTHSTAR_STATE_KEY"].as_slice();
    for (function, own) in [("token", token), ("mcp", mcp)] {
        for missing in common.iter().chain(own) {
            let mut without = environment(function, shared());
            without.retain(|(name, _)| name != missing);
            assert_does_not_start(function, without.clone(), missing).await;
            without.push((missing, String::new()));
            assert_does_not_start(function, without, missing).await;
        }
    }
}

#[tokio::test]
async fn a_wrong_public_url_stops_the_start() {
    for function in ["token", "mcp"] {
        for wrong in ["https://mcp.example.com/", "http://mcp.example.com", "mcp.example.com"] {
            let mut environment = environment(function, shared());
            environment.retain(|(name, _)| *name != "NORTHSTAR_PUBLIC_URL");
            environment.push(("NORTHSTAR_PUBLIC_URL", wrong.to_owned()));
            assert_does_not_start(function, environment, "NORTHSTAR_PUBLIC_URL").await;
        }
    }
}

#[tokio::test]
async fn a_tool_on_a_silent_table_is_answered_within_the_deadline_and_the_next_call_is_fine() {
    let server = shared();
    let proxy = Proxy::start(&server.dynamodb_url(), Mode::Pass);
    let token = server.token().await;
    let lambda = Lambda::start_behind("mcp", server, &proxy.url).await;
    assert_well("mcp", &lambda, server, &token).await;

    proxy.set(Mode::Silent);
    let time = Duration::from_millis(1_500);
    let call = event("mcp/tools_call_get_order_status", server, &token);
    let start = Instant::now();
    let answer = lambda.invoke_within(&call.to_string(), time).await;
    assert!(start.elapsed() < time, "{:?}", start.elapsed());
    assert_answer("silent", &answer, 200);
    let result = &body(&answer)["result"];
    assert_eq!(result["isError"], true);
    assert_eq!(result["content"][0]["text"], "The tool did not answer in time. Try again in a minute.");

    proxy.set(Mode::Pass);
    assert_well("mcp", &lambda, server, &token).await;
    let outcomes: Vec<Value> = lambda.log_lines().iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["ok", "deadline_exceeded", "ok"]);
}

#[tokio::test]
async fn a_cold_token_function_without_dynamodb_says_503_and_recovers() {
    let server = shared();
    let proxy = Proxy::start(&server.dynamodb_url(), Mode::Gone);
    let lambda = Lambda::start_behind("token", server, &proxy.url).await;
    for file in ["post_with_secret_in_body", "post_with_basic", "jwks"] {
        let answer = lambda.invoke(&event(&format!("token/{file}"), server, "")).await;
        assert_answer(file, &answer, 503);
        assert_eq!(
            (&answer["headers"]["retry-after"], &body(&answer)["error"]),
            (&json!("5"), &json!("temporarily_unavailable"))
        );
    }
    let answer = lambda.invoke(&event("token/metadata", server, "")).await;
    assert_answer("the metadata needs no table", &answer, 200);

    proxy.set(Mode::Pass);
    assert_well("token", &lambda, server, "").await;
    lambda.log_lines();
    assert_eq!(lambda.reported(), [""; 0]);
}

#[tokio::test]
async fn a_cold_mcp_function_without_dynamodb_says_503_and_recovers() {
    let server = shared();
    let token = server.token().await;
    let proxy = Proxy::start(&server.dynamodb_url(), Mode::Gone);
    let lambda = Lambda::start_behind("mcp", server, &proxy.url).await;
    for file in ["initialize", "tools_list", "tools_call_get_order_status", "tools_call_modern"] {
        let answer = lambda.invoke(&event(&format!("mcp/{file}"), server, &token)).await;
        assert_answer(file, &answer, 503);
        assert_eq!(answer["headers"]["retry-after"], "5");
        let error = &body(&answer)["error"];
        assert_eq!((&error["code"], &error["data"]["code"]), (&json!(-32603), &json!("temporarily_unavailable")));
    }
    let answer = lambda.invoke(&event("mcp/readyz", server, "")).await;
    assert_answer("readyz", &answer, 503);
    assert_eq!(body(&answer)["checks"]["public_keys"], "unavailable");
    let answer = lambda.invoke(&event("mcp/healthz", server, "")).await;
    assert_answer("healthz needs no table", &answer, 200);

    proxy.set(Mode::Pass);
    assert_well("mcp", &lambda, server, &token).await;
    lambda.log_lines();
    assert_eq!(lambda.reported(), [""; 0]);
}

#[tokio::test]
async fn a_warm_token_function_without_dynamodb_still_serves_the_client_it_knows() {
    let server = shared();
    let proxy = Proxy::start(&server.dynamodb_url(), Mode::Pass);
    let lambda = Lambda::start_behind("token", server, &proxy.url).await;
    assert_well("token", &lambda, server, "").await;
    proxy.set(Mode::Gone);
    assert_well("token", &lambda, server, "").await;
    let answer = lambda.invoke(&event("token/jwks", server, "")).await;
    assert_answer("jwks", &answer, 200);
}

#[tokio::test]
async fn a_function_ends_when_the_runtime_api_goes_away() {
    let server = shared();
    let token = server.token().await;
    for function in ["token", "mcp"] {
        let mut lambda = Lambda::start(function, server).await;
        assert_well(function, &lambda, server, &token).await;
        lambda.end_runtime_api();
        assert!(!lambda.end().await.success());
        assert_eq!(lambda.log_lines().last().unwrap()["outcome"], "runtime_api");
    }
}

/// An ordinary request is answered.
async fn assert_well(function: &str, lambda: &Lambda, server: &Server, access_token: &str) {
    let file = if function == "token" { "token/post_with_secret_in_body" } else { "mcp/tools_call_get_order_status" };
    let answer = lambda.invoke(&event(file, server, access_token)).await;
    assert_answer(file, &answer, 200);
    if function == "mcp" {
        is_order_1001(&body(&answer));
    }
}

async fn assert_does_not_start(function: &str, environment: Vec<(&'static str, String)>, names: &str) {
    let mut lambda = Lambda::start_with(function, environment).await;
    assert!(!lambda.end().await.success(), "{function} starts without {names}");
    let [line] = &lambda.log_lines()[..] else { panic!("one line: {}", lambda.log()) };
    assert_eq!((&line["fn"], &line["outcome"]), (&json!(function), &json!("invalid_configuration")));
    assert!(line["message"].as_str().unwrap().contains(names), "{line}");
}

#[track_caller]
fn assert_answer(what: &str, answer: &Value, status: u16) {
    assert_eq!(answer["statusCode"], status, "{what}: {answer}");
    assert_eq!(answer["isBase64Encoded"], false, "{what}: {answer}");
}

#[track_caller]
fn assert_is_invalid_event(what: &str, answer: &Value, says: &str) {
    assert_answer(what, answer, 400);
    assert_eq!(answer["headers"]["content-type"], "application/json");
    let body = body(answer);
    assert_eq!(body["error"], "invalid_event", "{what}");
    assert!(body["error_description"].as_str().unwrap().starts_with(says), "{what}: {body}");
}

/// Nothing but JSON, a line a request, only the first of them cold, and nothing reported as failed.
#[track_caller]
fn assert_logged(lambda: &Lambda, requests: usize) {
    let lines = lambda.log_lines();
    assert_eq!(lines.len(), requests, "{}", lambda.log());
    let cold: Vec<bool> = lines.iter().map(|line| line["cold"] == true).collect();
    assert!(cold[0] && cold[1..].iter().all(|cold| !cold), "{cold:?}");
    assert_eq!(lambda.reported(), [""; 0]);
}

#[track_caller]
fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap_or_else(|_| panic!("no JSON body: {answer}"))
}

fn is_a_token(_: &Server, headers: &Value, body: Value) {
    assert_eq!(
        (&body["token_type"], &body["scope"], &body["expires_in"]),
        (&json!("Bearer"), &json!("mcp.read"), &json!(900))
    );
    assert_eq!(headers["cache-control"], "no-store");
}

#[track_caller]
fn is_order_1001(body: &Value) {
    let order = json!({ "order_id": "1001", "status": "SHIPPED", "carrier": "UPS", "eta": "2026-07-03" });
    assert_eq!(body["result"]["structuredContent"], order);
}

#[track_caller]
fn is_the_tools(body: &Value) {
    let tools = body["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["get_order_status", "check_loyalty_points", "list_customer_orders"]);
}
