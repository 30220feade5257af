//! Every tool with the call of its page, with a bad input, and with an org that refuses.

use std::sync::Arc;

use black_box::examples::{self, ACCOUNT, APPOINTMENT, CONTACT, LEAD, OTHER_CONTACT};
use black_box::salesforce::{READ, Setup, WRITE, World};
use catalogue::SalesforceTool::{self, *};
use catalogue::salesforce::Typed;
use salesforce_standin::{Effects, Fault, FaultKind};
use serde_json::{Value, json};

/// What is asked of a tool.
struct Case {
    /// What has to be in the answer to the call of its page.
    answers: Value,
    /// The object that the call writes, and what it writes.
    writes: Option<(&'static str, Effects)>,
    /// Arguments that are wrong, the code, and what is said of them.
    bad: (Value, &'static str, &'static str),
    /// The request that the org refuses.
    request: (&'static str, &'static str),
}

const CREATED: Effects = Effects { created: 1, updated: 0, deleted: 0 };
const UPDATED: Effects = Effects { created: 0, updated: 1, deleted: 0 };
const DELETED: Effects = Effects { created: 0, updated: 0, deleted: 1 };

/// No tool without a case: the compiler says so.
fn case(tool: SalesforceTool) -> Case {
    let done = || json!({ "success": true, "state": "done" });
    let case = |answers, writes, bad, request| Case { answers, writes, bad, request };
    match tool {
        CreateRecord => case(
            done(),
            Some(("Lead", CREATED)),
            (
                json!({ "object": "Lead", "fields": { "LastNames": "A", "Company": "B" } }),
                "invalid_arguments",
                "LastName",
            ),
            ("POST", "/services/data/sobjects/Lead"),
        ),
        GetRecord => case(
            json!({ "Id": ACCOUNT, "Name": "Acme Energy", "Industry": "Energy", "Owner.Name": "Integration User" }),
            None,
            (json!({ "object": "Account" }), "invalid_arguments", "external_id"),
            ("GET", ""),
        ),
        UpdateRecord => case(
            done(),
            Some(("Account", UPDATED)),
            (
                json!({ "object": "Contact", "id": CONTACT, "fields": { "Level__c": "Quaternary" } }),
                "invalid_arguments",
                "Level__c",
            ),
            ("PATCH", "/services/data/sobjects/Account"),
        ),
        DeleteRecord => case(
            done(),
            Some(("Lead", DELETED)),
            (json!({ "object": "Lead", "id": "00Q" }), "invalid_arguments", "id"),
            ("", "/services/data/"),
        ),
        ExecuteQuery => case(
            json!({ "count": 5, "truncated": true }),
            None,
            (json!({ "query": "SELECT Names FROM Contact" }), "field_unknown", "Names"),
            ("GET", "/services/data/query"),
        ),
        ExecuteQueryAll => case(
            json!({ "count": 5, "truncated": true }),
            None,
            (json!({ "query": "DELETE FROM Contact" }), "invalid_arguments", "SELECT"),
            ("GET", "/services/data/queryAll"),
        ),
        ExecuteSearch => case(
            json!({ "count": 4, "records": [{ "Name": "Acme Energy" }] }),
            None,
            (json!({ "search": "Acme" }), "invalid_arguments", "FIND"),
            ("", "/services/data/search"),
        ),
        ExecuteComposite => case(
            json!({ "success": true, "state": "done", "results": [
                { "reference": "firm", "success": true },
                { "reference": "person", "success": true },
            ] }),
            Some(("Contact", CREATED)),
            (
                json!({ "operations": [{ "operation": "erase", "object": "Lead", "id": LEAD }] }),
                "invalid_arguments",
                "operation",
            ),
            ("POST", "/services/data/composite"),
        ),
        ExecuteBatch => case(
            json!({ "success": true, "results": [{ "success": true }, { "success": true }] }),
            None,
            (
                json!({ "operations": [{ "operation": "get", "object": "Accounts", "id": ACCOUNT }] }),
                "object_unknown",
                "listAllObjects",
            ),
            ("POST", "/services/data/composite"),
        ),
        CreateBulkJob => case(
            json!({ "operation": "insert", "object": "Lead" }),
            None,
            (
                json!({ "operation": "insert", "object": "Lead", "rows": [{ "LastNames": "A" }] }),
                "invalid_arguments",
                "LastName",
            ),
            ("POST", "/services/data/jobs/ingest"),
        ),
        GetBulkJob => case(
            json!({ "state": "JobComplete", "operation": "insert", "object": "Lead", "processed": 2, "failed": 0 }),
            None,
            (json!({ "job_id": "001000000000001AAA" }), "invalid_arguments", "job_id"),
            ("GET", "/services/data/jobs"),
        ),
        GetBulkJobResults => case(
            json!({ "count": 2, "truncated": false }),
            None,
            (json!({ "job_id": examples::JOB, "kind": "lost" }), "invalid_arguments", "kind"),
            ("GET", "/services/data/jobs"),
        ),
        AbortBulkJob => case(
            json!({ "state": "Aborted" }),
            None,
            (json!({ "job_id": "750" }), "invalid_arguments", "job_id"),
            ("", "/services/data/jobs"),
        ),
        ListAllObjects => case(
            json!({ "count": 1, "records": [{ "name": "Account", "label": "Account" }] }),
            None,
            (json!({ "limit": "many" }), "invalid_arguments", "limit"),
            ("GET", "/services/data/sobjects"),
        ),
        DescribeObject => case(
            json!({ "name": "Contact", "label": "Contact", "count": 20, "truncated": true }),
            None,
            (json!({ "object": "Contact; DROP" }), "invalid_arguments", "object"),
            ("GET", "/services/data/sobjects"),
        ),
        ListReports => case(
            json!({ "count": 1, "records": [{ "name": "Contacts by Account", "format": "Tabular" }] }),
            None,
            (json!({ "cursor": "nonsense" }), "invalid_cursor", "cursor"),
            ("GET", "/services/data/query"),
        ),
        GetReport => case(
            json!({ "name": "Contacts by Account", "count": 10, "truncated": true }),
            None,
            (json!({ "report_id": "003000000000001AAA" }), "invalid_arguments", "00O"),
            ("", "/services/data/analytics/reports"),
        ),
        GetOrganizationLimits => case(
            json!({ "truncated": false }),
            None,
            (json!({ "object": "Contact" }), "invalid_arguments", "unknown"),
            ("GET", "/services/data/limits"),
        ),
        Create(Typed::Contact) => case(
            done(),
            Some(("Contact", CREATED)),
            (json!({ "FirstName": "Mara" }), "invalid_arguments", "LastName"),
            ("POST", "/services/data/sobjects/Contact"),
        ),
        Create(Typed::Appointment) => case(
            done(),
            Some(("Event", CREATED)),
            (
                json!({ "Subject": "Late", "StartDateTime": "2026-02-20T18:00:00Z", "EndDateTime": "2026-02-20T17:00:00Z" }),
                "invalid_arguments",
                "EndDateTime",
            ),
            ("POST", "/services/data/sobjects/Event"),
        ),
        Get(Typed::Contact) => case(
            json!({ "Id": CONTACT, "FirstName": "Ada", "LastName": "Abbott" }),
            None,
            (json!({ "id": "003" }), "invalid_arguments", "id"),
            ("GET", ""),
        ),
        Get(Typed::Appointment) => case(
            json!({ "Id": APPOINTMENT, "Subject": "Call", "WhoId": CONTACT, "DurationInMinutes": 30 }),
            None,
            (json!({ "id": APPOINTMENT, "fields": ["Subject"] }), "invalid_arguments", "unknown"),
            ("GET", ""),
        ),
        Update(Typed::Contact) => case(
            done(),
            Some(("Contact", UPDATED)),
            (json!({ "id": CONTACT, "LastName": "a".repeat(81) }), "invalid_arguments", "LastName"),
            ("PATCH", "/services/data/sobjects/Contact"),
        ),
        Update(Typed::Appointment) => case(
            done(),
            Some(("Event", UPDATED)),
            (json!({ "id": APPOINTMENT }), "invalid_arguments", "field"),
            ("PATCH", "/services/data/sobjects/Event"),
        ),
        Delete(Typed::Contact) => case(
            done(),
            Some(("Contact", DELETED)),
            (json!({ "id": OTHER_CONTACT, "handle": "nonsense" }), "invalid_handle", "handle"),
            ("", "/services/data/"),
        ),
        Delete(Typed::Appointment) => case(
            done(),
            Some(("Event", DELETED)),
            (json!({ "id": CONTACT }), "record_not_found", "id"),
            ("", "/services/data/"),
        ),
        List(Typed::Contact) => case(
            json!({ "count": 3, "truncated": true }),
            None,
            (json!({ "limit": 0 }), "invalid_arguments", "limit"),
            ("", ""),
        ),
        List(Typed::Appointment) => case(
            // The first one was deleted before.
            json!({ "count": 5, "total": 29, "records": [{ "Subject": "Meeting", "StartDateTime": "2026-03-03T09:00:00.000+0000" }] }),
            None,
            (json!({ "from": "tomorrow" }), "invalid_arguments", "from"),
            ("GET", "/services/data/query"),
        ),
    }
}

/// Whether all of `expected` is in `seen`; rows that are expected are the first ones.
fn holds(seen: &Value, expected: &Value) -> bool {
    match (seen, expected) {
        (Value::Object(seen), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| seen.get(name).is_some_and(|seen| holds(seen, value)))
        }
        (Value::Array(seen), Value::Array(expected)) => {
            seen.len() >= expected.len() && seen.iter().zip(expected).all(|(seen, value)| holds(seen, value))
        }
        _ => seen == expected,
    }
}

