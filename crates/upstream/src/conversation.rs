//! What was agreed on with an upstream: the revision, and a session where it wants one. Agreed on once in a process, for
//! all requests that wait for it (MCP 2026-07-28, basic/versioning, "dual-era").

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use outbound::Breaker;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::error::UpstreamError;
use crate::exchange::{Call, Failure, Frame, Line, client_info, is_unsupported_revision};
use crate::message::{UNKNOWN_METHOD, texts};
use crate::revision::{LEGACY, MODERN, legacy, newest_legacy};

/// How many upstreams are remembered.
const MAX_REMEMBERED: usize = 256;
/// A request that had less time than this says nothing of its upstream when the time is over.
const FAIR_TIME: Duration = Duration::from_secs(1);

/// What is remembered of upstreams, by name and URL.
#[derive(Default)]
pub struct Memories(StdMutex<HashMap<(String, String), Arc<Memory>>>);

/// What is remembered of one.
#[derive(Default)]
pub struct Memory {
    agreed: Mutex<Option<Agreed>>,
    breaker: StdMutex<Breaker>,
}

/// What was agreed on.
#[derive(Clone)]
struct Agreed(Arc<Terms>);

struct Terms {
    revision: &'static str,
    session: Option<SecretString>,
}

impl Agreed {
    fn new(revision: &'static str, session: Option<SecretString>) -> Agreed {
        Agreed(Arc::new(Terms { revision, session }))
    }

    fn frame(&self) -> Frame<'_> {
        Frame { revision: Some(self.0.revision), session: self.0.session.as_ref() }
    }
}

impl Memories {
    /// What is remembered of an upstream.
    pub fn of(&self, name: &str, url: &str) -> Arc<Memory> {
        let mut memories = lock(&self.0);
        let key = (name.to_owned(), url.to_owned());
        if memories.len() >= MAX_REMEMBERED && !memories.contains_key(&key) {
            memories.clear();
        }
        memories.entry(key).or_default().clone()
    }
}

impl Memory {
    /// Runs `conversation` unless the upstream is left alone, and counts how it went.
    ///
    /// # Errors
    /// [`UpstreamError::LeftAlone`], and those of `conversation`.
    pub async fn guarded<T>(&self, conversation: impl Future<Output = Result<T, Failure>>) -> Result<T, UpstreamError> {
        lock(&self.breaker).admit(SystemTime::now()).map_err(UpstreamError::LeftAlone)?;
        let began = Instant::now();
        let outcome = conversation.await.map_err(|failure| failure.error);
        let mut breaker = lock(&self.breaker);
        match &outcome {
            Err(UpstreamError::TimedOut) if began.elapsed() < FAIR_TIME => {}
            Err(error) if is_failure_of_upstream(error) => breaker.failed(SystemTime::now()),
            _ => breaker.succeeded(),
        }
        outcome
    }
}

/// Whether it is the upstream that fails, and not one that refuses or answers too much.
fn is_failure_of_upstream(error: &UpstreamError) -> bool {
    match error {
        UpstreamError::Unreachable
        | UpstreamError::Interrupted
        | UpstreamError::TimedOut
        | UpstreamError::Protocol(_)
        | UpstreamError::Status(500..) => true,
        UpstreamError::Unauthorized
        | UpstreamError::Forbidden
        | UpstreamError::InsufficientScope(_)
        | UpstreamError::NotFound
        | UpstreamError::RateLimited(_)
        | UpstreamError::Url
        | UpstreamError::LeftAlone(_)
        | UpstreamError::TooLarge
        | UpstreamError::Status(_)
        | UpstreamError::Rpc(_) => false,
    }
}

/// Requests to one upstream, in terms that are agreed on when they are needed.
pub struct Conversation<'a> {
    pub line: Line<'a>,
    pub memory: &'a Memory,
}

