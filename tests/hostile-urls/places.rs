//! The places.

use std::time::{Duration, Instant, SystemTime};

use aws_clients::{AwsClients, AwsSettings};
use local::Home;
use local::store::STATE_TABLE;
use oauth_client::token_request::{TokenFailure, TokenRequest};
use oauth_client::{Connection, Grants, SealingKeys};
use outbound::{Fetcher, Reach, Target};
use registry::{ClientAuth, ConnectionName, Flow, PinnedTool, SalesforceOrg};
use salesforce::{Client, Code, Org, Request};
use secrecy::SecretString;
use serde_json::{Map, json};
use upstream::discovery::{AuthMethod, Finding, Inquiry, Settings, discover};
use upstream::registration::{Registration, RegistrationError, register};
use upstream::{Endpoint, McpClient, Probe, UpstreamError};

use crate::server::Scripted;
use crate::{Counter, urls};

fn name() -> ConnectionName {
    ConnectionName::parse("sales").unwrap()
}

fn secret() -> SecretString {
    "secret".to_owned().into()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn tool() -> PinnedTool {
    let schema = json!({ "type": "object" }).as_object().cloned().unwrap();
    PinnedTool {
        name: "read".to_owned(),
        title: String::new(),
        description: String::new(),
        input_schema: schema,
        output_schema: None,
        read_only: true,
        destructive: false,
        idempotent: true,
        open_world: true,
        hash: String::new(),
    }
}

/// Those that a fetcher for local runs refuses too: it is the one that can be told of them by a server on this machine.
fn refused_by_all(port: u16) -> Vec<String> {
    let refused = |url: &String| Target::parse(url, Reach::Loopback).is_err();
    let urls: Vec<String> = urls(port).into_iter().filter(refused).collect();
    assert!(urls.len() >= 200, "{}", urls.len());
    urls
}

#[tokio::test]
async fn an_upstream_at_a_hostile_url_is_asked_nothing() {
    let counter = Counter::start().await;
    let (client, name, bearer) = (McpClient::new(Fetcher::new()), name(), secret());
    for url in urls(counter.port) {
        let endpoint = Endpoint { name: &name, url: &url, bearer: Some(&bearer) };
        assert_eq!(client.list_tools(endpoint, soon()).await, Err(UpstreamError::Url), "{url:?}");
        assert_eq!(client.call_tool(endpoint, &tool(), &Map::new(), soon()).await, Err(UpstreamError::Url), "{url:?}");
        assert_eq!(client.probe(endpoint, soon()).await, Probe::Failed(UpstreamError::Url), "{url:?}");
    }
    assert_eq!(counter.count().await, 0);
}

#[tokio::test]
async fn an_upstream_that_redirects_to_a_hostile_url_is_not_followed() {
    let (counter, upstream, name, bearer) = (Counter::start().await, Scripted::start().await, name(), secret());
    for (number, url) in urls(counter.port).iter().enumerate() {
        upstream.redirect("/mcp", [301, 302, 303, 307, 308][number % 5], url);
        // One that has failed often is left alone: each asks anew.
        let client = McpClient::new(Fetcher::with_loopback(None));
        let endpoint = Endpoint { name: &name, url: &upstream.mcp(), bearer: Some(&bearer) };
        assert!(client.list_tools(endpoint, soon()).await.is_err(), "{url:?}");
        assert!(client.call_tool(endpoint, &tool(), &Map::new(), soon()).await.is_err(), "{url:?}");
    }
    assert_eq!(counter.count().await, 0);
}

fn inquiry<'a>(url: &'a str, challenge: Option<&'a str>) -> Inquiry<'a> {
    Inquiry { url, challenge, known: Settings::default(), refresh_tokens: true }
}

#[tokio::test]
async fn nothing_is_discovered_of_an_upstream_at_a_hostile_url() {
    let counter = Counter::start().await;
    for url in urls(counter.port) {
        let discovered = discover(&Fetcher::new(), inquiry(&url, None)).await;
        assert_eq!(discovered.settings, Settings::default(), "{url:?}");
        assert!(matches!(discovered.findings[..], [Finding::UrlRefused(_)]), "{url:?}: {:?}", discovered.findings);
    }
    assert_eq!(counter.count().await, 0);
}

#[tokio::test]
async fn hostile_urls_in_challenges_and_metadata_are_neither_asked_nor_kept() {
    let (counter, upstream, fetcher) = (Counter::start().await, Scripted::start().await, Fetcher::with_loopback(None));
    let mcp = upstream.mcp();
    for url in refused_by_all(counter.port) {
        // Its metadata is at the hostile URL.
        let challenge = format!("Bearer resource_metadata=\"{}\"", url.replace('\\', "\\\\").replace('"', "\\\""));
        let discovered = discover(&fetcher, inquiry(&mcp, Some(&challenge))).await;
        assert!(discovered.resource_metadata_url.is_none_or(|place| place.starts_with(&upstream.url)), "{url:?}");

        upstream.name_issuer(&url);
        let discovered = discover(&fetcher, inquiry(&mcp, None)).await;
        assert_eq!((&discovered.settings.issuer, &discovered.settings.token_url), (&None, &None), "{url:?}");
        assert!(!discovered.findings.is_empty(), "{url:?}");

        upstream.name_issuer(&upstream.url);
        upstream.name_endpoints(&url);
        let Settings { issuer, authorize_url, token_url, revoke_url, registration_url, .. } =
            discover(&fetcher, inquiry(&mcp, None)).await.settings;
        assert_eq!(issuer.map(|issuer| issuer.value).as_ref(), Some(&upstream.url), "{url:?}");
        assert_eq!((authorize_url, token_url, revoke_url, registration_url), (None, None, None, None), "{url:?}");
    }
    assert_eq!(counter.count().await, 0);
}

#[tokio::test]
async fn metadata_that_redirects_to_a_hostile_url_is_not_followed() {
    let (counter, upstream, fetcher) = (Counter::start().await, Scripted::start().await, Fetcher::with_loopback(None));
    let mcp = upstream.mcp();
    for url in urls(counter.port) {
        upstream.redirect(crate::server::RESOURCE, 302, &url);
        let discovered = discover(&fetcher, inquiry(&mcp, None)).await;
        assert_eq!(discovered.settings, Settings::default(), "{url:?}");
        upstream.name_issuer(&upstream.url);
        upstream.redirect(crate::server::SERVER, 307, &url);
        assert_eq!(discover(&fetcher, inquiry(&mcp, None)).await.settings.token_url, None, "{url:?}");
    }
    assert_eq!(counter.count().await, 0);
}

#[tokio::test]
async fn no_secret_goes_to_a_hostile_token_revocation_or_registration_endpoint() {
    let (counter, fetcher, now) = (Counter::start().await, Fetcher::new(), SystemTime::now());
    for url in urls(counter.port) {
        let connection = |flow| Connection {
            name: name(),
            token_endpoint: url.clone(),
            client_id: "client".to_owned(),
            flow,
            secret_id: None,
            issuer: Some("https://issuer.example".to_owned()),
            resource: Some("https://mcp.example.com/mcp".to_owned()),
            scopes: vec![],
        };
        let consent = connection(Flow::RefreshToken { client_auth: ClientAuth::Post });
        let machine = connection(Flow::ClientCredentials { client_auth: ClientAuth::Basic });
        let (secret, redirect_uri) = (secret(), "https://mcp.example.com/connect/callback");
        for request in [
            TokenRequest::for_code(&consent, Some(&secret), &secret, redirect_uri, &secret, now),
            TokenRequest::new(&consent, Some(&secret), Some(&secret), now),
            TokenRequest::new(&machine, Some(&secret), None, now),
        ] {
            let sent = request.unwrap().send(&fetcher, &url, now).await.map(|_| ());
            assert!(matches!(sent, Err(TokenFailure::Misconfigured(_))), "{url:?}: {sent:?}");
        }
        let revocation = TokenRequest::for_revocation(&consent, Some(&secret), &secret, "refresh_token", now).unwrap();
        let revoked = revocation.revoke(&fetcher, &url).await;
        assert!(matches!(revoked, Err(TokenFailure::Misconfigured(_))), "{url:?}: {revoked:?}");
        let registration = Registration {
            url: &url,
            client_name: "Northstar",
            redirect_uri,
            scopes: &[],
            auth_method: AuthMethod::None,
        };
        let registered = register(&fetcher, &registration).await.map(|_| ());
        assert_eq!(registered, Err(RegistrationError::Url), "{url:?}");
    }
    assert_eq!(counter.count().await, 0);
}

#[test]
fn no_org_is_at_a_hostile_url_or_at_one_of_somebody_else() {
    let foreign = ["https://evil.example", "https://mcp.example.com", "https://my.salesforce.com.evil.example"];
    for url in urls(9).into_iter().chain(foreign.map(String::from)) {
        let good = "https://example.my.salesforce.com".to_owned();
        for (login_url, instance_url) in [(url.clone(), None), (good, Some(url.clone()))] {
            let record = SalesforceOrg { instance_url, ..org(name(), login_url) };
            assert!(Org::new(&record, Reach::Public).is_err(), "{url:?}");
        }
    }
}

/// The URL of its API is the authorization server's to say, with every token.
#[tokio::test]
async fn a_token_answer_that_names_a_hostile_instance_url_gets_no_request_there() {
    let (counter, server, folder) = (Counter::start().await, Scripted::start().await, tempfile::tempdir().unwrap());
    let open = Home::new(folder.path()).open().await.unwrap();
    open.secrets.create("secret", &secret()).await.unwrap();
    let dynamodb = AwsClients::new(&AwsSettings::local(open.store_url())).dynamodb;
    let (fetcher, now) = (Fetcher::with_loopback(None), SystemTime::now());
    let grants = Grants::new(
        dynamodb,
        STATE_TABLE,
        SealingKeys::Local(open.secrets.clone()),
        open.secrets.clone(),
        fetcher.clone(),
    );
    let foreign = ["https://evil.example", "https://example.my.salesforce.com.evil.example", "https://salesforce.com"];
    for (number, url) in refused_by_all(counter.port).into_iter().chain(foreign.map(String::from)).enumerate() {
        let document = json!({ "access_token": "token", "token_type": "Bearer", "instance_url": url });
        server.put("/services/oauth2/token", &document);
        let name = ConnectionName::parse(&format!("org-{number}")).unwrap();
        let client = Client::new(&org(name, server.url.clone()), grants.clone(), fetcher.clone()).unwrap();
        let error = client.send(Request::get("limits"), now).await.map(|_| ()).unwrap_err();
        assert_eq!(error.code, Code::InstanceUrlRefused, "{url:?}: {error:?}");
    }
    assert_eq!(counter.count().await, 0);
}

fn org(name: ConnectionName, login_url: String) -> SalesforceOrg {
    SalesforceOrg {
        name,
        login_url,
        instance_url: None,
        client_id: "client".to_owned(),
        flow: Flow::ClientCredentials { client_auth: ClientAuth::Post },
        secret_id: Some("secret".to_owned()),
        api_version: "v66.0".to_owned(),
        created_at: 0,
    }
}
