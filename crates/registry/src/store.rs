//! The `config` table: reads for the functions, writes for the command line.
//!
//! The SDK's futures are large, and whoever awaits them is as large and moved several times: those of the functions are
//! boxed.

use std::collections::HashMap;
use std::time::SystemTime;

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::{Client, ClientId, seconds};
use crate::connection::{Connection, ConnectionName};
use crate::key::PublishedKey;
use crate::revocation::Cut;
use crate::server::{Server, ServerName};
use crate::upstream::PinnedTools;

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
    /// The definition of a server is not what we wrote.
    #[error("the definition of a server is damaged")]
    Definition(#[source] serde_json::Error),
}

/// A server, and what is known of its record.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerRecord {
    /// The server.
    pub server: Server,
    /// Counts its changes.
    pub version: u64,
    /// When it was last changed, in seconds since 1970; 0 when that is not known.
    pub changed_at: u64,
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
        let mut together = vec![write];
        if let Some(cut) = cut {
            together.push(cut.write()?);
        }
        self.write_all(together).await
    }

    /// Writes all or nothing; `false` says that a condition did not hold.
    async fn write_all(&self, writes: Vec<TransactWriteItem>) -> Result<bool, RegistryError> {
        let transaction = self.dynamodb.transact_write_items().set_transact_items(Some(writes));
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
        let read = self.dynamodb.get_item().table_name(&self.table).set_key(Some(key(&server_key(name), RECORD)));
        let output = Box::pin(read.send()).await?;
        output.item.map(|item| Ok(server_record(item)?.server)).transpose()
    }

    /// A server with what is known of its record, as it is now; or `None`.
    ///
    /// # Errors
    /// As all reads.
    pub async fn server_now(&self, name: &ServerName) -> Result<Option<ServerRecord>, RegistryError> {
        let get = self.dynamodb.get_item().table_name(&self.table).set_key(Some(key(&server_key(name), RECORD)));
        Box::pin(get.consistent_read(true).send()).await?.item.map(server_record).transpose()
    }

    /// Every server, by name.
    ///
    /// # Errors
    /// As all reads.
    pub async fn servers(&self) -> Result<Vec<Server>, RegistryError> {
        let items = self.scan_items("SERVER#").await?;
        let records = items.into_iter().filter(|item| item.get("sk").is_some_and(|sk| is_text(sk, RECORD)));
        let mut servers =
            records.map(|item| Ok(server_record(item)?.server)).collect::<Result<Vec<Server>, RegistryError>>()?;
        servers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(servers)
    }

    /// The contracts that a server's tools had when it was last applied, as JSON; `None` when it never was.
    ///
    /// # Errors
    /// As all reads.
    pub async fn contracts(&self, name: &ServerName) -> Result<Option<String>, RegistryError> {
        let get = self.dynamodb.get_item().table_name(&self.table).set_key(Some(key(&server_key(name), CONTRACTS)));
        let item = Box::pin(get.consistent_read(true).send()).await?.item;
        Ok(item.and_then(|mut item| item.remove("contracts")).and_then(|value| value.as_s().ok().cloned()))
    }

    /// Writes a server unless there is one of its name: `false` says that there was one and it was left alone.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when the table does not answer.
    pub async fn create_server(&self, server: &Server, now: SystemTime) -> Result<bool, RegistryError> {
        let item = server_item(server, 1, now)?;
        let put = self.dynamodb.put_item().table_name(&self.table).set_item(Some(item));
        let put = put.condition_expression("attribute_not_exists(pk)");
        match put.send().await.map_err(aws_sdk_dynamodb::Error::from) {
            Ok(_) => Ok(true),
            Err(aws_sdk_dynamodb::Error::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(RegistryError::Table(Box::new(error))),
        }
    }

    /// Writes a server over `earlier`, its version, or as a new one (`None`), together with its tools' contracts as JSON:
    /// both or neither. `false` says that it has been changed by somebody else, and was left alone.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when the table does not answer.
    pub async fn apply_server(
        &self,
        earlier: Option<u64>,
        server: &Server,
        contracts: &str,
        now: SystemTime,
    ) -> Result<bool, RegistryError> {
        let item = server_item(server, earlier.unwrap_or_default() + 1, now)?;
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = match earlier {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(version) => put
                .condition_expression(UNCHANGED)
                .set_expression_attribute_names(Some(version_name()))
                .expression_attribute_values(":version", number(version)),
        };
        let put = put.build().map_err(aws_sdk_dynamodb::Error::from)?;
        let mut contracts_item = key(&server_key(&server.name), CONTRACTS);
        contracts_item.insert("contracts".to_owned(), AttributeValue::S(contracts.to_owned()));
        let contracts = Put::builder().table_name(&self.table).set_item(Some(contracts_item)).build();
        let contracts = contracts.map_err(aws_sdk_dynamodb::Error::from)?;
        let together =
            [TransactWriteItem::builder().put(put).build(), TransactWriteItem::builder().put(contracts).build()];
        self.write_all(together.into()).await
    }

    /// Deletes a server of a version, with its contracts. `false` says that it has been changed by somebody else, and was
    /// left alone.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when the table does not answer.
    pub async fn delete_server(&self, name: &ServerName, version: u64) -> Result<bool, RegistryError> {
        let delete = |sk| Delete::builder().table_name(&self.table).set_key(Some(key(&server_key(name), sk)));
        let record = delete(RECORD)
            .condition_expression(UNCHANGED)
            .set_expression_attribute_names(Some(version_name()))
            .expression_attribute_values(":version", number(version))
            .build()
            .map_err(aws_sdk_dynamodb::Error::from)?;
        let contracts = delete(CONTRACTS).build().map_err(aws_sdk_dynamodb::Error::from)?;
        let together = [
            TransactWriteItem::builder().delete(record).build(),
            TransactWriteItem::builder().delete(contracts).build(),
        ];
        self.write_all(together.into()).await
    }

    /// A connection, or `None`.
    ///
    /// # Errors
    /// As all reads.
    pub async fn connection(&self, name: &ConnectionName) -> Result<Option<Connection>, RegistryError> {
        self.get(&connection_key(name), RECORD).await
    }

    /// Every connection, by name.
    ///
    /// # Errors
    /// As all reads.
    pub async fn connections(&self) -> Result<Vec<Connection>, RegistryError> {
        let items = self.scan_items("CONNECTION#").await?;
        let records = items.into_iter().filter(|item| item.get("sk").is_some_and(|sk| is_text(sk, RECORD)));
        let mut connections = records.map(parse::<Connection>).collect::<Result<Vec<_>, _>>()?;
        connections.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(connections)
    }

    /// Writes a connection; with `only_new`, `false` says that there was one of that name and it was left alone.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when the table does not answer.
    pub async fn put_connection(&self, connection: &Connection, only_new: bool) -> Result<bool, RegistryError> {
        self.put(&connection_key(connection.name()), RECORD, connection, only_new).await
    }

    /// Deletes a connection with its accepted tools; one that is not there is no error.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when the table does not answer.
    pub async fn delete_connection(&self, name: &ConnectionName) -> Result<(), RegistryError> {
        // The record last: what is left of a deletion that was cut off can be deleted again.
        for sk in [TOOLS, RECORD] {
            let key = key(&connection_key(name), sk);
            self.dynamodb.delete_item().table_name(&self.table).set_key(Some(key)).send().await?;
        }
        Ok(())
    }

    /// The tools of an upstream that an administrator accepted; `None` when none ever were.
    ///
    /// # Errors
    /// As all reads.
    pub async fn pinned_tools(&self, name: &ConnectionName) -> Result<Option<PinnedTools>, RegistryError> {
        let get = self.dynamodb.get_item().table_name(&self.table).set_key(Some(key(&connection_key(name), TOOLS)));
        let Some(item) = Box::pin(get.consistent_read(true).send()).await?.item else { return Ok(None) };
        let text = item.get("tools").and_then(|value| value.as_s().ok()).map_or("", String::as_str);
        serde_json::from_str(text).map(Some).map_err(RegistryError::Definition)
    }

    /// Writes the accepted tools of an upstream over any earlier ones. They are one JSON text, in which the order of
    /// properties is kept; an item has 400 KB at most.
    ///
    /// # Errors
    /// [`RegistryError::Table`] when the table does not answer.
    pub async fn put_pinned_tools(&self, name: &ConnectionName, tools: &PinnedTools) -> Result<(), RegistryError> {
        let mut item = key(&connection_key(name), TOOLS);
        let text = serde_json::to_string(tools).map_err(RegistryError::Definition)?;
        item.insert("tools".to_owned(), AttributeValue::S(text));
        self.dynamodb.put_item().table_name(&self.table).set_item(Some(item)).send().await?;
        Ok(())
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
        self.scan_items(prefix).await?.into_iter().map(parse).collect()
    }

    async fn scan_items(&self, prefix: &str) -> Result<Vec<Item>, RegistryError> {
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
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(item?);
        }
        Ok(items)
    }
}

