//! `northstar stdio`: the server of MCP clients that only start local ones. Each line of standard input is a JSON-RPC
//! message that goes to the MCP server by HTTP, with a token of this client; each answer is a line of standard output,
//! where nothing else ever goes (MCP, transports: stdio).

mod line;
mod message;
mod refusal;
mod tokens;

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use registry::ServerName;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use crate::client_of_functions::{Answered, Caller};
use crate::output::Failure;
use crate::place::Place;
use line::Line;
use message::{Era, Expects, Message};
use refusal::Refusal;
use tokens::Tokens;

/// How many requests the server is asked at once.
const AT_ONCE: usize = 16;
/// How many more wait their turn; then no line is read.
const IN_ALL: usize = 64;
/// How long open requests may take when standard input has ended: API Gateway ends them after 30 s.
const CLOSING: Duration = Duration::from_secs(35);
/// How long the last answers may take to be read when there is nothing else to do.
const FLUSHING: Duration = Duration::from_secs(5);

/// See the fields' help.
#[derive(Args)]
pub struct Options {
    /// MCP server to answer for
    #[arg(long, value_name = "NAME", value_parser = server_name)]
    server: Option<String>,
    /// Scope to ask for: mcp.read, mcp.write, or both separated by a space; the client's default otherwise
    #[arg(long)]
    scope: Option<String>,
}

fn server_name(text: &str) -> Result<String, &'static str> {
    ServerName::parse(text).map(|name| name.as_str().to_owned()).ok_or("a server name is like orders-eu")
}

