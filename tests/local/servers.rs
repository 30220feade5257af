//! Servers from a definitions file: applied, shown, compared, guarded, asked about, deleted.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_clients::{AwsClients, AwsSettings};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use black_box::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{run, run_json, run_with};

/// Two servers over the same tables and one over a table of the test's own.
const THREE: &str = r#"
servers:
  - name: orders
    title: Orders and loyalty
    description: Order status and loyalty points for the service agent
    instructions: Use order numbers exactly as the customer gives them.
    production: true
    timeout: 20s
    tools: [get_order_status, check_loyalty_points, list_customer_orders]
    limits: { per_client: 50/min, burst: 20, per_tool: { list_customer_orders: 10/min }, per_day: 5000 }
    log: calls
  - name: points
    tools: [check_loyalty_points]
  - name: warranty
    tools:
      - lookup: get_warranty
        table: warranties
        key: { serial_number: { title: Serial number, description: "As printed on the box", pattern: "^[A-Z0-9]{8,16}$" } }
        returns: { product: string, valid_until: string, covered: boolean }
        rename: { validTo: valid_until }
        mask: [owner_email]
      - lookup: list_warranties
        table: warranties
        index: by_owner
        key: { owner: { title: Owner, description: Number of the customer } }
        page: 10
        returns: { serial_number: string, product: string }
"#;

fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(run(home.path(), &["init"]).0, 0);
    home
}

