//! One call of an upstream's tool. It goes out with our own token and nothing of the caller's but the arguments.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_clients::{SecretStage, Secrets, SecretsError};
use oauth_client::{AccessToken, Connection, Grants};
use registry::{ConnectionName, PinnedTool, UpstreamAuth};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;
use upstream::{CallOutcome, Endpoint, ListedTool, McpClient, Seen, SeenStore, UpstreamError};

use super::looking::{Known, Look};
use super::registrations::Registered;
use super::troubles;
use crate::catalogue::{Call, Trouble};

/// What is left of a call's time when its upstream is given up: to say what became of it.
const MARGIN: Duration = Duration::from_millis(500);
/// How long a look beside a call may take.
const LOOK: Duration = Duration::from_secs(10);
/// How long a call that has its answer waits for the look beside it: a function that is frozen does not look on.
const LOOK_GRACE: Duration = Duration::from_millis(500);
/// How long a token that does not change is kept before its secret is read again.
const BEARER_AGE: Duration = Duration::from_secs(5 * 60);

/// What the upstreams of this process have in common.
pub struct Reach {
    /// Speaks MCP with them.
    pub client: McpClient,
    /// Access tokens of their authorization servers.
    pub grants: Grants,
    /// Tokens that do not change.
    pub secrets: Secrets,
    /// What they were last seen to list.
    pub seen: SeenStore,
}

/// A tool of an upstream, and how it is called.
#[derive(Clone)]
pub struct Source(Arc<Inner>);

struct Inner {
    registered: Arc<Registered>,
    connection: Option<Connection>,
    pinned: PinnedTool,
    known: Arc<Known>,
    reach: Arc<Reach>,
}

/// The token of a request.
enum Token {
    None,
    Fixed(Arc<SecretString>),
    Granted(AccessToken),
}

impl Token {
    fn secret(&self) -> Option<&SecretString> {
        match self {
            Token::None => None,
            Token::Fixed(token) => Some(token),
            Token::Granted(token) => Some(&token.token),
        }
    }
}

impl Source {
    /// A tool of an upstream that is registered.
    pub fn new(registered: Arc<Registered>, pinned: PinnedTool, known: Arc<Known>, reach: Arc<Reach>) -> Source {
        let connection = Connection::of_upstream(&registered.upstream);
        Source(Arc::new(Inner { registered, connection, pinned, known, reach }))
    }

    /// `upstream sales`.
    pub fn name(&self) -> String {
        format!("upstream {}", self.0.name())
    }

    /// Whether the upstream was last seen to list the tool in another way than it was accepted, or not at all.
    pub fn is_withheld(&self) -> bool {
        self.0.known.withholds(&self.0.pinned)
    }

    /// Calls the tool, at most once.
    ///
    /// # Errors
    /// [`Trouble`], before `call`'s time is up. An outcome that says that the call failed is none.
    pub async fn call(&self, arguments: Map<String, Value>, call: &Call) -> Result<CallOutcome, Trouble> {
        let arguments = self.0.checked(arguments)?;
        let deadline = call.deadline.checked_sub(MARGIN).unwrap_or(call.deadline);
        let calling = tokio::time::timeout_at(deadline.into(), self.0.call(&arguments, call, deadline));
        let called = call.wait_for(|| self.name(), calling).await;
        let outcome = called.unwrap_or_else(|_| Err(self.0.failed(&UpstreamError::TimedOut)))?;
        self.0.fitting(outcome)
    }
}

impl Inner {
    fn name(&self) -> &ConnectionName {
        &self.registered.upstream.name
    }

    fn endpoint<'a>(&'a self, token: &'a Token) -> Endpoint<'a> {
        Endpoint { name: self.name(), url: &self.registered.upstream.url, bearer: token.secret() }
    }

    /// Arguments that fit the accepted schema: others would only cost a request.
    fn checked(&self, arguments: Map<String, Value>) -> Result<Map<String, Value>, Trouble> {
        let value = Value::Object(arguments);
        match upstream::schema::violation(&self.pinned.input_schema, &value) {
            Some(violation) => Err(troubles::arguments(&violation)),
            None => Ok(object(value)),
        }
    }

