//! What a change of tools is for those who use them: whether an agent that knows the old contracts goes on working.
//!
//! Breaking is what makes an old valid input invalid, what makes an answer that the old output schema does not describe,
//! what an old token may no longer call, and a promise of the annotations that is taken back. Whether one pattern allows
//! all that another one did is not decided: another pattern is breaking.

use std::collections::BTreeSet;
use std::fmt;

use access_token::{Scope, Scopes};
use serde_json::{Map, Value};

use super::Contract;
use crate::lookup::Lookup;

/// One difference between the contracts of a server's tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Name of the tool.
    pub tool: String,
    /// Whether an agent that knows the old contract may fail.
    pub breaking: bool,
    /// What it is.
    pub what: What,
}

/// What a change is. Names are those of inputs and outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A new tool.
    ToolAdded,
    /// A tool that is gone.
    ToolRemoved,
    /// A new input.
    InputAdded {
        /// Its name.
        name: String,
        /// Whether it must be given.
        required: bool,
    },
    /// An input that is gone: calls that give it are refused.
    InputRemoved(String),
    /// An input that must be given now.
    InputRequired(String),
    /// An input that may be left out now.
    InputOptional(String),
    /// The type of an input.
    InputType {
        /// Its name.
        name: String,
        /// The type that it had.
        from: String,
        /// The type that it has.
        to: String,
    },
    /// An input has a pattern now, or another one.
    PatternChanged {
        /// Its name.
        name: String,
        /// The new pattern.
        to: String,
    },
    /// An input has no pattern any more.
    PatternRemoved(String),
    /// Values that an input no longer takes; none are named when it took every text.
    ValuesNarrowed {
        /// Its name.
        name: String,
        /// The values that are gone.
        gone: Vec<String>,
    },
    /// Values that an input takes now; none are named when it takes every text.
    ValuesWidened {
        /// Its name.
        name: String,
        /// The values that are new.
        new: Vec<String>,
    },
    /// A new output.
    OutputAdded(String),
    /// An output that is gone.
    OutputRemoved(String),
    /// An output that is always there now.
    OutputRequired(String),
    /// An output that may be missing now.
    OutputOptional(String),
    /// The type of an output.
    OutputType {
        /// Its name.
        name: String,
        /// The type that it had.
        from: String,
        /// The type that it has.
        to: String,
    },
    /// Another scope.
    Scope {
        /// The scope that it needed.
        from: String,
        /// The scope that it needs.
        to: String,
    },
    /// Another annotation.
    Annotation {
        /// The promise, as it reads when it is given: `only reads`.
        promise: &'static str,
        /// Whether it is given now.
        given: bool,
    },
    /// A text for people and models: `title`, `description`, `title of the input order_id`.
    Text(String),
    /// The same inputs, outputs or values in another order.
    Order,
    /// A keyword of JSON Schema that is none of the above, in the schema that is named.
    Schema(String),
}

/// What has changed from `old` to `new`, tool by tool: the tools of `old` in their order, then the new ones. Two lists
/// whose tools are equal have no changes, whatever their order.
pub fn changes(old: &[Contract], new: &[Contract]) -> Vec<Change> {
    let of = |contracts: &[Contract], name: &str| contracts.iter().find(|contract| contract.name == name).cloned();
    let mut found = Vec::new();
    for before in old {
        match of(new, &before.name) {
            Some(after) => Differ::new(&before.name, &mut found).tool(before, &after),
            None => Differ::new(&before.name, &mut found).breaking(What::ToolRemoved),
        }
    }
    for after in new.iter().filter(|after| of(old, &after.name).is_none()) {
        Differ::new(&after.name, &mut found).additive(What::ToolAdded);
    }
    found
}

