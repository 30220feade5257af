//! The command line as a client of the functions: a token, then messages, over HTTP as Salesforce does it.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::output::Failure;
use crate::place::Place;
use crate::stack::Stack;

/// The revision of the protocol that `call` speaks.
const REVISION: &str = "2026-07-28";
/// MCP, Streamable HTTP: a client lists both.
const MEDIA_TYPES: &str = "application/json, text/event-stream";

/// Who calls, and where.
pub struct Caller {
    public_url: String,
    client_id: String,
    client_secret: SecretString,
    http: reqwest::Client,
}

/// The token endpoint's answer (RFC 6749 §5.1).
#[derive(Serialize, Deserialize)]
pub struct Token {
    /// The token.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds it lives.
    pub expires_in: u64,
    /// What it permits.
    pub scope: String,
}

/// Why there is no token, or no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The network, or nobody listens.
    #[error("{0}")]
    Unreachable(String),
    /// The token endpoint says no.
    #[error("{0}")]
    Refused(String),
    /// Something else answers.
    #[error("what answers at {0} is not Northstar")]
    NotNorthstar(String),
}

/// An answer of an MCP server, whatever it says.
pub struct Answered {
    /// HTTP status.
    pub status: StatusCode,
    /// `Retry-After`, when it is in seconds.
    pub retry_after: Option<u64>,
    /// API Gateway's id of the request, which is in the log.
    pub request_id: Option<String>,
    /// The body, in one piece.
    pub body: Vec<u8>,
}

impl Caller {
    /// The client that the environment names (`NORTHSTAR_CLIENT_ID`, `NORTHSTAR_CLIENT_SECRET`,
    /// `NORTHSTAR_PUBLIC_URL`), else the demo client of the home. Each variable overrides by itself. A stack has no demo
    /// client, and a URL of its own.
    ///
    /// # Errors
    /// When there is neither.
    pub async fn find(place: &Place) -> Result<Caller, Failure> {
        let named = client_of_environment()?;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(35)).build()?;
        let (public_url, client_id, client_secret) = match (place, named, set("NORTHSTAR_PUBLIC_URL")) {
            (Place::Stack(name), Some((id, secret)), _) => (Stack::find(name).await?.public_url, id, secret),
            (Place::Stack(name), None, _) => return Err(Failure::Usage(no_client(name))),
            (Place::Home(_), Some((id, secret)), Some(url)) => (url, id, secret),
            (Place::Home(home), Some((id, secret)), None) => (home.demo()?.public_url, id, secret),
            (Place::Home(home), None, url) => {
                let demo = home.demo()?;
                (url.unwrap_or(demo.public_url), demo.client_id, SecretString::from(demo.client_secret))
            }
        };
        let public_url = public_url.trim_end_matches('/').to_owned();
        Ok(Caller { public_url, client_id, client_secret, http })
    }

    /// Who calls.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The URL of a server.
    pub fn server_url(&self, server: Option<&str>) -> String {
        match server {
            None | Some("default") => format!("{}/mcp", self.public_url),
            Some(name) => format!("{}/mcp/{name}", self.public_url),
        }
    }

    /// Asks for a token.
    ///
    /// # Errors
    /// When the endpoint cannot be reached or says no.
    pub async fn token(&self, server: Option<&str>, scope: Option<&str>) -> Result<Token, NoAnswer> {
        let url = format!("{}/token", self.public_url);
        let resource = self.server_url(server);
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.expose_secret()),
            ("resource", &resource),
        ];
        form.extend(scope.map(|scope| ("scope", scope)));
        let response = self.http.post(&url).form(&form).send().await.map_err(|error| unreachable(&url, &error))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| unreachable(&url, &error))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| NoAnswer::NotNorthstar(url));
        }
        Err(refused(&url, status, &body))
    }

    /// Sends a JSON-RPC message, or a batch, to a server.
    ///
    /// # Errors
    /// [`NoAnswer::Unreachable`] alone: every answer is one.
    pub async fn post(
        &self,
        server: Option<&str>,
        token: &SecretString,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answered, NoAnswer> {
        let url = self.server_url(server);
        let request = self.http.post(&url).bearer_auth(token.expose_secret()).headers(headers);
        let request = request.header(ACCEPT, MEDIA_TYPES).header(CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.map_err(|error| unreachable(&url, &error))?;
        let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let retry_after = header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
        let (status, request_id) = (response.status(), header("apigw-requestid"));
        let body = response.bytes().await.map_err(|error| unreachable(&url, &error))?;
        Ok(Answered { status, retry_after, request_id, body: body.into() })
    }

    /// Revokes a token (RFC 7009).
    ///
    /// # Errors
    /// When the endpoint cannot be reached or says no.
    pub async fn revoke(&self, token: &SecretString) -> Result<(), Failure> {
        let url = format!("{}/revoke", self.public_url);
        let form = [
            ("token", token.expose_secret()),
            ("token_type_hint", "access_token"),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.expose_secret()),
        ];
        let response = self.http.post(&url).form(&form).send().await.map_err(|error| unreachable(&url, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body = response.bytes().await.map_err(|error| unreachable(&url, &error))?;
        Err(refused(&url, status, &body).into())
    }

    /// Calls a tool; the JSON-RPC result.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the request. A tool that has no answer is not an error here.
    pub async fn call(
        &self,
        server: Option<&str>,
        token: &Token,
        tool: &str,
        arguments: Value,
    ) -> Result<Value, Failure> {
        let url = self.server_url(server);
        let body = json!({
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {
                "name": tool,
                "arguments": arguments,
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": REVISION,
                    "io.modelcontextprotocol/clientCapabilities": {},
                    "io.modelcontextprotocol/clientInfo": { "name": "northstar", "version": env!("CARGO_PKG_VERSION") },
                },
            },
        });
        let request = self
            .http
            .post(&url)
            .bearer_auth(&token.access_token)
            .header(ACCEPT, MEDIA_TYPES)
            .header("mcp-protocol-version", REVISION)
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool)
            .json(&body);
        let response = request.send().await.map_err(|error| unreachable(&url, &error))?;
        let body = response.bytes().await.map_err(|error| unreachable(&url, &error))?;
        let mut answer: Value = serde_json::from_slice(&body).map_err(|_| NoAnswer::NotNorthstar(url.clone()))?;
        match answer.get_mut("result").map(Value::take) {
            Some(result) => Ok(result),
            None => Err(Failure::Message(format!("{url} says: {}", text(&answer["error"], "message")))),
        }
    }
}

