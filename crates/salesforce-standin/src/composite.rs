//! Several requests in one: `composite` with references and roll-back, `composite/batch` without (REST API Developer
//! Guide, "Composite Resources").

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::answer::{Answer, ApiError, Call, Content};
use crate::path;
use crate::rest;
use crate::state::State;

const MAX_SUBREQUESTS: usize = 25;

/// Queries and collections among them.
const MAX_QUERIES: usize = 5;

const ROLLED_BACK: &str = "The transaction was rolled back since another operation in the same transaction failed.";

/// A subrequest as it was sent.
struct Subrequest {
    method: String,
    url: String,
    reference: String,
    body: Value,
    headers: HeaderMap,
}

/// `POST /composite`
///
/// # Errors
/// What makes the whole request wrong.
pub fn composite(state: &mut State, call: &Call) -> Result<Answer, ApiError> {
    let request = call.object()?;
    let all_or_none = request.get("allOrNone").and_then(Value::as_bool).unwrap_or(false);
    let Some(items) = request.get("compositeRequest").and_then(Value::as_array) else {
        return Err(bad_request("JSON_PARSER_ERROR", "The request needs a list \"compositeRequest\""));
    };
    let subrequests = subrequests(items)?;

    let savepoint = state.org.savepoint();
    let mut answers: Vec<Answer> = Vec::new();
    let mut bodies: HashMap<&str, Value> = HashMap::new();
    let mut failed = false;
    for subrequest in &subrequests {
        let answer = match failed && all_or_none {
            true => halted(ROLLED_BACK),
            false => run(state, call, subrequest, &bodies, all_or_none),
        };
        let success = answer.status < 300 && !holds_failure(&answer, all_or_none);
        if success {
            bodies.insert(&subrequest.reference, answer.clone().into_value());
        }
        failed |= !success;
        answers.push(answer);
    }
    if failed && all_or_none {
        state.org.roll_back(savepoint);
        for answer in answers.iter_mut().filter(|answer| answer.status < 300) {
            if !holds_failure(answer, true) {
                *answer = halted(ROLLED_BACK);
            }
        }
    } else {
        state.org.release(savepoint);
    }
    let results: Vec<Value> = answers
        .into_iter()
        .zip(&subrequests)
        .map(|(answer, subrequest)| {
            let location = answer.headers.iter().find(|(name, _)| *name == "location");
            let headers = location.map_or(json!({}), |(_, url)| json!({ "Location": url }));
            let status = answer.status;
            let body = answer.into_value();
            json!({ "body": body, "httpHeaders": headers, "httpStatusCode": status, "referenceId": subrequest.reference })
        })
        .collect();
    Ok(Answer::ok(json!({ "compositeResponse": results })))
}

fn bad_request(code: &str, message: &str) -> ApiError {
    ApiError::new(400, code, message)
}

fn halted(message: &str) -> Answer {
    ApiError::new(400, "PROCESSING_HALTED", message).into_answer()
}

/// Under `allOrNone` a record that failed in a collection is a failure of the whole.
fn holds_failure(answer: &Answer, all_or_none: bool) -> bool {
    let Content::Json(Value::Array(results)) = &answer.body else { return false };
    all_or_none && results.iter().any(|result| result.get("success") == Some(&Value::Bool(false)))
}

fn subrequests(items: &[Value]) -> Result<Vec<Subrequest>, ApiError> {
    if items.len() > MAX_SUBREQUESTS {
        let message = "The number of subrequests in a composite request cannot be more than 25";
        return Err(bad_request("INVALID_INPUT", message));
    }
    let mut subrequests: Vec<Subrequest> = Vec::new();
    for item in items {
        let text = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
        let needed = |name: &str| {
            text(name).ok_or_else(|| bad_request("JSON_PARSER_ERROR", &format!("A subrequest needs \"{name}\"")))
        };
        let reference = needed("referenceId")?;
        let plain = !reference.is_empty()
            && reference.chars().all(|character| character.is_ascii_alphanumeric() || character == '_');
        if !plain || subrequests.iter().any(|other| other.reference == reference) {
            let message =
                format!("Provided referenceId ('{reference}') must be unique, of letters, digits and underscores");
            return Err(bad_request("INVALID_INPUT", &message));
        }
        let headers = item.get("httpHeaders").map(headers).transpose()?.unwrap_or_default();
        let body = item.get("body").cloned().unwrap_or(Value::Null);
        subrequests.push(Subrequest { method: needed("method")?, url: needed("url")?, reference, body, headers });
    }
    let is_heavy = |subrequest: &&Subrequest| {
        let resource = subrequest.url.splitn(5, '/').nth(4).unwrap_or_default();
        ["query", "composite/sobjects"].iter().any(|start| resource.starts_with(start))
    };
    if subrequests.iter().filter(is_heavy).count() > MAX_QUERIES {
        let message =
            "The number of query and sObject collection subrequests in a composite request cannot be more than 5";
        return Err(bad_request("INVALID_INPUT", message));
    }
    Ok(subrequests)
}

