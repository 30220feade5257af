//! The name that was probably meant.

use crate::problem::shown;

/// The nearest of some names, if one is near: two slips in a long name, one in a short.
pub fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 100;
    if written.len() > LONGEST {
        return None;
    }
    let plain = |name: &str| name.to_lowercase().replace(['-', ' '], "_");
    let near = |name: &&str| {
        let distance = strsim::osa_distance(&plain(written), &plain(name));
        let allowed = if written.len().min(name.len()) <= 4 { 1 } else { 2 };
        let near = distance <= allowed && distance < name.chars().count();
        (near || (written.len() >= 4 && plain(name).starts_with(&plain(written)))).then_some(distance)
    };
    names
        .into_iter()
        .filter_map(|name| Some((near(&name)?, name)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `write title`, or `write one of a, b and c`.
pub fn write_one_of<'a>(written: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = nearest(written, names.clone()) {
        return format!("write {name}");
    }
    format!("write {}", one_of(names))
}

/// `a`, or `one of a, b, c`.
pub fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(shown).collect();
    if names.len() == 1 { names.concat() } else { format!("one of {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let names = ["name", "title", "description", "key", "log", "get_order_status"];
        for (written, meant) in [
            ("titles", Some("title")),
            ("Title", Some("title")),
            ("desc", Some("description")),
            ("kye", Some("key")),
            ("get-order-status", Some("get_order_status")),
            ("lag", Some("log")),
            ("colour", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(written, names), meant, "{written}");
        }
    }
}
