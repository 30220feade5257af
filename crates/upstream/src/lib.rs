//! MCP servers of others: a client for what we use of them, and their tools as an administrator accepted them.
//!
//! In reading order: [`client`] lists tools and calls them; `conversation` agrees on a revision and a session first,
//! `exchange` sends one request and waits for its response, which `sse` and `message` read; [`header_params`] mirrors
//! arguments in headers, [`challenge`] reads why a token was refused. [`pin`] makes a tool ready to be accepted, [`seen`]
//! keeps what was last listed, [`text`] and [`schema`] judge what a call gave. [`discovery`] and [`registration`] find an
//! upstream's authorization server and make us its client.

pub mod challenge;
pub mod client;
mod conversation;
pub mod discovery;
pub mod error;
mod exchange;
pub mod header_params;
mod message;
pub mod pin;
pub mod registration;
mod revision;
pub mod schema;
pub mod seen;
mod sse;
pub mod text;

pub use client::{CallOutcome, Endpoint, ListedTool, McpClient, Probe, Refusal};
pub use error::UpstreamError;
pub use seen::{Seen, SeenStore};
