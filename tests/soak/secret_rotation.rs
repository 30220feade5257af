//! Three rotations of a client's secret under load, over processes of `token` whose caches are of different age: whoever
//! has a secret that is right gets a token, always.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use aws_clients::SecretStage;
use black_box::lambda::Lambda;
use black_box::report;
use fastrand::Rng;
use local::gateway::{self, HttpApi, Routes};
use local::home::{CLIENT_SECRET_PREFIX, SIGNING_KEYS};
use local::store::{CONFIG_TABLE, STATE_TABLE};
use registry::client::seconds;
use registry::{Client, ClientSecrets, PublicUrl, SecretInUse};
use rotate::config::{KEY_LEAD, SECRET_SETTLES_IN, TOKEN_PATIENCE};
use rotate::{RotationError, RotationEvent, Step};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::deployment::{Deployment, ask, is_issued};
use crate::{count, is_full, seed};

const PROCESSES: usize = 4;
const WORKERS: usize = 8;
const ROTATIONS: usize = 3;
/// Longest time after which a retired secret is refused everywhere.
const RETIRED_WITHIN: Duration = Duration::from_secs(60);

const LOAD: &str = "192.0.2.1";
/// Who still has the old secret.
const STRAGGLER: &str = "192.0.2.2";
const GUESSER: &str = "192.0.2.3";

#[tokio::test(flavor = "multi_thread")]
async fn no_right_secret_is_refused_during_three_rotations_and_a_retired_one_is_everywhere() {
    let (requests, seed) = (count(2_000, 100_000), seed());
    let mut rng = Rng::with_seed(seed);
    let deployment = Deployment::start().await;
    let (client, first) = deployment.client(&["--quiet-period", "3s"]).await;
    let processes = started_one_after_another(&deployment, &client, &first).await;
    let rotation = Rotation::new(&deployment, &client, processes.clone()).await;
    let load = Arc::new(Load::new(processes, &client, &first));
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        workers.spawn(load.clone().work(worker, rng.fork()));
    }

    let (mut secrets, mut refusals) = (vec![first], 0);
    for done in 0..ROTATIONS {
        load.reaches(requests * (done + 1) / (ROTATIONS + 2)).await;
        refusals += rotation.done_when_nobody_uses_the_previous_secret().await;
        secrets.push(rotation.current().await);
        load.moves(0..WORKERS / 2, secrets.last().unwrap(), requests / 200).await;
        rotation.assert_refused_without_a_change().await;
        refusals += 1;
        load.moves(WORKERS / 2..WORKERS, secrets.last().unwrap(), requests / 200).await;
    }

    let retired_after = load.retire(&rotation, &secrets[ROTATIONS - 1]).await;
    load.reaches(requests).await;
    load.over.store(true, Ordering::Relaxed);
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    let (failures, sent) = (load.failures.lock().unwrap().clone(), load.sent.load(Ordering::Relaxed));
    assert_eq!(failures, [""; 0], "{} failures, seed {seed}", failures.len());
    for process in 0..PROCESSES {
        for old in &secrets[..ROTATIONS] {
            assert!(!load.accepts(process, old, STRAGGLER).await, "an old secret at process {process}");
        }
        let log = load.processes[process].log();
        assert!(!secrets.iter().any(|secret| log.contains(secret)), "a secret is in the log of process {process}");
    }
    report(&format!(
        "{sent} token requests of {WORKERS} workers to {PROCESSES} processes of token, secrets read from Secrets Manager's API (ministack): \
         {ROTATIONS} rotations of the client's secret, {refusals} attempts before their time, all refused; seed {seed}: 0 right secrets \
         refused; the retired one refused everywhere after {retired_after:.1?}; {} reads of secrets; {:.0} requests a second",
        deployment.secret_reads(),
        sent as f64 / start.elapsed().as_secs_f64(),
    ));
}

/// Each process remembers the client from another moment on.
async fn started_one_after_another(deployment: &Deployment, client: &Client, secret: &str) -> Arc<[Lambda]> {
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        let process = deployment.process().await;
        let answer = ask(&process, client.client_id.as_str(), secret, LOAD).await;
        assert_eq!(is_issued(&answer), Ok(true));
        processes.push(process);
        // A registration is remembered for 30 s.
        sleep(Duration::from_millis(if is_full() { 7_000 } else { 500 })).await;
    }
    processes.into()
}

