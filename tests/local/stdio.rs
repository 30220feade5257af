//! `northstar stdio`: JSON-RPC messages on its standard input, answers on its standard output, and nothing else there.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use black_box::{Server, modern_body, northstar, shared};
use serde_json::{Value, json};

use crate::serve::free_port;
use crate::{run, run_with};

/// A running bridge.
struct Bridge {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Bridge {
    fn start(home: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Bridge {
        let mut command = northstar(home, &[&["stdio"], arguments].concat());
        command.envs(environment.iter().copied()).env("NO_PROXY", "127.0.0.1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Bridge { input: child.stdin.take(), child, lines }
    }

    fn to(server: &Server) -> Bridge {
        Bridge::start(server.home(), &[], &[])
    }

    fn send(&mut self, line: impl AsRef<[u8]>) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_ref()).and_then(|()| input.write_all(b"\n")).unwrap();
    }

    #[track_caller]
    fn next(&self) -> Value {
        let line = self.lines.recv_timeout(Duration::from_secs(40)).expect("an answer comes");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
    }

    #[track_caller]
    fn ask(&mut self, message: &Value) -> Value {
        self.send(message.to_string());
        self.next()
    }

    /// The stable code of the error that comes for a message.
    #[track_caller]
    fn refusal(&mut self, message: &Value) -> Value {
        let answer = self.ask(message);
        assert_eq!(answer["id"], message["id"], "{answer}");
        answer["error"]["data"]["code"].clone()
    }

    /// Closes its standard input: its exit code, what it wrote until then, and its standard error.
    fn end(mut self) -> (Option<i32>, Vec<Value>, String) {
        drop(self.input.take());
        self.ended()
    }

    fn ended(mut self) -> (Option<i32>, Vec<Value>, String) {
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        let code = self.child.wait().unwrap().code();
        (code, self.lines.iter().map(|line| serde_json::from_str(&line).unwrap()).collect(), errors)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

fn order(id: impl Into<Value>) -> Value {
    let params = json!({ "name": "get_order_status", "arguments": { "order_id": "1001" } });
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": "tools/call", "params": params })
}

fn is_order(answer: &Value) -> bool {
    answer["result"]["structuredContent"]["status"] == "SHIPPED"
}

/// What stands in for the server: it keeps the requests to `/mcp` and answers as it is told, with a new token each time.
struct StandIn {
    url: String,
    state: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    tokens: usize,
    /// Head and body of each message.
    messages: Vec<(String, Value)>,
    open: usize,
    most_open: usize,
    /// Ends of connections on which no answer had come yet.
    closed: usize,
}

/// Status line with more headers, body, and how long it takes.
type Answer = (String, String, Duration);

impl StandIn {
    fn start(answer: impl Fn(&str, &Value) -> Answer + Clone + Send + 'static) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::downgrade(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(state) = shared.upgrade() else { return };
                let answer = answer.clone();
                std::thread::spawn(move || serve(&stream, &state, &answer));
            }
        });
        StandIn { url, state }
    }

    fn bridge(&self) -> Bridge {
        let elsewhere = tempfile::tempdir().unwrap();
        let environment = [
            ("NORTHSTAR_CLIENT_ID", "client"),
            ("NORTHSTAR_CLIENT_SECRET", "canary-secret"),
            ("NORTHSTAR_PUBLIC_URL", &self.url),
        ];
        Bridge::start(elsewhere.path(), &environment, &[])
    }

    fn heads(&self) -> Vec<String> {
        self.state.lock().unwrap().messages.iter().map(|(head, _)| head.clone()).collect()
    }

