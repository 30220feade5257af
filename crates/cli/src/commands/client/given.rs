//! What a command line says of a client.

use std::path::{Path, PathBuf};

use access_token::key_set::MAX_BYTES;
use access_token::{KeySet, ScopeError, Scopes};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use outbound::Fetcher;
use registry::client::{DEFAULT_QUIET_PERIOD, DEFAULT_TOKEN_LIFETIME};
use registry::{
    AssertionAudience, AuthMethod, Client, ClientChange, ClientId, ClientKeys, NewClient, Rate, ServerName,
};

use crate::output::Failure;
use crate::place::{Kind, Open};
use crate::values;

/// See the fields' help.
#[derive(Args)]
pub struct Properties {
    /// Scope it may ask for: mcp.read (a new client's) or mcp.write; may be given more than once
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// MCP server it may call, "default" for a new client; may be given more than once, the first one serves requests
    /// that name no resource
    #[arg(long = "server", value_name = "NAME")]
    servers: Vec<String>,
    /// How it may authenticate, with its secret both ways for a new client; may be given more than once
    #[arg(long = "auth-method", value_name = "METHOD",
          value_parser = PossibleValuesParser::new(AuthMethod::ALL.map(AuthMethod::as_str)))]
    auth_methods: Vec<String>,
    /// Its public keys for private_key_jwt: a JWK Set
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_uri")]
    jwks: Option<PathBuf>,
    /// Where its public keys for private_key_jwt are: an https URL that serves a JWK Set
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// What its assertions name as their audience: the issuer (a new client's), or also the token endpoint, as older
    /// clients do
    #[arg(long, value_name = "AUDIENCE")]
    assertion_audience: Option<AudienceName>,
    /// How long its tokens live: 1m to 60m, 15m for a new client
    #[arg(long, value_name = "DURATION", value_parser = values::token_lifetime)]
    token_lifetime: Option<u64>,
    /// How often it may ask for a token, such as 60/min, or none: as often as it likes, as a new client may
    #[arg(long, value_name = "RATE", value_parser = values::token_limit)]
    token_limit: Option<TokenLimit>,
    /// After a rotation, how long nobody may have used the previous secret before it is refused: up to 30d, 7d for a new
    /// client
    #[arg(long, value_name = "DURATION", value_parser = values::quiet_period)]
    quiet_period: Option<u64>,
}

/// `None`: none.
type TokenLimit = Option<Rate>;

#[derive(Clone, Copy, ValueEnum)]
enum AudienceName {
    Issuer,
    TokenEndpoint,
}

impl Properties {
    /// What is given, checked one by one.
    ///
    /// # Errors
    /// Unknown scopes and servers, keys that are none.
    pub async fn change(self, open: &Open) -> Result<ClientChange, Failure> {
        Ok(ClientChange {
            servers: parse_servers(open, &self.servers).await?,
            scopes: parse_scopes(&self.scopes)?,
            auth_methods: parse_methods(&self.auth_methods),
            keys: match (&self.jwks, &self.jwks_uri) {
                (Some(file), _) => Some(read_jwks(file)?),
                (None, Some(url)) => Some(check_jwks_uri(open, url).await?),
                (None, None) => None,
            },
            assertion_audience: self.assertion_audience.map(|audience| match audience {
                AudienceName::Issuer => AssertionAudience::Issuer,
                AudienceName::TokenEndpoint => AssertionAudience::TokenEndpoint,
            }),
            token_lifetime: self.token_lifetime,
            token_limit: self.token_limit,
            quiet_period: self.quiet_period,
            ..ClientChange::default()
        })
    }
}

/// A client of which nothing is known but what is given.
pub fn new_client(name: String, given: &ClientChange) -> NewClient {
    let given = given.clone();
    NewClient {
        client_id: ClientId::generate(),
        name,
        servers: given.servers.unwrap_or_else(|| vec![ServerName::default_server()]),
        scopes: given.scopes.unwrap_or(Scopes::READ),
        auth_methods: given.auth_methods.unwrap_or_else(|| AuthMethod::WITH_SECRET.to_vec()),
        keys: given.keys,
        assertion_audience: given.assertion_audience.unwrap_or_default(),
        token_lifetime: given.token_lifetime.unwrap_or(DEFAULT_TOKEN_LIFETIME),
        token_limit: given.token_limit.flatten(),
        quiet_period: given.quiet_period.unwrap_or(DEFAULT_QUIET_PERIOD),
        expires_at: given.expires_at.flatten(),
    }
}

