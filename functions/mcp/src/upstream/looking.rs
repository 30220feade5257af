//! Whether an upstream still lists a tool as it was accepted. What was last seen is in the state table, so that one look
//! serves every instance, and in this process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use registry::{Kept, PinnedTool};
use secrecy::SecretString;
use upstream::Seen;

/// Until this age what was seen is trusted.
const FRESH: Duration = Duration::from_secs(60);
/// Until this age it is trusted once more, with a look beside the call.
const USABLE: Duration = Duration::from_secs(10 * 60);

/// What this process knows of an upstream, whichever servers have it.
#[derive(Default)]
pub struct Known {
    seen: Mutex<Option<Arc<Seen>>>,
    /// Held by the one who looks.
    pub looking: Arc<tokio::sync::Mutex<()>>,
    /// The token of an upstream whose token does not change; `None` when its secret does not exist.
    pub bearer: Kept<Option<Arc<SecretString>>>,
}

/// What a call does about what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Trust it.
    No,
    /// Trust it, and look meanwhile.
    Beside,
    /// Look before.
    First,
}

impl Known {
    /// Takes what somebody saw, unless it is older than what is known.
    pub fn learn(&self, seen: Seen) {
        let mut known = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_none_or(|known| known.checked_at <= seen.checked_at) {
            *known = Some(Arc::new(seen));
        }
    }

    fn seen(&self) -> Option<Arc<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the upstream was last seen to list the tool in another way than it was accepted, or not at all. Where
    /// nobody has looked nothing is withheld.
    pub fn withholds(&self, tool: &PinnedTool) -> bool {
        self.seen().is_some_and(|seen| seen.hashes.get(&tool.name) != Some(&tool.hash))
    }

    /// What a call of a tool does before it trusts what was seen.
    pub fn look(&self, tool: &PinnedTool, now: SystemTime) -> Look {
        let Some(seen) = self.seen() else { return Look::First };
        let checked_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seen.checked_at)).unwrap_or(now);
        // Of another instance, whose clock is ahead: just now.
        let age = now.duration_since(checked_at).unwrap_or_default();
        let withheld = seen.hashes.get(&tool.name) != Some(&tool.hash);
        look(age, withheld)
    }
}

/// A tool that is withheld has nothing to lose by a look, and may be as it was again.
fn look(age: Duration, withheld: bool) -> Look {
    match age {
        age if age < FRESH => Look::No,
        age if age < USABLE && !withheld => Look::Beside,
        _ => Look::First,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn tool(hash: &str) -> PinnedTool {
        let tool = serde_json::json!({
            "name": "read", "title": "", "description": "", "input_schema": {}, "read_only": true, "destructive": false,
            "idempotent": true, "open_world": true, "hash": hash,
        });
        serde_json::from_value(tool).unwrap()
    }

    fn seen(checked_at: u64, hash: &str) -> Seen {
        Seen { checked_at, hashes: BTreeMap::from([("read".to_owned(), hash.to_owned())]) }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_was_seen_is_trusted_for_a_minute_and_with_a_look_beside_for_ten() {
        let known = Known::default();
        assert_eq!(
            (known.look(&tool("a"), at(0)), known.withholds(&tool("a"))),
            (Look::First, false),
            "nobody has looked"
        );
        known.learn(seen(1_000, "a"));
        for (now, accepted, changed) in [
            (990, Look::No, Look::No),
            (1_059, Look::No, Look::No),
            (1_060, Look::Beside, Look::First),
            (1_599, Look::Beside, Look::First),
            (1_600, Look::First, Look::First),
        ] {
            assert_eq!(
                (known.look(&tool("a"), at(now)), known.look(&tool("b"), at(now))),
                (accepted, changed),
                "{now}"
            );
        }
    }

    #[test]
    fn a_tool_is_withheld_while_the_last_look_saw_another_one_or_none() {
        let known = Known::default();
        known.learn(seen(1_000, "b"));
        assert!(known.withholds(&tool("a")) && !known.withholds(&tool("b")));
        known.learn(seen(900, "a"));
        assert!(known.withholds(&tool("a")), "an earlier look says nothing");
        known.learn(Seen { checked_at: 1_001, hashes: BTreeMap::new() });
        assert!(known.withholds(&tool("b")), "it is gone");
        known.learn(seen(1_001, "a"));
        assert!(!known.withholds(&tool("a")));
    }
}
