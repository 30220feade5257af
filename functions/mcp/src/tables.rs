//! The business tables: what a tool reads, and how an item becomes values.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use crate::catalogue::Trouble;
use crate::config::Config;
use crate::cursor::Cursors;

type Item = HashMap<String, AttributeValue>;

/// Longest text that goes out, in characters.
const MAX_TEXT: usize = 1_000;

/// Reads the business tables.
pub struct Tables {
    dynamodb: DynamoDb,
    orders: String,
    loyalty: String,
    /// Signs and reads the cursors of lists.
    pub cursors: Cursors,
}

/// One order; what the item does not have is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Order {
    /// Its number.
    pub order_id: String,
    /// Where it is on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Who carries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// When it should arrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<String>,
    /// When it was ordered; only lists read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordered_at: Option<String>,
}

/// A customer's loyalty account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loyalty {
    /// Points, a whole number.
    pub points: i64,
    /// Tier, if there is one.
    pub tier: Option<String>,
}

/// Where a list of orders goes on: the key of the last item that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    order_id: String,
    ordered_at: String,
}

/// A page of a customer's orders.
#[derive(Debug)]
pub struct Page {
    /// The orders, the newest first.
    pub orders: Vec<Order>,
    /// Where to go on, if there may be more.
    pub next: Option<Position>,
}

impl Tables {
    /// The tables that the configuration names.
    pub fn new(config: &Config, cursors: Cursors) -> Tables {
        Tables {
            dynamodb: config.aws.dynamodb.clone(),
            orders: config.orders_table.clone(),
            loyalty: config.loyalty_table.clone(),
            cursors,
        }
    }

    /// An order, or `None`.
    ///
    /// # Errors
    /// [`Trouble`] when the table does not answer.
    pub async fn order(&self, order_id: &str) -> Result<Option<Order>, Trouble> {
        let read = self
            .dynamodb
            .get_item()
            .table_name(&self.orders)
            .key("order_id", AttributeValue::S(order_id.to_owned()))
            .projection_expression("order_id, #status, carrier, eta")
            .expression_attribute_names("#status", "status");
        let output = Box::pin(read.send()).await.map_err(|error| unavailable("orders", &error))?;
        Ok(output.item.map(|item| Order { order_id: order_id.to_owned(), ..parse_order(&item) }))
    }

    /// A customer's loyalty account, or `None`.
    ///
    /// # Errors
    /// [`Trouble`] when the table does not answer.
    pub async fn loyalty(&self, customer_id: &str) -> Result<Option<Loyalty>, Trouble> {
        let read = self
            .dynamodb
            .get_item()
            .table_name(&self.loyalty)
            .key("customer_id", AttributeValue::S(customer_id.to_owned()))
            .projection_expression("points, tier");
        let output = Box::pin(read.send()).await.map_err(|error| unavailable("loyalty", &error))?;
        Ok(output.item.map(|item| Loyalty { points: integer(&item, "points"), tier: text(&item, "tier") }))
    }

