//! The function's configuration, read once.

use aws_clients::clients::{optional, required};
use aws_clients::{AwsClients, AwsSettings, Secrets, SettingsError};
use registry::{PublicUrl, PublicUrlError};

/// What the function is told from outside.
pub struct Config {
    /// `NORTHSTAR_PUBLIC_URL`.
    pub public_url: PublicUrl,
    /// `NORTHSTAR_ORDERS_TABLE`.
    pub orders_table: String,
    /// `NORTHSTAR_LOYALTY_TABLE`.
    pub loyalty_table: String,
    /// `NORTHSTAR_CONFIG_TABLE`.
    pub config_table: String,
    /// `NORTHSTAR_STATE_KEY`: id of the secret.
    pub state_key: String,
    /// Secrets Manager, or the file that `NORTHSTAR_SECRETS_FILE` names.
    pub secrets: Secrets,
    /// Clients of AWS.
    pub aws: AwsClients,
}

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

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable.
    pub fn from_env() -> Result<Config, ConfigError> {
        let aws = AwsClients::new(&AwsSettings::from_env()?);
        Ok(Config {
            public_url: PublicUrl::parse(&required("NORTHSTAR_PUBLIC_URL")?)?,
            orders_table: required("NORTHSTAR_ORDERS_TABLE")?,
            loyalty_table: required("NORTHSTAR_LOYALTY_TABLE")?,
            config_table: required("NORTHSTAR_CONFIG_TABLE")?,
            state_key: required("NORTHSTAR_STATE_KEY")?,
            secrets: match optional("NORTHSTAR_SECRETS_FILE") {
                Some(path) => Secrets::File(path.into()),
                None => Secrets::SecretsManager(aws.secrets_manager.clone()),
            },
            aws,
        })
    }
}
