//! The `config` table: reads for the functions, writes for the command line.
//!
//! The SDK's futures are large, and whoever awaits them is as large and moved several times: those of the functions are
//! boxed.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::{Client, ClientId};
use crate::key::PublishedKey;
use crate::server::{Server, ServerName};

type Item = HashMap<String, AttributeValue>;

/// Why the registry cannot be read or written. Absence is no error.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The table does not answer, or refuses.
    #[error("the config table does not answer, or refuses")]
    Table(#[source] Box<aws_sdk_dynamodb::Error>),
    /// An item is not what we wrote.
    #[error("an item of the config table is damaged")]
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

    /// Writes a client, over an earlier state of it.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when the table does not answer.
    pub async fn put_client(&self, client: &Client) -> Result<(), RegistryError> {
        self.put(&client_key(&client.client_id), RECORD, client, false).await.map(|_| ())
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

    async fn get<T: DeserializeOwned>(&self, pk: &str, sk: &str) -> Result<Option<T>, RegistryError> {
        let read = self
            .dynamodb
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(pk.to_owned()))
            .key("sk", AttributeValue::S(sk.to_owned()));
        let output = Box::pin(read.send()).await?;
        output.item.map(parse).transpose()
    }

    async fn put(&self, pk: &str, sk: &str, record: &impl Serialize, only_new: bool) -> Result<bool, RegistryError> {
        let mut item: Item = serde_dynamo::to_item(record).map_err(RegistryError::Damaged)?;
        item.insert("pk".to_owned(), AttributeValue::S(pk.to_owned()));
        item.insert("sk".to_owned(), AttributeValue::S(sk.to_owned()));
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

const RECORD: &str = "RECORD";
const KEYS: &str = "KEYS";

fn client_key(id: &ClientId) -> String {
    format!("CLIENT#{id}")
}

fn server_key(name: &ServerName) -> String {
    format!("SERVER#{name}")
}

fn parse<T: DeserializeOwned>(item: Item) -> Result<T, RegistryError> {
    serde_dynamo::from_item(item).map_err(RegistryError::Damaged)
}
