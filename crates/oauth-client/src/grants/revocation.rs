//! The end of a grant: revoked at its authorization server (RFC 7009) as far as it can be, and forgotten here.

use std::time::SystemTime;

use super::{Clock, Grants, Known, Wanted};
use crate::connection::Connection;
use crate::error::GrantError;
use crate::token_request::{TokenFailure, TokenRequest};

/// What the authorization server knows of the end of a grant. Here it is forgotten in every case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Its tokens are revoked there.
    Revoked,
    /// There was no grant.
    NoGrant,
    /// It has no revocation endpoint that is known: its tokens work until they end.
    NoEndpoint,
    /// The record could not be opened, so that nobody knows its tokens.
    Unreadable,
    /// It did not take the request, and why: its tokens may work until they end.
    NotRevoked(String),
}

impl Grants {
    /// Revokes the grant of a connection at `revoke_url` and forgets it; who consented stays pinned.
    ///
    /// # Errors
    /// [`GrantError::Unavailable`] when the table or the service of the keys does not answer: nothing has been done then,
    /// or the record is still there.
    pub async fn revoke(
        &self,
        connection: &Connection,
        revoke_url: Option<&str>,
        now: SystemTime,
    ) -> Result<Revocation, GrantError> {
        let name = &connection.name;
        let revocation = self.revoke_there(connection, revoke_url, now).await?;
        *self.0.here(name).known() = Known::default();
        self.0.records.delete(name).await.map_err(|error| self.0.table(name, &error, now))?;
        Ok(revocation)
    }

    async fn revoke_there(
        &self,
        connection: &Connection,
        revoke_url: Option<&str>,
        now: SystemTime,
    ) -> Result<Revocation, GrantError> {
        let (shared, name) = (&self.0, &connection.name);
        let record = match shared.records.read(name).await.map_err(|error| shared.table(name, &error, now))? {
            None => return Ok(Revocation::NoGrant),
            Some(Err(_)) => return Ok(Revocation::Unreadable),
            Some(Ok(record)) => record,
        };
        let wanted = Wanted { made_for: connection.digest(), refused: None };
        let grant = match shared.open(name, &record, None, &wanted, Clock::starting(now)).await {
            Err(GrantError::Damaged(_)) => return Ok(Revocation::Unreadable),
            opened => opened?,
        };
        let Some(grant) = grant else { return Ok(Revocation::NoGrant) };
        if !grant.is_for(&wanted) {
            return Ok(Revocation::NotRevoked("the grant was made for an earlier registration".to_owned()));
        }
        let Some(revoke_url) = revoke_url else { return Ok(Revocation::NoEndpoint) };
        // Revoking a refresh token also ends the access tokens of its grant (RFC 7009 §2.1).
        let refresh = grant.refresh_token.as_ref().map(|token| (token, "refresh_token"));
        let access = grant.access.as_ref().map(|access| (&access.token, "access_token"));
        let Some((token, hint)) = refresh.or(access) else { return Ok(Revocation::NoGrant) };
        let secret = match shared.secret(connection, now).await {
            Ok(secret) => secret,
            Err(error) => return Ok(Revocation::NotRevoked(error.to_string())),
        };
        let request = TokenRequest::for_revocation(connection, secret.as_ref(), token, hint, now);
        let outcome = match request {
            Ok(request) => request.revoke(&shared.fetcher, revoke_url).await,
            Err(failure) => Err(failure),
        };
        Ok(match outcome {
            Ok(()) => Revocation::Revoked,
            Err(TokenFailure::Refused(error)) => Revocation::NotRevoked(error.to_string()),
            Err(
                TokenFailure::Misconfigured(reason)
                | TokenFailure::Unavailable(reason)
                | TokenFailure::NoAnswer(reason),
            ) => Revocation::NotRevoked(reason.to_owned()),
        })
    }
}
