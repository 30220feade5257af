//! URLs: decoded segments, decoded parameters, and the template that requests are counted by.

use crate::ids;

/// The parts of `v66.0/sobjects/Contact?fields=Id`: version, segments, parameters.
pub type Parts = (String, Vec<String>, Vec<(String, String)>);

/// Takes `v66.0/…` apart; `None` if it does not begin with a version, or is not UTF-8.
pub fn parse_versioned(url: &str) -> Option<Parts> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut segments = path.split('/');
    let version = segments.next().filter(|version| number(version).is_some())?.to_owned();
    let path = segments.filter(|segment| !segment.is_empty()).map(decode).collect::<Option<Vec<_>>>()?;
    Some((version, path, parameters(query)))
}

/// `v66.0` is 66.
pub fn number(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.strip_suffix(".0")?.parse().ok()
}

/// The parameters of a query, or of a form.
pub fn parameters(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => (*high as char).to_digit(16).zip((*low as char).to_digit(16)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// The path with `{id}`, `{value}` and `{locator}` in place of what differs from request to request, without its
/// version.
pub fn template(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let Some(rest) = path.strip_prefix("/services/data/") else { return path.to_owned() };
    let mut segments: Vec<&str> = rest.split('/').skip(1).collect();
    let by_field = matches!(segments.as_slice(), ["sobjects", _, _, _]);
    for (index, segment) in segments.iter_mut().enumerate() {
        if by_field && index == 3 {
            *segment = "{value}";
        } else if ids::parse(segment).is_some() {
            *segment = "{id}";
        } else if segment.starts_with("01g") {
            *segment = "{locator}";
        }
    }
    format!("/services/data/{}", segments.join("/")).trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_after_it_is_split() {
        let (version, path, query) =
            parse_versioned("v66.0/sobjects/Contact/External_Id__c/a%2Fb%20%C3%A9/?x=a+b").unwrap();
        assert_eq!((version.as_str(), path[3].as_str()), ("v66.0", "a/b é"));
        assert_eq!(query, [("x".to_owned(), "a b".to_owned())]);
        assert_eq!(parse_versioned("sobjects"), None);
        assert_eq!(parse_versioned("v66.0/%ff"), None);
    }

    #[test]
    fn requests_are_counted_by_template() {
        for (path, counted) in [
            ("/services/data", "/services/data"),
            ("/services/data/v66.0/", "/services/data"),
            ("/services/data/v66.0/query/?q=SELECT", "/services/data/query"),
            ("/services/data/v66.0/query/01g5g0000000001AAB-2000", "/services/data/query/{locator}"),
            ("/services/data/v66.0/sobjects/Contact/003000000000001", "/services/data/sobjects/Contact/{id}"),
            ("/services/data/v66.0/sobjects/Contact/Email/a@b.c", "/services/data/sobjects/Contact/Email/{value}"),
            ("/services/oauth2/token", "/services/oauth2/token"),
        ] {
            assert_eq!(template(path), counted, "{path}");
        }
    }
}
