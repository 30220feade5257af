use black_box::Server;
use black_box::lambda::Lambda;
use black_box::limits::{ask, call, order_call, set_limits, token_of};
use serde_json::{Value, json};

/// A server with limits, an instance, and a token of the demo client.
async fn limited(limits: Value) -> (Server, Lambda, String) {
    let server = Server::start(&[]);
    set_limits(&server, limits).await;
    let instance = Lambda::start("mcp", &server).await;
    let token = server.token().await;
    (server, instance, token)
}

fn request(method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": {} })
}

fn loyalty_call() -> Value {
    call("check_loyalty_points", json!({ "customer_id": "C-0001" }))
}

#[tokio::test]
async fn a_clients_limit_is_told_with_429_and_is_its_own() {
    let (server, instance, token) = limited(json!({ "per_client": "30/h", "burst": 3 })).await;
    for _ in 0..3 {
        assert!(ask(&instance, &server, &token, &order_call()).await.is_served());
    }
    let told = ask(&instance, &server, &token, &order_call()).await;
    assert!(!told.is_served());
    assert!(told.retry_after.is_some_and(|seconds| (1..=120).contains(&seconds)), "{told:?}");
    let message = told.body["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("the limit of 30/h for this client is used up; try again in "), "{message}");
    assert_eq!((&told.body["id"], &told.body["error"]["code"]), (&json!(1), &json!(-32603)));
    let line = instance.log().lines().last().unwrap().to_owned();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["status"], &line["outcome"], &line["level"]),
        (&json!(429), &json!("rate_limited"), &json!("WARN"))
    );
    assert_eq!(line["tool"], "get_order_status");

    let (id, secret) = server.new_client(&[]);
    let other = token_of(&server, &id, &secret).await;
    assert!(ask(&instance, &server, &other, &order_call()).await.is_served(), "another client");
    let second = Lambda::start("mcp", &server).await;
    assert!(!ask(&second, &server, &token, &order_call()).await.is_served(), "another instance");
}

#[tokio::test]
async fn what_calls_no_tool_has_a_bucket_of_its_own() {
    let (server, instance, token) = limited(json!({ "per_client": "30/h", "burst": 1 })).await;
    let unknown = call("no_such_tool", json!({}));
    let told = ask(&instance, &server, &token, &unknown).await;
    assert_eq!(told.body["error"]["data"]["code"], "unknown_tool");
    for method in ["tools/list", "ping", "tools/list"] {
        assert!(ask(&instance, &server, &token, &request(method)).await.is_served(), "{method}");
    }
    for message in [request("tools/list"), request("ping"), unknown] {
        assert!(!ask(&instance, &server, &token, &message).await.is_served(), "{message}");
    }
    let notification = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert!(!ask(&instance, &server, &token, &notification).await.is_served());
    assert!(ask(&instance, &server, &token, &order_call()).await.is_served(), "calls go on");
}

#[tokio::test]
async fn a_tools_limit_is_an_answer_of_the_tool_and_other_tools_go_on() {
    let limits = json!({ "per_client": "30/h", "burst": 6, "per_tool": { "get_order_status": "2/min" } });
    let (server, instance, token) = limited(limits).await;
    for _ in 0..2 {
        assert!(ask(&instance, &server, &token, &order_call()).await.is_served());
    }
    // They count for the tool alone.
    for _ in 0..20 {
        let told = ask(&instance, &server, &token, &order_call()).await;
        assert_eq!((told.status, told.retry_after, &told.body["id"]), (200, None, &json!(1)), "{told:?}");
        let result = &told.body["result"];
        assert_eq!(
            (&result["isError"], &result["_meta"]["northstar/code"]),
            (&json!(true), &json!("tool_rate_limited"))
        );
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(
            text.starts_with("The limit of 2/min for this client and this tool is used up; try again in "),
            "{text}"
        );
        assert!(text.ends_with(" UTC. Do not call this tool before."), "{text}");
    }
    assert!(instance.log().contains(r#""status":200,"outcome":"tool_rate_limited""#));
    for _ in 0..4 {
        assert!(ask(&instance, &server, &token, &loyalty_call()).await.is_served());
    }
    assert!(!ask(&instance, &server, &token, &loyalty_call()).await.is_served(), "six calls were made");
}

#[tokio::test]
async fn a_tools_limit_is_told_in_the_form_of_2026_07_28() {
    let (server, instance, token) = limited(json!({ "per_tool": { "get_order_status": "1/h" } })).await;
    let mut event = black_box::event("mcp/tools_call_modern", &server, &token);
    assert!(black_box::functions::body(&instance.invoke(&event).await)["result"]["isError"] != true);
    event["requestContext"]["requestId"] = json!("second");
    let answer = black_box::functions::body(&instance.invoke(&event).await);
    assert_eq!(
        (&answer["result"]["isError"], &answer["result"]["resultType"]),
        (&json!(true), &json!("complete")),
        "{answer}"
    );
}

#[tokio::test]
async fn a_day_has_a_limit_over_all_instances() {
    let (server, instance, token) = limited(json!({ "per_day": 5 })).await;
    let other = Lambda::start("mcp", &server).await;
    for instance in [&instance, &other, &instance, &other, &instance] {
        assert!(ask(instance, &server, &token, &order_call()).await.is_served());
    }
    for instance in [&instance, &other] {
        let told = ask(instance, &server, &token, &order_call()).await;
        assert!(!told.is_served());
        let message = told.body["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("the limit of 5 calls a day for this client is used up"), "{message}");
        assert!(message.ends_with(" 00:00:00 UTC") || message.ends_with(" 00:00:01 UTC"), "{message}");
        assert!(told.retry_after.is_some_and(|seconds| seconds <= 24 * 60 * 60), "{told:?}");
    }
    assert!(ask(&instance, &server, &token, &request("tools/list")).await.is_served(), "it is of calls");
}

#[tokio::test]
async fn a_servers_limit_is_of_all_its_clients_together() {
    let (server, instance, token) = limited(json!({ "per_server": "2/h" })).await;
    let (id, secret) = server.new_client(&[]);
    let other = token_of(&server, &id, &secret).await;
    assert!(ask(&instance, &server, &token, &order_call()).await.is_served());
    assert!(ask(&instance, &server, &other, &order_call()).await.is_served());
    for token in [&token, &other] {
        let told = ask(&instance, &server, token, &order_call()).await;
        assert!(!told.is_served());
        let message = told.body["error"]["message"].as_str().unwrap();
        assert!(
            message.starts_with("the limit of 2/h for all clients of this server together is used up"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn every_message_of_a_batch_counts_and_a_refused_one_has_an_error_in_its_place() {
    let (server, instance, token) = limited(json!({ "per_client": "30/h", "burst": 2 })).await;
    let batch: Vec<Value> = (1..=4)
        .map(|id| {
            let mut message = order_call();
            message["id"] = json!(id);
            message
        })
        .collect();
    let told = ask(&instance, &server, &token, &json!(batch)).await;
    assert_eq!(told.status, 200, "{told:?}");
    let seen: Vec<(&Value, &Value)> =
        told.body.as_array().unwrap().iter().map(|answer| (&answer["id"], &answer["error"]["data"]["code"])).collect();
    let limited = json!("rate_limited");
    assert_eq!(
        seen,
        [(&json!(1), &Value::Null), (&json!(2), &Value::Null), (&json!(3), &limited), (&json!(4), &limited)]
    );
}
