//! `upstreams`.

use access_token::Scope;
use indexmap::IndexMap;
use registry::{ConnectionName, UpstreamTools, upstream_tool};

use crate::fields::{Field, Fields, Keys, WORD};
use crate::names::write_one_of;
use crate::problem::{Problems, shown};

const KEYS: &Keys = &[
    ("name", "name: sales"),
    ("tools", "tools: [soqlQuery, getRelatedRecords]"),
    ("prefix", "prefix: sales_"),
    ("read_only", "read_only: true"),
    ("scopes", "scopes: { soqlQuery: mcp.write }"),
];

const SCOPES: &[(&str, Scope)] = &[("mcp.read", Scope::Read), ("mcp.write", Scope::Write)];

/// Most upstreams of a server.
const MAX_UPSTREAMS: usize = 20;
/// Most tools that are taken of an upstream by their names.
const MAX_TOOLS: usize = 60;
/// Longest prefix, in characters: half of a name.
const MAX_PREFIX: usize = 32;

/// Reads `upstreams`.
pub fn upstreams(field: &Field<'_>, problems: &mut Problems) -> Vec<UpstreamTools> {
    let Some(nodes) = field.list(problems) else { return Vec::new() };
    if nodes.is_empty() || nodes.len() > MAX_UPSTREAMS {
        let what = format!("upstreams has {} upstreams", nodes.len());
        let fix = format!("write 1 to {MAX_UPSTREAMS}, each beginning with - name: sales, or leave the key out");
        problems.add(field.place, "upstream_count", what, fix);
        return Vec::new();
    }
    let mut upstreams: Vec<UpstreamTools> = Vec::new();
    for node in nodes {
        let field = Field { name: "an upstream", place: node.place, value: node, example: "- name: sales".into() };
        let Some(upstream) = upstream(&field, problems) else { continue };
        if upstreams.iter().any(|other| other.name == upstream.name) {
            let what = format!("the server has the upstream {} twice", upstream.name);
            problems.add(node.place, "duplicate_upstream", what, "write all of its tools into one entry");
        }
        upstreams.push(upstream);
    }
    upstreams
}

fn upstream(field: &Field<'_>, problems: &mut Problems) -> Option<UpstreamTools> {
    let fields = Fields::of(field, "an upstream", KEYS, problems)?;
    let name = fields.required("name", problems).and_then(|field| name(&field, problems));
    let tools = fields.get("tools").map(|field| tools(&field, problems));
    let prefix = fields.get("prefix").and_then(|field| prefix(&field, problems));
    let read_only = fields.get("read_only").and_then(|field| field.boolean(problems));
    let scopes = fields.get("scopes").map(|field| scopes(&field, tools.as_deref(), problems));
    Some(UpstreamTools {
        name: name?,
        tools,
        prefix: prefix.unwrap_or_default(),
        read_only: read_only.unwrap_or_default(),
        scopes: scopes.unwrap_or_default(),
    })
}

fn name(field: &Field<'_>, problems: &mut Problems) -> Option<ConnectionName> {
    let text = field.text(&WORD, problems)?;
    let name = ConnectionName::parse(text);
    if name.is_none() {
        let what = format!("\"{}\" is no name of an upstream", shown(text));
        problems.add(field.value.place, "upstream_name", what, "write it as `northstar upstream list` shows it");
    }
    name
}

fn tools(field: &Field<'_>, problems: &mut Problems) -> Vec<String> {
    let tools = field.texts(&WORD, problems);
    let Some(nodes) = field.list(&mut Problems::default()) else { return tools };
    if nodes.is_empty() || nodes.len() > MAX_TOOLS {
        let what = format!("tools has {} tools", nodes.len());
        let fix = format!("write 1 to {MAX_TOOLS} names, or leave the key out to take every accepted tool");
        problems.add(field.place, "tool_count", what, fix);
    }
    for node in nodes {
        if let Some(name) = node.text().filter(|name| tools.iter().any(|tool| tool == name)) {
            check_tool_name(node.place, name, problems);
        }
    }
    tools
}

fn check_tool_name(place: crate::problem::Place, name: &str, problems: &mut Problems) {
    if !upstream_tool::is_tool_name(name) {
        let what = format!("\"{}\" is no name of a tool: up to 64 of A-Z a-z 0-9 _ - .", shown(name));
        problems.add(place, "tool_name", what, "write it as `northstar upstream show` shows it, without a prefix");
    }
}

fn prefix(field: &Field<'_>, problems: &mut Problems) -> Option<String> {
    let text = field.text(&WORD, problems)?;
    if text.len() > MAX_PREFIX || !upstream_tool::is_tool_name(text) {
        let what =
            format!("\"{}\" is no prefix of a tool's name: up to {MAX_PREFIX} of A-Z a-z 0-9 _ - .", shown(text));
        problems.add(field.value.place, "upstream_prefix", what, "write prefix: sales_");
        return None;
    }
    Some(text.to_owned())
}

/// `tools` are those that the upstream is asked for, if not all of them are.
fn scopes(field: &Field<'_>, tools: Option<&[String]>, problems: &mut Problems) -> IndexMap<String, Scope> {
    let mut scopes = IndexMap::new();
    for entry in field.map(problems).unwrap_or_default() {
        check_tool_name(entry.place, &entry.key, problems);
        if let Some(tools) = tools.filter(|tools| !tools.contains(&entry.key)) {
            let what = format!("scopes names \"{}\", which is not among tools", shown(&entry.key));
            let fix = write_one_of(&entry.key, tools.iter().map(String::as_str));
            problems.add(entry.place, "scope_of_unknown_tool", what, fix);
        }
        let example = format!("{}: mcp.read", shown(&entry.key)).into();
        let field = Field { name: &entry.key, place: entry.place, value: &entry.value, example };
        scopes.extend(field.choice(SCOPES, problems).map(|scope| (entry.key.clone(), scope)));
    }
    scopes
}
