//! Which URLs may be fetched: `https`, a host by its name, port 443.

use http::Uri;

/// Longest URL, in bytes.
const MAX_URL: usize = 2048;
/// Longest path with its query, in bytes: what Salesforce takes with the headers (414 and 431 above).
const MAX_PATH: usize = 16_384;
/// Longest host name, in bytes (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// How far a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Public hosts.
    Public,
    /// And this machine, at any port and by `http` too: for local runs and tests.
    Loopback,
}

/// A URL that may be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Uri);

/// Why a URL may not be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Longer than 2 KiB, or with characters that no URL has (RFC 3986 §2).
    #[error("the URL is longer than 2 KiB, or has characters that belong in no URL")]
    Malformed,
    /// Another scheme.
    #[error("the URL begins with https://")]
    Scheme,
    /// A user name or password before the host.
    #[error("the URL has a user name or a password in it")]
    UserInfo,
    /// Another port.
    #[error("the URL names another port than 443")]
    Port,
    /// No host name, or an IP address, however it is written.
    #[error("the URL names its host by a full domain name, not by an IP address")]
    Host,
    /// A fragment.
    #[error("the URL has a fragment (#) in it")]
    Fragment,
}

impl Target {
    /// Reads a URL. It is not resolved yet: what its host stands for is checked with every connection.
    ///
    /// # Errors
    /// [`UrlError`] names the first rule that is broken.
    pub fn parse(text: &str, reach: Reach) -> Result<Target, UrlError> {
        if text.len() > MAX_URL || !has_url_characters(text) {
            return Err(UrlError::Malformed);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        // An IPv6 address has colons of its own.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let loopback = reach == Reach::Loopback && LOOPBACK.contains(&host);
        match scheme {
            "https" => {}
            "http" if loopback => {}
            _ => return Err(UrlError::Scheme),
        }
        if !loopback && !is_domain_name(host) {
            return Err(UrlError::Host);
        }
        let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
        if port.is_some_and(|port| port != "443" && !(loopback && is_number(port))) {
            return Err(UrlError::Port);
        }
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        text.parse().map(Target).map_err(|_| UrlError::Malformed)
    }

    /// Another path, with its query, on the same host. It begins with `/`, has no fragment, and may be 16 KiB long.
    ///
    /// # Errors
    /// [`UrlError::Malformed`] or [`UrlError::Fragment`].
    pub fn with_path(&self, path_and_query: &str) -> Result<Target, UrlError> {
        if !path_and_query.starts_with('/') || path_and_query.len() > MAX_PATH || !has_url_characters(path_and_query) {
            return Err(UrlError::Malformed);
        }
        if path_and_query.contains('#') {
            return Err(UrlError::Fragment);
        }
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = Some(path_and_query.parse().map_err(|_| UrlError::Malformed)?);
        Uri::from_parts(parts).map(Target).map_err(|_| UrlError::Malformed)
    }

    /// The URL.
    pub fn as_uri(&self) -> &Uri {
        &self.0
    }
}

fn has_url_characters(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte))
}

