//! The Lambda function of the MCP servers.

use std::process::ExitCode;

use mcp::{App, Config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => return http_api::function::not_started("mcp", &error),
    };
    let app = App::new(config).await;
    http_api::run("mcp", async |request| app.handle(request).await).await
}
