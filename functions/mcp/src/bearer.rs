//! The bearer check (RFC 6750, RFC 9068 §4): who calls, with which scopes, and what a caller without a token is told.
//!
//! A verified token is remembered by its hash, so that its signature is checked once an instance; expiry, audience, key
//! and revocation are checked on every use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use access_token::verify::check;
use access_token::{PublicKey, Scope, Scopes, Verified, Verifier};
use aws_lc_rs::digest;
use http::header::AUTHORIZATION;
use http_api::ApiRequest;
use registry::client::seconds;
use registry::key::KeyPhase;
use registry::{Kept, PublicUrl, Registry, RegistryError, RevocationList, Revocations, ServerName, revocation};
use request_log::Timings;

use crate::refusal::Refusal;
use crate::resource_metadata;

const KEYS_MAX_AGE: Duration = Duration::from_secs(300);
/// An unknown key id may cost one read of the keys in this time.
const KEYS_MIN_AGE: Duration = Duration::from_secs(30);
/// Longest credentials that are looked at, in bytes.
const MAX_CREDENTIALS: usize = 4096;
/// Tokens remembered at once, about 700 bytes each; past it all are forgotten. As many as a map of 512 places takes.
const MAX_REMEMBERED: usize = 448;

/// The caller, proven.
#[derive(Debug)]
pub struct Principal {
    /// Its client id.
    pub client_id: String,
    /// Its scopes.
    pub scopes: Scopes,
    /// Whether its token's signature had been checked before.
    pub remembered: bool,
}

/// Checks bearer tokens.
pub struct Bearer {
    registry: Registry,
    revocations: Revocations,
    public_url: PublicUrl,
    verifier: Kept<Verifier>,
    remembered: Mutex<HashMap<[u8; 32], Arc<Verified>>>,
}

impl Bearer {
    /// Checks tokens of `public_url`, signed by keys of the registry.
    pub fn new(registry: Registry, revocations: Revocations, public_url: PublicUrl) -> Bearer {
        Bearer { registry, revocations, public_url, verifier: Kept::default(), remembered: Mutex::default() }
    }

    /// Reads the keys, so that the first request need not.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] when the registry cannot be read.
    pub async fn warm_up(&self, now: SystemTime) -> Result<(), Refusal> {
        self.verifier(KEYS_MAX_AGE, now).await.map(|_| ())
    }

    /// The tokens that are refused although they have not expired, as of 10 s ago at most; of 60 s while the table does not
    /// answer.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] when the table does not answer and there is no such list.
    pub async fn revocations(&self, now: SystemTime) -> Result<Arc<RevocationList>, Refusal> {
        self.revocations.list(revocation::MAX_AGE, now).await.map_err(|_| Refusal::Unavailable)
    }

    /// The caller of a request to `server`.
    ///
    /// # Errors
    /// [`Refusal::NoToken`] when the request carries no bearer token, [`Refusal::InvalidToken`] when it is not
    /// accepted, whatever the reason, [`Refusal::Unavailable`] when the keys or the revocations cannot be read.
    pub async fn authenticate(
        &self,
        request: &ApiRequest,
        server: &ServerName,
        timings: &Timings,
        now: SystemTime,
    ) -> Result<Principal, Refusal> {
        let invalid = || Refusal::InvalidToken {
            challenge: format!(
                "Bearer error=\"invalid_token\", error_description=\"the access token is invalid or expired\", {}",
                self.challenge_parameters(server, Scope::Read)
            ),
        };
        let token = match credentials(request) {
            Presented::Token(token) => token,
            Presented::Broken => return Err(invalid()),
            Presented::Nothing => {
                let challenge = format!("Bearer {}", self.challenge_parameters(server, Scope::Read));
                return Err(Refusal::NoToken { challenge });
            }
        };
        let audience = server.url(self.public_url.as_str());
        let mut verifier = timings.table(self.verifier(KEYS_MAX_AGE, now)).await?;
        let mut verified = timings.verify(|| self.verify(&verifier, token, &audience, now));
        if let Err(access_token::Refusal::UnknownKey) = verified {
            verifier = timings.table(self.verifier(KEYS_MIN_AGE, now)).await?;
            verified = timings.verify(|| self.verify(&verifier, token, &audience, now));
        }
        let (verified, remembered) = verified.map_err(|_| invalid())?;
        if timings.table(self.revocations(now)).await?.refuses(&verified.claims) {
            return Err(invalid());
        }
        Ok(Principal {
            client_id: verified.claims.client_id.clone(),
            scopes: token_scopes(&verified.claims.scope).ok_or_else(invalid)?,
            remembered,
        })
    }

