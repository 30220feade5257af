//! The way to the server: URL, name, port, TLS. What fails here is all that Salesforce would see.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use reqwest::Url;
use tokio::net::TcpStream;
use tokio_rustls::rustls::RootCertStore;

use crate::checks::{BROKEN, CONNECT, Check, DNS, NO_ADDRESS, PLAIN_HTTP, PORT, PRIVATE, REFUSED, SILENT, TLS, URL};
use crate::finding::{Report, Verdict};
use crate::target::Target;
use crate::tls;

/// Checks the way to the token endpoint, and to the server if it is elsewhere; the id of what failed.
pub async fn check(target: &Target, report: &mut Report<'_>) -> Option<String> {
    let (token, mcp) = (&target.token_url, &target.mcp_url);
    let mut failed = origin(token, target, report).await;
    if token.origin() != mcp.origin() {
        failed = failed.or(origin(mcp, target, report).await);
    }
    failed
}

async fn origin(url: &Url, target: &Target, report: &mut Report<'_>) -> Option<String> {
    let mut steps: &[&'static Check] = &[&DNS, &CONNECT, &TLS];
    if url.scheme() == "http" {
        steps = &steps[..2];
    }
    let failed = walk(url, target, report, &mut steps).await;
    if let Some(id) = &failed {
        report.skip(id, steps);
    }
    failed
}

/// One step after the other; `steps` are those that are left.
async fn walk(url: &Url, target: &Target, report: &mut Report<'_>, steps: &mut &[&'static Check]) -> Option<String> {
    if let Some(failed) = report.add(&URL, judge_url(url)) {
        return Some(failed);
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);

    *steps = &steps[1..];
    let limit = target.limits.token;
    let looked_up = tokio::time::timeout(limit, tokio::net::lookup_host((host.as_str(), port))).await;
    let addresses: Vec<SocketAddr> = looked_up.ok().and_then(Result::ok).map(Iterator::collect).unwrap_or_default();
    if let Some(failed) = report.add(&DNS, judge_addresses(&host, &addresses)) {
        return Some(failed);
    }

    *steps = &steps[1..];
    let (address, stream) = match connect(&addresses, limit).await {
        Ok((address, stream)) => (address, stream),
        Err(verdict) => return report.add(&CONNECT, verdict),
    };
    report.add(&CONNECT, Verdict::pass(format!("{address} takes connections")));

    if url.scheme() == "http" {
        return None;
    }
    *steps = &steps[1..];
    let verdict = secure(stream, &host, &target.roots, limit).await;
    report.add(&TLS, verdict)
}

/// Salesforce calls https alone; the local run is plain http on this machine.
fn judge_url(url: &Url) -> Verdict {
    let port = url.port_or_known_default().unwrap_or_default();
    if is_this_machine(url.host_str().unwrap_or_default()) {
        return Verdict::pass(format!("{} on this machine: good for tests, Salesforce cannot call it", url.scheme()));
    }
    if url.scheme() != "https" {
        return Verdict::problem(&PLAIN_HTTP, format!("{}://", url.scheme()));
    }
    if port != 443 && port < 1024 {
        return Verdict::problem(&PORT, format!("port {port}"));
    }
    Verdict::pass(format!("https, port {port}"))
}

/// Whether a host is this machine by its very name.
pub fn is_this_machine(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn judge_addresses(host: &str, addresses: &[SocketAddr]) -> Verdict {
    let Some(first) = addresses.first() else {
        return Verdict::problem(&NO_ADDRESS, format!("{host} has no address"));
    };
    let private = addresses.iter().find(|address| is_private(address.ip()));
    match private {
        Some(address) if !is_this_machine(host) => Verdict::problem(&PRIVATE, format!("{host} is {}", address.ip())),
        _ if host.parse::<IpAddr>().is_ok() => Verdict::pass("an address, no name"),
        _ => Verdict::pass(format!("{host} is {}", first.ip())),
    }
}

/// Whether an address cannot be reached over the internet.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private(IpAddr::V4(v4)),
            None => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}

async fn connect(addresses: &[SocketAddr], limit: Duration) -> Result<(SocketAddr, TcpStream), Verdict> {
    let mut last = Verdict::problem(&SILENT, "no address");
    for address in addresses {
        last = match tokio::time::timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((*address, stream)),
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                Verdict::problem(&REFUSED, format!("{address} refuses connections"))
            }
            Ok(Err(error)) => Verdict::problem(&SILENT, format!("{address}: {error}")),
            Err(_) => Verdict::problem(&SILENT, format!("{address} is silent for {:.1} s", limit.as_secs_f64())),
        };
    }
    Err(last)
}

async fn secure(stream: TcpStream, host: &str, roots: &RootCertStore, limit: Duration) -> Verdict {
    let Ok(name) = host.to_owned().try_into() else {
        return Verdict::problem(&BROKEN, format!("{host} cannot be the name in a certificate"));
    };
    match tokio::time::timeout(limit, tls::shake_hands(stream, &name)).await {
        Ok(Ok(handshake)) => tls::judge(&handshake, &name, roots, SystemTime::now()),
        Ok(Err(error)) => tls::judge_failure(&error),
        Err(_) => Verdict::problem(&BROKEN, format!("no TLS handshake within {:.1} s", limit.as_secs_f64())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(verdict: &Verdict) -> Vec<&'static str> {
        verdict.problems.iter().map(|(problem, _)| problem.id).collect()
    }

    #[test]
    fn salesforce_calls_https_at_open_ports() {
        for (url, expected) in [
            ("https://mcp.example.com", &[][..]),
            ("https://mcp.example.com:8443", &[]),
            ("http://127.0.0.1:9000", &[]),
            ("http://localhost:9000", &[]),
            ("http://[::1]:9000", &[]),
            ("http://mcp.example.com", &["plain_http"]),
            ("http://localhost.example.com", &["plain_http"]),
            ("https://mcp.example.com:444", &["port"]),
        ] {
            assert_eq!(ids(&judge_url(&url.parse().unwrap())), expected, "{url}");
        }
    }

    #[test]
    fn an_address_that_salesforce_cannot_reach_is_named() {
        for (host, address, expected) in [
            ("mcp.example.com", "203.0.113.7:443", &[][..]),
            ("mcp.example.com", "[2001:db8::7]:443", &[]),
            ("localhost", "127.0.0.1:443", &[]),
            ("mcp.example.com", "127.0.0.1:443", &["private"]),
            ("mcp.example.com", "10.1.2.3:443", &["private"]),
            ("mcp.example.com", "100.64.0.1:443", &["private"]),
            ("mcp.example.com", "169.254.1.1:443", &["private"]),
            ("mcp.example.com", "[fd00::1]:443", &["private"]),
            ("mcp.example.com", "[::ffff:10.1.2.3]:443", &["private"]),
        ] {
            assert_eq!(ids(&judge_addresses(host, &[address.parse().unwrap()])), expected, "{host} {address}");
        }
        assert_eq!(ids(&judge_addresses("mcp.example.com", &[])), ["no_address"]);
    }
}
