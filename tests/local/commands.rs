//! The commands: what they print, and the exit codes that scripts rely on.

use std::path::Path;
use std::process::{Command, Stdio};

use black_box::{Server, binary, shared};
use registry::ClientId;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{parts, run, run_json, run_with};

#[test]
fn init_makes_what_is_missing_and_nothing_the_second_time() {
    let home = tempfile::tempdir().unwrap();
    let made = json!({ "signing_key": true, "state_key": true, "default_server": true });
    assert_eq!(run_json(home.path(), &["init"]), (0, made));
    let keys = run_json(home.path(), &["key", "list"]);
    let secrets = std::fs::read(home.path().join("secrets.json")).unwrap();

    let nothing = json!({ "signing_key": false, "state_key": false, "default_server": false });
    assert_eq!(run_json(home.path(), &["init"]), (0, nothing));
    let (code, output, _) = run(home.path(), &["init"]);
    assert_eq!((code, output.matches("was there").count()), (0, 3), "{output}");
    assert_eq!(run_json(home.path(), &["key", "list"]), keys);
    assert_eq!(std::fs::read(home.path().join("secrets.json")).unwrap(), secrets);
}

#[test]
fn token_prints_the_token_and_nothing_else() {
    let (code, output, errors) = run(shared().home(), &["token"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let token = output.strip_suffix('\n').unwrap();
    assert_eq!(token.split('.').count(), 3, "{token}");
    assert!(!token.contains(char::is_whitespace), "{token}");
}

#[test]
fn token_with_json_prints_the_whole_answer() {
    let (code, token) = run_json(shared().home(), &["token", "--scope", "mcp.read mcp.write", "--server", "default"]);
    assert_eq!(code, 0);
    let fields: Vec<&String> = token.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["access_token", "token_type", "expires_in", "scope"]);
    assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(token["scope"], "mcp.read mcp.write");
}

#[test]
fn a_refused_token_request_ends_with_1_and_says_why() {
    for (arguments, says) in [
        (&["token", "--scope", "mcp.admin"][..], "invalid_scope"),
        (&["token", "--server", "nowhere"], "invalid_target"),
    ] {
        let (code, output, errors) = run(shared().home(), arguments);
        assert_eq!((code, output.as_str()), (1, ""), "{arguments:?}");
        assert!(errors.starts_with("error: ") && errors.contains(says), "{errors}");
    }
}

#[test]
fn call_prints_the_answer_and_ends_with_0() {
    let (code, output, errors) = run(shared().home(), &["call", "get_order_status", "order_id=1001"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(output, "order_id  1001\nstatus    SHIPPED\ncarrier   UPS\neta       2026-07-03\n");

    let (code, result) = run_json(shared().home(), &["call", "get_order_status", "order_id=1001"]);
    assert_eq!((code, &result["structuredContent"]["status"]), (0, &json!("SHIPPED")));

    let (code, output, _) = run(shared().home(), &["call", "list_customer_orders", "customer_id=C-0001"]);
    assert!(code == 0 && output.contains("orders:\n") && output.contains("order_id"), "{output}");
}

#[test]
fn call_ends_with_1_when_the_answer_is_no() {
    for (arguments, says) in [
        (&["get_order_status", "order_id=no-such-order"][..], "There is no order no-such-order."),
        (&["get_order_status"], "order_id is missing"),
        (&["get_order_status", "order_id=1001", "colour=red"], "colour is unknown; the arguments are order_id"),
        (&["get_order_status", "order_id=a b"], "order_id does not have the right form"),
        (&["get_order_status", "order_id="], "order_id does not have the right form"),
        (&["list_customer_orders", "customer_id=C-0001", "status=LOST"], "status is one of PENDING"),
    ] {
        let arguments = [&["call"], arguments].concat();
        let (code, output, errors) = run(shared().home(), &arguments);
        assert_eq!((code, errors.as_str()), (1, ""), "{arguments:?}");
        assert!(output.starts_with(says), "{arguments:?}: {output}");
        let (code, result) = run_json(shared().home(), &arguments);
        assert_eq!((code, &result["isError"]), (1, &json!(true)), "{arguments:?}");
    }
}

#[test]
fn call_of_an_unknown_tool_or_server_ends_with_1_and_says_so() {
    for (arguments, says) in [
        (&["call", "get_order_stat", "order_id=1001"][..], "there is no tool of this name"),
        (&["call", "get_order_status", "order_id=1001", "--server", "nowhere"], "invalid_target"),
        (&["call", "get_order_status", "order_id=1001", "--scope", "nothing"], "invalid_scope"),
    ] {
        for json in [&[][..], &["--json"]] {
            let (code, output, errors) = run(shared().home(), &[arguments, json].concat());
            assert_eq!((code, output.as_str()), (1, ""), "{arguments:?}");
            assert!(errors.starts_with("error: ") && errors.contains(says), "{errors}");
        }
    }
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [
        &[][..],
        &["fly"],
        &["init", "--fly"],
        &["init", "more"],
        &["serve", "--fly"],
        &["token", "--fly"],
        &["call"],
        &["call", "get_order_status", "order_id"],
        &["call", "get_order_status", "=1001"],
        &["client"],
        &["client", "create"],
        &["client", "create", "A", "--token-lifetime", "2h"],
        &["client", "create", "A", "--token-lifetime", "30s"],
        &["client", "create", "A", "--token-lifetime", "15"],
        &["client", "create", "A", "--expires", "tomorrow"],
        &["client", "create", "A", "--expires", "2027-02-30"],
        &["client", "create", "A", "--auth-method", "none"],
        &["client", "create", "A", "--scope", "mcp.admin"],
        &["client", "create", "A", "--scope", ""],
        &["client", "create", "A", "--server", "nowhere"],
        &["client", "create", "A", "--server", "NO WHERE"],
        &["client", "create", "A", "--server", "default", "--quiet-period", "31d"],
        &["client", "create", "A", "--quiet-period", "0s"],
        &["client", "create", "A\nB"],
        &["client", "create", " "],
        &["client", "create", "A", "--assertion-audience", "anybody"],
        &["client", "show"],
        &["client", "update"],
        &["client", "update", "demo", "--expires", "tomorrow"],
        &["client", "update", "demo", "--token-lifetime", "61m"],
        &["client", "update", "demo", "--quiet-period", "7"],
        &["client", "enable"],
        &["client", "rotate"],
        &["client", "rotate", "demo", "--retire-previous", "--compromised"],
        &["client", "delete"],
        &["token", "revoke", "a-token"],
        &["audit"],
        &["audit", "explain"],
        &["audit", "explain", "a b"],
        &["stdio", "--server", "No Where"],
        &["stdio", "--fly"],
        &["audit", "tail", "--since", "yesterday"],
        &["audit", "tail", "-n", "-1"],
        &["audit", "tail", "--fn", "orders"],
        &["audit", "tail", "--client", "a b"],
        &["audit", "tail", "--outcome", "\" || \""],
        &["client", "disable"],
        &["key", "make"],
        &["import"],
        &["import", "invoices", "file.csv"],
        &["import", "orders"],
        &["import", "orders", "file.csv", "--map", "a"],
        &["import", "orders", "file.csv", "--set", "=b"],
    ] {
        let (code, output, errors) = run(home.path(), arguments);
        assert_eq!((code, output.as_str()), (2, ""), "{arguments:?}: {errors}");
        assert!(!errors.is_empty(), "{arguments:?}");
    }
    assert_eq!(run_json(home.path(), &["client", "list"]), (0, json!([])), "nothing has been made");
}

#[test]
fn help_and_version_end_with_0() {
    let home = tempfile::tempdir().unwrap();
    for command in ["serve", "init", "token", "call", "stdio", "client", "key", "audit", "import"] {
        let (code, output, _) = run(home.path(), &[command, "--help"]);
        assert!(code == 0 && output.contains("Usage: northstar "), "{command}: {output}");
        assert!(run(home.path(), &["--help"]).1.contains(&format!("\n  {command} ")), "{command}");
    }
    assert!(run(home.path(), &["--version"]).1.starts_with("northstar "));
}

#[test]
fn clients_are_managed_while_serve_runs() {
    let server = Server::start(&[]);
    assert_clients_are_managed(server.home(), 1);
}

#[test]
fn clients_are_managed_without_serve() {
    let home = initialised();
    assert_clients_are_managed(home.path(), 0);
}

#[test]
fn a_client_made_without_serve_gets_a_token_when_it_runs() {
    let home = initialised();
    let (_, made) = run_json(home.path(), &["client", "create", "Early", "--scope", "mcp.write"]);
    let server = Server::start_in(home.path(), 0, &[]);
    let credentials = credentials(&made);
    let (code, output, _) = run_as(&server, &credentials, &["token", "--scope", "mcp.write", "--json"]);
    let token: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((code, &token["scope"]), (0, &json!("mcp.write")));
}

#[test]
fn a_secret_is_shown_once_and_stands_in_no_other_output() {
    let server = Server::start(&[]);
    let (code, output, errors) = run(server.home(), &["client", "create", "Printed"]);
    assert_eq!(code, 0);
    let field = |name: &str| {
        let line = output.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{output}"));
        line.trim().to_owned()
    };
    let (id, secret) = (field("client_id"), field("client_secret"));
    assert!(secret.len() >= 32 && !errors.contains(&secret), "{errors}");
    let (code, ..) = run_as(&server, &[("NORTHSTAR_CLIENT_ID", &id), ("NORTHSTAR_CLIENT_SECRET", &secret)], &["token"]);
    assert_eq!(code, 0);

    for arguments in [
        &["client", "list"][..],
        &["client", "show", &id],
        &["client", "disable", &id],
        &["key", "list"],
        &["init"],
        &["token"],
        &["call", "get_order_status", "order_id=1001"],
    ] {
        for json in [&[][..], &["--json"]] {
            let (_, output, errors) = run(server.home(), &[arguments, json].concat());
            for known in [&secret, &server.client_secret] {
                assert!(!output.contains(known) && !errors.contains(known), "{arguments:?} {json:?}");
            }
        }
    }
    assert!(!server.log().contains(&secret), "the request lines");
    for file in ["demo.json", "token-request", "northstar.db"] {
        let content = std::fs::read(server.home().join(file)).unwrap();
        assert!(!content.windows(secret.len()).any(|window| window == secret.as_bytes()), "{file}");
    }
}

#[test]
fn a_client_id_is_never_taken_for_an_option() {
    assert!((0..2_000).all(|_| !ClientId::generate().as_str().starts_with('-')));
}

#[test]
fn a_disabled_client_gets_no_token() {
    let server = shared();
    let made = server.json_command(&["client", "create", "Disabled"]);
    assert_eq!(run(server.home(), &["client", "disable", made["client_id"].as_str().unwrap()]).0, 0);
    let (code, output, errors) = run_as(server, &credentials(&made), &["token"]);
    assert_eq!((code, output.as_str()), (1, ""));
    assert!(errors.contains("401") && errors.contains("invalid_client"), "{errors}");
}

#[test]
fn a_client_with_one_way_to_authenticate_is_refused_the_other() {
    let server = shared();
    let made = server.json_command(&["client", "create", "Basic", "--auth-method", "client_secret_basic"]);
    // The command line sends its secret in the body.
    let (code, _, errors) = run_as(server, &credentials(&made), &["token"]);
    assert!(code == 1 && errors.contains("invalid_client"), "{errors}");
}

#[test]
fn the_environment_names_the_client() {
    let server = shared();
    let made = server.json_command(&["client", "create", "From the environment"]);
    let credentials = credentials(&made);
    let (code, output, _) = run_as(server, &credentials, &["call", "get_order_status", "order_id=1001", "--json"]);
    assert_eq!(code, 0, "{output}");
    assert!(server.log().contains(&format!("\"client\":\"{}\"", made["client_id"].as_str().unwrap())));

    let wrong = [credentials[0], ("NORTHSTAR_CLIENT_SECRET", "wrong")];
    let (code, _, errors) = run_as(server, &wrong, &["token"]);
    assert!(code == 1 && errors.contains("invalid_client"), "{errors}");
    for half in [&credentials[..1], &credentials[1..]] {
        let (code, _, errors) = run_as(server, half, &["token"]);
        assert!(code == 2 && errors.contains("set both"), "{errors}");
    }
}

#[test]
fn the_environment_names_the_server_and_no_home_is_needed_then() {
    let (server, elsewhere) = (shared(), tempfile::tempdir().unwrap());
    let names = [
        ("NORTHSTAR_CLIENT_ID", server.client_id.as_str()),
        ("NORTHSTAR_CLIENT_SECRET", server.client_secret.as_str()),
        ("NORTHSTAR_PUBLIC_URL", server.url.as_str()),
    ];
    let (code, output, errors) = run_in(elsewhere.path(), &names, &["call", "get_order_status", "order_id=1001"]);
    assert!(code == 0 && output.contains("SHIPPED"), "{output}{errors}");

    let (code, _, errors) = run_in(elsewhere.path(), &names[..2], &["token"]);
    assert!(code == 1 && errors.contains("has no demo.json") && errors.contains("NORTHSTAR_PUBLIC_URL"), "{errors}");
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0, "a client makes nothing");

    let nobody = [names[0], names[1], ("NORTHSTAR_PUBLIC_URL", "http://127.0.0.1:1")];
    let (code, _, errors) = run_in(elsewhere.path(), &nobody, &["token"]);
    assert!(code == 1 && errors.contains("http://127.0.0.1:1/token cannot be reached"), "{errors}");
}

#[test]
fn the_environment_names_the_home() {
    let home = initialised();
    let mut command = Command::new(binary("northstar"));
    command.args(["key", "list", "--json"]).env("NORTHSTAR_HOME", home.path()).stdin(Stdio::null());
    let (code, output, _) = parts(command.output().unwrap());
    let keys: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((code, keys.as_array().unwrap().len()), (0, 1));
}

#[test]
fn key_list_shows_the_key_that_signs() {
    let home = initialised();
    let (code, keys) = run_json(home.path(), &["key", "list"]);
    assert_eq!((code, keys.as_array().unwrap().len()), (0, 1));
    assert_eq!((&keys[0]["algorithm"], &keys[0]["not_after"]), (&json!("RS256"), &Value::Null));
    let (code, output, _) = run(home.path(), &["key", "list"]);
    assert!(code == 0 && output.contains(keys[0]["kid"].as_str().unwrap()), "{output}");
    assert!(!output.contains("PRIVATE") && !keys.to_string().contains("PRIVATE"));
}

#[test]
fn commands_beside_each_other_on_one_home_all_succeed() {
    let home = initialised();
    let server = Server::start_in(home.path(), 0, &[]);
    let made: Vec<i32> = std::thread::scope(|scope| {
        let start = |number: usize| {
            let home = server.home();
            scope.spawn(move || run(home, &["client", "create", &format!("Client {number}")]).0)
        };
        let running: Vec<_> = (0..8).map(start).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made, [0; 8]);
    assert_eq!(run_json(home.path(), &["client", "list"]).1.as_array().unwrap().len(), 9);
}

/// Create, list, show, disable, with the texts for people and the documents for programs.
#[track_caller]
fn assert_clients_are_managed(home: &Path, others: usize) {
    let (code, made) = run_json(
        home,
        &["client", "create", "Service Agent", "--scope", "mcp.read", "--scope", "mcp.write", "--server", "default"]
            .into_iter()
            .chain(["--auth-method", "client_secret_post", "--token-lifetime", "5m", "--expires", "2099-01-31"])
            .collect::<Vec<_>>(),
    );
    assert_eq!(code, 0);
    let fields: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["client_id", "client_secret"]);
    let id = made["client_id"].as_str().unwrap();

    let (code, list) = run_json(home, &["client", "list"]);
    assert_eq!((code, list.as_array().unwrap().len()), (0, others + 1));
    let (code, shown) = run_json(home, &["client", "show", id]);
    let listed = list.as_array().unwrap().iter().find(|client| client["client_id"] == id).unwrap();
    assert!(code == 0 && ["name", "status", "created_at"].iter().all(|name| listed[name] == shown[name]), "{list}");
    assert_eq!((&shown["name"], &shown["status"]), (&json!("Service Agent"), &json!("active")));
    assert_eq!((&shown["servers"], &shown["auth_methods"]), (&json!(["default"]), &json!(["client_secret_post"])));
    assert_eq!((&shown["token_lifetime"], &shown["expires_at"]), (&json!(300), &json!(4_073_500_800_u64)));

    let (code, output, _) = run(home, &["client", "list"]);
    assert!(code == 0 && output.contains(id) && output.contains("Service Agent"), "{output}");
    let (code, output, _) = run(home, &["client", "show", id]);
    assert!(code == 0 && output.contains("expires         2099-01-31T00:00:00Z"), "{output}");

    let (code, disabled) = run_json(home, &["client", "disable", id]);
    assert_eq!((code, &disabled["status"]), (0, &json!("disabled")));
    assert_eq!(run_json(home, &["client", "disable", id]).0, 0, "twice is no error");
    assert_eq!(run_json(home, &["client", "show", id]).1["status"], "disabled");

    for unknown in ["nobody", "NO BODY", "../demo"] {
        for command in ["show", "disable"] {
            let (code, output, errors) = run(home, &["client", command, unknown]);
            assert_eq!((code, output.as_str()), (1, ""), "{command} {unknown}");
            assert!(errors.contains("there is no client"), "{errors}");
        }
    }
}

fn initialised() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(run(home.path(), &["init"]).0, 0);
    home
}

fn credentials(made: &Value) -> [(&'static str, &str); 2] {
    [
        ("NORTHSTAR_CLIENT_ID", made["client_id"].as_str().unwrap()),
        ("NORTHSTAR_CLIENT_SECRET", made["client_secret"].as_str().unwrap()),
    ]
}

/// Runs a command on a server's home with more in the environment.
fn run_as(server: &Server, environment: &[(&str, &str)], arguments: &[&str]) -> (i32, String, String) {
    run_in(server.home(), environment, arguments)
}

fn run_in(home: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> (i32, String, String) {
    run_with(home, environment, "", arguments)
}
