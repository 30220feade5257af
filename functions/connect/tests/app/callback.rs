//! Consents that become grants, and who may give them.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;

use crate::authorization_server::{ORG, USER, identity, tokens};
use crate::world::{CALLBACK, ISSUER, LOG, Page, Visit, World, begun, name, visit};

#[tokio::test]
async fn a_consent_becomes_a_grant() {
    let world = World::new().await;
    let app = world.app();
    let begun = world.begin(&app).await;
    let page = visit(&app, begun.back()).await;
    assert_eq!(page.status, 200, "{}", page.body);
    for part in ["<h1>Connected</h1>", "<code>crm</code>", ORG, USER, "<code>northstar upstream test crm</code>"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    let cleared = "__Host-northstar-connect=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure";
    assert_eq!(page.cookies, [cleared]);

    let form = &world.server.tokens()[0];
    for (parameter, value) in [
        ("grant_type", "authorization_code"),
        ("code", "the-code"),
        ("redirect_uri", CALLBACK),
        ("client_id", "client"),
        ("resource", "https://upstream.example.com/mcp"),
        ("code_verifier", begun.cookie.split_once('=').unwrap().1),
    ] {
        assert_eq!(form[parameter], value, "{parameter}");
    }
    assert!(!form.contains_key("client_secret") && !form.contains_key("scope"));
    assert_eq!(world.token().await.unwrap(), "access-token-of-the-consent");
    assert_eq!(world.server.tokens().len(), 1);
    assert_eq!(world.outcome().await.unwrap(), "ok");
    let pinned = world.consents.pin(&name()).await.unwrap().unwrap();
    assert_eq!((pinned.org.as_str(), pinned.user.as_str()), (ORG, USER));
}

#[tokio::test]
async fn a_page_is_plain_html_that_nothing_can_run_in_and_nobody_keeps() {
    let world = World::new().await;
    let app = world.app();
    let refused = visit(&app, Visit::get("/connect/crm", "")).await;
    for page in [world.consent(&app).await, refused] {
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(page.headers["cache-control"], "no-store");
        assert_eq!(page.headers["referrer-policy"], "no-referrer");
        assert_eq!(page.headers["x-frame-options"], "DENY");
        let policy = &page.headers["content-security-policy"];
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(page.body.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"), "{}", page.body);
        assert_eq!(page.body.matches("<h1>").count(), 1);
        for absent in ["<script", " style=", "<form", "<img", "http://", "https://"] {
            assert!(!page.body.contains(absent), "{absent}: {}", page.body);
        }
        assert!(page.body.contains("<title>") && page.body.contains("<main>"));
    }
}

#[tokio::test]
async fn a_consent_without_a_refresh_token_is_accepted_and_said() {
    let world = World::new().await;
    let mut answer = tokens();
    answer.as_object_mut().unwrap().remove("refresh_token");
    world.server.says(200, answer);
    let page = world.consent(&world.app()).await;
    assert_eq!(page.refused(), (200, "consent_without_refresh_token"));
    assert!(page.body.contains("no refresh token"), "{}", page.body);
    assert_eq!(world.token().await.unwrap(), "access-token-of-the-consent");
    assert_eq!(world.outcome().await.unwrap(), "consent_without_refresh_token");
}

#[tokio::test]
async fn a_client_secret_goes_with_the_code() {
    let world = World::new().await;
    let id = "northstar/connections/crm";
    world.register(|_| {}, |oauth| oauth.secret_id = Some(id.to_owned())).await;
    let app = world.app();
    let page = world.consent(&app).await;
    assert_eq!(page.refused(), (409, "connection_misconfigured"));
    assert!(page.body.contains("its client secret or private key does not exist"), "{}", page.body);
    world.secrets().create(id, &"s3cret".to_owned().into()).await.unwrap();
    assert_eq!(world.consent(&app).await.status, 200);
    assert_eq!(world.server.tokens()[0]["client_secret"], "s3cret");
}

fn of(org: &str, user: &str) -> serde_json::Value {
    let mut answer = tokens();
    answer["id"] = identity(org, user).into();
    answer["refresh_token"] = format!("refresh-{org}-{user}").into();
    answer["access_token"] = format!("access-{org}-{user}").into();
    answer
}

#[tokio::test]
async fn somebody_else_than_the_first_is_refused_and_their_tokens_are_given_back() {
    let (other_org, other_user) = ("00D000000000002AAA", "005000000000002AAA");
    let world = World::new().await;
    let app = world.app();
    assert_eq!(world.consent(&app).await.status, 200);
    for (answer, new_user, refused) in [
        (of(other_org, USER), false, "consent_other_org"),
        (of(other_org, USER), true, "consent_other_org"),
        (of(ORG, other_user), false, "consent_other_user"),
        (json!({"access_token": "nobody's", "refresh_token": "refresh-nobody"}), true, "consent_identity_missing"),
    ] {
        let given_back = answer["refresh_token"].as_str().unwrap().to_owned();
        world.server.says(200, answer);
        let page = visit(&app, world.begin_for(&app, new_user).await.back()).await;
        assert_eq!(page.refused(), (403, refused), "{new_user}");
        assert_eq!(world.server.revoked().last(), Some(&given_back));
        assert_eq!(world.outcome().await.unwrap(), refused);
        assert_eq!(world.token().await.unwrap(), "access-token-of-the-consent", "the first grant stays");
    }
    world.server.says(200, of(ORG, other_user));
    let page = visit(&app, world.begin_for(&app, true).await.back()).await;
    assert_eq!(page.status, 200, "a link for another user: {}", page.body);
    assert_eq!(world.consents.pin(&name()).await.unwrap().unwrap().user, other_user);
    world.server.says(200, tokens());
    assert_eq!(world.consent(&app).await.refused(), (403, "consent_other_user"), "now the first one is another");
}

#[tokio::test]
async fn of_two_first_consents_at_once_one_org_is_pinned() {
    let world = World::new().await;
    let app = world.app();
    let (first, second) = (world.begin(&app).await, world.begin(&app).await);
    world.server.says(200, of(ORG, USER));
    let one = visit(&app, first.back());
    let other = async {
        world.server.says(200, of("00D000000000002AAA", USER));
        visit(&app, second.back()).await
    };
    let (one, other) = tokio::join!(one, other);
    let (statuses, pinned) = ([one.status, other.status], world.consents.pin(&name()).await.unwrap().unwrap());
    assert!(statuses.contains(&200), "{statuses:?}");
    assert!(
        world.token().await.unwrap().starts_with(&format!("access-{}", pinned.org)),
        "the grant is the pinned one's"
    );
}

fn with_id_token(claims: &serde_json::Value) -> serde_json::Value {
    let mut answer = tokens();
    answer.as_object_mut().unwrap().remove("id");
    answer["id_token"] = format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string())).into();
    answer
}

