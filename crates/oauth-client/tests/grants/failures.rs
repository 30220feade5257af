//! What cannot be refreshed: for the moment, or until an administrator looks.

use std::time::Duration;

use oauth_client::{GrantError, Status};
use registry::{ClientAuth, Flow};

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
async fn a_server_that_fails_is_left_alone_for_three_seconds_by_every_instance() {
    for (status, body) in
        [(503, ""), (500, "<html>"), (429, ""), (400, r#"{"error":"rate_limit_exceeded"}"#), (302, "")]
    {
        let world = World::connected(State { instead: vec![(status, body.to_owned())], ..State::default() }).await;
        let instance = world.instance();
        for (instance, seconds) in [(&instance, 0), (&instance, 1), (&world.instance(), 2)] {
            let outcome = world.token_after(instance, seconds).await;
            assert!(matches!(outcome, Err(GrantError::Unavailable { .. })), "{status}: {outcome:?}");
        }
        assert_eq!(world.server.requests(), 1, "{status}");
        assert_eq!(world.token_after(&instance, 4).await.unwrap(), "00D!access-1", "{status}");
    }
}

#[tokio::test]
async fn a_server_that_closes_the_connection_without_an_answer_is_asked_again_within_five_seconds() {
    let world = World::connected(State { hangs_up: 1, ..State::default() }).await;
    let instance = world.instance();
    for seconds in [0, 1, 2] {
        let outcome = world.token_after(&instance, seconds).await;
        assert!(matches!(outcome, Err(GrantError::Unavailable { .. })), "{seconds}: {outcome:?}");
    }
    assert_eq!(world.server.requests(), 1);
    assert_eq!(world.token_after(&instance, 4).await.unwrap(), "00D!access-2");
}

#[tokio::test]
async fn a_server_that_may_still_be_at_work_on_a_refresh_token_is_not_asked_before_the_lease_is_over() {
    let world = World::connected(State { delay: Duration::from_secs(9), ..State::default() }).await;
    assert!(world.token(&world.instance()).await.is_err());
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.server.with(|state| state.delay = Duration::ZERO);
    for seconds in [9, 12, 14] {
        let outcome = world.token_after(&world.instance(), seconds).await;
        assert!(matches!(outcome, Err(GrantError::Unavailable { .. })), "{seconds}: {outcome:?}");
    }
    assert_eq!(world.server.requests(), 1);
    assert_eq!(world.token_after(&world.instance(), 18).await.unwrap(), "00D!access-2");
}

#[tokio::test]
async fn a_slow_server_is_asked_again_at_once_where_a_second_request_harms_nothing() {
    let mut world = World::new(State { delay: Duration::from_secs(9), ..State::default() }).await;
    world.connection.flow = Flow::ClientCredentials { client_auth: ClientAuth::Post };
    world.connection.secret_id = Some("northstar/connections/sales".to_owned());
    world.secrets().create("northstar/connections/sales", &"s3cret".to_owned().into()).await.unwrap();
    assert!(world.token(&world.instance()).await.is_err());
    world.server.with(|state| state.delay = Duration::ZERO);
    assert!(world.token_after(&world.instance(), 10).await.is_err());
    assert_eq!(world.server.requests(), 1);
    assert_eq!(world.token_after(&world.instance(), 12).await.unwrap(), "00D!access-1");
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
    let mut world = World::new(State::default()).await;
    world.connection.token_endpoint = "http://127.0.0.1:1/token".to_owned();
    world.connect("first").await;
    let error = world.token(&world.instance()).await.unwrap_err();
    assert_eq!(error.code(), "connection_unavailable");
    for url in ["http://169.254.169.254/token", "https://10.0.0.1/token", "ftp://example.com", ""] {
        world.connection.token_endpoint = url.to_owned();
        world.connect("first").await;
        let error = world.token_after(&world.instance(), 10).await.unwrap_err();
        assert_eq!(error.code(), "connection_misconfigured", "{url}: {error}");
        world.instance().try_again(&world.connection.name, world.now).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_with_too_few_scopes_is_no_more_used_until_the_connection_is_made_anew() {
    let world = World::connected(State::default()).await;
    let (instance, name) = (world.instance(), &world.connection.name);
    let refused = instance.access_token(&world.connection, world.now).await.unwrap();
    instance.needs_attention(name, &refused, "insufficient_scope", world.now).await.unwrap();
    for instance in [&instance, &world.instance()] {
        let error = world.token(instance).await.unwrap_err();
        assert_eq!(error.code(), "connection_needs_attention");
        assert!(error.to_string().ends_with("insufficient_scope"), "{error}");
        assert!(instance.expired(&world.connection, &refused, world.now).await.is_err());
    }
    assert_eq!(world.server.requests(), 1);

    world.connect("first").await;
    assert_eq!(world.token(&world.instance()).await.unwrap(), "00D!access-2");
    world.instance().needs_attention(name, &refused, "insufficient_scope", world.now).await.unwrap();
    assert!(world.token(&world.instance()).await.is_ok(), "it was another grant's token that was refused");
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
