//! Access tokens that are refused before they expire: one by one (RFC 7009), or all that a client got from an earlier
//! version of its registration. In the `state` table, so that every function sees them:
//!
//! | item | `pk` | `sk` |
//! |---|---|---|
//! | token | `REVOKED` | `<seconds since 1970>#TOKEN#<jti>` |
//! | client | `REVOKED` | `<seconds since 1970>#CLIENT#<client id>` |
//!
//! The sort key begins with the time, so that a reader asks for what is new since its last read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use access_token::Claims;
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use serde::{Deserialize, Serialize};

use crate::client::{Client, ClientId, seconds};
use crate::kept::{Kept, MAX_STALE};
use crate::store::{Item, RegistryError, key, parse};

/// How old the list may be on the way of a request.
pub const MAX_AGE: Duration = Duration::from_secs(10);
/// How old it may be while the table does not answer.
const MAX_AGE_IN_OUTAGE: Duration = Duration::from_secs(60);
/// Clock difference that is tolerated between the functions, in seconds.
const SKEW: u64 = 30;
/// Longest token lifetime, in seconds.
const LONGEST_TOKEN: u64 = 60 * 60;
/// How long a cut is kept, in seconds: a token function that cannot reach the table issues from the registration it
/// remembers, for so long.
const CUT_KEPT: u64 = MAX_STALE.as_secs() + LONGEST_TOKEN + 2 * SKEW;
/// How far the clocks of two writers may differ, in seconds: a read begins so long before the last one.
const OVERLAP: u64 = 60;

const PK: &str = "REVOKED";

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Record {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// The least version of the client whose tokens still count.
    #[serde(default)]
    least_version: u64,
    expires_at: u64,
}

/// A cut of a client's tokens, to be written together with the change that asks for it.
#[derive(Clone, Copy)]
pub struct Cut<'a> {
    table: &'a str,
    client_id: &'a ClientId,
    least_version: u64,
    now: SystemTime,
}

impl Cut<'_> {
    pub(crate) fn write(&self) -> Result<TransactWriteItem, RegistryError> {
        let now = seconds(self.now);
        let record = Record {
            client_id: Some(self.client_id.to_string()),
            least_version: self.least_version,
            expires_at: now + CUT_KEPT,
            ..Record::default()
        };
        let item = item(&record, &format!("{now:010}#CLIENT#{}", self.client_id))?;
        let put = Put::builder().table_name(self.table).set_item(Some(item)).build();
        Ok(TransactWriteItem::builder().put(put.map_err(aws_sdk_dynamodb::Error::from)?).build())
    }
}

/// Writes revocations, and keeps the list of those that count.
pub struct Revocations {
    dynamodb: DynamoDb,
    table: String,
    kept: Kept<RevocationList>,
    last: Mutex<RevocationList>,
}

impl Revocations {
    /// Revocations in `table`, the `state` table.
    pub fn new(dynamodb: DynamoDb, table: impl Into<String>) -> Revocations {
        let kept = Kept::with_max_stale(MAX_AGE_IN_OUTAGE);
        Revocations { dynamodb, table: table.into(), kept, last: Mutex::default() }
    }

    /// Revokes one token.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when the table does not answer.
    pub async fn revoke(&self, claims: &Claims, now: SystemTime) -> Result<(), RegistryError> {
        let record = Record { jti: Some(claims.jti.clone()), expires_at: claims.exp + SKEW, ..Record::default() };
        let item = item(&record, &format!("{:010}#TOKEN#{}", seconds(now), claims.jti))?;
        Box::pin(self.dynamodb.put_item().table_name(&self.table).set_item(Some(item)).send()).await?;
        Ok(())
    }

    /// The cut of every token that `client` got from a version before this one.
    pub fn cut_before<'a>(&'a self, client: &'a Client, now: SystemTime) -> Cut<'a> {
        Cut { table: &self.table, client_id: &client.client_id, least_version: client.version, now }
    }

    /// The cut of every token of a client that is deleted.
    pub fn cut_all<'a>(&'a self, client: &'a Client, now: SystemTime) -> Cut<'a> {
        Cut { least_version: u64::MAX, ..self.cut_before(client, now) }
    }

    /// The list, read on if it is older than `max_age`; while the table does not answer it may be 60 s old.
    ///
    /// # Errors
    /// As all reads of the registry.
    pub async fn list(&self, max_age: Duration, now: SystemTime) -> Result<Arc<RevocationList>, RegistryError> {
        self.kept.get(now, max_age, || self.read_on(seconds(now))).await
    }

