//! What is in an issued token (RFC 9068), checked without our own verifier.

use std::collections::HashSet;
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use black_box::{Server, shared};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation, decode, decode_header};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::answer::{Answer, demo, post_as};

/// Verifies a token as any resource server would: with the key that the JWKS serves under the token's `kid`.
async fn verified(server: &Server, token: &str) -> TokenData<Value> {
    let jwks: JwkSet = serde_json::from_str(&Answer::to(server.request("GET", "/.well-known/jwks.json")).await.body)
        .expect("a JWK set");
    let kid = decode_header(token).unwrap().kid.expect("a kid");
    let key = DecodingKey::from_jwk(jwks.find(&kid).expect("the key is published")).unwrap();
    decode(token, &key, &rules(server)).unwrap()
}

fn rules(server: &Server) -> Validation {
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    rules.set_issuer(&[&server.url]);
    rules.set_audience(&[format!("{}/mcp", server.url)]);
    rules.leeway = 0;
    rules
}

fn json_part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

fn jti(token: &str) -> String {
    json_part(token, 1)["jti"].as_str().unwrap().to_owned()
}

// AS-01, AS-03, AS-05: `assert_issued` looks at the cache headers and that there is no `refresh_token`, no `id_token`.
#[tokio::test]
async fn the_answer_has_four_members_and_nothing_else() {
    let server = shared();
    let answer = post_as(server, &demo(server), &[]).await;
    answer.assert_issued("a right request");
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["scope"]), (&json!("Bearer"), &json!("mcp.read")));
    assert!(body["expires_in"].is_u64() && body["access_token"].is_string());
    assert_eq!(answer.header("www-authenticate"), None);
    assert_eq!(answer.header("set-cookie"), None);
}

#[tokio::test]
async fn a_token_verifies_against_the_served_keys_and_has_every_claim_of_rfc_9068() {
    let server = shared();
    let (id, secret) = server.new_client(&[]);
    let before = registry::client::seconds(SystemTime::now());
    let answer = post_as(server, &(id.clone(), secret), &[]).await;
    let after = registry::client::seconds(SystemTime::now());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();

    let data = verified(server, &token).await;
    let header = json_part(&token, 0);
    assert_eq!(header, json!({ "typ": "at+jwt", "alg": "RS256", "kid": data.header.kid }));

    let mut claims = data.claims;
    let (iat, exp) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert!((before..=after).contains(&iat), "{iat}");
    assert_eq!(Some(exp - iat), answer.json()["expires_in"].as_u64());
    let jti = claims["jti"].as_str().unwrap();
    assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(jti).unwrap().len(), 16, "128 bits");
    for name in ["iat", "exp", "jti"] {
        claims.as_object_mut().unwrap().remove(name);
    }
    let expected = json!({
        "iss": server.url,
        "sub": format!("client:{id}"),
        "aud": format!("{}/mcp", server.url),
        "client_id": id,
        "scope": "mcp.read",
        "client_version": 1,
    });
    assert_eq!(claims, expected);
    assert!(token.len() < 2_048, "{} bytes", token.len());
}

// The check above is worth something only if it can say no.
#[tokio::test]
async fn a_token_that_was_changed_does_not_verify_against_the_served_keys() {
    let server = shared();
    let token = server.token().await;
    let jwks: Value = Answer::to(server.request("GET", "/.well-known/jwks.json")).await.json();
    let (n, e) = (jwks["keys"][0]["n"].as_str().unwrap(), jwks["keys"][0]["e"].as_str().unwrap());
    let key = DecodingKey::from_rsa_components(n, e).unwrap();
    decode::<Value>(&token, &key, &rules(server)).unwrap();

    let parts: Vec<&str> = token.split('.').collect();
    let mut claims = json_part(&token, 1);
    claims["scope"] = "mcp.write".into();
    let forged = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    for changed in [
        format!("{}.{forged}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(parts[2].len())),
    ] {
        assert!(decode::<Value>(&changed, &key, &rules(server)).is_err(), "{changed}");
    }
}

// AS-43
#[tokio::test]
async fn two_simultaneous_requests_get_two_tokens_and_both_work() {
    let server = shared();
    let (first, second) = tokio::join!(server.token(), server.token());
    assert_ne!(jti(&first), jti(&second));
    for token in [first, second] {
        let result = server.call(&token, "get_order_status", json!({ "order_id": "1001" })).await;
        assert_eq!(result["structuredContent"]["order_id"], "1001", "{result}");
    }
}

// AS-43
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tokens_have_a_thousand_ids() {
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        tasks.spawn(async {
            let mut ids = Vec::new();
            for _ in 0..50 {
                ids.push(jti(&shared().token().await));
            }
            ids
        });
    }
    let ids: HashSet<String> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(ids.len(), 1_000);
}
