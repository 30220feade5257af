//! The programs that ship, under the Runtime API: every event, hostile requests, and what may be wrong around them.

use std::collections::HashMap;
use std::time::Duration;

use aws_clients::{AwsClients, AwsSettings, SecretStage, Secrets};
use aws_sdk_dynamodb::types::AttributeValue;
use black_box::functions::environment;
use black_box::lambda::Lambda;
use black_box::ministack::Ministack;
use black_box::proxy::{Mode, Proxy};
use black_box::{Server, event, event_files, repository};
use local::home::{CLIENT_SECRET_PREFIX, SIGNING_KEYS, STATE_KEY};
use local::store::{CONFIG_TABLE, ORDERS_TABLE};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::answering::answering;
use crate::requests::{Callers, ORDER, Request, to_mcp, to_token};
use crate::run::{self, Run};

/// What a function has in its environment, and what makes it talk; the last of two values counts.
pub fn talkative(run: &Run, function: &str, server: &Server) -> HashMap<&'static str, String> {
    environment(function, server).into_iter().chain(run::environment(run)).collect()
}

/// A running function, and all that it says.
pub struct Program<'a> {
    what: String,
    run: &'a Run,
    lambda: Lambda,
}

impl<'a> Program<'a> {
    async fn start(
        run: &'a Run,
        what: &str,
        function: &str,
        environment: HashMap<&'static str, String>,
    ) -> Program<'a> {
        Program::new(run, what, Lambda::start_with(function, environment.into_iter().collect()).await)
    }

    /// One that runs.
    pub fn new(run: &'a Run, what: &str, lambda: Lambda) -> Program<'a> {
        Program { what: what.to_owned(), run, lambda }
    }

    /// Sends an event; an answer that is no success is captured, and so are the headers of any other.
    pub async fn invoke(&self, what: &str, event: &Value) -> (u16, String) {
        self.invoke_within(what, event, Duration::from_secs(29)).await
    }

    async fn invoke_within(&self, what: &str, event: &Value, time: Duration) -> (u16, String) {
        let mut answer = self.lambda.invoke_within(&event.to_string(), time).await;
        let status = answer["statusCode"].as_u64().unwrap_or_default() as u16;
        let body = answer["body"].as_str().unwrap_or_default().to_owned();
        if status == 200 {
            answer["body"].take();
        }
        self.run.capture(format!("{}: the answer to {what}", self.what), answer.to_string());
        (status, body)
    }

    async fn send(&self, server: &Server, requests: &[Request]) {
        for request in requests {
            let (status, body) = self.invoke(request.what, &request.event(server)).await;
            request.check(status, &body);
        }
    }

    /// What it has written.
    pub fn log(&self) -> String {
        self.lambda.log()
    }

    /// Captures what it wrote and reported.
    pub fn end(self) {
        self.run.capture(format!("{}: its output", self.what), self.log());
        self.run.capture(format!("{}: its reports", self.what), self.lambda.reported().join("\n"));
    }
}

/// `token` and `mcp` with every file of `events/` and every request with a canary.
pub async fn every_event(run: &Run, server: &Server, callers: &Callers) {
    for (function, requests) in [("token", to_token(run, server, callers)), ("mcp", to_mcp(run, server, callers))] {
        let program = Program::start(run, function, function, talkative(run, function, server)).await;
        for file in event_files(function) {
            program.invoke(&file, &event(&format!("{function}/{file}"), server, &callers.access_token)).await;
        }
        program.send(server, &requests).await;
        program.end();
    }
}

/// The tables are silent or gone.
pub async fn without_a_store(run: &Run, function: &str, server: &Server, requests: Vec<Request>) {
    let proxy = Proxy::start(&server.dynamodb_url(), Mode::Gone);
    let mut environment = talkative(run, function, server);
    environment.insert("AWS_ENDPOINT_URL_DYNAMODB", proxy.url.clone());
    let program = Program::start(run, "without a store", function, environment).await;
    for request in requests.iter().take(4) {
        program.invoke(request.what, &request.event(server)).await;
    }
    proxy.set(Mode::Pass);
    program.invoke(requests[0].what, &requests[0].event(server)).await;
    proxy.set(Mode::Silent);
    for request in requests.iter().filter(|request| request.what.starts_with("an unknown")).take(2) {
        program.invoke_within(request.what, &request.event(server), Duration::from_millis(1_300)).await;
    }
    proxy.set(Mode::Gone);
    assert!(program.log().contains("_unavailable"), "{}", program.log());
    program.end();
}

