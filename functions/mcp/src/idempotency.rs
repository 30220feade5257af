//! Records of writes in the `state` table, so that a write to a system without idempotency keys of its own is made at most
//! once: under retries, by several instances, and by one that is killed in the middle.
//!
//! A record is put before the write and completed after it. One whose process has ended without a word is never taken
//! over: nobody knows whether it wrote. When the table does not answer, nothing is written.
//!
//! | what | `pk` | `sk` |
//! |---|---|---|
//! | a write | `IDEMPOTENCY#<digest>` | `RECORD` |
//! | records that a client wrote in a day | `QUOTA#<server>#<client>` | `WRITES#<yyyy-mm-dd>` |

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{Context, SHA256};
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::catalogue::Answer;

type Item = HashMap<String, AttributeValue>;

/// How long the answer of a write under a given key is remembered.
const HELD_GIVEN: Duration = Duration::from_secs(24 * 60 * 60);
/// The same for a key that was made of the arguments.
const HELD_DERIVED: Duration = Duration::from_secs(60);
/// How long a write is remembered of which nobody knows whether it was made.
const HELD_UNKNOWN: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a job is remembered as one of ours: Salesforce keeps it for 7 days.
const HELD_JOB: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// What a record lives longer than it holds.
const GRACE: Duration = Duration::from_secs(60 * 60);
/// How long a repeat waits for the first one, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);
/// How much longer than its call a write may be on its way.
const LEASE_GRACE: Duration = Duration::from_secs(1);

/// What names one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Digest of who writes where, and of the key that was given or made.
    digest: String,
    /// Digest of the arguments.
    payload: String,
    /// Whether the key was made of the arguments.
    pub derived: bool,
}

impl Key {
    /// The key of a write by `who` (client, server, connection, tool): the `given` one, or one that is made of the
    /// arguments, of which `payload` is the digest.
    pub fn new(who: &[&str], given: Option<&str>, payload: String) -> Key {
        let own = [if given.is_some() { "given" } else { "derived" }, given.unwrap_or(&payload)];
        Key { digest: digest(who.iter().chain(&own).copied()), derived: given.is_none(), payload }
    }

    fn held(&self) -> Duration {
        if self.derived { HELD_DERIVED } else { HELD_GIVEN }
    }
}

/// SHA-256 over texts, each after its length, so that no two lists are digested as the same bytes; in base64url.
pub fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut context = Context::new(&SHA256);
    for text in texts {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    BASE64_URL_SAFE_NO_PAD.encode(context.finish())
}

/// JSON with its properties in order, so that the same arguments are the same text.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let members: Vec<String> = members
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// Records in the `state` table.
pub struct Writes {
    dynamodb: DynamoDb,
    table: String,
}

/// A record that this call has put: it alone may write.
#[derive(Debug)]
pub struct Held {
    key: Key,
    owner: String,
}

/// What becomes of a write.
#[derive(Debug)]
pub enum Begun {
    /// It may be made, once.
    Ours(Held),
    /// It was made before: its answer.
    Done(Answer),
    /// Nobody knows whether it was made.
    Unknown,
    /// Another call is making it.
    Running,
    /// The key was used for other arguments.
    Mismatch,
}

/// The table does not answer.
#[derive(Debug, thiserror::Error)]
#[error("state table: {0}")]
pub struct TableError(String);

impl TableError {
    fn new(error: impl Into<aws_sdk_dynamodb::Error>) -> TableError {
        TableError(error.into().code().unwrap_or("no answer").to_owned())
    }
}

/// What a record says.
#[derive(Debug, PartialEq)]
enum Seen {
    Ours,
    Done(Answer),
    Unknown,
    Running,
    Mismatch,
    /// It holds no longer, or is none.
    Over,
}

impl Writes {
    /// Records in `table`, the `state` table.
    pub fn new(dynamodb: DynamoDb, table: impl Into<String>) -> Writes {
        Writes { dynamodb, table: table.into() }
    }

