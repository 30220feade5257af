//! Connections: the other systems that tools reach, and how we authenticate there. No secret is in a connection: its
//! grant is sealed in the `state` table, client secrets and private keys are secrets of their own.

use serde::{Deserialize, Serialize};

use crate::upstream::Upstream;

/// A connection's name: `[a-z][a-z0-9-]{0,39}`, but not `callback`, which is a path of its own (`/connect/callback`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConnectionName(String);

impl ConnectionName {
    /// `None` when the text is no connection name.
    pub fn parse(text: &str) -> Option<ConnectionName> {
        let rest = text.strip_prefix(|first: char| first.is_ascii_lowercase())?;
        let valid = rest.len() < 40
            && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        (valid && text != "callback").then(|| ConnectionName(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ConnectionName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for ConnectionName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        ConnectionName::parse(&text).ok_or("a connection name is a lower-case letter and up to 39 of a-z 0-9 -")
    }
}

impl From<ConnectionName> for String {
    fn from(name: ConnectionName) -> String {
        name.0
    }
}

/// A connection, by what is at its other end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Connection {
    /// A Salesforce org.
    Salesforce(SalesforceOrg),
    /// An MCP server of somebody else.
    Upstream(Upstream),
}

impl Connection {
    /// Its name.
    pub fn name(&self) -> &ConnectionName {
        match self {
            Connection::Salesforce(org) => &org.name,
            Connection::Upstream(upstream) => &upstream.name,
        }
    }
}

/// A Salesforce org.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SalesforceOrg {
    /// Its name here.
    pub name: ConnectionName,
    /// Where tokens are asked for: the My Domain (`https://example.my.salesforce.com`), or
    /// `https://login.salesforce.com`, `https://test.salesforce.com`. Without a path.
    pub login_url: String,
    /// Where the REST API is, if the token answer does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_url: Option<String>,
    /// REST API version, as `v66.0`.
    #[serde(default = "default_api_version")]
    pub api_version: String,
    /// How tokens are asked for.
    pub flow: Flow,
    /// Consumer key of the External Client App.
    pub client_id: String,
    /// Id of the secret with the consumer secret or, for [`Flow::JwtBearer`], the private key in PEM. `None` for an app
    /// that needs no secret for its refresh tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<String>,
    /// When it was added, seconds since 1970.
    pub created_at: u64,
}

/// The API version of a new org.
pub const DEFAULT_API_VERSION: &str = "v66.0";

fn default_api_version() -> String {
    DEFAULT_API_VERSION.to_owned()
}

/// How access tokens are asked for at the other authorization server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Flow {
    /// By a refresh token (RFC 6749 §6) that an administrator's consent gave; it is in the sealed grant.
    RefreshToken {
        /// How the client authenticates, if it has a secret.
        #[serde(default)]
        client_auth: ClientAuth,
    },
    /// By the client's own credentials (RFC 6749 §4.4).
    ClientCredentials {
        /// How the client authenticates.
        #[serde(default)]
        client_auth: ClientAuth,
    },
    /// By an assertion that the private key signs (RFC 7523 §2.1), RS256.
    JwtBearer {
        /// User name that the tokens are for, `sub`.
        subject: String,
        /// `aud`: `https://login.salesforce.com`, `https://test.salesforce.com` or the URL of a site.
        audience: String,
    },
}

/// How the client authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// `client_secret_post`: the secret goes into the body (RFC 6749 §2.3.1).
    #[default]
    Post,
    /// `client_secret_basic`: into the `Authorization` header (RFC 6749 §2.3.1).
    Basic,
    /// `private_key_jwt`: an assertion that the private key signs (RFC 7523 §2.2), RS256 or ES256 by the kind of the key.
    PrivateKeyJwt,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn org(flow: Flow) -> Connection {
        Connection::Salesforce(SalesforceOrg {
            name: ConnectionName::parse("sales").unwrap(),
            login_url: "https://example.my.salesforce.com".to_owned(),
            instance_url: None,
            api_version: default_api_version(),
            flow,
            client_id: "consumer-key".to_owned(),
            secret_id: Some("northstar/connections/sales".to_owned()),
            created_at: 1_795_247_891,
        })
    }

    #[test]
    fn a_connection_survives_the_table() {
        let (subject, audience) = ("user@example.com".to_owned(), "https://login.salesforce.com".to_owned());
        for flow in [
            Flow::RefreshToken { client_auth: ClientAuth::Post },
            Flow::ClientCredentials { client_auth: ClientAuth::Basic },
            Flow::ClientCredentials { client_auth: ClientAuth::PrivateKeyJwt },
            Flow::JwtBearer { subject, audience },
        ] {
            let connection = org(flow);
            let item: crate::store::Item = serde_dynamo::to_item(&connection).unwrap();
            assert_eq!(item["kind"].as_s().unwrap(), "salesforce");
            assert_eq!(crate::store::parse::<Connection>(item).unwrap(), connection);
        }
    }

    #[test]
    fn a_name_is_short_and_lower_case() {
        for text in ["sales", "a", "org-2", &"a".repeat(40)] {
            assert!(ConnectionName::parse(text).is_some(), "{text}");
        }
        for text in ["", "callback", "Sales", "2org", "-a", "a_b", "a#b", "a b", "\u{e9}", &"a".repeat(41)] {
            assert!(ConnectionName::parse(text).is_none(), "{text}");
        }
    }
}
