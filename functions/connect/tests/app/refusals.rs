//! Every way back that does not lead to a grant.

use std::time::{Duration, SystemTime};

use aws_clients::AwsSettings;
use connect::{App, Config};
use oauth_client::consent::random_secret;
use oauth_client::{Consent, Kms, SealingKeys};
use registry::{PublicUrl, UpstreamOAuth};
use secrecy::ExposeSecret;

use crate::world::{CALLBACK, ISSUER, UNKNOWN, Visit, World, begun, name, visit};

const SALESFORCE: &str = "https://login.salesforce.com/services/oauth2";

#[tokio::test]
async fn a_state_is_used_once() {
    let world = World::new().await;
    let (app, other) = (world.app(), world.app());
    let begun = world.begin(&app).await;
    assert_eq!(visit(&app, begun.back()).await.status, 200);
    for instance in [&app, &other] {
        assert_eq!(visit(instance, begun.back()).await.refused(), (400, "consent_state_unknown"));
    }
    assert_eq!(world.server.tokens().len(), 1);
    assert_eq!(world.outcome().await.unwrap(), "ok", "whoever comes again changes nothing");

    let begun = world.begin(&app).await;
    let pages = futures_util::future::join_all((0..10).map(|_| visit(&app, begun.back()))).await;
    assert_eq!(pages.iter().filter(|page| page.status == 200).count(), 1);
    assert_eq!(world.server.tokens().len(), 2);
}

#[tokio::test]
async fn a_state_that_nobody_knows_is_refused() {
    let world = World::new().await;
    let app = world.app();
    for event in [
        include_str!("../../../../events/connect/callback.json"),
        include_str!("../../../../events/connect/callback_denied.json"),
        include_str!("../../../../events/connect/callback_own.json"),
    ] {
        let page = visit(&app, Visit::of(event)).await;
        assert_eq!(page.refused(), (400, "consent_state_unknown"));
        assert!(page.cookies.is_empty());
    }
    let state = random_secret().unwrap();
    let old = Consent {
        connection: name(),
        code_challenge: UNKNOWN.to_owned(),
        issuer: ISSUER.to_owned(),
        redirect_uri: CALLBACK.to_owned(),
        new_user: false,
    };
    world.consents.begin(&state, &old, SystemTime::now() - Duration::from_secs(601)).await.unwrap();
    for query in [
        "code=a".to_owned(),
        "code=a&state=".to_owned(),
        "code=a&state=short".to_owned(),
        format!("code=a&state={}", state.expose_secret()),
    ] {
        assert_eq!(visit(&app, Visit::callback(&query)).await.refused(), (400, "consent_state_unknown"), "{query}");
    }
    assert_eq!((world.server.tokens().len(), world.outcome().await), (0, None));
}

#[tokio::test]
async fn another_browser_than_the_one_that_began_is_refused_and_ends_the_consent() {
    let world = World::new().await;
    let app = world.app();
    let others = world.begin(&app).await.cookie;
    let unknown = format!("__Host-northstar-connect={UNKNOWN}");
    for (what, cookies) in [
        ("none", Vec::new()),
        ("another consent's", vec![others.as_str()]),
        ("a made-up one", vec![unknown.as_str()]),
        ("an empty one", vec!["__Host-northstar-connect="]),
        ("of another name", vec!["northstar-connect=x"]),
    ] {
        let begun = world.begin(&app).await;
        let page = visit(&app, begun.back().cookies(&cookies)).await;
        assert_eq!(page.refused(), (403, "consent_other_browser"), "{what}");
        assert_eq!(visit(&app, begun.back()).await.refused(), (400, "consent_state_unknown"), "{what}");
    }
    let begun = world.begin(&app).await;
    let renamed = begun.cookie.replace("__Host-", "");
    assert_eq!(visit(&app, begun.back().cookies(&[&renamed])).await.refused(), (403, "consent_other_browser"));
    let begun = world.begin(&app).await;
    let twice = visit(&app, begun.back().cookies(&[&begun.cookie, &unknown])).await;
    assert_eq!(twice.refused(), (403, "consent_other_browser"), "the cookie of another host beside ours");
    assert_eq!(world.server.tokens().len(), 0);
    assert_eq!(world.outcome().await.unwrap(), "consent_other_browser");
}

