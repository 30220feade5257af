//! Tickets are used once, in time, and for their connection.

use futures_util::future::join_all;
use oauth_client::{Ticket, Tickets};
use registry::ConnectionName;
use secrecy::ExposeSecret;

use crate::authorization_server::State;
use crate::world::{TABLE, World};

fn name(text: &str) -> ConnectionName {
    ConnectionName::parse(text).unwrap()
}

async fn world() -> (World, Tickets) {
    let world = World::new(State::default()).await;
    let tickets = Tickets::new(world.dynamodb.clone(), TABLE);
    (world, tickets)
}

#[tokio::test]
async fn a_ticket_is_used_once() {
    let (world, tickets) = world().await;
    for new_user in [false, true] {
        let ticket = tickets.issue(&name("crm"), new_user, world.now).await.unwrap();
        for expected in [Some(Ticket { new_user }), None] {
            let outcome = tickets.consume(&name("crm"), ticket.expose_secret(), world.now).await;
            assert_eq!(outcome.unwrap(), expected);
        }
    }
}

#[tokio::test]
async fn of_many_who_bring_a_ticket_at_once_one_gets_in() {
    let (world, tickets) = world().await;
    let (ticket, crm) = (tickets.issue(&name("crm"), false, world.now).await.unwrap(), name("crm"));
    let outcomes = join_all((0..20).map(|_| tickets.consume(&crm, ticket.expose_secret(), world.now))).await;
    assert_eq!(outcomes.into_iter().filter(|outcome| outcome.as_ref().unwrap().is_some()).count(), 1);
}

#[tokio::test]
async fn a_ticket_lasts_ten_minutes() {
    let (world, tickets) = world().await;
    for (seconds, good) in [(599, true), (600, false), (86_400, false)] {
        let ticket = tickets.issue(&name("crm"), false, world.now).await.unwrap();
        let outcome = tickets.consume(&name("crm"), ticket.expose_secret(), world.after(seconds)).await.unwrap();
        assert_eq!(outcome.is_some(), good, "{seconds}");
    }
}

#[tokio::test]
async fn a_ticket_for_another_connection_is_refused_and_kept() {
    let (world, tickets) = world().await;
    let ticket = tickets.issue(&name("crm"), false, world.now).await.unwrap();
    assert_eq!(tickets.consume(&name("erp"), ticket.expose_secret(), world.now).await.unwrap(), None);
    assert!(tickets.consume(&name("crm"), ticket.expose_secret(), world.now).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_no_ticket_is_refused() {
    let (world, tickets) = world().await;
    let ticket = tickets.issue(&name("crm"), false, world.now).await.unwrap();
    let text = ticket.expose_secret();
    for other in ["", "a", &text[1..], &format!("{text}a"), &"A".repeat(43), &text.to_uppercase(), "../../RECORD"] {
        assert_eq!(tickets.consume(&name("crm"), other, world.now).await.unwrap(), None, "{other}");
    }
    assert!(tickets.consume(&name("crm"), text, world.now).await.unwrap().is_some());
}

#[tokio::test]
async fn the_table_has_the_digest_of_a_ticket_alone() {
    let (world, tickets) = world().await;
    let ticket = tickets.issue(&name("crm"), false, world.now).await.unwrap();
    let items = world.dynamodb.scan().table_name(TABLE).send().await.unwrap().items.unwrap();
    assert_eq!(items.len(), 1);
    assert!(items[0].contains_key("expires_at"), "the table deletes it");
    assert!(!format!("{items:?}").contains(ticket.expose_secret()));
}
