//! Records, queries and composite requests, as a client sees them.

use reqwest::Method;
use serde_json::json;

use crate::{BASE, World, answer, code};

#[tokio::test]
async fn a_record_is_made_read_changed_and_deleted() {
    let world = World::start().await;
    let (status, created) = world.post("/sobjects/Contact/", json!({ "FirstName": "Rosa", "LastName": "Quist" })).await;
    assert_eq!((status.as_u16(), &created["success"], &created["errors"]), (201, &json!(true), &json!([])));
    let path = format!("/sobjects/Contact/{}", created["id"].as_str().unwrap());

    let (_, read) = world.get(&format!("{path}?fields=Name,Owner.Name,Phone")).await;
    assert_eq!((&read["Name"], &read["Phone"], &read["Id"]), (&json!("Rosa Quist"), &json!(null), &created["id"]));
    assert_eq!(read["attributes"]["url"], format!("{BASE}{path}"));
    assert_eq!(
        world.ask("PATCH", &path, Some(json!({ "Phone": "+1 555" }))).await,
        (204.try_into().unwrap(), json!(null))
    );
    assert_eq!(world.ask("DELETE", &path, None).await.0, 204);
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(code(&world.ask(method, &path, Some(json!({}))).await), (404, "ENTITY_IS_DELETED"), "{method}");
    }
    assert_eq!(world.query("SELECT Id FROM Contact WHERE LastName = 'Quist'").await.1["totalSize"], 0);
    let all = world.get("/queryAll?q=SELECT+Id,IsDeleted+FROM+Contact+WHERE+LastName+=+'Quist'").await.1;
    assert_eq!(all["records"][0]["IsDeleted"], true);
    let effects = world.standin.counters().effects("Contact");
    assert_eq!((effects.created, effects.updated, effects.deleted), (1, 1, 1));
}

#[tokio::test]
async fn refusals_have_salesforces_status_and_code() {
    let world = World::start().await;
    let none = "003000000000001AAA";
    for (method, path, body, expected) in [
        ("GET", "/sobjects/Shoe", None, (404, "NOT_FOUND")),
        ("GET", "/shoes", None, (404, "NOT_FOUND")),
        ("GET", &format!("/sobjects/Contact/{none}"), None, (404, "NOT_FOUND")),
        ("GET", "/sobjects/Contact/External_Id__c/none", None, (404, "NOT_FOUND")),
        ("PATCH", &format!("/sobjects/Contact/{none}"), Some(json!({})), (404, "INVALID_CROSS_REFERENCE_KEY")),
        ("DELETE", "/sobjects/Contact/Rosa", None, (400, "MALFORMED_ID")),
        ("POST", "/sobjects/Contact", Some(json!([])), (400, "JSON_PARSER_ERROR")),
        ("POST", "/query?q=SELECT+Id+FROM+Contact", None, (405, "METHOD_NOT_ALLOWED")),
        ("PUT", "/sobjects/Contact", None, (405, "METHOD_NOT_ALLOWED")),
        ("GET", "/query?q=SELECT+Shoe+FROM+Contact", None, (400, "INVALID_FIELD")),
        ("GET", "/query?q=SELECT+Id+FROM+Shoe", None, (400, "INVALID_TYPE")),
        ("GET", "/query/01g000000000001AAA-200", None, (400, "INVALID_QUERY_LOCATOR")),
        ("GET", "/search?q=Acme", None, (400, "MALFORMED_SEARCH")),
        ("GET", "/services/data/v49.0/limits", None, (410, "UNSUPPORTED_API_VERSION")),
        ("GET", "/services/data/v67.0/limits", None, (410, "UNSUPPORTED_API_VERSION")),
    ] {
        assert_eq!(code(&world.ask(method, path, body).await), expected, "{method} {path}");
    }
    let form = world.request(Method::POST, "/sobjects/Contact").form(&[("LastName", "A")]);
    assert_eq!(code(&answer(form).await), (415, "UNSUPPORTED_MEDIA_TYPE"));
    let long = format!("/query?q={}", "x".repeat(16_400));
    assert_eq!(world.get(&long).await.0, 414);
    world.standin.expire_sessions();
    assert_eq!(code(&world.get("/limits").await), (401, "INVALID_SESSION_ID"));
}

