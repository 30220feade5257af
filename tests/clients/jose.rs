//! JOSE libraries that others made verify our tokens with the published keys, and refuse what is not one.

use std::fs::File;
use std::process::Command;

use black_box::{repository, shared};
use serde_json::{Value, json};

use crate::{Run, node, run, tool};

#[tokio::test]
async fn pyjwt_verifies_our_tokens_and_no_others() {
    verifies_our_tokens_and_no_others(|tokens| with_python("pyjwt", tokens)).await;
}

#[tokio::test]
async fn joserfc_verifies_our_tokens_and_no_others() {
    verifies_our_tokens_and_no_others(|tokens| with_python("joserfc", tokens)).await;
}

#[tokio::test]
async fn jwcrypto_verifies_our_tokens_and_no_others() {
    verifies_our_tokens_and_no_others(|tokens| with_python("jwcrypto", tokens)).await;
}

#[tokio::test]
async fn jose_verifies_our_tokens_and_no_others() {
    verifies_our_tokens_and_no_others(with_node).await;
}

async fn verifies_our_tokens_and_no_others(library: impl Fn(&str) -> Run) {
    let (client_id, client_secret) = shared().new_client(&[]);
    let form =
        [("grant_type", "client_credentials"), ("client_id", client_id.as_str()), ("client_secret", &client_secret)];
    let answer = shared().request("POST", "/token").form(&form).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let audience = format!("{}/mcp", shared().url);
    let mut tokens: Vec<(String, &str)> = vec![(token.to_owned(), &audience)];
    tokens.extend((0..3).map(|part| (with_one_character_flipped(token, part), audience.as_str())));
    let longer = format!("{audience}2");
    tokens.extend([&longer, &shared().url, "https://other.example/mcp"].map(|other| (token.to_owned(), other)));

    let run = library(&json!(tokens).to_string());
    assert_eq!(run.code, Some(0), "the library failed:\n{}", run.errors);
    let seen: Value = serde_json::from_str(&run.output).unwrap();
    println!("{}: {}", seen["client"], seen["verdicts"]);
    let (good, bad) = seen["verdicts"].as_array().unwrap().split_first().unwrap();
    let claims = ["iss", "sub", "aud", "client_id", "scope"].map(|name| good[name].as_str().unwrap_or_default());
    let subject = format!("client:{client_id}");
    assert_eq!(claims, [shared().url.as_str(), &subject, &audience, &client_id, "mcp.read"], "{good}");
    assert!(bad.len() == 6 && bad.iter().all(Value::is_string), "only the name of an error: {bad:#?}");
}

/// Another character in the middle of one of the three parts.
fn with_one_character_flipped(token: &str, part: usize) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let middle = parts[part].len() / 2;
    let other = if parts[part].as_bytes()[middle] == b'A' { "B" } else { "A" };
    parts[part].replace_range(middle..=middle, other);
    parts.join(".")
}

fn with_python(library: &str, tokens: &str) -> Run {
    let mut python = Command::new(tool("clients", "clients/bin/python"));
    python.arg("-B").arg(repository().join("tests/clients/python/verify.py")).args([library, &shared().url]);
    run(python.env("TOKENS", tokens))
}

fn with_node(tokens: &str) -> Run {
    let script = File::open(repository().join("tests/clients/node/verify.mjs")).unwrap();
    let mut node = node();
    node.args(["--input-type=module", "-", &shared().url]).stdin(script);
    run(node.env("TOKENS", tokens))
}
