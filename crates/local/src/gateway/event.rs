//! From an HTTP request to the event that a function receives.
//!
//! AWS, "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway" (payload format 2.0). Where that page is
//! silent, what was captured from live HTTP APIs decides: hotsock/voker `vokerhttp/testdata`, aws/aws-lambda-dotnet
//! `LambdaTestTool-v2` snapshots, ministackorg/ministack pull request 766 (which bodies are text).

use std::{
    borrow::Cow,
    collections::BTreeMap,
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
    },
    request::Parts,
};
use serde::Serialize;

const ACCOUNT_ID: &str = "000000000000";
const API_ID: &str = "local";
const STAGE: &str = "$default";

/// A request as it came in, with what the gateway knows beside it.
pub(super) struct Received<'a> {
    pub(super) head: &'a Parts,
    pub(super) body: &'a [u8],
    pub(super) peer: SocketAddr,
    pub(super) request_id: &'a str,
    pub(super) trace_id: &'a str,
    pub(super) now: SystemTime,
}

impl Received<'_> {
    /// The event as JSON. `path` is the decoded path; the route key and the parameters come from the route it takes.
    pub(super) fn event(
        &self,
        path: &str,
        route_key: &str,
        parameters: &BTreeMap<&str, String>,
    ) -> serde_json::Result<String> {
        let query = self.head.uri.query().unwrap_or_default();
        let (body, is_base64_encoded) = encode_body(&self.head.headers, self.body);
        serde_json::to_string(&Event {
            version: "2.0",
            route_key,
            raw_path: path,
            raw_query_string: query,
            cookies: cookies(&self.head.headers),
            headers: self.headers(),
            query_string_parameters: query_parameters(query),
            request_context: self.context(path, route_key),
            body,
            path_parameters: parameters,
            is_base64_encoded,
        })
    }

    fn context<'a>(&'a self, path: &'a str, route_key: &'a str) -> RequestContext<'a> {
        let domain_name = domain_name(&self.head.headers);
        let domain_prefix = domain_name.split('.').next().unwrap_or_default().to_owned();
        RequestContext {
            account_id: ACCOUNT_ID,
            api_id: API_ID,
            domain_name,
            domain_prefix,
            http: Http {
                method: self.head.method.as_str(),
                path,
                protocol: format!("{:?}", self.head.version),
                source_ip: self.source_ip(),
                user_agent: text(self.head.headers.get(USER_AGENT)),
            },
            request_id: self.request_id,
            route_key,
            stage: STAGE,
            time: clock(self.now),
            time_epoch: milliseconds(self.now),
        }
    }

    fn source_ip(&self) -> String {
        self.peer.ip().to_canonical().to_string()
    }

    /// Lower-case names, repeated headers joined. Cookies have their own field; the length is that of the body, even 0.
    fn headers(&self) -> BTreeMap<&str, String> {
        let received = &self.head.headers;
        let names = received.keys().filter(|name| !belongs_to_the_connection(name) && *name != COOKIE);
        let mut headers: BTreeMap<_, _> = names.map(|name| (name.as_str(), joined(received, name, ","))).collect();
        headers.insert(CONTENT_LENGTH.as_str(), self.body.len().to_string());
        headers.entry("x-amzn-trace-id").or_insert_with(|| self.trace_id.to_owned());
        headers.insert("x-forwarded-port", port(received).to_owned());
        headers.insert("x-forwarded-proto", "http".to_owned());
        let forwarded = headers.entry("x-forwarded-for").or_default();
        forwarded.push_str(if forwarded.is_empty() { "" } else { ", " });
        forwarded.push_str(&self.source_ip());
        headers
    }
}

/// The path as HTTP APIs give it to routes and functions: percent-decoded, which makes `%2F` a slash, and cut at a
/// decoded `?` (captures cited in middleapi/standard-server pull request 93).
pub(super) fn decoded_path(path: &str) -> String {
    let decoded = percent_decode(path);
    decoded.split('?').next().unwrap_or_default().to_owned()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'a str,
    raw_path: &'a str,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    path_parameters: &'a BTreeMap<&'a str, String>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    account_id: &'static str,
    api_id: &'static str,
    domain_name: String,
    domain_prefix: String,
    http: Http<'a>,
    request_id: &'a str,
    route_key: &'a str,
    stage: &'static str,
    time: String,
    time_epoch: u128,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: &'a str,
    protocol: String,
    source_ip: String,
    user_agent: String,
}

fn encode_body<'a>(headers: &HeaderMap, body: &'a [u8]) -> (Option<Cow<'a, str>>, bool) {
    if body.is_empty() {
        return (None, false);
    }
    match std::str::from_utf8(body) {
        Ok(text) if is_text(headers) => (Some(Cow::Borrowed(text)), false),
        _ => (Some(Cow::Owned(STANDARD.encode(body))), true),
    }
}

