//! The tools that ship: what they answer, what they say when they cannot, and how they are listed.

use std::collections::BTreeSet;

use black_box::{Server, repository, shared};
use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::{Map, Value, json};

use crate::prepared::{CUSTOMERS, prepared};
use crate::read;

const PAGE: usize = 20;

/// Everything a tool answered, after the text block was compared with it and it with the schema.
pub async fn answer(server: &Server, token: &str, tool: &str, arguments: Value) -> Value {
    let result = server.call(token, tool, arguments.clone()).await;
    assert_eq!(result["isError"], json!(false), "{tool} {arguments} {result}");
    let structured = &result["structuredContent"];
    let content = result["content"].as_array().unwrap();
    assert_eq!((content.len(), &content[0]["type"]), (1, &json!("text")));
    assert_eq!(&serde_json::from_str::<Value>(content[0]["text"].as_str().unwrap()).unwrap(), structured);
    let tools = tools(server, token).await;
    let listed = tools.iter().find(|listed| listed["name"] == tool).unwrap();
    assert_conforms(structured, &listed["outputSchema"]);
    structured.clone()
}

/// What a tool says when it has no answer.
pub async fn trouble(server: &Server, token: &str, tool: &str, arguments: Value) -> (String, String) {
    let result = server.call(token, tool, arguments.clone()).await;
    assert_eq!(result["isError"], json!(true), "{tool} {arguments} {result}");
    // What does not conform to the output schema is left out.
    assert_eq!(result.get("structuredContent"), None);
    let content = result["content"].as_array().unwrap();
    assert_eq!((content.len(), &content[0]["type"]), (1, &json!("text")));
    let code = result["_meta"]["northstar/code"].as_str().unwrap().to_owned();
    (code, content[0]["text"].as_str().unwrap().to_owned())
}

async fn tools(server: &Server, token: &str) -> Vec<Value> {
    let mut answer = server.legacy(token, "2025-06-18", "tools/list", json!({})).await;
    assert_eq!(answer["result"].as_object().unwrap().keys().collect::<Vec<_>>(), ["tools"]);
    serde_json::from_value(answer["result"]["tools"].take()).unwrap()
}

/// The part of JSON Schema that our output schemas use.
fn assert_conforms(value: &Value, schema: &Value) {
    assert_eq!(schema["type"], "object");
    let (object, properties) = (value.as_object().unwrap(), schema["properties"].as_object().unwrap());
    for (name, member) in object {
        let property = properties.get(name).unwrap_or_else(|| panic!("{name} is not in the schema"));
        let right = match property["type"].as_str().unwrap() {
            "string" => member.is_string(),
            "integer" => member.is_i64(),
            "boolean" => member.is_boolean(),
            "array" => member.as_array().unwrap().iter().all(is_flat),
            other => panic!("{name}: {other}"),
        };
        assert!(right, "{name}: {member}");
    }
    for name in schema["required"].as_array().unwrap() {
        assert!(object.contains_key(name.as_str().unwrap()), "{name} is missing");
    }
}

fn is_flat(value: &Value) -> bool {
    value.as_object().unwrap().values().all(|member| member.is_string() || member.is_number() || member.is_boolean())
}

/// Every page of a list.
async fn pages(server: &Server, token: &str, arguments: Value) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut next = arguments.clone();
    loop {
        let page = answer(server, token, "list_customer_orders", next.clone()).await;
        assert_eq!(page["customer_id"], arguments["customer_id"]);
        assert_eq!(page["count"], json!(page["orders"].as_array().unwrap().len()));
        assert_eq!(page["truncated"], json!(page.get("cursor").is_some()));
        let cursor = page.get("cursor").cloned();
        pages.push(page);
        match cursor {
            Some(cursor) => next["cursor"] = cursor,
            None => return pages,
        }
        assert!(pages.len() < 20, "the list does not end");
    }
}

fn order_ids(pages: &[Value]) -> Vec<String> {
    let orders = pages.iter().flat_map(|page| page["orders"].as_array().unwrap());
    orders.map(|order| order["order_id"].as_str().unwrap().to_owned()).collect()
}

