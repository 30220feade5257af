//! The signing keys: a list in one secret, whose newest key is public before it signs.
//!
//! The public half is in the registry before the list that may sign with it becomes current, and early enough for
//! every verifier to have read it: else the rotation is given up. The end of the old key is published last, so that a
//! rotation that is never finished ends nothing.

use std::time::SystemTime;

use access_token::{Claims, PublicKey, SigningKey, Verifier};
use aws_clients::{SecretStage, SecretVersion};
use registry::client::seconds;
use registry::key::{KeyPhase, read_keys, succeeded_by, to_publish, write_keys};
use registry::{PrivateKeyRecord, PublishedKey};
use secrecy::ExposeSecret;

use crate::error::RotationError;
use crate::event::Step;
use crate::{App, Pending};

/// How long a new key is public at least before it signs, in seconds: a verifier may keep the JWKS for 5 minutes, token
/// has read it up to 1 minute before, clocks differ by up to 30 s, and the write itself takes a moment.
const PUBLIC_BEFORE: u64 = 5 * 60 + 60 + 30 + 10;

const NOT_CREATED: RotationError =
    RotationError::OutOfOrder("the pending version has no value: createSecret comes first");
const NOT_SET: RotationError =
    RotationError::OutOfOrder("the new signing key is not public yet: setSecret comes first");

impl App {
    pub(crate) async fn rotate_signing_keys(
        &self,
        step: Step,
        pending: &Pending<'_>,
        now: SystemTime,
    ) -> Result<(), RotationError> {
        let new = self.secrets.get_version(pending.secret_id, pending.version_id).await?;
        match (step, new) {
            (Step::TestSecret, new) if self.is_trial(pending, new.as_ref()).await? => Ok(()),
            (Step::CreateSecret, Some(_)) => Ok(()),
            (Step::CreateSecret, None) => self.create_signing_keys(pending, now).await,
            (_, None) => Err(NOT_CREATED),
            (Step::SetSecret, Some(new)) => self.publish_signing_keys(pending, &new, now).await,
            (Step::TestSecret, Some(new)) => self.test_signing_keys(&new, now).await,
            (Step::FinishSecret, Some(new)) => {
                let published = self.registry.public_keys().await?;
                if !read_keys(&new.value)?.iter().all(|key| is_published(key, &published)) {
                    return Err(NOT_SET);
                }
                self.make_current(pending).await?;
                self.end_rotation_of_keys(pending, now).await
            }
        }
    }

    async fn create_signing_keys(&self, pending: &Pending<'_>, now: SystemTime) -> Result<(), RotationError> {
        let keys = self.current_signing_keys(pending).await?;
        let newest = keys.iter().max_by_key(|key| key.not_before);
        if let Some(newest) = newest.filter(|newest| newest.not_before > seconds(now)) {
            let (kid, signs_from) = (newest.kid.clone(), newest.not_before);
            self.drop_pending(pending).await?;
            return Err(RotationError::KeyNotInUse { kid, signs_from });
        }
        let new = PrivateKeyRecord::generate(seconds(now + self.key_lead))?;
        let keys = succeeded_by(keys, new, seconds(now));
        match self.secrets.put_pending(pending.secret_id, pending.version_id, &write_keys(&keys)).await {
            Ok(()) => Ok(()),
            // Another invocation of the same step was faster: its key counts.
            Err(error) => match self.secrets.get_version(pending.secret_id, pending.version_id).await? {
                Some(_) => Ok(()),
                None => Err(error.into()),
            },
        }
    }

    async fn current_signing_keys(&self, pending: &Pending<'_>) -> Result<Vec<PrivateKeyRecord>, RotationError> {
        let current = self.secrets.get(pending.secret_id, SecretStage::Current).await?;
        let current = current.ok_or(RotationError::UnknownVersion(
            "the secret has no current version: make one with `northstar init`",
        ))?;
        Ok(read_keys(&current.value)?)
    }

    async fn publish_signing_keys(
        &self,
        pending: &Pending<'_>,
        new: &SecretVersion,
        now: SystemTime,
    ) -> Result<(), RotationError> {
        // What is current is public, whatever happened to the registry.
        self.publish_current(pending, now).await?;
        let published = self.registry.public_keys().await?;
        for key in read_keys(&new.value)?.iter().filter(|key| !is_published(key, &published)) {
            if seconds(now) + PUBLIC_BEFORE > key.not_before {
                self.drop_pending(pending).await?;
                return Err(RotationError::TooLate);
            }
            self.registry.put_public_key(&PublishedKey { not_after: None, ..key.public_half()? }).await?;
        }
        Ok(())
    }

    /// Signs with every private key, and checks with what the world knows.
    async fn test_signing_keys(&self, new: &SecretVersion, now: SystemTime) -> Result<(), RotationError> {
        const ISSUER: &str = "https://rotation.invalid";
        let published = self.registry.public_keys().await?;
        let public_keys = published.iter().filter_map(|key| {
            let jwk = serde_json::from_str(&key.jwk).ok()?;
            Some((key.kid.clone(), PublicKey::from_jwk(&jwk).ok()?))
        });
        let verifier = Verifier::new(ISSUER, public_keys.collect());
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: "client:rotation".to_owned(),
            aud: ISSUER.to_owned(),
            client_id: "rotation".to_owned(),
            scope: String::new(),
            iat: seconds(now),
            exp: seconds(now) + 60,
            nbf: None,
            jti: "rotation".to_owned(),
            client_version: 0,
        };
        let keys = read_keys(&new.value)?;
        if !keys.iter().all(|key| is_published(key, &published)) {
            return Err(NOT_SET);
        }
        for key in keys {
            let token = SigningKey::from_pem(key.private_key.expose_secret())?.sign(&claims)?;
            let verified = verifier.verify(&token, ISSUER, now);
            let verified =
                verified.map_err(|why| RotationError::TestFailed(format!("signing key {}: {why}", key.kid)))?;
            if verified.kid != key.kid {
                return Err(RotationError::TestFailed(format!("signing key {} has another id", key.kid)));
            }
        }
        Ok(())
    }

    /// Brings the registry to where the new list is, now that it is the current one.
    pub(crate) async fn end_rotation_of_keys(
        &self,
        pending: &Pending<'_>,
        now: SystemTime,
    ) -> Result<(), RotationError> {
        self.publish_current(pending, now).await?;
        let current = self.current_signing_keys(pending).await?;
        // The key of a rotation that was given up: no list has it, and it has no end.
        let is_pending = pending.secret.version_at(SecretStage::Pending).is_some_and(|id| id != pending.version_id);
        let given_up = |key: &PublishedKey| key.not_after.is_none() && !is_pending;
        for key in self.registry.public_keys().await? {
            let is_listed = current.iter().any(|listed| listed.kid == key.kid);
            if !is_listed && (key.phase(seconds(now)) == KeyPhase::Retired || given_up(&key)) {
                self.registry.delete_public_key(&key.kid).await?;
            }
        }
        Ok(())
    }

    /// Publishes what is missing of the current list, and when its old keys stop to sign.
    async fn publish_current(&self, pending: &Pending<'_>, now: SystemTime) -> Result<(), RotationError> {
        let keys = self.current_signing_keys(pending).await?;
        for key in to_publish(&keys, &self.registry.public_keys().await?, seconds(now))? {
            self.registry.put_public_key(&key).await?;
        }
        Ok(())
    }
}

fn is_published(key: &PrivateKeyRecord, published: &[PublishedKey]) -> bool {
    published.iter().any(|published| published.kid == key.kid)
}
