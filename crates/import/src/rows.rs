//! A row of the file becomes an item of the table. Pure: the same row and plan give the same item.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::plan::{Plan, checked_name};
use crate::reason::Reason;
use crate::source::Row;
use crate::value::{Form, start_of};

/// What goes into the table: attribute values by name. A missing value is an absent attribute.
pub(crate) type Item = HashMap<String, AttributeValue>;

impl Plan {
    /// The item of a row, with the values that every row gets.
    pub(crate) fn item(&self, row: &Row) -> Result<Item, Reason> {
        let mut item = self.set.clone();
        let mut given = HashSet::new();
        for (column, cell) in &row.cells()? {
            let attribute = checked_name(self.attribute(column))
                .map_err(|_| Reason::AttributeName { name: start_of(self.attribute(column)) })?;
            if !given.insert(attribute) {
                return Err(Reason::Twice { attribute: attribute.to_owned() });
            }
            if self.set.contains_key(attribute) {
                continue;
            }
            let form = self.dataset.form(attribute).unwrap_or(Form::Own);
            let invalid = |fault| Reason::Invalid { attribute: attribute.to_owned(), fault };
            if let Some(value) = form.value(cell, self.dates).map_err(invalid)? {
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
        _ => 1, // a boolean; no form makes another type
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
    use crate::source::{Columns, Original, Source};
    use crate::{Dataset, Format, Options, Rejected};

    fn read(dataset: Dataset, csv: &str, set: &[(&str, &str)]) -> Vec<Result<Item, Rejected>> {
        let set = set.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        read_as(Format::Csv, dataset, csv, &Options { set, ..Options::default() })
    }

    fn read_as(format: Format, dataset: Dataset, text: &str, options: &Options) -> Vec<Result<Item, Rejected>> {
        let mut source = Source::open(format, text.as_bytes()).unwrap();
        let plan = Plan::new(dataset, &source.columns(), options).unwrap();
        let mut items = Vec::new();
        while let Some(row) = source.next_row().unwrap() {
            items.push(plan.item(&row).map_err(|reason| Rejected { line: row.line, reason }));
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
                "line 5: `ordered_at` `28/06/2026` is not a date until --dates day-first or --dates month-first says which number is the day",
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
        let header: Arc<[Arc<str>]> = columns.clone().into();
        let fill = |length: usize| -> Vec<String> { columns.iter().map(|_| "x".repeat(length)).collect() };
        let required = [("customer_id", "C-1"), ("ordered_at", "2026-06-28"), ("status", "SHIPPED")];
        let set = required.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        let map = vec![("c0".to_owned(), "order_id".to_owned())];
        let options = Options { map, set, ..Options::default() };
        let plan = Plan::new(Dataset::Orders, &Columns::Header(columns.clone()), &options).unwrap();
        let with_id = |mut texts: Vec<String>| {
            texts[0] = "1001".to_owned();
            Row { line: 2, original: Original::Fields { header: header.clone(), texts, fault: None } }
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

    #[test]
    fn an_object_of_json_is_the_same_item_as_its_row_of_csv() {
        let csv = "order_id,customer_id,ordered_at,status,eta,note\n1001,C-1,2026-06-28,CANCELED,,\"a\nb\"\n";
        let json = r#"[{"order_id": 1001, "customer_id": "C-1", "ordered_at": 1782604800, "status": "canceled",
            "eta": null, "note": "a\nb", "northstar_line": 7, "northstar_reason": "`eta`"}]"#;
        let options = Options::default();
        let from_csv = read_as(Format::Csv, Dataset::Orders, csv, &options);
        assert_eq!(from_csv[0].as_ref().unwrap()["ordered_at"], AttributeValue::S("2026-06-28T00:00:00Z".into()));
        assert_eq!(read_as(Format::Json, Dataset::Orders, json, &options), from_csv);
        assert_eq!(
            read_as(Format::JsonLines, Dataset::Orders, &json.replace(['[', '\n', ']'], ""), &options),
            from_csv
        );
    }

    #[test]
    fn objects_of_json_have_columns_of_their_own() {
        let lines = r#"{"customer_id":"C-1","points":1,"weight":2.5,"vip":true,"tags":["a", "b"]}
            {"customer_id":"C-2","Balance":2}
            {"customer_id":"C-3","Balance":2,"points":3}
            {"customer_id":"C-4","points":4,"points":5}
            {"customer_id":"C-5"}
            {"customer_id":["C-6"],"points":6}
            [7]"#;
        let options = Options { map: vec![("Balance".into(), "points".into())], ..Options::default() };
        let stored = read_as(Format::JsonLines, Dataset::Loyalty, lines, &options);

        let first = stored[0].as_ref().unwrap();
        assert_eq!(first["weight"], AttributeValue::N("2.5".into()));
        assert_eq!(first["vip"], AttributeValue::Bool(true));
        assert_eq!(first["tags"], AttributeValue::S(r#"["a","b"]"#.into()));
        assert_eq!(stored[1].as_ref().unwrap()["points"], AttributeValue::N("2".into()));
        let reasons: Vec<String> = stored.iter().filter_map(|row| Some(row.as_ref().err()?.to_string())).collect();
        assert_eq!(
            reasons,
            [
                "line 3: `points` is given twice",
                "line 4: `points` is given twice",
                "line 5: `points` is missing",
                "line 6: `customer_id` is an object or an array, not a single value",
                "line 7: the row is an array, not an object",
            ]
        );
    }
}
