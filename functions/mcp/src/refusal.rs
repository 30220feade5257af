//! Every way a request to the resource server is turned away before a tool runs, and how it is told.
//!
//! On the MCP path every refusal is a JSON-RPC error, for a client takes any other body as a sign of an older server
//! (MCP 2026-07-28, versioning) and falls back. Elsewhere it is a small JSON object.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use quota::Limited;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// Why a request is turned away.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The path is served by other methods.
    #[error("this method is not allowed here; the allowed ones are {0}")]
    Method(&'static str),
    /// No such path.
    #[error("there is nothing at this path")]
    NotFound,
    /// No such MCP server.
    #[error("there is no MCP server at this path")]
    UnknownServer,
    /// The `Origin` header names another site.
    #[error("requests from this origin are not allowed")]
    Origin,
    /// The `Host` header names another host.
    #[error("this host is not served here")]
    Host,
    /// No bearer token.
    #[error("a bearer token is required")]
    NoToken {
        /// The challenge.
        challenge: String,
    },
    /// A token that is not accepted.
    #[error("the access token is invalid or expired")]
    InvalidToken {
        /// The challenge.
        challenge: String,
    },
    /// A token without the scope that the tool needs.
    #[error("the access token does not have the scope that this tool needs")]
    InsufficientScope {
        /// The challenge.
        challenge: String,
    },
    /// Not `application/json`, or compressed.
    #[error("the content type is application/json, without a content encoding")]
    MediaType,
    /// More than 256 KiB.
    #[error("the body is larger than 256 KiB")]
    TooLarge,
    /// Not JSON.
    #[error("the body is not JSON in UTF-8")]
    NotJson,
    /// JSON beyond the limits.
    #[error("{0}")]
    JsonLimits(&'static str),
    /// JSON, but no JSON-RPC message.
    #[error("{0}")]
    NotJsonRpc(&'static str),
    /// A batch where there may be none.
    #[error("{0}")]
    Batch(&'static str),
    /// The protocol revision is not one of ours.
    #[error("the protocol version is not supported")]
    Revision {
        /// What the header says.
        requested: String,
    },
    /// The parameters of a method do not have its shape.
    #[error("{0}")]
    Params(&'static str),
    /// `_meta` is not an object.
    #[error("_meta is an object")]
    Meta,
    /// A method that the protocol revision no longer has.
    #[error("this server does not have this method")]
    UnknownMethod,
    /// A limit of the client or of the server is used up.
    #[error("{0}")]
    RateLimited(Limited),
    /// The configuration cannot be read.
    #[error("the server cannot read its configuration at the moment; try again")]
    Unavailable,
    /// The deadline passed, for anything but a tool call.
    #[error("the request took too long")]
    Deadline,
    /// rmcp refused the request in plain text.
    #[error("{text}")]
    Transport {
        /// Its status.
        status: StatusCode,
        /// Its text.
        text: String,
    },
}

impl Refusal {
    /// The stable code, as in `error.data.code` and in `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Method(_) => "method_not_allowed",
            Refusal::NotFound => "not_found",
            Refusal::UnknownServer => "unknown_server",
            Refusal::Origin => "origin_not_allowed",
            Refusal::Host => "host_not_served",
            Refusal::NoToken { .. } => "token_required",
            Refusal::InvalidToken { .. } => "invalid_token",
            Refusal::InsufficientScope { .. } => "insufficient_scope",
            Refusal::MediaType => "unsupported_media_type",
            Refusal::TooLarge => "body_too_large",
            Refusal::NotJson => "not_json",
            Refusal::JsonLimits(_) => "json_limits",
            Refusal::NotJsonRpc(_) => "not_json_rpc",
            Refusal::Batch(_) => "batch_not_allowed",
            Refusal::Revision { .. } => "unsupported_protocol_version",
            Refusal::Params(_) | Refusal::Meta => "invalid_params",
            Refusal::UnknownMethod => "method_not_found",
            Refusal::RateLimited(_) => "rate_limited",
            Refusal::Unavailable => "temporarily_unavailable",
            Refusal::Deadline => "deadline_exceeded",
            Refusal::Transport { .. } => "protocol_error",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Refusal::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::NotFound | Refusal::UnknownServer | Refusal::UnknownMethod => StatusCode::NOT_FOUND,
            Refusal::Origin | Refusal::InsufficientScope { .. } => StatusCode::FORBIDDEN,
            Refusal::Host => StatusCode::MISDIRECTED_REQUEST,
            Refusal::NoToken { .. } | Refusal::InvalidToken { .. } => StatusCode::UNAUTHORIZED,
            Refusal::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            // An answered request: the same status as every other JSON-RPC error that follows the envelope.
            Refusal::Params(_) | Refusal::Deadline => StatusCode::OK,
            Refusal::Transport { status, .. } => *status,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn json_rpc_code(&self) -> i32 {
        match self {
            Refusal::NotJson => -32700,
            Refusal::Revision { .. } => -32022,
            Refusal::Params(_) | Refusal::Meta => -32602,
            Refusal::UnknownMethod => -32601,
            Refusal::Unavailable | Refusal::Deadline | Refusal::RateLimited(_) => -32603,
            _ => -32600,
        }
    }

    /// The JSON-RPC error object with the request's id, which is left out when it could not be read.
    pub fn to_json_rpc(&self, id: Option<&RawValue>) -> Value {
        let mut data = Map::from_iter([("code".to_owned(), json!(self.code()))]);
        if let Refusal::Revision { requested } = self {
            data.insert("supported".to_owned(), json!(crate::envelope::REVISIONS));
            data.insert("requested".to_owned(), json!(requested));
        }
        let mut error = json!({
            "jsonrpc": "2.0",
            "error": { "code": self.json_rpc_code(), "message": self.to_string(), "data": data },
        });
        if let Some(id) = id.and_then(|id| serde_json::from_str(id.get()).ok()) {
            let id: Value = id;
            error["id"] = id;
        }
        error
    }

    /// The answer on the MCP path.
    pub fn into_json_rpc_response(self, id: Option<&RawValue>) -> Response<Bytes> {
        let body = self.to_json_rpc(id);
        self.with_headers(http_api::json_with_status(self.status(), &body))
    }

    /// The answer anywhere else.
    pub fn into_plain_response(self) -> Response<Bytes> {
        let body = json!({ "error": self.code(), "error_description": self.to_string() });
        let status = if self.status() == StatusCode::OK { StatusCode::BAD_REQUEST } else { self.status() };
        self.with_headers(http_api::json_with_status(status, &body))
    }

    fn with_headers(&self, mut response: Response<Bytes>) -> Response<Bytes> {
        let challenge = match self {
            Refusal::NoToken { challenge }
            | Refusal::InvalidToken { challenge }
            | Refusal::InsufficientScope { challenge } => HeaderValue::from_str(challenge).ok(),
            _ => None,
        };
        if let Some(challenge) = challenge {
            http_api::set_challenge(&mut response, challenge);
        }
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Refusal::Method(allowed) => {
                headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
            }
            Refusal::RateLimited(limited) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(limited.retry_after.as_secs()));
            }
            Refusal::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}
