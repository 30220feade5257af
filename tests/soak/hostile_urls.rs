//! Very many URLs made of hostile ones: what `crates/outbound` takes means the same to the parser of browsers (WHATWG URL).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use black_box::{report, repository};
use outbound::{Reach, Target};
use url::{Host, Url};

use crate::{count, seed};

#[test]
fn what_is_taken_as_a_url_means_the_same_to_others() {
    let (texts, seed) = (count(50_000, 5_000_000), seed());
    let folder = repository().join("crates/outbound/tests/hostile_urls");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let list: BTreeMap<String, Vec<String>> = serde_json::from_str(&read("urls.json")).unwrap();
    let pieces: Vec<String> = serde_json::from_str(&read("pieces.json")).unwrap();
    let hostile: Vec<String> = list.into_values().flatten().map(|url| url.replace("{port}", "443")).collect();
    let (mut random, start) = (fastrand::Rng::with_seed(seed), Instant::now());
    let (mut taken, mut compared) = (0, 0);
    for _ in 0..texts {
        let text = changed(&mut random, &hostile, &pieces);
        let Ok(target) = Target::parse(&text, Reach::Public) else { continue };
        taken += 1;
        let host = target.as_uri().host().unwrap().to_ascii_lowercase();
        assert!(host.parse::<IpAddr>().is_err(), "seed {seed}: {text:?}");
        let Ok(other) = Url::parse(&text) else { continue };
        compared += 1;
        let same = matches!(other.host(), Some(Host::Domain(domain)) if domain == host);
        let nothing_else = (other.scheme(), other.port(), other.username(), other.password());
        assert!(same && nothing_else == ("https", None, "", None), "seed {seed}: {text:?} is {other:?}");
    }
    assert!(compared * 2 > taken && compared * 100 > texts, "{compared} of {taken} of {texts}");
    report(&format!(
        "{texts} URLs made of hostile ones, seed {seed}: {taken} taken, {compared} of them read by another parser: 0 lead elsewhere ({:.0} s)",
        start.elapsed().as_secs_f64()
    ));
}

/// Good ones: of hostile ones alone hardly anything would be taken.
const GOOD: [&str; 3] = ["https://mcp.example.com/mcp", "https://example.my.salesforce.com/", "https://a.b:443/?c=d"];

/// One of the hostile URLs, or as often a good one, changed in up to three places.
fn changed(random: &mut fastrand::Rng, hostile: &[String], pieces: &[String]) -> String {
    let url = if random.bool() { random.choice(GOOD).unwrap() } else { random.choice(hostile).unwrap().as_str() };
    let mut text: Vec<char> = url.chars().collect();
    for _ in 0..random.usize(..4) {
        let at = random.usize(..=text.len());
        let until = text.len().min(at + random.usize(..3));
        let part: Vec<char> = match random.u8(..8) {
            0 => vec![random.char(..)],
            1 => vec![random.char('\u{0}'..'\u{a0}')],
            2 => Vec::new(),
            _ => random.choice(pieces).unwrap().chars().collect(),
        };
        text.splice(at..until, part);
    }
    text.into_iter().collect()
}
