//! The embedded DynamoDB: a real engine on a loopback port, over one SQLite file, and the tables in it.

use std::path::Path;

use aws_clients::{AwsClients, AwsSettings};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TimeToLiveSpecification,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Orders, by `order_id`; index `by_customer`.
pub const ORDERS_TABLE: &str = "northstar-orders";
/// Loyalty accounts, by `customer_id`.
pub const LOYALTY_TABLE: &str = "northstar-loyalty";
/// What the operator configures, by `pk` and `sk`.
pub const CONFIG_TABLE: &str = "northstar-config";
/// What the functions remember, by `pk` and `sk`, until `expires_at`.
pub const STATE_TABLE: &str = "northstar-state";

/// A running DynamoDB; it ends when this is dropped.
pub struct Store {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

/// Why there is no DynamoDB.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database file cannot be opened.
    #[error("the database {path} cannot be opened: {reason}")]
    Database {
        /// The file.
        path: String,
        /// What the engine says.
        reason: String,
    },
    /// No loopback port.
    #[error("no port on 127.0.0.1: {0}")]
    Port(#[from] std::io::Error),
    /// A table cannot be made.
    #[error("a table of the local run cannot be made")]
    Table(#[source] Box<aws_sdk_dynamodb::Error>),
}

impl Store {
    /// Opens the database at `path`, makes the tables that are missing, and serves them on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(path: &Path) -> Result<Store, StoreError> {
        let shown = path.display().to_string();
        let database = dynoxide::Database::new(&shown)
            .map_err(|error| StoreError::Database { path: shown, reason: error.to_string() })?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let stopped = async move {
                let _ = stopped.await;
            };
            if let Err(error) = dynoxide::server::serve_with_shutdown(listener, database, stopped).await {
                eprintln!("the embedded DynamoDB ended: {error}");
            }
        });
        let store = Store { url, stop: Some(stop), task: Some(task) };
        make_tables(&AwsClients::new(&AwsSettings::local(&store.url)).dynamodb)
            .await
            .map_err(|error| StoreError::Table(Box::new(error)))?;
        Ok(store)
    }

    /// Where it is: `http://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends it, after the requests that it is answering.
    pub async fn close(mut self) {
        drop(self.stop.take());
        if let Some(task) = self.task.take() {
            // A client that keeps a connection half open does not keep us.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(2), task).await;
        }
    }
}

async fn make_tables(client: &Client) -> Result<(), aws_sdk_dynamodb::Error> {
    let existing = client.list_tables().send().await?.table_names.unwrap_or_default();
    let missing = |name: &str| !existing.iter().any(|table| table == name);
    if missing(ORDERS_TABLE) {
        let index = GlobalSecondaryIndex::builder()
            .index_name("by_customer")
            .key_schema(key("customer_id", KeyType::Hash)?)
            .key_schema(key("ordered_at", KeyType::Range)?)
            .projection(Projection::builder().projection_type(ProjectionType::All).build())
            .build()?;
        client
            .create_table()
            .table_name(ORDERS_TABLE)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(text("order_id")?)
            .attribute_definitions(text("customer_id")?)
            .attribute_definitions(text("ordered_at")?)
            .key_schema(key("order_id", KeyType::Hash)?)
            .global_secondary_indexes(index)
            .send()
            .await?;
    }
    if missing(LOYALTY_TABLE) {
        client
            .create_table()
            .table_name(LOYALTY_TABLE)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(text("customer_id")?)
            .key_schema(key("customer_id", KeyType::Hash)?)
            .send()
            .await?;
    }
    for name in [CONFIG_TABLE, STATE_TABLE].into_iter().filter(|name| missing(name)) {
        client
            .create_table()
            .table_name(name)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(text("pk")?)
            .attribute_definitions(text("sk")?)
            .key_schema(key("pk", KeyType::Hash)?)
            .key_schema(key("sk", KeyType::Range)?)
            .send()
            .await?;
    }
    if missing(STATE_TABLE) {
        let expiry = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(true).build()?;
        client.update_time_to_live().table_name(STATE_TABLE).time_to_live_specification(expiry).send().await?;
    }
    Ok(())
}

fn text(name: &str) -> Result<AttributeDefinition, BuildError> {
    AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
}

fn key(name: &str, key_type: KeyType) -> Result<KeySchemaElement, BuildError> {
    KeySchemaElement::builder().attribute_name(name).key_type(key_type).build()
}
