//! The function's own check of clients over a real registry, without waiting: the moments come in as arguments.

use std::time::{Duration, SystemTime};

use aws_clients::{AwsClients, AwsSettings, Secrets};
use black_box::Server;
use http::HeaderMap;
use local::Home;
use local::store::{CONFIG_TABLE, STATE_TABLE};
use registry::client::seconds;
use registry::{AuthMethod, Client, ClientId, PublicUrl, Registry, SecretUses};
use request_log::Timings;
use secrecy::SecretString;
use token::assertion::Assertions;
use token::client_auth::Clients;
use token::client_keys::ClientKeySets;
use token::credentials::Credentials;
use token::error::TokenError;
use token::replay::Replays;

/// A process of the function.
pub struct Endpoint {
    clients: Clients,
    /// The moment 0.
    pub start: SystemTime,
}

/// Where requests come from unless a test says otherwise.
pub const SOURCE: &str = "192.0.2.1";

impl Endpoint {
    /// Over the tables and secrets of a server.
    pub fn over(server: &Server) -> Endpoint {
        Endpoint::at(&server.dynamodb_url(), Home::new(server.home()).secrets())
    }

    /// Over the tables at an address, and other secrets.
    pub fn at(dynamodb_url: &str, secrets: Secrets) -> Endpoint {
        let dynamodb = AwsClients::new(&AwsSettings::local(dynamodb_url)).dynamodb;
        let public_url = PublicUrl::parse("https://mcp.example.com").unwrap();
        let replays = Replays::new(dynamodb.clone(), STATE_TABLE);
        let assertions = Assertions::new(&public_url, replays, ClientKeySets::new(outbound::Fetcher::new()));
        let registry = Registry::new(dynamodb.clone(), CONFIG_TABLE);
        let clients = Clients::new(registry, secrets, SecretUses::new(dynamodb, STATE_TABLE), assertions);
        Endpoint { clients, start: SystemTime::now() }
    }

    /// Some seconds after the start.
    pub fn moment(&self, after: f64) -> SystemTime {
        self.start + Duration::from_secs_f64(after)
    }

    /// Tries id and secret in the body, some seconds after the start.
    pub async fn try_as(&self, client: &(String, String), source: &str, after: f64) -> Result<Client, TokenError> {
        let credentials = Credentials::Secret {
            unverified_client_id: client.0.clone(),
            unverified_secret: SecretString::from(client.1.as_str()),
            method: AuthMethod::ClientSecretPost,
        };
        self.clients.authenticate(&credentials, source, &Timings::default(), self.moment(after)).await
    }

    /// Whether these credentials are right, some seconds after the start.
    pub async fn accepts(&self, client: &(String, String), after: impl Into<f64>) -> bool {
        self.try_as(client, SOURCE, after.into()).await.is_ok()
    }

    /// The answer to credentials that are refused: status, headers, body.
    pub async fn refusal(&self, client: &(String, String), source: &str, after: f64) -> (u16, HeaderMap, String) {
        let refused = self.try_as(client, source, after).await.expect_err("it is refused").into_response();
        let (parts, body) = refused.into_parts();
        (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Status and `Retry-After` of the answer to a wrong secret.
    pub async fn wrong(&self, id: &str, source: &str, after: f64) -> (u16, u64) {
        let (status, headers, _) = self.refusal(&(id.to_owned(), "wrong".to_owned()), source, after).await;
        let retry_after = headers.get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
        (status, retry_after.unwrap_or_default())
    }
}

/// Changes the registration of a client: one version further.
pub async fn change(server: &Server, id: &str, change: impl FnOnce(&mut Client)) -> Client {
    let open = Home::new(server.home()).open().await.unwrap();
    let earlier = open.registry.client_now(&ClientId::parse(id).unwrap()).await.unwrap().unwrap();
    let mut next = Client { version: earlier.version + 1, ..earlier.clone() };
    change(&mut next);
    assert!(open.registry.replace_client(&earlier, &next, None).await.unwrap());
    next
}

/// Says in its registration that the secret of a client changed at a moment.
pub async fn changed_at(server: &Server, id: &str, moment: SystemTime) {
    change(server, id, |client| client.secrets_changed_at = seconds(moment)).await;
}
