//! `northstar init`: the first signing key, the state key and the default server. Run again, it changes nothing.

use std::time::SystemTime;

use aws_clients::{SecretStage, Secrets, SecretsError};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::client::{random_text, seconds};
use crate::key::{PrivateKeyRecord, read_keys, to_publish, write_keys};
use crate::server::Server;
use crate::store::{Registry, RegistryError};

/// The secret of the signing keys before the first one is made.
const NO_KEYS: &str = "[]";

/// What `init` made; `false` is what there was already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct InitReport {
    /// The first signing key.
    pub signing_key: bool,
    /// The key that signs cursors.
    pub state_key: bool,
    /// The server at `/mcp`.
    pub default_server: bool,
}

/// Why `init` did not finish. It can be run again.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// See [`RegistryError`].
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// See [`SecretsError`].
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The key could not be made.
    #[error(transparent)]
    Key(#[from] access_token::KeyError),
    /// The secret of the signing keys is not a list of keys.
    #[error("the secret {0} is not a list of signing keys")]
    Damaged(String),
}

/// Makes what is missing. `signing_keys` and `state_key` are the ids of the two secrets.
///
/// # Errors
/// [`InitError`]; what was made until then stays and is found by the next run.
pub async fn init(
    registry: &Registry,
    secrets: &Secrets,
    signing_keys: &str,
    state_key: &str,
    now: SystemTime,
) -> Result<InitReport, InitError> {
    let made_signing_key = match secrets.get(signing_keys, SecretStage::Current).await? {
        // As the stack's template makes it.
        Some(secret) if secret.value.expose_secret().trim() == NO_KEYS => {
            secrets.put_current(signing_keys, &first_key(now)?).await?;
            true
        }
        Some(_) => false,
        None => secrets.create(signing_keys, &first_key(now)?).await?,
    };
    // Published from the secret, whoever made it: a run that ended in between is completed here.
    publish(registry, secrets, signing_keys, now).await?;
    Ok(InitReport {
        signing_key: made_signing_key,
        state_key: secrets.create(state_key, &SecretString::from(random_text::<32>())).await?,
        default_server: registry.create_server(&Server::default_server(), now).await?,
    })
}

fn first_key(now: SystemTime) -> Result<SecretString, InitError> {
    Ok(write_keys(&[PrivateKeyRecord::generate(seconds(now))?]))
}

async fn publish(registry: &Registry, secrets: &Secrets, signing_keys: &str, now: SystemTime) -> Result<(), InitError> {
    let Some(secret) = secrets.get(signing_keys, SecretStage::Current).await? else { return Ok(()) };
    let keys = read_keys(&secret.value).map_err(|_| InitError::Damaged(signing_keys.to_owned()))?;
    for key in to_publish(&keys, &registry.public_keys().await?, seconds(now))? {
        registry.put_public_key(&key).await?;
    }
    Ok(())
}
