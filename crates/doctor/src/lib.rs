//! `northstar doctor`: replays what Agentforce does, in its order, then what other clients do, and says of every finding
//! what was seen, why it may be so, and what to do about it.
//!
//! The way there ([`reach`], [`tls`]), then requests by one [`wire`]. The judgements are plain functions over observed
//! answers ([`exchange`]): [`token`], [`conversation`], [`catalogue`], [`refusals`], [`metadata`]. What can be wrong, with
//! cause and fix, is the table in [`checks`].
//!
//! [`upstream`] judges what was observed of an upstream, by the table in [`upstream_checks`]; it asks nobody itself.

mod examination;

pub mod catalogue;
pub mod checks;
pub mod conversation;
pub mod exchange;
pub mod finding;
pub mod metadata;
pub mod reach;
pub mod refusals;
pub mod target;
pub mod tls;
pub mod token;
pub mod upstream;
pub mod upstream_checks;
pub mod wire;

pub use examination::examine;
pub use finding::{Finding, Status};
pub use target::{Credentials, Limits, Target, roots};

/// The table of every check and problem, as `docs/doctor.md` has it.
pub fn page() -> String {
    let row = |id: String, problem: &checks::Problem| {
        let text = |text: &str| text.replace('|', "\\|");
        format!("| `{id}` | {} | {} | {} |\n", problem.status.as_str(), text(problem.cause), text(problem.fix))
    };
    let head = "\n| id | | likely cause | fix |\n|---|---|---|---|\n";
    let mut page = format!("## Any request\n{head}");
    for problem in checks::ANY_REQUEST {
        page += &row(format!("….{}", problem.id), problem);
    }
    for check in checks::ALL.iter().chain(upstream_checks::ALL) {
        page += &format!("\n## `{}`: {}\n{head}", check.id, check.what);
        for problem in check.problems {
            page += &row(format!("{}.{}", check.id, problem.id), problem);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/doctor.md");
        let text = std::fs::read_to_string(path).unwrap();
        let at = text.find("## Any request").expect("the page has a table");
        assert!(
            text[at..] == super::page(),
            "docs/doctor.md: from \"## Any request\" on, it should be\n{}",
            super::page()
        );
    }
}
