//! Tools of upstreams in a server.
//!
//! [`registrations`] reads, with a definition that names upstreams, where they are and which of their tools were accepted;
//! `tools/list` and the calls of other tools ask no upstream. [`calling`] is one call: arguments held against the accepted
//! schema, a look at what the upstream lists ([`looking`]), our own token, the answer held against the accepted schema.
//! What goes wrong becomes words in [`troubles`], in which no text of an upstream is.

pub mod calling;
pub mod looking;
pub mod registrations;
pub mod troubles;

pub use calling::Source;
pub use registrations::{Registered, Upstreams};
