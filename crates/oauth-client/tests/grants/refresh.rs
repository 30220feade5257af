//! One refresh at a time, and what it brings is kept.

use std::time::Duration;

use futures_util::future::join_all;
use oauth_client::{GrantError, Status};

use crate::authorization_server::State;
use crate::world::{World, text};

#[tokio::test]
async fn a_token_is_asked_for_once_and_then_remembered_by_every_instance() {
    let world = World::connected(State::default()).await;
    let (first, second) = (world.instance(), world.instance());
    for instance in [&first, &first, &second] {
        assert_eq!(world.token(instance).await.unwrap(), "00D!access-1");
    }
    assert_eq!(world.server.requests(), 1);
    let status = first.status(&world.connection.name, world.now).await.unwrap().unwrap();
    assert_eq!(status.status, Status::Ok);
    assert_eq!(status.identity.unwrap(), "https://login.salesforce.com/id/00D000000000001AAA/005000000000001AAA");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_calls_whose_token_was_refused_at_four_instances_make_one_refresh() {
    let mut upstream = World::new(State { refresh_token: "first".to_owned(), rotates: true, ..State::default() }).await;
    upstream.connection = upstream.upstream("reads");
    upstream.connect("first").await;
    for world in [World::connected(State { rotates: true, ..State::default() }).await, upstream] {
        fifty_calls_make_one_refresh(&world).await;
    }
}

async fn fifty_calls_make_one_refresh(world: &World) {
    let instances = [world.instance(), world.instance(), world.instance(), world.instance()];
    let mut refused = Vec::new();
    for instance in &instances {
        refused.push(instance.access_token(&world.connection, world.now).await.unwrap());
    }
    world.server.with(|state| state.delay = Duration::from_millis(300));
    let calls = (0..50).map(|call| instances[call % 4].expired(&world.connection, &refused[call % 4], world.now));
    for token in join_all(calls).await {
        assert_eq!(text(&token.unwrap()), "00D!access-2");
    }
    let (requests, overlaps) = world.server.with(|state| (state.requests, state.overlaps));
    assert_eq!((requests, overlaps), (2, 0));
}

#[tokio::test]
async fn a_rotated_refresh_token_is_used_for_the_next_refresh_by_whoever_does_it() {
    let world = World::connected(State { rotates: true, expires_in: Some(600), ..State::default() }).await;
    for round in 1..=5 {
        let token = world.token_after(&world.instance(), round * 601).await.unwrap();
        assert_eq!(token, format!("00D!access-{round}"));
    }
    let used =
        world.server.with(|state| state.forms.iter().map(|form| form["refresh_token"].clone()).collect::<Vec<_>>());
    assert_eq!(used, ["first", "refresh-1", "refresh-2", "refresh-3", "refresh-4"]);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    for (life, kept, renewed) in [(900, 809, 811), (7_200, 6_479, 6_481), (40, 19, 21)] {
        let world = World::connected(State { expires_in: Some(life), ..State::default() }).await;
        let instance = world.instance();
        assert_eq!(world.token(&instance).await.unwrap(), "00D!access-1");
        assert_eq!(world.token_after(&instance, kept).await.unwrap(), "00D!access-1", "{life}");
        assert_eq!(world.token_after(&instance, renewed).await.unwrap(), "00D!access-2", "{life}");
    }
}

#[tokio::test]
async fn a_token_whose_end_nobody_knows_is_used_until_it_is_refused() {
    let world = World::connected(State::default()).await;
    let instance = world.instance();
    for seconds in [0, 3_600, 7_300, 86_400] {
        assert_eq!(world.token_after(&instance, seconds).await.unwrap(), "00D!access-1");
    }
    let refused = instance.access_token(&world.connection, world.now).await.unwrap();
    let other = instance.expired(&world.connection, &refused, world.after(86_400)).await.unwrap();
    assert_eq!((text(&other).as_str(), world.server.requests()), ("00D!access-2", 2));
}

#[tokio::test]
async fn a_token_that_is_about_to_end_is_used_when_it_cannot_be_renewed_or_is_being_renewed() {
    let world = World::connected(State { expires_in: Some(900), ..State::default() }).await;
    let (first, second) = (world.instance(), world.instance());
    assert_eq!(world.token(&first).await.unwrap(), "00D!access-1");
    world.server.with(|state| state.instead = vec![(503, String::new())]);
    assert_eq!(world.token_after(&first, 850).await.unwrap(), "00D!access-1");
    assert_eq!(world.token_after(&second, 850).await.unwrap(), "00D!access-1", "the server is left alone");
    assert_eq!(world.server.requests(), 2);

    world.server.with(|state| state.delay = Duration::from_millis(500));
    let slow = world.token_after(&first, 860);
    let quick = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.token_after(&second, 860).await
    };
    let (slow, quick) = tokio::join!(slow, quick);
    assert_eq!((slow.unwrap(), quick.unwrap()), ("00D!access-2".to_owned(), "00D!access-1".to_owned()));
}

