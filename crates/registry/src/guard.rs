//! What the Salesforce tools of a server may touch: the guard rails of a definition.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Guard rails. What is left out allows what the org itself allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Objects that may be read and written.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub objects: Access,
    /// Fields of an object that may be read and written.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub fields: IndexMap<String, Access>,
    /// Whether records may be deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletes: bool,
    /// Writes are checked and answered as if they were done, and not done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Records in an answer, at most: 1 to 200.
    #[serde(default = "max_rows", skip_serializing_if = "is_max_rows")]
    pub max_rows: usize,
    /// Bytes of an answer, at most: 1,000 to 1,000,000.
    #[serde(default = "max_bytes", skip_serializing_if = "is_max_bytes")]
    pub max_bytes: usize,
    /// Records that one client may write in a day, which begins at midnight UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes_per_day: Option<u32>,
    /// Writes of one call from which it takes two steps, a preview and a commit. Deletes always do.
    #[serde(default = "confirm_above", skip_serializing_if = "is_confirm_above")]
    pub confirm_above: usize,
}

/// API names that may be read and written; `None` is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// May be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Vec<String>>,
    /// May be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<Vec<String>>,
}

impl Access {
    fn is_default(&self) -> bool {
        *self == Access::default()
    }
}

fn max_rows() -> usize {
    200
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_max_rows(rows: &usize) -> bool {
    *rows == max_rows()
}

fn max_bytes() -> usize {
    256 * 1024
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_max_bytes(bytes: &usize) -> bool {
    *bytes == max_bytes()
}

fn confirm_above() -> usize {
    10
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_confirm_above(writes: &usize) -> bool {
    *writes == confirm_above()
}

impl Default for Guard {
    fn default() -> Guard {
        Guard {
            objects: Access::default(),
            fields: IndexMap::new(),
            deletes: false,
            dry_run: false,
            max_rows: max_rows(),
            max_bytes: max_bytes(),
            writes_per_day: None,
            confirm_above: confirm_above(),
        }
    }
}

impl Guard {
    /// Whether nothing is set.
    pub fn is_default(&self) -> bool {
        *self == Guard::default()
    }

    /// Whether an object may be read.
    pub fn may_read(&self, object: &str) -> bool {
        allows(self.objects.read.as_deref(), object)
    }

    /// Whether an object may be written.
    pub fn may_write(&self, object: &str) -> bool {
        allows(self.objects.write.as_deref(), object)
    }

    /// Whether a field of an object may be read. `Id` always may.
    pub fn may_read_field(&self, object: &str, field: &str) -> bool {
        field.eq_ignore_ascii_case("Id") || allows(self.access(object).and_then(|access| access.read.as_deref()), field)
    }

    /// Whether a field of an object may be written.
    pub fn may_write_field(&self, object: &str, field: &str) -> bool {
        allows(self.access(object).and_then(|access| access.write.as_deref()), field)
    }

    /// Whether reads of an object are limited to some of its fields.
    pub fn limits_fields(&self, object: &str) -> bool {
        self.access(object).is_some_and(|access| access.read.is_some())
    }

    fn access(&self, object: &str) -> Option<&Access> {
        self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(object)).map(|(_, access)| access)
    }
}

/// API names are not case-sensitive.
fn allows(allowed: Option<&[String]>, name: &str) -> bool {
    allowed.is_none_or(|allowed| allowed.iter().any(|other| other.eq_ignore_ascii_case(name)))
}
