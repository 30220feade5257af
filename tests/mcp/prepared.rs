//! A server whose home was prepared before its first start: more signing keys, a second MCP server, more orders.

use std::fmt::Write;
use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use black_box::Server;
use local::Home;
use registry::key::PublishedKey;
use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;

use black_box::forge::{self, pem};

/// What was prepared.
pub struct Prepared {
    /// It signs with RSA, and verifies P-256 and Ed25519 keys too.
    pub server: Server,
    /// PEM of a key that is published and retired.
    pub retired: String,
    _home: TempDir,
}

/// The longest name a server may have.
pub const LONG_NAME: &str = "orders-of-a-server-with-a-very-long-name";

/// Customers of the prepared server and how many orders they have.
pub const CUSTOMERS: [(&str, usize); 7] =
    [("B-0", 0), ("B-1", 1), ("B-19", 19), ("B-20", 20), ("B-21", 21), ("B-40", 40), ("B-41", 41)];

/// The prepared server; started once.
pub fn prepared() -> &'static Prepared {
    static PREPARED: OnceLock<Prepared> = OnceLock::new();
    // A thread of its own: the caller's runtime must not be blocked on from within.
    PREPARED.get_or_init(|| std::thread::spawn(prepare).join().unwrap())
}

fn prepare() -> Prepared {
    let home = tempfile::tempdir().unwrap();
    let retired = access_token::SigningKey::generate_pem().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(fill(&Home::new(home.path()), &retired));
    drop(runtime);
    let server = Server::start_in(home.path(), 0, &[]);
    for (name, csv) in [("pages.csv", pages()), ("ties.csv", ties()), ("rare.csv", rare())] {
        let file = home.path().join(name);
        std::fs::write(&file, csv).unwrap();
        server.json_command(&["import", "orders", file.to_str().unwrap()]);
    }
    Prepared { server, retired, _home: home }
}

async fn fill(home: &Home, retired: &str) {
    let open = home.open().await.unwrap();
    let random = SystemRandom::new();
    let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let ed25519 = Ed25519KeyPair::generate_pkcs8v1(&random).unwrap();
    let rsa = access_token::SigningKey::generate_pem().unwrap();
    // The RSA key is the newest: it signs.
    let keys: Vec<_> = [rsa, pem("PRIVATE KEY", p256.as_ref()), pem("PRIVATE KEY", ed25519.as_ref())]
        .into_iter()
        .zip(0..)
        .map(|(private_key, age)| {
            let kid = access_token::SigningKey::from_pem(&private_key).unwrap().kid().to_owned();
            json!({ "kid": kid, "private_key": private_key, "not_before": forge::now() - 60 * (age + 1) })
        })
        .collect();
    let keys = SecretString::from(json!(keys).to_string());
    assert!(open.secrets.create("northstar/signing-keys", &keys).await.unwrap());

    let key = access_token::SigningKey::from_pem(retired).unwrap();
    let ended = forge::now() - 2 * 60 * 60;
    let published = PublishedKey {
        kid: key.kid().to_owned(),
        jwk: key.public_jwk().to_string(),
        not_before: 0,
        not_after: Some(ended),
    };
    open.registry.put_public_key(&published).await.unwrap();

    for name in ["orders", LONG_NAME] {
        let server =
            json!({ "name": name, "title": "Orders", "description": "Orders.", "tools": ["get_order_status"] });
        open.registry
            .create_server(&serde_json::from_value(server).unwrap(), std::time::SystemTime::now())
            .await
            .unwrap();
    }
}

/// Customers with as many orders as fill no page, a page, and a little more.
fn pages() -> String {
    let mut csv = String::from("order_id,customer_id,status,ordered_at\n");
    for (customer, orders) in CUSTOMERS {
        for order in 0..orders {
            writeln!(csv, "{customer}-{order},{customer},SHIPPED,2026-01-01T00:{order:02}:00Z").unwrap();
        }
    }
    csv
}

/// A customer who ordered 45 times in one second.
fn ties() -> String {
    let mut csv = String::from("order_id,customer_id,status,ordered_at\n");
    for order in 0..45 {
        writeln!(csv, "T-{order},TIES,SHIPPED,2026-01-01T00:00:00Z").unwrap();
    }
    csv
}

/// A customer with one delayed order behind 900 delivered ones.
fn rare() -> String {
    let mut csv = String::from("order_id,customer_id,status,ordered_at\n");
    csv.push_str("R-OLD,RARE,DELAYED,2025-01-01T00:00:00Z\n");
    for order in 0..900 {
        writeln!(csv, "R-{order},RARE,DELIVERED,2026-01-01T{:02}:{:02}:00Z", order / 60, order % 60).unwrap();
    }
    csv
}
