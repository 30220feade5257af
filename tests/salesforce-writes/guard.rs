//! What the guard of a server forbids is not sent.

use registry::Guard;
use registry::guard::Access;
use serde_json::{Value, json};

use crate::{effects, guarded, refused};

fn only(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_fields_and_deletes_are_guarded_in_every_tool() {
    let fields =
        [("Lead".to_owned(), Access { read: None, write: only(&["LastName", "Company"]) })].into_iter().collect();
    let objects = Access { read: None, write: only(&["lead"]) };
    let world = guarded(Guard { objects, fields, ..Guard::default() }).await;
    let lead = json!({ "LastName": "A", "Company": "B" });
    let phone = json!({ "LastName": "A", "Company": "B", "phone": "1" });
    let id = "00Q000000000001";
    for (tool, arguments) in [
        ("createRecord", json!({ "object": "Contact", "fields": { "LastName": "A" } })),
        ("createRecord", json!({ "object": "Lead", "fields": phone })),
        ("salesforce_create_contact", json!({ "LastName": "A" })),
        ("updateRecord", json!({ "object": "LEAD", "id": id, "fields": { "Phone": "1" } })),
        ("deleteRecord", json!({ "object": "Lead", "id": id })),
        ("salesforce_delete_contact", json!({ "id": "003000000000001" })),
        ("executeComposite", json!({ "operations": [{ "operation": "create", "object": "Lead", "fields": phone }] })),
        ("executeBatch", json!({ "operations": [{ "operation": "delete", "object": "Lead", "id": id }] })),
        ("createBulkJob", json!({ "operation": "insert", "object": "Lead", "rows": [phone] })),
        ("createBulkJob", json!({ "operation": "delete", "object": "Lead", "rows": [{ "Id": id }] })),
        ("createBulkJob", json!({ "operation": "insert", "object": "Contact", "rows": [{ "LastName": "A" }] })),
    ] {
        refused(&world.call(tool, arguments.clone()).await, "not_allowed_here", "may not");
    }
    assert_eq!(world.answer("createRecord", json!({ "object": "Lead", "fields": lead })).await["state"], "done");
    assert_eq!((effects(&world, "Lead"), effects(&world, "Contact")), ([1, 0, 0], [0, 0, 0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_checks_everything_and_sends_nothing() {
    let world = guarded(Guard { dry_run: true, deletes: true, ..Guard::default() }).await;
    let fields = json!({ "LastName": "A", "Company": "B" });
    let found = world.answer("executeQuery", json!({ "query": "SELECT Id FROM Lead LIMIT 1" })).await;
    let id = &found["records"][0]["Id"];
    for (tool, arguments) in [
        ("createRecord", json!({ "object": "Lead", "fields": fields })),
        ("updateRecord", json!({ "object": "Lead", "id": id, "fields": { "LastName": "A" } })),
        ("deleteRecord", json!({ "object": "Lead", "id": id })),
        ("executeComposite", json!({ "operations": [{ "operation": "create", "object": "Lead", "fields": fields }] })),
        ("createBulkJob", json!({ "operation": "insert", "object": "Lead", "rows": [fields] })),
    ] {
        assert_eq!(world.answer(tool, arguments).await["state"], "dry_run", "{tool}");
    }
    refused(
        &world.call("createRecord", json!({ "object": "Lead", "fields": { "LastName": "A" } })).await,
        "invalid_arguments",
        "Company",
    );
    assert_eq!(effects(&world, "Lead"), [0, 0, 0]);
    let written = |name: &&String| !name.starts_with("GET ") && !name.contains("oauth2");
    assert_eq!(world.standin.counters().requests.keys().filter(written).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_has_so_many_writes() {
    let world = guarded(Guard { writes_per_day: Some(5), ..Guard::default() }).await;
    let lead = |name: &str| json!({ "LastName": name, "Company": "B" });
    let create = |name: &str| json!({ "object": "Lead", "fields": lead(name) });
    world.answer("createRecord", create("a")).await;
    assert_eq!(world.answer("createRecord", create("a")).await["state"], "already_done", "a repeat counts nothing");
    let bad = json!({ "object": "Contact", "fields": { "LastName": "x", "Email": "no address" } });
    refused(&world.call("createRecord", bad).await, "value_invalid", "");
    let rows: Vec<Value> = ["b", "c", "d", "e", "f"].map(lead).into();
    let five = json!({ "operation": "insert", "object": "Lead", "rows": rows });
    refused(&world.call("createBulkJob", five).await, "write_budget_used", "5 records a day");
    let operations: Vec<Value> =
        rows[..4].iter().map(|fields| json!({ "operation": "create", "object": "Lead", "fields": fields })).collect();
    assert_eq!(world.answer("executeBatch", json!({ "operations": operations })).await["state"], "done");
    refused(&world.call("createRecord", create("z")).await, "write_budget_used", "midnight");
    assert_eq!(effects(&world, "Lead"), [5, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_of_jobs_of_others_are_not_read_where_reads_are_limited() {
    let world = guarded(Guard { objects: Access { read: only(&["Lead"]), write: None }, ..Guard::default() }).await;
    let refuse = json!({ "operation": "query", "query": "SELECT Id FROM Contact" });
    refused(&world.call("createBulkJob", refuse).await, "not_allowed_here", "Contact");
    let job = world.answer("createBulkJob", json!({ "operation": "query", "query": "SELECT Id FROM Lead" })).await;
    for _ in 0..3 {
        world.answer("getBulkJob", json!({ "job_id": job["job_id"] })).await;
    }
    assert!(world.answer("getBulkJobResults", json!({ "job_id": job["job_id"] })).await["count"].as_u64().unwrap() > 0);

    let token = world.standin.access_token();
    let made: Value = reqwest::Client::new()
        .post(format!("{}/services/data/v66.0/jobs/query", world.standin.url()))
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body(json!({ "operation": "query", "query": "SELECT Id FROM Lead" }).to_string())
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let foreign = json!({ "job_id": made["id"] });
    refused(&world.call("getBulkJobResults", foreign).await, "not_allowed_here", "made itself");
}
