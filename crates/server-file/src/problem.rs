//! What is wrong in a file, where, and what to write.

use std::fmt;

/// A place in a file. Both count from 1; a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// Something that is wrong in a file. Shown as `LINE:COLUMN: what is wrong; write …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// Its stable code, `docs/servers.md`.
    pub code: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to write.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}; {}", self.place, self.what, self.fix)
    }
}

/// The problems of a file, as they are found.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one. What of the file is in it cannot control a terminal.
    pub fn add(&mut self, place: Place, code: &'static str, what: impl AsRef<str>, fix: impl AsRef<str>) {
        let (what, fix) = (printable(what.as_ref()), printable(fix.as_ref()));
        self.0.push(Problem { place, code, what, fix });
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// All of them, in order of place.
    pub fn in_order(mut self) -> Vec<Problem> {
        self.0.sort_by_key(|problem| problem.place);
        self.0
    }
}

fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// A text of the file, fit for a message: cut if it is long.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}
