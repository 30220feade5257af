//! Puts items into a table by `BatchWriteItem`, several batches at a time.
//!
//! Of items with the same key the last one given stays: `BatchWriteItem` refuses two of them in a
//! batch, so the later replaces the earlier there, and a batch waits for one under way that shares a key.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::iter::successors;
use std::panic::resume_unwind;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::batch_write_item::{BatchWriteItemError, BatchWriteItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use tokio::task::JoinSet;

use crate::rows::Item;

/// Items in a batch: the most that `BatchWriteItem` takes.
const BATCH: usize = 25;

/// Why a table does not take rows. `Display` holds what DynamoDB said.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The call failed, after the retries of the SDK.
    #[error("table `{table}` does not take the rows: {}", explain(source))]
    Refused {
        /// The table.
        table: String,
        /// The answer of DynamoDB, or why there was none.
        source: Box<SdkError<BatchWriteItemError>>,
    },
    /// The table took no item of a batch for about half a minute.
    #[error("table `{table}` is throttled and takes no more rows; raise its write capacity or import later")]
    Throttled {
        /// The table.
        table: String,
    },
}

fn explain(error: &SdkError<BatchWriteItemError>) -> String {
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{message} ({code})"),
        // No answer at all: `Display` of each link says one part of why.
        _ => successors(Some(error as &(dyn Error + 'static)), |&error| error.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": "),
    }
}

/// Collects items into batches and keeps up to four of them under way.
pub(crate) struct Writer<P> {
    client: Client,
    table: String,
    key: &'static str,
    batch: Batch,
    under_way: JoinSet<Result<Batch, WriteError>>,
    keys_under_way: HashSet<String>,
    written: u64,
    progress: P,
}

/// Items by the value of their key.
#[derive(Default)]
struct Batch {
    items: HashMap<String, Item>,
    /// Rows that the items stand for, those replaced by a later row too.
    rows: u64,
}

impl<P: FnMut(u64)> Writer<P> {
    /// Writes into `table`, whose partition key `key` is a string. `progress` gets the total of rows
    /// written when it grows.
    pub(crate) fn new(client: &Client, table: &str, key: &'static str, progress: P) -> Self {
        Self {
            client: client.clone(),
            table: table.to_owned(),
            key,
            batch: Batch::default(),
            under_way: JoinSet::new(),
            keys_under_way: HashSet::new(),
            written: 0,
            progress,
        }
    }

    /// Adds an item, and waits while the table is not keeping up. An error may be about an earlier item.
    pub(crate) async fn put(&mut self, item: Item) -> Result<(), WriteError> {
        let key = match item.get(self.key) {
            Some(AttributeValue::S(key)) => key.clone(),
            _ => unreachable!("rows.rs gives every item its key"),
        };
        self.batch.items.insert(key, item);
        self.batch.rows += 1;
        match self.batch.items.len() {
            BATCH => self.send().await,
            _ => Ok(()),
        }
    }

    /// Waits until all items are in the table.
    pub(crate) async fn flush(&mut self) -> Result<(), WriteError> {
        if !self.batch.items.is_empty() {
            self.send().await?;
        }
        while !self.under_way.is_empty() {
            self.finish_one().await?;
        }
        Ok(())
    }

    /// Rows known to be in the table.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    async fn send(&mut self) -> Result<(), WriteError> {
        const MOST_UNDER_WAY: usize = 4; // hides the round trips; more of them only make throttling likelier
        let batch = std::mem::take(&mut self.batch);
        while self.under_way.len() >= MOST_UNDER_WAY || self.shares_a_key(&batch) {
            self.finish_one().await?;
        }
        self.keys_under_way.extend(batch.items.keys().cloned());
        self.under_way.spawn(write(self.client.clone(), self.table.clone(), batch));
        Ok(())
    }

    fn shares_a_key(&self, batch: &Batch) -> bool {
        batch.items.keys().any(|key| self.keys_under_way.contains(key))
    }

    async fn finish_one(&mut self) -> Result<(), WriteError> {
        let Some(finished) = self.under_way.join_next().await else { return Ok(()) };
        // Nothing aborts a batch but the end of the writer, so a join can only fail by a panic.
        let batch = finished.unwrap_or_else(|error| resume_unwind(error.into_panic()))?;
        for key in batch.items.keys() {
            self.keys_under_way.remove(key);
        }
        self.written += batch.rows;
        (self.progress)(self.written);
        Ok(())
    }
}

async fn write(client: Client, table: String, batch: Batch) -> Result<Batch, WriteError> {
    // The pauses add up to half a minute; a table on demand needs less to grow.
    const MOST_FRUITLESS: u32 = 12;
    let mut requests = put_requests(&batch);
    let mut fruitless = 0;
    loop {
        let before = requests.len();
        requests = match client.batch_write_item().request_items(&table, requests.clone()).send().await {
            Ok(output) => unprocessed(output),
            // DynamoDB answers so when it could take none of the items.
            Err(error) if is_throttling(&error) => requests,
            Err(error) => return Err(WriteError::Refused { table, source: Box::new(error) }),
        };
        if requests.is_empty() {
            return Ok(batch);
        }
        fruitless = if requests.len() < before { 0 } else { fruitless + 1 };
        if fruitless == MOST_FRUITLESS {
            return Err(WriteError::Throttled { table });
        }
        tokio::time::sleep(pause(fruitless, random())).await;
    }
}

fn put_requests(batch: &Batch) -> Vec<WriteRequest> {
    let put = |item: &Item| {
        let put = PutRequest::builder().set_item(Some(item.clone())).build();
        WriteRequest::builder().put_request(put.expect("the one required field, the item, is set")).build()
    };
    batch.items.values().map(put).collect()
}

fn unprocessed(output: BatchWriteItemOutput) -> Vec<WriteRequest> {
    // Whatever name the table has there: it is the only one in the call.
    output.unprocessed_items.unwrap_or_default().into_values().flatten().collect()
}

fn is_throttling(error: &SdkError<BatchWriteItemError>) -> bool {
    error.as_service_error().is_some_and(|error| {
        error.is_provisioned_throughput_exceeded_exception()
            || error.is_throttling_exception()
            || error.is_request_limit_exceeded()
    })
}

/// How long to wait after `fruitless` tries in a row without an item taken: from half of a doubling
/// span, at most 5 s, to all of it, so that batches under way do not come back together.
fn pause(fruitless: u32, random: u64) -> Duration {
    const FIRST: u64 = 50;
    const LONGEST: u64 = 5_000;
    let span = FIRST.saturating_mul(1 << fruitless.min(16)).min(LONGEST);
    Duration::from_millis(span / 2 + random % (span / 2 + 1))
}

/// Random enough for a pause: the key of a fresh hasher.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_with_jitter_up_to_five_seconds() {
        let shortest_and_longest =
            |fruitless| (pause(fruitless, 0).as_millis(), (0..6000).map(|r| pause(fruitless, r).as_millis()).max());
        assert_eq!(shortest_and_longest(0), (25, Some(50)));
        assert_eq!(shortest_and_longest(1), (50, Some(100)));
        assert_eq!(shortest_and_longest(5), (800, Some(1600)));
        assert_eq!(shortest_and_longest(7), (2500, Some(5000)));
        assert_eq!(shortest_and_longest(u32::MAX), (2500, Some(5000)));
        assert!(pause(3, u64::MAX) <= Duration::from_millis(400));
    }
}
