//! The secret of a client, changed by the operator at once: no rotation, nothing is asked and nothing is tried.

use std::time::SystemTime;

use aws_clients::{SecretStage, Secrets, SecretsError};
use secrecy::SecretString;

use crate::client::{Client, ClientId, generate_secret};
use crate::revocation::Revocations;
use crate::store::{Registry, RegistryError};

/// What there is to change.
pub struct ClientSecrets<'a> {
    /// The clients.
    pub registry: &'a Registry,
    /// Their tokens.
    pub revocations: &'a Revocations,
    /// Their secrets.
    pub secrets: &'a Secrets,
}

/// Why a change was not made, or not to its end; made again, it is completed.
#[derive(Debug, thiserror::Error)]
pub enum ClientSecretError {
    /// See [`SecretsError`].
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// See [`RegistryError`].
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The client has none.
    #[error("client {0} has no secret: it authenticates with its own keys")]
    NoSecret(ClientId),
    /// Somebody else changes the client again and again.
    #[error("client {0} is being changed by somebody else at the same time: try again")]
    Busy(ClientId),
    /// Somebody else deleted the client.
    #[error("client {0} has been deleted by somebody else")]
    Deleted(ClientId),
}

impl ClientSecrets<'_> {
    /// Refuses the previous secret of a client from now on. `false`: there was none.
    ///
    /// # Errors
    /// [`ClientSecretError`].
    pub async fn retire_previous(&self, client: &Client) -> Result<bool, ClientSecretError> {
        let retired = self.secrets.drop_label(id_of(client)?, SecretStage::Previous).await?;
        // Also when there was none: a run that ended in between has told nobody.
        self.tell(client, false).await?;
        Ok(retired)
    }

    /// Gives a client a new secret, refuses every earlier one at once, and cuts the tokens it has: who holds the old
    /// secret may be anybody.
    ///
    /// # Errors
    /// [`ClientSecretError`].
    pub async fn replace(&self, client: &Client) -> Result<SecretString, ClientSecretError> {
        let (id, secret) = (id_of(client)?, generate_secret());
        // A rotation under way is given up.
        self.secrets.drop_label(id, SecretStage::Pending).await?;
        self.secrets.put_current(id, &secret).await?;
        self.secrets.drop_label(id, SecretStage::Previous).await?;
        self.tell(client, true).await?;
        Ok(secret)
    }

    /// Lets everybody read the secrets of a client anew. If `all` are others now, its tokens are cut and no pending one is
    /// accepted.
    async fn tell(&self, client: &Client, all: bool) -> Result<(), ClientSecretError> {
        const ATTEMPTS: usize = 8;
        let id = &client.client_id;
        for _ in 0..ATTEMPTS {
            let now = SystemTime::now();
            let earlier = self.registry.client_now(id).await?;
            let earlier = earlier.ok_or_else(|| ClientSecretError::Deleted(id.clone()))?;
            let client = Client { rotating: earlier.rotating && !all, ..earlier.with_changed_secrets(now) };
            let cut = all.then(|| self.revocations.cut_before(&client, now));
            if self.registry.replace_client(&earlier, &client, cut).await? {
                return Ok(());
            }
        }
        Err(ClientSecretError::Busy(id.clone()))
    }
}

fn id_of(client: &Client) -> Result<&str, ClientSecretError> {
    client.secret_id.as_deref().ok_or_else(|| ClientSecretError::NoSecret(client.client_id.clone()))
}
