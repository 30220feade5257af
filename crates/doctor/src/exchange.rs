//! A request's answer as it was observed, and what can be wrong with any.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use serde_json::Value;

use crate::checks::{
    BLOCKED, BROKEN, GATEWAY_TIMEOUT, HTML, NO_ANSWER, NOT_FOUND, NOT_JSON, Problem, REDIRECTED, SERVER_ERROR,
    THROTTLED, WRONG_HOST,
};
use crate::target::Limits;

/// The most of a server's text that a finding quotes, in characters.
const QUOTE: usize = 160;

/// What came of a request.
pub type Exchange = Result<Answer, Unanswered>;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, up to a limit.
    pub body: Bytes,
    /// From the request to the end of the body.
    pub elapsed: Duration,
    /// This machine's clock at the end.
    pub received: SystemTime,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub enum Unanswered {
    /// Nothing within this time.
    TimedOut(Duration),
    /// The connection ended, or there was none.
    Broken(String),
}

/// A problem, and what was seen of it.
pub type Trouble = (&'static Problem, String);

impl Answer {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The media type without parameters, in small letters.
    pub fn media_type(&self) -> String {
        let value = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The JSON of the body; of an event stream, the JSON of the event that answers.
    pub fn json(&self) -> Option<Value> {
        if self.media_type() == "text/event-stream" {
            return answer_in_stream(&self.body);
        }
        serde_json::from_slice(&self.body).ok()
    }

    /// Status, media type and the server's own reason.
    pub fn describe(&self) -> String {
        let mut text = self.status.to_string();
        let media_type = self.media_type();
        if !self.body.is_empty() {
            text.push(' ');
            text.push_str(if media_type.is_empty() { "without a content type" } else { &media_type });
        }
        if let Some(reason) = self.reason() {
            text.push_str(", ");
            text.push_str(&quote(&reason));
        }
        text
    }

    /// The reason that an error of OAuth, JSON-RPC or API Gateway gives, or the title of a page.
    fn reason(&self) -> Option<String> {
        let Some(json) = self.json() else {
            let text = String::from_utf8_lossy(&self.body);
            let lower = text.to_ascii_lowercase();
            let start = lower.find("<title>")? + "<title>".len();
            let end = lower[start..].find("</title>")? + start;
            return text.get(start..end).map(|title| format!("page \"{}\"", title.trim()));
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match &json["error"] {
            Value::String(error) => {
                let description = json["error_description"].as_str().map(|text| format!(" ({text})"));
                Some(format!("{error}{}", description.unwrap_or_default()))
            }
            Value::Object(error) => {
                let message = error.get("message").and_then(Value::as_str).unwrap_or("no message");
                let code = error.get("data").and_then(|data| text(&data["code"]));
                let code = code.or_else(|| error.get("code").map(Value::to_string));
                Some(format!("{} ({message})", code.unwrap_or_default()))
            }
            _ => text(&json["message"]).map(|message| format!("\"{message}\"")),
        }
    }
}

/// The first part of a server's text.
pub fn quote(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTE).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// The data of the first event that is a JSON-RPC answer.
pub fn answer_in_stream(body: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n");
    text.split("\n\n").find_map(|event| {
        let data: Vec<&str> =
            event.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
        let json: Value = serde_json::from_str(&data.join("\n")).ok()?;
        (json.get("result").is_some() || json.get("error").is_some()).then_some(json)
    })
}

/// What is wrong with an answer that could be to any request; `None` leaves it to the check.
pub fn trouble(exchange: &Exchange, limits: &Limits) -> Option<Trouble> {
    let answer = match exchange {
        Ok(answer) => answer,
        Err(Unanswered::TimedOut(after)) => {
            return Some((&NO_ANSWER, format!("nothing within {:.1} s", after.as_secs_f64())));
        }
        Err(Unanswered::Broken(reason)) => return Some((&BROKEN, quote(reason))),
    };
    let json = answer.json();
    // Errors of OAuth (a text) and JSON-RPC (an object) have one; API Gateway and firewalls do not.
    let error = json.as_ref().and_then(|json| json.get("error"));
    let page = answer.media_type() == "text/html" || answer.body.trim_ascii_start().starts_with(b"<");
    let problem = match answer.status {
        300..=399 => &REDIRECTED,
        429 if error.is_some_and(Value::is_string) => return None,
        404 => &NOT_FOUND,
        421 => &WRONG_HOST,
        429 => &THROTTLED,
        _ if error.is_some() => return None,
        403 => &BLOCKED,
        504 => &GATEWAY_TIMEOUT,
        502 | 503 if answer.elapsed >= limits.gateway => &GATEWAY_TIMEOUT,
        500..=599 => &SERVER_ERROR,
        _ if page => &HTML,
        200 if json.is_none() => &NOT_JSON,
        _ => return None,
    };
    let to = answer.header(LOCATION.as_str()).filter(|_| *problem == REDIRECTED);
    let to = to.map(|to| format!(" to {}", quote(to))).unwrap_or_default();
    Some((problem, format!("{}{to}", answer.describe())))
}

/// For tests of the checks: an answer without a network.
#[cfg(test)]
pub fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    Answer {
        status,
        headers: map,
        body: Bytes::copy_from_slice(body.as_bytes()),
        elapsed: Duration::from_millis(20),
        received: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn what_can_be_wrong_with_any_answer_is_named() {
        let html = ("content-type", "text/html; charset=utf-8");
        for (status, header, body, expected) in [
            (200, JSON, r#"{"a":1}"#, None),
            (200, html, "<html><title>Home</title>", Some(&HTML)),
            (200, JSON, "<!doctype html>", Some(&HTML)),
            (200, JSON, "", Some(&NOT_JSON)),
            (200, JSON, "OK", Some(&NOT_JSON)),
            (301, JSON, "", Some(&REDIRECTED)),
            (401, JSON, r#"{"error":"invalid_client"}"#, None),
            (401, html, "<html>", Some(&HTML)),
            (403, html, "<html>", Some(&BLOCKED)),
            (403, JSON, r#"{"message":"Forbidden"}"#, Some(&BLOCKED)),
            (403, JSON, r#"{"error":{"code":1,"message":"m"}}"#, None),
            (404, html, "<html>", Some(&NOT_FOUND)),
            (404, JSON, r#"{"error":{"code":1}}"#, Some(&NOT_FOUND)),
            (421, JSON, r#"{"error":{"code":1}}"#, Some(&WRONG_HOST)),
            (429, JSON, r#"{"message":"Too Many Requests"}"#, Some(&THROTTLED)),
            (429, JSON, r#"{"error":"slow_down"}"#, None),
            (500, JSON, r#"{"message":"Internal Server Error"}"#, Some(&SERVER_ERROR)),
            (503, JSON, r#"{"message":"Service Unavailable"}"#, Some(&SERVER_ERROR)),
            (503, JSON, r#"{"error":"server_error"}"#, None),
            (504, JSON, "", Some(&GATEWAY_TIMEOUT)),
            (202, JSON, "", None),
            (405, JSON, "", None),
        ] {
            let exchange = Ok(answer(status, &[header], body));
            let found = trouble(&exchange, &Limits::scaled(1.0)).map(|(problem, _)| problem);
            assert_eq!(found, expected, "{status} {body}");
        }
    }

    #[test]
    fn a_503_after_half_a_minute_is_the_gateways() {
        let mut late = answer(503, &[JSON], r#"{"message":"Service Unavailable"}"#);
        late.elapsed = Duration::from_secs(30);
        assert_eq!(trouble(&Ok(late), &Limits::scaled(1.0)).unwrap().0, &GATEWAY_TIMEOUT);
    }

    #[test]
    fn the_answer_in_an_event_stream_is_found() {
        let stream = ("content-type", "text/event-stream");
        let body = "event: message\r\ndata: {\"method\":\"notifications/message\"}\r\n\r\nid: 1\r\ndata: {\"result\":\r\ndata: {}}\r\n\r\n";
        assert_eq!(answer(200, &[stream], body).json().unwrap()["result"], serde_json::json!({}));
        assert_eq!(answer(200, &[stream], ": ping\n\n").json(), None);
    }

    #[test]
    fn reasons_are_the_servers_own() {
        for (body, expected) in [
            (r#"{"error":"invalid_scope","error_description":"no"}"#, "400 application/json, invalid_scope (no)"),
            (
                r#"{"error":{"code":-32600,"message":"m","data":{"code":"not_json"}}}"#,
                "400 application/json, not_json (m)",
            ),
            (r#"{"error":{"code":-32600,"message":"m"}}"#, "400 application/json, -32600 (m)"),
            (r#"{"message":"Forbidden"}"#, "400 application/json, \"Forbidden\""),
            ("<TITLE> Sign in </TITLE>", "400 application/json, page \"Sign in\""),
            ("", "400"),
        ] {
            assert_eq!(answer(400, &[JSON], body).describe(), expected);
        }
    }
}
