//! `northstar salesforce`: the project that connects Agentforce, and what an org and the server differ in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use registry::{PublicUrl, ServerName};
use salesforce_project::diff::{Difference, Expected, Report, diff};
use salesforce_project::pack::{self, DEFAULT_AGENT, DEFAULT_SCOPE};
use salesforce_project::retrieved::{ReadError, Retrieved};
use salesforce_project::write::{self, Outcome};
use salesforce_project::{AgentName, Catalogue, Name, Settings};
use serde_json::{Value, json};

use crate::client_of_functions::{Caller, Token};
use crate::output::{self, Failure};
use crate::place::Place;
use crate::stack::Stack;

/// The revision of the protocol that Agentforce speaks.
const REVISION: &str = "2025-06-18";
/// The scopes that a server knows.
const SCOPES: [&str; 2] = ["mcp.read", "mcp.write"];
/// More pages than any catalogue has: a server that always gives a next one must not keep us.
const MOST_PAGES: usize = 50;

/// What to do with a Salesforce project.
#[derive(Subcommand)]
pub enum Command {
    /// Write the Salesforce DX project that connects Agentforce to an MCP server, with SETUP.md as its guide
    ///
    /// The tools come from the live server, asked as `northstar call` asks it: with the demo client at the local run, or with
    /// NORTHSTAR_CLIENT_ID and NORTHSTAR_CLIENT_SECRET at NORTHSTAR_PUBLIC_URL or the stack. The same input makes the same files; no file
    /// holds a secret.
    Pack {
        /// Folder to write
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Public base URL, as Salesforce will call it: https://mcp.example.com; by default that of the stack
        #[arg(long)]
        url: Option<String>,
        /// MCP server to connect
        #[arg(long, value_name = "NAME", default_value = registry::server::DEFAULT_SERVER)]
        server: String,
        /// API name of the agent
        #[arg(long, value_name = "NAME", default_value = DEFAULT_AGENT)]
        agent: String,
        /// Name of the registration and its credentials in Salesforce; NorthstarMCP for the default server
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Scope that Salesforce asks for
        #[arg(long, default_value = DEFAULT_SCOPE, value_parser = PossibleValuesParser::new(SCOPES))]
        scope: String,
        /// Replace files that are there and differ
        #[arg(long)]
        force: bool,
    },
    /// Compare a project, retrieved from an org, with the live server; ends with 1 when they differ
    ///
    /// Names what is missing, what differs and which tools to re-sync, with the page and the field of Setup. Retrieve with
    /// `sf project retrieve start --manifest manifest/package.xml` first. The server is asked as by `pack`.
    Diff {
        /// Folder of the project
        dir: PathBuf,
        /// Public base URL that the project should have; by default that of the stack, or the one that it has
        #[arg(long)]
        url: Option<String>,
        /// MCP server that the project should have; by default the one that it has
        #[arg(long, value_name = "NAME")]
        server: Option<String>,
        /// API name of the agent that users should have; by default the one that the project has
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// Name of the registration, if the project has several
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Scope that Salesforce should ask for
        #[arg(long, default_value = DEFAULT_SCOPE, value_parser = PossibleValuesParser::new(SCOPES))]
        scope: String,
    },
}

/// Runs one of the commands.
pub async fn run(place: &Place, json: bool, command: Command) -> Result<(), Failure> {
    match command {
        Command::Pack { out, url, server, agent, name, scope, force } => {
            let server = parse_server(&server)?;
            let url = match url {
                Some(url) => url,
                None => url_of_stack(place).await?.ok_or_else(|| {
                    Failure::Usage("say with --url what Salesforce calls: https://mcp.example.com".to_owned())
                })?,
            };
            let public_url = parse_url(&url)?;
            let name = match name {
                Some(name) => Name::parse(&name).map_err(usage)?,
                None => Name::for_server(server.as_str())
                    .map_err(|error| Failure::Usage(format!("{error}: give a --name")))?,
            };
            let settings = Settings {
                name,
                agent: AgentName::parse(&agent).map_err(usage)?,
                server_url: server.url(&public_url),
                server: server.to_string(),
                public_url,
                scope,
            };
            write_pack(place, json, &out, &settings, &server, force).await
        }
        Command::Diff { dir, url, server, agent, name, scope } => {
            let found = Retrieved::read(&dir).map_err(|error| match error {
                ReadError::Empty { .. } => Failure::Usage(error.to_string()),
                error => error.into(),
            })?;
            let name = found.name(name.as_deref()).map_err(usage)?;
            let name = name.unwrap_or_else(|| "NorthstarMCP".to_owned());
            let server = match server {
                Some(server) => parse_server(&server)?,
                None => server_of(found.url(&name)),
            };
            let url = match url {
                Some(url) => Some(url),
                None => url_of_stack(place).await?.or_else(public_url_of_environment),
            };
            let public_url = match url {
                Some(url) => parse_url(&url)?,
                None => [found.url(&name), found.token_url(&name)]
                    .into_iter()
                    .find_map(|url| base_of(url?))
                    .ok_or_else(|| {
                        Failure::Usage(format!("{name} has no https URL in the project: say the right one with --url"))
                    })?,
            };
            let expected = Expected {
                name,
                agent,
                server_url: server.url(&public_url),
                token_url: format!("{public_url}/token"),
                scope,
            };
            let (catalogue, _) = catalogue(place, &server).await?;
            show(json, &diff(&found, &expected, &catalogue))
        }
    }
}

