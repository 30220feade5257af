//! Judgements on metadata (RFC 9728, RFC 8414) and public keys (RFC 7517).

use reqwest::Url;
use serde_json::Value;

use crate::checks::{
    AUTHORIZATION_SERVER, METADATA_ISSUER, METADATA_METHODS, METADATA_MISSING, METADATA_TOKEN_ENDPOINT, NO_KEYS,
    NOT_FOUND, Problem, RESOURCE, UNPUBLISHED,
};
use crate::exchange::{Exchange, quote, trouble};
use crate::finding::Verdict;
use crate::target::Limits;

/// Where the metadata of a resource is (RFC 9728 §3.1).
pub fn resource_metadata_url(mcp_url: &Url) -> Url {
    let mut url = mcp_url.clone();
    url.set_path(&format!("/.well-known/oauth-protected-resource{}", mcp_url.path().trim_end_matches('/')));
    url
}

/// Where the metadata of an issuer is (RFC 8414 §3.1).
pub fn server_metadata_url(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    url.set_path(&format!("/.well-known/oauth-authorization-server{}", issuer.path().trim_end_matches('/')));
    url
}

/// The JSON of a document; without one, other clients manage.
fn document(exchange: &Exchange, limits: &Limits) -> Result<Value, (&'static Problem, String)> {
    if let Some((problem, seen)) = trouble(exchange, limits) {
        return Err((if *problem == NOT_FOUND { &METADATA_MISSING } else { problem }, seen));
    }
    match exchange {
        Ok(answer) if answer.status == 200 => Ok(answer.json().unwrap_or_default()),
        Ok(answer) => Err((&METADATA_MISSING, answer.describe())),
        Err(_) => Err((&METADATA_MISSING, "no answer".to_owned())),
    }
}

