//! What anyone may know: that this is Northstar, that it runs, and whether it can read what it needs.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use registry::PublicUrl;
use serde_json::json;

/// `GET /`: what this is and where its parts are.
pub fn about(public_url: &PublicUrl) -> Response<Bytes> {
    let base = public_url.as_str();
    not_stored(http_api::json(&json!({
        "service": "northstar",
        "version": env!("CARGO_PKG_VERSION"),
        "mcp": format!("{base}/mcp"),
        "token": format!("{base}/token"),
        "status": "ok",
    })))
}

/// `GET /healthz`: the process answers.
pub fn healthy() -> Response<Bytes> {
    not_stored(http_api::json(&json!({ "status": "ok" })))
}

/// `GET /readyz`: 200 when everything a call needs can be read, else 503.
pub fn ready(public_keys: bool, revocations: bool, default_server: bool, state_key: bool) -> Response<Bytes> {
    let all = public_keys && revocations && default_server && state_key;
    let word = |ok: bool| if ok { "ok" } else { "unavailable" };
    let body = json!({
        "status": word(all),
        "checks": {
            "public_keys": word(public_keys),
            "revocations": word(revocations),
            "default_server": word(default_server),
            "state_key": word(state_key),
        },
    });
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    not_stored(http_api::json_with_status(status, &body))
}

fn not_stored(mut response: Response<Bytes>) -> Response<Bytes> {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
