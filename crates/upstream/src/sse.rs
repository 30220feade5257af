//! Server-sent events, read from bytes as they come (WHATWG HTML §9.2.6, "Interpreting an event stream").

use std::mem::take;
use std::time::Duration;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type; `message` unless the stream says otherwise.
    pub name: String,
    /// Its data, lines joined by `\n`.
    pub data: String,
}

/// Reads one stream, and those that continue it. It holds at most what it was given and has not returned: whoever feeds
/// it bounds that.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    after_carriage_return: bool,
    begun: bool,
    name: String,
    data: String,
    id: Option<String>,
    last_event_id: Option<String>,
    retry: Option<Duration>,
}

impl Reader {
    /// The events that end in the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        let mut rest = bytes;
        if self.after_carriage_return && !rest.is_empty() {
            self.after_carriage_return = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            let (line, following) = rest.split_at(end);
            self.line.extend_from_slice(line);
            rest = match following {
                [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
                [] => &[],
            };
            self.after_carriage_return = following == b"\r";
            let line = take(&mut self.line);
            events.extend(self.end_line(&line));
        }
        self.line.extend_from_slice(rest);
        events
    }

    /// The stream has ended: what is left of it is no event. The next bytes are of another one.
    pub fn end(&mut self) {
        let (last_event_id, retry) = (self.last_event_id.take(), self.retry);
        *self = Reader { last_event_id, retry, ..Reader::default() };
    }

    /// What a request that continues the stream names in `Last-Event-ID`; `None` if no event had an id.
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref().filter(|id| !id.is_empty())
    }

    /// How long to wait before the stream is continued, if it said so.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn end_line(&mut self, line: &[u8]) -> Option<Event> {
        let line = if self.begun { line } else { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) };
        self.begun = true;
        let line = String::from_utf8_lossy(line);
        if line.is_empty() {
            return self.dispatch();
        }
        // A line without a colon is a field without a value, one that begins with a colon a comment.
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().map(Duration::from_millis);
            }
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        if let Some(id) = &self.id {
            self.last_event_id = Some(id.clone());
        }
        let (name, mut data) = (take(&mut self.name), take(&mut self.data));
        // Every line of data ends with a line break; no line is no event.
        data.pop()?;
        Some(Event { name: if name.is_empty() { "message".to_owned() } else { name }, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(stream: &str) -> Vec<(String, String)> {
        Reader::default().push(stream.as_bytes()).into_iter().map(|event| (event.name, event.data)).collect()
    }

    fn message(data: &str) -> (String, String) {
        ("message".to_owned(), data.to_owned())
    }

    #[test]
    fn lines_end_with_a_line_feed_a_carriage_return_or_both() {
        for stream in ["data: a\n\ndata: b\n\n", "data: a\r\rdata: b\r\r", "data: a\r\n\r\ndata: b\r\n\r\n"] {
            assert_eq!(read(stream), [message("a"), message("b")], "{stream:?}");
        }
    }

    #[test]
    fn data_of_several_lines_is_joined() {
        assert_eq!(read("data: {\ndata:  \"a\": 1\ndata\ndata:}\n\n"), [message("{\n \"a\": 1\n\n}")]);
    }

    #[test]
    fn a_byte_order_mark_comments_and_unknown_fields_are_no_data() {
        assert_eq!(read("\u{feff}data: a\n: keep-alive\nfoo: bar\n\n"), [message("a")]);
        assert_eq!(read("\u{feff}: only a comment\n\n"), []);
    }

    #[test]
    fn an_event_has_the_type_that_it_names() {
        assert_eq!(read("event: endpoint\ndata: /x\n\ndata: y\n\n"), [("endpoint".into(), "/x".into()), message("y")]);
    }

    #[test]
    fn what_is_not_ended_by_an_empty_line_is_no_event() {
        assert_eq!(read("data: a\n"), []);
        let mut reader = Reader::default();
        assert_eq!(reader.push(b"data: a\nid: 1\n"), []);
        reader.end();
        assert_eq!(reader.push(b"data: b\n\n").len(), 1);
        assert_eq!(reader.last_event_id(), None, "nor is its id one");
    }

    #[test]
    fn ids_and_the_pause_are_kept_beyond_the_end_of_a_stream() {
        let mut reader = Reader::default();
        reader.push(b"id: e1\nretry: 500\ndata:\n\n");
        reader.push(b"id: e2\0\nretry: 5x\nretry:\ndata: a\n\n");
        reader.end();
        assert_eq!((reader.last_event_id(), reader.retry()), (Some("e1"), Some(Duration::from_millis(500))));
        reader.push(b"id\n\n");
        assert_eq!(reader.last_event_id(), None, "an empty id takes it back");
    }

    proptest! {
        #[test]
        fn any_chunks_of_a_stream_give_the_same_events(
            stream in "(data: [a-z]{0,3}|data|event: e|id: [0-9]|: c|retry: 9|\u{feff}|\u{e4}|\r\n|\r|\n){0,40}",
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let bytes = stream.as_bytes();
            let mut whole = Reader::default();
            let expected = whole.push(bytes);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut reader = Reader::default();
            let events: Vec<Event> = cuts.windows(2).flat_map(|cut| reader.push(&bytes[cut[0]..cut[1]])).collect();
            prop_assert_eq!(events, expected);
            prop_assert_eq!(reader.last_event_id(), whole.last_event_id());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Reader::default().push(&bytes);
        }
    }
}
