//! The MCP servers of the registry, made ready to serve: definition, tools, and rmcp's endpoint.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use catalogue::SalesforceTool;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use http_body_util::combinators::BoxBody;
use registry::{Kept, Registry, RegistryError, Server, ServerName, ToolDefinition};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use crate::catalogue::{Catalogue, Conduct, ServedTool};
use crate::refusal::Refusal;
use crate::upstream::Upstreams;
use crate::upstream::registrations::Loaded;

/// How long a definition is used before it is read again.
const MAX_AGE: Duration = Duration::from_secs(30);
/// From this age on a definition is read again beside the request that uses it.
const REVALIDATED_AT: Duration = Duration::from_secs(20);
/// How long a server is used whose upstreams could not all be read.
const INCOMPLETE_AGE: Duration = Duration::from_secs(5);
/// Names remembered at once, known and unknown; past it all are forgotten.
const MAX_REMEMBERED: usize = 1_000;

/// Body of rmcp's answers.
pub type EndpointBody = BoxBody<Bytes, Infallible>;

/// A server, ready.
pub struct ServedServer {
    /// Its definition.
    pub definition: Server,
    /// Its tools, in the order of the definition.
    pub tools: Vec<ServedTool>,
    upstreams: Loaded,
    /// What a call is told about it.
    pub conduct: Arc<Conduct>,
    /// rmcp's endpoint for it.
    pub endpoint: Endpoint,
}

/// What answers the MCP requests of one server, behind the front layer.
pub type Endpoint =
    Box<dyn Fn(http::Request<Full<Bytes>>) -> BoxFuture<'static, http::Response<EndpointBody>> + Send + Sync>;

/// Makes the endpoint of a server.
pub type MakeEndpoint = fn(&Server, &[ServedTool]) -> Endpoint;

/// rmcp around a handler: stateless, JSON answers. Hosts are the front layer's to check.
pub fn endpoint<H: ServerHandler + Clone>(handler: H) -> Endpoint {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .disable_allowed_hosts();
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(handler.clone()), sessions, config);
    Box::new(move |request| {
        let service = service.clone();
        Box::pin(async move { service.handle(request).await })
    })
}

impl ServedServer {
    fn new(definition: Server, upstreams: Loaded, inner: &Inner, now: SystemTime) -> Result<ServedServer, LoadError> {
        let mut tools = Vec::new();
        for tool in &definition.tools {
            match tool {
                // A definition may name a tool that this release does not have; it serves the others.
                ToolDefinition::Shipped(name) => tools.extend(shipped(&inner.catalogue, name)),
                ToolDefinition::Lookup(lookup) => tools.push(ServedTool::lookup(lookup)?),
            }
        }
        if !definition.upstreams.is_empty() {
            tools.extend(inner.upstreams.tools(&definition, &upstreams.registered, now));
        }
        let endpoint = (inner.make_endpoint)(&definition, &tools);
        Ok(ServedServer { conduct: Arc::new(Conduct::of(&definition)), definition, tools, upstreams, endpoint })
    }

    /// One of its tools.
    pub fn tool(&self, name: &str) -> Option<&ServedTool> {
        self.tools.iter().find(|served| served.tool.name == name)
    }
}

fn shipped(catalogue: &Catalogue, name: &str) -> Option<ServedTool> {
    catalogue.tool(name).cloned().or_else(|| SalesforceTool::named(name).map(ServedTool::salesforce))
}

/// Why a server cannot be made ready.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("a lookup's pattern is no regular expression")]
    Pattern(#[from] regex_lite::Error),
}

/// Reads servers, and keeps them for a while.
#[derive(Clone)]
pub struct Servers {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    catalogue: Catalogue,
    upstreams: Upstreams,
    make_endpoint: MakeEndpoint,
    remembered: Mutex<HashMap<ServerName, Arc<Remembered>>>,
}

