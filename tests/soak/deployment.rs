//! What processes of the function `token` share in AWS: one table, one Secrets Manager. Both are asked through proxies that
//! count.

use std::time::Duration;

use aws_clients::{AwsClients, AwsSettings, SecretStage, Secrets};
use black_box::Server;
use black_box::functions::{body, environment};
use black_box::in_process;
use black_box::lambda::Lambda;
use black_box::ministack::Ministack;
use black_box::proxy::{Mode, Proxy};
use local::home::SIGNING_KEYS;
use local::{Home, OpenHome};
use registry::{Client, ClientId};
use secrecy::SecretString;
use serde_json::{Value, json};

/// See the module's head. Registry and signing keys are those of a `northstar serve`, whose functions are not asked.
pub struct Deployment {
    /// Its table, and the secrets in its Secrets Manager; not counted.
    pub open: OpenHome,
    /// What the API of Secrets Manager is asked by processes.
    pub secrets: Proxy,
    /// What DynamoDB is asked by processes.
    pub tables: Proxy,
    /// The API of Secrets Manager.
    pub sdk: aws_clients::SecretsManager,
    server: Server,
    _ministack: Ministack,
}

impl Deployment {
    pub async fn start() -> Deployment {
        let server = Server::start(&[]);
        let ministack = Ministack::start();
        let mut open = Home::new(server.home()).open().await.unwrap();
        let settings = AwsSettings {
            secrets_manager_url: Some(ministack.url.clone()),
            ..AwsSettings::local(server.dynamodb_url().trim())
        };
        let sdk = AwsClients::new(&settings).secrets_manager;
        let signing_keys = open.secrets.get(SIGNING_KEYS, SecretStage::Current).await.unwrap().unwrap().value;
        open.secrets = Secrets::SecretsManager(sdk.clone());
        open.secrets.create(SIGNING_KEYS, &signing_keys).await.unwrap();
        let secrets = Proxy::start(&ministack.url, Mode::Pass);
        let tables = Proxy::start(&server.dynamodb_url(), Mode::Pass);
        Deployment { open, secrets, tables, sdk, server, _ministack: ministack }
    }

    /// Starts a process of `token`.
    pub async fn process(&self) -> Lambda {
        let mut environment = environment("token", &self.server);
        environment.retain(|(name, _)| !matches!(*name, "NORTHSTAR_SECRETS_FILE" | "AWS_ENDPOINT_URL_DYNAMODB"));
        environment.push(("AWS_ENDPOINT_URL_DYNAMODB", self.tables.url.clone()));
        environment.push(("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets.url.clone()));
        Lambda::start_with("token", environment).await
    }

    /// Registers a client with more arguments for `client create`; its record and its secret, which has been there for a
    /// minute: one that is younger is read twice.
    pub async fn client(&self, arguments: &[&str]) -> (Client, String) {
        let (id, secret) = self.server.new_client(arguments);
        let made = self.record(&ClientId::parse(&id).unwrap()).await;
        let secret_id = made.secret_id.as_deref().unwrap();
        assert!(self.open.secrets.create(secret_id, &SecretString::from(secret.as_str())).await.unwrap());
        let settled =
            Client { secrets_changed_at: made.secrets_changed_at - 60, version: made.version + 1, ..made.clone() };
        assert!(self.open.registry.replace_client(&made, &settled, None).await.unwrap());
        (settled, secret)
    }

    /// A client's record as it is now.
    pub async fn record(&self, id: &ClientId) -> Client {
        self.open.registry.client_now(id).await.unwrap().unwrap()
    }

    /// How often processes have read secrets.
    pub fn secret_reads(&self) -> usize {
        self.secrets.asked("GetSecretValue")
    }

    /// How often processes have read tables.
    pub fn table_reads(&self) -> usize {
        self.tables.asked("GetItem") + self.tables.asked("Query")
    }
}

/// What a process answers to a token request.
pub async fn ask(process: &Lambda, client_id: &str, secret: &str, source: &str) -> Value {
    let form = format!("grant_type=client_credentials&client_id={client_id}&client_secret={secret}");
    let headers = json!({ "content-type": "application/x-www-form-urlencoded" });
    let mut event = in_process::event("POST", "/token", headers, &form);
    event["requestContext"]["http"]["sourceIp"] = json!(source);
    process.invoke_within(&event.to_string(), Duration::from_secs(29)).await
}

/// Whether an answer is a token; else it is a refusal.
///
/// # Errors
/// Anything else, as text.
pub fn is_issued(answer: &Value) -> Result<bool, String> {
    match answer["statusCode"].as_u64() {
        Some(200) if body(answer)["access_token"].is_string() => Ok(true),
        Some(401 | 429) => Ok(false),
        _ => Err(answer.to_string()),
    }
}
