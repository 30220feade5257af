//! What cannot be refreshed: for the moment, or until an administrator looks.

use std::time::Duration;

use oauth_client::{GrantError, Status};

use crate::authorization_server::State;
use crate::world::World;

#[tokio::test]
async fn a_refusal_marks_the_connection_and_is_not_repeated() {
    for code in ["invalid_grant", "invalid_client"] {
        let refusal = (400, format!(r#"{{"error":"{code}","error_description":"inactive user"}}"#));
        let world = World::connected(State { instead: vec![refusal], ..State::default() }).await;
        let instance = world.instance();
        for instance in [&instance, &instance, &world.instance()] {
            let error = world.token(instance).await.unwrap_err();
            assert_eq!(error.code(), "connection_needs_attention");
            let told = format!("the connection sales needs the attention of an administrator: {code} (inactive user)");
            assert_eq!(error.to_string(), told);
        }
        assert_eq!(world.server.requests(), 1);
        let status = instance.status(&world.connection.name, world.now).await.unwrap().unwrap();
        assert_eq!(status.status, Status::Attention);
        assert_eq!(status.reason.unwrap(), format!("{code} (inactive user)"));

        instance.try_again(&world.connection.name, world.now).await.unwrap();
        assert_eq!(world.token(&instance).await.unwrap(), "00D!access-1");
    }
}

#[tokio::test]
async fn a_server_that_fails_is_left_alone_for_five_seconds_by_every_instance() {
    for (status, body) in
        [(503, ""), (500, "<html>"), (429, ""), (400, r#"{"error":"rate_limit_exceeded"}"#), (302, "")]
    {
        let world = World::connected(State { instead: vec![(status, body.to_owned())], ..State::default() }).await;
        let instance = world.instance();
        for (instance, seconds) in [(&instance, 0), (&instance, 3), (&world.instance(), 4)] {
            let outcome = world.token_after(instance, seconds).await;
            assert!(matches!(outcome, Err(GrantError::Unavailable { .. })), "{status}: {outcome:?}");
        }
        assert_eq!(world.server.requests(), 1, "{status}");
        assert_eq!(world.token_after(&instance, 6).await.unwrap(), "00D!access-1", "{status}");
    }
}

#[tokio::test]
async fn a_server_that_may_still_be_at_work_is_not_asked_before_the_lease_is_over() {
    let world = World::connected(State { hangs_up: 1, ..State::default() }).await;
    let instance = world.instance();
    for seconds in [0, 6, 13] {
        let outcome = world.token_after(&instance, seconds).await;
        assert!(matches!(outcome, Err(GrantError::Unavailable { .. })), "{seconds}: {outcome:?}");
    }
    assert_eq!(world.server.requests(), 1);
    assert_eq!(world.token_after(&instance, 18).await.unwrap(), "00D!access-2");
}

#[tokio::test]
async fn a_server_that_is_too_slow_is_given_up_and_its_refresh_token_not_used_twice_at_once() {
    let world = World::connected(State { delay: Duration::from_secs(10), ..State::default() }).await;
    let start = std::time::Instant::now();
    let outcome = world.token(&world.instance()).await;
    assert!(matches!(outcome, Err(GrantError::Unavailable { .. })), "{outcome:?}");
    assert!((7..10).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert!(world.token(&world.instance()).await.is_err());
    assert_eq!(world.server.with(|state| (state.requests, state.overlaps)), (1, 0));
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_or_may_not_is_no_riddle() {
    let mut world = World::connected(State::default()).await;
    world.connection.token_endpoint = "http://127.0.0.1:1/token".to_owned();
    let error = world.token(&world.instance()).await.unwrap_err();
    assert_eq!(error.code(), "connection_unavailable");
    for url in ["http://169.254.169.254/token", "https://10.0.0.1/token", "ftp://example.com", ""] {
        world.connection.token_endpoint = url.to_owned();
        let error = world.token_after(&world.instance(), 10).await.unwrap_err();
        assert_eq!(error.code(), "connection_misconfigured", "{url}: {error}");
        world.instance().try_again(&world.connection.name, world.now).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_without_a_grant_says_so() {
    let world = World::new(State::default()).await;
    let error = world.token(&world.instance()).await.unwrap_err();
    assert_eq!(error.code(), "connection_not_connected");
    world.connect("first").await;
    let instance = world.instance();
    instance.remove(&world.connection.name, world.now).await.unwrap();
    assert_eq!(world.token(&instance).await.unwrap_err().code(), "connection_not_connected");
    assert!(instance.status(&world.connection.name, world.now).await.unwrap().is_none());
}
