//! Which authorization server an upstream has, and what it can do: RFC 9728 for the upstream, RFC 8414 and OpenID Connect
//! Discovery for the authorization server, as MCP orders them (specification 2026-07-28, authorization server discovery).
//!
//! What is known already, given by the operator or by a preset, is never replaced by what is discovered. A document counts
//! only when it speaks of what it was asked for: its `resource` is the upstream or lies above it, its `issuer` is the one
//! that it was looked for under, byte for byte. Nothing is registered and nothing is authorized here.

mod document;
mod finding;
mod scopes;
mod settings;

use outbound::{FetchError, Fetcher};

use crate::challenge;
use document::{ResourceMetadata, ServerMetadata};

pub use finding::{Field, Finding};
pub use settings::{AuthMethod, Credential, Origin, Setting, Settings, choose_auth_method};

/// Largest metadata document that is read, in bytes.
const MAX_DOCUMENT: usize = 128 * 1024;

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// What was known, and what was discovered of the rest.
    pub settings: Settings,
    /// Where the metadata of the upstream was, if it counts.
    pub resource_metadata_url: Option<String>,
    /// Where the metadata of the authorization server was, if it counts.
    pub server_metadata_url: Option<String>,
    /// What is not as it should be, in the order of the requests.
    pub findings: Vec<Finding>,
}

/// What to ask about.
#[derive(Clone, Debug)]
pub struct Inquiry<'a> {
    /// The upstream's URL.
    pub url: &'a str,
    /// The `WWW-Authenticate` header with which it refused a request without a token, if it did.
    pub challenge: Option<&'a str>,
    /// What is known already, and stays as it is.
    pub known: Settings,
    /// Whether refresh tokens are wanted: `offline_access` joins the scopes that are discovered, if the authorization server
    /// names it.
    pub refresh_tokens: bool,
}

/// Asks an upstream and its authorization server for their metadata: five requests at most, each of 3 s at most.
///
/// What fails is a finding, never an error: everything can be given instead.
pub async fn discover(fetcher: &Fetcher, inquiry: Inquiry<'_>) -> Discovered {
    let Inquiry { url, challenge, known, refresh_tokens } = inquiry;
    let mut discovered = Discovered::default();
    if fetcher.check(url).is_err() {
        discovered.findings.push(Finding::UrlRefused(Field::Upstream));
        discovered.settings = known;
        return discovered;
    }
    let challenge = challenge.and_then(challenge::parse).unwrap_or_default();
    let resource = match resource_metadata(fetcher, url, challenge.unverified_resource_metadata.as_deref()).await {
        Ok((place, resource)) => {
            discovered.resource_metadata_url = Some(place);
            Some(resource)
        }
        Err(finding) => {
            discovered.findings.push(finding);
            None
        }
    };
    let scopes = scopes::named(&challenge, resource.as_ref()).unwrap_or_else(|finding| {
        discovered.findings.push(finding);
        None
    });
    let issuer = issuer(&known, resource.as_ref(), &mut discovered.findings);
    let mut found = Settings::default();
    let mut supported_scopes = None;
    if let Some(issuer) = issuer {
        match server_metadata(fetcher, &issuer).await {
            Ok((place, server)) => {
                discovered.server_metadata_url = Some(place);
                supported_scopes = server.scopes_supported.clone().filter(|_| refresh_tokens);
                let usable = |url: &str| fetcher.check(url).is_ok();
                found = server.settings(usable, &mut discovered.findings);
            }
            Err(finding) => discovered.findings.push(finding),
        }
        found.issuer = Some(issuer).filter(|issuer| is_issuer(fetcher, issuer)).and_then(Setting::discovered);
    }
    // MCP: exactly as it is published there.
    found.resource = resource.and_then(|resource| Setting::discovered(resource.resource));
    let scopes = scopes.map(|scopes| scopes::with_offline_access(scopes, supported_scopes.as_deref()));
    found.scopes = scopes.and_then(Setting::discovered);
    discovered.settings = known.over(found);
    discovered
}

