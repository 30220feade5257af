//! The gateway over real sockets, spoken to byte by byte.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::Value;
use tokio::{sync::oneshot, task::JoinHandle};

use super::*;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);

#[derive(Clone, Copy)]
enum Function {
    /// Answers with its event.
    Echo,
    Fail,
    Panic,
    Babble,
    Flood,
    /// Answers after twice `SHORT`, and counts its ends.
    Slow,
}

struct Gateway {
    address: SocketAddr,
    ended: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Gateway {
    async fn start(patience: Patience) -> Self {
        let table = [
            ("ANY /echo/{name}", Function::Echo),
            ("ANY /fail", Function::Fail),
            ("ANY /panic", Function::Panic),
            ("ANY /babble", Function::Babble),
            ("ANY /flood", Function::Flood),
            ("ANY /slow", Function::Slow),
        ];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = oneshot::channel();
        let api = HttpApi { patience, ..HttpApi::new(Routes::parse(&table).unwrap()) };
        let counter = Arc::clone(&ended);
        let invoke = move |function, invocation| run(function, invocation, Arc::clone(&counter));
        let serving = tokio::spawn(serve(listener, api, invoke, async { stopped.await.unwrap_or_default() }));
        Self { address, ended, stop, serving }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    async fn send(&self, request: impl Into<Vec<u8>>) -> String {
        let (mut stream, request) = (self.connect(), request.into());
        blocking(move || {
            stream.write_all(&request).unwrap();
            read_to_end(&mut stream)
        })
        .await
    }

    async fn get(&self, path: &str) -> String {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
    }

    async fn post(&self, content_type: &str, length: usize) -> String {
        let head = "POST /echo/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        let mut request =
            format!("{head}Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        request.resize(request.len() + length, b'x');
        self.send(request).await
    }

    async fn ended_once(&self) -> bool {
        for _ in 0..200 {
            if self.ended.load(Ordering::SeqCst) == 1 {
                return true;
            }
            sleep(SHORT / 10).await;
        }
        false
    }
}

async fn run(function: Function, invocation: Invocation, ended: Arc<AtomicUsize>) -> Result<String, String> {
    match function {
        Function::Echo => Ok(invocation.event),
        Function::Fail => Err("the secret reason".to_owned()),
        Function::Panic => panic!("a panic in a function"),
        Function::Babble => Ok(r#"{"statusCode":"#.to_owned()),
        Function::Flood => Ok(format!(r#"{{"statusCode":200,"body":"{}"}}"#, "x".repeat(MAX_ANSWER))),
        Function::Slow => {
            sleep(SHORT * 2).await;
            ended.fetch_add(1, Ordering::SeqCst);
            Ok(r#"{"statusCode":200,"body":"slow"}"#.to_owned())
        }
    }
}

async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// Reads one response of which the connection stays open.
fn read_response(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    let mut byte = [0];
    while !answer.ends_with("\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        answer.push(char::from(byte[0]));
    }
    let mut body = vec![0; header(&answer, "content-length").parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    answer + std::str::from_utf8(&body).unwrap()
}

fn header<'a>(response: &'a str, name: &str) -> &'a str {
    let mut lines = response.split("\r\n").filter_map(|line| line.split_once(": "));
    lines.find(|(key, _)| *key == name).map(|(_, value)| value).unwrap_or_default()
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or_default()
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default()
}

fn refused(response: &str, code: &str, message: &str) {
    assert_eq!(status(response), code);
    assert_eq!(body(response), format!(r#"{{"message":"{message}"}}"#));
    assert_eq!(header(response, "content-type"), "application/json");
    assert_eq!(header(response, "apigw-requestid").len(), 16);
}

#[tokio::test]
async fn requests_of_one_connection_reach_their_functions() {
    let gateway = Gateway::start(Patience::default()).await;
    let mut stream = gateway.connect();
    let responses = blocking(move || {
        ["a", "b"].map(|name| {
            stream.write_all(format!("GET /echo/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
            read_response(&mut stream)
        })
    })
    .await;

    for (response, name) in responses.iter().zip(["a", "b"]) {
        let event: Value = serde_json::from_str(body(response)).unwrap();
        assert_eq!(status(response), "200");
        assert_eq!(event["pathParameters"]["name"], name);
        assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
        assert_eq!(event["requestContext"]["requestId"], header(response, "apigw-requestid"));
    }
}

#[tokio::test]
async fn chunked_body_arrives_whole() {
    let gateway = Gateway::start(Patience::default()).await;
    let head = "POST /echo/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\n";
    let response =
        gateway.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")).await;
    let event: Value = serde_json::from_str(body(&response)).unwrap();
    assert_eq!(event["body"], "abc");
    assert_eq!(event["headers"]["content-length"], "3");
    assert_eq!(event["headers"].get("transfer-encoding"), None);
}

#[tokio::test]
async fn head_request_is_answered_without_a_body() {
    let gateway = Gateway::start(Patience::default()).await;
    let response = gateway.send("HEAD /echo/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!((status(&response), body(&response)), ("200", ""));
    assert_ne!(header(&response, "content-length"), "0");
}

#[tokio::test]
async fn request_without_a_route_is_not_found() {
    let gateway = Gateway::start(Patience::default()).await;
    refused(&gateway.get("/nowhere").await, "404", "Not Found");
    refused(&gateway.get("/echo/a%2Fb").await, "404", "Not Found");
}

#[tokio::test]
async fn head_over_10_240_bytes_is_refused() {
    let gateway = Gateway::start(Patience::default()).await;
    let request = |size: usize| {
        let head = "GET /echo/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: ";
        format!("{head}{}\r\n\r\n", "x".repeat(size - head.len() - 2))
    };
    assert_eq!(status(&gateway.send(request(MAX_HEAD)).await), "200");
    refused(&gateway.send(request(MAX_HEAD + 1)).await, "431", "Request Header Fields Too Large");
    let many = "a: b\r\n".repeat(900);
    let many =
        format!("GET /echo/{} HTTP/1.1\r\nHost: localhost\r\n{many}Connection: close\r\n\r\n", "a".repeat(5_000));
    refused(&gateway.send(many).await, "431", "Request Header Fields Too Large");
}

#[tokio::test]
async fn body_over_10_mb_is_refused() {
    let gateway = Gateway::start(Patience::default()).await;
    refused(&gateway.post("text/plain", MAX_BODY + 1).await, "413", "Request Entity Too Large");
    let head = "POST /echo/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n";
    let response = gateway.send(format!("{head}Content-Length: 99999999\r\n\r\n")).await;
    refused(&response, "413", "Request Entity Too Large");
}

#[tokio::test]
async fn event_over_the_limit_of_lambda_is_refused() {
    let gateway = Gateway::start(Patience::default()).await;
    assert_eq!(status(&gateway.post("text/plain", 5 * 1024 * 1024).await), "200");
    refused(&gateway.post("text/plain", 6 * 1024 * 1024).await, "413", "Request Entity Too Large");
    refused(&gateway.post("image/png", 5 * 1024 * 1024).await, "413", "Request Entity Too Large");
}

#[tokio::test]
async fn request_without_exactly_one_host_is_refused() {
    let gateway = Gateway::start(Patience::default()).await;
    let none = "GET /echo/a HTTP/1.1\r\nConnection: close\r\n\r\n";
    let two = "GET /echo/a HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n";
    refused(&gateway.send(none).await, "400", "Bad Request");
    refused(&gateway.send(two).await, "400", "Bad Request");
    assert_eq!(status(&gateway.send("GET /echo/a HTTP/1.0\r\n\r\n").await), "200");
}

#[tokio::test]
async fn failing_functions_are_internal_errors_without_a_reason() {
    let gateway = Gateway::start(Patience::default()).await;
    for path in ["/fail", "/panic", "/babble", "/flood"] {
        refused(&gateway.get(path).await, "500", "Internal Server Error");
    }
}

#[tokio::test]
async fn slow_function_is_unavailable_and_runs_to_its_end() {
    let gateway = Gateway::start(Patience { function: SHORT, ..Patience::default() }).await;
    refused(&gateway.get("/slow").await, "503", "Service Unavailable");
    assert!(gateway.ended_once().await);
}

#[tokio::test]
async fn lost_client_does_not_stop_its_function() {
    let gateway = Gateway::start(Patience::default()).await;
    let mut stream = gateway.connect();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    sleep(SHORT).await;
    drop(stream);
    assert!(gateway.ended_once().await);
}

#[tokio::test]
async fn silent_and_half_requests_are_closed_and_block_nobody() {
    let gateway = Gateway::start(Patience { client: SHORT, ..Patience::default() }).await;
    let mut silent = gateway.connect();
    let mut half = gateway.connect();
    half.write_all(b"GET /echo/a HTTP/1.1\r\nHos").unwrap();
    assert_eq!(status(&gateway.get("/echo/a").await), "200");
    let answers = blocking(move || [read_to_end(&mut silent), read_to_end(&mut half)]).await;
    assert_eq!(answers, ["", ""]);
}

#[tokio::test]
async fn stalled_body_is_a_request_timeout() {
    let gateway = Gateway::start(Patience { client: SHORT, ..Patience::default() }).await;
    let response = gateway.send("POST /echo/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf").await;
    refused(&response, "408", "Request Timeout");
}

#[tokio::test]
async fn shutdown_lets_running_requests_finish() {
    let gateway = Gateway::start(Patience::default()).await;
    let mut stream = gateway.connect();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    sleep(SHORT).await;
    gateway.stop.send(()).unwrap();
    gateway.serving.await.unwrap();
    assert!(TcpStream::connect(gateway.address).is_err());
    assert_eq!(body(&blocking(move || read_to_end(&mut stream)).await), "slow");
}

#[tokio::test]
async fn shutdown_waits_no_longer_than_it_may() {
    let gateway = Gateway::start(Patience { shutdown: SHORT / 10, ..Patience::default() }).await;
    let (silent, mut stream) = (gateway.connect(), gateway.connect());
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    sleep(SHORT).await;
    gateway.stop.send(()).unwrap();
    gateway.serving.await.unwrap();
    assert_eq!(gateway.ended.load(Ordering::SeqCst), 0);
    drop(silent);
}

#[test]
fn ids_look_like_those_of_aws() {
    let (first, second) = (uuid(), uuid());
    assert_ne!(first, second);
    assert_eq!(first.len(), 36);
    assert_eq!(&first[14..15], "4");
    assert!(["8", "9", "a", "b"].contains(&&first[19..20]));
    assert_eq!(request_id().len(), 16);
    assert_eq!(trace_id(UNIX_EPOCH).len(), "Root=1-67fd88a4-127eb8e773d2bb6f7df47ab6".len());
}
