//! A stack in ministack: tables, secrets and outputs as the template makes them, and Secrets Manager's part in a rotation,
//! which ministack does not play.

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use aws_clients::{AwsClients, AwsSettings, SecretStage, Secrets};
use aws_sdk_cloudformation as cloudformation;
use aws_sdk_secretsmanager as secrets_manager;
use black_box::binary;
use black_box::ministack::Ministack;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use registry::{ClientId, PublicUrl};
use rotate::{RotationEvent, Step};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

const ROTATE: &str = "arn:aws:lambda:us-east-1:000000000000:function:northstar-rotate";

static MINISTACK: LazyLock<Ministack> = LazyLock::new(Ministack::start);

/// See the module's head.
pub struct Deployed {
    pub name: String,
    pub outputs: BTreeMap<&'static str, String>,
    pub aws: AwsClients,
    pub secrets: Secrets,
    /// What became of the trials that Secrets Manager makes when rotation is turned on.
    pub trials: Arc<Mutex<Vec<Result<(), String>>>>,
    front: String,
}

impl Deployed {
    pub async fn new() -> Deployed {
        Deployed::at("https://mcp.example.com").await
    }

    /// A stack whose public URL is another one.
    pub async fn at(public_url: &str) -> Deployed {
        let name = format!("s{}", ClientId::generate().to_string().replace(['_', '-'], "x"));
        let outputs = outputs(&name, public_url);
        let sdk = cloudformation_client();
        let template = template(&name, &outputs).to_string();
        sdk.create_stack().stack_name(&name).template_body(template).send().await.unwrap();
        for attempt in 0.. {
            let described = sdk.describe_stacks().stack_name(&name).send().await.unwrap();
            let status = described.stacks()[0].stack_status().unwrap().as_str().to_owned();
            if status == "CREATE_COMPLETE" {
                break;
            }
            assert!(status == "CREATE_IN_PROGRESS" && attempt < 100, "{status}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let aws = AwsClients::new(&settings());
        let secrets = Secrets::SecretsManager(aws.secrets_manager.clone());
        let trials = Arc::new(Mutex::new(Vec::new()));
        let driver = Arc::new(Driver {
            app: rotate::App::new(config(&outputs, &aws, &secrets)),
            secrets: secrets.clone(),
            sdk: (**aws.secrets_manager).clone(),
            trials: trials.clone(),
        });
        Deployed { front: start(driver).await, name, outputs, aws, secrets, trials }
    }

    /// Runs a command on the stack, with more in its environment.
    pub fn run_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
        command(&self.front, environment, &[arguments, &["--stack", &self.name]].concat())
    }

    /// Runs a command that has to end well; its JSON, and what it says beside it.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> (Value, String) {
        let output = self.run_with(&[], &[arguments, &["--json"]].concat());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        (serde_json::from_slice(&output.stdout).unwrap(), errors)
    }

    /// Runs a command that has to end with a code; what it says.
    #[track_caller]
    pub fn refused(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run_with(&[], arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    pub async fn value(&self, secret_id: &str, stage: SecretStage) -> Option<String> {
        use secrecy::ExposeSecret;
        let version = self.secrets.get(secret_id, stage).await.unwrap();
        version.map(|version| version.value.expose_secret().to_owned())
    }

    pub fn client_secret_id(&self, client_id: &str) -> String {
        format!("{}{client_id}", self.outputs["ClientSecretPrefix"])
    }
}

/// Runs `northstar` as somebody whose AWS is at `url`.
pub fn command(url: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(binary("northstar"))
        .args(arguments)
        .env_clear()
        .envs([
            ("AWS_ENDPOINT_URL", url),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ])
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("northstar starts")
}

/// Where ministack is.
pub fn ministack() -> &'static str {
    &MINISTACK.url
}

fn settings() -> AwsSettings {
    AwsSettings { secrets_manager_url: Some(MINISTACK.url.clone()), ..AwsSettings::local(&MINISTACK.url) }
}

pub fn cloudformation_client() -> cloudformation::Client {
    let secrets = AwsClients::new(&settings()).secrets_manager;
    let config = cloudformation::Config::builder()
        .behavior_version(cloudformation::config::BehaviorVersion::latest())
        .region(secrets.config().region().cloned())
        .credentials_provider(cloudformation::config::Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(&MINISTACK.url);
    cloudformation::Client::from_conf(config.build())
}

fn outputs(stack: &str, public_url: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("PublicUrl", public_url.to_owned()),
        ("ConfigTableName", format!("{stack}-config")),
        ("StateTableName", format!("{stack}-state")),
        ("OrdersTableName", format!("{stack}-orders")),
        ("LoyaltyTableName", format!("{stack}-loyalty")),
        ("SigningKeysSecretName", format!("{stack}/signing-keys")),
        ("StateKeySecretName", format!("{stack}/state-key")),
        ("ClientSecretPrefix", format!("{stack}/clients/")),
        ("ConnectionSecretPrefix", format!("{stack}/connections/")),
        ("GrantKeyArn", format!("alias/{stack}-grants")),
        ("RotateFunctionArn", ROTATE.to_owned()),
        ("TokenLogGroupName", format!("/aws/lambda/{stack}-token")),
        ("McpLogGroupName", format!("/aws/lambda/{stack}-mcp")),
        ("ConnectLogGroupName", format!("/aws/lambda/{stack}-connect")),
        ("RotateLogGroupName", format!("/aws/lambda/{stack}-rotate")),
    ])
}

