//! What the black-box tests share: a running `northstar serve`, its commands, and requests to it.

pub mod answer;
pub mod crash_proxy;
mod events;
pub mod examples;
pub mod forge;
pub mod functions;
pub mod hosted;
pub mod in_process;
pub mod instances;
pub mod key_pair;
pub mod key_rotation;
pub mod lambda;
pub mod limits;
pub mod ministack;
pub mod proxy;
pub mod salesforce;
pub mod secrets_manager;
pub mod upstream;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

pub use events::{event, event_files};

/// A `northstar serve` on a free port with a home of its own; it ends with this, or with the test process.
pub struct Server {
    /// Base of every URL.
    pub url: String,
    /// Client id of the demo client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Where requests go: the same, unless it is deployed elsewhere.
    front: String,
    home: Home,
    /// None when it is deployed elsewhere: see [`shared`].
    child: Option<Child>,
    http: reqwest::Client,
}

enum Home {
    Own(TempDir),
    Shared(PathBuf),
}

/// Names a JSON file, `{"url", "front", "home", "client_id", "client_secret"}`, when a stack answers in place of a server
/// of our own: its public URL, where requests to it go, and the home whose tables and secrets it has.
/// `tests/infra/test_black_box.py` sets it.
const DEPLOYED: &str = "NORTHSTAR_TEST_THROUGH";

/// Whether a stack answers the tests' requests.
pub fn is_deployed() -> bool {
    std::env::var_os(DEPLOYED).is_some()
}

/// The server that tests share when they change nothing that another test could see.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| match std::env::var_os(DEPLOYED) {
        Some(file) => Server::deployed(Path::new(&file)),
        None => Server::start(&[]),
    })
}

impl Server {
    /// Starts a server in a new home, with more arguments for `serve`.
    pub fn start(arguments: &[&str]) -> Server {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        Server::start_at(Home::Own(home), 0, arguments, &[])
    }

    /// Starts a server in a home that the test owns.
    pub fn start_in(home: &Path, port: u16, arguments: &[&str]) -> Server {
        Server::start_at(Home::Shared(home.to_owned()), port, arguments, &[])
    }

    /// Starts it again in its home, which stays its own, after it has ended.
    pub fn start_again(self, port: u16) -> Server {
        self.start_again_with(port, &[])
    }

    /// The same, with more arguments for `serve`.
    pub fn start_again_with(mut self, port: u16, arguments: &[&str]) -> Server {
        let home = std::mem::replace(&mut self.home, Home::Shared(PathBuf::new()));
        Server::start_at(home, port, arguments, &[])
    }

