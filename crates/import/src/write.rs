//! Collects items into batches, and keeps several batches at a time on their way into the table.
//!
//! Of items with the same key the last one given stays: `BatchWriteItem` refuses two of them in a
//! batch, so the later replaces the earlier there, and a batch waits for one under way that shares a key.

use std::collections::HashSet;
use std::panic::resume_unwind;

use aws_sdk_dynamodb::types::AttributeValue;
use tokio::task::JoinSet;

use crate::batch::{Batch, Counted, Stored, Target, WriteError};
use crate::rows::Item;

/// Items in a batch: the most that `BatchWriteItem` takes.
const BATCH: usize = 25;

/// Brings items into a table.
pub(crate) struct Writer<P> {
    target: Target,
    batch: Batch,
    under_way: JoinSet<Result<Stored, WriteError>>,
    keys_under_way: HashSet<String>,
    written: u64,
    unchanged: u64,
    progress: P,
}

impl<P: FnMut(u64)> Writer<P> {
    /// `progress` gets the total of rows that are in the table when it grows.
    pub(crate) fn new(target: Target, progress: P) -> Self {
        Self {
            target,
            batch: Batch::default(),
            under_way: JoinSet::new(),
            keys_under_way: HashSet::new(),
            written: 0,
            unchanged: 0,
            progress,
        }
    }

    /// Adds an item, and waits while the table is not keeping up. An error may be about an earlier item.
    pub(crate) async fn put(&mut self, item: Item) -> Result<(), WriteError> {
        let key = match item.get(self.target.key) {
            Some(AttributeValue::S(key)) => key.clone(),
            _ => unreachable!("rows.rs gives every item its key"),
        };
        let rows = self.batch.items.get(&key).map_or(1, |replaced| replaced.rows + 1);
        self.batch.items.insert(key, Counted { item, rows });
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

    /// Rows known to have changed the table.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Rows that the table had already.
    pub(crate) fn unchanged(&self) -> u64 {
        self.unchanged
    }

    async fn send(&mut self) -> Result<(), WriteError> {
        const MOST_UNDER_WAY: usize = 4; // hides the round trips; more of them only make throttling likelier
        let batch = std::mem::take(&mut self.batch);
        while self.under_way.len() >= MOST_UNDER_WAY || self.shares_a_key(&batch) {
            self.finish_one().await?;
        }
        self.keys_under_way.extend(batch.items.keys().cloned());
        self.under_way.spawn(self.target.clone().store(batch));
        Ok(())
    }

    fn shares_a_key(&self, batch: &Batch) -> bool {
        batch.items.keys().any(|key| self.keys_under_way.contains(key))
    }

    async fn finish_one(&mut self) -> Result<(), WriteError> {
        let Some(finished) = self.under_way.join_next().await else { return Ok(()) };
        // Nothing aborts a batch but the end of the writer, so a join can only fail by a panic.
        let stored = finished.unwrap_or_else(|error| resume_unwind(error.into_panic()))?;
        for key in &stored.keys {
            self.keys_under_way.remove(key);
        }
        self.written += stored.written;
        self.unchanged += stored.unchanged;
        (self.progress)(self.written + self.unchanged);
        Ok(())
    }
}
