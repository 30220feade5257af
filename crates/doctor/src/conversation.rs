//! Judgements on MCP: the handshake, the list, a call, and the requests that come between.

use serde_json::Value;

use crate::catalogue::mismatch;
use crate::checks::{
    DELETE_STATUS, EMPTY, FORBIDDEN, GET_ANSWERED, GET_NO_ALLOW, GET_STATUS, GET_STREAM, HEADER_DEMANDED, LARGE,
    NEWER_REFUSED, NO_MIRROR, NOT_202, NOT_ACCEPTED, NOT_JSON, PAGED, Problem, REVISION, REVISION_REFUSED, RPC_ERROR,
    SCHEMA_MISMATCH, SESSION_DEMANDED, SESSION_DEMANDED_UNASKED, TOKEN_REFUSED, TOOL_ERROR, UNSTRUCTURED,
};
use crate::exchange::{Answer, Exchange, Unanswered, quote, trouble};
use crate::finding::Verdict;
use crate::target::Limits;

/// The revisions that Agentforce speaks.
pub const AGENTFORCE: [&str; 3] = ["2024-11-05", "2025-03-26", "2025-06-18"];
/// More than this is too much for a model.
const LARGE_ANSWER: usize = 50_000;

/// The JSON-RPC result of an answer, or why there is none.
pub fn result(exchange: &Exchange, limits: &Limits) -> Result<Value, (&'static Problem, String)> {
    if let Some(trouble) = trouble(exchange, limits) {
        return Err(trouble);
    }
    let Ok(answer) = exchange else { return Err((&NOT_JSON, "no answer".to_owned())) };
    let mut json = answer.json().unwrap_or_default();
    match (answer.status, json.get_mut("result").map(Value::take)) {
        (200, Some(result)) => Ok(result),
        (401, _) => Err((&TOKEN_REFUSED, answer.describe())),
        (403, _) => Err((&FORBIDDEN, answer.describe())),
        _ => Err((&RPC_ERROR, answer.describe())),
    }
}

/// What a handshake agreed upon.
#[derive(Clone, Debug, Default)]
pub struct Agreed {
    /// Revision of the protocol.
    pub revision: String,
    /// Session id, if the server gives one.
    pub session: Option<String>,
}

/// The handshake.
pub fn judge_initialize(exchange: &Exchange, limits: &Limits) -> (Verdict, Option<Agreed>) {
    let result = match result(exchange, limits) {
        Ok(result) => result,
        Err((problem, seen)) => return (Verdict::problem(problem, seen), None),
    };
    let Some(revision) = result["protocolVersion"].as_str() else {
        return (Verdict::problem(&RPC_ERROR, "a result without protocolVersion"), None);
    };
    let session = exchange.as_ref().ok().and_then(|answer| answer.header("mcp-session-id")).map(str::to_owned);
    let agreed = Agreed { revision: revision.to_owned(), session };
    if !AGENTFORCE.contains(&revision) {
        return (Verdict::problem(&REVISION, format!("revision {}", quote(revision))), Some(agreed));
    }
    let server = result["serverInfo"]["name"].as_str().unwrap_or("a server without a name");
    (Verdict::pass(format!("{} at revision {revision}", quote(server))), Some(agreed))
}

/// `notifications/initialized`.
pub fn judge_initialized(exchange: &Exchange, limits: &Limits) -> Verdict {
    match (trouble(exchange, limits), exchange) {
        (None, Ok(answer)) if answer.status == 202 && answer.body.is_empty() => Verdict::pass("202"),
        (None, Ok(answer)) if (200..300).contains(&answer.status) => Verdict::problem(&NOT_202, answer.describe()),
        // An empty 200 is no JSON, and that is no trouble here.
        (Some((problem, _)), Ok(answer)) if *problem == NOT_JSON => Verdict::problem(&NOT_202, answer.describe()),
        (Some((problem, seen)), _) => Verdict::problem(problem, seen),
        (None, Ok(answer)) => Verdict::problem(&NOT_ACCEPTED, answer.describe()),
        (None, Err(_)) => Verdict::problem(&NOT_ACCEPTED, "no answer"),
    }
}

