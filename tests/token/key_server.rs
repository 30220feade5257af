//! A web server of a client: it serves the client's public keys, or something else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// Serves one document on a free port of 127.0.0.1. Its thread ends with this.
pub struct KeyServer {
    /// Where the document is.
    pub url: String,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answer: String,
    asked: usize,
    ended: bool,
}

impl KeyServer {
    /// Serves a JWK Set of these keys.
    pub fn start(keys: &[&Value]) -> KeyServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let answer = {
                    let mut state = shared.lock().unwrap();
                    if state.ended {
                        return;
                    }
                    state.asked += 1;
                    state.answer.clone()
                };
                let _ = respond(&mut connection.unwrap(), &answer);
            }
        });
        let server = KeyServer { url: format!("http://{address}/jwks.json"), address, state };
        server.serve(keys);
        server
    }

    /// Serves these keys from now on.
    pub fn serve(&self, keys: &[&Value]) {
        self.answer("200 OK", "application/jwk-set+json", &json!({ "keys": keys }).to_string());
    }

    /// Gives this answer from now on.
    pub fn answer(&self, status: &str, content_type: &str, body: &str) {
        let length = body.len();
        let head = format!("content-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close");
        self.state.lock().unwrap().answer = format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}");
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }
}

fn respond(connection: &mut TcpStream, answer: &str) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match connection.read(&mut buffer)? {
            0 => return Ok(()),
            length => request.extend_from_slice(&buffer[..length]),
        }
    }
    connection.write_all(answer.as_bytes())
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.state.lock().unwrap().ended = true;
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}
