//! Every check of an upstream and every problem that it can have, with cause and fix: what `northstar upstream test` says,
//! in one place. `docs/doctor.md` has this table after that of the server (a test compares).
//!
//! `{name}`, `{url}`, `{redirect_uri}`, `{client_id}`, `{scope}`, `{issuer}`, `{login_host}` and `{result_page}` are filled
//! in when a finding is made.

#![expect(missing_docs, reason = "each entry says what it is: id, cause and fix")]

use crate::checks::{Check, Problem};
use crate::finding::Status;

const fn fail(id: &'static str, cause: &'static str, fix: &'static str) -> Problem {
    Problem { id, status: Status::Fail, cause, fix }
}

const fn warn(id: &'static str, cause: &'static str, fix: &'static str) -> Problem {
    Problem { id, status: Status::Warn, cause, fix }
}

// What several checks may find. Found again, it is told once.

pub const PROPAGATION: Problem = fail(
    "propagation",
    "the authorization server does not know the client id {client_id} yet: an External Client App that was just made or changed is known everywhere after up to 30 minutes",
    "wait, and run northstar upstream test {name} again. If it is the same after 30 minutes, compare the Consumer Key: Setup → External Client App Manager → (app) → Settings → OAuth Settings → Consumer Key and Secret",
);
pub const CLIENT_ID: Problem = fail(
    "client_id",
    "the authorization server does not know the client id {client_id}: it is the key of another app, or of an app in another org",
    "Setup → External Client App Manager → (app) → Settings → OAuth Settings → Consumer Key and Secret: compare the Consumer Key, then northstar upstream add {name} --replace … --client-id KEY",
);
pub const SANDBOX_HOST: Problem = fail(
    "sandbox_host",
    "production and sandbox are mixed: the MCP URL ({url}) is of the one, the login host {login_host} or the app of the other; test.salesforce.com does not know the apps of sandboxes with enhanced domains",
    "Setup → My Domain: Current My Domain URL. northstar upstream add {name} --replace … with --preset salesforce-sandbox for a sandbox or scratch org (its MCP URL begins with https://api.salesforce.com/platform/mcp/v1/sandbox/), --preset salesforce for any other, and --authorize-url, --token-url and --revoke-url on the My Domain",
);
pub const SCOPE: Problem = fail(
    "invalid_scope",
    "the app does not have every scope that is asked for ({scope}); hosted MCP servers want mcp_api, in place of which the generic api does not count",
    "Setup → External Client App Manager → (app) → Settings → OAuth Settings → OAuth Scopes: \"Access Salesforce hosted MCP servers (mcp_api)\" and \"Perform requests at any time (refresh_token, offline_access)\"; then ask for just these: northstar upstream add {name} --replace … --scope mcp_api --scope refresh_token",
);
pub const PKCE: Problem = fail(
    "pkce",
    "the authorization server refuses the proof of PKCE, or lacks one: it does not take code_challenge_method S256, or something between browser and server drops parameters",
    "Setup → External Client App Manager → (app) → Settings → Security: check \"Require Proof Key for Code Exchange (PKCE) extension for Supported Authorization Flows\". PKCE is always sent; an authorization server that cannot take it cannot be used",
);
pub const RIGHTS: Problem = fail(
    "rights",
    "the user who consented may not use the app, or may not use the hosted server",
    "Setup → External Client App Manager → (app) → Policies → OAuth Policies → Permitted Users, and App Policies: a profile or permission set of the user. For the server: Setup → Permission Sets → the one that gives access to it, assigned to the user; Setup → Users → (user): active, with API Enabled",
);
pub const SECRET_REQUIRED: Problem = fail(
    "secret_required",
    "the app wants a client secret, and none is registered here",
    "Setup → External Client App Manager → (app) → Settings → Security: uncheck \"Require secret for Web Server Flow\" and \"Require secret for Refresh Token Flow\"; or give the Consumer Secret on standard input: northstar upstream add {name} --replace … < secret.txt",
);
pub const SECRET: Problem = fail(
    "secret",
    "the client secret that is registered here is not the app's, or the app takes it in another place, or none at all",
    "Setup → External Client App Manager → (app) → Settings → OAuth Settings → Consumer Key and Secret: give the Consumer Secret anew (northstar upstream add {name} --replace … < secret.txt), try --client-auth basic or post, or give none where \"Require secret for Web Server Flow\" is off",
);
pub const UNREACHABLE: Problem = fail(
    "unreachable",
    "nothing answers there, or something else: host name or path are wrong, it has no public address, or a firewall is in between",
    "compare the URLs of northstar upstream show {name} with the upstream's own documentation, and the login host with Setup → My Domain",
);
pub const FAILING: Problem = fail(
    "failing",
    "the other side fails or takes no more requests at the moment",
    "try again later; https://status.salesforce.com says whether Salesforce has trouble",
);

