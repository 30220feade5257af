//! Rotation in a stack: Secrets Manager is asked for one, the function `rotate` takes the steps, and this waits.

use std::io::IsTerminal;
use std::time::{Duration, Instant, SystemTime};

use aws_clients::{SecretStage, SecretsError};
use indicatif::{ProgressBar, ProgressStyle};
use registry::client::seconds;
use registry::{Client, ClientId, RegistryError, SecretInUse};
use secrecy::SecretString;

use crate::place::Open;
use crate::stack::Stack;
use crate::values;

/// A step takes a minute at most, and is tried again.
const PATIENCE: Duration = Duration::from_secs(3 * 60);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a version may be unknown after Secrets Manager has named it.
const APPEARS_WITHIN: Duration = Duration::from_secs(10);

/// Why a rotation did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum StackRotationError {
    /// The client has none.
    #[error("client {0} has no secret: it authenticates with its own keys")]
    NoSecret(ClientId),
    /// The previous secret is still accepted.
    #[error(transparent)]
    SecretInUse(#[from] SecretInUse),
    /// The newest signing key does not sign yet.
    #[error("the newest signing key, {kid}, signs from {} on: rotate after that", values::show_time(*.signs_from))]
    KeyNotInUse {
        /// Its id.
        kid: String,
        /// Seconds since 1970.
        signs_from: u64,
    },
    /// The function gave it up for another reason.
    #[error(
        "the rotation was given up, and the current version stays; why: northstar audit tail --stack {0} --fn rotate"
    )]
    GivenUp(String),
    /// It goes on without us, or fails again and again.
    #[error(
        "the rotation is not over after 3 minutes, and the current version stays until it is; why: northstar audit tail --stack {0} --fn rotate"
    )]
    NotOver(String),
    /// See [`SecretsError`].
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// See [`RegistryError`].
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl StackRotationError {
    /// The stable code, as in `outcome` of the log line.
    pub fn code(&self) -> &'static str {
        match self {
            StackRotationError::SecretInUse(_) | StackRotationError::KeyNotInUse { .. } => "rotation_refused",
            _ => crate::commands::FAILED,
        }
    }
}

/// Gives a client a new secret. The one before is accepted on.
///
/// # Errors
/// [`StackRotationError`]; refused while the previous secret is still accepted.
pub async fn rotate_client_secret(
    open: &Open,
    stack: &Stack,
    client: &Client,
) -> Result<SecretString, StackRotationError> {
    let no_secret = || StackRotationError::NoSecret(client.client_id.clone());
    let id = client.secret_id.as_deref().ok_or_else(no_secret)?;
    let Some(version) = rotate(open, stack, id).await? else {
        let described = open.secrets.describe(id).await?;
        if let Some(previous) = described.as_ref().and_then(|secret| secret.version_at(SecretStage::Previous))
            && let Some(in_use) = open.secret_uses.in_use(client, previous, SystemTime::now()).await?
        {
            return Err(in_use.into());
        }
        return Err(StackRotationError::GivenUp(stack.name.clone()));
    };
    open.secrets.get_version(id, &version).await?.map(|version| version.value).ok_or_else(no_secret)
}

/// Makes a new signing key.
///
/// # Errors
/// [`StackRotationError`]; refused while the newest key does not sign yet.
pub async fn rotate_signing_keys(open: &Open, stack: &Stack) -> Result<(), StackRotationError> {
    if rotate(open, stack, &open.names.signing_keys).await?.is_some() {
        return Ok(());
    }
    // The newest first.
    let newest = open.registry.public_keys().await?.into_iter().next();
    Err(match newest.filter(|key| key.not_before > seconds(SystemTime::now())) {
        Some(newest) => StackRotationError::KeyNotInUse { kid: newest.kid, signs_from: newest.not_before },
        None => StackRotationError::GivenUp(stack.name.clone()),
    })
}

/// What became of a pending version.
enum Outcome {
    Current,
    GivenUp,
}

/// The version that is current now; `None` when the function gave it up.
async fn rotate(open: &Open, stack: &Stack, id: &str) -> Result<Option<String>, StackRotationError> {
    let start = Instant::now();
    let waiting = Waiting::new("Secrets Manager rotates the secret");
    if open.secrets.describe(id).await?.is_some_and(|secret| !secret.rotation_enabled) {
        open.secrets.enable_rotation(id, &stack.rotate_function).await?;
    }
    loop {
        let (version, is_ours) = match open.secrets.begin_rotation(id).await {
            Ok(version) => (version, true),
            // One that failed, which Secrets Manager now tries again, or its trial when rotation was turned on.
            Err(error) => match open
                .secrets
                .describe(id)
                .await?
                .as_ref()
                .and_then(|secret| secret.other_version_at(SecretStage::Pending))
            {
                Some(under_way) => (under_way.to_owned(), false),
                None => return Err(error.into()),
            },
        };
        match outcome(open, stack, id, &version, start, &waiting).await? {
            Outcome::Current => return Ok(Some(version)),
            Outcome::GivenUp if is_ours => return Ok(None),
            Outcome::GivenUp => {}
        }
    }
}

async fn outcome(
    open: &Open,
    stack: &Stack,
    id: &str,
    version: &str,
    start: Instant,
    waiting: &Waiting,
) -> Result<Outcome, StackRotationError> {
    let (begun, mut was_there) = (Instant::now(), false);
    loop {
        let described = open.secrets.describe(id).await?;
        let stages = described.as_ref().and_then(|secret| secret.stages.get(version));
        let has = |stage| stages.is_some_and(|stages| stages.contains(&stage));
        if has(SecretStage::Current) {
            return Ok(Outcome::Current);
        }
        was_there |= has(SecretStage::Pending);
        if !has(SecretStage::Pending) && (was_there || begun.elapsed() > APPEARS_WITHIN) {
            return Ok(Outcome::GivenUp);
        }
        if start.elapsed() > PATIENCE {
            return Err(StackRotationError::NotOver(stack.name.clone()));
        }
        waiting.tick();
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Says on standard error that something takes its time.
struct Waiting(ProgressBar);

impl Waiting {
    fn new(what: &'static str) -> Waiting {
        if !std::io::stderr().is_terminal() {
            eprintln!("{what} …");
            return Waiting(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        Waiting(ProgressBar::no_length().with_style(style).with_message(what))
    }

    fn tick(&self) {
        self.0.tick();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
