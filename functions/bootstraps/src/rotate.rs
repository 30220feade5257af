//! The Lambda function that Secrets Manager rotates with.

use std::process::ExitCode;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use rotate::{App, Config};
use serde_json::value::RawValue;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => return http_api::function::not_started("rotate", &error),
    };
    http_api::function::log_panics();
    let app = &App::new(config);
    let service = service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        let done = app.handle(event.payload.get(), &event.context.request_id).await;
        // Secrets Manager takes a step for done unless the function fails.
        done.map_err(|error| Diagnostic { error_type: error.code().to_owned(), error_message: error.to_string() })
    });
    match lambda_runtime::Runtime::new(service).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
