//! Finds the rows of a JSON file without reading the file whole: the values of an array, values one after
//! another, or lines. Only the brackets and texts of a value are looked at here; `json_row` looks into it,
//! so that most broken rows are refused alone.

use std::io::{self, BufRead, BufReader, Read};

use crate::source::{LONGEST_ROW, Original, Row, SourceError, Text};

/// The rows of a JSON file, one at a time.
pub(crate) struct JsonRows<R> {
    reader: BufReader<Text<R>>,
    /// The line of the next byte.
    line: u64,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first byte of a document.
    Start,
    /// After the `[`.
    Opened,
    /// After a value of the array.
    InArray,
    /// Between values that are in no array.
    InSequence,
    /// After the `]`.
    Closed,
    /// At the start of the first line.
    FirstLine,
    /// At the start of another one.
    Line,
}

impl<R: Read> JsonRows<R> {
    /// An array, or objects one after another with white space between them, as `jq` writes them.
    pub(crate) fn in_a_document(reader: Text<R>) -> Self {
        Self { reader: BufReader::new(reader), line: 1, place: Place::Start }
    }

    /// A value a line.
    pub(crate) fn on_lines(reader: Text<R>) -> Self {
        Self { reader: BufReader::new(reader), line: 1, place: Place::FirstLine }
    }

    /// The next row; `None` at the end of the file.
    pub(crate) fn next_row(&mut self) -> Result<Option<Row>, SourceError> {
        let follows = match self.next_byte()? {
            Some(byte) => self.enter(byte)?,
            None => self.end()?,
        };
        if !follows {
            return Ok(None);
        }
        let line = self.line;
        let bytes = match self.place {
            Place::FirstLine | Place::Line => self.line_of_text(line)?,
            _ => self.value(line)?,
        };
        self.place = match self.place {
            Place::FirstLine | Place::Line => Place::Line,
            Place::Opened | Place::InArray => Place::InArray,
            place => place,
        };
        Ok(Some(Row { line, original: Original::Json(text(bytes, line)?) }))
    }

    /// Goes on to the first byte of a value, which is not taken yet, if one follows.
    fn enter(&mut self, byte: u8) -> Result<bool, SourceError> {
        match (self.place, byte) {
            (Place::Start, b'[') => {
                self.take(byte);
                self.place = Place::Opened;
                match self.next_byte()? {
                    Some(byte) => self.enter(byte),
                    None => self.end(),
                }
            }
            (Place::Start, b'{') => {
                self.place = Place::InSequence;
                Ok(true)
            }
            (Place::Start, _) => Err(self.unexpected("the file is not JSON: an array of objects is expected")),
            (Place::Opened | Place::InArray, b']') => {
                self.take(byte);
                self.place = Place::Closed;
                match self.next_byte()? {
                    Some(_) => Err(self.unexpected("the array has ended, but the file goes on")),
                    None => Ok(false),
                }
            }
            (Place::InArray, b',') => {
                self.take(byte);
                match self.next_byte()? {
                    Some(b']' | b',') => Err(self.unexpected("a row is expected after the comma")),
                    Some(_) => Ok(true),
                    None => self.end(),
                }
            }
            (Place::InArray, _) => Err(self.unexpected("a comma or the end of the array is expected after a row")),
            (Place::FirstLine, b'[') => {
                Err(self.unexpected("the file is an array, not an object a line: say --format json"))
            }
            _ => Ok(true),
        }
    }

    /// The file has no more bytes.
    fn end(&self) -> Result<bool, SourceError> {
        match self.place {
            Place::Start => Err(self.unexpected("the file is empty: an array of objects is expected")),
            Place::Opened | Place::InArray => Err(self.unexpected("the file ends within the array")),
            _ => Ok(false),
        }
    }

    fn unexpected(&self, what: &'static str) -> SourceError {
        SourceError::Json { line: self.line, what }
    }

