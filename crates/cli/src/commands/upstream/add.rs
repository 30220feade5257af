//! `northstar upstream add`.

use std::io::{IsTerminal, Read};
use std::time::{Duration, Instant, SystemTime};

use clap::{Args, ValueEnum};
use console::Term;
use doctor::upstream::{Metadata, Observed, Registration as Registered, judge};
use oauth_client::consent;
use outbound::Fetcher;
use registry::client::seconds;
use registry::{ClientAuth, Connection, ConnectionName, Flow, Preset, Upstream, UpstreamAuth, UpstreamOAuth};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use upstream::discovery::{
    AuthMethod, Credential, Discovered, Finding, Inquiry, Origin, Setting, Settings, choose_auth_method, discover,
};
use upstream::registration::{self, Registration};
use upstream::{Endpoint, McpClient, Probe};

use super::revoke::{forget_grant, forget_seen};
use super::{audited, auth, create_secret, fields, new_secret_id, redirect_uri, secret_of};
use crate::commands::doctor::print as print_finding;
use crate::commands::server::public_url;
use crate::output::{self, Failure};
use crate::place::{Kind, Open, Place};

/// No secret is this long, in bytes.
const MAX_SECRET: u64 = 64 * 1024;
/// How long the MCP server may take to say where its metadata is.
const PROBE: Duration = Duration::from_secs(10);
/// Where Salesforce's hosted servers are.
const HOSTED: &str = "https://api.salesforce.com/platform/mcp/v1/";
const HOSTED_PATH: &str = "/platform/mcp/v1/";

