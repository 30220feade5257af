//! The event API Gateway sends, read without trust: any part may be missing or broken.
//!
//! Source: API Gateway Developer Guide, "Working with AWS Lambda proxy integrations for HTTP APIs", format 2.0.

use std::fmt;
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Room for headers: about as many as API Gateway sends of a request of Agentforce.
const USUAL_HEADERS: usize = 24;

/// One HTTP request as a function sees it.
#[derive(Debug)]
pub struct ApiRequest {
    /// Method of the request.
    pub method: Method,
    /// Path, percent-encoding kept, without the query: `/mcp/orders`.
    pub path: String,
    /// Query string without `?`; empty when there is none. Never logged.
    pub query: String,
    /// Headers; API Gateway joins repeated ones with a comma.
    pub headers: HeaderMap,
    /// Cookies, each as `name=value`; API Gateway takes them out of the headers.
    pub cookies: Vec<String>,
    /// Body, base64 undone.
    pub body: Bytes,
    /// Address the request came from (`requestContext.http.sourceIp`), never from a header.
    pub source_ip: String,
    /// API Gateway's id of the request, or Lambda's when there is none.
    pub request_id: String,
    /// When the invocation ends.
    pub deadline: SystemTime,
}

impl ApiRequest {
    /// The header's value as text; `None` when it is absent, there more than once, or not visible ASCII.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }

    /// The cookie's value; `None` when it is absent or there more than once.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let named = |cookie: &'_ String| cookie.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
        let mut cookies = self.cookies.iter().filter(|cookie| named(cookie));
        let value = &cookies.next()?[name.len() + 1..];
        cookies.next().is_none().then_some(value)
    }
}

