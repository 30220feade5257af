//! Whether a server may read what a query, a search or a path of fields would: where its guard limits reads, what cannot be
//! understood is refused.

use futures_util::future::BoxFuture;
use salesforce::describe::check_reads;
use salesforce::soql_reading::{self, NotRead, Reading};
use salesforce::{Describe, FieldPath};

use crate::catalogue::Trouble;

use super::session::{Session, invalid, not_allowed, wrong_fields};

/// Whether the guard limits what may be read at all.
pub fn limits_reads(session: &Session<'_>) -> bool {
    let guard = session.guard();
    guard.objects.read.is_some() || guard.fields.values().any(|access| access.read.is_some())
}

/// Whether the server may know of an object: it may read it, or it is among those that it may write.
pub fn may_know(session: &Session<'_>, object: &str) -> bool {
    let guard = session.guard();
    guard.may_read(object) || (guard.objects.write.is_some() && guard.may_write(object))
}

/// Refuses a query that reads what the server may not; anything but a `SELECT` is none.
///
/// # Errors
/// [`Trouble`].
pub async fn check_query(session: &Session<'_>, query: &str) -> Result<(), Trouble> {
    let first: String = query.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    if !first.eq_ignore_ascii_case("SELECT") {
        return Err(invalid("query is a SOQL query, which begins with SELECT"));
    }
    if !limits_reads(session) {
        return Ok(());
    }
    let reading = soql_reading::read(query).map_err(|error| not_understood("query", &error))?;
    check_object(session, &reading.object, &reading).await
}

/// Refuses a search that returns what the server may not read. An object of which it may read some fields alone is not
/// searched: a search finds by all of them.
///
/// # Errors
/// [`Trouble`].
pub async fn check_search(session: &Session<'_>, search: &str) -> Result<(), Trouble> {
    if !limits_reads(session) {
        return Ok(());
    }
    for reading in soql_reading::read_search(search).map_err(|error| not_understood("search", &error))? {
        if session.guard().limits_fields(&reading.object) {
            let what = format!("This server may not search {}, of which it may read some fields alone", reading.object);
            return Err(not_allowed(&what));
        }
        check_object(session, &reading.object, &reading).await?;
    }
    Ok(())
}

/// Refuses paths that do not begin at an object, or that lead to what the server may not read.
///
/// # Errors
/// [`Trouble`].
pub async fn check_paths(session: &Session<'_>, describe: &Describe, paths: &[FieldPath]) -> Result<(), Trouble> {
    let problems = check_reads(describe, paths);
    if !problems.is_empty() {
        return Err(wrong_fields(&problems));
    }
    if limits_reads(session) {
        for path in paths {
            check_path(session, describe, path.as_str()).await?;
        }
    }
    Ok(())
}

fn not_understood(what: &str, error: &NotRead) -> Trouble {
    not_allowed(&format!(
        "This server may read some objects and fields alone, and of this {what} it cannot tell: {error}"
    ))
}

fn check_object<'a>(
    session: &'a Session<'_>,
    object: &'a str,
    reading: &'a Reading,
) -> BoxFuture<'a, Result<(), Trouble>> {
    Box::pin(async move {
        let describe = session.describe(&session.readable(object)?).await?;
        if reading.unnamed_fields && session.guard().limits_fields(&describe.name) {
            return Err(not_allowed(&format!(
                "This server may read some fields of {} alone: name them",
                describe.name
            )));
        }
        for path in &reading.paths {
            check_path(session, &describe, own_path(&describe, reading, path)?).await?;
        }
        for child in &reading.children {
            let known = describe.child_relationships.iter().find(|known| {
                known.relationship_name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&child.object))
            });
            let Some(known) = known else {
                return Err(invalid(&format!("{} has no child relationship {}", describe.name, child.object)));
            };
            check_field(session, &known.child_object, &known.field)?;
            check_object(session, &known.child_object, child).await?;
        }
        for joined in &reading.joined {
            check_object(session, &joined.object, joined).await?;
        }
        Ok(())
    })
}

/// A path without the object's own name or alias before it.
fn own_path<'a>(describe: &Describe, reading: &Reading, path: &'a str) -> Result<&'a str, Trouble> {
    let Some((first, rest)) = path.split_once('.') else { return Ok(path) };
    let is_own = |name: &str| first.eq_ignore_ascii_case(name);
    if !is_own(&reading.object) && !reading.alias.as_deref().is_some_and(is_own) {
        return Ok(path);
    }
    if describe.relationship(first).is_some() {
        return Err(invalid(&format!("{first} is a relationship of {} too: use another alias", describe.name)));
    }
    Ok(rest)
}

/// Follows a path from record to record. To read `Account.Name` is to read `AccountId` too.
async fn check_path(session: &Session<'_>, describe: &Describe, path: &str) -> Result<(), Trouble> {
    let Some((relationship, rest)) = path.split_once('.') else {
        return match describe.field(path) {
            Some(field) => check_field(session, &describe.name, &field.name),
            None => Err(unknown(describe, path)),
        };
    };
    let Some(field) = describe.relationship(relationship) else { return Err(unknown(describe, path)) };
    check_field(session, &describe.name, &field.name)?;
    match field.reference_to.as_slice() {
        [one] => {
            let next = session.describe(&session.readable(one)?).await?;
            Box::pin(check_path(session, &next, rest)).await
        }
        several if rest.contains('.') || several.is_empty() => {
            Err(not_allowed(&format!("This server may not read {path}, which leads to records of several objects")))
        }
        several => several.iter().try_for_each(|object| {
            session.readable(object)?;
            check_field(session, object, rest)
        }),
    }
}

fn check_field(session: &Session<'_>, object: &str, field: &str) -> Result<(), Trouble> {
    if session.guard().may_read_field(object, field) {
        return Ok(());
    }
    Err(not_allowed(&format!("This server may not read the field {field} of {object}")))
}

fn unknown(describe: &Describe, path: &str) -> Trouble {
    match FieldPath::parse(path) {
        Some(path) => wrong_fields(&check_reads(describe, &[path])),
        None => invalid(&format!("{} has no field {path}", describe.name)),
    }
}
