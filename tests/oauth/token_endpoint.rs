//! AS: `POST /token` (RFC 6749, RFC 8707).

use black_box::answer::{Answer, basic, form, post, post_as, post_with_header};
use black_box::{Server, shared};
use local::Home;
use secrecy::SecretString;

use crate::verdict::{alike, claims, counted, members, token, told};
use crate::{Case, case};

const TOKEN: &str = "200 token";
const BAD_CLIENT: &str = "401 invalid_client, Basic challenge";
const BAD_REQUEST: &str = "400 invalid_request";
const BAD_SCOPE: &str = "400 invalid_scope";
const BAD_TARGET: &str = "400 invalid_target";
const FOUR_MEMBERS: &str = "200 token: `access_token`, `token_type`, `expires_in`, `scope`; Bearer, 900 s, mcp.read";

pub fn cases() -> Vec<Case> {
    vec![
        case("AS-01", "secret by Basic", "RFC 6749 §4.4.3, §5.1", FOUR_MEMBERS, async {
            issued(&by_basic(&client(), &[]).await)
        }),
        case("AS-02", "secret in the body", "RFC 6749 §2.3.1", FOUR_MEMBERS, async {
            issued(&in_body(&client(), &[]).await)
        }),
        case("AS-03", "as AS-01, headers", "RFC 6749 §5.1", "Cache-Control: no-store, Pragma: no-cache", async {
            caching(&by_basic(&client(), &[]).await)
        }),
        case(
            "AS-04",
            "refusals of each status, headers",
            "RFC 6749 §5.2",
            "400, 401, 405, 413, 429, 503: Cache-Control: no-store, Pragma: no-cache",
            refusals_are_not_stored(),
        ),
        case("AS-05", "as AS-01, body", "RFC 6749 §4.4.3", "no `refresh_token`, no `id_token`", async {
            let body = by_basic(&client(), &[]).await.json();
            let has = |name: &str| if body.get(name).is_some() { "a" } else { "no" };
            format!("{} `refresh_token`, {} `id_token`", has("refresh_token"), has("id_token"))
        }),
        case("AS-06", "wrong secret by Basic", "RFC 6749 §5.2", BAD_CLIENT, async {
            told(&by_basic(&wrong(), &[]).await)
        }),
        case("AS-07", "wrong secret in the body", "RFC 6749 §5.2, RFC 9110 §15.5.2", BAD_CLIENT, async {
            told(&in_body(&wrong(), &[]).await)
        }),
        case("AS-08", "unknown client, by Basic and in the body", "", "byte for byte as a wrong secret", async {
            let unknown = ("unknown-client".to_owned(), "wrong".to_owned());
            as_a_wrong_secret(&[unknown]).await
        }),
        case("AS-09", "no credentials", "RFC 6749 §5.2", BAD_CLIENT, async {
            told(&post(shared(), "grant_type=client_credentials").await)
        }),
        case("AS-10", "Basic and a secret in the body", "RFC 6749 §2.3", BAD_REQUEST, async {
            let (id, secret) = client();
            let body = [("client_id", id.as_str()), ("client_secret", &secret)];
            told(&by_basic(&(id.clone(), secret.clone()), &body).await)
        }),
        case("AS-11", "Basic, and the same `client_id` in the body", "", TOKEN, async {
            let client = client();
            told(&by_basic(&client, &[("client_id", &client.0)]).await)
        }),
        case("AS-12", "Basic, and another `client_id` in the body", "", BAD_REQUEST, async {
            told(&by_basic(&client(), &[("client_id", "another")]).await)
        }),
        case(
            "AS-13",
            "`Basic` alone, no base64, no colon, two spaces, something after it",
            "RFC 6749 §2.3.1",
            BAD_CLIENT,
            broken_headers(),
        ),
        case("AS-14", "secret `a:b+c%d é`, form-encoded before base64", "RFC 6749 §2.3.1, App. B", TOKEN, async {
            let (id, secret) = client_with_secret("a:b+c%d \u{e9}").await;
            told(&by_basic(&(id, escaped(&secret)), &[]).await)
        }),
        case("AS-15", "secrets `a+b`, `%41`, `%zz`, `100%`, not encoded", "RFC 6749 App. B", BAD_CLIENT, async {
            let mut seen = Vec::new();
            for secret in ["a+b", "%41", "%zz", "100%"] {
                seen.push(told(&by_basic(&client_with_secret(secret).await, &[]).await));
            }
            alike(seen)
        }),
        case("AS-16", "`basic` in lower case", "RFC 9110 §11.1", TOKEN, async {
            let (id, secret) = client();
            told(&with_header(&basic(&id, &secret).replace("Basic", "basic")).await)
        }),
        case("AS-17", "`Authorization: Bearer x`", "RFC 6749 §5.2", BAD_CLIENT, async {
            told(&with_header("Bearer x").await)
        }),
        case("AS-18", "id and secret in the query", "RFC 6749 §2.3.1", BAD_REQUEST, async {
            let (id, secret) = client();
            let path = format!("/token?client_id={id}&client_secret={secret}");
            let request = shared().request("POST", &path).form(&[("grant_type", "client_credentials")]);
            told(&Answer::to(request).await)
        }),
        case("AS-19", "`grant_type` missing, and empty", "RFC 6749 §3.2", BAD_REQUEST, async {
            alike([told(&granting(&[]).await), told(&granting(&[("grant_type", "")]).await)])
        }),
        case(
            "AS-20",
            "`grant_type` password, authorization_code, x",
            "RFC 6749 §5.2",
            "400 unsupported_grant_type",
            async {
                let mut seen = Vec::new();
                for grant_type in ["password", "authorization_code", "x"] {
                    seen.push(told(&granting(&[("grant_type", grant_type)]).await));
                }
                alike(seen)
            },
        ),
        case(
            "AS-21",
            "a grant that the client may not use",
            "RFC 6749 §5.2",
            "does not apply: there is one grant, and every client may use it",
            async { "does not apply: there is one grant, and every client may use it".to_owned() },
        ),
        case(
            "AS-22",
            "`grant_type`, `scope`, `client_id` sent twice with equal values",
            "RFC 6749 §3.2",
            BAD_REQUEST,
            parameters_sent_twice(),
        ),
        case("AS-23", "`foo=bar`, `audience=x`", "RFC 6749 §3.2", TOKEN, async {
            told(&in_body(&client(), &[("foo", "bar"), ("audience", "x")]).await)
        }),
        case("AS-24", "`scope=`", "RFC 6749 §3.3", "200 token, `scope` mcp.read, the default", async {
            format!("{}, the default", scoped(&in_body(&client(), &[("scope", "")]).await))
        }),
        case("AS-25", "a known scope and an unknown one", "RFC 6749 §3.3", BAD_SCOPE, async {
            told(&in_body(&client(), &[("scope", "mcp.read mcp.admin")]).await)
        }),
        case("AS-26", "a scope that the client does not have", "RFC 6749 §5.2", BAD_SCOPE, async {
            told(&in_body(&client(), &[("scope", "mcp.write")]).await)
        }),
        case(
            "AS-27",
            "`scope` with a tab, `\"`, `\\`, NUL, é, two spaces, a space in front",
            "RFC 6749 §3.3",
            BAD_SCOPE,
            broken_scopes(),
        ),
        case(
            "AS-28",
            "fewer scopes granted than the client has; another separator",
            "RFC 6749 §5.1",
            "200 token, `scope` mcp.read; 200 token, `scope` mcp.read mcp.write",
            async {
                let writer = writer();
                let default = in_body(&writer, &[]).await;
                let commas = in_body(&writer, &[("scope", "mcp.read,mcp.write")]).await;
                alike([scoped(&default), scoped(&commas)])
            },
        ),
        case(
            "AS-29",
            "a scope twice, scopes in another order",
            "RFC 6749 §3.3",
            "200 token, `scope` mcp.read mcp.write",
            async {
                let mut seen = Vec::new();
                for scope in ["mcp.write mcp.read", "mcp.read mcp.write mcp.read"] {
                    seen.push(scoped(&in_body(&writer(), &[("scope", scope)]).await));
                }
                alike(seen)
            },
        ),
        case("AS-30", "JSON body", "RFC 6749 §4.4.2", BAD_REQUEST, async {
            let (id, secret) = client();
            let body =
                serde_json::json!({ "grant_type": "client_credentials", "client_id": id, "client_secret": secret });
            told(&Answer::to(shared().request("POST", "/token").json(&body)).await)
        }),
        case(
            "AS-31",
            "`application/x-www-form-urlencoded;charset=UTF-8`, and in upper case",
            "RFC 9110 §8.3",
            TOKEN,
            async {
                let mut seen = Vec::new();
                for media_type in
                    ["application/x-www-form-urlencoded;charset=UTF-8", "APPLICATION/X-WWW-FORM-URLENCODED"]
                {
                    let request = shared().request("POST", "/token").header("content-type", media_type);
                    seen.push(told(&Answer::to(request.body(right())).await));
                }
                alike(seen)
            },
        ),
        case("AS-32", "no `Content-Type`", "", BAD_REQUEST, async {
            told(&Answer::to(shared().request("POST", "/token").body(right())).await)
        }),
        case(
            "AS-33",
            "`GET`, `PUT`, `DELETE` with a secret in the query",
            "RFC 6749 §3.2",
            "405 method_not_allowed, Allow: POST; the secret is in no log line",
            other_methods(),
        ),
        case(
            "AS-34",
            "invalid UTF-8, a lone `%`; a body over 16 KiB",
            "RFC 6749 App. B",
            "400 invalid_request; 413 invalid_request",
            async {
                let mut seen = Vec::new();
                for end in ["&x=%ff", "&x=%", &"&".repeat(16 * 1024)] {
                    seen.push(told(&post(shared(), right() + end).await));
                }
                alike(seen)
            },
        ),
        case("AS-35", "a form that the gateway hands on as base64", "API Gateway", TOKEN, async {
            // So does the local gateway with every form.
            told(&post(shared(), right()).await)
        }),
        case("AS-36", "`resource` is the server's URL", "RFC 8707 §2", "200 token, `aud` [issuer]/mcp", async {
            audience(&in_body(&client(), &[("resource", &mcp())]).await)
        }),
        case(
            "AS-37",
            "`resource` relative, with a fragment, unknown, `javascript:`",
            "RFC 8707 §2",
            BAD_TARGET,
            async {
                let mut seen = Vec::new();
                for resource in ["/mcp", &format!("{}#x", mcp()), "https://other.example/mcp", "javascript:alert(1)"] {
                    seen.push(told(&in_body(&client(), &[("resource", resource)]).await));
                }
                alike(seen)
            },
        ),
        case("AS-38", "two `resource` values", "RFC 8707 §2.2, RFC 9700 §2.3", BAD_TARGET, async {
            told(&in_body(&client(), &[("resource", &mcp()), ("resource", &mcp())]).await)
        }),
        case(
            "AS-39",
            "no `resource`",
            "RFC 8707 §2, RFC 9068 §3",
            "200 token, `aud` [issuer]/mcp, the client's first server",
            async { format!("{}, the client's first server", audience(&in_body(&client(), &[]).await)) },
        ),
        case("AS-40", "disabled and expired clients, a retired secret", "", "byte for byte as a wrong secret", async {
            let disabled = client();
            shared().json_command(&["client", "disable", &disabled.0]);
            let expired = shared().new_client(&["--expires", "2020-01-31"]);
            let retired = client();
            shared().json_command(&["client", "rotate", &retired.0, "--compromised"]);
            as_a_wrong_secret(&[disabled, expired, retired]).await
        }),
        case(
            "AS-41",
            "30 wrong secrets in a row, then the right one; another client",
            "RFC 6749 §2.3.1",
            "5 × 401 invalid_client, Basic challenge; 25 × 429 too_many_attempts, Retry-After; 200 token; 200 token",
            many_wrong_secrets(),
        ),
        case(
            "AS-42",
            "no secret can be read, nothing is remembered",
            "",
            "503 temporarily_unavailable, Retry-After",
            async { told(&without_secrets().await) },
        ),
        case(
            "AS-43",
            "the same request twice at once",
            "RFC 9068 §2.2",
            "two `jti`; 200 and 200 at the MCP endpoint",
            two_at_once(),
        ),
        case(
            "AS-44",
            "`HEAD`, `OPTIONS` with an `Origin`",
            "OAuth 2.1",
            "405, Allow: POST; no Access-Control-Allow-Origin",
            from_a_page(),
        ),
        case(
            "AS-45",
            "refusals of each status, body",
            "OWASP",
            "400, 401, 405, 413, 429, 503: nothing of stack, crates, tables, ARNs",
            async {
                let refusals = refusals().await;
                let statuses: Vec<String> = refusals.iter().map(|answer| answer.status.to_string()).collect();
                // `told` names whatever is found.
                let clean = refusals.iter().all(|answer| !told(answer).contains("in it"));
                let found = if clean { "nothing of stack, crates, tables, ARNs" } else { "something of ours" };
                format!("{}: {found}", statuses.join(", "))
            },
        ),
    ]
}

