//! One registry, one source of secrets, the function `rotate` over both, and a token endpoint to try secrets at.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use aws_clients::{AwsClients, AwsSettings, SecretStage, Secrets};
use aws_sdk_secretsmanager as secrets_manager;
use aws_smithy_types::retry::RetryConfig;
use black_box::crash_proxy::{self, Budget};
use black_box::ministack::Ministack;
use local::gateway::{self, HttpApi, Routes};
use local::home::{CLIENT_SECRET_PREFIX, SIGNING_KEYS, STATE_KEY};
use local::store::{CONFIG_TABLE, STATE_TABLE};
use local::{Home, OpenHome};
use registry::client::{DEFAULT_QUIET_PERIOD, NewClient, generate_secret};
use registry::{AssertionAudience, AuthMethod, Client, ClientId, PublicUrl, ServerName};
use rotate::{RotationError, RotationEvent, Step};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// Where the secrets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    SecretsManager,
    File,
}

impl Source {
    pub const ALL: [Source; 2] = [Source::SecretsManager, Source::File];
}

/// See the module's head.
pub struct World {
    pub source: Source,
    pub open: OpenHome,
    pub secrets: Secrets,
    pub app: rotate::App,
    /// Name of the secret of the signing keys: each world has its own in the one Secrets Manager.
    pub signing_keys: String,
    public_url: PublicUrl,
    prefix: String,
    sdk: Option<secrets_manager::Client>,
    _folder: TempDir,
}

static MINISTACK: LazyLock<Ministack> = LazyLock::new(Ministack::start);
/// Everything that was logged in this process.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// Every value of a secret that was ever seen.
static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

