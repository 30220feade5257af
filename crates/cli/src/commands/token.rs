//! `northstar token`.

use clap::Args;
use local::Home;

use crate::client_of_functions::Caller;
use crate::output::{self, Failure};

/// See the fields' help.
#[derive(Args)]
pub struct Options {
    /// Scope to ask for: mcp.read, mcp.write, or both separated by a space; the client's default otherwise
    #[arg(long)]
    scope: Option<String>,
    /// MCP server the token is for
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
}

/// Prints the token alone, so that a script can take it; with `--json` the whole answer.
pub async fn run(home: &Home, json: bool, options: Options) -> Result<(), Failure> {
    let caller = Caller::find(home)?;
    let token = caller.token(options.server.as_deref(), options.scope.as_deref()).await?;
    if json { output::json(&token) } else { output::line(&token.access_token) }
}