/// Two labels or more, the last one not a number: `0x7f.1`, `2130706433` and `127.1` are addresses to some resolvers
/// (WHATWG URL §3.5, "ends in a number").
fn is_domain_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let Some((_, last)) = host.rsplit_once('.') else { return false };
    host.len() <= MAX_HOST
        && host.split('.').all(is_label)
        && last.starts_with(|first: char| first.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_url_of_a_public_host_may_be_fetched() {
        for text in [
            "https://client.example.com/jwks.json",
            "https://client.example.com",
            "https://client.example.com:443/a?b=c%20d",
            "https://xn--bcher-kva.example/keys",
            "https://1.example.com/",
            "https://CLIENT.example.com/",
        ] {
            assert_eq!(Target::parse(text, Reach::Public).unwrap().as_uri().host(), text.split(['/', ':', '?']).nth(3));
        }
    }

    #[test]
    fn every_other_url_is_refused() {
        use UrlError::*;
        for (text, error) in [
            ("", Scheme),
            ("client.example.com", Scheme),
            ("//client.example.com/", Scheme),
            ("http://client.example.com/", Scheme),
            ("HTTPS://client.example.com/", Scheme),
            ("ftp://client.example.com/", Scheme),
            ("file:///etc/passwd", Scheme),
            ("javascript://client.example.com/%0aalert(1)", Scheme),
            ("https:/client.example.com/", Scheme),
            ("https://", Host),
            ("https:///etc/passwd", Host),
            ("https://user@client.example.com/", UserInfo),
            ("https://user:password@client.example.com/", UserInfo),
            ("https://client.example.com@127.0.0.1/", UserInfo),
            ("https://client.example.com:8443/", Port),
            ("https://client.example.com:/", Port),
            ("https://client.example.com:0443/", Port),
            ("https://client.example.com:443:443/", Host),
            ("https://client.example.com/#fragment", Fragment),
            ("https://client.example.com#@127.0.0.1/", Fragment),
            ("https://client.example.com\\@127.0.0.1/", Malformed),
            ("https://client.example.com/ x", Malformed),
            ("https://client.example.com/\r\nHost: x", Malformed),
            ("https://cli\u{e9}nt.example.com/", Malformed),
            ("https://127.0.0.1\u{ff0e}/", Malformed),
            ("https://127%2e0.0.1/", Host),
            ("https://localhost/", Host),
            ("https://client/", Host),
            ("https://client.example.com./", Host),
            ("https://.example.com/", Host),
            ("https://client..example.com/", Host),
            ("https://-client.example.com/", Host),
            ("https://client_1.example.com/", Host),
            ("https://127.0.0.1/", Host),
            ("https://127.1/", Host),
            ("https://2130706433/", Host),
            ("https://0x7f000001/", Host),
            ("https://0x7f.1/", Host),
            ("https://0177.0.0.1/", Host),
            ("https://1.2.3.0x4/", Host),
            ("https://169.254.169.254/latest/meta-data/", Host),
            ("https://8.8.8.8/", Host),
            ("https://[::1]/", Host),
            ("https://[::ffff:127.0.0.1]/", Host),
            ("https://[fd00:ec2::254]/", Host),
            ("https://[fe80::1%25eth0]/", Host),
            ("https://::1/", Host),
        ] {
            assert_eq!(Target::parse(text, Reach::Public), Err(error), "{text}");
        }
        assert_eq!(Target::parse(&format!("https://a.example/{}", "x".repeat(MAX_URL)), Reach::Public), Err(Malformed));
        assert_eq!(Target::parse(&format!("https://{}.example/", "a".repeat(64)), Reach::Public), Err(Host));
    }

    #[test]
    fn a_local_run_reaches_its_own_machine_and_nothing_else_that_is_private() {
        for text in
            ["http://127.0.0.1:9001/jwks", "https://localhost:9001/jwks", "http://[::1]:9001/", "http://localhost"]
        {
            assert!(Target::parse(text, Reach::Loopback).is_ok(), "{text}");
            assert!(Target::parse(text, Reach::Public).is_err(), "{text}");
        }
        for text in [
            "http://client.example.com/",
            "https://client.example.com:8443/",
            "http://127.0.0.2/",
            "http://127.1/",
            "https://10.0.0.1/",
            "http://user@localhost/",
            "http://localhost:x/",
            "http://localhost:99999/",
        ] {
            assert!(Target::parse(text, Reach::Loopback).is_err(), "{text}");
        }
    }

    #[test]
    fn another_path_stays_on_the_host() {
        let target = Target::parse("https://x.my.salesforce.com:443/old?a=b", Reach::Public).unwrap();
        for path in
            ["/", "/a/b?q=SELECT+Id%20FROM", "//evil.example/", "/@evil.example", "/..//x", &"/".repeat(MAX_PATH)]
        {
            let other = target.with_path(path).unwrap();
            assert_eq!(other.as_uri().authority(), target.as_uri().authority(), "{path}");
            assert_eq!(other.as_uri().path_and_query().unwrap().as_str(), path);
        }
        for path in
            ["", "a", "@evil.example/", ".evil.example/", "https://evil.example/", "?q", "/a b", "/a\r\nb", "/\u{e9}"]
        {
            assert_eq!(target.with_path(path), Err(UrlError::Malformed), "{path}");
        }
        assert_eq!(target.with_path("/a#b"), Err(UrlError::Fragment));
        assert_eq!(target.with_path(&"/".repeat(MAX_PATH + 1)), Err(UrlError::Malformed));
    }

    /// Ways to write an IPv4 address that one resolver or another reads.
    fn notations(address: Ipv4Addr) -> Vec<String> {
        let [a, b, c, d] = address.octets();
        let bits = address.to_bits();
        let [low_24, low_16] = [bits & 0xff_ffff, bits & 0xffff];
        vec![
            address.to_string(),
            format!("{bits}"),
            format!("0x{bits:x}"),
            format!("0X{bits:X}"),
            format!("0{bits:o}"),
            format!("{a}.{low_24}"),
            format!("{a}.{b}.{low_16}"),
            format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
            format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
            format!("{a}.0x{low_24:x}"),
            format!("{a:03}.{b:03}.{c:03}.{d:03}"),
            format!("{address}."),
            format!("[::ffff:{address}]"),
            format!("[::{address}]"),
            format!("[64:ff9b::{address}]"),
            format!("[0:0:0:0:0:ffff:{:x}:{:x}]", bits >> 16, low_16),
            address.to_string().replace('.', "%2e"),
            address.to_string().replace('.', "\u{3002}"),
        ]
    }

    proptest! {
        #[test]
        fn no_notation_of_an_address_is_a_host(bits in any::<u32>(), local in any::<bool>(), port in "(:443)?") {
            let reach = if local { Reach::Loopback } else { Reach::Public };
            for host in notations(Ipv4Addr::from_bits(bits)).into_iter().filter(|host| host != "127.0.0.1") {
                let url = format!("https://{host}{port}/");
                prop_assert!(Target::parse(&url, reach).is_err(), "{url}");
            }
        }

        /// To the HTTP client, and to a parser of another specification (WHATWG URL).
        #[test]
        fn what_is_accepted_means_the_same_to_others(text in "(https://)?([a-z]{1,3}[.])?[a-z0-9.:@/?#%\\[\\]\\\\-]{0,40}") {
            if let Ok(target) = Target::parse(&text, Reach::Public) {
                let uri = target.as_uri();
                let host = uri.host().unwrap();
                prop_assert_eq!(uri.scheme_str(), Some("https"));
                prop_assert!(is_domain_name(host) && host.parse::<std::net::IpAddr>().is_err());
                prop_assert!(matches!(uri.port_u16(), None | Some(443)));
                prop_assert!(!uri.authority().unwrap().as_str().contains('@'));
                // It may refuse a name of ours (`xn--` that is no punycode), but not read another one.
                if let Ok(other) = ::url::Url::parse(&text) {
                    let host = host.to_ascii_lowercase();
                    prop_assert!(matches!(other.host(), Some(::url::Host::Domain(domain)) if domain == host), "{text}");
                    prop_assert_eq!((other.scheme(), other.port()), ("https", None));
                    prop_assert_eq!((other.username(), other.password(), other.fragment()), ("", None, None));
                }
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            for reach in [Reach::Public, Reach::Loopback] {
                let _ = Target::parse(&text, reach);
                let _ = Target::parse(&format!("https://{text}"), reach);
            }
        }
    }
}
