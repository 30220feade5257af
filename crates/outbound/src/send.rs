//! Requests of any method to an API: the host was checked ([`Target`]), the caller reads status and headers itself, and
//! learns of a failure whether anything had been sent.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::HeaderMap;

use crate::url::{Target, UrlError};
use crate::{FetchError, Fetcher, read};

/// A request.
pub struct Outgoing {
    /// Its method, as `GET`.
    pub method: &'static str,
    /// Its URL.
    pub target: Target,
    /// Its headers, by lower-case name. A later one replaces an earlier one of the same name.
    pub headers: Vec<(&'static str, String)>,
    /// Its body; empty for none.
    pub body: Bytes,
    /// The largest answer that is read, in bytes.
    pub max_bytes: usize,
    /// How long it may take, from the name to the last byte.
    pub timeout: Duration,
}

/// An answer, read whole.
pub struct Answer {
    /// Its status, redirects among them: none is followed.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// A header's value; `None` when it is missing or no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Fetcher {
    /// Sends a request, once, and reads the answer whatever its status.
    ///
    /// # Errors
    /// Nothing was sent: [`FetchError::Url`], [`FetchError::Header`], [`FetchError::Address`],
    /// [`FetchError::Unreachable`]. The host may have done what it was asked: every other.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Answer, FetchError> {
        let timeout = outgoing.timeout;
        tokio::time::timeout(timeout, self.send_without_limit_of_time(outgoing))
            .await
            .unwrap_or(Err(FetchError::TimedOut))
    }

    async fn send_without_limit_of_time(&self, outgoing: Outgoing) -> Result<Answer, FetchError> {
        let uri = outgoing.target.as_uri();
        // A target that another fetcher checked: an address in it would be connected to without a look at it.
        self.check(&format!(
            "{}://{}",
            uri.scheme_str().unwrap_or_default(),
            uri.authority().map_or("", |a| a.as_str())
        ))?;
        let mut request = HttpRequest::new(SdkBody::from(outgoing.body));
        request.set_method(outgoing.method).map_err(|_| FetchError::Header)?;
        request.set_uri(uri.clone()).map_err(|_| UrlError::Malformed)?;
        let headers = request.headers_mut();
        headers.insert("user-agent", "northstar");
        for (name, value) in outgoing.headers {
            headers.try_insert(name, value).map_err(|_| FetchError::Header)?;
        }
        let response = self.call(request).await?;
        let response = response.try_into_http1x().map_err(|error| FetchError::Interrupted(error.into()))?;
        let (parts, body) = response.into_parts();
        let body = read(body, outgoing.max_bytes).await?;
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}
