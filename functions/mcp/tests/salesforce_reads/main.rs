//! The Salesforce tools that read, against a stand-in of an org.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the answer no")]

mod guard;
mod lists;
mod records;
mod world;
