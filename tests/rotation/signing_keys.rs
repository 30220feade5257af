//! Signing keys in virtual time: phases, refusals, and what verifiers can know at every moment.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_clients::SecretStage;
use black_box::key_rotation::{Rotation, run};
use black_box::report;
use fastrand::Rng;
use registry::key::{KeyPhase, VERIFIES_AFTER, read_keys, write_keys};
use registry::{PrivateKeyRecord, PublishedKey};
use rotate::{RotationError, RotationEvent, Step, step};
use secrecy::SecretString;

use crate::world::{Source, World, log_without_secrets};

const QUARTER: u64 = 900;

/// A second since 1970 in which the first key has signed for a while.
fn later(world: &World) -> impl Future<Output = u64> {
    let registry = world.open.registry.clone();
    async move { registry.public_keys().await.unwrap()[0].not_before + 100_000 }
}

async fn take(world: &World, event: &RotationEvent, step: Step, now: u64) -> Result<(), RotationError> {
    crate::world::take(&world.app, event, step, at(now)).await
}

async fn rotate_at(world: &World, now: u64) -> Result<(), RotationError> {
    let event = world.begin(&world.signing_keys).await;
    for step in Step::ALL {
        take(world, &event, step, now).await?;
    }
    Ok(())
}

fn at(now: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(now)
}

async fn list(world: &World) -> Vec<PrivateKeyRecord> {
    read_keys(&world.current(&world.signing_keys).await).unwrap()
}