/// See the fields' help.
#[derive(Args)]
pub struct Options {
    /// Its name here, by which definitions of servers name it: a lower-case letter, then up to 39 of a-z 0-9 -
    name: String,
    /// Its MCP endpoint: https, a public host by its name, port 443
    #[arg(long, value_name = "URL")]
    url: String,
    /// Settings of Salesforce's hosted MCP servers: of production and Developer Edition orgs, or of sandboxes and scratch
    /// orgs. By the URL unless given
    #[arg(long, value_name = "PRESET")]
    preset: Option<PresetName>,
    /// Our client id there: the Consumer Key of an External Client App
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Issuer of its authorization server, as authorization responses name it; with a preset, the My Domain
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Authorization endpoint
    #[arg(long, value_name = "URL")]
    authorize_url: Option<String>,
    /// Token endpoint
    #[arg(long, value_name = "URL")]
    token_url: Option<String>,
    /// Revocation endpoint
    #[arg(long, value_name = "URL")]
    revoke_url: Option<String>,
    /// A scope to ask for; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// How we authenticate: with the consent of a user (oauth), as ourselves, with a token that does not change, or not at
    /// all
    #[arg(long, value_name = "HOW", default_value = "oauth")]
    auth: AuthName,
    /// How we authenticate at the token endpoint, if with a secret or a key
    #[arg(long, value_name = "METHOD")]
    client_auth: Option<ClientAuthName>,
    /// Where the browser goes after a consent, with ?oauth=success or ?oauth=error; our own page unless given
    #[arg(long, value_name = "URL")]
    result_page: Option<String>,
    /// Take URLs of this machine, for a local run that serves with --allow-loopback-upstreams
    #[arg(long)]
    allow_loopback: bool,
    /// Replace the upstream of this name: everything is given anew, its secret too, and somebody has to consent again
    #[arg(long)]
    replace: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PresetName {
    Salesforce,
    SalesforceSandbox,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AuthName {
    Oauth,
    ClientCredentials,
    Bearer,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClientAuthName {
    /// Client secret in the body
    Post,
    /// Client secret in the Authorization header
    Basic,
    /// An assertion that the private key on standard input signs
    PrivateKeyJwt,
}

/// What came of the settings, for whoever reads them.
struct Told {
    settings: Settings,
    findings: Vec<Finding>,
    client_id: Option<Setting<String>>,
    registered: bool,
    client_auth: &'static str,
}

/// Registers an upstream.
pub async fn add(place: &Place, json: bool, options: Options) -> Result<(), Failure> {
    if options.allow_loopback && matches!(place, Place::Stack(_)) {
        return Err(usage("--allow-loopback is for a local run: no deployed function asks its own machine"));
    }
    let open = place.open().await?;
    let now = SystemTime::now();
    let fetcher = if options.allow_loopback { Fetcher::with_loopback(None) } else { Fetcher::new() };
    let Some(name) = ConnectionName::parse(&options.name) else {
        return Err(usage(
            "the name of an upstream is a lower-case letter, then up to 39 of a-z 0-9 -, and not callback",
        ));
    };
    let preset = check(&fetcher, &options)?;
    let earlier = open.registry.connection(&name).await?;
    match &earlier {
        Some(Connection::Salesforce(_)) => {
            return Err(Failure::Message(format!("there is an org {name}: give the upstream another name")));
        }
        Some(Connection::Upstream(_)) if !options.replace => return Err(already(&name)),
        _ => {}
    }
    let secret = read_secret(&options)?;
    let (auth, told, secret) = match options.auth {
        AuthName::None => (UpstreamAuth::None, None, None),
        AuthName::Bearer => (UpstreamAuth::Bearer { secret_id: new_secret_id(&open, &name, now)? }, None, secret),
        AuthName::Oauth | AuthName::ClientCredentials => {
            let (oauth, told, secret) = oauth(&open, json, &fetcher, &name, &options, preset, secret).await?;
            (UpstreamAuth::OAuth(Box::new(oauth)), Some(told), secret)
        }
    };
    let upstream = Upstream {
        name,
        url: options.url.clone(),
        preset,
        auth,
        result_page: options.result_page.clone(),
        created_at: seconds(now),
    };
    let written = write(&open, &upstream, earlier.as_ref(), secret, now).await;
    audited("upstream.add", &upstream.name, written)?;
    print(&open, json, &upstream, told.as_ref(), earlier.is_some())
}

/// Whatever the command line alone tells.
fn check(fetcher: &Fetcher, options: &Options) -> Result<Option<Preset>, Failure> {
    let url = |flag: &str, text: &Option<String>| match text.as_deref().map(|text| (text, fetcher.check(text))) {
        Some((text, Err(error))) => {
            let local = Fetcher::with_loopback(None).check(text).is_ok();
            let hint = if local { ", and this machine with --allow-loopback" } else { "" };
            Err(usage(&format!("{flag} {text}: {error}{hint}")))
        }
        _ => Ok(()),
    };
    url("--url", &Some(options.url.clone()))?;
    url("--issuer", &options.issuer)?;
    url("--authorize-url", &options.authorize_url)?;
    url("--token-url", &options.token_url)?;
    url("--revoke-url", &options.revoke_url)?;
    url("--result-page", &options.result_page)?;
    if options.issuer.as_ref().is_some_and(|issuer| issuer.contains('?')) {
        return Err(usage("--issuer: an issuer has no query (RFC 8414 §2)"));
    }
    let of_oauth = [
        ("--client-id", options.client_id.is_some()),
        ("--issuer", options.issuer.is_some()),
        ("--authorize-url", options.authorize_url.is_some()),
        ("--token-url", options.token_url.is_some()),
        ("--revoke-url", options.revoke_url.is_some()),
        ("--scope", !options.scopes.is_empty()),
        ("--client-auth", options.client_auth.is_some()),
    ];
    if matches!(options.auth, AuthName::Bearer | AuthName::None)
        && let Some((flag, _)) = of_oauth.iter().find(|(_, given)| *given)
    {
        return Err(usage(&format!("{flag} is for --auth oauth and client-credentials")));
    }
    if options.auth != AuthName::Oauth && (options.authorize_url.is_some() || options.result_page.is_some()) {
        return Err(usage("--authorize-url and --result-page are for --auth oauth: nobody else sees a browser"));
    }
    // RFC 6749 §3.3.
    let is_scope = |scope: &String| {
        !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    };
    if let Some(scope) = options.scopes.iter().find(|scope| !is_scope(scope)) {
        return Err(usage(&format!("--scope {scope:?}: a scope is one word; give --scope for each")));
    }
    let is_client_id =
        |id: &String| !id.is_empty() && id.len() <= 512 && id.bytes().all(|byte| byte.is_ascii_graphic());
    if options.client_id.as_ref().is_some_and(|id| !is_client_id(id)) {
        return Err(usage("--client-id is the Consumer Key of the app, as Setup shows it"));
    }
    preset(options)
}

/// The preset that is named, or that the URL tells.
fn preset(options: &Options) -> Result<Option<Preset>, Failure> {
    let host_and_path = options.url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    let path = host_and_path.map(|(_, path)| format!("/{path}")).unwrap_or_default();
    let hosted = if options.allow_loopback { path.starts_with(HOSTED_PATH) } else { options.url.starts_with(HOSTED) };
    let of_url = match path.strip_prefix(HOSTED_PATH).filter(|_| hosted) {
        Some(rest) if rest.starts_with("sandbox/") => Some(Preset::SalesforceSandbox),
        Some(_) => Some(Preset::Salesforce),
        None => None,
    };
    let named = options.preset.map(|preset| match preset {
        PresetName::Salesforce => Preset::Salesforce,
        PresetName::SalesforceSandbox => Preset::SalesforceSandbox,
    });
    if matches!(options.auth, AuthName::Bearer | AuthName::None) {
        return match named {
            Some(_) => Err(usage("--preset is for --auth oauth and client-credentials")),
            None => Ok(None),
        };
    }
    match (named, of_url) {
        (None, of_url) => Ok(of_url),
        (named, of_url) if named == of_url => Ok(named),
        (Some(Preset::Salesforce), Some(_)) => Err(usage(&format!(
            "--url {} is of a sandbox or scratch org: --preset salesforce-sandbox, or a URL without sandbox/",
            options.url
        ))),
        (Some(Preset::SalesforceSandbox), Some(_)) => Err(usage(&format!(
            "--url {} is of a production or Developer Edition org: a sandbox has {HOSTED}sandbox/…",
            options.url
        ))),
        (Some(_), None) => Err(usage(&format!(
            "--url {} is none of Salesforce's hosted MCP servers: those begin with {HOSTED}. Leave --preset out for any other",
            options.url
        ))),
    }
}

/// The settings that were given, over those of a preset, over what is discovered; with a client id that was given or, where
/// that is offered, registered.
async fn oauth(
    open: &Open,
    json: bool,
    fetcher: &Fetcher,
    name: &ConnectionName,
    options: &Options,
    preset: Option<Preset>,
    secret: Option<SecretString>,
) -> Result<(UpstreamOAuth, Told, Option<SecretString>), Failure> {
    let consent = options.auth == AuthName::Oauth;
    let given = Settings {
        issuer: Setting::given(options.issuer.clone()),
        authorize_url: Setting::given(options.authorize_url.clone()),
        token_url: Setting::given(options.token_url.clone()),
        revoke_url: Setting::given(options.revoke_url.clone()),
        scopes: Setting::given(Some(options.scopes.clone()).filter(|scopes| !scopes.is_empty())),
        ..Settings::default()
    };
    let known = match preset {
        Some(preset) => given.over(Settings::preset(preset, options.issuer.as_deref())),
        None => given,
    };
    let challenge = challenge(fetcher, name, &options.url).await;
    let inquiry = Inquiry { url: &options.url, challenge: challenge.as_deref(), known, refresh_tokens: consent };
    let Discovered { settings, findings, .. } = discover(fetcher, inquiry).await;
    let mut told = Told { client_id: None, registered: false, client_auth: "none", settings, findings };
    let missing = missing(&told.settings, consent);
    let incomplete = || usage(&format!("not everything could be found out: give {}", missing.join(", ")));
    if options.client_id.is_none() && told.settings.registration_url.as_ref().filter(|_| consent).is_none() {
        return Err(no_client_id(open, json, name, options, &told));
    }
    if !missing.is_empty() {
        say_findings(&told.findings);
        return Err(incomplete());
    }
    let client = match (&options.client_id, &told.settings.registration_url) {
        (None, Some(endpoint)) => {
            let client = register(open, fetcher, name, &endpoint.value, &told.settings).await?;
            told.client_id = Some(Setting { value: client.id.clone(), origin: Origin::Discovered });
            told.registered = true;
            client
        }
        (id, _) => {
            let method = method(options, &told.settings, preset.is_some(), secret.is_some())?;
            told.client_id = Setting::given(id.clone());
            Client { id: id.clone().unwrap_or_default(), secret, method }
        }
    };
    told.client_auth = client.method.as_str();
    let secret_id = match &client.secret {
        Some(_) => Some(new_secret_id(open, name, SystemTime::now())?),
        None => None,
    };
    let oauth = complete(options, &told.settings, &client, secret_id).ok_or_else(incomplete)?;
    Ok((oauth, told, client.secret))
}

/// Who we are at the authorization server.
struct Client {
    id: String,
    secret: Option<SecretString>,
    method: AuthMethod,
}

/// Registers us (RFC 7591).
async fn register(
    open: &Open,
    fetcher: &Fetcher,
    name: &ConnectionName,
    endpoint: &str,
    settings: &Settings,
) -> Result<Client, Failure> {
    let offered = settings.auth_methods.as_ref().map(|methods| methods.value.as_slice());
    let Some(auth_method) = registration::registrable_method(offered) else {
        return Err(Failure::Message(
            "the authorization server takes clients by no method that we have: register one there, and give its --client-id"
                .to_owned(),
        ));
    };
    let scopes = settings.scopes.clone().map(|scopes| scopes.value).unwrap_or_default();
    let redirect_uri = redirect_uri_with(open, name, settings);
    let registration = Registration {
        url: endpoint,
        client_name: "Northstar",
        redirect_uri: &redirect_uri,
        scopes: &scopes,
        auth_method,
    };
    let registered = registration::register(fetcher, &registration)
        .await
        .map_err(|error| Failure::Message(format!("{error} ({})", error.code())))?;
    Ok(Client { id: registered.client_id, secret: registered.client_secret, method: registered.auth_method })
}

/// Where the browser comes back to, before the upstream is registered.
fn redirect_uri_with(open: &Open, name: &ConnectionName, settings: &Settings) -> String {
    let [authorize_url, token_url] =
        [&settings.authorize_url, &settings.token_url].map(|url| url.as_ref().map(|url| url.value.as_str()));
    consent::redirect_uri(&public_url(open), name, authorize_url, token_url)
}

/// What could not be found out, by the options that give it.
fn missing(settings: &Settings, consent: bool) -> Vec<&'static str> {
    let needed = [
        ("--issuer", settings.issuer.is_none()),
        ("--token-url", settings.token_url.is_none()),
        ("--authorize-url", consent && settings.authorize_url.is_none()),
    ];
    needed.into_iter().filter(|(_, missing)| *missing).map(|(flag, _)| flag).collect()
}

/// The registration; `None` when something of the authorization server is missing.
fn complete(
    options: &Options,
    settings: &Settings,
    client: &Client,
    secret_id: Option<String>,
) -> Option<UpstreamOAuth> {
    let text = |setting: &Option<Setting<String>>| setting.as_ref().map(|setting| setting.value.clone());
    let consent = options.auth == AuthName::Oauth;
    let client_auth = match client.method {
        AuthMethod::Basic => ClientAuth::Basic,
        AuthMethod::PrivateKeyJwt => ClientAuth::PrivateKeyJwt,
        AuthMethod::Post | AuthMethod::None => ClientAuth::Post,
    };
    Some(UpstreamOAuth {
        issuer: text(&settings.issuer)?,
        authorize_url: text(&settings.authorize_url).filter(|_| consent),
        token_url: text(&settings.token_url)?,
        revoke_url: text(&settings.revoke_url),
        iss_promised: settings.iss_promised.as_ref().is_some_and(|promised| promised.value),
        flow: if consent { Flow::RefreshToken { client_auth } } else { Flow::ClientCredentials { client_auth } },
        resource: text(&settings.resource).filter(|resource| *resource != options.url),
        client_id: client.id.clone(),
        secret_id,
        scopes: settings.scopes.as_ref().map(|scopes| scopes.value.clone()).unwrap_or_default(),
    })
}

/// What the MCP server says to a request without a token, which names its metadata.
async fn challenge(fetcher: &Fetcher, name: &ConnectionName, url: &str) -> Option<String> {
    let endpoint = Endpoint { name, url, bearer: None };
    match McpClient::new(fetcher.clone()).probe(endpoint, Instant::now() + PROBE).await {
        Probe::Refused { refusal, .. } => refusal.www_authenticate,
        Probe::Answers { .. } | Probe::Failed(_) => None,
    }
}

/// How we authenticate: as it was said, or as the authorization server takes it.
fn method(
    options: &Options,
    settings: &Settings,
    of_salesforce: bool,
    has_secret: bool,
) -> Result<AuthMethod, Failure> {
    match options.client_auth {
        Some(_) if !has_secret => Err(usage("--client-auth is for a secret or a private key: standard input has none")),
        Some(ClientAuthName::Post) => Ok(AuthMethod::Post),
        Some(ClientAuthName::Basic) => Ok(AuthMethod::Basic),
        Some(ClientAuthName::PrivateKeyJwt) => Ok(AuthMethod::PrivateKeyJwt),
        None if !has_secret => Ok(AuthMethod::None),
        None => {
            let offered = settings.auth_methods.as_ref().map(|methods| methods.value.as_slice());
            let refused =
                "the authorization server says that it takes no client secret: give none, or say --client-auth";
            // Salesforce documents the body; without metadata the header is what RFC 6749 wants.
            match (offered, of_salesforce) {
                (None, true) => Ok(AuthMethod::Post),
                (offered, _) => choose_auth_method(offered, Credential::Secret).ok_or_else(|| usage(refused)),
            }
        }
    }
}

/// Nothing can be done without a client id; the doctor says why, and what to do.
fn no_client_id(open: &Open, json: bool, name: &ConnectionName, options: &Options, told: &Told) -> Failure {
    let metadata = Metadata { found: true, registers: false, ..Metadata::default() };
    let observed = Observed {
        registration: Registered {
            name: name.to_string(),
            url: options.url.clone(),
            tokens: true,
            redirect_uri: redirect_uri_with(open, name, &told.settings),
            ..Registered::default()
        },
        metadata: Some(metadata),
        ..Observed::default()
    };
    let findings = judge(&observed);
    if json {
        if output::json(&json!({ "name": name, "added": false, "findings": findings })).is_err() {
            return usage("standard output is closed");
        }
        return Failure::Answered;
    }
    say_findings(&told.findings);
    match findings.iter().try_for_each(print_finding) {
        Ok(()) => Failure::Answered,
        Err(failure) => failure,
    }
}

fn say_findings(findings: &[Finding]) {
    for finding in findings {
        eprintln!("{finding} ({}). {}", finding.code(), finding.remedy());
    }
}

fn read_secret(options: &Options) -> Result<Option<SecretString>, Failure> {
    let text = match options.auth {
        AuthName::None => return Ok(None),
        _ if std::io::stdin().is_terminal() => ask(options)?,
        _ => {
            let mut text = String::new();
            std::io::stdin().lock().take(MAX_SECRET).read_to_string(&mut text)?;
            SecretString::from(text)
        }
    };
    check_secret(options, &text)
}

/// Nothing that is typed is shown.
fn ask(options: &Options) -> Result<SecretString, Failure> {
    let question = match (options.auth, options.client_auth) {
        (AuthName::Bearer, _) => "Bearer token: ",
        (_, Some(ClientAuthName::PrivateKeyJwt)) => {
            return Err(usage("give the private key on standard input: northstar upstream add … < key.pem"));
        }
        (AuthName::ClientCredentials, _) => "Client secret: ",
        _ => "Client secret (empty if the app needs none): ",
    };
    let terminal = Term::stderr();
    terminal.write_str(question)?;
    Ok(terminal.read_secure_line()?.into())
}

fn check_secret(options: &Options, text: &SecretString) -> Result<Option<SecretString>, Failure> {
    let trimmed = text.expose_secret().trim();
    let one_word = trimmed.bytes().all(|byte| byte.is_ascii_graphic());
    let is_key = options.client_auth == Some(ClientAuthName::PrivateKeyJwt);
    match options.auth {
        AuthName::Bearer if trimmed.is_empty() || !one_word => {
            Err(usage("standard input has no bearer token: one line with it"))
        }
        _ if is_key && !trimmed.starts_with("-----BEGIN") => Err(usage("standard input has no private key in PEM")),
        _ if is_key => Ok(Some(text.clone())),
        AuthName::ClientCredentials if trimmed.is_empty() => Err(usage("standard input has no client secret")),
        _ if !one_word => Err(usage("the client secret has characters of no secret: one line with it")),
        _ => Ok((!trimmed.is_empty()).then(|| trimmed.to_owned().into())),
    }
}

/// The secret comes first: a registration without it would only fail. That of an earlier registration goes last, when nobody
/// needs it any more.
async fn write(
    open: &Open,
    upstream: &Upstream,
    earlier: Option<&Connection>,
    secret: Option<SecretString>,
    now: SystemTime,
) -> Result<(), Failure> {
    let (name, secret_id) = (&upstream.name, secret_of(upstream));
    if let (Some(id), Some(secret)) = (secret_id, &secret) {
        create_secret(open, id, secret).await?;
    }
    // Tokens of an earlier registration, who consented to it, what was seen, and what was accepted at another URL. A removal
    // that did not end may have left them too.
    forget_grant(open, name, now).await?;
    forget_seen(open, name).await?;
    let earlier = match earlier {
        Some(Connection::Upstream(earlier)) => Some(earlier),
        _ => None,
    };
    if earlier.is_some_and(|earlier| earlier.url != upstream.url) {
        open.registry.delete_connection(name).await?;
    }
    let connection = Connection::Upstream(upstream.clone());
    if !open.registry.put_connection(&connection, earlier.is_none()).await? {
        if let Some(id) = secret_id {
            open.secrets.delete(id).await?;
        }
        return Err(already(name));
    }
    if let Some(id) = earlier.and_then(secret_of) {
        open.secrets.delete(id).await?;
    }
    Ok(())
}

fn print(open: &Open, json: bool, upstream: &Upstream, told: Option<&Told>, replaced: bool) -> Result<(), Failure> {
    let settings = told.map(rows).unwrap_or_default();
    let redirect_uri = matches!(auth(upstream), "oauth").then(|| redirect_uri(open, upstream));
    if json {
        let settings: Map<String, Value> = settings
            .iter()
            .map(|(name, value, origin)| ((*name).to_owned(), json!({ "value": value, "source": origin })))
            .collect();
        let findings: Vec<Value> =
            told.map(|told| told.findings.as_slice()).unwrap_or_default().iter().map(document).collect();
        return output::json(&json!({
            "name": upstream.name, "url": upstream.url, "auth": auth(upstream), "preset": upstream.preset,
            "settings": settings, "redirect_uri": redirect_uri, "findings": findings,
            "registered": told.is_some_and(|told| told.registered), "replaced": replaced,
        }));
    }
    output::line(&format!("{} {}", if replaced { "replaced" } else { "added" }, upstream.name))?;
    let shown: Vec<(&str, String)> =
        settings.iter().map(|(name, value, origin)| (*name, format!("{value}  ({origin})"))).collect();
    fields(&shown)?;
    say_findings(told.map(|told| told.findings.as_slice()).unwrap_or_default());
    if let Some(redirect_uri) = redirect_uri {
        fields(&[("callback URL", redirect_uri)])?;
        eprintln!("The app has to have the callback URL exactly as it stands there.");
        eprintln!("Next: northstar upstream connect {}", upstream.name);
    } else {
        eprintln!("Next: northstar upstream test {}", upstream.name);
    }
    if matches!(open.kind, Kind::Home(_)) && super::is_local(upstream) {
        eprintln!("The local run asks this machine only with northstar serve --allow-loopback-upstreams.");
    }
    Ok(())
}

/// Name, value and source of every setting that there is.
fn rows(told: &Told) -> Vec<(&'static str, String, &'static str)> {
    let text = |setting: &Option<Setting<String>>| {
        setting.as_ref().map(|setting| (setting.value.clone(), setting.origin.as_str()))
    };
    let Told { settings, client_id, registered, client_auth, .. } = told;
    let scopes = settings.scopes.as_ref().map(|scopes| (scopes.value.join(" "), scopes.origin.as_str()));
    let client_id = client_id.as_ref().map(|id| (id.value.clone(), if *registered { "registered" } else { "given" }));
    let rows = [
        ("issuer", text(&settings.issuer)),
        ("authorize_url", text(&settings.authorize_url)),
        ("token_url", text(&settings.token_url)),
        ("revoke_url", text(&settings.revoke_url)),
        ("resource", text(&settings.resource)),
        ("scopes", scopes),
        ("client_id", client_id),
        ("client_auth", Some(((*client_auth).to_owned(), "chosen"))),
    ];
    rows.into_iter().filter_map(|(name, found)| found.map(|(value, origin)| (name, value, origin))).collect()
}

fn document(finding: &Finding) -> Value {
    json!({ "code": finding.code(), "problem": finding.to_string(), "remedy": finding.remedy() })
}

fn already(name: &ConnectionName) -> Failure {
    Failure::Message(format!("there is an upstream {name} already: add --replace to give everything of it anew"))
}

fn usage(message: &str) -> Failure {
    Failure::Usage(message.to_owned())
}
