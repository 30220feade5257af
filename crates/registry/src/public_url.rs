//! The public base URL: issuer of every token and base of every audience. Never taken from a request.

use http::Uri;

/// `NORTHSTAR_PUBLIC_URL`: scheme and authority, nothing after it: `https://mcp.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    authority: String,
}

/// Why a text is no public URL.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the public URL is https://host or https://host:port, without a path or a slash at the end; \
     http is for 127.0.0.1, [::1] and localhost alone"
)]
pub struct PublicUrlError;

impl PublicUrl {
    /// Reads a public URL.
    ///
    /// # Errors
    /// [`PublicUrlError`] for anything but scheme and authority (RFC 8414 §2: an issuer has no query and no fragment).
    pub fn parse(text: &str) -> Result<PublicUrl, PublicUrlError> {
        let uri: Uri = text.parse().map_err(|_| PublicUrlError)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(PublicUrlError) };
        let loopback = is_loopback(authority.host());
        let exact = text == format!("{scheme}://{authority}") && text == text.to_ascii_lowercase();
        if !exact || authority.as_str().contains('@') || !(scheme == "https" || scheme == "http" && loopback) {
            return Err(PublicUrlError);
        }
        Ok(PublicUrl { text: text.to_owned(), authority: authority.to_string() })
    }

    /// The URL as text, which is also the issuer.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a `Host` header names this server. On a loopback URL every loopback name of the same port does.
    pub fn is_host(&self, host: &str) -> bool {
        host.eq_ignore_ascii_case(&self.authority) || self.is_loopback_twin(host)
    }

    /// Whether an `Origin` header names this server.
    pub fn is_origin(&self, origin: &str) -> bool {
        let scheme = self.text.split("://").next().unwrap_or_default();
        origin.split_once("://").is_some_and(|(of, host)| of.eq_ignore_ascii_case(scheme) && self.is_host(host))
    }

    fn is_loopback_twin(&self, host: &str) -> bool {
        let split = |authority: &str| {
            authority.parse::<http::uri::Authority>().ok().map(|a| (is_loopback(a.host()), a.port_u16()))
        };
        match (split(&self.authority), split(host)) {
            (Some((true, own)), Some((true, other))) => own == other,
            _ => false,
        }
    }
}

fn is_loopback(host: &str) -> bool {
    ["127.0.0.1", "[::1]", "localhost"].iter().any(|name| host.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scheme_and_authority_are_a_public_url() {
        for text in
            ["https://mcp.example.com", "https://mcp.example.com:8443", "http://127.0.0.1:9000", "http://localhost"]
        {
            assert_eq!(PublicUrl::parse(text).unwrap().as_str(), text);
        }
        for text in [
            "",
            "mcp.example.com",
            "https://",
            "https://mcp.example.com/",
            "https://mcp.example.com/t1",
            "https://a?b",
            "https://a#b",
            "http://mcp.example.com",
            "ftp://mcp.example.com",
            "https://user@mcp.example.com",
            "HTTPS://mcp.example.com",
            "https://MCP.example.com",
            " https://mcp.example.com",
            "/mcp",
        ] {
            assert_eq!(PublicUrl::parse(text), Err(PublicUrlError), "{text:?}");
        }
    }

    #[test]
    fn foreign_hosts_and_origins_are_told_apart() {
        let public = PublicUrl::parse("https://mcp.example.com").unwrap();
        assert!(public.is_host("MCP.example.com") && public.is_origin("https://mcp.example.com"));
        for host in ["evil.example", "mcp.example.com.evil.example", "mcp.example.com:444", "localhost", ""] {
            assert!(!public.is_host(host), "{host}");
        }
        for origin in
            ["null", "http://mcp.example.com", "https://evil.example", "mcp.example.com", "https://mcp.example.com/"]
        {
            assert!(!public.is_origin(origin), "{origin}");
        }
        let local = PublicUrl::parse("http://127.0.0.1:9000").unwrap();
        assert!(local.is_host("LOCALHOST:9000") && local.is_origin("http://localhost:9000"));
        assert!(!local.is_host("localhost:9001") && !local.is_host("evil.example:9000"));
    }
}
