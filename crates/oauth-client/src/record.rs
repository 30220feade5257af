//! The grant of a connection in the `state` table, and the lease of whoever refreshes it.
//!
//! | attribute | meaning |
//! |---|---|
//! | `version` | counts what is sealed; every replacement is one by condition on the version before |
//! | `format`, `wrapped_key`, `nonce`, `sealed` | the sealed grant |
//! | `lease` | `{owner, until}`: who refreshes it, until when (milliseconds since 1970) |
//! | `retry_at` | not to be refreshed before (milliseconds since 1970) |
//! | `status`, `reason` | `ok`; or `attention`, and why |
//! | `issued_at`, `access_expires_at`, `identity` | of the access token, for people (seconds since 1970) |
//!
//! The time is not called `expires_at`: DynamoDB deletes what has one.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use registry::ConnectionName;

use crate::items::{self, Item, TableError, condition_held, number, text};
use crate::sealing::{FORMAT, Sealed};

/// How a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It works, as far as is known.
    Ok,
    /// An administrator has to look.
    Attention,
}

impl Status {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Attention => "attention",
        }
    }
}

/// What may be shown of a grant: nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantStatus {
    /// How the connection is.
    pub status: Status,
    /// Why it needs attention.
    pub reason: Option<String>,
    /// When the access token was issued, seconds since 1970.
    pub issued_at: Option<u64>,
    /// When the access token ends, seconds since 1970, if that is known.
    pub access_expires_at: Option<u64>,
    /// Whom it is for.
    pub identity: Option<String>,
}

/// A record as it was read. Without a version there is no grant yet, only a lease.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) version: Option<u64>,
    pub(crate) sealed: Option<Sealed>,
    pub(crate) lease_until: Option<u64>,
    pub(crate) retry_at: Option<u64>,
    pub(crate) shown: GrantStatus,
}

/// A grant that is to be written.
#[derive(Clone)]
pub(crate) struct NewRecord {
    pub(crate) version: u64,
    pub(crate) sealed: Sealed,
    pub(crate) issued_at: u64,
    pub(crate) access_expires_at: Option<u64>,
    pub(crate) identity: Option<String>,
}

/// An item that we did not write.
#[derive(Debug)]
pub(crate) struct Malformed;

/// Grants in the `state` table.
#[derive(Clone)]
pub(crate) struct Records {
    dynamodb: DynamoDb,
    table: String,
}

/// What every write over an earlier record demands: that it has not been replaced, or that there is none.
const UNREPLACED: &str = "#version = :seen";
const UNWRITTEN: &str = "attribute_not_exists(#version)";

impl Records {
    pub(crate) fn new(dynamodb: DynamoDb, table: impl Into<String>) -> Records {
        Records { dynamodb, table: table.into() }
    }

    /// The record as it is now.
    pub(crate) async fn read(
        &self,
        connection: &ConnectionName,
    ) -> Result<Option<Result<Record, Malformed>>, TableError> {
        let read = self.dynamodb.get_item().table_name(&self.table).set_key(Some(key(connection)));
        let output = Box::pin(read.consistent_read(true).send()).await?;
        Ok(output.item.map(|item| parse(&item)))
    }

