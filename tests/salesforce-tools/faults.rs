//! An org that fails in every way there is: an answer in time of the right class, nothing wrong, and the next call is fine.

use std::time::{Duration, Instant};

use black_box::salesforce::{Answer, Setup, World};
use registry::Timeout;
use salesforce_standin::{Fault, FaultKind};
use serde_json::json;

/// How long a call may take, in seconds, and what else an answer needs.
const TIMEOUT: u64 = 3;
const SLACK: Duration = Duration::from_secs(2);

/// A fault; the classes that a read and a write under it may have, `ok` among them; and whether a write is carried out.
struct Kind {
    name: &'static str,
    fault: FaultKind,
    read: &'static [&'static str],
    write: &'static [&'static str],
    is_written: bool,
}

fn status(status: u16, error_code: &str, after_effect: bool) -> FaultKind {
    FaultKind::Status {
        status,
        error_code: error_code.to_owned(),
        message: "TotalRequests Limit exceeded.".to_owned(),
        after_effect,
    }
}

fn kinds() -> Vec<Kind> {
    let kind = |name, fault, read, write, is_written| Kind { name, fault, read, write, is_written };
    vec![
        kind("slow", FaultKind::Latency { ms: 300 }, &["ok"], &["ok"], true),
        kind("locked row", status(400, "UNABLE_TO_LOCK_ROW", false), &["row_locked"], &["row_locked"], false),
        kind(
            "day's limit",
            status(403, "REQUEST_LIMIT_EXCEEDED", false),
            &["request_limit"],
            &["request_limit"],
            false,
        ),
        kind("unknown exception", status(500, "UNKNOWN_EXCEPTION", true), &["org_failed"], &["outcome_unknown"], true),
        kind("unavailable", status(503, "SERVER_UNAVAILABLE", false), &["org_failed"], &["outcome_unknown"], false),
        kind(
            "closed before",
            FaultKind::Close { after_effect: false },
            &["org_unreachable"],
            &["outcome_unknown"],
            false,
        ),
        kind("closed after", FaultKind::Close { after_effect: true }, &["org_unreachable"], &["outcome_unknown"], true),
        kind("silent before", FaultKind::Hang { after_effect: false }, SILENT, UNKNOWN, false),
        kind("silent after", FaultKind::Hang { after_effect: true }, SILENT, UNKNOWN, true),
        kind("half a body", FaultKind::HalfBody, &["org_unreachable", "answer_unreadable"], UNKNOWN, true),
        kind("byte by byte", FaultKind::SlowDrip { ms: 500 }, SILENT, UNKNOWN, true),
        kind("half of the JSON", FaultKind::TruncatedJson, &["answer_unreadable"], UNKNOWN, true),
        kind("HTML", FaultKind::Html, &["answer_unreadable"], UNKNOWN, true),
        kind("ten megabytes", FaultKind::HugeBody { bytes: 10 << 20 }, &["too_large"], UNKNOWN, true),
        kind("keys twice", FaultKind::DuplicateKeys, &["answer_unreadable"], UNKNOWN, true),
        kind("no body", FaultKind::EmptyBody, &["answer_unreadable"], UNKNOWN, true),
        kind(
            "redirect",
            FaultKind::Redirect { location: "http://127.0.0.1:9/".to_owned() },
            &["answer_unreadable", "salesforce_refused"],
            &["answer_unreadable", "salesforce_refused", "outcome_unknown"],
            false,
        ),
    ]
}

const SILENT: &[&str] = &["org_timed_out", "deadline_exceeded"];
const UNKNOWN: &[&str] = &["outcome_unknown"];

fn fault(method: &str, path: &str, kind: &FaultKind) -> Fault {
    // Every retry meets it too.
    Fault { times: 10, ..Fault::once(method, path, kind.clone()) }
}

#[track_caller]
fn assert_class(what: &str, answer: &Answer, classes: &[&str]) {
    let class = answer.code.as_deref().unwrap_or("ok");
    assert!(classes.contains(&class), "{what}: {answer:?}");
    assert!(answer.took < Duration::from_secs(TIMEOUT) + SLACK, "{what}: {answer:?}");
    assert!(class == "ok" || answer.text.len() > 20, "{what}: {answer:?}");
}

