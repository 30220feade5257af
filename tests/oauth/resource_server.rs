//! RS: `POST /mcp` (RFC 6750, RFC 9068, RFC 9728, the MCP specification).

use std::time::{Duration, Instant};

use black_box::answer::Answer;
use black_box::forge::{Forge, now};
use black_box::{modern_body, shared};
use jsonwebtoken::Algorithm;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::verdict::{alike, token};
use crate::{Case, case};

const NO_TOKEN: &str = "401 token_required, challenge with scope mcp.read, resource_metadata";
const BAD_TOKEN: &str = "401 invalid_token, challenge with error, scope mcp.read, resource_metadata";
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

pub fn cases() -> Vec<Case> {
    vec![
        case("RS-01", "no token", "RFC 6750 §3.1, RFC 9728 §5.1", NO_TOKEN, async { told(ping(None)).await }),
        case("RS-02", "garbage, half a token, a changed signature", "RFC 6750 §3.1", BAD_TOKEN, async {
            let token = shared().token().await;
            let middle = token.rfind('.').unwrap() + 100;
            let other = if token.as_bytes()[middle] == b'A' { "B" } else { "A" };
            let mut changed = token.clone();
            changed.replace_range(middle..=middle, other);
            with_tokens(["garbage", &token[..token.len() / 2], &changed]).await
        }),
        case("RS-03", "expired 31 s ago", "RFC 9068 §4", BAD_TOKEN, async {
            let now = now();
            with_tokens([forge().claims(json!({ "iat": now - 900, "exp": now - 31 }))]).await
        }),
        case("RS-04", "other issuer; for `/mcp2`, `/mc`, the issuer, another host", "RFC 9068 §4", BAD_TOKEN, async {
            let url = &shared().url;
            let audiences =
                [format!("{url}/mcp2"), format!("{url}/mc"), url.clone(), "https://other.example/mcp".to_owned()];
            let issuer = forge().claim("iss", json!("https://other.example"));
            let tokens = audiences.map(|audience| forge().claim("aud", json!(audience)));
            alike([with_tokens([issuer]).await, with_tokens(tokens).await])
        }),
        case(
            "RS-05",
            "signed by our key: an ID token, a client assertion, `typ` JWT",
            "RFC 9068 §4",
            BAD_TOKEN,
            async {
                let forge = forge();
                let types = ["JWT", "client-authentication+jwt"];
                let tokens = types.map(|typ| forge.header("typ", json!(typ)));
                alike([with_tokens(tokens).await, with_tokens([forge.header("typ", Value::Null)]).await])
            },
        ),
        case(
            "RS-06",
            "a tool, with a token without its scope",
            "RFC 6750 §3.1",
            "403 insufficient_scope, challenge with error, scope mcp.read, resource_metadata",
            async {
                let token = forge().claim("scope", json!(""));
                told(shared().mcp(&token).body(call("get_order_status"))).await
            },
        ),
        case("RS-07", "token in the query", "OAuth 2.1 §5.1", NO_TOKEN, async {
            let path = format!("/mcp?access_token={}", shared().token().await);
            told(shared().request("POST", &path).header("content-type", "application/json").body(PING)).await
        }),
        case("RS-08", "token in a form", "MCP", NO_TOKEN, async {
            let token = shared().token().await;
            told(shared().request("POST", "/mcp").form(&[("access_token", token)])).await
        }),
        case("RS-09", "two `Authorization` headers; `Bearer a, Bearer b`", "RFC 6750 §3.1", BAD_TOKEN, async {
            let bearer = format!("Bearer {}", shared().token().await);
            let two = ping(Some(&bearer)).header("authorization", &bearer);
            alike([told(two).await, told(ping(Some(&format!("{bearer}, {bearer}")))).await])
        }),
        case("RS-10", "`bearer` in lower case", "RFC 9110 §11.1", "200", async {
            told(ping(Some(&format!("bearer {}", shared().token().await)))).await
        }),
        case("RS-11", "`Basic` and `DPoP` in place of `Bearer`", "RFC 6750 §3.1", NO_TOKEN, async {
            let token = shared().token().await;
            alike([told(ping(Some("Basic eDp4"))).await, told(ping(Some(&format!("DPoP {token}")))).await])
        }),
        case(
            "RS-12",
            "a token before its revocation, and within 11 s of it",
            "RFC 7009 §2",
            "200; 401 invalid_token, challenge with error, scope mcp.read, resource_metadata",
            revoked_token(),
        ),
        case("RS-13", "`Origin: https://evil.example`; none", "MCP", "403 origin_not_allowed; 200", async {
            let bearer = format!("Bearer {}", shared().token().await);
            let foreign = ping(Some(&bearer)).header("origin", "https://evil.example");
            alike([told(foreign).await, told(ping(Some(&bearer))).await])
        }),
        case("RS-14", "`Host: evil.example`", "DNS rebinding", "421 host_not_served", async {
            let bearer = format!("Bearer {}", shared().token().await);
            told(ping(Some(&bearer)).header("host", "evil.example")).await
        }),
        case("RS-15", "`GET`, `DELETE`", "MCP", "405 method_not_allowed, Allow: POST", async {
            alike([told(shared().request("GET", "/mcp")).await, told(shared().request("DELETE", "/mcp")).await])
        }),
        case(
            "RS-16",
            "unknown method at 2026-07-28; at 2025-06-18",
            "MCP",
            "404 method_not_found, -32601; 200 method_not_found, -32601",
            async {
                let body = request("no/such/method", json!({})).to_string();
                let legacy = mcp().await.header("mcp-protocol-version", "2025-06-18").body(body);
                alike([told(modern("no/such/method", "no/such/method", "2026-07-28").await).await, told(legacy).await])
            },
        ),
        case(
            "RS-17",
            "at 2026-07-28: `Mcp-Method` is another, the version is another; a version that there is not",
            "MCP",
            "400 protocol_error, -32020; 400 unsupported_protocol_version, -32022",
            async {
                let method = modern("tools/list", "ping", "2026-07-28").await;
                let version = modern("tools/list", "tools/list", "2025-11-25").await;
                let unknown = mcp().await.header("mcp-protocol-version", "2030-01-01").body(PING);
                alike([told(method).await, told(version).await, told(unknown).await])
            },
        ),
        case(
            "RS-18",
            "batches: at 2025-06-18; at 2025-03-26, without a version; of 17",
            "MCP",
            "400 batch_not_allowed, -32600; 200; 400 batch_not_allowed, -32600",
            batches(),
        ),
        case(
            "RS-19",
            "the token is not handed on",
            "MCP",
            "does not apply: no tool sends a request to another server",
            async { "does not apply: no tool sends a request to another server".to_owned() },
        ),
        case(
            "RS-20",
            "without a token: a known tool, an unknown one, no JSON",
            "",
            "401, byte for byte alike",
            async {
                let mut answers = Vec::new();
                for body in [call("get_order_status"), call("no_such_tool"), "{".to_owned()] {
                    let request = shared().request("POST", "/mcp").header("content-type", "application/json");
                    answers.push(Answer::to(request.body(body)).await.without_date_and_id());
                }
                answers.dedup();
                let alike = if answers.len() == 1 { "byte for byte alike" } else { "not alike" };
                format!("{}, {alike}", answers[0].0)
            },
        ),
        case(
            "RS-21",
            "the challenges of RS-01, RS-02, RS-06",
            "RFC 6750 §3",
            "each parameter once, quoted, of the characters allowed",
            async {
                let answers = challenged().await;
                let sound = answers.iter().all(|answer| parameters(answer).is_some());
                let sound = if sound { "each parameter once, quoted, of the characters allowed" } else { "broken" };
                sound.to_owned()
            },
        ),
        case("RS-22", "the same, headers", "RFC 9111 §5.2", "Cache-Control: no-store", async {
            let answers = challenged().await;
            alike(
                answers
                    .iter()
                    .map(|answer| format!("Cache-Control: {}", answer.header("cache-control").unwrap_or("missing"))),
            )
        }),
    ]
}

