//! The token and the revocation endpoint of an authorization server: answers what it is told to, and keeps what it is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

type Form = HashMap<String, String>;

#[derive(Clone)]
pub struct AuthorizationServer {
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    answer: (u16, String),
    tokens: Vec<Form>,
    revocations: Vec<Form>,
}

/// Salesforce's identity URL.
pub fn identity(org: &str, user: &str) -> String {
    format!("https://login.salesforce.com/id/{org}/{user}")
}

pub const ORG: &str = "00D000000000001AAA";
pub const USER: &str = "005000000000001AAA";

/// A good token answer.
pub fn tokens() -> Value {
    json!({
        "access_token": "access-token-of-the-consent",
        "refresh_token": "refresh-token-of-the-consent",
        "token_type": "Bearer",
        "expires_in": 900,
        "id": identity(ORG, USER),
    })
}

impl AuthorizationServer {
    pub async fn start() -> AuthorizationServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State { answer: (200, tokens().to_string()), tokens: Vec::new(), revocations: Vec::new() };
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

    /// What the token endpoint says from now on.
    pub fn says(&self, status: u16, body: impl ToString) {
        self.state.lock().unwrap().answer = (status, body.to_string());
    }

    /// The token requests so far.
    pub fn tokens(&self) -> Vec<Form> {
        self.state.lock().unwrap().tokens.clone()
    }

    /// The tokens that were revoked so far.
    pub fn revoked(&self) -> Vec<String> {
        self.state.lock().unwrap().revocations.iter().map(|form| form["token"].clone()).collect()
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await?.to_bytes();
        let form = form_urlencoded::parse(&body).into_owned().collect();
        let mut state = self.state.lock().unwrap();
        let (status, body) = match path.rsplit('/').next().unwrap() {
            "token" => {
                state.tokens.push(form);
                state.answer.clone()
            }
            "revoke" => {
                state.revocations.push(form);
                (200, String::new())
            }
            _ => (404, String::new()),
        };
        Ok(Response::builder().status(status).body(Full::from(body)).unwrap())
    }
}
