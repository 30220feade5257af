//! The token endpoint.

use black_box::key_pair::KeyPair;
use jsonwebtoken::{Algorithm, Header};
use reqwest::StatusCode;
use salesforce_standin::{ConnectedApp, Options, USERNAME};
use serde_json::{Value, json};

use crate::{World, answer, code};

async fn token(world: &World, form: &[(&str, &str)]) -> (StatusCode, Value) {
    answer(world.http.post(format!("{}/services/oauth2/token", world.standin.url())).form(form)).await
}

fn refresh<'a>(app: &'a ConnectedApp, token: &'a str) -> [(&'static str, &'a str); 4] {
    [
        ("grant_type", "refresh_token"),
        ("client_id", &app.client_id),
        ("client_secret", &app.client_secret),
        ("refresh_token", token),
    ]
}

#[tokio::test]
async fn a_refresh_gives_a_session_and_no_refresh_token() {
    let mut world = World::start().await;
    let app = ConnectedApp::default();
    let (status, granted) = token(&world, &refresh(&app, &app.refresh_token)).await;
    assert_eq!((status.as_u16(), &granted["instance_url"]), (200, &json!(world.standin.url())));
    assert_eq!((granted.get("refresh_token"), granted.get("expires_in")), (None, None));
    world.token = granted["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.get("/limits").await.0, 200);
    assert_eq!(world.get("/services/oauth2/userinfo").await.1["preferred_username"], USERNAME);
    let identity = granted["id"].as_str().unwrap().strip_prefix(world.standin.url()).unwrap().to_owned();
    let url = format!("{}{identity}", world.standin.url());
    assert_eq!(answer(world.http.get(url).bearer_auth(&world.token)).await.1["username"], USERNAME);
    assert_eq!(world.standin.counters().token_refreshes(), 1);

    let revoke = world.http.post(format!("{}/services/oauth2/revoke", world.standin.url()));
    assert_eq!(answer(revoke.form(&[("token", &app.refresh_token)])).await.0, 200);
    assert_eq!(code(&world.get("/limits").await), (401, "INVALID_SESSION_ID"));
    assert_eq!(token(&world, &refresh(&app, &app.refresh_token)).await.1["error"], "invalid_grant");
}

#[tokio::test]
async fn a_rotated_refresh_token_dies_and_may_take_its_family_along() {
    for revoke_family_on_reuse in [false, true] {
        let options = Options { rotate_refresh_tokens: true, revoke_family_on_reuse, ..Options::default() };
        let world = World::with(options).await;
        let app = ConnectedApp::default();
        let (_, granted) = token(&world, &refresh(&app, &app.refresh_token)).await;
        let new = granted["refresh_token"].as_str().unwrap();
        assert_eq!(world.standin.refresh_tokens(), [new]);
        let (status, refused) = token(&world, &refresh(&app, &app.refresh_token)).await;
        assert_eq!((status.as_u16(), &refused["error"]), (400, &json!("invalid_grant")));
        assert_eq!(token(&world, &refresh(&app, new)).await.0.is_success(), !revoke_family_on_reuse);
        assert_eq!(world.standin.counters().reused_refresh_tokens, 1);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_token_request_is_said() {
    let world = World::start().await;
    let app = ConnectedApp::default();
    let client = [("client_id", app.client_id.as_str()), ("client_secret", app.client_secret.as_str())];
    for (form, expected) in [
        (vec![], "invalid_request"),
        (vec![("grant_type", "password")], "unsupported_grant_type"),
        (vec![("grant_type", "client_credentials")], "invalid_request"),
        (vec![("grant_type", "client_credentials"), ("client_id", "other")], "invalid_client_id"),
        (vec![("grant_type", "client_credentials"), client[0]], "invalid_client"),
        (vec![("grant_type", "client_credentials"), client[0], ("client_secret", "wrong")], "invalid_client"),
        (vec![("grant_type", "refresh_token"), client[0], ("refresh_token", "wrong")], "invalid_grant"),
    ] {
        let (status, refused) = token(&world, &form).await;
        assert_eq!((status.as_u16(), refused["error"].as_str()), (400, Some(expected)), "{form:?}");
    }
    assert!(token(&world, &[("grant_type", "client_credentials"), client[0], client[1]]).await.0.is_success());
    let basic = world.http.post(format!("{}/services/oauth2/token", world.standin.url()));
    let basic =
        basic.basic_auth(&app.client_id, Some(&app.client_secret)).form(&[("grant_type", "client_credentials")]);
    assert!(answer(basic).await.0.is_success());
}

#[tokio::test]
async fn an_assertion_is_checked_claim_by_claim() {
    let (key, other) = (KeyPair::rsa(Algorithm::RS256), KeyPair::rsa(Algorithm::RS256));
    let jwt_public_key = Some(rcgen::KeyPair::from_pem(&key.pem).unwrap().public_key_pem());
    let app = ConnectedApp { jwt_public_key, ..ConnectedApp::default() };
    let world = World::with(Options { connected_app: app.clone(), ..Options::default() }).await;
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let good =
        json!({ "iss": app.client_id, "sub": USERNAME, "aud": "https://login.salesforce.com", "exp": now + 180 });
    for (claim, value, expected) in [
        ("iss", json!("other"), Some("client identifier invalid")),
        ("sub", json!("nobody@northstar.example"), Some("user hasn't approved this consumer")),
        ("aud", json!("https://login.example.com"), Some("audience is invalid")),
        ("aud", json!(world.standin.url()), None),
        ("exp", json!(now - 1), Some("invalid assertion")),
        ("exp", json!(now + 3_600), Some("invalid assertion")),
        ("exp", json!(now + 180), None),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        assert_eq!(by_assertion(&world, &key, &claims).await.as_deref(), expected, "{claims}");
    }
    assert_eq!(by_assertion(&world, &other, &good).await.as_deref(), Some("invalid assertion"));
}

/// The description of the refusal, if it is one.
async fn by_assertion(world: &World, key: &KeyPair, claims: &Value) -> Option<String> {
    let signing = jsonwebtoken::EncodingKey::from_rsa_pem(key.pem.as_bytes()).unwrap();
    let assertion = jsonwebtoken::encode(&Header::new(Algorithm::RS256), claims, &signing).unwrap();
    let grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let (_, answer) = token(world, &[("grant_type", grant_type), ("assertion", &assertion)]).await;
    answer["error_description"].as_str().map(str::to_owned)
}
