//! Whether the tables of the place can answer what a lookup asks, without a scan.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::{
    IndexStatus, KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType, TableDescription,
};
use catalogue::Lookup;
use catalogue::lookup::ValueType;
use registry::ToolDefinition;
use server_file::{Document, Problem};

use crate::output::Failure;
use crate::place::{Names, Open};

/// What DescribeTable says of a table, as far as lookups need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Partition key, and sort key if there is one.
    pub key: Vec<String>,
    /// Types of the key attributes of table and indexes: `S`, `N`, `B`.
    pub types: HashMap<String, String>,
    /// Indexes, by name.
    pub indexes: BTreeMap<String, Index>,
}

/// An index of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Partition key, and sort key if there is one.
    pub key: Vec<String>,
    /// The attributes beside the keys that can be read; all of them when that is `None`.
    pub projected: Option<Vec<String>>,
    /// It can be asked.
    pub active: bool,
}

/// What is wrong with a lookup, and where: a key of the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `table`, `index`, `returns.product`.
    pub part: String,
    /// Stable code.
    pub code: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to write, after that word.
    pub fix: String,
}

/// Checks every lookup of a document against the tables of a place, and writes into each where its cursors come from.
///
/// # Errors
/// DynamoDB does not answer. What is wrong with the file comes back as problems, in order of place.
pub async fn resolve(open: &Open, document: &Document) -> Result<Result<Vec<registry::Server>, Vec<Problem>>, Failure> {
    let mut servers = document.servers().to_vec();
    let (mut shapes, mut problems) = (HashMap::new(), Vec::new());
    for server in &mut servers {
        let name = server.name.clone();
        for tool in &mut server.tools {
            let ToolDefinition::Lookup(lookup) = tool else { continue };
            let table = table_name(&open.names, &lookup.table).to_owned();
            let faults = if let Some(fault) = own_table(&open.names, &table) {
                vec![fault]
            } else {
                if !shapes.contains_key(&table) {
                    shapes.insert(table.clone(), describe(open, &table).await?);
                }
                match &shapes[&table] {
                    None => vec![no_table(lookup, &table)],
                    Some(shape) => check(lookup, shape),
                }
            };
            if let (true, Some(Some(shape))) = (faults.is_empty(), shapes.get(&table)) {
                lookup.position = position(lookup, shape);
            }
            problems.extend(faults.into_iter().map(|fault| Problem {
                place: document.locate(&name, Some(&lookup.name), Some(&fault.part)),
                code: fault.code,
                what: format!("{}: {}", lookup.name, fault.what),
                fix: format!("write {}", fault.fix),
            }));
        }
    }
    problems.sort_by_key(|problem| problem.place);
    Ok(if problems.is_empty() { Ok(servers) } else { Err(problems) })
}

/// What a table of a definition is called in a place.
pub fn table_name<'a>(names: &'a Names, table: &'a str) -> &'a str {
    match table {
        "orders" => &names.orders_table,
        "loyalty" => &names.loyalty_table,
        table => table,
    }
}

/// The shape of a table; `None` when there is no such table.
///
/// # Errors
/// DynamoDB does not answer, or refuses.
pub async fn describe(open: &Open, table: &str) -> Result<Option<Shape>, Failure> {
    let described = Box::pin(open.dynamodb.describe_table().table_name(table).send()).await;
    match described.map_err(aws_sdk_dynamodb::Error::from) {
        Ok(output) => Ok(output.table.map(Shape::from)),
        Err(aws_sdk_dynamodb::Error::ResourceNotFoundException(_)) => Ok(None),
        Err(error) => match Failure::from(error) {
            Failure::Message(message) => Err(Failure::Message(format!("table {table}: {message}"))),
            other => Err(other),
        },
    }
}

