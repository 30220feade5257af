//! A real server behind a hop that changes what a test says, and the doctor in front of it.

use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use black_box::{Server, northstar};
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// A request that came by.
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The server's answer, to be changed.
pub struct Answered {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// How long it is held back.
    pub delay: Duration,
    /// Whether the connection ends instead.
    pub hang_up: bool,
}

pub type Change = Arc<dyn Fn(&Asked, &mut Answered) + Send + Sync>;
type Shared = Arc<Mutex<Change>>;

impl Asked {
    /// The method of a JSON-RPC message.
    pub fn rpc(&self) -> String {
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["method"].as_str().unwrap_or_default().to_owned()
    }

    pub fn is_token(&self) -> bool {
        self.path == "/token"
    }

    /// A POST to the server.
    pub fn is_mcp(&self) -> bool {
        self.path == "/mcp" && self.method == "POST"
    }

    /// A parameter of a form, or nothing.
    pub fn form(&self, name: &str) -> String {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        let pair = text.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")).map(str::to_owned));
        pair.unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Another answer altogether.
    pub fn replace(&mut self, status: u16, content_type: &str, body: impl Into<String>) {
        self.status = status;
        self.body = Bytes::from(body.into());
        self.headers = HeaderMap::new();
        self.set("content-type", content_type);
    }

    /// Another JSON in the same answer.
    pub fn edit(&mut self, edit: impl Fn(&mut Value)) {
        let mut json = self.json();
        edit(&mut json);
        self.body = Bytes::from(json.to_string());
    }

    pub fn set(&mut self, name: &'static str, value: &str) {
        self.headers.insert(name, value.parse().unwrap());
    }
}

/// The stage that the tests share, one at a time.
pub struct Stage {
    pub url: String,
    pub server: Server,
    change: Shared,
}

pub fn stage() -> MutexGuard<'static, Stage> {
    static STAGE: OnceLock<Mutex<Stage>> = OnceLock::new();
    STAGE
        .get_or_init(|| Mutex::new(Stage::start(None, "127.0.0.1")))
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Stage {
    /// A server whose public URL is that of the hop before it.
    pub fn start(tls: Option<Arc<ServerConfig>>, host: &str) -> Stage {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{host}:{}", listener.local_addr().unwrap().port());
        let server = Server::start(&["--public-url", &url]);
        let change: Shared = Arc::new(Mutex::new(unchanged()));
        hop(listener, tls, &server.url, change.clone());
        Stage { url, server, change }
    }

    /// What the doctor finds while answers are changed.
    pub fn find(&self, arguments: &[&str], change: Change) -> Findings {
        *self.change.lock().unwrap() = change;
        let findings = examine(&self.url, self.server.home(), arguments, &[]);
        *self.change.lock().unwrap() = unchanged();
        findings
    }

    /// Asserts that, with answers changed, these problems are found and no others.
    #[track_caller]
    pub fn expect(&self, what: &str, change: Change, expected: &[&str]) -> Findings {
        self.expect_with(&[], what, change, expected)
    }

    /// The same with more arguments for the doctor.
    #[track_caller]
    pub fn expect_with(&self, arguments: &[&str], what: &str, change: Change, expected: &[&str]) -> Findings {
        let findings = self.find(arguments, change);
        findings.assert(what, expected);
        findings
    }
}

/// Leaves every answer as it is.
pub fn unchanged() -> Change {
    Arc::new(|_, _| {})
}

/// What the doctor says.
pub struct Findings {
    pub code: i32,
    pub all: Vec<Value>,
    pub output: String,
    pub errors: String,
}

impl Findings {
    /// Ids of all that is not PASS.
    pub fn problems(&self) -> Vec<String> {
        let ids = self.all.iter().filter(|finding| finding["status"] != "PASS");
        ids.map(|finding| finding["id"].as_str().unwrap().to_owned()).collect()
    }

    /// The finding of an id.
    #[track_caller]
    pub fn get(&self, id: &str) -> &Value {
        self.all.iter().find(|finding| finding["id"] == id).unwrap_or_else(|| panic!("no {id}: {}", self.output))
    }

    /// These problems and no others; what could not be checked for them is only said. Each has cause and fix.
    #[track_caller]
    pub fn assert(&self, what: &str, expected: &[&str]) {
        let mut found = self.problems();
        found.retain(|id| id != "not_checked.skipped");
        assert_eq!(found, expected, "{what}: {}", self.output);
        let fails = self.all.iter().any(|finding| finding["status"] == "FAIL");
        assert_eq!(self.code, i32::from(fails), "{what}: {}", self.errors);
        for id in expected {
            let finding = self.get(id);
            let told = ["seen", "cause", "fix"].iter().all(|part| !finding[part].as_str().unwrap().is_empty());
            assert!(told, "{what}: {finding}");
        }
    }
}

/// Runs the doctor as the demo client of a home.
pub fn examine(url: &str, home: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Findings {
    let (code, output, errors) = run(url, home, &[arguments, &["--json"]].concat(), environment);
    let json: Value = serde_json::from_str(&output).unwrap_or_else(|_| panic!("{url}: {output}{errors}"));
    let all = json["findings"].as_array().unwrap().clone();
    Findings { code, all, output, errors }
}

/// Runs the doctor; exit code, output, errors.
pub fn run(url: &str, home: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let mut doctor = northstar(home, &[&["doctor", url], arguments].concat());
    let output = doctor.envs(environment.iter().copied()).output().expect("northstar starts");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Passes requests on to `http://127.0.0.1:<port>` and changes the answers, on a thread of its own.
pub fn hop(listener: TcpListener, tls: Option<Arc<ServerConfig>>, target: &str, change: Shared) {
    let target = target.to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let http = reqwest::Client::builder().pool_max_idle_per_host(0).redirect(reqwest::redirect::Policy::none());
            let http = http.build().unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (target, change, http, tls) = (target.clone(), change.clone(), http.clone(), tls.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let change = change.lock().unwrap().clone();
                        pass_on(http.clone(), target.clone(), request, change)
                    });
                    let server = hyper::server::conn::http1::Builder::new();
                    // A client that breaks off is a client that has seen enough.
                    match tls {
                        None => drop(server.serve_connection(TokioIo::new(stream), service).await),
                        Some(tls) => {
                            if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                                drop(server.serve_connection(TokioIo::new(stream), service).await);
                            }
                        }
                    }
                });
            }
        });
    });
}

async fn pass_on(
    http: reqwest::Client,
    target: String,
    request: http::Request<Incoming>,
    change: Change,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let path = parts.uri.path().to_owned();
    let sent = http.request(parts.method.clone(), format!("{target}{path}"));
    let response =
        sent.headers(parts.headers.clone()).body(body.clone()).send().await.map_err(std::io::Error::other)?;
    let mut answered = Answered {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.bytes().await.map_err(std::io::Error::other)?,
        delay: Duration::ZERO,
        hang_up: false,
    };
    let asked = Asked { method: parts.method.to_string(), path, headers: parts.headers, body };
    change(&asked, &mut answered);
    tokio::time::sleep(answered.delay).await;
    if answered.hang_up {
        return Err(std::io::Error::other("as the test says"));
    }
    let mut response = Response::new(Full::new(answered.body));
    *response.status_mut() = answered.status.try_into().unwrap();
    answered.headers.remove("content-length");
    answered.headers.remove("transfer-encoding");
    *response.headers_mut() = answered.headers;
    Ok(response)
}
