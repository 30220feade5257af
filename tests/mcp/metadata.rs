//! What anyone may ask: protected-resource metadata (RFC 9728), status, and what is not there.

use black_box::forge::all_secrets;
use black_box::shared;
use insta::assert_snapshot;

use crate::prepared::prepared;
use crate::{PING, error_of, header, read, send};

const METADATA: [&str; 2] = ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"];

#[tokio::test]
async fn both_forms_of_the_metadata_describe_the_default_server() {
    let server = shared();
    for path in METADATA {
        let response = server.request("GET", path).send().await.unwrap();
        let headers = ["content-type", "cache-control", "access-control-allow-origin", "www-authenticate"]
            .map(|name| header(server, &response, name));
        assert_eq!(headers, ["application/json", "public, max-age=300", "*", ""]);
        let (status, body) = read(response).await;
        insta::allow_duplicates! {
        assert_snapshot!(format!("{status} {body:#}").replace(&server.url, "[url]"), @r#"
        200 {
          "resource": "[url]/mcp",
          "resource_name": "Northstar",
          "authorization_servers": [
            "[url]"
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
        }
    }
}

#[tokio::test]
async fn a_named_server_has_metadata_of_its_own() {
    let server = &prepared().server;
    let (status, body) = send(server.request("GET", &format!("{}/orders", METADATA[1]))).await;
    let said = (status, body["resource"].as_str().unwrap(), body["authorization_servers"][0].as_str().unwrap());
    assert_eq!(said, (200, &*format!("{}/mcp/orders", server.url), &*server.url));
}

#[tokio::test]
async fn nothing_in_the_metadata_comes_from_the_request() {
    let server = shared();
    for path in METADATA {
        let expected = send(server.request("GET", path)).await;
        for (name, value) in [
            ("host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "host=evil.example;proto=https"),
            ("x-forwarded-proto", "gopher"),
            ("origin", "https://evil.example"),
            ("accept", "text/html"),
            ("authorization", "Bearer garbage"),
        ] {
            assert_eq!(send(server.request("GET", path).header(name, value)).await, expected, "{name}: {value}");
        }
        assert_eq!(send(server.request("GET", &format!("{path}?host=evil.example&%zz"))).await, expected);
        let head = server.request("HEAD", path).send().await.unwrap();
        assert_eq!((head.status().as_u16(), head.text().await.unwrap().as_str()), (200, ""));
    }
}

#[tokio::test]
async fn a_server_that_does_not_exist_has_no_metadata_and_no_endpoint() {
    let server = shared();
    let token = server.token().await;
    for name in ["default", "nope", "Orders", "1a", "a_b", "-a", "%64efault", &"a".repeat(41)] {
        let metadata = send(server.request("GET", &format!("{}/{name}", METADATA[1]))).await;
        let code = metadata.1["error"].as_str().unwrap_or_default();
        assert!(matches!((metadata.0, code), (404, "unknown_server" | "not_found")), "{name}: {metadata:?}");
        for token in [None, Some(&token)] {
            let mut request =
                server.request("POST", &format!("/mcp/{name}")).header("content-type", "application/json");
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let answer = send(request.body(PING)).await;
            assert_eq!(error_of(&answer), (404, -32600, "unknown_server"), "{name}");
        }
    }
}

#[tokio::test]
async fn other_methods_are_refused_before_anything_else_is_looked_at() {
    let server = shared();
    let token = server.token().await;
    for method in ["GET", "DELETE", "PUT", "PATCH", "OPTIONS"] {
        for authorization in ["", "Bearer garbage", &format!("Bearer {token}")] {
            let mut request = server.request(method, "/mcp").header("accept", "text/event-stream");
            if !authorization.is_empty() {
                request = request.header("authorization", authorization);
            }
            let response = request.send().await.unwrap();
            assert_eq!(header(server, &response, "allow"), "POST", "{method}");
            assert_eq!(header(server, &response, "www-authenticate"), "", "{method}");
            let answer = read(response).await;
            assert_eq!(error_of(&answer), (405, -32600, "method_not_allowed"), "{method}");
        }
    }
    let head = server.request("HEAD", "/mcp").send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(server, &head, "allow")), (405, "POST".to_owned()));
    for path in ["/", "/healthz", "/readyz", METADATA[0], METADATA[1]] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let response = server.request(method, path).send().await.unwrap();
            assert_eq!((response.status().as_u16(), header(server, &response, "allow")), (405, "GET, HEAD".to_owned()));
        }
    }
}

