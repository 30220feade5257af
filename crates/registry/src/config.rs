//! What every function is told in the same way, and how a wrong setting is told.

use aws_clients::clients::{optional, required};
use aws_clients::{AwsClients, Secrets, SettingsError};

use crate::public_url::{PublicUrl, PublicUrlError};

/// A setting that is missing or wrong; the function does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// See [`SettingsError`].
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// See [`PublicUrlError`].
    #[error("NORTHSTAR_PUBLIC_URL: {0}")]
    PublicUrl(#[from] PublicUrlError),
}

/// `NORTHSTAR_PUBLIC_URL`.
///
/// # Errors
/// [`ConfigError`] when it is missing or no public URL.
pub fn public_url_from_env() -> Result<PublicUrl, ConfigError> {
    Ok(PublicUrl::parse(&required("NORTHSTAR_PUBLIC_URL")?)?)
}

/// Secrets Manager, or the file that `NORTHSTAR_SECRETS_FILE` names in a local run.
pub fn secrets_from_env(aws: &AwsClients) -> Secrets {
    match optional("NORTHSTAR_SECRETS_FILE") {
        Some(path) => Secrets::File(path.into()),
        None => Secrets::SecretsManager(aws.secrets_manager.clone()),
    }
}
