//! Where an org is: its My Domain, the version of its API, and which hosts may be one at all.

use std::fmt;

use outbound::{Reach, Target, UrlError};
use registry::{ConnectionName, SalesforceOrg};

/// Every host of Salesforce that serves the REST API or its tokens ends with this.
const SUFFIX: &str = ".salesforce.com";

/// An org, checked.
#[derive(Clone, Debug)]
pub struct Org {
    /// Its name here.
    pub name: ConnectionName,
    /// Where tokens are asked for.
    pub token_endpoint: Target,
    /// Where its REST API is, if the operator said so; otherwise the token answer does.
    pub instance: Option<Target>,
    /// The version of its REST API.
    pub api_version: ApiVersion,
}

/// Why a registration or an `instance_url` cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrgError {
    /// It is no URL that may be asked for.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Its host is none of Salesforce's.
    #[error("the host is none of Salesforce's: it ends with .salesforce.com, as the My Domain of an org does")]
    Host,
    /// There is more than a host.
    #[error("the URL has a path: it is https:// and the host alone")]
    Path,
    /// The API version is none.
    #[error("the API version is v, two digits and .0, as v66.0")]
    ApiVersion,
}

impl Org {
    /// Checks a registration; `reach` is that of the fetcher that will be used.
    ///
    /// # Errors
    /// [`OrgError`] names the rule that is broken.
    pub fn new(record: &SalesforceOrg, reach: Reach) -> Result<Org, OrgError> {
        let login = host_url(&record.login_url, reach)?;
        Ok(Org {
            name: record.name.clone(),
            token_endpoint: login.with_path("/services/oauth2/token")?,
            instance: record.instance_url.as_deref().map(|url| host_url(url, reach)).transpose()?,
            api_version: ApiVersion::parse(&record.api_version).ok_or(OrgError::ApiVersion)?,
        })
    }

    /// What a token request needs to know.
    pub fn connection(&self, record: &SalesforceOrg) -> oauth_client::Connection {
        oauth_client::Connection {
            name: self.name.clone(),
            token_endpoint: self.token_endpoint.as_uri().to_string(),
            client_id: record.client_id.clone(),
            flow: record.flow.clone(),
            secret_id: record.secret_id.clone(),
            issuer: Some(record.login_url.trim_end_matches('/').to_owned()),
            resource: None,
            scopes: Vec::new(),
        }
    }
}

/// Checks a `login_url` or `instance_url` (OWASP SSRF; reference: exact labels of the suffix): https, port 443, a host of
/// Salesforce, nothing else. With [`Reach::Loopback`] this machine too, at any port.
///
/// # Errors
/// [`OrgError`] names the rule that is broken.
pub fn host_url(text: &str, reach: Reach) -> Result<Target, OrgError> {
    let target = Target::parse(text, reach)?;
    let uri = target.as_uri();
    if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
        return Err(OrgError::Path);
    }
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let local = reach == Reach::Loopback && is_loopback(&host);
    if !local && host.strip_suffix(SUFFIX).is_none_or(str::is_empty) {
        return Err(OrgError::Host);
    }
    Ok(target)
}

fn is_loopback(host: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].contains(&host)
}

/// A version of the REST API: `v66.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersion(String);

impl ApiVersion {
    /// `None` when the text is no version.
    pub fn parse(text: &str) -> Option<ApiVersion> {
        let digits = text.strip_prefix('v')?.strip_suffix(".0")?;
        let valid = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        valid.then(|| ApiVersion(text.to_owned()))
    }

