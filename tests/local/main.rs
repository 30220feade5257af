//! The local run and the command line, black box: the `northstar` program, its home, what it prints and how it ends.

mod audit;
mod clients;
mod commands;
mod diagnosis;
mod explain;
mod import;
mod live_servers;
mod orgs;
mod serve;
mod servers;
mod stdio;
mod upstreams;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Exit code, standard output, standard error.
fn parts(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("northstar writes UTF-8");
    (output.status.code().expect("northstar ends by itself"), text(output.stdout), text(output.stderr))
}

/// Runs a command on a home: exit code, standard output, standard error.
fn run(home: &Path, arguments: &[&str]) -> (i32, String, String) {
    parts(black_box::command(home, arguments))
}

/// Runs a command with `--json`: exit code, and the one document on standard output.
#[track_caller]
fn run_json(home: &Path, arguments: &[&str]) -> (i32, Value) {
    let (code, output, errors) = run(home, &[arguments, &["--json"]].concat());
    let document = serde_json::from_str(&output);
    (code, document.unwrap_or_else(|_| panic!("{arguments:?}: not one JSON document: {output}{errors}")))
}

/// Runs a command with more in the environment, and with what it reads on standard input.
fn run_with(home: &Path, environment: &[(&str, &str)], input: &str, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(black_box::binary("northstar"));
    for name in
        ["NORTHSTAR_HOME", "NORTHSTAR_STACK", "NORTHSTAR_CLIENT_ID", "NORTHSTAR_CLIENT_SECRET", "NORTHSTAR_PUBLIC_URL"]
    {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .arg("--home")
        .arg(home)
        .env_remove("NORTHSTAR_ACCESS_TOKEN")
        .envs(environment.iter().copied());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("northstar starts");
    // A command that reads nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    parts(child.wait_with_output().unwrap())
}
