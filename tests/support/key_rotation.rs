//! Rotations of the signing keys in virtual time, with processes of token that remember keys and verifiers that keep a
//! JWKS for as long as they may.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use access_token::{Claims, PublicKey, Verifier};
use aws_clients::{AwsClients, AwsSettings};
use fastrand::Rng;
use local::home::{CLIENT_SECRET_PREFIX, SIGNING_KEYS, STATE_KEY};
use local::store::{CONFIG_TABLE, STATE_TABLE};
use local::{Home, OpenHome};
use registry::{PublicUrl, Registry};
use rotate::{RotationEvent, Step};
use serde_json::Value;
use token::signing::{PublishedKeys, SigningKeys};

const ISSUER: &str = "https://mcp.example.com";
const AUDIENCE: &str = "https://mcp.example.com/mcp";
/// `Cache-Control: max-age` of the JWKS, in seconds.
const JWKS_MAX_AGE: u64 = 300;
const PROCESSES: usize = 4;
const VERIFIERS: usize = 8;
/// Every clock is wrong by up to so many seconds, either way: two differ by 30 at most.
const CLOCK_ERROR: i64 = 15;

/// When a rotation begins, and how long each of its events comes after the one before; seconds.
pub struct Rotation {
    pub begins: u64,
    pub events: Vec<(u64, Step)>,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Verifications of tokens that had not expired.
    pub verified: usize,
    /// Those that failed.
    pub refused: Vec<String>,
    /// Keys that signed.
    pub signed_by: BTreeSet<String>,
    /// Code of every event.
    pub events: Vec<&'static str>,
}

struct Process {
    signing: SigningKeys,
    published: PublishedKeys,
    clock: i64,
}

struct OldJwks {
    verifier: Verifier,
    fetched_at: Option<u64>,
    clock: i64,
}

enum Happening {
    Event(usize, Step),
    Token,
    Verify(String),
}

/// Issues `tokens` tokens over `length` seconds, verifies each at once and once more before it expires, while the
/// rotations go on.
pub async fn run(folder: &Path, rotations: &[Rotation], tokens: usize, length: u64, rng: &mut Rng) -> Outcome {
    let open = Home::new(folder).open().await.unwrap();
    let start = 1_900_000_000;
    registry::init(&open.registry, &open.secrets, SIGNING_KEYS, STATE_KEY, at(start, 0)).await.unwrap();
    let app = app(&open);
    let public_url = PublicUrl::parse(ISSUER).unwrap();
    let processes: Vec<Process> = (0..PROCESSES)
        .map(|_| Process {
            signing: SigningKeys::new(open.secrets.clone(), SIGNING_KEYS),
            published: PublishedKeys::new(Registry::new(open.aws.dynamodb.clone(), CONFIG_TABLE), &public_url),
            clock: rng.i64(-CLOCK_ERROR..=CLOCK_ERROR),
        })
        .collect();
    let mut verifiers: Vec<OldJwks> = (0..VERIFIERS)
        .map(|_| OldJwks {
            verifier: Verifier::new(ISSUER, HashMap::new()),
            fetched_at: None,
            clock: rng.i64(-CLOCK_ERROR..=CLOCK_ERROR),
        })
        .collect();

    // In the order of time, and then of their making.
    let (mut queue, mut happenings) = (BinaryHeap::new(), Vec::new());
    let mut plan = |time: u64, happening| {
        happenings.push(Some(happening));
        queue.push(Reverse((time, happenings.len() - 1)));
    };
    for (index, rotation) in rotations.iter().enumerate() {
        let mut time = start + rotation.begins;
        for (delay, step) in &rotation.events {
            time += delay;
            plan(time, Happening::Event(index, *step));
        }
    }
    for index in 0..tokens {
        // Keys of before are not the matter: every process has begun by then.
        plan(start + 60 + index as u64 * length / tokens as u64, Happening::Token);
    }

    let mut versions: HashMap<usize, String> = HashMap::new();
    let mut outcome = Outcome::default();
    while let Some(Reverse((time, index))) = queue.pop() {
        match happenings[index].take().unwrap() {
            Happening::Event(rotation, step) => {
                let version = match versions.get(&rotation) {
                    Some(version) => version.clone(),
                    None => begin(&open).await,
                };
                versions.insert(rotation, version.clone());
                let event = RotationEvent { step, secret_id: SIGNING_KEYS.to_owned(), client_request_token: version };
                let done = rotate::step(&app, &event, at(time, 0)).await;
                outcome.events.push(done.map_or_else(|error| error.code(), |()| "ok"));
            }
            Happening::Token => {
                let process = &processes[rng.usize(0..PROCESSES)];
                let key = process.signing.current(at(time, process.clock)).await.unwrap();
                outcome.signed_by.insert(key.kid().to_owned());
                let issued = seconds(time, process.clock);
                let lifetime = rng.u64(60..=3_600);
                let token = key.sign(&claims(issued, issued + lifetime)).unwrap();
                verify(&token, time, &processes, &mut verifiers, &mut outcome, rng).await;
                // The last second in which every clock finds it alive.
                let last = time + lifetime - 60;
                happenings.push(Some(Happening::Verify(token)));
                queue.push(Reverse((if rng.bool() { last } else { rng.u64(time..=last) }, happenings.len() - 1)));
            }
            Happening::Verify(token) => {
                verify(&token, time, &processes, &mut verifiers, &mut outcome, rng).await;
            }
        }
    }
    outcome
}

