//! Whether a client is who it claims to be.
//!
//! A registration is remembered for 30 s, and so is that there is none; its secrets, as SHA-256 digests, for 5 minutes or
//! until the registration says that they changed. What is refused by memory is compared with the registration as it is
//! now, at most once a second a client, so that a changed secret is taken at once and a wrong one never costs a read of
//! the secrets. An unknown client goes the way of a wrong secret.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_clients::{SecretStage, SecretVersion, Secrets, SecretsError};
use aws_lc_rs::{digest, rand};
use registry::client::seconds;
use registry::secret_use::{previous_accepted_until, recorded_every};
use registry::{AuthMethod, Client, ClientId, Kept, Registry, RegistryError, SecretUses};
use request_log::Timings;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::assertion::Assertions;
use crate::backoff::{BackOff, Caller};
use crate::credentials::Credentials;
use crate::error::TokenError;

const CLIENT_MAX_AGE: Duration = Duration::from_secs(30);
/// Credentials that are refused may cost their client one read of its registration in this time.
const CLIENT_MIN_AGE: Duration = Duration::from_secs(1);
const SECRET_MAX_AGE: Duration = Duration::from_secs(300);
/// Secrets that changed less than this ago are read again after this: the first read may have been early.
const SECRET_SETTLES: Duration = Duration::from_secs(10);
/// A previous secret that is refused may cost one read of its last use in this time.
const USE_MIN_AGE: Duration = Duration::from_secs(1);
/// How long a request waits for the record of its use.
const USE_LIMIT: Duration = Duration::from_secs(1);
/// Versions of one secret whose uses are remembered; past it all are forgotten.
const MAX_VERSIONS: usize = 8;
/// Ids remembered at once. Past it those that no client has are forgotten, and the others only if there are as many.
const MAX_REMEMBERED: usize = 2_000;

/// Reads clients and checks their secrets and assertions.
pub struct Clients {
    registry: Registry,
    secrets: Secrets,
    uses: SecretUses,
    assertions: Assertions,
    remembered: Mutex<HashMap<ClientId, Arc<Remembered>>>,
    back_off: Mutex<BackOff>,
}

/// What is remembered of one client id.
struct Remembered {
    registration: Kept<Registration>,
    registered: AtomicBool,
    digests: Kept<Digests>,
    /// When a use of each version was recorded.
    recorded: Mutex<HashMap<String, SystemTime>>,
    /// Never stale: a previous secret is refused by what is known, not by what is not.
    previous_use: Kept<PreviousUse>,
}

struct Registration {
    client: Option<Client>,
    /// Read because the one before refused somebody.
    on_refusal: bool,
}

type Digest = [u8; 32];

/// The secrets that a client may present.
struct Digests {
    versions: Vec<Version>,
    state: SecretState,
    max_age: Duration,
}

struct Version {
    id: String,
    stage: SecretStage,
    digest: Digest,
}

/// What tells that a registration, and so perhaps its secret, has changed: the secret is read again. The version tells
/// two changes of one second apart, the time a client that was made anew.
#[derive(PartialEq)]
struct SecretState {
    secret_id: Option<String>,
    changed_at: u64,
    version: u64,
}

struct PreviousUse {
    version_id: String,
    /// Seconds since 1970.
    used_at: Option<u64>,
}

impl Clients {
    /// Reads from a registry and a source of secrets, and records the uses of secrets.
    pub fn new(registry: Registry, secrets: Secrets, uses: SecretUses, assertions: Assertions) -> Clients {
        let (remembered, back_off) = (Mutex::default(), Mutex::default());
        Clients { registry, secrets, uses, assertions, remembered, back_off }
    }

