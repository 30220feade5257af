//! HTTP: connections, the routes outside the REST resources, and faults.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::answer::{Answer, ApiError, Call, Content};
use crate::faults::{Fault, FaultKind};
use crate::state::{self, State};
use crate::{authorize, bearer, hosted, oauth, path, rest};

/// What the connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) url: String,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a test's closure spoils no data.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's body; an upload of a bulk job is the largest.
const MAX_BODY: usize = 150 * 1024 * 1024;

/// URI and headers together (REST API Developer Guide, "Status Codes and Error Responses", 414 and 431).
const MAX_HEAD: usize = 16_384;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Serves until it is dropped; the connections go with it.
pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let (tls, shared) = (tls.clone(), Arc::clone(&shared));
                connections.spawn(async move {
                    match tls {
                        None => connection(stream, shared).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                connection(stream, shared).await;
                            }
                        }
                    }
                });
            }
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let service = service_fn(|request| respond(Arc::clone(&shared), request));
    // A client that went away, and a fault that closes the connection, both end here.
    let _ = http1::Builder::new().max_buf_size(64 * 1024).serve_connection(TokioIo::new(stream), service).await;
}

/// Ends the connection without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed on request")
    }
}

impl std::error::Error for Closed {}

async fn respond(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await.map(|body| body.to_bytes()) else {
        return Err(Closed);
    };
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let path = parts.uri.path();
    let incoming = Arrived { method: parts.method.as_str(), target, path, headers: &parts.headers, body: &body };
    if path.starts_with("/__standin__/") {
        return Ok(plain(&shared, control(&shared, &incoming)));
    }
    let refresh = (path == "/services/oauth2/token").then(|| oauth::presented_refresh_token(&body)).flatten();
    let fault = {
        let mut state = shared.state();
        state.counters.count_request(incoming.method, path);
        state.faults.take(incoming.method, target)
    };
    let _running = refresh.map(|token| Running::begin(&shared, token));

    match fault {
        None => Ok(plain(&shared, route(&shared, &incoming))),
        Some(fault) => faulty(&shared, &incoming, fault).await,
    }
}

/// A request that has arrived whole.
struct Arrived<'a> {
    method: &'a str,
    target: &'a str,
    path: &'a str,
    headers: &'a http::HeaderMap,
    body: &'a Bytes,
}

/// A refresh from its arrival to its answer.
struct Running<'a> {
    shared: &'a Shared,
    token: String,
}

