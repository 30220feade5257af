//! Bodies of every kind: what is not JSON, not JSON-RPC, too much, or many messages in one.

use black_box::{Server, shared};
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::{LEGACY, PING, error_of, request, send};

async fn post(server: &Server, token: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
    send(server.mcp(token).body(body)).await
}

fn ping(id: impl Into<Value>) -> Value {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": "ping" })
}

fn notification() -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })
}

#[tokio::test]
async fn what_is_not_json_is_a_parse_error_without_an_id() {
    let server = shared();
    let token = server.token().await;
    let bodies: [&[u8]; 17] = [
        b"",
        b" ",
        b"{",
        b"nul",
        b"hello",
        b"{'a':1}",
        b"{\"a\":1,}",
        b"[1,]",
        b"{\"a\":01}",
        b"{\"a\":NaN}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}x",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}{}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\\ud800\"}",
        b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\nng\"}",
    ];
    for body in bodies {
        let answer = post(server, &token, body).await;
        let text = String::from_utf8_lossy(body);
        assert_eq!(error_of(&answer), (400, -32700, "not_json"), "{text}");
        assert_eq!(answer.1.get("id"), None, "{text}");
    }
}

#[tokio::test]
async fn what_is_not_json_rpc_is_an_invalid_request_with_the_id_as_far_as_it_can_be_read() {
    let server = shared();
    let token = server.token().await;
    let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(257));
    for (body, id) in [
        ("null", None),
        ("1", None),
        ("true", None),
        ("\"ping\"", None),
        ("{}", None),
        (r#"{"jsonrpc":"2.0"}"#, None),
        (r#"{"jsonrpc":"2.0","params":{}}"#, None),
        (r#"{"id":1,"method":"ping"}"#, Some(json!(1))),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, Some(json!(1))),
        (r#"{"jsonrpc":2.0,"id":"a","method":"ping"}"#, Some(json!("a"))),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, None),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, None),
        (r#"{"jsonrpc":"2.0","id":1e2,"method":"ping"}"#, None),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, None),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, None),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, None),
        (r#"{"jsonrpc":"2.0","id":9223372036854775808,"method":"ping"}"#, None),
        (&long, None),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, Some(json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":null}"#, Some(json!(1))),
        (r#"{"jsonrpc":"2.0","id":1}"#, Some(json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#, Some(json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, Some(json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}"#, Some(json!(1))),
    ] {
        let answer = post(server, &token, body.to_owned()).await;
        assert_eq!(error_of(&answer), (400, -32600, "not_json_rpc"), "{body}");
        assert_eq!(answer.1.get("id").cloned(), id, "{body}");
    }
}

#[tokio::test]
async fn an_id_comes_back_as_it_was() {
    let server = shared();
    let token = server.token().await;
    for id in [
        json!(0),
        json!(-1),
        json!(9_007_199_254_740_993_i64),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("1"),
        json!("é\u{1f680}\"\\\n"),
        json!("x".repeat(256)),
    ] {
        let answer = post(server, &token, ping(id.clone()).to_string()).await;
        assert_eq!(answer, (200, json!({ "jsonrpc": "2.0", "id": id, "result": {} })));
    }
}

#[tokio::test]
async fn unknown_members_and_white_space_do_no_harm() {
    let server = shared();
    let token = server.token().await;
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":{"a":[1,null]}}"#,
        "\r\n\t {\"id\" : 1 ,\n\"method\":\"ping\", \"jsonrpc\":\"2.0\"} \r\n",
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"unknown":true}}"#,
        r#"{"\u006asonrpc":"2.0","id":1,"method":"pin\u0067"}"#,
    ] {
        let answer = post(server, &token, body).await;
        assert_eq!(answer, (200, json!({ "jsonrpc": "2.0", "id": 1, "result": {} })), "{body}");
    }
}

#[tokio::test]
async fn parameters_of_the_wrong_type_are_told_so() {
    let server = shared();
    let token = server.token().await;
    for params in [
        json!({}),
        json!({ "name": 7 }),
        json!({ "name": null }),
        json!({ "name": ["get_order_status"] }),
        json!({ "arguments": {} }),
        json!({ "name": "get_order_status", "arguments": [] }),
        json!({ "name": "get_order_status", "arguments": "1001" }),
        json!({ "name": "get_order_status", "arguments": 7 }),
        json!({ "name": "no_such_tool", "arguments": [] }),
    ] {
        for revision in LEGACY {
            let body = request("p", "tools/call", params.clone()).to_string();
            let answer = send(server.mcp(&token).header("mcp-protocol-version", revision).body(body)).await;
            assert_eq!(error_of(&answer), (200, -32602, "invalid_params"), "{revision} {params}");
            assert_eq!(answer.1["id"], "p");
        }
    }
    let answer = post(server, &token, r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#).await;
    assert_eq!(error_of(&answer), (200, -32602, "invalid_params"));
    for meta in [json!([]), json!("x"), json!(7), Value::Null] {
        let body = request(1, "tools/list", json!({ "_meta": meta })).to_string();
        let answer = post(server, &token, body).await;
        assert_eq!(error_of(&answer), (400, -32602, "invalid_params"), "{meta}");
    }
}

#[tokio::test]
async fn a_response_is_nothing_that_a_server_without_sessions_waits_for() {
    let server = shared();
    let token = server.token().await;
    for body in [
        json!({ "jsonrpc": "2.0", "id": 1, "result": {} }),
        json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -1, "message": "x" } }),
    ] {
        let answer = post(server, &token, body.to_string()).await;
        assert_eq!(error_of(&answer), (400, -32600, "protocol_error"), "{body}");
    }
}

#[tokio::test]
async fn a_body_may_be_as_large_as_the_limits_and_no_larger() {
    let server = shared();
    let token = server.token().await;
    let sized = |length: usize| format!("{PING}{}", " ".repeat(length - PING.len()));
    let nested = |depth: usize| {
        // The message and its parameters are two levels.
        let value = format!("{}{}", "[".repeat(depth - 2), "]".repeat(depth - 2));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":{value}}}}}"#)
    };
    let keys = |count: usize| {
        let keys: Vec<String> = (0..count).map(|key| format!("\"k{key}\":0")).collect();
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{{}}}}}"#, keys.join(","))
    };
    let string = |length: usize| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":"{}"}}}}"#, "x".repeat(length))
    };
    for body in [sized(256 * 1024), nested(32), keys(256), string(64 * 1024)] {
        let answer = post(server, &token, body).await;
        assert_eq!(answer, (200, json!({ "jsonrpc": "2.0", "id": 1, "result": {} })));
    }
    for (name, body, expected) in [
        ("a byte too many", sized(256 * 1024 + 1), (413, -32600, "body_too_large")),
        ("5 MiB", sized(5 * 1024 * 1024), (413, -32600, "body_too_large")),
        ("a level too many", nested(33), (400, -32600, "json_limits")),
        ("100,000 levels", nested(100_000), (400, -32600, "json_limits")),
        ("a key too many", keys(257), (400, -32600, "json_limits")),
        ("a character too many", string(64 * 1024 + 1), (400, -32600, "json_limits")),
        ("100,000 levels that never end", "[".repeat(100_000), (400, -32600, "json_limits")),
    ] {
        let answer = post(server, &token, body).await;
        assert_eq!(error_of(&answer), expected, "{name}");
        assert_eq!(answer.1.get("id"), None, "{name}");
    }
}