// Its authorization server.

pub const ISSUER_MISMATCH: Problem = warn(
    "issuer_mismatch",
    "the authorization server's metadata names another issuer than the URL under which it is found (RFC 8414 §3.3); Salesforce's names https://login.salesforce.com or https://test.salesforce.com whichever host is asked. It is not believed: what is registered counts",
    "nothing, as long as consents succeed. If one ends with another issuer, register the one that authorization responses name: northstar upstream add {name} --replace … --issuer URL",
);
pub const PKCE_NOT_LISTED: Problem = warn(
    "pkce_missing",
    "the metadata does not list S256 in code_challenge_methods_supported, by which clients that go by it refuse to begin",
    "nothing, as long as consents succeed: PKCE is always sent. Setup → External Client App Manager → (app) → Settings → Security: \"Require Proof Key for Code Exchange (PKCE) extension for Supported Authorization Flows\" is checked",
);
pub const NO_REGISTRATION: Problem = fail(
    "no_registration",
    "there is no client id, and the authorization server offers no dynamic registration (RFC 7591): Salesforce never does",
    "make an app by hand: Setup → External Client App Manager → New External Client App (docs/upstreams.md), and give its Consumer Key as --client-id",
);
pub const NO_METADATA: Problem = warn(
    "no_metadata",
    "no metadata is found at the MCP URL or at its authorization server; what is registered here is used",
    "nothing, as long as consents succeed",
);
pub const METADATA: Check = Check {
    id: "upstream_metadata",
    what: "the metadata of the authorization server fits what is registered",
    problems: &[ISSUER_MISMATCH, PKCE_NOT_LISTED, NO_REGISTRATION, NO_METADATA],
};

pub const REDIRECT_URI: Problem = fail(
    "redirect_mismatch",
    "the app does not have the callback URL {redirect_uri}, which is compared letter by letter: another scheme, host or path, or a slash at the end",
    "Setup → External Client App Manager → (app) → Settings → OAuth Settings → Callback URL: {redirect_uri}",
);
pub const AUTHORIZATION_REFUSED: Problem = fail(
    "refused",
    "the authorization endpoint refuses the request for another reason",
    "open the link of northstar upstream connect {name} in a browser: the page there says more; Setup → Login History too",
);
pub const AUTHORIZATION: Check = Check {
    id: "upstream_authorization",
    what: "the authorization endpoint takes our client id, callback URL and scopes",
    problems: &[
        REDIRECT_URI,
        PROPAGATION,
        CLIENT_ID,
        SANDBOX_HOST,
        SCOPE,
        PKCE,
        RIGHTS,
        AUTHORIZATION_REFUSED,
        UNREACHABLE,
        FAILING,
    ],
};

pub const TOKEN_REFUSED: Problem = fail(
    "refused",
    "the token endpoint refuses us for another reason",
    "compare the URLs and the flow of northstar upstream show {name} with the app: Setup → External Client App Manager → (app) → Settings → OAuth Settings → Flow Enablement",
);
pub const TOKEN: Check = Check {
    id: "upstream_token",
    what: "the token endpoint takes us as its client",
    problems: &[
        SECRET_REQUIRED,
        SECRET,
        PROPAGATION,
        CLIENT_ID,
        SANDBOX_HOST,
        SCOPE,
        PKCE,
        RIGHTS,
        TOKEN_REFUSED,
        UNREACHABLE,
        FAILING,
    ],
};

// The consent.

