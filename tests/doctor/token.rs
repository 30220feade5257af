//! Broken token endpoints, and clients that may not.

use std::collections::BTreeSet;
use std::sync::Arc;

use black_box::forge::Forge;
use black_box::shared;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::stage::{Answered, Asked, Change, examine, stage, unchanged};

/// Changes every good answer of the token endpoint.
fn to_tokens(change: impl Fn(&mut Answered) + Send + Sync + 'static) -> Change {
    Arc::new(move |asked, answered| {
        if asked.is_token() && answered.status == 200 {
            change(answered);
        }
    })
}

/// Another answer to every token request.
fn instead(status: u16, error: &'static str) -> Change {
    Arc::new(move |asked, answered| {
        if asked.is_token() {
            let date = answered.headers["date"].clone();
            answered.replace(status, "application/json", json!({ "error": error }).to_string());
            answered.headers.insert("date", date);
        }
    })
}

fn set(name: &'static str, value: Value) -> Change {
    to_tokens(move |answered| answered.edit(|json| json[name] = value.clone()))
}

#[test]
fn a_wrong_scope() {
    stage().expect_with(&["--scope", "mcp.admin"], "unknown", unchanged(), &["token_body.invalid_scope"]);
    let server = shared();
    let (id, secret) = server.new_client(&["--scope", "mcp.read"]);
    let client = [("NORTHSTAR_CLIENT_ID", id.as_str()), ("NORTHSTAR_CLIENT_SECRET", secret.as_str())];
    examine(&server.url, server.home(), &["--scope", "mcp.write"], &client)
        .assert("not the client's", &["token_body.invalid_scope"]);
    examine(&server.url, server.home(), &[], &client).assert("the client's", &[]);
}

#[test]
fn clients_that_get_no_token() {
    let server = shared();
    let (id, secret) = server.new_client(&[]);
    for (what, id, secret) in [
        ("an unknown client", "nobody", secret.as_str()),
        ("a wrong secret", id.as_str(), "not-the-secret"),
        ("a secret with a blank at the end", &id, &format!("{secret} ")),
    ] {
        let client = [("NORTHSTAR_CLIENT_ID", id), ("NORTHSTAR_CLIENT_SECRET", secret)];
        let findings = examine(&server.url, server.home(), &[], &client);
        findings.assert(what, &["token_body.invalid_client"]);
        let fix = findings.get("token_body.invalid_client")["fix"].as_str().unwrap();
        assert!(fix.contains(&format!("northstar client show {id}")) && fix.contains("Principals → Edit"), "{fix}");
    }
    // One that the server has not met yet: it keeps clients for 30 s.
    let (id, secret) = server.new_client(&[]);
    assert!(server.command(&["client", "disable", &id]).status.success());
    let client = [("NORTHSTAR_CLIENT_ID", id.as_str()), ("NORTHSTAR_CLIENT_SECRET", secret.as_str())];
    examine(&server.url, server.home(), &[], &client).assert("a disabled client", &["token_body.invalid_client"]);
}

#[test]
fn a_client_of_one_method() {
    let server = shared();
    for (method, expected) in
        [("client_secret_basic", "token_body.basic_only"), ("client_secret_post", "token_basic.refused")]
    {
        let (id, secret) = server.new_client(&["--auth-method", method]);
        let client = [("NORTHSTAR_CLIENT_ID", id.as_str()), ("NORTHSTAR_CLIENT_SECRET", secret.as_str())];
        examine(&server.url, server.home(), &[], &client).assert(method, &[expected]);
    }
}

#[test]
fn nobody_to_ask_as() {
    let server = shared();
    let empty = tempfile::tempdir().unwrap();
    examine(&server.url, empty.path(), &[], &[]).assert("no client", &["credentials.missing"]);
}

#[test]
fn errors_of_the_endpoint() {
    for (status, error, expected) in [
        (400, "invalid_target", "token_body.invalid_target"),
        (400, "unauthorized_client", "token_body.grant"),
        (400, "unsupported_grant_type", "token_body.grant"),
        (400, "invalid_request", "token_body.invalid_request"),
        (503, "server_error", "token_body.no_signing_key"),
        (503, "temporarily_unavailable", "token_body.unavailable"),
        (429, "too_many_attempts", "token_body.too_many"),
        (401, "unauthorized", "token_body.refused"),
        (200, "invalid_client", "token_body.no_token"),
    ] {
        stage().expect(error, instead(status, error), &[expected]);
    }
}

#[test]
fn answers_that_lack_something() {
    for (what, change, expected) in [
        ("another type", set("token_type", json!("mac")), &["token_body.token_type"][..]),
        (
            "no lifetime",
            to_tokens(|answered| {
                answered.edit(|json| {
                    json.as_object_mut().unwrap().remove("expires_in");
                });
            }),
            &["token_body.no_expires_in"],
        ),
        ("lifetime as text", set("expires_in", json!("900")), &["token_body.no_expires_in"]),
        ("less scope", set("scope", json!("mcp.other")), &["token_body.narrowed"]),
        ("text/plain", to_tokens(|answered| answered.set("content-type", "text/plain")), &["token_body.content_type"]),
        (
            "cacheable",
            to_tokens(|answered| {
                answered.headers.remove("cache-control");
            }),
            &["token_body.cacheable"],
        ),
    ] {
        stage().expect(what, change, expected);
    }
}

