//! What the operator configures, in the `config` table: clients, MCP servers, and the public halves of the signing keys.
//!
//! | item | `pk` | `sk` |
//! |---|---|---|
//! | [`Client`] | `CLIENT#<client id>` | `RECORD` |
//! | [`Server`] | `SERVER#<name>` | `RECORD` |
//! | [`PublishedKey`] | `KEYS` | `<key id>` |

pub mod client;
pub mod config;
pub mod init;
pub mod kept;
pub mod key;
pub mod public_url;
pub mod server;
pub mod store;

pub use client::{AuthMethod, Client, ClientId, ClientStatus};
pub use init::{InitError, InitReport, init};
pub use kept::Kept;
pub use key::{PrivateKeyRecord, PublishedKey};
pub use public_url::{PublicUrl, PublicUrlError};
pub use server::{DEFAULT_SERVER, Server, ServerName};
pub use store::{Registry, RegistryError};
