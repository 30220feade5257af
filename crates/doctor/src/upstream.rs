//! What keeps an upstream from working, judged from what was observed of it: its registration, the metadata of its
//! authorization server, answers of the authorization and the token endpoint, the last consent, the grant, and the MCP
//! endpoint. Plain functions; whoever observes is elsewhere.

use std::collections::BTreeMap;

use crate::checks::{Check, Problem};
use crate::finding::{Finding, Status, Verdict, printable};
use crate::upstream_checks::{
    ALL, AUTHORIZATION, AUTHORIZATION_REFUSED, CALLBACK, CHANGED, CLIENT_ID, CONSENT, CONSENT_EXPIRED, CONSENT_FAILED,
    DAMAGED, DECLINED, EXPIRED, FAILING, GRANT, GRANT_REFUSED, ISSUER, ISSUER_MISMATCH, METADATA, MISCONFIGURED,
    MORE_SCOPE, NO_GRANT, NO_METADATA, NO_REFRESH_TOKEN, NO_REGISTRATION, NONE_ACCEPTED, NOT_ACTIVATED, NOT_JWT,
    NOT_MCP, OTHER_BROWSER, OTHER_ORG, PAGE, PKCE, PKCE_NOT_LISTED, PROPAGATION, REDIRECT_URI, RESULT_PAGE, RIGHTS,
    SANDBOX_HOST, SCOPE, SECRET, SECRET_REQUIRED, SERVER, TOKEN, TOKEN_NOT_TAKEN, TOKEN_REFUSED, UNREACHABLE,
    WANTS_TOKEN,
};

/// How long a new app may be unknown, in seconds.
const PROPAGATION_TIME: u64 = 30 * 60;
/// The most of a text of the other side that is quoted, in characters.
const QUOTE: usize = 200;

/// What is registered, as far as it tells what is wrong.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// Its name.
    pub name: String,
    /// Its MCP endpoint.
    pub url: String,
    /// Whether it is registered by the preset of sandboxes, of other orgs, or by none.
    pub preset_of_sandbox: Option<bool>,
    /// Whether a user consents in a browser.
    pub consent: bool,
    /// Whether it takes access tokens at all.
    pub tokens: bool,
    /// Our client id.
    pub client_id: Option<String>,
    /// Whether a client secret or a private key is registered.
    pub has_secret: bool,
    /// Our callback URL.
    pub redirect_uri: String,
    /// The scopes that are asked for.
    pub scopes: Vec<String>,
    /// Issuer of the authorization server.
    pub issuer: String,
    /// The authorization endpoint, or without one the token endpoint.
    pub login_url: String,
    /// Where the browser goes after a consent.
    pub result_page: Option<String>,
    /// For how long it is registered, in seconds.
    pub age: u64,
}

/// What the metadata says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Metadata {
    /// Whether there is any.
    pub found: bool,
    /// It names another issuer than the URL it was found under.
    pub issuer_mismatch: bool,
    /// It lists code challenge methods without S256, or none.
    pub pkce_missing: bool,
    /// It names a registration endpoint.
    pub registers: bool,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Where a redirect leads; it was not followed.
    pub location: Option<String>,
    /// `WWW-Authenticate`.
    pub challenge: Option<String>,
    /// The begin of the body.
    pub body: String,
}

/// An answer, or why there is none, in our words.
pub type Reply = Result<Response, String>;

/// How getting an access token goes.
#[derive(Clone, Debug)]
pub enum Grant {
    /// There is none.
    Missing,
    /// It gave a token.
    Token {
        /// The token is a JWT.
        jwt: bool,
        /// Whom it is for.
        identity: Option<String>,
    },
    /// The authorization server refuses: its error code with what is known of the cause.
    Refused(String),
    /// The record is not what was written.
    Damaged,
    /// The registration cannot work, and why.
    Misconfigured(String),
    /// Nobody answers, or refuses for the moment, and who.
    Unavailable(String),
}

