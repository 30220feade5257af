//! Servers that do not do what Agentforce needs of a conversation.

use serde_json::{Value, json};
use std::sync::Arc;

use crate::stage::{Answered, Asked, Change, stage};

const CALL: [&str; 3] = ["--call", "get_order_status", "order_id=1001"];

/// Changes the answers to a JSON-RPC method with a good token.
fn to(method: &'static str, change: impl Fn(&mut Answered) + Send + Sync + 'static) -> Change {
    Arc::new(move |asked, answered| {
        if asked.is_mcp() && asked.rpc() == method && matches!(answered.status, 200 | 202) {
            change(answered);
        }
    })
}

fn to_path(method: &'static str, change: impl Fn(&mut Answered) + Send + Sync + 'static) -> Change {
    Arc::new(move |asked, answered| {
        if asked.path == "/mcp" && asked.method == method {
            change(answered);
        }
    })
}

fn error(answered: &mut Answered, status: u16, message: &str) {
    let error = json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32600, "message": message } });
    answered.replace(status, "application/json", error.to_string());
}

#[test]
fn a_handshake_that_fails() {
    let newest =
        to("initialize", |answered| answered.edit(|json| json["result"]["protocolVersion"] = json!("2025-11-25")));
    stage().expect(
        "a newer revision",
        newest,
        &["initialize.revision", "revisions.refused", "revisions.refused", "revisions.refused"],
    );
    let refused = to("initialize", |answered| error(answered, 400, "no"));
    stage().expect("refused", refused, &["initialize.error"]);
    let forbidden = to("initialize", |answered| error(answered, 403, "insufficient scope"));
    stage().expect("forbidden", forbidden, &["initialize.forbidden"]);
    let untokened: Change = Arc::new(|asked, answered| {
        if asked.path == "/mcp" && asked.method == "POST" {
            error(answered, 401, "a bearer token is required");
        }
    });
    stage().expect("the header is removed", untokened, &["initialize.token_refused", "challenge.missing"]);
}

#[test]
fn answers_as_an_event_stream_are_fine() {
    let change: Change = Arc::new(|asked: &Asked, answered: &mut Answered| {
        if asked.is_mcp() && answered.status == 200 {
            let data = String::from_utf8_lossy(&answered.body).into_owned();
            answered.replace(200, "text/event-stream", format!("event: message\ndata: {data}\n\n"));
        }
    });
    stage().expect_with(&CALL, "event stream", change, &[]);
}

#[test]
fn a_notification_that_is_answered() {
    let ok = to("notifications/initialized", |answered| answered.replace(200, "application/json", "{}"));
    stage().expect("200", ok, &["initialized.status"]);
    let refused = to("notifications/initialized", |answered| error(answered, 400, "method not found"));
    stage().expect("400", refused, &["initialized.refused"]);
}

#[test]
fn lists_that_agentforce_cannot_use() {
    let paged = to("tools/list", |answered| answered.edit(|json| json["result"]["nextCursor"] = json!("2")));
    stage().expect("a second page", paged, &["tools_list.paged"]);
    let empty = to("tools/list", |answered| answered.edit(|json| json["result"]["tools"] = json!([])));
    stage().expect("no tools", empty, &["tools_list.empty"]);
    let refused = to("tools/list", |answered| error(answered, 200, "method not found"));
    stage().expect("an error", refused, &["tools_list.error"]);
    let forbidden = to("tools/list", |answered| error(answered, 403, "insufficient scope"));
    stage().expect("forbidden", forbidden, &["tools_list.forbidden", "revisions.newer_refused"]);
    let unauthorized = to("tools/list", |answered| error(answered, 401, "invalid token"));
    stage().expect("401", unauthorized, &["tools_list.token_refused", "revisions.newer_refused"]);
}

/// A server with sessions, as SDKs make them by default: all but the handshake needs one.
fn with_sessions(given: bool) -> Change {
    Arc::new(move |asked, answered| {
        if !asked.is_mcp() || answered.status == 401 {
            return;
        }
        let modern = asked.header("mcp-protocol-version") == Some("2026-07-28");
        match asked.rpc().as_str() {
            "initialize" if given => answered.set("mcp-session-id", "5b0f"),
            "initialize" | "notifications/initialized" => {}
            _ if asked.header("mcp-session-id") == Some("5b0f") || modern => {}
            _ => error(answered, 400, "Bad Request: No valid session ID provided"),
        }
    })
}

#[test]
fn sessions_that_are_demanded() {
    stage().expect_with(&CALL, "given and demanded", with_sessions(true), &["session.demanded"]);
    stage().expect("demanded only", with_sessions(false), &["tools_list.session_demanded"]);
}

