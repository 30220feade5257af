//! Authorization URLs, responses and identities.

use registry::{ClientAuth, Flow};

use super::*;

fn server(iss_promised: bool) -> AuthorizationServer {
    AuthorizationServer {
        authorize_url: "https://login.example.com/authorize".to_owned(),
        issuer: "https://login.example.com".to_owned(),
        iss_promised,
    }
}

fn connection() -> Connection {
    Connection {
        name: ConnectionName::parse("crm").unwrap(),
        token_endpoint: "https://login.example.com/token".to_owned(),
        client_id: "client&1".to_owned(),
        flow: Flow::RefreshToken { client_auth: ClientAuth::Post },
        secret_id: None,
        issuer: Some("https://login.example.com".to_owned()),
        resource: Some("https://mcp.example.com/mcp".to_owned()),
        scopes: vec!["mcp_api".to_owned(), "refresh_token".to_owned()],
    }
}

fn answer(identity: Option<&str>, id_token: Option<String>) -> TokenAnswer {
    TokenAnswer {
        access_token: "token".to_owned().into(),
        refresh_token: None,
        expires_at: None,
        unverified_instance_url: None,
        identity: identity.map(str::to_owned),
        unverified_id_token: id_token.map(Into::into),
    }
}

fn id_token(claims: &str) -> String {
    format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
}

#[test]
fn an_authorization_url_has_every_parameter_once_and_keeps_the_endpoints_own() {
    let state = "s".repeat(43).into();
    let url = |server| authorization_url(&server, &connection(), "https://n.example/connect/callback", &state, "ch");
    let expected = format!(
        "response_type=code&client_id=client%261&redirect_uri=https%3A%2F%2Fn.example%2Fconnect%2Fcallback\
         &scope=mcp_api+refresh_token&state={}&code_challenge=ch&code_challenge_method=S256\
         &resource=https%3A%2F%2Fmcp.example.com%2Fmcp",
        "s".repeat(43)
    );
    assert_eq!(url(server(false)), format!("https://login.example.com/authorize?{expected}"));
    let with_query = AuthorizationServer { authorize_url: "https://a.example/x?tenant=1".to_owned(), ..server(false) };
    assert_eq!(url(with_query), format!("https://a.example/x?tenant=1&{expected}"));
    let bare = Connection { scopes: Vec::new(), resource: None, ..connection() };
    let url = authorization_url(&server(false), &bare, "https://n.example/connect/callback", &state, "ch");
    assert!(!url.contains("scope=") && !url.contains("resource="), "{url}");
}

#[test]
fn orgs_and_upstreams_of_salesforce_share_a_redirect_uri_and_every_other_upstream_has_its_own() {
    fn uri(authorize_url: Option<&str>, token_url: Option<&str>) -> String {
        redirect_uri("https://n.example", &ConnectionName::parse("crm").unwrap(), authorize_url, token_url)
    }
    let shared = salesforce_redirect_uri("https://n.example");
    assert_eq!(shared, "https://n.example/connect/callback");
    let own = "https://n.example/connect/crm";
    for host in [
        "login.salesforce.com",
        "LOGIN.Salesforce.com",
        "test.salesforce.com:443",
        "example--dev.sandbox.my.salesforce.com",
        "salesforce.com",
    ] {
        let url = format!("https://{host}/services/oauth2/authorize?prompt=login");
        assert_eq!(uri(Some(&url), Some("https://login.salesforce.com/services/oauth2/token")), shared, "{host}");
    }
    let good = "https://login.salesforce.com/x";
    for other in [
        "https://login.example.com/login.salesforce.com",
        "https://notsalesforce.com/",
        "https://salesforce.com.example.com/",
        "https://login.salesforce.com./",
        "https://.salesforce.com/",
        "https://login.salesforce.com@example.com/",
        "https://login.example.com/?.salesforce.com",
        "https://login.example.com#.salesforce.com",
        "https://login.salesforce.com:8443/",
        "http://login.salesforce.com/",
        "http://127.0.0.1:9100/services/oauth2/authorize",
        "",
    ] {
        assert_eq!(uri(Some(other), Some(good)), own, "{other}");
        // A server that has people log in at Salesforce, and wants the code itself.
        assert_eq!(uri(Some(good), Some(other)), own, "{other}");
    }
    assert_eq!((uri(None, Some(good)), uri(Some(good), None), uri(None, None)), (own.into(), own.into(), own.into()));
}

