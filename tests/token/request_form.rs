//! How a token request has to be written: a form, strictly (RFC 6749 §4.4.2 and Appendix B), and by POST.

use black_box::{Server, shared};

use crate::answer::{Answer, demo, form, post, raw};

/// The demo client's request, as text.
fn right(server: &Server) -> String {
    let (id, secret) = demo(server);
    format!("grant_type=client_credentials&client_id={id}&client_secret={secret}")
}

// AS-22
#[tokio::test]
async fn a_parameter_sent_twice_is_refused_even_with_equal_values() {
    let server = shared();
    let (id, secret) = demo(server);
    for parameter in [
        "grant_type=client_credentials",
        "grant_type=password",
        "grant_type=",
        "grant%5Ftype=client_credentials",
        "scope=mcp.read&scope=mcp.read",
        "scope=mcp.read&scope=mcp.write",
        "scope=&scope=mcp.read",
        &format!("client_id={id}"),
        "client_id=x",
        "client_id=",
        &format!("client_secret={secret}"),
        "client_secret=x",
        "client_secret=",
    ] {
        for body in [format!("{}&{parameter}", right(server)), format!("{parameter}&{}", right(server))] {
            let answer = post(server, body).await;
            answer.assert_refused(parameter, 400, "invalid_request");
            let expected = r#"{"error":"invalid_request","error_description":"a parameter is sent more than once"}"#;
            assert_eq!(answer.body, expected, "{parameter}");
        }
    }
}

// AS-22: the form is judged before the client, so a malformed request costs no look at it.
#[tokio::test]
async fn a_parameter_sent_twice_is_refused_before_the_client_is_looked_at() {
    let server = shared();
    let wrong = "client_id=demo&client_secret=x";
    for twice in ["grant_type=a&grant_type=b", "scope=a&scope=b&grant_type=client_credentials"] {
        post(server, format!("{wrong}&{twice}")).await.assert_refused(twice, 400, "invalid_request");
    }
}

// AS-30, AS-32
#[tokio::test]
async fn any_other_content_type_is_refused() {
    let server = shared();
    let (id, secret) = demo(server);
    let json = format!(r#"{{"grant_type":"client_credentials","client_id":"{id}","client_secret":"{secret}"}}"#);
    for (content_type, body) in [
        (Some("application/json"), json.clone()),
        (Some("application/json; charset=utf-8"), json.clone()),
        (Some("application/json"), right(server)),
        (Some("text/plain"), right(server)),
        (Some("text/plain; application/x-www-form-urlencoded"), right(server)),
        (Some("multipart/form-data; boundary=x"), right(server)),
        (Some("application/x-www-form-urlencoded-x"), right(server)),
        (Some("application/x-www-form-urlencoded, application/json"), right(server)),
        (Some("x-www-form-urlencoded"), right(server)),
        (Some("*/*"), right(server)),
        (Some(""), right(server)),
        (Some(";"), right(server)),
        (Some("\u{e9}"), right(server)),
        (None, right(server)),
        (None, json),
        (None, String::new()),
    ] {
        let request = server.request("POST", "/token").body(body);
        let request = match content_type {
            Some(content_type) => request.header("content-type", content_type.as_bytes()),
            None => request,
        };
        let answer = Answer::to(request).await;
        answer.assert_refused(&format!("{content_type:?}"), 400, "invalid_request");
    }
}

// AS-30
#[tokio::test]
async fn json_that_says_it_is_a_form_is_no_client() {
    let server = shared();
    let (id, secret) = demo(server);
    let json = format!(r#"{{"grant_type":"client_credentials","client_id":"{id}","client_secret":"{secret}"}}"#);
    post(server, json).await.assert_refused("JSON", 401, "invalid_client");
}

// AS-31
#[tokio::test]
async fn the_content_type_is_read_in_any_case_and_with_parameters() {
    let server = shared();
    for content_type in [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded;charset=UTF-8",
        "application/x-www-form-urlencoded; charset=utf-8",
        "application/x-www-form-urlencoded ; charset=\"utf-8\"",
        "application/x-www-form-urlencoded;",
        "APPLICATION/X-WWW-FORM-URLENCODED",
        "Application/X-Www-Form-Urlencoded;Charset=UTF-8",
    ] {
        let request = server.request("POST", "/token").header("content-type", content_type).body(right(server));
        Answer::to(request).await.assert_issued(content_type);
    }
}

// AS-33
#[tokio::test]
async fn any_other_method_is_refused_with_405_and_the_one_that_works() {
    let server = shared();
    let canary = "canary-of-the-method-test";
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"] {
        for query in ["", "?", &format!("?grant_type=client_credentials&client_id=demo&client_secret={canary}")] {
            let answer = Answer::to(server.request(method, &format!("/token{query}"))).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method} {query}");
            match method {
                "HEAD" => assert_eq!(answer.body, ""),
                _ => answer.assert_refused(method, 405, "method_not_allowed"),
            }
        }
        let with_form = server.request(method, "/token").header("content-type", "application/x-www-form-urlencoded");
        let answer = Answer::to(with_form.body(right(server))).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method} with a form");
    }
    assert!(!server.log().contains(canary));
}

