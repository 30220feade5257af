//! Malformed events, bodies and headers, structure-aware and random.

use std::time::{Duration, Instant};

use black_box::in_process::{InProcess, event};
use black_box::report;
use fastrand::Rng;
use http_api::Answer;
use serde_json::{Map, Value, json};

use crate::{count, is_full, seed};

/// Statuses that a bad request may end with; none of them is ours to be ashamed of.
const ALLOWED: [u16; 12] = [200, 202, 400, 401, 403, 404, 405, 406, 413, 415, 421, 429];
const SLOW: Duration = Duration::from_millis(50);

#[tokio::test]
async fn malformed_requests_never_panic_fail_or_hang() {
    let (count, seed) = (count(20_000, 1_000_000), seed());
    request_log::write_to(std::io::sink());
    let folder = tempfile::tempdir().unwrap();
    let functions = InProcess::start(folder.path()).await;
    let token = functions.access_token().await;
    let mut maker = Maker { rng: Rng::with_seed(seed), token, client_secret: functions.client_secret.clone() };

    let (mut statuses, mut slow, mut slowest) = ([0_u64; 600], 0_u64, Duration::ZERO);
    let mut memory_before = 0;
    let start = Instant::now();
    for index in 0..count {
        let (target, event) = maker.request();
        let (answer, took) = ask(&functions, &target, &event).await;
        let status = answer.status_code();
        assert!(ALLOWED.contains(&status), "status {status} for request {index} of seed {seed}: {event}");
        let body = answer.body();
        assert!(
            body.is_empty() || serde_json::from_str::<Value>(body).is_ok(),
            "request {index} of seed {seed} is answered with what is not JSON: {body}"
        );
        statuses[usize::from(status)] += 1;
        slowest = slowest.max(took);
        slow += u64::from(took > SLOW && is_slow_again(&functions, &target, &event).await);
        if index == count / 10 {
            memory_before = resident_memory();
        }
    }
    let growth = resident_memory() as f64 / memory_before as f64 - 1.0;
    let seen: Vec<String> = (0..600)
        .filter(|&status| statuses[status] > 0)
        .map(|status| format!("{status}: {}", statuses[status]))
        .collect();
    report(&format!(
        "{count} malformed requests, seed {seed}: 0 panics, 0 answers 5xx, {slow} that take over 50 ms each time (slowest once {slowest:.1?}), \
         memory {:+.1} %, {:.0} a second; {}",
        growth * 100.0,
        count as f64 / start.elapsed().as_secs_f64(),
        seen.join(", ")
    ));
    for status in [200, 400, 401, 404] {
        assert!(statuses[status] > 0, "the requests reach every kind of answer, {status} among them");
    }
    if is_full() {
        assert_eq!(slow, 0, "slowest {slowest:?}");
        assert!(growth < 0.05, "memory grew by {:.1} %", growth * 100.0);
    }
}

async fn ask(functions: &InProcess, target: &Target, event: &str) -> (Answer, Duration) {
    let began = Instant::now();
    let answer = match target {
        Target::Token => functions.token_answer(event).await,
        Target::Mcp => functions.mcp_answer(event).await,
    };
    (answer, began.elapsed())
}

/// Whether a request is slow for a reason of its own, and not for what else the machine does.
async fn is_slow_again(functions: &InProcess, target: &Target, event: &str) -> bool {
    for _ in 0..3 {
        if ask(functions, target, event).await.1 <= SLOW {
            return false;
        }
    }
    true
}

fn resident_memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse().unwrap()
}

enum Target {
    Token,
    Mcp,
}

struct Maker {
    rng: Rng,
    token: String,
    client_secret: String,
}

impl Maker {
    fn request(&mut self) -> (Target, String) {
        match self.rng.u8(0..10) {
            0 => (self.target(), self.any_text(300)),
            1 => {
                let value = self.any_value(4);
                (self.target(), value.to_string())
            }
            2 | 3 => {
                let mut event = if self.rng.bool() { self.token_event() } else { self.mcp_event() };
                self.mutate(&mut event);
                (self.target(), event.to_string())
            }
            4 => {
                let text = if self.rng.bool() { self.token_event() } else { self.mcp_event() }.to_string();
                (self.target(), self.break_text(&text))
            }
            5 | 6 => (Target::Token, self.token_event().to_string()),
            _ => (Target::Mcp, self.mcp_event().to_string()),
        }
    }

    fn target(&mut self) -> Target {
        if self.rng.bool() { Target::Token } else { Target::Mcp }
    }

    fn token_event(&mut self) -> Value {
        let secret = self.client_secret.clone();
        let mut pairs = vec![
            ("grant_type".to_owned(), "client_credentials".to_owned()),
            ("client_id".to_owned(), "soak".to_owned()),
            ("client_secret".to_owned(), secret),
        ];
        for _ in 0..self.rng.usize(0..4) {
            let names = ["scope", "resource", "client_id", "grant_type", "client_assertion", "foo"];
            let name = names[self.rng.usize(0..names.len())].to_owned();
            let value = self.any_text(40);
            let at = self.rng.usize(0..=pairs.len());
            pairs.insert(at, (name, value));
        }
        if self.rng.bool() {
            let at = self.rng.usize(0..pairs.len());
            pairs[at].1 = self.any_text(60);
        }
        let form: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut form = form.join("&");
        if self.rng.u8(0..4) == 0 {
            form = self.break_text(&form);
        }
        let headers = self.headers("application/x-www-form-urlencoded");
        event("POST", "/token", headers, &form)
    }

