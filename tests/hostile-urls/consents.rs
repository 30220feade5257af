//! Consents: where a browser is sent, and where its code goes.

use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_clients::{AwsClients, AwsSettings};
use black_box::in_process::{PUBLIC_URL, event};
use http_api::Invocation;
use local::store::{CONFIG_TABLE, STATE_TABLE};
use local::{Home, OpenHome};
use oauth_client::{SealingKeys, Tickets};
use outbound::Fetcher;
use registry::{ClientAuth, Connection, ConnectionName, Flow, PublicUrl, Upstream, UpstreamAuth, UpstreamOAuth};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{Counter, urls};

const ISSUER: &str = "https://login.example.com";

/// The function of consents as it ships, over an embedded DynamoDB.
struct World {
    app: connect::App,
    tickets: Tickets,
    open: OpenHome,
}

impl World {
    async fn start(folder: &Path) -> World {
        let open = Home::new(folder).open().await.unwrap();
        let aws = AwsClients::new(&AwsSettings::local(open.store_url()));
        let tickets = Tickets::new(aws.dynamodb.clone(), STATE_TABLE);
        let app = connect::App::new(connect::Config {
            public_url: PublicUrl::parse(PUBLIC_URL).unwrap(),
            config_table: CONFIG_TABLE.to_owned(),
            state_table: STATE_TABLE.to_owned(),
            sealing_keys: SealingKeys::Local(open.secrets.clone()),
            outbound: Fetcher::new(),
            upstream_outbound: Fetcher::new(),
            secrets: open.secrets.clone(),
            aws,
        });
        World { app, tickets, open }
    }

    /// As somebody would register it who writes into the table.
    async fn register(&self, authorize_url: &str, token_url: &str) -> ConnectionName {
        let name = ConnectionName::parse("sales").unwrap();
        let oauth = UpstreamOAuth {
            issuer: ISSUER.to_owned(),
            authorize_url: Some(authorize_url.to_owned()),
            token_url: token_url.to_owned(),
            revoke_url: Some(token_url.to_owned()),
            iss_promised: false,
            flow: Flow::RefreshToken { client_auth: ClientAuth::Post },
            resource: None,
            client_id: "client".to_owned(),
            secret_id: None,
            scopes: Vec::new(),
        };
        let upstream = Upstream {
            name: name.clone(),
            url: "https://mcp.upstream.example.com/mcp".to_owned(),
            preset: None,
            auth: UpstreamAuth::OAuth(Box::new(oauth)),
            result_page: None,
            created_at: 0,
        };
        self.open.registry.put_connection(&Connection::Upstream(upstream), false).await.unwrap();
        name
    }

    async fn get(&self, path: &str, query: &str, cookie: Option<&str>) -> Value {
        let mut event = event("GET", path, json!({}), "");
        event["rawQueryString"] = json!(query);
        event["cookies"] = json!(cookie.into_iter().collect::<Vec<_>>());
        let deadline = SystemTime::now() + Duration::from_secs(30);
        let invocation = Invocation { request_id: "hostile".to_owned(), deadline };
        let event = event.to_string();
        let answer = http_api::answer_event(&event, invocation, async |request| self.app.handle(request).await);
        serde_json::to_value(answer.await).unwrap()
    }

    /// A consent begins, by a link of its own.
    async fn begin(&self, name: &ConnectionName) -> Value {
        let ticket = self.tickets.issue(name, false, SystemTime::now()).await.unwrap();
        self.get(&format!("/connect/{name}"), &format!("ticket={}", ticket.expose_secret()), None).await
    }
}

#[tokio::test]
async fn no_browser_is_sent_to_a_hostile_authorization_endpoint() {
    let (counter, folder) = (Counter::start().await, tempfile::tempdir().unwrap());
    let world = World::start(folder.path()).await;
    for url in urls(counter.port) {
        let name = world.register(&url, &format!("{ISSUER}/token")).await;
        let answer = world.begin(&name).await;
        assert_eq!(
            (&answer["statusCode"], answer["headers"].get("location")),
            (&json!(409), None),
            "{url:?}: {answer}"
        );
    }
    assert_eq!(counter.count().await, 0);
}

#[tokio::test]
async fn no_code_goes_to_a_hostile_token_endpoint() {
    let (counter, folder) = (Counter::start().await, tempfile::tempdir().unwrap());
    let world = World::start(folder.path()).await;
    for url in urls(counter.port) {
        let name = world.register(&format!("{ISSUER}/authorize"), &url).await;
        let begun = world.begin(&name).await;
        assert_eq!(begun["statusCode"], 303, "{url:?}: {begun}");
        let location = url::Url::parse(begun["headers"]["location"].as_str().unwrap()).unwrap();
        let state = location.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let cookie = begun["cookies"][0].as_str().unwrap().split(';').next().unwrap();
        let ended = world.get(&format!("/connect/{name}"), &format!("state={state}&code=a-code"), Some(cookie)).await;
        assert_eq!(ended["statusCode"], 409, "{url:?}: {ended}");
        assert!(ended["body"].as_str().unwrap().contains("token endpoint is not allowed"), "{url:?}: {ended}");
    }
    assert_eq!(counter.count().await, 0);
}
