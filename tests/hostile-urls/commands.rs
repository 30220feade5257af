//! `northstar upstream add`, where an operator may be handed such a URL.

use std::process::{Command, Stdio};

use black_box::{binary, shared};

use crate::{Counter, urls};

/// The options that take a URL.
const OPTIONS: [&str; 6] = ["--url", "--issuer", "--authorize-url", "--token-url", "--revoke-url", "--result-page"];

#[tokio::test(flavor = "multi_thread")]
async fn no_command_registers_a_hostile_url() {
    let (counter, server) = (Counter::start().await, shared());
    // No argument of a program has a NUL.
    let urls = urls(counter.port).into_iter().filter(|url| !url.contains('\0'));
    for (number, hostile) in urls.enumerate() {
        let option = OPTIONS[number % OPTIONS.len()];
        let url = if option == "--url" { &hostile } else { "https://mcp.example.com/mcp" };
        let mut command = Command::new(binary("northstar"));
        command.args(["upstream", "add", "hostile", "--client-id", "client", &format!("--url={url}")]);
        if option != "--url" {
            command.arg(format!("{option}={hostile}"));
        }
        let output = command.arg("--home").arg(server.home()).stdin(Stdio::null()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{option} {hostile:?}: {errors}");
        assert!(output.stdout.is_empty() && errors.contains(option), "{option} {hostile:?}: {errors}");
    }
    assert_eq!(counter.count().await, 0);
}
