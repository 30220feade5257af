//! Buckets in the `state` table: one item each, with the number `tat` or `used`, which only conditional updates change.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

use crate::limit::{Outcome, Update};

type Item = HashMap<String, AttributeValue>;

/// Makes an update of the item `pk`, `sk`, which the table may forget at `forgotten_at`, seconds since 1970. One write,
/// done or refused.
///
/// # Errors
/// When the table does not answer, or refuses for another reason than the condition.
pub async fn update(
    dynamodb: &DynamoDb,
    table: &str,
    (pk, sk): (&str, &str),
    update: Update,
    forgotten_at: u64,
) -> Result<Outcome, Box<aws_sdk_dynamodb::Error>> {
    let (name, change, condition, values) = expressions(update);
    let request = dynamodb
        .update_item()
        .table_name(table)
        .key("pk", AttributeValue::S(pk.to_owned()))
        .key("sk", AttributeValue::S(sk.to_owned()))
        .update_expression(format!("SET {change}, expires_at = :forgotten_at"))
        .condition_expression(condition)
        .set_expression_attribute_values(Some(values))
        .expression_attribute_values(":forgotten_at", number(forgotten_at))
        .return_values(ReturnValue::UpdatedNew)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    // Boxed: the SDK's futures are large.
    match Box::pin(request.send()).await.map_err(aws_sdk_dynamodb::Error::from) {
        Ok(output) => Ok(Outcome::Done(read(output.attributes.as_ref(), name).unwrap_or_default())),
        Err(aws_sdk_dynamodb::Error::ConditionalCheckFailedException(failed)) => {
            Ok(Outcome::Refused(read(failed.item(), name)))
        }
        Err(error) => Err(Box::new(error)),
    }
}

/// The attribute, what becomes of it, on which condition, with which values.
fn expressions(update: Update) -> (&'static str, &'static str, &'static str, Item) {
    match update {
        Update::Advance { cost, from, to } => (
            "tat",
            "tat = tat + :cost",
            "tat BETWEEN :from AND :to",
            values([(":cost", cost), (":from", from), (":to", to)]),
        ),
        Update::Begin { tat, now } => {
            ("tat", "tat = :tat", "attribute_not_exists(tat) OR tat < :now", values([(":tat", tat), (":now", now)]))
        }
        Update::Lower { tat, above } => {
            ("tat", "tat = :tat", "tat > :above", values([(":tat", tat), (":above", above)]))
        }
        Update::Count { calls, at_most } => (
            "used",
            "used = if_not_exists(used, :zero) + :calls",
            "attribute_not_exists(used) OR used <= :at_most",
            values([(":zero", 0), (":calls", calls.into()), (":at_most", at_most.into())]),
        ),
    }
}

fn values<const COUNT: usize>(values: [(&str, u64); COUNT]) -> Item {
    values.into_iter().map(|(name, value)| (name.to_owned(), number(value))).collect()
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// `None`: there is no such number.
fn read(item: Option<&Item>, name: &str) -> Option<u64> {
    item?.get(name)?.as_n().ok()?.parse().ok()
}
