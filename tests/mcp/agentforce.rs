//! The conversation of an activated Agentforce agent, as it was seen on the wire: a token by secret in the body with a
//! comma-separated list of scopes, then six requests, each for itself, with whatever `Accept` its client sends.

use std::io::{Read, Write};
use std::net::TcpStream;

use black_box::{Server, is_deployed, shared};
use insta::assert_snapshot;
use serde_json::{Value, json};

#[tokio::test]
async fn an_agent_without_accept_header_is_served() {
    conversation(None).await;
}

#[tokio::test]
async fn an_agent_that_accepts_anything_is_served() {
    conversation(Some("*/*")).await;
}

#[tokio::test]
async fn an_agent_that_accepts_json_alone_is_served() {
    conversation(Some("application/json")).await;
}

async fn conversation(accept: Option<&str>) {
    let server = shared();
    let token = server.token_with(&[("scope", "mcp.read,mcp.write")]).await;
    let agent = Agent { server, token, accept };
    let client = json!({ "name": "agentforce", "version": "1.0.0" });
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
    let order = json!({ "name": "get_order_status", "arguments": { "order_id": "1001" } });
    let seen = [
        agent.ask("POST", Some(crate::request(0, "initialize", hello))),
        agent.ask("POST", Some(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))),
        agent.ask("POST", Some(crate::request(1, "tools/list", json!({})))),
        agent.ask("GET", None),
        agent.ask("DELETE", None),
        agent.ask("POST", Some(crate::request(2, "tools/call", order))),
    ];
    insta::allow_duplicates! {
    assert_snapshot!(seen.join("\n"), @r#"
    200 application/json {"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"northstar","title":"Northstar","version":"0.1.0","description":"Order status and loyalty points."},"instructions":"Use order numbers and customer numbers exactly as the customer gives them."}}
    202
    200 application/json ["get_order_status","check_loyalty_points","list_customer_orders"]
    405 allow: POST application/json {"jsonrpc":"2.0","error":{"code":-32600,"message":"this method is not allowed here; the allowed ones are POST","data":{"code":"method_not_allowed"}}}
    405 allow: POST application/json {"jsonrpc":"2.0","error":{"code":-32600,"message":"this method is not allowed here; the allowed ones are POST","data":{"code":"method_not_allowed"}}}
    200 application/json {"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"{\"order_id\":\"1001\",\"status\":\"SHIPPED\",\"carrier\":\"UPS\",\"eta\":\"2026-07-03\"}"}],"structuredContent":{"order_id":"1001","status":"SHIPPED","carrier":"UPS","eta":"2026-07-03"},"isError":false}}
    "#);
    }
}

struct Agent<'a> {
    server: &'a Server,
    token: String,
    accept: Option<&'a str>,
}

impl Agent<'_> {
    /// One request, written by hand: HTTP clients add an `Accept` of their own. What matters of the answer.
    fn ask(&self, method: &str, body: Option<Value>) -> String {
        let host = self.server.address();
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut head = format!(
            "{method} /mcp HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             User-Agent: SFDC-Callout/66.0\r\nSFDC_STACK_DEPTH: 1\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n",
            self.token
        );
        if let Some(accept) = self.accept {
            head += &format!("Accept: {accept}\r\n");
        }
        if !body.is_empty() {
            head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        summary(&answer)
    }
}

fn summary(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers: Vec<(&str, &str)> = lines.map(|line| line.split_once(": ").unwrap()).collect();
    let value =
        |wanted: &str| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value);
    assert_eq!(value("mcp-session-id"), None);
    let mut parts = vec![status.to_owned()];
    parts.extend(value("allow").map(|allow| format!("allow: {allow}")));
    if body.is_empty() {
        // ministack adds a type to what is empty.
        assert!(is_deployed() || value("content-type").is_none(), "nothing has no type: {answer}");
    } else {
        parts.extend(value("content-type").map(str::to_owned));
        let json: Value = serde_json::from_str(body).unwrap();
        let names =
            json["result"]["tools"].as_array().map(|tools| tools.iter().map(|tool| tool["name"].clone()).collect());
        parts.push(names.map_or_else(|| body.to_owned(), |names: Vec<Value>| json!(names).to_string()));
    }
    parts.join(" ")
}
