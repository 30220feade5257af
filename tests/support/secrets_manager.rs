//! A Secrets Manager on this machine that knows `GetSecretValue` and counts how often it is asked.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_clients::{AwsClients, AwsSettings, Secrets};
use serde_json::{Value, json};

/// See the module's head. Its threads end with this, and with the connections of its clients.
pub struct SecretsManager {
    url: String,
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    dropped: AtomicBool,
    reads: AtomicUsize,
    /// By secret id and label: version id and value.
    versions: Mutex<HashMap<(String, String), (String, String)>>,
    /// Ids of secrets that are scheduled for deletion.
    deleted: Mutex<HashSet<String>>,
}

impl SecretsManager {
    /// Starts one without secrets on a free port of 127.0.0.1.
    pub fn start() -> SecretsManager {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if shared.dropped.load(Ordering::Relaxed) {
                    return;
                }
                let (client, state) = (client.unwrap(), shared.clone());
                std::thread::spawn(move || state.serve(&client));
            }
        });
        SecretsManager { url: format!("http://{address}"), address, state }
    }

    /// A source of its secrets.
    pub fn secrets(&self) -> Secrets {
        let mut settings = AwsSettings::local("http://127.0.0.1:9");
        settings.secrets_manager_url = Some(self.url.clone());
        Secrets::SecretsManager(AwsClients::new(&settings).secrets_manager)
    }

    /// Puts a label of a secret on a version.
    pub fn set(&self, id: &str, label: &str, version: &str, value: &str) {
        let (key, version) = ((id.to_owned(), label.to_owned()), (version.to_owned(), value.to_owned()));
        self.state.versions.lock().unwrap().insert(key, version);
    }

    /// Schedules a secret for deletion.
    pub fn delete(&self, id: &str) {
        self.state.deleted.lock().unwrap().insert(id.to_owned());
    }

    /// How often it was asked for a secret.
    pub fn reads(&self) -> usize {
        self.state.reads.load(Ordering::Relaxed)
    }
}

impl Drop for SecretsManager {
    fn drop(&mut self) {
        self.state.dropped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn serve(&self, client: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(client);
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
                match line.trim_end().to_ascii_lowercase().split_once(": ") {
                    Some(("content-length", value)) => length = value.parse().ok()?,
                    Some(_) => {}
                    None if line.trim_end().is_empty() => break,
                    None => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let (status, answer) = self.answer(&serde_json::from_slice(&body).ok()?);
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\n");
            let answer = format!("{head}content-length: {}\r\n\r\n{answer}", answer.len());
            (&mut &*client).write_all(answer.as_bytes()).ok()?;
        }
    }

    fn answer(&self, request: &Value) -> (&'static str, Value) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.deleted.lock().unwrap().contains(request["SecretId"].as_str().unwrap_or_default()) {
            let message = "You can't perform this operation on the secret because it was marked for deletion.";
            return ("400 Bad Request", json!({ "__type": "InvalidRequestException", "Message": message }));
        }
        let key = ["SecretId", "VersionStage"].map(|name| request[name].as_str().unwrap_or_default().to_owned());
        match self.versions.lock().unwrap().get(&key.into()) {
            Some((version, value)) => ("200 OK", json!({ "VersionId": version, "SecretString": value })),
            None => ("400 Bad Request", json!({ "__type": "ResourceNotFoundException", "Message": "none" })),
        }
    }
}