async fn write_pack(
    place: &Place,
    json: bool,
    out: &Path,
    settings: &Settings,
    server: &ServerName,
    force: bool,
) -> Result<(), Failure> {
    let (catalogue, asked) = catalogue(place, server).await?;
    let files = pack::files(settings, &catalogue);
    let mut warnings = catalogue.warnings();
    if settings.scope == DEFAULT_SCOPE && catalogue.tools.iter().any(|tool| !tool.only_reads()) {
        warnings.push(format!("some tools do not only read, and need --scope {}", SCOPES[1]));
    }
    let outcomes = write::write(out, &files, force)?;
    for stranger in write::strangers(out, &files)? {
        warnings.push(format!(
            "{stranger} is not of this project, and its manifests leave it out: delete it if nobody needs it"
        ));
    }

    let written = outcomes.iter().filter(|outcome| **outcome == Outcome::Written).count();
    let (server_url, token_url) = (&settings.server_url, settings.token_url());
    if json {
        let outcome = |outcome: &Outcome| if *outcome == Outcome::Written { "written" } else { "unchanged" };
        let files = files.iter().zip(&outcomes);
        return output::json(&json!({
            "name": settings.name.as_str(),
            "agent": settings.agent.as_str(),
            "server_url": server_url,
            "identity_provider_url": token_url,
            "scope": settings.scope,
            "catalogue_url": asked,
            "tools": catalogue.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(),
            "files": files.map(|(file, is)| json!({ "path": file.path, "outcome": outcome(is) })).collect::<Vec<_>>(),
            "warnings": warnings,
        }));
    }
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    let unchanged = files.len() - written;
    output::line(&format!("{}: {written} files written, {unchanged} were the same", out.display()))?;
    output::line(&format!("tools                  {} of {asked}", catalogue.tools.len()))?;
    output::line(&format!("MCP server URL         {server_url}"))?;
    output::line(&format!("Identity Provider URL  {token_url}"))?;
    output::line(&format!("Scope                  {}", settings.scope))?;
    output::line(&format!("Read {} next.", out.join("SETUP.md").display()))
}

fn show(json: bool, report: &Report) -> Result<(), Failure> {
    if json {
        output::json(report)?;
    } else {
        report.differences.iter().try_for_each(print)?;
        report.notes.iter().try_for_each(|note| output::line(&format!("note: {note}")))?;
        output::line(&match report.differences.len() {
            0 => "no differences".to_owned(),
            1 => "1 difference".to_owned(),
            many => format!("{many} differences"),
        })?;
    }
    if report.differences.is_empty() { Ok(()) } else { Err(Failure::Answered) }
}

fn print(difference: &Difference) -> Result<(), Failure> {
    output::line(&format!("{:9}{}", difference.kind.as_str(), difference.what))?;
    for (label, value) in [("is", &difference.seen), ("should be", &difference.expected)] {
        if let Some(value) = value {
            output::line(&format!("         {label:11}{value}"))?;
        }
    }
    output::line(&format!("         {:11}{}", "fix", difference.fix))
}

