//! Data keys from a KMS on this machine, which keeps in the wrapped key what it needs.

use std::sync::{Arc, Mutex};

use aws_clients::AwsSettings;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use oauth_client::{GrantError, Kms, NewGrant, SealingKeys};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::authorization_server::State;
use crate::world::World;

/// The data key that it makes and unwraps; wrapped it is the connection's name.
pub const DATA_KEY: [u8; 32] = [5; 32];

#[derive(Clone, Default)]
pub struct FakeKms {
    url: String,
    calls: Arc<Mutex<Vec<(String, String)>>>,
    fails: Arc<Mutex<Vec<(u16, &'static str)>>>,
}

impl FakeKms {
    pub async fn start() -> FakeKms {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let kms = FakeKms { url: format!("http://{}/", listener.local_addr().unwrap()), ..FakeKms::default() };
        let answering = kms.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kms = answering.clone();
                let service = service_fn(move |request| {
                    let kms = kms.clone();
                    async move { Ok::<_, hyper::Error>(kms.answer(request).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        kms
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let (target, authorization) = (header("x-amz-target"), header("authorization"));
        self.calls.lock().unwrap().push((target.clone(), authorization));
        let call: Value = serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap();
        let (status, body) = match self.fails.lock().unwrap().pop() {
            Some((status, kind)) => (status, json!({"__type": format!("com.amazonaws.kms#{kind}")})),
            None => answer(&target, &call),
        };
        Response::builder().status(status).body(Full::from(body.to_string())).unwrap()
    }

    pub fn keys(&self) -> SealingKeys {
        let kms = Kms::new(&AwsSettings::local("http://127.0.0.1:1"), Some(self.url.clone()));
        SealingKeys::Kms { kms, key_id: "alias/northstar".to_owned() }
    }

    fn targets(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|(target, _)| target.clone()).collect()
    }
}

fn answer(target: &str, call: &Value) -> (u16, Value) {
    let context = call["EncryptionContext"]["connection"].as_str().unwrap();
    let plain = BASE64_STANDARD.encode(DATA_KEY);
    match target {
        "TrentService.GenerateDataKey" if call["KeySpec"] == "AES_256" && call["KeyId"] == "alias/northstar" => {
            (200, json!({"Plaintext": plain, "CiphertextBlob": BASE64_STANDARD.encode(context)}))
        }
        "TrentService.Decrypt" if call["CiphertextBlob"] == BASE64_STANDARD.encode(context) => {
            (200, json!({ "Plaintext": plain }))
        }
        _ => (400, json!({"__type": "InvalidCiphertextException"})),
    }
}

async fn connect(world: &World, keys: SealingKeys) -> Result<(), GrantError> {
    let refresh_token = Some("first".to_owned().into());
    let grant =
        NewGrant { refresh_token, access_token: None, expires_at: None, unverified_instance_url: None, identity: None };
    world.instance_with(keys).put(&world.connection, grant, world.now).await
}

#[tokio::test]
async fn a_refresh_needs_kms_only_to_open_the_record_and_the_key_is_remembered() {
    let state = State { refresh_token: "first".to_owned(), rotates: true, expires_in: Some(600), ..State::default() };
    let world = World::new(state).await;
    let kms = FakeKms::start().await;
    connect(&world, kms.keys()).await.unwrap();
    let instance = world.instance_with(kms.keys());
    for seconds in [0, 601, 1_202] {
        world.token_after(&instance, seconds).await.unwrap();
    }
    assert_eq!(kms.targets(), ["TrentService.GenerateDataKey", "TrentService.Decrypt"]);
    let (_, authorization) = kms.calls.lock().unwrap()[0].clone();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=local/"), "{authorization}");
    assert!(authorization.contains("/us-east-1/kms/aws4_request"), "{authorization}");
    assert!(authorization.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target"), "{authorization}");
}

#[tokio::test]
async fn a_wrapped_key_that_kms_does_not_know_is_damage_and_an_outage_is_none() {
    let world = World::new(State { refresh_token: "first".to_owned(), ..State::default() }).await;
    let kms = FakeKms::start().await;
    connect(&world, kms.keys()).await.unwrap();

    kms.fails.lock().unwrap().push((400, "InvalidCiphertextException"));
    let outcome = world.token(&world.instance_with(kms.keys())).await;
    assert_eq!(outcome, Err(GrantError::Damaged("sales".to_owned())));

    for (times, kind) in [(1, "AccessDeniedException"), (3, "KMSInternalException")] {
        kms.fails.lock().unwrap().extend([(if times == 1 { 400 } else { 500 }, kind)].repeat(times));
        let outcome = world.token(&world.instance_with(kms.keys())).await;
        assert!(matches!(outcome, Err(GrantError::Unavailable { .. })), "{kind}: {outcome:?}");
    }
    assert_eq!(world.server.requests(), 0, "no refresh token is used up");

    kms.fails.lock().unwrap().extend([(500, "KMSInternalException")].repeat(2));
    assert_eq!(world.token(&world.instance_with(kms.keys())).await.unwrap(), "00D!access-1");
}
