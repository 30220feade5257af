//! Rotation of signing keys and of client secrets, by the four steps of Secrets Manager: [`event`] is what it sends,
//! [`step`] what is done.
//!
//! Every step may come again, at any time, and after a crash between any two calls of the one before. [`client_secret`]
//! and [`signing_keys`] are the two kinds; [`token_request`] tries a pending client secret.

pub mod client_secret;
pub mod config;
pub mod error;
pub mod event;
pub mod signing_keys;
pub mod token_request;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws_clients::{SecretDescription, SecretStage, SecretVersion, Secrets, SecretsError};
use registry::{ClientId, Registry, SecretUses};
use request_log::RequestLine;
use secrecy::ExposeSecret;

pub use config::Config;
pub use error::RotationError;
pub use event::{RotationEvent, Step};

use token_request::TokenEndpoint;

/// Everything that lives as long as the process.
pub struct App {
    registry: Registry,
    secret_uses: SecretUses,
    secrets: Secrets,
    signing_keys: String,
    client_secret_prefix: String,
    token_endpoint: TokenEndpoint,
    key_lead: Duration,
    secret_settles_in: Duration,
    cold: AtomicBool,
}

/// What is being rotated.
enum Subject {
    SigningKeys,
    ClientSecret(ClientId),
}

/// The version that is being rotated in, and the secret that it belongs to.
struct Pending<'a> {
    secret_id: &'a str,
    version_id: &'a str,
    secret: SecretDescription,
}

impl App {
    /// Makes the function ready; no connection is opened yet.
    pub fn new(config: Config) -> App {
        App {
            registry: Registry::new(config.aws.dynamodb.clone(), &config.config_table),
            secret_uses: SecretUses::new(config.aws.dynamodb.clone(), &config.state_table),
            secrets: config.secrets,
            signing_keys: config.signing_keys,
            client_secret_prefix: config.client_secret_prefix,
            token_endpoint: TokenEndpoint::new(&config.public_url, config.token_patience),
            key_lead: config.key_lead,
            secret_settles_in: config.secret_settles_in,
            cold: AtomicBool::new(true),
        }
    }

    /// Takes the step that an event asks for, and writes its line; a failure has a second one, with its message.
    ///
    /// # Errors
    /// As [`step`].
    pub async fn handle(&self, event: &str, request_id: &str) -> Result<(), RotationError> {
        let (start, now) = (Instant::now(), SystemTime::now());
        let mut line = RequestLine::new("rotate", request_id, self.cold.swap(false, Ordering::Relaxed));
        let done = async {
            let event = RotationEvent::parse(event)?;
            line.method = Some(event.step.as_str());
            self.take_step(&event, &mut line.client, now).await
        };
        let done = done.await;
        line.status = done.as_ref().err().map_or(200, RotationError::status);
        line.total_ms = start.elapsed().into();
        if let Err(error) = &done {
            line.outcome = error.code();
            request_log::problem("rotate", error.code(), &error.to_string(), now);
        }
        line.write(now);
        done
    }

    async fn take_step(
        &self,
        event: &RotationEvent,
        client: &mut Option<String>,
        now: SystemTime,
    ) -> Result<(), RotationError> {
        let secret = self.secrets.describe(&event.secret_id).await?.ok_or(RotationError::UnknownSecret)?;
        let subject = self.subject(&secret.name)?;
        if let Subject::ClientSecret(id) = &subject {
            *client = Some(id.to_string());
        }
        if !secret.rotation_enabled {
            return Err(RotationError::Disabled);
        }
        let version_id = event.client_request_token.as_str();
        let stages = secret.stages.get(version_id).ok_or(RotationError::UnknownVersion(
            "the secret has no such version, or it was given up: start another rotation",
        ))?;
        let (is_current, is_pending) = (stages.contains(&SecretStage::Current), stages.contains(&SecretStage::Pending));
        let pending = Pending { secret_id: &event.secret_id, version_id, secret };
        match subject {
            // The rotation is over. A crash may have left the registry behind.
            Subject::SigningKeys if is_current => self.end_rotation_of_keys(&pending, now).await,
            Subject::ClientSecret(id) if is_current => self.end_rotation_of(&id, now).await,
            _ if !is_pending => Err(RotationError::UnknownVersion(
                "the version is not pending: it was given up, or another rotation has begun",
            )),
            Subject::SigningKeys => self.rotate_signing_keys(event.step, &pending, now).await,
            Subject::ClientSecret(id) => self.rotate_client_secret(event.step, &id, &pending, now).await,
        }
    }

