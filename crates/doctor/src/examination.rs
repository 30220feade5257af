//! The order of requests: each one is sent, judged, and decides what can be asked next.

use std::time::Duration;

use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::catalogue;
use crate::checks::{
    ALL, ALTERED_TOKEN, BAD_TOKEN, BASIC_ONLY, BROKEN, CALL, CHALLENGE, CLOCK, CREDENTIALS, Check, DELETE,
    DESCRIPTIONS, EXPIRED_TOKEN, FORBIDDEN, GET, INITIALIZE, INITIALIZED, INPUT_SCHEMAS, INVALID_CLIENT, MCP_SLOW,
    MCP_TIME, NO_CREDENTIALS, NO_REVISION_HEADER, NO_SUCH_TOOL, NO_TOKEN_REFUSED, OUTPUT_SCHEMAS, RESOURCE_METADATA,
    REVISIONS, SERVER_METADATA, SESSION, SIGNING_KEY, TOKEN_BASIC, TOKEN_BODY, TOKEN_CLAIMS, TOKEN_COMMA,
    TOKEN_REFUSED, TOKEN_SLOW, TOKEN_TIME, TOOL_NAMES, TOOLS_LIST, WRONG_SECRET,
};
use crate::conversation::{self, Agreed};
use crate::exchange::{Answer, Exchange, quote};
use crate::finding::{Finding, Report, Verdict};
use crate::target::{Credentials, Target};
use crate::token::UnverifiedToken;
use crate::wire::{Body, Request, Wire};
use crate::{metadata, reach, refusals, token};

/// The revision that Agentforce asks for.
const AGENTFORCE_REVISION: &str = "2025-06-18";
/// The revision without a handshake.
const NEWEST_REVISION: &str = "2026-07-28";
const OTHER_REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", AGENTFORCE_REVISION, "2025-11-25"];
/// What a GET may take until it counts as a stream that is held open.
const GET_LIMIT: f64 = 0.1;

/// What follows a handshake.
const CONVERSATION: &[&Check] = &[&INITIALIZED, &TOOLS_LIST, &GET, &DELETE, &SESSION, &NO_REVISION_HEADER, &REVISIONS];
const CATALOGUE: &[&Check] = &[&TOOL_NAMES, &INPUT_SCHEMAS, &DESCRIPTIONS, &OUTPUT_SCHEMAS];

/// Examines a set-up; every finding goes to `tell` as soon as it is made.
pub async fn examine(target: &Target, tell: &mut dyn FnMut(&Finding)) -> Vec<Finding> {
    let mut report = Report::new(target, tell);
    if let Some(failed) = reach::check(target, &mut report).await {
        report.skip(&failed, &requests(target));
        return report.finish();
    }
    let wire = match Wire::new(target.roots.clone()) {
        Ok(wire) => wire,
        Err(error) => {
            report.add(&TOKEN_BODY, Verdict::problem(&BROKEN, error.to_string()));
            return report.finish();
        }
    };
    let mut examination =
        Examination { target, wire, report, slowest_token: Duration::ZERO, slowest_mcp: Duration::ZERO };
    examination.run().await;
    examination.report.finish()
}

/// Every check that sends a request; two run only when the caller gives what they need.
fn requests(target: &Target) -> Vec<&'static Check> {
    let given = |check: &Check| match check.id {
        id if id == CALL.id => target.call.is_some(),
        id if id == EXPIRED_TOKEN.id => target.expired_token.is_some(),
        _ => true,
    };
    let sent = ALL.iter().skip_while(|check| check.id != CREDENTIALS.id).take_while(|check| check.id != TOKEN_TIME.id);
    sent.copied().filter(|check| given(check)).collect()
}

/// What became of the first request with a good token.
enum Reached {
    /// It was answered.
    Yes,
    /// The server refused it, or there was no token.
    Refused,
    /// The server was not reached; the id of the finding.
    No(String),
}

