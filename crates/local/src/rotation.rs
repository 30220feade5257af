//! Rotation in a local run: what Secrets Manager does in AWS, it begins one and asks the function `rotate` for the four
//! steps.

use std::sync::Arc;
use std::time::SystemTime;

use aws_clients::{AwsClients, AwsSettings, SecretStage, SecretsError};
use registry::{Client, PublicUrl, RegistryError};
use rotate::config::{KEY_LEAD, TOKEN_PATIENCE};
use rotate::{RotationError, RotationEvent, Step};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::gateway::{self, HttpApi, Routes};
use crate::home::{CLIENT_SECRET_PREFIX, OpenHome, SIGNING_KEYS};
use crate::store::{CONFIG_TABLE, STATE_TABLE};

/// Why a rotation was not done, or not to its end; taken up again, it goes on where it was.
#[derive(Debug, thiserror::Error)]
pub enum LocalRotationError {
    /// See [`RotationError`].
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// See [`SecretsError`].
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// See [`RegistryError`].
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The client has none.
    #[error("client {0} has no secret: it authenticates with its own keys")]
    NoSecret(registry::ClientId),
    /// No token endpoint to try the new secret at.
    #[error("the new secret cannot be tried: no port on 127.0.0.1: {0}")]
    Listen(#[from] std::io::Error),
}

impl LocalRotationError {
    /// The stable code, as in `outcome` of the log line.
    pub fn code(&self) -> &'static str {
        match self {
            LocalRotationError::Rotation(error) => error.code(),
            _ => "command_failed",
        }
    }
}

/// Gives a client a new secret, which has been tried at the token endpoint of the running `serve`, or at one that is
/// started for it. The one before is accepted on.
///
/// # Errors
/// [`LocalRotationError`]; refused while the previous secret is still accepted.
pub async fn rotate_client_secret(open: &OpenHome, client: &Client) -> Result<SecretString, LocalRotationError> {
    let secret_id = secret_of(client)?;
    match open.home().demo().ok().filter(|_| open.is_served()).and_then(|demo| PublicUrl::parse(&demo.public_url).ok())
    {
        Some(public_url) => take_steps(open, &app(open, public_url), secret_id).await?,
        None => {
            let endpoint = TokenEndpoint::start(open).await?;
            take_steps(open, &app(open, endpoint.url.clone()), secret_id).await?;
        }
    }
    current(open, secret_id, client).await
}

/// Makes a new signing key.
///
/// # Errors
/// [`LocalRotationError`]; refused while the newest key does not sign yet.
pub async fn rotate_signing_keys(open: &OpenHome) -> Result<(), LocalRotationError> {
    let app = app(open, nowhere());
    match take_steps(open, &app, SIGNING_KEYS).await {
        // What another run had left behind was too old to go on with.
        Err(LocalRotationError::Rotation(RotationError::TooLate)) => take_steps(open, &app, SIGNING_KEYS).await,
        done => done,
    }
}

async fn take_steps(open: &OpenHome, app: &rotate::App, secret_id: &str) -> Result<(), LocalRotationError> {
    let secret = open.secrets.describe(secret_id).await?;
    let version_id = match secret.as_ref().and_then(|secret| secret.other_version_at(SecretStage::Pending)) {
        Some(left_behind) => left_behind.to_owned(),
        None => open.secrets.begin_rotation(secret_id).await?,
    };
    for step in Step::ALL {
        let event = RotationEvent { step, secret_id: secret_id.to_owned(), client_request_token: version_id.clone() };
        rotate::step(app, &event, SystemTime::now()).await?;
    }
    Ok(())
}

fn app(open: &OpenHome, public_url: PublicUrl) -> rotate::App {
    rotate::App::new(rotate::Config {
        public_url,
        config_table: CONFIG_TABLE.to_owned(),
        state_table: STATE_TABLE.to_owned(),
        signing_keys: SIGNING_KEYS.to_owned(),
        client_secret_prefix: CLIENT_SECRET_PREFIX.to_owned(),
        secrets: open.secrets.clone(),
        aws: open.aws.clone(),
        key_lead: KEY_LEAD,
        // The one process of token has just shown that it knows the secret.
        secret_settles_in: std::time::Duration::ZERO,
        token_patience: TOKEN_PATIENCE,
    })
}

/// For rotations that try nothing at the token endpoint.
fn nowhere() -> PublicUrl {
    PublicUrl::parse("http://127.0.0.1").expect("it is a public URL")
}

fn secret_of(client: &Client) -> Result<&str, LocalRotationError> {
    client.secret_id.as_deref().ok_or_else(|| LocalRotationError::NoSecret(client.client_id.clone()))
}

async fn current(open: &OpenHome, secret_id: &str, client: &Client) -> Result<SecretString, LocalRotationError> {
    let version = open.secrets.get(secret_id, SecretStage::Current).await?;
    version.map(|version| version.value).ok_or_else(|| LocalRotationError::NoSecret(client.client_id.clone()))
}

/// The function `token` on a port of its own, while no `serve` runs; it ends with this.
struct TokenEndpoint {
    url: PublicUrl,
    _stop: oneshot::Sender<()>,
}

impl TokenEndpoint {
    async fn start(open: &OpenHome) -> Result<TokenEndpoint, LocalRotationError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let url = PublicUrl::parse(&url).expect("a loopback address is a public URL");
        let token = token::App::new(token::Config {
            public_url: url.clone(),
            config_table: CONFIG_TABLE.to_owned(),
            state_table: STATE_TABLE.to_owned(),
            signing_keys: SIGNING_KEYS.to_owned(),
            secrets: open.secrets.clone(),
            aws: AwsClients::new(&AwsSettings::local(open.store_url())),
            outbound: outbound::Fetcher::new(),
        });
        let token = Arc::new(token.await);
        let invoke = move |(), invocation: gateway::Invocation| {
            let token = token.clone();
            async move {
                let lambda = http_api::Invocation { request_id: invocation.request_id, deadline: invocation.deadline };
                let answer =
                    http_api::answer_event(&invocation.event, lambda, async |request| token.handle(request).await);
                serde_json::to_string(&answer.await).map_err(|error| error.to_string())
            }
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = Routes::parse(&[("ANY /token", ())]).expect("it is a route key");
        tokio::spawn(gateway::serve(listener, HttpApi::new(routes), invoke, async move {
            let _ = stopped.await;
        }));
        Ok(TokenEndpoint { url, _stop: stop })
    }
}
