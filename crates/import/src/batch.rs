//! Brings a batch of items into a table: asks which of them it has already, and puts the others.

use std::collections::HashMap;
use std::error::Error as _;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::iter::successors;
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItemError, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::batch_write_item::{BatchWriteItemError, BatchWriteItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, PutRequest, WriteRequest};
use aws_sdk_dynamodb::{Client, Error};

use crate::decimal::Decimal;
use crate::rows::Item;

/// Why a table does not take rows. `Display` holds what DynamoDB said.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The call failed, after the retries of the SDK.
    #[error("table `{table}` does not take the rows: {}", explain(source))]
    Refused {
        /// The table.
        table: String,
        /// The answer of DynamoDB, or why there was none.
        source: Box<Error>,
    },
    /// The table does not say what it has, so rows that are in it already cannot be left alone.
    #[error("table `{table}` cannot be read: {}", explain(source))]
    Unreadable {
        /// The table.
        table: String,
        /// The answer of DynamoDB, or why there was none.
        source: Box<Error>,
    },
    /// The table took no item of a batch for about half a minute.
    #[error("table `{table}` is throttled and takes no more rows; raise its capacity or import later")]
    Throttled {
        /// The table.
        table: String,
    },
}

fn explain(error: &Error) -> String {
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{message} ({code})"),
        // No answer at all: `Display` of each link says one part of why, the first only that there is one.
        _ => {
            successors(error.source(), |&error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
        }
    }
}

/// Where items go.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) client: Client,
    pub(crate) table: String,
    /// The partition key, a text; the table has no other.
    pub(crate) key: &'static str,
    /// Whether the table stays as it is.
    pub(crate) dry_run: bool,
}

/// Items by the value of their key.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) items: HashMap<String, Counted>,
}

/// An item, and the rows that it stands for: those that it replaced in its batch too.
pub(crate) struct Counted {
    pub(crate) item: Item,
    pub(crate) rows: u64,
}

/// What became of a batch.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) keys: Vec<String>,
    /// Rows that changed the table.
    pub(crate) written: u64,
    /// Rows that the table had already.
    pub(crate) unchanged: u64,
}

impl Target {
    /// Puts what the table does not have yet.
    pub(crate) async fn store(self, batch: Batch) -> Result<Stored, WriteError> {
        let present = self.present(batch.items.keys()).await?;
        let mut stored = Stored::default();
        let mut changes = Vec::new();
        for (key, Counted { item, rows }) in batch.items {
            if present.get(&key).is_some_and(|present| are_equal(present, &item)) {
                stored.unchanged += rows;
            } else {
                stored.written += rows;
                changes.push(put_request(item));
            }
            stored.keys.push(key);
        }
        if !self.dry_run {
            self.put(changes).await?;
        }
        Ok(stored)
    }

    /// The items that the table has, by key. Read consistently: an import that follows another must not
    /// take what that one replaced for present.
    async fn present(&self, keys: impl Iterator<Item = &String>) -> Result<HashMap<String, Item>, WriteError> {
        let key = |key: &String| HashMap::from([(self.key.to_owned(), AttributeValue::S(key.clone()))]);
        let mut missing: Vec<_> = keys.map(key).collect();
        let mut present = HashMap::new();
        let mut patience = Patience::default();
        while !missing.is_empty() {
            let before = missing.len();
            let wanted = KeysAndAttributes::builder().set_keys(Some(missing.clone())).consistent_read(true).build();
            let wanted = wanted.expect("the one required field, the keys, is set");
            match self.client.batch_get_item().request_items(&self.table, wanted).send().await {
                Ok(output) => missing = self.keep(output, &mut present),
                Err(error) if is_throttling(&error) => {}
                Err(error) => return Err(self.unreadable(error)),
            }
            if !missing.is_empty() {
                patience.wait(missing.len() < before).await.map_err(|()| self.throttled())?;
            }
        }
        Ok(present)
    }

