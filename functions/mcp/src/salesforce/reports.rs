//! Reports: which there are, and their rows (Reports and Dashboards REST API Developer Guide).
//!
//! A run gives a fact for each pair of groups, down and across, with the rows of its records; each becomes a flat row with
//! the labels of its groups before it.

use salesforce::client::segment;
use salesforce::soql::{Condition, Order, Pattern, Query};
use salesforce::{Code, FieldPath, ObjectName, RecordId, Request, SalesforceError};
use serde_json::{Map, Value, json};

use crate::catalogue::{Answer, Trouble};

use super::answers::page_of;
use super::guarding::limits_reads;
use super::querying::shaped_records;
use super::session::{Session, invalid, not_allowed, trouble};

/// Types of columns whose values are told as they are; of any other it is the label, which names a record by its name.
const VALUES: [&str; 7] = ["int", "double", "currency", "percent", "boolean", "date", "datetime"];
/// What a report may be filtered by (`filterOperators`).
const OPERATORS: [&str; 12] = [
    "equals",
    "notEqual",
    "lessThan",
    "greaterThan",
    "lessOrEqual",
    "greaterOrEqual",
    "contains",
    "notContain",
    "startsWith",
    "includes",
    "excludes",
    "within",
];
/// What is told of a run that has more rows than Salesforce gives.
const CAPPED: &str = "Salesforce gives the first 2,000 rows of a report alone: narrow it with filters.";

/// `listReports`
///
/// # Errors
/// [`Trouble`].
pub async fn list(session: &Session<'_>) -> Result<Answer, Trouble> {
    let object = reports_object(session)?;
    let paths = ["Id", "Name", "FolderName", "Format"];
    let fields: Vec<FieldPath> = paths.into_iter().filter_map(FieldPath::parse).collect();
    let words = session.arguments.get("query").map(str::trim).filter(|words| !words.is_empty());
    let condition = words.and_then(|words| Some(Condition::Like(FieldPath::parse("Name")?, Pattern::contains(words))));
    let order = ["Name", "Id"].into_iter().filter_map(FieldPath::parse);
    let order = order.map(|field| Order { field, descending: false }).collect();
    let query = Query { fields, object, condition, order, limit: 2_000, offset: 0 };
    let soql = query.render().map_err(|error| invalid(&error.to_string()))?;
    shaped_records(session, &soql, false, list_row).await
}

fn list_row(record: Value) -> Value {
    json!({ "id": record["Id"], "name": record["Name"], "folder": record["FolderName"], "format": record["Format"] })
}

/// A report shows fields of any object: where the server limits reads, its definition has to allow `Report` by name.
fn reports_object(session: &Session<'_>) -> Result<ObjectName, Trouble> {
    let report = session.readable("Report")?;
    if limits_reads(session) && session.guard().objects.read.is_none() {
        return Err(not_allowed("This server may read some fields alone, and a report shows any"));
    }
    Ok(report)
}

/// `getReport`
///
/// # Errors
/// [`Trouble`].
pub async fn run(session: &Session<'_>) -> Result<Answer, Trouble> {
    reports_object(session)?;
    let id = RecordId::parse(session.arguments.text("report_id")).filter(|id| id.prefix() == "00O");
    let id = id.ok_or_else(|| invalid("report_id is the id of a report, which begins with 00O; see listReports"))?;
    let path = format!("analytics/reports/{}?includeDetails=true", segment(id.as_str()).unwrap_or_default());
    let filters = filters(session.arguments.value("filters"))?;
    let request = if filters.is_empty() {
        Request::get(path)
    } else {
        let metadata = json!({ "reportFilters": filters, "reportBooleanFilter": null });
        Request::read_by_post(path, &json!({ "reportMetadata": metadata }))
    };
    let reply = session.send(request).await.map_err(|error| trouble(&error))?;
    let rows = report_rows(&reply.body).ok_or_else(|| {
        trouble(&SalesforceError::new(Code::AnswerUnreadable, "the rows of the report cannot be read"))
    })?;
    let complete = reply.body["allData"] == Value::Bool(true);
    let mut answer = Answer::new();
    if let Some(name) = reply.body["attributes"]["reportName"].as_str() {
        answer.insert("name".to_owned(), json!(salesforce::text::clean_and_cut(name, 80)));
    }
    if !complete {
        answer.insert("note".to_owned(), json!(CAPPED));
    }
    answer.extend(page_of(session, &rows, complete).await?);
    Ok(answer)
}

fn filters(given: Option<&Value>) -> Result<Vec<Value>, Trouble> {
    let given = given.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    given
        .iter()
        .enumerate()
        .map(|(at, filter)| one_filter(filter).map_err(|what| invalid(&format!("filters[{at}]{what}"))))
        .collect()
}

