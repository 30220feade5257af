//! Which requests share a connection. On one thread: on two, the next request may come before the last one's connection
//! is free again, and then opens another.

use salesforce::Request;
use serde_json::json;

use crate::org::{Org, raw};

fn write() -> Request {
    Request::write("POST", "sobjects/Contact", Some(&json!({"LastName": "a"})))
}

/// Connections by the order in which they were used first: the token's is not among them.
fn connections(org: &Org) -> Vec<u32> {
    let mut known = Vec::new();
    let number = |connection| {
        let at = known.iter().position(|other| *other == connection).unwrap_or_else(|| {
            known.push(connection);
            known.len() - 1
        });
        u32::try_from(at).unwrap()
    };
    org.seen().iter().map(|seen| seen.connection).map(number).collect()
}

#[tokio::test]
async fn reads_share_a_connection_and_a_write_has_its_own() {
    let org = Org::start([]).await;
    org.keep_alive();
    let search = Request::read_by_post("parameterizedSearch", &json!({"q": "a"}));
    for request in [Request::get("limits"), write(), search, write(), Request::get("limits")] {
        org.client.send(request, org.now).await.unwrap();
    }
    assert_eq!(connections(&org), [0, 1, 0, 2, 0]);
}

#[tokio::test]
async fn a_read_over_a_connection_that_has_died_is_sent_again_over_a_new_one() {
    let org = Org::start([]).await;
    org.keep_alive();
    org.client.send(Request::get("limits"), org.now).await.unwrap();
    // It ends without an answer, as one that the org had given up.
    org.answer_with([raw("")]);
    let reply = org.client.send(Request::get("limits"), org.now).await.unwrap();
    assert_eq!(reply.body, json!({}));
    assert_eq!(connections(&org), [0, 0, 1]);
}
