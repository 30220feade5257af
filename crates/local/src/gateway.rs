//! Amazon API Gateway in small: an HTTP API (v2, `$default` stage, payload format 2.0) before functions in this process.
//!
//! Functions meet here what they meet on AWS: explicit routes, the same events, the same limits, the same refusals.
//! `routes` chooses the function, `event` makes its event, `answer` reads what it answered, this file is the traffic.

use std::{
    collections::hash_map::RandomState,
    convert::Infallible,
    hash::{BuildHasher, Hasher},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderName, HeaderValue, Request, Response, StatusCode, Version, header::CONTENT_LENGTH, header::EXPECT,
    header::HOST, request::Parts,
};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

mod answer;
mod event;
mod routes;
#[cfg(test)]
mod tests;

pub use routes::{InvalidRouteKey, Routes};

/// AWS, "Quotas for configuring and running an HTTP API": request line and headers together.
const MAX_HEAD: usize = 10_240;

/// AWS, "Quotas for configuring and running an HTTP API": payload size.
const MAX_BODY: usize = 10 * 1024 * 1024;

/// AWS, "Lambda quotas": 6 MB for an invocation's payload. A longer event is 413 to the client.
const MAX_EVENT: usize = 6 * 1024 * 1024;

/// Lambda gives an answer 100 bytes more than an event. A longer answer is a function error.
const MAX_ANSWER: usize = MAX_EVENT + 100;

const REQUEST_ID: HeaderName = HeaderName::from_static("apigw-requestid");

/// An HTTP API: what it routes where, and how patient it is.
#[derive(Clone, Debug)]
pub struct HttpApi<T> {
    /// Which function answers which request.
    pub routes: Routes<T>,
    /// How long it waits for functions and for clients.
    pub patience: Patience,
    /// Renames a `www-authenticate` header of an answer to `x-amzn-remapped-www-authenticate`, as AWS documents it for
    /// REST APIs ("Amazon API Gateway important notes") and as the field reports it for HTTP APIs.
    pub remap_www_authenticate: bool,
}

impl<T> HttpApi<T> {
    /// An API with the limits of AWS that leaves `www-authenticate` alone.
    pub fn new(routes: Routes<T>) -> Self {
        Self { routes, patience: Patience::default(), remap_www_authenticate: false }
    }
}

/// How long the gateway waits before it gives up.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a function's answer. AWS, "Quotas for configuring and running an HTTP API": maximum integration timeout.
    pub function: Duration,
    /// For the next whole request head, and for each further part of a body.
    pub client: Duration,
    /// For the running requests after the shutdown.
    pub shutdown: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { function: Duration::from_secs(30), client: Duration::from_secs(10), shutdown: Duration::from_secs(2) }
    }
}

/// One call of a function.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The payload 2.0 event, as JSON text.
    pub event: String,
    /// Lambda's own id of this invocation, a UUID. The gateway's id is in the event.
    pub request_id: String,
    /// When the gateway stops waiting.
    pub deadline: SystemTime,
}

/// Serves the API until `shutdown` is ready; then running requests may finish.
///
/// `invoke` calls a function and gives its answer as JSON text, or the text of its error, which no client sees. As on
/// Lambda, an invocation runs to its end even when its client has gone or has been told 503.
pub async fn serve<T, F, Fut>(listener: TcpListener, api: HttpApi<T>, invoke: F, shutdown: impl Future<Output = ()>)
where
    T: Copy + Send + Sync + 'static,
    F: Fn(T, Invocation) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<String, String>> + Send + 'static,
{
    let patience = api.patience;
    let gateway = Arc::new(Gateway { api, invoke: Arc::new(invoke) });
    let (closing, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(Arc::clone(&gateway).connection(stream, peer, closed.clone()));
                }
                // Out of file descriptors, as a rule: some connection has to end first.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
        }
    }
    drop(listener);
    closing.send_replace(true);
    // What is still running after that ends with the set of connections.
    let _ = timeout(patience.shutdown, async { while connections.join_next().await.is_some() {} }).await;
}

struct Gateway<T, F> {
    api: HttpApi<T>,
    invoke: Arc<F>,
}