impl World {
    pub async fn new(source: Source) -> World {
        struct Log;
        impl Write for Log {
            fn write(&mut self, lines: &[u8]) -> std::io::Result<usize> {
                LOG.lock().unwrap().extend_from_slice(lines);
                Ok(lines.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        request_log::write_to(Log);
        let folder = tempfile::tempdir().unwrap();
        let open = Home::new(folder.path()).open().await.unwrap();
        let unique = ClientId::generate().to_string();
        let (prefix, signing_keys) = match source {
            Source::SecretsManager => (format!("{unique}/clients/"), format!("{unique}/signing-keys")),
            Source::File => (CLIENT_SECRET_PREFIX.to_owned(), SIGNING_KEYS.to_owned()),
        };
        let sdk = (source == Source::SecretsManager).then(|| sdk(&MINISTACK.url));
        let secrets = sdk.clone().map_or_else(|| open.secrets.clone(), Secrets::from);
        let state_key = format!("{prefix}{STATE_KEY}");
        registry::init(&open.registry, &secrets, &signing_keys, &state_key, SystemTime::now()).await.unwrap();
        let public_url = token_endpoint(&open, &secrets, &signing_keys).await;
        let app = rotate::App::new(config(&signing_keys, &prefix, secrets.clone(), open.aws.clone(), &public_url));
        let world = World { source, open, secrets, app, signing_keys, public_url, prefix, sdk, _folder: folder };
        world.enable_rotation(&world.signing_keys).await;
        world
    }

    /// The function's configuration.
    pub fn config(&self) -> rotate::Config {
        let World { signing_keys, prefix, secrets, open, public_url, .. } = self;
        config(signing_keys, prefix, secrets.clone(), open.aws.clone(), public_url)
    }

    /// The function with another token endpoint.
    pub fn app_at(&self, public_url: &PublicUrl) -> rotate::App {
        rotate::App::new(rotate::Config { public_url: public_url.clone(), ..self.config() })
    }

    /// Base of the URL of the token endpoint.
    pub fn token_url(&self) -> &str {
        self.public_url.as_str()
    }

    /// The function in a process that dies after some calls of the stores.
    pub async fn dying_app(&self, budget: &Arc<Budget>) -> rotate::App {
        let secrets = match self.source {
            Source::File => self.secrets.clone(),
            Source::SecretsManager => Secrets::from(sdk(&crash_proxy::start(&MINISTACK.url, budget.clone()).await)),
        };
        let dynamodb_url = crash_proxy::start(self.open.store_url(), budget.clone()).await;
        let dynamodb = self.open.aws.dynamodb.config().to_builder();
        let dynamodb = dynamodb.endpoint_url(dynamodb_url).retry_config(RetryConfig::disabled());
        let aws =
            AwsClients { dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()), ..self.open.aws.clone() };
        rotate::App::new(rotate::Config { secrets, aws, ..self.config() })
    }

    /// A client with a secret that was never rotated.
    pub async fn client(&self, quiet_period: u64) -> Client {
        let client = NewClient {
            client_id: ClientId::generate(),
            name: "Agentforce".to_owned(),
            servers: vec![ServerName::default_server()],
            scopes: access_token::Scopes::READ_WRITE,
            auth_methods: AuthMethod::WITH_SECRET.to_vec(),
            keys: None,
            assertion_audience: AssertionAudience::default(),
            quiet_period,
            token_lifetime: 900,
            token_limit: None,
            expires_at: None,
        };
        let client = client.registered(&self.prefix, SystemTime::now());
        let secret_id = client.secret_id.as_deref().unwrap();
        self.secrets.create(secret_id, &generate_secret()).await.unwrap();
        self.open.registry.create_client(&client).await.unwrap();
        self.enable_rotation(secret_id).await;
        client
    }

    /// A client that nobody rotates twice by accident.
    pub async fn new_client(&self) -> Client {
        self.client(DEFAULT_QUIET_PERIOD).await
    }

    /// Ministack's RotateSecret turns rotation on, calls no function and makes a second version of the same value.
    async fn enable_rotation(&self, secret_id: &str) {
        let Some(sdk) = &self.sdk else { return };
        let function = "arn:aws:lambda:us-east-1:000000000000:function:rotate";
        sdk.rotate_secret().secret_id(secret_id).rotation_lambda_arn(function).send().await.unwrap();
        let previous = self.version_at(secret_id, SecretStage::Previous).await.unwrap();
        self.secrets.move_stage(secret_id, SecretStage::Previous, Some(&previous), None).await.unwrap();
    }

    /// What Secrets Manager does when a rotation begins: a version without a value gets the label `AWSPENDING`. The event
    /// of its first step, without the step.
    pub async fn begin(&self, secret_id: &str) -> RotationEvent {
        let Some(sdk) = &self.sdk else {
            let version_id = self.secrets.begin_rotation(secret_id).await.unwrap();
            return event(secret_id, &version_id);
        };
        let (pending, current) = (
            self.version_at(secret_id, SecretStage::Pending).await,
            self.version_at(secret_id, SecretStage::Current).await,
        );
        assert!(pending.is_none() || pending == current, "a rotation is under way");
        if let Some(pending) = pending {
            self.secrets.move_stage(secret_id, SecretStage::Pending, Some(&pending), None).await.unwrap();
        }
        let version_id = uuid();
        let put = sdk.put_secret_value().secret_id(secret_id).client_request_token(&version_id);
        put.version_stages("AWSPENDING").send().await.unwrap();
        let arn = sdk.describe_secret().secret_id(secret_id).send().await.unwrap().arn.unwrap();
        event(&arn, &version_id)
    }

    /// Sends one event, as text, and lets the function log it.
    pub async fn send(&self, event: &RotationEvent, step: Step) -> Result<(), RotationError> {
        send(&self.app, event, step).await
    }

    /// Sends the four events in their order.
    pub async fn send_all(&self, event: &RotationEvent) -> Result<(), RotationError> {
        for step in Step::ALL {
            self.send(event, step).await?;
        }
        Ok(())
    }

    /// A whole rotation.
    pub async fn rotate(&self, secret_id: &str) -> Result<(), RotationError> {
        self.send_all(&self.begin(secret_id).await).await
    }

    pub async fn version_at(&self, secret_id: &str, stage: SecretStage) -> Option<String> {
        let described = self.secrets.describe(secret_id).await.unwrap().unwrap();
        described.version_at(stage).map(str::to_owned)
    }

    /// The value of the version with a label.
    pub async fn value(&self, secret_id: &str, stage: SecretStage) -> Option<SecretString> {
        let value = self.secrets.get(secret_id, stage).await.unwrap()?.value;
        SEEN.lock().unwrap().insert(value.expose_secret().to_owned());
        Some(value)
    }

    pub async fn current(&self, secret_id: &str) -> SecretString {
        self.value(secret_id, SecretStage::Current).await.unwrap()
    }

    #[track_caller]
    pub fn record(&self, id: &ClientId) -> impl Future<Output = Client> {
        let (registry, id) = (self.open.registry.clone(), id.clone());
        async move { registry.client_now(&id).await.unwrap().unwrap() }
    }

    /// Whether a secret gets the client a token, from a process that has just started.
    pub async fn accepts(&self, client: &Client, secret: &SecretString) -> bool {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client.client_id.as_str()),
            ("client_secret", secret.expose_secret()),
        ];
        let request = reqwest::Client::new().post(format!("{}/token", self.public_url.as_str())).form(&form);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        assert!(matches!(status, 200 | 401), "{status} {}", response.text().await.unwrap());
        status == 200
    }

