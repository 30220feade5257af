//! A registration that is replaced: its tokens go nowhere but to what they were made for.

use std::collections::HashMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use oauth_client::{Connection, Grants, Status};
use registry::{ClientAuth, ConnectionName, Flow};

use crate::authorization_server::State;
use crate::kms::{DATA_KEY, FakeKms};
use crate::world::{World, text};

const NOT_CONNECTED: &str = "connection_not_connected";

fn at_another_url(connection: &Connection) -> Connection {
    Connection { resource: Some("https://new.example.com/mcp".to_owned()), ..connection.clone() }
}

/// What an instance that has this registration gets.
async fn token(world: &World, instance: &Grants, connection: &Connection, seconds: u64) -> Result<String, String> {
    let token = instance.access_token(connection, world.after(seconds)).await;
    token.map(|token| text(&token)).map_err(|error| error.code().to_owned())
}

async fn client_credentials() -> World {
    let mut world = World::new(State { expires_in: Some(900), ..State::default() }).await;
    world.connection.flow = Flow::ClientCredentials { client_auth: ClientAuth::Post };
    world.connection.secret_id = Some("northstar/connections/sales".to_owned());
    world.secrets().create("northstar/connections/sales", &"s3cret".to_owned().into()).await.unwrap();
    world
}

#[tokio::test]
async fn a_new_registration_gets_no_token_of_the_earlier_one_from_memory_nor_from_its_record() {
    let world = World::connected(State::default()).await;
    let instance = world.instance();
    assert_eq!(world.token(&instance).await.unwrap(), "00D!access-1");
    let earlier = &world.connection;
    let refused = instance.access_token(earlier, world.now).await.unwrap();
    let flow = Flow::ClientCredentials { client_auth: ClientAuth::Post };
    for replaced in [
        at_another_url(earlier),
        Connection { token_endpoint: format!("{}/new", earlier.token_endpoint), ..earlier.clone() },
        Connection { client_id: "new".to_owned(), ..earlier.clone() },
    ] {
        for instance in [&instance, &world.instance()] {
            for seconds in [0, 61] {
                assert_eq!(token(&world, instance, &replaced, seconds).await.unwrap_err(), NOT_CONNECTED);
            }
            let expired = instance.expired(&replaced, &refused, world.now).await;
            assert_eq!(expired.unwrap_err().code(), NOT_CONNECTED);
        }
    }
    let of_another_flow = Connection { flow, ..earlier.clone() };
    assert!(token(&world, &instance, &of_another_flow, 0).await.is_err(), "it has no secret");
    assert_eq!(world.server.requests(), 1, "nothing is asked for with the earlier refresh token");

    // What may change without a new grant.
    let other = Connection {
        flow: Flow::RefreshToken { client_auth: ClientAuth::Basic },
        scopes: vec!["mcp_api".to_owned()],
        issuer: Some("https://login.example.com".to_owned()),
        ..earlier.clone()
    };
    for connection in [earlier, &other] {
        assert_eq!(token(&world, &instance, connection, 62).await.unwrap(), "00D!access-1");
    }

    instance.remove(&earlier.name, world.now).await.unwrap();
    assert_eq!(token(&world, &instance, &at_another_url(earlier), 0).await.unwrap_err(), NOT_CONNECTED);
}

#[tokio::test]
async fn an_earlier_registration_gets_no_token_of_the_new_one() {
    let mut world = World::connected(State::default()).await;
    let remembers = world.instance();
    assert_eq!(world.token(&remembers).await.unwrap(), "00D!access-1");
    let earlier = world.connection.clone();
    world.connection = at_another_url(&earlier);
    world.connect("first").await;
    let new = world.connection.clone();

    assert_eq!(token(&world, &world.instance(), &earlier, 0).await.unwrap_err(), NOT_CONNECTED);
    assert_eq!(token(&world, &remembers, &earlier, 10).await.unwrap(), "00D!access-1", "its own, from memory");
    assert_eq!(token(&world, &remembers, &new, 10).await.unwrap(), "00D!access-2");
    for instance in [&remembers, &world.instance()] {
        assert_eq!(token(&world, instance, &earlier, 10).await.unwrap_err(), NOT_CONNECTED);
        assert_eq!(token(&world, instance, &new, 10).await.unwrap(), "00D!access-2");
    }
    let resources =
        world.server.with(|state| state.forms.iter().map(|form| form.get("resource").cloned()).collect::<Vec<_>>());
    assert_eq!(resources, [None, new.resource]);
}

