//! What is looked at to find out what is wrong with an upstream. The judgement is [`doctor::upstream`]'s.

use std::time::{Duration, Instant, SystemTime};

use aws_clients::SecretStage;
use bytes::Bytes;
use doctor::Finding;
use doctor::upstream::{Grant, Metadata, Observed, Registration, Reply, Response, ServerReply, Tools, judge};
use oauth_client::consent::{self, AuthorizationServer};
use oauth_client::consents::Consents;
use oauth_client::token_request::{TokenFailure, TokenRequest};
use oauth_client::{AccessToken, Connection, GrantError};
use outbound::text::clean_and_cut;
use outbound::{FetchError, Fetcher, Outgoing};
use registry::client::seconds;
use registry::{Preset, Upstream, UpstreamAuth};
use secrecy::{ExposeSecret, SecretString};
use upstream::discovery::{self, Inquiry, Settings, discover};
use upstream::{Endpoint, McpClient, Probe, Refusal, UpstreamError};

use super::look::{self, Token};
use super::{auth, fetcher, redirect_uri, show};
use crate::output::Failure;
use crate::place::{Kind, Open};

/// How long each of them may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest page that is read; what says why is at its begin.
const MAX_PAGE: usize = 256 * 1024;
/// How much of a token tells it from any other text: JWTs of one server begin alike for longer.
const SHORTEST_BEGIN: usize = 16;
/// How much of a page is judged, in bytes.
const EXCERPT: usize = 8 * 1024;

/// Looks at an upstream from all sides, and judges what is seen.
///
/// # Errors
/// When our own tables do not answer.
pub async fn examine(open: &Open, upstream: &Upstream) -> Result<Vec<Finding>, Failure> {
    Ok(judge(&Box::pin(observe(open, upstream)).await?))
}

async fn observe(open: &Open, upstream: &Upstream) -> Result<Observed, Failure> {
    let now = SystemTime::now();
    let fetcher = fetcher(open, upstream);
    let consents = Consents::new(open.dynamodb.clone(), &open.names.state_table);
    let mut observed = Observed { registration: registration(open, upstream, now), ..Observed::default() };
    let consent = auth(upstream) == "oauth";
    let unasked = probe(&fetcher, upstream, None).await;
    if let Some(connection) = Connection::of_upstream(upstream) {
        let challenge = match &unasked {
            Probe::Refused { refusal, .. } => refusal.www_authenticate.clone(),
            _ => None,
        };
        observed.metadata = Some(metadata(&fetcher, upstream, challenge.as_deref()).await);
        if consent {
            observed.consent = consents.outcome(&upstream.name).await?.map(|outcome| outcome.code);
            let redirect_uri = redirect_uri(open, upstream);
            observed.authorization = authorization(&fetcher, upstream, &connection, &redirect_uri).await;
            observed.callback = Some(callback(open, &redirect_uri).await);
        }
        if let Some(page) = &upstream.result_page {
            let joint = if page.contains('?') { '&' } else { '?' };
            observed.result_page = Some(get(&fetcher, &format!("{page}{joint}oauth=success")).await);
        }
    }
    let mut token = obtain(open, upstream, now).await?;
    let mut asked = unasked;
    if let Some(secret) = token.0.as_ref().and_then(Token::secret) {
        asked = probe(&fetcher, upstream, Some(secret)).await;
        // It may have been revoked: whether another one comes, and is taken, says more.
        if let (Probe::Refused { refusal: Refusal { status: 401, .. }, .. }, Some(Token::Granted(old))) =
            (&asked, &token.0)
            && let Some(connection) = Connection::of_upstream(upstream)
        {
            token = granted(look::grants(open, upstream).await?.expired(&connection, old, now).await);
            if let Some(renewed) = token.0.as_ref().and_then(Token::secret) {
                asked = probe(&fetcher, upstream, Some(renewed)).await;
            }
        }
    }
    observed.grant = token.1;
    // Who has a grant is a client that the token endpoint takes.
    if consent
        && !matches!(observed.grant, Some(Grant::Token { .. }))
        && let Some(connection) = Connection::of_upstream(upstream)
    {
        observed.token = Some(exchange(open, &fetcher, &connection, &redirect_uri(open, upstream), now).await?);
    }
    let sent = token.0.as_ref().and_then(Token::secret);
    observed.server = Some(server_reply(asked, sent));
    let works = matches!(observed.server, Some(ServerReply::Listed(_)));
    // A look also brings what is withheld up to date.
    if works {
        let _ = look::look(open, upstream).await;
        let pinned = open.registry.pinned_tools(&upstream.name).await?;
        let seen =
            upstream::SeenStore::new(open.dynamodb.clone(), &open.names.state_table).read(&upstream.name).await?;
        let withheld = show::withheld(pinned.as_ref(), seen.as_ref()).into_iter().map(str::to_owned).collect();
        observed.tools = Some(Tools { accepted: pinned.map_or(0, |pinned| pinned.tools.len()), withheld });
    }
    Ok(observed)
}

