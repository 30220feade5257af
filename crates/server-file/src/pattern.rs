//! Patterns that mean the same to us and to every client: clients read them as ECMA-262 expressions (JSON Schema,
//! `pattern`), we with regex-lite.

use regex_lite::Regex;

/// Longest pattern, in characters.
pub const MAX_PATTERN: usize = 500;

/// What is wrong with a pattern: code, what, and what to write.
pub type Wrong = (&'static str, String, String);

/// Checks a pattern.
pub fn check(pattern: &str) -> Result<(), Wrong> {
    if pattern.chars().count() > MAX_PATTERN {
        let what = format!("pattern has more than {MAX_PATTERN} characters");
        return Err(("pattern_too_long", what, "write a shorter one: it need not describe every case".to_owned()));
    }
    let parts = Parts::of(pattern);
    let foreign = if parts.looks_around {
        Some("pattern looks ahead or behind")
    } else if parts.refers_back {
        Some("pattern refers back to a group (\\1)")
    } else if parts.extends {
        Some("pattern has flags, named groups or classes that not every client knows")
    } else {
        None
    };
    if let Some(what) = foreign {
        let fix = "write it with plain classes, repetitions and groups: [A-Z], [0-9]{8}, (?:A|B)";
        return Err(("pattern_not_portable", what.to_owned(), fix.to_owned()));
    }
    if let Err(error) = Regex::new(pattern) {
        let what = format!("pattern is no regular expression ({error})");
        return Err(("pattern_invalid", what, "write one such as \"^[A-Z0-9]{8,16}$\"".to_owned()));
    }
    let inner = pattern.strip_prefix('^').unwrap_or(pattern);
    let inner = if parts.ends_with_anchor { inner.strip_suffix('$').unwrap_or(inner) } else { inner };
    if inner.len() + 2 != pattern.len() {
        let what = "pattern does not go from ^ to $, so it would match inside a longer text".to_owned();
        let inner = if parts.alternates { format!("(?:{inner})") } else { inner.to_owned() };
        return Err(("pattern_not_anchored", what, format!("write pattern: '^{}$'", inner.replace('\'', "''"))));
    }
    if parts.alternates {
        let what =
            "pattern has a | outside of parentheses, so ^ belongs to one side of it and $ to the other".to_owned();
        return Err(("pattern_not_anchored", what, format!("write pattern: '^(?:{})$'", inner.replace('\'', "''"))));
    }
    Ok(())
}

/// What a pattern consists of, as far as it matters here.
#[derive(Default)]
struct Parts {
    looks_around: bool,
    refers_back: bool,
    extends: bool,
    /// A `|` outside of groups.
    alternates: bool,
    /// The last character is a `$` that is an anchor.
    ends_with_anchor: bool,
}

impl Parts {
    fn of(pattern: &str) -> Parts {
        let mut parts = Parts::default();
        let (mut depth, mut in_class) = (0_usize, false);
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            let after = &rest[first.len_utf8()..];
            parts.ends_with_anchor = first == '$' && !in_class;
            let mut length = first.len_utf8();
            match first {
                '\\' => {
                    let escaped = after.chars().next();
                    length += escaped.map_or(0, char::len_utf8);
                    parts.refers_back |=
                        !in_class && escaped.is_some_and(|escaped| ('1'..='9').contains(&escaped) || escaped == 'k');
                    parts.extends |= escaped.is_some_and(|escaped| "AzQGpPaexuU<>".contains(escaped));
                }
                '[' if in_class => parts.extends = true,
                '[' => {
                    in_class = true;
                    // A ] at the very beginning is a member of the class to us, and its end in ECMA-262.
                    parts.extends |= after.strip_prefix('^').unwrap_or(after).starts_with(']');
                }
                ']' => in_class = false,
                '&' | '~' if in_class => parts.extends |= after.starts_with(first),
                '-' if in_class => parts.extends |= after.starts_with('-'),
                _ if in_class => {}
                '(' => {
                    depth += 1;
                    if let Some(kind) = after.strip_prefix('?') {
                        let looks = ["=", "!", "<=", "<!"].iter().any(|sign| kind.starts_with(sign));
                        parts.looks_around |= looks;
                        parts.extends |= !looks && !kind.starts_with(':');
                    }
                }
                ')' => depth = depth.saturating_sub(1),
                '|' => parts.alternates |= depth == 0,
                _ => {}
            }
            rest = &rest[length..];
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_patterns_pass() {
        for pattern in [
            "^[A-Z0-9]{8,16}$",
            "^[A-Za-z0-9._-]{1,64}$",
            r"^C-\d{4}$",
            "^(?:A|B)[0-9]+$",
            "^(A|B)$",
            r"^[^\]]+\$$",
            "^a[|]b$",
            "^[$]$",
            "^.{1,200}$",
        ] {
            assert_eq!(check(pattern), Ok(()), "{pattern}");
        }
    }

    #[test]
    fn others_are_refused_by_their_kind() {
        for (pattern, code) in [
            ("[A-Z]+", "pattern_not_anchored"),
            ("^[A-Z]+", "pattern_not_anchored"),
            ("[A-Z]+$", "pattern_not_anchored"),
            (r"^a\$", "pattern_not_anchored"),
            ("^a[$]", "pattern_not_anchored"),
            ("^a|b$", "pattern_not_anchored"),
            ("a|b", "pattern_not_anchored"),
            ("", "pattern_not_anchored"),
            ("^", "pattern_not_anchored"),
            ("^(?=a)a$", "pattern_not_portable"),
            ("^(?<!a)a$", "pattern_not_portable"),
            (r"^(a)\1$", "pattern_not_portable"),
            ("^(?i)a$", "pattern_not_portable"),
            ("^(?P<x>a)$", "pattern_not_portable"),
            ("^[[:alpha:]]$", "pattern_not_portable"),
            ("^[]a]$", "pattern_not_portable"),
            (r"\Aa\z", "pattern_not_portable"),
            (r"^\p{L}$", "pattern_not_portable"),
            ("^[A-Z$", "pattern_invalid"),
            ("^(a$", "pattern_invalid"),
            ("^a{2,1}$", "pattern_invalid"),
            ("^a\\", "pattern_invalid"),
            ("^(a{1000}){1000}$", "pattern_invalid"),
        ] {
            assert_eq!(check(pattern).map_err(|(code, ..)| code), Err(code), "{pattern}");
        }
        assert_eq!(check(&format!("^{}$", "a".repeat(500))).map_err(|(code, ..)| code), Err("pattern_too_long"));
    }
}
