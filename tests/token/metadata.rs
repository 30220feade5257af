//! What the authorization server says of itself (RFC 8414, RFC 9728), and its public keys (RFC 7517).

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use black_box::{Server, command, shared};
use local::Home;
use registry::PublishedKey;
use registry::client::seconds;
use serde_json::{Value, json};

use crate::answer::{Answer, demo, post_as, raw};

const METADATA: &str = "/.well-known/oauth-authorization-server";
const JWKS: &str = "/.well-known/jwks.json";
const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const RESOURCE_OF_MCP: &str = "/.well-known/oauth-protected-resource/mcp";
const DOCUMENTS: [&str; 4] = [METADATA, JWKS, RESOURCE, RESOURCE_OF_MCP];

async fn get(server: &Server, path: &str) -> Answer {
    Answer::to(server.request("GET", path)).await
}

// MD-01, MD-03, MD-04, MD-05, MD-07: the whole document, so nothing is in it that is not served. The one empty array is
// the one that RFC 8414 requires.
#[tokio::test]
async fn the_metadata_says_what_is_served_and_no_more() {
    let server = Server::start(&["--public-url", "https://mcp.example.com"]);
    let answer = get(&server, METADATA).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    insta::assert_json_snapshot!(answer.json(), @r#"
    {
      "issuer": "https://mcp.example.com",
      "authorization_endpoint": "https://mcp.example.com/authorize",
      "token_endpoint": "https://mcp.example.com/token",
      "jwks_uri": "https://mcp.example.com/.well-known/jwks.json",
      "response_types_supported": [],
      "grant_types_supported": [
        "client_credentials"
      ],
      "token_endpoint_auth_methods_supported": [
        "client_secret_post",
        "client_secret_basic",
        "private_key_jwt"
      ],
      "token_endpoint_auth_signing_alg_values_supported": [
        "RS256",
        "PS256",
        "ES256",
        "EdDSA"
      ],
      "revocation_endpoint": "https://mcp.example.com/revoke",
      "revocation_endpoint_auth_methods_supported": [
        "client_secret_post",
        "client_secret_basic",
        "private_key_jwt"
      ],
      "revocation_endpoint_auth_signing_alg_values_supported": [
        "RS256",
        "PS256",
        "ES256",
        "EdDSA"
      ],
      "introspection_endpoint": "https://mcp.example.com/introspect",
      "introspection_endpoint_auth_methods_supported": [
        "client_secret_post",
        "client_secret_basic",
        "private_key_jwt"
      ],
      "introspection_endpoint_auth_signing_alg_values_supported": [
        "RS256",
        "PS256",
        "ES256",
        "EdDSA"
      ],
      "scopes_supported": [
        "mcp.read",
        "mcp.write"
      ]
    }
    "#);
}

// MD-01
#[tokio::test]
async fn the_issuer_is_the_public_url_and_the_issuer_of_the_tokens() {
    let server = shared();
    let answer = get(server, METADATA).await;
    assert_eq!(answer.json()["issuer"], server.url.as_str());
    let token = server.token().await;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], answer.json()["issuer"]);
}

// MD-01, MD-02: an issuer with a path would need its metadata in another place, so there is none.
#[tokio::test]
async fn an_issuer_that_is_more_than_scheme_and_host_does_not_start() {
    let home = tempfile::tempdir().unwrap();
    for public_url in [
        "https://mcp.example.com/t1",
        "https://mcp.example.com/",
        "https://mcp.example.com?x",
        "https://mcp.example.com#x",
        "http://mcp.example.com",
        "mcp.example.com",
    ] {
        let output = command(home.path(), &["serve", "--port", "0", "--public-url", public_url]);
        assert!(!output.status.success(), "{public_url}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("listening on"), "{public_url}");
    }
    let server = shared();
    for path in ["/.well-known/oauth-authorization-server/t1", "/t1/.well-known/oauth-authorization-server"] {
        assert_eq!(get(server, path).await.status, 404, "{path}");
    }
}

// MD-06
#[tokio::test]
async fn every_advertised_url_is_on_this_server_and_answers() {
    let server = shared();
    let metadata = get(server, METADATA).await.json();
    let urls: Vec<(&String, &str)> = metadata
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.ends_with("_endpoint") || name.ends_with("_uri"))
        .map(|(name, url)| (name, url.as_str().unwrap()))
        .collect();
    assert!(urls.len() >= 3, "{metadata}");
    for (name, url) in urls {
        let path = url.strip_prefix(&server.url).unwrap_or_else(|| panic!("{name} is {url}"));
        for method in ["GET", "POST"] {
            let status = Answer::to(server.request(method, path)).await.status;
            assert!(status < 500 && status != 403 && status != 404, "{method} {url}: {status}");
        }
    }
}

