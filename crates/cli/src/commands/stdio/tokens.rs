//! The access token of the bridge: asked for when it is first needed, and again before it expires.

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::client_of_functions::{Caller, NoAnswer};

/// So long before its end a token is renewed: its last request is on its way then.
const BEFORE_ITS_END: Duration = Duration::from_secs(30);

/// One token for all requests.
#[derive(Default)]
pub struct Tokens(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// A token, and until when it is used.
    token: Option<(SecretString, Instant)>,
    /// When the last attempt failed, and why.
    failed: Option<(Instant, NoAnswer)>,
}

impl Tokens {
    /// The token; another one than `refused`, which the server no longer takes.
    ///
    /// # Errors
    /// When the token endpoint cannot be reached or says no. Whoever waited for that attempt shares its end.
    pub async fn get(
        &self,
        caller: &Caller,
        server: Option<&str>,
        scope: Option<&str>,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, NoAnswer> {
        let since = Instant::now();
        let mut kept = self.0.lock().await;
        let is_refused =
            |token: &SecretString| refused.is_some_and(|refused| refused.expose_secret() == token.expose_secret());
        match &*kept {
            Kept { token: Some((token, until)), .. } if *until > Instant::now() && !is_refused(token) => {
                return Ok(token.clone());
            }
            Kept { failed: Some((at, failure)), .. } if *at >= since => return Err(failure.clone()),
            _ => {}
        }
        let asked = Instant::now();
        match caller.token(server, scope).await {
            Ok(answer) => {
                let token = SecretString::from(answer.access_token);
                kept.token = Some((token.clone(), asked + used_for(Duration::from_secs(answer.expires_in))));
                Ok(token)
            }
            Err(failure) => {
                kept.failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }
}

/// How long a token is used that lives so long, at most a day.
fn used_for(lifetime: Duration) -> Duration {
    let lifetime = lifetime.min(Duration::from_secs(24 * 60 * 60));
    lifetime.saturating_sub(BEFORE_ITS_END.min(lifetime / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_half_a_minute_before_its_end_and_a_short_one_at_half_its_life() {
        let used = [0, 1, 40, 60, 900, 3_600, u64::MAX].map(|seconds| used_for(Duration::from_secs(seconds)));
        let expected = [0.0, 0.5, 20.0, 30.0, 870.0, 3_570.0, 86_370.0].map(Duration::from_secs_f64);
        assert_eq!(used, expected);
    }
}
