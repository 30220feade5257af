//! Clients: who may ask for a token, for which servers, with which scopes.

use std::time::{SystemTime, UNIX_EPOCH};

use access_token::Scopes;
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::server::{Rate, ServerName};

/// A client id: 1 to 64 characters of `A-Z a-z 0-9 - _`, so that its encoded and raw forms in Basic are the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(String);

impl ClientId {
    /// `None` when the text is no client id.
    pub fn parse(text: &str) -> Option<ClientId> {
        let valid = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        valid.then(|| ClientId(text.to_owned()))
    }

    /// A new random one of 128 bits. A command line would take one that begins with a hyphen for an option.
    pub fn generate() -> ClientId {
        loop {
            let id = random_text::<16>();
            if !id.starts_with('-') {
                return ClientId(id);
            }
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ClientId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for ClientId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        ClientId::parse(&text).ok_or("a client id is 1 to 64 characters of A-Z a-z 0-9 - _")
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> String {
        id.0
    }
}

/// Whether a client may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientStatus {
    /// It may.
    Active,
    /// It may not, until it is enabled again.
    Disabled,
}

/// How a client authenticates at the token endpoint (RFC 7591 §2, `token_endpoint_auth_method`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// Secret in the body.
    ClientSecretPost,
    /// Secret in the `Authorization` header.
    ClientSecretBasic,
    /// A signed assertion in the body (RFC 7523 §2.2).
    PrivateKeyJwt,
}

impl AuthMethod {
    /// Every method there is.
    pub const ALL: [AuthMethod; 3] =
        [AuthMethod::ClientSecretPost, AuthMethod::ClientSecretBasic, AuthMethod::PrivateKeyJwt];
    /// Those that need a secret.
    pub const WITH_SECRET: [AuthMethod; 2] = [AuthMethod::ClientSecretPost, AuthMethod::ClientSecretBasic];

    /// The method's registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            AuthMethod::ClientSecretPost => "client_secret_post",
            AuthMethod::ClientSecretBasic => "client_secret_basic",
            AuthMethod::PrivateKeyJwt => "private_key_jwt",
        }
    }
}

/// What the assertions of a client name as their audience.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssertionAudience {
    /// The issuer identifier and nothing else (draft-ietf-oauth-rfc7523bis).
    #[default]
    Issuer,
    /// The URL of the token endpoint too, for clients that still follow RFC 7523 §3.
    TokenEndpoint,
}

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its id.
    pub client_id: ClientId,
    /// Its name, for people.
    pub name: String,
    /// Whether it may be used.
    pub status: ClientStatus,
    /// When it ends, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Servers it may call. The first is the one a token is for when the request names no `resource`.
    pub servers: Vec<ServerName>,
    /// Scopes it may ask for.
    pub scopes: Scopes,
    /// Scopes it gets when it asks for none.
    pub default_scopes: Scopes,
    /// How it may authenticate.
    pub auth_methods: Vec<AuthMethod>,
    /// Its public keys, for [`AuthMethod::PrivateKeyJwt`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<ClientKeys>,
    /// What its assertions name as their audience.
    #[serde(default)]
    pub assertion_audience: AssertionAudience,
    /// Lifetime of its tokens in seconds.
    pub token_lifetime: u64,
    /// How often it may ask for a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_limit: Option<Rate>,
    /// Id of its secret in Secrets Manager; none when no method of it needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<String>,
    /// When its secret changed last, seconds since 1970; a secret fetched earlier is fetched again.
    pub secrets_changed_at: u64,
    /// Whether a rotation of its secret is under way: the pending version is accepted too.
    #[serde(default)]
    pub rotating: bool,
    /// How long nobody may have used the previous secret before it is refused, in seconds.
    #[serde(default = "default_quiet_period")]
    pub quiet_period: u64,
    /// When it was registered, seconds since 1970.
    pub created_at: u64,
    /// Grows by one with every change. A token carries the version it was issued from
    /// ([`Claims::client_version`](access_token::Claims)); a cut names the least version that still counts.
    #[serde(default)]
    pub version: u64,
}

/// Where the public keys of a client are (RFC 7591 §2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientKeys {
    /// Here: a JWK Set (RFC 7517 §5), as JSON text.
    Jwks(String),
    /// At an https URL that serves a JWK Set.
    JwksUri(String),
}

/// Lifetime of a token unless the client says otherwise, in seconds.
pub const DEFAULT_TOKEN_LIFETIME: u64 = 15 * 60;
/// Quiet period of a previous secret unless the client says otherwise, in seconds.
pub const DEFAULT_QUIET_PERIOD: u64 = 7 * 24 * 60 * 60;

fn default_quiet_period() -> u64 {
    DEFAULT_QUIET_PERIOD
}

impl Client {
    /// Whether it may be used at the time `now`.
    pub fn is_usable(&self, now: SystemTime) -> bool {
        let expired = self.expires_at.is_some_and(|end| end <= seconds(now));
        self.status == ClientStatus::Active && !expired
    }
}

/// A new client secret: 256 random bits, URL-safe.
pub fn generate_secret() -> SecretString {
    SecretString::from(random_text::<32>())
}

/// Seconds since 1970.
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

