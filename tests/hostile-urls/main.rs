//! The hostile URLs of `crates/outbound/tests/hostile_urls`, in every place where somebody else may name one: an upstream, its
//! metadata and its redirects, its authorization server and every endpoint of it, an org. Whatever asks, not one connection
//! comes of them.

mod commands;
mod consents;
mod places;
mod server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use black_box::repository;
use tokio::net::{TcpListener, TcpStream};

/// The URLs; `{port}` in them is a port where somebody listens.
pub fn urls(port: u16) -> Vec<String> {
    let file = repository().join("crates/outbound/tests/hostile_urls/urls.json");
    let list: BTreeMap<String, Vec<String>> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let urls: Vec<String> = list.into_values().flatten().map(|url| url.replace("{port}", &port.to_string())).collect();
    assert!(urls.len() >= 200, "{}", urls.len());
    urls
}

/// Listens on this machine, by IPv4 and where there is one by IPv6, at one port, and counts connections.
pub struct Counter {
    pub port: u16,
    connections: Arc<AtomicUsize>,
}

impl Counter {
    pub async fn start() -> Counter {
        let v4 = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = v4.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        for listener in [Ok(v4), TcpListener::bind(("::1", port)).await].into_iter().flatten() {
            let connections = connections.clone();
            tokio::spawn(async move {
                while listener.accept().await.is_ok() {
                    connections.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        Counter { port, connections }
    }

    /// How many connections came; one of its own comes last and is not counted.
    pub async fn count(self) -> usize {
        let before = self.connections.load(Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)).await.unwrap());
        while self.connections.load(Ordering::SeqCst) == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.connections.load(Ordering::SeqCst) - 1
    }
}