/// What the MCP endpoint said to a list of its tools.
#[derive(Clone, Debug)]
pub enum ServerReply {
    /// It listed so many tools.
    Listed(usize),
    /// It refused.
    Refused(Response),
    /// It answered with something that is not MCP, and what is wrong with it.
    NotMcp(String),
    /// Nothing answered, or not in time.
    Unreachable(String),
}

/// What is known of the tools.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    /// How many are accepted.
    pub accepted: usize,
    /// Names of those that are withheld.
    pub withheld: Vec<String>,
}

/// What was observed; `None` is what nobody looked at.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// What is registered.
    pub registration: Registration,
    /// What the metadata says.
    pub metadata: Option<Metadata>,
    /// What the authorization endpoint says to a request with our client id, callback URL and scopes.
    pub authorization: Option<Reply>,
    /// What the token endpoint says to an exchange of a code that does not exist.
    pub token: Option<Reply>,
    /// Code of the last consent's outcome.
    pub consent: Option<String>,
    /// What our own callback says to a browser without a consent.
    pub callback: Option<Reply>,
    /// What is at the page after a consent.
    pub result_page: Option<Reply>,
    /// How getting a token goes.
    pub grant: Option<Grant>,
    /// What the MCP endpoint says, to our token if there is one.
    pub server: Option<ServerReply>,
    /// What is known of the tools.
    pub tools: Option<Tools>,
}

/// Every finding, in the order of [`ALL`]; what was found by one check is not told again by another.
pub fn judge(observed: &Observed) -> Vec<Finding> {
    let places = places(&observed.registration);
    let mut told: Vec<&'static str> = Vec::new();
    let mut findings: Vec<Finding> = Vec::new();
    let works = matches!(observed.grant, Some(Grant::Token { .. }));
    for check in ALL {
        let Some(mut verdict) = verdict(check, observed) else { continue };
        let problems = verdict.problems.len();
        // The MCP server is another host than the authorization server: that one does not answer says nothing of the other.
        let of_host = |problem: &Problem| check.id == SERVER.id && [UNREACHABLE, FAILING].contains(problem);
        verdict.problems.retain(|(problem, _)| of_host(problem) || !told.contains(&problem.id));
        if verdict.problems.is_empty() {
            if problems == 0 {
                findings.push(finding(check, None, &verdict.seen, &places));
            }
            continue;
        }
        for (problem, seen) in verdict.problems {
            debug_assert!(check.problems.contains(problem), "{}.{}", check.id, problem.id);
            if is_shared(problem) {
                told.push(problem.id);
            }
            // What the endpoints say tells more than that the consent did not succeed.
            if problem == &CONSENT_FAILED && findings.iter().any(|finding| finding.status == Status::Fail) {
                continue;
            }
            let mut finding = finding(check, Some(problem), &seen, &places);
            // An earlier consent goes on.
            if check.id == CONSENT.id && works {
                finding.status = Status::Warn;
            }
            findings.push(finding);
        }
    }
    findings
}

fn is_shared(problem: &Problem) -> bool {
    ALL.iter().filter(|check| check.problems.contains(problem)).count() > 1
}

fn verdict(check: &Check, observed: &Observed) -> Option<Verdict> {
    let of = &observed.registration;
    match check.id {
        id if id == METADATA.id => observed.metadata.map(|metadata| judge_metadata(of, metadata)),
        id if id == AUTHORIZATION.id => observed.authorization.as_ref().map(|reply| judge_authorization(of, reply)),
        id if id == TOKEN.id => observed.token.as_ref().map(|reply| judge_token(of, reply)),
        id if id == CONSENT.id => observed.consent.as_deref().map(|code| judge_consent(of, code)),
        id if id == RESULT_PAGE.id => judge_pages(of, observed.callback.as_ref(), observed.result_page.as_ref()),
        id if id == GRANT.id => observed.grant.as_ref().map(|grant| judge_grant(of, grant)),
        id if id == SERVER.id => {
            observed.server.as_ref().and_then(|reply| judge_server(of, reply, observed.grant.as_ref()))
        }
        _ => observed.tools.as_ref().map(judge_tools),
    }
}