async fn world() -> World {
    World::start(Setup { timeout: Timeout::from_seconds(TIMEOUT).unwrap(), ..Setup::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_a_failing_org_is_answered_in_time_and_never_with_wrong_data() {
    let world = world().await;
    let query = json!({ "query": "SELECT Id, Name FROM Account ORDER BY Name LIMIT 3" });
    let right = world.answer("executeQuery", query.clone()).await;
    let mut wrong = Vec::new();
    for kind in kinds() {
        world.standin.inject(fault("GET", "/services/data/query", &kind.fault));
        let answer = world.call("executeQuery", query.clone()).await;
        world.standin.clear_faults();
        let class = answer.code.as_deref().unwrap_or("ok");
        if !kind.read.contains(&class) || answer.took > Duration::from_secs(TIMEOUT) + SLACK {
            wrong.push(format!("{}: {answer:?}", kind.name));
        }
        if class == "ok" {
            assert_eq!(answer.content, right, "{}", kind.name);
        }
        let next = world.call("executeQuery", query.clone()).await;
        assert_eq!((next.code, &next.content), (None, &right), "after {}: {}", kind.name, next.text);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_to_a_failing_org_is_sent_once_and_its_outcome_is_not_made_up() {
    let world = world().await;
    let sent = || world.standin.counters().requests("POST", "/services/data/sobjects/Contact");
    let created = || world.standin.counters().effects("Contact").created;
    let mut wrong = Vec::new();
    for (index, kind) in kinds().into_iter().enumerate() {
        let name = kind.name;
        let contact = json!({
            "LastName": format!("Fault {index}"),
            "Email": format!("fault{index}@example.com"),
            "idempotency_key": format!("fault {index}"),
        });
        let (sent_before, created_before) = (sent(), created());
        world.standin.inject(fault("POST", "/services/data/sobjects/Contact", &kind.fault));
        let answer = world.call("salesforce_create_contact", contact.clone()).await;
        world.standin.clear_faults();
        let class = answer.code.as_deref().unwrap_or("ok");
        if !kind.write.contains(&class) || answer.took > Duration::from_secs(TIMEOUT) + SLACK {
            wrong.push(format!("{name}: {answer:?}"));
        }
        let requests = sent() - sent_before;
        // The org says that it has not begun: only then is it asked again.
        let most = if name == "locked row" { 3 } else { 1 };
        assert!((1..=most).contains(&requests), "{name}: {requests} requests");
        assert_eq!(created() - created_before, u64::from(kind.is_written), "{name}");
        if class == "outcome_unknown" && !answer.text.contains("SELECT") {
            wrong.push(format!("{name}: without the query that tells: {answer:?}"));
        }

        // The same write again: done at most once.
        let again = world.call("salesforce_create_contact", contact).await;
        match (class, again.code.as_deref(), &again.content["state"]) {
            ("ok", None, state) => assert_eq!(state, "already_done", "{name}"),
            ("outcome_unknown", Some("outcome_unknown"), _) => {}
            ("ok" | "outcome_unknown", ..) => wrong.push(format!("{name}, again: {again:?}")),
            (_, None, state) => assert_eq!(state, "done", "{name}"),
            _ => wrong.push(format!("{name}, again: {again:?}")),
        }
        assert!(created() - created_before <= 1, "{name}: written twice");
        let other = world.call("salesforce_create_contact", json!({ "LastName": format!("After {index}") })).await;
        assert!(other.code.is_none(), "after {name}: {other:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_answer_that_names_another_host_gets_no_request_there() {
    let world = world().await;
    for url in ["https://evil.example", "http://169.254.169.254", "https://example.my.salesforce.com.evil.example"] {
        world.standin.inject(fault(
            "POST",
            "/services/oauth2/token",
            &FaultKind::WrongInstanceUrl { url: url.to_owned() },
        ));
        world.standin.expire_sessions();
        let answer = world.call("getOrganizationLimits", json!({})).await;
        assert_class(url, &answer, &["instance_url_refused"]);
        world.standin.clear_faults();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_that_fails_is_told_in_time() {
    // A token endpoint that did not answer may still be at work: it is not asked again before the lease is over.
    for (kind, left_alone) in
        [(status(503, "server_error", false), 6), (FaultKind::Html, 6), (FaultKind::Close { after_effect: false }, 17)]
    {
        let world = world().await;
        world.standin.inject(fault("POST", "/services/oauth2/token", &kind));
        let answer = world.call("getOrganizationLimits", json!({})).await;
        assert_class(&format!("{kind:?}"), &answer, &["connection_unavailable"]);
        world.standin.clear_faults();
        let start = Instant::now();
        while world.call("getOrganizationLimits", json!({})).await.code.is_some() {
            assert!(start.elapsed() < Duration::from_secs(left_alone), "{kind:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