type Client = (String, String);

/// A new client that may read; back-off for one of them touches no other.
fn client() -> Client {
    shared().new_client(&[])
}

fn writer() -> Client {
    shared().new_client(&["--scope", "mcp.write"])
}

fn wrong() -> Client {
    (client().0, "wrong".to_owned())
}

/// A client whose secret is this one, as an operator may set it in Secrets Manager.
async fn client_with_secret(secret: &str) -> Client {
    let (id, _) = client();
    let secrets = Home::new(shared().home()).secrets();
    let secret_id = format!("northstar/clients/{id}");
    secrets.delete(&secret_id).await.unwrap();
    assert!(secrets.create(&secret_id, &SecretString::from(secret)).await.unwrap());
    (id, secret.to_owned())
}

/// Form-encodes every byte.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn mcp() -> String {
    format!("{}/mcp", shared().url)
}

/// The form of a right request.
fn right() -> String {
    let (id, secret) = client();
    format!("grant_type=client_credentials&client_id={id}&client_secret={secret}")
}

async fn in_body(client: &Client, parameters: &[(&str, &str)]) -> Answer {
    post_as(shared(), client, parameters).await
}

async fn by_basic((id, secret): &Client, parameters: &[(&str, &str)]) -> Answer {
    post_with_header(shared(), basic(id, secret).as_bytes(), parameters).await
}