/// A mix-up (RFC 9700 §4.4): the server of `crm` forwards the browser to another one, as if we had asked that, to be sent
/// the other's code.
#[tokio::test]
async fn an_answer_at_the_redirect_uri_of_another_server_is_refused_and_its_code_sent_nowhere() {
    let world = World::new().await;
    let app = world.app();
    for path in ["/connect/callback", "/connect/erp", "/connect/crm/", "/connect/CRM", "/connect/", "/connect/%63rm"] {
        let begun = world.begin(&app).await;
        let query = format!("code=of-another-server&state={}", begun.state);
        let page = visit(&app, Visit::get(path, &query).cookies(&[&begun.cookie])).await;
        assert_eq!(page.refused(), (400, "consent_state_unknown"), "{path}");
        assert!(page.cookies[0].contains("Max-Age=0"), "{path}");
        assert_eq!(world.outcome().await.unwrap(), "consent_state_unknown");
        assert_eq!(visit(&app, begun.back()).await.refused(), (400, "consent_state_unknown"), "{path}: used up");
    }
    // Salesforce asked itself: an answer at the other's own redirect URI is not its.
    let of_salesforce = |oauth: &mut UpstreamOAuth| {
        oauth.authorize_url = Some(format!("{SALESFORCE}/authorize"));
        oauth.token_url = format!("{SALESFORCE}/token");
    };
    world.register(|_| {}, of_salesforce).await;
    let page = visit(&app, Visit::get("/connect/crm", &world.link().await)).await;
    assert_eq!(page.parameter("redirect_uri").unwrap(), "https://mcp.example.com/connect/callback");
    let begun = begun(&page);
    let own = Visit::get("/connect/crm", &format!("code=a&state={}", begun.state)).cookies(&[&begun.cookie]);
    assert_eq!(visit(&app, own).await.refused(), (400, "consent_state_unknown"));
    assert_eq!((world.server.tokens().len(), world.token().await), (0, None));
}

