//! One run: what was planted where, and all that came out.

use std::collections::BTreeSet;
use std::iter::repeat_with;
use std::path::Path;
use std::sync::Mutex;

use local::home::{CLIENT_SECRET_PREFIX, SIGNING_KEYS, STATE_KEY};
use serde_json::{Value, json};

use crate::finder::Finder;

/// Every place where a secret is or may be put, by accident too.
pub const PLACES: [&str; 52] = [
    // What the product makes and keeps.
    "client secret, current",
    "client secret, previous",
    "client secret, pending",
    "signing key",
    "state key",
    "access token",
    "cursor",
    // What callers send.
    "client secret, wrong",
    "client secret in Basic",
    "client secret in Basic without a client id",
    "client secret in Basic, not base64",
    "client secret under another scheme",
    "client secret in the query",
    "client secret in another content type",
    "client secret in a body that is not UTF-8",
    "client secret in a body that is too long",
    "client secret before a broken percent sign",
    "client secret, twice",
    "client secret in JSON",
    "client secret for the client id",
    "client secret for the scope",
    "client secret for the resource",
    "client secret for the grant type",
    "client secret of an unknown client",
    "client secret in the query of introspection",
    "client assertion",
    "client assertion, bad signature",
    "client assertion, expired",
    "client assertion, no JWT",
    "client assertion in the query",
    "access token, expired",
    "access token, bad signature",
    "access token, no JWT",
    "access token in the query",
    "access token in a form body",
    "access token with a tab",
    "access token with a comma",
    "access token in a cookie",
    "access token in the path",
    "token to revoke",
    "token to introspect",
    "tool argument",
    "tool argument, undeclared",
    "message that is not JSON",
    "message that is not UTF-8",
    "cursor, forged",
    // What operators have.
    "order",
    "private key in a JWK Set",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "standard input",
    "damaged secret",
];

/// What makes a program talk, and credentials that are in the way of doing so.
pub fn environment(run: &Run) -> Vec<(&'static str, String)> {
    let talkative = [
        ("RUST_BACKTRACE", "full"),
        ("RUST_LIB_BACKTRACE", "full"),
        ("RUST_LOG", "trace"),
        ("LOG_SENSITIVE_BODIES", "true"),
        ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
    ];
    let credentials = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].map(|name| (name, run.marker(name)));
    talkative.map(|(name, value)| (name, value.to_owned())).into_iter().chain(credentials).collect()
}

/// See the module's head.
#[derive(Default)]
pub struct Run {
    planted: Mutex<BTreeSet<(&'static str, Vec<u8>)>>,
    captured: Mutex<Vec<(String, Vec<u8>)>>,
}

impl Run {
    /// A new canary for a place.
    pub fn marker(&self, place: &'static str) -> String {
        let marker: String = "Canary".chars().chain(repeat_with(fastrand::alphanumeric).take(26)).collect();
        self.plant(place, &marker)
    }

    /// A value that is somewhere anyway is a canary from now on.
    pub fn plant(&self, place: &'static str, value: &str) -> String {
        assert!(PLACES.contains(&place), "{place} is not in the list");
        self.planted.lock().unwrap().insert((place, value.as_bytes().to_vec()));
        value.to_owned()
    }

    /// Every secret of a home that is there now.
    pub fn plant_secrets_of(&self, home: &Path) {
        let secrets: Value = serde_json::from_slice(&std::fs::read(home.join("secrets.json")).unwrap()).unwrap();
        for (id, versions) in secrets.as_object().unwrap() {
            for version in versions.as_object().unwrap().values() {
                let Some(value) = version["value"].as_str() else { continue };
                let stages = version["stages"].as_array().unwrap();
                match id.as_str() {
                    SIGNING_KEYS => self.plant_keys(value),
                    STATE_KEY => drop(self.plant("state key", value)),
                    _ if !id.starts_with(CLIENT_SECRET_PREFIX) => {}
                    _ if stages.contains(&json!("AWSCURRENT")) => drop(self.plant("client secret, current", value)),
                    _ if stages.contains(&json!("AWSPREVIOUS")) => drop(self.plant("client secret, previous", value)),
                    _ => drop(self.plant("client secret, pending", value)),
                }
            }
        }
    }

    /// The private keys in a value of the secret `signing-keys`.
    pub fn plant_keys(&self, value: &str) {
        let keys: Value = serde_json::from_str(value).unwrap();
        keys.as_array().unwrap().iter().for_each(|key| self.plant_key(key["private_key"].as_str().unwrap()));
    }

    /// The lines of a PEM. The first 336 bytes are left out: the modulus is among them, which is public.
    fn plant_key(&self, pem: &str) {
        let lines: Vec<&str> = pem.lines().skip(8).filter(|line| !line.starts_with('-') && line.len() >= 32).collect();
        assert!(lines.len() > 10, "an RSA key has more lines");
        for line in lines {
            self.plant("signing key", line);
        }
    }

    /// Something came out.
    pub fn capture(&self, source: impl Into<String>, text: impl Into<Vec<u8>>) {
        self.captured.lock().unwrap().push((source.into(), text.into()));
    }

    /// Nothing of what was planted came out; how many canaries, sources and bytes were compared.
    pub fn assert_silence(&self) -> (usize, usize, usize) {
        let planted = self.planted.lock().unwrap();
        let places: BTreeSet<&str> = planted.iter().map(|(place, _)| *place).collect();
        assert_eq!(places, PLACES.into(), "every place has its canary");
        let (mut finder, mut without_business) = (Finder::default(), Finder::default());
        for (place, value) in planted.iter() {
            finder.add(place, value);
            // What tables are for, and what was put there to damage them.
            if !matches!(*place, "order" | "damaged secret") {
                without_business.add(place, value);
            }
        }
        let captured = self.captured.lock().unwrap();
        let mut found = String::new();
        for (source, text) in captured.iter() {
            let finder = if source.starts_with(TABLES) { &without_business } else { &finder };
            for (place, around) in finder.find(text) {
                found.push_str(&format!("{place} is in {source}: …{around}…\n"));
            }
        }
        assert!(found.is_empty(), "\n{found}");
        (planted.len(), captured.len(), captured.iter().map(|(_, text)| text.len()).sum())
    }
}

/// Sources of this name hold records.
pub const TABLES: &str = "tables";
