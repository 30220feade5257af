//! What is reported, and how it is gathered.

use serde::Serialize;

use crate::checks::{ANY_REQUEST, Check, NOT_CHECKED, Problem, SKIPPED};
use crate::target::Target;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// As it should be.
    Pass,
    /// It works, or may work; somebody will stumble over it.
    Warn,
    /// Agentforce or another client fails, or something is open that must not be.
    Fail,
}

impl Status {
    /// As in a report.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pass => "PASS",
            Status::Warn => "WARN",
            Status::Fail => "FAIL",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The check's id, with the problem's after a dot.
    pub id: String,
    /// See [`Status`].
    pub status: Status,
    /// What was checked.
    pub what: String,
    /// What was seen; never a secret or a token.
    pub seen: String,
    /// The likely cause; empty when all is well.
    pub cause: String,
    /// What to do; empty when all is well.
    pub fix: String,
}

/// What a check says: problems, or what was seen when there are none.
#[derive(Debug)]
pub struct Verdict {
    /// What was seen, for a check that passes.
    pub seen: String,
    /// Each problem with what was seen of it.
    pub problems: Vec<(&'static Problem, String)>,
}

impl Verdict {
    /// All is well.
    pub fn pass(seen: impl Into<String>) -> Verdict {
        Verdict { seen: seen.into(), problems: Vec::new() }
    }

    /// One problem.
    pub fn problem(problem: &'static Problem, seen: impl Into<String>) -> Verdict {
        Verdict { seen: String::new(), problems: vec![(problem, seen.into())] }
    }

    /// Whether something fails, not only warns.
    pub fn fails(&self) -> bool {
        self.problems.iter().any(|(problem, _)| problem.status == Status::Fail)
    }
}

/// The findings so far.
pub struct Report<'a> {
    findings: Vec<Finding>,
    skipped: Vec<(String, Vec<&'static str>)>,
    /// Texts that must not be told, the longest first.
    hidden: Vec<String>,
    places: [(&'static str, String); 6],
    tell: &'a mut dyn FnMut(&Finding),
}

impl<'a> Report<'a> {
    /// An empty report; each finding goes to `tell` as soon as it is made.
    pub fn new(target: &Target, tell: &'a mut dyn FnMut(&Finding)) -> Report<'a> {
        let places = [
            ("{base}", target.base.clone()),
            ("{token_url}", target.token_url.to_string()),
            ("{mcp_url}", target.mcp_url.to_string()),
            ("{host}", target.token_url.host_str().unwrap_or_default().to_owned()),
            ("{scope}", target.scope.clone()),
            ("{client_id}", target.client_id().unwrap_or("ID").to_owned()),
        ];
        Report { findings: Vec::new(), skipped: Vec::new(), hidden: Vec::new(), places, tell }
    }

    /// Keeps a text out of every finding, for servers repeat what they were sent.
    pub fn hide(&mut self, secret: &str) {
        // A shorter text would be found in any sentence.
        if secret.len() >= 4 {
            self.hidden.push(secret.to_owned());
            self.hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        }
    }

    /// Takes a verdict in; the id of the first failure, or of the earlier finding that it repeats.
    pub fn add(&mut self, check: &'static Check, verdict: Verdict) -> Option<String> {
        if verdict.problems.is_empty() {
            self.push(check, None, &verdict.seen);
            return None;
        }
        let mut failed = None;
        for (problem, seen) in verdict.problems {
            debug_assert!(check.problems.iter().chain(ANY_REQUEST).any(|known| known == problem), "{}", problem.id);
            let earlier = self.same_as(check, problem);
            match &earlier {
                Some(earlier) => self.skip(earlier, &[check]),
                None => self.push(check, Some(problem), &seen),
            }
            let id = earlier.unwrap_or_else(|| format!("{}.{}", check.id, problem.id));
            if problem.status == Status::Fail {
                failed.get_or_insert(id);
            }
        }
        failed
    }

    /// Says that checks could not run because of an earlier finding.
    pub fn skip(&mut self, because: &str, checks: &[&'static Check]) {
        let ids = checks.iter().map(|check| check.id);
        match self.skipped.iter_mut().find(|(reason, _)| reason == because) {
            Some((_, skipped)) => skipped.extend(ids),
            None => self.skipped.push((because.to_owned(), ids.collect())),
        }
    }

    /// All findings; what could not be checked is the last one.
    pub fn finish(mut self) -> Vec<Finding> {
        if !self.skipped.is_empty() {
            let groups = self.skipped.iter().map(|(because, ids)| format!("{} (because of {because})", ids.join(", ")));
            let seen = groups.collect::<Vec<_>>().join("; ");
            self.push(&NOT_CHECKED, Some(&SKIPPED), &seen);
        }
        self.findings
    }

    /// What is wrong with every request is told once.
    fn same_as(&self, check: &Check, problem: &Problem) -> Option<String> {
        if check.problems.contains(problem) {
            return None;
        }
        let earlier =
            self.findings.iter().find(|finding| finding.id.split_once('.').is_some_and(|(_, id)| id == problem.id));
        earlier.map(|finding| finding.id.clone())
    }

    fn push(&mut self, check: &Check, problem: Option<&Problem>, seen: &str) {
        let finding = Finding {
            id: problem.map_or_else(|| check.id.to_owned(), |problem| format!("{}.{}", check.id, problem.id)),
            status: problem.map_or(Status::Pass, |problem| problem.status),
            what: check.what.to_owned(),
            seen: self.presentable(seen),
            cause: problem.map(|problem| self.fill(problem.cause)).unwrap_or_default(),
            fix: problem.map(|problem| self.fill(problem.fix)).unwrap_or_default(),
        };
        (self.tell)(&finding);
        self.findings.push(finding);
    }

    fn fill(&self, text: &str) -> String {
        let filled = self.places.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, value));
        self.presentable(&filled)
    }

    /// Without secrets, and without characters that a terminal would act on.
    fn presentable(&self, text: &str) -> String {
        printable(&self.hidden.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "[hidden]")))
    }
}

/// Without characters that a terminal would act on.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c }).collect()
}

/// Marks that change the direction of a text, or take no room.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
