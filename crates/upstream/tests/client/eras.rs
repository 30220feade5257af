//! Which revision is spoken, and sessions.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use futures_util::future::join_all;
use serde_json::{Value, json};
use upstream::UpstreamError;

use crate::server::{Answer, Server, ok, refusal, status, stream};
use crate::{Asker, names};

#[tokio::test]
async fn a_modern_upstream_is_asked_without_a_handshake_and_with_its_headers() {
    let server = Server::modern(|request| match request.method() {
        "tools/list" => request.tools(&["query"]),
        _ => request.said("rows"),
    })
    .await;
    let asker = Asker::of(&server.url);
    assert_eq!(names(&asker.list().await.unwrap()), ["query"]);
    let outcome = asker.call(json!({"region": "M\u{fc}nchen"})).await.unwrap();
    assert_eq!(outcome.content, [json!({"type": "text", "text": "rows"})]);
    assert_eq!(server.methods(), ["server/discover", "tools/list", "tools/call"]);
    for request in server.requests() {
        let meta = &request.body["params"]["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
        assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({}));
        assert_eq!(request.header("mcp-method"), request.method());
        assert_eq!(request.header("authorization"), "Bearer TOKEN-BYTES");
        assert_eq!(request.header("accept"), "application/json, text/event-stream");
        assert_eq!(request.header("mcp-session-id"), "");
    }
    let call = &server.requests()[2];
    assert_eq!(call.header("mcp-name"), "query");
    assert_eq!(call.header("mcp-param-region"), "=?base64?TcO8bmNoZW4=?=");
    assert_eq!(call.body["params"]["arguments"], json!({"region": "M\u{fc}nchen"}));
}

#[tokio::test]
async fn whatever_is_no_modern_answer_leads_to_a_handshake() {
    let answers: Vec<fn(&crate::server::Request) -> Answer> = vec![
        |_| refusal(400, ""),
        |_| refusal(404, ""),
        |_| refusal(405, ""),
        |request| status(400, &request.error(-32000, Value::Null)),
        |request| ok(&request.error(-32601, Value::Null)),
        |request| status(404, &request.error(-32601, Value::Null)),
        |request| ok(&request.response(json!({}))),
        |_| ok("<html>"),
        |request| ok(&request.response(json!({"resultType": "complete", "supportedVersions": ["2025-06-18"]}))),
        |request| status(400, &request.error(-32022, json!({"supported": ["2024-11-05", "2025-06-18"]}))),
        |request| status(400, &request.error(-32004, json!({"supported": ["2025-06-18"]}))),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let server = Server::start(move |request| match request.method() {
            "server/discover" => answer(request),
            "initialize" => {
                assert!(!request.headers.contains_key("mcp-protocol-version"));
                request.initialized("2025-06-18", "")
            }
            "notifications/initialized" => refusal(202, ""),
            _ => request.tools(&["a"]),
        })
        .await;
        assert_eq!(names(&Asker::of(&server.url).list().await.unwrap()), ["a"], "{number}");
        let sent = server.requests();
        assert_eq!(
            server.methods(),
            ["server/discover", "initialize", "notifications/initialized", "tools/list"],
            "{number}"
        );
        assert_eq!(sent[3].header("mcp-protocol-version"), "2025-06-18", "{number}");
        assert!(sent[3].body["params"].get("_meta").is_none() && sent[3].header("mcp-method").is_empty());
        let offered = if number < 8 { "2025-11-25" } else { "2025-06-18" };
        assert_eq!(sent[1].body["params"]["protocolVersion"], offered, "{number}");
    }
}

#[tokio::test]
async fn an_upstream_that_refuses_the_revision_but_names_it_is_asked_again() {
    let server = Server::start(|request| match request.method() {
        "server/discover" => status(400, &request.error(-32022, json!({"supported": ["2026-07-28"]}))),
        _ => request.tools(&["a"]),
    })
    .await;
    assert_eq!(names(&Asker::of(&server.url).list().await.unwrap()), ["a"]);
    assert_eq!(server.methods(), ["server/discover", "tools/list"]);
}

#[tokio::test]
async fn an_upstream_without_a_common_revision_is_told() {
    let no_common = Err(UpstreamError::Protocol("it speaks no revision of MCP that is spoken here"));
    for later in [true, false] {
        let server = Server::start(move |request| match request.method() {
            "server/discover" if later => status(400, &request.error(-32022, json!({"supported": ["2031-01-01"]}))),
            "server/discover" => refusal(400, ""),
            _ => request.initialized("1999-01-01", ""),
        })
        .await;
        assert_eq!(Asker::of(&server.url).list().await, no_common);
    }
}

