//! Chromium, as `browser.mjs` drives it.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::script;

/// One for all tests, which use it one after the other. It ends when its standard input does, and that is with the tests.
static BROWSER: LazyLock<Mutex<Browser>> = LazyLock::new(|| Mutex::new(Browser::start()));

/// Does something with a link, in a window without cookies; the page where that ends.
#[track_caller]
pub fn browse(scenario: &str, link: &str, shots: &str) -> Value {
    let page = BROWSER.lock().unwrap_or_else(PoisonError::into_inner).run(scenario, link, shots);
    assert!(page.get("failed").is_none(), "{scenario}: {}", page["failed"].as_str().unwrap_or_default());
    page
}

struct Browser {
    child: Child,
    pages: BufReader<ChildStdout>,
}

impl Browser {
    fn start() -> Browser {
        let mut command = script("browser.mjs");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Node.js starts");
        let pages = BufReader::new(child.stdout.take().unwrap());
        std::fs::create_dir_all(screenshots()).unwrap();
        Browser { child, pages }
    }

    fn run(&mut self, scenario: &str, link: &str, shots: &str) -> Value {
        let line = json!({ "scenario": scenario, "link": link, "shots": screenshots().join(shots) });
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        let mut page = String::new();
        self.pages.read_line(&mut page).unwrap();
        serde_json::from_str(&page).expect("the browser runs; what ended it is on standard error")
    }
}

/// Where screenshots go: `target/consent`.
fn screenshots() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).expect("tests are in target/<profile>/deps").join("consent")
}