/// A definitions file; its path as an argument.
fn file(folder: &Path, definitions: &str) -> String {
    let path: PathBuf = folder.join("servers.yaml");
    std::fs::write(&path, definitions).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The servers of a home, as `show --json` has them.
fn shown(home: &Path) -> Value {
    let (code, document) = run_json(home, &["server", "show"]);
    assert_eq!(code, 0);
    document
}

/// A table of warranties by serial number, with an index that has the keys and the product only, and one item.
async fn make_warranties(server: &Server) {
    let dynamodb = AwsClients::new(&AwsSettings::local(server.dynamodb_url())).dynamodb;
    let text = |name: &str| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let partition =
        |name: &str| KeySchemaElement::builder().attribute_name(name).key_type(KeyType::Hash).build().unwrap();
    let projection = Projection::builder().projection_type(ProjectionType::Include).non_key_attributes("product");
    let index = GlobalSecondaryIndex::builder()
        .index_name("by_owner")
        .key_schema(partition("owner"))
        .projection(projection.build())
        .build()
        .unwrap();
    let table = dynamodb.create_table().table_name("warranties").billing_mode(BillingMode::PayPerRequest);
    let table = table.attribute_definitions(text("serial_number")).attribute_definitions(text("owner"));
    table.key_schema(partition("serial_number")).global_secondary_indexes(index).send().await.unwrap();
    let value = |text: &str| AttributeValue::S(text.to_owned());
    let put = dynamodb.put_item().table_name("warranties").item("serial_number", value("AB12CD34"));
    let put = put.item("product", value("Kettle")).item("validTo", value("2027-01-31")).item("owner", value("C-0001"));
    put.item("covered", AttributeValue::Bool(true)).item("owner_email", value("jo@example.com")).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_of_one_file_are_called_without_a_restart() {
    let server = Server::start(&[]);
    make_warranties(&server).await;
    assert_eq!(run(server.home(), &["token"]).0, 0);
    let definitions = file(server.home(), THREE);
    let (code, output, errors) = run(server.home(), &["server", "apply", &definitions, "--yes"]);
    assert_eq!(code, 0, "{errors}");
    for name in ["orders", "points", "warranty"] {
        assert!(output.contains(&format!("made       {name}  {}/mcp/{name}\n", server.url)), "{output}");
        assert!(errors.contains(&format!("northstar client create NAME --server {name}\n")), "{errors}");
    }
    assert!(output.contains("left alone 1 server that is not in the file: default"), "{output}");

    for (name, call, says) in [
        ("orders", &["get_order_status", "order_id=1001"][..], "SHIPPED"),
        ("points", &["check_loyalty_points", "customer_id=C-0001"], "GOLD"),
        ("warranty", &["get_warranty", "serial_number=AB12CD34"], "2027-01-31"),
        ("warranty", &["list_warranties", "owner=C-0001"], "Kettle"),
    ] {
        let (id, secret) = server.new_client(&["--server", name]);
        let client = [("NORTHSTAR_CLIENT_ID", id.as_str()), ("NORTHSTAR_CLIENT_SECRET", &secret)];
        let (code, token, errors) = run_with(server.home(), &client, "", &["token", "--server", name]);
        assert_eq!((code, token.matches('.').count()), (0, 2), "{errors}");
        let arguments = [&["call", "--server", name][..], call].concat();
        let (code, output, errors) = run_with(server.home(), &client, "", &arguments);
        assert!(code == 0 && output.contains(says), "{arguments:?}: {output}{errors}");
        assert!(!output.contains("jo@example.com"), "{output}");
        let elsewhere = run_with(server.home(), &client, "", &["token", "--server", "default"]);
        assert!(elsewhere.0 == 1 && elsewhere.2.contains("invalid_target"), "{elsewhere:?}");
    }

    // The token endpoint knows the client as it was, and asks again before it refuses.
    assert_eq!(run(server.home(), &["token"]).0, 0);
    let (code, _, errors) = run(server.home(), &["token", "--server", "warranty"]);
    assert_eq!(code, 0, "the demo client may call every server of its home: {errors}");

    let (_, lines) = run_json_lines(server.home(), &["audit", "tail", "--fn", "cli", "--server", "warranty"]);
    assert_eq!((&lines[0]["action"], &lines[0]["outcome"]), (&json!("server.apply"), &json!("ok")));
}

fn run_json_lines(home: &Path, arguments: &[&str]) -> (i32, Vec<Value>) {
    let (code, output, errors) = run(home, &[arguments, &["--json"]].concat());
    (code, output.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}{errors}"))).collect())
}

#[test]
fn a_call_is_seen_in_the_usage_of_its_server() {
    let server = Server::start(&[]);
    assert_eq!(run(server.home(), &["call", "get_order_status", "order_id=1001"]).0, 0);
    let start = std::time::Instant::now();
    let used = loop {
        let (code, used) = run_json(server.home(), &["server", "usage", "default"]);
        assert_eq!(code, 0);
        if used != json!([]) {
            break used;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "the use is not recorded");
        std::thread::sleep(Duration::from_millis(100));
    };
    let [used] = &used.as_array().unwrap()[..] else { panic!("{used}") };
    assert_eq!((&used["tool"], &used["client_id"]), (&json!("get_order_status"), &json!(server.client_id)));
    assert_eq!((&used["definition"], &used["client_name"]), (&json!("current"), &json!("Demo")));

    // As a call before the definition changed has left it.
    let changed = "servers: [{ name: default, production: false, tools: [{ lookup: get_order_status, table: orders, \
                   key: { order_id: { title: T, description: D } }, returns: { status: string } }] }]";
    let definitions = file(server.home(), changed);
    assert_eq!(run(server.home(), &["server", "apply", &definitions, "--yes", "--allow-breaking"]).0, 0);
    let (code, output, _) = run(server.home(), &["server", "usage"]);
    assert!(code == 0 && output.contains("called with an older definition: re-sync"), "{output}");
}

#[test]
fn what_is_shown_is_applied_unchanged() {
    let home = home();
    let definitions = file(home.path(), THREE.split("  - name: warranty").next().unwrap());
    let (code, applied) = run_json(home.path(), &["server", "apply", &definitions, "--yes"]);
    let outcomes = |document: &Value| -> Vec<Value> {
        document["servers"].as_array().unwrap().iter().map(|server| server["outcome"].clone()).collect()
    };
    assert_eq!((code, outcomes(&applied), &applied["applied"]), (0, vec![json!("made"); 2], &json!(true)));
    assert_eq!(applied["left_alone"], json!(["default"]));
    let before = run_json(home.path(), &["server", "list"]).1;

    let whole = shown(home.path());
    assert_eq!(whole["servers"].as_array().unwrap().len(), 3);
    let copy = file(home.path(), &whole.to_string());
    assert_eq!(run_json(home.path(), &["server", "diff", &copy]).0, 0);
    // Nobody is asked about what does not change.
    let (code, again) = run_json(home.path(), &["server", "apply", &copy]);
    assert_eq!((code, outcomes(&again)), (0, vec![json!("unchanged"); 3]));
    assert_eq!((shown(home.path()), run_json(home.path(), &["server", "list"]).1), (whole, before));

    let (_, one) = run_json(home.path(), &["server", "show", "orders"]);
    assert_eq!(one["servers"][0]["limits"]["per_tool"]["list_customer_orders"], "10/min");
    let (code, output, _) = run(home.path(), &["server", "show", "orders"]);
    assert!(code == 0 && output.contains("timeout         20s\n") && output.contains("as shipped"), "{output}");
    assert!(run(home.path(), &["server", "show", "nowhere"]).2.contains("there is no MCP server nowhere"));
}

#[test]
fn the_shipped_example_is_what_init_makes() {
    let home = home();
    let example = black_box::repository().join("examples/servers.yaml");
    let (code, output, _) = run(home.path(), &["server", "diff", example.to_str().unwrap()]);
    assert_eq!((code, output.as_str()), (0, "unchanged  default  http://127.0.0.1:9000/mcp\n"));
}

#[test]
fn diff_says_what_would_change_and_changes_nothing() {
    let home = home();
    let definitions = file(home.path(), "servers: [{ name: points, tools: [check_loyalty_points] }]");
    assert_eq!(run(home.path(), &["server", "apply", &definitions]).0, 0);
    let before = shown(home.path());
    let definitions = file(
        home.path(),
        "servers: [{ name: points, timeout: 5s, tools: [check_loyalty_points, get_order_status] }, \
         { name: new, tools: [get_order_status] }]",
    );
    let (code, output, errors) = run(home.path(), &["server", "diff", &definitions]);
    assert_eq!((code, errors.as_str()), (1, ""));
    for line in [
        "changed    points  http://127.0.0.1:9000/mcp/points",
        "  timeout: 20s → 5s",
        "  get_order_status: the tool is new",
        "made       new  http://127.0.0.1:9000/mcp/new",
        "left alone 1 server that is not in the file: default",
    ] {
        assert!(output.lines().any(|found| found == line), "{line}\n{output}");
    }
    let (code, document) = run_json(home.path(), &["server", "diff", &definitions]);
    let setting = json!({ "setting": "timeout", "from": "20s", "to": "5s" });
    assert_eq!((code, &document["servers"][0]["changes"][0]), (1, &setting));
    assert_eq!(run(home.path(), &["server", "apply", &definitions, "--dry-run"]).0, 0);
    assert_eq!(shown(home.path()), before);
}

/// A production server that gives one tool, with these inputs and outputs.
fn production(returns: &str) -> String {
    format!(
        "servers: [{{ name: desk, production: true, tools: [{{ lookup: find_order, description: One order, table: orders, \
         key: {{ order_id: {{ title: Order, description: Number }} }}, returns: {returns} }}] }}]"
    )
}

#[test]
fn a_breaking_change_of_a_production_server_needs_a_word() {
    let home = home();
    let apply = |definitions: &str, more: &[&str]| {
        let definitions = file(home.path(), definitions);
        run(home.path(), &[&["server", "apply", &definitions, "--yes"], more].concat())
    };
    assert_eq!(apply(&production("{ status: string, eta: string }"), &[]).0, 0);
    let before = shown(home.path());

    let narrower = production("{ status: string }");
    let (code, _, errors) = apply(&narrower, &[]);
    assert_eq!((code, shown(home.path())), (1, before.clone()), "{errors}");
    for says in ["desk, find_order: the output eta is gone", "Out of Sync", "--allow-breaking", "breaking_change"] {
        assert!(errors.contains(says), "{says}: {errors}");
    }
    // It is no way around to take the server out of production at the same time.
    let (code, _, errors) = apply(&narrower.replace("production: true", "production: false"), &[]);
    assert_eq!((code, shown(home.path())), (1, before.clone()), "{errors}");
    let gone = "servers: [{ name: desk, production: true, tools: [get_order_status] }]";
    let (code, _, errors) = apply(gone, &["--dry-run"]);
    assert!(code == 1 && errors.contains("desk, find_order: the tool is gone"), "{errors}");

    let (code, output, errors) = apply(&production("{ status: string, eta: string, carrier: string }"), &[]);
    assert_eq!(code, 0, "what is added passes: {errors}");
    assert!(output.contains("find_order: the output carrier is new\n"), "{output}");
    assert_eq!(apply(&narrower, &[]).0, 1, "the contract that counts is the last one");
    let (code, output, _) = apply(&narrower, &["--allow-breaking"]);
    assert!(code == 0 && output.contains("the output carrier is gone (breaking)"), "{output}");
    let returns = &shown(home.path())["servers"][1]["tools"][0]["returns"];
    assert_eq!(returns, &json!({ "status": "string" }));
    let (_, lines) = run_json_lines(home.path(), &["audit", "tail", "--server", "desk"]);
    let outcomes: Vec<&str> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["ok", "breaking_change", "breaking_change", "ok", "breaking_change", "ok"]);
}

#[test]
fn a_production_server_is_changed_only_when_somebody_says_so() {
    let home = home();
    let before = shown(home.path());
    let test = "servers: [{ name: desk, tools: [get_order_status] }]";
    let production = "servers: [{ name: desk, production: true, tools: [get_order_status] }]";
    let apply = |definitions: &str, more: &[&str]| {
        let definitions = file(home.path(), definitions);
        run(home.path(), &[&["server", "apply", &definitions], more].concat())
    };
    let (code, _, errors) = apply(production, &[]);
    assert_eq!((code, shown(home.path())), (1, before), "{errors}");
    assert!(errors.contains("production server desk") && errors.contains("add --yes"), "{errors}");
    assert_eq!(apply(test, &[]).0, 0, "a test server");
    assert_eq!(apply(production, &[]).0, 1, "it becomes one of production");
    assert_eq!(apply(production, &["--yes"]).0, 0);
    assert_eq!(apply(test, &[]).0, 1, "it was one of production");
    assert_eq!(apply(production, &[]).0, 0, "nothing changes");
}

/// Runs a command on a terminal: when it asks, does something, then answers. Exit code, and all that the terminal showed.
fn asked(home: &Path, arguments: &[&str], meanwhile: impl FnOnce(), answer: &str) -> (i32, String) {
    const TERMINAL: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL]).arg(black_box::binary("northstar")).args(arguments).arg("--home").arg(home);
    command.env_remove("NORTHSTAR_HOME").env_remove("NORTHSTAR_STACK");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 starts");
    let (mut output, mut shown) = (child.stdout.take().unwrap(), Vec::new());
    let mut byte = [0];
    while !shown.ends_with(b"[y/N] ") {
        assert_eq!(output.read(&mut byte).unwrap(), 1, "no question: {}", String::from_utf8_lossy(&shown));
        shown.extend(byte);
    }
    meanwhile();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{answer}").unwrap();
    output.read_to_end(&mut shown).unwrap();
    (child.wait().unwrap().code().unwrap(), String::from_utf8(shown).unwrap())
}

