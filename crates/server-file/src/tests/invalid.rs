//! Every kind of wrong, with place, code, what is wrong and what to write.

use std::collections::BTreeSet;

use super::{PAGE, schema_accepts};
use crate::Document;

/// Who refuses a file: reader and schema, or the reader alone.
#[derive(Clone, Copy, PartialEq)]
enum Refused {
    ByBoth,
    ByReader,
}
use Refused::{ByBoth, ByReader};

/// What is replaced in a file that is right (nothing: what is added to it), by what, the code, by whom it is refused, and what is said.
type Case = (&'static str, &'static str, &'static str, Refused, &'static str);

const SERVER: &str = "\
servers:
  - name: orders
    tools: [get_order_status]
";

const LOOKUP: &str = "\
servers:
  - name: warranty
    tools:
      - lookup: get_warranty
        table: warranties
        key: { serial: { title: Serial, description: As printed } }
        returns: { product: string }
";

const CRM: &str = "\
servers:
  - name: crm
    org: sales
    tools: [executeQuery]
";

/// Whole files.
const FILES: &[Case] = &[
    ("", "", "empty_file", ByReader, "1:1: the file is empty; write servers: and a list of servers under it"),
    (
        "",
        "# nothing\n",
        "empty_file",
        ByReader,
        "1:1: the file is empty; write servers: and a list of servers under it",
    ),
    (
        "",
        "servers\n",
        "wrong_type",
        ByBoth,
        "1:1: the file is a text, not a mapping; write servers: and a list of servers under it",
    ),
    (
        "",
        "- name: orders\n",
        "wrong_type",
        ByBoth,
        "1:1: the file is a list, not a mapping; write servers: and a list of servers under it",
    ),
    (
        "",
        "42\n",
        "wrong_type",
        ByBoth,
        "1:1: the file is a number, not a mapping; write servers: and a list of servers under it",
    ),
    ("", "{}\n", "missing_key", ByBoth, "1:1: the file needs servers; write servers: and a list of servers under it"),
    ("", "server: []\n", "unknown_key", ByBoth, r#"1:1: the file has no key "server"; write servers"#),
    ("", "servers:\n", "no_value", ByBoth, "1:1: servers has no value; write servers: and a list of servers under it"),
    (
        "",
        "servers: []\n",
        "server_count",
        ByBoth,
        "1:1: servers has 0 servers; write 1 to 100 servers, each beginning with - name: orders",
    ),
    (
        "",
        "servers: { name: orders }\n",
        "wrong_type",
        ByBoth,
        "1:10: servers is a mapping, not a list; write servers: and a list of servers under it",
    ),
    ("", "servers: [orders]\n", "wrong_type", ByBoth, "1:11: a server is a text, not a mapping; write - name: orders"),
    (
        "",
        "servers:\n	- name: orders\n",
        "tab",
        ByReader,
        "2:2: a tab stands where YAML wants spaces; write spaces in place of the tab",
    ),
    (
        "",
        "servers:\n  - name: orders\n    tools: [get_order_status\n",
        "syntax",
        ByReader,
        "3:12: what begins here does not end; write the ] or } that belongs to it",
    ),
    (
        "",
        "servers:\n  - name: orders\n    title: Orders: all\n",
        "syntax",
        ByReader,
        "3:18: this is not YAML (mapping values are not allowed in this context); write texts that hold a colon and a space in quotes, and indent keys of one mapping alike",
    ),
    (
        "",
        "servers:\n  - name: \"orders\n",
        "syntax",
        ByReader,
        "2:11: this is not YAML (while scanning a quoted scalar, found unexpected end of stream); write the quote that ends the text",
    ),
    (
        "",
        "servers:\n  - name: orders\n   title: Orders\n",
        "syntax",
        ByReader,
        "3:4: this is not YAML (while parsing a block collection, did not find expected '-' indicator); write key: value with a space after the colon, keys of one mapping indented alike by spaces, and texts with special characters in quotes",
    ),
    (
        "",
        "servers:\n  - name: \"or\\ders\"\n",
        "syntax",
        ByReader,
        "2:11: this is not YAML (while parsing a quoted scalar, found unknown escape character); write the character itself, or the text in single quotes: there a backslash is a backslash",
    ),
    (
        "",
        "servers: [{ name: a, tools: [get_order_status] }]\n---\nservers: []\n",
        "several_documents",
        ByReader,
        "2:1: a second document begins here, and a file has one; write all servers under one servers: and leave the line --- out",
    ),
    (
        "",
        "servers:\n  - &one\n    name: orders\n    tools: [get_order_status]\n",
        "anchor",
        ByReader,
        "2:5: anchors are refused, for nothing may refer to them; leave the & and the name after it out",
    ),
    (
        "",
        "servers:\n  - name: orders\n    title: *t\n    tools: [get_order_status]\n",
        "alias",
        ByReader,
        "3:12: aliases (*name) are refused; write the value out; if it is a text that begins with *, put it in quotes",
    ),
    (
        "",
        "servers:\n  - name: orders\n    <<: { title: Orders }\n    tools: [get_order_status]\n",
        "merge_key",
        ByReader,
        "3:5: merge keys (<<) are refused; write the keys out where they belong",
    ),
    (
        "",
        "servers:\n  - name: !!str orders\n    tools: [get_order_status]\n",
        "tag",
        ByReader,
        "2:11: tags are refused; leave the ! and what belongs to it out; put a text in quotes",
    ),
    (
        "",
        "servers:\n  - name: orders\n    ? [a]\n    : b\n    tools: [get_order_status]\n",
        "key_not_text",
        ByReader,
        "3:7: a key is a list, a mapping or an alias; write a text",
    ),
    (
        "",
        "servers:\n  - { name: a, tools: [get_order_status] }\n  - { name: a, tools: [get_order_status] }\n",
        "duplicate_server",
        ByReader,
        "3:13: a server a is in this file already; write another name, or put the tools into one server",
    ),
];

/// Of [`SERVER`].
const SERVERS: &[Case] = &[
    (
        "name: orders\n",
        "name: orders\n    titles: Orders\n",
        "unknown_key",
        ByBoth,
        r#"3:5: a server has no key "titles"; write title"#,
    ),
    (
        "name: orders\n",
        "name: orders\n    colour: red\n",
        "unknown_key",
        ByBoth,
        r#"3:5: a server has no key "colour"; write one of name, title, description, instructions, production, timeout, tools, org, guard, upstreams, limits, log"#,
    ),
    (
        "name: orders\n",
        "name: orders\n    name: other\n",
        "duplicate_key",
        ByReader,
        r#"3:5: "name" is here twice; leave one of them out"#,
    ),
    ("name: orders\n    ", "", "missing_key", ByBoth, "2:5: a server needs name; write name: orders"),
    (
        "name: orders",
        "name: Orders",
        "server_name",
        ByBoth,
        r#"2:11: "Orders" is no server name: a lower-case letter, then up to 39 of a-z 0-9 -; write name: orders"#,
    ),
    (
        "name: orders",
        "name: after_sales",
        "server_name",
        ByBoth,
        r#"2:11: "after_sales" is no server name: a lower-case letter, then up to 39 of a-z 0-9 -; write name: after-sales"#,
    ),
    (
        "name: orders",
        "name: 7",
        "wrong_type",
        ByBoth,
        r#"2:11: name is a number, not a text; put it in quotes: write "7""#,
    ),
    (
        "name: orders",
        "name: 'ÄÖ'",
        "server_name",
        ByBoth,
        r#"2:11: "ÄÖ" is no server name: a lower-case letter, then up to 39 of a-z 0-9 -; write name: orders"#,
    ),
    ("name: orders", "name:", "no_value", ByBoth, "2:5: name has no value; write name: orders"),
    (
        "tools: [get_order_status]\n",
        "title: Orders\n",
        "missing_key",
        ByBoth,
        "2:5: a server needs tools; write tools: [get_order_status]",
    ),
    ("", "title: 2026", "wrong_type", ByBoth, r#"4:12: title is a number, not a text; put it in quotes: write "2026""#),
    (
        "",
        "title: ''",
        "empty_text",
        ByBoth,
        "4:12: title is empty; write title: Orders and loyalty, or leave the key out",
    ),
    ("", "title: [Orders]", "wrong_type", ByBoth, "4:12: title is a list, not a text; write title: Orders and loyalty"),
    (
        "",
        r#"title: "a\nb""#,
        "several_lines",
        ByBoth,
        "4:12: title has several lines; write it in one line; to break a long one, write >- and indent the lines below",
    ),
    (
        "",
        r#"description: "a\tb""#,
        "control_character",
        ByBoth,
        "4:18: description has a control character; write spaces in place of tabs, and leave other control characters out",
    ),
    (
        "",
        "instructions: ' '",
        "empty_text",
        ByBoth,
        "4:19: instructions is empty; write instructions: Use order numbers exactly as the customer gives them., or leave the key out",
    ),
    (
        "",
        "production: yes",
        "wrong_type",
        ByBoth,
        "4:17: production is a text, not true or false; write production: true, without quotes",
    ),
    (
        "",
        "production: 'false'",
        "wrong_type",
        ByBoth,
        "4:17: production is a text, not true or false; write production: false, without quotes",
    ),
    (
        "",
        "production: 1",
        "wrong_type",
        ByBoth,
        "4:17: production is a number, not true or false; write production: true",
    ),
    (
        "",
        "production: [true]",
        "wrong_type",
        ByBoth,
        "4:17: production is a list, not true or false; write production: true",
    ),
    ("", "timeout: 20", "timeout_without_unit", ByBoth, "4:14: timeout is 20 without a unit; write timeout: 20s"),
    ("", "timeout: '90'", "timeout_without_unit", ByBoth, "4:14: timeout is 90 without a unit; write timeout: 20s"),
    (
        "",
        "timeout: 26s",
        "timeout_too_long",
        ByBoth,
        "4:14: timeout is 26s, and the longest is 25s; write timeout: 25s or less, for API Gateway ends a request at 30 s",
    ),
    (
        "",
        "timeout: 0s",
        "timeout_too_short",
        ByBoth,
        "4:14: timeout is 0s, and the shortest is 1s; write timeout: 1s or more",
    ),
    ("", "timeout: 25000ms", "timeout_unit", ByBoth, "4:14: timeout is 25000ms, and its unit is s; write timeout: 25s"),
    (
        "",
        "timeout: 1m",
        "timeout_unit",
        ByBoth,
        "4:14: timeout is 1m, that is 60 s, and the longest is 25s; write timeout: 25s or less, for API Gateway ends a request at 30 s",
    ),
    ("", "timeout: 2.5s", "timeout_unit", ByBoth, "4:14: timeout is 2.5s, not whole seconds and s; write timeout: 3s"),
    (
        "",
        "timeout: 20 sec",
        "timeout_unit",
        ByBoth,
        "4:14: timeout is 20 sec, not whole seconds and s; write timeout: 20s",
    ),
    ("", "timeout: soon", "timeout_unit", ByBoth, r#"4:14: timeout is "soon", not a time; write timeout: 20s"#),
    ("", "timeout: true", "wrong_type", ByBoth, "4:14: timeout is true or false, not a time; write timeout: 20s"),
    ("", "timeout: [20s]", "wrong_type", ByBoth, "4:14: timeout is a list, not a time; write timeout: 20s"),
    (
        "",
        "limits: 50/min",
        "wrong_type",
        ByBoth,
        "4:13: limits is a text, not a mapping; write limits: { per_client: 50/min }",
    ),
    (
        "",
        "limits: {}\n    limits: {}",
        "duplicate_key",
        ByReader,
        r#"5:5: "limits" is here twice; leave one of them out"#,
    ),
    (
        "",
        "limits: { per_clients: 50/min }",
        "unknown_key",
        ByBoth,
        r#"4:15: limits has no key "per_clients"; write per_client"#,
    ),
    (
        "",
        "limits: { per_client: 50 }",
        "rate",
        ByBoth,
        "4:27: per_client is a number of calls without a time; write per_client: 50/min, 50/s or 50/h",
    ),
    (
        "",
        "limits: { per_client: 0/min }",
        "rate",
        ByBoth,
        "4:27: per_client allows no call at all; write per_client: 1/min or more, or leave the key out to have no limit",
    ),
    (
        "",
        "limits: { per_client: 50/day }",
        "rate",
        ByBoth,
        "4:27: per_client has a rate a day, and a rate has s, min or h; write per_day: 50 under limits, without a time",
    ),
    (
        "",
        "limits: { per_client: 2000000/h }",
        "rate",
        ByBoth,
        "4:27: per_client has more than 1000000 calls; write per_client: 1000000/h or less, or leave the key out",
    ),
    (
        "",
        "limits: { per_client: 1.5/min }",
        "rate",
        ByBoth,
        r#"4:27: per_client is "1.5/min", not a number of calls, a slash and s, min or h; write per_client: 50/min"#,
    ),
    (
        "",
        "limits: { per_client: fast }",
        "rate",
        ByBoth,
        r#"4:27: per_client is "fast", not a number of calls, a slash and s, min or h; write per_client: 50/min"#,
    ),
    (
        "",
        "limits: { per_client: [50/min] }",
        "wrong_type",
        ByBoth,
        "4:27: per_client is a list, not a rate; write per_client: 50/min",
    ),
    (
        "",
        "limits: { burst: 20 }",
        "burst_without_per_client",
        ByBoth,
        "4:15: burst says how many calls of per_client may come at once, and there is no per_client; write per_client: 50/min beside it",
    ),
    (
        "",
        "limits: { per_client: 5/min, burst: 0 }",
        "out_of_range",
        ByBoth,
        "4:41: burst is 0, not a whole number from 1 to 50; write burst: 1 or more",
    ),
    (
        "",
        "limits: { per_client: 5/min, burst: 51 }",
        "out_of_range",
        ByReader,
        "4:41: burst is 51, not a whole number from 1 to 50; write burst: 50 or less",
    ),
    (
        "",
        "limits: { per_client: 5/min, burst: 2.5 }",
        "out_of_range",
        ByBoth,
        "4:41: burst is 2.5, not a whole number from 1 to 50; write burst: 2",
    ),
    (
        "",
        "limits: { per_client: 5/min, burst: many }",
        "wrong_type",
        ByBoth,
        "4:41: burst is a text, not a number; write burst: 20",
    ),
    (
        "",
        "limits: { per_tool: { get_orders: 5/min } }",
        "per_tool_unknown",
        ByReader,
        r#"4:27: per_tool names "get_orders", which is no tool of this server; write get_order_status"#,
    ),
    (
        "",
        "limits: { per_tool: { get_order_state: 5/min } }",
        "per_tool_unknown",
        ByReader,
        r#"4:27: per_tool names "get_order_state", which is no tool of this server; write get_order_status"#,
    ),
    (
        "",
        "limits: { per_tool: { get_order_status: 5 } }",
        "rate",
        ByBoth,
        "4:45: get_order_status is a number of calls without a time; write get_order_status: 5/min, 5/s or 5/h",
    ),
    (
        "",
        "limits: { per_tool: [get_order_status] }",
        "wrong_type",
        ByBoth,
        "4:25: per_tool is a list, not a mapping; write per_tool: { get_order_status: 10/min }",
    ),
    (
        "",
        "limits: { per_server: 0/s }",
        "rate",
        ByBoth,
        "4:27: per_server allows no call at all; write per_server: 1/min or more, or leave the key out to have no limit",
    ),
    (
        "",
        "limits: { per_day: 0 }",
        "out_of_range",
        ByBoth,
        "4:24: per_day is 0, not a whole number from 1 to 1000000000; write per_day: 1 or more",
    ),
    (
        "",
        "limits: { per_day: 5000/day }",
        "wrong_type",
        ByBoth,
        "4:24: per_day is a text, not a number; write per_day: 5000",
    ),
    ("", "limits: { per_day: }", "no_value", ByBoth, "4:15: per_day has no value; write per_day: 5000"),
    (
        "",
        "log: verbose",
        "unknown_word",
        ByBoth,
        r#"4:10: log cannot be "verbose"; write one of off, calls, arguments, results"#,
    ),
    ("", "log: call", "unknown_word", ByBoth, r#"4:10: log cannot be "call"; write calls"#),
    ("", "log: false", "wrong_type", ByBoth, "4:10: log is true or false, not a text; write log: off"),
    (
        "tools: [get_order_status]",
        "tools: get_order_status",
        "wrong_type",
        ByBoth,
        "3:12: tools is a text, not a list; write tools: [get_order_status]",
    ),
    (
        "tools: [get_order_status]",
        "tools: []",
        "tool_count",
        ByBoth,
        "3:5: tools has 0 tools; write 1 to 60 tools, or several servers",
    ),
    (
        "tools: [get_order_status]",
        "tools: [get_order_state]",
        "unknown_tool",
        ByBoth,
        r#"3:13: no tool "get_order_state" ships with Northstar; write get_order_status"#,
    ),
    (
        "tools: [get_order_status]",
        "tools: [send_mail]",
        "unknown_tool",
        ByBoth,
        r#"3:13: no tool "send_mail" ships with Northstar; write one of get_order_status, check_loyalty_points, list_customer_orders, a Salesforce tool (docs/servers.md), or a lookup that begins with lookup:"#,
    ),
    (
        "tools: [get_order_status]",
        "tools: [7]",
        "wrong_type",
        ByBoth,
        "3:13: a tool is a number, not the name of a tool or a lookup; write the name of a tool, or a lookup: - lookup: get_warranty",
    ),
    (
        "tools: [get_order_status]",
        "tools: [get_order_status, get_order_status]",
        "duplicate_tool",
        ByBoth,
        "3:31: the server has the tool get_order_status twice; leave one of them out, or give the lookup another name",
    ),
    (
        "tools: [get_order_status]",
        "tools: [[get_order_status]]",
        "wrong_type",
        ByBoth,
        "3:13: a tool is a list, not the name of a tool or a lookup; write the name of a tool, or a lookup: - lookup: get_warranty",
    ),
];

/// Of [`LOOKUP`].
const LOOKUPS: &[Case] = &[
    (
        "lookup: get_warranty",
        "lookup: Get-Warranty",
        "tool_name",
        ByBoth,
        r#"4:17: "Get-Warranty" is no name of a tool: 1 to 64 of a-z 0-9 _; write a name such as get_warranty"#,
    ),
    ("table: warranties\n        ", "", "missing_key", ByBoth, "4:9: a lookup needs table; write table: warranties"),
    (
        "table: warranties",
        "table: w",
        "table_name",
        ByBoth,
        r#"5:16: "w" is no name of a table: 3 to 255 of A-Z a-z 0-9 _ . -; write the name as DynamoDB has it, for example table: warranties"#,
    ),
    (
        "table: warranties",
        "table: my table",
        "table_name",
        ByBoth,
        r#"5:16: "my table" is no name of a table: 3 to 255 of A-Z a-z 0-9 _ . -; write the name as DynamoDB has it, for example table: warranties"#,
    ),
    (
        "table: warranties",
        "table: arn:aws:dynamodb:eu-west-1:123456789012:table/warranties",
        "table_name",
        ByBoth,
        r#"5:16: "arn:aws:dynamodb:eu-west-1:123456789012:table/warranties" is no name of a table: 3 to 255 of A-Z a-z 0-9 _ . -; write what follows the last slash: the table is in the stack's account and region"#,
    ),
    (
        "table: warranties",
        "table: warranties\n        index: by customer",
        "index_name",
        ByBoth,
        r#"6:16: "by customer" is no name of an index: 3 to 255 of A-Z a-z 0-9 _ . -; write the name as DynamoDB has it, for example index: by_customer"#,
    ),
    (
        "table: warranties",
        "table: warranties\n        position: [serial]",
        "unknown_key",
        ByBoth,
        r#"6:9: a lookup has no key "position"; write one of lookup, title, description, table, index, key, sort, filter, order, page, rows, returns, rename, mask, not_found"#,
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }\n        ",
        "",
        "missing_key",
        ByBoth,
        "4:9: a lookup needs key; write key: { serial_number: { title: Serial number, description: As printed on the box } }",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: serial",
        "wrong_type",
        ByBoth,
        "6:14: key is a text, not a mapping; write key: { serial_number: { title: Serial number, description: As printed on the box } }",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: {}",
        "key_count",
        ByBoth,
        "6:9: key has 0 attributes; write the partition key of the table or index, and after it the sort key if the whole key is needed",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { a: { title: A, description: A }, b: { title: B, description: B }, c: { title: C, description: C } }",
        "key_count",
        ByBoth,
        "6:9: key has 3 attributes; write the partition key of the table or index, and after it the sort key if the whole key is needed",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: string }",
        "wrong_type",
        ByBoth,
        "6:24: serial is a text, not a mapping; write serial: { title: Serial number, description: As printed on the box }",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: }",
        "no_value",
        ByBoth,
        "6:16: serial has no value; write serial: { title: Serial number, description: As printed on the box }",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: { description: As printed } }",
        "missing_key",
        ByBoth,
        "6:24: an argument needs title; write title: Serial number",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: { title: Serial } }",
        "missing_key",
        ByBoth,
        "6:24: an argument needs description; write description: As printed on the box",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        r#"key: { serial: { title: Serial, description: "a\nb" } }"#,
        "several_lines",
        ByBoth,
        "6:54: description has several lines; write it in one line; to break a long one, write >- and indent the lines below",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: { title: Serial, description: As printed, type: text } }",
        "unknown_type",
        ByBoth,
        r#"6:72: "text" is no type; write string"#,
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: { title: Serial, description: As printed, type: list } }",
        "unknown_type",
        ByBoth,
        r#"6:72: "list" is no type; write one of string, integer, number, boolean"#,
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: { title: Serial, description: As printed, type: boolean } }",
        "key_type",
        ByBoth,
        "6:72: a key attribute is a text or a number, never a boolean; write type: string, type: integer or type: number",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: { title: Serial, description: As printed, condition: equals } }",
        "unknown_key",
        ByBoth,
        r#"6:66: an argument has no key "condition"; write one of title, description, type, pattern, enum"#,
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        r#"key: { serial: { title: Serial, description: As printed, pattern: "^[A-Z$" } }"#,
        "pattern_invalid",
        ByReader,
        r#"6:75: pattern is no regular expression (non-empty character class has no closing bracket); write one such as "^[A-Z0-9]{8,16}$""#,
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        r#"key: { serial: { title: Serial, description: As printed, pattern: "[A-Z]+" } }"#,
        "pattern_not_anchored",
        ByBoth,
        "6:75: pattern does not go from ^ to $, so it would match inside a longer text; write pattern: '^[A-Z]+$'",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        r#"key: { serial: { title: Serial, description: As printed, pattern: "^A|B$" } }"#,
        "pattern_not_anchored",
        ByReader,
        "6:75: pattern has a | outside of parentheses, so ^ belongs to one side of it and $ to the other; write pattern: '^(?:A|B)$'",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        r#"key: { serial: { title: Serial, description: As printed, pattern: "^(?=A)[A-Z]+$" } }"#,
        "pattern_not_portable",
        ByReader,
        "6:75: pattern looks ahead or behind; write it with plain classes, repetitions and groups: [A-Z], [0-9]{8}, (?:A|B)",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        r"key: { serial: { title: Serial, description: As printed, pattern: '^([A-Z])\1$' } }",
        "pattern_not_portable",
        ByReader,
        r"6:75: pattern refers back to a group (\1); write it with plain classes, repetitions and groups: [A-Z], [0-9]{8}, (?:A|B)",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: { title: Serial, description: As printed, pattern: '^(?i)a$' } }",
        "pattern_not_portable",
        ByReader,
        "6:75: pattern has flags, named groups or classes that not every client knows; write it with plain classes, repetitions and groups: [A-Z], [0-9]{8}, (?:A|B)",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: { title: Serial, description: As printed, pattern: '^[A-Z]$', enum: [A] } }",
        "pattern_and_enum",
        ByBoth,
        "6:66: pattern and enum are both here, and enum says all; leave one of them out",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: { title: Serial, description: As printed, type: integer, enum: ['1'] } }",
        "only_of_texts",
        ByBoth,
        "6:81: enum is for texts, and this is of another type; leave enum out, or write type: string",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: { title: Serial, description: As printed, type: number, pattern: '^1$' } }",
        "only_of_texts",
        ByBoth,
        "6:80: pattern is for texts, and this is of another type; leave pattern out, or write type: string",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: { title: Serial, description: As printed, enum: [] } }",
        "enum_empty",
        ByBoth,
        "6:66: enum allows nothing; write the texts that are allowed, or leave the key out",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: { title: Serial, description: As printed, enum: [A, B, A] } }",
        "duplicate_entry",
        ByBoth,
        r#"6:79: enum has "A" twice; leave one of them out"#,
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: { title: Serial, description: As printed, enum: [1] } }",
        "wrong_type",
        ByBoth,
        r#"6:73: enum is a number, not a text; put it in quotes: write "1""#,
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { serial: { title: Serial, description: As printed, enum: A } }",
        "wrong_type",
        ByBoth,
        "6:72: enum is a text, not a list; write enum: [A]",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        r#"key: { "Serial No": { title: Serial, description: As printed } }"#,
        "property_name",
        ByReader,
        r#"6:16: the attribute "Serial No" cannot be the name of an argument; write rename: { "Serial No": serial_no } beside it"#,
    ),
    (
        "",
        r#"rename: { "": product }"#,
        "attribute_name",
        ByBoth,
        r#"8:19: "" is no name of an attribute: 1 to 255 bytes; write the name as the table has it"#,
    ),
    (
        "",
        "sort: { at: { title: Time, description: Time } }",
        "missing_key",
        ByBoth,
        "8:21: a sort argument needs condition; write condition: between",
    ),
    (
        "",
        "sort: { at: { title: Time, description: Time, condition: like } }",
        "unknown_word",
        ByBoth,
        r#"8:66: condition cannot be "like"; write one of equals, begins_with, at_least, at_most, between"#,
    ),
    (
        "",
        "sort: { at: { title: Time, description: Time, condition: begins_with, type: number } }",
        "condition_of_number",
        ByBoth,
        "8:66: begins_with compares texts, and this is a number; write equals, at_least, at_most or between",
    ),
    (
        "",
        "sort: { at: { title: Time, description: Time, condition: equals, required: yes } }",
        "wrong_type",
        ByBoth,
        "8:84: required is a text, not true or false; write required: true, without quotes",
    ),
    (
        "",
        "sort: { at: { title: Time, description: Time, condition: equals, type: boolean } }",
        "key_type",
        ByBoth,
        "8:80: a key attribute is a text or a number, never a boolean; write type: string, type: integer or type: number",
    ),
    (
        "",
        "sort: { at: { title: A, description: A, condition: equals }, on: { title: B, description: B, condition: equals } }",
        "sort_count",
        ByBoth,
        "8:9: sort has 2 attributes, and a table or index has one sort key; write one, or leave sort out",
    ),
    (
        "",
        "sort: {}",
        "sort_count",
        ByBoth,
        "8:9: sort has 0 attributes, and a table or index has one sort key; write one, or leave sort out",
    ),
    (
        "",
        "sort: { serial: { title: Time, description: Time, condition: equals } }",
        "attribute_twice",
        ByReader,
        "8:17: serial is under key already; leave it out under sort",
    ),
    (
        "",
        "filter: { state: { title: State, description: State } }",
        "only_of_lists",
        ByBoth,
        "8:9: filter leaves rows out, and this lookup answers one item; write page: 20 for rows, or leave filter out",
    ),
    (
        "",
        "page: 20\n        filter: { serial: { title: State, description: State } }",
        "attribute_twice",
        ByReader,
        "9:19: serial is under key already; leave it out under filter",
    ),
    (
        "",
        "page: 20\n        sort: { at: { title: T, description: T, condition: between } }\n        filter: { at_from: { title: F, description: F } }",
        "argument_clash",
        ByReader,
        "10:19: at_from is the name of another argument or property of this tool; write rename: { at_from: another_name }",
    ),
    (
        "",
        "page: 20\n        filter: { cursor: { title: Cursor, description: Cursor } }",
        "argument_clash",
        ByReader,
        "9:19: cursor is the name of another argument or property of this tool; write rename: { cursor: another_name }",
    ),
    ("", "page: 0", "out_of_range", ByBoth, "8:15: page is 0, not a whole number from 1 to 100; write page: 1 or more"),
    (
        "",
        "page: 101",
        "out_of_range",
        ByBoth,
        "8:15: page is 101, not a whole number from 1 to 100; write page: 100 or less",
    ),
    ("", "page: all", "wrong_type", ByBoth, "8:15: page is a text, not a number; write page: 20"),
    (
        "",
        "rows: items",
        "only_of_lists",
        ByBoth,
        "8:9: rows names the property that holds rows, and this lookup answers one item; write page: 20 for rows, or leave rows out",
    ),
    (
        "",
        "page: 20\n        rows: count",
        "rows_clash",
        ByBoth,
        r#"9:15: rows is "count", and an answer has another property of that name; write another name, for example rows: orders"#,
    ),
    (
        "",
        "page: 20\n        rows: serial",
        "rows_clash",
        ByReader,
        r#"9:15: rows is "serial", and an answer has another property of that name; write another name, for example rows: orders"#,
    ),
    (
        "",
        "page: 20\n        rows: my rows",
        "property_name",
        ByBoth,
        r#"9:15: "my rows" is no name of a property: a letter, then up to 63 of A-Z a-z 0-9 _; write a name such as orders"#,
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { a: { title: A, description: A }, b: { title: B, description: B } }\n        order: newest_first",
        "order_without_query",
        ByBoth,
        "7:9: order is for several items, and this lookup reads one by its whole key; leave order out, or write page: 20 for rows",
    ),
    (
        "",
        "page: 20\n        order: latest_first",
        "unknown_word",
        ByBoth,
        r#"9:16: order cannot be "latest_first"; write one of newest_first, oldest_first"#,
    ),
    (
        "",
        "page: 20\n        not_found: There is none.",
        "not_found_of_list",
        ByBoth,
        "9:9: not_found is for one item, and a list without rows is an answer; leave not_found out, or page",
    ),
    (
        "",
        "not_found: There is no {serail}.",
        "not_found_argument",
        ByReader,
        "8:20: not_found has {serail}, and no argument has that name; write {serial}",
    ),
    (
        "",
        "not_found: There is no {product}.",
        "not_found_argument",
        ByReader,
        "8:20: not_found has {product}, and no argument has that name; write serial, in braces",
    ),
    (
        "",
        r#"not_found: "One.\nTwo.""#,
        "several_lines",
        ByBoth,
        "8:20: not_found has several lines; write it in one line; to break a long one, write >- and indent the lines below",
    ),
    (
        "",
        "rename: { validTo: valid_until }",
        "rename_unknown",
        ByReader,
        "8:28: nothing here is called valid_until, and validTo is asked for nowhere; write valid_until into returns, or leave it out",
    ),
    (
        "",
        "rename: { Product: products }",
        "rename_unknown",
        ByReader,
        "8:28: nothing here is called products, and Product is asked for nowhere; write product",
    ),
    (
        "",
        "rename: { product: item }",
        "rename_unknown",
        ByReader,
        "8:28: nothing here is called item, and product is asked for nowhere; write item in place of product in returns",
    ),
    ("", "rename: { serial: serial }", "rename_to_itself", ByReader, "8:27: serial is renamed to itself; leave it out"),
    (
        "",
        "rename: { serial: product, p: product }",
        "renamed_twice",
        ByReader,
        "8:39: two attributes are renamed to product; write another name",
    ),
    (
        "",
        "rename: { p: valid until }",
        "property_name",
        ByBoth,
        r#"8:22: "valid until" is no name of a property: a letter, then up to 63 of A-Z a-z 0-9 _; write valid_until"#,
    ),
    (
        "",
        "rename: { No: serial }",
        "rename_clash",
        ByReader,
        "8:23: serial is an attribute of key, sort or filter, which name attributes of the table; write No in its place there, or another name here",
    ),
    (
        "",
        "rename: [p, product]",
        "wrong_type",
        ByBoth,
        "8:17: rename is a list, not a mapping; write rename: { validTo: valid_until }",
    ),
    ("", "rename: { p: }", "no_value", ByBoth, "8:19: p has no value; write p: valid_until"),
    (
        "",
        "mask: [product, product]",
        "duplicate_entry",
        ByBoth,
        r#"8:25: mask has "product" twice; leave one of them out"#,
    ),
    ("", "mask: owner", "wrong_type", ByBoth, "8:15: mask is a text, not a list; write mask: [owner]"),
    ("", "mask: [7]", "wrong_type", ByBoth, r#"8:16: mask is a number, not a text; put it in quotes: write "7""#),
    (
        "",
        r#"description: """#,
        "empty_text",
        ByBoth,
        "8:22: description is empty; write description: Returns the warranty of one product, by its serial number., or leave the key out",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { a: { title: A, description: A }, b: { title: B, description: B } }\n        sort: { c: { title: C, description: C, condition: equals } }",
        "key_and_sort",
        ByBoth,
        "6:49: key has the sort key already, and sort is about the same one; leave the second attribute of key out, or sort",
    ),
    (
        "key: { serial: { title: Serial, description: As printed } }",
        "key: { count: { title: Count, description: Count } }\n        page: 10",
        "argument_clash",
        ByReader,
        "6:16: count is the name of another argument or property of this tool; write rename: { count: another_name }",
    ),
    (
        "returns: { product: string }",
        "",
        "missing_key",
        ByBoth,
        "4:9: a lookup needs returns; write returns: { product: string, covered: boolean }",
    ),
    (
        "returns: { product: string }",
        "returns: {}",
        "return_count",
        ByBoth,
        "7:9: returns has 0 properties; write 1 to 40, for example returns: { product: string, covered: boolean }",
    ),
    (
        "returns: { product: string }",
        "returns: [product]",
        "wrong_type",
        ByBoth,
        "7:18: returns is a list, not a mapping; write returns: { product: string, covered: boolean }",
    ),
    (
        "returns: { product: string }",
        "returns: { product: date }",
        "unknown_type",
        ByBoth,
        r#"7:29: "date" is no type; write string"#,
    ),
    (
        "returns: { product: string }",
        "returns: { product: sting }",
        "unknown_type",
        ByBoth,
        r#"7:29: "sting" is no type; write string"#,
    ),
    (
        "returns: { product: string }",
        "returns: { product: }",
        "no_value",
        ByBoth,
        "7:20: product has no value; write product: string",
    ),
    (
        "returns: { product: string }",
        "returns: { product: [string] }",
        "wrong_type",
        ByBoth,
        "7:29: product is a list, not a type; write one of string, integer, number, boolean",
    ),
    (
        "returns: { product: string }",
        r#"returns: { "product name": string }"#,
        "property_name",
        ByBoth,
        r#"7:20: "product name" is no name of a property: a letter, then up to 63 of A-Z a-z 0-9 _; write product_name here and rename: { "product name": product_name }"#,
    ),
    (
        "returns: { product: string }",
        "returns: { 1st: string }",
        "property_name",
        ByBoth,
        r#"7:20: "1st" is no name of a property: a letter, then up to 63 of A-Z a-z 0-9 _; write n_1st here and rename: { "1st": n_1st }"#,
    ),
    (
        "returns: { product: string }",
        "returns: { product: { type: string, unit: EUR } }",
        "unknown_key",
        ByBoth,
        r#"7:45: a property has no key "unit"; write one of type, description, words, default, required"#,
    ),
    (
        "returns: { product: string }",
        "returns: { product: { type: integer, words: { A: Apple } } }",
        "only_of_texts",
        ByBoth,
        "7:46: words is for texts, and this is of another type; leave words out, or write type: string",
    ),
    (
        "returns: { product: string }",
        "returns: { product: { words: { A: 1 } } }",
        "wrong_type",
        ByBoth,
        r#"7:43: A is a number, not a text; put it in quotes: write "1""#,
    ),
    (
        "returns: { product: string }",
        "returns: { product: { words: [A] } }",
        "wrong_type",
        ByBoth,
        "7:38: words is a list, not a mapping; write words: { S: Shipped, D: Delivered }",
    ),
    (
        "returns: { product: string }",
        "returns: { product: { type: integer, default: none } }",
        "wrong_type",
        ByBoth,
        "7:55: default is a text, not a whole number; write default: 0, or another type",
    ),
    (
        "returns: { product: string }",
        "returns: { product: { type: boolean, default: 0 } }",
        "wrong_type",
        ByBoth,
        "7:55: default is a number, not true or false; write default: false, or another type",
    ),
    (
        "returns: { product: string }",
        "returns: { product: { default: 5 } }",
        "wrong_type",
        ByBoth,
        r#"7:40: default is a number, not a text; put it in quotes: write "5""#,
    ),
    (
        "returns: { product: string }",
        "returns: { product: { type: number, default: } }",
        "no_value",
        ByBoth,
        "7:45: default has no value; write default: 0",
    ),
    (
        "returns: { product: string }",
        "returns: { product: { required: 1 } }",
        "wrong_type",
        ByBoth,
        "7:41: required is a number, not true or false; write required: true",
    ),
    (
        "returns: { product: string }",
        "returns: { covered: boolean }\n        mask: [covered]",
        "mask_not_text",
        ByReader,
        "8:16: covered is returned as a number or a boolean, and a mask leaves characters of a text; leave covered out of returns, or out of mask",
    ),
    (
        "returns: { product: string }",
        "returns: { product: string, p: string }\n        rename: { p: product }",
        "returned_twice",
        ByReader,
        "7:37: p is the attribute of product too; leave one of them out",
    ),
];

