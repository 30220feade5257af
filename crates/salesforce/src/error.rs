//! What went wrong at Salesforce, in our words: a stable code, what Salesforce says, and what can be done about it.
//!
//! Bodies have several shapes (REST API Developer Guide, "Status Codes and Error Responses"): a list of errors, one
//! error, an OAuth error, an HTML page of a gateway, a bare text. Every one becomes a [`SalesforceError`].

use oauth_client::GrantError;
use outbound::FetchError;
use serde::Serialize;
use serde_json::Value;

use crate::ids::RecordId;
use crate::names::ObjectName;
use crate::org::OrgError;
use crate::text::{clean, clean_and_cut};

/// Longest message, in characters.
const MAX_MESSAGE: usize = 500;
/// Most fields and duplicates that are told.
const MAX_TOLD: usize = 20;

/// A class of errors, by our stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "&'static str")]
#[allow(missing_docs, reason = "each has its code, its sentence and its row in docs/errors.md")]
pub enum Code {
    QueryInvalid,
    FieldUnknown,
    FieldNotWritable,
    ObjectUnknown,
    CursorExpired,
    RequestInvalid,
    IdInvalid,
    FieldRequired,
    ValueInvalid,
    ValidationFailed,
    ReferenceInvalid,
    DuplicateValue,
    DuplicatesDetected,
    DeleteFailed,
    RowLocked,
    AccessDenied,
    SessionRefused,
    RequestLimit,
    ApiDisabled,
    RecordNotFound,
    RecordDeleted,
    SeveralRecords,
    RecordConflict,
    PreconditionFailed,
    ApiVersionRetired,
    RequestTooLarge,
    RolledBack,
    RefusedBySalesforce,
    OrgFailed,
    OrgUnreachable,
    OrgTimedOut,
    OrgLeftAlone,
    AnswerUnreadable,
    TooLarge,
    InstanceUrlRefused,
    NotConnected,
    NeedsAttention,
    ConnectionDamaged,
    ConnectionMisconfigured,
    ConnectionUnavailable,
}

impl Code {
    /// Every class.
    pub const ALL: [Code; 40] = [
        Code::QueryInvalid,
        Code::FieldUnknown,
        Code::FieldNotWritable,
        Code::ObjectUnknown,
        Code::CursorExpired,
        Code::RequestInvalid,
        Code::IdInvalid,
        Code::FieldRequired,
        Code::ValueInvalid,
        Code::ValidationFailed,
        Code::ReferenceInvalid,
        Code::DuplicateValue,
        Code::DuplicatesDetected,
        Code::DeleteFailed,
        Code::RowLocked,
        Code::AccessDenied,
        Code::SessionRefused,
        Code::RequestLimit,
        Code::ApiDisabled,
        Code::RecordNotFound,
        Code::RecordDeleted,
        Code::SeveralRecords,
        Code::RecordConflict,
        Code::PreconditionFailed,
        Code::ApiVersionRetired,
        Code::RequestTooLarge,
        Code::RolledBack,
        Code::RefusedBySalesforce,
        Code::OrgFailed,
        Code::OrgUnreachable,
        Code::OrgTimedOut,
        Code::OrgLeftAlone,
        Code::AnswerUnreadable,
        Code::TooLarge,
        Code::InstanceUrlRefused,
        Code::NotConnected,
        Code::NeedsAttention,
        Code::ConnectionDamaged,
        Code::ConnectionMisconfigured,
        Code::ConnectionUnavailable,
    ];

