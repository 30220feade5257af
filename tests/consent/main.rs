//! The consent, as people give it: an authorization server that others made (npm `oidc-provider`), Chromium, a stand-in for
//! the MCP servers that Salesforce hosts, and a local run between them. Screenshots are left in `target/consent`.

mod authorization_server;
mod browser;
mod journey;
mod salesforce;
mod traces;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use black_box::{Server, repository};
use serde_json::{Value, json};

use authorization_server::AuthorizationServer;
use browser::browse;

/// What the upstream is called; the app of `serve --with-org` knows its callback URL.
const NAME: &str = "hosted";
/// The query of the test.
const QUERY: &str = "SELECT Id, Name, Industry FROM Account ORDER BY CreatedDate DESC LIMIT 3";

/// A program of a part of `.ci/tools`.
#[track_caller]
fn tool(part: &str, path: &str) -> PathBuf {
    let path = repository().join(".tools").join(path);
    assert!(path.exists(), "{} is missing: run `.ci/tools {part}` first", path.display());
    path
}

/// A script of `tests/consent` on Node.js, in the folder of its packages.
#[track_caller]
fn script(name: &str) -> Command {
    let text = std::fs::read_to_string(repository().join("tests/consent").join(name)).unwrap();
    let mut node = Command::new(tool("consent", "conformance/node"));
    node.current_dir(tool("consent", "consent/node_modules").parent().unwrap());
    // From an argument Node.js looks for packages in the working directory.
    node.args(["--input-type=module", "--eval", &text, "--"]);
    // A proxy of the machine is not for loopback.
    node.env("NO_PROXY", "127.0.0.1").stdin(Stdio::null());
    node
}

/// The link of `upstream connect`.
fn link(server: &Server) -> String {
    server.json_command(&["upstream", "connect", NAME])["link"].as_str().unwrap().to_owned()
}

/// Makes a server of the upstream's accepted tools, and a client that may call it.
fn serve_tools(server: &Server, folder: &Path) -> (String, String) {
    let accepted = server.json_command(&["upstream", "accept", NAME]);
    assert_eq!(accepted["accepted"], 11, "{accepted}");
    let file = folder.join("server.yaml");
    let text = format!("servers:\n  - name: crm\n    upstreams:\n      - {{ name: {NAME}, prefix: sf_ }}\n");
    std::fs::write(&file, text).unwrap();
    server.json_command(&["server", "apply", file.to_str().unwrap()]);
    server.new_client(&["--server", "crm", "--scope", "mcp.read"])
}

/// Lists the tools of `/mcp/crm` and queries accounts, with the official Python client.
#[track_caller]
fn query(server: &Server, client: &(String, String)) -> Value {
    let mut python = Command::new(tool("clients", "clients/bin/python"));
    python.arg(repository().join("tests/clients/python/mcp_client.py"));
    let calls = json!([["sf_soqlQuery", { "q": QUERY }]]).to_string();
    python.args([&format!("{}/mcp/crm", server.url), "auto", "client_secret_basic", &calls]);
    python.env("CLIENT_ID", &client.0).env("CLIENT_SECRET", &client.1);
    let output = python.env("NO_PROXY", "127.0.0.1").env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), server.log());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asserts that a query has found the three accounts.
#[track_caller]
fn assert_three_accounts(seen: &Value) {
    let result = &seen["results"][0];
    assert_eq!(result["is_error"], false, "{seen}");
    let found: Value = serde_json::from_str(result["text"].as_str().unwrap()).unwrap();
    let records = found["records"].as_array().unwrap_or_else(|| panic!("{found}"));
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record["Name"].is_string() && record["Industry"].is_string()), "{found}");
}

/// Asserts that a page is one of ours for people: its language, a title, a heading, and no script.
#[track_caller]
fn assert_is_our_page(page: &Value, server: &Server) {
    assert!(page["url"].as_str().unwrap().starts_with(&server.url), "{page}");
    assert_eq!(page["lang"], "en", "{page}");
    for part in ["title", "heading"] {
        assert!(!page[part].as_str().unwrap().is_empty(), "{page}");
    }
}
