//! Requests to the token endpoint, and what every one of its answers has to be.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use reqwest::RequestBuilder;
use serde_json::Value;

use crate::Server;

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn to(request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.text().await.unwrap() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    /// What stays when the same request is sent again.
    pub fn without_date_and_id(mut self) -> (u16, HeaderMap, String) {
        self.headers.remove("date");
        self.headers.remove("apigw-requestid");
        (self.status, self.headers, self.body)
    }

    /// The member `scope` of a token that was issued.
    pub fn granted_scope(&self, what: &str) -> String {
        self.assert_issued(what);
        self.json()["scope"].as_str().unwrap().to_owned()
    }

    /// A token was issued: RFC 6749 §5.1.
    pub fn assert_issued(&self, what: &str) {
        assert_eq!(self.status, 200, "{what}: {}", self.body);
        self.assert_not_stored(what);
        let body = self.json();
        let members: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(members, ["access_token", "token_type", "expires_in", "scope"], "{what}");
    }

    /// No token was issued: RFC 6749 §5.2, and nothing of ours in it (AS-04, AS-45).
    pub fn assert_refused(&self, what: &str, status: u16, error: &str) {
        assert_eq!(self.status, status, "{what}: {}", self.body);
        self.assert_not_stored(what);
        let body = self.json();
        let members: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(members, ["error", "error_description"], "{what}");
        assert_eq!(body["error"], error, "{what}");
        assert_description(body["error_description"].as_str().unwrap());
        // RFC 9110 §15.5.2: a challenge on every 401, and on no other answer.
        let challenge = (status == 401).then_some("Basic realm=\"northstar\"");
        assert_eq!(self.header("www-authenticate"), challenge, "{what}");
        // API Gateway renames it; the stack makes it from this one.
        assert_eq!(self.header("northstar-challenge"), challenge, "{what}");
        assert_eq!(self.header("retry-after").is_some(), matches!(status, 429 | 503), "{what}");
        assert_no_internals(&self.body);
    }

    /// AS-03, AS-04.
    fn assert_not_stored(&self, what: &str) {
        let headers = ["content-type", "cache-control", "pragma"].map(|name| self.header(name));
        assert_eq!(headers, [Some("application/json"), Some("no-store"), Some("no-cache")], "{what}");
    }
}

/// RFC 6749 §5.2: `error_description` is made of %x20-21 / %x23-5B / %x5D-7E.
fn assert_description(text: &str) {
    let allowed = |byte: u8| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    assert!(!text.is_empty() && text.bytes().all(allowed), "{text:?}");
}

/// AS-45: no stack, crate, table, secret, file or ARN.
fn assert_no_internals(body: &str) {
    let internals = [
        "arn:",
        "northstar-",
        "northstar/",
        "secrets.json",
        "dynamo",
        "DynamoDB",
        "Secrets",
        "aws",
        "AWS",
        "serde",
        "hyper",
        "tokio",
        "panick",
        ".rs",
        "::",
        "/work",
        "/tmp",
        "Error(",
    ];
    for internal in internals {
        assert!(!body.contains(internal), "{internal} in {body}");
    }
}

/// A form that goes out as it is written here.
pub async fn post(server: &Server, body: impl Into<Vec<u8>>) -> Answer {
    Answer::to(form(server).body(body.into())).await
}

/// A request to the token endpoint that says it carries a form.
pub fn form(server: &Server) -> RequestBuilder {
    server.request("POST", "/token").header("content-type", "application/x-www-form-urlencoded")
}

/// A token request with the secret in the body, and more parameters.
pub async fn post_as(server: &Server, client: &(String, String), parameters: &[(&str, &str)]) -> Answer {
    let (id, secret) = client;
    let own = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    Answer::to(server.request("POST", "/token").form(&[&own, parameters].concat())).await
}

/// A token request with this `Authorization` header, and more parameters.
pub async fn post_with_header(server: &Server, authorization: &[u8], parameters: &[(&str, &str)]) -> Answer {
    let parameters = [&[("grant_type", "client_credentials")], parameters].concat();
    Answer::to(server.request("POST", "/token").header("authorization", authorization).form(&parameters)).await
}

/// `Basic` with both halves as they are.
pub fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")))
}

/// The demo client.
pub fn demo(server: &Server) -> (String, String) {
    (server.client_id.clone(), server.client_secret.clone())
}

/// A request written by hand, with `Connection: close` in it; status, head and body.
pub fn raw(server: &Server, request: impl AsRef<[u8]>) -> (u16, String, String) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(request.as_ref()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {answer}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}