#[tokio::test]
async fn an_upstream_that_knows_neither_handshake_nor_discovery_is_modern() {
    let server = Server::start(|request| match request.method() {
        "server/discover" | "initialize" => status(404, &request.error(-32601, Value::Null)),
        _ => request.tools(&["a"]),
    })
    .await;
    assert_eq!(names(&Asker::of(&server.url).list().await.unwrap()), ["a"]);
    assert!(server.requests()[2].is_modern());
}

#[tokio::test]
async fn the_handshake_runs_once_for_parallel_calls() {
    let server = Server::start(|request| match request.method() {
        _ if request.is_modern() => refusal(400, ""),
        "initialize" => request.initialized("2025-11-25", "session-1"),
        "notifications/initialized" => refusal(202, ""),
        _ => request.said("done"),
    })
    .await;
    let asker = Asker::of(&server.url);
    let calls = join_all((0..20).map(|_| asker.text())).await;
    assert!(calls.iter().all(|call| call.as_deref() == Ok("done")), "{calls:?}");
    assert_eq!(server.count("initialize"), 1);
    assert_eq!(server.count("tools/call"), 20);
    assert!(server.requests()[3..].iter().all(|request| request.header("mcp-session-id") == "session-1"));
}

#[tokio::test]
async fn a_lost_session_is_made_again_once_and_the_request_repeated() {
    let sessions = AtomicUsize::new(0);
    let server = Server::start(move |request| match request.method() {
        _ if request.is_modern() => refusal(400, ""),
        "initialize" => {
            let session = format!("session-{}", sessions.fetch_add(1, SeqCst));
            request.initialized("2025-11-25", &session)
        }
        "notifications/initialized" => refusal(202, ""),
        _ if request.header("mcp-session-id") == "session-0" => refusal(404, ""),
        _ => request.said("done"),
    })
    .await;
    let asker = Asker::of(&server.url);
    let calls = join_all((0..10).map(|_| asker.text())).await;
    assert!(calls.iter().all(|call| call.as_deref() == Ok("done")), "{calls:?}");
    assert_eq!(server.count("initialize"), 2, "once at first, once for all that lost it");
}

#[tokio::test]
async fn a_session_that_is_lost_again_at_once_is_not_made_a_third_time() {
    let server = Server::start(|request| match request.method() {
        _ if request.is_modern() => refusal(400, ""),
        "initialize" => request.initialized("2025-11-25", "gone"),
        "notifications/initialized" => refusal(202, ""),
        _ => refusal(404, ""),
    })
    .await;
    assert_eq!(Asker::of(&server.url).text().await, Err(UpstreamError::NotFound));
    assert_eq!((server.count("initialize"), server.count("tools/call")), (2, 2));
}

#[tokio::test]
async fn a_session_id_with_other_than_visible_characters_is_refused() {
    let server = Server::start(|request| match request.method() {
        _ if request.is_modern() => refusal(400, ""),
        _ => request.initialized("2025-11-25", "a b"),
    })
    .await;
    assert!(matches!(Asker::of(&server.url).list().await, Err(UpstreamError::Protocol(_))));
}

#[tokio::test]
async fn a_handshake_in_a_stream_is_one_too() {
    let server = Server::start(|request| match request.method() {
        _ if request.is_modern() => refusal(400, ""),
        "initialize" => stream(&format!(
            "data: {}\n\n",
            request.response(json!({"protocolVersion": "2025-03-26", "capabilities": {}}))
        )),
        "notifications/initialized" => refusal(202, ""),
        _ => request.tools(&["a"]),
    })
    .await;
    assert_eq!(names(&Asker::of(&server.url).list().await.unwrap()), ["a"]);
    assert_eq!(server.requests()[3].header("mcp-protocol-version"), "2025-03-26");
}

#[tokio::test]
async fn an_upstream_that_changed_its_era_is_asked_anew() {
    let upgraded = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let modern = upgraded.load(SeqCst) > 0;
        match request.method() {
            "server/discover" if modern => request.discovered(),
            "server/discover" => refusal(400, ""),
            "initialize" => request.initialized("2025-11-25", ""),
            "notifications/initialized" => refusal(202, ""),
            "tools/call" if !modern => {
                upgraded.fetch_add(1, SeqCst);
                request.said("before")
            }
            _ if !request.is_modern() => status(400, &request.error(-32022, json!({"supported": ["2026-07-28"]}))),
            _ => request.said("after"),
        }
    })
    .await;
    let asker = Asker::of(&server.url);
    assert_eq!(asker.text().await.unwrap(), "before");
    assert_eq!(asker.text().await.unwrap(), "after");
}
