use black_box::Server;
use reqwest::{Response, StatusCode};
use serde_json::Value;

async fn ask(server: &Server, path: &str, id: &str, secret: &str) -> Response {
    let form = [("grant_type", "client_credentials"), ("token", "x"), ("client_id", id), ("client_secret", secret)];
    let form = if path == "/token" { [form[0], form[2], form[3]].to_vec() } else { form[1..].to_vec() };
    server.request("POST", path).form(&form).send().await.unwrap()
}

#[tokio::test]
async fn a_client_gets_as_many_tokens_as_its_registration_allows() {
    let server = Server::start(&[]);
    let (id, secret) = server.new_client(&["--token-limit", "3/h"]);
    // Somebody who does not know the secret uses nothing up.
    for _ in 0..5 {
        assert_eq!(ask(&server, "/token", &id, "wrong").await.status(), StatusCode::UNAUTHORIZED);
    }
    for _ in 0..3 {
        assert_eq!(ask(&server, "/token", &id, &secret).await.status(), StatusCode::OK);
    }
    let refused = ask(&server, "/token", &id, &secret).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let retry_after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=1_200).contains(&retry_after), "{retry_after}");
    assert_eq!(refused.headers()["cache-control"], "no-store");
    let line = server.request_line(&refused);
    assert_eq!((&line["outcome"], &line["client"]), (&Value::from("rate_limited"), &Value::from(id.as_str())));
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["error"], "rate_limited");
    let description = body["error_description"].as_str().unwrap();
    assert!(description.starts_with("the limit of 3/h for this client is used up; try again in "), "{description}");

    assert_eq!(ask(&server, "/introspect", &id, &secret).await.status(), StatusCode::OK, "it is of tokens");
    let (other, other_secret) = server.new_client(&["--token-limit", "3/h"]);
    assert_eq!(ask(&server, "/token", &other, &other_secret).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_without_a_limit_gets_as_many_tokens_as_it_asks_for() {
    let server = Server::start(&[]);
    for _ in 0..50 {
        assert_eq!(ask(&server, "/token", &server.client_id, &server.client_secret).await.status(), StatusCode::OK);
    }
}
