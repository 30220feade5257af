//! Reads a company's export (CSV, JSON, JSON Lines) and writes its rows into a business table.
//!
//! The modules follow a row: `source` reads it from the file in its `format` (`csv_rows`, `json_rows`, of
//! which `sample` reads some ahead), `plan` says once for the whole file which column becomes which
//! attribute (`nearest` for its hints), `rows` turns the row into an item by the rules of its `dataset`
//! and the forms of its `value`s or has a `reason` not to, and `write` brings the items into the table,
//! `batch` by batch. What is refused goes to `rejects`.
//!
//! Importing is safe to repeat: a row replaces the item of the same key, whole, and an item that is in
//! the table already is not written again.

mod batch;
mod csv_rows;
mod dataset;
mod date;
mod decimal;
mod format;
mod json_row;
mod json_rows;
mod nearest;
mod plan;
mod reason;
mod rejects;
mod rows;
mod sample;
mod source;
mod tap;
mod value;
mod write;

use std::io;
use std::path::PathBuf;

use aws_sdk_dynamodb::Client;
use serde::{Serialize, Serializer};

pub use batch::WriteError;
pub use dataset::Dataset;
pub use date::DateOrder;
pub use format::Format;
pub use plan::{MissingAttribute, PlanError};
pub use reason::Reason;
pub use source::SourceError;
pub use value::{Fault, STATUSES};

use batch::Target;
use plan::Plan;
use rejects::Rejects;
use source::Source;
use write::Writer;

/// What the caller says about the file beyond the file itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How the file is written.
    pub format: Format,
    /// `--map`: pairs of (column of the file, attribute it becomes). A column that no pair names
    /// becomes the attribute of its own name.
    pub map: Vec<(String, String)>,
    /// `--set`: pairs of (attribute, value) that every row gets. It wins over a column of the same
    /// attribute, whose values are then not looked at. The value obeys the rules of its attribute.
    pub set: Vec<(String, String)>,
    /// `--dates`: how dates are written that have the year last. Without it they are refused.
    pub dates: Option<DateOrder>,
    /// `--rejects`: a file to make for the rows that are refused, in the format [`Format::of_rejects`].
    pub rejects: Option<PathBuf>,
    /// `--dry-run`: checks everything and leaves the table as it is. The summary tells what would be.
    pub dry_run: bool,
}

/// What became of a file. `read` is always `written` + `unchanged` + `refused`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Rows in the file, without the header and blank lines.
    pub read: u64,
    /// Rows that changed the table. Of rows with the same key the last one stays; each of them counts.
    pub written: u64,
    /// Rows that the table had already.
    pub unchanged: u64,
    /// Rows that are not taken.
    pub refused: u64,
    /// The first hundred of them, in the order of the file.
    pub rejected: Vec<Rejected>,
}

/// A row that could not be taken. The rows around it are not affected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Rejected {
    /// The line of the file on which the row starts, from 1.
    pub line: u64,
    /// Why; serialised as its sentence.
    #[serde(serialize_with = "as_sentence")]
    pub reason: Reason,
}

fn as_sentence<S: Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reason)
}

impl Summary {
    fn reject(&mut self, rejected: Rejected) {
        const MOST_KEPT: usize = 100;
        self.refused += 1;
        if self.rejected.len() < MOST_KEPT {
            self.rejected.push(rejected);
        }
    }
}

/// Why an import ended early. `Display` is a whole sentence for the operator, with the cause in it.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file, the maps and the sets do not fit together. Nothing is written.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The file cannot be read on. Nothing is written if it is the header that cannot be read.
    #[error("{source}{}", written_before(*written))]
    Source {
        /// What is wrong with the file, and where.
        source: SourceError,
        /// Rows written before that place.
        written: u64,
    },
    /// The file of rejected rows cannot be made or written.
    #[error("{}: {}{}", path.display(), told(source), written_before(*written))]
    Rejects {
        /// That file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
        /// Rows written before that.
        written: u64,
    },
    /// The table does not take the rows.
    #[error("{source}{}", written_before(*written))]
    Write {
        /// What DynamoDB said.
        source: WriteError,
        /// Rows known to be written; batches that were under way may be in the table too.
        written: u64,
    },
}

