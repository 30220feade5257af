//! Scopes (RFC 6749 §3.3). There are two; a tool names the one it needs, and `mcp.write` implies `mcp.read`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// `mcp.read`: list tools, call tools that change nothing.
    #[serde(rename = "mcp.read")]
    Read,
    /// `mcp.write`: also call tools that change something.
    #[serde(rename = "mcp.write")]
    Write,
}

impl Scope {
    /// Every scope there is, the narrowest first.
    pub const ALL: [Scope; 2] = [Scope::Read, Scope::Write];

    /// The scope as it is written in tokens and requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "mcp.read",
            Scope::Write => "mcp.write",
        }
    }

    fn parse(text: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// A set of scopes, in no order, without repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    read: bool,
    write: bool,
}

/// Why a scope parameter is not taken (RFC 6749 §5.2, `invalid_scope`).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScopeError {
    /// A character that RFC 6749 §3.3 does not allow, or an empty scope.
    #[error("scopes are names separated by single spaces or commas")]
    Grammar,
    /// A scope this server does not have.
    #[error("unknown scope; the scopes are mcp.read and mcp.write")]
    Unknown,
}

impl Scopes {
    /// No scope.
    pub const NONE: Scopes = Scopes { read: false, write: false };
    /// `mcp.read` alone.
    pub const READ: Scopes = Scopes { read: true, write: false };
    /// Both scopes.
    pub const READ_WRITE: Scopes = Scopes { read: true, write: true };

    /// Reads a list separated by single spaces (RFC 6749 §3.3) or by commas, with at most one space after each: the
    /// help text of Salesforce's form asks for a comma-separated list.
    ///
    /// # Errors
    /// [`ScopeError`]; an unknown scope is refused, not dropped.
    pub fn parse(list: &str) -> Result<Scopes, ScopeError> {
        let mut scopes = Scopes::NONE;
        for name in list.replace(", ", ",").split([' ', ',']) {
            if name.is_empty() || !name.bytes().all(is_scope_character) {
                return Err(ScopeError::Grammar);
            }
            scopes.insert(Scope::parse(name).ok_or(ScopeError::Unknown)?);
        }
        Ok(scopes)
    }

    /// Adds a scope.
    pub fn insert(&mut self, scope: Scope) {
        match scope {
            Scope::Read => self.read = true,
            Scope::Write => self.write = true,
        }
    }

    /// Whether there is no scope in the set.
    pub fn is_empty(self) -> bool {
        self == Scopes::NONE
    }

    /// Whether these scopes permit what `needed` stands for; `mcp.write` implies `mcp.read`.
    pub fn permit(self, needed: Scope) -> bool {
        match needed {
            Scope::Read => self.read || self.write,
            Scope::Write => self.write,
        }
    }

    /// Whether all of `requested` is permitted by these scopes.
    pub fn permit_all(self, requested: Scopes) -> bool {
        requested.iter().all(|scope| self.permit(scope))
    }

    /// The scopes of the set, the narrowest first.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| match scope {
            Scope::Read => self.read,
            Scope::Write => self.write,
        })
    }
}

// RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
fn is_scope_character(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

/// As in a token: names separated by a space.
impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                formatter.write_str(" ")?;
            }
            formatter.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

/// As in the registry: a list of names.
impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Scope::as_str))
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut scopes = Scopes::NONE;
        for name in Vec::<String>::deserialize(deserializer)? {
            scopes.insert(Scope::parse(&name).ok_or_else(|| serde::de::Error::custom("unknown scope"))?);
        }
        Ok(scopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_commas_and_repeats_are_one_set() {
        for list in ["mcp.read mcp.write", "mcp.write,mcp.read", "mcp.write, mcp.read", "mcp.read mcp.write mcp.read"] {
            assert_eq!(Scopes::parse(list), Ok(Scopes::READ_WRITE), "{list}");
        }
    }

    #[test]
    fn whatever_breaks_the_grammar_is_refused() {
        for list in ["", " ", " mcp.read", "mcp.read ", "mcp.read  mcp.write", "mcp.read,,mcp.write", "mcp.read\t"] {
            assert_eq!(Scopes::parse(list), Err(ScopeError::Grammar), "{list:?}");
        }
        for list in ["mcp.read\u{0}", "\"mcp.read\"", "mcp\\read", "mcp.réad", "mcp.read\nmcp.write"] {
            assert_eq!(Scopes::parse(list), Err(ScopeError::Grammar), "{list:?}");
        }
        assert_eq!(Scopes::parse("mcp.read mcp.admin"), Err(ScopeError::Unknown));
        assert_eq!(Scopes::parse("MCP.READ"), Err(ScopeError::Unknown));
    }

    #[test]
    fn write_implies_read_and_not_the_other_way() {
        let write = Scopes::parse("mcp.write").unwrap();
        assert!(write.permit(Scope::Read) && write.permit(Scope::Write));
        assert!(Scopes::READ.permit(Scope::Read) && !Scopes::READ.permit(Scope::Write));
        assert!(!Scopes::READ.permit_all(Scopes::READ_WRITE));
        assert_eq!(write.to_string(), "mcp.write");
    }
}
