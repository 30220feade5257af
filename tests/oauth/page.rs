//! The table of `docs/oauth.md`, between two marks.

use std::fs;
use std::path::PathBuf;

use black_box::repository;

use crate::Row;

const BEGIN: &str = "<!-- The table: begin. Written by `UPDATE_DOCS=1 cargo test -p black-box --test oauth` -->\n";
const END: &str = "<!-- The table: end. -->\n";

/// The page, in three parts.
pub struct Page {
    before: String,
    table: String,
    after: String,
}

impl Page {
    pub fn read() -> Page {
        Page::parse(&fs::read_to_string(Page::path()).unwrap()).expect("docs/oauth.md has both marks")
    }

    fn parse(text: &str) -> Option<Page> {
        let (before, rest) = text.split_once(BEGIN)?;
        let (table, after) = rest.split_once(END)?;
        Some(Page { before: before.to_owned(), table: table.to_owned(), after: after.to_owned() })
    }

    pub fn table(&self) -> &str {
        &self.table
    }

    pub fn write(&self, table: &str) {
        fs::write(Page::path(), self.with(table)).unwrap();
    }

    fn with(&self, table: &str) -> String {
        format!("{}{BEGIN}{table}{END}{}", self.before, self.after)
    }

    fn path() -> PathBuf {
        repository().join("docs/oauth.md")
    }
}

/// A heading and its rows.
pub fn section(title: &str, rows: &[Row]) -> String {
    let head = format!("\n### {title}\n\n| id | request | source | expected | seen |\n|---|---|---|---|---|\n");
    let rows = rows.iter().map(|row| {
        let source = if row.source.is_empty() { "Northstar" } else { row.source };
        let cells = [row.id, row.request, source, row.expected, &row.seen].map(cell);
        format!("| {} |\n", cells.join(" | "))
    });
    head + &rows.collect::<String>()
}

/// What would end a cell or a line is written in another way.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\r', '\n'], " ")
}

#[test]
fn only_what_is_between_the_marks_is_replaced() {
    let page = Page::parse(&format!("before\n{BEGIN}old\n{END}after\n")).unwrap();
    assert_eq!(page.table(), "old\n");
    assert_eq!(page.with("new\n"), format!("before\n{BEGIN}new\n{END}after\n"));
    assert!(Page::parse(&format!("before\n{BEGIN}old\n")).is_none());
}
