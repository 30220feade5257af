//! The tools of the hosted servers: the REST resources of the org under other names.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::answer::{ApiError, Call};
use crate::state::State;
use crate::{demo, rest, schema};

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    GetObjectSchema,
    SoqlQuery,
    Find,
    GetUserInfo,
    ListRecentSobjectRecords,
    GetRelatedRecords,
    CreateSobjectRecord,
    UpdateSobjectRecord,
    UpdateRelatedRecord,
    DeleteSobjectRecord,
    DeleteRelatedRecord,
}

use Tool::{
    CreateSobjectRecord, DeleteRelatedRecord, DeleteSobjectRecord, Find, GetObjectSchema, GetRelatedRecords,
    GetUserInfo, ListRecentSobjectRecords, SoqlQuery, UpdateRelatedRecord, UpdateSobjectRecord,
};

const READS: [Tool; 6] = [GetObjectSchema, SoqlQuery, Find, GetUserInfo, ListRecentSobjectRecords, GetRelatedRecords];
const MUTATIONS: [Tool; 5] =
    [GetObjectSchema, SoqlQuery, CreateSobjectRecord, UpdateSobjectRecord, UpdateRelatedRecord];
const ALL: [Tool; 11] = [
    GetObjectSchema,
    SoqlQuery,
    Find,
    GetUserInfo,
    ListRecentSobjectRecords,
    GetRelatedRecords,
    CreateSobjectRecord,
    UpdateSobjectRecord,
    UpdateRelatedRecord,
    DeleteSobjectRecord,
    DeleteRelatedRecord,
];

fn of(server: &str) -> &'static [Tool] {
    match server {
        "sobject-reads" => &READS,
        "sobject-mutations" => &MUTATIONS,
        _ => &ALL,
    }
}

/// The tools of a server, as `tools/list` has them.
pub(super) fn list(server: &str) -> Vec<Value> {
    of(server).iter().map(|tool| tool.described()).collect()
}

/// A tool of a server by its name.
pub(super) fn find(server: &str, name: &str) -> Option<Tool> {
    of(server).iter().copied().find(|tool| tool.name() == name)
}

const OBJECT: &str = "sobject-name";
const PATH: &str = "relationship-path";

impl Tool {
    fn name(self) -> &'static str {
        match self {
            GetObjectSchema => "getObjectSchema",
            SoqlQuery => "soqlQuery",
            Find => "find",
            GetUserInfo => "getUserInfo",
            ListRecentSobjectRecords => "listRecentSobjectRecords",
            GetRelatedRecords => "getRelatedRecords",
            CreateSobjectRecord => "createSobjectRecord",
            UpdateSobjectRecord => "updateSobjectRecord",
            UpdateRelatedRecord => "updateRelatedRecord",
            DeleteSobjectRecord => "deleteSobjectRecord",
            DeleteRelatedRecord => "deleteRelatedRecord",
        }
    }

    fn title(self) -> &'static str {
        match self {
            GetObjectSchema => "Get Object Schema",
            SoqlQuery => "SOQL Query",
            Find => "Find",
            GetUserInfo => "Get User Info",
            ListRecentSobjectRecords => "List Recent SObject Records",
            GetRelatedRecords => "Get Related Records",
            CreateSobjectRecord => "Create SObject Record",
            UpdateSobjectRecord => "Update SObject Record",
            UpdateRelatedRecord => "Update Related Record",
            DeleteSobjectRecord => "Delete SObject Record",
            DeleteRelatedRecord => "Delete Related Record",
        }
    }

    fn description(self) -> &'static str {
        match self {
            GetObjectSchema => "Lists the objects of the org, or the fields of one of them.",
            SoqlQuery => "Runs a SOQL query and returns the records it finds.",
            Find => "Runs a SOSL search over several objects at once.",
            GetUserInfo => "Tells who the current user is.",
            ListRecentSobjectRecords => "Lists records of an object that were changed last.",
            GetRelatedRecords => "Lists the child records of a record along a relationship.",
            CreateSobjectRecord => "Creates a record and returns its id.",
            UpdateSobjectRecord => "Changes the given fields of a record.",
            UpdateRelatedRecord => "Changes the record that another one refers to.",
            DeleteSobjectRecord => "Puts a record into the recycle bin.",
            DeleteRelatedRecord => "Puts the record that another one refers to into the recycle bin.",
        }
    }

    /// Names of the arguments; those that are required first.
    fn arguments(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            GetObjectSchema => (&[], &["object-name"]),
            SoqlQuery | Find => (&["q"], &[]),
            GetUserInfo => (&[], &[]),
            ListRecentSobjectRecords => (&[OBJECT], &[]),
            GetRelatedRecords | DeleteRelatedRecord => (&[OBJECT, "id", PATH], &[]),
            CreateSobjectRecord => (&[OBJECT, "body"], &[]),
            UpdateSobjectRecord => (&[OBJECT, "id", "body"], &[]),
            UpdateRelatedRecord => (&[OBJECT, "id", PATH, "body"], &[]),
            DeleteSobjectRecord => (&[OBJECT, "id"], &[]),
        }
    }

    fn described(self) -> Value {
        let (required, optional) = self.arguments();
        let properties = required.iter().chain(optional).map(|name| {
            let (kind, description) = match *name {
                "q" if self == Find => {
                    ("string", "A SOSL search: FIND {term} IN ALL FIELDS RETURNING Account(Id, Name)")
                }
                "q" => ("string", "A SOQL query: SELECT Id, Name FROM Account LIMIT 10"),
                "object-name" | OBJECT => ("string", "API name of the object, as Account"),
                "id" => ("string", "Id of the record"),
                PATH => ("string", "Name of the relationship, as Contacts or Account"),
                _ => ("object", "Fields by their API names"),
            };
            ((*name).to_owned(), json!({ "type": kind, "description": description }))
        });
        let read_only = READS.contains(&self);
        json!({
            "name": self.name(),
            "title": self.title(),
            "description": self.description(),
            "inputSchema": {
                "type": "object",
                "properties": Value::Object(properties.collect()),
                "required": required,
            },
            "annotations": {
                "readOnlyHint": read_only,
                "destructiveHint": matches!(self, DeleteSobjectRecord | DeleteRelatedRecord),
                "idempotentHint": read_only || matches!(self, UpdateSobjectRecord | UpdateRelatedRecord),
                "openWorldHint": false,
            },
        })
    }

    /// What the tool answers.
    ///
    /// # Errors
    /// What the resource behind it refuses with.
    pub(super) fn run(self, state: &mut State, arguments: &Value) -> Result<Value, ApiError> {
        let (required, _) = self.arguments();
        if let Some(missing) = required.iter().find(|name| arguments[**name].is_null()) {
            return Err(unknown(format!("Missing required argument: {missing}")));
        }
        let text = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
        let (object, id, body) = (text(OBJECT), text("id"), arguments["body"].clone());
        match self {
            GetObjectSchema if arguments["object-name"].is_null() => ask(state, "GET", &["sobjects"], &[], None),
            GetObjectSchema => ask(state, "GET", &["sobjects", &text("object-name"), "describe"], &[], None),
            SoqlQuery => ask(state, "GET", &["query"], &[("q", &text("q"))], None),
            Find => ask(state, "GET", &["search"], &[("q", &text("q"))], None),
            GetUserInfo => Ok(json!({
                "userId": state.org.user_id,
                "organizationId": state.org.org_id,
                "username": demo::USERNAME,
                "name": "Integration User",
                "timeZone": "GMT",
            })),
            ListRecentSobjectRecords => {
                let found = rest::known(&object)?;
                let soql = format!("SELECT Id, Name FROM {} ORDER BY LastModifiedDate DESC LIMIT 10", found.name);
                ask(state, "GET", &["query"], &[("q", &soql)], None)
            }
            GetRelatedRecords => {
                let (child, field) = children(&object, &text(PATH))?;
                // Names and ids have no quotes: both come from the schema, the id is checked.
                let id = crate::ids::parse(&id).ok_or_else(|| crate::write::not_found(&id))?;
                let soql = format!("SELECT FIELDS(ALL) FROM {child} WHERE {field} = '{id}' LIMIT 200");
                ask(state, "GET", &["query"], &[("q", &soql)], None)
            }
            CreateSobjectRecord => ask(state, "POST", &["sobjects", &object], &[], Some(body)),
            UpdateSobjectRecord => ask(state, "PATCH", &["sobjects", &object, &id], &[], Some(body)),
            UpdateRelatedRecord => {
                let (parent, id) = parent(state, &object, &id, &text(PATH))?;
                ask(state, "PATCH", &["sobjects", parent, &id], &[], Some(body))
            }
            DeleteSobjectRecord => ask(state, "DELETE", &["sobjects", &object, &id], &[], None),
            DeleteRelatedRecord => {
                let (parent, id) = parent(state, &object, &id, &text(PATH))?;
                ask(state, "DELETE", &["sobjects", parent, &id], &[], None)
            }
        }
    }
}

