//! Records that are not what we wrote.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use oauth_client::GrantError;
use registry::ConnectionName;

use crate::authorization_server::State;
use crate::world::World;

type Item = HashMap<String, AttributeValue>;
type Change = (&'static str, fn(&mut Item));
/// Of an item, by another one.
type Swap = (&'static str, fn(&mut Item, &Item));

#[tokio::test]
async fn a_record_that_was_changed_in_any_place_is_refused() {
    let world = World::connected(State::default()).await;
    let good = world.item().await;
    let changes: [Change; 9] = [
        ("a bit of the ciphertext", |item| flip(item, "sealed")),
        ("a bit of the nonce", |item| flip(item, "nonce")),
        ("a bit of the wrapped key", |item| flip(item, "wrapped_key")),
        ("the version", |item| {
            let version: u64 = item["version"].as_n().unwrap().parse().unwrap();
            item.insert("version".to_owned(), AttributeValue::N((version - 1).to_string()));
        }),
        ("the format", |item| {
            item.insert("format".to_owned(), AttributeValue::N("2".to_owned()));
        }),
        ("no format", |item| {
            item.remove("format");
        }),
        ("no ciphertext", |item| {
            item.remove("sealed");
        }),
        ("another type", |item| {
            item.insert("sealed".to_owned(), AttributeValue::S("text".to_owned()));
        }),
        ("a short nonce", |item| {
            item.insert("nonce".to_owned(), AttributeValue::B(Blob::new([1, 2, 3])));
        }),
    ];
    for (what, change) in changes {
        let mut item = good.clone();
        change(&mut item);
        world.put_item(item).await;
        let outcome = world.token(&world.instance()).await;
        assert_eq!(outcome, Err(GrantError::Damaged("sales".to_owned())), "{what}");
    }
    assert_eq!(world.server.requests(), 0);
    world.connect("first").await;
    assert_eq!(world.token(&world.instance()).await.unwrap(), "00D!access-1", "connecting anew mends it");
}

#[tokio::test]
async fn a_record_of_another_connection_is_refused() {
    let mut world = World::connected(State::default()).await;
    let mut item = world.item().await;
    world.connection.name = ConnectionName::parse("service").unwrap();
    item.insert("pk".to_owned(), AttributeValue::S("GRANT#service".to_owned()));
    world.put_item(item).await;
    assert_eq!(world.token(&world.instance()).await, Err(GrantError::Damaged("service".to_owned())));
}

/// Two upstreams of one authorization server, whose grants differ in nothing but their names.
#[tokio::test]
async fn grants_of_two_upstreams_that_were_swapped_or_changed_are_refused() {
    let mut world = World::new(State { refresh_token: "first".to_owned(), ..State::default() }).await;
    let mut items = Vec::new();
    for name in ["reads", "writes"] {
        world.connection = world.upstream(name);
        world.connect("first").await;
        items.push(world.item().await);
    }
    let changes: [Swap; 6] = [
        ("whole", |item, other| item.clone_from(other)),
        ("what is sealed", |item, other| {
            for name in ["sealed", "nonce", "wrapped_key", "version"] {
                item.insert(name.to_owned(), other[name].clone());
            }
        }),
        ("the data key", |item, other| {
            item.insert("wrapped_key".to_owned(), other["wrapped_key"].clone());
        }),
        ("a byte", |item, _| flip(item, "sealed")),
        ("the version", |item, _| {
            let version: u64 = item["version"].as_n().unwrap().parse().unwrap();
            item.insert("version".to_owned(), AttributeValue::N((version - 1).to_string()));
        }),
        ("the format", |item, _| {
            item.insert("format".to_owned(), AttributeValue::N("0".to_owned()));
        }),
    ];
    for (index, name) in ["reads", "writes"].into_iter().enumerate() {
        world.connection = world.upstream(name);
        for (what, change) in &changes {
            let mut item = items[index].clone();
            change(&mut item, &items[1 - index]);
            item.insert("pk".to_owned(), items[index]["pk"].clone());
            world.put_item(item).await;
            let outcome = world.token(&world.instance()).await;
            assert_eq!(outcome, Err(GrantError::Damaged(name.to_owned())), "{what}");
        }
        world.put_item(items[index].clone()).await;
        assert!(world.token(&world.instance()).await.is_ok());
    }
    assert_eq!(world.server.requests(), 2, "only for what was whole");
}

#[tokio::test]
async fn an_earlier_record_is_refused_by_who_knows_a_later_one() {
    let world = World::connected(State { expires_in: Some(600), ..State::default() }).await;
    let earlier = world.item().await;
    let instance = world.instance();
    assert_eq!(world.token(&instance).await.unwrap(), "00D!access-1");
    world.put_item(earlier).await;
    assert_eq!(world.token_after(&instance, 601).await, Err(GrantError::Damaged("sales".to_owned())));
}

#[tokio::test]
async fn nothing_secret_is_readable_in_the_table() {
    let world = World::connected(State { rotates: true, ..State::default() }).await;
    world.token(&world.instance()).await.unwrap();
    let shown = format!("{:?}", world.item().await);
    assert!(!shown.contains("expires_at\""), "the table would delete it: {shown}");
    for secret in ["first", "refresh-1", "access-1"] {
        assert!(!shown.contains(secret));
        assert!(!shown.contains(&format!("{:?}", secret.as_bytes()).replace(['[', ']'], "")));
    }
}

fn flip(item: &mut Item, name: &str) {
    let AttributeValue::B(blob) = &item[name] else { panic!("{name}") };
    let mut bytes = blob.as_ref().to_vec();
    bytes[0] ^= 1;
    item.insert(name.to_owned(), AttributeValue::B(Blob::new(bytes)));
}
