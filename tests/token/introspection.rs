//! RFC 7662: a client asks about a token.

use black_box::answer::{Answer, basic, demo};
use black_box::forge::{self, Forge};
use black_box::{Server, shared};
use jsonwebtoken::Algorithm;
use local::Home;
use registry::{Client, ClientChange, ClientId, ClientStatus};
use serde_json::{Value, json};
use std::time::SystemTime;

use crate::revocation::{revoke, token_of};

const INACTIVE: &str = r#"{"active":false}"#;

/// What `/introspect` answers to a client about a token.
pub async fn introspect(server: &Server, client: &(String, String), token: &str) -> Answer {
    let form = [("client_id", client.0.as_str()), ("client_secret", &client.1), ("token", token)];
    let answer = Answer::to(server.request("POST", "/introspect").form(&form)).await;
    let headers = ["content-type", "cache-control", "pragma"].map(|name| answer.header(name));
    assert_eq!(headers, [Some("application/json"), Some("no-store"), Some("no-cache")]);
    answer
}

/// The member `active` of that answer.
pub async fn active(server: &Server, client: &(String, String), token: &str) -> Value {
    introspect(server, client, token).await.json()["active"].take()
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&forge::decode(token.split('.').nth(1).unwrap())).unwrap()
}

#[tokio::test]
async fn a_client_is_told_what_its_token_is() {
    let server = shared();
    let client = server.new_client(&[]);
    let token = token_of(server, &client).await;
    let answer = introspect(server, &client, &token).await;
    let claims = claims(&token);
    let expected = json!({
        "active": true,
        "scope": "mcp.read",
        "client_id": client.0,
        "sub": format!("client:{}", client.0),
        "aud": format!("{}/mcp", server.url),
        "iss": server.url,
        "exp": claims["exp"],
        "iat": claims["iat"],
        "jti": claims["jti"],
        "token_type": "Bearer",
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
    let in_header = server.request("POST", "/introspect").header("authorization", basic(&client.0, &client.1));
    let in_header =
        Answer::to(in_header.form(&[("token", token.as_str()), ("token_type_hint", "refresh_token")])).await;
    assert_eq!(in_header.json(), answer.json());
}

#[tokio::test]
async fn of_everything_else_only_that_it_is_not_active() {
    let server = shared();
    let (client, other) = (demo(server), server.new_client(&[]));
    let forge = Forge::with_key_of(server, Algorithm::RS256);
    let foreign_key = Forge::with_foreign_key(&server.url, forge.kid());
    let unknown_key = Forge::with_foreign_key(&server.url, "unknown");
    assert_eq!(active(server, &client, &forge.good()).await, Value::Bool(true), "the forge forges");
    let own = server.token().await;
    let now = forge::now();
    let revoked = server.token().await;
    revoke(server, &client, &revoked).await;
    for (what, token) in [
        ("revoked", revoked),
        ("another client's", token_of(server, &other).await),
        ("expired", forge.claims(json!({ "iat": now - 900, "exp": now }))),
        ("long expired", forge.claims(json!({ "iat": 1_000, "exp": 1_900 }))),
        ("not yet valid", forge.claim("nbf", json!(now + 60))),
        ("issued in the future", forge.claims(json!({ "iat": now + 60, "exp": now + 900 }))),
        ("living too long", forge.claim("exp", json!(now + 7_200))),
        ("of another issuer", forge.claim("iss", json!("https://a.example"))),
        ("without jti", forge.claim("jti", Value::Null)),
        ("without client_id", forge.claim("client_id", Value::Null)),
        ("of another type", forge.header("typ", json!("JWT"))),
        ("unsigned", forge.header("alg", json!("none"))),
        ("with an embedded key", forge.header("jwk", json!({}))),
        ("signed by another key", foreign_key.good()),
        ("signed by an unknown key", unknown_key.good()),
        ("cut off", own[..own.len() - 1].to_owned()),
        ("longer", format!("{own}A")),
        ("garbage", "x".to_owned()),
        ("structured garbage", "a.b.c".to_owned()),
        ("null", "bnVsbA.bnVsbA.x".to_owned()),
        ("not ASCII", "\u{e9}".to_owned()),
        ("the client's secret", client.1.clone()),
        ("its id", client.0.clone()),
    ] {
        let answer = introspect(server, &client, &token).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, INACTIVE), "{what}");
    }
}

#[tokio::test]
async fn a_request_without_one_token_is_malformed() {
    let server = shared();
    let client = server.new_client(&[]);
    let own = [("client_id", client.0.as_str()), ("client_secret", &client.1)];
    for parameters in [vec![], vec![("token", "")], vec![("token", "x"), ("token", "y")]] {
        let form = [&own, &parameters[..]].concat();
        let answer = Answer::to(server.request("POST", "/introspect").form(&form)).await;
        answer.assert_refused(&format!("{parameters:?}"), 400, "invalid_request");
    }
}

/// Changes a client as `northstar client update` does: what narrows it cuts its tokens.
async fn update(server: &Server, id: &str, change: ClientChange) -> Client {
    let open = Home::new(server.home()).open().await.unwrap();
    let earlier = open.registry.client_now(&ClientId::parse(id).unwrap()).await.unwrap().unwrap();
    let next = earlier.changed(change);
    let cut = earlier.is_narrowed_by(&next).then(|| open.revocations.cut_before(&next, SystemTime::now()));
    assert!(open.registry.replace_client(&earlier, &next, cut).await.unwrap());
    next
}

#[tokio::test]
async fn tokens_of_before_a_client_was_disabled_stay_inactive_when_it_is_enabled_again() {
    let server = shared();
    let (client, other) = (server.new_client(&[]), server.new_client(&[]));
    let (before, of_other) = (token_of(server, &client).await, token_of(server, &other).await);
    assert_eq!(active(server, &client, &before).await, Value::Bool(true));
    let status = |status| ClientChange { status: Some(status), ..ClientChange::default() };
    update(server, &client.0, status(ClientStatus::Disabled)).await;
    // The function may still remember the client as it was; the cut is read every time.
    let during = introspect(server, &client, &before).await;
    assert!(during.status == 401 || during.body == INACTIVE, "{during:?}");
    let enabled = update(server, &client.0, status(ClientStatus::Active)).await;
    assert_eq!(introspect(server, &client, &before).await.body, INACTIVE);
    assert_eq!(active(server, &other, &of_other).await, Value::Bool(true), "another client's");
    let forge = Forge::with_key_of(server, Algorithm::RS256);
    let issued_since = forge.claims(json!({ "client_id": client.0, "client_version": enabled.version }));
    assert_eq!(active(server, &client, &issued_since).await, Value::Bool(true));
}