#[tokio::test]
async fn a_key_twice_is_refused_wherever_it_is() {
    let server = shared();
    let token = server.token().await;
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":1,"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","\u006dethod":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_order_status","name":"x"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_order_status","arguments":{"order_id":"1001","order_id":"1002"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":[{"a":{"b":1,"b":2}}]}"#,
        r#"[{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}]"#,
    ] {
        assert_eq!(error_of(&post(server, &token, body).await), (400, -32600, "json_limits"), "{body}");
    }
}

#[tokio::test]
async fn only_plain_json_is_read() {
    let server = shared();
    let token = server.token().await;
    let post = async |headers: &[(&str, &str)]| {
        let mut request = server.request("POST", "/mcp").bearer_auth(&token).body(PING);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(request).await
    };
    for headers in [
        &[("content-type", "application/json")][..],
        &[("content-type", "application/json; charset=utf-8")],
        &[("content-type", "Application/JSON")],
        &[("content-type", "application/json"), ("content-encoding", "identity")],
    ] {
        assert_eq!(post(headers).await.0, 200, "{headers:?}");
    }
    for headers in [
        &[][..],
        &[("content-type", "")],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/jsonx")],
        &[("content-type", "application/json-rpc")],
        &[("content-type", "application/json, text/plain")],
        &[("content-type", "multipart/form-data; boundary=x")],
        &[("content-type", "application/json"), ("content-encoding", "gzip")],
        &[("content-type", "application/json"), ("content-encoding", "br")],
        &[("content-type", "application/json"), ("content-encoding", "identity, gzip")],
    ] {
        assert_eq!(error_of(&post(headers).await), (415, -32600, "unsupported_media_type"), "{headers:?}");
    }
}

