//! The client that the conformance suite starts, with the URL of its server: our MCP client, discovery, registration and
//! consent, and a browser that agrees to everything and comes back to us.
//!
//! What the suite hands over besides is in `MCP_CONFORMANCE_SCENARIO` and `MCP_CONFORMANCE_CONTEXT`.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use oauth_client::Connection;
use oauth_client::consent::{self, AuthorizationResponse, AuthorizationServer};
use oauth_client::token_request::{TokenAnswer, TokenFailure, TokenRequest};
use outbound::{Fetcher, Outgoing};
use registry::{ConnectionName, Flow, PinnedTool, Upstream, UpstreamAuth, UpstreamOAuth};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use upstream::discovery::{Credential, Inquiry, Setting, Settings, choose_auth_method, discover};
use upstream::registration::{Registration, register, registrable_method};
use upstream::{Endpoint, McpClient, Probe, UpstreamError, pin};

/// Nobody listens there: the browser is this program.
const PUBLIC_URL: &str = "https://northstar.example.com";
/// How often somebody consents: at first, and when a tool needs more scopes than were asked for, or the token is refused.
const MAX_CONSENTS: usize = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(url) = std::env::args().nth(1) else {
        eprintln!("the URL of the server is missing");
        return ExitCode::FAILURE;
    };
    let variable = |name| std::env::var(name).unwrap_or_default();
    let context = serde_json::from_str(&variable("MCP_CONFORMANCE_CONTEXT")).unwrap_or_default();
    let fetcher = Fetcher::with_loopback(None);
    let client = Client {
        mcp: McpClient::new(fetcher.clone()),
        fetcher,
        name: ConnectionName::parse("conformance").expect("it is a name"),
        url,
        client_credentials: variable("MCP_CONFORMANCE_SCENARIO").starts_with("auth/client-credentials"),
        context,
    };
    match client.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

struct Client {
    mcp: McpClient,
    fetcher: Fetcher,
    name: ConnectionName,
    url: String,
    client_credentials: bool,
    context: Value,
}

/// Who we are at the authorization server.
#[derive(Clone)]
struct Identity {
    client_id: String,
    secret: Option<SecretString>,
    auth: registry::ClientAuth,
}

impl Client {
    /// Uses the tools, with a token as soon as the server wants one.
    async fn run(&self) -> Result<(), String> {
        let mut bearer = None;
        let mut scopes: Vec<String> = vec![];
        let mut identity = None;
        for _ in 0..MAX_CONSENTS {
            let missing = match self.use_tools(bearer.as_ref()).await {
                Ok(()) => return Ok(()),
                Err(UpstreamError::Unauthorized) => {
                    // `upstream add --replace`: who we are is asked anew, for the authorization server may be another.
                    identity = None;
                    None
                }
                Err(UpstreamError::InsufficientScope(missing)) => missing,
                Err(error) => return Err(error.to_string()),
            };
            // As an administrator would: what was asked for before, and what is missing.
            let known = missing.map(|missing| {
                let missing = missing.split(' ').map(str::to_owned).filter(|scope| !scopes.contains(scope));
                scopes.iter().cloned().chain(missing.collect::<Vec<_>>()).collect()
            });
            let upstream = self.add(known, &mut identity).await?;
            let UpstreamAuth::OAuth(oauth) = &upstream.auth else { return Err("no OAuth".to_owned()) };
            scopes.clone_from(&oauth.scopes);
            let secret = identity.as_ref().and_then(|identity| identity.secret.as_ref());
            let answer = match oauth.flow {
                Flow::ClientCredentials { .. } => self.ask(&upstream, secret).await?,
                _ => self.consent(&upstream, secret).await?,
            };
            bearer = Some(answer.access_token);
        }
        self.use_tools(bearer.as_ref()).await.map_err(|error| error.to_string())
    }

