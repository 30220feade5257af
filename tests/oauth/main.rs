//! The checklist of a security reviewer against a running server, and the table of `docs/oauth.md` that comes of it.
//!
//! AS is the token endpoint, CA client assertions, MD metadata and keys, RS the MCP endpoint as a resource server. Every
//! row is asked here anew, whatever other tests ask. `UPDATE_DOCS=1 cargo test -p black-box --test oauth` writes the table.

mod client_assertions;
mod metadata;
mod page;
mod resource_server;
mod token_endpoint;
mod verdict;

use std::fmt::Write;
use std::pin::Pin;

/// A row of the checklist.
pub struct Case {
    /// Its id.
    id: &'static str,
    /// The request, in a few words.
    request: &'static str,
    /// Where the rule comes from; empty where it is our own.
    source: &'static str,
    /// The verdict that there has to be.
    expected: &'static str,
    /// Asks the server, and says what it answered.
    seen: Pin<Box<dyn Future<Output = String> + Send>>,
}

fn case(
    id: &'static str,
    request: &'static str,
    source: &'static str,
    expected: &'static str,
    seen: impl Future<Output = String> + Send + 'static,
) -> Case {
    Case { id, request, source, expected, seen: Box::pin(seen) }
}

/// A row with its verdict.
struct Row {
    id: &'static str,
    request: &'static str,
    source: &'static str,
    expected: &'static str,
    seen: String,
}

/// A part of the checklist: its ids are `<prefix>-01` to `<prefix>-<count>`.
struct Section {
    prefix: &'static str,
    title: &'static str,
    count: usize,
    cases: fn() -> Vec<Case>,
}

const SECTIONS: [Section; 4] = [
    Section { prefix: "AS", title: "Token endpoint", count: 45, cases: token_endpoint::cases },
    Section { prefix: "CA", title: "Client assertions", count: 12, cases: client_assertions::cases },
    Section { prefix: "MD", title: "Metadata and keys", count: 13, cases: metadata::cases },
    Section { prefix: "RS", title: "MCP endpoint", count: 22, cases: resource_server::cases },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rule_gets_the_verdict_that_it_has_to_and_the_page_shows_it() {
    let mut table = String::new();
    let mut wrong = String::new();
    for Section { title, cases, .. } in SECTIONS {
        let rows = judge(cases()).await;
        for row in rows.iter().filter(|row| row.seen != row.expected) {
            writeln!(wrong, "{} {}\n  expected: {}\n  seen:     {}", row.id, row.request, row.expected, row.seen)
                .unwrap();
        }
        table.push_str(&page::section(title, &rows));
    }
    table.push('\n');
    let page = page::Page::read();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        page.write(&table);
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(page::Page::read().table(), table, "run `UPDATE_DOCS=1 cargo test -p black-box --test oauth`");
}

#[test]
fn every_id_of_the_checklist_has_one_row() {
    for Section { prefix, count, cases, .. } in SECTIONS {
        let ids: Vec<&str> = cases().iter().map(|case| case.id).collect();
        let expected: Vec<String> = (1..=count).map(|number| format!("{prefix}-{number:02}")).collect();
        assert_eq!(ids, expected);
    }
}

/// Asks one after the other; a case that panics is a verdict too.
async fn judge(cases: Vec<Case>) -> Vec<Row> {
    let mut rows = Vec::new();
    for Case { id, request, source, expected, seen } in cases {
        let seen = tokio::spawn(seen).await.unwrap_or_else(|error| format!("failed: {error}"));
        rows.push(Row { id, request, source, expected, seen });
    }
    rows
}
