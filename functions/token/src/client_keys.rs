//! The public keys of clients that sign assertions: part of their registration, or at a URL of theirs.
//!
//! Keys at a URL are read again every 5 minutes, and for an unknown key id at most once in 30 s: a client may publish a
//! new key and use it at once. While the URL does not answer, keys are served on for an hour.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use access_token::key_set::{self, KeySet};
use outbound::Fetcher;
use registry::{Client, ClientId, ClientKeys};

use crate::error::TokenError;

const MAX_AGE: Duration = Duration::from_secs(300);
/// Time between two reads for the sake of an unknown key id.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(30);
/// Time between two reads while a URL does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
const MAX_STALE: Duration = Duration::from_secs(60 * 60);
/// Sets remembered at once, of each kind; past it all are forgotten. A set is 16 keys at most, about 10 kB.
const MAX_REMEMBERED: usize = 500;

/// Reads and remembers the keys of clients.
pub struct ClientKeySets {
    fetcher: Fetcher,
    registered: Mutex<HashMap<ClientId, Registered>>,
    served: Mutex<HashMap<String, Arc<Served>>>,
}

/// The set of one version of a client.
struct Registered {
    version: (u64, u64),
    keys: Arc<KeySet>,
}

/// What a URL serves.
#[derive(Default)]
struct Served {
    state: Mutex<State>,
    /// Held by the one that reads.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    fetched: Option<SystemTime>,
    failed: Option<SystemTime>,
    /// When it was read for the sake of an unknown key id.
    asked: Option<SystemTime>,
}

impl ClientKeySets {
    /// Sets at a URL are fetched by `fetcher`.
    pub fn new(fetcher: Fetcher) -> ClientKeySets {
        ClientKeySets { fetcher, registered: Mutex::default(), served: Mutex::default() }
    }

    /// The keys of a client; `has` says whether the key that is looked for is in a set. `None` for a client without
    /// keys.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`] when the client's URL does not answer and nothing is remembered.
    pub async fn of(
        &self,
        client: &Client,
        has: impl Fn(&KeySet) -> bool,
        now: SystemTime,
    ) -> Result<Option<Arc<KeySet>>, TokenError> {
        match &client.keys {
            None => Ok(None),
            Some(ClientKeys::Jwks(text)) => Ok(self.registered(client, text)),
            Some(ClientKeys::JwksUri(url)) => self.served(url, has, now).await.map(Some),
        }
    }

    fn registered(&self, client: &Client, text: &str) -> Option<Arc<KeySet>> {
        // A client that is deleted and made anew begins with version 1 again.
        let version = (client.created_at, client.version);
        let mut all = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(registered) = all.get(&client.client_id).filter(|registered| registered.version == version) {
            return Some(registered.keys.clone());
        }
        let keys = Arc::new(KeySet::parse(text).ok()?);
        make_room(&mut all, &client.client_id);
        all.insert(client.client_id.clone(), Registered { version, keys: keys.clone() });
        Some(keys)
    }

    async fn served(
        &self,
        url: &str,
        has: impl Fn(&KeySet) -> bool,
        now: SystemTime,
    ) -> Result<Arc<KeySet>, TokenError> {
        let served = {
            let mut all = self.served.lock().unwrap_or_else(PoisonError::into_inner);
            make_room(&mut all, url);
            all.entry(url.to_owned()).or_default().clone()
        };
        if !served.state().is_due(&has, now) {
            return served.state().usable(now);
        }
        // One caller reads. Those that find their key among the old ones go on, the others wait.
        let _reading = match served.reading.try_lock() {
            Ok(reading) => reading,
            Err(_) if served.state().has(&has) => return served.state().usable(now),
            Err(_) => served.reading.lock().await,
        };
        let mut state = served.state();
        if state.is_due(&has, now) {
            if state.keys.is_some() && !state.has(&has) {
                state.asked = Some(now);
            }
            // Boxed, as it is rare: it would be in the future of every request.
            match Box::pin(self.fetch(url)).await {
                Ok(keys) => (state.keys, state.fetched, state.failed) = (Some(Arc::new(keys)), Some(now), None),
                Err(reason) => {
                    request_log::problem("token", "client_keys_unavailable", &reason, now);
                    state.failed = Some(now);
                }
            }
            served.set_state(state.clone());
        }
        state.usable(now)
    }

