//! The access tokens that the hosted MCP servers take: JWTs (RFC 9068 in the main), of the stand-in's own authorization server
//! or of another one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use crate::answer::{Answer, ApiError};
use crate::hosted::{self, refusal};
use crate::state::State;

/// Another authorization server whose tokens are taken.
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    /// `iss`
    pub issuer: String,
    /// Its public keys, a JWK Set.
    pub jwks: Value,
    /// `aud`; the URL of the MCP server that is asked, if it is absent.
    pub audience: Option<String>,
}

/// Whether a request to a hosted server may go on.
///
/// # Errors
/// The answer, with Salesforce's words.
pub(crate) fn check(state: &mut State, path: &str, headers: &HeaderMap) -> Result<(), Answer> {
    let Some(header) = headers.get("authorization").and_then(|value| value.to_str().ok()) else {
        return Err(challenged(state, path, refusal(401, "JWT Token is required"), None));
    };
    let invalid = |state: &State, answer| Err(challenged(state, path, answer, Some("invalid_token")));
    let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = token else {
        return invalid(state, ApiError::new(401, "INVALID_AUTH_HEADER", "INVALID_AUTH_HEADER").into_answer());
    };
    if !is_jwt(token) {
        return invalid(state, ApiError::new(401, "INVALID_AUTH_HEADER", "INVALID_JWT_FORMAT").into_answer());
    }
    let Some(claims) = verified(state, path, token) else {
        return invalid(state, refusal(401, "Invalid token"));
    };
    // Salesforce has the scopes in `scp`, RFC 9068 in `scope`.
    let scopes = claims["scp"].as_str().or(claims["scope"].as_str()).unwrap_or_default();
    if !scopes.split(' ').any(|scope| scope == hosted::SCOPE) {
        return Err(challenged(state, path, refusal(403, "Insufficient scope"), Some("insufficient_scope")));
    }
    Ok(())
}

/// Three parts, of which the first two are JSON.
fn is_jwt(token: &str) -> bool {
    let parts: Vec<&str> = token.split('.').collect();
    let json =
        |part: &&str| URL_SAFE_NO_PAD.decode(part).is_ok_and(|bytes| serde_json::from_slice::<Value>(&bytes).is_ok());
    parts.len() == 3 && parts[..2].iter().all(json)
}

/// The claims of a token that is good for the server at `path`.
fn verified(state: &mut State, path: &str, token: &str) -> Option<Value> {
    let audience = format!("{}{path}", state.url);
    let Some(trusted) = state.options.hosted.trusted.clone() else {
        // Our own tokens are sessions; that one is there says that we made it.
        let claims = state.grants.is_session(token).then(|| unverified(token)).flatten()?;
        let live = claims["exp"].as_i64().is_some_and(|exp| exp > crate::state::now().unix_timestamp());
        return (live && claims["aud"] == audience.as_str()).then_some(claims);
    };
    let header = jsonwebtoken::decode_header(token).ok()?;
    let keys: JwkSet = serde_json::from_value(trusted.jwks.clone()).ok()?;
    let key = DecodingKey::from_jwk(keys.find(header.kid.as_deref()?)?).ok()?;
    let mut validation = Validation::new(header.alg);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    validation.set_issuer(&[&trusted.issuer]);
    validation.set_audience(&[trusted.audience.as_deref().unwrap_or(&audience)]);
    validation.leeway = 0;
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).ok()?.claims;
    (!state.grants.see_foreign(token)).then_some(claims)
}

fn unverified(token: &str) -> Option<Value> {
    let claims = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

/// Adds `WWW-Authenticate` (RFC 9728 §5.1), unless discovery is off.
fn challenged(state: &State, path: &str, mut answer: Answer, error: Option<&str>) -> Answer {
    let mut challenge = "Bearer".to_owned();
    if let Some(error) = error {
        challenge.push_str(&format!(" error=\"{error}\", scope=\"{}\",", hosted::SCOPE));
    }
    if state.options.hosted.discovery {
        challenge.push_str(&format!(" resource_metadata=\"{}/.well-known/oauth-protected-resource{path}\"", state.url));
    }
    answer.headers.push(("www-authenticate", challenge.trim_end_matches(',').to_owned()));
    answer
}

/// A signed access token of our own.
pub(crate) fn issue(state: &State, scopes: &str, resource: Option<&str>, lifetime: i64) -> Option<String> {
    let now = crate::state::now().unix_timestamp();
    let audience = resource.map_or_else(|| json!([state.url]), |resource| json!(resource));
    let claims = json!({
        "iss": state.issuer(),
        "sub": format!("uid:{}", state.org.user_id),
        "aud": audience,
        "client_id": state.options.connected_app.client_id,
        "scp": scopes,
        "iat": now,
        "exp": now + lifetime,
        "jti": crate::oauth::random_text(22),
    });
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(KEY_ID.to_owned());
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(&state.signing_key)).ok()
}

/// `kid` of the one key.
const KEY_ID: &str = "standin";

/// The public half of the key that tokens are signed with, as a JWK Set.
pub(crate) fn keys(state: &State) -> Value {
    let key = EncodingKey::from_ec_der(&state.signing_key);
    let Ok(mut key) = Jwk::from_encoding_key(&key, Algorithm::ES256) else { return json!({ "keys": [] }) };
    key.common.key_id = Some(KEY_ID.to_owned());
    json!({ "keys": [key] })
}
