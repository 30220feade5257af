//! The only place that speaks HTTP: one request, one observed answer.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, USER_AGENT};
use reqwest::{Method, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::exchange::{Answer, Exchange, Unanswered, answer_in_stream};

/// More than any catalogue; the rest of a longer answer is not read.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// Sends requests as Salesforce does: no redirect is followed, no proxy is used, no connection is kept.
#[derive(Debug)]
pub struct Wire {
    http: reqwest::Client,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub url: &'a Url,
    /// The bearer token.
    pub bearer: Option<&'a SecretString>,
    /// Client id and secret of the Basic scheme.
    pub basic: Option<(&'a str, &'a SecretString)>,
    /// More headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Body<'a>,
    /// How long its answer may take.
    pub limit: Duration,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum Body<'a> {
    /// None.
    Empty,
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(&'a str, &'a str)>),
    /// `application/json`.
    Json(String),
}

impl Wire {
    /// A client that trusts these authorities.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(roots: Arc<RootCertStore>) -> Result<Wire, Box<dyn Error + Send + Sync>> {
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Wire { http })
    }

    /// Sends a request and reads its answer.
    pub async fn send(&self, request: Request<'_>) -> Exchange {
        let start = Instant::now();
        match tokio::time::timeout(request.limit, self.exchange(&request, start)).await {
            Ok(answered) => answered.map_err(|error| Unanswered::Broken(innermost(&error))),
            Err(_) => Err(Unanswered::TimedOut(request.limit)),
        }
    }

    async fn exchange(&self, request: &Request<'_>, start: Instant) -> Result<Answer, reqwest::Error> {
        // As a callout of Salesforce does.
        let mut sent = self
            .http
            .request(request.method.clone(), request.url.clone())
            .header(USER_AGENT, "SFDC-Callout/66.0")
            .header("sfdc_stack_depth", "1")
            .header(CACHE_CONTROL, "no-cache")
            .header(PRAGMA, "no-cache");
        if let Some(token) = request.bearer {
            sent = sent.bearer_auth(token.expose_secret());
        }
        if let Some((id, secret)) = request.basic {
            sent = sent.basic_auth(id, Some(secret.expose_secret()));
        }
        for (name, value) in &request.headers {
            sent = sent.header(*name, value);
        }
        if !request.headers.iter().any(|(name, _)| *name == ACCEPT.as_str()) {
            sent = sent.header(ACCEPT, "*/*");
        }
        sent = match &request.body {
            Body::Empty => sent,
            Body::Form(parameters) => sent.form(parameters),
            Body::Json(json) => sent.header(CONTENT_TYPE, "application/json").body(json.clone()),
        };
        let mut response = sent.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let stream = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        let mut body = BytesMut::new();
        // The stream that a GET opens has no end; that of a POST has one when the answer is in it.
        while !(stream && (request.method == Method::GET || answer_in_stream(&body).is_some())) && body.len() < MAX_BODY
        {
            match response.chunk().await? {
                Some(chunk) => body.extend_from_slice(&chunk),
                None => break,
            }
        }
        let body: Bytes = body.freeze();
        Ok(Answer { status, headers, body, elapsed: start.elapsed(), received: SystemTime::now() })
    }
}

/// The reason below the library's own words, which repeat the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut reason: &dyn Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}