    /// What has to be so at every moment: one current version, one previous and one pending one at most.
    pub async fn assert_labels(&self, secret_id: &str, what: &dyn std::fmt::Debug) {
        let described = self.secrets.describe(secret_id).await.unwrap().unwrap();
        let count = |stage| described.stages.values().filter(|stages| stages.contains(&stage)).count();
        assert_eq!(count(SecretStage::Current), 1, "{:?} {what:?}: {described:?}", self.source);
        assert!(count(SecretStage::Previous) <= 1, "{:?} {what:?}: {described:?}", self.source);
        assert!(count(SecretStage::Pending) <= 1, "{:?} {what:?}: {described:?}", self.source);
        for stage in [SecretStage::Current, SecretStage::Previous, SecretStage::Pending] {
            self.value(secret_id, stage).await;
        }
    }

    /// What has to be so when a rotation is over.
    pub async fn assert_rotated(&self, client: &Client, old: &SecretString, what: &dyn std::fmt::Debug) {
        let secret_id = client.secret_id.as_deref().unwrap();
        self.assert_labels(secret_id, what).await;
        let new = self.current(secret_id).await;
        assert_ne!(new.expose_secret(), old.expose_secret(), "{:?} {what:?}", self.source);
        assert!(self.accepts(client, &new).await, "{:?} {what:?}: the new secret", self.source);
        assert!(self.accepts(client, old).await, "{:?} {what:?}: the old secret", self.source);
        assert!(!self.record(&client.client_id).await.rotating, "{:?} {what:?}", self.source);
        let pending = self.version_at(secret_id, SecretStage::Pending).await;
        let current = self.version_at(secret_id, SecretStage::Current).await;
        assert!(pending.is_none() || pending == current, "{:?} {what:?}: the next rotation can begin", self.source);
    }

    /// Retires the previous secret, as `client rotate ID --retire-previous` does.
    pub async fn retire(&self, client: &Client) {
        let secret_id = client.secret_id.as_deref().unwrap();
        let previous = self.version_at(secret_id, SecretStage::Previous).await.unwrap();
        self.secrets.move_stage(secret_id, SecretStage::Previous, Some(&previous), None).await.unwrap();
        let record = self.record(&client.client_id).await;
        let next = record.with_changed_secrets(SystemTime::now());
        assert!(self.open.registry.replace_client(&record, &next, None).await.unwrap());
    }
}

fn config(
    signing_keys: &str,
    prefix: &str,
    secrets: Secrets,
    aws: AwsClients,
    public_url: &PublicUrl,
) -> rotate::Config {
    rotate::Config {
        public_url: public_url.clone(),
        config_table: CONFIG_TABLE.to_owned(),
        state_table: STATE_TABLE.to_owned(),
        signing_keys: signing_keys.to_owned(),
        client_secret_prefix: prefix.to_owned(),
        secrets,
        aws,
        key_lead: rotate::config::KEY_LEAD,
        secret_settles_in: Duration::ZERO,
        token_patience: Duration::ZERO,
    }
}

