//! A hosted MCP server and its authorization server, as Salesforce's are to an administrator who sets them up, with every
//! mistake that there is to be made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The client id of the app.
pub const CLIENT_ID: &str = "3MVG9hosted";
/// Its secret, when it has one.
pub const CLIENT_SECRET: &str = "hosted-client-secret-C4n4ry";
/// What every token has in it.
pub const TOKEN_MARK: &str = "hosted-token-C4n4ry";

/// How the app, the org and the server are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The app's callback URL; any when there is none.
    pub callback_url: Option<String>,
    /// The app's scopes.
    pub scopes: Vec<&'static str>,
    /// Whether the app is known by now.
    pub known: bool,
    /// Whether the app wants its secret.
    pub secret_required: bool,
    /// Whether the app issues JWTs.
    pub jwt: bool,
    /// Whether the authorization endpoint says that the request lacks PKCE.
    pub pkce_lost: bool,
    /// Whether the user may use the app.
    pub app_access: bool,
    /// Whether the MCP server is activated.
    pub activated: bool,
    /// Whether the user may use the MCP server.
    pub server_access: bool,
    /// The issuer in the metadata; its own when there is none.
    pub issuer: Option<&'static str>,
    /// `iss` of authorization responses; its own when there is none.
    pub response_issuer: Option<&'static str>,
    /// Code challenge methods in the metadata.
    pub challenge_methods: Vec<&'static str>,
    /// Whether it registers clients.
    pub registers: bool,
    /// Whether refresh tokens are good.
    pub refreshes: bool,
    /// The user: Salesforce's identity URL.
    pub identity: String,
    /// Status of the page at `/done`.
    pub page: u16,
    /// How long access tokens are good, in seconds.
    pub lifetime: u64,
    /// The tools.
    pub tools: Vec<Value>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            callback_url: None,
            scopes: vec!["mcp_api", "refresh_token"],
            known: true,
            secret_required: false,
            jwt: true,
            pkce_lost: false,
            app_access: true,
            activated: true,
            server_access: true,
            issuer: None,
            response_issuer: None,
            challenge_methods: vec!["S256"],
            registers: false,
            refreshes: true,
            identity: "https://login.salesforce.com/id/00D000000000001EAA/005000000000001AAA".to_owned(),
            page: 200,
            lifetime: 3600,
            tools: vec![tool("soqlQuery", "Runs a SOQL query."), tool("find", "Searches.")],
        }
    }
}

/// A tool with one input, which changes nothing.
pub fn tool(name: &str, description: &str) -> Value {
    json!({
        "name": name, "title": name, "description": description,
        "inputSchema": { "type": "object", "properties": { "q": { "type": "string" } }, "required": ["q"] },
        "annotations": { "readOnlyHint": true },
    })
}

/// Both servers, on one free port of 127.0.0.1; they end with this.
pub struct Hosted {
    /// The base of all URLs, which is also the issuer.
    pub url: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    url: String,
    setup: Mutex<Setup>,
    asked: Mutex<Vec<String>>,
    /// Code challenges by code.
    codes: Mutex<HashMap<String, String>>,
    count: Mutex<usize>,
}

impl Hosted {
    /// Starts them.
    pub async fn start() -> Hosted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            url: url.clone(),
            setup: Mutex::default(),
            asked: Mutex::default(),
            codes: Mutex::default(),
            count: Mutex::default(),
        });
        let of = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = of.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let state = state.clone();
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                        let url = format!("{}{}", state.url, parts.uri);
                        Ok::<_, std::convert::Infallible>(state.answer(
                            &Url::parse(&url).unwrap(),
                            &parts.headers,
                            &body,
                        ))
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Hosted { url, state, task }
    }

    /// Its MCP endpoint, of production.
    pub fn mcp_url(&self) -> String {
        format!("{}/platform/mcp/v1/platform/sobject-reads", self.url)
    }

    /// Its MCP endpoint, of sandboxes.
    pub fn sandbox_mcp_url(&self) -> String {
        format!("{}/platform/mcp/v1/sandbox/platform/sobject-reads", self.url)
    }

    /// Sets something up in another way.
    pub fn change(&self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.state.setup.lock().unwrap());
    }

    /// Method and path of every request.
    pub fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answer = Response<Full<Bytes>>;

