//! Names, ports and certificates.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use black_box::shared;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::stage::{Stage, examine, unchanged};

#[test]
fn urls_that_salesforce_does_not_call() {
    let home = shared().home();
    for (url, expected) in [
        ("http://mcp.example.com", "url.plain_http"),
        ("https://mcp.example.com:444", "url.port"),
        ("https://10.1.2.3", "dns.private"),
        // RFC 6761: this name never resolves.
        ("https://mcp.example.invalid", "dns.no_address"),
    ] {
        let findings = examine(url, home, &["--call", "get_order_status"], &[]);
        findings.assert(url, &[expected]);
        let skipped = findings.get("not_checked.skipped")["seen"].as_str().unwrap();
        assert!(["token_body", "initialize", "call"].iter().all(|id| skipped.contains(id)), "{skipped}");
        assert_eq!(findings.all.last().unwrap()["id"], "not_checked.skipped");
    }
}

#[test]
fn a_closed_port() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    examine(&format!("http://{address}"), shared().home(), &[], &[]).assert("closed", &["connect.refused"]);
}

/// An authority, an intermediate one, and certificates of both.
struct Pki {
    folder: TempDir,
    root: Certificate,
    intermediate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Pki {
    fn new() -> Pki {
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let params = authority("Test Root");
        let root = params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(params, root_key);
        let params = authority("Test Intermediate");
        let intermediate = params.signed_by(&key, &root_issuer).unwrap();
        let issuer = Issuer::new(params, key);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("root.pem"), root.pem()).unwrap();
        Pki { folder, root, intermediate, issuer }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// A certificate for names, valid from and to so many days from now, and its key.
    fn leaf(&self, names: &[&str], days: (i64, i64)) -> (Certificate, KeyPair) {
        let params = leaf(names, days);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn intermediate(&self) -> CertificateDer<'static> {
        self.intermediate.der().clone()
    }
}

fn leaf(names: &[&str], (from, to): (i64, i64)) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "Server");
    params.not_before = OffsetDateTime::now_utc() + Duration::days(from);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(to);
    params
}

fn tls(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

#[test]
fn a_healthy_server_over_tls_passes_throughout() {
    let pki = Pki::new();
    let (leaf, key) = pki.leaf(&["localhost"], (-1, 90));
    let stage = Stage::start(Some(tls(vec![leaf.der().clone(), pki.intermediate()], &key)), "localhost");
    let ca = pki.ca();
    let findings = stage.expect_with(&["--ca", ca.to_str().unwrap()], "whole chain", unchanged(), &[]);
    let seen = findings.get("tls")["seen"].as_str().unwrap();
    assert_eq!(seen, "TLS 1.3, 2 certificates, the chain is whole");
}

/// What the doctor finds at a TLS server that never has to answer.
fn found(config: Arc<ServerConfig>, arguments: &[&str], what: &str, expected: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    crate::stage::hop(listener, Some(config), "http://127.0.0.1:9", Arc::new(Mutex::new(unchanged())));
    let findings = examine(&url, shared().home(), arguments, &[]);
    findings.assert(what, &[expected]);
    findings.get(expected)["seen"].as_str().unwrap().to_owned()
}

#[test]
fn certificates_that_salesforce_does_not_take() {
    let pki = Pki::new();
    let ca = pki.ca();
    let trusting = ["--ca", ca.to_str().unwrap()];
    let whole =
        |(certificate, key): (Certificate, KeyPair)| tls(vec![certificate.der().clone(), pki.intermediate()], &key);

    let (certificate, key) = pki.leaf(&["localhost"], (-1, 90));
    let alone = tls(vec![certificate.der().clone()], &key);
    let seen = found(alone, &trusting, "no intermediate", "tls.missing_intermediate");
    assert!(seen.contains("1 certificate, issued by \"Test Intermediate\""), "{seen}");

    let seen = found(whole(pki.leaf(&["localhost"], (-1, 90))), &[], "a private authority", "tls.untrusted");
    assert!(seen.contains("\"Test Root\""), "{seen}");
    let (certificate, key) = pki.leaf(&["localhost"], (-1, 90));
    let with_root = tls(vec![certificate.der().clone(), pki.intermediate(), pki.root.der().clone()], &key);
    found(with_root, &[], "with its root", "tls.untrusted");

    let seen = found(whole(pki.leaf(&["mcp.example.com"], (-1, 90))), &trusting, "another name", "tls.name");
    assert!(seen.contains("mcp.example.com"), "{seen}");
    let seen = found(whole(pki.leaf(&["localhost"], (-90, -1))), &trusting, "expired", "tls.expired");
    assert!(seen.starts_with("it was valid until 20"), "{seen}");
    found(whole(pki.leaf(&["localhost"], (1, 90))), &trusting, "from tomorrow on", "tls.not_yet_valid");

    let key = KeyPair::generate().unwrap();
    let own = leaf(&["localhost"], (-1, 90)).self_signed(&key).unwrap();
    found(tls(vec![own.der().clone()], &key), &[], "self-signed", "tls.self_signed");
}

#[test]
fn a_certificate_that_expires_soon_is_a_warning() {
    let pki = Pki::new();
    let (leaf, key) = pki.leaf(&["localhost"], (-80, 7));
    let stage = Stage::start(Some(tls(vec![leaf.der().clone(), pki.intermediate()], &key)), "localhost");
    let ca = pki.ca();
    stage.expect_with(&["--ca", ca.to_str().unwrap()], "soon", unchanged(), &["tls.expires_soon"]);
}

/// A server that answers the first bytes of a handshake with these.
fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut hello = [0; 4096];
            let _ = stream.read(&mut hello);
            let _ = stream.write_all(bytes);
        }
    });
    url
}

#[test]
fn handshakes_that_do_not_come_about() {
    for (what, bytes, expected) in [
        ("plain http", &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "tls.not_tls"),
        // A fatal alert of TLS 1.0: protocol_version, unrecognized_name.
        ("TLS 1.1 at best", &[0x15, 3, 1, 0, 2, 2, 70], "tls.old_version"),
        ("an unknown name", &[0x15, 3, 3, 0, 2, 2, 112], "tls.handshake"),
    ] {
        examine(&answering(bytes), shared().home(), &[], &[]).assert(what, &[expected]);
    }
}
