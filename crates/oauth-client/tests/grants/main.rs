//! Grants against a token endpoint and a state table on this machine.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the answer no")]

mod authorization_server;
mod consents;
mod damage;
mod failures;
mod flows;
mod kms;
mod refresh;
mod registrations;
mod revocation;
mod tickets;
mod world;