    fn subject(&self, name: &str) -> Result<Subject, RotationError> {
        if name == self.signing_keys {
            return Ok(Subject::SigningKeys);
        }
        let client_id = name.strip_prefix(&self.client_secret_prefix).and_then(ClientId::parse);
        client_id.map(Subject::ClientSecret).ok_or(RotationError::UnknownSecret)
    }

    /// Makes the pending version the current one. Of two who do so at once one moves the label, and both have done it.
    async fn make_current(&self, pending: &Pending<'_>) -> Result<(), RotationError> {
        let current = pending.secret.version_at(SecretStage::Current);
        let to = Some(pending.version_id);
        if let Err(error) = self.secrets.move_stage(pending.secret_id, SecretStage::Current, current, to).await {
            self.unless_it_is_so(pending, SecretStage::Current, true, error).await?;
        }
        self.drop_pending(pending).await
    }

    /// Takes the label `AWSPENDING` away: a version that keeps it would stand in the way of the next rotation.
    async fn drop_pending(&self, pending: &Pending<'_>) -> Result<(), RotationError> {
        let from = Some(pending.version_id);
        match self.secrets.move_stage(pending.secret_id, SecretStage::Pending, from, None).await {
            Ok(()) => Ok(()),
            Err(error) => self.unless_it_is_so(pending, SecretStage::Pending, false, error).await,
        }
    }

    /// Whether Secrets Manager only tries out that it can ask us. It does when rotation is turned on without rotating at
    /// once: it makes a pending version, asks for testSecret alone, and takes the version away ("RotateSecret",
    /// RotateImmediately). That version has no value, or the current one: there is nothing new to test. A rotation never
    /// ends by this, for finishSecret looks for itself.
    async fn is_trial(&self, pending: &Pending<'_>, new: Option<&SecretVersion>) -> Result<bool, RotationError> {
        let Some(new) = new else { return Ok(true) };
        let current = self.secrets.get(pending.secret_id, SecretStage::Current).await?;
        // Both come from Secrets Manager: no caller learns anything from the time that it takes.
        Ok(current.is_some_and(|current| current.value.expose_secret() == new.value.expose_secret()))
    }

    /// An error, unless another invocation of the same step was faster.
    async fn unless_finished(&self, pending: &Pending<'_>, error: RotationError) -> Result<(), RotationError> {
        if self.has_label(pending, SecretStage::Current).await? { Ok(()) } else { Err(error) }
    }

    /// An error, unless the version has (or has not) the label by now: somebody else did the same.
    async fn unless_it_is_so(
        &self,
        pending: &Pending<'_>,
        stage: SecretStage,
        wanted: bool,
        error: SecretsError,
    ) -> Result<(), RotationError> {
        if self.has_label(pending, stage).await? == wanted { Ok(()) } else { Err(error.into()) }
    }

    async fn has_label(&self, pending: &Pending<'_>, stage: SecretStage) -> Result<bool, RotationError> {
        let secret = self.secrets.describe(pending.secret_id).await?;
        let stages = secret.as_ref().and_then(|secret| secret.stages.get(pending.version_id));
        Ok(stages.is_some_and(|stages| stages.contains(&stage)))
    }
}

/// Takes one step of a rotation at the time `now`. Taken again, it changes nothing more; a version that is already the
/// current one is left as it is.
///
/// # Errors
/// [`RotationError`]; the current version stays, and the step can be taken again.
pub async fn step(app: &App, event: &RotationEvent, now: SystemTime) -> Result<(), RotationError> {
    app.take_step(event, &mut None, now).await
}
