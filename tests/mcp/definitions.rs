//! What a server's definition makes of it: lookups over any table, diagnostics, what is logged.

use aws_clients::{AwsClients, AwsSettings};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use black_box::{Server, shared};
use local::Home;
use serde_json::{Value, json};

use crate::tools::{answer, trouble};

/// A server of its own, and a token for it.
async fn defined(server: &Server, definition: Value) -> String {
    let open = Home::new(server.home()).open().await.unwrap();
    let definition: registry::Server = serde_json::from_value(definition).unwrap();
    assert!(open.registry.create_server(&definition, std::time::SystemTime::now()).await.unwrap());
    let (id, secret) = server.new_client(&["--server", definition.name.as_str()]);
    let form = [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", &secret)];
    let token: Value = server.request("POST", "/token").form(&form).send().await.unwrap().json().await.unwrap();
    token["access_token"].as_str().unwrap().to_owned()
}

async fn call(server: &Server, name: &str, token: &str, tool: &str, arguments: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": arguments } });
    let request = server.request("POST", &format!("/mcp/{name}")).bearer_auth(token).json(&body);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    answer["result"].clone()
}

/// `readings`: device (S) and minute (N), index `by_site` (site, minute); 300 of device d1, every tenth of them bad.
async fn make_readings(server: &Server) -> Client {
    let dynamodb = AwsClients::new(&AwsSettings::local(server.dynamodb_url())).dynamodb;
    let attribute =
        |name: &str, of| AttributeDefinition::builder().attribute_name(name).attribute_type(of).build().unwrap();
    let key = |name: &str, of| KeySchemaElement::builder().attribute_name(name).key_type(of).build().unwrap();
    let index = GlobalSecondaryIndex::builder()
        .index_name("by_site")
        .key_schema(key("site", KeyType::Hash))
        .key_schema(key("minute", KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::All).build());
    let made = dynamodb
        .create_table()
        .table_name("readings")
        .attribute_definitions(attribute("device", ScalarAttributeType::S))
        .attribute_definitions(attribute("minute", ScalarAttributeType::N))
        .attribute_definitions(attribute("site", ScalarAttributeType::S))
        .key_schema(key("device", KeyType::Hash))
        .key_schema(key("minute", KeyType::Range))
        .global_secondary_indexes(index.build().unwrap())
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await;
    made.unwrap();
    for minute in 0..300 {
        let put = dynamodb
            .put_item()
            .table_name("readings")
            .item("device", AttributeValue::S("d1".into()))
            .item("minute", AttributeValue::N(minute.to_string()))
            .item("site", AttributeValue::S(if minute < 3 { "north".into() } else { "south".into() }))
            .item("state", AttributeValue::S(if minute % 10 == 0 { "B".into() } else { "G".into() }))
            .item("kelvin", AttributeValue::N(format!("{}.5", 270 + minute)))
            .item("operator_email", AttributeValue::S("jo@example.com".into()));
        put.send().await.unwrap();
    }
    dynamodb
}

fn argument(title: &str) -> Value {
    json!({ "title": title, "description": format!("The {title}") })
}

#[tokio::test]
async fn a_lookup_reads_by_key_by_index_and_by_condition_what_it_returns_and_no_more() {
    let server = Server::start(&[]);
    make_readings(&server).await;
    let number = json!({ "title": "Minute", "description": "Of the year", "type": "integer" });
    let returns = json!({ "minute": "integer", "state": { "type": "string", "words": { "B": "Bad", "G": "Good" } }, "temperature": "number", "mail": "string" });
    let renamed = json!({ "kelvin": "temperature", "operator_email": "mail" });
    let list = |name: &str, more: Value| {
        let mut lookup = json!({
            "lookup": name, "table": "readings", "key": { "device": argument("Device") }, "page": 4, "returns": { "minute": "integer" },
        });
        lookup.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        lookup
    };
    let between = json!({ "minute": { "title": "Minute", "description": "Of the year", "type": "integer", "condition": "between" } });
    let state = json!({ "state": { "title": "State", "description": "B or G", "enum": ["B", "G"] } });
    let token = defined(&server, json!({
        "name": "readings", "title": "Readings",
        "tools": [
            { "lookup": "get_reading", "table": "readings", "key": { "device": argument("Device"), "minute": number }, "returns": returns,
              "rename": renamed, "mask": ["operator_email"] },
            { "lookup": "last_of_site", "table": "readings", "index": "by_site", "key": { "site": argument("Site") },
              "returns": { "minute": "integer" } },
            list("list_readings", json!({ "order": "oldest_first" })),
            list("list_between", json!({ "sort": between, "rows": "readings" })),
            list("list_bad", json!({ "filter": state, "position": ["device", "minute"] })),
            list("list_bad_slowly", json!({ "filter": state })),
        ],
    }))
    .await;
    let ask = async |tool: &str, arguments: Value| call(&server, "readings", &token, tool, arguments).await;

    let reading = ask("get_reading", json!({ "device": "d1", "minute": 20 })).await;
    assert_eq!(
        reading["structuredContent"],
        json!({ "minute": 20, "state": "Bad", "temperature": 290.5, "mail": "jo********" })
    );
    let missing = ask("get_reading", json!({ "device": "d1", "minute": 999 })).await;
    assert_eq!(
        missing["content"][0]["text"],
        "There is no entry for device d1 and minute 999. Check it and call again."
    );
    let wrong = ask("get_reading", json!({ "device": "d1", "minute": "20" })).await;
    assert_eq!(wrong["content"][0]["text"], "minute is a whole number without quotes. Correct it and call again.");

    let last = ask("last_of_site", json!({ "site": "north" })).await;
    assert_eq!(last["structuredContent"], json!({ "minute": 2 }));

    let minutes =
        |rows: &Value| rows.as_array().unwrap().iter().map(|row| row["minute"].as_i64().unwrap()).collect::<Vec<_>>();
    let first = ask("list_readings", json!({ "device": "d1" })).await["structuredContent"].clone();
    assert_eq!(
        (minutes(&first["rows"]), &first["device"], &first["truncated"]),
        (vec![0, 1, 2, 3], &json!("d1"), &json!(true))
    );
    let next = ask("list_readings", json!({ "device": "d1", "cursor": first["cursor"] })).await;
    assert_eq!(minutes(&next["structuredContent"]["rows"]), [4, 5, 6, 7]);

    for (arguments, expected) in [
        (json!({ "device": "d1", "minute_from": 10, "minute_to": 12 }), vec![12, 11, 10]),
        (json!({ "device": "d1", "minute_to": 1 }), vec![1, 0]),
        (json!({ "device": "d1", "minute_from": 298 }), vec![299, 298]),
        (json!({ "device": "d1" }), vec![299, 298, 297, 296]),
        (json!({ "device": "d2" }), vec![]),
    ] {
        let rows = ask("list_between", arguments.clone()).await["structuredContent"]["readings"].clone();
        assert_eq!(minutes(&rows), expected, "{arguments}");
    }

    let bad: Vec<i64> = (0..30).rev().map(|ten| ten * 10).collect();
    for tool in ["list_bad", "list_bad_slowly"] {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let mut arguments = json!({ "device": "d1", "state": "B" });
            arguments.as_object_mut().unwrap().extend(cursor.take().map(|cursor| ("cursor".to_owned(), cursor)));
            let page = ask(tool, arguments).await["structuredContent"].clone();
            assert!(page["count"].as_u64().unwrap() <= 4, "{page}");
            all.extend(minutes(&page["rows"]));
            match page.get("cursor") {
                Some(more) => cursor = Some(more.clone()),
                None => break,
            }
        }
        assert_eq!(all, bad, "{tool}");
    }
    let other = ask("list_between", json!({ "device": "d1", "cursor": first["cursor"] })).await;
    assert_eq!(other["_meta"]["northstar/code"], "invalid_cursor", "a cursor of another tool");
}

