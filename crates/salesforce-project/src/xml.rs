//! Metadata files: one root, four spaces a level, the text escaped.

/// A file that is being written.
pub struct Xml {
    text: String,
    depth: usize,
}

/// A metadata file with this root element.
pub fn document(root: &str, content: impl FnOnce(&mut Xml)) -> String {
    let mut xml = Xml { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(), depth: 0 };
    xml.line(&format!("<{root} xmlns=\"http://soap.sforce.com/2006/04/metadata\">"));
    xml.inside(content);
    xml.line(&format!("</{root}>"));
    xml.text
}

impl Xml {
    /// An element with elements inside.
    pub fn element(&mut self, name: &str, content: impl FnOnce(&mut Xml)) {
        self.line(&format!("<{name}>"));
        self.inside(content);
        self.line(&format!("</{name}>"));
    }

    /// An element with text inside.
    pub fn text(&mut self, name: &str, text: &str) {
        self.line(&format!("<{name}>{}</{name}>", escape(text)));
    }

    fn inside(&mut self, content: impl FnOnce(&mut Xml)) {
        self.depth += 1;
        content(self);
        self.depth -= 1;
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(&"    ".repeat(self.depth));
        self.text.push_str(line);
        self.text.push('\n');
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // XML 1.0 §2.2: these are in no document, escaped or not.
            '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gets_back_what_was_written() {
        let hostile = "<a href=\"x\">Tom & 'Jerry'</a>]]>\u{1F600}";
        let text = document("Root", |xml| xml.element("outer", |xml| xml.text("inner", hostile)));
        let document = roxmltree::Document::parse(&text).unwrap();
        let inner =
            document.descendants().find(|node| node.has_tag_name(("http://soap.sforce.com/2006/04/metadata", "inner")));
        assert_eq!(inner.unwrap().text(), Some(hostile));
        assert_eq!(escape("a\0b\u{ffff}"), "a\u{fffd}b\u{fffd}");
    }
}