impl From<TableDescription> for Shape {
    fn from(table: TableDescription) -> Shape {
        let types = table.attribute_definitions.unwrap_or_default().into_iter().map(|attribute| {
            let scalar: ScalarAttributeType = attribute.attribute_type;
            (attribute.attribute_name, scalar.as_str().to_owned())
        });
        let mut indexes = BTreeMap::new();
        for index in table.global_secondary_indexes.unwrap_or_default() {
            let Some(name) = index.index_name else { continue };
            let active = index.index_status.is_none_or(|status| status == IndexStatus::Active);
            let key = key_of(index.key_schema.unwrap_or_default());
            indexes.insert(name, Index { key, projected: projected(index.projection), active });
        }
        for index in table.local_secondary_indexes.unwrap_or_default() {
            let Some(name) = index.index_name else { continue };
            // What a local index does not have, DynamoDB reads from the table.
            let key = key_of(index.key_schema.unwrap_or_default());
            indexes.insert(name, Index { key, projected: None, active: true });
        }
        Shape { key: key_of(table.key_schema.unwrap_or_default()), types: types.collect(), indexes }
    }
}

fn key_of(schema: Vec<KeySchemaElement>) -> Vec<String> {
    let (hash, range): (Vec<_>, Vec<_>) = schema.into_iter().partition(|element| element.key_type == KeyType::Hash);
    hash.into_iter().chain(range).map(|element| element.attribute_name).collect()
}

fn projected(projection: Option<Projection>) -> Option<Vec<String>> {
    let projection = projection?;
    match projection.projection_type? {
        ProjectionType::KeysOnly => Some(Vec::new()),
        ProjectionType::Include => Some(projection.non_key_attributes.unwrap_or_default()),
        _ => None,
    }
}

/// The key attributes of table and index, each once: what a cursor is made of.
pub fn position(lookup: &Lookup, shape: &Shape) -> Vec<String> {
    let index = lookup.index.as_ref().and_then(|index| shape.indexes.get(index));
    let mut position = shape.key.clone();
    for name in index.iter().flat_map(|index| &index.key) {
        if !position.contains(name) {
            position.push(name.clone());
        }
    }
    position
}

/// What the operator configures and what the functions remember is for no tool.
fn own_table(names: &Names, table: &str) -> Option<Fault> {
    (table == names.config_table || table == names.state_table).then(|| Fault {
        part: "table".to_owned(),
        code: "reserved_table",
        what: format!("the table {table} holds Northstar's own clients and tokens"),
        fix: "the name of a table of your own data".to_owned(),
    })
}

fn no_table(lookup: &Lookup, table: &str) -> Fault {
    let called = if table == lookup.table { String::new() } else { format!(", which is {table} here") };
    Fault {
        part: "table".to_owned(),
        code: "no_such_table",
        what: format!("there is no table {}{called} in this account and region", lookup.table),
        fix: "the name of a table that is there, or make it first".to_owned(),
    }
}

/// What keeps a lookup from being answered by a table of this shape.
pub fn check(lookup: &Lookup, shape: &Shape) -> Vec<Fault> {
    let target = match &lookup.index {
        None => Target { name: format!("the table {}", lookup.table), key: &shape.key, projected: None },
        Some(name) => match shape.indexes.get(name) {
            None => return vec![no_index(lookup, name, shape)],
            Some(index) if !index.active => return vec![index_not_ready(name)],
            Some(index) => {
                Target { name: format!("the index {name}"), key: &index.key, projected: index.projected.as_ref() }
            }
        },
    };
    let mut faults = Vec::new();
    key_faults(lookup, shape, &target, &mut faults);
    type_faults(lookup, shape, &mut faults);
    projection_faults(lookup, shape, &target, &mut faults);
    faults
}

/// The table or the index that is asked.
struct Target<'a> {
    name: String,
    key: &'a [String],
    projected: Option<&'a Vec<String>>,
}

fn no_index(lookup: &Lookup, name: &str, shape: &Shape) -> Fault {
    let names: Vec<&str> = shape.indexes.keys().map(String::as_str).collect();
    let fix = match names.is_empty() {
        true => "no `index`: the table has none".to_owned(),
        false => format!("`index:` with one of {}", names.join(", ")),
    };
    let what = format!("the table {} has no index {name}", lookup.table);
    Fault { part: "index".to_owned(), code: "no_such_index", what, fix }
}

