//! A state table, an authorization server, and instances of ours that share nothing else.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_clients::{AwsClients, AwsSettings, Secrets};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use oauth_client::{AccessToken, Connection, GrantError, Grants, NewGrant, SealingKeys};
use outbound::Fetcher;
use registry::{ClientAuth, ConnectionName, Flow, Upstream, UpstreamAuth, UpstreamOAuth};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;

use crate::authorization_server::{AuthorizationServer, State};

pub const TABLE: &str = "state";

pub struct World {
    pub server: AuthorizationServer,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub connection: Connection,
    pub now: SystemTime,
    folder: tempfile::TempDir,
}

impl World {
    /// With a grant whose refresh token is `first`, and no access token.
    pub async fn connected(state: State) -> World {
        let world = World::new(State { refresh_token: "first".to_owned(), ..state }).await;
        world.connect("first").await;
        world
    }

    pub async fn new(state: State) -> World {
        let dynamodb = dynamodb().await;
        let server = AuthorizationServer::start(state).await;
        let connection = Connection {
            name: ConnectionName::parse("sales").unwrap(),
            token_endpoint: server.url.clone(),
            client_id: "client".to_owned(),
            flow: Flow::RefreshToken { client_auth: ClientAuth::Post },
            secret_id: None,
            issuer: None,
            resource: None,
            scopes: Vec::new(),
        };
        World { server, dynamodb, connection, now: SystemTime::now(), folder: tempfile::tempdir().unwrap() }
    }

    /// The connection of an upstream at the same authorization server.
    pub fn upstream(&self, name: &str) -> Connection {
        let oauth = UpstreamOAuth {
            issuer: "https://login.example.com".to_owned(),
            authorize_url: Some("https://login.example.com/authorize".to_owned()),
            token_url: self.server.url.clone(),
            revoke_url: None,
            iss_promised: false,
            flow: Flow::RefreshToken { client_auth: ClientAuth::Post },
            client_id: "client".to_owned(),
            secret_id: None,
            scopes: Vec::new(),
            resource: None,
        };
        let upstream = Upstream {
            name: ConnectionName::parse(name).unwrap(),
            url: "https://mcp.example.com/mcp".to_owned(),
            preset: None,
            auth: UpstreamAuth::OAuth(Box::new(oauth)),
            result_page: None,
            created_at: 0,
        };
        Connection::of_upstream(&upstream).unwrap()
    }

    pub async fn connect(&self, refresh_token: &str) {
        let grant = NewGrant {
            refresh_token: Some(refresh_token.to_owned().into()),
            access_token: None,
            expires_at: None,
            unverified_instance_url: None,
            identity: None,
        };
        self.instance().put(&self.connection, grant, self.now).await.unwrap();
    }

    pub fn secrets(&self) -> Secrets {
        Secrets::File(self.secrets_file())
    }

    fn secrets_file(&self) -> PathBuf {
        self.folder.path().join("secrets.json")
    }

    /// Another instance, which remembers nothing.
    pub fn instance(&self) -> Grants {
        self.instance_with(SealingKeys::Local(self.secrets()))
    }

    pub fn instance_with(&self, keys: SealingKeys) -> Grants {
        Grants::new(self.dynamodb.clone(), TABLE, keys, self.secrets(), Fetcher::with_loopback(None))
    }

    pub async fn token(&self, instance: &Grants) -> Result<String, GrantError> {
        self.token_after(instance, 0).await
    }

    /// The access token that an instance gives so many seconds later.
    pub async fn token_after(&self, instance: &Grants, seconds: u64) -> Result<String, GrantError> {
        instance.access_token(&self.connection, self.after(seconds)).await.map(|token| text(&token))
    }

    pub fn after(&self, seconds: u64) -> SystemTime {
        self.now + Duration::from_secs(seconds)
    }

    pub async fn item(&self) -> HashMap<String, AttributeValue> {
        let key = HashMap::from([
            ("pk".to_owned(), AttributeValue::S(format!("GRANT#{}", self.connection.name))),
            ("sk".to_owned(), AttributeValue::S("RECORD".to_owned())),
        ]);
        let output = self.dynamodb.get_item().table_name(TABLE).set_key(Some(key)).consistent_read(true).send().await;
        output.unwrap().item.unwrap()
    }

    pub async fn put_item(&self, item: HashMap<String, AttributeValue>) {
        self.dynamodb.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
    }
}

pub fn text(token: &AccessToken) -> String {
    token.token.expose_secret().to_owned()
}

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
    client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk"))
        .attribute_definitions(attribute("sk"))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .send()
        .await
        .unwrap();
    client
}
