//! sObject collections: up to 200 records in one request, each with a result of its own, in the order of the request.

use serde_json::{Map, Value, json};

use crate::answer::{Answer, ApiError, Call};
use crate::org::is_deleted;
use crate::rest::{known, lookup_field, some_fields, terms};
use crate::schema::{Field, Object};
use crate::state::State;
use crate::{ids, schema, write};

const MAX_RECORDS: usize = 200;

const MAX_RETRIEVED: usize = 2_000;

/// `composite/sobjects…`
///
/// # Errors
/// What makes the whole request wrong.
pub fn collection(state: &mut State, call: &Call, rest: &[&str]) -> Result<Answer, ApiError> {
    match (call.method.as_str(), rest) {
        ("POST", []) => write_all(state, call, create_one),
        ("PATCH", []) => write_all(state, call, update_one),
        ("DELETE", []) => delete_all(state, call),
        ("PATCH", [object, field]) => {
            let object = known(object)?;
            let Some(field) = lookup_field(object, field) else {
                let message = format!("Provided external ID field does not exist or is not accessible: {field}");
                return Err(ApiError::new(404, "NOT_FOUND", message));
            };
            write_all(state, call, |state, call, given, fields| upsert_one(state, call, given, fields, object, field))
        }
        ("POST", [object]) => {
            let request = call.object()?;
            let list = |name: &str| texts(request.get(name)).ok_or_else(|| malformed(name));
            retrieve(state, call, known(object)?, &list("ids")?, &list("fields")?.join(","))
        }
        ("GET", [object]) => {
            let ids: Vec<String> = call.parameter("ids").unwrap_or_default().split(',').map(str::to_owned).collect();
            retrieve(state, call, known(object)?, &ids, call.parameter("fields").unwrap_or_default())
        }
        _ => Err(ApiError::method(&call.method, "POST, PATCH, DELETE")),
    }
}

fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    value?.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

fn malformed(name: &str) -> ApiError {
    ApiError::new(400, "JSON_PARSER_ERROR", format!("The request needs a list \"{name}\""))
}

fn too_many(count: usize, limit: usize) -> Result<(), ApiError> {
    if count <= limit {
        return Ok(());
    }
    let message = format!("record limit reached. cannot submit more than {limit} records in this request");
    Err(ApiError::new(400, "EXCEEDED_ID_LIMIT", message))
}

/// One record's own result.
type One = Result<Value, ApiError>;

