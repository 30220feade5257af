//! Client secrets: what is accepted when, and which rotations are refused.

use std::time::{Duration, SystemTime};

use aws_clients::SecretStage;
use registry::client::{generate_secret, seconds};
use registry::{AuthMethod, Client, ClientStatus};
use rotate::{RotationError, RotationEvent, Step, step};
use secrecy::{ExposeSecret, SecretString};

use crate::world::{Source, World, log_without_secrets, uuid};

#[tokio::test(flavor = "multi_thread")]
async fn the_new_secret_is_accepted_and_the_old_one_too_until_it_is_retired() {
    for source in Source::ALL {
        let world = World::new(source).await;
        let client = world.new_client().await;
        let secret_id = client.secret_id.as_deref().unwrap();
        let old = world.current(secret_id).await;
        world.rotate(secret_id).await.unwrap();
        world.assert_rotated(&client, &old, &"rotated").await;
        let new = world.current(secret_id).await;
        assert_eq!(new.expose_secret().len(), 43, "256 bits, URL-safe");
        world.retire(&client).await;
        assert!(world.accepts(&client, &new).await && !world.accepts(&client, &old).await);
    }
    log_without_secrets();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_secret_is_accepted_from_set_secret_on_and_the_current_one_stays() {
    for source in Source::ALL {
        let world = World::new(source).await;
        let client = world.new_client().await;
        let secret_id = client.secret_id.as_deref().unwrap();
        let old = world.current(secret_id).await;
        let event = world.begin(secret_id).await;
        world.send(&event, Step::CreateSecret).await.unwrap();
        let new = world.value(secret_id, SecretStage::Pending).await.unwrap();
        assert!(!world.accepts(&client, &new).await);
        world.send(&event, Step::SetSecret).await.unwrap();
        assert!(world.accepts(&client, &new).await);
        assert_eq!(world.current(secret_id).await.expose_secret(), old.expose_secret());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_rotation_is_refused_while_the_previous_secret_is_accepted_and_changes_nothing() {
    for source in Source::ALL {
        let world = World::new(source).await;
        let client = world.new_client().await;
        let secret_id = client.secret_id.as_deref().unwrap();
        world.rotate(secret_id).await.unwrap();
        let old = world.value(secret_id, SecretStage::Previous).await.unwrap();
        assert!(world.accepts(&client, &old).await, "which is recorded");
        let (record, before) =
            (world.record(&client.client_id).await, world.secrets.describe(secret_id).await.unwrap());

        let event = world.begin(secret_id).await;
        let refused = world.send(&event, Step::CreateSecret).await.unwrap_err();
        let RotationError::SecretInUse(in_use) = &refused else { panic!("{refused}") };
        assert_eq!(refused.code(), "rotation_refused");
        assert_eq!((&in_use.client_id, in_use.name.as_str()), (&client.client_id, "Agentforce"));
        let (used_at, address) = in_use.last_use.clone().unwrap();
        assert_eq!(address, "127.0.0.1");
        assert!(used_at + 60 >= seconds(SystemTime::now()));
        assert_eq!(in_use.accepted_until, used_at + 60 + client.quiet_period);
        let message = refused.to_string();
        for told in [client.client_id.as_str(), "Agentforce", "127.0.0.1", "--retire-previous"] {
            assert!(message.contains(told), "{message}");
        }

        assert_eq!(world.record(&client.client_id).await, record);
        assert_eq!(world.secrets.describe(secret_id).await.unwrap(), before, "without AWSPENDING, as before");
        for step in Step::ALL {
            let later = world.send(&event, step).await.unwrap_err();
            assert_eq!(later.code(), "rotation_unknown_version", "{step:?}: it was given up");
        }
        let lines = log_without_secrets();
        let line = lines.lines().find(|line| {
            line.contains(client.client_id.as_str())
                && line.contains("\"rotation_refused\"")
                && line.contains("\"status\"")
        });
        let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
        assert_eq!(
            (&line["fn"], &line["method"], &line["level"]),
            (&"rotate".into(), &"createSecret".into(), &"WARN".into())
        );

        world.retire(&client).await;
        world.rotate(secret_id).await.expect("the refused rotation is not in the way of this one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quiet_period_decides_to_the_second() {
    let world = World::new(Source::File).await;
    let client = world.client(1_000).await;
    let secret_id = client.secret_id.clone().unwrap();
    world.rotate(&secret_id).await.unwrap();
    let previous = world.version_at(&secret_id, SecretStage::Previous).await.unwrap();
    let changed_at = world.record(&client.client_id).await.secrets_changed_at;
    let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let attempt = async |now: u64| {
        let event = RotationEvent { step: Step::CreateSecret, ..world.begin(&secret_id).await };
        let done = step(&world.app, &event, at(now)).await;
        if done.is_ok() {
            let pending = Some(event.client_request_token.as_str());
            world.secrets.move_stage(&secret_id, SecretStage::Pending, pending, None).await.unwrap();
        }
        done.map_err(|error| error.code())
    };
    assert_eq!(attempt(changed_at + 999).await, Err("rotation_refused"), "nobody used it, but it was just replaced");
    world.open.secret_uses.record(&client.client_id, &previous, "192.0.2.7", at(changed_at + 500)).await.unwrap();
    // A use is recorded at most once a minute.
    assert_eq!(attempt(changed_at + 500 + 60 + 999).await, Err("rotation_refused"));
    assert_eq!(world.version_at(&secret_id, SecretStage::Previous).await, Some(previous));
    assert_eq!(attempt(changed_at + 500 + 60 + 1_000).await, Ok(()));
    assert_eq!(world.version_at(&secret_id, SecretStage::Previous).await, None, "it is not accepted anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_never_rotated_may_always_be() {
    let world = World::new(Source::SecretsManager).await;
    let client = world.new_client().await;
    let secret_id = client.secret_id.as_deref().unwrap();
    let old = world.current(secret_id).await;
    assert!(world.accepts(&client, &old).await, "it is in use");
    world.rotate(secret_id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_guard_refuses() {
    let world = World::new(Source::SecretsManager).await;
    let client = world.new_client().await;
    let secret_id = client.secret_id.clone().unwrap();
    let event = world.begin(&secret_id).await;
    let code = async |event: &RotationEvent| world.send(event, Step::CreateSecret).await.unwrap_err().code();
    let other = |secret_id: &str, token: &str| RotationEvent {
        secret_id: secret_id.to_owned(),
        client_request_token: token.to_owned(),
        ..event.clone()
    };
    let token = event.client_request_token.as_str();
    assert_eq!(code(&other("no-such-secret", token)).await, "rotation_unknown_secret");
    assert_eq!(code(&other(&event.secret_id, &uuid())).await, "rotation_unknown_version");

    // A secret that is none of ours, one of a client that is not registered, one that is not to be rotated.
    let prefix = secret_id.strip_suffix(client.client_id.as_str()).unwrap();
    for (name, expected) in [
        (format!("other-{}", uuid()), "rotation_unknown_secret"),
        (format!("{prefix}not a client id"), "rotation_unknown_secret"),
    ] {
        world.secrets.create(&name, &generate_secret()).await.unwrap();
        assert_eq!(code(&other(&name, token)).await, expected, "{name}");
    }
    let nobody = format!("{prefix}nobody");
    world.secrets.create(&nobody, &generate_secret()).await.unwrap();
    let current = world.version_at(&nobody, SecretStage::Current).await.unwrap();
    assert_eq!(code(&other(&nobody, &current)).await, "rotation_disabled");

    // The version has a label, but not this one.
    world.send_all(&event).await.unwrap();
    let previous = world.version_at(&secret_id, SecretStage::Previous).await.unwrap();
    assert_eq!(code(&other(&event.secret_id, &previous)).await, "rotation_unknown_version");
    log_without_secrets();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_of_a_client_that_is_gone_or_has_other_ways_is_not_rotated() {
    for source in Source::ALL {
        let world = World::new(source).await;
        let client = world.new_client().await;
        let secret_id = client.secret_id.as_deref().unwrap();
        let event = world.begin(secret_id).await;
        let keyed = Client {
            secret_id: None,
            auth_methods: vec![AuthMethod::PrivateKeyJwt],
            version: client.version + 1,
            ..client.clone()
        };
        assert!(world.open.registry.replace_client(&client, &keyed, None).await.unwrap());
        for step in Step::ALL {
            assert_eq!(world.send(&event, step).await.unwrap_err().code(), "rotation_unknown_secret");
        }
        let cut = world.open.revocations.cut_all(&keyed, SystemTime::now());
        assert!(world.open.registry.delete_client(&keyed, cut).await.unwrap());
        assert_eq!(world.send(&event, Step::CreateSecret).await.unwrap_err().code(), "rotation_unknown_secret");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_before_its_time_is_refused() {
    for source in Source::ALL {
        let world = World::new(source).await;
        let client = world.new_client().await;
        let secret_id = client.secret_id.as_deref().unwrap();
        let event = world.begin(secret_id).await;
        let code = async |step| world.send(&event, step).await.unwrap_err().code();
        for step in [Step::SetSecret, Step::FinishSecret] {
            assert_eq!(code(step).await, "rotation_out_of_order", "{step:?} before createSecret");
        }
        world.send(&event, Step::CreateSecret).await.unwrap();
        for step in [Step::TestSecret, Step::FinishSecret] {
            assert_eq!(code(step).await, "rotation_out_of_order", "{step:?} before setSecret");
        }
    }
}

/// Secrets Manager sends testSecret alone when rotation is turned on without rotating at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_trial_of_the_function_succeeds_and_changes_nothing() {
    for source in Source::ALL {
        let world = World::new(source).await;
        let client = world.new_client().await;
        for secret_id in [client.secret_id.as_deref().unwrap(), &world.signing_keys] {
            for has_the_current_value in [false, true] {
                let (event, current) = (world.begin(secret_id).await, world.current(secret_id).await);
                if has_the_current_value {
                    world.secrets.put_pending(secret_id, &event.client_request_token, &current).await.unwrap();
                }
                let (keys, record) =
                    (world.open.registry.public_keys().await.unwrap(), world.record(&client.client_id).await);
                world.send(&event, Step::TestSecret).await.unwrap();
                assert_eq!(world.record(&client.client_id).await, record);
                assert_eq!(world.open.registry.public_keys().await.unwrap(), keys);
                assert_eq!(world.current(secret_id).await.expose_secret(), current.expose_secret());
                if secret_id != world.signing_keys || !has_the_current_value {
                    let ended = world.send(&event, Step::FinishSecret).await.unwrap_err();
                    assert_eq!(ended.code(), "rotation_out_of_order", "it is no rotation");
                }
                world.secrets.drop_label(secret_id, SecretStage::Pending).await.unwrap();
            }
        }
        // As the stack's template makes it.
        world.secrets.put_current(&world.signing_keys, &SecretString::from("[]")).await.unwrap();
        let event = world.begin(&world.signing_keys).await;
        world
            .secrets
            .put_pending(&world.signing_keys, &event.client_request_token, &SecretString::from("[]"))
            .await
            .unwrap();
        world.send(&event, Step::TestSecret).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_client_gets_a_new_secret_too() {
    for source in Source::ALL {
        let world = World::new(source).await;
        let client = world.new_client().await;
        let secret_id = client.secret_id.as_deref().unwrap();
        let stopped = Client { status: ClientStatus::Disabled, version: client.version + 1, ..client.clone() };
        assert!(world.open.registry.replace_client(&client, &stopped, None).await.unwrap());
        let old = world.current(secret_id).await;
        world.rotate(secret_id).await.unwrap();
        let new = world.current(secret_id).await;
        assert_ne!(new.expose_secret(), old.expose_secret());
        assert!(!world.accepts(&client, &new).await, "it stays stopped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_client_by_others_is_not_lost() {
    let world = World::new(Source::File).await;
    let client = world.new_client().await;
    let secret_id = client.secret_id.clone().unwrap();
    let event = world.begin(&secret_id).await;
    world.send(&event, Step::CreateSecret).await.unwrap();
    let rename = async {
        let mut renamed = 0;
        while renamed < 20 {
            let record = world.record(&client.client_id).await;
            let next = Client { name: format!("Name {renamed}"), version: record.version + 1, ..record.clone() };
            renamed += u32::from(world.open.registry.replace_client(&record, &next, None).await.unwrap());
        }
    };
    let set = async {
        for _ in 0..5 {
            match world.send(&event, Step::SetSecret).await {
                Ok(()) => {}
                Err(error) => assert_eq!(error.code(), "temporarily_unavailable"),
            }
        }
    };
    tokio::join!(rename, set);
    world.send_all(&event).await.unwrap();
    let record = world.record(&client.client_id).await;
    assert_eq!((record.name.as_str(), record.rotating), ("Name 19", false));
}
