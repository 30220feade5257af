//! RS-12: tokens that are refused before they expire, because they were revoked or their client was cut.
//!
//! Waiting is left out but for one test: the moments come in as arguments, to the function's own check over a real table.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use access_token::Scopes;
use aws_clients::{AwsClients, AwsSettings};
use black_box::answer::post_as;
use black_box::proxy::{Mode, Proxy};
use black_box::{Server, event, shared};
use bytes::Bytes;
use http::{HeaderMap, Method};
use http_api::{ApiRequest, Invocation};
use local::Home;
use local::home::STATE_KEY;
use local::store::{CONFIG_TABLE, LOYALTY_TABLE, ORDERS_TABLE, STATE_TABLE};
use mcp::bearer::Bearer;
use mcp::{App, Config};
use registry::{
    Client, ClientChange, ClientId, ClientStatus, PublicUrl, Registry, Revocations, ServerName, revocation,
};
use request_log::Timings;
use serde_json::{Value, json};

use crate::{PING, error_of, read, send};

/// A process of the function.
struct Resource {
    bearer: Bearer,
    start: SystemTime,
}

impl Resource {
    fn over(server: &Server) -> Resource {
        Resource::behind(server, &server.dynamodb_url())
    }

    fn behind(server: &Server, dynamodb_url: &str) -> Resource {
        let dynamodb = AwsClients::new(&AwsSettings::local(dynamodb_url)).dynamodb;
        let registry = Registry::new(dynamodb.clone(), CONFIG_TABLE);
        let revocations = Revocations::new(dynamodb, STATE_TABLE);
        let bearer = Bearer::new(registry, revocations, PublicUrl::parse(&server.url).unwrap());
        Resource { bearer, start: SystemTime::now() }
    }

    /// `ok`, or the code of the refusal of a call with a token some seconds after the start.
    async fn call(&self, token: &str, after: f64) -> &'static str {
        let request = ApiRequest {
            method: Method::POST,
            path: "/mcp".to_owned(),
            query: String::new(),
            headers: HeaderMap::from_iter([(http::header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]),
            cookies: Vec::new(),
            body: Bytes::new(),
            source_ip: "192.0.2.1".to_owned(),
            request_id: String::new(),
            deadline: self.start,
        };
        let now = self.start + Duration::from_secs_f64(after);
        let default = ServerName::default_server();
        match self.bearer.authenticate(&request, &default, &Timings::default(), now).await {
            Ok(_) => "ok",
            Err(refusal) => refusal.code(),
        }
    }
}

