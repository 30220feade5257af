//! A server on this machine that answers as a test says, with the token endpoint of an org beside it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_clients::{AwsClients, AwsSettings, Secrets};
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use oauth_client::{Grants, SealingKeys};
use outbound::Fetcher;
use registry::{ClientAuth, ConnectionName, Flow, SalesforceOrg};
use salesforce::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the org does with a request.
#[derive(Clone)]
pub enum Answer {
    /// A whole answer.
    Whole(u16, String),
    /// These bytes and no more.
    Raw(Vec<u8>),
    /// A whole answer, later.
    Late(Duration, u16, String),
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The how-manieth connection it came over.
    pub connection: u32,
    pub method: String,
    pub path: String,
    pub head: String,
    pub body: String,
}

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    seen: Vec<Seen>,
    tokens: u32,
    connections: u32,
    /// Whether a connection is left open after a whole answer.
    keeps_alive: bool,
    instance_url: Option<String>,
}

pub struct Org {
    pub client: Client,
    pub now: SystemTime,
    state: Arc<Mutex<State>>,
    _folder: tempfile::TempDir,
}

impl Org {
    /// An org that gives these answers, then success without end.
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Org {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers = answers.into_iter().collect();
        let state = Arc::new(Mutex::new(State { answers, instance_url: Some(url.clone()), ..State::default() }));
        let serving = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, serving.clone()));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let client = client(&url, &folder).await;
        Org { client, now: SystemTime::now(), state, _folder: folder }
    }

    /// Requests to the API, not those for tokens.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    pub fn tokens(&self) -> u32 {
        self.state.lock().unwrap().tokens
    }

    pub fn name_instance(&self, url: Option<&str>) {
        self.state.lock().unwrap().instance_url = url.map(str::to_owned);
    }

    pub fn keep_alive(&self) {
        self.state.lock().unwrap().keeps_alive = true;
    }

    pub fn answer_with(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.lock().unwrap().answers = answers.into_iter().collect();
    }
}

pub fn whole(status: u16, body: &str) -> Answer {
    Answer::Whole(status, body.to_owned())
}

pub fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::Whole(status, format!(r#"[{{"errorCode":"{code}","message":"{message}"}}]"#))
}

pub fn raw(bytes: impl Into<Vec<u8>>) -> Answer {
    Answer::Raw(bytes.into())
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let connection = {
        let mut state = state.lock().unwrap();
        state.connections += 1;
        state.connections
    };
    while let Some(seen) = read(&mut stream, connection).await {
        let answer = answer(seen, &mut state.lock().unwrap());
        let keeps_alive = state.lock().unwrap().keeps_alive && !matches!(answer, Answer::Raw(_));
        let bytes = match answer {
            Answer::Raw(bytes) => bytes,
            Answer::Whole(status, body) => head_and(status, &body, keeps_alive),
            Answer::Late(delay, status, body) => {
                tokio::time::sleep(delay).await;
                head_and(status, &body, keeps_alive)
            }
        };
        let _ = stream.write_all(&bytes).await;
        if !keeps_alive {
            break;
        }
    }
    let _ = stream.shutdown().await;
}

fn answer(seen: Seen, state: &mut State) -> Answer {
    if seen.path == "/services/oauth2/token" {
        state.tokens += 1;
        let instance = state.instance_url.as_ref().map(|url| format!(r#","instance_url":"{url}""#)).unwrap_or_default();
        let token = format!(r#"{{"access_token":"token-{}","token_type":"Bearer"{instance}}}"#, state.tokens);
        return whole(200, &token);
    }
    state.seen.push(seen);
    state.answers.pop_front().unwrap_or_else(|| whole(200, "{}"))
}

fn head_and(status: u16, body: &str, keeps_alive: bool) -> Vec<u8> {
    // An answer of 204 has no body, and says nothing of one.
    let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let kind = "content-type: application/json\r\nsforce-limit-info: api-usage=18/5000\r\n";
    let close = if keeps_alive { "" } else { "connection: close\r\n" };
    format!("HTTP/1.1 {status} X\r\n{kind}{close}{length}\r\n{body}").into_bytes()
}

async fn read(stream: &mut TcpStream, connection: u32) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let mut words = head.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Seen { connection, method, path, body: String::from_utf8(bytes[end..].to_vec()).ok()?, head })
}

async fn client(url: &str, folder: &tempfile::TempDir) -> Client {
    let secrets = Secrets::File(folder.path().join("secrets.json"));
    secrets.create("consumer-secret", &"s3cret".to_owned().into()).await.unwrap();
    let fetcher = Fetcher::with_loopback(None);
    let keys = SealingKeys::Local(secrets.clone());
    let grants = Grants::new(dynamodb().await, "state", keys, secrets, fetcher.clone());
    let record = SalesforceOrg {
        name: ConnectionName::parse("sales").unwrap(),
        login_url: url.to_owned(),
        instance_url: None,
        api_version: "v66.0".to_owned(),
        flow: Flow::ClientCredentials { client_auth: ClientAuth::Post },
        client_id: "consumer-key".to_owned(),
        secret_id: Some("consumer-secret".to_owned()),
        created_at: 0,
    };
    Client::new(&record, grants, fetcher).unwrap()
}

pub async fn dynamodb() -> aws_sdk_dynamodb::Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    let client = AwsClients::new(&AwsSettings::local(url)).dynamodb;
    let attribute = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    client
        .create_table()
        .table_name("state")
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk"))
        .attribute_definitions(attribute("sk"))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .send()
        .await
        .unwrap();
    client
}
