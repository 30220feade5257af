//! Secrets: Secrets Manager in AWS, a file that only its owner may read in a local run.
//!
//! The one seam with two real sources, which keep the same rules: a secret has versions, named by an id, and each
//! staging label is on one of them at most. The label `AWSPREVIOUS` follows `AWSCURRENT`; a version without a label is
//! forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use aws_sdk_secretsmanager as secrets_manager;
use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::delete_secret::DeleteSecretError;
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretError;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::SecretsManager;

/// A staging label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SecretStage {
    /// `AWSCURRENT`.
    #[serde(rename = "AWSCURRENT")]
    Current,
    /// `AWSPREVIOUS`.
    #[serde(rename = "AWSPREVIOUS")]
    Previous,
    /// `AWSPENDING`.
    #[serde(rename = "AWSPENDING")]
    Pending,
}

impl SecretStage {
    const ALL: [SecretStage; 3] = [SecretStage::Current, SecretStage::Previous, SecretStage::Pending];

    /// The label as Secrets Manager spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            SecretStage::Current => "AWSCURRENT",
            SecretStage::Previous => "AWSPREVIOUS",
            SecretStage::Pending => "AWSPENDING",
        }
    }
}

/// One version of a secret.
#[derive(Clone, Debug)]
pub struct SecretVersion {
    /// Its id, a UUID.
    pub id: String,
    /// Its value.
    pub value: SecretString,
}

/// What is known of a secret without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretDescription {
    /// Its name, as it was created.
    pub name: String,
    /// Whether it may be rotated.
    pub rotation_enabled: bool,
    /// The labels of each version, by version id.
    pub stages: BTreeMap<String, BTreeSet<SecretStage>>,
}

impl SecretDescription {
    /// The version that has a label.
    pub fn version_at(&self, stage: SecretStage) -> Option<&str> {
        self.stages.iter().find(|(_, stages)| stages.contains(&stage)).map(|(id, _)| id.as_str())
    }

    /// The version that has a label, unless it is the current one as well.
    pub fn other_version_at(&self, stage: SecretStage) -> Option<&str> {
        self.version_at(stage).filter(|version| Some(*version) != self.version_at(SecretStage::Current))
    }
}

