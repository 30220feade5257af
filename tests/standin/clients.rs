//! Clients that others made run a common script: simple-salesforce over TLS, jsforce over plain HTTP.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use black_box::repository;
use salesforce_standin::{ConnectedApp, Options, Org, Standin, USERNAME};
use serde_json::{Value, json};

/// Pages of 200 rows: the demo org's contacts and these are two.
const MORE_CONTACTS: usize = 150;

async fn standin(tls: bool) -> Standin {
    let mut org = Org::demo();
    org.add_contacts(MORE_CONTACTS);
    Standin::start(org, Options { tls, page_size: Some(200), ..Options::default() }).await.unwrap()
}

#[track_caller]
fn tool(path: &str) -> PathBuf {
    let path = repository().join(".tools").join(path);
    assert!(path.exists(), "{} is missing: run `.ci/tools salesforce-clients` first", path.display());
    path
}

/// Runs the script to its end, while the stand-in answers.
async fn run(mut command: Command, standin: &Standin) -> Value {
    let app = ConnectedApp::default();
    command.args([standin.url(), &app.client_id, &app.client_secret, &app.refresh_token]);
    // A proxy of the machine is not for loopback.
    command.env("NO_PROXY", "127.0.0.1,localhost").stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().expect("the client starts")).await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the client failed:\n{errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stdout)))
}

/// What every client gets.
#[track_caller]
fn assert_common(seen: &Value) {
    for (name, expected) in [
        ("created", json!(true)),
        ("updated", json!(204)),
        ("read", json!(["Rosa O'Quist", "Chief"])),
        ("duplicate", json!("DUPLICATES_DETECTED")),
        ("missing_field", json!("REQUIRED_FIELD_MISSING")),
        ("upserted", json!("Second")),
        ("query", json!([null])),
        ("query_more", json!([true, false, true])),
        ("query_all", json!(true)),
        ("malformed", json!("MALFORMED_QUERY")),
        ("grouped", json!(3)),
        ("search", json!(["Acme Energy"])),
        ("describe", json!([false, 80, false])),
        ("objects", json!(["Account", "Contact", "Event", "Lead", "Opportunity", "Organization", "Report", "User"])),
        ("composite", json!([201, 201, 200])),
        ("composite_reference", json!(true)),
        ("bulk", json!([31, 1])),
        ("bulk_results", json!([30, "true", "STRING_TOO_LONG"])),
        ("bulk_delete", json!(0)),
        ("limits", json!(15_000)),
        ("api_usage", json!(15_000)),
        ("deleted", json!(204)),
        ("gone", json!("ENTITY_IS_DELETED")),
    ] {
        assert_eq!(seen[name], expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_salesforce_gets_what_it_expects_from_login_to_bulk() {
    let standin = standin(true).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, standin.root_certificate().unwrap()).unwrap();
    let mut python = Command::new(tool("salesforce-clients/bin/python"));
    python.arg(repository().join("tests/salesforce-clients/script.py"));
    python.env("REQUESTS_CA_BUNDLE", &root).env("PYTHONDONTWRITEBYTECODE", "1");
    let seen = run(python, &standin).await;

    assert_common(&seen);
    for (name, expected) in [
        ("upserts", json!([201, 200])),
        ("by_external_id", json!("Ada Abbott")),
        ("several", json!([300, 2])),
        ("quick_search", json!(true)),
        ("bulk_query", json!([12, 12, 6])),
        ("expired", json!("INVALID_SESSION_ID")),
    ] {
        assert_eq!(seen[name], expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_gets_what_it_expects_from_a_refresh_to_reports() {
    let standin = standin(false).await;
    let mut node = Command::new(tool("conformance/node"));
    node.current_dir(tool("salesforce-node-clients/node_modules").parent().unwrap());
    node.arg(repository().join("tests/salesforce-clients/script.mjs"));
    let seen = run(node, &standin).await;

    assert_common(&seen);
    for (name, expected) in [
        ("userinfo", json!(1)),
        ("upserts", json!([true, false])),
        ("collection", json!([true, "REQUIRED_FIELD_MISSING", true])),
        ("retrieved", json!(["One", "Three"])),
        ("collection_deleted", json!([true, true])),
        ("find", json!(["Acme Retail", "Acme Logistics"])),
        ("children", json!(4)),
        ("bulk_query", json!(30)),
        ("reports", json!(["Contacts by Account", "Opportunities by Stage"])),
        ("report", json!(true)),
        ("identity", json!(USERNAME)),
        ("refreshes", json!(1)),
    ] {
        assert_eq!(seen[name], expected, "{name}");
    }
    assert_eq!(standin.counters().token_refreshes(), 1);
}
