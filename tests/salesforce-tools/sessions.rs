//! Sessions that end, and who renews them.

use std::sync::Arc;

use black_box::instances::Instance;
use black_box::salesforce::{Grant, Setup, WRITE, World, call_event};
use salesforce_standin::{Fault, FaultKind, Options};
use serde_json::json;

const PROCESSES: usize = 4;
const CALLS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_with_an_expired_session_over_four_processes_are_one_refresh() {
    let options = Options { rotate_refresh_tokens: true, revoke_family_on_reuse: true, ..Options::default() };
    let world = World::start(Setup { options, grant: Grant::RefreshToken, ..Setup::default() }).await;
    let instances: Vec<_> =
        (0..PROCESSES).map(|_| Arc::new(Instance::start("an_instance_of_mcp", &world.server))).collect();
    let event = call_event(&world.server, WRITE, world.token(WRITE), "getOrganizationLimits", json!({}));
    for instance in &instances {
        assert_eq!(instance.call(&event).await.unwrap().code, None);
    }
    assert_eq!(world.standin.counters().token_refreshes(), 1, "the first call of all");

    for round in 2..=4 {
        world.standin.expire_sessions();
        // Long enough for every call to meet the refresh.
        let slow = FaultKind::Latency { ms: 400 };
        world.standin.inject(Fault::once("POST", "/services/oauth2/token", slow));
        let calls: Vec<_> = (0..CALLS)
            .map(|index| {
                let (instance, event) = (instances[index % PROCESSES].clone(), event.clone());
                tokio::spawn(async move { instance.call(&event).await.unwrap() })
            })
            .collect();
        for call in calls {
            let answer = call.await.unwrap();
            assert!(answer.code.is_none() && answer.content["records"].is_array(), "{answer:?}");
        }
        let counters = world.standin.counters();
        assert_eq!((counters.token_refreshes(), counters.reused_refresh_tokens), (round, 0));
        assert_eq!(counters.most_refreshes_at_once, 1);
        world.standin.clear_faults();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_grant_needs_the_administrator_and_is_not_asked_for_again() {
    let world = World::start(Setup { grant: Grant::RefreshToken, ..Setup::default() }).await;
    world.answer("getOrganizationLimits", json!({})).await;
    world.standin.revoke_refresh_tokens();
    world.standin.expire_sessions();
    for _ in 0..3 {
        let answer = world.call("getOrganizationLimits", json!({})).await;
        assert_eq!(answer.code.as_deref(), Some("connection_needs_attention"), "{answer:?}");
        assert!(answer.text.contains("administrator"), "{answer:?}");
    }
    let requests = world.standin.counters().requests("POST", "/services/oauth2/token");
    assert_eq!(requests, 2, "the first grant, and the refusal");
}
