//! The client against an org on this machine that answers as each test says.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the answer no")]

mod connections;
mod faults;
mod org;
mod requests;
mod sessions;
mod standin;
