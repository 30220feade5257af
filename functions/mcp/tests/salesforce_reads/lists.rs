//! Queries and lists, page by page.

use std::collections::HashSet;

use salesforce_standin::{Fault, FaultKind, Options, Org};
use serde_json::{Value, json};

use crate::world::World;

fn ids(records: &[Value]) -> HashSet<&str> {
    records.iter().map(|record| record["Id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn two_thousand_rows_come_in_pages_through_restarts() {
    let mut org = Org::demo();
    org.add_contacts(2_000);
    let mut world = World::start(org, Options::default()).await;
    let query = json!({ "query": "SELECT Id, Name FROM Contact WHERE FirstName = 'Bulk' ORDER BY Name" });
    for limits in [&[200][..], &[150, 1, 77, 200]] {
        let records = world.all("executeQuery", query.clone(), limits).await;
        assert_eq!((records.len(), ids(&records).len()), (2_000, 2_000));
        let sorted = records.windows(2).all(|two| two[0]["Name"].as_str() < two[1]["Name"].as_str());
        assert!(sorted && records[0]["Name"] == "Bulk 000000");
    }
    let first = world.answer("executeQuery", query).await;
    assert_eq!((&first["count"], &first["total"], &first["truncated"]), (&json!(200), &json!(2_000), &json!(true)));
}

#[tokio::test]
async fn pages_are_full_where_those_of_salesforce_are_small() {
    let mut world = World::start(Org::demo(), Options { page_size: Some(7), ..Options::default() }).await;
    let records = world.all("executeQuery", json!({ "query": "SELECT Id FROM Contact" }), &[20, 9]).await;
    assert_eq!(ids(&records).len(), 150);
    let answer = world.answer("executeQuery", json!({ "query": "SELECT Id FROM Contact" })).await;
    assert_eq!((&answer["count"], &answer["total"]), (&json!(70), &json!(150)), "ten pages and no more");
}

#[tokio::test]
async fn a_page_ends_at_the_bytes_of_the_server() {
    let mut world = World::demo().await;
    world.guard.max_bytes = 2_000;
    let records =
        world.all("executeQuery", json!({ "query": "SELECT Id, Name, Email, Phone FROM Contact" }), &[200]).await;
    assert_eq!(ids(&records).len(), 150);
}

#[tokio::test]
async fn counts_groups_and_subqueries_are_flat() {
    let world = World::demo().await;
    let count = world.answer("executeQuery", json!({ "query": "SELECT COUNT() FROM Contact" })).await;
    assert_eq!((&count["total"], &count["records"]), (&json!(150), &json!([{ "count": 150 }])));
    let query = "SELECT StageName, COUNT(Id) deals, SUM(Amount) FROM Opportunity GROUP BY StageName";
    let groups = world.answer("executeQuery", json!({ "query": query, "limit": 2 })).await;
    assert_eq!((&groups["count"], &groups["total"]), (&json!(2), &json!(7)));
    assert!(groups["records"][0]["deals"].is_number() && groups["records"][0]["expr0"].is_number(), "{groups}");
    let next = json!({ "query": query, "limit": 200, "cursor": groups["cursor"] });
    assert_eq!(world.answer("executeQuery", next).await["count"], 5);
    let query =
        "SELECT Name, Owner.Name, (SELECT LastName FROM Contacts LIMIT 1) FROM Account WHERE Name = 'Acme Energy'";
    let row = world.answer("executeQuery", json!({ "query": query })).await["records"][0].clone();
    assert_eq!(
        row,
        json!({ "Name": "Acme Energy", "Owner.Name": "Integration User", "Contacts": "[{\"LastName\":\"Abbott\"}]" })
    );
}

#[tokio::test]
async fn deleted_records_are_found_by_those_who_ask_for_them() {
    let world = World::demo().await;
    let query = "SELECT Id FROM Lead";
    let id = world.answer("executeQuery", json!({ "query": query, "limit": 1 })).await["records"][0]["Id"].clone();
    world.delete("Lead", id.as_str().unwrap()).await;
    for (tool, arguments, count) in [
        ("executeQuery", json!({ "query": query }), 29),
        ("executeQuery", json!({ "query": query, "include_deleted": true }), 30),
        ("executeQueryAll", json!({ "query": query }), 30),
    ] {
        assert_eq!(world.answer(tool, arguments).await["count"], count);
    }
    assert_eq!(world.trouble("getRecord", json!({ "object": "Lead", "id": id })).await.0, "record_deleted");
    assert_eq!(world.standin.counters().requests("GET", "/services/data/queryAll"), 2);
}

#[tokio::test]
async fn a_cursor_is_good_for_its_question_alone() {
    let mut world = World::demo().await;
    let query = "SELECT Id FROM Contact";
    let cursor = world.answer("executeQuery", json!({ "query": query, "limit": 3 })).await["cursor"].clone();
    let next = json!({ "query": query, "cursor": cursor });
    world.answer("executeQuery", next.clone()).await;
    for (tool, arguments) in [
        ("executeQuery", json!({ "query": "SELECT Id FROM Lead", "cursor": cursor })),
        ("executeQuery", json!({ "query": query, "cursor": cursor, "include_deleted": true })),
        ("executeQueryAll", next.clone()),
        ("executeQuery", json!({ "query": query, "cursor": "AAAA" })),
    ] {
        assert_eq!(world.trouble(tool, arguments.clone()).await.0, "invalid_cursor", "{tool} {arguments}");
    }
    world.client = "other";
    assert_eq!(world.trouble("executeQuery", next.clone()).await.0, "invalid_cursor");
    (world.client, world.server) = ("agent", "other");
    assert_eq!(world.trouble("executeQuery", next).await.0, "invalid_cursor");
}

#[tokio::test]
async fn a_cursor_that_salesforce_has_forgotten_is_told_so() {
    let mut org = Org::demo();
    org.add_contacts(300);
    let world = World::start(org, Options::default()).await;
    let query = json!({ "query": "SELECT Id FROM Contact" });
    let mut next = query.clone();
    next["cursor"] = world.answer("executeQuery", query).await["cursor"].clone();
    world.standin.expire_cursors();
    let (code, sentence) = world.trouble("executeQuery", next).await;
    assert!(
        code == "cursor_expired" && sentence.contains("INVALID_QUERY_LOCATOR") && sentence.contains("without a cursor"),
        "{sentence}"
    );
}

#[tokio::test]
async fn a_page_that_is_asked_for_again_follows_its_records() {
    let world = World::demo().await;
    let list = json!({ "limit": 3 });
    let first = world.answer("salesforce_list_contacts", list.clone()).await;
    assert_eq!((&first["count"], &first["total"], &first["truncated"]), (&json!(3), &json!(150), &json!(true)));
    // Newer ones come first.
    world.standin.with_org(|org| org.add_contacts(2));
    let mut next = list;
    next["cursor"] = first["cursor"].clone();
    let second = world.answer("salesforce_list_contacts", next).await;
    let (first, second) = (first["records"].as_array().unwrap(), second["records"].as_array().unwrap());
    assert!(second.len() == 3 && ids(first).is_disjoint(&ids(second)), "{first:?} {second:?}");
}

#[tokio::test]
async fn contacts_are_listed_by_words_and_by_account() {
    let mut world = World::demo().await;
    assert_eq!(ids(&world.all("salesforce_list_contacts", json!({}), &[40]).await).len(), 150);
    let found = world.answer("salesforce_list_contacts", json!({ "query": "Ada Abbott" })).await;
    assert_eq!((&found["count"], &found["records"][0]["Email"]), (&json!(1), &json!("ada.abbott@example.com")));
    let account = found["records"][0]["AccountId"].clone();
    let query = |soql: &str| json!({ "query": soql });
    let of_account = world.answer("salesforce_list_contacts", json!({ "AccountId": account })).await;
    let soql = format!("SELECT COUNT() FROM Contact WHERE AccountId = '{}'", account.as_str().unwrap());
    assert_eq!(of_account["total"], world.answer("executeQuery", query(&soql)).await["total"]);
    let both = world.answer("salesforce_list_contacts", json!({ "AccountId": account, "query": "Abbott" })).await;
    assert_eq!(both["count"], 1);
    let searched = world.all("salesforce_list_contacts", json!({ "query": "Abbott" }), &[4]).await;
    assert_eq!(ids(&searched).len(), 15);
    let part = world.answer("salesforce_list_contacts", json!({ "query": "bbot" })).await;
    assert_eq!(part["total"], 15, "a part of a word is found by a query");
    let odd = world.answer("salesforce_list_contacts", json!({ "query": "x' OR Name LIKE '%" })).await;
    assert_eq!(odd["count"], 0);
    for (arguments, says) in [
        (json!({ "AccountId": "x' OR 1=1" }), "AccountId is a record id"),
        (json!({ "query": "a" }), "query has at least 2"),
        (json!({ "limit": 0 }), "limit is at least 1"),
        (json!({ "limit": -1 }), "limit is at least 1"),
    ] {
        let (code, sentence) = world.trouble("salesforce_list_contacts", arguments.clone()).await;
        assert!(code == "invalid_arguments" && sentence.contains(says), "{arguments}: {sentence}");
    }
}

#[tokio::test]
async fn appointments_are_listed_by_person_and_time() {
    let mut world = World::demo().await;
    let all = world.all("salesforce_list_appointments", json!({}), &[25]).await;
    assert_eq!(ids(&all).len(), 60);
    assert!(all[0]["StartDateTime"].as_str() > all[59]["StartDateTime"].as_str());
    let week = json!({ "from": "2026-03-02T00:00:00Z", "to": "2026-03-09T01:00:00+01:00" });
    assert_eq!(world.answer("salesforce_list_appointments", week).await["count"], 7);
    let one = world.answer("salesforce_list_appointments", json!({ "WhoId": all[0]["WhoId"] })).await;
    assert_eq!((&one["count"], &one["records"][0]["Id"]), (&json!(1), &all[0]["Id"]));
    let (code, sentence) = world.trouble("salesforce_list_appointments", json!({ "from": "tomorrow" })).await;
    assert!(code == "invalid_arguments" && sentence.contains("from is a date and time"), "{sentence}");
}

#[tokio::test]
async fn a_query_that_salesforce_refuses_is_told_in_its_words() {
    let world = World::demo().await;
    for (query, code, says) in [
        ("SELECT Id FROM Shoe", "object_unknown", "INVALID_TYPE"),
        ("SELECT Shoe FROM Contact", "field_unknown", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE", "query_invalid", "MALFORMED_QUERY"),
        ("DELETE FROM Contact", "invalid_arguments", "begins with SELECT"),
        ("", "invalid_arguments", "begins with SELECT"),
    ] {
        let (told, sentence) = world.trouble("executeQuery", json!({ "query": query })).await;
        assert!(told == code && sentence.contains(says), "{query}: {told}: {sentence}");
    }
    let query = json!({ "query": "SELECT Id FROM Contact" });
    for kind in [
        FaultKind::Status {
            status: 503,
            error_code: "SERVER_UNAVAILABLE".to_owned(),
            message: String::new(),
            after_effect: false,
        },
        FaultKind::Close { after_effect: false },
        FaultKind::HalfBody,
        FaultKind::TruncatedJson,
        FaultKind::Html,
        FaultKind::DuplicateKeys,
        FaultKind::EmptyBody,
    ] {
        world.standin.inject(Fault::once("GET", "/services/data/query", kind));
        assert_eq!(world.answer("executeQuery", query.clone()).await["total"], 150, "a read is tried again");
    }
    world.standin.inject(Fault::once("GET", "/services/data/query", FaultKind::HugeBody { bytes: 10_000_000 }));
    assert_eq!(world.trouble("executeQuery", query.clone()).await.0, "too_large");
    world.standin.inject(Fault::once("GET", "/services/data/query", FaultKind::HugeBody { bytes: 10_000 }));
    assert_eq!(world.trouble("executeQuery", query.clone()).await.0, "answer_unreadable");
    assert_eq!(world.answer("executeQuery", query).await["total"], 150);
}
