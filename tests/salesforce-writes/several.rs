//! Composite and batch: each operation is checked before any is sent.

use black_box::salesforce::{Setup, World};
use serde_json::{Value, json};

use crate::{effects, refused, rows};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_operation_uses_what_an_earlier_one_made() {
    let world = World::start(Setup::default()).await;
    let operations = json!([
        { "operation": "create", "object": "Account", "fields": { "Name": "Acme New" }, "reference": "firm" },
        { "operation": "create", "object": "Contact", "fields": { "LastName": "Boss", "AccountId": "@{firm.id}" }, "reference": "boss" },
        { "operation": "get", "object": "Contact", "id": "@{boss.id}", "fields": ["LastName", "Account.Name"] },
        { "operation": "update", "object": "Contact", "id": "@{boss.id}", "fields": { "Phone": "1" } },
        { "operation": "upsert", "object": "Contact", "external_id_field": "External_Id__c", "external_id": "x/1", "fields": { "LastName": "Up" } },
        { "operation": "query", "query": "SELECT Name FROM Account WHERE Name = 'Acme New'" },
        { "operation": "query", "query": "SELECT Id, Account.Id, LastName FROM Contact WHERE LastName = 'Boss'", "reference": "found" },
        { "operation": "get", "object": "Account", "id": "@{found.records[0].Account.Id}", "fields": ["Name"] },
    ]);
    let done = world.answer("executeComposite", json!({ "operations": operations })).await;
    assert_eq!((&done["success"], &done["state"]), (&json!(true), &json!("done")), "{done}");
    let rows = rows(&done);
    assert_eq!((&rows[0]["reference"], &rows[0]["status"]), (&json!("firm"), &json!(201)));
    let read: Value = serde_json::from_str(rows[2]["records"].as_str().unwrap()).unwrap();
    assert_eq!((&read[0]["LastName"], &read[0]["Account.Name"]), (&json!("Boss"), &json!("Acme New")));
    assert_eq!((&rows[3]["reference"], &rows[3]["status"]), (&json!("operation_4"), &json!(204)));
    assert_eq!(rows[4]["created"], true);
    assert_eq!((&rows[5]["records"], &rows[5]["total"]), (&json!(r#"[{"Name":"Acme New"}]"#), &json!(1)));
    let read: Value = serde_json::from_str(rows[7]["records"].as_str().unwrap()).unwrap();
    assert_eq!(read[0]["Name"], "Acme New");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_failure_undoes_all_unless_told_otherwise() {
    let world = World::start(Setup::default()).await;
    let operations = json!([
        { "operation": "create", "object": "Lead", "fields": { "LastName": "A", "Company": "B" } },
        { "operation": "update", "object": "Lead", "id": "00Q000000000001", "fields": { "LastName": "Z" } },
    ]);
    let all = world.answer("executeComposite", json!({ "operations": operations })).await;
    assert_eq!((&all["success"], &all["state"]), (&json!(false), &json!("failed")), "{all}");
    assert_eq!(rows(&all)[0]["code"], "rolled_back");
    let again = world.answer("executeComposite", json!({ "operations": operations })).await;
    assert_eq!(again["state"], "failed", "it had no effect, and was asked again");
    assert_eq!(effects(&world, "Lead")[0], 0);
    let some = world.answer("executeComposite", json!({ "operations": operations, "all_or_none": false })).await;
    assert_eq!((&some["success"], &some["state"]), (&json!(false), &json!("partly_done")), "{some}");
    let some = world.answer("executeComposite", json!({ "operations": operations, "all_or_none": false })).await;
    assert_eq!(some["state"], "already_done");
    assert_eq!(effects(&world, "Lead")[0], 1);

    let failing_first = json!([operations[1], operations[0]]);
    let halted = world.answer("executeBatch", json!({ "operations": failing_first, "halt_on_error": true })).await;
    assert_eq!((&halted["state"], &rows(&halted)[1]["status"]), (&json!("failed"), &json!(412)), "{halted}");
    let batch = world.answer("executeBatch", json!({ "operations": failing_first })).await;
    assert_eq!((&batch["state"], &rows(&batch)[1]["success"]), (&json!("partly_done"), &json!(true)), "{batch}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told_by_its_number_and_nothing_is_sent() {
    let world = World::start(Setup::default()).await;
    let good = json!({ "operation": "create", "object": "Lead", "fields": { "LastName": "A", "Company": "B" }, "reference": "lead" });
    let query = json!({ "operation": "query", "query": "SELECT Id FROM Lead" });
    let named = |query: String| json!({ "operation": "query", "query": query, "reference": "q" });
    let renaming = |selected: &str| named(format!("SELECT {selected} FROM Lead GROUP BY LastName"));
    let unread = named("SELECT LastName AS Id FROM Lead GROUP BY LastName".to_owned());
    let query_named = named("SELECT Id, LastName FROM Lead".to_owned());
    let get = json!({ "operation": "get", "object": "Lead", "id": "@{q.records[0].Id}", "fields": ["Id"] });
    for (operations, says) in [
        (json!([]), "1 to 25"),
        (
            json!([good, { "operation": "create", "object": "Lead", "fields": { "LastName": "A" } }]),
            "Operation 2: Company",
        ),
        (json!([good, { "operation": "create", "object": "Lead", "url": "/x" }]), "url is no property"),
        (json!([good, good]), "Operation 2: its reference"),
        (
            json!([good, { "operation": "update", "object": "Contact", "id": "@{other.id}", "fields": { "Phone": "1" } }]),
            "earlier",
        ),
        (
            json!([{ "operation": "update", "object": "Lead", "id": "@{lead.id}", "fields": { "Phone": "1" } }, good]),
            "earlier",
        ),
        (
            json!([good, { "operation": "create", "object": "Lead", "fields": { "LastName": "x @{lead.id}", "Company": "B" } }]),
            "whole reference",
        ),
        (
            json!([good, { "operation": "get", "object": "Lead", "id": "@{lead.Description}", "fields": ["Id"] }]),
            "to an id",
        ),
        (json!([renaming("LastName Id"), get]), "alias Id"),
        (json!([renaming("MAX(Company)iD")]), "alias Id"),
        (
            json!([{ "operation": "query", "query": "SELECT Name, (SELECT FORMAT(Phone) ID FROM Contacts) FROM Account" }]),
            "alias Id",
        ),
        (json!([unread, get]), "Operation 2: A reference in the place of an id cannot be to a query"),
        (
            json!([unread, { "operation": "update", "object": "Lead", "id": "@{q.records[0].Id}", "fields": { "Phone": "1" } }]),
            "not understood from Id",
        ),
        (
            json!([query_named, { "operation": "get", "object": "Lead", "id": "@{q.records[0].LastName[.Id}" }]),
            "whole reference",
        ),
        (json!([good, { "operation": "query", "query": "SELECT Id FROM Lead WHERE Id = '@{lead.id}'" }]), "reference"),
        (json!([good, { "operation": "get", "object": "Lead", "id": "../limits" }]), "id is no"),
        (json!([query, query, query, query, query, query]), "5 queries"),
    ] {
        refused(&world.call("executeComposite", json!({ "operations": operations })).await, "invalid_arguments", says);
    }
    let text =
        json!([{ "operation": "create", "object": "Lead", "fields": { "LastName": "@{x.id}", "Company": "B" } }]);
    assert_eq!(
        world.answer("executeBatch", json!({ "operations": text })).await["state"],
        "done",
        "a text like any other"
    );
    let twenty_six: Vec<Value> = std::iter::repeat_n(query.clone(), 26).collect();
    refused(&world.call("executeBatch", json!({ "operations": twenty_six })).await, "invalid_arguments", "");
    let six = world.answer("executeBatch", json!({ "operations": vec![query; 6] })).await;
    assert_eq!(six["success"], true);
    assert_eq!(world.standin.counters().requests("POST", "/services/data/composite"), 0);
    assert_eq!(effects(&world, "Lead"), [1, 0, 0]);
}