/// What has changed in the rows that a lookup answers. Its contract says no more of them than that they are objects, and
/// still an agent may rely on what they hold.
pub fn row_changes(old: &Lookup, new: &Lookup) -> Vec<Change> {
    let mut found = Vec::new();
    let mut differ = Differ::new(&new.name, &mut found);
    if !old.is_list() || !new.is_list() || old.rows_name() != new.rows_name() {
        return found;
    }
    let rows = new.rows_name();
    for (name, before) in &old.returns {
        let column = format!("{rows}.{name}");
        match new.returns.get(name) {
            None => differ.breaking(What::OutputRemoved(column)),
            Some(after) if after.value_type == before.value_type => {}
            Some(after) => {
                let (from, to) = (before.value_type.output_type().name(), after.value_type.output_type().name());
                let fits = (from, to) == ("number", "integer");
                differ.push(!fits, What::OutputType { name: column, from: from.to_owned(), to: to.to_owned() });
            }
        }
    }
    for name in new.returns.keys().filter(|name| !old.returns.contains_key(*name)) {
        differ.additive(What::OutputAdded(format!("{rows}.{name}")));
    }
    found
}

struct Differ<'a> {
    tool: &'a str,
    found: &'a mut Vec<Change>,
}

impl<'a> Differ<'a> {
    fn new(tool: &'a str, found: &'a mut Vec<Change>) -> Differ<'a> {
        Differ { tool, found }
    }

    fn push(&mut self, breaking: bool, what: What) {
        self.found.push(Change { tool: self.tool.to_owned(), breaking, what });
    }

    fn breaking(&mut self, what: What) {
        self.push(true, what);
    }

    fn additive(&mut self, what: What) {
        self.push(false, what);
    }

    fn tool(&mut self, old: &Contract, new: &Contract) {
        let before = self.found.len();
        self.inputs(&old.input_schema, &new.input_schema);
        self.outputs(&old.output_schema, &new.output_schema);
        if old.scope != new.scope {
            let what = What::Scope { from: old.scope.clone(), to: new.scope.clone() };
            self.push(!permits(&old.scope, &new.scope), what);
        }
        for (promise, gave, gives) in [
            ("only reads", old.read_only, new.read_only),
            ("destroys nothing", !old.destructive, !new.destructive),
            ("may be repeated", old.idempotent, new.idempotent),
            ("stays in its own tables", !old.open_world, !new.open_world),
        ] {
            if gave != gives {
                self.push(gave, What::Annotation { promise, given: gives });
            }
        }
        for (text, old, new) in [("title", &old.title, &new.title), ("description", &old.description, &new.description)]
        {
            if old != new {
                self.additive(What::Text(text.to_owned()));
            }
        }
        // What is compared without its order may still read differently.
        if self.found.len() == before && old.hash() != new.hash() {
            self.additive(What::Order);
        }
    }

    fn inputs(&mut self, old: &Map<String, Value>, new: &Map<String, Value>) {
        let (olds, news) = (properties(old), properties(new));
        for (name, before) in olds {
            let Some(after) = news.iter().find(|(other, _)| *other == name).map(|(_, schema)| *schema) else {
                self.breaking(What::InputRemoved(name.clone()));
                continue;
            };
            match (is_required(old, name), is_required(new, name)) {
                (false, true) => self.breaking(What::InputRequired(name.clone())),
                (true, false) => self.additive(What::InputOptional(name.clone())),
                _ => {}
            }
            self.input(name, before, after);
        }
        for (name, _) in properties(new) {
            if !has(old, name) {
                let required = is_required(new, name);
                self.push(required, What::InputAdded { name: name.clone(), required });
            }
        }
        self.rest("input", old, new, &["properties", "required"]);
    }

    fn input(&mut self, name: &str, old: &Value, new: &Value) {
        let (from, to) = (type_of(old), type_of(new));
        if from == to {
            self.pattern(name, old, new);
            self.values(name, old, new);
        } else {
            // Every integer is a number.
            let wider = (from.as_str(), to.as_str()) == ("integer", "number");
            self.push(!wider, What::InputType { name: name.to_owned(), from, to });
        }
        self.texts("input", name, old, new);
        let (old, new) = (object(old), object(new));
        self.rest(&format!("input {name}"), &old, &new, &["type", "pattern", "enum", "title", "description"]);
    }

    fn pattern(&mut self, name: &str, old: &Value, new: &Value) {
        match (old.get("pattern"), new.get("pattern")) {
            (old, new) if old == new => {}
            (_, None) => self.additive(What::PatternRemoved(name.to_owned())),
            (_, Some(to)) => {
                let to = to.as_str().unwrap_or_default().to_owned();
                self.breaking(What::PatternChanged { name: name.to_owned(), to });
            }
        }
    }

    fn values(&mut self, name: &str, old: &Value, new: &Value) {
        let name = name.to_owned();
        match (values(old), values(new)) {
            (None, None) => {}
            (None, Some(_)) => self.breaking(What::ValuesNarrowed { name, gone: Vec::new() }),
            (Some(_), None) => self.additive(What::ValuesWidened { name, new: Vec::new() }),
            (Some(old), Some(new)) => {
                let missing_from = |there: &[String], here: &[String]| -> Vec<String> {
                    here.iter().filter(|value| !there.contains(value)).cloned().collect()
                };
                let (gone, added) = (missing_from(&new, &old), missing_from(&old, &new));
                if !gone.is_empty() {
                    self.breaking(What::ValuesNarrowed { name: name.clone(), gone });
                }
                if !added.is_empty() {
                    self.additive(What::ValuesWidened { name, new: added });
                }
            }
        }
    }

    fn outputs(&mut self, old: &Map<String, Value>, new: &Map<String, Value>) {
        let news = properties(new);
        for (name, before) in properties(old) {
            let Some(after) = news.iter().find(|(other, _)| *other == name).map(|(_, schema)| *schema) else {
                self.breaking(What::OutputRemoved(name.clone()));
                continue;
            };
            match (is_required(old, name), is_required(new, name)) {
                (false, true) => self.additive(What::OutputRequired(name.clone())),
                (true, false) => self.breaking(What::OutputOptional(name.clone())),
                _ => {}
            }
            let (from, to) = (type_of(before), type_of(after));
            if from != to {
                let fits = (from.as_str(), to.as_str()) == ("number", "integer");
                self.push(!fits, What::OutputType { name: name.clone(), from, to });
            }
            self.texts("output", name, before, after);
            let used: &[&str] = if type_of(before) == type_of(after) {
                &["type", "title", "description"]
            } else {
                &["type", "title", "description", "items"]
            };
            self.rest(&format!("output {name}"), &object(before), &object(after), used);
        }
        // Answers of a closed schema have the properties that it names.
        let closed = old.get("additionalProperties") == Some(&Value::Bool(false));
        for (name, _) in news {
            if !has(old, name) {
                self.push(closed, What::OutputAdded(name.clone()));
            }
        }
        self.rest("output", old, new, &["properties", "required"]);
    }

    fn texts(&mut self, kind: &str, name: &str, old: &Value, new: &Value) {
        for text in ["title", "description"] {
            if old.get(text) != new.get(text) {
                self.additive(What::Text(format!("{text} of the {kind} {name}")));
            }
        }
    }

    /// Keywords that nobody has looked at: a difference may break anything.
    fn rest(&mut self, schema: &str, old: &Map<String, Value>, new: &Map<String, Value>, seen: &[&str]) {
        let rest = |schema: &Map<String, Value>| -> Map<String, Value> {
            let unseen = schema.iter().filter(|(keyword, _)| !seen.contains(&keyword.as_str()));
            unseen.map(|(keyword, value)| (keyword.clone(), value.clone())).collect()
        };
        if rest(old) != rest(new) || seen.contains(&"required") && undescribed(old) != undescribed(new) {
            self.breaking(What::Schema(schema.to_owned()));
        }
    }
}

