//! Every way a request to the authorization server ends badly (RFC 6749 §5.2), and how it is told.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use quota::Limited;
use serde::Serialize;

/// Why there is no token. Descriptions never repeat what the caller sent.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The request is malformed.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The body is too large.
    #[error("the body is larger than 16 KiB")]
    TooLarge,
    /// No credentials, unknown client, wrong secret, disabled or expired client: all alike.
    #[error("client authentication failed")]
    InvalidClient,
    /// Wrong secrets from one address for one client id, too many in a row: in place of [`TokenError::InvalidClient`].
    #[error("too many failed attempts: check the client secret, and try again after the time in Retry-After")]
    TooManyAttempts {
        /// How long to wait, in whole seconds.
        retry_after: Duration,
    },
    /// An authenticated client asks for more tokens than its registration allows.
    #[error("{0}")]
    RateLimited(#[from] Limited),
    /// The grant type is not client credentials.
    #[error("the grant_type is client_credentials")]
    UnsupportedGrantType,
    /// `/authorize` exists because clients want it in the metadata; there is no authorization code flow.
    #[error("there is no authorization endpoint: use the client_credentials grant at the token endpoint")]
    UnsupportedResponseType,
    /// A scope that is malformed, unknown or not the client's.
    #[error("{0}")]
    InvalidScope(&'static str),
    /// A resource that is no server of this client (RFC 8707 §2).
    #[error("{0}")]
    InvalidTarget(&'static str),
    /// The path is served by other methods.
    #[error("the method is not allowed here")]
    Method(&'static str),
    /// No such path.
    #[error("there is nothing at this path")]
    NotFound,
    /// A table or a secret cannot be read.
    #[error("the token endpoint cannot read its configuration at the moment; try again")]
    Unavailable,
    /// The signing key is missing or unusable.
    #[error("there is no usable signing key")]
    NoSigningKey,
}

#[derive(Serialize)]
struct Body {
    error: &'static str,
    error_description: String,
}

impl TokenError {
    /// The stable code, as in the body and in `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            TokenError::InvalidRequest(_) | TokenError::TooLarge => "invalid_request",
            TokenError::InvalidClient => "invalid_client",
            TokenError::TooManyAttempts { .. } => "too_many_attempts",
            TokenError::RateLimited(_) => "rate_limited",
            TokenError::UnsupportedGrantType => "unsupported_grant_type",
            TokenError::UnsupportedResponseType => "unsupported_response_type",
            TokenError::InvalidScope(_) => "invalid_scope",
            TokenError::InvalidTarget(_) => "invalid_target",
            TokenError::Method(_) => "method_not_allowed",
            TokenError::NotFound => "not_found",
            TokenError::Unavailable => "temporarily_unavailable",
            TokenError::NoSigningKey => "server_error",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            TokenError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            TokenError::InvalidClient => StatusCode::UNAUTHORIZED,
            TokenError::TooManyAttempts { .. } | TokenError::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            TokenError::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            TokenError::NotFound => StatusCode::NOT_FOUND,
            TokenError::Unavailable | TokenError::NoSigningKey => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The answer.
    pub fn into_response(self) -> Response<Bytes> {
        let body = Body { error: self.code(), error_description: self.to_string() };
        let mut response = not_stored(http_api::json_with_status(self.status(), &body));
        // RFC 9110 §15.5.2: every 401 carries a challenge.
        if matches!(self, TokenError::InvalidClient) {
            http_api::set_challenge(&mut response, HeaderValue::from_static("Basic realm=\"northstar\""));
        }
        let headers = response.headers_mut();
        match self {
            TokenError::TooManyAttempts { retry_after } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs()));
            }
            TokenError::RateLimited(limited) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(limited.retry_after.as_secs()));
            }
            TokenError::Method(allowed) => {
                headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
            }
            TokenError::Unavailable | TokenError::NoSigningKey => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}

/// RFC 6749 §5.1: no answer of the token endpoint may be stored.
pub fn not_stored(mut response: Response<Bytes>) -> Response<Bytes> {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_description_keeps_to_the_characters_of_rfc_6749() {
        use TokenError::*;
        let attempts = TooManyAttempts { retry_after: Duration::ZERO };
        let limited = RateLimited(Limited {
            kind: quota::LimitKind::Client,
            limit: "60/min".to_owned(),
            retry_after: Duration::from_secs(1),
            resets_at: std::time::SystemTime::UNIX_EPOCH,
        });
        for error in [
            limited,
            TooLarge,
            InvalidClient,
            attempts,
            UnsupportedGrantType,
            UnsupportedResponseType,
            NotFound,
            Unavailable,
        ] {
            let text = error.to_string();
            assert!(text.bytes().all(|byte| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{text}");
        }
    }
}
