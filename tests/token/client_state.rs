//! What an operator changes, and when the token endpoint knows: what is taken away within 30 s, what is given at once.

use aws_clients::{SecretStage, Secrets};
use black_box::{Server, shared};
use local::{Home, OpenHome};
use registry::client::seconds;
use registry::{ClientId, SecretUse};
use secrecy::SecretString;

use crate::answer::{basic, post_as, post_with_header};
use crate::endpoint::{Endpoint, SOURCE, change, changed_at};

const MINUTE: f64 = 60.0;
const DAY: f64 = 24.0 * 60.0 * MINUTE;

fn secret_id(client_id: &str) -> String {
    format!("northstar/clients/{client_id}")
}

async fn set_secret(secrets: &Secrets, client_id: &str, secret: &str) {
    secrets.delete(&secret_id(client_id)).await.unwrap();
    assert!(secrets.create(&secret_id(client_id), &SecretString::from(secret)).await.unwrap());
}

/// A rotation by hand, its steps one by one.
struct Rotation {
    secrets: Secrets,
    secret_id: String,
    old: String,
    new: String,
}

impl Rotation {
    /// A pending version with this value; nobody accepts it yet.
    async fn begin(server: &Server, client_id: &str, value: &str) -> Rotation {
        let (secrets, secret_id) = (Home::new(server.home()).secrets(), secret_id(client_id));
        let old = secrets.get(&secret_id, SecretStage::Current).await.unwrap().unwrap().id;
        let new = secrets.begin_rotation(&secret_id).await.unwrap();
        secrets.put_pending(&secret_id, &new, &SecretString::from(value)).await.unwrap();
        Rotation { secrets, secret_id, old, new }
    }

    async fn finish(&self) {
        self.move_stage(SecretStage::Current, Some(&self.old), Some(&self.new)).await;
        self.move_stage(SecretStage::Pending, Some(&self.new), None).await;
    }

    async fn retire_previous(&self) {
        self.move_stage(SecretStage::Previous, Some(&self.old), None).await;
    }

    async fn move_stage(&self, stage: SecretStage, from: Option<&str>, to: Option<&str>) {
        self.secrets.move_stage(&self.secret_id, stage, from, to).await.unwrap();
    }
}

/// A client with a rotated secret: its id, the previous and the current one.
async fn rotated(server: &Server) -> (Rotation, (String, String), (String, String)) {
    let (id, old) = server.new_client(&[]);
    let rotation = Rotation::begin(server, &id, "new").await;
    rotation.finish().await;
    (rotation, (id.clone(), old), (id, "new".to_owned()))
}

async fn open(server: &Server) -> OpenHome {
    Home::new(server.home()).open().await.unwrap()
}

async fn uses(server: &Server, id: &str) -> Vec<SecretUse> {
    let uses = open(server).await.secret_uses.all(&ClientId::parse(id).unwrap()).await;
    uses.unwrap()
}

// AS-40
#[tokio::test]
async fn a_client_that_is_disabled_before_its_first_use_gets_no_token() {
    let server = shared();
    let client = server.new_client(&[]);
    let shown = server.json_command(&["client", "disable", &client.0]);
    assert_eq!(shown["status"], "disabled");
    post_as(server, &client, &[]).await.assert_refused("in the body", 401, "invalid_client");
    let header = basic(&client.0, &client.1);
    post_with_header(server, header.as_bytes(), &[]).await.assert_refused("in the header", 401, "invalid_client");
}

// AS-40
#[tokio::test]
async fn disabling_a_client_in_use_works_within_30_seconds_and_enabling_it_at_once() {
    let server = shared();
    let (client, other) = (server.new_client(&[]), server.new_client(&[]));
    let endpoint = Endpoint::over(server);
    assert!(endpoint.accepts(&client, 0).await && endpoint.accepts(&other, 0).await);
    server.json_command(&["client", "disable", &client.0]);
    assert!(endpoint.accepts(&client, 29.9).await, "remembered");
    assert!(!endpoint.accepts(&client, 30).await, "read again");
    assert!(endpoint.accepts(&other, 30).await, "another client");
    server.json_command(&["client", "enable", &client.0]);
    assert!(endpoint.accepts(&client, 31).await);
}

// AS-40
#[tokio::test]
async fn a_client_in_use_ends_at_its_expiry_however_fresh_it_was_read() {
    let server = shared();
    let client = server.new_client(&["--expires", "2100-01-01"]);
    let endpoint = Endpoint::over(server);
    const END: u64 = 4_102_444_800;
    let in_seconds = |moment: u64| f64::from(u32::try_from(moment - seconds(endpoint.start)).unwrap());
    assert!(endpoint.accepts(&client, in_seconds(END - 1)).await);
    assert!(!endpoint.accepts(&client, in_seconds(END)).await);
}

