//! `northstar upstream`: the MCP servers of others whose tools servers may have.

mod add;
mod connect;
mod look;
mod observe;
mod pins;
mod revoke;
mod show;
mod test;

use std::time::SystemTime;

use clap::Subcommand;
use oauth_client::consent;
use outbound::{Fetcher, Reach, Target};
use registry::{Connection, ConnectionName, Server, Upstream, UpstreamAuth};
use secrecy::SecretString;
use serde_json::json;

use crate::commands::FAILED;
use crate::commands::server::public_url;
use crate::output::{self, Failure};
use crate::place::{Kind, Open, Place};

pub use connect::{Options as ConnectOptions, follow, issue};
pub use observe::examine;

/// What to do with upstreams.
#[derive(Subcommand)]
pub enum Command {
    /// Register an MCP server of somebody else. What is not given comes from the preset or from its metadata; every setting
    /// is printed with where it came from. A secret is asked for on the terminal, or read from standard input: the client
    /// secret, the private key in PEM, or the bearer token
    Add(Box<add::Options>),
    /// List the upstreams: how they are reached, how that goes, and which servers have tools of them
    List,
    /// Show the callback URL as it has to be entered, settings, grant, who consented, accepted and withheld tools
    Show {
        /// Its name
        name: String,
    },
    /// Print a link by which somebody consents in a browser. It works once, for 10 minutes
    Connect(connect::Options),
    /// Compare its tools with those that were accepted; ends with 1 when they differ
    Diff {
        /// Its name
        name: String,
    },
    /// Accept its tools as they are now, and say what is accepted
    Accept {
        /// Its name
        name: String,
        /// Accept this tool alone; may be repeated
        #[arg(long = "tool", value_name = "TOOL")]
        tools: Vec<String>,
    },
    /// Find out what is wrong: ask its authorization server, its MCP server and our callback, and say of every finding what
    /// was seen, why, and on which page of Setup to put it right; ends with 1 when something fails
    Test {
        /// Its name
        name: String,
    },
    /// Give the grant back (RFC 7009) and forget it; tools fail within a minute, until somebody consents anew
    Revoke {
        /// Its name
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Remove an upstream with its secret, its grant and what was accepted; refused while a server has tools of it
    Remove {
        /// Its name
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Runs one of the commands.
pub async fn run(place: &Place, json: bool, command: Command) -> Result<(), Failure> {
    match command {
        Command::Add(options) => Box::pin(add::add(place, json, *options)).await,
        Command::List => show::list(&place.open().await?, json).await,
        Command::Show { name } => show::show(&place.open().await?, json, &name).await,
        Command::Connect(options) => {
            let open = place.open().await?;
            let upstream = find(&open, &options.name).await?;
            connect::of_upstream(&open, json, &upstream, &options).await
        }
        Command::Diff { name } => pins::diff(&place.open().await?, json, &name).await,
        Command::Accept { name, tools } => pins::accept(&place.open().await?, json, &name, &tools).await,
        Command::Test { name } => Box::pin(test::test(&place.open().await?, json, &name)).await,
        Command::Revoke { name, yes } => revoke::revoke(&place.open().await?, json, &name, yes).await,
        Command::Remove { name, yes } => revoke::remove(&place.open().await?, json, &name, yes).await,
    }
}

/// Writes the line of a command that changed an upstream, or failed to.
fn audited<T>(action: &'static str, upstream: &ConnectionName, done: Result<T, Failure>) -> Result<T, Failure> {
    let outcome = match &done {
        Ok(_) => "ok",
        Err(Failure::Message(_)) => FAILED,
        Err(Failure::Usage(_) | Failure::Answered) => return done,
    };
    request_log::upstream_command(action, upstream.as_str(), outcome, SystemTime::now());
    done
}

/// A registered upstream.
///
/// # Errors
/// [`Failure::Message`] when there is none of that name.
pub async fn find(open: &Open, name: &str) -> Result<Upstream, Failure> {
    let found = match ConnectionName::parse(name) {
        Some(name) => open.registry.connection(&name).await?,
        None => None,
    };
    match found {
        Some(Connection::Upstream(upstream)) => Ok(upstream),
        Some(Connection::Salesforce(_)) => {
            Err(Failure::Message(format!("{name} is an org, not an upstream: see `northstar org list`")))
        }
        None => Err(Failure::Message(format!("there is no upstream {name}: see `northstar upstream list`"))),
    }
}

/// How it is authenticated there, as `--auth` has it.
fn auth(upstream: &Upstream) -> &'static str {
    match &upstream.auth {
        UpstreamAuth::None => "none",
        UpstreamAuth::Bearer { .. } => "bearer",
        UpstreamAuth::OAuth(oauth) if matches!(oauth.flow, registry::Flow::RefreshToken { .. }) => "oauth",
        UpstreamAuth::OAuth(_) => "client-credentials",
    }
}

/// The secret of its registration.
fn secret_of(upstream: &Upstream) -> Option<&str> {
    match &upstream.auth {
        UpstreamAuth::None => None,
        UpstreamAuth::Bearer { secret_id } => Some(secret_id),
        UpstreamAuth::OAuth(oauth) => oauth.secret_id.as_deref(),
    }
}

/// Id of the secret of a new registration. Each has its own: whoever remembers an earlier one of the same name must not send
/// the new secret to where the earlier one leads. Secrets Manager warns of names that end with `-` and six characters.
///
/// # Errors
/// When the clock is before 1970.
pub fn new_secret_id(open: &Open, name: &ConnectionName, now: SystemTime) -> Result<String, Failure> {
    let since = now.duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(format!("{}{name}-{}", open.names.connection_secret_prefix, since.as_millis()))
}

/// Makes the secret of a new registration.
///
/// # Errors
/// When there is one of that id, or the secrets do not answer.
pub async fn create_secret(open: &Open, id: &str, secret: &SecretString) -> Result<(), Failure> {
    match open.secrets.create(id, secret).await? {
        true => Ok(()),
        false => Err(Failure::Message(format!("there is a secret {id} already: try again"))),
    }
}

/// The servers that have tools of it.
fn users<'a>(servers: &'a [Server], upstream: &ConnectionName) -> Vec<&'a str> {
    let of_it = servers.iter().filter(|server| server.upstreams.iter().any(|tools| tools.name == *upstream));
    of_it.map(|server| server.name.as_str()).collect()
}