// AS-34
#[tokio::test]
async fn a_body_that_is_not_form_encoded_utf_8_is_refused() {
    let server = shared();
    let with = |end: &[u8]| [right(server).as_bytes(), b"&", end].concat();
    for end in [
        &b"x=%"[..],
        b"x=%4",
        b"x=%zz",
        b"x=%%",
        b"x=% 41",
        b"x=%u0041",
        b"x=%ff",
        b"x=%c3%28",
        b"x=%c0%af",
        b"x=%ed%a0%80",
        b"x=\xff",
        b"x=\xc3",
        b"\xff=x",
        b"%=x",
        b"%zz",
        b"scope=%",
    ] {
        let answer = post(server, with(end)).await;
        answer.assert_refused(&String::from_utf8_lossy(end), 400, "invalid_request");
    }
    post(server, &b"\x00\x01\xff\xfe"[..]).await.assert_refused("bytes", 400, "invalid_request");
    // UTF-16, as some clients write it.
    let utf_16: Vec<u8> = right(server).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let answer = post(server, utf_16).await;
    assert!(matches!(answer.status, 400 | 401), "UTF-16: {}", answer.body);
}

// AS-34
#[tokio::test]
async fn a_body_over_16_kib_is_refused_with_413() {
    let server = shared();
    let padded = |length: usize| {
        let mut body = right(server);
        for name in ["a", "b", "c", "d", "e"] {
            let room = (length - body.len()).saturating_sub(3).min(4_000);
            body = format!("{body}&{name}={}", "x".repeat(room));
        }
        body.extend(std::iter::repeat_n('&', length - body.len()));
        body
    };
    assert_eq!(padded(16 * 1024).len(), 16 * 1024);
    post(server, padded(16 * 1024)).await.assert_issued("16 KiB");
    for length in [16 * 1024 + 1, 64 * 1024, 1024 * 1024] {
        post(server, padded(16 * 1024) + &"&".repeat(length - 16 * 1024)).await.assert_refused(
            &format!("{length} bytes"),
            413,
            "invalid_request",
        );
    }
}

// AS-34
#[tokio::test]
async fn too_many_or_too_long_parameters_are_refused() {
    let server = shared();
    let (most, longest) = (32 - 3, 4 * 1024);
    for (what, end, issued) in [
        ("32 parameters", "&x=y".repeat(most), true),
        ("33 parameters", "&x=y".repeat(most + 1), false),
        ("3,000 parameters", "&x=y".repeat(3_000), false),
        ("4 KiB", format!("&x={}", "y".repeat(longest)), true),
        ("4 KiB and a byte", format!("&x={}", "y".repeat(longest + 1)), false),
        ("a long scope", format!("&scope={}", "y".repeat(longest + 1)), false),
    ] {
        let answer = post(server, right(server) + &end).await;
        if issued {
            answer.assert_issued(what);
        } else {
            answer.assert_refused(what, 400, "invalid_request");
        }
    }
}

// AS-35: what the form says does not depend on how it is written, and reaches the function as base64.
#[tokio::test]
async fn a_form_may_be_escaped_throughout_and_have_gaps() {
    let server = shared();
    let escaped: Vec<String> = right(server)
        .split('&')
        .map(|pair| {
            let halves: Vec<String> = pair
                .split('=')
                .map(|half| half.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>())
                .collect();
            halves.join("=")
        })
        .collect();
    post(server, escaped.join("&")).await.assert_issued("escaped");
    post(server, right(server).replace('&', "&&")).await.assert_issued("empty pairs");
    post(server, format!("&{}&", right(server))).await.assert_issued("empty pairs at the ends");
    let order: Vec<String> = right(server).split('&').rev().map(str::to_owned).collect();
    post(server, order.join("&")).await.assert_issued("another order");
}

#[test]
fn a_chunked_body_is_read_as_any_other() {
    let server = shared();
    let body = right(server);
    let (first, second) = body.split_at(20);
    let (status, _, answer) = raw(
        server,
        format!(
            "POST /token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n14\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
            second.len()
        ),
    );
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn other_query_parameters_are_ignored() {
    let server = shared();
    for query in ["x=y", "x", "&", "=", "%", "%ff=%ff", "audience=x", "client_idx=y"] {
        let request = server.request("POST", &format!("/token?{query}"));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(right(server));
        Answer::to(request).await.assert_issued(query);
    }
}

#[tokio::test]
async fn headers_of_a_browser_or_a_proxy_change_nothing() {
    let server = shared();
    for (name, value) in [
        ("accept", "text/html"),
        ("accept", "image/png"),
        ("accept-language", "de"),
        ("cookie", "session=x"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-host", "evil.example"),
        ("x-http-method-override", "GET"),
        ("content-encoding", "identity"),
        ("expect", "x"),
        ("mcp-protocol-version", "1999-01-01"),
    ] {
        Answer::to(form(server).header(name, value).body(right(server))).await.assert_issued(name);
    }
}