#[tokio::test]
async fn a_request_from_another_site_is_refused_before_anything_else_is_looked_at() {
    let server = shared();
    let token = server.token().await;
    let port = server.url.rsplit_once(':').unwrap().1;
    let other_port = format!("http://127.0.0.1:{}", port.parse::<u16>().unwrap() ^ 1);
    let as_https = server.url.replace("http:", "https:");
    for origin in [
        "https://evil.example",
        "null",
        "",
        "file://",
        &other_port,
        &as_https,
        &format!("{}.evil.example", server.url),
        &format!("{}/", server.url),
        &format!("{0}, {0}", server.url),
    ] {
        for method in ["POST", "GET", "DELETE"] {
            for token in ["", "garbage", &token] {
                let request = server.request(method, "/mcp").bearer_auth(token).header("origin", origin).body(PING);
                let response = request.header("content-type", "application/json").send().await.unwrap();
                assert_eq!(header(server, &response, "access-control-allow-origin"), "");
                let answer = read(response).await;
                assert_eq!(error_of(&answer), (403, -32600, "origin_not_allowed"), "{method} {origin}");
            }
        }
    }
    for origin in [server.url.clone(), format!("http://localhost:{port}")] {
        let response = server.mcp(&token).header("origin", &origin).body(PING).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), header(server, &response, "access-control-allow-origin")),
            (200, "".to_owned())
        );
    }
}

#[tokio::test]
async fn a_request_for_another_host_is_refused() {
    let server = shared();
    let token = server.token().await;
    let port = server.url.rsplit_once(':').unwrap().1;
    for host in
        ["evil.example", "127.0.0.1", &format!("evil.example:{port}"), &format!("127.0.0.1.evil.example:{port}")]
    {
        let answer = send(server.mcp(&token).header("host", host).body(PING)).await;
        assert_eq!(error_of(&answer), (421, -32600, "host_not_served"), "{host}");
    }
    let answer = send(server.mcp(&token).header("host", format!("localhost:{port}")).body(PING)).await;
    assert_eq!(answer.0, 200);
}

#[tokio::test]
async fn the_status_pages_tell_what_anyone_may_know() {
    let server = shared();
    let mut pages = String::new();
    for path in ["/", "/healthz", "/readyz"] {
        let response = server.request("GET", path).send().await.unwrap();
        assert_eq!(header(server, &response, "cache-control"), "no-store");
        let (status, body) = read(response).await;
        pages += &format!("{path} {status} {body}\n");
    }
    assert_snapshot!(pages.replace(&server.url, "[url]"), @r#"
    / 200 {"service":"northstar","version":"0.1.0","mcp":"[url]/mcp","token":"[url]/token","status":"ok"}
    /healthz 200 {"status":"ok"}
    /readyz 200 {"status":"ok","checks":{"public_keys":"ok","revocations":"ok","default_server":"ok","state_key":"ok"}}
    "#);
    let secrets = all_secrets(server.home());
    assert!(secrets.len() >= 3 && secrets.iter().all(|secret| !pages.contains(secret)));
}

#[tokio::test]
async fn a_path_that_is_not_served_is_not_found() {
    let server = shared();
    for path in
        ["/x", "/mcp/", "/mcp/a/b", "/mcp2", "/MCP", "//mcp", "/.well-known/oauth-protected-resource/x", "/.env"]
    {
        for method in ["GET", "POST"] {
            assert_eq!(send(server.request(method, path)).await.0, 404, "{method} {path}");
        }
    }
}
