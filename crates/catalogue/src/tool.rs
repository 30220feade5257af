//! A tool as clients see it (MCP, Tools).

use std::borrow::Cow;

use access_token::Scope;
use serde_json::{Map, Value, json};

use crate::input::Input;

/// What a client may assume of a tool (MCP, `ToolAnnotations`); always the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The JSON Schema type of a property of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputType {
    /// `string`.
    Text,
    /// `integer`.
    Integer,
    /// `number`.
    Number,
    /// `boolean`.
    Boolean,
    /// `array` of flat objects.
    Rows,
}

impl OutputType {
    /// Its name in JSON Schema.
    pub fn name(self) -> &'static str {
        match self {
            OutputType::Text => "string",
            OutputType::Integer => "integer",
            OutputType::Number => "number",
            OutputType::Boolean => "boolean",
            OutputType::Rows => "array",
        }
    }
}

/// A property of a tool's answer.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its type.
    pub output_type: OutputType,
    description: Cow<'static, str>,
    required: bool,
}

impl Output {
    /// A property that may be missing.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        output_type: OutputType,
        description: impl Into<Cow<'static, str>>,
    ) -> Output {
        Output { name: name.into(), output_type, description: description.into(), required: false }
    }

    /// The same, and it is always there.
    pub fn required(self) -> Output {
        Output { required: true, ..self }
    }

    fn schema(&self) -> Value {
        let mut schema = json!({ "type": self.output_type.name(), "description": self.description });
        if self.output_type == OutputType::Rows {
            // Agentforce maps rows only when they are bare objects.
            schema["items"] = json!({ "type": "object" });
        }
        schema
    }
}

/// Schemas that somebody else wrote, published as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForeignSchemas {
    /// JSON Schema of the arguments.
    pub input: Map<String, Value>,
    /// JSON Schema of the structured answer, if the tool has one.
    pub output: Option<Map<String, Value>>,
}

/// A tool, without where its answer comes from.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Its name: `[a-z0-9_]{1,64}` for ours, up to 64 of `A-Z a-z 0-9 _ . -` for those of others.
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
    /// In place of inputs and outputs: the schemas of a tool that is not ours.
    pub foreign: Option<Box<ForeignSchemas>>,
}

impl Tool {
    /// JSON Schema of the arguments. Others are refused.
    pub fn input_schema(&self) -> Map<String, Value> {
        if let Some(foreign) = &self.foreign {
            return foreign.input.clone();
        }
        let properties = self.inputs.iter().map(|input| (input.name.to_string(), input.schema()));
        let required = self.inputs.iter().filter(|input| input.required).map(|input| input.name.as_ref());
        object_schema(properties.collect(), Some(false), required.collect())
    }

    /// JSON Schema of the answer; empty when the tool declares none, which only one that is not ours does. It is open: a
    /// property that a later definition adds fits the schema that a client remembers.
    pub fn output_schema(&self) -> Map<String, Value> {
        if let Some(foreign) = &self.foreign {
            return foreign.output.clone().unwrap_or_default();
        }
        let properties = self.outputs.iter().map(|output| (output.name.to_string(), output.schema()));
        let required = self.outputs.iter().filter(|output| output.required).map(|output| output.name.as_ref());
        object_schema(properties.collect(), None, required.collect())
    }
}

fn object_schema(properties: Map<String, Value>, others: Option<bool>, required: Vec<&str>) -> Map<String, Value> {
    let mut schema =
        Map::from_iter([("type".to_owned(), json!("object")), ("properties".to_owned(), Value::Object(properties))]);
    schema.extend(others.map(|allowed| ("additionalProperties".to_owned(), json!(allowed))));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}
