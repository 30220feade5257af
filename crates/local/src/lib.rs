//! The local run: the functions behind an emulated HTTP API, over an embedded DynamoDB, in a home directory.
//!
//! [`home`] knows the files, [`log`] the request lines among them, [`store`] the database, [`demo`] the first start,
//! [`gateway`] API Gateway, [`rotation`] Secrets Manager's part in a rotation, [`org`] a Salesforce org beside it,
//! [`serve`] the whole.

pub mod demo;
pub mod gateway;
pub mod home;
pub mod log;
pub mod org;
pub mod rotation;
pub mod serve;
pub mod store;

pub use demo::Demo;
pub use home::{Home, HomeError, OpenHome};
pub use log::RequestLog;
pub use serve::{ServeError, ServeOptions, Serving};
