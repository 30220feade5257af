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
    for (flow, secret) in [(credentials, None), (jwt, Some("no key".to_owned().into()))] {
        let world = world(flow, secret).await;
        let error = world.token(&world.instance()).await.unwrap_err();
        assert_eq!(error.code(), "connection_misconfigured", "{error}");
        assert_eq!(world.server.requests(), 0);
    }
}
