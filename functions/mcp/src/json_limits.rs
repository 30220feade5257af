//! Limits on the shape of a body, checked in one pass before anything reads it: depth, keys, string length, and no key
//! twice, which two readers could take for different messages.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::refusal::Refusal;

const MAX_DEPTH: u32 = 32;
const MAX_KEYS: usize = 256;
const MAX_STRING: usize = 64 * 1024;

/// Checks a whole body.
///
/// # Errors
/// [`Refusal::NotJson`] or [`Refusal::JsonLimits`].
pub fn check(body: &[u8]) -> Result<(), Refusal> {
    let broken = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    Shape { depth: MAX_DEPTH, broken: &broken }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|_| broken.get().map_or(Refusal::NotJson, Refusal::JsonLimits))
}

#[derive(Clone, Copy)]
struct Shape<'a> {
    depth: u32,
    broken: &'a Cell<Option<&'static str>>,
}

impl Shape<'_> {
    fn fail<E: Error>(self, limit: &'static str) -> E {
        self.broken.set(Some(limit));
        E::custom(limit)
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Shape { depth, ..self }),
            None => Err(self.fail("the JSON is nested more than 32 levels deep")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Shape<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if text.len() > MAX_STRING { Err(self.fail("a string is longer than 64 KiB")) } else { Ok(()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut keys: Vec<Cow<'de, str>> = Vec::new();
        while let Some(key) = entries.next_key_seed(Key)? {
            if keys.len() == MAX_KEYS {
                return Err(self.fail("an object has more than 256 keys"));
            }
            keys.push(key);
            entries.next_value_seed(inner)?;
        }
        keys.sort_unstable();
        match keys.windows(2).any(|pair| pair[0] == pair[1]) {
            true => Err(self.fail("an object has a key twice")),
            false => Ok(()),
        }
    }
}

/// A key, borrowed from the body unless it holds an escape.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(body: &str) -> &'static str {
        check(body.as_bytes()).map_or_else(|refusal| refusal.code(), |()| "ok")
    }

    #[test]
    fn what_is_not_json_is_told_from_what_is_too_much() {
        for body in ["", "{", "nul", "{\"a\":1}x", "{'a':1}", "[1,]", "\"\\ud800\"", "1e999", "\u{feff}{}"] {
            assert_eq!(code(body), "not_json", "{body:?}");
        }
        assert_eq!(check(&[b'"', 0xff, b'"']).unwrap_err().code(), "not_json");
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!((code(&nested(32)), code(&nested(33))), ("ok", "json_limits"));
        assert_eq!(code(&nested(100_000)), "json_limits");
        let keys = |count: usize| {
            let entries: Vec<String> = (0..count).map(|index| format!("\"k{index}\":0")).collect();
            format!("{{{}}}", entries.join(","))
        };
        assert_eq!((code(&keys(256)), code(&keys(257))), ("ok", "json_limits"));
        let text = |length: usize| format!("\"{}\"", "x".repeat(length));
        assert_eq!((code(&text(65_536)), code(&text(65_537))), ("ok", "json_limits"));
        assert_eq!(code(r#"{"a":1,"b":{"c":1,"c":2}}"#), "json_limits");
        assert_eq!(code(r#"{"a":1,"\u0061":2}"#), "json_limits", "an escape does not hide a repeated key");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = check(&body);
        }
    }
}
