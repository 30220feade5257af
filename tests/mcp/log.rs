//! The one line a request leaves: what it says, and what it never says.

use black_box::{Server, shared};
use insta::assert_json_snapshot;
use jsonwebtoken::Algorithm;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::prepared::{LONG_NAME, prepared};
use crate::{PING, request};
use black_box::forge::{Forge, all_secrets};

fn tool_call(name: &str, arguments: Value) -> Value {
    request(1, "tools/call", json!({ "name": name, "arguments": arguments }))
}

async fn line(server: &Server, request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    server.request_line(&response)
}

/// A line with what differs from run to run left out.
async fn stable_line(server: &Server, request: RequestBuilder) -> Value {
    let mut line = line(server, request).await;
    // Whether this was the first request of the process depends on the order of the tests.
    assert!([None, Some(json!(true))].contains(&line.as_object_mut().unwrap().remove("cold")));
    for (name, value) in line.as_object_mut().unwrap() {
        let known = match name.as_str() {
            "time" => value.as_str().is_some_and(|time| time.len() == "2026-11-21T04:05:06.789Z".len()),
            "id" => value.as_str().is_some_and(|id| id.len() == 16),
            "verify_ms" | "table_ms" | "total_ms" => value.as_f64().is_some_and(|time| (0.0..28_000.0).contains(&time)),
            _ => continue,
        };
        assert!(known, "{name}: {value}");
        *value = json!(format!("[{name}]"));
    }
    line
}

