//! The rows of a file, whatever its format: where each one is, and what the file has there.
//!
//! `csv_rows` and `json_rows` read; a [`Row`] keeps what they found until `cells` looks into it, so that
//! a row that is refused can be written down as it was.

use std::borrow::Cow;
use std::io::{self, Chain, Cursor, Read};
use std::sync::Arc;

use crate::csv_rows::CsvRows;
use crate::json_row;
use crate::json_rows::JsonRows;
use crate::reason::Reason;
use crate::sample::Sampled;
use crate::{Format, rejects};

/// The most bytes of a row: above the largest item (400 KB) with its quotes doubled or escaped.
pub(crate) const LONGEST_ROW: usize = 1 << 20;

/// A row of a file, not looked into yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The line of the file on which it starts, from 1.
    pub(crate) line: u64,
    pub(crate) original: Original,
}

/// What the file has there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Original {
    /// The fields of a CSV row, and why they are no row of this file, should they not be.
    Fields { header: Arc<[Arc<str>]>, texts: Vec<String>, fault: Option<Reason> },
    /// The text of a JSON value.
    Json(String),
}

/// A single value, borrowed from its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    Text(Cow<'a, str>),
    /// A number as it is written, which may have more digits than any type of ours.
    Number(&'a str),
    Bool(bool),
    Null,
    /// An object or an array, as JSON without white space.
    Nested(String),
}

/// The columns that are known before the first row is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Of a CSV file: every row has all of them, and no others.
    Header(Vec<Arc<str>>),
    /// Of a JSON file: those of its first rows, in the order in which they come up.
    Seen {
        names: Vec<Arc<str>>,
        /// How many rows that were, if more follow.
        first: Option<usize>,
    },
}

impl Columns {
    pub(crate) fn names(&self) -> &[Arc<str>] {
        match self {
            Self::Header(names) | Self::Seen { names, .. } => names,
        }
    }
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The CSV file has no line with text.
    #[error("the file is empty: its first line must name the columns")]
    NoHeader,
    /// One column whose name holds another delimiter.
    #[error("the columns of the file are separated by {0:?}, not by commas: export it comma-separated")]
    Delimiter(char),
    /// The file has something else than the expected JSON.
    #[error("line {line}: {what}")]
    Json {
        /// The line of it.
        line: u64,
        /// What is there, and what is expected.
        what: &'static str,
    },
    /// A byte that is not UTF-8.
    #[error("line {line}: not UTF-8 text: export the file as UTF-8")]
    NotUtf8 {
        /// The line of that byte.
        line: u64,
    },
    /// A row that is larger than any good one.
    #[error("line {line}: the row that starts here does not end within 1 MB: is a quote not closed?")]
    Endless {
        /// The line on which the row starts.
        line: u64,
    },
    /// The file could not be read.
    #[error("the file cannot be read after line {line}: {source}")]
    Read {
        /// The last line known to be good.
        line: u64,
        /// What the operating system said.
        source: io::Error,
    },
}

/// The rows of a file, one at a time.
pub(crate) enum Source<R> {
    Csv(CsvRows<R>),
    Json(Sampled<R>),
}

impl<R: Read> Source<R> {
    pub(crate) fn open(format: Format, reader: R) -> Result<Self, SourceError> {
        let reader = without_byte_order_mark(reader).map_err(|source| SourceError::Read { line: 0, source })?;
        match format {
            Format::Csv => Ok(Self::Csv(CsvRows::open(reader)?)),
            Format::Json => Ok(Self::Json(Sampled::open(JsonRows::in_a_document(reader))?)),
            Format::JsonLines => Ok(Self::Json(Sampled::open(JsonRows::on_lines(reader))?)),
        }
    }

    pub(crate) fn columns(&self) -> Columns {
        match self {
            Self::Csv(rows) => rows.columns(),
            Self::Json(rows) => rows.columns(),
        }
    }

    /// The next row; `None` at the end of the file.
    pub(crate) fn next_row(&mut self) -> Result<Option<Row>, SourceError> {
        match self {
            Self::Csv(rows) => rows.next_row(),
            Self::Json(rows) => rows.next_row(),
        }
    }
}

/// A reader behind a byte order mark; the parsers know none, or only one that comes with the first read.
pub(crate) type Text<R> = Chain<Cursor<Vec<u8>>, R>;

fn without_byte_order_mark<R: Read>(mut reader: R) -> io::Result<Text<R>> {
    const MARK: &[u8] = b"\xEF\xBB\xBF";
    let mut start = Vec::new();
    reader.by_ref().take(MARK.len() as u64).read_to_end(&mut start)?;
    if start == MARK {
        start.clear();
    }
    Ok(Cursor::new(start).chain(reader))
}

impl Row {
    /// The values of the row by column, without columns that have no name and those of a file of
    /// rejected rows.
    pub(crate) fn cells(&self) -> Result<Vec<(Cow<'_, str>, Cell<'_>)>, Reason> {
        let mut cells: Vec<_> = match &self.original {
            Original::Fields { fault: Some(fault), .. } => return Err(fault.clone()),
            Original::Fields { header, texts, fault: None } => {
                let names = header.iter().map(|name| Cow::Borrowed(&**name));
                names.zip(texts.iter().map(|text| Cell::Text(Cow::Borrowed(text.as_str())))).collect()
            }
            Original::Json(text) => json_row::cells(text, self.line)?,
        };
        cells.retain(|(column, _)| is_column(column));
        Ok(cells)
    }
}

/// Whether a column of this name is one of the data.
pub(crate) fn is_column(name: &str) -> bool {
    !name.is_empty() && !rejects::OWN_COLUMNS.contains(&name)
}

/// A column's name on one line, as people write it in `--map`.
pub(crate) fn column_name(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}