async fn with_header(authorization: &str) -> Answer {
    post_with_header(shared(), authorization.as_bytes(), &[]).await
}

/// A right secret in the body, and these parameters alone.
async fn granting(parameters: &[(&str, &str)]) -> Answer {
    let (id, secret) = client();
    let own = [("client_id", id.as_str()), ("client_secret", &secret)];
    Answer::to(form(shared()).form(&[&own, parameters].concat())).await
}

fn issued(answer: &Answer) -> String {
    let body = answer.json();
    let values = [&body["token_type"], &body["expires_in"], &body["scope"]].map(|value| match value.as_str() {
        Some(text) => text.to_owned(),
        None => format!("{value} s"),
    });
    format!("{}: {}; {}", told(answer), members(&body), values.join(", "))
}

fn scoped(answer: &Answer) -> String {
    format!("{}, `scope` {}", told(answer), answer.json()["scope"].as_str().unwrap_or("missing"))
}

fn audience(answer: &Answer) -> String {
    let audience = claims(&token(answer))["aud"].as_str().unwrap().replace(&shared().url, "[issuer]");
    format!("{}, `aud` {audience}", told(answer))
}

fn caching(answer: &Answer) -> String {
    let [cache, pragma] = ["cache-control", "pragma"].map(|name| answer.header(name).unwrap_or("missing"));
    format!("Cache-Control: {cache}, Pragma: {pragma}")
}

