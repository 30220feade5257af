//! Lookups: tools that read a DynamoDB table by a definition, without code. A definition has the shape of the file that
//! `northstar server apply` reads, and is kept as it was written.
//!
//! Without `page` a lookup answers one item: GetItem by the whole key, or the first item of a Query when it names an
//! index or only a part of the key. With `page` it answers rows of a Query, a page at a time.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use access_token::Scope;
use indexmap::IndexMap;
use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::in_words;
use crate::input::{Input, InputKind};
use crate::tool::{Annotations, Output, OutputType, Tool};

/// A lookup's definition. Maps keep the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// Name of the tool.
    #[serde(rename = "lookup")]
    pub name: String,
    /// Title of the tool; by default its name in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What the tool does; by default made of what it returns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The table: `orders` and `loyalty` are the stack's own, whatever they are called there; any other name is the
    /// table's name in the stack's account and region.
    pub table: String,
    /// A global or local secondary index of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// The partition key of table or index, and the sort key after it if the lookup needs the whole key. Arguments have
    /// the names of the attributes, or those that [`Lookup::rename`] gives them.
    pub key: IndexMap<String, Argument>,
    /// A condition on the sort key, for a Query.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub sort: IndexMap<String, Sort>,
    /// Optional arguments that rows must equal; what they leave out is read all the same.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub filter: IndexMap<String, Argument>,
    /// Order of a Query by its sort key.
    #[serde(default, skip_serializing_if = "Order::is_default")]
    pub order: Order,
    /// Rows in an answer, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
    /// Name of the property that holds the rows; by default `rows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
    /// The properties of an answer, or of each row: only their attributes are read.
    pub returns: IndexMap<String, Return>,
    /// Attributes whose names in the table differ: attribute to name of argument or property.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub rename: IndexMap<String, String>,
    /// Attributes that never go out whole: of a text two characters are left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mask: Vec<String>,
    /// What the model is told when there is no such item; `{name}` stands for an argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_found: Option<String>,
    /// The key attributes of table and index, as `server apply` found them: a cursor is made of them. In no file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub position: Vec<String>,
}

/// What an argument of a lookup is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// Label, for people.
    pub title: String,
    /// What the model should give.
    pub description: String,
    /// Its type, which is also the attribute's: a text is `S` in the table, a number `N`.
    #[serde(rename = "type", default, skip_serializing_if = "ValueType::is_text")]
    pub value_type: ValueType,
    /// A text matches this, from `^` to `$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// A text is one of these.
    #[serde(rename = "enum", default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
}

/// A condition on the sort key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sort {
    /// The argument, or what both have in common (`between`).
    #[serde(flatten)]
    pub argument: Argument,
    /// How the sort key is compared with it.
    pub condition: Condition,
    /// Whether it must be given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

/// How a sort key is compared (DynamoDB, KeyConditionExpression).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// `=`
    #[default]
    Equals,
    /// `begins_with`, of a text.
    BeginsWith,
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// Two arguments, `<name>_from` and `<name>_to`, either of which may be missing.
    Between,
}

/// The order of a Query by its sort key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The largest sort key first.
    #[default]
    NewestFirst,
    /// The smallest sort key first.
    OldestFirst,
}

impl Order {
    fn is_default(&self) -> bool {
        *self == Order::default()
    }
}

/// The type of an argument or a property.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// A text.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
}

impl ValueType {
    fn is_text(&self) -> bool {
        *self == ValueType::String
    }
}

