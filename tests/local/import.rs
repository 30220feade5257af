//! `northstar import`: a company's export into the tables, and out again over MCP.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use aws_clients::{AwsClients, AwsSettings};
use black_box::{Server, repository};
use local::store::ORDERS_TABLE;
use serde_json::{Value, json};

use crate::{run, run_json};

const ORDERS: [&str; 12] = [
    "--map",
    "OrderNo=order_id",
    "--map",
    "Client=customer_id",
    "--map",
    "Created At=ordered_at",
    "--map",
    "State=status",
    "--map",
    "Shipper=carrier",
    "--map",
    "Promised=eta",
];
const POINTS: [&str; 8] =
    ["--map", "Member=customer_id", "--map", "Balance=points", "--map", "Level=tier", "--map", "Changed=updated_at"];

#[test]
fn bad_rows_are_named_and_the_others_go_in() {
    let server = Server::start(&[]);
    let (code, output, errors) = import(server.home(), "orders", "shop_export.csv", &ORDERS);
    assert_eq!((code, output.as_str()), (1, "8 rows read, 3 written, 5 refused\n"));
    let reasons: Vec<&str> = errors.lines().collect();
    let expected = [
        "line 6: `ordered_at` `05/04/2026` is not a date until --dates day-first or --dates month-first says which number is the day",
        "line 7: `status` `Lost` is not a status, which is one of PENDING, PROCESSING, SHIPPED, OUT_FOR_DELIVERY, DELIVERED, \
         DELAYED, CANCELLED, RETURNED",
        "line 8: `order_id` is missing",
        "line 9: the number of fields is 5, the header has 9",
        "line 10: `customer_id` is missing",
    ];
    assert_eq!(reasons, expected);
}

#[test]
fn an_imported_order_is_answered_over_mcp_and_null_is_an_absent_property() {
    let server = Server::start(&[]);
    import(server.home(), "orders", "shop_export.csv", &ORDERS);
    for (order, expected) in [
        ("SO-90001", json!({ "order_id": "SO-90001", "status": "SHIPPED", "carrier": "Correos", "eta": "2026-05-09" })),
        ("SO-90002", json!({ "order_id": "SO-90002", "status": "OUT_FOR_DELIVERY" })),
        (
            "SO-90008",
            json!({ "order_id": "SO-90008", "status": "DELIVERED", "carrier": "灯籠便", "eta": "2026-05-08" }),
        ),
    ] {
        let (code, result) = run_json(server.home(), &["call", "get_order_status", &format!("order_id={order}")]);
        assert_eq!((code, &result["structuredContent"]), (0, &expected));
    }
    let (code, ..) = run(server.home(), &["call", "get_order_status", "order_id=SO-90004"]);
    assert_eq!(code, 1, "a refused row is not there");
    let (_, listed) = run_json(server.home(), &["call", "list_customer_orders", "customer_id=K.1001"]);
    let rows = listed["structuredContent"]["orders"].as_array().unwrap();
    let times: Vec<&Value> = rows.iter().map(|row| &row["ordered_at"]).collect();
    assert_eq!(times, ["2026-05-05T18:00:00Z", "2026-05-04T09:14:07Z"], "the newest first");
}

#[tokio::test]
async fn columns_of_the_company_are_kept_as_they_are() {
    let server = Server::start(&[]);
    import(server.home(), "orders", "shop_export.csv", &ORDERS);
    let orders = orders(&server).await;
    let order = &orders["SO-90001"];
    assert_eq!(order["Recipient"], "Peña; Hijos, S.L.");
    assert_eq!(order["Remarks"], "Ring twice;\nask for Zoë,\nleave nothing \"outside\"");
    assert_eq!(order["updated_at"], "2026-05-04T09:14:07Z", "it is the time of the order when there is none");
    let fields: Vec<&String> = orders["SO-90002"].keys().collect();
    assert_eq!(fields, ["Freight", "Recipient", "customer_id", "order_id", "ordered_at", "status", "updated_at"]);
}

