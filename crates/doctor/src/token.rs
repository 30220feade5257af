//! Judgements on the answers of a token endpoint (RFC 6749 §4.4, §5), and on the token.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::checks::{
    AUDIENCE, BASIC_REFUSED, CACHEABLE, CLOCK_DRIFTS, CLOCK_OFF, COMMA_REFUSED, CONTENT_TYPE, GRANT, INVALID_CLIENT,
    INVALID_REQUEST, INVALID_SCOPE, INVALID_TARGET, ISSUER, NARROWED, NO_DATE, NO_EXPIRES_IN, NO_SIGNING_KEY, NO_TOKEN,
    NOT_JSON, OTHER_SERVER, Problem, REFUSED_OTHERWISE, TOKEN_TYPE, TOO_MANY, UNAVAILABLE, WRONG_SECRET_ACCEPTED,
    WRONG_SECRET_STATUS,
};
use crate::exchange::{Answer, Exchange, quote, trouble};
use crate::finding::Verdict;
use crate::target::Limits;

/// Off by so much, a token of 15 minutes and an assertion of 5 are of no use.
const OFF: Duration = Duration::from_secs(300);
const DRIFTS: Duration = Duration::from_secs(60);

/// What Salesforce would make of the answer, and the token if there is one.
pub fn judge(exchange: &Exchange, scope: &str, limits: &Limits) -> (Verdict, Option<SecretString>) {
    if let Some((problem, seen)) = trouble(exchange, limits) {
        return (Verdict::problem(problem, seen), None);
    }
    // Without an answer there is trouble.
    let Ok(answer) = exchange else { return (Verdict::problem(&NOT_JSON, "no answer"), None) };
    if answer.status != 200 {
        return (Verdict::problem(refusal(answer), answer.describe()), None);
    }
    let json = answer.json().unwrap_or_default();
    let Some(token) = json["access_token"].as_str().filter(|token| !token.is_empty()) else {
        return (Verdict::problem(&NO_TOKEN, format!("{} without access_token", answer.describe())), None);
    };
    let mut problems: Vec<(&'static Problem, String)> = Vec::new();
    match json["token_type"].as_str() {
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => {}
        Some(kind) => problems.push((&TOKEN_TYPE, format!("token_type \"{}\"", quote(kind)))),
        None => problems.push((&TOKEN_TYPE, "no token_type".to_owned())),
    }
    let lifetime = match &json["expires_in"] {
        Value::Number(seconds) => format!("{seconds} s"),
        Value::Null => {
            problems.push((&NO_EXPIRES_IN, "no expires_in".to_owned()));
            String::new()
        }
        _ => {
            problems.push((&NO_EXPIRES_IN, "expires_in is no number".to_owned()));
            String::new()
        }
    };
    if let Some(given) = json["scope"].as_str() {
        let given: Vec<&str> = given.split([' ', ',']).collect();
        let missing: Vec<&str> = scopes(scope).filter(|scope| !given.contains(scope)).collect();
        if !missing.is_empty() {
            problems.push((&NARROWED, format!("without {}", missing.join(", "))));
        }
    }
    if answer.media_type() != "application/json" {
        problems.push((&CONTENT_TYPE, answer.describe()));
    }
    if !answer.header("cache-control").is_some_and(|value| value.to_ascii_lowercase().contains("no-store")) {
        problems.push((&CACHEABLE, "no Cache-Control: no-store".to_owned()));
    }
    let seen = format!("a bearer token for {lifetime} in {} ms", answer.elapsed.as_millis());
    (Verdict { seen, problems }, Some(SecretString::from(token)))
}

/// The names in a list of scopes, whatever separates them.
pub fn scopes(list: &str) -> impl Iterator<Item = &str> {
    list.split([' ', ',']).filter(|scope| !scope.is_empty())
}

fn refusal(answer: &Answer) -> &'static Problem {
    let json = answer.json().unwrap_or_default();
    match json["error"].as_str() {
        _ if answer.status == 429 => &TOO_MANY,
        Some("invalid_client") => &INVALID_CLIENT,
        Some("invalid_scope") => &INVALID_SCOPE,
        Some("invalid_target") => &INVALID_TARGET,
        Some("unsupported_grant_type" | "unauthorized_client") => &GRANT,
        Some("invalid_request") => &INVALID_REQUEST,
        Some("server_error") => &NO_SIGNING_KEY,
        Some("temporarily_unavailable") => &UNAVAILABLE,
        _ => &REFUSED_OTHERWISE,
    }
}

/// The secret in the header, when the body was taken.
pub fn judge_basic(exchange: &Exchange, limits: &Limits) -> Verdict {
    judge_variant(exchange, limits, &BASIC_REFUSED)
}

/// Scopes separated by a comma, when one scope was taken.
pub fn judge_comma(exchange: &Exchange, limits: &Limits) -> Verdict {
    judge_variant(exchange, limits, &COMMA_REFUSED)
}

