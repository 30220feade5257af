//! What to do about a refusal of Salesforce, and on which page of Setup.

use oauth_client::GrantError;
use registry::Flow;
use salesforce::{Code, SalesforceError};

/// What the authorization server says, and what to do. The longer texts first: some contain others.
const REFUSALS: &[(&str, &str)] = &[
    (
        "no client credentials user enabled",
        "Choose a user that the app runs as: Setup > External Client App Manager > the app > Policies > OAuth Policies > \
         Client Credentials Flow > Run As; the flow itself is switched on under Settings > OAuth Settings > Flow Enablement.",
    ),
    (
        "request not supported on this domain",
        "Client credentials are answered at the My Domain alone: Setup > My Domain shows it. Give it as --login-url: \
         northstar org add … --replace.",
    ),
    (
        "client identifier invalid",
        "The consumer key is not one of this org: compare it with Setup > External Client App Manager > the app > Settings \
         > OAuth Settings > Consumer Key and Secret, and the login URL with Setup > My Domain. An app that was just made \
         is known after up to 30 minutes.",
    ),
    (
        "invalid client credentials",
        "The consumer secret is another one: Setup > External Client App Manager > the app > Settings > OAuth Settings > \
         Consumer Key and Secret; give it anew with northstar org add … --replace. An app that was just made is known \
         after up to 30 minutes.",
    ),
    (
        "user hasn't approved this consumer",
        "Let an administrator approve the user beforehand: Setup > External Client App Manager > the app > Policies > OAuth \
         Policies > Permitted Users: Admin approved users are pre-authorized; then App Policies: select a profile or \
         permission set of the user.",
    ),
    (
        "invalid assertion",
        "The certificate of the app does not belong to the private key, or the clock of this machine is wrong: Setup > \
         External Client App Manager > the app > Settings > OAuth Settings > Flow Enablement > JWT Bearer Flow.",
    ),
    (
        "audience is invalid",
        "The audience is https://login.salesforce.com, for a sandbox https://test.salesforce.com: give it as --audience \
         with northstar org add … --replace.",
    ),
    ("inactive user", "The user is not active: Setup > Users. For another one: the app's Run As user, or --subject."),
    ("inactive organization", "The org is locked or has expired: its login page says more."),
    (
        "ip restricted",
        "The user may not log in from there: Setup > External Client App Manager > the app > Policies > OAuth Policies > IP \
         Relaxation, or the Login IP Ranges of the user's profile.",
    ),
    (
        "scope is not allowed",
        "The app lacks a scope: Setup > External Client App Manager > the app > Settings > OAuth Settings > OAuth Scopes: \
         Manage user data via APIs (api), and for refresh tokens also Perform requests at any time (refresh_token).",
    ),
    (
        "Cross-org OAuth flows",
        "The app works in the org that it was made in alone: make one in this org, or set its Distribution State to \
         Packaged.",
    ),
    (
        "expired access/refresh token",
        "The refresh token has ended, was revoked, or has been used and replaced: Setup > External Client App Manager > the \
         app > Policies > OAuth Policies > Refresh Token Policy. Get a new one, and northstar org add … --replace.",
    ),
    (
        "token validity expired",
        "The refresh token has ended: Setup > External Client App Manager > the app > Policies > OAuth Policies > Refresh \
         Token Policy. Get a new one, and northstar org add … --replace.",
    ),
    (
        "unsupported_grant_type",
        "The flow is not switched on: Setup > External Client App Manager > the app > Settings > OAuth Settings > Flow \
         Enablement.",
    ),
    (
        "invalid_client",
        "Consumer key or secret is another one: Setup > External Client App Manager > the app > Settings > OAuth Settings > \
         Consumer Key and Secret. An app that was just made is known after up to 30 minutes.",
    ),
    (
        "invalid_app_access",
        "The user may not use the app: Setup > External Client App Manager > the app > Policies > OAuth Policies > \
         Permitted Users, and App Policies.",
    ),
    ("app_not_found", "There is no such app in the org: Setup > External Client App Manager."),
];