/// Nothing is nested but rows, and nothing is null.
#[track_caller]
fn assert_is_flat(content: &Value) {
    let single = |value: &Value| !value.is_null() && !value.is_object() && !value.is_array();
    for (name, value) in content.as_object().unwrap() {
        let flat = match value {
            Value::Array(rows) => rows.iter().all(|row| row.as_object().is_some_and(|row| row.values().all(single))),
            value => single(value),
        };
        assert!(flat, "{name}: {value}");
    }
}

/// Arguments as the page of the tool has them; a job is one that there is.
async fn arguments(world: &World, tool: SalesforceTool) -> Value {
    let mut arguments = examples::arguments(tool.name());
    if matches!(tool, GetBulkJob | GetBulkJobResults | AbortBulkJob) {
        let mut rows = examples::arguments("createBulkJob");
        // Another key: the same rows again are another job.
        rows["idempotency_key"] = json!(format!("for {}", tool.name()));
        let job = world.answer("createBulkJob", rows).await["job_id"].clone();
        arguments["job_id"] = job.clone();
        for _ in 0..10 {
            if tool == AbortBulkJob
                || world.answer("getBulkJob", json!({ "job_id": job })).await["state"] == "JobComplete"
            {
                break;
            }
        }
    }
    if tool == GetBulkJobResults {
        arguments["kind"] = json!("successful");
    }
    arguments
}

