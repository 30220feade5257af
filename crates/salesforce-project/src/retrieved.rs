//! What a project folder holds, read from its metadata files wherever they lie in it: as `pack` writes them, or as
//! `sf project retrieve start` does, in source format (`….namedCredential-meta.xml`) or in metadata format
//! (`….namedCredential`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};
use serde_json::Value;

/// A project.
#[derive(Clone, Debug, Default)]
pub struct Retrieved {
    /// External Service Registrations of MCP servers.
    pub registrations: Vec<Registration>,
    /// Named Credentials.
    pub named_credentials: Vec<NamedCredential>,
    /// External Credentials.
    pub external_credentials: Vec<ExternalCredential>,
    /// External Auth Identity Providers.
    pub identity_providers: Vec<IdentityProvider>,
    /// Permission sets.
    pub permission_sets: Vec<PermissionSet>,
    /// Drafts of agents.
    pub agents: Vec<Agent>,
}

/// An External Service Registration.
#[derive(Clone, Debug)]
pub struct Registration {
    /// API name.
    pub name: String,
    /// Its Named Credential.
    pub named_credential: Option<String>,
    /// `Incomplete` until the org has connected.
    pub status: Option<String>,
    /// The tools that the org knows.
    pub tools: Vec<Value>,
}

/// A Named Credential.
#[derive(Clone, Debug)]
pub struct NamedCredential {
    /// API name.
    pub name: String,
    /// Parameter `Url`.
    pub url: Option<String>,
    /// Its External Credential.
    pub external_credential: Option<String>,
    /// Whether callouts are enabled.
    pub enabled: bool,
    /// Whether it makes the `Authorization` header.
    pub authorization_header: bool,
}

/// An External Credential.
#[derive(Clone, Debug)]
pub struct ExternalCredential {
    /// API name.
    pub name: String,
    /// `Oauth`.
    pub protocol: Option<String>,
    /// The flow.
    pub variant: Option<String>,
    /// Identity Provider URL.
    pub token_url: Option<String>,
    /// External Auth Identity Provider.
    pub identity_provider: Option<String>,
    /// Scope.
    pub scope: Option<String>,
    /// Its named principals.
    pub principals: Vec<String>,
}

/// An External Auth Identity Provider.
#[derive(Clone, Debug)]
pub struct IdentityProvider {
    /// API name.
    pub name: String,
    /// Token endpoint.
    pub token_url: Option<String>,
}

/// A permission set.
#[derive(Clone, Debug)]
pub struct PermissionSet {
    /// API name.
    pub name: String,
    /// Principals it gives, `<External Credential>-<principal>`.
    pub principals: Vec<String>,
    /// Agents it gives.
    pub agents: Vec<String>,
    /// Whether it lets users read their External Credentials.
    pub reads_credentials: bool,
}

/// A draft of an agent.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Name of its bundle.
    pub name: String,
    /// `developer_name` in its script.
    pub developer_name: Option<String>,
    /// Whether its script has MCP actions.
    pub has_mcp_actions: bool,
}

/// Why a folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file or folder cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A metadata file is not XML.
    #[error("{path}: not well-formed XML ({source}): retrieve it again")]
    Xml {
        /// The file.
        path: String,
        /// What is wrong.
        source: roxmltree::Error,
    },
    /// The registration's description of the server is not JSON.
    #[error("{path}: <schema> is not JSON ({source}): retrieve it again")]
    Schema {
        /// The file.
        path: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// There are none.
    #[error(
        "{folder} holds no Salesforce metadata: give the folder of an SFDX project, after `sf project retrieve start`"
    )]
    Empty {
        /// The folder.
        folder: String,
    },
}

impl Retrieved {
    /// Reads a folder.
    ///
    /// # Errors
    /// [`ReadError`] when there is nothing to read, or it cannot be read.
    pub fn read(folder: &Path) -> Result<Retrieved, ReadError> {
        let mut found = Retrieved::default();
        let mut any = false;
        for path in files_below(folder).map_err(|source| file_error(folder, source))? {
            any |= found.add(&path)?;
        }
        if any { Ok(found) } else { Err(ReadError::Empty { folder: folder.display().to_string() }) }
    }

