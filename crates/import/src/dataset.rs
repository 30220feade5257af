//! The two sets of business data, and the form each of their attributes has in the table. The tools
//! read the tables by these rules.

use crate::value::Form;

/// A set of business data: one table, one set of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dataset {
    /// Orders by `order_id`; `customer_id` and `ordered_at` are the keys of their index `by_customer`.
    Orders,
    /// Loyalty balances by `customer_id`.
    Loyalty,
}

impl Dataset {
    /// The attribute that is the partition key of the table.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Orders => "order_id",
            Self::Loyalty => "customer_id",
        }
    }

    /// The attributes that every row must have, the key among them.
    #[must_use]
    pub fn required(self) -> &'static [&'static str] {
        match self {
            Self::Orders => &["order_id", "customer_id", "ordered_at", "status"],
            Self::Loyalty => &["customer_id", "points"],
        }
    }

    /// The form of an attribute, or `None` for one of the company's own, which is any text.
    pub(crate) fn form(self, attribute: &str) -> Option<Form> {
        match (self, attribute) {
            (Self::Orders, "order_id") | (_, "customer_id") => Some(Form::Id),
            (Self::Orders, "ordered_at") | (_, "updated_at") => Some(Form::Time),
            (Self::Orders, "status") => Some(Form::Status),
            (Self::Orders, "eta") => Some(Form::Day),
            (Self::Loyalty, "points") => Some(Form::Points),
            (Self::Orders, "carrier") | (Self::Loyalty, "tier") => Some(Form::Text),
            _ => None,
        }
    }

    /// Where an attribute comes from that a row does not have: (attribute, the one it copies).
    pub(crate) fn fallback(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Orders => Some(("updated_at", "ordered_at")),
            Self::Loyalty => None,
        }
    }
}
