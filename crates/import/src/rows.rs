//! A row of the file becomes an item of the table. Pure: the same row and plan give the same item.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::plan::Plan;
use crate::source::Row;
use crate::value::{Fault, Form};

/// What goes into the table: attribute values by name. A missing value is an absent attribute.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Why a row is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The row has more or fewer fields than the header, so no value is sure to be in its column.
    #[error("the number of fields is {found}, the header has {expected}{}", over_lines(*lines))]
    FieldCount {
        /// Fields of the row.
        found: usize,
        /// Columns of the header.
        expected: usize,
        /// Lines that the row spans; many lines mean a quote that is not closed.
        lines: u64,
    },
    /// The row has a quote that is not closed, so the rest of the file counts as one value of it.
    #[error("a quote is not closed; the {lines} lines to the end of the file are not taken")]
    OpenQuote {
        /// Lines from the start of the row to the end of the file.
        lines: u64,
    },
    /// A required attribute has no value.
    #[error("`{attribute}` is missing")]
    Missing {
        /// The attribute.
        attribute: String,
    },
    /// A value does not obey the rules of its attribute.
    #[error("`{attribute}` {fault}")]
    Invalid {
        /// The attribute.
        attribute: String,
        /// What is wrong with its value.
        fault: Fault,
    },
    /// The row is larger than DynamoDB stores.
    #[error("the row has {bytes} bytes, an item of DynamoDB at most 409600")]
    TooLarge {
        /// The size of the item.
        bytes: usize,
    },
}

fn over_lines(lines: u64) -> String {
    match lines {
        1 => String::new(),
        lines => format!(" (over {lines} lines: is a quote not closed?)"),
    }
}

impl Plan {
    /// The item of a row, with the values that every row gets.
    pub(crate) fn item(&self, row: &Row) -> Result<Item, Reason> {
        let mut item = self.set.clone();
        for (column, text) in &row.cells {
            let attribute = self.attribute(column);
            if self.set.contains_key(attribute) {
                continue;
            }
            let form = self.dataset.form(attribute).unwrap_or(Form::Text);
            let value = form.value(text).map_err(|fault| Reason::Invalid { attribute: attribute.to_owned(), fault })?;
            if let Some(value) = value {
                item.insert(attribute.to_owned(), value);
            }
        }
        self.refuse_missing(&item)?;
        self.fall_back(&mut item);
        refuse_too_large(&item)?;
        Ok(item)
    }

    fn refuse_missing(&self, item: &Item) -> Result<(), Reason> {
        match self.dataset.required().iter().find(|attribute| !item.contains_key(**attribute)) {
            Some(attribute) => Err(Reason::Missing { attribute: (*attribute).to_owned() }),
            None => Ok(()),
        }
    }

    fn fall_back(&self, item: &mut Item) {
        let Some((attribute, from)) = self.dataset.fallback() else { return };
        if let (false, Some(value)) = (item.contains_key(attribute), item.get(from)) {
            item.insert(attribute.to_owned(), value.clone());
        }
    }
}