/// Does the same with every tool, and fails with what is wrong of all of them.
async fn with_every_tool<F: Future<Output = ()> + Send + 'static>(work: fn(Arc<World>, SalesforceTool) -> F) {
    let world = Arc::new(World::start(Setup::default()).await);
    let mut wrong = String::new();
    for tool in SalesforceTool::ALL {
        if let Err(error) = tokio::spawn(work(world.clone(), tool)).await {
            wrong += &format!("{}: {error}\n", tool.name());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_answers_the_call_of_its_page() {
    with_every_tool(|world, tool| async move {
        let Case { answers, writes, .. } = case(tool);
        let arguments = arguments(&world, tool).await;
        let effects = |object| world.standin.counters().effects(object);
        let before = writes.map(|(object, _)| effects(object));
        let content = world.carry_out(tool.name(), arguments.clone()).await;
        assert!(holds(&content, &answers), "{content}");
        assert_is_flat(&content);
        if let (Some((object, wrote)), Some(before)) = (writes, before) {
            let now = effects(object);
            let wrote_now = Effects {
                created: now.created - before.created,
                updated: now.updated - before.updated,
                deleted: now.deleted - before.deleted,
            };
            assert_eq!(wrote_now, wrote);
        }
        if tool.tool().annotations.read_only {
            let answer = world.call_at(READ, tool.name(), arguments).await;
            assert!(answer.code.is_none() && holds(&answer.content, &answers), "{answer:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_refuses_a_bad_input_in_words_and_writes_nothing() {
    with_every_tool(|world, tool| async move {
        let (arguments, code, says) = case(tool).bad;
        let mut unknown = examples::arguments(tool.name());
        unknown["colour"] = json!("red");
        for (arguments, code, says) in [(arguments, code, says), (unknown, "invalid_arguments", "unknown")] {
            let answer = world.call(tool.name(), arguments).await;
            assert_eq!(answer.code.as_deref(), Some(code), "{answer:?}");
            assert!(answer.text.contains(says) && answer.text.len() > 20, "{answer:?}");
        }
        assert_eq!(world.standin.counters().effects, Default::default());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_tells_of_an_org_that_refuses_and_works_again_after_it() {
    with_every_tool(|world, tool| async move {
        let (method, path) = case(tool).request;
        let mut arguments = arguments(&world, tool).await;
        if tool == DescribeObject {
            // What has been described is remembered.
            arguments["object"] = json!("Opportunity");
        }
        let effects = world.standin.counters().effects;
        world.standin.inject(Fault {
            method: Some(method.to_owned()).filter(|method| !method.is_empty()),
            path: path.to_owned(),
            times: 20,
            skip: 0,
            kind: FaultKind::Status {
                status: 403,
                error_code: "REQUEST_LIMIT_EXCEEDED".to_owned(),
                message: "TotalRequests Limit exceeded.".to_owned(),
                after_effect: false,
            },
        });
        let answer = world.call(tool.name(), arguments.clone()).await;
        world.standin.clear_faults();
        assert_eq!(answer.code.as_deref(), Some("request_limit"), "{answer:?}");
        for says in ["REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", "retry"] {
            assert!(answer.text.contains(says), "{answer:?}");
        }
        assert_eq!(world.standin.counters().effects, effects);
        // What was known to have had no effect may be done now, under the same key.
        let content = world.carry_out(tool.name(), arguments).await;
        assert!(content.get("state").is_none_or(|state| state != "already_done"), "{content}");
    })
    .await;
}

/// Requests of a tool that may write, so far; of a bulk job, those that make one.
fn written(world: &World, tool: SalesforceTool) -> u64 {
    let counters = world.standin.counters();
    if tool == CreateBulkJob {
        return counters.requests("POST", "/services/data/jobs/ingest");
    }
    let writes = counters.requests.iter().filter(|(request, _)| {
        !request.starts_with("GET ")
            && !request.ends_with("/oauth2/token")
            && !request.ends_with("/parameterizedSearch")
    });
    writes.map(|(_, count)| count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_is_never_sent_again() {
    with_every_tool(|world, tool| async move {
        if tool.tool().annotations.read_only || tool == AbortBulkJob {
            return;
        }
        let mut arguments = arguments(&world, tool).await;
        if tool == ExecuteBatch {
            let lead = json!({ "LastName": "Verdi", "Company": "Verdi" });
            arguments = json!({ "operations": [{ "operation": "create", "object": "Lead", "fields": lead }] });
        }
        let deletes = matches!(tool, DeleteRecord | Delete(_));
        if deletes {
            arguments["handle"] = world.answer(tool.name(), arguments.clone()).await["handle"].clone();
        }
        let (before, effects) = (written(&world, tool), world.standin.counters().effects);
        let method = match tool {
            // A bulk job writes from its last request on.
            UpdateRecord | Update(_) | CreateBulkJob => "PATCH",
            _ if deletes => "DELETE",
            _ => "POST",
        };
        let lost = FaultKind::Close { after_effect: true };
        world.standin.inject(Fault { times: 20, ..Fault::once(method, "/services/data/", lost) });
        let answer = world.call(tool.name(), arguments.clone()).await;
        world.standin.clear_faults();
        assert_eq!(written(&world, tool) - before, 1, "requests");
        let now = world.standin.counters().effects;
        let again = world.call(tool.name(), arguments).await;
        if tool == CreateBulkJob {
            // The org says itself what became of a job.
            assert!(answer.content["job_id"].is_string(), "{answer:?}");
            assert_eq!(again.content["job_id"], answer.content["job_id"], "{again:?}");
        } else {
            assert_ne!(now, effects, "it was done");
            assert!(answer.text.contains("SELECT"), "{answer:?}");
            let unknown = Some("outcome_unknown");
            assert_eq!((answer.code.as_deref(), again.code.as_deref()), (unknown, unknown), "{answer:?}, {again:?}");
        }
        assert_eq!((written(&world, tool) - before, world.standin.counters().effects), (1, now));
        // An org that fails five times in a row is left alone.
        world.answer("getOrganizationLimits", json!({})).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_reads_has_no_tool_that_writes() {
    let world = World::start(Setup::default()).await;
    let listed = |server: &'static str| {
        let request = world.server.request("POST", &format!("/mcp/{server}")).bearer_auth(world.token(server));
        let request =
            request.header("accept", "application/json, text/event-stream").header("content-type", "application/json");
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
        async move {
            let answer: Value = request.body(list.to_string()).send().await.unwrap().json().await.unwrap();
            answer["result"]["tools"].as_array().unwrap().clone()
        }
    };
    let (read, write) = (listed(READ).await, listed(WRITE).await);
    assert_eq!(write.len(), SalesforceTool::ALL.len());
    assert!(read.len() < write.len() && read.iter().all(|tool| tool["annotations"]["readOnlyHint"] == true));
    for tool in &write {
        let annotations = &tool["annotations"];
        assert_eq!(annotations["openWorldHint"], true, "{tool}");
        assert!(annotations["readOnlyHint"] == false || annotations["destructiveHint"] == false, "{tool}");
    }
}
