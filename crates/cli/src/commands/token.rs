//! `northstar token`: get an access token, and give it back.

use std::io::{IsTerminal, Read};

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::client_of_functions::Caller;
use crate::commands::audited;
use crate::output::{self, Failure};
use crate::place::Place;

/// See the fields' help.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Scope to ask for: mcp.read, mcp.write, or both separated by a space; the client's default otherwise
    #[arg(long)]
    scope: Option<String>,
    /// MCP server the token is for
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
}

/// What else to do with tokens.
#[derive(Subcommand)]
enum Command {
    /// Revoke an access token of this client, given on standard input or in NORTHSTAR_ACCESS_TOKEN
    Revoke,
}

/// Prints the token alone, so that a script can take it; with `--json` the whole answer.
pub async fn run(place: &Place, json: bool, options: Options) -> Result<(), Failure> {
    if let Some(Command::Revoke) = options.command {
        return revoke(place, json).await;
    }
    let caller = Caller::find(place).await?;
    let token = caller.token(options.server.as_deref(), options.scope.as_deref()).await?;
    if json { output::json(&token) } else { output::line(&token.access_token) }
}

/// RFC 7009. The answer is the same for a token that is another client's, has expired or never was one.
async fn revoke(place: &Place, json: bool) -> Result<(), Failure> {
    let caller = Caller::find(place).await?;
    let token = access_token()?;
    audited("token.revoke", None, caller.revoke(&token).await)?;
    if json {
        return output::json(&json!({ "revoked": true }));
    }
    output::line("done: if it was a token of this client, it is refused within 10 seconds")
}

fn access_token() -> Result<SecretString, Failure> {
    let environment = std::env::var("NORTHSTAR_ACCESS_TOKEN").ok().filter(|token| !token.is_empty());
    let token = match environment {
        Some(token) => SecretString::from(token),
        None => read_token()?,
    };
    let is_character = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let valid = !token.expose_secret().is_empty() && token.expose_secret().bytes().all(is_character);
    let usage = || Failure::Usage("give the access token, and nothing else, on standard input".to_owned());
    if valid { Ok(token) } else { Err(usage()) }
}

/// One token and the end of its line. No token of ours is near this long.
fn read_token() -> Result<SecretString, Failure> {
    const MOST: u64 = 64 << 10;
    let mut text = String::new();
    if std::io::stdin().is_terminal() {
        eprintln!("Paste the access token:");
        std::io::stdin().read_line(&mut text)?;
    } else {
        std::io::stdin().take(MOST).read_to_string(&mut text)?;
    }
    Ok(SecretString::from(text.trim().to_owned()))
}