fn write_all(
    state: &mut State,
    call: &Call,
    write_one: impl Fn(&mut State, &Call, &'static Object, Map<String, Value>) -> One,
) -> Result<Answer, ApiError> {
    let request = call.object()?;
    let all_or_none = request.get("allOrNone").and_then(Value::as_bool).unwrap_or(false);
    let Some(records) = request.get("records").and_then(Value::as_array) else { return Err(malformed("records")) };
    too_many(records.len(), MAX_RECORDS)?;
    results(state, all_or_none, records, |state, record| {
        let Value::Object(record) = record else {
            return Err(ApiError::new(400, "JSON_PARSER_ERROR", "A record has to be an object"));
        };
        let name = record.get("attributes").and_then(|attributes| attributes.get("type")).and_then(Value::as_str);
        let Some(name) = name else {
            return Err(ApiError::new(400, "INVALID_TYPE", "attributes.type is missing from the record"));
        };
        let Some(object) = schema::object(name) else {
            let message = format!("sObject type '{name}' is not supported.");
            return Err(ApiError::new(400, "INVALID_TYPE", message));
        };
        let mut fields = record.clone();
        fields.shift_remove("attributes");
        write_one(state, call, object, fields)
    })
}

/// Does each; with `allOrNone` one failure takes all back.
fn results<T>(
    state: &mut State,
    all_or_none: bool,
    items: &[T],
    each: impl Fn(&mut State, &T) -> One,
) -> Result<Answer, ApiError> {
    let savepoint = state.org.savepoint();
    let done: Vec<One> = items.iter().map(|item| each(state, item)).collect();
    let failed = all_or_none && done.iter().any(Result::is_err);
    if failed {
        state.org.roll_back(savepoint);
    } else {
        state.org.release(savepoint);
    }
    let halted = || {
        let message =
            "Record rolled back because not all records were valid and the request was using AllOrNone header";
        ApiError::new(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", message)
    };
    let results = done.into_iter().map(|one| match one {
        Ok(_) if failed => json!({ "success": false, "errors": [halted().in_collection()] }),
        Ok(result) => result,
        Err(error) => json!({ "success": false, "errors": [error.in_collection()] }),
    });
    Ok(Answer::ok(results.collect()))
}

fn create_one(state: &mut State, call: &Call, object: &'static Object, fields: Map<String, Value>) -> One {
    let id = write::create(&mut state.org, object, &fields, terms(call))?;
    Ok(json!({ "id": id, "success": true, "errors": [] }))
}

/// Takes a field out of a record, whatever the case of its name.
pub(crate) fn take(fields: &mut Map<String, Value>, name: &str) -> Option<String> {
    let key = fields.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
    fields.shift_remove(&key)?.as_str().map(str::to_owned)
}

fn update_one(state: &mut State, call: &Call, object: &'static Object, mut fields: Map<String, Value>) -> One {
    let Some(id) = take(&mut fields, "Id") else {
        return Err(ApiError::new(400, "MISSING_ARGUMENT", "Id not specified in an update call"));
    };
    write::update(&mut state.org, object, &id, &fields, terms(call))?;
    Ok(json!({ "id": ids::parse(&id), "success": true, "errors": [] }))
}

fn upsert_one(
    state: &mut State,
    call: &Call,
    given: &'static Object,
    mut fields: Map<String, Value>,
    object: &'static Object,
    field: &Field,
) -> One {
    if given.name != object.name {
        return Err(ApiError::new(400, "INVALID_TYPE", format!("The records have to be of type {}", object.name)));
    }
    let Some(value) = take(&mut fields, field.name) else {
        let message = format!("{} not specified", field.name);
        return Err(ApiError::new(400, "MISSING_ARGUMENT", message));
    };
    let done = write::upsert(&mut state.org, object, field, &value, &fields, false, terms(call)).map_err(several)?;
    Ok(json!({ "id": done.id, "success": true, "errors": [], "created": done.created }))
}

/// Where there is no status 300.
pub(crate) fn several(error: ApiError) -> ApiError {
    match error.status {
        300 => ApiError { fields: Some(Vec::new()), ..ApiError::new(400, "DUPLICATE_EXTERNAL_ID", error.message) },
        _ => error,
    }
}

fn delete_all(state: &mut State, call: &Call) -> Result<Answer, ApiError> {
    let ids: Vec<&str> = call.parameter("ids").unwrap_or_default().split(',').filter(|id| !id.is_empty()).collect();
    too_many(ids.len(), MAX_RECORDS)?;
    let all_or_none = call.parameter("allOrNone") == Some("true");
    results(state, all_or_none, &ids, |state, id| {
        let Some(whole) = ids::parse(id) else {
            return Err(ApiError::new(400, "MALFORMED_ID", format!("malformed id {id}")));
        };
        let Some(object) = schema::object_of_id(&whole) else {
            return Err(ApiError::of_fields("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", &[]));
        };
        write::delete(&mut state.org, object, &whole, terms(call))?;
        Ok(json!({ "id": whole, "success": true, "errors": [] }))
    })
}

fn retrieve(
    state: &State,
    call: &Call,
    object: &'static Object,
    ids: &[String],
    fields: &str,
) -> Result<Answer, ApiError> {
    too_many(ids.len(), MAX_RETRIEVED)?;
    let base = call.base();
    let one = |id: &String| {
        let id = ids::parse(id).ok_or_else(|| ApiError::new(400, "MALFORMED_ID", format!("malformed id {id}")))?;
        match state.org.get(object, &id).filter(|record| !is_deleted(record)) {
            Some(record) => some_fields(state, object, record, fields, &base),
            None => Ok(Value::Null),
        }
    };
    Ok(Answer::ok(ids.iter().map(one).collect::<Result<_, _>>()?))
}
