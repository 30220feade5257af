//! Keys: a private one signs, its public half verifies and is published (RFC 7517).
//!
//! The key decides the algorithm, never the token: RSA signs RS256, P-256 ES256, Ed25519 EdDSA.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RsaKeyPair};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};

use crate::Claims;

/// Why a key cannot be used, or a token not be signed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a PKCS#8 PEM of an RSA (2048 bits or more), P-256 or Ed25519 key.
    #[error("not a private key in PKCS#8 PEM: RSA of at least 2048 bits, P-256 or Ed25519")]
    Private,
    /// Not a public JWK of one of these kinds.
    #[error("not a public JWK: RSA of at least 2048 bits, P-256 or Ed25519")]
    Public,
    /// The crypto library failed.
    #[error("the key could not be made or used")]
    Crypto,
}

/// A private key that signs access tokens.
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    key: EncodingKey,
    public: Jwk,
}

impl SigningKey {
    /// Reads a PKCS#8 PEM.
    ///
    /// # Errors
    /// [`KeyError::Private`] for any other key.
    pub fn from_pem(pem: &str) -> Result<SigningKey, KeyError> {
        let pem = pem.as_bytes();
        let (algorithm, key) = EncodingKey::from_rsa_pem(pem)
            .map(|key| (Algorithm::RS256, key))
            .or_else(|_| EncodingKey::from_ec_pem(pem).map(|key| (Algorithm::ES256, key)))
            .or_else(|_| EncodingKey::from_ed_pem(pem).map(|key| (Algorithm::EdDSA, key)))
            .map_err(|_| KeyError::Private)?;
        let mut public = Jwk::from_encoding_key(&key, algorithm).map_err(|_| KeyError::Private)?;
        let kid = public.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyError::Private)?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        algorithm_of(&public).ok_or(KeyError::Private)?;
        Ok(SigningKey { kid, algorithm, key, public })
    }

    /// Makes a new RSA key of 2048 bits; returns its PKCS#8 PEM.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] if the library fails.
    pub fn generate_pem() -> Result<String, KeyError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Crypto)?;
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der>::as_der(&pair).map_err(|_| KeyError::Crypto)?;
        debug_assert!(pair.public_key().modulus_len() >= 256);
        Ok(pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref())))
    }

    /// Key id: the RFC 7638 thumbprint of the public half.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half as a JWK with `kty`, `use`, `alg`, `kid`.
    pub fn public_jwk(&self) -> serde_json::Value {
        serde_json::to_value(&self.public).unwrap_or_default()
    }

    /// Signs an access token: `typ` is `at+jwt` (RFC 9068 §2.1).
    ///
    /// # Errors
    /// [`KeyError::Crypto`] if the library fails.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let mut header = Header::new(self.algorithm);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|_| KeyError::Crypto)
    }
}

/// A public key that verifies access tokens.
pub struct PublicKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

impl PublicKey {
    /// Reads a public JWK as [`SigningKey::public_jwk`] makes it.
    ///
    /// # Errors
    /// [`KeyError::Public`] for any other key.
    pub fn from_jwk(jwk: &serde_json::Value) -> Result<PublicKey, KeyError> {
        let jwk: Jwk = serde_json::from_value(jwk.clone()).map_err(|_| KeyError::Public)?;
        let algorithm = algorithm_of(&jwk).ok_or(KeyError::Public)?;
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| KeyError::Public)?;
        Ok(PublicKey { algorithm, key })
    }
}

fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    match (&jwk.algorithm, jwk.common.key_algorithm) {
        // A 2048-bit modulus is 342 base64url characters.
        (AlgorithmParameters::RSA(rsa), Some(KeyAlgorithm::RS256)) if rsa.n.len() >= 342 => Some(Algorithm::RS256),
        (AlgorithmParameters::EllipticCurve(ec), Some(KeyAlgorithm::ES256)) if ec.curve == EllipticCurve::P256 => {
            Some(Algorithm::ES256)
        }
        (AlgorithmParameters::OctetKeyPair(okp), Some(KeyAlgorithm::EdDSA)) if okp.curve == EllipticCurve::Ed25519 => {
            Some(Algorithm::EdDSA)
        }
        _ => None,
    }
}