/// Measured on a live HTTP API: nothing else is text, neither forms nor `+json` nor a body without a type.
fn is_text(headers: &HeaderMap) -> bool {
    let content_type = text(headers.get(CONTENT_TYPE)).to_ascii_lowercase();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/") || matches!(essence, "application/json" | "application/xml" | "application/javascript")
}

/// RFC 9110 §7.6.1: for one hop only, so they never reach a function.
pub(super) fn belongs_to_the_connection(name: &HeaderName) -> bool {
    [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let all = joined(headers, &COOKIE, ";");
    all.split(';').map(str::trim).filter(|cookie| !cookie.is_empty()).map(str::to_owned).collect()
}

fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = form_decode(value);
        let known = parameters.entry(form_decode(name));
        known.and_modify(|values| *values = format!("{values},{value}")).or_insert(value);
    }
    parameters
}

fn form_decode(text: &str) -> String {
    percent_decode(&text.replace('+', " "))
}

/// A `%` without two hexadecimal digits stands for itself.
fn percent_decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| hexadecimal(tail)).flatten();
        decoded.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hexadecimal(text: &[u8]) -> Option<u8> {
    let digit = |index: usize| char::from(*text.get(index)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn joined(headers: &HeaderMap, name: &HeaderName, separator: &str) -> String {
    headers.get_all(name).iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(separator)
}

fn text(value: Option<&HeaderValue>) -> String {
    value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

/// The Host header without its port.
fn domain_name(headers: &HeaderMap) -> String {
    let host = text(headers.get(HOST));
    split_port(&host).0.to_owned()
}

fn port(headers: &HeaderMap) -> String {
    let host = text(headers.get(HOST));
    split_port(&host).1.unwrap_or("80").to_owned()
}

fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

fn milliseconds(now: SystemTime) -> u128 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

/// As in access logs: `12/Mar/2020:19:03:58 +0000`.
fn clock(now: SystemTime) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{day:02}/{}/{year}:{hour:02}:{minute:02}:{second:02} +0000", MONTHS[month])
}

/// The year, the month from 0 and the day of a number of days since 1970.
fn civil_date(mut days: u64) -> (u64, usize, u64) {
    let mut year = 1970;
    while days >= 365 + leap_day(year) {
        days -= 365 + leap_day(year);
        year += 1;
    }
    let lengths = [31, 28 + leap_day(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1)
}

fn leap_day(year: u64) -> u64 {
    u64::from(year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;
    use serde_json::{Value, json};

    use super::*;

    fn request() -> http::request::Builder {
        Request::post("/mcp/orders").header("host", "api.example.com:9000")
    }

    fn event(request: http::request::Builder, body: &[u8]) -> Value {
        let (head, ()) = request.body(()).unwrap().into_parts();
        let received = Received {
            head: &head,
            body,
            peer: "127.0.0.1:50000".parse().unwrap(),
            request_id: "JCJJxhz4PHcEJgQ=",
            trace_id: "Root=1-67fd88a4-127eb8e773d2bb6f7df47ab6",
            now: UNIX_EPOCH + Duration::from_millis(1_744_668_836_573),
        };
        let parameters = BTreeMap::from([("server", "orders".to_owned())]);
        let json = received.event(&decoded_path(head.uri.path()), "ANY /mcp/{server}", &parameters).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    fn body(content_type: &str, body: &[u8]) -> (Value, Value) {
        let mut event = event(request().header("content-type", content_type), body);
        (event["body"].take(), event["isBase64Encoded"].take())
    }

    #[test]
    fn whole_event_has_the_fields_of_payload_format_2_0() {
        let request = Request::post("/mcp/orders?status=pending&tag=a%20b&tag=c%23")
            .header("Host", "api.example.com:9000")
            .header("User-Agent", "TestAgent")
            .header("Content-Type", "application/json")
            .header("X-Probe", "first")
            .header("x-probe", "second")
            .header("Cookie", "session=abc123; theme=dark")
            .header("Connection", "keep-alive");

        assert_eq!(
            event(request, br#"{"id":1}"#),
            json!({
                "version": "2.0",
                "routeKey": "ANY /mcp/{server}",
                "rawPath": "/mcp/orders",
                "rawQueryString": "status=pending&tag=a%20b&tag=c%23",
                "cookies": ["session=abc123", "theme=dark"],
                "headers": {
                    "content-length": "8",
                    "content-type": "application/json",
                    "host": "api.example.com:9000",
                    "user-agent": "TestAgent",
                    "x-amzn-trace-id": "Root=1-67fd88a4-127eb8e773d2bb6f7df47ab6",
                    "x-forwarded-for": "127.0.0.1",
                    "x-forwarded-port": "9000",
                    "x-forwarded-proto": "http",
                    "x-probe": "first,second",
                },
                "queryStringParameters": { "status": "pending", "tag": "a b,c#" },
                "requestContext": {
                    "accountId": "000000000000",
                    "apiId": "local",
                    "domainName": "api.example.com",
                    "domainPrefix": "api",
                    "http": {
                        "method": "POST",
                        "path": "/mcp/orders",
                        "protocol": "HTTP/1.1",
                        "sourceIp": "127.0.0.1",
                        "userAgent": "TestAgent",
                    },
                    "requestId": "JCJJxhz4PHcEJgQ=",
                    "routeKey": "ANY /mcp/{server}",
                    "stage": "$default",
                    "time": "14/Apr/2025:22:13:56 +0000",
                    "timeEpoch": 1_744_668_836_573_u64,
                },
                "body": "{\"id\":1}",
                "pathParameters": { "server": "orders" },
                "isBase64Encoded": false,
            })
        );
    }

    #[test]
    fn what_a_request_does_not_have_is_absent() {
        let event = event(request(), b"");
        for field in ["body", "cookies", "queryStringParameters", "stageVariables"] {
            assert_eq!(event.get(field), None, "{field}");
        }
        assert_eq!(event["rawQueryString"], "");
        assert_eq!(event["isBase64Encoded"], false);
        assert_eq!(event["headers"]["content-length"], "0");
        assert_eq!(event["requestContext"]["http"]["userAgent"], "");
    }

    #[test]
    fn text_bodies_stay_text() {
        for content_type in ["application/json", "Application/JSON; charset=utf-8", "text/plain", "application/xml"] {
            assert_eq!(
                body(content_type, "{\"ü\":1}".as_bytes()),
                (json!("{\"ü\":1}"), json!(false)),
                "{content_type}"
            );
        }
    }

    #[test]
    fn other_bodies_become_base64() {
        for content_type in ["application/x-www-form-urlencoded", "application/problem+json", "image/png", ""] {
            assert_eq!(body(content_type, b"a=b"), (json!("YT1i"), json!(true)), "{content_type}");
        }
        assert_eq!(event(request(), b"a=b")["isBase64Encoded"], true);
    }

    #[test]
    fn text_that_is_not_utf_8_becomes_base64() {
        assert_eq!(body("application/json", &[0x22, 0xff, 0x22]), (json!("Iv8i"), json!(true)));
    }

    #[test]
    fn path_is_decoded_and_query_string_is_not() {
        let request = Request::get("/a%20b/%C3%BC+%zz%4?plus=a+b&encoded=a%2Bb&empty=&bare&&x=%");
        let event = event(request, b"");
        assert_eq!(event["rawPath"], "/a b/ü+%zz%4");
        assert_eq!(event["requestContext"]["http"]["path"], "/a b/ü+%zz%4");
        assert_eq!(event["rawQueryString"], "plus=a+b&encoded=a%2Bb&empty=&bare&&x=%");
        let parameters = json!({ "plus": "a b", "encoded": "a+b", "empty": "", "bare": "", "x": "%" });
        assert_eq!(event["queryStringParameters"], parameters);
    }

    #[test]
    fn path_is_cut_at_an_encoded_question_mark() {
        assert_eq!(decoded_path("/orders%3Fadmin=true"), "/orders");
        assert_eq!(decoded_path("/a%2Fb"), "/a/b");
        assert_eq!(decoded_path("/%ff"), "/\u{fffd}");
    }

    #[test]
    fn several_cookie_headers_are_one_list() {
        let event = event(request().header("cookie", "a=1;b=2").header("cookie", "c=\"x y\"; "), b"");
        assert_eq!(event["cookies"], json!(["a=1", "b=2", "c=\"x y\""]));
        assert_eq!(event["headers"].get("cookie"), None);
    }

    #[test]
    fn source_is_the_peer_whatever_a_header_says() {
        let event = event(request().header("x-forwarded-for", "203.0.113.7"), b"");
        assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
        assert_eq!(event["headers"]["x-forwarded-for"], "203.0.113.7, 127.0.0.1");
    }

    #[test]
    fn host_is_split_into_name_and_port() {
        assert_eq!(split_port("127.0.0.1:9000"), ("127.0.0.1", Some("9000")));
        assert_eq!(split_port("[::1]:9000"), ("[::1]", Some("9000")));
        assert_eq!(split_port("[::1]"), ("[::1]", None));
        assert_eq!(split_port("localhost"), ("localhost", None));
    }

    #[test]
    fn clock_knows_leap_years() {
        let at = |seconds| clock(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "01/Jan/1970:00:00:00 +0000");
        assert_eq!(at(1_709_164_799), "28/Feb/2024:23:59:59 +0000");
        assert_eq!(at(1_709_164_800), "29/Feb/2024:00:00:00 +0000");
        assert_eq!(at(4_107_542_400), "01/Mar/2100:00:00:00 +0000");
        assert_eq!(at(1_767_225_599), "31/Dec/2025:23:59:59 +0000");
    }
}
