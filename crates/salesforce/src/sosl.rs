//! Search terms of SOSL, escaped. Our own searches use `parameterizedSearch`, whose body needs no escapes.

/// Characters with a meaning in a term (SOSL Reference, "Reserved Characters").
const RESERVED: &str = "?&|!{}[]()^~*:\\\"'+-";

/// Why a term cannot be searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a search term has at least 2 characters that are no spaces")]
pub struct ShortTerm;

/// A term as it stands between the braces of `FIND {…}`; what is not seen becomes a space.
///
/// # Errors
/// [`ShortTerm`].
pub fn escape(term: &str) -> Result<String, ShortTerm> {
    if term.chars().filter(|c| !c.is_whitespace() && !c.is_control()).count() < 2 {
        return Err(ShortTerm);
    }
    let mut escaped = String::with_capacity(term.len() + 8);
    for c in term.chars() {
        match c {
            c if c.is_control() || c.is_whitespace() => escaped.push(' '),
            c if RESERVED.contains(c) => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    Ok(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads `FIND {…}`: the term, and what comes after it.
    fn read(search: &str) -> (String, &str) {
        let mut term = String::new();
        let mut rest = search.strip_prefix("FIND {").unwrap().char_indices();
        while let Some((at, c)) = rest.next() {
            match c {
                '\\' => term.push(rest.next().unwrap().1),
                '}' => return (term, &search["FIND {".len() + at + 1..]),
                c if RESERVED.contains(c) => panic!("a bare {c}"),
                c => term.push(c),
            }
        }
        panic!("the braces are not closed")
    }

    #[test]
    fn a_term_needs_two_characters() {
        assert_eq!(escape("AT&T {x} RETURNING").unwrap(), "AT\\&T \\{x\\} RETURNING");
        for term in ["", "a", " a ", "\n\u{0}a"] {
            assert_eq!(escape(term), Err(ShortTerm), "{term:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_term_is_read_back_and_ends_where_it_should(term in prop_oneof![any::<String>(), "[?&|!{}()^~*:\\\\\"'+\\-a ]{0,40}"]) {
            if let Ok(escaped) = escape(&term) {
                let search = format!("FIND {{{escaped}}} RETURNING Contact(Id)");
                let (read, after) = read(&search);
                let visible = |c: char| if c.is_control() || c.is_whitespace() { ' ' } else { c };
                prop_assert_eq!(read, term.chars().map(visible).collect::<String>());
                prop_assert_eq!(after, " RETURNING Contact(Id)");
            }
        }
    }
}
