//! `northstar client rotate`: a new secret for a client that somebody else has to be given it.

use std::time::SystemTime;

use local::home::OpenHome;
use local::{demo, rotation};
use registry::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::output::{self, Failure};
use crate::values;

/// What to do about the secrets that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A new one; the one before is accepted until nobody uses it any more.
    KeepPrevious,
    /// No new one; the previous one is refused.
    RetirePrevious,
    /// A new one; all others are refused at once, and so are the tokens that they got.
    Compromised,
}

/// Rotates the secret of a client, and prints the new one, this once.
///
/// # Errors
/// [`Failure`] with the reason, when the rotation is refused or fails.
pub async fn rotate(open: &OpenHome, json: bool, client: &Client, how: How) -> Result<(), Failure> {
    match how {
        How::KeepPrevious => {
            let done = rotation::rotate_client_secret(open, client).await;
            print(open, json, client, &logged("client.rotate", Some(client), done)?)?;
            if !json {
                eprintln!(
                    "The secret of before is accepted until nobody has used it for {}, or until you say\nnorthstar client rotate {} --retire-previous",
                    values::show_duration(client.quiet_period),
                    client.client_id
                );
            }
        }
        How::RetirePrevious => {
            let done = rotation::retire_previous(open, client).await;
            let retired = logged("client.retire_previous", Some(client), done)?;
            if json {
                return output::json(&json!({ "client_id": client.client_id, "retired": retired }));
            }
            let said = if retired {
                "the previous secret is refused within 30 seconds"
            } else {
                "there is no previous secret"
            };
            output::line(&format!("{}: {said}", client.client_id))?;
        }
        How::Compromised => {
            let done = rotation::replace_compromised(open, client).await;
            print(open, json, client, &logged("client.rotate_compromised", Some(client), done)?)?;
            if !json {
                eprintln!("Every earlier secret is refused within 30 seconds, every token it got within 10.");
            }
        }
    }
    Ok(())
}

fn print(open: &OpenHome, json: bool, client: &Client, secret: &SecretString) -> Result<(), Failure> {
    let (client_id, client_secret) = (client.client_id.as_str(), secret.expose_secret());
    if json {
        output::json(&json!({ "client_id": client_id, "client_secret": client_secret }))?;
    } else {
        output::line(&format!("client_id      {client_id}"))?;
        output::line(&format!("client_secret  {client_secret}"))?;
        eprintln!("The secret is shown this once: store it now.");
    }
    // After it has been shown: whatever happens to the file, it is not lost.
    Ok(demo::keep_secret(open.home(), &client.client_id, secret)?)
}

/// Writes the line of a rotation. A refused one has the code of the refusal.
pub fn logged<T>(
    action: &'static str,
    client: Option<&Client>,
    done: Result<T, rotation::LocalRotationError>,
) -> Result<T, Failure> {
    let outcome = done.as_ref().err().map_or("ok", rotation::LocalRotationError::code);
    request_log::command(action, client.map(|client| client.client_id.as_str()), outcome, SystemTime::now());
    Ok(done?)
}