#[derive(Default)]
struct Remembered {
    kept: Kept<Option<Arc<ServedServer>>>,
    /// Set by the one who reads beside a request.
    revalidating: AtomicBool,
}

impl Servers {
    /// Servers of a registry, with tools of a catalogue and of upstreams, behind endpoints of a kind.
    pub fn new(registry: Registry, catalogue: Catalogue, upstreams: Upstreams, make_endpoint: MakeEndpoint) -> Servers {
        let remembered = Mutex::default();
        Servers { inner: Arc::new(Inner { registry, catalogue, upstreams, make_endpoint, remembered }) }
    }

    /// A server, or `None`: as it was 30 seconds ago at most, while the registry can be read. Nobody waits for a newer
    /// definition while the one there is may still be used.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] when the registry cannot be read and nothing is remembered.
    pub async fn get(&self, name: &ServerName, now: SystemTime) -> Result<Option<Arc<ServedServer>>, Refusal> {
        let remembered = self.inner.remembered(name);
        let old = remembered.kept.peek(now).is_some_and(|(_, age)| (REVALIDATED_AT..MAX_AGE).contains(&age));
        if old && !remembered.revalidating.swap(true, Ordering::Relaxed) {
            let (inner, remembered, name) = (self.inner.clone(), remembered.clone(), name.clone());
            tokio::spawn(async move {
                // What fails here is tried again by the request that cannot do without.
                let _ = inner.read(&remembered, &name, REVALIDATED_AT, now).await;
                remembered.revalidating.store(false, Ordering::Relaxed);
            });
        }
        let server = self.inner.read(&remembered, name, MAX_AGE, now).await.map_err(|_| Refusal::Unavailable)?;
        Ok(server.as_ref().clone())
    }

    /// How old the definition of a server is; `None` when there is none.
    pub fn age(&self, name: &ServerName, now: SystemTime) -> Option<Duration> {
        self.inner.remembered(name).kept.peek(now).map(|(_, age)| age)
    }
}

impl Inner {
    async fn read(
        &self,
        remembered: &Remembered,
        name: &ServerName,
        max_age: Duration,
        now: SystemTime,
    ) -> Result<Arc<Option<Arc<ServedServer>>>, LoadError> {
        let fetch = async || {
            let earlier = remembered.kept.peek(now).and_then(|(earlier, _)| earlier.as_ref().clone());
            let loaded = match self.registry.server(name).await {
                Ok(None) => return Ok(None),
                Ok(Some(server)) => {
                    let upstreams = match server.upstreams.is_empty() {
                        true => Loaded::default(),
                        false => Box::pin(self.upstreams.load(&server, now)).await,
                    };
                    match &earlier {
                        // Nothing has changed: what is ready stays.
                        Some(earlier) if earlier.definition == server && earlier.upstreams == upstreams => {
                            return Ok(Some(earlier.clone()));
                        }
                        _ => ServedServer::new(server, upstreams, self, now),
                    }
                }
                Err(error @ RegistryError::Table(_)) => return Err(LoadError::Registry(error)),
                Err(error) => Err(error.into()),
            };
            match (loaded, earlier) {
                (Ok(server), _) => Ok(Some(Arc::new(server))),
                (Err(error), earlier) => {
                    request_log::problem("mcp", "bad_definition", &format!("server {name}: {error}"), now);
                    // A bad definition never replaces a good one.
                    earlier.map(Some).ok_or(error)
                }
            }
        };
        let fresh = |server: &Option<Arc<ServedServer>>, age| match server {
            Some(server) if server.upstreams.incomplete => age < INCOMPLETE_AGE,
            _ => age < max_age,
        };
        remembered.kept.get_if(now, fresh, fetch).await
    }

    fn remembered(&self, name: &ServerName) -> Arc<Remembered> {
        let mut all = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_REMEMBERED && !all.contains_key(name) {
            all.clear();
        }
        all.entry(name.clone()).or_default().clone()
    }
}
