//! A mapping whose keys are known, and its values by the type that they should have.

use std::borrow::Cow;

use catalogue::lookup::ValueType;
use serde_json::Value;

use crate::names::{nearest, write_one_of};
use crate::problem::{Place, Problems, shown};
use crate::scalar::Scalar;
use crate::yaml::{Content, Entry, Node};

/// Keys of a mapping, each with an example of how it is written.
pub type Keys = [(&'static str, &'static str)];

/// A mapping that was read.
pub struct Fields<'a> {
    what: &'static str,
    keys: &'static Keys,
    place: Place,
    entries: &'a [Entry],
}

impl<'a> Fields<'a> {
    /// Reads a mapping and refuses keys that are not known. `what` is what it describes: "a server". `None` when it is
    /// no mapping.
    pub fn of(
        field: &Field<'a>,
        what: &'static str,
        keys: &'static Keys,
        problems: &mut Problems,
    ) -> Option<Fields<'a>> {
        let entries = field.map(problems)?;
        for entry in entries {
            if keys.iter().all(|(key, _)| *key != entry.key) {
                let problem = format!("{what} has no key \"{}\"", shown(&entry.key));
                let fix = write_one_of(&entry.key, keys.iter().map(|(key, _)| *key));
                problems.add(entry.place, "unknown_key", problem, fix);
            }
        }
        Some(Fields { what, keys, place: field.value.place, entries })
    }

    /// Where it begins.
    pub fn place(&self) -> Place {
        self.place
    }

    /// A key that may be missing.
    pub fn get(&self, key: &str) -> Option<Field<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Field { name: &entry.key, place: entry.place, value: &entry.value, example: self.example(key).into() })
    }

    /// A key that must be there.
    pub fn required(&self, key: &str, problems: &mut Problems) -> Option<Field<'a>> {
        let field = self.get(key);
        // A slip in the key has its problem already.
        let slip = |entry: &Entry| nearest(&entry.key, self.keys.iter().map(|(key, _)| *key)) == Some(key);
        if field.is_none() && !self.entries.iter().any(|entry| self.example(&entry.key).is_empty() && slip(entry)) {
            let what = format!("{} needs {key}", self.what);
            problems.add(self.place, "missing_key", what, format!("write {}", self.example(key)));
        }
        field
    }

    fn example(&self, key: &str) -> &'static str {
        self.keys.iter().find(|(name, _)| *name == key).map_or("", |(_, example)| example)
    }
}

/// A value and what it is called.
pub struct Field<'a> {
    /// Its key, or what an entry of a list is.
    pub name: &'a str,
    /// Where the key is.
    pub place: Place,
    /// The value.
    pub value: &'a Node,
    /// How it is written.
    pub example: Cow<'static, str>,
}

