//! Clients that others made, unmodified: MCP clients from the first 401 by discovery to the answer of a tool, OAuth clients
//! with every method they have, JOSE libraries over our tokens.

mod inspector;
mod jose;
mod lookups;
mod oauth;
mod oauth2_crate;
mod python;
mod stdio;
mod typescript;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use black_box::key_pair::KeyPair;
use black_box::{Server, repository};
use serde_json::{Value, json};

/// What a client is told to speak, and what is then spoken.
const LEGACY: (&str, &str) = ("legacy", "2025-11-25");
const AUTO: (&str, &str) = ("auto", "2026-07-28");
const PINNED: (&str, &str) = ("2026-07-28", "2026-07-28");

const BASIC: &str = "client_secret_basic";
const POST: &str = "client_secret_post";
const PRIVATE_KEY_JWT: &str = "private_key_jwt";
const BEARER: &str = "bearer";

/// Discovery, then a token: the same in every mode, before anything is answered.
const FROM_401_TO_A_TOKEN: [&str; 4] = [
    "POST /mcp 401",
    "GET /.well-known/oauth-protected-resource/mcp 200",
    "GET /.well-known/oauth-authorization-server 200",
    "POST /token 200",
];

const TOOLS: [&str; 3] = ["get_order_status", "check_loyalty_points", "list_customer_orders"];
const NO_ORDER: &str = "There is no order no-such-order. Ask the customer to check the order number.";

fn order_1001() -> Value {
    json!({ "order_id": "1001", "status": "SHIPPED", "carrier": "UPS", "eta": "2026-07-03" })
}

/// A server that renames `WWW-Authenticate`, as API Gateway is reported to do; a client then has to find the metadata by
/// its path alone.
fn renaming() -> &'static Server {
    static RENAMING: OnceLock<Server> = OnceLock::new();
    RENAMING.get_or_init(|| Server::start(&["--remap-www-authenticate"]))
}

/// What came of a client's run.
struct Run {
    code: Option<i32>,
    output: String,
    errors: String,
}

/// Runs a client to its end.
fn run(command: &mut Command) -> Run {
    // A proxy of the machine is not for loopback.
    let output = command.env("NO_PROXY", "127.0.0.1").output().expect("the client starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the client writes UTF-8");
    Run { code: output.status.code(), output: text(output.stdout), errors: text(output.stderr) }
}

/// A program of a part of `.ci/tools`.
#[track_caller]
fn tool(part: &str, path: &str) -> PathBuf {
    let path = repository().join(".tools").join(path);
    assert!(path.exists(), "{} is missing: run `.ci/tools {part}` first", path.display());
    path
}

/// The Node.js that the clients run on, in the folder of their packages.
#[track_caller]
fn node() -> Command {
    let mut node = Command::new(tool("node-clients", "conformance/node"));
    node.current_dir(tool("node-clients", "node-clients/node_modules").parent().unwrap()).stdin(Stdio::null());
    node
}

/// What a client with a key of its own has in its environment.
fn key_credentials<'a>(client_id: &'a str, key: &'a KeyPair) -> [(&'static str, &'a str); 3] {
    [("CLIENT_ID", client_id), ("PRIVATE_KEY", &key.pem), ("ALGORITHM", key.alg())]
}

/// Asserts what a client's own script has printed: the way that it went, and what it got.
#[track_caller]
fn assert_got_an_order(run: &Run, auth: &str, revision: &str, renamed: bool) {
    assert_eq!(run.code, Some(0), "the client failed:\n{}", run.errors);
    let seen: Value = serde_json::from_str(&run.output).unwrap_or_else(|_| panic!("{}\n{}", run.output, run.errors));
    println!("{}: {auth}, {revision}, header {}", seen["client"], if renamed { "renamed" } else { "present" });

    let discovery = if auth == BEARER { &FROM_401_TO_A_TOKEN[..1] } else { &FROM_401_TO_A_TOKEN };
    let exchanges = seen["exchanges"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    let exchanges: Vec<&str> = exchanges.collect();
    let (first, rest) = exchanges.split_at(discovery.len());
    assert_eq!(first, discovery);
    // A legacy client asks for a stream of events, and is told that there is none.
    let usual = ["POST /mcp 200", "POST /mcp 202", "GET /mcp 405"];
    assert!(rest.iter().all(|line| usual.contains(line)), "{rest:?}");
    match seen["challenge"].as_str() {
        Some(challenge) => assert!(!renamed && challenge.starts_with("Bearer "), "{challenge}"),
        None => assert!(renamed, "no challenge"),
    }

    assert_eq!(seen["client_auth"], if auth == BEARER { Value::Null } else { json!(auth) });
    assert_eq!(seen["revision"], revision);
    assert_eq!(seen["tools"], json!(TOOLS));
    let (order, missing) = (&seen["results"][0], &seen["results"][1]);
    assert_eq!((&order["structured"], &order["is_error"]), (&order_1001(), &json!(false)));
    assert_eq!((&missing["text"], &missing["is_error"]), (&json!(NO_ORDER), &json!(true)));
}