#[tokio::test]
async fn without_a_refresh_token_each_registration_gets_a_token_of_its_own() {
    let world = client_credentials().await;
    let (instance, earlier) = (world.instance(), &world.connection);
    let new = Connection { client_id: "new".to_owned(), ..earlier.clone() };
    assert_eq!(token(&world, &instance, earlier, 0).await.unwrap(), "00D!access-1");
    for instance in [&instance, &instance, &world.instance()] {
        assert_eq!(token(&world, instance, &new, 0).await.unwrap(), "00D!access-2");
    }
    assert_eq!(token(&world, &world.instance(), earlier, 0).await.unwrap(), "00D!access-3");
    let clients =
        world.server.with(|state| state.forms.iter().map(|form| form["client_id"].clone()).collect::<Vec<_>>());
    assert_eq!(clients, ["client", "new", "client"]);

    let jwt = |subject: &str| {
        let flow = Flow::JwtBearer { subject: subject.to_owned(), audience: "https://login.example.com".to_owned() };
        Connection { flow, ..earlier.clone() }
    };
    assert_ne!(jwt("a@example.com").digest(), jwt("b@example.com").digest(), "for somebody else");
}

#[tokio::test]
async fn a_client_that_is_no_longer_taken_says_nothing_of_the_registration_that_replaced_it() {
    let world = client_credentials().await;
    let new = Connection { client_id: "new".to_owned(), ..world.connection.clone() };
    let instance = world.instance();
    assert_eq!(token(&world, &instance, &new, 0).await.unwrap(), "00D!access-1");
    world.server.with(|state| state.instead = vec![(400, r#"{"error":"invalid_client"}"#.to_owned())]);
    let refused = token(&world, &world.instance(), &world.connection, 0).await;
    assert_eq!(refused.unwrap_err(), "connection_needs_attention");
    let again = token(&world, &world.instance(), &world.connection, 0).await;
    assert_eq!(again.unwrap_err(), "connection_unavailable", "the server is left alone for a moment");
    assert_eq!(world.instance().status(&new.name, world.now).await.unwrap().unwrap().status, Status::Ok);
    assert_eq!(token(&world, &world.instance(), &new, 0).await.unwrap(), "00D!access-1");
}

/// As grants were sealed before they said what they were made for.
#[tokio::test]
async fn a_grant_that_does_not_say_what_it_was_made_for_is_good_for_its_registration_until_its_refresh_says() {
    let state = State { refresh_token: "first".to_owned(), expires_in: Some(900), ..State::default() };
    let world = World::new(state).await;
    let kms = FakeKms::start().await;
    let now = world.now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let plain =
        format!(r#"{{"refresh_token":"first","access_token":"earlier","issued_at":{now},"expires_at":{}}}"#, now + 900);
    world.put_item(sealed_item(&world.connection.name, now, &plain)).await;

    let instance = world.instance_with(kms.keys());
    assert_eq!(world.token(&instance).await.unwrap(), "earlier");
    assert_eq!(world.token_after(&instance, 30).await.unwrap(), "earlier", "from memory");
    assert_eq!(world.token_after(&instance, 880).await.unwrap(), "00D!access-1");
    assert_eq!(world.token_after(&world.instance_with(kms.keys()), 881).await.unwrap(), "00D!access-1");
    let replaced = at_another_url(&world.connection);
    assert_eq!(token(&world, &instance, &replaced, 881).await.unwrap_err(), NOT_CONNECTED);
    assert_eq!(world.server.requests(), 1);
}

fn sealed_item(name: &ConnectionName, version: u64, plain: &str) -> HashMap<String, AttributeValue> {
    let mut text = plain.as_bytes().to_vec();
    let aad = Aad::from(format!("northstar grant\n1\n{version}\n{name}"));
    let key = RandomizedNonceKey::new(&AES_256_GCM, &DATA_KEY).unwrap();
    let nonce = key.seal_in_place_append_tag(aad, &mut text).unwrap();
    let number = |number: u64| AttributeValue::N(number.to_string());
    let blob = |bytes: &[u8]| AttributeValue::B(Blob::new(bytes));
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(format!("GRANT#{name}"))),
        ("sk".to_owned(), AttributeValue::S("RECORD".to_owned())),
        ("version".to_owned(), number(version)),
        ("format".to_owned(), number(1)),
        ("wrapped_key".to_owned(), blob(name.as_str().as_bytes())),
        ("nonce".to_owned(), blob(nonce.as_ref())),
        ("sealed".to_owned(), blob(&text)),
        ("status".to_owned(), AttributeValue::S("ok".to_owned())),
    ])
}
