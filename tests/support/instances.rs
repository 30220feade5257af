//! Instances of `mcp` that answer many events at once and reach this machine, which no deployed function does: the test
//! program itself, started again for one of its tests.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use http_api::Invocation;
use mcp::{App, Config};
use outbound::Fetcher;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::Server;
use crate::functions::{body, environment};
use crate::salesforce::Answer;

/// Set for a process that is an instance.
const INSTANCE: &str = "NORTHSTAR_TEST_INSTANCE";
/// What a line begins with that is an answer; the others are the log.
const ANSWER: &str = "answer: ";
/// What API Gateway grants.
const TIME: Duration = Duration::from_secs(29);

/// The program, of a test that does nothing else: it ends with its standard input.
pub async fn run_if_told() {
    if std::env::var_os(INSTANCE).is_none() {
        return;
    }
    let fetcher = || Fetcher::with_loopback(None);
    let config = Config { outbound: fetcher(), upstream_outbound: fetcher(), ..Config::from_env().unwrap() };
    let app = Arc::new(App::new(config).await);
    let (lines, mut events) = mpsc::unbounded_channel();
    std::thread::spawn(move || std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
    while let Some(line) = events.recv().await {
        let app = app.clone();
        tokio::spawn(async move {
            let asked: Value = serde_json::from_str(&line).unwrap();
            let invocation = Invocation { request_id: asked["id"].to_string(), deadline: SystemTime::now() + TIME };
            let event = asked["event"].to_string();
            let answer = http_api::answer_event(&event, invocation, async |request| {
                // Boxed: the stack of a test is small.
                Box::pin(app.handle(request)).await
            });
            let answer = json!({ "id": asked["id"], "answer": answer.await });
            // One write: lines of many tasks do not mix.
            let _ = std::io::stdout().write_all(format!("\n{ANSWER}{answer}\n").as_bytes());
        });
    }
}

/// An instance that runs; it ends with this.
pub struct Instance {
    child: Mutex<Child>,
    events: Mutex<Option<ChildStdin>>,
    waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>,
    last: AtomicU64,
}

impl Instance {
    /// Starts one over the tables of a local run. `test` is the test that calls [`run_if_told`].
    pub fn start(test: &str, server: &Server) -> Instance {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env_clear()
            .envs(environment("mcp", server))
            .env(INSTANCE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the test program starts");
        let waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>> = Arc::default();
        let (output, answered) = (child.stdout.take().unwrap(), waiting.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Some(answer) = line.strip_prefix(ANSWER) else { continue };
                let mut answer: Value = serde_json::from_str(answer).unwrap();
                let waiting = answered.lock().unwrap().remove(&answer["id"].as_u64().unwrap());
                let _ = waiting.unwrap().send(answer["answer"].take());
            }
            // Whoever still waits is told.
            answered.lock().unwrap().clear();
        });
        let events = Mutex::new(child.stdin.take());
        Instance { child: child.into(), events, waiting, last: AtomicU64::new(0) }
    }

    /// What it answers to an event; `None` if it ends before.
    pub async fn ask(&self, event: &Value) -> Option<Value> {
        let (answer, answered) = oneshot::channel();
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().unwrap().insert(id, answer);
        let line = format!("{}\n", json!({ "id": id, "event": event }));
        let sent = self.events.lock().unwrap().as_mut().is_some_and(|events| events.write_all(line.as_bytes()).is_ok());
        if !sent {
            return None;
        }
        answered.await.ok()
    }

    /// What a tool answers; `None` if it ends before.
    pub async fn call(&self, event: &Value) -> Option<Answer> {
        let start = Instant::now();
        let answer = self.ask(event).await?;
        Some(Answer::of(body(&answer), start.elapsed()))
    }

    /// Kills it, as Lambda may at any moment.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}
