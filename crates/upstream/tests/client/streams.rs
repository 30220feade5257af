//! Answers that come as events.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::json;
use upstream::UpstreamError;

use crate::Asker;
use crate::server::{Server, Step, refusal, stream, wait};

fn result(text: &str) -> serde_json::Value {
    json!({"resultType": "complete", "content": [{"type": "text", "text": text}]})
}

#[tokio::test]
async fn the_response_is_taken_from_a_stream_that_stays_open() {
    let server = Server::modern(|request| {
        let response = request.response(result("a\nb")).replacen("\"result\"", "\r\ndata:  \"result\"", 1);
        let events = [
            "\u{feff}: hello\r\n\r\n",
            "event: endpoint\r\ndata: /elsewhere\r\n\r\n",
            "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\r\n\r\n",
            &format!("id: 1\r\nevent: message\r\ndata: {response}\r\n\r\n"),
        ];
        let mut answer = stream(&events.concat());
        answer.push(wait(10_000));
        answer
    })
    .await;
    let begin = Instant::now();
    assert_eq!(Asker::of(&server.url).text().await.unwrap(), "a\nb");
    assert!(begin.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_stream_in_many_pieces_is_read_as_one() {
    let server = Server::modern(|request| {
        let events = format!("data: {}\n\n", request.response(result("\u{1f600}")));
        let mut answer = stream("");
        for part in events.chars().collect::<Vec<_>>().chunks(7) {
            answer.extend([Step::Send(part.iter().collect()), wait(2)]);
        }
        answer
    })
    .await;
    assert_eq!(Asker::of(&server.url).text().await.unwrap(), "\u{1f600}");
}

#[tokio::test]
async fn requests_of_the_upstream_are_answered_and_nothing_is_given_to_it() {
    let server = Server::legacy(|request| match request.method() {
        "tools/call" => {
            let ask = |id: &str, method: &str| {
                format!("data: {{\"jsonrpc\":\"2.0\",\"id\":\"{id}\",\"method\":\"{method}\",\"params\":{{}}}}\n\n")
            };
            let asks = ask("p", "ping") + &ask("s", "sampling/createMessage") + &ask("r", "roots/list");
            stream(&format!("{asks}data: {}\n\n", request.response(result("done"))))
        }
        _ => refusal(202, ""),
    })
    .await;
    assert_eq!(Asker::of(&server.url).text().await.unwrap(), "done");
    let answers: Vec<_> = server.requests().into_iter().skip(4).map(|request| request.body).collect();
    assert_eq!(answers[0], json!({"jsonrpc": "2.0", "id": "p", "result": {}}));
    for (answer, id) in answers[1..].iter().zip(["s", "r"]) {
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(id), &json!(-32601)));
    }
    assert_eq!(answers.len(), 3);
}

#[tokio::test]
async fn a_stream_that_ends_early_is_continued_after_its_pause() {
    let id = AtomicUsize::new(0);
    let server = Server::legacy(move |request| match request.method() {
        "tools/call" => {
            id.store(request.body["id"].as_u64().unwrap() as usize, SeqCst);
            stream("id: event-1\nretry: 300\ndata: \n\n")
        }
        _ => {
            let response = json!({"jsonrpc": "2.0", "id": id.load(SeqCst), "result": result("late")});
            stream(&format!("id: event-2\ndata: {response}\n\n"))
        }
    })
    .await;
    let begin = Instant::now();
    assert_eq!(Asker::of(&server.url).text().await.unwrap(), "late");
    assert!(begin.elapsed() >= Duration::from_millis(300));
    let resumed = server.requests().pop().unwrap();
    assert_eq!((resumed.verb.as_str(), resumed.header("last-event-id")), ("GET", "event-1"));
    assert_eq!(resumed.header("accept"), "text/event-stream");
    assert_eq!(resumed.header("authorization"), "Bearer TOKEN-BYTES");
    assert_eq!(server.count("tools/call"), 1);
}

#[tokio::test]
async fn a_stream_that_always_ends_early_is_given_up() {
    let server = Server::legacy(|_| stream("id: 1\nretry: 1\ndata:\n\n")).await;
    assert_eq!(Asker::of(&server.url).text().await, Err(UpstreamError::Interrupted));
    assert_eq!((server.count("tools/call"), server.count("GET")), (1, 5));
}

#[tokio::test]
async fn a_stream_that_cannot_be_continued_is_interrupted() {
    let modern = Server::modern(|_| stream("id: 1\nretry: 1\ndata:\n\n")).await;
    let without_id = Server::legacy(|_| stream("retry: 1\ndata:\n\n")).await;
    let long_pause = Server::legacy(|_| stream("id: 1\nretry: 60000\ndata:\n\n")).await;
    let no_get = Server::legacy(|request| match request.method() {
        "GET" => refusal(405, ""),
        _ => stream("id: 1\nretry: 1\ndata:\n\n"),
    })
    .await;
    for (server, gets) in [(modern, 0), (without_id, 0), (long_pause, 0), (no_get, 1)] {
        let begin = Instant::now();
        assert_eq!(Asker::of(&server.url).text().await, Err(UpstreamError::Interrupted));
        assert_eq!((server.count("tools/call"), server.count("GET")), (1, gets));
        assert!(begin.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn a_stream_whose_server_is_gone_is_interrupted_for_the_request_was_sent() {
    let server = Server::legacy(|_| stream("id: 1\nretry: 300\ndata:\n\n")).await;
    let asker = Asker::of(&server.url);
    let gone = async {
        while server.count("tools/call") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.stop();
    };
    let (outcome, ()) = tokio::join!(asker.text(), gone);
    assert_eq!(outcome, Err(UpstreamError::Interrupted));
    assert_eq!(server.count("tools/call"), 1);
    assert_eq!(asker.list().await, Err(UpstreamError::Unreachable), "nothing listens there any more");
}

#[tokio::test]
async fn a_stream_that_never_ends_and_never_answers_ends_at_the_deadline() {
    let server = Server::modern(|_| {
        let mut answer = stream("");
        for _ in 0..100 {
            answer.extend([Step::Send(": still here\n\n".to_owned()), wait(100)]);
        }
        answer
    })
    .await;
    let asker = Asker { timeout: Duration::from_millis(700), ..Asker::of(&server.url) };
    let begin = Instant::now();
    assert_eq!(asker.text().await, Err(UpstreamError::TimedOut));
    assert!(begin.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_stream_of_endless_comments_is_too_large() {
    let server = Server::modern(|_| {
        let mut answer = stream("");
        answer.extend((0..200).map(|_| Step::Send(format!(": {}\n", "x".repeat(50_000)))));
        answer
    })
    .await;
    assert_eq!(Asker::of(&server.url).text().await, Err(UpstreamError::TooLarge));
}

#[tokio::test]
async fn events_that_are_no_messages_of_ours_are_refused() {
    for events in [
        "data: nonsense\n\n".to_owned(),
        "data: {\"jsonrpc\":\"2.0\",\"id\":999,\"result\":{\"content\":[]}}\n\n".to_owned(),
        "data: {\"jsonrpc\":\"2.0\",\"id\":\"s\",\"method\":\"ping\"}\n\n".repeat(9),
    ] {
        let server = Server::modern(move |request| match request.method() {
            "tools/call" => stream(&events),
            _ => refusal(202, ""),
        })
        .await;
        let outcome = Asker::of(&server.url).text().await;
        assert!(matches!(outcome, Err(UpstreamError::Protocol(_))), "{outcome:?}");
    }
}
