//! The orgs that a definitions file names, held against those that are registered.

use registry::{Connection, ConnectionName};
use server_file::{Document, Problem};

use crate::output::Failure;
use crate::place::Open;

/// A problem for each server whose org is not registered.
///
/// # Errors
/// The registry does not answer.
pub async fn check(open: &Open, document: &Document) -> Result<Vec<Problem>, Failure> {
    let mut problems = Vec::new();
    for server in document.servers() {
        let Some(org) = &server.org else { continue };
        let known = match ConnectionName::parse(org) {
            Some(name) => matches!(open.registry.connection(&name).await?, Some(Connection::Salesforce(_))),
            None => false,
        };
        if !known {
            problems.push(Problem {
                place: document.locate(&server.name, None, Some("org")),
                code: "no_such_org",
                what: format!("there is no org {org}"),
                fix: format!("add it with `northstar org add {org}`, or write one that `northstar org list` shows"),
            });
        }
    }
    Ok(problems)
}