impl Conversation<'_> {
    /// Sends a request and waits for its result. It is sent again, once, only when the upstream says that it did not take
    /// it: its session is lost, or it does not speak the revision.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn request(&self, call: &Call<'_>) -> Result<Box<RawValue>, Failure> {
        let agreed = self.agreed().await?;
        let failure = match self.line.request(agreed.frame(), call).await {
            Ok(reply) => return Ok(reply.result),
            Err(failure) => failure,
        };
        let lost = agreed.0.session.is_some() && failure.status() == Some(404);
        let refused = is_unsupported_revision(&failure);
        // Terms that make no sense to it any more, as after an upgrade, are not used again.
        let stale = lost || refused || matches!(failure.status(), Some(400 | 404 | 405));
        if stale {
            self.forget(&agreed).await;
        }
        if !(lost || refused) {
            return Err(failure);
        }
        let agreed = self.agreed().await?;
        Ok(self.line.request(agreed.frame(), call).await?.result)
    }

    /// The revision that was agreed on.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn revision(&self) -> Result<&'static str, Failure> {
        Ok(self.agreed().await?.0.revision)
    }

    /// What was agreed on, or is now: whoever comes while somebody else is at it waits.
    async fn agreed(&self) -> Result<Agreed, Failure> {
        let waiting = tokio::time::timeout_at(self.line.deadline.into(), self.memory.agreed.lock());
        let mut agreed = waiting.await.map_err(|_| UpstreamError::TimedOut)?;
        if let Some(agreed) = &*agreed {
            return Ok(agreed.clone());
        }
        let new = self.negotiate().await?;
        Ok(agreed.insert(new).clone())
    }

    async fn forget(&self, old: &Agreed) {
        let Ok(mut agreed) = tokio::time::timeout_at(self.line.deadline.into(), self.memory.agreed.lock()).await else {
            return;
        };
        if agreed.as_ref().is_some_and(|agreed| Arc::ptr_eq(&agreed.0, &old.0)) {
            *agreed = None;
        }
    }

    /// Modern first; what is no modern answer leads to a handshake.
    async fn negotiate(&self) -> Result<Agreed, Failure> {
        let discover = Call { method: "server/discover", params: Map::new(), tool: None };
        let modern = Frame { revision: Some(MODERN), session: None };
        let next = match self.line.request(modern, &discover).await {
            Ok(reply) => next_step(&discovered(&reply.result))?,
            Err(failure) => after_failure(failure)?,
        };
        match next {
            Next::Modern => Ok(Agreed::new(MODERN, None)),
            Next::Initialize(revision) => self.initialize(revision).await,
        }
    }

    async fn initialize(&self, revision: &'static str) -> Result<Agreed, Failure> {
        let hello = json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": client_info()});
        let params = hello.as_object().cloned().unwrap_or_default();
        let call = Call { method: "initialize", params, tool: None };
        let reply = match self.line.request(Frame { revision: None, session: None }, &call).await {
            // Neither knows it `server/discover` nor `initialize`: a revision without a handshake, incomplete.
            Err(Failure { error: UpstreamError::Rpc(UNKNOWN_METHOD), .. }) => return Ok(Agreed::new(MODERN, None)),
            reply => reply?,
        };
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Initialized {
            protocol_version: String,
        }
        let answer: Initialized = serde_json::from_str(reply.result.get())
            .map_err(|_| UpstreamError::Protocol("its answer to initialize names no revision"))?;
        let revision = legacy(&answer.protocol_version).ok_or(NO_COMMON_REVISION)?;
        let agreed = Agreed::new(revision, reply.session);
        self.line.notify(agreed.frame(), "notifications/initialized").await?;
        Ok(agreed)
    }
}

const NO_COMMON_REVISION: UpstreamError = UpstreamError::Protocol("it speaks no revision of MCP that is spoken here");

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Modern,
    Initialize(&'static str),
}

/// What the answer to `server/discover` says: the revisions, and whether it is one at all.
#[derive(Debug, Default)]
struct Discovered {
    revisions: Option<Vec<String>>,
    has_result_type: bool,
}

fn discovered(result: &RawValue) -> Discovered {
    let result: Value = serde_json::from_str(result.get()).unwrap_or_default();
    Discovered {
        revisions: result.get("supportedVersions").map(texts),
        has_result_type: result.get("resultType").is_some(),
    }
}

fn next_step(discovered: &Discovered) -> Result<Next, UpstreamError> {
    match &discovered.revisions {
        Some(revisions) => common(revisions),
        None if discovered.has_result_type => Ok(Next::Modern),
        // A server of an earlier revision that answers whatever it is asked.
        None => Ok(Next::Initialize(LEGACY[0])),
    }
}

fn common(revisions: &[String]) -> Result<Next, UpstreamError> {
    if revisions.iter().any(|revision| revision == MODERN) {
        return Ok(Next::Modern);
    }
    newest_legacy(revisions).map(Next::Initialize).ok_or(NO_COMMON_REVISION)
}

/// A modern error keeps it modern; a refusal of the caller, and a failure, stay what they are; any other 4xx, any other
/// error and any other document is of a server that does not know `server/discover`.
fn after_failure(failure: Failure) -> Result<Next, Failure> {
    if is_unsupported_revision(&failure) {
        let supported = failure.rpc.map(|error| error.supported).unwrap_or_default();
        return Ok(common(&supported)?);
    }
    match failure.error {
        UpstreamError::Rpc(-32021 | -32020) => Err(failure),
        UpstreamError::Rpc(_) | UpstreamError::NotFound | UpstreamError::Protocol(_) => Ok(Next::Initialize(LEGACY[0])),
        UpstreamError::Status(400..500) => Ok(Next::Initialize(LEGACY[0])),
        _ => Err(failure),
    }
}

fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(revisions: &[&str]) -> Result<Next, UpstreamError> {
        common(&revisions.iter().map(|revision| (*revision).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_newest_common_revision_is_spoken() {
        assert_eq!(of(&["2024-11-05", "2026-07-28"]), Ok(Next::Modern));
        assert_eq!(of(&["2025-03-26", "2025-06-18", "2031-01-01"]), Ok(Next::Initialize("2025-06-18")));
        assert_eq!(of(&["2031-01-01"]), Err(NO_COMMON_REVISION));
        assert_eq!(of(&[]), Err(NO_COMMON_REVISION));
    }

    #[test]
    fn a_refusal_of_the_caller_does_not_lead_to_a_handshake() {
        for error in [
            UpstreamError::Unauthorized,
            UpstreamError::Forbidden,
            UpstreamError::RateLimited(None),
            UpstreamError::Status(502),
            UpstreamError::TimedOut,
            UpstreamError::Rpc(-32021),
        ] {
            assert_eq!(after_failure(error.clone().into()).unwrap_err().error, error);
        }
        for error in [
            UpstreamError::NotFound,
            UpstreamError::Status(400),
            UpstreamError::Status(405),
            UpstreamError::Rpc(-32601),
            UpstreamError::Rpc(-32000),
        ] {
            assert_eq!(after_failure(error.clone().into()).unwrap(), Next::Initialize("2025-11-25"), "{error}");
        }
    }
}