pub(crate) fn random_text<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).expect("the operating system's random generator works");
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// What the operator says of a new client.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// Its id.
    pub client_id: ClientId,
    /// Its name, for people.
    pub name: String,
    /// Servers it may call, at least one.
    pub servers: Vec<ServerName>,
    /// Scopes it may ask for, at least one.
    pub scopes: Scopes,
    /// How it may authenticate, at least one way.
    pub auth_methods: Vec<AuthMethod>,
    /// Its public keys, for [`AuthMethod::PrivateKeyJwt`].
    pub keys: Option<ClientKeys>,
    /// What its assertions name as their audience.
    pub assertion_audience: AssertionAudience,
    /// Lifetime of its tokens in seconds.
    pub token_lifetime: u64,
    /// How often it may ask for a token.
    pub token_limit: Option<Rate>,
    /// Quiet period of its previous secret in seconds.
    pub quiet_period: u64,
    /// When it ends, seconds since 1970.
    pub expires_at: Option<u64>,
}

impl NewClient {
    /// The client as it is registered at the time `now`. Asked for no scope, it gets `mcp.read`; a client that may not
    /// read alone gets all that it may.
    pub fn registered(self, secret_prefix: &str, now: SystemTime) -> Client {
        let needs_secret = needs_secret(&self.auth_methods);
        Client {
            secret_id: needs_secret.then(|| secret_id(secret_prefix, &self.client_id)),
            client_id: self.client_id,
            name: self.name,
            status: ClientStatus::Active,
            expires_at: self.expires_at,
            servers: self.servers,
            scopes: self.scopes,
            default_scopes: default_scopes(self.scopes),
            auth_methods: self.auth_methods,
            keys: self.keys,
            assertion_audience: self.assertion_audience,
            token_lifetime: self.token_lifetime,
            token_limit: self.token_limit,
            secrets_changed_at: seconds(now),
            rotating: false,
            quiet_period: self.quiet_period,
            created_at: seconds(now),
            version: 1,
        }
    }
}

/// The id of a client's secret.
pub fn secret_id(secret_prefix: &str, client_id: &ClientId) -> String {
    format!("{secret_prefix}{client_id}")
}

/// Whether one of the methods needs a secret.
pub fn needs_secret(methods: &[AuthMethod]) -> bool {
    methods.iter().any(|method| AuthMethod::WITH_SECRET.contains(method))
}

fn default_scopes(scopes: Scopes) -> Scopes {
    if scopes.permit_all(Scopes::READ) { Scopes::READ } else { scopes }
}

/// What the operator changes of a client; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct ClientChange {
    /// Its name.
    pub name: Option<String>,
    /// Whether it may be used.
    pub status: Option<ClientStatus>,
    /// When it ends, seconds since 1970; `Some(None)`: never.
    pub expires_at: Option<Option<u64>>,
    /// Servers it may call.
    pub servers: Option<Vec<ServerName>>,
    /// Scopes it may ask for.
    pub scopes: Option<Scopes>,
    /// How it may authenticate.
    pub auth_methods: Option<Vec<AuthMethod>>,
    /// Its public keys.
    pub keys: Option<ClientKeys>,
    /// What its assertions name as their audience.
    pub assertion_audience: Option<AssertionAudience>,
    /// Lifetime of its tokens in seconds.
    pub token_lifetime: Option<u64>,
    /// How often it may ask for a token; `Some(None)`: as often as it likes.
    pub token_limit: Option<Option<Rate>>,
    /// Quiet period of its previous secret in seconds.
    pub quiet_period: Option<u64>,
}

impl Client {
    /// This client with a change, one version further.
    pub fn changed(&self, change: ClientChange) -> Client {
        let scopes = change.scopes.unwrap_or(self.scopes);
        Client {
            name: change.name.unwrap_or_else(|| self.name.clone()),
            status: change.status.unwrap_or(self.status),
            expires_at: change.expires_at.unwrap_or(self.expires_at),
            servers: change.servers.unwrap_or_else(|| self.servers.clone()),
            scopes,
            default_scopes: if scopes == self.scopes { self.default_scopes } else { default_scopes(scopes) },
            auth_methods: change.auth_methods.unwrap_or_else(|| self.auth_methods.clone()),
            keys: change.keys.or_else(|| self.keys.clone()),
            assertion_audience: change.assertion_audience.unwrap_or(self.assertion_audience),
            token_lifetime: change.token_lifetime.unwrap_or(self.token_lifetime),
            token_limit: change.token_limit.unwrap_or(self.token_limit),
            quiet_period: change.quiet_period.unwrap_or(self.quiet_period),
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// This client after a change of its secrets, one version further: whoever remembers them reads them again.
    pub fn with_changed_secrets(&self, now: SystemTime) -> Client {
        Client { secrets_changed_at: seconds(now), version: self.version + 1, ..self.clone() }
    }

    /// Whether tokens that `self` was issued permit what `next` no longer does; they have to be cut then.
    pub fn is_narrowed_by(&self, next: &Client) -> bool {
        let fewer_servers = self.servers.iter().any(|server| !next.servers.contains(server));
        next.status == ClientStatus::Disabled || fewer_servers || !next.scopes.permit_all(self.scopes)
    }
}