impl<T, F, Fut> Gateway<T, F>
where
    T: Copy + Send + Sync + 'static,
    F: Fn(T, Invocation) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<String, String>> + Send + 'static,
{
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, mut closing: watch::Receiver<bool>) {
        // Only a matter of speed, and a socket that refuses it fails at its first read anyway.
        let _ = stream.set_nodelay(true);
        let patience = self.api.patience;
        let service = service_fn(move |request| {
            let gateway = Arc::clone(&self);
            async move { Ok::<_, Infallible>(gateway.respond(request, peer).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience.client)
            // With hyper's 100, a head of many short lines would meet its empty 431 before ours.
            .max_headers(1_000)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = closing.changed() => connection.as_mut().graceful_shutdown(),
        }
        // A client that broke off is no error of the gateway.
        let _ = connection.await;
    }

    async fn respond(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        let request_id = request_id();
        let mut response = match self.handle(request, peer, &request_id).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(),
        };
        if let Ok(value) = HeaderValue::try_from(request_id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    }

    async fn handle(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        request_id: &str,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let (head, body) = request.into_parts();
        let body = read_body(&head, body, self.api.patience.client).await;
        check_head(&head)?;
        let body = body?;
        let path = event::decoded_path(head.uri.path());
        let route = self.api.routes.find(&head.method, &path).ok_or(Refusal::NotFound)?;
        let now = SystemTime::now();
        let received = event::Received { head: &head, body: &body, peer, request_id, trace_id: &trace_id(now), now };
        let event = received.event(&path, route.key, &route.parameters).map_err(|_| Refusal::Internal)?;
        let answer = self.invoke(route.target, event).await?;
        answer::response(&answer, self.api.remap_www_authenticate).map_err(|answer::Malformed| Refusal::Internal)
    }

    async fn invoke(&self, target: T, event: String) -> Result<String, Refusal> {
        if event.len() > MAX_EVENT {
            return Err(Refusal::BodyTooLarge);
        }
        let patience = self.api.patience.function;
        let invocation = Invocation { event, request_id: uuid(), deadline: SystemTime::now() + patience };
        let invoke = Arc::clone(&self.invoke);
        // A task of its own: neither a lost client nor the end of our patience stops a function.
        let running = tokio::spawn(async move { invoke(target, invocation).await });
        match timeout(patience, running).await {
            Err(_) => Err(Refusal::Unavailable),
            Ok(Ok(Ok(answer))) if answer.len() <= MAX_ANSWER => Ok(answer),
            // A function error, a panic, or more than Lambda carries.
            Ok(_) => Err(Refusal::Internal),
        }
    }
}

/// What the gateway answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    BadRequest,
    NotFound,
    RequestTimeout,
    BodyTooLarge,
    HeadTooLarge,
    Internal,
    Unavailable,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::BadRequest => r#"{"message":"Bad Request"}"#,
            Self::NotFound => r#"{"message":"Not Found"}"#,
            Self::RequestTimeout => r#"{"message":"Request Timeout"}"#,
            Self::BodyTooLarge => r#"{"message":"Request Entity Too Large"}"#,
            Self::HeadTooLarge => r#"{"message":"Request Header Fields Too Large"}"#,
            Self::Internal => r#"{"message":"Internal Server Error"}"#,
            Self::Unavailable => r#"{"message":"Service Unavailable"}"#,
        }
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        answer::json(self.status(), self.message())
    }
}

fn check_head(head: &Parts) -> Result<(), Refusal> {
    if head_size(head) > MAX_HEAD {
        return Err(Refusal::HeadTooLarge);
    }
    // RFC 9112 §3.2: with HTTP/1.1, exactly one.
    let hosts = head.headers.get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && head.version == Version::HTTP_11) {
        return Err(Refusal::BadRequest);
    }
    Ok(())
}

/// The request line and the header lines as they were on the wire, line ends included.
fn head_size(head: &Parts) -> usize {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let request_line = head.method.as_str().len() + target + " HTTP/1.1\r\n".len() + 1;
    let lines = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    request_line + lines.sum::<usize>()
}

/// Reads the whole body. One that is too large is read on a while, for a client that is still sending does not listen.
async fn read_body(head: &Parts, mut body: Incoming, patience: Duration) -> Result<Bytes, Refusal> {
    if head.headers.contains_key(EXPECT) && declared_length(head) > MAX_BODY {
        return Err(Refusal::BodyTooLarge);
    }
    let mut received = BytesMut::new();
    let mut length = 0;
    while length <= 4 * MAX_BODY {
        let frame = timeout(patience, body.frame()).await.map_err(|_| Refusal::RequestTimeout)?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| Refusal::BadRequest)?.into_data() else { continue };
        length += data.len();
        if length <= MAX_BODY {
            received.extend_from_slice(&data);
        }
    }
    if length > MAX_BODY { Err(Refusal::BodyTooLarge) } else { Ok(received.freeze()) }
}

fn declared_length(head: &Parts) -> usize {
    let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

/// Looks like API Gateway's: 16 characters.
fn request_id() -> String {
    URL_SAFE.encode(&random().to_be_bytes()[5..])
}

/// AWS X-Ray, "Tracing header".
fn trace_id(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("Root=1-{seconds:08x}-{:024x}", random() >> 32)
}

/// RFC 9562 §5.4.
fn uuid() -> String {
    let random = random() & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{random:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Unique enough for ids that guard nothing: the keys of the standard library's hash maps.
fn random() -> u128 {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    half() << 64 | half()
}
