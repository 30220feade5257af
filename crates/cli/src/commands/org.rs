//! `northstar org`: the Salesforce orgs that servers' tools work on.

mod add;
mod advice;
mod connect;
mod test;

use std::time::SystemTime;

use clap::Subcommand;
use oauth_client::{GrantError, GrantStatus, Grants, Status};
use registry::{Connection, ConnectionName, Flow, SalesforceOrg, Server};
use serde_json::{Value, json};

use crate::commands::FAILED;
use crate::commands::server::ask;
use crate::commands::upstream::ConnectOptions;
use crate::output::{self, Failure};
use crate::place::{Open, Place};
use crate::values;

/// What to do with orgs.
#[derive(Subcommand)]
pub enum Command {
    /// Register an org. Its secrets are asked for on the terminal, or read from standard input: the consumer secret, the
    /// private key in PEM, or a line with the refresh token and, if the app has one, a line with the consumer secret
    Add(Box<add::Options>),
    /// List the orgs: how tokens are got, how that goes, and which servers work on them
    List,
    /// Get a new access token, ask for the org's limits and for the description of an object; where something is wrong,
    /// say what, and on which page of Setup. An org that needed attention is tried again from then on
    Test {
        /// Its name
        name: String,
    },
    /// Print a link by which somebody consents in a browser, for an org whose tokens come by refresh-token. It works once, for
    /// 10 minutes
    Connect(ConnectOptions),
    /// Remove an org with its secrets and its grant; the tools of servers that name it fail within 30 seconds
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
        Command::Add(options) => add::add(place, json, *options).await,
        Command::List => list(&place.open().await?, json).await,
        Command::Test { name } => test::test(&place.open().await?, json, &name).await,
        Command::Connect(options) => connect::connect(&place.open().await?, json, &options).await,
        Command::Remove { name, yes } => remove(&place.open().await?, json, &name, yes).await,
    }
}

/// Writes the line of a command that changed an org, or failed to.
fn audited<T>(action: &'static str, org: &ConnectionName, done: Result<T, Failure>) -> Result<T, Failure> {
    let outcome = match &done {
        Ok(_) => "ok",
        Err(Failure::Message(_)) => FAILED,
        Err(Failure::Usage(_) | Failure::Answered) => return done,
    };
    request_log::org_command(action, org.as_str(), outcome, SystemTime::now());
    done
}

async fn find(open: &Open, name: &str) -> Result<SalesforceOrg, Failure> {
    let found = match ConnectionName::parse(name) {
        Some(name) => open.registry.connection(&name).await?,
        None => None,
    };
    let none = || Failure::Message(format!("there is no org {name}: see `northstar org list`"));
    match found {
        Some(Connection::Salesforce(org)) => Ok(org),
        Some(Connection::Upstream(_)) | None => Err(none()),
    }
}

fn flow(org: &SalesforceOrg) -> &'static str {
    match org.flow {
        Flow::RefreshToken { .. } => "refresh-token",
        Flow::ClientCredentials { .. } => "client-credentials",
        Flow::JwtBearer { .. } => "jwt-bearer",
    }
}

/// The servers that work on an org.
fn users<'a>(servers: &'a [Server], org: &ConnectionName) -> Vec<&'a str> {
    let of_it = servers.iter().filter(|server| server.org.as_deref() == Some(org.as_str()));
    of_it.map(|server| server.name.as_str()).collect()
}

/// How getting tokens goes.
struct Health {
    status: &'static str,
    reason: Option<String>,
    grant: Option<GrantStatus>,
}

impl Health {
    async fn of(grants: &Grants, org: &SalesforceOrg, now: SystemTime) -> Result<Health, Failure> {
        let grant = match grants.status(&org.name, now).await {
            Ok(grant) => grant,
            Err(GrantError::Damaged(_)) => {
                return Ok(Health { status: "damaged", reason: None, grant: None });
            }
            Err(error) => return Err(error.into()),
        };
        let status = match &grant {
            Some(grant) if grant.status == Status::Attention => "attention",
            Some(grant) if grant.issued_at.is_some() => "ok",
            _ => "unused",
        };
        let reason = grant.as_ref().and_then(|grant| grant.reason.clone()).filter(|_| status == "attention");
        Ok(Health { status, reason, grant })
    }

    fn for_people(&self) -> String {
        match &self.reason {
            Some(reason) => format!("{}: {reason}", self.status),
            None => self.status.to_owned(),
        }
    }
}

async fn list(open: &Open, json: bool) -> Result<(), Failure> {
    let (grants, servers, now) = (open.grants().await?, open.registry.servers().await?, SystemTime::now());
    let (mut documents, mut rows) = (Vec::new(), Vec::new());
    for connection in open.registry.connections().await? {
        let Connection::Salesforce(org) = connection else { continue };
        let health = Health::of(&grants, &org, now).await?;
        let users = users(&servers, &org.name);
        documents.push(document(&org, &health, &users));
        rows.push(vec![
            org.name.to_string(),
            flow(&org).to_owned(),
            org.login_url.clone(),
            org.api_version.clone(),
            health.for_people(),
            if users.is_empty() { "-".to_owned() } else { users.join(", ") },
            values::show_time(org.created_at),
        ]);
    }
    if json {
        return output::json(&documents);
    }
    output::table(&["name", "flow", "login", "API", "status", "servers", "added"], rows)
}

/// An org for programs. No secret is in it.
fn document(org: &SalesforceOrg, health: &Health, users: &[&str]) -> Value {
    let mut document = json!(org);
    document["flow"] = json!(flow(org));
    if let Flow::JwtBearer { subject, audience } = &org.flow {
        (document["subject"], document["audience"]) = (json!(subject), json!(audience));
    }
    document["status"] = json!(health.status);
    document["reason"] = json!(health.reason);
    document["identity"] = json!(health.grant.as_ref().and_then(|grant| grant.identity.as_ref()));
    document["servers"] = json!(users);
    document
}

async fn remove(open: &Open, json: bool, name: &str, yes: bool) -> Result<(), Failure> {
    let org = find(open, name).await?;
    let servers = open.registry.servers().await?;
    let users = users(&servers, &org.name);
    for server in &users {
        eprintln!("The server {server} works on it: its Salesforce tools fail without it.");
    }
    if !yes {
        ask(
            &format!("Remove the org {name}, its secrets and its grant? There is no way back."),
            "there is nobody to ask: add --yes to remove it without a question",
            "Nothing was removed.",
        )?;
    }
    audited("org.remove", &org.name, forget(open, &org).await)?;
    if json {
        return output::json(&json!({ "name": org.name, "removed": true, "servers": users }));
    }
    output::line(&format!("removed {name}"))?;
    eprintln!("In Salesforce the app still exists: Setup > External Client App Manager.");
    Ok(())
}

/// The registration first: what is left of a removal that did not end is of no use to anybody.
async fn forget(open: &Open, org: &SalesforceOrg) -> Result<(), Failure> {
    open.registry.delete_connection(&org.name).await?;
    open.grants().await?.remove(&org.name, SystemTime::now()).await?;
    if let Some(secret) = &org.secret_id {
        open.secrets.delete(secret).await?;
    }
    Ok(())
}
