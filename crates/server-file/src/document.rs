//! A file that is right, and the way back.

use registry::ConnectionName;
use registry::server::{Server, ServerName, ToolDefinition};
use serde_json::{Value, json};

use crate::problem::{Place, Problem, Problems};
use crate::server;
use crate::yaml::{self, Content, Entry, Node};

/// A file of servers without problems.
#[derive(Clone, Debug)]
pub struct Document {
    root: Node,
    servers: Vec<Server>,
}

impl Document {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// Every problem in it, in order of place. After what is not YAML nothing more is read.
    pub fn parse(text: &str) -> Result<Document, Vec<Problem>> {
        let mut problems = Problems::default();
        let root = yaml::read(text, &mut problems);
        let servers = root.as_ref().map(|root| server::servers(root, &mut problems)).unwrap_or_default();
        match root {
            Some(root) if problems.len() == 0 => Ok(Document { root, servers }),
            _ => Err(problems.in_order()),
        }
    }

    /// The servers, in the order of the file.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// Where something is written: a server, a tool of it, or a part of either. A part is a key (`table`, `page`,
    /// `timeout`), and after a dot the name in it (`key.serial_number`, `returns.product`, `mask.owner_email`). What is
    /// not written is found where the nearest thing around it is.
    pub fn locate(&self, server: &ServerName, tool: Option<&str>, part: Option<&str>) -> Place {
        let servers = entry(&self.root, "servers").map_or(&self.root, |entry| &entry.value);
        let Some(server) = item(servers, "name", server.as_str()) else { return servers.place };
        let within = match tool {
            None => server,
            Some(name) => {
                let tools = entry(server, "tools");
                let Some(tool) = tools.and_then(|tools| item(&tools.value, "lookup", name)) else {
                    return tools.map_or(server.place, |tools| tools.place);
                };
                tool
            }
        };
        part.map_or(within.place, |part| place_of(within, part))
    }

    /// Where something of an upstream of a server is written: the upstream, or a part of it, as of [`Document::locate`].
    pub fn locate_upstream(&self, server: &ServerName, upstream: &ConnectionName, part: Option<&str>) -> Place {
        let servers = entry(&self.root, "servers").map_or(&self.root, |entry| &entry.value);
        let found = item(servers, "name", server.as_str()).and_then(|server| entry(server, "upstreams"));
        let Some(upstreams) = found else { return self.locate(server, None, None) };
        let Some(within) = item(&upstreams.value, "name", upstream.as_str()) else { return upstreams.place };
        part.map_or(within.place, |part| place_of(within, part))
    }
}

/// A key's value if that is a scalar, or the key; of what is under it, the key.
fn place_of(within: &Node, part: &str) -> Place {
    let (key, name) = part.split_once('.').map_or((part, None), |(key, name)| (key, Some(name)));
    let Some(found) = entry(within, key) else { return within.place };
    let named = name.and_then(|name| match &found.value.content {
        Content::Map(_) => entry(&found.value, name).map(|entry| entry.place),
        _ => item(&found.value, "", name).map(|node| node.place),
    });
    let scalar = matches!(found.value.content, Content::Scalar { .. });
    named.unwrap_or(if scalar { found.value.place } else { found.place })
}

fn entry<'a>(node: &'a Node, key: &str) -> Option<&'a Entry> {
    let Content::Map(entries) = &node.content else { return None };
    entries.iter().find(|entry| entry.key == key)
}

/// The entry of a list that is a text, or a mapping with it under `key`.
fn item<'a>(list: &'a Node, key: &str, name: &str) -> Option<&'a Node> {
    let Content::List(nodes) = &list.content else { return None };
    let is = |node: &Node| node.text() == Some(name);
    nodes.iter().find(|node| is(node) || entry(node, key).is_some_and(|entry| is(&entry.value)))
}

/// The servers as a file: `{"servers":[…]}`, which [`Document::parse`] reads as the same servers. What `server apply`
/// finds out about tables is left out.
pub fn to_json(servers: &[Server]) -> Value {
    let mut servers = servers.to_vec();
    for tool in servers.iter_mut().flat_map(|server| &mut server.tools) {
        if let ToolDefinition::Lookup(lookup) = tool {
            lookup.position.clear();
        }
    }
    json!({ "servers": servers })
}