#[tokio::test]
async fn a_test_server_says_so_and_tells_where_the_time_went_and_one_of_production_does_neither() {
    let server = shared();
    for (name, production) in [("of-test", false), ("of-production", true)] {
        let token = defined(server, json!({
            "name": name, "title": "T", "description": "Order status.", "production": production, "tools": ["get_order_status"],
        }))
        .await;
        let order = call(server, name, &token, "get_order_status", json!({ "order_id": "1001" })).await;
        assert_eq!(order["structuredContent"]["status"], "SHIPPED");
        let initialize = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize });
        let request = server.request("POST", &format!("/mcp/{name}")).bearer_auth(&token).json(&body);
        let initialized: Value = request.send().await.unwrap().json().await.unwrap();
        let description = &initialized["result"]["serverInfo"]["description"];
        let diagnostics = &order["_meta"]["northstar/diagnostics"];
        if production {
            assert_eq!((description, diagnostics), (&json!("Order status."), &Value::Null));
            continue;
        }
        assert_eq!(description, "A test server, not for production. Order status.");
        let keys: Vec<&String> = diagnostics.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            ["verify_ms", "table_ms", "total_ms", "timeout_s", "source", "definition_age_s", "token_remembered"]
        );
        assert_eq!((&diagnostics["source"], &diagnostics["token_remembered"]), (&json!("table orders"), &json!(false)));
        assert!(diagnostics["table_ms"].as_f64() < diagnostics["total_ms"].as_f64(), "{diagnostics}");
    }
}

