//! The calls that users of such tools make today.

use black_box::examples::CONTACT;
use black_box::salesforce::{READ, Setup, World};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn three_contacts_are_listed_and_more_on_request() {
    let world = World::start(Setup::default()).await;
    let mut seen = Vec::new();
    let mut arguments = json!({ "limit": 3 });
    for _ in 0..3 {
        let answer = world.call_at(READ, "salesforce_list_contacts", arguments.clone()).await;
        let records = answer.content["records"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
        assert_eq!(
            (records.len(), &answer.content["count"], &answer.content["truncated"]),
            (3, &json!(3), &json!(true))
        );
        for record in records {
            assert!(record["LastName"].is_string() && record["Id"].as_str().unwrap().starts_with("003"), "{record}");
            seen.push(record["Id"].as_str().unwrap().to_owned());
        }
        arguments["cursor"] = answer.content["cursor"].clone();
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 9, "no contact comes twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_made_of_first_name_last_name_phone_and_email() {
    let world = World::start(Setup::default()).await;
    let fields = json!({
        "FirstName": "Mara",
        "LastName": "Rossi",
        "Phone": "+39 02 5550100",
        "Email": "mara.rossi@example.com",
    });
    let made = world.answer("salesforce_create_contact", fields.clone()).await;
    assert_eq!((&made["success"], &made["state"]), (&json!(true), &json!("done")));
    let read = world.answer("salesforce_get_contact", json!({ "id": made["id"] })).await;
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(&read[name], value, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appointment_is_made_of_subject_start_end_and_who() {
    let world = World::start(Setup::default()).await;
    let fields = json!({
        "Subject": "Product demo",
        "StartDateTime": "2026-02-20T18:00:00Z",
        "EndDateTime": "2026-02-20T19:00:00Z",
        "WhoId": CONTACT,
    });
    let made = world.answer("salesforce_create_appointment", fields).await;
    assert_eq!((&made["success"], &made["state"]), (&json!(true), &json!("done")));
    let read = world.answer("salesforce_get_appointment", json!({ "id": made["id"] })).await;
    assert_eq!((&read["Subject"], &read["WhoId"]), (&json!("Product demo"), &json!(CONTACT)));
    for (name, hour) in [("StartDateTime", "2026-02-20T18:00:00"), ("EndDateTime", "2026-02-20T19:00:00")] {
        assert!(read[name].as_str().unwrap().starts_with(hour), "{read}");
    }
}
