//! A lookup of the file: every key by itself. [`agreement`] has the rules between keys.

mod agreement;

use catalogue::lookup::{Argument, Condition, Lookup, MAX_PAGE, Order, Return, Sort, ValueType};
use indexmap::IndexMap;
use serde_json::Value;

use crate::fields::{DESCRIPTION, Field, Fields, Keys, TITLE, TextRule, WORD};
use crate::names::one_of;
use crate::pattern;
use crate::problem::{Place, Problems, shown};
use crate::scalar::Scalar;
use crate::yaml::{Content, Entry};

const KEYS: &Keys = &[
    ("lookup", "lookup: get_warranty"),
    ("title", "title: Get warranty"),
    ("description", "description: Returns the warranty of one product, by its serial number."),
    ("table", "table: warranties"),
    ("index", "index: by_customer"),
    ("key", "key: { serial_number: { title: Serial number, description: As printed on the box } }"),
    ("sort", "sort: { ordered_at: { title: Ordered, description: \"Order date, YYYY-MM-DD\", condition: between } }"),
    ("filter", "filter: { status: { title: Status, description: Only orders of this status } }"),
    ("order", "order: newest_first"),
    ("page", "page: 20"),
    ("rows", "rows: orders"),
    ("returns", "returns: { product: string, covered: boolean }"),
    ("rename", "rename: { validTo: valid_until }"),
    ("mask", "mask: [owner_email]"),
    ("not_found", "not_found: There is no warranty for {serial_number}."),
];

const ARGUMENT: &Keys = &[
    ("title", "title: Serial number"),
    ("description", "description: As printed on the box"),
    ("type", "type: string"),
    ("pattern", "pattern: '^[A-Z0-9]{8,16}$'"),
    ("enum", "enum: [OPEN, CLOSED]"),
];

const SORT: &Keys = &[
    ("title", "title: Ordered"),
    ("description", "description: Order date"),
    ("type", "type: string"),
    ("pattern", "pattern: '^[0-9-]{10}$'"),
    ("enum", "enum: [OPEN, CLOSED]"),
    ("condition", "condition: between"),
    ("required", "required: true"),
];

const RETURN: &Keys = &[
    ("type", "type: string"),
    ("description", "description: Until when it is covered"),
    ("words", "words: { S: Shipped, D: Delivered }"),
    ("default", "default: 0"),
    ("required", "required: true"),
];

const CONDITIONS: &[(&str, Condition)] = &[
    ("equals", Condition::Equals),
    ("begins_with", Condition::BeginsWith),
    ("at_least", Condition::AtLeast),
    ("at_most", Condition::AtMost),
    ("between", Condition::Between),
];

const ORDERS: &[(&str, Order)] = &[("newest_first", Order::NewestFirst), ("oldest_first", Order::OldestFirst)];

const TYPES: &[(&str, ValueType)] = &[
    ("string", ValueType::String),
    ("integer", ValueType::Integer),
    ("number", ValueType::Number),
    ("boolean", ValueType::Boolean),
];

/// Words of other languages for the types.
const OTHER_TYPES: &[(&str, &str)] = &[
    ("text", "string"),
    ("str", "string"),
    ("date", "string"),
    ("datetime", "string"),
    ("timestamp", "string"),
    ("s", "string"),
    ("int", "integer"),
    ("long", "integer"),
    ("float", "number"),
    ("double", "number"),
    ("decimal", "number"),
    ("n", "number"),
    ("bool", "boolean"),
];

/// Most properties of an answer.
const MAX_RETURNS: usize = 40;

/// Reads a lookup. With it comes where its name is.
pub fn lookup(field: &Field<'_>, problems: &mut Problems) -> Option<(Lookup, Place)> {
    let fields = Fields::of(field, "a lookup", KEYS, problems)?;
    let name = fields.required("lookup", problems);
    let place = name.as_ref().map_or(fields.place(), |name| name.value.place);
    let mut lookup = Lookup {
        name: name.and_then(|field| tool_name(&field, problems)).unwrap_or_default(),
        title: fields.get("title").and_then(|field| Some(field.text(&TITLE, problems)?.to_owned())),
        description: fields.get("description").and_then(|field| Some(field.text(&DESCRIPTION, problems)?.to_owned())),
        table: fields.required("table", problems).and_then(|field| table_name(&field, problems)).unwrap_or_default(),
        index: fields.get("index").and_then(|field| table_name(&field, problems)),
        ..Lookup::default()
    };
    if let Some(field) = fields.required("key", problems) {
        lookup.key = entries(&field, problems, |entry, problems| {
            argument(&entry_field(entry, ARGUMENT_EXAMPLE), KeyAttribute::Yes, problems)
        });
    }
    if let Some(field) = fields.get("sort") {
        lookup.sort = entries(&field, problems, |entry, problems| sort(&entry_field(entry, SORT_EXAMPLE), problems));
    }
    if let Some(field) = fields.get("filter") {
        lookup.filter = entries(&field, problems, |entry, problems| {
            argument(&entry_field(entry, ARGUMENT_EXAMPLE), KeyAttribute::No, problems)
        });
    }
    lookup.order = fields.get("order").and_then(|field| field.choice(ORDERS, problems)).unwrap_or_default();
    lookup.page = fields.get("page").and_then(|field| page(&field, problems));
    lookup.rows = fields.get("rows").and_then(|field| Some(field.text(&WORD, problems)?.to_owned()));
    if let Some(field) = fields.required("returns", problems) {
        lookup.returns = entries(&field, problems, |entry, problems| returned(&entry_field(entry, "string"), problems));
        count_returns(&field, problems);
    }
    if let Some(field) = fields.get("rename") {
        lookup.rename = entries(&field, problems, |entry, problems| {
            Some(entry_field(entry, "valid_until").text(&WORD, problems)?.to_owned())
        });
    }
    lookup.mask = fields.get("mask").map(|field| field.texts(&WORD, problems)).unwrap_or_default();
    lookup.not_found = fields.get("not_found").and_then(|field| Some(field.text(&DESCRIPTION, problems)?.to_owned()));
    agreement::check(&fields, &lookup, problems);
    Some((lookup, place))
}

