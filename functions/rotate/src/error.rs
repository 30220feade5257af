//! Every way a step of a rotation ends badly. No text of the event and no value of a secret is in any of it.

use std::time::{Duration, UNIX_EPOCH};

use access_token::KeyError;
use aws_clients::SecretsError;
use registry::key::NotSigningKeys;
use registry::{RegistryError, SecretInUse};

/// Why a step was not done. Secrets Manager tries it again; the current version of the secret stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The event is not one of Secrets Manager's.
    #[error("{0}")]
    InvalidEvent(&'static str),
    /// The secret is none of ours.
    #[error(
        "the secret is neither that of the signing keys nor that of a registered client: check NORTHSTAR_SIGNING_KEYS and NORTHSTAR_CLIENT_SECRET_PREFIX, or delete the secret of a client that is gone"
    )]
    UnknownSecret,
    /// Rotation is not configured for the secret.
    #[error("rotation is not enabled for this secret: turn it on in Secrets Manager")]
    Disabled,
    /// The version is not the one that is being rotated.
    #[error("{0}")]
    UnknownVersion(&'static str),
    /// A step came before the one that it builds on.
    #[error("{0}")]
    OutOfOrder(&'static str),
    /// The previous secret of a client is still accepted.
    #[error(transparent)]
    SecretInUse(Box<SecretInUse>),
    /// The newest signing key does not sign yet.
    #[error("the newest signing key, {kid}, signs from {} on: rotate after that", time(*.signs_from))]
    KeyNotInUse {
        /// Its id.
        kid: String,
        /// When it begins to sign, seconds since 1970.
        signs_from: u64,
    },
    /// Too little time is left for verifiers to learn of the new signing key.
    #[error(
        "the new signing key would sign before every verifier can know it, because its publication came too late; this rotation is given up: start another one"
    )]
    TooLate,
    /// The new secret does not work.
    #[error("the new version does not work: {0}; the current one stays")]
    TestFailed(String),
    /// The secret of the signing keys is damaged.
    #[error(
        "{0}: restore it from its previous version in Secrets Manager, or make the first key with `northstar init` if there was none"
    )]
    Damaged(#[from] NotSigningKeys),
    /// A signing key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The client is being changed by others again and again.
    #[error("the client is being changed at the same time: try again")]
    Busy,
    /// See [`SecretsError`].
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// See [`RegistryError`].
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl RotationError {
    /// The stable code, as in `outcome` of the log line and in `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            RotationError::InvalidEvent(_) => "invalid_event",
            RotationError::UnknownSecret => "rotation_unknown_secret",
            RotationError::Disabled => "rotation_disabled",
            RotationError::UnknownVersion(_) => "rotation_unknown_version",
            RotationError::OutOfOrder(_) => "rotation_out_of_order",
            RotationError::SecretInUse(_) | RotationError::KeyNotInUse { .. } => "rotation_refused",
            RotationError::TooLate => "rotation_too_late",
            RotationError::TestFailed(_) => "rotation_test_failed",
            RotationError::Damaged(_) | RotationError::Key(_) => "rotation_damaged",
            RotationError::Busy | RotationError::Secrets(_) | RotationError::Registry(_) => "temporarily_unavailable",
        }
    }

    /// The status that an HTTP answer would have, for the log line: 4xx is a refusal, 5xx a failure.
    pub fn status(&self) -> u16 {
        match self {
            RotationError::InvalidEvent(_) => 400,
            RotationError::UnknownSecret => 404,
            RotationError::Disabled
            | RotationError::UnknownVersion(_)
            | RotationError::OutOfOrder(_)
            | RotationError::SecretInUse(_)
            | RotationError::KeyNotInUse { .. }
            | RotationError::TooLate => 409,
            RotationError::Damaged(_) | RotationError::Key(_) => 500,
            RotationError::TestFailed(_) => 502,
            RotationError::Busy | RotationError::Secrets(_) | RotationError::Registry(_) => 503,
        }
    }
}

fn time(seconds: u64) -> String {
    let moment = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH);
    request_log::timestamp(moment).replace(".000Z", "Z")
}