fn one_filter(filter: &Value) -> Result<Value, String> {
    let known = ["column", "operator", "value"];
    if let Some(name) = filter.as_object().into_iter().flat_map(Map::keys).find(|name| !known.contains(&name.as_str()))
    {
        let name: String = name.chars().take(40).collect();
        return Err(format!(" has no property {name}; it has column, operator and value"));
    }
    let column = filter["column"].as_str().filter(|column| !column.is_empty() && column.len() <= 200);
    let column = column.ok_or(".column is the name of a column, such as LAST_NAME or Account.Name")?;
    let operator = filter["operator"].as_str().filter(|operator| OPERATORS.contains(operator));
    let operator = operator.ok_or_else(|| format!(".operator is one of {}", OPERATORS.join(", ")))?;
    let value = match &filter["value"] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(whether) => whether.to_string(),
        Value::Null => String::new(),
        _ => return Err(".value is a text; several values have commas between them".to_owned()),
    };
    Ok(json!({ "column": column, "operator": operator, "value": value }))
}

/// A column: its property in a row, and whether its values or their labels are told.
struct Column {
    name: String,
    by_value: bool,
}

/// A group at the end of its branch: its key in the facts, and the labels on the way to it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Group {
    key: String,
    labels: Vec<Value>,
}

/// The rows of a run; `None` when it is none.
fn report_rows(run: &Value) -> Option<Vec<Value>> {
    let (facts, metadata, extended) =
        (run["factMap"].as_object()?, &run["reportMetadata"], &run["reportExtendedMetadata"]);
    let mut taken = Vec::new();
    let grouped = ["groupingsDown", "groupingsAcross"].map(|side| {
        let names = metadata[side].as_array().into_iter().flatten().filter_map(|grouping| grouping["name"].as_str());
        names.map(|name| property(&extended["groupingColumnInfo"][name], name, &mut taken)).collect::<Vec<String>>()
    });
    let details = columns(&metadata["detailColumns"], &extended["detailColumnInfo"], &mut taken);
    let totals = columns(&metadata["aggregates"], &extended["aggregateColumnInfo"], &mut taken);
    let mut rows = Vec::new();
    for down in groups(&run["groupingsDown"]["groupings"]) {
        for across in groups(&run["groupingsAcross"]["groupings"]) {
            let Some(fact) = facts.get(&format!("{}!{}", down.key, across.key)) else { continue };
            let mut head = Map::new();
            for (names, group) in grouped.iter().zip([&down, &across]) {
                head.extend(names.iter().cloned().zip(group.labels.iter().cloned()));
            }
            match fact["rows"].as_array() {
                Some(records) => rows.extend(records.iter().map(|record| row(&head, &details, &record["dataCells"]))),
                None => rows.push(row(&head, &totals, &fact["aggregates"])),
            }
        }
    }
    Some(rows)
}

fn columns(names: &Value, told: &Value, taken: &mut Vec<String>) -> Vec<Column> {
    let names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
    names
        .map(|name| {
            let info = &told[name];
            let by_value = info["dataType"].as_str().is_none_or(|kind| VALUES.contains(&kind));
            Column { name: property(info, name, taken), by_value }
        })
        .collect()
}

/// A column's label; where another column has it, with its API name behind.
fn property(info: &Value, name: &str, taken: &mut Vec<String>) -> String {
    let label = info["label"].as_str().filter(|label| !label.is_empty()).unwrap_or(name);
    let label = if taken.iter().any(|known| known == label) { format!("{label} ({name})") } else { label.to_owned() };
    taken.push(label.clone());
    label
}

fn row(head: &Map<String, Value>, columns: &[Column], cells: &Value) -> Value {
    let mut row = head.clone();
    let cells = cells.as_array().map(Vec::as_slice).unwrap_or_default();
    for (column, cell) in columns.iter().zip(cells) {
        row.insert(column.name.clone(), cell_value(cell, column.by_value));
    }
    Value::Object(row)
}

fn cell_value(cell: &Value, by_value: bool) -> Value {
    match &cell["value"] {
        Value::Null => Value::Null,
        Value::Object(money) if money.contains_key("amount") => money["amount"].clone(),
        value @ (Value::Number(_) | Value::Bool(_)) => value.clone(),
        value @ Value::String(_) if by_value => value.clone(),
        value => cell["label"].as_str().map_or_else(|| value.clone(), |label| json!(label)),
    }
}

/// The groups at the ends of all branches; without groups, the whole.
fn groups(groupings: &Value) -> Vec<Group> {
    let mut found = Vec::new();
    collect(groupings, &Group::default(), &mut found);
    if found.is_empty() {
        found.push(Group { key: "T".to_owned(), labels: Vec::new() });
    }
    found
}

