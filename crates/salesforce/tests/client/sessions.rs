//! Sessions that end, and hosts that a token may not go to.

use salesforce::{Code, Request};

use crate::org::{Org, error, whole};

fn expired() -> crate::org::Answer {
    error(401, "INVALID_SESSION_ID", "Session expired or invalid")
}

#[tokio::test]
async fn a_session_that_ended_is_renewed_once_and_the_request_sent_once_more_even_a_write() {
    for request in [Request::get("limits"), Request::write("POST", "sobjects/Contact", Some(&serde_json::json!({})))] {
        let org = Org::start([expired()]).await;
        org.client.send(request, org.now).await.unwrap();
        assert_eq!((org.seen().len(), org.tokens()), (2, 2));
        assert!(org.seen()[1].head.contains("Bearer token-2"));
    }
}

#[tokio::test]
async fn a_session_that_is_refused_again_is_no_loop() {
    let org = Org::start([expired(), expired(), expired()]).await;
    let error = org.client.send(Request::get("limits"), org.now).await.unwrap_err();
    assert_eq!((error.code, error.retryable), (Code::SessionRefused, false));
    assert_eq!((org.seen().len(), org.tokens()), (2, 2));
}

#[tokio::test]
async fn a_refusal_that_another_session_would_meet_too_renews_nothing() {
    for answer in [
        error(401, "INVALID_SESSION_ID", "This session is not valid for use with the REST API"),
        error(401, "INVALID_SESSION_ID", "Connected app is not attached to Agent"),
        error(401, "INVALID_SESSION_ID", "BlackTab users cannot perform API operations"),
        error(401, "INVALID_AUTH_HEADER", "x"),
        whole(401, "<html>"),
        error(403, "INVALID_SESSION_ID", "x"),
    ] {
        let org = Org::start([answer]).await;
        let error = org.client.send(Request::get("limits"), org.now).await.unwrap_err();
        assert_eq!(error.code, Code::SessionRefused, "{error:?}");
        assert_eq!((org.seen().len(), org.tokens()), (1, 1), "{error:?}");
    }
}

#[tokio::test]
async fn a_token_goes_to_no_host_that_is_none_of_salesforces() {
    for url in ["https://evil.example", "http://169.254.169.254", "https://my.salesforce.com.evil.example", "", "x"] {
        let org = Org::start([]).await;
        org.name_instance(Some(url));
        let error = org.client.send(Request::get("limits"), org.now).await.unwrap_err();
        assert_eq!(error.code, Code::InstanceUrlRefused, "{url}");
    }
    let org = Org::start([]).await;
    org.name_instance(None);
    let error = org.client.send(Request::get("limits"), org.now).await.unwrap_err();
    assert_eq!(error.code, Code::ConnectionMisconfigured);
}
