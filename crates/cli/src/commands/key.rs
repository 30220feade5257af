//! `northstar key`: the signing keys.

use std::time::SystemTime;

use clap::Subcommand;
use local::Home;
use registry::client::seconds;
use serde_json::{Value, json};

use crate::output::{self, Failure};
use crate::values;

/// What to do with signing keys.
#[derive(Subcommand)]
pub enum Command {
    /// List the signing keys, the newest first
    List,
}

/// Runs one of the commands.
pub async fn run(home: &Home, json: bool, command: Command) -> Result<(), Failure> {
    let Command::List = command;
    let keys = home.open().await?.registry.public_keys().await?;
    let now = seconds(SystemTime::now());
    let algorithm = |jwk: &str| {
        let jwk: Value = serde_json::from_str(jwk).unwrap_or_default();
        jwk["alg"].as_str().unwrap_or("unknown").to_owned()
    };
    if json {
        let keys = keys.iter().map(|key| {
            json!({
                "kid": key.kid,
                "algorithm": algorithm(&key.jwk),
                "phase": key.phase(now),
                "not_before": key.not_before,
                "not_after": key.not_after,
            })
        });
        return output::json(&keys.collect::<Vec<_>>());
    }
    let rows = keys.iter().map(|key| {
        vec![
            key.kid.clone(),
            algorithm(&key.jwk),
            json!(key.phase(now)).as_str().unwrap_or_default().to_owned(),
            values::show_time(key.not_before),
            key.not_after.map_or_else(|| "open".to_owned(), values::show_time),
        ]
    });
    output::table(&["kid", "algorithm", "phase", "signs from", "signs until"], rows.collect())
}
