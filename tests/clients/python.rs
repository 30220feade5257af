//! The official Python client, `mcp`.

use std::process::Command;

use black_box::{Server, repository, shared};

use crate::{AUTO, BASIC, LEGACY, PINNED, POST, Run, assert_got_an_order, renaming, run, tool};

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
    let run = run_client(shared(), "auto", BASIC, "wrong");
    assert!(run.code != Some(0) && run.errors.contains("invalid_client"), "{}", run.errors);
}

#[track_caller]
fn gets_an_order((mode, revision): (&str, &str), auth: &str) {
    let run = run_client(shared(), mode, auth, &shared().client_secret);
    assert_got_an_order(&run, auth, revision, false);
}

#[track_caller]
fn run_client(server: &Server, mode: &str, auth: &str, secret: &str) -> Run {
    let mut client = Command::new(tool("clients", "clients/bin/python"));
    client.arg(repository().join("tests/clients/python/mcp_client.py"));
    client.args([&format!("{}/mcp", server.url), mode, auth]);
    client.env("CLIENT_ID", &server.client_id).env("CLIENT_SECRET", secret);
    // Nothing is written into the repository.
    run(client.env("PYTHONDONTWRITEBYTECODE", "1"))
}
