//! The tools over Salesforce: the names, arguments and answers that their users know. Which of them are served, over
//! which org, and what they may touch, a server's definition says.

use access_token::Scope;
use regex_lite::Regex;

use crate::input::{Input, InputKind};
use crate::tool::{Annotations, Output, OutputType, Tool};

/// What a tool does in Salesforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SalesforceTool {
    /// `createRecord`.
    CreateRecord,
    /// `getRecord`.
    GetRecord,
    /// `updateRecord`: also upsert by an external id.
    UpdateRecord,
    /// `deleteRecord`.
    DeleteRecord,
    /// `executeQuery`.
    ExecuteQuery,
    /// `executeQueryAll`: deleted and archived records too.
    ExecuteQueryAll,
    /// `executeSearch`.
    ExecuteSearch,
    /// `executeComposite`.
    ExecuteComposite,
    /// `executeBatch`.
    ExecuteBatch,
    /// `createBulkJob`.
    CreateBulkJob,
    /// `getBulkJob`.
    GetBulkJob,
    /// `getBulkJobResults`.
    GetBulkJobResults,
    /// `abortBulkJob`.
    AbortBulkJob,
    /// `listAllObjects`.
    ListAllObjects,
    /// `describeObject`.
    DescribeObject,
    /// `listReports`.
    ListReports,
    /// `getReport`.
    GetReport,
    /// `getOrganizationLimits`.
    GetOrganizationLimits,
    /// `salesforce_create_contact`, `salesforce_create_appointment`.
    Create(Typed),
    /// `salesforce_get_contact`, `salesforce_get_appointment`.
    Get(Typed),
    /// `salesforce_update_contact`, `salesforce_update_appointment`.
    Update(Typed),
    /// `salesforce_delete_contact`, `salesforce_delete_appointment`.
    Delete(Typed),
    /// `salesforce_list_contacts`, `salesforce_list_appointments`.
    List(Typed),
}

/// An object with tools of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Typed {
    /// `Contact`.
    Contact,
    /// `Event`, called an appointment.
    Appointment,
}

/// A field of a typed tool: Salesforce's own name.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its API name.
    pub name: &'static str,
    /// Its label.
    pub title: &'static str,
    /// What it holds.
    pub description: &'static str,
    /// Its type.
    pub field_type: OutputType,
    /// Whether a tool that creates must be given it.
    pub required: bool,
}

const fn field(
    name: &'static str,
    title: &'static str,
    description: &'static str,
    field_type: OutputType,
    required: bool,
) -> Field {
    Field { name, title, description, field_type, required }
}

const CONTACT: [Field; 12] = [
    field("FirstName", "First name", "First name, up to 40 characters", OutputType::Text, false),
    field("LastName", "Last name", "Last name, up to 80 characters", OutputType::Text, true),
    field("Email", "Email", "Email address", OutputType::Text, false),
    field("Phone", "Phone", "Phone number", OutputType::Text, false),
    field("MobilePhone", "Mobile phone", "Mobile phone number", OutputType::Text, false),
    field("Title", "Job title", "Job title, such as Head of Purchasing", OutputType::Text, false),
    field("AccountId", "Account", "Id of the account the contact belongs to", OutputType::Text, false),
    field("MailingStreet", "Street", "Street of the mailing address", OutputType::Text, false),
    field("MailingCity", "City", "City of the mailing address", OutputType::Text, false),
    field("MailingPostalCode", "Postal code", "Postal code of the mailing address", OutputType::Text, false),
    field("MailingCountry", "Country", "Country of the mailing address", OutputType::Text, false),
    field("Description", "Description", "Notes about the contact", OutputType::Text, false),
];

const APPOINTMENT: [Field; 11] = [
    field("Subject", "Subject", "What it is about, up to 255 characters", OutputType::Text, true),
    field(
        "StartDateTime",
        "Start",
        "When it begins: 2026-02-20T18:00:00Z, or with an offset such as +01:00",
        OutputType::Text,
        false,
    ),
    field("EndDateTime", "End", "When it ends, in the same form; or give DurationInMinutes", OutputType::Text, false),
    field("DurationInMinutes", "Duration", "Its length in minutes, instead of an end", OutputType::Integer, false),
    field(
        "IsAllDayEvent",
        "All day",
        "Whether it lasts whole days; then give ActivityDate",
        OutputType::Boolean,
        false,
    ),
    field("ActivityDate", "Date", "Day of an all-day appointment: 2026-02-20", OutputType::Text, false),
    field("WhoId", "With", "Id of the contact or lead it is with", OutputType::Text, false),
    field("WhatId", "About", "Id of the account, opportunity or other record it is about", OutputType::Text, false),
    field("OwnerId", "Owner", "Id of the user whose calendar it is in", OutputType::Text, false),
    field("Location", "Location", "Where it takes place", OutputType::Text, false),
    field("Description", "Description", "Notes about the appointment", OutputType::Text, false),
];