/// What the live server says, and the URL it was asked at.
async fn catalogue(place: &Place, server: &ServerName) -> Result<(Catalogue, String), Failure> {
    let set = |name| std::env::var(name).is_ok_and(|value| !value.is_empty());
    if matches!(place, Place::Home(_)) && set("NORTHSTAR_CLIENT_ID") && !set("NORTHSTAR_PUBLIC_URL") {
        return Err(Failure::Usage(
            "set NORTHSTAR_PUBLIC_URL too: where the client of NORTHSTAR_CLIENT_ID belongs".to_owned(),
        ));
    }
    let caller = Caller::find(place).await?;
    let server = Some(server.as_str());
    let session = Session {
        url: caller.server_url(server),
        token: caller.token(server, Some(DEFAULT_SCOPE)).await?,
        http: reqwest::Client::builder().timeout(Duration::from_secs(35)).build()?,
    };
    let client = json!({ "name": "northstar", "version": env!("CARGO_PKG_VERSION") });
    let hello = json!({ "protocolVersion": REVISION, "capabilities": {}, "clientInfo": client });
    let initialized = session.request("initialize", hello).await?;
    let mut tools = Vec::new();
    let mut parameters = json!({});
    for _ in 0..MOST_PAGES {
        let mut page = session.request("tools/list", parameters).await?;
        if let Value::Array(more) = page["tools"].take() {
            tools.extend(more);
        }
        match page["nextCursor"].take() {
            Value::String(cursor) => parameters = json!({ "cursor": cursor }),
            _ => return Ok((Catalogue::parse(initialized, tools)?, session.url)),
        }
    }
    Err(Failure::Message(format!("{} lists its tools without an end", session.url)))
}

/// Where requests of MCP go.
struct Session {
    url: String,
    token: Token,
    http: reqwest::Client,
}

impl Session {
    async fn request(&self, method: &str, params: Value) -> Result<Value, Failure> {
        let url = &self.url;
        let request = self
            .http
            .post(url)
            .bearer_auth(&self.token.access_token)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", REVISION)
            .json(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }));
        let response =
            request.send().await.map_err(|error| Failure::Message(format!("{url} does not answer: {error}")))?;
        let body =
            response.bytes().await.map_err(|error| Failure::Message(format!("{url} does not answer: {error}")))?;
        let mut answer: Value = serde_json::from_slice(&body)
            .map_err(|_| Failure::Message(format!("what answers at {url} is not Northstar")))?;
        match answer.get_mut("result").map(Value::take) {
            Some(result) => Ok(result),
            None => {
                let reason = answer["error"]["message"].as_str().unwrap_or("no reason");
                Err(Failure::Message(format!("{url} says to {method}: {reason}")))
            }
        }
    }
}

fn parse_server(name: &str) -> Result<ServerName, Failure> {
    ServerName::try_from(name.to_owned())
        .map_err(|rule| Failure::Usage(format!("there is no MCP server {name}: {rule}")))
}

/// A base URL that Salesforce can call: https, at port 443 or above 1023.
fn parse_url(text: &str) -> Result<String, Failure> {
    let text = text.trim_end_matches('/');
    let url = PublicUrl::parse(text).map_err(usage)?;
    let Some(authority) = url.as_str().strip_prefix("https://") else {
        return Err(Failure::Usage(format!("Salesforce calls https URLs alone, not {text}: give the public base URL")));
    };
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).unwrap_or(443);
    if port != 443 && port < 1024 {
        return Err(Failure::Usage(format!("Salesforce does not call port {port}: 443 and 1024 to 65535 are open")));
    }
    Ok(url.as_str().to_owned())
}

/// The public URL of a stack.
async fn url_of_stack(place: &Place) -> Result<Option<String>, Failure> {
    match place {
        Place::Home(_) => Ok(None),
        Place::Stack(name) => Ok(Some(Stack::find(name).await?.public_url)),
    }
}

/// `NORTHSTAR_PUBLIC_URL`, unless it is that of a local run, which says nothing of the org.
fn public_url_of_environment() -> Option<String> {
    std::env::var("NORTHSTAR_PUBLIC_URL").ok().filter(|url| url.starts_with("https://"))
}

/// The base of a URL in a project.
fn base_of(url: &str) -> Option<String> {
    let authority = url.strip_prefix("https://")?.split(['/', '?', '#']).next()?;
    parse_url(&format!("https://{}", authority.to_ascii_lowercase())).ok()
}

/// The server that a URL in a project is of; the default one if it is of none.
fn server_of(url: Option<&str>) -> ServerName {
    let path = url.and_then(|url| url.strip_prefix("https://")).and_then(|rest| rest.find('/').map(|at| &rest[at..]));
    path.and_then(ServerName::from_path).unwrap_or_else(ServerName::default_server)
}

fn usage(error: impl std::error::Error) -> Failure {
    Failure::Usage(error.to_string())
}
