//! Our side of OAuth towards other authorization servers: access tokens for the connections that tools use.
//!
//! In reading order: [`connection`] is what is known of the other side, [`grants`] gives access tokens and sees to it that
//! a grant is refreshed by one instance at a time, [`record`] keeps it in the `state` table, [`sealing`] encrypts it under
//! a data key of [`kms`] or of the local run, [`token_request`] asks the token endpoint, [`assertion`] signs for RFC 7523.
//!
//! | item of the `state` table | `pk` | `sk` |
//! |---|---|---|
//! | the grant of a connection | `GRANT#<connection>` | `RECORD` |

pub mod assertion;
pub mod connection;
pub mod error;
pub mod grants;
pub mod kms;
pub mod record;
pub mod sealing;
pub mod token_request;

pub use connection::Connection;
pub use error::GrantError;
pub use grants::{AccessToken, Grants, NewGrant};
pub use kms::Kms;
pub use record::{GrantStatus, Status};
pub use sealing::SealingKeys;
