//! Consents in the `state` table: those that have begun, how the last one of a connection ended, and who gave the first.
//!
//! | `pk` | `sk` | what |
//! |---|---|---|
//! | `CONSENT#<SHA-256 of the state, in hexadecimal>` | `RECORD` | one that has begun, for ten minutes |
//! | `GRANT#<connection>` | `CONSENT` | how the last one ended |
//! | `GRANT#<connection>` | `PIN` | who consented |
//!
//! Nothing secret is in them: the code verifier is in the browser, its challenge here.

use std::time::SystemTime;

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::AttributeValue;
use registry::ConnectionName;
use secrecy::{ExposeSecret, SecretString};

use crate::consent::{self, Identity};
use crate::items::{self, Item, TableError};

/// How long a consent may take, in seconds.
pub const LIFETIME: u64 = 600;

/// A consent that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// For which connection.
    pub connection: ConnectionName,
    /// The S256 challenge of the code verifier.
    pub code_challenge: String,
    /// The issuer that was asked.
    pub issuer: String,
    /// The redirect URI that was sent.
    pub redirect_uri: String,
    /// Somebody else of the same org may consent than before.
    pub new_user: bool,
}

/// How a consent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentOutcome {
    /// `ok`, or a code of `docs/errors.md`.
    pub code: String,
    /// When, seconds since 1970.
    pub at: u64,
}

/// See the module's head.
#[derive(Clone)]
pub struct Consents {
    dynamodb: DynamoDb,
    table: String,
}

impl Consents {
    /// Consents in `state_table`.
    pub fn new(dynamodb: DynamoDb, state_table: impl Into<String>) -> Consents {
        Consents { dynamodb, table: state_table.into() }
    }

    /// Keeps a consent that begins, under its `state`.
    ///
    /// # Errors
    /// [`TableError`] when the table does not answer.
    pub async fn begin(&self, state: &SecretString, consent: &Consent, now: SystemTime) -> Result<(), TableError> {
        let mut item = items::key(&key(state), "RECORD");
        let mut set = |name: &str, value| item.insert(name.to_owned(), value);
        set("connection", items::text(consent.connection.as_str()));
        set("code_challenge", items::text(&consent.code_challenge));
        set("issuer", items::text(&consent.issuer));
        set("redirect_uri", items::text(&consent.redirect_uri));
        set("new_user", AttributeValue::Bool(consent.new_user));
        set("expires_at", items::number(items::seconds(now) + LIFETIME));
        self.put(item).await
    }

    /// Uses a consent up; `None` when its `state` is unknown, used up or expired.
    ///
    /// # Errors
    /// [`TableError`] when the table does not answer, or has something else there.
    pub async fn consume(&self, state: &SecretString, now: SystemTime) -> Result<Option<Consent>, TableError> {
        if !consent::is_random_secret(state.expose_secret()) {
            return Ok(None);
        }
        let taken = items::take(&self.dynamodb, &self.table, items::key(&key(state), "RECORD"), None).await?;
        let Some(item) = taken.filter(|item| items::is_alive(item, now)) else { return Ok(None) };
        read(&item).map(Some).ok_or(TableError::Malformed)
    }

    /// Who consented to a connection, if that is known.
    ///
    /// # Errors
    /// [`TableError`] when the table does not answer, or has something else there.
    pub async fn pin(&self, name: &ConnectionName) -> Result<Option<Identity>, TableError> {
        let Some(item) = items::get(&self.dynamodb, &self.table, items::key(&grant(name), "PIN")).await? else {
            return Ok(None);
        };
        let identity = || Some(Identity { org: items::text_in(&item, "org")?, user: items::text_in(&item, "user")? });
        identity().map(Some).ok_or(TableError::Malformed)
    }

    /// Writes who consented in the place of `seen`; `false` when somebody else has written meanwhile.
    ///
    /// # Errors
    /// [`TableError`] when the table does not answer.
    pub async fn put_pin(
        &self,
        name: &ConnectionName,
        seen: Option<&Identity>,
        identity: &Identity,
        now: SystemTime,
    ) -> Result<bool, TableError> {
        let put = self
            .dynamodb
            .put_item()
            .table_name(&self.table)
            .set_item(Some(items::key(&grant(name), "PIN")))
            .item("org", items::text(&identity.org))
            .item("user", items::text(&identity.user))
            .item("pinned_at", items::number(items::seconds(now)));
        // The same again is no other: the SDK repeats a write whose answer was lost.
        let put = match seen {
            None => put.condition_expression("attribute_not_exists(pk) OR (#org = :org AND #user = :user)"),
            Some(seen) => put
                .condition_expression("#org = :org AND (#user = :user OR #user = :seen)")
                .expression_attribute_values(":seen", items::text(&seen.user)),
        };
        let put = put
            .expression_attribute_names("#org", "org")
            .expression_attribute_names("#user", "user")
            .expression_attribute_values(":org", items::text(&identity.org))
            .expression_attribute_values(":user", items::text(&identity.user));
        items::condition_held(Box::pin(put.send()).await)
    }

    /// How the last consent of a connection ended; `None` when there has been none.
    ///
    /// # Errors
    /// [`TableError`] when the table does not answer, or has something else there.
    pub async fn outcome(&self, name: &ConnectionName) -> Result<Option<ConsentOutcome>, TableError> {
        let Some(item) = items::get(&self.dynamodb, &self.table, items::key(&grant(name), "CONSENT")).await? else {
            return Ok(None);
        };
        let outcome =
            || Some(ConsentOutcome { code: items::text_in(&item, "outcome")?, at: items::number_in(&item, "at")? });
        outcome().map(Some).ok_or(TableError::Malformed)
    }

    /// Writes how a consent ended.
    ///
    /// # Errors
    /// [`TableError`] when the table does not answer.
    pub async fn put_outcome(&self, name: &ConnectionName, code: &str, now: SystemTime) -> Result<(), TableError> {
        let mut item = items::key(&grant(name), "CONSENT");
        item.insert("outcome".to_owned(), items::text(code));
        item.insert("at".to_owned(), items::number(items::seconds(now)));
        self.put(item).await
    }

    async fn put(&self, item: Item) -> Result<(), TableError> {
        let put = self.dynamodb.put_item().table_name(&self.table).set_item(Some(item));
        Box::pin(put.send()).await?;
        Ok(())
    }
}

fn key(state: &SecretString) -> String {
    format!("CONSENT#{}", items::digest(state.expose_secret()))
}

fn grant(name: &ConnectionName) -> String {
    format!("GRANT#{name}")
}

fn read(item: &Item) -> Option<Consent> {
    Some(Consent {
        connection: ConnectionName::parse(&items::text_in(item, "connection")?)?,
        code_challenge: items::text_in(item, "code_challenge")?,
        issuer: items::text_in(item, "issuer")?,
        redirect_uri: items::text_in(item, "redirect_uri")?,
        new_user: item.get("new_user").and_then(|value| value.as_bool().ok()).copied()?,
    })
}
