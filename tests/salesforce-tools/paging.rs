//! Many records, page by page, and one that is too large for any answer.

use std::collections::BTreeSet;

use black_box::salesforce::{Setup, World};
use salesforce_standin::Org;
use serde_json::{Value, json};

/// The text of a field of every record of an answer.
fn column<'a>(answer: &'a Value, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let records = answer["records"].as_array().unwrap_or_else(|| panic!("no records: {answer}"));
    records.iter().map(move |record| record[name].as_str().unwrap_or_else(|| panic!("{record}")).to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_rows_come_in_pages_through_a_restart() {
    let mut org = Org::demo();
    org.add_contacts(2_000);
    let mut world = World::start(Setup { org, ..Setup::default() }).await;
    let mut arguments =
        json!({ "query": "SELECT Id, LastName, Email FROM Contact WHERE FirstName = 'Bulk' ORDER BY LastName" });
    let (mut names, mut pages) = (Vec::new(), 0);
    loop {
        let answer = world.answer("executeQuery", arguments.clone()).await;
        names.extend(column(&answer, "LastName"));
        assert_eq!(answer["total"], 2_000);
        pages += 1;
        assert_eq!(answer["truncated"] == true, answer["cursor"].is_string(), "{answer}");
        if answer["cursor"].is_null() {
            break;
        }
        arguments["cursor"] = answer["cursor"].clone();
        if pages == 4 {
            world = world.restart().await;
        }
    }
    let expected: Vec<String> = (0..2_000).map(|index| format!("{index:06}")).collect();
    assert_eq!(names, expected);
    assert!(pages >= 10, "{pages} pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_query_that_the_org_has_forgotten_is_told_so() {
    let mut org = Org::demo();
    org.add_contacts(5_000);
    let world = World::start(Setup { org, ..Setup::default() }).await;
    let mut arguments = json!({ "query": "SELECT Id FROM Contact WHERE FirstName = 'Bulk'", "limit": 200 });
    let mut answer = world.answer("executeQuery", arguments.clone()).await;
    world.standin.expire_cursors();
    for _ in 0..30 {
        arguments["cursor"] = answer["cursor"].clone();
        let next = world.call("executeQuery", arguments.clone()).await;
        if let Some(code) = next.code {
            assert_eq!(code, "cursor_expired", "{}", next.text);
            return;
        }
        answer = next.content;
    }
    panic!("all pages came without the org: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_rows_of_a_bulk_query_come_in_pages() {
    let mut org = Org::empty();
    org.add_contacts(50_000);
    let world = World::start(Setup { org, ..Setup::default() }).await;
    let query = "SELECT Id, LastName FROM Contact";
    let job = world.answer("createBulkJob", json!({ "operation": "query", "query": query })).await["job_id"].clone();
    let state = async || world.answer("getBulkJob", json!({ "job_id": job })).await;
    let mut polls = 0;
    let done = loop {
        let state = state().await;
        if state["state"] == "JobComplete" {
            break state;
        }
        polls += 1;
        assert!(polls < 20, "{state}");
    };
    assert_eq!(done["processed"], 50_000);
    let mut arguments = json!({ "job_id": job });
    let (mut names, mut rows, mut pages) = (BTreeSet::new(), 0, 0);
    loop {
        let answer = world.answer("getBulkJobResults", arguments.clone()).await;
        let before = rows;
        for name in column(&answer, "LastName") {
            names.insert(name);
            rows += 1;
        }
        pages += 1;
        assert!(rows > before, "a page without rows: {answer}");
        if answer["cursor"].is_null() {
            break;
        }
        arguments["cursor"] = answer["cursor"].clone();
    }
    assert_eq!((rows, names.len()), (50_000, 50_000), "{pages} pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_five_megabytes_is_cut_with_a_mark() {
    let mut org = Org::demo();
    let id = org.add_large_contact(5_000_000);
    let world = World::start(Setup { org, ..Setup::default() }).await;
    let select = "SELECT Id, Name, Description FROM Contact WHERE LastName = 'Record'";
    for (tool, arguments) in [
        ("getRecord", json!({ "object": "Contact", "id": id, "fields": ["Id", "Name", "Description"] })),
        ("getRecord", json!({ "object": "Contact", "id": id })),
        ("salesforce_get_contact", json!({ "id": id })),
        ("executeQuery", json!({ "query": select })),
        ("executeQueryAll", json!({ "query": select })),
    ] {
        let answer = world.answer(tool, arguments).await;
        let record = if answer["records"].is_array() { &answer["records"][0] } else { &answer };
        let text = record["Description"].as_str().unwrap_or_else(|| panic!("{tool}: {record}"));
        assert!(text.starts_with("0123456789 lorem ipsum") && text.len() < 300_000, "{tool}: {} bytes", text.len());
        let told = &answer["truncated"];
        assert!(told == true || told.as_str().is_some_and(|names| names.contains("Description")), "{tool}: {told}");
        assert!(
            text.chars().last().is_some_and(|last| !last.is_ascii_alphanumeric()),
            "{tool}: {}",
            &text[text.len() - 40..]
        );
    }
}