/// A property that a lookup returns. Written as its type alone when there is nothing more to say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "ReturnShape", into = "ReturnShape")]
pub struct Return {
    /// Its type; an attribute of another type is left out.
    pub value_type: ValueType,
    /// What it is; by default its name in words.
    pub description: Option<String>,
    /// What a value is called: `{ S: Shipped, D: Delivered }`; others stay as they are.
    pub words: IndexMap<String, String>,
    /// The value when the item has none.
    pub default: Option<Value>,
    /// Every item has it: it is announced as always there.
    pub required: bool,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum ReturnShape {
    Type(ValueType),
    Whole(WholeReturn),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeReturn {
    #[serde(rename = "type", default)]
    value_type: ValueType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    words: IndexMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default: Option<Value>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    required: bool,
}

impl From<ReturnShape> for Return {
    fn from(shape: ReturnShape) -> Return {
        match shape {
            ReturnShape::Type(value_type) => Return { value_type, ..Return::default() },
            ReturnShape::Whole(WholeReturn { value_type, description, words, default, required }) => {
                Return { value_type, description, words, default, required }
            }
        }
    }
}

impl From<Return> for ReturnShape {
    fn from(whole: Return) -> ReturnShape {
        let Return { value_type, description, words, default, required } = whole;
        if description.is_none() && words.is_empty() && default.is_none() && !required {
            return ReturnShape::Type(value_type);
        }
        ReturnShape::Whole(WholeReturn { value_type, description, words, default, required })
    }
}

/// Name of the argument that goes on where an answer ended.
pub const CURSOR: &str = "cursor";
/// Rows in an answer, at most.
pub const MAX_PAGE: usize = 100;

impl Lookup {
    /// Whether it answers rows.
    pub fn is_list(&self) -> bool {
        self.page.is_some()
    }

    /// Whether it reads by Query; by GetItem otherwise, which needs the whole key: that it names only a part is known from
    /// [`Lookup::position`].
    pub fn is_query(&self) -> bool {
        self.is_list() || self.index.is_some() || !self.sort.is_empty() || self.key.len() < self.position.len()
    }

    /// What an attribute is called outside.
    pub fn name_of<'a>(&'a self, attribute: &'a str) -> &'a str {
        self.rename.get(attribute).map_or(attribute, String::as_str)
    }

    /// What a name outside is called in the table.
    pub fn attribute_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.rename.iter().find(|(_, renamed)| *renamed == name).map_or(name, |(attribute, _)| attribute)
    }

    /// The name of the property that holds the rows.
    pub fn rows_name(&self) -> &str {
        self.rows.as_deref().unwrap_or("rows")
    }

    /// The attributes that are read.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.returns.keys().map(|name| self.attribute_of(name))
    }

    /// The tool that clients see.
    ///
    /// # Errors
    /// When a pattern is no regular expression.
    pub fn tool(&self) -> Result<Tool, regex_lite::Error> {
        Ok(Tool {
            name: Cow::Owned(self.name.clone()),
            title: Cow::Owned(self.title.clone().unwrap_or_else(|| in_words(&self.name))),
            description: Cow::Owned(self.description.clone().unwrap_or_else(|| self.described())),
            inputs: self.inputs()?,
            outputs: self.outputs(),
            annotations: Annotations::READ,
            scope: Scope::Read,
            foreign: None,
        })
    }

    fn inputs(&self) -> Result<Vec<Input>, regex_lite::Error> {
        let mut inputs = Vec::new();
        for (attribute, argument) in &self.key {
            inputs.push(argument.input(self.name_of(attribute).to_owned())?.required());
        }
        for (attribute, sort) in &self.sort {
            let name = self.name_of(attribute);
            let names = match sort.condition {
                Condition::Between => vec![format!("{name}_from"), format!("{name}_to")],
                _ => vec![name.to_owned()],
            };
            for name in names {
                let input = sort.argument.input(name)?;
                inputs.push(if sort.required { input.required() } else { input });
            }
        }
        for (attribute, argument) in &self.filter {
            inputs.push(argument.input(self.name_of(attribute).to_owned())?);
        }
        if self.is_list() {
            let description = "Cursor of an earlier answer: goes on from there, other arguments unchanged";
            inputs.push(Input::text(CURSOR, "Cursor", description));
        }
        Ok(inputs)
    }