impl Typed {
    /// Its API name.
    pub fn object(self) -> &'static str {
        match self {
            Typed::Contact => "Contact",
            Typed::Appointment => "Event",
        }
    }

    /// The fields its tools know.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Typed::Contact => &CONTACT,
            Typed::Appointment => &APPOINTMENT,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Typed::Contact => "contact",
            Typed::Appointment => "appointment",
        }
    }
}

impl SalesforceTool {
    /// Every tool, the generic ones first.
    pub const ALL: [SalesforceTool; 28] = [
        SalesforceTool::CreateRecord,
        SalesforceTool::GetRecord,
        SalesforceTool::UpdateRecord,
        SalesforceTool::DeleteRecord,
        SalesforceTool::ExecuteQuery,
        SalesforceTool::ExecuteQueryAll,
        SalesforceTool::ExecuteSearch,
        SalesforceTool::ExecuteComposite,
        SalesforceTool::ExecuteBatch,
        SalesforceTool::CreateBulkJob,
        SalesforceTool::GetBulkJob,
        SalesforceTool::GetBulkJobResults,
        SalesforceTool::AbortBulkJob,
        SalesforceTool::ListAllObjects,
        SalesforceTool::DescribeObject,
        SalesforceTool::ListReports,
        SalesforceTool::GetReport,
        SalesforceTool::GetOrganizationLimits,
        SalesforceTool::Create(Typed::Contact),
        SalesforceTool::Get(Typed::Contact),
        SalesforceTool::Update(Typed::Contact),
        SalesforceTool::Delete(Typed::Contact),
        SalesforceTool::List(Typed::Contact),
        SalesforceTool::Create(Typed::Appointment),
        SalesforceTool::Get(Typed::Appointment),
        SalesforceTool::Update(Typed::Appointment),
        SalesforceTool::Delete(Typed::Appointment),
        SalesforceTool::List(Typed::Appointment),
    ];

