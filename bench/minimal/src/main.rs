//! Reads the event as an HTTP request and answers JSON that never changes.

use lambda_http::{Body, Error, Request, Response, run, service_fn};

/// What `get_order_status` answers for order 1001, as long as it is there.
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"{\"order_id\":\"1001\",\"status\":\"SHIPPED\",\"carrier\":\"UPS\",\"eta\":\"2026-07-03\"}"}],"structuredContent":{"order_id":"1001","status":"SHIPPED","carrier":"UPS","eta":"2026-07-03"},"isError":false}}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(answer)).await
}

async fn answer(_: Request) -> Result<Response<Body>, Error> {
    Ok(Response::builder().header("content-type", "application/json").body(ANSWER.into())?)
}