/// The server's document; the issuer that it names.
pub fn judge_resource(
    exchange: &Exchange,
    mcp_url: &str,
    issuer: Option<&str>,
    limits: &Limits,
) -> (Verdict, Option<String>) {
    let json = match document(exchange, limits) {
        Ok(json) => json,
        Err((problem, seen)) => return (Verdict::problem(problem, seen), None),
    };
    let resource = json["resource"].as_str().unwrap_or_default();
    let servers: Vec<&str> =
        json["authorization_servers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let named = servers.first().map(|server| (*server).to_owned());
    let mut problems: Vec<(&'static Problem, String)> = Vec::new();
    if resource != mcp_url {
        problems.push((&RESOURCE, format!("resource \"{}\"", quote(resource))));
    }
    if servers.is_empty() || issuer.is_some_and(|issuer| !servers.contains(&issuer)) {
        problems.push((&AUTHORIZATION_SERVER, format!("authorization_servers [{}]", quote(&servers.join(", ")))));
    }
    (Verdict { seen: format!("resource {mcp_url}"), problems }, named)
}

/// The authorization server's document; where its keys are.
pub fn judge_server(exchange: &Exchange, issuer: &str, token_url: &str, limits: &Limits) -> (Verdict, Option<String>) {
    let json = match document(exchange, limits) {
        Ok(json) => json,
        Err((problem, seen)) => return (Verdict::problem(problem, seen), None),
    };
    let text = |name: &str| json[name].as_str().unwrap_or_default();
    let mut problems: Vec<(&'static Problem, String)> = Vec::new();
    if text("issuer") != issuer {
        problems.push((&METADATA_ISSUER, format!("issuer \"{}\"", quote(text("issuer")))));
    }
    if text("token_endpoint") != token_url {
        problems.push((&METADATA_TOKEN_ENDPOINT, format!("token_endpoint \"{}\"", quote(text("token_endpoint")))));
    }
    // RFC 8414 §2: left out, the methods are client_secret_basic alone, the grants authorization_code and implicit.
    let lists =
        |name: &str, value: &str| json[name].as_array().is_some_and(|list| list.iter().any(|item| item == value));
    let methods = ["client_secret_post", "client_secret_basic"];
    let offered = methods.iter().all(|method| lists("token_endpoint_auth_methods_supported", method));
    if !offered || !lists("grant_types_supported", "client_credentials") {
        let seen = |name: &str| quote(&json[name].to_string());
        problems.push((
            &METADATA_METHODS,
            format!(
                "grant_types_supported {}, token_endpoint_auth_methods_supported {}",
                seen("grant_types_supported"),
                seen("token_endpoint_auth_methods_supported")
            ),
        ));
    }
    let keys = json["jwks_uri"].as_str().map(str::to_owned);
    (Verdict { seen: format!("issuer {issuer}"), problems }, keys)
}

/// The public keys, and whether the token's is one of them.
pub fn judge_keys(exchange: &Exchange, kid: Option<&str>, limits: &Limits) -> Verdict {
    if let Some((problem, seen)) = trouble(exchange, limits) {
        let problem = if *problem == NOT_FOUND { &NO_KEYS } else { problem };
        return Verdict::problem(problem, seen);
    }
    let json = exchange.as_ref().ok().and_then(|answer| answer.json()).unwrap_or_default();
    let keys: Vec<&str> = json["keys"].as_array().into_iter().flatten().filter_map(|key| key["kid"].as_str()).collect();
    match kid {
        _ if keys.is_empty() => Verdict::problem(&NO_KEYS, "no keys"),
        Some(kid) if !keys.contains(&kid) => Verdict::problem(
            &UNPUBLISHED,
            format!("the token's key is {}, the public ones are {}", quote(kid), quote(&keys.join(", "))),
        ),
        Some(kid) => Verdict::pass(format!("key {}", quote(kid))),
        None => Verdict::pass("the token does not name its key"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::exchange::answer;

    const BASE: &str = "https://a.example";

    fn ids(verdict: &Verdict) -> Vec<&'static str> {
        verdict.problems.iter().map(|(problem, _)| problem.id).collect()
    }

    fn ok(json: &Value) -> Exchange {
        Ok(answer(200, &[("content-type", "application/json")], &json.to_string()))
    }

    #[test]
    fn well_known_urls_stand_before_the_path() {
        let url = |text: &str| text.parse::<Url>().unwrap();
        let resource = |text| resource_metadata_url(&url(text)).to_string();
        assert_eq!(resource("https://a.example/mcp/x"), "https://a.example/.well-known/oauth-protected-resource/mcp/x");
        assert_eq!(resource("https://a.example/"), "https://a.example/.well-known/oauth-protected-resource");
        let server = |text| server_metadata_url(&url(text)).to_string();
        assert_eq!(server("https://a.example/t"), "https://a.example/.well-known/oauth-authorization-server/t");
        assert_eq!(server("https://a.example"), "https://a.example/.well-known/oauth-authorization-server");
    }

    #[test]
    fn the_resource_is_compared_as_text() {
        let mcp = "https://a.example/mcp";
        for (document, expected) in [
            (json!({ "resource": mcp, "authorization_servers": [BASE] }), &[][..]),
            (json!({ "resource": "https://a.example/mcp/", "authorization_servers": [BASE] }), &["resource"]),
            (json!({ "resource": "https://A.example/mcp", "authorization_servers": [BASE] }), &["resource"]),
            (json!({ "resource": mcp, "authorization_servers": ["https://b.example"] }), &["authorization_server"]),
            (json!({ "resource": mcp }), &["authorization_server"]),
        ] {
            let (verdict, _) = judge_resource(&ok(&document), mcp, Some(BASE), &Limits::scaled(1.0));
            assert_eq!(ids(&verdict), expected, "{document}");
        }
        let missing = Ok(answer(404, &[], ""));
        assert_eq!(ids(&judge_resource(&missing, mcp, None, &Limits::scaled(1.0)).0), ["missing"]);
    }

    #[test]
    fn the_issuer_is_compared_as_text() {
        let token = "https://a.example/token";
        let good = json!({
            "issuer": BASE, "token_endpoint": token, "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        });
        for (name, value, expected) in [
            ("x", json!(1), &[][..]),
            ("issuer", json!("https://a.example/"), &["issuer"]),
            ("token_endpoint", json!("https://b.example/token"), &["token_endpoint"]),
            ("grant_types_supported", json!(["authorization_code"]), &["methods"]),
            ("token_endpoint_auth_methods_supported", json!(["private_key_jwt"]), &["methods"]),
            ("token_endpoint_auth_methods_supported", json!(null), &["methods"]),
        ] {
            let mut document = good.clone();
            document[name] = value;
            let (verdict, _) = judge_server(&ok(&document), BASE, token, &Limits::scaled(1.0));
            assert_eq!(ids(&verdict), expected, "{document}");
        }
    }

    #[test]
    fn the_key_of_the_token_is_looked_for() {
        let keys = ok(&json!({ "keys": [{ "kid": "a" }, { "kid": "b" }] }));
        let limits = Limits::scaled(1.0);
        assert_eq!(ids(&judge_keys(&keys, Some("b"), &limits)), Vec::<&str>::new());
        assert_eq!(ids(&judge_keys(&keys, None, &limits)), Vec::<&str>::new());
        assert_eq!(ids(&judge_keys(&keys, Some("c"), &limits)), ["unpublished"]);
        assert_eq!(ids(&judge_keys(&ok(&json!({ "keys": [] })), Some("a"), &limits)), ["no_keys"]);
        assert_eq!(ids(&judge_keys(&Ok(answer(404, &[], "")), Some("a"), &limits)), ["no_keys"]);
    }
}
