//! Every way a consent ends badly, and how it is told to an administrator.

use std::time::SystemTime;

use http::StatusCode;
use oauth_client::{ConsentError, OAuthError};

/// Why there is no grant.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such path.
    NotFound,
    /// Another method than GET: a HEAD of somebody who looks at links uses nothing up.
    Method,
    /// A browser fetches ahead of its user; nothing is used up.
    Prefetch,
    /// No ticket, or one that is unknown, used up, expired, or for another connection. All alike.
    Link,
    /// No `state`, or one that is unknown, used up or expired, or that came to another redirect URI than its consent's.
    State,
    /// The browser is not the one in which the consent began.
    OtherBrowser,
    /// The registration has been changed or removed since the consent began.
    Outdated,
    /// The registration cannot work.
    Misconfigured(&'static str),
    /// The answer of the authorization server is refused, or is a refusal.
    Consent(ConsentError),
    /// The token endpoint gave nothing, and may another time.
    Server(&'static str),
    /// A table, the service of the keys, or the secrets do not answer.
    Unavailable {
        /// The ticket or the consent is used up.
        begin_anew: bool,
    },
}

impl Refusal {
    /// That something of ours does not answer; the operator learns what, in a line of its own.
    pub fn unavailable(begin_anew: bool, error: &dyn std::fmt::Display, now: SystemTime) -> Refusal {
        let refusal = Refusal::Unavailable { begin_anew };
        request_log::problem("connect", refusal.code(), &error.to_string(), now);
        refusal
    }
}

impl From<ConsentError> for Refusal {
    fn from(error: ConsentError) -> Refusal {
        Refusal::Consent(error)
    }
}

/// The outcome of a consent that has become a grant: one without a refresh token is accepted, but said.
pub fn accepted(without_refresh_token: bool) -> &'static str {
    const OK: &str = "ok";
    match without_refresh_token {
        true => "consent_without_refresh_token",
        false => OK,
    }
}

/// What a page says.
pub struct Words {
    /// What happened, in a few words.
    pub title: &'static str,
    /// What it means, in whole sentences.
    pub cause: String,
    /// What to do about it, in whole sentences.
    pub remedy: String,
}

impl Refusal {
    /// The stable code (`docs/errors.md`).
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NotFound => "not_found",
            Refusal::Method => "method_not_allowed",
            Refusal::Prefetch => "consent_prefetched",
            Refusal::Link => "consent_link_invalid",
            Refusal::State => "consent_state_unknown",
            Refusal::OtherBrowser => "consent_other_browser",
            Refusal::Outdated => "consent_outdated",
            Refusal::Misconfigured(_) => "connection_misconfigured",
            Refusal::Consent(error) => error.code(),
            Refusal::Server(_) => "consent_server_unavailable",
            Refusal::Unavailable { .. } => "temporarily_unavailable",
        }
    }

    /// The status of its page.
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::NotFound => StatusCode::NOT_FOUND,
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Prefetch => StatusCode::TOO_EARLY,
            Refusal::Link | Refusal::OtherBrowser => StatusCode::FORBIDDEN,
            Refusal::State | Refusal::Outdated => StatusCode::BAD_REQUEST,
            Refusal::Misconfigured(_) => StatusCode::CONFLICT,
            Refusal::Server(_) => StatusCode::BAD_GATEWAY,
            Refusal::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Consent(error) => match error {
                _ if error.code() == "consent_server_unavailable" => StatusCode::BAD_GATEWAY,
                ConsentError::ResponseInvalid | ConsentError::Refused(_) => StatusCode::BAD_REQUEST,
                _ => StatusCode::FORBIDDEN,
            },
        }
    }

    /// What its page says. `connect` is the command that makes a new link, `show` the one that shows the registration.
    pub fn words(&self, connect: &str, show: &str) -> Words {
        let anew = format!("Make a new link with {connect}, and open it.");
        let words = |title, cause: &str, remedy: &str| Words { title, cause: cause.into(), remedy: remedy.into() };
        match self {
            Refusal::NotFound => words("There is nothing here", "This address has no page.", &anew),
            Refusal::Method => words("Open the link in a browser", "A consent begins by opening its link.", &anew),
            Refusal::Prefetch => words(
                "Not opened yet",
                "Your browser loaded the link ahead of you, and nothing has happened.",
                "Open the link.",
            ),
            Refusal::Link => words(
                "This link does not work",
                "It has been used already, is older than ten minutes, or is not whole. A link works once.",
                &anew,
            ),
            Refusal::State => words(
                "This consent is over",
                "It has ended already, began more than ten minutes ago, or did not begin here. Nothing has been changed \
                 by this page.",
                &anew,
            ),
            Refusal::OtherBrowser => words(
                "This is another browser",
                "The consent began in another browser or window, another consent has begun in this one since, or it takes \
                 no cookies.",
                &format!("{anew} Stay in the same browser window to the end, and begin one consent at a time."),
            ),
            Refusal::Outdated => words(
                "The registration has changed",
                "While you consented, the connection was changed or removed.",
                &anew,
            ),
            Refusal::Misconfigured(problem) => Words {
                title: "The connection is not set up right",
                cause: format!("The consent cannot go on: {problem}."),
                remedy: format!("Look at the registration with {show}, and put it right. {anew}"),
            },
            Refusal::Consent(error) => of_consent(error, &anew, show),
            Refusal::Server(reason) => Words {
                title: "The authorization server does not answer",
                cause: format!("Your consent could not be exchanged for tokens: {reason}."),
                remedy: format!("Wait a minute. {anew}"),
            },
            Refusal::Unavailable { begin_anew: false } => words(
                "Try again in a moment",
                "A service that Northstar needs does not answer. Your link or consent has not been used up.",
                "Load this page again in a minute.",
            ),
            Refusal::Unavailable { begin_anew: true } => words(
                "Begin again in a moment",
                "A service that Northstar needs does not answer. Your link or consent has been used up, and no tokens were \
                 kept.",
                &format!("Wait a minute. {anew}"),
            ),
        }
    }
}