/// Workers that send token requests until it is over.
struct Load {
    processes: Arc<[Lambda]>,
    client_id: String,
    /// The secret of each worker.
    held: Mutex<Vec<String>>,
    sent: AtomicUsize,
    failures: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Load {
    fn new(processes: Arc<[Lambda]>, client: &Client, secret: &str) -> Load {
        Load {
            processes,
            client_id: client.client_id.to_string(),
            held: Mutex::new(vec![secret.to_owned(); WORKERS]),
            sent: AtomicUsize::new(0),
            failures: Mutex::default(),
            over: AtomicBool::new(false),
        }
    }

    /// Sends the secret that a worker has at the moment to any process.
    async fn work(self: Arc<Self>, worker: usize, mut rng: Rng) {
        // A reduced load lasts as long as the rotations, and leaves the machine to other tests.
        let pause = Duration::from_millis(if is_full() { 0 } else { 60 });
        while !self.over.load(Ordering::Relaxed) {
            let secret = self.held.lock().unwrap()[worker].clone();
            let process = rng.usize(..PROCESSES);
            let answer = ask(&self.processes[process], &self.client_id, &secret, LOAD).await;
            if is_issued(&answer) != Ok(true) {
                let failure = format!("worker {worker} at process {process}: {answer}");
                self.failures.lock().unwrap().push(failure);
            }
            self.sent.fetch_add(1, Ordering::Relaxed);
            sleep(pause).await;
        }
    }

    /// Waits until so many requests have been answered.
    async fn reaches(&self, requests: usize) {
        while self.sent.load(Ordering::Relaxed) < requests {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Gives workers a new secret, one after another, with so many requests after each.
    async fn moves(&self, workers: std::ops::Range<usize>, secret: &str, requests: usize) {
        for worker in workers {
            self.held.lock().unwrap()[worker] = secret.to_owned();
            self.reaches(self.sent.load(Ordering::Relaxed) + requests).await;
        }
    }

    async fn accepts(&self, process: usize, secret: &str, source: &str) -> bool {
        is_issued(&ask(&self.processes[process], &self.client_id, secret, source).await).unwrap()
    }

    /// Retires the previous secret while somebody uses it; how long it takes until no process accepts it.
    async fn retire(&self, rotation: &Rotation<'_>, previous: &str) -> Duration {
        // What processes remember of the last rotation is read again after 30 s, and then remembered for long. In a reduced
        // run it only must not be of the same second as the next change.
        let in_use = Instant::now();
        while in_use.elapsed() < Duration::from_secs(if is_full() { 30 } else { 1 }) {
            for process in 0..PROCESSES {
                assert!(self.accepts(process, previous, STRAGGLER).await, "the previous secret, at process {process}");
            }
            sleep(Duration::from_millis(200)).await;
        }
        let start = Instant::now();
        let open = &rotation.deployment.open;
        let (registry, revocations, secrets) = (&open.registry, &open.revocations, &open.secrets);
        let of_clients = ClientSecrets { registry, revocations, secrets };
        assert!(of_clients.retire_previous(&rotation.client).await.unwrap());
        if !is_full() {
            // No wait for what a process remembers: what it refuses makes it read the registration.
            for process in 0..PROCESSES {
                assert!(!self.accepts(process, "a guess", GUESSER).await);
            }
        }
        let mut accepting: Vec<usize> = (0..PROCESSES).collect();
        loop {
            let mut still = Vec::new();
            for process in accepting {
                if self.accepts(process, previous, STRAGGLER).await {
                    still.push(process);
                }
            }
            let passed = start.elapsed();
            assert!(passed <= RETIRED_WITHIN, "processes {still:?} accept a secret that was retired {passed:?} ago");
            if still.is_empty() {
                return passed;
            }
            accepting = still;
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// The function `rotate`, and Secrets Manager's part: its API here (ministack) invokes no function.
struct Rotation<'a> {
    deployment: &'a Deployment,
    client: Client,
    secret_id: String,
    app: rotate::App,
}

impl Rotation<'_> {
    async fn new<'a>(deployment: &'a Deployment, client: &Client, processes: Arc<[Lambda]>) -> Rotation<'a> {
        let secret_id = client.secret_id.clone().unwrap();
        // Ministack's RotateSecret turns rotation on, and makes a second version of the same value.
        let function = "arn:aws:lambda:us-east-1:000000000000:function:rotate";
        deployment.sdk.rotate_secret().secret_id(&secret_id).rotation_lambda_arn(function).send().await.unwrap();
        let described = deployment.open.secrets.describe(&secret_id).await.unwrap().unwrap();
        for stage in [SecretStage::Previous, SecretStage::Pending] {
            if let Some(version) = described.version_at(stage) {
                deployment.open.secrets.move_stage(&secret_id, stage, Some(version), None).await.unwrap();
            }
        }
        let app = rotate::App::new(rotate::Config {
            public_url: front(processes).await,
            config_table: CONFIG_TABLE.to_owned(),
            state_table: STATE_TABLE.to_owned(),
            signing_keys: SIGNING_KEYS.to_owned(),
            client_secret_prefix: CLIENT_SECRET_PREFIX.to_owned(),
            secrets: deployment.open.secrets.clone(),
            aws: deployment.open.aws.clone(),
            key_lead: KEY_LEAD,
            secret_settles_in: SECRET_SETTLES_IN,
            token_patience: TOKEN_PATIENCE,
        });
        Rotation { deployment, client: client.clone(), secret_id, app }
    }

    /// Takes the four steps; refused while the previous secret is accepted.
    async fn attempt(&self) -> Result<(), SecretInUse> {
        let mut id = [0; 16];
        Rng::new().fill(&mut id);
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let version_id = format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..]);
        let put = self.deployment.sdk.put_secret_value().secret_id(&self.secret_id).client_request_token(&version_id);
        put.version_stages(SecretStage::Pending.as_str()).send().await.unwrap();
        for step in Step::ALL {
            let (secret_id, client_request_token) = (self.secret_id.clone(), version_id.clone());
            let event = RotationEvent { step, secret_id, client_request_token };
            match rotate::step(&self.app, &event, SystemTime::now()).await {
                Err(RotationError::SecretInUse(in_use)) => return Err(*in_use),
                done => done.unwrap_or_else(|error| panic!("{step:?}: {error}")),
            }
        }
        Ok(())
    }

