//! Tokens of any shape, signed with the server's own key or with another one.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use crate::Server;

/// The current version of a secret of a home.
pub fn current_secret(home: &Path, id: &str) -> String {
    let secrets: Value = serde_json::from_slice(&std::fs::read(home.join("secrets.json")).unwrap()).unwrap();
    let current = |version: &&Value| version["stages"].as_array().unwrap().contains(&json!("AWSCURRENT"));
    let version = secrets[id].as_object().unwrap().values().find(current).unwrap();
    version["value"].as_str().unwrap().to_owned()
}

/// The value of every version of every secret of a home.
pub fn all_secrets(home: &Path) -> Vec<String> {
    let secrets: Value = serde_json::from_slice(&std::fs::read(home.join("secrets.json")).unwrap()).unwrap();
    let versions = secrets.as_object().unwrap().values().flat_map(|versions| versions.as_object().unwrap().values());
    versions.filter_map(|version| version["value"].as_str()).map(str::to_owned).collect()
}

/// A private key and what a good token of it looks like.
pub struct Forge {
    pub pem: String,
    key: EncodingKey,
    algorithm: Algorithm,
    header: Value,
    claims: Value,
}

impl Forge {
    /// With the server's own signing key, the first of its algorithm.
    pub fn with_key_of(server: &Server, algorithm: Algorithm) -> Forge {
        Forge::with_key_in(server.home(), &server.url, algorithm)
    }

    /// With the signing key of a home, the first of its algorithm.
    pub fn with_key_in(home: &Path, issuer: &str, algorithm: Algorithm) -> Forge {
        let keys: Value = serde_json::from_str(&current_secret(home, "northstar/signing-keys")).unwrap();
        let forges = keys.as_array().unwrap().iter().filter_map(|key| {
            let pem = key["private_key"].as_str().unwrap();
            Some(Forge::new(issuer, pem, encoding_key(pem, algorithm)?, algorithm, key["kid"].as_str().unwrap()))
        });
        forges.into_iter().next().expect("the server has a key of that algorithm")
    }

    /// With an RSA key that the server does not know, under a key id that it may know.
    pub fn with_foreign_key(issuer: &str, kid: &str) -> Forge {
        let pem = access_token::SigningKey::generate_pem().unwrap();
        let key = encoding_key(&pem, Algorithm::RS256).unwrap();
        Forge::new(issuer, &pem, key, Algorithm::RS256, kid)
    }

    /// With any key.
    pub fn new(issuer: &str, pem: &str, key: EncodingKey, algorithm: Algorithm, kid: &str) -> Forge {
        let now = now();
        Forge {
            pem: pem.to_owned(),
            key,
            algorithm,
            header: json!({ "typ": "at+jwt", "alg": name(algorithm), "kid": kid }),
            claims: json!({
                "iss": issuer,
                "sub": "client:demo",
                "aud": format!("{issuer}/mcp"),
                "client_id": "demo",
                "scope": "mcp.read",
                "iat": now,
                "exp": now + 900,
                "jti": "forged",
            }),
        }
    }

    /// The key's id.
    pub fn kid(&self) -> &str {
        self.header["kid"].as_str().unwrap()
    }

    /// A token that the server must take, if the key is its own.
    pub fn good(&self) -> String {
        self.token(&self.header, &self.claims)
    }

    /// A good token but for one member of its header; `null` takes the member away.
    pub fn header(&self, name: &str, value: Value) -> String {
        self.token(&with(&self.header, name, value), &self.claims)
    }

    /// A good token but for one claim; `null` takes the claim away.
    pub fn claim(&self, name: &str, value: Value) -> String {
        self.token(&self.header, &with(&self.claims, name, value))
    }

    /// A good token but for some claims.
    pub fn claims(&self, changes: Value) -> String {
        let mut claims = self.claims.clone();
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.token(&self.header, &claims)
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        self.sign(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A token whose header is a good one's text after a change.
    pub fn header_text(&self, change: impl Fn(&str) -> String) -> String {
        self.sign(change(&self.header.to_string()).as_bytes(), self.claims.to_string().as_bytes())
    }

    /// A token whose claims are a good one's text after a change.
    pub fn claims_text(&self, change: impl Fn(&str) -> String) -> String {
        self.claims_bytes(change(&self.claims.to_string()).as_bytes())
    }

    /// A token with any bytes for claims.
    pub fn claims_bytes(&self, claims: &[u8]) -> String {
        self.sign(self.header.to_string().as_bytes(), claims)
    }

    /// A good token but for `alg` in the header, signed by another algorithm and key.
    pub fn signed_by(&self, alg: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
        let header = with(&self.header, "alg", json!(alg));
        let message = message(header.to_string().as_bytes(), self.claims.to_string().as_bytes());
        let signature = crypto::sign(message.as_bytes(), key, algorithm).unwrap();
        format!("{message}.{signature}")
    }

    /// The private key, for another algorithm of its family.
    pub fn key(&self) -> &EncodingKey {
        &self.key
    }

    fn sign(&self, header: &[u8], claims: &[u8]) -> String {
        let message = message(header, claims);
        let signature = crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decode(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// PEM of a DER text.
pub fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// DER of a PEM.
pub fn der(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    BASE64_STANDARD.decode(base64).unwrap()
}

fn message(header: &[u8], claims: &[u8]) -> String {
    format!("{}.{}", encode(header), encode(claims))
}

fn encoding_key(pem: &str, algorithm: Algorithm) -> Option<EncodingKey> {
    let key = match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(pem.as_bytes()),
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
        _ => EncodingKey::from_ed_pem(pem.as_bytes()),
    };
    key.ok()
}

fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RS256 => "RS256",
        Algorithm::ES256 => "ES256",
        _ => "EdDSA",
    }
}

fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    match value {
        Value::Null => drop(object.as_object_mut().unwrap().remove(name)),
        value => object[name] = value,
    }
    object
}