pub const ISSUER: Problem = fail(
    "issuer",
    "the browser came back from another issuer than {issuer} (RFC 9207), or the answer lacked the issuer that was promised: the consent was refused, for the code may have been meant for another server",
    "register the issuer that the authorization server names in its answers: northstar upstream add {name} --replace … --issuer URL; for Salesforce https://login.salesforce.com, https://test.salesforce.com or the My Domain",
);
pub const OTHER_BROWSER: Problem = fail(
    "other_browser",
    "the consent came back in another browser than the one that began it, or after its cookie was gone",
    "northstar upstream connect {name}, and open the link in one browser that takes cookies",
);
pub const CONSENT_EXPIRED: Problem = fail(
    "consent_expired",
    "the link or the consent took longer than 10 minutes, or was used a second time",
    "northstar upstream connect {name} prints a new link",
);
pub const OTHER_ORG: Problem = fail(
    "other_identity",
    "somebody else than the first time logged in: another org, which is always refused, or another user, who may replace the first one when it is said",
    "log in as the user that northstar upstream show {name} names; for another user of the same org: northstar upstream connect {name} --new-user. For another org: northstar upstream remove {name}, and add it anew",
);
pub const DECLINED: Problem = fail(
    "declined",
    "whoever was asked declined, or may not allow the app",
    "northstar upstream connect {name}, log in as a user who may use the app, and choose Allow",
);
pub const NO_REFRESH_TOKEN: Problem = warn(
    "no_refresh_token",
    "the consent gave no refresh token: it ends with its first access token, after hours at most",
    "Setup → External Client App Manager → (app) → Settings → OAuth Settings → OAuth Scopes: \"Perform requests at any time (refresh_token, offline_access)\", and the same scope here (northstar upstream add {name} --replace … --scope mcp_api --scope refresh_token); then northstar upstream connect {name}",
);
pub const CONSENT_FAILED: Problem = fail(
    "failed",
    "the last consent did not come to its end",
    "docs/errors.md explains its code; then northstar upstream connect {name}",
);
pub const CONSENT: Check = Check {
    id: "upstream_consent",
    what: "the last consent came to its end",
    problems: &[
        ISSUER,
        OTHER_BROWSER,
        CONSENT_EXPIRED,
        OTHER_ORG,
        DECLINED,
        NO_REFRESH_TOKEN,
        REDIRECT_URI,
        SCOPE,
        PROPAGATION,
        CLIENT_ID,
        SANDBOX_HOST,
        SECRET_REQUIRED,
        SECRET,
        PKCE,
        RIGHTS,
        CONSENT_FAILED,
    ],
};

pub const CALLBACK: Problem = fail(
    "callback",
    "{redirect_uri} does not lead to the function connect: the public URL is another server's, or the API lacks the route",
    "open {redirect_uri} in a browser: a page of Northstar says that there is no consent, or that the link does not work. Deploy the stack again (make deploy), or start northstar serve with the --public-url that it has",
);
pub const PAGE: Problem = fail(
    "page",
    "after a consent the browser goes to {result_page}, which is not there",
    "northstar upstream add {name} --replace … --result-page URL with a page that exists, or without --result-page for our own",
);
pub const RESULT_PAGE: Check = Check {
    id: "upstream_result_page",
    what: "after a consent the browser comes to the right page",
    problems: &[CALLBACK, PAGE],
};

// The grant.

pub const NO_GRANT: Problem = fail(
    "missing",
    "nobody has consented yet",
    "northstar upstream connect {name}, and open the link in a browser within 10 minutes",
);
pub const EXPIRED: Problem = fail(
    "expired",
    "the consent has ended: the refresh token was revoked, has expired, or was used by another program",
    "northstar upstream connect {name}. So that it lasts: Setup → External Client App Manager → (app) → Policies → OAuth Policies → Refresh Token Policy: \"Refresh token is valid until revoked\"",
);
pub const DAMAGED: Problem =
    fail("damaged", "the stored grant is not as it was written", "northstar upstream connect {name}");
pub const MISCONFIGURED: Problem = fail(
    "misconfigured",
    "the registration cannot work: a secret is missing, or a URL is refused",
    "northstar upstream add {name} --replace …",
);
pub const GRANT_REFUSED: Problem = fail(
    "refused",
    "the authorization server refuses to renew the grant",
    "Setup → Login History says what Salesforce thinks of the attempt; then northstar upstream connect {name}",
);
pub const GRANT: Check = Check {
    id: "upstream_grant",
    what: "there is a grant, and it gives access tokens",
    problems: &[
        NO_GRANT,
        EXPIRED,
        DAMAGED,
        MISCONFIGURED,
        SECRET_REQUIRED,
        SECRET,
        PROPAGATION,
        CLIENT_ID,
        SANDBOX_HOST,
        SCOPE,
        RIGHTS,
        GRANT_REFUSED,
        UNREACHABLE,
        FAILING,
    ],
};