fn unknown(message: String) -> ApiError {
    ApiError::new(400, "UNKNOWN_EXCEPTION", message)
}

/// Asks a resource of the REST API. What has no body of its own is `{"success": true}`.
fn ask(
    state: &mut State,
    method: &str,
    path: &[&str],
    query: &[(&str, &str)],
    body: Option<Value>,
) -> Result<Value, ApiError> {
    let call = Call {
        method: method.to_owned(),
        path: path.iter().map(|segment| (*segment).to_owned()).collect(),
        query: query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        headers: HeaderMap::new(),
        body: body.map(|body| Bytes::from(body.to_string())).unwrap_or_default(),
        version: "v66.0".to_owned(),
    };
    state.api_requests += 1;
    let answer = rest::answer(state, &call);
    let (status, value) = (answer.status, answer.into_value());
    if status < 400 {
        return Ok(if value.is_null() { json!({ "success": true }) } else { value });
    }
    let text = |name: &str| value[0][name].as_str().unwrap_or("UNKNOWN_EXCEPTION").to_owned();
    Err(ApiError::new(status, &text("errorCode"), text("message")))
}

/// The object of a relationship to children, and its field that names the parent.
fn children(object: &str, relationship: &str) -> Result<(&'static str, &'static str), ApiError> {
    let found = rest::known(object)?.children.iter().find(|(name, ..)| name.eq_ignore_ascii_case(relationship));
    let (_, child, field) = found.ok_or_else(|| no_relationship(object, relationship))?;
    Ok((child, field))
}

/// Object and id of the record that another one refers to.
fn parent(state: &State, object: &str, id: &str, relationship: &str) -> Result<(&'static str, String), ApiError> {
    let object = rest::known(object)?;
    let field = object.relationship(relationship).ok_or_else(|| no_relationship(object.name, relationship))?;
    let record = crate::ids::parse(id).and_then(|id| state.org.get(object, &id));
    let record = record.ok_or_else(|| crate::write::not_found(id))?;
    let parent = record.get(field.name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let object = schema::object_of_id(&parent).ok_or_else(ApiError::no_such_path)?;
    Ok((object.name, parent))
}

fn no_relationship(object: &str, relationship: &str) -> ApiError {
    unknown(format!("No relationship '{relationship}' on {object}"))
}
