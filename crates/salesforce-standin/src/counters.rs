//! What was asked and done so far, for tests that prove what did not happen.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::org::Effects;
use crate::path;

/// Counts as they are at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests whose head and body arrived, by method and path template: `POST /services/data/sobjects/Contact`. Ids
    /// are `{id}`, versions are left out.
    pub requests: BTreeMap<String, u64>,
    /// Tokens granted, by grant type.
    pub granted: BTreeMap<String, u64>,
    /// Token requests refused, by grant type.
    pub refused: BTreeMap<String, u64>,
    /// Refresh tokens presented after another one had taken their place.
    pub reused_refresh_tokens: u64,
    /// The most refreshes with one refresh token that ran at the same time.
    pub most_refreshes_at_once: u64,
    /// Messages to the hosted MCP servers that were let in, by method.
    pub mcp: BTreeMap<String, u64>,
    /// Records written, by object.
    pub effects: BTreeMap<String, Effects>,
}

impl Counts {
    /// How many requests of a method and path template there were.
    pub fn requests(&self, method: &str, template: &str) -> u64 {
        self.requests.get(&format!("{method} {template}")).copied().unwrap_or(0)
    }

    /// How many tokens were granted for a refresh token.
    pub fn token_refreshes(&self) -> u64 {
        self.granted.get("refresh_token").copied().unwrap_or(0)
    }

    /// What was written of an object.
    pub fn effects(&self, object: &str) -> Effects {
        self.effects.get(object).copied().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    counts: Counts,
    /// Refreshes that run now, by refresh token.
    running: HashMap<String, u64>,
}

impl Counters {
    pub(crate) fn count_request(&mut self, method: &str, path: &str) {
        *self.counts.requests.entry(format!("{method} {}", path::template(path))).or_default() += 1;
    }

    pub(crate) fn count_grant(&mut self, grant_type: &str, granted: bool) {
        let counts = if granted { &mut self.counts.granted } else { &mut self.counts.refused };
        *counts.entry(grant_type.to_owned()).or_default() += 1;
    }

    pub(crate) fn count_mcp(&mut self, method: &str) {
        *self.counts.mcp.entry(method.to_owned()).or_default() += 1;
    }

    pub(crate) fn count_reuse(&mut self) {
        self.counts.reused_refresh_tokens += 1;
    }

    pub(crate) fn refresh_begins(&mut self, token: &str) {
        let running = self.running.entry(token.to_owned()).or_default();
        *running += 1;
        self.counts.most_refreshes_at_once = self.counts.most_refreshes_at_once.max(*running);
    }

    pub(crate) fn refresh_ends(&mut self, token: &str) {
        if let Some(running) = self.running.get_mut(token) {
            *running -= 1;
        }
        self.running.retain(|_, running| *running > 0);
    }

    /// The counts, with the effects that the org has counted.
    pub(crate) fn counts(&self, effects: &BTreeMap<String, Effects>) -> Counts {
        Counts { effects: effects.clone(), ..self.counts.clone() }
    }
}
