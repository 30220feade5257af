//! Every kind of fault of an org: the right class in time, no write twice, and the next request is fine.

use std::time::{Duration, Instant};

use salesforce::{Code, Request, SalesforceError};
use serde_json::json;

use crate::org::{Answer, Org, error, raw, whole};

fn read() -> Request {
    Request::get("limits").with_timeout(Duration::from_secs(2))
}

fn write() -> Request {
    Request::write("POST", "sobjects/Contact", Some(&json!({"LastName": "a"}))).with_timeout(Duration::from_secs(2))
}

/// How a request ends where every answer is the same, and how often it was sent.
async fn outcome(answer: &Answer, request: Request) -> (SalesforceError, usize) {
    let org = Org::start(vec![answer.clone(); 5]).await;
    let start = Instant::now();
    let error = org.client.send(request, org.now).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let sent = org.seen().len();
    org.answer_with([]);
    assert_eq!(org.client.send(read(), org.now).await.unwrap().body, json!({}), "the next request is fine");
    (error, sent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_without_time_for_it_is_known_not_to_be_sent() {
    let (error, sent) = outcome(&whole(200, "{}"), write().with_timeout(Duration::ZERO)).await;
    assert_eq!((error.code, sent, error.outcome_unknown), (Code::OrgTimedOut, 0, false), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_has_its_class_and_a_write_is_not_sent_again() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"id\":\"003";
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n{}", " ".repeat(10_000_000));
    let redirect = "HTTP/1.1 302 Found\r\nlocation: https://evil.example/\r\ncontent-length: 0\r\n\r\n";
    let late = Answer::Late(Duration::from_secs(4), 200, "{}".to_owned());
    for (name, answer, code, reads, unknown) in [
        ("closed before the answer", raw(""), Code::OrgUnreachable, 3, true),
        ("half a body", raw(half), Code::OrgUnreachable, 3, true),
        ("truncated JSON", whole(200, r#"{"id":"003"#), Code::AnswerUnreadable, 3, true),
        ("a key twice", whole(200, r#"{"id":"1","id":"2"}"#), Code::AnswerUnreadable, 3, true),
        ("a page", whole(200, "<html>"), Code::AnswerUnreadable, 3, true),
        ("nothing", whole(200, ""), Code::AnswerUnreadable, 3, true),
        ("too large", raw(large), Code::TooLarge, 1, true),
        ("hangs", late, Code::OrgTimedOut, 1, true),
        ("a redirect", raw(redirect), Code::AnswerUnreadable, 1, false),
        ("a page of a gateway", whole(502, "<html>"), Code::OrgFailed, 3, true),
        ("unavailable", error(503, "SERVER_UNAVAILABLE", "x"), Code::OrgFailed, 3, true),
        ("unknown exception", error(500, "UNKNOWN_EXCEPTION", "x"), Code::OrgFailed, 3, true),
        (
            "the limit of the day",
            error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
            Code::RequestLimit,
            1,
            false,
        ),
        ("a bad query", error(400, "MALFORMED_QUERY", "x"), Code::QueryInvalid, 1, false),
    ] {
        let (error, sent) = outcome(&answer, read()).await;
        assert_eq!((error.code, sent, error.outcome_unknown), (code, reads, false), "read: {name}: {error:?}");
        let (error, sent) = outcome(&answer, write()).await;
        assert_eq!((error.code, sent, error.outcome_unknown), (code, 1, unknown), "write: {name}: {error:?}");
        assert!(!(error.outcome_unknown && error.retryable), "{name}");
    }
}

#[tokio::test]
async fn a_write_that_the_org_did_not_begin_is_sent_again() {
    for answer in [
        error(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access"),
        error(500, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access"),
        error(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."),
    ] {
        let org = Org::start([answer.clone(), answer.clone()]).await;
        org.client.send(write(), org.now).await.unwrap();
        assert_eq!(org.seen().len(), 3, "two retries");
        let (error, sent) = outcome(&answer, write()).await;
        assert_eq!((sent, error.retryable, error.outcome_unknown), (3, true, false), "{error:?}");
    }
}

#[tokio::test]
async fn an_org_that_fails_is_left_alone_for_ten_seconds() {
    let failing = error(503, "SERVER_UNAVAILABLE", "x");
    let org = Org::start(vec![failing; 6]).await;
    for _ in 0..2 {
        assert_eq!(org.client.send(read(), org.now).await.unwrap_err().code, Code::OrgFailed);
    }
    assert_eq!(org.seen().len(), 5, "no retry after the fifth failure");
    let error = org.client.send(read(), org.now).await.unwrap_err();
    assert_eq!((error.code, error.retryable), (Code::OrgLeftAlone, true));
    assert_eq!(org.seen().len(), 5, "nothing is sent");
    let later = org.now + Duration::from_secs(12);
    org.answer_with([]);
    org.client.send(read(), later).await.unwrap();
    org.client.send(read(), org.now).await.unwrap();
}
