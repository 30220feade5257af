//! One record, searches, descriptions, limits, reports.

use salesforce_standin::{Fault, FaultKind, Options, Org};
use serde_json::{Value, json};

use crate::world::World;

async fn first(world: &World, soql: &str) -> Value {
    world.answer("executeQuery", json!({ "query": soql, "limit": 1 })).await["records"][0].clone()
}

#[tokio::test]
async fn a_record_is_found_by_its_id_and_by_an_external_one() {
    let world = World::demo().await;
    let contact = first(&world, "SELECT Id, Name FROM Contact WHERE External_Id__c = 'C-0000'").await;
    let by_id =
        json!({ "object": "Contact", "id": contact["Id"], "fields": ["name", "Account.Name", "Owner.Name", "Email"] });
    let record = world.answer("getRecord", by_id).await;
    assert_eq!(
        record,
        json!({
            "Id": contact["Id"], "Name": "Ada Abbott", "Email": "ada.abbott@example.com",
            "Account.Name": "Acme Energy", "Owner.Name": "Integration User",
        })
    );
    let external = json!({ "object": "Contact", "external_id_field": "external_id__c", "external_id": "C-0000", "fields": ["Name"] });
    assert_eq!(world.answer("getRecord", external).await, contact);
    let all = world.answer("getRecord", json!({ "object": "Contact", "id": contact["Id"] })).await;
    let names: Vec<&String> = all.as_object().unwrap().keys().collect();
    assert!(names.contains(&&"Id".to_owned()) && names.contains(&&"LastName".to_owned()), "{names:?}");
    let typed = world.answer("salesforce_get_contact", json!({ "id": contact["Id"] })).await;
    assert_eq!(
        (&typed["Id"], &typed["LastName"], &typed["Phone"]),
        (&contact["Id"], &json!("Abbott"), &json!("+1 555 1000"))
    );
    let event = first(&world, "SELECT Id FROM Event ORDER BY StartDateTime").await;
    let event = world.answer("salesforce_get_appointment", json!({ "id": event["Id"] })).await;
    assert_eq!((&event["Subject"], &event["DurationInMinutes"]), (&json!("Call"), &json!(30)));
}

#[tokio::test]
async fn what_is_wrong_with_a_record_is_told_before_salesforce_is_asked() {
    let world = World::demo().await;
    let id = first(&world, "SELECT Id FROM Contact").await["Id"].clone();
    for (arguments, code, says) in [
        (json!({ "object": "Contact" }), "invalid_arguments", "either id, or external_id_field"),
        (
            json!({ "object": "Contact", "id": id, "external_id_field": "Email", "external_id": "a" }),
            "invalid_arguments",
            "not both",
        ),
        (json!({ "object": "Contact", "external_id": "a" }), "invalid_arguments", "either id"),
        (json!({ "object": "Contact", "id": "003000000000001ZZZ" }), "invalid_arguments", "record id of 15 or 18"),
        (json!({ "object": "Contact", "id": id, "fields": ["Names"] }), "invalid_arguments", "did you mean Name?"),
        (
            json!({ "object": "Contact", "id": id, "fields": ["Accounts.Name"] }),
            "invalid_arguments",
            "did you mean Account?",
        ),
        (json!({ "object": "Contact", "id": id, "fields": ["Name, Email"] }), "invalid_arguments", "API names"),
        (
            json!({ "object": "Contact", "external_id_field": "LastName", "external_id": "a" }),
            "invalid_arguments",
            "External_Id__c",
        ),
        (
            json!({ "object": "Contact", "external_id_field": "External_Id__c", "external_id": ".." }),
            "invalid_arguments",
            "empty or a dot",
        ),
    ] {
        let (told, sentence) = world.trouble("getRecord", arguments.clone()).await;
        assert!(told == code && sentence.contains(says), "{arguments}: {told}: {sentence}");
    }
    assert_eq!(world.standin.counters().requests("GET", "/services/data/sobjects/Contact/{id}"), 0);
    for (arguments, code) in [
        (json!({ "object": "Contact", "id": "003000000000001" }), "record_not_found"),
        (json!({ "object": "Contacts", "id": id }), "object_unknown"),
        (
            json!({ "object": "Contact", "external_id_field": "External_Id__c", "external_id": "a/b?c" }),
            "record_not_found",
        ),
    ] {
        assert_eq!(world.trouble("getRecord", arguments.clone()).await.0, code, "{arguments}");
    }
    world.standin.inject(Fault::once("GET", "/services/data/sobjects/Contact/{id}", FaultKind::EmptyBody));
    world.standin.inject(Fault::once("GET", "/services/data/sobjects/Contact/{id}", FaultKind::DuplicateKeys));
    assert_eq!(world.answer("getRecord", json!({ "object": "Contact", "id": id })).await["Id"], id, "two retries");
}

