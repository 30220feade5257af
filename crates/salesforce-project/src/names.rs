//! API names by Salesforce's rule: they begin with a letter, hold letters, digits and single underscores, and do not end
//! with an underscore (Metadata API Developer Guide, `fullName`).

use std::fmt;

/// The name of a registration and of what belongs to it: External Credential, Named Credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// The API name of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentName(String);

/// Why a text is no API name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "\"{text}\" is no name for {what}: Salesforce takes up to {longest} characters, letters, digits and underscores, a \
     letter first, no underscore last and no two together{reason}"
)]
pub struct NameError {
    text: String,
    what: &'static str,
    longest: usize,
    reason: &'static str,
}

/// Longest name of an MCP server registration.
const LONGEST_NAME: usize = 40;
/// The permission set `Agentforce_Agent_<agent>_Permissions` may have 80 characters.
const LONGEST_AGENT: usize = 80 - "Agentforce_Agent__Permissions".len();

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// [`NameError`] says which rule it breaks.
    pub fn parse(text: &str) -> Result<Name, NameError> {
        check(text, "an MCP server registration", LONGEST_NAME).map(Name)
    }

    /// The name for a Northstar server when none is given: `NorthstarMCP`, for the server `field-service`
    /// `NorthstarMCPFieldService`.
    ///
    /// # Errors
    /// [`NameError`] when that is too long.
    pub fn for_server(server: &str) -> Result<Name, NameError> {
        let words = server.split('-').filter(|_| server != "default");
        let suffix: String = words
            .flat_map(|word| word.chars().take(1).map(|first| first.to_ascii_uppercase()).chain(word.chars().skip(1)))
            .collect();
        Name::parse(&format!("NorthstarMCP{suffix}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AgentName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`NameError`] says which rule it breaks.
    pub fn parse(text: &str) -> Result<AgentName, NameError> {
        check(text, "an agent", LONGEST_AGENT).map(AgentName)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str, what: &'static str, longest: usize) -> Result<String, NameError> {
    let reason = if text.is_empty() {
        "; this one is empty"
    } else if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        "; this one does not begin with a letter"
    } else if !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        "; this one has another character"
    } else if text.contains("__") {
        "; this one has two underscores together"
    } else if text.ends_with('_') {
        "; this one ends with an underscore"
    } else if text.len() > longest {
        "; this one is too long"
    } else {
        return Ok(text.to_owned());
    };
    Err(NameError { text: text.to_owned(), what, longest, reason })
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_salesforces_rule() {
        for text in ["N", "NorthstarMCP", "Acme_Orders2", &"a".repeat(40)] {
            assert_eq!(Name::parse(text).unwrap().as_str(), text);
        }
        for (text, reason) in [
            ("", "empty"),
            ("2fast", "begin with a letter"),
            ("_a", "begin with a letter"),
            ("Order Status", "another character"),
            ("Été", "begin with a letter"),
            ("a-b", "another character"),
            ("a/../b", "another character"),
            ("a__b", "two underscores"),
            ("a_", "ends with an underscore"),
            (&"a".repeat(41), "too long"),
        ] {
            let error = Name::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn an_agent_leaves_room_for_its_permission_set() {
        assert!(AgentName::parse(&"a".repeat(51)).is_ok() && AgentName::parse(&"a".repeat(52)).is_err());
    }

    #[test]
    fn each_server_has_a_name_of_its_own() {
        let name = |server| Name::for_server(server).unwrap().0;
        assert_eq!((name("default"), name("loyalty")), ("NorthstarMCP".to_owned(), "NorthstarMCPLoyalty".to_owned()));
        assert_eq!(name("field-service--2"), "NorthstarMCPFieldService2");
        assert!(Name::for_server(&"a".repeat(40)).is_err());
    }
}
