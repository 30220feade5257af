//! `northstar org add`.

use std::io::{IsTerminal, Read};
use std::time::SystemTime;

use clap::{Args, ValueEnum};
use console::Term;
use oauth_client::{NewGrant, assertion};
use outbound::Reach;
use registry::client::seconds;
use registry::connection::DEFAULT_API_VERSION;
use registry::{ClientAuth, Connection, ConnectionName, Flow, SalesforceOrg};
use salesforce::{ApiVersion, Org, OrgError};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{audited, flow};
use crate::commands::upstream::{create_secret, new_secret_id};
use crate::output::{self, Failure};
use crate::place::{Open, Place};

/// No secret is this long, in bytes.
const MAX_SECRETS: u64 = 64 * 1024;
const LOGIN: &str = "https://login.salesforce.com";
const TEST: &str = "https://test.salesforce.com";

/// See the fields' help.
#[derive(Args)]
pub struct Options {
    /// Its name here, by which servers name it: a lower-case letter, then up to 39 of a-z 0-9 -
    name: String,
    /// Where tokens are asked for: its My Domain, https://example.my.salesforce.com, or for the other flows than
    /// client-credentials https://login.salesforce.com or https://test.salesforce.com
    #[arg(long, value_name = "URL")]
    login_url: String,
    /// Where its REST API is, if the answer to a token request does not say
    #[arg(long, value_name = "URL")]
    instance_url: Option<String>,
    /// Version of the REST API
    #[arg(long, value_name = "VERSION", default_value = DEFAULT_API_VERSION)]
    api_version: String,
    /// Consumer key of the External Client App
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// How tokens are got
    #[arg(long)]
    flow: FlowName,
    /// User name that the tokens are for; jwt-bearer
    #[arg(long, value_name = "USER")]
    subject: Option<String>,
    /// What the assertions name as their audience: https://login.salesforce.com, for a sandbox
    /// https://test.salesforce.com (by the login URL unless given), or the URL of a site; jwt-bearer
    #[arg(long, value_name = "URL")]
    audience: Option<String>,
    /// Where the consumer secret goes in a token request; not for jwt-bearer
    #[arg(long, value_name = "PLACE")]
    client_auth: Option<ClientAuthName>,
    /// The refresh token comes by a consent, `northstar org connect`: standard input has no more than the consumer secret;
    /// refresh-token
    #[arg(long)]
    by_consent: bool,
    /// Replace the org of this name: everything is given anew, its secrets too
    #[arg(long)]
    replace: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FlowName {
    ClientCredentials,
    JwtBearer,
    RefreshToken,
}

#[derive(Clone, Copy, ValueEnum)]
enum ClientAuthName {
    /// In the body
    Post,
    /// In the Authorization header
    Basic,
}

/// What is secret of an org.
struct Given {
    /// Consumer secret or private key.
    secret: Option<SecretString>,
    refresh_token: Option<SecretString>,
}

/// Registers an org.
pub async fn add(place: &Place, json: bool, options: Options) -> Result<(), Failure> {
    let open = place.open().await?;
    let now = SystemTime::now();
    let mut org = org(&options, open.fetcher().reach(), now)?;
    let earlier = open.registry.connection(&org.name).await?;
    if let Some(Connection::Upstream(_)) = &earlier {
        return Err(Failure::Message(format!("there is an upstream {}: give the org another name", org.name)));
    }
    if earlier.is_some() && !options.replace {
        return Err(already(&org.name));
    }
    let given = read_secrets(options.flow, options.by_consent)?;
    check_key(&org, &given, now)?;
    if given.secret.is_some() {
        org.secret_id = Some(new_secret_id(&open, &org.name, now)?);
    }
    let earlier_secret = match &earlier {
        Some(Connection::Salesforce(earlier)) => earlier.secret_id.as_deref(),
        _ => None,
    };
    let written = write(&open, &org, given, options.replace, earlier_secret, now).await;
    audited("org.add", &org.name, written)?;
    if json {
        return output::json(&json!({
            "name": org.name, "flow": flow(&org), "login_url": org.login_url, "api_version": org.api_version,
            "replaced": earlier.is_some(),
        }));
    }
    output::line(&format!("{} {}", if earlier.is_some() { "replaced" } else { "added" }, org.name))?;
    eprintln!("Next: northstar org {} {}", if options.by_consent { "connect" } else { "test" }, org.name);
    Ok(())
}

fn org(options: &Options, reach: Reach, now: SystemTime) -> Result<SalesforceOrg, Failure> {
    let Some(name) = ConnectionName::parse(&options.name) else {
        return Err(usage("the name of an org is a lower-case letter, then up to 39 of a-z 0-9 -"));
    };
    let url = |flag: &str, text: &str| {
        let refused = |error: OrgError| usage(&format!("{flag} {text}: {error}"));
        salesforce::org::host_url(text, reach).map(|_| text.trim_end_matches('/').to_owned()).map_err(refused)
    };
    if ApiVersion::parse(&options.api_version).is_none() {
        return Err(usage(&format!("--api-version {}: {}", options.api_version, OrgError::ApiVersion)));
    }
    let client_id = &options.client_id;
    if client_id.is_empty() || client_id.len() > 512 || !client_id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(usage("--client-id is the consumer key of the app, as Setup shows it"));
    }
    let login_url = url("--login-url", &options.login_url)?;
    Ok(SalesforceOrg {
        name,
        instance_url: options.instance_url.as_deref().map(|text| url("--instance-url", text)).transpose()?,
        api_version: options.api_version.clone(),
        flow: how(options, &login_url)?,
        login_url,
        client_id: client_id.clone(),
        secret_id: None,
        created_at: seconds(now),
    })
}

