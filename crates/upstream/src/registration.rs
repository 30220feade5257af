//! Registering ourselves as a client (RFC 7591): only where a registration endpoint is advertised and no client id is given.

use std::time::Duration;

use bytes::Bytes;
use outbound::{FetchError, Fetcher, Outgoing};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::discovery::{AuthMethod, Credential, choose_auth_method};

const TIMEOUT: Duration = Duration::from_secs(8);
const MAX_ANSWER: usize = 64 * 1024;
/// Longest client id or secret that is taken, in bytes.
const MAX_CREDENTIAL: usize = 1024;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Registration<'a> {
    /// The registration endpoint.
    pub url: &'a str,
    /// Our name, as a consent page shows it.
    pub client_name: &'a str,
    /// Where the browser comes back to.
    pub redirect_uri: &'a str,
    /// The scopes that will be asked for; none leaves them to the authorization server.
    pub scopes: &'a [String],
    /// How we will authenticate at the token endpoint ([`registrable_method`]).
    pub auth_method: AuthMethod,
}

/// Who we are now.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Our client id.
    pub client_id: String,
    /// Our secret, if the method needs one.
    pub client_secret: Option<SecretString>,
    /// When the secret ends, seconds since 1970; `None` when it does not.
    pub secret_expires_at: Option<u64>,
    /// How we authenticate at the token endpoint.
    pub auth_method: AuthMethod,
}

/// Why there is no registration. No text of the authorization server is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// The URL, or the address behind it, may not be asked.
    #[error("the registration endpoint is not an https URL of a public host")]
    Url,
    /// No whole answer came. It may have registered us all the same: a client that nobody uses.
    #[error("the registration endpoint did not answer")]
    NoAnswer,
    /// It registers only whom it knows.
    #[error(
        "the authorization server does not register clients that it does not know: register one there, and give its client id"
    )]
    Closed,
    /// It refuses, with this code of RFC 7591 §3.2.2.
    #[error("the authorization server refuses to register us: {0}")]
    Refused(&'static str),
    /// Another status.
    #[error("the registration endpoint answered with status {0}")]
    Status(u16),
    /// An answer that is no registration of what was asked for: what is wrong with it.
    #[error("the answer of the registration endpoint cannot be used: {0}")]
    Unusable(&'static str),
}

impl RegistrationError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            RegistrationError::Url => "registration_url_refused",
            RegistrationError::NoAnswer => "registration_no_answer",
            RegistrationError::Closed => "registration_closed",
            RegistrationError::Refused(_) | RegistrationError::Status(_) => "registration_refused",
            RegistrationError::Unusable(_) => "registration_unusable",
        }
    }
}

/// The method to register with: one with a secret where there is one, for a client with a secret can keep it (RFC 9700 §2.5).
pub fn registrable_method(offered: Option<&[AuthMethod]>) -> Option<AuthMethod> {
    choose_auth_method(offered, Credential::Secret).or_else(|| choose_auth_method(offered, Credential::None))
}