    /// Begins a write, unless it has begun before. `now` is the time at which this is called, `deadline` the end of the
    /// call: a repeat waits for the first one, up to 5 s and not longer than its call.
    ///
    /// # Errors
    /// [`TableError`]: nothing may be written.
    pub async fn begin(&self, key: Key, now: SystemTime, deadline: Instant) -> Result<Begun, TableError> {
        let began = Instant::now();
        let at = || millis(now + began.elapsed());
        let lease = millis(now + deadline.saturating_duration_since(began) + LEASE_GRACE);
        let held = Held { key, owner: random().ok_or_else(|| TableError("no random number".to_owned()))? };
        let patience = PATIENCE.min(deadline.saturating_duration_since(began).saturating_sub(2 * POLL));
        let mut known = None;
        loop {
            let item = match known.take() {
                Some(item) => item,
                None => match self.put(&held, at(), lease).await? {
                    None => return Ok(Begun::Ours(held)),
                    Some(item) => item,
                },
            };
            match judge(&item, &held, at()) {
                Seen::Ours => return Ok(Begun::Ours(held)),
                Seen::Done(answer) => return Ok(Begun::Done(answer)),
                Seen::Unknown => return Ok(Begun::Unknown),
                Seen::Mismatch => return Ok(Begun::Mismatch),
                Seen::Running | Seen::Over if began.elapsed() >= patience => return Ok(Begun::Running),
                Seen::Over => tokio::time::sleep(POLL).await,
                Seen::Running => {
                    tokio::time::sleep(POLL).await;
                    known = self.get(&held.key).await?;
                }
            }
        }
    }

    /// `None`: the record is ours. Otherwise the one that is there.
    async fn put(&self, held: &Held, now: u64, lease: u64) -> Result<Option<Item>, TableError> {
        let item = HashMap::from([
            ("pk".to_owned(), text(pk(&held.key.digest))),
            ("sk".to_owned(), text("RECORD")),
            ("state".to_owned(), text("in_progress")),
            ("owner".to_owned(), text(held.owner.as_str())),
            ("payload".to_owned(), text(held.key.payload.as_str())),
            ("lease_until".to_owned(), number(lease)),
            ("expires_at".to_owned(), number(forgotten_at(now, HELD_UNKNOWN))),
        ]);
        let put = self
            .dynamodb
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR (#state = :completed AND held_until <= :now)")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":completed", text("completed"))
            .expression_attribute_values(":now", number(now))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        // Boxed: the SDK's futures are large.
        match Box::pin(put.send()).await.map_err(aws_sdk_dynamodb::Error::from) {
            Ok(_) => Ok(None),
            Err(aws_sdk_dynamodb::Error::ConditionalCheckFailedException(failed)) => {
                Ok(Some(failed.item().cloned().unwrap_or_default()))
            }
            Err(error) => Err(TableError::new(error)),
        }
    }

    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        let get = self.dynamodb.get_item().table_name(&self.table).set_key(Some(item_key(&key.digest)));
        let output = Box::pin(get.consistent_read(true).send()).await.map_err(TableError::new)?;
        Ok(output.item)
    }