    /// The code as it is written (`docs/errors.md`).
    pub fn as_str(self) -> &'static str {
        match self {
            Code::QueryInvalid => "query_invalid",
            Code::FieldUnknown => "field_unknown",
            Code::FieldNotWritable => "field_not_writable",
            Code::ObjectUnknown => "object_unknown",
            Code::CursorExpired => "cursor_expired",
            Code::RequestInvalid => "salesforce_request_invalid",
            Code::IdInvalid => "id_invalid",
            Code::FieldRequired => "field_required",
            Code::ValueInvalid => "value_invalid",
            Code::ValidationFailed => "validation_failed",
            Code::ReferenceInvalid => "reference_invalid",
            Code::DuplicateValue => "duplicate_value",
            Code::DuplicatesDetected => "duplicates_detected",
            Code::DeleteFailed => "delete_failed",
            Code::RowLocked => "row_locked",
            Code::AccessDenied => "access_denied",
            Code::SessionRefused => "session_refused",
            Code::RequestLimit => "request_limit",
            Code::ApiDisabled => "api_disabled",
            Code::RecordNotFound => "record_not_found",
            Code::RecordDeleted => "record_deleted",
            Code::SeveralRecords => "several_records",
            Code::RecordConflict => "record_conflict",
            Code::PreconditionFailed => "precondition_failed",
            Code::ApiVersionRetired => "api_version_retired",
            Code::RequestTooLarge => "request_too_large",
            Code::RolledBack => "rolled_back",
            Code::RefusedBySalesforce => "salesforce_refused",
            Code::OrgFailed => "org_failed",
            Code::OrgUnreachable => "org_unreachable",
            Code::OrgTimedOut => "org_timed_out",
            Code::OrgLeftAlone => "org_left_alone",
            Code::AnswerUnreadable => "answer_unreadable",
            Code::TooLarge => "too_large",
            Code::InstanceUrlRefused => "instance_url_refused",
            Code::NotConnected => "connection_not_connected",
            Code::NeedsAttention => "connection_needs_attention",
            Code::ConnectionDamaged => "connection_damaged",
            Code::ConnectionMisconfigured => "connection_misconfigured",
            Code::ConnectionUnavailable => "connection_unavailable",
        }
    }

    /// What the one who asked can do.
    pub fn advice(self) -> &'static str {
        match self {
            Code::QueryInvalid => "Correct the query at the place that the message shows.",
            Code::FieldUnknown => "Use describeObject to see the fields of the object, then correct the name.",
            Code::FieldNotWritable => "Leave this field out: Salesforce sets it, or the user may not.",
            Code::ObjectUnknown => "Use listAllObjects to see the objects, then correct the name.",
            Code::CursorExpired => "Run the query again from its beginning, without a cursor.",
            Code::RequestInvalid => "Correct the arguments as the message says.",
            Code::IdInvalid => "Use an id of 15 or 18 characters exactly as Salesforce gave it.",
            Code::FieldRequired => "Give a value for each of the fields that are named.",
            Code::ValueInvalid => "Correct the value of the field that is named.",
            Code::ValidationFailed => "A rule of the org refuses these values: change them as the message says.",
            Code::ReferenceInvalid => {
                "An id refers to a record that does not exist or cannot be used here: correct it."
            }
            Code::DuplicateValue => "Another record has this value already: find and update that one.",
            Code::DuplicatesDetected => {
                "Look at the records that match and update one of them; or ask the user whether to save it all the same, with \
                 allow_duplicates, if the rule lets it be saved."
            }
            Code::DeleteFailed => "Other records depend on this one: delete or change them first.",
            Code::RowLocked => "Somebody else is changing the record: try again in a few seconds.",
            Code::AccessDenied => "The user of the connection may not do this: ask an administrator.",
            Code::SessionRefused => "The org refuses the session of the connection: ask an administrator.",
            Code::RequestLimit => "The org has used up its requests: try later, and ask for fewer things at once.",
            Code::ApiDisabled => "The org does not allow this by its API: ask an administrator.",
            Code::RecordNotFound => "There is no such record, or the user may not see it: check the id.",
            Code::RecordDeleted => "The record is in the recycle bin: use another one.",
            Code::SeveralRecords => "Use the id of one of the records that have this external id.",
            Code::RecordConflict => "The record or the org is in another state: read it again first.",
            Code::PreconditionFailed => "The record has been changed by somebody else: read it again first.",
            Code::ApiVersionRetired => "The API version of the connection is not served: ask an administrator.",
            Code::RequestTooLarge => "Ask for less at once: shorten the query or its lists.",
            Code::RolledBack => "Nothing of this was done, for another part failed: correct that one.",
            Code::RefusedBySalesforce => "Do what the message says, or ask an administrator.",
            Code::OrgFailed => "Salesforce failed: try again in a minute.",
            Code::OrgUnreachable => "Salesforce cannot be reached: try again in a minute.",
            Code::OrgTimedOut => "Salesforce took too long: ask for less, or try again in a minute.",
            Code::OrgLeftAlone => "The org failed several times in a row and is left alone: try again in ten seconds.",
            Code::AnswerUnreadable => "Salesforce answered with something that cannot be read: try again in a minute.",
            Code::TooLarge => "The answer is larger than 6 MiB: ask for fewer fields or records.",
            Code::InstanceUrlRefused => {
                "The connection names a host that is none of Salesforce's: tell an administrator."
            }
            Code::NotConnected => "Nobody has connected the org yet: ask an administrator.",
            Code::NeedsAttention => "The org has to be connected anew: ask an administrator.",
            Code::ConnectionDamaged => {
                "The stored connection is damaged and has to be made anew: ask an administrator."
            }
            Code::ConnectionMisconfigured => "The connection is not set up right: ask an administrator.",
            Code::ConnectionUnavailable => "There is no access to the org at the moment: try again in a few seconds.",
        }
    }

    /// The class of Salesforce's code in an answer of a status. Total: an unknown code is classed by the status.
    pub fn of(salesforce_code: &str, status: u16) -> Code {
        match salesforce_code {
            "MALFORMED_QUERY"
            | "MALFORMED_SEARCH"
            | "INVALID_QUERY_FILTER_OPERATOR"
            | "INVALID_QUERY_SCOPE"
            | "QUERY_TOO_COMPLICATED"
            | "NUMBER_OUTSIDE_VALID_RANGE" => Code::QueryInvalid,
            "INVALID_FIELD" => Code::FieldUnknown,
            "INVALID_FIELD_FOR_INSERT_UPDATE" => Code::FieldNotWritable,
            "INVALID_TYPE" => Code::ObjectUnknown,
            "INVALID_QUERY_LOCATOR" => Code::CursorExpired,
            "JSON_PARSER_ERROR" | "METHOD_NOT_ALLOWED" | "UNSUPPORTED_MEDIA_TYPE" | "INVALID_BATCH" => {
                Code::RequestInvalid
            }
            "MALFORMED_ID" | "INVALID_ID_FIELD" => Code::IdInvalid,
            "REQUIRED_FIELD_MISSING" | "MISSING_ARGUMENT" => Code::FieldRequired,
            "STRING_TOO_LONG"
            | "INVALID_EMAIL_ADDRESS"
            | "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
            | "FIELD_FILTER_VALIDATION_EXCEPTION"
            | "INVALID_NUMBER"
            | "INVALID_DATE" => Code::ValueInvalid,
            "FIELD_CUSTOM_VALIDATION_EXCEPTION"
            | "FIELD_INTEGRITY_EXCEPTION"
            | "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY" => Code::ValidationFailed,
            // On PATCH and DELETE of an unknown id it is the record itself.
            "INVALID_CROSS_REFERENCE_KEY" if status == 404 => Code::RecordNotFound,
            "INVALID_CROSS_REFERENCE_KEY" => Code::ReferenceInvalid,
            "DUPLICATE_VALUE" | "DUPLICATE_EXTERNAL_ID" => Code::DuplicateValue,
            "DUPLICATES_DETECTED" => Code::DuplicatesDetected,
            "DELETE_FAILED" => Code::DeleteFailed,
            "UNABLE_TO_LOCK_ROW" => Code::RowLocked,
            "INSUFFICIENT_ACCESS_OR_READONLY"
            | "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"
            | "INSUFFICIENT_ACCESS"
            | "CANNOT_DELETE_MANAGED_OBJECT" => Code::AccessDenied,
            "INVALID_SESSION_ID" | "INVALID_AUTH_HEADER" => Code::SessionRefused,
            "REQUEST_LIMIT_EXCEEDED" | "EXCEEDED_ID_LIMIT" | "STORAGE_LIMIT_EXCEEDED" | "LIMIT_EXCEEDED" => {
                Code::RequestLimit
            }
            "API_DISABLED_FOR_ORG"
            | "API_CURRENTLY_DISABLED"
            | "FUNCTIONALITY_NOT_ENABLED"
            | "TXN_SECURITY_METERING_ERROR" => Code::ApiDisabled,
            "NOT_FOUND" => Code::RecordNotFound,
            "ENTITY_IS_DELETED" => Code::RecordDeleted,
            "MULTIPLE_CHOICES" => Code::SeveralRecords,
            "UNSUPPORTED_API_VERSION" => Code::ApiVersionRetired,
            "PROCESSING_HALTED" | "BATCH_PROCESSING_HALTED" | "ALL_OR_NONE_OPERATION_ROLLED_BACK" => Code::RolledBack,
            "UNKNOWN_EXCEPTION" | "SERVER_UNAVAILABLE" => Code::OrgFailed,
            _ => Code::of_status(status),
        }
    }

    fn of_status(status: u16) -> Code {
        match status {
            300 => Code::SeveralRecords,
            401 => Code::SessionRefused,
            403 => Code::AccessDenied,
            404 => Code::RecordNotFound,
            405 | 415 => Code::RequestInvalid,
            409 => Code::RecordConflict,
            410 => Code::ApiVersionRetired,
            304 | 412 => Code::PreconditionFailed,
            413 | 414 | 431 => Code::RequestTooLarge,
            420 => Code::OrgFailed,
            429 => Code::RequestLimit,
            400..=499 => Code::RefusedBySalesforce,
            500..=599 => Code::OrgFailed,
            _ => Code::AnswerUnreadable,
        }
    }

    /// Whether the same request may work in a moment, without anybody changing anything.
    pub fn may_pass(self) -> bool {
        matches!(
            self,
            Code::RowLocked
                | Code::RequestLimit
                | Code::OrgFailed
                | Code::OrgUnreachable
                | Code::OrgTimedOut
                | Code::OrgLeftAlone
                | Code::AnswerUnreadable
                | Code::ConnectionUnavailable
        )
    }
}

