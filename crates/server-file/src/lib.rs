//! The file that `northstar server apply` reads: servers as YAML, or as JSON, which is YAML too.
//!
//! [`Document::parse`] reads a text whole: every problem in it has a place, says what is wrong and what to write, and
//! all of them come at once. What it lets pass, no other part needs to check again, except against the tables
//! themselves: for that, [`Document::locate`] says where something is written. [`to_json`] is the way back. The keys
//! are described in `docs/servers.md`.

mod document;
mod fields;
mod guard;
mod limits;
mod lookup;
mod names;
mod pattern;
mod problem;
mod scalar;
mod server;
mod upstream;
mod yaml;

#[cfg(test)]
mod tests;

pub use document::{Document, to_json};
pub use names::nearest;
pub use problem::{Place, Problem};
