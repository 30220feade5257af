//! The pages of `docs/tools`: one a tool that ships, made of what clients are told of it. `UPDATE_DOCS=1 cargo test -p
//! black-box --test docs` writes them.

use std::collections::BTreeMap;
use std::fs;

use black_box::{examples, repository};
use catalogue::shipped::shipped;
use catalogue::{Annotations, SalesforceTool, Tool};
use mcp::arguments::Arguments;
use serde_json::{Value, json};

#[test]
fn every_tool_has_its_page() {
    let folder = repository().join("docs/tools");
    let pages = pages();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        for (name, page) in &pages {
            fs::write(folder.join(name), page).unwrap();
        }
    }
    let names: Vec<String> = fs::read_dir(&folder).unwrap().map(|file| name_of(&file.unwrap().path())).collect();
    let written = names.into_iter().map(|name| (name.clone(), fs::read_to_string(folder.join(name)).unwrap()));
    let advice = "run `UPDATE_DOCS=1 cargo test -p black-box --test docs`";
    assert_eq!(written.collect::<BTreeMap<_, _>>(), pages, "{advice}");
}

#[test]
fn every_example_is_a_call_that_the_tool_takes() {
    for tool in lookups().into_iter().chain(salesforce()) {
        let Value::Object(arguments) = examples::arguments(&tool.name) else { panic!("{}", tool.name) };
        assert!(Arguments::check(arguments, &tool.inputs).is_ok(), "{}", tool.name);
    }
}

fn name_of(path: &std::path::Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn lookups() -> Vec<Tool> {
    shipped().iter().map(|lookup| lookup.tool().unwrap()).collect()
}

fn salesforce() -> Vec<Tool> {
    SalesforceTool::ALL.map(SalesforceTool::tool).into()
}

/// Text by the name of its file.
fn pages() -> BTreeMap<String, String> {
    let pages = lookups().into_iter().chain(salesforce()).map(|tool| (format!("{}.md", tool.name), page(&tool)));
    pages.chain([("README.md".to_owned(), index())]).collect()
}

fn index() -> String {
    format!(
        "# Tools

{MADE}

Every tool that ships. A server has those that its definition names ([servers.md](../servers.md)). Answers are flat; what has no value is left out.
What goes wrong has a stable code ([errors.md](../errors.md)). `mcp.write` includes `mcp.read`.

## Over tables

{}
## Over a Salesforce org

The server's definition names the org, and what its tools may touch. Those that write keep to
[one effect a call](#one-effect-a-call).

{}
## One effect a call

Every tool that writes records takes an `idempotency_key`, any text that names this one write. Repeated with the same key and the same arguments
within a day it answers `state: already_done` with the id, and nothing is done again; with other arguments it is refused. Without a key the
arguments themselves are one, for a minute. Where nobody can know whether a write was done, the answer says so, with the query that tells.

Deletes take two steps, as do calls that write more records than the definition allows at once (`confirm_above`): the first call answers
`state: preview` with a `summary` and a `handle`, and does nothing; the same call with the handle, within ten minutes, does it.
",
        list(&lookups()),
        list(&salesforce())
    )
}

const MADE: &str = "<!-- Made of the catalogue by `UPDATE_DOCS=1 cargo test -p black-box --test docs`. -->";

fn list(tools: &[Tool]) -> String {
    let rows = tools.iter().map(|tool| {
        let Tool { name, description, scope, .. } = tool;
        format!("| [`{name}`]({name}.md) | {} | `{}` |\n", cell(description), scope.as_str())
    });
    format!("| tool | what it does | scope |\n|---|---|---|\n{}", rows.collect::<String>())
}

fn page(tool: &Tool) -> String {
    let Tool { name, title, description, .. } = tool;
    let call = json!({ "name": name, "arguments": examples::arguments(name) });
    format!(
        "# {name}

{MADE}

{title}: {description}

## Arguments

{}
## Answer

{}
## What a client may assume

{}
## A call

The `params` of `tools/call`:

```json
{}
```

[All tools](README.md) · [Errors](../errors.md#tools)
",
        arguments(tool),
        answer(tool),
        assumed(tool),
        serde_json::to_string_pretty(&call).unwrap()
    )
}

fn arguments(tool: &Tool) -> String {
    if tool.inputs.is_empty() {
        return "None.\n".to_owned();
    }
    let rows = tool.inputs.iter().map(|input| {
        let schema = input.schema();
        let required = if input.required { "yes" } else { "no" };
        format!("| `{}` | {} | {required} | {} |\n", input.name, kind(&schema), cell(&meaning(&schema)))
    });
    format!(
        "| name | type | required | meaning |\n|---|---|---|---|\n{}\nOthers are refused.\n",
        rows.collect::<String>()
    )
}

fn answer(tool: &Tool) -> String {
    let schema = tool.output_schema();
    let is_required =
        |name: &str| schema.get("required").is_some_and(|names| names.as_array().unwrap().contains(&json!(name)));
    let rows = tool.outputs.iter().map(|output| {
        let (name, schema) = (&output.name, &schema["properties"][output.name.as_ref()]);
        let always = if is_required(name) { "yes" } else { "no" };
        format!("| `{name}` | {} | {always} | {} |\n", kind(schema), cell(&meaning(schema)))
    });
    format!("| name | type | always there | meaning |\n|---|---|---|---|\n{}", rows.collect::<String>())
}

fn assumed(tool: &Tool) -> String {
    let Annotations { read_only, destructive, idempotent, open_world } = tool.annotations;
    let mut rows = format!("| scope | `{}` |\n", tool.scope.as_str());
    for (name, holds, meaning) in [
        ("readOnlyHint", read_only, "it changes nothing"),
        ("destructiveHint", destructive, "it may change or remove what was there"),
        ("idempotentHint", idempotent, "repeating it changes nothing more"),
        ("openWorldHint", open_world, "it reaches beyond Northstar's own tables"),
    ] {
        rows += &format!("| `{name}`: {meaning} | {holds} |\n");
    }
    format!("| | |\n|---|---|\n{rows}")
}

fn kind(schema: &Value) -> String {
    match (schema["type"].as_str().unwrap(), schema["items"]["type"].as_str()) {
        (kind, Some(items)) => format!("{kind} of {items}s"),
        (kind, None) => kind.to_owned(),
    }
}

/// The description, and what else the schema says.
fn meaning(schema: &Value) -> String {
    let mut meaning = schema["description"].as_str().unwrap_or_default().to_owned();
    if let Some(texts) = schema["enum"].as_array() {
        let texts: Vec<String> = texts.iter().map(|text| format!("`{}`", text.as_str().unwrap())).collect();
        meaning += &format!(": {}", texts.join(", "));
    }
    if let Some(most) = schema["maxItems"].as_u64() {
        meaning += &format!("; at most {most}");
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        meaning += &format!("; `{pattern}`");
    }
    meaning
}

/// What would end a cell or a line, or look like a tag, is written in another way.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\r', '\n'], " ").replace('<', "&lt;")
}
