//! The Reports API: the list, describe, and runs of the two reports of the org (Reports and Dashboards REST API
//! Developer Guide).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::answer::{Answer, ApiError, Call};
use crate::dates::format_datetime;
use crate::demo::{CONTACTS_REPORT, OPPORTUNITIES_REPORT};
use crate::ids;
use crate::query::{self, Found, Scope};
use crate::rest::only;
use crate::schema;
use crate::soql;
use crate::state::{self, State};

/// Runs that were asked for with `POST …/instances`: the report, and what it gave.
pub type Runs = BTreeMap<String, (String, Value)>;

/// Detail rows of a run.
const MAX_ROWS: usize = 2_000;

const MAX_FILTERS: usize = 20;

/// A report: its columns as API names of fields, and the field that it groups by.
struct Report {
    object: &'static str,
    report_type: &'static str,
    /// Column, label, path in SOQL, data type.
    columns: &'static [(&'static str, &'static str, &'static str, &'static str)],
    grouping: Option<&'static str>,
}

const CONTACTS: Report = Report {
    object: "Contact",
    report_type: "ContactList",
    columns: &[
        ("FIRST_NAME", "First Name", "FirstName", "string"),
        ("LAST_NAME", "Last Name", "LastName", "string"),
        ("ACCOUNT.NAME", "Account Name", "Account.Name", "string"),
        ("EMAIL", "Email", "Email", "email"),
        ("PHONE1", "Phone", "Phone", "phone"),
    ],
    grouping: None,
};

const OPPORTUNITIES: Report = Report {
    object: "Opportunity",
    report_type: "Opportunity",
    columns: &[
        ("OPPORTUNITY_NAME", "Opportunity Name", "Name", "string"),
        ("STAGE_NAME", "Stage", "StageName", "picklist"),
        ("AMOUNT", "Amount", "Amount", "currency"),
        ("CLOSE_DATE", "Close Date", "CloseDate", "date"),
    ],
    grouping: Some("STAGE_NAME"),
};

/// `analytics/reports…`
///
/// # Errors
/// No such report, or a filter that it does not take.
pub fn reports(state: &mut State, call: &Call, rest: &[&str]) -> Result<Answer, ApiError> {
    let [id, rest @ ..] = rest else {
        only(call, &["GET"])?;
        return Ok(list(state, call));
    };
    let (id, name, report) = find(state, id)?;
    match rest {
        [] => {
            only(call, &["GET", "POST"])?;
            run(state, call, &id, &name, &report).map(Answer::ok)
        }
        ["describe"] => {
            only(call, &["GET"])?;
            let mut description = json!({ "attributes": attributes(call, &id, &name) });
            description["reportMetadata"] = metadata(&id, &name, &report, &json!([]));
            description["reportExtendedMetadata"] = extended_metadata(&report);
            description["reportTypeMetadata"] =
                json!({ "categories": [{ "label": report.object, "columns": columns(&report) }] });
            Ok(Answer::ok(description))
        }
        ["instances"] if call.method == "POST" => {
            let result = run(state, call, &id, &name, &report)?;
            let instance = state.org.new_id_with("0LG");
            let info = instance_info(call, &id, &instance, "New");
            state.runs.insert(instance, (id, result));
            Ok(Answer::ok(info))
        }
        ["instances"] => {
            only(call, &["GET", "POST"])?;
            let own = state.runs.iter().filter(|(_, (report, _))| *report == id);
            Ok(Answer::ok(own.map(|(instance, _)| instance_info(call, &id, instance, "Success")).collect()))
        }
        ["instances", instance] => {
            only(call, &["GET"])?;
            let Some((_, result)) = state.runs.get(*instance) else { return Err(ApiError::no_such_path()) };
            let mut result = result.clone();
            result["attributes"] = instance_info(call, &id, instance, "Success");
            result["attributes"]["type"] = "ReportInstance".into();
            Ok(Answer::ok(result))
        }
        _ => Err(ApiError::no_such_path()),
    }
}

fn find(state: &State, id: &str) -> Result<(String, String, Report), ApiError> {
    let unknown = || ApiError::new(404, "NOT_FOUND", "The report does not exist, or is not accessible");
    let object = schema::object("Report").ok_or_else(unknown)?;
    let id = ids::parse(id).ok_or_else(unknown)?;
    let record = state.org.get(object, &id).ok_or_else(unknown)?;
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match text("DeveloperName").as_str() {
        CONTACTS_REPORT => Ok((id, text("Name"), CONTACTS)),
        OPPORTUNITIES_REPORT => Ok((id, text("Name"), OPPORTUNITIES)),
        _ => Err(unknown()),
    }
}

