//! The upstreams that definitions name: where each is, and which of its tools were accepted. Read with a definition and
//! never without one that names an upstream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use futures_util::future::join_all;
use oauth_client::Grants;
use registry::{Accepted, Connection, ConnectionName, PinnedTools, Registry, RegistryError, Server, Upstream};
use upstream::{McpClient, Seen, SeenStore};

use super::calling::{Reach, Source};
use super::looking::Known;
use crate::catalogue::ServedTool;
use crate::config::Config;

/// An upstream as it is registered, with its accepted tools.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// Where it is, and how we authenticate there.
    pub upstream: Upstream,
    /// Its tools as an administrator accepted them.
    pub pinned: PinnedTools,
}

/// The upstreams of a definition.
#[derive(Default, PartialEq)]
pub struct Loaded {
    /// Those that are registered, in the order of the definition.
    pub registered: Vec<Arc<Registered>>,
    /// One could not be read, and nothing of it was remembered: its tools are missing.
    pub incomplete: bool,
}

/// Every upstream that this process has to do with.
pub struct Upstreams {
    registry: Registry,
    reach: Arc<Reach>,
    known: Mutex<HashMap<ConnectionName, Remembered>>,
}

#[derive(Clone, Default)]
struct Remembered {
    registered: Option<Arc<Registered>>,
    known: Arc<Known>,
}

impl Remembered {
    /// What is known of an upstream is of its URL and its token: of another one nothing is.
    fn replace(&mut self, registered: Option<Registered>) {
        let upstream = |registered: &Registered| registered.upstream.clone();
        if self.registered.as_deref().map(upstream) != registered.as_ref().map(upstream) {
            self.known = Arc::default();
        }
        self.registered = registered.map(Arc::new);
    }
}

/// What is read of an upstream: no registration is an answer, too.
struct Read {
    registered: Result<Option<Registered>, RegistryError>,
    seen: Option<Seen>,
}

impl Upstreams {
    /// Upstreams of a registry. Nothing is read before a definition names one.
    pub fn new(config: &Config, registry: Registry) -> Upstreams {
        let grants = Grants::new(
            config.aws.dynamodb.clone(),
            &config.state_table,
            config.sealing_keys.clone(),
            config.secrets.clone(),
            config.upstream_outbound.clone(),
        );
        let reach = Reach {
            client: McpClient::new(config.upstream_outbound.clone()),
            grants,
            secrets: config.secrets.clone(),
            seen: SeenStore::new(config.aws.dynamodb.clone(), &config.state_table),
        };
        Upstreams { registry, reach: Arc::new(reach), known: Mutex::default() }
    }

    /// Reads the upstreams of a definition. One that cannot be read is as it was remembered, whichever server it was read
    /// for. What upstreams were last seen to list is read along: when that cannot be read, what was remembered counts, and
    /// with nothing remembered every tool is listed as it was accepted, for a call looks before it trusts it.
    pub async fn load(&self, definition: &Server, now: SystemTime) -> Loaded {
        let names: Vec<&ConnectionName> = definition.upstreams.iter().map(|of| &of.name).collect();
        let reads = join_all(names.iter().map(|name| self.read(name, now))).await;
        let mut loaded = Loaded::default();
        for (name, Read { registered, seen }) in names.into_iter().zip(reads) {
            let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let remembered = all.entry(name.clone()).or_default();
            match registered {
                // What has not changed stays the same in memory, whichever servers have it.
                Ok(registered) if registered.as_ref() == remembered.registered.as_deref() => {}
                Ok(registered) => remembered.replace(registered),
                Err(error) => {
                    let message = format!("upstream {name}: its registration or its accepted tools: {error}");
                    request_log::problem("mcp", "upstream_unread", &message, now);
                    loaded.incomplete |= remembered.registered.is_none();
                }
            }
            seen.into_iter().for_each(|seen| remembered.known.learn(seen));
            loaded.registered.extend(remembered.registered.clone());
        }
        loaded
    }

    async fn read(&self, name: &ConnectionName, now: SystemTime) -> Read {
        let (connection, pinned, seen) = tokio::join!(
            Box::pin(self.registry.connection(name)),
            Box::pin(self.registry.pinned_tools(name)),
            Box::pin(self.reach.seen.read(name)),
        );
        let seen = seen.unwrap_or_else(|error| {
            request_log::problem("mcp", "upstream_unread", &format!("upstream {name}: {error}"), now);
            None
        });
        let registered = match (connection, pinned) {
            (Err(error), _) | (_, Err(error)) => Err(error),
            (Ok(Some(Connection::Upstream(upstream))), Ok(pinned)) => {
                Ok(Some(Registered { upstream, pinned: pinned.unwrap_or_default() }))
            }
            // An org of that name, or none at all.
            (Ok(_), Ok(_)) => Ok(None),
        };
        Read { registered, seen }
    }

    /// The tools that a server has of its upstreams. One that cannot have its name is left out, and the log says so.
    pub fn tools(&self, definition: &Server, registered: &[Arc<Registered>], now: SystemTime) -> Vec<ServedTool> {
        let accepted: Accepted = registered.iter().map(|of| (of.upstream.name.clone(), of.pinned.clone())).collect();
        let (tools, left_out) = registry::upstream_tools(definition, &accepted);
        for left_out in left_out {
            let (server, upstream, tool) = (&definition.name, &left_out.upstream, &left_out.tool);
            let message =
                format!("server {server}: the tool {tool} of upstream {upstream} is left out: {}", left_out.why);
            request_log::problem("mcp", "upstream_tool_left_out", &message, now);
        }
        let served = tools.into_iter().filter_map(|of| {
            let registered = registered.iter().find(|registered| registered.upstream.name == of.upstream)?;
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&of.upstream)?.known.clone();
            let source = Source::new(registered.clone(), of.pinned, known, self.reach.clone());
            Some(ServedTool::upstream(of.tool, source))
        });
        served.collect()
    }
}