// MD-03, MD-06: what the document promises is kept.
#[tokio::test]
async fn the_advertised_token_endpoint_takes_every_advertised_method_and_scope() {
    let server = shared();
    let metadata = get(server, METADATA).await.json();
    let scopes: Vec<&str> =
        metadata["scopes_supported"].as_array().unwrap().iter().map(|scope| scope.as_str().unwrap()).collect();
    for scope in &scopes {
        assert_eq!(post_as(server, &demo(server), &[("scope", scope)]).await.granted_scope(scope), *scope);
    }
    assert_eq!(metadata["token_endpoint"], format!("{}/token", server.url));
    assert_eq!(
        metadata["token_endpoint_auth_methods_supported"],
        json!(["client_secret_post", "client_secret_basic", "private_key_jwt"])
    );
}

// MD-08, MD-12
#[tokio::test]
async fn the_documents_may_be_kept_for_a_while_and_read_by_any_page() {
    let server = shared();
    for (path, content_type, longest) in [
        (METADATA, "application/json", 3600),
        (JWKS, "application/jwk-set+json", 300),
        (RESOURCE, "application/json", 3600),
        (RESOURCE_OF_MCP, "application/json", 3600),
    ] {
        let answer = get(server, path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)), "{path}");
        let cache = answer.header("cache-control").unwrap();
        let age: u32 = cache.strip_prefix("public, max-age=").unwrap().parse().unwrap();
        assert!(age > 0 && age <= longest, "{path}: {cache}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(answer.header("set-cookie"), None, "{path}");
    }
}

// MD-09
#[tokio::test]
async fn the_resource_metadata_names_the_url_of_the_server_and_its_issuer() {
    let server = Server::start(&["--public-url", "https://mcp.example.com"]);
    let answer = get(&server, RESOURCE_OF_MCP).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.json(), @r#"
    {
      "resource": "https://mcp.example.com/mcp",
      "resource_name": "Northstar",
      "authorization_servers": [
        "https://mcp.example.com"
      ],
      "scopes_supported": [
        "mcp.read",
        "mcp.write"
      ],
      "bearer_methods_supported": [
        "header"
      ]
    }
    "#);
    assert_eq!(get(&server, RESOURCE).await.json(), answer.json(), "the bare form is the default server's");
    for path in ["/mcp/unknown", "/mcp/default", "/token", "/mcp/a/b"] {
        let answer = get(&server, &format!("{RESOURCE}{path}")).await;
        assert_eq!(answer.status, 404, "{path}");
    }
}