/// The rows of `examples/orders.csv` about a customer whose name needs no quotes, the newest first, as the tool
/// should answer them.
fn example_orders(customer: &str) -> Vec<Value> {
    let csv = std::fs::read_to_string(repository().join("examples/orders.csv")).unwrap();
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut orders: Vec<Value> = lines
        .map(|line| names.iter().copied().zip(line.split(',')).collect::<Vec<_>>())
        .filter(|row| row.contains(&("customer_id", customer)))
        .map(|row| {
            let shown = ["order_id", "status", "carrier", "eta", "ordered_at"];
            let known = row.into_iter().filter(|(name, value)| shown.contains(name) && !value.is_empty());
            Value::Object(known.map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<_, _>>())
        })
        .collect();
    orders.sort_by_key(|order| std::cmp::Reverse(order["ordered_at"].as_str().unwrap().to_owned()));
    orders
}

#[tokio::test]
async fn an_order_is_told_as_far_as_it_is_known() {
    let server = shared();
    let token = server.token().await;
    let mut answers = Vec::new();
    for order in ["1001", "1006", "1008"] {
        answers.push(answer(server, &token, "get_order_status", json!({ "order_id": order })).await);
    }
    assert_json_snapshot!(answers, @r#"
    [
      {
        "order_id": "1001",
        "status": "SHIPPED",
        "carrier": "UPS",
        "eta": "2026-07-03"
      },
      {
        "order_id": "1006",
        "status": "SHIPPED",
        "eta": "2026-07-03"
      },
      {
        "order_id": "1008",
        "status": "PENDING"
      }
    ]
    "#);
}

#[tokio::test]
async fn a_loyalty_account_is_told_as_far_as_it_is_known() {
    let server = shared();
    let token = server.token().await;
    let mut answers = Vec::new();
    for customer in ["C-0001", "C-0027"] {
        answers.push(answer(server, &token, "check_loyalty_points", json!({ "customer_id": customer })).await);
    }
    assert_json_snapshot!(answers, @r#"
    [
      {
        "customer_id": "C-0001",
        "points": 12450,
        "tier": "GOLD"
      },
      {
        "customer_id": "C-0027",
        "points": 0
      }
    ]
    "#);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_a_sentence() {
    let server = shared();
    let token = server.token().await;
    let mut said = String::new();
    for (tool, arguments) in [
        ("get_order_status", json!({ "order_id": "9999" })),
        ("get_order_status", json!({ "order_id": "C-0001" })),
        ("check_loyalty_points", json!({ "customer_id": "C-9999" })),
        ("check_loyalty_points", json!({ "customer_id": "c-0001" })),
    ] {
        let (code, sentence) = trouble(server, &token, tool, arguments).await;
        said += &format!("{code}: {sentence}\n");
    }
    assert_snapshot!(said, @r"
    record_not_found: There is no order 9999. Ask the customer to check the order number.
    record_not_found: There is no order C-0001. Ask the customer to check the order number.
    record_not_found: There is no loyalty account for customer C-9999. Ask the customer to check the number.
    record_not_found: There is no loyalty account for customer c-0001. Ask the customer to check the number.
    ");
    let nobody = answer(server, &token, "list_customer_orders", json!({ "customer_id": "C-9999" })).await;
    assert_eq!(nobody, json!({ "customer_id": "C-9999", "count": 0, "orders": [], "truncated": false }));
}

#[tokio::test]
async fn every_mistake_in_arguments_is_named_without_the_value() {
    let server = shared();
    let token = server.token().await;
    let mut said = String::new();
    for arguments in [
        json!({}),
        json!({ "order_id": 1001 }),
        json!({ "order_id": null }),
        json!({ "order_id": ["1001"] }),
        json!({ "order_id": "" }),
        json!({ "order_id": "canary value" }),
        json!({ "order_id": "1001\n" }),
        json!({ "order_id": "' OR '1'='1" }),
        json!({ "order_id": "canary".repeat(11) }),
        json!({ "order_id": "canary".repeat(1_000) }),
        json!({ "order_id": "1001", "extra": "canary" }),
        json!({ "ORDER_ID": "1001" }),
    ] {
        let (code, sentence) = trouble(server, &token, "get_order_status", arguments).await;
        assert!(!sentence.contains("canary"), "{sentence}");
        said += &format!("{code}: {sentence}\n");
    }
    let arguments = json!({ "customer_id": "C-0001", "status": "canary" });
    let (code, sentence) = trouble(server, &token, "list_customer_orders", arguments).await;
    said += &format!("{code}: {sentence}\n");
    assert_snapshot!(said, @r"
    invalid_arguments: order_id is missing. Correct it and call again.
    invalid_arguments: order_id is a text in quotes. Correct it and call again.
    invalid_arguments: order_id is a text in quotes. Correct it and call again.
    invalid_arguments: order_id is a text in quotes. Correct it and call again.
    invalid_arguments: order_id does not have the right form: Number of the order, exactly as on the order confirmation, for example 1001. Correct it and call again.
    invalid_arguments: order_id does not have the right form: Number of the order, exactly as on the order confirmation, for example 1001. Correct it and call again.
    invalid_arguments: order_id does not have the right form: Number of the order, exactly as on the order confirmation, for example 1001. Correct it and call again.
    invalid_arguments: order_id does not have the right form: Number of the order, exactly as on the order confirmation, for example 1001. Correct it and call again.
    invalid_arguments: order_id does not have the right form: Number of the order, exactly as on the order confirmation, for example 1001. Correct it and call again.
    invalid_arguments: order_id is too long. Correct it and call again.
    invalid_arguments: extra is unknown; the arguments are order_id. Correct it and call again.
    invalid_arguments: ORDER_ID is unknown; the arguments are order_id. Correct it and call again.
    invalid_arguments: status is one of PENDING, PROCESSING, SHIPPED, OUT_FOR_DELIVERY, DELIVERED, DELAYED, CANCELLED, RETURNED. Correct it and call again.
    ");
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "get_order_status" } });
    let (_, without_arguments) = read(server.mcp(&token).body(body.to_string()).send().await.unwrap()).await;
    assert_eq!(without_arguments["result"]["isError"], json!(true));
}

#[tokio::test]
async fn all_orders_of_a_customer_come_in_pages_the_newest_first() {
    let server = shared();
    let token = server.token().await;
    let pages = pages(server, &token, json!({ "customer_id": "C-0001" })).await;
    let counts: Vec<_> = pages.iter().map(|page| page["count"].clone()).collect();
    assert_eq!(counts, [20, 20, 6]);
    let orders: Vec<Value> = pages.iter().flat_map(|page| page["orders"].as_array().unwrap().clone()).collect();
    assert_eq!(orders, example_orders("C-0001"));
}

#[tokio::test]
async fn a_status_leaves_out_the_other_orders_and_keeps_their_order() {
    let server = shared();
    let token = server.token().await;
    let all = example_orders("C-0001");
    for status in
        ["PENDING", "PROCESSING", "SHIPPED", "OUT_FOR_DELIVERY", "DELIVERED", "DELAYED", "CANCELLED", "RETURNED"]
    {
        let pages = pages(server, &token, json!({ "customer_id": "C-0001", "status": status })).await;
        let orders: Vec<&Value> = pages.iter().flat_map(|page| page["orders"].as_array().unwrap()).collect();
        let expected: Vec<&Value> = all.iter().filter(|order| order["status"] == status).collect();
        assert_eq!(orders, expected, "{status}");
    }
}

#[tokio::test]
async fn a_list_that_fills_its_last_page_ends_there_or_with_an_empty_one() {
    let server = &prepared().server;
    let token = server.token().await;
    for (customer, orders) in CUSTOMERS {
        for status in [None, Some("SHIPPED")] {
            let mut arguments = json!({ "customer_id": customer });
            if let Some(status) = status {
                arguments["status"] = json!(status);
            }
            let pages = pages(server, &token, arguments).await;
            let expected: Vec<String> = (0..orders).rev().map(|order| format!("{customer}-{order}")).collect();
            assert_eq!(order_ids(&pages), expected, "{status:?}");
            assert!(pages.len() <= orders / PAGE + 1, "{customer} {status:?}");
            assert!(pages.iter().rev().skip(1).all(|page| page["count"] == PAGE), "{customer} {status:?}");
        }
    }
}

#[tokio::test]
async fn orders_of_the_same_second_come_once_each() {
    let server = &prepared().server;
    let token = server.token().await;
    for arguments in [json!({ "customer_id": "TIES" }), json!({ "customer_id": "TIES", "status": "SHIPPED" })] {
        let ids = order_ids(&pages(server, &token, arguments).await);
        let once: BTreeSet<&String> = ids.iter().collect();
        assert_eq!((ids.len(), once.len()), (45, 45));
    }
}

#[tokio::test]
async fn an_order_behind_nine_hundred_others_is_found_page_by_page() {
    let server = &prepared().server;
    let token = server.token().await;
    let pages = pages(server, &token, json!({ "customer_id": "RARE", "status": "DELAYED" })).await;
    assert_eq!(order_ids(&pages), ["R-OLD"]);
}

#[tokio::test]
async fn a_cursor_is_good_for_its_question_and_its_client_alone() {
    let server = shared();
    let token = server.token().await;
    let first = answer(server, &token, "list_customer_orders", json!({ "customer_id": "C-0001" })).await;
    let cursor = first["cursor"].as_str().unwrap();
    let ask = |customer: &str, cursor: &str| json!({ "customer_id": customer, "cursor": cursor });

    let second = answer(server, &token, "list_customer_orders", ask("C-0001", cursor)).await;
    let again = answer(server, &server.token().await, "list_customer_orders", ask("C-0001", cursor)).await;
    assert_eq!(second["orders"], again["orders"], "a cursor may be used twice, and with another token of the client");

    let (other_id, other_secret) = server.new_client(&[]);
    let form = [("grant_type", "client_credentials"), ("client_id", &other_id), ("client_secret", &other_secret)];
    let (_, answer) = read(server.request("POST", "/token").form(&form).send().await.unwrap()).await;
    let other_token = answer["access_token"].as_str().unwrap();
    let filtered = json!({ "customer_id": "C-0001", "status": "DELIVERED", "cursor": cursor });
    for (token, arguments) in [
        (other_token, ask("C-0001", cursor)),
        (&*token, ask("C-0002", cursor)),
        (&*token, ask("c-0001", cursor)),
        (&*token, filtered),
        (&*token, ask("C-0001", "")),
        (&*token, ask("C-0001", "x")),
        (&*token, ask("C-0001", &format!("{cursor}="))),
        (&*token, ask("C-0001", &format!("{cursor}A"))),
        (&*token, ask("C-0001", &cursor[..cursor.len() - 1])),
        (&*token, ask("C-0001", &cursor[1..])),
        (&*token, ask("C-0001", &"A".repeat(4_000))),
        (&*token, ask("C-0001", "MjA")),
        (&*token, ask("C-0001", "{\"order_id\":\"1\"}")),
    ] {
        let (code, sentence) = trouble(server, token, "list_customer_orders", arguments.clone()).await;
        let said = "The cursor is not valid here or has expired. Call again without it to start from the beginning.";
        assert_eq!((code.as_str(), sentence.as_str()), ("invalid_cursor", said), "{arguments}");
    }
}

#[tokio::test]
async fn a_cursor_with_one_changed_character_is_refused() {
    let server = shared();
    let token = server.token().await;
    let first = answer(server, &token, "list_customer_orders", json!({ "customer_id": "C-0001" })).await;
    let cursor = first["cursor"].as_str().unwrap();
    for index in 0..cursor.len() {
        let mut changed = cursor.to_owned().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        let arguments = json!({ "customer_id": "C-0001", "cursor": String::from_utf8(changed).unwrap() });
        let (code, _) = trouble(server, &token, "list_customer_orders", arguments).await;
        assert_eq!(code, "invalid_cursor", "character {index}");
    }
}

#[tokio::test]
async fn a_cursor_shows_no_customer() {
    let server = shared();
    let token = server.token().await;
    let first = answer(server, &token, "list_customer_orders", json!({ "customer_id": "C-0001" })).await;
    let cursor = first["cursor"].as_str().unwrap();
    assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) && cursor.len() < 400);
    let decoded = String::from_utf8_lossy(&black_box::forge::decode(cursor)).into_owned();
    assert!(!decoded.contains("C-0001") && !decoded.contains("demo"));
}

