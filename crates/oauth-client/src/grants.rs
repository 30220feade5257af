//! Access tokens for connections, and their refresh: by one instance at a time, under a lease in the table; the others
//! wait for its outcome.
//!
//! A refresh runs as a task of its own, so that it ends even when the request that began it is given up: between the
//! answer of the authorization server and the write of the record nothing may stop it. What it brought is written, on the
//! condition that nobody has replaced the record, before anybody uses it.
//!
//! A grant is good for the registration that it was made for ([`Connection::digest`]). For another one of the same name it
//! counts as none, in memory as in the table: while a registration is replaced some instances know the one and some the
//! other, and neither may send the tokens of the other.

mod revocation;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_clients::{SecretStage, Secrets};
use aws_sdk_dynamodb::Client as DynamoDb;
use outbound::Fetcher;
use registry::{ConnectionName, Flow};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::error::GrantError;
use crate::items::TableError;
use crate::record::{GrantStatus, NewRecord, Record, Records, Status};
use crate::sealing::{Binding, DataKey, DataKeys, SealingError, SealingKeys};
use crate::token_request::{self, TokenAnswer, TokenFailure, TokenRequest};

pub use revocation::Revocation;

/// How long one instance may refresh a grant, in milliseconds. A token request takes 8 s at most.
const LEASE: u64 = 15_000;
/// How far the clocks of two instances may differ, in milliseconds.
const SKEW: u64 = 1_000;
/// How long an instance waits for the refresh of another.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long the authorization server is left alone after a failure, in milliseconds: it works again within 5 s of the
/// end of its trouble. Who closed the connection without an answer is asked again after this time too: what is still at
/// work behind such a server ends sooner, and a refresh token whose successor was lost with the answer is dead at any time.
const BACK_OFF: u64 = 3_000;
/// How long a grant is used from memory before its record is looked at again, in milliseconds.
const MAX_AGE: u64 = 60_000;
/// Tries to write what a refresh brought; each is several of the SDK's.
const WRITES: u32 = 3;

/// An access token.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token.
    pub token: SecretString,
    /// When it ends, seconds since 1970, if that is known.
    pub expires_at: Option<u64>,
    /// Where its API is, as the authorization server says; not checked.
    pub unverified_instance_url: Option<String>,
    /// Whom it is for, as the authorization server says.
    pub identity: Option<String>,
    version: u64,
}

/// A grant that an administrator's consent gave.
pub struct NewGrant {
    /// The refresh token.
    pub refresh_token: Option<SecretString>,
    /// The first access token.
    pub access_token: Option<SecretString>,
    /// When that ends, seconds since 1970, if it is known.
    pub expires_at: Option<u64>,
    /// Where its API is, as the authorization server says.
    pub unverified_instance_url: Option<String>,
    /// Whom it is for.
    pub identity: Option<String>,
}

/// What is sealed.
#[derive(Clone, Serialize, Deserialize)]
struct Contents {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    /// Seconds since 1970.
    issued_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    /// The digest of the connection that it was made for. Grants that were sealed without one are good for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_for: Option<String>,
}

/// A grant that is open.
struct Grant {
    version: u64,
    made_for: Option<String>,
    refresh_token: Option<SecretString>,
    access: Option<AccessToken>,
    issued_at: u64,
    key: Arc<DataKey>,
}

/// The grants of this instance's connections.
#[derive(Clone)]
pub struct Grants(Arc<Shared>);

struct Shared {
    records: Records,
    keys: DataKeys,
    secrets: Secrets,
    fetcher: Fetcher,
    here: Mutex<HashMap<ConnectionName, Arc<Here>>>,
}

/// What this instance knows of a connection.
#[derive(Default)]
struct Here {
    known: Mutex<Known>,
    /// Held by the one who looks at the record, and refreshes.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    grant: Option<Arc<Grant>>,
    /// When its record was read, milliseconds since 1970.
    read_at: u64,
    /// What a refresh brought and the table did not take yet.
    unsaved: Option<Refreshed>,
}

#[derive(Clone)]
struct Refreshed {
    /// The version that it replaces.
    seen: Option<u64>,
    record: NewRecord,
    grant: Arc<Grant>,
}

