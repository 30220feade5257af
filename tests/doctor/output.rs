//! What the doctor prints, and how it ends.

use black_box::shared;
use std::sync::Arc;

use crate::stage::{Change, run, stage};

#[test]
fn a_line_a_finding_and_more_for_what_is_wrong() {
    let server = shared();
    let (code, output, errors) = run(&server.url, server.home(), &[], &[]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let lines: Vec<&str> = output.lines().collect();
    let (findings, rest) = lines.split_at(lines.iter().position(|line| line.is_empty()).unwrap());
    assert!(findings.iter().all(|line| line.starts_with("PASS  ")), "{output}");
    assert_eq!(rest[1], format!("{} passed, 0 warned, 0 failed", findings.len()));
    assert!(output.contains("no tool was called") && output.contains("no expired token was tried"), "{output}");

    let (code, output, _) = run(&server.url, server.home(), &["--scope", "mcp.admin"], &[]);
    assert_eq!(code, 1);
    let at = output.find("FAIL  token_body.invalid_scope").unwrap();
    let lines: Vec<&str> = output[at..].lines().skip(1).take(3).collect();
    assert!(lines[0].starts_with("      seen   400 application/json, invalid_scope"), "{output}");
    assert!(lines[1].starts_with("      cause  ") && lines[2].contains("→ Edit → Scope: mcp.read"), "{output}");
    assert!(output.contains("(because of token_body.invalid_scope)"), "{output}");
}

#[test]
fn help_says_what_it_does() {
    let server = shared();
    let (code, output, _) = run(&server.url, server.home(), &["--help"], &[]);
    assert!(code == 0 && output.contains("Usage: northstar doctor [OPTIONS] [URL]"), "{output}");
    assert!(output.contains("One request has a wrong") && !output.contains("--time-scale"), "{output}");
}

#[test]
fn a_server_cannot_write_to_the_terminal() {
    let stage = stage();
    let change: Change = Arc::new(|asked, answered| {
        if asked.is_token() {
            let error = r#"{"error":"\u001b[31mred\u001b[0m\r\n\u202eevil"}"#;
            answered.replace(400, "application/json", error);
        }
    });
    let findings = stage.find(&[], change);
    let seen = findings.get("token_body.refused")["seen"].as_str().unwrap();
    assert!(seen.contains("red") && !seen.chars().any(|c| c.is_control() || c == '\u{202e}'), "{seen:?}");
}

#[test]
fn warnings_alone_end_with_0() {
    let change: Change = Arc::new(|asked, answered| {
        if asked.path == "/mcp" && asked.method == "DELETE" {
            answered.status = 400;
        }
    });
    assert_eq!(stage().expect("a warning", change, &["delete.status"]).code, 0);
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    let server = shared();
    for (url, arguments, environment, says) in [
        ("mcp.example.com", &[][..], &[][..], "starts with https://"),
        ("ftp://mcp.example.com", &[], &[], "starts with https://"),
        ("https://mcp.example.com/mcp", &[], &[], "without /mcp"),
        ("https://mcp.example.com/token", &[], &[], "without /mcp"),
        ("https://user:secret@mcp.example.com", &[], &[], "no credentials in a URL"),
        ("https://mcp.example.com", &["--server", "NO WHERE"], &[], "no MCP server"),
        ("https://mcp.example.com", &["--call", "tool", "argument"], &[], "key=value"),
        ("https://mcp.example.com", &["--ca", "/no/such/file"], &[], "no file of certificates"),
        ("https://mcp.example.com", &["--expired-token", "/no/such/file"], &[], "cannot be read"),
        ("https://mcp.example.com", &["--time-scale", "0"], &[], "factor"),
        ("https://mcp.example.com", &[], &[("NORTHSTAR_CLIENT_ID", "a")], "set both"),
    ] {
        let (code, output, errors) = run(url, server.home(), arguments, environment);
        assert_eq!((code, output.as_str()), (2, ""), "{url} {arguments:?}: {errors}");
        assert!(errors.contains(says) && !errors.contains("secret@"), "{url} {arguments:?}: {errors}");
    }
}
