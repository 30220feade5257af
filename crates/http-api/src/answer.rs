//! The answer API Gateway expects of a function (payload format 2.0), and how ours are made.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// What a function returns to the runtime.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    status_code: u16,
    headers: BTreeMap<String, String>,
    /// Each a value of `Set-Cookie`, which cannot be joined by commas (RFC 6265 §3).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    body: String,
    is_base64_encoded: bool,
}

impl Answer {
    /// HTTP status.
    pub fn status_code(&self) -> u16 {
        self.status_code
    }

    /// Body, as text unless it is binary.
    pub fn body(&self) -> &str {
        &self.body
    }
}

impl From<Response<Bytes>> for Answer {
    fn from(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        let (mut headers, mut cookies) = (BTreeMap::new(), Vec::new());
        for (name, value) in &parts.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            if name == header::SET_COOKIE {
                cookies.push(value.into_owned());
                continue;
            }
            headers
                .entry(name.as_str().to_owned())
                .and_modify(|joined: &mut String| {
                    joined.push(',');
                    joined.push_str(&value);
                })
                .or_insert_with(|| value.into_owned());
        }
        let (body, is_base64_encoded) = match String::from_utf8(body.into()) {
            Ok(text) => (text, false),
            Err(binary) => (BASE64_STANDARD.encode(binary.as_bytes()), true),
        };
        Answer { status_code: parts.status.as_u16(), headers, cookies, body, is_base64_encoded }
    }
}

/// A JSON answer with status 200.
pub fn json(value: &impl Serialize) -> Response<Bytes> {
    json_with_status(StatusCode::OK, value)
}

/// A JSON answer.
pub fn json_with_status(status: StatusCode, value: &impl Serialize) -> Response<Bytes> {
    // Our own types serialise; an empty object is what a caller would see if one ever did not.
    let body = serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec());
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The header that the stack makes `WWW-Authenticate` from: API Gateway renames that one when a function sends it.
const CHALLENGE: HeaderName = HeaderName::from_static("northstar-challenge");

/// Sets the challenge of a 401 or 403 (RFC 9110 §11.6.1), and once more under a name that arrives.
pub fn set_challenge(response: &mut Response<Bytes>, challenge: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(CHALLENGE, challenge.clone());
    headers.insert(header::WWW_AUTHENTICATE, challenge);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_out_as_text_and_bytes_as_base64() {
        let text = Answer::from(Response::new(Bytes::from_static("é".as_bytes())));
        assert_eq!((text.body.as_str(), text.is_base64_encoded), ("é", false));
        let binary = Answer::from(Response::new(Bytes::from_static(&[0xff, 0x00])));
        assert_eq!((binary.body.as_str(), binary.is_base64_encoded), ("/wA=", true));
    }

    #[test]
    fn a_header_given_twice_is_joined() {
        let mut response = Response::new(Bytes::new());
        response.headers_mut().append("vary", HeaderValue::from_static("a"));
        response.headers_mut().append("vary", HeaderValue::from_static("b"));
        assert_eq!(Answer::from(response).headers["vary"], "a,b");
    }

    #[test]
    fn cookies_are_a_list_of_their_own() {
        let mut response = Response::new(Bytes::new());
        response.headers_mut().append("set-cookie", HeaderValue::from_static("a=1; Path=/"));
        response.headers_mut().append("set-cookie", HeaderValue::from_static("b=2"));
        let answer = Answer::from(response);
        assert_eq!(
            (answer.cookies.as_slice(), answer.headers.len()),
            (["a=1; Path=/".to_owned(), "b=2".to_owned()].as_slice(), 0)
        );
        let plain = serde_json::to_string(&Answer::from(Response::new(Bytes::new()))).unwrap();
        assert!(!plain.contains("cookies"), "{plain}");
    }
}
