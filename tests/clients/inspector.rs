//! The MCP Inspector on the command line, with a token from elsewhere.

use black_box::{Server, shared};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{AUTO, LEGACY, NO_ORDER, Run, TOOLS, node, order_1001, renaming, run};

/// Its word for a client that speaks nothing older.
const MODERN: (&str, &str) = ("modern", "2026-07-28");

/// Exit codes, as the Inspector has them.
const OK: Option<i32> = Some(0);
const AUTH_REQUIRED: Option<i32> = Some(3);
const TOOL_ERROR: Option<i32> = Some(5);

#[tokio::test]
async fn inspector_in_legacy_mode_gets_an_order() {
    gets_an_order(shared(), LEGACY).await;
}

#[tokio::test]
async fn inspector_in_auto_mode_gets_an_order() {
    gets_an_order(shared(), AUTO).await;
}

#[tokio::test]
async fn inspector_in_modern_mode_gets_an_order() {
    gets_an_order(shared(), MODERN).await;
}

#[tokio::test]
async fn inspector_gets_an_order_in_every_mode_when_the_gateway_renames_the_challenge() {
    for mode in [LEGACY, AUTO, MODERN] {
        gets_an_order(renaming(), mode).await;
    }
}

#[test]
fn inspector_with_a_wrong_token_says_that_it_needs_another() {
    for (mode, _) in [LEGACY, AUTO, MODERN] {
        let run = Inspector::new(shared(), mode, Some("wrong")).run(&["--method", "tools/list"]);
        assert_eq!(
            (run.code, &error(&run)["code"]),
            (AUTH_REQUIRED, &json!("auth_required")),
            "{mode}: {}",
            run.errors
        );
    }
}

#[tokio::test]
async fn inspector_finds_nothing_in_the_schemas_of_the_tools_that_other_clients_could_not_read() {
    let token = shared().token().await;
    let run = Inspector::new(shared(), "auto", Some(&token)).run(&["--method", "tools/list", "--strict"]);
    assert_eq!((run.code, run.errors.as_str()), (OK, ""));
}

/// From 401 to an order and to the sentence for one that is not there.
async fn gets_an_order(server: &Server, (mode, revision): (&str, &str)) {
    // A client of its own, to know its lines in the log.
    let (client_id, client_secret) = server.new_client(&[]);
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client_id.as_str()),
        ("client_secret", client_secret.as_str()),
    ];
    let answer = server.request("POST", "/token").form(&form).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap();

    let run = Inspector::new(server, mode, None).run(&["--method", "tools/list"]);
    assert_eq!((run.code, &error(&run)["code"]), (AUTH_REQUIRED, &json!("auth_required")), "{}", run.errors);

    let inspector = Inspector::new(server, mode, Some(token));
    let run = inspector.run(&["--method", "tools/list"]);
    assert_eq!(run.code, OK, "{}", run.errors);
    let tools = result(&run)["tools"].take();
    let names: Vec<&Value> = tools.as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, TOOLS);

    let run = inspector.call(r#"{"order_id":"1001"}"#);
    assert_eq!((run.code, &result(&run)["structuredContent"]), (OK, &order_1001()), "{}", run.errors);

    let run = inspector.call(r#"{"order_id":"no-such-order"}"#);
    assert_eq!((run.code, &result(&run)["content"][0]["text"]), (TOOL_ERROR, &json!(NO_ORDER)), "{}", run.errors);
    assert_eq!(error(&run)["code"], "tool_is_error");

    assert_spoke(server, &client_id, revision);
}

/// The server's log has requests of the client, and all of them at this revision.
#[track_caller]
fn assert_spoke(server: &Server, client_id: &str, revision: &str) {
    let log = server.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines: Vec<Value> = lines.filter(|line| line["fn"] == "mcp" && line["client"] == client_id).collect();
    assert!(lines.len() >= 3 && lines.iter().all(|line| line["rev"] == revision), "{revision}: {lines:#?}");
}

#[track_caller]
fn result(run: &Run) -> Value {
    let mut output: Value =
        serde_json::from_str(&run.output).unwrap_or_else(|_| panic!("{}\n{}", run.output, run.errors));
    output["result"].take()
}

#[track_caller]
fn error(run: &Run) -> Value {
    let mut errors: Value =
        serde_json::from_str(&run.errors).unwrap_or_else(|_| panic!("{}\n{}", run.output, run.errors));
    errors["error"].take()
}

/// One server, one mode, and perhaps a token.
struct Inspector {
    arguments: Vec<String>,
    home: TempDir,
}

impl Inspector {
    fn new(server: &Server, mode: &str, token: Option<&str>) -> Inspector {
        let url = format!("{}/mcp", server.url);
        // It would start to sign in by a browser.
        let mut arguments = vec!["--cli", &url, "--transport", "http", "--protocol-era", mode, "--stored-auth-only"];
        let header = token.map(|token| format!("Authorization: Bearer {token}"));
        arguments.extend(header.iter().flat_map(|header| ["--header", header]));
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        Inspector { arguments, home: tempfile::tempdir().unwrap() }
    }

    #[track_caller]
    fn call(&self, arguments: &str) -> Run {
        self.run(&["--method", "tools/call", "--tool-name", "get_order_status", "--tool-args-json", arguments])
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = node();
        command.arg("node_modules/.bin/mcp-inspector").args(&self.arguments).args(["--format", "json", "-q"]);
        // What it keeps, it keeps for this test: files in the home, secrets in memory and not in a keychain.
        command.env("HOME", self.home.path()).env("MCP_INSPECTOR_SECRET_STORE", "memory");
        run(command.args(arguments))
    }
}