fn of_consent(error: &ConsentError, anew: &str, show: &str) -> Words {
    let words = |title, cause: &str, remedy: &str| Words { title, cause: cause.into(), remedy: remedy.into() };
    match error {
        ConsentError::ResponseInvalid => words(
            "The answer cannot be read",
            "The authorization server sent your browser back without a code and without an error, or with a parameter twice.",
            anew,
        ),
        ConsentError::IssuerMissing => words(
            "The answer does not say whom it is from",
            "The authorization server promises to name itself in its answers, and this answer names nobody. It may come from \
             another server, so it was not used.",
            &format!("{anew} If it happens again, compare the issuer in {show} with the server's metadata."),
        ),
        ConsentError::IssuerWrong => words(
            "The answer is from another server",
            "The answer names another authorization server than the one that was asked, so it was not used.",
            &format!(
                "Compare the issuer in {show} with the server's metadata. Of Salesforce it is the host that you log in at: \
                 login.salesforce.com, test.salesforce.com for a sandbox, or the My Domain. {anew}"
            ),
        ),
        ConsentError::IdentityInvalid => words(
            "The answer does not say rightly who you are",
            "The ID token that came with your consent is from another issuer, or for another client.",
            &format!("Compare issuer and client id in {show} with the server's. {anew}"),
        ),
        ConsentError::IdentityMissing => words(
            "The answer does not say who you are",
            "An earlier consent to this connection told who gave it, and this one does not, so it cannot be compared.",
            &format!(
                "Ask for the scopes that the first consent had (openid, of most servers). {anew} If the connection is to \
                 begin anew, remove it and add it again."
            ),
        ),
        ConsentError::OtherOrg => words(
            "This is another org",
            "You consented with a user of another org than the one that this connection belongs to. Nothing was kept.",
            &format!(
                "Log out there, or use a private window, and log in to the right org. {anew} To use another org, add a \
                 connection of its own."
            ),
        ),
        ConsentError::OtherUser => words(
            "This is another user",
            "You consented as another user than the one who did first. Nothing was kept, because tools would act with other \
             rights.",
            &format!(
                "Log out there, or use a private window, and log in as the first user ({show} names them). {anew} If another \
                 user is wanted, make the link with --new-user."
            ),
        ),
        ConsentError::Refused(refused) => of_refused(error.code(), refused.as_ref(), anew, show),
    }
}

fn of_refused(code: &str, error: Option<&OAuthError>, anew: &str, show: &str) -> Words {
    let said = match error {
        Some(error) => format!("The authorization server answered: {error}."),
        None => "The authorization server answered with an error that Northstar does not know.".to_owned(),
    };
    let (title, remedy) = match code {
        "consent_denied" => (
            "The consent was declined",
            "Somebody chose not to allow it, or the user may not use the app. Of Salesforce: allow the user in the app's \
             policies (Setup, External Client App Manager)."
                .to_owned(),
        ),
        "consent_scope_refused" => (
            "A scope is refused",
            format!(
                "Compare the scopes in {show} with those of the app. Of Salesforce's MCP servers they are mcp_api and \
                 refresh_token, and not api (Setup, External Client App Manager, OAuth Settings)."
            ),
        ),
        "consent_redirect_mismatch" => (
            "The redirect URI is not registered",
            format!(
                "Paste the redirect URI exactly as {show} prints it into the app. Of Salesforce: Setup, External Client App \
                 Manager, OAuth Settings, Callback URL; a change takes up to 30 minutes."
            ),
        ),
        "consent_client_refused" => (
            "The app is not accepted",
            format!(
                "Compare the client id in {show} with the app's consumer key, and whether the app wants a secret. Of \
                 Salesforce: a new or changed app takes up to 30 minutes to be known, and an app of a sandbox is known \
                 at test.salesforce.com or the My Domain of the sandbox alone."
            ),
        ),
        "consent_code_refused" => (
            "The code is not accepted",
            "The code was used already or is too old, or the app does not ask for PKCE as it should. Of Salesforce: turn on \
             \"Require Proof Key for Code Exchange\" in the app."
                .to_owned(),
        ),
        "consent_resource_refused" => (
            "The server does not know this resource",
            format!("Compare the URL of the upstream in {show} with the one that its documentation gives."),
        ),
        "consent_server_unavailable" => ("The authorization server is in trouble", "Wait a minute.".to_owned()),
        _ => ("The authorization server refuses", format!("Compare the settings in {show} with those of the app.")),
    };
    Words { title, cause: said, remedy: format!("{remedy} {anew}") }
}