    /// The tool of a name.
    pub fn named(name: &str) -> Option<SalesforceTool> {
        SalesforceTool::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            SalesforceTool::CreateRecord => "createRecord",
            SalesforceTool::GetRecord => "getRecord",
            SalesforceTool::UpdateRecord => "updateRecord",
            SalesforceTool::DeleteRecord => "deleteRecord",
            SalesforceTool::ExecuteQuery => "executeQuery",
            SalesforceTool::ExecuteQueryAll => "executeQueryAll",
            SalesforceTool::ExecuteSearch => "executeSearch",
            SalesforceTool::ExecuteComposite => "executeComposite",
            SalesforceTool::ExecuteBatch => "executeBatch",
            SalesforceTool::CreateBulkJob => "createBulkJob",
            SalesforceTool::GetBulkJob => "getBulkJob",
            SalesforceTool::GetBulkJobResults => "getBulkJobResults",
            SalesforceTool::AbortBulkJob => "abortBulkJob",
            SalesforceTool::ListAllObjects => "listAllObjects",
            SalesforceTool::DescribeObject => "describeObject",
            SalesforceTool::ListReports => "listReports",
            SalesforceTool::GetReport => "getReport",
            SalesforceTool::GetOrganizationLimits => "getOrganizationLimits",
            SalesforceTool::Create(Typed::Contact) => "salesforce_create_contact",
            SalesforceTool::Get(Typed::Contact) => "salesforce_get_contact",
            SalesforceTool::Update(Typed::Contact) => "salesforce_update_contact",
            SalesforceTool::Delete(Typed::Contact) => "salesforce_delete_contact",
            SalesforceTool::List(Typed::Contact) => "salesforce_list_contacts",
            SalesforceTool::Create(Typed::Appointment) => "salesforce_create_appointment",
            SalesforceTool::Get(Typed::Appointment) => "salesforce_get_appointment",
            SalesforceTool::Update(Typed::Appointment) => "salesforce_update_appointment",
            SalesforceTool::Delete(Typed::Appointment) => "salesforce_delete_appointment",
            SalesforceTool::List(Typed::Appointment) => "salesforce_list_appointments",
        }
    }

    /// The tool as clients see it.
    pub fn tool(self) -> Tool {
        let (title, description) = self.described();
        Tool {
            name: self.name().into(),
            title: title.into(),
            description: description.into(),
            inputs: self.inputs(),
            outputs: self.outputs(),
            annotations: self.annotations(),
            scope: if self.annotations().read_only { Scope::Read } else { Scope::Write },
            foreign: None,
        }
    }

    fn annotations(self) -> Annotations {
        use SalesforceTool::*;
        let (read_only, destructive) = match self {
            CreateRecord | Create(_) => (false, false),
            UpdateRecord | DeleteRecord | ExecuteComposite | ExecuteBatch | CreateBulkJob | AbortBulkJob
            | Update(_) | Delete(_) => (false, true),
            _ => (true, false),
        };
        // A write that is repeated within its window is answered and not done again; later it would be.
        Annotations { read_only, destructive, idempotent: read_only, open_world: true }
    }

    fn described(self) -> (String, String) {
        use SalesforceTool::*;
        let text = |title: &str, description: &str| (title.to_owned(), description.to_owned());
        match self {
            CreateRecord => text("Create record", "Creates a Salesforce record of any object; returns its id."),
            GetRecord => text(
                "Get record",
                "Returns one Salesforce record, by its id or by an external id; name the fields you need.",
            ),
            UpdateRecord => text(
                "Update record",
                "Changes the given fields of one Salesforce record, by its id; or creates or updates it by an external id.",
            ),
            DeleteRecord => text(
                "Delete record",
                "Deletes one Salesforce record in two steps: the first call answers what would go and a handle, the second one, with the handle, deletes it.",
            ),
            ExecuteQuery => text(
                "Execute query",
                "Runs a SOQL query and returns its records, a page at a time; pass the cursor of an answer to get the next ones.",
            ),
            ExecuteQueryAll => text(
                "Execute query on all records",
                "Runs a SOQL query over all records, deleted and archived ones too, a page at a time.",
            ),
            ExecuteSearch => text(
                "Execute search",
                "Finds records by words, in any object: a SOSL search such as FIND {Acme} IN NAME FIELDS RETURNING Account(Id, Name).",
            ),
            ExecuteComposite => text(
                "Execute composite",
                "Runs up to 25 operations in one request, in order; a later one may use what an earlier one made as @{reference.id}.",
            ),
            ExecuteBatch => text(
                "Execute batch",
                "Runs up to 25 independent operations in one request, in order, without roll-back.",
            ),
            CreateBulkJob => text(
                "Create bulk job",
                "Starts a bulk job that writes the given rows, or one that runs a query in the background; returns the job's id. Poll it with getBulkJob.",
            ),
            GetBulkJob => {
                text("Get bulk job", "Returns the state of a bulk job and how many records it has processed.")
            }
            GetBulkJobResults => text(
                "Get bulk job results",
                "Returns the records of a finished bulk job, a page at a time: successful, failed or unprocessed rows, or the records of a query.",
            ),
            AbortBulkJob => text("Abort bulk job", "Stops a bulk job; what it has written stays."),
            ListAllObjects => text("List all objects", "Lists the objects of the org and what may be done with them."),
            DescribeObject => text(
                "Describe object",
                "Returns the fields of an object: name, label, type, length, whether they are required and writable, and their picklist values.",
            ),
            ListReports => {
                text("List reports", "Lists the reports of the org, by a part of their name if it is given.")
            }
            GetReport => {
                text("Get report", "Runs a report, with other filters if they are given, and returns its rows.")
            }
            GetOrganizationLimits => text(
                "Get organization limits",
                "Returns the limits of the org, such as daily API requests, and what is left.",
            ),
            Create(typed) => {
                (format!("Create {}", typed.word()), format!("Creates {} in Salesforce; returns its id.", a(typed)))
            }
            Get(typed) => {
                (format!("Get {}", typed.word()), format!("Returns one {} of Salesforce, by its id.", typed.word()))
            }
            Update(typed) => (
                format!("Update {}", typed.word()),
                format!("Changes the given fields of one {}, by its id.", typed.word()),
            ),
            Delete(typed) => (
                format!("Delete {}", typed.word()),
                format!(
                    "Deletes one {} in two steps: the first call answers what would go and a handle, the second one, with the handle, deletes it.",
                    typed.word()
                ),
            ),
            List(Typed::Contact) => text(
                "List contacts",
                "Lists contacts, the newest first, a page at a time; of one account or by a part of the name if they are given.",
            ),
            List(Typed::Appointment) => text(
                "List appointments",
                "Lists appointments by their start, the latest first, or the earliest first from a time on; with one person or in a time if they are given.",
            ),
        }
    }

    fn inputs(self) -> Vec<Input> {
        use SalesforceTool::*;
        let mut inputs = match self {
            CreateRecord => vec![object().required(), fields_to_write().required()],
            GetRecord => vec![
                object().required(),
                id("Id of the record; or give external_id_field and external_id"),
                external_id_field(),
                external_id(),
                Input::new(
                    "fields",
                    "Fields",
                    "API names of the fields to return, such as Name or Owner.Name",
                    InputKind::Texts { max: 100 },
                ),
            ],
            UpdateRecord => vec![
                object().required(),
                id("Id of the record; or give external_id_field and external_id to create or update it by them"),
                external_id_field(),
                external_id(),
                fields_to_write().required(),
            ],
            DeleteRecord => vec![object().required(), id("Id of the record").required(), handle()],
            ExecuteQuery => vec![query().required(), limit(), cursor(), include_deleted()],
            ExecuteQueryAll => vec![query().required(), limit(), cursor()],
            ExecuteSearch => vec![
                Input::new("search", "Search", "A SOSL search", InputKind::LongText { max_bytes: 20_000 }).required(),
                limit(),
            ],
            ExecuteComposite => vec![
                operations().required(),
                Input::new(
                    "all_or_none",
                    "All or none",
                    "Whether one failure undoes all; true unless told otherwise",
                    InputKind::Boolean,
                ),
                handle(),
            ],
            ExecuteBatch => vec![
                operations().required(),
                Input::new(
                    "halt_on_error",
                    "Halt on error",
                    "Whether one failure stops those after it",
                    InputKind::Boolean,
                ),
                handle(),
            ],
            CreateBulkJob => vec![
                one_of(
                    "operation",
                    "Operation",
                    "What the job does",
                    &["insert", "update", "upsert", "delete", "query"],
                )
                .required(),
                object(),
                Input::new(
                    "rows",
                    "Rows",
                    "Records to write, each an object of fields; deletes need Id alone",
                    InputKind::Objects { max: 2_000 },
                ),
                external_id_field(),
                query(),
                handle(),
            ],
            GetBulkJob | AbortBulkJob => vec![job_id().required()],
            GetBulkJobResults => vec![
                job_id().required(),
                one_of(
                    "kind",
                    "Kind",
                    "Which rows of a job that writes; successful unless told otherwise",
                    &["successful", "failed", "unprocessed"],
                ),
                limit(),
                cursor(),
            ],
            ListAllObjects => vec![Input::text("query", "Name", "Part of the name or label"), limit(), cursor()],
            DescribeObject => vec![object().required(), limit(), cursor()],
            ListReports => vec![Input::text("query", "Name", "Part of the report's name"), limit(), cursor()],
            GetReport => vec![
                Input::text("report_id", "Report", "Id of the report, which begins with 00O").required(),
                Input::new(
                    "filters",
                    "Filters",
                    "Filters instead of the report's own, each with column, operator (equals, notEqual, lessThan, greaterThan, contains, …) and value",
                    InputKind::Objects { max: 20 },
                ),
                limit(),
                cursor(),
            ],
            GetOrganizationLimits => vec![],
            Create(typed) => typed.fields().iter().map(|field| field.input(field.required)).collect(),
            Get(_) => vec![id("Id of the record").required()],
            Update(typed) => {
                let fields = typed.fields().iter().map(|field| field.input(false));
                std::iter::once(id("Id of the record").required()).chain(fields).collect()
            }
            Delete(_) => vec![id("Id of the record").required(), handle()],
            List(Typed::Contact) => vec![
                Input::text("query", "Name", "Part of the name or email address"),
                Input::text("AccountId", "Account", "Only contacts of this account, by its id"),
                limit(),
                cursor(),
            ],
            List(Typed::Appointment) => vec![
                Input::text("WhoId", "With", "Only appointments with this contact or lead, by its id"),
                Input::text("from", "From", "Only appointments that begin then or later: 2026-02-20T00:00:00Z"),
                Input::text("to", "To", "Only appointments that begin before: 2026-02-27T00:00:00Z"),
                limit(),
                cursor(),
            ],
        };
        if matches!(self, CreateRecord | UpdateRecord | Create(_) | Update(_)) {
            inputs.push(allow_duplicates());
        }
        if !self.annotations().read_only && self != AbortBulkJob {
            inputs.push(Input::text(
                "idempotency_key",
                "Idempotency key",
                "Any text that names this one write: repeated with it, it is answered and not done again",
            ));
        }
        inputs
    }

    fn outputs(self) -> Vec<Output> {
        use SalesforceTool::*;
        let text = |name: &'static str, description: &'static str| Output::new(name, OutputType::Text, description);
        let written = || {
            vec![
                text("id", "Id of the record"),
                Output::new("success", OutputType::Boolean, "Whether it was done").required(),
                text("state", "done, already_done, preview or dry_run").required(),
                text("hint", "What else can be done"),
            ]
        };
        let previewed = || [text("summary", "What would be done"), text("handle", "Pass it to do it")];
        match self {
            CreateRecord | Create(_) | Update(_) => written(),
            UpdateRecord => {
                let mut outputs = written();
                outputs.push(Output::new("created", OutputType::Boolean, "Whether an upsert made it"));
                outputs
            }
            DeleteRecord | Delete(_) => written().into_iter().chain(previewed()).collect(),
            GetRecord => {
                vec![text("Id", "Id of the record"), text("truncated", "What was left out or cut, if anything was")]
            }
            Get(typed) => std::iter::once(text("Id", "Id of the record"))
                .chain(typed.fields().iter().map(|field| Output::new(field.name, field.field_type, field.description)))
                .collect(),
            ExecuteComposite | ExecuteBatch => {
                let results = "What became of each operation: reference, status, id, success, code, message; records that it read as JSON text";
                let mut outputs = vec![
                    Output::new("success", OutputType::Boolean, "Whether all went well").required(),
                    text("state", "done, partly_done, failed (nothing was written), already_done, preview or dry_run")
                        .required(),
                    text("hint", "What else can be done"),
                    Output::new("results", OutputType::Rows, results),
                ];
                outputs.extend(previewed());
                outputs
            }
            CreateBulkJob | GetBulkJob | AbortBulkJob => {
                let count =
                    |name: &'static str, description: &'static str| Output::new(name, OutputType::Integer, description);
                let mut outputs = vec![
                    text("job_id", "Id of the job"),
                    text(
                        "state",
                        "Open, UploadComplete, InProgress, JobComplete, Failed or Aborted; already_done, preview or dry_run",
                    ),
                    text("hint", "What else can be done"),
                    text("operation", "What the job does"),
                    text("object", "The object it works on"),
                    count("processed", "Records processed"),
                    count("failed", "Records that failed"),
                    text("message", "Why it failed"),
                ];
                outputs.extend(previewed());
                outputs
            }
            DescribeObject => {
                let mut outputs = vec![text("name", "API name of the object"), text("label", "Label of the object")];
                let fields = "Fields: name, label, type, length, required, writable, values, references, relationship, external_id";
                outputs.extend(listed(fields));
                outputs
            }
            ListAllObjects => listed("Objects: name, label, custom, queryable, createable, updateable, deletable"),
            ListReports => listed("Reports: id, name, folder, format"),
            GetReport => {
                let mut outputs = vec![
                    text("name", "Name of the report"),
                    text("note", "What to do when the report has more rows than Salesforce gives"),
                ];
                outputs.extend(listed("Rows of the report, a property a column"));
                outputs
            }
            GetOrganizationLimits => listed("Limits: name, max, remaining"),
            ExecuteSearch => listed("Records: their object, then their fields by name"),
            ExecuteQuery | ExecuteQueryAll | GetBulkJobResults | List(_) => {
                listed("Records: fields by name; a field of a related record is Account.Name, a subquery JSON text")
            }
        }
    }
}

