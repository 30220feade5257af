//! The functions as Lambda runs them: the programs that ship, fed by a Runtime API of our own.

use std::pin::pin;
use std::time::{Duration, Instant};

use black_box::functions::{
    BROKEN_EVENTS, CONNECT_EVENTS, MCP_EVENTS, TOKEN_EVENTS, assert_answer, assert_is_invalid_event, assert_is_page,
    body, environment, is_order_1001,
};
use black_box::lambda::Lambda;
use black_box::proxy::{Mode, Proxy};
use black_box::{Server, event, event_files, shared};
use serde_json::{Value, json};

/// How often a function is frozen and thawed.
const THAWS: usize = 5;

#[tokio::test]
async fn the_token_function_answers_every_event_of_its_folder() {
    let server = shared();
    let token = server.token().await;
    assert_eq!(event_files("token"), TOKEN_EVENTS.map(|(file, _, _)| file));
    let lambda = Lambda::start("token", server).await;
    for (file, status, check) in TOKEN_EVENTS {
        let answer = lambda.invoke(&event(&format!("token/{file}"), server, &token)).await;
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
async fn the_connect_function_answers_every_event_of_its_folder_with_a_page() {
    let server = shared();
    assert_eq!(event_files("connect"), CONNECT_EVENTS.map(|(file, _, _)| file));
    let lambda = Lambda::start("connect", server).await;
    for (file, status, heading) in CONNECT_EVENTS {
        let answer = lambda.invoke(&event(&format!("connect/{file}"), server, "")).await;
        assert_is_page(file, &answer, status, heading);
    }
    assert_logged(&lambda, CONNECT_EVENTS.len());
    // A ticket, a state, a code and a cookie are no less secret for being unknown.
    assert!(!lambda.log().contains("AAAAAAAA"), "{}", lambda.log());
}

#[tokio::test]
async fn a_broken_event_is_answered_400_and_the_next_event_is_fine() {
    let server = shared();
    let token = server.token().await;
    for function in ["mcp", "token", "connect"] {
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
    let common = [
        "AWS_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "NORTHSTAR_PUBLIC_URL",
        "NORTHSTAR_CONFIG_TABLE",
        "NORTHSTAR_STATE_TABLE",
    ];
    let token = ["NORTHSTAR_SIGNING_KEYS"].as_slice();
    let mcp = ["NORTHSTAR_ORDERS_TABLE", "NORTHSTAR_LOYALTY_TABLE", "NORTHSTAR_STATE_KEY"].as_slice();
    for (function, own) in [("token", token), ("mcp", mcp), ("connect", &[])] {
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
    for function in ["token", "mcp", "connect"] {
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
    assert_eq!(result["content"][0]["text"], "The table orders did not answer in time. Try again in a minute.");

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
async fn a_cold_mcp_function_before_a_silent_table_says_503_within_the_deadline_and_recovers() {
    let server = shared();
    let token = server.token().await;
    let proxy = Proxy::start(&server.dynamodb_url(), Mode::Silent);
    let lambda = Lambda::start_behind("mcp", server, &proxy.url).await;
    // What a server and its keys may cost together is more than this.
    let time = Duration::from_secs(3);
    let call = event("mcp/tools_call_get_order_status", server, &token);
    // The first one also waits for INIT, which asks the silent table too.
    lambda.invoke(&event("mcp/healthz", server, "")).await;
    let start = Instant::now();
    let answer = lambda.invoke_within(&call.to_string(), time).await;
    assert!(start.elapsed() < time, "{:?}", start.elapsed());
    assert_answer("silent", &answer, 503);
    assert_eq!(body(&answer)["error"]["data"]["code"], "temporarily_unavailable");

    proxy.set(Mode::Pass);
    assert_well("mcp", &lambda, server, &token).await;
    assert_eq!(lambda.reported(), [""; 0]);
}

#[tokio::test]
async fn a_connect_function_without_dynamodb_says_503_on_its_page_and_recovers() {
    let server = shared();
    let proxy = Proxy::start(&server.dynamodb_url(), Mode::Gone);
    let lambda = Lambda::start_behind("connect", server, &proxy.url).await;
    for file in ["begin", "callback"] {
        let answer = lambda.invoke(&event(&format!("connect/{file}"), server, "")).await;
        assert_is_page(file, &answer, 503, "Try again in a moment");
    }
    proxy.set(Mode::Pass);
    assert_well("connect", &lambda, server, "").await;
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

/// Lambda freezes a function between invocations, and thaws it with the next one. Meanwhile its connections have ended.
#[tokio::test]
async fn the_first_call_after_a_thaw_is_right_although_dynamodb_has_closed_the_connection() {
    let server = shared();
    let proxy = Proxy::start(&server.dynamodb_url(), Mode::Pass);
    let token = server.token().await;
    let lambda = Lambda::start_behind("mcp", server, &proxy.url).await;
    assert_well("mcp", &lambda, server, &token).await;

    let call = event("mcp/tools_call_get_order_status", server, &token);
    for _ in 0..THAWS {
        lambda.signal("STOP");
        proxy.set(Mode::Gone);
        proxy.set(Mode::Pass);
        let mut answer = pin!(lambda.invoke(&call));
        let early = tokio::time::timeout(Duration::from_millis(200), &mut answer).await;
        assert!(early.is_err(), "a frozen function answers: {early:?}");
        lambda.signal("CONT");
        let answer = answer.await;
        assert_answer("after a thaw", &answer, 200);
        is_order_1001(&body(&answer));
    }

    let outcomes: Vec<Value> = lambda.log_lines().iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["ok"; 1 + THAWS]);
    assert_eq!(lambda.reported(), [""; 0]);
}

#[tokio::test]
async fn a_function_killed_in_the_midst_of_a_call_leaves_nothing_that_the_next_one_stumbles_over() {
    let server = shared();
    let token = server.token().await;
    for (function, without_table, with_table) in [
        ("token", "token/metadata", "token/post_with_basic"),
        ("mcp", "mcp/tools_list", "mcp/tools_call_get_order_status"),
    ] {
        let proxy = Proxy::start(&server.dynamodb_url(), Mode::Pass);
        let mut killed = Lambda::start_behind(function, server, &proxy.url).await;
        let answer = killed.invoke(&event(without_table, server, &token)).await;
        assert_answer(without_table, &answer, 200);

        proxy.set(Mode::Silent);
        let call = event(with_table, server, &token);
        let early = tokio::time::timeout(Duration::from_millis(200), killed.invoke(&call)).await;
        assert!(early.is_err(), "{with_table} needs no table: {early:?}");
        killed.signal("KILL");
        assert!(!killed.end().await.success());

        proxy.set(Mode::Pass);
        let next = Lambda::start_behind(function, server, &proxy.url).await;
        assert_well(function, &next, server, &token).await;
        assert_logged(&next, 1);
    }
}

#[tokio::test]
async fn a_function_ends_when_the_runtime_api_goes_away() {
    let server = shared();
    let token = server.token().await;
    for function in ["token", "mcp", "connect"] {
        let mut lambda = Lambda::start(function, server).await;
        assert_well(function, &lambda, server, &token).await;
        lambda.end_runtime_api();
        assert!(!lambda.end().await.success());
        assert_eq!(lambda.log_lines().last().unwrap()["outcome"], "runtime_api");
    }
}

/// An ordinary request is answered.
async fn assert_well(function: &str, lambda: &Lambda, server: &Server, access_token: &str) {
    let (file, status) = match function {
        "token" => ("token/post_with_secret_in_body", 200),
        "connect" => ("connect/begin", 403),
        _ => ("mcp/tools_call_get_order_status", 200),
    };
    let answer = lambda.invoke(&event(file, server, access_token)).await;
    assert_answer(file, &answer, status);
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

/// Nothing but JSON, a line a request, only the first of them cold, and nothing reported as failed.
#[track_caller]
fn assert_logged(lambda: &Lambda, requests: usize) {
    let lines = lambda.log_lines();
    assert_eq!(lines.len(), requests, "{}", lambda.log());
    let cold: Vec<bool> = lines.iter().map(|line| line["cold"] == true).collect();
    assert!(cold[0] && cold[1..].iter().all(|cold| !cold), "{cold:?}");
    assert_eq!(lambda.reported(), [""; 0]);
}
