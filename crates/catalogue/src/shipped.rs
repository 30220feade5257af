//! The lookups that come with this release, over the tables `orders` and `loyalty`. A server names them; a company
//! whose tables look different writes a definition of its own with the same name.

use crate::lookup::{Argument, Lookup, Order, Return, ValueType};

/// The keys that `northstar import` takes.
const KEY: &str = "^[A-Za-z0-9._-]{1,64}$";

const STATUSES: [&str; 8] =
    ["PENDING", "PROCESSING", "SHIPPED", "OUT_FOR_DELIVERY", "DELIVERED", "DELAYED", "CANCELLED", "RETURNED"];

/// All of them, in the order in which the default server lists them.
pub fn shipped() -> [Lookup; 3] {
    [get_order_status(), check_loyalty_points(), list_customer_orders()]
}

/// Where an order is.
fn get_order_status() -> Lookup {
    Lookup {
        name: "get_order_status".to_owned(),
        description: text(
            "Returns the status, the carrier and the expected delivery date of one order, by its order number.",
        ),
        table: "orders".to_owned(),
        key: [("order_id".to_owned(), order_id())].into(),
        returns: [
            ("order_id".to_owned(), Return { required: true, ..described("Number of the order") }),
            (
                "status".to_owned(),
                described("PENDING, PROCESSING, SHIPPED, OUT_FOR_DELIVERY, DELIVERED, DELAYED, CANCELLED or RETURNED"),
            ),
            ("carrier".to_owned(), described("Who carries it, if known")),
            ("eta".to_owned(), described("Expected delivery date, YYYY-MM-DD, if known")),
        ]
        .into(),
        not_found: text("There is no order {order_id}. Ask the customer to check the order number."),
        ..Lookup::default()
    }
}

/// How many points a customer has.
fn check_loyalty_points() -> Lookup {
    Lookup {
        name: "check_loyalty_points".to_owned(),
        description: text("Returns the loyalty points and the tier of one customer, by the customer number."),
        table: "loyalty".to_owned(),
        key: [("customer_id".to_owned(), customer_id())].into(),
        returns: [
            ("customer_id".to_owned(), Return { required: true, ..described("Number of the customer") }),
            (
                "points".to_owned(),
                Return {
                    value_type: ValueType::Integer,
                    default: Some(0.into()),
                    ..described("Points on the account")
                },
            ),
            ("tier".to_owned(), described("Tier, if the customer has one")),
        ]
        .into(),
        not_found: text(
            "There is no loyalty account for customer {customer_id}. Ask the customer to check the number.",
        ),
        ..Lookup::default()
    }
}

/// A customer's orders, the newest first, a page at a time.
fn list_customer_orders() -> Lookup {
    let status = Argument {
        title: "Status".to_owned(),
        description: "Only orders of this status".to_owned(),
        one_of: STATUSES.map(str::to_owned).to_vec(),
        ..Argument::default()
    };
    let columns = ["order_id", "status", "carrier", "eta", "ordered_at"];
    Lookup {
        name: "list_customer_orders".to_owned(),
        description: text(
            "Lists the orders of one customer, the newest first, up to 20 at a time; pass the cursor of an answer to \
             get the next ones.",
        ),
        table: "orders".to_owned(),
        index: text("by_customer"),
        key: [("customer_id".to_owned(), customer_id())].into(),
        filter: [("status".to_owned(), status)].into(),
        order: Order::NewestFirst,
        page: Some(20),
        rows: text("orders"),
        returns: columns.map(|name| (name.to_owned(), Return::default())).into(),
        position: ["order_id", "customer_id", "ordered_at"].map(str::to_owned).to_vec(),
        ..Lookup::default()
    }
}

fn order_id() -> Argument {
    key("Order number", "Number of the order, exactly as on the order confirmation, for example 1001")
}

fn customer_id() -> Argument {
    key("Customer number", "Number of the customer, exactly as on the customer card, for example C-0001")
}

fn key(title: &str, description: &str) -> Argument {
    Argument { title: title.to_owned(), description: description.to_owned(), pattern: text(KEY), ..Argument::default() }
}

fn described(description: &str) -> Return {
    Return { description: text(description), ..Return::default() }
}

#[expect(clippy::unnecessary_wraps, reason = "the fields that it fills are optional")]
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Agentforce needs of a tool to show and to map it.
    #[test]
    fn every_tool_keeps_to_the_rules_of_agentforce() {
        for lookup in shipped() {
            let (name, tool) = (&lookup.name, lookup.tool().unwrap());
            assert!((1..=64).contains(&name.len()), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
            assert!(tool.description.len() < 1_000 && !tool.description.contains('\n'), "{name}");
            for input in &tool.inputs {
                let schema = input.schema();
                let told = |what: &str| schema[what].as_str().is_some_and(|text| !text.is_empty());
                assert!(told("title") && told("description"), "{name}.{}", input.name);
            }
        }
    }
}
