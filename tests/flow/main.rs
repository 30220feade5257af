//! The main job end to end: a token from the one function, an answer from the other.

use black_box::shared;
use serde_json::json;

#[tokio::test]
async fn a_token_opens_the_mcp_server_and_an_order_comes_back() {
    let server = shared();
    let token = server.token().await;
    let result = server.call(&token, "get_order_status", json!({ "order_id": "1001" })).await;
    insta::assert_json_snapshot!(result["structuredContent"], @r#"
    {
      "order_id": "1001",
      "status": "SHIPPED",
      "carrier": "UPS",
      "eta": "2026-07-03"
    }
    "#);
}
