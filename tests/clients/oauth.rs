//! OAuth clients that others made: a token by every method that each of them has, used at the MCP endpoint.

use std::fs::File;
use std::process::Command;

use black_box::key_pair::KeyPair;
use black_box::{Server, repository, shared};
use jsonwebtoken::Algorithm;
use registry::AssertionAudience;
use serde_json::{Value, json};

use crate::{BASIC, POST, PRIVATE_KEY_JWT, Run, key_credentials, node, order_1001, run, tool};

const AUTHLIB: &str = "python/authlib_client.py";
const REQUESTS_OAUTHLIB: &str = "python/requests_oauthlib_client.py";
const OAUTH4WEBAPI: &str = "node/oauth4webapi_client.mjs";
const OPENID_CLIENT: &str = "node/openid_client.mjs";

/// What each says of 401 `invalid_client`: the last two read the challenge and leave the body alone.
const REFUSED: [(&str, &str); 4] = [
    (AUTHLIB, "invalid_client"),
    (REQUESTS_OAUTHLIB, "invalid_client"),
    (OAUTH4WEBAPI, "scheme: 'basic'"),
    (OPENID_CLIENT, "scheme: 'basic'"),
];

#[test]
fn authlib_gets_a_token_with_its_secret_by_basic() {
    gets_a_token_with_a_secret(AUTHLIB, BASIC);
}

#[test]
fn authlib_gets_a_token_with_its_secret_in_the_body() {
    gets_a_token_with_a_secret(AUTHLIB, POST);
}

#[tokio::test]
async fn authlib_gets_a_token_with_its_key() {
    gets_a_token_with_a_key(AUTHLIB, KeyPair::rsa(Algorithm::RS256)).await;
    gets_a_token_with_a_key(AUTHLIB, KeyPair::p256()).await;
}

#[tokio::test]
async fn authlib_may_name_the_token_endpoint_for_an_audience_where_the_client_is_registered_so() {
    let (key, endpoint) = (KeyPair::p256(), format!("{}/token", shared().url));
    for (audience, taken) in [(AssertionAudience::Issuer, false), (AssertionAudience::TokenEndpoint, true)] {
        let client_id = shared().new_client_with_keys(&[&key], |client| client.assertion_audience = audience).await;
        let credentials = [&key_credentials(&client_id, &key)[..], &[("AUDIENCE", endpoint.as_str())]].concat();
        let run = run_client(shared(), AUTHLIB, PRIVATE_KEY_JWT, &credentials);
        if taken {
            assert_used_its_token(&run, "the token endpoint for an audience");
        } else {
            assert_is_refused(&run, AUTHLIB, "invalid_client");
        }
    }
}

#[test]
fn requests_oauthlib_gets_a_token_with_its_secret_by_basic() {
    gets_a_token_with_a_secret(REQUESTS_OAUTHLIB, BASIC);
}

#[test]
fn requests_oauthlib_gets_a_token_with_its_secret_in_the_body() {
    gets_a_token_with_a_secret(REQUESTS_OAUTHLIB, POST);
}

#[test]
fn oauth4webapi_gets_a_token_with_its_secret_by_basic() {
    gets_a_token_with_a_secret(OAUTH4WEBAPI, BASIC);
}

#[test]
fn oauth4webapi_gets_a_token_with_its_secret_in_the_body() {
    gets_a_token_with_a_secret(OAUTH4WEBAPI, POST);
}

#[tokio::test]
async fn oauth4webapi_gets_a_token_with_its_key() {
    gets_a_token_with_a_key(OAUTH4WEBAPI, KeyPair::rsa(Algorithm::PS256)).await;
    gets_a_token_with_a_key(OAUTH4WEBAPI, KeyPair::p256()).await;
}

#[test]
fn openid_client_gets_a_token_with_its_secret_by_basic() {
    gets_a_token_with_a_secret(OPENID_CLIENT, BASIC);
}

#[test]
fn openid_client_gets_a_token_with_its_secret_in_the_body() {
    gets_a_token_with_a_secret(OPENID_CLIENT, POST);
}

#[tokio::test]
async fn openid_client_gets_a_token_with_its_key() {
    gets_a_token_with_a_key(OPENID_CLIENT, KeyPair::rsa(Algorithm::RS256)).await;
    gets_a_token_with_a_key(OPENID_CLIENT, KeyPair::p256()).await;
}

#[test]
fn every_client_with_a_wrong_secret_understands_that_it_is_refused() {
    for (script, says) in REFUSED {
        for method in [BASIC, POST] {
            let (client_id, _) = shared().new_client(&[]);
            let credentials = [("CLIENT_ID", client_id.as_str()), ("CLIENT_SECRET", "wrong")];
            assert_is_refused(&run_client(shared(), script, method, &credentials), script, says);
        }
    }
}