    fn outputs(&self) -> Vec<Output> {
        if !self.is_list() {
            return self.returns.iter().map(|(name, returned)| returned.output(name)).collect();
        }
        let mut outputs: Vec<Output> = Vec::new();
        for (attribute, argument) in &self.key {
            let name = self.name_of(attribute).to_owned();
            outputs.push(Output::new(name, argument.value_type.output_type(), argument.title.clone()).required());
        }
        let columns: Vec<&str> = self.returns.keys().map(String::as_str).collect();
        let rows = format!("{} with {}, as far as known", in_words(self.rows_name()), list_of(&columns));
        let more = "Whether there may be more: pass the cursor to get them";
        outputs.extend([
            Output::new(self.rows_name().to_owned(), OutputType::Rows, rows).required(),
            Output::new("count", OutputType::Integer, format!("Number of {} in this answer", self.rows_name()))
                .required(),
            Output::new("truncated", OutputType::Boolean, more).required(),
            Output::new(CURSOR, OutputType::Text, "Where to go on"),
        ]);
        outputs
    }

    fn described(&self) -> String {
        let columns: Vec<&str> = self.returns.keys().map(String::as_str).collect();
        let by: Vec<String> = self.key.values().map(|argument| argument.title.to_lowercase()).collect();
        let by = list_of(&by.iter().map(String::as_str).collect::<Vec<_>>());
        match (self.page, self.order) {
            (None, _) => format!("Returns {} by {by}.", list_of(&columns)),
            (Some(page), order) => format!(
                "Lists {} with {} by {by}, the {} first, up to {page} at a time; pass the cursor of an answer to get \
                 the next ones.",
                self.rows_name(),
                list_of(&columns),
                if order == Order::NewestFirst { "newest" } else { "oldest" },
            ),
        }
    }
}

impl Argument {
    fn input(&self, name: String) -> Result<Input, regex_lite::Error> {
        let kind = match self.value_type {
            ValueType::String => InputKind::Text {
                pattern: self.pattern.as_deref().map(compiled).transpose()?,
                one_of: self.one_of.iter().cloned().map(Cow::Owned).collect(),
            },
            ValueType::Integer => InputKind::Integer,
            ValueType::Number => InputKind::Number,
            ValueType::Boolean => InputKind::Boolean,
        };
        Ok(Input::new(name, self.title.clone(), self.description.clone(), kind))
    }
}

/// A pattern, compiled once for all arguments that have it: no other part of a definition takes as long.
fn compiled(pattern: &str) -> Result<Regex, regex_lite::Error> {
    /// Most patterns that are remembered.
    const MOST: usize = 32;
    static COMPILED: Mutex<Vec<Regex>> = Mutex::new(Vec::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = compiled.iter().find(|regex| regex.as_str() == pattern) {
        return Ok(regex.clone());
    }
    let regex = Regex::new(pattern)?;
    if compiled.len() < MOST {
        compiled.push(regex.clone());
    }
    Ok(regex)
}

impl Return {
    fn output(&self, name: &str) -> Output {
        let description = self.description.clone().unwrap_or_else(|| in_words(name));
        let output = Output::new(name.to_owned(), self.value_type.output_type(), description);
        if self.required || self.default.is_some() { output.required() } else { output }
    }
}

impl ValueType {
    pub(crate) fn output_type(self) -> OutputType {
        match self {
            ValueType::String => OutputType::Text,
            ValueType::Integer => OutputType::Integer,
            ValueType::Number => OutputType::Number,
            ValueType::Boolean => OutputType::Boolean,
        }
    }
}

/// `a, b and c`.
fn list_of(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [name] => (*name).to_owned(),
        [names @ .., last] => format!("{} and {last}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_is_kept_as_it_was_written() {
        let written = json!({
            "lookup": "get_warranty",
            "table": "warranties",
            "key": { "serial_number": { "title": "Serial number", "description": "As printed on the box", "pattern": "^[A-Z0-9]{8,16}$" } },
            "returns": { "valid_until": "string", "product": { "type": "string", "words": { "X": "Xylophone" } }, "covered": "boolean" },
            "rename": { "validTo": "valid_until" },
            "mask": ["owner_email"],
        });
        let lookup: Lookup = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_string(&lookup).unwrap(), written.to_string());
        let tool = lookup.tool().unwrap();
        assert_eq!(tool.title, "Get warranty");
        assert_eq!(tool.description, "Returns valid_until, product and covered by serial number.");
        assert_eq!(lookup.attributes().collect::<Vec<_>>(), ["validTo", "product", "covered"]);
    }
}