#[tokio::test]
async fn every_answer_tells_the_use_of_the_api() {
    let world = World::start().await;
    for (path, used) in [("/limits", 1), ("/shoes", 2)] {
        let response = world.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.headers()["sforce-limit-info"], format!("api-usage={used}/15000"));
    }
}

#[tokio::test]
async fn preconditions_are_held() {
    let world = World::start().await;
    let path = format!("/sobjects/Account/{}", world.id("SELECT Id FROM Account").await);
    let read = world.request(Method::GET, &path).send().await.unwrap();
    let (tag, modified) = (read.headers()["etag"].clone(), read.headers()["last-modified"].clone());
    let long_ago = "Mon, 01 Jan 2024 00:00:00 GMT";

    let with =
        |method: Method, name: &str, value: &str| world.request(method, &path).header(name, value).json(&json!({}));
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    let (tag, modified) = (tag.to_str().unwrap(), modified.to_str().unwrap());
    assert_eq!(status(with(Method::GET, "if-none-match", tag)).await, 304);
    assert_eq!(status(with(Method::GET, "if-modified-since", modified)).await, 304);
    assert_eq!(status(with(Method::PATCH, "if-unmodified-since", long_ago)).await, 412);
    assert_eq!(status(with(Method::PATCH, "if-match", "\"other\"")).await, 412);
    assert_eq!(status(with(Method::PATCH, "if-match", tag)).await, 204);
    assert_eq!(status(with(Method::DELETE, "if-unmodified-since", modified)).await, 412);
}

#[tokio::test]
async fn pages_have_the_size_that_is_asked_for() {
    let world = World::start().await;
    world.standin.with_org(|org| org.add_contacts(2_300));
    let first = world.query("SELECT Id FROM Contact").await.1;
    assert_eq!((&first["totalSize"], first["records"].as_array().unwrap().len()), (&json!(2_450), 2_000));
    let next = first["nextRecordsUrl"].as_str().unwrap();
    let small = world.request(Method::GET, next).header("sforce-query-options", "batchSize=1");
    let second = answer(small).await.1;
    assert_eq!((&second["done"], second["records"].as_array().unwrap().len()), (&json!(false), 200));
    world.standin.expire_cursors();
    assert_eq!(code(&world.get(next).await), (400, "INVALID_QUERY_LOCATOR"));
}

#[tokio::test]
async fn a_composite_request_is_rolled_back_as_a_whole_or_only_what_depends_fails() {
    let world = World::start().await;
    let sub = |reference: &str, object: &str, body| {
        let url = format!("{BASE}/sobjects/{object}");
        json!({ "method": "POST", "url": url, "referenceId": reference, "body": body })
    };
    for (all_or_none, statuses, left) in [(true, [400, 400, 400, 400], 0), (false, [201, 400, 400, 201], 2)] {
        let request = json!({ "allOrNone": all_or_none, "compositeRequest": [
            sub("a", "Account", json!({ "Name": "Composed" })),
            sub("bad", "Contact", json!({})),
            sub("after", "Contact", json!({ "LastName": "Composed", "AccountId": "@{bad.id}" })),
            sub("fine", "Contact", json!({ "LastName": "Composed", "AccountId": "@{a.id}" })),
        ]});
        let answer = world.post("/composite", request).await.1;
        let results = answer["compositeResponse"].as_array().unwrap();
        assert_eq!(
            results.iter().map(|result| result["httpStatusCode"].as_u64().unwrap()).collect::<Vec<_>>(),
            statuses
        );
        let codes = [1, 2].map(|index| results[index]["body"][0]["errorCode"].as_str().unwrap());
        assert_eq!(codes, ["REQUIRED_FIELD_MISSING", "PROCESSING_HALTED"]);
        let effects = world.standin.counters();
        assert_eq!(effects.effects("Account").created + effects.effects("Contact").created, left);
    }
    let many = vec![json!({ "method": "GET", "url": format!("{BASE}/limits"), "referenceId": "a" }); 26];
    assert_eq!(world.post("/composite", json!({ "compositeRequest": many })).await.0, 400);
    let queries: Vec<_> = (0..6)
        .map(|n| json!({ "method": "GET", "url": format!("{BASE}/query?q=SELECT+Id+FROM+Lead"), "referenceId": format!("q{n}") }))
        .collect();
    assert_eq!(world.post("/composite", json!({ "compositeRequest": queries })).await.0, 400);
}

