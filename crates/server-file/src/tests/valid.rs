//! Files that are right.

use catalogue::lookup::{Condition, Order, ValueType};
use catalogue::shipped::shipped;
use catalogue::{Lookup, SalesforceTool};
use registry::ConnectionName;
use registry::server::{LogLevel, Rate, Server, ServerName, ToolDefinition};
use serde_json::{Value, json};

use super::{EXAMPLE, PAGE, SCHEMA, schema_accepts, whole_example};
use crate::{Document, Place, to_json};

/// The file that the documentation begins with.
const ISSUE: &str = r#"servers:
  - name: orders                  # → /mcp/orders
    title: Orders and loyalty
    description: Order status and loyalty points for the service agent
    instructions: Use order numbers exactly as the customer gives them.
    production: true
    timeout: 20s                  # at most 25s: API Gateway ends at 30s
    tools: [get_order_status, check_loyalty_points, list_customer_orders]
    limits: { per_client: 50/min, burst: 20, per_tool: { list_customer_orders: 10/min }, per_day: 5000 }
    log: calls                    # off | calls | arguments (masked) | results (masked)
  - name: warranty
    tools:
      - lookup: get_warranty      # a tool from a table, no code
        table: warranties
        key: { serial_number: { title: Serial number, description: "As printed on the box", pattern: "^[A-Z0-9]{8,16}$" } }
        returns: { product: string, valid_until: string, covered: boolean }
        rename: { validTo: valid_until }
        mask: [owner_email]
"#;

/// Every key that there is.
const EVERYTHING: &str = r#"
servers:
- name: everything
  description: >
    In several
    lines.
  instructions: |
    One.

    Two.
  production: false
  timeout: 25s
  limits:
    per_client: 600 / minute
    burst: 6000
    per_tool: {readings: 1/s, last: 5/h}
    per_server: 1000000/h
    per_day: 1
  log: results
  tools:
  - get_order_status
  - lookup: readings
    title: Readings
    description: >-
      Lists readings
      of one device.
    table: iot.readings_2026-eu
    index: by-Device
    key: {"Device No": {title: Device, description: Number of the device, type: integer}}
    sort:
      at: {title: Time, description: Time of the reading, condition: between, type: number, required: true}
    filter:
      kind: {title: Kind, description: Only of this kind, enum: [A, "1", "true"]}
      open: {title: Open, description: Only open ones, type: boolean}
    order: oldest_first
    page: 100
    rows: readings
    returns:
      value: {type: number, default: 0.5, description: Value, required: true}
      state: {words: {1: One, "": None}, default: ""}
      count: integer
    rename: {"Device No": device, "v.1": value}
    mask: [state, nothing_of_this_name]
  - lookup: last
    table: abc
    key: {a: {title: A, description: A}}
    sort: {b: {title: B, description: B, condition: begins_with, pattern: '^[0-9]+$'}}
    returns: {c: string}
    not_found: 'Nothing for {a}, {b}.'
"#;