/// Why an event is no HTTP request.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EventError {
    /// Not JSON, or a part of the wrong type.
    #[error("the event is not an API Gateway HTTP API event of payload format 2.0")]
    Malformed,
    /// `version` is not `2.0`: the integration is set to payload format 1.0, or something else invokes the function.
    #[error("the event's payload format is not 2.0: set the integration's payload format version to 2.0")]
    Version,
    /// A part that every request has is missing.
    #[error("the event has no {0}")]
    Missing(&'static str),
    /// The method is no HTTP method, or the path does not begin with a slash.
    #[error("the event's {0} is not valid")]
    Invalid(&'static str),
    /// `isBase64Encoded` is true and `body` is not base64.
    #[error("the event's body is flagged base64 and is not")]
    Base64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    version: Option<String>,
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    #[serde(default)]
    headers: Option<Headers>,
    #[serde(default)]
    cookies: Option<Vec<String>>,
    request_context: Option<RequestContext>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    request_id: Option<String>,
    http: Option<Http>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    method: Option<String>,
    source_ip: Option<String>,
}

/// The headers, or nothing when one of them is none or there are more than a map takes. They are read without a map in
/// between: they are most of an event.
struct Headers(Option<HeaderMap>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("headers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Headers, A::Error> {
                let mut headers = Some(HeaderMap::with_capacity(USUAL_HEADERS));
                while let Some((name, value)) = entries.next_entry::<String, String>()? {
                    let name = HeaderName::from_bytes(name.as_bytes());
                    let value = HeaderValue::from_maybe_shared(Bytes::from(value));
                    let added = match (&mut headers, name, value) {
                        // A name that comes again, in whatever spelling, stands for a header that was sent twice.
                        (Some(headers), Ok(name), Ok(value)) => headers.try_append(name, value).is_ok(),
                        _ => false,
                    };
                    if !added {
                        headers = None;
                    }
                }
                Ok(Headers(headers))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// Reads an event. `lambda_request_id` and `deadline` come from the invocation.
///
/// # Errors
/// [`EventError`] names the part that is missing or broken; its text is safe to send.
pub fn parse(event: &str, lambda_request_id: &str, deadline: SystemTime) -> Result<ApiRequest, EventError> {
    let event: Event = serde_json::from_str(event).map_err(|_| EventError::Malformed)?;
    if event.version.as_deref() != Some("2.0") {
        return Err(EventError::Version);
    }
    let context = event.request_context.ok_or(EventError::Missing("requestContext"))?;
    let http = context.http.ok_or(EventError::Missing("requestContext.http"))?;
    let method = http.method.ok_or(EventError::Missing("requestContext.http.method"))?;
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| EventError::Invalid("requestContext.http.method"))?;
    let path = event.raw_path.ok_or(EventError::Missing("rawPath"))?;
    if !path.starts_with('/') {
        return Err(EventError::Invalid("rawPath"));
    }
    Ok(ApiRequest {
        method,
        path,
        query: event.raw_query_string.unwrap_or_default(),
        headers: match event.headers {
            None => HeaderMap::new(),
            Some(Headers(headers)) => headers.ok_or(EventError::Invalid("headers"))?,
        },
        cookies: event.cookies.unwrap_or_default(),
        body: body(event.body, event.is_base64_encoded.unwrap_or(false))?,
        source_ip: http.source_ip.unwrap_or_default(),
        request_id: context.request_id.unwrap_or_else(|| lambda_request_id.to_owned()),
        deadline,
    })
}

fn body(body: Option<String>, base64: bool) -> Result<Bytes, EventError> {
    match body {
        None => Ok(Bytes::new()),
        Some(text) if base64 => {
            BASE64_STANDARD.decode(text.as_bytes()).map(Bytes::from).map_err(|_| EventError::Base64)
        }
        Some(text) => Ok(Bytes::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str =
        r#"{"version":"2.0","rawPath":"/mcp","requestContext":{"http":{"method":"POST","sourceIp":"192.0.2.1"}}}"#;

    fn read(event: &str) -> Result<ApiRequest, EventError> {
        parse(event, "lambda-id", SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn an_event_with_the_least_is_a_request() {
        let request = read(MINIMAL).unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/mcp"));
        assert_eq!((request.body.len(), request.request_id.as_str()), (0, "lambda-id"));
    }

    #[test]
    fn every_missing_part_is_named() {
        for (event, expected) in [
            ("", EventError::Malformed),
            ("[]", EventError::Malformed),
            ("null", EventError::Malformed),
            ("{}", EventError::Version),
            (r#"{"version":"1.0"}"#, EventError::Version),
            (r#"{"version":2.0}"#, EventError::Malformed),
            (r#"{"version":"2.0"}"#, EventError::Missing("requestContext")),
            (r#"{"version":"2.0","requestContext":{}}"#, EventError::Missing("requestContext.http")),
            (r#"{"version":"2.0","requestContext":{"http":{}}}"#, EventError::Missing("requestContext.http.method")),
            (r#"{"version":"2.0","requestContext":{"http":{"method":"GET"}}}"#, EventError::Missing("rawPath")),
            (
                r#"{"version":"2.0","rawPath":"x","requestContext":{"http":{"method":"GET"}}}"#,
                EventError::Invalid("rawPath"),
            ),
            (
                r#"{"version":"2.0","rawPath":"/","requestContext":{"http":{"method":"G T"}}}"#,
                EventError::Invalid("requestContext.http.method"),
            ),
            (
                r#"{"version":"2.0","rawPath":"/","headers":{"a b":"c"},"requestContext":{"http":{"method":"GET"}}}"#,
                EventError::Invalid("headers"),
            ),
            (
                r#"{"version":"2.0","rawPath":"/","body":"*","isBase64Encoded":true,"requestContext":{"http":{"method":"GET"}}}"#,
                EventError::Base64,
            ),
        ] {
            assert_eq!(read(event).unwrap_err(), expected, "{event}");
        }
    }

    #[test]
    fn a_header_that_comes_twice_is_not_one_header() {
        for second in ["Authorization", "authorization"] {
            let headers =
                format!(r#""headers":{{"authorization":"Bearer a","{second}":"Bearer b","host":"h"}},"rawPath""#);
            let request = read(&MINIMAL.replace(r#""rawPath""#, &headers)).unwrap();
            assert!(request.headers.contains_key("authorization"));
            assert_eq!(
                (request.header(http::header::AUTHORIZATION), request.header(http::header::HOST)),
                (None, Some("h"))
            );
        }
    }

    #[test]
    fn one_header_that_is_none_refuses_the_event() {
        for (name, value) in [("a b", "c"), ("a", "c\\nd"), ("", "c")] {
            let headers = format!(r#""headers":{{"host":"h","{name}":"{value}","accept":"*/*"}},"rawPath""#);
            assert_eq!(read(&MINIMAL.replace(r#""rawPath""#, &headers)).unwrap_err(), EventError::Invalid("headers"));
        }
        let more_than_a_map_takes: String = (0..40_000).map(|number| format!(r#""h{number}":"","#)).collect();
        let headers = format!(r#""headers":{{{more_than_a_map_takes}"host":"h"}},"rawPath""#);
        assert_eq!(read(&MINIMAL.replace(r#""rawPath""#, &headers)).unwrap_err(), EventError::Invalid("headers"));
        let none = MINIMAL.replace(r#""rawPath""#, r#""headers":null,"rawPath""#);
        assert!(read(&none).unwrap().headers.is_empty());
    }

    #[test]
    fn a_cookie_is_read_by_its_whole_name_and_not_when_it_comes_twice() {
        let cookies = r#""cookies":["a=1","ab=2","twice=1","twice=2","empty=","name"],"rawPath""#;
        let request = read(&MINIMAL.replace(r#""rawPath""#, cookies)).unwrap();
        for (name, value) in [("a", Some("1")), ("ab", Some("2")), ("empty", Some("")), ("twice", None), ("name", None)]
        {
            assert_eq!(request.cookie(name), value, "{name}");
        }
        assert_eq!(read(MINIMAL).unwrap().cookie("a"), None);
    }

    #[test]
    fn a_base64_body_is_decoded_and_escapes_are_undone() {
        let event = MINIMAL.replace(r#""rawPath""#, r#""body":"aGk=","isBase64Encoded":true,"rawPath""#);
        assert_eq!(read(&event).unwrap().body, "hi");
        let event = MINIMAL.replace(r#""rawPath""#, r#""body":"{\"a\":\"\\u00e9\"}","rawPath""#);
        assert_eq!(read(&event).unwrap().body, r#"{"a":"\u00e9"}"#);
    }
}
