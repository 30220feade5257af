//! Why there is no access token, or no grant.

use crate::oauth_error::OAuthError;

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

    /// The code for the log when the token endpoint gave this: it says whose trouble it is, for ours may undo a deployment.
    pub(crate) fn code_of_refresh(&self) -> &'static str {
        match self {
            GrantError::Unavailable { .. } => "authorization_server_unavailable",
            other => other.code(),
        }
    }
}

/// Why a consent ended without a grant. No variant holds a secret, or text of the authorization server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsentError {
    /// It is no authorization response (RFC 6749 §4.1.2): a parameter twice, or neither a code nor an error.
    #[error("the authorization server sent back something else than an authorization response")]
    ResponseInvalid,
    /// `iss` is promised and missing (RFC 9207 §2.4).
    #[error("the answer does not say which authorization server it is from")]
    IssuerMissing,
    /// `iss` is another authorization server (RFC 9207 §2.4).
    #[error("the answer is from another authorization server than the one that was asked")]
    IssuerWrong,
    /// The authorization server refuses, with one of the known errors or, `None`, another.
    #[error("the authorization server refuses: {}", .0.as_ref().map_or_else(|| "for an unknown reason".to_owned(), ToString::to_string))]
    Refused(Option<OAuthError>),
    /// The ID token is not one of this authorization server for this client (OpenID Connect Core §3.1.3.7).
    #[error("the ID token is from another issuer, or for another client")]
    IdentityInvalid,
    /// An earlier consent told who gave it, this one does not.
    #[error("the authorization server did not say who consented")]
    IdentityMissing,
    /// Somebody of another org (or issuer) consented than before.
    #[error("somebody of another org consented than before")]
    OtherOrg,
    /// Somebody else of the same org consented than before, and the link was not made for that.
    #[error("somebody else consented than before")]
    OtherUser,
}

impl ConsentError {
    /// The stable code (`docs/errors.md`).
    pub fn code(&self) -> &'static str {
        match self {
            ConsentError::ResponseInvalid => "consent_response_invalid",
            ConsentError::IssuerMissing => "consent_issuer_missing",
            ConsentError::IssuerWrong => "consent_issuer_wrong",
            ConsentError::Refused(error) => error.as_ref().map_or(REFUSED, refusal_code),
            ConsentError::IdentityInvalid => "consent_identity_invalid",
            ConsentError::IdentityMissing => "consent_identity_missing",
            ConsentError::OtherOrg => "consent_other_org",
            ConsentError::OtherUser => "consent_other_user",
        }
    }
}

const REFUSED: &str = "consent_refused";

/// By what an administrator has to put right.
fn refusal_code(error: &OAuthError) -> &'static str {
    match error.code {
        "access_denied" | "invalid_app_access" | "OAUTH_APP_ACCESS_DENIED" => "consent_denied",
        "invalid_scope" => "consent_scope_refused",
        "redirect_uri_mismatch" => "consent_redirect_mismatch",
        "invalid_client" | "invalid_client_id" | "unauthorized_client" | "app_not_found" => "consent_client_refused",
        "invalid_grant" => "consent_code_refused",
        "invalid_target" => "consent_resource_refused",
        "server_error" | "temporarily_unavailable" | "rate_limit_exceeded" => "consent_server_unavailable",
        _ => "consent_refused",
    }
}
