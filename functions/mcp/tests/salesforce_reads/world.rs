//! The tools in this process: an org that is a stand-in, a DynamoDB in memory, and instances that share them.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use access_token::Scopes;
use aws_clients::{AwsClients, AwsSettings, Secrets};
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use catalogue::SalesforceTool;
use mcp::Config;
use mcp::arguments::Arguments;
use mcp::bearer::Principal;
use mcp::catalogue::{Answer, Arrival, Call, Conduct, Trouble};
use mcp::cursor::Cursors;
use mcp::salesforce::orgs::Orgs;
use mcp::tables::Tables;
use oauth_client::SealingKeys;
use outbound::{Fetcher, Outgoing};
use registry::{ClientAuth, Connection, ConnectionName, Flow, Guard, PublicUrl, Registry, SalesforceOrg, Server};
use salesforce_standin::{ConnectedApp, Options, Org, Standin};
use serde_json::Value;
use tokio::net::TcpListener;

const CONFIG: &str = "config";
const STATE: &str = "state";

pub struct World {
    pub standin: Standin,
    pub guard: Guard,
    pub client: &'static str,
    pub server: &'static str,
    url: String,
    secrets: Secrets,
    orgs: Arc<Orgs>,
    tables: Arc<Tables>,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn demo() -> World {
        World::start(Org::demo(), Options::default()).await
    }

