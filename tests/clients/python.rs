//! The official Python client, `mcp`.

use std::process::Command;

use black_box::key_pair::KeyPair;
use black_box::{Server, repository, shared};
use jsonwebtoken::Algorithm;

use crate::{
    AUTO, BASIC, LEGACY, PINNED, POST, PRIVATE_KEY_JWT, Run, assert_got_an_order, key_credentials, renaming, run, tool,
};

#[test]
fn python_client_in_legacy_mode_gets_an_order_with_its_secret_by_basic() {
    gets_an_order(LEGACY, BASIC);
}

#[test]
fn python_client_in_legacy_mode_gets_an_order_with_its_secret_in_the_body() {
    gets_an_order(LEGACY, POST);
}

#[test]
fn python_client_in_auto_mode_gets_an_order_with_its_secret_by_basic() {
    gets_an_order(AUTO, BASIC);
}

#[test]
fn python_client_in_auto_mode_gets_an_order_with_its_secret_in_the_body() {
    gets_an_order(AUTO, POST);
}

#[test]
fn python_client_pinned_to_2026_07_28_gets_an_order_with_its_secret_by_basic() {
    gets_an_order(PINNED, BASIC);
}

#[test]
fn python_client_pinned_to_2026_07_28_gets_an_order_with_its_secret_in_the_body() {
    gets_an_order(PINNED, POST);
}

#[tokio::test]
async fn python_client_gets_an_order_in_every_mode_with_its_key() {
    for ((mode, revision), key) in [(LEGACY, KeyPair::p256()), (AUTO, rsa()), (PINNED, KeyPair::p256())] {
        let client_id = shared().new_client_with_keys(&[&key], |_| {}).await;
        let run = run_with(shared(), mode, PRIVATE_KEY_JWT, &key_credentials(&client_id, &key));
        assert_got_an_order(&run, PRIVATE_KEY_JWT, revision, false);
    }
}

#[tokio::test]
async fn python_client_with_a_key_that_is_not_registered_gets_no_further_than_the_token_endpoint() {
    let client_id = shared().new_client_with_keys(&[&KeyPair::p256()], |_| {}).await;
    let run = run_with(shared(), "auto", PRIVATE_KEY_JWT, &key_credentials(&client_id, &KeyPair::p256()));
    assert!(run.code != Some(0) && run.errors.contains("invalid_client"), "{}", run.errors);
}

#[test]
fn python_client_finds_its_way_in_every_mode_when_the_gateway_renames_the_challenge() {
    for (mode, revision) in [LEGACY, AUTO, PINNED] {
        for auth in [BASIC, POST] {
            let run = run_client(renaming(), mode, auth, &renaming().client_secret);
            assert_got_an_order(&run, auth, revision, true);
        }
    }
}

#[test]
fn python_client_with_a_wrong_secret_gets_no_further_than_the_token_endpoint() {
    let (client_id, _) = shared().new_client(&[]);
    let run = run_with(shared(), "auto", BASIC, &[("CLIENT_ID", &client_id), ("CLIENT_SECRET", "wrong")]);
    assert!(run.code != Some(0) && run.errors.contains("invalid_client"), "{}", run.errors);
}

#[track_caller]
fn gets_an_order((mode, revision): (&str, &str), auth: &str) {
    let run = run_client(shared(), mode, auth, &shared().client_secret);
    assert_got_an_order(&run, auth, revision, false);
}

fn rsa() -> KeyPair {
    KeyPair::rsa(Algorithm::RS256)
}

/// As the demo client.
#[track_caller]
fn run_client(server: &Server, mode: &str, auth: &str, secret: &str) -> Run {
    run_with(server, mode, auth, &[("CLIENT_ID", &server.client_id), ("CLIENT_SECRET", secret)])
}

#[track_caller]
fn run_with(server: &Server, mode: &str, auth: &str, credentials: &[(&str, &str)]) -> Run {
    let mut client = Command::new(tool("clients", "clients/bin/python"));
    client.arg(repository().join("tests/clients/python/mcp_client.py"));
    client.args([&format!("{}/mcp", server.url), mode, auth]);
    client.envs(credentials.iter().copied());
    // Nothing is written into the repository.
    run(client.env("PYTHONDONTWRITEBYTECODE", "1"))
}
