//! Both functions in this process, over an embedded DynamoDB: for tests that ask a very great deal.

use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_clients::{AwsClients, AwsSettings};
use http_api::{Answer, Invocation};
use local::home::{CLIENT_SECRET_PREFIX, SIGNING_KEYS, STATE_KEY};
use local::store::{CONFIG_TABLE, LOYALTY_TABLE, ORDERS_TABLE, STATE_TABLE};
use local::{Home, OpenHome};
use registry::client::{DEFAULT_QUIET_PERIOD, NewClient, generate_secret};
use registry::{AssertionAudience, AuthMethod, ClientId, PublicUrl, ServerName};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// Base of every URL of [`InProcess`].
pub const PUBLIC_URL: &str = "https://mcp.example.com";

/// The two functions, one client, no orders.
pub struct InProcess {
    /// The authorization server.
    pub token: token::App,
    /// The resource server.
    pub mcp: mcp::App,
    /// Id of the client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    _open: OpenHome,
}

impl InProcess {
    /// Makes them in an empty folder.
    pub async fn start(folder: &Path) -> InProcess {
        let home = Home::new(folder);
        let open = home.open().await.unwrap();
        let now = SystemTime::now();
        registry::init(&open.registry, &open.secrets, SIGNING_KEYS, STATE_KEY, now).await.unwrap();
        let client = NewClient {
            client_id: ClientId::parse("soak").unwrap(),
            name: "Soak".to_owned(),
            servers: vec![ServerName::default_server()],
            scopes: access_token::Scopes::READ_WRITE,
            auth_methods: AuthMethod::WITH_SECRET.to_vec(),
            keys: None,
            assertion_audience: AssertionAudience::default(),
            quiet_period: DEFAULT_QUIET_PERIOD,
            token_lifetime: 3_600,
            token_limit: None,
            expires_at: None,
        };
        let client = client.registered(CLIENT_SECRET_PREFIX, now);
        let secret = generate_secret();
        open.secrets.create(client.secret_id.as_deref().unwrap(), &secret).await.unwrap();
        open.registry.create_client(&client).await.unwrap();
        let url = open.store_url().to_owned();
        let aws = || AwsClients::new(&AwsSettings::local(&url));
        let public_url = PublicUrl::parse(PUBLIC_URL).unwrap();
        let token = token::Config {
            public_url: public_url.clone(),
            config_table: CONFIG_TABLE.to_owned(),
            state_table: STATE_TABLE.to_owned(),
            signing_keys: SIGNING_KEYS.to_owned(),
            secrets: open.secrets.clone(),
            aws: aws(),
            outbound: outbound::Fetcher::new(),
        };
        let mcp = mcp::Config {
            public_url,
            orders_table: ORDERS_TABLE.to_owned(),
            loyalty_table: LOYALTY_TABLE.to_owned(),
            config_table: CONFIG_TABLE.to_owned(),
            state_table: STATE_TABLE.to_owned(),
            state_key: STATE_KEY.to_owned(),
            sealing_keys: oauth_client::SealingKeys::Local(open.secrets.clone()),
            outbound: outbound::Fetcher::with_loopback(None),
            upstream_outbound: outbound::Fetcher::new(),
            secrets: open.secrets.clone(),
            aws: aws(),
        };
        InProcess {
            token: token::App::new(token).await,
            mcp: mcp::App::new(mcp).await,
            client_id: client.client_id.to_string(),
            client_secret: secret.expose_secret().to_owned(),
            _open: open,
        }
    }

    /// What the authorization server answers to an event.
    pub async fn token_answer(&self, event: &str) -> Answer {
        http_api::answer_event(event, invocation(), async |request| self.token.handle(request).await).await
    }

    /// What the resource server answers to an event.
    pub async fn mcp_answer(&self, event: &str) -> Answer {
        http_api::answer_event(event, invocation(), async |request| self.mcp.handle(request).await).await
    }

    /// An access token of the client.
    pub async fn access_token(&self) -> String {
        let form =
            format!("grant_type=client_credentials&client_id={}&client_secret={}", self.client_id, self.client_secret);
        let headers = json!({ "content-type": "application/x-www-form-urlencoded" });
        let answer = self.token_answer(&event("POST", "/token", headers, &form).to_string()).await;
        let answer: Value = serde_json::from_str(answer.body()).unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }
}

fn invocation() -> Invocation {
    Invocation { request_id: "soak".to_owned(), deadline: SystemTime::now() + Duration::from_secs(30) }
}

/// An event of payload format 2.0.
pub fn event(method: &str, path: &str, mut headers: Value, body: &str) -> Value {
    headers["host"] = json!("mcp.example.com");
    json!({
        "version": "2.0",
        "routeKey": format!("ANY {path}"),
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "domainName": "mcp.example.com",
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1" },
            "requestId": "JKJaXmPLvHcESHA=",
            "stage": "$default",
        },
        "body": body,
        "isBase64Encoded": false,
    })
}
