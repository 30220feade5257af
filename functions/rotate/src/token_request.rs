//! A token request with a pending secret (RFC 6749 §4.4), as the client itself would send it.

use std::sync::OnceLock;
use std::time::Duration;

use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt, Limited};
use registry::{AuthMethod, Client, PublicUrl};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};

use crate::error::RotationError;

/// Between two requests.
const PAUSE: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 64 * 1024;

/// Our own token endpoint, at its public address.
pub struct TokenEndpoint {
    url: String,
    patience: Duration,
    // The system's root certificates are loaded with it.
    connector: OnceLock<Connector>,
}

#[derive(Default, Deserialize)]
struct Answer {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    error: String,
}

impl TokenEndpoint {
    /// The token endpoint of an issuer, and how long it may refuse what it does not know yet.
    pub fn new(public_url: &PublicUrl, patience: Duration) -> TokenEndpoint {
        TokenEndpoint { url: format!("{}/token", public_url.as_str()), patience, connector: OnceLock::new() }
    }

    /// Whether a secret gets the client a token with its default scopes. A refusal may come from a process that has not
    /// read the client's record again: it is asked again until the patience is over.
    ///
    /// # Errors
    /// [`RotationError::TestFailed`] says what came instead; never the secret or the token.
    pub async fn accepts(&self, client: &Client, secret: &SecretString) -> Result<(), RotationError> {
        let end = Instant::now() + self.patience;
        loop {
            let failure = match self.ask(client, secret).await {
                Ok((200, answer)) if answer.access_token.is_empty() => {
                    "the token endpoint answers 200 without a token".into()
                }
                Ok((200, answer)) if answer.scope == client.default_scopes.to_string() => return Ok(()),
                Ok((200, _)) => "the token has other scopes than the client's defaults".into(),
                Ok((status, answer)) => format!("the token endpoint answers {status} {}", code(&answer.error)),
                Err(failure) => failure.to_owned(),
            };
            if Instant::now() + PAUSE > end {
                return Err(RotationError::TestFailed(failure));
            }
            sleep(PAUSE).await;
        }
    }

    async fn ask(&self, client: &Client, secret: &SecretString) -> Result<(u16, Answer), &'static str> {
        let exchange = async {
            let request = request(&self.url, client, secret).ok_or("the public URL is no address")?;
            let connector = self
                .connector
                .get_or_init(|| Connector::builder().tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc)).build());
            let response = connector.call(request).await.map_err(|_| "the token endpoint cannot be reached")?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|_| "the token endpoint breaks off its answer")?.to_bytes();
            Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
        };
        timeout(ANSWER, exchange).await.unwrap_or(Err("the token endpoint does not answer"))
    }
}

/// `None` when the URL is none.
fn request(url: &str, client: &Client, secret: &SecretString) -> Option<HttpRequest> {
    let mut body = "grant_type=client_credentials".to_owned();
    let mut request = http::Request::post(url).header("content-type", "application/x-www-form-urlencoded");
    let (id, secret) = (client.client_id.as_str(), form_encoded(secret.expose_secret()));
    if client.auth_methods.contains(&AuthMethod::ClientSecretPost) {
        body.push_str(&format!("&client_id={id}&client_secret={secret}"));
    } else {
        request =
            request.header("authorization", format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}"))));
    }
    HttpRequest::try_from(request.body(SdkBody::from(body)).ok()?).ok()
}

/// RFC 6749, Appendix B. A secret of ours needs no encoding, one that an operator has put there may.
fn form_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'*');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// An error code of RFC 6749 §5.2, if it looks like one.
fn code(error: &str) -> &str {
    let is_code = error.len() <= 40 && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_code { error } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_form_encoded() {
        assert_eq!(form_encoded("aZ9-_.*"), "aZ9-_.*");
        assert_eq!(form_encoded("a b+c%:é&="), "a%20b%2Bc%25%3A%C3%A9%26%3D");
    }

    #[test]
    fn what_is_no_error_code_is_not_repeated() {
        assert_eq!(code("invalid_client"), "invalid_client");
        for text in ["<script>", "Invalid", "a b", &"a".repeat(41)] {
            assert_eq!(code(text), "");
        }
    }
}
