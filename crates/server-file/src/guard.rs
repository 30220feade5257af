//! `org`, `guard`.

use indexmap::IndexMap;
use registry::{Access, ConnectionName, Guard};

use crate::fields::{Field, Fields, Keys, WORD};
use crate::limits::MAX_PER_DAY;
use crate::problem::{Place, Problems, shown};

const KEYS: &Keys = &[
    ("objects", "objects: { read: [Account, Contact], write: [Contact] }"),
    ("fields", "fields: { Contact: { read: [Name, Email], write: [Email] } }"),
    ("deletes", "deletes: true"),
    ("dry_run", "dry_run: true"),
    ("max_rows", "max_rows: 50"),
    ("max_bytes", "max_bytes: 100000"),
    ("writes_per_day", "writes_per_day: 200"),
    ("confirm_above", "confirm_above: 10"),
];
const ACCESS: &Keys = &[("read", "read: [Account, Contact]"), ("write", "write: [Contact]")];

/// Longest API name, in characters.
const MAX_API_NAME: usize = 80;
const MAX_ROWS: u32 = 200;
const MIN_BYTES: u32 = 1_000;
const MAX_BYTES: u32 = 1_000_000;
/// The bytes of a bulk job's rows do not hold more of them.
const MAX_CONFIRM_ABOVE: u32 = 100_000;

/// Reads `org`.
pub fn org(field: &Field<'_>, problems: &mut Problems) -> Option<String> {
    let text = field.text(&WORD, problems)?;
    if ConnectionName::parse(text).is_none() {
        let what = format!("\"{}\" is no name of an org: a lower-case letter, then up to 39 of a-z 0-9 -", shown(text));
        problems.add(field.value.place, "org_name", what, "write it as `northstar org list` shows it");
        return None;
    }
    Some(text.to_owned())
}

/// Reads `guard`.
pub fn guard(field: &Field<'_>, problems: &mut Problems) -> Option<Guard> {
    let fields = Fields::of(field, "guard", KEYS, problems)?;
    let objects = fields.get("objects").and_then(|field| access(&field, problems)).unwrap_or_default();
    let mut flag = |key| fields.get(key)?.boolean(problems);
    let (deletes, dry_run) = (flag("deletes"), flag("dry_run"));
    let mut number = |key, from, to| fields.get(key)?.whole_number(from, to, problems);
    let max_rows = number("max_rows", 1, MAX_ROWS);
    let max_bytes = number("max_bytes", MIN_BYTES, MAX_BYTES);
    let writes_per_day = number("writes_per_day", 1, MAX_PER_DAY);
    let confirm_above = number("confirm_above", 0, MAX_CONFIRM_ABOVE);
    let usual = Guard::default();
    let size = |number: Option<u32>, usual| number.map_or(usual, |number| number as usize);
    Some(Guard {
        fields: fields.get("fields").map(|field| of_objects(&field, &objects, problems)).unwrap_or_default(),
        objects,
        deletes: deletes.unwrap_or(usual.deletes),
        dry_run: dry_run.unwrap_or(usual.dry_run),
        max_rows: size(max_rows, usual.max_rows),
        max_bytes: size(max_bytes, usual.max_bytes),
        writes_per_day,
        confirm_above: size(confirm_above, usual.confirm_above),
    })
}

fn of_objects(field: &Field<'_>, objects: &Access, problems: &mut Problems) -> IndexMap<String, Access> {
    let mut accesses: IndexMap<String, Access> = IndexMap::new();
    for entry in field.map(problems).unwrap_or_default() {
        let object = entry.key.as_str();
        if !is_api_name(object) {
            no_api_name(entry.place, object, problems);
        } else if accesses.keys().any(|other| other.eq_ignore_ascii_case(object)) {
            let what = format!("{} has \"{object}\" twice: upper and lower case are the same", field.name);
            problems.add(entry.place, "duplicate_entry", what, "leave one of them out");
        } else if !is_allowed(objects, object) {
            // A slip here would leave the object that was meant without a limit.
            let what = format!("fields names {object}, which objects allows neither to read nor to write");
            problems.add(entry.place, "guard_object_unknown", what, "write an object of objects, or leave it out");
        }
        let example = format!("{}: {{ read: [Name], write: [Name] }}", shown(object)).into();
        let of_object = Field { name: object, place: entry.place, value: &entry.value, example };
        accesses.extend(access(&of_object, problems).map(|access| (object.to_owned(), access)));
    }
    accesses
}

fn is_allowed(objects: &Access, object: &str) -> bool {
    let names = |list: &Option<Vec<String>>| {
        list.as_ref().is_none_or(|list| list.iter().any(|other| other.eq_ignore_ascii_case(object)))
    };
    names(&objects.read) || names(&objects.write)
}

fn access(field: &Field<'_>, problems: &mut Problems) -> Option<Access> {
    let fields = Fields::of(field, "what may be read and written", ACCESS, problems)?;
    let mut names = |key| Some(api_names(&fields.get(key)?, problems));
    Some(Access { read: names("read"), write: names("write") })
}

fn api_names(field: &Field<'_>, problems: &mut Problems) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for node in field.list(problems).unwrap_or_default() {
        let entry = Field { name: field.name, place: node.place, value: node, example: field.example.clone() };
        let Some(name) = entry.text(&WORD, problems) else { continue };
        if !is_api_name(name) {
            no_api_name(node.place, name, problems);
        } else if names.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            let what = format!("{} has \"{name}\" twice: upper and lower case are the same", field.name);
            problems.add(node.place, "duplicate_entry", what, "leave one of them out");
        } else {
            names.push(name.to_owned());
        }
    }
    names
}

fn no_api_name(place: Place, text: &str, problems: &mut Problems) {
    let what = format!("\"{}\" is no API name of an object or a field", shown(text));
    problems.add(place, "api_name", what, "write it as in Setup > Object Manager, such as Contact, Email or Level__c");
}

/// A letter, then letters, digits and underscores.
fn is_api_name(text: &str) -> bool {
    text.len() <= MAX_API_NAME
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
