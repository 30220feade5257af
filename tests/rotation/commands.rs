//! `northstar client rotate` and `northstar key rotate`, with a server and without one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use black_box::{Server, binary, command};
use fastrand::Rng;
use serde_json::Value;

async fn status(server: &Server, client_id: &str, secret: &str) -> u16 {
    let form = [("grant_type", "client_credentials"), ("client_id", client_id), ("client_secret", secret)];
    server.request("POST", "/token").form(&form).send().await.unwrap().status().as_u16()
}

async fn becomes(server: &Server, client_id: &str, secret: &str, expected: u16) {
    for _ in 0..400 {
        let status = status(server, client_id, secret).await;
        // Wrong secrets in a row are answered 429 after a while.
        if status == expected || expected == 401 && status == 429 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it does not become {expected}");
}

fn secret_of(made: &Value) -> String {
    made["client_secret"].as_str().unwrap().to_owned()
}

/// Runs a command that has to be refused; what it says.
fn refused(server: &Server, arguments: &[&str]) -> String {
    let output = server.command(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_rotated_while_the_server_runs_and_nobody_is_locked_out() {
    let server = Server::start(&[]);
    let (client_id, old) = server.new_client(&[]);
    assert_eq!(status(&server, &client_id, &old).await, 200);
    let new = secret_of(&server.json_command(&["client", "rotate", &client_id]));
    assert_eq!((status(&server, &client_id, &new).await, status(&server, &client_id, &old).await), (200, 200));

    let message = refused(&server, &["client", "rotate", &client_id]);
    for told in [client_id.as_str(), "Test", "127.0.0.1", "--retire-previous"] {
        assert!(message.contains(told), "{message}");
    }
    assert_eq!((status(&server, &client_id, &new).await, status(&server, &client_id, &old).await), (200, 200));

    let retired = server.json_command(&["client", "rotate", &client_id, "--retire-previous"]);
    assert_eq!(retired["retired"], true);
    becomes(&server, &client_id, &old, 401).await;
    assert_eq!(status(&server, &client_id, &new).await, 200);
    assert_eq!(server.json_command(&["client", "rotate", &client_id, "--retire-previous"])["retired"], false);

    let third = secret_of(&server.json_command(&["client", "rotate", &client_id]));
    assert_eq!(status(&server, &client_id, &third).await, 200);

    let lines = std::fs::read_to_string(server.home().join("requests.jsonl")).unwrap();
    for secret in [&old, &new, &third] {
        assert!(!lines.contains(secret) && !server.log().contains(secret), "a secret is in a log");
    }
    let outcomes: Vec<(String, String)> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["fn"] == "cli" && line["action"].as_str().unwrap().starts_with("client.r"))
        .map(|line| (line["action"].as_str().unwrap().to_owned(), line["outcome"].as_str().unwrap().to_owned()))
        .collect();
    let of = |action: &str, outcome: &str| (action.to_owned(), outcome.to_owned());
    assert_eq!(
        outcomes,
        [
            of("client.rotate", "ok"),
            of("client.rotate", "rotation_refused"),
            of("client.retire_previous", "ok"),
            of("client.retire_previous", "ok"),
            of("client.rotate", "ok"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compromised_client_gets_a_new_secret_at_once_and_the_rest_is_refused() {
    let server = Server::start(&[]);
    let (client_id, first) = server.new_client(&[]);
    let second = secret_of(&server.json_command(&["client", "rotate", &client_id]));
    let form = [("grant_type", "client_credentials"), ("client_id", &client_id), ("client_secret", &second)];
    let answer: Value = server.request("POST", "/token").form(&form).send().await.unwrap().json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap().to_owned();
    assert_eq!(server.mcp(&token).body(PING).send().await.unwrap().status(), 200);

    let third = secret_of(&server.json_command(&["client", "rotate", &client_id, "--compromised"]));
    assert_eq!(status(&server, &client_id, &third).await, 200);
    for secret in [&first, &second] {
        becomes(&server, &client_id, secret, 401).await;
    }
    let mut refused = false;
    for _ in 0..150 {
        refused = server.mcp(&token).body(PING).send().await.unwrap().status() == 401;
        if refused {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(refused, "the token of before is refused within 10 s");
}

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_rotated_without_a_server_and_the_demo_client_keeps_its_file() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(home.path(), 0, &[]);
    let old = server.client_secret.clone();
    assert!(server.end_with_stdin().success());
    drop(server);
    let output = command(home.path(), &["client", "rotate", "demo", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let new = secret_of(&serde_json::from_slice(&output.stdout).unwrap());
    assert_ne!(new, old);
    let server = Server::start_in(home.path(), 0, &[]);
    assert_eq!(server.client_secret, new, "demo.json has it");
    assert_eq!((status(&server, "demo", &new).await, status(&server, "demo", &old).await), (200, 200));
    assert_eq!(server.command(&["token"]).status.code(), Some(0));
}

#[test]
fn what_cannot_be_rotated_is_told() {
    let server = Server::start(&[]);
    assert!(refused(&server, &["client", "rotate", "nobody"]).contains("there is no client nobody"));
    let both = server.command(&["client", "rotate", "demo", "--retire-previous", "--compromised"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn a_signing_key_is_made_once_in_a_quarter_of_an_hour() {
    let server = Server::start(&[]);
    let first = server.json_command(&["key", "list"])[0]["kid"].as_str().unwrap().to_owned();
    let made = server.json_command(&["key", "rotate"]);
    let keys = server.json_command(&["key", "list"]);
    assert_eq!((&keys[0]["kid"], &keys[0]["phase"]), (&made["kid"], &"published".into()));
    assert_eq!((&keys[1]["kid"], &keys[1]["phase"]), (&first.as_str().into(), &"signing".into()));
    assert_eq!((&keys[0]["not_before"], &keys[1]["not_after"]), (&made["not_before"], &made["not_before"]));
    let message = refused(&server, &["key", "rotate"]);
    assert!(message.contains(made["kid"].as_str().unwrap()), "{message}");
    assert_eq!(server.json_command(&["key", "list"]), keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_killed_at_any_moment_leaves_secrets_that_work() {
    const SEED: u64 = 2026;
    let mut rng = Rng::with_seed(SEED);
    let server = Server::start(&[]);
    for round in 0..12 {
        let (client_id, old) = server.new_client(&[]);
        let mut rotation = Command::new(binary("northstar"))
            .args(["client", "rotate", &client_id, "--home"])
            .arg(server.home())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_micros(rng.u64(0..400_000))).await;
        let _ = rotation.kill();
        rotation.wait().unwrap();
        assert_eq!(status(&server, &client_id, &old).await, 200, "round {round} of seed {SEED}");
        let output = server.command(&["client", "rotate", &client_id, "--json"]);
        let current = current_secret(server.home(), &client_id);
        if output.status.success() {
            assert_eq!(secret_of(&serde_json::from_slice(&output.stdout).unwrap()), current);
        } else {
            // The one that was killed had come to its end.
            let message = String::from_utf8(output.stderr).unwrap();
            assert!(message.contains("--retire-previous"), "round {round} of seed {SEED}: {message}");
        }
        assert_ne!(current, old, "round {round} of seed {SEED}");
        assert_eq!(status(&server, &client_id, &current).await, 200, "round {round} of seed {SEED}");
        assert_eq!(status(&server, &client_id, &old).await, 200, "round {round} of seed {SEED}");
    }
}

fn current_secret(home: &Path, client_id: &str) -> String {
    black_box::forge::current_secret(home, &format!("northstar/clients/{client_id}"))
}