/// The issuer that is known, else the first that the upstream names.
fn issuer(known: &Settings, resource: Option<&ResourceMetadata>, findings: &mut Vec<Finding>) -> Option<String> {
    let listed = resource.map(|resource| resource.authorization_servers.as_slice());
    if listed.is_some_and(<[String]>::is_empty) {
        findings.push(Finding::NoAuthorizationServer);
    }
    let Some(issuer) = &known.issuer else { return listed?.first().cloned() };
    if listed.is_some_and(|listed| !listed.is_empty() && !listed.contains(&issuer.value)) {
        findings.push(Finding::IssuerNotListed);
    }
    Some(issuer.value.clone())
}

async fn resource_metadata(
    fetcher: &Fetcher,
    url: &str,
    named: Option<&str>,
) -> Result<(String, ResourceMetadata), Finding> {
    // The upstream itself says where; to look elsewhere when that fails would be to trust another document than it named.
    let places = match named {
        Some(place) => vec![place.to_owned()],
        None => resource_places(url),
    };
    let read = |document: &[u8]| match ResourceMetadata::read(document) {
        None => Err(Finding::ResourceMetadataInvalid),
        Some(metadata) if !is_same_or_above(&metadata.resource, url) => Err(Finding::ResourceMismatch),
        Some(metadata) => Ok(metadata),
    };
    let missing = Finding::ResourceMetadataMissing;
    first_that_counts(fetcher, places, Field::ResourceMetadata, missing, Finding::ResourceMetadataInvalid, read).await
}

async fn server_metadata(fetcher: &Fetcher, issuer: &str) -> Result<(String, ServerMetadata), Finding> {
    if !is_issuer(fetcher, issuer) {
        return Err(Finding::UrlRefused(Field::Issuer));
    }
    let read = |document: &[u8]| match ServerMetadata::read(document) {
        None => Err(Finding::ServerMetadataInvalid),
        // RFC 8414 §3.3: no normalization; a document of another issuer could send tokens to somebody else (mix-up).
        Some(metadata) if metadata.issuer != issuer => Err(Finding::IssuerMismatch),
        Some(metadata) => Ok(metadata),
    };
    let missing = Finding::ServerMetadataMissing;
    let invalid = Finding::ServerMetadataInvalid;
    first_that_counts(fetcher, server_places(issuer), Field::Issuer, missing, invalid, read).await
}

/// RFC 8414 §2: an issuer has no query and no fragment.
fn is_issuer(fetcher: &Fetcher, url: &str) -> bool {
    fetcher.check(url).is_ok() && !url.contains('?')
}

/// The first document that can be used, with its place; otherwise what was most wrong with those that there are.
async fn first_that_counts<T>(
    fetcher: &Fetcher,
    places: Vec<String>,
    field: Field,
    missing: Finding,
    invalid: Finding,
    read: impl Fn(&[u8]) -> Result<T, Finding>,
) -> Result<(String, T), Finding> {
    let mut worst = missing;
    for place in places {
        let outcome = match fetcher.get(&place, MAX_DOCUMENT).await {
            Ok(document) => read(&document),
            Err(FetchError::Url(_) | FetchError::Address | FetchError::Header) => Err(Finding::UrlRefused(field)),
            Err(FetchError::TooLarge | FetchError::ContentType) => Err(invalid),
            Err(_) => Err(missing),
        };
        match outcome {
            Ok(found) => return Ok((place, found)),
            // A mismatch tells more than a document that is none, and that more than none at all.
            Err(finding) if worst == missing || worst == invalid && finding != missing => worst = finding,
            Err(_) => {}
        }
    }
    Err(worst)
}

/// RFC 9728 §3.1, and then the root of the host.
fn resource_places(url: &str) -> Vec<String> {
    let (origin, path) = split(url);
    let path = path.strip_suffix('/').unwrap_or(path);
    let root = format!("{origin}/.well-known/oauth-protected-resource");
    let mut places = vec![format!("{root}{path}"), root];
    places.dedup();
    places
}