impl From<Code> for &'static str {
    fn from(code: Code) -> &'static str {
        code.as_str()
    }
}

/// A record that a duplicate rule found, or one of several that have the same external id.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Duplicate {
    /// Its id, if Salesforce shows it.
    pub id: Option<String>,
    /// Its object.
    pub object: Option<String>,
    /// How sure the rule is, in percent.
    pub confidence: Option<f64>,
    /// The rule's name.
    pub rule: Option<String>,
    /// Whether the rule lets the record be saved all the same.
    pub allow_save: bool,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct SalesforceError {
    /// Our stable code.
    pub code: Code,
    /// Salesforce's own code; `ERROR_HTTP_<status>` where it gave none, `None` where it did not answer.
    pub salesforce_code: Option<String>,
    /// What Salesforce says, or we where it says nothing; 500 characters at most, nothing invisible in it.
    pub message: String,
    /// The fields that it is about.
    pub fields: Vec<String>,
    /// Whether the same request may work in a moment.
    pub retryable: bool,
    /// Whether nobody knows if a write was done.
    pub outcome_unknown: bool,
    /// What a duplicate rule found, or which records have the external id.
    pub duplicates: Vec<Duplicate>,
    /// HTTP status; `None` where there was no answer.
    pub status: Option<u16>,
}

