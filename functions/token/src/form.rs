//! The body of a request to the authorization server: `application/x-www-form-urlencoded`, read strictly (RFC 6749 Appendix B).
//!
//! By hand, because the library replaces invalid UTF-8 and keeps broken escapes, where RFC 6749 wants an error.

use http::header::CONTENT_TYPE;
use http_api::ApiRequest;

use crate::error::TokenError;

const MAX_BODY: usize = 16 * 1024;
const MAX_PARAMETERS: usize = 32;
const MAX_VALUE: usize = 4 * 1024;

/// RFC 6749 §3.2: not to be sent more than once, even with equal values. `resource` may be (RFC 8707 §2).
const ONCE: [&str; 8] = [
    "grant_type",
    "scope",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "token",
    "token_type_hint",
];

/// Parameters in the order they were sent. An empty value counts as an absent parameter (RFC 6749 §3.2).
#[derive(Debug)]
pub struct Form {
    parameters: Vec<(String, String)>,
}

impl Form {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`TokenError::InvalidRequest`] for another content type, a query that carries parameters of the request, broken
    /// encoding, too many or too long parameters, or one that was sent more than once; [`TokenError::TooLarge`] for a
    /// body over 16 KiB.
    pub fn parse(request: &ApiRequest) -> Result<Form, TokenError> {
        if !is_form(request.header(CONTENT_TYPE)) {
            return Err(TokenError::InvalidRequest("the content type is application/x-www-form-urlencoded"));
        }
        if request.body.len() > MAX_BODY {
            return Err(TokenError::TooLarge);
        }
        if carries_parameters(&request.query) {
            return Err(TokenError::InvalidRequest("parameters belong in the body, not in the query"));
        }
        let parameters =
            decode_form(&request.body).ok_or(TokenError::InvalidRequest("the body is not form-encoded UTF-8"))?;
        if parameters.len() > MAX_PARAMETERS || parameters.iter().any(|(_, value)| value.len() > MAX_VALUE) {
            return Err(TokenError::InvalidRequest("too many parameters, or one longer than 4 KiB"));
        }
        let form = Form { parameters };
        if ONCE.iter().any(|name| form.all(name).nth(1).is_some()) {
            return Err(TokenError::InvalidRequest("a parameter is sent more than once"));
        }
        Ok(form)
    }

    /// A parameter that is sent once at most.
    pub fn one(&self, name: &'static str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// Every value of a parameter.
    pub fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.parameters.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn is_form(content_type: Option<&str>) -> bool {
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

// RFC 6749 §2.3.1: credentials MUST NOT be in the request URI, where they would be logged.
fn carries_parameters(query: &str) -> bool {
    const OURS: [&str; 8] = [
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "grant_type",
        "scope",
        "resource",
        "token",
    ];
    query.split('&').any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        decode(name.as_bytes()).is_some_and(|name| OURS.contains(&name.as_str()))
    })
}

fn decode_form(body: &[u8]) -> Option<Vec<(String, String)>> {
    let pairs = body.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Undoes form-encoding; `None` for a broken escape or for what is not UTF-8.
pub fn decode(encoded: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.iter();
    while let Some(&byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex(*bytes.next()?)? << 4 | hex(*bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn broken_escapes_and_invalid_utf_8_are_refused() {
        for text in ["%", "%1", "%zz", "a%", "%ff", "%c3%28"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
        assert_eq!(decode(b"a+b%2B%c3%A9").as_deref(), Some("a b+\u{e9}"));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in "\\PC*") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decode(encoded.as_bytes()), Some(text));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_form(&bytes);
        }
    }
}
