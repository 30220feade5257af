//! Verification of an access token, in a fixed order and with every rule stated (RFC 9068 §4, RFC 8725).
//!
//! A JWT library's defaults would accept a missing issuer, any `typ` and unknown `crit`, so the header and the claims are
//! read into strict structs here and compared one by one.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::{Claims, PublicKey};

/// Longest token that is looked at, in bytes.
const MAX_LENGTH: usize = 4096;
/// Clock difference that is tolerated between the functions.
const SKEW: Duration = Duration::from_secs(30);
/// Longest lifetime a token may claim.
const MAX_LIFETIME: u64 = 60 * 60;

/// Why a token is not accepted. The caller is told `invalid_token` in every case; the log may say more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a compact JWT with the header of an access token.
    #[error("not an access token")]
    Malformed,
    /// Signed by a key that is not known here; the keys may have to be read again.
    #[error("signed by an unknown key")]
    UnknownKey,
    /// The signature is not by that key.
    #[error("the signature does not match")]
    Signature,
    /// Claims missing or of the wrong type.
    #[error("claims missing or malformed")]
    Claims,
    /// From another issuer.
    #[error("issued by another server")]
    Issuer,
    /// For another server.
    #[error("issued for another server")]
    Audience,
    /// Expired.
    #[error("expired")]
    Expired,
    /// Issued in the future, or living longer than any token of ours.
    #[error("issued in the future, or living too long")]
    Lifetime,
}

// `deny_unknown_fields`: our own tokens carry exactly these, so `crit`, `jku`, `jwk`, `x5u`, `x5c`, `zip`, `enc` and
// `b64` are refused with anything else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// A token that passed every rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Its claims.
    pub claims: Claims,
    /// The key that signed it.
    pub kid: String,
}

/// Knows the issuer and its public keys.
pub struct Verifier {
    issuer: String,
    keys: HashMap<String, PublicKey>,
}

impl Verifier {
    /// A verifier for tokens of `issuer`, signed by one of `keys` (by key id).
    pub fn new(issuer: impl Into<String>, keys: HashMap<String, PublicKey>) -> Verifier {
        Verifier { issuer: issuer.into(), keys }
    }

    /// Whether a key of that id is known.
    pub fn knows(&self, kid: &str) -> bool {
        self.keys.contains_key(kid)
    }

    /// Verifies a token meant for `audience` at the time `now`.
    ///
    /// # Errors
    /// The first rule that is broken, in the order of [`Refusal`].
    pub fn verify(&self, unverified_jwt: &str, audience: &str, now: SystemTime) -> Result<Verified, Refusal> {
        let verified = self.authentic(unverified_jwt)?;
        check(&verified.claims, audience, now)?;
        Ok(verified)
    }

    /// Verifies a token meant for any audience at the time `now`: for the server that issued it.
    ///
    /// # Errors
    /// As [`Verifier::verify`], without [`Refusal::Audience`].
    pub fn verify_for_any_audience(&self, unverified_jwt: &str, now: SystemTime) -> Result<Verified, Refusal> {
        let verified = self.authentic(unverified_jwt)?;
        check_times(&verified.claims, now)?;
        Ok(verified)
    }

    /// The rules that do not depend on where and when.
    fn authentic(&self, unverified_jwt: &str) -> Result<Verified, Refusal> {
        if unverified_jwt.len() > MAX_LENGTH {
            return Err(Refusal::Malformed);
        }
        let mut parts = unverified_jwt.split('.');
        let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(Refusal::Malformed);
        };
        let header = parse_header(header).ok_or(Refusal::Malformed)?;
        let key = self.keys.get(&header.kid).ok_or(Refusal::UnknownKey)?;
        if header.alg != algorithm_name(key.algorithm) {
            return Err(Refusal::Malformed);
        }
        let claims = signed_claims(unverified_jwt, key)?;
        if claims.iss != self.issuer {
            return Err(Refusal::Issuer);
        }
        Ok(Verified { claims, kid: header.kid })
    }
}

