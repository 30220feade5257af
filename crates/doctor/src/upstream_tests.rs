use super::*;

const URL: &str = "https://api.salesforce.com/platform/mcp/v1/platform/sobject-reads";

fn registration() -> Registration {
    Registration {
        name: "sales".into(),
        url: URL.into(),
        preset_of_sandbox: Some(false),
        consent: true,
        tokens: true,
        client_id: Some("3MVG9key".into()),
        redirect_uri: "https://mcp.example.com/connect/callback".into(),
        scopes: vec!["mcp_api".into(), "refresh_token".into()],
        issuer: "https://login.salesforce.com".into(),
        login_url: "https://login.salesforce.com/services/oauth2/authorize".into(),
        age: 7200,
        ..Registration::default()
    }
}

fn observed(change: impl FnOnce(&mut Observed)) -> Observed {
    let mut observed = Observed { registration: registration(), ..Observed::default() };
    change(&mut observed);
    observed
}

/// Ids of what is not well.
fn found(change: impl FnOnce(&mut Observed)) -> Vec<String> {
    let findings = judge(&observed(change)).into_iter();
    findings.filter(|finding| finding.status != Status::Pass).map(|finding| finding.id).collect()
}

fn page(status: u16, body: &str) -> Option<Reply> {
    Some(Ok(Response { status, body: body.into(), ..Response::default() }))
}

fn redirect(location: &str) -> Option<Reply> {
    Some(Ok(Response { status: 302, location: Some(location.into()), ..Response::default() }))
}

fn token(jwt: bool, identity: &str) -> Option<Grant> {
    Some(Grant::Token { jwt, identity: Some(identity.into()) })
}

fn refused(status: u16, body: &str) -> Option<ServerReply> {
    Some(ServerReply::Refused(Response { status, body: body.into(), ..Response::default() }))
}

const IDENTITY: &str = "https://login.salesforce.com/id/00D000000000001EAA/005000000000001AAA";

#[test]
fn a_login_page_that_repeats_the_request_is_no_error() {
    let start =
        "https://x.my.salesforce.com/?ec=302&startURL=%2Fauthorize%3Fcode_challenge%3Dx%26scope%3Dinvalid_scope";
    for reply in
        [redirect(start), page(200, "<form action=/login?code_challenge=abc&redirect_uri=redirect_uri_mismatch>")]
    {
        assert_eq!(found(|seen| seen.authorization = reply), Vec::<String>::new());
    }
}

#[test]
fn a_script_that_handles_errors_is_no_error() {
    for script in ["window.onerror=function", "document.error=handle", "is_error=yes", "$error=no", "data-error=none"] {
        let login = format!("<script>{script}</script><form action=/login>");
        assert_eq!(found(|seen| seen.authorization = page(200, &login)), Vec::<String>::new(), "{script}");
        let refused = format!("{login}<pre>error=invalid_scope&amp;error_description=x</pre>");
        let ids = found(|seen| seen.authorization = page(200, &refused));
        assert_eq!(ids, ["upstream_authorization.invalid_scope"], "{script}");
    }
}

#[test]
fn what_a_page_says_is_shown_without_the_entities_of_html() {
    let said = "error=redirect_uri_mismatch&amp;error_description=it%20hasn&#39;t%20&quot;matched&quot;";
    let refused = format!("<h1>Oops!</h1><pre>{said}</pre>");
    for (reply, expected) in [
        (page(400, &refused), "redirect_uri_mismatch&error_description=it hasn't \"matched\""),
        (page(400, "Nothing &amp; nobody"), "nothing & nobody"),
        (page(503, "Down &amp; out"), "status 503: Down & out"),
    ] {
        let findings = judge(&observed(|seen| seen.authorization = reply));
        assert_eq!(findings[0].seen, expected);
    }
}