    fn mcp_event(&mut self) -> Value {
        let mut message = self.message();
        for _ in 0..self.rng.usize(0..3) {
            self.mutate(&mut message);
        }
        let mut body = message.to_string();
        if self.rng.u8(0..5) == 0 {
            body = self.break_text(&body);
        }
        let mut headers = self.headers("application/json");
        if self.rng.u8(0..8) > 0 {
            headers["authorization"] = json!(format!("Bearer {}", self.token));
        }
        let paths = ["/mcp", "/mcp", "/mcp", "/mcp", "/mcp/orders", "/mcp/default", "/mcp/\u{e9}", "/readyz"];
        event("POST", paths[self.rng.usize(0..paths.len())], headers, &body)
    }

    fn message(&mut self) -> Value {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let messages = [
            json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }),
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} }),
            json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
            json!({ "jsonrpc": "2.0", "id": "a", "method": "initialize", "params": {
                "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" } } }),
            json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
                "name": "get_order_status", "arguments": { "order_id": "1001" } } }),
            json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {
                "name": "list_customer_orders", "arguments": { "customer_id": "C-1", "cursor": "AAAA" }, "_meta": meta } }),
            json!({ "jsonrpc": "2.0", "id": 4, "method": "server/discover", "params": { "_meta": meta } }),
            json!([{ "jsonrpc": "2.0", "id": 1, "method": "ping" }, { "jsonrpc": "2.0", "method": "x" }, 7]),
        ];
        messages[self.rng.usize(0..messages.len())].clone()
    }

    fn headers(&mut self, content_type: &str) -> Value {
        let mut headers = Map::from_iter([("content-type".to_owned(), json!(content_type))]);
        let names = [
            "accept",
            "authorization",
            "content-type",
            "content-encoding",
            "host",
            "origin",
            "mcp-protocol-version",
            "mcp-method",
            "mcp-name",
            "mcp-session-id",
            "x-forwarded-for",
            "cookie",
        ];
        let versions = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28", "1999-01-01"];
        for _ in 0..self.rng.usize(0..3) {
            let name = names[self.rng.usize(0..names.len())];
            let value = match name {
                "mcp-protocol-version" => versions[self.rng.usize(0..versions.len())].to_owned(),
                _ => self.any_text(80),
            };
            headers.insert(name.to_owned(), json!(value));
        }
        Value::Object(headers)
    }

    /// Changes one place of a value: another value there, nothing there, or one more member.
    fn mutate(&mut self, value: &mut Value) {
        match value {
            Value::Object(members) if !members.is_empty() && self.rng.u8(0..5) > 0 => {
                let name = members.keys().nth(self.rng.usize(0..members.len())).cloned().unwrap_or_default();
                match self.rng.u8(0..6) {
                    0 => drop(members.remove(&name)),
                    1 => drop(members.insert(self.any_text(12), self.any_value(2))),
                    _ => self.mutate(&mut members[&name]),
                }
            }
            Value::Array(items) if !items.is_empty() && self.rng.u8(0..5) > 0 => {
                let at = self.rng.usize(0..items.len());
                self.mutate(&mut items[at]);
            }
            other => *other = self.any_value(3),
        }
    }

    fn any_value(&mut self, depth: u32) -> Value {
        match self.rng.u8(0..if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.rng.bool()),
            2 => json!(self.rng.i64(..)),
            3 => json!(self.rng.f64() * 1e300),
            4 | 5 => json!(self.any_text(60)),
            6 => (0..self.rng.usize(0..4)).map(|_| self.any_value(depth - 1)).collect(),
            _ => {
                let members = (0..self.rng.usize(0..4)).map(|_| (self.any_text(10), self.any_value(depth - 1)));
                Value::Object(members.collect())
            }
        }
    }

    fn any_text(&mut self, most: usize) -> String {
        const PIECES: [&str; 20] = [
            "mcp.read",
            "mcp.write",
            ",",
            " ",
            "%",
            "%zz",
            "%00",
            "\u{0}",
            "\r\n",
            "\"",
            "\\",
            "../",
            "é",
            "\u{202e}",
            "\u{1f600}",
            "Bearer ",
            "Basic ",
            "https://mcp.example.com/mcp",
            "-1",
            "{}",
        ];
        let length = self.rng.usize(0..=most);
        let mut text = String::new();
        while text.len() < length {
            match self.rng.u8(0..3) {
                0 => text.push_str(PIECES[self.rng.usize(0..PIECES.len())]),
                1 => text.push(self.rng.alphanumeric()),
                _ => text.push(self.rng.char(..)),
            }
        }
        text
    }

    /// Cuts a text, doubles a part of it, or changes characters of it.
    fn break_text(&mut self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        match self.rng.u8(0..3) {
            0 => characters.truncate(self.rng.usize(0..=characters.len())),
            1 => {
                let from = self.rng.usize(0..=characters.len());
                let to = self.rng.usize(from..=characters.len());
                let part = characters[from..to].to_vec();
                characters.splice(from..from, part);
            }
            _ => {
                for _ in 0..self.rng.usize(1..6) {
                    if !characters.is_empty() {
                        let at = self.rng.usize(0..characters.len());
                        characters[at] = self.rng.char(..);
                    }
                }
            }
        }
        characters.into_iter().collect()
    }
}
