//! The rules between the keys of a lookup.

use std::collections::{HashMap, HashSet};

use catalogue::lookup::{CURSOR, Condition, Lookup, ValueType};

use crate::fields::Fields;
use crate::names::{nearest, one_of};
use crate::problem::{Place, Problems, shown};
use crate::yaml::{Content, Entry};

/// Checks them. A key that has a problem of its own causes no other one.
pub fn check(fields: &Fields<'_>, lookup: &Lookup, problems: &mut Problems) {
    counts(fields, problems);
    rows(fields, lookup, problems);
    attributes(fields, problems);
    let arguments = arguments(fields, lookup, problems);
    properties(fields, lookup, problems);
    rename(fields, lookup, problems);
    mask(fields, lookup, problems);
    not_found(fields, lookup, &arguments, problems);
    description(fields, lookup, problems);
}

/// The entries that are written under a key, right or wrong.
fn written<'a>(fields: &Fields<'a>, key: &str) -> &'a [Entry] {
    match fields.get(key).map(|field| &field.value.content) {
        Some(Content::Map(entries)) => entries,
        _ => &[],
    }
}

fn is_map(fields: &Fields<'_>, key: &str) -> bool {
    fields.get(key).is_some_and(|field| matches!(field.value.content, Content::Map(_)))
}

/// How many attributes `key` and `sort` name.
fn counts(fields: &Fields<'_>, problems: &mut Problems) {
    let (key, sort) = (written(fields, "key"), written(fields, "sort"));
    if let (Some(field), true, false) = (fields.get("key"), is_map(fields, "key"), (1..=2).contains(&key.len())) {
        let what = format!("key has {} attributes", key.len());
        let fix = "write the partition key of the table or index, and after it the sort key if the whole key is needed";
        problems.add(field.place, "key_count", what, fix);
    }
    if let (Some(field), true, true) = (fields.get("sort"), is_map(fields, "sort"), sort.len() != 1) {
        let what = format!("sort has {} attributes, and a table or index has one sort key", sort.len());
        problems.add(field.place, "sort_count", what, "write one, or leave sort out");
    }
    if let ([_, second], [_]) = (key, sort) {
        let what = "key has the sort key already, and sort is about the same one";
        problems.add(second.place, "key_and_sort", what, "leave the second attribute of key out, or sort");
    }
}

/// What only rows, or only a Query, can have.
fn rows(fields: &Fields<'_>, lookup: &Lookup, problems: &mut Problems) {
    let list = fields.get("page").is_some();
    for (key, what) in [
        ("filter", "filter leaves rows out, and this lookup answers one item"),
        ("rows", "rows names the property that holds rows, and this lookup answers one item"),
    ] {
        if let (Some(field), false) = (fields.get(key), list) {
            problems.add(field.place, "only_of_lists", what, format!("write page: 20 for rows, or leave {key} out"));
        }
    }
    if let (Some(field), true) = (fields.get("not_found"), list) {
        let what = "not_found is for one item, and a list without rows is an answer";
        problems.add(field.place, "not_found_of_list", what, "leave not_found out, or page");
    }
    // One attribute may be a part of the key, which many items share.
    let query =
        list || fields.get("index").is_some() || fields.get("sort").is_some() || written(fields, "key").len() < 2;
    if let (Some(field), false) = (fields.get("order"), query) {
        let what = "order is for several items, and this lookup reads one by its whole key";
        problems.add(field.place, "order_without_query", what, "leave order out, or write page: 20 for rows");
    }
    let Some((field, rows)) = fields.get("rows").zip(lookup.rows.as_deref()) else { return };
    if !is_name(rows) {
        problems.add(field.value.place, "property_name", wrong_name(rows), "write a name such as orders");
    }
    let keys = lookup.key.keys().map(|attribute| lookup.name_of(attribute));
    if ["count", "truncated", CURSOR].into_iter().chain(keys).any(|name| name == rows) {
        let what = format!("rows is \"{rows}\", and an answer has another property of that name");
        problems.add(field.value.place, "rows_clash", what, "write another name, for example rows: orders");
    }
}

