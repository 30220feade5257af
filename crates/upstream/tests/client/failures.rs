//! Upstreams that refuse, fail, hang or lead elsewhere.

use std::time::{Duration, Instant};

use outbound::Fetcher;
use serde_json::json;
use tokio::net::TcpListener;
use upstream::{McpClient, Probe, Refusal, UpstreamError};

use crate::Asker;
use crate::server::{Server, Step, refusal, wait};

#[tokio::test]
async fn a_refusal_is_told_by_its_kind_and_never_repeated() {
    let scope = |scope: &str| format!("www-authenticate: Bearer error=\"insufficient_scope\", scope=\"{scope}\"\r\n");
    for (status, headers, expected) in [
        (401, "www-authenticate: Bearer\r\n".to_owned(), UpstreamError::Unauthorized),
        (403, String::new(), UpstreamError::Forbidden),
        (403, scope("a b"), UpstreamError::InsufficientScope(Some("a b".to_owned()))),
        (403, scope("CANARY\\\"x"), UpstreamError::InsufficientScope(None)),
        (404, String::new(), UpstreamError::NotFound),
        (429, "retry-after: 9\r\n".to_owned(), UpstreamError::RateLimited(Some(Duration::from_secs(9)))),
        (503, "retry-after: 9\r\n".to_owned(), UpstreamError::RateLimited(Some(Duration::from_secs(9)))),
        (503, String::new(), UpstreamError::Status(503)),
        (500, String::new(), UpstreamError::Status(500)),
        (418, String::new(), UpstreamError::Status(418)),
    ] {
        let server = Server::modern(move |_| refusal(status, &headers)).await;
        let error = Asker::of(&server.url).call(json!({})).await.unwrap_err();
        assert_eq!(error, expected);
        assert!(!format!("{error} {error:?}").contains("CANARY"));
        assert_eq!(server.methods(), ["server/discover", "tools/call"], "{status}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_first_request_leads_to_no_handshake() {
    for (status, expected) in [
        (401, UpstreamError::Unauthorized),
        (403, UpstreamError::Forbidden),
        (429, UpstreamError::RateLimited(None)),
        (502, UpstreamError::Status(502)),
    ] {
        let server = Server::start(move |_| refusal(status, "")).await;
        assert_eq!(Asker::of(&server.url).list().await, Err(expected));
        assert_eq!(server.methods(), ["server/discover"]);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::modern(|request| request.said("stolen")).await;
    let location = format!("location: {}\r\n", elsewhere.url);
    for status in [301, 302, 303, 307, 308] {
        let location = location.clone();
        let server = Server::modern(move |_| refusal(status, &location)).await;
        assert_eq!(Asker::of(&server.url).call(json!({})).await, Err(UpstreamError::Status(status)));
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_call_that_may_have_been_done_is_never_repeated() {
    let closes = Server::modern(|_| vec![Step::Send("HTTP/1.1 200 OK\r\n".to_owned())]).await;
    let midway = Server::modern(|_| {
        vec![Step::Send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{".to_owned())]
    })
    .await;
    let mute = Server::modern(|_| Vec::new()).await;
    for server in [closes, midway, mute] {
        assert_eq!(Asker::of(&server.url).call(json!({})).await, Err(UpstreamError::Interrupted));
        assert_eq!(server.count("tools/call"), 1);
    }
}

#[tokio::test]
async fn a_slow_upstream_is_left_at_the_deadline() {
    let late = Server::modern(|_| vec![wait(10_000)]).await;
    let drip = Server::modern(|request| {
        let text = match request.said("x").remove(0) {
            Step::Send(text) => text,
            Step::Wait(_) => String::new(),
        };
        text.chars().flat_map(|c| [Step::Send(c.to_string()), wait(100)]).collect()
    })
    .await;
    let refuses =
        Server::modern(|_| vec![Step::Send("HTTP/1.1 500 E\r\ncontent-length: 9\r\n\r\n".to_owned()), wait(10_000)])
            .await;
    let first = Server::start(|_| vec![wait(10_000)]).await;
    for (server, expected) in [
        (late, UpstreamError::TimedOut),
        (drip, UpstreamError::TimedOut),
        (refuses, UpstreamError::Status(500)),
        (first, UpstreamError::TimedOut),
    ] {
        let asker = Asker { timeout: Duration::from_millis(1500), ..Asker::of(&server.url) };
        let begin = Instant::now();
        assert_eq!(asker.call(json!({})).await, Err(expected));
        assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn whoever_waits_for_a_handshake_waits_until_its_own_deadline() {
    let server = Server::start(|_| vec![wait(10_000)]).await;
    let asker = Asker::of(&server.url);
    let hurried = Asker {
        client: asker.client.clone(),
        timeout: Duration::from_millis(300),
        name: asker.name.clone(),
        url: asker.url.clone(),
        bearer: asker.bearer.clone(),
    };
    let begin = Instant::now();
    let slow = tokio::spawn(async move { asker.list().await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(hurried.list().await, Err(UpstreamError::TimedOut));
    assert!(begin.elapsed() < Duration::from_secs(2));
    slow.abort();
}

#[tokio::test]
async fn a_dead_upstream_is_left_alone_after_five_failures() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let asker = Asker::of(&format!("http://{}/mcp", listener.local_addr().unwrap()));
    drop(listener);
    for _ in 0..5 {
        assert_eq!(asker.list().await, Err(UpstreamError::Unreachable));
    }
    assert!(matches!(asker.list().await, Err(UpstreamError::LeftAlone(_))));
    assert!(matches!(asker.call(json!({})).await, Err(UpstreamError::LeftAlone(_))));
    assert_eq!(asker.probe().await, Probe::Failed(UpstreamError::Unreachable), "a probe asks all the same");
    let healthy = Server::modern(|request| request.said("fine")).await;
    let other = Asker { url: healthy.url.clone(), ..asker };
    assert_eq!(other.text().await.unwrap(), "fine", "another one is asked");
}

#[tokio::test]
async fn refusals_do_not_count_as_failures() {
    let server = Server::modern(|_| refusal(429, "")).await;
    let asker = Asker::of(&server.url);
    for _ in 0..7 {
        assert_eq!(asker.call(json!({})).await, Err(UpstreamError::RateLimited(None)));
    }
}

#[tokio::test]
async fn a_url_that_may_not_be_asked_is_not() {
    let server = Server::modern(|request| request.said("reached")).await;
    let public = Asker { client: McpClient::new(Fetcher::new()), ..Asker::of(&server.url) };
    assert_eq!(public.call(json!({})).await, Err(UpstreamError::Url));
    for url in [
        "https://10.0.0.1/mcp",
        "https://u@h.example/mcp",
        "http://h.example/mcp",
        "https://localhost/mcp",
        "ftp://h",
        "",
    ] {
        let asker = Asker { url: url.to_owned(), client: public.client.clone(), ..Asker::of(url) };
        assert_eq!(asker.list().await, Err(UpstreamError::Url), "{url}");
        assert_eq!(asker.probe().await, Probe::Failed(UpstreamError::Url), "{url}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_token_that_no_header_can_hold_is_not_sent() {
    let server = Server::modern(|request| request.said("reached")).await;
    let asker = Asker { bearer: "a\r\nx-evil: 1".to_owned().into(), ..Asker::of(&server.url) };
    assert_eq!(asker.call(json!({})).await, Err(UpstreamError::Unauthorized));
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_probe_tells_what_the_upstream_said() {
    let server = Server::start(|_| {
        refusal(
            401,
            "www-authenticate: Bearer resource_metadata=\"https://h.example/x\"\r\nwww-authenticate: Basic\r\n",
        )
    })
    .await;
    let refusal = Refusal {
        status: 401,
        www_authenticate: Some("Bearer resource_metadata=\"https://h.example/x\", Basic".to_owned()),
        body: "CANARY is refused".to_owned(),
    };
    let expected = Probe::Refused { error: UpstreamError::Unauthorized, refusal };
    assert_eq!(Asker::of(&server.url).probe().await, expected);

    let healthy = Server::legacy(|request| request.tools(&["a", "b"])).await;
    assert_eq!(Asker::of(&healthy.url).probe().await, Probe::Answers { revision: "2025-11-25", tools: 2 });
}