#[tokio::test]
async fn a_batch_is_answered_in_order_at_2025_03_26_and_without_a_version() {
    let server = shared();
    let token = server.token().await;
    for revision in [None, Some("2025-03-26")] {
        for count in [1, 2, 16] {
            let batch: Vec<Value> = (0..count).map(ping).collect();
            let mut request = server.mcp(&token).body(json!(batch).to_string());
            if let Some(revision) = revision {
                request = request.header("mcp-protocol-version", revision);
            }
            let expected: Vec<Value> =
                (0..count).map(|id| json!({ "jsonrpc": "2.0", "id": id, "result": {} })).collect();
            assert_eq!(send(request).await, (200, json!(expected)), "{revision:?} {count}");
        }
    }
}

#[tokio::test]
async fn a_batch_of_no_message_or_of_seventeen_is_refused_whole() {
    let server = shared();
    let token = server.token().await;
    let seventeen: Vec<Value> = (0..17).map(ping).collect();
    let notifications: Vec<Value> = (0..17).map(|_| notification()).collect();
    for batch in [json!([]), json!(seventeen), json!(notifications)] {
        let answer = post(server, &token, batch.to_string()).await;
        assert_eq!(error_of(&answer), (400, -32600, "batch_not_allowed"), "{batch}");
        assert_eq!(answer.1.get("id"), None);
    }
}

#[tokio::test]
async fn a_batch_is_refused_at_every_other_revision() {
    let server = shared();
    let token = server.token().await;
    for revision in ["2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28"] {
        for count in [1, 16, 17] {
            let batch: Vec<Value> = (0..count).map(ping).collect();
            let request = server.mcp(&token).header("mcp-protocol-version", revision);
            let answer = send(request.body(json!(batch).to_string())).await;
            assert_eq!(error_of(&answer), (400, -32600, "batch_not_allowed"), "{revision} {count}");
        }
    }
}

#[tokio::test]
async fn a_batch_of_notifications_is_accepted_with_an_empty_answer() {
    let server = shared();
    let token = server.token().await;
    for count in [1, 16] {
        let batch: Vec<Value> = (0..count).map(|_| notification()).collect();
        let response = server.mcp(&token).body(json!(batch).to_string()).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (202, ""));
    }
}

#[tokio::test]
async fn mistakes_in_a_batch_are_answered_where_they_stand() {
    let server = shared();
    let token = server.token().await;
    let batch = json!([
        ping("first"),
        notification(),
        7,
        request(2, "no/such/method", json!({})),
        { "jsonrpc": "2.0", "id": null, "method": "ping" },
        [ping("inner")],
        request(3, "tools/call", json!({ "name": "no_such_tool" })),
        request(4, "tools/call", json!({ "name": "get_order_status", "arguments": { "order_id": "1001" } })),
        request(5, "tools/call", json!({ "name": "get_order_status", "arguments": { "order_id": "none" } })),
        { "id": 6, "method": "ping" },
        ping("last"),
    ]);
    let (status, answer) = post(server, &token, batch.to_string()).await;
    assert_eq!(status, 200);
    let summary: Vec<Value> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| {
            let error = &answer["error"];
            let is_error = &answer["result"]["isError"];
            json!([answer.get("id"), error["code"], error["data"]["code"], is_error])
        })
        .collect();
    let lines: Vec<String> = summary.iter().map(Value::to_string).collect();
    assert_json_snapshot!(lines, @r#"
    [
      "[\"first\",null,null,null]",
      "[null,-32600,\"not_json_rpc\",null]",
      "[2,-32601,\"method_not_found\",null]",
      "[null,-32600,\"not_json_rpc\",null]",
      "[null,-32600,\"not_json_rpc\",null]",
      "[3,-32602,\"unknown_tool\",null]",
      "[4,null,null,false]",
      "[5,null,null,true]",
      "[6,-32600,\"not_json_rpc\",null]",
      "[\"last\",null,null,null]"
    ]
    "#);
    assert!(answer.as_array().unwrap().iter().all(|answer| answer.get("id") != Some(&Value::Null)));
}