    /// Reads a file if it is one of ours.
    fn add(&mut self, path: &Path) -> Result<bool, ReadError> {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let Some((name, suffix)) = file.split_once('.') else { return Ok(false) };
        let name = name.to_owned();
        match suffix.strip_suffix("-meta.xml").unwrap_or(suffix) {
            "externalServiceRegistration" => with_root(path, |root| self.add_registration(path, name, root))??,
            "namedCredential" => with_root(path, |root| self.named_credentials.push(named_credential(name, root)))?,
            "externalCredential" => {
                with_root(path, |root| self.external_credentials.push(external_credential(name, root)))?;
            }
            "externalAuthIdentityProvider" => {
                with_root(path, |root| self.identity_providers.push(identity_provider(name, root)))?;
            }
            "permissionset" => with_root(path, |root| self.permission_sets.push(permission_set(name, root)))?,
            "agent" => self.agents.push(agent(name, &text_of(path)?)),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn add_registration(&mut self, path: &Path, name: String, root: Node) -> Result<(), ReadError> {
        if child(root, "registrationProviderType").as_deref() != Some("ModelContextProtocol") {
            return Ok(());
        }
        let schema = child(root, "schema").unwrap_or_else(|| "{}".to_owned());
        let schema: Value = serde_json::from_str(&schema)
            .map_err(|source| ReadError::Schema { path: path.display().to_string(), source })?;
        self.registrations.push(Registration {
            name,
            named_credential: child(root, "namedCredential").or_else(|| child(root, "namedCredentialReference")),
            status: child(root, "status"),
            tools: schema["tools"].as_array().cloned().unwrap_or_default(),
        });
        Ok(())
    }
}

/// All files of a folder, sorted; what begins with a dot and `node_modules` are left out.
pub(crate) fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let kind = entry.file_type()?;
            if name.to_string_lossy().starts_with('.') || name == "node_modules" {
                continue;
            } else if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn named_credential(name: String, root: Node) -> NamedCredential {
    let parameters = || children(root, "namedCredentialParameters");
    NamedCredential {
        name,
        url: parameters()
            .find(|parameter| child(*parameter, "parameterType").as_deref() == Some("Url"))
            .and_then(|parameter| child(parameter, "parameterValue")),
        external_credential: parameters().find_map(|parameter| child(parameter, "externalCredential")),
        enabled: child(root, "calloutStatus").as_deref() != Some("Disabled"),
        authorization_header: child(root, "generateAuthorizationHeader").as_deref() == Some("true"),
    }
}

fn external_credential(name: String, root: Node) -> ExternalCredential {
    let of_type = |kind: &'static str| {
        children(root, "externalCredentialParameters")
            .filter(move |parameter| child(*parameter, "parameterType").as_deref() == Some(kind))
    };
    let value = |kind| of_type(kind).find_map(|parameter| child(parameter, "parameterValue"));
    ExternalCredential {
        name,
        protocol: child(root, "authenticationProtocol"),
        variant: value("AuthProtocolVariant"),
        token_url: value("AuthProviderUrl"),
        identity_provider: children(root, "externalCredentialParameters")
            .find_map(|parameter| child(parameter, "externalAuthIdentityProvider")),
        scope: of_type("AuthParameter")
            .find(|parameter| child(*parameter, "parameterName").as_deref() == Some("Scope"))
            .and_then(|parameter| child(parameter, "parameterValue")),
        principals: of_type("NamedPrincipal")
            .filter_map(|parameter| child(parameter, "parameterGroup").or_else(|| child(parameter, "parameterName")))
            .collect(),
    }
}

fn identity_provider(name: String, root: Node) -> IdentityProvider {
    let token_url = children(root, "externalAuthIdentityProviderParameters")
        .find(|parameter| child(*parameter, "parameterType").as_deref() == Some("TokenUrl"))
        .and_then(|parameter| child(parameter, "parameterValue"));
    IdentityProvider { name, token_url }
}

fn permission_set(name: String, root: Node) -> PermissionSet {
    let enabled = |list, what| {
        children(root, list)
            .filter(|access| child(*access, "enabled").as_deref() == Some("true"))
            .filter_map(|access| child(access, what))
            .collect()
    };
    PermissionSet {
        name,
        principals: enabled("externalCredentialPrincipalAccesses", "externalCredentialPrincipal"),
        agents: enabled("agentAccesses", "agentName"),
        reads_credentials: children(root, "objectPermissions").any(|object| {
            child(object, "object").as_deref() == Some("UserExternalCredential")
                && child(object, "allowRead").as_deref() == Some("true")
        }),
    }
}

fn agent(name: String, script: &str) -> Agent {
    let developer_name = script
        .lines()
        .find_map(|line| line.trim().strip_prefix("developer_name:"))
        .map(|value| value.trim().trim_matches('"').to_owned());
    Agent { name, developer_name, has_mcp_actions: script.contains("mcpTool://") }
}

fn with_root<T>(path: &Path, read: impl FnOnce(Node) -> T) -> Result<T, ReadError> {
    let text = text_of(path)?;
    let document =
        Document::parse(&text).map_err(|source| ReadError::Xml { path: path.display().to_string(), source })?;
    Ok(read(document.root_element()))
}

fn text_of(path: &Path) -> Result<String, ReadError> {
    fs::read_to_string(path).map_err(|source| file_error(path, source))
}

fn children<'a>(node: Node<'a, 'a>, name: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

/// The text of a child; `None` when there is none or it is empty.
fn child(node: Node, name: &str) -> Option<String> {
    let found = node.children().find(|child| child.tag_name().name() == name)?;
    let text: String = found.descendants().filter(Node::is_text).filter_map(|text| text.text()).collect();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn file_error(path: &Path, source: io::Error) -> ReadError {
    ReadError::File { path: path.display().to_string(), source }
}