fn judge_variant(exchange: &Exchange, limits: &Limits, refused: &'static Problem) -> Verdict {
    match (trouble(exchange, limits), exchange) {
        (Some((problem, seen)), _) => Verdict::problem(problem, seen),
        (None, Ok(answer)) if has_token(answer) => Verdict::pass("a token"),
        (None, Ok(answer)) => Verdict::problem(refused, answer.describe()),
        (None, Err(_)) => Verdict::problem(refused, "no answer"),
    }
}

fn has_token(answer: &Answer) -> bool {
    answer.status == 200 && answer.json().is_some_and(|json| json["access_token"].is_string())
}

/// A wrong secret: 401 and `invalid_client` (400 is RFC 6749's word for it too).
pub fn judge_wrong_secret(exchange: &Exchange, limits: &Limits) -> Verdict {
    if let Some((problem, seen)) = trouble(exchange, limits) {
        return Verdict::problem(problem, seen);
    }
    let Ok(answer) = exchange else { return Verdict::problem(&WRONG_SECRET_STATUS, "no answer") };
    let error = answer.json().and_then(|json| json["error"].as_str().map(str::to_owned));
    match (answer.status, error.as_deref()) {
        (200..=299, _) if has_token(answer) => Verdict::problem(&WRONG_SECRET_ACCEPTED, "200 with a token"),
        (401 | 400, Some("invalid_client")) => Verdict::pass(answer.describe()),
        _ => Verdict::problem(&WRONG_SECRET_STATUS, answer.describe()),
    }
}

/// What a token says of itself; nothing of it is verified here.
#[derive(Debug, Default)]
pub struct UnverifiedToken {
    /// Id of the signing key.
    pub kid: Option<String>,
    claims: Value,
}

