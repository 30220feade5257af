//! What an operator changes, and when the token endpoint knows: clients after 30 s, secrets at once or after 10 s.
//!
//! Waiting is left out: the moments come in as arguments, to the function's own code over a real registry.

use std::time::{Duration, SystemTime};

use aws_clients::Secrets;
use black_box::Server;
use local::Home;
use registry::AuthMethod;
use request_log::Timings;
use secrecy::SecretString;
use serde_json::{Value, json};
use token::client_auth::Clients;
use token::credentials::Credentials;

use crate::answer::{basic, post_as, post_with_header};

struct Endpoint {
    clients: Clients,
    start: SystemTime,
}

impl Endpoint {
    async fn over(server: &Server) -> Endpoint {
        let open = Home::new(server.home()).open().await.unwrap();
        Endpoint { clients: Clients::new(open.registry, open.secrets), start: SystemTime::now() }
    }

    /// Whether these credentials are right, some seconds after the start.
    async fn accepts(&self, client: &(String, String), after: u64) -> bool {
        let credentials = Credentials {
            unverified_client_id: client.0.clone(),
            unverified_secret: SecretString::from(client.1.as_str()),
            method: AuthMethod::ClientSecretPost,
        };
        let now = self.start + Duration::from_secs(after);
        self.clients.authenticate(&credentials, &Timings::default(), now).await.is_ok()
    }
}

async fn set_secret(secrets: &Secrets, client_id: &str, secret: &str) {
    let secret_id = format!("northstar/clients/{client_id}");
    secrets.delete(&secret_id).await.unwrap();
    assert!(secrets.create(&secret_id, &SecretString::from(secret)).await.unwrap());
}

// AS-40
#[tokio::test]
async fn a_client_that_is_disabled_before_its_first_use_gets_no_token() {
    let server = Server::start(&[]);
    let client = server.new_client(&[]);
    let shown = server.json_command(&["client", "disable", &client.0]);
    assert_eq!(shown["status"], "disabled");
    post_as(&server, &client, &[]).await.assert_refused("in the body", 401, "invalid_client");
    let header = basic(&client.0, &client.1);
    post_with_header(&server, header.as_bytes(), &[]).await.assert_refused("in the header", 401, "invalid_client");
}

// AS-40
#[tokio::test]
async fn disabling_a_client_in_use_works_within_30_seconds() {
    let server = Server::start(&[]);
    let (client, other) = (server.new_client(&[]), server.new_client(&[]));
    let endpoint = Endpoint::over(&server).await;
    assert!(endpoint.accepts(&client, 0).await && endpoint.accepts(&other, 0).await);
    server.json_command(&["client", "disable", &client.0]);
    assert!(endpoint.accepts(&client, 29).await, "remembered");
    assert!(!endpoint.accepts(&client, 30).await, "read again");
    assert!(endpoint.accepts(&other, 30).await, "another client");
}

// AS-40
#[tokio::test]
async fn a_client_in_use_ends_at_its_expiry_however_fresh_it_was_read() {
    let server = Server::start(&[]);
    let client = server.new_client(&["--expires", "2100-01-01"]);
    let endpoint = Endpoint::over(&server).await;
    let in_seconds = |moment: u64| moment - registry::client::seconds(endpoint.start);
    const END: u64 = 4_102_444_800;
    assert!(endpoint.accepts(&client, in_seconds(END - 1)).await);
    assert!(!endpoint.accepts(&client, in_seconds(END)).await);
}

#[tokio::test]
async fn a_client_made_after_someone_asked_for_it_is_known_within_30_seconds() {
    let server = Server::start(&[]);
    let client = server.new_client(&[]);
    let open = Home::new(server.home()).open().await.unwrap();
    let id = registry::ClientId::parse("late").unwrap();
    let endpoint = Endpoint::over(&server).await;
    let late = ("late".to_owned(), client.1.clone());
    assert!(!endpoint.accepts(&late, 0).await);
    let known = open.registry.client(&registry::ClientId::parse(&client.0).unwrap()).await.unwrap().unwrap();
    open.registry.put_client(&registry::Client { client_id: id, ..known }).await.unwrap();
    assert!(!endpoint.accepts(&late, 29).await, "that there is none is remembered");
    assert!(endpoint.accepts(&late, 30).await);
}

#[tokio::test]
async fn a_changed_secret_is_found_by_the_first_try_that_is_10_seconds_away_from_the_last_read() {
    let server = Server::start(&[]);
    let (id, old) = server.new_client(&[]);
    let endpoint = Endpoint::over(&server).await;
    let (old, new) = ((id.clone(), old), (id.clone(), "new".to_owned()));
    // The second of the client's creation is the second of its secret's last change: it counts as not yet seen.
    assert!(endpoint.accepts(&old, 20).await);
    set_secret(&Home::new(server.home()).secrets(), &id, "new").await;
    assert!(!endpoint.accepts(&new, 29).await, "a wrong secret costs at most one read in 10 s");
    assert!(endpoint.accepts(&old, 29).await, "remembered");
    assert!(endpoint.accepts(&new, 30).await, "read again");
    assert!(!endpoint.accepts(&old, 30).await, "replaced");
}

// AS-40: a rotation leaves the previous version standing (`AWSPREVIOUS`) until it is retired.
#[tokio::test]
async fn the_previous_secret_is_accepted_beside_the_current_one_and_no_third() {
    let server = Server::start(&[]);
    let (id, first) = server.new_client(&[]);
    let path = server.home().join("secrets.json");
    let mut secrets: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    secrets[format!("northstar/clients/{id}")] = json!({ "current": "third", "previous": "second" });
    std::fs::write(&path, secrets.to_string()).unwrap();
    for (secret, accepted) in [("third", true), ("second", true), (first.as_str(), false), ("", false)] {
        let answers = [
            post_as(&server, &(id.clone(), secret.to_owned()), &[]).await,
            post_with_header(&server, basic(&id, secret).as_bytes(), &[]).await,
        ];
        for answer in answers {
            if accepted {
                answer.assert_issued(secret);
            } else {
                answer.assert_refused(secret, 401, "invalid_client");
            }
        }
    }
}

// A secret deleted behind the client's back leaves nothing that could be right, least of all an empty one.
#[tokio::test]
async fn a_client_without_a_secret_gets_no_token() {
    let server = Server::start(&[]);
    let client = server.new_client(&[]);
    Home::new(server.home()).secrets().delete(&format!("northstar/clients/{}", client.0)).await.unwrap();
    for secret in [client.1.as_str(), "", "null", " "] {
        let client = (client.0.clone(), secret.to_owned());
        post_as(&server, &client, &[]).await.assert_refused(secret, 401, "invalid_client");
    }
}
