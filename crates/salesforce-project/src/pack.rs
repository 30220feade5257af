//! The files of the project.
//!
//! | file, below `force-app/main/default` | holds |
//! |---|---|
//! | `externalCredentials/<name>` | token endpoint, scope, the principal that gets client id and secret in Setup |
//! | `namedCredentials/<name>` | URL of the MCP server |
//! | `externalServiceRegistrations/<name>` | the registration; the org fills in the tools when it connects |
//! | `externalAuthIdentityProviders/<name>_Basic` | for those who want the secret in the `Authorization` header |
//! | `permissionsets/<name>_Credential_Access` | use of the principal |
//! | `permissionsets/Agentforce_Agent_<agent>_Permissions` | use of the agent; deploys once the agent is published |
//! | `aiAuthoringBundles/<agent>` | a draft of the agent |

use serde_json::json;

use crate::agent_script;
use crate::catalogue::Catalogue;
use crate::names::{AgentName, Name};
use crate::setup;
use crate::xml;

/// The version of the Metadata API that the project speaks.
pub const API_VERSION: &str = "66.0";
/// The named principal that the client's credentials belong to.
pub const PRINCIPAL: &str = "MCPAuthentication";
/// The agent unless told otherwise.
pub const DEFAULT_AGENT: &str = "AWS";
/// The scope unless told otherwise.
pub const DEFAULT_SCOPE: &str = "mcp.read";
/// The manifest of all that is in the project.
pub const MANIFEST: &str = "manifest/package.xml";
/// The manifest of what is deployed first: there is no agent yet.
pub const FIRST_MANIFEST: &str = "manifest/connect.xml";
/// Where the metadata are.
pub(crate) const SOURCE: &str = "force-app/main/default";

/// What a project is made for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the registration and the credentials.
    pub name: Name,
    /// API name of the agent.
    pub agent: AgentName,
    /// Name of the MCP server in Northstar, `default` for the one at `/mcp`.
    pub server: String,
    /// Base of all URLs: `https://mcp.example.com`.
    pub public_url: String,
    /// URL of the MCP server.
    pub server_url: String,
    /// The scope that Salesforce asks for.
    pub scope: String,
}

/// A file of the project; its path is relative and has slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it lies.
    pub path: String,
    /// What is in it.
    pub content: String,
}

/// A component, as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Component {
    kind: &'static str,
    name: String,
}

impl Settings {
    /// The token endpoint, which is what Salesforce calls the Identity Provider URL.
    pub fn token_url(&self) -> String {
        format!("{}/token", self.public_url)
    }

    /// The permission set for the principal.
    pub fn credential_access(&self) -> String {
        format!("{}_Credential_Access", self.name)
    }

    /// The permission set for the agent.
    pub fn agent_permissions(&self) -> String {
        format!("Agentforce_Agent_{}_Permissions", self.agent)
    }

    /// The External Auth Identity Provider.
    pub fn identity_provider(&self) -> String {
        format!("{}_Basic", self.name)
    }

    /// The principal, as permission sets name it.
    pub fn principal(&self) -> String {
        format!("{}-{PRINCIPAL}", self.name)
    }
}

