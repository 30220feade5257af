//! The tools that a server has of its upstreams: which, by what name, with which scope.

use std::collections::{HashMap, HashSet};
use std::fmt;

use access_token::Scope;
use catalogue::{Annotations, ForeignSchemas, Tool, in_words};
use serde_json::{Map, Value};

use crate::connection::ConnectionName;
use crate::server::Server;
use crate::upstream::{PinnedTool, PinnedTools, UpstreamTools};

/// Longest name of a tool, in characters: what the clients of today take.
const LONGEST_NAME: usize = 64;

/// The accepted tools of upstreams, by the upstream's name.
pub type Accepted = HashMap<ConnectionName, PinnedTools>;

/// A tool of an upstream, as a server has it.
#[derive(Clone, Debug)]
pub struct UpstreamTool {
    /// The upstream.
    pub upstream: ConnectionName,
    /// The tool as it was accepted.
    pub pinned: PinnedTool,
    /// The tool as clients of the server see it.
    pub tool: Tool,
}

/// A tool that a definition asks for, and that its server does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The upstream.
    pub upstream: ConnectionName,
    /// The tool's name there.
    pub tool: String,
    /// Its name here.
    pub name: String,
    /// Why it is left out.
    pub why: WhyLeftOut,
}

/// Why a tool is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyLeftOut {
    /// The definition names it, and it is not among the accepted ones.
    NotAccepted,
    /// The definition names it, and wants tools alone that change nothing.
    NotReadOnly,
    /// With its prefix it is no name of MCP's, or too long.
    Name,
    /// The server has another tool of this name.
    Taken,
}

impl fmt::Display for WhyLeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            WhyLeftOut::NotAccepted => "it is not among the accepted ones",
            WhyLeftOut::NotReadOnly => "it changes something, and the definition wants tools that only read",
            WhyLeftOut::Name => "with its prefix it is no name of a tool",
            WhyLeftOut::Taken => "the server has another tool of its name",
        })
    }
}

/// The tools that a server has of its upstreams, in the order of its definition, and those that it cannot have. Of an
/// upstream that is not among `accepted` it has none. The server's own tools have the first right to a name.
pub fn upstream_tools(server: &Server, accepted: &Accepted) -> (Vec<UpstreamTool>, Vec<LeftOut>) {
    let (mut tools, mut left_out) = (Vec::new(), Vec::new());
    let mut names: HashSet<String> = server.tools.iter().map(|tool| tool.name().to_owned()).collect();
    for of in &server.upstreams {
        let Some(accepted) = accepted.get(&of.name) else { continue };
        let mut leave_out = |tool: &str, why| {
            let (upstream, name) = (of.name.clone(), format!("{}{tool}", of.prefix));
            left_out.push(LeftOut { upstream, tool: tool.to_owned(), name, why });
        };
        let asked: Vec<&PinnedTool> = match &of.tools {
            None => accepted.tools.iter().filter(|pinned| pinned.read_only || !of.read_only).collect(),
            Some(names) => names.iter().filter_map(|name| named(of, accepted, name, &mut leave_out)).collect(),
        };
        for pinned in asked {
            let tool = tool(of, pinned);
            if !is_tool_name(&tool.name) {
                leave_out(&pinned.name, WhyLeftOut::Name);
            } else if !names.insert(tool.name.to_string()) {
                leave_out(&pinned.name, WhyLeftOut::Taken);
            } else {
                tools.push(UpstreamTool { upstream: of.name.clone(), pinned: pinned.clone(), tool });
            }
        }
    }
    (tools, left_out)
}

fn named<'a>(
    of: &UpstreamTools,
    accepted: &'a PinnedTools,
    name: &str,
    leave_out: &mut impl FnMut(&str, WhyLeftOut),
) -> Option<&'a PinnedTool> {
    let found = accepted.tools.iter().find(|pinned| pinned.name == name);
    match found {
        None => leave_out(name, WhyLeftOut::NotAccepted),
        Some(pinned) if of.read_only && !pinned.read_only => leave_out(name, WhyLeftOut::NotReadOnly),
        Some(_) => return found,
    }
    None
}