/// Records and secrets that are not what we wrote.
pub async fn damaged(run: &Run, server: &Server, callers: &Callers) {
    let dynamodb = AwsClients::new(&AwsSettings::local(server.dynamodb_url())).dynamodb;
    // Which member is wrong may be told.
    let record = [("pk", "CLIENT#damaged"), ("sk", "RECORD"), ("client_id", "damaged"), ("status", "wrong")];
    let record = record.map(|(name, value)| (name, value.to_owned()));
    let members = ["name", "secret_id", "created_by"].map(|name| (name, run.marker("damaged secret")));
    let item = record.into_iter().chain(members).map(|(name, value)| (name.to_owned(), AttributeValue::S(value)));
    let put = dynamodb.put_item().table_name(CONFIG_TABLE).set_item(Some(item.collect()));
    put.send().await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let marker = || run.marker("damaged secret");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", marker());
    let version = |value: Value| json!({ "v": { "value": value, "stages": ["AWSCURRENT"] } });
    let whole: Value = serde_json::from_slice(&std::fs::read(server.home().join("secrets.json")).unwrap()).unwrap();
    let with_keys = |keys: String| {
        let mut file = whole.clone();
        (file[SIGNING_KEYS], file[STATE_KEY]) = (version(json!(keys)), version(json!(marker())));
        file.to_string()
    };
    let key = |key: Value| with_keys(json!([key]).to_string());
    let files = [
        format!("\"{}", marker()),
        json!([marker()]).to_string(),
        json!({ SIGNING_KEYS: marker() }).to_string(),
        json!({ SIGNING_KEYS: { "v": { "value": marker(), "stages": [marker()] } } }).to_string(),
        with_keys(marker()),
        with_keys(json!([marker()]).to_string()),
        key(json!({ "kid": "k", "private_key": pem, "not_before": 0 })),
        key(json!({ "kid": "k", "private_key": [pem], "not_before": marker() })),
    ];
    let client = post_secret("damaged", &marker());
    let requests = to_token(run, server, callers);
    for (index, content) in files.iter().enumerate() {
        let path = folder.path().join(format!("{index}.json"));
        std::fs::write(&path, content).unwrap();
        for function in ["token", "mcp", "rotate"] {
            let mut environment = talkative(run, function, server);
            environment.insert("NORTHSTAR_SECRETS_FILE", path.display().to_string());
            let program = Program::start(run, &format!("damaged secrets {index}"), function, environment).await;
            match function {
                "token" => {
                    let (status, _) = program.invoke("a right secret", &requests[0].event(server)).await;
                    assert_eq!(status, 503, "{index}");
                    program
                        .invoke(
                            "a damaged client",
                            &Request { body: client.clone(), ..request(&requests) }.event(server),
                        )
                        .await;
                    program.invoke("jwks", &event("token/jwks", server, "")).await;
                }
                "mcp" => {
                    for request in to_mcp(run, server, callers).iter().filter(|request| request.what.contains("cursor"))
                    {
                        program.invoke(request.what, &request.event(server)).await;
                    }
                }
                _ => {
                    let event = step("create_secret", SIGNING_KEYS, "00000000-0000-4000-8000-000000000000");
                    program.invoke("createSecret", &event).await;
                    assert!(!program.lambda.reported().is_empty(), "{index}: createSecret cannot work");
                }
            }
            program.end();
        }
    }

    // A list that is damaged is found when a step reads it.
    let path = folder.path().join("rotating.json");
    std::fs::write(&path, with_keys(marker())).unwrap();
    let secrets = Secrets::File(path.clone());
    let version_id = secrets.begin_rotation(SIGNING_KEYS).await.unwrap();
    let mut environment = talkative(run, "rotate", server);
    environment.insert("NORTHSTAR_SECRETS_FILE", path.display().to_string());
    let program = Program::start(run, "rotation of a damaged secret", "rotate", environment).await;
    program.invoke("createSecret", &step("create_secret", SIGNING_KEYS, &version_id)).await;
    assert!(program.lambda.reported()[0].contains("rotation_damaged"), "{:?}", program.lambda.reported());
    secrets.put_pending(SIGNING_KEYS, &version_id, &SecretString::from(marker())).await.unwrap();
    for name in ["set_secret", "test_secret", "finish_secret"] {
        program.invoke(name, &step(name, SIGNING_KEYS, &version_id)).await;
    }
    assert_eq!(program.lambda.reported().len(), 4);
    program.end();
}

