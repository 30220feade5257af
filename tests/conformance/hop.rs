//! A hop that knows a token: it adds `Authorization` to every request, for the suite cannot, and passes all else on as
//! it is, `Host` and `Origin` above all.

use http::header::{AUTHORIZATION, HeaderValue};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// It listens on a free port of 127.0.0.1, and ends with the runtime.
pub struct Hop {
    /// Base of every URL, and the public URL of the server behind it.
    pub url: String,
    listener: TcpListener,
}

impl Hop {
    /// Takes a port. Requests wait until it knows where to.
    pub async fn bind() -> Hop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Hop { url: format!("http://{}", listener.local_addr().unwrap()), listener }
    }

    /// Passes requests on to `http://127.0.0.1:<port>`.
    pub fn pass_on(self, target: &str, token: &str) -> String {
        let target = target.strip_prefix("http://").unwrap().to_owned();
        let authorization = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = self.listener.accept().await.unwrap();
                let (target, authorization) = (target.clone(), authorization.clone());
                let service = service_fn(move |mut request: Request<Incoming>| {
                    request.headers_mut().insert(AUTHORIZATION, authorization.clone());
                    let target = target.clone();
                    async move { send(&target, request).await }
                });
                // A client that broke off is no matter of ours.
                tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        self.url
    }
}

async fn send(target: &str, request: Request<Incoming>) -> hyper::Result<Response<Incoming>> {
    let stream = TcpStream::connect(target).await.expect("the server listens");
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}
