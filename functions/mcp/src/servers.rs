//! The MCP servers of the registry, made ready to serve: definition, tools, and rmcp's endpoint.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use http_body_util::combinators::BoxBody;
use registry::{Kept, Registry, RegistryError, Server, ServerName};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use crate::catalogue::{Catalogue, Tool};
use crate::refusal::Refusal;

/// How long a definition is used before it is read again.
const MAX_AGE: Duration = Duration::from_secs(30);
/// Names remembered at once, known and unknown; past it all are forgotten.
const MAX_REMEMBERED: usize = 1_000;

/// Body of rmcp's answers.
pub type EndpointBody = BoxBody<Bytes, Infallible>;

/// A server, ready.
pub struct ServedServer {
    /// Its definition.
    pub definition: Server,
    /// Its tools, in the order of the definition.
    pub tools: Vec<Tool>,
    /// rmcp's endpoint for it.
    pub endpoint: Endpoint,
}

/// What answers the MCP requests of one server, behind the front layer.
pub type Endpoint =
    Box<dyn Fn(http::Request<Full<Bytes>>) -> BoxFuture<'static, http::Response<EndpointBody>> + Send + Sync>;

/// Makes the endpoint of a server.
pub type MakeEndpoint = fn(&Server, &[Tool]) -> Endpoint;

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
    fn new(definition: Server, catalogue: &Catalogue, make_endpoint: MakeEndpoint) -> ServedServer {
        // A definition may name a tool that this release does not have; it serves the others.
        let tools: Vec<Tool> = definition.tools.iter().filter_map(|name| catalogue.tool(name)).cloned().collect();
        let endpoint = make_endpoint(&definition, &tools);
        ServedServer { definition, tools, endpoint }
    }

    /// One of its tools.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}

/// Reads servers, and keeps them for a while.
pub struct Servers {
    registry: Registry,
    catalogue: Catalogue,
    make_endpoint: MakeEndpoint,
    remembered: Mutex<HashMap<ServerName, Arc<Remembered>>>,
}

type Remembered = Kept<Option<Arc<ServedServer>>>;

impl Servers {
    /// Servers of a registry, with tools of a catalogue, behind endpoints of a kind.
    pub fn new(registry: Registry, catalogue: Catalogue, make_endpoint: MakeEndpoint) -> Servers {
        Servers { registry, catalogue, make_endpoint, remembered: Mutex::default() }
    }

    /// A server, or `None`.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] when the registry cannot be read and nothing is remembered.
    pub async fn get(&self, name: &ServerName, now: SystemTime) -> Result<Option<Arc<ServedServer>>, Refusal> {
        let remembered = self.remembered(name);
        let fetch = async || {
            let definition = self.registry.server(name).await?;
            Ok::<_, RegistryError>(
                definition.map(|server| Arc::new(ServedServer::new(server, &self.catalogue, self.make_endpoint))),
            )
        };
        let server = remembered.get(now, MAX_AGE, fetch).await.map_err(|_| Refusal::Unavailable)?;
        Ok(server.as_ref().clone())
    }

    fn remembered(&self, name: &ServerName) -> Arc<Remembered> {
        let mut all = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_REMEMBERED && !all.contains_key(name) {
            all.clear();
        }
        all.entry(name.clone()).or_default().clone()
    }
}
