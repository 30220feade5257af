//! The resource server: MCP over Streamable HTTP at `/mcp` and `/mcp/{server}`, its metadata (RFC 9728) and its status.
//!
//! A call passes, in this order: [`App::handle`] → [`front`] (origin, host, [`bearer`], [`json_limits`], [`envelope`],
//! limits of the server ([`quota`]), deadline) → [`protocol`] (rmcp) → [`catalogue`] → [`lookup`].

pub mod arguments;
pub mod bearer;
pub mod catalogue;
pub mod config;
pub mod cursor;
pub mod envelope;
pub mod front;
pub mod idempotency;
pub mod json_limits;
pub mod lookup;
pub mod masking;
pub mod protocol;
pub mod refusal;
pub mod resource_metadata;
pub mod salesforce;
pub mod servers;
pub mod status;
pub mod tables;
pub mod upstream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::{Method, Response};
use http_api::ApiRequest;
use quota::Quotas;
use registry::{Registry, Revocations, ServerName, ToolUses};
use request_log::{RequestLine, Timings};

pub use catalogue::Catalogue;
pub use config::Config;

use crate::upstream::Upstreams;
use bearer::Bearer;
use cursor::Cursors;
use front::Front;
use refusal::Refusal;
use salesforce::orgs::Orgs;
use servers::{MakeEndpoint, Servers};
use tables::Tables;

/// Everything that lives as long as the process.
pub struct App {
    config: Config,
    bearer: Bearer,
    servers: Servers,
    tables: Arc<Tables>,
    orgs: Arc<Orgs>,
    quotas: Quotas,
    tool_uses: Arc<ToolUses>,
    cold: AtomicBool,
}

impl App {
    /// Makes the function ready with the tools that ship.
    pub async fn new(config: Config) -> App {
        App::with_catalogue(config, Catalogue::shipped()).await
    }

    /// Makes the function ready with other tools.
    pub async fn with_catalogue(config: Config, catalogue: Catalogue) -> App {
        App::with_endpoints(config, catalogue, protocol::endpoint).await
    }

    /// Makes the function ready with other tools and another protocol handler behind the front layer: the reads that
    /// every request needs are done here, in parallel, and open the connections that later requests use. A source that
    /// does not answer now is asked again by the first request. The state key is not among them: only cursors need it.
    pub async fn with_endpoints(config: Config, catalogue: Catalogue, make_endpoint: MakeEndpoint) -> App {
        let registry = Registry::new(config.aws.dynamodb.clone(), &config.config_table);
        let revocations = Revocations::new(config.aws.dynamodb.clone(), &config.state_table);
        let upstreams = Upstreams::new(&config, registry.clone());
        let cursors = Cursors::new(config.secrets.clone(), &config.state_key);
        let app = App {
            bearer: Bearer::new(registry.clone(), revocations, config.public_url.clone()),
            servers: Servers::new(registry.clone(), catalogue, upstreams, make_endpoint),
            orgs: Arc::new(Orgs::new(&config, registry.clone())),
            tables: Arc::new(Tables::new(&config, cursors)),
            quotas: Quotas::new("mcp", config.aws.dynamodb.clone(), &config.state_table),
            tool_uses: Arc::new(ToolUses::new(config.aws.dynamodb.clone(), &config.state_table)),
            cold: AtomicBool::new(true),
            config,
        };
        let (now, default) = (SystemTime::now(), ServerName::default_server());
        let (keys, revocations, server) =
            tokio::join!(app.bearer.warm_up(now), app.bearer.revocations(now), app.servers.get(&default, now));
        if keys.is_err() || revocations.is_err() || server.is_err() {
            request_log::problem("mcp", "temporarily_unavailable", "a source did not answer during INIT", now);
        }
        app
    }

    /// Answers one request and writes its line.
    pub async fn handle(&self, request: ApiRequest) -> Response<Bytes> {
        let (start, now) = (Instant::now(), SystemTime::now());
        let mut line = RequestLine::new("mcp", &request.request_id, self.cold.swap(false, Ordering::Relaxed));
        let timings = Arc::new(Timings::default());
        let response = self.route(request, &mut line, &timings, start, now).await;
        line.status = response.status().as_u16();
        timings.fill(&mut line);
        line.total_ms = start.elapsed().into();
        line.write(now);
        response
    }

    async fn route(
        &self,
        request: ApiRequest,
        line: &mut RequestLine,
        timings: &Arc<Timings>,
        started: Instant,
        now: SystemTime,
    ) -> Response<Bytes> {
        if request.path == "/mcp" || request.path.starts_with("/mcp/") {
            let front = Front {
                public_url: &self.config.public_url,
                bearer: &self.bearer,
                servers: &self.servers,
                tables: &self.tables,
                orgs: &self.orgs,
                quotas: &self.quotas,
                tool_uses: &self.tool_uses,
                timings,
                now,
                started,
            };
            return front.answer(request, line).await;
        }
        let read = matches!(request.method, Method::GET | Method::HEAD);
        let answer = match request.path.as_str() {
            _ if !read => Err(Refusal::Method("GET, HEAD")),
            "/" => Ok(status::about(&self.config.public_url)),
            "/healthz" => Ok(status::healthy()),
            "/readyz" => {
                let keys = timings.table(self.bearer.warm_up(now)).await.is_ok();
                let revocations = timings.table(self.bearer.revocations(now)).await.is_ok();
                let default = ServerName::default_server();
                let server = timings.table(self.servers.get(&default, now)).await;
                let server = server.is_ok_and(|server| server.is_some());
                let state_key = timings.table(self.tables.cursors.check_key(now)).await.is_ok();
                Ok(status::ready(keys, revocations, server, state_key))
            }
            path => self.resource_metadata(path, timings, now).await,
        };
        answer.unwrap_or_else(|refusal| {
            line.outcome = refusal.code();
            refusal.into_plain_response()
        })
    }

    async fn resource_metadata(
        &self,
        path: &str,
        timings: &Timings,
        now: SystemTime,
    ) -> Result<Response<Bytes>, Refusal> {
        let name = resource_metadata::server_of(path).ok_or(Refusal::NotFound)?;
        let server = timings.table(self.servers.get(&name, now)).await?.ok_or(Refusal::UnknownServer)?;
        Ok(resource_metadata::answer(&server.definition, &self.config.public_url))
    }
}
