//! `northstar import`: files of every format, many rows, and rows that are refused and corrected.

mod formats;
mod many;
mod refused;
mod rows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_clients::{AwsClients, AwsSettings};
use aws_sdk_dynamodb::types::AttributeValue;
use black_box::Server;
use local::store::{LOYALTY_TABLE, ORDERS_TABLE};
use serde_json::Value;
use tempfile::TempDir;

/// What a command ended with: its code, standard output and standard error.
fn run(home: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = black_box::command(home, arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("northstar writes UTF-8");
    (output.status.code().expect("northstar ends by itself"), text(output.stdout), text(output.stderr))
}

/// Imports a file into a table of a home; the code and the summary.
fn import(home: &Path, dataset: &str, file: &Path, options: &[&str]) -> (i32, Value) {
    let file = file.to_str().unwrap();
    let (code, output, errors) = run(home, &[&["import", dataset, file, "--json"], options].concat());
    let summary = serde_json::from_str(&output).unwrap_or_else(|_| panic!("no summary: {output}{errors}"));
    (code, summary)
}

/// Read, written, unchanged, refused.
fn counts(summary: &Value) -> [u64; 4] {
    ["read", "written", "unchanged", "refused"].map(|name| summary[name].as_u64().unwrap())
}

/// Every reason of a summary, after its line.
fn reasons(summary: &Value) -> Vec<String> {
    let rejected = summary["rejected"].as_array().unwrap();
    rejected.iter().map(|row| format!("{}: {}", row["line"], row["reason"].as_str().unwrap())).collect()
}

/// A file in a directory of the test.
fn file(directory: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Items by key, with every value as text that shows its type.
type Items = BTreeMap<String, BTreeMap<String, String>>;

/// Every order by its number.
async fn orders(server: &Server) -> Items {
    items(server, ORDERS_TABLE, "order_id").await
}

/// Every loyalty account by its customer.
async fn accounts(server: &Server) -> Items {
    items(server, LOYALTY_TABLE, "customer_id").await
}

async fn items(server: &Server, table: &str, key: &str) -> Items {
    let dynamodb = AwsClients::new(&AwsSettings::local(server.dynamodb_url())).dynamodb;
    let mut pages = dynamodb.scan().table_name(table).into_paginator().items().send();
    let mut items = BTreeMap::new();
    while let Some(item) = pages.next().await {
        let item = item.unwrap();
        let Some(AttributeValue::S(id)) = item.get(key) else { panic!("{item:?} has no key") };
        let attributes = item.iter().map(|(name, value)| (name.clone(), format!("{value:?}"))).collect();
        items.insert(id.clone(), attributes);
    }
    items
}
