//! `northstar key`: the signing keys.

use std::time::SystemTime;

use clap::Subcommand;
use registry::client::seconds;
use serde_json::{Value, json};

use crate::commands::rotation::rotate_signing_keys;
use crate::output::{self, Failure};
use crate::place::{Open, Place};
use crate::values;

/// What to do with signing keys.
#[derive(Subcommand)]
pub enum Command {
    /// List the signing keys, the newest first
    List,
    /// Make a new signing key; it is published at once and signs in 15 minutes, when every verifier knows it
    Rotate,
}

/// Runs one of the commands.
pub async fn run(place: &Place, json: bool, command: Command) -> Result<(), Failure> {
    let open = place.open().await?;
    match command {
        Command::List => list(&open, json).await,
        Command::Rotate => rotate(&open, json).await,
    }
}

async fn rotate(open: &Open, json: bool) -> Result<(), Failure> {
    rotate_signing_keys(open).await?;
    // The newest first.
    let keys = open.registry.public_keys().await?;
    let new =
        keys.first().ok_or_else(|| Failure::Message("there is no signing key: run `northstar init`".to_owned()))?;
    if json {
        return output::json(&json!({ "kid": new.kid, "not_before": new.not_before }));
    }
    output::line(&format!("kid         {}", new.kid))?;
    output::line(&format!("signs from  {}", values::show_time(new.not_before)))
}

async fn list(open: &Open, json: bool) -> Result<(), Failure> {
    let keys = open.registry.public_keys().await?;
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