#[tokio::test]
async fn an_id_token_says_who_consented_if_it_is_of_this_issuer_for_this_client() {
    let world = World::new().await;
    let app = world.app();
    for claims in [
        json!({"iss": "https://other.example.com", "sub": "7", "aud": "client"}),
        json!({"iss": ISSUER, "sub": "7", "aud": "other"}),
        json!({"iss": ISSUER, "sub": "<b>", "aud": "client"}),
        json!({}),
    ] {
        world.server.says(200, with_id_token(&claims));
        let page = world.consent(&app).await;
        assert_eq!(page.refused(), (403, "consent_identity_invalid"), "{claims}");
    }
    assert_eq!(world.token().await, None);
    world.server.says(200, with_id_token(&json!({"iss": ISSUER, "sub": "auth0|7", "aud": ["client"]})));
    assert_eq!(world.consent(&app).await.status, 200);
    world.server.says(200, with_id_token(&json!({"iss": ISSUER, "sub": "auth0|8", "aud": "client"})));
    assert_eq!(world.consent(&app).await.refused(), (403, "consent_other_user"));
}

#[tokio::test]
async fn a_result_page_is_told_how_it_ended() {
    let world = World::new().await;
    let app = world.app();
    let result_page = Some("https://portal.example.com/done?tab=mcp".to_owned());
    world.register(|upstream| upstream.result_page = result_page, |_| {}).await;
    let to = |page: &Page| (page.status, page.location().to_owned(), page.body.len());
    let success = "https://portal.example.com/done?tab=mcp&oauth=success".to_owned();
    assert_eq!(to(&world.consent(&app).await), (303, success, 0));
    let denied = visit(&app, world.begin(&app).await.back_with("error=access_denied")).await;
    let error = "https://portal.example.com/done?tab=mcp&oauth=error&reason=consent_denied".to_owned();
    assert_eq!(to(&denied), (303, error, 0));
    let unknown = visit(&app, Visit::callback("code=a&state=b")).await;
    assert_eq!(unknown.refused(), (400, "consent_state_unknown"), "nobody's consent has no page of its own");
}

#[tokio::test]
async fn nothing_secret_is_in_the_tables_the_log_or_a_page() {
    let world = World::new().await;
    let app = world.app();
    let link = world.link().await;
    let start = visit(&app, Visit::get("/connect/crm", &link)).await;
    let begun = begun(&start);
    let verifier = begun.cookie.split_once('=').unwrap().1.to_owned();
    let before = world.dump().await;
    let page = visit(&app, begun.back_with("code=a-code-of-its-own")).await;
    assert_eq!(page.status, 200);
    let after = world.dump().await;
    let ticket = link.strip_prefix("ticket=").unwrap();
    let secrets = [
        ticket,
        &begun.state,
        &verifier,
        "a-code-of-its-own",
        "access-token-of-the-consent",
        "refresh-token-of-the-consent",
    ];
    for secret in secrets {
        let bytes = format!("{:?}", secret.as_bytes()).replace(['[', ']'], "");
        for (place, text) in [("before", &before), ("after", &after), ("log", &LOG.text()), ("page", &page.body)] {
            assert!(!text.contains(secret) && !text.contains(&bytes), "{secret} is in {place}");
        }
    }
    let lines = LOG.text();
    let line = lines.lines().rfind(|line| line.contains(r#""method":"callback""#)).unwrap();
    assert!(line.contains(r#""fn":"connect""#) && line.len() < 400, "{line}");
}
