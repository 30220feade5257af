//! The live catalogue: what a server answers to `initialize` and `tools/list`.

use serde::Deserialize;
use serde_json::Value;

/// What a server says of itself and of its tools.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// Revision of the protocol that was agreed upon.
    pub protocol_version: String,
    /// The server's name.
    pub server_name: String,
    /// The server's version.
    pub server_version: String,
    /// What a model should know before it uses the tools.
    pub instructions: Option<String>,
    /// The tools, in the server's order.
    pub tools: Vec<Tool>,
}

/// A tool of the catalogue.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// All that the server says of it.
    pub definition: Value,
}

/// An answer that is not what MCP says it is.
#[derive(Debug, thiserror::Error)]
#[error("the server's answer to {method} is not what MCP says: {source}")]
pub struct CatalogueError {
    method: &'static str,
    source: serde_json::Error,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InitializeResult {
    protocol_version: String,
    server_info: ServerInfo,
    instructions: Option<String>,
}

#[derive(Deserialize)]
struct ServerInfo {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Catalogue {
    /// Reads the results of `initialize` and of `tools/list` (all pages of it).
    ///
    /// # Errors
    /// [`CatalogueError`] when something that MCP demands is missing.
    pub fn parse(initialize: Value, tools: Vec<Value>) -> Result<Catalogue, CatalogueError> {
        let result: InitializeResult =
            serde_json::from_value(initialize).map_err(|source| CatalogueError { method: "initialize", source })?;
        let tools = tools.into_iter().map(|definition| {
            let Named { name } =
                Named::deserialize(&definition).map_err(|source| CatalogueError { method: "tools/list", source })?;
            Ok(Tool { name, definition })
        });
        Ok(Catalogue {
            protocol_version: result.protocol_version,
            server_name: result.server_info.name,
            server_version: result.server_info.version,
            instructions: result.instructions,
            tools: tools.collect::<Result<_, _>>()?,
        })
    }

    /// What Agentforce will not show or not take as it is, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.tools.iter().flat_map(Tool::warnings).collect();
        if self.tools.is_empty() {
            warnings.push("the server lists no tools: there will be nothing to choose in the Tools tab".to_owned());
        }
        warnings
    }
}

impl Tool {
    /// Its description on one line; empty if it has none.
    pub fn description(&self) -> String {
        let text = self.definition["description"].as_str().unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Whether it says that it only reads.
    pub fn only_reads(&self) -> bool {
        self.definition["annotations"]["readOnlyHint"] == Value::Bool(true)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |sentence: String| warnings.push(format!("{}: {sentence}", self.name));
        let fitting = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
        if self.name.is_empty() || self.name.len() > 128 || !self.name.chars().all(fitting) {
            warn("Agentforce takes tool names of up to 128 letters, digits and _ . / - alone".to_owned());
        }
        let description = self.definition["description"].as_str().unwrap_or_default();
        if description.trim().is_empty() || description.contains('\n') || description.chars().count() > 1000 {
            warn(
                "its description should be one line of up to 1,000 characters: Agentforce cuts or refuses others"
                    .to_owned(),
            );
        }
        for (input, schema) in self.definition["inputSchema"]["properties"].as_object().into_iter().flatten() {
            if schema["title"].as_str().is_none_or(str::is_empty) {
                warn(format!("its input {input} has no title: Agentforce labels it \"string\""));
            }
        }
        for (output, schema) in self.definition["outputSchema"]["properties"].as_object().into_iter().flatten() {
            if schema["type"] == "object" || schema["type"].is_array() || schema.get("anyOf").is_some() {
                warn(format!("its output {output} is nested or nullable: Agentforce shows it empty"));
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn catalogue(tool: Value) -> Result<Catalogue, CatalogueError> {
        let initialize = json!({ "protocolVersion": "2025-06-18", "serverInfo": { "name": "s", "version": "1" } });
        Catalogue::parse(initialize, vec![tool])
    }

    #[test]
    fn a_tool_without_a_name_is_no_tool() {
        assert!(catalogue(json!({ "title": "x" })).unwrap_err().to_string().contains("tools/list"));
        let none = Catalogue::parse(json!({ "protocolVersion": "2025-06-18" }), Vec::new());
        assert!(none.unwrap_err().to_string().contains("initialize"));
    }

    #[test]
    fn what_agentforce_does_not_show_is_named() {
        let good = json!({
            "name": "get_order_status",
            "description": "Gets an order.",
            "inputSchema": { "type": "object", "properties": { "order_id": { "type": "string", "title": "Order ID" } } },
            "outputSchema": { "type": "object", "properties": { "status": { "type": "string" } } },
        });
        assert_eq!(catalogue(good.clone()).unwrap().warnings(), Vec::<String>::new());
        for (pointer, value, expected) in [
            ("/name", json!("get order"), "tool names"),
            ("/description", json!("a\nb"), "one line"),
            ("/description", json!("x".repeat(1001)), "one line"),
            ("/inputSchema/properties/order_id", json!({ "type": "string" }), "input order_id has no title"),
            (
                "/outputSchema/properties/status",
                json!({ "type": ["string", "null"] }),
                "output status is nested or nullable",
            ),
        ] {
            let mut tool = good.clone();
            *tool.pointer_mut(pointer).unwrap() = value;
            let warnings = catalogue(tool).unwrap().warnings();
            assert!(warnings.len() == 1 && warnings[0].contains(expected), "{pointer}: {warnings:?}");
        }
    }
}