fn headers(value: &Value) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let own = ["accept", "authorization", "content-type"].iter().any(|taken| name.eq_ignore_ascii_case(taken));
        let parsed = HeaderName::try_from(name.as_str())
            .ok()
            .zip(HeaderValue::try_from(value.as_str().unwrap_or_default()).ok());
        match parsed {
            Some((name, value)) if !own => drop(headers.insert(name, value)),
            _ => {
                return Err(bad_request("INVALID_INPUT", &format!("The header {name} is not allowed in a subrequest")));
            }
        }
    }
    Ok(headers)
}

fn run(
    state: &mut State,
    call: &Call,
    subrequest: &Subrequest,
    bodies: &HashMap<&str, Value>,
    all_or_none: bool,
) -> Answer {
    let (url, mut body) = match (filled_in(&subrequest.url, bodies), filled_in_all(&subrequest.body, bodies)) {
        (Ok(url), Ok(body)) => (url, body),
        (Err(message), _) | (_, Err(message)) => return halted(&message),
    };
    let target = url.strip_prefix("/services/data/").and_then(path::parse_versioned);
    let Some((version, path, query)) = target else {
        return ApiError::no_such_path().into_answer();
    };
    match path.first().map(String::as_str) {
        Some("sobjects" | "query" | "queryAll") => {}
        Some("composite") if path.get(1).is_some_and(|part| part == "sobjects") => {
            if let Some(nested) = body.as_object_mut().filter(|_| all_or_none) {
                nested.insert("allOrNone".to_owned(), true.into());
            }
        }
        _ => {
            let message = format!("The resource {url} is not supported in a composite request");
            return bad_request("INVALID_INPUT", &message).into_answer();
        }
    }
    let mut headers = subrequest.headers.clone();
    for (name, value) in &call.headers {
        if name.as_str().starts_with("sforce-") && !headers.contains_key(name) {
            headers.insert(name, value.clone());
        }
    }
    rest::answer(
        state,
        &Call { method: subrequest.method.clone(), path, query, headers, body: bytes_of(&body), version },
    )
}

fn bytes_of(body: &Value) -> Bytes {
    if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) }
}

/// Puts values in place of `@{reference.field}`.
fn filled_in(text: &str, bodies: &HashMap<&str, Value>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("@{") {
        let Some(length) = rest[start..].find('}') else { break };
        let expression = &rest[start + 2..start + length];
        let (reference, steps) = expression.split_once(['.', '[']).unwrap_or((expression, ""));
        let value = bodies.get(reference).and_then(|body| follow(body, steps));
        let Some(value) = value else {
            return Err(format!("Invalid reference specified. No value for {expression} found in {reference}"));
        };
        filled.push_str(&rest[..start]);
        filled.push_str(&value);
        rest = &rest[start + length + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

fn follow(body: &Value, steps: &str) -> Option<String> {
    let mut value = body;
    for step in steps.split(['.', '[']).map(|step| step.trim_end_matches(']')).filter(|step| !step.is_empty()) {
        value = match step.parse::<usize>() {
            Ok(index) => value.get(index)?,
            Err(_) => value.get(step)?,
        };
    }
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn filled_in_all(value: &Value, bodies: &HashMap<&str, Value>) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(filled_in(text, bodies)?),
        Value::Array(items) => items.iter().map(|item| filled_in_all(item, bodies)).collect::<Result<_, _>>()?,
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| Ok((name.clone(), filled_in_all(value, bodies)?)));
            Value::Object(fields.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

/// `POST /composite/batch`
///
/// # Errors
/// What makes the whole request wrong.
pub fn batch(state: &mut State, call: &Call) -> Result<Answer, ApiError> {
    let request = call.object()?;
    let halt = request.get("haltOnError").and_then(Value::as_bool).unwrap_or(false);
    let Some(items) = request.get("batchRequests").and_then(Value::as_array) else {
        return Err(bad_request("JSON_PARSER_ERROR", "The request needs a list \"batchRequests\""));
    };
    if items.len() > MAX_SUBREQUESTS {
        return Err(bad_request("INVALID_INPUT", "The number of subrequests in a batch cannot be more than 25"));
    }
    let mut failed = false;
    let mut results = Vec::new();
    for item in items {
        let answer = if failed && halt {
            ApiError::new(412, "BATCH_PROCESSING_HALTED", "Batch processing halted by previous error").into_answer()
        } else {
            // Each counts, as a request of its own.
            state.api_requests += 1;
            run_in_batch(state, call, item)
        };
        failed |= answer.status >= 300;
        let status = answer.status;
        results.push(json!({ "statusCode": status, "result": answer.into_value() }));
    }
    Ok(Answer::ok(json!({ "hasErrors": failed, "results": results })))
}

fn run_in_batch(state: &mut State, call: &Call, item: &Value) -> Answer {
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    let Some((method, url)) = text("method").zip(text("url")) else {
        return bad_request("JSON_PARSER_ERROR", "A subrequest needs \"method\" and \"url\"").into_answer();
    };
    let url = url.trim_start_matches('/').trim_start_matches("services/data/");
    let Some((version, path, query)) = path::parse_versioned(url) else {
        return ApiError::no_such_path().into_answer();
    };
    if path.first().is_some_and(|first| first == "composite") {
        return bad_request("INVALID_INPUT", "Composite resources are not supported in a batch").into_answer();
    }
    let body = item.get("richInput").cloned().unwrap_or(Value::Null);
    let headers = call.headers.clone();
    rest::answer(state, &Call { method: method.to_owned(), path, query, headers, body: bytes_of(&body), version })
}
