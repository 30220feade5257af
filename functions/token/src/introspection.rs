//! `POST /introspect`: a client asks about an access token of its own (RFC 7662).
//!
//! Of a token that is not active, unknown or another client's nothing else is told (§2.2).

use std::time::SystemTime;

use access_token::Claims;
use bytes::Bytes;
use http::Response;
use registry::client::seconds;
use registry::{Client, Revocations};
use request_log::Timings;
use serde::Serialize;

use crate::error::{TokenError, not_stored};
use crate::form::Form;
use crate::revocation::own_token;
use crate::signing::PublishedKeys;

#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    scope: &'a str,
    client_id: &'a str,
    sub: &'a str,
    aud: &'a str,
    iss: &'a str,
    exp: u64,
    iat: u64,
    jti: &'a str,
    token_type: &'a str,
}

#[derive(Serialize)]
struct Inactive {
    active: bool,
}

/// Says what the token of a request is, if it is one of `client`, which may be used itself.
///
/// # Errors
/// [`TokenError::InvalidRequest`] without a token; [`TokenError::Unavailable`] when a table does not answer.
pub async fn introspect(
    form: &Form,
    client: &Client,
    keys: &PublishedKeys,
    revocations: &Revocations,
    timings: &Timings,
    now: SystemTime,
) -> Result<Response<Bytes>, TokenError> {
    let claims = own_token(form, client, keys, timings, now).await?;
    // The server of the resource is more lenient, for its clock may differ; here there is one clock.
    let Some(claims) = claims.filter(|claims| claims.exp > seconds(now)) else { return Ok(inactive()) };
    let revoked = timings.table(revocations.list_now(now)).await.map_err(|_| TokenError::Unavailable)?;
    Ok(if revoked.refuses(&claims) { inactive() } else { active(&claims) })
}

fn active(claims: &Claims) -> Response<Bytes> {
    not_stored(http_api::json(&Active {
        active: true,
        scope: &claims.scope,
        client_id: &claims.client_id,
        sub: &claims.sub,
        aud: &claims.aud,
        iss: &claims.iss,
        exp: claims.exp,
        iat: claims.iat,
        jti: &claims.jti,
        token_type: "Bearer",
    }))
}

fn inactive() -> Response<Bytes> {
    not_stored(http_api::json(&Inactive { active: false }))
}
