//! Tools that Agentforce cuts, empties or refuses.

use serde_json::{Value, json};
use std::sync::Arc;

use crate::stage::{Change, Findings, stage};

/// Changes the first tool of the list, get_order_status.
fn with(edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Change {
    Arc::new(move |asked, answered| {
        if asked.is_mcp() && asked.rpc() == "tools/list" && answered.status == 200 {
            answered.edit(|json| edit(&mut json["result"]["tools"][0]));
        }
    })
}

/// Sets what a JSON pointer leads to; its last part may be new.
fn at(pointer: &'static str, value: Value) -> Change {
    with(move |tool| {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        tool.pointer_mut(parent).unwrap()[name] = value.clone();
    })
}

fn without(pointer: &'static str) -> Change {
    with(move |tool| {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        tool.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    })
}

#[track_caller]
fn expect(what: &str, change: Change, expected: &str) -> Findings {
    let findings = stage().expect(what, change, &[expected]);
    let seen = findings.get(expected)["seen"].as_str().unwrap();
    assert!(seen.contains("order"), "{what}: the place is named: {seen}");
    findings
}

#[test]
fn names() {
    expect("a blank", at("/name", json!("get order")), "tool_names.characters");
    expect("twice", at("/name", json!("list_customer_orders")), "tool_names.twice");
}

#[test]
fn inputs() {
    expect("no title", without("/inputSchema/properties/order_id/title"), "input_schemas.no_title");
    expect("no description", without("/inputSchema/properties/order_id/description"), "input_schemas.no_description");
    expect("an object", at("/inputSchema/properties/order_id/type", json!("object")), "input_schemas.nested");
    expect("no object", at("/inputSchema/type", json!("string")), "input_schemas.not_object");
}

#[test]
fn descriptions() {
    expect("none", without("/description"), "descriptions.missing");
    expect("cut", at("/description", json!("x".repeat(1_400))), "descriptions.cut");
    expect("long", at("/description", json!("x".repeat(1_100))), "descriptions.long");
    expect("lines", at("/description", json!("Gets an order.\nBy its number.")), "descriptions.lines");
}

#[test]
fn outputs() {
    expect("none", without("/outputSchema"), "output_schemas.missing");
    expect("no object", at("/outputSchema/type", json!("array")), "output_schemas.not_object");
    let nested = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    expect("nested", at("/outputSchema/properties/address", nested), "output_schemas.nested");
    let nullable = json!({ "type": ["string", "null"] });
    expect("nullable", at("/outputSchema/properties/eta", nullable), "output_schemas.nullable");
    let either = json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] });
    expect("anyOf", at("/outputSchema/properties/eta", either), "output_schemas.nullable");
}