#[test]
fn each_refusal_of_the_authorization_endpoint_has_its_cause() {
    let back = "https://mcp.example.com/connect/callback";
    for (reply, expected) in [
        (
            page(400, "error=redirect_uri_mismatch&error_description=redirect_uri%20must%20match%20configuration"),
            "redirect_mismatch",
        ),
        (
            page(400, "<h1>oops!</h1><pre>error=invalid_redirect_uri</pre>redirect_uri did not match"),
            "redirect_mismatch",
        ),
        (
            redirect(&format!(
                "{back}?error=invalid_scope&error_description=the+requested+scope+is+not+allowed&state=x"
            )),
            "invalid_scope",
        ),
        (
            redirect(&format!("{back}?error=invalid_request&error_description=missing%20required%20code%20challenge")),
            "pkce",
        ),
        (page(400, "error=invalid_client_id&error_description=client%20identifier%20invalid"), "client_id"),
        (redirect(&format!("{back}?error=access_denied")), "rights"),
        (
            redirect(
                "https://x.my.salesforce.com/setup/secur/RemoteAccessErrorPage.apexp?error=OAUTH_APP_ACCESS_DENIED",
            ),
            "rights",
        ),
        (page(400, "something else"), "refused"),
        (page(503, ""), "failing"),
        (page(404, ""), "unreachable"),
        (Some(Err("the host cannot be reached".into())), "unreachable"),
    ] {
        let ids = found(|seen| seen.authorization = reply.clone());
        assert_eq!(ids, [format!("upstream_authorization.{expected}")], "{reply:?}");
    }
}

#[test]
fn an_unknown_client_is_young_or_of_the_other_kind_of_org_or_mistaken() {
    let unknown = || page(400, "error=invalid_client_id&error_description=client%20identifier%20invalid");
    let with = |change: &dyn Fn(&mut Registration)| {
        found(|seen| {
            change(&mut seen.registration);
            seen.authorization = unknown();
        })
    };
    assert_eq!(with(&|_| ()), ["upstream_authorization.client_id"]);
    assert_eq!(with(&|of| of.age = 60), ["upstream_authorization.propagation"]);
    let test = "https://test.salesforce.com/services/oauth2/authorize";
    assert_eq!(with(&|of| of.login_url = test.into()), ["upstream_authorization.sandbox_host"]);
    let sandbox = "https://api.salesforce.com/platform/mcp/v1/sandbox/platform/sobject-reads";
    assert_eq!(with(&|of| of.url = sandbox.into()), ["upstream_authorization.sandbox_host"]);
    // A sandbox with an enhanced domain, registered at test.salesforce.com.
    let enhanced = |age| {
        with(&move |of| {
            (of.url, of.login_url, of.age) = (sandbox.into(), test.into(), age);
        })
    };
    assert_eq!(enhanced(7200), ["upstream_authorization.sandbox_host"]);
    assert_eq!(enhanced(60), ["upstream_authorization.propagation"]);
}

#[test]
fn a_token_endpoint_that_refuses_the_code_alone_knows_us() {
    let said = |code: &str| page(400, &format!("{{\"error\":\"{code}\",\"error_description\":\"x\"}}"));
    assert_eq!(found(|seen| seen.token = said("invalid_grant")), Vec::<String>::new());
    assert_eq!(found(|seen| seen.token = said("invalid_client")), ["upstream_token.secret_required"]);
    let with_secret = |seen: &mut Observed| {
        seen.registration.has_secret = true;
        seen.token = said("invalid_client");
    };
    assert_eq!(found(with_secret), ["upstream_token.secret"]);
    assert_eq!(found(|seen| seen.token = said("unsupported_grant_type")), ["upstream_token.refused"]);
    assert_eq!(found(|seen| seen.token = page(404, "<html>")), ["upstream_token.refused"]);
}

