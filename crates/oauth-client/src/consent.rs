//! One-time consent of an administrator (RFC 6749 §4.1 with RFC 7636, RFC 8707 and RFC 9207), as far as it is a matter of
//! plain values: the authorization URL, what comes back from it, and who consented.
//!
//! The code verifier lives in the browser alone, in a cookie; the record holds its challenge. Whoever brings both `state`
//! and a cookie of that challenge is the browser that the consent began in, and proves the code by the same value.

use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use form_urlencoded::Serializer;
use outbound::{Reach, Target};
use registry::{ConnectionName, Upstream, UpstreamAuth};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::connection::Connection;
use crate::error::ConsentError;
use crate::oauth_error::OAuthError;
use crate::token_request::{TokenAnswer, is_identity};

/// Every host of Salesforce that people log in at ends with this.
const SALESFORCE: &str = "salesforce.com";

/// Where consents are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationServer {
    /// The authorization endpoint.
    pub authorize_url: String,
    /// The issuer, compared with `iss` of its responses.
    pub issuer: String,
    /// Whether it promises `iss`.
    pub iss_promised: bool,
}

impl AuthorizationServer {
    /// That of an upstream; `None` when nobody has to consent.
    pub fn of_upstream(upstream: &Upstream) -> Option<AuthorizationServer> {
        let UpstreamAuth::OAuth(oauth) = &upstream.auth else { return None };
        Some(AuthorizationServer {
            authorize_url: oauth.authorize_url.clone()?,
            issuer: oauth.issuer.clone(),
            iss_promised: oauth.iss_promised,
        })
    }
}

/// The redirect URI of orgs, and of upstreams whose authorization server is Salesforce.
pub fn salesforce_redirect_uri(public_url: &str) -> String {
    format!("{public_url}/connect/callback")
}

/// The redirect URI of an upstream with these endpoints, exactly as it has to be registered at its authorization server.
/// Salesforce's upstreams share one with the orgs. Every other has its own, so that an answer tells which server it is of,
/// whether that names itself or not (RFC 9700 §4.4.2.2): the code of one never gets to the token endpoint of another.
pub fn redirect_uri(
    public_url: &str,
    name: &ConnectionName,
    authorize_url: Option<&str>,
    token_url: Option<&str>,
) -> String {
    // Both: a code that Salesforce makes is for Salesforce's token endpoint.
    match [authorize_url, token_url].into_iter().all(|url| url.is_some_and(is_of_salesforce)) {
        true => salesforce_redirect_uri(public_url),
        false => format!("{public_url}/connect/{name}"),
    }
}

/// [`redirect_uri`] of one that is registered.
pub fn redirect_uri_of(public_url: &str, upstream: &Upstream) -> String {
    let (authorize_url, token_url) = match &upstream.auth {
        UpstreamAuth::OAuth(oauth) => (oauth.authorize_url.as_deref(), Some(oauth.token_url.as_str())),
        UpstreamAuth::None | UpstreamAuth::Bearer { .. } => (None, None),
    };
    redirect_uri(public_url, &upstream.name, authorize_url, token_url)
}

fn is_of_salesforce(url: &str) -> bool {
    let Ok(target) = Target::parse(url, Reach::Public) else { return false };
    let host = target.as_uri().host().unwrap_or_default().to_ascii_lowercase();
    host.strip_suffix(SALESFORCE).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The link that begins a consent, once.
pub fn link(public_url: &str, name: &ConnectionName, ticket: &SecretString) -> SecretString {
    // A ticket is base64url, a name lower-case letters, digits and hyphens.
    format!("{public_url}/connect/{name}?ticket={}", ticket.expose_secret()).into()
}

/// 256 random bits in base64url: a ticket, a state, a code verifier (RFC 7636 §4.1). `None` when the crypto library fails.
pub fn random_secret() -> Option<SecretString> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(bytes).into())
}

/// Whether a text can be one of [`random_secret`].
pub fn is_random_secret(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The S256 challenge of a code verifier (RFC 7636 §4.2).
pub fn code_challenge(code_verifier: &SecretString) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, code_verifier.expose_secret().as_bytes()))
}

/// Whether a challenge is that of a verifier.
pub fn is_challenge_of(code_challenge: &str, code_verifier: &SecretString) -> bool {
    let expected = self::code_challenge(code_verifier);
    constant_time::verify_slices_are_equal(expected.as_bytes(), code_challenge.as_bytes()).is_ok()
}

/// The URL that a browser is sent to (RFC 6749 §4.1.1). A query of the endpoint is kept (§3.1).
pub fn authorization_url(
    server: &AuthorizationServer,
    connection: &Connection,
    redirect_uri: &str,
    state: &SecretString,
    code_challenge: &str,
) -> String {
    let mut query = Serializer::new(String::new());
    query.append_pair("response_type", "code");
    query.append_pair("client_id", &connection.client_id);
    query.append_pair("redirect_uri", redirect_uri);
    if !connection.scopes.is_empty() {
        query.append_pair("scope", &connection.scopes.join(" "));
    }
    query.append_pair("state", state.expose_secret());
    query.append_pair("code_challenge", code_challenge);
    query.append_pair("code_challenge_method", "S256");
    if let Some(resource) = &connection.resource {
        query.append_pair("resource", resource);
    }
    let query = query.finish();
    match server.authorize_url.split_once('?') {
        None => format!("{}?{query}", server.authorize_url),
        Some((_, "")) => format!("{}{query}", server.authorize_url),
        Some(_) => format!("{}&{query}", server.authorize_url),
    }
}

