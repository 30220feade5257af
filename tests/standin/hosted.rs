//! The hosted MCP servers and the authorization-code flow before them.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use salesforce_standin::{ConnectedApp, Fault, FaultKind, Hosted, Mistake, Options, Revisions, TrustedIssuer};
use serde_json::{Value, json};
use url::Url;

use crate::{World, answer};

const CALLBACK: &str = "https://northstar.example/connect/callback";
const VERIFIER: &str = "a-verifier-of-a-test-that-is-long-enough-for-rfc-7636";
const ALL: &str = "/platform/mcp/v1/platform/sobject-all";

fn options() -> Options {
    let callback_urls = vec![CALLBACK.to_owned()];
    Options { connected_app: ConnectedApp { callback_urls, ..ConnectedApp::default() }, ..Options::default() }
}

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()))
}

/// The parameters of a good authorization request for `sobject-all`.
fn parameters(world: &World) -> Vec<(&'static str, String)> {
    vec![
        ("response_type", "code".to_owned()),
        ("client_id", ConnectedApp::default().client_id),
        ("redirect_uri", CALLBACK.to_owned()),
        ("scope", "mcp_api refresh_token".to_owned()),
        ("state", "a state".to_owned()),
        ("code_challenge", challenge()),
        ("code_challenge_method", "S256".to_owned()),
        ("resource", world.standin.mcp_url("sobject-all")),
    ]
}

/// Presses a button of the consent page: the parameters that the callback URL gets, or status and text of a page.
async fn decide(
    world: &World,
    parameters: &[(&str, String)],
    decision: &str,
) -> Result<HashMap<String, String>, (u16, String)> {
    let url =
        Url::parse_with_params(&format!("{}/services/oauth2/authorize", world.standin.url()), parameters).unwrap();
    let page = world.http.get(url.clone()).send().await.unwrap();
    let answer = match page.status() {
        StatusCode::OK => world.http.post(url).form(&[("decision", decision)]).send().await.unwrap(),
        _ => page,
    };
    let Some(location) = answer.headers().get("location") else {
        return Err((answer.status().as_u16(), answer.text().await.unwrap()));
    };
    let location = Url::parse(location.to_str().unwrap()).unwrap();
    assert!(location.as_str().starts_with(&format!("{CALLBACK}?")));
    Ok(location.query_pairs().into_owned().collect())
}

async fn token(world: &World, form: &[(&str, &str)]) -> (StatusCode, Value) {
    let client_id = ConnectedApp::default().client_id;
    let form: Vec<_> = form.iter().copied().chain([("client_id", client_id.as_str())]).collect();
    answer(world.http.post(format!("{}/services/oauth2/token", world.standin.url())).form(&form)).await
}

