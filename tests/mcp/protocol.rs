//! The protocol at each of its revisions: handshake and none, headers and `_meta`, what there is and what there is not.

use black_box::{Server, modern_body, shared};
use insta::assert_json_snapshot;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::{LEGACY, PING, error_of, read, request, send};

const MODERN: &str = "2026-07-28";

/// Methods of revisions, extensions and features that this server does not have.
const ABSENT: [&str; 14] = [
    "no/such/method",
    "",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "completion/complete",
    "logging/setLevel",
    "subscriptions/listen",
    "tasks/get",
    "sampling/createMessage",
    "roots/list",
];

fn initialize(version: impl Into<Value>) -> Value {
    let client = json!({ "name": "test", "version": "1" });
    json!({ "protocolVersion": version.into(), "capabilities": {}, "clientInfo": client })
}

fn at(server: &Server, token: &str, revision: Option<&str>, body: Value) -> RequestBuilder {
    let request = server.mcp(token).body(body.to_string());
    match revision {
        Some(revision) => request.header("mcp-protocol-version", revision),
        None => request,
    }
}

fn tool_call() -> Value {
    json!({ "name": "get_order_status", "arguments": { "order_id": "1001" } })
}

/// A request of the newest revision with headers that agree with it.
fn modern_request(server: &Server, token: &str, body: &Value) -> RequestBuilder {
    let method = body["method"].as_str().unwrap();
    let request = at(server, token, Some(MODERN), body.clone()).header("mcp-method", method);
    match body["params"]["name"].as_str() {
        Some(name) => request.header("mcp-name", name),
        None => request,
    }
}

#[tokio::test]
async fn initialize_answers_with_the_revision_that_was_asked_for_or_the_newest_with_a_handshake() {
    let server = shared();
    let token = server.token().await;
    let asked =
        ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN, "2099-01-01", "1999-01-01", "garbage", ""];
    let headers = [None, Some("2024-11-05"), Some("2025-06-18"), Some("2025-11-25"), Some(MODERN)];
    for header in headers {
        for asked in asked {
            let expected = if LEGACY.contains(&asked) { asked } else { "2025-11-25" };
            let body = request(1, "initialize", initialize(asked));
            let (status, answer) = send(at(server, &token, header, body)).await;
            let chosen = &answer["result"]["protocolVersion"];
            assert_eq!((status, chosen), (200, &json!(expected)), "{header:?} {asked} {answer}");
        }
    }
}

