//! Signing keys: the private halves in one secret, the public halves in the `config` table.
//!
//! Their phases follow from time. A new key is published before it signs; token signs with the newest valid one; a key
//! retires when no token that it signed can still be alive.

use access_token::{KeyError, SigningKey};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A private key, as the secret `signing-keys` holds a list of them.
#[derive(Clone, Deserialize)]
pub struct PrivateKeyRecord {
    /// Key id.
    pub kid: String,
    /// PKCS#8 PEM.
    pub private_key: SecretString,
    /// First second it may sign in, since 1970.
    pub not_before: u64,
    /// Last second it may sign in, since 1970; none while it has no successor.
    #[serde(default)]
    pub not_after: Option<u64>,
}

/// A public key, as verifiers and the JWKS see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishedKey {
    /// Key id.
    pub kid: String,
    /// The JWK, as JSON text.
    pub jwk: String,
    /// First second it may sign in, since 1970.
    pub not_before: u64,
    /// Last second it may sign in, since 1970; none while it has no successor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<u64>,
}

/// Longest token lifetime plus clock difference: how long a key verifies after it has stopped signing, in seconds.
pub const VERIFIES_AFTER: u64 = 60 * 60 + 30;

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyPhase {
    /// Published, does not sign yet.
    Published,
    /// May sign.
    Signing,
    /// Signs no more, its last tokens still verify.
    Retiring,
    /// Verifies nothing.
    Retired,
}

impl PublishedKey {
    /// The phase at the time `now`, seconds since 1970.
    pub fn phase(&self, now: u64) -> KeyPhase {
        match self.not_after {
            _ if now < self.not_before => KeyPhase::Published,
            Some(end) if now > end.saturating_add(VERIFIES_AFTER) => KeyPhase::Retired,
            Some(end) if now > end => KeyPhase::Retiring,
            _ => KeyPhase::Signing,
        }
    }
}

/// How old the signing keys may be that token remembers, in seconds: so long may a key sign on after its successor has
/// taken its place in the secret.
pub const SIGNING_KEYS_MAX_AGE: u64 = 5 * 60;

/// Why a secret holds no signing keys.
#[derive(Debug, thiserror::Error)]
#[error("the secret is not a list of signing keys")]
pub struct NotSigningKeys;

impl PrivateKeyRecord {
    /// A new key that may sign from `not_before` on, seconds since 1970.
    ///
    /// # Errors
    /// [`KeyError`] when the crypto library fails.
    pub fn generate(not_before: u64) -> Result<PrivateKeyRecord, KeyError> {
        let private_key = SecretString::from(SigningKey::generate_pem()?);
        let kid = SigningKey::from_pem(private_key.expose_secret())?.kid().to_owned();
        Ok(PrivateKeyRecord { kid, private_key, not_before, not_after: None })
    }

    /// What the world may know of it.
    ///
    /// # Errors
    /// [`KeyError`] when the private key cannot be read.
    pub fn public_half(&self) -> Result<PublishedKey, KeyError> {
        Ok(PublishedKey {
            kid: self.kid.clone(),
            jwk: SigningKey::from_pem(self.private_key.expose_secret())?.public_jwk().to_string(),
            not_before: self.not_before,
            not_after: self.not_after,
        })
    }
}

/// Reads the secret `signing-keys`.
///
/// # Errors
/// [`NotSigningKeys`] when it is not what [`write_keys`] made, or an empty list.
pub fn read_keys(secret: &SecretString) -> Result<Vec<PrivateKeyRecord>, NotSigningKeys> {
    let keys: Vec<PrivateKeyRecord> = serde_json::from_str(secret.expose_secret()).map_err(|_| NotSigningKeys)?;
    if keys.is_empty() { Err(NotSigningKeys) } else { Ok(keys) }
}

/// The text of the secret `signing-keys`.
pub fn write_keys(keys: &[PrivateKeyRecord]) -> SecretString {
    let record = |key: &PrivateKeyRecord| {
        let mut record = json!({
            "kid": key.kid,
            "private_key": key.private_key.expose_secret(),
            "not_before": key.not_before,
        });
        if let Some(not_after) = key.not_after {
            record["not_after"] = json!(not_after);
        }
        record
    };
    SecretString::from(Value::Array(keys.iter().map(record).collect()).to_string())
}

