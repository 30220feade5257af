//! Discovery and registration against sites that are as they should be, and against those that are not.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the answer no")]

mod site;

use outbound::Fetcher;
use registry::Preset;
use site::Site;
use upstream::discovery::{AuthMethod, Discovered, Field, Finding, Inquiry, Origin, Setting, Settings, discover};
use upstream::registration::{Registration, RegistrationError, register};

const PATH_METADATA: &str = "/.well-known/oauth-protected-resource/p/mcp";
const ROOT_METADATA: &str = "/.well-known/oauth-protected-resource";
const RESOURCE: &str =
    r#"{"resource":"{origin}/p/mcp","authorization_servers":["{origin}/t1"],"scopes_supported":["a","b"]}"#;
const SERVER_METADATA: [&str; 3] = [
    "/.well-known/oauth-authorization-server/t1",
    "/.well-known/openid-configuration/t1",
    "/t1/.well-known/openid-configuration",
];
const SERVER: &str = r#"{
    "issuer":"{origin}/t1", "authorization_endpoint":"{origin}/t1/authorize?x=1", "token_endpoint":"{origin}/t1/token",
    "revocation_endpoint":"{origin}/t1/revoke", "registration_endpoint":"{origin}/t1/register",
    "code_challenge_methods_supported":["plain","S256"], "token_endpoint_auth_methods_supported":["tls_client_auth","none"],
    "authorization_response_iss_parameter_supported":true, "scopes_supported":["a","offline_access"], "x":{"y":[1]}
}"#;

/// An upstream and an authorization server with everything in its first place.
async fn good_site() -> Site {
    let site = Site::start().await;
    site.json(PATH_METADATA, RESOURCE);
    site.json(SERVER_METADATA[0], SERVER);
    site
}

async fn discovered(site: &Site) -> Discovered {
    discovered_with(site, None, Settings::default()).await
}

async fn discovered_with(site: &Site, challenge: Option<&str>, known: Settings) -> Discovered {
    let url = format!("{}/p/mcp", site.origin);
    let inquiry = Inquiry { url: &url, challenge, known, refresh_tokens: false };
    discover(&Fetcher::with_loopback(None), inquiry).await
}

fn value<T: Clone>(setting: &Option<Setting<T>>) -> Option<T> {
    setting.as_ref().map(|setting| setting.value.clone())
}

fn given(text: &str) -> Option<Setting<String>> {
    Setting::given(Some(text.to_owned()))
}

