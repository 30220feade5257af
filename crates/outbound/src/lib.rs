//! Documents at addresses that somebody else named, such as the keys of a client: fetched without a way into our own
//! network (OWASP, Server-Side Request Forgery).
//!
//! [`url`] says which URLs may be asked for, [`address`] which addresses may be connected to. Both hold in every request:
//! the resolver of the HTTP client is ours, so that the address that is checked is the one that is connected to. Redirects
//! are not followed, connections not kept but for [`Fetcher::send_over_kept`]. [`Fetcher::get`] fetches a document;
//! [`Fetcher::send`] sends a request of any method to an API ([`send`]), [`Fetcher::open`] one whose answer is read as it
//! comes. [`breaker`] leaves a host alone that fails, [`text`] makes what hosts say safe to show.

pub mod address;
pub mod breaker;
#[cfg(test)]
mod fetch_tests;
#[cfg(test)]
mod lookup_tests;
pub mod send;
#[cfg(test)]
mod send_tests;
pub mod text;
pub mod url;

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

pub use breaker::Breaker;
pub use send::{Answer, Chunks, Incoming, Outgoing};
pub use url::{Reach, Target, UrlError};

/// How long a fetch may take, from the name to the last byte.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection is kept that nobody uses, and how many to a host.
const KEPT: Duration = Duration::from_secs(30);
const MOST_KEPT: usize = 4;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL may not be fetched.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The host stands for an address that is not public.
    #[error("the host resolves to an address that is not public")]
    Address,
    /// No address, no connection, no trusted certificate; of [`Fetcher::get`] also a connection that broke. From
    /// [`Fetcher::send`] it means that nothing of the request was sent.
    #[error("the host cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The connection broke before the whole answer had come; the host may have done what it was asked.
    #[error("the connection broke before the whole answer had come")]
    Interrupted(#[source] Box<dyn Error + Send + Sync>),
    /// It took too long: 3 s for a document. The host may have done what it was asked.
    #[error("the host did not answer in time")]
    TimedOut,
    /// A header that no request can have, as one with a line break in it; nothing was sent.
    #[error("a header of the request has characters that belong in no header")]
    Header,
    /// Another status than 200; redirects are not followed.
    #[error("the host answered with status {0} instead of 200")]
    Status(u16),
    /// Another content type.
    #[error("the answer is not JSON by its content type")]
    ContentType,
    /// Larger than the caller takes.
    #[error("the answer is too large")]
    TooLarge,
}

/// Fetches documents.
#[derive(Clone)]
pub struct Fetcher {
    reach: Reach,
    roots: Option<Arc<str>>,
    lookup: Lookup,
    // Made when they are needed: parsing the system's roots takes longer than the rest of a cold start.
    connector: Arc<OnceLock<Connector>>,
    keeping: Arc<OnceLock<Connector>>,
}

/// What becomes of the connection of a request.
#[derive(Clone, Copy)]
enum Connections {
    /// It is a new one, and closed afterwards.
    New,
    /// It may be one that is kept, and is kept.
    Kept,
}

impl Fetcher {
    /// Fetches from public hosts, trusting the system's roots.
    pub fn new() -> Fetcher {
        Fetcher::reaching(Reach::Public, None)
    }

    /// Fetches from this machine too, for local runs and tests; `roots` (PEM) replaces the system's.
    pub fn with_loopback(roots: Option<&str>) -> Fetcher {
        Fetcher::reaching(Reach::Loopback, roots.map(Arc::from))
    }

    fn reaching(reach: Reach, roots: Option<Arc<str>>) -> Fetcher {
        Fetcher { reach, roots, lookup: by_the_system, connector: Arc::default(), keeping: Arc::default() }
    }

    /// Whether a URL may be fetched, as far as the URL alone tells.
    ///
    /// # Errors
    /// [`UrlError`] names the rule that is broken.
    pub fn check(&self, url: &str) -> Result<Target, UrlError> {
        Target::parse(url, self.reach)
    }

