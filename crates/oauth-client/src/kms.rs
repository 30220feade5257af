//! Data keys from AWS KMS (API version 2014-11-01, AWS JSON 1.1): two requests, signed with the parts that the other AWS
//! clients link anyway (ARCHITECTURE.md, decisions). Nothing is made before the first request.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_clients::AwsSettings;
use aws_clients::clients::AMAZON_TRUST_SERVICES;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use registry::ConnectionName;
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Serialize};

/// How long one request may take.
const ATTEMPT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);
/// Both calls are safe to repeat: neither changes anything.
const MAX_ANSWER: usize = 64 * 1024;

/// A client of KMS.
#[derive(Clone)]
pub struct Kms {
    settings: AwsSettings,
    url: String,
    connector: Arc<OnceLock<Connector>>,
}

/// Why KMS gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// The wrapped key is none of this KMS key and connection.
    #[error("KMS does not know the wrapped key")]
    Ciphertext,
    /// KMS refuses, with its error type.
    #[error("KMS refuses: {0}")]
    Refused(String),
    /// No answer, or none that can be read.
    #[error("KMS does not answer")]
    NoAnswer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A new data key.
pub struct GeneratedKey {
    /// As KMS wrapped it.
    pub wrapped: Vec<u8>,
    /// Its 32 bytes.
    pub plain: PlainKey,
}

/// The bytes of a data key.
pub struct PlainKey(SecretSlice<u8>);

impl AsRef<[u8]> for PlainKey {
    fn as_ref(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Call<'a> {
    key_id: &'a str,
    encryption_context: EncryptionContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_spec: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext_blob: Option<String>,
}

/// Bound to the wrapped key, and visible in CloudTrail.
#[derive(Serialize)]
struct EncryptionContext<'a> {
    connection: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    plaintext: String,
    #[serde(default)]
    ciphertext_blob: String,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(rename = "__type", default)]
    kind: String,
}

impl Kms {
    /// A client; `url` is another address for KMS (`AWS_ENDPOINT_URL_KMS`).
    pub fn new(settings: &AwsSettings, url: Option<String>) -> Kms {
        let url = url.unwrap_or_else(|| format!("https://kms.{}.amazonaws.com/", settings.region));
        Kms { settings: settings.clone(), url, connector: Arc::default() }
    }

    /// A new data key under the KMS key `key_id`, for a connection.
    ///
    /// # Errors
    /// [`KmsError`].
    pub async fn generate_data_key(&self, key_id: &str, connection: &ConnectionName) -> Result<GeneratedKey, KmsError> {
        let encryption_context = EncryptionContext { connection: connection.as_str() };
        let call = Call { key_id, encryption_context, key_spec: Some("AES_256"), ciphertext_blob: None };
        let outcome = self.call("TrentService.GenerateDataKey", &call).await?;
        Ok(GeneratedKey { wrapped: bytes(&outcome.ciphertext_blob)?, plain: plain(&outcome.plaintext)? })
    }

    /// The data key that was wrapped for a connection.
    ///
    /// # Errors
    /// [`KmsError`].
    pub async fn decrypt(
        &self,
        key_id: &str,
        connection: &ConnectionName,
        wrapped: &[u8],
    ) -> Result<PlainKey, KmsError> {
        let encryption_context = EncryptionContext { connection: connection.as_str() };
        let ciphertext_blob = Some(BASE64_STANDARD.encode(wrapped));
        let call = Call { key_id, encryption_context, key_spec: None, ciphertext_blob };
        plain(&self.call("TrentService.Decrypt", &call).await?.plaintext)
    }

    async fn call(&self, target: &'static str, call: &Call<'_>) -> Result<Outcome, KmsError> {
        let body = serde_json::to_vec(call).map_err(no_answer)?;
        let mut attempt = 1;
        loop {
            let sent = tokio::time::timeout(ATTEMPT, self.send(target, &body)).await;
            match sent.unwrap_or_else(|elapsed| Err(no_answer(elapsed))) {
                Err(error) if attempt < ATTEMPTS && is_transient(&error) => {
                    tokio::time::sleep(PAUSE * attempt).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn send(&self, target: &'static str, body: &[u8]) -> Result<Outcome, KmsError> {
        let request = self.signed(target, body, SystemTime::now())?;
        let response = self.connector().call(request).await.map_err(no_answer)?;
        let success = response.status().as_u16() == 200;
        let answer = read(response.into_body()).await?;
        if success {
            return serde_json::from_slice(&answer).map_err(no_answer);
        }
        let refusal: Refusal = serde_json::from_slice(&answer).unwrap_or_default();
        // With or without the name of the service before it.
        match refusal.kind.rsplit('#').next().unwrap_or_default() {
            "InvalidCiphertextException" | "IncorrectKeyException" => Err(KmsError::Ciphertext),
            kind => Err(KmsError::Refused(kind.chars().filter(char::is_ascii_alphanumeric).take(64).collect())),
        }
    }

    fn signed(&self, target: &'static str, body: &[u8], now: SystemTime) -> Result<HttpRequest, KmsError> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let identity = self.settings.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.settings.region)
            .name("kms")
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(no_answer)?
            .into();
        let signable = SignableRequest::new("POST", &self.url, headers.into_iter(), SignableBody::Bytes(body));
        let (instructions, _) = sign(signable.map_err(no_answer)?, &parameters).map_err(no_answer)?.into_parts();
        let (signature, _) = instructions.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST").map_err(no_answer)?;
        request.set_uri(self.url.as_str()).map_err(no_answer)?;
        for (name, value) in headers {
            request.headers_mut().insert(name, value);
        }
        for header in signature {
            request.headers_mut().try_insert(header.name(), header.value().to_owned()).map_err(no_answer)?;
        }
        Ok(request)
    }

    fn connector(&self) -> &Connector {
        self.connector.get_or_init(|| {
            let pem = self.settings.ca_bundle.as_deref().unwrap_or(AMAZON_TRUST_SERVICES);
            let trust_store = TrustStore::empty().with_pem_certificate(pem.as_bytes());
            Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .tls_context(TlsContext::builder().with_trust_store(trust_store).build().unwrap_or_default())
                // Requests are hours apart.
                .pool_max_idle_per_host(0)
                .build()
        })
    }
}

async fn read(body: SdkBody) -> Result<Vec<u8>, KmsError> {
    let mut stream = ByteStream::new(body);
    let mut answer = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(no_answer)?;
        if answer.len() + chunk.len() > MAX_ANSWER {
            return Err(no_answer(std::io::Error::other("the answer is too large")));
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
}

fn is_transient(error: &KmsError) -> bool {
    match error {
        KmsError::Ciphertext => false,
        KmsError::NoAnswer(_) => true,
        KmsError::Refused(kind) => {
            matches!(
                kind.as_str(),
                "" | "ThrottlingException"
                    | "KMSInternalException"
                    | "DependencyTimeoutException"
                    | "KeyUnavailableException"
            )
        }
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, KmsError> {
    BASE64_STANDARD.decode(text).map_err(no_answer)
}

fn plain(text: &str) -> Result<PlainKey, KmsError> {
    Ok(PlainKey(SecretSlice::from(bytes(text)?)))
}

fn no_answer(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> KmsError {
    KmsError::NoAnswer(error.into())
}
