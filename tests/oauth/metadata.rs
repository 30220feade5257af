//! MD: metadata (RFC 8414, RFC 9728) and public keys (RFC 7517).

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use black_box::answer::{Answer, raw};
use black_box::forge::encode;
use black_box::{Server, command, shared};
use serde_json::Value;

use crate::verdict::{alike, members};
use crate::{Case, case};

const METADATA: &str = "/.well-known/oauth-authorization-server";
const JWKS: &str = "/.well-known/jwks.json";
const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const RESOURCE_OF_MCP: &str = "/.well-known/oauth-protected-resource/mcp";
const DOCUMENTS: [&str; 4] = [METADATA, JWKS, RESOURCE, RESOURCE_OF_MCP];

/// What may be in metadata and has to be served then: RFC 8414 §2, RFC 8705 §5, RFC 9449 §5.1.
const ENDPOINTS: [&str; 2] = ["revocation_endpoint", "introspection_endpoint"];
const NOT_SERVED: [&str; 5] = [
    "dpop_signing_alg_values_supported",
    "tls_client_certificate_bound_access_tokens",
    "mtls_endpoint_aliases",
    "registration_endpoint",
    "code_challenge_methods_supported",
];

pub fn cases() -> Vec<Case> {
    vec![
        case(
            "MD-01",
            "`GET /.well-known/oauth-authorization-server`",
            "RFC 8414 §2, §3.3",
            "200 application/json, `issuer` https://mcp.example.com, the public URL",
            async {
                let answer = get(public(), METADATA).await;
                format!("{}, `issuer` {}, the public URL", kind(&answer), text(&answer.json()["issuer"]))
            },
        ),
        case(
            "MD-02",
            "an issuer with a path",
            "RFC 8414 §3.1",
            "does not apply: with a path in its public URL the server does not start",
            issuer_with_a_path(),
        ),
        case(
            "MD-03",
            "the members that clients need",
            "RFC 8414 §2",
            "`token_endpoint`, `jwks_uri`, `scopes_supported`, `response_types_supported`; \
             grants client_credentials; methods client_secret_post, client_secret_basic, private_key_jwt",
            async {
                let metadata = get(shared(), METADATA).await.json();
                let needed = ["token_endpoint", "jwks_uri", "scopes_supported", "response_types_supported"];
                let present: Vec<String> = needed
                    .iter()
                    .filter(|name| metadata.get(**name).is_some())
                    .map(|name| format!("`{name}`"))
                    .collect();
                let [grants, methods] = ["grant_types_supported", "token_endpoint_auth_methods_supported"]
                    .map(|name| list(&metadata[name]));
                format!("{}; grants {grants}; methods {methods}", present.join(", "))
            },
        ),
        case(
            "MD-04",
            "`token_endpoint_auth_signing_alg_values_supported`",
            "RFC 8414 §2",
            "RS256, PS256, ES256, EdDSA",
            async { list(&get(shared(), METADATA).await.json()["token_endpoint_auth_signing_alg_values_supported"]) },
        ),
        case(
            "MD-05",
            "empty arrays",
            "RFC 8414 §2, §3.2",
            "`response_types_supported` alone, which is required",
            async {
                let metadata = get(shared(), METADATA).await.json();
                let empty = metadata.as_object().unwrap().iter().filter(|(_, value)| **value == Value::Array(vec![]));
                let empty: Vec<String> = empty.map(|(name, _)| format!("`{name}`")).collect();
                format!("{} alone, which is required", empty.join(", "))
            },
        ),
        case(
            "MD-06",
            "`GET` and `POST` to every advertised URL; `GET /authorize`",
            "RFC 8414 §2",
            "no 403, 404, 5xx; 400 unsupported_response_type, no Location",
            advertised_urls(),
        ),
        case(
            "MD-07",
            "members for what is optional",
            "RFC 8414 §2",
            "listed and served: `revocation_endpoint`, `introspection_endpoint`; \
             not listed: DPoP, mutual TLS, registration, PKCE",
            optional_members(),
        ),
        case("MD-08", "metadata, headers", "", "Cache-Control: public, max-age=3600", async {
            cache(&get(shared(), METADATA).await)
        }),
        case(
            "MD-09",
            "`GET /.well-known/oauth-protected-resource/mcp`, and without `/mcp`",
            "RFC 9728 §2, §3",
            "200 application/json, `resource` https://mcp.example.com/mcp, of https://mcp.example.com, \
             scopes mcp.read, mcp.write, by header",
            async { alike([protected_resource(RESOURCE_OF_MCP).await, protected_resource(RESOURCE).await]) },
        ),
        case("MD-10", "all four documents with `Host: evil.example`", "", "200 and the same bytes", async {
            let mut seen = Vec::new();
            for path in DOCUMENTS {
                let expected = get(shared(), path).await.body;
                let request = format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
                let (status, _, body) = raw(shared(), request);
                seen.push(format!("{status} and {} bytes", if body == expected { "the same" } else { "other" }));
            }
            alike(seen)
        }),
        case(
            "MD-11",
            "`GET /.well-known/jwks.json`",
            "RFC 7517, RFC 7638",
            "200 application/jwk-set+json; RSA, sig, RS256; `kid` is the thumbprint; nothing private",
            public_keys(),
        ),
        case(
            "MD-12",
            "keys, headers, size and time",
            "limits of API Gateway's authorizer",
            "Cache-Control: public, max-age=300; under 150,000 bytes, under 1.5 s",
            async {
                let start = Instant::now();
                let answer = get(shared(), JWKS).await;
                let quick = if start.elapsed() < Duration::from_millis(1_500) { "under" } else { "over" };
                let small = if answer.body.len() < 150_000 { "under" } else { "over" };
                format!("{}; {small} 150,000 bytes, {quick} 1.5 s", cache(&answer))
            },
        ),
        case(
            "MD-13",
            "all four documents by `HEAD`, with `If-None-Match`, with junk in the query",
            "RFC 9110",
            "200",
            async {
                let mut seen = Vec::new();
                for path in DOCUMENTS {
                    seen.push(Answer::to(shared().request("HEAD", path)).await);
                    seen.push(Answer::to(shared().request("GET", path).header("if-none-match", "\"x\"")).await);
                    seen.push(get(shared(), &format!("{path}?x=%ff&&issuer=y")).await);
                }
                alike(seen.iter().map(|answer| answer.status.to_string()))
            },
        ),
    ]
}