/// What is longer or more than it may be.
fn large() -> Vec<(String, &'static str, Refused, &'static str)> {
    let server = |line: &str| format!("{SERVER}    {line}\n");
    let lookup = |line: &str| format!("{LOOKUP}        {line}\n");
    let (tools, returns) = ("[get_order_status]", "{ product: string }");
    let pattern = format!("printed, pattern: '^{}$' }}", "a".repeat(500));
    let properties = |count: usize, name: &str| {
        (0..count).map(|index| format!("{name}{index:02}: string")).collect::<Vec<_>>().join(", ")
    };
    let name = "p".repeat(60);
    vec![
        (
            "#".repeat(1024 * 1024 + 1),
            "file_too_large",
            ByReader,
            "1:1: the file has more than 1 MiB; write the servers into several files",
        ),
        (
            format!("servers: {}{}", "[".repeat(40), "]".repeat(40)),
            "too_deep",
            ByReader,
            "1:41: lists and mappings are nested more than 32 deep; write it flatter: nothing here needs more than 8",
        ),
        (
            format!("servers:\n{}", "- x\n".repeat(101)),
            "server_count",
            ByBoth,
            "1:1: servers has 101 servers; write 1 to 100 servers, each beginning with - name: orders",
        ),
        (
            server(&format!("title: {}", "x".repeat(81))),
            "text_too_long",
            ByBoth,
            "4:12: title has 81 characters; write at most 80",
        ),
        (
            server(&format!("description: {}", "x".repeat(1_000))),
            "text_too_long",
            ByBoth,
            "4:18: description has 1000 characters; write at most 999",
        ),
        (
            server(&format!("instructions: {}", "x".repeat(4_001))),
            "text_too_long",
            ByBoth,
            "4:19: instructions has 4001 characters; write at most 4000",
        ),
        (
            SERVER.replace(tools, &format!("[{}]", vec!["x"; 61].join(", "))),
            "tool_count",
            ByBoth,
            "3:5: tools has 61 tools; write 1 to 60 tools, or several servers",
        ),
        (
            LOOKUP.replace("get_warranty", &"a".repeat(65)),
            "tool_name",
            ByBoth,
            "4:17: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" is no name of a tool: 1 to 64 of a-z 0-9 _; write a name such as get_warranty",
        ),
        (
            lookup(&format!("title: {}", "x".repeat(81))),
            "text_too_long",
            ByBoth,
            "8:16: title has 81 characters; write at most 80",
        ),
        (
            LOOKUP.replace("printed }", &pattern),
            "pattern_too_long",
            ByBoth,
            "6:75: pattern has more than 500 characters; write a shorter one: it need not describe every case",
        ),
        (
            LOOKUP.replace(returns, &format!("{{ {} }}", properties(41, "p"))),
            "return_count",
            ByBoth,
            "7:9: returns has 41 properties; write 1 to 40, for example returns: { product: string, covered: boolean }",
        ),
        (
            LOOKUP.replace(returns, &format!("{{ {} }}", properties(40, &name))),
            "made_description",
            ByReader,
            "7:9: the description that is made of the names of all properties is too long; write description: and what the tool does, in less than 1,000 characters",
        ),
    ]
}

