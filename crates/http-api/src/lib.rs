//! A Lambda function behind API Gateway's HTTP API: events in, answers out (payload format 2.0).
//!
//! `event` turns an event into an HTTP request, `answer` an HTTP response into what API Gateway expects,
//! `function` joins them to the Lambda runtime. Written by hand because `lambda_http` panics on a body that is
//! flagged base64 and is not, and on a path that is no URI; both must be a clear answer here.

pub mod answer;
pub mod event;
pub mod function;

pub use answer::{Answer, json, json_with_status, set_challenge};
pub use event::{ApiRequest, EventError};
pub use function::{Invocation, answer_event, run};
