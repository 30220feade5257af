//! `northstar server`: the MCP servers, from a file under version control.

mod apply;
mod iam;
mod orgs;
mod plan;
mod show;
mod tables;
mod upstreams;
mod usage;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Subcommand;
use registry::{ServerName, ServerRecord};
use serde_json::json;
use server_file::{Document, Problem};

use crate::commands::FAILED;
use crate::output::{self, Failure};
use crate::place::{Kind, Open, Place};

/// What to do with MCP servers.
#[derive(Subcommand)]
pub enum Command {
    /// List the servers
    List,
    /// Show one server, or all of them; with --json as a definitions file, which `apply` takes and finds unchanged
    Show {
        /// Its name; "default" is the one at /mcp
        name: Option<String>,
    },
    /// Make and change servers as a definitions file says (docs/servers.md); holds everywhere within 30 seconds. Servers
    /// that are not in the file are left alone
    Apply(apply::Options),
    /// Say what `apply` would change, and change nothing; ends with 1 when there is something
    Diff {
        /// The definitions: YAML or JSON
        file: PathBuf,
    },
    /// Delete a server; its URL answers 404 within 30 seconds
    Delete {
        /// Its name
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Print the IAM statements that the lookups of a definitions file need, and no more, and the parameters by which the
    /// stack's template takes their tables
    Iam(iam::Options),
    /// Who called which tool, with which definition of it, and when last
    Usage {
        /// Name of the server; all of them unless given
        name: Option<String>,
    },
}

/// Runs one of the commands.
pub async fn run(place: &Place, json: bool, command: Command) -> Result<(), Failure> {
    match command {
        Command::List => show::list(&place.open().await?, json).await,
        Command::Show { name } => show::show(&place.open().await?, json, name.as_deref()).await,
        Command::Apply(options) => apply::apply(place, json, options).await,
        Command::Diff { file } => apply::diff(place, json, &file).await,
        Command::Delete { name, yes } => delete(&place.open().await?, json, &name, yes).await,
        Command::Iam(options) => iam::run(place, json, options).await,
        Command::Usage { name } => usage::run(&place.open().await?, json, name.as_deref()).await,
    }
}

/// What is said of a file that cannot be applied.
const INVALID_DEFINITION: &str = "invalid_definition";

/// Reads a definitions file.
///
/// # Errors
/// [`Failure::Usage`] after every problem has been printed.
fn read(file: &Path) -> Result<Document, Failure> {
    let bytes = std::fs::read(file).map_err(|error| Failure::Message(format!("{}: {error}", file.display())))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        let message = format!("{}: the file is not UTF-8; save it as UTF-8", file.display());
        Failure::Usage(message)
    })?;
    Document::parse(&text).map_err(|problems| refused(file, &problems))
}

/// Prints what is wrong with a file.
fn refused(file: &Path, problems: &[Problem]) -> Failure {
    for problem in problems {
        eprintln!("{}:{problem}", file.display());
    }
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    Failure::Usage(format!("{} has {count}; nothing was changed ({INVALID_DEFINITION})", file.display()))
}

/// The base of the servers' URLs: of a local run that never served, where it serves unless told otherwise.
pub fn public_url(open: &Open) -> String {
    match &open.kind {
        Kind::Stack(stack) => stack.public_url.trim_end_matches('/').to_owned(),
        Kind::Home(home) => {
            home.home().demo().map_or_else(|_| "http://127.0.0.1:9000".to_owned(), |demo| demo.public_url)
        }
    }
}

/// Writes the line of a command that changed a server, or failed to.
fn audited<T>(action: &'static str, server: &ServerName, done: Result<T, Failure>) -> Result<T, Failure> {
    let outcome = match &done {
        Ok(_) => "ok",
        Err(Failure::Message(_)) => FAILED,
        Err(Failure::Usage(_) | Failure::Answered) => return done,
    };
    request_log::server_command(action, server.as_str(), outcome, SystemTime::now());
    done
}

/// Asks on the terminal; `declined` is said when the answer is no.
///
/// # Errors
/// [`Failure::Message`] `nobody` without a terminal, [`Failure::Answered`] when the answer is no.
pub fn ask(question: &str, nobody: &str, declined: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Message(nobody.to_owned()));
    }
    write!(std::io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    eprintln!("{declined}");
    Err(Failure::Answered)
}

async fn find(open: &Open, name: &str) -> Result<ServerRecord, Failure> {
    let record = match ServerName::parse(name) {
        Some(name) => open.registry.server_now(&name).await?,
        None => None,
    };
    record.ok_or_else(|| Failure::Message(format!("there is no MCP server {name}: see `northstar server list`")))
}

async fn delete(open: &Open, json: bool, name: &str, yes: bool) -> Result<(), Failure> {
    let ServerRecord { server, version, .. } = find(open, name).await?;
    let clients = open.registry.clients().await?;
    let left: Vec<_> = clients.iter().filter(|client| client.servers == [server.name.clone()]).collect();
    for client in &left {
        eprintln!("Client {} ({}) has no other server: it is of no use without it.", client.client_id, client.name);
    }
    if !yes {
        let kind = if server.production { "production server" } else { "server" };
        ask(
            &format!("Delete the {kind} {} ({})? There is no way back.", server.name, server.title),
            "there is nobody to ask: add --yes to delete without a question",
            "Nothing was deleted.",
        )?;
    }
    let deleted = match open.registry.delete_server(&server.name, version).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(being_changed(&server.name)),
        Err(error) => Err(error.into()),
    };
    audited("server.delete", &server.name, deleted)?;
    if json {
        let left: Vec<&str> = left.iter().map(|client| client.client_id.as_str()).collect();
        return output::json(&json!({ "name": server.name, "deleted": true, "clients_without_server": left }));
    }
    output::line(&format!("deleted {}", server.name))?;
    eprintln!("Its URL answers 404 within 30 seconds.");
    Ok(())
}

fn being_changed(name: &ServerName) -> Failure {
    let message = format!("server {name} has been changed by somebody else at the same time: look at it and try again");
    Failure::Message(message)
}