    /// Calls what the suite says, otherwise every tool that could be accepted.
    async fn use_tools(&self, bearer: Option<&SecretString>) -> Result<(), UpstreamError> {
        let endpoint = Endpoint { name: &self.name, url: &self.url, bearer };
        let tools = self.mcp.list_tools(endpoint, deadline()).await?;
        let tools: Vec<_> = tools.iter().filter_map(|tool| pin::pin(tool).ok()).collect();
        let calls: Vec<(&str, Map<String, Value>)> = match self.context["toolCalls"].as_array() {
            Some(calls) => calls.iter().filter_map(read_call).collect(),
            None => tools.iter().map(|tool| (tool.name.as_str(), arguments(tool, &tools))).collect(),
        };
        for (name, arguments) in calls {
            if let Some(tool) = tools.iter().find(|tool| tool.name == name) {
                self.mcp.call_tool(endpoint, tool, &arguments, deadline()).await?;
            }
        }
        Ok(())
    }

    /// The upstream as an administrator adds it; registers us unless that is done, or the suite says who we are.
    async fn add(&self, scopes: Option<Vec<String>>, identity: &mut Option<Identity>) -> Result<Upstream, String> {
        let endpoint = Endpoint { name: &self.name, url: &self.url, bearer: None };
        let challenge = match self.mcp.probe(endpoint, deadline()).await {
            Probe::Refused { refusal, .. } => refusal.www_authenticate,
            _ => None,
        };
        let known = Settings { scopes: Setting::given(scopes), ..Settings::default() };
        let refresh_tokens = !self.client_credentials;
        let inquiry = Inquiry { url: &self.url, challenge: challenge.as_deref(), known, refresh_tokens };
        let discovered = discover(&self.fetcher, inquiry).await;
        for finding in &discovered.findings {
            eprintln!("{}: {finding}. {}", finding.code(), finding.remedy());
        }
        let settings = discovered.settings;
        let lacking = |what: &str| format!("the {what} is not known");
        let scopes = settings.scopes.as_ref().map(|scopes| scopes.value.clone()).unwrap_or_default();
        let identity = match identity {
            Some(identity) => identity.clone(),
            None => identity.insert(self.identity(&settings, &scopes).await?).clone(),
        };
        let flow = match self.client_credentials {
            true => Flow::ClientCredentials { client_auth: identity.auth },
            false => Flow::RefreshToken { client_auth: identity.auth },
        };
        let oauth = UpstreamOAuth {
            issuer: settings.issuer.ok_or_else(|| lacking("issuer"))?.value,
            authorize_url: settings.authorize_url.map(|url| url.value),
            token_url: settings.token_url.ok_or_else(|| lacking("token endpoint"))?.value,
            revoke_url: settings.revoke_url.map(|url| url.value),
            iss_promised: settings.iss_promised.is_some_and(|promised| promised.value),
            resource: settings.resource.map(|resource| resource.value),
            flow,
            client_id: identity.client_id,
            secret_id: None,
            scopes,
        };
        let auth = UpstreamAuth::OAuth(Box::new(oauth));
        let (name, url) = (self.name.clone(), self.url.clone());
        Ok(Upstream { name, url, preset: None, auth, result_page: None, created_at: 0 })
    }

    async fn identity(&self, settings: &Settings, scopes: &[String]) -> Result<Identity, String> {
        let offered = settings.auth_methods.as_ref().map(|methods| methods.value.as_slice());
        let no_method = || "the token endpoint takes no method of ours".to_owned();
        let text = |name: &str| self.context[name].as_str().map(str::to_owned);
        if let Some(client_id) = text("client_id") {
            let (credential, secret) = match (text("private_key_pem"), text("client_secret")) {
                (Some(key), _) => (Credential::PrivateKey, Some(key)),
                (None, Some(secret)) => (Credential::Secret, Some(secret)),
                (None, None) => (Credential::None, None),
            };
            let auth = choose_auth_method(offered, credential).ok_or_else(no_method)?.client_auth();
            return Ok(Identity { client_id, secret: secret.map(Into::into), auth });
        }
        let url = settings.registration_url.as_ref().ok_or("no client id, and no registration endpoint")?;
        let [authorize_url, token_url] =
            [&settings.authorize_url, &settings.token_url].map(|url| url.as_ref().map(|url| url.value.as_str()));
        let registration = Registration {
            url: &url.value,
            client_name: "Northstar",
            redirect_uri: &consent::redirect_uri(PUBLIC_URL, &self.name, authorize_url, token_url),
            scopes,
            auth_method: registrable_method(offered).ok_or_else(no_method)?,
        };
        let registered = register(&self.fetcher, &registration).await.map_err(|error| error.to_string())?;
        let auth = registered.auth_method.client_auth();
        Ok(Identity { client_id: registered.client_id, secret: registered.client_secret, auth })
    }