/// The condition of every write over an earlier state. A record of before there were versions counts as version 0.
const UNCHANGED: &str = "#version = :version OR (attribute_exists(pk) AND attribute_not_exists(#version))";
const RECORD: &str = "RECORD";
const CONTRACTS: &str = "CONTRACTS";
const TOOLS: &str = "TOOLS";
const KEYS: &str = "KEYS";

fn client_key(id: &ClientId) -> String {
    format!("CLIENT#{id}")
}

fn server_key(name: &ServerName) -> String {
    format!("SERVER#{name}")
}

fn is_text(value: &AttributeValue, text: &str) -> bool {
    value.as_s().is_ok_and(|value| value == text)
}

/// A server's record: its definition is one JSON text, in which the order of tools and properties is kept.
fn server_item(server: &Server, version: u64, now: SystemTime) -> Result<Item, RegistryError> {
    let mut item = key(&server_key(&server.name), RECORD);
    let definition = serde_json::to_string(server).map_err(RegistryError::Definition)?;
    item.insert("definition".to_owned(), AttributeValue::S(definition));
    item.insert("version".to_owned(), number(version));
    item.insert("changed_at".to_owned(), number(seconds(now)));
    Ok(item)
}

/// Records of before there were files have an attribute for each field.
fn server_record(item: Item) -> Result<ServerRecord, RegistryError> {
    let whole = |name: &str| item.get(name).and_then(|value| value.as_n().ok()?.parse().ok()).unwrap_or_default();
    let (version, changed_at) = (whole("version"), whole("changed_at"));
    let server = match item.get("definition") {
        Some(AttributeValue::S(definition)) => serde_json::from_str(definition).map_err(RegistryError::Definition)?,
        _ => parse(item)?,
    };
    Ok(ServerRecord { server, version, changed_at })
}

fn connection_key(name: &ConnectionName) -> String {
    format!("CONNECTION#{name}")
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
