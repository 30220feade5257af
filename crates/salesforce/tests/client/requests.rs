//! What is sent, and what of an answer is given back.

use salesforce::client::{query, segment};
use salesforce::{Code, LimitInfo, ObjectName, Request};
use serde_json::json;

use crate::org::{Org, error, whole};

#[tokio::test]
async fn a_request_has_its_path_token_and_headers() {
    let org = Org::start([whole(201, r#"{"id":"003000000000001AAA","success":true,"errors":[]}"#)]).await;
    let request = Request::write("POST", "sobjects/Contact", Some(&json!({"LastName": "O'Hara"})));
    let request = request.with_header("sforce-duplicate-rule-header", "allowSave=true");
    let reply = org.client.send(request, org.now).await.unwrap();
    assert_eq!((reply.status, &reply.body["id"]), (201, &json!("003000000000001AAA")));
    let usage = LimitInfo { used: 18, allowed: 5_000, app: None };
    assert_eq!((reply.limit_info, org.client.limit_info()), (Some(usage), Some(usage)));

    let seen = &org.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/services/data/v66.0/sobjects/Contact"));
    assert_eq!(seen.body, r#"{"LastName":"O'Hara"}"#);
    for header in [
        "authorization: Bearer token-1",
        "content-type: application/json",
        "sforce-call-options: client=northstar",
        "sforce-duplicate-rule-header: allowSave=true",
    ] {
        assert!(seen.head.contains(header), "{}", seen.head);
    }
}

#[tokio::test]
async fn paths_and_queries_are_encoded() {
    let org = Org::start([]).await;
    let email = segment("a/b+c d@example.com?x#y").unwrap();
    org.client.send(Request::get(format!("sobjects/Contact/Email/{email}")), org.now).await.unwrap();
    let soql = query(&[("q", "SELECT Id FROM Contact WHERE Name = 'a+b&c' LIMIT 1")]);
    org.client.send(Request::get(format!("query{soql}")), org.now).await.unwrap();
    org.client.send(Request::next_page("/services/data/v66.0/query/01g-2000").unwrap(), org.now).await.unwrap();
    let paths: Vec<String> = org.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(
        paths,
        [
            "/services/data/v66.0/sobjects/Contact/Email/a%2Fb%2Bc%20d%40example.com%3Fx%23y",
            "/services/data/v66.0/query?q=SELECT%20Id%20FROM%20Contact%20WHERE%20Name%20%3D%20%27a%2Bb%26c%27%20LIMIT%201",
            "/services/data/v66.0/query/01g-2000",
        ]
    );
    let long = Request::get(format!("query{}", query(&[("q", &"a".repeat(17_000))])));
    assert_eq!(org.client.send(long, org.now).await.unwrap_err().code, Code::RequestTooLarge);
}

#[tokio::test]
async fn an_answer_may_be_empty_or_text() {
    let org = Org::start([whole(204, ""), whole(200, "\"Id\"\n\"003\"\n")]).await;
    let reply = org.client.send(Request::write("DELETE", "sobjects/Contact/003", None), org.now).await.unwrap();
    assert_eq!((reply.status, reply.body), (204, json!(null)));
    let csv = Request::get("jobs/query/750/results").with_text_answer("text/csv");
    let reply = org.client.send(csv, org.now).await.unwrap();
    assert_eq!(reply.text, "\"Id\"\n\"003\"\n");
    assert!(
        org.seen()[1].head.contains("accept: text/csv") && !org.seen()[1].head.contains("accept: application/json")
    );
}

#[tokio::test]
async fn an_object_is_described_once_in_ten_minutes() {
    let describe = whole(200, r#"{"name":"Contact","fields":[{"name":"LastName","type":"string","length":80}]}"#);
    let org = Org::start([describe.clone(), describe, error(404, "NOT_FOUND", "no such object")]).await;
    let contact = ObjectName::parse("Contact").unwrap();
    for seconds in [0, 599, 601, 700] {
        let describe = org.client.describe(&contact, org.now + std::time::Duration::from_secs(seconds)).await.unwrap();
        assert_eq!(describe.field("lastname").unwrap().length, 80);
    }
    assert_eq!(org.seen().len(), 2);
    let other = ObjectName::parse("Nothing").unwrap();
    assert_eq!(org.client.describe(&other, org.now).await.unwrap_err().code, Code::RecordNotFound);
}
