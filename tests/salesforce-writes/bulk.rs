//! Bulk jobs: submitted, polled and read by tools of their own.

use black_box::salesforce::{Setup, World};
use salesforce_standin::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::{effects, refused};

async fn finished(world: &World, job: &Value) -> Value {
    loop {
        let state = world.answer("getBulkJob", json!({ "job_id": job })).await;
        if ["JobComplete", "Failed", "Aborted"].iter().any(|over| state["state"] == *over) {
            return state;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_written_and_their_results_read() {
    let world = World::start(Setup::default()).await;
    let rows = json!([
        { "LastName": "Comma, \"quoted\"\nline", "Company": "C", "Email": null },
        { "LastName": "Plain", "Company": "C", "Phone": "1" },
        { "LastName": "Bad", "Company": "C", "Email": "no address" },
    ]);
    let arguments = json!({ "operation": "insert", "object": "Lead", "rows": rows });
    let job = world.answer("createBulkJob", arguments.clone()).await;
    assert_eq!((&job["state"], &job["object"]), (&json!("UploadComplete"), &json!("Lead")), "{job}");
    let id = &job["job_id"];
    let again = world.answer("createBulkJob", arguments).await;
    assert_eq!((&again["state"], &again["job_id"]), (&json!("already_done"), id));
    refused(&world.call("getBulkJobResults", json!({ "job_id": id })).await, "job_not_finished", "getBulkJob");
    let state = finished(&world, id).await;
    assert_eq!((&state["processed"], &state["failed"]), (&json!(3), &json!(1)), "{state}");
    let good = world.answer("getBulkJobResults", json!({ "job_id": id, "limit": 1 })).await;
    assert_eq!((&good["count"], &good["total"], &good["truncated"]), (&json!(1), &json!(2), &json!(true)));
    assert_eq!(good["records"][0]["LastName"], "Comma, \"quoted\"\nline");
    let next = json!({ "job_id": id, "limit": 1, "cursor": good["cursor"] });
    assert_eq!(world.answer("getBulkJobResults", next).await["records"][0]["LastName"], "Plain");
    let bad = world.answer("getBulkJobResults", json!({ "job_id": id, "kind": "failed" })).await;
    assert!(bad["records"][0]["sf__Error"].as_str().unwrap().contains("INVALID_EMAIL"), "{bad}");
    assert_eq!(effects(&world, "Lead")[0], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_is_read_in_pages() {
    let options = salesforce_standin::Options { bulk_page_size: Some(30), ..Default::default() };
    let world = World::start(Setup { options, ..Setup::default() }).await;
    let query = json!({ "operation": "query", "query": "SELECT Id, LastName, Account.Name FROM Contact" });
    let job = world.answer("createBulkJob", query).await;
    let id = &job["job_id"];
    assert!(finished(&world, id).await["processed"].as_u64().unwrap() > 100);
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let mut arguments = json!({ "job_id": id, "limit": 40 });
        if cursor.is_string() {
            arguments["cursor"] = cursor;
        }
        let page = world.answer("getBulkJobResults", arguments).await;
        seen.extend(page["records"].as_array().unwrap().iter().map(|row| row["Id"].to_string()));
        cursor = page["cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    let count = world.answer("executeQuery", json!({ "query": "SELECT COUNT() FROM Contact" })).await;
    assert_eq!(json!(seen.len()), count["total"]);
    seen.sort();
    seen.dedup();
    assert_eq!(json!(seen.len()), count["total"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_not_started_writes_nothing_and_is_aborted() {
    let world = World::start(Setup::default()).await;
    let arguments =
        |name: &str| json!({ "operation": "insert", "object": "Lead", "rows": [{ "LastName": name, "Company": "C" }] });
    let close = || FaultKind::Close { after_effect: false };
    let ingest = "/services/data/jobs/ingest";
    world.standin.inject(Fault::once("POST", ingest, close()));
    refused(&world.call("createBulkJob", arguments("a")).await, "org_unreachable", "No record was written");
    world.standin.inject(Fault::once("PUT", ingest, close()));
    refused(&world.call("createBulkJob", arguments("b")).await, "org_unreachable", "was aborted");
    world.standin.inject(Fault::once("PATCH", ingest, close()));
    refused(&world.call("createBulkJob", arguments("c")).await, "org_unreachable", "was aborted");
    world.standin.inject(Fault::once("POST", "/services/data/jobs/query", close()));
    let query = json!({ "operation": "query", "query": "SELECT Id FROM Lead" });
    refused(&world.call("createBulkJob", query.clone()).await, "org_unreachable", "A retry may help.");
    assert_eq!(world.answer("createBulkJob", query).await["state"], "UploadComplete");
    // Started, and only the answer was lost.
    world.standin.inject(Fault::once("PATCH", ingest, FaultKind::Close { after_effect: true }));
    let job = world.answer("createBulkJob", arguments("d")).await;
    finished(&world, &job["job_id"]).await;
    assert_eq!(effects(&world, "Lead"), [1, 0, 0]);
    assert_eq!(
        world.answer("createBulkJob", arguments("a")).await["state"],
        "UploadComplete",
        "it had no effect before"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_may_have_begun_is_not_said_to_have_written_nothing() {
    let world = World::start(Setup::default()).await;
    let rows = json!([{ "LastName": "a", "Company": "C" }]);
    let arguments = json!({ "operation": "insert", "object": "Lead", "rows": rows });
    let ingest = "/services/data/jobs/ingest";
    world.standin.inject(Fault::once("PATCH", ingest, FaultKind::Close { after_effect: true }));
    for _ in 0..3 {
        world.standin.inject(Fault::once("GET", ingest, FaultKind::Close { after_effect: false }));
    }
    refused(&world.call("createBulkJob", arguments.clone()).await, "outcome_unknown", "getBulkJobResults");
    refused(&world.call("createBulkJob", arguments).await, "outcome_unknown", "Do not repeat it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_and_deleting_jobs_take_two_steps_and_an_abort_ends_one() {
    let world = World::start(Setup::default()).await;
    let rows: Vec<Value> = (0..11).map(|number| json!({ "LastName": format!("L{number}"), "Company": "C" })).collect();
    let arguments = json!({ "operation": "insert", "object": "Lead", "rows": rows });
    let preview = world.answer("createBulkJob", arguments.clone()).await;
    assert_eq!(
        (&preview["state"], &preview["summary"]),
        (&json!("preview"), &json!("A bulk job: insert of 11 records of Lead."))
    );
    let job = world.carry_out("createBulkJob", arguments).await;
    let aborted = world.answer("abortBulkJob", json!({ "job_id": job["job_id"] })).await;
    assert_eq!(aborted["state"], "Aborted", "{aborted}");
    assert_eq!(effects(&world, "Lead"), [0, 0, 0]);

    let made = world
        .answer("createRecord", json!({ "object": "Lead", "fields": { "LastName": "Gone", "Company": "C" } }))
        .await;
    let delete = json!({ "operation": "delete", "object": "Lead", "rows": [{ "Id": made["id"] }] });
    let job = world.carry_out("createBulkJob", delete).await;
    finished(&world, &job["job_id"]).await;
    assert_eq!(effects(&world, "Lead"), [1, 0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told_by_its_row() {
    let world = World::start(Setup::default()).await;
    for (arguments, says) in [
        (json!({ "operation": "insert", "object": "Lead" }), "rows"),
        (json!({ "operation": "insert", "object": "Lead", "rows": [] }), "rows"),
        (
            json!({ "operation": "insert", "object": "Lead", "rows": [{ "LastName": "a", "Company": "b" }, { "LastName": "a" }] }),
            "Row 2: Company",
        ),
        (json!({ "operation": "update", "object": "Lead", "rows": [{ "LastName": "a" }] }), "Row 1: it needs Id"),
        (
            json!({ "operation": "delete", "object": "Lead", "rows": [{ "Id": "00Q000000000001", "LastName": "a" }] }),
            "Id alone",
        ),
        (json!({ "operation": "upsert", "object": "Contact", "rows": [{ "LastName": "a" }] }), "external_id_field"),
        (
            json!({ "operation": "upsert", "object": "Contact", "external_id_field": "External_Id__c", "rows": [{ "LastName": "a" }] }),
            "Row 1: it needs a value of External_Id__c",
        ),
        (
            json!({ "operation": "insert", "object": "Lead", "rows": [{ "LastName": "#N/A", "Company": "b" }] }),
            "Row 1: LastName",
        ),
        (json!({ "operation": "query", "object": "Lead" }), "takes no object"),
        (json!({ "operation": "query" }), "needs query"),
        (json!({ "operation": "query", "query": "DELETE FROM Lead" }), "SELECT"),
    ] {
        refused(&world.call("createBulkJob", arguments).await, "invalid_arguments", says);
    }
    refused(&world.call("getBulkJob", json!({ "job_id": "750000000000001" })).await, "record_not_found", "");
}