    /// Starts a server in a home that the test owns, with more variables in its environment.
    pub fn start_with(home: &Path, environment: &[(&'static str, String)]) -> Server {
        Server::start_at(Home::Shared(home.to_owned()), 0, &[], environment)
    }

    fn deployed(file: &Path) -> Server {
        let given: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let field = |name: &str| given[name].as_str().unwrap_or_else(|| panic!("no {name} in {DEPLOYED}")).to_owned();
        Server {
            url: field("url"),
            front: field("front"),
            client_id: field("client_id"),
            client_secret: field("client_secret"),
            home: Home::Shared(PathBuf::from(field("home"))),
            child: None,
            http: http_client(),
        }
    }

    fn start_at(home: Home, port: u16, arguments: &[&str], environment: &[(&'static str, String)]) -> Server {
        assert!(!is_deployed(), "a server of its own says nothing of one that is deployed");
        let path = home.path().to_owned();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(path.join("stdout.log")).unwrap();
        let before = std::fs::read_to_string(path.join("stdout.log")).unwrap_or_default().len();
        let child = Command::new(binary("northstar"))
            .args(["serve", "--stop-with-stdin", "--port", &port.to_string(), "--home"])
            .arg(&path)
            .args(arguments)
            .env_remove("NORTHSTAR_HOME")
            .env_remove("NORTHSTAR_STACK")
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("northstar starts");
        let mut server = Server {
            url: String::new(),
            front: String::new(),
            client_id: String::new(),
            client_secret: String::new(),
            home,
            child: Some(child),
            http: http_client(),
        };
        server.front = server.wait_until_it_listens(before);
        server.url = server.front.clone();
        let demo: Value = serde_json::from_slice(&std::fs::read(path.join("demo.json")).unwrap()).unwrap();
        server.client_id = demo["client_id"].as_str().unwrap().to_owned();
        server.client_secret = demo["client_secret"].as_str().unwrap().to_owned();
        server
    }

    fn wait_until_it_listens(&mut self, from: usize) -> String {
        let start = Instant::now();
        loop {
            let output = self.log();
            if let Some(line) = output[from..].lines().find_map(|line| line.strip_prefix("listening on ")) {
                return line.to_owned();
            }
            if let Some(status) = self.child().try_wait().unwrap() {
                panic!("northstar serve ended with {status}:\n{output}");
            }
            assert!(start.elapsed() < Duration::from_secs(60), "northstar serve does not listen:\n{output}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Process id of the server.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect(NOT_HERE).id()
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect(NOT_HERE)
    }

    /// Where its DynamoDB is.
    pub fn dynamodb_url(&self) -> String {
        std::fs::read_to_string(self.home().join("endpoint")).expect("a running server has written its endpoint")
    }

    /// Sends it a signal (`INT`, `TERM`, `KILL`) and waits for its end.
    pub fn end_with(&mut self, signal: &str) -> ExitStatus {
        let kill = Command::new("bash").args(["-c", "kill -s $0 $1", signal, &self.pid().to_string()]).status();
        assert!(kill.expect("bash starts").success());
        self.wait_for_end()
    }

    /// Closes its standard input and waits for its end.
    pub fn end_with_stdin(&mut self) -> ExitStatus {
        drop(self.child().stdin.take());
        self.wait_for_end()
    }

    fn wait_for_end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child().try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "northstar serve does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything it has written so far: banner, request lines, errors.
    pub fn log(&self) -> String {
        assert!(self.child.is_some(), "{NOT_HERE}");
        std::fs::read_to_string(self.home().join("stdout.log")).unwrap_or_default()
    }

    /// The request line of the answer with this `apigw-requestid`; it is written before the answer goes out.
    pub fn request_line(&self, response: &Response) -> Value {
        let id = response.headers()["apigw-requestid"].to_str().unwrap().to_owned();
        let log = self.log();
        let line = log.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("no line for {id}:\n{log}"));
        serde_json::from_str(line).unwrap()
    }

    /// Runs a command of `northstar` on this home.
    pub fn command(&self, arguments: &[&str]) -> Output {
        command(self.home(), arguments)
    }

    /// Runs a command that has to end well; its JSON.
    pub fn json_command(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Registers a client with more arguments for `client create`; its id and secret.
    pub fn new_client(&self, arguments: &[&str]) -> (String, String) {
        let made = self.json_command(&[&["client", "create", "Test"], arguments].concat());
        let field = |name: &str| made[name].as_str().unwrap().to_owned();
        (field("client_id"), field("client_secret"))
    }

    /// A request to a path.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        self.tell_of_request();
        self.http.request(method, format!("{}{path}", self.front))
    }

    /// Its URL with the other scheme, and with another name of its host: neither is its own.
    pub fn near_urls(&self) -> [String; 2] {
        let (scheme, host) = self.url.split_once("://").unwrap();
        let other_scheme = if scheme == "http" { "https" } else { "http" };
        let other_host =
            if host.starts_with("127.") { host.replace("127.0.0.1", "localhost") } else { format!("{host}.") };
        [format!("{other_scheme}://{host}"), format!("{scheme}://{other_host}")]
    }

    /// Host and port, for a request written by hand.
    pub fn address(&self) -> &str {
        self.tell_of_request();
        self.front.trim_start_matches("http://")
    }

    /// Which tests reach what is deployed, for who counts them.
    fn tell_of_request(&self) {
        if self.child.is_none() {
            let line = format!("through: {}\n", std::thread::current().name().unwrap_or_default());
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }

    /// A token request of the demo client, its secret in the body, with more parameters.
    pub async fn post_token(&self, parameters: &[(&str, &str)]) -> Response {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.client_secret.as_str()),
        ];
        form.extend(parameters);
        self.request("POST", "/token").form(&form).send().await.unwrap()
    }

    /// A token of the demo client for the default server.
    pub async fn token(&self) -> String {
        self.token_with(&[]).await
    }

    /// A token of the demo client, asked for with more parameters.
    pub async fn token_with(&self, parameters: &[(&str, &str)]) -> String {
        let response = self.post_token(parameters).await;
        assert_eq!(response.status(), StatusCode::OK);
        let answer: Value = response.json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// A POST to the default MCP server with the headers of a legacy client.
    pub fn mcp(&self, token: &str) -> reqwest::RequestBuilder {
        self.request("POST", "/mcp")
            .bearer_auth(token)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
    }

    /// A JSON-RPC request of a legacy client at `revision`; the whole answer.
    pub async fn legacy(&self, token: &str, revision: &str, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self.mcp(token).header("mcp-protocol-version", revision).body(body.to_string());
        request.send().await.unwrap().json().await.unwrap()
    }

    /// A JSON-RPC request of revision 2026-07-28.
    pub async fn modern(&self, token: &str, method: &str, params: Value) -> Response {
        let name = params["name"].as_str().map(str::to_owned);
        let mut request = self.mcp(token).header("mcp-protocol-version", "2026-07-28").header("mcp-method", method);
        if let Some(name) = name {
            request = request.header("mcp-name", name);
        }
        request.body(modern_body(method, params).to_string()).send().await.unwrap()
    }

    /// Calls a tool as a legacy client; the result.
    pub async fn call(&self, token: &str, tool: &str, arguments: Value) -> Value {
        let params = json!({ "name": tool, "arguments": arguments });
        self.legacy(token, "2025-06-18", "tools/call", params).await["result"].take()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Why a test fails that may not run against what is deployed.
const NOT_HERE: &str = "the process of a deployed server and its log are not here";

/// No pool: every test has a runtime of its own, and a connection does not outlive its runtime.
fn http_client() -> reqwest::Client {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(40)).pool_max_idle_per_host(0);
    client.build().expect("an HTTP client can be made")
}

impl Home {
    fn path(&self) -> &Path {
        match self {
            Home::Own(home) => home.path(),
            Home::Shared(home) => home,
        }
    }
}

/// The body of a request of revision 2026-07-28.
pub fn modern_body(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
    });
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// Runs a command of `northstar` on a home.
pub fn command(home: &Path, arguments: &[&str]) -> Output {
    northstar(home, arguments).output().expect("northstar starts")
}

/// A command of `northstar` on a home, whatever the environment of the tests says.
pub fn northstar(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("northstar"));
    command.args(arguments).arg("--home").arg(home).stdin(Stdio::null());
    for name in ["HOME", "STACK", "CLIENT_ID", "CLIENT_SECRET", "PUBLIC_URL"] {
        command.env_remove(format!("NORTHSTAR_{name}"));
    }
    command
}

/// A program of this workspace, as `cargo build --workspace` leaves it.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test.parent().and_then(Path::parent).expect("tests are in target/<profile>/deps");
    let path = profile.join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

/// The top of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository")
}

/// A count, a seed or a rate for the reader of `make test`, past the harness that keeps what tests print to itself;
/// `make soak` collects these lines into `bench/SOAK.md`.
pub fn report(line: &str) {
    let _ = writeln!(std::io::stderr(), "soak: {line}");
}
