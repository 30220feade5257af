//! The client against the stand-in of an org: what we render, it reads; what it counts, was done.

use std::time::SystemTime;

use aws_clients::Secrets;
use futures_util::future::join_all;
use oauth_client::{Grants, NewGrant, SealingKeys};
use outbound::Fetcher;
use registry::{ClientAuth, ConnectionName, Flow, SalesforceOrg};
use salesforce::client::query;
use salesforce::describe::{Use, check_fields};
use salesforce::soql::{Condition, Literal, Operator, Pattern, Query};
use salesforce::{Client, Code, FieldPath, ObjectName, Request};
use salesforce_standin::{ConnectedApp, Fault, FaultKind, Options, Org, Standin};
use serde_json::{Value, json};

use crate::org::dynamodb;

struct World {
    standin: Standin,
    /// Of instances that share the table and nothing else.
    clients: Vec<Client>,
    now: SystemTime,
    _folder: tempfile::TempDir,
}

async fn world(instances: usize) -> World {
    let app = ConnectedApp::default();
    let options = Options { rotate_refresh_tokens: true, revoke_family_on_reuse: true, ..Options::default() };
    let standin = Standin::start(Org::demo(), options).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secrets = Secrets::File(folder.path().join("secrets.json"));
    secrets.create("consumer-secret", &app.client_secret.into()).await.unwrap();
    let record = SalesforceOrg {
        name: ConnectionName::parse("sales").unwrap(),
        login_url: standin.url().to_owned(),
        instance_url: None,
        api_version: "v66.0".to_owned(),
        flow: Flow::RefreshToken { client_auth: ClientAuth::Post },
        client_id: app.client_id,
        secret_id: Some("consumer-secret".to_owned()),
        created_at: 0,
    };
    let (dynamodb, now) = (dynamodb().await, SystemTime::now());
    let grants = || {
        let keys = SealingKeys::Local(secrets.clone());
        Grants::new(dynamodb.clone(), "state", keys, secrets.clone(), Fetcher::with_loopback(None))
    };
    let org = salesforce::Org::new(&record, outbound::Reach::Loopback).unwrap();
    let grant = NewGrant {
        refresh_token: Some(app.refresh_token.into()),
        access_token: None,
        expires_at: None,
        unverified_instance_url: None,
        identity: None,
    };
    grants().put(&org.connection(&record), grant, now).await.unwrap();
    let clients =
        (0..instances).map(|_| Client::new(&record, grants(), Fetcher::with_loopback(None)).unwrap()).collect();
    World { standin, clients, now, _folder: folder }
}

fn contact(fields: &[&str], condition: Condition) -> String {
    let fields = fields.iter().map(|field| FieldPath::parse(field).unwrap()).collect();
    let object = ObjectName::parse("Contact").unwrap();
    Query { fields, object, condition: Some(condition), order: Vec::new(), limit: 10, offset: 0 }.render().unwrap()
}

#[tokio::test]
async fn a_name_with_everything_in_it_is_written_and_found_again() {
    let world = world(1).await;
    let client = &world.clients[0];
    let name = "O'Hara \\ \"x\" 50%_ \u{65e5}\u{672c}' OR Name != '";
    let fields = json!({"LastName": name, "Email": "ohara@example.com"});
    let describe = client.describe(&ObjectName::parse("Contact").unwrap(), world.now).await.unwrap();
    assert_eq!(check_fields(&describe, fields.as_object().unwrap(), Use::Create), []);
    let create = Request::write("POST", "sobjects/Contact", Some(&fields));
    let id = client.send(create.clone(), world.now).await.unwrap().body["id"].clone();

    let last_name = FieldPath::parse("LastName").unwrap();
    for condition in [
        Condition::Compare(last_name.clone(), Operator::Equal, Literal::Text(name.to_owned())),
        Condition::Like(last_name, Pattern::contains("50%_")),
    ] {
        let soql = contact(&["Id", "LastName"], condition);
        let reply = client.send(Request::get(format!("query{}", query(&[("q", &soql)]))), world.now).await.unwrap();
        let found = salesforce::flatten::rows(reply.body["records"].as_array().unwrap(), 1_000).rows;
        assert_eq!(Value::from(found), json!([{"Id": id, "LastName": name}]), "{soql}");
    }
    let error = client.send(create, world.now).await.unwrap_err();
    assert_eq!(error.code, Code::DuplicatesDetected);
    assert_eq!(error.duplicates[0].id.as_deref(), id.as_str());
    assert_eq!(world.standin.counters().effects("Contact").created, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_parallel_calls_with_an_ended_session_over_four_instances_make_one_refresh() {
    let world = world(4).await;
    for client in &world.clients {
        client.send(Request::get("limits"), world.now).await.unwrap();
    }
    for round in 2..5 {
        world.standin.expire_sessions();
        let calls = (0..50).map(|call| world.clients[call % 4].send(Request::get("limits"), world.now));
        assert!(join_all(calls).await.iter().all(Result::is_ok));
        let counts = world.standin.counters();
        assert_eq!(
            (counts.token_refreshes(), counts.most_refreshes_at_once, counts.reused_refresh_tokens),
            (round, 1, 0)
        );
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_repeated() {
    let world = world(1).await;
    let path = "/services/data/v66.0/sobjects/Contact";
    for (at, kind) in [
        FaultKind::Close { after_effect: true },
        FaultKind::HalfBody,
        FaultKind::TruncatedJson,
        FaultKind::Html,
        FaultKind::EmptyBody,
        FaultKind::DuplicateKeys,
        FaultKind::HugeBody { bytes: 10 * 1024 * 1024 },
    ]
    .into_iter()
    .enumerate()
    {
        world.standin.inject(Fault::once("POST", path, kind.clone()));
        let fields = json!({"LastName": format!("lost {at}")});
        let request = Request::write("POST", "sobjects/Contact", Some(&fields));
        let error = world.clients[0].send(request, world.now).await.unwrap_err();
        assert!(error.outcome_unknown && !error.retryable, "{kind:?}: {error:?}");
        assert_eq!(world.standin.counters().effects("Contact").created, at as u64 + 1, "{kind:?}");
        world.clients[0].send(Request::get("limits"), world.now).await.unwrap();
    }
}
