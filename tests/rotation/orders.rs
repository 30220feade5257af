//! The four events in every order, and again and again: whatever came before, the four in their order end well.

use std::time::{Duration, SystemTime};

use black_box::report;
use fastrand::Rng;
use registry::Client;
use registry::key::read_keys;
use rotate::{RotationEvent, Step};

use crate::world::{Source, World, log_without_secrets, take};

/// Every sequence of up to three steps, and longer ones from a seed.
fn sequences(rng: &mut Rng) -> Vec<Vec<Step>> {
    let mut all = vec![vec![]];
    for length in 1..=3_usize {
        let shorter: Vec<Vec<Step>> =
            all.iter().filter(|steps: &&Vec<Step>| steps.len() == length - 1).cloned().collect();
        all.extend(shorter.iter().flat_map(|steps| Step::ALL.map(|step| [steps.as_slice(), &[step]].concat())));
    }
    all.extend((0..30).map(|_| (0..rng.usize(4..12)).map(|_| Step::ALL[rng.usize(0..4)]).collect()));
    all
}

async fn check_client_secrets(source: Source) {
    const SEED: u64 = 2026;
    let world = World::new(source).await;
    let sequences = sequences(&mut Rng::with_seed(SEED));
    for steps in &sequences {
        let client = world.new_client().await;
        let secret_id = client.secret_id.as_deref().unwrap();
        let old = world.current(secret_id).await;
        let event = world.begin(secret_id).await;
        let mut value = None;
        for &step in steps {
            let _ = world.send(&event, step).await;
            world.assert_labels(secret_id, steps).await;
            let made = world.secrets.get_version(secret_id, &event.client_request_token).await.unwrap();
            let made = made.map(|version| secrecy::ExposeSecret::expose_secret(&version.value).to_owned());
            assert!(value.is_none() || made == value, "{source:?} {steps:?}: the pending value changes");
            value = made;
        }
        world.send_all(&event).await.unwrap_or_else(|error| panic!("{source:?} {steps:?}: {error}"));
        world.assert_rotated(&client, &old, steps).await;
    }
    report(&format!(
        "{} orders of rotation events, {source:?}, seed {SEED}: one AWSCURRENT after every event",
        sequences.len()
    ));
    log_without_secrets();
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_of_events_leaves_one_usable_secret_in_secrets_manager() {
    check_client_secrets(Source::SecretsManager).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_of_events_leaves_one_usable_secret_in_a_file() {
    check_client_secrets(Source::File).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_of_events_leaves_one_usable_list_of_signing_keys() {
    for source in Source::ALL {
        let world = World::new(source).await;
        let (mut rng, mut now) = (Rng::with_seed(2027), SystemTime::now());
        for steps in sequences(&mut rng).into_iter().filter(|steps| steps.len() < 3 || steps.len() > 8) {
            // The key before has retired by then.
            now += Duration::from_secs(7_200);
            let old = read_keys(&world.current(&world.signing_keys).await).unwrap().pop().unwrap();
            let event = world.begin(&world.signing_keys).await;
            for &step in &steps {
                let _ = take(&world.app, &event, step, now).await;
                world.assert_labels(&world.signing_keys, &steps).await;
            }
            for step in Step::ALL {
                let done = take(&world.app, &event, step, now).await;
                done.unwrap_or_else(|error| panic!("{source:?} {steps:?}: {error}"));
            }
            let after = read_keys(&world.current(&world.signing_keys).await).unwrap();
            assert_eq!(after.len(), 2, "{source:?} {steps:?}: one new key");
            assert_eq!((&after[0].kid, after[0].not_after), (&old.kid, Some(after[1].not_before)));
            let mut published = world.open.registry.public_keys().await.unwrap();
            published.reverse();
            let ends: Vec<_> = published.iter().map(|key| (key.kid.clone(), key.not_after)).collect();
            let expected: Vec<_> = after.iter().map(|key| (key.kid.clone(), key.not_after)).collect();
            assert_eq!(ends, expected, "{source:?} {steps:?}");
        }
    }
    log_without_secrets();
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_at_the_same_time_do_each_other_no_harm() {
    for source in Source::ALL {
        let world = World::new(source).await;
        for _ in 0..5 {
            let client = world.new_client().await;
            let secret_id = client.secret_id.as_deref().unwrap();
            let old = world.current(secret_id).await;
            let event = world.begin(secret_id).await;
            for step in Step::ALL {
                for outcome in eight_times(&world, &event, step).await {
                    outcome.unwrap_or_else(|error| panic!("{source:?} {step:?}: {error}"));
                }
                world.assert_labels(secret_id, &step).await;
            }
            world.assert_rotated(&client, &old, &"eight at once").await;
        }
    }
    log_without_secrets();
}

async fn eight_times(world: &World, event: &RotationEvent, step: Step) -> Vec<Result<(), rotate::RotationError>> {
    let send = || world.send(event, step);
    let (a, b, c, d, e, f, g, h) = tokio::join!(send(), send(), send(), send(), send(), send(), send(), send());
    vec![a, b, c, d, e, f, g, h]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_current_is_left_alone_and_its_record_is_completed() {
    for source in Source::ALL {
        let world = World::new(source).await;
        let client = world.new_client().await;
        let secret_id = client.secret_id.clone().unwrap();
        let event = world.begin(&secret_id).await;
        world.send_all(&event).await.unwrap();
        // As after a crash between the label and the record.
        let record = world.record(&client.client_id).await;
        let behind = Client { rotating: true, version: record.version + 1, ..record.clone() };
        assert!(world.open.registry.replace_client(&record, &behind, None).await.unwrap());
        let before = world.secrets.describe(&secret_id).await.unwrap();
        for step in Step::ALL {
            world.send(&event, step).await.unwrap();
            assert_eq!(world.secrets.describe(&secret_id).await.unwrap(), before, "{source:?} {step:?}");
        }
        let after = world.record(&client.client_id).await;
        assert_eq!((after.rotating, after.version), (false, behind.version + 1), "written once");
    }
}