/// All of them: the file, the code, by whom it is refused, and what is said.
/// Changes of `CRM`.
const CRMS: &[Case] = &[
    (
        "tools: [executeQuery]",
        "tools: [execute_query]",
        "unknown_tool",
        ByBoth,
        r#"4:13: no tool "execute_query" ships with Northstar; write executeQuery"#,
    ),
    (
        "tools: [executeQuery]",
        "tools: [salesforce_list_contact]",
        "unknown_tool",
        ByBoth,
        r#"4:13: no tool "salesforce_list_contact" ships with Northstar; write salesforce_list_contacts"#,
    ),
    (
        "    org: sales\n",
        "",
        "org_missing",
        ByBoth,
        "3:13: the tool executeQuery works on a Salesforce org, and the server names none; write org: and the name that `northstar org add` gave it, beside tools",
    ),
    (
        "org: sales",
        "org: Sales",
        "org_name",
        ByBoth,
        r#"3:10: "Sales" is no name of an org: a lower-case letter, then up to 39 of a-z 0-9 -; write it as `northstar org list` shows it"#,
    ),
    ("org: sales", "org:", "no_value", ByBoth, "3:5: org has no value; write org: sales"),
    (
        "tools: [executeQuery]",
        "tools: [get_order_status]",
        "org_unused",
        ByBoth,
        "3:5: org is for Salesforce tools, and the server has none; leave it out, or add a tool such as executeQuery",
    ),
    (
        "    org: sales\n    tools: [executeQuery]",
        "    tools: [get_order_status]\n    guard: {}",
        "org_unused",
        ByBoth,
        "4:5: guard is for Salesforce tools, and the server has none; leave it out, or add a tool such as executeQuery",
    ),
    ("", "guard: { delete: true }", "unknown_key", ByBoth, r#"5:14: guard has no key "delete"; write deletes"#),
    (
        "",
        "guard: [deletes]",
        "wrong_type",
        ByBoth,
        "5:12: guard is a list, not a mapping; write guard: { max_rows: 50 }",
    ),
    (
        "",
        "guard: { deletes: yes }",
        "wrong_type",
        ByBoth,
        "5:23: deletes is a text, not true or false; write deletes: true, without quotes",
    ),
    (
        "",
        "guard: { max_rows: 201 }",
        "out_of_range",
        ByBoth,
        "5:24: max_rows is 201, not a whole number from 1 to 200; write max_rows: 200 or less",
    ),
    (
        "",
        "guard: { max_bytes: 10 }",
        "out_of_range",
        ByBoth,
        "5:25: max_bytes is 10, not a whole number from 1000 to 1000000; write max_bytes: 1000 or more",
    ),
    (
        "",
        "guard: { writes_per_day: 0 }",
        "out_of_range",
        ByBoth,
        "5:30: writes_per_day is 0, not a whole number from 1 to 1000000000; write writes_per_day: 1 or more",
    ),
    (
        "",
        "guard: { confirm_above: 2.5 }",
        "out_of_range",
        ByBoth,
        "5:29: confirm_above is 2.5, not a whole number from 0 to 100000; write confirm_above: 2",
    ),
    (
        "",
        "guard: { objects: [Contact] }",
        "wrong_type",
        ByBoth,
        "5:23: objects is a list, not a mapping; write objects: { read: [Account, Contact], write: [Contact] }",
    ),
    (
        "",
        "guard: { objects: { reads: [Contact] } }",
        "unknown_key",
        ByBoth,
        r#"5:25: what may be read and written has no key "reads"; write read"#,
    ),
    (
        "",
        "guard: { objects: { read: Contact } }",
        "wrong_type",
        ByBoth,
        "5:31: read is a text, not a list; write read: [Contact]",
    ),
    (
        "",
        "guard: { objects: { read: [Account Contact] } }",
        "api_name",
        ByBoth,
        r#"5:32: "Account Contact" is no API name of an object or a field; write it as in Setup > Object Manager, such as Contact, Email or Level__c"#,
    ),
    (
        "",
        "guard: { objects: { read: [Contact, contact] } }",
        "duplicate_entry",
        ByReader,
        r#"5:41: read has "contact" twice: upper and lower case are the same; leave one of them out"#,
    ),
    (
        "",
        "guard: { fields: { Contact.Name: { read: [Id] } } }",
        "api_name",
        ByBoth,
        r#"5:24: "Contact.Name" is no API name of an object or a field; write it as in Setup > Object Manager, such as Contact, Email or Level__c"#,
    ),
    (
        "",
        "guard: { fields: { Contact: [Email] } }",
        "wrong_type",
        ByBoth,
        "5:33: Contact is a list, not a mapping; write Contact: { read: [Name], write: [Name] }",
    ),
    (
        "",
        "guard: { fields: { Contact: { read: [Account.Name] } } }",
        "api_name",
        ByBoth,
        r#"5:42: "Account.Name" is no API name of an object or a field; write it as in Setup > Object Manager, such as Contact, Email or Level__c"#,
    ),
    (
        "",
        "guard: { fields: { Contact: {}, contact: {} } }",
        "duplicate_entry",
        ByReader,
        r#"5:37: fields has "contact" twice: upper and lower case are the same; leave one of them out"#,
    ),
    (
        "",
        "guard: { objects: { read: [Contact], write: [] }, fields: { Kontakt: { read: [Email] } } }",
        "guard_object_unknown",
        ByReader,
        "5:65: fields names Kontakt, which objects allows neither to read nor to write; write an object of objects, or leave it out",
    ),
];

const HUB: &str = "\
servers:
  - name: hub
    upstreams:
      - name: sales
        tools: [soqlQuery, find]
";

/// Changes of a server of upstreams.
const HUBS: &[Case] = &[
    (
        "upstreams:\n      - name: sales\n        tools: [soqlQuery, find]",
        "upstreams: []",
        "upstream_count",
        ByBoth,
        "3:5: upstreams has 0 upstreams; write 1 to 20, each beginning with - name: sales, or leave the key out",
    ),
    (
        "- name: sales\n        tools",
        "- tools",
        "missing_key",
        ByBoth,
        "4:9: an upstream needs name; write name: sales",
    ),
    (
        "- name: sales",
        "- name: Sales",
        "upstream_name",
        ByBoth,
        r#"4:15: "Sales" is no name of an upstream; write it as `northstar upstream list` shows it"#,
    ),
    (
        "- name: sales",
        "- name: callback",
        "upstream_name",
        ByBoth,
        r#"4:15: "callback" is no name of an upstream; write it as `northstar upstream list` shows it"#,
    ),
    (
        "- name: sales\n",
        "- name: sales\n      - name: sales\n",
        "duplicate_upstream",
        ByReader,
        "5:9: the server has the upstream sales twice; write all of its tools into one entry",
    ),
    (
        "find]",
        "'two words']",
        "tool_name",
        ByBoth,
        r#"5:28: "two words" is no name of a tool: up to 64 of A-Z a-z 0-9 _ - .; write it as `northstar upstream show` shows it, without a prefix"#,
    ),
    (
        "[soqlQuery, find]",
        "[]",
        "tool_count",
        ByBoth,
        "5:9: tools has 0 tools; write 1 to 60 names, or leave the key out to take every accepted tool",
    ),
    ("find]", "soqlQuery]", "duplicate_entry", ByBoth, r#"5:28: tools has "soqlQuery" twice; leave one of them out"#),
    (
        "",
        "prefix: 'sales/'",
        "upstream_prefix",
        ByBoth,
        r#"6:17: "sales/" is no prefix of a tool's name: up to 32 of A-Z a-z 0-9 _ - .; write prefix: sales_"#,
    ),
    (
        "",
        "read_only: yes",
        "wrong_type",
        ByBoth,
        "6:20: read_only is a text, not true or false; write read_only: true, without quotes",
    ),
    (
        "",
        "scopes: { soqlQuery: mcp.reed }",
        "unknown_word",
        ByBoth,
        r#"6:30: soqlQuery cannot be "mcp.reed"; write mcp.read"#,
    ),
    (
        "",
        "scopes: { soqlquery: mcp.read }",
        "scope_of_unknown_tool",
        ByReader,
        r#"6:19: scopes names "soqlquery", which is not among tools; write soqlQuery"#,
    ),
    ("", "tool: [find]", "unknown_key", ByBoth, r#"6:9: an upstream has no key "tool"; write tools"#),
    (
        "    upstreams:",
        "    org: sales\n    upstreams:",
        "org_unused",
        ByBoth,
        "3:5: org is for Salesforce tools, and the server has none; leave it out, or add a tool such as executeQuery",
    ),
    (
        "    upstreams:",
        "    tools: []\n    upstreams:",
        "tool_count",
        ByBoth,
        "3:5: tools has 0 tools; write 1 to 60 tools, or several servers",
    ),
];

fn cases() -> Vec<(String, &'static str, Refused, &'static str)> {
    let mut cases = large();
    for (base, indent, changes) in [
        ("", "", FILES),
        (SERVER, "    ", SERVERS),
        (LOOKUP, "        ", LOOKUPS),
        (CRM, "    ", CRMS),
        (HUB, "        ", HUBS),
    ] {
        cases.extend(changes.iter().map(|(from, to, code, refused, said)| {
            assert!(base.contains(from), "{from}");
            let text = if from.is_empty() { format!("{base}{indent}{to}\n") } else { base.replacen(from, to, 1) };
            (text, *code, *refused, *said)
        }));
    }
    cases
}

#[test]
fn every_problem_has_its_place_and_says_what_to_write() {
    let cases = cases();
    assert!(cases.len() > 150, "{}", cases.len());
    for (text, code, _, said) in cases {
        let problems = Document::parse(&text).unwrap_err();
        let found: Vec<_> = problems.iter().map(|problem| (problem.code, problem.to_string())).collect();
        assert_eq!(found, [(code, said.to_owned())], "{text}");
    }
}

#[test]
fn the_schema_refuses_what_a_schema_can_express() {
    for (text, _, refused, said) in cases() {
        assert_eq!(schema_accepts(&text) == Some(false), refused == ByBoth, "{said}\n{text}");
    }
}

#[test]
fn all_problems_of_a_file_come_at_once_and_in_order() {
    let text = "\
servers:
  - timeout: 1m
    name: Orders
    title: &t Orders
    description: *t
    tools: [get_order, { lookup: a, table: b, returns: { c: date } }]
  - name: warranty
    tools: [get_order_status]
    limits: { burst: 0, per_tool: { x: 5 } }
";
    let problems = Document::parse(text).unwrap_err();
    let found: Vec<_> = problems.iter().map(|problem| format!("{} {}", problem.place, problem.code)).collect();
    assert_eq!(
        found,
        [
            "2:14 timeout_unit",
            "3:11 server_name",
            "4:12 anchor",
            "5:18 alias",
            "6:13 unknown_tool",
            "6:24 missing_key",
            "6:44 table_name",
            "6:61 unknown_type",
            "9:15 burst_without_per_client",
            "9:22 out_of_range",
            "9:37 per_tool_unknown",
            "9:40 rate",
        ]
    );
}

#[test]
fn the_page_explains_every_code() {
    let used: BTreeSet<&str> = cases().into_iter().map(|(_, code, ..)| code).collect();
    let (_, table) = PAGE.split_once("\n## Problems in a file\n").unwrap();
    let explained: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| row.split_once("` |"))
        .map(|(code, _)| code)
        .collect();
    assert_eq!(used, explained);
}
