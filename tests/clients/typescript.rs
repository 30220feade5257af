//! The official TypeScript client, `@modelcontextprotocol/client`.

use std::fs::File;

use black_box::{Server, repository, shared};

use crate::{AUTO, BASIC, BEARER, LEGACY, PINNED, Run, assert_got_an_order, node, renaming, run};

#[tokio::test]
async fn typescript_client_in_legacy_mode_gets_an_order_with_its_secret_by_basic() {
    gets_an_order(LEGACY, BASIC).await;
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
async fn typescript_client_in_auto_mode_gets_an_order_with_a_token_from_elsewhere() {
    gets_an_order(AUTO, BEARER).await;
}

#[tokio::test]
async fn typescript_client_pinned_to_2026_07_28_gets_an_order_with_its_secret_by_basic() {
    gets_an_order(PINNED, BASIC).await;
}

#[tokio::test]
async fn typescript_client_pinned_to_2026_07_28_gets_an_order_with_a_token_from_elsewhere() {
    gets_an_order(PINNED, BEARER).await;
}

#[tokio::test]
async fn typescript_client_finds_its_way_in_every_mode_when_the_gateway_renames_the_challenge() {
    let token = renaming().token().await;
    for (mode, revision) in [LEGACY, AUTO, PINNED] {
        for auth in [BASIC, BEARER] {
            let run = run_client(renaming(), mode, auth, &renaming().client_secret, &token);
            assert_got_an_order(&run, auth, revision, true);
        }
    }
}

#[test]
fn typescript_client_with_a_wrong_secret_gets_no_further_than_the_token_endpoint() {
    let run = run_client(shared(), "auto", BASIC, "wrong", "");
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

#[track_caller]
fn run_client(server: &Server, mode: &str, auth: &str, secret: &str, token: &str) -> Run {
    let script = repository().join("tests/clients/typescript/mcp_client.mjs");
    let mut client = node();
    client.args(["--input-type=module", "-", &format!("{}/mcp", server.url), mode, auth]);
    client.stdin(File::open(script).unwrap());
    run(client.env("CLIENT_ID", &server.client_id).env("CLIENT_SECRET", secret).env("ACCESS_TOKEN", token))
}
