//! The Lambda function of the authorization server.

use std::process::ExitCode;

use token::{App, Config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => return http_api::function::not_started("token", &error),
    };
    let app = App::new(config).await;
    http_api::run("token", async |request| app.handle(request).await).await
}
