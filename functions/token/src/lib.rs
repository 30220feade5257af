//! The authorization server: `POST /token` (RFC 6749 §4.4), `/revoke` (RFC 7009), `/introspect` (RFC 7662), its metadata
//! (RFC 8414) and its public keys (RFC 7517).
//!
//! A request passes, in this order: [`form`] → [`credentials`] → [`client_auth`] ([`backoff`], [`assertion`]), and then
//! the client's limit ([`quota`]) → [`grant`] → [`signing`], or [`revocation`], or [`introspection`].

pub mod assertion;
pub mod backoff;
pub mod client_auth;
pub mod client_keys;
pub mod config;
pub mod credentials;
pub mod error;
pub mod form;
pub mod grant;
pub mod introspection;
pub mod metadata;
pub mod replay;
pub mod revocation;
pub mod signing;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::{Method, Response};
use http_api::ApiRequest;
use quota::Quotas;
use registry::{Client, ClientId, Registry, Revocations, SecretUses};
use request_log::{RequestLine, Timings};

pub use config::Config;

use assertion::Assertions;
use client_auth::Clients;
use client_keys::ClientKeySets;
use credentials::Credentials;
use error::TokenError;
use form::Form;
use grant::Grant;
use metadata::Metadata;
use replay::Replays;
use signing::{PublishedKeys, SigningKeys};

/// Everything that lives as long as the process.
pub struct App {
    config: Config,
    metadata: Metadata,
    clients: Clients,
    signing_keys: SigningKeys,
    published_keys: PublishedKeys,
    revocations: Revocations,
    quotas: Quotas,
    cold: AtomicBool,
}

impl App {
    /// Makes the function ready: the reads that every request needs are done here, in parallel, and open the connections
    /// that later requests use. A source that does not answer now is asked again by the first request.
    pub async fn new(config: Config) -> App {
        let registry = Registry::new(config.aws.dynamodb.clone(), &config.config_table);
        let replays = Replays::new(config.aws.dynamodb.clone(), &config.state_table);
        let assertions = Assertions::new(&config.public_url, replays, ClientKeySets::new(config.outbound.clone()));
        let uses = SecretUses::new(config.aws.dynamodb.clone(), &config.state_table);
        let app = App {
            metadata: Metadata::new(&config.public_url),
            clients: Clients::new(registry.clone(), config.secrets.clone(), uses, assertions),
            signing_keys: SigningKeys::new(config.secrets.clone(), &config.signing_keys),
            published_keys: PublishedKeys::new(registry, &config.public_url),
            revocations: Revocations::new(config.aws.dynamodb.clone(), &config.state_table),
            quotas: Quotas::new("token", config.aws.dynamodb.clone(), &config.state_table),
            cold: AtomicBool::new(true),
            config,
        };
        let now = SystemTime::now();
        let (signing, published) = tokio::join!(app.signing_keys.warm_up(now), app.published_keys.jwks(now));
        for error in [signing.err(), published.err()].into_iter().flatten() {
            request_log::problem("token", error.code(), "a source did not answer during INIT", now);
        }
        app
    }

    /// Answers one request and writes its line.
    pub async fn handle(&self, request: ApiRequest) -> Response<Bytes> {
        let (start, now) = (Instant::now(), SystemTime::now());
        let mut line = RequestLine::new("token", &request.request_id, self.cold.swap(false, Ordering::Relaxed));
        let timings = Timings::default();
        let response = match self.route(&request, &mut line, &timings, now).await {
            Ok(response) => response,
            Err(error) => {
                line.outcome = error.code();
                error.into_response()
            }
        };
        line.status = response.status().as_u16();
        timings.fill(&mut line);
        line.total_ms = start.elapsed().into();
        line.write(now);
        response
    }

    async fn route(
        &self,
        request: &ApiRequest,
        line: &mut RequestLine,
        timings: &Timings,
        now: SystemTime,
    ) -> Result<Response<Bytes>, TokenError> {
        let read = matches!(request.method, Method::GET | Method::HEAD);
        let post = request.method == Method::POST;
        match request.path.as_str() {
            "/token" if post => self.token(request, line, timings, now).await,
            // Boxed, as they are rare: with their writes the futures of a release build would nest deeper than rustc goes.
            "/revoke" if post => {
                line.method = Some("revoke");
                let (form, client) = self.authenticate(request, line, timings, now).await?;
                Box::pin(revocation::revoke(&form, &client, &self.published_keys, &self.revocations, timings, now))
                    .await
            }
            "/introspect" if post => {
                line.method = Some("introspect");
                let (form, client) = self.authenticate(request, line, timings, now).await?;
                Box::pin(introspection::introspect(
                    &form,
                    &client,
                    &self.published_keys,
                    &self.revocations,
                    timings,
                    now,
                ))
                .await
            }
            "/token" | "/revoke" | "/introspect" => Err(TokenError::Method("POST")),
            "/authorize" if read => Err(TokenError::UnsupportedResponseType),
            "/.well-known/oauth-authorization-server" if read => Ok(self.metadata.answer()),
            "/.well-known/jwks.json" if read => {
                timings.table(self.published_keys.jwks(now)).await.map(|keys| metadata::jwks_answer(&keys))
            }
            "/authorize" | "/.well-known/oauth-authorization-server" | "/.well-known/jwks.json" => {
                Err(TokenError::Method("GET, HEAD"))
            }
            _ => Err(TokenError::NotFound),
        }
    }

    /// RFC 6749 §4.4.
    async fn token(
        &self,
        request: &ApiRequest,
        line: &mut RequestLine,
        timings: &Timings,
        now: SystemTime,
    ) -> Result<Response<Bytes>, TokenError> {
        let (form, client) = self.authenticate(request, line, timings, now).await?;
        // After authentication: nobody uses up another client's limit.
        timings.table(self.quotas.admit_token(client.client_id.as_str(), client.token_limit, now)).await?;
        let grant = match Grant::decide(&client, &form, &self.config.public_url) {
            Ok(grant) => grant,
            Err(refused) => {
                let newer = timings.table(self.clients.changed(&client, now)).await?.ok_or(refused)?;
                Grant::decide(&newer, &form, &self.config.public_url)?
            }
        };
        line.server = Some(grant.server.as_str().to_owned());
        let key = timings.table(self.signing_keys.current(now)).await?;
        timings.verify(|| grant.issue(&key, &self.config.public_url, now))
    }

    /// The client is authenticated before the rest of its request is judged.
    async fn authenticate(
        &self,
        request: &ApiRequest,
        line: &mut RequestLine,
        timings: &Timings,
        now: SystemTime,
    ) -> Result<(Form, Client), TokenError> {
        let form = Form::parse(request)?;
        let credentials = Credentials::find(request, &form)?;
        let client = self.clients.authenticate(&credentials, &request.source_ip, timings, now).await;
        // Whose secret was wrong is worth knowing; a text that is no client's id is not written down.
        let known = client.as_ref().ok().map(|client| client.client_id.clone());
        line.client = known.or_else(|| self.clients.registered_id(&credentials)).map(ClientId::into);
        Ok((form, client?))
    }
}
