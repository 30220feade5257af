//! Requests to a server on this machine.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::{Answer, FetchError, Fetcher, Outgoing};

const OK: &str = "HTTP/1.1 201 Created\r\nsforce-limit-info: api-usage=1/2\r\ncontent-length: 2\r\n\r\n{}";

/// Answers one request with the bytes of `answer`; gives back what it was sent.
async fn server(answer: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"body") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        let (now, later) = answer.split_once("wait").unwrap_or((answer, ""));
        stream.write_all(now.as_bytes()).await.unwrap();
        if !later.is_empty() {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        String::from_utf8(request).unwrap()
    });
    (url, served)
}

fn outgoing(url: &str) -> Outgoing {
    Outgoing {
        method: "PATCH",
        target: Fetcher::with_loopback(None).check(url).unwrap().with_path("/services?a=b").unwrap(),
        headers: vec![("authorization", "Bearer t".to_owned())],
        body: Bytes::from_static(b"body"),
        max_bytes: 100,
        timeout: Duration::from_secs(1),
    }
}

async fn send(outgoing: Outgoing) -> Result<Answer, FetchError> {
    Fetcher::with_loopback(None).send(outgoing).await
}

#[tokio::test]
async fn a_request_has_its_method_headers_and_body_and_the_answer_its_status_and_headers() {
    let (url, served) = server(OK).await;
    let answer = send(outgoing(&url)).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (201, &b"{}"[..]));
    assert_eq!(answer.header("Sforce-Limit-Info"), Some("api-usage=1/2"));
    let request = served.await.unwrap();
    assert!(request.starts_with("PATCH /services?a=b HTTP/1.1\r\n"), "{request}");
    for header in ["authorization: Bearer t", "content-length: 4", "user-agent: northstar"] {
        assert!(request.contains(header), "{request}");
    }
}

#[tokio::test]
async fn a_failure_tells_whether_anything_was_sent() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = send(outgoing(&format!("http://{unused}"))).await;
    assert!(matches!(outcome, Err(FetchError::Unreachable(_))), "nobody listens");
    let broken_header = Outgoing { headers: vec![("a", "b\r\nc: d".to_owned())], ..outgoing("http://127.0.0.1:1") };
    assert!(matches!(send(broken_header).await, Err(FetchError::Header)));

    for (answer, name) in [
        ("", "closed before the answer"),
        ("HTTP/1.1 200 OK\r\n", "half a head"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", "half a body"),
        ("SMTP", "no HTTP"),
    ] {
        let (url, _served) = server(answer).await;
        let outcome = send(outgoing(&url)).await;
        assert!(matches!(outcome, Err(FetchError::Interrupted(_))), "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_is_late_or_large_is_given_up() {
    for answer in ["waitHTTP", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{wait}"] {
        let start = Instant::now();
        let (url, _served) = server(answer).await;
        let outcome = send(Outgoing { timeout: Duration::from_millis(200), ..outgoing(&url) }).await;
        assert!(matches!(outcome, Err(FetchError::TimedOut)));
        assert!(start.elapsed() < Duration::from_secs(5));
    }
    let (url, _served) = server(OK).await;
    let outcome = send(Outgoing { max_bytes: 1, ..outgoing(&url) }).await;
    assert!(matches!(outcome, Err(FetchError::TooLarge)));
}

#[tokio::test]
async fn a_request_to_this_machine_leaves_only_by_the_local_switch() {
    let outcome = Fetcher::new().send(outgoing("http://127.0.0.1:1")).await;
    assert!(matches!(outcome, Err(FetchError::Url(_))));
}

#[tokio::test]
async fn an_answer_is_read_piece_by_piece_while_it_comes() {
    let (url, _server) = server("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nfirstwaitlast").await;
    let more = HeaderMap::from_iter([(HeaderName::from_static("mcp-param-x"), HeaderValue::from_static("1"))]);
    let mut incoming = Fetcher::with_loopback(None).open(outgoing(&url), more).await.unwrap();
    assert_eq!((incoming.status, incoming.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(incoming.body.next().await.unwrap().unwrap(), "first");
    let begin = Instant::now();
    let late = incoming.body.next().await;
    assert!(matches!(late, Err(FetchError::TimedOut)), "{late:?}");
    assert!(begin.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_header_that_is_named_at_run_time_is_sent() {
    let (url, server) = server(OK).await;
    let more = HeaderMap::from_iter([(HeaderName::from_static("mcp-param-x"), HeaderValue::from_static("1"))]);
    let incoming = Fetcher::with_loopback(None).open(outgoing(&url), more).await.unwrap();
    assert_eq!(incoming.body.rest().await.unwrap(), "{}");
    assert!(server.await.unwrap().contains("\r\nmcp-param-x: 1\r\n"));
}

#[tokio::test]
async fn a_dropped_answer_ends_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"body") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nfirst").await.unwrap();
        stream.read_to_end(&mut request).await
    });
    let mut incoming = Fetcher::with_loopback(None).open(outgoing(&url), HeaderMap::new()).await.unwrap();
    incoming.body.next().await.unwrap().unwrap();
    drop(incoming);
    let ended = tokio::time::timeout(Duration::from_secs(5), served).await;
    assert!(ended.is_ok(), "the server is left");
}

/// What becomes of a connection after its answers.
#[derive(Clone, Copy)]
enum Then {
    /// The server closes it.
    Closed,
    /// The server takes another request and closes it without an answer.
    Dead,
}

/// Answers so many requests on each connection. Says over which connection each request came.
async fn keeping_server(answers: usize, then: Then) -> (String, Arc<Mutex<Vec<usize>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = seen.clone();
    tokio::spawn(async move {
        for connection in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let requests = requests.clone();
            tokio::spawn(async move {
                let takes = match then {
                    Then::Closed => answers,
                    Then::Dead => answers + 1,
                };
                for number in 0..takes {
                    let mut request = Vec::new();
                    while !request.ends_with(b"body") {
                        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
                    }
                    requests.lock().unwrap().push(connection);
                    if number < answers {
                        stream.write_all(OK.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    (url, seen)
}

#[tokio::test]
async fn only_who_asks_for_a_kept_connection_gets_one() {
    let (url, seen) = keeping_server(10, Then::Closed).await;
    let fetcher = Fetcher::with_loopback(None);
    fetcher.send(outgoing(&url)).await.unwrap();
    for _ in 0..3 {
        fetcher.send_over_kept(outgoing(&url)).await.unwrap();
        fetcher.send(outgoing(&url)).await.unwrap();
    }
    assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 1, 3, 1, 4]);
}

#[tokio::test]
async fn a_kept_connection_that_is_closed_is_not_used() {
    let (url, seen) = keeping_server(1, Then::Closed).await;
    let fetcher = Fetcher::with_loopback(None);
    for _ in 0..2 {
        fetcher.send_over_kept(outgoing(&url)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(*seen.lock().unwrap(), [0, 1]);
}

#[tokio::test]
async fn a_request_over_a_kept_connection_that_is_dead_is_interrupted_and_sent_once() {
    let (url, seen) = keeping_server(1, Then::Dead).await;
    let fetcher = Fetcher::with_loopback(None);
    fetcher.send_over_kept(outgoing(&url)).await.unwrap();
    let outcome = fetcher.send_over_kept(outgoing(&url)).await;
    assert!(matches!(outcome, Err(FetchError::Interrupted(_))));
    fetcher.send_over_kept(outgoing(&url)).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [0, 0, 1]);
}
