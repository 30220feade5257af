//! Protected-resource metadata (RFC 9728): where the tokens for a server come from.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use registry::{PublicUrl, Server, ServerName};
use serde_json::json;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Where a server's metadata is: the well-known path comes before the server's own (RFC 9728 §3.1).
pub fn url(public_url: &PublicUrl, server: &ServerName) -> String {
    format!("{}{WELL_KNOWN}{}", public_url.as_str(), server.path())
}

/// The server whose metadata a path is; the bare form is the default server's.
pub fn server_of(path: &str) -> Option<ServerName> {
    match path.strip_prefix(WELL_KNOWN)? {
        "" => Some(ServerName::default_server()),
        rest => ServerName::from_path(rest),
    }
}

/// The document; nothing in it comes from the request.
pub fn answer(server: &Server, public_url: &PublicUrl) -> Response<Bytes> {
    let mut response = http_api::json(&json!({
        "resource": server.name.url(public_url.as_str()),
        "resource_name": server.title,
        "authorization_servers": [public_url.as_str()],
        "scopes_supported": access_token::Scope::ALL.map(access_token::Scope::as_str),
        "bearer_methods_supported": ["header"],
    }));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
