//! A running stand-in.

use std::io;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::counters::Counts;
use crate::faults::Fault;
use crate::hosted::Hosted;
use crate::oauth::{self, ConnectedApp};
use crate::org::Org;
use crate::server::{self, Shared};
use crate::state::State;

/// How the stand-in behaves; the default is how Salesforce does, over plain HTTP.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Who may have tokens.
    pub connected_app: ConnectedApp,
    /// Whether a refresh gives a new refresh token, and ends the old one.
    pub rotate_refresh_tokens: bool,
    /// Whether a refresh token that comes again after its end takes its successors and their sessions along.
    pub revoke_family_on_reuse: bool,
    /// The most records of a page of a query; Salesforce gives up to 2,000.
    pub page_size: Option<usize>,
    /// The most rows of a page of a bulk query's results.
    pub bulk_page_size: Option<usize>,
    /// Whether it speaks TLS, with a certificate for `localhost` and 127.0.0.1 by [`Standin::root_certificate`].
    pub tls: bool,
    /// `instance_url` of the token endpoint's answers; its own URL, if it is absent.
    pub instance_url: Option<String>,
    /// How the hosted MCP servers behave.
    pub hosted: Hosted,
    /// `issuer` of the authorization server's metadata, `iss` of its tokens; its own URL, if it is absent.
    pub issuer: Option<String>,
    /// Whether authorization responses have an `iss` (RFC 9207), and the metadata promise it.
    pub promises_iss: bool,
}

/// A running stand-in; it ends when it is dropped.
#[derive(Debug)]
pub struct Standin {
    shared: Arc<Shared>,
    root_certificate: Option<String>,
    task: JoinHandle<()>,
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Standin {
    /// Starts it on a free port of 127.0.0.1, as a task of the Tokio runtime that this is called in.
    ///
    /// # Errors
    /// There is no free port, or no certificate can be made.
    pub async fn start(org: Org, options: Options) -> io::Result<Standin> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (tls, root_certificate) = match options.tls {
            true => certificate().map(|(acceptor, root)| (Some(acceptor), Some(root))).map_err(io::Error::other)?,
            false => (None, None),
        };
        let url = if options.tls { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") };
        let refresh_token = options.connected_app.refresh_token.clone();
        let key = KeyPair::generate().map_err(io::Error::other)?.serialize_der();
        let mut state = State::new(org, options, url.clone(), key);
        state.grants.add_refresh_token(&refresh_token);
        let shared = Arc::new(Shared { state: Mutex::new(state), url });
        let task = tokio::spawn(server::serve(listener, tls, Arc::clone(&shared)));
        Ok(Standin { shared, root_certificate, task })
    }

    /// Login URL and instance URL in one: `http://127.0.0.1:PORT`, or `https://localhost:PORT`.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// The root, in PEM, that a client has to trust; `None` without TLS.
    pub fn root_certificate(&self) -> Option<&str> {
        self.root_certificate.as_deref()
    }

    /// A new session, as if somebody had just logged in.
    pub fn access_token(&self) -> String {
        oauth::new_session(&mut self.shared.state(), None)
    }

    /// The URL of one of the hosted MCP servers, as `sobject-all`.
    pub fn mcp_url(&self, server: &str) -> String {
        format!("{}{}", self.url(), self.shared.state().options.hosted.path(server))
    }

    /// Ends every session, and every token of another authorization server that was used so far: the next request with one
    /// of them is 401.
    pub fn expire_sessions(&self) {
        self.shared.state().grants.expire_sessions();
    }

    /// The refresh tokens that would be taken now.
    pub fn refresh_tokens(&self) -> Vec<String> {
        self.shared.state().grants.refresh_tokens()
    }

    /// Ends every refresh token, as an administrator does: the next refresh is `invalid_grant`.
    pub fn revoke_refresh_tokens(&self) {
        self.shared.state().grants.revoke_refresh_tokens();
    }

    /// Forgets every open query: the next page is `INVALID_QUERY_LOCATOR`.
    pub fn expire_cursors(&self) {
        self.shared.state().cursors.clear();
    }

    /// What was asked and done so far.
    pub fn counters(&self) -> Counts {
        let state = self.shared.state();
        state.counters.counts(state.org.effects())
    }

    /// Adds a fault behind those that are still to come.
    pub fn inject(&self, fault: Fault) {
        self.shared.state().faults.pending.push(fault);
    }

    /// The faults that are still to come.
    pub fn faults(&self) -> Vec<Fault> {
        self.shared.state().faults.pending.clone()
    }

    /// Takes back the faults that are still to come.
    pub fn clear_faults(&self) {
        self.shared.state().faults.pending.clear();
    }

    /// Forgets every session of legacy MCP clients: the next request in one of them is 404.
    pub fn end_mcp_sessions(&self) {
        self.shared.state().mcp_sessions.clear();
    }

    /// Reads or changes how it behaves while no request runs; `tls` and the first refresh token count at the start alone.
    pub fn with_options<T>(&self, use_them: impl FnOnce(&mut Options) -> T) -> T {
        use_them(&mut self.shared.state().options)
    }

    /// Reads or changes the data while no request does.
    pub fn with_org<T>(&self, use_it: impl FnOnce(&mut Org) -> T) -> T {
        use_it(&mut self.shared.state().org)
    }
}

/// A certificate for this machine, and the root that signed it.
fn certificate() -> Result<(TlsAcceptor, String), Box<dyn std::error::Error + Send + Sync>> {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(rcgen::DnType::CommonName, "Salesforce stand-in root");
    // Strict clients want to know what a root may do.
    root.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let mut own = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    own.use_authority_key_identifier_extension = true;
    let own = own.signed_by(&key, &root)?;
    let chain = vec![CertificateDer::from(own.der().to_vec())];
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key.into())?;
    Ok((TlsAcceptor::from(Arc::new(config)), root.pem()))
}