    /// Tries again at the time that each refusal names; how many there were.
    async fn done_when_nobody_uses_the_previous_secret(&self) -> usize {
        for refusals in 0..3 {
            let Err(in_use) = self.attempt().await else { return refusals };
            while seconds(SystemTime::now()) < in_use.accepted_until {
                sleep(Duration::from_millis(100)).await;
            }
        }
        panic!("the previous secret is still in use, and nobody has it");
    }

    async fn assert_refused_without_a_change(&self) {
        let state = async || {
            let (open, id) = (&self.deployment.open, &self.client.client_id);
            (open.secrets.describe(&self.secret_id).await.unwrap(), self.deployment.record(id).await)
        };
        let before = state().await;
        let in_use = self.attempt().await.expect_err("half of the workers have the previous secret");
        assert!(in_use.last_use.is_some() && in_use.client_id == self.client.client_id, "{in_use}");
        assert_eq!(state().await, before);
    }

    async fn current(&self) -> String {
        let current = self.deployment.open.secrets.get(&self.secret_id, SecretStage::Current).await.unwrap();
        current.unwrap().value.expose_secret().to_owned()
    }
}

/// The HTTP API before the processes, which are asked in turn.
async fn front(processes: Arc<[Lambda]>) -> PublicUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = PublicUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let turn = Arc::new(AtomicUsize::new(0));
    let invoke = move |(), invocation: gateway::Invocation| {
        let (processes, turn) = (processes.clone(), turn.fetch_add(1, Ordering::Relaxed));
        async move {
            let process = &processes[turn % PROCESSES];
            Ok(process.invoke_within(&invocation.event, Duration::from_secs(29)).await.to_string())
        }
    };
    let routes = Routes::parse(&[("ANY /token", ())]).unwrap();
    tokio::spawn(gateway::serve(listener, HttpApi::new(routes), invoke, std::future::pending()));
    url
}