/// RFC 7636, appendix B.
#[test]
fn a_challenge_is_that_of_the_rfc() {
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned().into();
    assert_eq!(code_challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    assert!(is_challenge_of("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", &verifier));
    assert!(!is_challenge_of("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cN", &verifier));
    assert!(!is_challenge_of("", &verifier));
}

#[test]
fn a_secret_is_256_random_bits_in_base64url() {
    let (one, other) = (random_secret().unwrap(), random_secret().unwrap());
    assert!(is_random_secret(one.expose_secret()));
    assert_ne!(one.expose_secret(), other.expose_secret());
    for text in ["", &"a".repeat(42), &"a".repeat(44), &"+".repeat(43), &"\u{e9}".repeat(21)] {
        assert!(!is_random_secret(text), "{text}");
    }
}

#[test]
fn a_response_is_a_code_or_an_error_and_nothing_twice() {
    let response = AuthorizationResponse::parse("state=s&code=c%2B1&iss=https%3A%2F%2Fa.example").unwrap();
    assert_eq!(response.state.unwrap().expose_secret(), "s");
    assert_eq!(
        (response.outcome.unwrap().expose_secret(), response.iss.unwrap().as_str()),
        ("c+1", "https://a.example")
    );

    for (query, error) in [
        ("error=access_denied", Some("access_denied")),
        ("error=access_denied&error_description=end-user+denied+authorization&state=s", {
            Some("access_denied (end-user denied authorization)")
        }),
        ("error=access_denied&error_description=Northstar+was+here", Some("access_denied")),
        ("error=%3Cscript%3E", None),
        ("error=", None),
    ] {
        let response = AuthorizationResponse::parse(query).unwrap();
        assert_eq!(response.outcome.unwrap_err().map(|error| error.to_string()).as_deref(), error, "{query}");
    }
    for query in [
        "",
        "state=s",
        "code=",
        "code=a&code=b",
        "code=a&code=a",
        "code=a&error=access_denied",
        "error=a&error=b",
        "code=a&state=s&state=s",
        "code=a&iss=a&iss=b",
        "error=access_denied&error_description=a&error_description=b",
    ] {
        assert_eq!(AuthorizationResponse::parse(query).unwrap_err(), ConsentError::ResponseInvalid, "{query}");
    }
}

#[test]
fn an_issuer_is_compared_byte_for_byte_and_missed_when_it_is_promised() {
    for promised in [true, false] {
        assert_eq!(check_issuer(&server(promised), Some("https://login.example.com")), Ok(()));
        for other in ["https://login.example.com/", "https://LOGIN.example.com", "http://login.example.com", ""] {
            assert_eq!(check_issuer(&server(promised), Some(other)), Err(ConsentError::IssuerWrong), "{other}");
        }
    }
    assert_eq!(check_issuer(&server(true), None), Err(ConsentError::IssuerMissing));
    assert_eq!(check_issuer(&server(false), None), Ok(()));
}

#[test]
fn an_identity_is_salesforces_or_that_of_an_id_token_for_us() {
    let url = "https://login.salesforce.com/id/00D000000000001AAA/005000000000001AAA";
    let identity = Identity::of(&answer(Some(url), None), &connection()).unwrap().unwrap();
    assert_eq!((identity.org.as_str(), identity.user.as_str()), ("00D000000000001AAA", "005000000000001AAA"));
    for none in ["https://login.salesforce.com/id/00D000000000001AAA", "42", "https://a.example/id/x/y"] {
        assert_eq!(Identity::of(&answer(Some(none), None), &connection()), Ok(None), "{none}");
    }
    assert_eq!(Identity::of(&answer(None, None), &connection()), Ok(None));

    for aud in [r#""client&1""#, r#"["other","client&1"]"#] {
        let token = id_token(&format!(r#"{{"iss":"https://login.example.com","sub":"auth0|7","aud":{aud}}}"#));
        let identity = Identity::of(&answer(None, Some(token)), &connection()).unwrap().unwrap();
        assert_eq!((identity.org.as_str(), identity.user.as_str()), ("https://login.example.com", "auth0|7"));
    }
    for claims in [
        r#"{"iss":"https://other.example.com","sub":"7","aud":"client&1"}"#,
        r#"{"iss":"https://login.example.com/","sub":"7","aud":"client&1"}"#,
        r#"{"iss":"https://login.example.com","sub":"7","aud":"other"}"#,
        r#"{"iss":"https://login.example.com","sub":"7","aud":[]}"#,
        r#"{"iss":"https://login.example.com","sub":"7"}"#,
        r#"{"iss":"https://login.example.com","sub":"","aud":"client&1"}"#,
        r#"{"iss":"https://login.example.com","sub":"<b>","aud":"client&1"}"#,
        r#"{"iss":"https://login.example.com","aud":"client&1"}"#,
        "[]",
        "",
    ] {
        let outcome = Identity::of(&answer(None, Some(id_token(claims))), &connection());
        assert_eq!(outcome, Err(ConsentError::IdentityInvalid), "{claims}");
    }
    for token in ["", "a", "a.b", "a.%.c"] {
        let outcome = Identity::of(&answer(None, Some(token.to_owned())), &connection());
        assert_eq!(outcome, Err(ConsentError::IdentityInvalid), "{token}");
    }
}

#[test]
fn another_org_is_never_taken_and_another_user_only_by_a_link_for_one() {
    let person = |org: &str, user: &str| Identity { org: org.to_owned(), user: user.to_owned() };
    let first = person("00D1", "0051");
    assert_eq!(check_identity(None, Some(&first), false), Ok(()));
    assert_eq!(check_identity(None, None, false), Ok(()));
    assert_eq!(check_identity(Some(&first), Some(&first), false), Ok(()));
    assert_eq!(check_identity(Some(&first), Some(&person("00D1", "0052")), true), Ok(()));
    for new_user in [true, false] {
        for other in [person("00D2", "0051"), person("00D2", "0052")] {
            assert_eq!(check_identity(Some(&first), Some(&other), new_user), Err(ConsentError::OtherOrg));
        }
        assert_eq!(check_identity(Some(&first), None, new_user), Err(ConsentError::IdentityMissing));
    }
    assert_eq!(check_identity(Some(&first), Some(&person("00D1", "0052")), false), Err(ConsentError::OtherUser));
}
