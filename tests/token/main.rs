//! The authorization server over HTTP: `/token`, `/revoke`, `/introspect`, `/authorize`, its metadata and its keys.
//!
//! The ids AS-01 … AS-45 and MD-01 … MD-13 in comments are the rows of the checklist these tests answer: AS is the token
//! endpoint (RFC 6749, RFC 8707), MD are metadata and keys (RFC 8414, RFC 7517). AS-21 does not apply: every client has
//! the one grant type. AS-35 is in every test: the emulated gateway hands forms over as base64, as API Gateway does.

mod access_token;
mod assertions;
mod brute_force;
mod client_auth;
mod client_state;
mod endpoint;
mod errors;
mod grant;
mod introspection;
mod key_server;
mod log;
mod metadata;
mod outages;
mod request_form;
mod revocation;

use black_box::answer;
