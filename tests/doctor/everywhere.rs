//! What can go wrong with any request. It is told once, whatever it hits afterwards.

use std::sync::Arc;
use std::time::Duration;

use black_box::Server;

use crate::stage::{Answered, Asked, Change, examine, stage};

const PAGE: &str = "<!doctype html><html><head><title>Sign in</title></head></html>";

fn everywhere(change: fn(&mut Answered)) -> Change {
    Arc::new(move |_, answered| change(answered))
}

fn at_the_server(change: fn(&mut Answered)) -> Change {
    Arc::new(move |asked, answered| {
        if asked.path == "/mcp" {
            change(answered);
        }
    })
}

fn forbid(answered: &mut Answered) {
    answered.replace(
        403,
        "text/html",
        "<html><head><title>ERROR: The request could not be satisfied</title></head></html>",
    );
}

#[test]
fn a_web_page_instead_of_json() {
    let change = |answered: &mut Answered| answered.replace(200, "text/html; charset=utf-8", PAGE);
    let findings = stage().expect("everywhere", everywhere(change), &["token_body.html"]);
    let seen = findings.get("token_body.html")["seen"].as_str().unwrap();
    assert_eq!(seen, "200 text/html, page \"Sign in\"");
    assert!(findings.get("not_checked.skipped")["seen"].as_str().unwrap().contains("because of token_body.html"));

    stage().expect("at the server", at_the_server(change), &["initialize.html"]);
}

#[test]
fn a_firewall() {
    stage().expect("everywhere", everywhere(forbid), &["token_body.blocked"]);
    stage().expect("at the server", at_the_server(forbid), &["initialize.blocked"]);
    let gateway = |answered: &mut Answered| answered.replace(403, "application/json", r#"{"message":"Forbidden"}"#);
    stage().expect("no mapping", at_the_server(gateway), &["initialize.blocked"]);
}

#[test]
fn a_firewall_that_minds_the_user_agent_of_salesforce() {
    let change: Change = Arc::new(|asked: &Asked, answered: &mut Answered| {
        if asked.header("user-agent").is_some_and(|agent| agent.starts_with("SFDC-Callout")) {
            forbid(answered);
        }
    });
    stage().expect("user agent", change, &["token_body.blocked"]);
}

#[test]
fn a_redirect() {
    let change = |answered: &mut Answered| {
        answered.replace(301, "text/html", "");
        answered.set("location", "https://www.example.com/");
    };
    let findings = stage().expect("everywhere", everywhere(change), &["token_body.redirected"]);
    let seen = findings.get("token_body.redirected")["seen"].as_str().unwrap();
    assert!(seen.contains("https://www.example.com/"), "{seen}");
    stage().expect("at the server", at_the_server(change), &["initialize.redirected"]);
}

#[test]
fn a_path_that_is_not_there() {
    let change = |answered: &mut Answered| answered.replace(404, "application/json", r#"{"message":"Not Found"}"#);
    stage().expect("at the server", at_the_server(change), &["initialize.not_found"]);
    let at_the_token: Change = Arc::new(move |asked, answered| {
        if asked.is_token() {
            change(answered);
        }
    });
    stage().expect("at the token endpoint", at_the_token, &["token_body.not_found"]);
}

#[test]
fn failures_of_the_gateway() {
    for (status, message, expected) in [
        (500, "Internal Server Error", "initialize.server_error"),
        (503, "Service Unavailable", "initialize.server_error"),
        (504, "Endpoint request timed out", "initialize.gateway_timeout"),
        (429, "Too Many Requests", "initialize.throttled"),
    ] {
        let change: Change = Arc::new(move |asked, answered| {
            if asked.path == "/mcp" {
                answered.replace(status, "application/json", format!("{{\"message\":\"{message}\"}}"));
            }
        });
        stage().expect(message, change, &[expected]);
    }
}

#[test]
fn a_connection_that_ends() {
    stage().expect("at the server", at_the_server(|answered| answered.hang_up = true), &["initialize.broken"]);
}

#[test]
fn a_body_that_is_no_json() {
    let change = |answered: &mut Answered| answered.replace(200, "application/json", "OK");
    stage().expect("at the server", at_the_server(change), &["initialize.not_json"]);
}

/// A tenth of the limits of Salesforce.
const SCALE: [&str; 2] = ["--time-scale", "0.1"];

#[test]
fn an_answer_that_salesforce_does_not_wait_for() {
    let change: Change = Arc::new(|asked, answered| {
        if asked.is_token() {
            answered.delay = Duration::from_millis(1500);
        }
    });
    stage().expect_with(&SCALE, "token", change, &["token_body.no_answer"]);
    let change: Change = Arc::new(|asked, answered| {
        if asked.is_mcp() {
            answered.delay = Duration::from_millis(7000);
        }
    });
    stage().expect_with(&SCALE, "server", change, &["initialize.no_answer"]);
}

#[test]
fn answers_that_are_slow() {
    let change: Change = Arc::new(|asked, answered| {
        if asked.is_token() && asked.form("client_secret").is_empty() {
            answered.delay = Duration::from_millis(700);
        }
        if asked.is_mcp() && asked.rpc() == "tools/call" {
            answered.delay = Duration::from_millis(2500);
        }
    });
    let arguments = [&SCALE[..], &["--call", "get_order_status", "order_id=1001"]].concat();
    stage().expect_with(&arguments, "slow", change, &["token_time.slow", "mcp_time.slow"]);
}

#[test]
fn a_stack_with_another_public_url() {
    let server = Server::start(&["--public-url", "https://mcp.example.com"]);
    let findings = examine(&server.url, server.home(), &[], &[]);
    findings.assert(
        "public URL",
        &[
            "token_claims.issuer",
            "initialize.wrong_host",
            "resource_metadata.resource",
            "resource_metadata.authorization_server",
            "server_metadata.issuer",
            "server_metadata.token_endpoint",
        ],
    );
}
