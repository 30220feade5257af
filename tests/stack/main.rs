//! `northstar --stack`: every command that operates a deployed stack, by its outputs in CloudFormation.

mod deployed;

use std::time::{Duration, SystemTime};

use aws_clients::SecretStage;
use aws_sdk_dynamodb::types::AttributeValue;
use black_box::{Server, repository};
use deployed::{Deployed, cloudformation_client, command, ministack};
use request_log::timestamp;
use serde_json::{Value, json};

/// The lines of commands among what was printed beside the answer: action and outcome.
fn lines(errors: &str) -> Vec<(String, String)> {
    let lines = errors.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines = lines.filter(|line| line["fn"] == "cli");
    lines.map(|line| ["action", "outcome"].map(|name| line[name].as_str().unwrap().to_owned()).into()).collect()
}

fn of(action: &str, outcome: &str) -> Vec<(String, String)> {
    vec![(action.to_owned(), outcome.to_owned())]
}

fn text(document: &Value, name: &str) -> String {
    document[name].as_str().unwrap_or_else(|| panic!("{name}: {document}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn init_makes_the_first_key_in_the_empty_secret_and_then_changes_nothing() {
    let stack = Deployed::new().await;
    let keys = &stack.outputs["SigningKeysSecretName"];
    let state_key = stack.value(&stack.outputs["StateKeySecretName"], SecretStage::Current).await;
    let made = stack.json(&["init"]).0;
    assert_eq!(made, json!({ "signing_key": true, "state_key": false, "default_server": true }));
    let first = stack.value(keys, SecretStage::Current).await.unwrap();
    let again = stack.json(&["init"]).0;
    assert_eq!(again, json!({ "signing_key": false, "state_key": false, "default_server": false }));
    assert_eq!(stack.value(keys, SecretStage::Current).await.unwrap(), first);
    assert_eq!(stack.value(&stack.outputs["StateKeySecretName"], SecretStage::Current).await, state_key);

    let listed = stack.json(&["key", "list"]).0;
    let secret: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["kid"]), (1, &secret[0]["kid"]));
    assert_eq!(listed[0]["phase"], "signing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_lives_in_the_tables_and_the_secrets_of_the_stack() {
    let stack = Deployed::new().await;
    stack.json(&["init"]);
    let (made, errors) = stack.json(&["client", "create", "Service agent"]);
    assert_eq!(lines(&errors), of("client.create", "ok"));
    let id = text(&made, "client_id");
    let secret_id = stack.client_secret_id(&id);
    assert_eq!(stack.value(&secret_id, SecretStage::Current).await.unwrap(), text(&made, "client_secret"));
    assert!(stack.secrets.describe(&secret_id).await.unwrap().unwrap().rotation_enabled);
    assert_eq!(*stack.trials.lock().unwrap(), [Ok(())], "Secrets Manager tries the function out");
    assert!(!errors.contains(&text(&made, "client_secret")), "{errors}");

    let (updated, errors) = stack.json(&["client", "update", &id, "--scope", "mcp.write", "--token-lifetime", "5m"]);
    assert_eq!((&updated["token_lifetime"], lines(&errors)), (&json!(300), of("client.update", "ok")));
    let listed = stack.json(&["client", "list"]).0;
    assert_eq!((&listed[0]["client_id"], &listed[0]["token_lifetime"]), (&json!(id), &json!(300)));
    let (disabled, errors) = stack.json(&["client", "disable", &id]);
    assert_eq!((&disabled["status"], lines(&errors)), (&json!("disabled"), of("client.disable", "ok")));
    let record = stack.aws.dynamodb.get_item().table_name(&stack.outputs["ConfigTableName"]);
    let record =
        record.key("pk", AttributeValue::S(format!("CLIENT#{id}"))).key("sk", AttributeValue::S("RECORD".into()));
    let record = record.send().await.unwrap().item.unwrap();
    assert_eq!(record["status"], AttributeValue::S("disabled".to_owned()));

    stack.json(&["client", "delete", &id, "--yes"]);
    assert!(stack.secrets.describe(&secret_id).await.unwrap().is_none());
    assert!(stack.refused(1, &["client", "show", &id]).contains("there is no client"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_rotated_by_secrets_manager_and_a_refusal_says_who_and_until_when() {
    let stack = Deployed::new().await;
    stack.json(&["init"]);
    let made = stack.json(&["client", "create", "Service agent"]).0;
    let (id, old) = (text(&made, "client_id"), text(&made, "client_secret"));
    let secret_id = stack.client_secret_id(&id);

    let (rotated, errors) = stack.json(&["client", "rotate", &id]);
    let new = text(&rotated, "client_secret");
    assert_ne!(new, old);
    assert_eq!(stack.value(&secret_id, SecretStage::Current).await, Some(new.clone()));
    assert_eq!(stack.value(&secret_id, SecretStage::Previous).await, Some(old));
    assert_eq!(lines(&errors), of("client.rotate", "ok"));

    let message = stack.refused(1, &["client", "rotate", &id]);
    for told in [id.as_str(), "Service agent", "is accepted until", "--retire-previous"] {
        assert!(message.contains(told), "{message}");
    }
    assert_eq!(lines(&message), of("client.rotate", "rotation_refused"));
    assert_eq!(stack.value(&secret_id, SecretStage::Current).await, Some(new.clone()));

    assert_eq!(stack.json(&["client", "rotate", &id, "--retire-previous"]).0["retired"], true);
    assert_eq!(stack.value(&secret_id, SecretStage::Previous).await, None);
    assert_eq!(stack.json(&["client", "rotate", &id, "--retire-previous"]).0["retired"], false);
    let third = text(&stack.json(&["client", "rotate", &id]).0, "client_secret");
    assert_ne!(third, new);

    let (replaced, errors) = stack.json(&["client", "rotate", &id, "--compromised"]);
    assert_eq!(lines(&errors), of("client.rotate_compromised", "ok"));
    assert_eq!(stack.value(&secret_id, SecretStage::Current).await, Some(text(&replaced, "client_secret")));
    assert_eq!(stack.value(&secret_id, SecretStage::Previous).await, None);
    let revoked = stack.aws.dynamodb.query().table_name(&stack.outputs["StateTableName"]);
    let revoked = revoked
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S("REVOKED".into()));
    let revoked = revoked.send().await.unwrap().items.unwrap();
    assert!(revoked.iter().any(|cut| cut["sk"].as_s().unwrap().ends_with(&format!("#CLIENT#{id}"))), "{revoked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_key_is_rotated_by_secrets_manager_and_not_again_before_it_signs() {
    let stack = Deployed::new().await;
    stack.json(&["init"]);
    // As the template's schedule does.
    let keys = &stack.outputs["SigningKeysSecretName"];
    let (made, errors) = stack.json(&["key", "rotate"]);
    assert_eq!(lines(&errors), of("key.rotate", "ok"));
    let held: Value = serde_json::from_str(&stack.value(keys, SecretStage::Current).await.unwrap()).unwrap();
    assert!(held.as_array().unwrap().iter().any(|key| key["kid"] == made["kid"]), "{made}");
    let listed = stack.json(&["key", "list"]).0;
    assert_eq!((&listed[0]["kid"], &listed[0]["phase"]), (&made["kid"], &json!("published")));
    let message = stack.refused(1, &["key", "rotate"]);
    assert!(message.contains(&text(&made, "kid")) && message.contains("signs from"), "{message}");
    assert_eq!(lines(&message), of("key.rotate", "rotation_refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_fills_the_tables_of_the_stack() {
    let stack = Deployed::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("loyalty.csv");
    std::fs::write(&file, "customer_id,points,tier\nC-0001,1250,GOLD\n").unwrap();
    let summary = stack.json(&["import", "loyalty", file.to_str().unwrap()]).0;
    assert_eq!((&summary["written"], &summary["refused"]), (&json!(1), &json!(0)), "{summary}");
    let item = stack.aws.dynamodb.get_item().table_name(&stack.outputs["LoyaltyTableName"]);
    let item = item.key("customer_id", AttributeValue::S("C-0001".to_owned())).send().await.unwrap().item.unwrap();
    assert_eq!(item["points"], AttributeValue::N("1250".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_a_file_lives_in_the_stack_and_its_lookups_are_checked_against_its_tables() {
    let stack = Deployed::new().await;
    stack.json(&["init"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("servers.yaml");
    let path = file.to_str().unwrap();
    // The stack's own tables, one by the name of the definitions and one by its own.
    let loyalty = &stack.outputs["LoyaltyTableName"];
    let definitions = |table: &str, key: &str| {
        let argument = "{ title: T, description: D }";
        format!(
            "servers:\n  - name: desk\n    production: true\n    tools:\n      - lookup: one\n        table: orders\n        \
             key: {{ order_id: {argument} }}\n        returns: {{ status: string }}\n      - lookup: two\n        \
             table: {table}\n        key: {{ {key}: {argument} }}\n        returns: {{ tier: string }}\n"
        )
    };
    for (table, key, place, says) in [
        (stack.outputs["ConfigTableName"].as_str(), "pk", "10:16", "Northstar's own"),
        ("loyalty", "tier", "11:9", "would read the whole table"),
        ("no-such-table", "id", "10:16", "there is no table no-such-table"),
    ] {
        std::fs::write(&file, definitions(table, key)).unwrap();
        let message = stack.refused(2, &["server", "apply", path, "--yes"]);
        assert!(message.contains(&format!("{path}:{place}: two: ")) && message.contains(says), "{message}");
    }
    std::fs::write(&file, definitions(loyalty, "customer_id")).unwrap();
    assert!(stack.refused(1, &["server", "apply", path, "--json"]).contains("add --yes"));
    let (applied, errors) = stack.json(&["server", "apply", path, "--yes"]);
    assert_eq!(lines(&errors), of("server.apply", "ok"));
    assert_eq!(applied["servers"][0]["url"], "https://mcp.example.com/mcp/desk");
    let record = stack.aws.dynamodb.get_item().table_name(&stack.outputs["ConfigTableName"]);
    let record =
        record.key("pk", AttributeValue::S("SERVER#desk".into())).key("sk", AttributeValue::S("RECORD".into()));
    let record = record.send().await.unwrap().item.unwrap();
    assert!(record["definition"].as_s().unwrap().contains(r#""position":["customer_id"]"#), "{record:?}");

    let (shown, _) = stack.json(&["server", "show", "desk"]);
    std::fs::write(&file, shown.to_string()).unwrap();
    assert_eq!(stack.json(&["server", "diff", path]).0["servers"][0]["outcome"], "unchanged");
    let (policy, errors) = stack.json(&["server", "iam", path]);
    let resource = format!("arn:aws:dynamodb:us-east-1:000000000000:table/{loyalty}");
    assert_eq!(policy["Statement"][0]["Resource"], resource, "{policy}");
    assert!(errors.contains("the stack's role covers") && policy["Statement"].as_array().unwrap().len() == 1);
    assert!(stack.refused(2, &["server", "iam", path, "--region", "eu-central-1"]).contains("a stack knows"));
    assert_eq!(stack.json(&["server", "usage", "desk"]).0, json!([]));
    let (_, errors) = stack.json(&["server", "delete", "desk", "--yes"]);
    assert_eq!(lines(&errors), of("server.delete", "ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_lives_in_the_tables_of_the_stack_and_its_link_is_one_of_the_stack() {
    let stack = Deployed::new().await;
    let login = "https://login.upstream.invalid";
    let (authorize, token) = (format!("{login}/authorize"), format!("{login}/token"));
    let url = "https://upstream.invalid/mcp";
    let add = ["upstream", "add", "crm", "--url", url, "--client-id", "x", "--issuer", login];
    let add = [&add[..], &["--authorize-url", &authorize, "--token-url", &token]].concat();
    assert!(stack.refused(2, &[&add[..], &["--allow-loopback"]].concat()).contains("for a local run"));
    let (added, errors) = stack.json(&add);
    assert_eq!(lines(&errors), of("upstream.add", "ok"));
    assert_eq!(added["redirect_uri"], "https://mcp.example.com/connect/crm");
    let shown = stack.json(&["upstream", "show", "crm"]).0;
    assert_eq!((&shown["status"], &shown["settings"]["token_url"]["value"]), (&json!("not connected"), &json!(token)));
    let (made, errors) = stack.json(&["upstream", "connect", "crm"]);
    assert_eq!(lines(&errors), of("upstream.connect", "ok"));
    let link = text(&made, "link");
    let ticket = link.strip_prefix("https://mcp.example.com/connect/crm?ticket=").unwrap();
    // The table has its digest alone.
    let scanned = stack.aws.dynamodb.scan().table_name(&stack.outputs["StateTableName"]).send().await.unwrap();
    let items = format!("{:?}", scanned.items);
    assert!(items.contains("TICKET#") && !items.contains(ticket), "{items}");
    let (_, errors) = stack.json(&["upstream", "remove", "crm", "--yes"]);
    assert_eq!(lines(&errors), of("upstream.remove", "ok"));
    assert_eq!(stack.json(&["upstream", "list"]).0, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_says_where_a_client_calls_and_the_environment_who_it_is() {
    let server = Server::start(&[]);
    let stack = Deployed::at(&server.url).await;
    let client =
        [("NORTHSTAR_CLIENT_ID", server.client_id.as_str()), ("NORTHSTAR_CLIENT_SECRET", &server.client_secret)];
    let token = stack.run_with(&client, &["token"]);
    assert!(token.status.success(), "{}", String::from_utf8_lossy(&token.stderr));
    let elsewhere = [&client[..], &[("NORTHSTAR_PUBLIC_URL", "https://elsewhere.invalid")]].concat();
    let called = stack.run_with(&elsewhere, &["call", "get_order_status", "order_id=1001"]);
    let shown = String::from_utf8(called.stdout).unwrap();
    assert!(called.status.success() && shown.contains("1001"), "{shown}{}", String::from_utf8_lossy(&called.stderr));
    let examined = stack.run_with(&client, &["doctor", "--json"]);
    let findings: Value = serde_json::from_slice(&examined.stdout).unwrap();
    assert!(findings["findings"].to_string().contains(&server.url), "{findings}");
    assert!(stack.refused(2, &["token"]).contains("northstar client create"));
    assert!(stack.refused(2, &["salesforce", "pack", "--out", "/nowhere/at/all"]).contains(&server.url), "no https");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_all_functions_are_read_from_the_log_groups_of_the_stack() {
    let stack = Deployed::new().await;
    for function in ["token", "mcp", "connect", "rotate"] {
        let now = SystemTime::now();
        let line = json!({ "time": timestamp(now), "level": "INFO", "fn": function, "id": format!("{function}="),
                           "client": "deleted", "status": 200, "outcome": "ok", "total_ms": 1.5 });
        let group = format!("/aws/lambda/{}-{function}", stack.name);
        let milliseconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        for (operation, body) in [
            ("CreateLogStream", json!({ "logGroupName": group, "logStreamName": "one" })),
            (
                "PutLogEvents",
                json!({ "logGroupName": group, "logStreamName": "one",
                        "logEvents": [{ "timestamp": milliseconds as u64, "message": line.to_string() }] }),
            ),
        ] {
            let request = reqwest::Client::new().post(ministack()).body(body.to_string());
            let request = request
                .header("content-type", "application/x-amz-json-1.1")
                .header("x-amz-target", format!("Logs_20140328.{operation}"))
                .header("authorization", "AWS4-HMAC-SHA256 Credential=test/20261121/us-east-1/logs/aws4_request");
            assert_eq!(request.send().await.unwrap().status(), 200, "{operation}");
        }
    }
    let output = stack.run_with(&[], &["audit", "tail", "--json"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut functions: Vec<String> =
        printed.lines().map(|line| text(&serde_json::from_str(line).unwrap(), "fn")).collect();
    functions.sort();
    assert_eq!(functions, ["connect", "mcp", "rotate", "token"], "{}", String::from_utf8_lossy(&output.stderr));

    let output = stack.run_with(&[], &["audit", "explain", "mcp=", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let requests = told["requests"].as_array().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let client = json!({ "id": "deleted", "registered": false });
    assert_eq!((requests.len(), &requests[0]["function"], &requests[0]["client"]), (1, &json!("mcp"), &client));
    assert!(stack.refused(1, &["audit", "explain", "none="]).contains("LogRetentionDays"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_stack_of_ours_is_told() {
    let (stack, url) = (Deployed::new().await, ministack());
    let run = |environment: &[(&str, &str)], arguments: &[&str]| {
        let output = command(url, environment, arguments);
        assert!(output.stdout.is_empty(), "{arguments:?}");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, message) = run(&[], &["client", "list", "--stack", "nowhere"]);
    assert!(code == 1 && message.contains("there is no stack nowhere in us-east-1"), "{message}");
    let (code, message) = run(&[], &["client", "list", "--stack", "no such name"]);
    assert!(code == 2 && message.contains("a stack has a name like"), "{message}");
    let (code, message) = run(&[("AWS_REGION", "")], &["client", "list", "--stack", "nowhere"]);
    assert!(code == 1 && message.contains("names no region"), "{message}");
    let (code, message) = run(&[], &["client", "list", "--stack", "a", "--home", "b"]);
    assert!(code == 2 && message.contains("--home and --stack"), "{message}");
    let (code, message) = run(&[], &["--home", "b", "client", "list", "--stack", "a"]);
    assert!(code == 2 && message.contains("--home and --stack"), "{message}");
    let both = [("NORTHSTAR_STACK", "a"), ("NORTHSTAR_HOME", "b")];
    let (code, message) = run(&both, &["client", "list"]);
    assert!(code == 2 && message.contains("both set"), "{message}");
    let (code, message) = run(&[], &["serve", "--stack", "a"]);
    assert!(code == 2 && message.contains("this machine"), "{message}");

    let foreign = format!("{}-foreign", stack.name);
    let template = json!({
        "Resources": { "Group": { "Type": "AWS::Logs::LogGroup", "Properties": { "LogGroupName": foreign } } },
        "Outputs": { "PublicUrl": { "Value": "https://example.com" } },
    });
    let sdk = cloudformation_client();
    sdk.create_stack().stack_name(&foreign).template_body(template.to_string()).send().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (code, message) = run(&[("NORTHSTAR_STACK", &foreign)], &["client", "list"]);
    assert!(code == 1 && message.contains("has no output RotateFunctionArn"), "{message}");
    let (code, message) = run(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")], &["init", "--stack", "a"]);
    assert!(code == 1 && message.contains("stack a: "), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_has_every_output_that_commands_read() {
    let template = std::fs::read_to_string(repository().join("infra/sam/template.yaml")).unwrap();
    let outputs = template.split_once("\nOutputs:\n").unwrap().1;
    for name in Deployed::new().await.outputs.keys() {
        assert!(outputs.contains(&format!("  {name}:\n")), "{name}");
    }
}