#[tokio::test]
async fn every_client_with_a_key_that_is_not_registered_understands_that_it_is_refused() {
    for (script, says) in REFUSED.into_iter().filter(|(script, _)| *script != REQUESTS_OAUTHLIB) {
        let (registered, other) = (KeyPair::p256(), KeyPair::p256());
        let client_id = shared().new_client_with_keys(&[&registered], |_| {}).await;
        let run = run_client(shared(), script, PRIVATE_KEY_JWT, &key_credentials(&client_id, &other));
        assert_is_refused(&run, script, says);
    }
}

#[test]
fn oauth4webapi_sees_its_token_end_within_ten_seconds_of_its_revocation() {
    for method in [BASIC, POST] {
        let (client_id, client_secret) = shared().new_client(&[]);
        follows_a_token(method, &client_id, &[("CLIENT_ID", &client_id), ("CLIENT_SECRET", &client_secret)]);
    }
}

#[tokio::test]
async fn oauth4webapi_with_a_key_sees_its_token_end_within_ten_seconds_of_its_revocation() {
    let key = KeyPair::p256();
    let client_id = shared().new_client_with_keys(&[&key], |_| {}).await;
    follows_a_token(PRIVATE_KEY_JWT, &client_id, &key_credentials(&client_id, &key));
}

#[track_caller]
fn gets_a_token_with_a_secret(script: &str, method: &str) {
    // The client may use this method and no other.
    let (client_id, client_secret) = shared().new_client(&["--auth-method", method]);
    let credentials = [("CLIENT_ID", client_id.as_str()), ("CLIENT_SECRET", &client_secret)];
    assert_used_its_token(&run_client(shared(), script, method, &credentials), method);
}

async fn gets_a_token_with_a_key(script: &str, key: KeyPair) {
    let client_id = shared().new_client_with_keys(&[&key], |_| {}).await;
    let run = run_client(shared(), script, PRIVATE_KEY_JWT, &key_credentials(&client_id, &key));
    assert_used_its_token(&run, &format!("{PRIVATE_KEY_JWT} by {}", key.alg()));
}

#[track_caller]
fn run_client(server: &Server, script: &str, method: &str, credentials: &[(&str, &str)]) -> Run {
    let path = repository().join("tests/clients").join(script);
    let mut client = if script.ends_with(".py") {
        let mut python = Command::new(tool("clients", "clients/bin/python"));
        python.arg("-B").arg(path);
        python
    } else {
        let mut node = node();
        node.args(["--input-type=module", "-"]).stdin(File::open(path).unwrap());
        node
    };
    client.args([&server.url, method]).envs(credentials.iter().copied());
    run(&mut client)
}

#[track_caller]
fn assert_used_its_token(run: &Run, method: &str) {
    assert_eq!(run.code, Some(0), "the client failed:\n{}", run.errors);
    let seen: Value = serde_json::from_str(&run.output).unwrap_or_else(|_| panic!("{}\n{}", run.output, run.errors));
    println!("{}: {method}", seen["client"]);
    // RFC 6749 §5.1: the type is read in any case, and some clients write it in theirs.
    assert!(seen["token"]["token_type"].as_str().unwrap().eq_ignore_ascii_case("bearer"), "{seen}");
    assert_eq!((&seen["token"]["expires_in"], &seen["token"]["scope"]), (&json!(900), &json!("mcp.read")));
    assert_eq!(seen["status"], 200, "{seen}");
    assert_eq!(seen["answer"]["result"]["structuredContent"], order_1001(), "{seen}");
}

#[track_caller]
fn assert_is_refused(run: &Run, script: &str, says: &str) {
    assert!(run.code != Some(0) && run.output.is_empty(), "{script}: {}", run.output);
    assert!(run.errors.contains(says), "{script}: {}", run.errors);
}

#[track_caller]
fn follows_a_token(method: &str, client_id: &str, credentials: &[(&str, &str)]) {
    let run = run_client(shared(), "node/oauth4webapi_token_life.mjs", method, credentials);
    assert_eq!(run.code, Some(0), "the client failed:\n{}", run.errors);
    let seen: Value = serde_json::from_str(&run.output).unwrap();
    println!("{}: {method}, refused {} s after its revocation", seen["client"], seen["after"]["seconds"]);

    let introspection = &seen["before"]["introspection"];
    assert_eq!((&introspection["active"], &introspection["scope"]), (&json!(true), &json!("mcp.read")), "{seen}");
    assert_eq!(introspection["client_id"], client_id);
    assert_eq!(introspection["aud"], format!("{}/mcp", shared().url));
    assert_eq!(seen["before"]["call"], json!({ "status": 200 }));
    assert_eq!(seen["after"]["introspection"], json!({ "active": false }));
    assert_eq!(seen["after"]["call"], json!({ "status": 401, "error": "invalid_token" }));
    let seconds = seen["after"]["seconds"].as_f64().unwrap();
    assert!(seconds < 11.0, "{seconds} s");
}
