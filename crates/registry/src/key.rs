//! Signing keys: the private halves in one secret, the public halves in the `config` table.
//!
//! Their phases follow from time. A new key is published before it signs; token signs with the newest valid one; a key
//! retires when no token that it signed can still be alive.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_of_a_key_follows_from_time() {
        let key = PublishedKey { kid: "k".into(), jwk: "{}".into(), not_before: 100, not_after: Some(200) };
        let phases = [99, 100, 200, 201, 200 + VERIFIES_AFTER, 201 + VERIFIES_AFTER].map(|now| key.phase(now));
        use KeyPhase::{Published, Retired, Retiring, Signing};
        assert_eq!(phases, [Published, Signing, Signing, Retiring, Retiring, Retired]);
    }
}