impl SalesforceError {
    /// An error of ours, with our words.
    pub fn new(code: Code, message: &str) -> SalesforceError {
        SalesforceError {
            code,
            salesforce_code: None,
            message: clean_and_cut(message, MAX_MESSAGE),
            fields: Vec::new(),
            retryable: code.may_pass(),
            outcome_unknown: false,
            duplicates: Vec::new(),
            status: None,
        }
    }

    /// The same, where a write may have been done: a retry could do it twice.
    pub fn with_unknown_outcome(self, unknown: bool) -> SalesforceError {
        SalesforceError { outcome_unknown: unknown, retryable: self.retryable && !unknown, ..self }
    }

    /// The same, where it is known by other means that nothing was written.
    pub fn with_no_effect(self) -> SalesforceError {
        let retryable = self.code.may_pass() && !self.is_used_up();
        SalesforceError { outcome_unknown: false, retryable, ..self }
    }

    /// What the one who asked can do: with a write of which nobody knows, and with what no retry gets over, it is not what
    /// its class says.
    pub fn advice(&self) -> &'static str {
        if self.outcome_unknown {
            return "Nobody knows whether it was done: look, as with executeQuery, before you repeat it.";
        }
        match self.code {
            code if code.may_pass() && !self.retryable => {
                "It does not pass by itself soon: tell an administrator, and ask for fewer things at once."
            }
            code => code.advice(),
        }
    }

    /// Reads the body of an answer that is no success.
    pub fn from_answer(status: u16, body: &[u8]) -> SalesforceError {
        let mut error = match serde_json::from_slice::<Value>(body) {
            Ok(Value::Array(urls)) if status == 300 => several(&urls),
            Ok(value) => SalesforceError::from_value(&value, status),
            Err(_) => from_text(&String::from_utf8_lossy(body), status),
        };
        error.status = Some(status);
        error
    }

    /// Reads the errors of one item of a composite, batch or collections answer: a list of errors, or one.
    pub fn from_value(value: &Value, status: u16) -> SalesforceError {
        let errors = match value {
            Value::Array(errors) => errors.as_slice(),
            Value::String(text) => return from_text(text, status),
            error => std::slice::from_ref(error),
        };
        let Some(first) = errors.first() else { return from_text("", status) };
        // The rolled back items of a transaction are before the one that failed, or after it.
        let told = errors.iter().find(|error| code_of(error).is_some_and(is_no_consequence)).unwrap_or(first);
        let salesforce_code = code_of(told).map_or_else(|| format!("ERROR_HTTP_{status}"), str::to_owned);
        let messages: Vec<&str> = std::iter::once(told)
            .chain(errors.iter().filter(|error| !std::ptr::eq(*error, told)))
            .filter_map(message_of)
            .take(MAX_TOLD)
            .collect();
        let code = Code::of(&salesforce_code, status);
        let texts = |list: &Value| -> Vec<String> {
            let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
            texts.map(|text| clean_and_cut(text, 80)).collect()
        };
        let said = clean(&messages.join("; "));
        let message = if said.trim().is_empty() { without_words(status) } else { said };
        SalesforceError {
            message: clean_and_cut(&message, MAX_MESSAGE),
            fields: errors.iter().flat_map(|error| texts(&error["fields"])).take(MAX_TOLD).collect(),
            retryable: code.may_pass() && !is_used_up(&salesforce_code, &message),
            duplicates: errors.iter().flat_map(duplicates).take(MAX_TOLD).collect(),
            salesforce_code: Some(salesforce_code),
            ..SalesforceError::new(code, "")
        }
    }

    /// Whether it is a limit that no retry of today gets over.
    pub(crate) fn is_used_up(&self) -> bool {
        is_used_up(self.salesforce_code.as_deref().unwrap_or_default(), &self.message)
    }
}