/// The request (RFC 7591 §2).
#[derive(Serialize)]
struct Request<'a> {
    client_name: &'a str,
    redirect_uris: [&'a str; 1],
    grant_types: [&'a str; 2],
    response_types: [&'a str; 1],
    token_endpoint_auth_method: &'a str,
    application_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// The answer (RFC 7591 §3.2.1).
#[derive(Deserialize)]
struct Answer {
    client_id: String,
    client_secret: Option<SecretString>,
    client_secret_expires_at: Option<u64>,
    token_endpoint_auth_method: Option<String>,
    redirect_uris: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Registers us, once.
///
/// # Errors
/// [`RegistrationError`].
pub async fn register(fetcher: &Fetcher, registration: &Registration<'_>) -> Result<Registered, RegistrationError> {
    let target = fetcher.check(registration.url).map_err(|_| RegistrationError::Url)?;
    let headers = vec![("accept", "application/json".to_owned()), ("content-type", "application/json".to_owned())];
    let body = Bytes::from(request(registration));
    let outgoing = Outgoing { method: "POST", target, headers, body, max_bytes: MAX_ANSWER, timeout: TIMEOUT };
    let answer = fetcher.send(outgoing).await.map_err(|error| match error {
        FetchError::Url(_) | FetchError::Address => RegistrationError::Url,
        FetchError::TooLarge => RegistrationError::Unusable("it is too large"),
        _ => RegistrationError::NoAnswer,
    })?;
    match answer.status {
        // RFC 7591 §3.2.1 says 201; some answer 200.
        200 | 201 => read(&answer.body, registration),
        401 | 403 => Err(RegistrationError::Closed),
        status => Err(refused(status, &answer.body)),
    }
}

fn request(registration: &Registration<'_>) -> Vec<u8> {
    let request = Request {
        client_name: registration.client_name,
        redirect_uris: [registration.redirect_uri],
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
        token_endpoint_auth_method: registration.auth_method.as_str(),
        // OpenID Connect Registration §2: a web client's redirect URIs are https and not of the user's machine.
        application_type: if registration.redirect_uri.starts_with("https://") { "web" } else { "native" },
        scope: Some(registration.scopes.join(" ")).filter(|scope| !scope.is_empty()),
    };
    serde_json::to_vec(&request).unwrap_or_default()
}

fn read(body: &[u8], registration: &Registration<'_>) -> Result<Registered, RegistrationError> {
    use RegistrationError::Unusable;
    let answer: Answer = serde_json::from_slice(body).map_err(|_| Unusable("it is no registration"))?;
    if !is_credential(&answer.client_id) {
        return Err(Unusable("its client id is empty, longer than 1 KiB, or has characters that belong in none"));
    }
    if answer.redirect_uris.is_some_and(|uris| !uris.iter().any(|uri| uri == registration.redirect_uri)) {
        return Err(Unusable("it is for another redirect URI"));
    }
    let auth_method = match &answer.token_endpoint_auth_method {
        Some(name) => AuthMethod::parse(name).ok_or(Unusable("its authentication method is not one that we have"))?,
        None => registration.auth_method,
    };
    let client_secret = match auth_method {
        // Some give a secret all the same: what is not needed is not kept.
        AuthMethod::None => None,
        AuthMethod::Basic | AuthMethod::Post => match answer.client_secret {
            Some(secret) if is_credential(secret.expose_secret()) => Some(secret),
            _ => return Err(Unusable("its client secret is missing, or has characters that belong in none")),
        },
        AuthMethod::PrivateKeyJwt => return Err(Unusable("it wants a private key that was not registered")),
    };
    // RFC 7591 §3.2.1: 0 is never.
    let secret_expires_at = answer.client_secret_expires_at.filter(|&at| at != 0 && client_secret.is_some());
    Ok(Registered { client_id: answer.client_id, client_secret, secret_expires_at, auth_method })
}

/// RFC 6749, appendices A.1 and A.2.
fn is_credential(text: &str) -> bool {
    (1..=MAX_CREDENTIAL).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn refused(status: u16, body: &[u8]) -> RegistrationError {
    const CODES: [&str; 4] = [
        "invalid_redirect_uri",
        "invalid_client_metadata",
        "invalid_software_statement",
        "unapproved_software_statement",
    ];
    let code = serde_json::from_slice::<Refusal>(body)
        .ok()
        .and_then(|refusal| CODES.into_iter().find(|code| *code == refusal.error));
    match code {
        Some(code) if (400..500).contains(&status) => RegistrationError::Refused(code),
        _ => RegistrationError::Status(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const REDIRECT_URI: &str = "https://mcp.example.com/connect/callback";

    fn registration<'a>() -> Registration<'a> {
        Registration {
            url: "https://as.example.com/register",
            client_name: "Northstar",
            redirect_uri: REDIRECT_URI,
            scopes: &[],
            auth_method: AuthMethod::Basic,
        }
    }

    fn unusable(answer: Value) -> bool {
        let outcome = read(answer.to_string().as_bytes(), &registration());
        matches!(outcome, Err(RegistrationError::Unusable(_)))
    }

    #[test]
    fn the_request_says_what_kind_of_client_it_is_for() {
        let scopes = ["a".to_owned(), "b".to_owned()];
        let sent = request(&Registration { scopes: &scopes, ..registration() });
        assert_eq!(
            serde_json::from_slice::<Value>(&sent).unwrap(),
            json!({
                "client_name": "Northstar", "redirect_uris": [REDIRECT_URI],
                "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
                "token_endpoint_auth_method": "client_secret_basic", "application_type": "web", "scope": "a b",
            })
        );
        let local = Registration { redirect_uri: "http://127.0.0.1:9000/connect/callback", ..registration() };
        let sent: Value = serde_json::from_slice(&request(&local)).unwrap();
        assert_eq!((&sent["application_type"], sent.get("scope")), (&json!("native"), None));
    }

    #[test]
    fn an_answer_is_taken_as_far_as_it_is_needed() {
        let answer = json!({ "client_id": "c1", "client_secret": "s 1", "client_secret_expires_at": 0, "x": {} });
        let registered = read(answer.to_string().as_bytes(), &registration()).unwrap();
        assert_eq!((registered.client_id.as_str(), registered.auth_method), ("c1", AuthMethod::Basic));
        assert_eq!(registered.client_secret.unwrap().expose_secret(), "s 1");
        assert_eq!(registered.secret_expires_at, None);

        let answer = json!({
            "client_id": "c1", "client_secret": "s", "client_secret_expires_at": 5, "token_endpoint_auth_method": "none",
            "redirect_uris": [REDIRECT_URI, "https://other.example.com/"],
        });
        let registered = read(answer.to_string().as_bytes(), &registration()).unwrap();
        assert!(registered.client_secret.is_none() && registered.secret_expires_at.is_none());
        assert_eq!(registered.auth_method, AuthMethod::None);
    }

    #[test]
    fn an_answer_that_is_not_what_was_asked_for_is_refused() {
        for answer in [
            json!([]),
            json!({}),
            json!({ "client_id": 1, "client_secret": "s" }),
            json!({ "client_id": "", "client_secret": "s" }),
            json!({ "client_id": "a\r\nb", "client_secret": "s" }),
            json!({ "client_id": "a".repeat(1_025), "client_secret": "s" }),
            json!({ "client_id": "c1" }),
            json!({ "client_id": "c1", "client_secret": "" }),
            json!({ "client_id": "c1", "client_secret": "\u{e9}" }),
            json!({ "client_id": "c1", "client_secret": "s", "redirect_uris": [] }),
            json!({ "client_id": "c1", "client_secret": "s", "redirect_uris": ["https://evil.example/"] }),
            json!({ "client_id": "c1", "client_secret": "s", "token_endpoint_auth_method": "tls_client_auth" }),
            json!({ "client_id": "c1", "client_secret": "s", "token_endpoint_auth_method": "private_key_jwt" }),
        ] {
            assert!(unusable(answer.clone()), "{answer}");
        }
    }

    #[test]
    fn a_refusal_is_told_by_a_code_that_is_known() {
        let body = |code: &str| json!({ "error": code, "error_description": "s3cret" }).to_string();
        let refused = |status, body: &str| super::refused(status, body.as_bytes());
        assert_eq!(refused(400, &body("invalid_redirect_uri")), RegistrationError::Refused("invalid_redirect_uri"));
        assert_eq!(refused(400, &body("s3cret")), RegistrationError::Status(400));
        assert_eq!(refused(500, &body("invalid_redirect_uri")), RegistrationError::Status(500));
        assert_eq!(refused(302, "<html>"), RegistrationError::Status(302));
    }

    #[test]
    fn a_secret_is_registered_where_there_is_one() {
        use AuthMethod::{Basic, None as Public, Post, PrivateKeyJwt};
        for (offered, expected) in [
            (None, Some(Basic)),
            (Some(&[Public, Post][..]), Some(Post)),
            (Some(&[Public][..]), Some(Public)),
            (Some(&[PrivateKeyJwt][..]), None),
        ] {
            assert_eq!(registrable_method(offered), expected, "{offered:?}");
        }
    }
}
