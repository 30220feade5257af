//! Who may call: RFC 6750, RFC 9728 §5.1 and the rules RS-01 to RS-11 and RS-20 to RS-22.

use std::collections::HashSet;

use black_box::{Server, modern_body, shared};
use insta::assert_snapshot;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::prepared::{LONG_NAME, prepared};
use crate::{PING, error_of, header, read, request, send};
use black_box::forge::Forge;

fn call(arguments: Value) -> Value {
    request(1, "tools/call", json!({ "name": "get_order_status", "arguments": arguments }))
}

fn forged(server: &Server, scope: &str) -> String {
    Forge::with_key_of(server, Algorithm::RS256).claim("scope", json!(scope))
}

/// Status, challenge, cache control and body: all that a refused caller sees.
async fn refusal(server: &Server, request: reqwest::RequestBuilder) -> String {
    let response = request.header("content-type", "application/json").send().await.unwrap();
    let [challenge, again, cached] =
        ["www-authenticate", "northstar-challenge", "cache-control"].map(|name| header(server, &response, name));
    // The stack makes the one from the other.
    assert_eq!(again, challenge);
    let (status, body) = read(response).await;
    format!("{status}\n{challenge}\n{cached}\n{body}")
}

#[tokio::test]
async fn a_call_without_a_token_is_challenged_and_told_no_error() {
    let server = shared();
    assert_snapshot!(refusal(server, server.request("POST", "/mcp").body(PING)).await, @r#"
    401
    Bearer scope="mcp.read", resource_metadata="[url]/.well-known/oauth-protected-resource/mcp"
    no-store
    {"jsonrpc":"2.0","error":{"code":-32600,"message":"a bearer token is required","data":{"code":"token_required"}}}
    "#);
}

#[tokio::test]
async fn a_call_with_a_token_that_is_not_accepted_is_told_so() {
    let server = shared();
    assert_snapshot!(refusal(server, server.request("POST", "/mcp").bearer_auth("garbage").body(PING)).await, @r#"
    401
    Bearer error="invalid_token", error_description="the access token is invalid or expired", scope="mcp.read", resource_metadata="[url]/.well-known/oauth-protected-resource/mcp"
    no-store
    {"jsonrpc":"2.0","error":{"code":-32600,"message":"the access token is invalid or expired","data":{"code":"invalid_token"}}}
    "#);
}

#[tokio::test]
async fn a_call_with_too_small_a_scope_is_told_the_scope_it_needs() {
    let server = shared();
    let call = call(json!({ "order_id": "1001" })).to_string();
    let request = server.request("POST", "/mcp").bearer_auth(forged(server, "")).body(call);
    assert_snapshot!(refusal(server, request).await, @r#"
    403
    Bearer error="insufficient_scope", error_description="this tool needs another scope", scope="mcp.read", resource_metadata="[url]/.well-known/oauth-protected-resource/mcp"
    no-store
    {"jsonrpc":"2.0","error":{"code":-32600,"message":"the access token does not have the scope that this tool needs","data":{"code":"insufficient_scope"}},"id":1}
    "#);
}

#[tokio::test]
async fn the_challenge_of_a_named_server_points_to_its_own_metadata() {
    let server = &prepared().server;
    let response = server.request("POST", &format!("/mcp/{LONG_NAME}")).body(PING).send().await.unwrap();
    assert_snapshot!(header(server, &response, "www-authenticate"), @r#"Bearer scope="mcp.read", resource_metadata="[url]/.well-known/oauth-protected-resource/mcp/orders-of-a-server-with-a-very-long-name""#);
}

#[tokio::test]
async fn a_scope_that_is_missing_is_http_403_at_every_revision_and_in_a_batch() {
    let server = shared();
    let token = forged(server, "");
    let call = call(json!({ "order_id": "1001" }));
    let batch = json!([serde_json::from_str::<Value>(PING).unwrap(), call]);
    let legacy = crate::LEGACY.map(|revision| (revision, call.clone()));
    for (revision, body) in legacy.into_iter().chain([("2025-03-26", batch)]) {
        let answer = send(server.mcp(&token).header("mcp-protocol-version", revision).body(body.to_string())).await;
        assert_eq!(error_of(&answer), (403, -32600, "insufficient_scope"), "{revision} {body}");
    }
    let params = json!({ "name": "get_order_status", "arguments": { "order_id": "1001" } });
    let answer = read(server.modern(&token, "tools/call", params).await).await;
    assert_eq!(error_of(&answer), (403, -32600, "insufficient_scope"));
}

#[tokio::test]
async fn a_token_without_scopes_may_connect_and_sees_no_tools() {
    let server = shared();
    let token = forged(server, "");
    assert_eq!(server.legacy(&token, "2025-06-18", "tools/list", json!({})).await["result"], json!({ "tools": [] }));
    let (status, body) = read(server.modern(&token, "tools/list", json!({})).await).await;
    assert_eq!((status, &body["result"]["tools"]), (200, &json!([])));
    assert_eq!(server.legacy(&token, "2025-06-18", "ping", json!({})).await["result"], json!({}));
}

#[tokio::test]
async fn write_implies_read() {
    let server = shared();
    for scope in ["mcp.read", "mcp.write", "mcp.write mcp.read"] {
        let result = server.call(&forged(server, scope), "get_order_status", json!({ "order_id": "1001" })).await;
        assert_eq!(result["isError"], json!(false), "{scope}");
    }
}

#[tokio::test]
async fn what_is_no_bearer_header_counts_as_no_token() {
    let server = shared();
    let token = server.token().await;
    let basic = "Basic ZGVtbzpzZWNyZXQ=";
    for credentials in [basic, &format!("DPoP {token}"), &format!("Token {token}"), &token, "", "Bearerx y"] {
        let request = server.request("POST", "/mcp").header("authorization", credentials);
        let answer = send(request.header("content-type", "application/json").body(PING)).await;
        assert_eq!(error_of(&answer), (401, -32600, "token_required"), "{credentials}");
    }
    let in_query = server.request("POST", &format!("/mcp?access_token={token}"));
    let in_form = server.request("POST", "/mcp").form(&[("access_token", &token)]);
    let in_body = server.request("POST", "/mcp").json(&json!({ "access_token": token, "jsonrpc": "2.0" }));
    let in_cookie = server.request("POST", "/mcp").header("cookie", format!("access_token={token}")).body(PING);
    for request in [in_query, in_form, in_body, in_cookie] {
        assert_eq!(error_of(&send(request).await), (401, -32600, "token_required"));
    }
}

#[tokio::test]
async fn a_bearer_header_of_another_form_is_an_invalid_token() {
    let server = shared();
    let token = server.token().await;
    let one = format!("Bearer {token}");
    for headers in [
        vec!["Bearer"],
        vec!["Bearer "],
        vec!["Bearer x y"],
        vec![&format!("Bearer  {token}")],
        vec![&format!("{one} x")],
        vec![&format!("{one},")],
        vec![&format!("{one}, {one}")],
        vec![&format!("{one}; charset=utf-8")],
        vec![&one, &one],
        vec![&one, "Basic ZGVtbzpzZWNyZXQ="],
        vec!["Basic ZGVtbzpzZWNyZXQ=", &one],
    ] {
        let mut request = server.request("POST", "/mcp").header("content-type", "application/json").body(PING);
        for value in &headers {
            request = request.header("authorization", *value);
        }
        let (status, body) = send(request).await;
        assert_eq!(status, 401, "{headers:?} {body}");
        assert_eq!(body["error"]["code"], -32600, "{headers:?}");
    }
}

#[tokio::test]
async fn the_scheme_is_read_in_any_case() {
    let server = shared();
    let token = server.token().await;
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let request = server.request("POST", "/mcp").header("authorization", format!("{scheme} {token}"));
        let answer = send(request.header("content-type", "application/json").body(PING)).await;
        assert_eq!(answer, (200, json!({ "jsonrpc": "2.0", "id": 1, "result": {} })), "{scheme}");
    }
}

#[tokio::test]
async fn a_token_of_one_server_is_refused_by_the_others() {
    let server = &prepared().server;
    let ping = async |token: &str, path: &str| {
        let request = server.request("POST", path).bearer_auth(token).header("content-type", "application/json");
        send(request.body(PING)).await.0
    };
    let default = server.token().await;
    let orders = server.token_with(&[("resource", &format!("{}/mcp/orders", server.url))]).await;
    let mut seen = Vec::new();
    for path in ["/mcp", "/mcp/orders", &format!("/mcp/{LONG_NAME}")] {
        seen.push((path.to_owned(), ping(&default, path).await, ping(&orders, path).await));
    }
    let expected = [("/mcp", 200, 401), ("/mcp/orders", 401, 200), (&format!("/mcp/{LONG_NAME}"), 401, 401)];
    assert_eq!(seen, expected.map(|(path, default, orders)| (path.to_owned(), default, orders)));
}

#[tokio::test]
async fn a_caller_without_a_token_learns_nothing_from_what_it_sends() {
    let server = shared();
    let modern = modern_body("tools/list", json!({})).to_string();
    let mut answers = HashSet::new();
    for body in [
        PING,
        "",
        "not json",
        "[]",
        &modern,
        &call(json!({ "order_id": "1001" })).to_string(),
        &request(1, "tools/call", json!({ "name": "no_such_tool" })).to_string(),
        &request(1, "no/such/method", json!({})).to_string(),
        &"x".repeat(300_000),
    ] {
        for content_type in ["application/json", "text/plain"] {
            for revision in ["2025-06-18", "2026-07-28", "1999-01-01"] {
                let request = server.request("POST", "/mcp").header("mcp-protocol-version", revision);
                let response = request.header("content-type", content_type).body(body.to_owned()).send().await.unwrap();
                let challenge = header(server, &response, "www-authenticate");
                let (status, body) = read(response).await;
                answers.insert(format!("{status} {challenge} {body}"));
            }
        }
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
}

#[tokio::test]
async fn every_challenge_can_be_parsed_and_names_each_parameter_once() {
    let server = shared();
    let body = call(json!({ "order_id": "1001" })).to_string();
    for token in [None, Some("garbage".to_owned()), Some(forged(server, ""))] {
        let mut request = server.request("POST", "/mcp").header("content-type", "application/json").body(body.clone());
        if let Some(token) = &token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        let challenge = header(server, &response, "www-authenticate");
        let parameters = challenge.strip_prefix("Bearer ").unwrap();
        let mut names = HashSet::new();
        for parameter in parameters.split("\", ") {
            let (name, value) = parameter.trim_end_matches('"').split_once("=\"").unwrap();
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{challenge}");
            // RFC 6750 §3
            assert!(value.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{challenge}");
            assert!(names.insert(name), "{challenge}");
        }
        assert!(names.contains("resource_metadata") && names.contains("scope"), "{challenge}");
        assert_eq!(header(server, &response, "cache-control"), "no-store");
    }
}

#[tokio::test]
async fn tokens_that_the_server_issues_itself_are_accepted() {
    let server = shared();
    for scope in ["mcp.read", "mcp.write", "mcp.read,mcp.write"] {
        let token = server.token_with(&[("scope", scope)]).await;
        let answer = send(server.mcp(&token).body(PING)).await;
        assert_eq!(answer.0, 200, "{scope}");
    }
}
