//! Sealed grants: AES-256-GCM under a data key, which is stored beside the ciphertext, wrapped by a key that never leaves
//! KMS or, in a local run, by a secret of the home.
//!
//! The additional authenticated data names the connection, the format and the version of the record, so that one that was
//! swapped, changed or given another version does not open. A record is sealed again under the data key that it was opened
//! with: after the authorization server has answered, no other service is needed to keep what it said.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_clients::clients::{optional, required};
use aws_clients::{AwsSettings, SecretStage, Secrets, SettingsError};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use registry::ConnectionName;
use secrecy::{ExposeSecret, SecretString};

use crate::kms::{Kms, KmsError};

/// The format that is written; a record of another one is refused.
pub const FORMAT: u64 = 1;
/// Id of the secret of a local run that wraps data keys: 256 random bits in Base64, made when it is first needed.
pub const LOCAL_KEY: &str = "northstar/grant-key";
const KEY_BYTES: usize = 32;
/// Data keys remembered at once; past it all are forgotten.
const MAX_REMEMBERED: usize = 100;

/// Where data keys come from.
#[derive(Clone)]
pub enum SealingKeys {
    /// A KMS key, by id, ARN or alias.
    Kms {
        /// The client.
        kms: Kms,
        /// The key.
        key_id: String,
    },
    /// A secret of the home of a local run, [`LOCAL_KEY`].
    Local(Secrets),
}

impl SealingKeys {
    /// The KMS key that `NORTHSTAR_GRANT_KEY` names, or a secret of the home where secrets come from a file.
    ///
    /// # Errors
    /// [`SettingsError::Missing`] when the variable is needed and not set.
    pub fn from_env(settings: &AwsSettings, secrets: &Secrets) -> Result<SealingKeys, SettingsError> {
        Ok(match secrets {
            Secrets::File(_) => SealingKeys::Local(secrets.clone()),
            Secrets::SecretsManager(_) => SealingKeys::Kms {
                kms: Kms::new(settings, optional("AWS_ENDPOINT_URL_KMS")),
                key_id: required("NORTHSTAR_GRANT_KEY")?,
            },
        })
    }
}

/// Why something cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// It is not what was sealed, or not in this place.
    #[error("a sealed record does not open")]
    Damaged,
    /// The service that has the key does not answer, or refuses.
    #[error("the service of the keys does not answer, or refuses")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The crypto library failed.
    #[error("the crypto library failed")]
    Crypto,
}

/// What a sealed record is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The connection.
    pub connection: &'a ConnectionName,
    /// The version of the record.
    pub version: u64,
}

impl Binding<'_> {
    fn aad(&self) -> Aad<Vec<u8>> {
        // A connection's name has no line break.
        Aad::from(format!("northstar grant\n{FORMAT}\n{}\n{}", self.version, self.connection).into_bytes())
    }
}

/// Something sealed, with what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The data key, wrapped.
    pub wrapped_key: Vec<u8>,
    /// The nonce, 12 bytes.
    pub nonce: Vec<u8>,
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// A data key that may be used.
pub struct DataKey {
    wrapped: Vec<u8>,
    key: RandomizedNonceKey,
}

impl DataKey {
    fn new(wrapped: Vec<u8>, key: &[u8]) -> Result<DataKey, SealingError> {
        Ok(DataKey { wrapped, key: aes_256(key)? })
    }

    /// Seals `plain`.
    ///
    /// # Errors
    /// [`SealingError::Crypto`].
    pub fn seal(&self, binding: Binding<'_>, plain: &[u8]) -> Result<Sealed, SealingError> {
        let (nonce, ciphertext) = encrypt(&self.key, binding.aad(), plain)?;
        Ok(Sealed { wrapped_key: self.wrapped.clone(), nonce, ciphertext })
    }

    /// Opens what was sealed under this key.
    ///
    /// # Errors
    /// [`SealingError::Damaged`].
    pub fn open(&self, binding: Binding<'_>, sealed: &Sealed) -> Result<Vec<u8>, SealingError> {
        decrypt(&self.key, binding.aad(), &sealed.nonce, &sealed.ciphertext)
    }
}

/// By connection and wrapped key.
type Opened = HashMap<(ConnectionName, Vec<u8>), Arc<DataKey>>;

/// Makes data keys and opens them; those that were opened are remembered.
pub(crate) struct DataKeys {
    source: SealingKeys,
    opened: Mutex<Opened>,
}

impl DataKeys {
    pub(crate) fn new(source: SealingKeys) -> DataKeys {
        DataKeys { source, opened: Mutex::default() }
    }

    /// A new data key for a connection.
    pub(crate) async fn make(&self, connection: &ConnectionName) -> Result<Arc<DataKey>, SealingError> {
        let key = match &self.source {
            SealingKeys::Kms { kms, key_id } => {
                let made = kms.generate_data_key(key_id, connection).await.map_err(unavailable)?;
                DataKey::new(made.wrapped, made.plain.as_ref())?
            }
            SealingKeys::Local(secrets) => {
                let mut plain = [0; KEY_BYTES];
                rand::fill(&mut plain).map_err(|_| SealingError::Crypto)?;
                let (nonce, ciphertext) = encrypt(&local_key(secrets).await?, local_aad(connection), &plain)?;
                DataKey::new([nonce, ciphertext].concat(), &plain)?
            }
        };
        Ok(self.remember(connection, key))
    }

