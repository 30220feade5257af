//! A small Salesforce org on 127.0.0.1, for tests and demos: REST, SOQL, SOSL, composite, Bulk API 2.0, reports, OAuth and
//! the hosted MCP servers, over data in memory, with faults on request and counters.
//!
//! ```no_run
//! # async fn start() -> std::io::Result<()> {
//! use salesforce_standin::{Fault, FaultKind, Options, Org, Standin};
//!
//! let standin = Standin::start(Org::demo(), Options::default()).await?;
//! standin.inject(Fault::once("GET", "/services/data/query", FaultKind::Close { after_effect: false }));
//! println!("{}", standin.url());
//! # Ok(())
//! # }
//! ```
//!
//! The same over HTTP: `POST /__standin__/faults` with a list of [`Fault`]s, `GET` and `DELETE` there, `GET
//! /__standin__/counters`, `POST /__standin__/expire-sessions`.
//!
//! # What it does otherwise than Salesforce
//!
//! - One user, who may do everything: no profiles, no field-level security, no sharing, no record types beside
//!   `Master`, no triggers, no validation rules, no currencies, one duplicate rule (two contacts with one last name and
//!   email address).
//! - Eight objects with their most used fields; `External_Id__c`, `Erp_Number__c`, `Level__c` and `Interests__c` are
//!   custom. There is no metadata, Tooling, UI, Connect, SOAP or Bulk 1.0 API, no `composite/tree` or `graph`, no list
//!   views, no `deleted` and `updated`, no blobs, no relationships in paths (`sobjects/Contact/{id}/Account`).
//! - SOQL without `TYPEOF`, date functions, `GROUP BY ROLLUP`, `DISTANCE`, `WITH DATA CATEGORY` and currency literals;
//!   `FOR VIEW`, `USING SCOPE` and `ALL ROWS` are read and change nothing. Texts are compared without case, and grouped with it.
//!   Days and weeks are UTC and a US week. Without `ORDER BY` records come in the order of their ids. Subqueries come
//!   whole, without pages of their own.
//! - SOSL compares whole words: no stemming, no synonyms, no ranking, no spelling correction, and no lag behind writes.
//! - Messages follow Salesforce's where they are known, but are not the same in every word; the position in
//!   `JSON_PARSER_ERROR` of a single value is always 1:1. Bodies of 412, 414 and 431 are arrays of errors.
//! - Limits are told, not enforced, but for the sizes of requests; a real 403 `REQUEST_LIMIT_EXCEEDED` is a fault here.
//! - Sessions and refresh tokens live until they are ended, cursors until there are 200 newer ones. Access tokens are
//!   opaque, those of a consent JWTs.
//! - A bulk job is done at the second look, all at once; jobs and recycle bin are kept for ever.
//! - One host is login host, My Domain and `api.salesforce.com`. Login and consent are one page, there is no `id_token`, and
//!   access tokens of a consent are signed with ES256.
//! - Of the hosted MCP servers there are three. Names and arguments of tools, protocol revisions, sessions and the bodies of
//!   401 and 403 follow what is known of them, which is not all; schemas and texts are the stand-in's own.
//! - Answers are not compressed, and there is no HTTP/2.
//! - Deleting an account takes its contacts and opportunities along; nothing else cascades, and there is no undelete.

mod answer;
mod authorize;
mod bearer;
mod bulk;
mod collections;
mod composite;
mod counters;
mod dates;
mod demo;
mod event_times;
mod faults;
mod hosted;
mod ids;
mod oauth;
mod org;
mod path;
mod query;
mod reports;
mod rest;
mod schema;
mod search;
mod server;
mod soql;
mod standin;
mod state;
mod write;

pub use bearer::TrustedIssuer;
pub use counters::Counts;
pub use demo::USERNAME;
pub use faults::{Fault, FaultKind, Mistake};
pub use hosted::{Hosted, Revisions};
pub use oauth::ConnectedApp;
pub use org::{Effects, Org};
pub use standin::{Options, Standin};