#[tokio::test]
async fn a_batch_goes_on_after_an_error_unless_it_is_told_to_halt() {
    let world = World::start().await;
    for (halt, last) in [(false, 200), (true, 412)] {
        let requests = json!([
            { "method": "POST", "url": "v66.0/sobjects/Contact", "richInput": { "LastName": "Batch" } },
            { "method": "GET", "url": "v66.0/sobjects/Shoe" },
            { "method": "GET", "url": "v66.0/limits" },
        ]);
        let answer = world.post("/composite/batch", json!({ "haltOnError": halt, "batchRequests": requests })).await.1;
        let statuses = [0, 1, 2].map(|index| answer["results"][index]["statusCode"].as_u64().unwrap());
        assert_eq!((statuses, &answer["hasErrors"]), ([201, 404, last], &json!(true)));
    }
}

#[tokio::test]
async fn a_collection_has_a_result_for_each_record() {
    let world = World::start().await;
    let records = json!([
        { "attributes": { "type": "Contact" }, "LastName": "One", "External_Id__c": "C-0000" },
        { "attributes": { "type": "Contact" }, "FirstName": "Two", "External_Id__c": "new" },
    ]);
    let path = "/composite/sobjects/Contact/External_Id__c";
    for (all_or_none, first) in [(true, json!(false)), (false, json!(true))] {
        let request = json!({ "allOrNone": all_or_none, "records": records });
        let results = world.ask("PATCH", path, Some(request)).await.1;
        assert_eq!(results[0]["success"], first);
        assert_eq!(results[1]["errors"][0]["statusCode"], "REQUIRED_FIELD_MISSING");
    }
    assert_eq!(world.standin.counters().effects("Contact").updated, 1);
}

#[tokio::test]
async fn parameterised_search_takes_signs_as_text() {
    let world = World::start().await;
    let contact = json!({ "LastName": "D'Arcy-Jones", "Title": "Head of {R&D}" });
    world.post("/sobjects/Contact", contact).await;
    for (q, found) in [("d'arcy", 1), ("{r&d}", 1), ("jones} RETURNING", 0), ("--", 0)] {
        let request = json!({ "q": q, "sobjects": [{ "name": "Contact", "fields": ["Id", "Name"], "limit": 5 }] });
        let (status, answer) = world.post("/parameterizedSearch", request).await;
        assert_eq!((status.as_u16(), answer["searchRecords"].as_array().unwrap().len()), (200, found), "{q}");
    }
    let get = "/parameterizedSearch?q=Acme&sobject=Account&Account.fields=Id,Name&Account.limit=2&in=NAME";
    assert_eq!(world.get(get).await.1["searchRecords"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_report_is_filtered_and_grouped() {
    let world = World::start().await;
    let id = world.id("SELECT Id FROM Report WHERE DeveloperName = 'Opportunities_by_Stage'").await;
    let filter = json!({ "column": "AMOUNT", "operator": "greaterThan", "value": "200000" });
    let request = json!({ "reportMetadata": { "reportFilters": [filter] } });
    let path = format!("/analytics/reports/{id}?includeDetails=true");
    let (_, report) = world.post(&path, request).await;
    assert_eq!(report["factMap"]["T!T"]["aggregates"][0]["value"], 10);
    assert_eq!(report["groupingsDown"]["groupings"].as_array().unwrap().len(), 7);
    assert_eq!(report["factMap"]["0!T"]["rows"][0]["dataCells"].as_array().unwrap().len(), 4);
    let wrong =
        json!({ "reportMetadata": { "reportFilters": [{ "column": "SHOE", "operator": "equals", "value": "1" }] } });
    assert_eq!(code(&world.post(&path, wrong).await), (400, "BAD_REQUEST"));
    let (_, instance) = world.post(&format!("/analytics/reports/{id}/instances"), json!({})).await;
    let done = world.get(&format!("/analytics/reports/{id}/instances/{}", instance["id"].as_str().unwrap())).await.1;
    assert_eq!(done["attributes"]["status"], "Success");
}