fn how(options: &Options, login_url: &str) -> Result<Flow, Failure> {
    let of_assertions = options.subject.is_some() || options.audience.is_some();
    if of_assertions && options.flow != FlowName::JwtBearer {
        return Err(usage("--subject and --audience are for --flow jwt-bearer"));
    }
    if options.by_consent && options.flow != FlowName::RefreshToken {
        return Err(usage("--by-consent is for --flow refresh-token"));
    }
    let client_auth = match options.client_auth {
        Some(ClientAuthName::Basic) => ClientAuth::Basic,
        _ => ClientAuth::Post,
    };
    let host = login_url.to_ascii_lowercase();
    match options.flow {
        FlowName::RefreshToken => Ok(Flow::RefreshToken { client_auth }),
        FlowName::ClientCredentials if [LOGIN, TEST].contains(&host.as_str()) => Err(usage(
            "client credentials are answered at the org's My Domain alone: give it as --login-url (Setup > My Domain)",
        )),
        FlowName::ClientCredentials => Ok(Flow::ClientCredentials { client_auth }),
        FlowName::JwtBearer if options.client_auth.is_some() => {
            Err(usage("--client-auth is for flows with a consumer secret: an assertion is signed by the private key"))
        }
        FlowName::JwtBearer => {
            let Some(subject) = options.subject.clone().filter(|subject| !subject.trim().is_empty()) else {
                return Err(usage("--flow jwt-bearer needs --subject: the user name that the tokens are for"));
            };
            let of_sandbox = host == TEST || host.contains(".sandbox.") || host.contains(".scratch.");
            let usual = if of_sandbox { TEST } else { LOGIN };
            Ok(Flow::JwtBearer { subject, audience: options.audience.clone().unwrap_or_else(|| usual.to_owned()) })
        }
    }
}

fn read_secrets(flow: FlowName, by_consent: bool) -> Result<Given, Failure> {
    match std::io::stdin().is_terminal() {
        true => ask_for(flow, by_consent),
        false => read_from(std::io::stdin().lock(), flow, by_consent),
    }
}

fn read_from(input: impl Read, flow: FlowName, by_consent: bool) -> Result<Given, Failure> {
    let mut text = String::new();
    input.take(MAX_SECRETS).read_to_string(&mut text)?;
    let text = SecretString::from(text);
    let mut lines = text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
    let mut line = || lines.next().map(|line| SecretString::from(line.to_owned()));
    let given = match flow {
        FlowName::JwtBearer => Given { secret: Some(text.clone()), refresh_token: None },
        FlowName::ClientCredentials => Given { secret: line(), refresh_token: None },
        FlowName::RefreshToken => {
            let refresh_token = if by_consent { None } else { line() };
            Given { secret: line(), refresh_token }
        }
    };
    check_given(given, flow, by_consent)
}

/// Nothing that is typed is shown.
fn ask_for(flow: FlowName, by_consent: bool) -> Result<Given, Failure> {
    let ask = |question: &str| -> Result<Option<SecretString>, Failure> {
        let terminal = Term::stderr();
        terminal.write_str(question)?;
        let answer = terminal.read_secure_line()?.trim().to_owned();
        Ok((!answer.is_empty()).then(|| answer.into()))
    };
    let given = match flow {
        FlowName::ClientCredentials => Given { secret: ask("Consumer secret: ")?, refresh_token: None },
        FlowName::RefreshToken => {
            let refresh_token = if by_consent { None } else { ask("Refresh token: ")? };
            Given { secret: ask("Consumer secret (empty if the app needs none): ")?, refresh_token }
        }
        FlowName::JwtBearer => {
            let mut pem = String::new();
            let mut question = "Private key, pasted whole (PEM): ";
            while let Some(line) = ask(question)? {
                pem.push_str(line.expose_secret());
                pem.push('\n');
                question = "";
                if line.expose_secret().starts_with("-----END") {
                    break;
                }
            }
            Given { secret: Some(pem.into()), refresh_token: None }
        }
    };
    check_given(given, flow, by_consent)
}

