//! One client at ten times its limit, at two processes of `mcp`: it gets its limit and no more, another client is not
//! held up, and the state table sees few writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use black_box::lambda::Lambda;
use black_box::limits::{ask, order_call, set_limits, token_of};
use black_box::proxy::{Mode, Proxy};
use black_box::{Server, report};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::count;

const PROCESSES: usize = 2;
/// Calls a minute that the client may make, and those that it makes.
const LIMIT: u32 = 600;
const OFFERED: u32 = 10 * LIMIT;
/// What the definition gives, or what `Rate::default_burst` makes of the limit.
const BURST: f64 = 20.0;

/// What came of the calls of one client.
#[derive(Default)]
struct Calls {
    made: u32,
    accepted: u32,
    /// From the first call to the last one accepted, in seconds.
    until: f64,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_at_ten_times_its_limit_gets_its_limit_and_holds_nobody_up() {
    let seconds = count(12, 60) as u64;
    for burst in [Some(20), None] {
        let server = Arc::new(Server::start(&[]));
        let mut limits = json!({ "per_client": format!("{LIMIT}/min") });
        if let Some(burst) = burst {
            limits["burst"] = json!(burst);
        }
        set_limits(&server, limits).await;
        let tables = Proxy::start(&server.dynamodb_url(), Mode::Pass);
        let busy = token_of(&server, &server.client_id, &server.client_secret).await;
        let (id, secret) = server.new_client(&[]);
        let calm = token_of(&server, &id, &secret).await;
        let mut processes = Vec::new();
        for _ in 0..PROCESSES {
            let process = Lambda::start_behind("mcp", &server, &tables.url).await;
            // Discovery has a bucket of its own.
            let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
            for token in [&busy, &calm] {
                assert!(ask(&process, &server, token, &list).await.is_served());
            }
            processes.push(Arc::new(process));
        }
        let writes = || tables.asked("UpdateItem");
        let (before, start) = (writes(), Instant::now());
        let every = |a_minute: u32| Duration::from_secs(60) * PROCESSES as u32 / a_minute;
        let mut running = Vec::new();
        for process in &processes {
            for (token, pause) in [(&busy, every(OFFERED)), (&calm, every(60))] {
                let (process, server, token) = (process.clone(), server.clone(), token.clone());
                running.push(tokio::spawn(calls(process, server, token, pause, start, seconds)));
            }
        }
        let mut sums = [Calls::default(), Calls::default()];
        for (index, calls) in running.into_iter().enumerate() {
            let (sum, calls) = (&mut sums[index % 2], calls.await.unwrap());
            sum.made += calls.made;
            sum.accepted += calls.accepted;
            sum.until = sum.until.max(calls.until);
        }
        let [busy, calm] = sums;
        let (took, writes) = (start.elapsed().as_secs_f64(), writes() - before);
        let allowed = |seconds: f64| BURST + f64::from(LIMIT) / 60.0 * seconds;
        let of_limit = f64::from(busy.accepted) / allowed(busy.until) * 100.0;
        let given = burst.map_or("none in the definition".to_owned(), |burst| burst.to_string());
        report(&format!(
            "one client at ten times its limit of {LIMIT}/min (burst: {given}) for {took:.1} s at {PROCESSES} processes of mcp: {} of {} calls \
             accepted, {of_limit:.1} % of rate × time + burst; a second client within its limit: {} of {} calls refused; {writes} writes of limits in \
             the state table",
            busy.accepted,
            busy.made,
            calm.made - calm.accepted,
            calm.made,
        ));
        assert!(f64::from(busy.accepted) <= allowed(took), "{} accepted in {took} s", busy.accepted);
        assert!(of_limit >= 95.0, "{of_limit} % accepted");
        assert_eq!(calm.made, calm.accepted, "the second client");
        assert!(f64::from(busy.made) >= 0.9 * f64::from(OFFERED) / 60.0 * took, "{} calls are no flood", busy.made);
        assert!(writes * 10 < (busy.made + calm.made) as usize, "{writes} writes");
    }
}

/// Calls a tool in equal distances, or as fast as the process answers.
async fn calls(
    process: Arc<Lambda>,
    server: Arc<Server>,
    token: String,
    pause: Duration,
    start: Instant,
    seconds: u64,
) -> Calls {
    let mut calls = Calls::default();
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while start.elapsed() < Duration::from_secs(seconds) {
        ticks.tick().await;
        calls.made += 1;
        if ask(&process, &server, &token, &order_call()).await.is_served() {
            calls.accepted += 1;
            calls.until = start.elapsed().as_secs_f64();
        }
    }
    calls
}
