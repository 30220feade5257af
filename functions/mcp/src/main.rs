//! The Lambda function of the MCP servers.

use mcp::{App, Config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let app = App::new(Config::from_env()?).await;
    http_api::run(async |request| app.handle(request).await).await
}