/// Why a secret cannot be read or written. A secret that does not exist is no error of a read.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Secrets Manager does not answer, or refuses.
    #[error("Secrets Manager does not answer, or refuses")]
    SecretsManager(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file cannot be read or written.
    #[error("the secrets file cannot be read or written")]
    File(#[from] std::io::Error),
    /// The file is not what we wrote. Only the place is told: the parser's own words may quote a secret.
    #[error("the secrets file is damaged at line {line}, column {column}")]
    Damaged {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// The change does not fit the secret as it is; nothing was changed.
    #[error("{0}")]
    Conflict(&'static str),
}

/// A source of secrets.
#[derive(Clone)]
pub enum Secrets {
    /// Secrets Manager.
    SecretsManager(SecretsManager),
    /// A JSON file, for local runs (`NORTHSTAR_SECRETS_FILE`).
    File(PathBuf),
}

/// Secrets Manager by a client that is already made.
impl From<secrets_manager::Client> for Secrets {
    fn from(client: secrets_manager::Client) -> Secrets {
        Secrets::SecretsManager(Arc::new(LazyLock::new(Box::new(|| client))))
    }
}

/// By secret id, by version id.
type FileContent = BTreeMap<String, BTreeMap<String, FileVersion>>;

#[derive(Default, Serialize, Deserialize)]
struct FileVersion {
    /// None in a pending version that has no value yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    stages: BTreeSet<SecretStage>,
}

impl Secrets {
    /// Reads the version of a secret that has a label; `None` when there is no such secret, label or value.
    ///
    /// # Errors
    /// [`SecretsError`] when the source does not answer.
    pub async fn get(&self, id: &str, stage: SecretStage) -> Result<Option<SecretVersion>, SecretsError> {
        match self {
            Secrets::SecretsManager(client) => {
                // The SDK's future is large, and whoever awaits it is as large and moved several times.
                found(Box::pin(client.get_secret_value().secret_id(id).version_stage(stage.as_str()).send()).await)
            }
            Secrets::File(path) => Ok(read_file(path)?.remove(id).and_then(|versions| {
                let (id, version) = versions.into_iter().find(|(_, version)| version.stages.contains(&stage))?;
                Some(SecretVersion { id, value: version.value?.into() })
            })),
        }
    }

    /// Reads the version of a secret that has an id; `None` when there is no such secret, version or value.
    ///
    /// # Errors
    /// [`SecretsError`] when the source does not answer.
    pub async fn get_version(&self, id: &str, version_id: &str) -> Result<Option<SecretVersion>, SecretsError> {
        match self {
            Secrets::SecretsManager(client) => {
                found(Box::pin(client.get_secret_value().secret_id(id).version_id(version_id).send()).await)
            }
            Secrets::File(path) => Ok(read_file(path)?.remove(id).and_then(|mut versions| {
                let value = versions.remove(version_id)?.value?.into();
                Some(SecretVersion { id: version_id.to_owned(), value })
            })),
        }
    }

    /// Describes a secret; `None` when there is no such secret.
    ///
    /// # Errors
    /// [`SecretsError`] when the source does not answer.
    pub async fn describe(&self, id: &str) -> Result<Option<SecretDescription>, SecretsError> {
        match self {
            Secrets::SecretsManager(client) => match Box::pin(client.describe_secret().secret_id(id).send()).await {
                Ok(output) => Ok(Some(SecretDescription {
                    name: output.name.unwrap_or_default(),
                    rotation_enabled: output.rotation_enabled.unwrap_or_default(),
                    stages: output
                        .version_ids_to_stages
                        .unwrap_or_default()
                        .into_iter()
                        .map(|(id, labels)| (id, known_stages(&labels)))
                        .collect(),
                })),
                Err(error) if is_unknown(&error, DescribeSecretError::is_resource_not_found_exception) => Ok(None),
                Err(error) => Err(SecretsError::SecretsManager(Box::new(error))),
            },
            Secrets::File(path) => Ok(read_file(path)?.remove(id).map(|versions| SecretDescription {
                name: id.to_owned(),
                rotation_enabled: true,
                stages: versions.into_iter().map(|(id, version)| (id, version.stages)).collect(),
            })),
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
                    return Ok(false);
                }
                let value = Some(value.expose_secret().to_owned());
                let version = FileVersion { value, stages: BTreeSet::from([SecretStage::Current]) };
                content.insert(id.to_owned(), BTreeMap::from([(new_version_id(), version)]));
                Ok(true)
            }),
        }
    }

    /// Makes a new version the current one at once; the one before becomes the previous one.
    ///
    /// # Errors
    /// [`SecretsError`] when the source does not answer, or has no such secret.
    pub async fn put_current(&self, id: &str, value: &SecretString) -> Result<(), SecretsError> {
        match self {
            Secrets::SecretsManager(client) => {
                let put = client.put_secret_value().secret_id(id).secret_string(value.expose_secret());
                let put = Box::pin(put.version_stages(SecretStage::Current.as_str()).send()).await;
                put.map(|_| ()).map_err(|error| SecretsError::SecretsManager(Box::new(error)))
            }
            Secrets::File(path) => change_file(path, |content| {
                let versions = content.get_mut(id).ok_or(SecretsError::Conflict("there is no such secret"))?;
                let at = |(id, version): (&String, &FileVersion)| {
                    version.stages.contains(&SecretStage::Current).then(|| id.clone())
                };
                let (before, new) = (versions.iter().find_map(at), new_version_id());
                let value = Some(value.expose_secret().to_owned());
                versions.insert(new.clone(), FileVersion { value, ..FileVersion::default() });
                label(versions, SecretStage::Current, Some(&new));
                label(versions, SecretStage::Previous, before.as_deref());
                versions.retain(|_, version| !version.stages.is_empty());
                Ok(())
            }),
        }
    }

    /// Writes the value of a version and labels it `AWSPENDING`. The same value again changes nothing.
    ///
    /// # Errors
    /// [`SecretsError`] when the source does not answer, or the version has another value.
    pub async fn put_pending(&self, id: &str, version_id: &str, value: &SecretString) -> Result<(), SecretsError> {
        match self {
            Secrets::SecretsManager(client) => {
                let put = client
                    .put_secret_value()
                    .secret_id(id)
                    .client_request_token(version_id)
                    .secret_string(value.expose_secret())
                    .version_stages(SecretStage::Pending.as_str());
                put.send().await.map(|_| ()).map_err(|error| SecretsError::SecretsManager(Box::new(error)))
            }
            Secrets::File(path) => change_file(path, |content| {
                let versions = content.get_mut(id).ok_or(SecretsError::Conflict("there is no such secret"))?;
                let value = value.expose_secret().to_owned();
                if versions.get(version_id).and_then(|version| version.value.as_ref()).is_some_and(|old| *old != value)
                {
                    return Err(SecretsError::Conflict("the version has another value"));
                }
                versions.entry(version_id.to_owned()).or_default().value = Some(value);
                label(versions, SecretStage::Pending, Some(version_id));
                Ok(())
            }),
        }
    }

    /// Moves a label from one version to another; `None` for a version that does not have it before, or none that has it
    /// after.
    ///
    /// # Errors
    /// [`SecretsError`] when the source does not answer, or the label is not on `from`.
    pub async fn move_stage(
        &self,
        id: &str,
        stage: SecretStage,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<(), SecretsError> {
        match self {
            Secrets::SecretsManager(client) => {
                let moved = client
                    .update_secret_version_stage()
                    .secret_id(id)
                    .version_stage(stage.as_str())
                    .set_remove_from_version_id(from.map(str::to_owned))
                    .set_move_to_version_id(to.map(str::to_owned));
                moved.send().await.map(|_| ()).map_err(|error| SecretsError::SecretsManager(Box::new(error)))
            }
            Secrets::File(path) => change_file(path, |content| {
                let versions = content.get_mut(id).ok_or(SecretsError::Conflict("there is no such secret"))?;
                let at = versions.iter().find(|(_, version)| version.stages.contains(&stage)).map(|(id, _)| id.clone());
                if at.as_deref() != from || to.is_some_and(|to| !versions.contains_key(to)) {
                    return Err(SecretsError::Conflict("the label is on another version, or there is no such version"));
                }
                label(versions, stage, to);
                if stage == SecretStage::Current {
                    label(versions, SecretStage::Previous, from);
                }
                versions.retain(|_, version| !version.stages.is_empty());
                Ok(())
            }),
        }
    }

    /// Takes a label away from a version that is not the current one. `false`: there is none.
    ///
    /// # Errors
    /// [`SecretsError`] when the source does not answer, or the label has just been moved.
    pub async fn drop_label(&self, id: &str, stage: SecretStage) -> Result<bool, SecretsError> {
        let secret = self.describe(id).await?;
        let Some(version) = secret.as_ref().and_then(|secret| secret.other_version_at(stage)) else { return Ok(false) };
        self.move_stage(id, stage, Some(version), None).await?;
        Ok(true)
    }

    /// Lets a function rotate a secret when it is asked to; there is no schedule. Secrets Manager tries the function out.
    ///
    /// # Errors
    /// [`SecretsError`] when the source does not answer, or Secrets Manager may not invoke the function.
    pub async fn enable_rotation(&self, id: &str, function_arn: &str) -> Result<(), SecretsError> {
        let Secrets::SecretsManager(client) = self else { return Ok(()) };
        let enable = client.rotate_secret().secret_id(id).rotation_lambda_arn(function_arn).rotate_immediately(false);
        Box::pin(enable.send()).await.map(|_| ()).map_err(|error| SecretsError::SecretsManager(Box::new(error)))
    }

    /// Begins a rotation: Secrets Manager labels a new version `AWSPENDING` and invokes the rotation function; a file
    /// only gets the label. Returns the id of the new version.
    ///
    /// # Errors
    /// [`SecretsError`] when the source does not answer, or another rotation is under way.
    pub async fn begin_rotation(&self, id: &str) -> Result<String, SecretsError> {
        match self {
            Secrets::SecretsManager(client) => match Box::pin(client.rotate_secret().secret_id(id).send()).await {
                Ok(output) => Ok(output.version_id.unwrap_or_default()),
                Err(error) => Err(SecretsError::SecretsManager(Box::new(error))),
            },
            Secrets::File(path) => change_file(path, |content| {
                let versions = content.get_mut(id).ok_or(SecretsError::Conflict("there is no such secret"))?;
                // A version that became the current one may have kept the label: its rotation is over.
                let under_way = |version: &FileVersion| {
                    version.stages.contains(&SecretStage::Pending) && !version.stages.contains(&SecretStage::Current)
                };
                if versions.values().any(under_way) {
                    return Err(SecretsError::Conflict("a rotation is under way"));
                }
                let new = new_version_id();
                versions.insert(new.clone(), FileVersion::default());
                label(versions, SecretStage::Pending, Some(&new));
                Ok(new)
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
                    Err(error) if is_unknown(&error, DeleteSecretError::is_resource_not_found_exception) => Ok(()),
                    Err(error) => Err(SecretsError::SecretsManager(Box::new(error))),
                }
            }
            Secrets::File(path) => change_file(path, |content| {
                content.remove(id);
                Ok(())
            }),
        }
    }
}

fn found(
    answer: Result<secrets_manager::operation::get_secret_value::GetSecretValueOutput, SdkError<GetSecretValueError>>,
) -> Result<Option<SecretVersion>, SecretsError> {
    match answer {
        Ok(output) => {
            let id = output.version_id.unwrap_or_default();
            Ok(output.secret_string.map(|value| SecretVersion { id, value: value.into() }))
        }
        Err(error) if is_unknown(&error, is_not_found_or_deleted) => Ok(None),
        Err(error) => Err(SecretsError::SecretsManager(Box::new(error))),
    }
}

/// Of a read, `InvalidRequestException` says that the secret is scheduled for deletion (Secrets Manager API Reference,
/// GetSecretValue): whoever deletes a secret wants it to count no more, not to be taken for an outage.
fn is_not_found_or_deleted(error: &GetSecretValueError) -> bool {
    error.is_resource_not_found_exception() || error.is_invalid_request_exception()
}

fn is_unknown<E>(error: &SdkError<E>, is_not_found: impl Fn(&E) -> bool) -> bool {
    error.as_service_error().is_some_and(is_not_found)
}

fn known_stages(labels: &[String]) -> BTreeSet<SecretStage> {
    SecretStage::ALL.into_iter().filter(|stage| labels.iter().any(|label| label == stage.as_str())).collect()
}

/// Puts a label on one version and on no other.
fn label(versions: &mut BTreeMap<String, FileVersion>, stage: SecretStage, on: Option<&str>) {
    for (id, version) in versions {
        version.stages.remove(&stage);
        if on == Some(id) {
            version.stages.insert(stage);
        }
    }
}

/// A random UUID (RFC 9562 §5.4), as Secrets Manager wants version ids.
fn new_version_id() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system's random generator works");
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn read_file(path: &Path) -> Result<FileContent, SecretsError> {
    let mut text = String::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_string(&mut text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(FileContent::new()),
        Err(error) => return Err(error.into()),
    };
    serde_json::from_str(&text).map_err(|error| damaged(&error))
}

fn damaged(error: &serde_json::Error) -> SecretsError {
    SecretsError::Damaged { line: error.line(), column: error.column() }
}

/// Reads, changes and replaces the file as one step: other processes wait at the lock, readers see the old file or the
/// new one, and a crash in between leaves the old one.
fn change_file<T>(
    path: &Path,
    change: impl FnOnce(&mut FileContent) -> Result<T, SecretsError>,
) -> Result<T, SecretsError> {
    let private = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).mode(0o600);
        options
    };
    let lock = private().truncate(false).open(path.with_extension("lock"))?;
    lock.lock()?;
    let mut content = read_file(path)?;
    let outcome = change(&mut content)?;
    let next = path.with_extension("next");
    let mut file = private().truncate(true).open(&next)?;
    file.write_all(&serde_json::to_vec_pretty(&content).map_err(|error| damaged(&error))?)?;
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
        assert_eq!(value.value.expose_secret(), "first");
        assert!(secrets.get("a", SecretStage::Previous).await.unwrap().is_none());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        secrets.delete("a").await.unwrap();
        assert!(secrets.get("a", SecretStage::Current).await.unwrap().is_none());
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error_and_is_not_overwritten() {
        let path = scratch("damaged");
        let secrets = Secrets::File(path.clone());
        std::fs::write(&path, r#"{"a":"secret"}"#).unwrap();
        let error = secrets.get("a", SecretStage::Current).await.unwrap_err();
        assert_eq!(error.to_string(), "the secrets file is damaged at line 1, column 13");
        assert!(std::error::Error::source(&error).is_none(), "the parser's words quote the secret");
        std::fs::write(&path, "{").unwrap();
        assert!(secrets.create("a", &SecretString::from("x")).await.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{");
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[tokio::test]
    async fn the_file_keeps_the_labels_as_secrets_manager_does() {
        let path = scratch("labels");
        let secrets = Secrets::File(path.clone());
        secrets.create("a", &SecretString::from("first")).await.unwrap();
        let first = secrets.get("a", SecretStage::Current).await.unwrap().unwrap().id;
        let second = secrets.begin_rotation("a").await.unwrap();
        assert_eq!(second.len(), 36);
        assert!(secrets.begin_rotation("a").await.is_err(), "one is under way");
        assert!(secrets.get("a", SecretStage::Pending).await.unwrap().is_none(), "it has no value yet");
        for _ in 0..2 {
            secrets.put_pending("a", &second, &SecretString::from("second")).await.unwrap();
        }
        assert!(secrets.put_pending("a", &second, &SecretString::from("third")).await.is_err());
        let wrong = secrets.move_stage("a", SecretStage::Current, Some(&second), Some(&second)).await;
        assert!(matches!(wrong, Err(SecretsError::Conflict(_))));
        secrets.move_stage("a", SecretStage::Current, Some(&first), Some(&second)).await.unwrap();
        let third = secrets.begin_rotation("a").await.unwrap();
        assert!(secrets.begin_rotation("a").await.is_err(), "one is under way");
        secrets.move_stage("a", SecretStage::Pending, Some(&third), None).await.unwrap();
        let described = secrets.describe("a").await.unwrap().unwrap();
        assert_eq!(described.version_at(SecretStage::Current), Some(second.as_str()));
        assert_eq!(described.version_at(SecretStage::Previous), Some(first.as_str()));
        assert_eq!(described.version_at(SecretStage::Pending), None);
        secrets.put_current("a", &SecretString::from("fourth")).await.unwrap();
        let described = secrets.describe("a").await.unwrap().unwrap();
        assert_eq!(described.version_at(SecretStage::Previous), Some(second.as_str()));
        assert_eq!(described.stages.len(), 2, "{described:?}");
        let current = secrets.get("a", SecretStage::Current).await.unwrap().unwrap();
        assert_eq!(current.value.expose_secret(), "fourth");
        assert!(secrets.get_version("a", &first).await.unwrap().is_none(), "a version without a label is forgotten");
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