#[tokio::test]
async fn the_log_is_told_as_much_as_the_server_says_and_nothing_whole() {
    let server = shared();
    for (level, lines) in [
        ("off", vec![]),
        ("calls", vec![false, false]),
        ("arguments", vec![true, false]),
        ("results", vec![true, true]),
    ] {
        let name = format!("logs-{level}");
        let token =
            defined(server, json!({ "name": name, "title": "T", "log": level, "tools": ["get_order_status"] })).await;
        for order in ["1001", "no-such-order"] {
            call(server, &name, &token, "get_order_status", json!({ "order_id": order })).await;
        }
        let log = server.log();
        let of_server =
            |line: &&str| line.contains(&format!("\"server\":\"{name}\"")) && line.contains("\"fn\":\"mcp\"");
        let seen: Vec<Value> = log.lines().filter(of_server).map(|line| serde_json::from_str(line).unwrap()).collect();
        let ok = seen.iter().find(|line| line["outcome"] == "ok");
        let missed = seen.iter().find(|line| line["outcome"] == "record_not_found").expect("a miss is always logged");
        assert_eq!(ok.is_none(), level == "off", "{seen:?}");
        if let (Some(ok), [arguments, results]) = (ok, lines.as_slice()) {
            assert_eq!(ok.get("arguments").is_some(), *arguments, "{ok}");
            assert_eq!(ok.get("results").is_some(), *results, "{ok}");
            if *results {
                assert_eq!(
                    (&ok["arguments"], &ok["results"]["status"]),
                    (&json!({ "order_id": "1***" }), &json!("SH*****"))
                );
                assert_eq!((&missed["arguments"], missed.get("results")), (&json!({ "order_id": "no********" }), None));
            }
        }
        assert!(!log.contains("no-such-order"));
    }
}

#[tokio::test]
async fn a_bad_definition_never_replaces_a_good_one() {
    let server = Server::start(&[]);
    let token = defined(&server, json!({ "name": "orders", "title": "T", "tools": ["get_order_status"] })).await;
    let order = async || call(&server, "orders", &token, "get_order_status", json!({ "order_id": "1001" })).await;
    assert_eq!(order().await["structuredContent"]["status"], "SHIPPED");
    let dynamodb = AwsClients::new(&AwsSettings::local(server.dynamodb_url())).dynamodb;
    let damage = dynamodb
        .update_item()
        .table_name(local::store::CONFIG_TABLE)
        .key("pk", AttributeValue::S("SERVER#orders".into()))
        .key("sk", AttributeValue::S("RECORD".into()))
        .update_expression("SET #definition = :bad")
        .expression_attribute_names("#definition", "definition")
        .expression_attribute_values(":bad", AttributeValue::S(r#"{"name":"orders","tools":"all"}"#.into()));
    damage.send().await.unwrap();
    let start = std::time::Instant::now();
    while !server.log().contains("bad_definition") {
        assert_eq!(order().await["structuredContent"]["status"], "SHIPPED");
        assert!(start.elapsed().as_secs() < 40, "nobody has noticed");
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    assert_eq!(order().await["structuredContent"]["status"], "SHIPPED");
    let answer = answer(&server, &server.token().await, "get_order_status", json!({ "order_id": "1001" })).await;
    assert_eq!(answer["status"], "SHIPPED", "the others go on");
    let nothing = trouble(&server, &server.token().await, "get_order_status", json!({ "order_id": "x y" })).await;
    assert_eq!(nothing.0, "invalid_arguments");
}
