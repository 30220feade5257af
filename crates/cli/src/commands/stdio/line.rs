//! Lines of standard input, of a bounded length.

use std::io::{self, BufRead, Read};

use serde::Deserialize;
use serde_json::Value;

/// As long as a body may be that the server takes.
const LONGEST: usize = 256 * 1024;

/// A line, without its end.
#[derive(Debug, PartialEq)]
pub enum Line {
    /// One that may be sent.
    Whole(Vec<u8>),
    /// One that is too long, and has been skipped.
    TooLong {
        /// The `id` in it, wherever it is.
        id: Option<Value>,
    },
}

/// Reads the next line; `None` at the end. A last line needs no end.
///
/// # Errors
/// What the system says.
pub fn next(input: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let longest = LONGEST as u64 + 1;
    if input.by_ref().take(longest).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_some() || line.len() <= LONGEST {
        return Ok(Some(Line::Whole(line)));
    }
    let mut rest = Rest { input, over: false };
    let id = id_in(line.as_slice().chain(&mut rest));
    io::copy(&mut rest, &mut io::sink())?;
    Ok(Some(Line::TooLong { id }))
}

/// Who sent a message that is too long waits for its answer: the id is read without keeping the rest.
fn id_in(line: impl Read) -> Option<Value> {
    #[derive(Deserialize)]
    struct Message {
        id: Option<Value>,
    }
    let message: Message = serde_json::from_reader(line).ok()?;
    message.id.filter(|id| id.is_string() || id.is_number())
}

/// What is left of a line.
struct Rest<'a, R> {
    input: &'a mut R,
    over: bool,
}

impl<R: BufRead> Read for Rest<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.over || buffer.is_empty() {
            return Ok(0);
        }
        let available = self.input.fill_buf()?;
        let length = available.len().min(buffer.len());
        let end = available[..length].iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(length);
        buffer[..taken].copy_from_slice(&available[..taken]);
        self.input.consume(end.map_or(length, |end| end + 1));
        self.over = end.is_some();
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all(mut input: &[u8]) -> Vec<Line> {
        std::iter::from_fn(|| next(&mut input).unwrap()).collect()
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_end_at_newlines_and_at_the_end() {
        assert_eq!(all(b""), []);
        assert_eq!(all(b"a\n\nb\r\nc"), [whole("a"), whole(""), whole("b\r"), whole("c")]);
    }

    #[test]
    fn a_line_of_256_kib_is_taken_and_a_longer_one_is_skipped_to_its_end() {
        let longest = "x".repeat(LONGEST);
        assert_eq!(all(format!("{longest}\nb\n").as_bytes()), [whole(&longest), whole("b")]);
        assert_eq!(all(longest.as_bytes()), [whole(&longest)]);
        let too_long = || Line::TooLong { id: None };
        assert_eq!(all(format!("{longest}x\nb\n").as_bytes()), [too_long(), whole("b")]);
        assert_eq!(all(format!("{longest}x").as_bytes()), [too_long()]);
        assert_eq!(all(format!("{longest}{longest}{longest}\n{longest}y\nb").as_bytes()).len(), 3);
    }

    #[test]
    fn the_id_of_a_line_that_is_too_long_is_found_before_and_behind_what_makes_it_long() {
        let long = "x".repeat(2 * LONGEST);
        for (line, id) in [
            (format!(r#"{{"id":7,"method":"m","params":{{"id":1,"a":"{long}"}}}}"#), Some(json!(7))),
            (format!(r#"{{"params":{{"id":1,"a":"{long}"}},"id":"b"}}"#), Some(json!("b"))),
            (format!(r#"{{"params":{{"a":"{long}"}},"id":null}}"#), None),
            (format!(r#"{{"params":{{"a":"{long}"}},"id":{{}}}}"#), None),
            (format!(r#"{{"id":7,"a":"{long}"#), None),
            (format!("[{long}]"), None),
        ] {
            assert_eq!(all(format!("{line}\nb").as_bytes()), [Line::TooLong { id }, whole("b")], "{}", &line[..20]);
        }
    }
}