fn list(state: &State, call: &Call) -> Answer {
    let Some(object) = schema::object("Report") else { return Answer::ok(json!([])) };
    let one = |record: &crate::org::Record| {
        let url = format!("{}/analytics/reports/{}", call.base(), record["Id"].as_str().unwrap_or_default());
        json!({
            "id": record["Id"],
            "name": record["Name"],
            "url": url,
            "describeUrl": format!("{url}/describe"),
            "instancesUrl": format!("{url}/instances"),
            "fieldsUrl": format!("{url}/fields"),
        })
    };
    Answer::ok(state.org.living(object).map(one).collect())
}

fn attributes(call: &Call, id: &str, name: &str) -> Value {
    let url = format!("{}/analytics/reports/{id}", call.base());
    json!({
        "type": "Report",
        "reportId": id,
        "reportName": name,
        "describeUrl": format!("{url}/describe"),
        "instancesUrl": format!("{url}/instances"),
    })
}

fn instance_info(call: &Call, report: &str, instance: &str, status: &str) -> Value {
    let now = format_datetime(state::now());
    json!({
        "id": instance,
        "status": status,
        "url": format!("{}/analytics/reports/{report}/instances/{instance}", call.base()),
        "hasDetailRows": true,
        "requestDate": now,
        "completionDate": if status == "New" { Value::Null } else { now.into() },
        "queryable": false,
    })
}

fn columns(report: &Report) -> Value {
    let column = |(name, label, _, kind): &(&str, &str, &str, &str)| {
        ((*name).to_owned(), json!({ "label": label, "dataType": kind, "filterable": true }))
    };
    report.columns.iter().map(column).collect()
}

fn metadata(id: &str, name: &str, report: &Report, filters: &Value) -> Value {
    let detail: Vec<&str> = report.columns.iter().map(|(name, ..)| *name).collect();
    let groupings: Vec<Value> = report
        .grouping
        .iter()
        .map(|name| json!({ "name": name, "sortOrder": "Asc", "dateGranularity": "None" }))
        .collect();
    json!({
        "id": id,
        "name": name,
        "developerName": name.replace(' ', "_"),
        "reportFormat": if report.grouping.is_some() { "SUMMARY" } else { "TABULAR" },
        "reportType": { "type": report.report_type, "label": report.object },
        "detailColumns": detail,
        "aggregates": ["RowCount"],
        "groupingsDown": groupings,
        "groupingsAcross": [],
        "reportBooleanFilter": null,
        "reportFilters": filters,
        "hasDetailRows": true,
        "hasRecordCount": true,
        "scope": "organization",
    })
}

fn extended_metadata(report: &Report) -> Value {
    json!({
        "aggregateColumnInfo": { "RowCount": { "label": "Record Count", "dataType": "int" } },
        "detailColumnInfo": columns(report),
        "groupingColumnInfo": report.grouping.map(|name| json!({ (name): { "label": name, "groupingLevel": 0 } })),
    })
}

fn bad_request(message: String) -> ApiError {
    ApiError::new(400, "BAD_REQUEST", message)
}

/// A filter of the request as a condition of SOQL.
fn condition(report: &Report, filter: &Value) -> Result<String, ApiError> {
    let text = |name: &str| filter.get(name).and_then(Value::as_str).unwrap_or_default();
    let Some((_, _, path, kind)) = report.columns.iter().find(|(name, ..)| *name == text("column")) else {
        return Err(bad_request(format!("The filter column {} is invalid.", text("column"))));
    };
    let value = text("value").replace('\\', "\\\\").replace('\'', "\\'");
    let quoted = match *kind {
        "currency" | "date" => value.clone(),
        _ => format!("'{value}'"),
    };
    let pattern = value.replace('%', "\\%").replace('_', "\\_");
    Ok(match text("operator") {
        "equals" => format!("{path} = {quoted}"),
        "notEqual" => format!("{path} != {quoted}"),
        "lessThan" => format!("{path} < {quoted}"),
        "greaterThan" => format!("{path} > {quoted}"),
        "lessOrEqual" => format!("{path} <= {quoted}"),
        "greaterOrEqual" => format!("{path} >= {quoted}"),
        "contains" => format!("{path} LIKE '%{pattern}%'"),
        "notContain" => format!("(NOT {path} LIKE '%{pattern}%')"),
        "startsWith" => format!("{path} LIKE '{pattern}%'"),
        other => return Err(bad_request(format!("The filter operator {other} is invalid."))),
    })
}

