//! Reads a table by a lookup's definition: GetItem or Query, only the attributes that are returned, types checked on the
//! way out.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use catalogue::Lookup;
use catalogue::lookup::{CURSOR, Condition, Order, Return, ValueType};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};

use crate::arguments::Arguments;
use crate::catalogue::{Answer, Call, Trouble};
use crate::cursor::CursorError;
use crate::masking;

type Item = HashMap<String, AttributeValue>;

/// Longest text that goes out, in characters.
const MAX_TEXT: usize = 1_000;
/// A filter reads what it leaves out: a page ends after so many reads, and its cursor goes on.
const MAX_READS: usize = 8;
/// Items of one read under a filter.
const FILTERED_READ: usize = 100;

/// A lookup, ready to read.
pub struct Reader {
    lookup: Lookup,
    /// `#0, #1`: every name has a placeholder, for any of them may be a reserved word.
    projection: String,
    names: HashMap<String, String>,
    columns: Vec<Column>,
}

/// A property of an answer, and where it comes from.
struct Column {
    name: String,
    attribute: String,
    returned: Return,
    masked: bool,
}

/// A key attribute in a cursor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum KeyValue {
    S(String),
    N(String),
}

/// Where a list goes on: key attributes of the last item that was read.
type Position = BTreeMap<String, KeyValue>;

impl Reader {
    /// Makes a definition ready.
    pub fn new(lookup: Lookup) -> Reader {
        let columns: Vec<Column> = lookup
            .returns
            .iter()
            .map(|(name, returned)| {
                let attribute = lookup.attribute_of(name).to_owned();
                let masked = lookup.mask.contains(name) || lookup.mask.contains(&attribute);
                Column { name: name.clone(), attribute, returned: returned.clone(), masked }
            })
            .collect();
        let mut attributes: Vec<&str> = columns.iter().map(|column| column.attribute.as_str()).collect();
        if !lookup.filter.is_empty() {
            // A page may end between two reads: its cursor is made of these.
            let more = lookup.position.iter().chain(lookup.filter.keys()).map(String::as_str);
            attributes.extend(more.filter(|name| !lookup.returns.contains_key(lookup.name_of(name))));
        }
        let names = attributes.iter().enumerate().map(|(index, name)| (format!("#{index}"), (*name).to_owned()));
        let names: HashMap<String, String> = names.collect();
        let projection: Vec<String> = (0..attributes.len()).map(|index| format!("#{index}")).collect();
        Reader { projection: projection.join(", "), names, columns, lookup }
    }

    /// `table orders, index by_customer`.
    pub fn source_name(&self) -> String {
        match &self.lookup.index {
            Some(index) => format!("table {}, index {index}", self.lookup.table),
            None => format!("table {}", self.lookup.table),
        }
    }

    /// Answers a call.
    ///
    /// # Errors
    /// [`Trouble`] when there is no such item, when the table does not answer, or when a cursor is not valid.
    pub async fn read(&self, arguments: &Arguments, call: &Call) -> Result<Answer, Trouble> {
        if self.lookup.is_list() {
            return Box::pin(self.page(arguments, call)).await;
        }
        let item = if self.lookup.is_query() {
            Box::pin(self.first(arguments, call)).await?
        } else {
            self.item(arguments, call).await?
        };
        item.map(|item| self.row(&item)).ok_or_else(|| self.not_found(arguments))
    }

    async fn item(&self, arguments: &Arguments, call: &Call) -> Result<Option<Item>, Trouble> {
        let read = call
            .tables
            .dynamodb
            .get_item()
            .table_name(call.tables.table(&self.lookup.table))
            .set_key(Some(self.asked_key(arguments).collect()))
            .projection_expression(&self.projection)
            .set_expression_attribute_names(Some(self.names.clone()));
        let output = call.wait_for(|| self.waited_for(), Box::pin(read.send())).await;
        Ok(output.map_err(|error| self.unavailable(&error))?.item)
    }

    /// The key, or the part of it, that is asked for.
    fn asked_key(&self, arguments: &Arguments) -> impl Iterator<Item = (String, AttributeValue)> {
        self.lookup.key.keys().filter_map(|attribute| {
            Some((attribute.clone(), attribute_value(arguments.value(self.lookup.name_of(attribute))?)?))
        })
    }

    async fn first(&self, arguments: &Arguments, call: &Call) -> Result<Option<Item>, Trouble> {
        let (items, _) = self.query(arguments, call, None, 1).await?;
        Ok(items.into_iter().next())
    }

