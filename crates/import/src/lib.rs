//! Reads a company's CSV export and writes its rows into a business table.
//!
//! The modules follow a row: `source` reads it from the file, `plan` says once for the whole file
//! which column becomes which attribute (`nearest` for its hints), `rows` turns the row into an item
//! by the rules of its `dataset` and the forms of its `value`s, and `write` puts the items into the table.
//!
//! Importing is safe to repeat: a row replaces the item of the same key, whole.

mod dataset;
mod nearest;
mod plan;
mod rows;
mod source;
mod value;
mod write;

use std::io;

use aws_sdk_dynamodb::Client;
use serde::{Serialize, Serializer};

pub use dataset::Dataset;
pub use plan::{MissingAttribute, PlanError};
pub use rows::Reason;
pub use source::SourceError;
pub use value::{Fault, STATUSES};
pub use write::WriteError;

use plan::Plan;
use source::CsvSource;
use write::Writer;

/// What the caller says about the file beyond the file itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--map`: pairs of (column of the file, attribute it becomes). A column that no pair names
    /// becomes the attribute of its own name.
    pub map: Vec<(String, String)>,
    /// `--set`: pairs of (attribute, value) that every row gets. It wins over a column of the same
    /// attribute, whose values are then not looked at. The value obeys the rules of its attribute.
    pub set: Vec<(String, String)>,
}

/// What became of a file. `read` is always `written` + the number of `rejected`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Rows in the file, without the header and blank lines.
    pub read: u64,
    /// Rows that went into the table. Of rows with the same key the last one stays; each of them counts.
    pub written: u64,
    /// Rows that did not, in the order of the file.
    pub rejected: Vec<Rejected>,
}

/// A row that could not be taken. The rows around it are not affected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Rejected {
    /// The line of the file on which the row starts; the header is on line 1.
    pub line: u64,
    /// Why; serialised as its sentence.
    #[serde(serialize_with = "as_sentence")]
    pub reason: Reason,
}

fn as_sentence<S: Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reason)
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

/// Imports the CSV file behind `reader` into `table`, a table with the keys of `dataset`.
///
/// The file is read row by row, at most four batches of 25 items ahead of the table, so its size does
/// not matter; only the [`Rejected`] rows are kept. `progress` is called with the total number of rows
/// written so far, whenever that grows. `reader` is read on the calling task: give it a file or
/// memory, not a slow pipe. Must run inside a tokio runtime with time enabled.
///
/// # Errors
///
/// [`ImportError`] for what concerns the whole file. A single bad row is not an error but is listed in
/// [`Summary::rejected`].
pub async fn run(
    client: &Client,
    table: &str,
    dataset: Dataset,
    reader: impl io::Read,
    options: &Options,
    mut progress: impl FnMut(u64),
) -> Result<Summary, ImportError> {
    let mut source = CsvSource::open(reader).map_err(|source| ImportError::Source { source, written: 0 })?;
    let plan = Plan::new(dataset, source.columns(), options)?;
    let mut writer = Writer::new(client, table, dataset.key(), &mut progress);
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
        let taken = row.and_then(|row| plan.item(&row).map_err(|reason| Rejected { line: row.line, reason }));
        match taken {
            Ok(item) => writer.put(item).await.map_err(|source| write_error(source, &writer))?,
            Err(rejected) => summary.rejected.push(rejected),
        }
    };

    writer.flush().await.map_err(|source| write_error(source, &writer))?;
    summary.written = writer.written();
    end.map_err(|source| ImportError::Source { source, written: summary.written })?;
    Ok(summary)
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
        let rejected = vec![Rejected { line: 3, reason: Reason::Missing { attribute: "status".into() } }];
        let summary = Summary { read: 2, written: 1, rejected };

        assert_eq!(
            serde_json::to_string(&summary).unwrap(),
            r#"{"read":2,"written":1,"rejected":[{"line":3,"reason":"`status` is missing"}]}"#
        );
    }
}
