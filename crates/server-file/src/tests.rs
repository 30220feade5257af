//! Whole files: those that are right, and every kind of wrong.

mod invalid;
mod mutations;
mod round_trip;
mod valid;

use std::sync::LazyLock;

use serde_json::{Map, Number, Value};

use crate::problem::Problems;
use crate::scalar::Scalar;
use crate::yaml::{self, Content, Node};

const EXAMPLE: &str = include_str!("../../../examples/servers.yaml");
const SCHEMA: &str = include_str!("../../../docs/server-definitions.schema.json");
const PAGE: &str = include_str!("../../../docs/servers.md");

/// The example with what is commented out there.
fn whole_example() -> String {
    let lines = EXAMPLE.lines().map(|line| if line.starts_with("#  ") { &line[1..] } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

static VALIDATOR: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::draft202012::new(&serde_json::from_str(SCHEMA).unwrap()).unwrap());

/// What the schema says of a file; `None` when it is no YAML that JSON has a form for.
fn schema_accepts(text: &str) -> Option<bool> {
    let mut problems = Problems::default();
    let root = yaml::read(text, &mut problems).filter(|_| problems.len() == 0)?;
    Some(VALIDATOR.is_valid(&json(&root)?))
}

fn json(node: &Node) -> Option<Value> {
    Some(match &node.content {
        Content::Scalar { .. } => match node.scalar()? {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => Value::Bool(value),
            Scalar::Number(number) => Value::Number(number.or_else(|| Number::from_f64(0.5))?),
            Scalar::Text(text) => Value::from(text),
        },
        Content::List(nodes) => Value::Array(nodes.iter().map(json).collect::<Option<_>>()?),
        Content::Map(entries) => {
            let entries = entries.iter().map(|entry| Some((entry.key.clone(), json(&entry.value)?)));
            Value::Object(entries.collect::<Option<Map<_, _>>>()?)
        }
        Content::Refused => return None,
    })
}
