//! What an authenticated client asks for and gets: grant type, scopes (RFC 6749), resource (RFC 8707), lifetime.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use black_box::{Server, shared};
use local::Home;
use registry::ServerName;
use serde_json::Value;

use crate::answer::{Answer, demo, post_as};

/// The claims of an issued token, unverified.
fn claims(answer: &Answer) -> Value {
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

/// A form without a `grant_type` of ours.
async fn post_grant(parameters: &[(&str, &str)]) -> Answer {
    let server = shared();
    let own = [("client_id", server.client_id.as_str()), ("client_secret", &server.client_secret)];
    Answer::to(server.request("POST", "/token").form(&[&own, parameters].concat())).await
}

// AS-19
#[tokio::test]
async fn a_missing_or_empty_grant_type_is_refused() {
    for parameters in [vec![], vec![("grant_type", "")], vec![("GRANT_TYPE", "client_credentials")]] {
        let answer = post_grant(&parameters).await;
        answer.assert_refused(&format!("{parameters:?}"), 400, "invalid_request");
        assert_eq!(answer.body, r#"{"error":"invalid_request","error_description":"grant_type is missing"}"#);
    }
}

// AS-20
#[tokio::test]
async fn any_other_grant_type_is_refused() {
    for grant_type in [
        "password",
        "authorization_code",
        "refresh_token",
        "implicit",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:device_code",
        "CLIENT_CREDENTIALS",
        "client_credentials ",
        " client_credentials",
        "client-credentials",
        "client_credentials,password",
        "client_credentials\0",
        "\u{fffd}",
        " ",
    ] {
        let answer = post_grant(&[("grant_type", grant_type)]).await;
        answer.assert_refused(grant_type, 400, "unsupported_grant_type");
    }
}

// AS-20: the parameters of other flows change nothing about that.
#[tokio::test]
async fn the_parameters_of_other_flows_get_no_token_of_theirs() {
    let password = [("grant_type", "password"), ("username", "admin"), ("password", "admin")];
    post_grant(&password).await.assert_refused("password", 400, "unsupported_grant_type");
    let code = [("grant_type", "authorization_code"), ("code", "x"), ("redirect_uri", "https://a.example")];
    post_grant(&code).await.assert_refused("code", 400, "unsupported_grant_type");
}

// AS-23
#[tokio::test]
async fn unknown_parameters_are_ignored() {
    let server = shared();
    for parameters in [
        vec![("foo", "bar")],
        vec![("audience", "https://a.example")],
        vec![("aud", "x"), ("sub", "admin"), ("exp", "9999999999"), ("client_id_hint", "x")],
        vec![("", "x"), ("x", "")],
        vec![("expires_in", "999999"), ("lifetime", "1"), ("token_type", "mac")],
        vec![("nonce", "\u{1f511}"), ("state", "\"\\")],
        vec![("response_type", "code"), ("redirect_uri", "https://a.example")],
    ] {
        let answer = post_as(server, &demo(server), &parameters).await;
        answer.assert_issued(&format!("{parameters:?}"));
        let claims = claims(&answer);
        assert_eq!((&claims["sub"], &claims["aud"]), (&"client:demo".into(), &format!("{}/mcp", server.url).into()));
        assert_eq!(answer.json()["expires_in"], 900);
    }
}

// AS-24, AS-28
#[tokio::test]
async fn without_a_scope_the_default_scopes_are_granted_and_told() {
    let server = shared();
    let writer = server.new_client(&["--scope", "mcp.write"]);
    let both = server.new_client(&["--scope", "mcp.read", "--scope", "mcp.write"]);
    let reader = server.new_client(&[]);
    for client in [&demo(server), &writer, &both, &reader] {
        for parameters in [vec![], vec![("scope", "")]] {
            let answer = post_as(server, client, &parameters).await;
            assert_eq!(answer.granted_scope(&client.0), "mcp.read");
            assert_eq!(claims(&answer)["scope"], "mcp.read");
        }
    }
}

// AS-25
#[tokio::test]
async fn an_unknown_scope_is_refused_and_not_dropped() {
    let server = shared();
    for scope in [
        "mcp.admin",
        "mcp.read mcp.admin",
        "mcp.admin mcp.read",
        "mcp.read,mcp.admin",
        "MCP.READ",
        "mcp.rea",
        "mcp.reads",
        "mcp",
        "mcp.*",
        "*",
        "openid",
        "offline_access",
        "mcp.read;mcp.write",
        "mcp.read|mcp.write",
        "mcp.read+mcp.write",
        "https://a.example/mcp.read",
    ] {
        let answer = post_as(server, &demo(server), &[("scope", scope)]).await;
        answer.assert_refused(scope, 400, "invalid_scope");
    }
}

// AS-26
#[tokio::test]
async fn a_scope_that_the_client_does_not_have_is_refused() {
    let server = shared();
    let reader = server.new_client(&["--scope", "mcp.read"]);
    for scope in ["mcp.write", "mcp.read mcp.write", "mcp.write,mcp.read", "mcp.write mcp.write"] {
        let answer = post_as(server, &reader, &[("scope", scope)]).await;
        answer.assert_refused(scope, 400, "invalid_scope");
        let expected = r#"{"error":"invalid_scope","error_description":"a scope is not granted to this client"}"#;
        assert_eq!(answer.body, expected);
    }
    assert_eq!(post_as(server, &reader, &[("scope", "mcp.read")]).await.granted_scope("mcp.read"), "mcp.read");
}

// AS-26: mcp.write implies mcp.read, so a narrower token can be had.
#[tokio::test]
async fn a_client_that_may_write_may_ask_for_less() {
    let server = shared();
    let writer = server.new_client(&["--scope", "mcp.write"]);
    for (asked, granted) in
        [("mcp.read", "mcp.read"), ("mcp.write", "mcp.write"), ("mcp.write mcp.read", "mcp.read mcp.write")]
    {
        let answer = post_as(server, &writer, &[("scope", asked)]).await;
        assert_eq!(answer.granted_scope(asked), granted);
    }
}

// AS-27
#[tokio::test]
async fn a_scope_that_breaks_the_grammar_is_refused() {
    let server = shared();
    for scope in [
        "mcp.read\tmcp.write",
        "mcp.read\nmcp.write",
        "mcp.read\r\nmcp.write",
        "\"mcp.read\"",
        "mcp\\.read",
        "mcp.read\0",
        "\0",
        "mcp.r\u{e9}ad",
        "mcp.read\u{a0}mcp.write",
        "mcp.read\u{200b}",
        "mcp.\u{440}ead",
        "mcp.read  mcp.write",
        " mcp.read",
        "mcp.read ",
        " ",
        ",",
        "mcp.read,",
        ",mcp.read",
        "mcp.read,,mcp.write",
        "mcp.read ,mcp.write",
        "mcp.read,  mcp.write",
        "mcp.read\u{7f}",
        "[\"mcp.read\"]",
    ] {
        let answer = post_as(server, &demo(server), &[("scope", scope)]).await;
        answer.assert_refused(&format!("{scope:?}"), 400, "invalid_scope");
    }
    let long = "mcp.read ".repeat(400) + "mcp.read";
    assert_eq!(post_as(server, &demo(server), &[("scope", &long)]).await.granted_scope("long"), "mcp.read");
}

// AS-28, AS-29
#[tokio::test]
async fn order_repeats_and_commas_do_not_change_what_is_granted() {
    let server = shared();
    for (asked, granted) in [
        ("mcp.read", "mcp.read"),
        ("mcp.read mcp.read", "mcp.read"),
        ("mcp.read,mcp.read", "mcp.read"),
        ("mcp.write", "mcp.write"),
        ("mcp.read mcp.write", "mcp.read mcp.write"),
        ("mcp.write mcp.read", "mcp.read mcp.write"),
        ("mcp.write mcp.read mcp.write mcp.read", "mcp.read mcp.write"),
        ("mcp.read,mcp.write", "mcp.read mcp.write"),
        ("mcp.write, mcp.read", "mcp.read mcp.write"),
    ] {
        let answer = post_as(server, &demo(server), &[("scope", asked)]).await;
        assert_eq!(answer.granted_scope(asked), granted, "{asked}");
        assert_eq!(claims(&answer)["scope"], granted, "{asked}");
    }
}

// AS-36, AS-39
#[tokio::test]
async fn the_audience_is_the_resource_asked_for_or_the_default_server() {
    let server = shared();
    let mcp = format!("{}/mcp", server.url);
    for parameters in [vec![], vec![("resource", "")], vec![("resource", mcp.as_str())]] {
        let answer = post_as(server, &demo(server), &parameters).await;
        answer.assert_issued(&format!("{parameters:?}"));
        assert_eq!(claims(&answer)["aud"], mcp.as_str(), "{parameters:?}");
    }
}

// AS-37
#[tokio::test]
async fn a_resource_that_is_not_the_url_of_a_server_of_the_client_is_refused() {
    let server = shared();
    let url = &server.url;
    let port = url.rsplit(':').next().unwrap();
    let [other_scheme, _] = server.near_urls();
    for resource in [
        "/mcp".to_owned(),
        "mcp".to_owned(),
        "default".to_owned(),
        "x".to_owned(),
        " ".to_owned(),
        "javascript:alert(1)".to_owned(),
        "data:,x".to_owned(),
        "urn:northstar:mcp".to_owned(),
        "https://a.example/mcp".to_owned(),
        "//127.0.0.1/mcp".to_owned(),
        "http://[".to_owned(),
        url.clone(),
        format!("{url}/"),
        format!("{url}/mcp/"),
        format!("{url}/mcp#frag"),
        format!("{url}/mcp#"),
        format!("{url}/mcp?x"),
        format!("{url}/mcp?"),
        format!("{url}/mcp/default"),
        format!("{url}/mcp/unknown"),
        format!("{url}/mcp2"),
        format!("{url}/mc"),
        format!("{url}/MCP"),
        format!("{url}//mcp"),
        format!("{url}/./mcp"),
        format!("{url}/%6dcp"),
        format!("{url}/token"),
        format!(" {url}/mcp"),
        format!("{url}/mcp "),
        format!("{url}/mcp\0"),
        format!("{url}/mcp {url}/mcp"),
        format!("{url}/mcp,{url}/mcp"),
        format!("{other_scheme}/mcp"),
        url.replacen("http", "HTTP", 1) + "/mcp",
        format!("http://localhost:{port}/mcp"),
        format!("http://127.0.0.1.a.example:{port}/mcp"),
        format!("http://user@127.0.0.1:{port}/mcp"),
        "http://127.0.0.1/mcp".to_owned(),
    ] {
        let answer = post_as(server, &demo(server), &[("resource", &resource)]).await;
        answer.assert_refused(&resource, 400, "invalid_target");
    }
}

// AS-38
#[tokio::test]
async fn two_resources_are_refused_even_when_they_are_equal() {
    let server = shared();
    let mcp = format!("{}/mcp", server.url);
    for second in [mcp.as_str(), "https://a.example/mcp"] {
        let answer = post_as(server, &demo(server), &[("resource", &mcp), ("resource", second)]).await;
        answer.assert_refused(second, 400, "invalid_target");
        let expected = r#"{"error":"invalid_target","error_description":"a token is for one resource: name one"}"#;
        assert_eq!(answer.body, expected);
    }
}

// AS-36, AS-37, AS-39
#[tokio::test]
async fn a_client_gets_tokens_for_its_servers_alone_and_for_the_first_one_unasked() {
    let server = Server::start(&[]);
    let open = Home::new(server.home()).open().await.unwrap();
    let default = open.registry.server(&ServerName::default_server()).await.unwrap().unwrap();
    let name = ServerName::parse("orders").unwrap();
    open.registry.create_server(&registry::Server { name, ..default }, std::time::SystemTime::now()).await.unwrap();
    let (mcp, orders) = (format!("{}/mcp", server.url), format!("{}/mcp/orders", server.url));

    let only_default = server.new_client(&[]);
    let only_orders = server.new_client(&["--server", "orders"]);
    let orders_first = server.new_client(&["--server", "orders", "--server", "default"]);
    for (client, resource, audience) in [
        (&only_default, None, Some(&mcp)),
        (&only_default, Some(&mcp), Some(&mcp)),
        (&only_default, Some(&orders), None),
        (&only_orders, None, Some(&orders)),
        (&only_orders, Some(&orders), Some(&orders)),
        (&only_orders, Some(&mcp), None),
        (&orders_first, None, Some(&orders)),
        (&orders_first, Some(&mcp), Some(&mcp)),
        (&orders_first, Some(&orders), Some(&orders)),
    ] {
        let parameters: Vec<_> = resource.iter().map(|resource| ("resource", resource.as_str())).collect();
        let answer = post_as(&server, client, &parameters).await;
        match audience {
            Some(audience) => assert_eq!(claims(&answer)["aud"], audience.as_str()),
            None => answer.assert_refused(&format!("{resource:?}"), 400, "invalid_target"),
        }
    }
}

#[tokio::test]
async fn the_lifetime_is_the_clients() {
    let server = shared();
    for (lifetime, seconds) in [("1m", 60), ("15m", 900), ("1h", 3600)] {
        let client = server.new_client(&["--token-lifetime", lifetime]);
        let answer = post_as(server, &client, &[]).await;
        answer.assert_issued(lifetime);
        assert_eq!(answer.json()["expires_in"], seconds);
        let claims = claims(&answer);
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), seconds);
    }
}

// The order of the rules: who, then which grant, then for what, then with which scopes.
#[tokio::test]
async fn the_first_broken_rule_is_the_one_that_is_told() {
    let server = shared();
    let (id, secret) = demo(server);
    let all = [("scope", "mcp.admin"), ("resource", "x"), ("grant_type", "password")];
    for (secret, parameters, status, error) in [
        ("x", &all[..], 401, "invalid_client"),
        (secret.as_str(), &all[..], 400, "unsupported_grant_type"),
        (&secret, &[all[0], all[1], ("grant_type", "client_credentials")], 400, "invalid_target"),
        (&secret, &[all[0], ("grant_type", "client_credentials")], 400, "invalid_scope"),
    ] {
        let own = [("client_id", id.as_str()), ("client_secret", secret)];
        let answer = Answer::to(server.request("POST", "/token").form(&[&own, parameters].concat())).await;
        answer.assert_refused(error, status, error);
    }
}
