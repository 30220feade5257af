//! What a tool is: data, and where its answer comes from. Nothing here knows the protocol it is served by.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use access_token::Scope;
use futures_util::future::BoxFuture;
use request_log::Timings;
use serde_json::{Map, Value, json};

use crate::arguments::{Arguments, Input};
use crate::bearer::Principal;
use crate::tables::Tables;

/// What a tool answers: a flat object, a missing value is a missing property.
pub type Answer = Map<String, Value>;

/// One call: who asks, and what a tool may use to answer.
pub struct Call {
    /// The caller.
    pub principal: Arc<Principal>,
    /// The business tables.
    pub tables: Arc<Tables>,
    /// Where time goes.
    pub timings: Arc<Timings>,
    /// When the request arrived.
    pub now: SystemTime,
    outcome: OnceLock<&'static str>,
}

impl Call {
    /// A call that has just arrived.
    pub fn new(principal: Arc<Principal>, tables: Arc<Tables>, timings: Arc<Timings>, now: SystemTime) -> Call {
        Call { principal, tables, timings, now, outcome: OnceLock::new() }
    }

    /// Notes how the call ended, for its log line; the first note stays.
    pub fn set_outcome(&self, code: &'static str) {
        let _ = self.outcome.set(code);
    }

    /// How the call ended, unless it went well.
    pub fn outcome(&self) -> Option<&'static str> {
        self.outcome.get().copied()
    }
}

/// Why a tool has no answer: told to the model, which acts on the sentence (MCP, Tools, "Error handling").
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Stable code (`docs/errors.md`).
    pub code: &'static str,
    /// What is wrong and what to do.
    pub sentence: String,
}

impl Trouble {
    /// Trouble with a code and a sentence.
    pub fn new(code: &'static str, sentence: impl Into<String>) -> Trouble {
        Trouble { code, sentence: sentence.into() }
    }

    /// The tool panicked.
    pub fn panicked() -> Trouble {
        Trouble::new("tool_panicked", "The tool failed unexpectedly. Nothing more is known; do not repeat the call.")
    }

    /// The tool did not answer in time.
    pub fn deadline() -> Trouble {
        Trouble::new("deadline_exceeded", "The tool did not answer in time. Try again in a minute.")
    }
}

/// Where a tool's answer comes from.
#[derive(Clone)]
pub enum Source {
    /// A function of this program.
    BuiltIn(fn(Arguments, Arc<Call>) -> BoxFuture<'static, Result<Answer, Trouble>>),
}

/// What a client may assume of a tool (MCP, `ToolAnnotations`); always the truth.
#[derive(Clone, Copy, Debug)]
pub struct Annotations {
    /// It changes nothing.
    pub read_only: bool,
    /// It may destroy what was there.
    pub destructive: bool,
    /// Repeating it changes nothing more.
    pub idempotent: bool,
    /// It reaches beyond our own tables.
    pub open_world: bool,
}

impl Annotations {
    /// A tool that reads our own tables.
    pub const READ: Annotations =
        Annotations { read_only: true, destructive: false, idempotent: true, open_world: false };
}

/// A property of a tool's answer.
#[derive(Clone, Debug)]
pub struct Output {
    name: Cow<'static, str>,
    /// Its JSON Schema type: a primitive, or `array` for rows of flat objects.
    pub schema_type: &'static str,
    description: Cow<'static, str>,
    required: bool,
}

impl Output {
    /// A property that may be missing.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        schema_type: &'static str,
        description: impl Into<Cow<'static, str>>,
    ) -> Output {
        Output { name: name.into(), schema_type, description: description.into(), required: false }
    }

    /// The same, and it is always there.
    pub fn required(self) -> Output {
        Output { required: true, ..self }
    }
}

/// A tool.
#[derive(Clone)]
pub struct Tool {
    /// Its name: `[a-z0-9_]{1,64}`.
    pub name: Cow<'static, str>,
    /// Its title, for people.
    pub title: Cow<'static, str>,
    /// What it does, in one line of less than 1,000 characters.
    pub description: Cow<'static, str>,
    /// What it takes.
    pub inputs: Vec<Input>,
    /// What it answers.
    pub outputs: Vec<Output>,
    /// What a client may assume of it.
    pub annotations: Annotations,
    /// The scope it needs.
    pub scope: Scope,
    /// Where its answer comes from.
    pub source: Source,
}

impl Tool {
    /// Checks the arguments and runs the tool.
    pub async fn run(&self, arguments: Map<String, Value>, call: Arc<Call>) -> Result<Answer, Trouble> {
        let arguments = Arguments::check(arguments, &self.inputs)?;
        match self.source {
            Source::BuiltIn(run) => run(arguments, call).await,
        }
    }

    /// JSON Schema of the arguments.
    pub fn input_schema(&self) -> Map<String, Value> {
        let properties = self.inputs.iter().map(|input| (input.name.to_string(), input.schema()));
        let required = self.inputs.iter().filter(|input| input.required).map(|input| input.name.as_ref());
        object_schema(properties.collect(), required.collect())
    }

    /// JSON Schema of the answer.
    pub fn output_schema(&self) -> Map<String, Value> {
        let properties = self.outputs.iter().map(|output| {
            let mut schema = json!({ "type": output.schema_type, "description": output.description });
            if output.schema_type == "array" {
                // Agentforce maps rows only when they are bare objects.
                schema["items"] = json!({ "type": "object" });
            }
            (output.name.to_string(), schema)
        });
        let required = self.outputs.iter().filter(|output| output.required).map(|output| output.name.as_ref());
        object_schema(properties.collect(), required.collect())
    }
}

fn object_schema(properties: Map<String, Value>, required: Vec<&str>) -> Map<String, Value> {
    let mut schema = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), Value::Object(properties)),
        ("additionalProperties".to_owned(), json!(false)),
    ]);
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

/// Every tool that a server definition can name.
#[derive(Clone)]
pub struct Catalogue {
    tools: Vec<Tool>,
}

impl Catalogue {
    /// A catalogue of these tools.
    pub fn new(tools: Vec<Tool>) -> Catalogue {
        Catalogue { tools }
    }

    /// The tool of a name.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// Every tool.
    pub fn tools(&self) -> &[Tool] {
        &self.tools
    }
}
