//! `northstar upstream connect` and `org connect`: the link by which somebody consents, and waiting until that is done.

use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use indicatif::ProgressBar;
use oauth_client::consent;
use oauth_client::consents::{ConsentOutcome, Consents};
use oauth_client::tickets::{LIFETIME, Tickets};
use registry::client::seconds;
use registry::{ConnectionName, Upstream};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::look::look;
use super::{audited, auth};
use crate::commands::server::public_url;
use crate::output::{self, Failure};
use crate::place::{Kind, Open};

/// How often is looked whether the consent has come.
const PAUSE: Duration = Duration::from_millis(500);

/// See the fields' help.
#[derive(Args)]
pub struct Options {
    /// Its name
    pub name: String,
    /// Another user of the same org than before may consent
    #[arg(long)]
    pub new_user: bool,
    /// Wait until the consent has come, then look at the tools
    #[arg(long)]
    pub wait: bool,
}

/// Prints the link of an upstream.
pub async fn of_upstream(open: &Open, json: bool, upstream: &Upstream, options: &Options) -> Result<(), Failure> {
    let name = &upstream.name;
    if auth(upstream) != "oauth" {
        return Err(Failure::Message(format!("nobody has to consent to {name}: northstar upstream test {name}")));
    }
    let issued = audited("upstream.connect", name, issue(open, name, options).await)?;
    let consented = follow(open, json, name, options, issued).await?;
    let tools = if consented { Some(look(open, upstream).await?) } else { None };
    if json {
        return match tools {
            Some(look) => output::json(&json!({ "name": name, "connected": true, "tools": look.tools.len() })),
            None => Ok(()),
        };
    }
    if let Some(look) = tools {
        output::line(&format!("connected: {name} has {} tools", look.tools.len()))?;
        eprintln!("Next: northstar upstream diff {name}, then northstar upstream accept {name}");
    }
    Ok(())
}

/// A link that leads to a consent, once.
pub struct Issued {
    link: SecretString,
    /// Seconds since 1970.
    expires_at: u64,
    /// How the last consent ended before.
    before: Option<ConsentOutcome>,
}

/// Makes a link.
///
/// # Errors
/// When the tables do not answer.
pub async fn issue(open: &Open, name: &ConnectionName, options: &Options) -> Result<Issued, Failure> {
    let now = SystemTime::now();
    let before = consents(open).outcome(name).await?;
    let ticket =
        Tickets::new(open.dynamodb.clone(), &open.names.state_table).issue(name, options.new_user, now).await?;
    Ok(Issued { link: consent::link(&public_url(open), name, &ticket), expires_at: seconds(now) + LIFETIME, before })
}

/// Prints a link and, with `--wait`, waits for its consent. Whether that has come.
///
/// # Errors
/// When the tables do not answer; [`Failure::Answered`] when the consent failed or did not come.
pub async fn follow(
    open: &Open,
    json: bool,
    name: &ConnectionName,
    options: &Options,
    issued: Issued,
) -> Result<bool, Failure> {
    let Issued { link, expires_at, before } = issued;
    if json && !options.wait {
        output::json(&json!({ "name": name, "link": link.expose_secret(), "expires_at": expires_at }))?;
    } else if json {
        // The one document says how it ended.
        eprintln!("{}", link.expose_secret());
    } else {
        output::line(link.expose_secret())?;
        eprintln!("Open it in a browser, and log in as the user whose rights the tools shall have.");
        eprintln!("It works once, for {} minutes. Whoever has it can consent: send it to nobody else.", LIFETIME / 60);
    }
    if let Kind::Home(home) = &open.kind
        && !home.is_served()
    {
        eprintln!("Nothing answers the link yet: start the local run with northstar serve.");
    }
    if !options.wait {
        return Ok(false);
    }
    let outcome = wait(&consents(open), name, before.as_ref(), json).await?;
    match outcome.as_ref().map(|outcome| outcome.code.as_str()) {
        Some("ok") => Ok(true),
        Some("consent_without_refresh_token") => {
            eprintln!("It gave no refresh token: northstar upstream test {name} says what to do so that it lasts.");
            Ok(true)
        }
        Some(code) => Err(failed(json, name, code, "docs/errors.md explains it")),
        None => Err(failed(json, name, "consent_link_invalid", "no consent has come in time")),
    }
}

fn consents(open: &Open) -> Consents {
    Consents::new(open.dynamodb.clone(), &open.names.state_table)
}

fn failed(json: bool, name: &ConnectionName, code: &str, why: &str) -> Failure {
    if json {
        return match output::json(&json!({ "name": name, "connected": false, "outcome": code })) {
            Ok(()) => Failure::Answered,
            Err(failure) => failure,
        };
    }
    Failure::Message(format!("the consent failed with {code}: {why}. northstar upstream test {name} says what to do"))
}

async fn wait(
    consents: &Consents,
    name: &ConnectionName,
    before: Option<&ConsentOutcome>,
    json: bool,
) -> Result<Option<ConsentOutcome>, Failure> {
    let spinner = if json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    spinner.set_message("waiting for the consent");
    let end = Instant::now() + Duration::from_secs(2 * LIFETIME);
    while Instant::now() < end {
        let outcome = consents.outcome(name).await?;
        if outcome.is_some() && outcome.as_ref() != before {
            spinner.finish_and_clear();
            return Ok(outcome);
        }
        spinner.tick();
        tokio::time::sleep(PAUSE).await;
    }
    spinner.finish_and_clear();
    Ok(None)
}
