//! A lookup tool over a table with very many items, from a definitions file to the answers of the official clients.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

use aws_clients::{AwsClients, AwsSettings};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, Put, ScalarAttributeType, Select,
    TransactWriteItem,
};
use black_box::{Server, report, repository};
use serde_json::{Value, json};

use crate::{AUTO, BASIC, LEGACY, Run, node, run, tool};

const MANY: usize = 100_000;
const FEW: usize = 100;
const OWNER: &str = "jo.miller@example.com";

const DEFINITIONS: &str = r#"
servers:
  - name: warranty
    title: Warranty
    log: results
    tools:
      - lookup: get_warranty
        table: warranties
        key: { serial_number: { title: Serial number, description: As printed on the box, pattern: "^[A-Z0-9]{8,16}$" } }
        returns: { product: string, valid_until: string, covered: boolean, owner_email: string }
        rename: { validTo: valid_until }
        mask: [owner_email]
        not_found: There is no appliance {serial_number}. Ask the customer to check the box.
      - lookup: get_recall
        table: recalls
        key: { serial_number: { title: Serial number, description: As printed on the box } }
        returns: { product: string }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_in_a_hundred_thousand_items_is_answered_to_the_official_clients_without_a_scan() {
    let server = Server::start(&[]);
    let dynamodb = AwsClients::new(&AwsSettings::local(server.dynamodb_url())).dynamodb;
    let start = Instant::now();
    make_table(&dynamodb, "warranties", MANY).await;
    report(&format!("lookups: a table of {MANY} items made in {:.1} s", start.elapsed().as_secs_f64()));
    make_table(&dynamodb, "recalls", FEW).await;

    let file = server.home().join("servers.yaml");
    std::fs::write(&file, DEFINITIONS).unwrap();
    let applied = server.command(&["server", "apply", file.to_str().unwrap(), "--yes"]);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let client = server.new_client(&["--server", "warranty"]);

    for (mode, revision) in [LEGACY, AUTO] {
        for run in [run_python(&server, mode, &client), run_typescript(&server, mode, &client)] {
            assert_got_warranties(&run, revision);
        }
    }
    let log = server.log();
    assert!(log.contains("get_warranty") && log.contains("jo***") && !log.contains("jo.m"), "a mask is for logs too");

    let token = token(&server, &client).await;
    let many = median_of_reads(&server, &token, "get_warranty", MANY).await;
    let few = median_of_reads(&server, &token, "get_recall", FEW).await;
    let scan = scan(&dynamodb, "warranties").await;
    report(&format!("lookups: a read {many:.2} ms among {MANY} items, {few:.2} ms among {FEW}; a scan {scan:.0} ms"));
    assert!(many * 10.0 < scan, "a lookup takes {many} ms, a scan {scan} ms");
}

/// Serial numbers are spread, so that no order of them helps.
fn serial_number(number: usize) -> String {
    let spread = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{:08X}{number:06}", spread >> 32)
}

fn calls() -> Value {
    let warranty = |serial_number: String| json!(["get_warranty", { "serial_number": serial_number }]);
    json!([
        warranty(serial_number(77_777)),
        warranty(serial_number(2)),
        warranty("ZZZZ9999".to_owned()),
        warranty("ab-1".to_owned()),
    ])
}

/// A hit by each value of the boolean, a miss, and a serial number of another form.
#[track_caller]
fn assert_got_warranties(run: &Run, revision: &str) {
    assert_eq!(run.code, Some(0), "the client failed:\n{}", run.errors);
    assert!(!run.output.contains(OWNER) && !run.output.contains("for nobody"), "{}", run.output);
    let seen: Value = serde_json::from_str(&run.output).unwrap();
    assert_eq!((&seen["exchanges"][0], &seen["revision"]), (&json!("POST /mcp/warranty 401"), &json!(revision)));
    assert_eq!(seen["tools"], json!(["get_warranty", "get_recall"]));
    let results = seen["results"].as_array().unwrap();
    for (result, product, covered) in [(&results[0], "Model 777", false), (&results[1], "Model 2", true)] {
        let warranty =
            json!({ "product": product, "valid_until": "2028-01-31", "covered": covered, "owner_email": "jo********" });
        assert_eq!((&result["is_error"], &result["structured"]), (&json!(false), &warranty));
    }
    let missing = "There is no appliance ZZZZ9999. Ask the customer to check the box.";
    assert_eq!((&results[2]["is_error"], &results[2]["text"]), (&json!(true), &json!(missing)));
    let refused = results[3]["text"].as_str().unwrap();
    assert!(results[3]["is_error"] == true && refused.contains("serial_number"), "{refused}");
    println!("{}: {revision}", seen["client"]);
}

