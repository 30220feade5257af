//! The claims of an access token (RFC 9068 §2.2).

use serde::{Deserialize, Serialize};

/// Claims of one access token. Those that come out of [`Verifier::verify`](crate::Verifier::verify) are proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: the public base URL.
    pub iss: String,
    /// Subject: `client:` and the client id, so that it can never equal a user's (RFC 9068 §5).
    pub sub: String,
    /// Audience: the URL of one MCP server, a single string.
    pub aud: String,
    /// Client id.
    pub client_id: String,
    /// Granted scopes, separated by spaces.
    pub scope: String,
    /// Time of issue, seconds since 1970.
    pub iat: u64,
    /// Expiry, seconds since 1970.
    pub exp: u64,
    /// Not valid before, seconds since 1970. Ours carry none; one that is there is obeyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// Identifier of the token, 128 random bits.
    pub jti: String,
    /// Version of the client's registration that the token was issued from; a private claim (RFC 7519 §4.3), by which
    /// the tokens of a client are cut.
    #[serde(default)]
    pub client_version: u64,
}
