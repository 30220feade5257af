//! `northstar serve`: the contract that scripts and checks rely on.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use black_box::{Server, shared};
use serde_json::{Value, json};

use crate::{parts, run, run_json};

#[test]
fn the_banner_ends_with_the_listening_line() {
    let log = Server::start(&[]).log();
    let last = log.lines().last().unwrap();
    let port = last.strip_prefix("listening on http://127.0.0.1:").unwrap_or_else(|| panic!("{log}"));
    assert!(port.parse::<u16>().is_ok(), "{last}");
    assert_eq!(log.matches("listening on").count(), 1);
}

#[test]
fn the_curl_lines_of_the_banner_give_a_token_and_an_order_as_they_are_printed() {
    assert_paste_gives_the_order(shared(), None);
}

#[test]
fn the_curl_lines_work_in_a_home_with_a_space_and_a_quote_in_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("Zoë's  home; $HOME");
    std::fs::create_dir(&home).unwrap();
    assert_paste_gives_the_order(&Server::start_in(&home, 0, &[]), None);
}

#[test]
fn the_curl_lines_name_the_public_url() {
    let port = free_port();
    let home = tempfile::tempdir().unwrap();
    let public_url = format!("http://localhost:{port}");
    let server = Server::start_in(home.path(), port, &["--public-url", &public_url]);
    assert_paste_gives_the_order(&server, Some(&public_url));
}

#[test]
fn demo_json_has_exactly_its_six_fields_and_is_for_its_owner_alone() {
    let server = Server::start(&[]);
    let demo = demo(server.home());
    let fields: Vec<&String> = demo.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["public_url", "token_url", "mcp_url", "client_id", "client_secret", "scope"]);
    assert_eq!(demo["public_url"], server.url);
    assert_eq!(demo["token_url"], format!("{}/token", server.url));
    assert_eq!(demo["mcp_url"], format!("{}/mcp", server.url));
    assert_eq!(demo["scope"], "mcp.read");
    for name in ["demo.json", "secrets.json", "token-request", "endpoint"] {
        let mode = std::fs::metadata(server.home().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}: {mode:o}");
    }
}

#[test]
fn the_secret_is_in_no_line_that_the_server_writes() {
    let server = shared();
    let (code, ..) = run(server.home(), &["call", "get_order_status", "order_id=1001"]);
    assert_eq!(code, 0);
    assert!(!server.log().contains(&server.client_secret));
}

#[test]
fn a_second_serve_on_the_same_home_says_that_it_is_being_served_and_the_first_goes_on() {
    let server = Server::start(&[]);
    let (code, output, errors) = run(server.home(), &["serve", "--port", "0"]);
    assert_eq!((code, output.as_str()), (1, ""));
    assert!(errors.contains("is being served already at ") && errors.contains("--home"), "{errors}");
    let (code, ..) = run(server.home(), &["call", "get_order_status", "order_id=1001"]);
    assert_eq!(code, 0);
}

#[tokio::test]
async fn a_restart_on_the_same_port_keeps_data_clients_and_tokens() {
    let (home, port) = (tempfile::tempdir().unwrap(), free_port());
    let start = Instant::now();
    let mut first = Server::start_in(home.path(), port, &[]);
    println!("first start: {:.2} s", start.elapsed().as_secs_f64());
    let token = first.token().await;
    let (client_id, client_secret) = first.new_client(&[]);
    let (keys, demo_before) = (run_json(home.path(), &["key", "list"]), demo(home.path()));
    assert!(first.end_with("TERM").success());

    let start = Instant::now();
    let second = Server::start_in(home.path(), port, &[]);
    println!("second start: {:.2} s", start.elapsed().as_secs_f64());
    assert_eq!(second.url, first.url);
    assert_eq!(demo(home.path()), demo_before);
    assert_eq!(run_json(home.path(), &["key", "list"]), keys);
    let order = second.call(&token, "get_order_status", json!({ "order_id": "1001" })).await;
    assert_eq!(order["structuredContent"]["status"], "SHIPPED", "a token from before works");
    let form = [("grant_type", "client_credentials"), ("client_id", &client_id), ("client_secret", &client_secret)];
    let response = second.request("POST", "/token").form(&form).send().await.unwrap();
    assert_eq!(response.status(), 200, "a client from before gets a token");
}

#[test]
fn sigint_sigterm_and_the_end_of_its_input_end_it_with_0() {
    for signal in ["INT", "TERM"] {
        let mut server = Server::start(&[]);
        assert_eq!(server.end_with(signal).code(), Some(0), "SIG{signal}: {}", server.log());
        assert!(!server.home().join("endpoint").exists(), "SIG{signal}");
    }
    let mut server = Server::start(&[]);
    assert_eq!(server.end_with_stdin().code(), Some(0), "{}", server.log());
}

#[test]
fn without_stop_with_stdin_the_end_of_its_input_means_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(black_box::binary("northstar"));
    command.args(["serve", "--port", "0", "--home"]).arg(home.path()).env_remove("NORTHSTAR_HOME");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("northstar starts");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let listens = lines.any(|line| line.is_ok_and(|line| line.starts_with("listening on ")));
    std::thread::sleep(Duration::from_secs(1));
    let runs = child.try_wait().is_ok_and(|ended| ended.is_none());
    let _ = (child.kill(), child.wait());
    assert!(listens && runs);
}

