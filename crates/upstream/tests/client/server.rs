//! A scripted MCP server on this machine: one answer a connection, byte for byte as the test has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

#[derive(Clone, Debug)]
pub struct Request {
    pub verb: String,
    pub headers: HashMap<String, String>,
    pub body: Value,
}

impl Request {
    /// The JSON-RPC method; `GET` and the like for a request without one.
    pub fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or(&self.verb)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn is_modern(&self) -> bool {
        self.header("mcp-protocol-version") == "2026-07-28"
    }

    /// A response to this request.
    pub fn response(&self, result: Value) -> String {
        json!({"jsonrpc": "2.0", "id": self.body["id"], "result": result}).to_string()
    }

    /// An error in response to this request.
    pub fn error(&self, code: i64, data: Value) -> String {
        let error = json!({"code": code, "message": "CANARY says no", "data": data});
        json!({"jsonrpc": "2.0", "id": self.body["id"], "error": error}).to_string()
    }

    pub fn tools(&self, names: &[&str]) -> Answer {
        let tools: Vec<Value> =
            names.iter().map(|name| json!({"name": name, "inputSchema": {"type": "object"}})).collect();
        ok(&self.response(json!({"resultType": "complete", "tools": tools})))
    }

    pub fn discovered(&self) -> Answer {
        ok(&self.response(json!({"resultType": "complete", "supportedVersions": ["2025-11-25", "2026-07-28"]})))
    }

    pub fn initialized(&self, revision: &str, session: &str) -> Answer {
        let result =
            json!({"protocolVersion": revision, "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}});
        let session = if session.is_empty() { String::new() } else { format!("mcp-session-id: {session}\r\n") };
        vec![Step::Send(http(200, &(session + "content-type: application/json\r\n"), &self.response(result)))]
    }

    pub fn said(&self, text: &str) -> Answer {
        ok(&self.response(json!({"resultType": "complete", "content": [{"type": "text", "text": text}]})))
    }
}

pub enum Step {
    Send(String),
    Wait(Duration),
}

pub type Answer = Vec<Step>;

pub fn http(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

pub fn ok(json: &str) -> Answer {
    status(200, json)
}

pub fn status(status: u16, json: &str) -> Answer {
    vec![Step::Send(http(status, "content-type: application/json\r\n", json))]
}

pub fn refusal(status: u16, headers: &str) -> Answer {
    vec![Step::Send(http(status, headers, "CANARY is refused"))]
}

/// A stream of events that goes on until the connection is closed.
pub fn stream(events: &str) -> Answer {
    vec![Step::Send(format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}"))]
}

pub fn wait(milliseconds: u64) -> Step {
    Step::Wait(Duration::from_millis(milliseconds))
}

pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub async fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let (requests, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let seen = requests.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Some(request) = read(&mut stream).await else { return };
                    seen.lock().unwrap().push(request.clone());
                    for step in answer(&request) {
                        match step {
                            Step::Send(text) if stream.write_all(text.as_bytes()).await.is_err() => return,
                            Step::Send(_) => {}
                            Step::Wait(time) => sleep(time).await,
                        }
                    }
                });
            }
        });
        Server { url, requests, accepting }
    }

    /// A server of 2026-07-28 that answers what comes after `server/discover`.
    pub async fn modern(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
        Server::start(move |request| match request.method() {
            "server/discover" => request.discovered(),
            _ => answer(request),
        })
        .await
    }

    /// A server of 2025-11-25 without sessions that answers what comes after the handshake.
    pub async fn legacy(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
        Server::start(move |request| match request.method() {
            _ if request.is_modern() => refusal(400, ""),
            "initialize" => request.initialized("2025-11-25", ""),
            "notifications/initialized" => refusal(202, ""),
            _ => answer(request),
        })
        .await
    }

    /// Takes no connection any more.
    pub fn stop(&self) {
        self.accepting.abort();
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub fn methods(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.method().to_owned()).collect()
    }

    pub fn count(&self, method: &str) -> usize {
        self.methods().iter().filter(|sent| *sent == method).count()
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let verb = line.split(' ').next()?.to_owned();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ").or(line.trim_end().split_once(':')) else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { verb, headers, body: serde_json::from_slice(&body).unwrap_or_default() })
}
