//! `northstar audit explain`: one request, told in words, from a home and from CloudWatch Logs.

use std::fs;

use black_box::{Server, shared};
use serde_json::{Value, json};

use crate::audit::{CloudWatchLogs, home_with, line, now};
use crate::{run, run_json, run_with};

/// The last line of a home that has an id.
fn last_id(server: &Server) -> Value {
    let log = fs::read_to_string(server.home().join("requests.jsonl")).unwrap();
    let lines = log.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.into_iter().find(|line| line["id"].is_string()).unwrap()
}

fn id(line: &Value) -> &str {
    line["id"].as_str().unwrap()
}

#[test]
fn a_call_is_explained_with_the_name_of_its_client_while_the_server_runs_and_after() {
    let mut server = Server::start(&[]);
    let made = server.json_command(&["client", "create", "Service agent"]);
    let field = |name: &str| made[name].as_str().unwrap();
    let (client, secret) = (field("client_id"), field("client_secret"));
    let as_client = [("NORTHSTAR_CLIENT_ID", client), ("NORTHSTAR_CLIENT_SECRET", secret)];
    assert_eq!(run_with(server.home(), &as_client, "", &["call", "get_order_status", "order_id=1001"]).0, 0);
    let line = last_id(&server);

    let explain = ["audit", "explain", id(&line)];
    let (code, served) = run_json(server.home(), &explain);
    assert_eq!(code, 0);
    let request = &served["requests"][0];
    assert_eq!((&served["request_id"], served["requests"].as_array().unwrap().len()), (&line["id"], 1));
    assert_eq!(request["client"], json!({ "id": client, "name": "Service agent", "registered": true }));
    for name in ["time", "level", "server", "tool", "status", "outcome"] {
        assert_eq!(request[name], line[name], "{name}");
    }
    assert_eq!(request["revision"], line["rev"]);
    assert_eq!(request["verdict"], "the tool answered");
    assert_eq!((request.get("cause"), &request["problems"]), (None, &json!([])));
    let split = &request["time_split"];
    let part = |name: &str| split[name].as_f64().unwrap();
    let sum = part("verify_ms") + part("table_ms") + part("rest_ms");
    assert!((sum - part("total_ms")).abs() < 0.02 || part("rest_ms") == 0.0, "{split}");

    let (code, text, errors) = run(server.home(), &explain);
    assert_eq!((code, errors.as_str()), (0, ""));
    for says in [
        format!("request    {}\n", id(&line)),
        format!("who        Service agent (client {client})\n"),
        "what       called the tool get_order_status of the MCP server default, ".to_owned(),
        "outcome    the tool answered\n".to_owned(),
        " ms to check the token, ".to_owned(),
        "start      ".to_owned(),
    ] {
        assert!(text.contains(&says), "{says}: {text}");
    }

    assert_eq!(run(server.home(), &["client", "delete", client, "--yes"]).0, 0);
    assert!(server.end_with("TERM").success());
    let (code, text, _) = run(server.home(), &explain);
    assert!(code == 0 && text.contains(&format!("client {client}, which is no longer registered\n")), "{text}");
}