/// What every list answers.
fn listed(records: &'static str) -> Vec<Output> {
    vec![
        Output::new("records", OutputType::Rows, records).required(),
        Output::new("count", OutputType::Integer, "Number of records in this answer").required(),
        Output::new("total", OutputType::Integer, "Number of all records, if it is known"),
        Output::new("truncated", OutputType::Boolean, "Whether there may be more, or something was cut").required(),
        Output::new("cursor", OutputType::Text, "Where to go on"),
    ]
}

fn a(typed: Typed) -> &'static str {
    match typed {
        Typed::Contact => "a contact",
        Typed::Appointment => "an appointment",
    }
}

impl Field {
    fn input(&self, required: bool) -> Input {
        let kind = match self.field_type {
            OutputType::Integer => InputKind::Integer,
            OutputType::Number => InputKind::Number,
            OutputType::Boolean => InputKind::Boolean,
            OutputType::Text | OutputType::Rows => InputKind::LongText { max_bytes: 32_000 },
        };
        let input = Input::new(self.name, self.title, self.description, kind);
        if required { input.required() } else { input }
    }
}

fn object() -> Input {
    pattern("object", "Object", "API name of the object, such as Contact or Invoice__c", "^[A-Za-z][A-Za-z0-9_]{0,79}$")
}