/// Tokens by the server's own key.
fn forge() -> Forge {
    Forge::with_key_of(shared(), Algorithm::RS256)
}

fn ping(authorization: Option<&str>) -> RequestBuilder {
    let request = shared().request("POST", "/mcp").header("content-type", "application/json").body(PING);
    match authorization {
        Some(authorization) => request.header("authorization", authorization),
        None => request,
    }
}

async fn mcp() -> RequestBuilder {
    shared().mcp(&shared().token().await)
}

fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

fn call(tool: &str) -> String {
    request("tools/call", json!({ "name": tool, "arguments": { "order_id": "1001" } })).to_string()
}

/// A request of revision 2026-07-28 whose headers name this method and version.
async fn modern(method: &str, named: &str, version: &str) -> RequestBuilder {
    let request = mcp().await.header("mcp-protocol-version", version).header("mcp-method", named);
    request.body(modern_body(method, json!({})).to_string())
}

async fn with_tokens<T: AsRef<str>>(tokens: impl IntoIterator<Item = T>) -> String {
    let mut seen = Vec::new();
    for token in tokens {
        seen.push(told(ping(Some(&format!("Bearer {}", token.as_ref())))).await);
    }
    alike(seen)
}

/// Status, code, JSON-RPC code where it tells more, challenge, and whatever a refusal must not be.
async fn told(request: RequestBuilder) -> String {
    let answer = Answer::to(request).await;
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let mut told = answer.status.to_string();
    if let Some(code) = body["error"]["data"]["code"].as_str() {
        told += &format!(" {code}");
    }
    if matches!(answer.status, 200 | 400 | 404) && body["error"]["code"].is_i64() {
        told += &format!(", {}", body["error"]["code"]);
    }
    if let Some(allow) = answer.header("allow") {
        told += &format!(", Allow: {allow}");
    }
    if answer.header("www-authenticate").is_some() {
        let parameters = parameters(&answer).unwrap_or_default().into_iter();
        let parameters = parameters.filter_map(|(name, value)| match name.as_str() {
            "error_description" => None,
            // The code once more.
            "error" if told.ends_with(&value) => Some(name),
            "error" | "scope" => Some(format!("{name} {value}")),
            _ => Some(name),
        });
        told = format!("{told}, challenge with {}", parameters.collect::<Vec<_>>().join(", "));
    }
    if matches!(answer.status, 401 | 403) && answer.header("cache-control") != Some("no-store") {
        told += ", may be stored";
    }
    told
}

