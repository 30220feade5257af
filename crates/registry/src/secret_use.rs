//! When each version of a client's secret was used last, and from where: what tells whether a previous secret can go.
//! In the `state` table, as `USE#<client id>`, `<version id>`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use crate::client::{Client, ClientId, seconds};
use crate::store::{Item, RegistryError, key, parse};

/// Longest quiet period a client may have, in seconds.
pub const LONGEST_QUIET_PERIOD: u64 = 30 * 24 * 60 * 60;

/// How often the use of a version is recorded, in seconds, unless the quiet period is shorter.
const RECORDED_EVERY: u64 = 60;

/// How often a use is recorded, in seconds: often enough for the client's quiet period.
pub fn recorded_every(client: &Client) -> u64 {
    RECORDED_EVERY.min(client.quiet_period)
}

/// Until when the previous version of a client's secret is accepted, seconds since 1970: until nobody has used it for
/// the quiet period. `last_used_at` is what was recorded; a use may be younger than its record.
pub fn previous_accepted_until(client: &Client, last_used_at: Option<u64>) -> u64 {
    let used_until = last_used_at.map_or(0, |at| at + recorded_every(client));
    used_until.max(client.secrets_changed_at).saturating_add(client.quiet_period)
}

/// The last use of one version of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretUse {
    /// Version id in Secrets Manager.
    pub version_id: String,
    /// Seconds since 1970.
    pub used_at: u64,
    /// Address the request came from (`requestContext.http.sourceIp`).
    pub source: String,
    expires_at: u64,
}

/// Who keeps a client's previous secret alive.
#[derive(Debug, thiserror::Error)]
#[error("the previous secret of client {client_id} ({name}) is accepted until {}: {}", show(*.accepted_until), self.what_to_do())]
pub struct SecretInUse {
    /// The client.
    pub client_id: ClientId,
    /// Its name.
    pub name: String,
    /// When the previous secret was used last, seconds since 1970, and from which address; none if it never was since
    /// it was recorded.
    pub last_use: Option<(u64, String)>,
    /// The end of the quiet period, seconds since 1970.
    pub accepted_until: u64,
}

impl SecretInUse {
    fn what_to_do(&self) -> String {
        let used = match &self.last_use {
            Some((at, source)) => format!("it was used last at {} from {source}", show(*at)),
            None => "no use of it is recorded, but its quiet period is not over".to_owned(),
        };
        format!(
            "{used}. Give the client its current secret and rotate after that time, or refuse the previous one now: northstar client rotate {} --retire-previous",
            self.client_id
        )
    }
}

fn show(seconds: u64) -> String {
    let moment = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH);
    request_log::timestamp(moment).replace(".000Z", "Z")
}

/// Records uses and tells them.
#[derive(Clone)]
pub struct SecretUses {
    dynamodb: DynamoDb,
    table: String,
}

impl SecretUses {
    /// Uses in `table`, the `state` table.
    pub fn new(dynamodb: DynamoDb, table: impl Into<String>) -> SecretUses {
        SecretUses { dynamodb, table: table.into() }
    }

    /// Records that a version was used at the time `now`.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when the table does not answer.
    pub async fn record(
        &self,
        client: &ClientId,
        version_id: &str,
        source: &str,
        now: SystemTime,
    ) -> Result<(), RegistryError> {
        let used_at = seconds(now);
        let expires_at = used_at + 2 * LONGEST_QUIET_PERIOD;
        let used = SecretUse { version_id: version_id.to_owned(), used_at, source: source.to_owned(), expires_at };
        let mut item: Item = serde_dynamo::to_item(used).map_err(RegistryError::Damaged)?;
        item.extend(key(&pk(client), version_id));
        Box::pin(self.dynamodb.put_item().table_name(&self.table).set_item(Some(item)).send()).await?;
        Ok(())
    }

    /// The last use of a version; `None` when there was none.
    ///
    /// # Errors
    /// As all reads of the registry.
    pub async fn last(&self, client: &ClientId, version_id: &str) -> Result<Option<SecretUse>, RegistryError> {
        let get = self.dynamodb.get_item().table_name(&self.table).set_key(Some(key(&pk(client), version_id)));
        Box::pin(get.consistent_read(true).send()).await?.item.map(parse).transpose()
    }

    /// Why the previous version of a client's secret cannot give way yet; `None` when it is not accepted any more.
    ///
    /// # Errors
    /// As all reads of the registry.
    pub async fn in_use(
        &self,
        client: &Client,
        previous: &str,
        now: SystemTime,
    ) -> Result<Option<SecretInUse>, RegistryError> {
        let last = self.last(&client.client_id, previous).await?;
        let accepted_until = previous_accepted_until(client, last.as_ref().map(|last| last.used_at));
        Ok((seconds(now) < accepted_until).then(|| SecretInUse {
            client_id: client.client_id.clone(),
            name: client.name.clone(),
            last_use: last.map(|last| (last.used_at, last.source)),
            accepted_until,
        }))
    }

    /// The last use of every version of a client's secret.
    ///
    /// # Errors
    /// As all reads of the registry.
    pub async fn all(&self, client: &ClientId) -> Result<Vec<SecretUse>, RegistryError> {
        let query = self
            .dynamodb
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(pk(client)))
            .consistent_read(true);
        query.send().await?.items.unwrap_or_default().into_iter().map(parse).collect()
    }
}

fn pk(client: &ClientId) -> String {
    format!("USE#{client}")
}
