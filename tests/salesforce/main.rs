//! The Salesforce project: what `northstar salesforce pack` writes, and what `salesforce diff` finds in it.

mod differences;
mod pack;
mod project;
mod schema;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use black_box::{repository, shared};
use serde_json::Value;
use tempfile::TempDir;

/// What `salesforce/` is made with.
const DEFAULT: [&str; 2] = ["--url", "https://mcp.example.com"];
/// A project of other names and another host.
const OTHER: [&str; 8] = [
    "--url",
    "https://agents.acme-orders.example:8443",
    "--name",
    "Acme_Orders",
    "--agent",
    "Order_Desk",
    "--scope",
    "mcp.write",
];

/// A project in a folder of its own.
struct Packed {
    folder: TempDir,
}

impl Packed {
    fn new(options: &[&str]) -> Packed {
        let packed = Packed { folder: tempfile::tempdir().unwrap() };
        let output = packed.again(options);
        assert!(output.status.success(), "{}", text(&output.stderr));
        packed
    }

    /// Writes into the same folder.
    fn again(&self, options: &[&str]) -> Output {
        let out = self.path().to_str().unwrap();
        shared().command(&[&["salesforce", "pack", "--out", out], options].concat())
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces a text that has to be in a file of the project; the file is the one whose path ends so.
    fn replace(&self, file: &str, from: &str, to: &str) {
        let files = project::read(self.path());
        let (path, content) =
            files.iter().find(|(path, _)| path.ends_with(file)).unwrap_or_else(|| panic!("no {file}"));
        assert!(content.contains(from), "{path} has no {from}");
        std::fs::write(self.path().join(path), content.replace(from, to)).unwrap();
    }

    fn remove(&self, file: &str) {
        let files = project::read(self.path());
        let path = files.keys().find(|path| path.ends_with(file)).unwrap_or_else(|| panic!("no {file}"));
        std::fs::remove_file(self.path().join(path)).unwrap();
    }

    /// `salesforce diff`, its exit code and its JSON.
    fn diff(&self, options: &[&str]) -> (Option<i32>, Value) {
        diff(self.path(), options)
    }
}

fn diff(folder: &Path, options: &[&str]) -> (Option<i32>, Value) {
    let output = shared().command(&[&["salesforce", "diff", folder.to_str().unwrap(), "--json"], options].concat());
    let json = serde_json::from_slice(&output.stdout);
    (output.status.code(), json.unwrap_or_else(|_| panic!("{}", text(&output.stderr))))
}

/// Salesforce's own reader: what it finds below `force-app`, after writing it in metadata format to `output`.
fn convert(project: &Path, output: &Path) -> Output {
    let tools = repository().join(".tools");
    let packages = tools.join("salesforce");
    assert!(packages.join("installed.json").exists(), "packages are missing: run `.ci/tools salesforce` first");
    // It keeps a log in the home directory.
    let home = tempfile::tempdir().unwrap();
    Command::new(tools.join("conformance/node"))
        .current_dir(&packages)
        .arg(repository().join("tests/salesforce/convert.mjs"))
        .args([&project.join("force-app"), output])
        .env("HOME", home.path())
        .output()
        .expect("node starts")
}

fn committed() -> PathBuf {
    repository().join("salesforce")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
