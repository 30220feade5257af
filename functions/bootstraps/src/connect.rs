//! The Lambda function of consents.

use std::process::ExitCode;

use connect::{App, Config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => return http_api::function::not_started("connect", &error),
    };
    let app = App::new(config);
    http_api::run("connect", async |request| app.handle(request).await).await
}