#[tokio::test]
async fn a_ticket_begins_a_consent_even_where_answers_come() {
    let world = World::new().await;
    let app = world.app();
    let link = world.link().await;
    let page = visit(&app, Visit::get("/connect/crm", &format!("{link}&state=a"))).await;
    assert_eq!(page.status, 303, "{}", page.body);
    assert_eq!(visit(&app, Visit::get("/connect/callback", &link)).await.refused(), (400, "consent_response_invalid"));
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_refused_even_when_it_is_an_error() {
    let world = World::new().await;
    let app = world.app();
    let encoded = "https%3A%2F%2Flogin.example.com";
    for promised in [false, true] {
        world.register(|_| {}, |oauth| oauth.iss_promised = promised).await;
        for outcome in ["code=a", "error=access_denied"] {
            for iss in [format!("{encoded}%2F"), "https%3A%2F%2FLOGIN.example.com".to_owned(), String::new()] {
                let page = visit(&app, world.begin(&app).await.back_with(&format!("{outcome}&iss={iss}"))).await;
                assert_eq!(page.refused(), (403, "consent_issuer_wrong"), "{promised} {outcome} {iss}");
            }
            let page = visit(&app, world.begin(&app).await.back_with(outcome)).await;
            let missing = page.status == 403 && page.code() == "consent_issuer_missing";
            assert_eq!(missing, promised, "{outcome}");
        }
    }
    let page = visit(&app, world.begin(&app).await.back_with(&format!("code=a&iss={encoded}"))).await;
    assert_eq!(page.status, 200, "{}", page.body);
}

#[tokio::test]
async fn each_error_of_the_authorization_endpoint_has_its_page_and_its_own_words_alone() {
    let world = World::new().await;
    let app = world.app();
    for (error, status, code) in [
        ("access_denied", 400, "consent_denied"),
        ("invalid_scope", 400, "consent_scope_refused"),
        ("redirect_uri_mismatch", 400, "consent_redirect_mismatch"),
        ("invalid_client_id", 400, "consent_client_refused"),
        ("unauthorized_client", 400, "consent_client_refused"),
        ("invalid_target", 400, "consent_resource_refused"),
        ("invalid_request", 400, "consent_refused"),
        ("unsupported_response_type", 400, "consent_refused"),
        ("login_required", 400, "consent_refused"),
        ("server_error", 502, "consent_server_unavailable"),
        ("temporarily_unavailable", 502, "consent_server_unavailable"),
        ("OAUTH_AUTHORIZATION_BLOCKED", 400, "consent_refused"),
        ("made_up_%3Cb%3E", 400, "consent_refused"),
    ] {
        let query = format!("error={error}&error_description=%3Cscript%3Emarker%3C%2Fscript%3E&error_uri=marker");
        let page = visit(&app, world.begin(&app).await.back_with(&query)).await;
        assert_eq!(page.refused(), (status, code), "{error}");
        assert!(!page.body.contains("marker") && !page.body.contains("made_up"), "{}", page.body);
        assert!(page.body.contains("northstar upstream connect crm"), "what to do next: {}", page.body);
        assert_eq!(world.outcome().await.unwrap(), code);
    }
    let query = "error=access_denied&error_description=end-user+denied+authorization";
    let page = visit(&app, world.begin(&app).await.back_with(query)).await;
    assert!(page.body.contains("access_denied (end-user denied authorization)"), "{}", page.body);
    assert_eq!(world.server.tokens().len(), 0);
}

#[tokio::test]
async fn each_refusal_of_the_token_endpoint_has_its_page() {
    let world = World::new().await;
    let app = world.app();
    for (status, body, expected) in [
        (400, r#"{"error":"invalid_client_id","error_description":"client identifier invalid"}"#, {
            (400, "consent_client_refused", "30 minutes")
        }),
        (401, r#"{"error":"invalid_client"}"#, (400, "consent_client_refused", "wants a secret")),
        (400, r#"{"error":"redirect_uri_mismatch"}"#, (400, "consent_redirect_mismatch", "Callback URL")),
        (400, r#"{"error":"invalid_scope"}"#, (400, "consent_scope_refused", "mcp_api")),
        (400, r#"{"error":"invalid_grant","error_description":"invalid code verifier"}"#, {
            (400, "consent_code_refused", "invalid_grant (invalid code verifier)")
        }),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"marker"}"#,
            (400, "consent_code_refused", "invalid_grant."),
        ),
        (400, r#"{"error":"inactive_user"}"#, (400, "consent_refused", "inactive_user")),
        (400, r#"{"error":"marker"}"#, (502, "consent_server_unavailable", "refused for the moment")),
        (500, "marker", (502, "consent_server_unavailable", "failed")),
        (302, "", (502, "consent_server_unavailable", "redirect")),
        (200, "marker", (502, "consent_server_unavailable", "something else than a token")),
        (200, r#"{"access_token":"a\r\nb"}"#, (502, "consent_server_unavailable", "something else than a token")),
    ] {
        world.server.says(status, body);
        let page = world.consent(&app).await;
        assert_eq!((page.status, page.code()), (expected.0, expected.1), "{body}");
        assert!(page.body.contains(expected.2) && !page.body.contains("marker"), "{body}: {}", page.body);
        assert_eq!(world.outcome().await.unwrap(), expected.1);
    }
    assert_eq!(world.token().await, None);
    assert!(world.consents.pin(&name()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_no_answer_is_refused_and_the_consent_kept() {
    let world = World::new().await;
    let app = world.app();
    let begun = world.begin(&app).await;
    for query in ["", "iss=a", "code=", "code=a&code=b", "code=a&error=access_denied", "error=a&error=b"] {
        let page = visit(&app, begun.back_with(query)).await;
        assert_eq!(page.refused(), (400, "consent_response_invalid"), "{query}");
    }
    let twice = Visit::callback(&format!("code=a&state={0}&state={0}", begun.state)).cookies(&[&begun.cookie]);
    assert_eq!(visit(&app, twice).await.refused(), (400, "consent_response_invalid"));
    for method in ["HEAD", "POST"] {
        assert_eq!(visit(&app, begun.back().method(method)).await.refused(), (405, "method_not_allowed"));
    }
    assert_eq!(visit(&app, begun.back()).await.status, 200);
}

#[tokio::test]
async fn a_registration_that_was_changed_or_removed_meanwhile_ends_the_consent() {
    let world = World::new().await;
    let app = world.app();
    let begun = world.begin(&app).await;
    world.register(|_| {}, |oauth| oauth.issuer = "https://other.example.com".to_owned()).await;
    assert_eq!(visit(&app, begun.back()).await.refused(), (400, "consent_outdated"));

    let begun = world.begin(&app).await;
    let moved = PublicUrl::parse("https://moved.example.com").unwrap();
    let moved = App::new(Config { public_url: moved, ..world.config() });
    assert_eq!(visit(&moved, begun.back()).await.refused(), (400, "consent_state_unknown"));

    let begun = world.begin(&app).await;
    let of_salesforce = |oauth: &mut UpstreamOAuth| {
        oauth.authorize_url = Some(format!("{SALESFORCE}/authorize"));
        oauth.token_url = format!("{SALESFORCE}/token");
    };
    world.register(|_| {}, of_salesforce).await;
    assert_eq!(visit(&app, begun.back()).await.refused(), (400, "consent_outdated"), "another redirect URI now");

    let begun = world.begin(&app).await;
    world.registry.delete_connection(&name()).await.unwrap();
    assert_eq!(visit(&app, begun.back()).await.refused(), (400, "consent_outdated"));
    assert_eq!(world.server.tokens().len(), 0);
}

#[tokio::test]
async fn while_a_table_or_the_service_of_the_keys_is_away_nothing_is_half_done() {
    let world = World::new().await;
    let begun = world.begin(&world.app()).await;
    let app = App::new(Config { state_table: "away".to_owned(), ..world.config() });
    let page = visit(&app, begun.back()).await;
    assert_eq!(page.refused(), (503, "temporarily_unavailable"));
    assert!(page.body.contains("Load this page again"), "{}", page.body);
    assert!(page.cookies.is_empty(), "the browser keeps its part");
    assert_eq!(visit(&world.app(), begun.back()).await.status, 200, "as the page says");

    world.grants().remove(&name(), SystemTime::now()).await.unwrap();
    let begun = world.begin(&world.app()).await;
    let app = App::new(Config { config_table: "away".to_owned(), ..world.config() });
    let page = visit(&app, begun.back()).await;
    assert_eq!(page.refused(), (503, "temporarily_unavailable"));
    assert!(page.body.contains("Make a new link"), "{}", page.body);

    let kms = Kms::new(&AwsSettings::local("http://127.0.0.1:1".to_owned()), Some("http://127.0.0.1:1/".to_owned()));
    let sealing_keys = SealingKeys::Kms { kms, key_id: "key".to_owned() };
    let app = App::new(Config { sealing_keys, ..world.config() });
    let page = world.consent(&app).await;
    assert_eq!(page.refused(), (503, "temporarily_unavailable"));
    assert!(page.body.contains("Make a new link"), "{}", page.body);
    assert_eq!((world.token().await, world.outcome().await.as_deref()), (None, Some("temporarily_unavailable")));
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_or_may_not_is_told_apart() {
    let world = World::new().await;
    let app = world.app();
    world.register(|_| {}, |oauth| oauth.token_url = "http://127.0.0.1:1/token".to_owned()).await;
    assert_eq!(world.consent(&app).await.refused(), (502, "consent_server_unavailable"));
    for url in ["https://10.0.0.1/token", "http://169.254.169.254/token", "https://user@example.com/token"] {
        world.register(|_| {}, |oauth| oauth.token_url = url.to_owned()).await;
        let page = world.consent(&app).await;
        assert_eq!(page.refused(), (409, "connection_misconfigured"), "{url}");
        assert!(page.body.contains("the URL of its token endpoint is not allowed"), "{}", page.body);
    }
}