#[tokio::test]
async fn a_client_made_after_someone_asked_for_it_is_known_at_once() {
    let server = shared();
    let client = server.new_client(&[]);
    let registry = open(server).await.registry;
    let endpoint = Endpoint::over(server);
    let late = (format!("late-{}", client.0), client.1.clone());
    assert!(!endpoint.accepts(&late, 0).await);
    let known = registry.client(&ClientId::parse(&client.0).unwrap()).await.unwrap().unwrap();
    let client_id = ClientId::parse(&late.0).unwrap();
    registry.create_client(&registry::Client { client_id, ..known }).await.unwrap();
    assert!(endpoint.accepts(&late, 0.1).await);
}

#[tokio::test]
async fn what_is_refused_costs_its_client_one_read_of_the_registration_a_second() {
    let server = shared();
    let client = server.new_client(&[]);
    server.json_command(&["client", "disable", &client.0]);
    let endpoint = Endpoint::over(server);
    assert!(!endpoint.accepts(&client, 0).await);
    assert!(!endpoint.accepts(&client, 1).await, "read again, because it was refused");
    server.json_command(&["client", "enable", &client.0]);
    assert!(!endpoint.accepts(&client, 1.9).await);
    assert!(endpoint.accepts(&client, 2).await);
}

#[tokio::test]
async fn a_rotated_secret_is_accepted_at_once_and_the_previous_one_beside_it() {
    let server = shared();
    let (id, old) = server.new_client(&[]);
    let (old, new, third) = ((id.clone(), old), (id.clone(), "new".to_owned()), (id.clone(), "third".to_owned()));
    let endpoint = Endpoint::over(server);
    assert!(endpoint.accepts(&old, 100).await);
    let rotation = Rotation::begin(server, &id, "new").await;
    assert!(!endpoint.accepts(&new, 100).await, "a pending secret counts while the registration says so");
    change(server, &id, |client| client.rotating = true).await;
    assert!(endpoint.accepts(&new, 101).await && endpoint.accepts(&old, 101).await);
    rotation.finish().await;
    let moment = endpoint.moment(101.0);
    change(server, &id, |client| (client.rotating, client.secrets_changed_at) = (false, seconds(moment))).await;
    for after in [101, 102, 131, 140, 1_000] {
        assert!(endpoint.accepts(&new, after).await && endpoint.accepts(&old, after).await, "{after}");
        assert!(!endpoint.accepts(&third, after).await, "{after}");
    }
    rotation.retire_previous().await;
    changed_at(server, &id, endpoint.moment(1_000.0)).await;
    assert!(endpoint.accepts(&new, 1_030).await);
    assert!(!endpoint.accepts(&old, 1_030).await, "retired");
}

#[tokio::test]
async fn a_rotation_that_is_given_up_ends_the_pending_secret_within_30_seconds() {
    let server = shared();
    let (id, old) = server.new_client(&[]);
    let endpoint = Endpoint::over(server);
    let rotation = Rotation::begin(server, &id, "new").await;
    change(server, &id, |client| client.rotating = true).await;
    let (old, new) = ((id.clone(), old), (id.clone(), "new".to_owned()));
    assert!(endpoint.accepts(&new, 100).await);
    rotation.move_stage(SecretStage::Pending, Some(&rotation.new), None).await;
    change(server, &id, |client| client.rotating = false).await;
    assert!(!endpoint.accepts(&new, 130).await && endpoint.accepts(&old, 130).await);
}

#[tokio::test]
async fn a_secret_that_was_read_right_after_its_change_is_read_again_10_seconds_later() {
    let server = shared();
    let (id, old) = server.new_client(&[]);
    let endpoint = Endpoint::over(server);
    let (old, new) = ((id.clone(), old), (id.clone(), "new".to_owned()));
    changed_at(server, &id, endpoint.moment(100.0)).await;
    assert!(endpoint.accepts(&old, 100).await);
    set_secret(&Home::new(server.home()).secrets(), &id, "new").await;
    assert!(endpoint.accepts(&old, 109).await && !endpoint.accepts(&new, 109).await, "remembered");
    assert!(!endpoint.accepts(&old, 110).await && endpoint.accepts(&new, 110).await, "read again");
}

#[tokio::test]
async fn a_secret_that_changed_behind_the_registration_is_found_after_5_minutes() {
    let server = shared();
    let (id, old) = server.new_client(&[]);
    let endpoint = Endpoint::over(server);
    let (old, new) = ((id.clone(), old), (id.clone(), "new".to_owned()));
    assert!(endpoint.accepts(&old, 100).await);
    set_secret(&Home::new(server.home()).secrets(), &id, "new").await;
    assert!(endpoint.accepts(&old, 369).await, "remembered for 270 s at least");
    assert!(!endpoint.accepts(&new, 369).await, "a wrong secret costs no read of the secrets");
    assert!(endpoint.accepts(&new, 431).await, "remembered for 330 s at most");
    assert!(!endpoint.accepts(&old, 431).await, "replaced");
}

