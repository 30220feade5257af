//! The authorization endpoint and the exchange of its codes (RFC 6749 §4.1, RFC 7636, RFC 8707): one page that stands for
//! login and consent. What the app or the callback URL is refused for is shown there, everything else goes to the callback
//! URL (External Client Apps, "OAuth 2.0 Web Server Flow"; "OAuth 2.0 Authorization Errors").

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde_json::json;
use url::Url;

use crate::answer::{Answer, Content};
use crate::demo::USERNAME;
use crate::hosted;
use crate::oauth::{self, Consent, Granted, random_text, refused, value};
use crate::state::{self, State};

/// What an authorization code stands for.
#[derive(Clone)]
pub(crate) struct Code {
    redirect_uri: String,
    challenge: Option<String>,
    consent: Consent,
    expires_at: i64,
}

/// How long a code is good for, in seconds.
const CODE_LIFETIME: i64 = 900;

type Parameters = [(String, String)];

/// `GET` (the page) and `POST` (its buttons) `/services/oauth2/authorize`
pub(crate) fn authorize(state: &mut State, query: &Parameters, decision: Option<&str>) -> Answer {
    let consent = match checked(state, query) {
        Ok(consent) => consent,
        Err(answer) => return answer,
    };
    let app = &state.options.connected_app;
    match decision {
        None => page(200, &consent_page(query, &consent)),
        Some("allow") if !app.user_is_approved => to_callback(
            state,
            query,
            &[
                ("error", "OAUTH_APP_ACCESS_DENIED"),
                ("error_description", "user is not admin approved to access this app"),
            ],
        ),
        Some("allow") => {
            let code = format!("aPrx{}", random_text(60));
            let entry = Code {
                redirect_uri: value(query, "redirect_uri").unwrap_or_default().to_owned(),
                challenge: value(query, "code_challenge").map(str::to_owned),
                consent,
                expires_at: state::now().unix_timestamp() + CODE_LIFETIME,
            };
            state.grants.codes.insert(code.clone(), entry);
            to_callback(state, query, &[("code", &code)])
        }
        Some(_) => {
            let denied = [("error", "access_denied"), ("error_description", "end-user denied authorization")];
            to_callback(state, query, &denied)
        }
    }
}

/// What would be consented to.
fn checked(state: &State, query: &Parameters) -> Result<Consent, Answer> {
    let app = &state.options.connected_app;
    if value(query, "client_id") != Some(&app.client_id) || app.is_propagating {
        return Err(error_page("invalid_client_id", "client identifier invalid"));
    }
    let redirect_uri = value(query, "redirect_uri").unwrap_or_default();
    if !app.callback_urls.iter().any(|own| own == redirect_uri) {
        return Err(error_page("redirect_uri_mismatch", "redirect_uri must match configuration"));
    }
    let refuse =
        |error, description| Err(to_callback(state, query, &[("error", error), ("error_description", description)]));
    if value(query, "response_type") != Some("code") {
        return refuse("unsupported_response_type", "response type not supported");
    }
    let scopes = value(query, "scope").filter(|scope| !scope.is_empty()).unwrap_or("api").to_owned();
    if scopes.split(' ').any(|scope| !app.scopes.iter().any(|own| own == scope)) {
        return refuse("invalid_scope", "the requested scope is not allowed");
    }
    match (value(query, "code_challenge"), value(query, "code_challenge_method")) {
        (None, _) if app.require_pkce => return refuse("invalid_request", "missing required code challenge"),
        (Some(_), Some(method)) if method != "S256" => {
            return refuse("invalid_request", "code challenge method not supported");
        }
        _ => {}
    }
    let resource = value(query, "resource");
    // Also one that is not activated, or of the other kind of org: its server says so.
    let is_own = |resource: &str| {
        resource.strip_prefix(&state.url).is_some_and(|path| path.is_empty() || path.starts_with(hosted::BASE))
    };
    if resource.is_some_and(|resource| !is_own(resource)) {
        return refuse("invalid_target", "the requested resource is not known");
    }
    Ok(Consent { scopes, resource: resource.map(str::to_owned) })
}

/// 302 to the callback URL, with `state`, and with `iss` if the server promises it.
fn to_callback(state: &State, query: &Parameters, parameters: &[(&str, &str)]) -> Answer {
    let Ok(mut location) = Url::parse(value(query, "redirect_uri").unwrap_or_default()) else {
        return error_page("redirect_uri_mismatch", "redirect_uri must match configuration");
    };
    {
        let mut pairs = location.query_pairs_mut();
        pairs.extend_pairs(parameters);
        if let Some(own) = value(query, "state") {
            pairs.append_pair("state", own);
        }
        if state.options.promises_iss {
            pairs.append_pair("iss", state.issuer());
        }
    }
    let mut answer = Answer::empty(302);
    answer.headers.push(("location", location.into()));
    answer
}