    #[track_caller]
    fn wait_for(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        let start = Instant::now();
        while !holds(&self.state.lock().unwrap()) {
            assert!(start.elapsed() < Duration::from_secs(20), "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// One request a connection.
fn serve(mut stream: &TcpStream, state: &Mutex<Seen>, answer: &impl Fn(&str, &Value) -> Answer) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or_default() == 0 {
            return;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    reader.read_exact(&mut body).unwrap();
    let (status, body, time) = if head.starts_with("post /token ") {
        let mut state = state.lock().unwrap();
        state.tokens += 1;
        let token = format!("token-{}", state.tokens);
        let token = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 900, "scope": "mcp.read" });
        ("200 OK".to_owned(), token.to_string(), Duration::ZERO)
    } else {
        let message: Value = serde_json::from_slice(&body).unwrap();
        let answered = answer(&head, &message);
        let mut state = state.lock().unwrap();
        state.messages.push((head, message));
        state.open += 1;
        state.most_open = state.most_open.max(state.open);
        answered
    };
    stream.set_read_timeout(Some(time.max(Duration::from_millis(1)))).unwrap();
    let closed = matches!(stream.read(&mut [0]), Ok(0));
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close");
    let mut state = state.lock().unwrap();
    state.open = state.open.saturating_sub(1);
    state.closed += usize::from(closed);
    drop(state);
    let _ = stream.write_all(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes());
}

fn ok(message: &Value, result: &Value) -> Answer {
    let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
    ("200 OK".to_owned(), answer.to_string(), Duration::ZERO)
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).map(str::to_owned)
}

#[test]
fn a_session_of_a_legacy_client_and_requests_of_a_modern_one_are_answered() {
    let mut bridge = Bridge::to(shared());
    let params =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "a", "version": "1" } });
    let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    assert_eq!(bridge.ask(&initialize)["result"]["protocolVersion"], "2025-06-18");
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let list = bridge.ask(&json!({ "jsonrpc": "2.0", "id": "list", "method": "tools/list" }));
    assert_eq!((&list["id"], list["result"]["tools"].as_array().unwrap().len()), (&json!("list"), 3));
    assert!(is_order(&bridge.ask(&order(1))));
    let modern = modern_body("tools/call", order(1)["params"].clone());
    let answer = bridge.ask(&modern);
    assert!(is_order(&answer) && answer["result"]["resultType"] == "complete", "{answer}");
    let unknown = modern_body("tools/call", json!({ "name": "\u{e9}t\u{e9}", "arguments": {} }));
    assert_eq!(bridge.refusal(&unknown), "unknown_tool", "a name that no header can carry as it is");

    let (code, rest, errors) = bridge.end();
    assert_eq!((code, rest), (Some(0), vec![]), "{errors}");
    assert_eq!(errors, format!("northstar stdio: {}/mcp as client demo\n", shared().url));
}

#[test]
fn lines_that_are_no_messages_are_refused_and_the_bridge_goes_on() {
    let mut bridge = Bridge::to(shared());
    for (line, code, id, name) in [
        (&b"nonsense"[..], -32700, Value::Null, "not_json"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1", -32700, Value::Null, "not_json"),
        (b"\"\xff\"", -32700, Value::Null, "not_json"),
        (b"7", -32600, Value::Null, "not_json_rpc"),
        (b"{\"id\":5,\"method\":\"ping\"}", -32600, json!(5), "not_json_rpc"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":6}", -32600, json!(6), "not_json_rpc"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":8,\"id\":9,\"method\":\"ping\"}", -32600, json!(9), "json_limits"),
        (b"[]", -32600, Value::Null, "batch_not_allowed"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":10,\"method\":\"fly\"}", -32601, json!(10), "method_not_found"),
    ] {
        let text = String::from_utf8_lossy(line);
        bridge.send(line);
        let answer = bridge.next();
        let error = &answer["error"];
        assert_eq!((&error["data"]["code"], &answer["id"]), (&json!(name), &id), "{text}: {answer}");
        assert_eq!(error["code"], code, "{text}: {answer}");
        assert_eq!(answer.get("id").is_some(), !id.is_null(), "an id that is not known is left out");
    }
    bridge.send("");
    bridge.send(" \t\r");
    let mut long = order(11);
    long["params"]["arguments"]["order_id"] = json!("x".repeat(300 * 1024));
    let answer = bridge.ask(&long);
    assert_eq!((&answer["id"], &answer["error"]["data"]["code"]), (&json!(11), &json!("body_too_large")));
    bridge.send(order(12).to_string() + "\r");
    assert!(is_order(&bridge.next()));
    let batch = format!("[{},{}]", order(13), json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    bridge.send(batch);
    assert_eq!(bridge.next()[0]["id"], 13, "a batch before a revision is agreed on");
    assert_eq!(bridge.end().0, Some(0));
}

#[test]
fn a_server_that_goes_and_comes_back_is_an_error_meanwhile() {
    let (home, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut first = Server::start_in(home.path(), port, &[]);
    let mut bridge = Bridge::to(&first);
    assert!(is_order(&bridge.ask(&order(1))));
    assert!(first.end_with("TERM").success());
    for id in 2..5 {
        let answer = bridge.ask(&order(id));
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(id), &json!(-32603)), "{answer}");
        assert_eq!(answer["error"]["data"]["code"], "server_unreachable");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("/mcp cannot be reached"), "{message}");
    }
    let _second = Server::start_in(home.path(), port, &[]);
    assert!(is_order(&bridge.ask(&order(5))));
    assert_eq!(bridge.end().0, Some(0));
}