#[tokio::test]
async fn an_external_id_of_several_records_is_told() {
    let mut org = Org::demo();
    org.add_contacts(1);
    org.add_contacts(1);
    let world = World::start(org, Options::default()).await;
    let twice = json!({ "object": "Contact", "external_id_field": "External_Id__c", "external_id": "B-000000" });
    let (code, sentence) = world.trouble("getRecord", twice).await;
    assert!(code == "several_records" && sentence.contains("Use the id of one"), "{code}: {sentence}");
    assert_eq!(sentence.matches("Contact 003").count(), 2, "{sentence}");
}

#[tokio::test]
async fn a_record_of_five_megabytes_is_cut_with_a_mark() {
    let mut org = Org::demo();
    let id = org.add_large_contact(5_000_000);
    let mut world = World::start(org, Options::default()).await;
    for max_bytes in [256 * 1024, 1_000] {
        world.guard.max_bytes = max_bytes;
        let wanted = json!({ "object": "Contact", "id": id, "fields": ["LastName", "Description"] });
        let record = world.answer("getRecord", wanted).await;
        assert_eq!((&record["LastName"], &record["truncated"]), (&json!("Record"), &json!("cut: Description")));
        assert!(record["Description"].as_str().unwrap().ends_with(" of 5000000 characters]"));
        let query = json!({ "query": "SELECT Id, Description FROM Contact WHERE LastName = 'Record'" });
        let found = world.answer("executeQuery", query).await;
        assert_eq!((&found["count"], &found["truncated"], found.get("cursor")), (&json!(1), &json!(true), None));
        assert!(found["records"][0]["Description"].as_str().unwrap().contains("\u{2026} [cut: "));
    }
}

#[tokio::test]
async fn a_search_returns_rows_with_their_object() {
    let world = World::demo().await;
    let search =
        json!({ "search": "FIND {Acme} IN NAME FIELDS RETURNING Account(Id, Name), Contact(Id, Account.Name)" });
    let found = world.answer("executeSearch", search.clone()).await;
    assert_eq!((&found["count"], &found["total"], &found["truncated"]), (&json!(4), &json!(4), &json!(false)));
    assert_eq!(found["records"][0]["object"], "Account");
    let mut three = search;
    three["limit"] = json!(3);
    let found = world.answer("executeSearch", three).await;
    assert_eq!((&found["count"], &found["truncated"], found.get("cursor")), (&json!(3), &json!(true), None));
    let (code, sentence) = world.trouble("executeSearch", json!({ "search": "FIND {A}" })).await;
    assert!(code == "query_invalid" && sentence.contains("MALFORMED_SEARCH"), "{code}: {sentence}");
    assert_eq!(
        world.trouble("executeSearch", json!({ "search": "SELECT Id FROM Contact" })).await.0,
        "invalid_arguments"
    );
}

#[tokio::test]
async fn objects_and_their_fields_are_listed() {
    let mut world = World::demo().await;
    let objects = world.all("listAllObjects", json!({}), &[3]).await;
    let names: Vec<&str> = objects.iter().map(|object| object["name"].as_str().unwrap()).collect();
    assert!(names.len() == 8 && names.contains(&"Opportunity"), "{names:?}");
    let some = world.answer("listAllObjects", json!({ "query": "opport" })).await;
    assert_eq!(
        (&some["total"], &some["records"][0]["createable"], &some["records"][0]["deletable"]),
        (&json!(1), &json!(true), &json!(false))
    );
    let asked = world.standin.counters().requests("GET", "/services/data/sobjects");
    world.answer("listAllObjects", json!({})).await;
    assert_eq!(world.standin.counters().requests("GET", "/services/data/sobjects"), asked, "it is remembered");

    let fields = world.all("describeObject", json!({ "object": "Contact" }), &[7]).await;
    let field = |name: &str| fields.iter().find(|field| field["name"] == name).unwrap();
    assert_eq!(
        field("LastName"),
        &json!({ "name": "LastName", "label": "Last Name", "type": "string", "length": 80, "required": true, "writable": true })
    );
    assert_eq!(
        (&field("AccountId")["references"], &field("AccountId")["relationship"]),
        (&json!("Account"), &json!("Account"))
    );
    assert_eq!(
        (&field("Level__c")["values"], &field("Name")["writable"]),
        (&json!("Primary; Secondary; Tertiary"), &json!(false))
    );
    let (code, sentence) = world.trouble("describeObject", json!({ "object": "Shoe__c" })).await;
    assert!(code == "object_unknown" && sentence.starts_with("There is no object Shoe__c. "), "{code}: {sentence}");
}

