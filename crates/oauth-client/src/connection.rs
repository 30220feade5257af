//! What a token request needs to know of a connection; made from its record in the registry.

use registry::{ConnectionName, Flow};

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
}
