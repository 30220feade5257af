//! Reads rows from a CSV file (RFC 4180): text by column, with the line where the row starts.
//!
//! The `csv` crate parses; its own line numbers are not used, for they point to the blank lines before
//! a row and lag behind in files with CRLF. A [`Tap`] under the parser remembers where lines end.

use std::io::Read;
use std::sync::Arc;

use csv::ByteRecord;

use crate::reason::Reason;
use crate::source::{Columns, Original, Row, SourceError, Text, column_name, is_column};
use crate::tap::Tap;

/// The rows of a CSV file, one at a time.
pub(crate) struct CsvRows<R> {
    csv: csv::Reader<Tap<Text<R>>>,
    /// The names of all columns, some of them empty.
    header: Arc<[Arc<str>]>,
    record: ByteRecord,
    line: u64,
}

impl<R: Read> CsvRows<R> {
    /// Reads the header. Names are trimmed, and white space in them is one space each.
    pub(crate) fn open(reader: Text<R>) -> Result<Self, SourceError> {
        let csv = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(Tap::new(reader));
        let mut rows = Self { csv, header: Arc::new([]), record: ByteRecord::new(), line: 0 };

        let header = rows.read_record()?.ok_or(SourceError::NoHeader)?;
        rows.header = header.texts.iter().map(|name| column_name(name).into()).collect();
        if let [only] = &*rows.header
            && let Some(delimiter) = header.texts[0].chars().find(|c| matches!(c, ';' | '\t' | '|'))
            && !only.is_empty()
        {
            return Err(SourceError::Delimiter(delimiter));
        }
        Ok(rows)
    }

    /// The names of the columns in the order of the file. Columns without a name (a comma at the end
    /// of every line is common) are not among them.
    pub(crate) fn columns(&self) -> Columns {
        Columns::Header(self.header.iter().filter(|name| is_column(name)).cloned().collect())
    }

    /// The next row; `None` at the end of the file. A row of another length than the header has a fault.
    pub(crate) fn next_row(&mut self) -> Result<Option<Row>, SourceError> {
        let Some(Record { line, lines, texts }) = self.read_record()? else {
            return Ok(None);
        };
        let fault = if self.csv.get_ref().ended_in_quote(&texts) {
            Some(Reason::OpenQuote { lines })
        } else if texts.len() != self.header.len() {
            Some(Reason::FieldCount { found: texts.len(), expected: self.header.len(), lines })
        } else {
            None
        };
        Ok(Some(Row { line, original: Original::Fields { header: Arc::clone(&self.header), texts, fault } }))
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::io;

    use super::*;
    use crate::Format;
    use crate::Rejected;
    use crate::source::{Cell, Source};

    /// Gives one byte at a time, as a pipe may.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = 1.min(buffer.len());
            self.0.read(&mut buffer[..count])
        }
    }

    fn open<R: Read>(reader: R) -> Result<Source<R>, SourceError> {
        Source::open(Format::Csv, reader)
    }

    fn text<'a>(cell: &'a Cell<'_>) -> &'a str {
        match cell {
            Cell::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    /// The line of a row, and its columns and texts.
    type Texts = (u64, Vec<(String, String)>);

    /// The next row.
    fn next<R: Read>(source: &mut Source<R>) -> Option<Result<Texts, Rejected>> {
        let row = source.next_row().unwrap()?;
        let owned = |(column, cell): &(Cow<'_, str>, Cell<'_>)| (column.to_string(), text(cell).to_owned());
        let cells = row.cells().map(|cells| (row.line, cells.iter().map(owned).collect()));
        Some(cells.map_err(|reason| Rejected { line: row.line, reason }))
    }

    fn lines<R: Read>(reader: R) -> Vec<(u64, String)> {
        let mut source = open(reader).unwrap();
        let mut lines = Vec::new();
        while let Some(row) = source.next_row().unwrap() {
            let (_, cell) = row.cells().unwrap().remove(0);
            lines.push((row.line, text(&cell).to_owned()));
        }
        lines
    }

    fn failure(bytes: &[u8]) -> String {
        let mut source = match open(bytes) {
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
        let mut source = open("a,b\n1,\"x, \"\"y\"\"\"\n".as_bytes()).unwrap();
        let cells = vec![("a".into(), "1".into()), ("b".into(), "x, \"y\"".into())];

        assert_eq!(source.columns().names(), [Arc::from("a"), Arc::from("b")]);
        assert_eq!(next(&mut source), Some(Ok((2, cells))));
        assert_eq!(next(&mut source), None);
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
            assert_eq!(&*open(text.as_bytes()).unwrap().columns().names()[0], "a");
            assert_eq!(&*open(Dribble(text.as_bytes())).unwrap().columns().names()[0], "a");
        }
    }

    #[test]
    fn column_names_are_one_line_and_columns_without_one_are_left_out() {
        let mut source = open("\" Order\n ID \",,b,\n1,2,3,\n".as_bytes()).unwrap();
        assert_eq!(source.columns().names(), [Arc::from("Order ID"), Arc::from("b")]);

        let cells = vec![("Order ID".into(), "1".into()), ("b".into(), "3".into())];
        assert_eq!(next(&mut source), Some(Ok((3, cells))));
    }

    #[test]
    fn a_row_of_another_length_is_rejected_and_the_next_is_read() {
        let mut source = open("a,b\n1\n1,2,3\n\"1\n\n2\"\n1,2\n".as_bytes()).unwrap();
        let rejections: Vec<String> = (0..3).map(|_| next(&mut source).unwrap().unwrap_err().to_string()).collect();
        assert_eq!(
            rejections,
            [
                "line 2: the number of fields is 1, the header has 2",
                "line 3: the number of fields is 3, the header has 2",
                "line 4: the number of fields is 1, the header has 2 (over 3 lines: is a quote not closed?)",
            ]
        );
        assert_eq!(next(&mut source).unwrap().unwrap().0, 7);
    }

    #[test]
    fn a_row_that_swallows_the_rest_of_the_file_is_rejected_with_its_line() {
        let cases = [("a,b\n1,x\n2,\"x\n3,x\n\n", 4), ("a,b\r\n1,x\r\n2,\"x\r\n3,x", 2), ("a,b\r\n\n2,\"x\r\n", 2)];
        for (text, lines) in cases {
            for reader in [&mut text.as_bytes() as &mut dyn Read, &mut Dribble(text.as_bytes())] {
                let mut source = open(reader).unwrap();
                let rows = std::iter::from_fn(|| next(&mut source));
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
        let mut source = open("a\n1\n".as_bytes().chain(Broken)).unwrap();
        assert!(next(&mut source).unwrap().is_ok());
        let error = source.next_row().unwrap_err();
        assert_eq!(error.to_string(), "the file cannot be read after line 2: disk on fire");
    }
}