    /// The client, if the credentials are right and it may be used. `source` is the address of the caller.
    ///
    /// # Errors
    /// [`TokenError::InvalidClient`], the same in every case; [`TokenError::TooManyAttempts`] instead, for a caller who was
    /// wrong too often; [`TokenError::Unavailable`] when a source does not answer and nothing is remembered.
    pub async fn authenticate(
        &self,
        credentials: &Credentials,
        source: &str,
        timings: &Timings,
        now: SystemTime,
    ) -> Result<Client, TokenError> {
        let outcome = self.check(credentials, source, timings, now).await;
        let Credentials::Secret { unverified_client_id, .. } = credentials else { return outcome };
        let caller = Caller::new(unverified_client_id, source);
        let mut back_off = self.back_off.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(client) => {
                back_off.right(caller);
                Ok(client)
            }
            Err(TokenError::InvalidClient) => Err(match back_off.wrong(caller, now) {
                None => TokenError::InvalidClient,
                Some(wait) => TokenError::TooManyAttempts { retry_after: wait },
            }),
            Err(error) => Err(error),
        }
    }

    /// The registration of an authenticated client as it is now, or was less than a second ago, if it is another one: what
    /// memory refuses may have been allowed a moment ago.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`] when the registry does not answer and nothing is remembered.
    pub async fn changed(&self, client: &Client, now: SystemTime) -> Result<Option<Client>, TokenError> {
        let remembered = self.remembered(&client.client_id);
        let registration = self.registration(&client.client_id, &remembered, true, now).await?;
        Ok(registration.client.clone().filter(|newer| newer != client && newer.is_usable(now)))
    }

    /// The id in the credentials, if it is that of a client as far as is remembered; nothing is read.
    pub fn registered_id(&self, credentials: &Credentials) -> Option<ClientId> {
        let id = presented_id(credentials)?;
        let all = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&id).is_some_and(|remembered| remembered.registered.load(Ordering::Relaxed)).then_some(id)
    }

    async fn check(
        &self,
        credentials: &Credentials,
        source: &str,
        timings: &Timings,
        now: SystemTime,
    ) -> Result<Client, TokenError> {
        let id = presented_id(credentials).ok_or(TokenError::InvalidClient)?;
        let remembered = self.remembered(&id);
        let first = timings.table(self.registration(&id, &remembered, false, now)).await?;
        let outcome = self.prove(first.client.as_ref(), &remembered, credentials, source, timings, now).await;
        if !matches!(outcome, Err(TokenError::InvalidClient)) {
            return outcome;
        }
        let second = timings.table(self.registration(&id, &remembered, true, now)).await?;
        if second.client == first.client {
            return outcome;
        }
        self.prove(second.client.as_ref(), &remembered, credentials, source, timings, now).await
    }

    async fn prove(
        &self,
        client: Option<&Client>,
        remembered: &Remembered,
        credentials: &Credentials,
        source: &str,
        timings: &Timings,
        now: SystemTime,
    ) -> Result<Client, TokenError> {
        let usable = |method| client.filter(|client| client.is_usable(now) && client.auth_methods.contains(method));
        match credentials {
            Credentials::Secret { unverified_secret, method, .. } => {
                let presented = digest(unverified_secret);
                let digests = timings.table(self.digests(client, remembered, now)).await?;
                let version = timings.verify(|| digests.version_of(&presented));
                let (Some(client), Some(version)) = (usable(method), version) else {
                    return Err(TokenError::InvalidClient);
                };
                timings.table(self.check_previous(client, remembered, version, now)).await?;
                timings.table(self.record_use(client, remembered, version, source, now)).await;
                Ok(client.clone())
            }
            Credentials::Assertion { unverified_assertion, .. } => {
                let client = usable(&AuthMethod::PrivateKeyJwt).ok_or(TokenError::InvalidClient)?;
                self.assertions.check(client, unverified_assertion, timings, now).await?;
                Ok(client.clone())
            }
        }
    }

    fn remembered(&self, id: &ClientId) -> Arc<Remembered> {
        let mut all = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_REMEMBERED && !all.contains_key(id) {
            // Who tries many ids does not make us forget the secrets of clients.
            all.retain(|_, remembered| remembered.registered.load(Ordering::Relaxed));
            if all.len() >= MAX_REMEMBERED {
                all.clear();
            }
        }
        all.entry(id.clone()).or_default().clone()
    }

    /// The registration of an id, not older than 30 s; `on_refusal`: as it is now, or was less than a second ago.
    async fn registration(
        &self,
        id: &ClientId,
        remembered: &Remembered,
        on_refusal: bool,
        now: SystemTime,
    ) -> Result<Arc<Registration>, TokenError> {
        let fresh = |kept: &Registration, age: Duration| match on_refusal {
            false => age < CLIENT_MAX_AGE,
            // No age: this request has read it.
            true => age.is_zero() || kept.on_refusal && age < CLIENT_MIN_AGE,
        };
        let fetch = async || {
            let client = self.registry.client_now(id).await?;
            remembered.registered.store(client.is_some(), Ordering::Relaxed);
            Ok::<_, RegistryError>(Registration { client, on_refusal })
        };
        remembered.registration.get_if(now, fresh, fetch).await.map_err(|_| TokenError::Unavailable)
    }

    async fn digests(
        &self,
        client: Option<&Client>,
        remembered: &Remembered,
        now: SystemTime,
    ) -> Result<Arc<Digests>, TokenError> {
        let Some((client, secret_id)) = client.and_then(|client| Some((client, client.secret_id.as_ref()?))) else {
            return Ok(Arc::new(Digests::of_nobody()));
        };
        let fresh = |kept: &Digests, age: Duration| kept.state == SecretState::of(client) && age < kept.max_age;
        let fetch = async || {
            let (current, pending, previous) = tokio::try_join!(
                self.secrets.get(secret_id, SecretStage::Current),
                async {
                    match client.rotating {
                        true => self.secrets.get(secret_id, SecretStage::Pending).await,
                        false => Ok(None),
                    }
                },
                self.secrets.get(secret_id, SecretStage::Previous),
            )?;
            let staged =
                [(SecretStage::Current, current), (SecretStage::Pending, pending), (SecretStage::Previous, previous)];
            let versions = staged.into_iter().filter_map(|(stage, version)| Some(Version::of(stage, version?)));
            Ok::<_, SecretsError>(Digests {
                versions: versions.collect(),
                state: SecretState::of(client),
                max_age: max_age(client.secrets_changed_at, seconds(now)),
            })
        };
        remembered.digests.get_if(now, fresh, fetch).await.map_err(|_| TokenError::Unavailable)
    }

    /// A previous secret is accepted until nobody has used it for the quiet period, wherever.
    async fn check_previous(
        &self,
        client: &Client,
        remembered: &Remembered,
        version: &Version,
        now: SystemTime,
    ) -> Result<(), TokenError> {
        let accepted = |last_used_at| seconds(now) < previous_accepted_until(client, last_used_at);
        if version.stage != SecretStage::Previous || accepted(None) {
            return Ok(());
        }
        let fresh = |kept: &PreviousUse, age: Duration| {
            kept.version_id == version.id && (age < USE_MIN_AGE || accepted(kept.used_at))
        };
        let fetch = async || {
            let last = self.uses.last(&client.client_id, &version.id).await?;
            let used_at = last.map(|last| last.used_at);
            Ok::<_, RegistryError>(PreviousUse { version_id: version.id.clone(), used_at })
        };
        let last = remembered.previous_use.get_if(now, fresh, fetch).await.map_err(|_| TokenError::Unavailable)?;
        if accepted(last.used_at) { Ok(()) } else { Err(TokenError::InvalidClient) }
    }

    /// Records the use of a version, at most once a minute; no request fails for it.
    async fn record_use(
        &self,
        client: &Client,
        remembered: &Remembered,
        version: &Version,
        source: &str,
        now: SystemTime,
    ) {
        let interval = Duration::from_secs(recorded_every(client));
        {
            let mut recorded = remembered.recorded.lock().unwrap_or_else(PoisonError::into_inner);
            let last = recorded.get(&version.id);
            if last.is_some_and(|last| now.duration_since(*last).is_ok_and(|passed| passed < interval)) {
                return;
            }
            if recorded.len() >= MAX_VERSIONS {
                recorded.clear();
            }
            recorded.insert(version.id.clone(), now);
        }
        let record = Box::pin(self.uses.record(&client.client_id, &version.id, source, now));
        if !matches!(tokio::time::timeout(USE_LIMIT, record).await, Ok(Ok(()))) {
            request_log::problem(
                "token",
                "use_not_recorded",
                "the use of a client's secret could not be recorded",
                now,
            );
        }
    }
}