/// The limit of a day, of the storage, or of one request.
fn is_used_up(salesforce_code: &str, message: &str) -> bool {
    match salesforce_code {
        "REQUEST_LIMIT_EXCEEDED" => message.contains("TotalRequests"),
        "STORAGE_LIMIT_EXCEEDED" | "EXCEEDED_ID_LIMIT" => true,
        _ => false,
    }
}

fn is_no_consequence(code: &str) -> bool {
    Code::of(code, 400) != Code::RolledBack
}

/// `errorCode` of REST, `statusCode` of collections, `error` of OAuth.
fn code_of(error: &Value) -> Option<&str> {
    let code = ["errorCode", "statusCode", "error"].iter().find_map(|name| error[*name].as_str())?;
    let valid = (1..=80).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    valid.then_some(code)
}

fn message_of(error: &Value) -> Option<&str> {
    ["message", "error_description"].iter().find_map(|name| error[*name].as_str()).filter(|text| !text.is_empty())
}

fn without_words(status: u16) -> String {
    format!("an answer of status {status} without words")
}

/// The answer to an external id that several records have is a list of their URLs, which end in object and id.
fn several(urls: &[Value]) -> SalesforceError {
    let record = |url: &Value| {
        let mut ends = url.as_str()?.rsplit('/');
        let (id, object) = (RecordId::parse(ends.next()?)?, ObjectName::parse(ends.next()?)?);
        let (id, object) = (Some(id.to_string()), Some(object.to_string()));
        Some(Duplicate { id, object, confidence: None, rule: None, allow_save: false })
    };
    let error = SalesforceError::new(Code::SeveralRecords, "several records have this external id");
    SalesforceError {
        salesforce_code: Some("MULTIPLE_CHOICES".to_owned()),
        duplicates: urls.iter().filter_map(record).take(MAX_TOLD).collect(),
        ..error
    }
}