/// The newest first.
async fn published(world: &World) -> Vec<PublishedKey> {
    world.open.registry.public_keys().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_public_for_a_quarter_of_an_hour_before_it_signs() {
    for source in Source::ALL {
        let world = World::new(source).await;
        let now = later(&world).await;
        let event = world.begin(&world.signing_keys).await;
        take(&world, &event, Step::CreateSecret, now).await.unwrap();
        assert_eq!(published(&world).await.len(), 1);
        take(&world, &event, Step::SetSecret, now + 1).await.unwrap();
        let keys = published(&world).await;
        assert_eq!((keys.len(), keys[0].not_before, keys[0].not_after), (2, now + QUARTER, None));
        assert_eq!(keys[1].not_after, None, "the old key ends when the new list is current, not before");
        assert!(!keys[0].jwk.contains("\"d\""), "{}", keys[0].jwk);
        take(&world, &event, Step::TestSecret, now + 2).await.unwrap();
        assert_eq!(list(&world).await.len(), 1);
        take(&world, &event, Step::FinishSecret, now + 3).await.unwrap();
        let keys = published(&world).await;
        assert_eq!(keys[1].not_after, Some(now + QUARTER));
        let records = list(&world).await;
        assert_eq!((&records[1].kid, records[1].not_before), (&keys[0].kid, now + QUARTER));
        let phases = |now| keys.iter().map(|key| key.phase(now)).collect::<Vec<_>>();
        assert_eq!(phases(now + 10), [KeyPhase::Published, KeyPhase::Signing]);
        assert_eq!(phases(now + QUARTER + 1), [KeyPhase::Signing, KeyPhase::Retiring]);
        assert_eq!(phases(now + QUARTER + VERIFIES_AFTER + 1), [KeyPhase::Signing, KeyPhase::Retired]);
    }
    log_without_secrets();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_refused_while_the_newest_key_does_not_sign() {
    for source in Source::ALL {
        let world = World::new(source).await;
        let now = later(&world).await;
        rotate_at(&world, now).await.unwrap();
        let (before, described) = (published(&world).await, world.secrets.describe(&world.signing_keys).await.unwrap());
        let refused = rotate_at(&world, now + QUARTER - 1).await.unwrap_err();
        assert_eq!(refused.code(), "rotation_refused");
        let RotationError::KeyNotInUse { kid, signs_from } = refused else { panic!("{refused}") };
        assert_eq!((kid.as_str(), signs_from), (before[0].kid.as_str(), now + QUARTER));
        assert_eq!(published(&world).await, before);
        assert_eq!(world.secrets.describe(&world.signing_keys).await.unwrap(), described, "without AWSPENDING");
        rotate_at(&world, now + QUARTER).await.expect("the refused one is not in the way");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_would_be_public_too_late_is_given_up() {
    // 5 minutes of a verifier's JWKS, 1 of token's, clocks, and a moment.
    const NEEDED: u64 = 300 + 60 + 30 + 10;
    for source in Source::ALL {
        let world = World::new(source).await;
        let now = later(&world).await;
        for (delay, expected) in
            [(QUARTER - NEEDED + 1, Err("rotation_too_late")), (QUARTER * 100, Err("rotation_too_late"))]
        {
            let event = world.begin(&world.signing_keys).await;
            take(&world, &event, Step::CreateSecret, now).await.unwrap();
            let done = take(&world, &event, Step::SetSecret, now + delay).await;
            assert_eq!(done.map_err(|error| error.code()), expected, "{delay} s");
            for step in Step::ALL {
                let code = take(&world, &event, step, now + delay).await.unwrap_err().code();
                assert_eq!(code, "rotation_unknown_version", "{step:?}: it was given up");
            }
            assert_eq!((published(&world).await.len(), list(&world).await.len()), (1, 1));
        }
        let event = world.begin(&world.signing_keys).await;
        take(&world, &event, Step::CreateSecret, now).await.unwrap();
        take(&world, &event, Step::SetSecret, now + QUARTER - NEEDED).await.unwrap();
        // Public in time: a repeat may come when it likes.
        take(&world, &event, Step::SetSecret, now + QUARTER * 100).await.unwrap();
        for step in [Step::TestSecret, Step::FinishSecret] {
            take(&world, &event, step, now + QUARTER * 100).await.unwrap();
        }
        let end = published(&world).await[1].not_after;
        assert_eq!(end, Some(now + QUARTER * 100 + 300), "token may sign with what it remembers for 5 minutes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_lead_is_always_too_late() {
    let world = World::new(Source::File).await;
    let app = rotate::App::new(rotate::Config { key_lead: Duration::from_secs(399), ..world.config() });
    let (event, now) = (world.begin(&world.signing_keys).await, later(&world).await);
    step(&app, &event, at(now)).await.unwrap();
    let set = RotationEvent { step: Step::SetSecret, ..event };
    assert_eq!(step(&app, &set, at(now)).await.unwrap_err().code(), "rotation_too_late");
}

#[tokio::test(flavor = "multi_thread")]
async fn retired_keys_go_from_the_list_and_from_the_registry() {
    for source in Source::ALL {
        let world = World::new(source).await;
        let start = later(&world).await;
        let first = published(&world).await[0].kid.clone();
        rotate_at(&world, start).await.unwrap();
        let retires = start + QUARTER + VERIFIES_AFTER;
        rotate_at(&world, retires).await.unwrap();
        assert_eq!((list(&world).await.len(), published(&world).await.len()), (3, 3));
        rotate_at(&world, retires + QUARTER).await.unwrap();
        let kids: Vec<String> = published(&world).await.into_iter().map(|key| key.kid).collect();
        assert_eq!((list(&world).await.len(), kids.len()), (3, 3));
        assert!(!kids.contains(&first));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_rotation_that_was_given_up_goes_with_the_next_one() {
    let world = World::new(Source::File).await;
    let now = later(&world).await;
    let event = world.begin(&world.signing_keys).await;
    for step in [Step::CreateSecret, Step::SetSecret] {
        take(&world, &event, step, now).await.unwrap();
    }
    let given_up = published(&world).await[0].kid.clone();
    let pending = Some(event.client_request_token.as_str());
    world.secrets.move_stage(&world.signing_keys, SecretStage::Pending, pending, None).await.unwrap();
    rotate_at(&world, now + 10).await.unwrap();
    assert!(published(&world).await.iter().all(|key| key.kid != given_up));
    assert_eq!(published(&world).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_key_that_does_not_fit_fails_the_test_and_a_missing_one_is_published_again() {
    for source in Source::ALL {
        let world = World::new(source).await;
        let now = later(&world).await;
        let first = published(&world).await[0].clone();
        world.open.registry.delete_public_key(&first.kid).await.unwrap();
        let event = world.begin(&world.signing_keys).await;
        for step in [Step::CreateSecret, Step::SetSecret] {
            take(&world, &event, step, now).await.unwrap();
        }
        assert!(published(&world).await.contains(&first));
        let right = published(&world).await[0].clone();
        let wrong = PublishedKey { jwk: first.jwk.clone(), ..right.clone() };
        world.open.registry.put_public_key(&wrong).await.unwrap();
        let error = take(&world, &event, Step::TestSecret, now).await.unwrap_err();
        assert_eq!(error.code(), "rotation_test_failed", "{error}");
        assert_eq!(list(&world).await.len(), 1);
        world.open.registry.put_public_key(&right).await.unwrap();
        for step in Step::ALL {
            take(&world, &event, step, now).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_no_list_of_keys_is_told_so_and_left_alone() {
    let world = World::new(Source::File).await;
    let event = world.begin(&world.signing_keys).await;
    for text in ["", "[]", "{}", "secret-secret-secret-secret", r#"[{"kid":"k","private_key":"p"}]"#] {
        let path = world.open.home().file("secrets.json");
        let mut secrets: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for version in secrets[&world.signing_keys].as_object_mut().unwrap().values_mut() {
            if version["stages"][0] == "AWSCURRENT" {
                version["value"] = text.into();
            }
        }
        std::fs::write(&path, secrets.to_string()).unwrap();
        let error = take(&world, &event, Step::CreateSecret, 2_000_000_000).await.unwrap_err();
        assert_eq!(error.code(), "rotation_damaged", "{text}");
        assert!(text.len() < 3 || !error.to_string().contains(text));
    }
    let unreadable = [PrivateKeyRecord {
        kid: "k".to_owned(),
        private_key: SecretString::from("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        not_before: 4_000_000_000,
        not_after: None,
    }];
    let version = event.client_request_token.as_str();
    world.secrets.put_pending(&world.signing_keys, version, &write_keys(&unreadable)).await.unwrap();
    for step in [Step::SetSecret, Step::TestSecret, Step::FinishSecret] {
        assert!(take(&world, &event, step, 2_000_000_000).await.is_err(), "{step:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_living_token_verifies_whenever_the_events_come() {
    const SEED: u64 = 2026;
    let mut rng = Rng::with_seed(SEED);
    let (mut verified, mut events) = (0, Vec::new());
    for round in 0..4 {
        // In order and not, repeated, lost, a long time apart.
        let mut begins = 0;
        let rotations: Vec<Rotation> = (0..8)
            .map(|_| {
                begins += rng.u64(300..5_000);
                let mut events: Vec<(u64, Step)> = Vec::new();
                for step in Step::ALL {
                    for _ in 0..[1, 1, 1, 2, 0][rng.usize(0..5)] {
                        let delay = if rng.u8(0..4) == 0 { rng.u64(0..2_400) } else { rng.u64(0..20) };
                        events.push((delay, step));
                    }
                }
                if rng.u8(0..3) == 0 {
                    rng.shuffle(&mut events);
                }
                Rotation { begins, events }
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let outcome = run(folder.path(), &rotations, 250, 8 * 3_600, &mut rng).await;
        assert_eq!(outcome.refused, Vec::<String>::new(), "round {round} of seed {SEED}: {:?}", outcome.events);
        verified += outcome.verified;
        events.extend(outcome.events);
    }
    let count = |code: &str| events.iter().filter(|event| **event == code).count();
    let codes = ["ok", "rotation_refused", "rotation_too_late", "rotation_out_of_order", "rotation_unknown_version"];
    let counts: Vec<String> = codes.iter().map(|code| format!("{code}: {}", count(code))).collect();
    assert!(codes.iter().all(|code| count(code) > 0), "{counts:?}");
    report(&format!(
        "{verified} verifications with an old JWKS, rotation events at any time, seed {SEED}: 0 refused; {}",
        counts.join(", ")
    ));
}
