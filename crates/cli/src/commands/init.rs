//! `northstar init`.

use std::time::SystemTime;

use local::Home;
use local::home::{SIGNING_KEYS, STATE_KEY};

use crate::output::{self, Failure};

/// Makes what is missing and says what it was.
pub async fn run(home: &Home, json: bool) -> Result<(), Failure> {
    let open = home.open().await?;
    let made = registry::init(&open.registry, &open.secrets, SIGNING_KEYS, STATE_KEY, SystemTime::now()).await?;
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
