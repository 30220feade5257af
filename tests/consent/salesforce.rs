//! The same with the authorization server of the stand-in, as Salesforce's: `serve --with-org` with all that Salesforce
//! has. Some of its refusals end on its own page, access tokens say nothing of their end, and the preset fits.

use black_box::Server;
use salesforce_standin::ConnectedApp;
use serde_json::{Value, json};

use crate::{NAME, assert_is_our_page, assert_three_accounts, browse, link, query, serve_tools};

/// A local run with an org, whose hosted MCP servers are an upstream that nobody has consented to.
struct World {
    server: Server,
    /// The org's own URL.
    org: String,
    http: reqwest::Client,
}

impl World {
    fn start() -> World {
        let server = Server::start(&["--with-org", "--allow-loopback-upstreams"]);
        let log = server.log();
        let hosted = log.lines().find_map(|line| line.trim().strip_prefix("hosted MCP")).unwrap().trim();
        let org = hosted.split_once("/platform/").unwrap().0.to_owned();
        let ConnectedApp { client_id, .. } = ConnectedApp::default();
        let add = ["upstream", "add", NAME, "--url", hosted, "--client-id", &client_id, "--issuer", &org];
        server.json_command(&[&add[..], &["--allow-loopback"]].concat());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        World { server, org, http }
    }

    /// Asks something of the stand-in itself.
    async fn control(&self, path: &str, body: Value) {
        let request = self.http.post(format!("{}/__standin__/{path}", self.org)).json(&body);
        assert_eq!(request.send().await.unwrap().status(), 204);
    }

    /// The next consent meets a mistake of Setup, at an endpoint.
    async fn mistake(&self, endpoint: &str, skip: u32, mistake: &str) {
        let path = format!("/services/oauth2/{endpoint}");
        self.control("faults", json!([{ "path": path, "skip": skip, "kind": "setup", "mistake": mistake }])).await;
    }

    /// Something goes wrong with every request to a path, until the next such call.
    async fn always(&self, path: &str, mut fault: Value) {
        self.http.delete(format!("{}/__standin__/faults", self.org)).send().await.unwrap();
        fault["path"] = path.into();
        fault["times"] = 1_000.into();
        self.control("faults", json!([fault])).await;
    }

    /// What `upstream test` finds wrong.
    fn findings(&self) -> Vec<String> {
        let output = self.server.command(&["upstream", "test", NAME, "--json"]);
        let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = seen["findings"].as_array().unwrap_or_else(|| panic!("{seen}"));
        let wrong = findings.iter().filter(|finding| finding["status"] != "PASS");
        wrong.map(|finding| finding["id"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_the_org_allows_access_and_the_tools_work_until_access_is_revoked() {
    let world = World::start();
    let server = &world.server;
    let page = browse("allow", &link(server), "salesforce");
    assert_is_our_page(&page, server);
    assert_eq!(page["status"], 200, "{page}");
    let text = page["text"].as_str().unwrap();
    assert!(text.contains("00D") && text.contains("005"), "it says whose org and user: {text}");

    let folder = tempfile::tempdir().unwrap();
    let client = serve_tools(server, folder.path());
    world.control("expire-sessions", Value::Null).await;
    assert_three_accounts(&query(server, &client));

    world.always("/services/oauth2/token", revoked()).await;
    world.control("expire-sessions", Value::Null).await;
    let seen = query(server, &client);
    assert_eq!(seen["results"][0]["is_error"], true, "{seen}");
    assert!(seen["results"][0]["text"].as_str().unwrap().contains(NAME), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_salesforce_refuses_ends_on_a_page_that_says_what_to_do() {
    let world = World::start();
    let page = browse("deny", &link(&world.server), "denied");
    assert_eq!(page["heading"], "The consent was declined", "{page}");
    // Where the mistake is met, how often all goes well before, and what our page has then.
    for (endpoint, skip, mistake, code) in [
        ("authorize", 1, "generic_scope", "consent_scope_refused"),
        ("authorize", 1, "user_not_approved", "consent_denied"),
        ("token", 0, "secret_required", "consent_client_refused"),
        ("token", 0, "propagating", "consent_client_refused"),
    ] {
        world.mistake(endpoint, skip, mistake).await;
        let page = browse("allow", &link(&world.server), &format!("refused-{mistake}"));
        assert_is_our_page(&page, &world.server);
        assert!(page["text"].as_str().unwrap().contains(&format!("Code: {code}")), "{mistake}: {page}");
    }
    // A callback URL that it does not know, Salesforce cannot send anybody to.
    world.mistake("authorize", 0, "other_callback_url").await;
    let page = browse("open", &link(&world.server), "refused-other_callback_url");
    assert!(page["text"].as_str().unwrap().contains("redirect_uri_mismatch"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_set_up_is_named() {
    let world = World::start();
    let setup = |mistake: &str| json!({ "kind": "setup", "mistake": mistake });
    let unconnected = "upstream_grant.missing";
    for (mistake, finding) in [
        ("generic_scope", "upstream_authorization.invalid_scope"),
        ("other_callback_url", "upstream_authorization.redirect_mismatch"),
        ("propagating", "upstream_authorization.propagation"),
        ("secret_required", "upstream_token.secret_required"),
        ("other_issuer", "upstream_metadata.issuer_mismatch"),
        ("no_discovery", "upstream_metadata.no_metadata"),
    ] {
        world.always("/", setup(mistake)).await;
        let found = world.findings();
        assert!(
            found.iter().any(|id| id == finding) && found.iter().any(|id| id == unconnected),
            "{mistake}: {found:?}"
        );
    }

    world.always("/services", setup("opaque_tokens")).await;
    browse("allow", &link(&world.server), "opaque");
    assert_eq!(world.findings(), ["upstream_server.not_jwt"]);
    world.always("/nowhere", setup("opaque_tokens")).await;
    browse("allow", &link(&world.server), "healthy");
    assert_eq!(world.findings(), ["upstream_tools.none_accepted"]);
    for mistake in ["inactive_server", "other_kind_of_org"] {
        world.always("/platform", setup(mistake)).await;
        assert_eq!(world.findings(), ["upstream_server.not_activated"], "{mistake}");
    }
    world.always("/services/oauth2/token", revoked()).await;
    world.control("expire-sessions", Value::Null).await;
    assert_eq!(world.findings(), ["upstream_grant.expired"]);
}

/// As when an administrator ends the consent (Setup, Connected Apps OAuth Usage).
fn revoked() -> Value {
    let message = "expired access/refresh token";
    json!({ "kind": "status", "status": 400, "error_code": "invalid_grant", "message": message })
}