/// An order of the wrong types, and one that is all right.
pub async fn put_orders(run: &Run, server: &Server) {
    let dynamodb = AwsClients::new(&AwsSettings::local(server.dynamodb_url())).dynamodb;
    for (id, wrap) in [
        ("canary-damaged", (|value| AttributeValue::L(vec![AttributeValue::S(value)])) as fn(String) -> AttributeValue),
        (ORDER, AttributeValue::S),
    ] {
        let members = ["customer_name", "status", "carrier", "eta", "email"].map(|name| (name, run.marker("order")));
        let members = members.into_iter().map(|(name, value)| (name.to_owned(), wrap(value)));
        let item = members.chain([("order_id".to_owned(), AttributeValue::S(id.to_owned()))]).collect();
        dynamodb.put_item().table_name(ORDERS_TABLE).set_item(Some(item)).send().await.unwrap();
    }
}

fn post_secret(client_id: &str, secret: &str) -> Vec<u8> {
    format!("grant_type=client_credentials&client_id={client_id}&client_secret={secret}").into_bytes()
}

/// The first of them, to be changed.
fn request(requests: &[Request]) -> Request {
    let Request { what, method, path, query, headers, good, .. } = &requests[0];
    let (path, query, headers) = (path.clone(), query.clone(), headers.clone());
    Request { what, method, path, query, headers, body: Vec::new(), good: *good }
}

/// A file of `events/rotate`, filled in.
fn step(file: &str, secret_id: &str, version_id: &str) -> Value {
    let path = repository().join("events/rotate").join(file).with_extension("json");
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text.replace("{{secret_id}}", secret_id).replace("{{version_id}}", version_id)).unwrap()
}

/// Every event of a rotation, over the file of a home.
pub async fn rotation_over_the_file(run: &Run, server: &Server, client_id: &str) {
    let secrets = Secrets::File(server.home().join("secrets.json"));
    let program = Program::start(run, "rotation", "rotate", talkative(run, "rotate", server)).await;
    for secret_id in [format!("{CLIENT_SECRET_PREFIX}{client_id}"), SIGNING_KEYS.to_owned()] {
        let version_id = secrets.begin_rotation(&secret_id).await.unwrap();
        run.plant_secrets_of(server.home());
        let broken = event_files("rotate").into_iter().filter(|file| file.starts_with("broken_"));
        let steps = ["finish_secret", "create_secret", "create_secret", "set_secret", "test_secret", "finish_secret"];
        for file in broken.chain(steps.map(str::to_owned)) {
            program.invoke(&file, &step(&file, &secret_id, &version_id)).await;
            run.plant_secrets_of(server.home());
        }
        let now = secrets.describe(&secret_id).await.unwrap().unwrap();
        assert_eq!(now.version_at(SecretStage::Current), Some(version_id.as_str()), "{:?}", program.lambda.reported());
    }
    let again = secrets.begin_rotation(&format!("{CLIENT_SECRET_PREFIX}{client_id}")).await.unwrap();
    program.invoke("another", &step("create_secret", &format!("{CLIENT_SECRET_PREFIX}{client_id}"), &again)).await;
    assert!(program.lambda.reported().last().unwrap().contains("rotation_refused"));
    run.plant_secrets_of(server.home());
    program.end();
}