    /// The next byte that is not white space; it is not taken.
    fn next_byte(&mut self) -> Result<Option<u8>, SourceError> {
        loop {
            match self.peek()? {
                Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) => self.take(byte),
                other => return Ok(other),
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, SourceError> {
        loop {
            match self.reader.fill_buf() {
                Ok(bytes) => return Ok(bytes.first().copied()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(SourceError::Read { line: self.line - 1, source }),
            }
        }
    }

    fn take(&mut self, byte: u8) {
        self.reader.consume(1);
        self.line += u64::from(byte == b'\n');
    }

    /// The rest of the line.
    fn line_of_text(&mut self, line: u64) -> Result<Vec<u8>, SourceError> {
        let mut bytes = Vec::new();
        while let Some(byte) = self.peek()? {
            self.take(byte);
            match byte {
                b'\n' => break,
                byte => push(&mut bytes, byte, line)?,
            }
        }
        bytes.truncate(bytes.trim_ascii_end().len());
        Ok(bytes)
    }

    /// A value: up to the bracket that closes its first one, or up to what cannot be part of it.
    fn value(&mut self, line: u64) -> Result<Vec<u8>, SourceError> {
        let mut bytes = Vec::new();
        let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
        while let Some(byte) = self.peek()? {
            let ends_a_bare_value = matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
            if depth == 0 && !in_text && ends_a_bare_value && !bytes.is_empty() {
                return Ok(bytes);
            }
            self.take(byte);
            push(&mut bytes, byte, line)?;
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = in_text,
                b'"' => in_text = !in_text,
                b'{' | b'[' if !in_text => depth += 1,
                b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && !in_text && matches!(byte, b'}' | b']') {
                return Ok(bytes);
            }
        }
        match depth > 0 || in_text {
            true => Err(SourceError::Json { line, what: "the row that starts here does not end" }),
            false => Ok(bytes),
        }
    }
}

fn push(bytes: &mut Vec<u8>, byte: u8, line: u64) -> Result<(), SourceError> {
    if bytes.len() == LONGEST_ROW {
        return Err(SourceError::Endless { line });
    }
    bytes.push(byte);
    Ok(())
}

fn text(bytes: Vec<u8>, line: u64) -> Result<String, SourceError> {
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        SourceError::NotUtf8 { line: line + before.iter().filter(|byte| **byte == b'\n').count() as u64 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;
    use crate::source::Source;

    /// Gives one byte at a time, as a pipe may.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = 1.min(buffer.len());
            self.0.read(&mut buffer[..count])
        }
    }

    fn read<R: Read>(format: Format, reader: R) -> (Vec<(u64, String)>, Option<String>) {
        let mut rows = Vec::new();
        let mut source = match Source::open(format, reader) {
            Ok(source) => source,
            Err(error) => return (rows, Some(error.to_string())),
        };
        loop {
            match source.next_row() {
                Ok(Some(Row { line, original: Original::Json(text) })) => rows.push((line, text)),
                Ok(Some(row)) => panic!("{row:?}"),
                Ok(None) => return (rows, None),
                Err(error) => return (rows, Some(error.to_string())),
            }
        }
    }

    #[track_caller]
    fn finds(format: Format, text: &str, expected: &[(u64, &str)]) {
        let expected: Vec<(u64, String)> = expected.iter().map(|(line, text)| (*line, text.to_string())).collect();
        for text in [text.to_owned(), format!("\u{feff}{text}"), text.replace('\n', "\r\n")] {
            let expected: Vec<_> = match text.contains('\r') {
                true => expected.iter().map(|(line, row)| (*line, row.replace('\n', "\r\n"))).collect(),
                false => expected.clone(),
            };
            assert_eq!(read(format, text.as_bytes()), (expected.clone(), None), "{text:?}");
            assert_eq!(read(format, Dribble(text.as_bytes())), (expected, None), "{text:?}");
        }
    }

    fn failure(format: Format, bytes: &[u8]) -> (usize, String) {
        let (rows, error) = read(format, bytes);
        (rows.len(), error.expect("the file has a fault"))
    }

    #[test]
    fn the_values_of_an_array_are_rows_with_their_lines() {
        finds(Format::Json, "[]", &[]);
        finds(Format::Json, "\n[\n]\n", &[]);
        finds(Format::Json, "[{\"a\":1},{\"a\":2}]", &[(1, "{\"a\":1}"), (1, "{\"a\":2}")]);
        finds(
            Format::Json,
            "[\n  {\n    \"a\": \"]}\\\"{\\\\\"\n  },\n\n  {\"b\": [{}, []]} ,\n5, null,\"x,y\" ]\n",
            &[
                (2, "{\n    \"a\": \"]}\\\"{\\\\\"\n  }"),
                (6, "{\"b\": [{}, []]}"),
                (7, "5"),
                (7, "null"),
                (7, "\"x,y\""),
            ],
        );
    }

    #[test]
    fn objects_one_after_another_are_rows_too() {
        finds(
            Format::Json,
            "{\n\"a\":1}\n{\"a\":2}{\"a\":3}\n",
            &[(1, "{\n\"a\":1}"), (3, "{\"a\":2}"), (3, "{\"a\":3}")],
        );
    }

    #[test]
    fn lines_are_rows_and_a_broken_one_does_not_touch_the_next() {
        finds(Format::JsonLines, "", &[]);
        finds(
            Format::JsonLines,
            "{\"a\":1}\n\n  {\"a\": \n[1]\nx\n{\"a\":2} ",
            &[(1, "{\"a\":1}"), (3, "{\"a\":"), (4, "[1]"), (5, "x"), (6, "{\"a\":2}")],
        );
    }

    #[test]
    fn a_document_that_is_broken_between_rows_cannot_be_read_on() {
        let cases = [
            ("", 0, "line 1: the file is empty: an array of objects is expected"),
            ("order_id,status\n", 0, "line 1: the file is not JSON: an array of objects is expected"),
            ("[\n{}\n{}]", 1, "line 3: a comma or the end of the array is expected after a row"),
            ("[{},\n]", 1, "line 2: a row is expected after the comma"),
            ("[{}]\n{}", 1, "line 2: the array has ended, but the file goes on"),
            ("[{},\n{}\n", 2, "line 3: the file ends within the array"),
            ("[\n", 0, "line 2: the file ends within the array"),
            ("[{},\n{\"a\": \"\n}]", 1, "line 2: the row that starts here does not end"),
        ];
        for (text, rows, expected) in cases {
            assert_eq!(failure(Format::Json, text.as_bytes()), (rows, expected.to_owned()), "{text:?}");
        }
        let (_, hint) = failure(Format::JsonLines, b"[\n{}]");
        assert_eq!(hint, "line 1: the file is an array, not an object a line: say --format json");
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused_with_their_line() {
        assert_eq!(
            failure(Format::Json, b"[{\"a\":\n\"\xe9\"}]").1,
            "line 2: not UTF-8 text: export the file as UTF-8"
        );
        assert_eq!(failure(Format::JsonLines, b"{}\n{\"a\":\"\xe9\"}").1.split(':').next(), Some("line 2"));
    }

    #[test]
    fn a_row_without_end_does_not_fill_the_memory() {
        let text = format!("[{{}},\n{{\"a\": \"{}", "x".repeat(3 << 20));
        for format in [Format::Json, Format::JsonLines] {
            let text = text.strip_prefix(if format == Format::Json { "" } else { "[{},\n" }).unwrap();
            assert!(failure(format, text.as_bytes()).1.contains("does not end within 1 MB"), "{format:?}");
        }
    }
}
