//! Lists of tools in pages.

use serde_json::{Value, json};
use upstream::UpstreamError;

use crate::server::{Answer, Request, Server, ok};
use crate::{Asker, names};

fn page(request: &Request, names: &[String], next: Value) -> Answer {
    let tools: Vec<Value> = names.iter().map(|name| json!({"name": name, "inputSchema": {"type": "object"}})).collect();
    let mut result = json!({"resultType": "complete", "tools": tools});
    if !next.is_null() {
        result["nextCursor"] = next;
    }
    ok(&request.response(result))
}

#[tokio::test]
async fn every_page_is_asked_for() {
    let server = Server::modern(|request| match request.body["params"]["cursor"].as_str() {
        None => page(request, &["a".to_owned()], json!("")),
        Some("") => page(request, &["b".to_owned()], json!("x\u{e4}")),
        Some("x\u{e4}") => page(request, &["c".to_owned()], Value::Null),
        Some(_) => Vec::new(),
    })
    .await;
    assert_eq!(names(&Asker::of(&server.url).list().await.unwrap()), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_list_without_end_is_refused() {
    let numbered =
        |request: &Request| request.body["params"]["cursor"].as_str().unwrap_or("0").parse::<usize>().unwrap();
    let circle = Server::modern(|request| page(request, &[], json!("again"))).await;
    let long = Server::modern(move |request| page(request, &[], json!((numbered(request) + 1).to_string()))).await;
    let many = Server::modern(move |request| {
        let number = numbered(request);
        let names: Vec<String> = (0..400).map(|tool| format!("t{number}_{tool}")).collect();
        page(request, &names, json!((number + 1).to_string()))
    })
    .await;
    for (server, requests, wrong) in [
        (circle, 2, "its list of tools comes back to a page that it has left"),
        (long, 20, "its list of tools has more than 20 pages"),
        (many, 3, "it lists more than 1,000 tools"),
    ] {
        assert_eq!(Asker::of(&server.url).list().await, Err(UpstreamError::Protocol(wrong)));
        assert_eq!(server.count("tools/list"), requests, "{wrong}");
    }
}

#[tokio::test]
async fn what_is_no_list_of_tools_is_refused() {
    for result in [
        json!({}),
        json!({"tools": {}}),
        json!({"tools": ["a"]}),
        json!({"tools": [], "nextCursor": 1}),
        json!({"tools": [{"name": "a"}, {"name": "a"}]}),
    ] {
        let server = Server::modern(move |request| ok(&request.response(result.clone()))).await;
        let outcome = Asker::of(&server.url).list().await;
        assert!(matches!(outcome, Err(UpstreamError::Protocol(_))), "{outcome:?}");
    }
}