fn run(state: &State, call: &Call, id: &str, name: &str, report: &Report) -> Result<Value, ApiError> {
    let request =
        if call.method == "POST" && !call.body.is_empty() { Value::Object(call.object()?) } else { json!({}) };
    let none = json!([]);
    let filters = request.pointer("/reportMetadata/reportFilters").unwrap_or(&none);
    let given = filters.as_array().map(Vec::as_slice).unwrap_or_default();
    if given.len() > MAX_FILTERS {
        return Err(bad_request("A report takes up to 20 filters.".to_owned()));
    }
    let conditions = given.iter().map(|filter| condition(report, filter)).collect::<Result<Vec<_>, _>>()?;
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let paths: Vec<&str> = report.columns.iter().map(|(_, _, path, _)| *path).collect();
    let order = report.grouping.map_or("LastName, FirstName", |_| "StageName, Name");
    let text = format!("SELECT {} FROM {}{filter} ORDER BY {order}", paths.join(", "), report.object);
    let base = call.base();
    let scope = Scope { org: &state.org, text: &text, base: &base, now: state::now(), with_deleted: false };
    let query =
        soql::parse(&text).map_err(|error| bad_request(format!("A filter value is invalid. {}", error.message)))?;
    let rows = match query::run(scope, &query).map_err(|error| bad_request(error.message))? {
        Found::Rows(rows) => rows,
        Found::Count(_) => Vec::new(),
    };
    let details = call.parameter("includeDetails") == Some("true");
    let all = rows.len() <= MAX_ROWS;
    let mut facts = serde_json::Map::new();
    let mut groupings = Vec::new();
    if let Some(grouping) = report.grouping {
        let path = report.columns.iter().find(|(name, ..)| *name == grouping).map_or("", |(_, _, path, _)| *path);
        let mut groups: Vec<(Value, Vec<&Value>)> = Vec::new();
        for row in rows.iter().take(MAX_ROWS) {
            let key = cell(row, path);
            match groups.iter_mut().find(|(own, _)| *own == key) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((key, vec![row])),
            }
        }
        for (index, (key, rows)) in groups.iter().enumerate() {
            let label = key.as_str().unwrap_or("-");
            groupings.push(json!({ "key": index.to_string(), "label": label, "value": key, "groupings": [] }));
            facts.insert(format!("{index}!T"), fact(report, rows, rows.len(), details));
        }
        facts.insert("T!T".to_owned(), fact(report, &[], rows.len(), false));
    } else {
        let shown: Vec<&Value> = rows.iter().take(MAX_ROWS).collect();
        facts.insert("T!T".to_owned(), fact(report, &shown, rows.len(), details));
    }
    Ok(json!({
        "attributes": attributes(call, id, name),
        "allData": all,
        "factMap": facts,
        "groupingsAcross": { "groupings": [] },
        "groupingsDown": { "groupings": groupings },
        "hasDetailRows": details,
        "hasExceededDetailRowLimit": !all,
        "reportMetadata": metadata(id, name, report, filters),
        "reportExtendedMetadata": extended_metadata(report),
    }))
}

fn cell(row: &Value, path: &str) -> Value {
    path.split('.').try_fold(row, |value, step| value.get(step)).cloned().unwrap_or(Value::Null)
}

fn fact(report: &Report, rows: &[&Value], count: usize, details: bool) -> Value {
    let mut fact = json!({ "aggregates": [{ "label": count.to_string(), "value": count }] });
    if !details {
        return fact;
    }
    let row = |row: &&Value| {
        let cells: Vec<Value> = report
            .columns
            .iter()
            .map(|(_, _, path, kind)| {
                let value = cell(row, path);
                let label = match &value {
                    Value::Null => "-".to_owned(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                match *kind {
                    "currency" => {
                        json!({ "label": format!("${label}"), "value": { "amount": value, "currency": null } })
                    }
                    _ => json!({ "label": label, "value": value }),
                }
            })
            .collect();
        json!({ "dataCells": cells })
    };
    fact["rows"] = rows.iter().map(row).collect();
    fact
}
