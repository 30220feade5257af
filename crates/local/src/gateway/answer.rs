//! From what a function answers to the HTTP response.
//!
//! AWS, "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway", section "Lambda function response for
//! format 2.0". Details it leaves out (statusCode must be an integer, the default content type, a JSON string without
//! its quotes) follow the live snapshots of aws/aws-lambda-dotnet `LambdaTestTool-v2`.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, SET_COOKIE, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::Value;

use super::event::belongs_to_the_connection;

const REMAPPED_WWW_AUTHENTICATE: HeaderName = HeaderName::from_static("x-amzn-remapped-www-authenticate");

/// The answer of a function is not one that the gateway understands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The response that a function's answer stands for.
pub(super) fn response(answer: &str, remap_www_authenticate: bool) -> Result<Response<Full<Bytes>>, Malformed> {
    let value: Value = serde_json::from_str(answer).map_err(|_| Malformed)?;
    match value {
        Value::Object(fields) if fields.contains_key("statusCode") => {
            let answer = Answer::deserialize(Value::Object(fields)).map_err(|_| Malformed)?;
            answer.into_response(remap_www_authenticate)
        }
        Value::String(text) => Ok(inferred(text)),
        _ => Ok(inferred(answer.to_owned())),
    }
}

/// JSON in answer to the client, as the gateway infers it and as it reports its own errors.
pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn inferred(body: String) -> Response<Full<Bytes>> {
    json(StatusCode::OK, body)
}

/// `multiValueHeaders` is a field of format 1.0 and ignored, like every other unknown field.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    headers: Option<BTreeMap<String, Value>>,
    cookies: Option<Vec<String>>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

