//! Consents, by API Gateway events, against tables and an authorization server on this machine.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the answer no")]

mod authorization_server;
mod begin;
mod callback;
mod refusals;
mod world;
