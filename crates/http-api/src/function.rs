//! The way of an invocation through a function: event, request, response, answer.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Response, StatusCode};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::answer::{Answer, json_with_status};
use crate::event::{self, ApiRequest};

/// What Lambda says of an invocation beside its event.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Lambda's id of the invocation.
    pub request_id: String,
    /// When the invocation ends.
    pub deadline: SystemTime,
}

#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
    error_description: &'a str,
}

/// Answers one event. An event that is no HTTP request is answered 400, a handler that panics 500; neither ends
/// the process.
pub async fn answer_event<F>(event: &str, invocation: Invocation, handle: F) -> Answer
where
    F: AsyncFnOnce(ApiRequest) -> Response<Bytes>,
{
    let request = match event::parse(event, &invocation.request_id, invocation.deadline) {
        Ok(request) => request,
        Err(error) => {
            request_log::problem("event", "invalid_event", &error.to_string(), SystemTime::now());
            return failure(StatusCode::BAD_REQUEST, "invalid_event", &error.to_string());
        }
    };
    match AssertUnwindSafe(handle(request)).catch_unwind().await {
        Ok(response) => response.into(),
        // The panic hook has written the line.
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "the request could not be served"),
    }
}

fn failure(status: StatusCode, error: &str, error_description: &str) -> Answer {
    json_with_status(status, &Failure { error, error_description }).into()
}

/// Serves invocations until Lambda ends the process; returns only when the Runtime API cannot be reached.
pub async fn run<F>(function: &'static str, handle: F) -> ExitCode
where
    F: AsyncFn(ApiRequest) -> Response<Bytes>,
{
    log_panics();
    let handle = &handle;
    let service = service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        let deadline = deadline(event.context.deadline(), SystemTime::now());
        let invocation = Invocation { request_id: event.context.request_id.clone(), deadline };
        Ok::<_, lambda_runtime::Error>(answer_event(event.payload.get(), invocation, handle).await)
    });
    match lambda_runtime::Runtime::new(service).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => {
            request_log::problem(function, "runtime_api", "the Lambda Runtime API does not answer", SystemTime::now());
            ExitCode::FAILURE
        }
    }
}

/// When an invocation ends. Lambda names the moment; `cargo lambda watch` (1.9.2) sends `600000`, which is a length of
/// time.
fn deadline(told: SystemTime, now: SystemTime) -> SystemTime {
    match told.duration_since(UNIX_EPOCH) {
        Ok(length) if length < Duration::from_hours(24) => now + length,
        _ => told,
    }
}

/// Says why a function does not start: a setting is missing or wrong.
pub fn not_started(function: &'static str, error: &impl std::error::Error) -> ExitCode {
    request_log::problem(function, "invalid_configuration", &error.to_string(), SystemTime::now());
    ExitCode::FAILURE
}

/// One log line a panic, with its place; its message stays out, for it may quote a caller's text.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |place| format!("{}:{}", place.file(), place.line()));
        request_log::problem("panic", "internal_error", &place, SystemTime::now());
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_a_moment_unless_it_can_only_be_a_length_of_time() {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_237_200);
        for moment in [now + Duration::from_secs(29), now, now - Duration::from_secs(1)] {
            assert_eq!(deadline(moment, now), moment);
        }
        let ten_minutes = Duration::from_millis(600_000);
        assert_eq!(deadline(UNIX_EPOCH + ten_minutes, now), now + ten_minutes);
    }
}
