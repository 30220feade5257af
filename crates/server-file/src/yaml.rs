//! Text to nodes that know their place. What would make a file say something else than it seems to (anchors, merge keys,
//! tags, a key twice, a second document) is refused here.

use std::collections::HashSet;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput};

use crate::problem::{Place, Problems, shown};
use crate::scalar::{self, Scalar};

/// Longest file, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Deepest nesting of lists and mappings.
pub const MAX_DEPTH: usize = 32;

/// A value in a file.
#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub content: Content,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Content {
    Scalar {
        text: String,
        /// Without quotes: it may be a number, a boolean or nothing.
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// What has its problem already.
    Refused,
}

/// A key of a mapping and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub place: Place,
    pub value: Node,
}

impl Node {
    /// Its text, if it is a scalar, whatever that means.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// What it is as a scalar, if it is one.
    pub fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.content {
            Content::Scalar { text, plain: true } => Some(scalar::plain(text)),
            Content::Scalar { text, plain: false } => Some(Scalar::Text(text)),
            _ => None,
        }
    }
}

/// Reads a text. `None` when it ends in the middle of a problem or holds nothing; a problem has been added then.
pub fn read(text: &str, problems: &mut Problems) -> Option<Node> {
    if text.len() > MAX_BYTES {
        let what = "the file has more than 1 MiB";
        problems.add(START, "file_too_large", what, "write the servers into several files");
        return None;
    }
    let mut reader = Reader { parser: Parser::new_from_str(text), lines: Lines::of(text), open: Vec::new(), problems };
    reader.document()
}

const START: Place = Place { line: 1, column: 1 };

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    lines: Lines,
    /// Where the lists and mappings begin that have not ended.
    open: Vec<Place>,
    problems: &'a mut Problems,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => break,
                (Event::DocumentStart(_), place) if root.is_some() => {
                    let what = "a second document begins here, and a file has one";
                    let fix = "write all servers under one servers: and leave the line --- out";
                    self.problems.add(place, "several_documents", what, fix);
                    break;
                }
                (Event::DocumentStart(_), _) => {
                    let (event, place) = self.next()?;
                    root = Some(self.node(event, place)?);
                }
                _ => {}
            }
        }
        if root.is_none() {
            let fix = "write servers: and a list of servers under it";
            self.problems.add(START, "empty_file", "the file is empty", fix);
        }
        root
    }

    fn next(&mut self) -> Option<(Event<'a>, Place)> {
        match self.parser.next_event()? {
            Ok((event, span)) => Some((event, self.lines.place(&span.start))),
            Err(error) => {
                self.syntax(&error);
                None
            }
        }
    }

    fn node(&mut self, event: Event<'a>, place: Place) -> Option<Node> {
        let content = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_marks(place, anchor, tag.is_some());
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let text = if block { text.trim_end_matches('\n') } else { &text };
                Content::Scalar { text: text.to_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_marks(place, anchor, tag.is_some());
                self.enter(place)?;
                let list = self.list()?;
                self.open.pop();
                Content::List(list)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_marks(place, anchor, tag.is_some());
                self.enter(place)?;
                let map = self.map()?;
                self.open.pop();
                Content::Map(map)
            }
            Event::Alias(_) => {
                self.refuse_alias(place);
                Content::Refused
            }
            _ => Content::Refused,
        };
        Some(Node { place, content })
    }

    fn enter(&mut self, place: Place) -> Option<()> {
        if self.open.len() == MAX_DEPTH {
            let what = format!("lists and mappings are nested more than {MAX_DEPTH} deep");
            self.problems.add(place, "too_deep", what, "write it flatter: nothing here needs more than 8");
            return None;
        }
        self.open.push(place);
        Some(())
    }

    fn list(&mut self) -> Option<Vec<Node>> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Some(list),
                (event, place) => list.push(self.node(event, place)?),
            }
        }
    }

    fn map(&mut self) -> Option<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::MappingEnd {
                return Some(entries);
            }
            let key = self.node(event, place)?;
            let before = self.problems.len();
            let (event, value_place) = self.next()?;
            let value = self.node(event, value_place)?;
            let Content::Scalar { text: key, plain } = key.content else {
                self.problems.add(place, "key_not_text", "a key is a list, a mapping or an alias", "write a text");
                continue;
            };
            if plain && key == "<<" {
                self.problems.truncate(before);
                let fix = "write the keys out where they belong";
                self.problems.add(place, "merge_key", "merge keys (<<) are refused", fix);
            } else if seen.insert(key.clone()) {
                entries.push(Entry { key, place, value });
            } else {
                let what = format!("\"{}\" is here twice", shown(&key));
                self.problems.add(place, "duplicate_key", what, "leave one of them out");
            }
        }
    }

    fn refuse_marks(&mut self, place: Place, anchor: usize, tag: bool) {
        if anchor != 0 {
            let fix = "leave the & and the name after it out";
            self.problems.add(place, "anchor", "anchors are refused, for nothing may refer to them", fix);
        }
        if tag {
            let fix = "leave the ! and what belongs to it out; put a text in quotes";
            self.problems.add(place, "tag", "tags are refused", fix);
        }
    }

    fn refuse_alias(&mut self, place: Place) {
        let fix = "write the value out; if it is a text that begins with *, put it in quotes";
        self.problems.add(place, "alias", "aliases (*name) are refused", fix);
    }

    fn syntax(&mut self, error: &ScanError) {
        let place = self.lines.place(error.marker());
        let info = error.info();
        if info.contains("unknown anchor") {
            return self.refuse_alias(place);
        }
        if info.contains("tab") && !info.contains("expected") {
            let fix = "write spaces in place of the tab";
            return self.problems.add(place, "tab", "a tab stands where YAML wants spaces", fix);
        }
        let at_end = place >= self.lines.end();
        if at_end && let Some(open) = self.open.last() {
            let what = "what begins here does not end";
            return self.problems.add(*open, "syntax", what, "write the ] or } that belongs to it");
        }
        let fix = if info.contains("mapping values are not allowed") {
            "write texts that hold a colon and a space in quotes, and indent keys of one mapping alike"
        } else if info.contains("end of stream") {
            "write the quote that ends the text"
        } else if info.contains("escape") || info.contains("hexadecimal") {
            "write the character itself, or the text in single quotes: there a backslash is a backslash"
        } else if info.contains("flow") || info.contains("bracket") {
            "write a comma between entries, a ] for every [ and a } for every {, and texts with [ ] { } , in quotes"
        } else {
            "write key: value with a space after the colon, keys of one mapping indented alike by spaces, and texts \
             with special characters in quotes"
        };
        self.problems.add(place, "syntax", format!("this is not YAML ({})", shown(info)), fix);
    }
}

/// Length of every line in characters, so that a place never lies outside the text.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        Lines(text.split(['\n', '\r']).map(|line| line.chars().count()).collect())
    }

    fn place(&self, marker: &Marker) -> Place {
        let place = Place { line: marker.line(), column: marker.col() + 1 };
        match self.0.get(place.line.wrapping_sub(1)) {
            Some(length) => Place { column: place.column.min(length + 1), ..place },
            None => self.end(),
        }
    }

    fn end(&self) -> Place {
        Place { line: self.0.len(), column: self.0.last().map_or(1, |length| length + 1) }
    }
}