fn template(stack: &str, outputs: &BTreeMap<&str, String>) -> Value {
    let table = |name: &str, keys: &[&str]| {
        let attributes: Vec<Value> =
            keys.iter().map(|key| json!({ "AttributeName": key, "AttributeType": "S" })).collect();
        let kinds = keys.iter().zip(["HASH", "RANGE"]);
        let schema: Vec<Value> = kinds.map(|(key, kind)| json!({ "AttributeName": key, "KeyType": kind })).collect();
        json!({ "Type": "AWS::DynamoDB::Table", "Properties": {
            "TableName": format!("{stack}-{name}"), "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": attributes, "KeySchema": schema,
        } })
    };
    let secret = |name: &str, value: Value| {
        let mut properties = json!({ "Name": format!("{stack}/{name}") });
        properties.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        json!({ "Type": "AWS::SecretsManager::Secret", "Properties": properties })
    };
    let group = |name: &str| json!({ "Type": "AWS::Logs::LogGroup", "Properties": { "LogGroupName": format!("/aws/lambda/{stack}-{name}") } });
    let outputs: serde_json::Map<String, Value> =
        outputs.iter().map(|(name, value)| ((*name).to_owned(), json!({ "Value": value }))).collect();
    json!({
        "Resources": {
            "Config": table("config", &["pk", "sk"]),
            "State": table("state", &["pk", "sk"]),
            "Orders": table("orders", &["order_id"]),
            "Loyalty": table("loyalty", &["customer_id"]),
            "SigningKeys": secret("signing-keys", json!({ "SecretString": "[]" })),
            "StateKey": secret("state-key", json!({ "GenerateSecretString": { "PasswordLength": 43, "ExcludePunctuation": true } })),
            "GrantKey": { "Type": "AWS::KMS::Key", "Properties": { "KeyPolicy": { "Version": "2012-10-17", "Statement": [] } } },
            "GrantKeyAlias": { "Type": "AWS::KMS::Alias", "Properties": {
                "AliasName": format!("alias/{stack}-grants"), "TargetKeyId": { "Ref": "GrantKey" },
            } },
            "TokenLogs": group("token"),
            "McpLogs": group("mcp"),
            "ConnectLogs": group("connect"),
            "RotateLogs": group("rotate"),
        },
        "Outputs": outputs,
    })
}

fn config(outputs: &BTreeMap<&str, String>, aws: &AwsClients, secrets: &Secrets) -> rotate::Config {
    rotate::Config {
        public_url: PublicUrl::parse("http://127.0.0.1").unwrap(),
        config_table: outputs["ConfigTableName"].clone(),
        state_table: outputs["StateTableName"].clone(),
        signing_keys: outputs["SigningKeysSecretName"].clone(),
        client_secret_prefix: outputs["ClientSecretPrefix"].clone(),
        secrets: secrets.clone(),
        aws: aws.clone(),
        key_lead: rotate::config::KEY_LEAD,
        secret_settles_in: Duration::ZERO,
        token_patience: Duration::ZERO,
    }
}

/// Secrets Manager as it drives a rotation.
struct Driver {
    app: rotate::App,
    secrets: Secrets,
    sdk: secrets_manager::Client,
    trials: Arc<Mutex<Vec<Result<(), String>>>>,
}

impl Driver {
    /// What `RotateSecret` does beside what ministack does of it.
    async fn rotate(self: Arc<Driver>, request: Value) -> Value {
        let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        let id = text("SecretId");
        if !text("RotationLambdaARN").is_empty() {
            assert_eq!((text("RotationLambdaARN").as_str(), &request["RotationRules"]), (ROTATE, &Value::Null));
            // Ministack turns rotation on, and makes a second version of the same value.
            self.sdk.rotate_secret().secret_id(&id).rotation_lambda_arn(ROTATE).send().await.unwrap();
            self.secrets.drop_label(&id, SecretStage::Previous).await.unwrap();
        }
        let version = text("ClientRequestToken");
        let put = self.sdk.put_secret_value().secret_id(&id).client_request_token(&version);
        put.version_stages("AWSPENDING").send().await.unwrap();
        if request["RotateImmediately"] == false {
            let tried = self.step(&id, &version, Step::TestSecret).await;
            self.trials.lock().unwrap().push(tried);
            self.secrets.drop_label(&id, SecretStage::Pending).await.unwrap();
        } else {
            let (driver, id, version) = (self.clone(), id.clone(), version.clone());
            // There is no token endpoint to try a secret at.
            tokio::spawn(async move {
                for step in [Step::CreateSecret, Step::SetSecret, Step::FinishSecret] {
                    if driver.step(&id, &version, step).await.is_err() {
                        return;
                    }
                }
            });
        }
        json!({ "ARN": id, "Name": id, "VersionId": version })
    }

    async fn step(&self, id: &str, version: &str, step: Step) -> Result<(), String> {
        let event = RotationEvent { step, secret_id: id.to_owned(), client_request_token: version.to_owned() };
        rotate::step(&self.app, &event, SystemTime::now()).await.map_err(|error| error.to_string())
    }
}

/// Ministack, but for `RotateSecret`. Its URL; it ends with the runtime.
async fn start(driver: Arc<Driver>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let driver = driver.clone();
            let service = service_fn(move |request| pass(request, driver.clone()));
            tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

async fn pass(
    request: Request<Incoming>,
    driver: Arc<Driver>,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    if request.headers().get("x-amz-target").is_some_and(|target| target == "secretsmanager.RotateSecret") {
        let body = request.into_body().collect().await?.to_bytes();
        let answer = driver.rotate(serde_json::from_slice(&body)?).await;
        let answer = Full::new(Bytes::from(answer.to_string()));
        return Ok(Response::builder().header("content-type", "application/x-amz-json-1.1").body(answer)?);
    }
    let stream = TcpStream::connect(MINISTACK.url.strip_prefix("http://").unwrap()).await?;
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    Ok(Response::from_parts(parts, Full::new(body.collect().await?.to_bytes())))
}