impl Change {
    /// The change in words, without the name of the tool.
    pub fn sentence(&self) -> String {
        self.what.to_string()
    }

    /// What the admin does in Agentforce after it, which keeps the list of tools and each action as they were when they
    /// were read.
    pub fn resync(&self) -> String {
        let tool = &self.tool;
        let tab = "Setup → Agentforce Registry → (the server) → Tools";
        match self.what {
            What::ToolAdded => {
                format!("{tab} → Edit Tools: choose {tool}, then add its action to the subagent in Agentforce Builder")
            }
            What::ToolRemoved => format!(
                "remove the action {tool} from every subagent and from the Asset Library, then {tab} → Edit Tools: take it out"
            ),
            _ => format!(
                "{tab}: sync what is Out of Sync; then, in Agentforce Builder, remove the action {tool}, add it again, Save, \
                 Commit Version, Activate"
            ),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::ToolAdded => write!(to, "the tool is new"),
            What::ToolRemoved => write!(to, "the tool is gone"),
            What::InputAdded { name, required: true } => write!(to, "the input {name} is new and must be given"),
            What::InputAdded { name, required: false } => write!(to, "the input {name} is new and may be given"),
            What::InputRemoved(name) => write!(to, "the input {name} is gone: calls that give it are refused"),
            What::InputRequired(name) => write!(to, "the input {name} must be given now"),
            What::InputOptional(name) => write!(to, "the input {name} may be left out now"),
            What::InputType { name, from, to: now } => {
                write!(to, "the type of the input {name} was {from} and is {now}")
            }
            What::PatternChanged { name, to: pattern } => write!(to, "the input {name} must match {pattern} now"),
            What::PatternRemoved(name) => write!(to, "the input {name} need not match a pattern any more"),
            What::ValuesNarrowed { name, gone } if gone.is_empty() => {
                write!(to, "the input {name} takes only listed values now")
            }
            What::ValuesNarrowed { name, gone } => write!(to, "the input {name} no longer takes {}", gone.join(", ")),
            What::ValuesWidened { name, new } if new.is_empty() => {
                write!(to, "the input {name} takes every text now")
            }
            What::ValuesWidened { name, new } => write!(to, "the input {name} also takes {}", new.join(", ")),
            What::OutputAdded(name) => write!(to, "the output {name} is new"),
            What::OutputRemoved(name) => write!(to, "the output {name} is gone"),
            What::OutputRequired(name) => write!(to, "the output {name} is always there now"),
            What::OutputOptional(name) => write!(to, "the output {name} may be missing now"),
            What::OutputType { name, from, to: now } => {
                write!(to, "the type of the output {name} was {from} and is {now}")
            }
            What::Scope { from, to: now } => write!(to, "the tool needed the scope {from} and needs {now}"),
            What::Annotation { promise, given: true } => write!(to, "the tool now promises that it {promise}"),
            What::Annotation { promise, given: false } => write!(to, "the tool no longer promises that it {promise}"),
            What::Text(text) => write!(to, "the {text} reads differently"),
            What::Order => write!(to, "inputs, outputs or values are in another order"),
            What::Schema(schema) => write!(to, "the schema of the {schema} has changed in another way"),
        }
    }
}