const ARGUMENT_EXAMPLE: &str = "{ title: Serial number, description: As printed on the box }";
const SORT_EXAMPLE: &str = "{ title: Ordered, description: Order date, condition: between }";

fn entry_field<'a>(entry: &'a Entry, example: &'static str) -> Field<'a> {
    let example = format!("{}: {example}", shown(&entry.key)).into();
    Field { name: &entry.key, place: entry.place, value: &entry.value, example }
}

fn entries<'a, T>(
    field: &Field<'a>,
    problems: &mut Problems,
    mut read: impl FnMut(&'a Entry, &mut Problems) -> Option<T>,
) -> IndexMap<String, T> {
    let entries = field.map(problems).unwrap_or_default();
    entries.iter().filter_map(|entry| Some((entry.key.clone(), read(entry, problems)?))).collect()
}

fn tool_name(field: &Field<'_>, problems: &mut Problems) -> Option<String> {
    let name = field.text(&WORD, problems)?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.len() > 64 || !name.bytes().all(allowed) {
        let what = format!("\"{}\" is no name of a tool: 1 to 64 of a-z 0-9 _", shown(name));
        problems.add(field.value.place, "tool_name", what, "write a name such as get_warranty");
        return None;
    }
    Some(name.to_owned())
}

/// A table's or an index's name (DynamoDB, naming rules).
fn table_name(field: &Field<'_>, problems: &mut Problems) -> Option<String> {
    let name = field.text(&WORD, problems)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if !(3..=255).contains(&name.len()) || !name.bytes().all(allowed) {
        let what = format!(
            "\"{}\" is no name of {}: 3 to 255 of A-Z a-z 0-9 _ . -",
            shown(name),
            match field.name {
                "index" => "an index",
                _ => "a table",
            }
        );
        let fix = if name.starts_with("arn:") {
            "write what follows the last slash: the table is in the stack's account and region".to_owned()
        } else {
            format!("write the name as DynamoDB has it, for example {}", field.example)
        };
        let code = if field.name == "index" { "index_name" } else { "table_name" };
        problems.add(field.value.place, code, what, fix);
        return None;
    }
    Some(name.to_owned())
}

fn page(field: &Field<'_>, problems: &mut Problems) -> Option<usize> {
    let most = u32::try_from(MAX_PAGE).unwrap_or(u32::MAX);
    usize::try_from(field.whole_number(1, most, problems)?).ok()
}

/// Whether an attribute is of a key: those have no booleans.
#[derive(Clone, Copy, PartialEq)]
enum KeyAttribute {
    Yes,
    No,
}

fn argument(field: &Field<'_>, key: KeyAttribute, problems: &mut Problems) -> Option<Argument> {
    let fields = Fields::of(field, "an argument", ARGUMENT, problems)?;
    Some(argument_of(&fields, key, problems))
}

fn sort(field: &Field<'_>, problems: &mut Problems) -> Option<Sort> {
    let fields = Fields::of(field, "a sort argument", SORT, problems)?;
    let argument = argument_of(&fields, KeyAttribute::Yes, problems);
    let condition = fields.required("condition", problems);
    let place = condition.as_ref().map(|field| field.value.place);
    let condition = condition.and_then(|field| field.choice(CONDITIONS, problems)).unwrap_or_default();
    if let (Condition::BeginsWith, Some(place), false) = (condition, place, argument.value_type == ValueType::String) {
        let what = "begins_with compares texts, and this is a number";
        problems.add(place, "condition_of_number", what, "write equals, at_least, at_most or between");
    }
    let required = fields.get("required").and_then(|field| field.boolean(problems)).unwrap_or(false);
    Some(Sort { argument, condition, required })
}

