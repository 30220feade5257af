//! Reads the first rows of a JSON file ahead: objects have no header, and what the columns are has to be
//! known before anything is written.

use std::collections::{HashSet, VecDeque};
use std::io::Read;
use std::sync::Arc;

use crate::json_rows::JsonRows;
use crate::source::{Columns, Original, Row, SourceError};

/// Rows whose first ones have been read ahead, to know the columns before anything is written.
pub(crate) struct Sampled<R> {
    rows: JsonRows<R>,
    ahead: VecDeque<Row>,
    columns: Vec<Arc<str>>,
    first: Option<usize>,
    /// What came after the sample instead of a row.
    end: Option<SourceError>,
}

impl<R: Read> Sampled<R> {
    pub(crate) fn open(mut rows: JsonRows<R>) -> Result<Self, SourceError> {
        const MOST_ROWS: usize = 1000;
        const MOST_BYTES: usize = 4 << 20;
        let mut sample = Sample::default();
        while sample.ahead.len() < MOST_ROWS && sample.bytes < MOST_BYTES {
            match rows.next_row() {
                Ok(Some(row)) => sample.add(row),
                Ok(None) => return Ok(Self::new(rows, sample, None, None)),
                // The rows before the trouble go in, as they would without a sample.
                Err(error) if !sample.ahead.is_empty() => return Ok(Self::new(rows, sample, None, Some(error))),
                Err(error) => return Err(error),
            }
        }
        let first = sample.ahead.len();
        Ok(Self::new(rows, sample, Some(first), None))
    }

    fn new(rows: JsonRows<R>, sample: Sample, first: Option<usize>, end: Option<SourceError>) -> Self {
        Self { rows, ahead: sample.ahead, columns: sample.columns, first, end }
    }

    /// The columns of the sample.
    pub(crate) fn columns(&self) -> Columns {
        Columns::Seen { names: self.columns.clone(), first: self.first }
    }

    /// The next row; `None` at the end of the file.
    pub(crate) fn next_row(&mut self) -> Result<Option<Row>, SourceError> {
        match (self.ahead.pop_front(), self.end.take()) {
            (Some(row), end) => {
                self.end = end;
                Ok(Some(row))
            }
            (None, Some(error)) => Err(error),
            (None, None) => self.rows.next_row(),
        }
    }
}

#[derive(Default)]
struct Sample {
    ahead: VecDeque<Row>,
    bytes: usize,
    columns: Vec<Arc<str>>,
    known: HashSet<Arc<str>>,
}

impl Sample {
    fn add(&mut self, row: Row) {
        if let Original::Json(text) = &row.original {
            self.bytes += text.len();
        }
        for (column, _) in row.cells().unwrap_or_default() {
            if !self.known.contains(&*column) {
                let column: Arc<str> = column.into();
                self.known.insert(Arc::clone(&column));
                self.columns.push(column);
            }
        }
        self.ahead.push_back(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;
    use crate::source::Source;

    #[test]
    fn the_columns_are_those_of_the_first_thousand_rows() {
        let columns = |text: &str| Source::open(Format::JsonLines, text.as_bytes()).unwrap().columns();
        let seen =
            |names: &[&str], first| Columns::Seen { names: names.iter().map(|&name| name.into()).collect(), first };

        assert_eq!(columns("{\"a\":1}\nx\n{\"b\":1,\"a\":2}\n"), seen(&["a", "b"], None));
        let long = format!("{}{{\"b\":1}}\n", "{\"a\":1}\n".repeat(1000));
        assert_eq!(columns(&long), seen(&["a"], Some(1000)));

        let mut source = Source::open(Format::JsonLines, long.as_bytes()).unwrap();
        assert_eq!(std::iter::from_fn(|| source.next_row().unwrap()).count(), 1001);
    }
}
