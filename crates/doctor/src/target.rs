//! What is examined, and the limits it is held against.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// What is examined.
#[derive(Debug)]
pub struct Target {
    /// Public base URL, without a slash at the end.
    pub base: String,
    /// Who issues the tokens; not known when the token endpoint is not the base's.
    pub issuer: Option<String>,
    /// The token endpoint.
    pub token_url: Url,
    /// The MCP server.
    pub mcp_url: Url,
    /// The scope that Salesforce asks for.
    pub scope: String,
    /// Who asks.
    pub credentials: Option<Credentials>,
    /// The tool to call, and its arguments as text.
    pub call: Option<(String, Vec<(String, String)>)>,
    /// A token of this server that has expired.
    pub expired_token: Option<SecretString>,
    /// Who may sign certificates.
    pub roots: Arc<RootCertStore>,
    /// How long answers may take.
    pub limits: Limits,
}

/// A client of the stack.
#[derive(Debug)]
pub struct Credentials {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// Where both were found, for the reader.
    pub source: &'static str,
}

/// How long answers may take (Apex guide, callout timeouts; quotas of API Gateway).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A token: the default of a callout.
    pub token: Duration,
    /// A token that takes longer is worth a warning.
    pub token_slow: Duration,
    /// Anything of MCP: the limit of a tool call.
    pub mcp: Duration,
    /// What a tool should stay under.
    pub mcp_slow: Duration,
    /// From here on a 503 is API Gateway's own.
    pub gateway: Duration,
}

impl Limits {
    /// Salesforce's limits, multiplied.
    pub fn scaled(scale: f64) -> Limits {
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds * scale);
        Limits {
            token: seconds(10.0),
            token_slow: seconds(5.0),
            mcp: seconds(60.0),
            mcp_slow: seconds(20.0),
            gateway: seconds(28.0),
        }
    }
}

impl Target {
    /// The client's id.
    pub fn client_id(&self) -> Option<&str> {
        self.credentials.as_ref().map(|credentials| credentials.client_id.as_str())
    }
}

/// The authorities that this machine trusts, and those of a PEM file.
///
/// # Errors
/// A sentence, when the file cannot be read or holds no certificate.
pub fn roots(ca: Option<&std::path::Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca {
        let unusable = |reason: String| format!("{} is no file of certificates in PEM: {reason}", path.display());
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
        let mut found = 0;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            found += 1;
        }
        if found == 0 {
            return Err(unusable("there is none in it".to_owned()));
        }
    }
    Ok(roots)
}
