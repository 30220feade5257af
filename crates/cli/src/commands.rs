//! The commands, a file each. A new one is a file here and a variant in `main.rs`.

pub mod audit;
pub mod call;
pub mod client;
pub mod doctor;
pub mod import;
pub mod init;
pub mod key;
pub mod org;
pub mod rotation;
pub mod salesforce;
pub mod serve;
pub mod server;
pub mod stdio;
pub mod token;
pub mod upstream;

use std::time::SystemTime;

use registry::ClientId;

use crate::output::Failure;

/// The outcome of a command that did not work; what it printed says why.
pub const FAILED: &str = "command_failed";

/// Writes the line of a command that changed something, or failed to; what made no sense or was not confirmed leaves none.
pub fn audited<T>(action: &'static str, client: Option<&ClientId>, done: Result<T, Failure>) -> Result<T, Failure> {
    let outcome = match &done {
        Ok(_) => "ok",
        Err(Failure::Message(_)) => FAILED,
        Err(Failure::Usage(_) | Failure::Answered) => return done,
    };
    request_log::command(action, client.map(ClientId::as_str), outcome, SystemTime::now());
    done
}
