//! The first start: demo data, and a client to try them with.

use std::time::{Duration, SystemTime};

use access_token::Scopes;
use import::Dataset;
use registry::client::{DEFAULT_QUIET_PERIOD, DEFAULT_TOKEN_LIFETIME, NewClient, generate_secret, secret_id};
use registry::{AssertionAudience, AuthMethod, ClientChange, ClientId, RegistryError, ServerName};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::home::{CLIENT_SECRET_PREFIX, Home, HomeError, OpenHome};
use crate::serve::ServeError;
use crate::store::{LOYALTY_TABLE, ORDERS_TABLE};

const ORDERS: &str = include_str!("../../../examples/orders.csv");
const LOYALTY: &str = include_str!("../../../examples/loyalty.csv");
const DEMO_CLIENT: &str = "demo";

/// What `demo.json` holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demo {
    /// Base of every URL.
    pub public_url: String,
    /// The token endpoint.
    pub token_url: String,
    /// The default MCP server.
    pub mcp_url: String,
    /// The demo client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// The scope to ask for.
    pub scope: String,
}

/// Makes the demo data and the demo client if this home has none, and says where things are now.
///
/// # Errors
/// [`ServeError`]; what was made until then stays and is found by the next start.
pub async fn prepare(home: &Home, open: &OpenHome, public_url: &str, now: SystemTime) -> Result<Demo, ServeError> {
    let existing = match home.demo() {
        Ok(demo) => Some(demo),
        Err(HomeError::NoDemo { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let client_secret = match &existing {
        Some(demo) => demo.client_secret.clone(),
        None => {
            load(open).await?;
            make_client(open, now).await?
        }
    };
    let demo = Demo {
        public_url: public_url.to_owned(),
        token_url: format!("{public_url}/token"),
        mcp_url: format!("{public_url}/mcp"),
        client_id: DEMO_CLIENT.to_owned(),
        client_secret,
        scope: Scopes::READ.to_string(),
    };
    if existing.as_ref() != Some(&demo) {
        write(home, &demo)?;
    }
    Ok(demo)
}

/// Writes a new secret into `demo.json` if its client is the demo client.
///
/// # Errors
/// [`HomeError`] when a file cannot be read or written.
pub fn keep_secret(home: &Home, client_id: &ClientId, secret: &SecretString) -> Result<(), HomeError> {
    match home.demo() {
        Ok(demo) if demo.client_id == client_id.as_str() => {
            write(home, &Demo { client_secret: secret.expose_secret().to_owned(), ..demo })
        }
        Ok(_) | Err(HomeError::NoDemo { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Lets the demo client call some more servers; it may call every server of a local run. `false` when there is no demo
/// client, or others change it all the time.
///
/// # Errors
/// [`RegistryError`] when the registry does not answer.
pub async fn give_servers(open: &OpenHome, servers: &[ServerName]) -> Result<bool, RegistryError> {
    const ATTEMPTS: u32 = 8;
    let demo = open.home().demo().ok().and_then(|demo| ClientId::parse(&demo.client_id));
    let Some(demo) = demo.filter(|_| !servers.is_empty()) else { return Ok(false) };
    for attempt in 1..=ATTEMPTS {
        let Some(before) = open.registry.client_now(&demo).await? else { return Ok(false) };
        let mut all = before.servers.clone();
        all.extend(servers.iter().filter(|name| !before.servers.contains(name)).cloned());
        if all == before.servers {
            return Ok(true);
        }
        let client = before.changed(ClientChange { servers: Some(all), ..ClientChange::default() });
        if open.registry.replace_client(&before, &client, None).await? {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(20) * attempt).await;
    }
    Ok(false)
}

fn write(home: &Home, demo: &Demo) -> Result<(), HomeError> {
    // What curl sends to the token endpoint: `-d @token-request`. Ids and secrets are URL-safe.
    let Demo { client_id, client_secret, .. } = demo;
    let form = format!("grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}");
    home.write_private("token-request", form.as_bytes())?;
    home.write_private("demo.json", &serde_json::to_vec_pretty(demo).expect("a struct of texts is JSON"))
}

async fn load(open: &OpenHome) -> Result<(), ServeError> {
    let options = import::Options::default();
    let dynamodb = &open.aws.dynamodb;
    import::run(dynamodb, ORDERS_TABLE, Dataset::Orders, ORDERS.as_bytes(), &options, |_| {}).await?;
    import::run(dynamodb, LOYALTY_TABLE, Dataset::Loyalty, LOYALTY.as_bytes(), &options, |_| {}).await?;
    Ok(())
}

/// The secret comes first: a start that ended in between finds it again.
async fn make_client(open: &OpenHome, now: SystemTime) -> Result<String, ServeError> {
    let servers = open.registry.servers().await.map_err(registry::InitError::from)?;
    let demo = NewClient {
        client_id: ClientId::parse(DEMO_CLIENT).expect("the demo client's id is a client id"),
        name: "Demo".to_owned(),
        servers: servers.into_iter().map(|server| server.name).collect(),
        scopes: Scopes::READ_WRITE,
        auth_methods: AuthMethod::WITH_SECRET.to_vec(),
        keys: None,
        assertion_audience: AssertionAudience::default(),
        quiet_period: DEFAULT_QUIET_PERIOD,
        token_lifetime: DEFAULT_TOKEN_LIFETIME,
        token_limit: None,
        expires_at: None,
    };
    let client = demo.registered(CLIENT_SECRET_PREFIX, now);
    let secret_id = secret_id(CLIENT_SECRET_PREFIX, &client.client_id);
    let secret = generate_secret();
    let made = open.secrets.create(&secret_id, &secret).await.map_err(registry::InitError::from)?;
    let secret = if made {
        secret
    } else {
        let existing = open.secrets.get(&secret_id, aws_clients::SecretStage::Current).await;
        existing.map_err(registry::InitError::from)?.map_or(secret, |version| version.value)
    };
    open.registry.create_client(&client).await.map_err(registry::InitError::from)?;
    Ok(secret.expose_secret().to_owned())
}
