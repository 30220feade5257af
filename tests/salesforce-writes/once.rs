//! A write is made once: repeats get its answer, and where nobody knows they are told so.

use std::time::Duration;

use black_box::salesforce::{Setup, World};
use salesforce_standin::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::{contact, effects, found, query_in, refused};

const CONTACTS: &str = "/services/data/sobjects/Contact";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_has_the_answer_of_the_first_one() {
    let world = World::start(Setup::default()).await;
    let new = |first: &str| json!({ "FirstName": first, "LastName": "Rossi", "Email": "r@example.com", "Phone": "1" });
    let made = world.answer("salesforce_create_contact", new("Ann")).await;
    assert_eq!((&made["success"], &made["state"]), (&json!(true), &json!("done")));
    let again = world.answer("salesforce_create_contact", new("Ann")).await;
    assert_eq!((&again["state"], &again["id"]), (&json!("already_done"), &made["id"]));
    assert!(again["hint"].as_str().unwrap().contains("idempotency_key"), "{again}");
    assert_eq!(effects(&world, "Contact"), [1, 0, 0]);

    let mut keyed = json!({ "LastName": "Verdi", "idempotency_key": "k1" });
    let made = world.answer("salesforce_create_contact", keyed.clone()).await;
    let again = world.answer("salesforce_create_contact", keyed.clone()).await;
    assert_eq!((&again["state"], &again["id"]), (&json!("already_done"), &made["id"]));
    assert!(again.get("hint").is_none(), "{again}");
    keyed["LastName"] = json!("Bianchi");
    refused(&world.call("salesforce_create_contact", keyed.clone()).await, "idempotency_mismatch", "idempotency_key");
    keyed["idempotency_key"] = json!("k2");
    assert_eq!(world.answer("salesforce_create_contact", keyed).await["state"], "done");
    assert_eq!(effects(&world, "Contact"), [3, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_make_one() {
    let world = World::start(Setup::default()).await;
    let slow = FaultKind::Latency { ms: 500 };
    world.standin.inject(Fault::once("POST", CONTACTS, slow));
    let arguments = json!({ "object": "Contact", "fields": { "LastName": "Once" }, "idempotency_key": "one" });
    let calls = (0..20).map(|_| world.answer("createRecord", arguments.clone()));
    let answers: Vec<Value> = futures_of(calls).await;
    let done = answers.iter().filter(|answer| answer["state"] == "done").count();
    assert_eq!(done, 1);
    assert!(answers.iter().all(|answer| answer["id"] == answers[0]["id"]), "{answers:?}");
    assert_eq!(effects(&world, "Contact"), [1, 0, 0]);
}

async fn futures_of<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in pinned.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().map(Option::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_knows_what_was_not_answered_and_it_is_not_made_again() {
    let world = World::start(Setup::default()).await;
    for (number, kind) in [
        FaultKind::Close { after_effect: true },
        FaultKind::HalfBody,
        FaultKind::TruncatedJson,
        FaultKind::EmptyBody,
        FaultKind::Html,
        FaultKind::DuplicateKeys,
        FaultKind::Status {
            status: 503,
            error_code: "SERVER_UNAVAILABLE".into(),
            message: String::new(),
            after_effect: true,
        },
    ]
    .into_iter()
    .enumerate()
    {
        let last_name = format!("O'Hara {number} \\");
        let arguments = json!({ "object": "Contact", "fields": { "LastName": last_name } });
        world.standin.inject(Fault::once("POST", CONTACTS, kind));
        let first = world.call("createRecord", arguments.clone()).await;
        refused(&first, "outcome_unknown", "executeQuery");
        let query = query_in(&first.text);
        assert_eq!(found(&world, query).await, 1, "{query}");
        let again = world.call("createRecord", arguments).await;
        refused(&again, "outcome_unknown", query);
        assert!(again.took < Duration::from_secs(3), "{again:?}");
        assert_eq!(effects(&world, "Contact"), [number as u64 + 1, 0, 0]);
    }
    assert_eq!(world.standin.counters().requests("POST", CONTACTS), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_had_no_effect_may_be_repeated() {
    let world = World::start(Setup::default()).await;
    let arguments = json!({ "object": "Contact", "fields": { "LastName": "Later" }, "idempotency_key": "k" });
    let refusal = |error_code: &str| FaultKind::Status {
        status: 400,
        error_code: error_code.into(),
        message: "no".into(),
        after_effect: false,
    };
    world.standin.inject(Fault::once("POST", CONTACTS, refusal("FIELD_CUSTOM_VALIDATION_EXCEPTION")));
    refused(&world.call("createRecord", arguments.clone()).await, "validation_failed", "Salesforce says FIELD_CUSTOM");
    assert_eq!(world.answer("createRecord", arguments).await["state"], "done");
    assert_eq!(effects(&world, "Contact"), [1, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_what_nobody_knows() {
    let timeout = registry::Timeout::from_seconds(10).unwrap();
    let world = World::start(Setup { timeout, ..Setup::default() }).await;
    world.standin.inject(Fault::once("POST", CONTACTS, FaultKind::Hang { after_effect: true }));
    let arguments = json!({ "object": "Contact", "fields": { "LastName": "Lost" }, "idempotency_key": "lost" });
    let call = world.call("createRecord", arguments.clone());
    let hung = tokio::time::timeout(Duration::from_secs(2), call).await;
    assert!(hung.is_err(), "{hung:?}");
    let world = world.restart().await;
    let again = world.call("createRecord", arguments.clone()).await;
    refused(&again, "in_progress", "few seconds");
    assert!(again.took > Duration::from_secs(4) && again.took < Duration::from_secs(8), "{:?}", again.took);
    tokio::time::sleep(Duration::from_secs(5)).await;
    refused(&world.call("createRecord", arguments).await, "outcome_unknown", "LastName = 'Lost'");
    assert_eq!(effects(&world, "Contact"), [1, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_takes_too_long_says_that_nobody_knows() {
    let timeout = registry::Timeout::from_seconds(2).unwrap();
    let world = World::start(Setup { timeout, ..Setup::default() }).await;
    contact(&world, "Warm").await;
    world.standin.inject(Fault::once("POST", CONTACTS, FaultKind::Hang { after_effect: true }));
    let arguments = json!({ "object": "Contact", "fields": { "LastName": "Slow" } });
    let slow = world.call("createRecord", arguments).await;
    refused(&slow, "outcome_unknown", "LastName = 'Slow'");
    assert!(slow.took < Duration::from_secs(3), "{slow:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_an_upsert_and_an_event_are_checked_before() {
    let world = World::start(Setup::default()).await;
    let id = contact(&world, "Before").await;
    let before = world.standin.counters().requests;
    for (tool, arguments, says) in [
        ("updateRecord", json!({ "object": "Contact", "id": id, "fields": {} }), "no field"),
        ("updateRecord", json!({ "object": "Contact", "id": id, "fields": { "Lastnmae": "x" } }), "LastName"),
        ("updateRecord", json!({ "object": "Contact", "id": id, "fields": { "Name": "x" } }), "cannot be changed"),
        ("updateRecord", json!({ "object": "Contact", "fields": { "LastName": "x" } }), "not both"),
        (
            "updateRecord",
            json!({ "object": "Contact", "id": "003000000000001AAB", "fields": { "LastName": "x" } }),
            "id is no",
        ),
        (
            "updateRecord",
            json!({ "object": "Contact", "external_id_field": "External_Id__c", "external_id": "C-1",
                    "fields": { "LastName": "x", "external_id__c": "C-1" } }),
            "cannot be among",
        ),
        (
            "updateRecord",
            json!({ "object": "Contact", "external_id_field": "Phone", "external_id": "C-1", "fields": { "LastName": "x" } }),
            "External_Id__c",
        ),
        (
            "createRecord",
            json!({ "object": "Contact", "fields": { "LastName": "x", "lastname": "y" } }),
            "written twice",
        ),
        ("createRecord", json!({ "object": "Contact", "fields": {} }), "LastName"),
        ("salesforce_create_appointment", json!({ "Subject": "x" }), "StartDateTime"),
        (
            "createRecord",
            json!({ "object": "Event", "fields": { "StartDateTime": "2026-02-20T18:00:00Z",
                    "EndDateTime": "2026-02-20T19:00:00Z", "DurationInMinutes": 5 } }),
            "does not agree",
        ),
    ] {
        refused(&world.call(tool, arguments.clone()).await, "invalid_arguments", says);
    }
    let sent: Vec<_> = world
        .standin
        .counters()
        .requests
        .into_iter()
        .filter(|(name, count)| !name.contains("describe") && before.get(name) != Some(count))
        .collect();
    assert_eq!(sent, []);

    let upsert = |name: &str| json!({ "object": "Contact", "external_id_field": "External_Id__c", "external_id": "a/b ?#", "fields": { "LastName": name } });
    let made = world.answer("updateRecord", upsert("First")).await;
    assert_eq!((&made["created"], &made["success"]), (&json!(true), &json!(true)));
    let changed = world.answer("updateRecord", upsert("Second")).await;
    assert_eq!((&changed["created"], &changed["id"]), (&json!(false), &made["id"]));
    let updated = world.answer("salesforce_update_contact", json!({ "id": id, "Phone": "7" })).await;
    assert_eq!(updated, json!({ "success": true, "state": "done", "id": id }));
    let unknown = world.call("createRecord", json!({ "object": "Kontact", "fields": { "a": 1 } })).await;
    refused(&unknown, "object_unknown", "There is no object Kontact; did you mean Contact?");
    refused(&unknown, "object_unknown", "listAllObjects");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_rule_shows_what_it_found_and_is_overruled_when_told() {
    let world = World::start(Setup::default()).await;
    let new = |first: &str| json!({ "FirstName": first, "LastName": "Same", "Email": "same@example.com" });
    let made = world.answer("salesforce_create_contact", new("A")).await;
    let id = made["id"].as_str().unwrap();
    let second = world.call("salesforce_create_contact", new("B")).await;
    refused(&second, "duplicates_detected", &format!("Contact {id}. The rule lets it be saved."));
    refused(&second, "duplicates_detected", "allow_duplicates");
    let allowed = |mut arguments: Value, allow: bool| {
        arguments["allow_duplicates"] = json!(allow);
        arguments
    };
    let refusal = world.call("salesforce_create_contact", allowed(new("B"), false)).await;
    refused(&refusal, "duplicates_detected", id);

    let second = world.answer("salesforce_create_contact", allowed(new("B"), true)).await;
    assert_eq!(second["state"], "done");
    let again = world.answer("salesforce_create_contact", allowed(new("B"), true)).await;
    assert_eq!((&again["state"], &again["id"]), (&json!("already_done"), &second["id"]));
    let generic = json!({ "object": "Contact", "fields": new("C"), "idempotency_key": "third" });
    refused(&world.call("createRecord", generic.clone()).await, "duplicates_detected", id);
    assert_eq!(world.answer("createRecord", allowed(generic.clone(), true)).await["state"], "done");
    refused(&world.call("createRecord", generic).await, "idempotency_mismatch", "other arguments");

    let other = contact(&world, "Other").await;
    let update = json!({ "id": other, "LastName": "Same", "Email": "same@example.com" });
    refused(&world.call("salesforce_update_contact", update.clone()).await, "duplicates_detected", id);
    assert_eq!(world.answer("salesforce_update_contact", allowed(update, true)).await["state"], "done");
    let upsert =
        json!({ "object": "Contact", "external_id_field": "External_Id__c", "external_id": "d", "fields": new("D") });
    refused(&world.call("updateRecord", upsert.clone()).await, "duplicates_detected", id);
    assert_eq!(world.answer("updateRecord", allowed(upsert, true)).await["created"], true);
    let by_email = json!({ "object": "Contact", "external_id_field": "Email", "external_id": "same@example.com",
                           "fields": { "Phone": "1" }, "allow_duplicates": true });
    let several = world.call("updateRecord", by_email).await;
    refused(&several, "several_records", &format!("Contact {id}"));
    refused(&several, "several_records", &format!("Contact {other}"));
    assert_eq!(effects(&world, "Contact"), [5, 1, 0]);
}
