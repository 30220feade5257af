//! What every refusal has in common, and the paths that only refuse.

use black_box::shared;

use crate::answer::{Answer, basic, form, raw};

const CANARY: &str = "kanarienvogel";

// AS-04, AS-45: `assert_refused` looks at headers, members, characters and internals; here also for an echo.
#[tokio::test]
async fn no_refusal_repeats_what_was_sent() {
    let server = shared();
    let (id, secret) = (&server.client_id, &server.client_secret);
    let right = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    for (what, body, status, error) in [
        (
            "secret",
            format!("grant_type=client_credentials&client_id={id}&client_secret={CANARY}"),
            401,
            "invalid_client",
        ),
        ("id", format!("grant_type=client_credentials&client_id={CANARY}&client_secret=x"), 401, "invalid_client"),
        ("grant", right.replace("=client_credentials", &format!("={CANARY}")), 400, "unsupported_grant_type"),
        ("scope", format!("{right}&scope={CANARY}"), 400, "invalid_scope"),
        ("quoted scope", format!("{right}&scope=%22{CANARY}%0d%0a"), 400, "invalid_scope"),
        ("resource", format!("{right}&resource=https://{CANARY}.example"), 400, "invalid_target"),
        ("repeated", format!("{right}&scope={CANARY}&scope={CANARY}"), 400, "invalid_request"),
        ("broken", format!("{right}&{CANARY}=%zz"), 400, "invalid_request"),
        ("assertion", format!("{right}&client_assertion={CANARY}"), 400, "invalid_request"),
        ("large", format!("{right}&x={}", CANARY.repeat(2_000)), 413, "invalid_request"),
    ] {
        let answer = Answer::to(form(server).body(body)).await;
        answer.assert_refused(what, status, error);
        assert_no_echo(&answer);
    }
    let content_type = server.request("POST", "/token").header("content-type", format!("text/{CANARY}")).body(right);
    let answer = Answer::to(content_type).await;
    answer.assert_refused("content type", 400, "invalid_request");
    assert_no_echo(&answer);
    for header in [CANARY, &format!("Basic {CANARY}"), &format!("{CANARY} x"), &basic(CANARY, CANARY)] {
        let request = form(server).header("authorization", header).body("grant_type=client_credentials");
        let answer = Answer::to(request).await;
        answer.assert_refused(header, 401, "invalid_client");
        assert_no_echo(&answer);
    }
}

fn assert_no_echo(answer: &Answer) {
    assert!(!format!("{answer:?}").contains(CANARY), "{answer:?}");
}

#[tokio::test]
async fn each_refusal_has_its_own_words() {
    let server = shared();
    let own = [("client_id", server.client_id.as_str()), ("client_secret", &server.client_secret)];
    let mut told = String::new();
    for parameters in [
        vec![],
        vec![("grant_type", "password")],
        vec![("grant_type", "client_credentials"), ("scope", "mcp.read  mcp.write")],
        vec![("grant_type", "client_credentials"), ("scope", "mcp.admin")],
        vec![("grant_type", "client_credentials"), ("resource", "x")],
        vec![("grant_type", "client_credentials"), ("resource", "x"), ("resource", "y")],
        vec![("grant_type", "client_credentials"), ("client_assertion", "x")],
        vec![("grant_type", "client_credentials"), ("grant_type", "client_credentials")],
    ] {
        let answer = Answer::to(server.request("POST", "/token").form(&[&own, &parameters[..]].concat())).await;
        told += &format!("{} {}\n", answer.status, answer.body);
    }
    insta::assert_snapshot!(told, @r#"
    400 {"error":"invalid_request","error_description":"grant_type is missing"}
    400 {"error":"unsupported_grant_type","error_description":"the grant_type is client_credentials"}
    400 {"error":"invalid_scope","error_description":"scopes are separated by single spaces or commas"}
    400 {"error":"invalid_scope","error_description":"a scope is unknown: the scopes are mcp.read and mcp.write"}
    400 {"error":"invalid_target","error_description":"the resource is not the URL of a server that this client may call"}
    400 {"error":"invalid_target","error_description":"a token is for one resource: name one"}
    400 {"error":"invalid_request","error_description":"an assertion and a secret are sent: send one of them"}
    400 {"error":"invalid_request","error_description":"a parameter is sent more than once"}
    "#);
}

// AS-44
#[tokio::test]
async fn the_token_endpoint_is_closed_to_pages_of_other_origins() {
    let server = shared();
    let own = [
        ("grant_type", "client_credentials"),
        ("client_id", server.client_id.as_str()),
        ("client_secret", &server.client_secret),
    ];
    for origin in ["https://a.example", "null", server.url.as_str()] {
        for method in ["OPTIONS", "HEAD", "GET", "POST"] {
            let request = server.request(method, "/token").header("origin", origin);
            let request = request.header("access-control-request-method", "POST");
            let request = if method == "POST" { request.form(&own) } else { request };
            let answer = Answer::to(request).await;
            assert_eq!(answer.status, if method == "POST" { 200 } else { 405 }, "{method} {origin}");
            let cors = answer.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
            assert_eq!(cors, None, "{method} {origin}");
        }
    }
}

// MD-06
#[tokio::test]
async fn authorize_refuses_and_never_redirects() {
    let server = shared();
    for query in [
        "",
        "?response_type=code",
        "?response_type=token",
        "?response_type=code&client_id=demo&redirect_uri=https://a.example/cb&state=x&code_challenge=x",
        "?redirect_uri=javascript:alert(1)",
        "?%",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = Answer::to(server.request(method, &format!("/authorize{query}"))).await;
            assert_eq!((answer.status, answer.header("location")), (400, None), "{method} {query}");
            if method == "GET" {
                answer.assert_refused(query, 400, "unsupported_response_type");
            }
        }
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = Answer::to(server.request(method, "/authorize")).await;
        answer.assert_refused(method, 405, "method_not_allowed");
        assert_eq!((answer.header("allow"), answer.header("location")), (Some("GET, HEAD"), None));
    }
}

#[tokio::test]
async fn paths_beside_the_real_ones_are_not_found() {
    let server = shared();
    for path in ["/token/", "/Token", "/token/x", "/tokens", "/oauth/token", "/authorize/", "/.well-known/", "/jwks"] {
        let answer = Answer::to(server.request("POST", path)).await;
        assert_eq!((answer.status, answer.body.as_str()), (404, r#"{"message":"Not Found"}"#), "{path}");
    }
}

#[test]
fn a_head_that_is_no_http_gets_no_token_and_no_5xx() {
    let server = shared();
    for head in [
        "POST /token HTTP/1.1\r\nConnection: close\r\n",
        "POST /token HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n",
        "POST /token HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: x\r\n",
        "POST /token HTTP/1.1\r\nHost: a\r\nConnection: close\r\nbroken\r\n",
        "POST /tok en HTTP/1.1\r\nHost: a\r\nConnection: close\r\n",
        "POST token HTTP/1.1\r\nHost: a\r\nConnection: close\r\n",
    ] {
        let (status, _, _) = raw(server, format!("{head}\r\n"));
        assert!((400..500).contains(&status), "{status} {head:?}");
    }
    let large = format!("POST /token HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: {}\r\n\r\n", "x".repeat(11_000));
    assert_eq!(raw(server, large).0, 431);
}