    /// A page of rows. It ends when it is full, when there is no more, or when a filter has left out very many.
    async fn page(&self, arguments: &Arguments, call: &Call) -> Result<Answer, Trouble> {
        let size = self.lookup.page.unwrap_or_default();
        let question = self.question(arguments, call);
        let mut next: Option<Item> = match arguments.get(CURSOR) {
            None => None,
            Some(cursor) => {
                let opened = call.tables.cursors.open::<Position>(cursor, &question, call.now);
                let position = call.wait_for(|| "state key".to_owned(), opened).await.map_err(cursor_trouble)?;
                Some(from_position(position).chain(self.asked_key(arguments)).collect())
            }
        };
        let filter: Vec<(&str, AttributeValue)> = self
            .lookup
            .filter
            .keys()
            .filter_map(|name| Some((name.as_str(), attribute_value(arguments.value(self.lookup.name_of(name))?)?)))
            .collect();
        let mut rows = Vec::new();
        for _ in 0..MAX_READS {
            // Without a filter every item is a row; without the key's attributes a page cannot end inside a read.
            let exact = filter.is_empty() || self.lookup.position.is_empty();
            let wanted = if exact { size - rows.len() } else { FILTERED_READ };
            let (items, last) = self.query(arguments, call, next.take(), wanted).await?;
            let count = items.len();
            next = last;
            for (index, item) in items.iter().enumerate() {
                if filter.iter().all(|(name, value)| item.get(*name) == Some(value)) {
                    rows.push(Value::Object(self.row(item)));
                }
                if rows.len() == size {
                    if index + 1 < count {
                        next = Some(self.key_of(item, arguments));
                    }
                    break;
                }
            }
            if rows.len() == size || next.is_none() {
                break;
            }
        }
        let mut answer = Answer::new();
        for attribute in self.lookup.key.keys() {
            let name = self.lookup.name_of(attribute);
            answer.extend(arguments.value(name).map(|value| (name.to_owned(), value.clone())));
        }
        answer.insert("count".to_owned(), json!(rows.len()));
        answer.insert(self.lookup.rows_name().to_owned(), Value::Array(rows));
        answer.insert("truncated".to_owned(), json!(next.is_some()));
        if let Some(next) = next {
            let position = self.to_position(next);
            let sealed = call.tables.cursors.seal(&position, &question, call.now);
            let cursor = call.wait_for(|| "state key".to_owned(), sealed).await.map_err(cursor_trouble)?;
            answer.insert(CURSOR.to_owned(), json!(cursor));
        }
        Ok(answer)
    }

    /// One read of a Query: its items, and where it goes on.
    async fn query(
        &self,
        arguments: &Arguments,
        call: &Call,
        from: Option<Item>,
        limit: usize,
    ) -> Result<(Vec<Item>, Option<Item>), Trouble> {
        let condition = self.condition(arguments);
        let mut names = self.names.clone();
        names.extend(condition.names);
        let read = call
            .tables
            .dynamodb
            .query()
            .table_name(call.tables.table(&self.lookup.table))
            .set_index_name(self.lookup.index.clone())
            .key_condition_expression(condition.expression)
            .set_expression_attribute_values(Some(condition.values))
            .projection_expression(&self.projection)
            .set_expression_attribute_names(Some(names))
            .scan_index_forward(self.lookup.order == Order::OldestFirst)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(from);
        let output = call.wait_for(|| self.waited_for(), Box::pin(read.send())).await;
        let output = output.map_err(|error| self.unavailable(&error))?;
        Ok((output.items.unwrap_or_default(), output.last_evaluated_key))
    }

    fn condition(&self, arguments: &Arguments) -> KeyCondition {
        let mut condition = KeyCondition::default();
        for attribute in self.lookup.key.keys() {
            condition.add(attribute, "=", arguments.value(self.lookup.name_of(attribute)));
        }
        for (attribute, sort) in &self.lookup.sort {
            let name = self.lookup.name_of(attribute);
            match sort.condition {
                Condition::Equals => condition.add(attribute, "=", arguments.value(name)),
                Condition::AtLeast => condition.add(attribute, ">=", arguments.value(name)),
                Condition::AtMost => condition.add(attribute, "<=", arguments.value(name)),
                Condition::BeginsWith => condition.add(attribute, "begins_with", arguments.value(name)),
                Condition::Between => {
                    let bound = |end: &str| arguments.value(&format!("{name}_{end}"));
                    match (bound("from"), bound("to")) {
                        (Some(from), Some(to)) => condition.add_between(attribute, from, to),
                        (from, to) => {
                            condition.add(attribute, ">=", from);
                            condition.add(attribute, "<=", to);
                        }
                    }
                }
            }
        }
        condition
    }

    fn row(&self, item: &Item) -> Answer {
        let mut row = Answer::new();
        for column in &self.columns {
            let value = item.get(&column.attribute).and_then(|value| self.value_of(column, value));
            let value = value.or_else(|| column.returned.default.clone());
            row.extend(value.map(|value| (column.name.clone(), value)));
        }
        row
    }

