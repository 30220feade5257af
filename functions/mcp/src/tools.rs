//! The tools that ship. A new one is a file beside these and a line in [`shipped`].

pub mod check_loyalty_points;
pub mod get_order_status;
pub mod list_customer_orders;

use crate::catalogue::Catalogue;

/// The catalogue of this release.
pub fn shipped() -> Catalogue {
    Catalogue::new(vec![get_order_status::tool(), check_loyalty_points::tool(), list_customer_orders::tool()])
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
            for input in tool.inputs.iter() {
                assert!(!input.title.is_empty() && !input.description.is_empty(), "{name}.{}", input.name);
                assert!(input.pattern.is_none_or(|pattern| regex_lite::Regex::new(pattern).is_ok()), "{name}");
            }
            for output in tool.outputs.iter() {
                let flat = ["string", "integer", "number", "boolean", "array"].contains(&output.schema_type);
                assert!(flat, "{name}.{}", output.name);
            }
        }
    }
}