/// A token of a client.
async fn token_of(server: &Server, client: &(String, String)) -> String {
    let answer = post_as(server, client, &[]).await;
    answer.assert_issued("a token");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

async fn revoke(server: &Server, client: &(String, String), token: &str) {
    let form = [("client_id", client.0.as_str()), ("client_secret", &client.1), ("token", token)];
    assert_eq!(server.request("POST", "/revoke").form(&form).send().await.unwrap().status(), 200);
}

/// Changes a client as the command line does: what narrows it cuts its tokens.
async fn change(server: &Server, id: &str, change: ClientChange) -> Client {
    let open = Home::new(server.home()).open().await.unwrap();
    let earlier = open.registry.client_now(&ClientId::parse(id).unwrap()).await.unwrap().unwrap();
    let next = earlier.changed(change);
    let cut = earlier.is_narrowed_by(&next).then(|| open.revocations.cut_before(&next, SystemTime::now()));
    assert!(open.registry.replace_client(&earlier, &next, cut).await.unwrap());
    next
}

#[tokio::test]
async fn a_revoked_token_is_refused_over_http_within_10_seconds_and_others_are_not() {
    let server = shared();
    let client = server.new_client(&[]);
    let [revoked, kept] = [token_of(server, &client).await, token_of(server, &client).await];
    assert_eq!(send(server.mcp(&revoked).body(PING)).await.0, 200);
    revoke(server, &client, &revoked).await;
    let start = Instant::now();
    let refused = loop {
        let response = server.mcp(&revoked).body(PING).send().await.unwrap();
        if response.status() != 200 {
            break response;
        }
        assert!(start.elapsed() < revocation::MAX_AGE + Duration::from_secs(1), "{:?}", start.elapsed());
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    println!("refused after {:.1} s", start.elapsed().as_secs_f64());
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.starts_with("Bearer error=\"invalid_token\", "), "{challenge}");
    assert_eq!(error_of(&read(refused).await), (401, -32600, "invalid_token"));
    assert_eq!(send(server.mcp(&kept).body(PING)).await.0, 200);
}

#[tokio::test]
async fn a_revoked_token_is_refused_after_10_seconds_though_it_is_remembered() {
    let server = shared();
    let (client, resource) = (server.new_client(&[]), Resource::over(server));
    let [revoked, kept] = [token_of(server, &client).await, token_of(server, &client).await];
    assert_eq!(resource.call(&revoked, 0.0).await, "ok");
    revoke(server, &client, &revoked).await;
    assert_eq!(resource.call(&revoked, 9.9).await, "ok", "the list of 10 s ago counts");
    for after in [10.0, 11.0, 100.0, 800.0] {
        assert_eq!(resource.call(&revoked, after).await, "invalid_token", "{after}");
        assert_eq!(resource.call(&kept, after).await, "ok", "{after}");
    }
    assert_eq!(Resource::over(server).call(&revoked, 0.0).await, "invalid_token", "nor by another process");
}

#[tokio::test]
async fn what_narrows_a_client_cuts_its_tokens_and_what_does_not_leaves_them() {
    let server = shared();
    let all = Scopes::READ_WRITE;
    let none = ClientChange::default;
    let other_server = ServerName::parse("orders").unwrap();
    for (what, change_of_client, expected) in [
        ("disabled", ClientChange { status: Some(ClientStatus::Disabled), ..none() }, "invalid_token"),
        ("another server", ClientChange { servers: Some(vec![other_server]), ..none() }, "invalid_token"),
        ("renamed", ClientChange { name: Some("Other".to_owned()), ..none() }, "ok"),
        ("a shorter lifetime", ClientChange { token_lifetime: Some(60), ..none() }, "ok"),
        ("more scopes", ClientChange { scopes: Some(all), ..none() }, "ok"),
        ("the same", none(), "ok"),
    ] {
        let (client, resource) = (server.new_client(&[]), Resource::over(server));
        let token = token_of(server, &client).await;
        assert_eq!(resource.call(&token, 0.0).await, "ok", "{what}");
        change(server, &client.0, change_of_client).await;
        assert_eq!(resource.call(&token, 10.0).await, expected, "{what}");
    }
    let (client, resource) =
        (server.new_client(&["--scope", "mcp.read", "--scope", "mcp.write"]), Resource::over(server));
    let token = token_of(server, &client).await;
    change(server, &client.0, ClientChange { scopes: Some(Scopes::READ), ..none() }).await;
    assert_eq!(resource.call(&token, 0.0).await, "invalid_token", "fewer scopes");
}

#[tokio::test]
async fn tokens_of_before_a_cut_stay_refused_and_those_of_after_it_are_accepted() {
    let server = shared();
    let (client, other) = (server.new_client(&[]), server.new_client(&[]));
    let resource = Resource::over(server);
    let before = [token_of(server, &client).await, token_of(server, &client).await];
    let of_other = token_of(server, &other).await;
    let status = |status| ClientChange { status: Some(status), ..ClientChange::default() };
    change(server, &client.0, status(ClientStatus::Disabled)).await;
    change(server, &client.0, status(ClientStatus::Active)).await;
    for token in &before {
        assert_eq!(resource.call(token, 0.0).await, "invalid_token");
    }
    assert_eq!(resource.call(&of_other, 0.0).await, "ok", "another client's");
    // A function that has not asked for this client yet; the running one may remember it for 30 s.
    let fresh = black_box::forge::Forge::with_key_of(server, jsonwebtoken::Algorithm::RS256);
    for (version, expected) in [(0, "invalid_token"), (1, "invalid_token"), (2, "ok"), (3, "ok")] {
        let token =
            fresh.claims(json!({ "client_id": client.0, "client_version": version, "jti": version.to_string() }));
        assert_eq!(resource.call(&token, 0.0).await, expected, "version {version}");
    }
    let without_version = fresh.claims(json!({ "client_id": client.0 }));
    assert_eq!(resource.call(&without_version, 0.0).await, "invalid_token", "a token of before there were versions");
}

#[tokio::test]
async fn the_tokens_of_a_deleted_client_are_refused() {
    let server = shared();
    let (client, resource) = (server.new_client(&[]), Resource::over(server));
    let token = token_of(server, &client).await;
    assert_eq!(resource.call(&token, 0.0).await, "ok");
    let open = Home::new(server.home()).open().await.unwrap();
    let registered = open.registry.client_now(&ClientId::parse(&client.0).unwrap()).await.unwrap().unwrap();
    let cut = open.revocations.cut_all(&registered, SystemTime::now());
    assert!(open.registry.delete_client(&registered, cut).await.unwrap());
    assert_eq!(resource.call(&token, 10.0).await, "invalid_token");
}

#[tokio::test]
async fn while_the_table_is_gone_the_list_counts_for_a_minute_and_then_nobody_is_let_in() {
    let server = shared();
    let client = server.new_client(&[]);
    let [revoked, token] = [token_of(server, &client).await, token_of(server, &client).await];
    revoke(server, &client, &revoked).await;
    let tables = Proxy::start(&server.dynamodb_url(), Mode::Pass);
    let resource = Resource::behind(server, &tables.url);
    assert_eq!(resource.call(&token, 0.0).await, "ok");
    tables.set(Mode::Gone);
    for after in [10.0, 30.0, 59.0] {
        assert_eq!(resource.call(&token, after).await, "ok", "{after}");
        assert_eq!(resource.call(&revoked, after).await, "invalid_token", "{after}");
    }
    for after in [65.0, 120.0] {
        assert_eq!(resource.call(&token, after).await, "temporarily_unavailable", "{after}");
        assert_eq!(resource.call(&revoked, after).await, "temporarily_unavailable", "{after}");
        assert_eq!(resource.call("garbage", after).await, "invalid_token", "what needs no list");
    }
    tables.set(Mode::Pass);
    assert_eq!(resource.call(&token, 121.0).await, "ok");
    assert_eq!(resource.call(&revoked, 121.0).await, "invalid_token");
}

#[tokio::test]
async fn the_list_is_read_once_in_10_seconds() {
    let server = shared();
    let token = server.token().await;
    let tables = Arc::new(Proxy::start(&server.dynamodb_url(), Mode::Pass));
    let resource = Resource::behind(server, &tables.url);
    for call in 0..300 {
        assert_eq!(resource.call(&token, f64::from(call) / 10.0).await, "ok");
    }
    // The keys once; the list at 0, 10 and 20 s.
    assert_eq!(tables.asked("Query"), 4);
}

#[tokio::test]
async fn a_function_that_cannot_read_the_list_lets_nobody_in_and_its_status_says_so() {
    let server = shared();
    let config = Config {
        public_url: PublicUrl::parse(&server.url).unwrap(),
        orders_table: ORDERS_TABLE.to_owned(),
        loyalty_table: LOYALTY_TABLE.to_owned(),
        config_table: CONFIG_TABLE.to_owned(),
        state_table: "no-such-table".to_owned(),
        state_key: STATE_KEY.to_owned(),
        sealing_keys: oauth_client::SealingKeys::Local(Home::new(server.home()).secrets()),
        outbound: outbound::Fetcher::with_loopback(None),
        upstream_outbound: outbound::Fetcher::new(),
        secrets: Home::new(server.home()).secrets(),
        aws: AwsClients::new(&AwsSettings::local(server.dynamodb_url())),
    };
    let function = App::new(config).await;
    let answer = async |event: &Value| {
        let deadline = SystemTime::now() + Duration::from_secs(29);
        let invocation = Invocation { request_id: "test".to_owned(), deadline };
        let handle = async |request| Box::pin(function.handle(request)).await;
        let answer = http_api::answer_event(&event.to_string(), invocation, handle).await;
        let answer = serde_json::to_value(answer).unwrap();
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        (answer["statusCode"].as_u64().unwrap(), answer["headers"]["retry-after"].clone(), body)
    };
    let (status, retry_after, body) = answer(&event("mcp/tools_list", server, &server.token().await)).await;
    assert_eq!(
        (status, retry_after, &body["error"]["data"]["code"]),
        (503, json!("5"), &json!("temporarily_unavailable"))
    );
    assert_eq!(answer(&event("mcp/tools_list", server, "garbage")).await.0, 401);
    let (status, _, ready) = answer(&event("mcp/readyz", server, "")).await;
    let checks =
        json!({ "public_keys": "ok", "revocations": "unavailable", "default_server": "ok", "state_key": "ok" });
    assert_eq!((status, ready), (503, json!({ "status": "unavailable", "checks": checks })));
}
