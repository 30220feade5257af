//! The suite's client scenarios for what we use of upstreams, against our client (`client_driver.rs`). None may fail or warn.
//!
//! Left out is what the product does not have: answers to questions of a server (`elicitation-*`, `sep-2322-*`), a client id
//! that is a URL (`auth/basic-cimd`), authorization as revision 2025-03-26 had it, at the server itself and without metadata
//! (`auth/2025-03-26-*`: its endpoints can be given), skills (`sep-2640-*`), and three extensions of OAuth (`auth/dpop*`,
//! `auth/enterprise-managed-authorization`, `auth/wif-jwt-bearer`).

use std::collections::BTreeSet;

use crate::suite::{self, Totals};

/// Scenarios of a server behind an authorization server. They stand for revisions with a handshake and without one.
const AUTHORIZATION: [&str; 15] = [
    "auth/metadata-default",
    "auth/metadata-var1",
    "auth/metadata-var2",
    "auth/metadata-var3",
    "auth/scope-from-www-authenticate",
    "auth/scope-from-scopes-supported",
    "auth/scope-omitted-when-undefined",
    "auth/scope-step-up",
    "auth/scope-retry-limit",
    "auth/token-endpoint-auth-basic",
    "auth/token-endpoint-auth-post",
    "auth/token-endpoint-auth-none",
    "auth/pre-registration",
    "auth/client-credentials-basic",
    "auth/client-credentials-jwt",
];

/// Scenarios of 2026-07-28 alone.
const MODERN: [&str; 18] = [
    "request-metadata",
    "http-standard-headers",
    "http-custom-headers",
    "http-invalid-tool-headers",
    "json-schema-ref-no-deref",
    "json-schema-2020-12-preservation",
    "auth/authorization-server-migration",
    "auth/resource-mismatch",
    "auth/offline-access-scope",
    "auth/offline-access-not-supported",
    "auth/iss-supported",
    "auth/iss-not-advertised",
    "auth/iss-supported-missing",
    "auth/iss-wrong-issuer",
    "auth/iss-unexpected",
    "auth/iss-normalized",
    "auth/metadata-issuer-mismatch",
    "tools_call",
];

/// Scenarios of revisions with a handshake alone.
const LEGACY: [&str; 4] = ["initialize", "tools_call", "sse-retry", "json-schema-2020-12-preservation"];

#[test]
fn every_client_scenario_of_2026_07_28_that_is_used_passes() {
    run_each("2026-07-28", MODERN.into_iter().chain(AUTHORIZATION));
}

#[test]
fn every_client_scenario_of_2025_11_25_that_is_used_passes() {
    run_each("2025-11-25", LEGACY.into_iter().chain(AUTHORIZATION));
}

fn run_each(revision: &str, scenarios: impl Iterator<Item = &'static str>) {
    let mut wrong = BTreeSet::new();
    let mut total = Totals { passed: 0, failed: 0 };
    for scenario in scenarios {
        match suite::run_client(scenario, revision) {
            Ok(passed) => total.passed += passed,
            Err(complaints) => {
                wrong.insert(format!("{scenario}, {revision}\n{complaints}"));
            }
        }
    }
    println!("conformance, the client, {revision}: {} passed", total.passed);
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}