/// One refusal of each status.
async fn refusals() -> [Answer; 6] {
    let wrong_too_often = wrong();
    for _ in 0..5 {
        by_basic(&wrong_too_often, &[]).await;
    }
    [
        in_body(&client(), &[("scope", "x")]).await,
        by_basic(&wrong(), &[]).await,
        Answer::to(shared().request("GET", "/token")).await,
        post(shared(), right() + &"&".repeat(16 * 1024)).await,
        by_basic(&wrong_too_often, &[]).await,
        without_secrets().await,
    ]
}

async fn refusals_are_not_stored() -> String {
    let refusals = refusals().await;
    let statuses: Vec<String> = refusals.iter().map(|answer| answer.status.to_string()).collect();
    format!("{}: {}", statuses.join(", "), alike(refusals.iter().map(caching)))
}

/// Compares with the answers to a wrong secret, both ways to send it.
async fn as_a_wrong_secret(clients: &[Client]) -> String {
    let expected = [by_basic(&wrong(), &[]).await, in_body(&wrong(), &[]).await].map(Answer::without_date_and_id);
    let mut seen = Vec::new();
    for client in clients {
        let answers = [by_basic(client, &[]).await, in_body(client, &[]).await].map(Answer::without_date_and_id);
        let same = answers == expected;
        seen.push(if same { "byte for byte as a wrong secret".to_owned() } else { format!("not alike: {answers:?}") });
    }
    alike(seen)
}