#[tokio::test]
async fn a_server_with_fewer_tools_lists_and_runs_those_alone() {
    let server = &prepared().server;
    let token = server.token_with(&[("resource", &format!("{}/mcp/orders", server.url))]).await;
    let call = async |method: &str, params: Value| {
        let request =
            server.request("POST", "/mcp/orders").bearer_auth(&token).header("content-type", "application/json");
        read(request.body(crate::request(1, method, params).to_string()).send().await.unwrap()).await.1
    };
    let listed = call("tools/list", json!({})).await;
    let names: Vec<_> = listed["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, ["get_order_status"]);
    let known = call("tools/call", json!({ "name": "get_order_status", "arguments": { "order_id": "1001" } })).await;
    assert_eq!(known["result"]["structuredContent"]["status"], "SHIPPED");
    let unknown =
        call("tools/call", json!({ "name": "check_loyalty_points", "arguments": { "customer_id": "C-0001" } })).await;
    assert_eq!(unknown["error"]["data"]["code"], "unknown_tool");
}

#[tokio::test]
async fn a_listed_tool_tells_a_model_and_agentforce_all_they_need() {
    let server = shared();
    let tools = tools(server, &server.token().await).await;
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, ["get_order_status", "check_loyalty_points", "list_customer_orders"]);
    assert_json_snapshot!(tools[0], @r#"
    {
      "name": "get_order_status",
      "title": "Get order status",
      "description": "Returns the status, the carrier and the expected delivery date of one order, by its order number.",
      "inputSchema": {
        "type": "object",
        "properties": {
          "order_id": {
            "type": "string",
            "title": "Order number",
            "description": "Number of the order, exactly as on the order confirmation, for example 1001",
            "pattern": "^[A-Za-z0-9._-]{1,64}$"
          }
        },
        "additionalProperties": false,
        "required": [
          "order_id"
        ]
      },
      "outputSchema": {
        "type": "object",
        "properties": {
          "order_id": {
            "type": "string",
            "description": "Number of the order"
          },
          "status": {
            "type": "string",
            "description": "PENDING, PROCESSING, SHIPPED, OUT_FOR_DELIVERY, DELIVERED, DELAYED, CANCELLED or RETURNED"
          },
          "carrier": {
            "type": "string",
            "description": "Who carries it, if known"
          },
          "eta": {
            "type": "string",
            "description": "Expected delivery date, YYYY-MM-DD, if known"
          }
        },
        "required": [
          "order_id"
        ]
      },
      "annotations": {
        "title": "Get order status",
        "readOnlyHint": true,
        "destructiveHint": false,
        "idempotentHint": true,
        "openWorldHint": false
      }
    }
    "#);
}

#[tokio::test]
async fn every_listed_tool_keeps_to_the_rules_of_agentforce() {
    let server = shared();
    for tool in tools(server, &server.token().await).await {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&tool["name"]);
        assert!(
            (1..=64).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
            "{name}"
        );
        let description = text(&tool["description"]);
        assert!((1..1_000).contains(&description.len()) && !description.contains(['\n', '\r']), "{name}");
        assert!(!text(&tool["title"]).is_empty(), "{name}");
        assert_eq!(tool["inputSchema"]["type"], "object");
        for (input, schema) in tool["inputSchema"]["properties"].as_object().unwrap() {
            assert!(!text(&schema["title"]).is_empty() && !text(&schema["description"]).is_empty(), "{name}.{input}");
            assert!(!text(&schema["description"]).contains('\n'), "{name}.{input}");
            assert_eq!(schema["type"], "string", "{name}.{input}");
        }
        // No `anyOf`, no type that is a list: Agentforce shows such an output as empty.
        for (output, schema) in tool["outputSchema"]["properties"].as_object().unwrap() {
            let kind = schema["type"].as_str().unwrap();
            assert!(["string", "integer", "number", "boolean", "array"].contains(&kind), "{name}.{output}");
            assert!(kind != "array" || schema["items"] == json!({ "type": "object" }), "{name}.{output}");
            let known =
                schema.as_object().unwrap().keys().all(|key| ["type", "description", "items"].contains(&key.as_str()));
            assert!(known && !text(&schema["description"]).is_empty(), "{name}.{output}");
        }
        let hints = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"]
            .map(|hint| tool["annotations"][hint].clone());
        assert_eq!(hints, [true, false, true, false].map(Value::Bool), "{name}");
    }
}