#[track_caller]
fn run_python(server: &Server, mode: &str, client: &(String, String)) -> Run {
    let mut python = Command::new(tool("clients", "clients/bin/python"));
    python.arg(repository().join("tests/clients/python/mcp_client.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    run_with(&mut python, server, mode, client)
}

#[track_caller]
fn run_typescript(server: &Server, mode: &str, client: &(String, String)) -> Run {
    let mut node = node();
    node.args(["--input-type=module", "-"]);
    node.stdin(File::open(repository().join("tests/clients/typescript/mcp_client.mjs")).unwrap());
    run_with(&mut node, server, mode, client)
}

#[track_caller]
fn run_with(program: &mut Command, server: &Server, mode: &str, (id, secret): &(String, String)) -> Run {
    program.args([&format!("{}/mcp/warranty", server.url), mode, BASIC, &calls().to_string()]);
    run(program.envs([("CLIENT_ID", id), ("CLIENT_SECRET", secret)]))
}

async fn make_table(dynamodb: &Client, table: &str, items: usize) {
    let key = AttributeDefinition::builder().attribute_name("serial_number").attribute_type(ScalarAttributeType::S);
    let schema = KeySchemaElement::builder().attribute_name("serial_number").key_type(KeyType::Hash);
    let create = dynamodb.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(key.build().unwrap()).key_schema(schema.build().unwrap());
    create.send().await.unwrap();
    // The engine of a local run commits each item of a batch by itself, and a transaction as one.
    const WRITERS: usize = 2;
    let writers = (0..WRITERS).map(|writer| {
        let (dynamodb, table) = (dynamodb.clone(), table.to_owned());
        tokio::spawn(async move {
            let numbers: Vec<usize> = (writer..items).step_by(WRITERS).collect();
            for numbers in numbers.chunks(100) {
                let puts = numbers.iter().map(|number| put(&table, *number)).collect();
                dynamodb.transact_write_items().set_transact_items(Some(puts)).send().await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

fn put(table: &str, number: usize) -> TransactWriteItem {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = Put::builder()
        .table_name(table)
        .item("serial_number", AttributeValue::S(serial_number(number)))
        .item("product", AttributeValue::S(format!("Model {}", number % 1_000)))
        .item("validTo", text("2028-01-31"))
        .item("covered", AttributeValue::Bool(number.is_multiple_of(2)))
        .item("owner_email", text(OWNER))
        .item("notes", text("for nobody"));
    TransactWriteItem::builder().put(put.build().unwrap()).build()
}

async fn token(server: &Server, (id, secret): &(String, String)) -> String {
    let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    let answer: Value = server.request("POST", "/token").form(&form).send().await.unwrap().json().await.unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// Median of the time that the table took, in milliseconds, as the diagnostics of a test server tell it.
async fn median_of_reads(server: &Server, token: &str, tool: &str, items: usize) -> f64 {
    let mut times = Vec::new();
    for read in 0..25 {
        let arguments = json!({ "serial_number": serial_number(read * items / 25) });
        let params = json!({ "name": tool, "arguments": arguments });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let request = server.request("POST", "/mcp/warranty").bearer_auth(token).json(&body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let result = &answer["result"];
        assert!(result["structuredContent"]["product"].is_string(), "{answer}");
        times.push(result["_meta"]["northstar/diagnostics"]["table_ms"].as_f64().unwrap());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// How long it takes to read a whole table and count it, in milliseconds.
async fn scan(dynamodb: &Client, table: &str) -> f64 {
    let (start, mut count, mut from) = (Instant::now(), 0, None);
    loop {
        let page = dynamodb.scan().table_name(table).select(Select::Count).set_exclusive_start_key(from);
        let page = page.send().await.unwrap();
        count += page.count;
        from = page.last_evaluated_key;
        if from.is_none() {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "the scan does not end");
    }
    assert_eq!(usize::try_from(count), Ok(MANY));
    start.elapsed().as_secs_f64() * 1_000.0
}