    /// The write was made: its answer is remembered.
    ///
    /// # Errors
    /// [`TableError`]: a repeat will be told that nobody knows.
    pub async fn complete(&self, held: &Held, answer: &Answer, now: SystemTime) -> Result<(), TableError> {
        let now = millis(now);
        let until = now + in_millis(held.key.held());
        let update = self
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item_key(&held.key.digest)))
            .update_expression("SET #state = :state, answer = :answer, held_until = :until, expires_at = :expires_at")
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":state", text("completed"))
            .expression_attribute_values(":answer", text(Value::Object(answer.clone()).to_string()))
            .expression_attribute_values(":until", number(until))
            .expression_attribute_values(":expires_at", number(forgotten_at(now, held.key.held())))
            .expression_attribute_values(":owner", text(held.owner.as_str()));
        Box::pin(update.send()).await.map(drop).map_err(TableError::new)
    }

    /// The write is known to have had no effect: it may be tried again.
    ///
    /// # Errors
    /// [`TableError`]: a repeat will be told that nobody knows.
    pub async fn forget(&self, held: &Held) -> Result<(), TableError> {
        let delete = self
            .dynamodb
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(item_key(&held.key.digest)))
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(held.owner.as_str()));
        Box::pin(delete.send()).await.map(drop).map_err(TableError::new)
    }

    /// Nobody knows whether the write was made: repeats need not wait to be told so.
    ///
    /// # Errors
    /// [`TableError`]: they wait.
    pub async fn abandon(&self, held: &Held) -> Result<(), TableError> {
        let update = self
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item_key(&held.key.digest)))
            .update_expression("SET lease_until = :zero")
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":owner", text(held.owner.as_str()));
        Box::pin(update.send()).await.map(drop).map_err(TableError::new)
    }

    /// Counts records that a client writes on the day of `now`. False: with these it would write more than `most`, and
    /// nothing is counted.
    ///
    /// # Errors
    /// [`TableError`]: nothing may be written.
    pub async fn spend(
        &self,
        whose: (&str, &str),
        records: usize,
        most: u32,
        now: SystemTime,
    ) -> Result<bool, TableError> {
        let records = records as u64;
        let Some(at_most) = u64::from(most).checked_sub(records) else { return Ok(false) };
        let update = self
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .set_key(Some(budget_key(whose, now)))
            .update_expression("SET used = if_not_exists(used, :zero) + :records, expires_at = :expires_at")
            .condition_expression("attribute_not_exists(used) OR used <= :at_most")
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":records", number(records))
            .expression_attribute_values(":at_most", number(at_most))
            .expression_attribute_values(":expires_at", number(forgotten_at(millis(now), HELD_GIVEN)));
        match Box::pin(update.send()).await.map_err(aws_sdk_dynamodb::Error::from) {
            Ok(_) => Ok(true),
            Err(aws_sdk_dynamodb::Error::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(TableError::new(error)),
        }
    }

    /// Takes back what was counted for a write that had no effect.
    ///
    /// # Errors
    /// [`TableError`]: it stays counted.
    pub async fn give_back(&self, whose: (&str, &str), records: usize, now: SystemTime) -> Result<(), TableError> {
        let update = self
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .set_key(Some(budget_key(whose, now)))
            .update_expression("SET used = used - :records")
            .condition_expression("used >= :records")
            .expression_attribute_values(":records", number(records as u64));
        Box::pin(update.send()).await.map(drop).map_err(TableError::new)
    }

    /// Remembers a job as one that was made under `under`.
    ///
    /// # Errors
    /// [`TableError`]: it is not.
    pub async fn note_job(&self, under: &[&str], job: &str, now: SystemTime) -> Result<(), TableError> {
        let mut item = item_key(&job_digest(under, job));
        item.insert("state".to_owned(), text("job"));
        item.insert("expires_at".to_owned(), number(forgotten_at(millis(now), HELD_JOB)));
        let put = self.dynamodb.put_item().table_name(&self.table).set_item(Some(item));
        Box::pin(put.send()).await.map(drop).map_err(TableError::new)
    }

    /// Whether a job was made under `under`.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn knows_job(&self, under: &[&str], job: &str) -> Result<bool, TableError> {
        let get = self.dynamodb.get_item().table_name(&self.table).set_key(Some(item_key(&job_digest(under, job))));
        let output = Box::pin(get.consistent_read(true).send()).await.map_err(TableError::new)?;
        Ok(output.item.is_some())
    }
}

/// What a record says to one who would write under its key.
fn judge(item: &Item, held: &Held, now: u64) -> Seen {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
    let number = |name: &str| -> u64 {
        item.get(name).and_then(|value| value.as_n().ok()).and_then(|number| number.parse().ok()).unwrap_or_default()
    };
    // The SDK has sent its request twice, and the first one came through.
    if text("owner") == Some(&held.owner) {
        return Seen::Ours;
    }
    match text("state") {
        Some("completed") if number("held_until") <= now => Seen::Over,
        Some(_) if text("payload") != Some(&held.key.payload) => Seen::Mismatch,
        Some("completed") => match text("answer").and_then(|answer| serde_json::from_str(answer).ok()) {
            Some(Value::Object(answer)) => Seen::Done(answer),
            _ => Seen::Unknown,
        },
        Some("in_progress") if number("lease_until") > now => Seen::Running,
        Some(_) => Seen::Unknown,
        None => Seen::Over,
    }
}

fn pk(digest: &str) -> String {
    format!("IDEMPOTENCY#{digest}")
}

fn item_key(digest: &str) -> Item {
    HashMap::from([("pk".to_owned(), text(pk(digest))), ("sk".to_owned(), text("RECORD"))])
}

fn budget_key((server, client): (&str, &str), now: SystemTime) -> Item {
    let day: String = request_log::timestamp(now).chars().take(10).collect();
    HashMap::from([
        ("pk".to_owned(), text(format!("QUOTA#{server}#{client}"))),
        ("sk".to_owned(), text(format!("WRITES#{day}"))),
    ])
}

fn job_digest(under: &[&str], job: &str) -> String {
    digest(["job", job].into_iter().chain(under.iter().copied()))
}