fn id(description: &'static str) -> Input {
    pattern("id", "Record id", description, "^[a-zA-Z0-9]{15}([a-zA-Z0-9]{3})?$")
}

fn job_id() -> Input {
    pattern("job_id", "Job", "Id of the bulk job, which begins with 750", "^750[a-zA-Z0-9]{12}([a-zA-Z0-9]{3})?$")
}

fn external_id_field() -> Input {
    pattern(
        "external_id_field",
        "External id field",
        "API name of the external id field",
        "^[A-Za-z][A-Za-z0-9_]{0,79}$",
    )
}

fn external_id() -> Input {
    Input::text("external_id", "External id", "Value of the external id field")
}

fn fields_to_write() -> Input {
    let description = "The fields to write: an object of API names and values, such as {\"LastName\": \"Rossi\"}";
    Input::new("fields", "Fields", description, InputKind::Object)
}

fn query() -> Input {
    Input::new(
        "query",
        "Query",
        "A SOQL query, such as SELECT Id, Name FROM Account",
        InputKind::LongText { max_bytes: 100_000 },
    )
}

fn limit() -> Input {
    Input::new("limit", "Limit", "Records in this answer, at most", InputKind::Integer)
}

fn cursor() -> Input {
    let description = "Cursor of an earlier answer: goes on from there, other arguments unchanged";
    Input::new("cursor", "Cursor", description, InputKind::LongText { max_bytes: 8_192 })
}

