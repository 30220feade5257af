//! Very many texts in queries of ours, read back by a parser of others: no text gets out of its literal.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use black_box::{report, repository};
use salesforce::soql::{Condition, Literal, Operator, Order, Pattern, Query};
use salesforce::{FieldPath, ObjectName};
use serde_json::{Value, json};

use crate::{count, seed};

/// Texts in a query.
const TEXTS: usize = 10;

/// What is put together to texts: whatever means something to a reader of SOQL, of JSON or of URLs.
const PARTS: [&str; 44] = [
    "'",
    "\"",
    "\\",
    "\\'",
    "\\\\",
    "''",
    "%",
    "_",
    "\n",
    "\r",
    "\t",
    "\u{0}",
    "\u{8}",
    "\u{c}",
    "\u{1b}",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    "\u{200b}",
    "\u{202e}",
    "\u{feff}",
    "\u{2019}",
    "\u{ff07}",
    "\u{1f600}",
    "\u{301}",
    "\\u0027",
    "\\n",
    "' OR Name != '",
    "') LIMIT 1",
    " AND ",
    "--",
    "/*",
    "*/",
    "//",
    "//\n",
    "(SELECT Id FROM Contacts)",
    ";",
    "{0}",
    ":x",
    "&q=",
    "%27",
    "NULL",
    " ",
];

#[test]
fn no_text_gets_out_of_its_literal() {
    let (texts, seed) = (count(20_000, 1_000_000), seed());
    let script = repository().join("tests/soql-parser/read.mjs");
    let folder = repository().join(".tools/soql-parser");
    assert!(folder.join("node_modules").exists(), "run `.ci/tools soql-parser` first");
    let mut node = Command::new(repository().join(".tools/conformance/node"))
        // Packages are looked for beside the script.
        .args(["--input-type=module", "--eval", &std::fs::read_to_string(script).unwrap()])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Node.js starts");
    let (to_node, from_node) = (node.stdin.take().unwrap(), node.stdout.take().unwrap());
    let start = Instant::now();
    let writer = std::thread::spawn(move || {
        let (mut random, mut to_node) = (fastrand::Rng::with_seed(seed), BufWriter::new(to_node));
        for _ in 0..texts / TEXTS {
            let query = query(&texts_of(&mut random)).render().unwrap();
            writeln!(to_node, "{}", json!(query)).unwrap();
        }
        to_node.flush().unwrap();
    });
    // The same seed gives the same texts again.
    let mut random = fastrand::Rng::with_seed(seed);
    let mut read = 0;
    for line in BufReader::new(from_node).lines() {
        let (seen, texts): (Value, _) = (serde_json::from_str(&line.unwrap()).unwrap(), texts_of(&mut random));
        assert_eq!(seen, expected(&texts), "seed {seed}, query {read}: {:?}", query(&texts).render());
        read += 1;
    }
    writer.join().unwrap();
    assert!(node.wait().unwrap().success());
    assert_eq!(read, texts / TEXTS);
    report(&format!(
        "SOQL of ours with {texts} random texts, read by soql-parser-js: 0 break-outs, every text read back ({:.0} s, seed {seed})",
        start.elapsed().as_secs_f64()
    ));
}

fn texts_of(random: &mut fastrand::Rng) -> [String; TEXTS] {
    std::array::from_fn(|_| text(random))
}

fn text(random: &mut fastrand::Rng) -> String {
    let most = if random.u8(..) == 0 { 400 } else { 12 };
    let mut text = String::new();
    for _ in 0..random.usize(..=most) {
        match random.u8(..8) {
            0 => text.push(random.char(..)),
            1 => text.push(random.char('\u{0}'..'\u{a0}')),
            2 => text.push(random.alphanumeric()),
            _ => text.push_str(random.choice(PARTS).unwrap()),
        }
    }
    // The longest literal has 4,000 characters; an escape of one is six.
    text.chars().take(600).collect()
}

fn field(name: &str) -> FieldPath {
    FieldPath::parse(name).unwrap()
}

fn query(texts: &[String; TEXTS]) -> Query {
    let text = |at: usize| Literal::Text(texts[at].clone());
    let compare = |name, operator, at| Condition::Compare(field(name), operator, text(at));
    let condition = Condition::All(vec![
        compare("LastName", Operator::Equal, 0),
        Condition::Like(field("Email"), Pattern::contains(&texts[1])),
        Condition::In(field("Account.Name"), vec![text(2), text(3), text(4)]),
        Condition::Any(vec![
            compare("FirstName", Operator::NotEqual, 5),
            Condition::Like(field("Title"), Pattern::starts_with(&texts[6])),
            compare("Name", Operator::Less, 7),
            compare("Name", Operator::GreaterOrEqual, 8),
        ]),
        compare("Phone", Operator::Equal, 9),
    ]);
    Query {
        fields: vec![field("Id"), field("Account.Name")],
        object: ObjectName::parse("Contact").unwrap(),
        condition: Some(condition),
        order: vec![Order { field: field("Name"), descending: true }],
        limit: 10,
        offset: 0,
    }
}

/// What a reader of the query sees if every text is one literal.
fn expected(texts: &[String; TEXTS]) -> Value {
    let condition = |name: &str, operator: &str, texts: Value, open: u8, close: u8, join: Option<&str>| {
        let mut condition =
            json!({ "field": name, "operator": operator, "texts": texts, "open": open, "close": close });
        if let Some(join) = join {
            condition["join"] = json!(join);
        }
        condition
    };
    let (and, or) = (Some("AND"), Some("OR"));
    json!({
        "fields": ["Id", "Account.Name"],
        "sObject": "Contact",
        "where": [
            condition("LastName", "=", json!([texts[0]]), 1, 0, and),
            condition("Email", "LIKE", json!([format!("%{}%", pattern(&texts[1]))]), 0, 0, and),
            condition("Account.Name", "IN", json!([texts[2], texts[3], texts[4]]), 0, 0, and),
            condition("FirstName", "!=", json!([texts[5]]), 1, 0, or),
            condition("Title", "LIKE", json!([format!("{}%", pattern(&texts[6]))]), 0, 0, or),
            condition("Name", "<", json!([texts[7]]), 0, 0, or),
            condition("Name", ">=", json!([texts[8]]), 0, 1, and),
            condition("Phone", "=", json!([texts[9]]), 0, 1, None),
        ],
        "orderBy": [{ "field": "Name", "order": "DESC", "nulls": "LAST" }],
        "limit": 10,
    })
}

/// A text as a pattern in which nothing is a wildcard.
fn pattern(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
