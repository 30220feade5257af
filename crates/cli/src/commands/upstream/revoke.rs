//! `northstar upstream revoke` and `remove`.

use std::time::SystemTime;

use oauth_client::Connection as OAuthConnection;
use oauth_client::Revocation;
use registry::{ConnectionName, Upstream, UpstreamAuth};
use serde_json::json;
use upstream::SeenStore;

use super::{audited, auth, changed, find, look, secret_of, users};
use crate::commands::server::ask;
use crate::output::{self, Failure};
use crate::place::Open;

/// Gives the grant of an upstream back, and forgets it.
pub async fn revoke(open: &Open, json: bool, name: &str, yes: bool) -> Result<(), Failure> {
    let upstream = find(open, name).await?;
    let Some(connection) = OAuthConnection::of_upstream(&upstream) else {
        return Err(Failure::Message(format!(
            "{name} has no grant (--auth {}): northstar upstream remove {name} deletes its secret",
            auth(&upstream)
        )));
    };
    if !yes {
        ask(
            &format!("Revoke the grant of {name}? Its tools fail until somebody consents anew."),
            "there is nobody to ask: add --yes to revoke it without a question",
            "Nothing was revoked.",
        )?;
    }
    let said = audited("upstream.revoke", &upstream.name, give_back(open, &upstream, &connection).await)?;
    if json {
        return changed(&upstream.name, "forgotten", json!({ "authorization_server": said }));
    }
    output::line(&format!("revoked {name}: {said}"))?;
    eprintln!("Its tools fail within a minute. To use it again: northstar upstream connect {name}");
    Ok(())
}

/// Removes an upstream.
pub async fn remove(open: &Open, json: bool, name: &str, yes: bool) -> Result<(), Failure> {
    let upstream = find(open, name).await?;
    let servers = open.registry.servers().await?;
    let users = users(&servers, &upstream.name);
    if !users.is_empty() {
        return Err(Failure::Message(format!(
            "{name} has tools in {}: take it out of their definitions first (northstar server apply)",
            users.join(", ")
        )));
    }
    if !yes {
        ask(
            &format!("Remove the upstream {name}, its secret, its grant and what was accepted? There is no way back."),
            "there is nobody to ask: add --yes to remove it without a question",
            "Nothing was removed.",
        )?;
    }
    audited("upstream.remove", &upstream.name, forget(open, &upstream).await)?;
    if json {
        return changed(&upstream.name, "removed", json!({}));
    }
    output::line(&format!("removed {name}"))?;
    eprintln!("At its authorization server the app still exists; of Salesforce: Setup > External Client App Manager.");
    Ok(())
}

/// What the authorization server said; it is forgotten here in any case.
async fn give_back(open: &Open, upstream: &Upstream, connection: &OAuthConnection) -> Result<String, Failure> {
    let now = SystemTime::now();
    let revoke_url = match &upstream.auth {
        UpstreamAuth::OAuth(oauth) => oauth.revoke_url.as_deref(),
        _ => None,
    };
    let grants = look::grants(open, upstream).await?;
    let revocation = grants.revoke(connection, revoke_url, now).await?;
    Ok(said(&revocation))
}

fn said(revocation: &Revocation) -> String {
    match revocation {
        Revocation::Revoked => "the authorization server has revoked it".to_owned(),
        Revocation::NoGrant => "there was no grant".to_owned(),
        Revocation::NoEndpoint => {
            "no revocation endpoint is registered: at the authorization server its tokens work until they end"
                .to_owned()
        }
        Revocation::Unreadable => "the record could not be read: nobody knows its tokens".to_owned(),
        Revocation::NotRevoked(why) => {
            format!("the authorization server did not revoke it ({why}): there its tokens may work until they end")
        }
    }
}

/// The registration first: what is left of a removal that did not end is of no use to anybody. What fails keeps nothing else
/// from being forgotten.
async fn forget(open: &Open, upstream: &Upstream) -> Result<(), Failure> {
    let name = &upstream.name;
    let registration: Result<(), Failure> = open.registry.delete_connection(name).await.map_err(Into::into);
    let given_back = match &OAuthConnection::of_upstream(upstream) {
        Some(connection) => give_back(open, upstream, connection).await.map(|_| ()),
        None => Ok(()),
    };
    let grant = forget_grant(open, name, SystemTime::now()).await;
    let seen = forget_seen(open, name).await;
    let secret: Result<(), Failure> = match secret_of(upstream) {
        Some(id) => open.secrets.delete(id).await.map_err(Into::into),
        None => Ok(()),
    };
    let steps = [
        ("its registration", registration),
        ("its grant at the authorization server", given_back),
        ("its grant", grant),
        ("what was seen of it", seen),
        (secret_of(upstream).unwrap_or_default(), secret),
    ];
    let failed: Vec<String> = steps.into_iter().filter_map(|(what, done)| failed(what, done)).collect();
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::Message(format!("{name} was removed, except {}", failed.join("; ")))),
    }
}

fn failed(what: &str, done: Result<(), Failure>) -> Option<String> {
    match done.err()? {
        Failure::Message(why) | Failure::Usage(why) => Some(format!("{what}: {why}")),
        Failure::Answered => Some(what.to_owned()),
    }
}

/// The grant, and who gave it.
pub async fn forget_grant(open: &Open, name: &ConnectionName, now: SystemTime) -> Result<(), Failure> {
    Ok(open.grants().await?.remove(name, now).await?)
}

/// What it was last seen to list.
pub async fn forget_seen(open: &Open, name: &ConnectionName) -> Result<(), Failure> {
    Ok(SeenStore::new(open.dynamodb.clone(), &open.names.state_table).delete(name).await?)
}