#[test]
fn a_bridge_that_starts_before_its_server_gets_its_token_when_there_is_one() {
    let (home, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut first = Server::start_in(home.path(), port, &[]);
    assert!(first.end_with("TERM").success());
    let mut bridge = Bridge::to(&first);
    assert_eq!(bridge.refusal(&order(1)), "server_unreachable");
    let _second = Server::start_in(home.path(), port, &[]);
    assert!(is_order(&bridge.ask(&order(2))));
}

/// A relay in front of a server whose public URL it is; it keeps what the server answers.
struct Relay {
    _server: Server,
    answered: Arc<Mutex<Vec<u8>>>,
}

impl Relay {
    fn start(home: &Path) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::start_in(home, 0, &["--public-url", &url]);
        let (address, answered) = (server.address().to_owned(), Arc::new(Mutex::new(Vec::new())));
        let shared = answered.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&address) else { return };
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let (mut from, mut to, shared) = (server, client, shared.clone());
                std::thread::spawn(move || {
                    let mut buffer = [0; 16 * 1024];
                    while let Ok(length @ 1..) = from.read(&mut buffer) {
                        shared.lock().unwrap().extend(&buffer[..length]);
                        if to.write_all(&buffer[..length]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Relay { _server: server, answered }
    }

    /// The tokens that were given.
    fn tokens(&self) -> Vec<String> {
        let answered = String::from_utf8_lossy(&self.answered.lock().unwrap()).into_owned();
        let tokens = answered.split("\"access_token\":\"").skip(1);
        tokens.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    }
}

#[test]
fn a_revoked_token_is_renewed_and_no_request_fails() {
    let home = tempfile::tempdir().unwrap();
    let relay = Relay::start(home.path());
    let mut bridge = Bridge::start(home.path(), &[], &[]);
    assert!(is_order(&bridge.ask(&order(0))) && is_order(&bridge.ask(&order(1))));
    let tokens = relay.tokens();
    assert_eq!(tokens.len(), 1, "a token is kept");
    assert_eq!(run_with(home.path(), &[], &tokens[0], &["token", "revoke"]).0, 0);
    // It is refused within 10 seconds.
    let start = Instant::now();
    let mut asked = 1;
    while relay.tokens().len() == 1 {
        assert!(start.elapsed() < Duration::from_secs(30), "the token is not renewed");
        asked += 1;
        assert!(is_order(&bridge.ask(&order(asked))));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(is_order(&bridge.ask(&order("after"))));
    let (code, rest, errors) = bridge.end();
    assert_eq!((code, rest, errors.lines().count()), (Some(0), vec![], 1), "{errors}");
    assert_eq!(relay.tokens().len(), 2);
}

#[test]
fn a_client_that_gets_no_token_is_told_so_for_each_request() {
    let wrong = [("NORTHSTAR_CLIENT_ID", "demo"), ("NORTHSTAR_CLIENT_SECRET", "canary-secret")];
    let server = Server::start(&[]);
    let mut bridge = Bridge::start(server.home(), &wrong, &[]);
    for id in ["a", "b"] {
        let answer = bridge.ask(&order(id));
        assert_eq!((&answer["id"], &answer["error"]["data"]["code"]), (&json!(id), &json!("token_refused")));
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("/token says 401") && message.contains("invalid_client"), "{message}");
    }
    let (code, _, errors) = bridge.end();
    assert_eq!(code, Some(0));
    assert!(errors.contains("token_refused: ") && !errors.contains("canary"), "{errors}");

    let mut bridge = Bridge::start(server.home(), &[], &["--server", "nowhere"]);
    let answer = bridge.ask(&order(1));
    assert!(answer["error"]["message"].as_str().unwrap().contains("invalid_target"), "{answer}");
    let mut bridge = Bridge::start(server.home(), &[], &["--scope", "mcp.admin"]);
    let answer = bridge.ask(&order(1));
    assert!(answer["error"]["message"].as_str().unwrap().contains("invalid_scope"), "{answer}");
}

#[test]
fn a_hundred_requests_at_once_are_all_answered() {
    let mut bridge = Bridge::to(shared());
    for id in 0..100 {
        bridge.send(order(id).to_string());
    }
    let answered: BTreeSet<u64> = (0..100)
        .map(|_| {
            let answer = bridge.next();
            assert!(is_order(&answer), "{answer}");
            answer["id"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(answered, (0..100).collect());
}

#[test]
fn sixteen_requests_are_open_at_once_with_one_token_and_the_fast_ones_come_first() {
    let stand_in = StandIn::start(|_, message| {
        let slow = if message["id"] == 0 { 4_000 } else { 500 };
        let (status, body, _) = ok(message, &json!({}));
        (status, body, Duration::from_millis(slow))
    });
    let mut bridge = stand_in.bridge();
    for id in 0..40 {
        bridge.send(json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }).to_string());
    }
    let answered: Vec<u64> = (0..40).map(|_| bridge.next()["id"].as_u64().unwrap()).collect();
    assert_eq!(answered.iter().collect::<BTreeSet<_>>().len(), 40);
    assert_eq!(*answered.last().unwrap(), 0);
    let seen = stand_in.state.lock().unwrap();
    assert_eq!((seen.most_open, seen.tokens), (16, 1));
}

#[test]
fn the_end_of_its_input_waits_for_the_answers_of_open_requests() {
    let stand_in = StandIn::start(|_, message| {
        let (status, body, _) = ok(message, &json!({}));
        (status, body, Duration::from_millis(700))
    });
    let mut bridge = stand_in.bridge();
    for id in 0..20 {
        bridge.send(json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }).to_string());
    }
    // The last line needs no end.
    bridge.input.as_mut().unwrap().write_all(br#"{"jsonrpc":"2.0","id":20,"method":"ping"}"#).unwrap();
    let (code, answers, errors) = bridge.end();
    assert_eq!((code, answers.len()), (Some(0), 21), "{errors}");
    assert!(!errors.contains("canary"), "{errors}");
}

#[test]
fn the_headers_say_what_the_message_says() {
    let stand_in = StandIn::start(|_, message| ok(message, &json!({ "protocolVersion": "2025-11-25" })));
    let mut bridge = stand_in.bridge();
    let legacy = |method: &str| json!({ "jsonrpc": "2.0", "id": 1, "method": method });
    for message in [
        legacy("tools/list"),
        legacy("initialize"),
        legacy("tools/list"),
        modern_body("tools/list", json!({})),
        modern_body("tools/call", json!({ "name": "get_order_status" })),
        legacy("initialize"),
        json!([legacy("ping")]),
    ] {
        bridge.send(message.to_string());
        let _ = bridge.next();
    }
    let headers: Vec<[Option<String>; 3]> = stand_in
        .heads()
        .iter()
        .map(|head| ["mcp-protocol-version", "mcp-method", "mcp-name"].map(|name| header(head, name)))
        .collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(headers[0], [None, None, None], "nothing is agreed on yet");
    assert_eq!(headers[1], [None, None, None]);
    assert_eq!(headers[2], [some("2025-11-25"), None, None]);
    assert_eq!(headers[3], [some("2026-07-28"), some("tools/list"), None]);
    assert_eq!(headers[4], [some("2026-07-28"), some("tools/call"), some("get_order_status")]);
    assert_eq!(headers[5], [None, None, None]);
    assert_eq!(headers[6], [some("2025-11-25"), None, None]);
    for head in stand_in.heads() {
        assert_eq!(header(&head, "accept").unwrap(), "application/json, text/event-stream");
        assert_eq!(header(&head, "content-type").unwrap(), "application/json");
        assert_eq!(header(&head, "authorization").unwrap(), "bearer token-1");
    }
}

#[test]
fn errors_of_the_server_pass_and_what_is_no_answer_becomes_one() {
    let stand_in = StandIn::start(|_, message| {
        let error = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"slow down","data":{"code":"rate_limited"}}}"#;
        let (status, body) = match message["method"].as_str().unwrap() {
            "limited" => ("429 Too Many Requests\r\nretry-after: 3", error),
            "gateway" => ("503 .\r\nretry-after: 7\r\napigw-requestid: abc=", r#"{"message":"Service Unavailable"}"#),
            "page" => ("502 Bad Gateway", "<html>"),
            "nothing" => ("202 Accepted", ""),
            "other" => ("200 OK", r#"{"result":{}}"#),
            _ => ("401 Unauthorized", r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"no"}}"#),
        };
        (status.to_owned(), body.to_owned(), Duration::ZERO)
    });
    let mut bridge = stand_in.bridge();
    let mut error = |method: &str| {
        let answer = bridge.ask(&json!({ "jsonrpc": "2.0", "id": method, "method": method }));
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(method)), "{answer}");
        answer["error"].clone()
    };
    let limited = json!({ "code": -32000, "message": "slow down", "data": { "code": "rate_limited" } });
    assert_eq!(error("limited"), limited);
    let data = json!({ "code": "unexpected_answer", "status": 503, "retry_after": 7, "request_id": "abc=" });
    assert_eq!(error("gateway")["data"], data);
    for (method, status) in [("page", 502), ("nothing", 202), ("other", 200)] {
        let error = error(method);
        assert_eq!(error["data"], json!({ "code": "unexpected_answer", "status": status }));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("/mcp answers {status}, and no JSON-RPC message")), "{message}");
    }
    let before = stand_in.heads().len();
    assert_eq!(error("refused"), json!({ "code": -32600, "message": "no" }));
    let authorization: Vec<String> =
        stand_in.heads()[before..].iter().map(|head| header(head, "authorization").unwrap()).collect();
    assert_eq!(authorization, ["bearer token-1", "bearer token-2"], "once more with a new token, and not again");
    bridge.send(r#"{"jsonrpc":"2.0","method":"page"}"#);
    let (code, rest, errors) = bridge.end();
    assert_eq!((code, rest), (Some(0), vec![]), "a notification has no answer");
    assert!(errors.contains("answers 502 Bad Gateway to a notification"), "{errors}");
}