fn check_given(given: Given, flow: FlowName, by_consent: bool) -> Result<Given, Failure> {
    let Given { secret, refresh_token } = &given;
    let sendable = |text: &SecretString| {
        let text = text.expose_secret();
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let message = match flow {
        FlowName::ClientCredentials if !secret.as_ref().is_some_and(sendable) => {
            "standard input has no consumer secret: Setup > External Client App Manager > the app > Settings > OAuth \
             Settings > Consumer Key and Secret"
        }
        FlowName::RefreshToken if !by_consent && !refresh_token.as_ref().is_some_and(sendable) => {
            "standard input has no refresh token: one line with it, and one with the consumer secret if the app has one; or add \
             --by-consent, and get it by northstar org connect"
        }
        FlowName::RefreshToken if !secret.as_ref().is_none_or(sendable) => {
            "the consumer secret has characters of no secret"
        }
        _ => return Ok(given),
    };
    Err(usage(message))
}

/// A key that cannot sign is found out here and not with the first call.
fn check_key(org: &SalesforceOrg, given: &Given, now: SystemTime) -> Result<(), Failure> {
    let (Flow::JwtBearer { subject, audience }, Some(key)) = (&org.flow, &given.secret) else { return Ok(()) };
    match assertion::sign(key, &org.client_id, subject, audience, now) {
        Some(_) => Ok(()),
        None => Err(usage("standard input has no RSA private key of at least 2048 bits in PEM (PKCS#8 or PKCS#1)")),
    }
}

/// Secrets come first: a registration without them would only fail. That of an earlier registration goes last, when nobody
/// needs it any more.
async fn write(
    open: &Open,
    org: &SalesforceOrg,
    given: Given,
    replace: bool,
    earlier_secret: Option<&str>,
    now: SystemTime,
) -> Result<(), Failure> {
    let grants = open.grants().await?;
    if let (Some(id), Some(secret)) = (&org.secret_id, &given.secret) {
        create_secret(open, id, secret).await?;
    }
    // Tokens of an earlier registration, and what was wrong with it.
    grants.remove(&org.name, now).await?;
    if given.refresh_token.is_some() {
        let grant = NewGrant {
            refresh_token: given.refresh_token,
            access_token: None,
            expires_at: None,
            unverified_instance_url: None,
            identity: None,
        };
        let checked = Org::new(org, open.fetcher().reach()).map_err(|error| usage(&error.to_string()))?;
        grants.put(&checked.connection(org), grant, now).await?;
    }
    let connection = Connection::Salesforce(org.clone());
    if !open.registry.put_connection(&connection, !replace).await? {
        if let Some(id) = &org.secret_id {
            open.secrets.delete(id).await?;
        }
        return Err(already(&org.name));
    }
    if let Some(id) = earlier_secret {
        open.secrets.delete(id).await?;
    }
    Ok(())
}

fn already(name: &ConnectionName) -> Failure {
    Failure::Message(format!("there is an org {name} already: add --replace to give everything of it anew"))
}

fn usage(message: &str) -> Failure {
    Failure::Usage(message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(flow: FlowName, input: &str) -> Option<(Option<String>, Option<String>)> {
        let text = |secret: Option<SecretString>| secret.map(|secret| secret.expose_secret().to_owned());
        read_from(input.as_bytes(), flow, false).ok().map(|given| (text(given.secret), text(given.refresh_token)))
    }

    #[test]
    fn secrets_come_in_lines() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(given(FlowName::ClientCredentials, "abc\n"), Some((some("abc"), None)));
        assert_eq!(given(FlowName::RefreshToken, "5Aep\r\n"), Some((None, some("5Aep"))));
        assert_eq!(given(FlowName::RefreshToken, "\n5Aep\n abc \n"), Some((some("abc"), some("5Aep"))));
        assert_eq!(given(FlowName::JwtBearer, "-----BEGIN\nx\n"), Some((some("-----BEGIN\nx\n"), None)));
        for (flow, input) in
            [(FlowName::ClientCredentials, ""), (FlowName::ClientCredentials, "a b\n"), (FlowName::RefreshToken, "\n")]
        {
            assert_eq!(given(flow, input), None, "{input:?}");
        }
    }
}
