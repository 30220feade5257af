//! Finds secrets in what was written, however they were encoded on the way.

use std::collections::{BTreeSet, HashMap};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

/// So many bytes of any form of a secret are found wherever they are; fewer may be chance.
pub const WINDOW: usize = 16;

/// Every part of every form of every canary.
#[derive(Default)]
pub struct Finder {
    names: Vec<&'static str>,
    windows: HashMap<[u8; WINDOW], usize>,
}

impl Finder {
    /// Looks for one more secret.
    pub fn add(&mut self, name: &'static str, secret: &[u8]) {
        assert!(secret.len() >= WINDOW, "{name}: too short to be told from chance");
        for form in forms(secret) {
            for window in form.windows(WINDOW) {
                self.windows.insert(window.try_into().unwrap(), self.names.len());
            }
        }
        self.names.push(name);
    }

    /// What is in a text, and the text around it.
    pub fn find(&self, text: &[u8]) -> BTreeSet<(&'static str, String)> {
        let mut found = BTreeSet::new();
        let mut at = 0;
        while at + WINDOW <= text.len() {
            let window: [u8; WINDOW] = text[at..at + WINDOW].try_into().unwrap();
            if let Some(index) = self.windows.get(&window) {
                let around = &text[at.saturating_sub(80)..(at + 80).min(text.len())];
                found.insert((self.names[*index], String::from_utf8_lossy(around).into_owned()));
                at += WINDOW;
            }
            at += 1;
        }
        found
    }
}

/// A secret as programs write it: as it is, in base64 and base64url wherever it begins in what is encoded, in hex,
/// percent-encoded, escaped, and as a list of numbers, the `Debug` of bytes.
pub fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let join = |separator: &str, show: fn(&u8) -> String| {
        secret.iter().map(show).collect::<Vec<_>>().join(separator).into_bytes()
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let form_encoded = |byte: &u8| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
    let mut forms = vec![
        secret.to_vec(),
        join("", |byte| format!("{byte:02x}")),
        join("", |byte| format!("{byte:02X}")),
        join("", |byte| format!("%{byte:02x}")),
        join("", |byte| format!("%{byte:02X}")),
        secret.iter().map(form_encoded).collect::<String>().into_bytes(),
        String::from_utf8_lossy(secret).escape_default().to_string().into_bytes(),
        join(", ", u8::to_string),
        join(",", u8::to_string),
    ];
    for engine in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
        for before in 0..3 {
            let text = engine.encode([&vec![0; before], secret].concat());
            // Characters that also say something of the bytes before or after are cut off.
            let (start, end) = ((before * 8).div_ceil(6), (before + secret.len()) * 8 / 6);
            forms.push(text.as_bytes()[start..end].to_vec());
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

    use super::*;

    const SECRET: &str = "Canary7hFq2LxZ0pTn5VbKs9RdWm3yJc";

    fn finder() -> Finder {
        let mut finder = Finder::default();
        finder.add("another", b"CanaryB1gQ8uMe4HsXo6YtCw0Za7NkPv2");
        finder.add("secret", SECRET.as_bytes());
        finder
    }

    fn line(text: &str) -> String {
        format!(r#"{{"time":"2026-11-21T04:34:38.805Z","level":"INFO","outcome":"ok","message":"{text}"}}"#)
    }

    #[test]
    fn a_canary_in_a_log_is_found_in_every_form() {
        let bytes = SECRET.as_bytes();
        let mut written = vec![
            SECRET.to_owned(),
            format!("{:?}", Some(SECRET)),
            format!("{bytes:?}"),
            serde_json::to_string(&bytes).unwrap(),
            format!("{:?}", bytes::Bytes::from_static(bytes)),
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
            bytes.iter().map(|byte| format!("%{byte:02x}")).collect(),
            bytes.iter().map(|byte| format!("%{byte:02X}")).collect(),
            // What a part of it says is too much, too.
            SECRET[8..8 + WINDOW].to_owned(),
        ];
        for before in ["", "a", "ab", "abc", "demo:"] {
            for after in ["", "z", "zz"] {
                let text = format!("{before}{SECRET}{after}");
                written.extend([BASE64_STANDARD.encode(&text), BASE64_URL_SAFE.encode(&text)]);
                written.push(BASE64_URL_SAFE_NO_PAD.encode(&text));
            }
        }
        let finder = finder();
        for text in written {
            let found = finder.find(line(&text).as_bytes());
            let names: BTreeSet<&str> = found.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, BTreeSet::from(["secret"]), "{text}");
        }
    }

    #[test]
    fn a_secret_of_any_characters_is_found_form_encoded_and_escaped() {
        let secret = "Canary+/= \n\"é&%canary+/=";
        let mut finder = Finder::default();
        finder.add("secret", secret.as_bytes());
        for text in [
            "Canary%2B%2F%3D%20%0A%22%C3%A9%26%25canary%2B%2F%3D".to_owned(),
            secret.escape_default().to_string(),
            BASE64_STANDARD.encode(secret),
        ] {
            assert!(!finder.find(line(&text).as_bytes()).is_empty(), "{text}");
        }
    }

    #[test]
    fn what_is_no_canary_is_not_found() {
        let finder = finder();
        for text in ["", "Canary", "Canary7hFq2LxZ0", &BASE64_STANDARD.encode("Canary7hFq2"), &"0".repeat(100_000)] {
            assert!(finder.find(line(text).as_bytes()).is_empty(), "{text}");
        }
    }
}
