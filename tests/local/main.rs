//! The local run and the command line, black box: the `northstar` program, its home, what it prints and how it ends.

mod commands;
mod import;
mod serve;

use std::path::Path;
use std::process::Output;

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