#[test]
fn a_header_that_is_demanded() {
    let change: Change = Arc::new(|asked, answered| {
        let list = asked.is_mcp() && asked.rpc() == "tools/list";
        if list && asked.header("mcp-protocol-version").is_none() {
            error(answered, 400, "MCP-Protocol-Version is required");
        }
    });
    stage().expect("no header", change, &["no_revision_header.demanded"]);
}

#[test]
fn a_get_that_is_answered() {
    for (what, change, expected) in [
        ("a page", to_path("GET", |answered| answered.replace(200, "text/html", "<html>")), "get.answered"),
        ("a stream", to_path("GET", |answered| answered.replace(200, "text/event-stream", ": \n\n")), "get.stream"),
        ("401", to_path("GET", |answered| error(answered, 401, "no token")), "get.status"),
        (
            "405 alone",
            to_path("GET", |answered| {
                answered.headers.remove("allow");
            }),
            "get.no_allow",
        ),
    ] {
        stage().expect(what, change, &[expected]);
    }
}

#[test]
fn a_delete_that_is_answered_in_another_way() {
    stage().expect("404", to_path("DELETE", |answered| error(answered, 404, "no")), &["delete.status"]);
    stage().expect("204", to_path("DELETE", |answered| answered.replace(204, "text/plain", "")), &[]);
}

#[test]
fn revisions_that_are_refused() {
    for (revision, expected) in [
        ("2024-11-05", "revisions.refused"),
        ("2025-03-26", "revisions.refused"),
        ("2025-11-25", "revisions.newer_refused"),
    ] {
        let change: Change = Arc::new(move |asked, answered| {
            let json: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
            if asked.is_mcp() && json["params"]["protocolVersion"] == revision {
                error(answered, 400, "Unsupported protocol version");
            }
        });
        let findings = stage().expect(revision, change, &[expected]);
        assert!(findings.get(expected)["seen"].as_str().unwrap().starts_with(revision));
    }
}

#[test]
fn a_server_that_does_not_know_the_newest_revision_is_fine() {
    let change: Change = Arc::new(|asked, answered| {
        if asked.header("mcp-protocol-version") == Some("2026-07-28") {
            error(answered, 400, "Unsupported protocol version");
        }
    });
    stage().expect("2026-07-28", change, &[]);
}

#[test]
fn a_tool_without_an_answer() {
    let stage = stage();
    let unchanged = crate::stage::unchanged;
    stage.expect_with(
        &["--call", "get_order_stat", "order_id=1001"],
        "no such tool",
        unchanged(),
        &["call.no_such_tool"],
    );
    let findings = stage.expect_with(
        &["--call", "get_order_status", "order_id=none"],
        "no such order",
        unchanged(),
        &["call.tool_error"],
    );
    let seen = findings.get("call.tool_error")["seen"].as_str().unwrap();
    assert!(seen.starts_with("There is no order none."), "{seen}");
}

#[test]
fn a_call_that_goes_wrong() {
    let schema_mismatch = |answered: &mut Answered| {
        answered.edit(|json| {
            json["result"]["structuredContent"]["order_id"] = Value::Null;
            let text = json["result"]["structuredContent"].to_string();
            json["result"]["content"][0]["text"] = json!(text);
        });
    };
    let large = |answered: &mut Answered| {
        answered.edit(|json| {
            json["result"]["structuredContent"]["status"] = json!("x".repeat(60_000));
            let text = json["result"]["structuredContent"].to_string();
            json["result"]["content"][0]["text"] = json!(text);
        });
    };
    let unstructured = |answered: &mut Answered| {
        answered.edit(|json| {
            json["result"].as_object_mut().unwrap().remove("structuredContent");
        });
    };
    let no_mirror =
        |answered: &mut Answered| answered.edit(|json| json["result"]["content"][0]["text"] = json!("Shipped."));
    for (what, change, expected) in [
        ("no structure", to("tools/call", unstructured), "call.unstructured"),
        ("another text", to("tools/call", no_mirror), "call.no_mirror"),
        ("null", to("tools/call", schema_mismatch), "call.schema_mismatch"),
        ("large", to("tools/call", large), "call.large"),
        ("401", to("tools/call", |answered| error(answered, 401, "expired")), "call.token_refused"),
        ("403", to("tools/call", |answered| error(answered, 403, "insufficient scope")), "call.forbidden"),
        ("an error", to("tools/call", |answered| error(answered, 200, "invalid params")), "call.error"),
    ] {
        stage().expect_with(&CALL, what, change, &[expected]);
    }
}
