//! Where all is well, every finding is PASS.

use jsonwebtoken::Algorithm;
use serde_json::json;

use black_box::forge::{Forge, now};
use black_box::shared;

use crate::stage::{examine, stage, unchanged};

/// Every check, in the order of Agentforce and then of others.
const CHECKS: [&str; 30] = [
    "url",
    "dns",
    "connect",
    "credentials",
    "token_body",
    "token_basic",
    "token_comma",
    "wrong_secret",
    "token_claims",
    "clock",
    "initialize",
    "initialized",
    "tools_list",
    "tool_names",
    "input_schemas",
    "descriptions",
    "output_schemas",
    "get",
    "session",
    "no_revision_header",
    "delete",
    "no_token",
    "bad_token",
    "altered_token",
    "challenge",
    "revisions",
    "resource_metadata",
    "server_metadata",
    "signing_key",
    "token_time",
];

#[test]
fn a_healthy_server_passes_throughout() {
    let server = shared();
    let findings = examine(&server.url, server.home(), &[], &[]);
    findings.assert("healthy", &[]);
    let ids: Vec<&str> = findings.all.iter().map(|finding| finding["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&CHECKS[..], &["mcp_time"]].concat());
    for finding in &findings.all {
        assert_eq!((&finding["status"], &finding["cause"], &finding["fix"]), (&json!("PASS"), &json!(""), &json!("")));
        assert_ne!(finding["seen"], "", "{finding}");
    }
}

#[test]
fn a_healthy_server_passes_with_a_tool_a_server_and_a_slash_at_the_end_of_the_url() {
    let server = shared();
    for (tool, argument) in [
        ("get_order_status", "order_id=1001"),
        ("check_loyalty_points", "customer_id=C-0001"),
        ("list_customer_orders", "customer_id=C-0001"),
    ] {
        let arguments = ["--server", "default", "--scope", "mcp.read, mcp.write", "--call", tool, argument];
        let findings = examine(&format!("{}/", server.url), server.home(), &arguments, &[]);
        findings.assert(tool, &[]);
        findings.get("call");
    }
}

#[test]
fn an_expired_token_is_tried_when_there_is_one() {
    let stage = stage();
    let forge = Forge::with_key_in(stage.server.home(), &stage.url, Algorithm::RS256);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("expired");
    std::fs::write(&file, forge.claims(json!({ "iat": now() - 7200, "exp": now() - 3600 })) + "\n").unwrap();
    let findings = stage.expect_with(&["--expired-token", file.to_str().unwrap()], "expired", unchanged(), &[]);
    assert!(findings.get("expired_token")["seen"].as_str().unwrap().starts_with("401"), "{}", findings.output);

    // The same check with a token that is still good.
    std::fs::write(&file, forge.good()).unwrap();
    let arguments = ["--expired-token", file.to_str().unwrap()];
    stage.expect_with(&arguments, "not expired", unchanged(), &["expired_token.accepted"]);
}

#[test]
fn the_parts_of_a_foreign_layout_are_named_one_by_one() {
    let stage = stage();
    let (token, mcp) = (format!("{}/token", stage.url), format!("{}/mcp", stage.url));
    let arguments = ["--token-url", &token, "--mcp-url", &mcp];
    stage.expect_with(&arguments, "by both URLs", unchanged(), &[]);
}
