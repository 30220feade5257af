//! The data of an org, and the savepoints that a composite request goes back to.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::dates::format_datetime;
use crate::ids;
use crate::schema::{self, Object};

/// A record: its fields that are not null, by API name.
pub type Record = Map<String, Value>;

/// The data of an org.
#[derive(Clone, Debug)]
pub struct Org {
    tables: BTreeMap<&'static str, BTreeMap<String, Record>>,
    next_number: u64,
    /// What each record was before it was written, oldest first, while a savepoint is held.
    journal: Vec<(&'static str, String, Option<Record>)>,
    savepoints: usize,
    effects: BTreeMap<String, Effects>,
    /// The user that everything is done by.
    pub(crate) user_id: String,
    /// The org itself.
    pub(crate) org_id: String,
}

/// How many records of an object were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Effects {
    /// Made.
    pub created: u64,
    /// Changed.
    pub updated: u64,
    /// Put into the recycle bin.
    pub deleted: u64,
}

/// What was done to a record.
#[derive(Clone, Copy, Debug)]
pub enum Effect {
    /// It was made.
    Created,
    /// It was changed.
    Updated,
    /// It was put into the recycle bin.
    Deleted,
}

/// A point that can be gone back to.
#[derive(Debug)]
pub struct Savepoint {
    journal: usize,
    effects: BTreeMap<String, Effects>,
}

impl Org {
    /// An org with a user and nothing else.
    pub fn empty() -> Org {
        let mut org = Org {
            tables: schema::objects().iter().map(|object| (object.name, BTreeMap::new())).collect(),
            next_number: 1,
            journal: Vec::new(),
            savepoints: 0,
            effects: BTreeMap::new(),
            user_id: String::new(),
            org_id: String::new(),
        };
        crate::demo::fill_in_setup(&mut org);
        org
    }

    /// A record by its id of 18 characters, also one in the recycle bin.
    pub fn get(&self, object: &Object, id: &str) -> Option<&Record> {
        self.tables.get(object.name)?.get(id)
    }

    /// The records of an object in the order of their ids, also those in the recycle bin.
    pub fn records(&self, object: &Object) -> impl Iterator<Item = &Record> {
        self.tables.get(object.name).into_iter().flat_map(BTreeMap::values)
    }

    /// The records of an object that are not in the recycle bin.
    pub fn living(&self, object: &Object) -> impl Iterator<Item = &Record> {
        self.records(object).filter(|record| !is_deleted(record))
    }

    /// How many records of an object are not in the recycle bin.
    pub fn count(&self, object: &str) -> usize {
        schema::object(object).map_or(0, |object| self.living(object).count())
    }

    /// What was written through the API so far, by object.
    pub fn effects(&self) -> &BTreeMap<String, Effects> {
        &self.effects
    }

    /// Makes a record without any rule, as of `at`, and gives its id.
    pub(crate) fn seed(&mut self, object: &str, at: OffsetDateTime, fields: Value) -> String {
        let (Some(object), Value::Object(fields)) = (schema::object(object), fields) else { return String::new() };
        let id = self.new_id(object);
        let mut record = self.new_record(object, &id, at);
        record.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
        self.tables.entry(object.name).or_default().insert(id.clone(), record);
        id
    }

    /// An id that no record has.
    pub fn new_id(&mut self, object: &Object) -> String {
        self.new_id_with(object.prefix)
    }

    /// An id of something that is no record, such as a job.
    pub(crate) fn new_id_with(&mut self, prefix: &str) -> String {
        let id = ids::make(prefix, self.next_number);
        self.next_number += 1;
        id
    }

    /// The fields that the org itself sets.
    pub fn new_record(&self, object: &Object, id: &str, at: OffsetDateTime) -> Record {
        let mut record = Record::new();
        record.insert("Id".to_owned(), id.into());
        for field in &object.fields {
            if field.kind == schema::Kind::Boolean {
                record.insert(field.name.to_owned(), false.into());
            } else if field.defaulted && !field.values.is_empty() {
                record.insert(field.name.to_owned(), field.values[0].into());
            }
        }
        let at = format_datetime(at);
        for name in ["CreatedDate", "LastModifiedDate", "SystemModstamp"] {
            record.insert(name.to_owned(), at.clone().into());
        }
        for name in ["OwnerId", "CreatedById", "LastModifiedById"] {
            if object.field(name).is_some() {
                record.insert(name.to_owned(), self.user_id.clone().into());
            }
        }
        record
    }

    /// Writes a record that a rule has let through.
    pub fn put(&mut self, object: &Object, id: &str, record: Record, effect: Effect) {
        let Some(table) = self.tables.get_mut(object.name) else { return };
        let before = table.insert(id.to_owned(), record);
        if self.savepoints > 0 {
            self.journal.push((object.name, id.to_owned(), before));
        }
        let effects = self.effects.entry(object.name.to_owned()).or_default();
        match effect {
            Effect::Created => effects.created += 1,
            Effect::Updated => effects.updated += 1,
            Effect::Deleted => effects.deleted += 1,
        }
    }

    /// A point to go back to; it ends with [`Org::release`] or [`Org::roll_back`].
    pub fn savepoint(&mut self) -> Savepoint {
        self.savepoints += 1;
        Savepoint { journal: self.journal.len(), effects: self.effects.clone() }
    }

    /// Keeps what was written since.
    pub fn release(&mut self, _: Savepoint) {
        self.savepoints -= 1;
        if self.savepoints == 0 {
            self.journal.clear();
        }
    }

    /// Undoes what was written since.
    pub fn roll_back(&mut self, savepoint: Savepoint) {
        for (object, id, before) in self.journal.drain(savepoint.journal..).rev() {
            let Some(table) = self.tables.get_mut(object) else { continue };
            match before {
                Some(record) => table.insert(id, record),
                None => table.remove(&id),
            };
        }
        self.effects = savepoint.effects;
        self.savepoints -= 1;
    }
}

/// Whether a record is in the recycle bin.
pub fn is_deleted(record: &Record) -> bool {
    record.get("IsDeleted") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_roll_back_undoes_records_and_counts_of_nested_savepoints_too() {
        let mut org = Org::demo();
        let contact = schema::object("Contact").unwrap();
        let first = org.records(contact).next().unwrap().clone();
        let id = first["Id"].as_str().unwrap().to_owned();
        let count = org.count("Contact");

        let outer = org.savepoint();
        let mut changed = first.clone();
        changed.insert("LastName".to_owned(), json!("Changed"));
        org.put(contact, &id, changed, Effect::Updated);
        let inner = org.savepoint();
        let new = org.new_id(contact);
        org.put(contact, &new, Record::new(), Effect::Created);
        org.release(inner);
        assert_eq!(org.count("Contact"), count + 1);
        org.roll_back(outer);

        assert_eq!(org.get(contact, &id), Some(&first));
        assert_eq!(org.count("Contact"), count);
        assert!(org.effects().is_empty());
        assert!(org.journal.is_empty());
    }
}