/// Whether a change changes nothing.
pub fn is_empty(change: &ClientChange) -> bool {
    let ClientChange {
        name: None,
        status: None,
        expires_at: None,
        servers: None,
        scopes: None,
        auth_methods: None,
        keys: None,
        assertion_audience: None,
        token_lifetime: None,
        token_limit: None,
        quiet_period: None,
    } = change
    else {
        return false;
    };
    true
}

/// Whether a client may authenticate with an assertion.
pub fn signs_assertions(client: &Client) -> bool {
    client.auth_methods.contains(&AuthMethod::PrivateKeyJwt)
}

/// Whether the method and the keys that a client has after a change belong together.
///
/// # Errors
/// [`Failure::Usage`], which says what to add.
pub fn check_keys(client: &Client, change: &ClientChange) -> Result<(), Failure> {
    let message = match signs_assertions(client) {
        true if client.keys.is_none() => {
            "private_key_jwt needs the client's public keys: add --jwks FILE or --jwks-uri URL"
        }
        false if change.keys.is_some() => {
            "keys are for private_key_jwt: add --auth-method private_key_jwt, beside the other methods it is to have"
        }
        false if change.assertion_audience.is_some() => "--assertion-audience is for --auth-method private_key_jwt",
        _ => return Ok(()),
    };
    Err(Failure::Usage(message.to_owned()))
}

async fn parse_servers(open: &Open, names: &[String]) -> Result<Option<Vec<ServerName>>, Failure> {
    let mut servers = Vec::new();
    for name in names {
        let known = match ServerName::parse(name) {
            Some(name) => open.registry.server(&name).await?.map(|server| server.name),
            None => None,
        };
        let server = known.ok_or_else(|| Failure::Usage(format!("there is no MCP server {name}")))?;
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    Ok(Some(servers).filter(|servers| !servers.is_empty()))
}

fn parse_scopes(names: &[String]) -> Result<Option<Scopes>, Failure> {
    if names.is_empty() {
        return Ok(None);
    }
    Scopes::parse(&names.join(" ")).map(Some).map_err(|error: ScopeError| Failure::Usage(error.to_string()))
}

fn parse_methods(names: &[String]) -> Option<Vec<AuthMethod>> {
    let chosen = AuthMethod::ALL.into_iter().filter(|method| names.iter().any(|name| name == method.as_str()));
    Some(chosen.collect::<Vec<_>>()).filter(|methods| !methods.is_empty())
}

/// A set of which a key cannot be used is refused: the client would learn it from a refusal without a reason.
fn read_jwks(file: &Path) -> Result<ClientKeys, Failure> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| Failure::Message(format!("{name}: {error}")))?;
    KeySet::parse(&text).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    Ok(ClientKeys::Jwks(text))
}

/// A URL that does not serve keys yet is taken, with a warning: the client may not be deployed.
async fn check_jwks_uri(open: &Open, url: &str) -> Result<ClientKeys, Failure> {
    let fetcher = match &open.kind {
        // As `serve` does: keys may be on this machine.
        Kind::Home(_) => Fetcher::with_loopback(None),
        Kind::Stack(_) => Fetcher::new(),
    };
    fetcher.check(url).map_err(|error| Failure::Usage(format!("{url}: {error}")))?;
    let trouble = match fetcher.get(url, MAX_BYTES).await {
        Ok(document) => KeySet::parse_served(&document).err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(trouble) = trouble {
        eprintln!("Warning: {url} serves no keys now: {trouble}");
    }
    Ok(ClientKeys::JwksUri(url.to_owned()))
}

const _: () = assert!(DEFAULT_TOKEN_LIFETIME == 15 * 60, "the help text of --token-lifetime names it");
const _: () = assert!(DEFAULT_QUIET_PERIOD == 7 * 24 * 60 * 60, "the help text of --quiet-period names it");