impl UnverifiedToken {
    /// Reads a JWT (RFC 7519); `None` for any other token.
    pub fn read(token: &str) -> Option<UnverifiedToken> {
        let mut parts = token.split('.');
        let (header, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
        let json = |part: &str| serde_json::from_slice::<Value>(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let (header, claims) = (json(header)?, json(claims)?);
        Some(UnverifiedToken { kid: header["kid"].as_str().map(str::to_owned), claims })
    }
}

/// Whether the token is of this issuer and for this server.
pub fn judge_claims(token: Option<&UnverifiedToken>, base: &str, issuer: Option<&str>, mcp_url: &str) -> Verdict {
    let Some(token) = token else { return Verdict::pass("the token is not a JWT: there is nothing to read in it") };
    let claims = &token.claims;
    let (named, audiences) = (claims["iss"].as_str().unwrap_or_default(), audiences(claims));
    if issuer.is_some_and(|issuer| issuer != named) {
        return Verdict::problem(&ISSUER, format!("issuer \"{}\"", quote(named)));
    }
    if audiences.contains(&mcp_url) {
        return Verdict::pass(format!("issuer {}, audience {mcp_url}", quote(named)));
    }
    let seen = format!("audience \"{}\"", quote(&audiences.join(" ")));
    let other =
        audiences.iter().any(|audience| audience.strip_prefix(base).is_some_and(|path| path.starts_with("/mcp")));
    Verdict::problem(if other { &OTHER_SERVER } else { &AUDIENCE }, seen)
}

fn audiences(claims: &Value) -> Vec<&str> {
    match &claims["aud"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The Date header against this machine's clock, in the middle of the exchange.
pub fn judge_clock(answer: &Answer) -> Verdict {
    let date = answer.header("date").and_then(|date| {
        // RFC 9110 §5.6.7 writes GMT where RFC 2822 has an offset.
        OffsetDateTime::parse(&date.replace("GMT", "+0000"), &Rfc2822).ok()
    });
    let Some(date) = date else { return Verdict::problem(&NO_DATE, "no Date header") };
    let (theirs, ours) = (SystemTime::from(date), answer.received - answer.elapsed / 2);
    let (apart, word) = match theirs.duration_since(ours) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    let seen = format!("the server's clock is {} s {word} this machine's", apart.as_secs());
    match apart {
        apart if apart >= OFF => Verdict::problem(&CLOCK_OFF, seen),
        apart if apart >= DRIFTS => Verdict::problem(&CLOCK_DRIFTS, seen),
        _ => Verdict::pass(seen),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::exchange::answer;

    const GOOD: &str = r#"{"access_token":"t","token_type":"Bearer","expires_in":900,"scope":"mcp.read"}"#;
    const HEADERS: [(&str, &str); 2] = [("content-type", "application/json"), ("cache-control", "no-store")];

    fn ids(verdict: &Verdict) -> Vec<&'static str> {
        verdict.problems.iter().map(|(problem, _)| problem.id).collect()
    }

    fn judged(status: u16, body: &str) -> Vec<&'static str> {
        ids(&judge(&Ok(answer(status, &HEADERS, body)), "mcp.read", &Limits::scaled(1.0)).0)
    }

    #[test]
    fn a_good_answer_passes_and_what_is_missing_is_named() {
        assert_eq!(judged(200, GOOD), Vec::<&str>::new());
        assert_eq!(judged(200, r#"{"access_token":"t","token_type":"bearer","expires_in":900}"#), Vec::<&str>::new());
        for (body, expected) in [
            (r#"{}"#, &["no_token"][..]),
            (r#"{"access_token":"","token_type":"Bearer"}"#, &["no_token"]),
            (r#"{"error":"invalid_client"}"#, &["no_token"]),
            (r#"{"access_token":"t","token_type":"mac","expires_in":900}"#, &["token_type"]),
            (r#"{"access_token":"t","expires_in":900}"#, &["token_type"]),
            (r#"{"access_token":"t","token_type":"Bearer"}"#, &["no_expires_in"]),
            (r#"{"access_token":"t","token_type":"Bearer","expires_in":"900"}"#, &["no_expires_in"]),
            (r#"{"access_token":"t","token_type":"Bearer","expires_in":900,"scope":"other"}"#, &["narrowed"]),
        ] {
            assert_eq!(judged(200, body), expected, "{body}");
        }
        let bare = answer(200, &[("content-type", "text/plain")], GOOD);
        let (verdict, token) = judge(&Ok(bare), "mcp.read", &Limits::scaled(1.0));
        assert!(token.is_some() && !verdict.fails());
        assert_eq!(ids(&verdict), ["content_type", "cacheable"]);
    }

    #[test]
    fn every_error_of_a_token_endpoint_has_its_cause() {
        for (status, error, expected) in [
            (401, "invalid_client", "invalid_client"),
            (400, "invalid_scope", "invalid_scope"),
            (400, "invalid_target", "invalid_target"),
            (400, "unauthorized_client", "grant"),
            (400, "unsupported_grant_type", "grant"),
            (400, "invalid_request", "invalid_request"),
            (503, "server_error", "no_signing_key"),
            (503, "temporarily_unavailable", "unavailable"),
            (429, "too_many_attempts", "too_many"),
            (400, "something_else", "refused"),
        ] {
            assert_eq!(judged(status, &format!(r#"{{"error":"{error}"}}"#)), [expected]);
        }
        assert_eq!(judged(401, r#"{"message":"Unauthorized"}"#), ["refused"]);
    }

    #[test]
    fn a_wrong_secret_has_to_be_refused_as_such() {
        for (status, body, expected) in [
            (401, r#"{"error":"invalid_client"}"#, &[][..]),
            (400, r#"{"error":"invalid_client"}"#, &[]),
            (400, r#"{"error":"invalid_grant"}"#, &["status"]),
            (401, r#"{"message":"Unauthorized"}"#, &["status"]),
            (200, r#"{"error":"invalid_client"}"#, &["status"]),
            (200, GOOD, &["accepted"]),
        ] {
            let verdict = judge_wrong_secret(&Ok(answer(status, &HEADERS, body)), &Limits::scaled(1.0));
            assert_eq!(ids(&verdict), expected, "{status} {body}");
        }
    }

    fn token(claims: &Value) -> Option<UnverifiedToken> {
        let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        UnverifiedToken::read(&format!("{}.{}.c2ln", part(&json!({ "kid": "k" })), part(claims)))
    }

    #[test]
    fn a_token_for_another_server_or_of_another_issuer_is_named() {
        let (base, mcp) = ("https://a.example", "https://a.example/mcp");
        for (claims, expected) in [
            (json!({ "iss": base, "aud": mcp }), &[][..]),
            (json!({ "iss": base, "aud": ["x", mcp] }), &[]),
            (json!({ "iss": "https://b.example", "aud": mcp }), &["issuer"]),
            (json!({ "iss": "https://a.example/", "aud": mcp }), &["issuer"]),
            (json!({ "aud": mcp }), &["issuer"]),
            (json!({ "iss": base, "aud": "https://a.example/mcp/other" }), &["other_server"]),
            (json!({ "iss": base, "aud": "api://default" }), &["audience"]),
            (json!({ "iss": base }), &["audience"]),
        ] {
            assert_eq!(ids(&judge_claims(token(&claims).as_ref(), base, Some(base), mcp)), expected, "{claims}");
        }
        let elsewhere = token(&json!({ "iss": "https://login.example", "aud": mcp }));
        assert_eq!(ids(&judge_claims(elsewhere.as_ref(), base, None, mcp)), Vec::<&str>::new());
        assert!(UnverifiedToken::read("opaque").is_none() && UnverifiedToken::read("a.b.c").is_none());
    }

    #[test]
    fn clocks_are_compared_in_both_directions() {
        // The answer in tests is received at 2027-01-15T08:00:00Z.
        for (date, expected) in [
            ("Fri, 15 Jan 2027 08:00:00 GMT", &[][..]),
            ("Fri, 15 Jan 2027 07:59:30 GMT", &[]),
            ("Fri, 15 Jan 2027 08:02:00 GMT", &["drifts"]),
            ("Fri, 15 Jan 2027 08:10:00 GMT", &["off"]),
            ("Fri, 15 Jan 2027 07:50:00 GMT", &["off"]),
            ("yesterday", &["no_date"]),
        ] {
            assert_eq!(ids(&judge_clock(&answer(200, &[("date", date)], ""))), expected, "{date}");
        }
        assert_eq!(ids(&judge_clock(&answer(200, &[], ""))), ["no_date"]);
    }
}
