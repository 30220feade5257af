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
    /// Somebody else deleted or changed it meanwhile.
    #[error("client {0} is being changed by somebody else at the same time: try again")]
    Busy(registry::ClientId),
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
        Some(public_url) => take_steps(open, &app(open, public_url), secret_id, &Step::ALL).await?,
        None => {
            let endpoint = TokenEndpoint::start(open).await?;
            take_steps(open, &app(open, endpoint.url.clone()), secret_id, &Step::ALL).await?;
        }
    }
    current(open, secret_id, client).await
}

/// Refuses the previous secret of a client from now on. `false`: there was none.
///
/// # Errors
/// [`LocalRotationError`].
pub async fn retire_previous(open: &OpenHome, client: &Client) -> Result<bool, LocalRotationError> {
    let secret_id = secret_of(client)?;
    let retired = drop_label(open, secret_id, SecretStage::Previous).await?;
    // Also when there was none: a run that ended in between has told nobody.
    tell(open, client, false).await?;
    Ok(retired)
}

/// Gives a client a new secret, refuses every earlier one at once, and cuts the tokens it has. Nothing is asked and
/// nothing is tried: who holds the old secret may be anybody.
///
/// # Errors
/// [`LocalRotationError`].
pub async fn replace_compromised(open: &OpenHome, client: &Client) -> Result<SecretString, LocalRotationError> {
    let secret_id = secret_of(client)?;
    for label in [SecretStage::Pending, SecretStage::Previous] {
        drop_label(open, secret_id, label).await?;
    }
    let steps = [Step::CreateSecret, Step::SetSecret, Step::FinishSecret];
    take_steps(open, &app(open, nowhere()), secret_id, &steps).await?;
    drop_label(open, secret_id, SecretStage::Previous).await?;
    tell(open, client, true).await?;
    current(open, secret_id, client).await
}

/// Makes a new signing key.
///
/// # Errors
/// [`LocalRotationError`]; refused while the newest key does not sign yet.
pub async fn rotate_signing_keys(open: &OpenHome) -> Result<(), LocalRotationError> {
    let app = app(open, nowhere());
    match take_steps(open, &app, SIGNING_KEYS, &Step::ALL).await {
        // What another run had left behind was too old to go on with.
        Err(LocalRotationError::Rotation(RotationError::TooLate)) => {
            take_steps(open, &app, SIGNING_KEYS, &Step::ALL).await
        }
        done => done,
    }
}

async fn take_steps(
    open: &OpenHome,
    app: &rotate::App,
    secret_id: &str,
    steps: &[Step],
) -> Result<(), LocalRotationError> {
    let version_id = match label_of(open, secret_id, SecretStage::Pending).await? {
        Some(left_behind) => left_behind,
        None => open.secrets.begin_rotation(secret_id).await?,
    };
    for &step in steps {
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

/// The version that has a label, unless it is the current one as well.
async fn label_of(open: &OpenHome, secret_id: &str, stage: SecretStage) -> Result<Option<String>, LocalRotationError> {
    let Some(secret) = open.secrets.describe(secret_id).await? else { return Ok(None) };
    let version = secret.version_at(stage).filter(|version| Some(*version) != secret.version_at(SecretStage::Current));
    Ok(version.map(str::to_owned))
}

async fn drop_label(open: &OpenHome, secret_id: &str, stage: SecretStage) -> Result<bool, LocalRotationError> {
    let Some(version) = label_of(open, secret_id, stage).await? else { return Ok(false) };
    open.secrets.move_stage(secret_id, stage, Some(&version), None).await?;
    Ok(true)
}

/// Lets everybody read the secrets of a client anew, and cuts its tokens if they are to be refused.
async fn tell(open: &OpenHome, client: &Client, cut: bool) -> Result<(), LocalRotationError> {
    const ATTEMPTS: usize = 8;
    for _ in 0..ATTEMPTS {
        let now = SystemTime::now();
        let earlier = open.registry.client_now(&client.client_id).await?;
        let earlier = earlier.ok_or(RotationError::UnknownSecret)?;
        let client = earlier.with_changed_secrets(now);
        let cut = cut.then(|| open.revocations.cut_before(&client, now));
        if open.registry.replace_client(&earlier, &client, cut).await? {
            return Ok(());
        }
    }
    Err(LocalRotationError::Busy(client.client_id.clone()))
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
