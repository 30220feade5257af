//! The Salesforce DX project that connects Agentforce to an MCP server: written from the server's catalogue, and compared
//! with it after it has been retrieved from an org.
//!
//! Plain values in, text out: [`pack::files`] says what the project holds, [`write::write`] puts it into a folder,
//! [`retrieved::Retrieved`] reads a folder and [`diff::diff`] compares. Nothing here speaks to a network.

pub mod catalogue;
pub mod diff;
pub mod names;
pub mod pack;
pub mod retrieved;
pub mod write;

mod agent_script;
mod setup;
mod xml;

pub use catalogue::Catalogue;
pub use names::{AgentName, Name};
pub use pack::Settings;
