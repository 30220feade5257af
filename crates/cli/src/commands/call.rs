//! `northstar call`.

use clap::Args;
use serde_json::{Map, Value};

use crate::client_of_functions::Caller;
use crate::output::{self, Failure};
use crate::place::Place;
use crate::values;

/// See the fields' help.
#[derive(Args)]
pub struct Options {
    /// Name of the tool
    tool: String,
    /// Arguments of the tool: a text as order_id=1001, anything else as JSON, limit:=3
    #[arg(value_name = "KEY=VALUE", value_parser = values::argument)]
    arguments: Vec<(String, Value)>,
    /// MCP server to call
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Scope to ask for
    #[arg(long)]
    scope: Option<String>,
}

/// Prints what the tool answers; ends with 1 when it has no answer.
pub async fn run(place: &Place, json: bool, options: Options) -> Result<(), Failure> {
    let caller = Caller::find(place).await?;
    let server = options.server.as_deref();
    let token = caller.token(server, options.scope.as_deref()).await?;
    let arguments = Value::Object(options.arguments.into_iter().collect());
    let result = caller.call(server, &token, &options.tool, arguments).await?;
    let trouble = result["isError"] == Value::Bool(true);
    match &result["structuredContent"] {
        _ if json => output::json(&result)?,
        Value::Object(answer) if !trouble => print(answer)?,
        _ => output::line(result["content"][0]["text"].as_str().unwrap_or("the tool answered nothing"))?,
    }
    if trouble { Err(Failure::Answered) } else { Ok(()) }
}

/// Single values a line each; rows as a table below them.
fn print(answer: &Map<String, Value>) -> Result<(), Failure> {
    let width = answer.keys().map(String::len).max().unwrap_or_default();
    for (name, value) in answer {
        match value {
            Value::Array(rows) => print_rows(name, rows)?,
            value => output::line(&format!("{name:width$}  {}", show(value)))?,
        }
    }
    Ok(())
}

fn print_rows(name: &str, rows: &[Value]) -> Result<(), Failure> {
    output::line(&format!("{name}:"))?;
    let rows: Vec<&Map<String, Value>> = rows.iter().filter_map(Value::as_object).collect();
    let mut columns: Vec<&String> = Vec::new();
    for column in rows.iter().flat_map(|row| row.keys()) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let cell = |row: &Map<String, Value>, column: &String| row.get(column).map(show).unwrap_or_default();
    let cells = rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()).collect();
    output::table(&columns, cells)
}

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