fn index_not_ready(name: &str) -> Fault {
    Fault {
        part: "index".to_owned(),
        code: "index_not_ready",
        what: format!("the index {name} is still being built"),
        fix: "the same again when DynamoDB says that it is ACTIVE".to_owned(),
    }
}

fn key_faults(lookup: &Lookup, shape: &Shape, target: &Target, faults: &mut Vec<Fault>) {
    let Some((partition, sort)) = target.key.split_first() else { return };
    let sort = sort.first();
    let asked: Vec<&str> = lookup.key.keys().map(String::as_str).collect();
    if !asked.contains(&partition.as_str()) {
        faults.push(Fault {
            part: "key".to_owned(),
            code: "needs_a_scan",
            what: format!(
                "{} is found by {}, not by {}: this would read the whole table",
                target.name,
                target.key.join(" and "),
                asked.join(" and ")
            ),
            fix: without_a_scan(&asked, partition, shape),
        });
        return;
    }
    for attribute in asked.iter().filter(|name| !target.key.iter().any(|key| key == *name)) {
        let what = format!("{attribute} is no part of the key of {}", target.name);
        let fix = match index_for(&asked, shape) {
            Some(index) => format!("`index: {index}`, whose key it belongs to"),
            None if lookup.is_list() => format!("{attribute} under `filter` instead of `key`"),
            None => format!("`key` without {attribute}, or make an index with the key {}", asked.join(" and ")),
        };
        faults.push(Fault { part: format!("key.{attribute}"), code: "not_a_key", what, fix });
    }
    for attribute in lookup.sort.keys() {
        let fault = match sort {
            Some(sort) if sort == attribute && asked.contains(&attribute.as_str()) => {
                Some((format!("{attribute} is under `key` and under `sort`"), format!("{attribute} under one of them")))
            }
            Some(sort) if sort == attribute => None,
            Some(sort) => {
                Some((format!("the sort key of {} is {sort}, not {attribute}", target.name), format!("{sort} here")))
            }
            None => Some((format!("{} has no sort key", target.name), "no `sort`".to_owned())),
        };
        faults.extend(fault.map(|(what, fix)| Fault {
            part: format!("sort.{attribute}"),
            code: "not_the_sort_key",
            what,
            fix,
        }));
    }
}

/// What to write, or to make, so that these attributes find items.
fn without_a_scan(asked: &[&str], partition: &str, shape: &Shape) -> String {
    if let Some(index) = index_for(asked, shape) {
        return format!("`index: {index}`, which is found by {}", shape.indexes[&index].key.join(" and "));
    }
    if shape.key.first().is_some_and(|key| asked.contains(&key.as_str())) {
        return "no `index`: the table itself is found by this key".to_owned();
    }
    let first = asked.first().copied().unwrap_or(partition);
    format!("{partition} under `key`, or make a global secondary index with the partition key {first} and name it here")
}

/// An index that these attributes find items of: the whole key if there is one such, else the partition key.
fn index_for(asked: &[&str], shape: &Shape) -> Option<String> {
    let fits = |index: &Index| {
        index.active
            && index.key.first().is_some_and(|partition| asked.contains(&partition.as_str()))
            && asked.iter().all(|name| index.key.iter().any(|key| key == name))
    };
    let mut fitting: Vec<_> = shape.indexes.iter().filter(|(_, index)| fits(index)).collect();
    fitting.sort_by_key(|(_, index)| index.key.len().abs_diff(asked.len()));
    fitting.first().map(|(name, _)| (*name).clone())
}