/// The list of tools; what is in it is judged elsewhere.
pub fn judge_list(exchange: &Exchange, agreed: &Agreed, limits: &Limits) -> (Verdict, Option<Vec<Value>>) {
    let mut result = match result(exchange, limits) {
        Ok(result) => result,
        Err((_, seen)) if agreed.session.is_none() && demands_session(exchange) => {
            return (Verdict::problem(&SESSION_DEMANDED_UNASKED, seen), None);
        }
        Err((problem, seen)) => return (Verdict::problem(problem, seen), None),
    };
    let Value::Array(tools) = result["tools"].take() else {
        return (Verdict::problem(&RPC_ERROR, "a result without tools"), None);
    };
    if tools.is_empty() {
        return (Verdict::problem(&EMPTY, "no tools"), None);
    }
    let seen = if tools.len() == 1 { "1 tool".to_owned() } else { format!("{} tools", tools.len()) };
    let verdict = match &result["nextCursor"] {
        Value::Null => Verdict::pass(seen),
        _ => Verdict::problem(&PAGED, format!("{seen} and a nextCursor")),
    };
    (verdict, Some(tools))
}

/// Whether a refusal is about sessions: 400 or 404 with the word in it.
fn demands_session(exchange: &Exchange) -> bool {
    exchange.as_ref().is_ok_and(|answer| {
        let text = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
        matches!(answer.status, 400 | 404 | 422) && (text.contains("session") || text.contains("not initialized"))
    })
}

/// A request without the session that the server gave.
pub fn judge_session(exchange: Option<&Exchange>, limits: &Limits) -> Verdict {
    let Some(exchange) = exchange else { return Verdict::pass("the server gives no session") };
    match result(exchange, limits) {
        Ok(_) => Verdict::pass("the server gives a session and does not need it"),
        Err((_, seen)) if demands_session(exchange) => Verdict::problem(&SESSION_DEMANDED, seen),
        Err((problem, seen)) if problem_of_any_request(problem) => Verdict::problem(problem, seen),
        Err((_, seen)) => Verdict::problem(&SESSION_DEMANDED, seen),
    }
}

/// A request without `MCP-Protocol-Version`.
pub fn judge_no_header(exchange: &Exchange, limits: &Limits) -> Verdict {
    match result(exchange, limits) {
        Ok(_) => Verdict::pass("answered"),
        Err((problem, seen)) if problem_of_any_request(problem) => Verdict::problem(problem, seen),
        Err((_, seen)) => Verdict::problem(&HEADER_DEMANDED, seen),
    }
}

fn problem_of_any_request(problem: &Problem) -> bool {
    crate::checks::ANY_REQUEST.contains(problem)
}

/// `GET` of the server.
pub fn judge_get(exchange: &Exchange, limits: &Limits) -> Verdict {
    let answer = match exchange {
        Ok(answer) => answer,
        // A stream that says nothing, not even its headers.
        Err(Unanswered::TimedOut(after)) => {
            return Verdict::problem(&GET_STREAM, format!("nothing within {:.1} s", after.as_secs_f64()));
        }
        Err(_) => return from_trouble(exchange, limits, &GET_STATUS),
    };
    match answer.status {
        405 if answer.header("allow").is_some() => Verdict::pass("405"),
        405 => Verdict::problem(&GET_NO_ALLOW, "405 without Allow"),
        200..=299 if answer.media_type() == "text/event-stream" => Verdict::problem(&GET_STREAM, answer.describe()),
        200..=299 => Verdict::problem(&GET_ANSWERED, answer.describe()),
        300..=399 => from_trouble(exchange, limits, &GET_STATUS),
        _ => Verdict::problem(&GET_STATUS, answer.describe()),
    }
}

/// `DELETE` of the server.
pub fn judge_delete(exchange: &Exchange, limits: &Limits) -> Verdict {
    match exchange {
        Ok(Answer { status: status @ (200 | 204 | 405), .. }) => Verdict::pass(status.to_string()),
        Ok(answer) if !(300..400).contains(&answer.status) => Verdict::problem(&DELETE_STATUS, answer.describe()),
        _ => from_trouble(exchange, limits, &DELETE_STATUS),
    }
}

fn from_trouble(exchange: &Exchange, limits: &Limits, otherwise: &'static Problem) -> Verdict {
    match trouble(exchange, limits) {
        Some((problem, seen)) => Verdict::problem(problem, seen),
        None => Verdict::problem(otherwise, "no answer"),
    }
}

