//! `get_order_status`: where an order is.

use std::borrow::Cow;
use std::sync::Arc;

use access_token::Scope;
use serde_json::json;

use crate::arguments::Arguments;
use crate::catalogue::{Annotations, Answer, Call, Output, Source, Tool, Trouble};

/// The tool.
pub fn tool() -> Tool {
    Tool {
        name: Cow::Borrowed("get_order_status"),
        title: Cow::Borrowed("Get order status"),
        description: Cow::Borrowed(
            "Returns the status, the carrier and the expected delivery date of one order, by its order number.",
        ),
        inputs: vec![super::order_id()],
        outputs: vec![
            Output::new("order_id", "string", "Number of the order").required(),
            Output::new(
                "status",
                "string",
                "PENDING, PROCESSING, SHIPPED, OUT_FOR_DELIVERY, DELIVERED, DELAYED, CANCELLED or RETURNED",
            ),
            Output::new("carrier", "string", "Who carries it, if known"),
            Output::new("eta", "string", "Expected delivery date, YYYY-MM-DD, if known"),
        ],
        annotations: Annotations::READ,
        scope: Scope::Read,
        source: Source::BuiltIn(|arguments, call| Box::pin(run(arguments, call))),
    }
}

async fn run(arguments: Arguments, call: Arc<Call>) -> Result<Answer, Trouble> {
    let order_id = arguments.text("order_id");
    let order = call.timings.table(call.tables.order(order_id)).await?.ok_or_else(|| {
        let sentence = format!("There is no order {order_id}. Ask the customer to check the order number.");
        Trouble::new("order_not_found", sentence)
    })?;
    let mut answer = Answer::from_iter([("order_id".to_owned(), json!(order.order_id))]);
    let known = [("status", order.status), ("carrier", order.carrier), ("eta", order.eta)];
    answer.extend(known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))));
    Ok(answer)
}
