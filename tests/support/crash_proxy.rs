//! An HTTP proxy that a process dies behind: it lets some calls through and then drops every one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How many calls go through, over all proxies that share it.
pub struct Budget {
    calls: usize,
    answer_is_lost: bool,
    made: AtomicUsize,
}

impl Budget {
    /// `calls` go through; the next one is lost on its way or, if `answer_is_lost`, on its way back.
    pub fn new(calls: usize, answer_is_lost: bool) -> Arc<Budget> {
        Arc::new(Budget { calls, answer_is_lost, made: AtomicUsize::new(0) })
    }

    /// How many calls were tried.
    pub fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }
}

/// Starts a proxy before `http://127.0.0.1:<port>`; it ends with the runtime. Its own URL.
pub async fn start(target: &str, budget: Arc<Budget>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let target = target.trim().strip_prefix("http://").unwrap().to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (target, budget) = (target.clone(), budget.clone());
            let service = service_fn(move |request| pass(request, target.clone(), budget.clone()));
            tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

async fn pass(
    request: Request<Incoming>,
    target: String,
    budget: Arc<Budget>,
) -> Result<Response<Full<Bytes>>, Failure> {
    let call = budget.made.fetch_add(1, Ordering::Relaxed);
    let is_lost = call >= budget.calls;
    if is_lost && !(budget.answer_is_lost && call == budget.calls) {
        return Err("the process is dead".into());
    }
    let stream = TcpStream::connect(target).await?;
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    if is_lost { Err("the process is dead".into()) } else { Ok(Response::from_parts(parts, Full::new(body))) }
}
