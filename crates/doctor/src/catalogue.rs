//! Judgements on tools: what Agentforce takes, shows and cuts.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::checks::{
    DESCRIPTION_CUT, DESCRIPTION_LINES, DESCRIPTION_LONG, INPUT_NESTED, INPUT_NOT_OBJECT, NAME_CHARACTERS, NAME_TWICE,
    NO_DESCRIPTION, NO_INPUT_DESCRIPTION, NO_OUTPUT_SCHEMA, NO_TITLE, OUTPUT_NESTED, OUTPUT_NOT_OBJECT,
    OUTPUT_NULLABLE, Problem,
};
use crate::exchange::quote;
use crate::finding::Verdict;

const LONGEST_DESCRIPTION: usize = 1_000;
/// What a client of Agentforce was seen to cut at.
const CUT_DESCRIPTION: usize = 1_300;
/// The most places that one finding lists.
const LISTED: usize = 8;

/// Places where something is wrong, by problem.
#[derive(Default)]
struct Places(Vec<(&'static Problem, Vec<String>)>);

impl Places {
    fn add(&mut self, problem: &'static Problem, place: String) {
        match self.0.iter_mut().find(|(known, _)| *known == problem) {
            Some((_, places)) => places.push(place),
            None => self.0.push((problem, vec![place])),
        }
    }

    /// One finding for each problem.
    fn verdict(self, seen: String) -> Verdict {
        let problems = self.0.into_iter().map(|(problem, places)| {
            let more = places.len().saturating_sub(LISTED);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let listed: Vec<String> = places.into_iter().take(LISTED).collect();
            (problem, format!("{}{more}", listed.join(", ")))
        });
        Verdict { seen, problems: problems.collect() }
    }
}

fn name(tool: &Value) -> String {
    quote(tool["name"].as_str().unwrap_or_default())
}

/// Names of tools.
pub fn judge_names(tools: &[Value]) -> Verdict {
    let mut places = Places::default();
    let mut known = BTreeSet::new();
    for tool in tools {
        let text = tool["name"].as_str().unwrap_or_default();
        let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./-".contains(&byte));
        if text.is_empty() || text.len() > 128 || !fits {
            places.add(&NAME_CHARACTERS, format!("\"{}\"", quote(text)));
        }
        if !known.insert(text) {
            places.add(&NAME_TWICE, name(tool));
        }
    }
    places.verdict(tools.iter().map(name).take(LISTED).collect::<Vec<_>>().join(", "))
}

/// Descriptions of tools.
pub fn judge_descriptions(tools: &[Value]) -> Verdict {
    let mut places = Places::default();
    let mut longest = 0;
    for tool in tools {
        let text = tool["description"].as_str().unwrap_or_default();
        let length = text.chars().count();
        longest = longest.max(length);
        if text.trim().is_empty() {
            places.add(&NO_DESCRIPTION, name(tool));
        }
        if length > CUT_DESCRIPTION {
            places.add(&DESCRIPTION_CUT, format!("{} ({length} characters)", name(tool)));
        } else if length > LONGEST_DESCRIPTION {
            places.add(&DESCRIPTION_LONG, format!("{} ({length} characters)", name(tool)));
        }
        if text.trim_end().contains(['\n', '\r']) {
            places.add(&DESCRIPTION_LINES, name(tool));
        }
    }
    places.verdict(format!("the longest has {longest} characters"))
}

/// Inputs of tools: titles, descriptions, types.
pub fn judge_inputs(tools: &[Value]) -> Verdict {
    let mut places = Places::default();
    let mut inputs = 0;
    for tool in tools {
        if tool["inputSchema"]["type"] != "object" {
            places.add(&INPUT_NOT_OBJECT, name(tool));
        }
        for (input, schema) in properties(&tool["inputSchema"]) {
            inputs += 1;
            let place = || format!("{}: {}", name(tool), quote(input));
            let empty = |member: &str| schema[member].as_str().is_none_or(|text| text.trim().is_empty());
            if empty("title") {
                places.add(&NO_TITLE, place());
            }
            if empty("description") {
                places.add(&NO_INPUT_DESCRIPTION, place());
            }
            let several = is_of_several_types(schema);
            if several || schema["type"] == "object" || schema["type"] == "array" && !is_flat(&schema["items"]) {
                places.add(&INPUT_NESTED, place());
            }
        }
    }
    places.verdict(match inputs {
        1 => "1 input".to_owned(),
        many => format!("{many} inputs"),
    })
}

/// Outputs of tools: properties of one simple type, or a list of flat objects.
pub fn judge_outputs(tools: &[Value]) -> Verdict {
    let mut places = Places::default();
    for tool in tools {
        let schema = &tool["outputSchema"];
        if schema.is_null() {
            places.add(&NO_OUTPUT_SCHEMA, name(tool));
            continue;
        }
        if schema["type"] != "object" {
            places.add(&OUTPUT_NOT_OBJECT, name(tool));
        }
        if !is_single(schema) {
            places.add(&OUTPUT_NULLABLE, name(tool));
        }
        for (output, schema) in properties(schema) {
            let place = format!("{}: {}", name(tool), quote(output));
            let rows = &schema["items"];
            if is_of_several_types(schema) || properties(rows).any(|(_, row)| is_of_several_types(row)) {
                places.add(&OUTPUT_NULLABLE, place);
            } else if !is_flat(schema) && !is_list_of_flat(schema) {
                places.add(&OUTPUT_NESTED, place);
            }
        }
    }
    places.verdict(match tools.len() {
        1 => "1 tool".to_owned(),
        many => format!("{many} tools"),
    })
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

/// A text, a number, a truth value.
fn is_flat(schema: &Value) -> bool {
    matches!(schema["type"].as_str(), Some("string" | "integer" | "number" | "boolean"))
}

/// A list of texts or numbers, or of objects of them.
fn is_list_of_flat(schema: &Value) -> bool {
    let rows = &schema["items"];
    schema["type"] == "array"
        && (is_flat(rows) || rows["type"] == "object" && properties(rows).all(|(_, property)| is_flat(property)))
}

fn is_of_several_types(schema: &Value) -> bool {
    schema["type"].is_array() || schema["type"] == "null" || schema["nullable"] == true || !is_single(schema)
}

/// Without alternatives.
fn is_single(schema: &Value) -> bool {
    ["anyOf", "oneOf", "allOf", "$ref"].iter().all(|keyword| schema.get(keyword).is_none())
}

/// What does not fit the tool's own output schema, at the first level.
pub fn mismatch(schema: &Value, answer: &Map<String, Value>) -> Option<String> {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|name| !answer.contains_key(*name)) {
        return Some(format!("{} is missing", quote(missing)));
    }
    answer.iter().find_map(|(name, value)| {
        let Some((_, property)) = properties(schema).find(|(property, _)| *property == name) else {
            let closed = schema["additionalProperties"] == false;
            return closed.then(|| format!("{} is not in the schema", quote(name)));
        };
        let types: Vec<&str> = match &property["type"] {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        let fits = types.iter().any(|wanted| is_of_type(value, wanted));
        (!fits).then(|| format!("{} is not of type {}", quote(name), types.join(" or ")))
    })
}

fn is_of_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    }
}

/// Arguments that came as text, in the types that the tool's input schema wants.
pub fn arguments(tool: &Value, given: &[(String, String)]) -> Map<String, Value> {
    let typed = |name: &str, text: &str| {
        let wanted = tool["inputSchema"]["properties"][name]["type"].as_str().unwrap_or("string");
        let parsed: Option<Value> = serde_json::from_str(text).ok();
        parsed.filter(|value| wanted != "string" && is_of_type(value, wanted)).unwrap_or_else(|| Value::from(text))
    };
    given.iter().map(|(name, text)| (name.clone(), typed(name, text))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool() -> Value {
        json!({
            "name": "get_order_status",
            "description": "Gets an order.",
            "inputSchema": { "type": "object", "properties": {
                "order_id": { "type": "string", "title": "Order ID", "description": "Number of the order." },
                "tags": { "type": "array", "items": { "type": "string" }, "title": "Tags", "description": "Tags." },
            } },
            "outputSchema": { "type": "object", "properties": {
                "status": { "type": "string" },
                "orders": { "type": "array", "items": { "type": "object", "properties": { "id": { "type": "string" } } } },
            } },
        })
    }

    fn judged(tools: &[Value]) -> Vec<&'static str> {
        let verdicts = [judge_names(tools), judge_descriptions(tools), judge_inputs(tools), judge_outputs(tools)];
        verdicts.iter().flat_map(|verdict| &verdict.problems).map(|(problem, _)| problem.id).collect()
    }

    #[test]
    fn a_tool_as_agentforce_likes_it_has_no_problem() {
        assert_eq!(judged(&[tool()]), Vec::<&str>::new());
    }

    #[test]
    fn what_agentforce_does_not_like_is_named_once_and_nothing_else() {
        for (pointer, value, expected) in [
            ("/name", json!("get order"), "characters"),
            ("/name", json!("x".repeat(129)), "characters"),
            ("/name", json!(null), "characters"),
            ("/description", json!(" "), "missing"),
            ("/description", json!("x".repeat(1001)), "long"),
            ("/description", json!("x".repeat(1301)), "cut"),
            ("/description", json!("a\nb"), "lines"),
            ("/inputSchema/type", json!("array"), "not_object"),
            ("/inputSchema/properties/order_id/title", json!(""), "no_title"),
            ("/inputSchema/properties/order_id/description", json!(null), "no_description"),
            ("/inputSchema/properties/order_id/type", json!("object"), "nested"),
            ("/inputSchema/properties/order_id/type", json!(["string", "null"]), "nested"),
            ("/inputSchema/properties/tags/items/type", json!("object"), "nested"),
            ("/outputSchema", json!(null), "missing"),
            ("/outputSchema/type", json!("array"), "not_object"),
            ("/outputSchema/properties/status", json!({ "type": "object", "properties": {} }), "nested"),
            ("/outputSchema/properties/status", json!({ "type": ["string", "null"] }), "nullable"),
            (
                "/outputSchema/properties/status",
                json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] }),
                "nullable",
            ),
            ("/outputSchema/properties/status", json!({ "$ref": "#/$defs/status" }), "nullable"),
            ("/outputSchema/properties/orders/items/properties/id/type", json!("object"), "nested"),
            ("/outputSchema/properties/orders/items/properties/id/type", json!(["string", "null"]), "nullable"),
        ] {
            let mut tool = tool();
            *tool.pointer_mut(pointer).unwrap() = value.clone();
            assert_eq!(judged(&[tool]), [expected], "{pointer} {value}");
        }
        assert_eq!(judged(&[tool(), tool()]), ["twice"]);
    }

    #[test]
    fn an_answer_is_held_against_the_tools_own_schema() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["status"],
            "properties": { "status": { "type": "string" }, "count": { "type": "integer" } },
        });
        for (answer, expected) in [
            (json!({ "status": "SHIPPED", "count": 1 }), None),
            (json!({ "status": "SHIPPED" }), None),
            (json!({ "count": 1 }), Some("status is missing")),
            (json!({ "status": null }), Some("status is not of type string")),
            (json!({ "status": "", "count": 1.5 }), Some("count is not of type integer")),
            (json!({ "status": "", "other": 1 }), Some("other is not in the schema")),
        ] {
            assert_eq!(mismatch(&schema, answer.as_object().unwrap()).as_deref(), expected, "{answer}");
        }
    }

    #[test]
    fn arguments_take_the_types_of_the_schema() {
        let tool = json!({ "inputSchema": { "properties": {
            "id": { "type": "string" }, "count": { "type": "integer" }, "all": { "type": "boolean" },
        } } });
        let given = ["id=1001", "count=3", "all=true", "other=1"].map(|pair| {
            let (name, text) = pair.split_once('=').unwrap();
            (name.to_owned(), text.to_owned())
        });
        let expected = json!({ "id": "1001", "count": 3, "all": true, "other": "1" });
        assert_eq!(Value::Object(arguments(&tool, &given)), expected);
        assert_eq!(arguments(&tool, &[("count".to_owned(), "many".to_owned())])["count"], "many");
    }
}