/// The keys with a new one: its predecessor signs until the new one does, and retired ones are left out.
pub fn succeeded_by(keys: Vec<PrivateKeyRecord>, new: PrivateKeyRecord, now: u64) -> Vec<PrivateKeyRecord> {
    let retired = |key: &PrivateKeyRecord| key.not_after.is_some_and(|end| end.saturating_add(VERIFIES_AFTER) < now);
    let mut keys: Vec<PrivateKeyRecord> = keys.into_iter().filter(|key| !retired(key)).collect();
    for key in &mut keys {
        key.not_after = Some(key.not_after.map_or(new.not_before, |end| end.min(new.not_before)));
    }
    keys.push(new);
    keys
}

/// What has to be published for the keys of the secret: those that are missing, and the ends of those that have got a
/// successor.
///
/// An end is published once, when the successor has its place in the secret: a rotation that is given up leaves the old
/// key as it was. It is never earlier than the last moment in which token may still sign with the key that it remembers.
///
/// # Errors
/// [`KeyError`] when a private key cannot be read.
pub fn to_publish(
    keys: &[PrivateKeyRecord],
    published: &[PublishedKey],
    now: u64,
) -> Result<Vec<PublishedKey>, KeyError> {
    let mut changes = Vec::new();
    for key in keys {
        let known = published.iter().find(|published| published.kid == key.kid);
        let not_after = key.not_after.map(|end| end.max(now + SIGNING_KEYS_MAX_AGE));
        match known {
            None => changes.push(PublishedKey { not_after, ..key.public_half()? }),
            Some(known) if known.not_after.is_none() && not_after.is_some() => {
                changes.push(PublishedKey { not_after, ..known.clone() });
            }
            Some(_) => {}
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kid: &str, not_before: u64, not_after: Option<u64>) -> PrivateKeyRecord {
        PrivateKeyRecord { kid: kid.to_owned(), private_key: SecretString::from("PEM"), not_before, not_after }
    }

    fn published(kid: &str, not_before: u64, not_after: Option<u64>) -> PublishedKey {
        PublishedKey { kid: kid.to_owned(), jwk: "{}".to_owned(), not_before, not_after }
    }

    #[test]
    fn a_list_of_keys_is_read_as_it_was_written() {
        let keys = [record("a", 1, Some(2)), record("b", 2, None)];
        let read = read_keys(&write_keys(&keys)).unwrap();
        let facts = |keys: &[PrivateKeyRecord]| -> Vec<_> {
            let fact = |key: &PrivateKeyRecord| {
                (key.kid.clone(), key.private_key.expose_secret().to_owned(), key.not_before, key.not_after)
            };
            keys.iter().map(fact).collect()
        };
        assert_eq!(facts(&read), facts(&keys));
        for text in ["", "[]", "{}", "null", "[{}]", "[{\"kid\":\"a\"}]", "[1]", "secret"] {
            assert!(read_keys(&SecretString::from(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_new_key_ends_its_predecessor_and_drops_what_is_retired() {
        let now = 10_000;
        let keys = vec![
            record("a", 0, Some(now - VERIFIES_AFTER - 1)),
            record("b", 1, Some(now - VERIFIES_AFTER)),
            record("c", 2, None),
        ];
        let keys = succeeded_by(keys, record("d", now + 900, None), now);
        let ends: Vec<_> = keys.iter().map(|key| (key.kid.as_str(), key.not_after)).collect();
        assert_eq!(ends, [("b", Some(now - VERIFIES_AFTER)), ("c", Some(now + 900)), ("d", None)]);
    }

    #[test]
    fn an_end_is_published_once_and_never_before_token_has_read_the_successor() {
        let keys = [record("a", 0, Some(1_000)), record("b", 1_000, None)];
        let before = [published("a", 0, None), published("b", 1_000, None)];
        let end_at = |now| to_publish(&keys, &before, now).unwrap()[0].not_after;
        assert_eq!((end_at(100), end_at(900)), (Some(1_000), Some(1_200)));
        let after = [published("a", 0, Some(1_000)), published("b", 1_000, None)];
        assert_eq!(to_publish(&keys, &after, 5_000).unwrap(), []);
    }

    #[test]
    fn the_phase_of_a_key_follows_from_time() {
        let key = PublishedKey { kid: "k".into(), jwk: "{}".into(), not_before: 100, not_after: Some(200) };
        let phases = [99, 100, 200, 201, 200 + VERIFIES_AFTER, 201 + VERIFIES_AFTER].map(|now| key.phase(now));
        use KeyPhase::{Published, Retired, Retiring, Signing};
        assert_eq!(phases, [Published, Signing, Signing, Retiring, Retiring, Retired]);
    }
}
