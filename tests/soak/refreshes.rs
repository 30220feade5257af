//! Processes that are killed around a refresh of the org's tokens, at a random instant: no refresh token is used twice at
//! the same time, and afterwards the connection works or says that it needs the administrator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use black_box::instances::Instance;
use black_box::salesforce::{Grant, ORG, Setup, call_event, connect, define, token};
use black_box::{Server, report};
use catalogue::SalesforceTool;
use salesforce_standin::{Fault, FaultKind, Options, Org, Standin};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{INSTANCE, count, seed};

/// Orgs that are at it at once, each with its processes.
const AT_ONCE: usize = 10;
/// How long the token endpoint takes if it is slow, and until when after its call a process is killed; in milliseconds.
const LATENCY: u64 = 100;
const LATEST: u64 = 300;
/// A lease is over by then.
const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_around_a_refresh_leaves_a_connection_that_works_or_says_why_not() {
    let (kills, seed) = (count(10, 200), seed());
    let mut random = fastrand::Rng::with_seed(seed);
    let (server, start) = (Arc::new(Server::start(&[])), Instant::now());
    let names: Vec<String> = (0..AT_ONCE).map(|index| format!("{ORG}-{index}")).collect();
    let servers = names.iter().flat_map(|name| ["--server", name.as_str()]);
    let mut arguments: Vec<&str> = servers.collect();
    for name in &names {
        define(&server, name, name, SalesforceTool::ALL, &Setup::default().guard, Setup::default().timeout).await;
    }
    arguments.extend(["--scope", "mcp.write"]);
    let client = server.new_client(&arguments);
    let mut running = JoinSet::new();
    for name in names {
        let (server, mut random, token) = (server.clone(), random.fork(), token(&server, &client, &name).await);
        running.spawn(async move {
            let mut ends = Vec::new();
            for _ in 0..kills / AT_ONCE {
                ends.push(kill(&server, &name, &token, &mut random).await);
            }
            ends
        });
    }
    let mut ends = BTreeMap::<&str, usize>::new();
    for end in running.join_all().await.into_iter().flatten() {
        *ends.entry(end).or_default() += 1;
    }
    assert_eq!(ends.values().sum::<usize>(), kills);
    report(&format!(
        "{kills} processes of mcp killed 0 to {LATEST} ms after a call that met an ended session, over orgs that rotate refresh tokens and are slow to do \
         it or to answer: 0 refreshes at the same time with one token; the connection afterwards: {ends:?} ({:.0} s, seed {seed})",
        start.elapsed().as_secs_f64()
    ));
}

/// Kills one process while another one is there; how the connection is then.
async fn kill(server: &Server, name: &str, token: &str, random: &mut fastrand::Rng) -> &'static str {
    let options = Options { rotate_refresh_tokens: true, revoke_family_on_reuse: true, ..Options::default() };
    let standin = Standin::start(Org::demo(), options).await.unwrap();
    connect(server, name, &standin, Grant::RefreshToken).await;
    let event = call_event(server, name, token, "getOrganizationLimits", json!({}));
    let [first, second] = [(); 2].map(|()| Arc::new(Instance::start(INSTANCE, server)));
    for instance in [&first, &second] {
        let answer = instance.call(&event).await.unwrap();
        assert_eq!(answer.code, None, "{answer:?}");
    }
    standin.expire_sessions();
    // Either the refresh takes its time or, once the old token is void, its answer does.
    let kind = if random.bool() { FaultKind::Latency { ms: LATENCY } } else { FaultKind::SlowDrip { ms: 1 } };
    standin.inject(Fault { times: 10, ..Fault::once("POST", "/services/oauth2/token", kind) });
    let doomed = tokio::spawn({
        let (first, event) = (first.clone(), event.clone());
        async move { first.call(&event).await }
    });
    let at_the_same_time = random.bool();
    let other = tokio::spawn({
        let (second, event, pause) = (second.clone(), event.clone(), if at_the_same_time { 0 } else { LATEST });
        async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            settled(&second, &event).await
        }
    });
    tokio::time::sleep(Duration::from_micros(random.u64(..LATEST * 1_000))).await;
    first.kill();
    let was_answered = doomed.await.unwrap().is_some();
    let (code, took) = other.await.unwrap();
    let counters = standin.counters();
    assert!(counters.most_refreshes_at_once <= 1, "{counters:?}");
    match code {
        // The refresh token that took its place was lost with the process.
        Some(_) => {
            assert!(counters.reused_refresh_tokens == 1 && !was_answered, "{counters:?}");
            assert_eq!(second.call(&event).await.unwrap().code, code, "and it is not asked for again");
            assert_eq!(standin.counters().reused_refresh_tokens, 1);
            "needs the administrator"
        }
        None if took < Duration::from_secs(5) => "works at once",
        None => "works after the lease",
    }
}

/// Calls until there is an answer, or until it says that only an administrator helps.
async fn settled(instance: &Instance, event: &Value) -> (Option<String>, Duration) {
    let start = Instant::now();
    loop {
        let answer = instance.call(event).await.unwrap();
        match answer.code.as_deref() {
            None | Some("connection_needs_attention") => return (answer.code, start.elapsed()),
            Some("connection_unavailable") => assert!(start.elapsed() < PATIENCE, "{answer:?}"),
            _ => panic!("{answer:?}"),
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
