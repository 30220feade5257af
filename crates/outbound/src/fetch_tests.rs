//! Fetches from a server on this machine, over TLS as from any other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::{FetchError, Fetcher, Reach, Target};

/// A server for one host name, the root that it is trusted by, and its answer.
struct TlsServer {
    port: u16,
    root: String,
}

impl TlsServer {
    /// Gives `answer` to everybody; what is in it after a line `wait` comes after 10 s.
    async fn start(host: &str, answer: String) -> TlsServer {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &root).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(connection).await else { continue };
                let _ = stream.read(&mut [0; 4096]).await;
                let (now, later) = answer.split_once("wait").unwrap_or((&answer, ""));
                let _ = stream.write_all(now.as_bytes()).await;
                if !later.is_empty() {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    let _ = stream.write_all(later.as_bytes()).await;
                }
                let _ = stream.shutdown().await;
            }
        });
        TlsServer { port, root: root.pem() }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/jwks.json", self.port)
    }

    async fn get(&self, max_bytes: usize) -> Result<String, FetchError> {
        let fetcher = Fetcher::with_loopback(Some(&self.root));
        fetcher.get(&self.url(), max_bytes).await.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }
}

fn json(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_document_of_a_trusted_host_is_fetched() {
    let server = TlsServer::start("localhost", json("{}")).await;
    assert_eq!(server.get(2).await.unwrap(), "{}");
    let fetcher = Fetcher::with_loopback(Some(&server.root));
    for _ in 0..3 {
        fetcher.get(&server.url(), 2).await.unwrap();
    }
}

#[tokio::test]
async fn a_host_without_a_trusted_certificate_of_its_name_is_not_reached() {
    let server = TlsServer::start("localhost", json("{}")).await;
    let another = TlsServer::start("localhost", json("{}")).await;
    let fetcher = Fetcher::with_loopback(Some(&another.root));
    let outcome = fetcher.get(&server.url(), 100).await;
    assert!(matches!(outcome, Err(FetchError::Unreachable(_))), "another root: {outcome:?}");

    let server = TlsServer::start("client.example.com", json("{}")).await;
    let outcome = server.get(100).await;
    assert!(matches!(outcome, Err(FetchError::Unreachable(_))), "another name: {outcome:?}");
}

#[tokio::test]
async fn a_server_on_this_machine_is_out_of_reach_unless_it_is_asked_for() {
    let server = TlsServer::start("localhost", json("{}")).await;
    let outcome = Fetcher::new().get(&server.url(), 100).await;
    assert!(matches!(outcome, Err(FetchError::Url(_))), "{outcome:?}");
}

/// Names that a public fetcher takes are resolved by the same resolver; no name of the internet leads here for sure.
#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_refused_before_a_connection() {
    let server = TlsServer::start("localhost", json("{}")).await;
    let fetcher = Fetcher { reach: Reach::Public, ..Fetcher::with_loopback(Some(&server.root)) };
    let target = Target::parse(&server.url(), Reach::Loopback).unwrap();
    let outcome = fetcher.get_without_limit_of_time(&target, 100).await;
    assert!(matches!(outcome, Err(FetchError::Address)), "{outcome:?}");
}

#[tokio::test]
async fn what_is_no_small_json_document_is_refused() {
    let chunk = format!("{:x}\r\n{}\r\n", 1024, " ".repeat(1024));
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    for (answer, told) in [
        (json(&" ".repeat(101)), "the answer is too large"),
        (json("{}").replace("content-length: 2", "content-length: 99999999999"), "the answer is too large"),
        (format!("{chunked}{}0\r\n\r\n", chunk.repeat(100)), "the answer is too large"),
        (json("{}").replace("application/json", "text/html"), "the answer is not JSON by its content type"),
        (json("{}").replace("content-type", "x-type"), "the answer is not JSON by its content type"),
        (json("{}").replace("200 OK", "404 Not Found"), "the host answered with status 404 instead of 200"),
        (json("{}").replace("200 OK", "206 Partial Content"), "the host answered with status 206 instead of 200"),
        (
            json("{}").replace("200 OK", "302 Found\r\nlocation: https://localhost/"),
            "the host answered with status 302 instead of 200",
        ),
        (json("{}").replace("HTTP/1.1", "SMTP"), "the host cannot be reached"),
        (json("{}").replace("content-length: 2", "content-length: 3"), "the host cannot be reached"),
        (String::new(), "the host cannot be reached"),
    ] {
        // What was announced and is too large is refused when so much of it has come.
        let answer = answer.replace("99999999999\r\n\r\n{}", &format!("99999999999\r\n\r\n{}", " ".repeat(101)));
        let server = TlsServer::start("localhost", answer.clone()).await;
        assert_eq!(server.get(100).await.unwrap_err().to_string(), told, "{answer:.80}");
    }
}

#[tokio::test]
async fn a_host_that_is_slow_is_given_up_after_three_seconds() {
    let late_head = json("{}").replace("HTTP", "waitHTTP");
    let late_body = json("{}").replace("{}", "{wait}");
    let [late_head, late_body] = [late_head, late_body].map(|answer| TlsServer::start("localhost", answer));
    let (late_head, late_body) = tokio::join!(late_head, late_body);
    let start = Instant::now();
    let (a, b) = tokio::join!(late_head.get(100), late_body.get(100));
    assert!(matches!((&a, &b), (Err(FetchError::TimedOut), Err(FetchError::TimedOut))), "{a:?} {b:?}");
    assert!((3..6).contains(&start.elapsed().as_secs()));
}
