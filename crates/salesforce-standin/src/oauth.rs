//! The token endpoint and what belongs to it: authorization code, refresh token, client credentials, JWT bearer (RFC 6749
//! §§4.1, 4.4, 6; RFC 7523; RFC 7009).

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::authorize::{self, Code};
use crate::bearer;
use crate::demo::USERNAME;
use crate::ids;
use crate::path;
use crate::state::{self, State};

/// The one connected app of the org, and the refresh token that it has from the start.
#[derive(Clone)]
pub struct ConnectedApp {
    /// Consumer key.
    pub client_id: String,
    /// Consumer secret.
    pub client_secret: String,
    /// A refresh token of the org's user.
    pub refresh_token: String,
    /// The key that assertions are checked with, in PEM; without one the JWT bearer flow is refused.
    pub jwt_public_key: Option<String>,
    /// Callback URLs; `redirect_uri` has to be one of them, byte for byte.
    pub callback_urls: Vec<String>,
    /// Selected OAuth scopes; others are refused.
    pub scopes: Vec<String>,
    /// "Require Proof Key for Code Exchange (PKCE) extension for Supported Authorization Flows".
    pub require_pkce: bool,
    /// "Require secret for Web Server Flow".
    pub require_secret: bool,
    /// "Issue JSON Web Token (JWT)-based access tokens for named users"; without it, those of a consent are opaque too.
    pub issue_jwts: bool,
    /// How long a JWT is good for, in seconds; negative for one that has expired when it is issued.
    pub jwt_lifetime: i64,
    /// Whether the app was saved a moment ago and is not known everywhere yet: `invalid_client_id`.
    pub is_propagating: bool,
    /// Whether the user may use the app, where "Permitted Users" is "Admin approved users are pre-authorized".
    pub user_is_approved: bool,
}

impl Default for ConnectedApp {
    fn default() -> Self {
        ConnectedApp {
            client_id: "3MVG9standin".to_owned(),
            client_secret: "standin-client-secret".to_owned(),
            refresh_token: "5Aep861standin-refresh-token".to_owned(),
            jwt_public_key: None,
            callback_urls: Vec::new(),
            scopes: ["api", "mcp_api", "refresh_token"].map(str::to_owned).to_vec(),
            require_pkce: true,
            require_secret: false,
            issue_jwts: true,
            jwt_lifetime: 1_800,
            is_propagating: false,
            user_is_approved: true,
        }
    }
}

impl std::fmt::Debug for ConnectedApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectedApp").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// Live sessions and refresh tokens.
#[derive(Default)]
pub struct Grants {
    /// Access tokens, each with the family of the refresh token that it came from.
    sessions: HashMap<String, Option<u64>>,
    refresh_tokens: HashMap<String, RefreshToken>,
    families: u64,
    /// Codes that have not been exchanged.
    pub(crate) codes: HashMap<String, Code>,
    /// What was consented to, by the family of the tokens that came of it.
    consents: HashMap<u64, Consent>,
    /// Tokens of another authorization server that were used, and of them those that are no longer taken.
    foreign: HashSet<String>,
    ended: HashSet<String>,
}

/// What somebody consented to.
#[derive(Clone)]
pub(crate) struct Consent {
    /// Separated by spaces.
    pub(crate) scopes: String,
    pub(crate) resource: Option<String>,
}

impl std::fmt::Debug for Grants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grants").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
struct RefreshToken {
    family: u64,
    /// Whether another one has taken its place.
    replaced: bool,
}

/// Longest time to the expiry of an assertion, in seconds.
const MAX_ASSERTION: i64 = 300;

const AUDIENCES: [&str; 2] = ["https://login.salesforce.com", "https://test.salesforce.com"];

impl Grants {
    /// Takes a refresh token as one that was granted.
    pub(crate) fn add_refresh_token(&mut self, token: &str) {
        self.families += 1;
        self.refresh_tokens.insert(token.to_owned(), RefreshToken { family: self.families, replaced: false });
    }

