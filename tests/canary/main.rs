//! No secret comes out where it is not meant to: each place where one is or may be put carries a canary, the programs
//! run with everything switched on that makes a program talk, and all that they write is searched.
//!
//! Searched are logs, standard output and error, request lines, error answers and the headers of all answers, reports to
//! the Runtime API, and the files of the home. Not searched is what a secret goes out by: the answers 200 of `/token`
//! and of tools, and the one line of a command that prints a new secret.

mod answering;
mod commands;
mod finder;
mod functions;
mod panics;
mod requests;
mod run;

use std::path::Path;
use std::time::Instant;

use black_box::forge::Forge;
use black_box::key_pair::KeyPair;
use black_box::{Server, repository};
use jsonwebtoken::Algorithm;
use registry::ClientKeys;
use serde_json::{Value, json};

use requests::{Callers, to_mcp, to_token};
use run::{Run, TABLES};

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_comes_out_where_it_is_not_meant_to() {
    let start = Instant::now();
    let run = Run::default();
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(home.path(), &run::environment(&run));
    let callers = callers(&run, &server).await;

    functions::put_orders(&run, &server).await;
    let requests = async {
        for request in to_token(&run, &server, &callers).iter().chain(&to_mcp(&run, &server, &callers)) {
            request.send(&run, &server).await;
        }
    };
    tokio::join!(
        requests,
        functions::every_event(&run, &server, &callers),
        functions::without_a_store(&run, "token", &server, to_token(&run, &server, &callers)),
        functions::without_a_store(&run, "mcp", &server, to_mcp(&run, &server, &callers)),
        functions::damaged(&run, &server, &callers),
        panics::tools_panic(&run, &server),
        rotations(&run, &server),
    );
    tokio::task::block_in_place(|| commands::on(&run, Some(&server), home.path(), &callers));

    run.plant_secrets_of(home.path());
    assert!(server.end_with_stdin().success());
    tokio::task::block_in_place(|| {
        commands::on(&run, None, home.path(), &callers);
        commands::on_damaged_files(&run, home.path());
    });
    run.plant_secrets_of(home.path());
    capture_files(&run, home.path());
    let (canaries, sources, bytes) = run.assert_silence();
    println!("{canaries} canaries, {sources} sources of {bytes} bytes in {:.1} s", start.elapsed().as_secs_f64());
}

/// Rotations with every source of secrets.
async fn rotations(run: &Run, server: &Server) {
    let clients = [(); 2].map(|()| server.new_client(&[]));
    // First: when the keys in the file have been rotated, they wait for the new one to sign.
    if repository().join(".tools/ministack/bin/ministack").exists() {
        functions::rotation_over_secrets_manager(run, server, &clients[0].0).await;
    } else {
        println!("not over Secrets Manager: run `.ci/tools ministack` first");
    }
    functions::rotation_over_the_file(run, server, &clients[1].0).await;
    functions::test_at_an_echo(run, server, &clients[1].0, &clients[1].1).await;
}

/// Clients with every kind of secret.
async fn callers(run: &Run, server: &Server) -> Callers {
    let (client_id, previous_secret) = server.new_client(&["--scope", "mcp.write"]);
    let rotated = server.json_command(&["client", "rotate", &client_id]);
    let client_secret = rotated["client_secret"].as_str().unwrap().to_owned();
    let key = KeyPair::rsa(Algorithm::RS256);
    let jwks = json!({ "keys": [{ "kty": "oct", "k": run.marker("private key in a JWK Set") }] }).to_string();
    let bad_keys = answering::answering(200, jwks).await;
    let client_id_with_key = server.new_client_with_keys(&[&key], |_| {}).await;
    let client_id_with_bad_keys =
        server.new_client_with_keys(&[], |client| client.keys = Some(ClientKeys::JwksUri(bad_keys))).await;
    let form = [("grant_type", "client_credentials"), ("client_id", &client_id), ("client_secret", &client_secret)];
    let answer: Value = server.request("POST", "/token").form(&form).send().await.unwrap().json().await.unwrap();
    let access_token = run.plant("access token", answer["access_token"].as_str().unwrap());
    run.plant_secrets_of(server.home());

    // A page is full: its cursor asks for the next one.
    let forged = run.plant("access token", &Forge::with_key_of(server, Algorithm::RS256).good());
    let page = server.call(&forged, "list_customer_orders", json!({ "customer_id": "C-0001" })).await;
    let cursor = page["structuredContent"]["cursor"].as_str().unwrap().to_owned();
    run.plant("cursor", &cursor);
    for customer in ["C-0001", "C-0002"] {
        server.call(&access_token, "list_customer_orders", json!({ "customer_id": customer, "cursor": cursor })).await;
    }
    Callers {
        client_id,
        client_secret,
        previous_secret,
        access_token,
        key,
        client_id_with_key,
        client_id_with_bad_keys,
    }
}

/// All but those that secrets are kept in.
fn capture_files(run: &Run, home: &Path) {
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(home).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let source = if name.starts_with("northstar.db") { format!("{TABLES}: {name}") } else { name.clone() };
        if !matches!(name.as_str(), "secrets.json" | "demo.json" | "token-request") {
            run.capture(source, std::fs::read(entry.path()).unwrap());
        }
        names.push(name);
    }
    for name in ["stdout.log", "requests.jsonl", "northstar.db"] {
        assert!(names.iter().any(|there| there == name), "{name} is not in {names:?}");
    }
}
