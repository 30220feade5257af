//! Writes to Salesforce through a local run whose org is the stand-in: made once, checked before, in two steps where they
//! are large or delete, and never beyond what the server's guard allows.

mod bulk;
mod guard;
mod once;
mod several;
mod steps;

use black_box::salesforce::{Answer, Setup, World};
use registry::Guard;
use salesforce_standin::Effects;
use serde_json::{Value, json};

/// A world with a guard.
async fn guarded(guard: Guard) -> World {
    World::start(Setup { guard, ..Setup::default() }).await
}

/// Makes a contact and answers its id.
async fn contact(world: &World, last_name: &str) -> String {
    let made = world.answer("createRecord", json!({ "object": "Contact", "fields": { "LastName": last_name } })).await;
    made["id"].as_str().unwrap().to_owned()
}

fn effects(world: &World, object: &str) -> [u64; 3] {
    let Effects { created, updated, deleted } = world.standin.counters().effects(object);
    [created, updated, deleted]
}

/// Checks that a call was refused with a code, and that the sentence says something.
fn refused(answer: &Answer, code: &str, says: &str) {
    assert_eq!(answer.code.as_deref(), Some(code), "{answer:?}");
    assert!(answer.text.contains(says), "{says:?} in {}", answer.text);
}

/// What a query of ids finds.
async fn found(world: &World, query: &str) -> usize {
    world.answer("executeQuery", json!({ "query": query })).await["count"].as_u64().unwrap() as usize
}

/// The query in a sentence that says how to look.
fn query_in(text: &str) -> &str {
    let query = text.split_once("SELECT ").unwrap().1;
    let end = query.find(" LIMIT ").unwrap();
    let digits = query[end + 7..].find(|c: char| !c.is_ascii_digit()).unwrap();
    let start = text.find("SELECT ").unwrap();
    &text[start..start + 7 + end + 7 + digits]
}

fn rows(answer: &Value) -> &Vec<Value> {
    answer["results"].as_array().unwrap()
}