    /// The list as it is now.
    ///
    /// # Errors
    /// As all reads of the registry.
    pub async fn list_now(&self, now: SystemTime) -> Result<RevocationList, RegistryError> {
        self.read_on(seconds(now)).await
    }

    async fn read_on(&self, now: u64) -> Result<RevocationList, RegistryError> {
        let mut list = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let from = reads_from(list.read_at, now);
        let mut page = self
            .dynamodb
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk >= :from")
            .expression_attribute_values(":pk", AttributeValue::S(PK.to_owned()))
            .expression_attribute_values(":from", AttributeValue::S(format!("{from:010}")))
            .consistent_read(true);
        loop {
            let output = Box::pin(page.clone().send()).await?;
            for item in output.items.unwrap_or_default() {
                list.add(parse(item)?);
            }
            let Some(last) = output.last_evaluated_key else { break };
            page = page.set_exclusive_start_key(Some(last));
        }
        list.forget_expired(now);
        list.read_at = now;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = list.clone();
        Ok(list)
    }
}

/// The time from which on a list that was read at `read_at` is read further. A clock that was set back since must not
/// hide what is revoked until it has caught up.
fn reads_from(read_at: u64, now: u64) -> u64 {
    read_at.min(now).saturating_sub(OVERLAP).max(now.saturating_sub(CUT_KEPT))
}

/// The revocations that count.
#[derive(Clone, Debug, Default)]
pub struct RevocationList {
    /// By `jti`: when the token expires by itself.
    tokens: HashMap<String, u64>,
    /// By client id.
    clients: HashMap<String, ClientCut>,
    read_at: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct ClientCut {
    least_version: u64,
    expires_at: u64,
}

impl RevocationList {
    /// Whether a token with these claims is refused.
    pub fn refuses(&self, claims: &Claims) -> bool {
        let cut = self.clients.get(&claims.client_id);
        cut.is_some_and(|cut| claims.client_version < cut.least_version) || self.tokens.contains_key(&claims.jti)
    }

    fn add(&mut self, record: Record) {
        if let Some(jti) = record.jti {
            self.tokens.insert(jti, record.expires_at);
        } else if let Some(client_id) = record.client_id {
            let cut = self.clients.entry(client_id).or_default();
            cut.least_version = cut.least_version.max(record.least_version);
            cut.expires_at = cut.expires_at.max(record.expires_at);
        }
    }

    fn forget_expired(&mut self, now: u64) {
        self.tokens.retain(|_, expires_at| *expires_at > now);
        self.clients.retain(|_, cut| cut.expires_at > now);
    }
}

fn item(record: &Record, sk: &str) -> Result<Item, RegistryError> {
    let mut item: Item = serde_dynamo::to_item(record).map_err(RegistryError::Damaged)?;
    item.extend(key(PK, sk));
    Ok(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(client_id: &str, client_version: u64, jti: &str) -> Claims {
        let text = String::new;
        Claims {
            iss: text(),
            sub: text(),
            aud: text(),
            client_id: client_id.to_owned(),
            scope: text(),
            iat: 100,
            exp: 1_000,
            nbf: None,
            jti: jti.to_owned(),
            client_version,
        }
    }

    #[test]
    fn a_list_is_read_on_from_its_last_read_also_when_the_clock_was_set_back() {
        assert_eq!(reads_from(0, 100_000), 100_000 - CUT_KEPT, "never read");
        assert_eq!(reads_from(99_990, 100_000), 99_930);
        assert_eq!(reads_from(200_000, 100_000), 99_940);
    }

    #[test]
    fn a_cut_refuses_what_was_issued_from_an_earlier_version_and_nothing_else() {
        let mut list = RevocationList::default();
        for least_version in [3, 2] {
            let client_id = Some("a".to_owned());
            list.add(Record { client_id, least_version, expires_at: 2_000, ..Record::default() });
        }
        let refused = |client, version| list.refuses(&claims(client, version, "j"));
        assert_eq!([refused("a", 0), refused("a", 2), refused("a", 3), refused("b", 0)], [true, true, false, false]);
    }

    #[test]
    fn a_revocation_is_forgotten_when_its_token_has_expired() {
        let mut list = RevocationList::default();
        list.add(Record { jti: Some("j".to_owned()), expires_at: 1_030, ..Record::default() });
        list.forget_expired(1_029);
        assert!(list.refuses(&claims("a", 1, "j")) && !list.refuses(&claims("a", 1, "k")));
        list.forget_expired(1_030);
        assert!(!list.refuses(&claims("a", 1, "j")));
    }
}
