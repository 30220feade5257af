//! Names that lead where nobody may go: at once, among other addresses, or at the second look. `names.json` says what
//! each name stands for, an answer a look.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::{FetchError, Fetcher, Outgoing};

type Answers = Vec<Vec<IpAddr>>;

static NAMES: LazyLock<HashMap<String, Answers>> = LazyLock::new(|| {
    let names = include_str!("../tests/hostile_urls/names.json");
    serde_json::from_str(names).expect("names and their answers")
});

/// How often each name was looked up.
static LOOKS: LazyLock<Mutex<HashMap<String, usize>>> = LazyLock::new(Mutex::default);

fn looks(name: &str) -> usize {
    LOOKS.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or_default()
}

/// The next answer of the list, the last one for ever.
fn scripted(name: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
    let looks = {
        let mut all = LOOKS.lock().unwrap_or_else(PoisonError::into_inner);
        let looks = all.entry(name.clone()).or_default();
        *looks += 1;
        *looks
    };
    let answers = NAMES.get(&name).map(|answers| answers[looks.min(answers.len()) - 1].clone());
    Box::pin(async move { answers.ok_or_else(|| io::Error::other("no such name")) })
}

fn outgoing(fetcher: &Fetcher, url: &str) -> Outgoing {
    Outgoing {
        method: "POST",
        target: fetcher.check(url).expect("the URL alone is not refused"),
        headers: vec![("authorization", "Bearer secret".to_owned())],
        body: Bytes::from_static(b"{}"),
        max_bytes: 1_000,
        timeout: Duration::from_secs(5),
    }
}

#[tokio::test]
async fn a_name_with_one_address_that_is_not_public_is_refused_by_every_way_to_ask() {
    let fetcher = Fetcher { lookup: scripted, ..Fetcher::new() };
    let hostile: Vec<&String> = NAMES.keys().filter(|name| *name != "localhost").collect();
    assert!(hostile.len() >= 30, "{}", hostile.len());
    for name in hostile {
        let url = format!("https://{name}/mcp");
        let got = fetcher.get(&url, 1_000).await;
        assert!(matches!(got, Err(FetchError::Address)), "{name}: {got:?}");
        let sent = fetcher.send(outgoing(&fetcher, &url)).await.map(|answer| answer.status);
        assert!(matches!(sent, Err(FetchError::Address)), "{name}: {sent:?}");
        let opened = fetcher.open(outgoing(&fetcher, &url), HeaderMap::new()).await.map(|answer| answer.status);
        assert!(matches!(opened, Err(FetchError::Address)), "{name}: {opened:?}");
        // Each request looked by itself, once: what was checked is not looked up again.
        assert_eq!(looks(name), 3, "{name}");
    }
}

/// The answers of `localhost`: this machine's first address, then the second one, then one of somebody else's network. A
/// resolver that is asked once to check and once to connect would connect to the second one.
#[tokio::test]
async fn the_address_that_is_checked_is_the_one_that_is_connected_to() {
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = first.local_addr().unwrap().port();
    // Not every system has more than one address for itself; the looks are counted in any case.
    let second = TcpListener::bind(("127.0.0.2", port)).await;
    let served = tokio::spawn(async move {
        let (mut stream, _) = first.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
        first
    });
    let fetcher = Fetcher { lookup: scripted, ..Fetcher::with_loopback(None) };
    let url = format!("http://localhost:{port}/mcp");

    let answer = fetcher.send(outgoing(&fetcher, &url)).await.unwrap();
    assert_eq!((answer.status, looks("localhost")), (200, 1));
    let first = served.await.unwrap();

    // The name has changed its mind: it is looked up again, and refused. No connection was kept that could be used.
    LOOKS.lock().unwrap_or_else(PoisonError::into_inner).insert("localhost".to_owned(), 2);
    let refused = fetcher.send(outgoing(&fetcher, &url)).await.map(|answer| answer.status);
    assert!(matches!(refused, Err(FetchError::Address)), "{refused:?}");
    assert_eq!(looks("localhost"), 3);
    let mut listeners = vec![first];
    listeners.extend(second);
    for listener in listeners {
        let more = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(more.is_err(), "a connection to {:?}", listener.local_addr());
    }
}
