//! Two steps and one effect: previews with handles, and writes that are made once.

use std::fmt::Display;
use std::time::Duration;

use registry::client::seconds;
use salesforce::SalesforceError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::catalogue::{Answer, Trouble};
use crate::cursor::CursorError;
use crate::idempotency::{Begun, Held, Key, TableError, canonical, digest, random};

use super::session::{Session, invalid, trouble};

/// How long a handle may be used.
const HANDLE_LIFETIME: Duration = Duration::from_secs(600);
/// How long the record of what became of a write may take, and what it leaves of the call's time.
const PATIENCE: Duration = Duration::from_secs(4);
const MARGIN: Duration = Duration::from_millis(100);

/// A write.
pub struct Write {
    /// Records that it writes.
    pub records: usize,
    /// How to see whether it was made, as the end of a sentence: `run executeQuery with: SELECT …`. `None` when it may be
    /// made again, for it changes no record.
    pub look: Option<String>,
}

/// How a write ended that was answered.
pub enum Done {
    /// Something was written.
    Written(Answer),
    /// Nothing was.
    Nothing(Answer),
}

/// How a write failed.
pub enum Failure {
    /// Nothing was written.
    Nothing(Trouble),
    /// Nobody knows; the sentence says why.
    Unknown(String),
}

impl From<SalesforceError> for Failure {
    fn from(error: SalesforceError) -> Failure {
        match error.outcome_unknown {
            true => Failure::Unknown(said(&error)),
            false => Failure::Nothing(trouble(&error)),
        }
    }
}

/// What happened, without what could be done about it.
fn said(error: &SalesforceError) -> String {
    match &error.salesforce_code {
        Some(code) => format!("Salesforce says {code}: {}.", error.message.trim_end_matches('.')),
        None => format!("The request to Salesforce failed: {}.", error.message.trim_end_matches('.')),
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        Failure::Nothing(trouble)
    }
}

/// Makes a write once: `work` runs if it has not run before under the key of the call, within the client's budget.
///
/// # Errors
/// [`Trouble`]: that of `work`, or that nobody knows what became of it, or why it did not run.
pub async fn once(
    session: &Session<'_>,
    write: Write,
    work: impl Future<Output = Result<Done, Failure>>,
) -> Result<Answer, Trouble> {
    let key = key(session)?;
    let derived = key.derived;
    let writes = &session.call.orgs.writes;
    let begin = writes.begin(key, session.now(), session.call.deadline);
    let begun = session.call.wait_for(|| "state table".to_owned(), begin).await;
    let held = match begun.map_err(|error| table_away(session, &error))? {
        Begun::Ours(held) => held,
        Begun::Done(answer) => return Ok(already_done(answer, derived)),
        Begun::Unknown => {
            return Err(unknown(session, "An earlier call that asked the same did not end.", &write));
        }
        Begun::Running => {
            return Err(Trouble::new(
                "in_progress",
                "Another call is making this write. Repeat this call in a few seconds: it will have its answer.",
            ));
        }
        Begun::Mismatch => {
            return Err(Trouble::new(
                "idempotency_mismatch",
                "This idempotency_key was used for a write with other arguments. Use another one for another write.",
            ));
        }
    };
    if let Err(trouble) = spend(session, write.records).await {
        told(session, "forgotten", writes.forget(&held)).await;
        return Err(trouble);
    }
    match work.await {
        Ok(Done::Written(answer)) => {
            told(session, "completed", writes.complete(&held, &remembered(&answer), session.now())).await;
            Ok(answer)
        }
        Ok(Done::Nothing(answer)) => {
            undo(session, &held, write.records).await;
            Ok(answer)
        }
        Err(Failure::Nothing(trouble)) => {
            undo(session, &held, write.records).await;
            Err(trouble)
        }
        Err(Failure::Unknown(why)) => {
            told(session, "given up", writes.abandon(&held)).await;
            Err(unknown(session, &why, &write))
        }
    }
}

/// Nothing was written: the record goes, and what was counted is given back.
async fn undo(session: &Session<'_>, held: &Held, records: usize) {
    let writes = &session.call.orgs.writes;
    told(session, "forgotten", writes.forget(held)).await;
    if session.guard().writes_per_day.is_some() && records > 0 {
        told(session, "given back", writes.give_back(whose(session), records, session.call.now)).await;
    }
}

/// Writes what became of a write, for a bounded time: the answer does not depend on it.
async fn told(session: &Session<'_>, what: &str, work: impl Future<Output = Result<(), TableError>>) {
    let left = session.call.deadline.saturating_duration_since(std::time::Instant::now());
    let patience = left.saturating_sub(MARGIN).min(PATIENCE);
    let written = session.call.timings.table(tokio::time::timeout(patience, work)).await;
    let why = match written {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "state table: no answer in time".to_owned(),
    };
    request_log::problem("mcp", "write_not_recorded", &format!("{why}; a write could not be {what}"), session.now());
}

/// Counts the records of a write against the day's budget of the client.
async fn spend(session: &Session<'_>, records: usize) -> Result<(), Trouble> {
    let Some(most) = session.guard().writes_per_day.filter(|_| records > 0) else { return Ok(()) };
    let spend = session.call.orgs.writes.spend(whose(session), records, most, session.call.now);
    let within = session.call.wait_for(|| "state table".to_owned(), spend).await;
    if within.map_err(|error| table_away(session, &error))? {
        return Ok(());
    }
    Err(Trouble::new(
        "write_budget_used",
        format!(
            "This client may write {most} records a day, and {records} more would go beyond that. The day begins anew at \
             midnight UTC."
        ),
    ))
}

