//! Items of the `state` table: what the records of grants, tickets and consents have in common.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{self, SHA256};
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// The table does not answer, or refuses.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// See the type.
    #[error("the state table does not answer, or refuses: {0}")]
    Table(Box<aws_sdk_dynamodb::Error>),
    /// An item that we did not write.
    #[error("an item of the state table is not what was written")]
    Malformed,
    /// No random bits.
    #[error("the crypto library failed")]
    Crypto,
}

impl<E> From<E> for TableError
where
    aws_sdk_dynamodb::Error: From<E>,
{
    fn from(error: E) -> TableError {
        TableError::Table(Box::new(error.into()))
    }
}

/// Whether a write was done; `false` when its condition did not hold.
pub(crate) fn condition_held<T, E>(outcome: Result<T, E>) -> Result<bool, TableError>
where
    aws_sdk_dynamodb::Error: From<E>,
{
    match outcome.map_err(aws_sdk_dynamodb::Error::from) {
        Ok(_) => Ok(true),
        Err(aws_sdk_dynamodb::Error::ConditionalCheckFailedException(_)) => Ok(false),
        Err(error) => Err(TableError::Table(Box::new(error))),
    }
}

/// Deletes an item and gives it; `None` when there is none, or an attribute of it is another than `only_if` says. Of two
/// who try, one gets it.
pub(crate) async fn take(
    dynamodb: &DynamoDb,
    table: &str,
    key: Item,
    only_if: Option<(&str, AttributeValue)>,
) -> Result<Option<Item>, TableError> {
    let delete = dynamodb.delete_item().table_name(table).set_key(Some(key)).return_values(ReturnValue::AllOld);
    let delete = match only_if {
        None => delete,
        Some((attribute, value)) => delete
            .condition_expression("#attribute = :value")
            .expression_attribute_names("#attribute", attribute)
            .expression_attribute_values(":value", value),
    };
    match Box::pin(delete.send()).await.map_err(aws_sdk_dynamodb::Error::from) {
        Ok(output) => Ok(output.attributes.filter(|item| !item.is_empty())),
        Err(aws_sdk_dynamodb::Error::ConditionalCheckFailedException(_)) => Ok(None),
        Err(error) => Err(TableError::Table(Box::new(error))),
    }
}

pub(crate) async fn get(dynamodb: &DynamoDb, table: &str, key: Item) -> Result<Option<Item>, TableError> {
    let get = dynamodb.get_item().table_name(table).set_key(Some(key)).consistent_read(true);
    Ok(Box::pin(get.send()).await?.item)
}

/// An item outlives its time to live by days.
pub(crate) fn is_alive(item: &Item, now: SystemTime) -> bool {
    number_in(item, "expires_at").is_some_and(|end| end > seconds(now))
}

pub(crate) fn key(pk: &str, sk: &str) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn text_in(item: &Item, name: &str) -> Option<String> {
    item.get(name).and_then(|value| value.as_s().ok()).cloned()
}

pub(crate) fn number_in(item: &Item, name: &str) -> Option<u64> {
    item.get(name).and_then(|value| value.as_n().ok()).and_then(|digits| digits.parse().ok())
}

/// SHA-256, in hexadecimal.
pub(crate) fn digest(text: &str) -> String {
    digest::digest(&SHA256, text.as_bytes()).as_ref().iter().fold(String::new(), |mut hexadecimal, byte| {
        let _ = write!(hexadecimal, "{byte:02x}");
        hexadecimal
    })
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
