//! A definition that is changed while its server is called: seen by everybody within 30 seconds, and no call fails for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use black_box::{Server, report};
use serde_json::{Value, json};

use crate::run;

/// The time in which a change has to be seen, with what the command itself takes.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

fn apply(server: &Server, description: &str, timeout: &str, limits: &str) {
    let file = server.home().join("live.yaml");
    let definition = format!(
        "servers:\n  - name: live\n    description: {description}\n    timeout: {timeout}\n    limits: {limits}\n    tools: [get_order_status, check_loyalty_points]\n"
    );
    std::fs::write(&file, definition).unwrap();
    let (code, _, errors) = run(server.home(), &["server", "apply", path(&file), "--yes"]);
    assert_eq!(code, 0, "{errors}");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn token(server: &Server) -> String {
    let (id, secret) = server.new_client(&["--server", "live"]);
    let form = [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", &secret)];
    let token: Value = server.request("POST", "/token").form(&form).send().await.unwrap().json().await.unwrap();
    token["access_token"].as_str().unwrap().to_owned()
}

fn post(server: &Server, token: &str, method: &str, params: &Value) -> reqwest::RequestBuilder {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    server.request("POST", "/mcp/live").bearer_auth(token).json(&body)
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_timeout_limit_and_description_are_seen_within_30_seconds_and_no_call_fails() {
    let server = Arc::new(Server::start(&[]));
    apply(&server, "Before.", "20s", "{}");
    let (loading, probing) = (token(&server).await, token(&server).await);

    let (done, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let load: Vec<_> = (0..3)
        .map(|_| {
            let (server, token, done, calls) = (server.clone(), loading.clone(), done.clone(), calls.clone());
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let order = json!({ "name": "get_order_status", "arguments": { "order_id": "1001" } });
                    let answer = post(&server, &token, "tools/call", &order).send().await.unwrap();
                    let (status, answer) = (answer.status(), answer.json::<Value>().await.unwrap());
                    let fine = status == 200 && answer["result"]["structuredContent"]["status"] == "SHIPPED";
                    assert!(fine, "{status}: {answer}");
                    calls.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;

    let edited = Instant::now();
    apply(&server, "After.", "7s", "{ per_tool: { check_loyalty_points: 2/min } }");
    let initialize =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let points = json!({ "name": "check_loyalty_points", "arguments": { "customer_id": "C-0001" } });
    let (mut described, mut timed, mut limited) = (None, None, None);
    while described.is_none() || timed.is_none() || limited.is_none() {
        assert!(edited.elapsed() < SEEN_WITHIN, "{described:?} {timed:?} {limited:?}");
        let first: Value =
            post(&server, &probing, "initialize", &initialize).send().await.unwrap().json().await.unwrap();
        if first["result"]["serverInfo"]["description"].as_str().unwrap().ends_with("After.") {
            described.get_or_insert(edited.elapsed());
        }
        let call: Value = post(&server, &probing, "tools/call", &points).send().await.unwrap().json().await.unwrap();
        let meta = &call["result"]["_meta"];
        if meta["northstar/diagnostics"]["timeout_s"] == 7 {
            timed.get_or_insert(edited.elapsed());
        }
        if meta["northstar/code"] == "tool_rate_limited" {
            limited.get_or_insert(edited.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    done.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    report(&format!(
        "edits under load: description after {:.1} s, timeout after {:.1} s, limit after {:.1} s; {} calls beside them, 0 failed",
        described.unwrap().as_secs_f64(),
        timed.unwrap().as_secs_f64(),
        limited.unwrap().as_secs_f64(),
        calls.load(Ordering::Relaxed)
    ));
}