#[tokio::test]
async fn initialize_declares_tools_and_nothing_that_a_function_cannot_keep() {
    let server = shared();
    let token = server.token().await;
    let answer = server.legacy(&token, "2025-06-18", "initialize", initialize("2025-06-18")).await;
    assert_json_snapshot!(answer, @r#"
    {
      "jsonrpc": "2.0",
      "id": 1,
      "result": {
        "protocolVersion": "2025-06-18",
        "capabilities": {
          "tools": {}
        },
        "serverInfo": {
          "name": "northstar",
          "title": "Northstar",
          "version": "0.1.0",
          "description": "Order status and loyalty points."
        },
        "instructions": "Use order numbers and customer numbers exactly as the customer gives them."
      }
    }
    "#);
}

#[tokio::test]
async fn a_malformed_initialize_is_told_so() {
    let server = shared();
    let token = server.token().await;
    for params in [json!({}), initialize(7), json!({ "protocolVersion": "2025-06-18" })] {
        let answer = send(at(server, &token, None, request(1, "initialize", params.clone()))).await;
        assert_eq!(error_of(&answer), (200, -32602, "invalid_params"), "{params}");
    }
}

#[tokio::test]
async fn a_tool_call_is_answered_alike_at_every_revision_with_a_handshake() {
    let server = shared();
    let token = server.token().await;
    for revision in LEGACY.into_iter().map(Some).chain([None]) {
        let answer = send(at(server, &token, revision, request("a", "tools/call", tool_call()))).await;
        assert_eq!(answer.0, 200);
        insta::allow_duplicates! {
        assert_json_snapshot!(answer.1, @r#"
        {
          "jsonrpc": "2.0",
          "id": "a",
          "result": {
            "content": [
              {
                "type": "text",
                "text": "{\"order_id\":\"1001\",\"status\":\"SHIPPED\",\"carrier\":\"UPS\",\"eta\":\"2026-07-03\"}"
              }
            ],
            "structuredContent": {
              "order_id": "1001",
              "status": "SHIPPED",
              "carrier": "UPS",
              "eta": "2026-07-03"
            },
            "isError": false
          }
        }
        "#);
        }
    }
}

#[tokio::test]
async fn a_tool_call_of_the_newest_revision_says_that_it_is_complete_and_who_answered() {
    let server = shared();
    let token = server.token().await;
    let (status, answer) = read(server.modern(&token, "tools/call", tool_call()).await).await;
    assert_eq!(status, 200);
    assert_json_snapshot!(answer["result"], @r#"
    {
      "resultType": "complete",
      "content": [
        {
          "type": "text",
          "text": "{\"order_id\":\"1001\",\"status\":\"SHIPPED\",\"carrier\":\"UPS\",\"eta\":\"2026-07-03\"}"
        }
      ],
      "structuredContent": {
        "order_id": "1001",
        "status": "SHIPPED",
        "carrier": "UPS",
        "eta": "2026-07-03"
      },
      "isError": false,
      "_meta": {
        "io.modelcontextprotocol/serverInfo": {
          "name": "northstar",
          "title": "Northstar",
          "version": "0.1.0",
          "description": "Order status and loyalty points."
        }
      }
    }
    "#);
}

#[tokio::test]
async fn tools_are_listed_alike_at_every_revision_and_cacheable_for_one_caller_at_the_newest() {
    let server = shared();
    let token = server.token().await;
    let (status, modern) = read(server.modern(&token, "tools/list", json!({})).await).await;
    let modern = &modern["result"];
    assert_eq!(status, 200);
    let said = ["resultType", "ttlMs", "cacheScope"].map(|name| modern[name].clone());
    assert_eq!(said, [json!("complete"), json!(30_000), json!("private")]);
    assert_eq!(modern["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "northstar");
    for revision in LEGACY.into_iter().map(Some).chain([None]) {
        for body in [request(1, "tools/list", json!({})), json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })]
        {
            let (status, answer) = send(at(server, &token, revision, body)).await;
            assert_eq!((status, &answer["result"]), (200, &json!({ "tools": modern["tools"] })), "{revision:?}");
        }
    }
}

#[tokio::test]
async fn discover_tells_every_revision() {
    let server = shared();
    let token = server.token().await;
    let (status, answer) = read(server.modern(&token, "server/discover", json!({})).await).await;
    assert_eq!(status, 200);
    assert_json_snapshot!(answer["result"], { ".ttlMs" => "[milliseconds]" }, @r#"
    {
      "resultType": "complete",
      "supportedVersions": [
        "2024-11-05",
        "2025-03-26",
        "2025-06-18",
        "2025-11-25",
        "2026-07-28"
      ],
      "capabilities": {
        "extensions": {
          "io.modelcontextprotocol/oauth-client-credentials": {}
        },
        "tools": {}
      },
      "instructions": "Use order numbers and customer numbers exactly as the customer gives them.",
      "ttlMs": "[milliseconds]",
      "cacheScope": "private",
      "_meta": {
        "io.modelcontextprotocol/serverInfo": {
          "name": "northstar",
          "title": "Northstar",
          "version": "0.1.0",
          "description": "Order status and loyalty points."
        }
      }
    }
    "#);
    assert!(answer["result"]["ttlMs"].is_u64());
}

#[tokio::test]
async fn ping_is_answered_until_the_revision_that_has_none() {
    let server = shared();
    let token = server.token().await;
    for revision in LEGACY.into_iter().map(Some).chain([None]) {
        let answer = send(at(server, &token, revision, serde_json::from_str(PING).unwrap())).await;
        assert_eq!(answer, (200, json!({ "jsonrpc": "2.0", "id": 1, "result": {} })), "{revision:?}");
    }
    let answer = read(server.modern(&token, "ping", json!({})).await).await;
    assert_eq!(error_of(&answer), (404, -32601, "method_not_found"));
}

#[tokio::test]
async fn a_method_that_is_not_there_is_404_at_the_newest_revision_and_200_before() {
    let server = shared();
    let token = server.token().await;
    for method in ABSENT {
        let params = json!({ "name": "x", "uri": "x", "level": "info", "taskId": "x", "notifications": {} });
        for revision in LEGACY.into_iter().map(Some).chain([None]) {
            let answer = send(at(server, &token, revision, request(7, method, params.clone()))).await;
            assert_eq!(error_of(&answer), (200, -32601, "method_not_found"), "{revision:?} {method}");
            assert_eq!(answer.1["id"], 7);
        }
        // Which header names the name depends on the method.
        let name = if method.starts_with("tasks/") { "taskId" } else { "name" };
        let body = modern_body(method, params.clone());
        let request = at(server, &token, Some(MODERN), body).header("mcp-method", method);
        let answer = send(request.header("mcp-name", params[name].as_str().unwrap())).await;
        assert_eq!(error_of(&answer), (404, -32601, "method_not_found"), "{method} {}", answer.1);
        assert_eq!(answer.1["id"], 1);
    }
}

#[tokio::test]
async fn initialize_with_the_metadata_of_the_newest_revision_is_not_there() {
    let server = shared();
    let token = server.token().await;
    for params in [json!({}), initialize("2025-06-18"), initialize(MODERN)] {
        let answer = send(modern_request(server, &token, &modern_body("initialize", params.clone()))).await;
        assert_eq!(error_of(&answer), (404, -32601, "method_not_found"), "{params}");
    }
}

#[tokio::test]
async fn a_notification_is_accepted_with_an_empty_answer_at_every_revision() {
    let server = shared();
    let token = server.token().await;
    for revision in LEGACY.into_iter().map(Some).chain([None]) {
        for (method, params) in [
            ("notifications/initialized", json!({})),
            ("notifications/cancelled", json!({ "requestId": 1, "reason": "late" })),
            ("notifications/progress", json!({ "progressToken": 1, "progress": 1 })),
            ("notifications/roots/list_changed", json!({})),
            ("notifications/unknown", json!({})),
            ("tools/list", json!({})),
        ] {
            let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
            let response = at(server, &token, revision, body).send().await.unwrap();
            let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
            assert_eq!((status, text.as_str()), (202, ""), "{revision:?} {method}");
        }
        let body = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(send(at(server, &token, revision, body)).await, (202, Value::Null), "{revision:?}");
    }
}

#[tokio::test]
async fn headers_that_disagree_with_the_body_are_refused() {
    let server = shared();
    let token = server.token().await;
    let body = modern_body("tools/call", tool_call());
    let base64 = "=?base64?Z2V0X29yZGVyX3N0YXR1cw==?=";
    for (version, method, name, accepted) in [
        (Some(MODERN), Some("tools/call"), Some("get_order_status"), true),
        (Some(MODERN), Some("tools/call"), Some(base64), true),
        (Some(MODERN), Some("tools/call"), Some(" get_order_status "), true),
        (None, Some("tools/call"), Some("get_order_status"), false),
        (Some("2025-06-18"), Some("tools/call"), Some("get_order_status"), false),
        (Some("2099-01-01"), Some("tools/call"), Some("get_order_status"), false),
        (Some(MODERN), None, Some("get_order_status"), false),
        (Some(MODERN), Some("tools/list"), Some("get_order_status"), false),
        (Some(MODERN), Some("Tools/Call"), Some("get_order_status"), false),
        (Some(MODERN), Some("tools/call"), None, false),
        (Some(MODERN), Some("tools/call"), Some("check_loyalty_points"), false),
        (Some(MODERN), Some("tools/call"), Some("GET_ORDER_STATUS"), false),
        (Some(MODERN), Some("tools/call"), Some("=?base64?Z2V0X29yZGVyX3N0YXR1cw?="), false),
        (Some(MODERN), Some("tools/call"), Some("=?base64?****?="), false),
        (Some(MODERN), Some("tools/call"), Some("Z2V0X29yZGVyX3N0YXR1cw=="), false),
    ] {
        let mut request = at(server, &token, version, body.clone());
        for (header, value) in [("mcp-method", method), ("mcp-name", name)] {
            if let Some(value) = value {
                request = request.header(header, value);
            }
        }
        let answer = send(request).await;
        let said = format!("{version:?} {method:?} {name:?} {}", answer.1);
        if accepted {
            assert_eq!((answer.0, &answer.1["result"]["isError"]), (200, &json!(false)), "{said}");
        } else {
            assert_eq!(error_of(&answer), (400, -32020, "protocol_error"), "{said}");
            assert_eq!(answer.1["id"], 1, "{said}");
        }
    }
}

#[tokio::test]
async fn a_request_of_the_newest_revision_without_its_metadata_is_refused() {
    let server = shared();
    let token = server.token().await;
    let version = "io.modelcontextprotocol/protocolVersion";
    let capabilities = "io.modelcontextprotocol/clientCapabilities";
    for meta in [
        Value::Null,
        json!({}),
        json!([]),
        json!("2026-07-28"),
        json!({ version: MODERN }),
        json!({ capabilities: {} }),
        json!({ version: 7, capabilities: {} }),
        json!({ version: null, capabilities: {} }),
        json!({ version: MODERN, capabilities: [] }),
        json!({ version: MODERN, capabilities: "all" }),
    ] {
        for (method, mut params) in
            [("tools/list", json!({})), ("tools/call", tool_call()), ("server/discover", json!({}))]
        {
            if !meta.is_null() {
                params["_meta"] = meta.clone();
            }
            let answer = send(modern_request(server, &token, &request(1, method, params))).await;
            let (status, code, _) = error_of(&answer);
            assert_eq!((status, code, &answer.1["id"]), (400, -32602, &json!(1)), "{method} {meta}");
        }
    }
    // A method of that revision, whatever the header says.
    for revision in [None, Some("2025-06-18")] {
        let answer = send(at(server, &token, revision, request(1, "server/discover", json!({})))).await;
        assert_eq!((answer.0, &answer.1["error"]["code"]), (400, &json!(-32602)), "{revision:?}");
    }
}

#[tokio::test]
async fn a_revision_that_is_not_served_is_answered_with_those_that_are() {
    let server = shared();
    let token = server.token().await;
    let mut modern = modern_body("tools/list", json!({}));
    modern["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    let (status, answer) =
        send(at(server, &token, Some("2099-01-01"), modern).header("mcp-method", "tools/list")).await;
    assert_eq!((status, &answer["id"]), (400, &json!(1)));
    assert_json_snapshot!(answer["error"]["data"], @r#"
    {
      "requested": "2099-01-01",
      "supported": [
        "2024-11-05",
        "2025-03-26",
        "2025-06-18",
        "2025-11-25",
        "2026-07-28"
      ],
      "code": "unsupported_protocol_version"
    }
    "#);
    let expected = answer["error"]["data"].clone();
    for revision in
        ["1999-01-01", "2025-06-19", "2025-06-18x", "DRAFT-2026-v1", "2026-07-29", "latest", "2025-06-18, 2025-06-18"]
    {
        for body in [request(1, "tools/list", json!({})), request(1, "tools/call", tool_call())] {
            let answer = send(at(server, &token, Some(revision), body)).await;
            assert_eq!(error_of(&answer), (400, -32022, "unsupported_protocol_version"), "{revision}");
            let data = &answer.1["error"]["data"];
            assert_eq!((&data["supported"], &data["requested"]), (&expected["supported"], &json!(revision)));
        }
    }
}

#[tokio::test]
async fn there_are_no_sessions() {
    let server = shared();
    let token = server.token().await;
    let legacy = |body: Value| at(server, &token, Some("2025-06-18"), body);
    for request in [
        legacy(request(1, "initialize", initialize("2025-06-18"))),
        legacy(request(1, "tools/list", json!({}))),
        legacy(request(1, "tools/call", tool_call())),
        modern_request(server, &token, &modern_body("tools/call", tool_call())),
    ] {
        let alone = request.try_clone().unwrap().send().await.unwrap();
        assert_eq!(alone.headers().get("mcp-session-id"), None);
        let expected = read(alone).await;
        let in_session = request.header("mcp-session-id", "no-such-session").header("last-event-id", "7");
        assert_eq!(send(in_session).await, expected);
    }
}

#[tokio::test]
async fn every_answer_is_plain_json_whatever_the_client_accepts() {
    let server = shared();
    let token = server.token().await;
    for accept in
        ["*/*", "application/json", "text/event-stream", "application/json;q=0.1, text/event-stream", "text/html", ""]
    {
        let request = server.request("POST", "/mcp").bearer_auth(&token).header("content-type", "application/json");
        let response = request.header("accept", accept).body(PING).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"application/json".parse().unwrap())
        );
        assert_eq!(response.text().await.unwrap(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "{accept}");
    }
}

#[tokio::test]
async fn an_unknown_tool_is_an_error_of_the_protocol() {
    let server = shared();
    let token = server.token().await;
    for name in ["no_such_tool", "", "GET_ORDER_STATUS", "get_order_status ", "../get_order_status", "é"] {
        let params = json!({ "name": name, "arguments": {} });
        for revision in LEGACY {
            let answer = send(at(server, &token, Some(revision), request(1, "tools/call", params.clone()))).await;
            assert_eq!(error_of(&answer), (200, -32602, "unknown_tool"), "{revision} {name}");
        }
    }
    let params = json!({ "name": "no_such_tool", "arguments": {} });
    let answer = read(server.modern(&token, "tools/call", params).await).await;
    assert_eq!(error_of(&answer), (200, -32602, "unknown_tool"));
}

#[tokio::test]
async fn tools_list_has_one_page_and_takes_no_cursor() {
    let server = shared();
    let token = server.token().await;
    for cursor in [json!("x"), json!(""), json!("MjA="), json!(7), json!({})] {
        let params = json!({ "cursor": cursor });
        let answer = send(at(server, &token, Some("2025-06-18"), request(1, "tools/list", params))).await;
        assert_eq!(error_of(&answer), (200, -32602, "invalid_params"), "{cursor}");
    }
}
