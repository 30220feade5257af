//! `northstar client rotate`: a new secret for a client that somebody else has to be given it.

mod stack;

use std::time::SystemTime;

use local::rotation::LocalRotationError;
use local::{demo, rotation};
use registry::{Client, ClientSecretError};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::output::{self, Failure};
use crate::place::{Kind, Open};
use crate::values;
use stack::StackRotationError;

/// What to do about the secrets that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A new one; the one before is accepted until nobody uses it any more.
    KeepPrevious,
    /// None; the previous one is refused.
    RetirePrevious,
    /// A new one; every earlier one is refused, and so are the tokens they got.
    Compromised,
}

/// Why a secret was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RotationFailure {
    /// In a local run.
    #[error(transparent)]
    Local(#[from] LocalRotationError),
    /// In a stack.
    #[error(transparent)]
    Stack(#[from] StackRotationError),
    /// Without a rotation.
    #[error(transparent)]
    Secret(#[from] ClientSecretError),
}

impl RotationFailure {
    /// The stable code, as in `outcome` of the log line.
    fn code(&self) -> &'static str {
        match self {
            RotationFailure::Local(error) => error.code(),
            RotationFailure::Stack(error) => error.code(),
            RotationFailure::Secret(_) => super::FAILED,
        }
    }
}

/// Rotates the secret of a client, and prints the new one, this once.
///
/// # Errors
/// [`Failure`] with the reason, when the rotation is refused or fails.
pub async fn rotate(open: &Open, json: bool, client: &Client, how: How) -> Result<(), Failure> {
    match how {
        How::KeepPrevious => {
            let done = match &open.kind {
                Kind::Home(home) => rotation::rotate_client_secret(home, client).await.map_err(Into::into),
                Kind::Stack(stack) => stack::rotate_client_secret(open, stack, client).await.map_err(Into::into),
            };
            print(open, json, client, &logged("client.rotate", Some(client), done)?)?;
            if !json {
                let stack = match &open.kind {
                    Kind::Home(_) => String::new(),
                    Kind::Stack(stack) => format!(" --stack {}", stack.name),
                };
                eprintln!(
                    "The secret of before is accepted until nobody has used it for {}, or until you say\nnorthstar client rotate {} --retire-previous{stack}",
                    values::show_duration(client.quiet_period),
                    client.client_id
                );
            }
        }
        How::RetirePrevious => {
            let done = open.client_secrets().retire_previous(client).await.map_err(Into::into);
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
            let done = open.client_secrets().replace(client).await.map_err(Into::into);
            print(open, json, client, &logged("client.rotate_compromised", Some(client), done)?)?;
            if !json {
                eprintln!("Every earlier secret is refused within 30 seconds, every token it got within 10.");
            }
        }
    }
    Ok(())
}

/// Makes a new signing key.
///
/// # Errors
/// As [`rotate`].
pub async fn rotate_signing_keys(open: &Open) -> Result<(), Failure> {
    let done = match &open.kind {
        Kind::Home(home) => rotation::rotate_signing_keys(home).await.map_err(Into::into),
        Kind::Stack(stack) => stack::rotate_signing_keys(open, stack).await.map_err(Into::into),
    };
    logged("key.rotate", None, done)
}

/// Lets the function of a stack rotate a secret that was just made. Nobody has to wait for it: a rotation asks again.
pub async fn allow(open: &Open, secret_id: &str) {
    let Kind::Stack(stack) = &open.kind else { return };
    if let Err(error) = open.secrets.enable_rotation(secret_id, &stack.rotate_function).await {
        let Failure::Message(reason) = error.into() else { return };
        eprintln!(
            "Warning: rotation could not be turned on for {secret_id}; `northstar client rotate` will try again: {reason}"
        );
    }
}

fn print(open: &Open, json: bool, client: &Client, secret: &SecretString) -> Result<(), Failure> {
    let (client_id, client_secret) = (client.client_id.as_str(), secret.expose_secret());
    if json {
        output::json(&json!({ "client_id": client_id, "client_secret": client_secret }))?;
    } else {
        output::line(&format!("client_id      {client_id}"))?;
        output::line(&format!("client_secret  {client_secret}"))?;
        eprintln!("The secret is shown this once: store it now.");
    }
    // After it has been shown: whatever happens to the file, it is not lost.
    match &open.kind {
        Kind::Home(home) => Ok(demo::keep_secret(home.home(), &client.client_id, secret)?),
        Kind::Stack(_) => Ok(()),
    }
}

/// Writes the line of a rotation. A refused one has the code of the refusal.
fn logged<T>(action: &'static str, client: Option<&Client>, done: Result<T, RotationFailure>) -> Result<T, Failure> {
    let outcome = done.as_ref().err().map_or("ok", RotationFailure::code);
    request_log::command(action, client.map(|client| client.client_id.as_str()), outcome, SystemTime::now());
    Ok(done?)
}
