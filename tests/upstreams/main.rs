//! Tools of upstreams in servers, through `/mcp/NAME` of a local run: upstreams that are well beside those that are dead,
//! slow, lying or changing, and who renews the tokens.

mod changes;
mod served;
mod sick;
mod tokens;

/// The program of [`black_box::instances`]: nothing as a test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_of_mcp() {
    black_box::instances::run_if_told().await;
}