fn written_before(rows: u64) -> String {
    match rows {
        0 => String::new(),
        rows => format!(" (rows written before that: {rows}; importing the file again is safe)"),
    }
}

fn told(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists => "the file exists already; move it away or name another one".to_owned(),
        _ => error.to_string(),
    }
}

/// Imports the file behind `reader` into `table`, a table with the keys of `dataset`.
///
/// The file is read row by row, at most four batches of 25 items ahead of the table, so its size does
/// not matter. `progress` is called with the total number of rows that are in the table so far, whenever
/// that grows. `reader` is read on the calling task: give it a file or memory, not a slow pipe. Must run
/// inside a tokio runtime with time enabled.
///
/// # Errors
///
/// [`ImportError`] for what concerns the whole file. A single bad row is not an error but is counted in
/// [`Summary::refused`].
pub async fn run(
    client: &Client,
    table: &str,
    dataset: Dataset,
    reader: impl io::Read,
    options: &Options,
    mut progress: impl FnMut(u64),
) -> Result<Summary, ImportError> {
    let mut source = Source::open(options.format, reader).map_err(|source| source_error(source, 0))?;
    let plan = Plan::new(dataset, &source.columns(), options)?;
    let mut rejects = match &options.rejects {
        Some(path) => Some(Rejects::create(path).map_err(|source| rejects_error(source, options, 0))?),
        None => None,
    };
    let (client, table) = (client.clone(), table.to_owned());
    let mut writer = Writer::new(Target { client, table, key: dataset.key(), dry_run: options.dry_run }, &mut progress);
    let mut summary = Summary::default();

    let end = loop {
        // A run of rejected rows never waits for the table: let the batches under way go on.
        tokio::task::consume_budget().await;
        let row = match source.next_row() {
            Ok(Some(row)) => row,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        summary.read += 1;
        match plan.item(&row) {
            Ok(item) => writer.put(item).await.map_err(|source| write_error(source, &writer))?,
            Err(reason) => {
                let rejected = Rejected { line: row.line, reason };
                if let Some(rejects) = &mut rejects {
                    let added = rejects.add(&row, &rejected);
                    added.map_err(|source| rejects_error(source, options, writer.written()))?;
                }
                summary.reject(rejected);
            }
        }
    };

    writer.flush().await.map_err(|source| write_error(source, &writer))?;
    (summary.written, summary.unchanged) = (writer.written(), writer.unchanged());
    end.map_err(|source| source_error(source, summary.written))?;
    Ok(summary)
}

fn source_error(source: SourceError, written: u64) -> ImportError {
    ImportError::Source { source, written }
}

fn rejects_error(source: io::Error, options: &Options, written: u64) -> ImportError {
    ImportError::Rejects { path: options.rejects.clone().unwrap_or_default(), source, written }
}

fn write_error<P>(source: WriteError, writer: &Writer<P>) -> ImportError
where
    P: FnMut(u64),
{
    ImportError::Write { source, written: writer.written() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_json_with_reasons_as_sentences() {
        let mut summary = Summary { read: 3, written: 1, unchanged: 1, ..Summary::default() };
        summary.reject(Rejected { line: 3, reason: Reason::Missing { attribute: "status".into() } });

        assert_eq!(
            serde_json::to_string(&summary).unwrap(),
            r#"{"read":3,"written":1,"unchanged":1,"refused":1,"rejected":[{"line":3,"reason":"`status` is missing"}]}"#
        );
    }

    #[test]
    fn a_summary_keeps_the_first_hundred_rejected_rows() {
        let mut summary = Summary::default();
        for line in 2..1000 {
            summary.reject(Rejected { line, reason: Reason::OpenQuote { lines: 1 } });
        }
        assert_eq!((summary.refused, summary.rejected.len(), summary.rejected[99].line), (998, 100, 101));
    }
}