/// The parameters of the Bearer challenge; `None` if there is none, or it is not what RFC 6750 §3 allows.
fn parameters(answer: &Answer) -> Option<Vec<(String, String)>> {
    let challenge = answer.header("www-authenticate")?.strip_prefix("Bearer ")?.strip_suffix('"')?;
    let mut parameters: Vec<(String, String)> = Vec::new();
    for parameter in challenge.split("\", ") {
        let (name, value) = parameter.split_once("=\"")?;
        let allowed = value.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        if !allowed || parameters.iter().any(|(other, _)| other == name) {
            return None;
        }
        parameters.push((name.to_owned(), value.to_owned()));
    }
    Some(parameters)
}

/// Answers with a challenge: no token, a bad one, one without the scope.
async fn challenged() -> [Answer; 3] {
    let without_scope = forge().claim("scope", json!(""));
    [
        Answer::to(ping(None)).await,
        Answer::to(ping(Some("Bearer garbage"))).await,
        Answer::to(shared().mcp(&without_scope).body(call("get_order_status"))).await,
    ]
}

async fn revoked_token() -> String {
    let (id, secret) = shared().new_client(&[]);
    let own = [("client_id", id.as_str()), ("client_secret", &secret)];
    let grant = [&own[..], &[("grant_type", "client_credentials")]].concat();
    let token = token(&Answer::to(shared().request("POST", "/token").form(&grant)).await);
    let bearer = format!("Bearer {token}");
    let before = told(ping(Some(&bearer))).await;
    let revoke = [&own[..], &[("token", &token)]].concat();
    let revoked = Answer::to(shared().request("POST", "/revoke").form(&revoke)).await;
    assert_eq!(revoked.status, 200, "{}", revoked.body);
    let start = Instant::now();
    loop {
        let after = told(ping(Some(&bearer))).await;
        if after != before || start.elapsed() > Duration::from_secs(11) {
            return alike([before, after]);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn batches() -> String {
    let batch = |count| Value::Array(vec![serde_json::from_str(PING).unwrap(); count]).to_string();
    let at = async |revision| mcp().await.header("mcp-protocol-version", revision);
    alike([
        told(at("2025-06-18").await.body(batch(2))).await,
        told(at("2025-03-26").await.body(batch(2))).await,
        told(mcp().await.body(batch(2))).await,
        told(mcp().await.body(batch(17))).await,
    ])
}
