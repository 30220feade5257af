//! What people and programs get to see of a client. Its secret is not in it.

use std::time::SystemTime;

use aws_clients::SecretStage;
use registry::client::seconds;
use registry::secret_use::previous_accepted_until;
use registry::{AssertionAudience, Client, ClientKeys, ClientStatus, SecretUse, ServerName};
use serde::Serialize;
use serde_json::{Value, json};

use super::given::signs_assertions;
use crate::output::{self, Failure};
use crate::place::Open;
use crate::values;

/// One version of a client's secret.
#[derive(Serialize)]
struct Version {
    stage: &'static str,
    version_id: String,
    /// Seconds since 1970; none when it was never used.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_source: Option<String>,
    /// Seconds since 1970; only the previous one has an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_until: Option<u64>,
}

/// Lists the clients.
///
/// # Errors
/// When the tables do not answer.
pub async fn list(open: &Open, json: bool) -> Result<(), Failure> {
    let (mut documents, mut rows) = (Vec::new(), Vec::new());
    for client in open.registry.clients().await? {
        let last = last_use(&open.secret_uses.all(&client.client_id).await?);
        rows.push(vec![
            client.client_id.to_string(),
            client.name.clone(),
            status(&client).to_owned(),
            servers(&client),
            client.scopes.to_string(),
            expires(&client),
            last.map_or_else(|| "-".to_owned(), values::show_time),
        ]);
        documents.push(record(&client, last));
    }
    if json {
        return output::json(&documents);
    }
    output::table(&["client_id", "name", "status", "servers", "scopes", "expires", "last use"], rows)
}

/// Prints one client.
///
/// # Errors
/// As [`list`].
pub async fn show(open: &Open, json: bool, client: &Client) -> Result<(), Failure> {
    if json { output::json(&document(open, client).await?) } else { print(open, client).await }
}

/// A client for programs.
///
/// # Errors
/// As [`list`].
pub async fn document(open: &Open, client: &Client) -> Result<Value, Failure> {
    let uses = open.secret_uses.all(&client.client_id).await?;
    let mut document = record(client, last_use(&uses));
    document["secrets"] = json!(versions(open, client, &uses).await?);
    Ok(document)
}

fn record(client: &Client, last_used_at: Option<u64>) -> Value {
    let mut record = json!(client);
    record["status"] = json!(status(client));
    record["last_used_at"] = json!(last_used_at);
    record
}

/// A client for people.
///
/// # Errors
/// As [`list`].
pub async fn print(open: &Open, client: &Client) -> Result<(), Failure> {
    let methods: Vec<&str> = client.auth_methods.iter().map(|method| method.as_str()).collect();
    let mut lines = vec![
        ("client_id", client.client_id.to_string()),
        ("name", client.name.clone()),
        ("status", status(client).to_owned()),
        ("servers", servers(client)),
        ("scopes", client.scopes.to_string()),
        ("default scopes", client.default_scopes.to_string()),
        ("auth methods", methods.join(", ")),
    ];
    if signs_assertions(client) {
        lines.extend(client.keys.as_ref().map(|keys| ("keys", show_keys(keys))));
        lines.push(("audience", show_audience(client.assertion_audience).to_owned()));
    }
    lines.push(("token lifetime", values::show_duration(client.token_lifetime)));
    lines.extend(client.token_limit.map(|limit| ("token limit", limit.to_string())));
    if client.secret_id.is_some() {
        lines.push(("quiet period", values::show_duration(client.quiet_period)));
    }
    lines.push(("expires", expires(client)));
    lines.push(("created", values::show_time(client.created_at)));
    let uses = open.secret_uses.all(&client.client_id).await?;
    for version in versions(open, client, &uses).await? {
        lines.push((version.label(), version.for_people(seconds(SystemTime::now()))));
    }
    for (name, value) in lines {
        output::line(&format!("{name:16}{value}"))?;
    }
    Ok(())
}

impl Version {
    fn label(&self) -> &'static str {
        match self.stage {
            "previous" => "previous secret",
            "pending" => "pending secret",
            _ => "current secret",
        }
    }

    fn for_people(&self, now: u64) -> String {
        let used = match (self.last_used_at, &self.last_source) {
            (Some(at), Some(source)) => format!("last used {} from {source}", values::show_time(at)),
            _ => "never used".to_owned(),
        };
        match self.accepted_until {
            Some(until) if until > now => {
                format!("{used}; accepted until {}, longer if it is used", values::show_time(until))
            }
            Some(_) => format!("{used}; no longer accepted"),
            None => used,
        }
    }
}

async fn versions(open: &Open, client: &Client, uses: &[SecretUse]) -> Result<Vec<Version>, Failure> {
    let Some(secret_id) = &client.secret_id else { return Ok(Vec::new()) };
    let Some(secret) = open.secrets.describe(secret_id).await? else { return Ok(Vec::new()) };
    let stages =
        [(SecretStage::Current, "current"), (SecretStage::Previous, "previous"), (SecretStage::Pending, "pending")];
    let versions = stages.into_iter().filter_map(|(stage, name)| {
        let id = secret.version_at(stage)?;
        let last = uses.iter().find(|used| used.version_id == id);
        Some(Version {
            stage: name,
            version_id: id.to_owned(),
            last_used_at: last.map(|used| used.used_at),
            last_source: last.map(|used| used.source.clone()),
            accepted_until: (stage == SecretStage::Previous)
                .then(|| previous_accepted_until(client, last.map(|used| used.used_at))),
        })
    });
    Ok(versions.collect())
}

fn last_use(uses: &[SecretUse]) -> Option<u64> {
    uses.iter().map(|used| used.used_at).max()
}

fn status(client: &Client) -> &'static str {
    match client.status {
        ClientStatus::Disabled => "disabled",
        ClientStatus::Active if client.is_usable(SystemTime::now()) => "active",
        ClientStatus::Active => "expired",
    }
}

fn servers(client: &Client) -> String {
    let names: Vec<&str> = client.servers.iter().map(ServerName::as_str).collect();
    names.join(", ")
}

fn expires(client: &Client) -> String {
    client.expires_at.map_or_else(|| "never".to_owned(), values::show_time)
}

fn show_audience(audience: AssertionAudience) -> &'static str {
    match audience {
        AssertionAudience::Issuer => "the issuer",
        AssertionAudience::TokenEndpoint => "the issuer or the token endpoint",
    }
}

fn show_keys(keys: &ClientKeys) -> String {
    match keys {
        ClientKeys::JwksUri(url) => format!("at {url}"),
        ClientKeys::Jwks(text) => {
            let keys: Value = serde_json::from_str(text).unwrap_or_default();
            let ids: Vec<&str> = keys["keys"]
                .as_array()
                .map(|keys| keys.iter().map(|key| key["kid"].as_str().unwrap_or("without an id")).collect())
                .unwrap_or_default();
            ids.join(", ")
        }
    }
}