struct Examination<'a> {
    target: &'a Target,
    wire: Wire,
    report: Report<'a>,
    slowest_token: Duration,
    slowest_mcp: Duration,
}

impl Examination<'_> {
    async fn run(&mut self) {
        let token = match &self.target.credentials {
            Some(credentials) => self.token(credentials).await,
            None => {
                let verdict = Verdict::problem(&NO_CREDENTIALS, "no NORTHSTAR_CLIENT_ID and NORTHSTAR_CLIENT_SECRET");
                Err(self.report.add(&CREDENTIALS, verdict).unwrap_or_default())
            }
        };
        let reached = match &token {
            Ok(token) => self.conversation(token).await,
            Err(failed) => {
                let checks: &[&Check] =
                    if self.target.credentials.is_some() { &[] } else { &[&TOKEN_BODY, &TOKEN_BASIC, &TOKEN_COMMA] };
                self.report.skip(failed, checks);
                self.report.skip(failed, &[&TOKEN_CLAIMS, &INITIALIZE, &ALTERED_TOKEN]);
                self.report.skip(failed, CONVERSATION);
                self.report.skip(failed, CATALOGUE);
                if self.target.call.is_some() {
                    self.report.skip(failed, &[&CALL]);
                }
                Reached::Refused
            }
        };
        let good = token.as_ref().ok();
        match &reached {
            Reached::No(failed) => {
                self.report.skip(failed, &[&NO_TOKEN_REFUSED, &BAD_TOKEN, &ALTERED_TOKEN, &CHALLENGE]);
                if self.target.expired_token.is_some() {
                    self.report.skip(failed, &[&EXPIRED_TOKEN]);
                }
            }
            Reached::Yes | Reached::Refused => self.refusals(good, matches!(reached, Reached::Yes)).await,
        }
        if let (Ok(token), Reached::Yes) = (&token, &reached) {
            self.revisions(token).await;
        }
        self.metadata(good).await;
        self.times();
    }

    /// A token as Salesforce asks for it, in all its ways; else the id of what failed.
    async fn token(&mut self, credentials: &Credentials) -> Result<SecretString, String> {
        let seen = format!("client {}, {}", credentials.client_id, credentials.source);
        self.report.hide(credentials.client_secret.expose_secret());
        self.report.add(&CREDENTIALS, Verdict::pass(seen));

        let scope = self.target.scope.clone();
        let body = self.ask_for_token(Some(credentials), None, &[("scope", &scope)]).await;
        let (mut verdict, token) = token::judge(&body, &scope, &self.target.limits);
        let basic = if token.is_some() || is(&verdict, &INVALID_CLIENT) {
            Some(self.ask_for_token(None, Some(credentials), &[("scope", &scope)]).await)
        } else {
            None
        };
        let basic_verdict = basic.as_ref().map(|exchange| token::judge_basic(exchange, &self.target.limits));
        if token.is_none() && basic_verdict.as_ref().is_some_and(|verdict| verdict.problems.is_empty()) {
            let seen = verdict.problems.pop().map(|(_, seen)| seen).unwrap_or_default();
            verdict = Verdict::problem(&BASIC_ONLY, format!("{seen}; with the secret in the header there is a token"));
        }
        let failed = self.report.add(&TOKEN_BODY, verdict);
        let Some(token) = token else {
            let failed = failed.unwrap_or_default();
            self.report.skip(&failed, &[&TOKEN_BASIC, &TOKEN_COMMA, &WRONG_SECRET]);
            self.clock(&body);
            return Err(failed);
        };
        self.hide(&token);
        if let Some(verdict) = basic_verdict {
            self.report.add(&TOKEN_BASIC, verdict);
        }

        // Two scopes at least, so that there is a comma: one of them twice if need be.
        let mut names: Vec<&str> = token::scopes(&scope).collect();
        if let [only] = names[..] {
            names.push(only);
        }
        let comma = self.ask_for_token(Some(credentials), None, &[("scope", &names.join(","))]).await;
        let verdict = token::judge_comma(&comma, &self.target.limits);
        self.report.add(&TOKEN_COMMA, verdict);

        let wrong = Credentials {
            client_id: credentials.client_id.clone(),
            client_secret: SecretString::from("this-is-not-the-secret-of-the-client"),
            source: "",
        };
        let refused = self.ask_for_token(Some(&wrong), None, &[("scope", &scope)]).await;
        let verdict = token::judge_wrong_secret(&refused, &self.target.limits);
        self.report.add(&WRONG_SECRET, verdict);

        let unverified = UnverifiedToken::read(token.expose_secret());
        let mcp_url = self.target.mcp_url.as_str();
        let verdict =
            token::judge_claims(unverified.as_ref(), &self.target.base, self.target.issuer.as_deref(), mcp_url);
        let other_server = is(&verdict, &crate::checks::OTHER_SERVER);
        self.report.add(&TOKEN_CLAIMS, verdict);
        self.clock(&body);

        // The rest can be checked all the same, with a token that names the server.
        if other_server {
            let named = [("scope", scope.as_str()), ("resource", mcp_url)];
            let exchange = self.ask_for_token(Some(credentials), None, &named).await;
            if let (_, Some(named)) = token::judge(&exchange, &scope, &self.target.limits) {
                self.hide(&named);
                return Ok(named);
            }
        }
        Ok(token)
    }

    async fn ask_for_token(
        &mut self,
        in_body: Option<&Credentials>,
        in_header: Option<&Credentials>,
        parameters: &[(&str, &str)],
    ) -> Exchange {
        let mut form = vec![("grant_type", "client_credentials")];
        if let Some(credentials) = in_body {
            form.push(("client_id", &credentials.client_id));
            form.push(("client_secret", credentials.client_secret.expose_secret()));
        }
        form.extend(parameters);
        let basic = in_header.map(|credentials| (credentials.client_id.as_str(), &credentials.client_secret));
        let request = Request {
            method: Method::POST,
            url: &self.target.token_url,
            bearer: None,
            basic,
            headers: vec![("accept", "application/json".to_owned())],
            body: Body::Form(form),
            limit: self.target.limits.token,
        };
        let exchange = self.wire.send(request).await;
        if let Ok(answer) = &exchange {
            self.slowest_token = self.slowest_token.max(answer.elapsed);
        }
        exchange
    }

    fn hide(&mut self, token: &SecretString) {
        let token = token.expose_secret();
        self.report.hide(token);
        // A quotation may hold a part of it.
        token.split('.').for_each(|part| self.report.hide(part));
    }

    fn clock(&mut self, exchange: &Exchange) {
        if let Ok(answer) = exchange {
            self.report.add(&CLOCK, token::judge_clock(answer));
        }
    }

    /// What an activated agent does.
    async fn conversation(&mut self, token: &SecretString) -> Reached {
        let limits = self.target.limits;
        let exchange = self.initialize(AGENTFORCE_REVISION, Some(token)).await;
        let (verdict, agreed) = conversation::judge_initialize(&exchange, &limits);
        let failed = self.report.add(&INITIALIZE, verdict);
        let Some(agreed) = agreed else {
            let failed = failed.unwrap_or_default();
            self.report.skip(&failed, CONVERSATION);
            self.report.skip(&failed, CATALOGUE);
            if self.target.call.is_some() {
                self.report.skip(&failed, &[&CALL]);
            }
            let refused = conversation::result(&exchange, &limits)
                .is_err_and(|(problem, _)| *problem == TOKEN_REFUSED || *problem == FORBIDDEN);
            return if refused { Reached::Refused } else { Reached::No(failed) };
        };

        let notification = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let exchange = self.post(Some(token), &self.headers(&agreed), &notification).await;
        self.report.add(&INITIALIZED, conversation::judge_initialized(&exchange, &limits));

        let list = request("tools/list", json!({}));
        let exchange = self.post(Some(token), &self.headers(&agreed), &list).await;
        let (verdict, tools) = conversation::judge_list(&exchange, &agreed, &limits);
        let failed = self.report.add(&TOOLS_LIST, verdict);
        match &tools {
            Some(tools) => {
                self.report.add(&TOOL_NAMES, catalogue::judge_names(tools));
                self.report.add(&INPUT_SCHEMAS, catalogue::judge_inputs(tools));
                self.report.add(&DESCRIPTIONS, catalogue::judge_descriptions(tools));
                self.report.add(&OUTPUT_SCHEMAS, catalogue::judge_outputs(tools));
            }
            None => self.report.skip(failed.as_deref().unwrap_or_default(), CATALOGUE),
        }

        let exchange = self.plain(Method::GET, &agreed, token).await;
        self.report.add(&GET, conversation::judge_get(&exchange, &limits));
        self.call(token, &agreed, tools.as_deref(), failed.as_deref()).await;

        match &tools {
            Some(_) => self.standing_alone(token, &agreed, &list).await,
            None => self.report.skip(failed.as_deref().unwrap_or_default(), &[&SESSION, &NO_REVISION_HEADER]),
        }
        // Last, for it ends a session.
        let exchange = self.plain(Method::DELETE, &agreed, token).await;
        self.report.add(&DELETE, conversation::judge_delete(&exchange, &limits));
        Reached::Yes
    }

    async fn call(&mut self, token: &SecretString, agreed: &Agreed, tools: Option<&[Value]>, failed: Option<&str>) {
        let Some((name, given)) = &self.target.call else { return };
        let Some(tools) = tools else {
            self.report.skip(failed.unwrap_or_default(), &[&CALL]);
            return;
        };
        let Some(tool) = tools.iter().find(|tool| tool["name"] == name.as_str()) else {
            let names: Vec<&str> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
            let seen = format!("no {name} among {}", quote(&names.join(", ")));
            self.report.add(&CALL, Verdict::problem(&NO_SUCH_TOOL, seen));
            return;
        };
        let parameters = json!({ "name": name, "arguments": catalogue::arguments(tool, given) });
        let exchange = self.post(Some(token), &self.headers(agreed), &request("tools/call", parameters)).await;
        self.report.add(&CALL, conversation::judge_call(&exchange, tool, &self.target.limits));
    }

    /// The list again, without a session and without a header, as far as that was not asked already.
    async fn standing_alone(&mut self, token: &SecretString, agreed: &Agreed, list: &Value) {
        let limits = self.target.limits;
        let without_session = Agreed { session: None, ..agreed.clone() };
        let exchange = match agreed.session {
            Some(_) => Some(self.post(Some(token), &self.headers(&without_session), list).await),
            None => None,
        };
        self.report.add(&SESSION, conversation::judge_session(exchange.as_ref(), &limits));

        let mut headers = self.headers(agreed);
        headers.retain(|(name, _)| *name != "mcp-protocol-version");
        let exchange = self.post(Some(token), &headers, list).await;
        self.report.add(&NO_REVISION_HEADER, conversation::judge_no_header(&exchange, &limits));
    }

    /// Every token that is not good; `through` says whether a good one was taken.
    async fn refusals(&mut self, good: Option<&SecretString>, through: bool) {
        let limits = self.target.limits;
        let exchange = self.initialize(AGENTFORCE_REVISION, None).await;
        self.report.add(&NO_TOKEN_REFUSED, refusals::judge(&exchange, through, &limits));
        let challenge = exchange.ok().filter(|answer| answer.status == 401);

        let bad = SecretString::from("this.is.no-token");
        let exchange = self.initialize(AGENTFORCE_REVISION, Some(&bad)).await;
        self.report.add(&BAD_TOKEN, refusals::judge(&exchange, through, &limits));

        if let Some(token) = good {
            let altered = altered(token);
            self.hide(&altered);
            let exchange = self.initialize(AGENTFORCE_REVISION, Some(&altered)).await;
            self.report.add(&ALTERED_TOKEN, refusals::judge(&exchange, through, &limits));
        }
        if let Some(expired) = &self.target.expired_token {
            self.hide(expired);
            let exchange = self.initialize(AGENTFORCE_REVISION, Some(expired)).await;
            self.report.add(&EXPIRED_TOKEN, refusals::judge(&exchange, through, &limits));
        }
        match challenge {
            Some(answer) => self.challenge(&answer),
            None => self.report.skip(NO_TOKEN_REFUSED.id, &[&CHALLENGE]),
        }
    }

    fn challenge(&mut self, answer: &Answer) {
        let url = metadata::resource_metadata_url(&self.target.mcp_url);
        let mut at_root = url.clone();
        at_root.set_path("/.well-known/oauth-protected-resource");
        let urls = [url.to_string(), at_root.to_string()];
        self.report.add(&CHALLENGE, refusals::judge_challenge(answer, &urls));
    }

    async fn revisions(&mut self, token: &SecretString) {
        let mut handshakes = Vec::new();
        for revision in OTHER_REVISIONS {
            handshakes.push((revision, self.initialize(revision, Some(token)).await));
        }
        let newest = json!({ "_meta": {
            "io.modelcontextprotocol/protocolVersion": NEWEST_REVISION,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": client_info(),
        } });
        let headers = vec![
            ("accept", "application/json, text/event-stream".to_owned()),
            ("mcp-protocol-version", NEWEST_REVISION.to_owned()),
            ("mcp-method", "tools/list".to_owned()),
        ];
        let exchange = self.post(Some(token), &headers, &request("tools/list", newest)).await;
        let newest = (NEWEST_REVISION, &exchange);
        self.report.add(&REVISIONS, conversation::judge_revisions(&handshakes, newest, &self.target.limits));
    }

    async fn metadata(&mut self, token: Option<&SecretString>) {
        let (target, limits) = (self.target, self.target.limits);
        let exchange = self.document(&metadata::resource_metadata_url(&target.mcp_url)).await;
        let issuer = target.issuer.as_deref();
        let (verdict, named) = metadata::judge_resource(&exchange, target.mcp_url.as_str(), issuer, &limits);
        self.report.add(&RESOURCE_METADATA, verdict);

        // Elsewhere than at the base, the document says who the issuer is.
        let issuer =
            issuer.map(str::to_owned).or(named).unwrap_or_else(|| target.token_url.origin().ascii_serialization());
        let mut keys_url = None;
        match Url::parse(&issuer) {
            Ok(url) => {
                let exchange = self.document(&metadata::server_metadata_url(&url)).await;
                let (verdict, keys) = metadata::judge_server(&exchange, &issuer, target.token_url.as_str(), &limits);
                self.report.add(&SERVER_METADATA, verdict);
                keys_url = keys;
            }
            Err(_) => self.report.skip(RESOURCE_METADATA.id, &[&SERVER_METADATA]),
        }

        // A document that is not there or wrong must not hide what the usual place holds.
        let unverified = token.and_then(|token| UnverifiedToken::read(token.expose_secret()));
        let usual = Url::parse(&format!("{issuer}/.well-known/jwks.json"));
        let named =
            keys_url.and_then(|url| Url::parse(&url).ok()).filter(|url| url.origin() == target.token_url.origin());
        match (named, usual) {
            (Some(url), _) | (None, Ok(url)) if unverified.is_some() => {
                let exchange = self.document(&url).await;
                let kid = unverified.and_then(|token| token.kid);
                self.report.add(&SIGNING_KEY, metadata::judge_keys(&exchange, kid.as_deref(), &limits));
            }
            _ if token.is_some() => {
                self.report.add(&SIGNING_KEY, Verdict::pass("the token is not a JWT: it needs no public key"));
            }
            _ => self.report.skip(TOKEN_BODY.id, &[&SIGNING_KEY]),
        }
    }

    fn times(&mut self) {
        let (limits, token, mcp) = (self.target.limits, self.slowest_token, self.slowest_mcp);
        for (check, slow, slowest, limit) in
            [(&TOKEN_TIME, &TOKEN_SLOW, token, limits.token_slow), (&MCP_TIME, &MCP_SLOW, mcp, limits.mcp_slow)]
        {
            let seen = format!("the slowest answer took {} ms", slowest.as_millis());
            if slowest > limit {
                self.report.add(check, Verdict::problem(slow, seen));
            } else if !slowest.is_zero() {
                self.report.add(check, Verdict::pass(seen));
            }
        }
    }

    async fn initialize(&mut self, revision: &str, token: Option<&SecretString>) -> Exchange {
        let hello = json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": client_info() });
        let headers = vec![("accept", "application/json, text/event-stream".to_owned())];
        self.post(token, &headers, &request("initialize", hello)).await
    }

    async fn post(
        &mut self,
        token: Option<&SecretString>,
        headers: &[(&'static str, String)],
        body: &Value,
    ) -> Exchange {
        let request = Request {
            method: Method::POST,
            url: &self.target.mcp_url,
            bearer: token,
            basic: None,
            headers: headers.to_vec(),
            body: Body::Json(body.to_string()),
            limit: self.target.limits.mcp,
        };
        let exchange = self.wire.send(request).await;
        if let Ok(answer) = &exchange {
            self.slowest_mcp = self.slowest_mcp.max(answer.elapsed);
        }
        exchange
    }

    /// `GET` or `DELETE` of the server.
    async fn plain(&self, method: Method, agreed: &Agreed, token: &SecretString) -> Exchange {
        let mut headers = self.headers(agreed);
        let mut limit = self.target.limits.mcp;
        if method == Method::GET {
            headers.retain(|(name, _)| *name != "accept");
            headers.push(("accept", "text/event-stream".to_owned()));
            limit = limit.mul_f64(GET_LIMIT);
        }
        let url = &self.target.mcp_url;
        self.wire
            .send(Request { method, url, bearer: Some(token), basic: None, headers, body: Body::Empty, limit })
            .await
    }

    async fn document(&self, url: &Url) -> Exchange {
        let headers = vec![("accept", "application/json".to_owned())];
        let limit = self.target.limits.token;
        self.wire
            .send(Request { method: Method::GET, url, bearer: None, basic: None, headers, body: Body::Empty, limit })
            .await
    }

    /// Headers after a handshake.
    fn headers(&self, agreed: &Agreed) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("accept", "application/json, text/event-stream".to_owned()),
            ("mcp-protocol-version", agreed.revision.clone()),
        ];
        headers.extend(agreed.session.clone().map(|session| ("mcp-session-id", session)));
        headers
    }
}

fn is(verdict: &Verdict, problem: &crate::checks::Problem) -> bool {
    verdict.problems.iter().any(|(found, _)| *found == problem)
}

fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

fn client_info() -> Value {
    json!({ "name": "northstar-doctor", "version": env!("CARGO_PKG_VERSION") })
}

/// The token with one character in the middle of its signature changed.
fn altered(token: &SecretString) -> SecretString {
    let token = token.expose_secret();
    let signature = token.rfind('.').map_or(0, |dot| dot + 1);
    let middle = signature + (token.len() - signature) / 2;
    let swap = |(at, c): (usize, char)| match c {
        'A' if at == middle => 'B',
        _ if at == middle => 'A',
        c => c,
    };
    SecretString::from(token.char_indices().map(swap).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_altered_token_differs_in_one_character_of_its_signature() {
        for token in ["aa.bb.cccc", "aa.bb.AAAA", "opaque"] {
            let altered = altered(&SecretString::from(token));
            let pairs = token.chars().zip(altered.expose_secret().chars());
            assert_eq!(pairs.filter(|(before, after)| before != after).count(), 1, "{token}");
        }
    }
}
