//! The two servers that the suite meets, each behind a hop that signs in for it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use access_token::{Claims, SigningKey};
use aws_clients::{AwsClients, AwsSettings, SecretStage};
use black_box::Server;
use local::gateway::{self, HttpApi, Invocation, Routes};
use local::home::{SIGNING_KEYS, STATE_KEY};
use local::store::{CONFIG_TABLE, LOYALTY_TABLE, ORDERS_TABLE, STATE_TABLE};
use local::{Home, OpenHome};
use mcp::Catalogue;
use registry::{PrivateKeyRecord, PublicUrl};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::fixture;
use crate::hop::Hop;

/// A server for as long as this is there, and its runtime.
pub struct Served<T> {
    /// Where the suite finds its MCP endpoint.
    pub url: String,
    _kept: T,
}

/// The product as it is: `northstar serve`, with its own tools.
pub async fn product() -> Served<Server> {
    let hop = Hop::bind().await;
    let server = Server::start(&["--public-url", &hop.url]);
    let url = hop.pass_on(&server.url, &server.token().await);
    Served { url: format!("{url}/mcp"), _kept: server }
}

/// The suite's own tools, prompts and resources behind the product's whole layer: gateway, events, token, front.
pub async fn fixture() -> Served<(OpenHome, TempDir)> {
    // Request lines are for logs; here they would hide what the suite says.
    request_log::write_to(io::sink());
    let hop = Hop::bind().await;
    let folder = tempfile::tempdir().unwrap();
    let open = Home::new(folder.path()).open().await.unwrap();
    registry::init(&open.registry, &open.secrets, SIGNING_KEYS, STATE_KEY, SystemTime::now()).await.unwrap();
    let config = mcp::Config {
        public_url: PublicUrl::parse(&hop.url).unwrap(),
        orders_table: ORDERS_TABLE.to_owned(),
        loyalty_table: LOYALTY_TABLE.to_owned(),
        config_table: CONFIG_TABLE.to_owned(),
        state_table: STATE_TABLE.to_owned(),
        state_key: STATE_KEY.to_owned(),
        sealing_keys: oauth_client::SealingKeys::Local(open.secrets.clone()),
        outbound: outbound::Fetcher::with_loopback(None),
        upstream_outbound: outbound::Fetcher::new(),
        secrets: open.secrets.clone(),
        aws: AwsClients::new(&AwsSettings::local(open.store_url())),
    };
    let app = mcp::App::with_endpoints(config, Catalogue::new(vec![]), fixture::endpoint).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, app));
    let token = token(&open, &hop.url).await;
    let url = hop.pass_on(&target, &token);
    Served { url: format!("{url}/mcp"), _kept: (open, folder) }
}

async fn serve(listener: TcpListener, app: mcp::App) {
    let app = Arc::new(app);
    let invoke = move |(), invocation: Invocation| {
        let app = app.clone();
        async move {
            let lambda = http_api::Invocation { request_id: invocation.request_id, deadline: invocation.deadline };
            let handle = async |request| Box::pin(app.handle(request)).await;
            let answer = http_api::answer_event(&invocation.event, lambda, handle).await;
            serde_json::to_string(&answer).map_err(|error| error.to_string())
        }
    };
    let api = HttpApi::new(Routes::parse(&[("ANY /mcp", ())]).unwrap());
    gateway::serve(listener, api, invoke, std::future::pending()).await;
}

/// A token as the authorization server would issue it.
async fn token(open: &OpenHome, issuer: &str) -> String {
    let keys = open.secrets.get(SIGNING_KEYS, SecretStage::Current).await.unwrap().unwrap();
    let keys: Vec<PrivateKeyRecord> = serde_json::from_str(keys.value.expose_secret()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = Claims {
        iss: issuer.to_owned(),
        sub: "client:conformance".to_owned(),
        aud: format!("{issuer}/mcp"),
        client_id: "conformance".to_owned(),
        scope: "mcp.read".to_owned(),
        iat: now.as_secs(),
        exp: (now + Duration::from_secs(3_600)).as_secs(),
        nbf: None,
        jti: "conformance".to_owned(),
        client_version: 1,
    };
    SigningKey::from_pem(keys[0].private_key.expose_secret()).unwrap().sign(&claims).unwrap()
}
