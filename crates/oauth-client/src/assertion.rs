//! Assertions that a private key signs: for the JWT bearer grant (RFC 7523 §2.1) and for the authentication of the client
//! (RFC 7523 §2.2).

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

/// How long an assertion may be used, in seconds; Salesforce takes up to 3 minutes.
const LIFETIME: u64 = 180;

/// The claims of an assertion (RFC 7523 §3).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
}

/// Signs an assertion for the JWT bearer grant, RS256; `None` when `pem` is no RSA private key of at least 2048 bits, in
/// PKCS#8 or PKCS#1 PEM.
pub fn sign(
    pem: &SecretString,
    client_id: &str,
    subject: &str,
    audience: &str,
    now: SystemTime,
) -> Option<SecretString> {
    let key = PrivateKey::Rsa(rsa_key(pem)?);
    key.sign(&Claims {
        iss: client_id,
        sub: subject,
        aud: audience,
        exp: seconds(now) + LIFETIME,
        iat: None,
        jti: None,
    })
}

/// Signs an assertion that authenticates the client, `private_key_jwt`: RS256 or ES256, by the kind of the key. `None` when
/// `pem` is neither an RSA private key of at least 2048 bits nor one of P-256, in PKCS#8, PKCS#1 or SEC 1 PEM.
pub fn authenticate(pem: &SecretString, client_id: &str, audience: &str, now: SystemTime) -> Option<SecretString> {
    let key = rsa_key(pem).map(PrivateKey::Rsa).or_else(|| p256_key(pem).map(PrivateKey::P256))?;
    let mut id = [0; 16];
    rand::fill(&mut id).ok()?;
    let now = seconds(now);
    key.sign(&Claims {
        iss: client_id,
        sub: client_id,
        aud: audience,
        exp: now + LIFETIME,
        iat: Some(now),
        jti: Some(base64url(&id)),
    })
}

enum PrivateKey {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

impl PrivateKey {
    fn sign(&self, claims: &Claims<'_>) -> Option<SecretString> {
        let header = match self {
            PrivateKey::Rsa(_) => r#"{"alg":"RS256","typ":"JWT"}"#,
            PrivateKey::P256(_) => r#"{"alg":"ES256","typ":"JWT"}"#,
        };
        let claims = serde_json::to_vec(claims).ok()?;
        let message = format!("{}.{}", base64url(header.as_bytes()), base64url(&claims));
        let signature = match self {
            PrivateKey::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).ok()?;
                signature
            }
            PrivateKey::P256(pair) => pair.sign(&SystemRandom::new(), message.as_bytes()).ok()?.as_ref().to_vec(),
        };
        Some(format!("{message}.{}", base64url(&signature)).into())
    }
}

fn rsa_key(pem: &SecretString) -> Option<RsaKeyPair> {
    let pem = pem::parse(pem.expose_secret()).ok()?;
    let pair = match pem.tag() {
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8(pem.contents()),
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(pem.contents()),
        _ => return None,
    };
    pair.ok().filter(|pair| pair.public_modulus_len() >= 256)
}

fn p256_key(pem: &SecretString) -> Option<EcdsaKeyPair> {
    let pem = pem::parse(pem.expose_secret()).ok()?;
    let pair = match pem.tag() {
        "PRIVATE KEY" => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pem.contents()),
        "EC PRIVATE KEY" => EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, pem.contents()),
        _ => return None,
    };
    pair.ok()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use access_token::SigningKey;
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::signature::KeyPair;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};

    #[test]
    fn an_assertion_is_what_rfc_7523_asks_for_from_either_kind_of_pem() {
        let pkcs8 = SigningKey::generate_pem().unwrap();
        let pair = rsa_key(&pkcs8.clone().into()).unwrap();
        let public = jsonwebtoken::jwk::Jwk::clone(
            &serde_json::from_value(SigningKey::from_pem(&pkcs8).unwrap().public_jwk()).unwrap(),
        );
        let now = SystemTime::now();
        let signed = sign(&pkcs8.into(), "client", "user@example.com", "https://login.salesforce.com", now).unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&["https://login.salesforce.com"]);
        validation.set_issuer(&["client"]);
        let key = DecodingKey::from_jwk(&public).unwrap();
        let token = jsonwebtoken::decode::<serde_json::Value>(signed.expose_secret(), &key, &validation).unwrap();
        assert_eq!(token.claims["sub"], "user@example.com");
        let exp = token.claims["exp"].as_u64().unwrap();
        assert_eq!(exp, now.duration_since(UNIX_EPOCH).unwrap().as_secs() + 180);

        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        // PKCS#8 of an RSA key ends with its PKCS#1 form (RFC 5208 §5): 26 bytes are before it.
        let pkcs1 = pem::encode(&pem::Pem::new("RSA PRIVATE KEY", &der.as_ref()[26..]));
        assert!(sign(&pkcs1.into(), "client", "user", "aud", now).is_some());
    }

    #[test]
    fn what_is_no_rsa_key_signs_nothing() {
        for text in ["", "text", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(sign(&text.to_owned().into(), "client", "user", "aud", SystemTime::now()).is_none(), "{text}");
            assert!(authenticate(&text.to_owned().into(), "client", "aud", SystemTime::now()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_client_authenticates_by_rs256_or_es256_as_its_key_is() {
        let rsa = SigningKey::generate_pem().unwrap();
        let rsa_public = serde_json::from_value(SigningKey::from_pem(&rsa).unwrap().public_jwk()).unwrap();
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref().to_vec();
        let p256_public: jsonwebtoken::jwk::Jwk = serde_json::from_value(serde_json::json!({
            "kty": "EC", "crv": "P-256", "x": base64url(&point[1..33]), "y": base64url(&point[33..65]),
        }))
        .unwrap();
        let pkcs8 = pem::encode(&pem::Pem::new("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref()));
        let private = AsDer::<aws_lc_rs::encoding::EcPrivateKeyRfc5915Der<'_>>::as_der(&pair.private_key()).unwrap();
        let sec1 = pem::encode(&pem::Pem::new("EC PRIVATE KEY", private.as_ref()));
        for (pem, public, algorithm) in [
            (rsa, &rsa_public, Algorithm::RS256),
            (pkcs8.clone(), &p256_public, Algorithm::ES256),
            (sec1, &p256_public, Algorithm::ES256),
        ] {
            let now = SystemTime::now();
            let signed = || authenticate(&pem.clone().into(), "client", "https://issuer.example", now).unwrap();
            let mut validation = Validation::new(algorithm);
            validation.set_audience(&["https://issuer.example"]);
            validation.set_issuer(&["client"]);
            let key = DecodingKey::from_jwk(public).unwrap();
            let decode = |signed: SecretString| {
                jsonwebtoken::decode::<serde_json::Value>(signed.expose_secret(), &key, &validation).unwrap().claims
            };
            let (first, second) = (decode(signed()), decode(signed()));
            assert_eq!(first["sub"], "client");
            assert_eq!(first["exp"].as_u64().unwrap() - first["iat"].as_u64().unwrap(), 180);
            assert_ne!(first["jti"], second["jti"]);
        }
        assert!(sign(&pkcs8.into(), "client", "user", "aud", SystemTime::now()).is_none(), "the grant is RS256 alone");
    }
}