#[test]
fn a_cancelled_request_has_no_answer_and_the_server_learns_of_it_as_its_revision_has_it() {
    let stand_in = StandIn::start(|_, message| {
        let (status, body, _) = ok(message, &json!({}));
        let slow = message["method"] == "slow";
        (status, body, Duration::from_secs(if slow { 20 } else { 0 }))
    });
    let mut bridge = stand_in.bridge();
    let cancel = |id: &str| {
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } }).to_string()
    };
    let mut modern = modern_body("slow", json!({}));
    modern["id"] = json!("modern");
    bridge.send(modern.to_string());
    stand_in.wait_for("the request comes", |seen| seen.messages.len() == 1);
    bridge.send(cancel("modern"));
    stand_in.wait_for("the connection is closed", |seen| seen.closed == 1);
    bridge.send(json!({ "jsonrpc": "2.0", "id": "legacy", "method": "slow" }).to_string());
    stand_in.wait_for("the request comes", |seen| seen.messages.len() == 2);
    bridge.send(cancel("legacy"));
    bridge.send(cancel("unknown"));
    stand_in.wait_for("the notifications come", |seen| seen.messages.len() == 4);
    let mut told: Vec<String> = stand_in.state.lock().unwrap().messages[2..]
        .iter()
        .map(|(_, message)| message["params"]["requestId"].as_str().unwrap().to_owned())
        .collect();
    told.sort();
    assert_eq!(told, ["legacy", "unknown"]);
    let start = Instant::now();
    let (code, rest, errors) = bridge.end();
    assert_eq!((code, rest), (Some(0), vec![]), "{errors}");
    assert!(start.elapsed() < Duration::from_secs(10), "nothing is waited for");
}

