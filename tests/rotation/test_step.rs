//! testSecret: whatever the token endpoint does but give a token of the right scopes, the current secret stays.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use registry::{AuthMethod, Client, PublicUrl};
use rotate::Step;
use secrecy::ExposeSecret;

use crate::world::{Source, World, log_without_secrets, send};

/// A token endpoint that answers every request alike, and keeps what it is asked.
fn endpoint(answer: String) -> (PublicUrl, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = PublicUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let asked = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = vec![0; 4096];
            let mut length = stream.read(&mut request).unwrap_or(0);
            while !whole(&request[..length]) {
                match stream.read(&mut request[length..]) {
                    Ok(more @ 1..) => length += more,
                    _ => break,
                }
            }
            asked.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (url, requests)
}

fn whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_no_token_of_the_right_scopes_fails_and_the_current_secret_stays() {
    let token = |scope: &str| {
        format!(r#"{{"access_token":"leaked-token-leaked-token","token_type":"Bearer","scope":"{scope}"}}"#)
    };
    for source in Source::ALL {
        let world = World::new(source).await;
        let client = world.new_client().await;
        let secret_id = client.secret_id.as_deref().unwrap();
        let old = world.current(secret_id).await;
        let event = world.begin(secret_id).await;
        for step in [Step::CreateSecret, Step::SetSecret] {
            world.send(&event, step).await.unwrap();
        }
        for answer in [
            http("401 Unauthorized", r#"{"error":"invalid_client"}"#),
            http("400 Bad Request", r#"{"error":"invalid_target"}"#),
            http("429 Too Many Requests", r#"{"error":"too_many_attempts"}"#),
            http("500 Internal Server Error", "<h1>leaked-page-leaked-page-leaked</h1>"),
            http("200 OK", ""),
            http("200 OK", "{}"),
            http("200 OK", r#"{"access_token":"","scope":"mcp.read"}"#),
            http("200 OK", &token("")),
            http("200 OK", &token("mcp.write")),
            http("200 OK", &token("mcp.read mcp.write")),
            http("201 Created", &token("mcp.read")),
            http("302 Found", &token("mcp.read")),
            http("200 OK", &format!("{}{}", token("mcp.read"), " ".repeat(100_000))),
            "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"access".to_owned(),
            "no HTTP at all".to_owned(),
            String::new(),
        ] {
            let (url, _) = endpoint(answer.clone());
            let app = world.app_at(&url);
            let error = send(&app, &event, Step::TestSecret).await.expect_err(&answer);
            assert_eq!(error.code(), "rotation_test_failed", "{answer}");
            assert!(!error.to_string().contains("leaked"), "{error}");
            assert_eq!(world.current(secret_id).await.expose_secret(), old.expose_secret());
        }
        let gone = PublicUrl::parse("http://127.0.0.1:1").unwrap();
        let app = world.app_at(&gone);
        assert_eq!(send(&app, &event, Step::TestSecret).await.unwrap_err().code(), "rotation_test_failed");
        assert!(!log_without_secrets().contains("leaked"));
        world.send_all(&event).await.expect("the rotation goes on when the endpoint is well again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_is_the_one_that_the_client_may_send() {
    let answer = http("200 OK", r#"{"access_token":"t","token_type":"Bearer","scope":"mcp.read"}"#);
    let world = World::new(Source::File).await;
    for (method, expected) in
        [(AuthMethod::ClientSecretPost, "client_secret="), (AuthMethod::ClientSecretBasic, "authorization: Basic ")]
    {
        let client = world.new_client().await;
        let only = Client { auth_methods: vec![method], version: client.version + 1, ..client.clone() };
        assert!(world.open.registry.replace_client(&client, &only, None).await.unwrap());
        let secret_id = client.secret_id.as_deref().unwrap();
        let event = world.begin(secret_id).await;
        let (url, requests) = endpoint(answer.clone());
        let app = world.app_at(&url);
        for step in Step::ALL {
            send(&app, &event, step).await.unwrap();
        }
        let requests = requests.lock().unwrap().clone();
        assert_eq!(requests.len(), 1, "{requests:?}");
        assert!(
            requests[0].starts_with("POST /token HTTP/1.1\r\n") && requests[0].contains(expected),
            "{}",
            requests[0]
        );
        let both = requests[0].contains("client_secret=") && requests[0].contains("authorization");
        assert!(!both, "never both: {}", requests[0]);
        let old = world.value(secret_id, aws_clients::SecretStage::Previous).await.unwrap();
        assert!(!requests[0].contains(old.expose_secret()), "the pending secret is tried, not the current one");
        world.rotate_is_accepted(&only).await;
    }
}

impl World {
    /// The new secret works at the real endpoint too.
    async fn rotate_is_accepted(&self, client: &Client) {
        let new = self.current(client.secret_id.as_deref().unwrap()).await;
        let request = reqwest::Client::new().post(format!("{}/token", self.token_url()));
        let request = match client.auth_methods[0] {
            AuthMethod::ClientSecretBasic => request
                .basic_auth(client.client_id.as_str(), Some(new.expose_secret()))
                .form(&[("grant_type", "client_credentials")]),
            _ => request.form(&[
                ("grant_type", "client_credentials"),
                ("client_id", client.client_id.as_str()),
                ("client_secret", new.expose_secret()),
            ]),
        };
        assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
    }
}
