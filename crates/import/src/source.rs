//! Reads rows from a CSV file (RFC 4180): text by column, with the line where the row starts.
//!
//! The `csv` crate parses; its own line numbers are not used, for they point to the blank lines before
//! a row and lag behind in files with CRLF. A [`Tap`] under the parser remembers where lines end.

use std::collections::VecDeque;
use std::io::{self, Chain, Cursor, Read};
use std::sync::Arc;

use csv::ByteRecord;

use crate::Rejected;
use crate::rows::Reason;

/// A row of a file, not looked into yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The line of the file on which it starts, from 1.
    pub(crate) line: u64,
    /// Column and text, in the order of the file.
    pub(crate) cells: Vec<(Arc<str>, String)>,
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file has no line with text.
    #[error("the file is empty: its first line must name the columns")]
    NoHeader,
    /// One column whose name holds another delimiter.
    #[error("the columns of the file are separated by {0:?}, not by commas: export it comma-separated")]
    Delimiter(char),
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

/// The rows of a CSV file, one at a time.
pub(crate) struct CsvSource<R> {
    csv: csv::Reader<Tap<Chain<Cursor<Vec<u8>>, R>>>,
    /// The names of all columns, some of them empty.
    header: Vec<Arc<str>>,
    /// Those that are not.
    columns: Vec<Arc<str>>,
    record: ByteRecord,
    line: u64,
}

impl<R: Read> CsvSource<R> {
    /// Reads the header. Names are trimmed, and white space in them is one space each.
    pub(crate) fn open(reader: R) -> Result<Self, SourceError> {
        let reader = without_byte_order_mark(reader).map_err(|source| SourceError::Read { line: 0, source })?;
        let csv = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(Tap::new(reader));
        let mut source = Self { csv, header: Vec::new(), columns: Vec::new(), record: ByteRecord::new(), line: 0 };

        let header = source.read_record()?.ok_or(SourceError::NoHeader)?;
        source.header = header.texts.iter().map(|name| column_name(name)).collect();
        if let [only] = &*source.header
            && let Some(delimiter) = header.texts[0].chars().find(|c| matches!(c, ';' | '\t' | '|'))
            && !only.is_empty()
        {
            return Err(SourceError::Delimiter(delimiter));
        }
        source.columns = source.header.iter().filter(|name| !name.is_empty()).cloned().collect();
        Ok(source)
    }

    /// The names of the columns in the order of the file. Columns without a name (a comma at the end
    /// of every line is common) are not among them, and not in the rows.
    pub(crate) fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    /// The next row; `None` at the end of the file. A row of another length than the header is rejected.
    pub(crate) fn next_row(&mut self) -> Result<Option<Result<Row, Rejected>>, SourceError> {
        let Some(Record { line, lines, texts }) = self.read_record()? else {
            return Ok(None);
        };
        if self.csv.get_ref().ended_in_quote(&texts) {
            return Ok(Some(Err(Rejected { line, reason: Reason::OpenQuote { lines } })));
        }
        if texts.len() != self.header.len() {
            let reason = Reason::FieldCount { found: texts.len(), expected: self.header.len(), lines };
            return Ok(Some(Err(Rejected { line, reason })));
        }
        let named = |(column, _): &(Arc<str>, String)| !column.is_empty();
        let cells = self.header.iter().cloned().zip(texts).filter(named).collect();
        Ok(Some(Ok(Row { line, cells })))
    }

    fn read_record(&mut self) -> Result<Option<Record>, SourceError> {
        let found = match self.csv.read_byte_record(&mut self.record) {
            Ok(found) => found,
            Err(error) => return Err(self.read_error(error)),
        };
        if !found {
            return Ok(None);
        }
        let end = self.csv.position().byte();
        let last = self.csv.get_mut().line_of_row_end(end);
        let breaks = count_line_breaks(self.record.as_slice());
        let line = last - breaks;
        self.line = last;
        let texts = texts(&self.record, line)?;
        Ok(Some(Record { line, lines: breaks + 1, texts }))
    }

    fn read_error(&self, error: csv::Error) -> SourceError {
        if self.csv.get_ref().is_exhausted() {
            return SourceError::Endless { line: self.line + 1 };
        }
        SourceError::Read { line: self.line, source: error.into() }
    }
}

/// A row as the parser found it.
struct Record {
    line: u64,
    lines: u64,
    texts: Vec<String>,
}

/// The parser takes a byte order mark away only when the first read brings all of it.
fn without_byte_order_mark<R: Read>(mut reader: R) -> io::Result<Chain<Cursor<Vec<u8>>, R>> {
    const MARK: &[u8] = b"\xEF\xBB\xBF";
    let mut start = Vec::new();
    reader.by_ref().take(MARK.len() as u64).read_to_end(&mut start)?;
    if start == MARK {
        start.clear();
    }
    Ok(Cursor::new(start).chain(reader))
}

fn column_name(text: &str) -> Arc<str> {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ").into()
}