fn tool(of: &UpstreamTools, pinned: &PinnedTool) -> Tool {
    let usual = if pinned.read_only { Scope::Read } else { Scope::Write };
    let title = if pinned.title.is_empty() { in_words(&pinned.name) } else { pinned.title.clone() };
    Tool {
        name: format!("{}{}", of.prefix, pinned.name).into(),
        title: title.into(),
        description: pinned.description.clone().into(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        annotations: Annotations {
            read_only: pinned.read_only,
            destructive: pinned.destructive,
            idempotent: pinned.idempotent,
            open_world: pinned.open_world,
        },
        scope: of.scopes.get(&pinned.name).copied().unwrap_or(usual),
        foreign: Some(Box::new(ForeignSchemas {
            input: without_headers(&pinned.input_schema),
            output: pinned.output_schema.clone(),
        })),
    }
}

/// An input schema without `x-mcp-header` (MCP 2026-07-28, streamable HTTP): which arguments are mirrored in headers is
/// agreed with the upstream, and a client of ours would send them to us.
fn without_headers(schema: &Map<String, Value>) -> Map<String, Value> {
    let members = schema.iter().filter(|(keyword, value)| !(*keyword == "x-mcp-header" && value.is_string()));
    let member = |(keyword, value): (&String, &Value)| match value {
        Value::Object(properties) if keyword == "properties" => {
            let property = |(name, schema): (&String, &Value)| match schema {
                Value::Object(schema) => (name.clone(), Value::Object(without_headers(schema))),
                other => (name.clone(), other.clone()),
            };
            (keyword.clone(), Value::Object(properties.iter().map(property).collect()))
        }
        other => (keyword.clone(), other.clone()),
    };
    members.map(member).collect()
}

/// Whether a text can be the name of a tool (MCP 2025-11-25, Tools, "Tool Names"), and of no more than 64 characters.
pub fn is_tool_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn accepted(tools: &[(&str, bool)]) -> Accepted {
        let tools = tools.iter().map(|(name, read_only)| PinnedTool {
            name: (*name).to_owned(),
            title: String::new(),
            description: "Says how warm it is.".to_owned(),
            input_schema: serde_json::from_value(json!({ "type": "object", "minProperties": 1 })).unwrap(),
            output_schema: None,
            read_only: *read_only,
            destructive: false,
            idempotent: true,
            open_world: true,
            hash: "0".repeat(24),
        });
        let pinned = PinnedTools { tools: tools.collect(), accepted_at: 1 };
        Accepted::from([(ConnectionName::parse("weather").unwrap(), pinned)])
    }

    fn server(upstreams: Value) -> Server {
        let tools = ["get_order_status"];
        serde_json::from_value(json!({ "name": "test", "title": "Test", "tools": tools, "upstreams": upstreams }))
            .unwrap()
    }

    fn names(upstreams: Value, accepted: &Accepted) -> (Vec<String>, Vec<WhyLeftOut>) {
        let (tools, left_out) = upstream_tools(&server(upstreams), accepted);
        let names = tools.iter().map(|upstream| upstream.tool.name.to_string());
        (names.collect(), left_out.iter().map(|left_out| left_out.why).collect())
    }

    #[test]
    fn a_definition_takes_all_or_some_with_a_prefix_and_only_those_that_read() {
        let all = accepted(&[("read", true), ("get_order_status", true), ("write", false)]);
        let taken = vec![WhyLeftOut::Taken];
        let of = |more: Value| {
            let mut upstream = json!({ "name": "weather" });
            upstream.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            names(json!([upstream]), &all)
        };
        assert_eq!(of(json!({})), (vec!["read".to_owned(), "write".to_owned()], taken.clone()));
        assert_eq!(of(json!({ "read_only": true })), (vec!["read".to_owned()], taken));
        assert_eq!(
            of(json!({ "prefix": "w." })).0,
            ["w.read", "w.get_order_status", "w.write"],
            "a prefix makes room beside a tool of ours"
        );
        assert_eq!(of(json!({ "tools": ["write", "read"] })).0, ["write", "read"], "in the order of the definition");
        assert_eq!(
            of(json!({ "tools": ["write", "gone", "read"], "read_only": true })),
            (vec!["read".to_owned()], vec![WhyLeftOut::NotReadOnly, WhyLeftOut::NotAccepted])
        );
        assert_eq!(of(json!({ "prefix": "a b", "tools": ["read"] })).1, [WhyLeftOut::Name]);
        assert_eq!(of(json!({ "prefix": "x".repeat(60), "tools": ["write"] })).1, [WhyLeftOut::Name]);
        assert_eq!(names(json!([{ "name": "other" }]), &all), (vec![], vec![]), "not registered");
    }

    #[test]
    fn what_clients_see_is_what_was_accepted() {
        let all = accepted(&[("read", true), ("write", false)]);
        let (tools, _) =
            upstream_tools(&server(json!([{ "name": "weather", "scopes": { "read": "mcp.write" } }])), &all);
        let seen: Vec<_> = tools.iter().map(|upstream| (upstream.tool.title.as_ref(), upstream.tool.scope)).collect();
        assert_eq!(seen, [("Read", Scope::Write), ("Write", Scope::Write)]);
        let tool = &tools[0].tool;
        assert_eq!(json!(tool.input_schema()), json!({ "type": "object", "minProperties": 1 }));
        let mirrored = json!({
            "type": "object",
            "properties": {
                "region": { "type": "string", "x-mcp-header": "Region" },
                "x-mcp-header": { "properties": { "a": { "x-mcp-header": "A" }, "b": true } },
            },
        });
        let published = json!({
            "type": "object",
            "properties": { "region": { "type": "string" }, "x-mcp-header": { "properties": { "a": {}, "b": true } } },
        });
        assert_eq!(json!(without_headers(mirrored.as_object().unwrap())), published);
        assert!(tool.output_schema().is_empty() && tool.annotations.read_only && tool.annotations.open_world);
    }
}
