//! `serve --with-org`: a small Salesforce org on this machine, and two servers over it.

use std::time::SystemTime;

use oauth_client::{Grants, SealingKeys};
use outbound::Fetcher;
use registry::connection::DEFAULT_API_VERSION;
use registry::{ClientAuth, Connection, ConnectionName, Flow, InitError, SalesforceOrg, Server};
use salesforce_standin::{ConnectedApp, Options, Org, Standin};
use secrecy::SecretString;

use crate::home::{CONNECTION_SECRET_PREFIX, OpenHome};
use crate::serve::ServeError;
use crate::store::STATE_TABLE;

/// What the org is called here.
pub const DEMO_ORG: &str = "demo";

/// Starts the org, registers it under [`DEMO_ORG`], and makes the two servers that are not there yet. It begins anew with
/// each start: what was written there is gone, and so is the session of the start before.
///
/// # Errors
/// [`ServeError::OtherOrg`] when the home has another org of that name.
pub async fn start(open: &OpenHome, public_url: &str, now: SystemTime) -> Result<Standin, ServeError> {
    let name = ConnectionName::parse(DEMO_ORG).expect("the name is one of a connection");
    let earlier = open.registry.connection(&name).await.map_err(asked)?;
    if earlier.is_some_and(|earlier| !is_org_on_this_machine(&earlier)) {
        return Err(ServeError::OtherOrg);
    }
    // Its app knows the callbacks of the org, and of an upstream `hosted`: its hosted MCP servers can be tried as that.
    let callback_urls = ["callback", "hosted"].map(|name| format!("{public_url}/connect/{name}")).to_vec();
    let app = ConnectedApp { callback_urls, ..ConnectedApp::default() };
    let options = Options { connected_app: app.clone(), ..Options::default() };
    let standin = Standin::start(Org::demo(), options).await.map_err(ServeError::Org)?;
    let secret_id = format!("{CONNECTION_SECRET_PREFIX}{name}");
    let secret = SecretString::from(app.client_secret);
    if !open.secrets.create(&secret_id, &secret).await.map_err(asked)? {
        open.secrets.put_current(&secret_id, &secret).await.map_err(asked)?;
    }
    // A token of the start before would lead to a port where nobody listens.
    let keys = SealingKeys::Local(open.secrets.clone());
    let dynamodb = open.aws.dynamodb.clone();
    let grants = Grants::new(dynamodb, STATE_TABLE, keys, open.secrets.clone(), Fetcher::with_loopback(None));
    grants.remove(&name, now).await?;
    let connection = Connection::Salesforce(SalesforceOrg {
        name,
        login_url: standin.url().to_owned(),
        instance_url: None,
        api_version: DEFAULT_API_VERSION.to_owned(),
        flow: Flow::ClientCredentials { client_auth: ClientAuth::Post },
        client_id: app.client_id,
        secret_id: Some(secret_id),
        created_at: registry::client::seconds(now),
    });
    open.registry.put_connection(&connection, false).await.map_err(asked)?;
    for server in servers() {
        open.registry.create_server(&server, now).await.map_err(asked)?;
    }
    Ok(standin)
}

/// The servers over the org.
pub fn servers() -> [Server; 2] {
    [Server::salesforce_read(DEMO_ORG), Server::salesforce_write(DEMO_ORG)]
}

fn asked(error: impl Into<InitError>) -> ServeError {
    ServeError::Init(error.into())
}

fn is_org_on_this_machine(connection: &Connection) -> bool {
    matches!(connection, Connection::Salesforce(org) if org.login_url.starts_with("http://127.0.0.1:"))
}
