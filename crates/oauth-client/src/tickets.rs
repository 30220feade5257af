//! Tickets: each lets one browser begin one consent, for ten minutes. In the `state` table, by digest: `pk` is
//! `TICKET#<SHA-256 of the ticket, in hexadecimal>`, `sk` is `RECORD`.

use std::time::SystemTime;

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::AttributeValue;
use registry::ConnectionName;
use secrecy::{ExposeSecret, SecretString};

use crate::consent;
use crate::items::{self, Item, TableError};

/// How long a ticket may be used, in seconds.
pub const LIFETIME: u64 = 600;

/// What a ticket allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Somebody else of the same org may consent than before.
    pub new_user: bool,
}

/// Issues tickets and uses them up.
#[derive(Clone)]
pub struct Tickets {
    dynamodb: DynamoDb,
    table: String,
}

impl Tickets {
    /// Tickets in `state_table`.
    pub fn new(dynamodb: DynamoDb, state_table: impl Into<String>) -> Tickets {
        Tickets { dynamodb, table: state_table.into() }
    }

    /// Makes a ticket for a connection: 256 random bits in base64url, of which the table gets the digest.
    ///
    /// # Errors
    /// [`TableError`] when the table does not answer.
    pub async fn issue(
        &self,
        name: &ConnectionName,
        new_user: bool,
        now: SystemTime,
    ) -> Result<SecretString, TableError> {
        let ticket = consent::random_secret().ok_or(TableError::Crypto)?;
        let mut item = items::key(&key(ticket.expose_secret()), "RECORD");
        item.insert("connection".to_owned(), items::text(name.as_str()));
        item.insert("new_user".to_owned(), AttributeValue::Bool(new_user));
        item.insert("expires_at".to_owned(), items::number(items::seconds(now) + LIFETIME));
        let put = self.dynamodb.put_item().table_name(&self.table).set_item(Some(item));
        Box::pin(put.send()).await?;
        Ok(ticket)
    }

    /// Uses a ticket up; `None` when it is unknown, used up, expired, or for another connection, whose ticket is kept.
    ///
    /// # Errors
    /// [`TableError`] when the table does not answer.
    pub async fn consume(
        &self,
        name: &ConnectionName,
        ticket: &str,
        now: SystemTime,
    ) -> Result<Option<Ticket>, TableError> {
        if !consent::is_random_secret(ticket) {
            return Ok(None);
        }
        let ours = Some(("connection", items::text(name.as_str())));
        let taken = items::take(&self.dynamodb, &self.table, items::key(&key(ticket), "RECORD"), ours).await?;
        Ok(taken.filter(|item| items::is_alive(item, now)).map(|item| read(&item)))
    }
}

fn key(ticket: &str) -> String {
    format!("TICKET#{}", items::digest(ticket))
}

fn read(item: &Item) -> Ticket {
    Ticket { new_user: item.get("new_user").and_then(|value| value.as_bool().ok()).copied().unwrap_or(false) }
}
