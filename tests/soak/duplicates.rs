//! The same write very many times at once, at four processes: one effect for each key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use black_box::instances::Instance;
use black_box::report;
use black_box::salesforce::{Setup, WRITE, World, call_event};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{INSTANCE, count};

const PROCESSES: usize = 4;
/// Times that each write is asked for.
const TIMES: usize = 10;
/// Keys under way at once.
const AT_ONCE: usize = 50;

fn contact(key: usize) -> Value {
    json!({ "LastName": format!("Key {key}"), "Email": format!("key{key}@example.com"), "idempotency_key": format!("key {key}") })
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_the_same_write_at_once_is_one_effect() {
    let keys = count(50, 1_000);
    let world = Arc::new(World::start(Setup::default()).await);
    let instances: Vec<_> = (0..PROCESSES).map(|_| Arc::new(Instance::start(INSTANCE, &world.server))).collect();
    let (start, free) = (Instant::now(), Arc::new(Semaphore::new(AT_ONCE)));
    let mut running = JoinSet::new();
    for key in 0..keys {
        let permit = free.clone().acquire_owned().await.unwrap();
        let (instances, world) = (instances.clone(), world.clone());
        running.spawn(async move {
            let event = call_event(&world.server, WRITE, world.token(WRITE), "salesforce_create_contact", contact(key));
            let mut calls = JoinSet::new();
            for time in 0..TIMES {
                let (instance, event) = (instances[(key + time) % PROCESSES].clone(), event.clone());
                calls.spawn(async move { instance.call(&event).await.unwrap() });
            }
            let answers = calls.join_all().await;
            drop(permit);
            (key, answers)
        });
    }
    let (mut told, mut waiting) = (BTreeMap::<String, usize>::new(), 0);
    for (key, answers) in running.join_all().await {
        let mut ids = Vec::new();
        for answer in answers {
            match answer.code.as_deref() {
                None => {
                    ids.push(answer.content["id"].as_str().unwrap().to_owned());
                    *told.entry(answer.content["state"].as_str().unwrap().to_owned()).or_default() += 1;
                }
                // Another one is at it, for longer than anybody waits.
                Some("in_progress") => waiting += 1,
                _ => panic!("key {key}: {answer:?}"),
            }
        }
        let again = world.answer("salesforce_create_contact", contact(key)).await;
        assert_eq!(again["state"], "already_done", "key {key}");
        assert!(ids.iter().all(|id| again["id"] == id.as_str()), "key {key}: {ids:?}, {again}");
    }
    let created = world.standin.counters().effects("Contact").created;
    let sent = world.standin.counters().requests("POST", "/services/data/sobjects/Contact");
    report(&format!(
        "{} writes, each of {keys} keys {TIMES} times at once, at {PROCESSES} processes of mcp: {created} effects, {sent} requests to the org; told {told:?}, \
         in progress {waiting} ({:.0} s)",
        keys * TIMES,
        start.elapsed().as_secs_f64()
    ));
    assert_eq!((created, sent), (keys as u64, keys as u64));
    assert_eq!(told["done"], keys);
}
