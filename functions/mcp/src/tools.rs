//! The tools that ship. A new one is a file beside these and a line in [`shipped`].

pub mod check_loyalty_points;
pub mod get_order_status;
pub mod list_customer_orders;

use regex_lite::Regex;

use crate::arguments::Input;
use crate::catalogue::Catalogue;

/// The catalogue of this release.
pub fn shipped() -> Catalogue {
    Catalogue::new(vec![get_order_status::tool(), check_loyalty_points::tool(), list_customer_orders::tool()])
}

fn order_id() -> Input {
    let description = "Number of the order, exactly as on the order confirmation, for example 1001";
    Input::text("order_id", "Order number", description).matching(key()).required()
}

fn customer_id() -> Input {
    let description = "Number of the customer, exactly as on the customer card, for example C-0001";
    Input::text("customer_id", "Customer number", description).matching(key()).required()
}

/// The keys that `northstar import` takes.
fn key() -> Regex {
    Regex::new("^[A-Za-z0-9._-]{1,64}$").expect("the pattern of keys is a regular expression")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Agentforce needs of a tool to show and to map it.
    #[test]
    fn every_tool_keeps_to_the_rules_of_agentforce() {
        for tool in shipped().tools() {
            let name = &tool.name;
            assert!((1..=64).contains(&name.len()), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
            assert!(tool.description.len() < 1_000 && !tool.description.contains('\n'), "{name}");
            for input in &tool.inputs {
                let schema = input.schema();
                let told = |what: &str| schema[what].as_str().is_some_and(|text| !text.is_empty());
                assert!(told("title") && told("description"), "{name}.{}", input.name);
            }
            for output in &tool.outputs {
                let flat = ["string", "integer", "number", "boolean", "array"].contains(&output.schema_type);
                assert!(flat, "{name}: {output:?}");
            }
        }
    }
}
