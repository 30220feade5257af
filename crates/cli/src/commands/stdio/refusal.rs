//! What the bridge says itself, as JSON-RPC errors with stable codes (`docs/errors.md`).

use serde_json::{Map, Value, json};

use crate::client_of_functions::{Answered, NoAnswer};

use super::message::{self, Expects};

/// Why a message has no answer of the server.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// A line that cannot be read.
    #[error("the line is not JSON in UTF-8: a line is one JSON-RPC message")]
    NotJson,
    /// A line that is longer than what the server takes.
    #[error("the line is longer than 256 KiB")]
    TooLong,
    /// The network, or nobody listens.
    #[error("{0}")]
    Unreachable(String),
    /// No token for the client of this bridge.
    #[error("there is no access token: {0}")]
    NoToken(String),
    /// An answer that is no JSON-RPC message: of something between, or of another server.
    #[error("{url} answers {status}, and no JSON-RPC message")]
    Unexpected {
        /// Who was asked.
        url: String,
        /// HTTP status.
        status: u16,
        /// Seconds to wait.
        retry_after: Option<u64>,
        /// API Gateway's id of the request.
        request_id: Option<String>,
    },
    /// Something at the token endpoint's URL that is none.
    #[error("{0}")]
    NotNorthstar(String),
}

impl Refusal {
    /// About an answer that cannot be passed on.
    pub fn unexpected(url: String, answered: Answered) -> Refusal {
        let Answered { status, retry_after, request_id, .. } = answered;
        Refusal::Unexpected { url, status: status.as_u16(), retry_after, request_id }
    }

    /// The stable code, as in `error.data.code`.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NotJson => "not_json",
            Refusal::TooLong => "body_too_large",
            Refusal::Unreachable(_) => "server_unreachable",
            Refusal::NoToken(_) => "token_refused",
            Refusal::Unexpected { .. } | Refusal::NotNorthstar(_) => "unexpected_answer",
        }
    }

    fn json_rpc_code(&self) -> i32 {
        match self {
            Refusal::NotJson => -32700,
            Refusal::TooLong => -32600,
            _ => -32603,
        }
    }

    /// The error for whoever waits; `None` when nobody does.
    pub fn line(&self, expects: &Expects) -> Option<Vec<u8>> {
        let mut data = Map::from_iter([("code".to_owned(), json!(self.code()))]);
        if let Refusal::Unexpected { status, retry_after, request_id, .. } = self {
            data.insert("status".to_owned(), json!(status));
            data.extend(retry_after.map(|seconds| ("retry_after".to_owned(), json!(seconds))));
            data.extend(request_id.as_ref().map(|id| ("request_id".to_owned(), json!(id))));
        }
        let error = json!({ "code": self.json_rpc_code(), "message": self.to_string(), "data": Value::Object(data) });
        let answer = json!({ "jsonrpc": "2.0", "error": error });
        message::line_of(expects, answer.to_string().as_bytes())
    }
}

/// About a token.
impl From<NoAnswer> for Refusal {
    fn from(error: NoAnswer) -> Refusal {
        match error {
            NoAnswer::Unreachable(text) => Refusal::Unreachable(text),
            NoAnswer::Refused(text) => Refusal::NoToken(text),
            NoAnswer::NotNorthstar(_) => Refusal::NotNorthstar(error.to_string()),
        }
    }
}
