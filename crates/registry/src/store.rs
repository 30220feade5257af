//! The `config` table: reads for the functions, writes for the command line.
//!
//! The SDK's futures are large, and whoever awaits them is as large and moved several times: those of the functions are
//! boxed.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::{Client, ClientId};
use crate::key::PublishedKey;
use crate::revocation::Cut;
use crate::server::{Server, ServerName};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Why the registry cannot be read or written. Absence is no error.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The table does not answer, or refuses.
    #[error("a table does not answer, or refuses")]
    Table(#[source] Box<aws_sdk_dynamodb::Error>),
    /// An item is not what we wrote.
    #[error("an item of a table is damaged")]
    Damaged(#[source] serde_dynamo::Error),
}

impl<E> From<E> for RegistryError
where
    aws_sdk_dynamodb::Error: From<E>,
{
    fn from(error: E) -> Self {
        RegistryError::Table(Box::new(error.into()))
    }
}

/// Reads and writes what the operator configures.
#[derive(Clone)]
pub struct Registry {
    dynamodb: DynamoDb,
    table: String,
}

impl Registry {
    /// A registry in `table`.
    pub fn new(dynamodb: DynamoDb, table: impl Into<String>) -> Registry {
        Registry { dynamodb, table: table.into() }
    }

    /// A client, or `None`.
    ///
    /// # Errors
    /// As all reads: [`RegistryError`] when the table does not answer or the item is damaged.
    pub async fn client(&self, id: &ClientId) -> Result<Option<Client>, RegistryError> {
        self.get(&client_key(id), RECORD).await
    }

    /// Every client, by id.
    ///
    /// # Errors
    /// As all reads.
    pub async fn clients(&self) -> Result<Vec<Client>, RegistryError> {
        let mut clients: Vec<Client> = self.scan("CLIENT#").await?;
        clients.sort_by(|a, b| (a.created_at, &a.client_id).cmp(&(b.created_at, &b.client_id)));
        Ok(clients)
    }

    /// A client as it is now, not as it was a moment ago; or `None`.
    ///
    /// # Errors
    /// As all reads.
    pub async fn client_now(&self, id: &ClientId) -> Result<Option<Client>, RegistryError> {
        let get = self.dynamodb.get_item().table_name(&self.table).set_key(Some(key(&client_key(id), RECORD)));
        Box::pin(get.consistent_read(true).send()).await?.item.map(parse).transpose()
    }

    /// Writes a new client; `false` says that there is one of that id, and it was left alone.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when the table does not answer.
    pub async fn create_client(&self, client: &Client) -> Result<bool, RegistryError> {
        self.put(&client_key(&client.client_id), RECORD, client, true).await
    }

    /// Replaces `earlier` with `client` and, with `cut`, cuts the tokens of every version before it: both or neither.
    /// `false` says that the client has been changed by somebody else, and was left alone.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when a table does not answer.
    pub async fn replace_client(
        &self,
        earlier: &Client,
        client: &Client,
        cut: Option<Cut<'_>>,
    ) -> Result<bool, RegistryError> {
        let mut item: Item = serde_dynamo::to_item(client).map_err(RegistryError::Damaged)?;
        item.extend(key(&client_key(&client.client_id), RECORD));
        let put = Put::builder().table_name(&self.table).set_item(Some(item)).condition_expression(UNCHANGED);
        let put = put
            .set_expression_attribute_names(Some(version_name()))
            .expression_attribute_values(":version", number(earlier.version))
            .build()
            .map_err(aws_sdk_dynamodb::Error::from)?;
        self.write_together(TransactWriteItem::builder().put(put).build(), cut).await
    }

    /// Deletes a client and cuts its tokens: both or neither. `false` says that it has been changed by somebody else, and
    /// was left alone.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when a table does not answer.
    pub async fn delete_client(&self, earlier: &Client, cut: Cut<'_>) -> Result<bool, RegistryError> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key(&client_key(&earlier.client_id), RECORD)))
            .condition_expression(UNCHANGED)
            .set_expression_attribute_names(Some(version_name()))
            .expression_attribute_values(":version", number(earlier.version))
            .build()
            .map_err(aws_sdk_dynamodb::Error::from)?;
        self.write_together(TransactWriteItem::builder().delete(delete).build(), Some(cut)).await
    }

    async fn write_together(&self, write: TransactWriteItem, cut: Option<Cut<'_>>) -> Result<bool, RegistryError> {
        let mut transaction = self.dynamodb.transact_write_items().transact_items(write);
        if let Some(cut) = cut {
            transaction = transaction.transact_items(cut.write()?);
        }
        match transaction.send().await.map_err(aws_sdk_dynamodb::Error::from) {
            Ok(_) => Ok(true),
            Err(aws_sdk_dynamodb::Error::TransactionCanceledException(cancelled))
                if cancelled
                    .cancellation_reasons()
                    .iter()
                    .any(|reason| reason.code() == Some("ConditionalCheckFailed")) =>
            {
                Ok(false)
            }
            Err(error) => Err(RegistryError::Table(Box::new(error))),
        }
    }

    /// A server, or `None`.
    ///
    /// # Errors
    /// As all reads.
    pub async fn server(&self, name: &ServerName) -> Result<Option<Server>, RegistryError> {
        self.get(&server_key(name), RECORD).await
    }

    /// Every server, by name.
    ///
    /// # Errors
    /// As all reads.
    pub async fn servers(&self) -> Result<Vec<Server>, RegistryError> {
        let mut servers: Vec<Server> = self.scan("SERVER#").await?;
        servers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(servers)
    }

    /// Writes a server; with `only_new`, `false` says that there was one and it was left alone.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when the table does not answer.
    pub async fn put_server(&self, server: &Server, only_new: bool) -> Result<bool, RegistryError> {
        self.put(&server_key(&server.name), RECORD, server, only_new).await
    }

    /// The public keys, the newest first.
    ///
    /// # Errors
    /// As all reads.
    pub async fn public_keys(&self) -> Result<Vec<PublishedKey>, RegistryError> {
        let query = self
            .dynamodb
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :keys")
            .expression_attribute_values(":keys", AttributeValue::S(KEYS.to_owned()))
            .consistent_read(true);
        let output = Box::pin(query.send()).await?;
        let mut keys: Vec<PublishedKey> =
            output.items.unwrap_or_default().into_iter().map(parse).collect::<Result<_, _>>()?;
        keys.sort_by(|a, b| (b.not_before, &b.kid).cmp(&(a.not_before, &a.kid)));
        Ok(keys)
    }

    /// Publishes a key, over an earlier state of it.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when the table does not answer.
    pub async fn put_public_key(&self, key: &PublishedKey) -> Result<(), RegistryError> {
        self.put(KEYS, &key.kid, key, false).await.map(|_| ())
    }

    /// Deletes a public key; one that is not there is no error.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when the table does not answer.
    pub async fn delete_public_key(&self, kid: &str) -> Result<(), RegistryError> {
        self.dynamodb.delete_item().table_name(&self.table).set_key(Some(key(KEYS, kid))).send().await?;
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&self, pk: &str, sk: &str) -> Result<Option<T>, RegistryError> {
        let read = self.dynamodb.get_item().table_name(&self.table).set_key(Some(key(pk, sk)));
        let output = Box::pin(read.send()).await?;
        output.item.map(parse).transpose()
    }

    async fn put(&self, pk: &str, sk: &str, record: &impl Serialize, only_new: bool) -> Result<bool, RegistryError> {
        let mut item: Item = serde_dynamo::to_item(record).map_err(RegistryError::Damaged)?;
        item.extend(key(pk, sk));
        let condition = only_new.then(|| "attribute_not_exists(pk)".to_owned());
        let put = self.dynamodb.put_item().table_name(&self.table).set_item(Some(item));
        match put.set_condition_expression(condition).send().await.map_err(aws_sdk_dynamodb::Error::from) {
            Ok(_) => Ok(true),
            Err(aws_sdk_dynamodb::Error::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(RegistryError::Table(Box::new(error))),
        }
    }

    /// Reads every item whose `pk` begins with `prefix`. The table holds what people configure by hand, so a scan is
    /// cheap; only the command line does it.
    async fn scan<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<T>, RegistryError> {
        let mut pages = self
            .dynamodb
            .scan()
            .table_name(&self.table)
            .filter_expression("begins_with(pk, :prefix)")
            .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut records = Vec::new();
        while let Some(item) = pages.next().await {
            records.push(parse(item?)?);
        }
        Ok(records)
    }
}

/// The condition of every write over an earlier state. A record of before there were versions counts as version 0.
const UNCHANGED: &str = "#version = :version OR (attribute_exists(pk) AND attribute_not_exists(#version))";
const RECORD: &str = "RECORD";
const KEYS: &str = "KEYS";

fn client_key(id: &ClientId) -> String {
    format!("CLIENT#{id}")
}

fn server_key(name: &ServerName) -> String {
    format!("SERVER#{name}")
}

pub(crate) fn key(pk: &str, sk: &str) -> Item {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(pk.to_owned())),
        ("sk".to_owned(), AttributeValue::S(sk.to_owned())),
    ])
}

fn version_name() -> HashMap<String, String> {
    HashMap::from([("#version".to_owned(), "version".to_owned())])
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn parse<T: DeserializeOwned>(item: Item) -> Result<T, RegistryError> {
    serde_dynamo::from_item(item).map_err(RegistryError::Damaged)
}
