//! The event by which Secrets Manager asks for one step of a rotation (AWS Secrets Manager User Guide, "Lambda rotation
//! functions").

use serde::Deserialize;

use crate::error::RotationError;

/// Longest secret id, an ARN with a name of 512 characters.
const MAX_SECRET_ID: usize = 2048;

/// A step of a rotation, in the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Makes the pending version.
    CreateSecret,
    /// Makes the pending version known to those who check.
    SetSecret,
    /// Tries the pending version.
    TestSecret,
    /// Makes the pending version the current one.
    FinishSecret,
}

impl Step {
    /// All four, in their order.
    pub const ALL: [Step; 4] = [Step::CreateSecret, Step::SetSecret, Step::TestSecret, Step::FinishSecret];

    /// The step as Secrets Manager spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::CreateSecret => "createSecret",
            Step::SetSecret => "setSecret",
            Step::TestSecret => "testSecret",
            Step::FinishSecret => "finishSecret",
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotationEvent {
    /// The step.
    pub step: Step,
    /// ARN or name of the secret.
    pub secret_id: String,
    /// Id of the pending version.
    pub client_request_token: String,
}

impl RotationEvent {
    /// Reads an event; what else is in it (`RotationToken`) is of no concern here.
    ///
    /// # Errors
    /// [`RotationError::InvalidEvent`].
    pub fn parse(json: &str) -> Result<RotationEvent, RotationError> {
        let event: RotationEvent = serde_json::from_str(json).map_err(|_| {
            RotationError::InvalidEvent(
                "a rotation event has a Step of createSecret, setSecret, testSecret or finishSecret, a SecretId and a ClientRequestToken",
            )
        })?;
        let RotationEvent { secret_id, client_request_token, .. } = &event;
        if secret_id.is_empty() || secret_id.len() > MAX_SECRET_ID {
            return Err(RotationError::InvalidEvent("SecretId is empty or too long"));
        }
        // CreateSecret, API reference: ClientRequestToken has 32 to 64 characters.
        if !(32..=64).contains(&client_request_token.len()) {
            return Err(RotationError::InvalidEvent("ClientRequestToken has 32 to 64 characters"));
        }
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "5c1e3ad2-9f0e-4c8e-9d52-0a6a3f1f7a11";

    #[test]
    fn the_four_steps_are_read_with_whatever_else_is_in_the_event() {
        for step in Step::ALL {
            let json = format!(
                r#"{{"Step":"{}","SecretId":"a","ClientRequestToken":"{TOKEN}","RotationToken":"r","New":[1]}}"#,
                step.as_str()
            );
            let event = RotationEvent::parse(&json).unwrap();
            assert_eq!((event.step, event.secret_id.as_str(), event.client_request_token.as_str()), (step, "a", TOKEN));
        }
    }

    #[test]
    fn anything_else_is_refused_without_an_echo() {
        let long = "s".repeat(2049);
        for json in [
            String::new(),
            "null".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            format!(r#"{{"Step":"dropSecret","SecretId":"a","ClientRequestToken":"{TOKEN}"}}"#),
            format!(r#"{{"Step":"CreateSecret","SecretId":"a","ClientRequestToken":"{TOKEN}"}}"#),
            format!(r#"{{"Step":1,"SecretId":"a","ClientRequestToken":"{TOKEN}"}}"#),
            format!(r#"{{"Step":"setSecret","ClientRequestToken":"{TOKEN}"}}"#),
            format!(r#"{{"Step":"setSecret","SecretId":"","ClientRequestToken":"{TOKEN}"}}"#),
            format!(r#"{{"Step":"setSecret","SecretId":"{long}","ClientRequestToken":"{TOKEN}"}}"#),
            r#"{"Step":"setSecret","SecretId":"a","ClientRequestToken":"short"}"#.to_owned(),
            r#"{"Step":"setSecret","SecretId":"a"}"#.to_owned(),
            format!(r#"{{"step":"setSecret","secretId":"a","clientRequestToken":"{TOKEN}"}}"#),
        ] {
            let error = RotationEvent::parse(&json).unwrap_err();
            assert_eq!(error.code(), "invalid_event", "{json}");
            assert!(!error.to_string().contains("drop"), "{error}");
        }
    }
}