impl Answer {
    fn into_response(self, remap_www_authenticate: bool) -> Result<Response<Full<Bytes>>, Malformed> {
        let status = status(self.status_code)?;
        let mut headers = headers(self.headers.unwrap_or_default(), remap_www_authenticate)?;
        prepend_cookies(&mut headers, self.cookies.unwrap_or_default())?;
        let body = body(self.body.unwrap_or_default(), self.is_base64_encoded.unwrap_or_default())?;
        let body = if may_have_body(status) { body } else { Bytes::new() };
        if !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        }
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

fn status(code: u16) -> Result<StatusCode, Malformed> {
    match code {
        200..=599 => StatusCode::from_u16(code).map_err(|_| Malformed),
        _ => Err(Malformed),
    }
}

/// RFC 9110 §6.4.1.
fn may_have_body(status: StatusCode) -> bool {
    status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED
}

fn headers(answered: BTreeMap<String, Value>, remap_www_authenticate: bool) -> Result<HeaderMap, Malformed> {
    let mut headers = HeaderMap::with_capacity(answered.len());
    for (name, value) in answered {
        let name: HeaderName = name.parse().map_err(|_| Malformed)?;
        if is_set_by_the_gateway(&name) {
            continue;
        }
        let name = if remap_www_authenticate { remapped(name) } else { name };
        headers.insert(name, header_value(value)?);
    }
    Ok(headers)
}

/// AWS, "Transform API requests and responses for HTTP APIs", reserved headers: the ones that only the gateway sets.
fn is_set_by_the_gateway(name: &HeaderName) -> bool {
    belongs_to_the_connection(name) || [CONTENT_LENGTH, HOST].contains(name) || name.as_str().starts_with("apigw-")
}

/// AWS documents the new name for REST APIs ("Amazon API Gateway important notes"); field reports see it here too.
fn remapped(name: HeaderName) -> HeaderName {
    if name == WWW_AUTHENTICATE { REMAPPED_WWW_AUTHENTICATE } else { name }
}

fn header_value(value: Value) -> Result<HeaderValue, Malformed> {
    let text = match value {
        Value::String(text) => text,
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(Malformed),
    };
    HeaderValue::try_from(text).map_err(|_| Malformed)
}

/// Both ways to set a cookie count, `cookies` first (observed: ministackorg/ministack, API Gateway v2).
fn prepend_cookies(headers: &mut HeaderMap, cookies: Vec<String>) -> Result<(), Malformed> {
    let last = headers.remove(SET_COOKIE);
    for cookie in cookies {
        headers.append(SET_COOKIE, HeaderValue::try_from(cookie).map_err(|_| Malformed)?);
    }
    if let Some(cookie) = last {
        headers.append(SET_COOKIE, cookie);
    }
    Ok(())
}

fn body(text: String, is_base64_encoded: bool) -> Result<Bytes, Malformed> {
    if is_base64_encoded {
        return STANDARD.decode(text).map(Bytes::from).map_err(|_| Malformed);
    }
    Ok(Bytes::from(text))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    /// Status, headers, body.
    type Parts = (u16, Vec<(String, String)>, String);

    fn answered(answer: &str) -> Result<Parts, Malformed> {
        Ok(parts(response(answer, false)?))
    }

    fn parts(response: Response<Full<Bytes>>) -> Parts {
        let (head, body) = response.into_parts();
        let headers = head.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(body.collect()).unwrap().to_bytes();
        (head.status.as_u16(), headers.collect(), String::from_utf8_lossy(&body).into_owned())
    }

    fn header(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn full_answer_becomes_the_response() {
        let answer = json!({
            "statusCode": 401,
            "headers": { "Content-Type": "application/json", "WWW-Authenticate": "Bearer", "x-count": 2, "x-last": true },
            "body": "{}",
            "isBase64Encoded": false,
        });
        let headers = vec![
            header("content-type", "application/json"),
            header("www-authenticate", "Bearer"),
            header("x-count", "2"),
            header("x-last", "true"),
        ];
        assert_eq!(answered(&answer.to_string()).unwrap(), (401, headers, "{}".to_owned()));
    }

    #[test]
    fn challenge_is_renamed_when_asked() {
        let answer = r#"{"statusCode":401,"headers":{"WWW-Authenticate":"Bearer"}}"#;
        let (status, headers, _) = parts(response(answer, true).unwrap());
        assert_eq!((status, headers), (401, vec![header("x-amzn-remapped-www-authenticate", "Bearer")]));
    }

    #[test]
    fn answer_without_status_code_is_the_body() {
        let cases = [
            (r#"{"message": "Hello"}"#, r#"{"message": "Hello"}"#),
            (r#"{"body":"hi","headers":{"x":"y"}}"#, r#"{"body":"hi","headers":{"x":"y"}}"#),
            ("[1, 2]", "[1, 2]"),
            ("42", "42"),
            ("true", "true"),
            ("null", "null"),
            (r#""Hello, World!""#, "Hello, World!"),
            (r#""""#, ""),
        ];
        for (answer, body) in cases {
            let expected = (200, vec![header("content-type", "application/json")], body.to_owned());
            assert_eq!(answered(answer).unwrap(), expected, "{answer}");
        }
    }

    #[test]
    fn malformed_answers_are_errors() {
        let answers = [
            "",
            "{\"name\":",
            r#"{"statusCode":"ok"}"#,
            r#"{"statusCode":200.5}"#,
            r#"{"statusCode":0}"#,
            r#"{"statusCode":101}"#,
            r#"{"statusCode":600}"#,
            r#"{"statusCode":-1}"#,
            r#"{"statusCode":null}"#,
            r#"{"statusCode":200,"body":{}}"#,
            r#"{"statusCode":200,"body":"%","isBase64Encoded":true}"#,
            r#"{"statusCode":200,"isBase64Encoded":"yes"}"#,
            r#"{"statusCode":200,"headers":[]}"#,
            r#"{"statusCode":200,"headers":{"x":["a"]}}"#,
            r#"{"statusCode":200,"headers":{"a b":"c"}}"#,
            r#"{"statusCode":200,"headers":{"x":"a\nb"}}"#,
            r#"{"statusCode":200,"cookies":"a=b"}"#,
            r#"{"statusCode":200,"cookies":["a\r\nb"]}"#,
        ];
        for answer in answers {
            assert_eq!(answered(answer), Err(Malformed), "{answer}");
        }
    }

    #[test]
    fn base64_body_is_decoded() {
        let (_, _, body) = answered(r#"{"statusCode":200,"body":"aGVsbG8=","isBase64Encoded":true}"#).unwrap();
        assert_eq!(body, "hello");
    }

    #[test]
    fn body_without_a_content_type_is_plain_text() {
        let (_, headers, _) = answered(r#"{"statusCode":201,"body":"{}"}"#).unwrap();
        assert_eq!(headers, [header("content-type", "text/plain; charset=utf-8")]);
        assert_eq!(answered(r#"{"statusCode":202}"#).unwrap(), (202, vec![], String::new()));
    }

    #[test]
    fn no_content_has_no_body() {
        assert_eq!(answered(r#"{"statusCode":204,"body":"x"}"#).unwrap(), (204, vec![], String::new()));
    }

    #[test]
    fn cookies_become_set_cookie_headers() {
        let answer = r#"{"statusCode":200,"cookies":["a=1; Path=/","b=2"],"headers":{"Set-Cookie":"c=3"}}"#;
        let expected = [header("set-cookie", "a=1; Path=/"), header("set-cookie", "b=2"), header("set-cookie", "c=3")];
        assert_eq!(answered(answer).unwrap().1, expected);
    }

    #[test]
    fn headers_of_the_gateway_cannot_be_set() {
        let answer = json!({
            "statusCode": 200,
            "headers": {
                "Connection": "close", "Content-Length": "99", "Transfer-Encoding": "chunked", "Host": "evil", "TE": "x",
                "Keep-Alive": "x", "Upgrade": "h2c", "Trailer": "x", "Apigw-Requestid": "x", "allow": "POST",
            },
            "multiValueHeaders": { "x-many": ["1", "2"] },
        });
        assert_eq!(answered(&answer.to_string()).unwrap().1, [header("allow", "POST")]);
    }
}