/// 96 random bits in base64url; `None` without a source of them.
pub fn random() -> Option<String> {
    let mut bytes = [0; 12];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn millis(time: SystemTime) -> u64 {
    in_millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn in_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

/// When the table may forget an item, in seconds since 1970.
fn forgotten_at(now: u64, held: Duration) -> u64 {
    now / 1_000 + (held + GRACE).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn held(given: Option<&str>, payload: &str) -> Held {
        Held { key: Key::new(&["client", "server", "org", "tool"], given, payload.to_owned()), owner: "me".to_owned() }
    }

    fn record(state: &str, owner: &str, payload: &str, until: u64) -> Item {
        HashMap::from([
            ("state".to_owned(), text(state)),
            ("owner".to_owned(), text(owner)),
            ("payload".to_owned(), text(payload)),
            ("answer".to_owned(), text(r#"{"id":"1"}"#)),
            ("lease_until".to_owned(), number(until)),
            ("held_until".to_owned(), number(until)),
        ])
    }

    #[test]
    fn a_record_decides_for_everybody_who_writes_the_same() {
        let held = held(Some("k"), "p");
        let done = || Seen::Done(json!({ "id": "1" }).as_object().cloned().unwrap());
        for (item, seen) in [
            (record("in_progress", "me", "p", 50), Seen::Ours),
            (record("in_progress", "other", "p", 101), Seen::Running),
            (record("in_progress", "other", "p", 100), Seen::Unknown),
            (record("in_progress", "other", "p", 0), Seen::Unknown),
            (record("in_progress", "other", "q", 101), Seen::Mismatch),
            (record("in_progress", "other", "q", 0), Seen::Mismatch),
            (record("completed", "other", "p", 101), done()),
            (record("completed", "other", "q", 101), Seen::Mismatch),
            (record("completed", "other", "q", 100), Seen::Over),
            (record("damaged", "other", "p", 101), Seen::Unknown),
            (HashMap::new(), Seen::Over),
        ] {
            assert_eq!(judge(&item, &held, 100), seen, "{item:?}");
        }
        let mut damaged = record("completed", "other", "p", 101);
        damaged.insert("answer".to_owned(), text("x"));
        assert_eq!(judge(&damaged, &held, 100), Seen::Unknown);
    }

    #[tokio::test]
    async fn without_the_table_nothing_begins() {
        // Nobody listens there.
        let aws = aws_clients::AwsClients::new(&aws_clients::AwsSettings::local("http://127.0.0.1:1"));
        let writes = Writes::new(aws.dynamodb, "state");
        let key = Key::new(&["client"], None, "p".to_owned());
        let now = SystemTime::now();
        assert!(writes.begin(key, now, Instant::now() + Duration::from_secs(10)).await.is_err());
        assert!(writes.spend(("server", "client"), 1, 5, now).await.is_err());
        assert!(!writes.spend(("server", "client"), 6, 5, now).await.unwrap(), "that is known without it");
    }

    #[test]
    fn keys_differ_by_everything_that_they_are_made_of() {
        let digests = [
            (["c", "s", "o", "t"], None, "p"),
            (["c2", "s", "o", "t"], None, "p"),
            (["c", "s2", "o", "t"], None, "p"),
            (["c", "s", "o2", "t"], None, "p"),
            (["c", "s", "o", "t2"], None, "p"),
            (["c", "so", "", "t"], None, "p"),
            (["c", "s", "o", "t"], None, "p2"),
            (["c", "s", "o", "t"], Some("p"), "p"),
            (["c", "s", "o", "t"], Some("p2"), "p"),
        ]
        .map(|(who, given, payload)| Key::new(&who, given, payload.to_owned()).digest);
        for (at, one) in digests.iter().enumerate() {
            assert!(digests.iter().skip(at + 1).all(|other| other != one), "{at}");
        }
        let other = Key::new(&["c", "s", "o", "t"], Some("p"), "other".to_owned()).digest;
        assert_eq!(digests[7], other, "a given key is the same for other arguments: that is a mismatch");
    }

    #[test]
    fn the_order_of_properties_does_not_count() {
        let one = json!({ "b": [{ "y": 1, "x": "a\"b" }], "a": null });
        let other: Value = serde_json::from_str(r#"{ "a": null, "b": [{ "x": "a\"b", "y": 1 }] }"#).unwrap();
        assert_eq!(canonical(&one), r#"{"a":null,"b":[{"x":"a\"b","y":1}]}"#);
        assert_eq!(canonical(&one), canonical(&other));
    }
}
