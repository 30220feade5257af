//! What a client gets: for which server, with which scopes, for how long.

use std::time::SystemTime;

use access_token::{Claims, Scopes, SigningKey};
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use registry::client::seconds;
use registry::{Client, PublicUrl, ServerName};
use serde::Serialize;

use crate::error::{TokenError, not_stored};
use crate::form::Form;

/// A decision in a client's favour.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    client_id: String,
    client_version: u64,
    /// The server the token is for.
    pub server: ServerName,
    scopes: Scopes,
    lifetime: u64,
    client_expires_at: Option<u64>,
}

#[derive(Serialize)]
struct TokenResponse<'a> {
    access_token: String,
    token_type: &'a str,
    expires_in: u64,
    scope: &'a str,
}

impl Grant {
    /// Decides what an authenticated client gets.
    ///
    /// # Errors
    /// [`TokenError`] by RFC 6749 §5.2 and RFC 8707 §2: grant type, then resource, then scope.
    pub fn decide(client: &Client, form: &Form, public_url: &PublicUrl) -> Result<Grant, TokenError> {
        match form.one("grant_type") {
            None => return Err(TokenError::InvalidRequest("grant_type is missing")),
            Some("client_credentials") => {}
            Some(_) => return Err(TokenError::UnsupportedGrantType),
        }
        Ok(Grant {
            client_id: client.client_id.as_str().to_owned(),
            client_version: client.version,
            server: server(client, form, public_url)?,
            scopes: scopes(client, form.one("scope"))?,
            lifetime: client.token_lifetime,
            client_expires_at: client.expires_at,
        })
    }

    /// Signs the token and makes the answer (RFC 6749 §5.1).
    ///
    /// # Errors
    /// [`TokenError::NoSigningKey`] when the key cannot be used.
    pub fn issue(
        &self,
        key: &SigningKey,
        public_url: &PublicUrl,
        now: SystemTime,
    ) -> Result<Response<Bytes>, TokenError> {
        let scope = self.scopes.to_string();
        // No token outlives its client.
        let left = self.client_expires_at.map_or(u64::MAX, |end| end.saturating_sub(seconds(now)));
        let lifetime = self.lifetime.min(left);
        let claims = Claims {
            iss: public_url.as_str().to_owned(),
            sub: format!("client:{}", self.client_id),
            aud: self.server.url(public_url.as_str()),
            client_id: self.client_id.clone(),
            scope: scope.clone(),
            iat: seconds(now),
            exp: seconds(now) + lifetime,
            nbf: None,
            jti: random_jti(),
            client_version: self.client_version,
        };
        let access_token = key.sign(&claims).map_err(|_| TokenError::NoSigningKey)?;
        let body = TokenResponse { access_token, token_type: "Bearer", expires_in: lifetime, scope: &scope };
        Ok(not_stored(http_api::json(&body)))
    }
}

/// RFC 8707 §2, with one audience a token. Agentforce names no resource: it gets its first server.
fn server(client: &Client, form: &Form, public_url: &PublicUrl) -> Result<ServerName, TokenError> {
    let mut resources = form.all("resource").filter(|resource| !resource.is_empty());
    let resource = resources.next();
    if resources.next().is_some() {
        return Err(TokenError::InvalidTarget("a token is for one resource: name one"));
    }
    let allowed = match resource {
        None => client.servers.first(),
        Some(resource) => client.servers.iter().find(|server| server.url(public_url.as_str()) == resource),
    };
    allowed
        .cloned()
        .ok_or(TokenError::InvalidTarget("the resource is not the URL of a server that this client may call"))
}

fn scopes(client: &Client, requested: Option<&str>) -> Result<Scopes, TokenError> {
    let Some(requested) = requested else { return Ok(client.default_scopes) };
    let requested = Scopes::parse(requested).map_err(|error| {
        TokenError::InvalidScope(match error {
            access_token::ScopeError::Grammar => "scopes are separated by single spaces or commas",
            access_token::ScopeError::Unknown => "a scope is unknown: the scopes are mcp.read and mcp.write",
        })
    })?;
    if !client.scopes.permit_all(requested) {
        return Err(TokenError::InvalidScope("a scope is not granted to this client"));
    }
    Ok(requested)
}

fn random_jti() -> String {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).expect("the operating system's random generator works");
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