fn texts(record: &ByteRecord, line: u64) -> Result<Vec<String>, SourceError> {
    let mut breaks = 0;
    record
        .iter()
        .map(|field| match str::from_utf8(field) {
            Ok(text) => {
                breaks += count_line_breaks(field);
                Ok(text.to_owned())
            }
            Err(error) => {
                let line = line + breaks + count_line_breaks(&field[..error.valid_up_to()]);
                Err(SourceError::NotUtf8 { line })
            }
        })
        .collect()
}

fn count_line_breaks(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Sees every byte before the parser does: remembers where lines end until the parser has passed, and
/// stops a row without end (a quote that is never closed) before it fills the memory.
struct Tap<R> {
    inner: R,
    /// Bytes seen.
    offset: u64,
    /// Offsets of the line ends that the parser has not passed.
    line_ends: VecDeque<u64>,
    /// Line ends that the parser has passed.
    lines_passed: u64,
    /// Bytes passed by the parser.
    passed: u64,
    /// Whether the parser has been told that the file is at its end. It asks only within a row.
    ended: bool,
    last_byte: u8,
}

impl<R> Tap<R> {
    fn new(inner: R) -> Self {
        Self { inner, offset: 0, line_ends: VecDeque::new(), lines_passed: 0, passed: 0, ended: false, last_byte: 0 }
    }

    /// The line (from 1) on which a row ends that the parser has read up to `offset`. The line end
    /// there is part of that line, unless the file ended first: then it is within an unclosed quote.
    /// Offsets must not decrease from call to call.
    fn line_of_row_end(&mut self, offset: u64) -> u64 {
        self.passed = offset;
        let below = if self.ended { offset } else { offset.saturating_sub(1) };
        while self.line_ends.front().is_some_and(|end| *end < below) {
            self.line_ends.pop_front();
            self.lines_passed += 1;
        }
        self.lines_passed + 1
    }

    /// Whether the row just read is the last one and has a quote that is not closed: it ended with the
    /// file, and its last text has a line break, which must be quoted, yet no quote comes last.
    fn ended_in_quote(&self, texts: &[String]) -> bool {
        self.ended && self.last_byte != b'"' && texts.last().is_some_and(|text| text.contains('\n'))
    }

    fn is_exhausted(&self) -> bool {
        // Above the largest item (400 KB) with its quotes doubled, and the parser's read ahead.
        const LONGEST_ROW: u64 = 1 << 20;
        self.offset - self.passed > LONGEST_ROW
    }
}

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_exhausted() {
            return Err(io::Error::other("a row without end"));
        }
        let count = self.inner.read(buffer)?;
        let ends = (self.offset..).zip(&buffer[..count]).filter(|(_, byte)| **byte == b'\n');
        self.line_ends.extend(ends.map(|(offset, _)| offset));
        self.offset += count as u64;
        self.last_byte = buffer[..count].last().copied().unwrap_or(self.last_byte);
        self.ended = count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, as a pipe may.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = 1.min(buffer.len());
            self.0.read(&mut buffer[..count])
        }
    }

    fn lines<R: Read>(reader: R) -> Vec<(u64, String)> {
        let mut source = CsvSource::open(reader).unwrap();
        let mut lines = Vec::new();
        while let Some(row) = source.next_row().unwrap() {
            let row = row.unwrap();
            lines.push((row.line, row.cells[0].1.clone()));
        }
        lines
    }

    fn failure(bytes: &[u8]) -> String {
        let mut source = match CsvSource::open(bytes) {
            Ok(source) => source,
            Err(error) => return error.to_string(),
        };
        loop {
            match source.next_row() {
                Ok(row) => assert!(row.is_some(), "no failure"),
                Err(error) => return error.to_string(),
            }
        }
    }

    #[test]
    fn rows_carry_their_columns_and_line() {
        let mut source = CsvSource::open("a,b\n1,\"x, \"\"y\"\"\"\n".as_bytes()).unwrap();
        let cells = vec![("a".into(), "1".into()), ("b".into(), "x, \"y\"".into())];

        assert_eq!(source.columns(), [Arc::from("a"), Arc::from("b")]);
        assert_eq!(source.next_row().unwrap(), Some(Ok(Row { line: 2, cells })));
        assert_eq!(source.next_row().unwrap(), None);
    }

    #[test]
    fn lines_are_those_of_the_file_whatever_its_line_ends() {
        let unix = "a,b\n1,x\n\n\n2,\"x\n\ny\"\n3,x\n4,\"\n\"\n\n5,x";
        let expected = [(2, "1"), (5, "2"), (8, "3"), (9, "4"), (12, "5")].map(|(line, id)| (line, id.to_owned()));

        for text in [unix.to_owned(), unix.replace('\n', "\r\n"), format!("{unix}\n\n"), format!("\u{feff}{unix}")] {
            assert_eq!(lines(text.as_bytes()), expected, "{text:?}");
            assert_eq!(lines(Dribble(text.as_bytes())), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_stay_right_over_many_buffers() {
        let mut text = String::from("a,b\r\n");
        for row in 0..20_000 {
            text += &format!("{},\"x\r\ny\"\r\n", 2 + 2 * row);
        }
        let lines = lines(text.as_bytes());
        assert_eq!(lines.len(), 20_000);
        assert!(lines.iter().all(|(line, id)| line.to_string() == *id));
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_first_column() {
        for text in ["\u{feff}a,b\n1,2\n", "\u{feff}\"a\",b\n1,2\n"] {
            assert_eq!(&*CsvSource::open(text.as_bytes()).unwrap().columns()[0], "a");
            assert_eq!(&*CsvSource::open(Dribble(text.as_bytes())).unwrap().columns()[0], "a");
        }
    }

    #[test]
    fn column_names_are_one_line_and_columns_without_one_are_left_out() {
        let mut source = CsvSource::open("\" Order\n ID \",,b,\n1,2,3,\n".as_bytes()).unwrap();
        assert_eq!(source.columns(), [Arc::from("Order ID"), Arc::from("b")]);

        let cells = vec![("Order ID".into(), "1".into()), ("b".into(), "3".into())];
        assert_eq!(source.next_row().unwrap(), Some(Ok(Row { line: 3, cells })));
    }

    #[test]
    fn a_row_of_another_length_is_rejected_and_the_next_is_read() {
        let mut source = CsvSource::open("a,b\n1\n1,2,3\n\"1\n\n2\"\n1,2\n".as_bytes()).unwrap();
        let rejections: Vec<String> =
            (0..3).map(|_| source.next_row().unwrap().unwrap().unwrap_err().to_string()).collect();
        assert_eq!(
            rejections,
            [
                "line 2: the number of fields is 1, the header has 2",
                "line 3: the number of fields is 3, the header has 2",
                "line 4: the number of fields is 1, the header has 2 (over 3 lines: is a quote not closed?)",
            ]
        );
        assert_eq!(source.next_row().unwrap().unwrap().unwrap().line, 7);
    }

    #[test]
    fn a_row_that_swallows_the_rest_of_the_file_is_rejected_with_its_line() {
        let cases = [("a,b\n1,x\n2,\"x\n3,x\n\n", 4), ("a,b\r\n1,x\r\n2,\"x\r\n3,x", 2), ("a,b\r\n\n2,\"x\r\n", 2)];
        for (text, lines) in cases {
            for reader in [&mut text.as_bytes() as &mut dyn Read, &mut Dribble(text.as_bytes())] {
                let mut source = CsvSource::open(reader).unwrap();
                let rows = std::iter::from_fn(|| source.next_row().unwrap());
                let expected = Rejected { line: 3, reason: Reason::OpenQuote { lines } };
                assert_eq!(rows.last(), Some(Err(expected)), "{text:?}");
            }
        }
    }

    #[test]
    fn a_closed_quote_at_the_end_of_the_file_is_fine() {
        for text in ["a,b\n1,\"x\n\"", "a,b\n1,\"x\n\"\n", "a,b\n1,\"x\ny\"\r\n\r\n", "a,b\n\"1\",\"x\ny\""] {
            assert_eq!(lines(text.as_bytes()), [(2, "1".to_owned())], "{text:?}");
            assert_eq!(lines(Dribble(text.as_bytes())), [(2, "1".to_owned())], "{text:?}");
        }
    }

    #[test]
    fn a_file_without_a_header_is_refused() {
        for text in ["", "\n\n", "\u{feff}"] {
            assert!(failure(text.as_bytes()).starts_with("the file is empty"), "{text:?}");
        }
    }

    #[test]
    fn another_delimiter_is_named() {
        assert!(failure(b"order_id;status\n1;SHIPPED\n").contains("separated by ';', not by commas"));
        assert!(failure(b"order_id\tstatus\n1\tSHIPPED\n").contains(r"separated by '\t', not by commas"));
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused_with_their_line() {
        assert_eq!(failure(b"a,b\n1,\"x\ny\"\n2,\"x\n\xe9\"\n"), "line 5: not UTF-8 text: export the file as UTF-8");
        assert!(failure(b"\xff\xfea\0,\0b\0").starts_with("line 1: not UTF-8"));
        // Two halves of a character in two fields are no character.
        assert!(failure(b"a,b\n\xc3,\xa9\n").starts_with("line 2: not UTF-8"));
    }

    #[test]
    fn a_quote_that_is_never_closed_does_not_fill_the_memory() {
        let text = format!("a,b\n1,x\n2,\"x\n{}", "1,x\n".repeat(1_000_000));
        assert!(failure(text.as_bytes()).starts_with("line 3: the row that starts here does not end within 1 MB"));
    }

    #[test]
    fn a_failing_disk_is_reported_with_the_last_good_line() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("disk on fire"))
            }
        }
        let mut source = CsvSource::open("a\n1\n".as_bytes().chain(Broken)).unwrap();
        assert!(source.next_row().unwrap().unwrap().is_ok());
        let error = source.next_row().unwrap_err();
        assert_eq!(error.to_string(), "the file cannot be read after line 2: disk on fire");
    }
}
