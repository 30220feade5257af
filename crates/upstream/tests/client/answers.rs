//! Answers that are none of MCP.

use serde_json::{Value, json};
use upstream::UpstreamError;

use crate::Asker;
use crate::server::{Answer, Request, Server, Step, http, ok, status};

#[tokio::test]
async fn what_is_no_response_to_the_request_is_refused() {
    let answers: Vec<fn(&Request) -> Answer> = vec![
        |_| ok(""),
        |_| ok("[]"),
        |_| ok("CANARY"),
        |_| ok(r#"{"jsonrpc":"2.0","id":999,"result":{"content":[]}}"#),
        |request| ok(&request.response(json!({"content": []})).replace("\"id\":", "\"id\":\"x\",\"ID\":")),
        |request| ok(&format!("[{}]", request.response(json!({"content": []})))),
        |request| {
            ok(&request.response(json!({"content": []})).replacen('{', r#"{"error":{"code":1,"message":"m"},"#, 1))
        },
        |request| ok(&request.response(json!({"content": []})).replacen('{', r#"{"result":{},"#, 1)),
        |request| ok(&request.response(Value::Null)),
        |request| ok(&request.response(json!({"content": "CANARY"}))),
        |request| ok(&request.response(json!({"resultType": "input_required", "inputRequests": {}, "content": []}))),
        |request| ok(&request.response(json!({"resultType": "task", "content": []}))),
        |_| ok(r#"{"jsonrpc":"2.0","id":"x","method":"ping"}"#),
        |_| status(202, ""),
        |_| vec![Step::Send(http(200, "content-type: text/html\r\n", "<h1>CANARY"))],
        |_| vec![Step::Send(http(200, "", "{}"))],
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let server = Server::modern(answer).await;
        let outcome = Asker::of(&server.url).call(json!({})).await;
        let Err(UpstreamError::Protocol(_)) = &outcome else { panic!("{number}: {outcome:?}") };
        assert!(!format!("{outcome:?}").contains("CANARY"));
        assert_eq!(server.count("tools/call"), 1, "{number}");
    }
}

#[tokio::test]
async fn an_error_of_the_upstream_is_its_code_without_its_words() {
    for with in [200, 400] {
        let server = Server::modern(move |request| status(with, &request.error(-32603, Value::Null))).await;
        let error = Asker::of(&server.url).call(json!({})).await.unwrap_err();
        assert_eq!(error, UpstreamError::Rpc(-32603));
        assert!(!format!("{error:?} {error}").contains("CANARY"));
    }
}

#[tokio::test]
async fn five_megabytes_of_text_are_not_read() {
    let server = Server::modern(|request| request.said(&"x".repeat(5_000_000))).await;
    assert_eq!(Asker::of(&server.url).call(json!({})).await, Err(UpstreamError::TooLarge));
}

#[tokio::test]
async fn a_failed_call_and_structured_content_are_passed_on_clean() {
    let server = Server::modern(|request| {
        let content = json!([{"type": "text", "text": "no\u{202e} such record"}]);
        ok(&request.response(json!({"content": content, "structuredContent": {"a": "b\u{200b}"}, "isError": true})))
    })
    .await;
    let outcome = Asker::of(&server.url).call(json!({})).await.unwrap();
    assert!(outcome.is_error);
    assert_eq!(outcome.content, [json!({"type": "text", "text": "no such record"})]);
    assert_eq!(outcome.structured.map(Value::from), Some(json!({"a": "b"})));
}

#[tokio::test]
async fn nested_json_without_end_is_no_answer() {
    let server = Server::modern(|_| ok(&"[".repeat(500_000))).await;
    assert!(matches!(Asker::of(&server.url).call(json!({})).await, Err(UpstreamError::Protocol(_))));
}
