//! Why a row is not taken.

use crate::value::Fault;

/// Why a row is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The row has more or fewer fields than the header, so no value is sure to be in its column.
    #[error("the number of fields is {found}, the header has {expected}{}", over_lines(*lines))]
    FieldCount {
        /// Fields of the row.
        found: usize,
        /// Columns of the header.
        expected: usize,
        /// Lines that the row spans; many lines mean a quote that is not closed.
        lines: u64,
    },
    /// The row has a quote that is not closed, so the rest of the file counts as one value of it.
    #[error("a quote is not closed; the {lines} lines to the end of the file are not taken")]
    OpenQuote {
        /// Lines from the start of the row to the end of the file.
        lines: u64,
    },
    /// The row of a JSON file is something else than an object.
    #[error("the row is {found}, not an object")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// The row of a JSON file is broken.
    #[error("the row is not JSON: {what} ({place})")]
    NotJson {
        /// What is wrong.
        what: String,
        /// Where: in a row of one line its column, else line and column of the file.
        place: String,
    },
    /// An attribute cannot have the name of a column that only this row has.
    #[error("an attribute cannot be named {name:?}: a name is 1 to 255 bytes without control characters")]
    AttributeName {
        /// The start of the name.
        name: String,
    },
    /// Two columns of the row are one attribute.
    #[error("`{attribute}` is given twice")]
    Twice {
        /// The attribute.
        attribute: String,
    },
    /// A required attribute has no value.
    #[error("`{attribute}` is missing")]
    Missing {
        /// The attribute.
        attribute: String,
    },
    /// A value does not obey the rules of its attribute.
    #[error("`{attribute}` {fault}")]
    Invalid {
        /// The attribute.
        attribute: String,
        /// What is wrong with its value.
        fault: Fault,
    },
    /// The row is larger than DynamoDB stores.
    #[error("the row has {bytes} bytes, an item of DynamoDB at most 409600")]
    TooLarge {
        /// The size of the item.
        bytes: usize,
    },
}

fn over_lines(lines: u64) -> String {
    match lines {
        1 => String::new(),
        lines => format!(" (over {lines} lines: is a quote not closed?)"),
    }
}
