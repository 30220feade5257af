//! What an access token is: its scopes, its claims, how it is signed and how it is verified (RFC 9068).
//!
//! Pure: keys, time and token identifiers come in as arguments.

pub mod claims;
pub mod key;
pub mod scope;
pub mod verify;

pub use claims::Claims;
pub use key::{KeyError, PublicKey, SigningKey};
pub use scope::{Scope, ScopeError, Scopes};
pub use verify::{Refusal, Verified, Verifier};