/// Where the browser comes back to, exactly as the authorization server has to know it.
fn redirect_uri(open: &Open, upstream: &Upstream) -> String {
    consent::redirect_uri_of(&public_url(open), upstream)
}

/// What an upstream may be asked through. This machine may be asked of a home alone, and only when the upstream was
/// registered with --allow-loopback: none of its URLs could name it otherwise.
fn fetcher(open: &Open, upstream: &Upstream) -> Fetcher {
    match open.kind {
        Kind::Home(_) if is_local(upstream) => Fetcher::with_loopback(None),
        _ => Fetcher::new(),
    }
}

/// Whether one of its URLs is of this machine.
fn is_local(upstream: &Upstream) -> bool {
    let urls = [Some(&upstream.url), upstream.result_page.as_ref()].into_iter().flatten();
    let oauth = match &upstream.auth {
        UpstreamAuth::OAuth(oauth) => {
            vec![Some(&oauth.token_url), oauth.authorize_url.as_ref(), oauth.revoke_url.as_ref(), Some(&oauth.issuer)]
        }
        _ => Vec::new(),
    };
    let local =
        |url: &String| Target::parse(url, Reach::Public).is_err() && Target::parse(url, Reach::Loopback).is_ok();
    urls.chain(oauth.into_iter().flatten()).any(local)
}

/// Prints rows of a name and a text, the texts under each other.
fn fields(rows: &[(&str, String)]) -> Result<(), Failure> {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().try_for_each(|(name, text)| output::line(&format!("{name:width$}  {text}")))
}

fn not_connected(name: &ConnectionName) -> Failure {
    Failure::Message(format!("nobody has consented to {name} yet: northstar upstream connect {name}"))
}

/// One JSON document of what a command changed.
fn changed(name: &ConnectionName, what: &str, more: serde_json::Value) -> Result<(), Failure> {
    let mut document = json!({ "name": name, what: true });
    if let (Some(document), serde_json::Value::Object(more)) = (document.as_object_mut(), more) {
        document.extend(more);
    }
    output::json(&document)
}
