//! Deletes and large writes take two steps.

use black_box::salesforce::{Setup, World};
use serde_json::{Value, json};

use crate::{contact, effects, refused, rows};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_is_previewed_and_then_done_once() {
    let world = World::start(Setup::default()).await;
    let id = contact(&world, "Going").await;
    let preview = world.answer("deleteRecord", json!({ "object": "contact", "id": id })).await;
    assert_eq!((&preview["state"], &preview["success"]), (&json!("preview"), &json!(false)));
    let summary = preview["summary"].as_str().unwrap();
    assert!(summary.contains(&format!("Deletes Contact {id}, Going")), "{summary}");
    assert_eq!(effects(&world, "Contact"), [1, 0, 0]);

    let other = contact(&world, "Staying").await;
    let handle = &preview["handle"];
    let for_another = json!({ "object": "contact", "id": other, "handle": handle });
    refused(&world.call("deleteRecord", for_another).await, "invalid_handle", "preview");
    let by_another_tool = json!({ "id": id, "handle": handle });
    refused(&world.call("salesforce_delete_contact", by_another_tool).await, "invalid_handle", "preview");

    let commit = json!({ "object": "contact", "id": id, "handle": handle });
    assert_eq!(
        world.answer("deleteRecord", commit.clone()).await,
        json!({ "success": true, "state": "done", "id": id })
    );
    assert_eq!(world.answer("deleteRecord", commit).await["state"], "already_done");
    assert_eq!(effects(&world, "Contact"), [2, 0, 1]);
    refused(
        &world.call("deleteRecord", json!({ "object": "Contact", "id": id })).await,
        "record_deleted",
        "recycle bin",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_changed_since_its_preview_is_not_deleted() {
    let world = World::start(Setup::default()).await;
    let id = contact(&world, "Moving").await;
    let preview = world.answer("salesforce_delete_contact", json!({ "id": id })).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    world.answer("salesforce_update_contact", json!({ "id": id, "Phone": "1" })).await;
    let commit = json!({ "id": id, "handle": preview["handle"] });
    refused(&world.call("salesforce_delete_contact", commit.clone()).await, "preview_outdated", "changed");
    refused(&world.call("salesforce_delete_contact", commit).await, "preview_outdated", "changed");
    let account = world.answer("createRecord", json!({ "object": "Account", "fields": { "Name": "Firm" } })).await;
    let preview = world.answer("deleteRecord", json!({ "object": "Account", "id": account["id"] })).await;
    let summary = preview["summary"].as_str().unwrap();
    let along = summary.split_once("with it its records of ").unwrap().1;
    assert!(along.contains("Contact") && !along.contains("Event"), "{summary}");
    world.carry_out("salesforce_delete_contact", json!({ "id": id })).await;
    assert_eq!(effects(&world, "Contact"), [1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_operations_are_previewed() {
    let world = World::start(Setup::default()).await;
    let create = |number: usize| json!({ "operation": "create", "object": "Lead", "fields": { "LastName": format!("L{number}"), "Company": "C" } });
    let operations: Vec<Value> = (0..11).map(create).collect();
    let preview = world.answer("executeComposite", json!({ "operations": operations })).await;
    assert_eq!(preview["state"], "preview");
    assert_eq!(preview["summary"], "11 operations: create Lead 11 times.");
    assert_eq!(effects(&world, "Lead"), [0, 0, 0]);
    let done = world.answer("executeComposite", json!({ "operations": operations, "handle": preview["handle"] })).await;
    assert_eq!((&done["state"], rows(&done).len()), (&json!("done"), 11));
    let again =
        world.answer("executeComposite", json!({ "operations": operations, "handle": preview["handle"] })).await;
    assert_eq!((&again["state"], &again["results"]), (&json!("already_done"), &done["results"]));
    let ten = world.answer("executeBatch", json!({ "operations": operations[..10] })).await;
    assert_eq!(ten["state"], "done");
    assert_eq!(effects(&world, "Lead"), [21, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_record_that_changed_since_its_preview_keeps_all_from_being_deleted() {
    let world = World::start(Setup::default()).await;
    let (going, moving) = (contact(&world, "Going").await, contact(&world, "Moving").await);
    let delete = |id: &str| json!({ "operation": "delete", "object": "contact", "id": id });
    let lead = json!({ "operation": "create", "object": "Lead", "fields": { "LastName": "L", "Company": "C" } });
    for tool in ["executeComposite", "executeBatch"] {
        let mut arguments = json!({ "operations": [lead, delete(&going), delete(&moving)] });
        arguments["handle"] = world.answer(tool, arguments.clone()).await["handle"].clone();
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        world.answer("salesforce_update_contact", json!({ "id": moving, "Phone": tool })).await;
        let refusal = world.call(tool, arguments.clone()).await;
        refused(&refusal, "preview_outdated", &format!("contact {moving} was changed"));
        refused(&world.call(tool, arguments).await, "preview_outdated", "changed");
    }
    assert_eq!((effects(&world, "Contact"), effects(&world, "Lead")), ([2, 2, 0], [0, 0, 0]));

    let mut arguments = json!({ "operations": [delete(&going), delete(&moving)] });
    arguments["handle"] = world.answer("executeBatch", arguments.clone()).await["handle"].clone();
    assert_eq!(world.answer("executeBatch", arguments.clone()).await["state"], "done");
    assert_eq!(world.answer("executeBatch", arguments).await["state"], "already_done");
    assert_eq!(effects(&world, "Contact"), [2, 2, 2]);
    let gone = json!({ "operations": [lead, delete(&going)] });
    refused(&world.call("executeBatch", gone).await, "record_deleted", "Operation 2: ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_of_what_its_preview_cannot_name_is_refused() {
    let world = World::start(Setup::default()).await;
    let by = |reference: &str| json!({ "operation": "delete", "object": "Contact", "id": reference });
    let query = json!({ "operation": "query", "query": "SELECT Id FROM Contact", "reference": "all" });
    let found = json!({ "operations": [query, by("@{all.records[0].Id}")] });
    refused(&world.call("executeComposite", found).await, "invalid_arguments", "Operation 2: A delete takes an id");
    let new =
        json!({ "operation": "create", "object": "Contact", "fields": { "LastName": "New" }, "reference": "new" });
    let made = json!({ "operations": [new, by("@{new.id}")] });
    assert_eq!(world.answer("executeComposite", made).await["state"], "preview");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_and_a_handle_together_name_one_write() {
    let world = World::start(Setup::default()).await;
    let id = contact(&world, "Keyed").await;
    let mut arguments = json!({ "object": "Contact", "id": id, "idempotency_key": "del" });
    let preview = world.answer("deleteRecord", arguments.clone()).await;
    arguments["handle"] = preview["handle"].clone();
    let mut other = arguments.clone();
    other["idempotency_key"] = json!("other");
    refused(&world.call("deleteRecord", other).await, "invalid_handle", "preview");
    assert_eq!(world.answer("deleteRecord", arguments.clone()).await["state"], "done");
    assert_eq!(world.answer("deleteRecord", arguments).await["state"], "already_done");
}