fn type_faults(lookup: &Lookup, shape: &Shape, faults: &mut Vec<Fault>) {
    let arguments = lookup.key.iter().map(|(name, argument)| ("key", name, argument));
    let arguments = arguments.chain(lookup.sort.iter().map(|(name, sort)| ("sort", name, &sort.argument)));
    for (part, name, argument) in arguments.chain(lookup.filter.iter().map(|(name, given)| ("filter", name, given))) {
        let Some(stored) = shape.types.get(name) else { continue };
        let fits = match argument.value_type {
            ValueType::String => stored == "S",
            ValueType::Integer | ValueType::Number => stored == "N",
            ValueType::Boolean => false,
        };
        if !fits {
            faults.push(wrong_type(&format!("{part}.{name}"), name, stored, "takes", argument.value_type));
        }
    }
    for (name, returned) in &lookup.returns {
        let attribute = lookup.attribute_of(name);
        let Some(stored) = shape.types.get(attribute) else { continue };
        let fits = match returned.value_type {
            // A number goes out as text too.
            ValueType::String => stored != "B",
            ValueType::Integer | ValueType::Number => stored == "N",
            ValueType::Boolean => false,
        };
        if !fits {
            faults.push(wrong_type(&format!("returns.{name}"), attribute, stored, "returns", returned.value_type));
        }
    }
}

fn wrong_type(part: &str, attribute: &str, stored: &str, verb: &str, declared: ValueType) -> Fault {
    let (is, fix) = match stored {
        "N" => ("a number", "`type: number`, or `type: integer` when it is whole".to_owned()),
        "S" => ("a text", "`type: string`".to_owned()),
        _ => ("binary", format!("it without {attribute}: a tool neither takes nor returns binary values")),
    };
    let declared = match declared {
        ValueType::String => "a string",
        ValueType::Integer => "an integer",
        ValueType::Number => "a number",
        ValueType::Boolean => "a boolean",
    };
    let what = format!("{attribute} is {is} in the table, and the lookup {verb} {declared}");
    Fault { part: part.to_owned(), code: "wrong_type", what, fix }
}