#[tokio::test]
async fn everything_is_found_and_said_to_be_discovered() {
    let site = good_site().await;
    let Discovered { settings, resource_metadata_url, server_metadata_url, findings } = discovered(&site).await;
    let origin = &site.origin;
    assert_eq!(findings, []);
    assert_eq!(settings.issuer, Some(Setting { value: format!("{origin}/t1"), origin: Origin::Discovered }));
    assert_eq!(value(&settings.resource), Some(format!("{origin}/p/mcp")));
    assert_eq!(value(&settings.authorize_url), Some(format!("{origin}/t1/authorize?x=1")));
    assert_eq!(value(&settings.token_url), Some(format!("{origin}/t1/token")));
    assert_eq!(value(&settings.revoke_url), Some(format!("{origin}/t1/revoke")));
    assert_eq!(value(&settings.registration_url), Some(format!("{origin}/t1/register")));
    assert_eq!(value(&settings.iss_promised), Some(true));
    assert_eq!(value(&settings.auth_methods), Some(vec![AuthMethod::None]));
    assert_eq!(value(&settings.scopes), Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(resource_metadata_url, Some(format!("{origin}{PATH_METADATA}")));
    assert_eq!(server_metadata_url, Some(format!("{origin}{}", SERVER_METADATA[0])));
    assert_eq!(site.asked(), [PATH_METADATA, SERVER_METADATA[0]]);
}

#[tokio::test]
async fn metadata_of_the_upstream_is_found_in_each_of_its_places() {
    let named = r#"Bearer resource_metadata="{origin}/custom.json", scope="c""#;
    let parent = RESOURCE.replace("/p/mcp", "");
    for (place, document, challenge, asked) in [
        ("/custom.json", RESOURCE, Some(named), &["/custom.json"][..]),
        (PATH_METADATA, RESOURCE, None, &[PATH_METADATA]),
        (PATH_METADATA, RESOURCE, Some("Bearer error=\"invalid_token\""), &[PATH_METADATA]),
        (ROOT_METADATA, RESOURCE, None, &[PATH_METADATA, ROOT_METADATA]),
        (ROOT_METADATA, &parent, None, &[PATH_METADATA, ROOT_METADATA]),
    ] {
        let site = Site::start().await;
        site.json(place, document);
        site.json(SERVER_METADATA[0], SERVER);
        let challenge = challenge.map(|challenge| challenge.replace("{origin}", &site.origin));
        let discovered = discovered_with(&site, challenge.as_deref(), Settings::default()).await;
        assert_eq!(discovered.findings, [], "{place}");
        assert_eq!(value(&discovered.settings.issuer), Some(format!("{}/t1", site.origin)));
        assert_eq!(site.asked()[..asked.len()], *asked, "{place}");
        let resource = document.split('"').nth(3).unwrap().replace("{origin}", &site.origin);
        assert_eq!(value(&discovered.settings.resource), Some(resource), "as it is published");
        let scopes = if place == "/custom.json" { vec!["c"] } else { vec!["a", "b"] };
        assert_eq!(value(&discovered.settings.scopes).unwrap(), scopes);
    }
}

#[tokio::test]
async fn metadata_of_the_authorization_server_is_found_in_each_of_its_places() {
    for (number, place) in SERVER_METADATA.into_iter().enumerate() {
        let site = Site::start().await;
        site.json(PATH_METADATA, RESOURCE);
        site.json(place, SERVER);
        let discovered = discovered(&site).await;
        assert_eq!(discovered.findings, [], "{place}");
        assert_eq!(discovered.server_metadata_url, Some(format!("{}{place}", site.origin)));
        assert_eq!(site.asked()[1..], SERVER_METADATA[..=number]);
    }
    let (resource, server) = (RESOURCE.replace("/t1", ""), SERVER.replace("/t1", ""));
    for place in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let site = Site::start().await;
        site.json(PATH_METADATA, &resource);
        site.json(place, &server);
        assert_eq!(discovered(&site).await.server_metadata_url, Some(format!("{}{place}", site.origin)));
    }
}

