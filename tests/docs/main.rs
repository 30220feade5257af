//! What the pages promise: every error code is explained, every link leads somewhere.

mod tools;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use black_box::repository;

#[test]
fn every_error_code_is_explained_and_every_explained_code_exists() {
    let page = fs::read_to_string(repository().join("docs/errors.md")).unwrap();
    let explained: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|rest| Some(rest.split_once('`')?.0.to_owned()))
        .collect();
    let upstream = repository().join("crates/upstream");
    let mut used = BTreeSet::new();
    for source in
        rust_files(&repository().join("functions")).into_iter().chain(rust_files(&repository().join("crates")))
    {
        let text = fs::read_to_string(&source).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let codes = match source.file_name().unwrap().to_str().unwrap() {
            "error.rs" | "refusal.rs" | "troubles.rs" => quoted_after(text, "=> \""),
            "finding.rs" | "registration.rs" if source.starts_with(&upstream) => quoted_after(text, "=> \""),
            _ => BTreeSet::new(),
        };
        used.extend(codes);
        for before in [
            "Trouble::new(\"",
            "set_outcome(\"",
            "outcome = \"",
            "const FAILED: &str = \"",
            "const INVALID_DEFINITION: &str = \"",
            "failure(StatusCode::BAD_REQUEST, \"",
            "failure(StatusCode::INTERNAL_SERVER_ERROR, \"",
            "problem(function, \"",
            "problem(\"mcp\", \"",
            "problem(\"registry\", \"",
            "problem(self.function, \"",
            "problem(\"token\", \"",
        ] {
            // A call may be wrapped over lines.
            let unwrapped = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( \"", "(\"");
            used.extend(quoted_after(&unwrapped, before));
        }
    }
    assert!(used.len() > 30, "the codes were found: {used:?}");
    assert_eq!(used.difference(&explained).collect::<Vec<_>>(), Vec::<&String>::new(), "not in docs/errors.md");
    assert_eq!(explained.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the code");
}

fn quoted_after(text: &str, before: &str) -> BTreeSet<String> {
    let codes = text.split(before).skip(1).filter_map(|rest| rest.split('"').next());
    let is_code = |code: &&str| !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    codes.filter(is_code).map(str::to_owned).collect()
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    for page in files(repository(), "md") {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = page.parent().unwrap().join(target);
            assert!(path.exists(), "{} links to {link}", page.display());
        }
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    files(folder, "rs")
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}