fn projection_faults(lookup: &Lookup, shape: &Shape, target: &Target, faults: &mut Vec<Fault>) {
    let Some(projected) = target.projected else { return };
    let has = |attribute: &str| {
        [&shape.key[..], target.key, projected].iter().any(|names| names.iter().any(|name| name == attribute))
    };
    let returned = lookup.returns.keys().map(|name| (format!("returns.{name}"), lookup.attribute_of(name)));
    let filtered = lookup.filter.keys().map(|name| (format!("filter.{name}"), name.as_str()));
    for (part, attribute) in returned.chain(filtered).filter(|(_, attribute)| !has(attribute)) {
        let what = format!("{} does not have the attribute {attribute}", target.name);
        let fix = format!("the lookup without {attribute}, or make the index again with it projected");
        faults.push(Fault { part, code: "not_projected", what, fix });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Events of devices: by `device` and `at`; `by_owner` has keys only, `by_day` includes `kind`.
    fn events() -> Shape {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
        let index = |key: &[&str], projected: Option<&[&str]>| Index {
            key: names(key),
            projected: projected.map(names),
            active: true,
        };
        let types = [("device", "S"), ("at", "N"), ("owner", "S"), ("day", "S"), ("raw", "B")];
        Shape {
            key: names(&["device", "at"]),
            types: types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).into(),
            indexes: [
                ("by_owner".to_owned(), index(&["owner", "at"], Some(&[]))),
                ("by_day".to_owned(), index(&["day"], Some(&["kind"]))),
                ("new".to_owned(), Index { active: false, ..index(&["kind"], None) }),
            ]
            .into(),
        }
    }

    fn lookup(definition: Value) -> Lookup {
        let mut whole = json!({ "lookup": "get", "table": "events", "key": {}, "returns": { "kind": "string" } });
        for (name, value) in definition.as_object().unwrap() {
            whole[name] = value.clone();
        }
        serde_json::from_value(whole).unwrap()
    }

    fn argument(kind: &str) -> Value {
        json!({ "title": "T", "description": "D", "type": kind })
    }

    #[test]
    fn a_lookup_that_the_table_answers_has_no_faults_and_a_position() {
        let (text, number) = (argument("string"), argument("integer"));
        let at_least = json!({ "title": "T", "description": "D", "type": "integer", "condition": "at_least" });
        for (definition, position_is) in [
            (json!({ "key": { "device": text, "at": number } }), &["device", "at"][..]),
            (json!({ "key": { "device": text } }), &["device", "at"]),
            (json!({ "key": { "device": text }, "sort": { "at": at_least }, "page": 5 }), &["device", "at"]),
            (
                json!({ "key": { "owner": text }, "index": "by_owner", "page": 5, "returns": { "device": "string" } }),
                &["device", "at", "owner"],
            ),
            (json!({ "key": { "day": text }, "index": "by_day" }), &["device", "at", "day"]),
            (json!({ "key": { "device": text, "at": number }, "returns": { "at": "string" } }), &["device", "at"]),
        ] {
            let lookup = lookup(definition);
            assert_eq!(check(&lookup, &events()), [], "{lookup:?}");
            assert_eq!(position(&lookup, &events()), position_is);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_to_write() {
        let (text, number) = (argument("string"), argument("number"));
        let equals = |kind: &str| json!({ "title": "T", "description": "D", "type": kind, "condition": "equals" });
        for (definition, part, code, says) in [
            (json!({ "key": { "owner": text } }), "key", "needs_a_scan", "`index: by_owner`"),
            (json!({ "key": { "owner": text, "at": number } }), "key", "needs_a_scan", "`index: by_owner`"),
            (json!({ "key": { "colour": text } }), "key", "needs_a_scan", "make a global secondary index"),
            (json!({ "key": { "device": text }, "index": "by_day" }), "key", "needs_a_scan", "no `index`"),
            (json!({ "key": { "at": number } }), "key", "needs_a_scan", "device under `key`"),
            (
                json!({ "key": { "owner": text }, "index": "by_colour" }),
                "index",
                "no_such_index",
                "by_day, by_owner, new",
            ),
            (json!({ "key": { "kind": text }, "index": "new" }), "index", "index_not_ready", "ACTIVE"),
            (json!({ "key": { "device": text, "colour": text } }), "key.colour", "not_a_key", "without colour"),
            (
                json!({ "key": { "device": text, "colour": text }, "page": 5 }),
                "key.colour",
                "not_a_key",
                "under `filter`",
            ),
            (
                json!({ "key": { "device": text }, "sort": { "day": equals("string") }, "page": 5 }),
                "sort.day",
                "not_the_sort_key",
                "at here",
            ),
            (
                json!({ "key": { "day": text }, "index": "by_day", "sort": { "at": equals("number") } }),
                "sort.at",
                "not_the_sort_key",
                "no `sort`",
            ),
            (
                json!({ "key": { "device": text, "at": number }, "sort": { "at": equals("number") } }),
                "sort.at",
                "not_the_sort_key",
                "one of them",
            ),
            (json!({ "key": { "device": number, "at": number } }), "key.device", "wrong_type", "`type: string`"),
            (json!({ "key": { "device": text, "at": text } }), "key.at", "wrong_type", "`type: number`"),
            (
                json!({ "key": { "device": text, "at": number }, "returns": { "at": "boolean" } }),
                "returns.at",
                "wrong_type",
                "`type: number`",
            ),
            (
                json!({ "key": { "device": text, "at": number }, "returns": { "bytes": "string" }, "rename": { "raw": "bytes" } }),
                "returns.bytes",
                "wrong_type",
                "without raw",
            ),
            (json!({ "key": { "owner": text }, "index": "by_owner" }), "returns.kind", "not_projected", "without kind"),
            (
                json!({ "key": { "day": text }, "index": "by_day", "page": 5, "filter": { "colour": text } }),
                "filter.colour",
                "not_projected",
                "without colour",
            ),
        ] {
            let lookup = lookup(definition);
            let faults = check(&lookup, &events());
            let [fault] = &faults[..] else { panic!("{lookup:?}: {faults:?}") };
            assert_eq!((fault.part.as_str(), fault.code), (part, code), "{fault:?}");
            assert!(fault.fix.contains(says), "{fault:?}");
        }
    }
}