/// Every attribute of `key`, `sort`, `filter` and `rename` has a name that DynamoDB takes, and one place.
fn attributes(fields: &Fields<'_>, problems: &mut Problems) {
    const LONGEST: usize = 255;
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for part in ["key", "sort", "filter", "rename"] {
        for entry in written(fields, part) {
            if entry.key.is_empty() || entry.key.len() > LONGEST || entry.key.contains(char::is_control) {
                let what = format!("\"{}\" is no name of an attribute: 1 to {LONGEST} bytes", shown(&entry.key));
                problems.add(entry.place, "attribute_name", what, "write the name as the table has it");
            }
            if part == "rename" {
                continue;
            }
            if let Some(other) = seen.insert(&entry.key, part) {
                let what = format!("{} is under {other} already", shown(&entry.key));
                problems.add(entry.place, "attribute_twice", what, format!("leave it out under {part}"));
            }
        }
    }
}

/// The names of all arguments: of the right form, and all different.
fn arguments(fields: &Fields<'_>, lookup: &Lookup, problems: &mut Problems) -> HashSet<String> {
    let list = fields.get("page").is_some();
    let mut names: HashSet<String> = HashSet::new();
    if list {
        names.insert(CURSOR.to_owned());
    }
    let mut attributes = HashSet::new();
    for part in ["key", "sort", "filter"] {
        for entry in written(fields, part) {
            if !attributes.insert(&entry.key) {
                continue;
            }
            let name = lookup.name_of(&entry.key);
            let renamed = lookup.rename.contains_key(&entry.key);
            if !is_name(name) && !renamed {
                let what = format!("the attribute \"{}\" cannot be the name of an argument", shown(name));
                let fix = format!("write rename: {{ \"{}\": {} }} beside it", shown(name), proposed(name));
                problems.add(entry.place, "property_name", what, fix);
            }
            let between = lookup.sort.get(&entry.key).is_some_and(|sort| sort.condition == Condition::Between);
            let own = if part == "sort" && between {
                vec![format!("{name}_from"), format!("{name}_to")]
            } else {
                vec![name.to_owned()]
            };
            let answered = list && part == "key" && ["count", "truncated"].contains(&name);
            for name in own {
                if !names.insert(name.clone()) || answered {
                    let what = format!("{} is the name of another argument or property of this tool", shown(&name));
                    let fix = format!("write rename: {{ {}: another_name }}", shown(&entry.key));
                    problems.add(entry.place, "argument_clash", what, fix);
                }
            }
        }
    }
    names
}

/// The names of `returns`.
fn properties(fields: &Fields<'_>, lookup: &Lookup, problems: &mut Problems) {
    let mut attributes: HashMap<&str, &str> = HashMap::new();
    for entry in written(fields, "returns") {
        let name = entry.key.as_str();
        if !is_name(name) {
            let fix = format!(
                "write {new} here and rename: {{ \"{name}\": {new} }}",
                name = shown(name),
                new = proposed(name)
            );
            problems.add(entry.place, "property_name", wrong_name(name), fix);
        }
        if let Some(other) = attributes.insert(lookup.attribute_of(name), name) {
            let what = format!("{} is the attribute of {} too", shown(name), shown(other));
            problems.add(entry.place, "returned_twice", what, "leave one of them out");
        }
    }
}