    /// The data key that `wrapped` is.
    pub(crate) async fn open(&self, connection: &ConnectionName, wrapped: &[u8]) -> Result<Arc<DataKey>, SealingError> {
        let known = (connection.clone(), wrapped.to_vec());
        if let Some(key) = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(&known) {
            return Ok(key.clone());
        }
        let key = match &self.source {
            SealingKeys::Kms { kms, key_id } => {
                let plain = kms.decrypt(key_id, connection, wrapped).await.map_err(|error| match error {
                    KmsError::Ciphertext => SealingError::Damaged,
                    error => unavailable(error),
                })?;
                DataKey::new(wrapped.to_vec(), plain.as_ref())?
            }
            SealingKeys::Local(secrets) => {
                let (nonce, ciphertext) = wrapped.split_at_checked(NONCE_LEN).ok_or(SealingError::Damaged)?;
                let plain = decrypt(&local_key(secrets).await?, local_aad(connection), nonce, ciphertext)?;
                DataKey::new(wrapped.to_vec(), &plain)?
            }
        };
        Ok(self.remember(connection, key))
    }

    fn remember(&self, connection: &ConnectionName, key: DataKey) -> Arc<DataKey> {
        let key = Arc::new(key);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.len() >= MAX_REMEMBERED {
            opened.clear();
        }
        opened.insert((connection.clone(), key.wrapped.clone()), key.clone());
        key
    }
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> SealingError {
    SealingError::Unavailable(Box::new(error))
}

fn local_aad(connection: &ConnectionName) -> Aad<Vec<u8>> {
    Aad::from(format!("northstar data key\n{connection}").into_bytes())
}

async fn local_key(secrets: &Secrets) -> Result<RandomizedNonceKey, SealingError> {
    loop {
        if let Some(found) = secrets.get(LOCAL_KEY, SecretStage::Current).await.map_err(unavailable)? {
            let key = BASE64_STANDARD.decode(found.value.expose_secret()).map_err(unavailable)?;
            return aes_256(&key);
        }
        let mut key = [0; KEY_BYTES];
        rand::fill(&mut key).map_err(|_| SealingError::Crypto)?;
        // Somebody else may have made one by now: that one counts.
        secrets.create(LOCAL_KEY, &SecretString::from(BASE64_STANDARD.encode(key))).await.map_err(unavailable)?;
    }
}

fn aes_256(key: &[u8]) -> Result<RandomizedNonceKey, SealingError> {
    RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| SealingError::Crypto)
}

fn encrypt(key: &RandomizedNonceKey, aad: Aad<Vec<u8>>, plain: &[u8]) -> Result<(Vec<u8>, Vec<u8>), SealingError> {
    let mut text = plain.to_vec();
    let nonce = key.seal_in_place_append_tag(aad, &mut text).map_err(|_| SealingError::Crypto)?;
    Ok((nonce.as_ref().to_vec(), text))
}

fn decrypt(
    key: &RandomizedNonceKey,
    aad: Aad<Vec<u8>>,
    nonce: &[u8],
    ciphertext: &[u8],
) -> Result<Vec<u8>, SealingError> {
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealingError::Damaged)?;
    let mut text = ciphertext.to_vec();
    let plain = key.open_in_place(nonce, aad, &mut text).map_err(|_| SealingError::Damaged)?;
    Ok(plain.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> ConnectionName {
        ConnectionName::parse(text).unwrap()
    }

    fn key() -> DataKey {
        DataKey::new(b"wrapped".to_vec(), &[7; KEY_BYTES]).unwrap()
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_in_its_place_and_nowhere_else(
            plain in proptest::collection::vec(any::<u8>(), 0..200), version in 1u64.., flip in any::<(prop::sample::Index, u8)>()
        ) {
            let (key, connection) = (key(), name("sales"));
            let here = Binding { connection: &connection, version };
            let sealed = key.seal(here, &plain).unwrap();
            prop_assert_eq!(key.open(here, &sealed).unwrap(), plain);

            let other = name("service");
            for place in [Binding { connection: &other, version }, Binding { version: version - 1, ..here }] {
                prop_assert!(matches!(key.open(place, &sealed), Err(SealingError::Damaged)));
            }
            let mut flipped = sealed.clone();
            let at = flip.0.index(flipped.ciphertext.len());
            flipped.ciphertext[at] ^= 1 << (flip.1 % 8);
            prop_assert!(matches!(key.open(here, &flipped), Err(SealingError::Damaged)));
            let shorter = Sealed { ciphertext: sealed.ciphertext[1..].to_vec(), ..sealed.clone() };
            prop_assert!(matches!(key.open(here, &shorter), Err(SealingError::Damaged)));
        }

        #[test]
        fn no_record_makes_it_panic(nonce in proptest::collection::vec(any::<u8>(), 0..20), text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let connection = name("sales");
            let sealed = Sealed { wrapped_key: Vec::new(), nonce, ciphertext: text };
            let opened = key().open(Binding { connection: &connection, version: 1 }, &sealed);
            prop_assert!(opened.is_err());
        }
    }

    #[tokio::test]
    async fn a_local_data_key_opens_for_its_connection_alone() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::File(folder.path().join("secrets.json"));
        let keys = DataKeys::new(SealingKeys::Local(secrets.clone()));
        let made = keys.make(&name("sales")).await.unwrap();
        // Another process, which remembers nothing.
        let keys = DataKeys::new(SealingKeys::Local(secrets));
        let (sales, service) = (name("sales"), name("service"));
        let binding = Binding { connection: &sales, version: 1 };
        let sealed = made.seal(binding, b"grant").unwrap();
        let opened = keys.open(&sales, &sealed.wrapped_key).await.unwrap();
        assert_eq!(opened.open(binding, &sealed).unwrap(), b"grant");
        assert!(matches!(keys.open(&service, &sealed.wrapped_key).await, Err(SealingError::Damaged)));
        assert!(matches!(keys.open(&sales, b"short").await, Err(SealingError::Damaged)));
    }
}
