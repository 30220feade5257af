//! A site on a free port of 127.0.0.1 with documents that a test writes, which keeps what was asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// It ends with the runtime of its test.
pub struct Site {
    /// Its origin.
    pub origin: String,
    answers: Arc<Mutex<HashMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// A site where everything is 404.
    pub async fn start() -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let site = Site { origin, answers: Arc::default(), asked: Arc::default() };
        let (answers, asked) = (site.answers.clone(), site.asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, answers.clone(), asked.clone()));
            }
        });
        site
    }

    /// A JSON document; `{origin}` in it is the site's.
    pub fn json(&self, path: &str, document: &str) {
        self.answer(path, "200 OK\r\ncontent-type: application/json", document);
    }

    /// Any answer: the status line behind the protocol, with further header lines.
    pub fn answer(&self, path: &str, head: &str, body: &str) {
        let body = body.replace("{origin}", &self.origin);
        let head = head.replace("{origin}", &self.origin);
        let answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// The paths that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, answers: Arc<Mutex<HashMap<String, String>>>, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut chunk = [0; 4096];
        let Ok(length @ 1..) = stream.read(&mut chunk).await else { return };
        head.extend_from_slice(&chunk[..length]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let missing = "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned();
    let answer = answers.lock().unwrap().get(&path).cloned().unwrap_or(missing);
    asked.lock().unwrap().push(path);
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
