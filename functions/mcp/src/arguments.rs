//! Arguments of a tool, checked against its declared inputs before it runs.
//!
//! What is wrong is told to the model as a tool result (MCP, SEP-1303), by the argument's name and never its value.

use std::borrow::Cow;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use crate::catalogue::Trouble;

/// Longest text argument without a pattern, in bytes.
const MAX_TEXT: usize = 4 * 1024;

/// One declared input: a text.
#[derive(Clone, Debug)]
pub struct Input {
    /// Name of the argument.
    pub name: Cow<'static, str>,
    title: Cow<'static, str>,
    description: Cow<'static, str>,
    pattern: Option<Regex>,
    one_of: Vec<Cow<'static, str>>,
    /// Whether it must be given.
    pub required: bool,
}

impl Input {
    /// An optional text; Agentforce shows `title` as its label.
    pub fn text(
        name: impl Into<Cow<'static, str>>,
        title: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
    ) -> Input {
        let (name, title, description) = (name.into(), title.into(), description.into());
        Input { name, title, description, pattern: None, one_of: Vec::new(), required: false }
    }

    /// The same, and it must be given.
    pub fn required(self) -> Input {
        Input { required: true, ..self }
    }

    /// The same, and it must match `pattern`, from `^` to `$`.
    pub fn matching(self, pattern: Regex) -> Input {
        Input { pattern: Some(pattern), ..self }
    }

    /// The same, and it must be one of these texts.
    pub fn one_of(self, texts: &[&'static str]) -> Input {
        Input { one_of: texts.iter().map(|text| Cow::Borrowed(*text)).collect(), ..self }
    }

    /// JSON Schema of the argument.
    pub fn schema(&self) -> Value {
        let mut schema = json!({ "type": "string", "title": self.title, "description": self.description });
        if let Some(pattern) = &self.pattern {
            schema["pattern"] = json!(pattern.as_str());
        }
        if !self.one_of.is_empty() {
            schema["enum"] = json!(self.one_of);
        }
        schema
    }

    fn check(&self, text: &str) -> Result<(), String> {
        if text.len() > MAX_TEXT {
            return Err(format!("{} is too long", self.name));
        }
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
            return Err(format!("{} does not have the right form: {}", self.name, self.description));
        }
        if !self.one_of.is_empty() && !self.one_of.iter().any(|allowed| allowed == text) {
            return Err(format!("{} is one of {}", self.name, self.one_of.join(", ")));
        }
        Ok(())
    }
}

/// Arguments that passed.
#[derive(Debug, PartialEq)]
pub struct Arguments {
    values: Map<String, Value>,
}

impl Arguments {
    /// Checks arguments against the declared inputs.
    ///
    /// # Errors
    /// [`Trouble`] with code `invalid_arguments`, naming the first argument that is missing, unknown or wrong.
    pub fn check(values: Map<String, Value>, inputs: &[Input]) -> Result<Arguments, Trouble> {
        let wrong = |what: String| Trouble::new("invalid_arguments", format!("{what}. Correct it and call again."));
        if values.keys().any(|name| !inputs.iter().any(|input| input.name == name.as_str())) {
            let known: Vec<&str> = inputs.iter().map(|input| input.name.as_ref()).collect();
            return Err(wrong(format!("An argument is unknown; the arguments are {}", known.join(", "))));
        }
        for input in inputs {
            match values.get(input.name.as_ref()) {
                None if input.required => return Err(wrong(format!("{} is missing", input.name))),
                None => {}
                Some(Value::String(text)) => input.check(text).map_err(wrong)?,
                Some(_) => return Err(wrong(format!("{} is a text in quotes", input.name))),
            }
        }
        Ok(Arguments { values })
    }

    /// An optional argument.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(Value::as_str)
    }

    /// A required argument; empty only if the tool does not declare it so.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> [Input; 2] {
        let digits = Regex::new("^[0-9]{1,8}$").unwrap();
        [
            Input::text("order_id", "Order number", "as on the invoice").matching(digits).required(),
            Input::text("status", "Status", "a status").one_of(&["SHIPPED", "DELIVERED"]),
        ]
    }

    fn check(arguments: Value) -> Result<Arguments, String> {
        let Value::Object(values) = arguments else { panic!("an object") };
        Arguments::check(values, &inputs()).map_err(|trouble| trouble.sentence)
    }

    #[test]
    fn every_mistake_is_named_without_the_value() {
        for (arguments, says) in [
            (json!({}), "order_id is missing"),
            (json!({ "order_id": 1001 }), "order_id is a text in quotes"),
            (json!({ "order_id": null }), "order_id is a text in quotes"),
            (json!({ "order_id": "x1y2" }), "order_id does not have the right form"),
            (json!({ "order_id": "1\n" }), "order_id does not have the right form"),
            (json!({ "order_id": "1", "status": "LOST" }), "status is one of SHIPPED, DELIVERED"),
            (json!({ "order_id": "1", "extra": "x1y2" }), "An argument is unknown"),
            (json!({ "order_id": "9".repeat(5_000) }), "order_id is too long"),
        ] {
            let sentence = check(arguments).unwrap_err();
            assert!(sentence.contains(says) && !sentence.contains("x1y2"), "{sentence}");
        }
        assert_eq!(check(json!({ "order_id": "1001" })).unwrap().text("order_id"), "1001");
    }
}
