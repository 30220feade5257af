//! What a tool is: a name, what it takes, what it answers, and what may be assumed of it. Nothing here runs a tool.
//!
//! [`Tool`] is what a client is told, [`Lookup`] a tool that is made of a table by a definition, [`shipped`] the
//! lookups that come with this release, [`Contract`] what a client relies on.

pub mod contract;
pub mod input;
pub mod lookup;
pub mod salesforce;
pub mod shipped;
pub mod tool;

pub use contract::{Change, Contract};
pub use input::{Input, InputKind};
pub use lookup::Lookup;
pub use salesforce::SalesforceTool;
pub use tool::{Annotations, ForeignSchemas, Output, OutputType, Tool};

/// A name as people read it: `valid_until` is `Valid until`.
pub fn in_words(name: &str) -> String {
    let words = name.replace(['_', '-'], " ");
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