    pub async fn start(org: Org, options: Options) -> World {
        let standin = Standin::start(org, options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::File(folder.path().join("secrets.json"));
        let app = ConnectedApp::default();
        secrets.create("consumer-secret", &app.client_secret.into()).await.unwrap();
        secrets.create("state-key", &"k".repeat(43).into()).await.unwrap();
        let url = dynamodb().await;
        let config = config(&url, &secrets);
        let registry = Registry::new(config.aws.dynamodb.clone(), CONFIG);
        let org = SalesforceOrg {
            name: ConnectionName::parse("sales").unwrap(),
            login_url: standin.url().to_owned(),
            instance_url: None,
            api_version: "v66.0".to_owned(),
            flow: Flow::ClientCredentials { client_auth: ClientAuth::Post },
            client_id: app.client_id,
            secret_id: Some("consumer-secret".to_owned()),
            created_at: 0,
        };
        registry.put_connection(&Connection::Salesforce(org), true).await.unwrap();
        let (orgs, tables) = instance(&config, registry);
        let guard = Guard::default();
        World { standin, guard, client: "agent", server: "sales", url, secrets, orgs, tables, _folder: folder }
    }

    /// Another instance, which remembers nothing.
    pub fn restart(&mut self) {
        let config = config(&self.url, &self.secrets);
        let registry = Registry::new(config.aws.dynamodb.clone(), CONFIG);
        (self.orgs, self.tables) = instance(&config, registry);
    }

    /// Calls a tool.
    pub async fn call(&self, tool: &str, arguments: Value) -> Result<Answer, Trouble> {
        let tool = SalesforceTool::named(tool).unwrap();
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        let arguments = Arguments::check(arguments, &tool.tool().inputs)?;
        let principal = Principal { client_id: self.client.to_owned(), scopes: Scopes::READ_WRITE, remembered: false };
        let mut conduct = Conduct::of(&Server::default_server());
        conduct.server = self.server.to_owned();
        conduct.org = Some("sales".to_owned());
        conduct.guard = self.guard.clone();
        let arrival = Arrival {
            now: SystemTime::now(),
            started: Instant::now(),
            deadline: Instant::now() + Duration::from_secs(20),
            definition_age: Duration::ZERO,
        };
        let (tables, orgs) = (self.tables.clone(), self.orgs.clone());
        let call = Arc::new(Call::new(Arc::new(principal), Arc::new(conduct), tables, orgs, Arc::default(), arrival));
        mcp::salesforce::run(tool, &arguments, &call).await
    }

    /// Calls a tool that answers.
    pub async fn answer(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.call(tool, arguments.clone()).await;
        let answer = Value::Object(answer.unwrap_or_else(|trouble| panic!("{tool} {arguments}: {trouble:?}")));
        assert!(answer.to_string().len() <= self.guard.max_bytes, "{tool} {arguments}: {}", answer.to_string().len());
        assert_flat(&answer);
        answer
    }

    /// Calls a tool that does not.
    pub async fn trouble(&self, tool: &str, arguments: Value) -> (&'static str, String) {
        match self.call(tool, arguments.clone()).await {
            Err(trouble) => (trouble.code, trouble.sentence),
            Ok(answer) => panic!("{tool} {arguments}: {answer:?}"),
        }
    }

    /// Deletes a record as somebody else would.
    pub async fn delete(&self, object: &str, id: &str) {
        let fetcher = Fetcher::with_loopback(None);
        let url = format!("{}/services/data/v66.0/sobjects/{object}/{id}", self.standin.url());
        let request = Outgoing {
            method: "DELETE",
            target: fetcher.check(&url).unwrap(),
            headers: vec![("authorization", format!("Bearer {}", self.standin.access_token()))],
            body: Default::default(),
            max_bytes: 1_000,
            timeout: Duration::from_secs(5),
        };
        assert_eq!(fetcher.send(request).await.unwrap().status, 204);
    }

    /// Every record of a list, page by page with these limits in turn; each page by another instance.
    pub async fn all(&mut self, tool: &str, mut arguments: Value, limits: &[usize]) -> Vec<Value> {
        let mut records = Vec::new();
        for limit in limits.iter().cycle().take(500) {
            arguments["limit"] = (*limit).into();
            let answer = self.answer(tool, arguments.clone()).await;
            let page = answer["records"].as_array().unwrap();
            assert!(page.len() <= *limit && answer["count"] == page.len(), "{answer}");
            records.extend(page.iter().cloned());
            assert_eq!(answer["truncated"] == true, answer.get("cursor").is_some(), "{answer}");
            let Some(cursor) = answer.get("cursor") else { return records };
            arguments["cursor"] = cursor.clone();
            self.restart();
        }
        panic!("a list without end");
    }
}

fn assert_flat(answer: &Value) {
    for value in answer.as_object().unwrap().values() {
        match value {
            Value::Array(rows) => rows.iter().for_each(assert_flat),
            value => assert!(!value.is_null() && !value.is_object(), "{answer}"),
        }
    }
}

fn instance(config: &Config, registry: Registry) -> (Arc<Orgs>, Arc<Tables>) {
    let cursors = Cursors::new(config.secrets.clone(), &config.state_key);
    (Arc::new(Orgs::new(config, registry)), Arc::new(Tables::new(config, cursors)))
}

fn config(url: &str, secrets: &Secrets) -> Config {
    Config {
        public_url: PublicUrl::parse("https://mcp.example.com").unwrap(),
        orders_table: "orders".to_owned(),
        loyalty_table: "loyalty".to_owned(),
        config_table: CONFIG.to_owned(),
        state_table: STATE.to_owned(),
        state_key: "state-key".to_owned(),
        sealing_keys: SealingKeys::Local(secrets.clone()),
        outbound: Fetcher::with_loopback(None),
        upstream_outbound: Fetcher::new(),
        secrets: secrets.clone(),
        aws: AwsClients::new(&AwsSettings::local(url)),
    }
}

/// A DynamoDB in memory with the two tables.
async fn dynamodb() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    let client = AwsClients::new(&AwsSettings::local(&url)).dynamodb;
    let attribute = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    for table in [CONFIG, STATE] {
        client
            .create_table()
            .table_name(table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("pk"))
            .attribute_definitions(attribute("sk"))
            .key_schema(key("pk", KeyType::Hash))
            .key_schema(key("sk", KeyType::Range))
            .send()
            .await
            .unwrap();
    }
    url
}
