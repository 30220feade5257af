//! Clients with a key of their own (`private_key_jwt`), and what they sign.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use local::Home;
use registry::client::{DEFAULT_QUIET_PERIOD, DEFAULT_TOKEN_LIFETIME, NewClient};
use registry::{AssertionAudience, AuthMethod, ClientId, ClientKeys, ServerName};
use serde_json::{Value, json};

use crate::Server;
use crate::forge::{encode, now, pem};

/// A key pair for one algorithm.
pub struct KeyPair {
    /// The private key: PKCS#8 in PEM.
    pub pem: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// The public key, with `kid` and `alg`.
    pub jwk: Value,
    key: EncodingKey,
}

impl KeyPair {
    /// A new RSA key for RS256 or PS256.
    pub fn rsa(algorithm: Algorithm) -> KeyPair {
        let pem = access_token::SigningKey::generate_pem().unwrap();
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        KeyPair::new(pem, algorithm, key)
    }

    /// A new P-256 key for ES256.
    pub fn p256() -> KeyPair {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let pem = pem("PRIVATE KEY", pkcs8.as_ref());
        let key = EncodingKey::from_ec_pem(pem.as_bytes()).unwrap();
        KeyPair::new(pem, Algorithm::ES256, key)
    }

    /// A new Ed25519 key for EdDSA.
    pub fn ed25519() -> KeyPair {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        let pem = pem("PRIVATE KEY", pkcs8.as_ref());
        let key = EncodingKey::from_ed_pem(pem.as_bytes()).unwrap();
        KeyPair::new(pem, Algorithm::EdDSA, key)
    }

    fn new(pem: String, algorithm: Algorithm, key: EncodingKey) -> KeyPair {
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).unwrap();
        jwk.common.key_id = Some(jwk.thumbprint(ThumbprintHash::SHA256).unwrap());
        KeyPair { pem, algorithm, jwk: serde_json::to_value(jwk).unwrap(), key }
    }

    /// The registered name of its algorithm.
    pub fn alg(&self) -> &'static str {
        match self.algorithm {
            Algorithm::RS256 => "RS256",
            Algorithm::PS256 => "PS256",
            Algorithm::EdDSA => "EdDSA",
            _ => "ES256",
        }
    }

    /// A JWT with any header and any claims.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_with(self.algorithm, header, claims)
    }

    /// The same, with another algorithm of the key's family.
    pub fn sign_with(&self, algorithm: Algorithm, header: &Value, claims: &Value) -> String {
        self.sign_text(algorithm, &header.to_string(), claims.to_string())
    }

    /// The same, with texts that need not be JSON.
    pub fn sign_text(&self, algorithm: Algorithm, header: &str, claims: impl AsRef<[u8]>) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = crypto::sign(message.as_bytes(), &self.key, algorithm).unwrap();
        format!("{message}.{signature}")
    }

    /// The header of a good assertion.
    pub fn header(&self) -> Value {
        json!({ "typ": "client-authentication+jwt", "alg": self.alg(), "kid": self.jwk["kid"] })
    }
}

/// The claims of a good assertion; its `jti` is a new one every time.
pub fn assertion_claims(client_id: &str, audience: &str) -> Value {
    let now = now();
    json!({
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": now,
        "exp": now + 60,
        "jti": ClientId::generate().as_str(),
    })
}

impl Server {
    /// Registers a client with these keys and without a secret, after `change`; its id.
    pub async fn new_client_with_keys(&self, keys: &[&KeyPair], change: impl FnOnce(&mut NewClient)) -> String {
        let keys: Vec<&Value> = keys.iter().map(|key| &key.jwk).collect();
        let mut client = NewClient {
            client_id: ClientId::generate(),
            name: "Test".to_owned(),
            servers: vec![ServerName::default_server()],
            scopes: access_token::Scopes::READ,
            auth_methods: vec![AuthMethod::PrivateKeyJwt],
            keys: Some(ClientKeys::Jwks(json!({ "keys": keys }).to_string())),
            assertion_audience: AssertionAudience::default(),
            token_lifetime: DEFAULT_TOKEN_LIFETIME,
            token_limit: None,
            quiet_period: DEFAULT_QUIET_PERIOD,
            expires_at: None,
        };
        change(&mut client);
        let client = client.registered(local::home::CLIENT_SECRET_PREFIX, std::time::SystemTime::now());
        let open = Home::new(self.home()).open().await.unwrap();
        assert!(open.registry.create_client(&client).await.unwrap());
        client.client_id.to_string()
    }
}
