//! Clients: who may ask for a token, for which servers, with which scopes.

use std::time::{SystemTime, UNIX_EPOCH};

use access_token::Scopes;
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::server::ServerName;

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
}

impl AuthMethod {
    /// Every method there is.
    pub const ALL: [AuthMethod; 2] = [AuthMethod::ClientSecretPost, AuthMethod::ClientSecretBasic];

    /// The method's registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            AuthMethod::ClientSecretPost => "client_secret_post",
            AuthMethod::ClientSecretBasic => "client_secret_basic",
        }
    }
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
    /// Lifetime of its tokens in seconds.
    pub token_lifetime: u64,
    /// Id of its secret in Secrets Manager.
    pub secret_id: String,
    /// When its secret changed last, seconds since 1970; a secret fetched earlier is fetched again.
    pub secrets_changed_at: u64,
    /// When it was registered, seconds since 1970.
    pub created_at: u64,
}

/// Lifetime of a token unless the client says otherwise, in seconds.
pub const DEFAULT_TOKEN_LIFETIME: u64 = 15 * 60;

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
    /// Lifetime of its tokens in seconds.
    pub token_lifetime: u64,
    /// When it ends, seconds since 1970.
    pub expires_at: Option<u64>,
}

impl NewClient {
    /// The client as it is registered at the time `now`. Asked for no scope, it gets `mcp.read`; a client that may not
    /// read alone gets all that it may.
    pub fn registered(self, secret_prefix: &str, now: SystemTime) -> Client {
        let default_scopes = if self.scopes.permit_all(Scopes::READ) { Scopes::READ } else { self.scopes };
        Client {
            secret_id: format!("{secret_prefix}{}", self.client_id),
            client_id: self.client_id,
            name: self.name,
            status: ClientStatus::Active,
            expires_at: self.expires_at,
            servers: self.servers,
            scopes: self.scopes,
            default_scopes,
            auth_methods: self.auth_methods,
            token_lifetime: self.token_lifetime,
            secrets_changed_at: seconds(now),
            created_at: seconds(now),
        }
    }
}
