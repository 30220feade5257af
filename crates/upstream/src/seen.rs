//! What an upstream was last seen to list, in the `state` table, so that one look serves every instance.
//! `UPSTREAM#<name>`, `SEEN`.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use registry::ConnectionName;

use crate::client::ListedTool;
use crate::pin;

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// When, seconds since 1970.
    pub checked_at: u64,
    /// Hash of each tool by its name there ([`crate::pin::pin`]).
    pub hashes: BTreeMap<String, String>,
}

impl Seen {
    /// What a list of tools shows at a time (seconds since 1970). A tool whose name is none is no tool.
    pub fn of(tools: &[ListedTool], checked_at: u64) -> Seen {
        let hash = |tool| Some((pin::name(tool).ok()?.to_owned(), pin::hash(tool)));
        Seen { checked_at, hashes: tools.iter().filter_map(hash).collect() }
    }
}

/// The `state` table's items of upstreams.
#[derive(Clone)]
pub struct SeenStore {
    dynamodb: DynamoDb,
    table: String,
}

/// The table does not answer, or refuses.
#[derive(Debug, thiserror::Error)]
#[error("the state table does not answer, or refuses")]
pub struct SeenError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl SeenStore {
    /// Items in `table`.
    pub fn new(dynamodb: DynamoDb, table: impl Into<String>) -> SeenStore {
        SeenStore { dynamodb, table: table.into() }
    }

    /// What was last seen of an upstream; `None` when nobody has looked, or what is there cannot be read.
    ///
    /// # Errors
    /// [`SeenError`].
    pub async fn read(&self, upstream: &ConnectionName) -> Result<Option<Seen>, SeenError> {
        let get = self.dynamodb.get_item().table_name(&self.table).set_key(Some(key(upstream)));
        let found = Box::pin(get.send()).await.map_err(|error| SeenError(error.into()))?;
        Ok(found.item.as_ref().and_then(parse))
    }

    /// Writes what was seen, unless somebody has looked later; of two looks in a second the last one counts.
    ///
    /// # Errors
    /// [`SeenError`].
    pub async fn write(&self, upstream: &ConnectionName, seen: &Seen) -> Result<(), SeenError> {
        let hashes = seen.hashes.iter().map(|(name, hash)| (name.clone(), AttributeValue::S(hash.clone())));
        let mut item = key(upstream);
        item.insert("checked_at".to_owned(), AttributeValue::N(seen.checked_at.to_string()));
        item.insert("hashes".to_owned(), AttributeValue::M(hashes.collect()));
        let put = self
            .dynamodb
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(checked_at) OR checked_at <= :checked_at")
            .expression_attribute_values(":checked_at", AttributeValue::N(seen.checked_at.to_string()));
        match Box::pin(put.send()).await {
            Ok(_) => Ok(()),
            Err(error)
                if matches!(error.as_service_error(), Some(PutItemError::ConditionalCheckFailedException(_))) =>
            {
                Ok(())
            }
            Err(error) => Err(SeenError(error.into())),
        }
    }

    /// Forgets what was seen of an upstream; nothing seen is no error.
    ///
    /// # Errors
    /// [`SeenError`].
    pub async fn delete(&self, upstream: &ConnectionName) -> Result<(), SeenError> {
        let delete = self.dynamodb.delete_item().table_name(&self.table).set_key(Some(key(upstream)));
        Box::pin(delete.send()).await.map_err(|error| SeenError(error.into()))?;
        Ok(())
    }
}

fn key(upstream: &ConnectionName) -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(format!("UPSTREAM#{}", upstream.as_str()))),
        ("sk".to_owned(), AttributeValue::S("SEEN".to_owned())),
    ])
}

fn parse(item: &HashMap<String, AttributeValue>) -> Option<Seen> {
    let checked_at = item.get("checked_at")?.as_n().ok()?.parse().ok()?;
    let hashes = item.get("hashes")?.as_m().ok()?.iter();
    let hashes = hashes.map(|(name, hash)| Some((name.clone(), hash.as_s().ok()?.clone())));
    Some(Seen { checked_at, hashes: hashes.collect::<Option<_>>()? })
}
