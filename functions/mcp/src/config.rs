//! The function's configuration, read once.

use aws_clients::clients::required;
use aws_clients::{AwsClients, AwsSettings, Secrets};
use oauth_client::SealingKeys;
use outbound::Fetcher;
use registry::PublicUrl;
use registry::config::{ConfigError, public_url_from_env, secrets_from_env};

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
    /// `NORTHSTAR_STATE_TABLE`.
    pub state_table: String,
    /// `NORTHSTAR_STATE_KEY`: id of the secret.
    pub state_key: String,
    /// `NORTHSTAR_GRANT_KEY`: the KMS key that wraps the keys of grants; a secret of the home in a local run.
    pub sealing_keys: SealingKeys,
    /// Asks Salesforce.
    pub outbound: Fetcher,
    /// Asks upstreams and their authorization servers.
    pub upstream_outbound: Fetcher,
    /// Secrets Manager, or the file that `NORTHSTAR_SECRETS_FILE` names.
    pub secrets: Secrets,
    /// Clients of AWS.
    pub aws: AwsClients,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable.
    pub fn from_env() -> Result<Config, ConfigError> {
        let settings = AwsSettings::from_env()?;
        let aws = AwsClients::new(&settings);
        let secrets = secrets_from_env(&aws);
        Ok(Config {
            public_url: public_url_from_env()?,
            orders_table: required("NORTHSTAR_ORDERS_TABLE")?,
            loyalty_table: required("NORTHSTAR_LOYALTY_TABLE")?,
            config_table: required("NORTHSTAR_CONFIG_TABLE")?,
            state_table: required("NORTHSTAR_STATE_TABLE")?,
            state_key: required("NORTHSTAR_STATE_KEY")?,
            sealing_keys: SealingKeys::from_env(&settings, &secrets)?,
            secrets,
            outbound: Fetcher::new(),
            upstream_outbound: Fetcher::new(),
            aws,
        })
    }
}