impl Default for Remembered {
    fn default() -> Self {
        Remembered {
            registration: Kept::default(),
            registered: AtomicBool::new(false),
            digests: Kept::default(),
            recorded: Mutex::default(),
            previous_use: Kept::with_max_stale(Duration::ZERO),
        }
    }
}

impl Digests {
    /// What is compared for an id without a secret, so that it costs what others cost. No text has these digests.
    fn of_nobody() -> Digests {
        let version = |stage| Version { id: String::new(), stage, digest: [0; 32] };
        Digests {
            versions: vec![version(SecretStage::Current), version(SecretStage::Previous)],
            state: SecretState { secret_id: None, changed_at: 0, version: 0 },
            max_age: Duration::ZERO,
        }
    }

    /// The version that was presented. Every one is compared, in constant time, so that the time does not tell which.
    fn version_of(&self, presented: &Digest) -> Option<&Version> {
        let mut found = None;
        for version in &self.versions {
            let right: bool = version.digest.ct_eq(presented).into();
            found = found.or(right.then_some(version));
        }
        found
    }
}

impl Version {
    fn of(stage: SecretStage, version: SecretVersion) -> Version {
        Version { digest: digest(&version.value), id: version.id, stage }
    }
}

impl SecretState {
    fn of(client: &Client) -> SecretState {
        SecretState {
            secret_id: client.secret_id.clone(),
            changed_at: client.secrets_changed_at,
            version: client.version,
        }
    }
}

