//! A token endpoint on this machine that rotates its refresh tokens, counts what it is asked, and can be slow or broken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// How it behaves, and what it has seen.
#[derive(Default)]
pub struct State {
    /// The refresh token that is good.
    pub refresh_token: String,
    /// Whether each use of it makes a new one.
    pub rotates: bool,
    /// `expires_in` of its answers.
    pub expires_in: Option<u64>,
    /// How long it works on a request.
    pub delay: Duration,
    /// Answers that come instead, the next one last.
    pub instead: Vec<(u16, String)>,
    /// Closes the connection after its work, without an answer.
    pub hangs_up: u32,
    /// Requests so far.
    pub requests: u32,
    /// Tokens given so far.
    pub issued: u32,
    /// Requests with the same refresh token that it worked on at the same time.
    pub overlaps: u32,
    /// Forms of the requests.
    pub forms: Vec<HashMap<String, String>>,
    /// Tokens that it was asked to revoke.
    pub revoked: Vec<String>,
    /// `Authorization` headers of the requests.
    pub authorizations: Vec<Option<String>>,
    /// Refresh tokens of the requests that it works on.
    pub working_on: Vec<String>,
}

/// A running one; it ends with its task's runtime.
#[derive(Clone)]
pub struct AuthorizationServer {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl AuthorizationServer {
    pub async fn start(state: State) -> AuthorizationServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/services/oauth2/token", listener.local_addr().unwrap());
        let server = AuthorizationServer { url, state: Arc::new(Mutex::new(state)) };
        let answering = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = answering.clone();
                let service = service_fn(move |request| {
                    let server = server.clone();
                    async move { server.answer(request).await }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        server
    }

    pub fn with<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut self.state.lock().unwrap())
    }

    pub fn requests(&self) -> u32 {
        self.with(|state| state.requests)
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
        let authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let body = request.into_body().collect().await?.to_bytes();
        let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
        let used = form.get("refresh_token").cloned().unwrap_or_default();
        let delay = self.with(|state| {
            state.requests += 1;
            state.overlaps += u32::from(state.working_on.contains(&used));
            state.working_on.push(used.clone());
            state.forms.push(form.clone());
            state.authorizations.push(authorization);
            state.delay
        });
        // The work goes on when the client hangs up.
        let server = self.clone();
        let worked = tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            server.with(|state| match form.get("token") {
                Some(token) => state.revoke(token),
                None => state.work(&form["grant_type"], &used),
            })
        });
        match worked.await? {
            Some((status, body)) => Ok(Response::builder().status(status).body(Full::from(body))?),
            None => Err("hangs up".into()),
        }
    }
}

impl State {
    fn revoke(&mut self, token: &str) -> Option<(u16, String)> {
        self.revoked.push(token.to_owned());
        Some(self.instead.pop().unwrap_or((200, String::new())))
    }

    fn work(&mut self, grant_type: &str, used: &str) -> Option<(u16, String)> {
        self.working_on.retain(|token| token != used);
        if let Some(instead) = self.instead.pop() {
            return Some(instead);
        }
        if grant_type == "refresh_token" && used != self.refresh_token {
            let body = r#"{"error":"invalid_grant","error_description":"expired access/refresh token"}"#;
            return Some((400, body.to_owned()));
        }
        self.issued += 1;
        let mut body = serde_json::json!({
            "access_token": format!("00D!access-{}", self.issued),
            "instance_url": "https://example.my.salesforce.com",
            "id": "https://login.salesforce.com/id/00D000000000001AAA/005000000000001AAA",
            "token_type": "Bearer",
        });
        if self.rotates && grant_type == "refresh_token" {
            self.refresh_token = format!("refresh-{}", self.issued);
            body["refresh_token"] = self.refresh_token.clone().into();
        }
        if let Some(expires_in) = self.expires_in {
            body["expires_in"] = expires_in.into();
        }
        if self.hangs_up > 0 {
            self.hangs_up -= 1;
            return None;
        }
        Some((200, body.to_string()))
    }
}
