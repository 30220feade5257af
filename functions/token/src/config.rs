//! The function's configuration, read once.

use aws_clients::clients::required;
use aws_clients::{AwsClients, AwsSettings, Secrets};
use outbound::Fetcher;
use registry::PublicUrl;
use registry::config::{ConfigError, public_url_from_env, secrets_from_env};

/// What the function is told from outside.
pub struct Config {
    /// `NORTHSTAR_PUBLIC_URL`.
    pub public_url: PublicUrl,
    /// `NORTHSTAR_CONFIG_TABLE`.
    pub config_table: String,
    /// `NORTHSTAR_STATE_TABLE`.
    pub state_table: String,
    /// `NORTHSTAR_SIGNING_KEYS`: id of the secret.
    pub signing_keys: String,
    /// Secrets Manager, or the file that `NORTHSTAR_SECRETS_FILE` names.
    pub secrets: Secrets,
    /// Clients of AWS.
    pub aws: AwsClients,
    /// What fetches the keys of clients that keep them at a URL.
    pub outbound: Fetcher,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable.
    pub fn from_env() -> Result<Config, ConfigError> {
        let aws = AwsClients::new(&AwsSettings::from_env()?);
        Ok(Config {
            public_url: public_url_from_env()?,
            config_table: required("NORTHSTAR_CONFIG_TABLE")?,
            state_table: required("NORTHSTAR_STATE_TABLE")?,
            signing_keys: required("NORTHSTAR_SIGNING_KEYS")?,
            secrets: secrets_from_env(&aws),
            aws,
            outbound: Fetcher::new(),
        })
    }
}