#[test]
fn a_terminal_is_asked_and_what_somebody_else_changed_meanwhile_stays() {
    let home = home();
    let with_timeout = |timeout: &str| {
        let path = home.path().join(format!("{timeout}.yaml"));
        let definitions =
            format!("servers: [{{ name: desk, production: true, timeout: {timeout}, tools: [get_order_status] }}]");
        std::fs::write(&path, definitions).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (first, second, third) = (with_timeout("5s"), with_timeout("6s"), with_timeout("7s"));
    let timeout = || shown(home.path())["servers"][1]["timeout"].clone();
    let (code, told) = asked(home.path(), &["server", "apply", &first], || {}, "n");
    assert!(code == 1 && told.contains("Nothing was changed.") && timeout() == Value::Null, "{told}");
    let (code, told) = asked(home.path(), &["server", "apply", &first], || {}, "y");
    assert_eq!((code, timeout()), (0, json!("5s")), "{told}");
    let meanwhile = || assert_eq!(run(home.path(), &["server", "apply", &second, "--yes"]).0, 0);
    let (code, told) = asked(home.path(), &["server", "apply", &third], meanwhile, "y");
    assert_eq!((code, timeout()), (1, json!("6s")), "{told}");
    assert!(told.contains("changed by somebody else at the same time"), "{told}");
}

#[test]
fn every_problem_of_a_file_is_named_with_its_place_and_nothing_is_written() {
    let home = home();
    let before = shown(home.path());
    let definitions = file(
        home.path(),
        "servers:\n  - name: Orders\n    timeout: 30s\n    tools: [get_order_state]\n  - name: fine\n    tools: [get_order_status]\n",
    );
    for command in [&["server", "apply"][..], &["server", "diff"], &["server", "iam"]] {
        let (code, output, errors) = run(home.path(), &[command, &[&definitions]].concat());
        assert_eq!((code, output.as_str()), (2, ""), "{command:?}");
        for place in ["2:11: ", "3:14: ", "4:13: "] {
            assert!(errors.contains(&format!("{definitions}:{place}")), "{place}: {errors}");
        }
        assert!(errors.contains("get_order_status") && errors.contains("has 3 problems"), "{errors}");
    }
    assert_eq!(shown(home.path()), before);
    let (code, _, errors) = run(home.path(), &["server", "apply", "no-such-file.yaml"]);
    assert!(code == 1 && errors.contains("no-such-file.yaml"), "{errors}");
}

#[test]
fn a_lookup_that_the_tables_cannot_answer_is_refused_with_what_to_write() {
    let home = home();
    let before = shown(home.path());
    let key = |name: &str| format!("{{ {name}: {{ title: T, description: D }} }}");
    let lookup = |table: &str, rest: &str| {
        format!("      - lookup: find\n        table: {table}\n        returns: {{ status: string }}\n        {rest}\n")
    };
    for (tool, place, says) in [
        (lookup("orders", &format!("key: {}", key("customer_id"))), "7:9: ", "write `index: by_customer`"),
        (lookup("orders", &format!("key: {}", key("status"))), "7:9: ", "make a global secondary index"),
        (lookup("orders", &format!("key: {}\n        index: by_day", key("customer_id"))), "8:16: ", "by_customer"),
        (lookup("nothing", &format!("key: {}", key("id"))), "5:16: ", "there is no table nothing"),
        (lookup("northstar-config", &format!("key: {}", key("pk"))), "5:16: ", "Northstar's own"),
        (lookup("northstar-state", &format!("key: {}", key("pk"))), "5:16: ", "Northstar's own"),
        (
            lookup("loyalty", "key: { customer_id: { title: T, description: D, type: integer } }"),
            "7:16: ",
            "write `type: string`",
        ),
    ] {
        let definitions = file(home.path(), &format!("servers:\n  - name: desk\n    tools:\n{tool}"));
        let (code, _, errors) = run(home.path(), &["server", "apply", &definitions]);
        assert_eq!(code, 2, "{tool}{errors}");
        assert!(errors.starts_with(&format!("{definitions}:{place}find: ")), "{place}: {tool}{errors}");
        assert!(errors.contains(says), "{says}: {errors}");
    }
    assert_eq!(shown(home.path()), before);
}

#[test]
fn a_server_is_deleted_after_a_question_and_its_clients_are_named() {
    let home = home();
    let definitions = file(home.path(), "servers: [{ name: desk, tools: [get_order_status] }]");
    assert_eq!(run(home.path(), &["server", "apply", &definitions]).0, 0);
    let (_, made) = run_json(home.path(), &["client", "create", "Service agent", "--server", "desk"]);
    let id = made["client_id"].as_str().unwrap();
    let (code, _, errors) = run(home.path(), &["server", "delete", "desk"]);
    assert!(code == 1 && errors.contains("--yes") && errors.contains(id), "{errors}");
    let (code, deleted) = run_json(home.path(), &["server", "delete", "desk", "--yes"]);
    let expected = json!({ "name": "desk", "deleted": true, "clients_without_server": [id] });
    assert_eq!((code, deleted), (0, expected));
    assert_eq!(run(home.path(), &["server", "delete", "desk", "--yes"]).0, 1);
    // Made again, it is a new one: there is nothing to guard.
    let definitions = file(home.path(), "servers: [{ name: desk, production: true, tools: [check_loyalty_points] }]");
    assert_eq!(run(home.path(), &["server", "apply", &definitions, "--yes"]).0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn iam_prints_the_statements_of_the_lookups_and_the_parameters_of_the_template() {
    let server = Server::start(&[]);
    make_warranties(&server).await;
    let definitions = file(server.home(), THREE);
    let place = ["--region", "eu-central-1", "--account", "111122223333"];
    let (code, policy) = run_json(server.home(), &[&["server", "iam", &definitions][..], &place].concat());
    let table = "arn:aws:dynamodb:eu-central-1:111122223333:table/warranties";
    let attributes = |names: &[&str]| json!({ "dynamodb:Attributes": names });
    assert_eq!(code, 0);
    assert_eq!(
        policy["Statement"],
        json!([
            {
                "Sid": "GetWarranty",
                "Effect": "Allow",
                "Action": "dynamodb:GetItem",
                "Resource": table,
                "Condition": {
                    "ForAllValues:StringEquals": attributes(&["serial_number", "product", "validTo", "covered"]),
                    "StringEqualsIfExists": { "dynamodb:Select": "SPECIFIC_ATTRIBUTES" },
                },
            },
            {
                "Sid": "ListWarranties",
                "Effect": "Allow",
                "Action": "dynamodb:Query",
                "Resource": format!("{table}/index/by_owner"),
                "Condition": {
                    "ForAllValues:StringEquals": attributes(&["owner", "serial_number", "product"]),
                    "StringEqualsIfExists": { "dynamodb:Select": "SPECIFIC_ATTRIBUTES" },
                },
            },
        ])
    );
    let (_, output, _) = run(server.home(), &[&["server", "iam", &definitions][..], &place].concat());
    assert!(output.ends_with(&format!("\nLookupTables={table}\nLookupIndexes={table}/index/by_owner\n")), "{output}");
    // Without a home there are no tables, and none are made.
    let nowhere = tempfile::tempdir().unwrap();
    let (code, output, errors) = run(nowhere.path(), &["server", "iam", &definitions]);
    assert!(code == 0 && output.contains("table/warranties/index/by_owner") && output.contains("${AWS::Region}"));
    assert!(errors.contains("the table warranties is not here"), "{errors}");
    assert!(!nowhere.path().join("northstar.db").exists());
}
