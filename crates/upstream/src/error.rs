//! Why an upstream gave no answer.

use std::time::Duration;

/// See the module's head. No variant holds text of the upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// 401: it does not take our token, or wants one.
    #[error("the upstream does not accept our access token")]
    Unauthorized,
    /// 403, without more that is known.
    #[error("the upstream refuses our access token's rights")]
    Forbidden,
    /// 403 with `insufficient_scope` (RFC 6750 §3.1); the scopes that it wants, if it says so in the characters of a scope.
    #[error("the upstream wants an access token with more scopes")]
    InsufficientScope(Option<String>),
    /// 404: it has no MCP endpoint there.
    #[error("the upstream has no MCP server at this URL")]
    NotFound,
    /// 429 or a 503 with `Retry-After`.
    #[error("the upstream takes no more calls for now")]
    RateLimited(Option<Duration>),
    /// The URL, or the address behind it, may not be asked.
    #[error("the upstream's URL is not allowed")]
    Url,
    /// No connection; nothing was sent.
    #[error("the upstream cannot be reached")]
    Unreachable,
    /// Nothing was sent: it failed several times in a row and is left alone for so long.
    #[error("the upstream failed several times in a row and is left alone for a moment")]
    LeftAlone(Duration),
    /// The connection broke before the whole answer had come; it may have done what it was asked.
    #[error("the connection to the upstream broke before the whole answer had come")]
    Interrupted,
    /// No whole answer in time; it may have done what it was asked.
    #[error("the upstream did not answer in time")]
    TimedOut,
    /// Larger than is read.
    #[error("the upstream's answer is too large")]
    TooLarge,
    /// Another status.
    #[error("the upstream answered with status {0}")]
    Status(u16),
    /// A JSON-RPC error with this code.
    #[error("the upstream answered with JSON-RPC error {0}")]
    Rpc(i64),
    /// An answer that is not one of MCP: what is wrong with it.
    #[error("the upstream's answer is not one of MCP: {0}")]
    Protocol(&'static str),
}
