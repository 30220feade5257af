//! Compares a project with the live catalogue. Every difference names the page and the field of Setup.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::catalogue::{Catalogue, Tool};
use crate::pack::{FIRST_MANIFEST, PRINCIPAL};
use crate::retrieved::{Agent, ExternalCredential, IdentityProvider, NamedCredential, Registration, Retrieved};

/// What the project should say.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Name of the registration.
    pub name: String,
    /// API name of the agent; `None` when any will do.
    pub agent: Option<String>,
    /// URL of the MCP server.
    pub server_url: String,
    /// The token endpoint.
    pub token_url: String,
    /// The scope.
    pub scope: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What has to be done; empty when project and catalogue agree.
    pub differences: Vec<Difference>,
    /// What to know besides.
    pub notes: Vec<String>,
}

/// How the project differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is not there.
    Missing,
    /// It has another value.
    Differs,
    /// Salesforce keeps an older list of tools.
    Resync,
}

impl Kind {
    /// The kind, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Missing => "missing",
            Kind::Differs => "differs",
            Kind::Resync => "re-sync",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// How it differs.
    pub kind: Kind,
    /// What differs: `Named Credential NorthstarMCP: URL`.
    pub what: String,
    /// What the project has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// What it should have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What to do, in the words of Setup.
    pub fix: String,
}

/// There are several registrations, or none of the name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the project registers {}: say which one with --name", names.join(" and "))]
pub struct WhichOne {
    names: Vec<String>,
}

impl Retrieved {
    /// The name to compare: the one asked for, else that of the only registration or Named Credential, if there is one.
    ///
    /// # Errors
    /// [`WhichOne`] when there are several.
    pub fn name(&self, asked: Option<&str>) -> Result<Option<String>, WhichOne> {
        if let Some(name) = asked {
            return Ok(Some(name.to_owned()));
        }
        let registered: Vec<String> = self.registrations.iter().map(|registration| registration.name.clone()).collect();
        match registered.len() {
            0 => Ok(self.named_credentials.first().map(|credential| credential.name.clone())),
            1 => Ok(registered.into_iter().next()),
            _ => Err(WhichOne { names: registered }),
        }
    }

    /// The URL of the MCP server that a registration calls.
    pub fn url(&self, name: &str) -> Option<&str> {
        self.named_credential(name)?.url.as_deref()
    }

    /// The token endpoint that a registration asks.
    pub fn token_url(&self, name: &str) -> Option<&str> {
        self.external_credential(name)?.token_url.as_deref()
    }

    fn registration(&self, name: &str) -> Option<&Registration> {
        self.registrations.iter().find(|registration| registration.name == name)
    }

    fn named_credential_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.registration(name).and_then(|registration| registration.named_credential.as_deref()).unwrap_or(name)
    }

    fn named_credential(&self, name: &str) -> Option<&NamedCredential> {
        let wanted = self.named_credential_name(name);
        self.named_credentials.iter().find(|credential| credential.name == wanted)
    }

    fn external_credential_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.named_credential(name).and_then(|credential| credential.external_credential.as_deref()).unwrap_or(name)
    }

    fn external_credential(&self, name: &str) -> Option<&ExternalCredential> {
        let wanted = self.external_credential_name(name);
        self.external_credentials.iter().find(|credential| credential.name == wanted)
    }
}

/// Compares.
pub fn diff(found: &Retrieved, expected: &Expected, catalogue: &Catalogue) -> Report {
    let mut report = Report::default();
    let name = &expected.name;
    match found.named_credential(name) {
        Some(credential) => report.named_credential(credential, expected),
        None => report.missing("Named Credential", "NamedCredential", found.named_credential_name(name)),
    }
    match found.external_credential(name) {
        Some(credential) => {
            report.external_credential(credential, &found.identity_providers, expected);
            report.credential_access(found, credential);
        }
        None => report.missing("External Credential", "ExternalCredential", found.external_credential_name(name)),
    }
    for provider in &found.identity_providers {
        report.identity_provider(provider, expected);
    }
    report.agents(found, expected);
    match found.registration(name) {
        Some(registration) => report.tools(registration, catalogue),
        None => report.missing("External Service Registration", "ExternalServiceRegistration", name),
    }
    report
}

impl Report {
    fn missing(&mut self, what: &str, kind: &str, name: &str) {
        self.differences.push(Difference {
            kind: Kind::Missing,
            what: format!("{what} {name}"),
            seen: None,
            expected: None,
            fix: format!(
                "make it with `northstar salesforce pack`, and deploy it: `sf project deploy start --manifest {FIRST_MANIFEST}` \
                 (or --metadata {kind}:{name})"
            ),
        });
    }

    /// A field whose value has to be one of some; the first of them is named.
    fn field(&mut self, what: String, seen: Option<&str>, right: &[&str], fix: String) {
        if !right.iter().any(|right| Some(*right) == seen) {
            let kind = if seen.is_some() { Kind::Differs } else { Kind::Missing };
            let expected = right.first().map(|right| (*right).to_owned());
            self.differences.push(Difference { kind, what, seen: seen.map(str::to_owned), expected, fix });
        }
    }