    async fn ask(&self, upstream: &Upstream, secret: Option<&SecretString>) -> Result<TokenAnswer, String> {
        let connection = Connection::of_upstream(upstream).ok_or("no connection")?;
        let now = SystemTime::now();
        let request = TokenRequest::new(&connection, secret, None, now).map_err(told)?;
        request.send(&self.fetcher, &connection.token_endpoint, now).await.map_err(told)
    }

    async fn consent(&self, upstream: &Upstream, secret: Option<&SecretString>) -> Result<TokenAnswer, String> {
        let connection = Connection::of_upstream(upstream).ok_or("no connection")?;
        let server = AuthorizationServer::of_upstream(upstream).ok_or("the authorization endpoint is not known")?;
        let redirect_uri = consent::redirect_uri_of(PUBLIC_URL, upstream);
        let [state, verifier] = [consent::random_secret(), consent::random_secret()];
        let (state, verifier) = (state.ok_or("no randomness")?, verifier.ok_or("no randomness")?);
        let challenge = consent::code_challenge(&verifier);
        let url = consent::authorization_url(&server, &connection, &redirect_uri, &state, &challenge);

        let location = self.browse(&url).await?;
        let query = location.strip_prefix(&format!("{redirect_uri}?")).ok_or("it was sent elsewhere")?;
        let response = AuthorizationResponse::parse(query).map_err(|error| error.to_string())?;
        if response.state.as_ref().map(ExposeSecret::expose_secret) != Some(state.expose_secret()) {
            return Err("the state is another".to_owned());
        }
        consent::check_issuer(&server, response.iss.as_deref()).map_err(|error| error.to_string())?;
        let code = response.outcome.map_err(|_| "the consent was refused")?;
        let now = SystemTime::now();
        let request =
            TokenRequest::for_code(&connection, secret, &code, &redirect_uri, &verifier, now).map_err(told)?;
        request.send(&self.fetcher, &connection.token_endpoint, now).await.map_err(told)
    }

    /// Opens a page, and says where it leads.
    async fn browse(&self, url: &str) -> Result<String, String> {
        let target = self.fetcher.check(url).map_err(|error| error.to_string())?;
        let timeout = Duration::from_secs(5);
        let page = Outgoing { method: "GET", target, headers: vec![], body: Bytes::new(), max_bytes: 65_536, timeout };
        let answer = self.fetcher.send(page).await.map_err(|error| error.to_string())?;
        answer.header("location").map(str::to_owned).ok_or(format!("status {} without a location", answer.status))
    }
}

fn told(failure: TokenFailure) -> String {
    format!("{failure:?}")
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn read_call(call: &Value) -> Option<(&str, Map<String, Value>)> {
    Some((call["name"].as_str()?, call["arguments"].as_object()?.clone()))
}

/// Arguments that fit a schema as simple as those of the suite. One tool wants the schema of another, as we keep it.
fn arguments(tool: &PinnedTool, all: &[PinnedTool]) -> Map<String, Value> {
    if let Some(other) = all.iter().find(|other| tool.name == "json_schema_echo" && other.name != tool.name) {
        return Map::from_iter([("schema".to_owned(), Value::Object(other.input_schema.clone()))]);
    }
    let properties = tool.input_schema.get("properties").and_then(Value::as_object);
    let value = |property: &Value| match property["type"].as_str() {
        Some("number" | "integer") => json!(1),
        Some("boolean") => json!(true),
        Some("object") => json!({}),
        Some("array") => json!([]),
        _ => json!("text"),
    };
    properties.into_iter().flatten().map(|(name, property)| (name.clone(), value(property))).collect()
}