/// An error answer (RFC 6749 §5.2).
fn refused(url: &str, status: StatusCode, body: &[u8]) -> NoAnswer {
    NoAnswer::Refused(match serde_json::from_slice::<Value>(body) {
        Ok(error) => {
            format!("{url} says {status}: {} ({})", text(&error, "error"), text(&error, "error_description"))
        }
        Err(_) => format!("{url} says {status}"),
    })
}

/// The id and the secret of `NORTHSTAR_CLIENT_ID` and `NORTHSTAR_CLIENT_SECRET`.
///
/// # Errors
/// When one is set without the other.
pub fn client_of_environment() -> Result<Option<(String, SecretString)>, Failure> {
    match (set("NORTHSTAR_CLIENT_ID"), set("NORTHSTAR_CLIENT_SECRET")) {
        (Some(id), Some(secret)) => Ok(Some((id, SecretString::from(secret)))),
        (None, None) => Ok(None),
        _ => Err(Failure::Usage("set both NORTHSTAR_CLIENT_ID and NORTHSTAR_CLIENT_SECRET".to_owned())),
    }
}

fn no_client(stack: &str) -> String {
    format!(
        "set NORTHSTAR_CLIENT_ID and NORTHSTAR_CLIENT_SECRET: who is asking? `northstar client create NAME --stack {stack}` makes a client"
    )
}

fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("no reason")
}

fn unreachable(url: &str, error: &reqwest::Error) -> NoAnswer {
    let hint = if error.is_connect() { ": is `northstar serve` running, is the URL right?" } else { "" };
    let reason = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
    NoAnswer::Unreachable(format!("{url} {reason}{hint}"))
}