    fn named_credential(&mut self, credential: &NamedCredential, expected: &Expected) {
        let name = &credential.name;
        let page = format!("Setup → Named Credentials → {name} → Edit");
        let what = |field: &str| format!("Named Credential {name}: {field}");
        let (url, external) = (credential.url.as_deref(), credential.external_credential.as_deref());
        self.field(what("URL"), url, &[&expected.server_url], format!("{page} → URL"));
        if external.is_none() {
            self.field(what("External Credential"), None, &[&expected.name], format!("{page} → External Credential"));
        }
        let on = |on: bool| Some(if on { "on" } else { "off" });
        let fix = format!("{page} → Enabled for Callouts");
        self.field(what("Enabled for Callouts"), on(credential.enabled), &["on"], fix);
        let fix = format!("{page} → Generate Authorization Header");
        self.field(what("Generate Authorization Header"), on(credential.authorization_header), &["on"], fix);
    }

    fn external_credential(
        &mut self,
        credential: &ExternalCredential,
        providers: &[IdentityProvider],
        expected: &Expected,
    ) {
        let name = &credential.name;
        let page = format!("Setup → Named Credentials → External Credentials → {name} → Edit");
        let what = |field: &str| format!("External Credential {name}: {field}");
        let protocol = credential.protocol.as_deref();
        self.field(
            what("Authentication Protocol"),
            protocol,
            &["Oauth"],
            format!("{page} → Authentication Protocol = OAuth 2.0"),
        );
        if let Some(provider) = &credential.identity_provider {
            if !providers.iter().any(|found| found.name == *provider) {
                self.missing("External Auth Identity Provider", "ExternalAuthIdentityProvider", provider);
            }
        } else {
            let flows = ["ClientCredentialsClientSecret", "ClientCredentialsClientSecretBasic"];
            let fix = format!("{page} → Authentication Flow Type = Client Credentials with Client Secret Flow");
            self.field(what("Authentication Flow Type"), credential.variant.as_deref(), &flows, fix);
            let token_url = credential.token_url.as_deref();
            self.field(
                what("Identity Provider URL"),
                token_url,
                &[&expected.token_url],
                format!("{page} → Identity Provider URL"),
            );
        }
        let scope = credential.scope.as_deref();
        if scope.map(scopes) != Some(scopes(&expected.scope)) {
            let fix = format!("{page} → Scope (if it is meant so, compare with --scope)");
            self.field(what("Scope"), scope, &[&expected.scope], fix);
        }
        if credential.principals.is_empty() {
            let fix = format!(
                "Setup → Named Credentials → External Credentials → {name} → Principals → New: Parameter Name {PRINCIPAL}, \
                 Identity Type Named Principal, then Client ID and Client Secret"
            );
            self.field(what("principal"), None, &[PRINCIPAL], fix);
        }
    }

    fn identity_provider(&mut self, provider: &IdentityProvider, expected: &Expected) {
        let name = &provider.name;
        let fix = format!("Setup → Named Credentials → External Auth Identity Providers → {name} → Edit → Token URL");
        let what = format!("External Auth Identity Provider {name}: Token URL");
        self.field(what, provider.token_url.as_deref(), &[&expected.token_url], fix);
    }

    /// Somebody must be allowed to use the principal; an access to one that is not there serves nobody.
    fn credential_access(&mut self, found: &Retrieved, credential: &ExternalCredential) {
        let principals: Vec<String> =
            credential.principals.iter().map(|principal| format!("{}-{principal}", credential.name)).collect();
        let Some(wanted) = principals.first() else { return };
        let gives = |access: &Vec<String>| access.iter().any(|principal| principals.contains(principal));
        let giving: Vec<_> = found.permission_sets.iter().filter(|set| gives(&set.principals)).collect();
        let prefix = format!("{}-", credential.name);
        for set in &found.permission_sets {
            let strange = |principal: &&String| principal.starts_with(&prefix) && !principals.contains(principal);
            for principal in set.principals.iter().filter(strange) {
                let what = format!("Permission Set {}: External Credential Principal Access", set.name);
                let fix =
                    format!("Setup → Permission Sets → {} → External Credential Principal Access → Edit", set.name);
                self.field(what, Some(principal), &[wanted], fix);
            }
        }
        if giving.is_empty() {
            self.missing("Permission Set", "PermissionSet", &format!("{}_Credential_Access", credential.name));
        }
        for set in giving.iter().filter(|set| !set.reads_credentials) {
            let what = format!("Permission Set {}: User External Credentials", set.name);
            let fix = format!(
                "Setup → Permission Sets → {} → Object Settings → User External Credentials → Edit → Read",
                set.name
            );
            self.field(what, Some("no access"), &["Read"], fix);
        }
    }

