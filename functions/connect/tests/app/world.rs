//! Tables, an authorization server, a registered upstream, and instances of the function that share nothing else.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use aws_clients::{AwsClients, AwsSettings, Secrets};
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use connect::{App, Config};
use http_api::Invocation;
use oauth_client::{Consents, Grants, SealingKeys, Tickets};
use outbound::Fetcher;
use registry::{
    ClientAuth, Connection, ConnectionName, Flow, PublicUrl, Registry, Upstream, UpstreamAuth, UpstreamOAuth,
};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::authorization_server::AuthorizationServer;

pub const PUBLIC_URL: &str = "https://mcp.example.com";
/// The redirect URI of `crm`.
pub const CALLBACK: &str = "https://mcp.example.com/connect/crm";
pub const ISSUER: &str = "https://login.example.com";
/// Of the fixtures in `events/connect`: a ticket, a state and a code verifier that nobody knows.
pub const UNKNOWN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What the functions of this process have logged.
pub static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    request_log::write_to(log.clone());
    log
});

#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub struct World {
    pub server: AuthorizationServer,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub registry: Registry,
    pub tickets: Tickets,
    pub consents: Consents,
    url: String,
    folder: tempfile::TempDir,
}

/// A request, as an event of `events/connect` with changes.
pub struct Visit {
    event: Value,
}

impl Visit {
    pub fn of(event: &str) -> Visit {
        Visit { event: serde_json::from_str(event).unwrap() }
    }

    pub fn get(path: &str, query: &str) -> Visit {
        Visit::of(include_str!("../../../../events/connect/begin.json")).to(path, query)
    }

    pub fn callback(query: &str) -> Visit {
        Visit::of(include_str!("../../../../events/connect/callback.json")).to("/connect/callback", query).cookies(&[])
    }

    pub fn to(mut self, path: &str, query: &str) -> Visit {
        self.event["rawPath"] = path.into();
        self.event["rawQueryString"] = query.into();
        self
    }

    pub fn cookies(mut self, cookies: &[&str]) -> Visit {
        self.event["cookies"] = cookies.into();
        self
    }

    pub fn method(mut self, method: &str) -> Visit {
        self.event["requestContext"]["http"]["method"] = method.into();
        self
    }
}

/// What the browser gets.
pub struct Page {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub cookies: Vec<String>,
    pub body: String,
}

impl Page {
    pub fn location(&self) -> &str {
        &self.headers["location"]
    }

    /// A parameter of the URL that the browser is sent to; it is there once.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let query = self.location().split_once('?').unwrap().1;
        let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
        let value = values.next().map(|(_, value)| value.into_owned());
        assert!(values.next().is_none(), "{name} is there twice");
        value
    }

    /// The code of a refusal's page.
    pub fn code(&self) -> &str {
        let (_, rest) = self.body.split_once("Code: <code>").unwrap_or_else(|| panic!("{}", self.body));
        rest.split_once('<').unwrap().0
    }

    pub fn refused(&self) -> (u16, &str) {
        (self.status, self.code())
    }
}

/// A consent that has begun in a browser.
pub struct Begun {
    pub state: String,
    /// The path of the redirect URI.
    pub path: String,
    /// As the browser sends it.
    pub cookie: String,
}

impl Begun {
    /// The browser comes back with a code.
    pub fn back(&self) -> Visit {
        self.back_with("code=the-code")
    }

    pub fn back_with(&self, query: &str) -> Visit {
        Visit::get(&self.path, &format!("{query}&state={}", self.state)).cookies(&[&self.cookie])
    }
}

impl World {
    pub async fn new() -> World {
        LazyLock::force(&LOG);
        let (url, dynamodb) = tables().await;
        let world = World {
            server: AuthorizationServer::start().await,
            registry: Registry::new(dynamodb.clone(), "config"),
            tickets: Tickets::new(dynamodb.clone(), "state"),
            consents: Consents::new(dynamodb.clone(), "state"),
            dynamodb,
            url,
            folder: tempfile::tempdir().unwrap(),
        };
        world.register(|_| {}, |_| {}).await;
        world
    }

    /// Registers the upstream `crm`, with changes.
    pub async fn register(&self, upstream: impl FnOnce(&mut Upstream), oauth: impl FnOnce(&mut UpstreamOAuth)) {
        let mut settings = UpstreamOAuth {
            issuer: ISSUER.to_owned(),
            authorize_url: Some(format!("{}/authorize?prompt=login", self.server.url)),
            token_url: format!("{}/token", self.server.url),
            revoke_url: Some(format!("{}/revoke", self.server.url)),
            iss_promised: false,
            flow: Flow::RefreshToken { client_auth: ClientAuth::Post },
            resource: None,
            client_id: "client".to_owned(),
            secret_id: None,
            scopes: vec!["mcp_api".to_owned(), "refresh_token".to_owned()],
        };
        oauth(&mut settings);
        let mut registered = Upstream {
            name: name(),
            url: "https://upstream.example.com/mcp".to_owned(),
            preset: None,
            auth: UpstreamAuth::OAuth(Box::new(settings)),
            result_page: None,
            created_at: 0,
        };
        upstream(&mut registered);
        self.registry.put_connection(&Connection::Upstream(registered), false).await.unwrap();
    }

