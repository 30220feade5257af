//! `northstar upstream list` and `show`.

use std::time::SystemTime;

use oauth_client::consents::{ConsentOutcome, Consents};
use oauth_client::{GrantError, GrantStatus, Status};
use registry::{ClientAuth, Connection, Flow, PinnedTools, Upstream, UpstreamAuth, UpstreamOAuth};
use serde_json::{Value, json};
use upstream::discovery::{Setting, Settings};
use upstream::{Seen, SeenStore};

use super::{auth, fields, find, look, redirect_uri, users};
use crate::output::{self, Failure};
use crate::place::Open;
use crate::values;

/// How an upstream goes, without asking anybody but our own tables.
struct State {
    grant: Option<GrantStatus>,
    damaged: bool,
    identity: Option<(String, String)>,
    consent: Option<ConsentOutcome>,
    pinned: Option<PinnedTools>,
    seen: Option<Seen>,
}

impl State {
    async fn of(open: &Open, upstream: &Upstream) -> Result<State, Failure> {
        let now = SystemTime::now();
        let consents = Consents::new(open.dynamodb.clone(), &open.names.state_table);
        let (grant, damaged) = match look::grants(open, upstream).await?.status(&upstream.name, now).await {
            Ok(grant) => (grant, false),
            Err(GrantError::Damaged(_)) => (None, true),
            Err(error) => return Err(error.into()),
        };
        let identity = consents.pin(&upstream.name).await?.map(|identity| (identity.org, identity.user));
        Ok(State {
            grant,
            damaged,
            identity,
            consent: consents.outcome(&upstream.name).await?,
            pinned: open.registry.pinned_tools(&upstream.name).await?,
            seen: SeenStore::new(open.dynamodb.clone(), &open.names.state_table).read(&upstream.name).await?,
        })
    }

    /// In a word; what asks for somebody is not `ok`.
    fn status(&self, upstream: &Upstream) -> &'static str {
        match (&upstream.auth, &self.grant) {
            (UpstreamAuth::None | UpstreamAuth::Bearer { .. }, _) => "ok",
            _ if self.damaged => "damaged",
            (_, Some(grant)) if grant.status == Status::Attention => "attention",
            (_, Some(grant)) if grant.issued_at.is_some() => "ok",
            (UpstreamAuth::OAuth(oauth), _) if matches!(oauth.flow, Flow::RefreshToken { .. }) => "not connected",
            _ => "unused",
        }
    }

    fn reason(&self) -> Option<&str> {
        let grant = self.grant.as_ref().filter(|grant| grant.status == Status::Attention);
        grant.and_then(|grant| grant.reason.as_deref())
    }

    fn accepted(&self) -> Vec<&str> {
        self.pinned.iter().flat_map(|pinned| &pinned.tools).map(|tool| tool.name.as_str()).collect()
    }

    fn withheld(&self) -> Vec<&str> {
        withheld(self.pinned.as_ref(), self.seen.as_ref())
    }
}

/// Accepted tools that are not served, for the upstream was last seen without them as they were accepted.
pub fn withheld<'a>(pinned: Option<&'a PinnedTools>, seen: Option<&Seen>) -> Vec<&'a str> {
    let Some(seen) = seen else { return Vec::new() };
    let tools = pinned.map(|pinned| pinned.tools.as_slice()).unwrap_or_default();
    let changed = tools.iter().filter(|tool| seen.hashes.get(&tool.name) != Some(&tool.hash));
    changed.map(|tool| tool.name.as_str()).collect()
}

/// Lists the upstreams.
pub async fn list(open: &Open, json: bool) -> Result<(), Failure> {
    let servers = open.registry.servers().await?;
    let (mut documents, mut rows) = (Vec::new(), Vec::new());
    for connection in open.registry.connections().await? {
        let Connection::Upstream(upstream) = connection else { continue };
        let state = State::of(open, &upstream).await?;
        let users = users(&servers, &upstream.name);
        let status = match state.reason() {
            Some(reason) => format!("{}: {reason}", state.status(&upstream)),
            None => state.status(&upstream).to_owned(),
        };
        let tools = match state.withheld().len() {
            0 => state.accepted().len().to_string(),
            withheld => format!("{}, {withheld} withheld", state.accepted().len()),
        };
        rows.push(vec![
            upstream.name.to_string(),
            auth(&upstream).to_owned(),
            upstream.url.clone(),
            status,
            tools,
            if users.is_empty() { "-".to_owned() } else { users.join(", ") },
            values::show_time(upstream.created_at),
        ]);
        documents.push(document(open, &upstream, &state, &users));
    }
    if json {
        return output::json(&documents);
    }
    output::table(&["name", "auth", "URL", "status", "tools", "servers", "added"], rows)
}

