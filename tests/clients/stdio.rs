//! The official clients over `northstar stdio`, as the local server that they start themselves.

use std::fs::File;
use std::process::Command;

use black_box::{Server, binary, repository, shared};
use serde_json::{Value, json};

use crate::{AUTO, LEGACY, NO_ORDER, PINNED, Run, TOOLS, node, order_1001, run, tool};

#[test]
fn python_client_over_stdio_gets_an_order_in_every_mode() {
    for (mode, revision) in [LEGACY, AUTO, PINNED] {
        assert_got_orders(&run_python(shared(), mode, &shared().client_secret), revision);
    }
}

#[test]
fn typescript_client_over_stdio_gets_an_order_in_every_mode() {
    for (mode, revision) in [LEGACY, AUTO, PINNED] {
        assert_got_orders(&run_typescript(shared(), mode, &shared().client_secret), revision);
    }
}

#[test]
fn clients_over_stdio_with_a_wrong_secret_are_told_why() {
    let server = Server::start(&[]);
    for run in [run_python(&server, "legacy", "wrong"), run_typescript(&server, "legacy", "wrong")] {
        assert!(run.code != Some(0) && run.errors.contains("there is no access token: "), "{}", run.errors);
    }
}

#[track_caller]
fn run_python(server: &Server, mode: &str, secret: &str) -> Run {
    let mut client = Command::new(tool("clients", "clients/bin/python"));
    client.arg(repository().join("tests/clients/python/mcp_stdio_client.py"));
    run_with(client.env("PYTHONDONTWRITEBYTECODE", "1"), server, mode, secret)
}

#[track_caller]
fn run_typescript(server: &Server, mode: &str, secret: &str) -> Run {
    let script = repository().join("tests/clients/typescript/mcp_stdio_client.mjs");
    let mut client = node();
    client.args(["--input-type=module", "-"]).stdin(File::open(script).unwrap());
    run_with(&mut client, server, mode, secret)
}

#[track_caller]
fn run_with(client: &mut Command, server: &Server, mode: &str, secret: &str) -> Run {
    client.arg(binary("northstar")).arg(mode);
    client.envs([("CLIENT_ID", server.client_id.as_str()), ("CLIENT_SECRET", secret), ("PUBLIC_URL", &server.url)]);
    run(client)
}

#[track_caller]
fn assert_got_orders(run: &Run, revision: &str) {
    assert_eq!(run.code, Some(0), "the client failed:\n{}", run.errors);
    let seen: Value = serde_json::from_str(&run.output).unwrap_or_else(|_| panic!("{}\n{}", run.output, run.errors));
    println!("{}: stdio, {revision}", seen["client"]);
    assert_eq!(seen["revision"], revision);
    assert_eq!(seen["tools"], json!(TOOLS));
    assert_eq!((&seen["order"], &seen["order_is_error"]), (&order_1001(), &json!(false)));
    assert_eq!((&seen["missing"], &seen["missing_is_error"]), (&json!(NO_ORDER), &json!(true)));
    assert_eq!(seen["many"], 32);
}
