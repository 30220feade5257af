//! Our side of OAuth towards other authorization servers: access tokens for the connections that tools use.
//!
//! In reading order: [`connection`] is what is known of the other side, [`grants`] gives access tokens and sees to it that
//! a grant is refreshed by one instance at a time, [`record`] keeps it in the `state` table, [`sealing`] encrypts it under
//! a data key of [`kms`] or of the local run, [`token_request`] asks the token endpoint, [`assertion`] signs for RFC 7523,
//! [`oauth_error`] reads refusals.
//!
//! A grant of a refresh token begins with an administrator's [`consent`]: [`tickets`] let one browser begin it, [`consents`]
//! remember it until the browser comes back.
//!
//! | item of the `state` table | `pk` | `sk` |
//! |---|---|---|
//! | the grant of a connection | `GRANT#<connection>` | `RECORD` |
//! | who consented, and how the last consent ended | `GRANT#<connection>` | `PIN`, `CONSENT` |
//! | a ticket | `TICKET#<digest>` | `RECORD` |
//! | a consent that has begun | `CONSENT#<digest of its state>` | `RECORD` |

pub mod assertion;
pub mod connection;
pub mod consent;
pub mod consents;
pub mod error;
pub mod grants;
mod items;
pub mod kms;
pub mod oauth_error;
pub mod record;
pub mod sealing;
pub mod tickets;
pub mod token_request;

pub use connection::Connection;
pub use consent::{AuthorizationResponse, AuthorizationServer, Identity};
pub use consents::{Consent, ConsentOutcome, Consents};
pub use error::{ConsentError, GrantError};
pub use grants::{AccessToken, Grants, NewGrant, Revocation};
pub use items::TableError;
pub use kms::Kms;
pub use oauth_error::OAuthError;
pub use record::{GrantStatus, Status};
pub use sealing::SealingKeys;
pub use tickets::{Ticket, Tickets};
