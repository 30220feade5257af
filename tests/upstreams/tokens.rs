//! Our tokens for upstreams, and the callers', which stay here.

use std::sync::Arc;
use std::time::Duration;

use black_box::instances::Instance;
use black_box::salesforce::call_event;
use black_box::upstream::{
    Act, AuthorizationServer, Scripted, World, accept, read_tool, register_connected, register_with_token, see,
};
use local::Home;
use secrecy::SecretString;
use serde_json::{Value, json};

const PROCESSES: usize = 4;
const CALLS: usize = 50;

const MORE_SCOPES: &str = "Bearer error=\"insufficient_scope\", scope=\"weather.read\"";

/// The log's lines with a code that belong to no answer.
fn problems(world: &World, code: &str) -> Vec<Value> {
    let log = world.server.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines.filter(|line: &Value| line["outcome"] == code && line["message"].is_string()).collect()
}

fn hub() -> Value {
    json!({ "name": "hub", "title": "Hub", "production": true, "upstreams": [{ "name": "weather" }] })
}

struct Connected {
    world: World,
    issuer: AuthorizationServer,
    upstream: Scripted,
}

async fn start() -> Connected {
    start_seen(&[read_tool("read")], Duration::ZERO).await
}

/// One whose tools somebody saw some time ago.
async fn start_seen(tools: &[Value], ago: Duration) -> Connected {
    let issuer = AuthorizationServer::start().await;
    let upstream = Scripted::start_behind(tools, &issuer).await;
    let world = World::start(&[hub()]).await;
    register_connected(&world.server, "weather", &upstream.url, &issuer).await;
    accept(&world.server, "weather", tools).await;
    see(&world.server, "weather", tools, ago).await;
    Connected { world, issuer, upstream }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_401_is_one_refresh_and_one_more_try() {
    let Connected { world, issuer, upstream } = start().await;
    let token = world.token("hub", "mcp.read").await;
    let city = || json!({ "city": "Bonn" });
    assert_eq!(world.call_with("hub", &token, "read", city()).await.code(), None);
    assert_eq!((issuer.refreshes(), upstream.asked().len()), ((1, 0), 1));
    issuer.expire(Duration::ZERO);
    assert_eq!(world.call_with("hub", &token, "read", city()).await.code(), None);
    assert_eq!((issuer.refreshes(), upstream.asked().len()), ((2, 0), 3));
    assert!(issuer.resources().iter().all(|resource| *resource == upstream.url), "{:?}", issuer.resources());
    let bearers: Vec<String> = upstream
        .asked()
        .iter()
        .map(|asked| {
            let whole = format!("{:?} {}", asked.headers, asked.body);
            assert!(!whole.contains(&token), "the caller's token went upstream");
            asked.headers["authorization"].to_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(bearers, ["Bearer upstream-access-1", "Bearer upstream-access-1", "Bearer upstream-access-2"]);
    for secret in ["upstream-access", "refresh-1", "refresh-2"] {
        assert!(!world.server.log().contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_with_an_expired_token_over_four_processes_are_one_refresh() {
    let Connected { world, issuer, upstream } = start().await;
    let instances: Vec<_> =
        (0..PROCESSES).map(|_| Arc::new(Instance::start("an_instance_of_mcp", &world.server))).collect();
    let token = world.token("hub", "mcp.read").await;
    let event = call_event(&world.server, "hub", &token, "read", json!({ "city": "Bonn" }));
    for instance in &instances {
        assert_eq!(instance.call(&event).await.unwrap().code, None);
    }
    assert_eq!(issuer.refreshes(), (1, 0), "the first call of all");
    let asked = upstream.count("tools/call");
    for round in 2..=4 {
        // Long enough for every call to meet the refresh.
        issuer.expire(Duration::from_millis(400));
        let calls: Vec<_> = (0..CALLS)
            .map(|index| {
                let (instance, event) = (instances[index % PROCESSES].clone(), event.clone());
                tokio::spawn(async move { instance.call(&event).await.unwrap() })
            })
            .collect();
        for call in calls {
            let answer = call.await.unwrap();
            assert!(answer.code.is_none() && answer.content["degrees"] == 21, "{answer:?}");
        }
        assert_eq!(issuer.refreshes(), (round, 0));
        assert_eq!(issuer.most_at_once(), 1);
    }
    assert!(upstream.count("tools/call") - asked <= 3 * 2 * CALLS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_too_few_scopes_for_a_tool_does_for_the_others() {
    let Connected { world, issuer: _issuer, upstream } =
        start_seen(&[read_tool("read"), read_tool("other")], Duration::ZERO).await;
    upstream.change(|script| script.call = Act::Of("read", Box::new(Act::Challenge(403, MORE_SCOPES))));
    for _ in 0..2 {
        let called = world.call("hub", "read", json!({ "city": "Bonn" })).await;
        assert_eq!(called.code(), Some("connection_needs_attention"), "{called:?}");
        assert!(called.texts()[0].contains("more scopes for this tool"), "{called:?}");
        assert_eq!(world.call("hub", "other", json!({ "city": "Bonn" })).await.code(), None);
    }
    assert_eq!(upstream.count("tools/call"), 4);
    let lines = problems(&world, "connection_needs_attention");
    assert_eq!((lines.len(), &lines[0]["level"]), (2, &json!("WARN")), "{lines:?}");
    assert!(lines[0]["message"].as_str().unwrap().contains("the tool read"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_too_few_scopes_to_list_the_tools_waits_for_the_administrator() {
    let Connected { world, issuer: _issuer, upstream } =
        start_seen(&[read_tool("read")], Duration::from_secs(601)).await;
    upstream.change(|script| script.list = Act::Challenge(403, MORE_SCOPES));
    for _ in 0..3 {
        let called = world.call("hub", "read", json!({ "city": "Bonn" })).await;
        assert_eq!(called.code(), Some("connection_needs_attention"), "{called:?}");
        assert!(called.texts()[0].contains("administrator"), "{called:?}");
    }
    assert_eq!(upstream.asked().len(), 1, "{:?}\n{}", upstream.asked(), world.server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_is_none_of_the_token_is_told_and_changes_nothing() {
    let Connected { world, issuer, upstream } = start().await;
    upstream.change(|script| script.call = Act::Status(403));
    let called = world.call("hub", "read", json!({ "city": "Bonn" })).await;
    assert_eq!(called.code(), Some("upstream_refused"), "{called:?}");
    upstream.change(|script| script.call = Act::Status(401));
    let called = world.call("hub", "read", json!({ "city": "Bonn" })).await;
    assert_eq!(called.code(), Some("upstream_refused"), "{called:?}");
    assert!(!called.texts().join(" ").contains("Ignore all"), "{called:?}");
    assert_eq!((upstream.asked().len(), issuer.refreshes()), (3, (2, 0)), "once more, and no third time");
    upstream.change(|script| script.call = Act::Answer);
    assert_eq!(world.call("hub", "read", json!({ "city": "Bonn" })).await.code(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_does_not_change_is_read_anew_when_it_is_refused() {
    let upstream = Scripted::start(&[read_tool("read")]).await;
    let world = World::start(&[hub()]).await;
    register_with_token(&world.server, "weather", &upstream.url, "first-token").await;
    accept(&world.server, "weather", &[read_tool("read")]).await;
    see(&world.server, "weather", &[read_tool("read")], Duration::ZERO).await;
    let city = || json!({ "city": "Bonn" });
    assert_eq!(world.call("hub", "read", city()).await.code(), None);
    upstream.change(|script| script.call = Act::Status(401));
    assert_eq!(world.call("hub", "read", city()).await.code(), Some("upstream_refused"));
    assert_eq!(upstream.asked().len(), 2, "the same token would be refused again");
    let open = Home::new(world.server.home()).open().await.unwrap();
    let token = SecretString::from("second-token".to_owned());
    open.secrets.put_current("northstar/connections/weather", &token).await.unwrap();
    assert_eq!(world.call("hub", "read", city()).await.code(), Some("upstream_refused"));
    let sent: Vec<String> =
        upstream.asked().iter().map(|asked| asked.headers["authorization"].to_str().unwrap().to_owned()).collect();
    let [first, second] = ["Bearer first-token", "Bearer second-token"];
    assert_eq!(sent, [first, first, first, second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_secret_is_deleted_is_not_used_on() {
    let upstream = Scripted::start(&[read_tool("read")]).await;
    let world = World::start(&[hub()]).await;
    register_with_token(&world.server, "weather", &upstream.url, "first-token").await;
    accept(&world.server, "weather", &[read_tool("read")]).await;
    see(&world.server, "weather", &[read_tool("read")], Duration::ZERO).await;
    let city = || json!({ "city": "Bonn" });
    assert_eq!(world.call("hub", "read", city()).await.code(), None);
    let open = Home::new(world.server.home()).open().await.unwrap();
    open.secrets.delete("northstar/connections/weather").await.unwrap();
    upstream.change(|script| script.call = Act::Status(401));
    assert_eq!(world.call("hub", "read", city()).await.code(), Some("connection_misconfigured"));
    assert_eq!(world.call("hub", "read", city()).await.code(), Some("connection_misconfigured"));
    assert_eq!(upstream.asked().len(), 2);
    assert_eq!(problems(&world, "connection_misconfigured")[0]["level"], "WARN");
    // It is there again: nobody waits for it.
    let token = SecretString::from("second-token".to_owned());
    open.secrets.create("northstar/connections/weather", &token).await.unwrap();
    upstream.change(|script| script.call = Act::Answer);
    assert_eq!(world.call("hub", "read", city()).await.code(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_secret_cannot_be_read_is_an_error_of_ours() {
    let upstream = Scripted::start(&[read_tool("read")]).await;
    let world = World::start(&[hub()]).await;
    register_with_token(&world.server, "weather", &upstream.url, "first-token").await;
    accept(&world.server, "weather", &[read_tool("read")]).await;
    see(&world.server, "weather", &[read_tool("read")], Duration::ZERO).await;
    let token = world.token("hub", "mcp.read").await;
    assert_eq!(world.names("hub").await, ["read"]);
    let file = world.server.home().join("secrets.json");
    let secrets = std::fs::read(&file).unwrap();
    std::fs::write(&file, "{").unwrap();
    let called = world.call_with("hub", &token, "read", json!({ "city": "Bonn" })).await;
    std::fs::write(&file, secrets).unwrap();
    assert_eq!(called.code(), Some("connection_unavailable"), "{called:?}");
    assert_eq!(upstream.hits(), 0);
    let lines = problems(&world, "connection_unavailable");
    assert_eq!((lines.len(), &lines[0]["level"]), (1, &json!("ERROR")), "{lines:?}");
    assert!(lines[0]["message"].as_str().unwrap().contains("upstream weather"), "{lines:?}");
    assert!(problems(&world, "connection_misconfigured").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_nobody_has_connected_is_not_asked() {
    let Connected { world, issuer: _issuer, upstream } = start().await;
    let issuer = AuthorizationServer::start().await;
    register_connected(&world.server, "other", &upstream.url, &issuer).await;
    let open = Home::new(world.server.home()).open().await.unwrap();
    let name = registry::ConnectionName::parse("weather").unwrap();
    let keys = oauth_client::SealingKeys::Local(open.secrets.clone());
    let fetcher = outbound::Fetcher::with_loopback(None);
    let table = local::store::STATE_TABLE;
    let grants = oauth_client::Grants::new(open.aws.dynamodb.clone(), table, keys, open.secrets.clone(), fetcher);
    grants.remove(&name, std::time::SystemTime::now()).await.unwrap();
    let called = world.call("hub", "read", json!({ "city": "Bonn" })).await;
    assert_eq!(called.code(), Some("connection_not_connected"), "{called:?}");
    assert_eq!(upstream.hits(), 0);
}
