//! Consents that have begun, who consented, and how it ended.

use futures_util::future::join_all;
use oauth_client::consent::random_secret;
use oauth_client::{Consent, Consents, Identity};
use registry::ConnectionName;
use secrecy::ExposeSecret;

use crate::authorization_server::State;
use crate::world::{TABLE, World};

fn consent() -> Consent {
    Consent {
        connection: ConnectionName::parse("crm").unwrap(),
        code_challenge: "challenge".to_owned(),
        issuer: "https://login.example.com".to_owned(),
        redirect_uri: "https://n.example/connect/callback".to_owned(),
        new_user: true,
    }
}

async fn world() -> (World, Consents) {
    let world = World::new(State::default()).await;
    let consents = Consents::new(world.dynamodb.clone(), TABLE);
    (world, consents)
}

#[tokio::test]
async fn a_consent_is_found_by_its_state_once_and_for_ten_minutes() {
    let (world, consents) = world().await;
    for (seconds, good) in [(0, true), (599, true), (600, false)] {
        let state = random_secret().unwrap();
        consents.begin(&state, &consent(), world.now).await.unwrap();
        let found = consents.consume(&state, world.after(seconds)).await.unwrap();
        assert_eq!(found, good.then(consent), "{seconds}");
        assert_eq!(consents.consume(&state, world.now).await.unwrap(), None, "used up");
    }
    for state in ["", "a", &"A".repeat(43), &"%".repeat(43)] {
        assert_eq!(consents.consume(&state.to_owned().into(), world.now).await.unwrap(), None, "{state}");
    }
}

#[tokio::test]
async fn of_many_who_bring_a_state_at_once_one_gets_the_consent() {
    let (world, consents) = world().await;
    let state = random_secret().unwrap();
    consents.begin(&state, &consent(), world.now).await.unwrap();
    let outcomes = join_all((0..20).map(|_| consents.consume(&state, world.now))).await;
    assert_eq!(outcomes.into_iter().filter(|outcome| outcome.as_ref().unwrap().is_some()).count(), 1);
}

#[tokio::test]
async fn the_table_has_the_digest_of_a_state_alone() {
    let (world, consents) = world().await;
    let state = random_secret().unwrap();
    consents.begin(&state, &consent(), world.now).await.unwrap();
    let items = world.dynamodb.scan().table_name(TABLE).send().await.unwrap().items.unwrap();
    assert!(items[0].contains_key("expires_at"), "the table deletes it");
    assert!(!format!("{items:?}").contains(state.expose_secret()));
}

#[tokio::test]
async fn the_first_who_consents_stays_and_only_who_saw_them_replaces_them_within_the_org() {
    let (world, consents) = world().await;
    let crm = consent().connection;
    let person = |org: &str, user: &str| Identity { org: org.to_owned(), user: user.to_owned() };
    let (first, second, third) = (person("00D1", "0051"), person("00D1", "0052"), person("00D2", "0051"));
    assert_eq!(consents.pin(&crm).await.unwrap(), None);
    assert!(consents.put_pin(&crm, None, &first, world.now).await.unwrap());
    assert!(consents.put_pin(&crm, None, &first, world.now).await.unwrap(), "the same again");
    for (seen, identity) in [(None, &second), (None, &third), (Some(&second), &third), (Some(&first), &third)] {
        assert!(!consents.put_pin(&crm, seen, identity, world.now).await.unwrap(), "{seen:?} {identity:?}");
    }
    assert_eq!(consents.pin(&crm).await.unwrap(), Some(first.clone()));
    assert!(consents.put_pin(&crm, Some(&first), &second, world.now).await.unwrap());
    assert_eq!(consents.pin(&crm).await.unwrap(), Some(second));
}

#[tokio::test]
async fn the_last_outcome_is_kept_and_goes_with_the_connection() {
    let (world, consents) = world().await;
    let crm = consent().connection;
    assert_eq!(consents.outcome(&crm).await.unwrap(), None);
    for code in ["consent_denied", "ok"] {
        consents.put_outcome(&crm, code, world.now).await.unwrap();
        assert_eq!(consents.outcome(&crm).await.unwrap().unwrap().code, code);
    }
    let identity = Identity { org: "00D1".to_owned(), user: "0051".to_owned() };
    consents.put_pin(&crm, None, &identity, world.now).await.unwrap();
    world.instance().remove(&crm, world.now).await.unwrap();
    assert_eq!((consents.outcome(&crm).await.unwrap(), consents.pin(&crm).await.unwrap()), (None, None));
}
