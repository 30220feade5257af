//! Watches the bytes on their way to the CSV parser.

use std::collections::VecDeque;
use std::io::{self, Read};

use crate::source::LONGEST_ROW;

/// Sees every byte before the parser does: remembers where lines end until the parser has passed, and
/// stops a row without end (a quote that is never closed) before it fills the memory.
pub(crate) struct Tap<R> {
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
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, offset: 0, line_ends: VecDeque::new(), lines_passed: 0, passed: 0, ended: false, last_byte: 0 }
    }

    /// The line (from 1) on which a row ends that the parser has read up to `offset`. The line end
    /// there is part of that line, unless the file ended first: then it is within an unclosed quote.
    /// Offsets must not decrease from call to call.
    pub(crate) fn line_of_row_end(&mut self, offset: u64) -> u64 {
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
    pub(crate) fn ended_in_quote(&self, texts: &[String]) -> bool {
        self.ended && self.last_byte != b'"' && texts.last().is_some_and(|text| text.contains('\n'))
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.offset - self.passed > LONGEST_ROW as u64
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
