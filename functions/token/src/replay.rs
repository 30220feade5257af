//! Which assertions have been used (RFC 7523 §3, item 7). In the `state` table, where every process sees them:
//! `pk` is `REPLAY#<client id>`, `sk` the SHA-256 of the `jti`.

use std::time::SystemTime;

use aws_lc_rs::{digest, rand};
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use registry::ClientId;
use registry::client::seconds;

use crate::error::TokenError;

/// Records the use of assertions.
pub struct Replays {
    dynamodb: DynamoDb,
    table: String,
}

impl Replays {
    /// Uses in `table`, the `state` table.
    pub fn new(dynamodb: DynamoDb, table: impl Into<String>) -> Replays {
        Replays { dynamodb, table: table.into() }
    }

    /// Records that `client` used the assertion `jti`, which is refused by its age from `expires_at` (seconds since
    /// 1970) on; `false` says that it had been used before.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`] when the table does not answer: what cannot be recorded is not accepted.
    pub async fn record(
        &self,
        client: &ClientId,
        jti: &str,
        expires_at: u64,
        now: SystemTime,
    ) -> Result<bool, TokenError> {
        let number = |value: u64| AttributeValue::N(value.to_string());
        let id = BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, jti.as_bytes()));
        let use_id = AttributeValue::S(use_id()?);
        let put = self
            .dynamodb
            .put_item()
            .table_name(&self.table)
            .item("pk", AttributeValue::S(format!("REPLAY#{client}")))
            .item("sk", AttributeValue::S(id))
            .item("expires_at", number(expires_at))
            .item("use_id", use_id.clone())
            // An item outlives its time to live by days. And the SDK repeats a write whose answer was lost: such a one
            // finds its own item.
            .condition_expression("attribute_not_exists(pk) OR expires_at <= :now OR use_id = :use_id")
            .expression_attribute_values(":now", number(seconds(now)))
            .expression_attribute_values(":use_id", use_id);
        match Box::pin(put.send()).await.map_err(aws_sdk_dynamodb::Error::from) {
            Ok(_) => Ok(true),
            Err(aws_sdk_dynamodb::Error::ConditionalCheckFailedException(_)) => Ok(false),
            Err(_) => Err(TokenError::Unavailable),
        }
    }
}

fn use_id() -> Result<String, TokenError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| TokenError::Unavailable)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
