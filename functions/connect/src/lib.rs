//! One-time consents of an administrator: `GET /connect/{connection}?ticket=…` sends the browser to the authorization
//! server of a connection. Its answer comes to `GET /connect/callback` where that is Salesforce, and to
//! `GET /connect/{connection}?state=…` otherwise.
//!
//! A request passes, in this order: [`begin`] (ticket, [`target`], redirect with a [`cookie`]), and later [`callback`]
//! (state, redirect URI, cookie, issuer, code, identity, grant). Either ends with a [`page`], or at the page that an upstream's
//! registration names; a [`refusal`] has a stable code and says what to do.

pub mod begin;
pub mod callback;
pub mod config;
pub mod cookie;
pub mod page;
pub mod refusal;
pub mod target;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderName, Method, Response};
use http_api::ApiRequest;
use oauth_client::consent::{Twice, once};
use oauth_client::{Consents, Grants, Tickets};
use registry::Registry;
use request_log::{RequestLine, Timings};

pub use config::Config;

use callback::Connected;
use cookie::Cookie;
use refusal::Refusal;
use target::Party;

/// Everything that lives as long as the process.
pub struct App {
    config: Config,
    registry: Registry,
    tickets: Tickets,
    consents: Consents,
    grants: Grants,
    cookie: Cookie,
    cold: AtomicBool,
}

/// How long before the end of the invocation an answer is given whatever is still to come, and how long that is at most.
const MARGIN: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(26);

/// What is known of one request while it is served.
struct Visit<'a> {
    request: &'a ApiRequest,
    /// Whose consent it is, once a ticket or a state has shown it.
    party: Option<Party>,
    timings: Timings,
    now: SystemTime,
}

/// How a request ends well.
enum Done {
    /// The browser goes to the authorization server.
    Begun(Response<Bytes>),
    /// The consent has become a grant.
    Connected(Connected),
}

impl App {
    /// Makes the function ready; nothing is read yet: consents are rare.
    pub fn new(config: Config) -> App {
        let dynamodb = &config.aws.dynamodb;
        App {
            registry: Registry::new(dynamodb.clone(), &config.config_table),
            tickets: Tickets::new(dynamodb.clone(), &config.state_table),
            consents: Consents::new(dynamodb.clone(), &config.state_table),
            grants: Grants::new(
                dynamodb.clone(),
                &config.state_table,
                config.sealing_keys.clone(),
                config.secrets.clone(),
                config.outbound.clone(),
            ),
            cookie: Cookie::of(&config.public_url),
            cold: AtomicBool::new(true),
            config,
        }
    }

    /// Answers one request and writes its line.
    pub async fn handle(&self, request: ApiRequest) -> Response<Bytes> {
        let (start, now) = (Instant::now(), SystemTime::now());
        let mut line = RequestLine::new("connect", &request.request_id, self.cold.swap(false, Ordering::Relaxed));
        let mut visit = Visit { request: &request, party: None, timings: Timings::default(), now };
        let left = request.deadline.duration_since(now).unwrap_or_default().saturating_sub(MARGIN).min(LONGEST);
        let routed = tokio::time::timeout(left, self.route(&mut visit, &mut line)).await;
        let routed = routed.unwrap_or_else(|_| Err(Refusal::unavailable(true, &"there was no time left", now)));
        let response = match routed {
            Ok(Done::Begun(response)) => response,
            Ok(Done::Connected(connected)) => {
                line.outcome = connected.outcome();
                self.keep_outcome(&visit, line.outcome).await;
                self.ended(&visit, page::connected(&connected), None)
            }
            Err(refusal) => {
                line.outcome = refusal.code();
                self.keep_outcome(&visit, line.outcome).await;
                self.ended(&visit, page::refused(&refusal, visit.party.as_ref()), Some(refusal.code()))
            }
        };
        line.connection = visit.party.map(|party| party.name.to_string());
        line.status = response.status().as_u16();
        visit.timings.fill(&mut line);
        line.total_ms = start.elapsed().into();
        line.write(now);
        response
    }

    async fn route(&self, visit: &mut Visit<'_>, line: &mut RequestLine) -> Result<Done, Refusal> {
        let name = visit.request.path.strip_prefix("/connect/").ok_or(Refusal::NotFound)?;
        if visit.request.method != Method::GET {
            return Err(Refusal::Method);
        }
        if is_prefetch(visit.request) {
            return Err(Refusal::Prefetch);
        }
        if name == "callback" || is_answer(&visit.request.query) {
            line.method = Some("callback");
            return Box::pin(self.callback(visit)).await.map(Done::Connected);
        }
        line.method = Some("begin");
        Box::pin(self.begin(name, visit)).await.map(Done::Begun)
    }

    /// The last answer of a consent: our page, or the one that the registration names. The browser's part is over with it.
    fn ended(&self, visit: &Visit<'_>, page: Response<Bytes>, reason: Option<&'static str>) -> Response<Bytes> {
        let Some(party) = &visit.party else { return page };
        let ended = party.result_page.as_deref().and_then(|url| page::result(url, reason)).unwrap_or(page);
        self.cookie.cleared(ended)
    }

    /// For `upstream test`. An outcome that cannot be kept is in the log all the same.
    async fn keep_outcome(&self, visit: &Visit<'_>, outcome: &'static str) {
        if let Some(party) = &visit.party {
            let _ = visit.timings.table(self.consents.put_outcome(&party.name, outcome, visit.now)).await;
        }
    }
}

/// An answer of an authorization server has a `state`, a link a `ticket`.
fn is_answer(query: &str) -> bool {
    matches!(once(query, "state"), Ok(Some(_)) | Err(Twice)) && matches!(once(query, "ticket"), Ok(None))
}

/// A browser that only wants to be ahead of its user must not use up a ticket (Fetch, `Sec-Purpose`).
fn is_prefetch(request: &ApiRequest) -> bool {
    ["sec-purpose", "purpose", "x-moz"].into_iter().any(|name| {
        let values = request.headers.get_all(HeaderName::from_static(name));
        values.iter().any(|value| value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("prefetch")))
    })
}
