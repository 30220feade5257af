//! The keys: which one signs now (from the secret), and which ones the world may know (from the registry).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access_token::{Claims, PublicKey, Refusal, SigningKey, Verifier};
use aws_clients::{SecretStage, Secrets, SecretsError};
use bytes::Bytes;
use registry::client::seconds;
use registry::key::KeyPhase;
use registry::{Kept, PrivateKeyRecord, PublicUrl, Registry, RegistryError};
use request_log::Timings;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::error::TokenError;

/// A new key has 15 minutes between its publication and its first signature, so 5 are early enough.
const SIGNING_MAX_AGE: Duration = Duration::from_secs(300);
const PUBLISHED_MAX_AGE: Duration = Duration::from_secs(60);
/// An unknown key id may cost one read of the published keys in this time.
const PUBLISHED_MIN_AGE: Duration = Duration::from_secs(10);

/// The private keys.
pub struct SigningKeys {
    secrets: Secrets,
    secret_id: String,
    kept: Kept<Vec<TimedKey>>,
}

struct TimedKey {
    key: Arc<SigningKey>,
    not_before: u64,
    not_after: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
enum SigningKeysError {
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error("the secret of the signing keys is missing, or is not a list of usable keys")]
    Damaged,
}

impl SigningKeys {
    /// Keys in the secret `secret_id`.
    pub fn new(secrets: Secrets, secret_id: &str) -> SigningKeys {
        SigningKeys { secrets, secret_id: secret_id.to_owned(), kept: Kept::default() }
    }

    /// Reads the secret, so that the first request need not.
    ///
    /// # Errors
    /// As [`SigningKeys::current`].
    pub async fn warm_up(&self, now: SystemTime) -> Result<(), TokenError> {
        self.current(now).await.map(|_| ())
    }

    /// The newest key that may sign at the time `now`.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`] when the secret cannot be read, [`TokenError::NoSigningKey`] when no key may sign.
    pub async fn current(&self, now: SystemTime) -> Result<Arc<SigningKey>, TokenError> {
        let keys = self.kept.get(now, SIGNING_MAX_AGE, || self.fetch()).await.map_err(|error| match error {
            SigningKeysError::Secrets(_) => TokenError::Unavailable,
            SigningKeysError::Damaged => TokenError::NoSigningKey,
        })?;
        let now = seconds(now);
        keys.iter()
            .filter(|key| key.not_before <= now && key.not_after.is_none_or(|end| now <= end))
            .max_by_key(|key| key.not_before)
            .map(|key| key.key.clone())
            .ok_or(TokenError::NoSigningKey)
    }

    async fn fetch(&self) -> Result<Vec<TimedKey>, SigningKeysError> {
        let text = self.secrets.get(&self.secret_id, SecretStage::Current).await?.ok_or(SigningKeysError::Damaged)?;
        let records: Vec<PrivateKeyRecord> =
            serde_json::from_str(text.value.expose_secret()).map_err(|_| SigningKeysError::Damaged)?;
        records
            .into_iter()
            .map(|record| {
                let key =
                    SigningKey::from_pem(record.private_key.expose_secret()).map_err(|_| SigningKeysError::Damaged)?;
                Ok(TimedKey { key: Arc::new(key), not_before: record.not_before, not_after: record.not_after })
            })
            .collect()
    }
}

/// The public keys.
pub struct PublishedKeys {
    registry: Registry,
    issuer: String,
    kept: Kept<Published>,
}

struct Published {
    key_set: Bytes,
    verifier: Verifier,
}

impl PublishedKeys {
    /// Keys in the registry, for the issuer `public_url`.
    pub fn new(registry: Registry, public_url: &PublicUrl) -> PublishedKeys {
        PublishedKeys { registry, issuer: public_url.as_str().to_owned(), kept: Kept::default() }
    }

    /// The JWK set (RFC 7517 §5) of every key that is not retired, as JSON.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`] when the registry cannot be read.
    pub async fn jwks(&self, now: SystemTime) -> Result<Bytes, TokenError> {
        Ok(self.published(PUBLISHED_MAX_AGE, now).await?.key_set.clone())
    }

    /// The claims of a token that we issued and that has not expired, whatever it is for; `None` for any other text.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`] when the registry cannot be read.
    pub async fn verify(
        &self,
        unverified_token: &str,
        timings: &Timings,
        now: SystemTime,
    ) -> Result<Option<Claims>, TokenError> {
        let mut published = timings.table(self.published(PUBLISHED_MAX_AGE, now)).await?;
        let verify = |keys: &Published| keys.verifier.verify_for_any_audience(unverified_token, now);
        let mut verified = timings.verify(|| verify(&published));
        if let Err(Refusal::UnknownKey) = verified {
            published = timings.table(self.published(PUBLISHED_MIN_AGE, now)).await?;
            verified = timings.verify(|| verify(&published));
        }
        Ok(verified.ok().map(|verified| verified.claims))
    }

    async fn published(&self, max_age: Duration, now: SystemTime) -> Result<Arc<Published>, TokenError> {
        let fetch = async || {
            let mut keys = self.registry.public_keys().await?;
            keys.retain(|key| key.phase(seconds(now)) != KeyPhase::Retired);
            let jwks =
                keys.into_iter().filter_map(|key| Some((key.kid, serde_json::from_str::<Value>(&key.jwk).ok()?)));
            let jwks: Vec<(String, Value)> = jwks.collect();
            let public_keys = jwks.iter().filter_map(|(kid, jwk)| Some((kid.clone(), PublicKey::from_jwk(jwk).ok()?)));
            let verifier = Verifier::new(&self.issuer, public_keys.collect());
            let key_set: Vec<&Value> = jwks.iter().map(|(_, jwk)| jwk).collect();
            Ok::<_, RegistryError>(Published { key_set: json!({ "keys": key_set }).to_string().into(), verifier })
        };
        self.kept.get(now, max_age, fetch).await.map_err(|_| TokenError::Unavailable)
    }
}