fn argument_of(fields: &Fields<'_>, key: KeyAttribute, problems: &mut Problems) -> Argument {
    const REQUIRED_TITLE: TextRule = TextRule { optional: false, ..TITLE };
    const REQUIRED_DESCRIPTION: TextRule = TextRule { optional: false, ..DESCRIPTION };
    let mut required = |name, rule| {
        let field = fields.required(name, problems)?;
        Some(field.text(rule, problems)?.to_owned())
    };
    let title = required("title", &REQUIRED_TITLE).unwrap_or_default();
    let description = required("description", &REQUIRED_DESCRIPTION).unwrap_or_default();
    let value_type = fields.get("type").and_then(|field| value_type(&field, problems)).unwrap_or_default();
    if let (Some(field), ValueType::Boolean, KeyAttribute::Yes) = (fields.get("type"), value_type, key) {
        let what = "a key attribute is a text or a number, never a boolean";
        problems.add(field.value.place, "key_type", what, "write type: string, type: integer or type: number");
    }
    let (pattern, one_of) = (fields.get("pattern"), fields.get("enum"));
    for field in [&pattern, &one_of].into_iter().flatten() {
        if value_type != ValueType::String {
            let what = format!("{} is for texts, and this is of another type", field.name);
            let fix = format!("leave {} out, or write type: string", field.name);
            problems.add(field.place, "only_of_texts", what, fix);
        }
    }
    if let (Some(pattern), Some(_)) = (&pattern, &one_of) {
        let what = "pattern and enum are both here, and enum says all";
        problems.add(pattern.place, "pattern_and_enum", what, "leave one of them out");
    }
    let pattern = pattern.and_then(|field| pattern_of(&field, problems));
    Argument { title, description, value_type, pattern, one_of: words_of(one_of, problems) }
}

fn words_of(field: Option<Field<'_>>, problems: &mut Problems) -> Vec<String> {
    let Some(field) = field else { return Vec::new() };
    if let Content::List(list) = &field.value.content
        && list.is_empty()
    {
        let fix = "write the texts that are allowed, or leave the key out";
        problems.add(field.place, "enum_empty", "enum allows nothing", fix);
    }
    field.texts(&WORD, problems)
}

fn pattern_of(field: &Field<'_>, problems: &mut Problems) -> Option<String> {
    let rule = TextRule { longest: usize::MAX, ..DESCRIPTION };
    let pattern = field.text(&rule, problems)?;
    if let Err((code, what, fix)) = pattern::check(pattern) {
        problems.add(field.value.place, code, what, fix);
        return None;
    }
    Some(pattern.to_owned())
}

fn value_type(field: &Field<'_>, problems: &mut Problems) -> Option<ValueType> {
    if let Some(Scalar::Text(text)) = field.value.scalar() {
        let lower = text.to_lowercase();
        let found = TYPES.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let other = OTHER_TYPES.iter().find(|(name, _)| *name == lower).map(|(_, name)| *name);
            let near = other.or_else(|| crate::names::nearest(text, TYPES.iter().map(|(name, _)| *name)));
            let fix = near.map_or_else(|| one_of(TYPES.iter().map(|(name, _)| *name)), str::to_owned);
            let what = format!("\"{}\" is no type", shown(text));
            problems.add(field.value.place, "unknown_type", what, format!("write {fix}"));
        }
        return found.map(|(_, value_type)| *value_type);
    }
    field.wrong_type("a type", Some(format!("write {}", one_of(TYPES.iter().map(|(name, _)| *name)))), problems);
    None
}

fn count_returns(field: &Field<'_>, problems: &mut Problems) {
    if let Content::Map(entries) = &field.value.content
        && !(1..=MAX_RETURNS).contains(&entries.len())
    {
        let what = format!("returns has {} properties", entries.len());
        let fix = format!("write 1 to {MAX_RETURNS}, for example {}", field.example);
        problems.add(field.place, "return_count", what, fix);
    }
}

/// A property: its type alone, or a mapping.
fn returned(field: &Field<'_>, problems: &mut Problems) -> Option<Return> {
    let Content::Map(_) = field.value.content else {
        return Some(Return { value_type: value_type(field, problems)?, ..Return::default() });
    };
    let fields = Fields::of(field, "a property", RETURN, problems)?;
    let value_type = fields.get("type").map_or(Some(ValueType::String), |field| value_type(&field, problems));
    let words = fields.get("words").map(|field| words(&field, value_type, problems)).unwrap_or_default();
    Some(Return {
        value_type: value_type.unwrap_or_default(),
        description: fields.get("description").and_then(|field| Some(field.text(&DESCRIPTION, problems)?.to_owned())),
        words,
        default: fields.get("default").and_then(|field| default(&field, value_type, problems)),
        required: fields.get("required").and_then(|field| field.boolean(problems)).unwrap_or(false),
    })
}

fn words(field: &Field<'_>, value_type: Option<ValueType>, problems: &mut Problems) -> IndexMap<String, String> {
    if value_type.is_some_and(|value_type| value_type != ValueType::String) {
        let what = "words is for texts, and this is of another type";
        problems.add(field.place, "only_of_texts", what, "leave words out, or write type: string");
    }
    entries(field, problems, |entry, problems| Some(entry_field(entry, "Shipped").text(&WORD, problems)?.to_owned()))
}

fn default(field: &Field<'_>, value_type: Option<ValueType>, problems: &mut Problems) -> Option<Value> {
    field.value_of(value_type?, problems)
}
