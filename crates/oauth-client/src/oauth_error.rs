//! Error answers of authorization servers (RFC 6749 §4.1.2.1 and §5.2, RFC 8707 §2, OpenID Connect Core §3.1.2.6, and
//! Salesforce's own): known codes and texts alone. Others are left out, for they could repeat what was sent.

use std::fmt;

/// A known error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthError {
    /// Its code.
    pub code: &'static str,
    /// What the server said with it, if that holds one of the known texts.
    pub said: Option<&'static str>,
}

impl OAuthError {
    /// `None` when the code is none of the known ones.
    pub fn read(code: &str, description: &str) -> Option<OAuthError> {
        let code = CODES.iter().find(|known| **known == code)?;
        let described = description.to_ascii_lowercase();
        let said = KNOWN_DESCRIPTIONS.iter().find(|known| described.contains(&known.to_ascii_lowercase()));
        Some(OAuthError { code, said: said.copied() })
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.said {
            Some(said) => write!(formatter, "{} ({said})", self.code),
            None => formatter.write_str(self.code),
        }
    }
}

const CODES: [&str; 25] = [
    "access_denied",
    "app_not_found",
    "consent_required",
    "inactive_org",
    "inactive_user",
    "interaction_required",
    "invalid_app_access",
    "invalid_assertion",
    "invalid_client",
    "invalid_client_id",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "login_required",
    "rate_limit_exceeded",
    "redirect_uri_mismatch",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "OAUTH_APP_ACCESS_DENIED",
    "OAUTH_APPROVAL_ERROR_GENERIC",
    "OAUTH_AUTHORIZATION_BLOCKED",
];

/// What Salesforce says with them.
const KNOWN_DESCRIPTIONS: [&str; 24] = [
    "expired access/refresh token",
    "token validity expired",
    "expired authorization code",
    "invalid authorization code",
    "invalid code verifier",
    "missing required code challenge",
    "authentication failure",
    "inactive user",
    "inactive organization",
    "user hasn't approved this consumer",
    "user is not admin approved to access this app",
    "end-user denied authorization",
    "invalid assertion",
    "audience is invalid",
    "no client credentials user enabled",
    "request not supported on this domain",
    "ip restricted",
    "client identifier invalid",
    "invalid client credentials",
    "client secret invalid",
    "the requested scope is not allowed",
    "redirect_uri must match configuration",
    "redirect_uri missing",
    "Cross-org OAuth flows are not supported for this external client app",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_codes_and_texts_are_kept() {
        let read = |code, said| OAuthError::read(code, said).map(|error| error.to_string());
        assert_eq!(read("access_denied", ""), Some("access_denied".to_owned()));
        assert_eq!(
            read("access_denied", "End-User denied authorization"),
            Some("access_denied (end-user denied authorization)".to_owned())
        );
        assert_eq!(read("invalid_grant", "you sent 5Aep861"), Some("invalid_grant".to_owned()));
        for code in ["", "ACCESS_DENIED", "access_denied ", "<script>", "5Aep861"] {
            assert_eq!(read(code, "access_denied"), None, "{code}");
        }
    }
}
