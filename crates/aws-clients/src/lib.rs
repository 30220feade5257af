//! How a function reaches AWS: clients made by hand during INIT, and the secrets they read.
//!
//! The SDK's own configuration loader is left out of the functions: it links the STS, profile and instance-metadata
//! chain and parses the system's 140 root certificates, 85 % of a cold start (ARCHITECTURE.md, decisions).

pub mod clients;
pub mod secrets;

pub use clients::{AwsClients, AwsSettings, SecretsManager, SettingsError};
pub use secrets::{SecretDescription, SecretStage, SecretVersion, Secrets, SecretsError};
