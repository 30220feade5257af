//! RFC 7009: a client gives back a token. What happens to it then is in `tests/mcp/revocation.rs`.

use black_box::answer::{Answer, basic, demo};
use black_box::forge::Forge;
use black_box::{Server, shared};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::introspection::{active, introspect};

/// What `/revoke` answers to a client about a token.
pub async fn revoke(server: &Server, client: &(String, String), token: &str) -> Answer {
    revoke_with(server, client, &[("token", token)]).await
}

async fn revoke_with(server: &Server, client: &(String, String), parameters: &[(&str, &str)]) -> Answer {
    let own = [("client_id", client.0.as_str()), ("client_secret", &client.1)];
    Answer::to(server.request("POST", "/revoke").form(&[&own, parameters].concat())).await
}

#[track_caller]
fn assert_done(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{what}");
    let headers = ["cache-control", "pragma", "www-authenticate"].map(|name| answer.header(name));
    assert_eq!(headers, [Some("no-store"), Some("no-cache"), None], "{what}");
}

/// A token of a client.
pub async fn token_of(server: &Server, client: &(String, String)) -> String {
    let answer = crate::answer::post_as(server, client, &[]).await;
    answer.assert_issued("a token");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_client_revokes_a_token_of_its_own_and_no_other_of_them() {
    let server = shared();
    let client = server.new_client(&[]);
    let [revoked, kept] = [token_of(server, &client).await, token_of(server, &client).await];
    assert_done(&revoke(server, &client, &revoked).await, "revoked");
    assert_eq!(active(server, &client, &revoked).await, Value::Bool(false));
    assert_eq!(active(server, &client, &kept).await, Value::Bool(true));
    assert_done(&revoke(server, &client, &revoked).await, "revoked again");
}

#[tokio::test]
async fn the_secret_may_be_in_the_header_and_any_hint_is_ignored() {
    let server = shared();
    let client = server.new_client(&[]);
    for hint in ["access_token", "refresh_token", "nonsense", ""] {
        let token = token_of(server, &client).await;
        let request = server.request("POST", "/revoke").header("authorization", basic(&client.0, &client.1));
        let answer = Answer::to(request.form(&[("token", token.as_str()), ("token_type_hint", hint)])).await;
        assert_done(&answer, hint);
        assert_eq!(active(server, &client, &token).await, Value::Bool(false), "{hint}");
    }
}

#[tokio::test]
async fn what_is_no_token_of_the_client_is_answered_alike_and_stays_as_it_is() {
    let server = shared();
    let (client, other) = (server.new_client(&[]), server.new_client(&[]));
    let of_other = token_of(server, &other).await;
    let own = token_of(server, &client).await;
    let forge = Forge::with_key_of(server, Algorithm::RS256);
    let foreign_key = Forge::with_foreign_key(&server.url, forge.kid());
    let unknown_key = Forge::with_foreign_key(&server.url, "unknown");
    let about_client = json!({ "client_id": client.0, "sub": format!("client:{}", client.0) });
    let mut expired = about_client.clone();
    (expired["iat"], expired["exp"]) = (json!(1_000_000), json!(1_000_900));
    let expected = revoke(server, &client, &own).await.without_date_and_id();
    for (what, token) in [
        ("another client's", of_other.clone()),
        ("expired", forge.claims(expired)),
        ("of another issuer", forge.claims(json!({ "iss": "https://a.example", "client_id": client.0 }))),
        ("signed by another key", foreign_key.claims(about_client.clone())),
        ("signed by an unknown key", unknown_key.claims(about_client)),
        ("cut off", own[..own.len() - 1].to_owned()),
        ("garbage", "x".to_owned()),
        ("structured garbage", "a.b.c".to_owned()),
        ("empty objects", "e30.e30.e30".to_owned()),
        ("the client's secret", client.1.clone()),
        ("not ASCII", "\u{e9}\0\u{1f511}".to_owned()),
        ("long", "x".repeat(4_096)),
    ] {
        let answer = revoke(server, &client, &token).await;
        assert_done(&answer, what);
        assert_eq!(answer.without_date_and_id(), expected, "{what}");
    }
    assert_eq!(active(server, &other, &of_other).await, Value::Bool(true), "another client's stays active");
}

#[tokio::test]
async fn a_request_without_one_token_is_malformed() {
    let server = shared();
    let client = server.new_client(&[]);
    let token = token_of(server, &client).await;
    for parameters in [
        vec![],
        vec![("token", "")],
        vec![("Token", token.as_str())],
        vec![("access_token", &token)],
        vec![("token", &token), ("token", &token)],
        vec![("token", &token), ("token", "")],
        vec![("token", &"x".repeat(4_097))],
    ] {
        let answer = revoke_with(server, &client, &parameters).await;
        answer.assert_refused(&format!("{parameters:?}"), 400, "invalid_request");
    }
    let in_query = server.request("POST", &format!("/revoke?token={token}"));
    let own = [("client_id", client.0.as_str()), ("client_secret", &client.1)];
    Answer::to(in_query.form(&own)).await.assert_refused("in the query", 400, "invalid_request");
    let json = server.request("POST", "/revoke").json(&json!({ "token": token }));
    Answer::to(json).await.assert_refused("JSON", 400, "invalid_request");
    assert_eq!(active(server, &client, &token).await, Value::Bool(true));
}

#[tokio::test]
async fn whoever_does_not_prove_who_it_is_revokes_nothing_and_learns_nothing() {
    let server = shared();
    let client = server.new_client(&[]);
    let disabled = server.new_client(&[]);
    let token = token_of(server, &client).await;
    server.json_command(&["client", "disable", &disabled.0]);
    for path in ["/revoke", "/introspect"] {
        for (what, form) in [
            ("no credentials", vec![("token", token.as_str())]),
            ("no secret", vec![("token", &token), ("client_id", &client.0)]),
            ("a wrong secret", vec![("token", &token), ("client_id", &client.0), ("client_secret", "x")]),
            ("an unknown client", vec![("token", &token), ("client_id", "nobody"), ("client_secret", "x")]),
            ("disabled", vec![("token", &token), ("client_id", &disabled.0), ("client_secret", &disabled.1)]),
            ("no token either", vec![("client_id", &client.0), ("client_secret", "x")]),
        ] {
            let answer = Answer::to(server.request("POST", path).form(&form)).await;
            answer.assert_refused(what, 401, "invalid_client");
        }
        let bearer = server.request("POST", path).bearer_auth(&token).form(&[("token", &token)]);
        Answer::to(bearer).await.assert_refused("its own bearer", 401, "invalid_client");
        let twice = server.request("POST", path).header("authorization", basic(&client.0, &client.1));
        let form = [("token", token.as_str()), ("client_secret", &client.1)];
        Answer::to(twice.form(&form)).await.assert_refused("credentials twice", 400, "invalid_request");
    }
    assert_eq!(active(server, &client, &token).await, Value::Bool(true));
}

#[tokio::test]
async fn other_methods_are_not_allowed_and_pages_of_other_origins_learn_nothing() {
    let server = shared();
    for path in ["/revoke", "/introspect"] {
        for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let request = server.request(method, &format!("{path}?token=x")).header("origin", "https://a.example");
            let answer = Answer::to(request).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method} {path}");
            assert_eq!(answer.header("access-control-allow-origin"), None, "{method} {path}");
            if method != "HEAD" {
                answer.assert_refused(method, 405, "method_not_allowed");
            }
        }
    }
}

#[tokio::test]
async fn a_token_just_past_its_expiry_is_revoked_all_the_same_for_clocks_differ() {
    let server = Server::start(&[]);
    let forge = Forge::with_key_of(&server, Algorithm::RS256);
    let now = black_box::forge::now();
    let token = forge.claims(json!({ "iat": now - 900, "exp": now - 5, "jti": "late" }));
    assert_eq!(
        server.mcp(&token).body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).send().await.unwrap().status(),
        200
    );
    assert_done(&revoke(&server, &demo(&server), &token).await, "late");
    let open = local::Home::new(server.home()).open().await.unwrap();
    let revoked = open.revocations.list_now(std::time::SystemTime::now()).await.unwrap();
    let claims = token.split('.').nth(1).map(black_box::forge::decode).unwrap();
    assert!(revoked.refuses(&serde_json::from_slice(&claims).unwrap()));
    assert_eq!(introspect(&server, &demo(&server), &token).await.json(), json!({ "active": false }), "it has expired");
}