/// Salesforce groups four levels deep at most; the JSON itself is not nested deeper than 127.
fn collect(groupings: &Value, above: &Group, found: &mut Vec<Group>) {
    for grouping in groupings.as_array().into_iter().flatten() {
        let mut labels = above.labels.clone();
        labels.push(grouping["label"].clone());
        let group = Group { key: grouping["key"].as_str().unwrap_or_default().to_owned(), labels };
        match grouping["groupings"].as_array() {
            Some(below) if !below.is_empty() => collect(&grouping["groupings"], &group, found),
            _ => found.push(group),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(label: &str, value: Value) -> Value {
        json!({ "label": label, "value": value })
    }

    #[test]
    fn a_tabular_report_is_its_rows() {
        let run = json!({
            "factMap": { "T!T": { "aggregates": [cell("2", json!(2))], "rows": [
                { "dataCells": [cell("Ada", json!("Ada")), cell("Acme", json!("001000000000001AAA")), cell("$5", json!({ "amount": 5, "currency": null }))] },
                { "dataCells": [cell("-", json!(null)), cell("-", json!(null)), cell("3/2/2026", json!("2026-03-02"))] },
            ] } },
            "groupingsDown": { "groupings": [] }, "groupingsAcross": { "groupings": [] },
            "reportMetadata": { "detailColumns": ["NAME", "ACCOUNT", "X"], "groupingsDown": [], "groupingsAcross": [] },
            "reportExtendedMetadata": { "detailColumnInfo": {
                "NAME": { "label": "Name", "dataType": "string" }, "ACCOUNT": { "label": "Name", "dataType": "lookup" },
                "X": { "label": "X", "dataType": "date" },
            } },
        });
        assert_eq!(
            report_rows(&run).unwrap(),
            [
                json!({ "Name": "Ada", "Name (ACCOUNT)": "Acme", "X": 5 }),
                json!({ "Name": null, "Name (ACCOUNT)": null, "X": "2026-03-02" }),
            ]
        );
    }

    #[test]
    fn a_matrix_has_a_row_for_each_pair_of_groups() {
        let fact = |count: i64| json!({ "aggregates": [cell(&count.to_string(), json!(count))] });
        let group = |key: &str, label: &str, below: Value| json!({ "key": key, "label": label, "groupings": below });
        let run = json!({
            "factMap": {
                "0_0!0": fact(1), "0_1!0": { "rows": [{ "dataCells": [cell("a", json!("a"))] }], "aggregates": [] },
                "0_1!1": fact(3), "0!T": fact(4), "T!T": fact(4),
            },
            "groupingsDown": { "groupings": [group("0", "2026", json!([group("0_0", "Q1", json!([])), group("0_1", "Q2", json!([]))]))] },
            "groupingsAcross": { "groupings": [group("0", "Won", json!([])), group("1", "Lost", json!([]))] },
            "reportMetadata": {
                "detailColumns": ["NAME"], "aggregates": ["RowCount"],
                "groupingsDown": [{ "name": "YEAR" }, { "name": "QUARTER" }], "groupingsAcross": [{ "name": "STAGE" }],
            },
            "reportExtendedMetadata": {
                "groupingColumnInfo": { "YEAR": { "label": "Year" }, "QUARTER": { "label": "Quarter" }, "STAGE": { "label": "Stage" } },
                "aggregateColumnInfo": { "RowCount": { "label": "Record Count", "dataType": "int" } },
                "detailColumnInfo": { "NAME": { "label": "Name", "dataType": "string" } },
            },
        });
        assert_eq!(
            report_rows(&run).unwrap(),
            [
                json!({ "Year": "2026", "Quarter": "Q1", "Stage": "Won", "Record Count": 1 }),
                json!({ "Year": "2026", "Quarter": "Q2", "Stage": "Won", "Name": "a" }),
                json!({ "Year": "2026", "Quarter": "Q2", "Stage": "Lost", "Record Count": 3 }),
            ]
        );
    }

    #[test]
    fn what_is_no_run_has_no_rows_and_does_not_panic() {
        for body in [json!([]), json!({}), json!({ "factMap": [] }), json!(null)] {
            assert_eq!(report_rows(&body), None);
        }
        assert_eq!(report_rows(&json!({ "factMap": { "T!T": 5 } })), Some(vec![json!({})]));
    }

    #[test]
    fn a_filter_is_checked_before_it_is_sent() {
        let check = |filter: Value| filters(Some(&json!([filter]))).map_err(|trouble| trouble.sentence);
        let good = json!({ "column": "AMOUNT", "operator": "greaterThan", "value": 5 });
        assert_eq!(check(good).unwrap(), [json!({ "column": "AMOUNT", "operator": "greaterThan", "value": "5" })]);
        for (filter, says) in [
            (json!({ "column": "A", "operator": "equals", "values": "x" }), "filters[0] has no property values"),
            (json!({ "operator": "equals" }), "filters[0].column is"),
            (json!({ "column": "A", "operator": "=" }), "filters[0].operator is one of equals"),
            (json!({ "column": "A", "operator": "equals", "value": [] }), "filters[0].value is"),
        ] {
            let sentence = check(filter).unwrap_err();
            assert!(sentence.contains(says), "{sentence}");
        }
    }
}
