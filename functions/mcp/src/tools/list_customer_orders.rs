//! `list_customer_orders`: a customer's orders, the newest first, a page at a time.

use std::borrow::Cow;
use std::sync::Arc;

use access_token::Scope;
use serde_json::{Value, json};

use crate::arguments::{Arguments, Input};
use crate::catalogue::{Annotations, Answer, Call, Output, Source, Tool, Trouble};
use crate::cursor::CursorError;
use crate::tables::Position;

/// Orders in an answer: what a model can still read at a glance.
const PAGE: usize = 20;

const STATUSES: [&str; 8] =
    ["PENDING", "PROCESSING", "SHIPPED", "OUT_FOR_DELIVERY", "DELIVERED", "DELAYED", "CANCELLED", "RETURNED"];

/// The tool.
pub fn tool() -> Tool {
    Tool {
        name: Cow::Borrowed("list_customer_orders"),
        title: Cow::Borrowed("List customer orders"),
        description: Cow::Borrowed(
            "Lists the orders of one customer, the newest first, up to 20 at a time; pass the cursor of an answer to \
             get the next ones.",
        ),
        inputs: vec![
            super::customer_id(),
            Input::text("status", "Status", "Only orders of this status").one_of(&STATUSES),
            Input::text(
                "cursor",
                "Cursor",
                "Cursor of an earlier answer: goes on from there, other arguments unchanged",
            ),
        ],
        outputs: vec![
            Output::new("customer_id", "string", "Number of the customer").required(),
            Output::new(
                "orders",
                "array",
                "Orders with order_id, status, carrier, eta and ordered_at, as far as known",
            )
            .required(),
            Output::new("count", "integer", "Orders in this answer").required(),
            Output::new("truncated", "boolean", "Whether there may be more orders: pass the cursor to get them")
                .required(),
            Output::new("cursor", "string", "Where to go on"),
        ],
        annotations: Annotations::READ,
        scope: Scope::Read,
        source: Source::BuiltIn(|arguments, call| Box::pin(run(arguments, call))),
    }
}

async fn run(arguments: Arguments, call: Arc<Call>) -> Result<Answer, Trouble> {
    let (customer_id, status) = (arguments.text("customer_id"), arguments.get("status"));
    // A cursor is good for the same client, tool and question.
    let question = json!([call.principal.client_id, "list_customer_orders", customer_id, status]).to_string();
    let cursors = &call.tables.cursors;
    let from: Option<Position> = match arguments.get("cursor") {
        None => None,
        Some(cursor) => Some(call.timings.table(cursors.open(cursor, &question, call.now)).await.map_err(trouble)?),
    };
    let page = call.timings.table(call.tables.customer_orders(customer_id, status, from, PAGE)).await?;
    let rows: Vec<Value> = page.orders.iter().map(|order| json!(order)).collect();
    let mut answer = Answer::from_iter([
        ("customer_id".to_owned(), json!(customer_id)),
        ("count".to_owned(), json!(rows.len())),
        ("orders".to_owned(), Value::Array(rows)),
        ("truncated".to_owned(), json!(page.next.is_some())),
    ]);
    if let Some(next) = page.next {
        let cursor = call.timings.table(cursors.seal(&next, &question, call.now)).await.map_err(trouble)?;
        answer.insert("cursor".to_owned(), json!(cursor));
    }
    Ok(answer)
}

fn trouble(error: CursorError) -> Trouble {
    match error {
        CursorError::Invalid => Trouble::new(
            "invalid_cursor",
            "The cursor is not valid here or has expired. Call again without it to start from the newest order.",
        ),
        CursorError::Unavailable => {
            Trouble::new("table_unavailable", "The list cannot be continued at the moment. Try again in a minute.")
        }
    }
}
