//! The process dies after each call of the stores: the call is lost, or done and its answer lost. Then Secrets Manager
//! sends the events again.

use std::time::{Duration, SystemTime};

use black_box::crash_proxy::Budget;
use black_box::report;
use registry::Client;
use registry::key::read_keys;
use rotate::Step;

use crate::world::{Source, World, log_without_secrets, send, take};

async fn check_client_secret(source: Source) {
    let world = World::new(source).await;
    let mut crashes = 0;
    for answer_is_lost in [false, true] {
        for calls in 0.. {
            // It has been rotated before, and nobody has used the previous secret for a long time.
            let client = rotated_long_ago(&world).await;
            let secret_id = client.secret_id.as_deref().unwrap();
            let old = world.current(secret_id).await;
            let event = world.begin(secret_id).await;
            let budget = Budget::new(calls, answer_is_lost);
            let dying = world.dying_app(&budget).await;
            for step in Step::ALL {
                if send(&dying, &event, step).await.is_err() {
                    break;
                }
            }
            let what = format!("{source:?}, dead after {calls} calls, answer lost: {answer_is_lost}");
            world.assert_labels(secret_id, &what).await;
            assert!(world.accepts(&client, &old).await, "{what}: the old secret");
            world.send_all(&event).await.unwrap_or_else(|error| panic!("{what}: {error}"));
            world.assert_rotated(&client, &old, &what).await;
            if budget.made() <= calls {
                break;
            }
            crashes += 1;
            assert!(calls < 100, "a rotation makes no such number of calls");
        }
    }
    let stores = if source == Source::SecretsManager { 2 } else { 1 };
    assert!(crashes >= 15 * stores, "{crashes} crashes");
    report(&format!("{crashes} crashes of a client secret's rotation, {source:?}: each went on to its end"));
    log_without_secrets();
}

async fn rotated_long_ago(world: &World) -> Client {
    let client = world.new_client().await;
    world.rotate(client.secret_id.as_deref().unwrap()).await.unwrap();
    let record = world.record(&client.client_id).await;
    let long_ago = SystemTime::now() - Duration::from_secs(record.quiet_period);
    let next = record.with_changed_secrets(long_ago);
    assert!(world.open.registry.replace_client(&record, &next, None).await.unwrap());
    next
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_survives_a_crash_after_every_call_of_secrets_manager_and_the_tables() {
    check_client_secret(Source::SecretsManager).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_survives_a_crash_after_every_call_of_the_tables_with_secrets_in_a_file() {
    check_client_secret(Source::File).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_signing_keys_survives_a_crash_after_every_call() {
    for source in Source::ALL {
        let world = World::new(source).await;
        let (mut now, mut crashes) = (SystemTime::now(), 0);
        for answer_is_lost in [false, true] {
            for calls in 0.. {
                // The key before has retired by then.
                now += Duration::from_secs(7_200);
                let old = read_keys(&world.current(&world.signing_keys).await).unwrap().pop().unwrap();
                let event = world.begin(&world.signing_keys).await;
                let budget = Budget::new(calls, answer_is_lost);
                let dying = world.dying_app(&budget).await;
                for step in Step::ALL {
                    if take(&dying, &event, step, now).await.is_err() {
                        break;
                    }
                }
                let what = format!("{source:?}, dead after {calls} calls, answer lost: {answer_is_lost}");
                world.assert_labels(&world.signing_keys, &what).await;
                // What may sign is public at every moment.
                let published = world.open.registry.public_keys().await.unwrap();
                for key in read_keys(&world.current(&world.signing_keys).await).unwrap() {
                    assert!(published.iter().any(|published| published.kid == key.kid), "{what}");
                }
                for step in Step::ALL {
                    take(&world.app, &event, step, now).await.unwrap_or_else(|error| panic!("{what}: {error}"));
                }
                let after = read_keys(&world.current(&world.signing_keys).await).unwrap();
                assert_eq!(after.len(), 2, "{what}");
                let published = world.open.registry.public_keys().await.unwrap();
                assert_eq!(published.len(), 2, "{what}");
                let end = published.iter().find(|key| key.kid == old.kid).unwrap().not_after;
                assert_eq!(end, Some(after[1].not_before), "{what}");
                if budget.made() <= calls {
                    break;
                }
                crashes += 1;
                assert!(calls < 100, "a rotation makes no such number of calls");
            }
        }
        assert!(crashes >= 10, "{crashes} crashes");
        report(&format!("{crashes} crashes of the signing keys' rotation, {source:?}: each went on to its end"));
    }
    log_without_secrets();
}