/// How long secrets that changed at `changed_at` may be remembered when they are read at `now`: 5 minutes, give or take
/// a tenth, so that processes do not read all at once.
fn max_age(changed_at: u64, now: u64) -> Duration {
    if now < changed_at.saturating_add(SECRET_SETTLES.as_secs()) {
        return SECRET_SETTLES;
    }
    let mut byte = [0];
    rand::fill(&mut byte).expect("the operating system's random generator works");
    SECRET_MAX_AGE * 9 / 10 + SECRET_MAX_AGE / 5 * u32::from(byte[0]) / 255
}

/// `None`: no client has such an id.
fn presented_id(credentials: &Credentials) -> Option<ClientId> {
    match credentials {
        Credentials::Secret { unverified_client_id, .. } => ClientId::parse(unverified_client_id),
        Credentials::Assertion { unverified_client_id, .. } => Some(unverified_client_id.clone()),
    }
}

fn digest(secret: &SecretString) -> Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(digest::digest(&digest::SHA256, secret.expose_secret().as_bytes()).as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_remembered_for_5_minutes_give_or_take_a_tenth_and_10_seconds_after_a_change() {
        for now in [100, 109] {
            assert_eq!(max_age(100, now), SECRET_SETTLES, "{now}");
        }
        assert_eq!(max_age(u64::MAX, 100), SECRET_SETTLES, "the clock of who changed them is ahead");
        for _ in 0..1_000 {
            let age = max_age(100, 110);
            assert!((270..=330).contains(&age.as_secs()), "{age:?}");
        }
    }

    #[test]
    fn the_current_version_is_found_before_another_of_the_same_value() {
        let value = || SecretString::from("x");
        let version = |stage, id: &str| Version::of(stage, SecretVersion { id: id.to_owned(), value: value() });
        let versions = vec![version(SecretStage::Current, "new"), version(SecretStage::Previous, "old")];
        let digests = Digests { versions, ..Digests::of_nobody() };
        assert_eq!(digests.version_of(&digest(&value())).unwrap().id, "new");
        assert!(digests.version_of(&digest(&SecretString::from("y"))).is_none());
        assert!(Digests::of_nobody().version_of(&digest(&SecretString::from(""))).is_none());
    }
}
