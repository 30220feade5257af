//! Judgements on 401: that it is one, and what it says (RFC 6750 §3, RFC 9728 §5.1).

use crate::checks::{ACCEPTED, FORBIDDEN_INSTEAD, NO_CHALLENGE, NO_METADATA, NOT_401, RENAMED};
use crate::exchange::{Answer, Exchange, quote, trouble};
use crate::finding::Verdict;
use crate::target::Limits;

/// A request that must be refused with 401, for Salesforce fetches a new token after a 401 alone. `reached`: a request with a
/// good token got through, so that a 403 is the server's word and not a firewall's.
pub fn judge(exchange: &Exchange, reached: bool, limits: &Limits) -> Verdict {
    match (trouble(exchange, limits), exchange) {
        (_, Ok(answer)) if answer.status == 401 => Verdict::pass(answer.describe()),
        (trouble, Ok(answer)) if answer.status == 403 && (reached || trouble.is_none()) => {
            Verdict::problem(&FORBIDDEN_INSTEAD, answer.describe())
        }
        (Some((problem, seen)), _) => Verdict::problem(problem, seen),
        (None, Ok(answer))
            if answer.status == 200 && answer.json().is_some_and(|json| json.get("result").is_some()) =>
        {
            Verdict::problem(&ACCEPTED, answer.describe())
        }
        (None, Ok(answer)) => Verdict::problem(&NOT_401, answer.describe()),
        (None, Err(_)) => Verdict::problem(&NOT_401, "no answer"),
    }
}

/// The challenge of a 401, under its own name, the one that API Gateway gives it, or the stack's.
pub fn judge_challenge(answer: &Answer, metadata_urls: &[String]) -> Verdict {
    let bearer = |name: &str| {
        let values = answer.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.into_iter().find(|value| value.to_ascii_lowercase().contains("bearer")).map(str::to_owned)
    };
    if let Some(challenge) = bearer("www-authenticate") {
        let named = metadata_urls.iter().any(|url| challenge.contains(&format!("resource_metadata=\"{url}\"")));
        let seen = format!("WWW-Authenticate: {}", quote(&challenge));
        return if named { Verdict::pass(seen) } else { Verdict::problem(&NO_METADATA, seen) };
    }
    match ["x-amzn-remapped-www-authenticate", "northstar-challenge"].iter().find(|name| bearer(name).is_some()) {
        Some(name) => Verdict::problem(&RENAMED, format!("the challenge comes as {name}")),
        None => Verdict::problem(&NO_CHALLENGE, "no WWW-Authenticate: Bearer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::answer;

    const JSON: (&str, &str) = ("content-type", "application/json");
    const ERROR: &str = r#"{"error":{"code":-32600,"message":"m"}}"#;

    fn ids(verdict: &Verdict) -> Vec<&'static str> {
        verdict.problems.iter().map(|(problem, _)| problem.id).collect()
    }

    #[test]
    fn only_a_401_is_a_refusal_that_salesforce_understands() {
        for (status, body, expected) in [
            (401, ERROR, &[][..]),
            (401, r#"{"message":"Unauthorized"}"#, &[]),
            (401, "", &[]),
            (403, ERROR, &["forbidden"]),
            (403, r#"{"message":"Forbidden"}"#, &["forbidden"]),
            (403, "<html>", &["forbidden"]),
            (400, ERROR, &["status"]),
            (200, ERROR, &["status"]),
            (200, r#"{"result":{}}"#, &["accepted"]),
            (500, "", &["server_error"]),
        ] {
            let verdict = judge(&Ok(answer(status, &[JSON], body)), true, &Limits::scaled(1.0));
            assert_eq!(ids(&verdict), expected, "{status} {body}");
        }
        let blocked = Ok(answer(403, &[JSON], r#"{"message":"Forbidden"}"#));
        assert_eq!(ids(&judge(&blocked, false, &Limits::scaled(1.0))), ["blocked"]);
    }

    #[test]
    fn a_challenge_is_found_under_its_other_names() {
        let urls = ["https://a.example/.well-known/oauth-protected-resource/mcp".to_owned()];
        let good = format!("Bearer resource_metadata=\"{}\"", urls[0]);
        for (name, value, expected) in [
            ("www-authenticate", good.as_str(), &[][..]),
            ("www-authenticate", "Bearer realm=\"x\"", &["no_metadata"]),
            ("www-authenticate", "Bearer resource_metadata=\"https://b.example/\"", &["no_metadata"]),
            ("www-authenticate", "Basic realm=\"x\"", &["missing"]),
            ("x-amzn-remapped-www-authenticate", &good, &["renamed"]),
            ("northstar-challenge", &good, &["renamed"]),
            ("other", &good, &["missing"]),
        ] {
            assert_eq!(ids(&judge_challenge(&answer(401, &[(name, value)], ""), &urls)), expected, "{name}: {value}");
        }
    }
}
