//! Requests to a token endpoint (RFC 6749 §3.2) and what their answers mean.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use form_urlencoded::Serializer;
use outbound::{Answer, FetchError, Fetcher, Outgoing};
use registry::{ClientAuth, Flow};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::assertion;
use crate::connection::Connection;
use crate::oauth_error::OAuthError;

/// How long a token request may take. A lease outlasts it.
pub const TIMEOUT: Duration = Duration::from_secs(8);
const MAX_ANSWER: usize = 64 * 1024;

/// What the authorization server gave.
pub struct TokenAnswer {
    /// The access token.
    pub access_token: SecretString,
    /// A new refresh token: the earlier one may be dead.
    pub refresh_token: Option<SecretString>,
    /// When the access token ends, seconds since 1970; `None` when nobody says.
    pub expires_at: Option<u64>,
    /// Where its API is, as the answer says; not checked.
    pub unverified_instance_url: Option<String>,
    /// Whom it is for: Salesforce's identity URL.
    pub identity: Option<String>,
    /// The ID token (OpenID Connect Core §3.1.3.3); not checked.
    pub unverified_id_token: Option<SecretString>,
}

/// Why there is no token.
#[derive(Debug, PartialEq, Eq)]
pub enum TokenFailure {
    /// The authorization server refuses the grant or the client, until somebody changes something.
    Refused(OAuthError),
    /// The request cannot be made from what is configured; nothing was sent.
    Misconfigured(&'static str),
    /// Nothing was sent, or the server is done with the request and gave no token. Another try may work.
    Unavailable(&'static str),
    /// No answer came in time: the server may still be at work on the request.
    NoAnswer(&'static str),
}

/// A token request that is ready to be sent.
pub struct TokenRequest {
    form: String,
    authorization: Option<String>,
}

impl TokenRequest {
    /// Makes the request of a flow. `secret` is the client secret or the private key, `refresh_token` that of the grant.
    ///
    /// # Errors
    /// [`TokenFailure::Misconfigured`] when something is missing.
    pub fn new(
        connection: &Connection,
        secret: Option<&SecretString>,
        refresh_token: Option<&SecretString>,
        now: SystemTime,
    ) -> Result<TokenRequest, TokenFailure> {
        let mut request = TokenRequest { form: String::new(), authorization: None };
        let mut form = Serializer::new(&mut request.form);
        match &connection.flow {
            Flow::RefreshToken { client_auth } => {
                let refresh_token =
                    refresh_token.ok_or(TokenFailure::Misconfigured("its grant has no refresh token"))?;
                form.append_pair("grant_type", "refresh_token");
                form.append_pair("refresh_token", refresh_token.expose_secret());
                request.authorization = authenticate(&mut form, connection, secret, *client_auth, now)?;
            }
            Flow::ClientCredentials { client_auth } => {
                if secret.is_none() {
                    return Err(TokenFailure::Misconfigured(
                        "client credentials need a client secret or a private key",
                    ));
                }
                form.append_pair("grant_type", "client_credentials");
                append_scopes(&mut form, connection);
                request.authorization = authenticate(&mut form, connection, secret, *client_auth, now)?;
            }
            Flow::JwtBearer { subject, audience } => {
                let key = secret.ok_or(TokenFailure::Misconfigured("assertions need a private key"))?;
                let signed = assertion::sign(key, &connection.client_id, subject, audience, now);
                let problem = "its private key is no RSA key of at least 2048 bits in PEM";
                let signed = signed.ok_or(TokenFailure::Misconfigured(problem))?;
                form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                form.append_pair("assertion", signed.expose_secret());
            }
        }
        append_resource(&mut form, connection);
        Ok(request)
    }

    /// Makes the request that exchanges an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.5).
    ///
    /// # Errors
    /// [`TokenFailure::Misconfigured`] when the connection has no consent, or its private key is none.
    pub fn for_code(
        connection: &Connection,
        secret: Option<&SecretString>,
        code: &SecretString,
        redirect_uri: &str,
        code_verifier: &SecretString,
        now: SystemTime,
    ) -> Result<TokenRequest, TokenFailure> {
        let Flow::RefreshToken { client_auth } = connection.flow else {
            return Err(TokenFailure::Misconfigured("its flow has no consent"));
        };
        let mut request = TokenRequest { form: String::new(), authorization: None };
        let mut form = Serializer::new(&mut request.form);
        form.append_pair("grant_type", "authorization_code");
        form.append_pair("code", code.expose_secret());
        form.append_pair("redirect_uri", redirect_uri);
        form.append_pair("code_verifier", code_verifier.expose_secret());
        request.authorization = authenticate(&mut form, connection, secret, client_auth, now)?;
        append_resource(&mut form, connection);
        Ok(request)
    }

    /// Makes the request that revokes a token (RFC 7009 §2.1), for a revocation endpoint.
    ///
    /// # Errors
    /// [`TokenFailure::Misconfigured`] when the private key is none.
    pub fn for_revocation(
        connection: &Connection,
        secret: Option<&SecretString>,
        token: &SecretString,
        hint: &'static str,
        now: SystemTime,
    ) -> Result<TokenRequest, TokenFailure> {
        let client_auth = match &connection.flow {
            Flow::RefreshToken { client_auth } | Flow::ClientCredentials { client_auth } => *client_auth,
            // The assertion of this flow stands for a user; the client itself has no secret.
            Flow::JwtBearer { .. } => ClientAuth::Post,
        };
        let secret = secret.filter(|_| !matches!(connection.flow, Flow::JwtBearer { .. }));
        let mut request = TokenRequest { form: String::new(), authorization: None };
        let mut form = Serializer::new(&mut request.form);
        form.append_pair("token", token.expose_secret());
        form.append_pair("token_type_hint", hint);
        request.authorization = authenticate(&mut form, connection, secret, client_auth, now)?;
        Ok(request)
    }

    /// Sends the request, once.
    ///
    /// # Errors
    /// [`TokenFailure`].
    pub async fn send(
        self,
        fetcher: &Fetcher,
        token_endpoint: &str,
        now: SystemTime,
    ) -> Result<TokenAnswer, TokenFailure> {
        let not_allowed = TokenFailure::Misconfigured("the URL of its token endpoint is not allowed");
        read(&self.post(fetcher, token_endpoint, not_allowed).await?, now)
    }

    /// Sends the request to a revocation endpoint, once. 200 is all that it says (RFC 7009 §2.2).
    ///
    /// # Errors
    /// [`TokenFailure`].
    pub async fn revoke(self, fetcher: &Fetcher, revocation_endpoint: &str) -> Result<(), TokenFailure> {
        let not_allowed = TokenFailure::Misconfigured("the URL of its revocation endpoint is not allowed");
        let answer = self.post(fetcher, revocation_endpoint, not_allowed).await?;
        match answer.status {
            200..=299 => Ok(()),
            400..=499 => Err(read_refusal(&answer.body)),
            _ => Err(TokenFailure::Unavailable("the authorization server failed")),
        }
    }

    async fn post(self, fetcher: &Fetcher, url: &str, not_allowed: TokenFailure) -> Result<Answer, TokenFailure> {
        let target = fetcher.check(url).map_err(|_| not_allowed)?;
        let mut headers = vec![
            ("accept", "application/json".to_owned()),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ];
        headers.extend(self.authorization.map(|value| ("authorization", value)));
        let body = Bytes::from(self.form);
        let outgoing = Outgoing { method: "POST", target, headers, body, max_bytes: MAX_ANSWER, timeout: TIMEOUT };
        fetcher.send(outgoing).await.map_err(not_answered)
    }
}

fn append_scopes(form: &mut Serializer<'_, &mut String>, connection: &Connection) {
    if !connection.scopes.is_empty() {
        form.append_pair("scope", &connection.scopes.join(" "));
    }
}

fn append_resource(form: &mut Serializer<'_, &mut String>, connection: &Connection) {
    if let Some(resource) = &connection.resource {
        form.append_pair("resource", resource);
    }
}

/// Adds the client id and, if there is one, its secret or an assertion; gives the header for Basic. RFC 6749 §2.3.1: both
/// parts are form-encoded before Base64.
fn authenticate(
    form: &mut Serializer<'_, &mut String>,
    connection: &Connection,
    secret: Option<&SecretString>,
    client_auth: ClientAuth,
    now: SystemTime,
) -> Result<Option<String>, TokenFailure> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    match (secret, client_auth) {
        (Some(secret), ClientAuth::Basic) => {
            let pair = format!("{}:{}", encode(&connection.client_id), encode(secret.expose_secret()));
            return Ok(Some(format!("Basic {}", BASE64_STANDARD.encode(pair))));
        }
        (Some(key), ClientAuth::PrivateKeyJwt) => {
            // RFC 7523 §3 and draft-ietf-oauth-rfc7523bis §4: the issuer is the audience.
            let audience = connection.issuer.as_deref().unwrap_or(&connection.token_endpoint);
            let signed = assertion::authenticate(key, &connection.client_id, audience, now);
            let problem = "its private key is no RSA key of at least 2048 bits and no P-256 key in PEM";
            let signed = signed.ok_or(TokenFailure::Misconfigured(problem))?;
            form.append_pair("client_id", &connection.client_id);
            form.append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            form.append_pair("client_assertion", signed.expose_secret());
        }
        (None, ClientAuth::PrivateKeyJwt) => {
            return Err(TokenFailure::Misconfigured("private_key_jwt needs a private key"));
        }
        (Some(secret), ClientAuth::Post) => {
            form.append_pair("client_id", &connection.client_id);
            form.append_pair("client_secret", secret.expose_secret());
        }
        (None, ClientAuth::Post | ClientAuth::Basic) => {
            form.append_pair("client_id", &connection.client_id);
        }
    }
    Ok(None)
}

fn not_answered(error: FetchError) -> TokenFailure {
    match error {
        FetchError::Url(_) | FetchError::Address => {
            TokenFailure::Misconfigured("the host of its token endpoint is not allowed")
        }
        FetchError::Header => TokenFailure::Misconfigured("its client id or secret has characters that cannot be sent"),
        FetchError::Unreachable(_) => TokenFailure::Unavailable("the authorization server cannot be reached"),
        FetchError::TimedOut => TokenFailure::NoAnswer("the authorization server did not answer in time"),
        // The connection is closed: whoever was at the other end is done with the request.
        _ => TokenFailure::Unavailable("the answer of the authorization server did not come whole"),
    }
}

#[derive(Deserialize)]
struct Success {
    access_token: SecretString,
    token_type: Option<String>,
    refresh_token: Option<SecretString>,
    /// Seconds; some servers write a string.
    expires_in: Option<serde_json::Value>,
    instance_url: Option<String>,
    id: Option<String>,
    id_token: Option<SecretString>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

fn read(answer: &Answer, now: SystemTime) -> Result<TokenAnswer, TokenFailure> {
    match answer.status {
        200 => read_success(&answer.body, now),
        400..=499 => Err(read_refusal(&answer.body)),
        300..=399 => Err(TokenFailure::Unavailable("the authorization server answered with a redirect")),
        _ => Err(TokenFailure::Unavailable("the authorization server failed")),
    }
}

fn read_success(body: &[u8], now: SystemTime) -> Result<TokenAnswer, TokenFailure> {
    let unusable = TokenFailure::Unavailable("the authorization server answered with something else than a token");
    let Ok(success) = serde_json::from_slice::<Success>(body) else { return Err(unusable) };
    let token = success.access_token.expose_secret();
    let bearer = success.token_type.as_ref().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    // RFC 6750 §2.1: what a header can hold.
    if !bearer || token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable);
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let expires_in = success.expires_in.as_ref().and_then(|value| match value {
        serde_json::Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    });
    Ok(TokenAnswer {
        expires_at: expires_in.map(|lifetime: u64| now.saturating_add(lifetime)).or_else(|| expiry_of_jwt(token)),
        refresh_token: success.refresh_token.filter(|token| !token.expose_secret().is_empty()),
        access_token: success.access_token,
        unverified_instance_url: success.instance_url,
        identity: success.id.filter(|id| is_identity(id)),
        unverified_id_token: success.id_token,
    })
}

/// `exp` of a token that is a JWT, as those of some orgs are; it is not verified, and decides only when to ask again.
fn expiry_of_jwt(token: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Claims>(&payload).ok().map(|claims| claims.exp)
}

/// It is shown to administrators.
pub(crate) fn is_identity(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b":/.-_@|+=~".contains(&byte);
    !text.is_empty() && text.len() <= 200 && text.bytes().all(known)
}

/// Errors that stay until somebody changes something (RFC 6749 §5.2, RFC 8707 §2, and Salesforce's own).
const LASTING: [&str; 15] = [
    "invalid_target",
    "redirect_uri_mismatch",
    "invalid_grant",
    "invalid_client",
    "invalid_client_id",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_app_access",
    "inactive_org",
    "inactive_user",
    "access_denied",
    "invalid_assertion",
    "app_not_found",
    "OAUTH_AUTHORIZATION_BLOCKED",
];

fn read_refusal(body: &[u8]) -> TokenFailure {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else {
        return TokenFailure::Unavailable("the authorization server refused without a reason that can be read");
    };
    match OAuthError::read(&refusal.error, &refusal.error_description) {
        Some(error) if LASTING.contains(&error.code) => TokenFailure::Refused(error),
        _ => TokenFailure::Unavailable("the authorization server refused for the moment"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use registry::ConnectionName;

    fn connection(flow: Flow) -> Connection {
        Connection {
            name: ConnectionName::parse("sales").unwrap(),
            token_endpoint: "https://example.my.salesforce.com/services/oauth2/token".to_owned(),
            client_id: "key+1".to_owned(),
            flow,
            secret_id: None,
            issuer: Some("https://example.my.salesforce.com".to_owned()),
            resource: None,
            scopes: Vec::new(),
        }
    }

    fn secret(text: &str) -> SecretString {
        text.to_owned().into()
    }

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, headers: Default::default(), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    fn failure(status: u16, body: &str) -> TokenFailure {
        read(&answer(status, body), SystemTime::now()).err().unwrap()
    }

    #[test]
    fn each_flow_has_its_form() {
        let now = SystemTime::now();
        let [refresh, client] = [secret("r&1"), secret("s e:c")];
        let post = Flow::RefreshToken { client_auth: ClientAuth::Post };
        let request = TokenRequest::new(&connection(post.clone()), Some(&client), Some(&refresh), now).unwrap();
        assert_eq!(
            request.form,
            "grant_type=refresh_token&refresh_token=r%261&client_id=key%2B1&client_secret=s+e%3Ac"
        );
        let request = TokenRequest::new(&connection(post), None, Some(&refresh), now).unwrap();
        assert_eq!(request.form, "grant_type=refresh_token&refresh_token=r%261&client_id=key%2B1");

        let basic = Flow::ClientCredentials { client_auth: ClientAuth::Basic };
        let request = TokenRequest::new(&connection(basic), Some(&client), None, now).unwrap();
        assert_eq!(request.form, "grant_type=client_credentials");
        let expected = format!("Basic {}", BASE64_STANDARD.encode("key%2B1:s+e%3Ac"));
        assert_eq!(request.authorization, Some(expected));
    }

    #[test]
    fn a_request_that_lacks_something_is_not_made() {
        let now = SystemTime::now();
        let jwt = Flow::JwtBearer { subject: "user@example.com".to_owned(), audience: "aud".to_owned() };
        let no_key = secret("no key");
        for (flow, secret) in [
            (Flow::RefreshToken { client_auth: ClientAuth::Post }, None),
            (Flow::ClientCredentials { client_auth: ClientAuth::Post }, None),
            (jwt.clone(), None),
            (jwt, Some(&no_key)),
        ] {
            let request = TokenRequest::new(&connection(flow.clone()), secret, None, now);
            assert!(matches!(request, Err(TokenFailure::Misconfigured(_))), "{flow:?}");
        }
    }

    #[test]
    fn a_lifetime_comes_from_the_answer_or_from_the_token_or_is_not_known() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let jwt = format!("a.{}.c", BASE64_URL_SAFE_NO_PAD.encode(r#"{"exp":5000}"#));
        for (body, expires_at) in [
            (r#"{"access_token":"00D!a","expires_in":900}"#.to_owned(), Some(1_900)),
            (r#"{"access_token":"00D!a","expires_in":"900","token_type":"Bearer"}"#.to_owned(), Some(1_900)),
            (r#"{"access_token":"00D!a","issued_at":"1795247891000"}"#.to_owned(), None),
            (format!(r#"{{"access_token":"{jwt}"}}"#), Some(5_000)),
        ] {
            let answer = read(&answer(200, &body), now).ok().unwrap();
            assert_eq!((answer.expires_at, answer.refresh_token.is_none()), (expires_at, true), "{body}");
        }
    }

    #[test]
    fn what_stays_wrong_is_told_from_what_may_pass() {
        for (body, reason) in [
            (
                r#"{"error":"invalid_grant","error_description":"Expired access/refresh token"}"#,
                "invalid_grant (expired access/refresh token)",
            ),
            (r#"{"error":"invalid_grant","error_description":"you sent 5Aep861"}"#, "invalid_grant"),
            (r#"{"error":"invalid_client"}"#, "invalid_client"),
        ] {
            for status in [400, 401] {
                let TokenFailure::Refused(error) = failure(status, body) else { panic!("{body}") };
                assert_eq!(error.to_string(), reason);
            }
        }
        for (status, body) in [
            (400, r#"{"error":"rate_limit_exceeded"}"#),
            (400, r#"{"error":"5Aep861"}"#),
            (400, "<html>"),
            (429, ""),
            (302, ""),
            (500, r#"{"error":"invalid_grant"}"#),
            (502, "<html>"),
            (200, ""),
            (200, "<html>"),
            (200, r#"{"access_token":"#),
            (200, r#"{"access_token":""}"#),
            (200, r#"{"access_token":"a\r\nb"}"#),
            (200, r#"{"access_token":"a","token_type":"mac"}"#),
            (200, r#"{"refresh_token":"a"}"#),
        ] {
            assert!(matches!(failure(status, body), TokenFailure::Unavailable(_)), "{body}");
        }
    }
}