/// All files of the project, sorted by path. The same settings and catalogue make the same bytes.
pub fn files(settings: &Settings, catalogue: &Catalogue) -> Vec<File> {
    let name = settings.name.as_str();
    let agent = settings.agent.as_str();
    let mut files = Vec::new();
    let mut components = Vec::new();
    for (kind, name, folder, suffix, content) in [
        (
            "ExternalCredential",
            name.to_owned(),
            "externalCredentials",
            "externalCredential",
            external_credential(settings),
        ),
        ("NamedCredential", name.to_owned(), "namedCredentials", "namedCredential", named_credential(settings)),
        (
            "ExternalServiceRegistration",
            name.to_owned(),
            "externalServiceRegistrations",
            "externalServiceRegistration",
            registration(settings, catalogue),
        ),
        (
            "ExternalAuthIdentityProvider",
            settings.identity_provider(),
            "externalAuthIdentityProviders",
            "externalAuthIdentityProvider",
            identity_provider(settings),
        ),
        ("PermissionSet", settings.credential_access(), "permissionsets", "permissionset", credential_access(settings)),
        ("PermissionSet", settings.agent_permissions(), "permissionsets", "permissionset", agent_permissions(settings)),
    ] {
        files.push(File { path: format!("{SOURCE}/{folder}/{name}.{suffix}-meta.xml"), content });
        components.push(Component { kind, name });
    }
    let bundle = format!("{SOURCE}/aiAuthoringBundles/{agent}/{agent}");
    files.push(File { path: format!("{bundle}.agent"), content: agent_script::draft(&settings.agent, catalogue) });
    files.push(File { path: format!("{bundle}.bundle-meta.xml"), content: authoring_bundle() });
    components.push(Component { kind: "AiAuthoringBundle", name: agent.to_owned() });
    components.sort();

    let first: Vec<Component> = components.iter().filter(|component| is_first(settings, component)).cloned().collect();
    files.push(File { path: MANIFEST.to_owned(), content: manifest(&components) });
    files.push(File { path: FIRST_MANIFEST.to_owned(), content: manifest(&first) });
    files.push(File { path: "mcp-assets.json".to_owned(), content: assets(catalogue) });
    files.push(File { path: "sfdx-project.json".to_owned(), content: project() });
    files.push(File { path: "SETUP.md".to_owned(), content: setup::guide(settings, catalogue) });
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

/// The agent's permission set names a published agent, the draft would replace one that exists, and the identity provider
/// is a choice: each has its own step.
fn is_first(settings: &Settings, component: &Component) -> bool {
    match component.kind {
        "AiAuthoringBundle" | "ExternalAuthIdentityProvider" => false,
        "PermissionSet" => component.name != settings.agent_permissions(),
        _ => true,
    }
}

/// The secret goes in the body of the token request, as with a server that is registered by hand.
fn external_credential(settings: &Settings) -> String {
    xml::document("ExternalCredential", |xml| {
        xml.text("authenticationProtocol", "Oauth");
        for (name, kind, value) in [
            ("Oauth", "AuthProtocolVariant", "ClientCredentialsClientSecret"),
            ("AuthProviderUrl", "AuthProviderUrl", settings.token_url().as_str()),
            ("Scope", "AuthParameter", settings.scope.as_str()),
        ] {
            xml.element("externalCredentialParameters", |xml| {
                xml.text("parameterGroup", "DefaultGroup");
                xml.text("parameterName", name);
                xml.text("parameterType", kind);
                xml.text("parameterValue", value);
            });
        }
        xml.element("externalCredentialParameters", |xml| {
            xml.text("parameterGroup", PRINCIPAL);
            xml.text("parameterName", PRINCIPAL);
            xml.text("parameterType", "NamedPrincipal");
            xml.text("sequenceNumber", "1");
        });
        xml.text("label", settings.name.as_str());
    })
}

fn named_credential(settings: &Settings) -> String {
    xml::document("NamedCredential", |xml| {
        xml.text("allowMergeFieldsInBody", "false");
        xml.text("allowMergeFieldsInHeader", "false");
        xml.text("calloutStatus", "Enabled");
        xml.text("generateAuthorizationHeader", "true");
        xml.text("label", settings.name.as_str());
        xml.element("namedCredentialParameters", |xml| {
            xml.text("parameterName", "Url");
            xml.text("parameterType", "Url");
            xml.text("parameterValue", &settings.server_url);
        });
        xml.element("namedCredentialParameters", |xml| {
            xml.text("externalCredential", settings.name.as_str());
            xml.text("parameterName", "ExternalCredential");
            xml.text("parameterType", "Authentication");
        });
        xml.text("namedCredentialType", "SecuredEndpoint");
    })
}

/// `tools` and `resources` stay empty: the org fills them when it first connects.
fn registration(settings: &Settings, catalogue: &Catalogue) -> String {
    let server = json!({ "name": catalogue.server_name, "version": catalogue.server_version });
    let descriptor = json!({ "protocolVersion": catalogue.protocol_version, "serverInfo": server });
    let schema = json!({ "serverDescriptor": descriptor, "tools": [], "resources": [] });
    let binding = json!({ "protocolVersion": catalogue.protocol_version, "serverInfo": server, "instructions": null });
    xml::document("ExternalServiceRegistration", |xml| {
        xml.text("label", settings.name.as_str());
        xml.text("namedCredential", settings.name.as_str());
        xml.text("namedCredentialReference", settings.name.as_str());
        xml.text("registrationProviderType", "ModelContextProtocol");
        xml.text("schema", &schema.to_string());
        xml.text("schemaType", "ModelContextProtocol");
        xml.text("serviceBinding", &binding.to_string());
        xml.text("status", "Incomplete");
        xml.text("systemVersion", "8");
    })
}

fn identity_provider(settings: &Settings) -> String {
    xml::document("ExternalAuthIdentityProvider", |xml| {
        xml.text("authenticationFlow", "ClientCredentials");
        xml.text("authenticationProtocol", "OAuth");
        xml.text("description", "Client id and secret in the Authorization header of the token request");
        for (name, value) in
            [("TokenUrl", settings.token_url().as_str()), ("ClientAuthentication", "ClientSecretBasic")]
        {
            xml.element("externalAuthIdentityProviderParameters", |xml| {
                xml.text("parameterName", name);
                xml.text("parameterType", name);
                xml.text("parameterValue", value);
            });
        }
        xml.text("label", &settings.identity_provider());
    })
}

fn credential_access(settings: &Settings) -> String {
    xml::document("PermissionSet", |xml| {
        xml.text("description", &format!("Calls the MCP server {} with its client's credentials", settings.name));
        xml.element("externalCredentialPrincipalAccesses", |xml| {
            xml.text("enabled", "true");
            xml.text("externalCredentialPrincipal", &settings.principal());
        });
        xml.text("hasActivationRequired", "false");
        xml.text("label", &format!("{} Credential Access", settings.name));
        xml.element("objectPermissions", |xml| {
            xml.text("allowCreate", "false");
            xml.text("allowDelete", "false");
            xml.text("allowEdit", "false");
            xml.text("allowRead", "true");
            xml.text("modifyAllRecords", "false");
            xml.text("object", "UserExternalCredential");
            xml.text("viewAllFields", "false");
            xml.text("viewAllRecords", "false");
        });
    })
}

/// The agent alone: two packs for one agent have this file in common, and neither takes from the other.
fn agent_permissions(settings: &Settings) -> String {
    xml::document("PermissionSet", |xml| {
        xml.element("agentAccesses", |xml| {
            xml.text("agentName", settings.agent.as_str());
            xml.text("enabled", "true");
        });
        xml.text("description", &format!("Opens the agent {}", settings.agent));
        xml.text("hasActivationRequired", "false");
        xml.text("label", &format!("Agentforce Agent {} Permissions", settings.agent));
    })
}

fn authoring_bundle() -> String {
    xml::document("AiAuthoringBundle", |xml| xml.text("bundleType", "AGENT"))
}

/// Kinds sorted, names sorted, as the Salesforce CLI writes it.
fn manifest(components: &[Component]) -> String {
    xml::document("Package", |xml| {
        for same_kind in components.chunk_by(|one, other| one.kind == other.kind) {
            xml.element("types", |xml| {
                for component in same_kind {
                    xml.text("members", &component.name);
                }
                xml.text("name", same_kind[0].kind);
            });
        }
        xml.text("version", API_VERSION);
    })
}

/// The tools that `sf agent mcp asset replace` allows: all of them.
fn assets(catalogue: &Catalogue) -> String {
    let assets =
        catalogue.tools.iter().map(|tool| json!({ "name": format!("McpTool__{}", tool.name), "active": true }));
    pretty(&json!({ "assets": assets.collect::<Vec<_>>() }))
}

fn project() -> String {
    pretty(&json!({
        "packageDirectories": [{ "path": "force-app", "default": true }],
        "namespace": "",
        "sfdcLoginUrl": "https://login.salesforce.com",
        "sourceApiVersion": API_VERSION,
    }))
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