impl State {
    fn answer(&self, url: &Url, headers: &HeaderMap, body: &[u8]) -> Answer {
        self.asked.lock().unwrap().push(url.path().to_owned());
        let setup = self.setup.lock().unwrap().clone();
        let path = url.path();
        match path {
            "/services/oauth2/authorize" => self.authorize(&setup, url),
            "/login" => self.login(&setup, url),
            "/services/oauth2/token" => self.token(&setup, body),
            "/services/oauth2/revoke" => answer(200, "text/plain", ""),
            "/register" if setup.registers => {
                let document = json!({
                    "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
                    "token_endpoint_auth_method": "client_secret_post",
                });
                answer(201, "application/json", &document.to_string())
            }
            "/done" => answer(setup.page, "text/html", "<title>Done</title>"),
            _ if path.starts_with("/platform/mcp/v1/") => self.mcp(&setup, url, headers, body),
            _ => match path.strip_prefix("/.well-known/oauth-protected-resource/") {
                Some(rest) => {
                    let document =
                        json!({ "resource": format!("{}/{rest}", self.url), "authorization_servers": [self.url] });
                    answer(200, "application/json", &document.to_string())
                }
                None if path == "/.well-known/oauth-authorization-server" => self.metadata(&setup),
                None => answer(404, "text/html", "not here"),
            },
        }
    }

    fn metadata(&self, setup: &Setup) -> Answer {
        let at = |name: &str| format!("{}/services/oauth2/{name}", self.url);
        let mut document = json!({
            "issuer": setup.issuer.unwrap_or(&self.url),
            "authorization_endpoint": at("authorize"), "token_endpoint": at("token"), "revocation_endpoint": at("revoke"),
            "response_types_supported": ["code"], "code_challenge_methods_supported": setup.challenge_methods,
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
            "authorization_response_iss_parameter_supported": true,
        });
        if setup.registers {
            document["registration_endpoint"] = json!(format!("{}/register", self.url));
        }
        answer(200, "application/json", &document.to_string())
    }

    /// Salesforce tells a wrong client or callback on a page of its own, the rest in a redirect.
    fn authorize(&self, setup: &Setup, url: &Url) -> Answer {
        let given = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let page = |text: &str| answer(400, "text/html", &format!("<html><body>{text}</body></html>"));
        if !setup.known || given("client_id").as_deref() != Some(CLIENT_ID) {
            return page("error=invalid_client_id&error_description=client%20identifier%20invalid");
        }
        let callback = given("redirect_uri").unwrap_or_default();
        if setup.callback_url.as_ref().is_some_and(|url| *url != callback) {
            return page("error=redirect_uri_mismatch&error_description=redirect_uri%20must%20match%20configuration");
        }
        let back = |error: &str, description: &str| {
            let state = given("state").unwrap_or_default();
            let fields = [
                ("error", error),
                ("error_description", description),
                ("state", &state),
                ("iss", setup.response_issuer.unwrap_or(&self.url)),
            ];
            redirect(Url::parse_with_params(&callback, fields).unwrap().as_str())
        };
        if setup.pkce_lost || given("code_challenge_method").as_deref() != Some("S256") {
            return back("invalid_request", "missing required code challenge");
        }
        let scopes = given("scope").unwrap_or_default();
        if scopes.split(' ').any(|scope| !setup.scopes.contains(&scope)) {
            return back("invalid_scope", "the requested scope is not allowed");
        }
        redirect(&format!("{}/login?{}", self.url, url.query().unwrap_or_default()))
    }

    /// The user is logged in, and allows the app at once.
    fn login(&self, setup: &Setup, url: &Url) -> Answer {
        let given = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        let code = format!("{TOKEN_MARK}-code-{}", self.next());
        self.codes.lock().unwrap().insert(code.clone(), given("code_challenge"));
        let outcome = if setup.app_access { ("code", code.as_str()) } else { ("error", "access_denied") };
        let state = given("state");
        let fields = [outcome, ("state", &state), ("iss", setup.response_issuer.unwrap_or(&self.url))];
        redirect(Url::parse_with_params(&given("redirect_uri"), fields).unwrap().as_str())
    }

