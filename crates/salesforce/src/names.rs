//! Names of objects and fields: the only text that becomes part of a query or a path unescaped.

use std::fmt;

use serde::Serialize;

/// Longest name, in characters.
const MAX: usize = 80;
/// Relationships in a path: SOQL goes five levels up.
const MAX_LEVELS: usize = 6;

/// API name of an object: `[A-Za-z][A-Za-z0-9_]{0,79}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ObjectName(String);

/// API name of a field, of the same form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct FieldName(String);

/// A field, or one of a related record: `Account.Name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct FieldPath(String);

impl ObjectName {
    /// `None` when the text is no name.
    pub fn parse(text: &str) -> Option<ObjectName> {
        is_name(text).then(|| ObjectName(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FieldName {
    /// `None` when the text is no name.
    pub fn parse(text: &str) -> Option<FieldName> {
        is_name(text).then(|| FieldName(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FieldPath {
    /// `None` when the text is no path of names with dots between them.
    pub fn parse(text: &str) -> Option<FieldPath> {
        let valid = text.split('.').count() <= MAX_LEVELS && text.split('.').all(is_name);
        valid.then(|| FieldPath(text.to_owned()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The relationship that it begins with, and the field or path behind it; `None` for a field of the object itself.
    pub fn relationship(&self) -> Option<(&str, &str)> {
        self.0.split_once('.')
    }
}

impl From<FieldName> for FieldPath {
    fn from(name: FieldName) -> FieldPath {
        FieldPath(name.0)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The candidate most like `wanted`, if one is like it at all; case does not count.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: String = wanted.to_lowercase().chars().take(MAX).collect();
    let most = (wanted.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_have_one_form() {
        for text in ["Id", "Contact", "External_Id__c", "ns__Field__c", &"a".repeat(80)] {
            assert!(FieldName::parse(text).is_some() && ObjectName::parse(text).is_some(), "{text}");
        }
        for text in
            ["", "1a", "_a", "a b", "a.b", "a'", "a,b", "a)", "a--", "\u{e9}", "a\n", "a/b", "a%2f", &"a".repeat(81)]
        {
            assert!(FieldName::parse(text).is_none() && ObjectName::parse(text).is_none(), "{text}");
        }
        for text in ["Name", "Account.Name", "A.B.C.D.E.Name"] {
            assert!(FieldPath::parse(text).is_some(), "{text}");
        }
        for text in ["", ".", "Account.", ".Name", "Account..Name", "A.B.C.D.E.F.Name", "Account.(Name"] {
            assert!(FieldPath::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_name_that_was_meant_is_found() {
        let names = ["FirstName", "LastName", "Email", "Phone", "AccountId"];
        for (wanted, meant) in [
            ("lastname", Some("LastName")),
            ("Lastnmae", Some("LastName")),
            ("EMail", Some("Email")),
            ("Account", Some("AccountId")),
            ("Salutation", None),
            ("", None),
        ] {
            assert_eq!(nearest(wanted, names), meant, "{wanted}");
        }
    }
}