fn parse(text: &str) -> Document {
    Document::parse(text).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

#[test]
fn the_file_of_the_documentation_is_read_as_it_stands() {
    let document = parse(ISSUE);
    let [orders, warranty] = document.servers() else { panic!() };
    assert_eq!((orders.name.as_str(), orders.production, orders.tools.len()), ("orders", true, 3));
    assert_eq!(orders.limits.per_client, Rate::parse("50/min"));
    assert_eq!((orders.limits.burst, orders.limits.per_day), (Some(20), Some(5000)));
    let ToolDefinition::Lookup(lookup) = &warranty.tools[0] else { panic!() };
    let expected: Lookup = serde_json::from_value(json!({
        "lookup": "get_warranty",
        "table": "warranties",
        "key": { "serial_number": { "title": "Serial number", "description": "As printed on the box", "pattern": "^[A-Z0-9]{8,16}$" } },
        "returns": { "product": "string", "valid_until": "string", "covered": "boolean" },
        "rename": { "validTo": "valid_until" },
        "mask": ["owner_email"],
    }))
    .unwrap();
    assert_eq!(**lookup, expected);
    assert!(lookup.returns.keys().eq(["product", "valid_until", "covered"]));
}

#[test]
fn the_guard_of_a_server_is_read() {
    let document = parse(
        "servers: [{ name: crm, org: sales, tools: [executeQuery, salesforce_create_contact], guard: { objects: { read: \
         [Account, Contact], write: [Contact] }, fields: { contact: { write: [Email, Level__c] } }, deletes: true, \
         dry_run: true, max_rows: 1, max_bytes: 1000, writes_per_day: 5, confirm_above: 0 } }, { name: plain, org: \
         a-1, tools: [getRecord], guard: {} }]",
    );
    let [crm, plain] = document.servers() else { panic!() };
    let guard = &crm.guard;
    assert_eq!((crm.org.as_deref(), plain.org.as_deref()), (Some("sales"), Some("a-1")));
    assert!(guard.may_read("Account") && guard.may_write("Contact") && !guard.may_write("Account"));
    assert!(guard.may_write_field("Contact", "level__c") && !guard.may_write_field("Contact", "Phone"));
    assert!(guard.deletes && guard.dry_run && plain.guard.is_default());
    assert_eq!((guard.max_rows, guard.max_bytes, guard.writes_per_day, guard.confirm_above), (1, 1_000, Some(5), 0));
}

#[test]
fn the_upstreams_of_a_server_are_read() {
    let text = "servers: [{ name: hub, upstreams: [{ name: sales, tools: [soqlQuery, a.b-c], prefix: s_, read_only: true, \
                scopes: { soqlQuery: mcp.write } }, { name: all }], limits: { per_tool: { s_soqlQuery: 1/s } } }]";
    let document = parse(text);
    assert_eq!(schema_accepts(text), Some(true));
    let [hub] = document.servers() else { panic!() };
    assert!(hub.tools.is_empty() && hub.limits.per_tool.contains_key("s_soqlQuery"));
    assert_eq!(
        json!(hub.upstreams),
        json!([
            {
                "name": "sales", "tools": ["soqlQuery", "a.b-c"], "prefix": "s_", "read_only": true,
                "scopes": { "soqlQuery": "mcp.write" },
            },
            { "name": "all" },
        ])
    );
    let [sales, nobody] = ["sales", "nobody"].map(|name| ConnectionName::parse(name).unwrap());
    for (upstream, part, written) in [
        (&sales, None, "{ name: sales"),
        (&sales, Some("tools.a.b-c"), "a.b-c"),
        (&sales, Some("prefix"), "s_, "),
        (&sales, Some("scopes.soqlQuery"), "soqlQuery: mcp"),
        (&sales, Some("tools.missing"), "tools: ["),
        (&nobody, None, "upstreams: "),
    ] {
        let place = document.locate_upstream(&hub.name, upstream, part);
        assert_eq!(Some(place.column), text.find(written).map(|at| at + 1), "{upstream} {part:?}");
    }
}

#[test]
fn what_is_not_written_has_its_default() {
    let document = parse("servers: [{ name: after-sales, tools: [get_order_status] }]");
    let expected = Server {
        name: ServerName::parse("after-sales").unwrap(),
        title: "After sales".to_owned(),
        description: String::new(),
        instructions: None,
        production: false,
        timeout: registry::server::Timeout::from_seconds(20).unwrap(),
        tools: vec![ToolDefinition::Shipped("get_order_status".to_owned())],
        org: None,
        guard: registry::Guard::default(),
        upstreams: Vec::new(),
        limits: registry::server::Limits::default(),
        log: LogLevel::Calls,
    };
    assert_eq!(document.servers(), [expected]);
}

#[test]
fn every_key_is_read() {
    let document = parse(EVERYTHING);
    let server = &document.servers()[0];
    assert_eq!(
        (server.description.as_str(), server.instructions.as_deref()),
        ("In several lines.", Some("One.\n\nTwo."))
    );
    assert_eq!((server.limits.burst, server.limits.per_day, server.log), (Some(6000), Some(1), LogLevel::Results));
    assert_eq!(server.limits.per_tool["readings"].to_string(), "1/s");
    let ToolDefinition::Lookup(readings) = &server.tools[1] else { panic!() };
    assert_eq!(readings.description.as_deref(), Some("Lists readings of one device."));
    assert_eq!((readings.sort["at"].condition, readings.sort["at"].required), (Condition::Between, true));
    assert_eq!((readings.order, readings.page, readings.rows_name()), (Order::OldestFirst, Some(100), "readings"));
    assert_eq!(readings.filter["kind"].one_of, ["A", "1", "true"]);
    assert_eq!(readings.filter["open"].value_type, ValueType::Boolean);
    assert_eq!(readings.returns["value"].default, Some(json!(0.5)));
    assert_eq!(readings.returns["state"].words["1"], "One");
    assert_eq!(readings.attributes().collect::<Vec<_>>(), ["v.1", "state", "count"]);
}

#[test]
fn the_example_recreates_the_default_server() {
    let document = parse(EXAMPLE);
    assert_eq!(document.servers(), [Server::default_server()]);
}

#[test]
fn what_the_example_comments_out_is_right_too() {
    let document = parse(&whole_example());
    let names: Vec<&str> = document.servers().iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["default", "warranty", "shop", "salesforce-read", "salesforce-write"]);
    assert_eq!(document.servers()[3..], [Server::salesforce_read("demo"), Server::salesforce_write("demo")]);
    let ToolDefinition::Lookup(written) = &document.servers()[2].tools[0] else { panic!() };
    let of_shipped = shipped()[0].tool().unwrap();
    let tool = written.tool().unwrap();
    assert_eq!(tool.input_schema(), of_shipped.input_schema());
    assert!(
        tool.output_schema()["properties"].as_object().unwrap().keys().eq(["order_id", "status", "carrier", "eta"])
    );
}

