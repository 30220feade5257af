//! Reads a project as a stranger would, and says what in it does not fit together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};
use serde_json::Value;

use crate::schema;

/// What is wrong with a project, a sentence each.
pub fn problems(folder: &Path) -> Vec<String> {
    let files = read(folder);
    let mut problems = Vec::new();
    let mut project = Project::default();
    for (path, text) in &files {
        if path.ends_with(".xml") {
            match Document::parse(text) {
                Ok(document) => {
                    let wrong = schema::problems(document.root_element());
                    problems.extend(wrong.into_iter().map(|problem| format!("{path}: {problem}")));
                    project.add(path, document.root_element(), &mut problems);
                }
                Err(error) => problems.push(format!("{path}: {error}")),
            }
        } else if let Some(name) = path.strip_suffix(".agent") {
            project.add_draft(path, name, text, &mut problems);
        }
    }
    project.check_references(&mut problems);
    project.check_urls(&mut problems);
    project.check_manifests(&files, &mut problems);
    check_guide(&files, &project, &mut problems);
    problems
}

/// All files of a folder by their path in it.
pub fn read(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(relative, fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

/// What the files define and what they use.
#[derive(Default)]
struct Project {
    /// `Kind:name`.
    components: BTreeSet<String>,
    /// `<External Credential>-<principal>`.
    principals: BTreeSet<String>,
    /// Where, kind, name.
    uses: Vec<(String, &'static str, String)>,
    used_principals: Vec<(String, String)>,
    urls: Vec<(String, String)>,
    token_urls: BTreeSet<String>,
    manifests: BTreeMap<String, BTreeSet<String>>,
    versions: BTreeSet<String>,
}

impl Project {
    fn add(&mut self, path: &str, root: Node, problems: &mut Vec<String>) {
        let kind = root.tag_name().name();
        if kind == "Package" {
            self.add_manifest(path, root);
            return;
        }
        let Some(kind) = schema::TYPES.iter().find(|known| known.name == kind) else { return };
        let file = path.rsplit('/').next().unwrap();
        let Some(name) = file.strip_suffix(&format!(".{}-meta.xml", kind.suffix)) else {
            problems.push(format!("{path}: a {} in a file of another name", kind.name));
            return;
        };
        if !path.contains(&format!("/{}/", kind.folder)) {
            problems.push(format!("{path}: a {} in another folder", kind.name));
        }
        self.components.insert(format!("{}:{name}", kind.name));
        match kind.name {
            "ExternalCredential" => {
                for parameter in all(root, "externalCredentialParameters") {
                    let value = one(parameter, "parameterValue");
                    match one(parameter, "parameterType").as_deref() {
                        Some("NamedPrincipal") => {
                            self.principals
                                .extend(one(parameter, "parameterGroup").map(|group| format!("{name}-{group}")));
                        }
                        Some("AuthProviderUrl") => self.token_urls.extend(value),
                        _ => {}
                    }
                    self.use_of(path, "ExternalAuthIdentityProvider", one(parameter, "externalAuthIdentityProvider"));
                }
            }
            "ExternalAuthIdentityProvider" => {
                for parameter in all(root, "externalAuthIdentityProviderParameters") {
                    if one(parameter, "parameterType").as_deref() == Some("TokenUrl") {
                        self.token_urls.extend(one(parameter, "parameterValue"));
                    }
                }
            }
            "NamedCredential" => {
                for parameter in all(root, "namedCredentialParameters") {
                    self.use_of(path, "ExternalCredential", one(parameter, "externalCredential"));
                    if one(parameter, "parameterType").as_deref() == Some("Url") {
                        self.urls.push((path.to_owned(), one(parameter, "parameterValue").unwrap_or_default()));
                    }
                }
            }
            "ExternalServiceRegistration" => {
                for element in ["namedCredential", "namedCredentialReference"] {
                    self.use_of(path, "NamedCredential", one(root, element));
                }
                for element in ["schema", "serviceBinding"] {
                    let text = one(root, element).unwrap_or_default();
                    match serde_json::from_str::<Value>(&text) {
                        Ok(value) => {
                            let server = if element == "schema" { &value["serverDescriptor"] } else { &value };
                            if server["protocolVersion"] != "2025-06-18" || !server["serverInfo"]["name"].is_string() {
                                problems.push(format!("{path}: {element} does not describe a server"));
                            }
                        }
                        Err(error) => problems.push(format!("{path}: {element} is not JSON: {error}")),
                    }
                }
            }
            "PermissionSet" => {
                for access in all(root, "agentAccesses") {
                    self.use_of(path, "AiAuthoringBundle", one(access, "agentName"));
                }
                for access in all(root, "externalCredentialPrincipalAccesses") {
                    let principal = one(access, "externalCredentialPrincipal").unwrap_or_default();
                    self.used_principals.push((path.to_owned(), principal));
                }
            }
            _ => {}
        }
    }

    fn use_of(&mut self, path: &str, kind: &'static str, name: Option<String>) {
        self.uses.extend(name.map(|name| (path.to_owned(), kind, name)));
    }

    fn add_manifest(&mut self, path: &str, root: Node) {
        let mut listed = BTreeSet::new();
        for types in all(root, "types") {
            let kind = one(types, "name").unwrap_or_default();
            listed.extend(all(types, "members").map(|member| format!("{kind}:{}", member.text().unwrap_or_default())));
        }
        self.versions.extend(one(root, "version"));
        self.manifests.insert(path.to_owned(), listed);
    }

    fn add_draft(&mut self, path: &str, name: &str, script: &str, problems: &mut Vec<String>) {
        let mut parts = name.rsplit('/');
        let (file, folder) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if file != folder || !script.contains(&format!("\n    developer_name: \"{folder}\"\n")) {
            problems.push(format!("{path}: folder, file and developer_name differ"));
        }
        // MCP actions have targets; a transition to a subagent has none.
        if script.contains("mcpTool://") || script.lines().any(|line| line.trim_start().starts_with("target:")) {
            problems.push(format!("{path}: the draft has actions"));
        }
        for subagent in script.split("@subagent.").skip(1) {
            let name: String = subagent.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if !script.contains(&format!("\nsubagent {name}:\n")) {
                problems.push(format!("{path}: there is no subagent {name}"));
            }
        }
        for line in script.lines().filter(|line| line.contains('\t') || line.contains("{!")) {
            problems.push(format!("{path}: {line:?} would be evaluated, or has a tab"));
        }
    }

    fn check_references(&self, problems: &mut Vec<String>) {
        for (path, kind, name) in &self.uses {
            if !self.components.contains(&format!("{kind}:{name}")) {
                problems.push(format!("{path}: there is no {kind} {name}"));
            }
        }
        for (path, principal) in &self.used_principals {
            if !self.principals.contains(principal) {
                problems.push(format!("{path}: there is no principal {principal}"));
            }
        }
        let used: BTreeSet<&String> = self.used_principals.iter().map(|(_, principal)| principal).collect();
        for principal in self.principals.iter().filter(|principal| !used.contains(principal)) {
            problems.push(format!("nobody may use the principal {principal}"));
        }
    }

    fn check_urls(&self, problems: &mut Vec<String>) {
        for (path, url) in &self.urls {
            let base = url.strip_prefix("https://").and_then(|rest| rest.split_once("/mcp"));
            let token_url = base.map(|(authority, _)| format!("https://{authority}/token")).unwrap_or_default();
            if self.token_urls.iter().any(|other| *other != token_url) || self.token_urls.is_empty() {
                problems.push(format!(
                    "{path}: {url} and the token endpoints {:?} do not belong together",
                    self.token_urls
                ));
            }
        }
    }

    fn check_manifests(&self, files: &BTreeMap<String, String>, problems: &mut Vec<String>) {
        let none = BTreeSet::new();
        let all = self.manifests.get("manifest/package.xml").unwrap_or(&none);
        for component in all.symmetric_difference(&self.components) {
            problems.push(format!("manifest/package.xml and the files differ in {component}"));
        }
        let first = self.manifests.get("manifest/connect.xml").unwrap_or(&none);
        for component in first.difference(&self.components) {
            problems.push(format!("manifest/connect.xml lists {component}, which is not there"));
        }
        let later =
            |component: &&String| component.contains("Agentforce_Agent_") || component.starts_with("AiAuthoring");
        for component in first.iter().filter(later) {
            problems.push(format!("manifest/connect.xml lists {component}, which needs the agent"));
        }
        for (_, kind, name) in &self.uses {
            let component = format!("{kind}:{name}");
            if *kind != "AiAuthoringBundle" && !first.contains(&component) {
                problems.push(format!("manifest/connect.xml leaves out {component}"));
            }
        }
        let project: Value =
            files.get("sfdx-project.json").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        if project["sourceApiVersion"] != "66.0" || self.versions != BTreeSet::from(["66.0".to_owned()]) {
            problems.push(format!("API versions differ: {} and {:?}", project["sourceApiVersion"], self.versions));
        }
        if project["packageDirectories"][0]["path"] != "force-app" {
            problems.push("sfdx-project.json does not name force-app".to_owned());
        }
    }
}

/// The guide names what is there, every step ends with a check, and no file holds a secret.
fn check_guide(files: &BTreeMap<String, String>, project: &Project, problems: &mut Vec<String>) {
    let guide = files.get("SETUP.md").map(String::as_str).unwrap_or_default();
    for named in guide.split("--metadata ").skip(1) {
        let component: String = named.chars().take_while(|c| c.is_ascii_alphanumeric() || ":_".contains(*c)).collect();
        if !project.components.contains(&component) {
            problems.push(format!("SETUP.md deploys {component}, which is not there"));
        }
    }
    for option in ["permset --name ", "permset ", " --name "] {
        let sets =
            guide.lines().filter(|line| line.contains("assign permset")).flat_map(|line| line.split(option).skip(1));
        for set in sets.filter_map(|rest| rest.split_whitespace().next()).filter(|set| !set.starts_with('-')) {
            if !project.components.contains(&format!("PermissionSet:{set}")) {
                problems.push(format!("SETUP.md assigns {set}, which is not there"));
            }
        }
    }
    let steps: Vec<&str> = guide.split("\n## ").skip(1).collect();
    for step in steps.iter().filter(|step| !step.contains("**Check:**")) {
        problems.push(format!("SETUP.md: no check in {:?}", step.lines().next().unwrap_or_default()));
    }
    if steps.len() < 11 || guide.contains("{{") {
        problems.push("SETUP.md: steps or values are missing".to_owned());
    }
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".xml") || path.ends_with(".json")) {
        let text = text.to_ascii_lowercase();
        if ["clientsecret>", "client_secret", "<password", "oauthtoken"].iter().any(|secret| text.contains(secret)) {
            problems.push(format!("{path}: holds a secret"));
        }
    }
}

fn all<'a>(node: Node<'a, 'a>, name: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

fn one(node: Node, name: &'static str) -> Option<String> {
    node.children().find(|child| child.tag_name().name() == name)?.text().map(str::to_owned)
}