impl<'a> Running<'a> {
    fn begin(shared: &'a Shared, token: String) -> Running<'a> {
        shared.state().counters.refresh_begins(&token);
        Running { shared, token }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.state().counters.refresh_ends(&self.token);
    }
}

async fn faulty(shared: &Shared, request: &Arrived<'_>, fault: FaultKind) -> Result<Response<Body>, Closed> {
    let full = |status: u16, content_type: &'static str, body: Bytes| response(shared, status, content_type, body);
    match fault {
        FaultKind::Status { status, error_code, message, after_effect } => {
            if after_effect {
                route(shared, request);
            }
            let message = if message.is_empty() { error_code.clone() } else { message };
            Ok(plain(
                shared,
                match request.path.starts_with("/services/oauth2/") {
                    true => Answer::json(status, json!({ "error": error_code, "error_description": message })),
                    false => ApiError::new(status, &error_code, message).into_answer(),
                },
            ))
        }
        FaultKind::Latency { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(plain(shared, route(shared, request)))
        }
        FaultKind::Close { after_effect } => {
            if after_effect {
                route(shared, request);
            }
            Err(Closed)
        }
        FaultKind::Hang { after_effect } => {
            if after_effect {
                route(shared, request);
            }
            std::future::pending().await
        }
        FaultKind::Redirect { location } => {
            let mut answer = full(307, JSON, Bytes::new());
            if let Ok(location) = HeaderValue::try_from(location) {
                answer.headers_mut().insert("location", location);
            }
            Ok(answer)
        }
        FaultKind::WrongInstanceUrl { url } => {
            let mut answer = route(shared, request);
            if let Content::Json(Value::Object(fields)) = &mut answer.body {
                fields.insert("instance_url".to_owned(), url.into());
            }
            Ok(plain(shared, answer))
        }
        FaultKind::Setup { mistake } => {
            let mut state = shared.state();
            let before = state.options.clone();
            mistake.make(&mut state.options);
            let answer = route_in(&mut state, request);
            state.options = before;
            drop(state);
            Ok(plain(shared, answer))
        }
        FaultKind::HalfBody => {
            let answer = route(shared, request);
            let media_type = answer.body.media_type();
            let (answer, text) = written(answer);
            let half = text.slice(..text.len() / 2);
            let pieces = vec![
                (Duration::ZERO, Ok(half)),
                (Duration::from_millis(30), Err(io::ErrorKind::ConnectionAborted.into())),
            ];
            Ok(streamed(full(answer, media_type, Bytes::new()), text.len(), pieces))
        }
        FaultKind::SlowDrip { ms } => {
            let answer = route(shared, request);
            let media_type = answer.body.media_type();
            let (answer, text) = written(answer);
            let pieces = (0..text.len()).map(|at| (Duration::from_millis(ms), Ok(text.slice(at..at + 1)))).collect();
            Ok(streamed(full(answer, media_type, Bytes::new()), text.len(), pieces))
        }
        FaultKind::TruncatedJson => {
            let (answer, text) = written(route(shared, request));
            Ok(full(answer, JSON, text.slice(..text.len() / 2)))
        }
        FaultKind::Html => {
            route(shared, request);
            Ok(full(200, "text/html; charset=UTF-8", Bytes::from_static(MAINTENANCE.as_bytes())))
        }
        FaultKind::HugeBody { bytes } => {
            route(shared, request);
            let text = format!("{{\"padding\":\"{}\"}}", "x".repeat(bytes));
            Ok(full(200, JSON, text.into()))
        }
        FaultKind::DuplicateKeys => {
            let answer = route(shared, request);
            let status = answer.status;
            let mut text = String::new();
            write_twice(&answer.into_value(), &mut text);
            Ok(full(status, JSON, text.into()))
        }
        FaultKind::EmptyBody => {
            route(shared, request);
            Ok(full(200, JSON, Bytes::new()))
        }
    }
}

const JSON: &str = "application/json;charset=UTF-8";

const MAINTENANCE: &str = "<!DOCTYPE html><html><head><title>Down for Maintenance</title></head><body>\
    <h1>We are down for maintenance.</h1><p>Sorry for the inconvenience.</p></body></html>";

/// JSON with every key twice.
fn write_twice(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let key = |name: &str| Value::from(name).to_string();
            text.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&format!("{}:", key(name)));
                write_twice(value, text);
                text.push_str(&format!(",{}:null", key(name)));
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_twice(item, text);
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

fn written(answer: Answer) -> (u16, Bytes) {
    let text = match &answer.body {
        Content::Empty => String::new(),
        Content::Json(value) => value.to_string(),
        Content::Csv(text) | Content::Html(text) | Content::Events(text) => text.clone(),
    };
    (answer.status, text.into())
}

fn response(shared: &Shared, status: u16, content_type: &'static str, body: Bytes) -> Response<Body> {
    let body = Full::new(body).map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if status != 204 && status != 304 {
        headers.insert("content-type", HeaderValue::from_static(content_type));
    }
    if let Ok(info) = HeaderValue::try_from(state::limit_info(&shared.state())) {
        headers.insert("sforce-limit-info", info);
    }
    response
}

/// An answer without a fault.
fn plain(shared: &Shared, answer: Answer) -> Response<Body> {
    let content_type = answer.body.media_type();
    let headers = answer.headers.clone();
    let (status, text) = written(answer);
    let mut response = response(shared, status, content_type, text);
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Pieces of a body, each after a pause; an error closes the connection.
fn streamed(answer: Response<Body>, length: usize, pieces: Vec<(Duration, io::Result<Bytes>)>) -> Response<Body> {
    let (mut parts, _) = answer.into_parts();
    parts.headers.insert("content-length", HeaderValue::from(length));
    let stream = futures_util::stream::unfold(pieces.into_iter(), |mut pieces| async move {
        let (pause, piece) = pieces.next()?;
        tokio::time::sleep(pause).await;
        Some((piece.map(Frame::data), pieces))
    });
    Response::from_parts(parts, BodyExt::boxed_unsync(StreamBody::new(stream)))
}

/// `/__standin__/…`: what a test asks of the stand-in itself.
fn control(shared: &Shared, request: &Arrived) -> Answer {
    let mut state = shared.state();
    match (request.method, request.path) {
        ("GET", "/__standin__/counters") => Answer::ok(json!(state.counters.counts(state.org.effects()))),
        ("POST", "/__standin__/expire-sessions") => {
            state.grants.expire_sessions();
            Answer::empty(204)
        }
        ("GET", "/__standin__/faults") => Answer::ok(json!(state.faults.pending)),
        ("DELETE", "/__standin__/faults") => {
            state.faults.pending.clear();
            Answer::empty(204)
        }
        ("POST", "/__standin__/faults") => match serde_json::from_slice::<Vec<Fault>>(request.body) {
            Ok(faults) => {
                state.faults.pending.extend(faults);
                Answer::empty(204)
            }
            Err(error) => {
                ApiError::new(400, "JSON_PARSER_ERROR", format!("not a list of faults: {error}")).into_answer()
            }
        },
        _ => ApiError::no_such_path().into_answer(),
    }
}

fn route(shared: &Shared, request: &Arrived) -> Answer {
    let head: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if request.target.len() > MAX_HEAD {
        return ApiError::new(414, "URI_TOO_LONG", "The URI is longer than 16,384 bytes").into_answer();
    }
    if request.target.len() + head > MAX_HEAD {
        return ApiError::new(431, "HEADERS_TOO_LARGE", "URI and headers are longer than 16,384 bytes").into_answer();
    }
    route_in(&mut shared.state(), request)
}

fn route_in(state: &mut State, request: &Arrived) -> Answer {
    let form = || path::parameters(&String::from_utf8_lossy(request.body));
    let query = || path::parameters(request.target.split_once('?').map_or("", |(_, query)| query));
    match (request.method, request.path) {
        ("GET", "/services/oauth2/authorize") => authorize::authorize(state, &query(), None),
        ("POST", "/services/oauth2/authorize") => {
            let form = form();
            authorize::authorize(state, &query(), Some(oauth::value(&form, "decision").unwrap_or_default()))
        }
        ("POST", "/services/oauth2/token") => oauth::token(state, request.headers, request.body),
        (_, "/services/oauth2/token") => ApiError::method(request.method, "POST").into_answer(),
        ("POST", "/services/oauth2/revoke") => oauth::revoke(state, &form()),
        ("GET", "/services/oauth2/revoke") => oauth::revoke(state, &query()),
        ("GET" | "POST", "/services/oauth2/userinfo") => oauth::userinfo(state, request.headers),
        ("GET", "/services/data" | "/services/data/") => versions(),
        (_, path) if path.starts_with("/services/data/") => data(state, request),
        (_, path) if path.starts_with(hosted::BASE) => {
            let Arrived { method, path, headers, body, .. } = *request;
            hosted::answer(state, &hosted::Asked { method, path, headers, body })
        }
        ("GET", "/id/keys") => Answer::ok(bearer::keys(state)),
        ("GET", path) if path.starts_with("/.well-known/") => well_known(state, path),
        ("GET", path) => match path.split('/').collect::<Vec<_>>().as_slice() {
            ["", "id", org, user] => oauth::identity(state, request.headers, org, user),
            _ => ApiError::no_such_path().into_answer(),
        },
        _ => ApiError::no_such_path().into_answer(),
    }
}

/// Metadata, there and with the path of a hosted server behind.
fn well_known(state: &State, path: &str) -> Answer {
    let (document, rest) =
        path["/.well-known/".len()..].split_once('/').unwrap_or((&path["/.well-known/".len()..], ""));
    let of_server = format!("/{rest}").starts_with(hosted::BASE);
    match document {
        _ if !state.options.hosted.discovery => ApiError::no_such_path().into_answer(),
        "oauth-authorization-server" | "openid-configuration" if rest.is_empty() || of_server => {
            authorize::metadata(state)
        }
        "oauth-protected-resource" if of_server => authorize::protected_resource(state, &format!("/{rest}")),
        _ => ApiError::no_such_path().into_answer(),
    }
}

fn versions() -> Answer {
    let season = |number: u32| {
        // Version 50 is Winter '21, and there are three a year.
        let name = ["Winter", "Spring", "Summer"][((number - 50) % 3) as usize];
        format!("{name} '{}", 21 + (number - 50) / 3)
    };
    let version = |number| {
        let version = format!("{number}.0");
        json!({ "label": season(number), "url": format!("/services/data/v{version}"), "version": version })
    };
    Answer::ok(rest::VERSIONS.map(version).collect())
}

fn data(state: &mut State, request: &Arrived) -> Answer {
    let target = request.target.strip_prefix("/services/data/").unwrap_or_default();
    let Some((version, path, query)) = path::parse_versioned(target) else {
        return ApiError::no_such_path().into_answer();
    };
    if !path::number(&version).is_some_and(|number| rest::VERSIONS.contains(&number)) {
        let message = format!("The API version {version} is not supported. The versions from 50.0 to 66.0 are.");
        return ApiError::new(410, "UNSUPPORTED_API_VERSION", message).into_answer();
    }
    if !state.grants.is_live(request.headers) {
        return ApiError::new(401, "INVALID_SESSION_ID", "Session expired or invalid").into_answer();
    }
    state.api_requests += 1;
    let content_type =
        request.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    let is_bulk = path.first().is_some_and(|first| first == "jobs");
    if !is_bulk && !request.body.is_empty() && !content_type.starts_with("application/json") {
        let message = format!("Unsupported content type: {content_type}");
        return ApiError::new(415, "UNSUPPORTED_MEDIA_TYPE", message).into_answer();
    }
    let call = Call {
        method: request.method.to_owned(),
        path,
        query,
        headers: request.headers.clone(),
        body: request.body.clone(),
        version,
    };
    rest::answer(state, &call)
}