async fn exchange(world: &World, code: &str) -> (StatusCode, Value) {
    let form =
        [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    token(world, &form).await
}

/// Consents, and exchanges the code.
async fn consented(world: &World) -> Value {
    let callback = decide(world, &parameters(world), "allow").await.unwrap();
    let (status, granted) = exchange(world, &callback["code"]).await;
    assert_eq!(status, 200, "{granted}");
    granted
}

async fn post(
    world: &World,
    path: &str,
    token: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> (StatusCode, HeaderMap, String) {
    let mut request = world.http.post(format!("{}{path}", world.standin.url())).json(body);
    if !token.is_empty() {
        request = request.header("authorization", token);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    (response.status(), response.headers().clone(), response.text().await.unwrap())
}

/// A request of a legacy client to `sobject-all`; the answer as JSON.
async fn legacy(world: &World, token: &str, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let bearer = format!("Bearer {token}");
    let (_, _, text) = post(world, ALL, &bearer, &[("mcp-protocol-version", "2025-06-18")], &body).await;
    serde_json::from_str(&text).unwrap_or(json!(text))
}

/// What a tool answers, and whether it failed.
async fn call(world: &World, token: &str, tool: &str, arguments: Value) -> (Value, bool) {
    let result = legacy(world, token, "tools/call", json!({ "name": tool, "arguments": arguments })).await;
    let text = result["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"));
    (serde_json::from_str(text).unwrap(), result["result"]["isError"] == true)
}

#[tokio::test]
async fn a_consent_gives_a_jwt_for_one_server_and_a_refresh_token_that_rotates() {
    let world = World::with(Options { rotate_refresh_tokens: true, ..options() }).await;
    let granted = consented(&world).await;
    let jwt = granted["access_token"].as_str().unwrap();
    assert_eq!((&granted["scope"], granted.get("expires_in")), (&json!("mcp_api refresh_token"), None));
    assert!(granted["id"].as_str().unwrap().contains("/id/00D"));

    let listed = legacy(&world, jwt, "tools/list", json!({})).await;
    let names = listed["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>().len(), 11);
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let other = post(&world, "/platform/mcp/v1/platform/sobject-reads", &format!("Bearer {jwt}"), &[], &list).await;
    assert_eq!((other.0.as_u16(), other.2.contains("Invalid token")), (401, true), "another server's token");

    let old = granted["refresh_token"].as_str().unwrap();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", old)];
    let (status, renewed) = token(&world, &refresh).await;
    assert_eq!(status, 200);
    assert_ne!(renewed["refresh_token"], granted["refresh_token"]);
    assert!(legacy(&world, renewed["access_token"].as_str().unwrap(), "ping", json!({})).await["result"].is_object());
    assert_eq!(token(&world, &refresh).await.1["error"], "invalid_grant");
    world.standin.expire_sessions();
    let refused = legacy(&world, renewed["access_token"].as_str().unwrap(), "ping", json!({})).await;
    assert_eq!(refused["error"]["message"], "Invalid token");
}

#[tokio::test]
async fn a_code_is_good_once_with_its_verifier_and_its_callback_url() {
    let world = World::with(options()).await;
    let code = || async { decide(&world, &parameters(&world), "allow").await.unwrap()["code"].clone() };
    let used = code().await;
    assert_eq!(exchange(&world, &used).await.0, 200);
    assert_eq!(exchange(&world, &used).await.1["error_description"], "invalid authorization code");
    for (name, value, expected) in [
        ("code_verifier", "another", "invalid code verifier"),
        ("redirect_uri", "https://northstar.example/connect/callback/", "redirect_uri must match configuration"),
        ("resource", "https://other.example/", "the requested resource is not the one of the authorization"),
    ] {
        let code = code().await;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        form.retain(|(own, _)| *own != name);
        form.push((name, value));
        assert_eq!(token(&world, &form).await.1["error_description"], expected);
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_authorization_request_is_said_where_salesforce_says_it() {
    let world = World::with(Options { promises_iss: true, ..options() }).await;
    let iss = decide(&world, &parameters(&world), "deny").await.unwrap();
    assert_eq!((iss["error"].as_str(), iss["state"].as_str()), ("access_denied", "a state"));
    assert_eq!(iss["iss"], world.standin.url());
    for (name, value, expected) in [
        ("client_id", "other", Err("invalid_client_id")),
        ("redirect_uri", "https://northstar.example/connect/callback?", Err("redirect_uri_mismatch")),
        ("response_type", "token", Ok("unsupported_response_type")),
        ("scope", "mcp_api full", Ok("invalid_scope")),
        ("code_challenge", "", Ok("invalid_request")),
        ("code_challenge_method", "plain", Ok("invalid_request")),
        ("resource", "https://other.example/mcp", Ok("invalid_target")),
    ] {
        let mut parameters = parameters(&world);
        parameters.retain(|(own, _)| *own != name);
        if !value.is_empty() {
            parameters.push((name, value.to_owned()));
        }
        match (decide(&world, &parameters, "allow").await, expected) {
            (Ok(callback), Ok(expected)) => assert_eq!(callback["error"], expected, "{name}"),
            (Err((400, page)), Err(expected)) => assert!(page.contains(&format!("error={expected}")), "{page}"),
            (seen, _) => panic!("{name}: {seen:?}"),
        }
    }
}

#[tokio::test]
async fn every_mistake_of_setup_is_made_on_request_and_is_gone_after_it() {
    let world = World::with(options()).await;
    let consent = async || decide(&world, &parameters(&world), "allow").await;
    let fault = |path: &str, skip, mistake| {
        let fault = Fault::once("GET", path, FaultKind::Setup { mistake });
        world.standin.inject(Fault { method: None, skip, ..fault });
    };
    for (mistake, expected) in
        [(Mistake::OtherCallbackUrl, "redirect_uri_mismatch"), (Mistake::Propagating, "invalid_client_id")]
    {
        fault("/services/oauth2/authorize", 0, mistake);
        assert!(consent().await.unwrap_err().1.contains(expected));
    }
    fault("/services/oauth2/authorize", 0, Mistake::GenericScope);
    assert_eq!(consent().await.unwrap()["error"], "invalid_scope");
    fault("/services/oauth2/authorize", 1, Mistake::UserNotApproved);
    assert_eq!(consent().await.unwrap()["error"], "OAUTH_APP_ACCESS_DENIED");
    for (mistake, expected) in
        [(Mistake::SecretRequired, "invalid_client"), (Mistake::Propagating, "invalid_client_id")]
    {
        let code = consent().await.unwrap()["code"].clone();
        fault("/services/oauth2/token", 0, mistake);
        assert_eq!(exchange(&world, &code).await.1["error"], expected);
    }
    fault("/services/oauth2/token", 0, Mistake::OpaqueTokens);
    let opaque = consented(&world).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(legacy(&world, &opaque, "ping", json!({})).await[0]["errorCode"], "INVALID_AUTH_HEADER");

    let jwt = consented(&world).await["access_token"].as_str().unwrap().to_owned();
    for mistake in [Mistake::InactiveServer, Mistake::OtherKindOfOrg] {
        fault(ALL, 0, mistake);
        let refused = legacy(&world, &jwt, "ping", json!({})).await;
        let message = "Server definition not found for: platform/sobject-all";
        assert_eq!(refused["error"], json!({ "code": 404, "message": message }));
    }
    assert!(legacy(&world, &jwt, "ping", json!({})).await["result"].is_object());

    let metadata = "/.well-known/oauth-authorization-server";
    fault(metadata, 0, Mistake::OtherIssuer);
    assert_eq!(world.get_root(metadata).await.1["issuer"], "https://login.salesforce.com");
    fault(metadata, 0, Mistake::NoDiscovery);
    assert_eq!(world.get_root(metadata).await.0, 404);
    let (_, found) = world.get_root(&format!("{metadata}{ALL}")).await;
    assert_eq!((&found["issuer"], found.get("registration_endpoint")), (&json!(world.standin.url()), None));
    let (_, resource) = world.get_root(&format!("/.well-known/oauth-protected-resource{ALL}")).await;
    assert_eq!(resource["resource"], world.standin.mcp_url("sobject-all"));
}

#[tokio::test]
async fn a_request_without_a_good_jwt_is_refused_in_salesforces_words() {
    let world = World::with(options()).await;
    let scoped = {
        let mut parameters = parameters(&world);
        parameters.retain(|(name, _)| *name != "scope");
        parameters.push(("scope", "api".to_owned()));
        let callback = decide(&world, &parameters, "allow").await.unwrap();
        exchange(&world, &callback["code"]).await.1["access_token"].as_str().unwrap().to_owned()
    };
    let session = world.standin.access_token();
    for (header, status, text) in [
        (String::new(), 401, "JWT Token is required"),
        ("Basic eDp5".to_owned(), 401, "INVALID_AUTH_HEADER"),
        (format!("Bearer {session}"), 401, "INVALID_JWT_FORMAT"),
        ("Bearer e30.e30.e30".to_owned(), 401, "Invalid token"),
        (format!("Bearer {scoped}"), 403, "Insufficient scope"),
    ] {
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
        let refused = post(&world, ALL, &header, &[], &list).await;
        assert_eq!((refused.0.as_u16(), refused.2.contains(text)), (status, true), "{header} {}", refused.2);
        assert!(refused.1["www-authenticate"].to_str().unwrap().contains("resource_metadata="));
    }
    let get = world.http.get(format!("{}{ALL}", world.standin.url())).send().await.unwrap();
    assert_eq!((get.status().as_u16(), &get.headers()["allow"]), (405, &"POST".parse().unwrap()));
    assert!(world.standin.counters().mcp.is_empty());
}

#[tokio::test]
async fn the_tools_work_on_the_org_and_fail_in_the_shape_of_its_errors() {
    let world = World::with(options()).await;
    let jwt = consented(&world).await["access_token"].as_str().unwrap().to_owned();
    let query = "SELECT Id, Name, Industry FROM Account ORDER BY CreatedDate DESC LIMIT 3";
    let (found, failed) = call(&world, &jwt, "soqlQuery", json!({ "q": query })).await;
    assert_eq!((found["totalSize"].as_u64(), failed), (Some(3), false));
    let account = found["records"][0]["Id"].as_str().unwrap().to_owned();

    let index = call(&world, &jwt, "getObjectSchema", json!({})).await.0;
    assert!(index["sobjects"].as_array().unwrap().len() > 5);
    let schema = call(&world, &jwt, "getObjectSchema", json!({ "object-name": "Account" })).await.0;
    assert_eq!(schema["name"], "Account");
    let search = json!({ "q": "FIND {Acme} IN ALL FIELDS RETURNING Account(Id, Name)" });
    assert!(!call(&world, &jwt, "find", search).await.0["searchRecords"].as_array().unwrap().is_empty());
    assert!(call(&world, &jwt, "getUserInfo", json!({})).await.0["userId"].as_str().unwrap().starts_with("005"));
    let recent = call(&world, &jwt, "listRecentSobjectRecords", json!({ "sobject-name": "Contact" })).await.0;
    assert_eq!(recent["totalSize"], 10);

    let body = json!({ "LastName": "Hosted", "AccountId": account });
    let made = call(&world, &jwt, "createSobjectRecord", json!({ "sobject-name": "Contact", "body": body })).await.0;
    let contact = made["id"].as_str().unwrap();
    let of_account = json!({ "sobject-name": "Account", "id": account, "relationship-path": "Contacts" });
    let related = call(&world, &jwt, "getRelatedRecords", of_account).await.0;
    assert!(related["records"].as_array().unwrap().iter().any(|record| record["Id"] == contact));
    let update = json!({ "sobject-name": "Contact", "id": contact, "body": { "Title": "Buyer" } });
    assert_eq!(call(&world, &jwt, "updateSobjectRecord", update).await, (json!({ "success": true }), false));
    let update =
        json!({ "sobject-name": "Contact", "id": contact, "relationship-path": "Account", "body": { "Phone": "1" } });
    assert!(!call(&world, &jwt, "updateRelatedRecord", update).await.1);
    assert!(!call(&world, &jwt, "deleteSobjectRecord", json!({ "sobject-name": "Contact", "id": contact })).await.1);

    for (tool, arguments, code) in [
        ("soqlQuery", json!({ "q": "SELECT Nothing FROM Account" }), "INVALID_FIELD"),
        ("soqlQuery", json!({}), "UNKNOWN_EXCEPTION"),
        (
            "getRelatedRecords",
            json!({ "sobject-name": "Account", "id": "x", "relationship-path": "No" }),
            "UNKNOWN_EXCEPTION",
        ),
        ("deleteSobjectRecord", json!({ "sobject-name": "Contact", "id": contact }), "ENTITY_IS_DELETED"),
    ] {
        let (refused, failed) = call(&world, &jwt, tool, arguments).await;
        assert_eq!((refused[0]["errorCode"].as_str(), failed), (Some(code), true), "{tool}");
    }
    let unknown = legacy(&world, &jwt, "tools/call", json!({ "name": "nothing" })).await;
    assert_eq!(unknown["error"]["code"], -32602);
}

#[tokio::test]
async fn sessions_events_and_revisions_are_options() {
    let hosted = Hosted { sessions: true, events: true, revisions: Revisions::Legacy, ..Hosted::default() };
    let world = World::with(Options { hosted, ..options() }).await;
    let bearer = format!("Bearer {}", consented(&world).await["access_token"].as_str().unwrap());
    let message =
        |method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let list = message("tools/list", json!({}));
    let start = message("initialize", json!({ "protocolVersion": "2025-06-18" }));
    let begun = post(&world, ALL, &bearer, &[], &start).await;
    let session = begun.1["mcp-session-id"].to_str().unwrap().to_owned();
    assert_eq!(begun.1["content-type"], "text/event-stream");
    assert!(begun.2.starts_with("event: message\ndata: {"), "{}", begun.2);
    assert_eq!(post(&world, ALL, &bearer, &[], &list).await.0, 400);
    let in_session = [("mcp-session-id", session.as_str())];
    assert_eq!(post(&world, ALL, &bearer, &in_session, &list).await.0, 200);
    world.standin.end_mcp_sessions();
    assert_eq!(post(&world, ALL, &bearer, &in_session, &list).await.0, 404);

    world.standin.with_options(|options| options.hosted = Hosted { revisions: Revisions::Modern, ..Hosted::default() });
    assert_eq!(post(&world, ALL, &bearer, &[], &start).await.0, 400);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];
    let modern = message("tools/list", json!({ "_meta": meta }));
    let (status, _, text) = post(&world, ALL, &bearer, &headers, &modern).await;
    assert_eq!((status.as_u16(), text.contains(r#""resultType":"complete""#)), (200, true), "{text}");
    let without_header = post(&world, ALL, &bearer, &headers[..1], &modern).await;
    assert_eq!((without_header.0.as_u16(), without_header.2.contains("-32020")), (400, true));
}

#[tokio::test]
async fn tokens_of_another_authorization_server_are_checked_with_its_keys() {
    let world = World::with(options()).await;
    let key = black_box::key_pair::KeyPair::p256();
    let trust =
        |issuer: &str| TrustedIssuer { issuer: issuer.to_owned(), jwks: json!({ "keys": [key.jwk] }), audience: None };
    world.standin.with_options(|options| options.hosted.trusted = Some(trust("https://as.example")));
    let claims = |audience: &str, issuer: &str, life: i64| {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        json!({ "iss": issuer, "aud": audience, "scope": "mcp_api", "exp": now + life })
    };
    let url = world.standin.mcp_url("sobject-all");
    let good = claims(&url, "https://as.example", 60);
    for (claims, expected) in [
        (&good, true),
        (&claims("https://other.example", "https://as.example", 60), false),
        (&claims(&url, "https://evil.example", 60), false),
        (&claims(&url, "https://as.example", -1), false),
    ] {
        let token = key.sign(&key.header(), claims);
        assert_eq!(legacy(&world, &token, "ping", json!({})).await["result"].is_object(), expected, "{claims}");
    }
    let token = key.sign(&key.header(), &good);
    assert!(legacy(&world, &token, "ping", json!({})).await["result"].is_object());
    world.standin.expire_sessions();
    assert_eq!(legacy(&world, &token, "ping", json!({})).await["error"]["message"], "Invalid token");
}