    /// Up to `limit` orders of a customer, the newest first, those of `status` if it is given.
    ///
    /// # Errors
    /// [`Trouble`] when the table does not answer.
    pub async fn customer_orders(
        &self,
        customer_id: &str,
        status: Option<&str>,
        from: Option<Position>,
        limit: usize,
    ) -> Result<Page, Trouble> {
        // A filter reads what it leaves out: a page stops after this many reads, and its cursor goes on.
        const MAX_READS: usize = 8;
        const READ: usize = 100;
        let mut orders = Vec::new();
        let mut next = from;
        for _ in 0..MAX_READS {
            let wanted = if status.is_some() { READ } else { limit - orders.len() };
            let output = self
                .dynamodb
                .query()
                .table_name(&self.orders)
                .index_name("by_customer")
                .key_condition_expression("customer_id = :customer")
                .projection_expression("order_id, #status, carrier, eta, ordered_at")
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":customer", AttributeValue::S(customer_id.to_owned()))
                .scan_index_forward(false)
                .limit(i32::try_from(wanted).unwrap_or(i32::MAX))
                .set_exclusive_start_key(next.take().map(|position| position.into_key(customer_id)))
                .send()
                .await
                .map_err(|error| unavailable("orders", &error))?;
            let more = output.last_evaluated_key.is_some();
            let items = output.items.unwrap_or_default();
            let last = items.last().map(Position::of);
            for item in &items {
                let order = parse_order(item);
                if status.is_none_or(|status| order.status.as_deref() == Some(status)) {
                    orders.push(order);
                }
                if orders.len() == limit {
                    let is_last = Some(Position::of(item)) == last;
                    return Ok(Page { orders, next: (more || !is_last).then(|| Position::of(item)) });
                }
            }
            next = last.filter(|_| more);
            if next.is_none() {
                break;
            }
        }
        Ok(Page { orders, next })
    }
}

impl Position {
    fn of(item: &Item) -> Position {
        let raw = |name| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
        Position { order_id: raw("order_id"), ordered_at: raw("ordered_at") }
    }

    fn into_key(self, customer_id: &str) -> Item {
        HashMap::from([
            ("customer_id".to_owned(), AttributeValue::S(customer_id.to_owned())),
            ("order_id".to_owned(), AttributeValue::S(self.order_id)),
            ("ordered_at".to_owned(), AttributeValue::S(self.ordered_at)),
        ])
    }
}

fn parse_order(item: &Item) -> Order {
    Order {
        order_id: text(item, "order_id").unwrap_or_default(),
        status: text(item, "status"),
        carrier: text(item, "carrier"),
        eta: text(item, "eta"),
        ordered_at: text(item, "ordered_at"),
    }
}

/// A text or a number as text; anything else, and an empty text, is absent.
fn text(item: &Item, name: &str) -> Option<String> {
    let text = match item.get(name)? {
        AttributeValue::S(text) | AttributeValue::N(text) => clean(text),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

fn integer(item: &Item, name: &str) -> i64 {
    match item.get(name) {
        Some(AttributeValue::N(number)) => number.parse().unwrap_or_default(),
        _ => 0,
    }
}

/// Text of a table goes to a model: control, zero-width and direction-changing characters stay behind, and it is cut.
fn clean(text: &str) -> String {
    text.chars().filter(|&character| !is_hidden(character)).take(MAX_TEXT).collect()
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// The model is told to try again; the log is told what the SDK knows.
fn unavailable<E: ProvideErrorMetadata, R>(table: &'static str, error: &SdkError<E, R>) -> Trouble {
    let cause = match error {
        SdkError::ServiceError(service) => service.err().code().unwrap_or("an unknown error"),
        SdkError::TimeoutError(_) => "no answer in time",
        SdkError::DispatchFailure(_) => "no connection",
        _ => "an answer that cannot be read",
    };
    let now = std::time::SystemTime::now();
    request_log::problem("mcp", "table_unavailable", &format!("{table} table: {cause}"), now);
    Trouble::new("table_unavailable", format!("The {table} data cannot be read at the moment. Try again in a minute."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_of_any_shape_is_an_order() {
        let item = HashMap::from([
            ("order_id".to_owned(), AttributeValue::N("1001".to_owned())),
            ("status".to_owned(), AttributeValue::S("SHIPPED\u{202e}\u{0}".to_owned())),
            ("carrier".to_owned(), AttributeValue::Null(true)),
            ("eta".to_owned(), AttributeValue::S(String::new())),
        ]);
        let order = Order { order_id: "1001".into(), status: Some("SHIPPED".into()), ..Order::default() };
        assert_eq!(parse_order(&item), order);
        assert_eq!(clean(&"é".repeat(2_000)).chars().count(), MAX_TEXT);
    }
}