    async fn call(
        self: &Arc<Self>,
        arguments: &Map<String, Value>,
        call: &Call,
        deadline: Instant,
    ) -> Result<CallOutcome, Trouble> {
        // Nothing is called before this is over, and it says so when the time is up.
        let preparing = tokio::time::timeout_at(deadline.into(), self.prepare(call, deadline));
        let prepared = preparing.await.unwrap_or_else(|_| Err(self.not_looked(&UpstreamError::TimedOut)));
        let (looking, mut token) = prepared?;
        let client = &self.reach.client;
        let mut called = client.call_tool(self.endpoint(&token), &self.pinned, arguments, deadline).await;
        // A 401 says that nothing was done.
        if called == Err(UpstreamError::Unauthorized)
            && let Some(other) = self.another_token(&token, now(call)).await?
        {
            token = other;
            called = client.call_tool(self.endpoint(&token), &self.pinned, arguments, deadline).await;
        }
        if let Some(looking) = looking {
            let _ = tokio::time::timeout_at(deadline.min(Instant::now() + LOOK_GRACE).into(), looking).await;
        }
        match called {
            Ok(outcome) => Ok(outcome),
            Err(error) => Err(self.refused(&error, &token, now(call))),
        }
    }

    /// A tool that may be called, and the token to do it with.
    async fn prepare(
        self: &Arc<Self>,
        call: &Call,
        deadline: Instant,
    ) -> Result<(Option<JoinHandle<()>>, Token), Trouble> {
        let looking = self.look(call, deadline).await?;
        if self.known.withholds(&self.pinned) {
            return Err(troubles::changed(self.name()));
        }
        Ok((looking, self.token(now(call)).await?))
    }

    /// Sees to it that what was seen of the upstream may be trusted. What is given back looks meanwhile.
    async fn look(self: &Arc<Self>, call: &Call, deadline: Instant) -> Result<Option<JoinHandle<()>>, Trouble> {
        let turn = match self.known.look(&self.pinned, now(call)) {
            Look::No => return Ok(None),
            // Somebody looks already.
            Look::Beside => match self.known.looking.clone().try_lock_owned() {
                Ok(turn) => turn,
                Err(_) => return Ok(None),
            },
            Look::First => self.known.looking.clone().lock_owned().await,
        };
        // Somebody here or another instance may have looked meanwhile.
        if self.known.look(&self.pinned, now(call)) != Look::No
            && let Ok(Some(seen)) = self.reach.seen.read(self.name()).await
        {
            self.known.learn(seen);
        }
        match self.known.look(&self.pinned, now(call)) {
            Look::No => Ok(None),
            Look::Beside => Ok(Some(tokio::spawn(self.clone().look_beside(turn, now(call))))),
            Look::First => {
                let listed = self.list(now(call), deadline).await?;
                self.learn(&listed, now(call)).await;
                drop(turn);
                Ok(None)
            }
        }
    }

    /// What fails here is tried again by the next call, and in time by one that cannot do without.
    async fn look_beside(self: Arc<Self>, turn: OwnedMutexGuard<()>, now: SystemTime) {
        if let Ok(listed) = self.list(now, Instant::now() + LOOK).await {
            self.learn(&listed, now).await;
        }
        drop(turn);
    }

    async fn list(&self, now: SystemTime, deadline: Instant) -> Result<Vec<ListedTool>, Trouble> {
        let mut token = self.token(now).await?;
        let mut listed = self.reach.client.list_tools(self.endpoint(&token), deadline).await;
        if listed.as_ref().err() == Some(&UpstreamError::Unauthorized)
            && let Some(other) = self.another_token(&token, now).await?
        {
            token = other;
            listed = self.reach.client.list_tools(self.endpoint(&token), deadline).await;
        }
        match listed {
            Ok(listed) => Ok(listed),
            Err(error @ UpstreamError::InsufficientScope(_)) => Err(self.not_let_look(&error, &token, now).await),
            // Nothing was called.
            Err(error) => Err(self.not_looked(&error)),
        }
    }