/// The same over Secrets Manager, with a token endpoint that is not ours.
pub async fn rotation_over_secrets_manager(run: &Run, server: &Server, client_id: &str) {
    let ministack = tokio::task::spawn_blocking(Ministack::start).await.unwrap();
    let settings =
        AwsSettings { secrets_manager_url: Some(ministack.url.clone()), ..AwsSettings::local("http://127.0.0.1:1") };
    let sdk = AwsClients::new(&settings).secrets_manager;
    let secrets = Secrets::SecretsManager(sdk.clone());
    let token = json!({ "access_token": run.marker("access token"), "scope": "mcp.read" });
    let mut environment = talkative(run, "rotate", server);
    environment.remove("NORTHSTAR_SECRETS_FILE");
    environment.insert("AWS_ENDPOINT_URL_SECRETS_MANAGER", ministack.url.clone());
    environment.insert("NORTHSTAR_PUBLIC_URL", answering(200, token.to_string()).await);
    let program = Program::start(run, "rotation over Secrets Manager", "rotate", environment).await;

    let first = Secrets::File(server.home().join("secrets.json"));
    let keys = first.get(SIGNING_KEYS, SecretStage::Current).await.unwrap().unwrap().value;
    let secret = SecretString::from(run.marker("client secret, current"));
    let damaged = SecretString::from(run.marker("damaged secret"));
    let client = format!("{CLIENT_SECRET_PREFIX}{client_id}");
    for (secret_id, value, works) in
        [(client.as_str(), &secret, true), (SIGNING_KEYS, &damaged, false), (SIGNING_KEYS, &keys, true)]
    {
        secrets.delete(secret_id).await.unwrap();
        assert!(secrets.create(secret_id, value).await.unwrap());
        let function = "arn:aws:lambda:us-east-1:000000000000:function:rotate";
        sdk.rotate_secret().secret_id(secret_id).rotation_lambda_arn(function).send().await.unwrap();
        for stage in [SecretStage::Previous, SecretStage::Pending] {
            let version = secrets.describe(secret_id).await.unwrap().unwrap();
            if let Some(version) = version.version_at(stage) {
                secrets.move_stage(secret_id, stage, Some(version), None).await.unwrap();
            }
        }
        let version_id = format!("{:08x}-0000-4000-8000-{:012x}", fastrand::u32(..), fastrand::u64(..1 << 48));
        let put = sdk.put_secret_value().secret_id(secret_id).client_request_token(&version_id);
        put.version_stages("AWSPENDING").send().await.unwrap();
        for file in ["finish_secret", "create_secret", "set_secret", "test_secret", "finish_secret"] {
            program.invoke(file, &step(file, secret_id, &version_id)).await;
            if !works {
                continue;
            }
            for stage in [SecretStage::Pending, SecretStage::Current, SecretStage::Previous] {
                match secrets.get(secret_id, stage).await.unwrap() {
                    Some(version) if secret_id == SIGNING_KEYS => run.plant_keys(version.value.expose_secret()),
                    Some(version) => drop(run.plant("client secret, pending", version.value.expose_secret())),
                    None => {}
                }
            }
        }
        let current = secrets.describe(secret_id).await.unwrap().unwrap();
        let is_new = current.version_at(SecretStage::Current) == Some(version_id.as_str());
        assert_eq!(is_new, works, "{secret_id}: {:?}", program.lambda.reported());
    }
    program.end();
}

/// A pending secret is tried at an endpoint that repeats what it is sent.
pub async fn test_at_an_echo(run: &Run, server: &Server, client_id: &str, secret: &str) {
    let client = local::Home::new(server.home()).open().await.unwrap();
    let id = registry::ClientId::parse(client_id).unwrap();
    let client = client.registry.client_now(&id).await.unwrap().unwrap();
    for body in [secret.to_owned(), json!({ "error": secret, "error_description": secret }).to_string()] {
        let url = registry::PublicUrl::parse(&answering(400, body).await).unwrap();
        let endpoint = rotate::token_request::TokenEndpoint::new(&url, Duration::ZERO);
        let refused = endpoint.accepts(&client, &SecretString::from(secret)).await.unwrap_err();
        run.capture("the error of testSecret", format!("{refused} {refused:?}"));
    }
}
