//! JSON of others, read strictly: no key twice, which two readers could take for different answers.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a body is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// No JSON, or cut off.
    #[error("the answer is no JSON")]
    Malformed,
    /// An object has a key twice.
    #[error("the answer has a key twice")]
    DuplicateKey,
}

/// Reads a whole body. It may be nested 127 levels deep.
///
/// # Errors
/// [`JsonError`].
pub fn parse(body: &[u8]) -> Result<Value, JsonError> {
    let duplicate = Cell::new(false);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Strict(&duplicate).deserialize(&mut deserializer);
    match value.and_then(|value| deserializer.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(_) if duplicate.get() => Err(JsonError::DuplicateKey),
        Err(_) => Err(JsonError::Malformed),
    }
}

#[derive(Clone, Copy)]
struct Strict<'a>(&'a Cell<bool>);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.insert(key, entries.next_value_seed(self)?).is_some() {
                self.0.set(true);
                return Err(A::Error::custom("a key twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_key_twice_is_refused_at_every_depth() {
        for body in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            assert_eq!(parse(body.as_bytes()), Err(JsonError::DuplicateKey), "{body}");
        }
        for body in ["", "{", r#"{"a":"#, "{} {}", "<html>", "\u{feff}{}", "nul"] {
            assert_eq!(parse(body.as_bytes()), Err(JsonError::Malformed), "{body}");
        }
        assert_eq!(parse(&[b'['; 200]), Err(JsonError::Malformed));
        assert_eq!(parse(br#" {"a":[1,-2,1.5,"x",true,null]} "#), Ok(json!({"a": [1, -2, 1.5, "x", true, null]})));
    }

    proptest! {
        #[test]
        fn everything_else_is_read_as_by_serde_json(text in "[{}\\[\\]\",:0-9a-b.e\\\\ -]{0,30}") {
            match (parse(text.as_bytes()), serde_json::from_str::<Value>(&text)) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                (Err(JsonError::Malformed), theirs) => prop_assert!(theirs.is_err()),
                (Err(JsonError::DuplicateKey), _) => {}
                (Ok(ours), Err(_)) => prop_assert!(false, "{ours}"),
            }
        }
    }
}