impl<'a> Field<'a> {
    /// A text. No control characters: neither a terminal nor a client should meet them.
    pub fn text(&self, rule: &TextRule, problems: &mut Problems) -> Option<&'a str> {
        let text = match self.value.scalar() {
            Some(Scalar::Text(text)) => text,
            other => {
                let written = match (&other, &self.value.content) {
                    (Some(Scalar::Number(_) | Scalar::Boolean(_)), Content::Scalar { text, .. }) => Some(text),
                    _ => None,
                };
                let fix = written.map(|text| format!("put it in quotes: write \"{}\"", shown(text)));
                self.wrong_type("a text", fix, problems);
                return None;
            }
        };
        let (name, place) = (self.name, self.value.place);
        let length = text.chars().count();
        if text.chars().all(is_blank) && !rule.may_be_empty {
            let fix = format!("write {}{}", self.example, if rule.optional { ", or leave the key out" } else { "" });
            problems.add(place, "empty_text", format!("{name} is empty"), fix);
        } else if length > rule.longest {
            let what = format!("{name} has {length} characters");
            problems.add(place, "text_too_long", what, format!("write at most {}", rule.longest));
        } else if rule.one_line && text.contains(is_line_break) {
            let fix = "write it in one line; to break a long one, write >- and indent the lines below";
            problems.add(place, "several_lines", format!("{name} has several lines"), fix);
        } else if text.contains(|character: char| character.is_control() && character != '\n') {
            let fix = "write spaces in place of tabs, and leave other control characters out";
            problems.add(place, "control_character", format!("{name} has a control character"), fix);
        } else {
            return Some(text);
        }
        None
    }

    /// True or false.
    pub fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        match self.value.scalar() {
            Some(Scalar::Boolean(value)) => Some(value),
            other => {
                let meant = match other {
                    Some(Scalar::Text(text)) if ["yes", "on", "y", "true"].contains(&text.to_lowercase().as_str()) => {
                        Some(true)
                    }
                    Some(Scalar::Text(text)) if ["no", "off", "n", "false"].contains(&text.to_lowercase().as_str()) => {
                        Some(false)
                    }
                    _ => None,
                };
                let fix = meant.map(|meant| format!("write {}: {meant}, without quotes", self.name));
                self.wrong_type("true or false", fix, problems);
                None
            }
        }
    }

    /// A whole number between two others.
    pub fn whole_number(&self, from: u32, to: u32, problems: &mut Problems) -> Option<u32> {
        let Some(Scalar::Number(number)) = self.value.scalar() else {
            self.wrong_type("a number", None, problems);
            return None;
        };
        let exact = number.as_ref().and_then(serde_json::Number::as_u64).and_then(|number| u32::try_from(number).ok());
        let exact = exact.filter(|number| (from..=to).contains(number));
        if exact.is_none() {
            let what = format!("{} is {}, not a whole number from {from} to {to}", self.name, self.written());
            let near = match number.as_ref().and_then(serde_json::Number::as_f64) {
                Some(number) if number > f64::from(to) => format!("{}: {to} or less", self.name),
                Some(number) if number < f64::from(from) => format!("{}: {from} or more", self.name),
                Some(number) => format!("{}: {}", self.name, number.floor()),
                None => format!("{}: {from}", self.name),
            };
            problems.add(self.value.place, "out_of_range", what, format!("write {near}"));
        }
        exact
    }

    /// A value of a type of attributes.
    pub fn value_of(&self, value_type: ValueType, problems: &mut Problems) -> Option<Value> {
        let right = match (value_type, self.value.scalar()) {
            (ValueType::String, _) => {
                return self.text(&TextRule { may_be_empty: true, ..DESCRIPTION }, problems).map(Value::from);
            }
            (ValueType::Boolean, Some(Scalar::Boolean(value))) => Some(Value::from(value)),
            (ValueType::Integer, Some(Scalar::Number(Some(number)))) => number.as_i64().map(Value::from),
            (ValueType::Number, Some(Scalar::Number(Some(number)))) => Some(Value::Number(number)),
            _ => None,
        };
        if right.is_none() {
            let (expected, example) = match value_type {
                ValueType::Integer => ("a whole number", "0"),
                ValueType::Number => ("a number", "0.5"),
                _ => ("true or false", "false"),
            };
            let fix = format!("write {}: {example}, or another type", self.name);
            self.wrong_type(expected, Some(fix), problems);
        }
        right
    }

    /// A list.
    pub fn list(&self, problems: &mut Problems) -> Option<&'a [Node]> {
        if let Content::List(list) = &self.value.content {
            return Some(list);
        }
        let fix = match self.value.scalar() {
            Some(Scalar::Text(text)) if !text.is_empty() => Some(format!("write {}: [{}]", self.name, shown(text))),
            _ => None,
        };
        self.wrong_type("a list", fix, problems);
        None
    }

    /// A list of texts that are all different.
    pub fn texts(&self, rule: &TextRule, problems: &mut Problems) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        for node in self.list(problems).unwrap_or_default() {
            let entry = Field { name: self.name, place: node.place, value: node, example: self.example.clone() };
            let Some(text) = entry.text(rule, problems) else { continue };
            if texts.iter().any(|other| other == text) {
                let what = format!("{} has \"{}\" twice", self.name, shown(text));
                problems.add(node.place, "duplicate_entry", what, "leave one of them out");
            } else {
                texts.push(text.to_owned());
            }
        }
        texts
    }

    /// A mapping.
    pub fn map(&self, problems: &mut Problems) -> Option<&'a [Entry]> {
        if let Content::Map(entries) = &self.value.content {
            return Some(entries);
        }
        self.wrong_type("a mapping", None, problems);
        None
    }

    /// A text of a closed set.
    pub fn choice<T: Copy>(&self, choices: &[(&'static str, T)], problems: &mut Problems) -> Option<T> {
        let Some(Scalar::Text(text)) = self.value.scalar() else {
            let names = choices.iter().map(|(name, _)| *name);
            self.wrong_type("a text", Some(format!("write {}", crate::names::one_of(names))), problems);
            return None;
        };
        let choice = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
        if choice.is_none() {
            let fix = write_one_of(text, choices.iter().map(|(name, _)| *name));
            problems.add(self.value.place, "unknown_word", format!("{} cannot be \"{}\"", self.name, shown(text)), fix);
        }
        choice
    }

    /// Adds the problem that the value is of another type, unless it has a problem already.
    pub fn wrong_type(&self, expected: &str, fix: Option<String>, problems: &mut Problems) {
        let kind = match (&self.value.content, self.value.scalar()) {
            (Content::Refused, _) => return,
            (Content::List(_), _) => "a list",
            (Content::Map(_), _) => "a mapping",
            (_, Some(Scalar::Number(_))) => "a number",
            (_, Some(Scalar::Boolean(_))) => "true or false",
            (_, Some(Scalar::Text(_))) => "a text",
            _ => {
                let what = format!("{} has no value", shown(self.name));
                return problems.add(self.place, "no_value", what, format!("write {}", self.example));
            }
        };
        let fix = fix.unwrap_or_else(|| format!("write {}", self.example));
        problems.add(self.value.place, "wrong_type", format!("{} is {kind}, not {expected}", self.name), fix);
    }

    /// The value as it is written, for a message.
    pub fn written(&self) -> String {
        match &self.value.content {
            Content::Scalar { text, .. } => shown(text),
            _ => String::new(),
        }
    }
}

/// How long a text may be, and whether in lines.
pub struct TextRule {
    /// In characters.
    pub longest: usize,
    pub one_line: bool,
    pub may_be_empty: bool,
    /// The key may be left out.
    pub optional: bool,
}

/// A label that people see.
pub const TITLE: TextRule = TextRule { longest: 80, one_line: true, may_be_empty: false, optional: true };
/// What Agentforce shows of a tool or an input: less than 1,000 characters in one line.
pub const DESCRIPTION: TextRule = TextRule { longest: 999, ..TITLE };
/// A name or a value.
pub const WORD: TextRule = TextRule { longest: 255, optional: false, ..TITLE };

/// White space, as JSON Schema's `\s` has it too.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}

fn is_line_break(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