fn finding(
    check: &'static Check,
    problem: Option<&'static Problem>,
    seen: &str,
    places: &BTreeMap<&'static str, String>,
) -> Finding {
    let fill = |text: &str| {
        let filled = places.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, value));
        printable(&filled)
    };
    Finding {
        id: problem.map_or_else(|| check.id.to_owned(), |problem| format!("{}.{}", check.id, problem.id)),
        status: problem.map_or(Status::Pass, |problem| problem.status),
        what: check.what.to_owned(),
        seen: printable(seen),
        cause: problem.map(|problem| fill(problem.cause)).unwrap_or_default(),
        fix: problem.map(|problem| fill(problem.fix)).unwrap_or_default(),
    }
}

fn places(of: &Registration) -> BTreeMap<&'static str, String> {
    let or = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text.to_owned() };
    BTreeMap::from([
        ("{name}", of.name.clone()),
        ("{url}", of.url.clone()),
        ("{redirect_uri}", of.redirect_uri.clone()),
        ("{client_id}", or(of.client_id.as_deref().unwrap_or_default(), "(none)")),
        ("{scope}", or(&of.scopes.join(" "), "none")),
        ("{issuer}", or(&of.issuer, "(none)")),
        ("{login_host}", or(host(&of.login_url), "(none)")),
        ("{result_page}", or(of.result_page.as_deref().unwrap_or_default(), "our own page")),
    ])
}

