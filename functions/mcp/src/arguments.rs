//! Arguments of a tool, checked against its declared inputs before it runs.
//!
//! What is wrong is told to the model as a tool result (MCP, SEP-1303), by the argument's name and never its value.

use catalogue::Input;
use serde_json::{Map, Value};

use crate::catalogue::Trouble;

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
        if let Some(name) = values.keys().find(|name| !inputs.iter().any(|input| input.name == name.as_str())) {
            let unknown = if is_plain(name) { name } else { "An argument" };
            let known: Vec<&str> = inputs.iter().map(|input| input.name.as_ref()).collect();
            return Err(wrong(format!("{unknown} is unknown; the arguments are {}", known.join(", "))));
        }
        for input in inputs {
            match values.get(input.name.as_ref()) {
                None if input.required => return Err(wrong(format!("{} is missing", input.name))),
                None => {}
                Some(value) => input.check(value).map_err(wrong)?,
            }
        }
        Ok(Arguments { values })
    }

    /// Every argument that was given.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// An optional argument of any kind.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// An optional text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(Value::as_str)
    }

    /// A required text; empty only if the tool does not declare it so.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }
}

/// Whether a name that a caller made up may be said back: it could be one of an argument.
fn is_plain(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use catalogue::InputKind;
    use regex_lite::Regex;
    use serde_json::json;

    use super::*;

    fn inputs() -> [Input; 5] {
        let digits = InputKind::Text { pattern: Some(Regex::new("^[0-9]{1,8}$").unwrap()), one_of: Vec::new() };
        let statuses = InputKind::Text { pattern: None, one_of: vec!["SHIPPED".into(), "DELIVERED".into()] };
        [
            Input::new("order_id", "Order number", "as on the invoice", digits).required(),
            Input::new("status", "Status", "a status", statuses),
            Input::new("count", "Count", "how many", InputKind::Integer),
            Input::new("price", "Price", "at most", InputKind::Number),
            Input::new("open", "Open", "only open ones", InputKind::Boolean),
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
            (json!({ "order_id": "1", "extra": "x1y2" }), "extra is unknown; the arguments are order_id, status"),
            (json!({ "order_id": "1", "x1y2 <b>": 1 }), "An argument is unknown"),
            (json!({ "order_id": "9".repeat(5_000) }), "order_id is too long"),
            (json!({ "order_id": "1", "count": 1.5 }), "count is a whole number without quotes"),
            (json!({ "order_id": "1", "count": 18_446_744_073_709_551_615_u64 }), "count is a whole number"),
            (json!({ "order_id": "1", "price": "x1y2" }), "price is a number without quotes"),
            (json!({ "order_id": "1", "open": "x1y2" }), "open is true or false without quotes"),
        ] {
            let sentence = check(arguments).unwrap_err();
            assert!(sentence.contains(says) && !sentence.contains("x1y2"), "{sentence}");
        }
        assert_eq!(check(json!({ "order_id": "1001" })).unwrap().text("order_id"), "1001");
    }
}
