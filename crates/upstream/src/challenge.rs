//! The `Bearer` challenge of a `WWW-Authenticate` header (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728 §5.1).

/// What it says. The values are somebody else's: a URL in them is not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// `error`.
    pub error: Option<String>,
    /// `scope`, if all its characters may be in one (RFC 6749 §3.3) and it is at most 1 KiB long.
    pub scope: Option<String>,
    /// `resource_metadata`.
    pub unverified_resource_metadata: Option<String>,
}

/// Reads the first `Bearer` challenge among those of a header; `None` if there is none.
pub fn parse(header: &str) -> Option<Challenge> {
    let mut challenge: Option<Challenge> = None;
    let mut bearer = false;
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(value) = after.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            if name.is_empty() {
                // What belongs in no challenge ends it.
                return challenge;
            }
            if challenge.is_some() {
                return challenge;
            }
            bearer = name.eq_ignore_ascii_case("Bearer");
            challenge = bearer.then(Challenge::default);
            rest = after;
            continue;
        };
        let Some((value, after)) = value_of(value.trim_start_matches([' ', '\t'])) else { return challenge };
        rest = after;
        if !bearer {
            continue;
        }
        let found = challenge.get_or_insert_default();
        match name.to_ascii_lowercase().as_str() {
            "error" => found.error.get_or_insert(value),
            "resource_metadata" => found.unverified_resource_metadata.get_or_insert(value),
            "scope" if is_scope(&value) => found.scope.get_or_insert(value),
            _ => continue,
        };
    }
}

/// A token or a quoted string, and what follows it; `None` for a string without an end.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        // The padding of a token68 is skipped with it.
        let end = text.find(|c: char| !is_token(c) && c != '=' && c != '/' && c != ':').unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

fn is_scope(text: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    (1..=1024).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_parameters_of_the_bearer_challenge_are_read() {
        let basic = r#"Basic realm="a, Bearer scope=\"x\"""#;
        let bearer = r#"bearer error="insufficient_scope" ,scope = "a b""#;
        let more = r#"resource_metadata="https://h/.well-known/oauth-protected-resource", scope="c""#;
        let challenge = parse(&format!("{basic}, {bearer},\t{more}"));
        let expected = Challenge {
            error: Some("insufficient_scope".into()),
            scope: Some("a b".into()),
            unverified_resource_metadata: Some("https://h/.well-known/oauth-protected-resource".into()),
        };
        assert_eq!(challenge, Some(expected));
        assert_eq!(parse("Bearer scope=a").unwrap().scope.as_deref(), Some("a"));
        let unquoted = parse("Bearer resource_metadata=https://h/p, error=invalid_token").unwrap();
        assert_eq!(unquoted.unverified_resource_metadata.as_deref(), Some("https://h/p"));
        assert_eq!(unquoted.error.as_deref(), Some("invalid_token"));
    }

    #[test]
    fn a_header_without_a_bearer_challenge_has_none() {
        for header in ["", "Basic", "Basic abc==", "Digest realm=\"x\"", "Basic realm=\"open", "=", "\u{e4}"] {
            assert_eq!(parse(header), None, "{header}");
        }
        assert_eq!(parse("Bearer"), Some(Challenge::default()));
    }

    #[test]
    fn a_scope_with_other_characters_is_left_out() {
        for scope in ["\u{202e}a", "a\\\"b", "a\tb", ""] {
            assert_eq!(parse(&format!("Bearer scope=\"{scope}\"")).unwrap().scope, None, "{scope}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header in "(Bearer|scope|=|\"|,| |\\\\|a|\u{e4}|;){0,20}") {
            parse(&header);
        }
    }
}
