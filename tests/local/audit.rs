//! `northstar audit tail`: which lines it prints, how it follows, and what is in them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use black_box::ministack::Ministack;
use black_box::{Server, binary, shared};
use request_log::timestamp;
use serde_json::{Value, json};

use crate::{parts, run, run_json, run_with};

pub fn line(function: &str, more: &Value) -> String {
    let mut line = json!({ "time": timestamp(SystemTime::now()), "level": "INFO", "fn": function });
    for (name, value) in more.as_object().unwrap() {
        line[name] = value.clone();
    }
    line.to_string()
}

/// Lines of a home that no server ever wrote to.
pub fn home_with(lines: &[String]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("requests.jsonl"), lines.join("\n") + "\n").unwrap();
    home
}

#[track_caller]
fn tail(home: &Path, arguments: &[&str]) -> Vec<Value> {
    let (code, output, errors) = run(home, &[&["audit", "tail", "--json"], arguments].concat());
    assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn serve_writes_the_lines_that_it_prints_into_its_home() {
    let server = Server::start(&[]);
    for _ in 0..3 {
        assert_eq!(run(server.home(), &["call", "get_order_status", "order_id=1001"]).0, 0);
    }
    let kept = fs::read_to_string(server.home().join("requests.jsonl")).unwrap();
    let printed: String =
        server.log().lines().filter(|line| line.starts_with('{')).map(|line| format!("{line}\n")).collect();
    assert_eq!(kept, printed);
    assert_eq!(kept.lines().count(), 6);
    let mode = fs::metadata(server.home().join("requests.jsonl")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn the_filters_choose_among_real_requests() {
    let server = Server::start(&[]);
    let (id, secret) = server.new_client(&[]);
    let as_client = [("NORTHSTAR_CLIENT_ID", id.as_str()), ("NORTHSTAR_CLIENT_SECRET", &secret)];
    assert_eq!(run_with(server.home(), &as_client, "", &["call", "get_order_status", "order_id=1001"]).0, 0);
    assert_eq!(run(server.home(), &["call", "check_loyalty_points", "customer_id=C-0001"]).0, 0);
    assert_eq!(run(server.home(), &["call", "get_order_status", "order_id=none"]).0, 1);
    assert_eq!(run(server.home(), &["token", "--scope", "mcp.admin"]).0, 1);

    let count = |arguments: &[&str]| tail(server.home(), arguments).len();
    assert_eq!(count(&[]), 8);
    assert_eq!(count(&["--fn", "token"]), 4);
    assert_eq!(count(&["--fn", "mcp"]), 3);
    assert_eq!(count(&["--fn", "cli"]), 1);
    assert_eq!(count(&["--client", &id]), 3, "its registration, its token, its call");
    assert_eq!(count(&["--client", "demo", "--fn", "mcp"]), 2);
    assert_eq!(count(&["--tool", "get_order_status"]), 2);
    assert_eq!(count(&["--server", "default", "--fn", "mcp"]), 3);
    assert_eq!(count(&["--outcome", "record_not_found"]), 1);
    assert_eq!(count(&["--errors"]), 1);
    assert_eq!(count(&["--errors", "--client", &id]), 0);
    assert_eq!(count(&["-n", "2"]), 2);
    assert_eq!(tail(server.home(), &["-n", "1"])[0]["outcome"], "invalid_scope", "the last ones");

    let (code, output, _) = run(server.home(), &["audit", "tail", "--tool", "check_loyalty_points"]);
    assert_eq!((code, output.lines().count()), (0, 1));
    for text in ["  mcp ", " demo ", " default/check_loyalty_points ", " 200  ok  ", " ms\n"] {
        assert!(output.contains(text), "{text}: {output}");
    }
}

#[test]
fn lines_are_read_without_serve_in_order_and_only_since_then() {
    let old = json!({ "time": "2020-01-31T00:00:00.000Z", "status": 200, "outcome": "ok" });
    let lines = [line("token", &old), "torn {".to_owned(), line("mcp", &json!({ "status": 200, "outcome": "ok" }))];
    let home = home_with(&lines);
    fs::write(home.path().join("requests.1.jsonl"), line("rotate", &old) + "\n").unwrap();
    let functions = |arguments: &[&str]| -> Vec<String> {
        tail(home.path(), arguments).iter().map(|line| line["fn"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(functions(&[]), ["rotate", "token", "mcp"], "the older file first");
    assert_eq!(functions(&["--since", "1h"]), ["mcp"]);
    assert_eq!(functions(&["--since", "9999999999d"]), ["rotate", "token", "mcp"]);
    assert_eq!(functions(&["-n", "0"]), [""; 0]);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2, "reading makes nothing");
}

#[test]
fn a_home_without_lines_says_so() {
    let home = tempfile::tempdir().unwrap();
    let (code, output, errors) = run(home.path(), &["audit", "tail"]);
    assert_eq!((code, output.as_str()), (0, ""));
    assert!(errors.contains("There is no line yet in "), "{errors}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let home = home_with(&vec![line("mcp", &json!({ "status": 200, "outcome": "ok" })); 20_000]);
    let mut command = Command::new(binary("northstar"));
    command
        .args(["audit", "tail", "-n", "20000", "--home"])
        .arg(home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let (code, _, errors) = parts(child.wait_with_output().unwrap());
    assert_eq!((code, errors.as_str()), (0, ""));
}

/// A `tail --follow`, and what it has printed.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn start(home: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Following {
        let mut command = Command::new(binary("northstar"));
        command.args(["audit", "tail", "--follow", "--json"]).args(arguments).arg("--home").arg(home);
        command.envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Following { child, lines }
    }

    #[track_caller]
    fn next(&self) -> Value {
        let line = self.lines.recv_timeout(Duration::from_secs(20)).expect("a line comes");
        serde_json::from_str(&line).unwrap()
    }

    /// Ends it with a signal; its exit code, and how many lines were left.
    fn end(mut self, signal: &str) -> (Option<i32>, usize) {
        let kill = Command::new("bash").args(["-c", "kill -s $0 $1", signal, &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let code = self.child.wait().unwrap().code();
        (code, self.lines.iter().count())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

#[test]
fn follow_goes_on_across_the_files_and_ends_cleanly() {
    let home = home_with(&[line("mcp", &json!({ "status": 200, "outcome": "ok", "n": 0 }))]);
    let current = home.path().join("requests.jsonl");
    let append = |number: u32, function: &str| {
        let line = line(function, &json!({ "status": 200, "outcome": "ok", "n": number })) + "\n";
        File::options().create(true).append(true).open(&current).unwrap().write_all(line.as_bytes()).unwrap();
    };
    for signal in ["INT", "TERM"] {
        let following = Following::start(home.path(), &[], &["-n", "1", "--fn", "mcp"]);
        let first = following.next()["n"].as_u64().unwrap();
        append(1, "mcp");
        assert_eq!(following.next()["n"], 1, "after {first}");
        append(2, "mcp");
        fs::rename(&current, home.path().join("requests.1.jsonl")).unwrap();
        append(3, "token");
        append(4, "mcp");
        assert_eq!([following.next(), following.next()].map(|line| line["n"].clone()), [2, 4]);
        assert_eq!(following.end(signal), (Some(0), 0), "SIG{signal}");
    }
}

#[test]
fn follow_shows_what_a_running_server_does() {
    let server = Server::start(&[]);
    let following = Following::start(server.home(), &[], &["-n", "0", "--tool", "get_order_status"]);
    // It may start after the first calls.
    let start = std::time::Instant::now();
    while following.lines.try_recv().is_err() {
        assert!(start.elapsed() < Duration::from_secs(20));
        assert_eq!(run(server.home(), &["call", "get_order_status", "order_id=1001"]).0, 0);
        std::thread::sleep(Duration::from_millis(250));
    }
    assert_eq!(following.end("INT").0, Some(0));
}

#[test]
fn every_command_that_changes_something_leaves_a_line_and_no_line_has_a_secret() {
    let server = Server::start(&[]);
    let home = server.home();
    let (id, secret) = server.new_client(&[]);
    let mut secrets = vec![server.client_secret.clone(), secret];
    let id = id.as_str();
    let (file, key) = (home.join("jwks.json"), black_box::key_pair::KeyPair::p256());
    fs::write(&file, json!({ "keys": [key.jwk] }).to_string()).unwrap();
    let signs = ["--auth-method", "private_key_jwt", "--jwks", file.to_str().unwrap()];
    let token = run(home, &["token"]).1.trim().to_owned();
    assert_eq!(run_with(home, &[], &token, &["token", "revoke"]).0, 0);
    for arguments in [
        &["client", "update", id, "--name", "canary-name"][..],
        &["client", "disable", id],
        &["client", "enable", id],
        &["client", "rotate", id],
        &["client", "rotate", id, "--retire-previous"],
        &["client", "rotate", id, "--compromised"],
        &[&["client", "update", id][..], &signs].concat(),
        &["client", "update", id, "--auth-method", "client_secret_post"],
        &["key", "rotate"],
        &["client", "delete", id, "--yes"],
        // These change nothing, and leave no line.
        &["client", "list"],
        &["client", "show", "demo"],
        &["key", "list"],
    ] {
        let (code, output) = run_json(home, arguments);
        assert_eq!(code, 0, "{arguments:?}");
        secrets.extend(output["client_secret"].as_str().map(str::to_owned));
    }
    for refused in
        [&["client", "delete", "demo"][..], &["client", "disable", "canary-id"], &["client", "update", "demo"]]
    {
        assert_ne!(run(home, refused).0, 0, "{refused:?}");
    }
    let lines = tail(home, &["--fn", "cli"]);
    let said: Vec<String> = lines
        .iter()
        .map(|line| {
            let client = line.get("client").map_or("-", |id| id.as_str().unwrap()).replace(id, "ID");
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            format!("{} {client} {} {}", text("action"), text("outcome"), text("level"))
        })
        .collect();
    assert_eq!(
        said,
        [
            "client.create ID ok INFO",
            "token.revoke - ok INFO",
            "client.update ID ok INFO",
            "client.disable ID ok INFO",
            "client.enable ID ok INFO",
            "client.rotate ID ok INFO",
            "client.retire_previous ID ok INFO",
            "client.rotate_compromised ID ok INFO",
            "client.update ID ok INFO",
            "client.update ID ok INFO",
            "key.rotate - ok INFO",
            "client.delete ID ok INFO",
        ]
    );
    for fields in lines.iter().map(|line| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>()) {
        assert!(fields.iter().all(|name| ["time", "level", "fn", "action", "client", "outcome"].contains(&&**name)));
    }
    assert!(secrets.len() >= 5, "the secrets that there were");
    let log = fs::read_to_string(home.join("requests.jsonl")).unwrap() + &server.log();
    let signature = token.rsplit('.').next().unwrap();
    for kept_out in secrets.iter().map(String::as_str).chain(["canary", signature]) {
        assert!(!log.contains(kept_out), "{kept_out}");
    }
}

#[test]
fn a_command_that_fails_leaves_a_line_that_says_so() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(run(home.path(), &["init"]).0, 0);
    let (_, made) = run_json(home.path(), &["client", "create", "Test"]);
    fs::write(home.path().join("secrets.json"), "{").unwrap();
    let id = made["client_id"].as_str().unwrap();
    let (code, _, errors) = run(home.path(), &["client", "delete", id, "--yes"]);
    assert!(code == 1 && errors.contains("damaged"), "{errors}");
    let last = tail(home.path(), &["-n", "1"]).remove(0);
    assert_eq!((&last["action"], &last["client"]), (&json!("client.delete"), &made["client_id"]));
    assert_eq!((&last["outcome"], &last["level"]), (&json!("command_failed"), &json!("ERROR")));
}

/// CloudWatch Logs as far as `FilterLogEvents` goes: it answers an event a page, and keeps what it was asked.
pub struct CloudWatchLogs {
    url: String,
    state: Arc<Mutex<CloudWatchState>>,
}

#[derive(Default)]
struct CloudWatchState {
    /// Log group, milliseconds since 1970, message.
    events: Vec<(String, u64, String)>,
    asked: Vec<Value>,
}

impl CloudWatchLogs {
    pub fn start() -> CloudWatchLogs {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(CloudWatchState::default()));
        let shared = Arc::downgrade(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(&stream);
                    while let Some(request) = read_request(&mut reader) {
                        let Some(state) = shared.upgrade() else { return };
                        answer(&stream, &state.lock().unwrap().answer(request));
                    }
                });
            }
        });
        CloudWatchLogs { url, state }
    }

    pub fn put(&self, group: &str, at: u64, line: &str) {
        self.state.lock().unwrap().events.push((group.to_owned(), at, line.to_owned()));
    }

    /// What it was asked, in order.
    pub fn asked(&self) -> Vec<Value> {
        self.state.lock().unwrap().asked.clone()
    }

    pub fn environment(&self) -> Vec<(&'static str, &str)> {
        aws_environment(&self.url)
    }
}

fn aws_environment(url: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("AWS_ENDPOINT_URL", url),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("NO_PROXY", "127.0.0.1"),
    ]
}

impl CloudWatchState {
    fn answer(&mut self, request: Value) -> (u16, Value) {
        let group = request["logGroupName"].as_str().unwrap().to_owned();
        let skip = request["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let since = request["startTime"].as_u64().unwrap();
        self.asked.push(request);
        if group == "none" {
            return (400, json!({ "__type": "ResourceNotFoundException", "message": "The log group does not exist." }));
        }
        let mut events = self.events.iter().filter(|event| event.0 == group && event.1 >= since).skip(skip);
        let page: Vec<Value> =
            events.by_ref().take(1).map(|(_, at, line)| json!({ "timestamp": at, "message": line })).collect();
        let token = events.next().map(|_| (skip + 1).to_string());
        (200, json!({ "events": page, "nextToken": token }))
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

fn answer(mut stream: &TcpStream, (status, body): &(u16, Value)) {
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} .\r\ncontent-type: application/x-amz-json-1.1\r\n");
    let _ = stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
}

pub fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn tail_groups(logs: &CloudWatchLogs, arguments: &[&str]) -> (i32, String, String) {
    let elsewhere = tempfile::tempdir().unwrap();
    let done = run_with(elsewhere.path(), &logs.environment(), "", &[&["audit", "tail"], arguments].concat());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "no home is needed");
    done
}

#[test]
fn log_groups_are_read_page_by_page_and_put_together_in_order() {
    let logs = CloudWatchLogs::start();
    let ok = |n: u32| line("mcp", &json!({ "status": 200, "outcome": "ok", "n": n }));
    logs.put("mcp", now() - 40_000, &ok(1));
    logs.put("mcp", now() - 39_000, "START RequestId: 1 Version: $LATEST");
    logs.put("mcp", now() - 20_000, &(ok(3) + "\n"));
    logs.put("token", now() - 30_000, &ok(2));
    logs.put("token", now() - 10_000, &ok(4));
    let numbers = |arguments: &[&str]| -> Vec<u64> {
        let groups = ["--log-group", "mcp", "--log-group", "token", "--json"];
        let (code, output, errors) = tail_groups(&logs, &[&groups, arguments].concat());
        assert_eq!((code, errors.as_str()), (0, ""));
        output.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["n"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&[]), [1, 2, 3, 4]);
    assert_eq!(numbers(&["-n", "3"]), [2, 3, 4]);
    assert_eq!(numbers(&["--fn", "token"]), [0; 0], "what passes the pattern is looked at again");
    let asked = logs.state.lock().unwrap().asked.clone();
    assert_eq!(asked[0]["filterPattern"], r#"{ ($.fn = "*") }"#);
    assert!(asked[0]["startTime"].as_u64().unwrap().abs_diff(now() - 3_600_000) < 60_000, "the last hour");
    assert!(asked.iter().any(|request| request["nextToken"] == "2"), "three pages");
}

#[test]
fn the_filters_go_into_the_pattern() {
    let logs = CloudWatchLogs::start();
    let filters = ["--client", "demo", "--server", "default", "--tool", "get_order_status", "--fn", "mcp"];
    let more = ["--outcome", "record_not_found", "--errors", "--since", "2d", "--log-group", "mcp"];
    let (code, output, errors) = tail_groups(&logs, &[&filters[..], &more].concat());
    assert_eq!((code, output.as_str(), errors.as_str()), (0, "", ""));
    let asked = logs.state.lock().unwrap().asked.remove(0);
    assert_eq!(
        asked["filterPattern"],
        concat!(
            r#"{ ($.fn = "mcp") && ($.client = "demo") && ($.server = "default") && ($.tool = "get_order_status")"#,
            r#" && ($.outcome = "record_not_found") && ($.level != "INFO") }"#
        )
    );
    assert!(asked["startTime"].as_u64().unwrap().abs_diff(now() - 172_800_000) < 60_000);
}

#[test]
fn a_log_group_is_followed_and_no_line_comes_twice() {
    let logs = CloudWatchLogs::start();
    let ok = |n: u32| line("mcp", &json!({ "status": 200, "outcome": "ok", "n": n }));
    for n in 1..=3 {
        logs.put("mcp", now() - 5_000, &ok(n));
    }
    let home = tempfile::tempdir().unwrap();
    let following = Following::start(home.path(), &logs.environment(), &["--log-group", "mcp", "-n", "1"]);
    assert_eq!(following.next()["n"], 3);
    logs.put("mcp", now() - 4_000, &ok(4));
    assert_eq!(following.next()["n"], 4, "a line that comes late, and none of before");
    logs.put("mcp", now(), &ok(5));
    assert_eq!(following.next()["n"], 5);
    assert_eq!(following.end("INT"), (Some(0), 0));
}

#[test]
fn a_log_group_that_does_not_exist_is_named() {
    let logs = CloudWatchLogs::start();
    let (code, output, errors) = tail_groups(&logs, &["--log-group", "none"]);
    assert_eq!((code, output.as_str()), (1, ""));
    assert!(errors.starts_with("error: log group none: ") && errors.contains("does not exist"), "{errors}");
}

/// Its patterns take everything; what is wanted is chosen by the lines themselves.
#[tokio::test]
async fn a_log_group_of_a_cloudwatch_logs_that_others_made_is_read_and_followed() {
    let ministack = Ministack::start();
    let http = reqwest::Client::new();
    let ask = async |operation: &str, body: Value| {
        let request = http.post(&ministack.url).header("content-type", "application/x-amz-json-1.1");
        let signed =
            "AWS4-HMAC-SHA256 Credential=test/20200101/eu-central-1/logs/aws4_request, SignedHeaders=host, Signature=0";
        let request =
            request.header("x-amz-target", format!("Logs_20140328.{operation}")).header("authorization", signed);
        let response = request.body(body.to_string()).send().await.unwrap();
        assert_eq!(response.status(), 200, "{operation}: {}", response.text().await.unwrap());
    };
    let names = json!({ "logGroupName": "/northstar/mcp", "logStreamName": "1" });
    ask("CreateLogGroup", json!({ "logGroupName": "/northstar/mcp" })).await;
    ask("CreateLogStream", names.clone()).await;
    let put = async |n: u32, function: &str| {
        let message = line(function, &json!({ "status": 200, "outcome": "ok", "n": n }));
        let events = json!([{ "timestamp": now(), "message": "START" }, { "timestamp": now(), "message": message }]);
        let mut body = names.clone();
        body["logEvents"] = events;
        ask("PutLogEvents", body).await;
    };
    put(1, "mcp").await;
    put(2, "token").await;
    let home = tempfile::tempdir().unwrap();
    let arguments = ["--log-group", "/northstar/mcp", "--fn", "mcp"];
    let following = Following::start(home.path(), &aws_environment(&ministack.url), &arguments);
    assert_eq!(following.next()["n"], 1);
    put(3, "token").await;
    put(4, "mcp").await;
    assert_eq!(following.next()["n"], 4);
    assert_eq!(following.end("INT"), (Some(0), 0));
}

#[test]
fn the_shared_server_logs_no_secret_of_its_client() {
    let server = shared();
    assert_eq!(run(server.home(), &["token"]).0, 0);
    let log = fs::read_to_string(server.home().join("requests.jsonl")).unwrap();
    assert!(!log.contains(&server.client_secret));
}