/// The rules that depend on where and when a token is used; claims that were verified before are checked again by them.
///
/// # Errors
/// [`Refusal::Audience`], [`Refusal::Expired`] or [`Refusal::Lifetime`].
pub fn check(claims: &Claims, audience: &str, now: SystemTime) -> Result<(), Refusal> {
    if claims.aud != audience {
        return Err(Refusal::Audience);
    }
    check_times(claims, now)
}

fn check_times(claims: &Claims, now: SystemTime) -> Result<(), Refusal> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if claims.exp.saturating_add(SKEW.as_secs()) <= now {
        return Err(Refusal::Expired);
    }
    let lifetime = claims.exp.checked_sub(claims.iat).ok_or(Refusal::Lifetime)?;
    let starts = claims.nbf.unwrap_or_default().max(claims.iat);
    if lifetime > MAX_LIFETIME || starts > now.saturating_add(SKEW.as_secs()) {
        return Err(Refusal::Lifetime);
    }
    Ok(())
}

fn parse_header(part: &str) -> Option<Header> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).ok()?;
    let header: Header = serde_json::from_slice(&json).ok()?;
    let access_token = ["at+jwt", "application/at+jwt"].iter().any(|typ| header.typ.eq_ignore_ascii_case(typ));
    (access_token && header.kid.len() <= 64).then_some(header)
}

fn algorithm_name(algorithm: jsonwebtoken::Algorithm) -> &'static str {
    use jsonwebtoken::Algorithm::{ES256, EdDSA, RS256};
    match algorithm {
        RS256 => "RS256",
        ES256 => "ES256",
        EdDSA => "EdDSA",
        // `PublicKey` holds no other.
        _ => "",
    }
}

