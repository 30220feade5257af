//! Very many bad requests: what they must never do is panic, fail on our side, hang, or fill the memory.
//! URLs that lead elsewhere than they seem to. And rotations under load, during which no good request may fail, a client far beyond its limit, the same write many times
//! at once, and processes that are killed.
//!
//! `make test` sends a reduced number; `make soak` all of them (`NORTHSTAR_SOAK=1`), in an optimised build.

mod deployment;
mod duplicates;
mod hostile_tokens;
mod hostile_urls;
mod limits;
mod malformed;
mod refreshes;
mod secret_rotation;
mod signing_keys;
mod soql;
mod wrong_secrets;

use std::time::{Duration, SystemTime};

/// The program of [`black_box::instances`]: nothing as a test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_of_mcp() {
    black_box::instances::run_if_told().await;
}

const INSTANCE: &str = "an_instance_of_mcp";

/// The first number, or the second in a full run.
fn count(reduced: usize, full: usize) -> usize {
    if is_full() { full } else { reduced }
}

fn is_full() -> bool {
    std::env::var_os("NORTHSTAR_SOAK").is_some()
}

/// The seed of this run: `NORTHSTAR_SEED`; else the time in a full run, and always the same in a reduced one.
fn seed() -> u64 {
    let given = std::env::var("NORTHSTAR_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        if is_full() { now.as_secs() } else { 2026 }
    })
}
