//! A value that was read from a table or a secret and is kept for a while.
//!
//! One caller reads, the others wait for it. When the source does not answer, the old value is served on, for a while.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;

/// How long an old value is served when its source does not answer.
const MAX_STALE: Duration = Duration::from_secs(60 * 60);
/// How long a source that failed is left alone while there is an old value.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// See the module's head.
pub struct Kept<T> {
    slot: Mutex<Option<Slot<T>>>,
}

struct Slot<T> {
    value: Arc<T>,
    fetched: SystemTime,
    failed: Option<SystemTime>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept { slot: Mutex::new(None) }
    }
}

impl<T> Kept<T> {
    /// The value, read by `fetch` if there is none or it is older than `max_age`. Most calls do not fetch: the future is
    /// made when it is needed.
    ///
    /// # Errors
    /// What `fetch` fails with, when no value is left that may still be served.
    pub async fn get<E: std::error::Error, F: Future<Output = Result<T, E>>>(
        &self,
        now: SystemTime,
        max_age: Duration,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<T>, E> {
        let mut slot = self.slot.lock().await;
        if let Some(kept) = &*slot
            && (age(now, kept.fetched) < max_age || kept.failed.is_some_and(|failed| age(now, failed) < RETRY_PAUSE))
        {
            return Ok(kept.value.clone());
        }
        match (Box::pin(fetch()).await, &mut *slot) {
            (Ok(value), slot) => {
                let value = Arc::new(value);
                *slot = Some(Slot { value: value.clone(), fetched: now, failed: None });
                Ok(value)
            }
            (Err(error), Some(kept)) if age(now, kept.fetched) < MAX_STALE => {
                request_log::problem("registry", "stale_value", &error.to_string(), now);
                kept.failed = Some(now);
                Ok(kept.value.clone())
            }
            (Err(error), _) => Err(error),
        }
    }
}

/// A time in the future means that the clock was set back: the value counts as old.
fn age(now: SystemTime, then: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Error;
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    async fn get(kept: &Kept<u32>, now: u64, outcome: Result<u32, Error>) -> Option<u32> {
        kept.get(at(now), Duration::from_secs(30), || async { outcome }).await.ok().map(|value| *value)
    }

    fn down() -> Result<u32, Error> {
        Err(Error::other("down"))
    }

    #[tokio::test]
    async fn a_value_is_read_again_when_it_is_old() {
        let kept = Kept::default();
        assert_eq!(get(&kept, 1_000, Ok(1)).await, Some(1));
        assert_eq!(get(&kept, 1_029, Ok(2)).await, Some(1));
        assert_eq!(get(&kept, 1_030, Ok(3)).await, Some(3));
        assert_eq!(get(&kept, 900, Ok(4)).await, Some(4), "the clock was set back");
    }

    #[tokio::test]
    async fn an_old_value_outlives_its_source_for_an_hour() {
        let kept = Kept::default();
        assert_eq!(get(&kept, 1_000, down()).await, None);
        assert_eq!(get(&kept, 1_000, Ok(1)).await, Some(1));
        assert_eq!(get(&kept, 1_100, down()).await, Some(1));
        assert_eq!(get(&kept, 1_104, Ok(2)).await, Some(1), "a source that failed is left alone for 5 s");
        assert_eq!(get(&kept, 1_105, Ok(2)).await, Some(2));
        assert_eq!(get(&kept, 1_105 + 3_600, down()).await, None);
    }
}