#[test]
fn what_the_mcp_server_says_is_told_from_each_other() {
    for (jwt, identity, reply, expected) in [
        (false, IDENTITY, refused(401, "{\"error\":\"INVALID_JWT_FORMAT\"}"), "not_jwt"),
        (false, IDENTITY, refused(401, "Invalid token"), "not_jwt"),
        (true, IDENTITY, refused(401, "Invalid token"), "token_refused"),
        (true, IDENTITY, refused(403, ""), "rights"),
        (
            true,
            IDENTITY,
            refused(404, "{\"error\":{\"message\":\"Server definition not found for: x\"}}"),
            "not_activated",
        ),
        (true, "https://test.salesforce.com/id/00D/005", refused(404, "Server definition not found"), "sandbox_host"),
        (true, IDENTITY, refused(405, ""), "not_mcp"),
        (true, IDENTITY, refused(503, ""), "failing"),
    ] {
        let ids = found(|seen| {
            seen.grant = token(jwt, identity);
            seen.server = reply.clone();
        });
        assert_eq!(ids, [format!("upstream_server.{expected}")], "{reply:?}");
    }
    let more =
        Response { status: 403, challenge: Some("Bearer error=\"insufficient_scope\"".into()), ..Response::default() };
    let ids = found(|seen| {
        seen.grant = token(true, IDENTITY);
        seen.server = Some(ServerReply::Refused(more));
    });
    assert_eq!(ids, ["upstream_server.insufficient_scope"]);
    // Without a grant it is the grant that is missing, and nothing else.
    let ids = found(|seen| {
        seen.grant = Some(Grant::Missing);
        seen.server = refused(401, "JWT Token is required");
    });
    assert_eq!(ids, ["upstream_grant.missing"]);
}

#[test]
fn a_grant_that_is_refused_says_why() {
    for (reason, expected) in [
        ("invalid_grant (expired access/refresh token)", "expired"),
        ("invalid_grant", "expired"),
        ("invalid_grant (inactive user)", "rights"),
        ("invalid_client (invalid client credentials)", "secret_required"),
        ("insufficient_scope", "invalid_scope"),
        ("unsupported_grant_type", "refused"),
    ] {
        let ids = found(|seen| seen.grant = Some(Grant::Refused(reason.into())));
        assert_eq!(ids, [format!("upstream_grant.{expected}")], "{reason}");
    }
}

#[test]
fn each_end_of_a_consent_has_its_cause() {
    for (code, expected) in [
        ("consent_issuer_wrong", "issuer"),
        ("consent_issuer_missing", "issuer"),
        ("consent_other_browser", "other_browser"),
        ("consent_state_unknown", "consent_expired"),
        ("consent_other_org", "other_identity"),
        ("consent_other_user", "other_identity"),
        ("consent_denied", "declined"),
        ("consent_scope_refused", "invalid_scope"),
        ("consent_redirect_mismatch", "redirect_mismatch"),
        ("consent_without_refresh_token", "no_refresh_token"),
        ("consent_server_unavailable", "failed"),
        ("temporarily_unavailable", "failed"),
    ] {
        let ids = found(|seen| seen.consent = Some(code.into()));
        assert_eq!(ids, [format!("upstream_consent.{expected}")], "{code}");
    }
    assert_eq!(found(|seen| seen.consent = Some("ok".into())), Vec::<String>::new());
}

#[test]
fn a_consent_that_failed_is_a_warning_while_an_earlier_one_works() {
    let findings = judge(&observed(|seen| {
        seen.consent = Some("consent_denied".into());
        seen.grant = token(true, IDENTITY);
    }));
    assert_eq!((findings[0].id.as_str(), findings[0].status), ("upstream_consent.declined", Status::Warn));
}

#[test]
fn what_the_endpoints_say_counts_more_than_that_the_consent_failed() {
    let ids = found(|seen| {
        seen.token = page(400, "{\"error\":\"invalid_client\"}");
        seen.consent = Some("consent_client_refused".into());
    });
    assert_eq!(ids, ["upstream_token.secret_required"]);
}

