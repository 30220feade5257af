//! `northstar org test`.

use std::time::SystemTime;

use oauth_client::{AccessToken, GrantError, Grants};
use registry::SalesforceOrg;
use salesforce::{Client, ObjectName, Org, Request, SalesforceError};
use serde_json::{Value, json};

use super::{advice, audited, find};
use crate::output::{self, Failure};
use crate::place::Open;

/// Every org has it.
const OBJECT: &str = "Contact";

/// One thing that was tried.
struct Step {
    name: &'static str,
    outcome: Result<String, Trouble>,
}

struct Trouble {
    code: &'static str,
    what: String,
    advice: String,
}

/// Tries an org, step by step, up to the first that does not work.
pub async fn test(open: &Open, json: bool, name: &str) -> Result<(), Failure> {
    let record = find(open, name).await?;
    let steps = steps(open, &record).await?;
    let works = steps.iter().all(|step| step.outcome.is_ok());
    if json {
        let steps: Vec<Value> = steps.iter().map(Step::document).collect();
        output::json(&json!({ "name": record.name, "ok": works, "steps": steps }))?;
    } else {
        for step in &steps {
            match &step.outcome {
                Ok(detail) => output::line(&format!("{:10}ok: {detail}", step.name))?,
                Err(trouble) => {
                    output::line(&format!("{:10}no: {} ({})", step.name, trouble.what, trouble.code))?;
                    output::line(&format!("          {}", trouble.advice))?;
                }
            }
        }
    }
    if works { Ok(()) } else { Err(Failure::Answered) }
}

async fn steps(open: &Open, record: &SalesforceOrg) -> Result<Vec<Step>, Failure> {
    let now = SystemTime::now();
    let grants = open.grants().await?;
    let fetcher = open.fetcher();
    let org = Org::new(record, fetcher.reach())?;
    let token = token(&grants, &org, record, now).await;
    let mut steps = Vec::new();
    // Whether it works or not: somebody got a token, or tried to.
    audited("org.test", &record.name, Ok(()))?;
    let got = token.is_ok();
    steps.push(Step {
        name: "token",
        outcome: token.map(|token| got_token(&token)).map_err(|error| Trouble {
            code: error.code(),
            what: error.to_string(),
            advice: advice::of_grant(&error, &record.flow),
        }),
    });
    if !got {
        return Ok(steps);
    }
    let client = Client::new(record, grants, fetcher)?;
    let limits = client.send(Request::get("limits"), now).await;
    let reachable = limits.is_ok();
    steps.push(Step { name: "limits", outcome: limits.map(|reply| requests_left(&reply.body)).map_err(refused) });
    let Some(object) = ObjectName::parse(OBJECT).filter(|_| reachable) else { return Ok(steps) };
    let described = client.describe(&object, now).await;
    let fields = described.map(|describe| format!("{object} has {} fields that the user sees", describe.fields.len()));
    steps.push(Step { name: "describe", outcome: fields.map_err(refused) });
    Ok(steps)
}

/// A new token: one that is remembered would say nothing of the secret.
async fn token(grants: &Grants, org: &Org, record: &SalesforceOrg, now: SystemTime) -> Result<AccessToken, GrantError> {
    let connection = org.connection(record);
    grants.try_again(&org.name, now).await?;
    let before = grants.status(&org.name, now).await?.and_then(|grant| grant.issued_at);
    let token = grants.access_token(&connection, now).await?;
    if before.is_some() { grants.expired(&connection, &token, now).await } else { Ok(token) }
}

fn got_token(token: &AccessToken) -> String {
    let whom = token.identity.as_deref().unwrap_or("a user that the answer does not name");
    match token.unverified_instance_url.as_deref().filter(|url| !url.contains(char::is_control)) {
        Some(url) => format!("for {whom}, at {url}"),
        None => format!("for {whom}"),
    }
}

fn requests_left(limits: &Value) -> String {
    let requests = &limits["DailyApiRequests"];
    match (requests["Remaining"].as_u64(), requests["Max"].as_u64()) {
        (Some(left), Some(all)) => format!("{left} of {all} API requests are left"),
        _ => "the org answers".to_owned(),
    }
}

fn refused(error: SalesforceError) -> Trouble {
    let advice = advice::unreachable(error.code).map_or_else(|| advice::of_api(&error), str::to_owned);
    let what = match &error.salesforce_code {
        Some(code) => format!("Salesforce says {code}: {}", error.message),
        None => error.message.clone(),
    };
    Trouble { code: error.code.as_str(), what, advice }
}

impl Step {
    fn document(&self) -> Value {
        match &self.outcome {
            Ok(detail) => json!({ "step": self.name, "ok": true, "detail": detail }),
            Err(Trouble { code, what, advice }) => {
                json!({ "step": self.name, "ok": false, "code": code, "problem": what, "advice": advice })
            }
        }
    }
}