#[test]
fn after_a_kill_commands_work_on_the_home_and_a_new_serve_starts() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(home.path(), 0, &[]);
    assert!(!server.end_with("KILL").success());
    assert!(home.path().join("endpoint").exists(), "a stale endpoint is the point");

    assert_eq!(run_json(home.path(), &["client", "list"]).1[0]["client_id"], "demo");
    assert_eq!(run_json(home.path(), &["init"]).1["signing_key"], false);
    assert_eq!(run_json(home.path(), &["key", "list"]).1.as_array().unwrap().len(), 1);
    let (code, made) = run_json(home.path(), &["client", "create", "After"]);
    assert_eq!(code, 0);
    let (code, _, errors) = run(home.path(), &["call", "get_order_status", "order_id=1001"]);
    assert_eq!(code, 1);
    assert!(errors.contains("cannot be reached: is `northstar serve` running"), "{errors}");

    let server = Server::start_in(home.path(), 0, &[]);
    let (code, _, errors) = run(server.home(), &["call", "get_order_status", "order_id=1001"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let id = made["client_id"].as_str().unwrap();
    assert_eq!(run_json(home.path(), &["client", "show", id]).1["name"], "After");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, output, errors) = run(home.path(), &["serve", "--port", &port]);
    assert_eq!((code, output.as_str()), (1, ""));
    assert!(errors.contains(&format!("127.0.0.1:{port} is taken")) && errors.contains("--port"), "{errors}");
    assert!(!home.path().join("demo.json").exists(), "nothing has been made");
}

#[test]
fn a_port_that_is_none_is_a_usage_error() {
    let home = tempfile::tempdir().unwrap();
    for port in ["65536", "-1", "http"] {
        assert_eq!(run(home.path(), &["serve", &format!("--port={port}")]).0, 2, "{port}");
    }
}

#[tokio::test]
async fn the_public_url_is_in_every_document_and_in_demo_json() {
    let public_url = "https://mcp.example.com";
    let server = Server::start(&["--public-url", public_url]);
    assert_eq!(demo(server.home())["mcp_url"], "https://mcp.example.com/mcp");
    assert!(server.url.starts_with("http://127.0.0.1:"), "it listens where it is: {}", server.url);

    let metadata: Value = json_at(&server, "/.well-known/oauth-authorization-server").await;
    assert_eq!(metadata["issuer"], public_url);
    assert_eq!(metadata["token_endpoint"], "https://mcp.example.com/token");
    let request = server.request("GET", "/.well-known/oauth-protected-resource/mcp").header("host", "mcp.example.com");
    let metadata: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata["resource"], "https://mcp.example.com/mcp");

    let token = server.token().await;
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    let through = server.mcp(&token).header("host", "mcp.example.com").body(call.clone()).send().await.unwrap();
    assert_eq!(through.status(), 200, "what stands in front passes its own host on");
    let beside = server.mcp(&token).body(call).send().await.unwrap();
    assert_eq!(beside.status(), 421);
}

#[test]
fn a_public_url_that_is_none_is_explained_and_leaves_no_serve() {
    let home = tempfile::tempdir().unwrap();
    for url in ["https://mcp.example.com/", "http://mcp.example.com", "mcp"] {
        let (code, output, errors) = run(home.path(), &["serve", "--port", "0", "--public-url", url]);
        assert!(code != 0 && output.is_empty(), "{url}: {code} {output}");
        assert!(errors.contains("the public URL is https://host"), "{errors}");
    }
}

#[tokio::test]
async fn the_challenge_is_renamed_when_asked_and_only_then() {
    let renaming = Server::start(&["--remap-www-authenticate"]);
    for (server, present, absent) in [
        (&renaming, "x-amzn-remapped-www-authenticate", "www-authenticate"),
        (shared(), "www-authenticate", "x-amzn-remapped-www-authenticate"),
    ] {
        let response = server.mcp("wrong").body("{}").send().await.unwrap();
        assert_eq!(response.status(), 401);
        let challenge = response.headers()[present].to_str().unwrap();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
        assert!(!response.headers().contains_key(absent));
    }
}

async fn json_at(server: &Server, path: &str) -> Value {
    server.request("GET", path).send().await.unwrap().json().await.unwrap()
}

fn demo(home: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(home.join("demo.json")).unwrap()).unwrap()
}

/// Pastes what the banner says to paste.
#[track_caller]
fn assert_paste_gives_the_order(server: &Server, names: Option<&str>) {
    let log = server.log();
    let from = log.find("  TOKEN=$(curl ").unwrap_or_else(|| panic!("{log}"));
    let to = log.find("Or in one step").unwrap_or_else(|| panic!("{log}"));
    let lines = &log[from..to];
    assert_eq!(lines.lines().filter(|line| line.contains("curl -s")).count(), 2, "{lines}");
    assert!(names.is_none_or(|url| lines.matches(url).count() == 2), "{lines}");
    let script = format!("{lines}\necho; echo \"token: $TOKEN\"");
    // No proxy of the machine is asked for loopback.
    let output = Command::new("bash").args(["-c", &script]).env("NO_PROXY", "127.0.0.1,localhost").output();
    let (code, output, errors) = parts(output.expect("bash starts"));
    let (answer, token) = output.split_once("\ntoken: ").unwrap_or_else(|| panic!("{output}{errors}"));
    assert_eq!((code, token.trim().split('.').count()), (0, 3), "{lines}\n{output}{errors}");
    let answer: Value = serde_json::from_str(answer).unwrap_or_else(|_| panic!("{lines}\n{output}{errors}"));
    let order = json!({ "order_id": "1001", "status": "SHIPPED", "carrier": "UPS", "eta": "2026-07-03" });
    assert_eq!(answer["result"]["structuredContent"], order, "{answer}");
}

/// A free port that the system does not give to others meanwhile: it is below those that it picks from.
pub fn free_port() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 8_000).unwrap();
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    loop {
        let port = first + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