    /// The version as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_of_salesforce_are_accepted() {
        for text in [
            "https://example.my.salesforce.com",
            "https://example.my.salesforce.com/",
            "https://example.my.salesforce.com:443",
            "https://EXAMPLE.my.salesforce.com",
            "https://example--dev.sandbox.my.salesforce.com",
            "https://example-dev-ed.develop.my.salesforce.com",
            "https://login.salesforce.com",
            "https://test.salesforce.com",
            "https://na1.salesforce.com",
        ] {
            assert!(host_url(text, Reach::Public).is_ok(), "{text}");
        }
    }

    #[test]
    fn every_hostile_instance_url_is_refused_with_its_reason() {
        use UrlError as U;
        for (text, error) in [
            ("", OrgError::Url(U::Scheme)),
            ("example.my.salesforce.com", OrgError::Url(U::Scheme)),
            ("http://example.my.salesforce.com", OrgError::Url(U::Scheme)),
            ("ftp://example.my.salesforce.com", OrgError::Url(U::Scheme)),
            ("javascript://example.my.salesforce.com", OrgError::Url(U::Scheme)),
            ("https://evil.example", OrgError::Host),
            ("https://salesforce.com", OrgError::Host),
            ("https://evilsalesforce.com", OrgError::Host),
            ("https://my.salesforce.com.evil.example", OrgError::Host),
            ("https://example.my.salesforce.com.evil.example", OrgError::Host),
            ("https://example.my-salesforce.com", OrgError::Host),
            ("https://example.salesforce.co", OrgError::Host),
            ("https://example.salesforce.com.", OrgError::Url(U::Host)),
            ("https://.salesforce.com", OrgError::Url(U::Host)),
            ("https://example..salesforce.com", OrgError::Url(U::Host)),
            ("https://example.my.salesforce.com@evil.example", OrgError::Url(U::UserInfo)),
            ("https://user@example.my.salesforce.com", OrgError::Url(U::UserInfo)),
            ("https://user:secret@example.my.salesforce.com", OrgError::Url(U::UserInfo)),
            ("https://example.my.salesforce.com:8443", OrgError::Url(U::Port)),
            ("https://example.my.salesforce.com:80", OrgError::Url(U::Port)),
            ("https://example.my.salesforce.com:", OrgError::Url(U::Port)),
            ("https://example.my.salesforce.com/services", OrgError::Path),
            ("https://example.my.salesforce.com//", OrgError::Path),
            ("https://example.my.salesforce.com?a=b", OrgError::Path),
            ("https://evil.example/.my.salesforce.com", OrgError::Path),
            ("https://evil.example?.my.salesforce.com", OrgError::Path),
            ("https://evil.example#.my.salesforce.com", OrgError::Url(U::Fragment)),
            ("https://evil.example\\.my.salesforce.com", OrgError::Url(U::Malformed)),
            ("https://evil.example%00.my.salesforce.com", OrgError::Url(U::Host)),
            ("https://evil.example%2f.my.salesforce.com", OrgError::Url(U::Host)),
            ("https://example.my.salesforce.com\r\nhost: evil.example", OrgError::Url(U::Malformed)),
            (" https://example.my.salesforce.com", OrgError::Url(U::Malformed)),
            ("https://example.my.salesforce.c\u{43e}m", OrgError::Url(U::Malformed)),
            ("https://example.my.salesforce\u{3002}com", OrgError::Url(U::Malformed)),
            ("https://169.254.169.254", OrgError::Url(U::Host)),
            ("https://2852039166", OrgError::Url(U::Host)),
            ("https://[::1]", OrgError::Url(U::Host)),
            ("https://[::ffff:169.254.169.254]", OrgError::Url(U::Host)),
            ("https://localhost", OrgError::Url(U::Host)),
            ("http://127.0.0.1:8080", OrgError::Url(U::Scheme)),
        ] {
            assert_eq!(host_url(text, Reach::Public).map(|_| ()), Err(error), "{text}");
        }
    }

    #[test]
    fn the_local_switch_adds_this_machine_and_nothing_else() {
        for text in ["http://127.0.0.1:8080", "https://localhost:8443", "http://[::1]:1/"] {
            assert!(host_url(text, Reach::Loopback).is_ok(), "{text}");
        }
        for text in [
            "http://example.my.salesforce.com",
            "https://evil.example",
            "https://evil.example:8443",
            "http://127.0.0.2",
            "http://10.0.0.1",
            "http://127.0.0.1:8080/path",
            "https://localhost.evil.example",
        ] {
            assert!(host_url(text, Reach::Loopback).is_err(), "{text}");
        }
    }

    #[test]
    fn an_api_version_has_one_form() {
        assert!(ApiVersion::parse("v66.0").is_some());
        for text in ["", "66.0", "v66", "v6.0", "v66.1", "v066.0", "v66.0/..", "vxx.0", "V66.0", "v66.0\n"] {
            assert!(ApiVersion::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        /// By a parser of another specification (WHATWG URL).
        #[test]
        fn what_is_accepted_is_a_host_of_salesforce_to_others_too(
            text in "https://[a-z0-9.@:/?#%\\[\\]\\\\-]{0,20}(\\.my)?\\.?salesforce\\.com[a-z0-9.@:/?#%\\\\-]{0,6}"
        ) {
            if host_url(&text, Reach::Public).is_ok() && let Ok(other) = url::Url::parse(&text) {
                prop_assert!(other.host_str().unwrap().ends_with(".salesforce.com"), "{}", text);
                prop_assert_eq!((other.scheme(), other.port(), other.path()), ("https", None, "/"));
                prop_assert_eq!((other.username(), other.password(), other.query()), ("", None, None));
            }
        }
    }
}