/// Answers until standard input ends, or SIGINT or SIGTERM comes, or nobody reads the answers.
pub async fn run(place: &Place, options: Options) -> Result<(), Failure> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let bridge = async {
        let Options { server, scope } = options;
        let caller = Caller::find(place).await?;
        say(&format!("{} as client {}", caller.server_url(server.as_deref()), caller.client_id()));
        let (answers, written) = writer();
        let bridge = Bridge {
            caller,
            server,
            scope,
            answers,
            tokens: Tokens::default(),
            turns: Semaphore::new(AT_ONCE),
            negotiated: Mutex::default(),
        };
        bridge.serve(reader(), written).await;
        Ok(())
    };
    tokio::select! {
        done = bridge => done,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

struct Bridge {
    caller: Caller,
    server: Option<String>,
    scope: Option<String>,
    tokens: Tokens,
    /// The revision that `initialize` agreed on.
    negotiated: Mutex<Option<String>>,
    turns: Semaphore,
    answers: mpsc::Sender<Vec<u8>>,
}

/// Requests that have no answer yet, by the JSON of their id.
#[derive(Default)]
struct Open {
    tasks: JoinSet<Option<String>>,
    by_id: HashMap<String, OpenRequest>,
}

struct OpenRequest {
    task: AbortHandle,
    era: Era,
}

impl Open {
    fn ended(&mut self, ended: Result<Option<String>, JoinError>) {
        if let Ok(Some(id)) = ended {
            self.by_id.remove(&id);
        }
    }

    /// Gives up the request of an id, if it has no answer yet.
    fn cancel(&mut self, id: &Value) -> Option<Era> {
        let request = self.by_id.remove(&id.to_string())?;
        request.task.abort();
        Some(request.era)
    }
}

impl Bridge {
    /// Answers lines until there are no more, or until nobody reads the answers.
    async fn serve(self, mut lines: mpsc::Receiver<Line>, mut written: oneshot::Receiver<()>) {
        let bridge = Arc::new(self);
        let mut open = Open::default();
        loop {
            tokio::select! {
                line = lines.recv(), if open.tasks.len() < IN_ALL => match line {
                    Some(line) => bridge.take(line, &mut open).await,
                    None => break,
                },
                Some(ended) = open.tasks.join_next() => open.ended(ended),
                _ = &mut written => return,
            }
        }
        let all = async { while open.tasks.join_next().await.is_some() {} };
        tokio::select! {
            done = tokio::time::timeout(CLOSING, all) => if done.is_err() {
                say("some requests had no answer when standard input had ended for 35 s");
            },
            _ = &mut written => return,
        }
        open.tasks.shutdown().await;
        // The writer ends with the last sender.
        drop(bridge);
        let _ = tokio::time::timeout(FLUSHING, written).await;
    }

    /// Begins with a line.
    async fn take(self: &Arc<Self>, line: Line, open: &mut Open) {
        let message = match line {
            Line::Whole(text) if text.iter().all(u8::is_ascii_whitespace) => return,
            Line::Whole(text) => Message::parse(text).ok_or((Refusal::NotJson, None)),
            Line::TooLong { id } => Err((Refusal::TooLong, id)),
        };
        let message = match message {
            Ok(message) => message,
            Err((refusal, id)) => return self.refuse(&refusal, &Expects::Answer(id)).await,
        };
        // Since 2026-07-28 a request is cancelled by closing its connection, and no notification goes by HTTP.
        if message.cancelled().and_then(|id| open.cancel(id)) == Some(Era::Modern) {
            return;
        }
        let id = match &message.expects {
            Expects::Answer(Some(id)) => Some(id.to_string()),
            _ => None,
        };
        let (bridge, era, key) = (Arc::clone(self), message.era(), id.clone());
        let task = open.tasks.spawn(async move {
            bridge.answer(message).await;
            key
        });
        open.by_id.extend(id.map(|id| (id, OpenRequest { task, era })));
    }

    /// Sends a message on, and writes its answer, or why there is none.
    async fn answer(&self, message: Message) {
        // It is never closed.
        let _turn = self.turns.acquire().await;
        let (expects, initialize) = (message.expects.clone(), message.is_initialize());
        let answered = match self.send(message).await {
            Ok(answered) => answered,
            Err(refusal) => {
                self.refuse(&refusal, &expects).await;
                return;
            }
        };
        match message::line_of(&expects, &answered.body) {
            Some(line) => {
                if initialize {
                    self.note_revision(&line);
                }
                self.write(line).await;
            }
            None if expects == Expects::Nothing => {
                if !answered.status.is_success() {
                    say(&format!("the server answers {} to a notification", answered.status));
                }
            }
            None => self.refuse(&Refusal::unexpected(self.url(), answered), &expects).await,
        }
    }

    /// Asks the server; once more with a new token when it refuses the one there is.
    async fn send(&self, message: Message) -> Result<Answered, Refusal> {
        let (server, scope) = (self.server.as_deref(), self.scope.as_deref());
        let negotiated = self.negotiated.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let headers = message.headers(negotiated.as_deref());
        let token = self.tokens.get(&self.caller, server, scope, None).await?;
        let answered = self.caller.post(server, &token, headers.clone(), message.body.clone()).await?;
        if answered.status != StatusCode::UNAUTHORIZED {
            return Ok(answered);
        }
        let token = self.tokens.get(&self.caller, server, scope, Some(&token)).await?;
        Ok(self.caller.post(server, &token, headers, message.body).await?)
    }

    fn note_revision(&self, answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        if let Some(revision) = answer["result"]["protocolVersion"].as_str() {
            *self.negotiated.lock().unwrap_or_else(PoisonError::into_inner) = Some(revision.to_owned());
        }
    }

    async fn refuse(&self, refusal: &Refusal, expects: &Expects) {
        say(&format!("{}: {refusal}", refusal.code()));
        if let Some(line) = refusal.line(expects) {
            self.write(line).await;
        }
    }

    /// Where nobody reads, `serve` ends.
    async fn write(&self, mut line: Vec<u8>) {
        line.push(b'\n');
        let _ = self.answers.send(line).await;
    }

    fn url(&self) -> String {
        self.caller.server_url(self.server.as_deref())
    }
}

/// The lines of standard input, read by a thread of its own: the runtime would wait for one of its threads at the end.
fn reader() -> mpsc::Receiver<Line> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let line = match line::next(&mut input) {
                Ok(Some(line)) => line,
                Ok(None) => return,
                Err(error) => return say(&format!("standard input cannot be read: {error}")),
            };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Takes lines for standard output, and tells when no more can be written. A reader that is slow stops a thread of
/// its own, and none that has other things to do.
fn writer() -> (mpsc::Sender<Vec<u8>>, oneshot::Receiver<()>) {
    let (sender, mut lines) = mpsc::channel::<Vec<u8>>(AT_ONCE);
    let (ended, written) = oneshot::channel();
    std::thread::spawn(move || {
        let mut output = std::io::stdout().lock();
        while let Some(line) = lines.blocking_recv() {
            if output.write_all(&line).and_then(|()| output.flush()).is_err() {
                break;
            }
        }
        let _ = ended.send(());
    });
    (sender, written)
}

/// For whoever reads standard error, which may be nobody.
fn say(text: &str) {
    let text = text.replace(char::is_control, "?");
    let _ = writeln!(std::io::stderr(), "northstar stdio: {text}");
}
