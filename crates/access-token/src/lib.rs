//! What an access token is: its scopes, its claims, how it is signed and how it is verified (RFC 9068). And the keys by which a client
//! proves who it is when it asks for one ([`key_set`]).
//!
//! Pure: keys, time and token identifiers come in as arguments.

pub mod claims;
pub mod key;
pub mod key_set;
pub mod scope;
pub mod verify;

pub use claims::Claims;
pub use key::{KeyError, PublicKey, SigningKey};
pub use key_set::{KeySet, KeySetError, SignatureAlgorithm};
pub use scope::{Scope, ScopeError, Scopes};
pub use verify::{Refusal, Verified, Verifier};