fn registration(open: &Open, upstream: &Upstream, now: SystemTime) -> Registration {
    let mut registration = Registration {
        name: upstream.name.to_string(),
        url: upstream.url.clone(),
        preset_of_sandbox: upstream.preset.map(|preset| preset == Preset::SalesforceSandbox),
        consent: auth(upstream) == "oauth",
        tokens: !matches!(upstream.auth, UpstreamAuth::None),
        redirect_uri: redirect_uri(open, upstream),
        result_page: upstream.result_page.clone(),
        age: seconds(now).saturating_sub(upstream.created_at),
        ..Registration::default()
    };
    if let UpstreamAuth::OAuth(oauth) = &upstream.auth {
        registration.client_id = Some(oauth.client_id.clone());
        registration.has_secret = oauth.secret_id.is_some();
        registration.scopes = oauth.scopes.clone();
        registration.issuer = oauth.issuer.clone();
        registration.login_url = oauth.authorize_url.clone().unwrap_or_else(|| oauth.token_url.clone());
    }
    registration
}

/// What the metadata says when it is looked for as if nothing but the issuer were known.
async fn metadata(fetcher: &Fetcher, upstream: &Upstream, challenge: Option<&str>) -> Metadata {
    let issuer = match &upstream.auth {
        UpstreamAuth::OAuth(oauth) => discovery::Setting::given(Some(oauth.issuer.clone())),
        _ => None,
    };
    let inquiry = |known| Inquiry { url: &upstream.url, challenge, known, refresh_tokens: false };
    let own = discover(fetcher, inquiry(Settings::default())).await;
    let registered = discover(fetcher, inquiry(Settings { issuer, ..Settings::default() })).await;
    let found = |finding| own.findings.contains(&finding) || registered.findings.contains(&finding);
    let mismatch =
        found(discovery::Finding::IssuerMismatch) || registered.findings.contains(&discovery::Finding::IssuerNotListed);
    Metadata {
        found: own.server_metadata_url.is_some() || registered.server_metadata_url.is_some() || mismatch,
        issuer_mismatch: mismatch,
        pkce_missing: found(discovery::Finding::PkceMissing),
        registers: own.settings.registration_url.is_some() || registered.settings.registration_url.is_some(),
    }
}

/// The request that a browser would be sent to, with values that nobody goes on with.
async fn authorization(
    fetcher: &Fetcher,
    upstream: &Upstream,
    connection: &Connection,
    redirect_uri: &str,
) -> Option<Reply> {
    let server = AuthorizationServer::of_upstream(upstream)?;
    let (state, verifier) = (consent::random_secret()?, consent::random_secret()?);
    let challenge = consent::code_challenge(&verifier);
    let url = consent::authorization_url(&server, connection, redirect_uri, &state, &challenge);
    Some(get(fetcher, &url).await)
}

