//! Answers: rows within the caps of the server, and cursors to go on.

use salesforce::flatten;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::catalogue::{Answer, Trouble};
use crate::lookup::cursor_trouble;

use super::session::{Session, invalid};

/// Of the bytes of an answer, what everything but its rows takes.
pub const RESERVED: usize = 600;
/// A text is not cut shorter than this; then fields are left out.
const SHORTEST: usize = 32;

/// Where a list goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Path of Salesforce's own page; without one, the beginning is asked for again.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// Rows of that page that were given.
    #[serde(rename = "o")]
    pub offset: usize,
    /// The record that was given last: where it is another one, records have come or gone.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

impl Position {
    /// So far from the beginning.
    pub fn offset(offset: usize) -> Position {
        Position { page: None, offset, last: None }
    }
}

/// Where a call begins: at its cursor, if it has one.
///
/// # Errors
/// [`Trouble`] when the cursor is not valid here.
pub async fn position(session: &Session<'_>) -> Result<Position, Trouble> {
    let Some(cursor) = session.arguments.get("cursor") else { return Ok(Position::default()) };
    let question = question(session);
    let opened = session.call.tables.cursors.open(cursor, &question, session.call.now);
    session.call.wait_for(|| "state key".to_owned(), opened).await.map_err(cursor_trouble)
}

/// A cursor is good for the same client, server, org, tool and question; the number of rows may change.
fn question(session: &Session<'_>) -> String {
    let asked: Vec<(&str, &Value)> =
        session.arguments.all().filter(|(name, _)| !["cursor", "limit"].contains(name)).collect();
    let (client, conduct) = (&session.call.principal.client_id, &session.call.conduct);
    json!(["salesforce", client, conduct.server, conduct.org, session.tool.name(), asked]).to_string()
}

/// The rows of an answer, as they are added.
#[derive(Debug)]
pub struct Page {
    rows: Vec<Value>,
    max_rows: usize,
    bytes_left: usize,
    max_bytes: usize,
    was_cut: bool,
}

impl Page {
    /// A page within the caps of the server and the argument `limit`.
    ///
    /// # Errors
    /// [`Trouble`] for a limit below 1.
    pub fn new(session: &Session<'_>) -> Result<Page, Trouble> {
        let guard = session.guard();
        let wanted = match session.arguments.value("limit").and_then(Value::as_i64) {
            None => guard.max_rows,
            Some(limit) => {
                let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
                limit.ok_or_else(|| invalid("limit is at least 1"))?.min(guard.max_rows)
            }
        };
        Ok(Page::within(wanted, guard.max_bytes))
    }

    fn within(max_rows: usize, max_bytes: usize) -> Page {
        let max_bytes = max_bytes.saturating_sub(RESERVED);
        Page { rows: Vec::new(), max_rows, bytes_left: max_bytes, max_bytes, was_cut: false }
    }

    /// How many rows there may be.
    pub fn max_rows(&self) -> usize {
        self.max_rows
    }

    /// Whether it has all the rows that it may have.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= self.max_rows
    }

    /// Adds a record of Salesforce as a flat row. False when there is no room for it: it belongs on the next page. A
    /// record that no page has room for is cut.
    pub fn add(&mut self, record: &Value) -> bool {
        if self.is_full() {
            return false;
        }
        let fitted = fit(record, self.max_bytes);
        if fitted.bytes > self.bytes_left {
            return false;
        }
        self.bytes_left -= fitted.bytes;
        self.was_cut |= !fitted.cut.is_empty() || has_more(record);
        self.rows.push(Value::Object(fitted.row));
        true
    }

    /// The answer, with a cursor for `next`. `complete` is false when rows are missing that no cursor leads to.
    ///
    /// # Errors
    /// [`Trouble`] when the cursor cannot be made.
    pub async fn answer(
        self,
        session: &Session<'_>,
        total: Option<u64>,
        next: Option<&Position>,
        complete: bool,
    ) -> Result<Answer, Trouble> {
        let mut answer = Answer::new();
        answer.insert("count".to_owned(), json!(self.rows.len()));
        answer.extend(total.map(|total| ("total".to_owned(), json!(total))));
        answer.insert("truncated".to_owned(), json!(next.is_some() || self.was_cut || !complete));
        if let Some(next) = next {
            let question = question(session);
            let sealed = session.call.tables.cursors.seal(next, &question, session.call.now);
            let cursor = session.call.wait_for(|| "state key".to_owned(), sealed).await.map_err(cursor_trouble)?;
            answer.insert("cursor".to_owned(), json!(cursor));
        }
        answer.insert("records".to_owned(), Value::Array(self.rows));
        Ok(answer)
    }
}

