//! A look at the tools of an upstream: they are listed, made ready to be accepted, and what was seen is written down for
//! the functions.

use std::time::{Duration, Instant, SystemTime};

use aws_clients::SecretStage;
use oauth_client::{AccessToken, Connection as OAuthConnection, GrantError, Grants};
use registry::client::seconds;
use registry::{PinnedTool, Upstream, UpstreamAuth};
use secrecy::SecretString;
use upstream::{Endpoint, McpClient, Seen, SeenStore, UpstreamError, pin};

use super::{fetcher, not_connected};
use crate::output::Failure;
use crate::place::Open;

/// How long an upstream may take for the list of its tools.
const LIST: Duration = Duration::from_secs(30);

/// What an upstream has.
pub struct Look {
    /// Its tools, in its order.
    pub tools: Vec<PinnedTool>,
    /// Those that cannot be accepted: their place in its list, from 1, and why.
    pub refused: Vec<(usize, String)>,
}

/// Our token for an upstream.
pub enum Token {
    /// It wants none.
    None,
    /// One that does not change.
    Fixed(SecretString),
    /// One of its authorization server.
    Granted(AccessToken),
}

impl Token {
    /// The token itself.
    pub fn secret(&self) -> Option<&SecretString> {
        match self {
            Token::None => None,
            Token::Fixed(token) => Some(token),
            Token::Granted(token) => Some(&token.token),
        }
    }
}

/// The grants of upstreams: their authorization servers are asked as the upstream itself.
pub async fn grants(open: &Open, upstream: &Upstream) -> Result<Grants, Failure> {
    open.grants_through(fetcher(open, upstream)).await
}

/// A token for an upstream.
///
/// # Errors
/// In words that say what to do.
pub async fn token(open: &Open, upstream: &Upstream, now: SystemTime) -> Result<Token, Failure> {
    match &upstream.auth {
        UpstreamAuth::None => Ok(Token::None),
        UpstreamAuth::Bearer { secret_id } => match open.secrets.get(secret_id, SecretStage::Current).await? {
            Some(version) => Ok(Token::Fixed(version.value)),
            None => Err(Failure::Message(format!(
                "the bearer token of {0} is gone: northstar upstream add {0} --replace …",
                upstream.name
            ))),
        },
        UpstreamAuth::OAuth(_) => {
            let Some(connection) = OAuthConnection::of_upstream(upstream) else { return Ok(Token::None) };
            let token = grants(open, upstream).await?.access_token(&connection, now).await;
            token.map(Token::Granted).map_err(|error| refused(upstream, &error))
        }
    }
}

/// Lists the tools, and writes down what was seen.
///
/// # Errors
/// In words that say what to do.
pub async fn look(open: &Open, upstream: &Upstream) -> Result<Look, Failure> {
    let now = SystemTime::now();
    let client = McpClient::new(fetcher(open, upstream));
    let list = async |token: &Token| {
        let endpoint = Endpoint { name: &upstream.name, url: &upstream.url, bearer: token.secret() };
        client.list_tools(endpoint, Instant::now() + LIST).await
    };
    let mut used = token(open, upstream, now).await?;
    let mut listed = list(&used).await;
    // It may have been revoked: another one is tried, once.
    if let (Err(UpstreamError::Unauthorized), Token::Granted(old)) = (&listed, &used)
        && let Some(connection) = OAuthConnection::of_upstream(upstream)
    {
        let renewed = grants(open, upstream).await?.expired(&connection, old, now).await;
        used = Token::Granted(renewed.map_err(|error| refused(upstream, &error))?);
        listed = list(&used).await;
    }
    let listed = listed.map_err(|error| {
        Failure::Message(format!("{}: {error}. northstar upstream test {0} says what to do", upstream.name))
    })?;
    let mut look = Look { tools: Vec::new(), refused: Vec::new() };
    for (at, tool) in listed.iter().enumerate() {
        match pin::pin(tool) {
            Ok(tool) => look.tools.push(tool),
            Err(why) => look.refused.push((at + 1, why.to_string())),
        }
    }
    let seen = Seen::of(&listed, seconds(now));
    SeenStore::new(open.dynamodb.clone(), &open.names.state_table).write(&upstream.name, &seen).await?;
    Ok(look)
}

fn refused(upstream: &Upstream, error: &GrantError) -> Failure {
    match error {
        GrantError::NotConnected(_) => not_connected(&upstream.name),
        error => Failure::Message(format!(
            "{error} ({}). northstar upstream test {} says what to do",
            error.code(),
            upstream.name
        )),
    }
}
