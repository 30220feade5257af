//! Verification of an access token, in a fixed order and with every rule stated (RFC 9068 §4, RFC 8725).
//!
//! `jsonwebtoken` checks the signature; its defaults would accept a missing issuer, any `typ` and unknown `crit`, so
//! the header and the claims are read into strict structs here and compared one by one.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Validation;
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
        check(&claims, audience, now)?;
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
    // Only the signature is left to the library: it reads the system clock itself, and its claim checks pass what is
    // missing or of another type.
    let mut validation = Validation::new(key.algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    let claims = jsonwebtoken::decode::<Claims>(jwt, &key.key, &validation).map_err(|error| match error.kind() {
        jsonwebtoken::errors::ErrorKind::Json(_) | jsonwebtoken::errors::ErrorKind::Utf8(_) => Refusal::Claims,
        _ => Refusal::Signature,
    })?;
    let named = [&claims.claims.sub, &claims.claims.client_id, &claims.claims.jti].iter().all(|text| !text.is_empty());
    if named { Ok(claims.claims) } else { Err(Refusal::Claims) }
}
