//! Secrets: Secrets Manager in AWS, a file that only its owner may read in a local run.
//!
//! The one seam with two real sources. A secret has versions: the current one, and the previous one for as long as
//! a rotation leaves it standing.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_sdk_secretsmanager as secrets_manager;
use aws_sdk_secretsmanager::operation::delete_secret::DeleteSecretError;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::SecretsManager;

/// A version of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretStage {
    /// `AWSCURRENT`.
    Current,
    /// `AWSPREVIOUS`.
    Previous,
}

impl SecretStage {
    fn label(self) -> &'static str {
        match self {
            SecretStage::Current => "AWSCURRENT",
            SecretStage::Previous => "AWSPREVIOUS",
        }
    }
}

/// Why a secret cannot be read or written. A secret that does not exist is no error.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Secrets Manager does not answer, or refuses.
    #[error("Secrets Manager does not answer, or refuses")]
    SecretsManager(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file cannot be read or written.
    #[error("the secrets file cannot be read or written")]
    File(#[from] std::io::Error),
    /// The file is not what we wrote.
    #[error("the secrets file is damaged")]
    Damaged(#[source] serde_json::Error),
}

/// A source of secrets.
#[derive(Clone)]
pub enum Secrets {
    /// Secrets Manager.
    SecretsManager(SecretsManager),
    /// A JSON file, for local runs (`NORTHSTAR_SECRETS_FILE`).
    File(PathBuf),
}

#[derive(Default, Serialize, Deserialize)]
struct Versions {
    current: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
}

type FileContent = BTreeMap<String, Versions>;

impl Secrets {
    /// Reads one version of a secret; `None` when there is no such secret or version.
    ///
    /// # Errors
    /// [`SecretsError`] when the source does not answer.
    pub async fn get(&self, id: &str, stage: SecretStage) -> Result<Option<SecretString>, SecretsError> {
        match self {
            Secrets::SecretsManager(client) => get_from_secrets_manager(client, id, stage).await,
            Secrets::File(path) => {
                let versions = read_file(path)?.remove(id);
                Ok(versions
                    .and_then(|versions| match stage {
                        SecretStage::Current => Some(versions.current),
                        SecretStage::Previous => versions.previous,
                    })
                    .map(SecretString::from))
            }
        }
    }

    /// Makes a secret with its first version. `false` when there is one of that id already: it is left as it is.
    ///
    /// # Errors
    /// [`SecretsError`] when the source does not answer.
    pub async fn create(&self, id: &str, value: &SecretString) -> Result<bool, SecretsError> {
        match self {
            Secrets::SecretsManager(client) => {
                let created = client.create_secret().name(id).secret_string(value.expose_secret()).send().await;
                match created.map_err(secrets_manager::Error::from) {
                    Ok(_) => Ok(true),
                    Err(secrets_manager::Error::ResourceExistsException(_)) => Ok(false),
                    Err(error) => Err(SecretsError::SecretsManager(Box::new(error))),
                }
            }
            Secrets::File(path) => change_file(path, |content| {
                if content.contains_key(id) {
                    return false;
                }
                let current = value.expose_secret().to_owned();
                content.insert(id.to_owned(), Versions { current, previous: None });
                true
            }),
        }
    }

    /// Deletes a secret at once; one that does not exist is no error.
    ///
    /// # Errors
    /// [`SecretsError`] when the source does not answer.
    pub async fn delete(&self, id: &str) -> Result<(), SecretsError> {
        match self {
            Secrets::SecretsManager(client) => {
                match client.delete_secret().secret_id(id).force_delete_without_recovery(true).send().await {
                    Ok(_) => Ok(()),
                    Err(error) if is_unknown_on_delete(&error) => Ok(()),
                    Err(error) => Err(SecretsError::SecretsManager(Box::new(error))),
                }
            }
            Secrets::File(path) => change_file(path, |content| {
                content.remove(id);
            }),
        }
    }
}

fn is_unknown_on_delete(error: &secrets_manager::error::SdkError<DeleteSecretError>) -> bool {
    error.as_service_error().is_some_and(DeleteSecretError::is_resource_not_found_exception)
}

async fn get_from_secrets_manager(
    client: &secrets_manager::Client,
    id: &str,
    stage: SecretStage,
) -> Result<Option<SecretString>, SecretsError> {
    // The SDK's future is large, and whoever awaits it is as large and moved several times.
    match Box::pin(client.get_secret_value().secret_id(id).version_stage(stage.label()).send()).await {
        Ok(output) => Ok(output.secret_string.map(SecretString::from)),
        Err(error) if error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception) => {
            Ok(None)
        }
        Err(error) => Err(SecretsError::SecretsManager(Box::new(error))),
    }
}

fn read_file(path: &Path) -> Result<FileContent, SecretsError> {
    let mut text = String::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_string(&mut text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(FileContent::new()),
        Err(error) => return Err(error.into()),
    };
    serde_json::from_str(&text).map_err(SecretsError::Damaged)
}

/// Reads, changes and replaces the file as one step: other processes wait at the lock, readers see the old file or the
/// new one, and a crash in between leaves the old one.
fn change_file<T>(path: &Path, change: impl FnOnce(&mut FileContent) -> T) -> Result<T, SecretsError> {
    let private = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).mode(0o600);
        options
    };
    let lock = private().truncate(false).open(path.with_extension("lock"))?;
    lock.lock()?;
    let mut content = read_file(path)?;
    let outcome = change(&mut content);
    let next = path.with_extension("next");
    let mut file = private().truncate(true).open(&next)?;
    file.write_all(&serde_json::to_vec_pretty(&content).map_err(SecretsError::Damaged)?)?;
    file.sync_all()?;
    std::fs::rename(&next, path)?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("northstar-secrets-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        directory.join("secrets.json")
    }

    #[tokio::test]
    async fn a_secret_is_made_once_and_kept() {
        let path = scratch("once");
        let secrets = Secrets::File(path.clone());
        assert!(secrets.get("a", SecretStage::Current).await.unwrap().is_none());
        assert!(secrets.create("a", &SecretString::from("first")).await.unwrap());
        assert!(!secrets.create("a", &SecretString::from("second")).await.unwrap());
        let value = secrets.get("a", SecretStage::Current).await.unwrap().unwrap();
        assert_eq!(value.expose_secret(), "first");
        assert!(secrets.get("a", SecretStage::Previous).await.unwrap().is_none());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        secrets.delete("a").await.unwrap();
        assert!(secrets.get("a", SecretStage::Current).await.unwrap().is_none());
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error_and_is_not_overwritten() {
        let path = scratch("damaged");
        std::fs::write(&path, "{").unwrap();
        let secrets = Secrets::File(path.clone());
        assert!(matches!(secrets.get("a", SecretStage::Current).await, Err(SecretsError::Damaged(_))));
        assert!(secrets.create("a", &SecretString::from("x")).await.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{");
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
