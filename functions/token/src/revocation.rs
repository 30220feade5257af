//! `POST /revoke`: a client gives back an access token of its own (RFC 7009).
//!
//! The answer is the same for a token that is revoked, and for one that is unknown, expired or another client's: what
//! the caller wants is so in either case, and nothing is told of other tokens (§2.2). A hint of the token's type is
//! ignored, for there is one type (§2.1).

use std::time::SystemTime;

use access_token::Claims;
use bytes::Bytes;
use http::Response;
use registry::{Client, Revocations};
use request_log::Timings;

use crate::error::{TokenError, not_stored};
use crate::form::Form;
use crate::signing::PublishedKeys;

/// Revokes the token of a request, if it is one of `client`.
///
/// # Errors
/// [`TokenError::InvalidRequest`] without a token; [`TokenError::Unavailable`] when a table does not answer.
pub async fn revoke(
    form: &Form,
    client: &Client,
    keys: &PublishedKeys,
    revocations: &Revocations,
    timings: &Timings,
    now: SystemTime,
) -> Result<Response<Bytes>, TokenError> {
    if let Some(claims) = own_token(form, client, keys, timings, now).await? {
        timings.table(revocations.revoke(&claims, now)).await.map_err(|_| TokenError::Unavailable)?;
    }
    Ok(not_stored(Response::new(Bytes::new())))
}

/// The claims of the token in a request, if `client` was issued it and it has not expired.
///
/// # Errors
/// [`TokenError::InvalidRequest`] without a token; [`TokenError::Unavailable`] when the keys cannot be read.
pub async fn own_token(
    form: &Form,
    client: &Client,
    keys: &PublishedKeys,
    timings: &Timings,
    now: SystemTime,
) -> Result<Option<Claims>, TokenError> {
    let token = form.one("token").ok_or(TokenError::InvalidRequest("token is missing"))?;
    let claims = keys.verify(token, timings, now).await?;
    Ok(claims.filter(|claims| claims.client_id == client.client_id.as_str()))
}