/// Our own callback, as a browser without a consent sees it; of a local run, on this machine.
async fn callback(open: &Open, redirect_uri: &str) -> Reply {
    let fetcher = match open.kind {
        Kind::Home(_) => Fetcher::with_loopback(None),
        Kind::Stack(_) => Fetcher::new(),
    };
    get(&fetcher, redirect_uri).await
}

/// Exchanges a code that does not exist: whether it is refused for itself, or we are.
async fn exchange(
    open: &Open,
    fetcher: &Fetcher,
    connection: &Connection,
    redirect_uri: &str,
    now: SystemTime,
) -> Result<Reply, Failure> {
    let secret = match &connection.secret_id {
        Some(id) => open.secrets.get(id, SecretStage::Current).await?.map(|version| version.value),
        None => None,
    };
    let (code, verifier) = match (consent::random_secret(), consent::random_secret()) {
        (Some(code), Some(verifier)) => (code, verifier),
        _ => return Ok(Err("no random numbers".to_owned())),
    };
    let request = TokenRequest::for_code(connection, secret.as_ref(), &code, redirect_uri, &verifier, now);
    let outcome = match request {
        Ok(request) => request.send(fetcher, &connection.token_endpoint, now).await.map(|_| ()),
        Err(failure) => Err(failure),
    };
    let refused = |said: &str| Ok(Response { status: 400, body: format!("error={said}"), ..Response::default() });
    Ok(match outcome {
        Ok(()) => refused("none: it gave a token for a code that it never made"),
        Err(TokenFailure::Refused(error)) => refused(&error.to_string()),
        Err(TokenFailure::Unavailable(why)) if why.contains("refused") => {
            Ok(Response { status: 400, ..Response::default() })
        }
        Err(TokenFailure::Unavailable(why)) if why.contains("failed") => {
            Ok(Response { status: 500, ..Response::default() })
        }
        Err(TokenFailure::Unavailable(why) | TokenFailure::NoAnswer(why) | TokenFailure::Misconfigured(why)) => {
            Err(why.to_owned())
        }
    })
}

/// A token, as a function would get it, and how that goes. One that needed attention is tried again: what was wrong may
/// have been put right.
async fn obtain(open: &Open, upstream: &Upstream, now: SystemTime) -> Result<(Option<Token>, Option<Grant>), Failure> {
    let Some(connection) = Connection::of_upstream(upstream) else {
        return Ok(match look::token(open, upstream, now).await {
            Ok(token) => {
                let grant = token.secret().map(|token| Grant::Token { jwt: is_jwt(token), identity: None });
                (Some(token), grant)
            }
            Err(Failure::Message(why)) => (None, Some(Grant::Misconfigured(why))),
            Err(failure) => return Err(failure),
        });
    };
    let grants = look::grants(open, upstream).await?;
    grants.try_again(&upstream.name, now).await?;
    Ok(granted(grants.access_token(&connection, now).await))
}

fn granted(token: Result<AccessToken, GrantError>) -> (Option<Token>, Option<Grant>) {
    match token {
        Ok(token) => {
            let grant = Grant::Token { jwt: is_jwt(&token.token), identity: token.identity.clone() };
            (Some(Token::Granted(token)), Some(grant))
        }
        Err(error) => (None, Some(grant(error))),
    }
}

fn grant(error: GrantError) -> Grant {
    match error {
        GrantError::NotConnected(_) => Grant::Missing,
        GrantError::NeedsAttention { reason, .. } => Grant::Refused(reason),
        GrantError::Damaged(_) => Grant::Damaged,
        GrantError::Misconfigured { problem, .. } => Grant::Misconfigured(problem.to_owned()),
        GrantError::Unavailable { reason, .. } => Grant::Unavailable(reason.to_owned()),
    }
}

/// Three parts of base64url (RFC 7515 §3.1).
fn is_jwt(token: &SecretString) -> bool {
    let parts: Vec<&str> = token.expose_secret().split('.').collect();
    let is_part = |part: &&str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    parts.len() == 3 && parts.iter().all(is_part) && parts[0].starts_with("eyJ")
}

