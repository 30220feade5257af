//! What is asked of the org and what it answers: plain values, no HTTP library.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value, json};

/// A request to the REST API, also one inside a composite request.
#[derive(Clone, Debug)]
pub struct Call {
    /// `GET`, `POST`…
    pub method: String,
    /// The decoded segments after `/services/data/vNN.0/`, no empty one at the end.
    pub path: Vec<String>,
    /// The decoded parameters of the query.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// `v66.0`: links in answers have it too.
    pub version: String,
}

impl Call {
    /// A parameter of the query; the first, if there are more.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// `JSON_PARSER_ERROR`
    pub fn json(&self) -> Result<Value, ApiError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            ApiError::new(400, "JSON_PARSER_ERROR", format!("{error} at [line:{line}, column:{column}]"))
        })
    }

    /// The body as a JSON object.
    ///
    /// # Errors
    /// `JSON_PARSER_ERROR`
    pub fn object(&self) -> Result<Map<String, Value>, ApiError> {
        match self.json()? {
            Value::Object(object) => Ok(object),
            _ => Err(ApiError::new(400, "JSON_PARSER_ERROR", "The HTTP entity body must be a JSON object.")),
        }
    }

    /// The start of every path: `/services/data/v66.0`.
    pub fn base(&self) -> String {
        format!("/services/data/{}", self.version)
    }
}

/// An answer, before any fault.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// More headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Content,
}

/// A body.
#[derive(Clone, Debug)]
pub enum Content {
    /// None, as with 204.
    Empty,
    /// `application/json`
    Json(Value),
    /// `text/csv`
    Csv(String),
    /// `text/html`
    Html(String),
    /// `text/event-stream`
    Events(String),
}

impl Content {
    /// What `Content-Type` says of it.
    pub fn media_type(&self) -> &'static str {
        match self {
            Content::Empty | Content::Json(_) => "application/json;charset=UTF-8",
            Content::Csv(_) => "text/csv; charset=UTF-8",
            Content::Html(_) => "text/html; charset=UTF-8",
            Content::Events(_) => "text/event-stream",
        }
    }
}

impl Answer {
    /// 200 with JSON.
    pub fn ok(body: Value) -> Answer {
        Answer { status: 200, headers: Vec::new(), body: Content::Json(body) }
    }

    /// A status with JSON.
    pub fn json(status: u16, body: Value) -> Answer {
        Answer { status, ..Answer::ok(body) }
    }

    /// A status with CSV.
    pub fn csv(body: String) -> Answer {
        Answer { status: 200, headers: Vec::new(), body: Content::Csv(body) }
    }

    /// A status without a body.
    pub fn empty(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: Content::Empty }
    }

    /// The body as it stands in the answer of a composite request.
    pub fn into_value(self) -> Value {
        match self.body {
            Content::Empty => Value::Null,
            Content::Json(value) => value,
            Content::Csv(text) | Content::Html(text) | Content::Events(text) => Value::String(text),
        }
    }
}

/// A refusal in Salesforce's shape: `[{"message", "errorCode", "fields"?}]`.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// `errorCode`
    pub code: String,
    /// For the reader.
    pub message: String,
    /// The fields that a refused write names; an empty list is told too.
    pub fields: Option<Vec<String>>,
    /// `duplicateResut`, the matches of a duplicate rule.
    pub duplicates: Option<Box<Value>>,
}

impl ApiError {
    /// A refusal without fields.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> ApiError {
        ApiError { status, code: code.to_owned(), message: message.into(), fields: None, duplicates: None }
    }

    /// A refused write that names fields.
    pub fn of_fields(code: &str, message: impl Into<String>, fields: &[&str]) -> ApiError {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        ApiError { fields: Some(fields), ..ApiError::new(400, code, message) }
    }

    /// The path leads nowhere.
    pub fn no_such_path() -> ApiError {
        ApiError::new(404, "NOT_FOUND", "The requested resource does not exist")
    }

    /// The path does not take this method.
    pub fn method(method: &str, allowed: &str) -> ApiError {
        let message = format!("HTTP Method '{method}' not allowed. Allowed are {allowed}");
        ApiError::new(405, "METHOD_NOT_ALLOWED", message)
    }

    /// The one item of the array.
    pub fn item(&self) -> Value {
        let mut item = json!({ "message": self.message, "errorCode": self.code });
        if let Some(fields) = &self.fields {
            item["fields"] = json!(fields);
        }
        if let Some(duplicates) = &self.duplicates {
            // Salesforce's own spelling.
            item["duplicateResut"] = (**duplicates).clone();
        }
        item
    }

    /// The error as it stands in a collection's results.
    pub fn in_collection(&self) -> Value {
        let mut item = json!({
            "statusCode": self.code,
            "message": self.message,
            "fields": self.fields.clone().unwrap_or_default(),
        });
        if let Some(duplicates) = &self.duplicates {
            item["duplicateResut"] = (**duplicates).clone();
        }
        item
    }

    /// The answer.
    pub fn into_answer(self) -> Answer {
        Answer::json(self.status, json!([self.item()]))
    }
}