#[test]
fn the_shipped_tools_can_be_written_out() {
    let mut server = Server::default_server();
    server.tools = shipped().map(|lookup| ToolDefinition::Lookup(Box::new(lookup))).into();
    let text = serde_json::to_string_pretty(&to_json(&[server])).unwrap();
    assert!(!text.contains("position"));
    let document = parse(&text);
    for (tool, mut lookup) in document.servers()[0].tools.iter().zip(shipped()) {
        lookup.position.clear();
        assert_eq!(*tool, ToolDefinition::Lookup(Box::new(lookup)));
    }
}

#[test]
fn a_file_may_begin_with_a_byte_order_mark_and_have_other_line_ends() {
    for text in [format!("\u{feff}{ISSUE}"), ISSUE.replace('\n', "\r\n"), format!("%YAML 1.2\n---\n{ISSUE}...\n")] {
        assert_eq!(parse(&text).servers(), parse(ISSUE).servers());
    }
    let wrong = format!("\u{feff}{}", ISSUE.replace('\n', "\r\n").replace("20s", "26s"));
    let problems = Document::parse(&wrong).unwrap_err();
    assert_eq!(problems[0].place, Place { line: 7, column: 14 });
}

#[test]
fn json_with_tabs_is_read() {
    let text =
        "{\n\t\"servers\": [\n\t\t{\n\t\t\t\"name\": \"a\",\n\t\t\t\"tools\": [\"get_order_status\"]\n\t\t}\n\t]\n}\n";
    assert_eq!(parse(text).servers().len(), 1);
}

#[test]
fn a_part_of_a_file_is_found() {
    let document = parse(ISSUE);
    let [orders, warranty] = ["orders", "warranty"].map(|name| ServerName::parse(name).unwrap());
    let nobody = ServerName::parse("nobody").unwrap();
    let lookup = Some("get_warranty");
    for (server, tool, part, place) in [
        (&orders, None, None, (2, 5)),
        (&orders, None, Some("timeout"), (7, 14)),
        (&orders, None, Some("limits.burst"), (9, 35)),
        (&orders, Some("check_loyalty_points"), None, (8, 31)),
        (&orders, Some("check_loyalty_points"), Some("table"), (8, 31)),
        (&orders, Some("missing"), None, (8, 5)),
        (&warranty, lookup, None, (13, 9)),
        (&warranty, lookup, Some("table"), (14, 16)),
        (&warranty, lookup, Some("key"), (15, 9)),
        (&warranty, lookup, Some("key.serial_number"), (15, 16)),
        (&warranty, lookup, Some("returns.product"), (16, 20)),
        (&warranty, lookup, Some("returns.missing"), (16, 9)),
        (&warranty, lookup, Some("rename.validTo"), (17, 19)),
        (&warranty, lookup, Some("mask.owner_email"), (18, 16)),
        (&warranty, lookup, Some("index"), (13, 9)),
        (&nobody, lookup, Some("index"), (2, 3)),
    ] {
        let found = document.locate(server, tool, part);
        assert_eq!((found.line, found.column), place, "{server} {tool:?} {part:?}");
    }
}

#[test]
fn files_that_are_right_fit_the_schema() {
    let default = serde_json::to_string(&to_json(&[Server::default_server()])).unwrap();
    for text in [ISSUE, EVERYTHING, EXAMPLE, &whole_example(), &default] {
        assert_eq!(schema_accepts(text), Some(true), "{text}");
    }
}

#[test]
fn the_schema_is_one_and_lists_the_tools_that_ship() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    assert_eq!(schema["$defs"]["tool"]["then"]["anyOf"][0]["enum"], json!(shipped().map(|lookup| lookup.name)));
    assert_eq!(schema["$defs"]["salesforceTool"]["enum"], json!(SalesforceTool::ALL.map(SalesforceTool::name)));
}

#[test]
fn the_files_of_the_page_are_right() {
    let blocks: Vec<&str> = PAGE.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 5);
    for text in blocks {
        parse(text);
        assert_eq!(schema_accepts(text), Some(true), "{text}");
    }
    let ToolDefinition::Lookup(list) =
        parse(PAGE.split("```yaml\n").last().unwrap().split("```").next().unwrap()).servers()[0].tools[0].clone()
    else {
        panic!()
    };
    let inputs: Vec<String> = list.tool().unwrap().inputs.iter().map(|input| input.name.to_string()).collect();
    assert_eq!(inputs, ["customer_id", "ordered_at_from", "ordered_at_to", "status", "cursor"]);
}
