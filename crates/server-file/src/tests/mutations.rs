//! Files that were damaged at random: no panic, and every problem has its place in the text.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{schema_accepts, whole_example};
use crate::yaml::MAX_BYTES;
use crate::{Document, Problem};

/// What makes YAML mean something else, and what is at home in a file of servers.
const PIECES: &[&str] = &[
    "",
    " ",
    "\n",
    "\t",
    "  ",
    "    ",
    "\r\n",
    "\r",
    ":",
    ": ",
    "-",
    "- ",
    "---\n",
    "...\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "|",
    ">",
    "|\n",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "!x ",
    "#",
    "%",
    "@",
    "`",
    "?",
    "? ",
    "~",
    "\\",
    "\\u",
    "\\x9",
    "\0",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "ä",
    "😀",
    "{---",
    "[[[[",
    "%YAML 1.2\n---\n",
    "0x",
    "1e9",
    ".nan",
    "99999999999999999999",
    "-1",
    "true",
    "null",
    "yes",
    "servers",
    "name: ",
    "tools: []",
    "page: 1",
    "sort: {}",
    "rename: {a: b}",
    "mask: [a]",
    "{a}",
    "^(",
    "$",
    "(?:",
    "limits: {burst: 1}",
    "org: a",
    "executeQuery",
    "guard: {fields: {a: {}}}",
];

fn is_sound(text: &str, problems: &[Problem]) -> Result<(), TestCaseError> {
    let lines: Vec<usize> = text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .replace("\r\n", "\n")
        .split(['\n', '\r'])
        .map(|line| line.chars().count())
        .collect();
    prop_assert!(!problems.is_empty());
    prop_assert!(problems.is_sorted_by_key(|problem| problem.place));
    for problem in problems {
        let length = lines.get(problem.place.line.wrapping_sub(1));
        let inside = length.is_some_and(|length| (1..=length + 1).contains(&problem.place.column));
        prop_assert!(inside, "{problem}\n{text:?}");
        let said = problem.to_string();
        prop_assert!(!said.contains(char::is_control) && said.chars().count() < 1_000, "{said:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_is_answered_with_places_in_it(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..8_usize, prop::sample::select(PIECES)), 1..6),
    ) {
        let mut text: Vec<char> = whole_example().chars().collect();
        for (at, removed, piece) in edits {
            let at = at.index(text.len());
            text.splice(at..(at + removed).min(text.len()), piece.chars());
        }
        let text: String = text.into_iter().collect();
        match Document::parse(&text) {
            // What the reader lets pass, the schema does too.
            Ok(_) => prop_assert_eq!(schema_accepts(&text), Some(true), "{}", text),
            Err(problems) => is_sound(&text, &problems)?,
        }
    }

    #[test]
    fn any_text_is_answered(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40), other in ".{0,40}") {
        let text = format!("{}{other}", pieces.concat());
        if let Err(problems) = Document::parse(&text) {
            is_sound(&text, &problems)?;
        }
    }
}

#[test]
fn the_largest_file_is_answered_in_seconds() {
    let pieces = [
        "[", "{", "- ", "? ", "a: ", "\"", "'", "*a ", "&a ", "- a\n", "a: b\n", "#", " ", "|\n", "!a ", "[a, ", "{a: ",
    ];
    for piece in pieces {
        for head in ["", "servers:\n  - name: "] {
            let text = format!("{head}{}", piece.repeat((MAX_BYTES - head.len()) / piece.len()));
            let start = Instant::now();
            assert!(Document::parse(&text).is_err_and(|problems| !problems.is_empty()), "{head}{piece}");
            assert!(start.elapsed() < Duration::from_secs(30), "{head}{piece} {:?}", start.elapsed());
        }
    }
}
