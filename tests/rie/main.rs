//! The functions under AWS's own Runtime Interface Emulator: the release bootstraps, or the programs of this build where
//! the release ones are not there or older. The emulator is a program for Linux.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use black_box::functions::{
    BROKEN_EVENTS, CONNECT_EVENTS, MCP_EVENTS, TOKEN_EVENTS, assert_answer, assert_is_invalid_event, assert_is_page,
    body, environment,
};
use black_box::proxy::{Mode, Proxy};
use black_box::{binary, event, repository, shared};
use serde_json::Value;
use tempfile::TempDir;

/// Longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Seconds that the stack gives an invocation.
const TIME: u64 = 29;

#[tokio::test]
async fn the_token_function_answers_every_event_of_its_folder_under_the_emulator() {
    let server = shared();
    let token = server.token().await;
    let emulator = Emulator::start("token", environment("token", server), TIME).await;
    for (file, status, check) in TOKEN_EVENTS {
        let answer = emulator.invoke(&event(&format!("token/{file}"), server, &token)).await;
        assert_answer(file, &answer, status);
        check(server, &answer["headers"], body(&answer));
    }
}

#[tokio::test]
async fn the_mcp_function_answers_every_event_of_its_folder_under_the_emulator() {
    let server = shared();
    let token = server.token().await;
    let emulator = Emulator::start("mcp", environment("mcp", server), TIME).await;
    for (file, says) in BROKEN_EVENTS {
        let answer = emulator.invoke(&event(&format!("mcp/{file}"), server, &token)).await;
        assert_is_invalid_event(file, &answer, says);
    }
    for (file, status, check) in MCP_EVENTS {
        let answer = emulator.invoke(&event(&format!("mcp/{file}"), server, &token)).await;
        assert_answer(file, &answer, status);
        check(server, &answer["headers"], body(&answer));
    }
}

#[tokio::test]
async fn the_connect_function_answers_every_event_of_its_folder_under_the_emulator() {
    let server = shared();
    let emulator = Emulator::start("connect", environment("connect", server), TIME).await;
    for (file, status, heading) in CONNECT_EVENTS {
        let answer = emulator.invoke(&event(&format!("connect/{file}"), server, "")).await;
        assert_is_page(file, &answer, status, heading);
    }
}

#[tokio::test]
async fn a_tool_on_a_silent_table_is_answered_before_the_emulator_ends_the_invocation() {
    let server = shared();
    let proxy = Proxy::start(&server.dynamodb_url(), Mode::Pass);
    let mut environment = environment("mcp", server);
    environment.retain(|(name, _)| *name != "AWS_ENDPOINT_URL_DYNAMODB");
    environment.push(("AWS_ENDPOINT_URL_DYNAMODB", proxy.url.clone()));
    let emulator = Emulator::start("mcp", environment, 3).await;
    let token = server.token().await;
    let answer = emulator.invoke(&event("mcp/tools_list", server, &token)).await;
    assert_answer("warm", &answer, 200);

    proxy.set(Mode::Silent);
    let answer = emulator.invoke(&event("mcp/tools_call_get_order_status", server, &token)).await;
    assert_answer("silent", &answer, 200);
    let result = &body(&answer)["result"];
    assert_eq!(result["isError"], true);
    assert_eq!(result["content"][0]["text"], "The table orders did not answer in time. Try again in a minute.");
}

/// The emulator with a function in it; both end with this.
struct Emulator {
    child: Child,
    url: String,
    output: TempDir,
}

impl Emulator {
    /// Starts a function whose invocations may take this many seconds.
    async fn start(function: &str, environment: Vec<(&'static str, String)>, time: u64) -> Emulator {
        let program = repository().join(".tools/rie/aws-lambda-rie");
        assert!(program.exists(), "{} is missing: run `.ci/tools rie` first", program.display());
        let [address, runtime_api] = free_addresses();
        let output = tempfile::tempdir().unwrap();
        let log = File::create(output.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(["--runtime-interface-emulator-address", &address.to_string()])
            .args(["--runtime-api-address", &runtime_api.to_string()])
            .arg(bootstrap(function))
            .env_clear()
            .envs(environment)
            .env("AWS_LAMBDA_FUNCTION_TIMEOUT", time.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the emulator starts");
        let url = format!("http://{address}/2015-03-31/functions/function/invocations");
        let emulator = Emulator { child, url, output };
        let start = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            assert!(start.elapsed() < PATIENCE, "the emulator does not listen:\n{}", emulator.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        emulator
    }

    /// Invokes the function; its answer.
    async fn invoke(&self, event: &Value) -> Value {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let answer = client.post(&self.url).body(event.to_string()).send().await.unwrap().text().await.unwrap();
        match serde_json::from_str(&answer) {
            Ok(answer @ Value::Object(_)) => answer,
            _ => panic!("{answer}\n{}", self.log()),
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.output.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Told to, it ends the function first. Killed, it would leave that to the function, which sees the end of the
        // Runtime API.
        let _ = Command::new("bash").args(["-c", "kill -s TERM $0", &self.child.id().to_string()]).status();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program to run, which is said.
fn bootstrap(function: &str) -> PathBuf {
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { std::env::consts::ARCH };
    let built = binary(function);
    let shipped = repository().join(format!("target/lambda-{machine}")).join(function).join("bootstrap");
    let (program, why) = match (modified(&shipped), modified(&built)) {
        (Some(shipped_at), built_at) if Some(shipped_at) >= built_at => (shipped, "as it ships"),
        (Some(_), _) => (built, "of this build, which is newer than the one of `make build`"),
        (None, _) => (built, "of this build, as `make build` has made none"),
    };
    println!("emulator: {}, {why}", program.strip_prefix(repository()).unwrap_or(&program).display());
    program
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// Two addresses on which nobody listens at the moment.
fn free_addresses() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}
