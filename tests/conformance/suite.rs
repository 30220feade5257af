//! Runs the suite, and reads what it says at its end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use black_box::repository;
use serde_json::Value;

/// Longer than a run takes, shorter than patience lasts.
const LIMIT: Duration = Duration::from_secs(120);

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Totals {
    pub passed: u32,
    pub failed: u32,
}

/// Runs `conformance server` against a URL; its failures must be those of the baseline file, all of them.
///
/// Blocks: call it where the server's runtime does not wait for it.
pub fn run(what: &str, url: &str, scenarios: &[&str], baseline: &str) -> Totals {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command("server", folder.path());
    command.args(["--url", url]).args(scenarios);
    command.arg("--expected-failures").arg(repository().join("tests/conformance").join(baseline));
    let (status, output) = finish(&mut command, folder.path());
    if !status.is_some_and(|status| status.success()) {
        let end = output.find("=== SUMMARY ===").unwrap_or_default();
        panic!("{what}: {status:?}\n{}\n{}", complaints(&folder.path().join("results")), &output[end..]);
    }
    let totals = totals(&output);
    println!("conformance, {what}: {} passed, {} failed", totals.passed, totals.failed);
    totals
}

/// Runs a scenario of `conformance client` at a revision; gives how many of its checks passed, otherwise what is not right.
///
/// A warning is not right, and neither is a scenario that checks nothing.
pub fn run_client(scenario: &str, revision: &str) -> Result<u32, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command("client", folder.path());
    command.args(["--command", env!("CARGO_BIN_EXE_conformance-client"), "--scenario", scenario]);
    // Scenarios of extensions belong to no revision: without `--force` they would be left out.
    command.args(["--spec-version", revision, "--force"]);
    let (status, output) = finish(&mut command, folder.path());
    let (passed, _) =
        output.split_once("\nPassed: ").map_or(("0", ""), |(_, rest)| rest.split_once('/').unwrap_or_default());
    match passed.parse() {
        Ok(passed @ 1..) if status.is_some_and(|status| status.success()) => Ok(passed),
        _ => Err(format!("{status:?}\n{}{output}", complaints(&folder.path().join("results")))),
    }
}

fn command(what: &str, folder: &Path) -> Command {
    let mut command = Command::new(tool("node"));
    command.arg(tool("node_modules/.bin/conformance")).arg(what).arg("--output-dir").arg(folder.join("results"));
    // A proxy of the machine is not for loopback.
    command.env("NO_PROXY", "127.0.0.1,localhost");
    command
}

/// Waits for a run, and reads what it wrote; no status when it took too long.
fn finish(command: &mut Command, folder: &Path) -> (Option<ExitStatus>, String) {
    // One run at a time: some checks wait half a second for an answer, and count its absence.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);

    let output = folder.join("output");
    command.stdin(Stdio::null()).stdout(File::create(&output).unwrap());
    command.stderr(File::options().append(true).open(&output).unwrap());
    let mut child = command.spawn().expect("Node.js starts");
    let start = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if start.elapsed() > LIMIT => {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    (status, std::fs::read_to_string(output).unwrap())
}

/// What is not right, a line each: scenario, status, check, reason.
fn complaints(results: &Path) -> String {
    let mut complaints = String::new();
    for folder in std::fs::read_dir(results).into_iter().flatten().flatten() {
        let checks = std::fs::read(folder.path().join("checks.json")).unwrap_or_default();
        let Ok(Value::Array(checks)) = serde_json::from_slice(&checks) else { continue };
        for check in checks.iter().filter(|check| check["status"] == "FAILURE" || check["status"] == "WARNING") {
            let scenario = folder.file_name();
            let [status, id, reason] = ["status", "id", "errorMessage"].map(|field| check[field].as_str());
            let line = [scenario.to_str(), status, id, reason].map(Option::unwrap_or_default).join("  ");
            complaints.extend([line.as_str(), "\n"]);
        }
    }
    complaints
}

/// `Total: 196 passed, 0 failed`
fn totals(output: &str) -> Totals {
    let line = output.lines().find_map(|line| line.strip_prefix("Total: ")).unwrap_or_else(|| panic!("{output}"));
    let mut numbers = line.split(' ').filter_map(|word| word.parse().ok());
    Totals { passed: numbers.next().unwrap(), failed: numbers.next().unwrap() }
}

fn tool(name: &str) -> PathBuf {
    let path = repository().join(".tools/conformance").join(name);
    assert!(path.exists(), "{} is missing: run `.ci/tools conformance` first", path.display());
    path
}
