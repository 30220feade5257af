//! Assertions for the JWT bearer grant (RFC 7523 §2.1): RS256, by the private key of the connection.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
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
}

/// Signs an assertion; `None` when `pem` is no RSA private key of at least 2048 bits, in PKCS#8 or PKCS#1 PEM.
pub fn sign(
    pem: &SecretString,
    client_id: &str,
    subject: &str,
    audience: &str,
    now: SystemTime,
) -> Option<SecretString> {
    let pair = key_pair(pem)?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = Claims { iss: client_id, sub: subject, aud: audience, exp: now + LIFETIME };
    let claims = serde_json::to_vec(&claims).ok()?;
    let message = format!("{}.{}", base64url(br#"{"alg":"RS256","typ":"JWT"}"#), base64url(&claims));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).ok()?;
    Some(format!("{message}.{}", base64url(&signature)).into())
}

fn key_pair(pem: &SecretString) -> Option<RsaKeyPair> {
    let pem = pem::parse(pem.expose_secret()).ok()?;
    let pair = match pem.tag() {
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8(pem.contents()),
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(pem.contents()),
        _ => return None,
    };
    pair.ok().filter(|pair| pair.public_modulus_len() >= 256)
}

fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use access_token::SigningKey;
    use aws_lc_rs::encoding::AsDer;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};

    #[test]
    fn an_assertion_is_what_rfc_7523_asks_for_from_either_kind_of_pem() {
        let pkcs8 = SigningKey::generate_pem().unwrap();
        let pair = key_pair(&pkcs8.clone().into()).unwrap();
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
        }
    }
}