    fn agents(&mut self, found: &Retrieved, expected: &Expected) {
        let given: BTreeSet<&str> =
            found.permission_sets.iter().flat_map(|set| &set.agents).map(String::as_str).collect();
        let drafts: BTreeSet<&str> = found.agents.iter().map(base_name).collect();
        let wanted: Option<&str> = match &expected.agent {
            Some(agent) => Some(agent),
            // A project may hold drafts that have nothing to do with the server: one that opens is enough.
            None if drafts.is_disjoint(&given) => drafts.first().copied(),
            None => None,
        };
        if let Some(agent) = wanted.filter(|agent| !given.contains(agent)) {
            let set = format!("Agentforce_Agent_{agent}_Permissions");
            let seen = if given.is_empty() { None } else { Some(given.iter().copied().collect::<Vec<_>>().join(", ")) };
            let fix = format!(
                "publish the agent, then `sf project deploy start --metadata PermissionSet:{set}`; or Setup → Permission Sets → \
                 {set} → Agent Access → Edit"
            );
            self.field(format!("Permission Set {set}: Agent Access"), seen.as_deref(), &[agent], fix);
        }
        if wanted.is_none() && given.is_empty() {
            self.notes.push("no permission set of the project opens an agent".to_owned());
        }
        for agent in &found.agents {
            if agent.developer_name.as_deref() != Some(base_name(agent)) {
                let fix = format!("aiAuthoringBundles/{}: developer_name must be the name of the folder", agent.name);
                let what = format!("agent {}: developer_name", agent.name);
                self.field(what, agent.developer_name.as_deref(), &[base_name(agent)], fix);
            }
            if agent.has_mcp_actions {
                self.notes.push(format!(
                    "the draft of agent {} has MCP actions: change them in Agentforce Builder, and do not publish it from source",
                    agent.name
                ));
            }
        }
    }

    fn tools(&mut self, registration: &Registration, catalogue: &Catalogue) {
        let name = &registration.name;
        if registration.tools.is_empty() && registration.status.as_deref() == Some("Incomplete") {
            self.notes.push(format!(
                "{name} has not connected yet, so nothing is known of its tools: Setup → Agentforce Registry → {name} → Edit → \
                 Save and Continue, then retrieve again"
            ));
            return;
        }
        let tab = format!("Setup → Agentforce Registry → {name} → Tools");
        let mut resync = |tool: &str, what: &str, fix: String| {
            let what = format!("tool {tool}: {what}");
            self.differences.push(Difference { kind: Kind::Resync, what, seen: None, expected: None, fix });
        };
        let known = |tool: &Value| tool["name"].as_str().map(|name| name.trim_start_matches("McpTool__").to_owned());
        for tool in &catalogue.tools {
            let Some(old) = registration.tools.iter().find(|old| known(old).as_deref() == Some(tool.name.as_str()))
            else {
                let fix =
                    format!("{tab} → Edit Tools: choose it, then add its action to the subagent in Agentforce Builder");
                resync(&tool.name, "new on the server", fix);
                continue;
            };
            let changed = changes(old, tool);
            if !changed.is_empty() {
                let fix = format!(
                    "{tab}: sync what is Out of Sync; then, in Agentforce Builder, remove the action \"{} - {name}\", add it again, \
                     Save, Commit Version, Activate",
                    tool.name
                );
                resync(&tool.name, &format!("{} changed on the server", changed.join(", ")), fix);
            }
        }
        for old in registration.tools.iter().filter_map(known) {
            if !catalogue.tools.iter().any(|tool| tool.name == old) {
                let fix = format!(
                    "remove the action \"{old} - {name}\" from every subagent and from the Asset Library, then {tab} → Edit Tools: \
                     take it out"
                );
                resync(&old, "gone from the server", fix);
            }
        }
    }
}

/// The fields of a tool that the org knows otherwise; a field that the org does not keep says nothing.
fn changes(old: &Value, tool: &Tool) -> Vec<&'static str> {
    let fields = [
        ("title", "title"),
        ("description", "description"),
        ("inputSchema", "input schema"),
        ("outputSchema", "output schema"),
    ];
    let changed = fields.into_iter().filter(|(field, _)| {
        let old = &old[*field];
        !old.is_null() && normal(old) != normal(&tool.definition[*field])
    });
    changed.map(|(_, label)| label).collect()
}

/// Salesforce keeps texts with HTML entities, and schemas as objects or as text.
fn normal(value: &Value) -> Value {
    let Value::String(text) = value else { return value.clone() };
    let mut plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (entity, character) in
        [("&#39;", "'"), ("&apos;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")]
    {
        plain = plain.replace(entity, character);
    }
    match serde_json::from_str(&plain) {
        Ok(object @ Value::Object(_)) => object,
        _ => Value::String(plain),
    }
}

/// Salesforce's form says commas, OAuth says spaces; both are meant.
fn scopes(text: &str) -> BTreeSet<&str> {
    text.split([' ', ',']).filter(|scope| !scope.is_empty()).collect()
}

/// A published version is retrieved as `<agent>_<number>`.
fn base_name(agent: &Agent) -> &str {
    let name = agent.developer_name.as_deref().unwrap_or(&agent.name);
    let version = agent.name.strip_prefix(name).and_then(|rest| rest.strip_prefix('_'));
    match version {
        Some(version) if version.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => &agent.name,
    }
}