    fn value_of(&self, column: &Column, value: &AttributeValue) -> Option<Value> {
        let typed = typed(column.returned.value_type, value);
        if typed.is_none()
            && !matches!(value, AttributeValue::Null(_))
            && !matches!(value, AttributeValue::S(text) if text.is_empty())
        {
            let message = format!(
                "{}: the attribute {} of an item is not of the type that the lookup {} returns",
                self.source_name(),
                column.attribute,
                self.lookup.name
            );
            request_log::problem("mcp", "attribute_type", &message, std::time::SystemTime::now());
        }
        match typed? {
            Value::String(text) if column.masked => Some(Value::String(masking::text(&text))),
            Value::String(text) => Some(Value::String(column.returned.words.get(&text).cloned().unwrap_or(text))),
            typed => Some(typed),
        }
    }

    /// A cursor is good for the same client, server, tool, source and question.
    fn question(&self, arguments: &Arguments, call: &Call) -> String {
        let asked: Vec<(&str, &Value)> = arguments.all().filter(|(name, _)| *name != CURSOR).collect();
        let Lookup { name, table, index, .. } = &self.lookup;
        json!([call.principal.client_id, call.conduct.server, name, table, index, asked]).to_string()
    }

    /// The key of an item from what was read of it and what was asked for.
    fn key_of(&self, item: &Item, arguments: &Arguments) -> Item {
        let read = self.lookup.position.iter().filter_map(|name| Some((name.clone(), item.get(name)?.clone())));
        read.chain(self.asked_key(arguments)).collect()
    }

    /// What was asked for is not in a cursor: it comes again with it.
    fn to_position(&self, key: Item) -> Position {
        key.into_iter()
            .filter(|(name, _)| !self.lookup.key.contains_key(name))
            .filter_map(|(name, value)| match value {
                AttributeValue::S(text) => Some((name, KeyValue::S(text))),
                AttributeValue::N(number) => Some((name, KeyValue::N(number))),
                _ => None,
            })
            .collect()
    }

    fn not_found(&self, arguments: &Arguments) -> Trouble {
        let mut sentence = self.lookup.not_found.clone().unwrap_or_else(|| {
            let asked = self.lookup.key.iter().map(|(attribute, argument)| {
                format!("{} {{{}}}", argument.title.to_lowercase(), self.lookup.name_of(attribute))
            });
            format!("There is no entry for {}. Check it and call again.", asked.collect::<Vec<_>>().join(" and "))
        });
        for (name, value) in arguments.all() {
            let text = value.as_str().map_or_else(|| value.to_string(), clean);
            sentence = sentence.replace(&format!("{{{name}}}"), &text);
        }
        Trouble::new("record_not_found", sentence)
    }

    fn waited_for(&self) -> String {
        format!("table {}", self.lookup.table)
    }

    /// The model is told to try again; the log is told what the SDK knows.
    fn unavailable<E: ProvideErrorMetadata, R>(&self, error: &SdkError<E, R>) -> Trouble {
        let cause = match error {
            SdkError::ServiceError(service) => service.err().code().unwrap_or("an unknown error"),
            SdkError::TimeoutError(_) => "no answer in time",
            SdkError::DispatchFailure(_) => "no connection",
            _ => "an answer that cannot be read",
        };
        let table = &self.lookup.table;
        let message = format!("{table} table: {cause}");
        request_log::problem("mcp", "table_unavailable", &message, std::time::SystemTime::now());
        let sentence = format!("The {table} data cannot be read at the moment. Try again in a minute.");
        Trouble::new("table_unavailable", sentence)
    }
}

