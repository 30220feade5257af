//! What people and programs get to see of MCP servers.

use catalogue::Contract;
use registry::{Accepted, LeftOut, ServerRecord, ToolDefinition, upstream_tools};
use serde_json::{Value, json};

use super::plan::contracts;
use super::{find, public_url, upstreams};
use crate::output::{self, Failure};
use crate::place::Open;
use crate::values;

/// Lists the servers.
///
/// # Errors
/// When the registry does not answer.
pub async fn list(open: &Open, json: bool) -> Result<(), Failure> {
    let url = public_url(open);
    let (mut documents, mut rows) = (Vec::new(), Vec::new());
    for ServerRecord { server, changed_at, .. } in all(open).await? {
        let accepted = upstreams::accepted(open, [&server]).await?;
        let tools = server.tools.len() + upstream_tools(&server, &accepted).0.len();
        let changed = if changed_at == 0 { "-".to_owned() } else { values::show_time(changed_at) };
        documents.push(json!({
            "name": server.name, "title": server.title, "url": server.name.url(&url), "production": server.production,
            "tools": tools, "changed_at": Some(changed_at).filter(|at| *at > 0),
        }));
        rows.push(vec![
            server.name.to_string(),
            server.title.clone(),
            server.name.url(&url),
            yes_or_no(server.production).to_owned(),
            tools.to_string(),
            changed,
        ]);
    }
    if json {
        return output::json(&documents);
    }
    output::table(&["name", "title", "url", "production", "tools", "changed"], rows)
}

/// Prints a server, or all of them.
///
/// # Errors
/// There is no such server, or the registry does not answer.
pub async fn show(open: &Open, json: bool, name: Option<&str>) -> Result<(), Failure> {
    let records = named_or_all(open, name).await?;
    if json {
        let servers: Vec<registry::Server> = records.into_iter().map(|record| record.server).collect();
        return output::json(&server_file::to_json(&servers));
    }
    let url = public_url(open);
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            output::line("")?;
        }
        print(record, &upstreams::accepted(open, [&record.server]).await?, &url)?;
    }
    Ok(())
}

/// The server of a name, or every one.
///
/// # Errors
/// As [`show`].
pub async fn named_or_all(open: &Open, name: Option<&str>) -> Result<Vec<ServerRecord>, Failure> {
    match name {
        Some(name) => Ok(vec![find(open, name).await?]),
        None => all(open).await,
    }
}

async fn all(open: &Open) -> Result<Vec<ServerRecord>, Failure> {
    let mut records = Vec::new();
    for server in open.registry.servers().await? {
        // One that has been deleted meanwhile is none.
        records.extend(open.registry.server_now(&server.name).await?);
    }
    Ok(records)
}

fn print(record: &ServerRecord, accepted: &Accepted, url: &str) -> Result<(), Failure> {
    let server = &record.server;
    let mut lines = vec![
        ("name", server.name.to_string()),
        ("title", server.title.clone()),
        ("url", server.name.url(url)),
        ("description", server.description.clone()),
        ("instructions", server.instructions.clone().unwrap_or_default()),
        ("production", yes_or_no(server.production).to_owned()),
        ("timeout", server.timeout.to_string()),
    ];
    let limits = json!(server.limits);
    for (name, limit) in limits.as_object().into_iter().flatten() {
        match limit.as_object() {
            Some(each) => {
                lines.extend(each.iter().map(|(tool, rate)| ("limit per_tool", format!("{tool} {}", text(rate)))))
            }
            None => lines.push(("limit", format!("{name} {}", text(limit)))),
        }
    }
    lines.push(("log", text(&json!(server.log))));
    if record.changed_at > 0 {
        lines.push(("changed", values::show_time(record.changed_at)));
    }
    for (name, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
        output::line(&format!("{name:16}{value}"))?;
    }
    let contracts = contracts(server, accepted);
    let row = |name: &str, source: String, unknown: &str| {
        let contract = contracts.iter().find(|contract| contract.name == name);
        let of = |part: fn(&Contract) -> String| contract.map_or_else(|| unknown.to_owned(), part);
        vec![name.to_owned(), source, of(|contract| contract.scope.clone()), of(Contract::hash)]
    };
    let own = server.tools.iter().map(|tool| row(tool.name(), source(tool), "unknown to this release"));
    let (foreign, left_out) = upstream_tools(server, accepted);
    let foreign = foreign.iter().map(|of| row(&of.tool.name, format!("upstream {}", of.upstream), ""));
    let left_out = left_out.iter().map(|left_out| {
        let LeftOut { upstream, name, why, .. } = left_out;
        vec![name.clone(), format!("upstream {upstream}"), format!("left out: {why}"), String::new()]
    });
    let rows = own.chain(foreign).chain(left_out);
    output::line("")?;
    output::table(&["tool", "reads", "scope", "contract"], rows.collect())
}

fn source(tool: &ToolDefinition) -> String {
    match tool {
        ToolDefinition::Shipped(_) => "as shipped".to_owned(),
        ToolDefinition::Lookup(lookup) => match &lookup.index {
            Some(index) => format!("table {}, index {index}", lookup.table),
            None => format!("table {}", lookup.table),
        },
    }
}

fn yes_or_no(whether: bool) -> &'static str {
    if whether { "yes" } else { "no" }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