fn whose<'a>(session: &'a Session<'_>) -> (&'a str, &'a str) {
    (&session.call.conduct.server, &session.call.principal.client_id)
}

/// The key of the call: the one that was given, that of the preview's handle, or one made of the arguments.
fn key(session: &Session<'_>) -> Result<Key, Trouble> {
    let arguments = session.arguments;
    let given = match (arguments.get("idempotency_key"), arguments.get("handle")) {
        (Some(""), _) => return Err(invalid("idempotency_key is empty")),
        (Some(key), _) => Some(digest(["key", key])),
        (None, Some(handle)) => Some(digest(["handle", handle])),
        (None, None) => None,
    };
    Ok(Key::new(&who(session), given.as_deref(), payload(session)))
}

/// Who writes where.
fn who<'a>(session: &'a Session<'_>) -> [&'a str; 4] {
    let conduct = &session.call.conduct;
    let org = conduct.org.as_deref().unwrap_or_default();
    [&session.call.principal.client_id, &conduct.server, org, session.tool.name()]
}

/// Digest of the arguments, but the handle and the key.
fn payload(session: &Session<'_>) -> String {
    let own = session.arguments.all().filter(|(name, _)| !["handle", "idempotency_key"].contains(name));
    let own: serde_json::Map<String, Value> = own.map(|(name, value)| (name.to_owned(), value.clone())).collect();
    digest([canonical(&Value::Object(own)).as_str()])
}

/// What a handle is good for: the same call again, with the same key if it had one.
fn question(session: &Session<'_>) -> String {
    let key = session.arguments.get("idempotency_key").unwrap_or_default();
    let [client, server, org, tool] = who(session);
    format!("handle {}", digest([client, server, org, tool, &payload(session), key]))
}

/// A handle that does what a preview shows; `seen` is what the second step compares.
///
/// # Errors
/// [`Trouble`] when it cannot be signed.
pub async fn seal(session: &Session<'_>, seen: &impl Serialize) -> Result<String, Trouble> {
    let until = seconds(session.now() + HANDLE_LIFETIME);
    let number = random().ok_or_else(handle_unavailable)?;
    let sealed = session.call.tables.cursors.seal(&(until, number, seen), &question(session), session.call.now).await;
    sealed.map_err(|_| handle_unavailable())
}

/// What the preview of a handle has seen.
///
/// # Errors
/// [`Trouble`] when the handle is of another preview, or too old.
pub async fn open<T: DeserializeOwned>(session: &Session<'_>, handle: &str) -> Result<T, Trouble> {
    let opened =
        session.call.tables.cursors.open::<(u64, String, T)>(handle, &question(session), session.call.now).await;
    match opened {
        Ok((until, _, seen)) if until > seconds(session.now()) => Ok(seen),
        Err(CursorError::Unavailable) => Err(handle_unavailable()),
        Ok(_) | Err(CursorError::Invalid) => Err(Trouble::new(
            "invalid_handle",
            "The handle is not of a preview with these arguments, or is older than 10 minutes. Call without handle to get \
             another preview.",
        )),
    }
}

fn handle_unavailable() -> Trouble {
    Trouble::new(
        "writes_unavailable",
        "Nothing was done: no preview can be made or used at the moment. Try again in a minute.",
    )
}

/// The answer of a preview.
pub fn previewed(summary: &str, handle: String) -> Answer {
    answer([
        ("success", json!(false)),
        ("state", json!("preview")),
        ("summary", json!(summary)),
        ("handle", json!(handle)),
    ])
}

/// An answer of these properties.
pub fn answer<const COUNT: usize>(properties: [(&str, Value); COUNT]) -> Answer {
    properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn already_done(mut answer: Answer, derived: bool) -> Answer {
    answer.insert("state".to_owned(), json!("already_done"));
    if derived {
        answer.insert(
            "hint".to_owned(),
            json!("The same call was made a moment ago. Pass idempotency_key to make another."),
        );
    }
    answer
}

/// The answer as a repeat gets it: the table does not keep records that were read.
fn remembered(answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    for row in answer.get_mut("results").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(row) = row.as_object_mut() {
            row.remove("records");
        }
    }
    answer
}

fn unknown(session: &Session<'_>, why: &str, write: &Write) -> Trouble {
    let again = match session.arguments.get("handle") {
        Some(_) => "make another preview",
        None => "call again with another idempotency_key",
    };
    Trouble::new("outcome_unknown", unknown_sentence(why, write.look.as_deref(), again))
}

fn unknown_sentence(why: &str, look: Option<&str>, again: &str) -> String {
    match look {
        Some(look) => format!(
            "Nobody knows whether this was written. {why} Do not repeat it: to see, {look}. If it was not, {again}."
        ),
        None => format!("Nobody knows whether this was made. {why} It changes no record: {again}."),
    }
}

fn table_away(session: &Session<'_>, error: &impl Display) -> Trouble {
    request_log::problem("mcp", "writes_unavailable", &error.to_string(), session.now());
    Trouble::new(
        "writes_unavailable",
        "Nothing was written: the table that keeps a write from being made twice does not answer. Try again in a minute.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_no_record_may_be_made_again() {
        let (why, again) = ("It did not end.", "call again with another idempotency_key");
        let written = unknown_sentence(why, Some("run executeQuery with: SELECT Id FROM Lead"), again);
        assert!(written.contains("Do not repeat it: to see, run executeQuery"), "{written}");
        assert_eq!(
            unknown_sentence(why, None, again),
            "Nobody knows whether this was made. It did not end. It changes no record: call again with another \
             idempotency_key."
        );
    }
}
