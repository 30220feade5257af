//! Why there is no access token.

/// See the module's head. No variant holds a secret, or text of the authorization server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Nobody has connected it yet.
    #[error("the connection {0} has no grant yet: an administrator has to connect it")]
    NotConnected(String),
    /// The authorization server refuses the grant or the client; an administrator has to look. It is not asked again
    /// until the connection is made anew.
    #[error("the connection {connection} needs the attention of an administrator: {reason}")]
    NeedsAttention {
        /// Its name.
        connection: String,
        /// The authorization server's error code, with what is known of its cause.
        reason: String,
    },
    /// The record is not what we wrote: changed, swapped, or an earlier one.
    #[error("the stored grant of the connection {0} is damaged: connect it anew")]
    Damaged(String),
    /// The registration cannot work: a secret is missing, or a URL is refused.
    #[error("the connection {connection} is not set up right: {problem}")]
    Misconfigured {
        /// Its name.
        connection: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The authorization server, a table, or the key service does not answer, or somebody else's refresh takes too
    /// long. Another try in a few seconds may work.
    #[error("no access token for the connection {connection} at the moment: {reason}")]
    Unavailable {
        /// Its name.
        connection: String,
        /// Who does not answer.
        reason: &'static str,
    },
}

impl GrantError {
    /// The stable code (`docs/errors.md`).
    pub fn code(&self) -> &'static str {
        match self {
            GrantError::NotConnected(_) => "connection_not_connected",
            GrantError::NeedsAttention { .. } => "connection_needs_attention",
            GrantError::Damaged(_) => "connection_damaged",
            GrantError::Misconfigured { .. } => "connection_misconfigured",
            GrantError::Unavailable { .. } => "connection_unavailable",
        }
    }
}