    /// Keeps a consent, and gives the family that its tokens are of.
    pub(crate) fn consent(&mut self, consent: Consent) -> u64 {
        self.families += 1;
        self.consents.insert(self.families, consent);
        self.families
    }

    pub(crate) fn new_refresh_token(&mut self, family: u64) -> String {
        let token = format!("5Aep861{}", random_text(80));
        self.refresh_tokens.insert(token.clone(), RefreshToken { family, replaced: false });
        token
    }

    /// Whether a token is one of ours that lives.
    pub(crate) fn is_session(&self, token: &str) -> bool {
        self.sessions.contains_key(token)
    }

    /// Notes a token of another authorization server, and says whether it has been ended here.
    pub(crate) fn see_foreign(&mut self, token: &str) -> bool {
        let ended = self.ended.contains(token);
        if !ended {
            self.foreign.insert(token.to_owned());
        }
        ended
    }

    /// The refresh tokens that would be taken now.
    pub(crate) fn refresh_tokens(&self) -> Vec<String> {
        self.refresh_tokens.iter().filter(|(_, token)| !token.replaced).map(|(token, _)| token.clone()).collect()
    }

    pub(crate) fn expire_sessions(&mut self) {
        self.sessions.clear();
        self.ended.extend(self.foreign.drain());
    }

    pub(crate) fn revoke_refresh_tokens(&mut self) {
        self.refresh_tokens.clear();
    }

    /// Whether a request's `Authorization` header names a live session.
    pub(crate) fn is_live(&self, headers: &HeaderMap) -> bool {
        let header = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = header
            .split_once(' ')
            .filter(|(scheme, _)| ["bearer", "oauth"].contains(&scheme.to_ascii_lowercase().as_str()));
        token.is_some_and(|(_, token)| self.sessions.contains_key(token.trim()))
    }

    /// What a session was consented to, if it came of a consent.
    fn scopes(&self, session: &str) -> Option<&str> {
        let family = self.sessions.get(session).copied().flatten()?;
        self.consents.get(&family).map(|consent| consent.scopes.as_str())
    }

    fn revoke_family(&mut self, family: u64) {
        self.refresh_tokens.retain(|_, token| token.family != family);
        self.sessions.retain(|_, own| *own != Some(family));
    }
}

/// A new session.
pub(crate) fn new_session(state: &mut State, family: Option<u64>) -> String {
    let app = &state.options.connected_app;
    let consent = family.and_then(|family| state.grants.consents.get(&family)).filter(|_| app.issue_jwts);
    let jwt = consent
        .and_then(|consent| bearer::issue(state, &consent.scopes, consent.resource.as_deref(), app.jwt_lifetime));
    let token = jwt.unwrap_or_else(|| format!("{}!AQ{}", &state.org.org_id[..15], random_text(96)));
    state.grants.sessions.insert(token.clone(), family);
    token
}

pub(crate) fn random_text(length: usize) -> String {
    (0..length).map(|_| fastrand::alphanumeric()).collect()
}

pub(crate) fn refused(status: u16, error: &str, description: &str) -> Answer {
    Answer::json(status, json!({ "error": error, "error_description": description }))
}

pub(crate) fn value<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The refresh token of a request to the token endpoint.
pub(crate) fn presented_refresh_token(body: &[u8]) -> Option<String> {
    let form = path::parameters(std::str::from_utf8(body).ok()?);
    value(&form, "refresh_token").filter(|_| value(&form, "grant_type") == Some("refresh_token")).map(str::to_owned)
}