async fn probe(fetcher: &Fetcher, upstream: &Upstream, bearer: Option<&SecretString>) -> Probe {
    let endpoint = Endpoint { name: &upstream.name, url: &upstream.url, bearer };
    McpClient::new(fetcher.clone()).probe(endpoint, Instant::now() + TIMEOUT).await
}

/// What it says is shown: a server may repeat what it was sent.
fn server_reply(probe: Probe, sent: Option<&SecretString>) -> ServerReply {
    let hide = |text: String| sent.map_or(text.clone(), |token| without(&text, token.expose_secret()));
    match probe {
        Probe::Answers { tools, .. } => ServerReply::Listed(tools),
        Probe::Refused { refusal: Refusal { status, www_authenticate, body }, .. } => {
            let challenge = www_authenticate.map(hide);
            ServerReply::Refused(Response { status, challenge, body: hide(body), location: None })
        }
        Probe::Failed(error) => match error {
            UpstreamError::Status(status) => ServerReply::Refused(Response { status, ..Response::default() }),
            UpstreamError::Unauthorized => ServerReply::Refused(Response { status: 401, ..Response::default() }),
            UpstreamError::Forbidden | UpstreamError::InsufficientScope(_) => {
                ServerReply::Refused(Response { status: 403, ..Response::default() })
            }
            UpstreamError::NotFound => ServerReply::Refused(Response { status: 404, ..Response::default() }),
            UpstreamError::RateLimited(_) => ServerReply::Refused(Response { status: 429, ..Response::default() }),
            UpstreamError::Protocol(_) | UpstreamError::Rpc(_) | UpstreamError::TooLarge => {
                ServerReply::NotMcp(error.to_string())
            }
            _ => ServerReply::Unreachable(error.to_string()),
        },
    }
}

/// A text without a token, or the begin of one that was cut off.
fn without(text: &str, token: &str) -> String {
    let hidden = text.replace(token, "[hidden]");
    let begin: String = token.chars().take(SHORTEST_BEGIN).collect();
    match hidden.find(&begin) {
        Some(at) if begin.len() >= SHORTEST_BEGIN => format!("{}[hidden]", &hidden[..at]),
        _ => hidden,
    }
}

/// A page, as a browser would ask for it, without following it anywhere.
async fn get(fetcher: &Fetcher, url: &str) -> Reply {
    let target = fetcher.check(url).map_err(|error| error.to_string())?;
    let headers = vec![("accept", "text/html,application/xhtml+xml".to_owned())];
    let outgoing =
        Outgoing { method: "GET", target, headers, body: Bytes::new(), max_bytes: MAX_PAGE, timeout: TIMEOUT };
    match fetcher.send(outgoing).await {
        Ok(answer) => Ok(Response {
            status: answer.status,
            location: answer.header("location").map(|text| clean_and_cut(text, EXCERPT)),
            challenge: None,
            body: clean_and_cut(&String::from_utf8_lossy(&answer.body), EXCERPT),
        }),
        Err(FetchError::TooLarge) => Ok(Response { status: 200, ..Response::default() }),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_repeated_is_not_shown() {
        let token = "eyJhbGciOiJub25lIn0.e30.c2lnbmF0dXJl";
        for (text, shown) in [
            (format!("Invalid token {token}!"), "Invalid token [hidden]!"),
            (format!("Invalid token {}\u{2026}", &token[..20]), "Invalid token [hidden]"),
            ("Invalid token eyJ".to_owned(), "Invalid token eyJ"),
        ] {
            assert_eq!(without(&text, token), shown);
        }
    }

    #[test]
    fn three_parts_of_base64url_are_a_jwt() {
        let is = |token: &str| is_jwt(&SecretString::from(token.to_owned()));
        assert!(is("eyJhbGciOiJub25lIn0.e30.c2ln"));
        for token in ["00D000000000001!AQ.abc.def", "eyJhbGciOiJub25lIn0.e30", "a.b.c", "", "eyJ.e30.c2 n"] {
            assert!(!is(token), "{token}");
        }
    }
}
