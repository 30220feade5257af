//! `northstar client`: who may ask for tokens.

mod given;
mod show;

use std::io::{IsTerminal, Write};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use registry::client::{generate_secret, needs_secret, seconds, secret_id};
use registry::{Client, ClientChange, ClientId, ClientStatus};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::commands::audited;
use crate::commands::rotation::{self, How, rotate};
use crate::output::{self, Failure};
use crate::place::{Open, Place};
use crate::values;
use given::{Properties, check_keys};

/// What to do with clients.
#[derive(Subcommand)]
pub enum Command {
    /// Register a client; prints its client_id and, this once, its client_secret if it authenticates with one
    Create {
        /// Name of the client, for people
        #[arg(value_parser = values::name)]
        name: String,
        #[command(flatten)]
        properties: Properties,
        /// When it ends: 2027-01-31 or 2027-01-31T12:00:00Z
        #[arg(long, value_name = "DATE", value_parser = values::date)]
        expires: Option<u64>,
    },
    /// List the clients
    List,
    /// Show one client, and when each version of its secret was used last
    Show(Id),
    /// Change what is given of a client, and nothing else; holds everywhere within 30 seconds. Where it may do less than
    /// before, the tokens it has are refused within 10 seconds
    Update {
        #[command(flatten)]
        id: Id,
        /// Name of the client, for people
        #[arg(long, value_parser = values::name)]
        name: Option<String>,
        #[command(flatten)]
        properties: Properties,
        /// When it ends: 2027-01-31, 2027-01-31T12:00:00Z, or never
        #[arg(long, value_name = "DATE", value_parser = values::date_or_never)]
        expires: Option<Expiry>,
    },
    /// Stop a client: it gets no more tokens, and those it has are refused within 10 seconds
    Disable(Id),
    /// Let a stopped client go on; the tokens of before stay refused
    Enable(Id),
    /// Make a new secret and print it, this once; the one before is accepted until it is retired, or until nobody has used
    /// it for the quiet period. Refused, with the reason, while the one before that is still in use
    Rotate {
        #[command(flatten)]
        id: Id,
        /// Make none: refuse the previous secret, because everybody has the new one
        #[arg(long, conflicts_with = "compromised")]
        retire_previous: bool,
        /// Somebody else knows the secret: refuse every earlier one and the tokens it got, at once
        #[arg(long)]
        compromised: bool,
    },
    /// Delete a client and its secret; the tokens it has are refused within 10 seconds
    Delete {
        #[command(flatten)]
        id: Id,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// See the field's help.
#[derive(Args)]
pub struct Id {
    /// Its client_id
    #[arg(value_name = "ID")]
    client_id: String,
}

/// `None`: never.
type Expiry = Option<u64>;

/// Runs one of the commands.
pub async fn run(place: &Place, json: bool, command: Command) -> Result<(), Failure> {
    let open = place.open().await?;
    match command {
        Command::Create { name, properties, expires } => {
            let change = ClientChange { expires_at: expires.map(Some), ..properties.change(&open).await? };
            create(&open, json, name, change).await
        }
        Command::List => show::list(&open, json).await,
        Command::Show(id) => show::show(&open, json, &find(&open, &id.client_id).await?).await,
        Command::Update { id, name, properties, expires } => {
            let change = ClientChange { name, expires_at: expires, ..properties.change(&open).await? };
            update(&open, json, &id.client_id, change).await
        }
        Command::Disable(id) => set_status(&open, json, &id.client_id, ClientStatus::Disabled, "client.disable").await,
        Command::Enable(id) => set_status(&open, json, &id.client_id, ClientStatus::Active, "client.enable").await,
        Command::Rotate { id, retire_previous, compromised } => {
            let how = match (retire_previous, compromised) {
                (true, _) => How::RetirePrevious,
                (_, true) => How::Compromised,
                _ => How::KeepPrevious,
            };
            rotate(&open, json, &find(&open, &id.client_id).await?, how).await
        }
        Command::Delete { id, yes } => delete(&open, json, &id.client_id, yes).await,
    }
}

async fn create(open: &Open, json: bool, name: String, change: ClientChange) -> Result<(), Failure> {
    let client = given::new_client(name, &change).registered(&open.names.client_secret_prefix, SystemTime::now());
    check_keys(&client, &change)?;
    let id = &client.client_id;
    let secret = audited("client.create", Some(id), register(open, &client).await)?;
    if json {
        return output::json(&with_secret(json!({ "client_id": id.as_str() }), secret.as_ref()));
    }
    output::line(&format!("client_id      {id}"))?;
    print_secret(secret.as_ref())
}

/// The secret first: a client without one could only be refused.
async fn register(open: &Open, client: &Client) -> Result<Option<SecretString>, Failure> {
    let secret = match &client.secret_id {
        Some(_) => Some(make_secret(open, &client.client_id).await?),
        None => None,
    };
    let created = open.registry.create_client(client).await;
    // No other client has its random id: one that was there is what an attempt before the last one wrote.
    if let (Err(_), Some(secret_id)) = (&created, &client.secret_id) {
        open.secrets.delete(secret_id).await?;
    }
    created?;
    if let Some(secret_id) = &client.secret_id {
        rotation::allow(open, secret_id).await;
    }
    Ok(secret)
}

/// Makes the secret of a client that has none. One that is there was left behind by a command that did not end: nobody
/// has been told it, or its client was to lose it.
async fn make_secret(open: &Open, client: &ClientId) -> Result<SecretString, Failure> {
    let (id, secret) = (secret_id(&open.names.client_secret_prefix, client), generate_secret());
    if !open.secrets.create(&id, &secret).await? {
        open.secrets.delete(&id).await?;
        if !open.secrets.create(&id, &secret).await? {
            return Err(Failure::Message(format!("client {client} is getting a secret from somebody else: try again")));
        }
    }
    Ok(secret)
}

async fn update(open: &Open, json: bool, client_id: &str, change: ClientChange) -> Result<(), Failure> {
    if given::is_empty(&change) {
        let message = "say what to change: `northstar client update --help` lists it";
        return Err(Failure::Usage(message.to_owned()));
    }
    let id = find(open, client_id).await?.client_id;
    let changed = audited("client.update", Some(&id), write_change(open, &id, &change).await)?;
    let secret = changed.new_secret.as_ref();
    if json {
        let mut document = show::document(open, &changed.client).await?;
        document["tokens_cut"] = json!(changed.cut);
        return output::json(&with_secret(document, secret));
    }
    show::print(open, &changed.client).await?;
    print_secret(secret)?;
    tell_cut(&changed);
    Ok(())
}

async fn set_status(
    open: &Open,
    json: bool,
    client_id: &str,
    status: ClientStatus,
    action: &'static str,
) -> Result<(), Failure> {
    let id = find(open, client_id).await?.client_id;
    let change = ClientChange { status: Some(status), ..ClientChange::default() };
    let changed = audited(action, Some(&id), write_change(open, &id, &change).await)?;
    show::show(open, json, &changed.client).await?;
    if !json {
        tell_cut(&changed);
    }
    if status == ClientStatus::Active && !changed.client.is_usable(SystemTime::now()) {
        eprintln!("It has expired: it gets tokens after `northstar client update {id} --expires DATE`.");
    }
    Ok(())
}

/// A change that has been written.
struct Changed {
    client: Client,
    /// Whether the tokens of before are refused.
    cut: bool,
    new_secret: Option<SecretString>,
}

/// Changes a client. If somebody else does at the same time, reads it again and tries again.
async fn write_change(open: &Open, id: &ClientId, change: &ClientChange) -> Result<Changed, Failure> {
    const ATTEMPTS: u32 = 8;
    let mut new_secret = None;
    for attempt in 1..=ATTEMPTS {
        let now = SystemTime::now();
        let before = open.registry.client_now(id).await?.ok_or_else(|| unknown(id.as_str()))?;
        let client = changed(open, &before, change, now)?;
        if (Client { version: before.version, ..client.clone() }) == before {
            return Ok(Changed { client: before, cut: false, new_secret: None });
        }
        // As for a new client, the secret first.
        if before.secret_id.is_none() && client.secret_id.is_some() && new_secret.is_none() {
            new_secret = Some(make_secret(open, id).await?);
        }
        let cut = before.is_narrowed_by(&client);
        let written = cut.then(|| open.revocations.cut_before(&client, now));
        if open.registry.replace_client(&before, &client, written).await? {
            if let (Some(secret_id), None) = (&before.secret_id, &client.secret_id) {
                open.secrets.delete(secret_id).await?;
            }
            if let (None, Some(secret_id)) = (&before.secret_id, &client.secret_id) {
                rotation::allow(open, secret_id).await;
            }
            return Ok(Changed { client, cut, new_secret });
        }
        tokio::time::sleep(Duration::from_millis(20) * attempt).await;
    }
    Err(being_changed(id))
}

/// What a client is after a change. A client has keys as long as it may sign assertions, and a secret as long as it may
/// authenticate with one.
fn changed(open: &Open, before: &Client, change: &ClientChange, now: SystemTime) -> Result<Client, Failure> {
    let mut client = before.changed(change.clone());
    check_keys(&client, change)?;
    if !given::signs_assertions(&client) {
        client.keys = None;
    }
    match (needs_secret(&client.auth_methods), &client.secret_id) {
        (true, None) => {
            client.secret_id = Some(secret_id(&open.names.client_secret_prefix, &client.client_id));
            client.secrets_changed_at = seconds(now);
        }
        (false, Some(_)) => {
            client.secret_id = None;
            client.rotating = false;
        }
        _ => {}
    }
    Ok(client)
}

/// The record and the tokens first, then the secret; a run that ended in between is finished by the next one.
async fn delete(open: &Open, json: bool, client_id: &str, yes: bool) -> Result<(), Failure> {
    let id = ClientId::parse(client_id).ok_or_else(|| unknown(client_id))?;
    let left_secret = secret_id(&open.names.client_secret_prefix, &id);
    let name = match open.registry.client_now(&id).await? {
        Some(client) => client.name,
        None if open.secrets.describe(&left_secret).await?.is_some() => "deleted, but not its secret".to_owned(),
        None => return Err(unknown(client_id)),
    };
    if !yes {
        confirm(&format!("Delete client {id} ({name})? There is no way back. [y/N] "))?;
    }
    audited("client.delete", Some(&id), delete_all(open, &id).await)?;
    if json {
        return output::json(&json!({ "client_id": id.as_str(), "deleted": true }));
    }
    output::line(&format!("deleted {id}"))?;
    eprintln!("The tokens it has are refused within 10 seconds.");
    Ok(())
}

async fn delete_all(open: &Open, id: &ClientId) -> Result<(), Failure> {
    const ATTEMPTS: u32 = 8;
    for attempt in 1..=ATTEMPTS {
        let Some(client) = open.registry.client_now(id).await? else {
            return Ok(open.secrets.delete(&secret_id(&open.names.client_secret_prefix, id)).await?);
        };
        let cut = open.revocations.cut_all(&client, SystemTime::now());
        // Read again either way: it is gone now, or it has been changed.
        if !open.registry.delete_client(&client, cut).await? {
            tokio::time::sleep(Duration::from_millis(20) * attempt).await;
        }
    }
    Err(being_changed(id))
}

/// Asks on the terminal.
fn confirm(question: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage("there is nobody to ask: add --yes to delete without a question".to_owned()));
    }
    write!(std::io::stderr(), "{question}")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    eprintln!("Nothing was deleted.");
    Err(Failure::Answered)
}

fn with_secret(mut document: Value, secret: Option<&SecretString>) -> Value {
    if let Some(secret) = secret {
        document["client_secret"] = json!(secret.expose_secret());
    }
    document
}

fn print_secret(secret: Option<&SecretString>) -> Result<(), Failure> {
    if let Some(secret) = secret {
        output::line(&format!("client_secret  {}", secret.expose_secret()))?;
        eprintln!("The secret is shown this once: store it now.");
    }
    Ok(())
}

fn tell_cut(changed: &Changed) {
    if changed.cut {
        eprintln!("The tokens it got before are refused within 10 seconds.");
    }
}

async fn find(open: &Open, client_id: &str) -> Result<Client, Failure> {
    let id = ClientId::parse(client_id).ok_or_else(|| unknown(client_id))?;
    open.registry.client_now(&id).await?.ok_or_else(|| unknown(client_id))
}

fn unknown(client_id: &str) -> Failure {
    Failure::Message(format!("there is no client {client_id}: see `northstar client list`"))
}

fn being_changed(id: &ClientId) -> Failure {
    Failure::Message(format!("client {id} is being changed by somebody else at the same time: try again"))
}