/// `POST /services/oauth2/token`
pub(crate) fn token(state: &mut State, headers: &HeaderMap, body: &[u8]) -> Answer {
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.starts_with("application/x-www-form-urlencoded") {
        return refused(400, "invalid_request", "the request must be form-encoded");
    }
    let form = path::parameters(&String::from_utf8_lossy(body));
    let grant_type = value(&form, "grant_type").unwrap_or_default().to_owned();
    let granted = match grant_type.as_str() {
        "authorization_code" => authorize::exchange(state, headers, &form),
        "refresh_token" => refresh(state, headers, &form),
        "client_credentials" => client_credentials(state, headers, &form),
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => jwt_bearer(state, &form),
        "" => Err(refused(400, "invalid_request", "grant_type is required")),
        _ => Err(refused(400, "unsupported_grant_type", "grant type not supported")),
    };
    state.counters.count_grant(&grant_type, granted.is_ok());
    match granted {
        Ok((access_token, refresh_token)) => success(state, &access_token, refresh_token),
        Err(answer) => answer,
    }
}

/// An access token, and a refresh token if a new one takes the place of the old.
pub(crate) type Granted = Result<(String, Option<String>), Answer>;

fn success(state: &State, access_token: &str, refresh_token: Option<String>) -> Answer {
    let url = &state.url;
    let instance_url = state.options.instance_url.clone().unwrap_or_else(|| url.clone());
    let issued_at = state::now().unix_timestamp_nanos() / 1_000_000;
    let mut body = json!({
        "access_token": access_token,
        "instance_url": instance_url,
        "id": format!("{url}/id/{}/{}", state.org.org_id, state.org.user_id),
        "token_type": "Bearer",
        "issued_at": issued_at.to_string(),
        "signature": STANDARD.encode(random_text(32)),
        "scope": state.grants.scopes(access_token).unwrap_or("api refresh_token"),
    });
    if let Some(token) = refresh_token {
        body["refresh_token"] = token.into();
    }
    Answer::ok(body)
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = headers.get("authorization")?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

/// `needs_secret`: Salesforce asks for the secret at a refresh only if the app says so; a wrong one is refused all the
/// same.
pub(crate) fn check_client(
    state: &State,
    headers: &HeaderMap,
    form: &[(String, String)],
    needs_secret: bool,
) -> Result<(), Answer> {
    let app = &state.options.connected_app;
    let (id, secret) = match basic(headers) {
        Some((id, secret)) => (Some(id), Some(secret)),
        None => (value(form, "client_id").map(str::to_owned), value(form, "client_secret").map(str::to_owned)),
    };
    match (id, secret) {
        (None, _) => Err(refused(400, "invalid_request", "client_id is required")),
        (Some(id), _) if id != app.client_id || app.is_propagating => {
            Err(refused(400, "invalid_client_id", "client identifier invalid"))
        }
        (_, None) if needs_secret => Err(refused(400, "invalid_client", "invalid client credentials")),
        (_, Some(secret)) if secret != app.client_secret => {
            Err(refused(400, "invalid_client", "invalid client credentials"))
        }
        _ => Ok(()),
    }
}

fn refresh(state: &mut State, headers: &HeaderMap, form: &[(String, String)]) -> Granted {
    check_client(state, headers, form, false)?;
    let Some(presented) = value(form, "refresh_token") else {
        return Err(refused(400, "invalid_request", "refresh_token is required"));
    };
    let expired = || refused(400, "invalid_grant", "expired access/refresh token");
    let Some(own) = state.grants.refresh_tokens.get(presented).copied() else { return Err(expired()) };
    if own.replaced {
        state.counters.count_reuse();
        if state.options.revoke_family_on_reuse {
            state.grants.revoke_family(own.family);
        }
        return Err(expired());
    }
    let new = state.options.rotate_refresh_tokens.then(|| format!("5Aep861{}", random_text(80)));
    if let Some(new) = &new {
        state.grants.refresh_tokens.insert(presented.to_owned(), RefreshToken { replaced: true, ..own });
        state.grants.refresh_tokens.insert(new.clone(), own);
    }
    Ok((new_session(state, Some(own.family)), new))
}

fn client_credentials(state: &mut State, headers: &HeaderMap, form: &[(String, String)]) -> Granted {
    check_client(state, headers, form, true)?;
    Ok((new_session(state, None), None))
}

fn jwt_bearer(state: &mut State, form: &[(String, String)]) -> Granted {
    let invalid = |description: &str| refused(400, "invalid_grant", description);
    let assertion = value(form, "assertion").unwrap_or_default();
    let app = &state.options.connected_app;
    let key = app.jwt_public_key.as_deref().and_then(|pem| DecodingKey::from_rsa_pem(pem.as_bytes()).ok());
    let Some(key) = key else { return Err(invalid("user hasn't approved this consumer")) };

    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    // Each claim has an error of its own; they are compared below.
    validation.validate_exp = false;
    validation.validate_aud = false;
    let Ok(claims) = jsonwebtoken::decode::<Value>(assertion, &key, &validation).map(|token| token.claims) else {
        return Err(invalid("invalid assertion"));
    };
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("iss") != app.client_id {
        return Err(refused(400, "invalid_client_id", "client identifier invalid"));
    }
    if !AUDIENCES.contains(&text("aud")) && text("aud") != state.url {
        return Err(invalid("audience is invalid"));
    }
    let left = claims.get("exp").and_then(Value::as_i64).unwrap_or(0).saturating_sub(state::now().unix_timestamp());
    if left <= 0 || left > MAX_ASSERTION {
        return Err(invalid("invalid assertion"));
    }
    if text("sub") != USERNAME {
        return Err(invalid("user hasn't approved this consumer"));
    }
    Ok((new_session(state, None), None))
}

/// `POST /services/oauth2/revoke`
pub(crate) fn revoke(state: &mut State, form: &[(String, String)]) -> Answer {
    let token = value(form, "token").unwrap_or_default();
    if let Some(own) = state.grants.refresh_tokens.get(token).copied() {
        state.grants.revoke_family(own.family);
        return Answer::empty(200);
    }
    match state.grants.sessions.remove(token) {
        Some(_) => Answer::empty(200),
        None => refused(400, "invalid_token", "invalid token"),
    }
}

/// `GET /services/oauth2/userinfo`
pub(crate) fn userinfo(state: &State, headers: &HeaderMap) -> Answer {
    if !state.grants.is_live(headers) {
        return Answer::json(403, json!("Bad_OAuth_Token"));
    }
    let (url, user, org) = (&state.url, &state.org.user_id, &state.org.org_id);
    Answer::ok(json!({
        "sub": format!("{url}/id/{org}/{user}"),
        "user_id": user,
        "organization_id": org,
        "preferred_username": USERNAME,
        "nickname": "integration",
        "name": "Integration User",
        "email": USERNAME,
        "email_verified": true,
        "given_name": "Integration",
        "family_name": "User",
        "zoneinfo": "GMT",
        "active": true,
        "user_type": "STANDARD",
        "language": "en_US",
        "locale": "en_US",
        "urls": {
            "rest": format!("{url}/services/data/v{{version}}/"),
            "sobjects": format!("{url}/services/data/v{{version}}/sobjects/"),
            "query": format!("{url}/services/data/v{{version}}/query/"),
        },
    }))
}

/// `GET /id/{org}/{user}`, the identity URL of a token's answer.
pub(crate) fn identity(state: &State, headers: &HeaderMap, org: &str, user: &str) -> Answer {
    let own =
        ids::parse(org).as_ref() == Some(&state.org.org_id) && ids::parse(user).as_ref() == Some(&state.org.user_id);
    if !own {
        return Answer::json(403, json!("Bad_Id"));
    }
    let mut answer = userinfo(state, headers).into_value();
    if let Value::Object(fields) = &mut answer {
        fields.insert("username".to_owned(), USERNAME.into());
        fields.insert("display_name".to_owned(), "Integration User".into());
        return Answer::ok(answer);
    }
    Answer::json(403, answer)
}