    /// Keeps what came, and says what did not.
    fn keep(
        &self,
        output: BatchGetItemOutput,
        present: &mut HashMap<String, Item>,
    ) -> Vec<HashMap<String, AttributeValue>> {
        for item in output.responses.unwrap_or_default().into_values().flatten() {
            if let Some(AttributeValue::S(key)) = item.get(self.key) {
                present.insert(key.clone(), item);
            }
        }
        output.unprocessed_keys.unwrap_or_default().into_values().flat_map(|rest| rest.keys).collect()
    }

    async fn put(&self, mut requests: Vec<WriteRequest>) -> Result<(), WriteError> {
        let mut patience = Patience::default();
        while !requests.is_empty() {
            let before = requests.len();
            match self.client.batch_write_item().request_items(&self.table, requests.clone()).send().await {
                Ok(output) => requests = unprocessed(output),
                // DynamoDB answers so when it could take none of the items.
                Err(error) if is_throttling(&error) => {}
                Err(error) => return Err(self.refused(error)),
            }
            if !requests.is_empty() {
                patience.wait(requests.len() < before).await.map_err(|()| self.throttled())?;
            }
        }
        Ok(())
    }

    fn unreadable(&self, error: SdkError<BatchGetItemError>) -> WriteError {
        WriteError::Unreadable { table: self.table.clone(), source: Box::new(error.into()) }
    }

    fn refused(&self, error: SdkError<BatchWriteItemError>) -> WriteError {
        WriteError::Refused { table: self.table.clone(), source: Box::new(error.into()) }
    }

    fn throttled(&self) -> WriteError {
        WriteError::Throttled { table: self.table.clone() }
    }
}

fn put_request(item: Item) -> WriteRequest {
    let put = PutRequest::builder().set_item(Some(item)).build();
    WriteRequest::builder().put_request(put.expect("the one required field, the item, is set")).build()
}

fn unprocessed(output: BatchWriteItemOutput) -> Vec<WriteRequest> {
    // Whatever name the table has there: it is the only one in the call.
    output.unprocessed_items.unwrap_or_default().into_values().flatten().collect()
}

fn is_throttling<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    matches!(
        error.as_service_error().and_then(ProvideErrorMetadata::code),
        Some("ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded")
    )
}

/// Whether two items are the same to DynamoDB, which has its own way to write numbers.
fn are_equal(one: &Item, other: &Item) -> bool {
    let same = |one: &AttributeValue, other: &AttributeValue| match (one, other) {
        (AttributeValue::N(one), AttributeValue::N(other)) => {
            one == other || Decimal::parse(one).is_some_and(|one| Decimal::parse(other) == Some(one))
        }
        _ => one == other,
    };
    one.len() == other.len() && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| same(one, other)))
}

/// Pauses between tries, for as long as it makes sense.
#[derive(Default)]
struct Patience {
    /// Tries in a row that brought nothing.
    fruitless: u32,
}

impl Patience {
    /// Waits before the next try; an error when there have been too many in vain.
    async fn wait(&mut self, progress: bool) -> Result<(), ()> {
        // The pauses add up to half a minute; a table on demand needs less to grow.
        const MOST_FRUITLESS: u32 = 12;
        self.fruitless = if progress { 0 } else { self.fruitless + 1 };
        if self.fruitless == MOST_FRUITLESS {
            return Err(());
        }
        tokio::time::sleep(pause(self.fruitless, random())).await;
        Ok(())
    }
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

    #[test]
    fn items_are_equal_when_their_values_are() {
        let item = |points: &str, tier: &str| -> Item {
            [("points", AttributeValue::N(points.into())), ("tier", AttributeValue::S(tier.into()))]
                .map(|(name, value)| (name.to_owned(), value))
                .into()
        };
        assert!(are_equal(&item("1200", "GOLD"), &item("1.2e3", "GOLD")));
        assert!(!are_equal(&item("1200", "GOLD"), &item("1201", "GOLD")));
        assert!(!are_equal(&item("1200", "1200"), &item("1200", "1.2e3")));

        let mut more = item("1200", "GOLD");
        more.insert("note".into(), AttributeValue::Bool(true));
        assert!(!are_equal(&item("1200", "GOLD"), &more) && !are_equal(&more, &item("1200", "GOLD")));
    }
}
