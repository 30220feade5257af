//! A server of the file.

use std::collections::HashSet;

use catalogue::shipped::shipped;
use catalogue::{SalesforceTool, in_words};
use registry::server::{LogLevel, Server, ServerName, ToolDefinition};

use crate::fields::{DESCRIPTION, Field, Fields, Keys, TITLE, TextRule, WORD};
use crate::guard;
use crate::limits;
use crate::lookup::lookup;
use crate::names::{nearest, one_of};
use crate::problem::{Place, Problems, shown};
use crate::scalar::Scalar;
use crate::upstream;
use crate::yaml::{Content, Node};

const FILE: &Keys = &[("servers", "servers: and a list of servers under it")];

const KEYS: &Keys = &[
    ("name", "name: orders"),
    ("title", "title: Orders and loyalty"),
    ("description", "description: Order status for the service agent"),
    ("instructions", "instructions: Use order numbers exactly as the customer gives them."),
    ("production", "production: true"),
    ("timeout", "timeout: 20s"),
    ("tools", "tools: [get_order_status]"),
    ("org", "org: sales"),
    ("guard", "guard: { max_rows: 50 }"),
    ("upstreams", "upstreams: [{ name: sales }]"),
    ("limits", "limits: { per_client: 50/min }"),
    ("log", "log: calls"),
];

const LOG_LEVELS: &[(&str, LogLevel)] = &[
    ("off", LogLevel::Off),
    ("calls", LogLevel::Calls),
    ("arguments", LogLevel::Arguments),
    ("results", LogLevel::Results),
];

/// Most servers in a file.
const MAX_SERVERS: usize = 100;
/// Most tools of a server: an agent chooses badly among more.
const MAX_TOOLS: usize = 60;

const SERVER_DESCRIPTION: TextRule = TextRule { one_line: false, may_be_empty: true, ..DESCRIPTION };
const INSTRUCTIONS: TextRule = TextRule { longest: 4_000, one_line: false, ..DESCRIPTION };

/// Reads the servers of a file.
pub fn servers(root: &Node, problems: &mut Problems) -> Vec<Server> {
    let root = Field { name: "the file", place: root.place, value: root, example: FILE[0].1.into() };
    let Some(fields) = Fields::of(&root, "the file", FILE, problems) else { return Vec::new() };
    let Some(list) = fields.required("servers", problems) else { return Vec::new() };
    let Some(nodes) = list.list(problems) else { return Vec::new() };
    if nodes.is_empty() || nodes.len() > MAX_SERVERS {
        let what = format!("servers has {} servers", nodes.len());
        let fix = format!("write 1 to {MAX_SERVERS} servers, each beginning with - name: orders");
        problems.add(list.place, "server_count", what, fix);
        return Vec::new();
    }
    let mut names = HashSet::new();
    let mut servers = Vec::new();
    for node in nodes {
        let field = Field { name: "a server", place: node.place, value: node, example: "- name: orders".into() };
        servers.extend(server(&field, &mut names, problems));
    }
    servers
}

fn server(field: &Field<'_>, names: &mut HashSet<ServerName>, problems: &mut Problems) -> Option<Server> {
    let fields = Fields::of(field, "a server", KEYS, problems)?;
    let name = fields.required("name", problems).and_then(|field| server_name(&field, names, problems));
    let upstreams = fields.get("upstreams").map(|field| upstream::upstreams(&field, problems));
    let own = match upstreams {
        None => fields.required("tools", problems),
        Some(_) => fields.get("tools"),
    };
    let tools = own.map(|field| tools(&field, problems)).unwrap_or_default();
    let tool_names = match upstreams {
        None => fields.get("tools").map(|field| tool_names(field.value)).unwrap_or_default(),
        // Their names are known where the accepted tools are.
        Some(_) => Vec::new(),
    };
    let org = fields.get("org").and_then(|field| guard::org(&field, problems));
    let guard = fields.get("guard").and_then(|field| guard::guard(&field, problems));
    check_org(&fields, problems);
    let limits = fields.get("limits").and_then(|field| limits::limits(&field, &tool_names, problems));
    let mut text = |key, rule| Some(fields.get(key)?.text(rule, problems)?.to_owned());
    let title = text("title", &TITLE);
    let description = text("description", &SERVER_DESCRIPTION);
    let instructions = text("instructions", &INSTRUCTIONS);
    let production = fields.get("production").and_then(|field| field.boolean(problems));
    let timeout = fields.get("timeout").and_then(|field| limits::timeout(&field, problems));
    let log = fields.get("log").and_then(|field| log_level(&field, problems));
    let name = name?;
    Some(Server {
        title: title.unwrap_or_else(|| in_words(name.as_str())),
        name,
        description: description.unwrap_or_default(),
        instructions,
        production: production.unwrap_or(false),
        timeout: timeout.unwrap_or_default(),
        tools,
        org,
        guard: guard.unwrap_or_default(),
        upstreams: upstreams.unwrap_or_default(),
        limits: limits.unwrap_or_default(),
        log: log.unwrap_or_default(),
    })
}

