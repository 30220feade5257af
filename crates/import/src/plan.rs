//! What becomes of each column: decided and checked once, from the header or the first rows, before
//! anything is written.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::date::DateOrder;
use crate::nearest::nearest;
use crate::source::{Cell, Columns};
use crate::value::{Fault, Form};
use crate::{Dataset, Options};

/// Which column becomes which attribute, and what every row gets.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) dataset: Dataset,
    renamed: HashMap<String, String>,
    pub(crate) set: HashMap<String, AttributeValue>,
    pub(crate) dates: Option<DateOrder>,
}

/// Why a file, its maps and its sets do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A map names a column that the file does not have.
    #[error(
        "--map names the column `{column}`, which the file does not have{}{}; its columns: {}",
        within(*first),
        meant(nearest),
        list(columns)
    )]
    UnknownColumn {
        /// The column as the map names it.
        column: String,
        /// How many rows have been looked at, if not all.
        first: Option<usize>,
        /// The column most like it.
        nearest: Option<String>,
        /// All columns of the file.
        columns: Vec<String>,
    },
    /// Two maps for one column.
    #[error("--map names the column `{column}` more than once")]
    MappedTwice {
        /// The column.
        column: String,
    },
    /// Two columns, by map or by name, for one attribute.
    #[error(
        "the columns `{first}` and `{second}` would both become the attribute `{attribute}`; give one of them another name with --map or in the file"
    )]
    SharedAttribute {
        /// The attribute.
        attribute: String,
        /// The column further left.
        first: String,
        /// The column further right.
        second: String,
    },
    /// An attribute cannot have this name.
    #[error("an attribute cannot be named {name:?}: a name is 1 to 255 bytes without control characters")]
    AttributeName {
        /// The name.
        name: String,
    },
    /// Two sets for one attribute.
    #[error("--set names the attribute `{attribute}` more than once")]
    SetTwice {
        /// The attribute.
        attribute: String,
    },
    /// A set for the key, which would make all rows one.
    #[error("--set cannot give every row the same `{attribute}`, the key of the table")]
    SetKey {
        /// The key.
        attribute: &'static str,
    },
    /// A set without a value.
    #[error("--set {attribute} has no value")]
    SetEmpty {
        /// The attribute.
        attribute: String,
    },
    /// A set with a value that the attribute does not accept.
    #[error("--set: `{attribute}` {fault}")]
    SetInvalid {
        /// The attribute.
        attribute: String,
        /// What is wrong with the value.
        fault: Fault,
    },
    /// Neither column nor set gives a required attribute.
    #[error("required, but no column of the file: {}; its columns: {}", list_missing(missing), list(columns))]
    Missing {
        /// Every such attribute.
        missing: Vec<MissingAttribute>,
        /// All columns of the file.
        columns: Vec<String>,
    },
}

/// A required attribute that nothing gives; `Display` names the option to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingAttribute {
    /// The attribute.
    pub attribute: &'static str,
    /// The column that probably holds it.
    pub column: Option<String>,
    /// Whether it is the key, which cannot be set.
    pub is_key: bool,
}

impl std::fmt::Display for MissingAttribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { attribute, column, is_key } = self;
        let argument = format!("{}={attribute}", column.as_deref().unwrap_or("COLUMN"));
        // Quoted for the shell, should a column have a space in its name.
        let quote = if argument.contains(' ') { "'" } else { "" };
        write!(f, "`{attribute}` (add --map {quote}{argument}{quote}")?;
        match column.is_none() && !is_key {
            true => write!(f, " or --set {attribute}=VALUE)"),
            false => write!(f, ")"),
        }
    }
}

