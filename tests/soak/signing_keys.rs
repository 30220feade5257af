//! Three rotations of the signing keys, under verifiers whose JWKS is as old as it may be.

use std::time::Instant;

use black_box::key_rotation::{Rotation, run};
use black_box::report;
use fastrand::Rng;
use rotate::Step;

use crate::{count, seed};

#[tokio::test]
async fn no_token_is_refused_during_three_rotations_of_the_signing_keys() {
    let (tokens, seed) = (count(1_000, 50_000), seed());
    let mut rng = Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let rotations: Vec<Rotation> = (1..=3)
        .map(|hour| Rotation { begins: hour * 3_600, events: Step::ALL.map(|step| (rng.u64(0..120), step)).to_vec() })
        .collect();
    let start = Instant::now();
    let outcome = run(folder.path(), &rotations, tokens, 6 * 3_600, &mut rng).await;
    assert_eq!(outcome.refused, Vec::<String>::new(), "seed {seed}");
    assert_eq!(outcome.verified, 2 * tokens);
    assert_eq!((outcome.signed_by.len(), outcome.events), (4, vec!["ok"; 12]), "seed {seed}");
    report(&format!(
        "{} verifications of {tokens} tokens in 6 h of virtual time, three rotations of the signing keys, 8 verifiers with a JWKS \
         of up to 5 minutes, seed {seed}: 0 refused; {:.0} a second",
        outcome.verified,
        outcome.verified as f64 / start.elapsed().as_secs_f64(),
    ));
}
