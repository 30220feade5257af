//! The upstreams that a definitions file names, held against those that are registered and their accepted tools.

use std::collections::BTreeSet;

use registry::{Accepted, Connection, ConnectionName, LeftOut, Server, UpstreamTools, WhyLeftOut, upstream_tools};
use server_file::{Document, Problem, nearest};

use crate::output::Failure;
use crate::place::Open;

/// The accepted tools of the upstreams that servers name. One that is not registered has none.
///
/// # Errors
/// The registry does not answer, or the record of the tools is damaged.
pub async fn accepted(open: &Open, servers: impl IntoIterator<Item = &Server>) -> Result<Accepted, Failure> {
    let names: BTreeSet<&ConnectionName> =
        servers.into_iter().flat_map(|server| &server.upstreams).map(|of| &of.name).collect();
    let mut accepted = Accepted::new();
    for name in names {
        if let Some(Connection::Upstream(_)) = open.registry.connection(name).await? {
            accepted.insert(name.clone(), open.registry.pinned_tools(name).await?.unwrap_or_default());
        }
    }
    Ok(accepted)
}

/// A problem for each upstream that is not registered or has no accepted tools, and for each tool that a server cannot
/// have.
///
/// # Errors
/// The registry does not answer.
pub async fn check(open: &Open, document: &Document, accepted: &Accepted) -> Result<Vec<Problem>, Failure> {
    let named = || document.servers().iter().flat_map(|server| &server.upstreams);
    if named().next().is_none() {
        return Ok(Vec::new());
    }
    let mut registered = Vec::new();
    if named().any(|of| !accepted.contains_key(&of.name)) {
        for connection in open.registry.connections().await? {
            if let Connection::Upstream(upstream) = connection {
                registered.push(upstream.name.to_string());
            }
        }
    }
    let mut problems = Vec::new();
    for server in document.servers() {
        problems.extend(problems_of(document, server, accepted, &registered));
    }
    Ok(problems)
}

/// `registered` are the names of all upstreams, if one is asked for that is not among `accepted`.
fn problems_of(document: &Document, server: &Server, accepted: &Accepted, registered: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for of in &server.upstreams {
        let mut add = |part: &str, code, what: String, fix: String| {
            problems.push(Problem {
                place: document.locate_upstream(&server.name, &of.name, Some(part)),
                code,
                what,
                fix,
            });
        };
        let name = &of.name;
        let Some(pinned) = accepted.get(name) else {
            let fix = match nearest(name.as_str(), registered.iter().map(String::as_str)) {
                Some(near) => format!("write name: {near}"),
                None => format!(
                    "add it with `northstar upstream add {name}`, or write one that `northstar upstream list` shows"
                ),
            };
            add("name", "no_such_upstream", format!("there is no upstream {name}"), fix);
            continue;
        };
        if pinned.tools.is_empty() {
            let what = format!("no tool of the upstream {name} has been accepted");
            add(
                "name",
                "nothing_accepted",
                what,
                format!("look at them and accept them: `northstar upstream accept {name}`"),
            );
            continue;
        }
        let names = || pinned.tools.iter().map(|tool| tool.name.as_str());
        for tool in of.scopes.keys().filter(|tool| of.tools.is_none() && names().all(|name| name != *tool)) {
            let what = format!("scopes names {tool}, which is no accepted tool of the upstream {name}");
            add(&format!("scopes.{tool}"), "tool_not_accepted", what, fix_of_unknown(name, tool, names()));
        }
    }
    let (tools, left_out) = upstream_tools(server, accepted);
    let has_tools = |name| accepted.get(name).is_some_and(|pinned| !pinned.tools.is_empty());
    for left_out in left_out.iter().filter(|left_out| has_tools(&left_out.upstream)) {
        let names = accepted.get(&left_out.upstream).map(|pinned| pinned.tools.as_slice()).unwrap_or_default();
        let names = names.iter().map(|tool| tool.name.as_str());
        if let Some(of) = server.upstreams.iter().find(|of| of.name == left_out.upstream) {
            problems.push(problem_of(document, server, of, left_out, names));
        }
    }
    let is_known = |name: &&String| {
        server.tools.iter().any(|tool| tool.name() == *name) || tools.iter().any(|of| of.tool.name == name.as_str())
    };
    // What it has of an upstream without accepted tools is not known.
    let whole = server.upstreams.iter().all(|of| has_tools(&of.name));
    for name in server.limits.per_tool.keys().filter(|name| whole && !server.upstreams.is_empty() && !is_known(name)) {
        let own = server.tools.iter().map(registry::ToolDefinition::name);
        let fix = match nearest(name, own.chain(tools.iter().map(|of| of.tool.name.as_ref()))) {
            Some(near) => format!("write {near}"),
            None => "write the name of a tool as `northstar server show` shows it, with its prefix".to_owned(),
        };
        problems.push(Problem {
            place: document.locate(&server.name, None, Some("limits.per_tool")),
            code: "per_tool_unknown",
            what: format!("per_tool names \"{name}\", which is no tool of this server"),
            fix,
        });
    }
    problems
}

