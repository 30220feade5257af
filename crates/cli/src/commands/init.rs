//! `northstar init`.

use std::time::SystemTime;

use crate::output::{self, Failure};
use crate::place::Place;

/// Makes what is missing and says what it was.
pub async fn run(place: &Place, json: bool) -> Result<(), Failure> {
    let open = place.open().await?;
    let names = &open.names;
    let made = registry::init(&open.registry, &open.secrets, &names.signing_keys, &names.state_key, SystemTime::now());
    let made = made.await?;
    if json {
        return output::json(&made);
    }
    let word = |new: bool| if new { "made" } else { "was there" };
    output::table(
        &["what", "outcome"],
        vec![
            vec!["signing key".to_owned(), word(made.signing_key).to_owned()],
            vec!["state key".to_owned(), word(made.state_key).to_owned()],
            vec!["default server".to_owned(), word(made.default_server).to_owned()],
        ],
    )
}