#[tokio::test]
async fn importing_twice_changes_nothing() {
    let server = Server::start(&[]);
    let demo = orders(&server).await;
    let first = import(server.home(), "orders", "shop_export.csv", &ORDERS);
    let once = orders(&server).await;
    let second = import(server.home(), "orders", "shop_export.csv", &ORDERS);
    assert_eq!((second.0, second.1.as_str()), (1, "8 rows read, 0 written, 3 unchanged, 5 refused\n"));
    assert_eq!(second.2, first.2);
    assert_eq!(orders(&server).await, once);
    assert_eq!(once.len(), demo.len() + 3);
    assert!(demo.iter().all(|(id, item)| once.get(id) == Some(item)), "what was there is untouched");
}

#[test]
fn set_gives_every_row_a_value_over_its_column() {
    let server = Server::start(&[]);
    let (code, summary) =
        import_json(server.home(), "orders", "shop_export.csv", &with(&ORDERS, &["--set", "status=delayed"]));
    assert_eq!((code, &summary["written"]), (1, &json!(4)), "the row with a wrong status goes in now: {summary}");
    for order in ["SO-90001", "SO-90004"] {
        let (_, result) = run_json(server.home(), &["call", "get_order_status", &format!("order_id={order}")]);
        assert_eq!(result["structuredContent"]["status"], "DELAYED");
    }
}

#[test]
fn loyalty_accounts_go_in_too() {
    let server = Server::start(&[]);
    let (code, output, errors) = import(server.home(), "loyalty", "points_export.csv", &POINTS);
    assert_eq!((code, output.as_str()), (1, "3 rows read, 2 written, 1 refused\n"));
    assert_eq!(errors, "line 3: `points` `1,200` is not a whole number from 0 to 9007199254740991\n");
    for (customer, expected) in [
        ("K.1001", json!({ "customer_id": "K.1001", "points": 1200, "tier": "Gold" })),
        ("K.1003", json!({ "customer_id": "K.1003", "points": 0 })),
    ] {
        let (code, result) =
            run_json(server.home(), &["call", "check_loyalty_points", &format!("customer_id={customer}")]);
        assert_eq!((code, &result["structuredContent"]), (0, &expected));
    }
}

#[test]
fn the_summary_is_one_document_with_json() {
    let home = tempfile::tempdir().unwrap();
    let (code, summary) = import_json(home.path(), "loyalty", "points_export.csv", &POINTS);
    let reason = "`points` `1,200` is not a whole number from 0 to 9007199254740991";
    assert_eq!(code, 1);
    let rejected = json!([{ "line": 3, "reason": reason }]);
    assert_eq!(summary, json!({ "read": 3, "written": 2, "unchanged": 0, "refused": 1, "rejected": rejected }));
}

#[test]
fn a_file_without_a_bad_row_ends_with_0_and_an_import_needs_no_serve() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("good.csv");
    std::fs::write(&file, "\u{feff}order_id,customer_id,ordered_at,status\r\nX-1,K-1,2026-05-04,pending\r\n").unwrap();
    let (code, output, errors) = run(home.path(), &["import", "orders", file.to_str().unwrap()]);
    assert_eq!((code, output.as_str(), errors.as_str()), (0, "1 rows read, 1 written, 0 refused\n", ""));
    let server = Server::start_in(home.path(), 0, &[]);
    let (_, result) = run_json(server.home(), &["call", "get_order_status", "order_id=X-1"]);
    assert_eq!(result["structuredContent"], json!({ "order_id": "X-1", "status": "PENDING" }));
}

