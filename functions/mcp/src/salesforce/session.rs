//! A session: one call of a tool on one org, under the guard of its server.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use catalogue::SalesforceTool;
use registry::Guard;
use salesforce::{Client, Code, Describe, FieldProblem, ObjectName, Reply, Request, SalesforceError};
use serde_json::{Map, Value};

use crate::arguments::Arguments;
use crate::catalogue::{Call, Trouble};

/// What is left of a call's time when a request to the org is given up: to say what became of it.
const MARGIN: Duration = Duration::from_millis(500);

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
    /// [`Trouble`] when the server may not, or when the org does not say.
    pub async fn describe(&self, object: &ObjectName) -> Result<Arc<Describe>, Trouble> {
        let described = self.client.describe(object, self.call.now);
        self.call.wait_for(|| "Salesforce org".to_owned(), described).await.map_err(|error| match error.code {
            Code::RecordNotFound => trouble(&SalesforceError { code: Code::ObjectUnknown, ..error }),
            _ => trouble(&error),
        })
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
        sentence += &format!(" It looks like {}.", matches.join(", "));
    }
    sentence += &format!(" {}", error.code.advice());
    sentence += if error.retryable { " A retry may help." } else { " A retry does not help." };
    sentence
}

/// A member of an argument that is an object.
pub fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}
