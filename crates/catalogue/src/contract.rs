//! What clients rely on in a tool: its contract, as text that can be kept and compared.

mod changes;
#[cfg(test)]
mod edit_tests;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use changes::{Change, What, changes, row_changes};

use crate::tool::Tool;

/// A tool's contract: name, title, description, schemas, annotations and scope, as they were published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contract {
    /// The tool's name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// JSON Schema of its arguments.
    pub input_schema: Map<String, Value>,
    /// JSON Schema of its answer.
    pub output_schema: Map<String, Value>,
    /// It changes nothing.
    pub read_only: bool,
    /// It may destroy what was there.
    pub destructive: bool,
    /// Repeating it changes nothing more.
    pub idempotent: bool,
    /// It reaches beyond our own tables.
    pub open_world: bool,
    /// The scope it needs.
    pub scope: String,
}

impl Contract {
    /// The contract of a tool.
    pub fn of(tool: &Tool) -> Contract {
        Contract {
            name: tool.name.to_string(),
            title: tool.title.to_string(),
            description: tool.description.to_string(),
            input_schema: tool.input_schema(),
            output_schema: tool.output_schema(),
            read_only: tool.annotations.read_only,
            destructive: tool.annotations.destructive,
            idempotent: tool.annotations.idempotent,
            open_world: tool.annotations.open_world,
            scope: tool.scope.as_str().to_owned(),
        }
    }

    /// Its hash: the first 48 bits of the SHA-256 of its JSON, in hexadecimal. Two contracts of one tool that differ in
    /// anything a client sees have different hashes.
    pub fn hash(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let digest = digest::digest(&digest::SHA256, &json);
        digest.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}