    /// The refusal of a caller whose token lacks `needed` (RFC 6750 §3.1).
    pub fn insufficient_scope(&self, server: &ServerName, needed: Scope) -> Refusal {
        let parameters = self.challenge_parameters(server, needed);
        Refusal::InsufficientScope {
            challenge: format!(
                "Bearer error=\"insufficient_scope\", error_description=\"this tool needs another scope\", {parameters}"
            ),
        }
    }

    // RFC 9728 §5.1, RFC 6750 §3: our own texts, so no character needs escaping.
    fn challenge_parameters(&self, server: &ServerName, scope: Scope) -> String {
        let metadata = resource_metadata::url(&self.public_url, server);
        format!("scope=\"{}\", resource_metadata=\"{metadata}\"", scope.as_str())
    }

    async fn verifier(&self, max_age: Duration, now: SystemTime) -> Result<Arc<Verifier>, Refusal> {
        let fetch = async || {
            let published = self.registry.public_keys().await?;
            let usable = published.into_iter().filter(|key| key.phase(seconds(now)) != KeyPhase::Retired);
            let keys = usable.filter_map(|key| {
                let jwk = serde_json::from_str(&key.jwk).ok()?;
                Some((key.kid, PublicKey::from_jwk(&jwk).ok()?))
            });
            Ok::<_, RegistryError>(Verifier::new(self.public_url.as_str(), keys.collect()))
        };
        self.verifier.get(now, max_age, fetch).await.map_err(|_| Refusal::Unavailable)
    }

    /// The claims of a token, and whether its signature had been checked before.
    fn verify(
        &self,
        verifier: &Verifier,
        unverified_token: &str,
        audience: &str,
        now: SystemTime,
    ) -> Result<(Arc<Verified>, bool), access_token::Refusal> {
        let hash = sha256(unverified_token);
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        if let Some(verified) = remembered.filter(|verified| verifier.knows(&verified.kid)) {
            check(&verified.claims, audience, now)?;
            return Ok((verified, true));
        }
        let verified = Arc::new(verifier.verify(unverified_token, audience, now)?);
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(hash, verified.clone());
        Ok((verified, false))
    }
}

enum Presented<'a> {
    Token(&'a str),
    Broken,
    Nothing,
}

/// Only the header counts: a token in the query or the body is as none (OAuth 2.1 §5.1). API Gateway joins two headers
/// with a comma, which no token contains.
fn credentials(request: &ApiRequest) -> Presented<'_> {
    if !request.headers.contains_key(AUTHORIZATION) {
        return Presented::Nothing;
    }
    let Some(header) = request.header(AUTHORIZATION).filter(|header| header.len() <= MAX_CREDENTIALS) else {
        return Presented::Broken;
    };
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Presented::Nothing;
    }
    // RFC 6750 §2.1: b64token
    let b64token =
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
    if b64token { Presented::Token(token) } else { Presented::Broken }
}

fn token_scopes(scope: &str) -> Option<Scopes> {
    if scope.is_empty() { Some(Scopes::NONE) } else { Scopes::parse(scope).ok() }
}

fn sha256(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    hash
}
