//! What the functions need in their environment, and what they answer to the files of `events/`.

use local::home::{CLIENT_SECRET_PREFIX, SIGNING_KEYS, STATE_KEY};
use local::store::{CONFIG_TABLE, LOYALTY_TABLE, ORDERS_TABLE, STATE_TABLE};
use serde_json::{Value, json};

use crate::Server;

/// Asserts something of an answer: its headers, its body.
pub type Check = fn(&Server, &Value, Value);

/// Every file of `events/token`, the status of its answer, and the important part of it.
pub const TOKEN_EVENTS: [(&str, u16, Check); 13] = [
    ("authorize", 400, |_, _, body| assert_eq!(body["error"], "unsupported_response_type")),
    ("get", 405, |_, headers, _| assert_eq!(headers["allow"], "POST")),
    ("introspect", 200, |server, headers, body| {
        assert_eq!((&body["active"], &body["client_id"]), (&json!(true), &json!(server.client_id)));
        assert_eq!(headers["cache-control"], "no-store");
    }),
    ("introspect_unknown_token", 200, |_, _, body| assert_eq!(body, json!({ "active": false }))),
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
    ("revoke", 200, |_, headers, body| {
        assert_eq!((&headers["cache-control"], body), (&json!("no-store"), Value::Null));
    }),
    ("revoke_with_basic", 200, |_, _, body| assert_eq!(body, Value::Null)),
    ("revoke_without_token", 400, |_, _, body| assert_eq!(body["error"], "invalid_request")),
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
pub const MCP_EVENTS: [(&str, u16, Check); 10] = [
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

/// Every file of `events/connect`, the status of its page, and its heading.
pub const CONNECT_EVENTS: [(&str, u16, &str); 6] = [
    ("begin", 403, "This link does not work"),
    ("begin_head", 405, "Open the link in a browser"),
    ("begin_prefetch", 425, "Not opened yet"),
    ("callback", 400, "This consent is over"),
    ("callback_denied", 400, "This consent is over"),
    ("callback_own", 400, "This consent is over"),
];

/// Every broken file of `events/mcp`, and what its refusal says.
pub const BROKEN_EVENTS: [(&str, &str); 10] = [
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

/// What a function of the stack has in its environment, with the tables and secrets of a local server.
pub fn environment(function: &str, server: &Server) -> Vec<(&'static str, String)> {
    let mut environment = vec![
        ("AWS_LAMBDA_FUNCTION_NAME", format!("northstar-{function}")),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/northstar-{function}")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "test".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "local".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("AWS_SESSION_TOKEN", "local".to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", server.dynamodb_url()),
        ("NORTHSTAR_PUBLIC_URL", server.url.clone()),
        ("NORTHSTAR_CONFIG_TABLE", CONFIG_TABLE.to_owned()),
        ("NORTHSTAR_STATE_TABLE", STATE_TABLE.to_owned()),
        ("NORTHSTAR_SECRETS_FILE", server.home().join("secrets.json").display().to_string()),
    ];
    match function {
        "token" => environment.push(("NORTHSTAR_SIGNING_KEYS", SIGNING_KEYS.to_owned())),
        "rotate" => environment.extend([
            ("NORTHSTAR_SIGNING_KEYS", SIGNING_KEYS.to_owned()),
            ("NORTHSTAR_CLIENT_SECRET_PREFIX", CLIENT_SECRET_PREFIX.to_owned()),
        ]),
        "connect" => {}
        _ => environment.extend([
            ("NORTHSTAR_ORDERS_TABLE", ORDERS_TABLE.to_owned()),
            ("NORTHSTAR_LOYALTY_TABLE", LOYALTY_TABLE.to_owned()),
            ("NORTHSTAR_STATE_KEY", STATE_KEY.to_owned()),
        ]),
    }
    environment
}

#[track_caller]
pub fn assert_answer(what: &str, answer: &Value, status: u16) {
    assert_eq!(answer["statusCode"], status, "{what}: {answer}");
    assert_eq!(answer["isBase64Encoded"], false, "{what}: {answer}");
}

/// An HTML page, and what its heading says.
#[track_caller]
pub fn assert_is_page(what: &str, answer: &Value, status: u16, heading: &str) {
    assert_answer(what, answer, status);
    assert_eq!(answer["headers"]["content-type"], "text/html; charset=utf-8", "{what}");
    let page = answer["body"].as_str().unwrap();
    assert!(page.contains(&format!("<h1>{heading}</h1>")), "{what}: {page}");
}

#[track_caller]
pub fn assert_is_invalid_event(what: &str, answer: &Value, says: &str) {
    assert_answer(what, answer, 400);
    assert_eq!(answer["headers"]["content-type"], "application/json");
    let body = body(answer);
    assert_eq!(body["error"], "invalid_event", "{what}");
    assert!(body["error_description"].as_str().unwrap().starts_with(says), "{what}: {body}");
}

/// The JSON of an answer; an empty body is null.
#[track_caller]
pub fn body(answer: &Value) -> Value {
    match answer["body"].as_str().unwrap() {
        "" => Value::Null,
        body => serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON body: {answer}")),
    }
}

fn is_a_token(_: &Server, headers: &Value, body: Value) {
    assert_eq!(
        (&body["token_type"], &body["scope"], &body["expires_in"]),
        (&json!("Bearer"), &json!("mcp.read"), &json!(900))
    );
    assert_eq!(headers["cache-control"], "no-store");
}

#[track_caller]
pub fn is_order_1001(body: &Value) {
    let order = json!({ "order_id": "1001", "status": "SHIPPED", "carrier": "UPS", "eta": "2026-07-03" });
    assert_eq!(body["result"]["structuredContent"], order);
}

#[track_caller]
fn is_the_tools(body: &Value) {
    let tools = body["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["get_order_status", "check_loyalty_points", "list_customer_orders"]);
}
