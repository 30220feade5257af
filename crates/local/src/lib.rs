//! The local run: the functions behind an emulated HTTP API, over an embedded DynamoDB, in a home directory.
//!
//! [`home`] knows the files, [`store`] the database, [`demo`] the first start, [`gateway`] API Gateway, [`serve`] the whole.

pub mod demo;
pub mod gateway;
pub mod home;
pub mod serve;
pub mod store;

pub use demo::Demo;
pub use home::{Home, HomeError, OpenHome};
pub use serve::{ServeError, ServeOptions, Serving};
