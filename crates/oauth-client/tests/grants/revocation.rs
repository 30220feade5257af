//! The end of a grant.

use oauth_client::{GrantError, Revocation};

use crate::authorization_server::State;
use crate::world::World;

async fn revoke(world: &World, url: Option<&str>) -> Result<Revocation, GrantError> {
    world.instance().revoke(&world.connection, url, world.now).await
}

async fn is_forgotten(world: &World) -> bool {
    world.instance().status(&world.connection.name, world.now).await.unwrap().is_none()
}

#[tokio::test]
async fn a_grant_is_revoked_by_its_refresh_token_and_forgotten() {
    let world = World::connected(State { rotates: true, ..State::default() }).await;
    let instance = world.instance();
    world.token(&instance).await.unwrap();
    let url = world.server.url.clone();
    assert_eq!(instance.revoke(&world.connection, Some(&url), world.now).await, Ok(Revocation::Revoked));
    assert_eq!(world.server.with(|state| state.revoked.clone()), ["refresh-1"]);
    let form = world.server.with(|state| state.forms[1].clone());
    assert_eq!((form["token_type_hint"].as_str(), form["client_id"].as_str()), ("refresh_token", "client"));
    assert_eq!(world.token(&instance).await.unwrap_err().code(), "connection_not_connected");
    assert_eq!(revoke(&world, Some(&url)).await, Ok(Revocation::NoGrant));
    assert_eq!(world.server.requests(), 2);
}

#[tokio::test]
async fn a_grant_is_forgotten_whatever_its_authorization_server_says() {
    for (status, body, said) in [
        (503, "", "the authorization server failed"),
        (400, r#"{"error":"invalid_client","error_description":"client secret invalid"}"#, {
            "invalid_client (client secret invalid)"
        }),
        (400, r#"{"error":"unsupported_token_type"}"#, "the authorization server refused for the moment"),
    ] {
        let world = World::connected(State { instead: vec![(status, body.to_owned())], ..State::default() }).await;
        let url = world.server.url.clone();
        assert_eq!(revoke(&world, Some(&url)).await, Ok(Revocation::NotRevoked(said.to_owned())));
        assert!(is_forgotten(&world).await, "{body}");
    }
    let world = World::connected(State::default()).await;
    assert_eq!(revoke(&world, None).await, Ok(Revocation::NoEndpoint));
    assert!(is_forgotten(&world).await);

    world.connect("first").await;
    let refused = revoke(&world, Some("https://10.0.0.1/revoke")).await.unwrap();
    assert_eq!(refused, Revocation::NotRevoked("the URL of its revocation endpoint is not allowed".to_owned()));
    assert!(is_forgotten(&world).await);
    assert_eq!(world.server.requests(), 0);
}

#[tokio::test]
async fn a_grant_of_an_earlier_registration_is_forgotten_and_told_to_nobody() {
    let mut world = World::connected(State::default()).await;
    world.connection.resource = Some("https://new.example.com/mcp".to_owned());
    let url = world.server.url.clone();
    let said = "the grant was made for an earlier registration";
    assert_eq!(revoke(&world, Some(&url)).await, Ok(Revocation::NotRevoked(said.to_owned())));
    assert!(is_forgotten(&world).await);
    assert_eq!(world.server.requests(), 0);
}

#[tokio::test]
async fn a_grant_that_does_not_open_is_forgotten() {
    let world = World::connected(State::default()).await;
    let mut item = world.item().await;
    item.remove("sealed");
    world.put_item(item).await;
    let url = world.server.url.clone();
    assert_eq!(revoke(&world, Some(&url)).await, Ok(Revocation::Unreadable));
    assert!(is_forgotten(&world).await);
    assert_eq!(world.server.requests(), 0);
}
