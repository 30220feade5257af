//! What was seen, in a table.

use aws_clients::{AwsClients, AwsSettings};
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use registry::ConnectionName;
use serde_json::json;
use tokio::net::TcpListener;
use upstream::{ListedTool, Seen, SeenStore};

async fn dynamodb() -> aws_sdk_dynamodb::Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    let client = AwsClients::new(&AwsSettings::local(url)).dynamodb;
    let attribute = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let create = client.create_table().table_name("state").billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(attribute("pk")).attribute_definitions(attribute("sk"));
    create.key_schema(key("pk", KeyType::Hash)).key_schema(key("sk", KeyType::Range)).send().await.unwrap();
    client
}

fn seen(name: &str, checked_at: u64) -> Seen {
    let tool = json!({"name": name, "inputSchema": {"type": "object"}});
    let nameless = json!({"name": "no name", "inputSchema": {}});
    let tools = [tool, nameless].map(|tool| ListedTool(tool.as_object().unwrap().clone()));
    Seen::of(&tools, checked_at)
}

#[tokio::test]
async fn the_last_look_is_kept() {
    let store = SeenStore::new(dynamodb().await, "state");
    let [one, other] = ["one", "other"].map(|name| ConnectionName::parse(name).unwrap());
    assert_eq!(store.read(&one).await.unwrap(), None);
    store.write(&one, &seen("a", 100)).await.unwrap();
    store.write(&one, &seen("b", 90)).await.unwrap();
    let found = store.read(&one).await.unwrap().unwrap();
    assert_eq!(found, seen("a", 100), "an earlier look replaces no later one");
    assert_eq!(found.hashes.len(), 1, "a tool without a name is none");
    store.write(&one, &seen("b", 101)).await.unwrap();
    assert_eq!(store.read(&one).await.unwrap(), Some(seen("b", 101)));
    assert_eq!(store.read(&other).await.unwrap(), None);
    store.write(&other, &seen("a", 100)).await.unwrap();
    for _ in 0..2 {
        store.delete(&one).await.unwrap();
        assert_eq!(store.read(&one).await.unwrap(), None);
    }
    assert_eq!(store.read(&other).await.unwrap(), Some(seen("a", 100)));
}

#[tokio::test]
async fn a_table_that_is_not_there_is_an_error() {
    let store = SeenStore::new(dynamodb().await, "missing");
    let name = ConnectionName::parse("one").unwrap();
    assert!(store.read(&name).await.is_err());
    assert!(store.write(&name, &seen("a", 1)).await.is_err());
    assert!(store.delete(&name).await.is_err());
}
