//! Very many wrong secrets at one process of `token`: they cost no reads of secrets, and nobody with a right one waits.

use std::time::Instant;

use black_box::report;
use fastrand::Rng;

use crate::deployment::{Deployment, ask, is_issued};
use crate::{count, seed};

/// Seconds in which a process may read one secret that it has read before.
const SECRET_READ_EVERY: u64 = 10;
/// Wrong secrets between two right ones.
const BETWEEN: usize = 25;
const SOURCES: [&str; 4] = ["192.0.2.1", "192.0.2.2", "198.51.100.7", "2001:db8::1"];

#[tokio::test(flavor = "multi_thread")]
async fn wrong_secrets_cost_no_reads_of_secrets_and_right_ones_between_them_are_accepted() {
    let (wrong, seed) = (count(2_000, 50_000), seed());
    let mut rng = Rng::with_seed(seed);
    let deployment = Deployment::start().await;
    let process = deployment.process().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let (client, secret) = deployment.client(&[]).await;
        let client = (client.client_id.to_string(), secret);
        assert_eq!(is_issued(&ask(&process, &client.0, &client.1, SOURCES[0]).await), Ok(true));
        clients.push(client);
    }
    let first = (deployment.secret_reads(), deployment.table_reads());

    let (mut plain, mut waits, mut right) = (0, 0, 0);
    let start = Instant::now();
    for index in 0..wrong {
        let (id, secret) = &clients[rng.usize(..clients.len())];
        let source = SOURCES[rng.usize(..SOURCES.len())];
        let (id, guess) = guess(id, secret, &clients, &mut rng);
        let answer = ask(&process, id, &guess, source).await;
        assert_eq!(is_issued(&answer), Ok(false), "guess {index} of seed {seed}");
        let retry_after = answer["headers"]["retry-after"].as_str().map(|seconds| seconds.parse::<u64>().unwrap());
        match (answer["statusCode"].as_u64(), retry_after) {
            (Some(401), None) => plain += 1,
            (Some(429), Some(1..=60)) => waits += 1,
            _ => panic!("guess {index} of seed {seed}: {answer}"),
        }
        if index % BETWEEN == 0 {
            // Whoever was guessed at just now, from where the guess came; and any other.
            let any = &clients[rng.usize(..clients.len())];
            let guessed_at = clients.iter().find(|(known, _)| known == id).unwrap_or(any);
            for ((id, secret), source) in [(guessed_at, source), (any, SOURCES[rng.usize(..SOURCES.len())])] {
                let answer = ask(&process, id, secret, source).await;
                assert_eq!(is_issued(&answer), Ok(true), "right secret beside {index} of seed {seed}");
                right += 1;
            }
        }
    }
    let took = start.elapsed();
    let (secret_reads, table_reads) = (deployment.secret_reads() - first.0, deployment.table_reads() - first.1);
    report(&format!(
        "{wrong} wrong secrets at one process of token, of {} clients and one that is unknown, from {} addresses, in {took:.1?}, seed {seed}: \
         {plain} answers 401, {waits} answers 429, each with Retry-After; {right} right secrets between them: 0 refused; {secret_reads} reads of \
         secrets from Secrets Manager's API (ministack) after {} at first; {table_reads} reads of DynamoDB after {}",
        clients.len(),
        SOURCES.len(),
        first.0,
        first.1,
    ));
    assert!(plain > 0 && waits > 0, "the guesses reach both answers");
    assert!(secret_reads as u64 <= took.as_secs() / SECRET_READ_EVERY, "{secret_reads} reads of secrets in {took:?}");
    let log = process.log();
    assert!(!clients.iter().any(|(_, secret)| log.contains(secret)), "a secret is in the log");
}

/// A client id and a secret that is not its own: random, of somebody else, or almost right.
fn guess<'a>(id: &'a str, secret: &str, clients: &'a [(String, String)], rng: &mut Rng) -> (&'a str, String) {
    let other = || clients.iter().find(|(other, _)| other != id).unwrap();
    match rng.u8(0..5) {
        0 => (id, other().1.clone()),
        1 => (id, secret[..rng.usize(1..secret.len())].to_owned()),
        2 => (id, format!("{secret}{}", rng.alphanumeric())),
        3 => ("nobody", secret.to_owned()),
        _ => (id, (0..43).map(|_| rng.alphanumeric()).collect()),
    }
}