/// RFC 8414 §3.1, OpenID Connect Discovery with the path inserted as there, and with the path before it as in its own §4.
fn server_places(issuer: &str) -> Vec<String> {
    let (origin, path) = split(issuer);
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut places = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
        format!("{origin}{path}/.well-known/openid-configuration"),
    ];
    places.dedup();
    places
}

/// Scheme and authority, and the rest of a URL that the fetcher allows.
fn split(url: &str) -> (&str, &str) {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find(['/', '?']).map_or(url.len(), |at| authority + at);
    url.split_at(end)
}

/// Whether a resource is the URL, or the path of the same origin under which the URL lies. RFC 9728 §3.3 wants the very
/// identifier that was looked for, which is the origin for metadata at the root; servers of MCP name either.
fn is_same_or_above(resource: &str, url: &str) -> bool {
    let (origin, path) = split(resource);
    let (url_origin, url_path) = split(url);
    if canonical_origin(origin) != canonical_origin(url_origin) {
        return false;
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    let url_path = url_path.strip_suffix('/').unwrap_or(url_path);
    // A path with dots in it could be another one than it looks like.
    let climbs = |path: &str| path.split('/').any(|segment| segment == ".." || segment.eq_ignore_ascii_case("%2e%2e"));
    match url_path.strip_prefix(path) {
        Some("") => true,
        Some(rest) => rest.starts_with('/') && !path.contains('?') && !climbs(url_path),
        None => false,
    }
}

/// Scheme and host in lower case, without the scheme's own port (RFC 3986 §6.2.2, §6.2.3).
fn canonical_origin(origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    let own_port = if origin.starts_with("https:") { ":443" } else { ":80" };
    origin.strip_suffix(own_port).unwrap_or(&origin).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn metadata_is_looked_for_with_the_path_inserted_first() {
        assert_eq!(
            resource_places("https://h.example/p/mcp?x=1"),
            [
                "https://h.example/.well-known/oauth-protected-resource/p/mcp?x=1",
                "https://h.example/.well-known/oauth-protected-resource"
            ]
        );
        for url in ["https://h.example", "https://h.example/"] {
            assert_eq!(resource_places(url), ["https://h.example/.well-known/oauth-protected-resource"]);
        }
        assert_eq!(
            server_places("https://h.example/t1"),
            [
                "https://h.example/.well-known/oauth-authorization-server/t1",
                "https://h.example/.well-known/openid-configuration/t1",
                "https://h.example/t1/.well-known/openid-configuration"
            ]
        );
        for issuer in ["https://h.example", "https://h.example/"] {
            assert_eq!(
                server_places(issuer),
                [
                    "https://h.example/.well-known/oauth-authorization-server",
                    "https://h.example/.well-known/openid-configuration"
                ]
            );
        }
    }

    #[test]
    fn a_resource_is_the_url_or_lies_above_it() {
        let url = "https://h.example/p/mcp";
        for resource in [
            url,
            "https://h.example/p/mcp/",
            "https://h.example/p",
            "https://h.example",
            "https://h.example/",
            "HTTPS://H.example:443/p/mcp",
        ] {
            assert!(is_same_or_above(resource, url), "{resource}");
        }
        for resource in [
            "",
            "https://",
            "https://evil.example/p/mcp",
            "http://h.example/p/mcp",
            "https://h.example:8443/p/mcp",
            "https://h.example.evil.example/p/mcp",
            "https://h.example@evil.example/p/mcp",
            "https://h.example/p/mc",
            "https://h.example/p/mcp2",
            "https://h.example/p/mcp/more",
            "https://h.example/P/mcp",
            "https://h.example/p?x",
            "https://h.example/?",
            "https://h.example//p",
            "h.example/p/mcp",
            "/p/mcp",
        ] {
            assert!(!is_same_or_above(resource, url), "{resource}");
        }
        assert!(!is_same_or_above("https://h.example/p", "https://h.example/p/../mcp"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_comparison(resource in "(https?://)?[ -~\u{e9}]{0,30}", url in "[ -~\u{e9}]{0,30}") {
            is_same_or_above(&resource, &url);
            resource_places(&resource);
            server_places(&url);
        }
    }
}
