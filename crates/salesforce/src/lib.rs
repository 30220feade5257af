//! A client of the Salesforce REST API.
//!
//! In reading order: [`org`] is where an org is and which hosts may be one, [`client`] sends requests with a token of
//! `oauth-client`, [`retry`] decides what is tried again, [`limit_info`] reads how much of the day's requests is used,
//! [`error`] says what went wrong in our words. [`names`], [`ids`], [`soql`] and [`sosl`] make requests safe,
//! [`soql_reading`] tells what those of others read, [`describe`] checks fields before they are sent, [`json`],
//! [`flatten`] and [`text`] make answers safe and flat.

pub mod client;
pub mod describe;
pub mod error;
pub mod event_times;
pub mod flatten;
pub mod ids;
pub mod json;
pub mod limit_info;
pub mod look;
pub mod names;
pub mod org;
pub mod retry;
pub mod soql;
pub mod soql_reading;
pub mod sosl;

pub use client::{Client, Reply, Request};
pub use describe::{Describe, FieldProblem};
pub use error::{Code, Duplicate, SalesforceError};
pub use ids::RecordId;
pub use limit_info::LimitInfo;
pub use names::{FieldName, FieldPath, ObjectName};
pub use org::{ApiVersion, Org, OrgError};
pub use outbound::text;
