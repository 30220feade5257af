//! The official MCP conformance suite: its server scenarios against the suite's own tools behind our layer and against the
//! product, its client scenarios against our client of upstreams.
//!
//! A baseline file names what fails, with its reason. A failure that it does not name fails the test, and so does a
//! name that no longer fails.

mod client;
#[expect(deprecated, reason = "the suite asks for what revision 2026-07-28 has ended")]
mod fixture;
mod hop;
mod served;
mod suite;

#[tokio::test(flavor = "multi_thread")]
async fn every_requirement_of_2026_07_28_is_met() {
    let served = served::fixture().await;
    let totals = run("requirements of 2026-07-28", &served.url, &["--requirements", "2026-07-28"], "none.yml").await;
    assert_eq!(totals.failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn requirements_of_2025_11_25_are_met_but_for_four_that_take_a_session() {
    let served = served::fixture().await;
    let scenarios = ["--requirements", "2025-11-25"];
    run("requirements of 2025-11-25", &served.url, &scenarios, "sessions.yml").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scenarios_of_2025_06_18_pass_but_for_two_that_take_a_session() {
    let served = served::fixture().await;
    let scenarios = ["--suite", "all", "--spec-version", "2025-06-18"];
    run("all of 2025-06-18", &served.url, &scenarios, "sessions.yml").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_product_fails_only_where_the_suite_asks_for_what_it_does_not_have() {
    let served = served::product().await;
    for revision in ["2026-07-28", "2025-11-25"] {
        let scenarios = ["--requirements", revision];
        run(&format!("the product, {revision}"), &served.url, &scenarios, "product-baseline.yml").await;
    }
}

/// Waits for the suite beside the server's runtime.
async fn run(what: &str, url: &str, scenarios: &[&str], baseline: &'static str) -> suite::Totals {
    let (what, url) = (what.to_owned(), url.to_owned());
    let scenarios: Vec<String> = scenarios.iter().map(|&scenario| scenario.to_owned()).collect();
    let run = move || {
        let scenarios: Vec<&str> = scenarios.iter().map(String::as_str).collect();
        suite::run(&what, &url, &scenarios, baseline)
    };
    tokio::task::spawn_blocking(run).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