impl Plan {
    /// Checks the options against the columns of a file.
    pub(crate) fn new(dataset: Dataset, columns: &Columns, options: &Options) -> Result<Self, PlanError> {
        let (renamed, set) = (renames(columns, &options.map)?, sets(dataset, options)?);
        let plan = Self { dataset, renamed, set, dates: options.dates };
        match columns {
            Columns::Header(names) => {
                plan.refuse_shared_attributes(names)?;
                plan.refuse_missing_attributes(names)?;
            }
            // No row of the sample is an object: each is refused for itself.
            Columns::Seen { names, .. } if names.is_empty() => {}
            // Each row has columns of its own, so two for one attribute may be in different rows.
            Columns::Seen { names, .. } => plan.refuse_missing_attributes(names)?,
        }
        Ok(plan)
    }

    /// The attribute that a column becomes.
    pub(crate) fn attribute<'a>(&'a self, column: &'a str) -> &'a str {
        self.renamed.get(column).map_or(column, String::as_str)
    }

    fn refuse_shared_attributes(&self, columns: &[Arc<str>]) -> Result<(), PlanError> {
        let mut columns_by_attribute = HashMap::new();
        for column in columns {
            let attribute = checked_name(self.attribute(column))?;
            if let Some(first) = columns_by_attribute.insert(attribute, column) {
                return Err(PlanError::SharedAttribute {
                    attribute: attribute.to_owned(),
                    first: first.to_string(),
                    second: column.to_string(),
                });
            }
        }
        Ok(())
    }

    fn refuse_missing_attributes(&self, columns: &[Arc<str>]) -> Result<(), PlanError> {
        let given: HashSet<&str> =
            columns.iter().map(|column| self.attribute(column)).chain(self.set.keys().map(String::as_str)).collect();
        // A column that already is something, by map or by name, is not proposed for something else.
        let is_free = |column: &&str| !self.renamed.contains_key(*column) && self.dataset.form(column).is_none();
        let free = || columns.iter().map(|column| &**column).filter(is_free);
        let missing: Vec<MissingAttribute> = self
            .dataset
            .required()
            .iter()
            .filter(|attribute| !given.contains(**attribute))
            .map(|attribute| MissingAttribute {
                attribute,
                column: nearest(attribute, free()).map(str::to_owned),
                is_key: *attribute == self.dataset.key(),
            })
            .collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(PlanError::Missing { missing, columns: owned(columns) }),
        }
    }
}

fn renames(columns: &Columns, maps: &[(String, String)]) -> Result<HashMap<String, String>, PlanError> {
    let mut renamed = HashMap::new();
    for (column, attribute) in maps {
        let column = column.trim();
        refuse_unknown(column, columns)?;
        let attribute = checked_name(attribute.trim())?;
        if renamed.insert(column.to_owned(), attribute.to_owned()).is_some() {
            return Err(PlanError::MappedTwice { column: column.to_owned() });
        }
    }
    Ok(renamed)
}

fn refuse_unknown(column: &str, columns: &Columns) -> Result<(), PlanError> {
    let first = match columns {
        Columns::Seen { names, .. } if names.is_empty() => return Ok(()),
        Columns::Seen { first, .. } => *first,
        Columns::Header(_) => None,
    };
    let names = columns.names();
    if names.iter().any(|known| **known == *column) {
        return Ok(());
    }
    Err(PlanError::UnknownColumn {
        column: column.to_owned(),
        first,
        nearest: nearest(column, names.iter().map(|name| &**name)).map(str::to_owned),
        columns: owned(names),
    })
}

fn sets(dataset: Dataset, options: &Options) -> Result<HashMap<String, AttributeValue>, PlanError> {
    let mut values = HashMap::new();
    for (attribute, text) in &options.set {
        let attribute = checked_name(attribute.trim())?;
        if attribute == dataset.key() {
            return Err(PlanError::SetKey { attribute: dataset.key() });
        }
        let value = dataset
            .form(attribute)
            .unwrap_or(Form::Text)
            .value(&Cell::Text(text.into()), options.dates)
            .map_err(|fault| PlanError::SetInvalid { attribute: attribute.to_owned(), fault })?
            .ok_or_else(|| PlanError::SetEmpty { attribute: attribute.to_owned() })?;
        if values.insert(attribute.to_owned(), value).is_some() {
            return Err(PlanError::SetTwice { attribute: attribute.to_owned() });
        }
    }
    Ok(values)
}

