//! Requests of any method to an API: the host was checked ([`Target`]), the caller reads status and headers itself, and
//! learns of a failure whether anything had been sent.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use crate::url::{Target, UrlError};
use crate::{Connections, FetchError, Fetcher};

/// No request takes longer, whatever its timeout.
const LONGEST: Duration = Duration::from_secs(15 * 60);

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

/// An answer whose body is still coming. Dropping it ends the connection.
pub struct Incoming {
    /// Its status, redirects among them: none is followed.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Chunks,
}

impl Incoming {
    /// A header's value; `None` when it is missing or no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A body, as it comes: for as long as the request may take, and at most as many bytes as are read.
pub struct Chunks {
    stream: ByteStream,
    left: usize,
    until: Instant,
}

impl Chunks {
    pub(crate) fn new(body: SdkBody, max_bytes: usize, timeout: Duration) -> Chunks {
        Chunks { stream: ByteStream::new(body), left: max_bytes, until: Instant::now() + timeout }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`FetchError::Interrupted`], [`FetchError::TooLarge`], [`FetchError::TimedOut`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        let next = tokio::time::timeout_at(self.until, self.stream.next());
        let Some(chunk) = next.await.map_err(|_| FetchError::TimedOut)? else { return Ok(None) };
        let chunk = chunk.map_err(|error| FetchError::Interrupted(error.into()))?;
        self.left = self.left.checked_sub(chunk.len()).ok_or(FetchError::TooLarge)?;
        Ok(Some(chunk))
    }

    /// All that is still to come.
    ///
    /// # Errors
    /// As [`Chunks::next`].
    pub async fn rest(mut self) -> Result<Bytes, FetchError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.next().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(Bytes::from(body))
    }
}

impl Fetcher {
    /// Sends a request, once, and reads the answer whatever its status.
    ///
    /// # Errors
    /// Nothing was sent: [`FetchError::Url`], [`FetchError::Header`], [`FetchError::Address`],
    /// [`FetchError::Unreachable`]. The host may have done what it was asked: every other.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Answer, FetchError> {
        self.send_over(outgoing, Connections::New).await
    }

    /// As [`Fetcher::send`], over a connection that an earlier request of this kind left, if there is one, and leaves it to
    /// later ones for 30 s. For requests that change nothing, to hosts that an operator chose: the connection may turn out
    /// to be dead ([`FetchError::Interrupted`]), and its address was checked when it was opened.
    ///
    /// # Errors
    /// As [`Fetcher::send`].
    pub async fn send_over_kept(&self, outgoing: Outgoing) -> Result<Answer, FetchError> {
        self.send_over(outgoing, Connections::Kept).await
    }

    async fn send_over(&self, outgoing: Outgoing, over: Connections) -> Result<Answer, FetchError> {
        let Incoming { status, headers, body } = self.open_over(outgoing, HeaderMap::new(), over).await?;
        Ok(Answer { status, headers, body: body.rest().await? })
    }

    /// Sends a request, once, and leaves the body of the answer to be read piece by piece. `more` are headers whose names
    /// are known at run time only.
    ///
    /// # Errors
    /// As [`Fetcher::send`].
    pub async fn open(&self, outgoing: Outgoing, more: HeaderMap) -> Result<Incoming, FetchError> {
        self.open_over(outgoing, more, Connections::New).await
    }

    async fn open_over(&self, outgoing: Outgoing, more: HeaderMap, over: Connections) -> Result<Incoming, FetchError> {
        let until = Instant::now() + outgoing.timeout.min(LONGEST);
        let max_bytes = outgoing.max_bytes;
        let response = tokio::time::timeout_at(until, self.respond(outgoing, more, over)).await;
        let (parts, body) = response.map_err(|_| FetchError::TimedOut)??.into_parts();
        let body = Chunks::new(body, max_bytes, until.duration_since(Instant::now()));
        Ok(Incoming { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    async fn respond(
        &self,
        outgoing: Outgoing,
        more: HeaderMap,
        over: Connections,
    ) -> Result<http::Response<SdkBody>, FetchError> {
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
        for (name, value) in &more {
            let value = value.to_str().map_err(|_| FetchError::Header)?.to_owned();
            headers.try_insert(name.as_str().to_owned(), value).map_err(|_| FetchError::Header)?;
        }
        let response = self.call(request, over).await?;
        response.try_into_http1x().map_err(|error| FetchError::Interrupted(error.into()))
    }
}