    fn token(&self, setup: &Setup, body: &[u8]) -> Answer {
        let form: HashMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let refused = |error: &str, description: &str| {
            answer(400, "application/json", &json!({ "error": error, "error_description": description }).to_string())
        };
        if !setup.known || field("client_id") != CLIENT_ID {
            return refused("invalid_client_id", "client identifier invalid");
        }
        if setup.secret_required && field("client_secret") != CLIENT_SECRET {
            return refused("invalid_client", "invalid client credentials");
        }
        let number = self.next();
        match field("grant_type") {
            "authorization_code" => {
                let challenge = self.codes.lock().unwrap().remove(field("code"));
                let verifier = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, field("code_verifier").as_bytes());
                if challenge != Some(BASE64_URL_SAFE_NO_PAD.encode(verifier)) {
                    return refused("invalid_grant", "invalid authorization code");
                }
            }
            "refresh_token" if setup.refreshes => {}
            "refresh_token" => return refused("invalid_grant", "expired access/refresh token"),
            "client_credentials" => {}
            _ => return refused("unsupported_grant_type", "grant type not supported"),
        }
        let payload = BASE64_URL_SAFE_NO_PAD.encode(format!("{{\"sub\":\"{TOKEN_MARK}-{number}\"}}"));
        let token = match setup.jwt {
            true => format!("eyJhbGciOiJub25lIn0.{payload}.{TOKEN_MARK}"),
            false => format!("00D!{TOKEN_MARK}.{number}"),
        };
        let document = json!({
            "access_token": token, "token_type": "Bearer", "expires_in": setup.lifetime,
            "refresh_token": format!("5Aep{TOKEN_MARK}-{number}"), "id": setup.identity,
        });
        answer(200, "application/json", &document.to_string())
    }

    fn mcp(&self, setup: &Setup, url: &Url, headers: &HeaderMap, body: &[u8]) -> Answer {
        let refused = |status: u16, text: Value| answer(status, "application/json", &text.to_string());
        let token = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let Some(token) = token else {
            let place = format!("{}/.well-known/oauth-protected-resource{}", self.url, url.path());
            let mut response = refused(401, json!({ "message": "JWT Token is required" }));
            let challenge = format!("Bearer resource_metadata=\"{place}\"");
            response.headers_mut().insert("www-authenticate", challenge.parse().unwrap());
            return response;
        };
        if !token.starts_with("eyJ") {
            // It repeats what it was sent.
            let message = format!("Invalid token {token}");
            return refused(401, json!([{ "errorCode": "INVALID_JWT_FORMAT", "message": message }]));
        }
        if !setup.activated {
            let message = format!("Server definition not found for: {}", url.path());
            return refused(404, json!({ "error": { "code": 404, "message": message } }));
        }
        if !setup.server_access {
            return refused(403, json!({ "error": { "code": 403, "message": "Access denied" } }));
        }
        let message: Value = serde_json::from_slice(body).unwrap_or_default();
        let result = match message["method"].as_str() {
            Some("tools/list") => {
                json!({ "tools": setup.tools, "ttlMs": 0, "cacheScope": "private", "resultType": "complete" })
            }
            Some("server/discover") => json!({
                "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} }, "ttlMs": 0, "cacheScope": "private",
                "serverInfo": { "name": "hosted", "version": "1" }, "resultType": "complete",
            }),
            _ => return refused(400, json!({ "error": "unknown" })),
        };
        answer(200, "application/json", &json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }).to_string())
    }

    fn next(&self) -> usize {
        let mut count = self.count.lock().unwrap();
        *count += 1;
        *count
    }
}

fn redirect(location: &str) -> Answer {
    let mut response = answer(302, "text/html", "");
    response.headers_mut().insert("location", location.parse().unwrap());
    response
}

fn answer(status: u16, content_type: &str, body: &str) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", content_type.parse().unwrap());
    response
}
