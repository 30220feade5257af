//! A session: one call of a tool on one org, under the guard of its server.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use catalogue::SalesforceTool;
use registry::Guard;
use salesforce::names::nearest;
use salesforce::{Client, Code, Describe, FieldProblem, ObjectName, Reply, Request, SalesforceError};
use serde_json::{Map, Value};

use crate::arguments::Arguments;
use crate::catalogue::{Call, Trouble};

/// What is left of a call's time when a request to the org is given up: to say what became of it.
const MARGIN: Duration = Duration::from_millis(500);
/// How long the list of objects may take when it is read for a better name alone.
const LIST: Duration = Duration::from_secs(2);

/// See the module's head.
pub struct Session<'a> {
    /// The tool.
    pub tool: SalesforceTool,
    /// Its arguments, of the declared kinds.
    pub arguments: &'a Arguments,
    /// The call.
    pub call: &'a Arc<Call>,
    /// The org.
    pub client: Client,
}

impl<'a> Session<'a> {
    /// Opens a session on the org of the server.
    ///
    /// # Errors
    /// [`Trouble`] when there is no such org.
    pub async fn open(
        tool: SalesforceTool,
        arguments: &'a Arguments,
        call: &'a Arc<Call>,
    ) -> Result<Session<'a>, Trouble> {
        let org = call.conduct.org.as_deref();
        let client = call.wait_for(|| "registry".to_owned(), call.orgs.client(org, call.now)).await?;
        Ok(Session { tool, arguments, call, client })
    }

    /// What the server allows.
    pub fn guard(&self) -> &Guard {
        &self.call.conduct.guard
    }

    /// Sends a request to the org; it ends with the call.
    ///
    /// # Errors
    /// [`SalesforceError`].
    pub async fn send(&self, request: Request) -> Result<Reply, SalesforceError> {
        let left = self.call.deadline.saturating_duration_since(Instant::now()).saturating_sub(MARGIN);
        let sent = self.client.send(request.with_timeout(left), self.call.now);
        let reply = self.call.wait_for(|| "Salesforce org".to_owned(), sent).await;
        if let Some(limits) = self.client.limit_info() {
            self.call.note_api_usage(limits);
        }
        reply
    }

    /// The time now, by the clock of the call.
    pub fn now(&self) -> SystemTime {
        self.call.now + self.call.started.elapsed()
    }

    /// The description of an object that the server may read or write.
    ///
    /// # Errors
    /// [`Trouble`] when the server may not, or when the org does not say; an unknown object with the nearest name.
    pub async fn describe(&self, object: &ObjectName) -> Result<Arc<Describe>, Trouble> {
        let described = self.client.describe(object, self.call.now);
        let described = self.call.wait_for(|| "Salesforce org".to_owned(), described).await;
        let error = match described {
            Ok(describe) => return Ok(describe),
            Err(error) if error.code == Code::RecordNotFound => SalesforceError { code: Code::ObjectUnknown, ..error },
            Err(error) => error,
        };
        let mut told = trouble(&error);
        if error.code == Code::ObjectUnknown {
            told.sentence = match self.meant(object).await {
                Some(meant) => format!("There is no object {object}; did you mean {meant}? {}", told.sentence),
                None => format!("There is no object {object}. {}", told.sentence),
            };
        }
        Err(told)
    }

    /// The object with the nearest name, of those that the server may read.
    async fn meant(&self, object: &ObjectName) -> Option<String> {
        let left = self.call.deadline.saturating_duration_since(Instant::now()).saturating_sub(MARGIN);
        let listed = tokio::time::timeout(left.min(LIST), self.client.objects(self.call.now));
        let listed = self.call.wait_for(|| "Salesforce org".to_owned(), listed).await;
        let listed = listed.ok()?.ok()?;
        let names = listed.iter().map(|listed| listed.name.as_str()).filter(|name| self.guard().may_read(name));
        nearest(object.as_str(), names).map(str::to_owned)
    }

    /// The object that the argument `object` names, if the server may read it.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn readable(&self, object: &str) -> Result<ObjectName, Trouble> {
        self.allowed(object, self.guard().may_read(object), "read")
    }

    /// The object that the argument `object` names, if the server may write it.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn writable(&self, object: &str) -> Result<ObjectName, Trouble> {
        self.allowed(object, self.guard().may_write(object), "write")
    }

    fn allowed(&self, object: &str, allowed: bool, what: &str) -> Result<ObjectName, Trouble> {
        let name =
            ObjectName::parse(object).ok_or_else(|| invalid("object is the API name of an object, such as Contact"))?;
        if allowed { Ok(name) } else { Err(not_allowed(&format!("This server may not {what} {name}"))) }
    }
}

