//! What a tool takes: declared inputs, and the check of an argument against its input.

use std::borrow::Cow;

use regex_lite::Regex;
use serde_json::{Value, json};

/// Longest text argument without a pattern, in bytes.
const MAX_TEXT: usize = 4 * 1024;

/// One declared input.
#[derive(Clone, Debug)]
pub struct Input {
    /// Name of the argument.
    pub name: Cow<'static, str>,
    title: Cow<'static, str>,
    description: Cow<'static, str>,
    kind: InputKind,
    /// Whether it must be given.
    pub required: bool,
}

/// What an argument may be.
#[derive(Clone, Debug)]
pub enum InputKind {
    /// A text.
    Text {
        /// It matches this, from `^` to `$`.
        pattern: Option<Regex>,
        /// It is one of these, if there are any.
        one_of: Vec<Cow<'static, str>>,
    },
    /// A whole number of 64 bits.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A text of any form, longer than most.
    LongText {
        /// Its longest, in bytes.
        max_bytes: usize,
    },
    /// An object of any properties.
    Object,
    /// A list of texts.
    Texts {
        /// Most of them.
        max: usize,
    },
    /// A list of objects.
    Objects {
        /// Most of them.
        max: usize,
    },
}

impl Input {
    /// An optional input; Agentforce shows `title` as its label.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        title: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
        kind: InputKind,
    ) -> Input {
        Input { name: name.into(), title: title.into(), description: description.into(), kind, required: false }
    }

    /// An optional text.
    pub fn text(
        name: impl Into<Cow<'static, str>>,
        title: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
    ) -> Input {
        Input::new(name, title, description, InputKind::Text { pattern: None, one_of: Vec::new() })
    }

    /// The same, and it must be given.
    pub fn required(self) -> Input {
        Input { required: true, ..self }
    }

    /// JSON Schema of the argument.
    pub fn schema(&self) -> Value {
        let type_name = match self.kind {
            InputKind::Text { .. } | InputKind::LongText { .. } => "string",
            InputKind::Object => "object",
            InputKind::Texts { .. } | InputKind::Objects { .. } => "array",
            InputKind::Integer => "integer",
            InputKind::Number => "number",
            InputKind::Boolean => "boolean",
        };
        let mut schema = json!({ "type": type_name, "title": self.title, "description": self.description });
        match &self.kind {
            InputKind::Text { pattern, one_of } => {
                if let Some(pattern) = pattern {
                    schema["pattern"] = json!(pattern.as_str());
                }
                if !one_of.is_empty() {
                    schema["enum"] = json!(one_of);
                }
            }
            InputKind::Texts { max } => {
                schema["items"] = json!({ "type": "string" });
                schema["maxItems"] = json!(max);
            }
            InputKind::Objects { max } => {
                schema["items"] = json!({ "type": "object" });
                schema["maxItems"] = json!(max);
            }
            _ => {}
        }
        schema
    }

    /// Whether a value is right for this input.
    ///
    /// # Errors
    /// What is wrong, by the argument's name and never its value.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let name = &self.name;
        match (&self.kind, value) {
            (InputKind::Text { pattern, one_of }, Value::String(text)) => {
                self.check_text(text, pattern.as_ref(), one_of)
            }
            (InputKind::Integer, value) if value.is_i64() => Ok(()),
            (InputKind::Number, Value::Number(_)) | (InputKind::Boolean, Value::Bool(_)) => Ok(()),
            (InputKind::LongText { max_bytes }, Value::String(text)) if text.len() <= *max_bytes => Ok(()),
            (InputKind::LongText { .. }, Value::String(_)) => Err(format!("{name} is too long")),
            (InputKind::Object, Value::Object(_)) => Ok(()),
            (InputKind::Object, _) => Err(format!("{name} is an object")),
            (InputKind::Texts { max } | InputKind::Objects { max }, Value::Array(items)) if items.len() > *max => {
                Err(format!("{name} has at most {max} entries"))
            }
            (InputKind::Texts { .. }, Value::Array(items)) if items.iter().all(Value::is_string) => Ok(()),
            (InputKind::Texts { .. }, _) => Err(format!("{name} is a list of texts")),
            (InputKind::Objects { .. }, Value::Array(items)) if items.iter().all(Value::is_object) => Ok(()),
            (InputKind::Objects { .. }, _) => Err(format!("{name} is a list of objects")),
            (InputKind::Text { .. } | InputKind::LongText { .. }, _) => Err(format!("{name} is a text in quotes")),
            (InputKind::Integer, _) => Err(format!("{name} is a whole number without quotes")),
            (InputKind::Number, _) => Err(format!("{name} is a number without quotes")),
            (InputKind::Boolean, _) => Err(format!("{name} is true or false without quotes")),
        }
    }

    fn check_text(&self, text: &str, pattern: Option<&Regex>, one_of: &[Cow<'static, str>]) -> Result<(), String> {
        if text.len() > MAX_TEXT {
            return Err(format!("{} is too long", self.name));
        }
        if pattern.is_some_and(|pattern| !pattern.is_match(text)) {
            return Err(format!("{} does not have the right form: {}", self.name, self.description));
        }
        if !one_of.is_empty() && !one_of.iter().any(|allowed| allowed == text) {
            return Err(format!("{} is one of {}", self.name, one_of.join(", ")));
        }
        Ok(())
    }
}