/// Secrets Manager begins a rotation, or goes on with the one that is under way.
async fn begin(open: &OpenHome) -> String {
    let secret = open.secrets.describe(SIGNING_KEYS).await.unwrap().unwrap();
    match secret.version_at(aws_clients::SecretStage::Pending) {
        Some(pending) => pending.to_owned(),
        None => open.secrets.begin_rotation(SIGNING_KEYS).await.unwrap(),
    }
}

async fn verify(
    token: &str,
    time: u64,
    processes: &[Process],
    verifiers: &mut [OldJwks],
    outcome: &mut Outcome,
    rng: &mut Rng,
) {
    let old = &mut verifiers[rng.usize(0..VERIFIERS)];
    if old.fetched_at.is_none_or(|fetched| fetched + JWKS_MAX_AGE < time) {
        // The key set itself may be what a process has remembered.
        let process = &processes[rng.usize(0..PROCESSES)];
        let jwks = process.published.jwks(at(time, process.clock)).await.unwrap();
        let jwks: Value = serde_json::from_slice(&jwks).unwrap();
        let keys = jwks["keys"].as_array().unwrap().iter();
        let keys = keys.map(|jwk| (jwk["kid"].as_str().unwrap().to_owned(), PublicKey::from_jwk(jwk).unwrap()));
        old.verifier = Verifier::new(ISSUER, keys.collect());
        old.fetched_at = Some(time);
    }
    outcome.verified += 1;
    if let Err(refusal) = old.verifier.verify(token, AUDIENCE, at(time, old.clock)) {
        let age = time - old.fetched_at.unwrap();
        outcome.refused.push(format!("{refusal} at second {time}, by a JWKS of {age} s"));
    }
}

fn app(open: &OpenHome) -> rotate::App {
    rotate::App::new(rotate::Config {
        public_url: PublicUrl::parse(ISSUER).unwrap(),
        config_table: CONFIG_TABLE.to_owned(),
        state_table: STATE_TABLE.to_owned(),
        signing_keys: SIGNING_KEYS.to_owned(),
        client_secret_prefix: CLIENT_SECRET_PREFIX.to_owned(),
        secrets: open.secrets.clone(),
        aws: AwsClients::new(&AwsSettings::local(open.store_url())),
        key_lead: rotate::config::KEY_LEAD,
        secret_settles_in: Duration::ZERO,
        token_patience: Duration::ZERO,
    })
}

fn claims(issued: u64, expires: u64) -> Claims {
    Claims {
        iss: ISSUER.to_owned(),
        sub: "client:c".to_owned(),
        aud: AUDIENCE.to_owned(),
        client_id: "c".to_owned(),
        scope: "mcp.read".to_owned(),
        iat: issued,
        exp: expires,
        nbf: None,
        jti: "j".to_owned(),
        client_version: 1,
    }
}

fn seconds(time: u64, clock: i64) -> u64 {
    time.saturating_add_signed(clock)
}

fn at(time: u64, clock: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds(time, clock))
}
