//! The cookie of a consent: the code verifier, which is in the browser alone.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_api::ApiRequest;
use oauth_client::consents::LIFETIME;
use registry::PublicUrl;
use secrecy::{ExposeSecret, SecretString};

/// How the cookie is named and guarded.
pub struct Cookie {
    name: &'static str,
    guard: &'static str,
}

impl Cookie {
    /// Of a public URL with https one that no other host can set (RFC 6265bis §4.1.3.2). A browser takes no such cookie over
    /// http, which a public URL has on this machine alone.
    pub fn of(public_url: &PublicUrl) -> Cookie {
        if public_url.as_str().starts_with("https://") {
            Cookie { name: "__Host-northstar-connect", guard: "Path=/; HttpOnly; SameSite=Lax; Secure" }
        } else {
            Cookie { name: "northstar-connect", guard: "Path=/; HttpOnly; SameSite=Lax" }
        }
    }

    /// The code verifier that a browser brings.
    pub fn read(&self, request: &ApiRequest) -> Option<SecretString> {
        request.cookie(self.name).map(|value| value.to_owned().into())
    }

    /// Gives a code verifier to the browser. `Lax`: it comes back with the redirect of another site.
    pub fn set(&self, response: Response<Bytes>, code_verifier: &SecretString) -> Response<Bytes> {
        self.with(
            response,
            &format!("{}={}; Max-Age={LIFETIME}; {}", self.name, code_verifier.expose_secret(), self.guard),
        )
    }

    /// Takes it away.
    pub fn cleared(&self, response: Response<Bytes>) -> Response<Bytes> {
        self.with(response, &format!("{}=; Max-Age=0; {}", self.name, self.guard))
    }

    fn with(&self, mut response: Response<Bytes>, cookie: &str) -> Response<Bytes> {
        if let Ok(value) = HeaderValue::from_str(cookie) {
            response.headers_mut().insert(header::SET_COOKIE, value);
        }
        response
    }
}
