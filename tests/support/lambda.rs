//! Lambda as a function sees it: its environment, and the Runtime API that it asks for work.
//!
//! Source: AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".

use std::collections::HashMap;
use std::convert::Infallible;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::functions::environment;
use crate::{Server, binary};

/// Longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A function that runs; it ends with this.
pub struct Lambda {
    child: Child,
    api: Arc<RuntimeApi>,
    serving: JoinHandle<()>,
    events: mpsc::UnboundedSender<Invocation>,
    output: TempDir,
}

struct Invocation {
    event: String,
    deadline: SystemTime,
    answer: oneshot::Sender<Value>,
}

#[derive(Default)]
struct RuntimeApi {
    waiting: tokio::sync::Mutex<Option<mpsc::UnboundedReceiver<Invocation>>>,
    running: Mutex<HashMap<String, oneshot::Sender<Value>>>,
    /// What the function reported to `/error` and `/init/error`: `rotate` when it refuses, the others never.
    reported: Mutex<Vec<String>>,
}

impl Lambda {
    /// Starts a function over the tables of a local server.
    pub async fn start(function: &str, server: &Server) -> Lambda {
        Lambda::start_with(function, environment(function, server)).await
    }

    /// Starts a function behind another address for DynamoDB.
    pub async fn start_behind(function: &str, server: &Server, dynamodb_url: &str) -> Lambda {
        let mut environment = environment(function, server);
        environment.retain(|(name, _)| *name != "AWS_ENDPOINT_URL_DYNAMODB");
        environment.push(("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url.to_owned()));
        Lambda::start_with(function, environment).await
    }

    /// Starts a function with this environment and no other.
    pub async fn start_with(function: &str, environment: Vec<(&'static str, String)>) -> Lambda {
        Lambda::start_program(Command::new(binary(function)), environment).await
    }

    /// Starts any program as a function, with this environment and no other.
    pub async fn start_program(mut program: Command, environment: Vec<(&'static str, String)>) -> Lambda {
        let (events, waiting) = mpsc::unbounded_channel();
        let api = Arc::new(RuntimeApi { waiting: Some(waiting).into(), ..RuntimeApi::default() });
        let (address, serving) = serve(api.clone()).await;
        let output = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(output.path().join("log")).unwrap();
        let child = program
            .env_clear()
            .envs(environment)
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the function starts");
        Lambda { child, api, serving, events, output }
    }

    /// Invokes it as API Gateway does, with the 29 s of the stack; its answer.
    pub async fn invoke(&self, event: &Value) -> Value {
        self.invoke_within(&event.to_string(), Duration::from_secs(29)).await
    }

    /// Invokes it with any text and any time to live.
    pub async fn invoke_within(&self, event: &str, time: Duration) -> Value {
        let (answer, answered) = oneshot::channel();
        let deadline = SystemTime::now() + time;
        self.events.send(Invocation { event: event.to_owned(), deadline, answer }).unwrap();
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            _ => panic!("no answer to {event}\nreported: {:?}\n{}", self.reported(), self.log()),
        }
    }

    /// Sends it a signal (`STOP`, `CONT`, `KILL`).
    pub fn signal(&self, signal: &str) {
        let kill = Command::new("bash").args(["-c", "kill -s $0 $1", signal, &self.child.id().to_string()]).status();
        assert!(kill.expect("bash starts").success());
    }

    /// Ends the Runtime API and its connections.
    pub fn end_runtime_api(&self) {
        self.serving.abort();
    }

    /// Waits for its end.
    pub async fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the function does not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it reported as failed.
    pub fn reported(&self) -> Vec<String> {
        self.api.reported.lock().unwrap().clone()
    }

    /// Everything it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.output.path().join("log")).unwrap()
    }

    /// Everything it has written, which has to be JSON, an object a line.
    pub fn log_lines(&self) -> Vec<Value> {
        let line = |line: &str| match serde_json::from_str(line) {
            Ok(Value::Object(line)) => Value::Object(line),
            _ => panic!("not a JSON object: {line}"),
        };
        self.log().lines().map(line).collect()
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn serve(api: Arc<RuntimeApi>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let api = api.clone();
            let service = service_fn(move |request| answer(api.clone(), request));
            connections
                .spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, serving)
}

async fn answer(api: Arc<RuntimeApi>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let path = head.uri.path().strip_prefix("/2018-06-01/runtime/").unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    Ok(match (head.method.as_str(), &parts[..]) {
        ("GET", ["invocation", "next"]) => api.next().await,
        ("POST", ["invocation", id, "response"]) => {
            let waiting = api.running.lock().unwrap().remove(*id).expect("an invocation is answered once");
            let _ = waiting.send(serde_json::from_str(&body).expect("an answer is JSON"));
            accepted()
        }
        ("POST", ["invocation", _, "error"] | ["init", "error"]) => {
            api.reported.lock().unwrap().push(format!("{path}: {body}"));
            // An invocation that fails is over too: what was reported is its answer.
            if let Some(waiting) = api.running.lock().unwrap().remove(parts[1]) {
                let _ = waiting.send(serde_json::from_str(&body).expect("an error is JSON"));
            }
            accepted()
        }
        _ => panic!("the Runtime API has no {} {}", head.method, head.uri),
    })
}

impl RuntimeApi {
    async fn next(&self) -> Response<Full<Bytes>> {
        let next = self.waiting.lock().await.as_mut().expect("the events are there").recv().await;
        let Some(Invocation { event, deadline, answer }) = next else { return std::future::pending().await };
        let deadline = deadline.duration_since(UNIX_EPOCH).unwrap().as_millis();
        let id = format!("00000000-0000-4000-8000-{deadline:012}");
        self.running.lock().unwrap().insert(id.clone(), answer);
        Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", id)
            .header("lambda-runtime-deadline-ms", deadline.to_string())
            .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:northstar")
            .header("lambda-runtime-trace-id", "Root=1-6b012550-000000000000000000000000;Sampled=0")
            .body(Full::from(event))
            .unwrap()
    }
}

fn accepted() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(r#"{"status":"OK"}"#));
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}