/// Which token is asked for.
struct Wanted {
    /// The digest of the connection that asks.
    made_for: String,
    /// The version of the grant whose token was refused.
    refused: Option<u64>,
}

/// What to do about a record.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Use,
    NeedsAttention,
    BackOff,
    Wait,
    Refresh,
}

/// The caller's time, which goes on. By the wall clock: a frozen instance must notice that its lease is over.
#[derive(Clone, Copy)]
struct Clock {
    now: SystemTime,
    began: SystemTime,
}

impl Clock {
    fn starting(now: SystemTime) -> Clock {
        Clock { now, began: SystemTime::now() }
    }

    fn now(&self) -> SystemTime {
        self.now + SystemTime::now().duration_since(self.began).unwrap_or_default()
    }

    /// Milliseconds since 1970.
    fn ms(&self) -> u64 {
        u64::try_from(self.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Grants {
    /// Grants in `state_table`. Client secrets and private keys come from `secrets`; token endpoints are asked through
    /// `fetcher`. Nothing is read yet.
    pub fn new(
        dynamodb: DynamoDb,
        state_table: impl Into<String>,
        keys: SealingKeys,
        secrets: Secrets,
        fetcher: Fetcher,
    ) -> Grants {
        let records = Records::new(dynamodb, state_table);
        Grants(Arc::new(Shared { records, keys: DataKeys::new(keys), secrets, fetcher, here: Mutex::default() }))
    }

    /// An access token of a connection, refreshed when less than a tenth or a minute of its life is left.
    ///
    /// # Errors
    /// [`GrantError`].
    pub async fn access_token(&self, connection: &Connection, now: SystemTime) -> Result<AccessToken, GrantError> {
        Box::pin(self.obtain(connection, None, now)).await
    }

    /// Another access token than `refused`, which its resource did not take: refreshed, unless somebody has done so.
    ///
    /// # Errors
    /// [`GrantError`].
    pub async fn expired(
        &self,
        connection: &Connection,
        refused: &AccessToken,
        now: SystemTime,
    ) -> Result<AccessToken, GrantError> {
        Box::pin(self.obtain(connection, Some(refused.version), now)).await
    }

    /// Keeps the grant that an administrator's consent gave to `connection`, in place of any earlier one.
    ///
    /// # Errors
    /// [`GrantError::Unavailable`] when the table or the service of the keys does not answer.
    pub async fn put(&self, connection: &Connection, grant: NewGrant, now: SystemTime) -> Result<(), GrantError> {
        let (shared, name) = (&self.0, &connection.name);
        let issued_at = seconds(now);
        let key = shared.keys.make(name).await.map_err(|error| shared.sealing(name, error, now))?;
        let contents = Contents {
            refresh_token: grant.refresh_token.map(|token| token.expose_secret().to_owned()),
            access_token: grant.access_token.map(|token| token.expose_secret().to_owned()),
            issued_at,
            expires_at: grant.expires_at,
            instance_url: grant.unverified_instance_url,
            identity: grant.identity,
            made_for: Some(connection.digest()),
        };
        loop {
            let seen = match shared.records.read(name).await.map_err(|error| shared.table(name, &error, now))? {
                None => None,
                Some(Ok(record)) => record.version,
                Some(Err(_)) => {
                    shared.records.delete(name).await.map_err(|error| shared.table(name, &error, now))?;
                    None
                }
            };
            let refreshed =
                sealed(name, seen, &contents, &key, now).map_err(|error| shared.sealing(name, error, now))?;
            let written = shared.records.replace(name, seen, &refreshed.record).await;
            if written.map_err(|error| shared.table(name, &error, now))? {
                *shared.here(name).known() = Known { grant: Some(refreshed.grant), ..Known::default() };
                return Ok(());
            }
        }
    }

    /// Forgets the grant of a connection and who consented; whoever uses it from memory does so for another minute.
    ///
    /// # Errors
    /// [`GrantError::Unavailable`] when the table does not answer.
    pub async fn remove(&self, name: &ConnectionName, now: SystemTime) -> Result<(), GrantError> {
        *self.0.here(name).known() = Known::default();
        self.0.records.delete_all(name).await.map_err(|error| self.0.table(name, &error, now))
    }

    /// Marks a connection whose resource refuses `refused` for good, as with `insufficient_scope` (RFC 6750 §3.1): it is not
    /// used again until an administrator connects it anew. A grant that has been replaced meanwhile is left alone.
    /// `reason` is shown to administrators; it holds no text of the resource.
    ///
    /// # Errors
    /// [`GrantError::Unavailable`] when the table does not answer.
    pub async fn needs_attention(
        &self,
        name: &ConnectionName,
        refused: &AccessToken,
        reason: &str,
        now: SystemTime,
    ) -> Result<(), GrantError> {
        let marked = self.0.records.mark_attention(name, Some(refused.version), reason).await;
        if marked.map_err(|error| self.0.table(name, &error, now))? {
            *self.0.here(name).known() = Known::default();
            let error = GrantError::NeedsAttention { connection: name.to_string(), reason: reason.to_owned() };
            log(&error, None, now);
        }
        Ok(())
    }

    /// Lets a connection that needed attention be tried again.
    ///
    /// # Errors
    /// [`GrantError::Unavailable`] when the table does not answer.
    pub async fn try_again(&self, name: &ConnectionName, now: SystemTime) -> Result<(), GrantError> {
        let cleared = self.0.records.clear_attention(name).await;
        cleared.map(|_| ()).map_err(|error| self.0.table(name, &error, now))
    }

    /// What may be shown of a grant; `None` when there is none.
    ///
    /// # Errors
    /// [`GrantError::Unavailable`] when the table does not answer, [`GrantError::Damaged`].
    pub async fn status(&self, name: &ConnectionName, now: SystemTime) -> Result<Option<GrantStatus>, GrantError> {
        match self.0.records.read(name).await.map_err(|error| self.0.table(name, &error, now))? {
            None => Ok(None),
            Some(Ok(record)) => Ok(Some(record.shown)),
            Some(Err(_)) => Err(self.0.damaged(name, now)),
        }
    }

    async fn obtain(
        &self,
        connection: &Connection,
        refused: Option<u64>,
        now: SystemTime,
    ) -> Result<AccessToken, GrantError> {
        let clock = Clock::starting(now);
        let here = self.0.here(&connection.name);
        let wanted = Wanted { made_for: connection.digest(), refused };
        if let Some(token) = here.remembered(&wanted, clock.ms()) {
            return Ok(token);
        }
        let deadline = Instant::now() + PATIENCE;
        let _turn = match (here.turn.try_lock(), here.alive(&wanted, clock.ms())) {
            (Ok(turn), _) => turn,
            (Err(_), Some(token)) => return Ok(token),
            (Err(_), None) => tokio::time::timeout_at(deadline, here.turn.lock())
                .await
                .map_err(|_| unavailable(&connection.name, "the refresh of its grant takes too long"))?,
        };
        if let Some(token) = here.remembered(&wanted, clock.ms()) {
            return Ok(token);
        }
        match self.0.obtain_in_turn(connection, &here, &wanted, clock, deadline).await {
            // What is to be renewed ahead of time may be used for the rest of its life.
            Err(GrantError::Unavailable { .. }) if let Some(token) = here.alive(&wanted, clock.ms()) => Ok(token),
            outcome => outcome,
        }
    }
}

impl Shared {
    async fn obtain_in_turn(
        self: &Arc<Self>,
        connection: &Connection,
        here: &Arc<Here>,
        wanted: &Wanted,
        clock: Clock,
        deadline: Instant,
    ) -> Result<AccessToken, GrantError> {
        let name = &connection.name;
        self.save_unsaved(name, here, clock).await?;
        let mut pause = Duration::from_millis(100);
        loop {
            // What was known before the read: a refresh that nobody waits for any more may end during it.
            let earlier = here.known().grant.clone();
            let record = self.read(name, clock.now()).await?;
            let opened = match &record {
                Some(record) => self.open(name, record, earlier, wanted, clock).await?,
                None => None,
            };
            let grant = opened.filter(|grant| grant.is_for(wanted));
            // What needs attention would be used from memory by the next call.
            if record.as_ref().is_some_and(|record| record.shown.status == Status::Attention) {
                here.known().grant = None;
            } else if let Some(grant) = &grant {
                here.remember(grant.clone(), clock.ms());
            }
            if grant.is_none() && matches!(connection.flow, Flow::RefreshToken { .. }) {
                return Err(GrantError::NotConnected(name.to_string()));
            }
            match step(record.as_ref(), grant.as_deref(), wanted, clock.ms()) {
                Step::Use => {
                    if let Some(token) = grant.as_ref().and_then(|grant| grant.access.clone()) {
                        return Ok(token);
                    }
                }
                Step::NeedsAttention => {
                    let reason = record.and_then(|record| record.shown.reason).unwrap_or_default();
                    return Err(GrantError::NeedsAttention { connection: name.to_string(), reason });
                }
                Step::BackOff => {
                    return Err(unavailable(name, "the last refresh of its grant failed a moment ago"));
                }
                Step::Wait => {}
                Step::Refresh => {
                    let seen = record.and_then(|record| record.version);
                    if let Some(token) = self.refresh(connection, here, seen, grant, clock).await? {
                        return Ok(token);
                    }
                }
            }
            if Instant::now() + pause > deadline {
                return Err(unavailable(name, "another instance refreshes its grant for too long"));
            }
            // Not all who wait ask at the same moment.
            tokio::time::sleep(pause.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            pause = (pause * 3 / 2).min(Duration::from_millis(400));
        }
    }

    async fn read(&self, name: &ConnectionName, now: SystemTime) -> Result<Option<Record>, GrantError> {
        match self.records.read(name).await.map_err(|error| self.table(name, &error, now))? {
            None => Ok(None),
            Some(Ok(record)) => Ok(Some(record)),
            Some(Err(_)) => Err(self.damaged(name, now)),
        }
    }

    /// Opens a record; one that was opened before is not opened again.
    async fn open(
        &self,
        name: &ConnectionName,
        record: &Record,
        earlier: Option<Arc<Grant>>,
        wanted: &Wanted,
        clock: Clock,
    ) -> Result<Option<Arc<Grant>>, GrantError> {
        let (Some(version), Some(sealed)) = (record.version, &record.sealed) else { return Ok(None) };
        match earlier {
            Some(earlier) if earlier.version == version && earlier.is_for(wanted) => return Ok(Some(earlier)),
            // An earlier record in the place of a later one.
            Some(earlier) if earlier.version > version => return Err(self.damaged(name, clock.now())),
            _ => {}
        }
        let failed = |error| self.sealing(name, error, clock.now());
        let key = self.keys.open(name, &sealed.wrapped_key).await.map_err(failed)?;
        let plain = key.open(Binding { connection: name, version }, sealed).map_err(failed)?;
        let contents: Contents = serde_json::from_slice(&plain).map_err(|_| self.damaged(name, clock.now()))?;
        Ok(Some(Arc::new(Grant::new(version, contents, key))))
    }

    /// Refreshes the grant of version `seen`; `None` when somebody else has it, or has done so.
    async fn refresh(
        self: &Arc<Self>,
        connection: &Connection,
        here: &Arc<Here>,
        seen: Option<u64>,
        grant: Option<Arc<Grant>>,
        clock: Clock,
    ) -> Result<Option<AccessToken>, GrantError> {
        let name = &connection.name;
        // All that others are needed for comes before the lease, and before a refresh token may be used up.
        let key = match &grant {
            Some(grant) => grant.key.clone(),
            None => self.keys.make(name).await.map_err(|error| self.sealing(name, error, clock.now()))?,
        };
        let secret = self.secret(connection, clock.now()).await?;
        let refresh_token = grant.as_ref().and_then(|grant| grant.refresh_token.as_ref());
        let request = TokenRequest::new(connection, secret.as_ref(), refresh_token, clock.now())
            .map_err(|failure| self.failed_without_lease(name, &failure))?;
        let refresh = Refresh {
            shared: self.clone(),
            here: here.clone(),
            connection: connection.clone(),
            seen,
            grant,
            key,
            owner: new_owner().ok_or_else(|| unavailable(name, "the crypto library failed"))?,
            clock,
        };
        let ended = tokio::spawn(refresh.run(request)).await;
        ended.unwrap_or_else(|_| Err(unavailable(name, "the refresh of its grant was interrupted")))
    }

    async fn secret(&self, connection: &Connection, now: SystemTime) -> Result<Option<SecretString>, GrantError> {
        let Some(id) = &connection.secret_id else { return Ok(None) };
        let name = &connection.name;
        match self.secrets.get(id, SecretStage::Current).await {
            Ok(Some(secret)) => Ok(Some(secret.value)),
            Ok(None) => Err(misconfigured(name, "its client secret or private key does not exist")),
            Err(error) => Err(self.not_answering(name, "its client secret cannot be read", &error, now)),
        }
    }

    async fn save_unsaved(&self, name: &ConnectionName, here: &Here, clock: Clock) -> Result<(), GrantError> {
        let unsaved = here.known().unsaved.clone();
        let Some(refreshed) = unsaved else { return Ok(()) };
        let written = self.records.replace(name, refreshed.seen, &refreshed.record).await;
        let written = written.map_err(|error| self.table(name, &error, clock.now()))?;
        here.known().unsaved = None;
        if written {
            here.remember(refreshed.grant, clock.ms());
        }
        Ok(())
    }

    fn here(&self, name: &ConnectionName) -> Arc<Here> {
        let mut all = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(name.clone()).or_default().clone()
    }

    fn failed_without_lease(&self, name: &ConnectionName, failure: &TokenFailure) -> GrantError {
        match failure {
            TokenFailure::Misconfigured(problem) => misconfigured(name, problem),
            TokenFailure::Unavailable(reason) | TokenFailure::NoAnswer(reason) => unavailable(name, reason),
            TokenFailure::Refused(reason) => {
                GrantError::NeedsAttention { connection: name.to_string(), reason: reason.to_string() }
            }
        }
    }

    fn table(&self, name: &ConnectionName, error: &TableError, now: SystemTime) -> GrantError {
        self.not_answering(name, "the table of its grant does not answer", error, now)
    }

    fn sealing(&self, name: &ConnectionName, error: SealingError, now: SystemTime) -> GrantError {
        match error {
            SealingError::Damaged => self.damaged(name, now),
            SealingError::Unavailable(source) => {
                self.not_answering(name, "the service of the keys does not answer", source.as_ref(), now)
            }
            SealingError::Crypto => self.not_answering(name, "the crypto library failed", &error, now),
        }
    }

    fn not_answering(
        &self,
        name: &ConnectionName,
        reason: &'static str,
        error: &dyn std::error::Error,
        now: SystemTime,
    ) -> GrantError {
        let unavailable = unavailable(name, reason);
        log(&unavailable, Some(error), now);
        unavailable
    }

    fn damaged(&self, name: &ConnectionName, now: SystemTime) -> GrantError {
        let damaged = GrantError::Damaged(name.to_string());
        log(&damaged, None, now);
        damaged
    }
}

/// A refresh, under a lease.
struct Refresh {
    shared: Arc<Shared>,
    here: Arc<Here>,
    connection: Connection,
    seen: Option<u64>,
    grant: Option<Arc<Grant>>,
    key: Arc<DataKey>,
    owner: String,
    clock: Clock,
}

impl Refresh {
    async fn run(self, request: TokenRequest) -> Result<Option<AccessToken>, GrantError> {
        let (name, records) = (&self.connection.name, &self.shared.records);
        let now = self.clock.ms();
        let until = now + LEASE;
        let leased = records.take_lease(name, self.seen, &self.owner, until, now.saturating_sub(SKEW)).await;
        if !leased.map_err(|error| self.shared.table(name, &error, self.clock.now()))? {
            return Ok(None);
        }
        // An instance may have been frozen in between: the request has to end before the lease does.
        let longest = u64::try_from(token_request::TIMEOUT.as_millis()).unwrap_or(u64::MAX);
        if self.clock.ms() + longest + SKEW > until {
            self.end(self.clock.ms(), false).await;
            return Ok(None);
        }
        let endpoint = &self.connection.token_endpoint;
        match request.send(&self.shared.fetcher, endpoint, self.clock.now()).await {
            Ok(answer) => self.keep(answer).await,
            Err(TokenFailure::Refused(error)) => self.refused(error.to_string()).await,
            Err(failure) => {
                let error = self.shared.failed_without_lease(name, &failure);
                let code = error.code_of_refresh();
                request_log::problem("oauth-client", code, &error.to_string(), self.clock.now());
                match (failure, &self.connection.flow) {
                    // Who does not answer may still be at work, and take a second use of the refresh token for theft: nobody
                    // asks again before it has to be over. A second request of another flow harms nothing.
                    (TokenFailure::NoAnswer(_), Flow::RefreshToken { .. }) => {
                        self.end(until.max(self.clock.ms() + BACK_OFF), true).await;
                    }
                    _ => self.end(self.clock.ms() + BACK_OFF, false).await,
                }
                Err(error)
            }
        }
    }

    /// Writes what the authorization server gave, then hands it out.
    async fn keep(&self, answer: TokenAnswer) -> Result<Option<AccessToken>, GrantError> {
        let name = &self.connection.name;
        let now = self.clock.now();
        let earlier = || self.grant.as_ref().and_then(|grant| grant.refresh_token.clone());
        let contents = Contents {
            refresh_token: answer.refresh_token.or_else(earlier).map(|token| token.expose_secret().to_owned()),
            access_token: Some(answer.access_token.expose_secret().to_owned()),
            issued_at: seconds(now),
            expires_at: answer.expires_at,
            instance_url: answer.unverified_instance_url,
            identity: answer.identity,
            made_for: Some(self.connection.digest()),
        };
        let refreshed = sealed(name, self.seen, &contents, &self.key, now)
            .map_err(|error| self.shared.sealing(name, error, now))?;
        let mut written = Ok(false);
        for _ in 0..WRITES {
            written = self.shared.records.replace(name, self.seen, &refreshed.record).await;
            if written.is_ok() {
                break;
            }
        }
        match written {
            Ok(true) => {
                self.here.remember(refreshed.grant.clone(), self.clock.ms());
                Ok(refreshed.grant.access.clone())
            }
            Ok(false) => Ok(None),
            Err(error) => {
                self.here.known().unsaved = Some(refreshed);
                Err(self.shared.table(name, &error, self.clock.now()))
            }
        }
    }

    async fn refused(&self, reason: String) -> Result<Option<AccessToken>, GrantError> {
        let name = &self.connection.name;
        // The record is of another registration: that one may work.
        if self.seen.is_some() && self.grant.is_none() {
            self.end(self.clock.ms() + BACK_OFF, false).await;
            let error = GrantError::NeedsAttention { connection: name.to_string(), reason };
            log(&error, None, self.clock.now());
            return Err(error);
        }
        match self.shared.records.mark_attention(name, self.seen, &reason).await {
            // Somebody else has replaced the grant meanwhile: it was the earlier one that was refused.
            Ok(false) => Ok(None),
            outcome => {
                let error = GrantError::NeedsAttention { connection: name.to_string(), reason };
                log(&error, outcome.as_ref().err().map(|error| error as _), self.clock.now());
                Err(error)
            }
        }
    }

    /// If this cannot be written, the lease ends by itself.
    async fn end(&self, retry_at: u64, keep_lease: bool) {
        let _ = self.shared.records.end_refresh(&self.connection.name, &self.owner, retry_at, keep_lease).await;
    }
}

impl Here {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, grant: Arc<Grant>, now: u64) {
        let mut known = self.known();
        if known.grant.as_ref().is_none_or(|known| known.version <= grant.version) {
            (known.grant, known.read_at) = (Some(grant), now);
        }
    }

    /// A token that may be used without a look at its record.
    fn remembered(&self, wanted: &Wanted, now: u64) -> Option<AccessToken> {
        let known = self.known();
        let grant = known.grant.as_ref()?;
        // A caller's time may be a little older than that of the one who read it.
        let recent = now.abs_diff(known.read_at) < MAX_AGE;
        (recent && grant.is_usable(wanted, now) && !grant.is_due(now)).then(|| grant.access.clone())?
    }

    /// A token that has not ended.
    fn alive(&self, wanted: &Wanted, now: u64) -> Option<AccessToken> {
        let grant = self.known().grant.clone()?;
        grant.is_usable(wanted, now).then(|| grant.access.clone())?
    }
}

impl Grant {
    fn new(version: u64, contents: Contents, key: Arc<DataKey>) -> Grant {
        let access = contents.access_token.map(|token| AccessToken {
            token: token.into(),
            expires_at: contents.expires_at,
            unverified_instance_url: contents.instance_url,
            identity: contents.identity,
            version,
        });
        let refresh_token = contents.refresh_token.map(SecretString::from);
        Grant { version, made_for: contents.made_for, refresh_token, access, issued_at: contents.issued_at, key }
    }

    fn is_for(&self, wanted: &Wanted) -> bool {
        self.made_for.as_ref().is_none_or(|made_for| *made_for == wanted.made_for)
    }

    fn is_usable(&self, wanted: &Wanted, now: u64) -> bool {
        let other = wanted.refused.is_none_or(|version| self.version > version);
        other
            && self.is_for(wanted)
            && self
                .access
                .as_ref()
                .is_some_and(|access| access.expires_at.is_none_or(|end| end.saturating_mul(1_000) > now))
    }

    /// Whether its access token is to be renewed: less than a tenth or a minute of its life is left; of a short life, half.
    fn is_due(&self, now: u64) -> bool {
        let Some(expires_at) = self.access.as_ref().and_then(|access| access.expires_at) else { return false };
        let life = expires_at.saturating_sub(self.issued_at);
        let margin = (life / 10).max(60).min(life / 2);
        now >= expires_at.saturating_sub(margin).saturating_mul(1_000)
    }
}

fn step(record: Option<&Record>, grant: Option<&Grant>, wanted: &Wanted, now: u64) -> Step {
    if record.is_some_and(|record| record.shown.status == Status::Attention) {
        return Step::NeedsAttention;
    }
    let usable = grant.is_some_and(|grant| grant.is_usable(wanted, now));
    if usable && grant.is_some_and(|grant| !grant.is_due(now)) {
        return Step::Use;
    }
    let retry_at = record.and_then(|record| record.retry_at);
    let leased_until = record.and_then(|record| record.lease_until);
    match () {
        () if retry_at.is_some_and(|at| at > now) => {
            if usable {
                Step::Use
            } else {
                Step::BackOff
            }
        }
        () if leased_until.is_some_and(|until| until.saturating_add(SKEW) >= now) => {
            if usable {
                Step::Use
            } else {
                Step::Wait
            }
        }
        () => Step::Refresh,
    }
}

/// A record to replace the one of version `seen`. Versions never go back, not even past a deletion: they are not behind
/// the clock.
fn sealed(
    name: &ConnectionName,
    seen: Option<u64>,
    contents: &Contents,
    key: &Arc<DataKey>,
    now: SystemTime,
) -> Result<Refreshed, SealingError> {
    let version = seen.map_or(0, |seen| seen.saturating_add(1)).max(seconds(now));
    let plain = serde_json::to_vec(contents).map_err(|_| SealingError::Crypto)?;
    let record = NewRecord {
        version,
        sealed: key.seal(Binding { connection: name, version }, &plain)?,
        issued_at: contents.issued_at,
        access_expires_at: contents.expires_at,
        identity: contents.identity.clone(),
    };
    Ok(Refreshed { seen, record, grant: Arc::new(Grant::new(version, contents.clone(), key.clone())) })
}

fn new_owner() -> Option<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn unavailable(name: &ConnectionName, reason: &'static str) -> GrantError {
    GrantError::Unavailable { connection: name.to_string(), reason }
}

fn misconfigured(name: &ConnectionName, problem: &'static str) -> GrantError {
    GrantError::Misconfigured { connection: name.to_string(), problem }
}

fn log(error: &GrantError, source: Option<&dyn std::error::Error>, now: SystemTime) {
    let message = match source {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    request_log::problem("oauth-client", error.code(), &message, now);
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
