//! What the token endpoint writes down, and what it never does.

use black_box::{Server, shared};
use serde_json::Value;

use crate::answer::{basic, demo, form, post_as};

/// The line without the fields that change from run to run.
fn stable(mut line: Value) -> Value {
    for name in ["time", "id", "verify_ms", "table_ms", "total_ms", "cold"] {
        line.as_object_mut().unwrap().shift_remove(name);
    }
    line
}

#[tokio::test]
async fn an_issued_token_leaves_one_line_with_client_and_server() {
    let server = shared();
    let response = server.post_token(&[]).await;
    let id = response.headers()["apigw-requestid"].to_str().unwrap().to_owned();
    insta::assert_json_snapshot!(stable(server.request_line(&response)), @r#"
    {
      "level": "INFO",
      "fn": "token",
      "client": "demo",
      "server": "default",
      "status": 200,
      "outcome": "ok"
    }
    "#);
    assert_eq!(server.log().matches(&id).count(), 1);
}

#[tokio::test]
async fn a_refusal_leaves_its_code_and_names_the_client_if_there_is_one_of_that_id() {
    let server = shared();
    let (id, secret) = server.new_client(&[]);
    let known = format!(r#""client":"{id}","#);
    for (id, secret, scope, client, outcome) in [
        (id.as_str(), secret.as_str(), "mcp.admin", known.as_str(), r#""status":400,"outcome":"invalid_scope""#),
        (&id, "wrong", "mcp.read", &known, r#""status":401,"outcome":"invalid_client""#),
        ("nobody", "wrong", "mcp.read", "", r#""status":401,"outcome":"invalid_client""#),
    ] {
        let parameters =
            [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret), ("scope", scope)];
        let response = server.request("POST", "/token").form(&parameters).send().await.unwrap();
        let expected = format!(r#"{{"level":"WARN","fn":"token",{client}{outcome}}}"#);
        assert_eq!(stable(server.request_line(&response)).to_string(), expected);
    }
}

#[tokio::test]
async fn guesses_leave_lines_with_the_client_that_is_attacked() {
    let server = shared();
    let (id, _) = server.new_client(&[]);
    let form = [("client_id", id.as_str()), ("client_secret", "wrong"), ("token", "x")];
    let mut lines = Vec::new();
    for path in ["/token", "/revoke", "/introspect"].repeat(2) {
        let response = server.request("POST", path).form(&form).send().await.unwrap();
        lines.push(stable(server.request_line(&response)).to_string().replace(&id, "[id]"));
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    {"level":"WARN","fn":"token","client":"[id]","status":401,"outcome":"invalid_client"}
    {"level":"WARN","fn":"token","client":"[id]","method":"revoke","status":401,"outcome":"invalid_client"}
    {"level":"WARN","fn":"token","client":"[id]","method":"introspect","status":401,"outcome":"invalid_client"}
    {"level":"WARN","fn":"token","client":"[id]","status":401,"outcome":"invalid_client"}
    {"level":"WARN","fn":"token","client":"[id]","method":"revoke","status":401,"outcome":"invalid_client"}
    {"level":"WARN","fn":"token","client":"[id]","method":"introspect","status":429,"outcome":"too_many_attempts"}
    "#);
}

// AS-33, AS-45
#[tokio::test]
async fn no_secret_no_token_and_nothing_that_was_sent_is_written_down() {
    let server = Server::start(&[]);
    let (id, secret) = demo(&server);
    let other = server.new_client(&[]);
    let mut tokens = Vec::new();
    for client in [demo(&server), other.clone()] {
        let answer = post_as(&server, &client, &[("scope", "mcp.read"), ("note", "canary-1")]).await;
        answer.assert_issued("a right request");
        tokens.push(answer.json()["access_token"].as_str().unwrap().to_owned());
    }
    let right = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let used = server.token().await;
    let requests = [
        form(&server).body(right.replace(&secret, "canary-2")),
        form(&server).body(right.replace(&id, "canary-3")),
        form(&server).body(format!("{right}&scope=canary-4")),
        form(&server).body(format!("{right}&resource=canary-5")),
        form(&server).body(right.replace("client_credentials", "canary-6")),
        form(&server).body(format!("{right}&canary-7=%zz")),
        form(&server).body(format!("{right}&scope=canary-8&scope=canary-8")),
        form(&server).body(right.clone()).header("user-agent", "canary-9").header("x-note", "canary-10"),
        form(&server).body("grant_type=client_credentials").header("authorization", basic(&id, "canary-11")),
        form(&server).body("grant_type=client_credentials").header("authorization", "Bearer canary-12"),
        form(&server).body(right.clone()).header("cookie", "canary=canary-13"),
        form(&server).body(right.clone()).header("referer", "https://canary-14.example"),
        form(&server).body(format!("{right}&x={}", "canary-15".repeat(5_000))),
        server.request("POST", &format!("/token?client_secret=canary-16&x={secret}")).body(right.clone()),
        server.request("GET", &format!("/token?client_secret={secret}&y=canary-17")),
        server.request("GET", "/authorize?state=canary-18"),
        server.request("POST", "/revoke").form(&[("token", "canary-25"), ("token_type_hint", "canary-26")]),
        server.request("POST", "/revoke").form(&[("client_id", &id), ("client_secret", &secret), ("token", &used)]),
        server.request("POST", "/introspect").form(&[
            ("client_id", &*id),
            ("client_secret", &secret),
            ("token", "canary-27"),
        ]),
        server.request("POST", "/introspect?token=canary-28").form(&[("client_id", &id), ("client_secret", &secret)]),
        server.request("GET", "/.well-known/jwks.json?canary-19"),
        server.request("GET", "/token/canary-20"),
        server.request("POST", "/token").header("content-type", "text/canary-21").body(right.clone()),
        server.mcp(&tokens[0]).body(r#"{"jsonrpc":"2.0","id":1,"method":"canary-22"}"#),
        server.mcp(&format!("{}canary-23", tokens[0])).body("canary-24"),
    ];
    for request in requests {
        assert!(request.send().await.unwrap().status().as_u16() < 500);
    }
    let log = server.log();
    assert!(log.lines().filter(|line| line.starts_with('{')).count() >= 20, "{log}");
    let signatures: Vec<&str> = tokens.iter().map(|token| token.rsplit('.').next().unwrap()).collect();
    let header = basic(&id, &secret);
    let header = header.strip_prefix("Basic ").unwrap();
    let kept_out =
        [&secret[..], &other.1, header, "canary", &tokens[0], &tokens[1], signatures[0], signatures[1], &used];
    for text in kept_out {
        assert!(!log.contains(text), "{text} in\n{log}");
    }
    // Every request line is JSON and short.
    for line in log.lines().filter(|line| line.starts_with('{')) {
        assert!(serde_json::from_str::<Value>(line).is_ok() && line.len() < 400, "{line}");
    }
}
