//! Where a client puts its id and secret, or its assertion: the `Authorization` header or the body, never both
//! (RFC 6749 §2.3, RFC 7521 §4.2).

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use http_api::ApiRequest;
use registry::{AuthMethod, ClientId};
use secrecy::SecretString;
use serde::Deserialize;

use crate::error::TokenError;
use crate::form::{self, Form};

/// RFC 7523 §2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What the caller claims to be.
pub enum Credentials {
    /// A client id and its secret.
    Secret {
        /// The id, not checked.
        unverified_client_id: String,
        /// The secret, not checked.
        unverified_secret: SecretString,
        /// Where they were.
        method: AuthMethod,
    },
    /// A signed assertion.
    Assertion {
        /// Whom it is about, not checked.
        unverified_client_id: ClientId,
        /// The JWT, not checked.
        unverified_assertion: SecretString,
    },
}

impl Credentials {
    /// Finds the credentials of a request.
    ///
    /// # Errors
    /// [`TokenError::InvalidClient`] when there are none, or the header or the assertion is broken;
    /// [`TokenError::InvalidRequest`] when there are two.
    pub fn find(request: &ApiRequest, form: &Form) -> Result<Credentials, TokenError> {
        let body_id = form.one("client_id");
        let body_secret = form.one("client_secret");
        let in_header = request.headers.contains_key(AUTHORIZATION);
        if form.one("client_assertion").is_some() || form.one("client_assertion_type").is_some() {
            if in_header || body_secret.is_some() {
                return Err(TokenError::InvalidRequest("an assertion and a secret are sent: send one of them"));
            }
            return assertion(form, body_id);
        }
        if !in_header {
            return match (body_id, body_secret) {
                (Some(id), Some(secret)) => Ok(Credentials::secret(id, secret, AuthMethod::ClientSecretPost)),
                _ => Err(TokenError::InvalidClient),
            };
        }
        if body_secret.is_some() {
            return Err(TokenError::InvalidRequest(
                "credentials are in the header and in the body: send them in one place",
            ));
        }
        let header = request.header(AUTHORIZATION).ok_or(TokenError::InvalidClient)?;
        let (id, secret) = basic(header).ok_or(TokenError::InvalidClient)?;
        if body_id.is_some_and(|body_id| body_id != id) {
            return Err(TokenError::InvalidRequest("the client_id in the body is not the one in the header"));
        }
        Ok(Credentials::secret(&id, &secret, AuthMethod::ClientSecretBasic))
    }

    fn secret(id: &str, secret: &str, method: AuthMethod) -> Credentials {
        Credentials::Secret {
            unverified_client_id: id.to_owned(),
            unverified_secret: SecretString::from(secret),
            method,
        }
    }
}

/// RFC 7521 §4.2: the client is the subject of its assertion; a `client_id` beside it has to be the same.
fn assertion(form: &Form, body_id: Option<&str>) -> Result<Credentials, TokenError> {
    if form.one("client_assertion_type") != Some(JWT_BEARER) {
        return Err(TokenError::InvalidRequest(
            "the client_assertion_type is urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ));
    }
    let assertion = form
        .one("client_assertion")
        .ok_or(TokenError::InvalidRequest("a client_assertion_type is sent without a client_assertion"))?;
    let id = subject(assertion).ok_or(TokenError::InvalidClient)?;
    if body_id.is_some_and(|body_id| body_id != id.as_str()) {
        return Err(TokenError::InvalidClient);
    }
    let unverified_assertion = SecretString::from(assertion);
    Ok(Credentials::Assertion { unverified_client_id: id, unverified_assertion })
}

/// Whom an assertion says that it is about; nothing of it is verified yet.
fn subject(unverified_assertion: &str) -> Option<ClientId> {
    #[derive(Deserialize)]
    struct Subject {
        sub: ClientId,
    }
    let payload = BASE64_URL_SAFE_NO_PAD.decode(unverified_assertion.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Subject>(&payload).ok().map(|claims| claims.sub)
}

/// Reads `Basic <base64>`; RFC 6749 §2.3.1: both halves are form-encoded before base64.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = BASE64_STANDARD.decode(encoded).ok()?;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    let (id, secret) = (form::decode(&pair[..colon])?, form::decode(&pair[colon + 1..])?);
    (!id.is_empty() && !secret.is_empty()).then_some((id, secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(pair: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(pair))
    }

    #[test]
    fn both_halves_are_form_decoded_after_base64() {
        let expected = Some(("a:b".to_owned(), "c+ %é".to_owned()));
        assert_eq!(basic(&header("a%3Ab:c%2B+%25%C3%A9")), expected);
    }

    #[test]
    fn broken_headers_are_refused() {
        let two_spaces = header("a:b").replace(' ', "  ");
        let trailing = format!("{} x", header("a:b"));
        for text in ["Basic", "Basic ", "Basic !!!", "Bearer x", "", " ", &two_spaces, &trailing] {
            assert_eq!(basic(text), None, "{text:?}");
        }
        for pair in ["ab", ":", "a:", ":b", "a:%zz", "a:%", "%:b"] {
            assert_eq!(basic(&header(pair)), None, "{pair:?}");
        }
        assert!(basic(&header("a:b").replace("Basic", "bASIC")).is_some());
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(text in "\\PC*") {
            let _ = basic(&text);
            let _ = basic(&header(&text));
        }
    }
}