/// An HTML page, a bare text, or nothing.
fn from_text(text: &str, status: u16) -> SalesforceError {
    let code = Code::of_status(status);
    let text = clean(text);
    let text = text.trim();
    let is_page = text.starts_with('<') || text.to_ascii_lowercase().contains("<html");
    let message = match text {
        "" => without_words(status),
        _ if is_page => format!("an HTML page of status {status} instead of an answer"),
        text => text.to_owned(),
    };
    SalesforceError { salesforce_code: Some(format!("ERROR_HTTP_{status}")), ..SalesforceError::new(code, &message) }
}

/// Salesforce spells it `duplicateResut` (sic) in its answers.
fn duplicates(error: &Value) -> Vec<Duplicate> {
    let result =
        ["duplicateResut", "duplicateResult"].iter().map(|name| &error[*name]).find(|result| result.is_object());
    let Some(result) = result else { return Vec::new() };
    let text = |value: &Value| value.as_str().map(|text| clean_and_cut(text, 80));
    let found = result["matchResults"].as_array().into_iter().flatten();
    let found = found.flat_map(|found| found["matchRecords"].as_array().into_iter().flatten());
    found
        .map(|found| Duplicate {
            id: text(&found["record"]["Id"]),
            object: text(&found["record"]["attributes"]["type"]),
            confidence: found["matchConfidence"].as_f64(),
            rule: text(&result["duplicateRule"]),
            allow_save: result["allowSave"].as_bool().unwrap_or_default(),
        })
        .collect()
}

impl From<GrantError> for SalesforceError {
    fn from(error: GrantError) -> SalesforceError {
        let code = match error {
            GrantError::NotConnected(_) => Code::NotConnected,
            GrantError::NeedsAttention { .. } => Code::NeedsAttention,
            GrantError::Damaged(_) => Code::ConnectionDamaged,
            GrantError::Misconfigured { .. } => Code::ConnectionMisconfigured,
            GrantError::Unavailable { .. } => Code::ConnectionUnavailable,
        };
        SalesforceError::new(code, &error.to_string())
    }
}

impl From<OrgError> for SalesforceError {
    fn from(error: OrgError) -> SalesforceError {
        SalesforceError::new(Code::InstanceUrlRefused, &error.to_string())
    }
}