// AS-40: a rotation leaves the previous version standing (`AWSPREVIOUS`).
#[tokio::test]
async fn the_previous_secret_is_accepted_over_http_in_either_place_and_no_third() {
    let server = shared();
    let (_, old, new) = rotated(server).await;
    let first = server.new_client(&[]).1;
    for (secret, accepted) in [(&new.1, true), (&old.1, true), (&first, false), (&String::new(), false)] {
        let client = (new.0.clone(), secret.clone());
        let in_header = basic(&client.0, secret);
        for answer in [post_as(server, &client, &[]).await, post_with_header(server, in_header.as_bytes(), &[]).await] {
            if accepted {
                answer.assert_issued(secret);
            } else {
                answer.assert_refused(secret, 401, "invalid_client");
            }
        }
    }
}

// AS-40
#[tokio::test]
async fn a_previous_secret_that_nobody_uses_for_the_quiet_period_is_refused_and_stays_so() {
    let server = shared();
    let (_, old, new) = rotated(server).await;
    let endpoint = Endpoint::over(server);
    changed_at(server, &old.0, endpoint.start).await;
    assert!(endpoint.accepts(&new, 7.0 * DAY - 1.0).await);
    for after in [7.0 * DAY, 7.0 * DAY + 1.0, 8.0 * DAY] {
        assert!(!endpoint.accepts(&old, after).await, "{after}");
        assert!(endpoint.accepts(&new, after).await, "{after}");
    }
    assert!(!Endpoint::over(server).accepts(&old, 7.0 * DAY + 1.0).await, "nor by another process");
}

#[tokio::test]
async fn a_previous_secret_in_use_stays_accepted_by_every_process() {
    let server = shared();
    let (_, old, _) = rotated(server).await;
    let (one, other, late) = (Endpoint::over(server), Endpoint::over(server), Endpoint::over(server));
    changed_at(server, &old.0, one.start).await;
    assert!(other.accepts(&old, 1).await);
    for week in 0..4 {
        assert!(one.accepts(&old, f64::from(week) * 7.0 * DAY + 6.0 * DAY).await, "week {week}");
    }
    // The other process learns from the table that the first one has seen it: last after 27 days.
    assert!(other.accepts(&old, 33.0 * DAY).await);
    assert!(!late.accepts(&old, 41.0 * DAY).await, "a week after the last use");
}

#[tokio::test]
async fn uses_are_recorded_by_version_once_a_minute_with_the_address() {
    let server = shared();
    let (rotation, old, new) = rotated(server).await;
    let endpoint = Endpoint::over(server);
    let last = async |version: &str| {
        let uses = uses(server, &old.0).await;
        let found = uses.into_iter().find(|used| used.version_id == version)?;
        Some((found.used_at - seconds(endpoint.start), found.source))
    };
    assert_eq!((last(&rotation.old).await, last(&rotation.new).await), (None, None));
    let seen = |after: u64, source: &str| Some((after, source.to_owned()));
    endpoint.try_as(&new, SOURCE, 0.0).await.unwrap();
    assert_eq!((last(&rotation.old).await, last(&rotation.new).await), (None, seen(0, SOURCE)));
    endpoint.try_as(&old, "192.0.2.2", 30.0).await.unwrap();
    endpoint.try_as(&new, "192.0.2.3", 59.9).await.unwrap();
    assert_eq!((last(&rotation.old).await, last(&rotation.new).await), (seen(30, "192.0.2.2"), seen(0, SOURCE)));
    endpoint.try_as(&new, "192.0.2.3", 60.0).await.unwrap();
    assert_eq!(last(&rotation.new).await, seen(60, "192.0.2.3"));
    assert!(!endpoint.accepts(&(old.0.clone(), "wrong".to_owned()), 200.0).await);
    assert_eq!(last(&rotation.new).await, seen(60, "192.0.2.3"), "a wrong secret is no use");
}

#[tokio::test]
async fn no_use_is_recorded_of_a_client_that_may_not_be_used() {
    let server = shared();
    let client = server.new_client(&["--expires", "2020-01-31"]);
    assert!(!Endpoint::over(server).accepts(&client, 0).await);
    assert_eq!(uses(server, &client.0).await, []);
}

// A secret deleted behind the client's back leaves nothing that could be right, least of all an empty one.
#[tokio::test]
async fn a_client_without_a_secret_gets_no_token() {
    let server = shared();
    let client = server.new_client(&[]);
    Home::new(server.home()).secrets().delete(&secret_id(&client.0)).await.unwrap();
    for secret in [client.1.as_str(), "", "null", " "] {
        let client = (client.0.clone(), secret.to_owned());
        post_as(server, &client, &[]).await.assert_refused(secret, 401, "invalid_client");
    }
}