#[test]
fn sigint_sigterm_and_a_reader_that_is_gone_end_it() {
    for signal in ["INT", "TERM"] {
        let stand_in = StandIn::start(|_, message| {
            let (status, body, _) = ok(message, &json!({}));
            (status, body, Duration::from_secs(20))
        });
        let mut bridge = stand_in.bridge();
        bridge.send(order(1).to_string());
        stand_in.wait_for("the request comes", |seen| seen.messages.len() == 1);
        let id = bridge.child.id().to_string();
        assert!(
            std::process::Command::new("bash").args(["-c", "kill -s $0 $1", signal, &id]).status().unwrap().success()
        );
        let (code, rest, _) = bridge.ended();
        assert_eq!((code, rest), (Some(0), vec![]), "SIG{signal}");
    }
    let mut command = northstar(shared().home(), &["stdio"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    input.write_all(format!("{}\n", order(1)).as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_work_ends_it_at_once_with_a_sentence_on_standard_error() {
    let home = tempfile::tempdir().unwrap();
    let half = [("NORTHSTAR_CLIENT_ID", "client")];
    for (arguments, environment, code, says) in [
        (&["stdio"][..], &[][..], 1, "has no demo.json"),
        (&["stdio"], &half, 2, "set both NORTHSTAR_CLIENT_ID and NORTHSTAR_CLIENT_SECRET"),
        (&["stdio", "--server", "No Where"], &[], 2, "a server name is like orders-eu"),
    ] {
        let (ended, output, errors) = run_with(home.path(), environment, "", arguments);
        assert_eq!((ended, output.as_str()), (code, ""), "{arguments:?}: {errors}");
        assert!(errors.contains(says), "{errors}");
    }
    let (code, output, _) = run(shared().home(), &["stdio"]);
    assert_eq!((code, output.as_str()), (0, ""), "nothing to do");
}
