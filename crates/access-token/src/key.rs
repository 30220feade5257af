//! Keys: a private one signs, its public half verifies and is published (RFC 7517).
//!
//! The key decides the algorithm, never the token: RSA signs RS256, P-256 ES256, Ed25519 EdDSA. A key is parsed and
//! checked once, when it is read: jsonwebtoken would do it for every token (ARCHITECTURE.md, decisions).

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters, EllipticCurveKeyType, Jwk,
    KeyAlgorithm, OctetKeyPairParameters, OctetKeyPairType, PublicKeyUse, RSAKeyParameters, RSAKeyType, ThumbprintHash,
};
use jsonwebtoken::{Algorithm, Header};

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
    pair: Pair,
    public: Jwk,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Reads a PKCS#8 PEM.
    ///
    /// # Errors
    /// [`KeyError::Private`] for any other key.
    pub fn from_pem(pem: &str) -> Result<SigningKey, KeyError> {
        let pem = pem::parse(pem).map_err(|_| KeyError::Private)?;
        if pem.tag() != "PRIVATE KEY" {
            return Err(KeyError::Private);
        }
        let pair = Pair::from_pkcs8(pem.contents()).ok_or(KeyError::Private)?;
        let common = CommonParameters {
            key_algorithm: Some(pair.algorithm().into()),
            public_key_use: Some(PublicKeyUse::Signature),
            ..CommonParameters::default()
        };
        let mut public = Jwk { common, algorithm: pair.public() };
        let kid = public.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyError::Private)?;
        public.common.key_id = Some(kid.clone());
        Ok(SigningKey { kid, pair, public })
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
        let mut header = Header::new(self.pair.algorithm());
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(self.kid.clone());
        let header = serde_json::to_vec(&header).map_err(|_| KeyError::Crypto)?;
        let claims = serde_json::to_vec(claims).map_err(|_| KeyError::Crypto)?;
        let message = format!("{}.{}", base64url(&header), base64url(&claims));
        let signature = self.pair.sign(message.as_bytes()).map_err(|_| KeyError::Crypto)?;
        Ok(format!("{message}.{}", base64url(&signature)))
    }
}

impl Pair {
    fn from_pkcs8(der: &[u8]) -> Option<Pair> {
        RsaKeyPair::from_pkcs8(der)
            .map(Pair::Rsa)
            .or_else(|_| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Pair::P256))
            .or_else(|_| Ed25519KeyPair::from_pkcs8(der).map(Pair::Ed25519))
            .ok()
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Pair::Rsa(_) => Algorithm::RS256,
            Pair::P256(_) => Algorithm::ES256,
            Pair::Ed25519(_) => Algorithm::EdDSA,
        }
    }

    /// RFC 7518 §6, RFC 8037 §2
    fn public(&self) -> AlgorithmParameters {
        match self {
            Pair::Rsa(pair) => {
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = pair.public_key().into();
                let key_type = RSAKeyType::RSA;
                AlgorithmParameters::RSA(RSAKeyParameters { key_type, n: base64url(&n), e: base64url(&e) })
            }
            Pair::P256(pair) => {
                // SEC 1 §2.3.3: 4, then both coordinates in 32 bytes each.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                AlgorithmParameters::EllipticCurve(EllipticCurveKeyParameters {
                    key_type: EllipticCurveKeyType::EC,
                    curve: EllipticCurve::P256,
                    x: base64url(x),
                    y: base64url(y),
                })
            }
            Pair::Ed25519(pair) => AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
                key_type: OctetKeyPairType::OctetKeyPair,
                curve: EllipticCurve::Ed25519,
                x: base64url(pair.public_key().as_ref()),
            }),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match self {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
                Ok(signature)
            }
            Pair::P256(pair) => Ok(pair.sign(&SystemRandom::new(), message)?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

/// A public key that verifies access tokens.
pub struct PublicKey {
    pub(crate) algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl PublicKey {
    /// Reads a public JWK as [`SigningKey::public_jwk`] makes it.
    ///
    /// # Errors
    /// [`KeyError::Public`] for any other key.
    pub fn from_jwk(jwk: &serde_json::Value) -> Result<PublicKey, KeyError> {
        let jwk: Jwk = serde_json::from_value(jwk.clone()).map_err(|_| KeyError::Public)?;
        let algorithm = algorithm_of(&jwk).ok_or(KeyError::Public)?;
        let key = parse_public(&jwk.algorithm).ok_or(KeyError::Public)?;
        Ok(PublicKey { algorithm, key })
    }

    /// Whether `signature` is this key's, of `message`.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

fn parse_public(parameters: &AlgorithmParameters) -> Option<ParsedPublicKey> {
    let bytes = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    // Coordinates and Ed25519 keys have 32 bytes.
    let bytes_32 = |text: &str| bytes(text).filter(|bytes| bytes.len() == 32);
    match parameters {
        AlgorithmParameters::RSA(rsa) => {
            let components = RsaPublicKeyComponents { n: bytes(&rsa.n)?, e: bytes(&rsa.e)? };
            components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()
        }
        AlgorithmParameters::EllipticCurve(ec) => {
            let point = [vec![4], bytes_32(&ec.x)?, bytes_32(&ec.y)?].concat();
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()
        }
        AlgorithmParameters::OctetKeyPair(okp) => ParsedPublicKey::new(&ED25519, bytes_32(&okp.x)?).ok(),
        _ => None,
    }
}

fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
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
