//! Record ids: 15 characters whose case counts, or 18 with three that repeat the case of the others.

use std::fmt;

use serde::Serialize;

const SUFFIX: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// A record id of 18 characters, with a right checksum.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct RecordId(String);

impl RecordId {
    /// Reads an id of 15 or 18 characters; one of 18 whose first 15 lost their case gets it back. `None` for any other
    /// text, and for a wrong checksum.
    pub fn parse(text: &str) -> Option<RecordId> {
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let (id, suffix) = text.split_at_checked(15)?;
        match suffix.len() {
            0 => Some(RecordId(format!("{id}{}", checksum(id)))),
            3 => {
                let suffix = suffix.to_ascii_uppercase();
                let id = with_case(id, &suffix)?;
                (checksum(&id) == suffix).then(|| RecordId(format!("{id}{suffix}")))
            }
            _ => None,
        }
    }

    /// The id of 18 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first three characters, which tell the object.
    pub fn prefix(&self) -> &str {
        self.0.split_at(3).0
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One character for five: bit `i` is set when character `i` is upper case.
fn checksum(id: &str) -> String {
    let character = |five: &[u8]| {
        let upper = |(at, byte): (usize, &u8)| usize::from(byte.is_ascii_uppercase()) << at;
        char::from(SUFFIX[five.iter().enumerate().map(upper).sum::<usize>() & 31])
    };
    id.as_bytes().chunks(5).map(character).collect()
}

/// The 15 characters in the case that the suffix tells.
fn with_case(id: &str, suffix: &str) -> Option<String> {
    let bits: Vec<usize> =
        suffix.bytes().map(|byte| SUFFIX.iter().position(|known| *known == byte)).collect::<Option<_>>()?;
    let cased = id.char_indices().map(|(at, c)| match bits.get(at / 5)? >> (at % 5) & 1 {
        1 => Some(c.to_ascii_uppercase()),
        _ => Some(c.to_ascii_lowercase()),
    });
    cased.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_have_the_checksums_that_salesforce_gives_them() {
        for (short, long) in [("001A0000006Vm9r", "001A0000006Vm9rIAC"), ("003000000000001", "003000000000001AAA")] {
            assert_eq!(RecordId::parse(short).unwrap().as_str(), long);
            assert_eq!(RecordId::parse(long).unwrap().as_str(), long);
            assert_eq!(RecordId::parse(&long.to_lowercase()).unwrap().as_str(), long, "its case was lost");
            assert_eq!(RecordId::parse(&long.to_uppercase()).unwrap().as_str(), long);
        }
        assert_eq!(RecordId::parse("003000000000001").unwrap().prefix(), "003");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "001",
            "001A0000006Vm9",
            "001A0000006Vm9rI",
            "001A0000006Vm9rIAC1",
            "001A0000006Vm9r999",
            "003000000000001AAB",
            "001A0000006Vm9/",
            "001A0000006Vm9r'--",
            "001A0000006Vm9\u{e9}",
            "../../../../limits",
        ] {
            assert!(RecordId::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_id_is_read_back(id in "[a-zA-Z0-9]{15}") {
            let long = RecordId::parse(&id).unwrap();
            prop_assert!(long.as_str().starts_with(&id));
            prop_assert_eq!(RecordId::parse(long.as_str()).unwrap(), long.clone());
            prop_assert_eq!(RecordId::parse(&long.as_str().to_lowercase()).unwrap(), long);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = RecordId::parse(&text);
        }
    }
}
