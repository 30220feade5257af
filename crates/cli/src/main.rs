//! `northstar`: serves the functions on this machine, and operates them.
//!
//! Exit codes: 0 done, 1 the answer is no, 2 usage.

mod client_of_functions;
mod commands;
mod output;
mod values;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use local::Home;

use commands::{audit, call, client, import, init, key, serve, token};
use output::Failure;

/// Where a local run keeps its state unless told otherwise.
const DEFAULT_HOME: &str = ".northstar";

/// MCP endpoints on AWS Lambda for Salesforce Agentforce.
#[derive(Parser)]
#[command(name = "northstar", version, about, max_term_width = 100, infer_subcommands = false)]
struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Shared {
    /// Directory of the local run: its tables, secrets and demo client
    #[arg(long, global = true, env = "NORTHSTAR_HOME", default_value = DEFAULT_HOME, value_name = "DIR")]
    home: PathBuf,
    /// Print one JSON document instead of text for people
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the functions on http://127.0.0.1, behind an emulated HTTP API, with demo data at the first start
    Serve(serve::Options),
    /// Make the first signing key, the state key and the default server; run again, it changes nothing
    Init,
    /// Get an access token, or revoke one, as a client: the demo client, or NORTHSTAR_CLIENT_ID, NORTHSTAR_CLIENT_SECRET
    /// and NORTHSTAR_PUBLIC_URL
    Token(token::Options),
    /// Call a tool over MCP, as a client
    Call(call::Options),
    /// Register clients, look at them, change, stop and delete them
    #[command(subcommand)]
    Client(client::Command),
    /// Look at the signing keys, make a new one
    #[command(subcommand)]
    Key(key::Command),
    /// See what was asked and what became of it
    #[command(subcommand)]
    Audit(audit::Command),
    /// Import a CSV or JSON file into a business table; run again, it changes nothing
    Import(import::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { shared, command } = Cli::parse();
    let home = Home::new(shared.home);
    // `serve` prints its lines too.
    if !matches!(command, Command::Serve(_)) {
        request_log::write_to(home.request_log());
    }
    let done = match command {
        Command::Serve(options) => serve::run(home, options).await,
        Command::Init => init::run(&home, shared.json).await,
        Command::Token(options) => token::run(&home, shared.json, options).await,
        Command::Call(options) => call::run(&home, shared.json, options).await,
        Command::Client(command) => client::run(&home, shared.json, command).await,
        Command::Key(command) => key::run(&home, shared.json, command).await,
        Command::Audit(command) => audit::run(&home, shared.json, command).await,
        Command::Import(options) => import::run(&home, shared.json, options).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Answered) => ExitCode::FAILURE,
        Err(Failure::Message(message)) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
        Err(Failure::Usage(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}
