//! What a token request needs to know of a connection; made from its record in the registry.

use registry::{ConnectionName, Flow, Upstream, UpstreamAuth};
use serde_json::json;

use crate::items;

/// A connection, as its authorization server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its name, the one of its grant.
    pub name: ConnectionName,
    /// The token endpoint.
    pub token_endpoint: String,
    /// Client id that the authorization server gave us.
    pub client_id: String,
    /// How tokens are asked for.
    pub flow: Flow,
    /// Id of the secret that authenticates us: a client secret, or a private key in PEM for an assertion.
    pub secret_id: Option<String>,
    /// The issuer, `aud` of the assertions that authenticate us; without one it is the token endpoint.
    pub issuer: Option<String>,
    /// Where the tokens are to be used, `resource` of every token request (RFC 8707 §2.2).
    pub resource: Option<String>,
    /// The scopes that a consent and client credentials ask for; none leaves them to the authorization server.
    pub scopes: Vec<String>,
}

impl Connection {
    /// That of an upstream; `None` when its access tokens come from no authorization server.
    pub fn of_upstream(upstream: &Upstream) -> Option<Connection> {
        let UpstreamAuth::OAuth(oauth) = &upstream.auth else { return None };
        Some(Connection {
            name: upstream.name.clone(),
            token_endpoint: oauth.token_url.clone(),
            client_id: oauth.client_id.clone(),
            flow: oauth.flow.clone(),
            secret_id: oauth.secret_id.clone(),
            issuer: Some(oauth.issuer.clone()),
            resource: Some(oauth.resource.as_ref().unwrap_or(&upstream.url).clone()),
            scopes: oauth.scopes.clone(),
        })
    }

    /// What a grant is made for, as a SHA-256 digest in hexadecimal: at which authorization server, to which client, by
    /// which flow and for whom, and for which resource. What may change without a new grant is not in it.
    pub fn digest(&self) -> String {
        let flow = match &self.flow {
            Flow::RefreshToken { .. } => ["refresh_token", ""],
            Flow::ClientCredentials { .. } => ["client_credentials", ""],
            Flow::JwtBearer { subject, .. } => ["jwt_bearer", subject],
        };
        items::digest(&json!([self.token_endpoint, self.client_id, flow, self.resource]).to_string())
    }
}