#[tokio::test]
async fn the_id_in_the_header_of_a_refusal_leads_to_its_cause_and_what_to_do() {
    let response = shared().mcp("no-token").body("{}").send().await.unwrap();
    let id = response.headers()["apigw-requestid"].to_str().unwrap();
    let (code, text, _) = run(shared().home(), &["audit", "explain", id]);
    assert_eq!(code, 0);
    for says in [
        "who        not known: no client had been authenticated",
        "outcome    refused: invalid_token, HTTP 401\n",
        "cause      expired, revoked, malformed, ",
        "to do      get a new one for this server\n",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
}

#[test]
fn a_line_with_arguments_results_and_trouble_beside_it_is_told_whole() {
    let at = |seconds: &str| json!({ "time": format!("2026-11-21T10:00:{seconds}Z"), "level": "ERROR" });
    let with = |function: &str, seconds: &str, more: Value| {
        let mut fields = at(seconds);
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line(function, &fields)
    };
    let call = json!({
        "id": "-call=", "client": "agent", "server": "orders", "tool": "get_order_status", "status": 200, "cold": true,
        "outcome": "table_unavailable", "verify_ms": 0.5, "table_ms": 6000.0, "total_ms": 6001.0,
        "arguments": { "order_id": "\u{1b}[31m***" }, "results": { "isError": true },
    });
    let trouble = |message: &str| json!({ "outcome": "table_unavailable", "message": message });
    let home = home_with(&[
        with("mcp", "09.000", trouble("before")),
        with("mcp", "20.000", trouble("orders: of this call")),
        with("token", "20.000", trouble("of another function")),
        with("mcp", "21.000", call),
        with("mcp", "22.000", trouble("after")),
    ]);
    let (code, explained) = run_json(home.path(), &["audit", "explain", "-call="]);
    let request = &explained["requests"][0];
    assert_eq!((code, &request["arguments"]), (0, &json!({ "order_id": "\u{1b}[31m***" })));
    assert_eq!((&request["results"], &request["cold_start"]), (&json!({ "isError": true }), &json!(true)));
    assert_eq!(request["client"], json!({ "id": "agent" }), "there is no registry to look into");
    let problems = request["problems"].as_array().unwrap();
    assert_eq!((problems.len(), &problems[0]["message"]), (1, &json!("orders: of this call")));
    let (code, text, _) = run(home.path(), &["audit", "explain", "-call="]);
    assert!(code == 0 && text.contains("trouble    2026-11-21T10:00:20.000Z  table_unavailable: orders: of"), "{text}");
    assert!(text.contains("Northstar failed: table_unavailable") && !text.contains('\u{1b}'), "{text}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "reading makes nothing");
}

#[test]
fn an_id_that_is_unknown_or_none_ends_with_1_or_2_and_says_where_ids_are() {
    let home = tempfile::tempdir().unwrap();
    for home in [home.path(), shared().home()] {
        for json in [&[][..], &["--json"]] {
            let (code, output, errors) = run(home, &[&["audit", "explain", "unknown="], json].concat());
            assert_eq!((code, output.as_str()), (1, ""));
            for says in ["no line of request unknown= in ", "apigw-requestid", "field id", "32 to 64 MB"] {
                assert!(errors.contains(says), "{says}: {errors}");
            }
        }
    }
    for arguments in [&["audit", "explain"][..], &["audit", "explain", "a b"], &["audit", "explain", "a\" || \"b"]] {
        assert_eq!(run(home.path(), arguments).0, 2, "{arguments:?}");
    }
}

#[test]
fn a_request_is_found_in_log_groups_by_its_id_and_trouble_by_its_time() {
    let logs = CloudWatchLogs::start();
    let call = json!({ "id": "a+/=", "server": "orders", "method": "tools/list", "status": 200, "outcome": "ok", "total_ms": 5.0 });
    logs.put(
        "token",
        now() - 5_000,
        &line("token", &json!({ "id": "other", "status": 200, "outcome": "ok", "total_ms": 1 })),
    );
    logs.put("mcp", now() - 5_000, &line("mcp", &json!({ "outcome": "stale_value", "message": "servers" })));
    logs.put("mcp", now() - 5_000, &line("mcp", &call));
    let elsewhere = tempfile::tempdir().unwrap();
    let explain = |arguments: &[&str]| {
        let groups = ["--log-group", "token", "--log-group", "mcp"];
        let arguments = [&["audit", "explain"], &groups[..], arguments].concat();
        run_with(elsewhere.path(), &logs.environment(), "", &arguments)
    };
    let (code, text, errors) = explain(&["a+/="]);
    assert_eq!((code, errors.as_str()), (0, ""), "{text}");
    assert!(text.contains("what       wanted the list of the tools of the MCP server orders\n"), "{text}");
    assert!(text.contains("stale_value: servers"), "{text}");

    let asked = logs.asked();
    assert_eq!(asked[0]["filterPattern"], r#"{ ($.id = "a+/=") }"#);
    assert!(asked[0]["startTime"].as_u64().unwrap().abs_diff(now() - 86_400_000) < 60_000, "the last day");
    let trouble = asked.last().unwrap();
    assert_eq!(trouble["filterPattern"], r#"{ $.message = "*" }"#);
    let window = trouble["endTime"].as_u64().unwrap() - trouble["startTime"].as_u64().unwrap();
    assert_eq!(window, 20_205, "the time of the request, and what clocks may differ by on each side");

    let (code, output, errors) = explain(&["unknown=", "--since", "30d"]);
    assert_eq!((code, output.as_str()), (1, ""));
    for says in ["no line of request unknown= of the last 30 d", "apigw-requestid", "LogRetentionDays", "--since"] {
        assert!(errors.contains(says), "{says}: {errors}");
    }
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "no home is needed");
}
