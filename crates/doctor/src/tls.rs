//! TLS: a handshake that takes any certificate, and a judgement on what was presented. Nothing is sent over it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{self, CryptoProvider};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, ProtocolVersion, RootCertStore,
    SignatureScheme,
};

use crate::checks::{
    CERTIFICATE_EXPIRED, CERTIFICATE_NAME, CERTIFICATE_NOT_YET_VALID, EXPIRES_SOON, HANDSHAKE, MISSING_INTERMEDIATE,
    NOT_TLS, OLD_VERSION, SELF_SIGNED, UNTRUSTED,
};
use crate::finding::Verdict;

const SOON: Duration = Duration::from_secs(14 * 86_400);

/// What a server presents.
pub struct Handshake {
    version: Option<ProtocolVersion>,
    chain: Vec<CertificateDer<'static>>,
}

/// Shakes hands over a connection, whatever the certificate.
///
/// # Errors
/// The server does not speak TLS, or not with us.
pub async fn shake_hands(stream: TcpStream, name: &ServerName<'static>) -> io::Result<Handshake> {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAnyCertificate(provider)))
        .with_no_client_auth();
    let stream = TlsConnector::from(Arc::new(tls)).connect(name.clone(), stream).await?;
    let (_, connection) = stream.get_ref();
    let chain = connection.peer_certificates().unwrap_or_default();
    Ok(Handshake {
        version: connection.protocol_version(),
        chain: chain.iter().map(|certificate| certificate.clone().into_owned()).collect(),
    })
}

/// What is wrong with what was presented.
pub fn judge(handshake: &Handshake, name: &ServerName<'_>, roots: &RootCertStore, now: SystemTime) -> Verdict {
    let version = match handshake.version {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS",
    };
    let Some((leaf, others)) = handshake.chain.split_first() else {
        return Verdict::problem(&HANDSHAKE, "no certificate");
    };
    let sent = match handshake.chain.len() {
        1 => "1 certificate".to_owned(),
        many => format!("{many} certificates"),
    };
    match verify(leaf, others, name, roots, now) {
        Ok(()) if verify(leaf, others, name, roots, now + SOON).is_err() => {
            Verdict::problem(&EXPIRES_SOON, "the chain is not valid for another 14 days")
        }
        Ok(()) => Verdict::pass(format!("{version}, {sent}, the chain is whole")),
        Err(Error::InvalidCertificate(error)) => judge_certificate(&error, &handshake.chain, &sent),
        Err(error) => Verdict::problem(&UNTRUSTED, error.to_string()),
    }
}

fn verify(
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    roots: &RootCertStore,
    now: SystemTime,
) -> Result<(), Error> {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots.clone()), provider)
        .build()
        .map_err(|_| Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    verifier.verify_server_cert(leaf, others, name, &[], UnixTime::since_unix_epoch(since_1970)).map(|_| ())
}

fn judge_certificate(error: &CertificateError, chain: &[CertificateDer<'_>], sent: &str) -> Verdict {
    match error {
        CertificateError::Expired => Verdict::problem(&CERTIFICATE_EXPIRED, "out of date"),
        CertificateError::ExpiredContext { not_after, .. } => {
            Verdict::problem(&CERTIFICATE_EXPIRED, format!("it was valid until {}", show(*not_after)))
        }
        CertificateError::NotValidYet => Verdict::problem(&CERTIFICATE_NOT_YET_VALID, "not yet valid"),
        CertificateError::NotValidYetContext { not_before, .. } => {
            Verdict::problem(&CERTIFICATE_NOT_YET_VALID, format!("it is valid from {}", show(*not_before)))
        }
        CertificateError::NotValidForName => Verdict::problem(&CERTIFICATE_NAME, "it is for other names"),
        CertificateError::NotValidForNameContext { presented, .. } => {
            Verdict::problem(&CERTIFICATE_NAME, format!("it is for {}", presented.join(", ")))
        }
        other => judge_chain(chain, sent, &other.to_string()),
    }
}

/// Why no known authority stands at the end of a chain.
fn judge_chain(chain: &[CertificateDer<'_>], sent: &str, reason: &str) -> Verdict {
    let names: Option<Vec<(Vec<u8>, Vec<u8>)>> = chain
        .iter()
        .map(|der| {
            let certificate = webpki::EndEntityCert::try_from(der).ok()?;
            Some((certificate.subject().to_vec(), certificate.issuer().to_vec()))
        })
        .collect();
    match names.as_deref() {
        Some([(subject, issuer)]) if subject == issuer => {
            Verdict::problem(&SELF_SIGNED, format!("{sent}, issued by itself"))
        }
        Some([(_, issuer)]) => Verdict::problem(
            &MISSING_INTERMEDIATE,
            format!("{sent}, issued by \"{}\", whose certificate is missing", common_name(issuer)),
        ),
        Some([.., (_, issuer)]) => Verdict::problem(
            &UNTRUSTED,
            format!("{sent}; the last is issued by \"{}\", which is not known here", common_name(issuer)),
        ),
        _ => Verdict::problem(&UNTRUSTED, format!("{sent}: {reason}")),
    }
}

/// Why a handshake did not come about.
pub fn judge_failure(error: &io::Error) -> Verdict {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let seen = tls.map_or_else(|| error.to_string(), Error::to_string);
    let problem = match tls {
        Some(Error::InvalidMessage(_)) => &NOT_TLS,
        Some(Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_)) => &OLD_VERSION,
        _ => &HANDSHAKE,
    };
    Verdict::problem(problem, seen)
}

/// The common name in the DER of a name, else its organization.
fn common_name(name: &[u8]) -> String {
    // OIDs 2.5.4.3 and 2.5.4.10; the text follows with tag and length.
    let text = [[0x06, 0x03, 0x55, 0x04, 0x03], [0x06, 0x03, 0x55, 0x04, 0x0a]].iter().find_map(|oid| {
        let at = name.windows(oid.len()).position(|window| window == oid)? + oid.len();
        let length = usize::from(*name.get(at + 1)?);
        std::str::from_utf8(name.get(at + 2..at + 2 + length)?).ok()
    });
    text.unwrap_or("without a name").to_owned()
}

fn show(moment: UnixTime) -> String {
    let seconds = i64::try_from(moment.as_secs()).unwrap_or_default();
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok();
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_default()
}

/// Takes any certificate, for it is judged afterwards; signatures are checked.
#[derive(Debug)]
struct TakesAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for TakesAnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_authority_is_read() {
        let named = b"\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02CA";
        assert_eq!(common_name(named), "CA");
        assert_eq!(common_name(b"\x06\x03\x55\x04\x0a\x0c\x03Org"), "Org");
        for broken in [&b""[..], b"\x06\x03\x55\x04\x03", b"\x06\x03\x55\x04\x03\x0c\x7fCA"] {
            assert_eq!(common_name(broken), "without a name");
        }
    }
}