const HISTORY: &str = "Setup > Login History says what Salesforce thinks of the attempt.";

/// What to do when there is no token.
pub fn of_grant(error: &GrantError, flow: &Flow) -> String {
    match error {
        GrantError::NeedsAttention { reason, .. } => {
            let known = REFUSALS.iter().find(|(said, _)| reason.contains(said));
            known.map_or(HISTORY, |(_, advice)| advice).to_owned()
        }
        GrantError::NotConnected(name) => {
            format!(
                "It has no refresh token: get one by northstar org connect {name}, or give it with northstar org add {name} … \
                 --replace."
            )
        }
        GrantError::Damaged(name) => format!("Give it anew: northstar org add {name} … --replace."),
        GrantError::Misconfigured { connection, .. } => {
            let page = match flow {
                Flow::JwtBearer { .. } => "the private key whose certificate the app has",
                _ => "the consumer secret: Setup > External Client App Manager > the app > Settings > OAuth Settings",
            };
            format!("Register it again with northstar org add {connection} … --replace, and {page}.")
        }
        GrantError::Unavailable { reason, .. } if reason.contains("cannot be reached") => {
            "Compare the login URL with Setup > My Domain; a proxy or a firewall may also be in between.".to_owned()
        }
        GrantError::Unavailable { reason, .. } if reason.contains("redirect") => {
            "Compare the login URL with Setup > My Domain: this host sends to another one.".to_owned()
        }
        GrantError::Unavailable { .. } => "Try again in a few seconds.".to_owned(),
    }
}

/// What to do when the REST API refuses.
pub fn of_api(error: &SalesforceError) -> String {
    let by_code = match error.salesforce_code.as_deref() {
        Some("API_DISABLED_FOR_ORG" | "API_CURRENTLY_DISABLED") => {
            "The user lacks API Enabled: Setup > Permission Sets, or Profiles, > System Permissions. Not every edition has \
             the API."
        }
        Some("REQUEST_LIMIT_EXCEEDED") => {
            "The org has used up its API requests: Setup > Company Information > API Requests, Last 24 Hours."
        }
        Some("INVALID_TYPE" | "INSUFFICIENT_ACCESS" | "INSUFFICIENT_ACCESS_OR_READONLY" | "NOT_FOUND") => {
            "The user may not see it: Setup > Permission Sets, or Profiles, > Object Settings."
        }
        Some("UNSUPPORTED_API_VERSION") => {
            "The org has no such API version: give one that it has as --api-version (northstar org add … --replace)."
        }
        Some("INVALID_SESSION_ID") => {
            "The session is refused at once: Setup > Session Settings, and the app's Policies > OAuth Policies > IP Relaxation."
        }
        _ => return error.code.advice().to_owned(),
    };
    by_code.to_owned()
}

/// What to do when the org cannot be asked at all.
pub fn unreachable(code: Code) -> Option<&'static str> {
    let message = "Compare --instance-url and the login URL with Setup > My Domain; a proxy or a firewall may also be in between.";
    matches!(code, Code::OrgUnreachable | Code::OrgTimedOut).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_leads_to_a_page_of_setup() {
        let flow = Flow::ClientCredentials { client_auth: registry::ClientAuth::Post };
        let said = |reason: &str| {
            of_grant(&GrantError::NeedsAttention { connection: "sales".into(), reason: reason.into() }, &flow)
        };
        assert!(said("invalid_grant (no client credentials user enabled)").contains("Run As"));
        assert!(said("invalid_client (invalid client credentials)").contains("consumer secret"));
        assert!(said("invalid_client").contains("Consumer key or secret"));
        assert_eq!(said("invalid_grant"), HISTORY);
        for (_, advice) in REFUSALS {
            assert!(advice.ends_with('.') && !advice.contains("  "), "{advice}");
        }
    }
}
