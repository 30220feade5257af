//! `northstar upstream test` at set-ups that are wrong in one place: each is named, and nothing else is.

use black_box::hosted::{CLIENT_SECRET, Setup, TOKEN_MARK};
use serde_json::Value;

use crate::run;
use crate::upstreams::{World, add};

/// Ids of what is not well.
fn ids(findings: &Value) -> Vec<&str> {
    let all = findings.as_array().unwrap().iter().filter(|finding| finding["status"] != "PASS");
    all.map(|finding| finding["id"].as_str().unwrap()).collect()
}

impl World {
    /// What is found when the upstream is tested, and how the command ends.
    #[track_caller]
    fn expect(&self, name: &str, expected: &[&str]) -> Value {
        let (code, tested) = self.json(&["upstream", "test", name]);
        assert_eq!(ids(&tested["findings"]), expected, "{name}: {tested:#}");
        let printed = tested.to_string();
        assert!(!printed.contains(TOKEN_MARK) && !printed.contains(CLIENT_SECRET), "{printed}");
        let fails = tested["findings"].as_array().unwrap().iter().any(|finding| finding["status"] == "FAIL");
        assert_eq!((code == 1, tested["ok"] == false), (fails, fails));
        tested
    }

    /// Registers, consents and accepts while all is well, then changes the set-up.
    async fn broken(&self, name: &str, change: impl FnOnce(&mut Setup)) {
        self.hosted.change(|setup| *setup = Setup::default());
        assert_eq!(self.add(name, "", &[]).0, 0);
        self.consent(name, &[]).await;
        assert_eq!(self.json(&["upstream", "accept", name]).0, 0);
        self.hosted.change(change);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_is_set_up_wrong() {
    let world = World::start().await;
    assert_eq!(world.add("sales", "", &[]).0, 0);
    // 1. The callback URL.
    world.hosted.change(|setup| setup.callback_url = Some("https://other.example/callback".to_owned()));
    let found = world.expect("sales", &["upstream_authorization.redirect_mismatch", "upstream_grant.missing"]);
    let fix = found["findings"].to_string();
    assert!(fix.contains(&format!("Callback URL: {}/connect/sales", world.server.url)), "{fix}");
    // 2. The generic scope.
    world.hosted.change(|setup| (setup.callback_url, setup.scopes) = (None, vec!["api", "refresh_token"]));
    world.expect("sales", &["upstream_authorization.invalid_scope", "upstream_grant.missing"]);
    // 5. PKCE gets lost; or is not in the metadata.
    world.hosted.change(|setup| *setup = Setup { pkce_lost: true, ..Setup::default() });
    world.expect("sales", &["upstream_authorization.pkce", "upstream_grant.missing"]);
    world.hosted.change(|setup| *setup = Setup { challenge_methods: vec![], ..Setup::default() });
    world.expect("sales", &["upstream_metadata.pkce_missing", "upstream_grant.missing"]);
    // 6. A secret is wanted; or it is another one.
    world.hosted.change(|setup| *setup = Setup { secret_required: true, ..Setup::default() });
    world.expect("sales", &["upstream_token.secret_required", "upstream_grant.missing"]);
    assert_eq!(world.add("sales", "another-secret", &["--replace"]).0, 0);
    world.expect("sales", &["upstream_token.secret", "upstream_grant.missing"]);
    assert_eq!(world.add("sales", CLIENT_SECRET, &["--replace"]).0, 0);
    world.expect("sales", &["upstream_grant.missing"]);
    // 7. It is younger than 30 minutes.
    world.hosted.change(|setup| *setup = Setup { known: false, ..Setup::default() });
    let found = world.expect("sales", &["upstream_authorization.propagation", "upstream_grant.missing"]);
    assert!(found.to_string().contains("30 minutes"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_or_the_user_is_set_up_wrong() {
    let world = World::start().await;
    // Nothing.
    world.broken("well", |_| ()).await;
    world.expect("well", &[]);
    // 3. The hosted server is not activated.
    world.broken("inactive", |setup| setup.activated = false).await;
    let found = world.expect("inactive", &["upstream_server.not_activated"]);
    assert!(found.to_string().contains("Setup → MCP Servers → Salesforce Servers"), "{found}");
    // 10. A user without rights, for the server and for the app.
    world.broken("rights", |setup| setup.server_access = false).await;
    world.expect("rights", &["upstream_server.rights"]);
    world.hosted.change(|setup| setup.app_access = false);
    world.consent("rights", &[]).await;
    world.expect("rights", &["upstream_consent.declined", "upstream_server.rights"]);
    // 4. The app issues no JWTs: the consent succeeds all the same.
    world.hosted.change(|setup| *setup = Setup { jwt: false, ..Setup::default() });
    assert_eq!(world.add("opaque", "", &[]).0, 0);
    world.consent("opaque", &[]).await;
    let found = world.expect("opaque", &["upstream_server.not_jwt"]);
    assert!(found.to_string().contains("Issue JSON Web Token (JWT)-based access tokens for named users"), "{found}");
    // 8. The user is of a sandbox, the URL of production.
    let identity = "https://test.salesforce.com/id/00D000000000002EAA/005000000000002AAA".to_owned();
    world.hosted.change(|setup| *setup = Setup { identity, activated: false, ..Setup::default() });
    assert_eq!(world.add("mixed", "", &[]).0, 0);
    world.consent("mixed", &[]).await;
    world.expect("mixed", &["upstream_server.sandbox_host"]);
    let (code, _) = add(world.home(), "other", &world.hosted.sandbox_mcp_url(), "", &["--preset", "salesforce"]);
    assert_eq!(code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_consent_went_wrong_or_has_ended() {
    let world = World::start().await;
    // 9. Another issuer in the metadata, or in the answer.
    let mismatch = Setup { issuer: Some("https://login.salesforce.com"), ..Setup::default() };
    world.hosted.change(|setup| *setup = mismatch);
    let (code, added) = world.add("issuer", "", &[]);
    assert_eq!((code, &added["findings"][0]["code"]), (0, &"issuer_mismatch".into()), "{added}");
    world.expect("issuer", &["upstream_metadata.issuer_mismatch", "upstream_grant.missing"]);
    world.hosted.change(|setup| *setup = Setup { response_issuer: Some("https://evil.example"), ..Setup::default() });
    world.consent("issuer", &[]).await;
    world.expect("issuer", &["upstream_consent.issuer", "upstream_grant.missing"]);
    // 11. The consent has ended.
    world.hosted.change(|setup| *setup = Setup { lifetime: 1, ..Setup::default() });
    assert_eq!(world.add("ended", "", &[]).0, 0);
    world.consent("ended", &[]).await;
    world.hosted.change(|setup| setup.refreshes = false);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let found = world.expect("ended", &["upstream_grant.expired"]);
    assert!(found.to_string().contains("Refresh Token Policy"), "{found}");
    let (_, shown) = world.json(&["upstream", "show", "ended"]);
    assert_eq!(shown["status"], "attention", "{shown}");
    // 13. The page after success is gone.
    world.hosted.change(|setup| *setup = Setup { page: 404, ..Setup::default() });
    let page = format!("{}/done", world.hosted.url);
    assert_eq!(world.add("page", "", &["--result-page", &page]).0, 0);
    world.expect("page", &["upstream_result_page.page", "upstream_grant.missing"]);
    // Somebody of another org.
    world.broken("pinned", |_| ()).await;
    let identity = "https://login.salesforce.com/id/00D000000000009EAA/005000000000001AAA".to_owned();
    world.hosted.change(|setup| setup.identity = identity);
    world.consent("pinned", &["--new-user"]).await;
    world.expect("pinned", &["upstream_consent.other_identity"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_the_same_and_a_public_url_of_another_server_is_noticed() {
    let world = World::start().await;
    assert_eq!(world.add("sales", "", &[]).0, 0);
    let (_, tested) = world.json(&["upstream", "test", "sales"]);
    let (code, examined) = world.json(&["doctor", &world.server.url, "--upstream", "sales"]);
    assert_eq!(code, 1);
    let of_upstream: Vec<&Value> = examined["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["id"].as_str().unwrap().starts_with("upstream_"))
        .collect();
    assert_eq!(of_upstream, tested["findings"].as_array().unwrap().iter().collect::<Vec<_>>());
    assert_eq!(run(world.home(), &["doctor", &world.server.url, "--upstream", "nobody"]).0, 1);
    // People get the same, with cause and fix.
    let (_, output, _) = run(world.home(), &["upstream", "test", "sales"]);
    assert!(
        output.contains("FAIL  upstream_grant.missing")
            && output.contains("      fix    northstar upstream connect sales"),
        "{output}"
    );
    // Nobody serves at the public URL any more.
    let mut world = world;
    world.server.end_with("KILL");
    world.expect("sales", &["upstream_result_page.callback", "upstream_grant.missing"]);
}
