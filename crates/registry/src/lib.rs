//! What the operator configures, in the `config` table: clients, MCP servers, connections to other systems, and the public
//! halves of the signing keys.
//!
//! | item | `pk` | `sk` |
//! |---|---|---|
//! | [`Client`] | `CLIENT#<client id>` | `RECORD` |
//! | [`Server`] | `SERVER#<name>` | `RECORD`, and `CONTRACTS` of its tools |
//! | [`Connection`] | `CONNECTION#<name>` | `RECORD`; of an upstream also `TOOLS`, the accepted ones |
//! | [`PublishedKey`] | `KEYS` | `<key id>` |
//!
//! And, in the `state` table, what follows from it: [`revocation`]s, [`secret_use`]s and [`tool_use`]s.

pub mod client;
pub mod client_secret;
pub mod config;
pub mod connection;
pub mod guard;
pub mod init;
pub mod kept;
pub mod key;
pub mod public_url;
pub mod revocation;
pub mod secret_use;
pub mod server;
pub mod store;
pub mod tool_use;
pub mod upstream;
pub mod upstream_tool;

pub use client::{AssertionAudience, AuthMethod, Client, ClientChange, ClientId, ClientKeys, ClientStatus, NewClient};
pub use client_secret::{ClientSecretError, ClientSecrets};
pub use connection::{ClientAuth, Connection, ConnectionName, Flow, SalesforceOrg};
pub use guard::{Access, Guard};
pub use init::{InitError, InitReport, init};
pub use kept::Kept;
pub use key::{PrivateKeyRecord, PublishedKey};
pub use public_url::{PublicUrl, PublicUrlError};
pub use revocation::{Cut, RevocationList, Revocations};
pub use secret_use::{SecretInUse, SecretUse, SecretUses};
pub use server::{DEFAULT_SERVER, Limits, LogLevel, Period, Rate, Server, ServerName, Timeout, ToolDefinition};
pub use store::{Registry, RegistryError, ServerRecord};
pub use tool_use::{ToolUse, ToolUses};
pub use upstream::{PinnedTool, PinnedTools, Preset, Upstream, UpstreamAuth, UpstreamOAuth, UpstreamTools};
pub use upstream_tool::{Accepted, LeftOut, UpstreamTool, WhyLeftOut, upstream_tools};
