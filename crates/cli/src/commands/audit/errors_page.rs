//! What the stable codes mean and what to do: the tables of `docs/errors.md`, which is compiled in.

const PAGE: &str = include_str!("../../../../../docs/errors.md");

/// A row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    section: &'static str,
    code: &'static str,
    /// Why a request ends so.
    pub cause: &'static str,
    /// What to do.
    pub fix: &'static str,
}

/// The row of a code; one code may be in several sections, of which the one counts that fits the function and, for
/// `mcp`, whether a tool was called.
pub fn row(code: &str, function: &str, of_tool: bool) -> Option<Row> {
    let sections: &[&str] = match function {
        "token" => &["Token endpoint"],
        "mcp" if of_tool => &["Tools", "MCP path"],
        "mcp" => &["MCP path"],
        "connect" => &["Consents"],
        "rotate" => &["Rotation"],
        _ => &[],
    };
    let rows = || rows().filter(|row| row.code == code);
    let fitting = sections.iter().find_map(|section| rows().find(|row| row.section == *section));
    fitting.or_else(|| rows().next())
}

/// All rows of tables that have the columns `code`, `cause` and `fix`.
fn rows() -> impl Iterator<Item = Row> {
    let (mut section, mut columns) = ("", None);
    PAGE.lines().filter_map(move |line| {
        if let Some(title) = line.strip_prefix("## ") {
            (section, columns) = (title, None);
        }
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        if cells[0] == "code" {
            let column = |name| cells.iter().position(|cell| *cell == name);
            columns = column("cause").zip(column("fix"));
            return None;
        }
        let (cause, fix) = columns?;
        let code = cells[0].strip_prefix('`')?.strip_suffix('`')?;
        Some(Row { section, code, cause: cells.get(cause)?, fix: cells.get(fix)? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_page_is_read_whole() {
        let lines = PAGE.lines().filter(|line| line.starts_with("| `")).count();
        assert!(lines > 50, "{lines}");
        assert_eq!(rows().count(), lines);
        for row in rows() {
            assert!(!row.section.is_empty() && !row.cause.is_empty() && !row.fix.is_empty(), "{row:?}");
        }
    }

    #[test]
    fn a_code_of_several_sections_is_explained_as_what_was_asked() {
        let section = |code, function, of_tool| row(code, function, of_tool).map(|row| row.section);
        assert_eq!(section("deadline_exceeded", "mcp", true), Some("Tools"));
        assert_eq!(section("deadline_exceeded", "mcp", false), Some("MCP path"));
        assert_eq!(section("insufficient_scope", "mcp", true), Some("MCP path"));
        assert_eq!(section("temporarily_unavailable", "token", false), Some("Token endpoint"));
        assert_eq!(section("temporarily_unavailable", "mcp", true), Some("MCP path"));
        assert_eq!(section("temporarily_unavailable", "rotate", false), Some("Rotation"));
        assert_eq!(section("internal_error", "token", false), Some("Events and start"));
        assert_eq!(section("no_such_code", "mcp", true), None);
        assert_eq!(section("ok", "mcp", true), None);
    }
}