// The MCP server.

pub const NOT_JWT: Problem = fail(
    "not_jwt",
    "the access token is opaque, and hosted MCP servers take JWTs alone: the app does not issue them. The consent succeeds all the same",
    "Setup → External Client App Manager → (app) → Settings → Security: check \"Issue JSON Web Token (JWT)-based access tokens for named users\"; then northstar upstream connect {name}",
);
pub const NOT_ACTIVATED: Problem = fail(
    "not_activated",
    "the hosted MCP server is not activated in the org of the user, or its name in the URL is another one",
    "Setup → MCP Servers → Salesforce Servers → (server) → Activate; it answers after about 2 minutes. Compare its URL there with {url}",
);
pub const TOKEN_NOT_TAKEN: Problem = fail(
    "token_refused",
    "the MCP server does not take our access token: it is for another resource or issuer, or is revoked",
    "northstar upstream connect {name}; compare issuer and scopes of northstar upstream show {name}",
);
pub const MORE_SCOPE: Problem = fail(
    "insufficient_scope",
    "the MCP server wants scopes that the grant does not have ({scope})",
    "Setup → External Client App Manager → (app) → Settings → OAuth Settings → OAuth Scopes: \"Access Salesforce hosted MCP servers (mcp_api)\"; then northstar upstream connect {name}",
);
pub const NOT_MCP: Problem = fail(
    "not_mcp",
    "what answers is no MCP server: another path, a web page, or a protocol of its own",
    "compare {url} with the upstream's documentation: the MCP endpoint itself, without a slash too many",
);
pub const WANTS_TOKEN: Problem = fail(
    "wants_token",
    "the MCP server wants an access token, and none is registered",
    "northstar upstream add {name} --replace … with --auth oauth, client-credentials or bearer",
);
pub const SERVER: Check = Check {
    id: "upstream_server",
    what: "the MCP server answers us",
    problems: &[
        NOT_JWT,
        NOT_ACTIVATED,
        SANDBOX_HOST,
        RIGHTS,
        TOKEN_NOT_TAKEN,
        MORE_SCOPE,
        WANTS_TOKEN,
        NOT_MCP,
        UNREACHABLE,
        FAILING,
    ],
};

pub const NONE_ACCEPTED: Problem = warn(
    "none_accepted",
    "no tool of it is accepted yet, so no server has any",
    "northstar upstream diff {name}, then northstar upstream accept {name}",
);
pub const CHANGED: Problem = warn(
    "changed",
    "tools are not as they were accepted: those are withheld, the others are served",
    "northstar upstream diff {name} shows what has changed, northstar upstream accept {name} takes it",
);
pub const TOOLS: Check =
    Check { id: "upstream_tools", what: "its tools are as they were accepted", problems: &[NONE_ACCEPTED, CHANGED] };

/// Every check of an upstream, in the order in which they are made.
pub const ALL: &[&Check] = &[&METADATA, &AUTHORIZATION, &TOKEN, &CONSENT, &RESULT_PAGE, &GRANT, &SERVER, &TOOLS];

/// What may stand in braces.
pub const PLACES: [&str; 8] =
    ["name", "url", "redirect_uri", "client_id", "scope", "issuer", "login_host", "result_page"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_of_an_upstream_is_in_the_list_once_and_its_ids_mean_one_thing() {
        let defined = include_str!("upstream_checks.rs").split("#[cfg(test)]").next().unwrap().matches(": Check =");
        assert_eq!(ALL.len(), defined.count());
        for check in ALL {
            let mut ids: Vec<&str> = check.problems.iter().map(|problem| problem.id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), check.problems.len(), "{}", check.id);
        }
    }

    #[test]
    fn causes_and_fixes_name_known_places_alone() {
        for problem in ALL.iter().flat_map(|check| check.problems) {
            for text in [problem.cause, problem.fix] {
                assert!(!text.is_empty());
                for place in text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()) {
                    assert!(PLACES.contains(&place), "{}: {place}", problem.id);
                }
            }
        }
    }
}