    /// Remembers what was listed, here and for the others.
    async fn learn(&self, listed: &[ListedTool], now: SystemTime) {
        let seen = Seen::of(listed, now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
        let changed: Vec<&str> = self
            .registered
            .pinned
            .tools
            .iter()
            .filter(|tool| seen.hashes.get(&tool.name) != Some(&tool.hash) && !self.known.withholds(tool))
            .map(|tool| tool.name.as_str())
            .collect();
        if !changed.is_empty() {
            let (name, tools) = (self.name(), changed.join(", "));
            let message = format!(
                "upstream {name}: not as accepted, and withheld: {tools}; see `northstar upstream diff {name}`"
            );
            request_log::problem("mcp", "upstream_tool_changed", &message, now);
        }
        if let Err(error) = self.reach.seen.write(self.name(), &seen).await {
            request_log::problem("mcp", "upstream_unread", &format!("upstream {}: {error}", self.name()), now);
        }
        self.known.learn(seen);
    }

    async fn token(&self, now: SystemTime) -> Result<Token, Trouble> {
        match (&self.registered.upstream.auth, &self.connection) {
            (UpstreamAuth::None, _) => Ok(Token::None),
            (UpstreamAuth::Bearer { secret_id }, _) => self.bearer(secret_id, now, BEARER_AGE).await.map(Token::Fixed),
            (UpstreamAuth::OAuth(_), Some(connection)) => {
                let token = self.reach.grants.access_token(connection, now).await;
                token.map(Token::Granted).map_err(|error| troubles::grant(self.name(), &error))
            }
            (UpstreamAuth::OAuth(_), None) => Err(troubles::misconfigured(self.name())),
        }
    }

    /// Another token than the one that the upstream did not take; `None` when there is no other.
    async fn another_token(&self, refused: &Token, now: SystemTime) -> Result<Option<Token>, Trouble> {
        match (refused, &self.registered.upstream.auth, &self.connection) {
            (Token::Granted(token), _, Some(connection)) => {
                let token = self.reach.grants.expired(connection, token, now).await;
                token.map(|token| Some(Token::Granted(token))).map_err(|error| troubles::grant(self.name(), &error))
            }
            (Token::Fixed(token), UpstreamAuth::Bearer { secret_id }, _) => {
                let other = self.bearer(secret_id, now, Duration::ZERO).await?;
                Ok((other.expose_secret() != token.expose_secret()).then_some(Token::Fixed(other)))
            }
            _ => Ok(None),
        }
    }

    /// The token that does not change. A secret that does not exist is looked for by every call: somebody may be about
    /// to make it.
    async fn bearer(&self, secret_id: &str, now: SystemTime, max_age: Duration) -> Result<Arc<SecretString>, Trouble> {
        let fetch = async || {
            let secret = self.reach.secrets.get(secret_id, SecretStage::Current).await?;
            Ok::<_, SecretsError>(secret.map(|secret| Arc::new(secret.value)))
        };
        let is_fresh = |token: &Option<_>, age| token.is_some() && age < max_age;
        match self.known.bearer.get_if(now, is_fresh, fetch).await.as_deref() {
            Ok(Some(token)) => Ok(token.clone()),
            Ok(None) => {
                let trouble = troubles::misconfigured(self.name());
                Err(self.without_token(trouble, "the secret of its token does not exist", now))
            }
            Err(error) => {
                let trouble = troubles::token_unread(self.name());
                Err(self.without_token(trouble, &format!("the secret of its token: {error}"), now))
            }
        }
    }

    fn without_token(&self, trouble: Trouble, why: &str, now: SystemTime) -> Trouble {
        request_log::problem("mcp", trouble.code, &format!("upstream {}: {why}", self.name()), now);
        trouble
    }

    /// The answer, if it is one that was accepted.
    fn fitting(&self, outcome: CallOutcome) -> Result<CallOutcome, Trouble> {
        let Some(schema) = self.pinned.output_schema.as_ref().filter(|_| !outcome.is_error) else { return Ok(outcome) };
        let Some(structured) = outcome.structured else { return Err(self.invalid_answer("no structured content")) };
        let value = Value::Object(structured);
        if upstream::schema::violation(schema, &value).is_some() {
            return Err(self.invalid_answer("structured content that does not fit its schema"));
        }
        Ok(CallOutcome { structured: Some(object(value)), ..outcome })
    }

    /// What names there are in an answer is the upstream's text: neither the log nor the caller is told.
    fn invalid_answer(&self, what: &str) -> Trouble {
        let message = format!("upstream {}: the tool {} answered with {what}", self.name(), self.pinned.name);
        request_log::problem("mcp", "upstream_answer_invalid", &message, SystemTime::now());
        troubles::invalid_answer(self.name(), &self.pinned)
    }

    /// What is told of a call that has no answer. A token whose scopes do not do for this tool may do for others.
    fn refused(&self, error: &UpstreamError, token: &Token, now: SystemTime) -> Trouble {
        let (UpstreamError::InsufficientScope(_), Token::Granted(_)) = (error, token) else {
            return self.failed(error);
        };
        let trouble = troubles::more_scopes_for_tool(self.name());
        let message = format!("upstream {}: {error} for the tool {}", self.name(), self.pinned.name);
        request_log::problem("mcp", trouble.code, &message, now);
        trouble
    }

    /// A token that does not even list the tools does for none of them: it is remembered as one that somebody has to look
    /// after.
    async fn not_let_look(&self, error: &UpstreamError, token: &Token, now: SystemTime) -> Trouble {
        let Token::Granted(token) = token else { return self.not_looked(error) };
        // What fails here is tried again by the next call; the log has it.
        let _ = self.reach.grants.needs_attention(self.name(), token, "insufficient_scope", now).await;
        troubles::more_scopes(self.name())
    }

    fn failed(&self, error: &UpstreamError) -> Trouble {
        self.note(error);
        troubles::of(self.name(), error, may_be_done(error) && !self.pinned.read_only)
    }

    fn not_looked(&self, error: &UpstreamError) -> Trouble {
        self.note(error);
        troubles::of(self.name(), error, false)
    }

    fn note(&self, error: &UpstreamError) {
        // Who is left alone has failed before, and was noted then.
        if !matches!(error, UpstreamError::LeftAlone(_)) {
            let message = format!("upstream {}: {error}", self.name());
            request_log::problem("mcp", troubles::code(error), &message, SystemTime::now());
        }
    }
}

/// Whether the upstream may have done what it was asked, although there is no answer.
fn may_be_done(error: &UpstreamError) -> bool {
    match error {
        UpstreamError::Interrupted
        | UpstreamError::TimedOut
        | UpstreamError::TooLarge
        | UpstreamError::Protocol(_)
        | UpstreamError::Status(500..) => true,
        UpstreamError::Rpc(code) => !is_before_the_call(*code),
        _ => false,
    }
}

/// Whether a JSON-RPC error is of a request that was not read or not understood, and of none that failed half-way: parse
/// error, invalid request, unknown method and invalid params (JSON-RPC 2.0 §5.1), wrong headers, a missing capability and
/// an unknown revision (MCP 2026-07-28, basic).
fn is_before_the_call(code: i64) -> bool {
    matches!(code, -32700 | -32602..=-32600 | -32022..=-32020)
}

/// The time now, by the clock of the call.
fn now(call: &Call) -> SystemTime {
    call.now + call.started.elapsed()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_the_call_was_sent_may_be_done() {
        for error in [
            UpstreamError::Interrupted,
            UpstreamError::TimedOut,
            UpstreamError::Status(502),
            UpstreamError::Rpc(-32603),
            UpstreamError::Rpc(-32000),
            UpstreamError::Rpc(-32002),
            UpstreamError::Rpc(-32099),
            UpstreamError::Rpc(1),
        ] {
            assert!(may_be_done(&error), "{error}");
        }
        for error in [
            UpstreamError::Unreachable,
            UpstreamError::Url,
            UpstreamError::Unauthorized,
            UpstreamError::InsufficientScope(None),
            UpstreamError::LeftAlone(Duration::ZERO),
            UpstreamError::RateLimited(None),
            UpstreamError::Status(405),
        ] {
            assert!(!may_be_done(&error), "{error}");
        }
        for code in [-32700, -32600, -32601, -32602, -32020, -32021, -32022] {
            assert!(!may_be_done(&UpstreamError::Rpc(code)), "{code}");
        }
    }
}