/// Shows one.
pub async fn show(open: &Open, json: bool, name: &str) -> Result<(), Failure> {
    let upstream = find(open, name).await?;
    let state = State::of(open, &upstream).await?;
    let servers = open.registry.servers().await?;
    let users = users(&servers, &upstream.name);
    if json {
        return output::json(&document(open, &upstream, &state, &users));
    }
    let dash = |list: Vec<&str>| if list.is_empty() { "-".to_owned() } else { list.join(", ") };
    let mut rows = vec![("name", upstream.name.to_string()), ("URL", upstream.url.clone())];
    if auth(&upstream) == "oauth" {
        rows.push(("callback URL", redirect_uri(open, &upstream)));
    }
    rows.push(("auth", auth(&upstream).to_owned()));
    for (name, value, source) in settings(&upstream) {
        rows.push((name, if source.is_empty() { value } else { format!("{value}  ({source})") }));
    }
    if let Some(page) = &upstream.result_page {
        rows.push(("result page", page.clone()));
    }
    rows.push(("status", state.status(&upstream).to_owned()));
    if let Some(reason) = state.reason() {
        rows.push(("reason", reason.to_owned()));
    }
    if let Some(issued_at) = state.grant.as_ref().and_then(|grant| grant.issued_at) {
        rows.push(("token of", values::show_time(issued_at)));
    }
    if let Some((org, user)) = &state.identity {
        rows.push(("consented by", format!("user {user} of {org}")));
    }
    if let Some(consent) = &state.consent {
        rows.push(("last consent", format!("{} at {}", consent.code, values::show_time(consent.at))));
    }
    rows.push(("accepted", dash(state.accepted())));
    rows.push(("withheld", dash(state.withheld())));
    rows.push(("servers", dash(users)));
    rows.push(("added", values::show_time(upstream.created_at)));
    fields(&rows)
}

/// Name, value and source of what is registered of its authorization server: a preset, or whoever registered it.
fn settings(upstream: &Upstream) -> Vec<(&'static str, String, &'static str)> {
    let UpstreamAuth::OAuth(oauth) = &upstream.auth else { return Vec::new() };
    let source = |of_preset: bool| if of_preset { "preset" } else { "registered" };
    let preset = |issuer| upstream.preset.map(|preset| Settings::preset(preset, issuer)).unwrap_or_default();
    // Those of the preset are under the issuer.
    let (own, below) = (preset(None), preset(Some(oauth.issuer.as_str())));
    let is = |setting: &Option<Setting<String>>, value: &str| setting.as_ref().is_some_and(|it| it.value == value);
    let of_preset = own.scopes.as_ref().is_some_and(|scopes| scopes.value == oauth.scopes);
    let mut rows = vec![("issuer", oauth.issuer.clone(), source(is(&own.issuer, &oauth.issuer)))];
    for (name, url, setting) in [
        ("authorize_url", oauth.authorize_url.as_ref(), &below.authorize_url),
        ("token_url", Some(&oauth.token_url), &below.token_url),
        ("revoke_url", oauth.revoke_url.as_ref(), &below.revoke_url),
    ] {
        rows.extend(url.map(|url| (name, url.clone(), source(is(setting, url)))));
    }
    rows.extend(oauth.resource.clone().map(|resource| ("resource", resource, "registered")));
    rows.push(("scopes", oauth.scopes.join(" "), source(of_preset)));
    rows.push(("client_id", oauth.client_id.clone(), ""));
    rows.push(("client_auth", client_auth(oauth).to_owned(), ""));
    rows
}

/// By its registered name (RFC 7591 §2).
fn client_auth(oauth: &UpstreamOAuth) -> &'static str {
    match &oauth.flow {
        Flow::RefreshToken { client_auth } | Flow::ClientCredentials { client_auth } if oauth.secret_id.is_some() => {
            match client_auth {
                ClientAuth::Post => "client_secret_post",
                ClientAuth::Basic => "client_secret_basic",
                ClientAuth::PrivateKeyJwt => "private_key_jwt",
            }
        }
        _ => "none",
    }
}

/// An upstream for programs. No secret is in it.
fn document(open: &Open, upstream: &Upstream, state: &State, users: &[&str]) -> Value {
    let settings: serde_json::Map<String, Value> = settings(upstream)
        .into_iter()
        .map(|(name, value, source)| {
            let source = if source.is_empty() { Value::Null } else { json!(source) };
            (name.to_owned(), json!({ "value": value, "source": source }))
        })
        .collect();
    json!({
        "name": upstream.name,
        "url": upstream.url,
        "preset": upstream.preset,
        "auth": auth(upstream),
        "redirect_uri": (auth(upstream) == "oauth").then(|| redirect_uri(open, upstream)),
        "result_page": upstream.result_page,
        "settings": settings,
        "status": state.status(upstream),
        "reason": state.reason(),
        "identity": state.grant.as_ref().and_then(|grant| grant.identity.as_ref()),
        "pinned": state.identity.as_ref().map(|(org, user)| json!({ "org": org, "user": user })),
        "last_consent": state.consent.as_ref().map(|consent| json!({ "outcome": consent.code, "at": consent.at })),
        "accepted": state.accepted(),
        "withheld": state.withheld(),
        "servers": users,
        "created_at": upstream.created_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_withheld_until_somebody_has_looked() {
        assert_eq!(withheld(None, Some(&Seen::default())), Vec::<&str>::new());
        assert_eq!(withheld(Some(&PinnedTools::default()), None), Vec::<&str>::new());
    }
}