#[tokio::test]
async fn an_unknown_object_gets_the_nearest_that_the_server_may_read() {
    let mut world = World::demo().await;
    let describe = json!({ "object": "Contcat" });
    for _ in 0..2 {
        let (code, sentence) = world.trouble("describeObject", describe.clone()).await;
        assert_eq!(code, "object_unknown");
        assert!(sentence.starts_with("There is no object Contcat; did you mean Contact? "), "{sentence}");
    }
    assert_eq!(world.standin.counters().requests("GET", "/services/data/sobjects"), 1, "the list is remembered");

    world.guard.objects.read = Some(vec!["Contcat".to_owned(), "Account".to_owned()]);
    let (_, sentence) = world.trouble("describeObject", describe.clone()).await;
    assert!(!sentence.contains("Contact"), "{sentence}");
    world.guard = Default::default();
    world.restart();
    // The description is asked for first; the list is tried three times.
    let fault = Fault::once("GET", "/services/data/sobjects", FaultKind::EmptyBody);
    world.standin.inject(Fault { skip: 1, times: 3, ..fault });
    let (code, sentence) = world.trouble("describeObject", describe).await;
    assert!(code == "object_unknown" && sentence.starts_with("There is no object Contcat. "), "{code}: {sentence}");
}

#[tokio::test]
async fn the_limits_of_the_org_are_rows() {
    let world = World::demo().await;
    let limits = world.answer("getOrganizationLimits", json!({})).await;
    let requests = limits["records"].as_array().unwrap().iter().find(|row| row["name"] == "DailyApiRequests").unwrap();
    assert!(requests["max"] == 15_000 && requests["remaining"].as_i64().unwrap() < 15_000, "{requests}");
    assert_eq!(limits["truncated"], false);
}

#[tokio::test]
async fn reports_are_found_and_run() {
    let mut world = World::demo().await;
    let found = world.answer("listReports", json!({ "query": "by account" })).await;
    let report = &found["records"][0];
    assert_eq!(
        (&found["count"], &report["name"], &report["format"]),
        (&json!(1), &json!("Contacts by Account"), &json!("Tabular"))
    );
    let contacts = world.all("getReport", json!({ "report_id": report["id"] }), &[100, 7]).await;
    assert_eq!(
        (contacts.len(), &contacts[0]["Last Name"], &contacts[0]["Account Name"]),
        (150, &json!("Abbott"), &json!("Acme Energy"))
    );
    let filters = json!([{ "column": "LAST_NAME", "operator": "equals", "value": "Abbott" }, { "column": "FIRST_NAME", "operator": "startsWith", "value": "A" }]);
    let some = world.answer("getReport", json!({ "report_id": report["id"], "filters": filters })).await;
    assert_eq!(
        (&some["name"], &some["total"], &some["records"][0]["First Name"]),
        (&json!("Contacts by Account"), &json!(1), &json!("Ada"))
    );

    let summary = world.answer("listReports", json!({ "query": "Stage" })).await["records"][0]["id"].clone();
    let grouped = world.answer("getReport", json!({ "report_id": summary })).await;
    let row = &grouped["records"][0];
    assert!(grouped["total"] == 50 && row["Amount"].is_number() && row["STAGE_NAME"] == row["Stage"], "{row}");
    for (arguments, code) in [
        (json!({ "report_id": "003000000000001" }), "invalid_arguments"),
        (json!({ "report_id": "00O000000000009" }), "record_not_found"),
        (
            json!({ "report_id": report["id"], "filters": [{ "column": "SHOE", "operator": "equals", "value": "1" }] }),
            "salesforce_refused",
        ),
    ] {
        assert_eq!(world.trouble("getReport", arguments.clone()).await.0, code, "{arguments}");
    }
}

#[tokio::test]
async fn a_report_of_more_than_two_thousand_rows_says_so() {
    let mut org = Org::demo();
    org.add_contacts(2_000);
    let world = World::start(org, Options::default()).await;
    let report = world.answer("listReports", json!({ "query": "Contacts" })).await["records"][0]["id"].clone();
    let found = world.answer("getReport", json!({ "report_id": report, "limit": 5 })).await;
    assert_eq!((&found["count"], &found["truncated"], found.get("total")), (&json!(5), &json!(true), None));
    assert!(found["note"].as_str().unwrap().contains("2,000 rows"), "{found}");
}
