//! Requests with a canary in them: as HTTP for `northstar serve`, as events for the programs.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use black_box::Server;
use black_box::forge::{Forge, now};
use black_box::key_pair::{KeyPair, assertion_claims};
use jsonwebtoken::Algorithm;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use crate::run::Run;

/// One request, and whether it is answered 200.
pub struct Request {
    pub what: &'static str,
    pub method: &'static str,
    pub path: String,
    pub query: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub good: bool,
}

/// Who asks.
pub struct Callers {
    pub client_id: String,
    pub client_secret: String,
    pub previous_secret: String,
    pub access_token: String,
    pub key: KeyPair,
    pub client_id_with_key: String,
    /// A client whose key server answers with private keys.
    pub client_id_with_bad_keys: String,
}

/// Its keys cannot be read.
const BAD_KEYS: &str = "an assertion of a client whose keys are private";
const FORM: &str = "application/x-www-form-urlencoded";
const GRANT: &str = "grant_type=client_credentials";

/// Requests that the authorization server is asked; assertions are new ones each time.
pub fn to_token(run: &Run, server: &Server, callers: &Callers) -> Vec<Request> {
    let Callers { client_id: id, client_secret: secret, previous_secret, access_token, .. } = callers;
    let marker = |place| run.marker(place);
    let form = |what, good, body: String| post(what, "/token", good, &[], body);
    let with_secret = |secret: &str| format!("{GRANT}&client_id={id}&client_secret={secret}");
    let basic = |what, pair: String| {
        let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
        post(what, "/token", false, &[("authorization", value)], GRANT.to_owned())
    };
    let wrong = marker("client secret, wrong");
    let mut requests = vec![
        form("the right secret", true, with_secret(secret)),
        form("the previous secret", true, with_secret(previous_secret)),
        Request { good: true, ..basic("the right secret in Basic", format!("{id}:{secret}")) },
        form("a wrong secret", false, with_secret(&wrong)),
        form("a right secret and the beginning of a wrong one", false, with_secret(&format!("{secret}{wrong}"))),
        form(
            "an unknown client",
            false,
            format!("{GRANT}&client_id=nobody&client_secret={}", marker("client secret of an unknown client")),
        ),
        basic("a wrong secret in Basic", format!("{id}:{}", marker("client secret in Basic"))),
        basic("Basic without a client id", format!(":{}", marker("client secret in Basic without a client id"))),
        basic("Basic without a colon", marker("client secret in Basic without a client id")),
        post(
            "Basic that is not base64",
            "/token",
            false,
            &[("authorization", format!("Basic {id}:{}", marker("client secret in Basic, not base64")))],
            GRANT.to_owned(),
        ),
        post(
            "another scheme",
            "/token",
            false,
            &[("authorization", format!("Secret {}", marker("client secret under another scheme")))],
            GRANT.to_owned(),
        ),
        post(
            "the right secret twice",
            "/token",
            false,
            &[("authorization", format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}"))))],
            with_secret(secret),
        ),
        in_query(form("the query", false, GRANT.to_owned()), with_secret(&marker("client secret in the query"))),
        in_query(form("the right secret in the query", false, GRANT.to_owned()), with_secret(secret)),
        Request { method: "GET", ..in_query(form("a GET", false, String::new()), with_secret(secret)) },
        of_type(
            form("another type", false, with_secret(&marker("client secret in another content type"))),
            "text/plain",
        ),
        of_type(form("the right secret in another type", false, with_secret(secret)), "multipart/form-data"),
        of_type(
            form(
                "JSON",
                false,
                json!({ "client_id": id, "client_secret": marker("client secret in JSON") }).to_string(),
            ),
            "application/json",
        ),
        Request {
            body: [with_secret(&marker("client secret in a body that is not UTF-8")).as_bytes(), b"\xff\xfe"].concat(),
            ..form("no UTF-8", false, String::new())
        },
        form("too long", false, with_secret(&marker("client secret in a body that is too long").repeat(3_000))),
        form(
            "a broken percent sign",
            false,
            with_secret(&format!("{}%zz", marker("client secret before a broken percent sign"))),
        ),
        form("twice", false, format!("{}&client_secret={}", with_secret(secret), marker("client secret, twice"))),
        form(
            "id and secret confused",
            false,
            format!("{GRANT}&client_id={}&client_secret={id}", marker("client secret for the client id")),
        ),
    ];
    for (name, place) in [
        ("scope", "client secret for the scope"),
        ("resource", "client secret for the resource"),
        ("grant_type", "client secret for the grant type"),
    ] {
        let body = format!("client_id={id}&client_secret={secret}&{name}={}", marker(place));
        requests.push(form(name, false, if name == "grant_type" { body } else { format!("{body}&{GRANT}") }));
    }
    requests.extend(assertions(run, server, callers));

    let with = |token: &str| format!("client_id={id}&client_secret={secret}&token={token}");
    for path in ["/introspect", "/revoke"] {
        let place = if path == "/revoke" { "token to revoke" } else { "token to introspect" };
        requests.extend([
            post("a token", path, true, &[], with(&marker(place))),
            post("a token without a client", path, false, &[], format!("token={}", marker(place))),
            post("a token of a wrong client", path, false, &[], with(&marker(place)).replace(secret, &wrong)),
            post("two tokens", path, false, &[], format!("{}&token={}", with(access_token), marker(place))),
            in_query(post("a query", path, false, &[], with(access_token)), format!("token={}", marker(place))),
            of_type(post("another type", path, false, &[], with(&marker(place))), "application/json"),
        ]);
    }
    let query = with(&marker("client secret in the query of introspection"));
    requests.push(in_query(post("all in the query", "/introspect", false, &[], String::new()), query));
    requests.push(post("a good token", "/introspect", true, &[], with(access_token)));
    // In the end the address is told to wait.
    for _ in 0..12 {
        requests.push(form("a flood", false, with_secret(&marker("client secret, wrong"))));
    }
    requests
}

fn assertions(run: &Run, server: &Server, callers: &Callers) -> Vec<Request> {
    let (key, id) = (&callers.key, &callers.client_id_with_key);
    let body = |assertion: &str| {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        format!("{GRANT}&client_assertion_type={kind}&client_assertion={assertion}")
    };
    let form = |what, good, assertion: &str| post(what, "/token", good, &[], body(assertion));
    let good = key.sign(&key.header(), &assertion_claims(id, &server.url));
    let mut expired = assertion_claims(id, &server.url);
    (expired["iat"], expired["exp"]) = (json!(now() - 900), json!(now() - 600));
    let expired = key.sign(&key.header(), &expired);
    let foreign = KeyPair::p256().sign(&key.header(), &assertion_claims(id, &server.url));
    let bad_keys = key.sign(&key.header(), &assertion_claims(&callers.client_id_with_bad_keys, &server.url));
    let no_jwt = run.marker("client assertion, no JWT");
    let in_the_query = key.sign(&key.header(), &assertion_claims(id, &server.url));
    // All that is signed is recognised by its signature: the header is the same for all.
    for (place, assertion) in [
        ("client assertion", &good),
        ("client assertion", &bad_keys),
        ("client assertion, expired", &expired),
        ("client assertion, bad signature", &foreign),
        ("client assertion in the query", &in_the_query),
    ] {
        run.plant(place, assertion);
    }
    vec![
        form("an assertion", true, &good),
        form("an assertion again", false, &good),
        form("an expired assertion", false, &expired),
        form("an assertion by another key", false, &foreign),
        form(BAD_KEYS, false, &bad_keys),
        form("an assertion that is no JWT", false, &no_jwt),
        form("an assertion of three parts", false, &format!("{no_jwt}.{no_jwt}.{no_jwt}")),
        in_query(form("an assertion in the query", false, &no_jwt), format!("client_assertion={in_the_query}")),
    ]
}

/// Requests that the resource server is asked.
pub fn to_mcp(run: &Run, server: &Server, callers: &Callers) -> Vec<Request> {
    let token = &callers.access_token;
    let marker = |place| run.marker(place);
    let bearer = |what, good, value: String| call(what, good, vec![("authorization", value)], "1001", json!({}));
    let (header, claims) = (token.split('.').next().unwrap(), token.split('.').nth(1).unwrap());
    let forged = run.plant("access token, bad signature", &format!("{header}.{claims}.{}", "A".repeat(342)));
    let old = json!({ "iat": now() - 2_000, "exp": now() - 1_000 });
    let expired = run.plant("access token, expired", &Forge::with_key_of(server, Algorithm::RS256).claims(old));
    let tool = |what, arguments| {
        let good = true;
        call(what, good, vec![("authorization", format!("Bearer {token}"))], "1001", arguments)
    };
    let mut requests = vec![
        bearer("a token", true, format!("Bearer {token}")),
        bearer("an expired token", false, format!("Bearer {expired}")),
        bearer("a forged token", false, format!("Bearer {forged}")),
        bearer("no JWT", false, format!("Bearer {}", marker("access token, no JWT"))),
        bearer("three parts", false, format!("Bearer {header}.{}.x", marker("access token, no JWT"))),
        bearer("no scheme", false, marker("access token, no JWT")),
        bearer("Basic", false, format!("Basic {}", BASE64_STANDARD.encode(marker("access token, no JWT")))),
        bearer("a tab", false, format!("Bearer\t{}\t", marker("access token with a tab"))),
        bearer("a good token after a tab", false, format!("Bearer {token}\t{}", marker("access token with a tab"))),
        bearer("a comma", false, format!("Bearer {token},Bearer {}", marker("access token with a comma"))),
        bearer("a comma alone", false, format!("Bearer {}, {token}", marker("access token with a comma"))),
        call(
            "no token",
            false,
            vec![("cookie", format!("t={}", marker("access token in a cookie")))],
            "1001",
            json!({}),
        ),
        in_query(
            call("the query", false, Vec::new(), "1001", json!({})),
            format!("access_token={}", marker("access token in the query")),
        ),
        in_query(
            bearer("a good token in the query too", true, format!("Bearer {token}")),
            format!("access_token={token}"),
        ),
        post("a form", "/mcp", false, &[], format!("access_token={}", marker("access token in a form body"))),
        post("a good token in a form", "/mcp", false, &[], format!("access_token={token}")),
        Request {
            path: format!("/mcp/{}", marker("access token in the path").to_lowercase()),
            ..bearer("the path", false, format!("Bearer {token}"))
        },
        tool("an unknown order", json!({ "order_id": marker("tool argument") })),
        tool("an order with a secret", json!({ "order_id": ORDER })),
        tool("an argument of a wrong type", json!({ "order_id": [marker("tool argument")] })),
        tool("an argument that is not there", json!({ "order_id": "1001", "x": marker("tool argument, undeclared") })),
        of_tool(tool("a customer", json!({ "customer_id": marker("tool argument") })), "check_loyalty_points"),
        of_tool(
            tool("a forged cursor", json!({ "customer_id": "C-0001", "cursor": marker("cursor, forged") })),
            "list_customer_orders",
        ),
        of_tool(tool("an unknown tool", json!({ "x": marker("tool argument") })), "no_such_tool"),
    ];
    let broken = |what, body: Vec<u8>| Request { body, ..bearer(what, false, format!("Bearer {token}")) };
    let message = marker("message that is not JSON");
    requests.extend([
        broken("no JSON", message.clone().into_bytes()),
        broken("half a message", format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{message}"#).into_bytes()),
        broken("a list", format!(r#"["{message}"]"#).into_bytes()),
        broken("another kind", format!(r#"{{"jsonrpc":"2.0","id":1,"params":"{message}"}}"#).into_bytes()),
        broken("no UTF-8", [marker("message that is not UTF-8").as_bytes(), b"\xff"].concat()),
    ]);
    requests
}

/// An order whose every attribute is a canary.
pub const ORDER: &str = "canary-order";

fn post(
    what: &'static str,
    path: &str,
    good: bool,
    headers: &[(&'static str, String)],
    body: impl Into<Vec<u8>>,
) -> Request {
    let mut headers = headers.to_vec();
    headers.push(("content-type", FORM.to_owned()));
    Request { what, method: "POST", path: path.to_owned(), query: String::new(), headers, body: body.into(), good }
}

fn in_query(request: Request, query: String) -> Request {
    Request { query, ..request }
}

fn of_type(mut request: Request, content_type: &str) -> Request {
    request.headers.retain(|(name, _)| *name != "content-type");
    request.headers.push(("content-type", content_type.to_owned()));
    request
}

/// A call of `get_order_status`.
fn call(what: &'static str, good: bool, headers: Vec<(&'static str, String)>, id: &str, arguments: Value) -> Request {
    let arguments = if arguments == json!({}) { json!({ "order_id": id }) } else { arguments };
    let params = json!({ "name": "get_order_status", "arguments": arguments });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string();
    let mut request = of_type(post(what, "/mcp", good, &headers, body), "application/json");
    request.headers.extend([
        ("accept", "application/json, text/event-stream".to_owned()),
        ("mcp-protocol-version", "2025-06-18".to_owned()),
    ]);
    request
}

fn of_tool(mut request: Request, tool: &str) -> Request {
    let text = String::from_utf8(request.body).unwrap().replace("get_order_status", tool);
    request.body = text.into_bytes();
    request
}

impl Request {
    /// Sends it over HTTP.
    pub async fn send(&self, run: &Run, server: &Server) {
        let path = if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) };
        let mut request = server.request(self.method, &path).body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), format!("{:?}", response.headers()));
        let body = response.bytes().await.unwrap();
        self.check(status, &String::from_utf8_lossy(&body));
        run.capture(format!("the headers of the answer to {}", self.what), headers);
        if status >= 400 {
            run.capture(format!("the answer to {}", self.what), body);
        }
    }

    /// As an event of payload format 2.0.
    pub fn event(&self, server: &Server) -> Value {
        let host = server.url.strip_prefix("http://").unwrap();
        let mut headers = json!({ "host": host });
        for (name, value) in &self.headers {
            headers[*name] = json!(value.trim());
        }
        let text = String::from_utf8(self.body.clone());
        json!({
            "version": "2.0",
            "routeKey": format!("ANY {}", self.path),
            "rawPath": self.path,
            "rawQueryString": self.query,
            "headers": headers,
            "requestContext": {
                "domainName": host,
                "http": { "method": self.method, "path": self.path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1" },
                "requestId": "JKJaXmPLvHcESHA=",
                "stage": "$default",
            },
            "isBase64Encoded": text.is_err(),
            "body": text.unwrap_or_else(|error| BASE64_STANDARD.encode(error.into_bytes())),
        })
    }

    /// It was answered as it had to be.
    pub fn check(&self, status: u16, body: &str) {
        assert_eq!(status == 200, self.good, "{}: {status} {body}", self.what);
        let may_be_unavailable = self.what == BAD_KEYS;
        let is_refusal = (400..500).contains(&status) || status == 503 && may_be_unavailable;
        assert!(status == 200 || is_refusal, "{}: {status} {body}", self.what);
    }
}
