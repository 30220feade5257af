use std::time::{Duration, Instant};

use black_box::Server;
use black_box::lambda::Lambda;
use black_box::limits::{ask, set_limits};
use black_box::proxy::{Mode, Proxy};
use serde_json::json;

/// Without a table to ask, what needs no table is answered, as often as it is asked for and without waiting, and a line
/// says so; when the table is back, limits are too.
#[tokio::test]
async fn calls_go_on_while_the_table_is_away() {
    for mode in [Mode::Gone, Mode::Silent] {
        let server = Server::start(&[]);
        set_limits(&server, json!({ "per_client": "2/h" })).await;
        let tables = Proxy::start(&server.dynamodb_url(), Mode::Pass);
        let instance = Lambda::start_behind("mcp", &server, &tables.url).await;
        let token = server.token().await;
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
        // Key, server and revocations are remembered from here on.
        assert!(ask(&instance, &server, &token, &list).await.is_served());
        tables.set(mode);
        let start = Instant::now();
        for _ in 0..30 {
            assert!(ask(&instance, &server, &token, &list).await.is_served(), "{mode:?}");
        }
        assert!(start.elapsed() < Duration::from_secs(3), "{mode:?}: {:?}", start.elapsed());
        let lines = instance.log().matches(r#""outcome":"limiter_unavailable""#).count();
        assert_eq!(lines, 1, "{mode:?}: {}", instance.log());

        tables.set(Mode::Pass);
        let start = Instant::now();
        while ask(&instance, &server, &token, &list).await.is_served() {
            assert!(start.elapsed() < Duration::from_secs(20), "{mode:?}: limits do not come back");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
