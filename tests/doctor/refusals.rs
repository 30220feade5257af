//! Servers that refuse a bad token in a way that Salesforce does not understand, or not at all.

use black_box::Server;
use jsonwebtoken::Algorithm;
use serde_json::json;
use std::sync::Arc;

use black_box::forge::{Forge, now};

use crate::stage::{Answered, Change, examine, stage};

/// Changes every 401 of the server.
fn to_refusals(change: fn(&mut Answered)) -> Change {
    Arc::new(move |asked, answered| {
        if asked.is_mcp() && answered.status == 401 {
            change(answered);
        }
    })
}

#[test]
fn a_403_instead_of_a_401() {
    let expected = ["no_token.forbidden", "bad_token.forbidden", "altered_token.forbidden"];
    stage().expect("as JSON", to_refusals(|answered| answered.status = 403), &expected);
    let gateway = to_refusals(|answered| answered.replace(403, "application/json", r#"{"message":"Forbidden"}"#));
    let findings = stage().expect("of an authorizer", gateway, &expected);
    let cause = findings.get("bad_token.forbidden")["cause"].as_str().unwrap();
    assert!(cause.contains("a new token after a 401 alone"), "{cause}");
}

#[test]
fn an_expired_token_that_is_refused_with_403_or_accepted() {
    let stage = stage();
    let forge = Forge::with_key_in(stage.server.home(), &stage.url, Algorithm::RS256);
    let expired = forge.claims(json!({ "iat": now() - 7200, "exp": now() - 3600 }));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("expired");
    std::fs::write(&file, &expired).unwrap();
    let arguments = ["--expired-token", file.to_str().unwrap()];
    for (status, expected) in [(403, "expired_token.forbidden"), (400, "expired_token.status")] {
        let header = format!("Bearer {expired}");
        let change: Change = Arc::new(move |asked, answered| {
            if asked.header("authorization") == Some(&header) {
                answered.status = status;
            }
        });
        stage.expect_with(&arguments, expected, change, &[expected]);
    }
}

#[test]
fn a_refusal_with_another_status() {
    let change = to_refusals(|answered| answered.status = 400);
    stage().expect("400", change, &["no_token.status", "bad_token.status", "altered_token.status"]);
}

#[test]
fn a_server_that_lets_everybody_in() {
    let change = to_refusals(|answered| {
        let result = json!({ "jsonrpc": "2.0", "id": 1, "result": { "protocolVersion": "2025-06-18" } });
        answered.replace(200, "application/json", result.to_string());
    });
    stage().expect("open", change, &["no_token.accepted", "bad_token.accepted", "altered_token.accepted"]);
}

#[test]
fn a_signature_that_nobody_checks() {
    let change: Change = Arc::new(|asked, answered| {
        let jwt = asked.header("authorization").is_some_and(|value| value.starts_with("Bearer eyJ"));
        if asked.is_mcp() && answered.status == 401 && jwt {
            let result = json!({ "jsonrpc": "2.0", "id": 1, "result": { "protocolVersion": "2025-06-18" } });
            answered.replace(200, "application/json", result.to_string());
        }
    });
    stage().expect("unchecked", change, &["altered_token.accepted"]);
}

#[test]
fn a_challenge_that_is_renamed() {
    // As API Gateway does it.
    let server = Server::start(&["--remap-www-authenticate"]);
    examine(&server.url, server.home(), &[], &[]).assert("renamed", &["challenge.renamed"]);
    let change = to_refusals(|answered| {
        answered.headers.remove("www-authenticate").unwrap();
        assert!(answered.headers.contains_key("northstar-challenge"));
    });
    let findings = stage().expect("our own header", change, &["challenge.renamed"]);
    let fix = findings.get("challenge.renamed")["fix"].as_str().unwrap();
    assert!(fix.contains("MapChallengeHeader=yes"), "{fix}");
}

#[test]
fn a_challenge_that_is_missing_or_says_nothing() {
    let change = to_refusals(|answered| {
        answered.headers.remove("www-authenticate");
        answered.headers.remove("northstar-challenge");
    });
    stage().expect("missing", change, &["challenge.missing"]);
    let change = to_refusals(|answered| answered.set("www-authenticate", "Bearer realm=\"mcp\""));
    stage().expect("no metadata", change, &["challenge.no_metadata"]);
}
