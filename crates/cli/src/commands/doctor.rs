//! `northstar doctor`.

use std::path::PathBuf;

use clap::Args;
use doctor::{Credentials, Finding, Limits, Status, Target, examine, reach};
use registry::ServerName;
use reqwest::Url;
use secrecy::SecretString;
use serde_json::json;

use crate::client_of_functions::client_of_environment;
use crate::commands::upstream;
use crate::output::{self, Failure};
use crate::place::Place;
use crate::stack::Stack;
use crate::values;

/// Ask a server what Agentforce would ask, and say what is wrong, why, and what to do
///
/// It does what Agentforce does, in the same order, and then what other clients do: name, port and certificate, a token in
/// every way Salesforce asks for one, the handshake, the list of tools and what Agentforce makes of it, a tool if you name
/// one, refusals, metadata, times. One request has a wrong secret on purpose. It asks as the client of NORTHSTAR_CLIENT_ID and
/// NORTHSTAR_CLIENT_SECRET; on this machine, as the demo client. Ends with 1 when something fails; docs/doctor.md explains every
/// finding.
#[derive(Args)]
pub struct Options {
    /// Public base URL, as Salesforce would call it: https://mcp.example.com; that of the stack with --stack
    url: Option<String>,
    /// MCP server to check
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Look at this upstream of the home or the stack as well, as `northstar upstream test` does
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Tool to call, with arguments as text: --call get_order_status order_id=1001
    #[arg(long, value_names = ["TOOL", "KEY=VALUE"], num_args = 1..)]
    call: Option<Vec<String>>,
    /// Scope that Salesforce asks for, as in the field Scope
    #[arg(long, default_value = "mcp.read")]
    scope: String,
    /// Token endpoint, if it is not /token of the base URL
    #[arg(long, value_name = "URL")]
    token_url: Option<String>,
    /// MCP server URL, if it is not /mcp or /mcp/NAME of the base URL
    #[arg(long, value_name = "URL", conflicts_with = "server")]
    mcp_url: Option<String>,
    /// File with an access token of this server that has expired, to see how that is refused
    #[arg(long, value_name = "FILE")]
    expired_token: Option<PathBuf>,
    /// File (PEM) with a certificate authority to trust, beside those of this machine
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Multiplies Salesforce's limits on answer times
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, hide = true, value_parser = time_scale)]
    time_scale: f64,
}

/// Prints findings as they are made; ends with 1 when one of them is a failure.
pub async fn run(place: &Place, json: bool, mut options: Options) -> Result<(), Failure> {
    // One that does not exist is said before the rest is asked.
    let upstream = match options.upstream.take() {
        Some(name) => {
            let open = place.open().await?;
            let upstream = upstream::find(&open, &name).await?;
            Some((open, upstream))
        }
        None => None,
    };
    let target = target(place, options).await?;
    let mut printed = Ok(());
    let mut findings = examine(&target, &mut |finding| {
        if !json && printed.is_ok() {
            printed = print(finding);
        }
    })
    .await;
    printed?;
    if let Some((open, upstream)) = upstream {
        let more = upstream::examine(&open, &upstream).await?;
        if !json {
            more.iter().try_for_each(print)?;
        }
        findings.extend(more);
    }
    if json {
        output::json(&json!({ "findings": findings }))?;
    } else {
        summary(&target, &findings)?;
    }
    if findings.iter().any(|finding| finding.status == Status::Fail) { Err(Failure::Answered) } else { Ok(()) }
}

