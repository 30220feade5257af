//! Bulk jobs, state by state.

use reqwest::Method;
use salesforce_standin::Options;
use serde_json::json;

use crate::{World, answer, code};

#[tokio::test]
async fn an_ingest_job_advances_by_one_state_each_look() {
    let world = World::start().await;
    let request = json!({ "object": "Contact", "operation": "upsert", "externalIdFieldName": "External_Id__c" });
    let (_, job) = world.post("/jobs/ingest", request).await;
    assert_eq!(job["state"], "Open");
    let path = format!("/jobs/ingest/{}", job["id"].as_str().unwrap());
    let upload = format!("/{}", job["contentUrl"].as_str().unwrap());
    let csv = "External_Id__c,LastName,Phone\nC-0000,Changed,#N/A\nnew,\"New, one\",\nbad,,\n";
    let put = || world.request(Method::PUT, &upload).header("content-type", "text/csv").body(csv);
    assert_eq!(answer(put()).await.0, 201);
    assert_eq!(code(&answer(put()).await), (400, "INVALIDJOBSTATE"));

    world.ask("PATCH", &path, Some(json!({ "state": "UploadComplete" }))).await;
    let mut states = Vec::new();
    for _ in 0..2 {
        states.push(world.get(&path).await.1["state"].as_str().unwrap().to_owned());
    }
    assert_eq!(states, ["InProgress", "JobComplete"]);
    let done = world.get(&path).await.1;
    assert_eq!((&done["numberRecordsProcessed"], &done["numberRecordsFailed"]), (&json!(3), &json!(1)));
    let successful = world.get(&format!("{path}/successfulResults")).await.1;
    let lines: Vec<&str> = successful.as_str().unwrap().lines().collect();
    assert_eq!(lines[0], r#""sf__Id","sf__Created","External_Id__c","LastName","Phone""#);
    assert!(
        lines[1].ends_with(r##""false","C-0000","Changed","#N/A""##) && lines[2].contains(r#""true","new","New, one""#)
    );
    let failed = world.get(&format!("{path}/failedResults")).await.1;
    assert!(
        failed.as_str().unwrap().contains("REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --")
    );
    assert_eq!(world.ask("DELETE", &path, None).await.0, 204);
}

#[tokio::test]
async fn an_aborted_job_has_done_nothing() {
    let world = World::start().await;
    let body = "--b\r\nContent-Disposition: form-data; name=\"job\"\r\nContent-Type: application/json\r\n\r\n\
                {\"object\":\"Contact\",\"operation\":\"insert\"}\r\n--b\r\n\
                Content-Disposition: form-data; name=\"content\"; filename=\"c\"\r\nContent-Type: text/csv\r\n\r\nLastName\nOne\r\n--b--\r\n";
    let request = world
        .request(Method::POST, "/jobs/ingest")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body);
    let job = answer(request).await.1;
    assert_eq!(job["state"], "UploadComplete");
    let path = format!("/jobs/ingest/{}", job["id"].as_str().unwrap());
    assert_eq!(world.ask("PATCH", &path, Some(json!({ "state": "Aborted" }))).await.1["state"], "Aborted");
    assert_eq!(world.get(&path).await.1["state"], "Aborted");
    assert_eq!(world.get(&format!("{path}/unprocessedrecords")).await.1, "LastName\nOne");
    assert_eq!(world.standin.counters().effects("Contact").created, 0);
}

#[tokio::test]
async fn fifty_thousand_rows_are_read_in_pages() {
    let world = World::with(Options { bulk_page_size: Some(20_000), ..Options::default() }).await;
    world.standin.with_org(|org| org.add_contacts(50_000));
    let text = "SELECT Id, Name, Account.Name FROM Contact WHERE FirstName = 'Bulk'";
    let (_, job) = world.post("/jobs/query", json!({ "operation": "query", "query": text })).await;
    let path = format!("/jobs/query/{}", job["id"].as_str().unwrap());
    assert_eq!(code(&world.get(&format!("{path}/results")).await), (400, "INVALIDJOBSTATE"));
    while world.get(&path).await.1["state"] != "JobComplete" {}

    let (mut locator, mut sizes) = (String::new(), Vec::new());
    while locator != "null" {
        let results = format!("{path}/results?maxRecords=30000&locator={locator}");
        let page = world.request(Method::GET, &results).send().await.unwrap();
        locator = page.headers()["sforce-locator"].to_str().unwrap().to_owned();
        let told: usize = page.headers()["sforce-numberofrecords"].to_str().unwrap().parse().unwrap();
        let text = page.text().await.unwrap();
        assert_eq!((text.lines().next().unwrap(), text.lines().count()), (r#""Id","Name","Account.Name""#, told + 1));
        sizes.push(told);
    }
    assert_eq!(sizes, [20_000, 20_000, 10_000]);
    let grouped = json!({ "operation": "query", "query": "SELECT COUNT(Id) FROM Contact" });
    assert_eq!(code(&world.post("/jobs/query", grouped).await), (400, "API_ERROR"));
}
