//! The official TypeScript client, `@modelcontextprotocol/client`.

use std::fs::File;

use black_box::key_pair::KeyPair;
use black_box::{Server, repository, shared};
use jsonwebtoken::Algorithm;

use crate::{
    AUTO, BASIC, BEARER, LEGACY, PINNED, POST, PRIVATE_KEY_JWT, Run, assert_got_an_order, key_credentials, node,
    renaming, run,
};

#[tokio::test]
async fn typescript_client_in_legacy_mode_gets_an_order_with_its_secret_by_basic() {
    gets_an_order(LEGACY, BASIC).await;
}

#[tokio::test]
async fn typescript_client_in_legacy_mode_gets_an_order_with_its_secret_in_the_body() {
    gets_an_order(LEGACY, POST).await;
}

#[tokio::test]
async fn typescript_client_in_legacy_mode_gets_an_order_with_a_token_from_elsewhere() {
    gets_an_order(LEGACY, BEARER).await;
}

#[tokio::test]
async fn typescript_client_in_auto_mode_gets_an_order_with_its_secret_by_basic() {
    gets_an_order(AUTO, BASIC).await;
}

#[tokio::test]
async fn typescript_client_in_auto_mode_gets_an_order_with_its_secret_in_the_body() {
    gets_an_order(AUTO, POST).await;
}

#[tokio::test]
async fn typescript_client_in_auto_mode_gets_an_order_with_a_token_from_elsewhere() {
    gets_an_order(AUTO, BEARER).await;
}

#[tokio::test]
async fn typescript_client_pinned_to_2026_07_28_gets_an_order_with_its_secret_by_basic() {
    gets_an_order(PINNED, BASIC).await;
}

#[tokio::test]
async fn typescript_client_pinned_to_2026_07_28_gets_an_order_with_its_secret_in_the_body() {
    gets_an_order(PINNED, POST).await;
}

#[tokio::test]
async fn typescript_client_pinned_to_2026_07_28_gets_an_order_with_a_token_from_elsewhere() {
    gets_an_order(PINNED, BEARER).await;
}

#[tokio::test]
async fn typescript_client_gets_an_order_in_every_mode_with_its_key() {
    let rsa = KeyPair::rsa(Algorithm::RS256);
    for ((mode, revision), key) in [(LEGACY, KeyPair::p256()), (AUTO, rsa), (PINNED, KeyPair::p256())] {
        let client_id = shared().new_client_with_keys(&[&key], |_| {}).await;
        let run = run_with(shared(), mode, PRIVATE_KEY_JWT, &key_credentials(&client_id, &key));
        assert_got_an_order(&run, PRIVATE_KEY_JWT, revision, false);
    }
}

#[tokio::test]
async fn typescript_client_with_a_key_that_is_not_registered_gets_no_further_than_the_token_endpoint() {
    let client_id = shared().new_client_with_keys(&[&KeyPair::p256()], |_| {}).await;
    let run = run_with(shared(), "auto", PRIVATE_KEY_JWT, &key_credentials(&client_id, &KeyPair::p256()));
    assert!(run.code != Some(0) && run.errors.contains("invalid_client"), "{}", run.errors);
}

#[tokio::test]
async fn typescript_client_finds_its_way_in_every_mode_when_the_gateway_renames_the_challenge() {
    let token = renaming().token().await;
    for (mode, revision) in [LEGACY, AUTO, PINNED] {
        for auth in [BASIC, POST, BEARER] {
            let run = run_client(renaming(), mode, auth, &renaming().client_secret, &token);
            assert_got_an_order(&run, auth, revision, true);
        }
    }
}

#[test]
fn typescript_client_with_a_wrong_secret_gets_no_further_than_the_token_endpoint() {
    let (client_id, _) = shared().new_client(&[]);
    let run = run_with(shared(), "auto", BASIC, &[("CLIENT_ID", &client_id), ("CLIENT_SECRET", "wrong")]);
    assert!(run.code != Some(0) && run.errors.contains("invalid_client"), "{}", run.errors);
}

#[test]
fn typescript_client_with_a_wrong_token_gets_no_further_than_401() {
    let run = run_client(shared(), "auto", BEARER, "", "wrong");
    assert!(run.code != Some(0) && run.errors.contains("401"), "{}", run.errors);
}

async fn gets_an_order((mode, revision): (&str, &str), auth: &str) {
    let token = shared().token().await;
    let run = run_client(shared(), mode, auth, &shared().client_secret, &token);
    assert_got_an_order(&run, auth, revision, false);
}

/// As the demo client, or with a token from elsewhere.
#[track_caller]
fn run_client(server: &Server, mode: &str, auth: &str, secret: &str, token: &str) -> Run {
    let credentials = [("CLIENT_ID", server.client_id.as_str()), ("CLIENT_SECRET", secret), ("ACCESS_TOKEN", token)];
    run_with(server, mode, auth, &credentials)
}

#[track_caller]
fn run_with(server: &Server, mode: &str, auth: &str, credentials: &[(&str, &str)]) -> Run {
    let script = repository().join("tests/clients/typescript/mcp_client.mjs");
    let mut client = node();
    client.args(["--input-type=module", "-", &format!("{}/mcp", server.url), mode, auth]);
    client.stdin(File::open(script).unwrap());
    run(client.envs(credentials.iter().copied()))
}
