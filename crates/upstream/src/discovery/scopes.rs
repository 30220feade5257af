//! Which scopes to ask for, as MCP selects them: those of the challenge, else those that the upstream's metadata names, else
//! none.

use super::document::ResourceMetadata;
use super::finding::Finding;
use crate::challenge::Challenge;

/// Most scopes that are taken from somebody else.
const MAX_SCOPES: usize = 64;
/// A scope that asks for a refresh token (OpenID Connect Core §11).
const OFFLINE_ACCESS: &str = "offline_access";

/// The scopes that were named; none is left to the authorization server.
///
/// # Errors
/// [`Finding::ScopesInvalid`].
pub fn named(challenge: &Challenge, resource: Option<&ResourceMetadata>) -> Result<Option<Vec<String>>, Finding> {
    let supported = || resource.and_then(|resource| resource.scopes_supported.as_deref()).unwrap_or_default().join(" ");
    let text = challenge.scope.clone().unwrap_or_else(supported);
    let mut scopes: Vec<String> = Vec::new();
    for scope in text.split(' ').filter(|scope| !scope.is_empty()) {
        if !is_scope(scope) || scopes.len() == MAX_SCOPES {
            return Err(Finding::ScopesInvalid);
        }
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    Ok(Some(scopes).filter(|scopes| !scopes.is_empty()))
}

/// MCP: a client that wants refresh tokens adds the scope where the authorization server names it.
pub fn with_offline_access(mut scopes: Vec<String>, supported: Option<&[String]>) -> Vec<String> {
    let names = |scopes: &[String]| scopes.iter().any(|scope| scope == OFFLINE_ACCESS);
    if supported.is_some_and(names) && !names(&scopes) {
        scopes.push(OFFLINE_ACCESS.to_owned());
    }
    scopes
}

/// RFC 6749 §3.3.
fn is_scope(text: &str) -> bool {
    text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(scopes: &[&str]) -> ResourceMetadata {
        ResourceMetadata {
            resource: String::new(),
            authorization_servers: vec![],
            scopes_supported: Some(scopes.iter().map(|&scope| scope.to_owned()).collect()),
        }
    }

    fn challenge(scope: &str) -> Challenge {
        Challenge { scope: Some(scope.to_owned()), ..Challenge::default() }
    }

    #[test]
    fn the_challenge_comes_before_the_metadata() {
        let metadata = resource(&["read", "write", "read"]);
        let all = named(&Challenge::default(), Some(&metadata)).unwrap().unwrap();
        assert_eq!(all, ["read", "write"]);
        assert_eq!(named(&challenge(" a  b:c a"), Some(&metadata)).unwrap().unwrap(), ["a", "b:c"]);
        assert_eq!(named(&Challenge::default(), Some(&resource(&[]))), Ok(None));
        assert_eq!(named(&Challenge::default(), None), Ok(None));
    }

    #[test]
    fn what_is_no_scope_is_not_asked_for() {
        let many: Vec<String> = (0..65).map(|number| format!("s{number}")).collect();
        let long = "a".repeat(257);
        for scopes in [&["a", "b\"c"][..], &["a\\b"], &["\u{e9}"], &["a\tb"], &["a\r\nb"], &[&long], &[&many.join(" ")]]
        {
            assert_eq!(
                named(&Challenge::default(), Some(&resource(scopes))),
                Err(Finding::ScopesInvalid),
                "{scopes:?}"
            );
        }
    }

    #[test]
    fn offline_access_is_added_where_the_authorization_server_names_it() {
        let text = |scopes: &[&str]| scopes.iter().map(|&scope| scope.to_owned()).collect::<Vec<String>>();
        assert_eq!(with_offline_access(text(&["a"]), Some(&text(&["offline_access"]))), ["a", "offline_access"]);
        let both = text(&["offline_access", "a"]);
        assert_eq!(with_offline_access(both.clone(), Some(&both)), both);
        assert_eq!(with_offline_access(text(&["a"]), Some(&text(&["a"]))), ["a"]);
        assert_eq!(with_offline_access(text(&["a"]), None), ["a"]);
    }
}