#[tokio::test]
async fn a_refresh_that_nobody_waits_for_any_more_is_still_kept() {
    let world = World::connected(State { rotates: true, delay: Duration::from_millis(300), ..State::default() }).await;
    let instance = world.instance();
    let given_up = tokio::time::timeout(Duration::from_millis(100), world.token(&instance)).await;
    assert!(given_up.is_err());
    assert_eq!(world.token(&world.instance()).await.unwrap(), "00D!access-1");
    assert_eq!(world.server.requests(), 1);
}

#[tokio::test]
async fn a_lease_of_an_instance_that_was_killed_ends_by_itself() {
    let world = World::connected(State::default()).await;
    let mut item = world.item().await;
    let now = world.now.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    item.insert("lease".to_owned(), lease(now + 2_500));
    world.put_item(item).await;
    let (first, second) = (world.instance(), world.instance());
    let (first, second) = tokio::join!(world.token(&first), world.token(&second));
    assert_eq!((first.unwrap(), second.unwrap()), ("00D!access-1".to_owned(), "00D!access-1".to_owned()));
    assert_eq!(world.server.requests(), 1);
}

#[tokio::test]
async fn who_waits_too_long_for_another_instance_says_so() {
    let world = World::connected(State::default()).await;
    let mut item = world.item().await;
    let now = world.now.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    item.insert("lease".to_owned(), lease(now + 60_000));
    world.put_item(item).await;
    let start = std::time::Instant::now();
    let instance = world.instance();
    let outcomes = join_all((0..10).map(|_| world.token(&instance))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(GrantError::Unavailable { .. }))), "{outcomes:?}");
    assert!((7..11).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert_eq!(world.server.requests(), 0);
}

fn lease(until: u128) -> aws_sdk_dynamodb::types::AttributeValue {
    use aws_sdk_dynamodb::types::AttributeValue;
    AttributeValue::M(std::collections::HashMap::from([
        ("owner".to_owned(), AttributeValue::S("killed".to_owned())),
        ("until".to_owned(), AttributeValue::N(until.to_string())),
    ]))
}

#[tokio::test]
async fn a_killed_instance_whose_answer_is_lost_leaves_a_connection_that_says_that_it_needs_the_admin() {
    let world = World::connected(State { rotates: true, ..State::default() }).await;
    // Between the answer and the record: the authorization server has rotated, the record has not.
    world.server.with(|state| state.refresh_token = "lost".to_owned());
    for _ in 0..3 {
        let outcome = world.token(&world.instance()).await;
        assert!(matches!(outcome, Err(GrantError::NeedsAttention { .. })), "{outcome:?}");
    }
    assert_eq!(world.server.requests(), 1, "it is not asked again");
    world.connect("lost").await;
    assert_eq!(world.token(&world.instance()).await.unwrap(), "00D!access-1");
}

/// Instances that are killed at random instants around a refresh: their tasks end where they are. `SEED` repeats a run.
#[test]
fn after_instances_that_were_killed_the_connection_works_or_says_that_it_needs_the_admin() {
    let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let outside = tokio::runtime::Runtime::new().unwrap();
    let state = State { rotates: true, delay: Duration::from_millis(20), ..State::default() };
    let mut world = outside.block_on(World::connected(State { expires_in: Some(60), ..state }));
    let mut needed_the_admin = 0;
    for _ in 0..25 {
        // Every lease, back-off and access token of the round before is over.
        world.now += Duration::from_secs(120);
        let doomed = tokio::runtime::Runtime::new().unwrap();
        for _ in 0..3 {
            let (instance, connection, now) =
                (outside.block_on(async { world.instance() }), world.connection.clone(), world.now);
            doomed.spawn(async move { instance.access_token(&connection, now).await });
        }
        std::thread::sleep(Duration::from_micros(random.u64(0..60_000)));
        doomed.shutdown_background();
        // The authorization server ends what it is at.
        std::thread::sleep(Duration::from_millis(60));
        world.now += Duration::from_secs(120);
        match outside.block_on(world.token(&world.instance())) {
            Ok(_) => {}
            Err(GrantError::NeedsAttention { .. }) => {
                needed_the_admin += 1;
                let fresh = world.server.with(|state| state.refresh_token.clone());
                outside.block_on(world.connect(&fresh));
            }
            Err(error) => panic!("{error}"),
        }
    }
    let (overlaps, issued) = world.server.with(|state| (state.overlaps, state.issued));
    println!("{issued} refreshes, {needed_the_admin} of 25 rounds needed the admin");
    assert_eq!(overlaps, 0);
    assert!(needed_the_admin < 25);
}
