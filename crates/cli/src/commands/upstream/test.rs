//! `northstar upstream test`.

use doctor::Status;
use serde_json::json;

use super::{audited, find, observe};
use crate::commands::doctor::print;
use crate::output::{self, Failure};
use crate::place::Open;

/// Says what is wrong with an upstream, why, and what to do.
pub async fn test(open: &Open, json: bool, name: &str) -> Result<(), Failure> {
    let upstream = find(open, name).await?;
    let examined = observe::examine(open, &upstream).await;
    // Whether it works or not: somebody got a token, or tried to.
    let findings = audited("upstream.test", &upstream.name, examined)?;
    let fails = findings.iter().any(|finding| finding.status == Status::Fail);
    if json {
        output::json(&json!({ "name": upstream.name, "ok": !fails, "findings": findings }))?;
    } else {
        findings.iter().try_for_each(print)?;
    }
    if fails { Err(Failure::Answered) } else { Ok(()) }
}