/// `write`: whether the request may have had an effect when it was sent.
pub(crate) fn from_fetch(error: &FetchError, write: bool) -> SalesforceError {
    let (code, sent) = match error {
        FetchError::Url(_) => (Code::RequestTooLarge, false),
        FetchError::Header => (Code::RequestInvalid, false),
        FetchError::Address => (Code::InstanceUrlRefused, false),
        FetchError::Unreachable(_) => (Code::OrgUnreachable, false),
        FetchError::TimedOut => (Code::OrgTimedOut, true),
        FetchError::TooLarge => (Code::TooLarge, true),
        _ => (Code::OrgUnreachable, true),
    };
    SalesforceError::new(code, &format!("{error}")).with_unknown_outcome(sent && write)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn error(status: u16, body: &Value) -> SalesforceError {
        SalesforceError::from_answer(status, body.to_string().as_bytes())
    }

    #[test]
    fn every_code_of_the_reference_has_its_class() {
        use Code::*;
        for (status, salesforce_code, code) in [
            (400, "MALFORMED_QUERY", QueryInvalid),
            (400, "INVALID_FIELD", FieldUnknown),
            (400, "INVALID_TYPE", ObjectUnknown),
            (400, "MALFORMED_SEARCH", QueryInvalid),
            (400, "INVALID_QUERY_FILTER_OPERATOR", QueryInvalid),
            (400, "INVALID_QUERY_LOCATOR", CursorExpired),
            (400, "JSON_PARSER_ERROR", RequestInvalid),
            (400, "MALFORMED_ID", IdInvalid),
            (400, "INVALID_FIELD_FOR_INSERT_UPDATE", FieldNotWritable),
            (400, "REQUIRED_FIELD_MISSING", FieldRequired),
            (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", ValidationFailed),
            (400, "FIELD_INTEGRITY_EXCEPTION", ValidationFailed),
            (400, "STRING_TOO_LONG", ValueInvalid),
            (400, "INVALID_EMAIL_ADDRESS", ValueInvalid),
            (400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", ValueInvalid),
            (400, "INVALID_CROSS_REFERENCE_KEY", ReferenceInvalid),
            (404, "INVALID_CROSS_REFERENCE_KEY", RecordNotFound),
            (400, "DUPLICATE_VALUE", DuplicateValue),
            (400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", ValidationFailed),
            (400, "DELETE_FAILED", DeleteFailed),
            (400, "DUPLICATES_DETECTED", DuplicatesDetected),
            (400, "UNABLE_TO_LOCK_ROW", RowLocked),
            (500, "UNABLE_TO_LOCK_ROW", RowLocked),
            (400, "INSUFFICIENT_ACCESS_OR_READONLY", AccessDenied),
            (403, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", AccessDenied),
            (401, "INVALID_SESSION_ID", SessionRefused),
            (403, "REQUEST_LIMIT_EXCEEDED", RequestLimit),
            (403, "API_DISABLED_FOR_ORG", ApiDisabled),
            (403, "API_CURRENTLY_DISABLED", ApiDisabled),
            (403, "FUNCTIONALITY_NOT_ENABLED", ApiDisabled),
            (403, "TXN_SECURITY_METERING_ERROR", ApiDisabled),
            (404, "NOT_FOUND", RecordNotFound),
            (404, "ENTITY_IS_DELETED", RecordDeleted),
            (405, "METHOD_NOT_ALLOWED", RequestInvalid),
            (409, "X", RecordConflict),
            (410, "UNSUPPORTED_API_VERSION", ApiVersionRetired),
            (412, "X", PreconditionFailed),
            (304, "X", PreconditionFailed),
            (414, "X", RequestTooLarge),
            (431, "X", RequestTooLarge),
            (415, "UNSUPPORTED_MEDIA_TYPE", RequestInvalid),
            (420, "X", OrgFailed),
            (500, "UNKNOWN_EXCEPTION", OrgFailed),
            (502, "X", OrgFailed),
            (503, "SERVER_UNAVAILABLE", OrgFailed),
            (400, "PROCESSING_HALTED", RolledBack),
            (412, "BATCH_PROCESSING_HALTED", RolledBack),
            (400, "SOMETHING_NEW", RefusedBySalesforce),
        ] {
            let error = error(status, &json!([{"message": "m", "errorCode": salesforce_code, "fields": ["LastName"]}]));
            assert_eq!((error.code, error.salesforce_code.as_deref()), (code, Some(salesforce_code)));
            assert_eq!((error.message.as_str(), error.fields), ("m", vec!["LastName".to_owned()]));
            assert!(!code.advice().is_empty() && code.advice().ends_with('.'));
        }
    }

    #[test]
    fn other_shapes_are_read_too() {
        for (status, body, code, message) in [
            (
                502,
                "<html><body>Bad Gateway</body></html>",
                Code::OrgFailed,
                "an HTML page of status 502 instead of an answer",
            ),
            (401, "  <!DOCTYPE html>", Code::SessionRefused, "an HTML page of status 401 instead of an answer"),
            (404, "", Code::RecordNotFound, "an answer of status 404 without words"),
            (403, "Bad_OAuth_Token", Code::AccessDenied, "Bad_OAuth_Token"),
            (403, r#""Bad_OAuth_Token""#, Code::AccessDenied, "Bad_OAuth_Token"),
            (400, r#"{"error":"invalid_grant","error_description":"expired"}"#, Code::RefusedBySalesforce, "expired"),
            (400, r#"{"message":"m","errorCode":"MALFORMED_ID"}"#, Code::IdInvalid, "m"),
            (400, r#"[{"statusCode":"MALFORMED_ID","message":"m","fields":[]}]"#, Code::IdInvalid, "m"),
            (400, "[]", Code::RefusedBySalesforce, "an answer of status 400 without words"),
            (400, "[1]", Code::RefusedBySalesforce, "an answer of status 400 without words"),
            (
                400,
                r#"[{"errorCode":"a b<script>"}]"#,
                Code::RefusedBySalesforce,
                "an answer of status 400 without words",
            ),
            (
                300,
                r#"["/services/data/v66.0/sobjects/Contact/003000000000001AAA"]"#,
                Code::SeveralRecords,
                "several records have this external id",
            ),
            (302, "", Code::AnswerUnreadable, "an answer of status 302 without words"),
        ] {
            let error = SalesforceError::from_answer(status, body.as_bytes());
            assert_eq!((error.code, error.message.as_str(), error.status), (code, message, Some(status)), "{body}");
            assert!(error.salesforce_code.is_some());
        }
    }

    #[test]
    fn the_matches_of_a_duplicate_rule_are_told() {
        let found = json!({
            "allowSave": true, "duplicateRule": "Standard_Contact", "duplicateRuleEntityType": "Contact",
            "matchResults": [{"matchRecords": [
                {"matchConfidence": 100.0, "record": {"attributes": {"type": "Contact"}, "Id": "003000000000001AAA"}}
            ]}]
        });
        for name in ["duplicateResut", "duplicateResult"] {
            let error = error(400, &json!([{"errorCode": "DUPLICATES_DETECTED", "message": "Use one", name: found}]));
            assert_eq!(error.code, Code::DuplicatesDetected);
            assert_eq!(
                error.duplicates,
                [Duplicate {
                    id: Some("003000000000001AAA".to_owned()),
                    object: Some("Contact".to_owned()),
                    confidence: Some(100.0),
                    rule: Some("Standard_Contact".to_owned()),
                    allow_save: true,
                }]
            );
        }
    }

    #[test]
    fn the_records_that_have_an_external_id_are_told() {
        let url = |id: &str| json!(format!("/services/data/v66.0/sobjects/Contact/{id}"));
        let urls =
            json!([url("003000000000001AAA"), url("../limits"), 7, "003000000000002AAA", url("003000000000003AAA")]);
        let found = error(300, &urls).duplicates;
        let told: Vec<_> = found.iter().map(|found| (found.object.as_deref(), found.id.as_deref())).collect();
        let contact = |id| (Some("Contact"), Some(id));
        assert_eq!(told, [contact("003000000000001AAA"), contact("003000000000003AAA")]);
    }

    #[test]
    fn the_list_of_codes_has_every_code() {
        assert_eq!(Code::ALL.len(), Code::ConnectionUnavailable as usize + 1);
        for (at, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, at, "{}", code.as_str());
        }
    }

    #[test]
    fn what_had_no_effect_may_be_repeated_as_its_class_says() {
        let timed_out = SalesforceError::new(Code::OrgTimedOut, "").with_unknown_outcome(true);
        assert!(timed_out.clone().with_no_effect().retryable && !timed_out.with_no_effect().outcome_unknown);
        let used_up =
            error(403, &json!([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]));
        assert!(!used_up.with_no_effect().retryable);
    }

    #[test]
    fn the_cause_is_told_before_its_consequences() {
        let halted = json!({"errorCode": "PROCESSING_HALTED", "message": "rolled back"});
        let cause = json!({"errorCode": "REQUIRED_FIELD_MISSING", "message": "missing", "fields": ["LastName"]});
        let error = error(400, &json!([halted, cause]));
        assert_eq!((error.code, error.message.as_str()), (Code::FieldRequired, "missing; rolled back"));
    }

    #[test]
    fn a_retry_helps_where_nobody_has_to_change_anything() {
        let limit = |message: &str| error(403, &json!([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": message}]));
        assert!(limit("ConcurrentPerOrgLongTxn Limit exceeded.").retryable);
        assert!(!limit("TotalRequests Limit exceeded.").retryable);
        assert!(!error(403, &json!([{"errorCode": "STORAGE_LIMIT_EXCEEDED", "message": "m"}])).retryable);
        assert!(!error(400, &json!([{"errorCode": "MALFORMED_ID"}])).retryable);
        let failed = error(502, &json!(""));
        assert!(failed.retryable && !failed.with_unknown_outcome(true).retryable);
    }

    proptest! {
        #[test]
        fn every_answer_becomes_an_error_that_is_safe_to_show(status in any::<u16>(), body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            "[\\[{](\"(message|errorCode|fields|duplicateResut)\":[\\[{\"a-z\u{202e}\u{0}]{0,20},?){0,3}[}\\]]".prop_map(String::into_bytes),
            any::<String>().prop_map(|text| json!([{"message": text.repeat(20), "errorCode": text}]).to_string().into_bytes()),
        ]) {
            let error = SalesforceError::from_answer(status, &body);
            prop_assert!(!error.message.trim().is_empty());
            prop_assert!(error.message.chars().count() <= 500);
            prop_assert_eq!(crate::text::clean(&error.message), error.message);
        }
    }
}