#[tokio::test]
async fn metadata_of_another_resource_is_not_used() {
    for other in
        ["https://evil.example/p/mcp", "{origin}/p/mcp/more", "{origin}/q", "{origin}/P/mcp", "", "{origin}.evil"]
    {
        let site = good_site().await;
        site.json(PATH_METADATA, &RESOURCE.replace("{origin}/p/mcp", other));
        let discovered = discovered(&site).await;
        assert_eq!(discovered.findings, [Finding::ResourceMismatch], "{other}");
        assert_eq!(discovered.settings, Settings::default(), "{other}");
        assert_eq!(site.asked(), [PATH_METADATA, ROOT_METADATA], "{other}");
    }
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_used() {
    for other in ["https://evil.example", "{origin}/t1/", "{origin}", "{origin}/T1", "{origin}/t2", ""] {
        let site = good_site().await;
        let document = SERVER.replace(r#""issuer":"{origin}/t1""#, &format!(r#""issuer":"{other}""#));
        site.json(SERVER_METADATA[0], &document);
        let discovered = discovered(&site).await;
        assert_eq!(discovered.findings, [Finding::IssuerMismatch], "{other}");
        assert_eq!(discovered.settings.token_url, None, "{other}");
        assert_eq!(discovered.settings.registration_url, None, "{other}");
        // What the upstream named stays: endpoints that are given go with it.
        assert_eq!(value(&discovered.settings.issuer), Some(format!("{}/t1", site.origin)));
    }
}

#[tokio::test]
async fn a_document_of_another_issuer_does_not_hide_the_right_one() {
    let site = good_site().await;
    site.json(SERVER_METADATA[0], &SERVER.replace(r#""{origin}/t1","#, r#""https://evil.example","#));
    site.json(SERVER_METADATA[2], SERVER);
    let discovered = discovered(&site).await;
    assert_eq!(discovered.findings, []);
    assert_eq!(discovered.server_metadata_url, Some(format!("{}{}", site.origin, SERVER_METADATA[2])));
}

#[tokio::test]
async fn what_is_given_is_never_replaced() {
    let site = good_site().await;
    let text = "https://given.example/";
    let known = Settings {
        authorize_url: given(text),
        token_url: given(text),
        revoke_url: given(text),
        registration_url: given(text),
        iss_promised: Setting::given(Some(false)),
        auth_methods: Setting::given(Some(vec![AuthMethod::Post])),
        scopes: Setting::given(Some(vec!["mine".to_owned()])),
        ..Settings::default()
    };
    let all = discovered_with(&site, None, known.clone()).await;
    let issuer = Some(Setting { value: format!("{}/t1", site.origin), origin: Origin::Discovered });
    let resource = all.settings.resource.clone();
    assert_eq!(all.settings, Settings { issuer, resource, ..known });

    let one = discovered_with(&site, None, Settings { token_url: given(text), ..Settings::default() }).await;
    assert_eq!(one.settings.token_url.map(|setting| setting.origin), Some(Origin::Given));
    assert_eq!(one.settings.authorize_url.map(|setting| setting.origin), Some(Origin::Discovered));
}

#[tokio::test]
async fn an_issuer_that_is_given_is_asked_in_place_of_the_one_that_is_named() {
    let site = good_site().await;
    site.json("/.well-known/oauth-authorization-server/own", &SERVER.replace("{origin}/t1", "{origin}/own"));
    let known = Settings { issuer: given(&format!("{}/own", site.origin)), ..Settings::default() };
    let discovered = discovered_with(&site, None, known).await;
    assert_eq!(discovered.findings, [Finding::IssuerNotListed]);
    assert_eq!(value(&discovered.settings.token_url), Some(format!("{}/own/token", site.origin)));
    assert_eq!(site.asked(), [PATH_METADATA, "/.well-known/oauth-authorization-server/own"]);
}

#[tokio::test]
async fn a_preset_needs_no_metadata_at_all() {
    let site = Site::start().await;
    let issuer = format!("{}/own", site.origin);
    let known = Settings::preset(Preset::Salesforce, Some(&issuer));
    let discovered = discovered_with(&site, None, known.clone()).await;
    assert_eq!(discovered.findings, [Finding::ResourceMetadataMissing, Finding::ServerMetadataMissing]);
    assert_eq!(discovered.settings, known);
}

#[tokio::test]
async fn an_authorization_server_without_pkce_gives_no_authorization_endpoint() {
    for methods in [r#""code_challenge_methods_supported":["plain"],"#, r#""code_challenge_methods_supported":[],"#, ""]
    {
        let site = good_site().await;
        let document = SERVER.replace(r#""code_challenge_methods_supported":["plain","S256"],"#, methods);
        site.json(SERVER_METADATA[0], &document);
        let discovered = discovered(&site).await;
        assert_eq!(discovered.findings, [Finding::PkceMissing], "{methods}");
        assert_eq!(discovered.settings.authorize_url, None);
        assert!(discovered.settings.token_url.is_some(), "client credentials need no PKCE");
    }
    let site = good_site().await;
    site.json(SERVER_METADATA[0], r#"{"issuer":"{origin}/t1","token_endpoint":"{origin}/t1/token"}"#);
    let discovered = discovered(&site).await;
    assert_eq!(discovered.findings, [], "nobody is sent to a browser");
    assert_eq!((value(&discovered.settings.iss_promised), discovered.settings.auth_methods), (Some(false), None));
}

#[tokio::test]
async fn refresh_tokens_are_asked_for_by_their_scope_where_it_is_named() {
    let site = good_site().await;
    let url = format!("{}/p/mcp", site.origin);
    for (known, expected) in [
        (Settings::default(), vec!["a", "b", "offline_access"]),
        (Settings { scopes: Setting::given(Some(vec!["mine".to_owned()])), ..Settings::default() }, vec!["mine"]),
    ] {
        let inquiry = Inquiry { url: &url, challenge: None, known, refresh_tokens: true };
        let discovered = discover(&Fetcher::with_loopback(None), inquiry).await;
        assert_eq!(value(&discovered.settings.scopes).unwrap(), expected);
    }
}

#[tokio::test]
async fn an_upstream_that_names_no_authorization_server_is_told() {
    for document in [r#"{"resource":"{origin}/p/mcp"}"#, r#"{"resource":"{origin}/p/mcp","authorization_servers":[]}"#]
    {
        let site = good_site().await;
        site.json(PATH_METADATA, document);
        assert_eq!(discovered(&site).await.findings, [Finding::NoAuthorizationServer], "{document}");
    }
}

#[tokio::test]
async fn what_is_no_metadata_is_told_from_what_is_not_there() {
    let json = "200 OK\r\ncontent-type: application/json";
    let deep = "[".repeat(5_000);
    let deep = format!(r#"{{"resource":"{{origin}}/p/mcp","issuer":"{{origin}}/t1","x":{deep}"#);
    let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(200_000));
    for (head, body, invalid) in [
        (json, "", true),
        (json, "[]", true),
        (json, "null", true),
        (json, r#"{"resource":1,"issuer":1}"#, true),
        (json, r#"{"resource":"{origin}/p/mcp","resource":"{origin}/p/mcp","issuer":"a","issuer":"a"}"#, true),
        (json, r#"{"resource":"{origin}/p/mcp","authorization_servers":"x","issuer":"a","token_endpoint":[]}"#, true),
        (json, &deep, true),
        (json, &large, true),
        ("200 OK\r\ncontent-type: text/html", RESOURCE, true),
        ("200 OK", SERVER, true),
        ("204 No Content", "", false),
        ("401 Unauthorized", RESOURCE, false),
        ("404 Not Found\r\ncontent-type: application/json", SERVER, false),
        ("500 Internal Server Error", "", false),
        ("302 Found\r\nlocation: {origin}/good.json", "", false),
        ("301 Moved Permanently\r\nlocation: /.well-known/oauth-protected-resource/p/mcp", "", false),
        ("307 Temporary Redirect\r\nlocation: http://169.254.169.254/", "", false),
    ] {
        let what = format!("{head:?} {body:.60}");
        let site = good_site().await;
        site.json("/good.json", RESOURCE);
        site.answer(PATH_METADATA, head, body);
        let expected = if invalid { Finding::ResourceMetadataInvalid } else { Finding::ResourceMetadataMissing };
        assert_eq!(discovered(&site).await.findings, [expected], "{what}");
        assert_eq!(site.asked(), [PATH_METADATA, ROOT_METADATA], "{what}");

        let site = good_site().await;
        site.json("/good.json", SERVER);
        site.answer(SERVER_METADATA[0], head, body);
        let expected = if invalid { Finding::ServerMetadataInvalid } else { Finding::ServerMetadataMissing };
        assert_eq!(discovered(&site).await.findings, [expected], "{what}");
        assert_eq!(site.asked().len(), 4, "{what}");
    }
}

/// URLs that no request may go to, and no browser either.
const HOSTILE: [&str; 24] = [
    "javascript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "http://as.example.com/",
    "ftp://as.example.com/",
    "//as.example.com/",
    "as.example.com",
    "",
    "https://",
    "https://user@as.example.com/",
    "https://as.example.com:8443/",
    "https://as.example.com/#x",
    "https://as.example.com/\\u0000",
    "https://as.example.com/\\r\\nx: y",
    "https://\u{e4}.example.com/",
    "https://169.254.169.254/latest/meta-data",
    "http://169.254.169.254/latest/meta-data",
    "https://10.0.0.1/",
    "https://[fd00::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://127.1/",
    "https://localhost.localdomain.5/",
];

#[tokio::test]
async fn an_endpoint_that_may_not_be_asked_is_left_out_and_named() {
    for hostile in HOSTILE {
        for (name, field) in [
            ("{origin}/t1/authorize?x=1", Field::AuthorizeUrl),
            ("{origin}/t1/token", Field::TokenUrl),
            ("{origin}/t1/revoke", Field::RevokeUrl),
            ("{origin}/t1/register", Field::RegistrationUrl),
        ] {
            let site = good_site().await;
            site.json(SERVER_METADATA[0], &SERVER.replace(name, hostile));
            let Discovered { settings, findings, .. } = discovered(&site).await;
            assert_eq!(findings, [Finding::UrlRefused(field)], "{hostile}");
            let urls = [settings.authorize_url, settings.token_url, settings.revoke_url, settings.registration_url];
            assert_eq!(urls.iter().flatten().count(), 3, "{hostile}: the others are used");
            assert!(urls.iter().flatten().all(|url| url.value.starts_with(&site.origin)), "{hostile}");
        }
    }
}

#[tokio::test]
async fn an_issuer_or_metadata_that_may_not_be_asked_is_not_asked() {
    for hostile in HOSTILE.into_iter().chain(["https://as.example.com/?x=1"]) {
        let site = good_site().await;
        site.json(PATH_METADATA, &RESOURCE.replace("{origin}/t1", hostile));
        let found = discovered(&site).await;
        assert_eq!(found.findings, [Finding::UrlRefused(Field::Issuer)], "{hostile}");
        assert_eq!(found.settings.issuer, None, "{hostile}");
        assert_eq!(site.asked(), [PATH_METADATA], "{hostile}");
    }
    for hostile in HOSTILE.into_iter().filter(|url| !url.contains('\\')) {
        let site = good_site().await;
        let challenge = format!("Bearer resource_metadata=\"{hostile}\"");
        let found = discovered_with(&site, Some(&challenge), Settings::default()).await;
        assert_eq!(found.findings, [Finding::UrlRefused(Field::ResourceMetadata)], "{hostile}");
        assert_eq!(site.asked(), [""; 0], "{hostile}");
    }
}

#[tokio::test]
async fn an_upstream_that_may_not_be_asked_is_not_asked() {
    let site = good_site().await;
    let url = format!("{}/p/mcp", site.origin);
    for (fetcher, url) in [
        (Fetcher::new(), url.as_str()),
        (Fetcher::with_loopback(None), "http://mcp.example.com/"),
        (Fetcher::with_loopback(None), "https://10.0.0.1/"),
    ] {
        let inquiry = Inquiry { url, challenge: None, known: Settings::default(), refresh_tokens: true };
        assert_eq!(discover(&fetcher, inquiry).await.findings, [Finding::UrlRefused(Field::Upstream)], "{url}");
    }
    assert_eq!(site.asked(), [""; 0]);
}

#[tokio::test]
async fn no_finding_has_text_of_the_other_side_in_it() {
    let site = good_site().await;
    site.json(SERVER_METADATA[0], &SERVER.replace("{origin}/t1/token", "https://10.0.0.1/S3CRET"));
    for finding in discovered(&site).await.findings {
        let text = format!("{finding} {finding:?} {} {}", finding.code(), finding.remedy());
        assert!(!text.contains("S3CRET") && !text.contains("10.0.0.1"), "{text}");
    }
}

fn registration(url: &str) -> Registration<'_> {
    Registration {
        url,
        client_name: "Northstar",
        redirect_uri: "https://mcp.example.com/connect/callback",
        scopes: &[],
        auth_method: AuthMethod::None,
    }
}

#[tokio::test]
async fn a_client_is_registered_once() {
    let site = Site::start().await;
    site.answer("/register", "201 Created\r\ncontent-type: application/json", r#"{"client_id":"c1"}"#);
    let url = format!("{}/register", site.origin);
    let registered = register(&Fetcher::with_loopback(None), &registration(&url)).await.unwrap();
    assert_eq!((registered.client_id.as_str(), registered.client_secret.is_none()), ("c1", true));
    assert_eq!(site.asked(), ["/register"]);
}

#[tokio::test]
async fn a_registration_endpoint_that_refuses_is_not_asked_again() {
    let large = format!(r#"{{"client_id":"c1","x":"{}"}}"#, "x".repeat(70_000));
    for (head, body, expected) in [
        ("401 Unauthorized", "", RegistrationError::Closed),
        ("403 Forbidden", "{}", RegistrationError::Closed),
        (
            "400 Bad Request",
            r#"{"error":"invalid_client_metadata"}"#,
            RegistrationError::Refused("invalid_client_metadata"),
        ),
        ("307 Temporary Redirect\r\nlocation: {origin}/good", "", RegistrationError::Status(307)),
        ("200 OK", "<html>", RegistrationError::Unusable("it is no registration")),
        ("201 Created", &large, RegistrationError::Unusable("it is too large")),
    ] {
        let site = Site::start().await;
        site.answer("/good", "201 Created", r#"{"client_id":"c1"}"#);
        site.answer("/register", head, body);
        let url = format!("{}/register", site.origin);
        let outcome = register(&Fetcher::with_loopback(None), &registration(&url)).await;
        assert_eq!(outcome.err(), Some(expected), "{head}");
        assert_eq!(site.asked(), ["/register"], "{head}");
    }
    for url in HOSTILE {
        let outcome = register(&Fetcher::with_loopback(None), &registration(url)).await;
        assert_eq!(outcome.err(), Some(RegistrationError::Url), "{url}");
    }
}