    /// How far its requests may go.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Fetches a JSON document of at most `max_bytes`.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn get(&self, url: &str, max_bytes: usize) -> Result<Bytes, FetchError> {
        let target = self.check(url)?;
        tokio::time::timeout(TIMEOUT, self.get_without_limit_of_time(&target, max_bytes))
            .await
            .unwrap_or(Err(FetchError::TimedOut))
    }

    async fn get_without_limit_of_time(&self, target: &Target, max_bytes: usize) -> Result<Bytes, FetchError> {
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_uri(target.as_uri().clone()).map_err(|_| UrlError::Malformed)?;
        request.headers_mut().insert("accept", "application/json, application/jwk-set+json");
        request.headers_mut().insert("user-agent", "northstar");
        let response = self.call(request, Connections::New).await.map_err(unreachable)?;
        if response.status().as_u16() != 200 {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        if !is_json(response.headers().get("content-type").unwrap_or_default()) {
            return Err(FetchError::ContentType);
        }
        Chunks::new(response.into_body(), max_bytes, TIMEOUT).rest().await.map_err(unreachable)
    }

    async fn call(&self, request: HttpRequest, over: Connections) -> Result<HttpResponse, FetchError> {
        self.connector(over).call(request).await.map_err(|error| {
            let never_connected = |error: &hyper_util::client::legacy::Error| error.is_connect();
            if cause::<NotPublic>(&error).is_some() {
                FetchError::Address
            } else if cause(&error).is_some_and(never_connected) {
                FetchError::Unreachable(error.into())
            } else {
                FetchError::Interrupted(error.into())
            }
        })
    }

    fn connector(&self, over: Connections) -> &Connector {
        // A connection that is kept outlives the check of its address.
        let (connector, most_kept) = match over {
            Connections::New => (&self.connector, 0),
            Connections::Kept => (&self.keeping, MOST_KEPT),
        };
        connector.get_or_init(|| {
            let roots = match &self.roots {
                Some(pem) => TrustStore::empty().with_pem_certificate(pem.as_bytes()),
                None => TrustStore::default(),
            };
            ConnectorBuilder::default()
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .tls_context(TlsContext::builder().with_trust_store(roots).build().unwrap_or_default())
                .pool_idle_timeout(KEPT)
                .pool_max_idle_per_host(most_kept)
                .build_with_resolver(CheckedResolver { reach: self.reach, lookup: self.lookup })
        })
    }
}

impl Default for Fetcher {
    fn default() -> Self {
        Fetcher::new()
    }
}

/// Who asks for a document does not care how far the request came.
fn unreachable(error: FetchError) -> FetchError {
    match error {
        FetchError::Interrupted(source) => FetchError::Unreachable(source),
        error => error,
    }
}

/// `application/json` and whatever is derived from it (RFC 6839 §3.1), as `application/jwk-set+json`.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
}

/// Resolves names, and refuses a name whole if one of its addresses may not be connected to.
#[derive(Clone, Debug)]
struct CheckedResolver {
    reach: Reach,
    lookup: Lookup,
}

/// The addresses of a name.
type Lookup = fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

fn by_the_system(name: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((name, 443)).await?.map(|address| address.ip()).collect()) })
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("an address of the host is not public")]
struct NotPublic;

impl ResolveDns for CheckedResolver {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let found = (self.lookup)(name.to_owned()).await.map_err(ResolveDnsError::new)?;
            let local = self.reach == Reach::Loopback && name == "localhost";
            checked(found, local).map_err(ResolveDnsError::new)
        })
    }
}

fn checked(addresses: Vec<IpAddr>, local: bool) -> Result<Vec<IpAddr>, NotPublic> {
    let may = |address: &IpAddr| address::is_public(*address) || local && address.is_loopback();
    if addresses.iter().all(may) { Ok(addresses) } else { Err(NotPublic) }
}

/// An error of a kind among the sources of another.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_one_private_address_among_public_ones_is_refused() {
        let addresses = |text: &[&str]| text.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        assert!(checked(addresses(&["8.8.8.8", "2606:4700::1111"]), false).is_ok());
        for hidden in ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fd00::1"] {
            assert!(checked(addresses(&["8.8.8.8", hidden]), false).is_err(), "{hidden}");
        }
        assert!(checked(addresses(&["127.0.0.1", "::1"]), true).is_ok());
        assert!(checked(addresses(&["127.0.0.1", "10.0.0.1"]), true).is_err(), "a local run reaches itself alone");
    }

    #[test]
    fn json_is_told_by_its_content_type() {
        for text in ["application/json", "Application/JSON; charset=utf-8", "application/jwk-set+json"] {
            assert!(is_json(text), "{text}");
        }
        for text in
            ["", "text/html", "text/json", "application/octet-stream", "application/jsonp", "json", "image/x+json"]
        {
            assert!(!is_json(text), "{text}");
        }
    }
}
