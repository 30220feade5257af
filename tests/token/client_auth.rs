//! How a client proves who it is: `client_secret_basic` and `client_secret_post` (RFC 6749 §2.3).

use black_box::{Server, shared};
use local::Home;
use secrecy::SecretString;

use crate::answer::{Answer, basic, demo, post, post_as, post_with_header, raw};

const NO_TOKEN: &str = r#"{"error":"invalid_client","error_description":"client authentication failed"}"#;

/// A client of the shared server whose secret is this one, as an operator may set it in Secrets Manager.
async fn client_with_secret(server: &Server, secret: &str) -> String {
    let (id, _) = server.new_client(&[]);
    let secrets = Home::new(server.home()).secrets();
    let secret_id = format!("northstar/clients/{id}");
    secrets.delete(&secret_id).await.unwrap();
    assert!(secrets.create(&secret_id, &SecretString::from(secret)).await.unwrap());
    id
}

/// Form-encodes every byte.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

// AS-01
#[tokio::test]
async fn the_secret_in_the_header_gets_a_token() {
    let server = shared();
    let answer = post_with_header(server, basic(&server.client_id, &server.client_secret).as_bytes(), &[]).await;
    answer.assert_issued("Basic");
    insta::assert_json_snapshot!(answer.json(), { ".access_token" => "[token]" }, @r#"
    {
      "access_token": "[token]",
      "token_type": "Bearer",
      "expires_in": 900,
      "scope": "mcp.read"
    }
    "#);
    assert!(!answer.json()["access_token"].as_str().unwrap().is_empty());
}

// AS-02
#[tokio::test]
async fn the_secret_in_the_body_gets_a_token() {
    let server = shared();
    let answer = post_as(server, &demo(server), &[]).await;
    answer.assert_issued("post");
    insta::assert_json_snapshot!(answer.json(), { ".access_token" => "[token]" }, @r#"
    {
      "access_token": "[token]",
      "token_type": "Bearer",
      "expires_in": 900,
      "scope": "mcp.read"
    }
    "#);
}

// AS-06, AS-07
#[tokio::test]
async fn a_wrong_secret_is_refused_with_401_and_a_challenge() {
    let server = shared();
    let (id, secret) = server.new_client(&[]);
    let mut wrong = vec![
        "x".to_owned(),
        " ".to_owned(),
        secret[1..].to_owned(),
        secret[..secret.len() - 1].to_owned(),
        format!("{secret}x"),
        format!("{secret}\0"),
        format!(" {secret}"),
        secret.to_uppercase(),
        "x".repeat(secret.len()),
        "é".to_owned(),
        // Another client's.
        server.new_client(&[]).1,
    ];
    wrong.push(secret.chars().rev().collect());
    let right = (id.clone(), secret);
    for secret in &wrong {
        let in_header = post_with_header(server, basic(&encoded(&id), &encoded(secret)).as_bytes(), &[]).await;
        in_header.assert_refused(secret, 401, "invalid_client");
        assert_eq!(in_header.body, NO_TOKEN);
        let in_body = post_as(server, &(id.clone(), secret.clone()), &[]).await;
        in_body.assert_refused(secret, 401, "invalid_client");
        assert_eq!(in_body.body, NO_TOKEN);
        // So that nobody has to wait: see `brute_force`.
        post_as(server, &right, &[]).await.assert_issued("the right one");
    }
}

// AS-08, AS-40
#[tokio::test]
async fn unknown_disabled_and_expired_clients_and_wrong_secrets_are_answered_byte_for_byte_alike() {
    let server = shared();
    let wrong = |id: &str| (id.to_owned(), "wrong".to_owned());
    let known = server.new_client(&[]).0;
    let expected = post_as(server, &wrong(&known), &[]).await;
    expected.assert_refused("wrong secret", 401, "invalid_client");
    let expected = expected.without_date_and_id();

    let disabled = server.new_client(&[]);
    server.json_command(&["client", "disable", &disabled.0]);
    let expired = server.new_client(&["--expires", "2020-01-31"]);
    let just_expired = server.new_client(&["--expires", "2020-01-31T12:00:00Z"]);
    let only_post = server.new_client(&["--auth-method", "client_secret_post"]);
    let unknown = [
        "unknown",
        "DEMO",
        "demo ",
        " demo",
        "demo\0",
        "d\u{435}mo",
        "../demo",
        "CLIENT#demo",
        "demo#",
        "*",
        "-",
        "' OR 1=1--",
        "{{client_id}}",
        "0000000000000000000000",
    ];
    let too_long = "x".repeat(65);
    let mut clients: Vec<_> = unknown.into_iter().chain([too_long.as_str()]).map(wrong).collect();
    clients.push(("unknown".to_owned(), server.client_secret.clone()));
    clients.extend([wrong(&disabled.0), disabled, wrong(&expired.0), expired, just_expired]);
    for client in &clients {
        let in_body = post_as(server, client, &[]).await;
        assert_eq!(in_body.without_date_and_id(), expected, "{client:?} in the body");
        let header = basic(&encoded(&client.0), &encoded(&client.1));
        let in_header = post_with_header(server, header.as_bytes(), &[]).await;
        assert_eq!(in_header.without_date_and_id(), expected, "{client:?} in the header");
    }
    let other_method = post_with_header(server, basic(&only_post.0, &only_post.1).as_bytes(), &[]).await;
    assert_eq!(other_method.without_date_and_id(), expected, "a method the client may not use");
}

// AS-09
#[tokio::test]
async fn a_request_without_credentials_is_refused_with_401() {
    let server = shared();
    let id = &server.client_id;
    for parameters in [
        String::new(),
        format!("&client_id={id}"),
        format!("&client_id={id}&client_secret="),
        format!("&client_secret={}", server.client_secret),
        format!("&client_id=&client_secret={}", server.client_secret),
        "&client_id=&client_secret=".to_owned(),
        format!("&CLIENT_ID={id}&CLIENT_SECRET={}", server.client_secret),
        format!("&username={id}&password={}", server.client_secret),
    ] {
        let answer = post(server, format!("grant_type=client_credentials{parameters}")).await;
        answer.assert_refused(&parameters, 401, "invalid_client");
        assert_eq!(answer.body, NO_TOKEN);
    }
    post(server, "").await.assert_refused("an empty body", 401, "invalid_client");
}

// AS-10
#[tokio::test]
async fn two_ways_to_authenticate_in_one_request_are_refused() {
    let server = shared();
    let (id, secret) = demo(server);
    let header = basic(&id, &secret);
    for (what, header, parameters) in [
        ("the same twice", header.as_str(), vec![("client_id", id.as_str()), ("client_secret", &secret)]),
        ("no id in the body", &header, vec![("client_secret", &secret)]),
        ("another secret in the body", &header, vec![("client_id", &id), ("client_secret", "x")]),
        ("a wrong one in the header", &basic(&id, "x"), vec![("client_id", &id), ("client_secret", &secret)]),
        ("a broken header", "Basic !!!", vec![("client_id", &id), ("client_secret", &secret)]),
        ("another scheme", "Bearer x", vec![("client_id", &id), ("client_secret", &secret)]),
    ] {
        let answer = post_with_header(server, header.as_bytes(), &parameters).await;
        answer.assert_refused(what, 400, "invalid_request");
    }
}

// AS-11
#[tokio::test]
async fn the_client_id_may_be_repeated_in_the_body_beside_the_header() {
    let server = shared();
    let (id, secret) = demo(server);
    let header = basic(&id, &secret);
    let repeated = post_with_header(server, header.as_bytes(), &[("client_id", &id)]).await;
    repeated.assert_issued("the same id");
    // RFC 6749 §3.2: a parameter without a value counts as omitted.
    let empty = post_with_header(server, header.as_bytes(), &[("client_id", ""), ("client_secret", "")]).await;
    empty.assert_issued("empty parameters");
}

// AS-12
#[tokio::test]
async fn another_client_id_in_the_body_than_in_the_header_is_refused() {
    let server = shared();
    let (id, secret) = demo(server);
    let other = server.new_client(&[]).0;
    for body_id in [other.as_str(), "x", "Demo", &format!("{id} ")] {
        let answer = post_with_header(server, basic(&id, &secret).as_bytes(), &[("client_id", body_id)]).await;
        answer.assert_refused(body_id, 400, "invalid_request");
    }
}

// AS-13, AS-17
#[tokio::test]
async fn a_broken_or_foreign_authorization_header_is_refused_with_401() {
    let server = shared();
    let (id, secret) = demo(server);
    let header = basic(&id, &secret);
    let encoded = header.strip_prefix("Basic ").unwrap();
    let broken: Vec<Vec<u8>> = [
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic =",
        "Basic ====",
        "Basic Og==",
        "Basic \u{feff}",
        "Basic\u{a0}ZGVtbw==",
        "Bearer x",
        "Bearer",
        "Digest username=demo",
        "Negotiate YII=",
        "DPoP x",
        "x",
        ",",
        // Without a colon; without its padding.
        "Basic ZGVtbw==",
        "Basic ZGVtbzp4eA",
        &basic(&id, ""),
        &basic("", &secret),
        &basic(&id, "%zz"),
        &basic(&id, "%"),
        &basic(&id, "%e9"),
        &basic("%zz", &secret),
        encoded,
        &format!("Basic{encoded}"),
        &format!("Basic  {encoded}"),
        &format!("Basic\t{encoded}"),
        &format!("Basic {encoded} x"),
        &format!("Basic {encoded},"),
        &format!("Basic {encoded}, Basic {encoded}"),
        &format!("Basic realm=northstar {encoded}"),
        &format!("Bearer {encoded}"),
        &format!("\"Basic {encoded}\""),
        &format!("Basic {}!", &encoded[..encoded.len() - 1]),
        &format!("Basic {}", "A".repeat(8_000)),
    ]
    .iter()
    .map(|header| header.as_bytes().to_vec())
    .chain([b"Basic \xff\xfe".to_vec(), b"\xff".to_vec()])
    .collect();
    for header in &broken {
        let answer = post_with_header(server, header, &[]).await;
        answer.assert_refused(&String::from_utf8_lossy(header), 401, "invalid_client");
        assert_eq!(answer.body, NO_TOKEN);
    }
}

// AS-13
#[test]
fn two_authorization_headers_are_refused_even_when_both_are_right() {
    let server = shared();
    let header = basic(&server.client_id, &server.client_secret);
    let (status, head, body) = raw(
        server,
        format!(
            "POST /token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: {header}\r\n\
             Authorization: {header}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: 29\r\n\r\ngrant_type=client_credentials"
        ),
    );
    assert_eq!((status, body.as_str()), (401, NO_TOKEN));
    assert!(head.contains("www-authenticate: Basic realm=\"northstar\""), "{head}");
}

// AS-14
#[tokio::test]
async fn a_secret_with_special_characters_works_form_encoded_in_the_header_and_in_the_body() {
    let server = shared();
    for secret in ["a:b+c%d e\u{e9}", ":", "+", "%", "%41", "&=;", " ", "\u{1f511}", "\"\\\r\n\t"] {
        let id = client_with_secret(server, secret).await;
        let header = basic(&encoded(&id), &encoded(secret));
        post_with_header(server, header.as_bytes(), &[]).await.assert_issued(secret);
        post_as(server, &(id.clone(), secret.to_owned()), &[]).await.assert_issued(secret);
    }
    // As form encoders write it: a plus for a space, everything else escaped or not.
    let id = client_with_secret(server, "a b+c").await;
    for written in ["a+b%2Bc", "a%20b%2bc", "%61+b%2Bc"] {
        post_with_header(server, basic(&id, written).as_bytes(), &[]).await.assert_issued(written);
    }
}

// AS-14, AS-15: what form-decoding leaves alone need not be encoded.
#[tokio::test]
async fn characters_that_decoding_keeps_may_be_sent_raw_in_the_header() {
    let server = shared();
    for secret in ["plain-_.~", "a:b:c", "\u{e9}", "a&b=c", "a b"] {
        let id = client_with_secret(server, secret).await;
        post_with_header(server, basic(&id, secret).as_bytes(), &[]).await.assert_issued(secret);
    }
}

// AS-15
#[tokio::test]
async fn a_raw_secret_that_decoding_changes_is_refused() {
    let server = shared();
    for secret in ["a+b", "%41", "50%25", "100%", "%zz", "%4", "a%2Bb"] {
        let id = client_with_secret(server, secret).await;
        let answer = post_with_header(server, basic(&id, secret).as_bytes(), &[]).await;
        answer.assert_refused(secret, 401, "invalid_client");
    }
}

// AS-16
#[tokio::test]
async fn the_scheme_is_read_in_any_case() {
    let server = shared();
    let header = basic(&server.client_id, &server.client_secret);
    for scheme in ["basic", "BASIC", "bAsIc"] {
        post_with_header(server, header.replacen("Basic", scheme, 1).as_bytes(), &[]).await.assert_issued(scheme);
    }
}

// AS-18
#[tokio::test]
async fn credentials_and_parameters_in_the_query_are_refused() {
    let server = shared();
    let (id, secret) = demo(server);
    let right = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    for query in [
        right.clone(),
        format!("client_id={id}&client_secret={secret}"),
        format!("client_id={id}"),
        format!("client_secret={secret}"),
        "client_secret=".to_owned(),
        "client_secret".to_owned(),
        "client%5Fsecret=x".to_owned(),
        "client%5fassertion=x".to_owned(),
        "x=y&client_secret=x".to_owned(),
        "client_assertion=x".to_owned(),
        "grant_type=client_credentials".to_owned(),
        "scope=mcp.read".to_owned(),
        "resource=x".to_owned(),
    ] {
        let request = |body: &str| {
            let request = server.request("POST", &format!("/token?{query}"));
            request.header("content-type", "application/x-www-form-urlencoded").body(body.to_owned())
        };
        Answer::to(request(&right)).await.assert_refused(&query, 400, "invalid_request");
        let without = "grant_type=client_credentials";
        Answer::to(request(without)).await.assert_refused(&query, 400, "invalid_request");
    }
}

#[tokio::test]
async fn each_method_works_for_the_clients_that_may_use_it_and_for_no_other() {
    let server = shared();
    for (method, other) in
        [("client_secret_post", "client_secret_basic"), ("client_secret_basic", "client_secret_post")]
    {
        let client = server.new_client(&["--auth-method", method]);
        for used in [method, other] {
            let answer = match used {
                "client_secret_post" => post_as(server, &client, &[]).await,
                _ => post_with_header(server, basic(&client.0, &client.1).as_bytes(), &[]).await,
            };
            if used == method {
                answer.assert_issued(used);
            } else {
                answer.assert_refused(used, 401, "invalid_client");
            }
        }
    }
}
