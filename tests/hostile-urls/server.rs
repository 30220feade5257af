//! An upstream with its authorization server on this machine, which names the URLs that a test gives it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Where the documents are that name it and its authorization server.
pub const RESOURCE: &str = "/.well-known/oauth-protected-resource/mcp";
pub const SERVER: &str = "/.well-known/oauth-authorization-server";

pub struct Scripted {
    /// Its URL, without a path.
    pub url: String,
    answers: Arc<Mutex<HashMap<&'static str, String>>>,
}

impl Scripted {
    pub async fn start() -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: Arc<Mutex<HashMap<&'static str, String>>> = Arc::default();
        let scripted = answers.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answers = scripted.clone();
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                        if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
                            return;
                        }
                    }
                    let request = String::from_utf8_lossy(&request).into_owned();
                    let path = request.split(' ').nth(1).unwrap_or_default();
                    let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned();
                    let answer = answers.lock().unwrap().get(path).cloned().unwrap_or(missing);
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Scripted { url, answers }
    }

    /// Its MCP endpoint.
    pub fn mcp(&self) -> String {
        format!("{}/mcp", self.url)
    }

    /// A JSON document at a path.
    pub fn put(&self, path: &'static str, document: &Value) {
        let (document, head) = (document.to_string(), "HTTP/1.1 200 OK\r\ncontent-type: application/json");
        let answer = format!("{head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{document}", document.len());
        self.answers.lock().unwrap().insert(path, answer);
    }

    /// A redirect at a path.
    pub fn redirect(&self, path: &'static str, status: u16, location: &str) {
        // A line break would end the header.
        let location = location.replace(['\r', '\n', '\0'], "");
        let head = format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {location}");
        let answer = format!("{head}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        self.answers.lock().unwrap().insert(path, answer);
    }

    /// What it says of itself when its authorization server is `issuer`.
    pub fn name_issuer(&self, issuer: &str) {
        self.put(RESOURCE, &json!({ "resource": self.mcp(), "authorization_servers": [issuer] }));
    }

    /// What its authorization server says when every endpoint is `url`.
    pub fn name_endpoints(&self, url: &str) {
        self.put(
            SERVER,
            &json!({
                "issuer": self.url, "authorization_endpoint": url, "token_endpoint": url, "revocation_endpoint": url,
                "registration_endpoint": url, "jwks_uri": url, "code_challenge_methods_supported": ["S256"],
                "response_types_supported": ["code"],
            }),
        );
    }
}