/// Whether every token that may call what needs `old` may call what needs `new`.
fn permits(old: &str, new: &str) -> bool {
    let one = |text| Scopes::parse(text).ok();
    let needed: Option<Vec<Scope>> = one(new).map(|scopes| scopes.iter().collect());
    match (one(old), needed) {
        (Some(has), Some(needed)) => needed.into_iter().all(|scope| has.permit(scope)),
        _ => false,
    }
}

fn properties(schema: &Map<String, Value>) -> Vec<(&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).map(|all| all.iter().collect()).unwrap_or_default()
}

fn has(schema: &Map<String, Value>, name: &str) -> bool {
    schema.get("properties").is_some_and(|properties| properties.get(name).is_some())
}

fn is_required(schema: &Map<String, Value>, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|required| required.iter().any(|required| required.as_str() == Some(name)))
}

/// What must be there without being described, as schemas of others may have it.
fn undescribed(schema: &Map<String, Value>) -> BTreeSet<&str> {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    required.filter_map(Value::as_str).filter(|name| !has(schema, name)).collect()
}

fn type_of(schema: &Value) -> String {
    match schema.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(several) => several.to_string(),
        None => "any".to_owned(),
    }
}

fn values(schema: &Value) -> Option<Vec<String>> {
    let values = schema.get("enum")?.as_array()?;
    Some(values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect())
}