async fn target(place: &Place, options: Options) -> Result<Target, Failure> {
    let url = match (options.url, place) {
        (Some(url), _) => url,
        (None, Place::Stack(name)) => Stack::find(name).await?.public_url,
        (None, Place::Home(_)) => {
            return Err(Failure::Usage("say what to examine: https://mcp.example.com, or a --stack".to_owned()));
        }
    };
    let url = parse_url(&url)?;
    let base = url.as_str().trim_end_matches('/').to_owned();
    if url.query().is_some()
        || url.fragment().is_some()
        || url.path().split('/').any(|part| part == "mcp" || part == "token")
    {
        return Err(Failure::Usage(
            "give the public base URL, such as https://mcp.example.com, without /mcp and /token".to_owned(),
        ));
    }
    let server = match options.server {
        Some(name) => ServerName::try_from(name.clone())
            .map_err(|rule| Failure::Usage(format!("there is no MCP server {name}: {rule}")))?,
        None => ServerName::default_server(),
    };
    let token_url = parse_url(options.token_url.as_deref().unwrap_or(&format!("{base}/token")))?;
    let path = if server == ServerName::default_server() { "/mcp".to_owned() } else { format!("/mcp/{server}") };
    let mcp_url = parse_url(options.mcp_url.as_deref().unwrap_or(&format!("{base}{path}")))?;
    let credentials = credentials(place, &base, &token_url)?;
    let expired_token = match options.expired_token {
        Some(path) => {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", path.display())))?;
            Some(SecretString::from(text.trim()))
        }
        None => None,
    };
    Ok(Target {
        issuer: options.token_url.is_none().then(|| base.clone()),
        base,
        token_url,
        mcp_url,
        scope: options.scope,
        credentials,
        call: options.call.map(call).transpose()?,
        expired_token,
        roots: doctor::roots(options.ca.as_deref()).map_err(Failure::Usage)?.into(),
        limits: Limits::scaled(options.time_scale),
    })
}

fn parse_url(text: &str) -> Result<Url, Failure> {
    let unusable = || Failure::Usage(format!("{text} is no URL: give one that starts with https://"));
    let url = Url::parse(text).map_err(|_| unusable())?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return Err(unusable());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::Usage(
            "no credentials in a URL: set NORTHSTAR_CLIENT_ID and NORTHSTAR_CLIENT_SECRET".to_owned(),
        ));
    }
    Ok(url)
}

/// The client of the environment. The demo client's secret goes nowhere but to the local run it belongs to.
fn credentials(place: &Place, base: &str, token_url: &Url) -> Result<Option<Credentials>, Failure> {
    if let Some((client_id, client_secret)) = client_of_environment()? {
        return Ok(Some(Credentials { client_id, client_secret, source: "of NORTHSTAR_CLIENT_ID" }));
    }
    let Place::Home(home) = place else { return Ok(None) };
    let own = |demo: &local::Demo| {
        demo.public_url == base || reach::is_this_machine(token_url.host_str().unwrap_or_default())
    };
    Ok(home.demo().ok().filter(own).map(|demo| Credentials {
        client_id: demo.client_id,
        client_secret: SecretString::from(demo.client_secret),
        source: "the demo client",
    }))
}

fn call(words: Vec<String>) -> Result<(String, Vec<(String, String)>), Failure> {
    let mut words = words.into_iter();
    let tool = words.next().unwrap_or_default();
    let arguments =
        words.map(|word| values::pair(&word).map_err(|rule| Failure::Usage(format!("--call: {rule}, not {word}"))));
    Ok((tool, arguments.collect::<Result<_, _>>()?))
}

fn time_scale(text: &str) -> Result<f64, String> {
    let scale = text.parse().ok().filter(|scale| (0.001..=1000.0).contains(scale));
    scale.ok_or_else(|| "a factor is between 0.001 and 1000".to_owned())
}

/// A line for each finding; more of those that ask for something.
pub fn print(finding: &Finding) -> Result<(), Failure> {
    let Finding { id, status, what, seen, cause, fix } = finding;
    if *status == Status::Pass {
        return output::line(&format!("{}  {id:18}  {what}: {seen}", status.as_str()));
    }
    output::line(&format!("{}  {id:18}  {what}", status.as_str()))?;
    for (label, text) in [("seen", seen), ("cause", cause), ("fix", fix)] {
        output::line(&format!("      {label:5}  {text}"))?;
    }
    Ok(())
}

fn summary(target: &Target, findings: &[Finding]) -> Result<(), Failure> {
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let (passed, warned, failed) = (count(Status::Pass), count(Status::Warn), count(Status::Fail));
    output::line(&format!("\n{passed} passed, {warned} warned, {failed} failed"))?;
    if target.call.is_none() {
        output::line("no tool was called: name one with --call TOOL key=value")?;
    }
    if target.expired_token.is_none() {
        output::line("no expired token was tried: give a file that holds one with --expired-token FILE")?;
    }
    Ok(())
}