#[test]
fn scopes_that_are_split_at_blanks_alone() {
    let change: Change = Arc::new(|asked: &Asked, answered: &mut Answered| {
        if asked.is_token() && asked.form("scope").contains("%2C") {
            answered.replace(400, "application/json", r#"{"error":"invalid_scope"}"#);
        }
    });
    stage().expect("comma", change, &["token_comma.refused"]);
}

#[test]
fn a_wrong_secret_that_is_not_told() {
    let wrong = |asked: &Asked| asked.is_token() && asked.form("client_secret").starts_with("this-is-not");
    let accepted: Change = Arc::new(move |asked, answered| {
        if wrong(asked) {
            let token = r#"{"access_token":"any","token_type":"Bearer","expires_in":900}"#;
            answered.replace(200, "application/json", token);
        }
    });
    stage().expect("accepted", accepted, &["wrong_secret.accepted"]);
    let untold: Change = Arc::new(move |asked, answered| {
        if wrong(asked) {
            answered.replace(400, "application/json", r#"{"error":"invalid_grant"}"#);
        }
    });
    stage().expect("told otherwise", untold, &["wrong_secret.status"]);
}

#[test]
fn a_token_of_a_key_that_has_expired() {
    let stage = stage();
    let token = Forge::with_foreign_key(&stage.url, "retired").good();
    let change = set("access_token", json!(token));
    let findings = stage.expect("retired", change, &["initialize.token_refused", "signing_key.unpublished"]);
    let fix = findings.get("signing_key.unpublished")["fix"].as_str().unwrap();
    assert!(fix.contains("northstar key rotate"), "{fix}");
}

#[test]
fn a_token_that_is_not_for_this_server() {
    let stage = stage();
    let forge = Forge::with_key_in(stage.server.home(), &stage.url, Algorithm::RS256);
    let other = forge.claim("aud", json!(format!("{}/mcp/other", stage.url)));
    // Asked for this server by name, the endpoint gives a good one.
    let change: Change = Arc::new(move |asked, answered| {
        if asked.is_token() && answered.status == 200 && asked.form("resource").is_empty() {
            answered.edit(|json| json["access_token"] = json!(other));
        }
    });
    stage.expect("for another server", change, &["token_claims.other_server"]);

    let foreign = forge.claim("aud", json!("api://default"));
    let change = set("access_token", json!(foreign));
    stage.expect("for something else", change, &["token_claims.audience", "initialize.token_refused"]);

    let foreign = forge.claim("iss", json!("https://login.example.com"));
    let change = set("access_token", json!(foreign));
    stage.expect("of a foreign issuer", change, &["token_claims.issuer", "initialize.token_refused"]);
}

#[test]
fn a_clock_that_is_wrong() {
    for (seconds, expected) in [(600, &["clock.off"][..]), (-600, &["clock.off"]), (120, &["clock.drifts"]), (20, &[])]
    {
        let change: Change = Arc::new(move |_, answered| {
            let date = answered.headers["date"].to_str().unwrap();
            let moved = moved(date, seconds);
            answered.set("date", &moved);
        });
        stage().expect(&format!("{seconds} s"), change, expected);
    }
    let change: Change = Arc::new(|_, answered| {
        answered.headers.remove("date");
        // Without one, the hop's own library would add it.
        answered.set("date", "unknown");
    });
    stage().expect("no date", change, &["clock.no_date"]);
}

/// A date of HTTP, some seconds later.
fn moved(date: &str, seconds: i64) -> String {
    use time::format_description::well_known::Rfc2822;
    let date = time::OffsetDateTime::parse(&date.replace("GMT", "+0000"), &Rfc2822).unwrap();
    let date = date + time::Duration::seconds(seconds);
    date.format(&Rfc2822).unwrap().replace("+0000", "GMT")
}

#[test]
fn no_secret_and_no_token_is_ever_printed() {
    let stage = stage();
    let secret = stage.server.client_secret.clone();
    // Servers that repeat all they were sent, in errors and elsewhere.
    let echoes: Change = Arc::new(|asked, answered| {
        let sent = String::from_utf8_lossy(&asked.body).into_owned();
        let authorization = asked.header("authorization").unwrap_or_default().to_owned();
        if asked.is_token() && answered.status != 200 || asked.path == "/mcp" {
            let error = json!({ "error": format!("{authorization} {sent}"), "message": authorization });
            answered.replace(400, "application/json", error.to_string());
        }
    });
    let echoed_token: Change = Arc::new(|asked, answered| {
        if asked.is_token() {
            let sent = String::from_utf8_lossy(&asked.body).into_owned();
            answered.replace(
                401,
                "application/json",
                json!({ "error": "invalid_client", "error_description": sent }).to_string(),
            );
        }
    });
    let mut tokens = BTreeSet::new();
    for change in [echoes, echoed_token] {
        let findings = stage.find(&[], change);
        assert_eq!(findings.code, 1);
        assert!(!findings.output.contains(&secret) && !findings.errors.contains(&secret), "{}", findings.output);
        // Every JWT begins so, and Basic is base64 of the id.
        for word in findings.output.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_' && c != '-') {
            if word.starts_with("eyJ") || word.starts_with("ZGVtbzp") {
                tokens.insert(word.to_owned());
            }
        }
    }
    assert_eq!(tokens, BTreeSet::new());
}
