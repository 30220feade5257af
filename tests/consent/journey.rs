//! From the link to the answer of a tool, and what people may do wrong on the way.

use black_box::Server;
use salesforce_standin::{Options, Org, Standin, TrustedIssuer};
use serde_json::json;

use crate::authorization_server::CLIENT_ID;
use crate::traces::assert_no_trace;
use crate::{AuthorizationServer, NAME, assert_is_our_page, assert_three_accounts, browse, link, query, serve_tools};

/// A local run, the hosted MCP servers, and the authorization server that both trust.
struct World {
    server: Server,
    standin: Standin,
    authorization_server: AuthorizationServer,
}

impl World {
    /// With the upstream registered, and nobody's consent.
    async fn start() -> World {
        let server = Server::start(&["--allow-loopback-upstreams"]);
        let standin = Standin::start(Org::demo(), Options::default()).await.unwrap();
        let (resource, callback) = (standin.mcp_url("sobject-all"), format!("{}/connect/{NAME}", server.url));
        let authorization_server = AuthorizationServer::start(&callback, &resource);
        let AuthorizationServer { issuer, jwks, .. } = &authorization_server;
        let trusted = TrustedIssuer { issuer: issuer.clone(), jwks: jwks.clone(), audience: None };
        standin.with_options(|options| options.hosted.trusted = Some(trusted));
        let endpoint = |path: &str| format!("{issuer}{path}");
        let added = server.json_command(&[
            "upstream",
            "add",
            NAME,
            "--url",
            &resource,
            "--preset",
            "salesforce",
            "--client-id",
            CLIENT_ID,
            "--issuer",
            issuer,
            "--authorize-url",
            &endpoint("/auth"),
            "--token-url",
            &endpoint("/token"),
            "--revoke-url",
            &endpoint("/token/revocation"),
            "--scope",
            "openid",
            "--scope",
            "mcp_api",
            "--scope",
            "refresh_token",
            "--allow-loopback",
        ]);
        assert!(added.to_string().contains(&callback), "{added}");
        World { server, standin, authorization_server }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_to_a_consent_and_the_consent_to_the_tools_of_salesforce() {
    let World { server, standin, authorization_server } = World::start().await;
    let first = link(&server);
    let page = browse("consent", &first, "consent");
    assert_is_our_page(&page, &server);
    assert_eq!(page["status"], 200, "{page}\n{}", server.log());
    assert!(page["text"].as_str().unwrap().contains(NAME), "{page}");
    assert_eq!(authorization_server.granted("authorization_code"), 1);
    assert_eq!(
        page["cookies"].as_array().unwrap().iter().filter(|name| name.to_string().contains("northstar")).count(),
        0
    );

    let folder = tempfile::tempdir().unwrap();
    let client = serve_tools(&server, folder.path());
    let seen = query(&server, &client);
    assert_three_accounts(&seen);
    // A token that may only read sees what only reads.
    let tools =
        ["getObjectSchema", "soqlQuery", "find", "getUserInfo", "listRecentSobjectRecords", "getRelatedRecords"];
    let tools = tools.map(|tool| format!("sf_{tool}"));
    assert_eq!(seen["tools"], json!(tools));

    // The second refresh is good only if the token that the first one gave was kept.
    for refreshes in 1..=2 {
        standin.expire_sessions();
        assert_three_accounts(&query(&server, &client));
        assert_eq!(authorization_server.granted("refresh_token"), refreshes);
    }
    assert_eq!(authorization_server.refused(), Vec::<serde_json::Value>::new());

    let again = browse("open", &first, "second-use");
    assert_is_our_page(&again, &server);
    assert!(again["status"].as_u64().unwrap() >= 400, "{again}");
    assert_three_accounts(&query(&server, &client));
    assert_no_trace(&server, &authorization_server, &[&first]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callback_of_another_browser_is_refused() {
    let world = World::start().await;
    let page = browse("other-browser", &link(&world.server), "other-browser");
    assert_is_our_page(&page, &world.server);
    assert!(page["status"].as_u64().unwrap() >= 400, "{page}");
    assert_eq!(world.authorization_server.granted("authorization_code"), 0, "the code was not exchanged");
    let shown = world.server.json_command(&["upstream", "show", NAME]);
    assert_eq!(shown["status"], "not connected", "{shown}");
}