// MD-10
#[tokio::test]
async fn a_foreign_host_changes_no_document() {
    let server = shared();
    for path in DOCUMENTS {
        let expected = get(server, path).await.body;
        for headers in [
            "Host: evil.example",
            "Host: evil.example:443",
            "Host: 127.0.0.1",
            "Host: ",
            "Host: localhost\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https",
            "Host: localhost\r\nForwarded: host=evil.example;proto=https",
            "Host: localhost\r\nX-Original-URL: https://evil.example\r\nOrigin: https://evil.example",
        ] {
            let (status, head, body) =
                raw(server, format!("GET {path} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n"));
            assert_eq!((status, body.as_str()), (200, expected.as_str()), "{path} {headers}");
            assert!(!head.contains("evil.example"), "{head}");
        }
        let absolute =
            format!("GET http://evil.example{path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
        assert_eq!(raw(server, absolute).2, expected, "{path}");
    }
}

// MD-10
#[test]
fn a_foreign_host_changes_no_token() {
    let server = shared();
    let (id, secret) = demo(server);
    let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let (status, _, answer) = raw(
        server,
        format!(
            "POST /token HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    );
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(server.url), &json!(format!("{}/mcp", server.url))));
}

// MD-11
#[tokio::test]
async fn the_keys_are_public_ones_and_named_by_their_thumbprint() {
    let server = shared();
    let jwks = get(server, JWKS).await.json();
    assert_eq!(jwks.as_object().unwrap().len(), 1);
    let keys = jwks["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1);
    for key in keys {
        assert_public_rsa_key(key);
    }
    let listed = server.json_command(&["key", "list"]);
    assert_eq!(listed[0]["kid"], keys[0]["kid"]);
}

fn assert_public_rsa_key(key: &Value) {
    let mut members: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    // None of the private ones: d p q dp dq qi oth k.
    assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
    assert_eq!([&key["kty"], &key["use"], &key["alg"]], ["RSA", "sig", "RS256"]);
    // RFC 7638 §3: the required members, in the order of their names, without a space.
    let canonical = format!(r#"{{"e":{},"kty":"RSA","n":{}}}"#, key["e"], key["n"]);
    let thumbprint = digest::digest(&digest::SHA256, canonical.as_bytes());
    assert_eq!(key["kid"], BASE64_URL_SAFE_NO_PAD.encode(thumbprint));
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap();
    assert_eq!((modulus.len(), key["e"].as_str()), (256, Some("AQAB")));
}

// MD-11: a key is published before it signs and while its tokens live, and no longer.
#[tokio::test]
async fn keys_that_will_sign_or_have_signed_are_published_and_retired_ones_are_not() {
    let home = tempfile::tempdir().unwrap();
    drop(Server::start_in(home.path(), 0, &[]));
    let now = seconds(SystemTime::now());
    let mut kids = Vec::new();
    {
        let open = Home::new(home.path()).open().await.unwrap();
        for (not_before, not_after) in [(now + 900, None), (1, Some(now - 60)), (1, Some(now - 3_700))] {
            let pem = access_token::SigningKey::generate_pem().unwrap();
            let key = access_token::SigningKey::from_pem(&pem).unwrap();
            let jwk = key.public_jwk().to_string();
            let key = PublishedKey { kid: key.kid().to_owned(), jwk, not_before, not_after };
            open.registry.put_public_key(&key).await.unwrap();
            kids.push(key.kid);
        }
    }
    let server = Server::start_in(home.path(), 0, &[]);
    let jwks = get(&server, JWKS).await.json();
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter().for_each(assert_public_rsa_key);
    let published: HashSet<&str> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert_eq!((keys.len(), published.len()), (3, 3), "kids are unique");
    let [coming, retiring, retired] = [&kids[0], &kids[1], &kids[2]].map(|kid| published.contains(kid.as_str()));
    assert_eq!((coming, retiring, retired), (true, true, false));
    let token = server.token().await;
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert!(!kids.contains(&header.kid.clone().unwrap()) && published.contains(header.kid.unwrap().as_str()));
}

// MD-12: the limits of an HTTP API's own JWT authorizer.
#[tokio::test]
async fn the_keys_are_small_and_quick() {
    let server = shared();
    get(server, JWKS).await;
    let start = Instant::now();
    let answer = get(server, JWKS).await;
    assert!(start.elapsed() < Duration::from_millis(1_500), "{:?}", start.elapsed());
    assert!(answer.body.len() < 150_000);
}

// MD-13
#[tokio::test]
async fn head_conditions_and_junk_in_the_query_are_answered_as_usual() {
    let server = shared();
    for path in DOCUMENTS {
        let expected = get(server, path).await;
        let head = Answer::to(server.request("HEAD", path)).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        let length = expected.body.len().to_string();
        assert_eq!(head.header("content-length"), Some(length.as_str()), "{path}");
        for (name, value) in [
            ("if-none-match", "*"),
            ("if-none-match", "\"x\""),
            ("if-none-match", "W/\"x\", \"y\""),
            ("if-none-match", "x"),
            ("if-match", "\"x\""),
            ("if-modified-since", "Sat, 01 Jan 2050 00:00:00 GMT"),
            ("if-modified-since", "yesterday"),
            ("range", "bytes=0-1"),
            ("accept", "text/html"),
            ("authorization", "Bearer x"),
            ("authorization", "Basic !!!"),
            ("content-type", "application/json"),
        ] {
            let answer = Answer::to(server.request("GET", path).header(name, value)).await;
            assert!(matches!(answer.status, 200 | 304), "{path} {name}: {}", answer.status);
            assert!(answer.status == 304 || answer.body == expected.body, "{path} {name}");
        }
        for query in ["x", "x=y", "%", "%ff", "?", "&&&", "client_secret=x", "issuer=https://evil.example"] {
            let answer = get(server, &format!("{path}?{query}")).await;
            assert_eq!((answer.status, &answer.body), (200, &expected.body), "{path}?{query}");
        }
        let with_body = Answer::to(server.request("GET", path).body("{")).await;
        assert_eq!((with_body.status, with_body.body), (200, expected.body), "{path} with a body");
    }
}

// MD-13
#[tokio::test]
async fn the_documents_are_only_read() {
    let server = shared();
    for path in [METADATA, JWKS] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let answer = Answer::to(server.request(method, path)).await;
            answer.assert_refused(method, 405, "method_not_allowed");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method} {path}");
        }
    }
}