/// `grant_type=authorization_code`
pub(crate) fn exchange(state: &mut State, headers: &HeaderMap, form: &Parameters) -> Granted {
    let needs_secret = state.options.connected_app.require_secret;
    oauth::check_client(state, headers, form, needs_secret)?;
    let invalid = |description| refused(400, "invalid_grant", description);
    // A code is good once, also when what comes with it is wrong.
    let code = state.grants.codes.remove(value(form, "code").unwrap_or_default());
    let Some(code) = code else { return Err(invalid("invalid authorization code")) };
    if code.expires_at < state::now().unix_timestamp() {
        return Err(invalid("expired authorization code"));
    }
    if value(form, "redirect_uri") != Some(&code.redirect_uri) {
        return Err(refused(400, "redirect_uri_mismatch", "redirect_uri must match configuration"));
    }
    let verifier =
        value(form, "code_verifier").map(|verifier| URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())));
    if verifier != code.challenge {
        return Err(invalid("invalid code verifier"));
    }
    if value(form, "resource").is_some_and(|resource| Some(resource) != code.consent.resource.as_deref()) {
        return Err(refused(400, "invalid_target", "the requested resource is not the one of the authorization"));
    }
    let refreshes = code.consent.scopes.split(' ').any(|scope| ["refresh_token", "offline_access"].contains(&scope));
    let family = state.grants.consent(code.consent);
    let refresh_token = refreshes.then(|| state.grants.new_refresh_token(family));
    Ok((oauth::new_session(state, Some(family)), refresh_token))
}

fn consent_page(query: &Parameters, consent: &Consent) -> String {
    let mut action = Url::parse("http://any/services/oauth2/authorize").map_or_else(
        |_| String::new(),
        |mut url| {
            url.query_pairs_mut().extend_pairs(query);
            format!("{}?{}", url.path(), url.query().unwrap_or_default())
        },
    );
    action = escaped(&action);
    let scopes: String = consent.scopes.split(' ').map(|scope| format!("<li>{}</li>", escaped(scope))).collect();
    format!(
        "<h1>Allow Access?</h1><p>The app asks to:</p><ul>{scopes}</ul>\
         <p>Do you want to allow access for {USERNAME}?</p><form method=\"post\" action=\"{action}\">\
         <button name=\"decision\" value=\"deny\">Deny</button> \
         <button name=\"decision\" value=\"allow\">Allow</button></form>"
    )
}

/// Where Salesforce does not trust the callback URL it shows the error itself.
fn error_page(error: &str, description: &str) -> Answer {
    page(400, &format!("<h1>OAuth Error</h1><p>error={error}&amp;error_description={}</p>", escaped(description)))
}

fn page(status: u16, body: &str) -> Answer {
    let text = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Salesforce stand-in</title></head>\
         <body>{body}</body></html>"
    );
    Answer { body: Content::Html(text), ..Answer::empty(status) }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `/.well-known/oauth-authorization-server`, `/.well-known/openid-configuration`, there and with the path of a server
/// behind (RFC 8414, OpenID Connect Discovery). There is no registration.
pub(crate) fn metadata(state: &State) -> Answer {
    let url = &state.url;
    let mut metadata = json!({
        "issuer": state.issuer(),
        "authorization_endpoint": format!("{url}/services/oauth2/authorize"),
        "token_endpoint": format!("{url}/services/oauth2/token"),
        "revocation_endpoint": format!("{url}/services/oauth2/revoke"),
        "userinfo_endpoint": format!("{url}/services/oauth2/userinfo"),
        "jwks_uri": format!("{url}/id/keys"),
        "scopes_supported": state.options.connected_app.scopes,
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
    });
    if state.options.promises_iss {
        metadata["authorization_response_iss_parameter_supported"] = true.into();
    }
    Answer::ok(metadata)
}

/// `/.well-known/oauth-protected-resource/platform/mcp/v1/…` (RFC 9728)
pub(crate) fn protected_resource(state: &State, path: &str) -> Answer {
    let trusted = state.options.hosted.trusted.as_ref();
    Answer::ok(json!({
        "resource": format!("{}{path}", state.url),
        "authorization_servers": [trusted.map_or(state.url.as_str(), |trusted| trusted.issuer.as_str())],
        "scopes_supported": [hosted::SCOPE],
        "bearer_methods_supported": ["header"],
    }))
}
