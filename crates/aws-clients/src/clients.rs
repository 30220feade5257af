//! The AWS clients of a function: region and credentials from its environment, limits on every wait.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb as dynamodb;
use aws_sdk_secretsmanager as secrets_manager;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::StalledStreamProtectionConfig;

/// Root certificates of Amazon Trust Services, which sign every AWS endpoint
/// (<https://www.amazontrust.com/repository/>). `AWS_CA_BUNDLE` replaces them.
pub const AMAZON_TRUST_SERVICES: &str = include_str!("amazon-trust-services.pem");

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Where AWS is and who we are there.
#[derive(Clone)]
pub struct AwsSettings {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
    pub credentials: Credentials,
    /// `AWS_ENDPOINT_URL_DYNAMODB`: another address for DynamoDB, as in a local run.
    pub dynamodb_url: Option<String>,
    /// `AWS_ENDPOINT_URL_SECRETS_MANAGER`: another address for Secrets Manager.
    pub secrets_manager_url: Option<String>,
    /// PEM text of the file that `AWS_CA_BUNDLE` names.
    pub ca_bundle: Option<String>,
}

/// A setting that is missing or cannot be read; the function does not start without it.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A variable that is required is not set, or empty.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// The certificate file cannot be read.
    #[error("AWS_CA_BUNDLE names a file that cannot be read")]
    CaBundle(#[source] std::io::Error),
    /// The certificate file holds no certificate.
    #[error("AWS_CA_BUNDLE names a file without a certificate in PEM")]
    CaBundleEmpty,
}

/// The value of an environment variable.
///
/// # Errors
/// [`SettingsError::Missing`] when it is not set or empty.
pub fn required(name: &'static str) -> Result<String, SettingsError> {
    optional(name).ok_or(SettingsError::Missing(name))
}

/// The value of an environment variable; `None` when it is not set or empty.
pub fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl AwsSettings {
    /// Reads the variables that Lambda sets.
    ///
    /// # Errors
    /// [`SettingsError`] names the variable.
    pub fn from_env() -> Result<AwsSettings, SettingsError> {
        let ca_bundle = match optional("AWS_CA_BUNDLE") {
            None => None,
            Some(path) => {
                let pem = std::fs::read_to_string(path).map_err(SettingsError::CaBundle)?;
                if !pem.contains("-----BEGIN CERTIFICATE-----") {
                    return Err(SettingsError::CaBundleEmpty);
                }
                Some(pem)
            }
        };
        Ok(AwsSettings {
            region: required("AWS_REGION")?,
            credentials: Credentials::new(
                required("AWS_ACCESS_KEY_ID")?,
                required("AWS_SECRET_ACCESS_KEY")?,
                optional("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
            dynamodb_url: optional("AWS_ENDPOINT_URL_DYNAMODB"),
            secrets_manager_url: optional("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
            ca_bundle,
        })
    }

    /// Settings for a DynamoDB on this machine, which asks for no real credentials.
    pub fn local(dynamodb_url: impl Into<String>) -> AwsSettings {
        AwsSettings {
            region: "us-east-1".to_owned(),
            credentials: Credentials::new("local", "local", None, None, "local"),
            dynamodb_url: Some(dynamodb_url.into()),
            secrets_manager_url: None,
            ca_bundle: None,
        }
    }
}

/// The clients, sharing one HTTP client and so its connections.
#[derive(Clone)]
pub struct AwsClients {
    /// DynamoDB.
    pub dynamodb: dynamodb::Client,
    /// Secrets Manager.
    pub secrets_manager: SecretsManager,
}

/// A client of Secrets Manager, made when it is first used: not every start needs one, and each service's client reads
/// a table of all AWS regions when it is made.
pub type SecretsManager = Arc<LazyLock<secrets_manager::Client, Box<dyn FnOnce() -> secrets_manager::Client + Send>>>;

impl AwsClients {
    /// Makes the clients; no connection is opened yet.
    pub fn new(settings: &AwsSettings) -> AwsClients {
        let sdk = sdk_config(settings);
        let mut dynamodb = dynamodb::config::Builder::from(&sdk);
        dynamodb.set_endpoint_url(settings.dynamodb_url.clone());
        let mut secrets = secrets_manager::config::Builder::from(&sdk);
        secrets.set_endpoint_url(settings.secrets_manager_url.clone());
        let make_secrets_manager = || secrets_manager::Client::from_conf(secrets.build());
        AwsClients {
            dynamodb: dynamodb::Client::from_conf(dynamodb.build()),
            secrets_manager: Arc::new(LazyLock::new(Box::new(make_secrets_manager))),
        }
    }
}

fn sdk_config(settings: &AwsSettings) -> SdkConfig {
    // The SDK waits for a silent peer for ever unless told otherwise. A tool aims at 20 s and may read twice.
    let limits = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(2))
        .operation_timeout(Duration::from_secs(6))
        .build();
    SdkConfig::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        .credentials_provider(SharedCredentialsProvider::new(settings.credentials.clone()))
        .http_client(http_client(settings))
        .timeout_config(limits)
        // For bodies that trickle in without end; ours are read within an attempt, which has its limit.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .build()
}

/// One connector for all that the clients send. The SDK's own HTTP client makes another, with its TLS configuration,
/// to validate each service's client.
fn http_client(settings: &AwsSettings) -> SharedHttpClient {
    let pem = settings.ca_bundle.as_deref().unwrap_or(AMAZON_TRUST_SERVICES);
    let trust_store = TrustStore::empty().with_pem_certificate(pem.as_bytes());
    let connector = Connector::builder()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .tls_context(TlsContext::builder().with_trust_store(trust_store).build().unwrap_or_default())
        .connector_settings(HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build())
        .build();
    let connector = SharedHttpConnector::new(connector);
    http_client_fn(move |_, _| connector.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_made_from_the_shipped_roots() {
        assert_eq!(AMAZON_TRUST_SERVICES.matches("-----BEGIN CERTIFICATE-----").count(), 5);
        AwsClients::new(&AwsSettings::local("http://127.0.0.1:1"));
    }

    #[test]
    fn the_shipped_roots_are_valid_for_another_two_years() {
        let last_safe_year = 2 + time_now_year();
        for line in AMAZON_TRUST_SERVICES.lines().filter(|line| line.starts_with("# notAfter=")) {
            let year: u64 = line.trim_end_matches(" GMT").rsplit(' ').next().unwrap().parse().unwrap();
            assert!(year > last_safe_year, "renew amazon-trust-services.pem: {line}");
        }
    }

    fn time_now_year() -> u64 {
        let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        1970 + seconds / 31_556_952
    }
}