#[test]
fn what_concerns_the_whole_file_is_said_before_anything_is_written() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, says) in [
        (
            with(&ORDERS, &["--map", "Orderno=x"]),
            "--map names the column `Orderno`, which the file does not have (did you mean `OrderNo`?)",
        ),
        (
            with(&ORDERS, &["--map", "Zustand=x"]),
            "its columns: OrderNo, Client, Created At, State, Shipper, Promised, Recipient, Remarks, Freight",
        ),
        (with(&ORDERS, &["--map", "State=x"]), "--map names the column `State` more than once"),
        (with(&ORDERS, &["--map", "Freight=carrier"]), "would both become the attribute `carrier`"),
        (with(&ORDERS, &["--set", "status=lost"]), "--set: `status` `lost` is not a status"),
        (with(&ORDERS, &["--set", "order_id=1"]), "the key of the table"),
        (ORDERS[2..].to_vec(), "`order_id` (add --map OrderNo=order_id)"),
        (
            ORDERS[..4].to_vec(),
            "`ordered_at` (add --map COLUMN=ordered_at or --set ordered_at=VALUE), `status` (add --map State=status)",
        ),
    ] {
        let (code, output, errors) = import(home.path(), "orders", "shop_export.csv", &arguments);
        assert_eq!((code, output.as_str()), (1, ""), "{arguments:?}");
        assert!(errors.starts_with("error: ") && errors.contains(says), "{errors}");
    }
    let (_, summary) = import_json(home.path(), "orders", "shop_export.csv", &ORDERS);
    assert_eq!((&summary["read"], &summary["written"]), (&json!(8), &json!(3)));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).display().to_string();
    std::fs::write(path("empty.csv"), "").unwrap();
    std::fs::write(
        path("latin1.csv"),
        b"order_id,customer_id,ordered_at,status\n1,K,2026-05-04,SHIPPED\n2,\xe9,2026-05-04,SHIPPED\n",
    )
    .unwrap();
    std::fs::write(path("semicolons.csv"), "order_id;customer_id;ordered_at;status\n1;K;2026-05-04;SHIPPED\n").unwrap();
    for (name, says) in [
        ("missing.csv", "missing.csv: No such file"),
        ("empty.csv", "the file is empty"),
        ("latin1.csv", "line 3: not UTF-8 text"),
        ("semicolons.csv", "separated by ';'"),
        ("", "directory"),
    ] {
        let (code, output, errors) = run(home.path(), &["import", "orders", &path(name)]);
        assert_eq!((code, output.as_str()), (1, ""), "{name}");
        assert!(errors.starts_with("error: ") && errors.contains(says), "{name}: {errors}");
    }
}

#[test]
fn five_thousand_rows_go_in() {
    const ROWS: usize = 5_000;
    let home = tempfile::tempdir().unwrap();
    let mut text = "order_id,customer_id,ordered_at,status,carrier,eta,note\n".to_owned();
    for row in 0..ROWS {
        let day = 1 + row % 28;
        writeln!(
            text,
            "G-{row},K-{},2026-02-{day:02} 10:00:00.000,SHIPPED,UPS,2026-03-{day:02},\"row {row}; é\"",
            row % 500
        )
        .unwrap();
    }
    let file = home.path().join("generated.csv");
    std::fs::write(&file, text).unwrap();
    let server = Server::start_in(home.path(), 0, &[]);
    let start = Instant::now();
    let (code, summary) = run_json(server.home(), &["import", "orders", file.to_str().unwrap()]);
    println!("{ROWS} rows: {:.0} rows/s", ROWS as f64 / start.elapsed().as_secs_f64());
    assert_eq!(
        (code, summary),
        (0, json!({ "read": ROWS, "written": ROWS, "unchanged": 0, "refused": 0, "rejected": [] }))
    );
    for order in ["G-0", "G-4999"] {
        let (_, result) = run_json(server.home(), &["call", "get_order_status", &format!("order_id={order}")]);
        assert_eq!(result["structuredContent"]["carrier"], "UPS");
    }
}

fn with<'a>(arguments: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [arguments, more].concat()
}

fn import(home: &Path, dataset: &str, file: &str, arguments: &[&str]) -> (i32, String, String) {
    run(home, &command(dataset, &path(file), arguments))
}

fn import_json(home: &Path, dataset: &str, file: &str, arguments: &[&str]) -> (i32, Value) {
    run_json(home, &command(dataset, &path(file), arguments))
}

fn command<'a>(dataset: &'a str, path: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    with(&["import", dataset, path], arguments)
}

fn path(file: &str) -> String {
    repository().join("tests/local").join(file).display().to_string()
}

/// Every order by its number, each as its attributes in text.
async fn orders(server: &Server) -> BTreeMap<String, BTreeMap<String, String>> {
    let dynamodb = AwsClients::new(&AwsSettings::local(server.dynamodb_url())).dynamodb;
    let mut pages = dynamodb.scan().table_name(ORDERS_TABLE).into_paginator().items().send();
    let mut items = BTreeMap::new();
    while let Some(item) = pages.next().await {
        let text = |value: aws_sdk_dynamodb::types::AttributeValue| match value.as_s().or(value.as_n()) {
            Ok(text) => text.clone(),
            Err(other) => panic!("neither text nor number: {other:?}"),
        };
        let item: BTreeMap<String, String> =
            item.unwrap().into_iter().map(|(name, value)| (name, text(value))).collect();
        items.insert(item["order_id"].clone(), item);
    }
    items
}
