//! MCP clients that others made, unmodified: from the first 401 by discovery to the answer of a tool.

use std::process::Command;

use black_box::{Server, repository, shared};
use serde_json::{Value, json};

const BASIC: &str = "client_secret_basic";
const POST: &str = "client_secret_post";

/// Discovery, then a token: the same in every mode, before anything is answered.
const FROM_401_TO_A_TOKEN: [&str; 4] = [
    "POST /mcp 401",
    "GET /.well-known/oauth-protected-resource/mcp 200",
    "GET /.well-known/oauth-authorization-server 200",
    "POST /token 200",
];

#[test]
fn python_client_in_legacy_mode_gets_an_order_with_its_secret_by_basic() {
    gets_an_order(shared(), "legacy", BASIC, "2025-11-25");
}

#[test]
fn python_client_in_legacy_mode_gets_an_order_with_its_secret_in_the_body() {
    gets_an_order(shared(), "legacy", POST, "2025-11-25");
}

#[test]
fn python_client_in_auto_mode_gets_an_order_with_its_secret_by_basic() {
    gets_an_order(shared(), "auto", BASIC, "2026-07-28");
}

#[test]
fn python_client_in_auto_mode_gets_an_order_with_its_secret_in_the_body() {
    gets_an_order(shared(), "auto", POST, "2026-07-28");
}

#[test]
fn python_client_pinned_to_2026_07_28_gets_an_order_with_its_secret_by_basic() {
    gets_an_order(shared(), "2026-07-28", BASIC, "2026-07-28");
}

#[test]
fn python_client_pinned_to_2026_07_28_gets_an_order_with_its_secret_in_the_body() {
    gets_an_order(shared(), "2026-07-28", POST, "2026-07-28");
}

/// API Gateway is reported to rename `WWW-Authenticate`; the client then has to find the metadata by its path alone.
#[test]
fn python_client_finds_its_way_when_the_gateway_renames_the_challenge() {
    let server = Server::start(&["--remap-www-authenticate"]);
    for (mode, revision) in [("legacy", "2025-11-25"), ("auto", "2026-07-28"), ("2026-07-28", "2026-07-28")] {
        gets_an_order(&server, mode, BASIC, revision);
    }
}

#[test]
fn python_client_with_a_wrong_secret_gets_no_further_than_the_token_endpoint() {
    let server = shared();
    let (status, _, errors) = run(server, "auto", BASIC, "wrong");
    assert!(!status && errors.contains("invalid_client"), "{errors}");
}

#[track_caller]
fn gets_an_order(server: &Server, mode: &str, auth_method: &str, revision: &str) {
    let (status, output, errors) = run(server, mode, auth_method, &server.client_secret);
    assert!(status, "the client failed:\n{errors}");
    let seen: Value = serde_json::from_str(&output).unwrap_or_else(|_| panic!("{output}\n{errors}"));
    println!("mcp {} on Python {}: {mode}, {auth_method}, {revision}", seen["mcp"], seen["python"]);

    let exchanges: Vec<&str> =
        seen["exchanges"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let (discovery, calls) = exchanges.split_at(FROM_401_TO_A_TOKEN.len());
    assert_eq!(discovery, FROM_401_TO_A_TOKEN);
    assert!(calls.iter().all(|line| ["POST /mcp 200", "POST /mcp 202"].contains(line)), "{calls:?}");

    assert_eq!(seen["revision"], revision);
    assert_eq!(seen["tools"], json!(["get_order_status", "check_loyalty_points", "list_customer_orders"]));
    assert_eq!(
        seen["order"],
        json!({ "order_id": "1001", "status": "SHIPPED", "carrier": "UPS", "eta": "2026-07-03" })
    );
    assert_eq!((&seen["order_is_error"], &seen["missing_is_error"]), (&json!(false), &json!(true)));
    assert_eq!(seen["missing"], "There is no order no-such-order. Ask the customer to check the order number.");
}

/// Whether the client ended well, its standard output, its standard error.
#[track_caller]
fn run(server: &Server, mode: &str, auth_method: &str, secret: &str) -> (bool, String, String) {
    let python = repository().join(".tools/clients/bin/python");
    assert!(python.exists(), "{} is missing: run `.ci/tools clients` first", python.display());
    let output = Command::new(python)
        .arg(repository().join("tests/clients/python/mcp_client.py"))
        .args([&format!("{}/mcp", server.url), mode, auth_method])
        .env("CLIENT_ID", &server.client_id)
        .env("CLIENT_SECRET", secret)
        // A proxy of the machine is not for loopback; nothing is written into the repository.
        .env("NO_PROXY", "127.0.0.1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("Python starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the client writes UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}