fn include_deleted() -> Input {
    Input::new("include_deleted", "Include deleted", "Deleted and archived records too", InputKind::Boolean)
}

fn allow_duplicates() -> Input {
    let description =
        "Saves a record that a duplicate rule takes for another, if the rule lets it; ask the user before";
    Input::new("allow_duplicates", "Allow duplicates", description, InputKind::Boolean)
}

fn handle() -> Input {
    Input::new(
        "handle",
        "Handle",
        "Handle of the preview: does what it showed",
        InputKind::LongText { max_bytes: 8_192 },
    )
}

fn operations() -> Input {
    let description = "Operations, each with operation (create, get, update, upsert, delete or query), object, id, fields, \
                       external_id_field, external_id or query as it needs them, and a reference to name its result";
    Input::new("operations", "Operations", description, InputKind::Objects { max: 25 })
}

fn one_of(name: &'static str, title: &'static str, description: &'static str, texts: &[&'static str]) -> Input {
    let one_of = texts.iter().map(|text| (*text).into()).collect();
    Input::new(name, title, description, InputKind::Text { pattern: None, one_of })
}

fn pattern(name: &'static str, title: &'static str, description: &'static str, pattern: &'static str) -> Input {
    let pattern = Regex::new(pattern).expect("patterns of tools that ship are patterns");
    Input::new(name, title, description, InputKind::Text { pattern: Some(pattern), one_of: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_can_be_shown_and_mapped() {
        for salesforce in SalesforceTool::ALL {
            let tool = salesforce.tool();
            assert_eq!(SalesforceTool::named(&tool.name), Some(salesforce));
            assert!(tool.description.len() < 1_000 && !tool.description.contains('\n'), "{}", tool.name);
            for input in &tool.inputs {
                let schema = input.schema();
                let told = |what: &str| schema[what].as_str().is_some_and(|text| !text.is_empty());
                assert!(told("title") && told("description"), "{}.{}", tool.name, input.name);
            }
            assert_eq!(tool.scope == Scope::Read, tool.annotations.read_only, "{}", tool.name);
        }
    }
}
