//! The function's configuration, read once.

use std::time::Duration;

use aws_clients::clients::required;
use aws_clients::{AwsClients, AwsSettings, Secrets};
use registry::PublicUrl;
use registry::config::{ConfigError, public_url_from_env, secrets_from_env};

/// How long a new signing key is public before it signs.
pub const KEY_LEAD: Duration = Duration::from_secs(15 * 60);
/// How long it takes until every process of token accepts a pending secret: one that refuses a secret reads the
/// client's record again, at most once a second.
pub const SECRET_SETTLES_IN: Duration = Duration::from_secs(2);
/// How long the token endpoint may refuse a pending secret, or not answer, before it counts.
pub const TOKEN_PATIENCE: Duration = Duration::from_secs(30);

/// What the function is told from outside.
pub struct Config {
    /// `NORTHSTAR_PUBLIC_URL`: where a pending client secret is tried.
    pub public_url: PublicUrl,
    /// `NORTHSTAR_CONFIG_TABLE`.
    pub config_table: String,
    /// `NORTHSTAR_STATE_TABLE`.
    pub state_table: String,
    /// `NORTHSTAR_SIGNING_KEYS`: name of the secret.
    pub signing_keys: String,
    /// `NORTHSTAR_CLIENT_SECRET_PREFIX`: what the names of client secrets begin with.
    pub client_secret_prefix: String,
    /// Secrets Manager, or the file that `NORTHSTAR_SECRETS_FILE` names.
    pub secrets: Secrets,
    /// Clients of AWS.
    pub aws: AwsClients,
    /// [`KEY_LEAD`], but for tests.
    pub key_lead: Duration,
    /// [`SECRET_SETTLES_IN`]; nothing where one process of token is all there is.
    pub secret_settles_in: Duration,
    /// [`TOKEN_PATIENCE`], but for tests.
    pub token_patience: Duration,
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
            client_secret_prefix: required("NORTHSTAR_CLIENT_SECRET_PREFIX")?,
            secrets: secrets_from_env(&aws),
            aws,
            key_lead: KEY_LEAD,
            secret_settles_in: SECRET_SETTLES_IN,
            token_patience: TOKEN_PATIENCE,
        })
    }
}
