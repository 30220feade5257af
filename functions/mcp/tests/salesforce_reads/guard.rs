//! What the guard of a server does not let a tool read, by whatever way.

use registry::Guard;
use salesforce_standin::Org;
use serde_json::{Value, json};

use crate::world::World;

async fn guarded(guard: Value) -> World {
    let mut world = World::start(Org::demo(), Default::default()).await;
    world.guard = serde_json::from_value::<Guard>(guard).unwrap();
    world
}

async fn assert_refused(world: &World, tool: &str, arguments: Value) {
    let (code, sentence) = world.trouble(tool, arguments.clone()).await;
    assert!(code == "not_allowed_here", "{tool} {arguments}: {code}: {sentence}");
}

#[tokio::test]
async fn objects_that_are_not_allowed_are_not_read() {
    let world = guarded(json!({ "objects": { "read": ["Contact", "account"] } })).await;
    for query in [
        "SELECT Id FROM Contact",
        "SELECT c.Name, Account.Name FROM Contact c WHERE Account.Name LIKE 'A%' ORDER BY c.Account.Name",
        "SELECT Name, (SELECT Name FROM Contacts) FROM Account WHERE Id IN (SELECT AccountId FROM Contact)",
        "SELECT COUNT() FROM Account",
        "SELECT FIELDS(STANDARD) FROM Contact LIMIT 5",
    ] {
        world.answer("executeQuery", json!({ "query": query })).await;
    }
    for query in [
        "SELECT Id FROM Lead",
        "SELECT Owner.Name FROM Contact",
        "SELECT Id FROM Contact ORDER BY Owner.Name",
        "SELECT Name, (SELECT Name FROM Opportunities) FROM Account",
        "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Opportunity)",
        "SELECT TYPEOF Owner WHEN User THEN Name END FROM Contact",
        "SELECT Id FROM Contact /**/ WHERE Id != null",
    ] {
        for tool in ["executeQuery", "executeQueryAll"] {
            assert_refused(&world, tool, json!({ "query": query })).await;
        }
    }
    world
        .answer("executeSearch", json!({ "search": "FIND {Acme} RETURNING Account(Name), Contact(Account.Name)" }))
        .await;
    for search in ["FIND {Acme}", "FIND {Acme} RETURNING Account, Lead", "FIND {Acme} RETURNING Contact(Owner.Name)"] {
        assert_refused(&world, "executeSearch", json!({ "search": search })).await;
    }
    let contact =
        world.answer("executeQuery", json!({ "query": "SELECT Id FROM Contact" })).await["records"][0]["Id"].clone();
    assert_refused(&world, "getRecord", json!({ "object": "User", "id": contact })).await;
    assert_refused(&world, "getRecord", json!({ "object": "Contact", "id": contact, "fields": ["Owner.Name"] })).await;
    assert_refused(&world, "describeObject", json!({ "object": "Lead" })).await;
    assert_refused(&world, "salesforce_list_appointments", json!({})).await;
    assert_refused(&world, "salesforce_get_appointment", json!({ "id": contact })).await;
    assert_refused(&world, "listReports", json!({})).await;
    assert_refused(&world, "getReport", json!({ "report_id": "00O000000000001" })).await;
    let listed = world.answer("listAllObjects", json!({})).await;
    assert_eq!((&listed["total"], &listed["records"][0]["name"]), (&json!(2), &json!("Account")));
}

#[tokio::test]
async fn fields_that_are_not_allowed_are_not_read() {
    let fields = json!({ "Contact": { "read": ["Name", "Email", "AccountId"] }, "Opportunity": { "read": ["Name"] } });
    let world = guarded(json!({ "fields": fields })).await;
    for query in [
        "SELECT Id, Name, Account.Phone FROM Contact WHERE Email != null ORDER BY contact.Name",
        "SELECT Name, (SELECT Name FROM Contacts) FROM Account",
        "SELECT FIELDS(ALL) FROM Account LIMIT 5",
    ] {
        world.answer("executeQuery", json!({ "query": query })).await;
    }
    for query in [
        "SELECT Phone FROM Contact",
        "SELECT Id FROM Contact WHERE Phone LIKE '%1'",
        "SELECT Id FROM Contact ORDER BY Phone",
        "SELECT COUNT(Id) FROM Contact GROUP BY Phone",
        "SELECT Id FROM Contact x WHERE x.Phone != null",
        "SELECT MAX(Phone) FROM Contact",
        "SELECT FIELDS(ALL) FROM Contact LIMIT 5",
        "SELECT Id, (SELECT Phone FROM Contacts) FROM Account",
        "SELECT Id, (SELECT Name FROM Opportunities) FROM Account",
        "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact WHERE Phone = '1')",
        "SELECT Account.Id FROM Opportunity",
        "SELECT Who.Phone FROM Event",
    ] {
        assert_refused(&world, "executeQuery", json!({ "query": query })).await;
    }
    assert_refused(&world, "executeSearch", json!({ "search": "FIND {555} RETURNING Contact(Name)" })).await;
    let found = world.answer("salesforce_list_contacts", json!({ "query": "Abbott" })).await;
    assert_eq!((&found["total"], &found["records"][0].get("Phone")), (&json!(15), &None));
    assert_eq!(
        world.standin.counters().requests("POST", "/services/data/parameterizedSearch"),
        0,
        "it would find by phone"
    );
    let id = found["records"][0]["Id"].clone();
    let record = world.answer("getRecord", json!({ "object": "Contact", "id": id })).await;
    let names: Vec<&String> = record.as_object().unwrap().keys().collect();
    assert_eq!(names, ["Id", "Name", "AccountId", "Email"]);
    assert_eq!(world.answer("salesforce_get_contact", json!({ "id": id })).await.get("Phone"), None);
    assert_refused(&world, "getRecord", json!({ "object": "contact", "id": id, "fields": ["Phone"] })).await;
    let external = json!({ "object": "Contact", "external_id_field": "External_Id__c", "external_id": "C-0000" });
    assert_refused(&world, "getRecord", external).await;
    let described = world.answer("describeObject", json!({ "object": "Contact" })).await;
    assert_eq!(described["total"], 4, "{described}");
    assert_refused(&world, "getReport", json!({ "report_id": "00O000000000001" })).await;
}

#[tokio::test]
async fn reports_are_run_where_they_are_allowed_by_name() {
    let world = guarded(json!({ "objects": { "read": ["Report"] } })).await;
    let report = world.answer("listReports", json!({ "limit": 1 })).await["records"][0]["id"].clone();
    assert_eq!(world.answer("getReport", json!({ "report_id": report })).await["total"], 150);
}

#[tokio::test]
async fn pages_are_no_longer_than_the_server_allows() {
    let mut world = guarded(json!({ "max_rows": 5 })).await;
    let answer = world.answer("executeQuery", json!({ "query": "SELECT Id FROM Contact", "limit": 100 })).await;
    assert_eq!((&answer["count"], &answer["total"], &answer["truncated"]), (&json!(5), &json!(150), &json!(true)));
    world.guard.max_rows = 200;
    assert_eq!(world.answer("describeObject", json!({ "object": "Contact", "limit": 3 })).await["count"], 3);
}
