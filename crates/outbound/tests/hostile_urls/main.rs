//! URLs by which somebody would reach this machine, a private network or another port (`urls.json`, by what they try):
//! not one connection comes of them, whatever asks, and whether they are asked for or are where a redirect leads.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the answer no")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use outbound::{FetchError, Fetcher, Outgoing, Reach, Target, address};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::{Host, Url};

/// The URLs, by what they try; `{port}` stands for a port where somebody listens.
fn list(port: u16) -> BTreeMap<String, Vec<String>> {
    let list: BTreeMap<String, Vec<String>> = serde_json::from_str(include_str!("urls.json")).unwrap();
    let filled = |url: String| url.replace("{port}", &port.to_string());
    list.into_iter().map(|(what, urls)| (what, urls.into_iter().map(filled).collect())).collect()
}

fn urls(port: u16) -> Vec<String> {
    list(port).into_values().flatten().collect()
}

/// Listens on this machine, by IPv4 and where there is one by IPv6, at one port, and counts connections.
struct Counter {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Counter {
    async fn start() -> Counter {
        let v4 = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = v4.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        for listener in [Ok(v4), TcpListener::bind(("::1", port)).await].into_iter().flatten() {
            let connections = connections.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::SeqCst);
                    drop(stream);
                }
            });
        }
        Counter { port, connections }
    }

    /// How many connections came; one of its own comes last and is not counted.
    async fn count(&self) -> usize {
        let before = self.connections.load(Ordering::SeqCst);
        drop(tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.unwrap());
        while self.connections.load(Ordering::SeqCst) == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.connections.fetch_sub(1, Ordering::SeqCst) - 1
    }
}

fn outgoing(target: Target) -> Outgoing {
    Outgoing {
        method: "POST",
        target,
        headers: vec![("authorization", "Bearer secret".to_owned())],
        body: Bytes::from_static(b"{}"),
        max_bytes: 1_000,
        timeout: Duration::from_secs(5),
    }
}

/// A host that sends everybody to `location`, in Latin-1 as header values are; its URL.
async fn redirecting(location: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer =
        format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

#[tokio::test]
async fn no_hostile_url_is_a_target_and_no_connection_comes_of_it() {
    let counter = Counter::start().await;
    let list = list(counter.port);
    let urls: Vec<&String> = list.values().flatten().collect();
    assert!(urls.len() >= 200, "{}", urls.len());
    let fetcher = Fetcher::new();
    for url in &urls {
        assert!(fetcher.check(url).is_err(), "{url:?}");
        let got = fetcher.get(url, 1_000).await;
        assert!(matches!(got, Err(FetchError::Url(_))), "{url:?}: {got:?}");
        // A target that another fetcher took, one for local runs, is not sent either.
        let Ok(target) = Target::parse(url, Reach::Loopback) else { continue };
        let sent = fetcher.send(outgoing(target.clone())).await.map(|answer| answer.status);
        assert!(matches!(sent, Err(FetchError::Url(_))), "{url:?}: {sent:?}");
        let opened = fetcher.open(outgoing(target), HeaderMap::new()).await.map(|answer| answer.status);
        assert!(matches!(opened, Err(FetchError::Url(_))), "{url:?}: {opened:?}");
    }
    assert_eq!(counter.count().await, 0);
}

/// That a guard of less would let many of them through: by the reading of browsers, most of them lead somewhere, and half of
/// those to an address that is not public.
#[test]
fn the_list_is_one_of_urls_that_others_would_follow() {
    let urls = urls(9);
    let read: Vec<Url> = urls.iter().filter_map(|url| Url::parse(url).ok()).collect();
    let leads_inside = |url: &&Url| match url.host() {
        Some(Host::Ipv4(address)) => !address::is_public(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => !address::is_public(IpAddr::V6(address)),
        Some(Host::Domain(domain)) => domain.trim_end_matches('.') == "localhost",
        None => false,
    };
    let inside = read.iter().filter(leads_inside).count();
    assert!(read.len() > 200 && inside > 120, "{} of {} are URLs, {inside} lead inside", read.len(), urls.len());
}

/// A local run may ask this machine, so that a redirect can be served here. It is an answer like any other.
#[tokio::test]
async fn no_redirect_is_followed() {
    let counter = Counter::start().await;
    let fetcher = Fetcher::with_loopback(None);
    for location in urls(counter.port) {
        // A line break would end the header.
        let location = location.replace(['\r', '\n', '\0'], "");
        let url = redirecting(&location).await;
        let got = fetcher.get(&url, 1_000).await;
        assert!(matches!(got, Err(FetchError::Status(302) | FetchError::Unreachable(_))), "{location:?}: {got:?}");
        match fetcher.send(outgoing(fetcher.check(&url).unwrap())).await {
            Ok(answer) => assert_eq!(answer.status, 302, "{location:?}"),
            // A header with a character that belongs in none.
            Err(error) => assert!(matches!(error, FetchError::Interrupted(_)), "{location:?}: {error:?}"),
        }
    }
    assert_eq!(counter.count().await, 0);
}

/// What is taken means to the parser of browsers what it means here: the same host, by its name, at port 443.
fn assert_read_alike(text: &str) {
    let Ok(target) = Target::parse(text, Reach::Public) else { return };
    let host = target.as_uri().host().unwrap_or_default().to_ascii_lowercase();
    assert!(host.parse::<IpAddr>().is_err() && host.contains('.'), "{text:?}");
    assert!(matches!(target.as_uri().port_u16(), None | Some(443)), "{text:?}");
    // It may refuse a name of ours (`xn--` that is no punycode), but not read another one.
    let Ok(other) = Url::parse(text) else { return };
    assert!(matches!(other.host(), Some(Host::Domain(domain)) if domain == host), "{text:?}: {:?}", other.host());
    assert_eq!((other.scheme(), other.port(), other.fragment()), ("https", None, None), "{text:?}");
    assert_eq!((other.username(), other.password()), ("", None), "{text:?}");
}

/// What means something to one reader of URLs or another.
fn pieces() -> Vec<String> {
    serde_json::from_str(include_str!("pieces.json")).unwrap()
}

proptest! {
    /// URLs of the list, and pieces that mean something in URLs, put together.
    #[test]
    fn what_is_taken_means_the_same_to_others(
        start in prop_oneof![Just("https://".to_owned()), prop::sample::select(urls(9))],
        pieces in prop::collection::vec(prop::sample::select(pieces()), 0..6),
        at in any::<prop::sample::Index>(),
    ) {
        let pieces = pieces.concat();
        assert_read_alike(&format!("{start}{pieces}"));
        let boundary = (0..=start.len()).filter(|at| start.is_char_boundary(*at)).collect::<Vec<_>>();
        let (before, after) = start.split_at(boundary[at.index(boundary.len())]);
        assert_read_alike(&format!("{before}{pieces}{after}"));
    }
}
