//! `northstar`: serves the functions on this machine, and operates them.
//!
//! Exit codes: 0 done, 1 the answer is no, 2 usage.

mod client_of_functions;
mod commands;
mod output;
mod place;
mod stack;
mod values;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use commands::{
    audit, call, client, doctor, import, init, key, org, salesforce, serve, server, stdio, token, upstream,
};
use output::Failure;
use place::Place;

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
    /// Directory of the local run: its tables, secrets and demo client [env: NORTHSTAR_HOME] [default: .northstar]
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Work on a deployed stack instead of a local run: its name in CloudFormation, in the region and with the credentials
    /// of the AWS environment [env: NORTHSTAR_STACK]
    #[arg(long, global = true, value_name = "NAME")]
    stack: Option<String>,
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
    /// Get an access token, or revoke one, as a client: the demo client of a local run, or NORTHSTAR_CLIENT_ID and
    /// NORTHSTAR_CLIENT_SECRET, at NORTHSTAR_PUBLIC_URL or the stack
    Token(token::Options),
    /// Call a tool over MCP, as a client
    Call(call::Options),
    /// Answer MCP messages from standard input on standard output, for MCP clients that only start local servers: they go
    /// to the server as a client, whose token it gets and renews itself
    Stdio(stdio::Options),
    /// Register clients, look at them, change, stop and delete them
    #[command(subcommand)]
    Client(client::Command),
    /// Make and change MCP servers and their tools by a definitions file, look at them, delete them
    #[command(subcommand)]
    Server(server::Command),
    /// Register the Salesforce orgs that servers' Salesforce tools work on (docs/orgs.md), test and remove them
    #[command(subcommand)]
    Org(org::Command),
    /// Register MCP servers of others, such as those that Salesforce hosts (docs/upstreams.md), consent to them, accept their
    /// tools, find out what is wrong
    #[command(subcommand)]
    Upstream(upstream::Command),
    /// Look at the signing keys, make a new one
    #[command(subcommand)]
    Key(key::Command),
    /// See what was asked and what became of it
    #[command(subcommand)]
    Audit(audit::Command),
    /// Import a CSV or JSON file into a business table; run again, it changes nothing
    Import(import::Options),
    Doctor(doctor::Options),
    /// Write the Salesforce project that connects Agentforce, and compare an org with the server
    #[command(subcommand)]
    Salesforce(salesforce::Command),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { shared, command } = Cli::parse();
    // On the heap: the futures of the SDKs are large.
    let done = Box::pin(run(shared, command)).await;
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

async fn run(shared: Shared, command: Command) -> Result<(), Failure> {
    let json = shared.json;
    // It is the local run, whatever NORTHSTAR_STACK says.
    if let Command::Serve(options) = command {
        return serve::run(Place::home(shared.home, shared.stack)?, options).await;
    }
    let place = Place::find(shared.home, shared.stack)?;
    match &place {
        Place::Home(home) => request_log::write_to(home.request_log()),
        // A stack has no log of its operators: whoever runs commands keeps what they print.
        Place::Stack(_) => request_log::write_to(std::io::stderr()),
    }
    match command {
        Command::Serve(_) => Ok(()),
        Command::Init => init::run(&place, json).await,
        Command::Token(options) => token::run(&place, json, options).await,
        Command::Call(options) => call::run(&place, json, options).await,
        Command::Stdio(options) => stdio::run(&place, options).await,
        Command::Client(command) => client::run(&place, json, command).await,
        Command::Server(command) => server::run(&place, json, command).await,
        Command::Org(command) => org::run(&place, json, command).await,
        Command::Upstream(command) => upstream::run(&place, json, command).await,
        Command::Key(command) => key::run(&place, json, command).await,
        Command::Audit(command) => audit::run(&place, json, command).await,
        Command::Import(options) => import::run(&place, json, options).await,
        Command::Doctor(options) => doctor::run(&place, json, options).await,
        Command::Salesforce(command) => salesforce::run(&place, json, command).await,
    }
}
