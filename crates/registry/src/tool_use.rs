//! Who called which tool, by which contract, when last: what an administrator asks before a tool changes. In the `state`
//! table, as `USAGE#<server>`, `<tool>#<contract>#<client>`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::client::seconds;
use crate::server::ServerName;
use crate::store::{Item, RegistryError, key};

/// How often the use of a tool is recorded, in seconds, for each client and process.
const RECORDED_EVERY: u64 = 10 * 60;
/// How long a use is remembered, in seconds.
const REMEMBERED: u64 = 400 * 24 * 60 * 60;
/// How long a call waits for the record of its use.
const PATIENCE: Duration = Duration::from_millis(300);
/// Uses remembered at once in a process; past it all are forgotten.
const MAX_RECORDED: usize = 10_000;

/// The last use of a tool by a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolUse {
    /// The tool's name.
    pub tool: String,
    /// Hash of the contract that the tool had.
    pub contract: String,
    /// The client's id.
    pub client: String,
    /// Seconds since 1970; a use may be younger than its record, by up to 10 minutes.
    pub last_used: u64,
}

/// Records uses and tells them.
pub struct ToolUses {
    dynamodb: DynamoDb,
    table: String,
    /// When each was recorded, by server and sort key, in seconds since 1970.
    recorded: Mutex<HashMap<(String, String), u64>>,
}

impl ToolUses {
    /// Uses in `table`, the `state` table.
    pub fn new(dynamodb: DynamoDb, table: impl Into<String>) -> ToolUses {
        ToolUses { dynamodb, table: table.into(), recorded: Mutex::default() }
    }

    /// Records that a client used a tool, at most once in 10 minutes; a contract is its hash. No call fails for it, and
    /// none waits for it longer than 300 ms.
    pub async fn record(&self, server: &ServerName, tool: &str, contract: &str, client: &str, now: SystemTime) {
        let sk = format!("{tool}#{contract}#{client}");
        if !self.is_due(server, &sk, seconds(now)) {
            return;
        }
        // Boxed: the SDK's futures are large.
        let written = tokio::time::timeout(PATIENCE, Box::pin(self.write(server, &sk, seconds(now)))).await;
        if !matches!(written, Ok(Ok(()))) {
            let message = "the use of a tool could not be recorded in the state table";
            request_log::problem("mcp", "tool_use_not_recorded", message, now);
        }
    }

    /// Every use of a server's tools that is remembered.
    ///
    /// # Errors
    /// As all reads of the registry.
    pub async fn list(&self, server: &ServerName) -> Result<Vec<ToolUse>, RegistryError> {
        let mut pages = self
            .dynamodb
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(pk(server)))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut uses = Vec::new();
        while let Some(item) = pages.next().await {
            uses.extend(parse(&item?));
        }
        Ok(uses)
    }

    /// Whether a use has to be written, and notes that it is: one that cannot be is tried again in 10 minutes.
    fn is_due(&self, server: &ServerName, sk: &str, now: u64) -> bool {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let use_key = (server.to_string(), sk.to_owned());
        // A time in the future means that the clock was set back.
        if recorded.get(&use_key).is_some_and(|last| (*last..last + RECORDED_EVERY).contains(&now)) {
            return false;
        }
        if recorded.len() >= MAX_RECORDED {
            recorded.clear();
        }
        recorded.insert(use_key, now);
        true
    }

    async fn write(&self, server: &ServerName, sk: &str, now: u64) -> Result<(), RegistryError> {
        let mut item = key(&pk(server), sk);
        item.insert("last_used".to_owned(), AttributeValue::N(now.to_string()));
        item.insert("expires_at".to_owned(), AttributeValue::N((now + REMEMBERED).to_string()));
        self.dynamodb.put_item().table_name(&self.table).set_item(Some(item)).send().await?;
        Ok(())
    }
}

fn pk(server: &ServerName) -> String {
    format!("USAGE#{server}")
}

/// `None`: not what we wrote.
fn parse(item: &Item) -> Option<ToolUse> {
    let mut parts = item.get("sk")?.as_s().ok()?.splitn(3, '#').map(str::to_owned);
    let (tool, contract, client) = (parts.next()?, parts.next()?, parts.next()?);
    let last_used = item.get("last_used")?.as_n().ok()?.parse().ok()?;
    Some(ToolUse { tool, contract, client, last_used })
}

#[cfg(test)]
mod tests {
    use aws_clients::{AwsClients, AwsSettings};

    use super::*;

    fn uses() -> ToolUses {
        // Nothing listens there.
        ToolUses::new(AwsClients::new(&AwsSettings::local("http://127.0.0.1:9")).dynamodb, "state")
    }

    #[test]
    fn a_use_is_written_once_in_ten_minutes_for_each_tool_contract_and_client() {
        let (uses, server) = (uses(), ServerName::default_server());
        let due = |sk, now| uses.is_due(&server, sk, now);
        assert!(due("a#1#x", 1_000) && !due("a#1#x", 1_000) && !due("a#1#x", 1_599));
        assert!(due("a#2#x", 1_000) && due("a#1#y", 1_000) && due("b#1#x", 1_000));
        assert!(due("a#1#x", 1_600));
        assert!(due("a#1#x", 900), "the clock was set back");
        let other = ServerName::parse("other").unwrap();
        assert!(uses.is_due(&other, "a#1#x", 1_600));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (uses, server) = (uses(), ServerName::default_server());
        for number in 0..3 * MAX_RECORDED {
            assert!(uses.is_due(&server, &number.to_string(), 1_000));
            assert!(uses.recorded.lock().unwrap().len() <= MAX_RECORDED);
        }
    }

    #[tokio::test]
    async fn a_table_that_is_gone_keeps_nobody_waiting() {
        let start = std::time::Instant::now();
        uses().record(&ServerName::default_server(), "a", "1", "x", SystemTime::now()).await;
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }

    #[test]
    fn an_item_is_read_as_it_was_written() {
        let mut item = key("USAGE#default", "get_order_status#abc#demo");
        assert_eq!(parse(&item), None);
        item.insert("last_used".to_owned(), AttributeValue::N("7".to_owned()));
        let [tool, contract, client] = ["get_order_status", "abc", "demo"].map(str::to_owned);
        assert_eq!(parse(&item), Some(ToolUse { tool, contract, client, last_used: 7 }));
    }
}
