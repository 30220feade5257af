//! Documents that send clients elsewhere.

use serde_json::{Value, json};
use std::sync::Arc;

use crate::stage::{Answered, Change, stage};

const RESOURCE: &str = "/.well-known/oauth-protected-resource/mcp";
const SERVER: &str = "/.well-known/oauth-authorization-server";
const KEYS: &str = "/.well-known/jwks.json";

fn at(path: &'static str, change: impl Fn(&mut Answered) + Send + Sync + 'static) -> Change {
    Arc::new(move |asked, answered| {
        if asked.path == path {
            change(answered);
        }
    })
}

fn set(path: &'static str, name: &'static str, value: Value) -> Change {
    at(path, move |answered| answered.edit(|json| json[name] = value.clone()))
}

#[test]
fn a_foreign_issuer() {
    stage().expect("issuer", set(SERVER, "issuer", json!("https://login.example.com")), &["server_metadata.issuer"]);
    let slash = stage().url.clone() + "/";
    stage().expect("a slash at its end", set(SERVER, "issuer", json!(slash)), &["server_metadata.issuer"]);
    let foreign = set(RESOURCE, "authorization_servers", json!(["https://login.example.com"]));
    stage().expect("authorization server", foreign, &["resource_metadata.authorization_server"]);
}

#[test]
fn a_foreign_resource_or_token_endpoint() {
    let slash = format!("{}/mcp/", stage().url);
    stage().expect("a slash at its end", set(RESOURCE, "resource", json!(slash)), &["resource_metadata.resource"]);
    let foreign = set(SERVER, "token_endpoint", json!("https://login.example.com/token"));
    stage().expect("token endpoint", foreign, &["server_metadata.token_endpoint"]);
    let methods = set(SERVER, "token_endpoint_auth_methods_supported", json!(["private_key_jwt"]));
    stage().expect("methods", methods, &["server_metadata.methods"]);
}

#[test]
fn documents_that_are_not_there() {
    let gone = |answered: &mut Answered| answered.replace(404, "application/json", r#"{"message":"Not Found"}"#);
    stage().expect("of the resource", at(RESOURCE, gone), &["resource_metadata.missing"]);
    stage().expect("of the server", at(SERVER, gone), &["server_metadata.missing"]);
    stage().expect("keys", at(KEYS, gone), &["signing_key.no_keys"]);
    stage().expect("no keys", set(KEYS, "keys", json!([])), &["signing_key.no_keys"]);
    stage().expect("another key", set(KEYS, "keys", json!([{ "kid": "other" }])), &["signing_key.unpublished"]);
    let page = |answered: &mut Answered| answered.replace(200, "text/html", "<html>");
    stage().expect("a page", at(RESOURCE, page), &["resource_metadata.html"]);
}