pub(crate) fn checked_name(attribute: &str) -> Result<&str, PlanError> {
    const LONGEST: usize = 255; // DynamoDB's limit for a name that an index may use
    if attribute.is_empty() || attribute.len() > LONGEST || attribute.contains(char::is_control) {
        return Err(PlanError::AttributeName { name: attribute.to_owned() });
    }
    Ok(attribute)
}

fn owned(columns: &[Arc<str>]) -> Vec<String> {
    columns.iter().map(ToString::to_string).collect()
}

fn list(columns: &[String]) -> String {
    const MOST: usize = 40;
    let shown = columns[..columns.len().min(MOST)].join(", ");
    match columns.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn list_missing(missing: &[MissingAttribute]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn within(first: Option<usize>) -> String {
    first.map(|rows| format!(" in its first {rows} rows")).unwrap_or_default()
}

fn meant(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|nearest| format!(" (did you mean `{nearest}`?)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORTHWIND: [&str; 6] = ["orderID", "customerID", "employeeID", "orderDate", "requiredDate", "shipVia"];
    const ORDERS: [&str; 4] = ["order_id", "customer_id", "ordered_at", "status"];

    fn plan(columns: &[&str], map: &[(&str, &str)], set: &[(&str, &str)]) -> Result<Plan, PlanError> {
        let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        let columns = Columns::Header(columns.iter().map(|column| Arc::from(*column)).collect());
        let options = Options { map: owned(map), set: owned(set), ..Options::default() };
        Plan::new(Dataset::Orders, &columns, &options)
    }

    #[track_caller]
    fn refusal(columns: &[&str], map: &[(&str, &str)], set: &[(&str, &str)]) -> String {
        plan(columns, map, set).unwrap_err().to_string()
    }

    #[test]
    fn maps_rename_and_other_columns_keep_their_name() {
        let map = [("orderID", "order_id"), ("customerID", "customer_id"), (" orderDate ", "ordered_at")];
        let plan = plan(&NORTHWIND, &map, &[("status", "shipped")]).unwrap();

        assert_eq!(plan.attribute("orderID"), "order_id");
        assert_eq!(plan.attribute("orderDate"), "ordered_at");
        assert_eq!(plan.attribute("shipVia"), "shipVia");
        assert_eq!(plan.set["status"], AttributeValue::S("SHIPPED".into()));
    }

    #[test]
    fn two_columns_can_swap_their_names() {
        let columns = ["order_id", "customer_id", "ordered_at", "status", "carrier", "shipper"];
        let plan = plan(&columns, &[("carrier", "shipper"), ("shipper", "carrier")], &[]).unwrap();
        assert_eq!((plan.attribute("carrier"), plan.attribute("shipper")), ("shipper", "carrier"));
    }

    #[test]
    fn missing_attributes_are_all_named_with_the_option_to_add() {
        assert_eq!(
            refusal(&NORTHWIND, &[("customerID", "customer_id")], &[]),
            "required, but no column of the file: `order_id` (add --map orderID=order_id), \
             `ordered_at` (add --map orderDate=ordered_at), \
             `status` (add --map COLUMN=status or --set status=VALUE); \
             its columns: orderID, customerID, employeeID, orderDate, requiredDate, shipVia"
        );
        let error = refusal(&["Order ID", "customer_id", "ordered_at", "status"], &[], &[]);
        assert!(error.contains("--map 'Order ID=order_id'"), "{error}");
    }

    #[test]
    fn a_column_in_use_is_not_proposed_for_another_attribute() {
        let error = refusal(&["order_id", "ordered_at", "status", "Customer"], &[("Customer", "name")], &[]);
        assert!(error.contains("--map COLUMN=customer_id or --set"), "{error}");
    }

    #[test]
    fn a_required_column_that_is_mapped_away_is_missing() {
        let error = refusal(&ORDERS, &[("status", "old_status")], &[]);
        assert!(error.contains("`status` (add --map COLUMN=status"), "{error}");
    }

    #[test]
    fn a_map_of_an_unknown_column_names_the_nearest_and_lists_all() {
        assert_eq!(
            refusal(&ORDERS, &[("orderedat", "ordered_at")], &[]),
            "--map names the column `orderedat`, which the file does not have (did you mean `ordered_at`?); \
             its columns: order_id, customer_id, ordered_at, status"
        );
        let error = refusal(&ORDERS, &[("Zustand", "status")], &[]);
        assert!(error.contains("does not have; its columns: order_id"), "{error}");
        assert!(plan(&ORDERS, &[("", "status")], &[]).is_err());
    }

    #[test]
    fn two_columns_for_one_attribute_are_refused() {
        let shared = |error: &str| error.contains("would both become");
        let columns = ["order_id", "customer_id", "ordered_at", "status", "note", "note"];
        assert!(shared(&refusal(&columns, &[], &[])));
        let columns = ["order_id", "customer_id", "ordered_at", "status", "State"];
        assert!(shared(&refusal(&columns, &[("State", "status")], &[])));
        assert!(shared(&refusal(&columns, &[("State", "x"), ("status", "x")], &[])));
        let error = refusal(&columns, &[("State", "a"), ("State", "b")], &[]);
        assert_eq!(error, "--map names the column `State` more than once");
    }

    #[test]
    fn sets_obey_the_rules_of_their_attribute() {
        let cases = [
            ("status", "lost", "--set: `status` `lost` is not a status"),
            ("eta", "soon", "--set: `eta` `soon` is not a date"),
            ("tier", " ", "--set tier has no value"),
            ("order_id", "1001", "the key of the table"),
            ("", "x", "an attribute cannot be named \"\""),
        ];
        for (attribute, value, expected) in cases {
            let error = refusal(&ORDERS, &[], &[(attribute, value)]);
            assert!(error.contains(expected), "{error}");
        }
        let twice = [("tier", "a"), ("tier", "b")];
        assert_eq!(refusal(&ORDERS, &[], &twice), "--set names the attribute `tier` more than once");
    }

    #[test]
    fn columns_of_json_are_those_of_its_first_rows() {
        let seen =
            |names: &[&str], first| Columns::Seen { names: names.iter().map(|&name| name.into()).collect(), first };
        let map = vec![("Shipper".to_owned(), "carrier".to_owned()), ("status".to_owned(), "state".to_owned())];
        let options = Options { map, ..Options::default() };
        let refusal = |columns| Plan::new(Dataset::Orders, &columns, &options).unwrap_err().to_string();

        let error = refusal(seen(&["order_id", "status"], Some(1000)));
        assert!(error.contains("does not have in its first 1000 rows; its columns: order_id, status"), "{error}");
        let error = refusal(seen(&["Shipper", "status", "State", "customer_id", "ordered_at"], None));
        assert!(error.contains("`order_id` (add --map COLUMN=order_id)"), "{error}");
        assert!(Plan::new(Dataset::Orders, &seen(&[], None), &options).is_ok());
        let both = seen(&["order_id", "customer_id", "ordered_at", "status", "state", "Shipper"], None);
        let without_status = refusal(both);
        assert!(without_status.contains("`status` (add --map state=status)"), "{without_status}");
    }

    #[test]
    fn a_long_list_of_columns_is_cut() {
        let columns: Vec<String> = (0..45).map(|n| format!("c{n}")).collect();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        assert!(refusal(&columns, &[], &[]).ends_with("c38, c39 and 5 more"));
    }
}