fn rename(fields: &Fields<'_>, lookup: &Lookup, problems: &mut Problems) {
    let asked = |attribute: &str| {
        ["key", "sort", "filter"].iter().any(|part| written(fields, part).iter().any(|entry| entry.key == attribute))
    };
    let returned = |name: &str| written(fields, "returns").iter().any(|entry| entry.key == name);
    let mut seen = HashSet::new();
    for entry in written(fields, "rename") {
        let (attribute, place) = (entry.key.as_str(), entry.value.place);
        let Some(name) = lookup.rename.get(attribute) else { continue };
        if name == attribute {
            let what = format!("{} is renamed to itself", shown(attribute));
            problems.add(place, "rename_to_itself", what, "leave it out");
        } else if !is_name(name) {
            problems.add(place, "property_name", wrong_name(name), format!("write {}", proposed(name)));
        } else if !seen.insert(name) {
            let what = format!("two attributes are renamed to {name}");
            problems.add(place, "renamed_twice", what, "write another name");
        } else if asked(name) && !lookup.rename.contains_key(name) {
            let what = format!("{name} is an attribute of key, sort or filter, which name attributes of the table");
            let fix = format!("write {} in its place there, or another name here", shown(attribute));
            problems.add(place, "rename_clash", what, fix);
        } else if !asked(attribute) && !returned(name) {
            let what = format!("nothing here is called {name}, and {} is asked for nowhere", shown(attribute));
            let fix = if returned(attribute) {
                format!("write {name} in place of {} in returns", shown(attribute))
            } else {
                let names = written(fields, "returns").iter().map(|entry| entry.key.as_str());
                match nearest(name, names) {
                    Some(near) => format!("write {near}"),
                    None => format!("write {name} into returns, or leave it out"),
                }
            };
            problems.add(place, "rename_unknown", what, fix);
        }
    }
}

/// A text can be masked. What is not returned may be named: the rule stands for the day when it is.
fn mask(fields: &Fields<'_>, lookup: &Lookup, problems: &mut Problems) {
    let Some(field) = fields.get("mask") else { return };
    let Content::List(nodes) = &field.value.content else { return };
    for node in nodes {
        let Content::Scalar { text, .. } = &node.content else { continue };
        let masked = |name: &str| lookup.mask.contains(text) && (name == text || lookup.attribute_of(name) == text);
        let other =
            lookup.returns.iter().find(|(name, returned)| masked(name) && returned.value_type != ValueType::String);
        if let Some((name, _)) = other {
            let what =
                format!("{} is returned as a number or a boolean, and a mask leaves characters of a text", shown(name));
            problems.add(
                node.place,
                "mask_not_text",
                what,
                format!("leave {} out of returns, or out of mask", shown(name)),
            );
        }
    }
}

/// `{name}` stands for an argument.
fn not_found(fields: &Fields<'_>, lookup: &Lookup, arguments: &HashSet<String>, problems: &mut Problems) {
    let Some((field, text)) = fields.get("not_found").zip(lookup.not_found.as_deref()) else { return };
    if arguments.is_empty() {
        return;
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, next)) = after.split_once('}') else { return };
        rest = next;
        let name = name.rsplit('{').next().unwrap_or(name);
        if !arguments.contains(name) {
            let mut names: Vec<&str> = arguments.iter().map(String::as_str).collect();
            names.sort_unstable();
            let what = format!("not_found has {{{}}}, and no argument has that name", shown(name));
            let fix = match nearest(name, names.iter().copied()) {
                Some(near) => format!("write {{{near}}}"),
                None => format!("write {}, in braces", one_of(names.into_iter())),
            };
            problems.add(field.value.place, "not_found_argument", what, fix);
        }
    }
}

/// The description that is made where none is written may be too long.
fn description(fields: &Fields<'_>, lookup: &Lookup, problems: &mut Problems) {
    if fields.get("description").is_some() {
        return;
    }
    let made = lookup.tool().map(|tool| tool.description.chars().count());
    if made.is_ok_and(|length| length > crate::fields::DESCRIPTION.longest) {
        let what = "the description that is made of the names of all properties is too long";
        let fix = "write description: and what the tool does, in less than 1,000 characters";
        problems.add(place_of(fields), "made_description", what, fix);
    }
}

fn place_of(fields: &Fields<'_>) -> Place {
    fields.get("returns").map_or(fields.place(), |field| field.place)
}

/// Whether a name can be that of an argument or a property.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.len() <= 64 && name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(allowed)
}

fn wrong_name(name: &str) -> String {
    format!("\"{}\" is no name of a property: a letter, then up to 63 of A-Z a-z 0-9 _", shown(name))
}

/// A name that is allowed and looks like another.
fn proposed(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let plain: String = plain.trim_matches('_').chars().take(60).collect();
    match plain.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => plain,
        Some(_) => format!("n_{plain}"),
        None => "another_name".to_owned(),
    }
}