fn signed_claims(jwt: &str, key: &PublicKey) -> Result<Claims, Refusal> {
    let (message, signature) = jwt.rsplit_once('.').ok_or(Refusal::Malformed)?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refusal::Signature)?;
    if !key.has_signed(message.as_bytes(), &signature) {
        return Err(Refusal::Signature);
    }
    let (_, payload) = message.split_once('.').ok_or(Refusal::Malformed)?;
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).map_err(|_| Refusal::Claims)?;
    let claims: Claims = serde_json::from_slice(&payload).map_err(|_| Refusal::Claims)?;
    // serde passes over a member that we do not know, however deep it is; a tree has a limit.
    serde_json::from_slice::<serde_json::Value>(&payload).map_err(|_| Refusal::Claims)?;
    let named = [&claims.sub, &claims.client_id, &claims.jti].iter().all(|text| !text.is_empty());
    if named { Ok(claims) } else { Err(Refusal::Claims) }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    };

    use super::*;
    use crate::SigningKey;

    const NOW: u64 = 1_800_000_000;
    const ISSUER: &str = "https://mcp.example.com";
    const AUDIENCE: &str = "https://mcp.example.com/mcp";

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn claims() -> Claims {
        Claims {
            iss: ISSUER.into(),
            sub: "client:demo".into(),
            aud: AUDIENCE.into(),
            client_id: "demo".into(),
            scope: "mcp.read".into(),
            iat: NOW,
            exp: NOW + 900,
            nbf: None,
            jti: "j".into(),
            client_version: 1,
        }
    }

    fn pem(der: &[u8]) -> String {
        pem::encode(&pem::Pem::new("PRIVATE KEY", der))
    }

    fn keys() -> [SigningKey; 3] {
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let ed = Ed25519KeyPair::generate_pkcs8v1(&random).unwrap();
        [SigningKey::generate_pem().unwrap(), pem(ec.as_ref()), pem(ed.as_ref())]
            .map(|pem| SigningKey::from_pem(&pem).unwrap())
    }

    fn verifier(key: &SigningKey) -> Verifier {
        let public = PublicKey::from_jwk(&key.public_jwk()).unwrap();
        Verifier::new(ISSUER, HashMap::from([(key.kid().to_owned(), public)]))
    }

    #[test]
    fn keys_of_every_kind_sign_and_verify() {
        for (key, algorithm) in keys().iter().zip(["RS256", "ES256", "EdDSA"]) {
            let jwk = key.public_jwk();
            assert_eq!((jwk["alg"].as_str(), jwk["use"].as_str()), (Some(algorithm), Some("sig")));
            assert!(["d", "p", "q", "dp", "dq", "qi", "k"].iter().all(|private| jwk.get(private).is_none()));
            let token = key.sign(&claims()).unwrap();
            assert_eq!(verifier(key).verify(&token, AUDIENCE, at(NOW)).unwrap().claims, claims(), "{algorithm}");
        }
    }

    #[test]
    fn no_other_key_is_a_signing_key() {
        let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        for text in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &pem(p384.as_ref())] {
            assert!(SigningKey::from_pem(text).is_err(), "{text:.40}");
        }
    }

    /// The rules that depend on time and place, each broken by one change.
    #[test]
    fn every_rule_about_claims_is_enforced() {
        let [key, ..] = keys();
        let verifier = verifier(&key);
        let outcome = |change: &dyn Fn(&mut Claims), now: u64| {
            let mut changed = claims();
            change(&mut changed);
            verifier.verify(&key.sign(&changed).unwrap(), AUDIENCE, at(now)).map(|_| ())
        };
        assert_eq!(outcome(&|_| {}, NOW - 30), Ok(()), "a clock 30 s behind");
        assert_eq!(outcome(&|_| {}, NOW + 929), Ok(()), "a clock 29 s ahead of expiry");
        assert_eq!(outcome(&|_| {}, NOW + 930), Err(Refusal::Expired));
        assert_eq!(outcome(&|_| {}, NOW - 31), Err(Refusal::Lifetime), "issued in the future");
        assert_eq!(outcome(&|claims| claims.nbf = Some(NOW + 31), NOW), Err(Refusal::Lifetime));
        assert_eq!(outcome(&|claims| claims.exp = NOW + 3_601, NOW), Err(Refusal::Lifetime));
        assert_eq!(outcome(&|claims| claims.exp = u64::MAX, NOW), Err(Refusal::Lifetime));
        assert_eq!(outcome(&|claims| claims.exp = NOW - 1, NOW), Err(Refusal::Lifetime), "expires before its issue");
        assert_eq!(outcome(&|claims| claims.exp = 0, NOW), Err(Refusal::Expired));
        assert_eq!(outcome(&|claims| claims.iss.push('/'), NOW), Err(Refusal::Issuer));
        assert_eq!(outcome(&|claims| claims.aud.push('2'), NOW), Err(Refusal::Audience));
        assert_eq!(outcome(&|claims| claims.aud.truncate(5), NOW), Err(Refusal::Audience));
        assert_eq!(outcome(&|claims| claims.sub.clear(), NOW), Err(Refusal::Claims));
        assert_eq!(outcome(&|claims| claims.client_id.clear(), NOW), Err(Refusal::Claims));
        assert_eq!(outcome(&|claims| claims.jti.clear(), NOW), Err(Refusal::Claims));
    }

    #[test]
    fn the_issuer_verifies_its_tokens_for_any_audience_by_all_other_rules() {
        let [key, other, _] = keys();
        let verifier = verifier(&key);
        let outcome = |key: &SigningKey, change: &dyn Fn(&mut Claims), now: u64| {
            let mut changed = claims();
            change(&mut changed);
            verifier.verify_for_any_audience(&key.sign(&changed).unwrap(), at(now)).map(|verified| verified.claims.aud)
        };
        assert_eq!(outcome(&key, &|claims| claims.aud.push('2'), NOW), Ok(format!("{AUDIENCE}2")));
        assert_eq!(outcome(&other, &|_| {}, NOW), Err(Refusal::UnknownKey));
        assert_eq!(outcome(&key, &|claims| claims.iss.push('/'), NOW), Err(Refusal::Issuer));
        assert_eq!(outcome(&key, &|claims| claims.jti.clear(), NOW), Err(Refusal::Claims));
        assert_eq!(outcome(&key, &|claims| claims.exp = NOW + 3_601, NOW), Err(Refusal::Lifetime));
        assert_eq!(outcome(&key, &|_| {}, NOW + 930), Err(Refusal::Expired));
    }

    #[test]
    fn a_token_is_refused_whichever_character_changes() {
        let [key, ..] = keys();
        let (verifier, token) = (verifier(&key), key.sign(&claims()).unwrap());
        for index in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(verifier.verify(&changed, AUDIENCE, at(NOW)).is_err(), "character {index}");
        }
    }
}