    /// Takes the lease of a record that has not changed since it was read; `false`: it has, or somebody has it.
    pub(crate) async fn take_lease(
        &self,
        connection: &ConnectionName,
        seen: Option<u64>,
        owner: &str,
        until: u64,
        now: u64,
    ) -> Result<bool, TableError> {
        // Its own lease too: the SDK repeats a write whose answer was lost.
        let free = "(attribute_not_exists(#lease) OR #lease.#until < :now OR #lease.#owner = :owner)";
        let lease = HashMap::from([("owner".to_owned(), text(owner)), ("until".to_owned(), number(until))]);
        let update = self
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(connection)))
            .update_expression("SET #lease = :lease")
            .condition_expression(format!(
                "{} AND {free} AND (attribute_not_exists(#status) OR #status = :ok)",
                unreplaced(seen)
            ))
            .expression_attribute_names("#version", "version")
            .expression_attribute_names("#lease", "lease")
            .expression_attribute_names("#until", "until")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":lease", AttributeValue::M(lease))
            .expression_attribute_values(":owner", text(owner))
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":ok", text(Status::Ok.as_str()));
        let update = match seen {
            Some(seen) => update.expression_attribute_values(":seen", number(seen)),
            None => update,
        };
        condition_held(Box::pin(update.send()).await)
    }

    /// Ends a refresh that gave nothing: no other before `retry_at`, and with `keep_lease` none before the lease ends.
    pub(crate) async fn end_refresh(
        &self,
        connection: &ConnectionName,
        owner: &str,
        retry_at: u64,
        keep_lease: bool,
    ) -> Result<bool, TableError> {
        let change = if keep_lease { "SET retry_at = :retry_at" } else { "SET retry_at = :retry_at REMOVE #lease" };
        let update = self
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(connection)))
            .update_expression(change)
            .condition_expression("#lease.#owner = :owner")
            .expression_attribute_names("#lease", "lease")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":retry_at", number(retry_at))
            .expression_attribute_values(":owner", text(owner));
        condition_held(Box::pin(update.send()).await)
    }

    /// Marks a record that has not been replaced since it was read; its lease ends.
    pub(crate) async fn mark_attention(
        &self,
        connection: &ConnectionName,
        seen: Option<u64>,
        reason: &str,
    ) -> Result<bool, TableError> {
        let update = self
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(connection)))
            .update_expression("SET #status = :attention, #reason = :reason REMOVE #lease, retry_at")
            .condition_expression(unreplaced(seen))
            .expression_attribute_names("#version", "version")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#reason", "reason")
            .expression_attribute_names("#lease", "lease")
            .expression_attribute_values(":attention", text(Status::Attention.as_str()))
            .expression_attribute_values(":reason", text(reason));
        let update = match seen {
            Some(seen) => update.expression_attribute_values(":seen", number(seen)),
            None => update,
        };
        condition_held(Box::pin(update.send()).await)
    }

    /// Takes the mark away, and whatever keeps from a refresh; without a record nothing happens.
    pub(crate) async fn clear_attention(&self, connection: &ConnectionName) -> Result<bool, TableError> {
        let update = self
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(connection)))
            .update_expression("SET #status = :ok REMOVE #reason, retry_at")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#reason", "reason")
            .expression_attribute_values(":ok", text(Status::Ok.as_str()));
        condition_held(Box::pin(update.send()).await)
    }

    /// Replaces the record of version `seen` whole, its lease with it; `false`: it has been replaced already.
    pub(crate) async fn replace(
        &self,
        connection: &ConnectionName,
        seen: Option<u64>,
        record: &NewRecord,
    ) -> Result<bool, TableError> {
        let put = self
            .dynamodb
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(connection, record)))
            .condition_expression(unreplaced(seen))
            .expression_attribute_names("#version", "version");
        let put = match seen {
            Some(seen) => put.expression_attribute_values(":seen", number(seen)),
            None => put,
        };
        condition_held(Box::pin(put.send()).await)
    }

    /// Deletes all that is kept of a connection: its record, who consented, and how the last consent ended.
    pub(crate) async fn delete_all(&self, connection: &ConnectionName) -> Result<(), TableError> {
        self.delete(connection).await?;
        for sk in ["PIN", "CONSENT"] {
            let key = items::key(&format!("GRANT#{connection}"), sk);
            Box::pin(self.dynamodb.delete_item().table_name(&self.table).set_key(Some(key)).send()).await?;
        }
        Ok(())
    }

    /// Deletes a record; one that is not there is no error.
    pub(crate) async fn delete(&self, connection: &ConnectionName) -> Result<(), TableError> {
        let delete = self.dynamodb.delete_item().table_name(&self.table).set_key(Some(key(connection)));
        Box::pin(delete.send()).await?;
        Ok(())
    }
}

fn unreplaced(seen: Option<u64>) -> &'static str {
    if seen.is_some() { UNREPLACED } else { UNWRITTEN }
}

fn key(connection: &ConnectionName) -> Item {
    items::key(&format!("GRANT#{connection}"), "RECORD")
}

fn item(connection: &ConnectionName, record: &NewRecord) -> Item {
    let blob = |bytes: &[u8]| AttributeValue::B(Blob::new(bytes));
    let mut item = key(connection);
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set("version", number(record.version));
    set("format", number(FORMAT));
    set("wrapped_key", blob(&record.sealed.wrapped_key));
    set("nonce", blob(&record.sealed.nonce));
    set("sealed", blob(&record.sealed.ciphertext));
    set("status", text(Status::Ok.as_str()));
    set("issued_at", number(record.issued_at));
    if let Some(expires_at) = record.access_expires_at {
        set("access_expires_at", number(expires_at));
    }
    if let Some(identity) = &record.identity {
        set("identity", text(identity));
    }
    item
}

fn parse(item: &Item) -> Result<Record, Malformed> {
    let version = number_in(item, "version")?;
    let sealed = match version {
        None => None,
        Some(_) if number_in(item, "format")? != Some(FORMAT) => return Err(Malformed),
        Some(_) => Some(Sealed {
            wrapped_key: blob_in(item, "wrapped_key")?,
            nonce: blob_in(item, "nonce")?,
            ciphertext: blob_in(item, "sealed")?,
        }),
    };
    let lease_until = match item.get("lease") {
        None => None,
        Some(AttributeValue::M(lease)) => Some(number_in(lease, "until")?.ok_or(Malformed)?),
        Some(_) => return Err(Malformed),
    };
    let text_in = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
    let status = match text_in("status").as_deref() {
        Some("attention") => Status::Attention,
        _ => Status::Ok,
    };
    Ok(Record {
        version,
        sealed,
        lease_until,
        retry_at: number_in(item, "retry_at")?,
        shown: GrantStatus {
            status,
            reason: text_in("reason"),
            issued_at: number_in(item, "issued_at")?,
            access_expires_at: number_in(item, "access_expires_at")?,
            identity: text_in("identity"),
        },
    })
}

fn number_in(item: &Item, name: &str) -> Result<Option<u64>, Malformed> {
    match item.get(name) {
        None => Ok(None),
        Some(AttributeValue::N(digits)) => digits.parse().map(Some).map_err(|_| Malformed),
        Some(_) => Err(Malformed),
    }
}

fn blob_in(item: &Item, name: &str) -> Result<Vec<u8>, Malformed> {
    match item.get(name) {
        Some(AttributeValue::B(blob)) => Ok(blob.as_ref().to_vec()),
        _ => Err(Malformed),
    }
}