fn judge_metadata(of: &Registration, metadata: Metadata) -> Verdict {
    let mut problems: Vec<(&'static Problem, String)> = Vec::new();
    if of.tokens && of.client_id.is_none() && !metadata.registers {
        problems.push((&NO_REGISTRATION, "no client id, and no registration_endpoint in the metadata".to_owned()));
    }
    if !metadata.found {
        problems.push((&NO_METADATA, "no document that names an authorization server".to_owned()));
    } else {
        if metadata.issuer_mismatch {
            problems
                .push((&ISSUER_MISMATCH, "the document's issuer is not the URL that it was found under".to_owned()));
        }
        if metadata.pkce_missing && of.consent {
            problems.push((&PKCE_NOT_LISTED, "code_challenge_methods_supported without S256".to_owned()));
        }
    }
    Verdict { seen: "issuer and PKCE are as they should be".to_owned(), problems }
}

fn judge_authorization(of: &Registration, reply: &Reply) -> Verdict {
    let response = match reply {
        Ok(response) => response,
        Err(why) => return Verdict::problem(&UNREACHABLE, why.clone()),
    };
    let Some(said) = error_of(response) else {
        return match response.status {
            200..=399 => Verdict::pass(format!("status {}: it asks the user to log in", response.status)),
            401 | 403 | 404 | 405 => Verdict::problem(&UNREACHABLE, seen(response)),
            400..=428 => Verdict::problem(&AUTHORIZATION_REFUSED, seen(response)),
            _ => Verdict::problem(&FAILING, seen(response)),
        };
    };
    match cause_of(of, &said) {
        // It wants a user who has not logged in yet.
        _ if said.contains("login_required") || said.contains("interaction_required") => {
            Verdict::pass("it asks the user to log in")
        }
        Some(problem) if problem != &SECRET && problem != &SECRET_REQUIRED => Verdict::problem(problem, quoted(&said)),
        _ if said.contains("temporarily_unavailable") || said.contains("server_error") => {
            Verdict::problem(&FAILING, quoted(&said))
        }
        _ => Verdict::problem(&AUTHORIZATION_REFUSED, quoted(&said)),
    }
}

fn judge_token(of: &Registration, reply: &Reply) -> Verdict {
    let response = match reply {
        Ok(response) => response,
        Err(why) => return Verdict::problem(&UNREACHABLE, why.clone()),
    };
    match error_of(response) {
        // The code does not exist: whoever says so has taken the client.
        Some(said) if said.starts_with("invalid_grant") => {
            Verdict::pass("it knows us, and refuses a code of ours that never was")
        }
        Some(said) => match cause_of(of, &said) {
            Some(problem) if problem != &REDIRECT_URI => Verdict::problem(problem, quoted(&said)),
            _ => Verdict::problem(&TOKEN_REFUSED, quoted(&said)),
        },
        None if response.status >= 429 => Verdict::problem(&FAILING, seen(response)),
        None if response.status == 404 || response.status == 405 || response.status / 100 == 3 => {
            Verdict::problem(&UNREACHABLE, seen(response))
        }
        None => Verdict::problem(&TOKEN_REFUSED, seen(response)),
    }
}

fn judge_consent(of: &Registration, code: &str) -> Verdict {
    let problem = match code {
        "ok" => return Verdict::pass("ok"),
        "consent_without_refresh_token" => &NO_REFRESH_TOKEN,
        "consent_other_browser" => &OTHER_BROWSER,
        "consent_issuer_wrong" | "consent_issuer_missing" => &ISSUER,
        "consent_other_org" | "consent_other_user" | "consent_identity_missing" | "consent_identity_invalid" => {
            &OTHER_ORG
        }
        "consent_denied" => &DECLINED,
        "consent_scope_refused" => &SCOPE,
        "consent_redirect_mismatch" => &REDIRECT_URI,
        _ if code.contains("ticket") || code.contains("state") || code.contains("expired") => &CONSENT_EXPIRED,
        _ => cause_of(of, code).unwrap_or(&CONSENT_FAILED),
    };
    Verdict::problem(problem, format!("the last consent ended with {code}"))
}

fn judge_pages(of: &Registration, callback: Option<&Reply>, page: Option<&Reply>) -> Option<Verdict> {
    if callback.is_none() && page.is_none() {
        return None;
    }
    let mut problems: Vec<(&'static Problem, String)> = Vec::new();
    match callback {
        // Without a consent it is a mistake of the browser, told by a page of ours.
        Some(Ok(response)) if response.status / 100 == 4 && response.body.contains("Northstar") => {}
        Some(Ok(response)) => problems.push((&CALLBACK, seen(response))),
        Some(Err(why)) => problems.push((&CALLBACK, why.clone())),
        None => {}
    }
    match page {
        Some(Ok(response)) if response.status / 100 != 2 && response.status / 100 != 3 => {
            problems.push((&PAGE, seen(response)));
        }
        Some(Err(why)) => problems.push((&PAGE, why.clone())),
        _ => {}
    }
    let seen = of.result_page.as_deref().map_or_else(|| "our own page".to_owned(), |page| format!("{page} is there"));
    Some(Verdict { seen, problems })
}

fn judge_grant(of: &Registration, grant: &Grant) -> Verdict {
    match grant {
        Grant::Missing => Verdict::problem(&NO_GRANT, "no grant"),
        Grant::Token { identity, .. } => Verdict::pass(match identity {
            Some(identity) => format!("an access token for {}", quoted(identity)),
            None => "an access token".to_owned(),
        }),
        Grant::Damaged => Verdict::problem(&DAMAGED, "the record cannot be opened"),
        Grant::Misconfigured(why) => Verdict::problem(&MISCONFIGURED, why.clone()),
        Grant::Unavailable(why) if why.contains("reached") || why.contains("redirect") => {
            Verdict::problem(&UNREACHABLE, why.clone())
        }
        Grant::Unavailable(why) => Verdict::problem(&FAILING, why.clone()),
        Grant::Refused(reason) => {
            let said = reason.to_ascii_lowercase();
            let problem = match cause_of(of, &said) {
                Some(problem) if problem != &REDIRECT_URI && problem != &PKCE => problem,
                _ if said.starts_with("invalid_grant") => &EXPIRED,
                _ => &GRANT_REFUSED,
            };
            Verdict::problem(problem, quoted(reason))
        }
    }
}

fn judge_server(of: &Registration, reply: &ServerReply, grant: Option<&Grant>) -> Option<Verdict> {
    let (sent, jwt, identity) = match grant {
        Some(Grant::Token { jwt, identity }) => (true, *jwt, identity.as_deref()),
        _ => (false, false, None),
    };
    let response = match reply {
        ServerReply::Listed(count) => return Some(Verdict::pass(format!("{count} tools"))),
        ServerReply::NotMcp(why) => return Some(Verdict::problem(&NOT_MCP, why.clone())),
        ServerReply::Unreachable(why) => return Some(Verdict::problem(&UNREACHABLE, why.clone())),
        ServerReply::Refused(response) => response,
    };
    let body = response.body.to_ascii_lowercase();
    let challenge = response.challenge.as_deref().unwrap_or_default().to_ascii_lowercase();
    let about_jwt = ["invalid_jwt_format", "invalid_auth_header", "jwt token is required"];
    let problem = match response.status {
        401 if !of.tokens => &WANTS_TOKEN,
        // As it should be without a token; what is wrong with the grant has been said.
        401 if !sent => return None,
        401 if about_jwt.iter().any(|text| body.contains(text)) || is_hosted(&of.url) && !jwt => &NOT_JWT,
        401 => &TOKEN_NOT_TAKEN,
        403 if challenge.contains("insufficient_scope") => &MORE_SCOPE,
        403 => &RIGHTS,
        404 if is_mixed(of, identity) => &SANDBOX_HOST,
        404 if is_hosted(&of.url) || body.contains("server definition not found") => &NOT_ACTIVATED,
        429 | 500.. => &FAILING,
        _ => &NOT_MCP,
    };
    Some(Verdict::problem(problem, seen(response)))
}

fn judge_tools(tools: &Tools) -> Verdict {
    let mut problems: Vec<(&'static Problem, String)> = Vec::new();
    if tools.accepted == 0 {
        problems.push((&NONE_ACCEPTED, "none".to_owned()));
    }
    if !tools.withheld.is_empty() {
        problems.push((&CHANGED, quoted(&format!("withheld: {}", tools.withheld.join(", ")))));
    }
    Verdict { seen: format!("{} accepted", tools.accepted), problems }
}

/// What an error of the authorization server means; `said` is in small letters.
fn cause_of(of: &Registration, said: &str) -> Option<&'static Problem> {
    let has = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    let unknown_client = || match () {
        () if is_mixed(of, None) => &SANDBOX_HOST,
        () if of.age < PROPAGATION_TIME => &PROPAGATION,
        () if host(&of.login_url) == "test.salesforce.com" => &SANDBOX_HOST,
        () => &CLIENT_ID,
    };
    if has(&["redirect_uri_mismatch", "redirect_uri must match", "invalid_redirect_uri", "redirect_uri did not match"])
    {
        return Some(&REDIRECT_URI);
    }
    if has(&["invalid_client_id", "client identifier invalid", "app_not_found", "client is invalid", "unknown client"])
    {
        return Some(unknown_client());
    }
    if has(&["code challenge", "code_challenge", "code verifier", "code_verifier", "pkce"]) {
        return Some(&PKCE);
    }
    if has(&["insufficient_scope", "invalid_scope", "scope is not allowed"]) {
        return Some(&SCOPE);
    }
    if has(&["invalid_client", "invalid client credentials", "client_secret", "client secret"]) {
        return Some(if of.has_secret { &SECRET } else { &SECRET_REQUIRED });
    }
    let about_user = [
        "access_denied",
        "authorization_blocked",
        "app_access_denied",
        "invalid_app_access",
        "hasn't approved this consumer",
        "inactive_user",
        "inactive user",
        "ip restricted",
    ];
    has(&about_user).then_some(&RIGHTS)
}

/// The error that an authorization server reports, code and description in small letters: in a redirect, in JSON, or
/// on a page for the user. A page that repeats the request has none of it.
fn error_of(response: &Response) -> Option<String> {
    let of_query = |query: &str| {
        let field = |name: &str| {
            let found = query.split(['&', '#']).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            found.map(|value| decoded(value).to_ascii_lowercase())
        };
        let code = field("error").filter(|code| !code.is_empty())?;
        Some(field("error_description").map_or_else(|| code.clone(), |text| format!("{code} ({text})")))
    };
    let redirected = response.location.as_deref().and_then(|url| of_query(url.split_once(['?', '#'])?.1));
    let json = || {
        let body: serde_json::Value = serde_json::from_str(&response.body).ok()?;
        let code = body["error"].as_str()?.to_ascii_lowercase();
        Some(match body["error_description"].as_str() {
            Some(text) => format!("{code} ({})", text.to_ascii_lowercase()),
            None => code,
        })
    };
    let page = || {
        let body = decoded(&response.body).to_ascii_lowercase();
        match parameter_error(&body) {
            Some(said) => Some(unescaped(&said)),
            // A page with a sentence alone counts when it comes with a status that refuses.
            None if (400..500).contains(&response.status) && !body.is_empty() => Some(unescaped(&body)),
            None => None,
        }
    };
    redirected.or_else(json).or_else(page)
}

/// What follows an `error=` that is a parameter and not the end of another name, as in a script.
fn parameter_error(body: &str) -> Option<String> {
    let is_of_name = |c: char| c.is_alphanumeric() || "._$-".contains(c);
    let is_of_code = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = body.match_indices("error=").filter(|(at, _)| !body[..*at].ends_with(is_of_name));
    found.find_map(|(at, name)| {
        let rest = &body[at + name.len()..];
        rest.starts_with(is_of_code).then(|| excerpt(rest))
    })
}

/// The entities that HTML needs undone.
fn unescaped(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#x27;", "'"), ("&amp;", "&")];
    entities.into_iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}

/// As far as a page's own text goes on.
fn excerpt(text: &str) -> String {
    text.chars().take_while(|c| *c != '<' && *c != '"').take(QUOTE).collect()
}

/// Percent-encoding and `+` undone; what is not UTF-8 afterwards is replaced.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn seen(response: &Response) -> String {
    let location = response.location.as_deref().map(|url| format!(", to {url}")).unwrap_or_default();
    let body = if response.body.is_empty() { String::new() } else { format!(": {}", unescaped(&response.body)) };
    quoted(&format!("status {}{location}{body}", response.status))
}

fn quoted(text: &str) -> String {
    let short: String = text.chars().take(QUOTE).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

fn host(url: &str) -> &str {
    url.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#', ':']).next()).unwrap_or_default()
}

/// Whether it is one of the servers that Salesforce hosts, by its path: a stand-in has another host.
fn is_hosted(url: &str) -> bool {
    url.contains("/platform/mcp/v1/")
}

/// Whether an org of a login host, or of an identity URL, is a sandbox or scratch org.
fn is_sandbox(url: &str) -> Option<bool> {
    let host = host(url).to_ascii_lowercase();
    match host.as_str() {
        "test.salesforce.com" => Some(true),
        "login.salesforce.com" => Some(false),
        _ if host.contains(".sandbox.") || host.contains(".scratch.") => Some(true),
        _ if host.ends_with(".my.salesforce.com") => Some(false),
        _ => None,
    }
}

/// Whether the MCP URL is of a sandbox and the org is not, or the other way round.
fn is_mixed(of: &Registration, identity: Option<&str>) -> bool {
    let of_url = of.url.contains("/platform/mcp/v1/sandbox/");
    let of_org = identity.and_then(is_sandbox).or_else(|| is_sandbox(&of.login_url)).or(of.preset_of_sandbox);
    is_hosted(&of.url) && of_org.is_some_and(|sandbox| sandbox != of_url)
}

#[cfg(test)]
#[path = "upstream_tests.rs"]
mod tests;