fn problem_of<'a>(
    document: &Document,
    server: &Server,
    of: &UpstreamTools,
    left_out: &LeftOut,
    names: impl Iterator<Item = &'a str>,
) -> Problem {
    let LeftOut { upstream, tool, name, why } = left_out;
    // One that the definition does not name has its place at what gave it its name.
    let part = match (&of.tools, why) {
        (Some(_), _) => format!("tools.{tool}"),
        (None, _) if of.prefix.is_empty() => "name".to_owned(),
        (None, _) => "prefix".to_owned(),
    };
    let (code, what, fix) = match why {
        WhyLeftOut::NotAccepted => (
            "tool_not_accepted",
            format!("{tool} is no accepted tool of the upstream {upstream}"),
            fix_of_unknown(upstream, tool, names),
        ),
        WhyLeftOut::NotReadOnly => (
            "tool_not_read_only",
            format!("the tool {tool} of the upstream {upstream} changes something, and read_only is true"),
            "leave the tool out, or write read_only: false".to_owned(),
        ),
        WhyLeftOut::Name => (
            "tool_name",
            format!("{name} is no name of a tool: up to 64 of A-Z a-z 0-9 _ - ."),
            "write a shorter prefix, or leave the tool out".to_owned(),
        ),
        WhyLeftOut::Taken => (
            "tool_name_taken",
            format!("the server has another tool {name} than that of the upstream {upstream}"),
            format!("write prefix: {upstream}_, or leave one of them out"),
        ),
    };
    Problem { place: document.locate_upstream(&server.name, upstream, Some(&part)), code, what, fix }
}

fn fix_of_unknown<'a>(upstream: &ConnectionName, tool: &str, names: impl Iterator<Item = &'a str>) -> String {
    match nearest(tool, names) {
        Some(near) => format!("write {near}"),
        None => format!(
            "write one that `northstar upstream show {upstream}` shows, or accept it: `northstar upstream accept {upstream}`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use registry::PinnedTools;
    use serde_json::{Value, json};

    use super::*;

    fn accepted(tools: Value) -> Accepted {
        let tools: Vec<Value> = tools
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| {
                json!({
                    "name": tool[0], "title": "", "description": "", "input_schema": {}, "read_only": tool[1],
                    "destructive": false, "idempotent": true, "open_world": true, "hash": "0",
                })
            })
            .collect();
        let pinned: PinnedTools = serde_json::from_value(json!({ "tools": tools, "accepted_at": 1 })).unwrap();
        Accepted::from([(ConnectionName::parse("sales").unwrap(), pinned)])
    }

    fn said(upstream: &str, more: &str) -> Vec<String> {
        let document = Document::parse(&format!(
            "servers:\n  - name: hub\n    tools: [get_order_status]\n    upstreams:\n      - {upstream}\n{more}"
        ));
        let document = document.unwrap();
        let accepted = accepted(json!([["soqlQuery", true], ["get_order_status", true], ["update", false]]));
        let problems = problems_of(&document, &document.servers()[0], &accepted, &["sales".to_owned()]);
        problems.iter().map(|problem| format!("{} {problem}", problem.code)).collect()
    }

    #[test]
    fn what_a_server_cannot_have_is_named_with_what_is_near() {
        for (upstream, more, expected) in [
            ("{ name: sales, tools: [soqlQuery] }", "", ""),
            ("{ name: sales, prefix: s_ }", "    limits: { per_tool: { s_update: 1/s } }\n", ""),
            ("{ name: saels }", "", "no_such_upstream 5:17: there is no upstream saels; write name: sales"),
            (
                "{ name: erp }",
                "",
                "no_such_upstream 5:17: there is no upstream erp; add it with `northstar upstream add erp`, or write one that \
                 `northstar upstream list` shows",
            ),
            (
                "{ name: sales, tools: [soqlQueri] }",
                "",
                "tool_not_accepted 5:32: soqlQueri is no accepted tool of the upstream sales; write soqlQuery",
            ),
            (
                "{ name: sales, prefix: s_, scopes: { soqlquery: mcp.read } }",
                "",
                "tool_not_accepted 5:46: scopes names soqlquery, which is no accepted tool of the upstream sales; write soqlQuery",
            ),
            (
                "{ name: sales, tools: [update], read_only: true }",
                "",
                "tool_not_read_only 5:32: the tool update of the upstream sales changes something, and read_only is true; leave the \
                 tool out, or write read_only: false",
            ),
            (
                "{ name: sales }",
                "",
                "tool_name_taken 5:17: the server has another tool get_order_status than that of the upstream sales; write prefix: \
                 sales_, or leave one of them out",
            ),
            (
                "{ name: sales, prefix: s_ }",
                "    limits: { per_tool: { refresh: 1/s, s_updates: 1/s, get_order_status: 1/s } }\n",
                "per_tool_unknown 6:15: per_tool names \"refresh\", which is no tool of this server; write the name of a tool as \
                 `northstar server show` shows it, with its prefix per_tool_unknown 6:15: per_tool names \"s_updates\", which is no \
                 tool of this server; write s_update",
            ),
        ] {
            assert_eq!(said(upstream, more).join(" "), expected, "{upstream}");
        }
    }

    #[test]
    fn an_upstream_without_accepted_tools_is_told() {
        let document = Document::parse("servers: [{ name: hub, upstreams: [{ name: sales, tools: [a] }] }]").unwrap();
        let problems = problems_of(&document, &document.servers()[0], &accepted(json!([])), &[]);
        let codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, ["nothing_accepted"]);
    }
}