/// What the guard of the server forbids.
pub fn not_allowed(what: &str) -> Trouble {
    Trouble::new("not_allowed_here", format!("{what}. Its definition does not allow it; use another tool or object."))
}

/// An argument that is wrong.
pub fn invalid(what: &str) -> Trouble {
    Trouble::new("invalid_arguments", format!("{what}. Correct it and call again."))
}

/// Fields that are wrong, each with the nearest name that would be right.
pub fn wrong_fields(problems: &[FieldProblem]) -> Trouble {
    let told: Vec<String> =
        problems.iter().take(10).map(|problem| format!("{}: {}", problem.field, problem.problem)).collect();
    invalid(&told.join("; "))
}

/// An error of Salesforce, in words: its own code and message, what to do, and whether a retry helps.
pub fn trouble(error: &SalesforceError) -> Trouble {
    Trouble::new(error.code.as_str(), sentence(error))
}

fn sentence(error: &SalesforceError) -> String {
    let mut sentence = match &error.salesforce_code {
        Some(code) => format!("Salesforce says {code}: {}", error.message),
        None => error.message.clone(),
    };
    if !error.fields.is_empty() {
        sentence += &format!(" (fields: {})", error.fields.join(", "));
    }
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    let matches: Vec<String> = error
        .duplicates
        .iter()
        .filter_map(|duplicate| {
            Some(format!("{} {}", duplicate.object.as_deref().unwrap_or("record"), duplicate.id.as_deref()?))
        })
        .collect();
    if !matches.is_empty() {
        let are = if error.code == Code::SeveralRecords { "They are" } else { "It looks like" };
        sentence += &format!(" {are} {}.", matches.join(", "));
    }
    if error.code == Code::DuplicatesDetected && !error.duplicates.is_empty() {
        let saved = error.duplicates.iter().all(|duplicate| duplicate.allow_save);
        sentence += if saved { " The rule lets it be saved." } else { " The rule does not let it be saved." };
    }
    sentence += &format!(" {}", error.advice());
    if !error.outcome_unknown {
        let helps = error.retryable && error.code.may_pass();
        sentence += if helps { " A retry may help." } else { " A retry does not help." };
    }
    sentence
}

/// A member of an argument that is an object.
pub fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;
    use salesforce::error::Duplicate;

    fn errors() -> impl Iterator<Item = SalesforceError> {
        let kinds = [(false, false), (false, true), (true, false), (true, true)];
        Code::ALL.into_iter().flat_map(move |code| {
            kinds.map(|(retryable, outcome_unknown)| SalesforceError {
                retryable,
                outcome_unknown,
                ..SalesforceError::new(code, "it says something")
            })
        })
    }

    #[test]
    fn no_sentence_contradicts_itself() {
        for error in errors() {
            let sentence = sentence(&error);
            let says = |text: &str| sentence.contains(text);
            let told = format!("{error:?}: {sentence}");
            let again = says("try again") || says("try later");
            let helps = says("A retry may help.");
            assert!(!(helps && says("A retry does not help.")), "{told}");
            if error.outcome_unknown {
                assert!(says("before you repeat it.") && !again && !helps && !says("A retry"), "{told}");
            } else {
                assert!(helps != says("A retry does not help."), "{told}");
                assert!(!again || helps, "{told}");
                assert!(!helps || error.retryable && error.code.may_pass(), "{told}");
                assert!(!says("before you repeat it."), "{told}");
            }
        }
    }

    #[test]
    fn what_matches_is_told_by_its_id() {
        let like = |code: Code, allow_save: bool| {
            let id = Some("003000000000001AAA".to_owned());
            let found = Duplicate { id, object: Some("Contact".to_owned()), confidence: None, rule: None, allow_save };
            sentence(&SalesforceError { duplicates: vec![found], ..SalesforceError::new(code, "use one") })
        };
        let several = like(Code::SeveralRecords, false);
        assert!(several.starts_with("use one. They are Contact 003000000000001AAA. Use the id of one"), "{several}");
        let saved = like(Code::DuplicatesDetected, true);
        assert!(saved.contains("It looks like Contact 003000000000001AAA. The rule lets it be saved."), "{saved}");
        assert!(saved.contains("allow_duplicates"), "{saved}");
        assert!(like(Code::DuplicatesDetected, false).contains("The rule does not let it be saved."));
    }
}
