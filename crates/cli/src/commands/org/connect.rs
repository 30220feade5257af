//! `northstar org connect`.

use registry::Flow;
use serde_json::json;

use super::{audited, find, flow};
use crate::commands::upstream::{ConnectOptions, follow, issue};
use crate::output::{self, Failure};
use crate::place::Open;

/// Prints the link by which somebody consents to an org.
pub async fn connect(open: &Open, json: bool, options: &ConnectOptions) -> Result<(), Failure> {
    let org = find(open, &options.name).await?;
    if !matches!(org.flow, Flow::RefreshToken { .. }) {
        return Err(Failure::Message(format!(
            "nobody has to consent to {}, whose tokens come by {}: northstar org test {0}",
            org.name,
            flow(&org)
        )));
    }
    let issued = audited("org.connect", &org.name, issue(open, &org.name, options).await)?;
    let connected = follow(open, json, &org.name, options, issued).await?;
    match (connected, json) {
        (true, true) => output::json(&json!({ "name": org.name, "connected": true })),
        (true, false) => {
            output::line(&format!("connected: {}", org.name))?;
            eprintln!("Next: northstar org test {}", org.name);
            Ok(())
        }
        (false, _) => Ok(()),
    }
}
