//! Upstreams: MCP servers of others, how we authenticate there, and their tools as an administrator accepted them.

use access_token::Scope;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::connection::{ConnectionName, Flow};

/// An MCP server of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Its name here.
    pub name: ConnectionName,
    /// Its MCP endpoint, which is also the `resource` of its tokens (RFC 8707) unless its metadata names another.
    pub url: String,
    /// What filled in its settings, if something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// How we authenticate.
    pub auth: UpstreamAuth,
    /// Where a browser goes after a consent, with `?oauth=success` or `?oauth=error`; our own page if nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_page: Option<String>,
    /// When it was added, seconds since 1970.
    pub created_at: u64,
}

/// A set of settings by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The MCP servers that Salesforce hosts, of a production or Developer Edition org.
    Salesforce,
    /// The same, of a sandbox or scratch org.
    SalesforceSandbox,
}

/// How we authenticate at an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum UpstreamAuth {
    /// Not at all.
    None,
    /// By a bearer token that does not change.
    Bearer {
        /// Id of the secret with the token.
        secret_id: String,
    },
    /// By access tokens of its authorization server.
    #[serde(rename = "oauth")]
    OAuth(Box<UpstreamOAuth>),
}

/// The authorization server of an upstream, and who we are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamOAuth {
    /// Its issuer, compared with the `iss` of authorization responses (RFC 9207).
    pub issuer: String,
    /// Its authorization endpoint; `None` for flows without a consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorize_url: Option<String>,
    /// Its token endpoint.
    pub token_url: String,
    /// Its revocation endpoint (RFC 7009).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_url: Option<String>,
    /// Whether it promises `iss` in authorization responses (`authorization_response_iss_parameter_supported`): one
    /// without it is refused then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub iss_promised: bool,
    /// How tokens are asked for.
    pub flow: Flow,
    /// The `resource` of its tokens (RFC 8707), where its metadata names one above its URL (RFC 9728); otherwise its URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Our client id there.
    pub client_id: String,
    /// Id of the secret with our client secret or private key, if the app needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<String>,
    /// The scopes that are asked for; none leaves them to the authorization server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// The tools of an upstream, as an administrator accepted them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PinnedTools {
    /// They, in the upstream's order.
    pub tools: Vec<PinnedTool>,
    /// When they were accepted, seconds since 1970.
    pub accepted_at: u64,
}

/// A tool of an upstream: its texts are cleaned, its schemas are the upstream's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PinnedTool {
    /// Its name at the upstream.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub input_schema: Map<String, Value>,
    /// JSON Schema of its structured answer, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Map<String, Value>>,
    /// It changes nothing, as the upstream says.
    pub read_only: bool,
    /// It may destroy what was there; true unless the upstream says otherwise.
    pub destructive: bool,
    /// Repeating it changes nothing more.
    pub idempotent: bool,
    /// It reaches beyond the upstream; true unless the upstream says otherwise.
    pub open_world: bool,
    /// Hash of what the upstream sent: it is withheld when the upstream sends something else.
    pub hash: String,
}

/// Which tools of an upstream a server has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTools {
    /// The upstream, as `northstar upstream add` named it.
    pub name: ConnectionName,
    /// The tools by their names there; `None` is all that are accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// What their names begin with here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Only those that change nothing, as the upstream says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// The scope a tool needs, by its name there; otherwise `mcp.read` for one that changes nothing, `mcp.write` for any other.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub scopes: IndexMap<String, Scope>,
}
