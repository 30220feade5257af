//! What a command prints, and how it ends.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// Why a command does not end with 0.
pub enum Failure {
    /// The answer is no, and it has been printed.
    Answered,
    /// It did not work; a sentence for people.
    Message(String),
    /// The command line makes no sense.
    Usage(String),
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        Failure::Message(message)
    }
}

/// Prints one JSON document.
///
/// # Errors
/// When standard output is closed.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Prints a line.
///
/// # Errors
/// When standard output is closed.
pub fn line(text: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// Prints rows under a header.
///
/// # Errors
/// When standard output is closed.
pub fn table(header: &[impl AsRef<str>], rows: Vec<Vec<String>>) -> Result<(), Failure> {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.iter().map(AsRef::as_ref));
    for row in rows {
        table.add_row(row);
    }
    // The preset leaves a blank before the first column.
    let text: Vec<String> =
        table.trim_fmt().lines().map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned()).collect();
    line(&text.join("\n"))
}
