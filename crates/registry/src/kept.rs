//! A value that was read from a table or a secret and is kept for a while.
//!
//! One caller reads; others wait for it only if what there is does not do for them. When the source does not answer, the
//! old value is served on, for a while.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// How long an old value is served when its source does not answer, unless told otherwise.
pub const MAX_STALE: Duration = Duration::from_secs(60 * 60);
/// How long a source that failed is left alone while there is an old value.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// See the module's head.
pub struct Kept<T> {
    slot: Mutex<Option<Slot<T>>>,
    /// Held by the one who reads.
    reading: tokio::sync::Mutex<()>,
    max_stale: Duration,
}

struct Slot<T> {
    value: Arc<T>,
    fetched: SystemTime,
    failed: Option<SystemTime>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept::with_max_stale(MAX_STALE)
    }
}

impl<T> Kept<T> {
    /// Nothing yet; an old value is served for `max_stale` when its source does not answer.
    pub fn with_max_stale(max_stale: Duration) -> Kept<T> {
        Kept { slot: Mutex::new(None), reading: tokio::sync::Mutex::new(()), max_stale }
    }

    /// The value, read by `fetch` if there is none or it is older than `max_age`. Most calls do not fetch: the future is
    /// made, and boxed, when it is needed.
    ///
    /// # Errors
    /// What `fetch` fails with, when no value is left that may still be served.
    pub async fn get<E: std::error::Error, F: Future<Output = Result<T, E>> + Send>(
        &self,
        now: SystemTime,
        max_age: Duration,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<T>, E> {
        self.get_if(now, |_, age| age < max_age, fetch).await
    }

    /// The value, read by `fetch` if there is none or `fresh` does not accept the one there is, of which it is told the
    /// age.
    ///
    /// # Errors
    /// As [`Kept::get`].
    pub async fn get_if<E: std::error::Error, F: Future<Output = Result<T, E>> + Send>(
        &self,
        now: SystemTime,
        fresh: impl Fn(&T, Duration) -> bool,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<T>, E> {
        if let Some(value) = self.acceptable(now, &fresh) {
            return Ok(value);
        }
        let _reading = self.reading.lock().await;
        if let Some(value) = self.acceptable(now, &fresh) {
            return Ok(value);
        }
        // Without its type: the SDK's are so deep that those of their callers come near the compiler's limit.
        let fetching: Pin<Box<dyn Future<Output = Result<T, E>> + Send + '_>> = Box::pin(fetch());
        let outcome = fetching.await;
        let mut slot = self.slot();
        match (outcome, &mut *slot) {
            (Ok(value), slot) => {
                let value = Arc::new(value);
                *slot = Some(Slot { value: value.clone(), fetched: now, failed: None });
                Ok(value)
            }
            (Err(error), Some(kept)) if age(now, kept.fetched) < self.max_stale => {
                request_log::problem("registry", "stale_value", &error.to_string(), now);
                kept.failed = Some(now);
                Ok(kept.value.clone())
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The value there is, and how old it is.
    pub fn peek(&self, now: SystemTime) -> Option<(Arc<T>, Duration)> {
        self.slot().as_ref().map(|kept| (kept.value.clone(), age(now, kept.fetched)))
    }

    fn acceptable(&self, now: SystemTime, fresh: impl Fn(&T, Duration) -> bool) -> Option<Arc<T>> {
        let slot = self.slot();
        let kept = slot.as_ref()?;
        let failed = kept.failed.is_some_and(|failed| age(now, failed) < RETRY_PAUSE);
        (failed || fresh(&kept.value, age(now, kept.fetched))).then(|| kept.value.clone())
    }

    fn slot(&self) -> MutexGuard<'_, Option<Slot<T>>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
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
    #[tokio::test]
    async fn who_is_content_with_an_old_value_does_not_wait_for_the_one_who_reads() {
        let kept = Kept::default();
        assert_eq!(get(&kept, 1_000, Ok(1)).await, Some(1));
        let never = kept.get(at(1_001), Duration::ZERO, std::future::pending::<Result<u32, Error>>);
        tokio::select! {
            biased;
            _ = never => panic!("the source does not answer"),
            value = get(&kept, 1_001, down()) => assert_eq!(value, Some(1)),
        }
    }

    #[tokio::test]
    async fn a_value_is_read_once_for_all_who_wait_for_it() {
        let kept = Kept::default();
        let read = async |value| kept.get(at(1_000), Duration::from_secs(1), || async { Ok::<_, Error>(value) }).await;
        let (first, second) = tokio::join!(read(1), read(2));
        assert_eq!((*first.unwrap(), *second.unwrap()), (1, 1));
    }
}
