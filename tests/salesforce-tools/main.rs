//! The Salesforce tools through `/mcp/salesforce-read` and `/mcp/salesforce-write` of a local run, whose org is the stand-in:
//! every tool with an answer, a bad input and a refusal of the org; pages, sessions, and what an org does when it fails.

mod as_used;
mod faults;
mod paging;
mod sessions;
mod tools;

/// The program of [`black_box::instances`]: nothing as a test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_of_mcp() {
    black_box::instances::run_if_told().await;
}