/// Takes one step at another time than now.
pub async fn take(app: &rotate::App, event: &RotationEvent, step: Step, now: SystemTime) -> Result<(), RotationError> {
    rotate::step(app, &RotationEvent { step, ..event.clone() }, now).await
}

/// Sends one event, as text.
pub async fn send(app: &rotate::App, event: &RotationEvent, step: Step) -> Result<(), RotationError> {
    app.handle(&event_text(event, step).to_string(), "b4d3f0a6-6d3b-4f0e-9c55-0f2c4e6d7a11").await
}

/// An event as Secrets Manager writes it.
pub fn event_text(event: &RotationEvent, step: Step) -> Value {
    json!({
        "Step": step.as_str(),
        "SecretId": event.secret_id,
        "ClientRequestToken": event.client_request_token,
    })
}

fn event(secret_id: &str, version_id: &str) -> RotationEvent {
    let (secret_id, client_request_token) = (secret_id.to_owned(), version_id.to_owned());
    RotationEvent { step: Step::CreateSecret, secret_id, client_request_token }
}

/// The log of this process, in which no secret may be; the lines about one client are for the test to look at.
pub fn log_without_secrets() -> String {
    let log = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    for secret in SEEN.lock().unwrap().iter() {
        // A list of signing keys is too long for a line: any part of it would be too much.
        let parts = secret.split(['\\', '"', '\n']).filter(|part| part.len() >= 24 && !part.contains("PRIVATE KEY"));
        for part in parts {
            let is_public = part.len() == 43 && secret.starts_with('[');
            assert!(is_public || !log.contains(part), "a secret is in the log");
        }
    }
    log
}

/// A version id.
pub fn uuid() -> String {
    let mut rng = fastrand::Rng::new();
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        rng.u32(..),
        rng.u16(..),
        rng.u16(..4096),
        rng.u16(..4096),
        rng.u64(..1 << 48)
    )
}

fn sdk(url: &str) -> secrets_manager::Client {
    let settings =
        AwsSettings { secrets_manager_url: Some(url.to_owned()), ..AwsSettings::local("http://127.0.0.1:1") };
    let config = AwsClients::new(&settings).secrets_manager.config().to_builder();
    // A process that dies does not try again.
    secrets_manager::Client::from_conf(config.retry_config(RetryConfig::disabled()).build())
}

/// The function `token` behind the emulated HTTP API. Every request meets a process that has just started: what such a
/// one accepts is what the stores say.
async fn token_endpoint(open: &OpenHome, secrets: &Secrets, signing_keys: &str) -> PublicUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = PublicUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let (store_url, secrets, signing_keys) = (open.store_url().to_owned(), secrets.clone(), signing_keys.to_owned());
    let public_url = url.clone();
    let invoke = move |(), invocation: gateway::Invocation| {
        let config = token::Config {
            public_url: public_url.clone(),
            config_table: CONFIG_TABLE.to_owned(),
            state_table: STATE_TABLE.to_owned(),
            signing_keys: signing_keys.clone(),
            secrets: secrets.clone(),
            aws: AwsClients::new(&AwsSettings::local(&store_url)),
            outbound: outbound::Fetcher::new(),
        };
        async move {
            let token = token::App::new(config).await;
            let lambda = http_api::Invocation { request_id: invocation.request_id, deadline: invocation.deadline };
            let answer = http_api::answer_event(&invocation.event, lambda, async |request| token.handle(request).await);
            Ok(serde_json::to_string(&answer.await).unwrap())
        }
    };
    let routes = Routes::parse(&[("ANY /token", ())]).unwrap();
    tokio::spawn(gateway::serve(listener, HttpApi::new(routes), invoke, std::future::pending()));
    url
}
