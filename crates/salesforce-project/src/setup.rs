//! `SETUP.md`: what an admin does with the project, in order.

use std::fmt::Write;

use crate::catalogue::Catalogue;
use crate::pack::{API_VERSION, DEFAULT_AGENT, DEFAULT_SCOPE, PRINCIPAL, Settings};

const GUIDE: &str = include_str!("SETUP.template.md");

/// The guide for one project.
pub fn guide(settings: &Settings, catalogue: &Catalogue) -> String {
    // The name as the preview commands take it: letters and digits alone.
    let plain_name = settings.name.as_str().replace('_', "");
    let server = if settings.server == "default" { String::new() } else { format!(" --server {}", settings.server) };
    let mut options = server.clone();
    for (option, value, default) in [
        ("--name", settings.name.as_str(), ""),
        ("--agent", settings.agent.as_str(), DEFAULT_AGENT),
        ("--scope", &settings.scope, DEFAULT_SCOPE),
    ] {
        if value != default {
            write!(options, " {option} {value}").expect("a String takes all text");
        }
    }
    let mut guide = GUIDE.to_owned();
    for (placeholder, value) in [
        ("{{tools}}", tools(settings, catalogue).as_str()),
        ("{{name}}", settings.name.as_str()),
        ("{{plain_name}}", &plain_name),
        ("{{agent}}", settings.agent.as_str()),
        ("{{server_option}}", &server),
        ("{{options}}", &options),
        ("{{public_url}}", &settings.public_url),
        ("{{server_url}}", &settings.server_url),
        ("{{token_url}}", &settings.token_url()),
        ("{{scope}}", &settings.scope),
        ("{{principal}}", PRINCIPAL),
        ("{{credential_access}}", &settings.credential_access()),
        ("{{agent_permissions}}", &settings.agent_permissions()),
        ("{{identity_provider}}", &settings.identity_provider()),
        ("{{api_version}}", API_VERSION),
    ] {
        guide = guide.replace(placeholder, value);
    }
    guide
}

fn tools(settings: &Settings, catalogue: &Catalogue) -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace("{{", "{ {");
    let rows = catalogue.tools.iter().map(|tool| {
        let (name, what) = (cell(&tool.name), cell(&tool.description()));
        format!("| `{name}` | {name} - {} | {what} | {} |", settings.name, if tool.only_reads() { "yes" } else { "no" })
    });
    rows.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::names::{AgentName, Name};

    #[test]
    fn the_guide_of_another_server_names_it_in_every_command() {
        let settings = Settings {
            name: Name::for_server("field-service").unwrap(),
            agent: AgentName::parse("AWS").unwrap(),
            server: "field-service".to_owned(),
            public_url: "https://mcp.example.com".to_owned(),
            server_url: "https://mcp.example.com/mcp/field-service".to_owned(),
            scope: "mcp.read".to_owned(),
        };
        let initialize = json!({ "protocolVersion": "2025-06-18", "serverInfo": { "name": "s", "version": "1" } });
        let tools = vec![json!({ "name": "a", "description": "one | two {{name}}" })];
        let guide = guide(&settings, &Catalogue::parse(initialize, tools).unwrap());
        for line in [
            "northstar client create \"Agentforce NorthstarMCPFieldService\" --scope mcp.read --server field-service",
            "`northstar doctor https://mcp.example.com --server field-service`",
            "northstar salesforce diff . --server field-service --name NorthstarMCPFieldService",
            "--server-url https://mcp.example.com/mcp/field-service ",
            "| `a` | a - NorthstarMCPFieldService | one \\| two { {name}} | no |",
        ] {
            assert!(guide.contains(line), "{line}");
        }
        assert!(!guide.contains("{{"), "every placeholder has a value");
    }
}