/// A server that knows itself by another URL than the one it is asked at.
fn public() -> &'static Server {
    static PUBLIC: OnceLock<Server> = OnceLock::new();
    PUBLIC.get_or_init(|| Server::start(&["--public-url", "https://mcp.example.com"]))
}

async fn get(server: &Server, path: &str) -> Answer {
    Answer::to(server.request("GET", path)).await
}

fn kind(answer: &Answer) -> String {
    format!("{} {}", answer.status, answer.header("content-type").unwrap_or("missing"))
}

fn cache(answer: &Answer) -> String {
    format!("Cache-Control: {}", answer.header("cache-control").unwrap_or("missing"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("missing")
}

fn list(value: &Value) -> String {
    value.as_array().map_or("missing".to_owned(), |list| list.iter().map(text).collect::<Vec<_>>().join(", "))
}

async fn issuer_with_a_path() -> String {
    let home = tempfile::tempdir().unwrap();
    let arguments = ["serve", "--stop-with-stdin", "--port", "0", "--public-url", "https://mcp.example.com/t1"];
    if command(home.path(), &arguments).status.success() {
        return "the server starts with a path in its public URL".to_owned();
    }
    "does not apply: with a path in its public URL the server does not start".to_owned()
}

async fn advertised_urls() -> String {
    let metadata = get(shared(), METADATA).await.json();
    let urls = metadata.as_object().unwrap().iter();
    let urls = urls.filter(|(name, _)| name.ends_with("_endpoint") || name.ends_with("_uri"));
    let mut wrong = Vec::new();
    for (name, url) in urls {
        let path = text(url).strip_prefix(&shared().url).unwrap_or("/another-server");
        for method in ["GET", "POST"] {
            let status = Answer::to(shared().request(method, path)).await.status;
            if status >= 500 || status == 403 || status == 404 {
                wrong.push(format!("{method} {name}: {status}"));
            }
        }
    }
    let urls = if wrong.is_empty() { "no 403, 404, 5xx".to_owned() } else { wrong.join(", ") };
    let authorize = get(shared(), "/authorize?response_type=code&client_id=demo").await;
    let location = if authorize.header("location").is_some() { "a" } else { "no" };
    format!("{urls}; {} {}, {location} Location", authorize.status, text(&authorize.json()["error"]))
}

async fn optional_members() -> String {
    let metadata = get(shared(), METADATA).await.json();
    let mut served = Vec::new();
    for name in ENDPOINTS {
        let path = text(&metadata[name]).strip_prefix(&shared().url).unwrap_or("/not-listed");
        // Whoever serves it wants to know who asks.
        let status = Answer::to(shared().request("POST", path).form(&[("token", "x")])).await.status;
        let has_methods = metadata.get(format!("{name}_auth_methods_supported")).is_some();
        if status == 401 && has_methods {
            served.push(format!("`{name}`"));
        }
    }
    let listed: Vec<&str> = NOT_SERVED.into_iter().filter(|name| metadata.get(*name).is_some()).collect();
    let not_listed = if listed.is_empty() {
        "not listed: DPoP, mutual TLS, registration, PKCE".to_owned()
    } else {
        format!("listed: {}", listed.join(", "))
    };
    format!("listed and served: {}; {not_listed}", served.join(", "))
}

async fn protected_resource(path: &str) -> String {
    let answer = get(public(), path).await;
    let body = answer.json();
    format!(
        "{}, `resource` {}, of {}, scopes {}, by {}",
        kind(&answer),
        text(&body["resource"]),
        list(&body["authorization_servers"]),
        list(&body["scopes_supported"]),
        list(&body["bearer_methods_supported"]),
    )
}

async fn public_keys() -> String {
    let answer = get(shared(), JWKS).await;
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    let keys = keys.iter().map(|key| {
        let [kty, r#use, alg] = ["kty", "use", "alg"].map(|name| text(&key[name]).to_owned());
        // RFC 7638 §3: the required members, in the order of their names, without a space.
        let canonical = format!(r#"{{"e":{},"kty":"RSA","n":{}}}"#, key["e"], key["n"]);
        let thumbprint = encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
        let kid = if key["kid"] == thumbprint { "is the thumbprint" } else { "is something else" };
        let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        let private = private.iter().any(|name| key.get(*name).is_some());
        let private = if private { members(key) } else { "nothing private".to_owned() };
        format!("{kty}, {}, {alg}; `kid` {kid}; {private}", r#use)
    });
    format!("{}; {}", kind(&answer), alike(keys))
}
