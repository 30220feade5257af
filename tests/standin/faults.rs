//! Every fault, as a client meets it, and what it has done to the data.

use std::time::{Duration, Instant};

use salesforce_standin::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::World;

/// Creates a contact under a fault: status and body, or none if there was no whole answer within a second.
async fn create_under(world: &World, kind: FaultKind) -> Option<(u16, String)> {
    world.standin.inject(Fault::once("POST", "/services/data/sobjects/Contact", kind));
    let request = world.request(reqwest::Method::POST, "/sobjects/Contact").json(&json!({ "LastName": "Fault" }));
    let answer = async {
        let response = request.send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    };
    tokio::time::timeout(Duration::from_secs(1), answer).await.ok().flatten()
}

fn status(after_effect: bool) -> FaultKind {
    let error_code = "UNABLE_TO_LOCK_ROW".to_owned();
    FaultKind::Status { status: 400, error_code, message: String::new(), after_effect }
}

#[tokio::test]
async fn a_fault_before_the_effect_writes_nothing_and_one_after_it_does() {
    for (kind, answered, written) in [
        (status(false), Some(400), 0),
        (status(true), Some(400), 1),
        (FaultKind::Close { after_effect: false }, None, 0),
        (FaultKind::Close { after_effect: true }, None, 1),
        (FaultKind::Hang { after_effect: false }, None, 0),
        (FaultKind::Hang { after_effect: true }, None, 1),
        (FaultKind::Redirect { location: "https://elsewhere.example/".to_owned() }, Some(307), 0),
        (FaultKind::HalfBody, None, 1),
        (FaultKind::SlowDrip { ms: 200 }, None, 1),
        (FaultKind::TruncatedJson, Some(201), 1),
        (FaultKind::Html, Some(200), 1),
        (FaultKind::HugeBody { bytes: 10 << 20 }, Some(200), 1),
        (FaultKind::DuplicateKeys, Some(201), 1),
        (FaultKind::EmptyBody, Some(200), 1),
    ] {
        let world = World::start().await;
        let answer = create_under(&world, kind.clone()).await;
        assert_eq!(answer.as_ref().map(|(status, _)| *status), answered, "{kind:?}");
        let counters = world.standin.counters();
        assert_eq!(counters.effects("Contact").created, written, "{kind:?}");
        assert_eq!(counters.requests("POST", "/services/data/sobjects/Contact"), 1, "{kind:?}");
        if let Some((_, text)) = answer {
            let parsed = serde_json::from_str::<Value>(&text);
            match kind {
                FaultKind::HugeBody { bytes } => assert!(text.len() >= bytes && parsed.is_ok()),
                FaultKind::DuplicateKeys => assert!(text.contains(",\"id\":null"), "{text}"),
                FaultKind::Status { .. } => assert_eq!(parsed.unwrap()[0]["errorCode"], "UNABLE_TO_LOCK_ROW"),
                _ => assert!(parsed.is_err(), "{kind:?}"),
            }
        }
        assert!(world.standin.faults().is_empty());
        assert_eq!(world.get("/limits").await.0, 200, "the next request goes well");
    }
}

#[tokio::test]
async fn latency_delays_and_a_wrong_instance_is_named() {
    let world = World::start().await;
    world.standin.inject(Fault::once("GET", "/services/data/v66.0/limits", FaultKind::Latency { ms: 300 }));
    let start = Instant::now();
    assert_eq!(world.get("/limits").await.0, 200);
    assert!(start.elapsed() >= Duration::from_millis(300));

    let elsewhere = "https://elsewhere.example".to_owned();
    world.standin.inject(Fault::once(
        "POST",
        "/services/oauth2/token",
        FaultKind::WrongInstanceUrl { url: elsewhere.clone() },
    ));
    let app = salesforce_standin::ConnectedApp::default();
    let form =
        [("grant_type", "client_credentials"), ("client_id", &app.client_id), ("client_secret", &app.client_secret)];
    let token = world.http.post(format!("{}/services/oauth2/token", world.standin.url())).form(&form);
    assert_eq!(crate::answer(token).await.1["instance_url"], elsewhere);
}

#[tokio::test]
async fn faults_counters_and_sessions_are_reached_over_http() {
    let world = World::start().await;
    let unavailable = json!({ "kind": "status", "status": 503, "error_code": "SERVER_UNAVAILABLE", "times": 2 });
    let faults = json!([unavailable]);
    let url = |name: &str| format!("{}/__standin__/{name}", world.standin.url());
    assert_eq!(world.http.post(url("faults")).json(&faults).send().await.unwrap().status(), 204);
    assert_eq!(world.get("/limits").await.0, 503);
    let pending: Value = world.http.get(url("faults")).send().await.unwrap().json().await.unwrap();
    assert_eq!(pending[0]["times"], 1);
    world.http.delete(url("faults")).send().await.unwrap();
    assert_eq!(world.get("/limits").await.0, 200);
    let counters: Value = world.http.get(url("counters")).send().await.unwrap().json().await.unwrap();
    assert_eq!(counters["requests"]["GET /services/data/limits"], 2);
    world.http.post(url("expire-sessions")).send().await.unwrap();
    assert_eq!(world.get("/limits").await.0, 401);
    let wrong = world.http.post(url("faults")).json(&json!([{ "kind": "sabotage" }])).send().await.unwrap();
    assert_eq!(wrong.status(), 400);
}

#[tokio::test]
async fn refreshes_at_the_same_time_are_counted() {
    let world = World::start().await;
    let slow = Fault {
        method: None,
        path: "/services/oauth2/token".to_owned(),
        times: 3,
        skip: 0,
        kind: FaultKind::Latency { ms: 200 },
    };
    world.standin.inject(slow);
    let app = salesforce_standin::ConnectedApp::default();
    let form = [("grant_type", "refresh_token"), ("client_id", &app.client_id), ("refresh_token", &app.refresh_token)];
    let refresh = || world.http.post(format!("{}/services/oauth2/token", world.standin.url())).form(&form).send();
    let (one, two, three) = tokio::join!(refresh(), refresh(), refresh());
    assert!([one, two, three].into_iter().all(|answer| answer.unwrap().status().is_success()));
    let counters = world.standin.counters();
    assert_eq!((counters.token_refreshes(), counters.most_refreshes_at_once), (3, 3));
}

#[tokio::test]
async fn nothing_answers_after_the_stand_in_is_dropped() {
    let World { standin, http, .. } = World::start().await;
    let url = standin.url().to_owned();
    assert_eq!(http.get(format!("{url}/services/data")).send().await.unwrap().status(), 200);
    drop(standin);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(http.get(format!("{url}/services/data")).send().await.is_err());
}