/// The call of a tool.
pub fn judge_call(exchange: &Exchange, tool: &Value, limits: &Limits) -> Verdict {
    let result = match result(exchange, limits) {
        Ok(result) => result,
        Err((problem, seen)) => return Verdict::problem(problem, seen),
    };
    let text = result["content"][0]["text"].as_str();
    if result["isError"] == true {
        return Verdict::problem(&TOOL_ERROR, quote(text.unwrap_or("no sentence")));
    }
    let size = exchange.as_ref().map(|answer| answer.body.len()).unwrap_or_default();
    let mut problems: Vec<(&'static Problem, String)> = Vec::new();
    let structured = result["structuredContent"].as_object();
    match structured {
        None if tool["outputSchema"].is_object() => {
            problems.push((&UNSTRUCTURED, "no structuredContent".to_owned()));
        }
        None => {}
        Some(answer) => {
            if let Some(seen) = mismatch(&tool["outputSchema"], answer) {
                problems.push((&SCHEMA_MISMATCH, seen));
            }
            let mirror: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
            if mirror.as_ref() != Some(&result["structuredContent"]) {
                problems.push((&NO_MIRROR, "content[0].text is something else".to_owned()));
            }
        }
    }
    if size > LARGE_ANSWER {
        problems.push((&LARGE, format!("{size} bytes")));
    }
    let shape = if structured.is_some() { "structured, and the same as text" } else { "text" };
    let elapsed = exchange.as_ref().map(|answer| answer.elapsed.as_millis()).unwrap_or_default();
    Verdict { seen: format!("{shape}, {size} bytes in {elapsed} ms"), problems }
}

/// A handshake at each of the revisions, and a request of the newest, which has none.
pub fn judge_revisions(handshakes: &[(&str, Exchange)], newest: (&str, &Exchange), limits: &Limits) -> Verdict {
    let (mut agreed, mut problems) = (Vec::new(), Vec::new());
    for (asked, exchange) in handshakes {
        let old = AGENTFORCE.contains(asked);
        let refused: &'static Problem = if old { &REVISION_REFUSED } else { &NEWER_REFUSED };
        match result(exchange, limits).map(|result| result["protocolVersion"].as_str().map(str::to_owned)) {
            Ok(Some(answered)) if old && !AGENTFORCE.contains(&answered.as_str()) => {
                problems.push((refused, format!("{asked} is answered with {}", quote(&answered))));
            }
            Ok(Some(answered)) if answered == *asked => agreed.push((*asked).to_owned()),
            Ok(Some(answered)) => agreed.push(format!("{asked} ({} instead)", quote(&answered))),
            Ok(None) => problems.push((refused, format!("{asked}: no protocolVersion"))),
            Err((problem, seen)) if problem_of_any_request(problem) => {
                problems.push((problem, format!("{asked}: {seen}")))
            }
            Err((_, seen)) => problems.push((refused, format!("{asked}: {seen}"))),
        }
    }
    let (asked, exchange) = newest;
    match result(exchange, limits) {
        Ok(result) if result["tools"].is_array() => agreed.push(asked.to_owned()),
        // A server of the handshake says so by an error, and the client falls back.
        Err((problem, _)) if *problem == RPC_ERROR => agreed.push(format!("{asked} (not served)")),
        Err((problem, seen)) if problem_of_any_request(problem) => problems.push((problem, format!("{asked}: {seen}"))),
        Ok(_) => problems.push((&NEWER_REFUSED, format!("{asked}: a result without tools"))),
        Err((_, seen)) => problems.push((&NEWER_REFUSED, format!("{asked}: {seen}"))),
    }
    Verdict { seen: agreed.join(", "), problems }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::exchange::answer;

    const JSON: (&str, &str) = ("content-type", "application/json");

    fn ids(verdict: &Verdict) -> Vec<&'static str> {
        verdict.problems.iter().map(|(problem, _)| problem.id).collect()
    }

    fn ok(result: &Value) -> Exchange {
        Ok(answer(200, &[JSON], &json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string()))
    }

    fn error(status: u16) -> Exchange {
        Ok(answer(status, &[JSON], r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"m"}}"#))
    }

    fn limits() -> Limits {
        Limits::scaled(1.0)
    }

    #[test]
    fn a_handshake_agrees_on_a_revision_of_agentforce() {
        for (exchange, expected) in [
            (ok(&json!({ "protocolVersion": "2025-06-18" })), &[][..]),
            (ok(&json!({ "protocolVersion": "2025-03-26" })), &[]),
            (ok(&json!({ "protocolVersion": "2025-11-25" })), &["revision"]),
            (ok(&json!({})), &["error"]),
            (error(401), &["token_refused"]),
            (error(403), &["forbidden"]),
            (error(400), &["error"]),
            (error(200), &["error"]),
            (error(404), &["not_found"]),
        ] {
            assert_eq!(ids(&judge_initialize(&exchange, &limits()).0), expected);
        }
    }

    #[test]
    fn the_notification_is_accepted_with_202_and_nothing() {
        for (status, body, expected) in [
            (202, "", &[][..]),
            (200, "", &["status"]),
            (204, "", &["status"]),
            (202, "{}", &["status"]),
            (400, r#"{"error":{}}"#, &["refused"]),
        ] {
            let verdict = judge_initialized(&Ok(answer(status, &[JSON], body)), &limits());
            assert_eq!(ids(&verdict), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_list_has_tools_and_one_page() {
        let none = Agreed::default();
        let tools = json!([{ "name": "a" }]);
        for (exchange, expected) in [
            (ok(&json!({ "tools": tools })), &[][..]),
            (ok(&json!({ "tools": tools, "nextCursor": "" })), &["paged"]),
            (ok(&json!({ "tools": [] })), &["empty"]),
            (ok(&json!({})), &["error"]),
            (Ok(answer(400, &[JSON], r#"{"error":{"message":"No valid session ID"}}"#)), &["session_demanded"]),
            (error(400), &["error"]),
        ] {
            assert_eq!(ids(&judge_list(&exchange, &none, &limits()).0), expected);
        }
    }

    #[test]
    fn get_is_405_and_delete_too() {
        let allow = ("allow", "POST");
        let html = ("content-type", "text/html");
        let stream = ("content-type", "text/event-stream");
        for (status, header, expected) in [
            (405, allow, &[][..]),
            (405, JSON, &["no_allow"]),
            (200, html, &["answered"]),
            (200, JSON, &["answered"]),
            (200, stream, &["stream"]),
            (401, JSON, &["status"]),
            (404, JSON, &["status"]),
            (302, html, &["redirected"]),
        ] {
            assert_eq!(ids(&judge_get(&Ok(answer(status, &[header], "")), &limits())), expected, "{status}");
        }
        for (status, expected) in [(405, &[][..]), (200, &[]), (204, &[]), (404, &["status"]), (500, &["status"])] {
            assert_eq!(ids(&judge_delete(&Ok(answer(status, &[], "")), &limits())), expected, "{status}");
        }
    }

    #[test]
    fn a_call_answers_structured_and_as_text() {
        let tool = json!({ "outputSchema": { "type": "object", "properties": { "status": { "type": "string" } } } });
        let content = json!([{ "type": "text", "text": r#"{"status":"SHIPPED"}"# }]);
        let text = |text: &str| json!([{ "type": "text", "text": text }]);
        let good = json!({ "status": "SHIPPED" });
        for (result, expected) in [
            (json!({ "content": content, "structuredContent": good }), &[][..]),
            (json!({ "content": content }), &["unstructured"]),
            (json!({ "content": text("Shipped."), "structuredContent": good }), &["no_mirror"]),
            (json!({ "content": [], "structuredContent": good }), &["no_mirror"]),
            (json!({ "content": text(r#"{"status":1}"#), "structuredContent": { "status": 1 } }), &["schema_mismatch"]),
            (json!({ "content": text("There is no order."), "isError": true }), &["tool_error"]),
        ] {
            assert_eq!(ids(&judge_call(&ok(&result), &tool, &limits())), expected, "{result}");
        }
        let long = "x".repeat(60_000);
        let result =
            json!({ "content": text(&json!({ "status": long }).to_string()), "structuredContent": { "status": long } });
        assert_eq!(ids(&judge_call(&ok(&result), &tool, &limits())), ["large"]);
    }

    #[test]
    fn every_revision_finds_an_answer() {
        let agree = |revision: &str| ok(&json!({ "protocolVersion": revision }));
        let modern = ok(&json!({ "tools": [] }));
        let judged = |asked: &'static str, exchange: Exchange, newest: &Exchange| {
            ids(&judge_revisions(&[(asked, exchange)], ("2026-07-28", newest), &limits()))
        };
        assert_eq!(judged("2024-11-05", agree("2024-11-05"), &modern), Vec::<&str>::new());
        assert_eq!(judged("2024-11-05", agree("2025-06-18"), &modern), Vec::<&str>::new());
        assert_eq!(judged("2024-11-05", agree("2025-11-25"), &modern), ["refused"]);
        assert_eq!(judged("2025-11-25", agree("2025-06-18"), &error(400)), Vec::<&str>::new());
        assert_eq!(judged("2025-11-25", error(400), &modern), ["newer_refused"]);
        assert_eq!(judged("2025-03-26", error(400), &modern), ["refused"]);
    }
}
