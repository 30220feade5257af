//! `check_loyalty_points`: how many points a customer has.

use std::borrow::Cow;
use std::sync::Arc;

use access_token::Scope;
use serde_json::json;

use crate::arguments::Arguments;
use crate::catalogue::{Annotations, Answer, Call, Output, Source, Tool, Trouble};

/// The tool.
pub fn tool() -> Tool {
    Tool {
        name: Cow::Borrowed("check_loyalty_points"),
        title: Cow::Borrowed("Check loyalty points"),
        description: Cow::Borrowed("Returns the loyalty points and the tier of one customer, by the customer number."),
        inputs: vec![super::customer_id()],
        outputs: vec![
            Output::new("customer_id", "string", "Number of the customer").required(),
            Output::new("points", "integer", "Points on the account").required(),
            Output::new("tier", "string", "Tier, if the customer has one"),
        ],
        annotations: Annotations::READ,
        scope: Scope::Read,
        source: Source::BuiltIn(|arguments, call| Box::pin(run(arguments, call))),
    }
}

async fn run(arguments: Arguments, call: Arc<Call>) -> Result<Answer, Trouble> {
    let customer_id = arguments.text("customer_id");
    let account = call.timings.table(call.tables.loyalty(customer_id)).await?.ok_or_else(|| {
        let sentence =
            format!("There is no loyalty account for customer {customer_id}. Ask the customer to check the number.");
        Trouble::new("customer_not_found", sentence)
    })?;
    let mut answer = Answer::from_iter([
        ("customer_id".to_owned(), json!(customer_id)),
        ("points".to_owned(), json!(account.points)),
    ]);
    if let Some(tier) = account.tier {
        answer.insert("tier".to_owned(), json!(tier));
    }
    Ok(answer)
}