/// What came back to the redirect URI (RFC 6749 §4.1.2); nothing of it is checked.
#[derive(Clone, Debug)]
pub struct AuthorizationResponse {
    /// `state`.
    pub state: Option<SecretString>,
    /// `iss` (RFC 9207).
    pub iss: Option<String>,
    /// The code, or the error: `None` for one that is not known.
    pub outcome: Result<SecretString, Option<OAuthError>>,
}

impl AuthorizationResponse {
    /// Reads a query.
    ///
    /// # Errors
    /// [`ConsentError::ResponseInvalid`]: a parameter comes twice (RFC 6749 §3.1), or there is neither a code nor an error,
    /// or both.
    pub fn parse(query: &str) -> Result<AuthorizationResponse, ConsentError> {
        let parameter = |name: &str| match once(query, name) {
            Ok(value) => Ok(value),
            Err(Twice) => Err(ConsentError::ResponseInvalid),
        };
        let (code, error) = (parameter("code")?, parameter("error")?);
        let outcome = match (code, error) {
            (Some(code), None) if !code.is_empty() => Ok(code.into()),
            (None, Some(error)) => Err(OAuthError::read(&error, &parameter("error_description")?.unwrap_or_default())),
            _ => return Err(ConsentError::ResponseInvalid),
        };
        Ok(AuthorizationResponse { state: parameter("state")?.map(Into::into), iss: parameter("iss")?, outcome })
    }
}

/// A parameter is there twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twice;

/// A parameter of a query; `None` when it is not there.
///
/// # Errors
/// [`Twice`].
pub fn once(query: &str, name: &str) -> Result<Option<String>, Twice> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    let value = values.next();
    if values.next().is_some() { Err(Twice) } else { Ok(value.map(|(_, value)| value.into_owned())) }
}

/// Checks who answered, byte for byte (RFC 9207 §2.4).
///
/// # Errors
/// [`ConsentError::IssuerWrong`], [`ConsentError::IssuerMissing`].
pub fn check_issuer(server: &AuthorizationServer, iss: Option<&str>) -> Result<(), ConsentError> {
    match iss {
        Some(iss) if iss == server.issuer => Ok(()),
        Some(_) => Err(ConsentError::IssuerWrong),
        None if server.iss_promised => Err(ConsentError::IssuerMissing),
        None => Ok(()),
    }
}

/// Who consented, as the token endpoint said over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Salesforce's id of the org, or the issuer of the ID token.
    pub org: String,
    /// Salesforce's id of the user, or the `sub` of the ID token.
    pub user: String,
}

impl Identity {
    /// That of a token answer: of Salesforce's identity URL, otherwise of the ID token. Its signature is not checked: it
    /// came from the token endpoint itself (OpenID Connect Core §3.1.3.7, item 6). `None` when the answer does not say.
    ///
    /// # Errors
    /// [`ConsentError::IdentityInvalid`] for an ID token of another issuer, for another client, or that is none.
    pub fn of(answer: &TokenAnswer, connection: &Connection) -> Result<Option<Identity>, ConsentError> {
        if let Some(identity) = answer.identity.as_deref().and_then(of_identity_url) {
            return Ok(Some(identity));
        }
        match &answer.unverified_id_token {
            None => Ok(None),
            Some(token) => of_id_token(token, connection).map(Some).ok_or(ConsentError::IdentityInvalid),
        }
    }
}

/// `https://login.salesforce.com/id/00D…/005…`
fn of_identity_url(url: &str) -> Option<Identity> {
    let (_, path) = url.split_once("://")?.1.split_once('/')?;
    let (org, user) = path.strip_prefix("id/")?.split_once('/')?;
    let is_id = |text: &str, prefix| {
        text.starts_with(prefix)
            && matches!(text.len(), 15 | 18)
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    (is_id(org, "00D") && is_id(user, "005")).then(|| Identity { org: org.to_owned(), user: user.to_owned() })
}

fn of_id_token(token: &SecretString, connection: &Connection) -> Option<Identity> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    #[derive(Deserialize)]
    struct Claims {
        iss: String,
        sub: String,
        aud: Audience,
    }
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.expose_secret().split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    let ours = match &claims.aud {
        Audience::One(audience) => *audience == connection.client_id,
        Audience::Many(audiences) => audiences.contains(&connection.client_id),
    };
    let from_it = connection.issuer.as_deref() == Some(claims.iss.as_str());
    (ours && from_it && is_identity(&claims.sub) && is_identity(&claims.iss))
        .then_some(Identity { org: claims.iss, user: claims.sub })
}

/// Compares who consented with who did first; `new_user` says that the link was made for another user of the same org.
///
/// # Errors
/// [`ConsentError::OtherOrg`], [`ConsentError::OtherUser`], [`ConsentError::IdentityMissing`].
pub fn check_identity(
    pinned: Option<&Identity>,
    consenting: Option<&Identity>,
    new_user: bool,
) -> Result<(), ConsentError> {
    match (pinned, consenting) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(ConsentError::IdentityMissing),
        (Some(pinned), Some(consenting)) if pinned.org != consenting.org => Err(ConsentError::OtherOrg),
        (Some(pinned), Some(consenting)) if pinned.user != consenting.user && !new_user => Err(ConsentError::OtherUser),
        (Some(_), Some(_)) => Ok(()),
    }
}

#[cfg(test)]
#[path = "consent_tests.rs"]
mod tests;