/// Names and values in UTF-8, as DynamoDB counts. One row above it would fail its whole batch.
fn refuse_too_large(item: &Item) -> Result<(), Reason> {
    const LARGEST: usize = 400 * 1024;
    let size = |value: &AttributeValue| match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        _ => 0, // no form makes another type
    };
    let bytes = item.iter().map(|(name, value)| name.len() + size(value)).sum();
    match bytes > LARGEST {
        true => Err(Reason::TooLarge { bytes }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::CsvSource;
    use crate::{Dataset, Options, Rejected};

    fn read(dataset: Dataset, csv: &str, set: &[(&str, &str)]) -> Vec<Result<Item, Rejected>> {
        let set = set.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        let mut source = CsvSource::open(csv.as_bytes()).unwrap();
        let plan = Plan::new(dataset, source.columns(), &Options { set, ..Options::default() }).unwrap();
        let mut items = Vec::new();
        while let Some(row) = source.next_row().unwrap() {
            items.push(row.and_then(|row| plan.item(&row).map_err(|reason| Rejected { line: row.line, reason })));
        }
        items
    }

    fn order(columns: &str, values: &str, set: &[(&str, &str)]) -> Result<Item, Rejected> {
        let header = format!("order_id,customer_id,ordered_at,status{columns}");
        read(Dataset::Orders, &format!("{header}\n1001,C-0001,2026-06-28,SHIPPED{values}"), set).remove(0)
    }

    fn item(pairs: &[(&str, &str)]) -> Item {
        pairs.iter().map(|(name, value)| (name.to_string(), AttributeValue::S(value.to_string()))).collect()
    }

    #[test]
    fn an_order_is_stored_in_the_forms_of_its_attributes() {
        let stored = order(",carrier,eta,updated_at,Gift note", ",UPS,2026-07-02 08:00:00,2026-06-29,To Zoë", &[]);
        let expected = item(&[
            ("order_id", "1001"),
            ("customer_id", "C-0001"),
            ("ordered_at", "2026-06-28T00:00:00Z"),
            ("status", "SHIPPED"),
            ("carrier", "UPS"),
            ("eta", "2026-07-02"),
            ("updated_at", "2026-06-29T00:00:00Z"),
            ("Gift note", "To Zoë"),
        ]);
        assert_eq!(stored, Ok(expected));
    }

    #[test]
    fn missing_values_are_absent_and_updated_at_is_then_ordered_at() {
        let stored = order(",carrier,eta,updated_at,note", ",NULL,,N/A,\\N", &[]);
        let expected = item(&[
            ("order_id", "1001"),
            ("customer_id", "C-0001"),
            ("ordered_at", "2026-06-28T00:00:00Z"),
            ("status", "SHIPPED"),
            ("updated_at", "2026-06-28T00:00:00Z"),
        ]);
        assert_eq!(stored, Ok(expected));
    }

    #[test]
    fn a_set_wins_over_the_column_even_where_that_is_wrong() {
        let stored = order(",eta", ",whenever", &[("eta", "2026-07-02"), ("status", "delayed")]).unwrap();
        assert_eq!(stored["eta"], AttributeValue::S("2026-07-02".into()));
        assert_eq!(stored["status"], AttributeValue::S("DELAYED".into()));
    }

    #[test]
    fn a_balance_has_its_points_as_a_number() {
        let csv = "customer_id,points,tier,updated_at\nC-0001,1200,GOLD,\nC-0002,-5,,\n";
        let mut stored = read(Dataset::Loyalty, csv, &[]);

        assert_eq!(
            stored.remove(1).unwrap_err().to_string(),
            "line 3: `points` `-5` is not a whole number from 0 to 9007199254740991"
        );
        let mut expected = item(&[("customer_id", "C-0001"), ("tier", "GOLD")]);
        expected.insert("points".into(), AttributeValue::N("1200".into()));
        assert_eq!(stored.remove(0), Ok(expected));
    }

    #[test]
    fn bad_rows_are_refused_with_line_and_reason_and_the_others_are_taken() {
        let csv = "order_id,customer_id,ordered_at,status,note\n\
            1,C-1,2026-06-28,SHIPPED,\"two\nlines\"\n\
            ,C-1,2026-06-28,SHIPPED,\n\
            3,C-1,28/06/2026,SHIPPED,\n\
            \n\
            4,C-1,2026-06-28,LOST,\n\
            5,C-1,2026-06-28,SHIPPED\n\
            6,NULL,2026-06-28,SHIPPED,\n\
            7,C 1,2026-06-28,SHIPPED,a\u{1b}b\n\
            8,C-1,2026-06-28,SHIPPED,a\u{1b}b\n\
            9,C-1,2026-06-28,SHIPPED,\n";
        let stored = read(Dataset::Orders, csv, &[]);

        let reasons: Vec<String> = stored.iter().filter_map(|row| Some(row.as_ref().err()?.to_string())).collect();
        assert_eq!(
            reasons,
            [
                "line 4: `order_id` is missing",
                "line 5: `ordered_at` `28/06/2026` is not a date: write YYYY-MM-DD, YYYY-MM-DD HH:MM:SS (taken as UTC) or RFC 3339",
                "line 7: `status` `LOST` is not a status, which is one of PENDING, PROCESSING, SHIPPED, OUT_FOR_DELIVERY, DELIVERED, DELAYED, CANCELLED, RETURNED",
                "line 8: the number of fields is 4, the header has 5",
                "line 9: `customer_id` is missing",
                "line 10: `customer_id` must be 1 to 64 of the characters A-Z a-z 0-9 . _ -",
                "line 11: `note` has a control character (U+001B)",
            ]
        );
        assert_eq!(stored.iter().filter(|row| row.is_ok()).count(), 2);
    }

    #[test]
    fn a_row_above_the_size_of_an_item_is_refused() {
        let columns: Vec<Arc<str>> = (0..101).map(|n| format!("c{n}").into()).collect();
        let fill = |length: usize| {
            let cells = columns.iter().map(|column| (column.clone(), "x".repeat(length))).collect();
            Row { line: 2, cells }
        };
        let required = [("customer_id", "C-1"), ("ordered_at", "2026-06-28"), ("status", "SHIPPED")];
        let set = required.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        let map = vec![("c0".to_owned(), "order_id".to_owned())];
        let plan = Plan::new(Dataset::Orders, &columns, &Options { map, set }).unwrap();
        let with_id = |mut row: Row| {
            row.cells[0].1 = "1001".to_owned();
            row
        };

        assert!(plan.item(&with_id(fill(4090))).is_ok());
        assert!(matches!(plan.item(&with_id(fill(4096))), Err(Reason::TooLarge { .. })));
    }

    #[test]
    fn the_example_data_are_taken_whole() {
        let orders = read(Dataset::Orders, include_str!("../../../examples/orders.csv"), &[]);
        let balances = read(Dataset::Loyalty, include_str!("../../../examples/loyalty.csv"), &[]);

        assert_eq!(orders.iter().filter(|row| row.is_ok()).count(), 1000);
        assert_eq!(balances.iter().filter(|row| row.is_ok()).count(), 200);
        let first = orders[0].as_ref().unwrap();
        assert_eq!(first["order_id"], AttributeValue::S("1001".into()));
        assert_eq!(first["status"], AttributeValue::S("SHIPPED".into()));
    }
}