    /// Reads a set; the reason for the log if it cannot be.
    async fn fetch(&self, url: &str) -> Result<KeySet, String> {
        let reason = |error: &dyn std::error::Error| format!("{}: {error}", url.split('?').next().unwrap_or_default());
        let document = self.fetcher.get(url, key_set::MAX_BYTES).await.map_err(|error| reason(&error))?;
        KeySet::parse_served(&document).map_err(|error| reason(&error))
    }
}

impl Served {
    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_state(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

impl State {
    fn has(&self, has: impl Fn(&KeySet) -> bool) -> bool {
        self.keys.as_ref().is_some_and(|keys| has(keys))
    }

    fn is_due(&self, has: impl Fn(&KeySet) -> bool, now: SystemTime) -> bool {
        let old = age(now, self.fetched) >= MAX_AGE;
        let unknown = !self.has(has) && age(now, self.asked) >= UNKNOWN_PAUSE;
        let pause = if self.keys.is_some() { UNKNOWN_PAUSE } else { RETRY_PAUSE };
        (old || unknown) && age(now, self.failed) >= pause
    }

    fn usable(&self, now: SystemTime) -> Result<Arc<KeySet>, TokenError> {
        self.keys.clone().filter(|_| age(now, self.fetched) < MAX_STALE).ok_or(TokenError::Unavailable)
    }
}

/// What never was, or lies in the future because the clock was set back, is as old as can be.
fn age(now: SystemTime, then: Option<SystemTime>) -> Duration {
    then.and_then(|then| now.duration_since(then).ok()).unwrap_or(Duration::MAX)
}

fn make_room<K, Q, V>(map: &mut HashMap<K, V>, key: &Q)
where
    K: Eq + Hash + std::borrow::Borrow<Q>,
    Q: Eq + Hash + ?Sized,
{
    if map.len() >= MAX_REMEMBERED && !map.contains_key(key) {
        map.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn empty() -> Arc<KeySet> {
        Arc::new(KeySet::parse_served(br#"{"keys":[]}"#).unwrap())
    }

    fn state(fetched: u64) -> State {
        State { keys: Some(empty()), fetched: Some(at(fetched)), ..State::default() }
    }

    #[test]
    fn keys_are_read_again_when_they_are_old_or_do_not_have_the_one() {
        assert!(State::default().is_due(|_| true, at(1_000)));
        let due = |state: &State, known: bool, now| state.is_due(|_| known, at(now));
        assert!(!due(&state(1_000), true, 1_299) && due(&state(1_000), true, 1_300));
        assert!(due(&state(1_000), true, 900), "the clock was set back");
        assert!(due(&state(1_000), false, 1_001), "a key that was published just now");
        let asked = State { asked: Some(at(1_001)), ..state(1_000) };
        assert!(!due(&asked, false, 1_002) && !due(&asked, false, 1_030) && due(&asked, false, 1_031));
    }

    #[test]
    fn a_url_that_failed_is_left_alone_for_a_while() {
        let without_keys = State { failed: Some(at(1_000)), ..State::default() };
        assert!(!without_keys.is_due(|_| true, at(1_004)) && without_keys.is_due(|_| true, at(1_005)));
        let with_keys = State { failed: Some(at(1_000)), ..state(500) };
        assert!(!with_keys.is_due(|_| false, at(1_029)) && with_keys.is_due(|_| true, at(1_030)));
    }

    #[test]
    fn keys_outlive_their_url_for_an_hour() {
        assert!(state(1_000).usable(at(1_000 + 3_599)).is_ok());
        assert!(state(1_000).usable(at(1_000 + 3_600)).is_err() && State::default().usable(at(0)).is_err());
    }
}
