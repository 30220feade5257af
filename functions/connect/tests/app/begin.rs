//! Links.

use std::time::{Duration, SystemTime};

use connect::{App, Config};
use futures_util::future::join_all;
use oauth_client::consent::code_challenge;
use outbound::Fetcher;
use registry::{ClientAuth, Connection, ConnectionName, Flow, PublicUrl, SalesforceOrg, UpstreamAuth};
use secrecy::ExposeSecret;

use crate::world::{CALLBACK, Visit, World, begun, name, visit};

#[tokio::test]
async fn a_link_sends_the_browser_to_the_authorization_server() {
    let world = World::new().await;
    let page = visit(&world.app(), Visit::get("/connect/crm", &world.link().await)).await;
    assert_eq!(page.status, 303);
    assert!(
        page.location().starts_with(&format!("{}/authorize?prompt=login&", world.server.url)),
        "{}",
        page.location()
    );
    for (parameter, value) in [
        ("response_type", "code"),
        ("client_id", "client"),
        ("redirect_uri", CALLBACK),
        ("scope", "mcp_api refresh_token"),
        ("code_challenge_method", "S256"),
        ("resource", "https://upstream.example.com/mcp"),
    ] {
        assert_eq!(page.parameter(parameter).unwrap(), value, "{parameter}");
    }
    assert_eq!(page.parameter("state").unwrap().len(), 43);
    let cookie = page.cookies[0].strip_prefix("__Host-northstar-connect=").unwrap();
    let (code_verifier, guard) = cookie.split_once("; ").unwrap();
    assert_eq!(guard, "Max-Age=600; Path=/; HttpOnly; SameSite=Lax; Secure");
    assert_eq!(page.parameter("code_challenge").unwrap(), code_challenge(&code_verifier.to_owned().into()));
    assert!(!page.location().contains(code_verifier));
    assert_eq!(page.headers["referrer-policy"], "no-referrer", "the ticket is in the URL");
    assert_eq!(page.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn over_http_on_this_machine_the_cookie_is_one_that_a_browser_takes() {
    let world = World::new().await;
    let app = App::new(Config { public_url: PublicUrl::parse("http://127.0.0.1:9000").unwrap(), ..world.config() });
    let page = visit(&app, Visit::get("/connect/crm", &world.link().await)).await;
    assert!(page.cookies[0].starts_with("northstar-connect="), "{}", page.cookies[0]);
    assert!(page.cookies[0].ends_with("; Max-Age=600; Path=/; HttpOnly; SameSite=Lax"), "{}", page.cookies[0]);
    assert_eq!(page.parameter("redirect_uri").unwrap(), "http://127.0.0.1:9000/connect/crm");
    let done = visit(&app, begun(&page).back()).await;
    assert_eq!(done.status, 200, "{}", done.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_browsers_that_race_for_a_link_one_gets_in() {
    let world = World::new().await;
    let (first, second, link) = (world.app(), world.app(), world.link().await);
    let visits = (0..20).map(|i| visit(if i % 2 == 0 { &first } else { &second }, Visit::get("/connect/crm", &link)));
    let pages = join_all(visits).await;
    assert_eq!(pages.iter().filter(|page| page.status == 303).count(), 1);
    for page in pages.iter().filter(|page| page.status != 303) {
        assert_eq!(page.refused(), (403, "consent_link_invalid"));
        assert!(page.cookies.is_empty());
    }
}

#[tokio::test]
async fn whoever_only_looks_at_a_link_does_not_use_it_up() {
    let world = World::new().await;
    let (app, link) = (world.app(), world.link().await);
    for (event, refused) in [
        (include_str!("../../../../events/connect/begin_head.json"), (405, "method_not_allowed")),
        (include_str!("../../../../events/connect/begin_prefetch.json"), (425, "consent_prefetched")),
    ] {
        let page = visit(&app, Visit::of(event).to("/connect/crm", &link)).await;
        assert_eq!(page.refused(), refused);
    }
    for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let page = visit(&app, Visit::get("/connect/crm", &link).method(method)).await;
        assert_eq!((page.refused(), page.headers["allow"].as_str()), ((405, "method_not_allowed"), "GET"));
    }
    assert_eq!(visit(&app, Visit::get("/connect/crm", &link)).await.status, 303);
}

#[tokio::test]
async fn what_is_no_good_link_is_refused_and_tells_nothing_of_what_is_registered() {
    let world = World::new().await;
    let (app, link) = (world.app(), world.link().await);
    let old = world.tickets.issue(&name(), false, SystemTime::now() - Duration::from_secs(601)).await.unwrap();
    let erp = ConnectionName::parse("erp").unwrap();
    let of_another = world.tickets.issue(&erp, false, SystemTime::now()).await.unwrap();
    let with = |ticket: &secrecy::SecretString| format!("ticket={}", ticket.expose_secret());
    let unknown = visit(&app, Visit::of(include_str!("../../../../events/connect/begin.json"))).await;
    assert_eq!(unknown.refused(), (403, "consent_link_invalid"));
    for (path, query) in [
        ("/connect/crm", ""),
        ("/connect/crm", "ticket="),
        ("/connect/crm", "ticket=short"),
        ("/connect/crm", &format!("{link}&{link}")),
        ("/connect/crm", &format!("{link}a")),
        ("/connect/crm", &link.replace("ticket", "Ticket")),
        ("/connect/crm", &with(&old)),
        ("/connect/crm", &with(&of_another)),
        ("/connect/erp", &with(&of_another)),
        ("/connect/erp", &link),
        ("/connect/CRM", &link),
        ("/connect/crm/", &link),
        ("/connect/", &link),
        ("/connect/a/b", &link),
        ("/connect/crm\u{e9}", &link),
    ] {
        let page = visit(&app, Visit::get(path, query)).await;
        assert_eq!(page.refused(), (403, "consent_link_invalid"), "{path}?{query}");
        assert_eq!(page.body, unknown.body, "{path}?{query}");
    }
    assert_eq!(visit(&app, Visit::get("/elsewhere", &link)).await.refused(), (404, "not_found"));
    assert_eq!(world.outcome().await, None);
    assert_eq!(visit(&app, Visit::get("/connect/crm", &link)).await.status, 303, "the link is kept");
}

#[tokio::test]
async fn a_registration_that_cannot_work_says_what_is_wrong() {
    let world = World::new().await;
    let strict = App::new(Config { upstream_outbound: Fetcher::new(), ..world.config() });
    let page = visit(&strict, Visit::get("/connect/crm", &world.link().await)).await;
    assert_eq!(page.refused(), (409, "connection_misconfigured"));
    assert!(page.body.contains("the URL of its authorization endpoint is not allowed"), "{}", page.body);

    let app = world.app();
    let credentials = Flow::ClientCredentials { client_auth: ClientAuth::Post };
    world.register(|_| {}, |oauth| oauth.flow = credentials).await;
    let page = visit(&app, Visit::get("/connect/crm", &world.link().await)).await;
    assert_eq!(page.refused(), (409, "connection_misconfigured"));
    world.register(|_| {}, |oauth| oauth.authorize_url = None).await;
    let page = visit(&app, Visit::get("/connect/crm", &world.link().await)).await;
    assert_eq!(page.refused(), (409, "connection_misconfigured"));
    world.register(|upstream| upstream.auth = UpstreamAuth::None, |_| {}).await;
    let page = visit(&app, Visit::get("/connect/crm", &world.link().await)).await;
    assert_eq!(page.refused(), (409, "connection_misconfigured"));
    assert!(page.body.contains("northstar upstream show crm"), "{}", page.body);
    assert_eq!(world.outcome().await.unwrap(), "connection_misconfigured");
    assert_eq!(world.server.tokens().len(), 0);
}

#[tokio::test]
async fn an_org_is_connected_in_the_same_way() {
    let world = World::new().await;
    let org = |login_url: &str| {
        Connection::Salesforce(SalesforceOrg {
            name: name(),
            login_url: login_url.to_owned(),
            instance_url: None,
            api_version: "v66.0".to_owned(),
            flow: Flow::RefreshToken { client_auth: ClientAuth::Post },
            client_id: "key".to_owned(),
            secret_id: None,
            created_at: 0,
        })
    };
    world.registry.put_connection(&org(&world.server.url), false).await.unwrap();
    let app = world.app();
    let page = visit(&app, Visit::get("/connect/crm", &world.link().await)).await;
    assert!(page.location().starts_with(&format!("{}/services/oauth2/authorize?", world.server.url)));
    assert_eq!(page.parameter("scope").unwrap(), "api refresh_token");
    assert_eq!(page.parameter("resource"), None);
    assert_eq!(page.parameter("redirect_uri").unwrap(), "https://mcp.example.com/connect/callback");
    let done = visit(&app, begun(&page).back()).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert!(done.body.contains("<code>northstar org test crm</code>"), "{}", done.body);
    assert!(!world.server.tokens()[0].contains_key("resource"));

    world.registry.put_connection(&org("https://evil.example.com"), false).await.unwrap();
    let page = visit(&app, Visit::get("/connect/crm", &world.link().await)).await;
    assert_eq!(page.refused(), (409, "connection_misconfigured"));
}

#[tokio::test]
async fn a_link_is_kept_while_a_table_is_away() {
    let world = World::new().await;
    let link = world.link().await;
    for config in [
        Config { state_table: "away".to_owned(), ..world.config() },
        Config { config_table: "away".to_owned(), ..world.config() },
    ] {
        let page = visit(&App::new(config), Visit::get("/connect/crm", &link)).await;
        assert_eq!(page.refused(), (503, "temporarily_unavailable"));
        assert!(page.body.contains("has not been used up") && page.headers.contains_key("retry-after"));
    }
    assert_eq!(visit(&world.app(), Visit::get("/connect/crm", &link)).await.status, 303);
}