/// The expression of a Query (DynamoDB, KeyConditionExpression).
#[derive(Default)]
struct KeyCondition {
    expression: String,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl KeyCondition {
    /// Adds a comparison with an argument, if there is one.
    fn add(&mut self, attribute: &str, operator: &str, value: Option<&Value>) {
        let Some(value) = value.and_then(attribute_value) else { return };
        let (name, value) = (self.name(attribute), self.value(value));
        self.and(&match operator {
            "begins_with" => format!("begins_with({name}, {value})"),
            operator => format!("{name} {operator} {value}"),
        });
    }

    fn add_between(&mut self, attribute: &str, from: &Value, to: &Value) {
        let (Some(from), Some(to)) = (attribute_value(from), attribute_value(to)) else { return };
        let name = self.name(attribute);
        let (from, to) = (self.value(from), self.value(to));
        self.and(&format!("{name} BETWEEN {from} AND {to}"));
    }

    fn and(&mut self, comparison: &str) {
        if !self.expression.is_empty() {
            self.expression += " AND ";
        }
        self.expression += comparison;
    }

    fn name(&mut self, attribute: &str) -> String {
        let name = format!("#k{}", self.names.len());
        self.names.insert(name.clone(), attribute.to_owned());
        name
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let name = format!(":k{}", self.values.len());
        self.values.insert(name.clone(), value);
        name
    }
}

/// An argument as the table has it.
fn attribute_value(argument: &Value) -> Option<AttributeValue> {
    match argument {
        Value::String(text) => Some(AttributeValue::S(text.clone())),
        Value::Number(number) => Some(AttributeValue::N(number.to_string())),
        Value::Bool(whether) => Some(AttributeValue::Bool(*whether)),
        _ => None,
    }
}

/// An attribute as the answer has it; `None` when it is of another type, null or an empty text.
fn typed(value_type: ValueType, value: &AttributeValue) -> Option<Value> {
    match (value_type, value) {
        (ValueType::String, AttributeValue::S(text) | AttributeValue::N(text)) => {
            let text = clean(text);
            (!text.is_empty()).then_some(Value::String(text))
        }
        (ValueType::Integer, AttributeValue::N(number)) => number.parse::<i64>().ok().map(Value::from),
        (ValueType::Number, AttributeValue::N(number)) => match number.parse::<i64>() {
            Ok(whole) => Some(Value::from(whole)),
            Err(_) => number.parse().ok().and_then(Number::from_f64).map(Value::Number),
        },
        (ValueType::Boolean, AttributeValue::Bool(whether)) => Some(Value::Bool(*whether)),
        _ => None,
    }
}

fn from_position(position: Position) -> impl Iterator<Item = (String, AttributeValue)> {
    position.into_iter().map(|(name, value)| match value {
        KeyValue::S(text) => (name, AttributeValue::S(text)),
        KeyValue::N(number) => (name, AttributeValue::N(number)),
    })
}

/// What is told of a cursor that is not taken or not made.
pub(crate) fn cursor_trouble(error: CursorError) -> Trouble {
    match error {
        CursorError::Invalid => Trouble::new(
            "invalid_cursor",
            "The cursor is not valid here or has expired. Call again without it to start from the beginning.",
        ),
        CursorError::Unavailable => {
            Trouble::new("table_unavailable", "The list cannot be continued at the moment. Try again in a minute.")
        }
    }
}

/// Text of a table goes to a model: control, zero-width and direction-changing characters stay behind, and it is cut.
fn clean(text: &str) -> String {
    text.chars().filter(|&character| !is_hidden(character)).take(MAX_TEXT).collect()
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(definition: Value) -> Reader {
        Reader::new(serde_json::from_value(definition).unwrap())
    }

    #[test]
    fn an_item_of_any_shape_is_a_row() {
        let reader = reader(json!({
            "lookup": "get", "table": "t", "key": {},
            "returns": {
                "id": "string", "status": { "type": "string", "words": { "S": "Shipped" } }, "carrier": "string", "eta": "string",
                "points": { "type": "integer", "default": 0 }, "price": "number", "open": "boolean", "mail": "string",
            },
            "rename": { "orderNumber": "id" },
            "mask": ["mail"],
        }));
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let item = HashMap::from([
            ("orderNumber".to_owned(), AttributeValue::N("1001".to_owned())),
            ("status".to_owned(), text("S\u{202e}\u{0}")),
            ("carrier".to_owned(), AttributeValue::Null(true)),
            ("eta".to_owned(), text("")),
            ("points".to_owned(), text("many")),
            ("price".to_owned(), AttributeValue::N("12.50".to_owned())),
            ("open".to_owned(), text("true")),
            ("mail".to_owned(), text("jo@example.com")),
        ]);
        let row = json!({ "id": "1001", "status": "Shipped", "points": 0, "price": 12.5, "mail": "jo********" });
        assert_eq!(Value::Object(reader.row(&item)), row);
        assert_eq!(clean(&"é".repeat(2_000)).chars().count(), MAX_TEXT);
    }

    #[test]
    fn a_condition_is_made_of_the_arguments_that_are_there() {
        let between = reader(json!({
            "lookup": "list", "table": "t", "page": 5, "key": { "customer": { "title": "C", "description": "D" } },
            "sort": { "day": { "title": "D", "description": "D", "condition": "between" } }, "returns": { "a": "string" },
        }));
        let expression = |arguments: Value| {
            let Value::Object(arguments) = arguments else { panic!("an object") };
            let inputs = between.lookup.tool().unwrap().inputs;
            between.condition(&Arguments::check(arguments, &inputs).unwrap()).expression
        };
        assert_eq!(expression(json!({ "customer": "c" })), "#k0 = :k0");
        assert_eq!(expression(json!({ "customer": "c", "day_to": "2" })), "#k0 = :k0 AND #k1 <= :k1");
        let both = expression(json!({ "customer": "c", "day_from": "1", "day_to": "2" }));
        assert_eq!(both, "#k0 = :k0 AND #k1 BETWEEN :k1 AND :k2");
    }
}
