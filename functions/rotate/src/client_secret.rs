//! The secret of a client, which somebody else holds a copy of and changes there by hand: the old one is accepted until
//! nobody uses it any more, and until then there is no third one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_clients::{SecretStage, SecretVersion};
use registry::client::generate_secret;
use registry::{Client, ClientId};

use crate::error::RotationError;
use crate::event::Step;
use crate::{App, Pending};

/// How often a change of the record is tried that others change at the same time.
const ATTEMPTS: usize = 10;
const NOT_CREATED: RotationError =
    RotationError::OutOfOrder("the pending version has no value: createSecret comes first");
const NOT_SET: RotationError =
    RotationError::OutOfOrder("nobody accepts the pending version yet: setSecret comes first");

impl App {
    pub(crate) async fn rotate_client_secret(
        &self,
        step: Step,
        id: &ClientId,
        pending: &Pending<'_>,
        now: SystemTime,
    ) -> Result<(), RotationError> {
        let client = self.registered(id, pending).await?;
        let new = self.secrets.get_version(pending.secret_id, pending.version_id).await?;
        match (step, new) {
            (Step::TestSecret, new) if self.is_trial(pending, new.as_ref()).await? => Ok(()),
            (Step::CreateSecret, Some(_)) => Ok(()),
            (Step::CreateSecret, None) => self.create_client_secret(&client, pending, now).await,
            (_, None) => Err(NOT_CREATED),
            (Step::SetSecret, Some(_)) => self.begin_rotation_of(id, now).await,
            (Step::FinishSecret, Some(_)) if !client.rotating => self.unless_finished(pending, NOT_SET).await,
            (_, Some(_)) if !client.rotating => Err(NOT_SET),
            (Step::TestSecret, Some(new)) => self.test_client_secret(&client, &new, now).await,
            (Step::FinishSecret, Some(_)) => {
                self.make_current(pending).await?;
                self.end_rotation_of(id, now).await
            }
        }
    }

    async fn registered(&self, id: &ClientId, pending: &Pending<'_>) -> Result<Client, RotationError> {
        let client = self.registry.client_now(id).await?;
        let owns_it = |client: &Client| client.secret_id.as_deref() == Some(pending.secret.name.as_str());
        client.filter(owns_it).ok_or(RotationError::UnknownSecret)
    }

    async fn create_client_secret(
        &self,
        client: &Client,
        pending: &Pending<'_>,
        now: SystemTime,
    ) -> Result<(), RotationError> {
        if pending.secret.version_at(SecretStage::Current).is_none() {
            return Err(RotationError::UnknownVersion("the secret has no current version: create it anew"));
        }
        if let Some(previous) = pending.secret.version_at(SecretStage::Previous) {
            if let Some(in_use) = self.secret_uses.in_use(client, previous, now).await? {
                self.drop_pending(pending).await?;
                return Err(RotationError::SecretInUse(Box::new(in_use)));
            }
            // What is refused by its quiet period must not be accepted anew by the change that follows.
            self.secrets.move_stage(pending.secret_id, SecretStage::Previous, Some(previous), None).await?;
        }
        match self.secrets.put_pending(pending.secret_id, pending.version_id, &generate_secret()).await {
            Ok(()) => Ok(()),
            // Another invocation of the same step was faster: its value counts.
            Err(error) => match self.secrets.get_version(pending.secret_id, pending.version_id).await? {
                Some(_) => Ok(()),
                None => Err(error.into()),
            },
        }
    }

    async fn begin_rotation_of(&self, id: &ClientId, now: SystemTime) -> Result<(), RotationError> {
        self.change(id, |client| Some(rotating(client, true, now))).await
    }

    /// Nobody needs to accept a pending version any more.
    pub(crate) async fn end_rotation_of(&self, id: &ClientId, now: SystemTime) -> Result<(), RotationError> {
        self.change(id, |client| client.rotating.then(|| rotating(client, false, now))).await
    }

    /// Changes a client's record, unless `next` says that there is nothing to change.
    async fn change(&self, id: &ClientId, next: impl Fn(&Client) -> Option<Client>) -> Result<(), RotationError> {
        for _ in 0..ATTEMPTS {
            let client = self.registry.client_now(id).await?.ok_or(RotationError::UnknownSecret)?;
            let Some(next) = next(&client) else { return Ok(()) };
            if self.registry.replace_client(&client, &next, None).await? {
                return Ok(());
            }
        }
        Err(RotationError::Busy)
    }

    /// A client that is disabled or has expired gets no token with any secret: there is nothing to try, and nobody to
    /// lock out.
    async fn test_client_secret(
        &self,
        client: &Client,
        new: &SecretVersion,
        now: SystemTime,
    ) -> Result<(), RotationError> {
        if !client.is_usable(now) {
            return Ok(());
        }
        self.token_endpoint.accepts(client, &new.value).await?;
        // One process of token accepts it; the others do when they have read the record again.
        let settled = UNIX_EPOCH + Duration::from_secs(client.secrets_changed_at) + self.secret_settles_in;
        tokio::time::sleep(settled.duration_since(now).unwrap_or_default().min(self.secret_settles_in)).await;
        Ok(())
    }
}

fn rotating(client: &Client, rotating: bool, now: SystemTime) -> Client {
    Client { rotating, ..client.with_changed_secrets(now) }
}
