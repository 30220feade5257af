//! AS-42: sources that do not answer. The caller is told 503 and when to come back, never that it is wrong.

use black_box::proxy::{Mode, Proxy};
use black_box::{Server, shared};
use local::Home;
use local::store::{CONFIG_TABLE, STATE_TABLE};
use serde_json::Value;
use token::error::TokenError;

use crate::answer::{Answer, basic, demo, post_as, post_with_header};
use crate::endpoint::{Endpoint, SOURCE, changed_at};

const TRY_AGAIN: &str = r#"{"error":"temporarily_unavailable","error_description":"the token endpoint cannot read its configuration at the moment; try again"}"#;

fn assert_unavailable(answer: &Answer, what: &str) {
    answer.assert_refused(what, 503, "temporarily_unavailable");
    assert_eq!((answer.body.as_str(), answer.header("retry-after")), (TRY_AGAIN, Some("5")), "{what}");
}

async fn delete_config_table(server: &Server) {
    delete_table(server, CONFIG_TABLE).await;
}

async fn delete_table(server: &Server, name: &str) {
    let open = Home::new(server.home()).open().await.unwrap();
    open.aws.dynamodb.delete_table().table_name(name).send().await.unwrap();
}

#[tokio::test]
async fn secrets_that_cannot_be_read_are_answered_503_until_they_can() {
    let server = Server::start(&[]);
    let secrets = server.home().join("secrets.json");
    let aside = server.home().join("aside");
    let broken = [("a directory", None), ("empty", Some("")), ("cut off", Some("{")), ("another kind", Some("[1]"))];
    for (what, content) in broken {
        // A client that was never looked at: nothing is remembered of it.
        let client = server.new_client(&[]);
        std::fs::rename(&secrets, &aside).unwrap();
        match content {
            Some(content) => std::fs::write(&secrets, content).unwrap(),
            None => std::fs::create_dir(&secrets).unwrap(),
        }
        let wrong = (client.0.clone(), "wrong".to_owned());
        assert_unavailable(&post_as(&server, &client, &[]).await, what);
        assert_unavailable(&post_as(&server, &wrong, &[]).await, what);
        let header = basic(&client.0, &client.1);
        assert_unavailable(&post_with_header(&server, header.as_bytes(), &[]).await, what);
        let _ = std::fs::remove_dir(&secrets).or_else(|_| std::fs::remove_file(&secrets));
        std::fs::rename(&aside, &secrets).unwrap();
        post_as(&server, &client, &[]).await.assert_issued(what);
        post_as(&server, &wrong, &[]).await.assert_refused(what, 401, "invalid_client");
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_read_is_answered_503_for_known_and_unknown_clients_alike() {
    let server = Server::start(&[]);
    delete_config_table(&server).await;
    for client in [demo(&server), ("demo".to_owned(), "wrong".to_owned()), ("nobody".to_owned(), "wrong".to_owned())] {
        assert_unavailable(&post_as(&server, &client, &[]).await, &client.0);
        let header = basic(&client.0, &client.1);
        assert_unavailable(&post_with_header(&server, header.as_bytes(), &[]).await, &client.0);
    }
}

#[tokio::test]
async fn what_needs_no_source_is_answered_as_always_during_an_outage() {
    let server = Server::start(&[]);
    delete_config_table(&server).await;
    std::fs::write(server.home().join("secrets.json"), "{").unwrap();
    for (path, status) in [
        ("/.well-known/oauth-authorization-server", 200),
        ("/.well-known/jwks.json", 200),
        ("/authorize", 400),
        ("/token", 405),
    ] {
        assert_eq!(Answer::to(server.request("GET", path)).await.status, status, "{path}");
    }
    let no_credentials = Answer::to(server.request("POST", "/token").form(&[("grant_type", "client_credentials")]));
    no_credentials.await.assert_refused("no credentials", 401, "invalid_client");
    let no_form = Answer::to(server.request("POST", "/token").body("{}"));
    no_form.await.assert_refused("no form", 400, "invalid_request");
}

#[tokio::test]
async fn a_client_that_was_seen_before_is_served_on_through_an_outage() {
    let server = Server::start(&[]);
    post_as(&server, &demo(&server), &[]).await.assert_issued("before");
    delete_config_table(&server).await;
    std::fs::write(server.home().join("secrets.json"), "{").unwrap();
    post_as(&server, &demo(&server), &[]).await.assert_issued("during");
    let wrong = ("demo".to_owned(), "wrong".to_owned());
    post_as(&server, &wrong, &[]).await.assert_refused("a wrong secret", 401, "invalid_client");
    assert_unavailable(&post_as(&server, &("nobody".to_owned(), "x".to_owned()), &[]).await, "another client");
}

#[tokio::test]
async fn a_known_client_is_served_for_an_hour_while_no_table_answers_and_a_wrong_secret_still_refused() {
    let server = shared();
    let client = server.new_client(&[]);
    let wrong = (client.0.clone(), "wrong".to_owned());
    let tables = Proxy::start(&server.dynamodb_url(), Mode::Pass);
    let endpoint = Endpoint::at(&tables.url, Home::new(server.home()).secrets());
    assert!(endpoint.accepts(&client, 0).await);
    tables.set(Mode::Gone);
    for after in [31, 3_599] {
        assert!(endpoint.accepts(&client, after).await, "{after}");
        assert_eq!(endpoint.wrong(&wrong.0, SOURCE, f64::from(after)).await, (401, 0), "{after}");
    }
    let too_old = endpoint.try_as(&client, SOURCE, 3_605.0).await;
    assert!(matches!(too_old, Err(TokenError::Unavailable)), "{too_old:?}");
    tables.set(Mode::Pass);
    assert!(endpoint.accepts(&client, 3_606).await);
}

#[tokio::test]
async fn an_outage_is_no_wrong_secret() {
    let server = shared();
    let (id, secret) = server.new_client(&[]);
    let tables = Proxy::start(&server.dynamodb_url(), Mode::Gone);
    let endpoint = Endpoint::at(&tables.url, Home::new(server.home()).secrets());
    for _ in 0..10 {
        assert_eq!(endpoint.wrong(&id, SOURCE, 0.0).await, (503, 5));
    }
    tables.set(Mode::Pass);
    for _ in 0..5 {
        assert_eq!(endpoint.wrong(&id, SOURCE, 0.0).await, (401, 0));
    }
    assert!(endpoint.accepts(&(id, secret), 0).await);
}

#[tokio::test]
async fn without_the_state_table_tokens_are_issued_and_nothing_can_be_revoked_or_asked() {
    let server = Server::start(&[]);
    let token = server.token().await;
    let (client, foreign) = (server.new_client(&[]), server.new_client(&[]));
    delete_table(&server, STATE_TABLE).await;
    let use_not_recorded = r#""outcome":"use_not_recorded""#;
    assert!(!server.log().contains(use_not_recorded));
    for _ in 0..3 {
        post_as(&server, &client, &[]).await.assert_issued("a use that is not recorded");
    }
    assert_eq!(server.log().matches(use_not_recorded).count(), 1, "tried once a minute");
    let ask = async |path: &str, client: &(String, String), token: &str| {
        let form = [("client_id", client.0.as_str()), ("client_secret", &client.1), ("token", token)];
        Answer::to(server.request("POST", path).form(&form)).await
    };
    for path in ["/revoke", "/introspect"] {
        assert_unavailable(&ask(path, &demo(&server), &token).await, path);
        // What needs no table is answered.
        assert_eq!(ask(path, &foreign, &token).await.status, 200, "{path}");
        assert_eq!(ask(path, &demo(&server), "x").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_previous_secret_whose_last_use_cannot_be_read_is_answered_503_when_its_time_may_be_over() {
    let server = Server::start(&[]);
    let (id, old) = server.new_client(&[]);
    let secrets = Home::new(server.home()).secrets();
    let secret_id = format!("northstar/clients/{id}");
    let new = secrets.begin_rotation(&secret_id).await.unwrap();
    secrets.put_pending(&secret_id, &new, &"new".into()).await.unwrap();
    let current = secrets.get(&secret_id, aws_clients::SecretStage::Current).await.unwrap().unwrap().id;
    secrets.move_stage(&secret_id, aws_clients::SecretStage::Current, Some(&current), Some(&new)).await.unwrap();
    let endpoint = Endpoint::over(&server);
    changed_at(&server, &id, endpoint.start).await;
    delete_table(&server, STATE_TABLE).await;
    let (old, new, week) = ((id.clone(), old), (id, "new".to_owned()), 7.0 * 24.0 * 3_600.0);
    assert!(endpoint.accepts(&old, week - 1.0).await, "its time is not over");
    let refused = endpoint.try_as(&old, SOURCE, week).await;
    assert!(matches!(refused, Err(TokenError::Unavailable)), "{refused:?}");
    assert!(endpoint.accepts(&new, week).await);
}

#[tokio::test]
async fn the_line_of_an_outage_is_an_error_that_names_no_client() {
    let server = Server::start(&[]);
    delete_config_table(&server).await;
    let response = server.post_token(&[]).await;
    let line = server.request_line(&response);
    let shown = ["level", "fn", "status", "outcome", "client"].map(|name| line[name].to_string());
    assert_eq!(shown, [r#""ERROR""#, r#""token""#, "503", r#""temporarily_unavailable""#, "null"]);
}

#[tokio::test]
async fn without_a_key_that_may_sign_now_no_token_is_issued() {
    let home = tempfile::tempdir().unwrap();
    drop(Server::start_in(home.path(), 0, &[]));
    let path = home.path().join("secrets.json");
    let original: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let id = "northstar/signing-keys";
    let far = 4_102_444_800_u64;
    for (what, member, value) in [("not yet", "not_before", far), ("no longer", "not_after", 1)] {
        let mut secrets = original.clone();
        let version = secrets[id].as_object_mut().unwrap().values_mut().next().unwrap();
        let mut keys: Value = serde_json::from_str(version["value"].as_str().unwrap()).unwrap();
        keys[0][member] = value.into();
        version["value"] = keys.to_string().into();
        std::fs::write(&path, secrets.to_string()).unwrap();
        let server = Server::start_in(home.path(), 0, &[]);
        let answer = post_as(&server, &demo(&server), &[]).await;
        answer.assert_refused(what, 503, "server_error");
        let expected = r#"{"error":"server_error","error_description":"there is no usable signing key"}"#;
        assert_eq!(answer.body, expected, "{what}");
        // Who is wrong is told so all the same.
        let wrong = ("demo".to_owned(), "wrong".to_owned());
        post_as(&server, &wrong, &[]).await.assert_refused(what, 401, "invalid_client");
    }
}