/// A page of rows that are all here, from the position of the call on.
///
/// # Errors
/// [`Trouble`].
pub async fn page_of(session: &Session<'_>, rows: &[Value], complete: bool) -> Result<Answer, Trouble> {
    let from = position(session).await?.offset;
    let mut page = Page::new(session)?;
    let given = rows.iter().skip(from).take_while(|row| page.add(row)).count();
    let next = Some(from.saturating_add(given)).filter(|next| *next < rows.len()).map(Position::offset);
    let total = complete.then_some(rows.len() as u64);
    page.answer(session, total, next.as_ref(), complete).await
}

/// A record as a flat row that is not larger than allowed.
#[derive(Debug)]
pub struct Fitted {
    /// The row.
    pub row: Map<String, Value>,
    /// Its size as JSON, with what stands between two rows.
    pub bytes: usize,
    /// Names of fields that were cut or left out.
    pub cut: Vec<String>,
}

/// Makes a row of at most `max_bytes`: its longest texts are cut, each with a mark; where that does not do, the last fields
/// are left out.
pub fn fit(record: &Value, max_bytes: usize) -> Fitted {
    let mut max_text = max_bytes.max(SHORTEST);
    loop {
        let (mut row, cut) = flatten::row(record, max_text);
        let mut bytes = size(&row);
        if bytes > max_bytes && max_text > SHORTEST {
            max_text = (max_text / 2).max(SHORTEST);
            continue;
        }
        let mut names = Vec::new();
        if cut > 0 {
            names.extend(row.iter().filter(|(_, value)| is_cut(value)).map(|(name, _)| name.clone()));
        }
        while bytes > max_bytes {
            let Some(name) = row.keys().next_back().cloned() else { break };
            row.remove(&name);
            names.push(name);
            bytes = size(&row);
        }
        return Fitted { row, bytes, cut: names };
    }
}

fn size(row: &Map<String, Value>) -> usize {
    serde_json::to_vec(row).map_or(usize::MAX, |bytes| bytes.len() + 1)
}

/// Whether a text ends with the mark of [`flatten`].
fn is_cut(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.ends_with(" characters]") && text.contains("\u{2026} [cut: "))
}

/// Whether Salesforce gave only some records of a subquery.
fn has_more(record: &Value) -> bool {
    record.as_object().is_some_and(|fields| fields.values().any(|value| value["done"] == Value::Bool(false)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_ends_before_a_row_that_it_has_no_room_for() {
        let row = |length: usize| json!({ "Id": "a", "Text": "x".repeat(length) });
        let mut page = Page::within(10, RESERVED + 400);
        assert!(page.add(&row(200)) && !page.add(&row(200)) && page.add(&row(100)) && !page.was_cut);
        let mut page = Page::within(10, RESERVED + 400);
        assert!(page.add(&row(5_000)) && page.was_cut, "no page has room for it");
        let text = page.rows[0]["Text"].as_str().unwrap();
        assert!(text.ends_with("\u{2026} [cut: 200 of 5000 characters]"), "{text}");
        let mut page = Page::within(1, RESERVED + 400);
        assert!(page.add(&row(1)) && page.is_full() && !page.add(&row(1)));
    }

    #[test]
    fn a_subquery_that_is_not_whole_is_told() {
        let children = |done: bool| json!({ "Contacts": { "totalSize": 9, "done": done, "records": [{ "Id": "a" }] } });
        for done in [true, false] {
            let mut page = Page::within(10, 10_000);
            assert!(page.add(&children(done)) && page.was_cut != done);
        }
    }

    #[test]
    fn the_names_of_what_was_cut_are_told() {
        let many: Map<String, Value> = (0..50).map(|at| (format!("Field{at:02}"), json!("x".repeat(100)))).collect();
        let fitted = fit(&Value::Object(many), 400);
        assert!(fitted.bytes <= 400 && !fitted.row.is_empty() && fitted.row.contains_key("Field00"));
        assert!(fitted.cut.contains(&"Field49".to_owned()), "{:?}", fitted.cut);
        assert!(fit(&json!({ "A": "short" }), 400).cut.is_empty());
    }

    proptest! {
        #[test]
        fn no_row_is_larger_than_allowed(texts in prop::collection::vec(any::<String>(), 0..20), repeat in 1usize..200, max in 100usize..2_000) {
            let record: Map<String, Value> =
                texts.iter().enumerate().map(|(at, text)| (format!("F{at}"), json!(text.repeat(repeat)))).collect();
            let fitted = fit(&Value::Object(record), max);
            prop_assert!(fitted.bytes <= max && size(&fitted.row) == fitted.bytes);
        }
    }
}
