//! The home directory of a local run, `.northstar` unless told otherwise.
//!
//! | file | holds |
//! |---|---|
//! | `northstar.db` | the tables |
//! | `secrets.json` (0600) | what Secrets Manager holds in AWS |
//! | `demo.json` (0600) | addresses and credentials of the demo client |
//! | `token-request` (0600) | the demo client's request to the token endpoint, for curl |
//! | `serve.lock` | locked while `serve` runs |
//! | `requests.jsonl`, `requests.1.jsonl` (0600) | the request lines, and those of commands |
//! | `endpoint` | where the running `serve` has its DynamoDB |

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_clients::{AwsClients, AwsSettings, Secrets};
use registry::{Registry, Revocations, SecretUses};

use crate::demo::Demo;
use crate::log::RequestLog;
use crate::store::{CONFIG_TABLE, STATE_TABLE, Store, StoreError};

/// Prefix of the secrets of clients in a local run.
pub const CLIENT_SECRET_PREFIX: &str = "northstar/clients/";
/// Prefix of the secrets of connections in a local run.
pub const CONNECTION_SECRET_PREFIX: &str = "northstar/connections/";
/// Id of the secret of the signing keys in a local run.
pub const SIGNING_KEYS: &str = "northstar/signing-keys";
/// Id of the secret of the state key in a local run.
pub const STATE_KEY: &str = "northstar/state-key";

/// A home directory.
#[derive(Clone, Debug)]
pub struct Home {
    path: PathBuf,
}

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another `serve` has this home.
    #[error("{home} is being served already{at}; stop that one first, or give another --home")]
    Served {
        /// The home.
        home: String,
        /// Where, if it says so.
        at: String,
    },
    /// There is no demo client yet.
    #[error(
        "{home} has no demo.json: start `northstar serve --home {home}` once, or set NORTHSTAR_CLIENT_ID, NORTHSTAR_CLIENT_SECRET and NORTHSTAR_PUBLIC_URL"
    )]
    NoDemo {
        /// The home.
        home: String,
    },
    /// The demo file is not what we wrote.
    #[error("{home}/demo.json is damaged: delete it and start `northstar serve` again")]
    DamagedDemo {
        /// The home.
        home: String,
    },
    /// The database cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A home whose tables can be reached.
pub struct OpenHome {
    /// Clients of its DynamoDB.
    pub aws: AwsClients,
    /// Its registry.
    pub registry: Registry,
    /// Its revocations.
    pub revocations: Revocations,
    /// When its clients' secrets were used.
    pub secret_uses: SecretUses,
    /// Its secrets.
    pub secrets: Secrets,
    home: Home,
    store_url: String,
    // Our own store, if no `serve` lends its own; it ends with this.
    _store: Option<Store>,
}

impl OpenHome {
    /// Where its DynamoDB is.
    pub fn store_url(&self) -> &str {
        &self.store_url
    }

    /// Where its files are.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Whether a `serve` runs on it.
    pub fn is_served(&self) -> bool {
        self._store.is_none()
    }
}

impl Home {
    /// A home at a path; nothing is made yet.
    pub fn new(path: impl Into<PathBuf>) -> Home {
        Home { path: path.into() }
    }

    /// The home's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the home.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The home's secrets.
    pub fn secrets(&self) -> Secrets {
        Secrets::File(self.file("secrets.json"))
    }

    /// The home's request lines.
    pub fn request_log(&self) -> RequestLog {
        RequestLog::new(&self.path)
    }

    /// Reaches the home's tables: through the running `serve`, or by opening the database here.
    ///
    /// # Errors
    /// [`HomeError`] when the home cannot be made or the database not be opened.
    pub async fn open(&self) -> Result<OpenHome, HomeError> {
        self.make()?;
        let (url, store) = match self.served_endpoint().await? {
            Some(url) => (url, None),
            None => {
                let store = Store::open(&self.file("northstar.db")).await?;
                (store.url().to_owned(), Some(store))
            }
        };
        let aws = AwsClients::new(&AwsSettings::local(&url));
        let registry = Registry::new(aws.dynamodb.clone(), CONFIG_TABLE);
        let revocations = Revocations::new(aws.dynamodb.clone(), STATE_TABLE);
        let secret_uses = SecretUses::new(aws.dynamodb.clone(), STATE_TABLE);
        let (home, secrets) = (self.clone(), self.secrets());
        Ok(OpenHome { aws, registry, revocations, secret_uses, secrets, home, store_url: url, _store: store })
    }

    /// Takes the home for a `serve`; it is free again when the lock is dropped, however the process ends.
    ///
    /// # Errors
    /// [`HomeError::Served`] when another process has it.
    pub fn lock(&self) -> Result<File, HomeError> {
        self.make()?;
        let lock = self.lock_file()?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => {
                let at = self.demo().map(|demo| format!(" at {}", demo.public_url)).unwrap_or_default();
                Err(HomeError::Served { home: self.path.display().to_string(), at })
            }
            Err(TryLockError::Error(source)) => Err(self.error("serve.lock", source)),
        }
    }

    /// Reads `demo.json`.
    ///
    /// # Errors
    /// [`HomeError::NoDemo`] before the first start, [`HomeError::DamagedDemo`] when it is not what we wrote.
    pub fn demo(&self) -> Result<Demo, HomeError> {
        let home = || self.path.display().to_string();
        match std::fs::read(self.file("demo.json")) {
            Ok(json) => serde_json::from_slice(&json).map_err(|_| HomeError::DamagedDemo { home: home() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(HomeError::NoDemo { home: home() }),
            Err(source) => Err(self.error("demo.json", source)),
        }
    }

    /// Writes a file of the home whole, readable by its owner alone.
    ///
    /// # Errors
    /// [`HomeError::File`].
    pub fn write_private(&self, name: &str, content: &[u8]) -> Result<(), HomeError> {
        let next = self.file(&format!("{name}.next"));
        let written = || {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&next)?;
            file.write_all(content)?;
            std::fs::rename(&next, self.file(name))
        };
        written().map_err(|source| self.error(name, source))
    }

    fn make(&self) -> Result<(), HomeError> {
        std::fs::create_dir_all(&self.path).map_err(|source| self.error("", source))
    }

    fn lock_file(&self) -> Result<File, HomeError> {
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(self.file("serve.lock"));
        lock.map_err(|source| self.error("serve.lock", source))
    }

    /// Where the running `serve` has its DynamoDB; `None` when none runs.
    async fn served_endpoint(&self) -> Result<Option<String>, HomeError> {
        // A `serve` that has just taken the lock needs a moment to write the file.
        for _ in 0..40 {
            match self.lock_file()?.try_lock_shared() {
                Ok(()) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(self.error("serve.lock", source)),
                Err(TryLockError::WouldBlock) => {}
            }
            match std::fs::read_to_string(self.file("endpoint")) {
                Ok(url) => return Ok(Some(url)),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        Err(HomeError::Served { home: self.path.display().to_string(), at: " but does not answer".to_owned() })
    }

    fn error(&self, name: &str, source: std::io::Error) -> HomeError {
        HomeError::File { path: self.file(name).display().to_string(), source }
    }
}
