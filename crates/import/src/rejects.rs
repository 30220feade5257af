//! The file of rejected rows, which can be corrected and imported again with the same options. Each row
//! is as the file had it, after two columns of our own: its line and the reason. An import leaves these
//! columns out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Rejected;
use crate::json_row::members;
use crate::source::{Original, Row};

const LINE: &str = "northstar_line";
const REASON: &str = "northstar_reason";
/// What a JSON file has instead of an object, as a text.
const ROW: &str = "northstar_row";
/// Columns that are not the company's.
pub(crate) const OWN_COLUMNS: [&str; 3] = [LINE, REASON, ROW];

/// A new file of rejected rows. Every row is in it as soon as it is refused; a file without rows goes
/// away with this.
pub(crate) struct Rejects {
    path: PathBuf,
    file: File,
    is_empty: bool,
}

impl Rejects {
    /// Makes the file, which must not exist yet.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Self { path: path.to_owned(), file, is_empty: true })
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, row: &Row, rejected: &Rejected) -> io::Result<()> {
        let mut bytes = Vec::new();
        match &row.original {
            Original::Fields { header, texts, .. } => {
                let ours: Vec<bool> = header.iter().map(|name| is_ours(name)).collect();
                let theirs = |at: &usize| !ours.get(*at).copied().unwrap_or_default();
                let (line, reason) = (rejected.line.to_string(), rejected.reason.to_string());
                if self.is_empty {
                    let names = header.iter().enumerate().filter(|(at, _)| theirs(at)).map(|(_, name)| &**name);
                    write_record(&mut bytes, [LINE, REASON].into_iter().chain(names))?;
                }
                let texts = texts.iter().enumerate().filter(|(at, _)| theirs(at)).map(|(_, text)| text.as_str());
                write_record(&mut bytes, [line.as_str(), reason.as_str()].into_iter().chain(texts))?;
            }
            Original::Json(text) => {
                bytes = object(text, rejected).into_bytes();
                bytes.push(b'\n');
            }
        }
        self.is_empty = false;
        self.file.write_all(&bytes)
    }
}

impl Drop for Rejects {
    fn drop(&mut self) {
        if self.is_empty {
            // One that stays is only an empty file.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn is_ours(name: &str) -> bool {
    name == LINE || name == REASON
}

fn write_record<'a>(bytes: &mut Vec<u8>, fields: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
    let mut csv = csv::WriterBuilder::new().flexible(true).from_writer(bytes);
    csv.write_record(fields)?;
    csv.flush()
}

/// The members as they are written, so that a number keeps its digits.
fn object(text: &str, rejected: &Rejected) -> String {
    let mut parts = vec![
        member(LINE, &rejected.line.to_string()),
        member(REASON, &Value::from(rejected.reason.to_string()).to_string()),
    ];
    match members(text, rejected.line) {
        Ok(members) => {
            let theirs = members.0.iter().filter(|(name, _)| !is_ours(name));
            parts.extend(theirs.map(|(name, value)| member(name, &on_one_line(value.get()))));
        }
        Err(_) => parts.push(member(ROW, &Value::from(text).to_string())),
    }
    format!("{{{}}}", parts.join(","))
}

fn member(name: &str, json: &str) -> String {
    format!("{}:{json}", Value::from(name))
}

/// JSON has line breaks between its parts only.
fn on_one_line(json: &str) -> String {
    json.replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;
    use crate::reason::Reason;
    use crate::source::Source;

    /// The file of rejected rows when all rows of a file are refused.
    fn rejects(name: &str, format: Format, text: &str) -> String {
        let path = std::env::temp_dir().join(format!("northstar-rejects-{}-{name}", std::process::id()));
        let mut source = Source::open(format, text.as_bytes()).unwrap();
        let mut rejects = Rejects::create(&path).unwrap();
        while let Some(row) = source.next_row().unwrap() {
            let reason = Reason::Missing { attribute: "status".into() };
            rejects.add(&row, &Rejected { line: row.line, reason }).unwrap();
        }
        drop(rejects);
        let written = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        written
    }

    #[test]
    fn rows_of_csv_follow_two_columns_of_ours() {
        let text = "a,,b\n1,x,\"two\nlines, \"\"quoted\"\"\"\n2\n";
        let expected = "northstar_line,northstar_reason,a,,b\n\
            2,`status` is missing,1,x,\"two\nlines, \"\"quoted\"\"\"\n\
            4,`status` is missing,2\n";
        assert_eq!(rejects("csv", Format::Csv, text), expected);

        // Rejected once more, they have the columns once.
        let again = rejects("again", Format::Csv, expected);
        assert_eq!(again, expected, "its rows are on the same lines here");
    }

    #[test]
    fn objects_keep_their_members_as_they_are_written() {
        let text = "[{\"a\": 1.50, \"b\": {\n\"c\": \"é\\n\"}, \"a\": null},\n5]";
        let expected = "{\"northstar_line\":1,\"northstar_reason\":\"`status` is missing\",\"a\":1.50,\"b\":{ \"c\": \"é\\n\"},\"a\":null}\n\
            {\"northstar_line\":3,\"northstar_reason\":\"`status` is missing\",\"northstar_row\":\"5\"}\n";
        assert_eq!(rejects("json", Format::Json, text), expected);
        let again = rejects("json-again", Format::JsonLines, expected);
        assert_eq!(again, expected.replace("line\":3", "line\":2"));
    }

    #[test]
    fn without_rejected_rows_there_is_no_file() {
        assert_eq!(rejects("none", Format::Csv, "a,b\n"), "");
        let path = std::env::temp_dir().join(format!("northstar-rejects-{}-drop", std::process::id()));
        drop(Rejects::create(&path).unwrap());
        assert!(!path.exists());
    }
}