#[test]
fn what_is_wrong_on_our_side_is_told_from_what_is_wrong_on_theirs() {
    for (grant, expected) in [
        (Grant::Damaged, "damaged"),
        (Grant::Misconfigured("a secret is missing".into()), "misconfigured"),
        (Grant::Unavailable("the authorization server cannot be reached".into()), "unreachable"),
        (Grant::Unavailable("the authorization server failed".into()), "failing"),
    ] {
        let ids = found(|seen| seen.grant = Some(grant.clone()));
        assert_eq!(ids, [format!("upstream_grant.{expected}")], "{grant:?}");
    }
    for (reply, expected) in [
        (ServerReply::NotMcp("no JSON-RPC".into()), "not_mcp"),
        (ServerReply::Unreachable("the upstream cannot be reached".into()), "unreachable"),
    ] {
        let ids = found(|seen| seen.server = Some(reply.clone()));
        assert_eq!(ids, [format!("upstream_server.{expected}")], "{reply:?}");
    }
    let ids = found(|seen| {
        seen.registration.tokens = false;
        seen.server = refused(401, "");
    });
    assert_eq!(ids, ["upstream_server.wants_token"]);
    assert_eq!(found(|seen| seen.metadata = Some(Metadata::default())), ["upstream_metadata.no_metadata"]);
}

#[test]
fn every_problem_of_an_upstream_is_in_these_tests() {
    let tests = include_str!("upstream_tests.rs");
    let problems = ALL.iter().flat_map(|check| check.problems);
    let missing: Vec<&str> = problems
        .map(|problem| problem.id)
        .filter(|id| !tests.contains(&format!("\"{id}\"")) && !tests.contains(&format!(".{id}\"")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn one_cause_is_told_once() {
    let unknown = "{\"error\":\"invalid_client_id\",\"error_description\":\"client identifier invalid\"}";
    let ids = found(|seen| {
        seen.authorization = page(400, unknown);
        seen.token = page(400, unknown);
        seen.grant = Some(Grant::Missing);
    });
    assert_eq!(ids, ["upstream_authorization.client_id", "upstream_grant.missing"]);
}

#[test]
fn a_dead_server_is_named_beside_a_dead_authorization_server() {
    let dead = || Err("the host cannot be reached".to_owned());
    let ids = found(|seen| {
        seen.authorization = Some(dead());
        seen.token = Some(dead());
        seen.grant = Some(Grant::Unavailable("the authorization server cannot be reached".into()));
        seen.server = Some(ServerReply::Unreachable("the upstream cannot be reached".into()));
    });
    assert_eq!(ids, ["upstream_authorization.unreachable", "upstream_server.unreachable"]);
    let ids = found(|seen| {
        seen.token = page(503, "");
        seen.server = refused(503, "");
    });
    assert_eq!(ids, ["upstream_token.failing", "upstream_server.failing"]);
}

#[test]
fn metadata_and_pages_and_tools_are_judged_by_themselves() {
    let metadata = Metadata { found: true, issuer_mismatch: true, pkce_missing: true, registers: false };
    let ids = found(|seen| seen.metadata = Some(metadata));
    assert_eq!(ids, ["upstream_metadata.issuer_mismatch", "upstream_metadata.pkce_missing"]);
    let ids = found(|seen| {
        seen.registration.client_id = None;
        seen.metadata = Some(Metadata { found: true, ..Metadata::default() });
    });
    assert_eq!(ids, ["upstream_metadata.no_registration"]);
    assert_eq!(found(|seen| seen.result_page = page(404, "")), ["upstream_result_page.page"]);
    assert_eq!(found(|seen| seen.callback = page(404, "{}")), ["upstream_result_page.callback"]);
    assert_eq!(found(|seen| seen.callback = page(400, "<title>Northstar</title>")), Vec::<String>::new());
    assert_eq!(found(|seen| seen.tools = Some(Tools::default())), ["upstream_tools.none_accepted"]);
    let ids = found(|seen| seen.tools = Some(Tools { accepted: 2, withheld: vec!["find".into()] }));
    assert_eq!(ids, ["upstream_tools.changed"]);
}

#[test]
fn what_the_other_side_says_cannot_act_on_a_terminal_and_is_short() {
    let body = format!("\u{1b}[31m\u{202e}{}", "x".repeat(5000));
    let finding = &judge(&observed(|seen| seen.token = page(418, &body)))[0];
    assert!(finding.seen.chars().all(|c| !c.is_control() && c != '\u{202e}') && finding.seen.len() < 900);
    assert!(finding.fix.contains("northstar upstream show sales"), "{}", finding.fix);
}
