//! Cursors: where a list goes on. A client carries them, so they are signed, bound to who asked what, and expire.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_clients::{SecretStage, Secrets, SecretsError};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use registry::Kept;
use registry::client::seconds;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;

const KEY_MAX_AGE: Duration = Duration::from_secs(300);
/// How long a cursor may be used, in seconds.
const LIFETIME: u64 = 60 * 60;
const MAX_LENGTH: usize = 2 * 1024;
const TAG: usize = 32;

/// Signs and reads cursors with the key in the secret `state-key`.
pub struct Cursors {
    secrets: Secrets,
    secret_id: String,
    keys: Kept<Vec<hmac::Key>>,
}

/// Why a cursor is not taken, or not made.
#[derive(Debug, PartialEq, Eq)]
pub enum CursorError {
    /// Not ours, for another question, or expired.
    Invalid,
    /// The key cannot be read.
    Unavailable,
}

#[derive(Debug, thiserror::Error)]
enum KeyError {
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error("the secret of the state key is missing")]
    Missing,
}

impl Cursors {
    /// Cursors signed with the key in the secret `secret_id`.
    pub fn new(secrets: Secrets, secret_id: &str) -> Cursors {
        Cursors { secrets, secret_id: secret_id.to_owned(), keys: Kept::default() }
    }

    /// Whether the key can be read.
    ///
    /// # Errors
    /// [`CursorError::Unavailable`] when the secret cannot be read.
    pub async fn check_key(&self, now: SystemTime) -> Result<(), CursorError> {
        self.keys(now).await.map(|_| ())
    }

    /// Makes a cursor that holds `position` and is good for the same `question` alone.
    ///
    /// # Errors
    /// [`CursorError::Unavailable`] when the secret cannot be read.
    pub async fn seal(
        &self,
        position: &impl Serialize,
        question: &str,
        now: SystemTime,
    ) -> Result<String, CursorError> {
        let keys = self.keys(now).await?;
        let key = keys.first().ok_or(CursorError::Unavailable)?;
        let payload = serde_json::to_vec(&(seconds(now) + LIFETIME, position)).map_err(|_| CursorError::Invalid)?;
        let mut cursor = tag(key, question, &payload).as_ref().to_vec();
        cursor.extend_from_slice(&payload);
        Ok(BASE64_URL_SAFE_NO_PAD.encode(cursor))
    }

    /// Reads a cursor back.
    ///
    /// # Errors
    /// [`CursorError`].
    pub async fn open<T: DeserializeOwned>(
        &self,
        unverified_cursor: &str,
        question: &str,
        now: SystemTime,
    ) -> Result<T, CursorError> {
        if unverified_cursor.len() > MAX_LENGTH {
            return Err(CursorError::Invalid);
        }
        let cursor = BASE64_URL_SAFE_NO_PAD.decode(unverified_cursor).map_err(|_| CursorError::Invalid)?;
        let (tag, payload) = cursor.split_at_checked(TAG).ok_or(CursorError::Invalid)?;
        let keys = self.keys(now).await?;
        if !keys.iter().any(|key| hmac::verify(key, &signed(question, payload), tag).is_ok()) {
            return Err(CursorError::Invalid);
        }
        let (expires, position): (u64, T) = serde_json::from_slice(payload).map_err(|_| CursorError::Invalid)?;
        if expires <= seconds(now) { Err(CursorError::Invalid) } else { Ok(position) }
    }

    async fn keys(&self, now: SystemTime) -> Result<Arc<Vec<hmac::Key>>, CursorError> {
        let fetch = async || {
            let (current, previous) = tokio::try_join!(
                self.secrets.get(&self.secret_id, SecretStage::Current),
                self.secrets.get(&self.secret_id, SecretStage::Previous),
            )?;
            let current = current.ok_or(KeyError::Missing)?;
            let versions = [Some(current), previous].into_iter().flatten();
            let keys = versions.map(|text| hmac::Key::new(hmac::HMAC_SHA256, text.value.expose_secret().as_bytes()));
            Ok::<_, KeyError>(keys.collect())
        };
        self.keys.get(now, KEY_MAX_AGE, fetch).await.map_err(|_| CursorError::Unavailable)
    }
}

fn tag(key: &hmac::Key, question: &str, payload: &[u8]) -> hmac::Tag {
    hmac::sign(key, &signed(question, payload))
}

/// The question's length comes first, so that no two pairs are signed as the same bytes.
fn signed(question: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (question.len() as u64).to_be_bytes().to_vec();
    bytes.extend_from_slice(question.as_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    async fn cursors(name: &str) -> Cursors {
        let path = std::env::temp_dir().join(format!("northstar-cursor-{}-{name}.json", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let secrets = Secrets::File(path);
        secrets.create("state-key", &SecretString::from("k".repeat(43))).await.unwrap();
        Cursors::new(secrets, "state-key")
    }

    #[tokio::test]
    async fn a_cursor_is_good_for_its_question_and_its_hour() {
        let cursors = cursors("hour").await;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let later = |seconds| now + Duration::from_secs(seconds);
        let cursor = cursors.seal(&"here", "q", now).await.unwrap();
        assert_eq!(cursors.open::<String>(&cursor, "q", later(3_599)).await, Ok("here".to_owned()));
        assert_eq!(cursors.open::<String>(&cursor, "q", later(3_600)).await, Err(CursorError::Invalid));
        assert_eq!(cursors.open::<String>(&cursor, "other", now).await, Err(CursorError::Invalid));
    }

    #[tokio::test]
    async fn no_changed_byte_goes_unnoticed() {
        let cursors = cursors("changed").await;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let cursor = cursors.seal(&"here", "q", now).await.unwrap();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            let changed = BASE64_URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(cursors.open::<String>(&changed, "q", now).await, Err(CursorError::Invalid), "byte {index}");
        }
        for text in ["", "x", "!!", "AAAA", &"A".repeat(5_000)] {
            assert_eq!(cursors.open::<String>(text, "q", now).await, Err(CursorError::Invalid), "{text:.8}");
        }
    }
}