#[tokio::test]
async fn a_tool_call_leaves_a_line_that_says_who_called_what_and_how_it_ended() {
    let server = shared();
    let token = server.token().await;
    let body = tool_call("get_order_status", json!({ "order_id": "1001" })).to_string();
    let request = server.mcp(&token).header("mcp-protocol-version", "2025-06-18").body(body);
    assert_json_snapshot!(stable_line(server, request).await, @r#"
    {
      "time": "[time]",
      "level": "INFO",
      "fn": "mcp",
      "id": "[id]",
      "client": "demo",
      "server": "default",
      "tool": "get_order_status",
      "rev": "2025-06-18",
      "status": 200,
      "outcome": "ok",
      "verify_ms": "[verify_ms]",
      "table_ms": "[table_ms]",
      "total_ms": "[total_ms]"
    }
    "#);
}

#[tokio::test]
async fn a_request_that_calls_no_tool_leaves_its_method_if_it_is_known() {
    let server = shared();
    let token = server.token().await;
    for (method, logged) in [("ping", json!("ping")), ("tools/list", json!("tools/list")), ("no/such", Value::Null)] {
        let line = line(server, server.mcp(&token).body(request(1, method, json!({})).to_string())).await;
        assert_eq!((&line["method"], &line["tool"]), (&logged, &Value::Null));
    }
}

#[tokio::test]
async fn the_first_request_of_a_process_is_marked_as_cold() {
    let server = Server::start(&[]);
    let mut cold = Vec::new();
    for _ in 0..3 {
        cold.push(line(&server, server.request("GET", "/healthz")).await["cold"].clone());
    }
    assert_eq!(cold, [json!(true), Value::Null, Value::Null]);
}

#[tokio::test]
async fn a_refused_call_leaves_a_line_with_what_is_proven_alone() {
    let server = shared();
    let body = tool_call("get_order_status", json!({ "order_id": "1001" })).to_string();
    let request = server.mcp("garbage").header("mcp-protocol-version", "2025-06-18").body(body);
    assert_json_snapshot!(stable_line(server, request).await, @r#"
    {
      "time": "[time]",
      "level": "WARN",
      "fn": "mcp",
      "id": "[id]",
      "server": "default",
      "status": 401,
      "outcome": "invalid_token",
      "verify_ms": "[verify_ms]",
      "table_ms": "[table_ms]",
      "total_ms": "[total_ms]"
    }
    "#);
}

#[tokio::test]
async fn every_way_a_request_ends_has_a_code() {
    let server = shared();
    let token = server.token().await;
    let no_scope = Forge::with_key_of(server, Algorithm::RS256).claim("scope", json!(""));
    let call = |tool: &str, arguments: Value| server.mcp(&token).body(tool_call(tool, arguments).to_string());
    let post = |body: &str| server.mcp(&token).body(body.to_owned());
    let legacy = |method: &str| server.mcp(&token).body(request(1, method, json!({})).to_string());
    let order = json!({ "order_id": "1001" });
    let too_deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let mut seen = Vec::new();
    for request in [
        call("get_order_status", order.clone()),
        call("get_order_status", json!({ "order_id": "9999" })),
        call("get_order_status", json!({})),
        call("check_loyalty_points", json!({ "customer_id": "C-9999" })),
        call("list_customer_orders", json!({ "customer_id": "C-0001", "cursor": "x" })),
        call("no_such_tool", json!({})),
        post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#),
        legacy("no/such/method"),
        legacy("logging/setLevel"),
        legacy("prompts/list"),
        post(&too_deep),
        post("{"),
        post("{}"),
        post("[]"),
        post(&" ".repeat(300_000)),
        server.request("POST", "/mcp").bearer_auth(&token).body(PING),
        server.mcp(&token).header("mcp-protocol-version", "1999-01-01").body(PING),
        server.mcp(&token).header("mcp-protocol-version", "2026-07-28").header("mcp-method", "ping").body(PING),
        server.mcp(&no_scope).body(tool_call("get_order_status", order).to_string()),
        server.mcp("garbage").body(PING),
        server.request("POST", "/mcp").body(PING),
        server.mcp(&token).header("origin", "https://evil.example").body(PING),
        server.mcp(&token).header("host", "evil.example").body(PING),
        server.request("GET", "/mcp"),
        server.request("POST", "/mcp/nope").bearer_auth(&token).body(PING),
        server.request("GET", "/.well-known/oauth-protected-resource/mcp/nope"),
        server.request("GET", "/healthz"),
    ] {
        let line = line(server, request).await;
        seen.push(format!(
            "{} {} {}",
            line["level"].as_str().unwrap(),
            line["status"],
            line["outcome"].as_str().unwrap()
        ));
    }
    assert_json_snapshot!(seen, @r#"
    [
      "INFO 200 ok",
      "INFO 200 record_not_found",
      "INFO 200 invalid_arguments",
      "INFO 200 record_not_found",
      "INFO 200 invalid_cursor",
      "INFO 200 unknown_tool",
      "INFO 200 invalid_params",
      "INFO 200 method_not_found",
      "INFO 200 method_not_found",
      "INFO 200 method_not_found",
      "WARN 400 json_limits",
      "WARN 400 not_json",
      "WARN 400 not_json_rpc",
      "WARN 400 batch_not_allowed",
      "WARN 413 body_too_large",
      "WARN 415 unsupported_media_type",
      "WARN 400 unsupported_protocol_version",
      "WARN 400 protocol_error",
      "WARN 403 insufficient_scope",
      "WARN 401 invalid_token",
      "WARN 401 token_required",
      "WARN 403 origin_not_allowed",
      "WARN 421 host_not_served",
      "WARN 405 method_not_allowed",
      "WARN 404 unknown_server",
      "WARN 404 unknown_server",
      "INFO 200 ok"
    ]
    "#);
}

#[tokio::test]
async fn the_line_names_the_revision_that_was_spoken() {
    let server = shared();
    let token = server.token().await;
    let client = json!({ "name": "c", "version": "1" });
    let hello = json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": client });
    let with = |version: &str| server.mcp(&token).header("mcp-protocol-version", version).body(PING);
    for (request, revision) in [
        (server.mcp(&token).body(PING), json!("2025-03-26")),
        (with("2025-06-18"), json!("2025-06-18")),
        (with("2025-11-25"), json!("2025-11-25")),
        (with("<script>"), Value::Null),
        (server.mcp(&token).body(request(1, "initialize", hello).to_string()), json!("2024-11-05")),
    ] {
        assert_eq!(line(server, request).await["rev"], revision);
    }
    let modern = server.modern(&token, "tools/list", json!({})).await;
    assert_eq!(server.request_line(&modern)["rev"], "2026-07-28");
}

#[tokio::test]
async fn a_batch_leaves_one_line() {
    let server = shared();
    let token = server.token().await;
    let batch = json!([tool_call("get_order_status", json!({ "order_id": "1001" })), request(2, "ping", json!({}))]);
    let response = server.mcp(&token).body(batch.to_string()).send().await.unwrap();
    let id = response.headers()["apigw-requestid"].to_str().unwrap().to_owned();
    assert_eq!(server.log().lines().filter(|line| line.contains(&id)).count(), 1);
}

#[tokio::test]
async fn the_longest_line_is_under_400_bytes() {
    let server = &prepared().server;
    let url = format!("{}/mcp/{LONG_NAME}", server.url);
    let (client_id, client_secret) = server.new_client(&["--server", LONG_NAME]);
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &client_id),
        ("client_secret", &client_secret),
        ("resource", &url),
    ];
    let answer: Value = server.request("POST", "/token").form(&form).send().await.unwrap().json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let body = tool_call("get_order_status", json!({ "order_id": "9999" })).to_string();
    let request = server.request("POST", &format!("/mcp/{LONG_NAME}")).bearer_auth(token);
    let request = request.header("content-type", "application/json").header("mcp-protocol-version", "2025-06-18");
    let line = line(server, request.body(body)).await;
    assert_eq!((&line["server"], &line["client"]), (&json!(LONG_NAME), &json!(client_id)));
    for server in [server, shared()] {
        let log = server.log();
        let longest = log.lines().filter(|line| line.starts_with('{')).max_by_key(|line| line.len()).unwrap();
        assert!(longest.len() < 400, "{} bytes: {longest}", longest.len());
    }
}

#[tokio::test]
async fn nothing_of_a_caller_or_a_customer_is_in_the_log() {
    let server = Server::start(&[]);
    let token = server.token_with(&[("scope", "mcp.read")]).await;
    const CANARY: &str = "zqCANARYqz";
    let call = |name: &str, arguments: Value| server.mcp(&token).body(tool_call(name, arguments).to_string());
    for request in [
        call("get_order_status", json!({ "order_id": "1001" })),
        call("list_customer_orders", json!({ "customer_id": "C-0001" })),
        call("check_loyalty_points", json!({ "customer_id": "C-0001" })),
        call("get_order_status", json!({ "order_id": CANARY })),
        call("get_order_status", json!({ CANARY: CANARY })),
        call("list_customer_orders", json!({ "customer_id": CANARY, "cursor": CANARY, "status": CANARY })),
        call(CANARY, json!({})),
        server.mcp(&token).body(request(CANARY, CANARY, json!({ CANARY: CANARY })).to_string()),
        server.mcp(&token).body(format!("{{{CANARY}")),
        server.mcp(&token).body(json!({ "jsonrpc": CANARY, "id": CANARY, "method": CANARY }).to_string()),
        server.mcp(&token).header("mcp-protocol-version", CANARY).body(PING),
        server.mcp(&token).header("mcp-session-id", CANARY).header("mcp-method", CANARY).body(PING),
        server.mcp(&token).header("origin", format!("https://{CANARY}.example")).body(PING),
        server.mcp(&token).header("host", format!("{CANARY}.example")).body(PING),
        server
            .mcp(&token)
            .header("user-agent", CANARY)
            .header("cookie", CANARY)
            .header("traceparent", CANARY)
            .body(PING),
        server.mcp(&format!("{CANARY}.{CANARY}.{CANARY}")).body(PING),
        server.request("POST", "/mcp").basic_auth(CANARY, Some(CANARY)).body(PING),
        server.request("POST", &format!("/mcp?access_token={CANARY}")).body(PING),
        server.request("POST", &format!("/mcp/{}", CANARY.to_lowercase())).bearer_auth(&token).body(PING),
        server.request("GET", &format!("/.well-known/oauth-protected-resource/mcp/{CANARY}")),
        server.request("GET", &format!("/healthz?{CANARY}")),
        server.request("POST", "/token").form(&[
            ("grant_type", CANARY),
            ("client_id", CANARY),
            ("client_secret", CANARY),
        ]),
        server.request("POST", "/token").basic_auth(CANARY, Some(CANARY)).form(&[("scope", CANARY)]),
    ] {
        request.send().await.unwrap().bytes().await.unwrap();
    }
    let log = server.log().to_lowercase();
    let lines = log.lines().filter(|line| line.starts_with('{')).count();
    assert_eq!(lines, 24, "one line a request:\n{log}");

    let signature = token.rsplit_once('.').unwrap().1.to_owned();
    let claims = token.split('.').nth(1).unwrap().to_owned();
    let record = ["Mira Lantern", "2026-07-03", "SHIPPED", "12450", "GOLD", "C-0001"].map(str::to_owned);
    let private_key = "PRIVATE KEY".to_owned();
    for text in all_secrets(server.home())
        .into_iter()
        .chain([CANARY.to_owned(), server.client_secret.clone(), token.clone(), signature, claims, private_key])
        .chain(record)
    {
        assert!(!log.contains(&text.to_lowercase()), "{text:.40} is in the log:\n{log}");
    }
}