async fn broken_headers() -> String {
    let (id, secret) = client();
    let right = basic(&id, &secret);
    let mut seen = Vec::new();
    for header in ["Basic", "Basic !!!", "Basic ZGVtbw==", &right.replace(' ', "  "), &format!("{right} x")] {
        seen.push(told(&with_header(header).await));
    }
    alike(seen)
}

async fn parameters_sent_twice() -> String {
    let (id, secret) = client();
    let right = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}&scope=mcp.read");
    let mut seen = Vec::new();
    for twice in ["grant_type=client_credentials", "scope=mcp.read", &format!("client_id={id}")] {
        seen.push(told(&post(shared(), format!("{right}&{twice}")).await));
    }
    alike(seen)
}

async fn broken_scopes() -> String {
    let mut seen = Vec::new();
    for scope in [
        "mcp.read\tmcp.read",
        "\"mcp.read\"",
        "mcp\\.read",
        "mcp.read\0",
        "mcp.r\u{e9}ad",
        "mcp.read  mcp.read",
        " mcp.read",
    ] {
        seen.push(told(&in_body(&client(), &[("scope", scope)]).await));
    }
    alike(seen)
}

async fn other_methods() -> String {
    let (id, secret) = client();
    let mut seen = Vec::new();
    for method in ["GET", "PUT", "DELETE"] {
        let request = shared().request(method, &format!("/token?client_id={id}&client_secret={secret}"));
        seen.push(told(&Answer::to(request).await));
    }
    let logged = if shared().log().contains(&secret) { "some" } else { "no" };
    format!("{}; the secret is in {logged} log line", alike(seen))
}

async fn many_wrong_secrets() -> String {
    let (id, secret) = client();
    let mut seen = Vec::new();
    for attempt in 0..30 {
        seen.push(told(&in_body(&(id.clone(), format!("guess {attempt}")), &[]).await));
    }
    let right = told(&in_body(&(id, secret), &[]).await);
    format!("{}; {right}; {}", counted(seen), told(&in_body(&client(), &[]).await))
}

/// The answer of a server that cannot read its secrets and remembers none.
async fn without_secrets() -> Answer {
    let server = Server::start(&[]);
    let client = server.new_client(&[]);
    std::fs::write(server.home().join("secrets.json"), "{").unwrap();
    post_as(&server, &client, &[]).await
}

async fn two_at_once() -> String {
    let client = client();
    let (first, second) = tokio::join!(in_body(&client, &[]), in_body(&client, &[]));
    let tokens = [token(&first), token(&second)];
    let [first, second] = tokens.each_ref().map(|token| claims(token)["jti"].to_string());
    let mut statuses = Vec::new();
    for token in &tokens {
        let request = shared().mcp(token).body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        statuses.push(request.send().await.unwrap().status().as_str().to_owned());
    }
    let ids = if first == second { "one `jti`" } else { "two `jti`" };
    format!("{ids}; {} at the MCP endpoint", statuses.join(" and "))
}

async fn from_a_page() -> String {
    let mut seen = Vec::new();
    for method in ["HEAD", "OPTIONS"] {
        let request = shared().request(method, "/token").header("origin", "https://page.example");
        let answer = Answer::to(request).await;
        let open = if answer.header("access-control-allow-origin").is_some() { "an" } else { "no" };
        let allow = answer.header("allow").unwrap_or("missing");
        seen.push(format!("{}, Allow: {allow}; {open} Access-Control-Allow-Origin", answer.status));
    }
    alike(seen)
}
