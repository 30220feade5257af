//! Flows without a refresh token: the first request makes the record.

use access_token::SigningKey;
use registry::{ClientAuth, Flow};
use secrecy::SecretString;

use crate::authorization_server::State;
use crate::world::World;

async fn world(flow: Flow, secret: Option<SecretString>) -> World {
    let mut world = World::new(State { expires_in: Some(900), ..State::default() }).await;
    world.connection.flow = flow;
    world.connection.secret_id = Some("northstar/connections/sales".to_owned());
    if let Some(secret) = secret {
        world.secrets().create("northstar/connections/sales", &secret).await.unwrap();
    }
    world
}

#[tokio::test]
async fn client_credentials_go_into_the_body_or_the_header() {
    for (client_auth, in_body) in [(ClientAuth::Post, true), (ClientAuth::Basic, false)] {
        let world = world(Flow::ClientCredentials { client_auth }, Some("s3cret".to_owned().into())).await;
        let (first, second) = (world.instance(), world.instance());
        let (a, b) = tokio::join!(world.token(&first), world.token(&second));
        assert_eq!((a.unwrap(), b.unwrap()), ("00D!access-1".to_owned(), "00D!access-1".to_owned()));
        assert_eq!(world.token_after(&first, 1_000).await.unwrap(), "00D!access-2");
        let (form, authorization) =
            world.server.with(|state| (state.forms[0].clone(), state.authorizations[0].clone()));
        assert_eq!(form["grant_type"], "client_credentials");
        assert_eq!(form.get("client_secret").is_some_and(|secret| secret == "s3cret"), in_body);
        assert_eq!(authorization.is_some(), !in_body);
    }
}

#[tokio::test]
async fn a_private_key_authenticates_the_client_in_place_of_a_secret() {
    for flow in [
        Flow::ClientCredentials { client_auth: ClientAuth::PrivateKeyJwt },
        Flow::RefreshToken { client_auth: ClientAuth::PrivateKeyJwt },
    ] {
        let world = world(flow, Some(SigningKey::generate_pem().unwrap().into())).await;
        world.server.with(|state| state.refresh_token = "first".to_owned());
        world.connect("first").await;
        assert_eq!(world.token(&world.instance()).await.unwrap(), "00D!access-1");
        let form = world.server.with(|state| state.forms[0].clone());
        assert_eq!(form["client_id"], "client");
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        assert_eq!(form["client_assertion"].split('.').count(), 3);
        assert!(!form.contains_key("client_secret"));
    }
}

#[tokio::test]
async fn a_resource_goes_with_every_token_request_and_scopes_with_client_credentials_alone() {
    for (flow, scope) in [
        (Flow::ClientCredentials { client_auth: ClientAuth::Post }, Some("mcp_api more")),
        (Flow::RefreshToken { client_auth: ClientAuth::Post }, None),
    ] {
        let mut world = world(flow, Some("s3cret".to_owned().into())).await;
        world.connection.resource = Some("https://mcp.example.com/mcp".to_owned());
        world.connection.scopes = vec!["mcp_api".to_owned(), "more".to_owned()];
        world.server.with(|state| state.refresh_token = "first".to_owned());
        world.connect("first").await;
        world.token(&world.instance()).await.unwrap();
        let form = world.server.with(|state| state.forms[0].clone());
        assert_eq!(form["resource"], "https://mcp.example.com/mcp");
        assert_eq!(form.get("scope").map(String::as_str), scope);
    }
}

#[tokio::test]
async fn an_assertion_is_signed_anew_for_every_token() {
    let flow =
        Flow::JwtBearer { subject: "user@example.com".to_owned(), audience: "https://login.salesforce.com".to_owned() };
    let world = world(flow, Some(SigningKey::generate_pem().unwrap().into())).await;
    let instance = world.instance();
    assert_eq!(world.token(&instance).await.unwrap(), "00D!access-1");
    assert_eq!(world.token_after(&instance, 1_000).await.unwrap(), "00D!access-2");
    let forms = world.server.with(|state| state.forms.clone());
    assert_eq!(forms[0]["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert_ne!(forms[0]["assertion"], forms[1]["assertion"]);
}

#[tokio::test]
async fn a_secret_that_is_missing_or_of_another_kind_is_told_before_anything_is_sent() {
    let credentials = Flow::ClientCredentials { client_auth: ClientAuth::Post };
    let jwt = Flow::JwtBearer { subject: "user".to_owned(), audience: "aud".to_owned() };
    let private_key = Flow::ClientCredentials { client_auth: ClientAuth::PrivateKeyJwt };
    for (flow, secret) in
        [(credentials, None), (jwt, Some("no key".to_owned().into())), (private_key, Some("no key".to_owned().into()))]
    {
        let world = world(flow, secret).await;
        let error = world.token(&world.instance()).await.unwrap_err();
        assert_eq!(error.code(), "connection_misconfigured", "{error}");
        assert_eq!(world.server.requests(), 0);
    }
}
