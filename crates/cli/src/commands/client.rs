//! `northstar client`: who may ask for tokens.

use std::time::SystemTime;

use access_token::{ScopeError, Scopes};
use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use local::Home;
use local::home::{CLIENT_SECRET_PREFIX, OpenHome};
use registry::client::{DEFAULT_TOKEN_LIFETIME, NewClient, generate_secret};
use registry::{AuthMethod, Client, ClientId, ClientStatus, ServerName};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::output::{self, Failure};
use crate::values;

/// What to do with clients.
#[derive(Subcommand)]
pub enum Command {
    /// Register a client; prints its client_id and, this once, its client_secret
    Create {
        /// Name of the client, for people
        name: String,
        /// Scope it may ask for: mcp.read (the default) or mcp.write; may be given more than once
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// MCP server it may call, "default" unless given; may be given more than once, the first one serves
        /// requests that name no resource
        #[arg(long = "server", value_name = "NAME")]
        servers: Vec<String>,
        /// How it may authenticate, both ways unless given
        #[arg(long = "auth-method", value_name = "METHOD",
              value_parser = PossibleValuesParser::new(AuthMethod::ALL.map(AuthMethod::as_str)))]
        auth_methods: Vec<String>,
        /// How long its tokens live: 1m to 60m
        #[arg(long, value_name = "DURATION", value_parser = values::token_lifetime, default_value = "15m")]
        token_lifetime: u64,
        /// When it ends: 2027-01-31 or 2027-01-31T12:00:00Z
        #[arg(long, value_name = "DATE", value_parser = values::date)]
        expires: Option<u64>,
    },
    /// List the clients
    List,
    /// Show one client
    Show {
        /// Its client_id
        #[arg(value_name = "ID")]
        client_id: String,
    },
    /// Stop a client: it gets no more tokens
    Disable {
        /// Its client_id
        #[arg(value_name = "ID")]
        client_id: String,
    },
}

/// Runs one of the commands.
pub async fn run(home: &Home, json: bool, command: Command) -> Result<(), Failure> {
    let open = home.open().await?;
    match command {
        Command::Create { name, scopes, servers, auth_methods, token_lifetime, expires } => {
            let new = NewClient {
                client_id: ClientId::generate(),
                name,
                servers: parse_servers(&open, &servers).await?,
                scopes: parse_scopes(&scopes)?,
                auth_methods: parse_methods(&auth_methods),
                token_lifetime,
                expires_at: expires,
            };
            create(&open, json, new).await
        }
        Command::List => list(&open, json).await,
        Command::Show { client_id } => show(&find(&open, &client_id).await?, json),
        Command::Disable { client_id } => {
            let mut client = find(&open, &client_id).await?;
            client.status = ClientStatus::Disabled;
            open.registry.put_client(&client).await?;
            show(&client, json)
        }
    }
}

async fn create(open: &OpenHome, json: bool, new: NewClient) -> Result<(), Failure> {
    let client = new.registered(CLIENT_SECRET_PREFIX, SystemTime::now());
    let secret = generate_secret();
    // The secret first: a client without one could only be refused.
    open.secrets.create(&client.secret_id, &secret).await?;
    if let Err(error) = open.registry.put_client(&client).await {
        open.secrets.delete(&client.secret_id).await?;
        return Err(error.into());
    }
    let (client_id, client_secret) = (client.client_id.as_str(), secret.expose_secret());
    if json {
        return output::json(&json!({ "client_id": client_id, "client_secret": client_secret }));
    }
    output::line(&format!("client_id      {client_id}"))?;
    output::line(&format!("client_secret  {client_secret}"))?;
    eprintln!("The secret is shown this once: store it now.");
    Ok(())
}

async fn list(open: &OpenHome, json: bool) -> Result<(), Failure> {
    let clients = open.registry.clients().await?;
    if json {
        return output::json(&clients);
    }
    let rows = clients.iter().map(|client| {
        vec![
            client.client_id.to_string(),
            client.name.clone(),
            status(client).to_owned(),
            servers(client),
            client.scopes.to_string(),
            values::show_time(client.created_at),
        ]
    });
    output::table(&["client_id", "name", "status", "servers", "scopes", "created"], rows.collect())
}

fn show(client: &Client, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(client);
    }
    let methods: Vec<&str> = client.auth_methods.iter().map(|method| method.as_str()).collect();
    for (name, value) in [
        ("client_id", client.client_id.to_string()),
        ("name", client.name.clone()),
        ("status", status(client).to_owned()),
        ("servers", servers(client)),
        ("scopes", client.scopes.to_string()),
        ("default scopes", client.default_scopes.to_string()),
        ("auth methods", methods.join(", ")),
        ("token lifetime", format!("{} s", client.token_lifetime)),
        ("expires", client.expires_at.map_or_else(|| "never".to_owned(), values::show_time)),
        ("created", values::show_time(client.created_at)),
    ] {
        output::line(&format!("{name:16}{value}"))?;
    }
    Ok(())
}

async fn find(open: &OpenHome, client_id: &str) -> Result<Client, Failure> {
    let unknown = || Failure::Message(format!("there is no client {client_id}: see `northstar client list`"));
    let id = ClientId::parse(client_id).ok_or_else(unknown)?;
    open.registry.client(&id).await?.ok_or_else(unknown)
}

fn status(client: &Client) -> &'static str {
    match client.status {
        ClientStatus::Disabled => "disabled",
        ClientStatus::Active if client.is_usable(SystemTime::now()) => "active",
        ClientStatus::Active => "expired",
    }
}

fn servers(client: &Client) -> String {
    let names: Vec<&str> = client.servers.iter().map(ServerName::as_str).collect();
    names.join(", ")
}

async fn parse_servers(open: &OpenHome, names: &[String]) -> Result<Vec<ServerName>, Failure> {
    let mut servers = Vec::new();
    for name in names {
        let known = match ServerName::parse(name) {
            Some(name) => open.registry.server(&name).await?.map(|server| server.name),
            None => None,
        };
        let server = known.ok_or_else(|| Failure::Usage(format!("there is no MCP server {name}")))?;
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    if servers.is_empty() {
        servers.push(ServerName::default_server());
    }
    Ok(servers)
}

fn parse_scopes(names: &[String]) -> Result<Scopes, Failure> {
    if names.is_empty() {
        return Ok(Scopes::READ);
    }
    Scopes::parse(&names.join(" ")).map_err(|error: ScopeError| Failure::Usage(error.to_string()))
}

fn parse_methods(names: &[String]) -> Vec<AuthMethod> {
    let chosen = AuthMethod::ALL.into_iter().filter(|method| names.iter().any(|name| name == method.as_str()));
    if names.is_empty() { AuthMethod::ALL.to_vec() } else { chosen.collect() }
}

const _: () = assert!(DEFAULT_TOKEN_LIFETIME == 15 * 60, "the help text of --token-lifetime names it");