fn object(schema: &Value) -> Map<String, Value> {
    schema.as_object().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipped::shipped;

    fn shipped_contracts() -> Vec<Contract> {
        shipped().iter().map(|lookup| Contract::of(&lookup.tool().unwrap())).collect()
    }

    fn edited(edit: impl FnOnce(&mut Vec<Contract>)) -> Vec<Contract> {
        let mut contracts = shipped_contracts();
        edit(&mut contracts);
        contracts
    }

    /// Change, whether it is breaking, and the sentence, of an edit of the shipped tools.
    #[test]
    fn a_change_is_told_in_words() {
        let with = |schema: &Map<String, Value>, pointer: &str, value: Value| -> Map<String, Value> {
            let mut schema = Value::Object(schema.clone());
            *schema.pointer_mut(pointer).unwrap() = value;
            object(&schema)
        };
        type Edit = Box<dyn Fn(&mut Vec<Contract>)>;
        let input = |pointer: &'static str, value: Value| -> Edit {
            Box::new(move |all| all[2].input_schema = with(&all[2].input_schema, pointer, value.clone()))
        };
        let output = |pointer: &'static str, value: Value| -> Edit {
            Box::new(move |all| all[1].output_schema = with(&all[1].output_schema, pointer, value.clone()))
        };
        let cases: Vec<(Edit, bool, &str)> = vec![
            (Box::new(|all| drop(all.remove(0))), true, "the tool is gone"),
            (input("/required", "".into()), false, "the input customer_id may be left out now"),
            (
                input("/required", serde_json::json!(["customer_id", "status"])),
                true,
                "the input status must be given now",
            ),
            (
                input("/properties/status/enum", serde_json::json!(["PENDING", "LOST"])),
                true,
                "the input status no longer takes PROCESSING, SHIPPED, OUT_FOR_DELIVERY, DELIVERED, DELAYED, CANCELLED, \
                 RETURNED",
            ),
            (input("/properties/customer_id/pattern", "^.$".into()), true, "the input customer_id must match ^.$ now"),
            (
                input("/properties/status/type", "integer".into()),
                true,
                "the type of the input status was string and is integer",
            ),
            (
                input("/properties/status/title", "State".into()),
                false,
                "the title of the input status reads differently",
            ),
            (input("/additionalProperties", true.into()), true, "the schema of the input has changed in another way"),
            (
                output("/properties/points/type", "number".into()),
                true,
                "the type of the output points was integer and is number",
            ),
            (output("/properties", serde_json::json!({})), true, "the output customer_id is gone"),
            (output("/required", "".into()), true, "the output customer_id may be missing now"),
            (
                Box::new(|all| all[0].scope = "mcp.write".to_owned()),
                true,
                "the tool needed the scope mcp.read and needs mcp.write",
            ),
            (Box::new(|all| all[0].read_only = false), true, "the tool no longer promises that it only reads"),
            (Box::new(|all| all[0].description.clear()), false, "the description reads differently"),
            (
                Box::new(|all| all[0].output_schema = all[0].output_schema.clone().into_iter().rev().collect()),
                false,
                "inputs, outputs or values are in another order",
            ),
        ];
        for (edit, breaking, sentence) in cases {
            let found = changes(&shipped_contracts(), &edited(edit));
            let first = found.first().unwrap_or_else(|| panic!("no change: {sentence}"));
            assert_eq!((first.sentence().as_str(), first.breaking), (sentence, breaking));
            assert!(first.resync().contains(&first.tool), "{sentence}");
        }
        assert_eq!(changes(&shipped_contracts(), &shipped_contracts()), []);
        assert_eq!(changes(&shipped_contracts(), &edited(|all| all.reverse())), []);
    }

    #[test]
    fn a_column_that_rows_lose_is_breaking() {
        let [_, _, old] = shipped();
        let mut new = old.clone();
        new.returns.shift_remove("carrier");
        new.returns["eta"].value_type = crate::lookup::ValueType::Integer;
        new.returns.insert("note".to_owned(), crate::lookup::Return::default());
        let found = row_changes(&old, &new);
        let found: Vec<(bool, String)> = found.iter().map(|change| (change.breaking, change.sentence())).collect();
        assert_eq!(
            found,
            [
                (true, "the output orders.carrier is gone".to_owned()),
                (true, "the type of the output orders.eta was string and is integer".to_owned()),
                (false, "the output orders.note is new".to_owned()),
            ]
        );
        assert_eq!(row_changes(&old, &old), []);
    }

    #[test]
    fn another_scope_is_breaking_when_a_token_of_before_is_refused() {
        let scopes = |scope: &str| edited(|all| all[0].scope = scope.to_owned());
        let is_breaking = |old: &str, new: &str| changes(&scopes(old), &scopes(new))[0].breaking;
        assert!(is_breaking("mcp.read", "mcp.write") && is_breaking("mcp.read", "unknown"));
        assert!(!is_breaking("mcp.write", "mcp.read"));
    }
}
