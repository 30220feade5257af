//! The orgs that servers name: their registrations, kept for half a minute, and a client of each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use oauth_client::Grants;
use outbound::Fetcher;
use registry::{Connection, ConnectionName, Kept, Registry, RegistryError, SalesforceOrg};
use salesforce::{Client, OrgError};

use crate::catalogue::Trouble;
use crate::config::Config;
use crate::idempotency::Writes;

const MAX_AGE: Duration = Duration::from_secs(30);

/// Clients of orgs, by the name of the org.
pub struct Orgs {
    registry: Registry,
    grants: Grants,
    fetcher: Fetcher,
    known: Mutex<HashMap<String, Arc<Kept<Option<Known>>>>>,
    /// What keeps a write from being made twice.
    pub writes: Writes,
}

/// An org as it was read, and its client: the client stays while the registration does, with what it has described.
struct Known {
    record: SalesforceOrg,
    client: Client,
}

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Org(#[from] OrgError),
}

impl Orgs {
    /// Orgs of a registry. Nothing is read before a tool needs it.
    pub fn new(config: &Config, registry: Registry) -> Orgs {
        let grants = Grants::new(
            config.aws.dynamodb.clone(),
            &config.state_table,
            config.sealing_keys.clone(),
            config.secrets.clone(),
            config.outbound.clone(),
        );
        let writes = Writes::new(config.aws.dynamodb.clone(), &config.state_table);
        Orgs { registry, grants, fetcher: config.outbound.clone(), known: Mutex::default(), writes }
    }

    /// The client of an org.
    ///
    /// # Errors
    /// [`Trouble`] when the server names none, when there is no such org, or when its registration cannot be read.
    pub async fn client(&self, org: Option<&str>, now: SystemTime) -> Result<Client, Trouble> {
        let Some(name) = org.and_then(ConnectionName::parse) else {
            return Err(Trouble::new(
                "org_not_named",
                "This server has Salesforce tools but names no org. Its administrator adds `org:` to its definition.",
            ));
        };
        let kept =
            self.known.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_string()).or_default().clone();
        let earlier = kept.peek(now);
        let fetch = async || {
            let Some(Connection::Salesforce(record)) = self.registry.connection(&name).await? else { return Ok(None) };
            let client = match earlier.as_ref().and_then(|(known, _)| known.as_ref().as_ref()) {
                Some(known) if known.record == record => known.client.clone(),
                _ => Client::new(&record, self.grants.clone(), self.fetcher.clone())?,
            };
            Ok::<_, LoadError>(Some(Known { record, client }))
        };
        match kept.get(now, MAX_AGE, fetch).await {
            Ok(known) => known.as_ref().as_ref().map(|known| known.client.clone()).ok_or_else(|| {
                Trouble::new(
                    "org_unknown",
                    format!("There is no org {name}. Its administrator runs `northstar org add {name}`."),
                )
            }),
            Err(error) => {
                request_log::problem("mcp", "org_unavailable", &format!("org {name}: {error}"), now);
                Err(Trouble::new(
                    "org_unavailable",
                    "The registration of the org cannot be read. Try again in a minute.",
                ))
            }
        }
    }
}
