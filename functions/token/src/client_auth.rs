//! Whether a client is who it claims to be.
//!
//! Clients are remembered for 30 s, unknown ids too; secrets as SHA-256 digests until `secrets_changed_at` moves, at
//! most 5 minutes. A wrong secret may cost one fetch in 10 s for its client, no more. Unknown client and wrong secret
//! are told alike.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_clients::{SecretStage, Secrets, SecretsError};
use aws_lc_rs::digest;
use registry::client::seconds;
use registry::{Client, ClientId, Kept, Registry};
use request_log::Timings;
use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq};

use crate::credentials::Credentials;
use crate::error::TokenError;

const CLIENT_MAX_AGE: Duration = Duration::from_secs(30);
const SECRET_MAX_AGE: Duration = Duration::from_secs(300);
const SECRET_MIN_AGE: Duration = Duration::from_secs(10);
/// Ids remembered at once, known and unknown; past it all are forgotten.
const MAX_REMEMBERED: usize = 2_000;

/// Reads clients and checks their secrets.
pub struct Clients {
    registry: Registry,
    secrets: Secrets,
    remembered: Mutex<HashMap<ClientId, Arc<Remembered>>>,
}

#[derive(Default)]
struct Remembered {
    client: Kept<Option<Client>>,
    digests: Kept<Digests>,
}

type Digest = [u8; 32];

struct Digests {
    accepted: Vec<Digest>,
    fetched_at: u64,
}

impl Clients {
    /// Reads from a registry and a source of secrets.
    pub fn new(registry: Registry, secrets: Secrets) -> Clients {
        Clients { registry, secrets, remembered: Mutex::default() }
    }

    /// The client, if the credentials are right and it may be used.
    ///
    /// # Errors
    /// [`TokenError::InvalidClient`], the same in every case; [`TokenError::Unavailable`] when a source does not answer
    /// and nothing is remembered.
    pub async fn authenticate(
        &self,
        credentials: &Credentials,
        timings: &Timings,
        now: SystemTime,
    ) -> Result<Client, TokenError> {
        let presented = digest(&credentials.unverified_secret);
        let Some(id) = ClientId::parse(&credentials.unverified_client_id) else { return refuse(&presented) };
        let remembered = self.remembered(&id);
        let client = timings.table(self.client(&id, &remembered, now)).await?;
        let Some(client) = client.as_ref() else { return refuse(&presented) };

        let digests = timings.table(self.digests(client, &remembered, SECRET_MAX_AGE, now)).await?;
        let mut right = timings.verify(|| digests.accept(&presented));
        if !right || digests.fetched_at <= client.secrets_changed_at {
            let digests = timings.table(self.digests(client, &remembered, SECRET_MIN_AGE, now)).await?;
            right = timings.verify(|| digests.accept(&presented));
        }
        let usable = client.is_usable(now) && client.auth_methods.contains(&credentials.method);
        if right && usable { Ok(client.clone()) } else { Err(TokenError::InvalidClient) }
    }

    fn remembered(&self, id: &ClientId) -> Arc<Remembered> {
        let mut all = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_REMEMBERED && !all.contains_key(id) {
            all.clear();
        }
        all.entry(id.clone()).or_default().clone()
    }

    async fn client(
        &self,
        id: &ClientId,
        remembered: &Remembered,
        now: SystemTime,
    ) -> Result<Arc<Option<Client>>, TokenError> {
        let client = remembered.client.get(now, CLIENT_MAX_AGE, || self.registry.client(id)).await;
        client.map_err(|_| TokenError::Unavailable)
    }

    async fn digests(
        &self,
        client: &Client,
        remembered: &Remembered,
        max_age: Duration,
        now: SystemTime,
    ) -> Result<Arc<Digests>, TokenError> {
        let fetch = async || {
            let (current, previous) = tokio::try_join!(
                self.secrets.get(&client.secret_id, SecretStage::Current),
                self.secrets.get(&client.secret_id, SecretStage::Previous),
            )?;
            let accepted = [current, previous].into_iter().flatten().map(|secret| digest(&secret)).collect();
            Ok::<_, SecretsError>(Digests { accepted, fetched_at: seconds(now) })
        };
        remembered.digests.get(now, max_age, fetch).await.map_err(|_| TokenError::Unavailable)
    }
}

impl Digests {
    /// Compares with every accepted version, without an early exit.
    fn accept(&self, presented: &Digest) -> bool {
        let none = Choice::from(0);
        self.accepted.iter().fold(none, |right, accepted| right | accepted.ct_eq(presented)).into()
    }
}

/// Does for an unknown client what a known one costs.
fn refuse<T>(presented: &Digest) -> Result<T, TokenError> {
    let nobody = Digests { accepted: vec![[0; 32]; 2], fetched_at: 0 };
    std::hint::black_box(nobody.accept(presented));
    Err(TokenError::InvalidClient)
}

fn digest(secret: &SecretString) -> Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(digest::digest(&digest::SHA256, secret.expose_secret().as_bytes()).as_ref());
    digest
}
