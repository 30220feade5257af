//! What is said of an answer: status, code, challenge, and whatever it must not be.

use black_box::answer::Answer;
use black_box::forge::decode;
use serde_json::Value;

/// An answer of the authorization server.
pub fn told(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let mut told = answer.status.to_string();
    match body["error"].as_str() {
        Some(code) => told += &format!(" {code}"),
        None if body["access_token"].is_string() => told += " token",
        None => {}
    }
    if let Some(challenge) = answer.header("www-authenticate") {
        let basic = challenge == "Basic realm=\"northstar\"";
        told += if basic { ", Basic challenge" } else { ", another challenge" };
    }
    if let Some(allow) = answer.header("allow") {
        told += &format!(", Allow: {allow}");
    }
    if answer.header("retry-after").is_some() {
        told += ", Retry-After";
    }
    told + &faults(answer)
}

/// What no answer of the token endpoint may be, told if it is: the rules of AS-03, AS-04 and AS-45 for every row.
fn faults(answer: &Answer) -> String {
    let mut faults = String::new();
    let headers = ["content-type", "cache-control", "pragma"].map(|name| answer.header(name));
    if headers != [Some("application/json"), Some("no-store"), Some("no-cache")] {
        faults += &format!(", with {headers:?}");
    }
    if answer.header("access-control-allow-origin").is_some() {
        faults += ", open to pages";
    }
    let body = without_token(&answer.body);
    if let Some(internal) = INTERNALS.into_iter().find(|internal| body.contains(internal)) {
        faults += &format!(", with '{internal}' in it");
    }
    faults
}

/// A body without the access token in it: a random signature can spell any short word.
fn without_token(body: &str) -> String {
    let token =
        serde_json::from_str::<Value>(body).ok().and_then(|body| Some(body.get("access_token")?.as_str()?.to_owned()));
    match token {
        Some(token) => body.replace(&token, ""),
        None => body.to_owned(),
    }
}

/// What would tell of how the server is made.
const INTERNALS: [&str; 12] = [
    "arn:",
    "northstar-",
    "northstar/",
    "secrets.json",
    "dynamo",
    "Dynamo",
    "aws",
    "AWS",
    "panick",
    ".rs",
    "::",
    "Error(",
];

/// One verdict for many answers, if it is one.
pub fn alike(told: impl IntoIterator<Item = String>) -> String {
    let mut verdicts: Vec<String> = told.into_iter().collect();
    verdicts.dedup();
    verdicts.join("; ")
}

/// Verdicts in a row with how often each came.
pub fn counted(told: impl IntoIterator<Item = String>) -> String {
    let mut runs: Vec<(usize, String)> = Vec::new();
    for verdict in told {
        match runs.last_mut() {
            Some((count, last)) if *last == verdict => *count += 1,
            _ => runs.push((1, verdict)),
        }
    }
    let runs: Vec<String> = runs.into_iter().map(|(count, verdict)| format!("{count} × {verdict}")).collect();
    runs.join("; ")
}

/// The token of an answer.
pub fn token(answer: &Answer) -> String {
    answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("no token: {}", answer.body)).to_owned()
}

/// The claims of a token, unverified.
pub fn claims(token: &str) -> Value {
    serde_json::from_slice(&decode(token.split('.').nth(1).unwrap())).unwrap()
}

/// The members of an object, by name.
pub fn members(object: &Value) -> String {
    object.as_object().unwrap().keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