    pub fn secrets(&self) -> Secrets {
        Secrets::File(self.folder.path().join("secrets.json"))
    }

    pub fn config(&self) -> Config {
        Config {
            public_url: PublicUrl::parse(PUBLIC_URL).unwrap(),
            config_table: "config".to_owned(),
            state_table: "state".to_owned(),
            sealing_keys: SealingKeys::Local(self.secrets()),
            outbound: Fetcher::with_loopback(None),
            upstream_outbound: Fetcher::with_loopback(None),
            secrets: self.secrets(),
            aws: AwsClients::new(&AwsSettings::local(self.url.clone())),
        }
    }

    /// An instance of the function.
    pub fn app(&self) -> App {
        App::new(self.config())
    }

    pub fn grants(&self) -> Grants {
        let keys = SealingKeys::Local(self.secrets());
        Grants::new(self.dynamodb.clone(), "state", keys, self.secrets(), Fetcher::with_loopback(None))
    }

    /// The access token of the connection.
    pub async fn token(&self) -> Option<String> {
        let Some(Connection::Upstream(upstream)) = self.registry.connection(&name()).await.unwrap() else {
            return None;
        };
        let connection = oauth_client::Connection::of_upstream(&upstream)?;
        let token = self.grants().access_token(&connection, SystemTime::now()).await.ok()?;
        Some(token.token.expose_secret().to_owned())
    }

    /// The query of a new link.
    pub async fn link(&self) -> String {
        self.link_for(false).await
    }

    pub async fn link_for(&self, new_user: bool) -> String {
        let ticket = self.tickets.issue(&name(), new_user, SystemTime::now()).await.unwrap();
        format!("ticket={}", ticket.expose_secret())
    }

    /// A browser opens a new link.
    pub async fn begin(&self, app: &App) -> Begun {
        begun(&visit(app, Visit::get("/connect/crm", &self.link().await)).await)
    }

    pub async fn begin_for(&self, app: &App, new_user: bool) -> Begun {
        begun(&visit(app, Visit::get("/connect/crm", &self.link_for(new_user).await)).await)
    }

    /// A whole consent.
    pub async fn consent(&self, app: &App) -> Page {
        visit(app, self.begin(app).await.back()).await
    }

    /// How the last consent ended.
    pub async fn outcome(&self) -> Option<String> {
        self.consents.outcome(&name()).await.unwrap().map(|outcome| outcome.code)
    }

    /// Everything in the tables.
    pub async fn dump(&self) -> String {
        let mut dump = String::new();
        for table in ["config", "state"] {
            dump += &format!("{:?}", self.dynamodb.scan().table_name(table).send().await.unwrap().items);
        }
        dump
    }
}

pub fn name() -> ConnectionName {
    ConnectionName::parse("crm").unwrap()
}

pub fn begun(page: &Page) -> Begun {
    assert_eq!(page.status, 303, "{}", page.body);
    let cookie = page.cookies[0].split(';').next().unwrap().to_owned();
    let redirect_uri = page.parameter("redirect_uri").unwrap();
    let path = redirect_uri.splitn(4, '/').nth(3).unwrap();
    Begun { state: page.parameter("state").unwrap(), path: format!("/{path}"), cookie }
}

pub async fn visit(app: &App, visit: Visit) -> Page {
    let invocation =
        Invocation { request_id: "lambda".to_owned(), deadline: SystemTime::now() + Duration::from_secs(28) };
    let event = visit.event.to_string();
    let answer = http_api::answer_event(&event, invocation, async |request| app.handle(request).await).await;
    let answer = serde_json::to_value(answer).unwrap();
    Page {
        status: answer["statusCode"].as_u64().unwrap().try_into().unwrap(),
        headers: serde_json::from_value(answer["headers"].clone()).unwrap(),
        cookies: serde_json::from_value(answer.get("cookies").cloned().unwrap_or(Value::Array(Vec::new()))).unwrap(),
        body: answer["body"].as_str().unwrap().to_owned(),
    }
}

async fn tables() -> (String, aws_sdk_dynamodb::Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    let client = AwsClients::new(&AwsSettings::local(url.clone())).dynamodb;
    let attribute = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    for table in ["config", "state"] {
        let create = client
            .create_table()
            .table_name(table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("pk"))
            .attribute_definitions(attribute("sk"))
            .key_schema(key("pk", KeyType::Hash))
            .key_schema(key("sk", KeyType::Range));
        create.send().await.unwrap();
    }
    (url, client)
}