fn server_name(field: &Field<'_>, names: &mut HashSet<ServerName>, problems: &mut Problems) -> Option<ServerName> {
    let text = field.text(&WORD, problems)?;
    let place = field.value.place;
    let Some(name) = ServerName::parse(text) else {
        let what = format!("\"{}\" is no server name: a lower-case letter, then up to 39 of a-z 0-9 -", shown(text));
        problems.add(
            place,
            "server_name",
            what,
            format!("write name: {}", proposed(text).unwrap_or("orders".to_owned())),
        );
        return None;
    };
    if !names.insert(name.clone()) {
        let what = format!("a server {name} is in this file already");
        problems.add(place, "duplicate_server", what, "write another name, or put the tools into one server");
    }
    Some(name)
}

/// The name that is nearest to a text and allowed.
fn proposed(text: &str) -> Option<String> {
    let name = text.trim().to_lowercase().replace(['_', ' ', '.', '/'], "-");
    ServerName::parse(&name).map(|name| name.to_string())
}

/// Salesforce tools and an org belong together.
fn check_org(fields: &Fields<'_>, problems: &mut Problems) {
    let nodes: &[Node] = match fields.get("tools").map(|field| &field.value.content) {
        Some(Content::List(nodes)) => nodes,
        Some(_) => return,
        None => &[],
    };
    let tool = nodes.iter().find_map(|node| Some((SalesforceTool::named(node.text()?)?, node.place)));
    match (tool, fields.get("org")) {
        (Some((tool, place)), None) => {
            let what = format!("the tool {} works on a Salesforce org, and the server names none", tool.name());
            let fix = "write org: and the name that `northstar org add` gave it, beside tools";
            problems.add(place, "org_missing", what, fix);
        }
        // A name that no tool has has its problem, and may be a slip.
        (None, _) if nodes.iter().filter_map(Node::text).all(|name| shipped().iter().any(|tool| tool.name == name)) => {
            for field in ["org", "guard"].iter().filter_map(|key| fields.get(key)) {
                let what = format!("{} is for Salesforce tools, and the server has none", field.name);
                problems.add(field.place, "org_unused", what, "leave it out, or add a tool such as executeQuery");
            }
        }
        _ => {}
    }
}

fn log_level(field: &Field<'_>, problems: &mut Problems) -> Option<LogLevel> {
    // A file for an older YAML may say false where it means off.
    if field.value.scalar() == Some(Scalar::Boolean(false)) {
        field.wrong_type("a text", Some("write log: off".to_owned()), problems);
        return None;
    }
    field.choice(LOG_LEVELS, problems)
}

/// The names that are written there, right or wrong.
fn tool_names(tools: &Node) -> Vec<&str> {
    let Content::List(nodes) = &tools.content else { return Vec::new() };
    nodes.iter().filter_map(name_of_tool).collect()
}

fn name_of_tool(node: &Node) -> Option<&str> {
    match &node.content {
        Content::Map(entries) => entries.iter().find(|entry| entry.key == "lookup")?.value.text(),
        _ => node.text(),
    }
}

fn tools(field: &Field<'_>, problems: &mut Problems) -> Vec<ToolDefinition> {
    let Some(nodes) = field.list(problems) else { return Vec::new() };
    if nodes.is_empty() || nodes.len() > MAX_TOOLS {
        let what = format!("tools has {} tools", nodes.len());
        problems.add(field.place, "tool_count", what, format!("write 1 to {MAX_TOOLS} tools, or several servers"));
        return Vec::new();
    }
    let shipped = shipped().map(|lookup| lookup.name);
    let mut names = HashSet::new();
    let mut tools = Vec::new();
    for node in nodes {
        let Some((tool, place)) = tool(node, &shipped, problems) else { continue };
        if !tool.name().is_empty() && !names.insert(tool.name().to_owned()) {
            let what = format!("the server has the tool {} twice", shown(tool.name()));
            problems.add(place, "duplicate_tool", what, "leave one of them out, or give the lookup another name");
        }
        tools.push(tool);
    }
    tools
}

/// A tool, and where its name is.
fn tool(node: &Node, shipped: &[String], problems: &mut Problems) -> Option<(ToolDefinition, Place)> {
    let example = "the name of a tool, or a lookup: - lookup: get_warranty";
    let field = Field { name: "a tool", place: node.place, value: node, example: example.into() };
    if let Content::Map(_) = node.content {
        let (lookup, place) = lookup(&field, problems)?;
        return Some((ToolDefinition::Lookup(Box::new(lookup)), place));
    }
    let Some(Scalar::Text(name)) = node.scalar() else {
        field.wrong_type("the name of a tool or a lookup", None, problems);
        return None;
    };
    if SalesforceTool::named(name).is_none() && !shipped.iter().any(|tool| tool == name) {
        let names = shipped.iter().map(String::as_str);
        let what = format!("no tool \"{}\" ships with Northstar", shown(name));
        let fix = match nearest(name, names.clone().chain(SalesforceTool::ALL.map(SalesforceTool::name))) {
            Some(near) => format!("write {near}"),
            None => {
                let names = one_of(names);
                format!("write {names}, a Salesforce tool (docs/servers.md), or a lookup that begins with lookup:")
            }
        };
        problems.add(node.place, "unknown_tool", what, fix);
    }
    Some((ToolDefinition::Shipped(name.to_owned()), node.place))
}
